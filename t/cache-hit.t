#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The first request is passed to the origin and stored, the second is
# answered by Redis with the same bytes and headers; ranges, conditions and
# HEAD are answered from the entry.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Digest::SHA qw(sha256_hex);
use Test::More;

my $t = Cache->new;
$t->configure(http => <<'EOT' . Cache::cached_location());
    media_cache_ttl video 90;
    media_cache_ttl profile_pic 0;
EOT

my $photo = join '', map { chr($_ * 7 % 256) } 1 .. 30000;
my $large = 'x' x (1024 * 1024);

$t->write_file('origin/chat/1/2/photo.jpg', $photo);
$t->write_file('origin/empty.txt', '');
$t->write_file('origin/one.bin', 'A');
$t->write_file('origin/limit.mp4', $large);
$t->write_file('origin/large.mp4', "$large-");
$t->write_file('origin/sound.ogg', 'sound');
$t->write_file('origin/paper.pdf', 'paper');
$t->write_file('origin/profile_pics/1/5511.jpg', 'me');
$t->redis_start;
$t->start;

my $uri = '/media/chat/1/2/photo.jpg';
my $miss = $t->get($uri);

is $miss->{status}, 200, 'first request';
is $miss->{headers}{'x-cache'}, 'MISS', 'is a miss';
is $miss->{body}, $photo, 'with the body';
ok $t->wait_stored(1), 'the response is stored';

my $hit = $t->get($uri);

is $hit->{status}, 200, 'second request';
is $hit->{headers}{'x-cache'}, 'HIT', 'is a hit';
ok $hit->{body} eq $photo, 'with the same body';
is $t->origin_requests(qr/photo/), 1, 'the origin was asked once';

for my $name (qw(content-type content-length etag last-modified
    accept-ranges))
{
    is $hit->{headers}{$name}, $miss->{headers}{$name}, "same $name";
}

my $key = 'media:' . sha256_hex('chat/1/2/photo.jpg');
my $entry = $t->redis('GET', $key);

is length $entry, 512 + length $photo, 'head and body are in Redis';
is substr($entry, 0, 4), 'NMC2', 'with the magic';
ok substr($entry, 512) eq $photo, 'and the body as it is';

# ranges

my $range = $t->get($uri, Range => 'bytes=100-199');
is $range->{status}, 206, 'a range of a hit';
ok $range->{body} eq substr($photo, 100, 100), 'has the bytes';
is $range->{headers}{'content-range'}, 'bytes 100-199/30000', 'and says so';
is $range->{headers}{'x-cache'}, 'HIT', 'from the cache';

$range = $t->get($uri, Range => 'bytes=-5');
ok $range->{body} eq substr($photo, -5), 'the last bytes';

$range = $t->get($uri, Range => 'bytes=0-1,10-11');
is $range->{status}, 206, 'several ranges';
like $range->{headers}{'content-type'}, qr{^multipart/byteranges},
    'in several parts';

$range = $t->get($uri, Range => 'bytes=30000-');
is $range->{status}, 416, 'a range beyond the end';
is $range->{headers}{'content-range'}, 'bytes */30000', 'tells the length';

my $etag = $hit->{headers}{etag};

$range = $t->get($uri, Range => 'bytes=0-9', 'If-Range' => $etag);
is $range->{status}, 206, 'If-Range with the tag';
$range = $t->get($uri, Range => 'bytes=0-9', 'If-Range' => '"other"');
is $range->{status}, 200, 'If-Range with another tag';
is length $range->{body}, length $photo, 'has the whole body';

# conditions

my $date = $hit->{headers}{'last-modified'};
my $later = 'Wed, 01 Jan 2025 00:00:00 GMT';

is $t->outcome($uri, 'If-None-Match' => $etag), '304 HIT', 'same tag';
is $t->outcome($uri, 'If-None-Match' => "W/$etag"), '304 HIT', 'weak tag';
is $t->outcome($uri, 'If-None-Match' => "\"a\", $etag"), '304 HIT',
    'tag in a list';
is $t->outcome($uri, 'If-None-Match' => '*'), '304 HIT', 'any tag';
is $t->outcome($uri, 'If-None-Match' => '"other"'), '200 HIT', 'other tag';
is length $t->get($uri, 'If-None-Match' => '"other"')->{body}, 30000,
    'other tag, whole body';
is $t->outcome($uri, 'If-None-Match' => $etag, 'If-Modified-Since' => $date),
    '304 HIT', 'same tag and date';
is $t->outcome($uri, 'If-None-Match' => $etag,
    'If-Modified-Since' => $later), '304 HIT', 'same tag, other date';
is $t->outcome($uri, 'If-Modified-Since' => $date), '304 HIT', 'same date';
is $t->outcome($uri, 'If-Match' => '"other"'), '412 HIT', 'failed If-Match';
is $t->outcome($uri, 'If-Match' => '"other"', 'If-None-Match' => $etag),
    '412 HIT', 'failed If-Match comes first';

# HEAD

my $head = $t->request('HEAD', $uri);
is $head->{status}, 200, 'HEAD of a hit';
is $head->{headers}{'x-cache'}, 'HIT', 'is a hit';
is $head->{headers}{'content-length'}, 30000, 'with the length';
is $head->{body}, '', 'without a body';
is $t->origin_requests(qr/photo/), 1, 'the origin was still asked once';

# what Redis sends for them is the head of the entry

sub calls {
    my ($command) = @_;
    my ($n) = $t->redis('INFO', 'commandstats')
        =~ /^cmdstat_$command:calls=(\d+)/m;
    return $n || 0;
}

my $long = join(', ', map { "\"$_\"" } 1 .. 50) . ", W/$etag";

for my $case ([ 'HEAD', 200 ], [ 'GET', 304, 'If-None-Match' => $etag ],
    [ 'GET', 304, 'If-None-Match' => "W/$etag" ],
    [ 'GET', 304, 'If-None-Match' => $long ],
    [ 'GET', 304, 'If-None-Match' => "\"a,b\" ,$etag\t, \"c\"" ],
    [ 'GET', 304, 'If-None-Match' => '*' ],
    [ 'GET', 304, 'If-Modified-Since' => $date ],
    [ 'GET', 304, 'If-None-Match' => $etag, 'If-Modified-Since' => $date ],
    [ 'GET', 304, 'If-None-Match' => $etag, Range => 'bytes=0-9' ],
    [ 'HEAD', 304, 'If-None-Match' => $etag ])
{
    my ($method, $status, @headers) = @$case;

    $t->redis('CONFIG', 'RESETSTAT');
    my $response = $t->request($method, $uri, @headers);
    my $name = "$method @headers";

    is "$response->{status} $response->{headers}{'x-cache'}",
        "$status HIT", "$name is $status";
    is calls('getrange') . '/' . calls('get'), '1/0',
        "$name reads the head only";
}

for my $case ([ 200, 'If-None-Match' => '"other"' ],
    [ 200, 'If-None-Match' => "$etag-" ],
    [ 200, 'If-None-Match' => "\"x$etag" ],
    [ 200, 'If-Modified-Since' => 'Sat, 01 Jan 2000 00:00:00 GMT' ],
    [ 200, 'If-Modified-Since' => 'yesterday' ])
{
    my ($status, @headers) = @$case;
    my $response = $t->get($uri, @headers);

    is $response->{status}, $status, "@headers is $status";
    ok $response->{body} eq $photo, "@headers: the whole body";
}

# HEAD and ranges of what is not stored pass, and store nothing

is $t->request('HEAD', '/media/sound.ogg')->{headers}{'x-cache'}, 'MISS',
    'HEAD of a miss';
is $t->outcome('/media/sound.ogg', Range => 'bytes=0-1'), '206 MISS',
    'range of a miss';
is $t->origin_requests(qr{^GET /sound.ogg 206 "bytes=0-1"}), 1,
    'passes to the origin';
is $t->redis('DBSIZE'), 1, 'and is not stored';

# sizes

my $n = 1;

for my $name (qw(empty.txt one.bin limit.mp4)) {
    is $t->outcome("/media/$name"), '200 MISS', "$name first";
    ok $t->wait_stored(++$n), "$name is stored";
    my $second = $t->get("/media/$name");
    is $second->{headers}{'x-cache'}, 'HIT', "$name then";
    ok $second->{body} eq $t->read_file("origin/$name"), "$name is the same";
}

is $t->outcome('/media/large.mp4'), '200 MISS', 'a large object';
is $t->outcome('/media/large.mp4'), '200 MISS', 'is not stored';
is $t->redis('DBSIZE'), $n, 'not under another key either';

# times

for my $case ([ 'limit.mp4', 90 ], [ 'chat/1/2/photo.jpg', 604800 ],
    [ 'sound.ogg', 259200 ], [ 'paper.pdf', 86400 ],
    [ 'profile_pics/1/5511.jpg', -1 ])
{
    my ($name, $expected) = @$case;

    $t->get("/media/$name");
    my $ttl;
    for (1 .. 50) {
        $ttl = $t->redis('TTL', 'media:' . sha256_hex($name));
        last if $ttl != -2;
        select undef, undef, undef, 0.02;
    }
    ok $ttl <= $expected && $ttl >= $expected - 10, "$name lives $expected";
}

# other methods and errors

is $t->outcome('/media/absent.jpg'), '404 MISS', 'an absent object';
is $t->outcome('/media/absent.jpg'), '404 MISS', 'is not stored';
is $t->request('POST', $uri)->{headers}{'x-cache'}, undef,
    'other methods are none of ours';

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
