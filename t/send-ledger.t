# Copyright (C) ngx_media contributors

# The ledger: each job makes one send, whatever becomes of it is in its row,
# in the message and in an event, and nothing is sent twice.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row mediactl wait_until unique_id);
use JSON::PP;
use Ledger;
use SendSim;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));
send_sim_start();

my $wapi = conversation('wapi');


sub told {
    my ($c, $type, $key) = @_;

    return grep { ($_->{idempotency_key} // '') eq $key }
        events_of($c, $type);
}


# one message

my $key = publish_send($wapi, "Ol\x{e1} 'a' \\ \x{1f600}");
is state_is($key, 'accepted'), 'accepted', 'a text is accepted';

my ($send) = sends(instance => $wapi->{name});
is $send->{text}, "Ol\x{e1} 'a' \\ \x{1f600}", 'it arrived as it was';
is $send->{to}, $wapi->{chat}, 'where it should';
is_deeply [ send_of($key, 's.provider_id, m.provider_id, m.status,'
    . ' m.direction, m.type, s.attempts, s.accepted_at IS NOT NULL') ],
    [ $send->{id}, $send->{id}, 'sent', 'outgoing', 'text', 1, 't' ],
    'send and message have the provider\'s id';
is scalar(told($wapi, 'new_message', $key)), 1, 'event new_message';
is_deeply [ map { @{$_}{qw(provider_id status)} }
    told($wapi, 'message_sent', $key) ], [ $send->{id}, 'sent' ],
    'event message_sent';


# the same key again, also with another text, and all at once

publish_send($wapi, 'again', idempotency_key => $key) for 1 .. 3;
my $many = 'many-' . lc unique_id();
publish_send($wapi, 'many', idempotency_key => $many) for 1 .. 10;
my $last = publish_send($wapi, 'last');
is state_is($last, 'accepted'), 'accepted', 'a later message';
is scalar(grep { $_->{text} eq 'many' } sends(instance => $wapi->{name})), 1,
    'ten jobs with one key send one message';
is scalar(sends(instance => $wapi->{name})), 3, 'and no text is repeated';
is scalar(told($wapi, 'new_message', $many)), 1, 'with one event';


# a reply

my ($row) = send_of($key, 'm.id');
my $reply = publish_send($wapi, 'a reply', reply_to => $row);
is state_is($reply, 'accepted'), 'accepted', 'a reply';
is +(sends(text => 'a reply'))[0]{reply_to}, $send->{id},
    'names the message by the provider\'s id';
is +(send_of($reply, 'm.reply_to'))[0], $send->{id}, 'so does the row';


# what can never be sent

my $other = conversation('wapi');
my %refused = (
    'no such conversation' => { conversation_id => "$other->{id}" },
    'no such attachment' => { kind => 'image', attachment_id =>
        '00000000-0000-4000-8000-000000000000' },
    'an id is malformed' => { kind => 'image', attachment_id => "x' OR" },
    'no such message to reply to' => { reply_to => '999999999' },
    'no text, or more than 65536 characters' => { text => '' },
    'unknown kind of message' => { kind => 'fax' },
    'no coordinates' => { kind => 'location' },
);

for my $reason (sort keys %refused) {
    my $refused = publish_send($wapi, 'never', %{ $refused{$reason} });

    ok wait_until(10, sub { told($wapi, 'message_failed', $refused) }),
        "$reason: refused";
    is +(told($wapi, 'message_failed', $refused))[0]{error}, $reason,
        "$reason: says why";
    is_deeply [ send_of($refused, 's.id') ], [], "$reason: no row";
}


# refusals of the provider

send_fault('429', retry_after => 1, times => 1,
    match => { to => $wapi->{chat} });
$key = publish_send($wapi, 'after a moment');
is state_is($key, 'accepted', 30), 'accepted', 'a 429 is repeated';
is +(send_of($key, 's.attempts'))[0], 2, 'by a second attempt';

my $evolution = conversation('evolution');
send_fault('no-whatsapp', times => 1, match => { to => $evolution->{chat} });
$key = publish_send($evolution, 'nobody');
is state_is($key, 'failed'), 'failed', 'a number without WhatsApp fails';

my ($error, $status) = send_of($key, 'm.error_message, m.status');
like $error, qr/^not sent to WhatsApp: \w/, 'the message says so';
is $status, 'failed', 'and has failed';
like +(told($evolution, 'message_failed', $key))[0]{error}, qr/\Q$error/,
    'event message_failed';


# what nobody can tell is not repeated, and found by the copy

my ($before) = sql_row('SELECT count(*) FROM media.messages'
    . " WHERE conversation_id = $evolution->{id}");
send_fault('reset-after', times => 1, match => { to => $evolution->{chat} });
$key = publish_send($evolution, 'who knows');
my $behind = publish_send($evolution, 'goes on');
is state_is($key, 'unknown|accepted'), 'unknown', 'cut after the request';
is state_is($behind, 'accepted'), 'accepted', 'the next one goes on';
is scalar(told($evolution, 'message_unknown', $key)), 1,
    'event message_unknown';

my ($taken) = sends(text => 'who knows');
my ($instance, $jid) = ($evolution->{name},
    "$evolution->{chat}\@s.whatsapp.net");

sub echo {
    my ($id, $text) = @_;

    return JSON::PP->new->utf8->encode({ event => 'send.message',
        instance => $instance, data => text_message($id, $text, from_me => 1,
            chat => $jid, time => time) });
}

webhook('evolution', echo($taken->{id}, 'who knows'));
is state_is($key, 'accepted'), 'accepted', 'the copy tells that it arrived';
is +(send_of($key, 's.provider_id'))[0], $taken->{id}, 'and its id';
webhook('evolution', echo($taken->{id}, 'who knows'));
webhook('evolution', echo((sends(text => 'goes on'))[0]{id}, 'goes on'));
webhook('evolution', echo('OTHER' . unique_id(), 'who knows'));
ok wait_until(10, sub { sql("SELECT 1 FROM media.messages"
    . " WHERE conversation_id = $evolution->{id}"
    . " AND provider_id LIKE 'OTHER%'") }), 'what is not ours is new';
is_deeply [ sql_row('SELECT count(*) FROM media.messages'
    . " WHERE conversation_id = $evolution->{id}") ], [ $before + 3 ],
    'copies make no second message';


# what webhooks do not tell is looked up, with W-API in its queue

send_instance($wapi->{name}, queue => 60);

for my $c ($wapi, $evolution) {
    send_fault('reset-after', times => 1, match => { to => $c->{chat} });
    $key = publish_send($c, "looked up $c->{provider}");
    is state_is($key, 'accepted', 40), 'accepted',
        "$c->{provider}: found by a look-up";
    is scalar(sends(text => "looked up $c->{provider}")), 1, 'sent once';
}


# places look the same: a copy may be of either, so neither is taken for sent
# by it, unless there is one for each

sub place {
    my ($c, $fault, $latitude) = @_;

    send_fault($fault, times => 1, match => { to => $c->{chat} });

    return publish_send($c, '', kind => 'location', latitude => $latitude,
        longitude => -46.6);
}

sub looked_up {
    my ($key) = @_;

    return wait_until(40, sub { (send_of($key,
        "s.next_at > s.sending_at + interval '10 seconds'"))[0] eq 't' });
}

for my $c ($wapi, $evolution) {
    my @keys = (place($c, 'reset-before', 1), place($c, 'reset-after', 2));

    is state_is($_, 'unknown'), 'unknown', "$c->{provider}: a place"
        for @keys;
    ok looked_up($keys[1]), 'it is looked for';
    sleep 1;
    is_deeply [ map { send_of($_, 's.state') } @keys ],
        [ 'unknown', 'unknown' ], 'one copy for two places';

    if ($c == $evolution) {
        my ($sent) = grep { $_->{kind} eq 'location' }
            sends(instance => $instance);

        webhook('evolution', JSON::PP->new->utf8->encode({
            event => 'send.message', instance => $instance, data => {
                key => { id => $sent->{id}, remoteJid => $jid,
                    fromMe => JSON::PP::true }, messageType =>
                'locationMessage', messageTimestamp => time, message => {
                    locationMessage => { degreesLatitude => 2,
                        degreesLongitude => -46.6 } } } }));
        ok wait_until(10, sub { sql('SELECT 1 FROM media.messages WHERE '
            . "provider_id = '$sent->{id}'") }), 'the copy is a message';
        is_deeply [ map { send_of($_, 's.state') } @keys ],
            [ 'unknown', 'unknown' ], 'and of neither';
    }

    sql("UPDATE media.sends SET state = 'failed' WHERE idempotency_key IN ("
        . "'$keys[0]', '$keys[1]')");
}

my @both = map { place($wapi, 'reset-after', $_) } 3, 4;
is state_is($_, 'accepted', 40), 'accepted', 'two copies for two places'
    for @both;


# reading and typing

my $id = unique_id();
webhook('evolution', JSON::PP->new->utf8->encode({ event =>
    'messages.upsert', instance => $instance, data => text_message($id,
        'a question', chat => $jid) }));
ok wait_until(10, sub { ($row) = sql_row('SELECT id FROM media.messages'
    . " WHERE provider_id = '$id'") }), 'a customer asks';

for my $job ({ type => 'read', message_id => "$row" },
    { type => 'typing', kind => 'audio' })
{
    publish_send($evolution, '', %$job);
    ok wait_until(10, sub { send_acts(instance => $instance,
        op => $job->{type}) }), "$job->{type} is told";
}


# operators

$key = publish_send($evolution, 'retried');
state_is($key, 'accepted');
($id) = send_of($key, 's.id');
isnt mediactl('', 'send', 'retry', $id), 0, 'what was sent is not sent again';
isnt mediactl('', 'send', 'cancel', $id), 0, 'and cannot be cancelled';
sql("UPDATE media.sends SET state = 'unknown', next_at = 'infinity'"
    . " WHERE id = '$id'");
is mediactl('', 'send', 'retry', $id), 0, 'what is unknown can';
is state_is($id, 'accepted'), 'accepted', 'and is sent';
is scalar(sends(text => 'retried')), 2, 'twice, then';
like +(send_of($id, "s.body->'retries'->0->>'state'"))[0], qr/unknown/,
    'the row keeps it';

sql("UPDATE media.instances SET enabled = false WHERE id ="
    . " $evolution->{instance}");
$key = publish_send($evolution, 'cancelled');
ok wait_until(10, sub { ($id) = send_of($key, 's.id') }),
    'of a disabled instance';
is mediactl('', 'send', 'cancel', $id), 0, 'cancelled';
is_deeply [ send_of($id, 's.state, s.error_code, m.status') ],
    [ 'failed', 'cancelled', 'failed' ], 'has failed';
is scalar(sends(text => 'cancelled')), 0, 'nothing is sent';

is_deeply [ violations() ], [], 'every request was as published';

done_testing;
