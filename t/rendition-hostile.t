#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Files that were cut or damaged are converted or refused with a reason; the
# decoder process survives them all.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(slurp);
use File::Temp qw(tempdir);
use Job;
use Rendition;
use Test::More;

use constant { CUTS => 12, DAMAGED => 16, FLIPS => 6 };

my $dir = tempdir(CLEANUP => 1);

job_or_skip();

my @samples = (
    ['voice', sample('media/recorder.webm'), 'video/webm'],
    ['voice', sample('audio-m4a.plain'), 'audio/x-m4a'],
    ['voice', sample('audio-mp3.plain'), 'audio/mpeg'],
    ['voice', sample('audio-ptt-ogg-opus.plain'), 'audio/ogg'],
    ['voice', sample('video-mp4.plain'), 'video/mp4'],
    ['voice', amr(50), 'audio/amr'],
    ['audio', wav(1), 'audio/x-wav'],
    ['audio', made('aac', 'ffmpeg', '-i', wav(1), qw(-c:a aac)), 'audio/aac'],
    ['audio', made('ogg', 'ffmpeg', '-i', wav(1), qw(-c:a libvorbis)),
        'audio/ogg'],
    ['video', sample('video-mp4.plain'), 'video/mp4'],
    ['image', sample('image-jpeg.plain'), 'image/jpeg'],
    ['image', sample('image-jpeg-progressive-exif.plain'), 'image/jpeg'],
    ['image', sample('image-png.plain'), 'image/png'],
    ['image', sample('image-heic.plain'), 'image/heic'],
    ['image', sample('gif-as-document.plain'), 'image/gif'],
    ['sticker', sample('sticker-static-webp.plain'), 'image/webp'],
    ['sticker', sample('sticker-animated-webp.plain'), 'image/webp'],
);


# what becomes of each: "ok", or the reason

sub decoded {
    my ($kind, $type, @files) = @_;
    my @lines = split /\n/, run_program('decode',
        map { ($kind, $_, $type, "$dir/out") } @files);

    is(scalar @lines, scalar @files, 'the child survives');
    is(scalar(grep { !/^rc=0 .* decoder=1 / } @lines), 0,
        'the decoder survives')
        or diag grep { !/^rc=0 .* decoder=1 / } @lines;

    return map {
        my ($size, $error) = /size=(\d+) .* error=(.*)$/;

        $error eq '' ? $size > 0 || $kind eq 'video' ? 'ok' : 'nothing'
            : $error;
    } @lines;
}


# heads have half of the damage: that is where the formats are

sub damaged {
    my ($bytes, $n) = @_;

    for my $flip (1 .. FLIPS) {
        my $range = $n % 2 && length $bytes > 512 ? 512 : length $bytes;

        vec($bytes, int rand 8 * $range, 1) ^= 1;
    }

    return $bytes;
}


for (@samples) {
    my ($kind, $file, $type) = @$_;
    my ($name) = $file =~ m{([^/]+)$};
    my $bytes = slurp($file);
    my @cuts = map { substr $bytes, 0, int length($bytes) * $_ / CUTS }
        0 .. CUTS - 1;

    srand 42;
    note "$name as $kind";

    my @damaged = map { damaged($bytes, $_) } 1 .. DAMAGED;
    my @all = ($bytes, @cuts, @damaged, $bytes);
    my @results = decoded($kind, $type, map { save('hostile', $_) } @all);

    is($results[$_], $name =~ /animated|gif/ ? $results[0] : 'ok',
        "$name: as it was") for 0, -1;
    isnt($results[1], 'ok', "$name: empty is refused");
    is(scalar(grep { /^nothing$|decoder failed|[^ -~]/ } @results), 0,
        "$name: converted or refused with a reason") or diag "@results";
}


# what names other files, and what is something else

my $wav = wav(1);
my @foreign = map { save('foreign', $_) } (
    "#EXTM3U\n#EXTINF:1,\nfile://$wav\n#EXT-X-ENDLIST\n",
    "ffconcat version 1.0\nfile '$wav'\n",
    "v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    "<svg xmlns='http://www.w3.org/2000/svg'><image href='$wav'/></svg>",
    "push graphic-context\nimage over 0,0 0,0 '$wav'\n");

for my $type (qw(video/webm audio/mp4 audio/mpeg audio/ogg audio/amr
    audio/wav audio/aac))
{
    my @results = decoded('voice', $type, @foreign, sample('image-png.plain'));

    is(scalar(grep { $_ eq 'ok' } @results), 0, "none of it is $type");
}

for my $type (qw(image/jpeg image/png image/gif image/webp image/heic)) {
    my @results = decoded('sticker', $type, @foreign, $wav);

    is(scalar(grep { $_ eq 'ok' } @results), 0, "none of it is $type");
}

done_testing();
