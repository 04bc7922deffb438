package Ogg;

# Copyright (C) ngx_media contributors

# Pages of Ogg files, RFC 3533.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(ogg_page ogg_sealed);


# a page of one segment, of the stream 1

sub ogg_page {
    my ($flags, $granule, $number, $data) = @_;

    return ogg_sealed('OggS' . pack('CCQ<VVVCC', 0, $flags, $granule, 1,
        $number, 0, 1, length $data) . $data);
}


# the page with its checksum: polynomial 04c11db7, from 0, nothing is reversed

sub ogg_sealed {
    my ($page) = @_;
    my $crc = 0;

    substr $page, 22, 4, "\0" x 4;

    for my $byte (unpack 'C*', $page) {
        $crc ^= $byte << 24;
        $crc = ($crc & 0x80000000 ? $crc << 1 ^ 0x04c11db7 : $crc << 1)
            & 0xffffffff for 1 .. 8;
    }

    substr $page, 22, 4, pack 'V', $crc;
    return $page;
}

1;
