#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# What S3 is asked for: of a large object the slices that a range touches, of
# a small one the whole, once; of what is held nothing.  When it fails in the
# middle of a response, the client has no wrong byte.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fault;
use Test::More;

my $mb = 1024 * 1024;
my $t = Fault->new();
my $serial = 0;

$t->up();

# the slices of a range of a large object

for my $case (
    [ 'bytes=0-0', 0 ], [ 'bytes=100-1048575', 0 ],
    [ 'bytes=1048576-1048576', 1 ], [ 'bytes=1048575-1048576', 0, 1 ],
    [ 'bytes=2500000-2500099', 2 ], [ 'bytes=2097152-4194303', 2, 3 ],
    [ 'bytes=4500000-', 4 ], [ 'bytes=-1', 0, 4 ],
    [ 'bytes=-2000000', 0, 2, 3, 4 ])
{
    my ($range, @slices) = @$case;
    my ($uri, $body) = object(4.5 * $mb);
    my $r = $t->get($uri, Range => $range);

    is($r->{status}, 206, "$range of a large object");
    is_deeply([ranges()], [map { slice($_) } @slices], 'reads its slices');

    $r = $t->get($uri, Range => $range);
    is("$r->{status} $r->{headers}{'x-cache'}", '206 HIT', 'the next time');
    is_deeply([ranges()], [], 'reads nothing');
}

my ($large, $bytes) = object(4.5 * $mb);

$t->get($large, Range => 'bytes=1048576-2097151');
$t->get($large, Range => 'bytes=3145728-3145728');
ranges();
ok($t->get($large)->{body} eq $bytes, 'a large object, of which some is held');
is_deeply([ranges()], [map { slice($_) } 0, 2, 4], 'reads what is not');
ok($t->get($large)->{body} eq $bytes, 'all of it');
is($t->request('HEAD', $large)->{status}, 200, 'HEAD');
is_deeply([ranges()], [], 'reads nothing');

# a small one is read whole, whatever is asked of it

for my $case ([ 'a range', 'GET', Range => 'bytes=10-19' ],
    [ 'the last bytes', 'GET', Range => 'bytes=-5' ],
    [ 'several ranges', 'GET', Range => 'bytes=0-9,20-29,-1' ],
    [ 'HEAD', 'HEAD' ], [ 'the whole', 'GET' ])
{
    my ($name, $method, @headers) = @$case;
    my ($uri, $body) = object(30000);

    like($t->request($method, $uri, @headers)->{status}, qr/^20[06]$/,
        "$name of a small object");
    is_deeply([ranges()], [slice(0)], 'reads it');

    my $tag = $t->get($uri)->{headers}{etag};

    ok($t->get($uri)->{body} eq $body, 'then the whole');
    is($t->get($uri, Range => 'bytes=0-9')->{status}, 206, 'a range');
    is($t->get($uri, Range => 'bytes=0-1,4-5')->{status}, 206, 'ranges');
    is($t->request('HEAD', $uri)->{status}, 200, 'HEAD');
    is($t->get($uri, 'If-None-Match' => $tag)->{status}, 304,
        'a condition');
    is_deeply([ranges()], [], 'read nothing');
}

# what is beyond the end, and the empty object, is asked for plainly

($large, $bytes) = object(2 * $mb);

my $r = $t->get($large, Range => 'bytes=5000000-');

is($r->{status}, 416, 'a range beyond the end');
is($r->{headers}{'content-range'}, 'bytes */2097152', 'knows the end');
is_deeply([ranges()], [slice(4), '-'], 'asks for the slice, then plainly');

my ($empty) = object(0);

is($t->get($empty, Range => 'bytes=0-')->{status}, 200, 'an empty object');
is_deeply([ranges()], [slice(0), '-'], 'is asked for likewise');

# several ranges of a large object

($large, $bytes) = object(3 * $mb);
$t->get($large, Range => 'bytes=0-0');
ranges();

my $parts = 'bytes=0-9,1048570-1048580,-7';

$r = $t->get($large, Range => $parts);
is($r->{status}, 206, 'several ranges of a large object');
is_deeply([ranges()], ['bytes=0-9', 'bytes=1048570-1048580',
    'bytes=3145721-3145727'], 'read just these');
is($t->request('HEAD', $large, Range => $parts)->{body}, '', 'HEAD');
is_deeply([ranges()], [], 'reads none');

my $http10 = raw("GET $large HTTP/1.0\r\nRange: $parts\r\n\r\n");

like($http10, qr{^HTTP/1\.1 206 .*\r\n--\w+--\r\n$}s, 'HTTP/1.0');
is(length +($http10 =~ /\r\n\r\n(.*)/s)[0],
    $r->{headers}{'content-length'}, 'has the same length');
ranges();

# the rest of the connection is not disturbed

my $twice = raw("GET $large HTTP/1.1\r\nHost: a\r\nRange: $parts\r\n\r\n"
    . "GET $large HTTP/1.1\r\nHost: a\r\nRange: bytes=-3\r\n"
    . "Connection: close\r\n\r\n");

is(() = $twice =~ m{HTTP/1\.1 206 }g, 2, 'a second request on the connection');
is(substr($twice, -3), substr($bytes, -3), 'has its bytes');
ranges();

# S3 fails in the middle: what came is right, and the response is short

my @faults = (
    [ 'truncate', after => 5 ], [ 'close' ], [ 'refuse' ], [ 'garbage' ],
    [ 'status', status => 503, code => 'SlowDown' ],
    [ 'status', status => 404, code => 'NoSuchKey' ],
    [ 'status', status => 412, code => 'PreconditionFailed' ],
    [ 'status', status => 200, code => 'Whole' ],
    [ 'length', by => -3 ], [ 'length', by => 3 ], [ 'range', by => 1 ],
    [ 'total', by => 1 ]);

for my $fault (@faults) {
    my ($mode, %o) = @$fault;
    my $name = join ' ', $mode, grep { defined } @o{qw(status by)};

    ($large, $bytes) = object(3 * $mb);
    $t->s3_fault($mode, %o, match => 'bytes=1048576-');

    my $text = raw("GET $large HTTP/1.0\r\n\r\n");
    my ($head, $body) = split /\r\n\r\n/, $text, 2;

    like($head, qr/Content-Length: 3145728/, "$name in the second slice");
    cmp_ok(length $body, '<', 3 * $mb, 'the response is short')
        if $mode ne 'total';
    is($body, substr($bytes, 0, length $body), 'and right as far as it goes');

    $t->s3_fault($mode, %o, match => 'bytes=20-29');
    $text = raw("GET $large HTTP/1.0\r\nRange: bytes=0-9,20-29,40-49\r\n\r\n");

    my $part = substr $bytes, 20, 10;

    unlike($text, qr/\Q$part\E|--\w+--/, "$name in the second range");
    unlike($text, qr{bytes 40-49/}, 'there is no third');

    $t->s3_fault('ok');

    # an absent slice is remembered, for a few seconds

    ok($t->get($large)->{body} eq $bytes, 'then all is well')
        if ($o{status} // 0) != 404;
}

# a slice of another version

($large, $bytes) = object(3 * $mb);
$t->get($large, Range => 'bytes=0-9');
$t->write_file('objects/' . Digest::SHA::sha256_hex($large =~ s{^/media/}{}r),
    'y' x (3 * $mb));

my $text = raw("GET $large HTTP/1.0\r\n\r\n");

is(substr($text, -$mb), substr($bytes, 0, $mb), 'another version of the '
    . 'second slice is not sent');
unlike(raw("GET $large HTTP/1.0\r\nRange: bytes=0-9,20-29\r\n\r\n"), qr/yy/,
    'nor of a range');

ok($t->stop(), 'worker processes ended');
is($t->alarms(), '', 'nothing alarming was logged');

done_testing();


# a new object of a size: its URI and bytes

sub object {
    my ($size) = @_;
    my $uri = $t->object('chat/1/slices/' . ++$serial . '.mp4', int $size);

    $t->s3_forget();
    return ($uri, $t->{objects}{$uri});
}


sub slice {
    my ($i) = @_;

    return 'bytes=' . $i * $mb . '-' . (($i + 1) * $mb - 1);
}


# the ranges that S3 was asked for since the last call, "-" for none

sub ranges {
    my @ranges = map { (split / /)[2] } $t->s3_log(qr/^[A-Z]+ /);

    $t->s3_forget();
    return @ranges;
}


sub raw {
    my ($request) = @_;
    my $socket = $t->connect() or die "connect\n";
    my $text = '';

    print $socket $request;
    while (sysread $socket, $text, 65536, length $text) { }
    return $text;
}
