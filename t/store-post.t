#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# media_store takes HTML forms whose policy is signed, and nothing that the
# policy does not allow: fields, sizes, time, bucket.  botocore signs and curl
# sends; browsers' forms are made here.

use strict;
use warnings;

use lib 't/lib';

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use POSIX qw(strftime);
use Store;
use Test::More;
use Time::HiRes qw(sleep);

my $s = Store->new()->start();
my $boundary = '----WebKitFormBoundary7MA4YWxkTrZu0gW';

is $s->put('/bucket', '')->{status}, 200, 'bucket made';

# The fields of a signed form.  Options: bucket, key, conditions (more of
# them), expires (from now), day, region, secret, document (in place of all).
sub fields {
    my (%o) = @_;
    my $date = strftime '%Y%m%dT%H%M%SZ', gmtime(time + ($o{at} // 0));
    my $day = substr $date, 0, 8;
    my $region = $o{region} // $s->{region};
    my $credential = ($o{id} // $s->{key}) . "/$day/$region/s3/aws4_request";
    my @same = (['key', $o{key} // 'uploads/a.jpg'],
        ['x-amz-algorithm', 'AWS4-HMAC-SHA256'],
        ['x-amz-credential', $credential], ['x-amz-date', $date]);
    my $document = $o{document} // encode_json({
        expiration => strftime('%Y-%m-%dT%H:%M:%S.000Z',
            gmtime(time + ($o{expires} // 60))),
        conditions => [{ bucket => $o{bucket} // 'bucket' },
            (map { { $_->[0] => $_->[1] } } @same),
            @{ $o{conditions} || [] }] });
    my $policy = encode_base64($document, '');

    local $s->{secret} = $o{secret} // $s->{secret};
    local $s->{region} = $region;
    return (@same, ['policy', $policy], ['x-amz-signature',
        hmac_sha256_hex($policy, $s->signing_key($day))]);
}

sub part {
    my ($name, $value) = @_;
    return "--$boundary\r\nContent-Disposition: form-data; name=\"$name\""
        . "\r\n\r\n$value\r\n";
}

sub file {
    my ($bytes, %o) = @_;
    my $name = $o{name} // 'cat.jpg';
    return "--$boundary\r\nContent-Disposition: form-data; name=\"file\"; "
        . "filename=\"$name\"\r\nContent-Type: image/jpeg\r\n\r\n"
        . "$bytes\r\n";
}

sub body { return join('', @_) . "--$boundary--\r\n" }
sub form { return map { part(@$_) } @_ }

sub request {
    my ($body, %o) = @_;
    my $path = $o{path} // '/bucket';
    my $length = $o{length} // length $body;
    return "POST $path HTTP/1.1\r\nHost: $s->{host}\r\n"
        . "Content-Type: multipart/form-data; boundary=$boundary\r\n"
        . "Content-Length: $length\r\nConnection: close\r\n\r\n$body";
}

sub post { return $s->send(request(@_)) }

# 1. what S3 answers

my $bytes = join '', "\r\n--", map { chr($_ * 7 % 256) } 1 .. 200000;
my @status = (conditions => [['eq', '$success_action_status', '201'],
    ['starts-with', '$Content-Type', 'image/'], { 'x-amz-meta-a' => 'b c' },
    ['content-length-range', 1, 300000]]);
my @more = (['success_action_status', '201'], ['Content-Type', 'image/png'],
    ['x-amz-meta-a', 'b c']);

my $a = post(body(form(fields(@status), @more), file($bytes)));
is $a->{status}, 201, 'status 201';
is $a->{h}{etag}, '"' . md5_hex($bytes) . '"', 'its ETag';
is $a->{body} =~ s/\s+$//r, "<PostResponse><Location>http://$s->{host}/bucket/"
    . 'uploads/a.jpg</Location><Bucket>bucket</Bucket><Key>uploads/a.jpg</Key>'
    . '<ETag>&#x22;' . md5_hex($bytes) . '&#x22;</ETag></PostResponse>',
    'its document';

$a = $s->get('/bucket/uploads/a.jpg');
ok $a->{body} eq $bytes, 'the object is the file';
is $a->{h}{'content-type'}, 'image/png', 'its type is the field\'s';
is $a->{h}{'x-amz-meta-a'}, 'b c', 'its metadata';

for my $status ([undef, 204], ['200', 200], ['204', 204], ['999', 204]) {
    my @field = defined $status->[0]
        ? ['success_action_status', $status->[0]] : ();
    $a = post(body(form(fields(conditions => [map { { @$_ } } @field]),
        @field), file('x')), path => '/bucket/');
    is "$a->{status} $a->{body}", "$status->[1] ",
        'status ' . ($status->[0] // 'not asked for');
}

post(body(form(fields(key => 'u/${filename}', conditions =>
    [['starts-with', '$key', 'u/']])), file('x')));
is $s->get('/bucket/u/cat.jpg')->{code}, 'NoSuchKey',
    'a key is signed without its variable only';

# "key" is in the policy as it is expanded

my @f = fields(key => 'u/cat.jpg');
$f[0] = ['key', 'u/${filename}'];
is post(body(form(@f), file('x')))->{status}, 204, '${filename}';
is $s->get('/bucket/u/cat.jpg')->{body}, 'x', 'and its object';

is post(body(form(fields(key => 'u/after')), file('x'), part('a', 'b'),
    file('y')))->{status}, 204, 'fields after the file';
is $s->get('/bucket/u/after')->{body}, 'x', 'are ignored';

is post(body(form(fields(key => 'u/text')), part('file', 'text')))->{status},
    204, 'text in place of a file';
is $s->get('/bucket/u/text')->{body}, 'text', 'is taken';

# 2. what is refused, and leaves nothing

sub refused {
    my ($name, $status, $code, $bytes) = @_;
    my $r = $s->send($bytes);
    is "$r->{status} $r->{code}", "$status $code", $name;
    $r = $s->get('/bucket/refused');
    is $r->{code}, 'NoSuchKey', "$name: no object";
}

sub with { return request(body(form(fields(key => 'refused', @_)),
    file('12345'))) }

refused('expired', 403, 'AccessDenied', with(expires => -1));
refused('another secret', 403, 'SignatureDoesNotMatch',
    with(secret => 'other'));
refused('another access key', 403, 'InvalidAccessKeyId', with(id => 'OTHER'));
refused('another region', 400, 'AuthorizationHeaderMalformed',
    with(region => 'eu-west-1'));
refused('signed in the future', 403, 'RequestTimeTooSkewed',
    with(at => 3600));
refused('another bucket', 403, 'AccessDenied', with(bucket => 'other'));
refused('a field is missing', 403, 'AccessDenied',
    with(conditions => [{ acl => 'private' }]));
refused('too small', 400, 'EntityTooSmall',
    with(conditions => [['content-length-range', 6, 10]]));
refused('too large', 400, 'EntityTooLarge',
    with(conditions => [['content-length-range', 0, 4]]));
refused('no JSON', 400, 'InvalidPolicyDocument', with(document => '{'));
refused('no conditions', 403, 'AccessDenied', with(document =>
    '{"expiration":"2999-01-01T00:00:00Z","conditions":[]}'));

@f = fields(key => 'other');
$f[0][1] = 'refused';
refused('another key', 403, 'AccessDenied',
    request(body(form(@f), file('x'))));

@f = fields(key => 'refused');
refused('a field more', 403, 'AccessDenied',
    request(body(form(@f, ['Content-Type', 'text/html']), file('x'))));
refused('no signature', 400, 'InvalidPolicyDocument',
    request(body(form(@f[0 .. 4]), file('x'))));
refused('no policy', 403, 'AccessDenied',
    request(body(form($f[0]), file('x'))));
refused('no key', 400, 'UserKeyMustBeSpecified',
    request(body(form(@f[1 .. 5]), file('x'))));
refused('no file', 400, 'IncorrectNumberOfFilesInPostRequest',
    request(body(form(@f))));
refused('fields only after the file', 400, 'UserKeyMustBeSpecified',
    request(body(file('x'), form(@f))));
refused('no end', 400, 'MalformedPOSTRequest',
    request(join '', form(@f), file('x')));
refused('no form', 400, 'MalformedPOSTRequest', request('x' x 100));
refused('too many bytes of fields', 400, 'MaxPostPreDataLengthExceeded',
    request(body(part('x-ignore-a', 'x' x 20480), form(@f), file('x'))));
refused('too many fields', 400, 'MaxPostPreDataLengthExceeded',
    request(body(part('x-ignore-a', 'x') x 64, form(@f), file('x'))));
refused('redirect', 501, 'NotImplemented', request(body(form(
    fields(key => 'refused', conditions =>
        [{ success_action_redirect => 'http://x/' }]),
    ['success_action_redirect', 'http://x/']), file('x'))));
refused('a line end in a header', 400, 'InvalidArgument', request(body(form(
    fields(key => 'refused', conditions =>
        [['starts-with', '$Content-Type', '']]),
    ['Content-Type', "a/b\nETag: x"]), file('x'))));
refused('to a key', 405, 'MethodNotAllowed',
    request(body(form(@f), file('x')), path => '/bucket/refused'));
refused('no such bucket', 404, 'NoSuchBucket', request(body(form(
    fields(key => 'refused', bucket => 'none')), file('x')),
    path => '/none'));
refused('a query', 403, 'AccessDenied',
    request(body(form(@f), file('x')), path => '/bucket?delete'));

for my $key ('', "a\0b", 'x' x 1025) {
    $a = $s->send(request(body(form(fields(key => $key)), file('x'))));
    is $a->{status}, 400, 'a key of ' . length($key) . ' bytes';
}

# too large is answered before all of it has come

my $socket = $s->connect();
my $start = join '', form(fields(key => 'refused',
    conditions => [['content-length-range', 0, 10]])), file('x' x 100000);
syswrite $socket, request($start, length => 50000000);
is Store::answer($socket)->{code}, 'EntityTooLarge', 'refused while it comes';

# 3. split at each byte around the parts; interrupted

my $whole = request(body(form(fields(key => 'split')), file("\r\n-\r\nend")));
my $head = index($whole, "\r\n\r\n") + 4;
my $bad = 0;

for my $at (map { $head + 3 * $_ } 0 .. (length($whole) - $head) / 3 - 1) {
    $socket = $s->connect();
    syswrite $socket, substr $whole, 0, $at;
    sleep 0.002;
    syswrite $socket, substr $whole, $at;
    $bad++ if Store::answer($socket)->{status} != 204
        || $s->get('/bucket/split')->{body} ne "\r\n-\r\nend";
}

is $bad, 0, 'a form split at each third byte';

$whole = request(body(form(fields(key => 'cut')), file('x' x 300000)));

for my $cut (10, 1000, 200000, length($whole) - 40) {
    $socket = $s->connect();
    syswrite $socket, substr $whole, 0, length($whole) - $cut;
    close $socket;
}

sub left { return scalar(my @left = glob "$s->{dir}/data/.tmp/*") }
for (1 .. 200) { last if !left(); sleep 0.05 }
is left(), 0, 'no temporary file is left';
is $s->get('/bucket/cut')->{code}, 'NoSuchKey', 'no object of what was cut';

# 4. botocore and curl

my $dir = $s->{dir};
$s->write("$dir/large", my $large = join '',
    map { pack 'N', $_ * 2654435761 % 2 ** 32 } 1 .. 2000000);
$s->write("$dir/sign.py", <<'PY');
import sys, botocore.session, botocore.config
session = botocore.session.get_session()
client = session.create_client('s3', region_name='us-east-1',
    endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2],
    aws_secret_access_key=sys.argv[3],
    config=botocore.config.Config(s3={'addressing_style': 'path'},
        signature_version='s3v4'))
post = client.generate_presigned_post('bucket', 'large file.bin',
    Fields={'Content-Type': 'video/mp4'},
    Conditions=[{'Content-Type': 'video/mp4'},
        ['content-length-range', 8000000, 8000000]], ExpiresIn=60)
print(post['url'])
for name, value in post['fields'].items():
    print(name + '=' + value)
PY

open my $sign, '-|', 'python3', "$dir/sign.py", "http://$s->{host}", $s->{key},
    $s->{secret} or die $!;
chomp(my ($url, @args) = <$sign>);
is $url, "http://$s->{host}/bucket", 'botocore signed a form';

sub curl {
    my ($file) = @_;
    open my $c, '-|', 'curl', '-sS', '-m', '60', '-o', "$dir/answer", '-w',
        '%{http_code}', (map { ('--form-string', $_) } @args), '-F',
        "file=\@$file", $url or die $!;
    return scalar <$c>;
}

is curl("$dir/large"), 204, 'curl sent it';
$a = $s->get('/bucket/large%20file.bin');
ok $a->{body} eq $large, 'all of it';
is $a->{h}{'content-type'}, 'video/mp4', 'its type';
$s->write("$dir/small", 'x');
is curl("$dir/small"), 400, 'a file of another size is refused';

# 5. the other requests of uploads: presigned size and type, copy, If-Match

sub presigned { return $s->send($s->presigned('PUT', '/bucket/p',
    body => 'body', headers => { 'content-type' => 'image/jpeg',
    'content-length' => 4 }, @_)) }

is presigned(sent_headers => { 'content-type' => 'image/png' })->{code},
    'SignatureDoesNotMatch', 'presigned PUT of another type';
is presigned(sent_headers => { 'content-length' => 5 },
    sent_body => 'body!')->{code}, 'SignatureDoesNotMatch',
    'presigned PUT of another size';
is presigned(sent_headers => { 'content-length' => undef,
    'transfer-encoding' => 'chunked' }, sent_body => "4\r\nbody\r\n0\r\n\r\n"
    )->{status}, 403, 'presigned PUT without its size';
is presigned(sent_headers => { 'content-type' => undef })->{code},
    'SignatureDoesNotMatch', 'presigned PUT without its type';
is presigned()->{status}, 200, 'presigned PUT as signed';

my $etag = '"' . md5_hex('body') . '"';
my %copy = ('x-amz-copy-source' => 'bucket/p', 'x-amz-metadata-directive' =>
    'REPLACE', 'content-type' => 'image/webp',
    'content-disposition' => 'inline; filename="x"');

sub copy { return $s->put('/bucket/final', '', headers => { %copy, @_ }) }

is copy('x-amz-copy-source-if-match' => '"0"')->{code}, 'PreconditionFailed',
    'copy of what was written over';
is $s->get('/bucket/final')->{code}, 'NoSuchKey', 'makes nothing';
is copy('x-amz-copy-source-if-match' => $etag)->{status}, 200,
    'copy of what was read';
$a = $s->head('/bucket/final', headers => { 'if-match' => $etag });
is "$a->{status} $a->{h}{'content-type'} $a->{h}{'content-disposition'}",
    '200 image/webp inline; filename="x"', 'with new metadata; HEAD If-Match';
is $s->head('/bucket/final', headers => { 'if-match' => '"0"' })->{status},
    412, 'HEAD If-Match of another';

is left(), 0, 'no temporary file';
is $s->complaints(), '', 'no alert';
unlike $s->log(), qr/\Q$s->{secret}\E/, 'no secret in the log';

done_testing();
