#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The streams of one HTTP/2 connection wait for each other's object, and end
# together when the connection does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Test::More;
use Time::HiRes qw(sleep time);

my $n = 100;
my $t = Cache->new;
my $conf = Cache::cached_location();

$conf =~ s/\@PORT\@;/\@PORT\@ http2;/;
$t->configure(workers => 2, http => $conf);

my $text = $t->read_file('nginx.conf');
$text =~ s/    server \{\n +listen 127\.0\.0\.1:$t->{origin};.*\z/}\n/s;
$t->write_file('nginx.conf', $text);

$t->serve($t->{origin}, sub {
    my ($client) = @_;
    my $text = '';

    while ($text !~ /\r\n\r\n/) {
        sysread $client, $text, 4096, length $text or return;
    }

    my ($name) = $text =~ m{^GET /(\w+)};
    open my $log, '>>', "$t->{dir}/logs/origin.log";
    syswrite $log, "$name\n";
    sleep 0.5;
    print $client "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n"
        . "Content-Length: 60000\r\nConnection: close\r\n\r\n" . 'x' x 60000;
});

$t->redis_start;
$t->start;

sub frame {
    my ($type, $flags, $stream, $payload) = @_;

    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}

# n requests on one connection: how many were answered, with how many bytes

sub streams {
    my ($path, $limit) = @_;
    my $socket = $t->connect;
    my $end = time() + $limit;
    my ($in, $done, $bytes) = ('', 0, 0);

    # GET, http, a path and an authority that are not indexed

    my $head = "\x82\x86\x04" . chr(length $path) . $path
        . "\x01\x09localhost";

    print $socket "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(4, 0, 0, pack 'nN', 4, 1 << 30)
        . frame(8, 0, 0, pack 'N', 1 << 30)
        . join '', map { frame(1, 5, 2 * $_ + 1, $head) } 0 .. $n - 1;
    $socket->blocking(0);

    while ($done < $n && time() < $end) {
        my $ready = '';
        vec($ready, fileno $socket, 1) = 1;
        select $ready, undef, undef, 0.02;
        my $got = sysread $socket, $in, 65536, length $in;
        last if defined $got && $got == 0;

        while (length $in >= 9) {
            my $length = unpack 'N', "\0" . substr $in, 0, 3;
            last if length $in < 9 + $length;
            my ($type, $flags) = unpack 'CC', substr $in, 3, 2;
            substr $in, 0, 9 + $length, '';
            $bytes += $length if $type == 0;
            $done++ if $type < 2 && $flags & 1;
        }
    }

    close $socket;
    return "$done $bytes";
}

for my $round (1 .. 3) {
    is streams("/media/all$round", 5), "$n " . 60000 * $n,
        'all streams are answered';
    is $t->origin_requests(qr/all$round/), 1, 'by one request to S3';

    is streams("/media/cut$round", 0.2), '0 0', 'the connection is cut';
    is streams("/media/cut$round", 5), "$n " . 60000 * $n,
        'those of the next one are answered';
}

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
