#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Incoming media is scanned for viruses before anything of it can be read,
# whichever way it comes; what is infected is kept nowhere.

use strict;
use warnings;

use lib 't/lib';

use Clamd;
use E2E qw(vector plain_of sim sim_serve sql_row object_keys get
    data_dir slurp wait_until);
use File::Temp qw(tempdir);
use Job;
use JSON::PP;
use MIME::Base64;
use Test::More;

job_or_skip();
sim('reset');

my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $v = vector('image-jpeg');
my $picture = slurp(data_dir() . '/image-png.plain');
my $dir = tempdir(CLEANUP => 1);

sub write_file {
    my ($name, @text) = @_;

    open my $f, '>', $name or die "$name: $!\n";
    print $f @text;
    close $f;
}

sub from_cdn {
    sim_serve($v);
    return attachment($i, source_of($v), file_name => 'file.jpg');
}

sub stored_keys { return object_keys("chat/$tenant/") }

sub key_of {
    my ($id, $name) = @_;

    return "chat/$tenant/$i->{conversation}/" . substr($id, 0, 8) . "_$name";
}

sub refused {
    my ($id, $virus, $name) = @_;
    my $row = job_row($id);
    my @failed = grep { $_->{type} eq 'attachment_failed' } events($id);
    my @hops = grep { $_->{stage} eq 'scan' } hops($id);
    my $reason = qr/^the file contains a virus: $virus/;

    is($row->{status}, 'failed', "$name: failed");
    like($row->{error_message}, $reason, "$name: names the virus");
    is($row->{file_url}, '', "$name: has no address");
    is(scalar @failed, 1, "$name: an event");
    like($failed[0]{payload}{error}, $reason, "$name: which names it, too");
    is($hops[-1]{outcome}, 'failed', "$name: a hop");
    like($hops[-1]{detail}, $reason, "$name: which names it, too");
    is_deeply([ grep { /\Q@{[ substr $id, 0, 8 ]}\E/ } stored_keys() ], [],
        "$name: nothing is stored");
}


SKIP: {
    skip('clamd is not installed (clamav-daemon)', 1) unless clamd_program();

    my $clamd = clamd_start(infected => [ plain_of($v), $picture ])
        or BAIL_OUT('clamd does not start');

    local $ENV{CLAMD_ADDRESS} = $clamd->{unix};

    my ($id, $body) = with_webhook($i, 'a text');

    is(run_job('download', $id)->{result}, 'done', 'clean: done');
    is(job_row($id)->{status}, 'completed', 'clean: completed');
    is_deeply([ map { $_->{outcome} } grep { $_->{stage} eq 'scan' }
        hops($id) ], [ 'ok' ], 'clean: a hop');

    ($id, $body) = with_webhook($i, eicar());
    is(run_job('download', $id)->{result}, 'done', 'webhook: done');
    refused($id, 'Eicar-Test', 'webhook');
    is_deeply([ object_keys($body) ], [], 'webhook: its body is deleted');

    my ($other) = with_webhook($i, 'a text', body_key => $body);

    ($id) = with_webhook($i, eicar(), body_key => $body);
    run_job('download', $id);
    refused($id, 'Eicar-Test', 'one of two');
    is_deeply([ object_keys($body) ], [ $body ],
        'one of two: the other one needs the body');
    write_file("$dir/body", '{"data":{"message":{"base64":"',
        encode_base64('a text', ''), '"}}}');
    run_program('put', $body, "$dir/body", 'application/json');
    run_job('download', $other);
    is(job_row($other)->{status}, 'completed', 'one of two: the other one');

    # declared as what it is not: the virus is what is told
    ($id) = with_webhook($i, eicar(), type => 'image/jpeg');
    run_job('download', $id);
    refused($id, 'Eicar-Test', 'declared as a picture');

    $id = from_cdn();
    is(run_job('download', $id)->{result}, 'done', 'CDN: done');
    refused($id, 'Test-1', 'CDN');

    is_deeply([ object_keys("quarantine/$tenant/") ], [],
        'no quarantine unless there is to be one');

    {
        local $ENV{MEDIA_SCAN_INFECTED} = 'quarantine';

        ($id) = with_webhook($i, eicar());
        run_job('download', $id);
        refused($id, 'Eicar-Test', 'quarantine');

        my $key = "quarantine/$tenant/$id";
        my $url = "$ENV{MEDIA_PUBLIC_URL}$key";

        is(object($key), eicar(), 'quarantine: there it is');
        ok((grep { $_->{stage} eq 'quarantine' && $_->{detail} eq $key }
            hops($id)), 'quarantine: a hop names it');
        cmp_ok(get($url)->{status}, '>=', 400,
            'quarantine: nginx does not serve it, with a signature');
        cmp_ok(get("$url?")->{status}, '>=', 400, 'quarantine: nor without');
    }

    # of a profile picture
    my $path = "/v/t61.24694-24/scan_$$" . '_n.jpg';

    sim(media => { path => $path, file => data_dir() . '/image-png.plain',
        unsigned => 1 });
    is(run_job('profile', encode_json({ tenant_id => $tenant,
        instance_id => "$i->{id}", phone => '5511987654321',
        url => "https://pps.whatsapp.net$path?ccb=11-4&oh=01_x&oe=7AA2BB25"
        }))->{result}, 'done', 'profile picture: done');
    is_deeply([ object_keys("profile_pics/$tenant/") ], [],
        'profile picture: nothing is stored');

    # clamd goes away and comes back

    is(clamd_stop($clamd), 0, 'clamd ended');
    ($id) = with_webhook($i, 'a text');
    is(run_job('download', $id)->{result}, 'again', 'no clamd: waits');
    is(job_row($id)->{status}, 'pending', 'no clamd: pending');
    is(job_row($id)->{attempts}, 0, 'no clamd: not counted');

    $clamd = clamd_start() or BAIL_OUT('clamd does not start');
    $ENV{CLAMD_ADDRESS} = $clamd->{unix};
    is(run_job('download', $id)->{result}, 'done', 'clamd is back: done');
    is(job_row($id)->{status}, 'completed', 'clamd is back: completed');
    clamd_stop($clamd);
}


# nothing can be read while clamd looks at it

for my $case ([ 'OK', 'completed' ], [ 'Some.Virus FOUND', 'failed' ]) {
    my ($verdict, $status) = @$case;

    unlink "$dir/scanning", "$dir/go";

    clamd_fake(sub {
        my ($s) = @_;

        read_stream($s);
        write_file("$dir/scanning");
        wait_until(60, sub { -e "$dir/go" });
        print $s "stream: $verdict\0";
    }, sub {
        my $id = from_cdn();
        my $key = key_of($id, 'file.jpg');
        my $pid = fork() // die "fork: $!\n";

        if ($pid == 0) {
            run_job('download', $id);
            exit 0;
        }

        ok(wait_until(60, sub { -e "$dir/scanning" }), "$verdict: scanning");

        my @stored = grep { /^\Q$key\E/ } stored_keys();
        my @url = map { "$ENV{MEDIA_PUBLIC_URL}$key$_" } '', '_thumb.jpg';

        is_deeply(\@stored, [], "$verdict: nothing is in S3 meanwhile");
        is(get($_)->{status}, 404, "$verdict: nothing can be read") for @url;
        is(job_row($id)->{file_url}, '', "$verdict: there is no address");
        is_deeply([ grep { $_->{type} eq 'attachment_ready' } events($id) ],
            [], "$verdict: nobody was told");

        write_file("$dir/go");
        waitpid $pid, 0;
        is(job_row($id)->{status}, $status, "$verdict: $status");
        is(scalar(grep { /^\Q$key\E/ } stored_keys()),
            $status eq 'completed' ? 2 : 0, "$verdict: what is in S3 then");
    });
}

done_testing();
