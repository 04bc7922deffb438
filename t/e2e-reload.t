#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# nginx is reloaded while webhooks come in over several connections: no
# request fails, and nothing that was accepted is missing.
#
# RELOAD_WEBHOOKS is their number (1000), RELOADS how often (20).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use E2E;

env_or_skip();
plan(skip_all => 'MEDIA_DEV_DIR is not set: run by ./dev test')
    unless $ENV{MEDIA_DEV_DIR};

use constant SENDERS => 4;

my $n = $ENV{RELOAD_WEBHOOKS} || 1000;
my $reloads = $ENV{RELOADS} || 20;
my $tenant = "reload$$";
my $instance = "reload-evolution-$$";

add_tenant($tenant);
add_instance($tenant, 'evolution', $instance);

my $text = { message => { conversation => 'oi' } };
my @pids;

for my $k (1 .. SENDERS) {
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        my $failed = 0;

        for (1 .. $n / SENDERS) {
            my $rc = post_evolution(evolution_body($instance, $text,
                id => unique_id()));

            $failed++ if $rc != 200;
        }

        exit($failed > 255 ? 255 : $failed);
    }

    push @pids, $pid;
}

my ($pid) = slurp("$ENV{MEDIA_DEV_DIR}/run/nginx.pid") =~ /(\d+)/;
my $done = 0;

for (1 .. $reloads) {
    $done += kill 'HUP', $pid;
    sleep 0.25;
}

is($done, $reloads, "$reloads reloads");

my $failed = 0;

for (@pids) {
    waitpid $_, 0;
    $failed += $? >> 8;
}

is($failed, 0, "none of $n webhooks failed");

my $rows;

wait_until(180, sub {
    ($rows) = sql_row('SELECT count(*) FROM media.messages WHERE '
        . "tenant_id = '$tenant'");

    return $rows == $n;
});

is($rows, $n, 'every accepted webhook has its row');

done_testing();
