#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A file becomes what its provider takes, once, beside the original; what
# cannot is refused with the provider's limit.  Judged by FFmpeg, opusinfo
# and ImageMagick.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql_row get slurp);
use Job;
use MIME::Base64;
use Rendition;
use Test::More;

use constant MB => 1024 * 1024;

job_or_skip();


# the rendition of a file that is to be converted

sub converted {
    my ($name, $file, $type, $kind, %opt) = @_;
    my $provider = $opt{provider} // 'cloudapi';
    my $id = stored($file, $type);
    my $r = rendition($id, $provider, $kind);
    my ($key) = sql_row('SELECT storage_key FROM media.message_attachments '
        . "WHERE id = '$id'");

    is($r->{result}, 'ok', "$name: converted") or diag $r->{error};
    is($r->{key}, "${key}_$kind.$r->{extension}", "$name: stored beside it");

    my $bytes = object($r->{key});

    is(length $bytes, $r->{size}, "$name: in full length");

    my $recorded = recorded($id, $kind);

    is_deeply([@$recorded{qw(key type size)}], [@$r{qw(key type size)}],
        "$name: recorded");
    return { %$r, id => $id, bytes => $bytes, recorded => $recorded };
}


sub as_is {
    my ($name, $file, $type, $kind, $provider, %opt) = @_;
    my $id = stored($file, $type, %opt);
    my $r = rendition($id, $provider, $kind);
    my ($key) = sql_row('SELECT storage_key FROM media.message_attachments '
        . "WHERE id = '$id'");

    is($r->{result}, 'ok', "$name: taken by $provider") or diag $r->{error};
    is($r->{key}, $key, "$name: as it is");
    return { %$r, id => $id };
}


sub refused {
    my ($name, $file, $type, $kind, $provider, $error, %opt) = @_;
    my $id = stored($file, $type, %opt);
    my $r = rendition($id, $provider, $kind);

    is($r->{result}, 'refused', "$name: refused by $provider");
    is($r->{error}, $error, "$name: $error");
}


# images

my $images = 'WhatsApp takes images as JPEG or PNG; this one could not be '
    . 'converted: ';

as_is('a JPEG', sample('image-jpeg.plain'), 'image/jpeg', 'image', $_)
    for qw(cloudapi evolution wapi);
as_is('a PNG', sample('image-png.plain'), 'image/png', 'image', 'cloudapi');

{
    my $r = converted('a photo of 4.7 MB', sample('image-jpeg-large.plain'),
        'image/jpeg', 'image');
    my $info = identify($r->{bytes});

    is($r->{type}, 'image/jpeg', 'a photo: its type');
    cmp_ok($r->{size}, '<=', MB, 'a photo: 1 MB at most');
    cmp_ok($info->{width} / $info->{height}, '>', 1.33, 'its proportions');
    cmp_ok($info->{width} / $info->{height}, '<', 1.34, 'its proportions');
    is_deeply([@{ $r->{recorded} }{qw(width height)}],
        [@$info{qw(width height)}], 'its dimensions are recorded');

    # another provider, and nothing to make it of
    run_program('put', $r->{key} =~ s/_image\.jpg$//r, 't/rendition.t',
        'text/plain');

    my $again = rendition($r->{id}, 'evolution', 'image');

    is("$again->{result} $again->{key}", "ok $r->{key}", 'shared, made once');

    my $answer = get("$ENV{MEDIA_PUBLIC_URL}$r->{key}");

    is($answer->{status}, 200, 'nginx serves it');
    ok($answer->{content} eq $r->{bytes}, 'in full');
}

{
    my $noise = made('jpg', qw(convert -seed 1 -size 4000x2000 xc:gray +noise
        Random -quality 100));
    my $r = converted('noise', $noise, 'image/jpeg', 'image');
    my $info = identify($r->{bytes});

    cmp_ok(-s $noise, '>', 4 * MB, 'noise: is large');
    cmp_ok($r->{size}, '<=', MB, 'noise: 1 MB at most');
    cmp_ok($info->{width}, '<', 4000, 'noise: made smaller');
    cmp_ok($info->{width}, '>', 500, 'noise: not more than needed');
    cmp_ok(abs($info->{width} - 2 * $info->{height}), '<=', 3,
        'noise: its proportions');
}

{
    my $r = converted('a large PNG', made('png', qw(convert -seed 1 -size
        1200x900 plasma:fractal -alpha set -region 100x100+0+0 -channel A
        -evaluate set 0)), 'image/png', 'image');
    my $info = identify($r->{bytes});

    is($info->{format}, 'JPEG', 'a large PNG: a JPEG');
    like($info->{corner}, qr/white|255,255,255/, 'transparency is white');
}

{
    my $r = converted('HEIC', sample('image-heic.plain'), 'image/heic',
        'image');
    my $info = identify($r->{bytes});

    is("$info->{format} $info->{width}x$info->{height}", 'JPEG 480x552',
        'HEIC: a JPEG');
}

{
    my $r = converted('WebP', sample('sticker-static-webp.plain'),
        'image/webp', 'image', provider => 'wapi');

    is(identify($r->{bytes})->{format}, 'JPEG', 'WebP: a JPEG');
}

converted('a GIF', made('gif', qw(convert -size 100x50 xc:red)),
    'image/gif', 'image');
refused('an animation', sample('gif-as-document.plain'), 'image/gif', 'image',
    'cloudapi', "${images}it is animated");

{
    my $r = converted('16 bits', made('png', qw(convert -size 50x50
        gradient:red-blue -depth 16), '-define', 'png:bit-depth=16'),
        'image/png', 'image');

    is(identify($r->{bytes})->{depth}, 8, '16 bits: 8');

    $r = converted('CMYK', made('jpg', qw(convert -size 50x50 xc:red
        -colorspace CMYK)), 'image/jpeg', 'image');
    is(identify($r->{bytes})->{colorspace}, 'sRGB', 'CMYK: sRGB');
    is(converted('25 MP', made('jpg', qw(convert -size 6400x4000 xc:red
        -colorspace CMYK)), 'image/jpeg', 'image')->{recorded}{width}, 3200,
        '25 MP: halved, not refused');
    like(identify($r->{bytes})->{middle}, qr/25[45],[0-3],[0-3]|red/,
        'CMYK: red');
}

{
    my $exif = slurp(sample('image-jpeg-progressive-exif.plain'));
    my ($app1) = $exif =~ /(\xff\xe1..Exif.*?)\xff[\xdb\xe0\xe2\xc2]/s;
    my $photo = slurp(made('jpg', qw(convert -seed 1 -size 1600x800
        plasma:fractal +noise Gaussian -quality 97)));
    my $file = save('jpg', substr($photo, 0, 2), $app1, substr $photo, 2);

    like(identify(slurp($file))->{exif}, qr/Orientation=6/, 'lies, has EXIF');

    my $info = identify(converted('EXIF', $file, 'image/jpeg', 'image')
        ->{bytes});

    cmp_ok($info->{height}, '>', $info->{width}, 'EXIF: upright');
    is($info->{exif}, '', 'EXIF: gone');
}

my $broken = "\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0";

as_is('a broken JPEG', save('jpg', $broken . "\0" x 50000), 'image/jpeg',
    'image', 'cloudapi');
as_is('a large one', save('jpg', $broken . "\0" x (6 * MB)), 'image/jpeg',
    'image', 'evolution');
refused('a large one', save('jpg', $broken . "\0" x (6 * MB)), 'image/jpeg',
    'image', 'cloudapi',
    'WhatsApp takes images of 5 MB at most; this one has 6.1 MB');
refused('a PDF', sample('document-pdf.plain'), 'application/pdf', 'image',
    'wapi', "${images}no decoder for this type");


# stickers

my $stickers = 'WhatsApp takes stickers as WebP of 512x512 pixels, of 100 KB '
    . 'at most, animated of 500 KB at most; this one could not be converted: ';

{
    my $r = converted('a PNG', sample('image-png.plain'), 'image/png',
        'sticker');
    my $info = identify($r->{bytes});

    is($r->{type}, 'image/webp', 'sticker: its type');
    is("$info->{format} $info->{width}x$info->{height}", 'WEBP 512x512',
        'sticker: WebP, square');
    like($info->{alpha}, qr/^srgba/, 'sticker: has alpha');
    like($info->{corner}, qr/,0\)|none/, 'sticker: padded with nothing');
    unlike($info->{middle}, qr/,0\)|none/, 'sticker: not empty');
}

{
    my $r = converted('noise', made('png', qw(convert -seed 1 -size 600x400
        xc:gray +noise Random)), 'image/png', 'sticker');

    cmp_ok($r->{size}, '<=', 100_000, 'sticker: 100 KB at most');
}

as_is('a sticker', sample('sticker-static-webp.plain'), 'image/webp',
    'sticker', 'cloudapi');
as_is('an animated sticker', sample('sticker-animated-webp.plain'),
    'image/webp', 'sticker', 'evolution');
refused('a small animation', made('webp', qw(convert -size 200x100 xc:red
    xc:blue)), 'image/webp', 'sticker', 'cloudapi',
    "${stickers}it is animated, 200x100 pixels of webp");
refused('Lottie', sample('sticker-lottie-was.plain'), 'application/was',
    'sticker', 'cloudapi', "${stickers}no decoder for this type");


# voice notes

sub waveform { unpack 'C*', decode_base64($_[0]{recorded}{waveform}) }

for (
    ['webm of Chromium', sample('media/recorder.webm'), 'audio/webm', 2, 3],
    ['M4A', sample('audio-m4a.plain'), 'audio/mp4', 5, 5],
    ['MP3', sample('audio-mp3.plain'), 'audio/mpeg', 5, 5],
    ['WAV', wav(1.5), 'audio/wav', 2, 2],
    ['short WAV', wav(0.1), 'audio/wav', 1, 1],
    ['AMR', amr(120), 'audio/amr', 3, 3],
    ['3GPP', made('3gp', 'ffmpeg', '-i', wav(2), qw(-c:a aac)), 'audio/3gpp',
        2, 3],
    ['AAC', made('aac', 'ffmpeg', '-i', wav(2), qw(-c:a aac)), 'audio/aac',
        2, 3],
    ['Vorbis', made('ogg', 'ffmpeg', '-i', wav(2, rate => 44100),
        qw(-c:a libvorbis)), 'audio/ogg', 2, 2],
    ['Opus in stereo', made('ogg', 'ffmpeg', '-i', wav(2),
        qw(-ac 2 -c:a libopus)), 'audio/ogg', 2, 2],
    ['a video', sample('video-mp4.plain'), 'video/mp4', 1, 10],
    )
{
    my ($name, $file, $type, $from, $to) = @$_;
    my $r = converted($name, $file, $type, 'voice');
    my $info = probe($r->{bytes});
    my @waveform = waveform($r);

    is($r->{type}, 'audio/ogg; codecs=opus', "$name: its type");
    is("$info->{format} $info->{codec_name} $info->{sample_rate} "
        . "$info->{channels} $info->{streams} $info->{errors}",
        'ogg opus 48000 1 1 ', "$name: Opus, 48 kHz, mono");
    is(substr($r->{bytes}, 28, 8), 'OpusHead', "$name: Ogg as RFC 7845 has it");
    cmp_ok($r->{duration}, '>=', $from, "$name: not shorter");
    cmp_ok($r->{duration}, '<=', $to, "$name: not longer");
    cmp_ok(abs($info->{duration} - $r->{duration}), '<', 1.1,
        "$name: as ffprobe says");
    is($r->{recorded}{duration}, $r->{duration}, "$name: is recorded");
    is(scalar @waveform, 64, "$name: 64 samples");
    is((sort { $b <=> $a } @waveform)[0], 100, "$name: the loudest is 100");
}

{
    my $r = converted('louder', wav(4), 'audio/wav', 'voice');
    my @waveform = waveform($r);

    is_deeply([map { int(($waveform[$_] - 100 * ($_ + 0.5) / 63.5) / 3) }
        0 .. 63], [(0) x 64], 'a ramp is one in the waveform, too')
        or diag "@waveform";
    like(qx{opusinfo @{[save('ogg', $r->{bytes})]} 2>&1},
        qr/Playback length: 0m:0[34]\.\d+s/, 'opusinfo agrees');
    unlike(qx{opusinfo @{[save('ogg', $r->{bytes})]} 2>&1},
        qr/WARNING|ERROR/, 'opusinfo has no objection');

    $r = converted('silence', wav(1, volume => 0), 'audio/wav', 'voice');
    is_deeply([waveform($r)], [(0) x 64], 'silence is silent');
}

for (qw(cloudapi evolution wapi)) {
    my $r = as_is('a voice note', sample('audio-ptt-ogg-opus.plain'),
        'audio/ogg; codecs=opus', 'voice', $_);

    is($r->{type}, 'audio/ogg; codecs=opus', 'a voice note: its type');
    is($r->{duration}, 6, 'a voice note: its duration');
    is(scalar(my @waveform = waveform({
        recorded => recorded($r->{id}, 'voice') })), 64,
        'a voice note: its waveform');
    is(rendition($r->{id}, $_, 'voice')->{duration}, 6, 'and again');
}

my $voice = 'WhatsApp takes voice notes as Ogg with Opus; this one could not '
    . 'be converted: ';

# by its head; and in parts, of which the head tells the first

{
    my $n = 8000 * 60 * 31;

    refused('half an hour', save('wav', 'RIFF', pack('V', 36 + $n),
        'WAVEfmt ', pack('VvvVVvv', 16, 1, 1, 8000, 8000, 1, 8), 'data',
        pack('V', $n), "\x80" x $n), 'audio/wav', 'voice', 'cloudapi',
        "${voice}it is longer than 30 minutes");
    refused('half an hour of parts', save('ogg',
        slurp(sample('audio-ptt-ogg-opus.plain')) x 320),
        'audio/ogg; codecs=opus', 'voice', 'cloudapi',
        "${voice}it is longer than 30 minutes");
}

refused('no audio', sample('gif-mp4.plain'), 'video/mp4', 'voice', 'wapi',
    "${voice}it has no audio");
refused('a text', sample('document-txt.plain'), 'text/plain', 'voice', 'wapi',
    "${voice}no decoder for this type");


# audio files

is(as_is('MP3', sample('audio-mp3.plain'), 'audio/mpeg', 'audio', $_)->{type},
    'audio/mpeg', 'MP3: its type') for qw(cloudapi evolution wapi);
is(as_is('AMR', amr(100), 'audio/amr', 'audio', 'cloudapi')->{extension},
    'amr', 'AMR: its extension');
as_is('an hour of MP3', made('mp3', 'ffmpeg', qw(-f lavfi -i
    anullsrc=r=8000:cl=mono -t 2400 -b:a 8k -c:a libmp3lame)), 'audio/mpeg',
    'audio', 'cloudapi');

{
    my $r = as_is('M4A', sample('audio-m4a.plain'), 'audio/x-m4a', 'audio',
        'cloudapi');

    is($r->{type}, 'audio/mp4', 'M4A: its type as the Cloud API has it');

    my $wapi = rendition($r->{id}, 'wapi', 'audio');

    is($wapi->{type}, 'audio/ogg; codecs=opus', 'M4A: converted for W-API');
    is(rendition($r->{id}, 'cloudapi', 'audio')->{key}, $wapi->{key},
        'and then the same for all');
}

for (qw(cloudapi evolution wapi)) {
    my $r = converted('WAV', wav(2), 'audio/wav', 'audio', provider => $_);
    my $info = probe($r->{bytes});

    is("$info->{codec_name} $info->{channels} $info->{errors}", 'opus 1 ',
        'WAV: Opus, mono');
}


# videos, documents, others

as_is('MP4', sample('video-mp4.plain'), 'video/mp4', 'video', $_)
    for qw(cloudapi evolution wapi);
as_is('3GPP', sample('video-mp4.plain'), 'video/3gpp', 'video', 'cloudapi');
refused('40 MB', sample('video-mp4.plain'), 'video/mp4', 'video', $_,
    'WhatsApp takes videos of 16 MB at most; this one has 40 MB',
    size => 40 * MB, lost => 1) for qw(cloudapi evolution wapi);
refused('one byte more', sample('video-mp4.plain'), 'video/mp4', 'video',
    'wapi', 'WhatsApp takes videos of 16 MB at most; this one has 16.1 MB',
    size => 16 * MB + 1, lost => 1);
refused('QuickTime', sample('video-mp4.plain'), 'video/quicktime', 'video',
    'cloudapi', 'WhatsApp takes videos as MP4 or 3GPP; this one is '
    . 'video/quicktime');
refused('3GPP', sample('video-mp4.plain'), 'video/3gpp', 'video', 'wapi',
    'WhatsApp takes videos as MP4; this one is video/3gpp');

# what the Cloud API plays: others have published nothing

my $video = 'WhatsApp takes videos with H.264 and, if any, AAC audio; this '
    . 'one ';

refused('HEVC', sample('media/hevc.mp4'), 'video/mp4', 'video', 'cloudapi',
    "${video}has HEVC");
refused('VP9', sample('media/vp9.mp4'), 'video/mp4', 'video', 'cloudapi',
    "${video}has VP9");
as_is('HEVC', sample('media/hevc.mp4'), 'video/mp4', 'video', $_)
    for qw(evolution wapi);
refused('two tracks', made('mp4', 'ffmpeg', '-i', sample('video-mp4.plain'),
    qw(-map 0:v -map 0:a -map 0:a -c copy)), 'video/mp4', 'video', 'cloudapi',
    "${video}has several audio tracks");
refused('MP3', made('mp4', 'ffmpeg', '-i', sample('video-mp4.plain'),
    qw(-c:v copy -c:a libmp3lame)), 'video/mp4', 'video', 'cloudapi',
    "${video}has MP3");
refused('no video', sample('audio-m4a.plain'), 'video/mp4', 'video',
    'cloudapi', "${video}has no video");
as_is('no audio', sample('gif-mp4.plain'), 'video/mp4', 'video', 'cloudapi');

{
    my $r = as_is('looked at once', sample('video-mp4.plain'), 'video/mp4',
        'video', 'cloudapi');
    my ($key) = sql_row('SELECT storage_key FROM media.message_attachments '
        . "WHERE id = '$r->{id}'");

    is(recorded($r->{id}, 'video')->{key}, $key, 'and recorded');
    run_program('put', $key, sample('media/hevc.mp4'), 'video/mp4');
    is(rendition($r->{id}, 'cloudapi', 'video')->{result}, 'ok',
        'which is enough for the next send');
}

is(as_is('a PDF', sample('document-pdf.plain'), 'application/pdf', 'document',
    'cloudapi')->{extension}, 'pdf', 'a PDF: its extension');
as_is('a GIF', sample('gif-as-document.plain'), 'image/gif', 'document',
    'wapi');
refused('101 MB', sample('document-pdf.plain'), 'application/pdf', 'document',
    'evolution', 'WhatsApp takes documents of 100 MB at most; this one has '
    . '101 MB', size => 101 * MB, lost => 1);
refused('a text', sample('document-txt.plain'), 'text/plain', 'text',
    'evolution', 'a message of kind text has no file');
refused('a lost file', sample('audio-mp3.plain'), 'audio/mpeg', 'voice',
    'evolution', 'the file is not stored', lost => 1);

{
    my $id = stored(sample('audio-mp3.plain'), 'audio/mpeg');

    local $ENV{S3_ENDPOINT_URL} = 'http://127.0.0.1:9';
    is(rendition($id, 'wapi', 'voice')->{result}, 'again', 'S3 is away');
}

done_testing();
