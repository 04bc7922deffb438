#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Reloads under load fail no request; clients that go away, at every stage,
# leave nothing behind; a stop is prompt and leaves no socket open.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Cache->new;
my $reloads = 20;
my $clients = 4;

$t->configure(workers => 2, http => Cache::cached_location());
$t->write_file("origin/$_.jpg", chr(65 + $_ % 26) x (1000 * $_ + 1))
    for 0 .. 99;
$t->redis_start;
$t->start;

# clients, each with a count of its requests and of its failures

my @pids;

for my $n (1 .. $clients) {
    my $pid = fork();
    die "fork: $!" unless defined $pid;

    if ($pid) {
        push @pids, $pid;
        next;
    }

    my ($running, $requests, $failed, $hits) = (1, 0, 0, 0);
    local $SIG{TERM} = sub { $running = 0 };

    while ($running) {
        my $i = int rand 100;
        my $response = $t->get("/media/$i.jpg");
        $requests++;
        $hits++ if ($response->{headers}{'x-cache'} || '') eq 'HIT';
        $failed++ if $response->{status} != 200
            || $response->{body} ne chr(65 + $i % 26) x (1000 * $i + 1);
        sleep 0.002;
    }

    $t->write_file("result.$n", "$requests $failed $hits");
    POSIX::_exit(0);
}

for (1 .. $reloads) {
    sleep 0.15;
    $t->reload;
}

sleep 0.3;
kill 'TERM', @pids;
waitpid $_, 0 for @pids;

my ($requests, $failed, $hits) = (0, 0, 0);

for my $n (1 .. $clients) {
    my @result = split / /, $t->read_file("result.$n");
    $requests += $result[0];
    $failed += $result[1];
    $hits += $result[2];
}

is $failed, 0, "none of $requests requests failed in $reloads reloads";
cmp_ok $hits, '>', $requests / 2, "$hits were hits";

# old worker processes end, and with them their connections

my $connections = 0;

for (1 .. 100) {
    $connections = () = $t->redis('CLIENT', 'LIST') =~ /name=ngx_media/g;
    last if $connections == 4;
    sleep 0.05;
}

is $connections, 4, 'two connections of each of two worker processes';

# clients that do not wait: while Redis is asked, and while the body comes

$t->redis_signal('STOP');
for my $i (1 .. 20) {
    my $socket = $t->connect;
    print $socket "GET /media/$i.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n";
    sleep 0.01 if $i % 2;
    close $socket;
}
$t->redis_signal('CONT');

sleep 0.5;
$t->redis('FLUSHALL');

for my $i (1 .. 20) {
    my $socket = $t->connect;
    print $socket "GET /media/99.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n";
    sysread $socket, my $text, 100 if $i % 2;
    close $socket;
}

is $t->get('/media/50.jpg')->{status}, 200, 'aborted requests do no harm';

# pipelined requests on one connection

my $socket = $t->connect;
print $socket map { "GET /media/$_.jpg HTTP/1.1\r\nHost: localhost\r\n"
    . ($_ == 9 ? "Connection: close\r\n" : '') . "\r\n" } 0 .. 9;
my $text = do { local $/; <$socket> };
my $answers = () = $text =~ m{HTTP/1\.1 200 OK}g;
close $socket;
is $answers, 10, 'pipelined requests are all answered';

my $start = time();
ok $t->stop, 'worker processes ended';
cmp_ok time() - $start, '<', 3, 'at once';
is $t->alarms, '', 'nothing alarming was logged';
unlike $t->error_log, qr/open socket/, 'no socket was left';

# one process that does all

my $single = Cache->new;
$single->configure(main => 'master_process off;',
    http => Cache::cached_location());
$single->write_file('origin/a.jpg', 'single');
$single->redis_start;
$single->start;
$single->get('/media/a.jpg');
$single->wait_entry('a.jpg');
is $single->outcome('/media/a.jpg'), '200 HIT', 'master_process off';

ok $single->stop, 'the process ended';
is $single->alarms, '', 'nothing alarming was logged';

done_testing;
