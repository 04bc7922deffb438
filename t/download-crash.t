#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A child that is killed while it works holds nobody back: the job that the
# broker delivers again takes over, and there is one object, one event.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector plain_of sim data_dir sim_requests wait_until);
use Job;
use Test::More;
use Time::HiRes qw(sleep);

job_or_skip();
sim('reset');

my $v = vector('image-jpeg');
my $i = instance(tenant(), 'evolution');
my $program = job_program();

for my $delay (0, 0.02, 0.05, 0.1, 0.3) {
    my $path = "/v/t62.7118-24/crash_$$" . ($delay * 100) . '_n.enc';

    sim(media => { path => $path, file => data_dir() . "/$v->{enc}" });
    sim(fault => { path => $path, times => 1, rate => 150_000 });

    my $id = attachment($i, source_of($v,
        direct_path => "$path?oh=1&oe=7AA2BB25"));
    my $pid = fork();

    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        exec $program, 'download', $id;
        exit 1;
    }

    # the CDN takes two thirds of a second from here on
    wait_until(5, sub { scalar sim_requests(qr/\Q$path\E/) });
    sleep($delay);
    kill 'KILL', $pid;
    waitpid $pid, 0;
    isnt(job_row($id)->{status}, 'failed', "$delay s: not failed");

    # its database session ends with it, and the lease with the session
    ok(wait_until(5, sub { run_job('download', $id)->{result} eq 'done' }),
        "$delay s: delivered again, taken over");

    my $row = job_row($id);

    is($row->{status}, 'completed', "$delay s: completed");
    ok(object($row->{storage_key}) eq plain_of($v), "$delay s: in full");
    is(scalar(events($id)), 1, "$delay s: one event");
}

done_testing();
