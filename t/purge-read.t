#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A purge is effective in every tier, on every host, within a second, and
# nothing takes it back: not a response of before, a full zone, a lost log, a
# reload, nor a restart without Redis.

use strict;
use warnings;

use Cache;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

my $log = 'media:purges';
my $t = Cache->new;
my $u = Cache->new;

$u->{redis_port} = $t->{redis_port};

my $slow = Cache::free_port();

sub http {
    my ($zone) = @_;

    return <<"EOT";
    media_redis 127.0.0.1:\@REDIS\@;
    media_zone_size $zone;
    proxy_cache_path \@DIR\@/disk levels=1 keys_zone=disk:1m;

    server {
        listen 127.0.0.1:\@PORT\@ reuseport;

        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location /media/ {
            media_cache on;
            proxy_pass http://127.0.0.1:$t->{origin}/;
        }

        location /slow/ {
            media_cache on;
            proxy_pass http://127.0.0.1:$slow/;
        }

        location /disk/ {
            media_proxy on;
            slice 1k;
            proxy_cache disk;
            proxy_cache_key \$media_cache_key\$slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_set_header Range \$slice_range;
            proxy_pass http://127.0.0.1:$t->{origin}/;
            add_header X-Disk \$upstream_cache_status;
        }

        location /key/ { return 200 "\$pid \$media_cache_key"; }
    }
EOT
}

$t->configure(http => http('4m'), workers => 4);
$u->configure(http => http('256k'), workers => 2);
$t->redis_start;
$t->start;
$u->start;
$u->wait_redis;

my $id = 0;

sub purge {
    my (@targets) = @_;

    $t->redis('APPEND', $log, join '', map { ++$id . " $_\n" } @targets);
    return $id;
}

sub new_log {
    $t->redis('SET', $log, sprintf("%032x\n", $_[0]) . ($_[1] || ''));
}

# the generation of a key

sub generation {
    my ($host, $key) = @_;

    my $body = $host->get("/key/$key")->{body};
    return $body =~ / \Q$key\E(?: (\d+))?$/ ? $1 || 0 : "? $body";
}

sub becomes {
    my ($host, $key, $wanted, $seconds) = @_;

    my $end = time() + ($seconds || 1);
    my $is;

    do {
        $is = generation($host, $key);
        return $is if $is eq $wanted;
        sleep 0.02;
    } while (time() < $end);

    return $is;
}

sub origin {
    my ($key, $content) = @_;

    $t->write_file("origin/$key", $content);
}

sub disk {
    my ($host, $key) = @_;

    my $response = $host->get("/disk/$key");
    return join ' ', $response->{status}, $response->{headers}{'x-disk'} // '-',
        substr $response->{body}, -3;
}

is(generation($t, 'chat/1/a.jpg'), 0, 'no log: no generation');
new_log(1);

# one key, in all tiers, hosts and worker processes

origin('chat/1/a.jpg', 'x' x 2997 . 'old');
origin('chat/1/b.jpg', 'x' x 2997 . 'old');

$t->get('/media/chat/1/a.jpg');
$t->get('/media/chat/1/b.jpg');
$t->wait_entry('chat/1/b.jpg');
is($_->outcome('/media/chat/1/a.jpg'), '200 HIT', 'in redis') for $t, $u;
disk($_, 'chat/1/a.jpg') for $t, $u;
is(disk($_, 'chat/1/a.jpg'), '200 HIT old', 'on disk') for $t, $u;

origin('chat/1/a.jpg', 'x' x 2997 . 'new');
purge('chat/1/a.jpg');

is(becomes($_, 'chat/1/a.jpg', 1), 1, 'purged within a second') for $t, $u;

my %pids;
for (1 .. 200) {
    my $body = $t->get('/key/chat/1/a.jpg')->{body};
    $pids{$1}{$2}++ if $body =~ /^(\d+) (.*)/;
    last if keys %pids == 4;
}
is(join('|', map { keys %$_ } values %pids),
    join('|', ('chat/1/a.jpg 1') x 4), 'in all worker processes');

like($t->get('/media/chat/1/a.jpg')->{body}, qr/new$/, 'new from S3');
ok($t->wait_entry('chat/1/a.jpg 1'), 'stored with its generation');
is($u->outcome('/media/chat/1/a.jpg'), '200 HIT', 'found by another host');
is(disk($_, 'chat/1/a.jpg'), '200 MISS new', 'not on disk') for $t, $u;
is(disk($_, 'chat/1/a.jpg'), '200 HIT new', 'on disk again') for $t, $u;
is($t->outcome('/media/chat/1/b.jpg'), '200 HIT', 'another key is kept');

# what a target matches

purge('chat/2/c/', 'chat/3/', 'chat/3/x/y');
is(becomes($t, 'chat/2/c/x', 2), 2, 'a prefix');
is(generation($t, 'chat/1/a.jpg_thumb.jpg'), 1, 'the thumbnail of a key');
is(generation($t, 'chat/1/a.jpg_thumb.webp'), 1, 'one with transparency');
is(generation($t, 'chat/1/a.jpg_preview.jpg'), 1, 'its preview');
is(generation($t, 'chat/1/a.jpg_m4a.m4a'), 1, 'its M4A');
is(generation($t, 'chat/1/a.jpg_thumb.png'), 0, 'not another name');
is(generation($t, 'chat/1/a.jp'), 0, 'not a part of a name');
is(generation($t, 'chat/2/c'), 0, 'not the prefix without its slash');
is(generation($t, 'chat/2/cx'), 0, 'not a name that begins like it');
is(generation($t, 'chat/3/x/y'), 4, 'the latest purge of several');
is(generation($t, 'chat/3/x/z'), 3, 'a tenant');
purge('chat/3/');
is(becomes($t, 'chat/3/x/y', 5), 5, 'a prefix again, after its key');

is($t->get('/key/chat/1/a%205')->{body} =~ s/^\d+ //r, 'chat/1/a 5 0',
    'a key that looks like a generation is not mistaken for one');

# the old bytes are on their way

my $gate = "$t->{dir}/gate";
$t->serve($slow, sub {
    my ($client) = @_;
    while (<$client>) { last if /^\r?$/ }
    print $client "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n"
        . "Connection: close\r\n\r\n" . 'o' x 1000;
    for (1 .. 200) { last if -e $gate; sleep 0.05 }
    print $client 'o' x 1000;
});

my $socket = $t->connect;
print $socket "GET /slow/chat/4/s HTTP/1.1\r\nHost: x\r\n"
    . "Connection: close\r\n\r\n";
sysread $socket, my $begin, 500;
purge('chat/4/s');
is(becomes($t, 'chat/4/s', 6), 6, 'purged while a response is copied');
$t->write_file('gate', '');
1 while sysread $socket, my $rest, 65536;
ok($t->wait_entry('chat/4/s'), 'the copy is stored');
is($t->outcome('/slow/chat/4/s'), '200 MISS', 'and not found');

# lines

$t->redis('APPEND', $log, '7 chat/5/');
sleep 0.6;
is(generation($t, 'chat/5/part'), 0, 'half a line is no purge');
$t->redis('APPEND', $log, "part\n");
is(becomes($t, 'chat/5/part', 7), 7, 'until it is whole');
$id = 7;

$t->redis('APPEND', $log, "x\n 1 y\n0 z\n-1 z\n99999999999999999999 z\n"
    . "9223372036854775808 z\n8 \n8  z\n8 " . 'z' x 1025 . "\n8 z\x01\n\n");
purge('chat/6/x');
is(becomes($t, 'chat/6/x', 8), 8, 'malformed lines are skipped');
is(generation($t, 'z'), 0, 'and are no purges');
is(scalar(() = $t->error_log =~ /malformed line/g), 1, 'logged once');

# more than one piece

purge(map { "chat/7/" . 'k' x 30 . $_ } 1 .. 5000);
is(becomes($t, 'chat/7/' . 'k' x 30 . 5000, $id, 3), $id, 'a long log');
is(generation($t, 'chat/7/' . 'k' x 30 . 1), $id - 4999, 'its first line');

# the smaller zone forgot

my $sum = 0;
becomes($u, 'chat/7/' . 'k' x 30 . 5000, $id, 3);
my $floor = generation($u, 'chat/8/never');
cmp_ok($floor, '>', 8, 'a full zone: all keys have a generation');
cmp_ok($floor, '<', $id, 'which is not the last');
is(generation($u, 'chat/1/a.jpg'), $floor, 'a forgotten purge counts');
is(generation($u, 'chat/7/' . 'k' x 30 . 5000), $id, 'the last one is known');
like($u->error_log, qr/purges to \d+ were forgotten/, 'logged');
is(generation($t, 'chat/8/never'), 0, 'nothing of it in the large zone');

# the log is lost and rebuilt, replaced

$t->redis_stop;
$t->redis_start;
is(generation($t, 'chat/1/a.jpg'), 1, 'redis lost the log');
$t->wait_redis;
sleep 0.6;
is(generation($t, 'chat/1/a.jpg'), 1, 'and is read');
new_log(2, "1 chat/1/a.jpg\n");
sleep 0.6;
is(generation($t, 'chat/1/a.jpg'), 1, 'the same again');
is(generation($t, 'chat/3/x/y'), 5, 'the rest is kept');
new_log(3, "1 chat/1/a.jpg\n9999 chat/1/b.jpg\n");
is(becomes($t, 'chat/1/b.jpg', 9999), 9999, 'another log');
new_log(4);
sleep 0.6;
$id = 10000;
purge('chat/1/a.jpg');
is(becomes($t, 'chat/1/a.jpg', 10001), 10001, 'a new log that is shorter');
$t->redis('SET', $log, 'garbage');
sleep 0.6;
is(generation($t, 'chat/1/a.jpg'), 10001, 'garbage is no log');
like($t->error_log, qr/"media:purges" in redis is not a log/, 'as is logged');
new_log(5);
purge('chat/1/a.jpg');
is(becomes($t, 'chat/1/a.jpg', 10002), 10002, 'and the next one is');

# redis came back with an older state of the same log

purge(map { "chat/10/$_" } 1 .. 20);
becomes($t, 'chat/10/20', $id);
new_log(5, "10002 chat/1/a.jpg\n");
sleep 0.6;
purge('chat/1/a.jpg');
is(becomes($t, 'chat/1/a.jpg', $id), $id, 'a log that lost its end');
is(generation($t, 'chat/10/1'), 10003, 'which takes back nothing');

$t->redis('APPEND', $log, 'x' x 200_000 . "\n");
purge('chat/1/a.jpg');
is(becomes($t, 'chat/1/a.jpg', $id), $id, 'after an endless line');

new_log(7, "10100 chat/11/a\n");
is(becomes($t, 'chat/11/a', 10100), 10100, 'another log once more');
new_log(8, "10100 chat/11/b\n");
is(becomes($t, 'chat/11/b', 10100), 10100, 'and one of the same length');
$id = 10100;

# Redis is away for a while

$t->redis_signal('STOP');
sleep 1.5;
$t->redis_signal('CONT');
purge('chat/1/a.jpg');
is(becomes($t, 'chat/1/a.jpg', $id, 8), $id, 'read when redis is back');
like($t->error_log, qr/purges are read again/, 'which is logged');

# worker processes

kill 'KILL', keys %pids;
sleep 0.3;
purge('chat/1/a.jpg');
is(becomes($t, 'chat/1/a.jpg', $id, 8), $id, 'after worker processes died');

$t->reload;
sleep 0.5;
purge('chat/1/a.jpg');
is(becomes($t, 'chat/1/a.jpg', $id, 8), $id, 'after a reload');
is(generation($t, 'chat/3/x/y'), 5, 'which keeps the purges');

$t->redis_stop;
$t->reload;
sleep 0.5;
is(generation($t, 'chat/3/x/y'), 5, 'also without redis');

# a restart: what is on disk may have been purged

$t->redis_start;
new_log(9, "20001 chat/9/z\n");
$id = 20001;
becomes($t, 'chat/9/z', 20001, 8);
origin("chat/9/$_", 'x' x 97 . 'old') for qw(p q);
disk($t, "chat/9/$_") for qw(p q);
is(disk($t, 'chat/9/p'), '200 HIT old', 'on disk before the restart');
origin("chat/9/$_", 'x' x 97 . 'new') for qw(p q);
purge('chat/9/p');
becomes($t, 'chat/9/p', 20002);

my $saved = $t->redis('GET', $log);
ok($t->stop, 'stopped');
$t->redis_stop;
$t->start;
is(disk($t, 'chat/9/p'), '200 MISS new', 'a purged object, without redis');
cmp_ok(generation($t, 'chat/9/q'), '>=', 2 ** 63, 'no key is trusted');
is(disk($t, 'chat/9/p'), '200 HIT new', 'what is fetched is kept');
my $start = generation($t, 'chat/9/q');
$t->stop;
$t->start;
isnt(generation($t, 'chat/9/q'), $start, 'but not over a restart');

$t->redis_start;
$t->redis('SET', $log, $saved);
is(becomes($t, 'chat/9/p', 20002, 8), 20002, 'until the log is read');
is(disk($t, 'chat/9/p'), '200 MISS new', 'the purged object');
is(disk($t, 'chat/9/q'), '200 HIT old', 'the other one was kept');

for my $host ($t, $u) {
    ok($host->stop, 'stopped');
    is(join("\n", grep { !/exited on signal 9/ } split /\n/, $host->alarms),
        '', 'no alarms');
}

done_testing();
