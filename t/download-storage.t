#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# An attachment is completed only after its object was read back.  Between the
# worker and the S3 server stands one that drops connections, is slow down
# or says that the object has another length.

use strict;
use warnings;

use lib 't/lib';

use Between;
use E2E qw(vector plain_of sim sim_serve);
use Job;
use Test::More;

job_or_skip();
sim('reset');

my $v = vector('image-jpeg');
my $i = instance(tenant(), 'evolution');

plan(skip_all => 'the S3 server speaks TLS')
    if $ENV{S3_ENDPOINT_URL} !~ m{^http:};

sub download {
    sim_serve($v);

    my $id = attachment($i, source_of($v));

    return ($id, run_job('download', $id)->{result});
}

between(sub { $_[2] }, sub {
    my ($id, $result) = download();
    my $row = job_row($id);

    is($row->{status}, 'completed', 'dropped connections: completed');
    ok(object($row->{storage_key}) eq plain_of($v),
        'dropped connections: in full');
    isnt($row->{thumbnail_url}, '', 'dropped connections: thumbnail');
});

between(sub {
    my ($method, $path, $answer) = @_;

    return $method eq 'PUT' ? "HTTP/1.1 503 Slow Down\r\n"
        . "Content-Length: 0\r\n\r\n" : $answer;
}, sub {
    my ($id, $result) = download();

    is($result, 'again', 'slow down: later');
    is(job_row($id)->{status}, 'pending', 'slow down: pending');
    is(job_row($id)->{attempts}, 0, 'slow down: not counted');
});

between(sub {
    my ($method, $path, $answer) = @_;

    $answer =~ s/^content-length: *\d+/Content-Length: 17/im
        if $method eq 'HEAD';
    return $answer;
}, sub {
    my ($id, $result) = download();

    is($result, 'again', 'another length: later');
    is(job_row($id)->{status}, 'pending', 'another length: not completed');
    is(scalar(events($id)), 0, 'another length: nothing told');
});

between(sub {
    my ($method, $path, $answer) = @_;

    return $method eq 'HEAD' && $path =~ /_thumb\.jpg$/
        ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" : $answer;
}, sub {
    my ($id, $result) = download();

    is($result, 'again', 'no thumbnail there: later');
    is(job_row($id)->{status}, 'pending', 'no thumbnail there: pending');
});

done_testing();
