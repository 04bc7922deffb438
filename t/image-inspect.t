#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# What is told of each format of images, and their previews: size, colours,
# transparency, placeholder, no metadata.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(slurp);
use File::Temp qw(tempdir);
use Inspect qw(inspect pixel);
use Job;
use JSON::PP;
use MIME::Base64;
use Rendition qw(sample made save);
use Test::More;

my $dir = tempdir(CLEANUP => 1);

job_or_skip();


sub told {
    my ($name, $file, $type, %expected) = @_;
    my $r = inspect($file);
    my $m = $r->{metadata};

    is($r->{verdict}, $expected{verdict} // 'ok', "$name: understood")
        or diag $r->{error};
    is($r->{type}, $type, "$name: $type");
    is("$m->{width}x$m->{height}", $expected{size}, "$name: its size");
    is($m->{rotation} // 0, $expected{rotation} // 0, "$name: rotation");
    is($m->{frames}, $expected{frames} // 1, "$name: frames");
    is(!!$m->{animated}, ($expected{frames} // 1) > 1, "$name: animated");
    is(!!$m->{alpha}, !!$expected{alpha}, "$name: transparency");
    is($r->{result}, $expected{alpha} ? 'image/webp' : 'image/jpeg',
        "$name: type of its preview");
    is("$r->{preview}{width}x$r->{preview}{height}", $expected{preview},
        "$name: size of its preview");
    is($r->{preview}{format}, $expected{alpha} ? 'WEBP' : 'JPEG',
        "$name: which is one");
    cmp_ok(length decode_base64($m->{placeholder}), '<=', 40,
        "$name: a placeholder");
    like($r->{made_by}, $expected{made_by} // qr{libMagickWand/\d},
        "$name: made by $r->{made_by}");
    return $r;
}


told('JPEG', sample('image-jpeg.plain'), 'image/jpeg', size => '842x788',
    preview => '200x187', made_by => qr{^libjpeg-turbo/\d+\.\d+\.\d+ });
told('PNG', sample('image-png.plain'), 'image/png', size => '291x184',
    preview => '200x126', alpha => 1, made_by => qr{^libpng/1\.});
told('HEIC', sample('image-heic.plain'), 'image/heic', size => '480x552',
    preview => '174x200', made_by => qr{^libheif/1\.});
told('a sticker', sample('sticker-static-webp.plain'), 'image/webp',
    size => '512x512', preview => '200x200', alpha => 1,
    made_by => qr{^libwebp/\d+\.\d+\.\d+ });
told('a sticker that moves', sample('sticker-animated-webp.plain'),
    'image/webp', size => '512x512', preview => '200x200', alpha => 1,
    frames => frames_of('sticker-animated-webp.plain'));
told('GIF', made('gif', qw(convert -size 60x40 xc:red xc:blue xc:lime)),
    'image/gif', size => '60x40', preview => '60x40', frames => 3);



# of several scans, larger and smaller than the preview

for my $size ('1600x1200', '150x100') {
    my ($width, $height) = split /x/, $size;
    my $file = made('jpg', qw(convert -interlace JPEG -size), $size,
        'gradient:#0000ff-#ffffff');
    my $r = told("progressive, $size", $file, 'image/jpeg', size => $size,
        preview => $width > 200 ? '200x150' : $size);
    my @colour = pixel($r->{file}, 50, 10);

    ok($colour[0] < 60 && $colour[2] > 240, "progressive, $size: seen")
        or diag "@colour";
}


# oddities of a head that do not touch the picture; and bytes too many after
# it, which damage leaves, too

{
    my $jpeg = slurp(sample('image-jpeg.plain'));
    my ($soi, $rest) = unpack 'a2 a*', $jpeg;

    for (['a JFIF of the future', $jpeg =~ s/JFIF\0\K\x01/\x09/r],
        ['an unknown transform of Adobe', "$soi\xff\xee\0\x0eAdobe\0d"
            . "\0\0\0\0\x07$rest"],
        ['EXIF that is none', "$soi\xff\xe1\0\x0cExif\0\0hello$rest"],
        ['a profile that is none', "$soi\xff\xe2\0\x15ICC_PROFILE\0\1\1"
            . "hello$rest"],
        ['bytes between metadata', "$soi\xff\xfe\0\x04ab" . "\0" x 9 . $rest],
        ['bytes after the end', $jpeg . "\0" x 99])
    {
        my ($name, $bytes) = @$_;
        my $r = inspect(save('jpg', $bytes));

        is("$r->{verdict} $r->{error}", 'ok ', "$name: no damage");
        is("$r->{preview}{width}x$r->{preview}{height}", '200x187',
            "$name: a preview");
    }

    my $r = inspect(save('jpg', substr($jpeg, 0, -2) . "\0" x 99
        . "\xff\xd9"));

    is($r->{verdict}, 'corrupt', 'bytes before the end: corrupt');
    like($r->{error}, qr/^Corrupt JPEG data: \d+ extraneous bytes before/,
        "bytes before the end: $r->{error}");
    is("$r->{preview}{width}x$r->{preview}{height}", '200x187',
        'bytes before the end: a preview all the same');

    # a JFIF of the future must not hide that there is less of it
    $r = inspect(save('jpg', substr $jpeg =~ s/JFIF\0\K\x01/\x09/r, 0,
        length($jpeg) / 2));
    is("$r->{verdict} $r->{error}", 'corrupt Premature end of JPEG file',
        'both: corrupt');
}

SKIP: {
    my $avif = "$dir/picture.avif";

    skip 'ImageMagick writes no AVIF here', 1
        if system("convert -size 320x160 xc:red $avif 2>$dir/log") != 0
        || !-s $avif;
    told('AVIF', $avif, 'image/avif', size => '320x160',
        preview => '200x100');
}


# ANMF chunks: RFC 9649, 2.7.1.1

sub frames_of { return scalar(() = slurp(sample($_[0])) =~ /ANMF/g) }


# orientation: what one sees

for ([3, '40x20', 180], [6, '20x40', 90], [8, '20x40', 270],
    [5, '20x40', 270], [7, '20x40', 90], [2, '40x20', 0])
{
    my ($orientation, $size, $rotation) = @$_;
    my $exif = "Exif\0\0MM\0\x2a\0\0\0\x08\0\1" . pack('nnNnnN', 0x112, 3, 1,
        $orientation, 0, 0);
    my $plain = slurp(made('jpg', qw(convert -size 40x20 xc:red)));
    my $file = save('jpg', "\xff\xd8\xff\xe1" . pack('n', 2 + length $exif)
        . $exif . substr $plain, 2);

    told("orientation $orientation", $file, 'image/jpeg', size => $size,
        preview => $size, rotation => $rotation);
}


# a profile after ICC.1:2001-04, whose red and blue have changed places

sub s15 { return pack 'N*', map { int(65536 * $_ + 0.5) } @_ }

sub profile {
    my %tags = (
        rXYZ => "XYZ \0\0\0\0" . s15(0.1431, 0.0606, 0.7141),
        gXYZ => "XYZ \0\0\0\0" . s15(0.3851, 0.7169, 0.0971),
        bXYZ => "XYZ \0\0\0\0" . s15(0.4361, 0.2225, 0.0139),
        wtpt => "XYZ \0\0\0\0" . s15(0.9642, 1, 0.8249),
        cprt => "text\0\0\0\0none\0\0\0\0",
        desc => "desc\0\0\0\0" . pack('N', 5) . "test\0" . "\0" x 79,
        map { $_ => "curv\0\0\0\0" . pack 'Nnn', 1, 563, 0 }
            qw(rTRC gTRC bTRC),
    );
    my ($table, $data) = (pack('N', scalar keys %tags), '');

    for my $name (sort keys %tags) {
        $table .= $name . pack 'NN', 132 + 12 * keys(%tags) + length $data,
            length $tags{$name};
        $data .= $tags{$name} . "\0" x (-length($tags{$name}) % 4);
    }

    my $head = pack('x4 x4 N', 0x02400000) . 'mntrRGB XYZ '
        . pack('n6', 2020, 1, 1, 0, 0, 0) . 'acsp' . "\0" x 28
        . s15(0.9642, 1, 0.8249) . "\0" x 48;

    substr($head, 0, 4) = pack 'N', length "$head$table$data";
    return $head . $table . $data;
}

my $icc = save('icc', profile());

for my $suffix (qw(jpg png webp)) {
    my $r = inspect(made($suffix, qw(convert -size 300x200),
        'xc:#e04010', '-quality', 100, '-profile', $icc));
    my @colour = pixel($r->{file}, 100, 60);

    ok(abs($colour[0] - 0x10) < 24 && abs($colour[1] - 0x40) < 12
        && abs($colour[2] - 0xe0) < 12, "$suffix: colours by the profile")
        or diag "@colour";
    like($r->{metadata}{dominant_color}, qr/^#[0-2].[34].[de].$/,
        "$suffix: dominant colour $r->{metadata}{dominant_color}");
    unlike(slurp($r->{file}), qr/ICC_PROFILE|acsp/, "$suffix: no profile");
}

{
    my $r = inspect(made('jpg', qw(convert -size 300x200 xc:red -colorspace
        CMYK)));
    my @colour = pixel($r->{file}, 100, 60);

    ok($colour[0] > 220 && $colour[1] < 40 && $colour[2] < 60,
        'CMYK becomes sRGB') or diag "@colour";
}


# transparency: of a part; none of it, though there could be

{
    my $png = made('png', qw(convert -size 300x300 xc:blue -alpha set
        -region 150x300+0+0 -channel A -evaluate set 0));
    my $r = told('a transparent PNG', $png, 'image/png', size => '300x300',
        preview => '200x200', alpha => 1);

    is((pixel($r->{file}, 20, 100))[3], 0, 'transparent where it was');
    is((pixel($r->{file}, 180, 100))[3], 255, 'and nowhere else');
    is($r->{metadata}{dominant_color}, '#0000ff', 'the colour one sees');
}

told('an opaque PNG with alpha', made('png', qw(convert -size 300x300
    xc:lime -alpha set -define png:color-type=6)), 'image/png',
    size => '300x300', preview => '200x200');


# where a photo was taken is nobody's business

{
    my $jpeg = slurp(sample('image-jpeg.plain'));
    my $exif = "Exif\0\0MM\0\x2a\0\0\0\x08\0\1" . pack('nnNNN', 0x8825, 4, 1,
        26, 0) . "\0\1" . pack('nnNa4N', 1, 2, 2, "N\0", 0) . 'SECRET-PLACE';
    my $xmp = "http://ns.adobe.com/xap/1.0/\0<x>SECRET-PLACE</x>";
    my $r = inspect(save('jpg', "\xff\xd8\xff\xe1", pack('n', 2 + length
        $exif), $exif, "\xff\xe1", pack('n', 2 + length $xmp), $xmp,
        substr $jpeg, 2));

    is($r->{verdict}, 'ok', 'a photo with a place');
    unlike(slurp($r->{file}), qr/Exif|SECRET|xap/, 'of which nothing is left');
}


# placeholders as those of the npm package thumbhash 0.1.1

sub rgba {
    my ($width, $height, $alpha) = @_;

    return join '', map { my $y = $_; map { pack 'C4',
        int(255 * $_ / $width), int(255 * $y / $height), ($_ * $y) % 256,
        $alpha ? int(255 * $_ / $width) : 255 } 0 .. $width - 1 }
        0 .. $height - 1;
}

for (@{ decode_json(slurp('t/data/media/thumbhash.json')) }) {
    my ($width, $height, $alpha, $hash) = @$_;
    my $raw = save('rgba', rgba($width, $height, $alpha));
    my $r = inspect(made('png', 'convert', '-size', "${width}x$height",
        '-depth', 8, "rgba:$raw", '-define', 'png:color-type=6'));

    is($r->{metadata}{placeholder}, $hash, "placeholder of ${width}x$height"
        . ($alpha ? ' with alpha' : ''));
}


# the same of a video, upright, and of the first page of a PDF

{
    my $video = made('mp4', qw(ffmpeg -f lavfi -i color=0x2040c0:s=320x180:d=1
        -pix_fmt yuv420p));
    my $turned = slurp(made('mp4', qw(ffmpeg -f lavfi -i
        color=white:s=320x180:d=1 -vf), 'drawbox=0:0:160:180:0xc02020:fill',
        qw(-pix_fmt yuv420p)));
    my $page = '0.13 0.25 0.75 rg 0 0 200 100 re f';
    my $pdf = save('pdf', "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>"
        . 'endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj 3 0 obj<<'
        . '/Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R>>'
        . 'endobj 4 0 obj<</Length ' . length($page) . ">>stream\n$page\n"
        . "endstream endobj trailer<</Root 1 0 R>>\n");

    for (['a video', $video], ['a PDF', $pdf]) {
        my ($name, $file) = @$_;
        my $r = inspect($file);
        my $same = inspect(made('png', 'convert', $r->{file}));

        is($r->{result}, 'image/jpeg', "$name: a picture");
        like($r->{metadata}{dominant_color}, qr/^#[12].[34].[bc].$/,
            "$name: its colour $r->{metadata}{dominant_color}");
        ok(length decode_base64($r->{metadata}{placeholder}) > 5,
            "$name: a placeholder");
        is(substr(decode_base64($r->{metadata}{placeholder}), 0, 2),
            substr(decode_base64($same->{metadata}{placeholder}), 0, 2),
            "$name: that of its picture");
    }

    # the matrix of the track: a quarter, clockwise
    substr $turned, 44 + index($turned, 'tkhd'), 36, pack 'N9', 0, 0x10000, 0,
        0xffff0000, 0, 0, 0, 0, 0x40000000;
    $turned = save('mp4', $turned);

    # bit 15 of the second header: it is wider than high
    for ([$video, '200x113', 1], [$turned, '113x200', 0]) {
        my ($file, $size, $wide) = @$_;
        my $r = inspect($file);

        is("$r->{preview}{width}x$r->{preview}{height}", $size,
            "a video: $size");
        is(ord(substr decode_base64($r->{metadata}{placeholder}), 4, 1) >> 7,
            $wide, "a video: a placeholder of $size");
    }
}

done_testing();
