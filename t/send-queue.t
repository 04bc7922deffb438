# Copyright (C) ngx_media contributors

# The jobs of media_send are done in their order, by whichever of two workers
# has the queue, while their children are killed and lose the database.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row slurp wait_until);
use Ledger;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL MEDIA_DEV_DIR));

my $n = 300;
my $c = conversation('wapi');

sql("UPDATE media.instances SET enabled = false WHERE id = $c->{instance}");

my ($dev) = slurp("$ENV{MEDIA_DEV_DIR}/run/media-worker.pid") =~ /(\d+)/;
my @workers = ($dev, send_worker(1));
my $killed = 0;

for my $i (1 .. $n) {
    publish_send($c, "text $i");

    if ($i % 50 == 0) {
        $killed += kill_child($_, 'media_send') for @workers;

    } elsif ($i % 50 == 25) {
        sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity'
            . ' WHERE datname = current_database()'
            . " AND application_name = 'media-worker'");
    }
}

cmp_ok $killed, '>', 0, "$killed children were killed";

my @texts;

wait_until(60, sub {
    @texts = map { $_->[0] } sql("SELECT body->>'text' FROM media.sends"
        . " WHERE conversation_id = $c->{id} ORDER BY seq");
    return @texts == $n;
});

is_deeply \@texts, [ map { "text $_" } 1 .. $n ], 'each, in their order';
sql("DELETE FROM media.sends WHERE conversation_id = $c->{id}");

done_testing;
