#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Images whose heads announce too much are refused before anything is decoded;
# those that were cut or damaged show what they show, or are corrupt.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(slurp);
use Inspect qw(inspect);
use Job;
use List::Util qw(min);
use PNG;
use Rendition qw(sample made save);
use Test::More;

use constant {
    REFUSED_WITHIN => 50,               # ms
    RUNS           => 5,                # of which the quickest counts
    FLIPS          => 100,
};

my @cuts = (0, 1, 7, 12);
my $rows = "\0" x 100_000;

job_or_skip();


# heads

sub gif {
    my ($width, $height, $n) = @_;

    return 'GIF89a' . pack('vvCCC', $width, $height, 0x80, 0, 0)
        . "\xff\0\0\0\0\xff" . ("\x21\xf9\4\0\5\0\0\0," . pack('vvvvC', 0, 0,
        1, 1, 0) . "\2\2\x44\1\0") x $n . ';';
}

sub riff {
    my ($name, $data) = @_;

    return $name . pack('V', length $data) . $data . "\0" x (length($data) % 2);
}

# a picture of one pixel (VP8L), on a canvas that may be another one

sub webp {
    my ($width, $height, $animated) = @_;
    my $pixel = riff('VP8L', "\x2f\0\0\0\0\x07\x10\x11\x11\x88\x88\x08");
    my $head = pack('C4', $animated ? 2 : 0, 0, 0, 0)
        . substr(pack('V', $width - 1), 0, 3)
        . substr(pack('V', $height - 1), 0, 3);
    my $frames = $animated
        ? riff('ANIM', "\0" x 6) . riff('ANMF', "\0" x 12 . "\x64\0\0\0"
            . $pixel) x $animated
        : $pixel;

    return riff('RIFF', 'WEBP' . riff('VP8X', $head) . $frames);
}

# its frame header (ITU T.81, B.2.2) has other dimensions

sub jpeg {
    my ($width, $height, $progressive) = @_;
    my $bytes = slurp(made('jpg', qw(convert -size 64x64 xc:red),
        $progressive ? qw(-interlace JPEG) : qw(-interlace none)));

    $bytes =~ s/(\xff[\xc0\xc2]\0.\x08)..../$1 . pack 'nn', $height, $width/se
        or die;
    return $bytes;
}

# N is less if ImageMagick's policy says so
my %told;

my @bombs = (
    ['PNG', png(65535, 65535, 1, $rows), 'the image has 65535x65535 pixels; '
        . 'at most N megapixels of its kind are decoded'],
    ['a high PNG', png(1, 60000, 1, $rows), 'the image has 1x60000 pixels; '
        . 'at most N an edge are decoded'],
    ['GIF of 10,000 frames', gif(500, 500, 10_000),
        'the image has more than 2000 frames'],
    ['GIF', gif(65535, 65535, 1), 'the image has 65535x65535 pixels; '
        . 'at most N megapixels of its kind are decoded'],
    ['GIF of many pixels', gif(1000, 1000, 1000),
        'the image has 1000x1000 pixels; at most 209 megapixels are '
        . 'decoded, in 1000 frames'],
    ['WebP with a canvas', webp(16383, 16383, 2),
        'the image has 16383x16383 pixels; at most 209 megapixels are '
        . 'decoded, in 2 frames'],
    ['JPEG', jpeg(65500, 65500, 0), 'the image has 65500x65500 pixels; '
        . 'at most 209 megapixels of its kind are decoded'],
    ['progressive JPEG', jpeg(65500, 65500, 1),
        'the image has 65500x65500 pixels; at most N megapixels of its '
        . 'kind are decoded'],
);

for (@bombs) {
    my ($name, $bytes, $error) = @$_;
    my $file = save('bomb', $bytes);
    my @results = inspect(sample('image-jpeg.plain'), ($file) x RUNS);
    my $r = $results[-1];

    shift @results;
    is($r->{verdict}, 'refused', "$name: refused");
    $r->{error} =~ s/at most \K(\d+)/N/ && ($told{$name} = $1)
        if $error =~ /most N/;
    is($r->{error}, $error, "$name: $error");
    is($r->{size}, 0, "$name: no preview");
    cmp_ok(min(map { $_->{ms} } @results), '<', REFUSED_WITHIN,
        "$name: within 50 ms");
}

{
    my ($grey, $any, $edge) = @told{'PNG', 'progressive JPEG', 'a high PNG'};
    my $side = int sqrt $grey * 1e6;

    cmp_ok($any, '<=', 53, "at most $any megapixels");
    cmp_ok($grey, '<=', $any, "at most $grey megapixels of grey");
    cmp_ok($edge, '<=', 16384, "at most $edge an edge");

    my @results = inspect(map { save('png', png(@$_, 8, "\0" x (($_->[0] + 1)
        * $_->[1]))) } [$side, $side], [$edge, 9], [9, $edge]);

    is(join(' ', map { "$_->{verdict} $_->{error}" } @results), 'ok  ok  ok ',
        'what is not more than that is decoded');
}

for (['WebP that lies', webp(3000, 3000, 0)],
    ['PNG of too few pixels', png(3000, 3000, 8, $rows)])
{
    my ($name, $bytes) = @$_;
    my $r = inspect(save('lie', $bytes));

    is($r->{verdict}, 'corrupt', "$name: corrupt");
}


# damage

for (['image-jpeg.plain', '842x788'],
    ['image-jpeg-progressive-exif.plain', '574x640'],
    ['image-png.plain', '291x184'],
    ['image-heic.plain', '480x552'],
    ['gif-as-document.plain', undef],
    ['sticker-static-webp.plain', '512x512'],
    ['sticker-animated-webp.plain', '512x512'])
{
    my ($name, $size) = @$_;
    my $bytes = slurp(sample($name));
    my ($good) = inspect(sample($name));
    my $was = "$good->{metadata}{width}x$good->{metadata}{height}";

    is($was, $size // $was, "$name: as it was");
    srand 42;

    my @cut = inspect(map { save('cut', substr $bytes, 0, $_) } @cuts,
        map { int length($bytes) * $_ / 100 } 25, 50, 99);
    my @damaged = inspect(map {
        my $copy = $bytes;
        my $range = $_ % 2 && length $copy > 512 ? 512 : length $copy;

        vec($copy, int rand 8 * $range, 1) ^= 1;
        save('flip', $copy);
    } 1 .. FLIPS);

    is(scalar(@cut), 7, "$name: all that were cut");

    # seven bytes may be a text
    $_->{verdict} eq 'ok' && $_->{type} =~ m{^text/}
        and @$_{qw(verdict error)} = ('text', 'no image') for @cut;

    is(scalar(@damaged), FLIPS, "$name: all that were damaged");

    # the first picture of an animation may be there in full
    is(scalar(grep { $_->{verdict} eq 'ok' } @cut[0 .. 5]), 0,
        "$name: of what was cut by half none is good")
        unless $name =~ /gif/;
    is_deeply([map { "$_->{verdict} $_->{error}" } grep {
        $_->{verdict} eq 'failed' || $_->{ms} > 2000
            || ($_->{verdict} ne 'ok' && $_->{error} eq '')
            || ($_->{verdict} eq 'ok' && !$_->{size})
            || ($_->{size} && $_->{preview}{format} !~ /^(?:JPEG|WEBP)$/)
        } @cut, @damaged], [], "$name: a picture or a reason");
}

done_testing();
