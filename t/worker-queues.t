# Copyright (C) ngx_media contributors

# The topology as the worker declares it: declared again without harm, retry
# queues that bring a message back, a place for dead ones.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql_row mediactl wait_until unique_id);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL S3_ENDPOINT_URL));

my $json = JSON::PP->new->canonical->utf8;
my $tenant = 'queues-' . lc unique_id();
my ($delay) = split ' ', $ENV{MEDIA_RETRY_DELAYS} // '5';

mediactl('', 'tenant', 'add', $tenant);
mediactl('t', 'instance', 'add', '--tenant', $tenant, '--provider',
    'evolution', '--name', $tenant, '--base-url', 'http://127.0.0.1:9',
    '--token-stdin');

my @workers = map { start_worker(MEDIA_CHILDREN_DOWNLOAD => 0) } 1 .. 2;

unlike worker_log($_), qr/broker failed/, 'declared once more' for @workers;


# the way of a retry: the routing key and the headers come back

my $id = unique_id();
my $start = time;

publish("media_retry_$delay", 'webhook_inbound', $json->encode({
    event => 'messages.upsert', instance => $tenant,
    data => text_message($id, 'x') }), provider => 'evolution',
    request_id => "retry-$id");

ok wait_until($delay + 10, sub { sql_row('SELECT 1 FROM media.messages'
    . " WHERE provider_id = '$id'") }), 'a message comes back';
cmp_ok time - $start, '>=', $delay * 0.7, "after $delay seconds";
is +(sql_row('SELECT detail FROM media.hops WHERE stage = \'received\''
    . " AND provider_id = '$id'"))[0], "request retry-$id",
    'with its headers';


# what can never succeed

publish('media', 'media_priority', "no job $id");

my $dead = wait_until(10, sub {
    open my $p, '-|', 'amqp-get', '-u', $ENV{RABBITMQ_URL}, '-q',
        'media_dead' or die;
    local $/;

    my $body = <$p> // '';

    close $p;
    return $body =~ /\Q$id\E/ ? $body : '';
});

is $dead, "no job $id", 'is in media_dead, unchanged';

is stop_worker($_), 0, 'stopped' for @workers;

done_testing;
