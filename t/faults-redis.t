#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Whatever Redis does, objects arrive from S3: every request is answered 200
# with the right bytes, none waits for much longer than media_redis_timeout,
# the log says so once, and hits come back when Redis does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fault;
use Test::More;
use Time::HiRes qw(sleep);

use constant { TIMEOUT => 100, SLACK => 300 };      # ms; the machine is busy

my $n = 0;
my $t = Fault->new;
my @uris = map { $t->object("chat/t$_/c/" . ('a' .. 'z')[$_] . '.jpg',
    1 + $_ * 4000) } 0 .. 19;

$t->up;

sub stream { return $t->stream(uris => \@uris, n => 160, pause => 0.02, @_) }

sub all_hit {
    for (1 .. 20) {
        my $s = $t->stream(uris => \@uris, n => 40, clients => 2);

        return 1 if join('', keys %{ $s->{outcomes} }) eq '200 HIT redis';
    }

    return 0;
}

stream();
ok all_hit(), 'all objects are hits';

my $base = stream();

$t->report('redis is well', $base);
is_deeply [ keys %{ $base->{outcomes} } ], [ '200 HIT redis' ],
    'redis is well';

# name, what breaks it, what is logged (undef: nothing), what mends it

my @faults = (
    [ 'killed', sub { $t->redis_stop }, qr/redis \S+: /,
        sub { $t->redis_start } ],
    [ 'stopped (SIGSTOP)', sub { $t->redis_signal('STOP') }, qr/timed out/,
        sub { $t->redis_signal('CONT') } ],
    [ 'silent', sub { $t->redis_fault('pause') }, qr/timed out/ ],
    [ 'garbage', sub { $t->redis_fault('garbage') }, qr/invalid reply/ ],
    [ '-LOADING', sub { $t->redis_fault('answer',
        text => '-LOADING Redis is loading the dataset in memory') },
        qr/LOADING/ ],
    [ '-LOADING after a start', sub { $t->redis_fault('greeting',
        text => '-LOADING Redis is loading the dataset in memory');
        $t->redis('CLIENT', 'KILL', 'TYPE', 'normal') }, qr/loading/ ],
    [ '-MOVED', sub { $t->redis_fault('answer',
        text => '-MOVED 3999 127.0.0.1:6381') }, qr/MOVED/ ],
    [ '-NOAUTH', sub { $t->redis_fault('answer',
        text => '-NOAUTH Authentication required.') }, qr/NOAUTH/ ],
    [ '-WRONGPASS', sub {
        $t->redis('CONFIG', 'SET', 'requirepass', 'another');
        $t->{redis_password} = 'another';
        $t->redis('CLIENT', 'KILL', 'TYPE', 'normal') }, qr/password/,
        sub { my $word = $t->secrets->{redis_password};
            $t->redis('CONFIG', 'SET', 'requirepass', $word);
            $t->{redis_password} = $word } ],
    [ '-READONLY', sub { $t->redis_fault('answer', text =>
        q{-READONLY You can't write against a read only replica.}) },
        qr/READONLY/ ],
    [ '-OOM, nothing stored', sub {
        $t->redis('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
        $t->redis('FLUSHALL');
        $t->flush_disk;
        $t->redis('CONFIG', 'SET', 'maxmemory', '1') }, qr/OOM/,
        sub { $t->redis('CONFIG', 'SET', 'maxmemory', '0') } ],
    [ 'emptied', sub { $t->redis('FLUSHALL') }, undef ],
    [ 'cut within a bulk', sub { $t->redis_fault('cut', after => 700) },
        qr/closed|reset|redis/ ],
    [ 'cut within a length', sub { $t->redis_fault('cut', after => 2) },
        qr/closed|reset|redis/ ],
    [ 'a byte per 100 ms', sub { $t->redis_fault('trickle', bytes => 1,
        ms => 100) }, qr/timed out/ ],
    [ 'late by 300 ms', sub { $t->redis_fault('delay', ms => 300) },
        qr/timed out/ ],
    [ 'late by 5 ms', sub { $t->redis_fault('delay', ms => 5) }, undef ],
    [ 'lengths too long', sub { $t->redis_fault('corrupt', by => 100) },
        qr/redis/ ],
    [ 'lengths too short', sub { $t->redis_fault('corrupt', by => -7) },
        qr/redis|damaged/ ],
    [ 'connections reset', sub { $t->redis_fault('reset') }, qr/redis/ ],
    [ 'proxy gone', sub { $t->end_group('redis') }, qr/redis/,
        sub { $t->redis_relay } ],
);

for my $fault (@faults) {
    my ($name, $break, $pattern, $mend) = @$fault;

    next if $ENV{FAULT} && $name !~ /$ENV{FAULT}/;

    $t->mark;
    $break->();

    my $s = stream();

    $t->report($name, $s);
    ok $s->{ok} && $s->{n} == 160, "$name: each answer is 200, and right";
    cmp_ok $s->{p99}, '<', $base->{p99} + TIMEOUT + SLACK,
        "$name: nobody waits for longer than the timeout";

    if ($pattern) {
        ok scalar($t->logged('info', $pattern)), "$name: the log says so";
    }

    # a line of each connection or command of the two worker processes

    my @lines = $t->logged('error', 'redis');

    if ($pattern) {
        ok scalar(@lines), "$name: as an error";
    }

    cmp_ok scalar(@lines), '<=', $pattern ? 12 : 0,
        "$name: once, not for each request" or diag(join "\n", @lines);

    ($mend // sub { })->();
    $t->redis_fault('ok');
    ok all_hits_again(), "$name: hits come back";

    sleep 1.1;          # what fails again within a second is the same series
}

# those that were stored, and a new one

sub all_hits_again {
    my $new = $t->object('chat/t/c/new-' . ++$n . '.jpg', 1000);

    $t->wait_outcome($_, qr/redis/) for @uris, $new;
    return all_hit() && $t->outcome($new) eq '200 HIT redis';
}

unlike $t->error_log, qr/\Q$t->{redis_password}\E/,
    'the password is not logged';
ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
