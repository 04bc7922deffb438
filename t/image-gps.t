#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A picture that says where it was taken is sent without metadata, the same
# otherwise; its original stays.  Any other goes as it is, byte for byte, and
# what is converted has no metadata at all.

use strict;
use warnings;

use lib 't/lib';

use Compress::Zlib qw(compress crc32);
use Digest::SHA qw(sha256_hex);
use E2E qw(env_or_skip sql sql_row slurp unique_id wait_until);
use Inspect qw(inspect);
use Job;
use Rendition;
use SendSim;
use Test::More;
use Upload;
use Worker;

env_or_skip();
worker_or_skip();
job_or_skip();

my $phone = slurp(sample('image-jpeg-progressive-exif.plain'));
my $xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www'
    . '.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:exif="http://'
    . 'ns.adobe.com/exif/1.0/" exif:GPSLatitude="23,33.2S" '
    . 'exif:GPSLongitude="46,38.2W"/></rdf:RDF></x:xmpmeta>';


# EXIF 2.3, 4.6: IFD 0 with the maker and which side is up, and another one
# with the place

sub exif {
    my (%opt) = @_;
    my @tags = ([0x10f, 2, 4, 'ABC'], [0x112, 3, 1,
        pack 'n', $opt{orientation} // 1]);
    my $gps = 8 + 2 + 12 * 3 + 4;
    my $place = $gps + 2 + 12 * 4 + 4;

    push @tags, [0x8825, 4, 1, pack 'N', $gps] if $opt{gps};

    my $exif = "MM\0\x2a" . pack('N', 8) . ifd(@tags);

    $exif .= ifd([1, 2, 2, 'S'], [2, 5, 3, pack 'N', $place],
        [3, 2, 2, 'W'], [4, 5, 3, pack 'N', $place + 24])
        . pack 'N12', 23, 1, 33, 1, 1234, 100, 46, 1, 38, 1, 1500, 100
        if $opt{gps};
    return $exif;
}

sub ifd {
    return pack 'n (a12)* x4', scalar @_, map { pack 'nnNa4', @$_ } @_;
}


sub segment {
    my ($marker, $bytes) = @_;

    return "\xff" . chr($marker) . pack('n', 2 + length $bytes) . $bytes;
}


# a JPEG with segments after its SOI

sub jpeg {
    my ($jpeg, @segments) = @_;

    return save('jpg', substr($jpeg, 0, 2), @segments, substr $jpeg, 2);
}


# a PNG with a chunk before IDAT or IEND

sub png {
    my ($png, $before, $name, $data) = @_;
    my $at = index($png, $before) - 4;

    substr $png, $at, 0, pack('N', length $data) . $name . $data
        . pack 'N', crc32($name . $data);
    return save('png', $png);
}


# a WebP in the extended form, with chunks at its end; flags: RFC 9649, 2.7

sub webp {
    my ($webp, $flags, %chunks) = @_;
    my $body = substr $webp, 12;

    if (substr($body, 0, 4) eq 'VP8X') {
        vec($body, 8, 8) |= $flags;
    } else {
        $body = 'VP8X' . pack('VCx3', 10, $flags | 0x10)
            . substr(pack('V', 511), 0, 3) x 2 . $body;
    }

    $body .= $_ . pack('V', length $chunks{$_}) . $chunks{$_}
        . "\0" x (length($chunks{$_}) & 1) for sort keys %chunks;
    return save('webp', 'RIFF', pack('V', 4 + length $body), 'WEBP', $body);
}


sub pixels {
    my ($file) = @_;

    open my $p, '-|', 'convert', $file, '-auto-orient', '-depth', 8, 'rgba:-'
        or die "convert: $!\n";
    binmode $p;
    local $/;

    return scalar <$p>;
}


# what is sent of it; the pixels are those of the original, if that is possible

sub stripped {
    my ($name, $file, $type, $kind, $pixels, %opt) = @_;
    my $id = stored($file, $type);
    my ($key) = sql_row('SELECT storage_key FROM media.message_attachments '
        . "WHERE id = '$id'");
    my $r = rendition($id, 'cloudapi', $kind);
    my $bytes = object($r->{key});
    my $sent = save('sent', $bytes);
    my ($told, $again) = inspect($file, $sent);

    is($told->{metadata}{gps}, JSON::PP::true, "$name: its place is told");
    is($r->{result}, 'ok', "$name: can be sent") or diag $r->{error};
    isnt($r->{key}, $key, "$name: not as it is");
    ok(object($key) eq slurp($file), "$name: the original is kept");
    is(length $bytes, $r->{size}, "$name: in full");
    is($again->{verdict}, 'ok', "$name: a good one") or diag $again->{error};
    is($again->{metadata}{gps}, undef, "$name: without its place");
    unlike($bytes, qr/GPS|ABC\0|Phone|xmpmeta/, "$name: nor anything else");

    if ($pixels) {
        is($again->{type}, $type, "$name: its type");
        ok(pixels($sent) eq pixels($file), "$name: the same pixels");
        is($again->{metadata}{frames}, $told->{metadata}{frames},
            "$name: each frame");
    }

    return { %$r, bytes => $bytes, info => identify($bytes) };
}


sub as_is {
    my ($name, $file, $type, $kind) = @_;
    my $id = stored($file, $type);
    my ($key) = sql_row('SELECT storage_key FROM media.message_attachments '
        . "WHERE id = '$id'");
    my $r = rendition($id, 'cloudapi', $kind);

    is(inspect($file)->{metadata}{gps}, undef, "$name: no place is told")
        if $kind ne 'document';
    is("$r->{result} $r->{key}", "ok $key", "$name: as it is");
}


# photos

my $plain = slurp(made('jpg', qw(convert -seed 3 -size 320x200
    plasma:red-blue -strip -quality 92)));
my $grey = slurp(made('jpg', qw(convert -seed 3 -size 320x200 plasma:
    -colorspace Gray -strip)));
my $odd = slurp(made('jpg', qw(convert -seed 3 -size 321x203 plasma:
    -sampling-factor 2x2 -strip)));
my $with_gps = "Exif\0\0" . exif(gps => 1);

{
    my $r = stripped("a phone's", sample('image-jpeg-progressive-exif.plain'),
        'image/jpeg', 'image', 1);

    is($r->{info}{exif}, "exif:Orientation=6\n", "a phone's: stays upright");
    like($r->{bytes}, qr/\xff\xc2/, "a phone's: stays progressive");
    is($r->{extension}, 'jpg', "a phone's: its extension");
}

for my $orientation (1, 3, 8) {
    my $r = stripped("orientation $orientation", jpeg($plain, segment(0xe1,
        "Exif\0\0" . exif(gps => 1, orientation => $orientation))),
        'image/jpeg', 'image', 1);

    is($r->{info}{exif}, $orientation == 1 ? ''
        : "exif:Orientation=$orientation\n", 'that is all of EXIF');
}

stripped('grey', jpeg($grey, segment(0xe1, $with_gps)), 'image/jpeg',
    'image', 1);
stripped('odd edges', jpeg($odd, segment(0xe1, $with_gps)), 'image/jpeg',
    'image', 1);
stripped('XMP', jpeg($plain, segment(0xe1, "http://ns.adobe.com/xap/1.0/\0"
    . $xmp)), 'image/jpeg', 'image', 1);
stripped('a second EXIF', jpeg($plain, segment(0xe1, "Exif\0\0" . exif()),
    segment(0xe1, $with_gps)), 'image/jpeg', 'image', 1);

{
    my $icc = "ICC_PROFILE\0\1\1" . 'a profile that is none';
    my $r = stripped('a profile', jpeg($plain, segment(0xe1, $with_gps),
        segment(0xe2, $icc), segment(0xe2, "MPF\0ABC\0"),
        segment(0xed, "Photoshop 3.0\0ABC\0"), segment(0xfe, "ABC\0")),
        'image/jpeg', 'image', 1);

    like($r->{bytes}, qr/\Q$icc\E/, 'a profile: that of colours stays');
    unlike($r->{bytes}, qr/MPF|Photoshop/, 'a profile: and no other');
}

as_is('no EXIF', save('jpg', $plain), 'image/jpeg', 'image');
as_is('EXIF without a place', jpeg($plain, segment(0xe1, "Exif\0\0"
    . exif(orientation => 6))), 'image/jpeg', 'image');
as_is('EXIF that is none', jpeg($plain, segment(0xe1, "Exif\0\0" . 'MM')),
    'image/jpeg', 'image');
as_is('a document', jpeg($plain, segment(0xe1, $with_gps)), 'image/jpeg',
    'document');

{
    my $id = stored(save('jpg', "\xff\xd8", segment(0xe1, $with_gps),
        substr($plain, 2, 300)), 'image/jpeg');
    my $r = rendition($id, 'cloudapi', 'image');

    is($r->{result}, 'refused', 'damaged, with a place: not sent');
    is(rendition(stored(save('jpg', "\xff\xd8", substr $plain, 2, 300),
        'image/jpeg'), 'cloudapi', 'image')->{result}, 'ok',
        'damaged, without: sent');
}


# PNG: that of ImageMagick's own, and of others

{
    my $png = slurp(made('png', qw(convert -seed 3 -size 320x200 plasma:
        -depth 8 -strip)));
    my $hex = "\nexif\n" . sprintf('%8d', length $with_gps) . "\n"
        . (unpack('H*', $with_gps) =~ s/(.{72})/$1\n/gr) . "\n";
    my %chunks = (eXIf => exif(gps => 1),
        iTXt => "XML:com.adobe.xmp\0\0\0\0\0$xmp",
        tEXt => "exif:GPSLatitude\x00023/1, 33/1, 1234/100",
        zTXt => "Raw profile type exif\0\0" . compress($hex));

    for my $name (sort keys %chunks) {
        for my $before (qw(IDAT IEND)) {
            my $r = stripped("$name before $before", png($png, $before, $name,
                $chunks{$name}), 'image/png', 'image', 0);

            is("$r->{type} $r->{info}{width}x$r->{info}{height}",
                'image/jpeg 320x200', "$name before $before: a JPEG");
            is($r->{info}{exif}, '', "$name before $before: no EXIF");
        }
    }

    as_is('a PNG', save('png', $png), 'image/png', 'image');
    as_is('a PNG with EXIF', png($png, 'IDAT', 'eXIf', exif()), 'image/png',
        'image');
    as_is('a PNG with a text', png($png, 'IEND', 'tEXt', "Title\0GPS"),
        'image/png', 'image');
}


# stickers

{
    my $still = slurp(made('webp', qw(convert -seed 3 -size 512x512 plasma:
        -strip -quality 60)));
    my $moves = slurp(sample('sticker-animated-webp.plain'));

    stripped('a sticker', webp($still, 8, 'EXIF' => exif(gps => 1)),
        'image/webp', 'sticker', 1);
    stripped('a sticker with XMP', webp($still, 4, 'XMP ' => $xmp),
        'image/webp', 'sticker', 1);
    stripped('a sticker that moves', webp($moves, 8,
        'EXIF' => "Exif\0\0" . exif(gps => 1)), 'image/webp', 'sticker', 1);
    as_is('a sticker with EXIF', webp($still, 8, 'EXIF' => exif()),
        'image/webp', 'sticker');
}


# what is converted anyway

{
    my @all = (segment(0xe1, $with_gps), segment(0xe1,
        "http://ns.adobe.com/xap/1.0/\0$xmp"),
        segment(0xed, "Photoshop 3.0\0ABC\0"), segment(0xfe, "ABC\0"));
    my $large = slurp(made('jpg', qw(convert -seed 1 -size 1600x800 plasma:
        +noise Gaussian -quality 97 -strip)));

    for (['a large photo', jpeg($large, @all), 'image/jpeg', 'image'],
        ['a CMYK', jpeg(slurp(made('jpg', qw(convert -size 50x50 xc:red
            -strip -colorspace CMYK))), @all), 'image/jpeg', 'image'],
        ['a photo as sticker', jpeg($plain, @all), 'image/jpeg', 'sticker'],
        ['a WebP', webp(slurp(made('webp', qw(convert -size 512x512 xc:red))),
            12, 'EXIF' => exif(gps => 1), 'XMP ' => $xmp), 'image/webp',
            'image'])
    {
        my ($name, $file, $type, $kind) = @$_;
        my $r = stripped($name, $file, $type, $kind, 0);

        is($r->{info}{exif}, '', "$name: no EXIF");
    }
}


# what the provider gets

{
    my $tenant = tenant();
    my $to = '5511987654321';
    my %files = (place => $phone, none => slurp(jpeg($plain, segment(0xe1,
        "Exif\0\0" . exif(orientation => 6)))));

    send_reset();
    sim_webhooks(evolution => $ENV{EVOLUTION_WEBHOOK_URL},
        wapi => $ENV{WAPI_WEBHOOK_URL}, cloudapi => $ENV{CLOUDAPI_WEBHOOK_URL},
        app_secret => $ENV{CLOUDAPI_APP_SECRET});

    for my $provider (qw(cloudapi evolution wapi)) {
        my $i = instance($tenant, $provider);

        sql('UPDATE media.conversations SET last_customer_message_at = now() '
            . "WHERE id = $i->{conversation}");

        for my $name (sort keys %files) {
            my $c = claims($i, $files{$name}, kind => 'image',
                file_name => "$name.jpg");
            my $etag = put_file($c->{upload_key}, $files{$name});

            publish('media', 'media_send', job_of('upload_complete', $c,
                etag => $etag, idempotency_key => "$i->{name}-$name"));

            wait_until(60, sub { (sql_row('SELECT count(*) FROM media.sends '
                . "WHERE attachment_id = '$c->{attachment_id}' AND state IN "
                . "('accepted', 'sent', 'delivered', 'read', 'failed')"))[0] });

            my ($m) = grep { $_->{kind} eq 'image' }
                (sends(instance => $i->{name}))[-1];
            my ($key, $sent, $gps) = sql_row("SELECT storage_key, metadata->"
                . "'renditions'->'image'->>'key', metadata->>'gps' FROM "
                . "media.message_attachments WHERE id = "
                . "'$c->{attachment_id}'");

            is($m->{media}{sha256}, sha256_hex(object($sent)),
                "$provider, $name: what was received");
            ok(object($key) eq $files{$name},
                "$provider, $name: the original is kept");

            if ($name eq 'none') {
                is($m->{media}{sha256}, sha256_hex($files{$name}),
                    "$provider, $name: byte for byte");
                is($gps, '', "$provider, $name: no place is recorded");
                next;
            }

            my $got = inspect(save('got', object($sent)));

            is($gps, 'true', "$provider, $name: that there was is recorded");
            is($got->{metadata}{gps}, undef, "$provider, $name: without it");
            ok(pixels($got->{file}) ne '', "$provider, $name: a picture");
        }
    }

    sim_webhooks();
}

done_testing();
