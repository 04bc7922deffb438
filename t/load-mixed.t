#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Mixed requests with reloads in between leave nothing behind: no memory, no
# descriptor, no old worker process, no shared-memory lock, no alert.
#
#     LOAD_REQUESTS  10000; the long run has 100000
#     RELOADS        5
#
# With a sanitized module the memory is not looked at, only its reports are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fault;
use POSIX ();
use Sanitizer;
use Test::More;
use Time::HiRes qw(sleep time);

my $requests = $ENV{LOAD_REQUESTS} || 10_000;
my $reloads = $ENV{RELOADS} // 5;
my $clients = 8;
my $t = Fault->new;
my $sanitized = Sanitizer::sanitized($t->{module});

my @small = map { $t->object("chat/t/c/load-$_.jpg", 1 + 997 * $_) } 0 .. 59;
my @large = map { $t->object("chat/t/c/large-$_.mp4", 2_500_000 + $_) }
    0 .. 3;
my @all = (@small, @large);

$t->up(edit => sub {
    s/(proxy_read_timeout\s+)\d+s;/${1}2s;/g;
});


# the kinds of requests, by their shares; each returns what is wrong

my @kinds = (
    [ 30, sub {
        my $uri = $small[rand @small];
        return check($t->get($uri), 200, $t->{objects}{$uri});
    } ],
    [ 6, sub {
        my $uri = $large[rand @large];
        return check($t->get($uri), 200, $t->{objects}{$uri});
    } ],
    [ 15, sub {
        my $uri = $all[rand @all];
        my $first = int rand length $t->{objects}{$uri};
        my $n = 1 + int rand 5000;
        my $wanted = substr $t->{objects}{$uri}, $first, $n;

        return check($t->get($uri, Range => "bytes=$first-"
            . ($first + $n - 1)), 206, $wanted);
    } ],
    [ 5, sub {
        return check($t->get($small[rand 50 + 5], Range => 'bytes=0-1,5-6'),
            206);
    } ],
    [ 4, sub {
        return check($t->get($all[rand @all], Range => 'bytes=99999999-'),
            416);
    } ],
    [ 8, sub {
        my $uri = $small[rand @small];
        my $r = $t->request('HEAD', $uri);

        return 'no tag' unless $r->{headers}{etag};
        return check($t->get($uri, 'If-None-Match' => $r->{headers}{etag}),
            304);
    } ],
    [ 5, sub {
        return check($t->get('/media/chat/t/c/absent-' . int rand 500), 404);
    } ],
    [ 5, sub {
        my @bad = ('a%7Fb', 'a%1F', 'a%09', 'x' x 1025, 'a%0ab');

        return check($t->get('/media/' . $bad[rand @bad]), 400);
    } ],
    [ 3, sub {
        return check($t->get('/api/media/proxy/?url=http://evil.example/a'),
            400);
    } ],
    [ 2, sub { return check($t->request('PUT', $small[0]), 405) } ],
    [ 8, \&aborted ],
    [ 2, \&slow ],
    [ 4, \&webhook ],
    [ 2, sub {
        $t->redis('DEL', 'media:' . Digest::SHA::sha256_hex(
            $small[rand @small] =~ s{^/media/}{}r));
        return;
    } ],
);

sub check {
    my ($r, $status, $body) = @_;

    return "$r->{status} in place of $status" if $r->{status} != $status;
    return 'damaged' if defined $body && $r->{body} ne $body;
    return;
}

sub ask {
    my ($socket, $uri) = @_;

    print $socket "GET $uri HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

# goes away: at once, during the lookup, or within the body

sub aborted {
    my $socket = $t->connect or return 'no connection';
    my $n = int rand 3;

    ask($socket, $all[rand @all]);
    sleep 0.001 if $n == 1;
    sysread $socket, my $text, 1000 if $n == 2;
    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
        pack 'II', 1, 0 if rand > 0.5;
    close $socket;
    return;
}

# reads a large object in small pieces, and not all of it

sub slow {
    my $socket = $t->connect or return 'no connection';

    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), 4096;
    ask($socket, $large[rand @large]);

    for (1 .. 10) {
        sysread $socket, my $text, 2000 or return 'slow: closed';
        sleep 0.005;
    }

    return;
}

# refused, as there is no broker here

sub webhook {
    my $socket = $t->connect or return 'no connection';
    my $body = '{"event":"messages.upsert","data":"' . 'x' x (rand 20_000)
        . '"}';

    print $socket "POST /webhook/evolution/webhook-token-of-the-test "
        . "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    my $answer = do { local $/; <$socket> } // '';

    return $answer =~ m{^HTTP/1\.1 50[0-9] } ? undef : 'webhook: '
        . substr $answer, 0, 20;
}


# n requests of all kinds; the failures, with their counts

sub mixed {
    my ($n) = @_;
    my %failures;
    my @shares = map { my $kind = $_; map { $kind->[1] } 1 .. $kind->[0] }
        @kinds;

    my @lines = $t->clients($clients, sub {
        my ($client, $pipe) = @_;

        srand $client + $n;
        $SIG{PIPE} = 'IGNORE';

        for (1 .. $n / $clients) {
            my $i = int rand @shares;
            my $failure = $shares[$i]->();

            print $pipe "kind $i: $failure\n" if defined $failure;
        }
    });

    $failures{$_}++ for @lines;
    return \%failures;
}

sub failures { join ', ', map { "$_ ($_[0]{$_})" } sort keys %{ $_[0] } }

# of all worker processes; in kB

sub memory {
    my $sum = 0;

    for my $pid ($t->worker_pids) {
        $sum += $1 if $t->read_file("/proc/$pid/smaps_rollup")
            =~ /^Private_Dirty:\s+(\d+)/m;
    }

    return $sum;
}

# sockets of each worker process, without the idle ones to S3

sub sockets {
    $t->s3_stop;
    $t->s3_start;

    return join ' ', sort { $a <=> $b } map { my $pid = $_;
        scalar grep { (readlink($_) // '') =~ /^socket:/ }
            glob "/proc/$pid/fd/*" } $t->worker_pids;
}

# all requests are done: clients' connections are closed a moment later

sub settled {
    my ($wanted) = @_;
    my $n;

    for (1 .. 100) {
        $n = sockets();
        return $n if $n eq $wanted;
        sleep 0.1;
    }

    return $n;
}

sub quiet {
    for (1 .. 150) {
        return 1 if $t->worker_pids == 2;
        sleep 0.1;
    }

    return 0;
}


# warm: what is allocated once is

my $failures = mixed($requests / 10 > 2000 ? 2000 : $requests / 10);

is failures($failures), '', 'warm';

my $old = join ' ', $t->worker_pids;

$t->reload;

for (1 .. 100) {
    last if $old ne join ' ', $t->worker_pids;
    sleep 0.05;
}

ok quiet(), 'old worker processes end';
$t->wait_redis;
sleep 1;

sockets();
sleep 0.3;

my $idle = sockets();
my $free = $t->metric(qr/^media_zone_free_bytes/);

# one part to fill the pools of the allocator, then those that may not grow

my $n = $requests / ($reloads + 1);
my ($first, $last);

for my $part (0 .. $reloads) {
    $failures = mixed($n / 2);
    is failures($failures), '', "part $part";
    $first = memory();
    $failures = mixed($n / 2);
    is failures($failures), '', "part $part, second half";
    $last = memory();

    diag(sprintf 'part %d: %d kB, then %d kB after %d requests', $part,
        $first, $last, $n / 2);

    # what a request leaves behind would be there once for each of them

    cmp_ok $last - $first, '<', 1024 + $n / 2 * 0.064,
        "part $part: memory does not grow" unless $sanitized;

    last if $part == $reloads;

    # in the middle of requests, and of a fault

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        mixed(400);
        POSIX::_exit(0);
    }

    $t->redis_fault($part % 2 ? 'garbage' : 'pause') if $part;
    sleep 0.2;
    $t->reload;
    sleep 0.3;
    $t->redis_fault('ok');
    waitpid $pid, 0;
    ok quiet(), "part $part: old worker processes end";
}

ok $t->wait_redis, 'Redis is there';

is $t->wait_outcome($small[5], qr/redis/), '200 HIT redis',
    'hits, in the end';
is settled($idle), $idle, 'no connection is left';

is $t->metric(qr/^media_redis_connections/), 4,
    'those to Redis are counted right';
cmp_ok $t->metric(qr/^media_zone_free_bytes/), '>=', $free - 65536,
    'no shared memory is left in use';

my @shared = grep { /\(deleted\)/ && !m{/dev/zero|anon|\.so} }
    map { split /\n/, $t->read_file("/proc/$_/maps") } $t->worker_pids;

is join("\n", @shared), '', 'no file is mapped that is gone';

for my $uri ($small[3], $large[0]) {
    ok $t->get($uri)->{body} eq $t->{objects}{$uri}, "$uri is right";
}

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';
unlike $t->error_log, qr/open socket|exited on signal/,
    'no socket was left, no process killed';

done_testing;
