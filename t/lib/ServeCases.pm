package ServeCases;

# Copyright (C) ngx_media contributors
#
# The table of cases of RFC 9110 that every tier answers alike.  A row is
#
#     method | request headers | outcome | least size of the object
#
# with "GET+HEAD" for one row of each.  In headers, $etag, $date, $before and
# $after are the object's tag, its Last-Modified, an earlier and a later date;
# an expression in {} is a number, n being the size.  The outcome is
#
#     200            the whole object
#     206 a-b        that range; 206 a-b,c-d is multipart/byteranges
#     304, 412, 416  as the RFC says
#
# and "/ outcome" at its end is what an S3 server says directly, if that is
# something else.  Without a least size the object is to have a byte.  A line
# that ends in a backslash goes on in the next one.

use strict;
use warnings;

use Exporter qw(import);
use HTTP::Date qw(time2str str2time);

our @EXPORT_OK = qw(applies cases expand verdict);

my @table = split /\n/, <<'END' =~ s/\\\n +//gr;
# plain
GET+HEAD | | 200 | 0
GET+HEAD | Accept-Encoding: gzip | 200 | 0
GET+HEAD | Cache-Control: no-cache | 200 | 0
GET+HEAD | Cookie: a=b | 200 | 0
GET+HEAD | Accept: image/*;q=0.1 | 200 | 0

# one range
GET | Range: bytes=0-0 | 206 0-0
GET | Range: bytes=0-99 | 206 0-99 | 100
GET | Range: bytes=1-1 | 206 1-1 | 2
GET | Range: bytes=100-199 | 206 100-199 | 200
GET | Range: bytes=0- | 206 0-{n-1}
GET | Range: bytes=1- | 206 1-{n-1} | 2
GET | Range: bytes={n-1}- | 206 {n-1}-{n-1}
GET | Range: bytes={n-1}-{n-1} | 206 {n-1}-{n-1}
GET | Range: bytes={n-2}-{n-1} | 206 {n-2}-{n-1} | 2
GET | Range: bytes={n-2}-{n} | 206 {n-2}-{n-1} | 2
GET | Range: bytes=0-{n-1} | 206 0-{n-1}
GET | Range: bytes=0-{n} | 206 0-{n-1}
GET | Range: bytes=0-99999999999 | 206 0-{n-1}
GET | Range: bytes={int(n/2)}- | 206 {int(n/2)}-{n-1}
GET | Range: bytes={int(n/2)}-{int(n/2)} | 206 {int(n/2)}-{int(n/2)}
GET | Range: bytes={int(n/3)}-{int(2*n/3)} | 206 {int(n/3)}-{int(2*n/3)} | 3
GET | Range: bytes=1048575-1048576 | 206 1048575-1048576 | 1048577
GET | Range: bytes=1048575- | 206 1048575-{n-1} | 1048576
GET | Range: bytes=1048576- | 206 1048576-{n-1} | 1048577
GET | Range: bytes=1048576-1048576 | 206 1048576-1048576 | 1048577
GET | Range: bytes=0-1048575 | 206 0-1048575 | 1048576
GET | Range: bytes=0-1048576 | 206 0-1048576 | 1048577
GET | Range: bytes=1-1048576 | 206 1-1048576 | 1048577
GET | Range: bytes=1048577-3145727 | 206 1048577-3145727 | 3145728
GET | Range: bytes=2097151-2097152 | 206 2097151-2097152 | 2097153
GET | Range: bytes=-1 | 206 {n-1}-{n-1}
GET | Range: bytes=-2 | 206 {n-2}-{n-1} | 2
GET | Range: bytes=-100 | 206 {n-100}-{n-1} | 100
GET | Range: bytes=-{n} | 206 0-{n-1}
GET | Range: bytes=-{n+1} | 206 0-{n-1}
GET | Range: bytes=-99999999999 | 206 0-{n-1}
GET | Range: bytes=-1048576 | 206 {n-1048576}-{n-1} | 1048576
GET | Range: bytes=-1048577 | 206 {n-1048577}-{n-1} | 1048577
GET | Range: bytes= 0-4 | 206 0-4 | 5
GET | Range: BYTES=0-4 | 206 0-4 | 5
GET | Range: bytes=007-009 | 206 7-9 | 10

# none that can be had, and what is no range
GET | Range: bytes={n}- | 416
GET | Range: bytes={n}-{n} | 416
GET | Range: bytes={n+1}-{n+100} | 416
GET | Range: bytes={n+5000000}- | 416
GET | Range: bytes=99999999999-99999999999 | 416
GET | Range: bytes=-0 | 416
GET | Range: bytes=5-4 | 416 | 6
GET | Range: bytes={n},{n+1}- | 416
GET | Range: bytes={n}-,{n+1}- | 416
GET | Range: bytes=a-b | 416
GET | Range: bytes=0x0-0x4 | 416
GET | Range: bytes=-1-2 | 416
GET | Range: bytes=1-2-3 | 416 | 4
GET | Range: bytes=- | 416
GET | Range: bytes=, | 416
GET | Range: bytes=1 | 416
GET | Range: bytes=99999999999999999999- | 416
GET | Range: bytes=0-4,a-b | 416 | 6
GET | Range: bytes=0-4,6-7,x | 416 | 9
GET | Range: lines=0-4 | 200
GET | Range: bytes 0-4 | 200
GET | Range: 0-4 | 200
GET | Range: bytes | 200
GET | Range: bytes= | 200

# several
GET | Range: bytes=0-0,2-2 | 206 0-0,2-2 | 4
GET | Range: bytes=0-0,-1 | 206 0-0,{n-1}-{n-1} | 3
GET | Range: bytes=0-9,100-199 | 206 0-9,100-199 | 300
GET | Range: bytes=0-9, 100-199 | 206 0-9,100-199 | 300
GET | Range: bytes=0-9 ,100-199 ,-5 | 206 0-9,100-199,{n-5}-{n-1} | 300
GET | Range: bytes=100-199,0-9 | 206 100-199,0-9 | 300
GET | Range: bytes=-5,0-4 | 206 {n-5}-{n-1},0-4 | 11
GET | Range: bytes=0-9,5-14 | 206 0-9,5-14 | 30
GET | Range: bytes=0-9,0-9 | 206 0-9,0-9 | 30
GET | Range: bytes=0-4,{n}- | 206 0-4 | 6
GET | Range: bytes={n}-,0-4 | 206 0-4 | 6
GET | Range: bytes=5-4,0-4 | 206 0-4 | 6
GET | Range: bytes=0-4,{n}-,6-7 | 206 0-4,6-7 | 9
GET | Range: bytes=0-0,{n-1}- | 206 0-0,{n-1}-{n-1} | 3
GET | Range: bytes=0-0,{n-1}-{n+99} | 206 0-0,{n-1}-{n-1} | 3
GET | Range: bytes=0-{int(n/2)-1},{int(n/2)}- | 206 0-{int(n/2)-1},\
    {int(n/2)}-{n-1} | 4
GET | Range: bytes=0-{n-1},0-0 | 200 | 2
GET | Range: bytes=0-,0- | 200 | 2
GET | Range: bytes=-{n},-1 | 200 | 2
GET | Range: bytes=1048575-1048576,0-0 | 206 1048575-1048576,0-0 | 1048577
GET | Range: bytes=1048570-1048580,2097150-2097160 | 206 1048570-1048580,\
    2097150-2097160 | 2097161
GET | Range: bytes=0-1048575,-1 | 206 0-1048575,{n-1}-{n-1} | 1048577
GET | Range: bytes=0-1999999,-1000000 | 206 0-1999999,{n-1000000}-{n-1} | \
    3000001
GET | Range: bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,\
    22-22,24-24,26-26,28-28,30-30 | 206 0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,\
    16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30 | 100
GET | Range: bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,\
    22-22,24-24,26-26,28-28,30-30,32-32 | 200 / 206 0-0,2-2,4-4,6-6,8-8,10-10,\
    12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32 | 100

# HEAD has no ranges (RFC 9110 14.2); S3 servers do
HEAD | Range: bytes=0-0 | 200 / 206 0-0
HEAD | Range: bytes=0-99 | 200 / 206 0-99 | 100
HEAD | Range: bytes=-1 | 200 / 206 {n-1}-{n-1}
HEAD | Range: bytes={n}- | 200 / 416
HEAD | Range: bytes=0-9,20-29 | 200 / 206 0-9,20-29 | 100
HEAD | Range: bytes=0-9; If-Range: "other" | 200 | 100

# If-Range
GET | Range: bytes=0-4; If-Range: $etag | 206 0-4 | 5
GET | Range: bytes=-5; If-Range: $etag | 206 {n-5}-{n-1} | 5
GET | Range: bytes={n-1}-; If-Range: $etag | 206 {n-1}-{n-1}
GET | Range: bytes=0-4,6-7; If-Range: $etag | 206 0-4,6-7 | 9
GET | Range: bytes={n}-; If-Range: $etag | 416
GET | Range: bytes=0-4; If-Range: "other" | 200 | 5
GET | Range: bytes={n-1}-; If-Range: "other" | 200
GET | Range: bytes={n}-; If-Range: "other" | 200
GET | Range: bytes=0-4,6-7; If-Range: "other" | 200 | 9
GET | Range: bytes=0-4; If-Range: W/$etag | 200 | 5
GET | Range: bytes=0-4,6-7; If-Range: W/$etag | 200 | 9
GET | Range: bytes=0-4; If-Range: $date | 206 0-4 | 5
GET | Range: bytes=0-4,6-7; If-Range: $date | 206 0-4,6-7 | 9
GET | Range: bytes=0-4; If-Range: $before | 200 | 5
GET | Range: bytes=0-4; If-Range: $after | 200 | 5
GET | Range: bytes=0-4,6-7; If-Range: $before | 200 | 9
GET | Range: bytes=0-4; If-Range: garbage | 200 | 5
GET+HEAD | If-Range: $etag | 200 | 0
GET+HEAD | If-Range: "other" | 200 | 0

# each condition alone
GET+HEAD | If-None-Match: $etag | 304 | 0
GET+HEAD | If-None-Match: W/$etag | 304 | 0
GET+HEAD | If-None-Match: "other" | 200 | 0
GET+HEAD | If-None-Match: W/"other" | 200 | 0
GET+HEAD | If-None-Match: * | 304 | 0
GET+HEAD | If-None-Match: "a", $etag | 304 | 0
GET+HEAD | If-None-Match: "a",$etag,"b" | 304 | 0
GET+HEAD | If-None-Match: W/"a", W/$etag | 304 | 0
GET+HEAD | If-None-Match: "a", "b" | 200 | 0
GET+HEAD | If-Modified-Since: $date | 304 | 0
GET+HEAD | If-Modified-Since: $after | 304 | 0
GET+HEAD | If-Modified-Since: $before | 200 | 0
GET+HEAD | If-Modified-Since: garbage | 200 | 0
GET+HEAD | If-Modified-Since: 0 | 200 | 0
GET+HEAD | If-Match: $etag | 200 | 0
GET+HEAD | If-Match: * | 200 | 0
GET+HEAD | If-Match: "a", $etag | 200 | 0
GET+HEAD | If-Match: "other" | 412 | 0
GET+HEAD | If-Match: "a", "b" | 412 | 0
GET+HEAD | If-Match: W/$etag | 412 | 0
GET+HEAD | If-Unmodified-Since: $date | 200 | 0
GET+HEAD | If-Unmodified-Since: $after | 200 | 0
GET+HEAD | If-Unmodified-Since: $before | 412 | 0
GET+HEAD | If-Unmodified-Since: garbage | 200 | 0

# in the order of 13.2.2
GET+HEAD | If-None-Match: $etag; If-Modified-Since: $before | 304 | 0
GET+HEAD | If-None-Match: "other"; If-Modified-Since: $date | 200 | 0
GET+HEAD | If-None-Match: "other"; If-Modified-Since: $after | 200 | 0
GET+HEAD | If-None-Match: $etag; If-Modified-Since: $date | 304 | 0
GET+HEAD | If-Match: $etag; If-Unmodified-Since: $before | 200 | 0
GET+HEAD | If-Match: "other"; If-Unmodified-Since: $date | 412 | 0
GET+HEAD | If-Match: $etag; If-None-Match: $etag | 304 | 0
GET+HEAD | If-Match: "other"; If-None-Match: $etag | 412 | 0
GET+HEAD | If-Match: $etag; If-None-Match: "other" | 200 | 0
GET+HEAD | If-Match: *; If-Modified-Since: $date | 304 | 0
GET+HEAD | If-Unmodified-Since: $date; If-Modified-Since: $date | 304 | 0
GET+HEAD | If-Unmodified-Since: $before; If-Modified-Since: $date | 412 | 0
GET+HEAD | If-Unmodified-Since: $before; If-None-Match: $etag | 412 | 0
GET+HEAD | If-Unmodified-Since: $date; If-None-Match: "other" | 200 | 0
GET+HEAD | If-Match: $etag; If-Unmodified-Since: $before; \
    If-None-Match: $etag; If-Modified-Since: $before | 304 | 0

# with a range
GET | Range: bytes=0-4; If-None-Match: $etag | 304 | 5
GET | Range: bytes=0-4; If-None-Match: "other" | 206 0-4 | 5
GET | Range: bytes=0-4; If-Modified-Since: $date | 304 | 5
GET | Range: bytes=0-4; If-Modified-Since: $before | 206 0-4 | 5
GET | Range: bytes=0-4; If-Match: $etag | 206 0-4 | 5
GET | Range: bytes=0-4; If-Match: "other" | 412 | 5
GET | Range: bytes=0-4; If-Unmodified-Since: $date | 206 0-4 | 5
GET | Range: bytes=0-4; If-Unmodified-Since: $before | 412 | 5
GET | Range: bytes={n}-; If-None-Match: $etag | 304
GET | Range: bytes={n}-; If-Match: "other" | 412
GET | Range: bytes={n}-; If-Match: $etag | 416
GET | Range: bytes={n-1}-; If-None-Match: $etag | 304
GET | Range: bytes=0-4,6-7; If-None-Match: $etag | 304 | 9
GET | Range: bytes=0-4,6-7; If-None-Match: "other" | 206 0-4,6-7 | 9
GET | Range: bytes=0-4,6-7; If-Match: "other" | 412 | 9
GET | Range: bytes=0-4,6-7; If-Match: $etag | 206 0-4,6-7 | 9
GET | Range: bytes=0-4,6-7; If-Unmodified-Since: $before | 412 | 9
GET | Range: bytes=0-4; If-Range: $etag; If-Match: $etag | 206 0-4 | 5
GET | Range: bytes=0-4; If-Range: "other"; If-Match: $etag | 200 | 5
GET | Range: bytes=0-4; If-Range: $etag; If-None-Match: "other" | 206 0-4 | 5
GET | Range: bytes=0-4; If-Range: $etag; If-None-Match: $etag | 304 | 5
GET | Range: bytes=0-4; If-Range: $etag; If-Match: "other" | 412 | 5

# of an empty object nothing can be had, nor need it be refused
GET | Range: bytes=0-0 | 200 | =0
GET | Range: bytes=0- | 200 | =0
GET | Range: bytes=0-0,1-1 | 200 | =0
GET | Range: bytes=0-0; If-None-Match: $etag | 304 | =0
GET | Range: bytes=0-0; If-Match: "other" | 412 | =0
HEAD | Range: bytes=0-0 | 200 | =0
END


# rows as hashes: method, headers (text), outcome, direct, least or exactly

sub cases {
    my @cases;

    for my $line (@table) {
        next if $line =~ /^#|^$/;

        my ($methods, $headers, $outcome, $size) = split / *\| */, $line;
        my ($served, $direct) = split m{ / }, $outcome;

        $size //= 1;

        for my $method (split /\+/, $methods) {
            push @cases, { method => $method, headers => $headers,
                outcome => $served, direct => $direct // $served,
                $size =~ /^=(\d+)/ ? (exactly => $1) : (least => $size) };
        }
    }

    return @cases;
}


sub applies {
    my ($case, $object) = @_;
    my $n = length $object->{body};

    return exists $case->{exactly} ? $n == $case->{exactly}
        : $n >= $case->{least};
}


# a row's text for an object

sub expand {
    my ($text, $object) = @_;
    my $n = length $object->{body};
    my $time = str2time($object->{date});
    my %value = (etag => $object->{etag}, date => $object->{date},
        before => time2str($time - 86400), after => time2str($time + 3600));

    $text =~ s/\{([^}]*)\}/(my $e = $1) =~ s{\bn\b}{$n}g; eval $e/ge;
    $text =~ s/\$(etag|date|before|after)/$value{$1}/g;
    return $text;
}


# What is wrong with a response, as text; empty if nothing.  The response is
# Cache::request's.

sub verdict {
    my ($object, $method, $outcome, $r) = @_;
    my ($status, $ranges) = split / /, $outcome;
    my $h = $r->{headers};
    my $n = length $object->{body};
    my @ranges = map { [split /-/] } split /,/, $ranges // '';

    return "status $r->{status} instead of $status"
        if $r->{status} != $status;

    return "Content-Range is " . ($h->{'content-range'} // 'missing')
        if ($h->{'content-range'} // '') ne ($status == 416 ? "bytes */$n"
            : @ranges == 1 ? "bytes $ranges/$n" : '');

    return $method eq 'HEAD' && length $r->{body} ? 'a body' : ''
        if $status >= 400;

    for (['etag', $object->{etag}], ['last-modified', $object->{date}]) {
        my ($name, $value) = @$_;

        return "$name is " . ($h->{$name} // 'missing')
            if ($h->{$name} // '') ne $value;
    }

    return length $r->{body} ? 'a body' : '' if $status == 304;

    my $body = @ranges > 1 ? multipart($object, $h, @ranges)
        : @ranges ? substr($object->{body}, $ranges[0][0],
            $ranges[0][1] - $ranges[0][0] + 1)
        : $object->{body};

    return "not multipart: $h->{'content-type'}" unless defined $body;
    return "Content-Type is $h->{'content-type'}"
        if @ranges < 2 && $h->{'content-type'} ne $object->{type};
    return "Content-Length is " . ($h->{'content-length'} // 'missing')
        . ', not ' . length $body
        if ($h->{'content-length'} // '') ne length $body;
    return 'no Accept-Ranges'
        if $status == 200 && ($h->{'accept-ranges'} // '') ne 'bytes';

    return ($r->{body} eq ($method eq 'HEAD' ? '' : $body)) ? '' : 'the body: '
        . length($r->{body}) . ' bytes';
}


sub multipart {
    my ($object, $h, @ranges) = @_;
    my $n = length $object->{body};
    my ($boundary) = $h->{'content-type'}
        =~ m{^multipart/byteranges; boundary=(\w+)$} or return;

    return join '', (map { "\r\n--$boundary\r\nContent-Type: $object->{type}"
        . "\r\nContent-Range: bytes $_->[0]-$_->[1]/$n\r\n\r\n"
        . substr $object->{body}, $_->[0], $_->[1] - $_->[0] + 1 } @ranges),
        "\r\n--$boundary--\r\n";
}

1;
