package FaultS3;

# Copyright (C) ngx_media contributors
#
# One connection to an S3 server that serves files, and fails as it is told:
#
#     status    { status, code }: an error of S3
#     close     closes without an answer
#     refuse    resets the connection
#     garbage   what is no HTTP
#     stall     { after }: sleeps after so many bytes, headers counted
#     truncate  { after }: closes after so many bytes of the body
#     long      sends more than announced
#     length    { by }: announces so much more or less than it sends
#     range     { by }: Content-Range is wrong by so much
#     total     { by }: its total is
#     slow      { bytes, ms }: so many bytes at a time
#
# "match" limits a fault to requests whose first line and range match it.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep);

my %types = (jpg => 'image/jpeg', mp4 => 'video/mp4', ogg => 'audio/ogg',
    pdf => 'application/pdf', txt => 'text/plain', svg => 'image/svg+xml');


# stands for a Store

sub new {
    my ($class, $port) = @_;

    return bless { host => "127.0.0.1:$port", key => 'AKFAULTTEST',
        secret => 'fault/test+secret' }, $class;
}

sub complaints { '' }

sub stop { }


sub serve {
    my ($t, $client) = @_;
    my $text = '';

    note($t, "connect $$");

    while (1) {
        while ($text !~ /\r\n\r\n/) {
            sysread $client, $text, 65536, length $text or return;
        }

        $text =~ s/^(.*?)\r\n\r\n//s;
        answer($t, $client, $1) or return;
    }
}


sub answer {
    my ($t, $client, $head) = @_;
    my ($line, @lines) = split /\r\n/, $head;
    my %h = map { /^([^:]+): *(.*)$/ ? (lc $1, $2) : () } @lines;
    my ($method, $path) = split / /, $line;
    my $range = $h{range} // '-';
    my $fault = $t->fault('s3', sub {
        !defined $_[0]{match} || "$line $range" =~ /$_[0]{match}/;
    });
    my $mode = $fault->{mode};
    my ($status, $headers, $body) = object($t, $path, \%h);

    ($status, $headers, $body) = refusal($fault->{status}, $fault->{code})
        if $mode eq 'status';

    note($t, "$method $path $range "
        . ($mode eq 'ok' || $mode eq 'status' ? $status : $mode) . " $$");

    return 0 if $mode eq 'close';

    if ($mode eq 'refuse') {
        setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;
        return 0;
    }

    if ($mode eq 'garbage') {
        print $client "\0\1\2SSH-2.0-OpenSSH_9.2\r\n";
        return 0;
    }

    my $length = length($body) + ($mode eq 'length' ? $fault->{by} : 0);

    distort($headers, $mode, $fault->{by}) if $headers->{'Content-Range'};

    my $out = "HTTP/1.1 $status X\r\nContent-Length: $length\r\n"
        . join('', map { "$_: $headers->{$_}\r\n" } sort keys %$headers)
        . "x-amz-request-id: $$\r\n\r\n";
    my $start = length $out;

    $out .= $body if $method ne 'HEAD' && $status != 304;

    if ($mode eq 'stall') {
        print $client substr $out, 0, $fault->{after};
        sleep 60;
        return 0;
    }

    if ($mode eq 'truncate') {
        print $client substr $out, 0, $start + $fault->{after};
        return 0;
    }

    if ($mode eq 'slow') {
        for (my $i = 0; $i < length $out; $i += $fault->{bytes}) {
            print $client substr $out, $i, $fault->{bytes} or return 0;
            sleep $fault->{ms} / 1000;
        }

        return 1;
    }

    $out .= 'x' x 1000 if $mode eq 'long';

    print $client $out or return 0;

    return $mode eq 'ok' || $mode eq 'status';
}


sub distort {
    my ($headers, $mode, $by) = @_;

    $headers->{'Content-Range'} =~ s/(\d+)-(\d+)/$1 + $by . '-' . ($2 + $by)/e
        if $mode eq 'range';
    $headers->{'Content-Range'} =~ s{/(\d+)}{'/' . ($1 + $by)}e
        if $mode eq 'total';
}


sub object {
    my ($t, $path, $h) = @_;

    (my $key = $path) =~ s{^/media/}{} or return refusal(404, 'NoSuchBucket');

    $key =~ s/%(..)/chr hex $1/ge;

    my $file = 'objects/' . sha256_hex($key);

    return refusal(404, 'NoSuchKey') unless -f "$t->{dir}/$file";

    my $body = $t->read_file($file);
    my ($extension) = $key =~ /\.(\w+)$/;
    my %headers = (ETag => '"' . md5_hex($body) . '"',
        'Last-Modified' => 'Tue, 05 Mar 2024 10:00:00 GMT',
        'Accept-Ranges' => 'bytes', 'Content-Type' =>
        $types{$extension // ''} // 'application/octet-stream');
    my $none = $h->{'if-none-match'};

    return (304, \%headers, '') if defined $none && $none eq $headers{ETag};

    my ($first, $last) = ($h->{range} // '') =~ /^bytes=(\d+)-(\d*)$/
        or return (200, \%headers, $body);
    my $n = length $body;

    return refusal(416, 'InvalidRange', $n) if $first >= $n;

    $last = $n - 1 if $last eq '' || $last >= $n;
    $headers{'Content-Range'} = "bytes $first-$last/$n";

    return (206, \%headers, substr $body, $first, $last - $first + 1);
}


sub refusal {
    my ($status, $code, $n) = @_;
    my $body = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>'
        . "$code</Code><Message>secret inside</Message></Error>";

    return ($status, { 'Content-Type' => 'application/xml',
        defined $n ? ('Content-Range' => "bytes */$n") : () }, $body);
}


sub note {
    my ($t, $line) = @_;

    open my $fh, '>>', "$t->{dir}/logs/s3.log" or return;
    syswrite $fh, "$line\n";
}

1;
