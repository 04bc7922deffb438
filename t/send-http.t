#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A message to a customer is taken once the broker has it, under an id that is
# the same for the same idempotency key; what is wrong with one is said at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256);
use Test::More;
use UploadHTTP;

my $t = UploadHTTP->new;

$t->serve_uploads;
$t->redis_start;
$t->start;
$t->wait_broker;

my %text = (conversation_id => 42, kind => 'text', text => "ol\x{e1} \"b\"\n",
    idempotency_key => 'key 1');
my $file = '01234567-89ab-4cde-8f01-23456789ABCD';

# RFC 9562, version 8, of the name
sub send_id {
    my ($tenant, $key) = @_;
    my @bytes = unpack 'C16', sha256("send\n$tenant\n$key");

    $bytes[6] = $bytes[6] & 0x0f | 0x80;
    $bytes[8] = $bytes[8] & 0x3f | 0x80;
    return join '-', unpack 'A8 A4 A4 A4 A12',
        join '', map { sprintf '%02x', $_ } @bytes;
}

sub refused {
    my (%message) = @_;
    return $t->refusal('/send', { %text, %message });
}

my $answer = $t->post('/send', \%text);

is($answer->{status}, 202, 'text') or diag $answer->{content}, $t->error_log;
is_deeply($answer->{json}, { send_id => send_id('acme', 'key 1'),
    status => 'queued' }, 'its answer');

my %job = (type => 'send', tenant => 'acme', conversation_id => '42',
    kind => 'text', text => "ol\x{e1} \"b\"\n", reply_to => '',
    idempotency_key => 'key 1');

is_deeply([$t->jobs], [\%job], 'its job');

is($t->post('/send', \%text)->{json}{send_id}, send_id('acme', 'key 1'),
    'the same key');
isnt($t->post('/send', \%text, 'X-Tenant' => 'other')->{json}{send_id},
    send_id('acme', 'key 1'), 'another tenant');
is_deeply([map { $_->{tenant} } $t->jobs], ['acme', 'other'], 'tenants');

delete $text{idempotency_key};
$answer = $t->post('/send', { %text, reply_to => 7 },
    'Idempotency-Key' => 'key 2');
is($answer->{json}{send_id}, send_id('acme', 'key 2'), 'key by header');
is_deeply([$t->jobs], [{ %job, idempotency_key => 'key 2',
    reply_to => '7' }], 'and a reply');
$text{idempotency_key} = 'key 1';

# the other kinds

for my $kind (qw(image audio voice video document sticker)) {
    my @text = $kind =~ /^(?:audio|voice|sticker)$/ ? (text => '') : ();

    is($t->post('/send', { %text, kind => $kind, attachment_id => $file,
        file_name => 'a.pdf', @text })->{status}, 202, $kind);
    is_deeply([$t->jobs], [{ %job, kind => $kind, attachment_id => lc $file,
        file_name => 'a.pdf', @text }], "$kind: its job");
}

my %place = (kind => 'location', text => undef, latitude => -23.5,
    longitude => '-179.999', place_name => 'Here', place_address => 'R. 1');

is($t->post('/send', { %text, %place })->{status}, 202, 'location');
is_deeply([$t->jobs], [{ %job, %place, text => '', latitude => '-23.5' }],
    'location: its job');

for my $ok ([90, 180], [-90, '-180.000'], ['0.1', '-0']) {
    is($t->post('/send', { %text, %place, latitude => $ok->[0],
        longitude => $ok->[1] })->{status}, 202, "location @$ok");
}

is($t->post('/send', { %text, text => "\x{e9}" x 4096 })->{status}, 202,
    'the longest text');
is(scalar(() = $t->jobs), 4, 'their jobs');

# the conversation of the URI

$answer = $t->post('/conversations/17/messages', { %text,
    conversation_id => undef });
is($answer->{status}, 202, 'conversation of the URI');
is_deeply([$t->jobs], [{ %job, conversation_id => '17' }], 'its job');
is($t->refusal('/conversations/x/messages', \%text),
    '400 conversation_id_invalid', 'bad conversation of the URI');

# reading and typing

for my $case ([{ action => 'read', message_id => 7 },
        { type => 'read', message_id => '7' }],
    [{ action => 'typing', kind => 'audio' },
        { type => 'typing', kind => 'audio' }],
    [{ action => 'typing' }, { type => 'typing', kind => 'text' }])
{
    $answer = $t->post('/send', { conversation_id => '42',
        %{ $case->[0] } });
    is($answer->{status}, 204, $case->[1]{type});
    is_deeply([$t->jobs], [{ tenant => 'acme', conversation_id => '42',
        %{ $case->[1] } }], 'its job');
}

# mistakes

for my $case (
    [{ conversation_id => 'x' }, 'conversation_id_invalid'],
    [{ conversation_id => \1 }, 'conversation_id_invalid'],
    [{ conversation_id => undef }, 'conversation_id_invalid'],
    [{ kind => undef }, 'kind_invalid'],
    [{ kind => 'template' }, 'kind_invalid'],
    [{ text => undef }, 'text_missing'],
    [{ kind => 'voice', text => 'x', attachment_id => $file },
        'caption_not_allowed'],
    [{ %place, text => 'x' }, 'caption_not_allowed'],
    [{ text => '' }, 'text_missing'],
    [{ text => 'x' x 4097 }, 'text_invalid'],
    [{ text => "\0" }, 'text_invalid'],
    [{ text => 1 }, 'text_invalid'],
    [{ kind => 'image' }, 'attachment_id_invalid'],
    [{ kind => 'image', attachment_id => "${file}0" },
        'attachment_id_invalid'],
    [{ kind => 'image', attachment_id => $file =~ s/A/G/r },
        'attachment_id_invalid'],
    [{ kind => 'image', attachment_id => $file, text => 'x' x 1025 },
        'text_invalid'],
    [{ kind => 'image', attachment_id => $file, file_name => 'x' x 256 },
        'text_invalid'],
    [{ %place, latitude => 90.1 }, 'location_invalid'],
    [{ %place, latitude => -91 }, 'location_invalid'],
    [{ %place, latitude => '1e1' }, 'location_invalid'],
    [{ %place, latitude => '1.' }, 'location_invalid'],
    [{ %place, latitude => '' }, 'location_invalid'],
    [{ %place, longitude => '180.001' }, 'location_invalid'],
    [{ %place, longitude => undef }, 'location_invalid'],
    [{ %place, place_name => 'x' x 1001 }, 'text_invalid'],
    [{ idempotency_key => undef }, 'idempotency_key_invalid'],
    [{ idempotency_key => '' }, 'idempotency_key_invalid'],
    [{ idempotency_key => 'x' x 201 }, 'idempotency_key_invalid'],
    [{ reply_to => 'x' }, 'reply_to_invalid'],
    [{ action => 'delete' }, 'action_invalid'],
    [{ action => 1 }, 'action_invalid'],
    [{ action => 'read' }, 'message_id_invalid'],
    [{ action => 'read', message_id => 'x' }, 'message_id_invalid'],
    [{ action => 'typing', kind => 'video' }, 'kind_invalid'])
{
    my ($change, $error) = @$case;

    is(refused(%$change), "400 $error", join ' ',
        map { "$_=" . substr($change->{$_} // 'null', 0, 20) =~ s/\0/0/r }
        sort keys %$change);
}

is($t->call('GET', '/send')->{status}, 405, 'GET');
is($t->refusal('/send', \%text, 'X-Tenant' => ''), '401 unauthorized',
    'no tenant');
is(scalar(() = $t->jobs), 0, 'nothing was published');

# a queue that does not take it

$t->{amqp}->unbind($t->{name}, $t->{name}, 'media_send');
is(refused(), '503 unavailable', 'no queue');
$t->{amqp}->bind($t->{name}, $t->{name}, 'media_send');
is(refused(), '202 ', 'and again');

unlike($t->error_log, qr/ol\xc3\xa1|key 1/, 'no text and no key in the log');
like($t->error_log, qr/\[error\].*job refused: no queue takes it/,
    'the reason is');
is($t->alarms, '', 'no alarms');

$t->stop;

$t->serve_uploads(rabbitmq =>
    'amqp://a:b@127.0.0.1:' . Cache::free_port() . '/%2F');
$t->start;
$answer = $t->post('/send', \%text);
is($answer->{status}, 503, 'broker away');
like($answer->{headers}{'retry-after'}, qr/^[1-9]$/, 'broker away: later');

$t->stop;
done_testing();
