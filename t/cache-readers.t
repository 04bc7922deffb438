#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# However many clients read an object slowly, a process holds it once; what
# finds no room in media_cache_buffers comes from the next tier.
#
# TEST_MEDIA_READERS is their number; 10000 need as many open files.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Digest::SHA qw(sha256_hex);
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF pack_sockaddr_in inet_aton);
use Socket qw(PF_INET SOCK_STREAM);
use Test::More;
use Time::HiRes qw(sleep);

my ($files) = `sh -c 'ulimit -n'` =~ /(\d+)/;
my $possible = int((($files || 65536) - 500) / 1.2);
my $readers = $ENV{TEST_MEDIA_READERS}
    || ($possible < 2000 ? $possible : 2000);

die "$readers readers, but $files open files at most\n"
    if $readers > $possible;

my $mega = join '', map { chr($_ * 13 % 256) x 1024 } 1 .. 1023;
my $connections = int($readers * 1.2) + 500;

# small buffers of the kernel: the rest is what nginx has to keep

my $t = Cache->new;
$t->configure(connections => $connections,
    main => "worker_rlimit_nofile $connections;", http => <<'END');
    media_redis 127.0.0.1:@REDIS@;
    media_redis_timeout 5s;
    media_cache_buffers 3500k;

    server {
        listen 127.0.0.1:@PORT@ sndbuf=16k backlog=4096;

        location /media/ {
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
        }
    }
END

$t->write_file("origin/mega$_.mp4", $mega . $_ x $_) for 0 .. 6;
$t->redis_start;
$t->start;

for my $i (0 .. 6) {
    $t->get("/media/mega$i.mp4");
    ok $t->wait_entry("mega$i.mp4"), "object $i is in Redis";
}

sub memory {
    my ($worker) = `ps -o pid= --ppid $t->{nginx_pid}` =~ /(\d+)/;
    my ($kilobytes) = $t->read_file("/proc/$worker/status")
        =~ /^VmRSS:\s+(\d+)/m;
    return $kilobytes;
}

sub calls {
    my ($command) = @_;
    my ($n) = $t->redis('INFO', 'commandstats')
        =~ /^cmdstat_$command:calls=(\d+)/m;
    return $n || 0;
}

# a client that reads the first bytes and then nothing for long

sub reader {
    my ($uri) = @_;

    socket my $socket, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096;
    connect $socket, pack_sockaddr_in($t->{port}, inet_aton('127.0.0.1'))
        or die "connect: $!";
    syswrite $socket, "GET $uri HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n";
    return $socket;
}

sub first {
    my ($socket) = @_;

    my $head = '';

    while ($head !~ /\r\n\r\n/) {
        sysread $socket, $head, 512, length $head or last;
    }

    return join ' ', $head =~ m{^HTTP/1\.1 (\d+)},
        $head =~ /^X-Cache: (\w+)/m;
}

$t->get('/media/mega0.mp4');
my $before = memory();
my $gets = calls('get');

my @readers = map { reader('/media/mega0.mp4') } 1 .. $readers;
my %n;
$n{first($_)}++ for @readers;
my $grown = memory() - $before;
is join(', ', map { "$_ $n{$_}" } sort keys %n), "200 HIT $readers",
    "$readers slow readers of 1 MB are served";
# AddressSanitizer takes as much again

my $bound = (Sanitizer::sanitized($t->{module}) ? 2 : 1)
    * (8 * 1024 + 12 * $readers);

cmp_ok $grown, '<', $bound,
    "and take $grown kB, the connections included";
cmp_ok calls('get') - $gets, '<', 20, 'Redis sent the object a few times';

# two copies fit besides; the rest is passed to S3

my (@others, @outcomes);

for my $i (1 .. 6) {
    push @others, reader("/media/mega$i.mp4");
    push @outcomes, first($others[-1]);
}

is "@outcomes[0, 1]", '200 HIT 200 HIT', 'other objects while there is room';
is join(' ', @outcomes[2 .. 5]), join(' ', ('200 MISS') x 4),
    'and those for which there is none, from S3';

sub rest {
    my ($socket) = @_;

    local $/;
    return length <$socket> // '';
}

cmp_ok rest($others[$_]), '>', 1024 * 1022, "reader $_ receives all of it"
    for 0, 5;

close $_ for @others, @readers;
@readers = @others = ();
sleep 0.5;

is $t->outcome("/media/mega$_.mp4"), '200 HIT', "object $_ has room again"
    for 1 .. 6;

# readers of one object as they come and go: one copy, or what it is by now

my $slow = reader('/media/mega1.mp4');
is first($slow), '200 HIT', 'a slow reader';

$gets = calls('get');
ok $t->get('/media/mega1.mp4')->{body} eq "${mega}1",
    'another reader beside it';
is calls('get'), $gets, 'has the same copy';

my $key = 'media:' . sha256_hex('mega1.mp4');
my $other = $t->redis('GET', 'media:' . sha256_hex('mega2.mp4'));
$t->redis('SET', $key, $other);
is $t->outcome('/media/mega1.mp4'), '200 HIT', 'the entry was replaced';
ok $t->get('/media/mega1.mp4')->{body} eq substr($other, 512),
    'and the new one is sent';

$t->redis('DEL', $key);
is $t->outcome('/media/mega1.mp4'), '200 MISS',
    'a deleted entry is not sent from memory';
cmp_ok rest($slow), '>', 1024 * 1022, 'the slow reader has all of the old';

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
