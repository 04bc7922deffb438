#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Sends by Evolution, version 1 and 2: the exact bodies, what each answer
# means, and that a request of unknown outcome is never taken for another.

use strict;
use warnings;
use utf8;

use lib 't/lib';

use E2E qw(sql sql_row slurp unique_id);
use JSON::PP;
use MIME::Base64;
use SendRun;
use Test::More;

run_or_skip();

my $json = JSON::PP->new->utf8;
my $chat = '5511987654321';
my $jid = "$chat\@s.whatsapp.net";
my $public = 'https://media.example.com/media/';

$ENV{MEDIA_PUBLIC_URL} = $public;
$ENV{MEDIA_DOWNLOAD_TIMEOUT} = '1s';

sub sample { return slurp("t/data/payloads/evolution/$_[0].json") }

my $ok = answered(201, { key => { remoteJid => $jid, fromMe => JSON::PP::true,
    id => '3EB0AA' }, status => 'PENDING' });
my %account = map { $_ => account('evolution', version => $_) } qw(v1 v2);

# a link is signed anew each time: it is what it is, and stands as LINK
sub body_of {
    my ($r, $key) = @_;

    $r->{body} =~ s{"\Q$public$key\E\?[^"]*"}{"LINK"};
    return $json->decode($r->{body});
}

my $place = { latitude => '-23.5', longitude => '-46.75',
    place_name => 'Praça da Sé', place_address => 'São Paulo' };
my $where = { latitude => -23.5, longitude => -46.75, name => 'Praça da Sé',
    address => 'São Paulo' };
my $text = "Olá \"José\" \\ 😀\n\x{1}tab\t";
my %object = (
    image => ['image/jpeg', 'férias.JPEG', 'férias.jpg'],
    video => ['video/mp4', 'a.mov', 'a.mp4'],
    audio => ['audio/mpeg', '', 'audio.mp3'],
    document => ['application/pdf', 'relatório v1.2', 'relatório v1.2.pdf'],
    voice => ['audio/ogg; codecs=opus', 'x.webm', ''],
    sticker => ['image/webp', 'x.png', ''],
);

# kind, members, path, body of v2, body of v1 (number left out)

my @cases = (
    ['text', { text => $text }, 'sendText', { text => $text },
        { textMessage => { text => $text } }],
    ['location', $place, 'sendLocation', $where,
        { locationMessage => $where }],
    map({ [$_, { text => "legenda é" }, 'sendMedia',
        { mediatype => $_, mimetype => $object{$_}[0],
            fileName => $object{$_}[2], media => 'LINK',
            ($_ eq 'audio' ? () : (caption => "legenda é")) },
        'mediaMessage'] } qw(image video audio document)),
    ['voice', {}, 'sendWhatsAppAudio', { audio => 'LINK' },
        { audioMessage => { audio => 'LINK' }, options => {} }],
    ['sticker', {}, 'sendSticker', { sticker => 'LINK' },
        { stickerMessage => { image => 'LINK' } }],
);

for my $case (@cases) {
    my ($kind, $members, $path, $v2, $v1) = @$case;
    my %file = $object{$kind} ? put_object("bytes of a $kind",
        $object{$kind}[0], $object{$kind}[1]) : ();
    my %expected = (v2 => $v2, v1 => ref $v1 ? $v1 : { $v1 => $v2 });

    for my $version (qw(v2 v1)) {
        my $s = one_send($account{$version}, $kind, %$members, %file);
        my ($result, $r, @more) = exchange('send', {
            %$s, map { $_ => $s->{$_} } keys %$members }, $ok);

        is($result->{result}, 'accepted', "$kind by $version: accepted")
            or diag explain $result;
        is($result->{provider_id}, '3EB0AA', 'its id');
        is_deeply(body_of($r, $file{file_key} // ''), { number => $chat,
            %{ $expected{$version} } }, 'the body') or diag $r->{body};
        is("$r->{method} $r->{target}", "POST /message/$path/"
            . $account{$version}{name}, 'the path');
        is($r->{headers}{apikey}, 'a-secret-token-of-this-test', 'the key');
        is($r->{headers}{'content-type'}, 'application/json', 'the type');
        is(scalar @more, 0, 'one request');
    }
}

# quoting: by id alone if Evolution has to find it

for my $version (qw(v2 v1)) {
    my %quoted;

    for my $case ([{}, { key => { id => 'ABC' } }],
        [{ reply_text => 'antes', reply_from_me => 1 }, { key => { id => 'ABC',
            remoteJid => $jid, fromMe => JSON::PP::true },
            message => { conversation => 'antes' } }],
        [{ reply_text => 'antes', is_group => 1, chat => '12036@g.us' },
            { key => { id => 'ABC' } }],
        [{ reply_id => 'send:1234' }, undef])
    {
        my ($members, $quoted) = @$case;
        my (undef, $r) = exchange('send', one_send($account{$version}, 'text',
            text => 'agora', reply_id => 'ABC', %$members), $ok);
        my $body = $json->decode($r->{body});

        is_deeply($version eq 'v1' ? $body->{options}{quoted}
            : $body->{quoted}, $quoted, "$version quotes") or diag $r->{body};
        is($body->{number}, $members->{chat} // $chat, 'the address');
    }
}

# what the public samples of v1 have, we have: same objects, same members

for my $case (['v1_request_sendtext', 'text', text => 'x'],
    ['v1_request_sendlocation', 'location', %$place],
    ['v1_request_sendmedia_image_url', 'image', text => 'x'],
    ['v1_request_sendmedia_document_url', 'document', text => 'x'],
    ['v1_request_sendwhatsappaudio_url', 'voice'],
    ['v1_request_sendsticker_base64', 'sticker'])
{
    my ($name, $kind, %members) = @$case;
    my $sample = $json->decode(sample($name));
    my ($object) = grep { /Message$/ } keys %$sample;
    my (undef, $r) = exchange('send', one_send($account{v1}, $kind, %members,
        $object{$kind} ? put_object('x', $object{$kind}[0], 'x') : ()), $ok);
    my $body = $json->decode($r->{body});

    delete $body->{$object}{mimetype};
    is_deeply([sort keys %{ $body->{$object} }],
        [sort keys %{ $sample->{$object} }], "$name: the same members");
}

# real answers, with thumbnails as objects of numbers

for my $case (['v1_sendmedia_image_response_201', 'BAE548E8E5CB0ED6'],
    ['v2_237_sendtext_response_201', '3EB0EB5BA1F922F94B53B4'],
    ['v2_237_sendmedia_image_response_partial', '3EB07F687BA29993B52BA3'],
    ['docs_sendlocation_response', 'BAE51B6FF4470AF9'])
{
    my ($result) = exchange('send', one_send($account{v2}, 'text',
        text => 'x'), answered(201, sample($case->[0]),
        'Content-Type' => 'application/json'));

    is($result->{provider_id}, $case->[1], $case->[0]);
}

# an instance's name is any text

{
    my $name = 'Loja 1/é ' . unique_id();
    my $i = account('evolution', name => $name);
    my (undef, $r) = exchange('send', one_send($i, 'text', text => 'x'), $ok);

    like($r->{target}, qr{^/message/sendText/Loja%201%2F%C3%A9%20\w+$},
        'the name is encoded');
}

# names that Evolution can take a type from

for my $case (['document', 'application/pdf', 'a.pdf', 'a.pdf'],
    ['document', 'text/csv', 'a.csv', 'a.csv'],
    ['document', 'application/pdf', 'a.v2', 'a.v2.pdf'],
    ['document', 'application/x-strange', 'a.odd', 'a.odd'],
    ['document', 'text/plain', 'a.log', 'a.log'],
    ['document', 'application/pdf', 'a.2026', 'a.2026.pdf'],
    ['document', 'application/x-strange', 'strange', 'strange.bin'],
    ['document', 'application/pdf', '', 'document.pdf'],
    ['document', 'application/pdf', '.pdf', '.pdf.pdf'],
    ['image', 'image/jpeg', 'IMG_1.heic', 'IMG_1.jpg'],
    ['image', 'image/png', 'a.b.c', 'a.b.png'])
{
    my ($kind, $type, $name, $sent) = @$case;
    my (undef, $r) = exchange('send', one_send($account{v2}, $kind,
        put_object('x', $type, $name)), $ok);

    is($json->decode($r->{body})->{fileName}, $sent, "$name of $type");
}

# a link where Evolution takes it and can fetch it, else bare base64

for my $case (['https://media.example.com/m/', 1],
    ['http://203.0.112.9:8080/', 1], ['http://host.docker.internal/', 1],
    ['http://127.0.0.1:9/', 1], ['http://minio:9000/', 0],
    ['http://localhost:9000/', 0], ['https://my_media.example.com/', 0],
    ['https://media.example.c/', 0], ['https://media.example.42x/', 0],
    ['https://media.example.com/' . 'a/' x 1000, 0],
    ['https://media.example.com/', 0, MEDIA_SIGN_KEY => '',
        MEDIA_SIGN_KEY_ID => ''])
{
    my ($url, $link, %env) = @$case;
    my $bytes = join '', map { chr rand 256 } 1 .. 20_000;

    local @ENV{'MEDIA_PUBLIC_URL', keys %env} = ($url, values %env);

    my (undef, $r) = exchange('send', one_send($account{v2}, 'image',
        put_object($bytes, 'image/png', 'a.png')), $ok);
    my $media = $json->decode($r->{body})->{media};

    if ($link) {
        like($media, qr{^\Q${url}\Echat/t/1/\w+\?expires=(\d+)&}, 'a link')
            or diag substr $media, 0, 200;
        my ($expires) = $media =~ /expires=(\d+)/;
        cmp_ok($expires // 0, '>', time + 3600, 'good for an hour and more');
    } else {
        ok($media eq encode_base64($bytes, ''), 'base64 for '
            . substr $url, 0, 40) or diag substr $media, 0, 200;
    }
}

# private addresses are of no use to a provider elsewhere

{
    local $ENV{MEDIA_PUBLIC_URL} = 'http://10.1.2.3/';

    my $i = account('evolution', base_url => 'http://evolution.invalid');
    my ($result) = exchange('send', one_send($i, 'image',
        put_object('x', 'image/png', 'a.png')));

    is($result->{error_code}, 'unreachable', 'a name that does not resolve');
    is("$result->{result} $result->{scope}", 'retry number',
        'may be repeated');
}

# the file's base64 whatever its length, in little memory

{
    local $ENV{MEDIA_PUBLIC_URL} = 'http://localhost/';

    my %rss;

    for my $size (0 .. 4, 12287 .. 12290, 40_000_001) {
        my $bytes = 'x' x $size;
        my ($result, $r) = exchange('send', one_send($account{v1}, 'document',
            put_object($bytes, 'application/pdf', 'a.pdf')), $ok);

        ok($json->decode($r->{body})->{mediaMessage}{media}
            eq encode_base64($bytes, ''), "$size bytes");
        $rss{$size} = $result->{rss};
    }

    cmp_ok($rss{40_000_001}, '<', $rss{4} + 8192, 'in 8 MB of memory');
}

# a file that is gone, or not what its row says, was not sent

{
    local $ENV{MEDIA_PUBLIC_URL} = 'http://localhost/';

    my %file = put_object('four', 'application/pdf', 'a.pdf');

    for my $change ({ file_key => 'chat/t/1/absent' }, { file_size => 5 }) {
        my ($result, @requests) = exchange('send', one_send($account{v2},
            'document', %file, %$change));

        is("$result->{result} $result->{error_code}", 'failed file_missing',
            'the file is missing');
        is(scalar @requests, 0, 'nothing was sent');
    }

    local $ENV{S3_ENDPOINT_URL} = 'http://127.0.0.1:1';
    my ($result) = exchange('send', one_send($account{v2}, 'document', %file));

    is($result->{result}, 'again', 'storage is away');
}

# coordinates

for my $case (['91', '0'], ['0', '-180.5'], ['+1', '0'], ['1e1', '0'],
    ['', '0'], ['01', '0'], ['1.', '0'], ['nan', '0'])
{
    my ($result) = exchange('send', one_send($account{v2}, 'location',
        latitude => $case->[0], longitude => $case->[1]));

    is("$result->{result} $result->{error_code}", 'failed bad_location',
        "not at @$case");
}

{
    my (undef, $r) = exchange('send', one_send($account{v2}, 'location',
        latitude => '-1.25', longitude => '0'), $ok);

    is_deeply($json->decode($r->{body}), { number => $chat,
        latitude => -1.25, longitude => 0, name => '-1.25, 0',
        address => '-1.25, 0' }, 'v2 wants a name and an address');
}

# what answers mean: status, body, result, scope, code

sub failure {
    my ($status, $message, $error) = @_;

    return answered($status, { status => $status, error => $error // 'X',
        response => { message => $message } });
}

my $html = '<html><body>nginx</body></html>';

for my $case (
    [failure(400, ['instance requires property "text"']),
        'failed', 'none', 'bad_request'],
    [failure(400, ['Owned media must be a url or base64']),
        'failed', 'none', 'bad_media'],
    [failure(400, [{ jid => $jid, exists => JSON::PP::false,
        number => $chat }]), 'failed', 'none', 'not_on_whatsapp'],
    [failure(400, ['Error: Connection Closed']),
        'retry', 'number', 'disconnected'],
    [failure(400, ['Error: Media upload failed on all hosts']),
        'retry', 'none', 'media_upload'],
    [failure(400, ['PrismaClientKnownRequestError: invalid']),
        'unknown', 'none', 'http_400'],
    [failure(400, ['AggregateError']), 'unknown', 'none', 'http_400'],
    [failure(401, 'Unauthorized'), 'stop', 'number', 'http_401'],
    [failure(403, ['Forbidden']), 'stop', 'number', 'http_403'],
    [failure(404, ['The "x" instance does not exist']),
        'stop', 'number', 'http_404'],
    [failure(404, ['Cannot POST /message/sendText/x']),
        'stop', 'number', 'http_404'],
    [failure(404, ['Group not found']), 'failed', 'none', 'not_found'],
    [failure(413, 'request entity too large', 'Internal Server Error'),
        'failed', 'none', 'http_413'],
    [failure(429, 'slow down'), 'retry', 'number', 'http_429'],
    [failure(500, 'Maximum call stack size exceeded'),
        'failed', 'none', 'file_too_large'],
    [failure(500, "Cannot read properties of undefined (reading 'x')"),
        'retry', 'number', 'disconnected'],
    [failure(500, ['Error: Connection Closed']),
        'retry', 'number', 'disconnected'],
    [failure(500, ['Input buffer contains unsupported image format']),
        'retry', 'none', 'http_500'],
    [answered(503, { error => 'service not activated',
        code => 'LICENSE_REQUIRED', message => 'x' }),
        'stop', 'number', 'license_required'],
    [answered(301, $html, Location => '/x'), 'stop', 'number', 'http_301'],
    [answered(404, $html), 'stop', 'number', 'http_404'],
    [answered(408, $html), 'unknown', 'none', 'http_408'],
    [answered(413, $html), 'failed', 'none', 'http_413'],
    [answered(429, $html), 'retry', 'number', 'http_429'],
    map({ [answered($_, $html), 'unknown', 'none', "http_$_"] }
        500, 502, 503, 504, 520),
    [answered(500, { error => 'x' }), 'unknown', 'none', 'http_500'],
    [answered(201, { key => {} }), 'unknown', 'none', 'no_id'],
    [answered(201, $html), 'unknown', 'none', 'no_answer'],
    [answered(201, '{"key":{"id":"X"}', 'Content-Type' => 'application/json'),
        'unknown', 'none', 'no_id'],
    [answered(200, { key => { id => 'X1' } }), 'accepted', 'none', ''],
    [['early'], 'unknown', 'none', 'no_answer'],
    [['reset'], 'unknown', 'none', 'no_answer'],
    [['close'], 'unknown', 'none', 'no_answer'],
    [['hang'], 'unknown', 'none', 'no_answer'],
    ["HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n"
        . '{"key":{"id":"X2"}', 'unknown', 'none', 'no_answer'],
    ["garbage\r\n\r\n", 'unknown', 'none', 'no_answer'],
) {
    my ($answer, $expected, $scope, $code) = @$case;
    my $name = ref $answer ? $answer->[0] : substr $answer, 0, 200;
    my ($result, @requests) = exchange('send', one_send($account{v2}, 'text',
        text => 'a private text'), $answer);

    $name =~ s/\s+/ /g;
    is("$result->{result} $result->{scope} $result->{error_code}",
        "$expected $scope $code", $name) or diag $result->{error};
    is(scalar @requests, 1, 'one request');
    unlike("$result->{error}", qr/private|secret|$chat/, 'nothing private');
    like($result->{error}, $expected eq 'accepted' ? qr/^$/ : qr/\w{4}/,
        'a text for people');
}

# Retry-After, as seconds, and as a date; neither is believed for ever (later
# libcurls have a limit of their own, six hours)

for my $case ([7, 7, 7], ['Fri, 31 Dec 1999 23:59:59 GMT', 0, 0],
    [99999999, 21600, 86400], ['soon', 0, 0],
    [sub { my @t = gmtime(time + 100); sprintf '%s, %02d %s %d %02d:%02d:%02d '
        . 'GMT', (qw(Sun Mon Tue Wed Thu Fri Sat))[$t[6]], $t[3],
        (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$t[4]],
        $t[5] + 1900, @t[2, 1, 0] }, 50, 100])
{
    my ($value, $min, $max) = @$case;
    my ($result) = exchange('send', one_send($account{v2}, 'text',
        text => 'x'), answered(429, $html, 'Retry-After' => ref $value
        ? $value->() : $value));

    ok($result->{retry_after} >= $min && $result->{retry_after} <= $max,
        'Retry-After') or diag "$value: $result->{retry_after}";
}

# nobody listens

{
    my $i = account('evolution', base_url => 'http://127.0.0.1:1');
    my ($result) = exchange('send', one_send($i, 'text', text => 'x'));

    is("$result->{result} $result->{scope} $result->{error_code}",
        'retry number unreachable', 'no connection: certainly not sent');

    $i = account('evolution', base_url => 'ftp://127.0.0.1/');
    ($result) = exchange('send', one_send($i, 'text', text => 'x'));
    is("$result->{result} $result->{error_code}", 'stop bad_address',
        'an address that cannot be');
}

# the look-up: ours, of that time, to that chat, of that text, not known yet

sub record {
    my ($id, %opt) = @_;

    return { key => { id => $id, fromMe => $opt{from_me} // JSON::PP::true,
        remoteJid => $opt{jid} // $jid }, messageType => 'conversation',
        message => $opt{message} // { conversation => $opt{text} // 'olá "1"' },
        messageTimestamp => $opt{at} // time, source => 'web' };
}

sub records {
    my ($version, @records) = @_;

    return answered(200, $version eq 'v1' ? \@records : { messages => {
        total => scalar @records, pages => 1, currentPage => 1,
        records => \@records } });
}

for my $version (qw(v2 v1)) {
    my $i = $account{$version};
    my @wrong = (record('W1', from_me => JSON::PP::false),
        record('W2', text => 'olá'), record('W3', at => time - 300),
        record('W4', jid => '5511900000000@s.whatsapp.net'),
        record('W5', message => { imageMessage => { caption => 'olá "1"' } }));
    my $s = one_send($i, 'text', text => 'olá "1"');
    my ($result, $r) = exchange('look_up', $s, records($version, @wrong,
        record('RIGHT-2', jid => '551187654321@s.whatsapp.net'),
        record('RIGHT-1'), record('ODD', text => '"records":[}]{"')));

    is("$result->{result} $result->{provider_id}", 'accepted RIGHT-1',
        "$version: the earliest that fits");

    my $body = $json->decode($r->{body});

    if ($version eq 'v1') {
        is_deeply($body, { where => { key => { fromMe => JSON::PP::true,
            remoteJid => $jid } } }, 'what is asked');
    } else {
        is_deeply($body->{where}{key}, { fromMe => JSON::PP::true },
            'what is asked');
        like($body->{where}{messageTimestamp}{$_},
            qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, $_) for qw(gte lte);
        is("$body->{page} $body->{offset}", '1 200', 'a page');
    }

    is($r->{target}, "/chat/findMessages/$i->{name}", 'the path');

    sql("UPDATE media.messages SET provider_id = 'RIGHT-1' WHERE id = "
        . one_send($i, 'text')->{message});
    ($result) = exchange('look_up', $s, records($version,
        record('RIGHT-2'), record('RIGHT-1')));
    is($result->{provider_id}, 'RIGHT-2', 'not one that is known already');

    ($result) = exchange('look_up', $s, records($version,
        record('RIGHT-1'), @wrong));
    is("$result->{result} $result->{provider_id}", 'unknown ', 'none');

    for my $answer (records($version), answered(500, 'x'), ['close'],
        answered(200, '[{"key":', 'Content-Type' => 'application/json'))
    {
        ($result) = exchange('look_up', $s, $answer);
        is($result->{result}, 'unknown', 'nobody knows');
    }

    my $image = one_send($i, 'image', text => '',
        put_object('x', 'image/png', 'x.png'));
    ($result) = exchange('look_up', $image, records($version, record('TEXT'),
        record('IMAGE', message => { imageMessage => { mimetype =>
            'image/jpeg', mediaKey => 'AAAA' } })));
    is($result->{provider_id}, 'IMAGE', 'a file by its type');
    sql("DELETE FROM media.messages WHERE instance_id = $i->{id}");
}

# read and typing

{
    my %raw = (v1 => '551187654321@s.whatsapp.net', v2 => '9@lid');

    for my $version (qw(v1 v2)) {
        my $i = $account{$version};
        my $s = one_send($i, 'text');
        my $known = unique_id();
        my $member = $version eq 'v1' ? 'read_messages' : 'readMessages';

        sql('INSERT INTO media.messages (tenant_id, instance_id, '
            . 'conversation_id, provider_id, direction, type, metadata) '
            . "VALUES ('$i->{tenant}', $i->{id}, $i->{conversation}, "
            . "'$known', 'incoming', 'text', '{\"key\":{\"remoteJid\":"
            . "\"$raw{$version}\"}}')");

        for my $case (['OTHER', $jid], [$known, $raw{$version}]) {
            my ($result, $r) = exchange('read', { %$s,
                message_id => $case->[0] }, answered(201, {}));

            ok($result->{ok}, 'read');
            is("$r->{method} $r->{target}", ($version eq 'v1' ? 'PUT' : 'POST')
                . " /chat/markMessageAsRead/$i->{name}", 'method and path');
            is_deeply($json->decode($r->{body}), { $member => [{ id =>
                $case->[0], fromMe => JSON::PP::false,
                remoteJid => $case->[1] }] }, 'the body');
        }

        for my $case (['', 'composing'], ['1', 'recording']) {
            my ($result, $r) = exchange('typing', { %$s,
                audio => $case->[0] }, answered(201, {}));
            my %presence = (presence => $case->[1], delay => 3000);

            ok($result->{ok}, 'typing');
            is($r->{target}, "/chat/sendPresence/$i->{name}", 'the path');
            is_deeply($json->decode($r->{body}), { number => $chat,
                $version eq 'v1' ? (options => \%presence) : %presence },
                'the body');
        }

        my ($result) = exchange('typing', $s, answered(500, 'x'));
        is($result->{ok}, '0', 'not taken');
    }
}

done_testing();
