#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The one that fetches for the others is slow, dies, goes away or receives an
# error: nobody waits longer than media_cache_lock_timeout for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Digest::SHA qw(sha256_hex);
use Herd;
use Test::More;
use Time::HiRes qw(sleep time);

my $n = 200;
my $photo = join '', map { chr($_ * 7 % 256) } 1 .. 60000;

my $conf = <<'END';
    media_redis 127.0.0.1:@REDIS@;
    media_cache_lock_timeout 2s;

    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        proxy_next_upstream off;

        # Hold the whole response.  nginx < 1.23.1 sets no timer for S3 after
        # a read that exactly filled its buffers, and a process that stops
        # gracefully ends when it has none: with open sockets.

        proxy_buffer_size 64k;
        proxy_buffers 4 64k;
        proxy_busy_buffers_size 128k;

        location /media/ {
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
        }

        location /open/ {
            media_cache on;
            media_cache_key $uri;
            media_cache_lock off;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
        }

        location /moved/ {
            media_cache on;
            media_cache_key $request_uri;
            error_page 418 = @elsewhere;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
        }

        location @elsewhere {
            media_cache on;
            media_cache_key $request_uri;
            rewrite ^/moved/teapot(.*) /second$1 break;
            proxy_pass http://127.0.0.1:@ORIGIN@;
        }
    }
END

my $t = Cache->new;
$t->configure(workers => 4, connections => 8192,
    main => 'worker_rlimit_nofile 16384;', http => $conf);

my $text = $t->read_file('nginx.conf');
$text =~ s/    server \{\n +listen 127\.0\.0\.1:$t->{origin};.*\z/}\n/s;
$t->write_file('nginx.conf', $text);

# what the origin does is in the name

$t->serve($t->{origin}, sub {
    my ($client) = @_;
    my $text = '';

    while ($text !~ /\r\n\r\n/) {
        sysread $client, $text, 4096, length $text or return;
    }

    my ($name) = $text =~ m{^GET /(\w+)} or return;
    open my $log, '>>', "$t->{dir}/logs/origin.log";
    syswrite $log, "$name\n";
    my $first = $t->origin_requests(qr/^\Q$name\E$/) == 1;

    sleep 0.3;
    sleep 20 if $name =~ /^stall/ && $first;
    sleep 1 if $name =~ /^slow/;

    my $status = $name =~ /^absent/ ? '404 Not Found'
        : $name =~ /^error/ ? '500 Internal Server Error'
        : $name =~ /^teapot/ ? "418 I'm a teapot" : '200 OK';
    my $body = $status =~ /^200/ ? $photo : 'error';
    my $length = length $body;

    $body = substr $body, 0, 30000 if $name =~ /^short/ && $first;
    print $client "HTTP/1.1 $status\r\nContent-Length: $length\r\n"
        . ($name =~ /^private/ ? "Cache-Control: private\r\n" : '')
        . "ETag: \"$name\"\r\nConnection: close\r\n\r\n$body";
});

sub herd {
    my ($path, %o) = @_;
    my $leave = $o{leave};

    return Herd::gallop($o{n} || $n, sub {
        { port => $t->{port}, uri => $path,
            leave => $leave && $leave->($_[0]) }
    });
}

sub whole {
    return scalar grep { $_->{status} == 200 && $_->{body} eq $photo } @_;
}

sub asked { my ($name) = @_; return $t->origin_requests(qr/^$name$/) }

$t->redis_start;
$t->start;

# slow: the others go on by themselves when their time is over

my @responses = herd('/media/stall', leave => sub { 8 });

is whole(@responses), $n - 1, 'a stalled fetch: the others are answered';
my @times = sort { $a <=> $b } map { $_->{ms} }
    grep { $_->{status} } @responses;
cmp_ok $times[-1], '<', 2000 + 4000, 'within the timeout and their fetch';
cmp_ok $times[0], '>', 1500, 'having waited for it';
like $t->error_log, qr/media cache lock timed out/, 'which is logged';

# dead: another process takes over

my $pid = fork() // die "fork: $!";

if ($pid == 0) {
    my ($killed, @waiting);

    # who fetches has a connection to the origin

    for (1 .. 200) {
        last if asked('dead');
        sleep 0.01;
    }
    sleep 0.1;
    my %owner = map { /pid=(\d+)/ ? ($1 => 1) : () }
        grep { /:$t->{origin}\b.*nginx/ } `ss -Htnp state established`;
    kill 'KILL', keys %owner;
    $t->write_file('killed', join ' ', keys %owner);
    POSIX::_exit(0);
}

@responses = herd('/media/dead');
waitpid $pid, 0;

my @killed = split / /, $t->read_file('killed');

SKIP: {
    skip 'ss does not name processes', 3 unless @killed == 1;

    my @cut = grep { $_->{status} == 0 } @responses;
    cmp_ok scalar(@cut), '<', $n * 0.7, 'a killed process: not all are lost';
    is whole(@responses), $n - @cut, 'the others are answered';
    is asked('dead'), 2, 'by a second fetch';
}

# gone: the next one fetches

my $socket = $t->connect;
print $socket "GET /media/gone HTTP/1.1\r\nHost: localhost\r\n\r\n";
for (1 .. 100) {
    last if asked('gone');
    sleep 0.01;
}

@responses = do {
    my $closed;
    Herd::gallop($n, sub {
        close $socket if $_[0] == $n - 1 && !$closed++;
        { port => $t->{port}, uri => '/media/gone' }
    });
};

is whole(@responses), $n, 'a client that goes away: the others are answered';
is asked('gone'), 2, 'by a second fetch';
cmp_ok Herd::slowest(@responses), '<', 1900, 'which starts at once';

# those that wait go away

@responses = herd('/media/leave', leave => sub { $_[0] % 2 ? 0.15 : 0 });
is whole(@responses), $n / 2, 'half of the clients go away';
cmp_ok asked('leave'), '<=', 3, 'and a fetch is enough for the rest';

# errors

@responses = herd('/media/absent');
is scalar(grep { $_->{status} == 404 } @responses), $n,
    'an absent object is 404 for all';
cmp_ok Herd::slowest(@responses), '<', 1900, 'at once';

@responses = herd('/media/error', n => 30);
is scalar(grep { $_->{status} >= 500 } @responses), 30,
    'an error is one for all';
cmp_ok Herd::slowest(@responses), '<', 2000 + 1900, 'in bounded time';

# nobody leads two of them at a time before the timeout

cmp_ok asked('error'), '<=', 30, 'none asks twice';

@responses = herd('/media/short', n => 50);
cmp_ok whole(@responses), '>=', 49, 'a short body: the others are answered';
is asked('short'), 2, 'by a second fetch';

@responses = herd('/media/private');
is whole(@responses), $n, 'what must not be shared';
is asked('private'), $n, 'is fetched by each';

# an internal redirect of the one that fetches

@responses = herd('/moved/teapot', n => 20);
is whole(@responses), 20, 'an internal redirect: all are answered';
cmp_ok Herd::slowest(@responses), '<', 1900, 'at once';

# off

herd('/open/each', n => 20);
cmp_ok asked('each'), '>', 10, 'media_cache_lock off: each fetches';

# a reload, and a stop, while they wait

$pid = fork() // die "fork: $!";

if ($pid == 0) {
    sleep 0.7;
    $t->reload;
    POSIX::_exit(0);
}

@responses = herd('/media/slow1');
waitpid $pid, 0;
is whole(@responses), $n, 'a reload: all are answered';
is asked('slow1'), 1, 'by one fetch';

my @waiting = map {
    my $socket = $t->connect;
    print $socket "GET /media/slow2 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    $socket
} 1 .. 20;
sleep 0.3;

my $start = time();
ok $t->stop, 'worker processes ended';
cmp_ok time() - $start, '<', 5, 'when the fetch was over';

my $answered = grep { /^HTTP\/1\.1 200/ } map { <$_> } @waiting;
is $answered, 20, 'and all were answered';

is $t->alarms =~ s/^.*exited on signal 9.*\n?//mgr, '',
    'nothing alarming was logged';

done_testing;
