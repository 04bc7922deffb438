# Copyright (C) ngx_media contributors

# The breaker of a number: what opens it, that what was under way then does
# not make it longer, that the one send that is let through is not one that
# has to wait, and that a new token does not wait for its time.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row mediactl wait_until unique_id);
use IO::Socket::INET;
use Ledger;
use SendSim;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));
send_sim_start();
own_database();

my $tenant = 'breaker-' . lc unique_id();


sub breaker {
    my ($c, $columns) = @_;

    return sql_row("SELECT $columns FROM media.send_breakers"
        . " WHERE instance_id = $c->{instance}");
}


sub base_url {
    my ($c, $url) = @_;

    sql("UPDATE media.instances SET base_url = '$url'"
        . " WHERE id = $c->{instance}");
}


# an API that takes so many requests, and then dies with all of them

sub dying_api {
    my ($n) = @_;
    my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => $n)
        or die "no port: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        my @clients;

        alarm 60;
        push @clients, scalar $s->accept while @clients < $n;
        sysread $_, my $request, 65536 for @clients;
        require POSIX;
        POSIX::_exit(0);
    }

    return ('http://127.0.0.1:' . $s->sockport, $pid);
}


# an outage: the ones that were under way are unknown, the others wait

my $name = 'outage-' . lc unique_id();
my @chats = map { conversation('wapi', tenant => $tenant, name => $name) }
    1 .. 20;
my $c = $chats[0];
my ($url, $pid) = dying_api(8);

base_url($c, $url);
send_row($_, 'outage') for @chats;

my $worker = send_worker(8);

ok wait_until(30, sub { (breaker($c, 'open_until > now()'))[0] }),
    'an API that dies with what it took opens the breaker';
waitpid $pid, 0;

ok wait_until(10, sub {
    !sql("SELECT 1 FROM media.sends WHERE state = 'sending'") }),
    'all of those have ended';
is_deeply states("instance_id = $c->{instance}"),
    { queued => 12, unknown => 8 }, 'and what was not under way waits';
is +(breaker($c, 'failures'))[0], 5, 'failures after it opened do not count';
cmp_ok +(breaker($c, 'extract(epoch FROM open_until - now())'))[0], '<', 45,
    'it is open for half a minute';


# a new address or token is tried at once

is scalar(events_of($c, 'number_paused')), 1, 'event number_paused';
is mediactl('token-of-the-instance', 'instance', 'set', '--provider', 'wapi',
    '--name', $name, '--base-url', "$ENV{WHATSAPP_SIM_URL}/v1",
    '--token-stdin'), 0, 'mediactl instance set';
ok wait_until(10, sub {
    (states("instance_id = $c->{instance}")->{accepted} // 0) == 12 }),
    'has the others sent';
is scalar(events_of($c, 'number_resumed')), 1, 'event number_resumed';


# a send that has to wait for its pair is not the one that is let through

my $held = conversation('cloudapi', tenant => $tenant,
    name => 1e14 + int rand 1e14);

sql('INSERT INTO media.send_paces (instance_id, chat, used_until) VALUES'
    . " ($held->{instance}, '$held->{chat}', now() + interval '1 hour')");
sql('INSERT INTO media.send_breakers (instance_id, failures, open_until)'
    . " VALUES ($held->{instance}, 5, now())");

my $id = send_row($held, 'held');

ok wait_until(10, sub {
    (send_of($id, 's.next_at > now()'))[0] eq 't' }), 'its pair has to wait';
is +(breaker($held, 'open_until <= now()'))[0], 't',
    'the breaker still lets one through';

my $other = conversation('cloudapi', tenant => $tenant,
    name => $held->{name});

is state_is(send_row($other, 'other'), 'accepted'), 'accepted',
    'which is another one';
is_deeply [ breaker($held, 1) ], [], 'and closes it';

is_deeply [ violations() ], [], 'every request was as published';

done_testing;
