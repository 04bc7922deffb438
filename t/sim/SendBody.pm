package SendBody;

# Copyright (C) ngx_media contributors

# Bodies of any size in bounded memory: they go to a file; long strings of
# JSON, which are base64, and the files of multipart/form-data go to files of
# their own.

use strict;
use warnings;

use JSON::PP;

use constant CHUNK => 1024 * 1024;
use constant LONG => 64 * 1024;         # a longer string of JSON goes to a file
use constant TEXT_MAX => 8 * 1024 * 1024;

my $utf8 = JSON::PP->new->utf8;


# reads the body of a request into a file; its size, or undef

sub spool {
    my ($c, $h, $file, $max) = @_;
    my $chunked = lc($h->{'transfer-encoding'} // '') eq 'chunked';

    open my $out, '>:raw', $file or die "$file: $!\n";

    unless ($chunked) {
        my $size = $h->{'content-length'} // 0;

        return undef if $size > $max || !copy($c, $out, $size);
        close $out;
        return $size;
    }

    my $total = 0;

    while (defined(my $line = <$c>)) {
        my ($n) = $line =~ /^([0-9A-Fa-f]{1,8})/ or return undef;

        $n = hex $n;
        $total += $n;

        return undef if $total > $max || !copy($c, $out, $n);

        <$c>;

        next if $n;

        close $out;
        return $total;
    }

    return undef;
}


sub copy {
    my ($in, $out, $n) = @_;
    my $buf;

    while ($n > 0) {
        my $got = read $in, $buf, $n > CHUNK ? CHUNK : $n;

        return 0 unless $got;
        print $out $buf;
        $n -= $got;
    }

    return 1;
}


# the value of a file of JSON; dies if it is none.  A long string becomes
# "\x01FILE".

sub json {
    my ($file) = @_;
    my ($text, $buf, $serial, $s) = ('', '', 0);

    open my $in, '<:raw', $file or die "$file: $!\n";

    while (read $in, $buf, CHUNK, length $buf) {
        pos($buf) = 0;

        while (pos($buf) < length $buf) {
            if (!$s) {
                $buf =~ /\G([^"]*)("?)/gc;
                $text .= $1 . $2;
                $s = { file => "$file." . ++$serial, text => '' } if $2;
                die "too long\n" if length $text > TEXT_MAX;

            } elsif ($buf =~ /\G([^"\\]+|\\.)/gcs) {
                $s->{text} .= $1;
                flush_long($s) if length $s->{text} > LONG;

            } elsif ($buf =~ /\G"/gc) {
                if ($s->{out}) {
                    flush_long($s);
                    close $s->{out};
                    $s->{text} = '\u0001' . $s->{file};
                }

                $text .= $s->{text} . '"';
                undef $s;

            } else {
                last;           # half an escape
            }
        }

        $buf = substr $buf, pos($buf) // 0;
    }

    die "unterminated string\n" if $s;

    return $utf8->decode($text);
}


sub flush_long {
    my ($s) = @_;

    unless ($s->{out}) {
        open $s->{out}, '>:raw', $s->{file} or die "$s->{file}: $!\n";
    }

    $s->{text} =~ s!\\/!/!g;
    print { $s->{out} } $s->{text};
    $s->{text} = '';
}


sub is_long { return defined $_[0] && !ref $_[0] && $_[0] =~ /^\x01/ }


# a sub that gives the string piece by piece, undef at its end

sub pieces {
    my ($string) = @_;

    unless (is_long($string)) {
        my @rest = ($string);

        return sub { return shift @rest };
    }

    open my $in, '<:raw', substr $string, 1 or die "$string: $!\n";

    return sub {
        my $n = read $in, my $buf, CHUNK;

        return $n ? $buf : undef;
    };
}


# The parts of multipart/form-data: { name, filename, type, value or file and
# size }; a part with a filename goes to a file.  undef if malformed.

sub multipart {
    my ($file, $content_type) = @_;
    my ($boundary) = $content_type =~ /boundary="?([^";]{1,70})"?/
        or return undef;
    my ($buf, $serial, @parts) = ("\r\n", 0);
    my $mark = "\r\n--$boundary";

    open my $in, '<:raw', $file or die "$file: $!\n";
    read $in, $buf, CHUNK, 2;
    return undef unless substr($buf, 0, length $mark) eq $mark;
    substr $buf, 0, length $mark, '';

    while (1) {
        return @parts ? \@parts : undef if $buf =~ /^--(?:\r\n)?$/;

        my $end = index $buf, "\r\n\r\n";

        return undef if $end < 0 || substr($buf, 0, 2) ne "\r\n";

        my $head = substr $buf, 0, $end + 4, '';
        my %part = (type => $head =~ /^content-type:\s*(.*?)\r$/mi ? $1 : '');

        $part{name} = $1 if $head =~ /[ ;]name="([^"]*)"/i;
        $part{filename} = $1 if $head =~ /filename="([^"]*)"/i;
        return undef unless defined $part{name};

        my $out = part_output(\%part, "$file.part" . ++$serial);

        until (($end = index $buf, $mark) >= 0) {
            my $keep = length $mark;

            print $out substr $buf, 0, length($buf) - $keep, ''
                if length $buf > $keep;
            read $in, $buf, CHUNK, length $buf or return undef;
        }

        print $out substr $buf, 0, $end, '';
        close $out;
        $part{size} = -s $part{file} if $part{file};
        substr $buf, 0, length $mark, '';
        push @parts, \%part;

        read $in, $buf, CHUNK, length $buf if length $buf < 4096;
    }
}


sub part_output {
    my ($part, $file) = @_;
    my $out;

    if (defined $part->{filename}) {
        $part->{file} = $file;
        open $out, '>:raw', $file or die "$file: $!\n";

    } else {
        $part->{value} = '';
        open $out, '>', \$part->{value};
    }

    return $out;
}


1;
