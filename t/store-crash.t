#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# An object of media_store is whole or not there: kill -9 while objects come,
# clients that go away, and writers of the same key at the same time.

use strict;
use warnings;

use lib 't/lib';

use POSIX ();
use Store;
use Test::More;
use Time::HiRes qw(sleep);

my $s = Store->new()->start();
my $size = 3000000;

is $s->put('/bucket', '')->{status}, 200, 'bucket';

# every body is one letter over and over: a mixed one shows


sub put_fast {
    my ($path, $letter) = @_;
    return $s->put($path, $letter x $size, hash => 'UNSIGNED-PAYLOAD');
}

# the client goes away in the middle

for my $part (0, 1, 100000, 2000000) {
    my $bytes = $s->request('PUT', '/bucket/gone', body => 'g' x $size,
        hash => 'UNSIGNED-PAYLOAD');
    my $socket = $s->connect();
    syswrite $socket, substr $bytes, 0, length($bytes) - $size + $part;
    sleep 0.05;
    close $socket;
}

sleep 0.3;
is $s->get('/bucket/gone')->{code}, 'NoSuchKey', 'aborted: no object';
is scalar(my @left = glob "$s->{dir}/data/.tmp/*"), 0,
    'aborted: no temporary file';

# many writers of one key, and a reader

my @pids;

for my $letter ('a' .. 'd') {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my $bad = 0;
        for (1 .. 10) {
            $bad++ if put_fast('/bucket/same', $letter)->{status} != 200;
        }
        POSIX::_exit($bad);
    }
    push @pids, $pid;
}

my $torn = 0;

for (1 .. 20) {
    my $a = $s->get('/bucket/same');
    $torn++ if $a->{status} == 200
        && $a->{body} ne substr($a->{body}, 0, 1) x $size;
}

my $failed = 0;

for (@pids) {
    waitpid $_, 0;
    $failed++ if $?;
}

is $failed, 0, 'all writers were answered 200';
is $torn, 0, 'no reader saw two bodies in one';

# directories come and go under writers

@pids = map {
    my $n = $_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my $bad = 0;
        for (1 .. 100) {
            my $p = "/bucket/x/y/z/$n";
            $bad++ if $s->put($p, 'small')->{status} != 200;
            $bad++ if $s->del($p)->{status} != 204;
        }
        POSIX::_exit($bad ? 1 : 0);
    }
    $pid;
} 1 .. 4;

$failed = 0;

for (@pids) {
    waitpid $_, 0;
    $failed++ if $?;
}

is $failed, 0, 'no put failed for a directory that went';

# kill -9 in the middle of puts

my ($partial, $missing, $rounds) = (0, 0, 6);

for my $round (1 .. $rounds) {
    my $list = "$s->{dir}/acked";
    $s->write($list, '');

    my $pid = fork // die "fork: $!";
    if (!$pid) {
        for my $n (1 .. 1000) {
            my $a = eval { put_fast("/bucket/r$round/$n", 'p') } or last;
            last if $a->{status} != 200;
            open my $f, '>>', $list;
            print $f "$n\n";
            close $f;
        }
        POSIX::_exit(0);
    }

    sleep 0.1 + $round * 0.037;
    $s->kill9();
    waitpid $pid, 0;
    $s->start();

    my $xml = $s->get('/bucket', query => "prefix=r$round%2F")->{body};
    my %seen = map { $_ => 1 } $xml =~ m{<Key>r\d+/(\d+)</Key>}g;

    for my $n (keys %seen) {
        $partial++ if $s->get("/bucket/r$round/$n")->{body} ne 'p' x $size;
    }

    open my $f, '<', $list or die $!;
    while (<$f>) {
        chomp;
        $missing++ if !$seen{$_};
    }
}

is $partial, 0, 'kill -9: no object is partial';
is $missing, 0, 'kill -9: no object that was answered is missing';

# what a killed process left is removed once it is old

my $stale = "$s->{dir}/data/.tmp/stale1";
my $fresh = "$s->{dir}/data/.tmp/fresh1";
$s->write($_, 'x') for $stale, $fresh;
utime time - 7200, time - 7200, $stale;
$s->stop();
$s->start();
sleep 0.2;
ok !-e $stale, 'stale temporary file removed';
ok -e $fresh, 'one that may be in use kept';
is $s->complaints(), '', 'no alert';

done_testing();
