#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Sends by W-API: the exact bodies, what each answer means, the queue, and
# read and typing.

use strict;
use warnings;
use utf8;

use lib 't/lib';

use E2E qw(slurp sql unique_id);
use JSON::PP;
use MIME::Base64;
use SendRun;
use Test::More;

run_or_skip();

my $json = JSON::PP->new->utf8;
my $chat = '5511987654321';
my $public = 'https://media.example.com/media/';

$ENV{MEDIA_PUBLIC_URL} = $public;
$ENV{MEDIA_DOWNLOAD_TIMEOUT} = '1s';

my $i = account('wapi', name => 'LITE-' . unique_id());
my $sent = slurp('t/data/payloads/wapi/api_send_text_200.json');
my $ok = answered(200, $sent, 'Content-Type' => 'application/json');
my %object = (
    image => ['image/png', 'a.png'], video => ['video/mp4', 'a.mp4'],
    document => ['application/pdf', 'relatório'],
    sticker => ['image/webp', 'a.webp'], audio => ['audio/mpeg', 'a.mp3'],
    voice => ['audio/ogg; codecs=opus', 'a.ogg'],
);
my $base64 = encode_base64('bytes', '');

# kind, members, endpoint, body with links, what differs without them

for my $case (
    ['text', { text => "Olá \"José\"\n😀" }, 'send-text',
        { message => "Olá \"José\"\n😀" }],
    ['location', { latitude => '-23.0696347', longitude => '-50.4357913',
        place_name => 'Praça', place_address => 'Av. 1' }, 'send-location',
        { latitude => '-23.0696347', longitude => '-50.4357913',
            name => 'Praça', address => 'Av. 1' }],
    ['location', { latitude => '1', longitude => '2' }, 'send-location',
        { latitude => '1', longitude => '2', name => '1, 2',
            address => '1, 2' }],
    ['image', { text => 'é' }, 'send-image', { image => 'LINK',
        caption => 'é' }, { image => "data:image/png;base64,$base64" }],
    ['video', {}, 'send-video', { video => 'LINK' },
        { video => "data:video/mp4;base64,$base64" }],
    ['document', { text => 'é' }, 'send-document', { document => 'LINK',
        extension => 'pdf', fileName => 'relatório.pdf', caption => 'é' },
        { document => "data:application/pdf;base64,$base64" }],
    ['sticker', { text => 'é' }, 'send-sticker', { sticker => 'LINK' },
        { sticker => "data:image/webp;base64,$base64" }],
    ['audio', { text => 'é' }, 'send-audio',
        { audio => "data:audio/mpeg;base64,$base64" }],
    ['voice', {}, 'send-audio',
        { audio => "data:audio/ogg;codecs=opus;base64,$base64" }],
) {
    my ($kind, $members, $endpoint, $body, $inline) = @$case;
    my %file = $object{$kind} ? put_object('bytes', @{ $object{$kind} }) : ();

    for my $link (1, 0) {
        local $ENV{MEDIA_PUBLIC_URL} = $link ? $public : 'http://localhost/';

        for my $reply ('', 'ABC', 'send:1') {
            my ($result, $r, @more) = exchange('send', one_send($i, $kind,
                %$members, %file, reply_id => $reply), $ok);

            $r->{body} =~ s{"\Q$public\Echat/t/1/\w+\?[^"]*"}{"LINK"};
            is("$result->{result} $result->{provider_id}",
                'accepted YC3XL7V7S4INWO3GHR0VA8', $kind)
                or diag explain $result;
            is_deeply($json->decode($r->{body}), { phone => $chat, %$body,
                $link ? () : %{ $inline // {} },
                $reply eq 'ABC' ? (messageId => 'ABC') : () }, 'the body')
                or diag $r->{body};
            is("$r->{method} $r->{target}",
                "POST /v1/message/$endpoint?instanceId=$i->{name}", 'path');
            is($r->{headers}{authorization},
                'Bearer a-secret-token-of-this-test', 'the token');
            is(scalar @more, 0, 'one request');
        }
    }
}

# groups and hidden numbers go by their ids

for my $address ('120363348570282291@g.us', '183545595199545@lid') {
    my (undef, $r) = exchange('send', one_send($i, 'text', text => 'x',
        chat => $address), $ok);

    is($json->decode($r->{body})->{phone}, $address, $address);
}

# what answers mean

my $html = '<html><body>nginx</body></html>';
my $refused = sub { answered($_[0], { error => JSON::PP::true,
    message => $_[1] }) };
my $nested = slurp('t/data/payloads/wapi/api_download_media_500.json');

for my $case (
    [$refused->(400, 'O número de telefone é obrigatório.'), 'failed', 'none',
        'bad_request', qr/: O número de telefone é obrigatório\.$/],
    [$refused->(400, "Falha com $chat: a private text"), 'failed', 'none',
        'bad_request', qr/refused the message$/],
    [$refused->(400, 'Falha com 551187654321 12'), 'failed', 'none',
        'bad_request', qr/: Falha com \*\*\* 12$/],
    [$refused->(422, 'x'), 'failed', 'none', 'bad_request'],
    [$refused->(400, { message => 'nested' }), 'failed', 'none',
        'bad_request', qr/: nested$/],
    [answered(500, $nested, 'Content-Type' => 'application/json'), 'retry',
        'none', 'http_500', qr/: Falha ao fazer o download do conteúdo\.$/],
    [$refused->(401, 'x'), 'stop', 'number', 'http_401'],
    [$refused->(403, 'x'), 'stop', 'number', 'http_403'],
    [$refused->(404, 'x'), 'stop', 'number', 'http_404'],
    [$refused->(413, 'x'), 'failed', 'none', 'http_413'],
    [$refused->(429, 'x'), 'retry', 'number', 'http_429'],
    [$refused->(503, 'x'), 'unknown', 'none', 'http_503'],
    [answered(404, $html), 'stop', 'number', 'http_404'],
    [answered(400, $html), 'failed', 'none', 'http_400'],
    map({ [answered($_, $html), 'unknown', 'none', "http_$_"] }
        500, 502, 503, 504),
    [answered(200, { error => JSON::PP::true, message => 'x' }), 'unknown',
        'none', 'no_id'],
    [answered(200, {}), 'unknown', 'none', 'no_id'],
    [answered(200, $html), 'unknown', 'none', 'no_answer'],
    map({ [[$_], 'unknown', 'none', 'no_answer'] }
        qw(early reset close hang)),
) {
    my ($answer, $expected, $scope, $code, $error) = @$case;
    my $name = ref $answer ? $answer->[0] : substr $answer, 0, 16;
    my ($result, @requests) = exchange('send', one_send($i, 'text',
        text => 'a private text'), $answer);

    is("$result->{result} $result->{scope} $result->{error_code}",
        "$expected $scope $code", $name) or diag $result->{error};
    like($result->{error}, $error // qr/^wapi \w/, 'a text for people');
    unlike($result->{error}, qr/private|secret|$chat/, 'nothing private');
    is(scalar @requests, 1, 'one request');
}

# LITE has no stickers, which pauses nobody's number

{
    my ($result) = exchange('send', one_send($i, 'sticker',
        put_object('bytes', @{ $object{sticker} })), answered(404, $html));

    is("$result->{result} $result->{scope}", 'failed none', 'a sticker, 404');
    like($result->{error}, qr/plan \(LITE\)/, 'says why');
}

# the queue

sub queue {
    return answered(200, { error => JSON::PP::false, messages => [@_],
        totalMessages => scalar @_, totalPages => 1, currentPage => 1 });
}

sub queued {
    my ($id, %opt) = @_;

    return { insertedId => '678a93be955a3a874e341ff0', type => 'text',
        instanceId => $i->{name}, phone => $chat, delayMessage => 5,
        MessageId => $id, created => time * 1000, message => 'Bom dia é.',
        %opt };
}

{
    my $s = one_send($i, 'text', text => 'Bom dia é.');
    my @wrong = (queued('W1', type => 'image'), queued('W2', phone => '55'),
        queued('W3', created => (time - 600) * 1000),
        queued('W4', message => 'Bom dia'));
    my ($result, $r) = exchange('look_up', $s, queue(@wrong, queued('RIGHT'),
        queued('LATER')));

    is("$result->{result} $result->{provider_id}", 'accepted RIGHT',
        'in the queue');
    is("$r->{method} $r->{target}", "GET /v1/quere/quere?instanceId=$i->{name}"
        . '&perPage=100&page=1', 'the path');

    sql("UPDATE media.messages SET provider_id = 'RIGHT' WHERE id = "
        . one_send($i, 'text')->{message});
    ($result) = exchange('look_up', $s, queue(queued('RIGHT'),
        queued('LATER')));
    is($result->{provider_id}, 'LATER', 'not one that is known already');

    for my $answer (queue(@wrong), queue(), answered(500, 'x'), ['close'],
        answered(200, slurp('t/data/payloads/wapi/api_queue_200.json')))
    {
        ($result) = exchange('look_up', $s, $answer);
        is("$result->{result} $result->{provider_id}", 'unknown ',
            'nobody knows');
    }

    ($result) = exchange('look_up', one_send($i, 'voice'), queue(
        queued('VOICE', type => 'audio', message => undef)));
    is($result->{provider_id}, 'VOICE', 'a file by its type');
}

# read and typing

{
    my $s = one_send($i, 'text');
    my ($result, $r) = exchange('read', { %$s, message_id => 'ABC' },
        answered(200, {}));

    ok($result->{ok}, 'read');
    is($r->{target}, "/v1/message/read-message?instanceId=$i->{name}", 'path');
    is_deeply($json->decode($r->{body}), { phone => $chat,
        messageId => 'ABC' }, 'the body');

    for my $case (['', 'composing'], ['1', 'recording']) {
        ($result, $r) = exchange('typing', { %$s, audio => $case->[0] },
            answered(200, {}));
        ok($result->{ok}, 'typing');
        is($r->{target}, "/v1/chats/send-presence?instanceId=$i->{name}",
            'path');
        is_deeply($json->decode($r->{body}), { phone => $chat,
            presence => $case->[1], delay => 15 }, 'the body');
    }

    ($result) = exchange('read', { %$s, message_id => 'ABC' },
        answered(404, $html));
    is($result->{ok}, '0', 'W-API LITE has none');
}

done_testing();
