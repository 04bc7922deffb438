# Copyright (C) ngx_media contributors

# Order within a conversation, with several children and workers: behind
# retries, files that are not ready, and sends whose outcome is unknown; and
# no conversation waits for another's backlog.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row wait_until unique_id);
use Ledger;
use SendSim;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));
send_sim_start();
own_database();


# a list of texts as it arrived in a chat

sub arrived {
    my ($c) = @_;

    return join ' ', map { $_->{text} } sends(instance => $c->{name},
        to => $c->{chat});
}


sub done {
    my ($seconds) = @_;

    return wait_until($seconds, sub { !sql('SELECT 1 FROM media.sends'
        . " WHERE state IN ('queued', 'sending') LIMIT 1") });
}


# 3 numbers, 12 conversations, 6 texts each, half of them refused at first

my $tenant = 'order-' . lc unique_id();
my @chats;

for my $n (1 .. 3) {
    my $name = "order-$n-" . lc unique_id();

    push @chats, map { conversation('wapi', tenant => $tenant,
        name => $name) } 1 .. 4;
}

for my $i (1 .. 6) {
    send_row($_, "t$i") for @chats;
}

send_fault('random', random => { seed => 3,
    percent => { 429 => 25 } });

my @workers = map { send_worker(2, MEDIA_SEND_ATTEMPTS => 30) } 1 .. 2;

# the time between attempts is not what is tested
ok wait_until(100, sub {
    sql("UPDATE media.sends SET next_at = now() WHERE next_at > now()"
        . " AND state = 'queued'");
    sql('DELETE FROM media.send_breakers');
    sql('DELETE FROM media.send_paces');
    return done(1);
}), 'all are sent';

my %state = %{ states("tenant_id = '$tenant'") };
is_deeply [ keys %state ], [ 'accepted' ], 'and accepted';
is arrived($_), 't1 t2 t3 t4 t5 t6', "chat $_->{chat}: in order, once each"
    for @chats;
ok +(sql_row('SELECT max(attempts) FROM media.sends'))[0] > 1,
    'some by a further attempt';
send_reset();


my $c = $chats[0];

send_row($c, "r$_") for 1 .. 3;
ok done(20), 'sent';
is arrived($c), 'r1 r2 r3', 'in order';


# what is not ready holds what is behind it; other chats go on

my $first = send_row($c, 'n1', ready => 'false');
send_row($c, 'n2');
send_row($chats[1], 'free');
ok wait_until(10, sub { arrived($chats[1]) eq 'free' }),
    'another chat is not held';
is arrived($c), 'r1 r2 r3', 'but this one is';
sql("UPDATE media.sends SET ready = true WHERE id = '$first'");
ok done(10), 'ready';
is arrived($c), 'r1 r2 r3 n1 n2', 'both, in order';


# unknown, and failed, let the next one go on

send_reset();
send_fault('reset-after', times => 1, match => { to => $c->{chat} });
$first = send_row($c, 'u1');
send_row($c, 'u2');
ok done(20), 'the first one is unknown';
is arrived($c), 'u1 u2', 'the second one behind it, nothing twice';
is state_is($first, 'unknown'), 'unknown', 'the state';


# a long backlog

sql('UPDATE media.instances SET enabled = false');
send_row($c, "b$_") for 1 .. 80;
send_row($_, 'soon') for @chats[1 .. 11];
sql('UPDATE media.instances SET enabled = true');
ok done(60), 'a backlog, and others';

my ($behind, $soon) = (0, 0);

for my $s (sends()) {
    $soon++ if $s->{text} eq 'soon';
    $behind++ if $s->{text} =~ /^b/ && $soon == 11;
}

is $soon, 11, 'the others are sent';
cmp_ok $behind, '>', 20, 'and did not wait for it';
is arrived($c), join(' ', 'u1 u2', map { "b$_" } 1 .. 80), 'it is in order';
is_deeply [ violations() ], [], 'every request was as published';

done_testing;
