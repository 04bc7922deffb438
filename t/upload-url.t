#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A presigned URL takes the one file that was asked for, until it expires, and
# nobody has one that the worker was not told of.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use UploadHTTP;

my $t = UploadHTTP->new;

$t->serve_uploads(server => 'media_upload_ttl 300;', locations => <<'EOT');
        location = /short { media_upload_url; media_upload_ttl 1s; }
        location = /small {
            media_upload_url;
            media_upload_max_size image 2k;
            media_upload_types image image/png image/gif;
            media_upload_endpoint http://s3.example.com:8000/;
        }
        location = /cors {
            media_upload_url;
            media_cors_origin https://crm.example.com;
        }
EOT
$t->redis_start;
$t->start;
$t->wait_broker;

my %photo = (file_name => 'é photo.jpg', file_type => 'Image/JPEG',
    file_size => 1000, conversation_id => 42);
my $content = 'x' x 1000;

# the answer, and what the worker is told

my $answer = $t->post('/upload-url', { %photo, caption => "a\n\"caption\"" });
my $url = $answer->{json};

is($answer->{status}, 200, 'URL') or diag $answer->{content}, $t->error_log;
is($answer->{headers}{'content-type'}, 'application/json', 'JSON');
is($answer->{headers}{'cache-control'}, 'no-store', 'not stored');
is_deeply([sort keys %$url], [qw(attachment_id expires_in file_url headers
    method upload_token upload_url)], 'members');
is($url->{method}, 'PUT', 'method');
is_deeply($url->{headers}, { 'Content-Type' => 'image/jpeg' }, 'headers');
is($url->{expires_in}, 300, 'expires in');
like($url->{attachment_id}, qr/^[0-9a-f]{8}-[0-9a-f]{4}-4/, 'id');

my $hash = substr $url->{attachment_id}, 0, 8;

is($url->{file_url}, "/media/chat/acme/42/${hash}__photo.jpg", 'file URL');
is($url->{upload_url} =~ s/\?.*//r, join('/', $ENV{S3_ENDPOINT_URL},
    $ENV{S3_BUCKET}, 'uploads/acme', $url->{attachment_id}), 'upload URL');
like($url->{upload_url},
    qr/X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost/, 'signed');

my ($job, @more) = $t->jobs;

is(@more, 0, 'one job');
is($job->{type}, 'upload_issued', 'type');
is_deeply([sort keys %$job], [qw(attachment_id caption conversation_id expires
    file_key file_name file_size file_type issued kind multipart_id part_size
    tenant type upload_key)], 'claims');
is($job->{attachment_id}, $url->{attachment_id}, 'job: id');
is($job->{tenant}, 'acme', 'job: tenant');
is($job->{conversation_id}, '42', 'job: conversation');
is($job->{kind}, 'image', 'job: kind');
is($job->{file_name}, $photo{file_name}, 'job: name');
is($job->{file_type}, 'image/jpeg', 'job: type');
is($job->{file_size}, 1000, 'job: size');
is($job->{caption}, "a\n\"caption\"", 'job: caption');
is($job->{upload_key}, "uploads/acme/$url->{attachment_id}",
    'job: upload key');
is("/media/$job->{file_key}", $url->{file_url}, 'job: file key');
is($job->{expires} - $job->{issued}, 300, 'job: life');

# the one file, and nothing else

my $key = $job->{upload_key};

is($t->curl_put($url, 'x' x 999), 403, 'shorter file');
is($t->curl_put($url, 'x' x 1001), 403, 'longer file');
is($t->curl_put($url, $content, 'Content-Type' => 'image/png'), 403,
    'other type');
is($t->curl_put($url, $content, 'Content-Type' => 'text/html'), 403,
    'page');

for my $change (['uploads/acme', 'uploads/other'],
    ['uploads/acme', 'chat/acme'], ['Expires=300', 'Expires=600'],
    ['Signature=.', 'Signature=z'])
{
    my ($from, $to) = @$change;
    my %tampered = (%$url, upload_url => $url->{upload_url} =~ s/$from/$to/r);

    is($t->curl_put(\%tampered, $content), 403, "tampered: $to");
}

is($t->object($key), undef, 'nothing was stored');
is($t->curl_put($url, $content), 200, 'the file');
is($t->object($key), $content, 's3cmd reads it');

my ($info) = $t->s3cmd('info', "s3://$ENV{S3_BUCKET}/$key");
like($info, qr{MIME type: +image/jpeg}, 'its type');

$t->same_by_sdk($url->{upload_url}, 1000, 'image/jpeg');

my $short = $t->post('/short', \%photo)->{json};
is($short->{expires_in}, 1, 'short life');
sleep 3;
is($t->curl_put($short, $content), 403, 'expired');

# forms

my $form = $t->post('/upload-url', { %photo, form => \1 })->{json};

is($form->{method}, 'POST', 'form');
is($form->{upload_url} =~ s{/$}{}r, "$ENV{S3_ENDPOINT_URL}/$ENV{S3_BUCKET}",
    'form: URL');

sub curl_form {
    my ($text, %change) = @_;
    my %fields = (%{ $form->{fields} }, %change);

    $t->write_file('form', $text);

    my ($status) = UploadHTTP::run('curl', '-s', '-m', 60, '-o', '/dev/null',
        '-w', '%{http_code}',
        (map { ('-F', "$_=$fields{$_}") } sort keys %fields),
        '-F', 'file=@' . $t->dir . '/form;filename=photo.jpg',
        $form->{upload_url});
    return $status;
}

like(curl_form('x' x 999), qr/^4/, 'form: shorter file');
like(curl_form('x' x 1001), qr/^4/, 'form: longer file');
is(curl_form($content, key => 'uploads/other/x'), 403, 'form: other key');
is(curl_form($content, 'Content-Type' => 'text/html'), 403,
    'form: other type');
is($t->object($form->{fields}{key}), undef, 'form: nothing was stored');
like(curl_form($content), qr/^20[014]$/, 'form: the file');
is($t->object($form->{fields}{key}), $content, 'form: s3cmd reads it');

# policy and languages

is($t->refusal('/upload-url', { %photo, file_size => 10 * 1024 * 1024 + 1 }),
    '413 file_too_large', 'too large');
is($t->post('/upload-url', { %photo, file_size => 11000000 })
    ->{json}{message}, 'File too large. Maximum: 10 MB', 'English');

my %pt = ('Accept-Language' => 'pt-BR,pt;q=0.9,en;q=0.8');

is($t->post('/upload-url', { %photo, file_size => 11000000 }, %pt)
    ->{json}{message}, "Arquivo muito grande. M\x{e1}ximo: 10 MB",
    'Portuguese: size');
is($t->post('/upload-url', { %photo, file_type => 'text/html' }, %pt)
    ->{json}{message}, "Tipo de arquivo n\x{e3}o permitido",
    'Portuguese: type');

for my $case (
    [{ file_size => 0 }, '400 file_size_invalid'],
    [{ file_size => '1000' }, '400 file_size_invalid'],
    [{ file_size => 1.5 }, '400 file_size_invalid'],
    [{ file_size => undef }, '400 file_size_invalid'],
    [{ file_name => '' }, '400 file_name_missing'],
    [{ file_name => undef }, '400 file_name_missing'],
    [{ file_name => "a\0b" }, '400 file_name_invalid'],
    [{ file_name => 1 }, '400 file_name_invalid'],
    [{ file_type => undef }, '400 file_type_missing'],
    [{ file_type => 'jpeg' }, '400 file_type_invalid'],
    [{ file_type => 'application/x-msdownload' },
        '415 file_type_not_allowed'],
    [{ conversation_id => 'x' }, '400 conversation_id_invalid'],
    [{ conversation_id => undef }, '400 conversation_id_invalid'],
    [{ caption => 'x' x 1025 }, '400 caption_invalid'],
    [{ caption => 'x', kind => 'sticker', file_type => 'image/webp' },
        '400 caption_not_allowed'],
    [{ kind => 'text' }, '400 kind_invalid'],
    [{ kind => 'photo' }, '400 kind_invalid'],
    [{ kind => 'voice' }, '400 kind_invalid'],
    [{ form => \1, multipart => \1 }, '400 invalid_field'],
    [{ form => 'yes' }, '400 invalid_field'],
    [{ nested => { a => 1 } }, '400 invalid_json'])
{
    my ($change, $refusal) = @$case;
    my ($name) = map { "$_ " . ($change->{$_} // 'null') } keys %$change;

    is($t->refusal('/upload-url', { %photo, %$change }), $refusal,
        $name =~ s/\0/0/r);
}

is($t->refusal('/small', \%photo), '415 file_type_not_allowed',
    'type that the location does not take');
is($t->refusal('/small', { %photo, file_type => 'image/png',
    file_size => 2049 }), '413 file_too_large', 'size of the location');
like($t->post('/small', { %photo, file_type => 'image/png' })
    ->{json}{upload_url}, qr{^http://s3\.example\.com:8000/}, 'endpoint');

# requests

is($t->refusal('/upload-url', 'no JSON'), '400 invalid_json', 'no JSON');
is($t->refusal('/upload-url', '[]'), '400 invalid_json', 'an array');
is($t->refusal('/upload-url', '{"a":1,"a":2}'), '400 invalid_json',
    'a name twice');
is($t->refusal('/upload-url', \%photo, 'Content-Type' => 'text/plain'),
    '415 unsupported_media_type', 'text');
is($t->refusal('/upload-url', '{"a":"' . 'x' x 70000 . '"}'),
    '413 payload_too_large', 'large body');
is($t->refusal('/upload-url', \%photo, 'X-Tenant' => ''),
    '401 unauthorized', 'no tenant');

my $get = $t->call('GET', '/upload-url');
is("$get->{status} $get->{headers}{allow} $get->{json}{error}",
    '405 POST method_not_allowed', 'GET');

# browsers of another origin

my %origin = (Origin => 'https://crm.example.com');
my $preflight = $t->call('OPTIONS', '/cors', undef, %origin);

is($preflight->{status}, 204, 'preflight');
is($preflight->{headers}{'access-control-allow-origin'}, $origin{Origin},
    'preflight: origin');
like($preflight->{headers}{'access-control-allow-methods'}, qr/POST/,
    'preflight: methods');
like($preflight->{headers}{'access-control-allow-headers'},
    qr/Content-Type.*Upload-Token/, 'preflight: headers');

for ([\%photo, 200], [{}, 400]) {
    my $cors = $t->post('/cors', $_->[0], %origin);
    is($cors->{status}, $_->[1], 'cross-origin');
    is($cors->{headers}{'access-control-allow-origin'}, $origin{Origin},
        'cross-origin: headers');
}

# every URL that was given out is known

my %issued = map { $_->{attachment_id} => 1 } $t->jobs;
is(scalar(grep { $_->{type} ne 'upload_issued' } $t->jobs), 0, 'types');
ok($issued{$_->{attachment_id}}, 'a job for each') for $short, $form;

my $log = $t->error_log;
unlike($log, qr/X-Amz-Signature/, 'no signature in the log');
unlike($log, qr/\Q$url->{upload_token}/, 'no token in the log');
is($t->alarms, '', 'no alarms');

$t->stop;

# the broker is away: no URL

$t->serve_uploads(rabbitmq =>
    'amqp://a:b@127.0.0.1:' . Cache::free_port() . '/%2F');
$t->start;

$answer = $t->post('/upload-url', \%photo);
is($answer->{status}, 503, 'broker away');
is($answer->{json}{error}, 'unavailable', 'broker away: error');
like($answer->{headers}{'retry-after'}, qr/^[1-9]$/, 'broker away: later');
unlike($answer->{content}, qr/upload_url/, 'broker away: no URL');

$t->stop;
done_testing();
