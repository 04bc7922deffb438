#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Ogg and WebM sound has an M4A once it is stored, which FFmpeg plays and nginx
# serves for ?as=m4a; a waveform that came with the message stays.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector plain_of sim sim_serve sql get slurp);
use Job;
use MIME::Base64;
use Rendition;
use Test::More;

job_or_skip();


# a rendition as the worker makes it of a file

sub made_of {
    my ($name, $file, $type) = @_;
    my $out = save('m4a', '');
    my ($line) = run_program('decode', 'm4a', $file, $type, $out);

    like($line, qr/ error=$/, "$name: converted");
    return slurp($out);
}


for (
    ['a voice note', sample('media/voice.ogg'), 'audio/ogg', 12, 1, 64],
    ['stereo', made('ogg', 'ffmpeg', qw(-f lavfi -i sine=f=300:d=8 -f lavfi -i
        sine=f=800:d=8 -filter_complex join=inputs=2:channel_layout=stereo
        -c:a libopus)), 'audio/ogg', 8, 2, 128],
    ['Vorbis', made('ogg', 'ffmpeg', '-i', wav(4, rate => 44100),
        qw(-c:a libvorbis)), 'audio/ogg', 4, 1, 64],
    ['WebM', sample('media/recorder.webm'), 'audio/webm', 2.28, 2, 128],
    ['short', made('ogg', 'ffmpeg', '-i', wav(0.1), qw(-c:a libopus)),
        'audio/ogg', 0.1, 1, undef],
    )
{
    my ($name, $file, $type, $seconds, $channels, $rate) = @$_;
    my $m4a = made_of($name, $file, $type);
    my $info = probe($m4a);

    is("$info->{format} $info->{codec_name} $info->{profile} "
        . "$info->{sample_rate} $info->{channels} $info->{streams} "
        . $info->{errors}, "mov,mp4,m4a,3gp,3g2,mj2 aac LC 48000 $channels 1 ",
        "$name: AAC-LC that plays");
    cmp_ok(abs($info->{duration} - $seconds), '<', 0.1, "$name: as long");
    cmp_ok(abs($info->{bit_rate} / 1000 - $rate), '<', $rate / 8,
        "$name: $rate kbit/s") if $rate;
    is(substr($m4a, 4, 8), 'ftypM4A ', "$name: an M4A");
    cmp_ok(index($m4a, 'moov'), '<', index($m4a, 'mdat'),
        "$name: its index comes first");
    ok($m4a eq made_of($name, $file, $type), "$name: the same each time");
}


# of a message

sub downloaded {
    my ($v, $metadata) = @_;

    sim_serve($v);

    my $id = attachment(instance(tenant(), 'evolution'), source_of($v));

    sql("UPDATE media.message_attachments SET metadata = metadata || "
        . "'$metadata' WHERE id = '$id'") if $metadata;
    is(run_job('download', $id)->{result}, 'done', 'downloaded');
    return ($id, job_row($id));
}

sim('reset');

{
    my $v = vector('audio-ptt-ogg-opus');
    my ($id, $row) = downloaded($v);
    my $r = $row->{metadata}{renditions}{m4a};
    my $m4a = object($r->{key});

    is($row->{status}, 'completed', 'a voice note: completed');
    is($r->{key}, "$row->{storage_key}_m4a.m4a", 'its M4A is beside it');
    is("$r->{type} $r->{size}", 'audio/mp4 ' . length $m4a, 'and recorded');
    like($r->{made_by}, qr{^libavformat/[\d.]+ libavcodec/[\d.]+$},
        'with what made it');
    cmp_ok(abs(probe($m4a)->{duration} - $row->{metadata}{duration}), '<',
        0.1, 'it is as long');
    is("$row->{metadata}{codec} $row->{metadata}{channels}", 'opus 1',
        'its codec is known');
    is(length decode_base64($row->{metadata}{waveform}), 64,
        'its waveform is computed');
    is((grep { $_->{stage} eq 'rendition' } hops($id))[0]{outcome}, 'ok',
        'and is a hop');
    is((events($id))[-1]{payload}{metadata}{renditions}{m4a}{key}, $r->{key},
        'the event tells of it');

    my $answer = get(E2E::signed($row->{file_url}) . '&as=m4a');

    is("$answer->{status} $answer->{headers}{'content-type'}",
        '200 audio/mp4', 'nginx serves it');
    ok($answer->{content} eq $m4a, 'in full');
    ok(get($row->{file_url})->{content} eq plain_of($v),
        'the original stays as it came');
}

{
    my $own = encode_base64(join('', map { chr } 1 .. 64), '');
    my ($id, $row) = downloaded(vector('audio-ptt-ogg-opus'),
        qq({"waveform": "$own"}));

    is($row->{metadata}{waveform}, $own, 'the waveform of the message stays');
    ok($row->{metadata}{duration} > 1, 'beside what was found out');
}

{
    my ($id, $row) = downloaded(vector('audio-mp3'));

    is($row->{metadata}{renditions}, undef, 'an MP3 needs none');
    is($row->{metadata}{codec}, 'mp3', 'and is known');
}

{
    my ($id, $row) = downloaded(vector('video-mp4'));
    my $info = identify(object("$row->{storage_key}_thumb.jpg"));

    is($row->{metadata}{renditions}, undef, 'nor does a video');
    is($info->{format}, 'JPEG', 'which has a picture');
    like($row->{thumbnail_url}, qr/_thumb\.jpg$/, 'that is told of');
    ok($row->{metadata}{width} > 0 && $row->{metadata}{duration} > 0,
        'and is known');
}

done_testing();
