# Copyright (C) ngx_media contributors

# The inbound job: a webhook in the queue becomes exactly its rows, however
# often it comes and in whatever order.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row slurp mediactl wait_until unique_id redis_cli);
use JSON::PP;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));

my $json = JSON::PP->new->canonical->utf8;
my $tag = lc unique_id();
my $tenant = "inbound-$tag";
my $evolution = "evo-$tag";

is mediactl('', 'tenant', 'add', $tenant), 0, 'tenant added';
isnt mediactl('', 'tenant', 'add', $tenant), 0, 'but once';
instance('evolution', $evolution);


sub instance {
    my ($provider, $name) = @_;

    return mediactl('secret-token', 'instance', 'add', '--tenant', $tenant,
        '--provider', $provider, '--name', $name, '--base-url',
        'http://127.0.0.1:9', '--token-stdin');
}


sub evolution {
    my ($event, $data, %header) = @_;

    return webhook('evolution', $json->encode({ event => $event,
        instance => $header{name} // $evolution, data => $data }),
        map { $_ => $header{$_} } grep { $_ ne 'name' } keys %header);
}


sub message {
    my ($id, $columns) = @_;

    return wait_until(10, sub {
        my @row = sql_row("SELECT $columns FROM media.messages m"
            . ' JOIN media.conversations c ON c.id = m.conversation_id'
            . ' LEFT JOIN media.message_attachments a ON a.message_id = m.id'
            . " WHERE m.tenant_id = '$tenant' AND m.provider_id = '$id'");

        return @row ? \@row : undef;
    });
}


# one message

my $id = unique_id();

evolution('messages.upsert', text_message($id, "Ol\x{e1} 'a' \x{1f600}",
    chat => '551187654321@s.whatsapp.net'));
is_deeply message($id, 'm.direction, m.type, m.sender, m.sender_name,'
    . 'c.chat, c.is_group, extract(epoch FROM m.sent_at)::int, a.id'),
    [ 'incoming', 'text', '5511987654321', 'Ana', '5511987654321', 'f',
    1700000000, '' ], 'a text message, with the ninth digit';
is +(sql_row("SELECT content = 'Ol' || chr(225) || ' ''a'' ' || chr(128512)"
    . " FROM media.messages WHERE provider_id = '$id'"))[0], 't',
    'its text';
is_deeply [ sql_row('SELECT address, name FROM media.contacts'
    . " WHERE tenant_id = '$tenant'") ], [ '5511987654321', 'Ana' ],
    'its contact';
like redis_cli('XRANGE', "media:events:$tenant", '-', '+'), qr/$id/,
    'its event is in the stream';


# a zero byte in the text and in the raw item

$id = unique_id();
evolution('messages.upsert', text_message($id, "a\x{0}b"));
is message($id, 'm.content')->[0], 'ab', 'a zero byte is left out';


# a chat that begins under its LID goes on under the phone's number

my $lid = int(rand 1e14) . '@lid';
my @lids = map { unique_id() } 1 .. 3;

sub lid_message {
    my ($n, %key) = @_;
    my $data = text_message($lids[$n], "lid $n", chat => $lid);

    $data->{key} = { %{ $data->{key} }, %key };
    evolution('messages.upsert', $data);
    return message($lids[$n], 'c.id, c.chat');
}

my ($begun, $under) = @{ lid_message(0) };
is $under, $lid, 'a chat known by its LID only';
is_deeply lid_message(1, remoteJidAlt => '5521987650001@s.whatsapp.net'),
    [ $begun, '5521987650001' ], 'goes on under the number';
is_deeply lid_message(2), [ $begun, '5521987650001' ],
    'and is found by the LID';


# twenty times the same, all at once

$id = unique_id();
evolution('messages.upsert', text_message($id, 'again')) for 1 .. 20;
$id = unique_id();
evolution('messages.upsert', text_message($id, 'last'));
message($id, 'm.id');
is_deeply [ sql("SELECT m.content, count(*) FROM media.messages m"
    . " WHERE tenant_id = '$tenant' AND content = 'again' GROUP BY 1") ],
    [ [ 'again', 1 ] ], 'twenty copies make one row';
is_deeply [ sql('SELECT count(*) FROM media.events'
    . " WHERE tenant_id = '$tenant' AND payload->>'content' = 'again'") ],
    [ [ 1 ] ], 'and one event';


# statuses: before the message, after it, out of order

sub status {
    my ($message, $status) = @_;

    evolution('messages.update', { keyId => $message, fromMe => \1,
        remoteJid => '5511987654321@s.whatsapp.net', status => $status });
}

$id = unique_id();
status($id, 'READ');
ok wait_until(10, sub { sql_row('SELECT 1 FROM media.early_statuses'
    . " WHERE provider_id = '$id'") }), 'an early status waits';
status($id, 'DELIVERY_ACK');
evolution('messages.upsert', text_message($id, 'late', from_me => 1));
is message($id, 'm.status')->[0], 'read', 'and is applied, the highest';
is_deeply [ sql('SELECT 1 FROM media.early_statuses'
    . " WHERE provider_id = '$id'") ], [], 'and gone';
status($id, 'SERVER_ACK');
status($id, 'PLAYED');
ok wait_until(10, sub { message($id, 'm.status')->[0] eq 'played' }),
    'a later status';
status($id, 'DELIVERY_ACK');
my $marker = unique_id();
evolution('messages.upsert', text_message($marker, 'marker'));
message($marker, 'm.id');
is message($id, 'm.status')->[0], 'played', 'never goes back';


# one bad item among good ones

my @ids = map { unique_id() } 1 .. 3;

# longer than an index takes
$ids[1] .= join '', map { chr(33 + int rand 90) } 1 .. 20000;
$ids[1] =~ tr/'\\//d;

my $request = evolution('messages.upsert', [
    text_message($ids[0], 'good'),
    text_message($ids[1], 'bad'),
    text_message($ids[2], 'good') ]);
ok message($ids[2], 'm.id') && message($ids[0], 'm.id'),
    'the items around a bad one are there';
is_deeply [ sql('SELECT count(*) FROM media.messages'
    . " WHERE tenant_id = '$tenant' AND content = 'bad'") ], [ [ 0 ] ],
    'the bad one is not';
like +(sql_row('SELECT reason FROM media.unrouted_webhooks'
    . " WHERE id = '$request'"))[0],
    qr/^item 2 \(message\) refused by the database, SQLSTATE 54/,
    'its webhook is kept with the reason';


# edited, revoked

evolution('messages.upsert', { %{ text_message(unique_id(), '') },
    messageType => 'protocolMessage', message => { protocolMessage =>
    { type => 'REVOKE', key => { id => $ids[0] } } } });
ok wait_until(10, sub { message($ids[0], 'm.status')->[0] eq 'deleted' }),
    'a revoked message is marked';


# an instance that nobody knows yet

my $name = "later-$tag";

$id = unique_id();
$request = evolution('messages.upsert', text_message($id, 'waiting'),
    name => $name);
ok wait_until(10, sub { sql_row('SELECT 1 FROM media.unrouted_webhooks'
    . " WHERE id = '$request' AND reason = 'unknown instance'") }),
    'the webhook of an unknown instance waits';
is instance('evolution', $name), 0, 'the instance is added';
ok message($id, 'm.id'), 'and its webhook taken up';
ok wait_until(10, sub { !sql_row('SELECT 1 FROM media.unrouted_webhooks'
    . " WHERE id = '$request'") }), 'once';

is mediactl('', 'instance', 'set', '--provider', 'evolution', '--name',
    $name, '--disable'), 0, 'instance disabled';
$request = evolution('messages.upsert', text_message(unique_id(), 'x'),
    name => $name);
ok wait_until(10, sub { sql_row('SELECT 1 FROM media.unrouted_webhooks'
    . " WHERE id = '$request' AND reason = 'instance is disabled'") }),
    'the webhook of a disabled instance waits as well';

$request = evolution('messages.upsert', text_message(unique_id(), 'x'),
    instance => 'another');
ok wait_until(10, sub { sql_row('SELECT 1 FROM media.unrouted_webhooks'
    . " WHERE id = '$request' AND reason LIKE '%address'") }),
    'an address is good for its own instance only';


# what is no webhook

for my $body ('{"event": "messages.upsert", "data"', 'nonsense') {
    $request = webhook('evolution', $body);
    ok wait_until(10, sub { sql_row('SELECT 1 FROM media.unrouted_webhooks'
        . " WHERE id = '$request' AND reason LIKE 'not readable%'"
        . ' AND length(body) = ' . length $body) }), "kept: $body";
}


# a captured message of each provider; the media's rows

for my $case (
    [ 'evolution', 'v1_image_no_base64.json', 'image', 'image/jpeg' ],
    [ 'evolution', 'derived_236_video.json', 'video', 'video/mp4' ],
    [ 'wapi', 'rx_image_no_caption_private.json', 'image', 'image/jpeg' ],
    [ 'wapi', 'rx_audio_ptt_2.json', 'audio', 'audio/ogg' ],
    [ 'cloudapi', 'pywa_message_document.json', 'document',
        'application/pdf' ])
{
    my ($provider, $file, $type, $mime) = @$case;
    my $text = slurp("t/data/payloads/$provider/$file");
    my $number = '1' . int rand 1e14;

    # an instance and a message id of this run's own

    my $body = $json->decode($text);
    $name = $provider eq 'cloudapi' ? $number : "$provider-$type-$tag";

    if ($provider eq 'cloudapi') {
        my $value = $body->{entry}[0]{changes}[0]{value};

        $value->{metadata}{phone_number_id} = $name;
        $id = $value->{messages}[0]{id} = 'wamid.' . unique_id();

    } elsif ($provider eq 'wapi') {
        $body->{instanceId} = $name;
        $id = $body->{messageId} = unique_id();

    } else {
        $body->{instance} = $name;
        $id = $body->{data}{key}{id} = unique_id();
    }

    is instance($provider, $name), 0, "$provider $type: instance";

    my $encoded = $json->encode($body);

    webhook($provider, $encoded) for 1 .. 3;
    is_deeply message($id, 'm.type, m.direction, a.category,'
        . " a.source->>'provider', a.source->>'message_id',"
        . " a.metadata->>'whatsapp_message_id'"),
        [ $type, 'incoming', $type, $provider, $id, $id ],
        "$provider $type: message and attachment";
    is +(sql_row('SELECT count(*) FROM media.message_attachments a JOIN'
        . ' media.messages m ON m.id = a.message_id'
        . " WHERE m.provider_id = '$id'"))[0], 1,
        "$provider $type: one attachment";
    like message($id, "coalesce(nullif(a.source->>'mimetype', ''), '$mime')")
        ->[0], qr/^\Q$mime\E/, "$provider $type: $mime";

    my @hops = map { $_->[0] } sql('SELECT stage FROM media.hops'
        . " WHERE provider_id = '$id' ORDER BY id LIMIT 2");

    is "@hops", 'received analysed', "$provider $type: hops";

    open my $p, '-|', $ENV{MEDIACTL}, 'trace', $id or die;
    local $/;
    like <$p>, qr/received .* analysed /s, "$provider $type: trace";
    close $p;
}

done_testing;
