#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Small files that want to be huge are refused by their heads, before anything
# is decoded, and the reason names the limit.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Zlib qw(compress crc32 deflateInit Z_OK);
use Inspect qw(inspected);
use Job qw(job_program);
use Ogg;
use PNG;
use Rendition qw(save);
use Test::More;

use constant LIMIT_MS => 50;

my $program = job_program();

plan(skip_all => 'MEDIA_WORKER is not set: run by ./dev test')
    unless $ENV{MEDIA_WORKER};
plan(skip_all => "$program is not built") unless -x $program;

my @bombs = (
    [ 'a PNG of 65535x65535 pixels', png(65535, 65535, 1,
        "\0" x (100 * (1 + 65535 / 8))), qr/pixels/ ],
    [ 'a GIF of 10,000 frames', gif(10_000), qr/frames|pixels/ ],
    [ 'a WebP with a lying canvas', webp(16384, 16384), qr/pixels|readable/ ],
    [ 'a progressive JPEG of 65500x65500 pixels', jpeg(65500, 65500),
        qr/pixels/ ],
    [ 'a docx that expands to 8 GB', docx(8), qr/expand|archive/ ],
    [ 'a PDF whose object stream expands to 4 GB', pdf(),
        qr/expand|stream|object/ ],
    [ 'Ogg with an absurd granule position', ogg(), qr/lasts/ ],
    [ 'MP4 with a moov of 2 GiB', mp4(), qr/moov|atom|index|large|corrupt/ ],
);

# the first one starts the decoder; a busy machine has three tries

my @files = map { save('bomb', $_->[1]) } @bombs;
my @order = (save('warm', png(1, 1, 1, "\0\0")), (@files) x 3);
my @results = inspected(@order);

is(scalar @results, @order, 'each is answered');

for my $i (0 .. $#bombs) {
    my ($name, undef, $reason) = @{ $bombs[$i] };
    my @r = map { $results[$_] } grep { $order[$_] eq $files[$i] }
        0 .. $#results;
    my ($fastest) = sort { $a <=> $b } map { $_->{ms} } @r;

    like($r[0]{verdict}, qr/^(?:refused|corrupt)$/, "$name: is refused")
        or diag("$r[0]{verdict} $r[0]{error}");
    like($r[0]{error}, $reason, "$name: with the reason");
    cmp_ok($fastest // 1e9, '<', LIMIT_MS, "$name: at once");
}

done_testing();


# each of one black pixel, on a canvas of 500x500

sub gif {
    my ($frames) = @_;
    my $frame = "\x21\xf9\x04\x00\x01\x00\x00\x00"
        . "\x2c" . pack('vvvvC', 0, 0, 1, 1, 0) . "\x02\x02\x44\x01\x00";

    return 'GIF89a' . pack('vvCCC', 500, 500, 0x80, 0, 0) . "\0\0\0\xff\xff\xff"
        . $frame x $frames . "\x3b";
}


# VP8X says the canvas; the only image has one pixel (VP8L)

sub webp {
    my ($width, $height) = @_;
    my $vp8l = "\x2f" . pack('V', 0) . "\x88\x88\x08";
    my $body = 'WEBP' . 'VP8X' . pack('V', 10) . pack('C x3', 0)
        . substr(pack('V', $width - 1), 0, 3)
        . substr(pack('V', $height - 1), 0, 3)
        . 'VP8L' . pack('V', length $vp8l) . $vp8l
        . (length($vp8l) % 2 ? "\0" : '');

    return 'RIFF' . pack('V', length $body) . $body;
}


sub jpeg {
    my ($width, $height) = @_;
    my $dqt = "\xff\xdb" . pack('nC', 67, 0) . "\x01" x 64;
    my $sof = "\xff\xc2" . pack('nCnnC', 11, 8, $height, $width, 1)
        . "\x01\x11\x00";
    my $dht = "\xff\xc4" . pack('nC', 20, 0) . "\x01" . "\0" x 15 . "\0";
    my $sos = "\xff\xda" . pack('nC', 8, 1) . "\x01\x00\x00\x00\x00"
        . "\0" x 64;

    return "\xff\xd8" . $dqt . $sof . $dht . $sos x 10 . "\xff\xd9";
}


# a directory of members, the last of which says that it has gigabytes

sub docx {
    my ($gigabytes) = @_;
    my @members = (
        [ '[Content_Types].xml', '<?xml version="1.0"?><Types xmlns="http://'
            . 'schemas.openxmlformats.org/package/2006/content-types">'
            . '<Override PartName="/word/document.xml" ContentType="'
            . 'application/vnd.openxmlformats-officedocument.wordprocessingml'
            . '.document.main+xml"/></Types>' ],
        map { [ "word/media/$_.xml", zeros(1024) ] } 1 .. $gigabytes
    );
    my ($zip, $directory) = ('', '');

    for my $member (@members) {
        my ($name, $data) = @$member;
        my ($method, $size, $bytes, $crc) = ref $data
            ? (8, @$data) : (0, length $data, $data, crc32($data));
        my $head = pack 'vvvvvVVVvv', 20, 0, $method, 0, 0x21, $crc,
            length $bytes, $size, length $name, 0;

        $directory .= "PK\x01\x02" . pack('v', 20) . $head
            . pack('vvvVV', 0, 0, 0, 0, length $zip) . $name;
        $zip .= "PK\x03\x04" . $head . $name . $bytes;
    }

    return $zip . $directory . "PK\x05\x06" . pack('vvvvVVv', 0, 0,
        scalar @members, scalar @members, length $directory, length $zip, 0);
}


# so many megabytes of zeros, deflated: size, bytes, CRC

my %zeros;

sub zeros {
    my ($megabytes) = @_;

    return $zeros{$megabytes} //= do {
        my ($z) = deflateInit(-WindowBits => -15, -Level => 9);
        my ($block, $out, $crc) = ("\0" x 2 ** 20, '', 0);

        for (1 .. $megabytes) {
            my ($part, $status) = $z->deflate($block);

            die "deflate: $status\n" unless $status == Z_OK;
            $out .= $part;
            $crc = crc32($block, $crc);
        }

        $out .= ($z->flush)[0];
        [ $megabytes * 2 ** 20, $out, $crc ];
    };
}


# the catalog is in an object stream, which is deflated twice

sub pdf {
    my $twice = compress(compress("\0" x 2 ** 26) x 64);
    my $pdf = "%PDF-1.5\n1 0 obj\n<< /Type /ObjStm /N 2 /First 10 /Filter "
        . '[ /FlateDecode /FlateDecode ] /Length ' . length($twice)
        . " >>\nstream\n$twice\nendstream\nendobj\n";
    my $at = length $pdf;
    my $table = pack '(Cnn)4', 0, 0, 0xffff, 1, 9, 0, 2, 1, 0, 2, 1, 1;

    return $pdf . "4 0 obj\n<< /Type /XRef /Size 4 /Root 2 0 R /W [ 1 2 2 ] "
        . '/Length ' . length($table) . " >>\nstream\n$table\nendstream\n"
        . "endobj\nstartxref\n$at\n%%EOF\n";
}


# Opus, whose last page says that it is years long

sub ogg {
    my $head = 'OpusHead' . pack 'CCvVvC', 1, 1, 0, 48000, 0, 0;
    my $tags = 'OpusTags' . pack 'V/a* V', 'x', 0;

    return ogg_page(2, 0, 0, $head) . ogg_page(0, 0, 1, $tags)
        . ogg_page(4, 2 ** 62, 2, "\xf8\xff\xfe");
}


sub mp4 {
    return pack('N a4 a4 N a4', 20, 'ftyp', 'isom', 0, 'isom')
        . pack('N a4', 2 ** 31, 'moov') . pack('N a4 x100', 108, 'mvhd')
        . "\0" x 4096;
}
