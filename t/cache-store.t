#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Which responses are stored, with which headers, and within which memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Test::More;
use Time::HiRes qw(sleep);

my $t = Cache->new;
my $conf = <<'EOT' . Cache::cached_location();
    media_cache_buffers 80k;
    media_cache_max_size 40k;
EOT

$t->configure(http => $conf);

my $text = $t->read_file('nginx.conf');
$text =~ s/    server \{\n        listen 127\.0\.0\.1:$t->{origin};.*\z/}\n/s;
$t->write_file('nginx.conf', $text);

my %responses = (
    plain => "Content-Length: 4\r\n\r\nbody",
    headers => "Content-Length: 4\r\nContent-Type: text/plain; charset=utf-8"
        . "\r\nETag: W/\"weak\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 "
        . "GMT\r\nContent-Disposition: attachment; filename=\"a.txt\""
        . "\r\nCache-Control: max-age=60\r\n\r\nbody",
    private => "Content-Length: 4\r\nCache-Control: Private\r\n\r\nbody",
    'no-store' => "Content-Length: 4\r\nCache-Control: max-age=9, no-store"
        . "\r\n\r\nbody",
    vary => "Content-Length: 4\r\nVary: *\r\n\r\nbody",
    encoded => "Content-Length: 4\r\nContent-Encoding: br\r\n\r\nbody",
    chunked => "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    unknown => "\r\nbody",
    short => "Content-Length: 9\r\n\r\nbody",
    'long-type' => "Content-Length: 4\r\nContent-Type: text/"
        . 'x' x 600 . "\r\n\r\nbody",
    'redirect' => undef,
);

$t->serve($t->{origin}, sub {
    my ($client) = @_;

    my $request = '';
    while ($request !~ /\r\n\r\n/) {
        sysread $client, $request, 4096, length $request or return;
    }
    my ($name) = $request =~ m{^GET /(\S+)} or return;

    if ($name =~ /^slow/) {
        print $client "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"
            . 'x' x 10000;
        sleep 1;
        print $client 'y' x 10000;
        return;
    }

    if (!defined $responses{$name}) {
        print $client "HTTP/1.1 302 Found\r\nLocation: /\r\n"
            . "Content-Length: 4\r\n\r\nbody";
        return;
    }

    print $client "HTTP/1.1 200 OK\r\nConnection: close\r\n"
        . $responses{$name};
});

$t->redis_start;
$t->start;

for my $name (qw(private no-store vary encoded chunked unknown short
    long-type redirect))
{
    my $wanted = $name eq 'redirect' ? 302 : $name eq 'short' ? 0 : 200;

    is $t->get("/media/$name")->{status}, $wanted, "$name passes";
    sleep 0.02;
}

$t->get('/media/plain');
ok $t->wait_entry('plain'), 'a plain response is stored';
is $t->redis('DBSIZE'), 1, 'and none of the others';

my $miss = $t->get('/media/headers');
ok $t->wait_entry('headers'), 'a response with headers is stored';
my $hit = $t->get('/media/headers');
is $hit->{headers}{'x-cache'}, 'HIT', 'and is a hit';

for my $name (qw(content-type content-length etag last-modified
    content-disposition))
{
    is $hit->{headers}{$name}, $miss->{headers}{$name}, "same $name";
}

is $t->outcome('/media/headers', 'If-None-Match' => 'W/"weak"'), '304 HIT',
    'weak tag';

# more copies than the memory allows: all are served, some are not stored

my @sockets;

for my $n (1 .. 8) {
    my $socket = $t->connect;
    print $socket "GET /media/slow$n HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n";
    push @sockets, $socket;
}

sleep 0.4;
is $t->outcome('/media/plain'), '200 HIT', 'lookups go on meanwhile';

my $whole = 0;

for my $socket (@sockets) {
    my $answer = do { local $/; <$socket> };
    $whole++ if $answer =~ /\r\n\r\nx{10000}y{10000}\z/;
}

is $whole, 8, 'all of the slow responses are whole';
sleep 0.2;
is $t->redis('DBSIZE') - 2, 3, 'three copies of 20k fit into 80k';

# the memory is free again

$t->get('/media/slow9');
ok $t->wait_entry('slow9'), 'a later response is stored';

# a client that goes away leaves no copy

for my $n (1 .. 8) {
    my $socket = $t->connect;
    print $socket "GET /media/slow-gone$n HTTP/1.1\r\nHost: localhost\r\n\r\n";
    sysread $socket, my $some, 100;
    close $socket;
}

sleep 1.2;
ok !defined $t->redis('GET', 'media:' . Digest::SHA::sha256_hex("slow-gone$_")),
    "aborted response $_ is not stored" for 1, 8;
$t->get('/media/slow10');
ok $t->wait_entry('slow10'), 'the memory is free again';

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

# configurations that are refused

sub refused {
    my ($http, $wanted, $name) = @_;

    my $other = Cache->new;
    $other->write_file('empty', "\n");
    $other->configure(http => $http);
    my ($status, $output) = $other->test_configuration;

    isnt $status, 0, "$name is refused";
    like $output, $wanted, "$name: reason";
}

refused('media_cache on;', qr/"media_cache" requires "media_redis"/,
    'a cache without Redis');
refused('media_redis 127.0.0.1; media_redis 127.0.0.2;', qr/is duplicate/,
    'two servers');
refused('media_redis 127.0.0.1:x;', qr/invalid port in redis address/,
    'a bad address');
refused('media_redis_user me;', qr/requires "media_redis_password"/,
    'a user without a password');
refused('media_redis_timeout 0;', qr/must be positive/, 'no timeout');
refused('media_redis_password a; media_redis_password_file empty;',
    qr/is duplicate/, 'two passwords');
refused('media_redis_password_file empty;', qr/is empty, too long or not/,
    'an empty file');
refused('media_redis_password_file absent;', qr/open\(\) .* failed/,
    'an absent file');
refused('media_cache_ttl pictures 1d;', qr/invalid category "pictures"/,
    'an unknown category');
refused('media_cache_ttl image soon;', qr/invalid value/, 'a bad time');
refused('media_redis 127.0.0.1; media_cache on; media_cache_max_size 70m;',
    qr/"media_cache_max_size" must be less/, 'a size above the memory');
refused('media_public_url /media;', qr/must end with a slash/,
    'a public URL without its slash');
refused('media_s3_endpoint ftp://a; media_s3_bucket b; '
    . 'media_s3_access_key a; media_s3_secret_key s;',
    qr/invalid s3 endpoint "ftp:\/\/a"/, 'an endpoint of another scheme');
refused('media_s3_endpoint http://a/b; media_s3_bucket b; '
    . 'media_s3_access_key a; media_s3_secret_key s;',
    qr/invalid s3 endpoint/, 'an endpoint with a path');

done_testing;
