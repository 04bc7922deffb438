#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The worker's counters for Prometheus: jobs of all children, and verdicts of
# the virus scanner.

use strict;
use warnings;

use lib 't/lib';

use Clamd;
use HTTP::Tiny;
use IO::Socket::INET;
use Job;
use JSON::PP;
use Prometheus;
use Test::More;
use Worker;
use E2E qw(wait_until);

job_or_skip();
worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL S3_ENDPOINT_URL));

my $json = JSON::PP->new->canonical->utf8;
my $http = HTTP::Tiny->new(timeout => 10);
my $port = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    ->sockport;
my $url = "http://127.0.0.1:$port/metrics";
my $i = instance(tenant(), 'evolution');
my %own = (MEDIA_METRICS_LISTEN => "127.0.0.1:$port",
    MEDIA_CHILDREN_INBOUND => 0, MEDIA_CHILDREN_PRIORITY => 0,
    MEDIA_CHILDREN_UPLOAD => 0, MEDIA_CHILDREN_DOWNLOAD => 3);

sub metrics {
    my $r = $http->get($url);

    is($r->{status}, 200, 'GET /metrics');
    is($r->{headers}{'content-type'}, 'text/plain; version=0.0.4',
        'its type');

    my $values = eval { Prometheus::read_text($r->{content}) };

    is($@, '', 'Prometheus reads it');
    return $values // {};
}


# the children of the servers' own worker take some of the jobs, and have no
# scanner: what failed by a virus was scanned here

clamd_fake(sub {
    my ($s, $piece) = @_;

    read_stream($s);
    print $s $piece =~ /virus/ ? "stream: Some.Virus FOUND\0"
        : $piece =~ /large/ ? "stream: Heuristics.Limits.Exceeded.MaxFileSize"
        . " FOUND\0" : "stream: OK\0";
}, sub {
    my $pid = start_worker(%own, CLAMD_ADDRESS => $ENV{CLAMD_ADDRESS});
    my $before = metrics();

    is(scalar(keys %$before), 5 * 4 + 4, 'all are there');
    is_deeply([ grep { $_ } values %$before ], [], 'and 0');

    my %ids;

    for my $what (('a virus', 'too large') x 12) {
        my ($id) = with_webhook($i, $what);

        push @{ $ids{$what} }, $id;
        publish('media', 'media_download',
            $json->encode({ attachment_id => $id }));
    }

    ok(wait_until(60, sub {
        !grep { job_row($_)->{status} !~ /^(?:failed|completed)$/ }
            map { @$_ } values %ids;
    }), 'all are done');

    my %failed = map { my $what = $_; $what => scalar grep {
        job_row($_)->{status} eq 'failed' } @{ $ids{$what} } } keys %ids;

    cmp_ok($failed{'a virus'}, '>', 0, 'some were scanned');

    # a job is counted when its rows are there already
    wait_until(10, sub {
        my $r = Prometheus::read_text($http->get($url)->{content});

        return $r->{'media_worker_jobs_total{queue="media_download",'
            . 'result="done"}'} >= $failed{'a virus'} + $failed{'too large'};
    });

    my $after = metrics();

    is($after->{'media_worker_scans_total{verdict="infected"}'},
        $failed{'a virus'}, 'infected');
    is($after->{'media_worker_scans_total{verdict="too_large"}'},
        $failed{'too large'}, 'beyond its limits');
    # what other tests left in the queue is among them
    cmp_ok($after->{'media_worker_jobs_total{queue="media_download",'
        . 'result="done"}'}, '>=', $failed{'a virus'} + $failed{'too large'},
        'jobs');

    my %children = children($pid);
    my ($child) = grep { $children{$_} eq 'media_download' } keys %children;

    kill 'KILL', $child;
    ok(wait_log($pid, qr/killed by signal 9/), 'a child is killed');
    is(metrics()->{'media_worker_scans_total{verdict="infected"}'},
        $failed{'a virus'}, 'what it counted stays');

    is($http->get("http://127.0.0.1:$port/")->{status}, 404, 'another path');
    is($http->post($url)->{status}, 405, 'another method');
    is($http->post($url)->{headers}{allow}, 'GET, HEAD', 'what it may be');
    cmp_ok($http->head($url)->{headers}{'content-length'}, '>', 100, 'HEAD');

    my $slow = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port);

    print $slow 'GET /metr';
    metrics();
    is(stop_worker($pid), 0, 'it stops, whoever is connected');
});


# values

for my $value ('9464', 'unix:/run/metrics', '/metrics:1') {
    my ($rc, $out, $err) = run_worker({ %ENV,
        MEDIA_METRICS_LISTEN => $value }, $ENV{MEDIA_WORKER}, '-t');

    is($rc, 3, "MEDIA_METRICS_LISTEN=$value: refused");
    like($err, qr/MEDIA_METRICS_LISTEN must be host:port/, 'why');
}

done_testing();
