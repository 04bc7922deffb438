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
    my ($status, $id, $send, $code) = @_;
    my %failed = (errors => [ { code => $code // 131026,
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

# a file that WhatsApp cannot read any more by the id that was kept

my $file = lc sprintf '%08x-0000-4000-8000-%012x', $$, time;
my $key = "chat/$cloudapi->{tenant}/1/$file/a.jpg";

sql('INSERT INTO media.message_attachments (id, tenant_id, conversation_id,'
    . " category, storage_key) VALUES ('$file', '$cloudapi->{tenant}',"
    . " $cloudapi->{id}, 'image', '$key')");

sub kept {
    return map { $_->[0] } sql('SELECT object_key FROM media.provider_media'
        . " WHERE instance_id = $cloudapi->{instance} ORDER BY 1");
}

for my $object ("${key}_image.jpg", 'chat/other.jpg') {
    sql('INSERT INTO media.provider_media VALUES'
        . " ($cloudapi->{instance}, '$object', '1', now() + interval '1 h')");
}

my @unread = map { send_row($cloudapi, 'file', state => "'sending'",
    attempts => 1, sending_at => 'now()', attachment_id => "'$file'") } 1, 2;

cloudapi('failed', "wamid.F$unread[0]", $unread[0]);
settled();
is scalar(kept()), 2, 'another failure says nothing of the file';
cloudapi('failed', "wamid.F$unread[1]", $unread[1], 131053);

settled();
is_deeply [ kept() ], [ 'chat/other.jpg' ],
    '131053: a retry uploads the file anew';
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

# an unknown send that says the same, and is older, is not the copy's

my $twin = send_row($evolution, 'twin', state => "'unknown'", attempts => 1,
    sending_at => 'now()', next_at => "'infinity'");

$key = publish_send($evolution, 'twin');
is state_is($key, 'read', 30), 'read', 'a copy of a text that is sent twice';
is_deeply [ send_of($twin, 's.state, s.provider_id, m.status,'
    . ' m.provider_id = \'send:\' || s.id') ],
    [ 'unknown', '', 'pending', 't' ],
    'leaves the one of before unknown';
is scalar(grep { $_->{send_id} eq $twin }
    events_of($evolution, 'message_unknown')), 1, 'event message_unknown';
is +(sql_row('SELECT count(*) FROM media.messages WHERE content = \'twin\''
    . " AND instance_id = $evolution->{instance}"))[0], 2, 'both are there';
is_deeply [ violations() ], [], 'every request was as published';

done_testing;
