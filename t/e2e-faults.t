#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# While webhooks come in, worker children are killed at every stage of their
# work and Redis, RabbitMQ, PostgreSQL and S3 are killed and started again.
# Every webhook that was answered 200 ends in exactly one row and one object.
#
# FAULT_MESSAGES is the number of webhooks (60).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);
use E2E;

env_or_skip();
plan(skip_all => 'MEDIA_DEV_DIR is not set: run by ./dev test')
    unless $ENV{MEDIA_DEV_DIR};

my $n = $ENV{FAULT_MESSAGES} || 60;
my $tenant = "fault$$";
my $instance = "fault-evolution-$$";
my @kinds = qw(image-jpeg audio-ptt-ogg-opus document-pdf
    sticker-static-webp);

add_tenant($tenant);
add_instance($tenant, 'evolution', $instance);

for my $kind (@kinds) {
    my $v = vector($kind);

    sim_serve($v);

    # slow enough that a child is met in the middle of its fetch
    sim(fault => { path => (split /\?/, $v->{directPath})[0],
        rate => 60000 });
}

my @ids = map { unique_id() } 1 .. $n;
my $sender = fork // die "fork: $!\n";

if ($sender == 0) {
    exit send_all();
}

my $killed = 0;
my @services = (qw(redis rabbitmq postgres s3)) x (1 + int($n / 250));

# a backend every few seconds, children in between
for my $service (@services) {
    for (1 .. 6) {
        $killed += kill_child();
        sleep 0.7;
    }

    ok(restart($service), "$service was killed and started again");
}

ok($killed > 0, "$killed children were killed");

my $status = wait_until(300, sub {
    return waitpid($sender, WNOHANG) == $sender ? 'ended' : undef;
});

is($status, 'ended', 'all webhooks were accepted in the end');
is($?, 0, 'none was refused for good');

for my $kind (@kinds) {
    sim(fault => { path => (split /\?/, vector($kind)->{directPath})[0],
        remove => 1 });
}

my %count;

wait_until(240, sub {
    %count = map { $_->[0] => $_->[1] } sql('SELECT status, count(*) FROM '
        . "media.message_attachments WHERE tenant_id = '$tenant' "
        . 'GROUP BY status');

    return ($count{completed} // 0) == $n;
});

is_deeply(\%count, { completed => $n }, "$n attachments, all completed")
    or diag(join "\n", map { join ' ', @$_ } sql('SELECT id, status, '
        . 'attempts, error_message FROM media.message_attachments WHERE '
        . "tenant_id = '$tenant' AND status <> 'completed' LIMIT 10"));

my ($messages) = sql_row('SELECT count(*) FROM media.messages WHERE '
    . "tenant_id = '$tenant'");

is($messages, $n, 'exactly one row a webhook');

my %stored = map { $_ => 1 } object_keys("chat/$tenant/");
my @keys = map { $_->[0] } sql('SELECT storage_key FROM '
    . "media.message_attachments WHERE tenant_id = '$tenant'");

is(scalar(grep { !/_(?:thumb\.(?:jpg|webp)|m4a\.m4a)$/ } keys %stored), $n,
    'exactly one object a webhook');
is(scalar(grep { !$stored{$_} } @keys), 0, 'every row has its object');

my %size = map { vector($_)->{fileLength} => 1 } @kinds;
my $bad = 0;

for my $row (sql('SELECT file_url, size_bytes FROM '
    . "media.message_attachments WHERE tenant_id = '$tenant'"))
{
    my $r = get($row->[0]);

    $bad++ unless $r->{status} == 200 && $size{ $row->[1] }
        && length $r->{content} == $row->[1];
}

is($bad, 0, 'every object is served whole');

done_testing();


# as a provider does it: again after a 5xx or no answer

sub send_all {
    my $i = 0;

    for my $id (@ids) {
        my $body = evolution_body($instance, vector($kinds[$i++ % @kinds]),
            id => $id, chat => '551198765' . sprintf('%04d', $i % 7)
            . '@s.whatsapp.net');
        my $end = time + 120;

        while (1) {
            my $rc = post_evolution($body);

            last if $rc == 200;
            return 1 if $rc < 500 || time > $end;
            sleep 0.3;
        }

        sleep 0.15;
    }

    return 0;
}


sub pid_of {
    my ($name) = @_;
    my $file = "$ENV{MEDIA_DEV_DIR}/run/$name.pid";

    return -e $file ? (slurp($file) =~ /(\d+)/)[0] : undef;
}


sub kill_child {
    my $master = pid_of('media-worker') or return 0;
    my @children;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $f, '<', $stat or next;

        my ($pid, $ppid) = (<$f> // '') =~ /^(\d+) \(.*\) \S (\d+)/;

        push @children, $pid if defined $ppid && $ppid == $master;
    }

    return 0 unless @children;
    return kill 'KILL', $children[rand @children];
}


# whatever is not running is started by "up"

sub restart {
    my ($service) = @_;
    my $pid = pid_of($service) or return 0;

    kill 'KILL', $pid;
    sleep 1.5;

    my $out = `$FindBin::Bin/../dev up 2>&1`;

    diag($out) if $?;
    return $? == 0;
}
