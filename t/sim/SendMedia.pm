package SendMedia;

# Copyright (C) ngx_media contributors

# The file of a message that was sent, however it came: its SHA-256, length,
# and what its first bytes say it is.  Its bytes are not kept.

use strict;
use warnings;

use Digest::SHA;
use HTTP::Tiny;
use MIME::Base64;

use constant HEAD => 256 * 1024;        # for the frame header of a JPEG
use constant FETCH_MAX => 136 * 1024 * 1024;


sub new_sink {
    my $sha = Digest::SHA->new(256);
    my ($length, $head) = (0, '');

    return {
        add => sub {
            $sha->add($_[0]);
            $length += length $_[0];
            $head .= substr $_[0], 0, HEAD - length $head
                if length $head < HEAD;
            return $length;
        },
        media => sub {
            return { sha256 => $sha->hexdigest, length => $length,
                magic($head), @_ };
        },
    };
}


# standard alphabet, padded, no line breaks, as class-validator's isBase64

sub from_base64 {
    my ($string, %more) = @_;
    my $next = SendBody::pieces($string);
    my $sink = new_sink();
    my ($rest, $ended, $total) = ('', 0, 0);

    while (defined(my $piece = $next->())) {
        $total += length $piece;
        $rest .= $piece;
        return undef if $rest =~ m!=[^=]|[^A-Za-z0-9+/=]! || $ended;

        my $whole = substr $rest, 0, length($rest) & ~3, '';

        return undef if $whole =~ /===\z/;
        $ended = 1 if $whole =~ /=\z/;
        $sink->{add}->(decode_base64($whole));
    }

    return undef if length $rest || !$total;
    return $sink->{media}->(by => 'base64', %more);
}


sub from_file {
    my ($file, %more) = @_;
    my $sink = new_sink();
    my $buf;

    open my $in, '<:raw', $file or die "$file: $!\n";
    $sink->{add}->($buf) while read $in, $buf, 1024 * 1024;

    return $sink->{media}->(by => 'upload', %more);
}


# GET as the gateways do it; { error, status } if it failed

sub from_link {
    my ($link, $agent) = @_;
    my $sink = new_sink();
    my $http = HTTP::Tiny->new(timeout => 30, max_redirect => 5,
        agent => $agent);
    my $r = $http->get($link, { data_callback => sub {
        die "too large\n" if $sink->{add}->($_[0]) > FETCH_MAX;
    } });

    return { error => $r->{status} == 599 ? $r->{content}
        : "HTTP $r->{status}", status => $r->{status} } unless $r->{success};

    return $sink->{media}->(by => 'link', link => $link,
        header_type => $r->{headers}{'content-type'} // '');
}


# validator's isURL with its defaults: a host with a TLD and no underscore,
# or an IP address

sub is_url {
    my ($s) = @_;

    return 0 if !defined $s || SendBody::is_long($s) || $s =~ /[\s<>]/
        || length $s > 2083;
    return 0 unless $s =~ m!^(?:(?:https?|ftp)://)?(?:[^/?#@]*@)?
        ([^/?#:]+|\[[0-9A-Fa-f:]+\])(?::(\d{1,5}))?(?:[/?#]|$)!x;

    my ($host, $port) = ($1, $2);

    return 0 if defined $port && ($port < 1 || $port > 65535);
    return 1 if $host =~ /^\[/;

    if ($host =~ /^\d+\.\d+\.\d+\.\d+$/) {
        return !grep { $_ > 255 } split /\./, $host;
    }

    my @labels = split /\./, $host, -1;

    return 0 if @labels < 2 || $labels[-1] !~ /^[a-z\x{a1}-\x{ffff}]{2,}$/i;
    return !grep { !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i } @labels;
}


# what the first bytes are: magic, and of some types width, height ...

sub magic {
    my ($h) = @_;

    return jpeg($h) if $h =~ /^\xff\xd8\xff/;

    if ($h =~ /^\x89PNG\r\n\x1a\n/) {
        my ($w, $ht, $depth, $color) = unpack 'x16 N N C C', $h . "\0" x 26;

        return (magic => 'image/png', width => $w, height => $ht,
            rgb8 => $depth == 8 && ($color == 2 || $color == 6) ? 1 : 0);
    }

    return webp($h) if $h =~ /^RIFF.{4}WEBP/s;
    return (magic => 'image/gif') if $h =~ /^GIF8/;
    return (magic => 'audio/wav') if $h =~ /^RIFF.{4}WAVE/s;

    if ($h =~ /^OggS/) {
        my $at = index $h, 'OpusHead';

        return (magic => 'audio/ogg') if $at < 0 || length $h < $at + 16;
        return (magic => 'audio/ogg', codec => 'opus',
            channels => ord(substr $h, $at + 9, 1),
            rate => unpack('V', substr $h, $at + 12, 4));
    }

    if ($h =~ /^.{4}ftyp(.{4})/s) {
        return (magic => $1 =~ /^M4A/ ? 'audio/mp4' : $1 =~ /^3g/
            ? 'video/3gpp' : $1 =~ /^qt/ ? 'video/quicktime' : $1 =~ /^hei|mif1/
            ? 'image/heic' : 'video/mp4');
    }

    return (magic => 'application/pdf') if $h =~ /^%PDF/;
    return (magic => 'application/zip') if $h =~ /^PK\x03\x04/;
    return (magic => 'application/x-ole') if $h =~ /^\xd0\xcf\x11\xe0/;
    return (magic => 'audio/amr') if $h =~ /^#!AMR/;
    return (magic => 'audio/aac') if $h =~ /^\xff[\xf0\xf1\xf8\xf9]/;
    return (magic => 'audio/mpeg') if $h =~ /^(?:ID3|\xff[\xe2-\xef\xf2-\xf7])/;
    return (magic => 'text/plain') if length $h && $h !~ /[\0-\x08\x0e-\x1a]/;
    return (magic => 'application/octet-stream');
}


sub jpeg {
    my ($h) = @_;
    my $at = 2;

    while ($at + 9 < length $h) {
        my ($ff, $marker, $n) = unpack 'C C n', substr $h, $at, 4;

        last if $ff != 0xff;

        if ($marker == 0xff) {
            $at++;
            next;
        }

        # a start of frame; 0xc4, 0xc8 and 0xcc are none
        if (($marker & 0xf0) == 0xc0 && ($marker & 3 || $marker == 0xc0)) {
            my ($depth, $ht, $w, $parts) = unpack 'C n n C',
                substr $h, $at + 4, 6;

            return (magic => 'image/jpeg', width => $w, height => $ht,
                rgb8 => $depth == 8 && $parts == 3 ? 1 : 0);
        }

        $at += 2 + $n;
    }

    return (magic => 'image/jpeg', rgb8 => 0);
}


sub webp {
    my ($h) = @_;
    my $kind = substr $h, 12, 4;
    my %m = (magic => 'image/webp', animated => 0);

    if ($kind eq 'VP8X' && length $h >= 30) {
        $m{animated} = ord(substr $h, 20, 1) & 2 ? 1 : 0;
        $m{width} = 1 + unpack 'V', substr($h, 24, 3) . "\0";
        $m{height} = 1 + unpack 'V', substr($h, 27, 3) . "\0";

    } elsif ($kind eq 'VP8L' && length $h >= 25) {
        my $bits = unpack 'V', substr $h, 21, 4;

        $m{width} = 1 + ($bits & 0x3fff);
        $m{height} = 1 + ($bits >> 14 & 0x3fff);

    } elsif ($kind eq 'VP8 ' && length $h >= 30) {
        my ($w, $ht) = unpack 'v v', substr $h, 26, 4;

        $m{width} = $w & 0x3fff;
        $m{height} = $ht & 0x3fff;
    }

    return %m;
}


# by file name, as mime-types has it, as far as files here need it

my %types = (jpg => 'image/jpeg', jpeg => 'image/jpeg', png => 'image/png',
    gif => 'image/gif', webp => 'image/webp', heic => 'image/heic',
    mp4 => 'video/mp4', '3gp' => 'video/3gpp', mov => 'video/quicktime',
    webm => 'video/webm', ogg => 'audio/ogg', oga => 'audio/ogg',
    opus => 'audio/ogg', mp3 => 'audio/mpeg', m4a => 'audio/mp4',
    aac => 'audio/aac', amr => 'audio/amr', wav => 'audio/wav',
    pdf => 'application/pdf', txt => 'text/plain', csv => 'text/csv',
    json => 'application/json', xml => 'text/xml', html => 'text/html',
    zip => 'application/zip', rar => 'application/vnd.rar',
    '7z' => 'application/x-7z-compressed', rtf => 'application/rtf',
    odt => 'application/vnd.oasis.opendocument.text',
    ods => 'application/vnd.oasis.opendocument.spreadsheet',
    svg => 'image/svg+xml', bmp => 'image/bmp', tif => 'image/tiff',
    tiff => 'image/tiff', md => 'text/markdown', vcf => 'text/vcard',
    ics => 'text/calendar', bin => 'application/octet-stream',
    doc => 'application/msword',
    xls => 'application/vnd.ms-excel', ppt => 'application/vnd.ms-powerpoint',
    docx => 'application/vnd.openxmlformats-officedocument.'
        . 'wordprocessingml.document',
    xlsx => 'application/vnd.openxmlformats-officedocument.'
        . 'spreadsheetml.sheet',
    pptx => 'application/vnd.openxmlformats-officedocument.'
        . 'presentationml.presentation');

sub type_of_name {
    my ($name) = @_;

    return $name =~ /\.([A-Za-z0-9]+)$/ ? $types{ lc $1 } : undef;
}


# whether bytes that look like $magic can be of the type that is said

sub agrees {
    my ($type, $magic) = @_;

    $type = lc $type;
    $type =~ s/\s*;.*//s;

    return 1 if $type eq $magic;
    return 1 if $type =~ m!^(?:audio|video)/(?:mp4|3gpp)$!
        && $magic =~ m!^(?:audio|video)/(?:mp4|3gpp)$!;
    return $magic eq 'application/zip' if $type =~ /openxmlformats|\bepub/;
    return $magic eq 'application/x-ole'
        if $type =~ m!/(?:msword|vnd\.ms-)!;

    # of these little is to be seen in the bytes
    return 1 if $type =~ m!^image/(?:svg|bmp|tiff)|/rtf$|opendocument!;
    return $magic =~ m!^(?:text/plain|application/octet-stream)$!
        if $type =~ m!^text/|/json$|/xml$|octet-stream!;
    return $type !~ m!^(?:image|audio|video)/|/pdf$|/zip$!;
}


1;
