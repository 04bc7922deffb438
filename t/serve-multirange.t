#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Several ranges of a large object with what a configuration or a client may
# add: charset, gzip, max_ranges, no location for the parts, a client that
# reads slowly or goes away.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fault;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(sleep);

my $mb = 1024 * 1024;
my $t = Fault->new();

$t->up(workers => 1, http => <<"END", edit => \&locations);
    media_cache_max_size 200k;
    media_cache_buffers 450k;
    charset_types text/plain;
    gzip_types text/plain;
    gzip_min_length 1;
END

my $uri = $t->object('chat/1/large.txt', 3 * $mb);
my $bytes = $t->{objects}{$uri};
my $small = $t->object('chat/1/small.txt', 5000);
my @ranges = ([0, 9], [1048570, 1048580], [3145720, 3145727]);
my $range = 'bytes=0-9,1048570-1048580,-8';

for my $location (qw(media charset gzip)) {
    my $type = $location eq 'charset' ? 'text/plain; charset=utf-8'
        : 'text/plain';
    my $r = $t->get($uri =~ s/media/$location/r, Range => $range,
        'Accept-Encoding' => 'gzip');

    is($r->{status}, 206, "in a location with $location");
    is($r->{body}, multipart($r, $type, $bytes, @ranges), 'the parts');

    $r = $t->get($small =~ s/media/$location/r, Range => 'bytes=0-9,20-29');

    is($r->{status}, 206, 'of a small object');
    is($r->{body}, multipart($r, $type, $t->{objects}{$small}, [0, 9],
        [20, 29]), 'the parts');
}

my $r = $t->get($uri =~ s/media/none/r, Range => $range);

is($r->{status}, 200, 'without a location for the parts');
ok($r->{body} eq $bytes, 'the whole object');

$r = $t->get($small =~ s/media/none/r, Range => 'bytes=0-9,20-29');
is($r->{status}, 206, 'but a small object is cut all the same');

$r = $t->get($uri =~ s/media/two/r, Range => 'bytes=0-9,20-29');
is($r->{status}, 206, 'max_ranges 2: two ranges');
$r = $t->get($uri =~ s/media/two/r, Range => $range);
is($r->{status}, 200, 'three ranges');
$r = $t->get($small =~ s/media/two/r, Range => 'bytes=0-9,20-29,40-49');
is($r->{status}, 200, 'three of a small object');

# what is collected in memory is bounded

my @objects = map { $t->object("chat/1/$_.txt", 190_000) } 1 .. 3;

$t->s3_forget();
$t->s3_fault('stall', after => 90_000, count => 2);

my @sockets = map { request('bytes=0-9,20-29', $_) } @objects[0, 1];

for (1 .. 100) {
    last if $t->s3_log(qr/stall/) == 2;
    sleep 0.05;
}

is(scalar $t->s3_log(qr/stall/), 2, 'two are being collected');
sleep 0.2;
$r = $t->get($objects[2], Range => 'bytes=0-9,20-29');
is($r->{status}, 200, 'there is no memory for a third one');
ok($r->{body} eq $t->{objects}{$objects[2]}, 'which is the whole object');
$r = $t->get($objects[2], Range => 'bytes=0-9,20-29');
is($r->{status}, 206, 'but when it is cached');

close $_ for @sockets;

for (1 .. 150) {
    $r = $t->get($t->object("chat/1/again$_.txt", 190_000),
        Range => 'bytes=0-9,20-29');
    last if $r->{status} == 206;
    sleep 0.1;
}

is($r->{status}, 206, 'the memory is given back');

# a key that is another one when it is decoded once more

my $odd = $t->object('chat/1/a b%20c?d#e+f.txt', 2 * $mb);

$r = $t->get('/media/chat/1/a%20b%2520c%3Fd%23e+f.txt',
    Range => 'bytes=0-9,1500000-1500009');
is($r->{status}, 206, 'an odd key');
is($r->{body}, multipart($r, 'text/plain', $t->{objects}{$odd}, [0, 9],
    [1500000, 1500009]), 'has its parts');

# nobody can ask for a part

is($t->get($uri =~ s/media/media-range/r)->{status}, 404,
    'the location of the parts is internal');

# slow readers, and ones that go away

my $two = 'bytes=0-1499999,1500000-3145727';

for my $client (1 .. 4) {
    my $response = slowly($two);

    ok($response->{body} eq multipart($response, 'text/plain', $bytes,
        [0, 1499999], [1500000, 3145727]), "slow reader $client");
}

for my $read (1, 500, 5000, 200_000, 1_000_000, 2_000_000, 3_145_000) {
    for (1 .. 5) {
        my $socket = request($two);
        my $n = 0;

        while ($n < $read) {
            my $got = sysread $socket, my $text, 65536 or last;
            $n += $got;
        }

        close $socket;
    }
}

$r = $t->get($uri, Range => $range);
is($r->{body}, multipart($r, 'text/plain', $bytes, @ranges),
    'after clients that went away');

# configuration

for my $bad ('media-range/', '/media-range', 'x') {
    $t->configure(edit => sub {
        s{media_range_location  /media-range/;}{media_range_location $bad;};
    });

    my ($status, $text) = $t->test_configuration();

    is($status, 1, "media_range_location $bad");
    like($text, qr{must begin and end with a slash, as in "/media-range/"},
        'is refused');
}

ok($t->stop(), 'worker processes ended');
is($t->alarms() =~ s/^.*media_range_location.*$//mgr =~ s/\s+//gr, '',
    'nothing alarming was logged');

done_testing();


# locations as /media/, with something added

sub locations {
    my ($name) = @_;
    my %added = (charset => 'charset utf-8;', gzip => 'gzip on;',
        none => 'media_range_location "";', two => 'max_ranges 2;');
    my $text = '';

    return if $name ne 'media.conf';

    for my $location (sort keys %added) {
        $text .= "    location /$location/ {\n        $added{$location}\n"
            . '        include media_s3_proxy.conf;' . "\n"
            . "        include serve_$location.conf;\n"
            . '        proxy_pass http://media_s3$media_s3_uri;' . "\n    }\n";

        my $serve = $t->read_file("$FindBin::Bin/../conf/media_serve.conf");

        $serve =~ s/^(?:gzip|max_ranges|media_range_location) .*$//mg
            if $location ne 'charset';
        $serve .= "media_range_location /media-range/;\n"
            if $location =~ /gzip|two/;
        $t->write_file("serve_$location.conf", $serve);
    }

    s{^(?=    location /media/ )}{$text}m;
}


sub multipart {
    my ($response, $type, $body, @parts) = @_;
    my ($boundary) = $response->{headers}{'content-type'}
        =~ m{^multipart/byteranges; boundary=(\w+)$} or return 'no multipart';

    return join '', (map { "\r\n--$boundary\r\nContent-Type: $type\r\n"
        . "Content-Range: bytes $_->[0]-$_->[1]/" . length($body)
        . "\r\n\r\n" . substr $body, $_->[0], $_->[1] - $_->[0] + 1 } @parts),
        "\r\n--$boundary--\r\n";
}


sub request {
    my ($wanted, $path) = @_;
    my $socket = $t->connect() or die "connect\n";

    $path //= $uri;
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 131072;
    print $socket "GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        . "Range: $wanted\r\n\r\n";

    return $socket;
}


sub slowly {
    my ($wanted) = @_;
    my $socket = request($wanted);
    my $text = '';

    while (sysread $socket, $text, 40_000, length $text) {
        sleep 0.001;
    }

    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($type) = $head =~ /^Content-Type: (.*)\r$/m;

    return { headers => { 'content-type' => $type // '' }, body => $body };
}
