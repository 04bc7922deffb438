# Copyright (C) ngx_media contributors

# Statuses: whatever their order, however often they come, and whether they
# come before or after the answer to the send, its state in the end is one.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row wait_until unique_id);
use JSON::PP;
use Ledger;
use SendSim;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL EVOLUTION_WEBHOOK_URL));
send_sim_start();

my $json = JSON::PP->new->canonical->utf8;
my $evolution = conversation('evolution');
my $cloudapi = conversation('cloudapi', name => 1e14 + int rand 1e14);


sub permutations {
    my (@list) = @_;

    return [] unless @list;
    return map {
        my $i = $_;
        my @rest = @list;
        my $first = splice @rest, $i, 1;

        map { [ $first, @$_ ] } permutations(@rest);
    } 0 .. $#list;
}


# written by a child that still waits for its answer

sub sending {
    my ($c, $text) = @_;

    return send_row($c, $text, state => "'sending'", attempts => 1,
        sending_at => "now() + interval '1 hour'");
}


sub evolution {
    my ($event, $id, $text) = @_;

    return webhook('evolution', $json->encode({ event => 'send.message',
        instance => $evolution->{name}, data => text_message($id, $text,
            from_me => 1, chat => "$evolution->{chat}\@s.whatsapp.net",
            time => time + 3600) })) if $event eq 'copy';

    webhook('evolution', $json->encode({ event => 'messages.update',
        instance => $evolution->{name}, data => { keyId => $id,
            fromMe => \1, remoteJid => "$evolution->{chat}\@s.whatsapp.net",
            status => $event } }));
}


sub cloudapi {
    my ($status, $id, $send) = @_;
    my %failed = (errors => [ { code => 131026,
        title => 'Message undeliverable', message => 'Message undeliverable',
        error_data => { details => 'Unable to deliver' } } ]);

    webhook('cloudapi', $json->encode({
        object => 'whatsapp_business_account', entry => [ { id => '1',
            changes => [ { field => 'messages', value => {
                messaging_product => 'whatsapp', metadata => {
                    display_phone_number => '551140000000',
                    phone_number_id => $cloudapi->{name} },
                statuses => [ { id => $id, status => $status,
                    timestamp => '' . time, recipient_id =>
                    $cloudapi->{chat}, pricing => { billable => \0,
                        pricing_model => 'PMP', category => 'service' },
                    ($send ? (biz_opaque_callback_data => $send) : ()),
                    ($status eq 'failed' ? %failed : ()) } ] } } ] } ] }));
}


# everything before it has been taken

sub settled {
    my $id = unique_id();

    webhook('evolution', $json->encode({ event => 'messages.upsert',
        instance => $evolution->{name}, data => text_message($id, 'end',
            chat => "$evolution->{chat}\@s.whatsapp.net") }));
    ok wait_until(30, sub { sql('SELECT 1 FROM media.messages'
        . " WHERE provider_id = '$id'") }), 'all webhooks are taken';
}


# the states of sends and messages that should all be alike

sub alike {
    my ($expected, $name, @sends) = @_;
    my $ids = join ',', map { "'$_'" } @sends;

    is_deeply [ sql('SELECT s.state, m.status, s.pricing, s.error_code,'
        . ' m.error_message, count(*) FROM media.sends s'
        . ' JOIN media.messages m ON m.id = s.message_id'
        . " AND m.provider_id = s.provider_id WHERE s.id IN ($ids)"
        . ' GROUP BY 1, 2, 3, 4, 5') ],
        [ [ @$expected, scalar @sends ] ], $name;
}


# Evolution: the copy stands for the answer

my (@sends, @ids);

for my $order (permutations(qw(copy SERVER_ACK DELIVERY_ACK READ))) {
    my $n = @sends;
    my $id = 'E' . unique_id();

    push @ids, $id;
    push @sends, sending($evolution, "evolution $n");
    evolution($_, $id, "evolution $n") for @$order, $order->[$n % 4];
}

settled();
alike([ qw(read read), '', '', '' ], '24 orders, each with one twice',
    @sends);
is_deeply [ sql('SELECT count(*) FROM media.messages WHERE instance_id ='
    . " $evolution->{instance} AND direction = 'outgoing'") ], [ [ 24 ] ],
    'and no second message';
is_deeply [ sql('SELECT count(*) FROM media.early_statuses'
    . " WHERE instance_id = $evolution->{instance}") ], [ [ 0 ] ],
    'nor a status left';


# the Cloud API: the callback data names the send

@sends = ();

for my $order (permutations(qw(sent delivered read))) {
    my $send = sending($cloudapi, 'c');
    my $id = 'wamid.' . unique_id();

    push @sends, $send;
    cloudapi($_, $id, $send) for @$order, $order->[0];
}

my @failed;

for my $order (permutations(qw(sent failed)), ['failed']) {
    my $send = sending($cloudapi, 'f');
    my $id = 'wamid.' . unique_id();

    push @failed, $send;
    cloudapi($_, $id, $send) for @$order, $order->[0];
}

my $unread = sending($cloudapi, 'read only');
cloudapi('read', 'wamid.' . unique_id(), $unread);

# of an attempt before this one, which has failed
my $again = sending($cloudapi, 'again');
sql("UPDATE media.sends SET body = body || '{\"retries\":"
    . "[{\"provider_id\": \"wamid.BEFORE$again\"}]}' WHERE id = '$again'");
cloudapi('failed', "wamid.BEFORE$again", $again);
cloudapi('sent', 'wamid.0', 'not-a-send-of-ours-but-as-long-as-one');

settled();
alike([ qw(read read service), '', '' ], 'sent, delivered, read in 6 orders',
    @sends);
alike([ qw(failed failed service 131026),
    '131026: Unable to deliver' ], 'failed and sent in any order', @failed);
alike([ qw(read read service), '', '' ], 'read alone', $unread);
is +(send_of($again, 's.state'))[0], 'sending',
    'late statuses of an attempt before are nobody\'s';


# with the provider: before the answer, doubled, in any order

sql("UPDATE media.sends SET state = 'failed' WHERE state = 'sending'"
    . " AND tenant_id = '$cloudapi->{tenant}'");
my %mode = (early => 'read', duplicated => 'read', reordered => 'read',
    read_only => 'read', delivered => 'delivered', sent_only => 'sent',
    failed => 'failed');

for my $mode (sort keys %mode) {
    sim_webhooks(cloudapi => $ENV{CLOUDAPI_WEBHOOK_URL},
        app_secret => $ENV{CLOUDAPI_APP_SECRET}, mode => $mode);

    my $key = publish_send($cloudapi, "mode $mode");

    is state_is($key, $mode{$mode}, 30), $mode{$mode},
        "$mode: the state of the send";
    is +(send_of($key, 'm.status'))[0], $mode{$mode}, "$mode: the message's";
}

sim_webhooks(evolution => $ENV{EVOLUTION_WEBHOOK_URL}, mode => 'early');

my @keys = map { publish_send($evolution, "same text") } 1 .. 3;
is state_is($_, 'read', 30), 'read', 'early copies of the same text'
    for @keys;
is_deeply [ sql('SELECT count(*), count(DISTINCT provider_id)'
    . " FROM media.messages WHERE instance_id = $evolution->{instance}"
    . " AND content = 'same text'") ], [ [ 3, 3 ] ],
    'make no second message';
is_deeply [ violations() ], [], 'every request was as published';

done_testing;
