#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# What is known of audio and video once they are stored: duration, codecs,
# dimensions, waveform, and the picture of a video.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(slurp);
use Inspect qw(inspected);
use Job;
use MIME::Base64;
use Rendition;
use Test::More;

job_or_skip();


# what the decoder says of each file, and the picture

sub looked_into {
    my (@files) = @_;
    my @all = inspected(@files);

    $_->{picture} = -e $_->{file} ? slurp($_->{file}) : '' for @all;
    is(scalar @all, scalar @files, 'all are inspected');
    return wantarray ? @all : $all[0];
}


sub ffmpeg {
    my ($suffix, @args) = @_;

    return made($suffix, 'ffmpeg', @args);
}


# a frame of a video as FFmpeg shows it, which is the same picture

sub same_picture {
    my ($picture, $file, $at, $name) = @_;
    my $info = identify($picture);
    my $frame = ffmpeg('png', '-ss', $at, '-i', $file, '-frames:v', 1, '-vf',
        "scale=$info->{width}:$info->{height}");
    my $shown = save('jpg', $picture);
    my ($error) = qx{compare -metric RMSE $frame $shown null: 2>&1}
        =~ /\(([\d.e-]+)\)/;

    is($info->{format}, 'JPEG', "$name: a JPEG");
    cmp_ok($error, '<', 0.1, "$name: that picture");
    return "$info->{width}x$info->{height}";
}


# audio: the container, its codec, and what a frame of it lasts

my @sine = qw(-f lavfi -i sine=f=440:r=48000:d=3);
my @audio = (
    ['ogg', 'opus', 48000, 1, 0.02, qw(-c:a libopus)],
    ['ogg', 'opus', 48000, 2, 0.02, qw(-ac 2 -c:a libopus)],
    ['ogg', 'vorbis', 44100, 2, 0.05, qw(-ac 2 -ar 44100 -c:a libvorbis)],
    ['webm', 'opus', 48000, 1, 0.02, qw(-c:a libopus)],
    ['m4a', 'aac', 44100, 2, 0.024, qw(-ac 2 -ar 44100 -c:a aac)],
    ['3gp', 'aac', 48000, 1, 0.022, qw(-c:a aac)],
    ['aac', 'aac', 48000, 1, 0.05, qw(-c:a aac)],
    ['mp3', 'mp3', 44100, 1, 0.03, qw(-ar 44100 -c:a libmp3lame)],
    ['wav', 'pcm_s16le', 22050, 1, 0.001, qw(-ar 22050)],
);
my @files = map { ffmpeg($_->[0], @sine, @$_[5 .. $#$_]) } @audio;

for my $r (looked_into(@files, amr(150))) {
    my ($suffix, $codec, $rate, $channels, $frame) = @{ shift @audio
        // ['amr', 'amr_nb', 8000, 1, 0.02] };
    my $m = $r->{metadata};
    my $name = "$codec in $suffix";

    is("$r->{verdict} $r->{error}", 'ok ', "$name: is good");
    is("$m->{codec} $m->{sample_rate} $m->{channels}",
        "$codec $rate $channels", "$name: codec, rate, channels");
    cmp_ok(abs($m->{duration} - 3), '<=', $frame + 0.0005, "$name: duration")
        or diag $m->{duration};
    is(length decode_base64($m->{waveform}), 64, "$name: waveform");
    is($r->{size}, 0, "$name: no picture");
    like($r->{made_by}, qr{^libavformat/\d[\d.]+ libavcodec/\d[\d.]+},
        "$name: by what it was told");
    ok(!exists $m->{video_codec} && !exists $m->{width}, "$name: no video");
}


# a waveform is the shape of the sound, also of one that is long

for (['4 s', ffmpeg('ogg', '-i', wav(4), qw(-c:a libopus -b:a 48k))],
    ['half an hour', ffmpeg('ogg', qw(-f lavfi -i
    aevalsrc=0.9*t/2000*sin(2000*t):s=16000:d=2000 -c:a libopus -b:a 32k))],
    ['half an hour', ffmpeg('mp3', qw(-f lavfi -i
    aevalsrc=0.9*t/2000*sin(2000*t):s=16000:d=2000 -c:a libmp3lame))],
    )
{
    my ($name, $file) = @$_;
    my $r = looked_into($file);
    my @waveform = unpack 'C*', decode_base64($r->{metadata}{waveform});

    is_deeply([grep { abs($waveform[$_] - 100 * ($_ + 0.5) / 63.5) > 5 }
        0 .. 63], [], "$name: it gets louder") or diag "@waveform";

    next if $name eq '4 s';

    cmp_ok(abs($r->{metadata}{duration} - 2000), '<=', 0.027,
        "$name: its duration");
}

{
    my $r = looked_into(wav(1, volume => 0));

    is_deeply([unpack 'C*', decode_base64($r->{metadata}{waveform})],
        [(0) x 64], 'silence');
}


# video

my @video = (qw(-f lavfi -i testsrc=s=320x180:r=25:d=3), @sine);
my $plain = ffmpeg('mp4', @video, qw(-c:v libx264 -pix_fmt yuv420p -c:a aac));

for (['h264', 'aac', $plain],
    ['hevc', undef, sample('media/hevc.mp4')],
    ['vp9', undef, sample('media/vp9.mp4')],
    ['vp8', 'opus', ffmpeg('webm', @video, qw(-c:v libvpx -c:a libopus))],
    ['vp9', 'opus', ffmpeg('mkv', @video, qw(-c:v libvpx-vp9 -deadline
        realtime -cpu-used 8 -c:a libopus))],
    ['mpeg4', 'aac', ffmpeg('3gp', @video, qw(-c:v mpeg4 -c:a aac))],
    ['h264', 'mp3', ffmpeg('mov', @video, qw(-c:v libx264 -pix_fmt yuv420p
        -c:a libmp3lame))],
    ['theora', 'vorbis', ffmpeg('ogv', @video, qw(-c:v libtheora
        -c:a libvorbis))],
    )
{
    my ($codec, $sound, $file) = @$_;
    my ($suffix) = $file =~ /([^.]+)$/;
    my $name = "$codec in $suffix";
    my $r = looked_into($file);
    my $m = $r->{metadata};

    is("$r->{verdict} $r->{error}", 'ok ', "$name: is good");
    is_deeply([@$m{qw(video_codec codec)}], [$codec, $sound],
        "$name: its codecs");
    is(same_picture($r->{picture}, $file, 0, $name),
        $m->{width} == 320 ? '200x113' : '128x96', "$name: its size");
    cmp_ok(abs($m->{duration} - ($m->{width} == 320 ? 3 : 1)), '<=', 0.045,
        "$name: its duration") or diag $m->{duration};
}

for my $degrees (90, 180, 270) {
    my $file = ffmpeg('mp4', '-i', $plain, qw(-c copy -metadata:s:v),
        "rotate=$degrees");
    my $r = looked_into($file);
    my $m = $r->{metadata};

    # FFmpeg 6 has another option for that
    if (!exists $m->{rotation}) {
        $file = ffmpeg('mp4', '-display_rotation', $degrees, '-i', $plain,
            qw(-c copy));
        $r = looked_into($file);
        $m = $r->{metadata};
    }

    is($m->{rotation}, 360 - $degrees, "$degrees: clockwise");
    is("$m->{width}x$m->{height}", $degrees == 180 ? '320x180' : '180x320',
        "$degrees: upright");
    is(same_picture($r->{picture}, $file, 0, "$degrees"),
        $degrees == 180 ? '200x113' : '113x200', "$degrees: its picture");
}

for (['a second', 1, 25], ['ten seconds', 10, 25], ['all of it', 0, 25]) {
    my ($name, $black) = @$_;
    my $file = $black == 0
        ? ffmpeg('mp4', qw(-f lavfi -i color=black:s=320x180:r=25:d=2
            -c:v libx264 -pix_fmt yuv420p))
        : ffmpeg('mp4', qw(-f lavfi -i), "color=black:s=320x180:r=25:d=$black",
            qw(-f lavfi -i color=red:s=320x180:r=25:d=10 -filter_complex
            [0][1]concat -c:v libx264 -pix_fmt yuv420p));
    my $r = looked_into($file);
    my $middle = identify($r->{picture})->{middle};

    like($middle, $black ? qr/25[0-5],[0-9],[0-9]\b|red/
        : qr/black|0,0,0|gray\(0/, "black for $name: "
        . ($black ? 'what follows' : 'black'));
}

is(identify(looked_into(ffmpeg('mp4', qw(-f lavfi -i testsrc=s=64x48:d=1
    -c:v libx264 -pix_fmt yuv420p)))->{picture})->{width}, 64,
    'nothing is enlarged');
is(looked_into(ffmpeg('mp3', @sine, '-i', sample('image-jpeg.plain'),
    qw(-map 0 -map 1 -c:a libmp3lame -c:v copy -disposition:v attached_pic)))
    ->{metadata}{video_codec}, undef, 'the picture of a cover is no video');

done_testing();
