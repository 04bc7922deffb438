# Copyright (C) ngx_media contributors

# Children, workers, sessions of the database and answers are lost at random
# while messages are sent: each send is accounted for, nothing arrives twice,
# nothing overtakes another.  SEND_CRASH says how many, 1000 for a long run.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row wait_until unique_id);
use Ledger;
use SendSim;
use Test::More;
use Time::HiRes qw(time sleep);
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));
send_sim_start();
own_database();

my $total = $ENV{SEND_CRASH} // 180;
my $tenant = 'crash-' . lc unique_id();
my @chats;

# the pair rate lets 20 of the Cloud API through at once
my $each = 15;

for my $n (1 .. int $total / $each) {
    my $provider = (qw(evolution wapi cloudapi))[$n % 3];
    my $name = $provider eq 'cloudapi' ? 1e14 + $$ : "$provider-$tenant";

    push @chats, conversation($provider, tenant => $tenant, name => $name);
}

sql('UPDATE media.instances SET enabled = false');

my %send;

for my $i (1 .. $each) {
    for my $c (@chats) {
        my $text = "$c->{id}.$i";

        $send{$text} = send_row($c, $text);
    }
}

send_fault('random', random => { seed => 7, percent => { 429 => 4,
    'reset-after' => 2, 'reset-before' => 2, cut => 2, slow => 40 } },
    seconds => 0.7, retry_after => 1);
sql('UPDATE media.instances SET enabled = true');

my @workers = map { send_worker(3, MEDIA_SEND_ATTEMPTS => 50) } 1 .. 2;
my $open = "state IN ('queued', 'sending')";
my $end = time + 60 + $total / 5;
my $next = time;
my ($round, $killed) = (0, 0);

while (time < $end && sql("SELECT 1 FROM media.sends WHERE $open LIMIT 1")) {

    # how long is waited is tested elsewhere
    sql("UPDATE media.sends SET next_at = now() WHERE state = 'queued'"
        . ' AND next_at > now()');
    sql('UPDATE media.send_paces SET used_until = now();'
        . ' DELETE FROM media.send_breakers');

    if (time > $next && $round < 12) {
        my $which = $round++ % 4;

        $next = time + 0.5;

        if ($which == 0 || $which == 2) {
            $killed += kill_child($workers[$round % 2], 'media_upload') > 0;

        } elsif ($which == 1) {
            sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity'
                . ' WHERE datname = current_database()'
                . " AND application_name = 'media-worker'"
                . ' ORDER BY random() LIMIT 2');

        } else {
            stop_worker($workers[0], 'KILL');
            $workers[0] = send_worker(3, MEDIA_SEND_ATTEMPTS => 50);
        }
    }

    sleep 0.2;
}

cmp_ok $killed, '>=', 3, 'children were killed';
is_deeply [ sql("SELECT id FROM media.sends WHERE $open") ], [],
    'no send is left';

my $states = states("tenant_id = '$tenant'");
my $n = 0;

$n += $_ for values %$states;
is $n, $each * @chats, 'each is accounted for';
ok !$states->{failed}, 'none has failed';
diag join ', ', map { "$states->{$_} $_" } sort keys %$states;

my (%arrived, %last, @twice, @behind);

for my $s (sends()) {
    my ($chat, $i) = split /\./, $s->{text};

    push @twice, $s->{text} if $arrived{$s->{text}}++;
    push @behind, $s->{text} if ($last{$chat} // 0) > $i;
    $last{$chat} = $i;
}

is_deeply \@twice, [], 'nothing arrived twice';
is_deeply \@behind, [], 'nothing was overtaken';

my @missing = grep { !$arrived{$_->[0]} }
    sql("SELECT body->>'text' FROM media.sends WHERE state = 'accepted'");

is_deeply \@missing, [], 'what is accepted has arrived';
is_deeply [ sql('SELECT provider_id FROM media.sends'
    . " WHERE state = 'accepted' GROUP BY 1 HAVING count(*) > 1") ], [],
    'by an id of its own';
is_deeply [ violations() ], [], 'every request was as published';

done_testing;
