#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# media_store keeps objects as they were put: body, type, metadata; and
# answers ranges, conditions, copies and errors as S3 does.

use strict;
use warnings;

use lib 't/lib';

use Digest::MD5 qw(md5_hex md5_base64);
use Store;
use Test::More;

my $s = Store->new()->start();
my $p = '/bucket/dir/photo.jpg';
my $body = join '', map { chr int rand 256 } 1 .. 100000;
my $a;

sub is_code {
    my ($a, $expected, $name) = @_;
    is "$a->{status} $a->{code}", $expected, $name;
}

is_code($s->put($p, 'x'), '404 NoSuchBucket', 'no bucket');
is_code($s->get('/bucket', query => 'list-type=2'), '404 NoSuchBucket',
    'list without a bucket');
is_code($s->put('/Bad_Bucket', ''), '400 InvalidBucketName', 'bucket name');
is_code($s->put('/bucket', ''), '200 ', 'bucket');
is_code($s->put('/bucket', ''), '409 BucketAlreadyOwnedByYou', 'once more');

$a = $s->put($p, $body, headers => {
    'content-type' => 'image/jpeg', 'cache-control' => 'max-age=60',
    'content-disposition' => 'attachment; filename="f.jpg"',
    'x-amz-meta-owner' => 'someone',
    'content-md5' => md5_base64($body) . '==' });
is_code($a, '200 ', 'put');
is $a->{h}{etag}, '"' . md5_hex($body) . '"', 'etag is the MD5';

my $etag = $a->{h}{etag};

for my $method ('GET', 'HEAD') {
    $a = $s->send($s->request($method, $p));
    is $a->{status}, 200, "$method";
    ok $a->{body} eq ($method eq 'GET' ? $body : ''), "$method: body";
    is $a->{h}{'content-length'}, 100000, "$method: length";
    is $a->{h}{'content-type'}, 'image/jpeg', "$method: type";
    is $a->{h}{'cache-control'}, 'max-age=60', "$method: cache-control";
    is $a->{h}{'content-disposition'}, 'attachment; filename="f.jpg"',
        "$method: disposition";
    is $a->{h}{'x-amz-meta-owner'}, 'someone', "$method: metadata";
    is $a->{h}{etag}, $etag, "$method: etag";
    is $a->{h}{'accept-ranges'}, 'bytes', "$method: ranges";
}

my $modified = $a->{h}{'last-modified'};

$a = $s->get($p, headers => { range => 'bytes=10-19' });
is_code($a, '206 ', 'range');
ok $a->{body} eq substr($body, 10, 10), 'range: body';
$a = $s->get($p, headers => { range => 'bytes=100000-' });
is_code($a, '416 InvalidRange', 'range behind the end');
is $a->{h}{'content-range'}, 'bytes */100000', '416 tells the length';

is_code($s->get($p, headers => { 'if-none-match' => $etag }), '304 ',
    'if-none-match');
is_code($s->get($p, headers => { 'if-modified-since' => $modified }),
    '304 ', 'if-modified-since');
is_code($s->get($p, headers => { 'if-match' => '"other"' }),
    '412 PreconditionFailed', 'if-match');
is_code($s->get($p, headers => { 'if-match' => $etag }), '200 ',
    'if-match holds');
is_code($s->get($p, headers => { 'if-unmodified-since' =>
    'Thu, 01 Jan 2015 00:00:00 GMT' }), '412 PreconditionFailed',
    'if-unmodified-since');

$a = $s->get($p, query => 'response-content-type=text%2Fplain'
    . '&response-content-disposition=inline');
is $a->{h}{'content-type'}, 'text/plain', 'response-content-type';
is $a->{h}{'content-disposition'}, 'inline', 'response-content-disposition';
is_code($s->get($p, query => 'response-content-type=a%0D%0Ab%3A%20c'),
    '400 InvalidArgument', 'no header injection');

is_code($s->put($p, 'new', headers => { 'content-md5' =>
    md5_base64('other') . '==' }), '400 BadDigest', 'content-md5');
is_code($s->put($p, 'new', headers => { 'content-md5' => 'x' }),
    '400 InvalidDigest', 'malformed content-md5');
is_code($s->put($p, 'new', headers => { 'x-amz-checksum-crc32' =>
    'AAAAAA==' }), '400 BadDigest', 'crc32');
is_code($s->put('/bucket/crc', '123456789', headers => {
    'x-amz-checksum-crc32' => 'y/Q5Jg==' }), '200 ', 'crc32 holds');
is $s->get('/bucket/crc', headers => { 'x-amz-checksum-mode' => 'ENABLED' })
    ->{h}{'x-amz-checksum-crc32'}, 'y/Q5Jg==', 'crc32 is given back';

for my $sum ([ crc32c => '4waSgw==' ], [ crc64nvme => 'rosUhgp5mIg=' ],
    [ sha1 => '98O8HYCOBHMq32eZZczDTKeuNEE=' ]) {
    my ($name, $value) = @$sum;
    my $header = "x-amz-checksum-$name";

    is_code($s->put('/bucket/crc', '123456789', headers => {
        $header => $value }), '200 ', "$name holds");
    is $s->get('/bucket/crc', headers => { 'x-amz-checksum-mode' =>
        'ENABLED' })->{h}{$header}, $value, "$name is given back";
    is_code($s->put('/bucket/crc', '123456780', headers => {
        $header => $value }), '400 BadDigest', "$name does not hold");
}

is_code($s->put($p, 'new', headers => { 'if-none-match' => '*' }),
    '412 PreconditionFailed', 'put if-none-match');
is_code($s->put($p, 'new', headers => { 'if-match' => '"other"' }),
    '412 PreconditionFailed', 'put if-match');
is_code($s->put('/bucket/none', 'new', headers => { 'if-match' => '"o"' }),
    '404 NoSuchKey', 'put if-match without an object');
ok $s->get($p)->{body} eq $body, 'refused puts changed nothing';
is_code($s->put('/bucket/once', 'new', headers => { 'if-none-match' =>
    '*' }), '200 ', 'put if-none-match holds');
is_code($s->put('/bucket/once', '2', headers => { 'if-match' =>
    '"' . md5_hex('new') . '"' }), '200 ', 'put if-match holds');

is_code($s->put($p, 'x', query => 'acl='), '501 NotImplemented', 'acl');
ok $s->get($p)->{body} eq $body, 'an unknown subresource is no object';
is_code($s->post($p, ''), '405 MethodNotAllowed', 'post');
is_code($s->send($s->request('PUT', $p, sent_headers => {
    'content-length' => 65 * 1024 * 1024 })), '400 EntityTooLarge',
    'client_max_body_size');
is_code($s->put('/bucket/' . 'k' x 1025, ''), '400 KeyTooLongError', 'key');

is_code($s->put('/bucket/copy', '', headers => { 'x-amz-copy-source' =>
    'bucket/dir/photo.jpg' }), '200 ', 'copy');
$a = $s->get('/bucket/copy');
ok $a->{body} eq $body, 'copy: body';
is $a->{h}{'x-amz-meta-owner'}, 'someone', 'copy: metadata';
is_code($s->put('/bucket/copy', '', headers => { 'x-amz-copy-source' =>
    '/bucket/dir%2Fphoto.jpg', 'x-amz-metadata-directive' => 'REPLACE',
    'content-type' => 'text/plain' }), '200 ', 'copy with other metadata');
$a = $s->get('/bucket/copy');
is $a->{h}{'content-type'}, 'text/plain', 'copy: other type';
is $a->{h}{'x-amz-meta-owner'}, undef, 'copy: metadata replaced';
is_code($s->put('/bucket/copy', '', headers => { 'x-amz-copy-source' =>
    'bucket/none' }), '404 NoSuchKey', 'copy of nothing');
is_code($s->put('/bucket/copy', '', headers => { 'x-amz-copy-source' =>
    'bucket/dir/photo.jpg', 'x-amz-copy-source-if-match' => '"x"' }),
    '412 PreconditionFailed', 'copy if-match');
is_code($s->put($p, '', headers => { 'x-amz-copy-source' =>
    'bucket/dir/photo.jpg' }), '400 InvalidRequest', 'copy to itself');

is_code($s->put('/bucket/empty', ''), '200 ', 'empty object');
$a = $s->get('/bucket/empty');
is "$a->{status} $a->{h}{'content-length'}", '200 0', 'empty object read';

is_code($s->del('/bucket'), '409 BucketNotEmpty', 'bucket not empty');

my @keys = qw(dir/photo.jpg crc once copy empty);
is_code($s->del("/bucket/$_"), '204 ', "delete $_") for @keys[0, 1];
is_code($s->del("/bucket/$keys[0]"), '204 ', 'delete is idempotent');
is_code($s->get($p), '404 NoSuchKey', 'deleted');
my $xml = '<Delete>' . join('', map { "<Object><Key>$_</Key></Object>" }
    @keys[2 .. 4]) . '</Delete>';
$a = $s->post('/bucket', $xml, query => 'delete=');
is scalar(my @n = $a->{body} =~ /<Deleted>/g), 3, 'multi-object delete';
is_code($s->post('/bucket', '<Delete><Object>', query => 'delete='),
    '400 MalformedXML', 'malformed XML');
is_code($s->del('/bucket'), '204 ', 'bucket removed');
is_code($s->head('/bucket'), '404 ', 'bucket gone');

is scalar(my @left = glob "$s->{dir}/data/.tmp/*"), 0, 'no temporary file';
is $s->complaints(), '', 'no alert';

done_testing();
