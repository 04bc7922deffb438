#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A child that works on an upload is killed at each of its requests, before
# and after S3 has done what it was asked, and in its transactions.  The job
# that is delivered again takes over: there is one row, one object, one event
# and one send.

use strict;
use warnings;

use lib 't/lib';

use Between;
use E2E qw(vector plain_of sql_row wait_until object_keys lock_table
    unlock_table);
use File::Temp qw(tempdir);
use Job;
use Test::More;
use Time::HiRes qw(sleep);
use Upload;
use Worker;

job_or_skip();
worker_or_skip(qw(RABBITMQ_URL MEDIA_DEV_DIR));
plan(skip_all => 'the S3 server speaks TLS')
    if $ENV{S3_ENDPOINT_URL} !~ m{^http:};

my $i = instance(tenant(), 'evolution');
my $jpeg = plain_of(vector('image-jpeg'));
my $dir = tempdir(CLEANUP => 1);
my $file = '/chat/.*_file\.jpg$';

# the number says which of the requests like this one it is

my @requests = (
    [ 'looks for the copy',   'HEAD',   '\.sealed$',               1 ],
    [ 'copies it aside',      'PUT',    '\.sealed$',               1 ],
    [ 'reads the copy back',  'HEAD',   '\.sealed$',               2 ],
    [ 'fetches',              'GET',    '\.sealed$',               1 ],
    [ 'stores',               'PUT',    $file,                     1 ],
    [ 'reads it back',        'HEAD',   $file,                     1 ],
    [ 'stores the thumbnail', 'PUT',    '_thumb\.jpg$',            1 ],
    [ 'empties',              'DELETE', '/uploads/[^.]*$',         1 ],
    [ 'empties all',          'DELETE', '/uploads/.*\.sealed$',    1 ]);

s3();

for my $request (@requests) {
    my ($name, @match) = @$request;

    for my $when (qw(before after)) {
        my $c = claims($i, $jpeg);
        my $etag = put_file($c->{upload_key}, $jpeg);
        my $job = job_of('upload_complete', $c, etag => $etag);

        killed_at($when, $job, @match);
        whole($c, $job, "$name, $when");
    }
}


# nobody gets to a table: in the first transaction, and in the last

for my $table (qw(uploads sends events)) {
    my $c = claims($i, $jpeg);
    my $etag = put_file($c->{upload_key}, $jpeg);
    my $job = job_of('upload_complete', $c, etag => $etag);
    my $lock = lock_table($table);
    my $pid = start_job($job);

    ok(wait_until(20, sub { (sql_row('SELECT count(*) FROM pg_locks WHERE '
        . "relation = 'media.$table'::regclass AND NOT granted"))[0] }),
        "$table: waits");
    kill 'KILL', $pid;
    waitpid $pid, 0;
    unlock_table($lock);
    whole($c, $job, "waits for $table");
}

{
    my $c = claims($i, $jpeg);
    my $etag = put_file($c->{upload_key}, $jpeg);
    my $job = job_of('upload_complete', $c, etag => $etag);
    my $lock;

    between(sub {
        my ($method, $path, $answer) = @_;

        if ($method eq 'HEAD' && $path =~ /_thumb\.jpg$/) {
            touch("$dir/reached");
            wait_until(20, sub { -e "$dir/locked" });
        }

        return $answer;
    }, sub {
        unlink "$dir/reached";

        my $pid = start_job($job);

        wait_until(20, sub { -e "$dir/reached" });
        $lock = lock_table('sends');
        touch("$dir/locked");
        ok(wait_until(20, sub { (sql_row('SELECT count(*) FROM pg_locks WHERE '
            . "relation = 'media.sends'::regclass AND NOT granted"))[0] }),
            'completion: waits');
        kill 'KILL', $pid;
        waitpid $pid, 0;
    });

    unlock_table($lock);
    whole($c, $job, 'completion');
}


# through the queue, each message twice, while children are killed at random

my @uploads = map {
    my $c = claims($i, $jpeg);

    [ $c, put_file($c->{upload_key}, $jpeg) ];
} 1 .. 20;
my $killed = 0;

for my $upload (@uploads) {
    my ($c, $etag) = @$upload;
    my @jobs = (job_of('upload_issued', $c),
        job_of('upload_complete', $c, etag => $etag));

    publish('media', /upload_complete/ ? 'media_send' : 'media_upload', $_)
        for @jobs, reverse @jobs;
    $killed += kill_child() if rand() < 0.4;
}

for (1 .. 10) {
    $killed += kill_child();
    sleep 0.2;
}

cmp_ok($killed, '>', 5, "$killed children killed");

my @unfinished = @uploads;

ok(wait_until(120, sub {
    @unfinished = grep { (upload_row($_->[0])->{state} // '')
        ne 'finished' } @unfinished;
    return !@unfinished;
}), 'all are finished') or diag(scalar(@unfinished) . ' are not');

for my $upload (@uploads) {
    one_of_each($upload->[0], 'through the queue');
}

ok(wait_until(60, sub {
    return !grep { my $key = $_; grep { index($key, $_->[0]{upload_key}) == 0 }
        @uploads } object_keys("uploads/$i->{tenant}/");
}), 'the quarantine is empty in the end');

done_testing();


# the job until its n-th such request, and its end there

sub killed_at {
    my ($when, $job, $method, $path, $n) = @_;
    my $seen = 0;
    my $hold = sub {
        my ($now, $m, $p) = @_;

        return if $now ne $when || $m ne $method || $p !~ /$path/
            || ++$seen != $n;

        touch("$dir/reached");
        sleep 60;
    };

    unlink "$dir/reached";

    between(sub { $hold->('after', @_[0, 1]); return $_[2] }, sub {
        my $pid = start_job($job);

        ok(wait_until(20, sub { -e "$dir/reached" }),
            "$when $method $path: reached");
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }, sub { $hold->('before', @_) });
}


sub start_job {
    my ($job) = @_;
    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec job_program(), 'upload', $job;
        exit 1;
    }

    return $pid;
}


# its database session ends with the child, and the lease with the session

sub whole {
    my ($c, $job, $name) = @_;

    ok(wait_until(20, sub { run_upload($job) eq 'done' }),
        "$name: taken over");
    one_of_each($c, $name);
    ok(!exists_key($c->{upload_key}), "$name: the quarantine is empty");
    ok(!exists_key("$c->{upload_key}.sealed"), "$name: of the copy, too");
}


sub one_of_each {
    my ($c, $name) = @_;
    my $row = job_row($c->{attachment_id});
    my @ready = grep { $_->{type} eq 'attachment_ready' }
        events($c->{attachment_id});
    my @objects = grep { /\Q$c->{file_key}\E$/ }
        object_keys($c->{file_key});

    is($row->{status}, 'completed', "$name: completed")
        or diag($row->{error_message});
    is(scalar @ready, 1, "$name: one event");
    is(scalar @objects, 1, "$name: one object");
    is(scalar(my @sends = sends_of($c)), 1, "$name: one send");
    is($sends[0]{ready}, 't', "$name: that is ready");
    ok(object($c->{file_key}) eq $jpeg, "$name: in full");
}


sub kill_child {
    open my $f, '<', "$ENV{MEDIA_DEV_DIR}/run/media-worker.pid" or return 0;

    my ($master) = <$f> =~ /^(\d+)/;
    my %child = children($master);
    my @pids = grep { $child{$_} =~ /^media_(?:send|upload)$/ } keys %child;

    return @pids ? kill('KILL', $pids[rand @pids]) : 0;
}


sub touch {
    my ($name) = @_;

    open my $f, '>', $name or die "$name: $!\n";
}
