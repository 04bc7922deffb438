#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# What becomes of a file by each verdict of clamd: closed by default, else as
# configured; and a clamd that takes for clean what it did not look at is
# found out.

use strict;
use warnings;

use lib 't/lib';

use Clamd;
use File::Temp qw(tempdir);
use IO::Compress::Gzip qw(gzip);
use Job;
use Test::More;
use Time::HiRes qw(sleep time);
use Worker;

job_or_skip();
worker_or_skip();

my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $dir = tempdir(CLEANUP => 1);
my $away = "unix:$dir/nobody";

sub incoming {
    my ($bytes, $type) = @_;
    my ($id) = with_webhook($i, $bytes, $type ? (type => $type) : ());

    return ($id, run_job('download', $id)->{result});
}

sub scanned {
    my ($id) = @_;
    my ($hop) = grep { $_->{stage} eq 'scan' } hops($id);

    return $hop ? ($hop->{outcome}, $hop->{detail}) : ('', '');
}

sub answers {
    my ($answer, $code) = @_;

    clamd_fake(sub { read_stream($_[0]); print { $_[0] } $answer }, $code);
}

my $virus = "stream: Some.Virus FOUND\0";
my $limit = "stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND\0";
my $error = "stream: Cannot open ERROR\0";
my %accept = (MEDIA_SCAN_TOO_LARGE => 'accept', MEDIA_SCAN_ERROR => 'accept');

for my $case (
    # setting, answer, result, status, outcome of the hop, its detail
    [ {}, $virus, 'done', 'failed', 'failed', qr/virus: Some\.Virus$/ ],
    [ \%accept, $virus, 'done', 'failed', 'failed', qr/Some\.Virus$/ ],
    [ {}, $limit, 'done', 'failed', 'failed',
        qr/too large.*: Heuristics\.Limits\.Exceeded\.MaxScanSize$/ ],
    [ { MEDIA_SCAN_TOO_LARGE => 'accept' }, $limit, 'done', 'completed',
        'accepted', qr/^Heuristics\.Limits\.Exceeded\.MaxScanSize$/ ],
    [ { MEDIA_SCAN_ERROR => 'accept' }, $limit, 'done', 'failed', 'failed',
        qr/too large/ ],
    [ {}, $error, 'retry', 'pending', '', qr/^$/ ],
    [ { MEDIA_SCAN_ERROR => 'accept' }, $error, 'done', 'completed',
        'accepted', qr/^clamd: stream: Cannot open ERROR$/ ],
    [ { MEDIA_SCAN_TOO_LARGE => 'accept' }, $error, 'retry', 'pending', '',
        qr/^$/ ])
{
    my ($setting, $answer, $result, $status, $outcome, $detail) = @$case;
    my $name = join ' ', map({ "$_=$setting->{$_}" } sort keys %$setting),
        $answer =~ s/\0//r;

    local @ENV{keys %$setting} = values %$setting;

    answers($answer, sub {
        my ($id, $rc) = incoming('a text');
        my @hop = scanned($id);

        is($rc, $result, "$name: $result");
        is(job_row($id)->{status}, $status, "$name: $status");
        is($hop[0], $outcome, "$name: hop");
        like($hop[1], $detail, "$name: its detail");
    });
}

{
    local $ENV{CLAMD_ADDRESS} = $away;
    local $ENV{MEDIA_SCAN_ERROR} = 'accept';

    my ($id, $rc) = incoming('a text');

    is(job_row($id)->{status}, 'completed', 'no clamd, accepted');
    is_deeply([ scanned($id) ], [ 'accepted', 'clamd is away' ],
        'no clamd, accepted: a hop says so');
}


# however clamd is slow, it does not hold a child

for my $case (
    [ 'silent', sub { sleep 60 } ],
    [ 'does not read', sub { sleep 60 }, 'text ' x 1_000_000 ],
    [ 'a byte now and then', sub {
        read_stream($_[0]);
        print { $_[0] } 'x' or last, sleep 0.3 for 1 .. 200;
    } ])
{
    my ($name, $serve, $bytes) = @$case;

    local $ENV{MEDIA_SCAN_TIMEOUT} = '1s';

    clamd_fake($serve, sub {
        my $start = time;
        my ($id, $rc) = incoming($bytes // 'a text');

        is($rc, 'retry', "$name: tried again");
        is(job_row($id)->{status}, 'pending', "$name: pending");
        like(job_row($id)->{error_message}, qr/clamd did not answer/,
            "$name: why");
        cmp_ok(time - $start, '<', 40, "$name: in time");
    });
}


# values

for my $name (qw(ERROR INFECTED TOO_LARGE)) {
    local $ENV{"MEDIA_SCAN_$name"} = 'ignore';

    my ($rc, $out, $err) = run_worker({ %ENV }, $ENV{MEDIA_WORKER}, '-t');

    is($rc, 3, "MEDIA_SCAN_$name=ignore: refused");
    like($err, qr/MEDIA_SCAN_$name must be re\w+ or \w+/,
        "MEDIA_SCAN_$name=ignore: what it may be");
}

sub check {
    my ($address) = @_;

    return run_worker({ %ENV, CLAMD_ADDRESS => $address },
        $ENV{MEDIA_WORKER}, '-t');
}

my ($rc, $out, $err) = check($away);

is($rc, 0, '-t, no clamd: it may come');
like($err, qr/virus scanner: clamd is away/, '-t, no clamd: is told');


# limits of a real one

SKIP: {
    skip('clamd is not installed (clamav-daemon)', 1) unless clamd_program();

    my $text = 'text ' x 400_000 . eicar();
    my %limits = (MaxFileSize => '1M', MaxScanSize => '3M',
        StreamMaxLength => '10M');
    my %file = ('a large file' => [ $text ]);

    gzip(\$text, \my $gzip) or die;
    $file{'a small one that has a large one'} = [ $gzip, 'application/gzip' ];

    local $ENV{MEDIA_DOCUMENT_TYPES} = 'text/plain application/gzip';

    my $clamd = clamd_start(%limits) or BAIL_OUT('clamd does not start');

    ($rc, $out, $err) = check($clamd->{unix});
    is($rc, 0, '-t, AlertExceedsMax');
    like($err, qr/virus scanner: ready/, '-t, AlertExceedsMax: is told');

    for my $name (sort keys %file) {
        local $ENV{CLAMD_ADDRESS} = $clamd->{unix};

        my ($id, $result) = incoming(@{ $file{$name} });

        is(job_row($id)->{status}, 'failed', "$name: failed");
        like(job_row($id)->{error_message},
            qr/too large for the virus scanner: Heur.*MaxFileSize/,
            "$name: why");
    }

    clamd_stop($clamd);

    for my $blind ([ AlertExceedsMax => 'no' ], [ ScanArchive => 'no' ],
        [ MaxRecursion => 300 ])
    {
        my $name = join ' ', @$blind;

        $clamd = clamd_start(%limits, @$blind)
            or BAIL_OUT('clamd does not start');

        ($rc, $out, $err) = check($clamd->{unix});
        is($rc, 3, "-t, $name: refused");
        like($err, qr/clamd.conf needs AlertExceedsMax yes/,
            "-t, $name: what is wrong");

        local $ENV{CLAMD_ADDRESS} = $clamd->{unix};

        my ($id, $result) = incoming('a text');

        is($result, 'again', "$name: waits for a clamd that can be trusted");
        is(job_row($id)->{status}, 'pending', "$name: pending");
        is(job_row($id)->{attempts}, 0, "$name: not counted");

        ($id, $result) = incoming(eicar());
        is(job_row($id)->{status}, 'failed', "$name: a virus is one");

        local $ENV{MEDIA_SCAN_ERROR} = 'accept';

        ($id, $result) = incoming(eicar());
        is(job_row($id)->{status}, 'failed', "$name, accepted: still");

        ($id, $result) = incoming('a text');
        is(job_row($id)->{status}, 'completed', "$name, accepted: others");

        clamd_stop($clamd);
    }
}

done_testing();
