#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Audio and video that lie, that are cut or damaged: refused with a reason, or
# corrupt, or what they are; the decoder process survives them all.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(slurp);
use Inspect qw(inspected);
use Job;
use List::Util qw(min);
use Ogg;
use Rendition;
use Test::More;

job_or_skip();


# a number of 32 bits in each box of that name, so far from its name

sub patched {
    my ($mp4, %boxes) = @_;

    for my $box (keys %boxes) {
        my ($offset, $value) = @{ $boxes{$box} };

        for (my $at = index $mp4, $box; $at != -1;
            $at = index $mp4, $box, $at + 4)
        {
            substr $mp4, $at + $offset, 4, pack 'N', $value;
        }
    }

    return $mp4;
}


# the last page says that so many samples have been played

sub lying_ogg {
    my ($ogg, $granule) = @_;
    my $at = rindex $ogg, 'OggS';
    my $page = substr $ogg, $at;

    substr $page, 6, 8, pack 'Q<', $granule;
    return substr($ogg, 0, $at) . ogg_sealed($page);
}


my $mp4 = slurp(sample('media/clip.mp4'));
my $ogg = slurp(sample('media/voice.ogg'));
my $ftyp = substr $mp4, 0, unpack 'N', $mp4;
my $too_long = qr/^it says that it lasts \d+ s, of 14400 at most$/;
my $lacks = qr/^it says that it lasts 3600 s, but has (?:8|12) s$/;

# of the head and the samples, libavformat believed the head before 61

my ($tools) = inspected(sample('media/clip.mp4'));
my $believed = $tools->{made_by} =~ m{libavformat/(\d+)} ? $1 < 61 : die;

my @lies = (
    ['an index of 2 GiB', $ftyp . pack('N', 2 ** 31) . 'moov' . "\0" x 200,
        'refused', qr/^its index has 2048 MB, of 64 at most$/],
    ['one of 2^62 bytes', $ftyp . pack('N', 1) . 'moov'
        . pack('Q>', 2 ** 62) . "\0" x 200, 'refused',
        qr/^its index has \d+ MB, of 64 at most$/],
    ['an MP4 of 49 days', patched($mp4, mvhd => [20, 2 ** 32 - 16],
        tkhd => [24, 2 ** 32 - 16], mdhd => [20, 2 ** 32 - 16]),
        $believed ? ('refused', $too_long) : ('ok', qr/^$/)],
    ['an MP4 of an hour', patched($mp4, mvhd => [20, 3600000]),
        $believed ? ('corrupt', $lacks) : ('ok', qr/^$/)],
    ['an MP4 whose samples last for days', patched($mp4,
        mdhd => [20, 2 ** 32 - 16], elst => [12, 2 ** 31 - 1],
        stts => [16, 2 ** 30]), 'refused', $too_long],
    ['granule 2^62', lying_ogg($ogg, 2 ** 62), 'refused', $too_long],
    ['granule 2^61', lying_ogg($ogg, 2 ** 61), 'refused', $too_long],
    ['an Ogg of an hour', lying_ogg($ogg, 48000 * 3600), 'corrupt', $lacks],
    ['pixels', patched($mp4, avc1 => [28, 0xfff0fff0]), 'refused',
        qr/^it has 65520x65520 pixels, 209715200 at most$/],
    ['a picture of a size of its own', patched($mp4, avc1 => [28, 0x00100010]),
        'ok', qr/^$/],
    ['an index and nothing else', substr($mp4, 0, index($mp4, 'mdat') + 4)
        . "\0" x 100, 'corrupt', qr/./],
    ['an empty Ogg', substr($ogg, 0, index $ogg, 'OggS', 60), 'corrupt', qr/./],
);

# the first answer has the time of the process' start
my ($first, @results) = inspected(sample('media/clip.mp4'),
    map { save('lie', $_->[1]) } @lies);

is("$first->{verdict} $first->{error}", 'ok ', 'the file itself is good');

for my $lie (@lies) {
    my ($name, $bytes, $verdict, $error) = @$lie;
    my $r = shift @results;

    is($r->{verdict}, $verdict, "$name: $verdict");
    like($r->{error}, $error, "$name: why");
    is($r->{size}, 0, "$name: no picture") if $verdict eq 'refused';
    is($r->{metadata}{inspection}, $verdict eq 'ok' ? undef : $verdict,
        "$name: is recorded");
    is($r->{metadata}{duration}, 8, "$name: as long as it is")
        if $verdict eq 'ok';
}

# a machine that has other work is no slower at all of five
{
    my @refused = grep { $_->[2] eq 'refused' } @lies;

    for my $lie (@refused) {
        my (undef, @same) = inspected(sample('media/clip.mp4'),
            (save('lie', $lie->[1])) x 5);

        cmp_ok(min(map { $_->{ms} } @same), '<=', 50, "$lie->[0]: in 50 ms");
    }
}


# cut and damaged

sub damaged {
    my ($bytes, $n) = @_;

    for my $flip (1 .. 4) {
        my $range = $n % 2 ? min(600, length $bytes) : length $bytes;

        vec($bytes, int rand 8 * $range, 1) ^= 1;
    }

    return $bytes;
}

for my $file ('media/clip.mp4', 'media/vp9.mp4', 'media/hevc.mp4',
    'media/voice.ogg', 'media/voice.webm', 'audio-mp3.plain',
    'audio-m4a.plain', 'video-mp4.plain')
{
    my $bytes = slurp(sample($file));
    my $size = length $bytes;

    srand 42;

    my @bad = ((map { substr $bytes, 0, $_ } 0, 1, 7, 12, int $size / 4,
        int $size / 2, int $size * 0.99), map { damaged($bytes, $_) } 1 .. 40);
    my @all = inspected(map { save('bad', $_) } $bytes, @bad, $bytes);
    my %verdicts;

    $verdicts{"$_->{verdict}"}++ for @all;
    is(scalar @all, @bad + 2, "$file: the worker's process survives");
    is("$_->{verdict} $_->{error}", 'ok ', "$file: as it was")
        for @all[0, -1];
    isnt($all[$_]{verdict}, 'ok', "$file: $_ cut") for 1 .. 4;
    is($verdicts{failed} // 0, 0, "$file: the decoder survives");
    is(scalar(grep { $_->{error} =~ /[^ -~]/
        || ($_->{verdict} ne 'ok') != ($_->{error} ne '') } @all), 0,
        "$file: a reason for each");
    cmp_ok((sort { $b <=> $a } map { $_->{ms} } @all)[0], '<', 10000,
        "$file: none takes long");

    # of what is cut nothing is told that is not there
    my ($long) = $all[0]{metadata}{duration};

    is(scalar(grep { $_->{verdict} eq 'ok'
        && ($_->{metadata}{duration} // 0) > $long + 0.1 } @all[1 .. 7]), 0,
        "$file: not longer than it was");
    is($all[$_]{verdict}, 'corrupt', "$file: its end is missing")
        for $file =~ /mp4$|m4a|video/ ? (5, 6, 7) : ();
    note join ' ', map { "$_ $verdicts{$_}" } sort keys %verdicts;
}

done_testing();
