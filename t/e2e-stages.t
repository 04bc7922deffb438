#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A worker child is killed in each stage of its work, held there by the server
# that the stage waits for: analysis, fetch, store, thumbnail, completion.
# Each message still ends in one row, one object and one event.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);
use E2E;

env_or_skip();
plan(skip_all => 'MEDIA_DEV_DIR is not set: run by ./dev test')
    unless $ENV{MEDIA_DEV_DIR};

my $tenant = "stage$$";
my $instance = "stage-evolution-$$";
my $v = vector('image-jpeg');
my $path = (split /\?/, $v->{directPath})[0];

add_tenant($tenant);
add_instance($tenant, 'evolution', $instance);
sim_serve($v);

my $id = unique_id();


# nobody gets to the messages

my $lock = lock_table('messages');

post_evolution(evolution_body($instance, $v, id => $id));
held('analysis', 'webhook_inbound', waiting_for('messages'));
unlock_table($lock);
finished('analysis', $id);


# the CDN takes ten seconds

sim(fault => { path => $path, rate => 10_000, times => 1 });
$id = unique_id();
post_evolution(evolution_body($instance, $v, id => $id));
held('fetch', 'media_download', row_is($id, 'processing'));
finished('fetch', $id);


# S3 is frozen

my @s3 = session_of('s3');

sim(fault => { path => $path, rate => 60_000, times => 1 });
$id = unique_id();
post_evolution(evolution_body($instance, $v, id => $id));
ok(wait_until(90, row_is($id, 'processing')), 'a child has it');
kill 'STOP', @s3;
held('store', 'media_download', hop_is($id, 'sniff'));
kill 'CONT', @s3;
finished('store', $id);


# the decoders are frozen

my @decoders = decoders();

ok(scalar @decoders, 'decoders run');
kill 'STOP', @decoders;
$id = unique_id();
post_evolution(evolution_body($instance, $v, id => $id));
held('thumbnail', 'media_download', hop_is($id, 'put'));
finished('thumbnail', $id);


# nobody gets to the events, once this one's message has its own

sim(fault => { path => $path, rate => 60_000, times => 1 });
$id = unique_id();
post_evolution(evolution_body($instance, $v, id => $id));
ok(wait_until(90, row_is($id, 'processing')), 'a child has it');
$lock = lock_table('events');
held('completion', 'media_download', waiting_for('events'));
unlock_table($lock);
finished('completion', $id);

done_testing();


# true once the stage is reached, kills the children of the queue then

sub held {
    my ($stage, $queue, $reached) = @_;
    my @children;

    # those of the stage before are started again after a pause

    ok(wait_until(90, $reached), "$stage: reached");
    sleep 0.3;
    wait_until(90, sub { @children = children($queue) });
    ok(kill('KILL', @children), "$stage: children killed");
}


sub finished {
    my ($stage, $id) = @_;
    my $a = wait_attachment($id, 60);

    is($a->{status}, 'completed', "$stage: completed in the end")
        or diag($a->{error_message});

    my ($rows) = sql_row('SELECT count(*) FROM media.messages WHERE '
        . "provider_id = '$id'");
    my ($events) = sql_row("SELECT count(*) FROM media.events WHERE type = "
        . "'attachment_ready' AND payload->>'attachment_id' = '$a->{id}'");
    my @objects = grep { /\Q$id\E/ && !/_thumb\.jpg$/ }
        object_keys("chat/$tenant/");

    is($rows, 1, "$stage: one row");
    is($events, 1, "$stage: one event");
    is(scalar @objects, 1, "$stage: one object");
    ok(get($a->{file_url})->{content} eq plain_of($v), "$stage: whole");
    is(get($a->{thumbnail_url})->{status}, 200, "$stage: its thumbnail");
}


sub row_is {
    my ($id, $status) = @_;

    return sub { (sql_row('SELECT count(*) FROM media.message_attachments a '
        . 'JOIN media.messages m ON m.id = a.message_id WHERE '
        . "m.provider_id = '$id' AND a.status = '$status'"))[0] };
}


sub hop_is {
    my ($id, $stage) = @_;

    return sub { (sql_row('SELECT count(*) FROM media.hops h JOIN '
        . 'media.message_attachments a ON a.id = h.attachment_id JOIN '
        . "media.messages m ON m.id = a.message_id WHERE m.provider_id = "
        . "'$id' AND h.stage = '$stage' AND h.outcome = 'ok'"))[0] };
}


sub waiting_for {
    my ($table) = @_;

    return sub { (sql_row("SELECT count(*) FROM pg_locks WHERE relation = "
        . "'media.$table'::regclass AND NOT granted"))[0] };
}


# processes by parent: (pid, command line) of each

sub processes {
    my ($of) = @_;
    my @found;

    for my $dir (glob '/proc/[0-9]*') {
        open my $f, '<', "$dir/stat" or next;

        my ($pid, $ppid, $session) =
            (<$f> // '') =~ /^(\d+) \(.*\) \S (\d+) \d+ (\d+)/ or next;
        my $line = eval { slurp("$dir/cmdline") } // '';

        push @found, $pid if $of->($ppid, $session, $line);
    }

    return @found;
}


sub pid_of {
    my ($name) = @_;

    return (slurp("$ENV{MEDIA_DEV_DIR}/run/$name.pid") =~ /(\d+)/)[0];
}


sub session_of {
    my ($leader) = map { pid_of($_) } @_;

    return processes(sub { $_[1] == $leader });
}


sub children {
    my ($queue) = @_;
    my $master = pid_of('media-worker');

    return processes(sub { $_[0] == $master && $_[2] =~ /\b$queue\b/ });
}


sub decoders {
    my %child = map { $_ => 1 } children('media_download');

    return processes(sub { $child{$_[0]} });
}
