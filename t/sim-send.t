#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The simulator's sending side: it takes what the providers publish and only
# that, fails as it is told, and posts the webhooks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use POSIX ();
use SendSim;
use Test::More;
use Time::HiRes qw(time sleep);

my $data = "$FindBin::Bin/data";
my $url = send_sim_start();
my $http = HTTP::Tiny->new(timeout => 120, keep_alive => 0);
my $json = JSON::PP->new->canonical->utf8;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $to = '5511987654321';
my $wamid = 'wamid.HBgLMTAzNDEzMzk4OTAVAgASGBQzQUYzMjEzNDM2RTZGQ0MzMDJBRgA=';


sub slurp {
    my ($name) = @_;

    open my $f, '<:raw', $name or die "$name: $!\n";
    local $/;
    return scalar <$f>;
}


sub sample { return $json->decode(slurp("$data/payloads/$_[0].json")) }

sub plain { return slurp("$data/whatsapp-media/$_[0].plain") }


sub request {
    my ($method, $path, $value, %headers) = @_;
    my $r = $http->request($method, "$url$path", { headers => {
        defined $value ? ('content-type' => 'application/json') : (),
        %headers }, content => ref $value ? $json->encode($value)
        : $value // '' });

    $r->{json} = eval { $json->decode($r->{content}) };
    return $r;
}


sub evolution {
    my ($verb, $body, %headers) = @_;

    return request('POST', "/$verb/demo", $body, apikey => 'key', %headers);
}


sub wapi {
    my ($what, $body, %headers) = @_;

    return request('POST', "/v1/$what?instanceId=T34398-VYR3QD-MS29SL", $body,
        authorization => 'Bearer token', %headers);
}


sub cloud {
    my ($body, %headers) = @_;

    return request('POST', '/v23.0/106540352242922/messages', $body,
        authorization => 'Bearer token', %headers);
}


sub text_of {
    my ($text, $number) = @_;

    return { messaging_product => 'whatsapp', to => $number // $to,
        type => 'text', text => { body => $text } };
}


# a form as curl makes it; the file's part may lie about its type

sub upload {
    my ($bytes, $type, %opt) = @_;
    my $b = '------------------------d74496d66958873e';
    my $part = $opt{part_type} // $type;
    my $body = join '', map { "--$b\r\nContent-Disposition: form-data; "
        . "name=\"$_->[0]\"\r\n\r\n$_->[1]\r\n" } [ messaging_product =>
        $opt{product} // 'whatsapp' ], [ type => $type ],
        $opt{more} ? [ more => 1 ] : ();

    $body .= "--$b\r\nContent-Disposition: form-data; name=\"file\"; "
        . "filename=\"file\"\r\nContent-Type: $part\r\n\r\n"
        . "$bytes\r\n--$b--\r\n";

    return request('POST', '/v23.0/106540352242922/media', $body,
        authorization => 'Bearer token',
        'content-type' => "multipart/form-data; boundary=$b");
}


# a link to a file of the vectors, without a signature

sub link_to {
    my ($name, $type, $path) = @_;

    $http->post("$url/_sim/media", { content => $json->encode({
        path => $path, type => $type, unsigned => $true,
        file => "$data/whatsapp-media/$name.plain" }) });

    return "$url$path";
}


# the violations since the last call

my $seen = 0;

sub new_violations {
    my @all = violations();
    my @new = map { $_->{what} } @all[$seen .. $#all];

    $seen = @all;
    return @new;
}


sub clean { is_deeply([ new_violations() ], [], "$_[0]: no violation") }


sub caught {
    my ($r, $status, $what, $name) = @_;
    my @new = new_violations();

    is($r->{status}, $status, "$name: $status");
    ok(scalar(grep { /$what/ } @new), "$name: is a violation")
        or diag(explain(\@new));
}


sub last_send { return (sends())[-1] }


sub accepted {
    my ($r, $status, $name, %like) = @_;

    is($r->{status}, $status, "$name: $status") or diag($r->{content});
    clean($name);

    my $m = last_send();

    is($m->{$_}, $like{$_}, "$name: $_") for sort keys %like;
    return $m;
}


# every member of the one is in the other; names may be given that only
# one has

sub same_shape {
    my ($got, $want, $name, $except) = @_;
    my @differ = differ($got, $want, $except, '');

    is_deeply(\@differ, [], "$name: members as published");
}


sub differ {
    my ($got, $want, $except, $at) = @_;

    return ref $got eq ref $want ? () : "$at: type"
        unless ref $want && ref $got && ref $got eq ref $want;

    return @$want && @$got ? differ($got->[0], $want->[0], $except, "$at\[]")
        : () if ref $want eq 'ARRAY';
    return () unless ref $want eq 'HASH';

    my %all = map { $_ => 1 } keys %$got, keys %$want;

    return map { exists $got->{$_} && exists $want->{$_}
        ? differ($got->{$_}, $want->{$_}, $except, "$at.$_") : "$at.$_" }
        grep { "$at.$_" !~ ($except // qr/^$/) } sort keys %all;
}


subtest 'Evolution v2' => sub {
    my $r = evolution('message/sendText', { number => $to, text => 'oi',
        delay => 1, linkPreview => $false, quoted => { key => {
        id => '3EB0C7D762B9BCA5A00F6A', fromMe => $false,
        remoteJid => "$to\@s.whatsapp.net" },
        message => { conversation => 'antes' } } });
    my $m = accepted($r, 201, 'text', provider => 'evolution', kind => 'text',
        instance => 'demo', to => $to, text => 'oi',
        reply_to => '3EB0C7D762B9BCA5A00F6A', id => $r->{json}{key}{id});

    like($m->{id}, qr/^3EB0[0-9A-F]{18}$/, 'id as WhatsApp Web has it');
    same_shape($r->{json}, sample('evolution/v2_237_sendtext_response_201'),
        'answer', qr/^\.contextInfo/);

    $r = evolution('message/sendText', { number => '5531987654321',
        text => 'oi' });
    is($r->{json}{key}{remoteJid}, '553187654321@s.whatsapp.net',
        'ninth digit');

    my $link = link_to('image-png', 'image/png', '/a/b.png');

    $r = evolution('message/sendMedia', { number => $to, mediatype => 'image',
        media => "$link?X-Amz-Signature=1", fileName => 'foto.png',
        mimetype => 'image/png', caption => "caf\x{e9}" });
    $m = accepted($r, 201, 'image by link', kind => 'image',
        text => "caf\x{e9}");
    is($m->{media}{sha256}, sha256_hex(plain('image-png')), 'its bytes');
    is($m->{media}{length}, length plain('image-png'), 'its length');
    is("$m->{media}{by} $m->{media}{type}", 'link image/png', 'its type');

    for my $case ([ 'video', 'video-mp4', 'a.mp4' ],
        [ 'audio', 'audio-mp3', 'a.mp3' ],
        [ 'document', 'document-docx', 'a.docx' ])
    {
        my ($kind, $name, $file) = @$case;
        my $r = evolution('message/sendMedia', { number => $to,
            mediatype => $kind, media => encode_base64(plain($name), ''),
            fileName => $file });

        $m = accepted($r, 201, "$kind as base64", kind => $kind);
        is($m->{media}{sha256}, sha256_hex(plain($name)), 'its bytes');
    }

    accepted(evolution('message/sendWhatsAppAudio', { number => $to,
        audio => link_to('audio-ptt-ogg-opus', 'audio/ogg', '/v.ogg'),
        encoding => $false }), 201, 'voice', kind => 'voice');
    accepted(evolution('message/sendSticker', { number => $to, sticker =>
        encode_base64(plain('sticker-static-webp'), ''),
        notConvertSticker => $true }), 201, 'sticker', kind => 'sticker');
    accepted(evolution('message/sendLocation', { number => "$to\@lid",
        latitude => -23.5505, longitude => -46.6333, name => 'SP',
        address => '' }), 201, 'location', kind => 'location',
        latitude => -23.5505, name => 'SP', address => '');

    $r = evolution('chat/markMessageAsRead', { readMessages => [ {
        remoteJid => "$to\@s.whatsapp.net", fromMe => $false, id => 'X' } ] });
    is_deeply($r->{json}, { message => 'Read messages', read => 'success' },
        'read');
    is($r->{status}, 201, 'read: 201');
    $r = evolution('chat/sendPresence', { number => $to, delay => 1,
        presence => 'composing' });
    is($r->{status}, 201, 'typing');
    is(join(' ', map { $_->{op} } send_acts()), 'read typing', 'recorded');

    $r = request('GET', '/instance/connectionState/demo', undef,
        apikey => 'key');
    is_deeply($r->{json}, { instance => { instanceName => 'demo',
        state => 'open' } }, 'state');
    clean('the others');
};


subtest 'Evolution v2: violations' => sub {
    my $ok = { number => $to, text => 'oi' };
    my $image = encode_base64(plain('image-png'), '');
    my $media = { number => $to, mediatype => 'image', media => $image };

    my @cases = (
        [ 'unknown member', sendText => { %$ok, extra => 1 }, 201, 'unknown' ],
        [ 'v1 shape', sendText => { number => $to, textMessage =>
            { text => 'oi' } }, 400, 'no "text"' ],
        [ 'no number', sendText => { text => 'oi' }, 400, 'no "number"' ],
        [ 'a number', sendText => { %$ok, number => 5511987654321 }, 400,
            'number is not of type' ],
        [ 'plus sign', sendText => { %$ok, number => "+$to" }, 400, 'JID' ],
        [ 'delay as text', sendText => { %$ok, delay => '1' }, 400,
            'delay is not' ],
        [ 'empty text', sendText => { %$ok, text => '' }, 201, 'empty' ],
        [ 'quoted without id', sendText => { %$ok, quoted => { key => {} } },
            400, 'no "id"' ],
        [ 'no address', sendLocation => { number => $to, latitude => 1,
            longitude => 2, name => '' }, 400, 'no "address"' ],
        [ 'latitude as text', sendLocation => { number => $to, latitude => '1',
            longitude => 2, name => '', address => '' }, 400, 'latitude' ],
        [ 'unknown mediatype', sendMedia => { %$media, mediatype => 'gif' },
            400, 'mediatype' ],
        [ 'host without TLD', sendMedia => { %$media,
            media => 'http://minio:9000/a.png' }, 400, 'neither URL' ],
        [ 'localhost', sendMedia => { %$media,
            media => 'http://localhost/a.png' }, 400, 'neither URL' ],
        [ 'data URI', sendMedia => { %$media,
            media => "data:image/png;base64,$image" }, 400, 'neither URL' ],
        [ 'unpadded base64', sendMedia => { %$media,
            media => $image =~ s/=*$//r . 'A' }, 400, 'neither URL' ],
        [ 'base64 in lines', sendMedia => { %$media,
            media => encode_base64(plain('image-png')) }, 400, 'neither' ],
        [ 'link to nothing', sendMedia => { %$media,
            media => "$url/none.png" }, 500, 'link is refused: HTTP 404' ],
        [ 'document without name', sendMedia => { %$media,
            mediatype => 'document' }, 400, 'no fileName' ],
        [ 'name without extension', sendMedia => { %$media,
            fileName => 'foto' }, 201, 'extension' ],
        [ 'other extension', sendMedia => { %$media, fileName => 'a.mp4' },
            201, 'are image/png' ],
        [ 'mimetype not of the name', sendMedia => { %$media,
            fileName => 'a.png', mimetype => 'image/jpeg' }, 201, 'mimetype' ],
    );

    for my $case (@cases) {
        my ($name, $verb, $body, $status, $what) = @$case;

        caught(evolution("message/$verb", $body), $status, $what, $name);
    }

    caught(evolution('message/sendText', $ok, 'content-type' => 'text/plain'),
        400, 'Content-Type', 'type');
    caught(evolution('message/sendText', '{"number":'), 400, 'no JSON', 'JSON');
    caught(request('POST', '/message/sendText/demo', $ok), 401, 'apikey',
        'no key');
    caught(request('POST', '/message/sendText/demo?a=1', $ok,
        apikey => 'k'), 201, 'query', 'query');
    caught(request('PUT', '/message/sendText/demo', $ok, apikey => 'k'), 404,
        'method', 'method');

    is(evolution('message/sendText', $ok, apikey => 'invalid')
        ->{json}{response}{message}, 'Unauthorized', 'wrong key');
    clean('wrong key');

    send_instance('demo', version => '2.3.6', state => 'close');
    is_deeply(evolution('message/sendText', $ok)->{json}{response}{message},
        [ 'Error: Connection Closed' ], 'not connected');
    send_instance('demo', version => '2.3.6');
    is(evolution('message/sendMedia', { %$media, media =>
        encode_base64("\x89PNG\r\n\x1a\n" . 'x' x (4 << 20), '') })->{json}
        {response}{message}, 'Maximum call stack size exceeded',
        'large base64 before 2.3.7');
    send_instance('demo', absent => $true);
    is(evolution('message/sendText', $ok)->{status}, 404, 'no instance');
    send_reset();
    $seen = 0;
};


subtest 'Evolution v1' => sub {
    send_instance('demo', version => 'v1');

    for my $case ([ sendText => 'sendtext', 'text' ],
        [ sendText => 'sendtext_quoted', 'text' ],
        [ sendLocation => 'sendlocation', 'location' ],
        [ sendMedia => 'sendmedia_image_url', 'image' ],
        [ sendMedia => 'sendmedia_document_url', 'document' ],
        [ sendWhatsAppAudio => 'sendwhatsappaudio_url', 'voice' ],
        [ sendSticker => 'sendsticker_base64', 'sticker' ])
    {
        my ($verb, $file, $kind) = @$case;
        my $body = sample("evolution/v1_request_$file");

        $body->{number} = $to;
        $body->{options}{delay} = 1;
        $body->{mediaMessage}{media} = $kind eq 'image'
            ? link_to('image-jpeg', 'image/jpeg', '/a.jpg')
            : link_to('document-pdf', 'application/pdf', '/a.pdf')
            if $body->{mediaMessage};
        $body->{audioMessage}{audio} = link_to('audio-mp3', 'audio/mpeg',
            '/a.mp3') if $body->{audioMessage};
        $body->{stickerMessage}{image} = substr $body->{stickerMessage}{image},
            0, 4000 if $body->{stickerMessage};

        my $r = evolution("message/$verb", $body);
        my $m = accepted($r, 201, $file, kind => $kind);

        like($r->{json}{messageTimestamp}, qr/^\d+$/, 'timestamp');
        like($r->{content}, qr/"messageTimestamp":"/, 'which is text');
        like($m->{id}, qr/^BAE5[0-9A-F]{12}$/, 'id');
        is($m->{reply_to}, '3EB0C7D762B9BCA5A00F6A', 'quoted')
            if $file =~ /quoted/;
        same_shape($r->{json}, sample('evolution/'
            . 'v1_sendmedia_image_response_201'), 'answer', qr/^\.message\./);
    }

    caught(evolution('message/sendText', { number => $to, text => 'oi' }), 400,
        'no "textMessage"', 'v2 shape');
    caught(evolution('message/sendWhatsAppAudio', { number => $to,
        audioMessage => { audio => "$url/a.mp3" } }), 500, 'no "options"',
        'audio without options');
    caught(evolution('message/sendText', { number => $to, textMessage =>
        { text => 'oi' }, options => { presence => 'typing' } }), 400,
        'presence', 'unknown presence');
    caught(evolution('chat/markMessageAsRead', {}), 404, 'not PUT',
        'read by POST');
    is(request('PUT', '/chat/markMessageAsRead/demo', { read_messages => [ {
        remoteJid => "$to\@s.whatsapp.net", fromMe => $false, id => 'X' } ] },
        apikey => 'k')->{status}, 201, 'read');
    is(evolution('chat/sendPresence', { number => $to, options => {
        delay => 1, presence => 'recording' } })->{status}, 201, 'typing');

    my $found = evolution('chat/findMessages', { where => { key => {
        remoteJid => "$to\@s.whatsapp.net", fromMe => $true } } });

    is(scalar @{ $found->{json} }, 7, 'findMessages: an array of all');
    clean('the others');
    send_reset();
    $seen = 0;
};


subtest 'Evolution findMessages' => sub {
    my @ids = map { evolution('message/sendText', { number => $to,
        text => "t$_" })->{json}{key}{id} } 1 .. 3;
    my $r = evolution('chat/findMessages', { where => { key => {
        id => $ids[1] } } });

    is($r->{status}, 200, 'status 200');
    is($r->{json}{messages}{total}, 1, 'by id');
    is($r->{json}{messages}{records}[0]{message}{conversation}, 't2',
        'its text');
    $r = evolution('chat/findMessages', { where => { key => { remoteJid =>
        "$to\@s.whatsapp.net" }, messageType => 'conversation',
        messageTimestamp => { gte => '2020-01-01T00:00:00.000Z',
        lte => '2099-01-01T00:00:00.000Z' } }, page => 2, offset => 2 });
    is_deeply([ map { $_->{key}{id} } @{ $r->{json}{messages}{records} } ],
        [ $ids[0] ], 'the oldest is on the last page');
    is($r->{json}{messages}{pages}, 2, 'pages');
    $r = evolution('chat/findMessages', { where => { messageTimestamp => {
        lte => '2020-01-01T00:00:00.000Z' } } });
    is($r->{json}{messages}{total}, 0, 'by time');
    clean('look-ups');
    caught(evolution('chat/findMessages', { where => { id => 'x' } }), 200,
        'unknown member "id"', 'unknown filter');
    send_instance('demo', no_database => $true);
    $r = evolution('chat/findMessages', { where => {} });
    is($r->{json}{messages}{total}, 0, 'without a database');
    send_instance('demo');
};


subtest 'W-API' => sub {
    my $r = wapi('message/send-text', { phone => $to, message => 'oi',
        messageId => 'YC3XL7V7S4INWO3GHR0VA8', delayMessage => 1 });
    my $m = accepted($r, 200, 'text', provider => 'wapi', kind => 'text',
        to => $to, reply_to => 'YC3XL7V7S4INWO3GHR0VA8',
        instance => 'T34398-VYR3QD-MS29SL', id => $r->{json}{messageId});

    like($m->{id}, qr/^[0-9A-Z]{20,23}$/, 'id');
    same_shape($r->{json}, sample('wapi/api_send_text_200'), 'answer');
    like($r->{json}{insertedId}, qr/^[0-9a-f]{24}$/, 'insertedId');

    my $uri = sub {
        return "data:$_[0];base64," . encode_base64(plain($_[1]), '');
    };

    for my $case (
        [ image => { image => $uri->('image/png', 'image-png'),
            caption => 'c' }, 'image-png' ],
        [ image => { image => link_to('image-jpeg', 'image/jpeg',
            '/w.jpg') . '?X-Amz-Signature=1' }, 'image-jpeg' ],
        [ audio => { audio => $uri->('audio/ogg;codecs=opus',
            'audio-ptt-ogg-opus') }, 'audio-ptt-ogg-opus' ],
        [ audio => { audio => link_to('audio-mp3', 'audio/mpeg',
            '/w.mp3') }, 'audio-mp3' ],
        [ video => { video => $uri->('video/mp4', 'video-mp4') },
            'video-mp4' ],
        [ document => { document => $uri->('application/pdf', 'document-pdf'),
            extension => 'pdf', fileName => 'a.pdf', caption => '' },
            'document-pdf' ],
        [ sticker => { sticker => $uri->('image/webp',
            'sticker-static-webp') }, 'sticker-static-webp' ])
    {
        my ($kind, $body, $name) = @$case;

        $m = accepted(wapi("message/send-$kind", { phone => $to, %$body }),
            200, $kind, kind => $kind);
        is($m->{media}{sha256}, sha256_hex(plain($name)), 'its bytes');
    }

    accepted(wapi('message/send-location', { phone => '120363@g.us',
        name => 'SP', address => '', latitude => '-23.5', longitude => '1' }),
        200, 'location', latitude => '-23.5');

    is(wapi('message/read-message', { phone => $to, messageId => 'X' })
        ->{content}, '{}', 'read');
    is(wapi('chats/send-presence', { phone => $to, presence => 'composing',
        delay => 1 })->{status}, 200, 'typing');
    clean('read and typing');

    my @get = ('GET', "/v1/instance/status-instance?instanceId=A-B-C", undef,
        authorization => 'Bearer token');

    same_shape(request(@get)->{json}, sample('wapi/api_status_instance_200'),
        'status');
    send_instance('T34398-VYR3QD-MS29SL', disconnected => $true);
    $get[1] = '/v1/quere/quere?instanceId=T34398-VYR3QD-MS29SL'
        . '&perPage=2&page=1';
    $r = request(@get);
    same_shape($r->{json}, sample('wapi/api_queue_200'), 'queue');
    is($r->{json}{totalMessages}, 9, 'all are queued while disconnected');
    send_instance('T34398-VYR3QD-MS29SL');
    is(request(@get)->{json}{totalMessages}, 0, 'and none else');
    clean('queries');
};


subtest 'W-API: violations' => sub {
    my $ok = { phone => $to, message => 'oi' };
    my $pdf = 'data:application/pdf;base64,'
        . encode_base64(plain('document-pdf'), '');

    for my $case (
        [ 'chatId', text => { chatId => $to, message => 'oi' }, 400,
            'no "phone"' ],
        [ 'formatted phone', text => { %$ok, phone => '+55 11 98765' }, 400,
            'phone is neither' ],
        [ 'no message', text => { phone => $to }, 400, 'no "message"' ],
        [ 'unknown member', text => { %$ok, text => 1 }, 200, 'unknown' ],
        [ 'delay as text', text => { %$ok, delayMessage => '1' }, 400,
            'delayMessage' ],
        [ 'document without extension', document => { phone => $to,
            document => $pdf }, 400, 'no "extension"' ],
        [ 'extension of something else', document => { phone => $to,
            document => $pdf, extension => 'png' }, 200, 'extension png' ],
        [ 'type of something else', image => { phone => $to,
            image => $pdf =~ s!application/pdf!image/png!r }, 200,
            'are application/pdf' ],
        [ 'base64 without data:', image => { phone => $to,
            image => encode_base64(plain('image-png'), '') }, 400,
            'neither link' ],
        [ 'link to audio with a query', audio => { phone => $to,
            audio => "$url/w.mp3?a=1" }, 400, 'ends neither' ],
        [ 'latitude as number', location => { phone => $to, name => '',
            address => '', latitude => 1, longitude => '2' }, 400,
            'latitude' ],
        [ 'location without name', location => { phone => $to, address => '',
            latitude => '1', longitude => '2' }, 400, 'no "name"' ])
    {
        my ($name, $verb, $body, $status, $what) = @$case;

        caught(wapi("message/send-$verb", $body), $status, $what, $name);
    }

    caught(request('POST', '/v1/message/send-text', $ok,
        authorization => 'Bearer t'), 400, 'instanceId', 'no instanceId');
    caught(request('POST', '/v1/message/send-text?instanceId=A', $ok,
        apikey => 't'), 401, 'Bearer', 'no Bearer');
    caught(wapi('chats/send-presence', { phone => $to,
        presence => 'composing' }), 400, 'no "delay"', 'presence');

    send_instance('T34398-VYR3QD-MS29SL', edition => 'lite');
    is(wapi('message/read-message', { phone => $to, messageId => 'X' })
        ->{status}, 404, 'LITE marks nothing as read');
    send_reset();
    $seen = 0;
};


subtest 'Cloud API' => sub {
    for my $case ([ 'text_message' ], [ 'reply_to_text_message' ]) {
        my $body = sample("cloudapi/meta_openapi_req_send_$case->[0]");

        $body->{to} = "+$to";
        $body->{context}{message_id} = $wamid if $body->{context};
        $body->{biz_opaque_callback_data} = 'x' x 512;

        my $r = cloud($body);
        my $m = accepted($r, 200, $case->[0], provider => 'cloudapi',
            kind => 'text', to => $to, instance => '106540352242922',
            callback => 'x' x 512, reply_to => $body->{context}{message_id});

        same_shape($r->{json}, sample('cloudapi/real_send_200'), 'answer');
        like(decode_base64($m->{id} =~ s/^wamid\.//r),
            qr/^\x1c\x18\x0d$to\x15\x02\0\x11\x18\x12[0-9A-F]{18}\0$/,
            'wamid with the phone');
    }

    my %file = (image => [ 'image/jpeg', 'image-jpeg' ],
        audio => [ 'audio/mpeg', 'audio-mp3' ],
        voice => [ 'audio/ogg', 'audio-ptt-ogg-opus' ],
        video => [ 'video/mp4', 'video-mp4' ],
        document => [ 'application/pdf', 'document-pdf' ],
        sticker => [ 'image/webp', 'sticker-static-webp' ]);

    for my $kind (sort keys %file) {
        my ($type, $name) = @{ $file{$kind} };
        my $r = upload(plain($name), $type);
        my $id = $r->{json}{id};

        is_deeply([ keys %{ $r->{json} } ], [ 'id' ], "$kind: uploaded");
        like($id, qr/^\d{16}$/, 'media id');

        my %o = (id => $id);
        my $member = $kind eq 'voice' ? 'audio' : $kind;

        $o{voice} = $true if $kind eq 'voice';
        $o{filename} = 'a.pdf' if $kind eq 'document';
        $o{caption} = 'c' x 1024 if $kind =~ /image|video|document/;

        my $m = accepted(cloud({ messaging_product => 'whatsapp',
            recipient_type => 'individual', to => $to, type => $member,
            $member => \%o }), 200, $kind, kind => $kind);

        is($m->{media}{sha256}, sha256_hex(plain($name)), 'its bytes');
        is($m->{media}{by}, 'id', 'by id');

        $r = request('GET', "/v23.0/$id?phone_number_id=106540352242922",
            undef, authorization => 'Bearer t');
        is($r->{json}{sha256}, sha256_hex(plain($name)), 'known');
        $r = $http->get($r->{json}{url}, { headers => { authorization =>
            'Bearer t' } });
        is(sha256_hex($r->{content}), sha256_hex(plain($name)), 'and kept')
            or diag($r->{status});
    }

    accepted(cloud({ messaging_product => 'whatsapp', to => $to,
        type => 'location', location => { latitude => -23.5,
        longitude => -46.6, name => 'SP', address => 'x' } }), 200,
        'location', kind => 'location', longitude => -46.6);

    for my $case ([ image => 'image_message_by_url', 'image-jpeg' ],
        [ document => 'document_message_by_url', 'document-pdf' ],
        [ reaction => 'reply_with_reaction_message' ])
    {
        my ($kind, $file, $name) = @$case;
        my $body = sample("cloudapi/meta_openapi_req_send_$file");
        my $type = $kind eq 'image' ? 'image/jpeg' : 'application/pdf';

        $body->{to} = $to;
        $body->{$kind}{link} = link_to($name, $type, "/c-$name") if $name;
        accepted(cloud($body), 200, $file, kind => $kind);
    }

    my $r = cloud(sample('cloudapi/meta_openapi_req_send_typing_indicator_and_'
        . 'read_receipt'));

    is_deeply($r->{json}, { success => $true }, 'read and typing');
    is(join(' ', map { $_->{op} } (send_acts())[-2, -1]), 'read typing',
        'recorded');
    clean('the others');
};


subtest 'Cloud API media ids' => sub {
    my $id = upload(plain('image-jpeg'), 'image/jpeg')->{json}{id};
    my @get = ('GET', "/v23.0/$id", undef, authorization => 'Bearer t');
    my $image = { messaging_product => 'whatsapp', to => $to,
        type => 'image', image => { id => $id } };

    $get[1] = "/v23.0/$id?phone_number_id=1";
    is(request(@get)->{json}{error}{error_subcode}, 33, 'another number');

    my $r = request('POST', '/v23.0/2/messages', $image,
        authorization => 'Bearer t');

    is("$r->{status} $r->{json}{error}{code} $r->{json}{error}{error_subcode}",
        '400 100 33', "nor sent by it");

    send_expire($id);
    $r = cloud($image);
    is("$r->{status} $r->{json}{error}{code}", '400 100', 'after 30 days');
    send_instance('106540352242922', unknown_media => 131009);
    is(cloud($image)->{json}{error}{code}, 131009, 'the other code');
    clean('unknown ids');

    $id = upload(plain('image-jpeg'), 'image/jpeg')->{json}{id};
    is_deeply(request('DELETE', "/v23.0/$id", undef,
        authorization => 'Bearer t')->{json}, { success => $true }, 'deleted');
    $get[1] = "/v23.0/$id";
    is(request(@get)->{status}, 400, 'and gone');
};


subtest 'Cloud API: violations' => sub {
    my $ok = text_of('oi');
    my $image = upload(plain('image-jpeg'), 'image/jpeg')->{json}{id};
    my $audio = upload(plain('audio-mp3'), 'audio/mpeg')->{json}{id};
    my $of = sub {
        my ($type, %o) = @_;

        return { messaging_product => 'whatsapp', to => $to, type => $type,
            $type => \%o };
    };

    for my $case (
        [ 'no product', { map { $_ => $ok->{$_} } qw(to type text) },
            'messaging_product' ],
        [ 'unknown member', { %$ok, extra => 1 }, 'unknown' ],
        [ 'unknown member of text', $of->(text => body => 'a', x => 1),
            'unknown' ],
        [ 'number of letters', { %$ok, to => 'ola' }, 'phone number' ],
        [ 'JID', { %$ok, to => "$to\@s.whatsapp.net" }, 'phone number' ],
        [ 'to as number', { %$ok, to => 5511987654321 }, 'body.to' ],
        [ 'long text', $of->(text => body => 'a' x 4097), '4096' ],
        [ 'empty text', $of->(text => body => ''), '4096' ],
        [ 'preview as text', $of->(text => body => 'a',
            preview_url => 'false'), 'preview_url' ],
        [ 'unknown type', $of->(gif => id => '1'), 'type is none' ],
        [ 'long caption', $of->(image => id => $image,
            caption => 'c' x 1025), 'caption' ],
        [ 'audio with a caption', $of->(audio => id => $audio,
            caption => 'c'), 'unknown' ],
        [ 'neither id nor link', $of->('image'), 'one of' ],
        [ 'both', $of->(image => id => $image, link => "$url/c.jpg"),
            'one of' ],
        [ 'image as video', $of->(video => id => $image), 'sent as' ],
        [ 'voice note of MP3', $of->(audio => id => $audio, voice => $true),
            'Opus' ],
        [ 'location as text', $of->(location => latitude => '1',
            longitude => 2), 'latitude' ],
        [ 'no place', $of->(location => latitude => 91, longitude => 2),
            'Earth' ],
        [ 'context', { %$ok, context => { message_id => 'ABC' } }, 'wamid' ],
        [ 'callback data', { %$ok, biz_opaque_callback_data => 'x' x 513 },
            '512' ],
        [ 'typing of audio', { messaging_product => 'whatsapp',
            status => 'read', message_id => $wamid,
            typing_indicator => { type => 'audio' } }, 'typing_indicator' ])
    {
        my ($name, $body, $what) = @$case;

        caught(cloud($body), 400, $what, $name);
    }

    my $jpeg = plain('image-jpeg');

    caught(upload("\xff\xd8\xff" . 'x' x (5 << 20), 'image/jpeg'), 400,
        'larger than', 'image above 5 MB');
    caught(upload($jpeg, 'image/png'), 400, 'are image/jpeg', 'other bytes');
    caught(upload($jpeg, 'image/jpeg', part_type => 'image/png'), 400,
        'not image/jpeg', 'other type of the part');
    caught(upload('GIF89a' . 'x' x 100, 'image/gif'), 400, 'following types',
        'type that is not taken');
    caught(upload($jpeg, 'image/jpeg', product => 'messenger'), 400,
        'messaging_product', 'product');
    caught(upload($jpeg, 'image/jpeg', more => 1), 200, 'unknown member',
        'unknown part');

    my $id = upload('RIFF' . pack('V', 22) . 'WEBPVP8X' . pack('V', 10)
        . "\0\0\0\0" . "\xff\0\0\xff\0\0", 'image/webp')->{json}{id};

    caught(cloud($of->(sticker => id => $id)), 400, '512x512',
        'sticker of another size');
    caught(cloud($ok, 'content-type' => 'text/plain'), 400, 'Content-Type',
        'content type');
    caught(cloud('{'), 400, 'no JSON', 'JSON');

    my $r = cloud($ok, authorization => 'Bearer invalid');

    is("$r->{status} $r->{json}{error}{code}", '401 190', 'wrong token');
    clean('wrong token');
};


subtest 'faults' => sub {
    send_reset();

    my $evolution = sub {
        return evolution('message/sendText', { number => $_[0] // $to,
            text => 'f' });
    };
    my $wapi = sub {
        return wapi('message/send-text', { phone => $to, message => 'f' });
    };
    my $cloud = sub { return cloud(text_of('f')) };
    my $count = sub { return scalar sends() };

    for my $send ($evolution, $wapi, $cloud) {
        for my $status (401, 403, 404, 413, 429, 500, 502) {
            send_fault($status, times => 1, retry_after => 7);

            my $r = $send->();

            is($r->{status}, $status, "status $status");
            is($r->{headers}{'retry-after'}, 7, 'Retry-After')
                if $status == 429;
            is($r->{headers}{'content-type'}, 'text/html', 'HTML')
                if $status == 502;
        }
    }

    is($count->(), 0, 'nothing was sent');

    for my $code (4, 130429, 131047, 131056, 190, 2) {
        send_fault('code', code => $code, times => 1);

        my $r = $cloud->();

        is($r->{json}{error}{code}, $code, "code $code");
        like($r->{status}, qr/^[45]\d\d$/, 'its status');
    }

    send_fault('code', code => 130429, status => 403, bare => $true,
        times => 1);

    my $bare = $cloud->();

    is($bare->{status}, 403, 'another status');
    same_shape($bare->{json}, sample('cloudapi/err_130429_rate'), 'bare');

    send_fault('transport', times => 1);
    is_deeply($evolution->()->{json}{response}{message},
        [ 'Error: Media upload failed on all hosts' ], 'transport');
    send_fault('no-whatsapp', times => 1);
    is_deeply($evolution->()->{json}{response}{message}[0]{exists}, $false,
        'not on WhatsApp');
    send_fault('nested', times => 1);

    my $r = $wapi->();

    is("$r->{status} $r->{json}{message}{data}{error}", '500 1', 'nested');
    is($count->(), 0, 'nothing was sent');

    send_fault('reset-before', times => 1);
    is($evolution->()->{status}, 599, 'reset before');
    is($count->(), 0, 'was not sent');

    for my $send ($evolution, $wapi, $cloud) {
        my $n = $count->();

        send_fault('reset-after', times => 1);
        is($send->()->{status}, 599, 'reset after');
        is($count->(), $n + 1, 'was sent');

        send_fault('cut', times => 1);
        is($send->()->{status}, 599, 'cut');
        is($count->(), $n + 2, 'was sent');

        send_fault('cut', bytes => 40, times => 1);
        isnt(($send->()->{json} // {})->{messages}, 1, 'cut within');
        is($count->(), $n + 3, 'was sent');

        send_fault('no-id', times => 1);
        is($send->()->{content}, '{}', 'no id');
        is($count->(), $n + 4, 'was sent');

        send_fault('500', sent => $true, times => 1);
        is($send->()->{status}, 500, '500 though');
        is($count->(), $n + 5, 'it was sent');
    }

    send_fault('slow', seconds => 1, times => 1);

    my $began = time;

    is($evolution->()->{status}, 201, 'slow');
    cmp_ok(time - $began, '>=', 1, 'it took its time');

    send_fault('500', match => { to => '5511900000000' });
    is($evolution->()->{status}, 201, 'another recipient');
    is($evolution->('5511900000000')->{status}, 500, 'this one');
    is($evolution->('5511900000000')->{status}, 500, 'always');
    send_reset();

    send_fault('403', match => { provider => 'wapi', nth => 2 });
    is($wapi->()->{status}, 200, 'the first');
    is($cloud->()->{status}, 200, 'another provider');
    is($wapi->()->{status}, 403, 'the second');
    is($wapi->()->{status}, 200, 'the third');

    send_fault('500', match => { op => 'upload', path => '/media$' },
        times => 1);
    is($cloud->()->{status}, 200, 'a send');
    is(upload(plain('image-jpeg'), 'image/jpeg')->{status}, 500, 'an upload');
    send_fault('500', match => { op => 'read' });
    is($cloud->()->{status}, 200, 'a send');
    is(cloud({ messaging_product => 'whatsapp', status => 'read',
        message_id => $wamid })->{status}, 500, 'a read');

    is_deeply([ map { random_round($cloud, 7) } 1 .. 2 ], [ (random_round(
        $cloud, 7)) x 2 ], 'a seed repeats');
    isnt(random_round($cloud, 8), random_round($cloud, 7), 'others differ');

    is_deeply([ violations() ], [], 'no violation');
};


sub random_round {
    my ($send, $seed) = @_;

    send_reset();
    send_fault('', random => { seed => $seed,
        percent => { 500 => 30, 'code 131056' => 20, 'reset-after' => 10 } });

    return join ' ', map { $send->()->{status} } 1 .. 20;
}


subtest 'large bodies' => sub {
    send_reset();
    $seen = 0;

    my $bytes = "%PDF-1.4\n" . join '', map { pack 'N', $_ } 1 .. 13 << 20;
    my $sha = sha256_hex($bytes);
    my $m;

    evolution('message/sendMedia', { number => $to, mediatype => 'document',
        media => encode_base64($bytes, ''), fileName => 'a.pdf' });
    is(last_send()->{media}{sha256}, $sha, 'Evolution, base64');
    wapi('message/send-document', { phone => $to, extension => 'pdf',
        document => 'data:application/pdf;base64,' . encode_base64($bytes,
        '') });
    is(last_send()->{media}{sha256}, $sha, 'W-API, data URI');
    cloud({ messaging_product => 'whatsapp', to => $to, type => 'document',
        document => { filename => 'a.pdf', id => upload($bytes,
        'application/pdf')->{json}{id} } });
    is(last_send()->{media}{sha256}, $sha, 'Cloud API, upload');
    is(last_send()->{media}{length}, length $bytes, 'its length');
    clean('large bodies');

    my @peaks = sim_memory();

    cmp_ok(scalar @peaks, '>', 16, 'processes');
    is(join(' ', grep { $_ > 64 * 1024 } @peaks), '', 'in bounded memory');
};


subtest 'forms, as curl makes them' => sub {
    plan(skip_all => 'no curl') if system('curl --version >/dev/null 2>&1');
    send_reset();
    $seen = 0;

    my $file = "$data/whatsapp-media/image-jpeg-large.plain";
    my $sha = sha256_hex(slurp($file));

    for my $how ('Expect: 100-continue', 'Transfer-Encoding: chunked') {
        my $r = curl($how, '-H', 'Authorization: Bearer t',
            '-F', 'messaging_product=whatsapp', '-F', 'type=image/jpeg',
            '-F', "file=\@$file;type=image/jpeg", '/v23.0/1/media');

        like($r->{id}, qr/^\d{16}$/, "Cloud API, $how");
        is((send_acts())[-1]{media}{sha256}, $sha, 'its bytes');

        $r = curl($how, '-H', 'apikey: k', '-F', "number=$to", '-F',
            'mediatype=document', '-F', 'fileName=a.jpg', '-F',
            "file=\@$file;type=image/jpeg", '/message/sendMedia/demo');
        like($r->{key}{id}, qr/^3EB0/, "Evolution, $how");
        is(last_send()->{media}{sha256}, $sha, 'its bytes');
    }

    clean('forms');

    my $r = curl('X: 1', '-H', 'apikey: k', '-F', "number=$to", '-F',
        'mediatype=document', '-F', "file=\@$file", '/message/sendMedia/demo');

    is($r->{status}, 500, 'Evolution: document without a fileName');
    $r = curl('X: 1', '-H', 'apikey: k', '-F', "number=$to", '-F', 'delay=1',
        '-F', 'mediatype=image', '-F', "file=\@$file",
        '/message/sendMedia/demo');
    is($r->{status}, 400, 'Evolution: a delay in a form is text');
    is(scalar(new_violations()), 2, 'both are violations');
};


sub curl {
    my ($header, @args) = @_;
    my $path = pop @args;

    open my $p, '-|', 'curl', '-s', '-m', 20, '-H', $header, @args,
        "$url$path" or die "curl: $!\n";
    local $/;
    return $json->decode(<$p>);
}


# the peak RSS of the simulator's processes, kB

sub sim_memory {
    my ($port) = $url =~ /(\d+)$/;
    my @peaks;

    for my $proc (glob '/proc/[0-9]*') {
        open my $f, '<', "$proc/cmdline" or next;
        next unless (<$f> // '') =~ /whatsapp-sim\.pl\x00$port\x00/;
        open $f, '<', "$proc/status" or next;
        push @peaks, map { /^VmHWM:\s*(\d+)/ ? $1 : () } <$f>;
    }

    return @peaks;
}


#
# webhooks
#

my ($hook_url, $hook_pid, $hook_file) = hook_server();


# a server that keeps what is posted; it answers 503 twice to /busy

sub hook_server {
    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 128) or die "listen: $!\n";
    my $file = tempdir(CLEANUP => 1) . '/hooks';
    my $pid = fork // die "fork: $!\n";

    return ('http://127.0.0.1:' . $server->sockport, $pid, $file) if $pid;

    my $busy = 2;

    while (my $c = $server->accept) {
        my ($path) = <$c> =~ m!^POST (\S+) !;
        my %h;

        while (defined(my $line = <$c>)) {
            $line =~ /^([^:]+):\s*(.*?)\r\n/ ? $h{lc $1} = $2 : last;
        }

        read $c, my $body, $h{'content-length'};

        my $status = $path eq '/busy' && $busy-- > 0 ? 503 : 200;

        open my $f, '>>', $file;
        print $f $json->encode({ path => $path, headers => \%h,
            body => $body, status => $status, time => time }), "\n";
        close $f;
        print $c "HTTP/1.1 $status X\r\nContent-Length: 0\r\n\r\n";
        close $c;
    }

    POSIX::_exit(0);
}


# what was posted of a message, once it is so many

sub hooks {
    my ($n, $id) = @_;
    my $end = time + 20;
    my @hooks;

    while (1) {
        @hooks = -e $hook_file ? map { $json->decode($_) } split /\n/,
            slurp($hook_file) : ();
        @hooks = grep { index($_->{body}, $id) >= 0 } @hooks if defined $id;
        last if @hooks >= $n || time > $end;
        sleep 0.05;
    }

    $_->{json} = $json->decode($_->{body}) for @hooks;
    return @hooks;
}


# one send of each provider; [ its id, its webhooks ]

sub statuses {
    my ($provider, $n, %mode) = @_;
    my $m;

    sim_webhooks(evolution => "$hook_url/e", wapi => "$hook_url/w",
        cloudapi => "$hook_url/c", app_secret => 'secret', delay => 0,
        retry_unit => 0.02, %mode);

    if ($provider eq 'evolution') {
        evolution('message/sendText', { number => $to, text => "h\x{e9}" });

    } elsif ($provider eq 'wapi') {
        wapi('message/send-text', { phone => $to, message => "h\x{e9}" });

    } else {
        cloud({ %{ text_of('h') }, biz_opaque_callback_data => 'our/id' });
    }

    my $id = last_send()->{id};

    $id =~ s!/!\\/!g if $provider eq 'cloudapi';

    return ($id, hooks($n, $id));
}


sub told {
    return join ' ', map {
        my $b = $_->{json};

        $b->{entry} ? $b->{entry}[0]{changes}[0]{value}{statuses}[0]{status}
            : $b->{event} =~ /^(?:send\.message|webhookDelivery)$/ ? 'echo'
            : $b->{status} // $b->{data}{status};
    } @_;
}


subtest 'webhooks' => sub {
    send_reset();

    my ($id, @hooks) = statuses('evolution', 4);

    is(told(@hooks), 'echo SERVER_ACK DELIVERY_ACK READ', 'Evolution');
    is($hooks[0]{json}{data}{key}{id}, $id, 'echo: id');
    is($hooks[0]{json}{data}{message}{conversation}, "h\x{e9}", 'echo: text');
    is($hooks[1]{json}{data}{keyId}, $id, 'status: id');
    is($hooks[1]{json}{instance}, 'demo', 'instance');
    same_shape($hooks[1]{json}, sample('evolution/'
        . 'v2_23x_messages_update_deleted'), 'status');

    ($id, @hooks) = statuses('wapi', 4);
    is(told(@hooks), 'echo SENT DELIVERED READ', 'W-API');
    is($hooks[0]{json}{messageId}, $id, 'echo: id');
    ok($hooks[0]{json}{fromApi}, 'from the API');
    same_shape($hooks[0]{json}, sample('wapi/tx_text_conversation'), 'echo',
        qr/profilePicture|msgContent\./);
    same_shape($hooks[1]{json}, sample('wapi/status_read'), 'status');

    ($id, @hooks) = statuses('cloudapi', 3);
    is(told(@hooks), 'sent delivered read', 'Cloud API');

    my $value = $hooks[0]{json}{entry}[0]{changes}[0]{value};

    is($value->{metadata}{phone_number_id}, '106540352242922', 'number');
    is($value->{statuses}[0]{biz_opaque_callback_data}, 'our/id', 'callback');
    is($value->{statuses}[0]{recipient_id}, $to, 'recipient');
    same_shape($hooks[0]{json}, sample('cloudapi/pywa_message_status_sent'),
        'status', qr/conversation$|pricing|callback|contacts/);
    is_deeply([ sort keys %{ $value->{statuses}[0]{pricing} } ],
        [ qw(billable category pricing_model type) ], 'pricing');
    is($hooks[0]{headers}{'x-hub-signature-256'}, 'sha256='
        . hmac_sha256_hex($hooks[0]{body}, 'secret'), 'signature');
    like($hooks[0]{body}, qr!our\\/id!, 'as PHP escapes');

    my @all = hooks(11);

    is(scalar(grep { $_->{headers}{'content-type'} eq 'application/json' }
        @all), scalar @all, 'all are JSON');
};


subtest 'webhooks of Evolution v1' => sub {
    send_instance('demo', version => 'v1');
    sim_webhooks(evolution => "$hook_url/e", delay => 0);
    evolution('message/sendText', { number => $to, textMessage => {
        text => 'v1' } });

    my $id = last_send()->{id};
    my @hooks = hooks(4, $id);

    is(told(@hooks), 'echo SERVER_ACK DELIVERY_ACK READ', 'in order');
    is($hooks[0]{json}{data}{owner}, 'demo', 'echo: owner');
    is($hooks[3]{json}{data}{id}, $id, 'status: flat key');
    send_instance('demo');
};


subtest 'modes' => sub {
    my %told = (none => '', sent_only => 'sent', delivered => 'sent delivered',
        duplicated => 'sent sent delivered delivered read read',
        reordered => 'read delivered sent', read_only => 'read',
        failed => 'sent failed', early => 'sent delivered read');

    for my $mode (sort keys %told) {
        my $n = () = $told{$mode} =~ /\w+/g;
        my ($id, @hooks) = statuses('cloudapi', $n, mode => $mode,
            code => 131047);

        is(told(@hooks), $told{$mode}, $mode);

        next unless $mode eq 'failed';

        my $e = $hooks[1]{json}{entry}[0]{changes}[0]{value}{statuses}[0]
            {errors}[0];

        is($e->{code}, 131047, 'its code');
        is_deeply([ sort keys %$e ], [ qw(code error_data href message title) ],
            'its members');
    }

    my ($id, @hooks) = statuses('cloudapi', 0, mode => 'none');
    my $none = $id;

    ($id, @hooks) = statuses('cloudapi', 2, mode => 'none',
        by_to => { $to => 'failed' });

    is(told(@hooks), 'sent failed', 'by recipient');

    ($id, @hooks) = statuses('evolution', 1, mode => 'none', echo => $true);
    is(told(@hooks), 'echo', 'the echo alone');
    is(told(hooks(0, $none)), '', 'none came later');
};


subtest 'early' => sub {
    for my $provider (qw(evolution wapi cloudapi)) {
        my $n = $provider eq 'cloudapi' ? 1 : 2;

        send_fault('slow', seconds => 1, times => 1);

        my $began = time;
        my ($id, @hooks) = statuses($provider, $n, mode => 'early');

        @hooks = @hooks[0 .. $n - 1];
        cmp_ok($hooks[-1]{time}, '<', $began + 1,
            "$provider: before the answer");
    }
};


subtest 'what is sent without an answer is told as well' => sub {
    send_fault('reset-after', times => 1);

    my ($id, @hooks) = statuses('cloudapi', 3);

    is(told(@hooks), 'sent delivered read', 'all statuses');
};


subtest 'repetition' => sub {
    my ($id, @hooks) = statuses('cloudapi', 5, cloudapi => "$hook_url/busy");

    is(told(@hooks), 'sent sent sent delivered read', 'until it is taken');
    is(join(' ', map { $_->{status} } @hooks), '503 503 200 200 200',
        'as it was answered');

    sim_webhooks(wapi => 'http://127.0.0.1:1/none', delay => 0,
        mode => 'sent_only');
    wapi('message/send-text', { phone => $to, message => 'r' });
    $id = last_send()->{id};

    my $end = time + 10;

    sleep 0.1 while send_hooks(id => $id) < 2 && time < $end;
    is(join(' ', map { "$_->{status}/$_->{attempt}" } send_hooks(id => $id)),
        '0/1 0/1', 'never by W-API');
};


subtest 'a simulator that is killed' => sub {
    send_reset();
    sim_webhooks(cloudapi => "$hook_url/c", app_secret => 's', delay => 1);
    cloud(text_of('before'));

    for my $signal (qw(KILL TERM)) {
        send_sim_restart($signal);
        is(cloud(text_of('after'))->{status}, 200, "$signal: it answers");
    }

    my @sends = sends();

    is(join(' ', map { "$_->{seq} $_->{text}" } @sends),
        '1 before 2 after 3 after', 'its ledger is kept');
    is(told(hooks(3, $sends[0]{id} =~ s!/!\\/!gr)), 'sent delivered read',
        'so are webhooks');
    is(told(hooks(3, $sends[2]{id} =~ s!/!\\/!gr)), 'sent delivered read',
        'and posted once');
};


kill 'KILL', $hook_pid;
waitpid $hook_pid, 0;
done_testing();
