#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Files go from a browser to WhatsApp through each provider: the URL, the PUT,
# its completion; verified, kept, converted if need be, sent, and its statuses
# come back.  What the provider got is compared with what was uploaded.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use Encode qw(encode_utf8);
use JSON::PP;
use MIME::Base64;
use Test::More;
use E2E;
use Leaks;
use SendSim;
use Uploads;

env_or_skip();
plan(skip_all => 'MEDIA_JWT_SECRET is not set: run by ./dev test')
    unless $ENV{MEDIA_JWT_SECRET};

use constant MB => 1024 * 1024;

my $tenant = "upload$$";
my $other = "stranger$$";

my @lines = lines(77, 'upload');

# what is sent; "same": as it was uploaded, byte for byte

my @files = (
    { what => 'a photo', name => 'foto da praia.jpg', type => 'image/jpeg',
        content => plain('image-jpeg'), caption => 'Praia ☀ 100%',
        same => 1, magic => 'image/jpeg', kind_sent => 'image' },
    { what => 'a large photo', name => 'IMG_0001.JPG', type => 'image/jpeg',
        content => plain('image-jpeg-large'), magic => 'image/jpeg',
        max => MB, kind_sent => 'image' },
    { what => 'a HEIC photo', name => 'IMG_0002.HEIC', type => 'image/heic',
        content => plain('image-heic'), magic => 'image/jpeg', max => MB,
        kind_sent => 'image' },
    { what => 'a PDF', name => 'relatório 2026.pdf', type => 'application/pdf',
        content => plain('document-pdf'), same => 1, named => 1,
        caption => 'O relatório', magic => 'application/pdf',
        kind_sent => 'document' },
    { what => 'a voice note', name => 'voz.webm', kind => 'voice',
        type => 'audio/webm;codecs=opus', content =>
        shipped_file('media/voice.webm'), magic => 'audio/ogg',
        kind_sent => 'voice' },
    { what => 'a video', name => 'video.mp4', type => 'video/mp4',
        content => plain('video-mp4'), same => 1, caption => 'Veja',
        magic => 'video/mp4', kind_sent => 'video' },
    { what => 'a sticker', name => 'sticker.webp', type => 'image/webp',
        kind => 'sticker', content => plain('sticker-static-webp'),
        magic => 'image/webp', max => 100 * 1024, kind_sent => 'sticker' },
);

is(add_tenant($tenant), 0, 'a tenant');
is(add_tenant($other), 0, 'and another one');

is(add_line($tenant, $_), 0, "an instance of $_->{name}") for @lines;

secret($ENV{CLOUDAPI_APP_SECRET});
secret($ENV{EVOLUTION_WEBHOOK_URL} =~ m!([^/]+)$!);
webhooks_on();

my $chat = first_chat();

for my $line (@lines) {
    $line->{conversation} = conversation($line->{provider},
        $line->{instance}, $chat++);
    send_all($line);
}

check_all($_) for @lines;

for my $line (@lines) {
    is_deeply([ map { $_->{what} } violations(instance => $line->{instance}) ],
        [], "$line->{name}: nothing that is not documented");
}

large_files($lines[0]);
streamed($lines[0]);
strangers($lines[0]);

is_deeply([ leaks($tenant) ], [], 'no secret in a log, the database, Redis, '
    . 'or in arguments');

done_testing();


sub plain { return slurp(data_dir() . "/$_[0].plain") }


# all that can be sent, one after another

sub send_all {
    my ($line) = @_;
    my $c = $line->{conversation};

    for my $file (@files) {
        my $up = upload_file($tenant, $c, $file);

        secret($up->{upload_token});
        secret($up->{upload_url} =~ /X-Amz-Signature=([0-9a-f]+)/);
        is($up->{completed}{status}, 'processing',
            "$line->{name}: $file->{what} is taken");
        push @{ $line->{keys} }, $up->{attachment_id};
    }

    for my $send (
        { kind => 'text', text => 'Olá, tudo bem? ✓', reply_to =>
            $c->{message}, idempotency_key => "text-$c->{id}" },
        { kind => 'location', latitude => -23.561414, longitude => -46.655881,
            place_name => 'MASP', place_address => 'Av. Paulista, 1578',
            idempotency_key => "location-$c->{id}" })
    {
        my $r = media_send($tenant, $c, %$send);

        like($r->{status}, qr/^20[024]$/, "$line->{name}: $send->{kind}")
            or diag($r->{content});
        push @{ $line->{keys} }, $send->{idempotency_key};
    }

    for my $act ({ action => 'read', message_id => $c->{message} },
        { action => 'typing', kind => 'text' })
    {
        my $r = media_send($tenant, $c, %$act);

        like($r->{status}, qr/^20[024]$/, "$line->{name}: $act->{action}")
            or diag($r->{content});
    }
}


sub check_all {
    my ($line) = @_;
    my $c = $line->{conversation};
    my %row = map { $_ => wait_send($tenant, $_, 'read', 120) }
        @{ $line->{keys} };
    my @sent = sends(instance => $line->{instance});
    my %sent = map { $_->{id} => $_ } @sent;

    is(scalar @sent, @files + 2, "$line->{name}: each was sent once");
    is_deeply([ map { $_->{id} } @sent ],
        [ map { $row{$_}{provider_id} } @{ $line->{keys} } ],
        "$line->{name}: in their order");

    for my $i (0 .. $#files) {
        my $key = $line->{keys}[$i];

        check_file("$line->{name}: $files[$i]{what}", $files[$i], $row{$key},
            $sent{ $row{$key}{provider_id} });
    }

    check_text($line, map { $row{$_}, $sent{ $row{$_}{provider_id} } }
        $line->{keys}[@files]);
    check_location($line, map { $row{$_}, $sent{ $row{$_}{provider_id} } }
        $line->{keys}[@files + 1]);

    my ($messages) = sql_row('SELECT count(*) FROM media.messages WHERE '
        . "conversation_id = $c->{id}");

    is($messages, @files + 3, "$line->{name}: no message is there twice");

    my @acts = wait_acts($line);

    ok((grep { ($_->{ids}[0] // '') eq $c->{provider_id} } @acts),
        "$line->{name}: marked as read");
    ok((grep { ($_->{presence} // '') =~ /^(?:composing|text)$/ } @acts),
        "$line->{name}: typing");
}


sub wait_acts {
    my ($line) = @_;
    my @acts;

    wait_until(20, sub {
        @acts = grep { !$_->{media} } send_acts(instance => $line->{instance});
        return @acts >= 2;
    });

    return @acts;
}


sub check_row {
    my ($name, $row) = @_;

    is($row->{state}, 'read', "$name: read")
        or diag("$row->{error_code} $row->{error_message}");
    is($row->{message_status}, 'read', "$name: the message, too");
    is($row->{message_provider_id}, $row->{provider_id},
        "$name: the message has the provider's id");
    is($row->{direction}, 'outgoing', "$name: outgoing");
}


sub check_file {
    my ($name, $file, $row, $sent) = @_;

    check_row($name, $row);

    is($row->{attachment_status}, 'completed', "$name: completed")
        or diag($row->{attachment_error});
    is($row->{size_bytes}, length $file->{content}, "$name: its size");
    is($row->{content}, encode_utf8($file->{caption} // "[$file->{name}]"),
        "$name: content of the message");
    is(scalar(grep { ($_->{attachment_id} // $_->{id} // '')
        eq $row->{attachment_id} } events($tenant, 'attachment_ready')), 1,
        "$name: one event attachment_ready");

    # what the tenant uploaded is kept, and no one else has it
    my $own = api($tenant, 'GET', path_of($row->{file_url}));

    is($own->{status}, 200, "$name: served");
    ok($own->{content} eq $file->{content}, "$name: as it was uploaded");
    is(api($other, 'GET', path_of($row->{file_url}))->{status}, 404,
        "$name: another tenant has it not");

    return fail("$name: sent") unless $sent;

    my $media = $sent->{media};

    is($sent->{kind}, $sent->{provider} eq 'wapi' && $file->{kind_sent}
        eq 'voice' ? 'audio' : $file->{kind_sent}, "$name: sent as such");
    is($sent->{text}, $file->{caption} // '', "$name: its caption");
    is($media->{magic}, $file->{magic}, "$name: type of the bytes");
    is($media->{sha256}, sha256_hex($file->{content}), "$name: byte for byte")
        if $file->{same};
    is($media->{file_name}, $file->{name}, "$name: its name")
        if $file->{named};
    cmp_ok($media->{length}, '<=', $file->{max}, "$name: small enough")
        if $file->{max};

    check_voice($name, $row, $media) if ($file->{kind} // '') eq 'voice';
    is("$media->{width}x$media->{height}", '512x512', "$name: 512x512")
        if ($file->{kind} // '') eq 'sticker';
}


sub check_voice {
    my ($name, $row, $media) = @_;
    my ($json) = sql_row("SELECT metadata->'renditions' FROM "
        . "media.message_attachments WHERE id = '$row->{attachment_id}'");
    my ($voice) = grep { $_->{waveform} }
        values %{ decode_json($json || '{}') };

    is($media->{codec}, 'opus', "$name: Opus");
    is($media->{channels}, 1, "$name: mono");
    is($media->{rate}, 48000, "$name: 48 kHz");
    cmp_ok(abs(($voice->{duration} // 0) - 3), '<=', 1, "$name: duration");
    is(length decode_base64($voice->{waveform} // ''), 64, "$name: waveform");
}


sub check_text {
    my ($line, $row, $sent) = @_;
    my $name = "$line->{name}: a text";

    check_row($name, $row);
    is($row->{content}, encode_utf8('Olá, tudo bem? ✓'), "$name: is kept");
    is($sent->{text}, 'Olá, tudo bem? ✓', "$name: is sent");
    is($sent->{reply_to}, $line->{conversation}{provider_id},
        "$name: as a reply");
}


sub check_location {
    my ($line, $row, $sent) = @_;
    my $name = "$line->{name}: a place";

    check_row($name, $row);
    cmp_ok(abs($sent->{latitude} + 23.561414), '<', 0.000001,
        "$name: its latitude");
    cmp_ok(abs($sent->{longitude} + 46.655881), '<', 0.000001,
        "$name: its longitude");
    is("$sent->{name}, $sent->{address}", 'MASP, Av. Paulista, 1578',
        "$name: name and address");
}


# In parts, and in the middle the page is reloaded: it knows the token, and has
# the file chosen again.

sub multipart {
    my ($name, $line, $file) = @_;
    my $content = $file->{content};
    my $issued = upload_url($tenant, $line->{conversation}, $file,
        multipart => 1);
    my $token = secret($issued->{json}{upload_token});
    my $size = $issued->{json}{part_size};
    my $n = $issued->{json}{parts};

    is($issued->{status}, 200, "$name: issued") or return;
    is($n, int((length($content) + 16 * MB - 1) / (16 * MB)),
        "$name: $n parts");

    my $parts = upload_parts($tenant, $token)->{json}{missing};

    is(put_part($parts->[1], $content, $size), 200, "$name: one is put");

    is(complete($tenant, $issued->{json})->{status}, 409,
        "$name: it is not complete");

    my $after = upload_parts($tenant, $token)->{json};
    my @missing = map { $_->{number} } @{ $after->{missing} };

    is_deeply([ map { $_->{number} } @{ $after->{parts} } ], [ 2 ],
        "$name: S3 has that part");
    is_deeply(\@missing, [ grep { $_ != 2 } 1 .. $n ],
        "$name: the others are missing");
    is(put_part($_, $content, $size), 200, "$name: part $_->{number}")
        for @{ $after->{missing} };

    for (1 .. 2) {
        my $done = complete($tenant, $issued->{json});

        is($done->{json}{status}, 'processing', "$name: complete")
            or diag($done->{content});
    }

    return wait_send($tenant, $issued->{json}{attachment_id}, 'read', 120);
}


# 24 MB, which arrive; and 40 MB, which no provider takes of a video

sub large_files {
    my ($line) = @_;
    my $block = join '', map { chr int rand 256 } 1 .. MB;
    my $pdf = { name => 'grande.pdf', type => 'application/pdf',
        content => "%PDF-1.4\n" . substr $block x 24, 9 };
    my $video = plain('video-mp4');
    my $free = 40 * MB - length $video;
    my $mp4 = { name => 'filme.mp4', type => 'video/mp4', content => $video
        . pack('N a4', $free, 'free') . substr $block x 40, 0, $free - 8 };
    my $row = multipart('24 MB', $line, $pdf) or return;

    check_row('24 MB', $row);
    is($row->{size_bytes}, 24 * MB, '24 MB: its size');

    my ($sent) = grep { $_->{id} eq $row->{provider_id} }
        sends(instance => $line->{instance});

    is($sent->{media}{sha256}, sha256_hex($pdf->{content}),
        '24 MB: byte for byte');
    ok(api($tenant, 'GET', path_of($row->{file_url}))->{content}
        eq $pdf->{content}, '24 MB: served as it was uploaded');

    $row = multipart('40 MB', $line, $mp4) or return;
    is($row->{state}, 'failed', '40 MB: too large for WhatsApp');
    like($row->{error_message}, qr/16 MB/, '40 MB: which is what it says');
}


sub put_part {
    my ($part, $content, $size) = @_;

    secret($part->{upload_url} =~ /X-Amz-Signature=([0-9a-f]+)/);
    return put_file({ method => 'PUT', headers => {}, %$part },
        substr $content, ($part->{number} - 1) * $size, $size)->{status};
}


# through nginx, by clients that cannot PUT to S3: raw, and as a form

sub streamed {
    my ($line) = @_;
    my $c = $line->{conversation};
    my $file = $files[0];
    my $path = '/api/media/upload?conversation_id=' . $c->{id}
        . '&file_name=praia.jpg';
    my $raw = api($tenant, 'POST', $path, $file->{content},
        'content-type' => 'image/jpeg');
    my $boundary = unique_id();
    my $form = join '', (map { "--$boundary\r\nContent-Disposition: form-data; "
        . "name=\"$_->[0]\"\r\n\r\n$_->[1]\r\n" }
        [ conversation_id => $c->{id} ], [ caption => 'Praia' ]),
        "--$boundary\r\nContent-Disposition: form-data; name=\"file\"; "
        . "filename=\"praia.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n",
        $file->{content}, "\r\n--$boundary--\r\n";
    my $posted = api($tenant, 'POST', '/api/media/upload', $form,
        'content-type' => "multipart/form-data; boundary=$boundary");

    for my $r ($raw, $posted) {
        my $name = 'streamed ' . ($r == $raw ? 'raw' : 'form');

        like($r->{status}, qr/^20[024]$/, "$name: taken") or do {
            diag($r->{content});
            next;
        };

        my $row = wait_send($tenant, $r->{json}{id}, 'read', 60);

        check_row($name, $row);

        my ($sent) = grep { $_->{id} eq $row->{provider_id} }
            sends(instance => $line->{instance});

        is($sent->{media}{sha256}, sha256_hex($file->{content}),
            "$name: byte for byte");
    }
}


# what is not the caller's

sub strangers {
    my ($line) = @_;
    my $c = $line->{conversation};
    my $file = { name => 'a.jpg', type => 'image/jpeg', content =>
        $files[0]{content} };
    my $n = sends(instance => $line->{instance});

    # a token is of the tenant that asked for it
    my $issued = upload_url($tenant, $c, $file)->{json};

    put_file($issued, $file->{content});
    is(complete($other, $issued)->{status}, 422, "another tenant's token");
    is(upload_parts($other, $issued->{upload_token})->{status}, 422,
        "and its parts");

    # nginx cannot know whose a conversation is, the worker does
    my $up = upload_file($other, $c, $file);

    ok(wait_event($other, 'attachment_failed', attachment_id =>
        $up->{attachment_id}), "another tenant's conversation: no upload");

    for my $send ({ kind => 'text', text => 'oi' },
        { kind => 'image', attachment_id => $line->{keys}[0] })
    {
        my $key = unique_id();
        my $to = $send->{attachment_id} ? stranger_conversation() : $c;

        like(media_send($other, $to, %$send,
            idempotency_key => $key)->{status}, qr/^20[024]$/,
            "another tenant's: $send->{kind} is taken");
        ok(wait_event($other, 'message_failed', idempotency_key => $key),
            "another tenant's: $send->{kind} has failed");
    }

    is(api('', 'POST', '/api/media/send', {}, authorization => '')->{status},
        401, 'nobody');
    is(scalar sends(instance => $line->{instance}), $n, 'nothing was sent');
}


sub stranger_conversation {
    my $instance = "stranger-$$";

    add_instance($other, 'evolution', $instance);
    return conversation('evolution', $instance, $chat++);
}


sub wait_event {
    my ($of, $type, $name, $value) = @_;

    return wait_until(30, sub {
        return scalar grep { ($_->{$name} // '') eq $value }
            events($of, $type);
    });
}


sub path_of {
    my ($url) = @_;

    $url =~ s!^\Q$ENV{MEDIA_PUBLIC_URL}\E!/media/! or die "$url is not ours\n";
    return $url;
}
