# Copyright (C) ngx_media contributors

# When a number may send: its rate and that of each pair, what a refusal
# closes and for how long, and the breaker of a number that does not work.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row wait_until unique_id);
use Ledger;
use SendSim;
use Test::More;
use Time::HiRes qw(time);
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));
send_sim_start();
own_database();


sub arrived {
    my ($c) = @_;

    return sends(instance => $c->{name});
}


sub pause_number {
    my ($c, $on) = @_;

    sql('UPDATE media.instances SET enabled = ' . ($on ? 'false' : 'true')
        . " WHERE id = $c->{instance}");
}


# from now to what the statement selects
sub seconds {
    return +(sql_row("SELECT extract(epoch FROM (SELECT $_[0]) - now())"))[0];
}


# the rate of a number, by two workers

my $tenant = 'pace-' . lc unique_id();
my $name = 'pace-' . lc unique_id();
my @chats = map { conversation('wapi', tenant => $tenant, name => $name) }
    1 .. 20;

pause_number($chats[0], 1);
send_row($_, 'rate') for @chats;
pause_number($chats[0], 0);

my $start = time;
my @workers = map { send_worker(1, MEDIA_SEND_RATE => 4) } 1 .. 2;

ok wait_until(30, sub { arrived($chats[0]) == 20 }), '20 texts, 4 a second';
cmp_ok time - $start, '>', 4.4, 'take 5 seconds';
stop_worker($_) for @workers;


# the pair of the Cloud API: 20 at once, then one in 6 seconds

my $c = conversation('cloudapi', tenant => $tenant,
    name => 1e14 + int rand 1e14);
my $other = conversation('cloudapi', tenant => $tenant,
    name => $c->{name});

pause_number($c, 1);
send_row($c, "p$_") for 1 .. 22;
send_row($other, 'other');
pause_number($c, 0);

my $worker = send_worker(2);

ok wait_until(20, sub { arrived($c) >= 21 }), 'a burst of 20';
is scalar(sends(to => $other->{chat})), 1, 'others of the number go on';

my $wait = seconds('max(next_at) FROM media.sends'
    . " WHERE conversation_id = $c->{id} AND state = 'queued'");
cmp_ok $wait, '<=', 6, 'the next one waits 6 seconds at the most';
is_deeply states("conversation_id = $c->{id}"),
    { accepted => 20, queued => 2 }, 'and is held';


# 131056: 4^x seconds

sql('DELETE FROM media.sends; DELETE FROM media.send_paces');
send_fault('code', code => 131056, times => 2, match => { to => $c->{chat} });

my $id = send_row($c, 'pair');
my $held = 'SELECT extract(epoch FROM p.used_until - s.updated_at) FROM '
    . "media.send_paces p, media.sends s WHERE p.chat = '$c->{chat}' AND s.id "
    . "= '$id'";

for my $x (1, 2) {
    ok wait_until(10, sub { (send_of($id, 's.attempts'))[0] == $x
        && (send_of($id, 's.state'))[0] eq 'queued' }), "131056 the $x. time";

    my ($refusals) = sql_row('SELECT refusals FROM media.send_paces'
        . " WHERE chat = '$c->{chat}'");

    is $refusals, $x, 'is counted';
    cmp_ok +(sql_row($held))[0] - 19 * 6, '>', 4 ** ($x - 1) - 1,
        'and waits longer each time';
    sql("UPDATE media.send_paces SET used_until = now()");
    sql("UPDATE media.sends SET next_at = now()");
}

is state_is($id, 'accepted'), 'accepted', 'then it is sent';
is +(sql_row('SELECT refusals FROM media.send_paces'
    . " WHERE chat = '$c->{chat}'"))[0], 0, 'and forgotten';


# number-wide: Retry-After

sql('DELETE FROM media.sends; DELETE FROM media.send_paces');
send_fault('429', retry_after => 100, times => 1, match => {
    instance => $c->{name} });
$id = send_row($c, 'limited');
ok wait_until(10, sub { (send_of($id, 's.attempts'))[0] == 1
    && (send_of($id, 's.state'))[0] eq 'queued' }), 'a 429';
cmp_ok seconds("next_at FROM media.sends WHERE id = '$id'"), '>', 90,
    'the send waits as long as asked';
cmp_ok seconds('used_until FROM media.send_paces'
    . " WHERE instance_id = $c->{instance} AND chat = ''"), '>', 90,
    'and its number';
sql('DELETE FROM media.sends; DELETE FROM media.send_paces;'
    . ' DELETE FROM media.send_breakers');


# a number that an operator has to look after

send_fault('401', times => 2, match => { instance => $c->{name} });
$id = send_row($c, 'stopped');

my $breaker = 'FROM media.send_breakers'
    . " WHERE instance_id = $c->{instance}";

ok wait_until(10, sub { sql("SELECT 1 $breaker AND open_until > now()") }),
    'a 401 opens the breaker';

my $behind = send_row($other, 'behind');

ok wait_until(10, sub { sql('SELECT 1 FROM media.sends'
    . " HAVING sum(attempts) = 0 AND bool_and(state = 'queued')") }),
    'nothing has failed, and no attempt is counted';
is_deeply states("id IN ('$id', '$behind')"), { queued => 2 },
    'both wait';
is scalar(events_of($c, 'number_paused')), 1, 'event number_paused';
cmp_ok seconds("open_until $breaker"), '>', 600, 'for long';

# the other 401 is for the one that is let through
sql("UPDATE media.send_breakers SET open_until = now()");
ok wait_until(10, sub { sql("SELECT 1 $breaker AND failures = 6") }),
    'one is let through, and refused';
is scalar(events_of($c, 'number_paused')), 1, 'no second event';
sql("UPDATE media.send_breakers SET open_until = now()");
is state_is($_, 'accepted'), 'accepted', 'then it works' for $id, $behind;
is_deeply [ sql("SELECT 1 $breaker") ], [], 'the breaker is closed';
is scalar(events_of($c, 'number_resumed')), 1, 'event number_resumed';


# failures in a row

my $w = conversation('wapi', tenant => $tenant);
my $gone = $w->{name};

sql("UPDATE media.instances SET base_url = 'http://127.0.0.1:9'"
    . " WHERE name = '$gone'");
$id = send_row($w, 'away');
ok wait_until(20, sub {
    sql("UPDATE media.sends SET next_at = now() WHERE id = '$id'");
    sql('DELETE FROM media.send_paces');
    return sql('SELECT 1 FROM media.send_breakers'
        . " WHERE instance_id = $w->{instance} AND open_until > now()");
}), 'an API that is away opens it, too';
is +(sql_row('SELECT failures FROM media.send_breakers'
    . " WHERE instance_id = $w->{instance}"))[0], 5, 'after five failures';
is +(send_of($id, 's.attempts'))[0], 5, 'each an attempt';
cmp_ok seconds('open_until FROM media.send_breakers'
    . " WHERE instance_id = $w->{instance}"), '<', 45, 'for half a minute';


# and an end

sql("UPDATE media.sends SET attempts = 7, next_at = now() WHERE id = '$id'");
sql('UPDATE media.send_breakers SET open_until = now()');
is state_is($id, 'failed'), 'failed', 'eight attempts are enough';
like +(send_of($id, 's.error_message'))[0], qr/8 attempts/, 'says so';

# attempts that left no word: the child ended each time
$id = send_row($other, 'poison', attempts => 8);
is state_is($id, 'failed'), 'failed', 'a send that ends its child';
is +(send_of($id, 's.error_code'))[0], 'worker_crashed', 'has failed';

is_deeply [ violations() ], [], 'every request was as published';

done_testing;
