#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The shipped configuration with media_auth.conf: large and small objects,
# ranges and what is beyond the end, with a token or a signed URL, and nothing
# of it of another tenant.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Shipped;
use Test::More;

my $t = Shipped->new;
my $large = 'chat/acme/c1/0011aabb_film.mp4';
my $small = 'chat/acme/c1/0011aabb_photo.jpg';
my $empty = 'chat/acme/c1/0011aabb_empty.txt';
my %bytes = ($small => 'a photo', $empty => '',
    $large => join '', map { pack 'N', $_ } 1 .. 600000);

for my $key (sort keys %bytes) {
    $t->put($key, $bytes{$key}, 'application/octet-stream');
    $t->put($key =~ s/acme/globex/r, $bytes{$key},
        'application/octet-stream');
}

$t->configure(authorised => 1);
$t->redis_start;
$t->start;

my @token = (Authorization => 'Bearer ' . $t->token('acme'));

for my $key (sort keys %bytes) {
    my $length = length $bytes{$key};

    for my $way ([ 'a token', "/media/$key", @token ],
        [ 'a signed URL', $t->signed($key, 60) ],
        [ 'the compatible endpoint', '/api/media/proxy/?url='
            . Store::encode("http://127.0.0.1:$t->{port}/media/$key"),
            @token ])
    {
        my ($name, $uri, @headers) = @$way;
        my $r = $t->get($uri, @headers);

        is $r->{status}, 200, "$key by $name";
        ok $r->{body} eq $bytes{$key}, "$key by $name: bytes";

        $r = $t->get($uri, @headers, Range => 'bytes=1-3');
        is $r->{status}, $length ? 206 : 416, "$key by $name: range";
        is $r->{body}, substr($bytes{$key}, 1, 3), "$key by $name: bytes"
            if $length;

        $r = $t->get($uri, @headers, Range => 'bytes=9999999-');
        is $r->{status}, 416, "$key by $name: beyond the end";
        is $r->{headers}{'content-range'}, "bytes */$length",
            "$key by $name: Content-Range";
    }

    my $foreign = $key =~ s/acme/globex/r;

    for my $range ('bytes=0-', 'bytes=1-3', 'bytes=9999999-',
        'bytes=0-1,3-4', 'x')
    {
        my @range = $range eq 'x' ? () : (Range => $range);
        my @answers = map {
            my $r = $t->get("/media/$_", @token, @range);
            delete $r->{headers}{date};
            $r;
        } "${key}x", $foreign;

        is $answers[0]{status}, 404, "absent, $range";
        is_deeply $answers[1], $answers[0], "of another tenant, $range";
    }

    is $t->get("/media/$key")->{status}, 401, "$key by nobody";
    is $t->get($t->signed($key, -1))->{status}, 403, "$key, expired";
}

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
