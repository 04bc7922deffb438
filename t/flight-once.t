#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A thousand requests for an object that no tier has are one request to S3:
# per host, and per cluster where Redis can tell.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Herd;
use Test::More;
use Time::HiRes qw(sleep time);

my $n = $ENV{TEST_MEDIA_CLIENTS} || 1000;
my $photo = join '', map { chr($_ * 7 % 256) } 1 .. 60000;
my $large = join '', map { chr(65 + $_ % 26) x 1000 } 1 .. 3500;
my %objects = (photo => $photo, large => $large);

my $conf = <<'END';
    proxy_cache_path @DIR@/disk keys_zone=disk:1m;
    media_redis 127.0.0.1:@REDIS@;

    server {
        listen 127.0.0.1:@PORT@ backlog=4096;

        location /media/ {
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }

        location /slice/ {
            media_cache on;
            media_cache_key $uri;
            slice 1m;
            proxy_cache disk;
            proxy_cache_key $media_cache_key$slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_cache_lock on;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Range $slice_range;
        }
    }
END

# an S3 server that takes its time, and counts

sub origin {
    my ($t, $client) = @_;
    my $text = '';

    while ($text !~ /\r\n\r\n/) {
        sysread $client, $text, 4096, length $text or return;
    }

    my ($name) = $text =~ m{^GET /(\w+)} or return;
    my $body = $objects{$name} // $photo;
    my $size = length $body;
    my $head = "Content-Length: $size\r\n";
    my $status = '200 OK';

    if ($text =~ /^Range: bytes=(\d+)-(\d+)/mi) {
        my $last = $2 < $size ? $2 : $size - 1;
        $body = substr $body, $1, $last - $1 + 1;
        $status = '206 Partial Content';
        $head = "Content-Range: bytes $1-$last/$size\r\n"
            . 'Content-Length: ' . length($body) . "\r\n";
    }

    open my $log, '>>', "$t->{dir}/logs/origin.log";
    syswrite $log, "$name\n";
    sleep 0.6;
    print $client "HTTP/1.1 $status\r\n${head}ETag: \"$name\"\r\n"
        . "Connection: close\r\n\r\n$body";
}

sub instance {
    my ($other) = @_;
    my $t = Cache->new;

    if ($other) {
        $t->{$_} = $other->{$_} for qw(origin redis_port);
    }

    $t->configure(workers => 4, connections => 8192,
        main => 'worker_rlimit_nofile 16384;', http => $conf);

    # the origin is ours

    my $text = $t->read_file('nginx.conf');
    $text =~ s/    server \{\n +listen 127\.0\.0\.1:$t->{origin};.*\z/}\n/s;
    $t->write_file('nginx.conf', $text);
    $t->start;

    return $t;
}

sub whole {
    my ($body, @responses) = @_;

    return scalar grep { $_->{status} == 200 && $_->{body} eq $body }
        @responses;
}

my $t = Cache->new;
my $origin = $t->serve($t->{origin}, sub { origin($t, @_) });
$t->redis_start;

my @hosts = (instance($t), instance($t));
my ($one, $two) = @hosts;

$_->wait_redis for @hosts;

for my $path (qw(media slice)) {
    my @responses = Herd::gallop($n, sub {
        { port => $one->{port}, uri => "/$path/one$path" }
    });

    is whole($photo, @responses), $n, "$path: $n requests are answered";
    is $t->origin_requests(qr/one$path/), 1, "$path: by one to S3"
        or diag Herd::summary(@responses);
    cmp_ok Herd::slowest(@responses), '<', 4500, "$path: none timed out";
}

# two hosts with one Redis

my @responses = Herd::gallop($n, sub {
    { port => $hosts[$_[0] % 2]{port}, uri => '/media/both' }
});

is whole($photo, @responses), $n, 'two hosts: all are answered';
is $t->origin_requests(qr/both/), 1, 'two hosts: by one request to S3'
    or diag Herd::summary(@responses);
is $t->redis('EVAL', "return #redis.call('KEYS','*:lock')", 0), 0,
    'no lock is left';

# large objects: the first says so, none waits for all of them

@responses = Herd::gallop(40, sub {
    { port => $one->{port}, uri => '/slice/large' }
});

is whole($large, @responses), 40, 'large: all are answered';
is $t->origin_requests(qr/large/), 4, 'large: each slice once'
    or diag Herd::summary(@responses);
cmp_ok Herd::slowest(@responses), '<', 4900, 'large: none timed out';

my $start = time();
is whole($large, Herd::gallop(1, sub {
    { port => $one->{port}, uri => '/slice/large' }
})), 1, 'large: from disk then';
cmp_ok time() - $start, '<', 1, 'large: without a wait';

# a range of a small object fetches all of it, once

@responses = Herd::gallop(100, sub {
    { port => $one->{port}, uri => '/slice/range',
        headers => { Range => "bytes=$_[0]-59" . (900 + $_[0]) } }
});

is scalar(grep { $_->{status} == 206 && length $_->{body} == 59901 }
    @responses), 100, 'ranges of a small object';
is $t->origin_requests(qr/range/), 1, 'fetch it once';
ok $t->wait_entry('/slice/range'), 'as a whole';

# what only the disk has returns to Redis

$t->redis('FLUSHALL');
my $disk = $one->get('/slice/oneslice');
is "$disk->{status} $disk->{headers}{'x-cache'}", '200 HIT', 'a disk hit';
ok $disk->{body} eq $photo, 'has the bytes';
my $entry = $t->wait_entry('/slice/oneslice');
ok substr($entry // '', 512) eq $photo, 'which return to Redis';

# Redis is away

$t->redis_stop;
$one->get('/media/any');

@responses = Herd::gallop($n, sub {
    { port => $one->{port}, uri => '/slice/away' }
});

is whole($photo, @responses), $n, 'no Redis: all are answered';
is $t->origin_requests(qr/away/), 1, 'no Redis: one request of a host'
    or diag Herd::summary(@responses);

@responses = Herd::gallop($n, sub {
    { port => $one->{port}, uri => '/media/awake' }
});

is whole($photo, @responses), $n, 'no Redis, no disk: all are answered';
cmp_ok $t->origin_requests(qr/awake/), '<=', 4,
    'no Redis, no disk: one request of a process';

for my $host (@hosts) {
    ok $host->stop, 'worker processes ended';
    is $host->alarms, '', 'nothing alarming was logged';
    unlike $host->error_log, qr/open socket/, 'no socket was left';
}

done_testing;
