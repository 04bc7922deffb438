package Mp4;

# Copyright (C) ngx_media contributors
#
# Makes large MP4 files of a small one: the chunks of its samples are put
# apart, so that a player that seeks has to ask for other bytes.

use strict;
use warnings;


# Options: gap, bytes between the chunks; last, the index (moov) at the end

sub spread {
    my ($mp4, %o) = @_;
    my %box = boxes($mp4);
    my ($ftyp, $moov) = @box{qw(ftyp moov)};
    my @entries = chunk_entries($moov);
    my %old = map { $_ => 1 } map { unpack 'N', substr $moov, $_, 4 } @entries;
    my @old = sort { $a <=> $b } keys %old;
    my $end = index($mp4, $box{mdat}) + length $box{mdat};
    my $at = length($ftyp) + 8 + ($o{last} ? 0 : length $moov);
    my $mdat = '';
    my %new;

    for my $i (0 .. $#old) {
        my $next = $i < $#old ? $old[$i + 1] : $end;

        $new{$old[$i]} = $at + length $mdat;
        $mdat .= substr $mp4, $old[$i], $next - $old[$i];
        $mdat .= filler($o{gap} || 0, $i);
    }

    for my $entry (@entries) {
        my $offset = unpack 'N', substr $moov, $entry, 4;
        substr $moov, $entry, 4, pack 'N', $new{$offset};
    }

    $mdat = pack('N', 8 + length $mdat) . "mdat$mdat";

    return $ftyp . ($o{last} ? $mdat . $moov : $moov . $mdat);
}


# bytes that differ from place to place

sub filler {
    my ($size, $n) = @_;
    my $line = join '', map { pack 'NN', $n, $_ * 2654435761 % 2 ** 32 }
        1 .. 128;

    return substr $line x (1 + $size / length $line), 0, $size;
}


sub boxes {
    my ($bytes) = @_;
    my %box;

    for (my $at = 0; $at < length $bytes; ) {
        my ($size, $type) = unpack 'Na4', substr $bytes, $at, 8;

        die "box $type of $size bytes\n" if $size < 8;
        $box{$type} = substr $bytes, $at, $size;
        $at += $size;
    }

    return %box;
}


# where in a box with others in it the offsets of chunks (stco) are

sub chunk_entries {
    my ($bytes, $at, $end) = @_;
    my @entries;

    $at = 8 unless defined $at;
    $end = length $bytes unless defined $end;

    while ($at < $end) {
        my ($size, $type) = unpack 'Na4', substr $bytes, $at, 8;

        push @entries, chunk_entries($bytes, $at + 8, $at + $size)
            if $type =~ /^(?:trak|mdia|minf|stbl)$/;

        if ($type eq 'stco') {
            my $n = unpack 'N', substr $bytes, $at + 12, 4;
            push @entries, map { $at + 16 + 4 * $_ } 0 .. $n - 1;
        }

        $at += $size;
    }

    return @entries;
}

1;
