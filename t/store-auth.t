#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# media_store takes only what is signed: each change of a signed request is
# refused with S3's code, and leaves nothing behind.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex hmac_sha256_hex);
use POSIX qw(strftime);
use Store;
use Test::More;

my $s = Store->new()->start();
my $path = '/bucket/refused';
my $old = strftime '%Y%m%dT%H%M%SZ', gmtime time - 3600;

is $s->put('/bucket', '')->{status}, 200, 'bucket made';

sub refused {
    my ($name, $status, $code, $bytes) = @_;
    my $a = $s->send($bytes);
    is "$a->{status} $a->{code}", "$status $code", $name;
    is $a->{h}{'content-type'}, 'application/xml', "$name: XML";
    like $a->{h}{'x-amz-request-id'}, qr/^[0-9a-f]{32}$/, "$name: request id";
    like $a->{body}, qr{<RequestId>$a->{h}{'x-amz-request-id'}</RequestId>},
        "$name: request id in the body";
}

sub request { return $s->request('PUT', $path, body => 'body', @_) }
sub presigned { return $s->presigned('PUT', $path, body => 'body', @_) }

refused('anonymous', 403, 'AccessDenied',
    $s->bytes('PUT', $path, '', { host => $s->{host} }, body => 'body'));
refused('wrong secret', 403, 'SignatureDoesNotMatch',
    do { local $s->{secret} = 'other'; request() });
refused('unknown key', 403, 'InvalidAccessKeyId', request(key => 'OTHER'));
refused('wrong region', 400, 'AuthorizationHeaderMalformed',
    do { local $s->{region} = 'eu-west-1'; request() });
refused('malformed header', 400, 'AuthorizationHeaderMalformed',
    request(sent_headers => { authorization => 'AWS4-HMAC-SHA256 x' }));
refused('old request', 403, 'RequestTimeTooSkewed', request(date => $old));
refused('changed path', 403, 'SignatureDoesNotMatch',
    request(sent_path => '/bucket/other'));
refused('changed query', 403, 'SignatureDoesNotMatch',
    request(query => 'a=1', sent_query => '&b=2'));
refused('changed signed header', 403, 'SignatureDoesNotMatch',
    request(headers => { 'content-type' => 'image/jpeg' },
        sent_headers => { 'content-type' => 'text/html' }));
refused('unsigned x-amz header', 403, 'AccessDenied',
    request(unsigned => { 'x-amz-meta-a' => '1' }));
refused('body against its hash', 400, 'XAmzContentSHA256Mismatch',
    request(sent_body => 'evil'));
refused('unknown hash word', 400, 'InvalidArgument',
    request(hash => 'STREAMING-OTHER'));
refused('chunked without length', 411, 'MissingContentLength',
    request(sent_headers => { 'content-length' => undef,
        'transfer-encoding' => 'chunked' }, sent_body => "0\r\n\r\n"));

refused('expired', 403, 'AccessDenied', presigned(date => $old));
refused('presigned: changed method', 403, 'SignatureDoesNotMatch',
    presigned() =~ s/^PUT/POST/r);
refused('presigned: added query', 403, 'SignatureDoesNotMatch',
    presigned(sent_query => '&partNumber=1'));
refused('presigned: changed type', 403, 'SignatureDoesNotMatch',
    presigned(headers => { 'content-type' => 'image/jpeg' },
        sent_headers => { 'content-type' => 'text/html' }));
refused('presigned: changed length', 403, 'SignatureDoesNotMatch',
    presigned(headers => { 'content-length' => 4 },
        sent_headers => { 'content-length' => 5 }, sent_body => 'body!'));
refused('presigned: too long a life', 400,
    'AuthorizationQueryParametersError', presigned(expires => 604801));
refused('presigned: unsigned x-amz header', 403, 'AccessDenied',
    presigned(unsigned => { 'x-amz-meta-a' => '1' }));

is $s->get($path)->{code}, 'NoSuchKey', 'nothing was stored';

is $s->send(presigned(headers => { 'content-type' => 'image/jpeg',
    'content-length' => 4 }))->{status}, 200, 'presigned PUT is taken';
my $a = $s->send($s->presigned('GET', $path));
is "$a->{status} $a->{body} $a->{h}{'content-type'}", '200 body image/jpeg',
    'presigned GET';

# aws-chunked bodies

sub chunks {
    my ($size, $text, %o) = @_;
    my $date = strftime '%Y%m%dT%H%M%SZ', gmtime;
    my $day = substr $date, 0, 8;
    my $head = $s->request('PUT', '/bucket/chunked', date => $date,
        hash => 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', headers => {
        'x-amz-decoded-content-length' => length $text,
        'content-encoding' => 'aws-chunked' }, body => '',
        sent_headers => { 'content-length' => 'LENGTH' });
    my ($last, $body) = ($s->{seed}, '');

    for my $part (unpack("(a$size)*", $text), '') {
        $last = hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256-PAYLOAD', $date,
            "$day/$s->{region}/s3/aws4_request", $last, sha256_hex(''),
            sha256_hex($part)), $s->signing_key($day));
        $body .= sprintf "%x;chunk-signature=%s\r\n%s\r\n", length $part,
            $last, $part;
    }

    $body =~ s/$o{change}/$o{to}/ if $o{change};
    my $length = length $body;
    return $head =~ s/LENGTH/$length/r . $body;
}

my $text = join '', map { chr(65 + $_ % 26) } 1 .. 200000;

for my $size (7, 8192, 65536) {
    my $short = substr $text, 0, $size * 20;
    is $s->send(chunks($size, $short))->{status}, 200,
        "signed chunks of $size";
    $a = $s->get('/bucket/chunked');
    ok $a->{body} eq $short, "decoded chunks of $size";
    is $a->{h}{'content-encoding'}, undef, 'aws-chunked is not kept';
}

refused('changed chunk', 403, 'SignatureDoesNotMatch',
    chunks(8192, $text, change => 'BCD', to => 'XXX'));
refused('chunk of another length', 400, 'IncompleteBody',
    chunks(8192, $text, change => '2000;', to => '9000000;'));

sub unsigned {
    my ($sum, $body) = @_;
    my $sent = sprintf "%x\r\n%s\r\n0\r\nx-amz-checksum-sha256:%s\r\n\r\n",
        length $body, $body, $sum;
    return $s->request('PUT', '/bucket/trailer', sent_body => $sent,
        hash => 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        headers => { 'x-amz-decoded-content-length' => length $body,
            'x-amz-trailer' => 'x-amz-checksum-sha256' });
}

my $sum = Digest::SHA::sha256_base64('trailed') . '=';
is $s->send(unsigned($sum, 'trailed'))->{status}, 200, 'trailer checksum';
is $s->get('/bucket/trailer')->{body}, 'trailed', 'trailer: decoded';
refused('trailer against the body', 400, 'BadDigest',
    unsigned($sum, 'changed'));
is $s->get('/bucket/trailer')->{body}, 'trailed', 'the old one stays';

# every split of a chunked request

my $bytes = unsigned($sum, 'trailed');
my $split = index($bytes, "\r\n\r\n") + 4;
my $bad = 0;

for my $at ($split .. length($bytes) - 1) {
    my $socket = $s->connect();
    $socket->syswrite(substr $bytes, 0, $at);
    select undef, undef, undef, 0.002;
    $socket->syswrite(substr $bytes, $at);
    $bad++ if Store::answer($socket)->{status} != 200;
}

is $bad, 0, 'a chunked body split at every byte';

is scalar(my @left = glob "$s->{dir}/data/.tmp/*"), 0, 'no temporary file';
is $s->complaints(), '', 'no alert';
unlike $s->log(), qr/\Q$s->{secret}\E/, 'no secret in the log';

done_testing();
