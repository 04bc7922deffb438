#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The habits of players that are older than RFC 9110, in each tier of the
# shipped configuration: "bytes=0-" as the first request of all, Safari's
# probe for "bytes=0-1", which without a 206 plays nothing at all, and the
# same from HTTP/1.0.

use strict;
use warnings;

use lib 't/lib';

use Mp4;
use Shipped;
use Test::More;
use Time::HiRes qw(sleep);

my $t = Shipped->new;
my %object = ('chat/acme/voice.ogg' => Mp4::filler(70001, 1),
    'chat/acme/film.mp4' => Mp4::filler(3 * 1048576 + 5, 2));
my %type = (ogg => 'audio/ogg; codecs=opus', mp4 => 'video/mp4');

$t->put($_, $object{$_}, $type{substr $_, -3}) for keys %object;
$t->redis_start;
$t->configure;
$t->start;

# name, range, first and last byte (from the end if negative), more headers

my @probes = (
    ['the first request of Chromium', 'bytes=0-', 0, -1,
        'Accept-Encoding' => 'identity;q=1, *;q=0',
        'Sec-Fetch-Dest' => 'video', Referer => 'http://app.example.com/'],
    ['the probe of Safari', 'bytes=0-1', 0, 1,
        'Accept-Encoding' => 'identity', Icy => 1,
        'X-Playback-Session-Id' => 'D5F0A2C4-8C1B-4A8E-9C3F-1F2E3D4C5B6A'],
    ['the second of Safari', 'bytes=0-%d', 0, -1,
        'Accept-Encoding' => 'identity'],
    ['the end of an MP4 by QuickTime', 'bytes=%d-%d', -4096, -1],
    ['stagefright of Android, again', 'bytes=65536-', 65536, -1,
        'User-Agent' => 'stagefright/1.2 (Linux;Android 4.4.2)'],
    ['Windows Media, beyond the end', 'bytes=0-99999999', 0, -1],
    ['the tail by suffix', 'bytes=-8', -8, -1],
);

$t->in_tiers(\%object, sub {
    my ($tier) = @_;

    for my $key (sort keys %object) {
        probe($tier, $key, $object{$key}, @$_) for @probes;
        old_http($tier, $key, $object{$key});
    }

    is scalar $t->s3_requests(qr/./), 0, "$tier: no request to S3"
        if $tier ne 's3';
});

is $t->alarms, '', 'no alert';
ok $t->stop, 'nginx ends';
done_testing();


sub probe {
    my ($tier, $key, $body, $name, $range, $from, $to, @headers) = @_;
    my $size = length $body;
    my $what = "$tier: $key: $name";

    $from += $size if $from < 0;
    $to += $size if $to < 0;
    $range = sprintf $range, $range =~ /%d-%d/ ? ($from, $to) : $to
        if $range =~ /%/;

    $t->flush if $tier eq 's3';

    my $r = $t->get("/media/$key", Range => $range, @headers);
    my $h = $r->{headers};

    is $r->{status}, 206, "$what: 206";
    is $h->{'content-range'}, "bytes $from-$to/$size", "$what: Content-Range";
    is $h->{'content-length'}, $to - $from + 1, "$what: Content-Length";
    is $h->{'content-type'}, $type{substr $key, -3}, "$what: Content-Type";
    is $h->{'x-cache'}, $tier eq 's3' ? 'MISS' : 'HIT', "$what: X-Cache";
    is(($t->requests(1))[-1]{tier},
        $tier eq 'redis' && $size > 1048576 ? 'disk' : $tier, "$what: tier");
    ok $r->{body} eq substr($body, $from, $to - $from + 1), "$what: bytes";

    # where the end is, the first slice tells

    slices($what, ($range =~ /=-/ && $from >= 1048576 ? 0 : ()),
        int($from / 1048576) .. int($to / 1048576)) if $tier eq 's3';
}


# S3 was asked for the slices of the range, each once, and for no more

sub slices {
    my ($what, @slices) = @_;
    my @wanted = map { sprintf '206 "bytes=%d-%d"', $_ * 1048576,
        ($_ + 1) * 1048576 - 1 } @slices;
    my @got;

    for (1 .. 50) {
        push @got, map { / (\d+ "bytes=.*") / } $t->s3_requests(qr/^GET/);
        last if @got >= @wanted;
        sleep 0.02;
    }

    is join(', ', sort @got), join(', ', sort @wanted), "$what: slices";
}


# what HTTP/1.0 does not know must not come: chunks, and a body without length

sub old_http {
    my ($tier, $key, $body) = @_;
    my $socket = $t->connect;
    my $text = '';

    $t->flush if $tier eq 's3';

    print $socket "GET /media/$key HTTP/1.0\r\nRange: bytes=10-\r\n\r\n";
    while (sysread $socket, $text, 65536, length $text) { }

    my ($head, $rest) = split /\r\n\r\n/, $text, 2;

    like $head, qr{^HTTP/1\.1 206 }, "$tier: $key: HTTP/1.0: 206";
    unlike $head, qr/chunked/i, "$tier: $key: HTTP/1.0: not chunked";
    ok $rest eq substr($body, 10), "$tier: $key: HTTP/1.0: bytes";

    slices("$tier: $key: HTTP/1.0", 0 .. int length($body) / 1048576)
        if $tier eq 's3';
}
