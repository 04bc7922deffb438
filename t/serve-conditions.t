#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Conditional and range requests are answered as RFC 9110, sections 13 and 14,
# have it, by Redis, slices on a disk and S3 alike, whatever S3 makes of them;
# what ends without a body does not read one from Redis.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Serve;
use Test::More;

my $body = join '', map { chr(33 + $_ % 90) } 1 .. 3000;
my $etag = '"abc"';
my $date = 'Sun, 01 Jan 2023 00:00:00 GMT';
my $before = 'Sat, 31 Dec 2022 23:59:59 GMT';
my $after = 'Mon, 02 Jan 2023 00:00:00 GMT';

my $t = Serve->new(
    tagged => { body => $body, headers => [ 'Content-Type: image/png',
        "ETag: $etag", "Last-Modified: $date" ] },
    weak => { body => $body, headers => [ 'Content-Type: image/png',
        "ETag: W/$etag", "Last-Modified: $date" ] },
    bare => { body => $body, headers => [ 'Content-Type: image/png' ] });

$t->run;

# object, headers of the request, status; for 206 the first and last byte

my @cases = (

    # If-None-Match
    [ 'tagged', "If-None-Match: $etag", 304 ],
    [ 'tagged', "If-None-Match: W/$etag", 304 ],
    [ 'tagged', 'If-None-Match: "x"', 200 ],
    [ 'tagged', 'If-None-Match: *', 304 ],
    [ 'tagged', "If-None-Match: \"x\", $etag", 304 ],
    [ 'tagged', "If-None-Match: \"x\",,W/$etag ,\"y\"", 304 ],
    [ 'tagged', 'If-None-Match: "x, \"abc\""', 200 ],
    [ 'tagged', 'If-None-Match: "x, "abc"', 200 ],
    [ 'tagged', 'If-None-Match: "a", "abcd", "ab"', 200 ],
    [ 'tagged', 'If-None-Match: abc', 200 ],
    [ 'tagged', 'If-None-Match: "abc', 200 ],
    [ 'tagged', 'If-None-Match: W/', 200 ],
    [ 'weak', "If-None-Match: $etag", 304 ],
    [ 'weak', "If-None-Match: W/$etag", 304 ],
    [ 'bare', "If-None-Match: $etag", 200 ],
    [ 'bare', 'If-None-Match: *', 304 ],

    # If-Modified-Since
    [ 'tagged', "If-Modified-Since: $date", 304 ],
    [ 'tagged', "If-Modified-Since: $after", 304 ],
    [ 'tagged', "If-Modified-Since: $before", 200 ],
    [ 'tagged', 'If-Modified-Since: yesterday', 200 ],
    [ 'tagged', 'If-Modified-Since: Sunday, 01-Jan-23 00:00:00 GMT', 304 ],
    [ 'bare', "If-Modified-Since: $after", 200 ],

    # If-None-Match before If-Modified-Since
    [ 'tagged', "If-None-Match: $etag", "If-Modified-Since: $before", 304 ],
    [ 'tagged', 'If-None-Match: "x"', "If-Modified-Since: $date", 200 ],
    [ 'tagged', "If-None-Match: $etag", 'If-Modified-Since: x', 304 ],

    # If-Match
    [ 'tagged', "If-Match: $etag", 200 ],
    [ 'tagged', "If-Match: \"x\", $etag", 200 ],
    [ 'tagged', 'If-Match: *', 200 ],
    [ 'tagged', 'If-Match: "x"', 412 ],
    [ 'tagged', "If-Match: W/$etag", 412 ],
    [ 'weak', "If-Match: $etag", 412 ],
    [ 'weak', "If-Match: W/$etag", 412 ],
    [ 'weak', 'If-Match: *', 200 ],
    [ 'bare', "If-Match: $etag", 412 ],
    [ 'bare', 'If-Match: *', 200 ],

    # If-Unmodified-Since
    [ 'tagged', "If-Unmodified-Since: $date", 200 ],
    [ 'tagged', "If-Unmodified-Since: $after", 200 ],
    [ 'tagged', "If-Unmodified-Since: $before", 412 ],
    [ 'tagged', 'If-Unmodified-Since: x', 200 ],
    [ 'bare', "If-Unmodified-Since: $before", 200 ],

    # the order of all
    [ 'tagged', "If-Match: $etag", "If-Unmodified-Since: $before", 200 ],
    [ 'tagged', 'If-Match: "x"', "If-Unmodified-Since: $after", 412 ],
    [ 'tagged', 'If-Match: "x"', "If-None-Match: $etag", 412 ],
    [ 'tagged', "If-Match: $etag", "If-None-Match: $etag", 304 ],
    [ 'tagged', "If-Unmodified-Since: $before", "If-None-Match: $etag",
        412 ],
    [ 'tagged', "If-Unmodified-Since: $date", "If-Modified-Since: $date",
        304 ],

    # ranges
    [ 'tagged', 'Range: bytes=0-0', 206, 0, 0 ],
    [ 'tagged', 'Range: bytes=1000-1999', 206, 1000, 1999 ],
    [ 'tagged', 'Range: bytes=2500-', 206, 2500, 2999 ],
    [ 'tagged', 'Range: bytes=-100', 206, 2900, 2999 ],
    [ 'tagged', 'Range: bytes=-5000', 206, 0, 2999 ],
    [ 'tagged', 'Range: bytes=2990-5000', 206, 2990, 2999 ],
    [ 'tagged', 'Range: BYTES=5-6', 206, 5, 6 ],
    [ 'tagged', 'Range: bytes 0-1', 200 ],
    [ 'tagged', 'Range: bytes=', 200 ],
    [ 'tagged', 'Range: pages=1-2', 200 ],
    [ 'tagged', 'Range: bytes=0-2000,500-2999', 200 ],
    [ 'tagged', 'Range: bytes=5-4', 416 ],
    [ 'tagged', 'Range: bytes=x', 416 ],
    [ 'tagged', 'Range: bytes=' . join(',', map { "$_-$_" } 1 .. 33), 200 ],

    # If-Range
    [ 'tagged', 'Range: bytes=5-9', "If-Range: $etag", 206, 5, 9 ],
    [ 'tagged', 'Range: bytes=5-9', "If-Range: $date", 206, 5, 9 ],
    [ 'tagged', 'Range: bytes=5-9', 'If-Range: "x"', 200 ],
    [ 'tagged', 'Range: bytes=5-9', "If-Range: W/$etag", 200 ],
    [ 'tagged', 'Range: bytes=5-9', "If-Range: $after", 200 ],
    [ 'tagged', 'Range: bytes=5-9', "If-Range: $before", 200 ],
    [ 'tagged', 'Range: bytes=5-9', 'If-Range: x', 200 ],
    [ 'weak', 'Range: bytes=5-9', "If-Range: W/$etag", 200 ],
    [ 'weak', 'Range: bytes=5-9', "If-Range: $etag", 200 ],
    [ 'bare', 'Range: bytes=5-9', "If-Range: $etag", 200 ],
    [ 'bare', 'Range: bytes=5-9', "If-Range: $date", 200 ],
    [ 'tagged', "If-Range: $etag", 200 ],

    # conditions come before ranges
    [ 'tagged', 'Range: bytes=5-9', "If-None-Match: $etag", 304 ],
    [ 'tagged', 'Range: bytes=5-9', 'If-None-Match: "x"', 206, 5, 9 ],
    [ 'tagged', 'Range: bytes=5-9', 'If-Match: "x"', 412 ],
    [ 'tagged', 'Range: bytes=5-9', "If-Match: $etag",
        "If-Range: $etag", 206, 5, 9 ],
    [ 'tagged', 'Range: bytes=9999-', 'If-None-Match: "abc"', 304 ],
    [ 'tagged', 'Range: bytes=9999-', 'If-Match: "x"', 412 ],
);

$t->ask('GET', "/media/$_"), $t->wait_entry($_) for qw(tagged weak bare);

for my $location (qw(media disk plain)) {
    for my $case (@cases) {
        my ($object, @rest) = @$case;
        my @headers = grep { /:/ } @rest;
        my ($status, $first, $last) = grep { !/:/ } @rest;

        # there ranges are up to S3
        next if $location eq 'plain' && $case->[1] =~ /^Range/
            && $status =~ /^(?:2|416)/;

        my $r = $t->ask('GET', "/$location/$object", @headers);
        my $what = substr "$location, $object, " . join('; ', @headers),
            0, 100;

        is $r->{status}, $status, $what;
        next if $r->{status} != $status;

        ok $r->{body} eq $body, "whole, $what" if $status == 200;
        is $r->{body}, '', "empty, $what" if $status == 304;
        like $r->{body}, qr/precondition_failed/, "says so, $what"
            if $status == 412;
        ok $r->{body} eq substr($body, $first, $last - $first + 1)
            && $r->{headers}{'content-range'} eq "bytes $first-$last/3000",
            "bytes, $what" if $status == 206;
    }
}

# HEAD: the same, without bodies, and Range is none of its business

for my $location (qw(media disk plain)) {
    for my $case ([ 200, 'Range: bytes=5-9' ],
        [ 200, 'Range: bytes=5-9', 'If-Range: "x"' ],
        [ 200, 'Range: bytes=9999-' ], [ 304, "If-None-Match: $etag" ],
        [ 412, 'If-Match: "x"' ], [ 304, "If-Modified-Since: $after" ])
    {
        my ($status, @headers) = @$case;
        my $r = $t->ask('HEAD', "/$location/tagged", @headers);

        is $r->{status}, $status, "HEAD, $location, @headers";
        is $r->{headers}{'content-length'}, 3000, 'length'
            if $status == 200;
        is $r->{headers}{'content-range'}, undef, 'no Content-Range';
    }
}

# beyond the end

for my $location (qw(media)) {
    for my $range ('bytes=3000-', 'bytes=-0',
        'bytes=99999999999999999999-')
    {
        my $r = $t->ask('GET', "/$location/tagged", "Range: $range");
        is $r->{status}, 416, "$location, $range";
        is $r->{headers}{'content-range'}, 'bytes */3000', 'the length';
        like $r->{body}, qr/"range_not_satisfiable"/, 'as JSON';
        is $r->{headers}{'etag'}, undef, 'of no object';
    }
}

# not even a condition that fails reads more than the head of an entry

$t->redis('CONFIG', 'RESETSTAT');
$t->ask('GET', '/media/tagged', $_)
    for "If-None-Match: W/$etag", 'If-None-Match: *',
    "If-Modified-Since: $after";
$t->ask('HEAD', '/media/tagged');
my $commands = $t->redis('INFO', 'commandstats');
like $commands, qr/cmdstat_getrange:calls=4,/, 'heads of the entry';
unlike $commands, qr/cmdstat_get:/, 'and nothing else';

is $t->alarms, '', 'nothing alarming was logged';

done_testing;
