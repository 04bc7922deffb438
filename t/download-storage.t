#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# An attachment is completed only after its object was read back.  Between the
# worker and the S3 server stands one that drops connections, is slow down
# or says that the object has another length.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector plain_of sim sim_serve);
use IO::Socket::INET;
use Job;
use Test::More;

job_or_skip();
sim('reset');

my $v = vector('image-jpeg');
my $i = instance(tenant(), 'evolution');
my ($s3) = $ENV{S3_ENDPOINT_URL} =~ m{^http://([^/]+)}
    or plan(skip_all => 'the S3 server speaks TLS');

# one request a connection; change() gets method, path and the answer

sub between {
    my ($change, $code) = @_;
    my $listen = IO::Socket::INET->new(Listen => 50, ReuseAddr => 1,
        LocalAddr => '127.0.0.1') or die $!;
    my $pid = fork();

    if ($pid == 0) {
        while (my $client = $listen->accept()) {
            serve($client, $change);
            close $client;
        }

        exit 0;
    }

    {
        local $ENV{S3_ENDPOINT_URL} = 'http://127.0.0.1:' . $listen->sockport;

        close $listen;
        $code->();
    }

    kill 'TERM', $pid;
    waitpid $pid, 0;
}

sub serve {
    my ($client, $change) = @_;
    my ($head, $body, $answer) = ('', '', '');

    while ($head !~ /\r\n\r\n\z/) {
        sysread $client, $head, 1, length $head or return;
    }

    my ($method, $path) = $head =~ /^(\w+) (\S+)/;
    my ($length) = $head =~ /^content-length: *(\d+)/im;

    if ($head =~ /^expect: *100-continue/im) {
        syswrite $client, "HTTP/1.1 100 Continue\r\n\r\n";
        $head =~ s/^expect:.*\r\n//im;
    }

    while (length $body < ($length // 0)) {
        sysread $client, $body, $length - length $body, length $body
            or return;
    }

    my $server = IO::Socket::INET->new(PeerAddr => $s3) or die $!;

    $head =~ s/\r\n\r\n\z/\r\nConnection: close\r\n\r\n/;
    print $server $head, $body;
    $server->flush();
    1 while sysread $server, $answer, 65536, length $answer;

    # as a server that keeps connections, and then does not
    $answer =~ s/^connection:.*\r\n//im;
    syswrite $client, $change->($method, $path, $answer);
}

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
