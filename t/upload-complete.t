#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The end of an upload is told to the worker once S3 has what was announced,
# and can be repeated; what is not so is refused with its reason.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(hmac_sha256);
use JSON::PP qw(decode_json);
use MIME::Base64 qw(encode_base64url decode_base64url);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);
use UploadHTTP;

my $t = UploadHTTP->new;
my $closed = Cache::free_port();

my %locations = (locations => <<"EOT");
        location = /away/complete {
            media_upload_complete;
            media_upload_store /s3-away/;
        }
        location = /other-key/complete {
            media_upload_complete;
            media_sign_key k2 "another secret of 32 bytes or more";
        }
        location /s3-away/ {
            internal;
            proxy_pass http://127.0.0.1:$closed;
        }
EOT

$t->serve_uploads(%locations);
$t->redis_start;
$t->start;
$t->wait_broker;

my $content = 'y' x 1000;
my %photo = (file_name => 'photo.jpg', file_type => 'image/jpeg',
    file_size => 1000, conversation_id => 42, caption => 'first');

sub issued {
    my (%change) = @_;
    my $url = $t->post('/upload-url', { %photo, %change })->{json};
    my ($job) = $t->jobs;

    return ($url, $job);
}

sub uploaded {
    my ($url, $job) = issued(@_);

    is($t->curl_put($url, $content), 200, 'put');
    return ($url, $job);
}

sub complete {
    my ($url, %more) = @_;
    return $t->post('/upload-complete',
        { upload_token => $url->{upload_token}, %more });
}

sub refused {
    my $answer = complete(@_);
    return "$answer->{status} " . ($answer->{json}{error} // '');
}

# nothing is there yet

my ($url, $issue) = issued();

is(refused($url), '409 upload_missing', 'before the upload');
is($t->post('/upload-complete', { upload_token => $url->{upload_token} },
    'Accept-Language' => 'pt')->{json}{message},
    "O arquivo n\x{e3}o foi enviado", 'in Portuguese');
is(scalar(() = $t->jobs), 0, 'nothing was published');

# the original fields

is($t->curl_put($url, $content), 200, 'put');

my %fields = (%photo{qw(file_name file_type file_size conversation_id)},
    file_url => $url->{file_url});

for my $change ([file_name => 'other.jpg'], [file_type => 'image/png'],
    [file_size => 1001], [file_size => '1000'], [conversation_id => 43],
    [file_url => '/media/chat/acme/42/x.jpg'])
{
    is(refused($url, %fields, @$change), '422 field_differs',
        "another $change->[0]");
}

my $answer = complete($url, %fields, file_type => 'Image/JPEG',
    conversation_id => '42');

is($answer->{status}, 200, 'complete') or diag $answer->{content},
    $t->error_log;
is_deeply($answer->{json}, { id => $url->{attachment_id},
    status => 'processing', conversation_id => '42', kind => 'image',
    file_name => 'photo.jpg', file_type => 'image/jpeg', file_size => 1000,
    caption => 'first', file_url => $url->{file_url} }, 'the attachment');

my ($job, @more) = $t->jobs;
my $etag = delete $job->{etag};

is(@more, 0, 'one job');
is_deeply($job, { %$issue, type => 'upload_complete', reply_to => '',
    idempotency_key => $url->{attachment_id} }, 'the job');
like($etag, qr/^"[0-9a-f]{32}"$/, 'ETag');

# again, at once and together

is(complete($url)->{status}, 200, 'again');
is(scalar(() = $t->jobs), 1, 'published again');

for my $change ([caption => 'second'], [idempotency_key => 'k'],
    [reply_to => '7'])
{
    is(refused($url, @$change), '409 upload_token_reused',
        "again with another $change->[0]");
}

is(complete($url, caption => 'first', reply_to => '')->{status}, 200,
    'again with the same');
$t->jobs;

my @pids;

($url, $issue) = uploaded();

for (1 .. 8) {
    my $pid = fork // die "fork: $!";
    next if $pid && push @pids, $pid;
    POSIX::_exit(complete($url, caption => 'all')->{status} == 200 ? 0 : 1);
}

my $failed = 0;
for (@pids) {
    waitpid $_, 0;
    $failed++ if $?;
}

is($failed, 0, 'eight at once');

my @jobs = $t->jobs;
is(@jobs, 8, 'eight jobs');
is(scalar(grep { $_->{caption} ne 'all'
    || $_->{attachment_id} ne $url->{attachment_id} } @jobs), 0, 'the same');

# the worker has it: the object moved

my $key = $issue->{upload_key};

$t->put_object($issue->{file_key}, $content, 'image/jpeg');
$t->remove_object($key);
is(complete($url, caption => 'all')->{status}, 200, 'after processing');
is(refused($url), '409 upload_token_reused', 'after processing, another');
is(scalar(() = $t->jobs), 0, 'not published again');

# the URL is still valid

is($t->curl_put($url, 'z' x 1000), 200, 'replayed');
is($t->object($issue->{file_key}), $content, 'which changes nothing');

# what is there is something else

($url, $issue) = issued();
$t->put_object($issue->{upload_key}, 'z' x 1001, 'image/jpeg');
is(refused($url), '422 upload_differs', 'another size');
$t->put_object($issue->{upload_key}, $content, 'image/png');
is(refused($url), '422 upload_differs', 'another type');
is(scalar(() = $t->jobs), 0, 'nothing was published');

# values

($url) = uploaded();

for my $case ([{ caption => 'x' x 1025 }, '400 caption_invalid'],
    [{ caption => 7 }, '400 caption_invalid'],
    [{ idempotency_key => '' }, '400 idempotency_key_invalid'],
    [{ idempotency_key => 'x' x 201 }, '400 idempotency_key_invalid'],
    [{ idempotency_key => "a\nb\0" }, '400 idempotency_key_invalid'],
    [{ reply_to => 'x' }, '400 reply_to_invalid'],
    [{ reply_to => '1234567890123456789' }, '400 reply_to_invalid'])
{
    my ($name) = keys %{ $case->[0] };
    is(refused($url, %{ $case->[0] }), $case->[1], "bad $name");
}

is(complete($url, caption => "new \"caption\"", idempotency_key => 'x' x 200,
    reply_to => 7)->{json}{caption}, 'new "caption"', 'another caption');
($job) = $t->jobs;
is_deeply([@$job{qw(caption idempotency_key reply_to)}],
    ['new "caption"', 'x' x 200, '7'], 'are published');

($url) = uploaded();
is($t->post('/upload-complete', { upload_token => $url->{upload_token} },
    'Idempotency-Key' => 'by header')->{status}, 200, 'key by header');
($job) = $t->jobs;
is($job->{idempotency_key}, 'by header', 'is published');

# tokens

($url) = uploaded();

my $token = $url->{upload_token};

is($t->refusal('/upload-complete', {}), '422 upload_token_invalid',
    'no token');
is($t->refusal('/upload-complete', { upload_token => 1 }),
    '422 upload_token_invalid', 'a number');
is($t->refusal('/upload-complete', { upload_token => $token },
    'X-Tenant' => 'other'), '422 upload_token_invalid', 'other tenant');
is($t->refusal('/other-key/complete', { upload_token => $token }),
    '422 upload_token_invalid', 'other key');

for my $at (0, 5, length($token) / 2, length($token) - 1) {
    my $tampered = $token;
    substr($tampered, $at, 1) = substr($token, $at, 1) eq 'A' ? 'B' : 'A';
    is($t->refusal('/upload-complete', { upload_token => $tampered }),
        '422 upload_token_invalid', 'tampered at ' . int $at);
}

# the same claims, an hour and more ago

my (undef, $claims) = split /\./, $token;
my $old = decode_base64url($claims)
    =~ s/"expires":\d+/'"expires":' . (time - 3601)/er;
my $text = encode_base64url($old);

is($t->refusal('/upload-complete', { upload_token => "k1.$text."
    . encode_base64url(hmac_sha256("upload-token-1\n$text",
        $UploadHTTP::secret)) }), '410 upload_token_expired', 'expired');
is(scalar(() = $t->jobs), 0, 'nothing was published');

# what is away

is($t->refusal('/away/complete', { upload_token => $token }),
    '503 unavailable', 'S3 away');

# clients that go away, at any step

my ($left) = uploaded();

for my $n (1 .. 40) {
    my $body = qq({"upload_token":"$left->{upload_token}"});
    my $socket = $t->connect;

    print $socket "POST /upload-complete HTTP/1.1\r\nHost: a\r\n"
        . "X-Tenant: acme\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    $socket->flush;
    sleep $n / 4000;
    close $socket;
}

is(complete($left)->{status}, 200, 'after clients that went away');
ok((grep { $_->{type} eq 'upload_complete' } $t->jobs) >= 1,
    'what was published stays');

$t->redis_stop;
is(complete($url)->{status}, 200, 'Redis away');
is(complete($url, caption => 'second')->{status}, 200,
    'Redis away: the worker decides');
is(scalar(grep { $_->{attachment_id} eq $url->{attachment_id} } $t->jobs), 2,
    'both are published');

my $log = $t->error_log;
unlike($log, qr/\Q$token/, 'no token in the log');
is($t->alarms, '', 'no alarms');

$t->stop;
$t->redis_start;
$t->serve_uploads(%locations, rabbitmq =>
    "amqp://a:b\@127.0.0.1:$closed/%2F");
$t->start;

$answer = complete($url);
is($answer->{status}, 503, 'broker away');
like($answer->{headers}{'retry-after'}, qr/^[1-9]$/, 'broker away: later');
is($t->alarms, '', 'no alarms');

$t->stop;
done_testing();
