#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# /api/media/proxy/?url=... of the shipped configuration takes the URLs of its
# own objects, and asks S3 for exactly their keys; all others are 400, and
# nothing is connected to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fault;
use Test::More;
use Time::HiRes qw(sleep);

my $t = Fault->new;
my $trap = Cache::free_port();

$t->up(edit => sub {
    s{http://127\.0\.0\.1:$t->{port}/}{http://media.example.com/}g;
});

# what hostile URLs would connect to: this very host, on another port

$t->serve_group('trap', $trap, sub { FaultS3::note($t, 'trap') });

my $s3 = "http://127.0.0.1:$t->{s3_port}";
my $port = $t->{s3_port};
my $public = 'http://media.example.com/media';
my $signed = 'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential='
    . 'AK%2F20240101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date='
    . '20240101T000000Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&'
    . 'X-Amz-Signature=' . 'ab' x 32;

sub enc { return $_[0] =~ s/([^A-Za-z0-9\-._~])/sprintf '%%%02X', ord $1/ger }

sub enc_twice { return enc(enc($_[0])) }

# URLs as a browser's encodeURIComponent() puts them, and their keys

my @benign = (
    [ "$s3/media/chat/t/path.jpg", 'chat/t/path.jpg' ],
    [ "http://media.127.0.0.1:$port/chat/t/virtual.jpg",
        'chat/t/virtual.jpg' ],
    [ "$public/chat/t/public.jpg", 'chat/t/public.jpg' ],
    [ 'http://media.example.com:80/media/chat/t/port80.jpg',
        'chat/t/port80.jpg' ],
    [ 'http://media.example.com:080/media/chat/t/port080.jpg',
        'chat/t/port080.jpg' ],
    [ 'HTTP://Media.EXAMPLE.com/media/chat/t/upper.jpg',
        'chat/t/upper.jpg' ],
    [ "HTTP://127.0.0.1:$port/media/chat/t/scheme.jpg",
        'chat/t/scheme.jpg' ],
    [ "http://MEDIA.127.0.0.1:$port/chat/t/bucket-case.jpg",
        'chat/t/bucket-case.jpg' ],
    [ "$s3/media/a%20b.jpg", 'a b.jpg' ],
    [ "$s3/media/a+b=c\@d,e;f.jpg", 'a+b=c@d,e;f.jpg' ],
    [ "$s3/media/a%2Bb.jpg", 'a+b.jpg' ],
    [ "$s3/media/caf%C3%A9-%E2%9C%93-%F0%9F%98%80.jpg",
        "caf\xc3\xa9-\xe2\x9c\x93-\xf0\x9f\x98\x80.jpg" ],
    [ "$s3/media/%22quoted%22'.jpg", '"quoted"\'.jpg' ],
    [ "$s3/media/x%2Fslash.jpg", 'x/slash.jpg' ],
    [ "$s3/media/x%3Facl.jpg", 'x?acl.jpg' ],
    [ "$s3/media/x%23f.jpg", 'x#f.jpg' ],
    [ "$s3/media/x%26y.jpg", 'x&y.jpg' ],
    [ "$s3/media/..x/...jpg", '..x/...jpg' ],
    [ "$s3/media/media/media.jpg", 'media/media.jpg' ],
    [ "$s3/media/http:/evil.example/x.jpg", 'http:/evil.example/x.jpg' ],
    [ "$s3/media/" . 'k' x 1024, 'k' x 1024 ],
    [ "$s3/media/" . '%6B' x 1023 . '1', 'k' x 1023 . '1' ],
    [ "$s3/media/signed.jpg?$signed", 'signed.jpg' ],
    [ "$s3/media/signed-sdk.jpg?$signed&x-id=GetObject", 'signed-sdk.jpg' ],
    [ "http://media.127.0.0.1:$port/signed-virtual.jpg?$signed",
        'signed-virtual.jpg' ],
);

# the value of "url" as it stands in the request line

my @raw_benign = (
    [ "$s3/media/raw.jpg", 'raw.jpg' ],
    [ "$s3/media/raw%20key.jpg", 'raw key.jpg' ],
    [ "$public/raw-public.jpg", 'raw-public.jpg' ],
    [ "$s3/media/raw-signed.jpg?$signed", 'raw-signed.jpg' ],
    [ enc("$s3/media/args.jpg") . '&acl&uploads&versionId=3', 'args.jpg' ],
    [ enc("$s3/media/args2.jpg") . '&uri=http://evil.example/', 'args2.jpg' ],
);

my @hostile = (

    # other hosts and ports

    "http://127.0.0.1:$trap/media/a.jpg",
    "http://media.127.0.0.1:$trap/a.jpg",
    "http://localhost:$port/media/a.jpg",
    'http://127.0.0.1/media/a.jpg', 'http://127.0.0.1:80/media/a.jpg',
    "http://127.0.0.1:${port}0/media/a.jpg", "http://127.0.0.1:/media/a.jpg",
    "http://127.0.0.1:0/media/a.jpg", "http://127.0.0.1:-1/media/a.jpg",
    "http://127.0.0.1:${port}x/media/a.jpg",
    "http://127.0.0.1:+$port/media/a.jpg",
    'http://127.0.0.1:' . ($port + 65536) . '/media/a.jpg',
    'http://169.254.169.254/latest/meta-data/iam/',
    'http://evil.example/media/a.jpg',
    'http://media.example.com:8080/media/a.jpg',
    'https://media.example.com/media/a.jpg',
    'http://media.example.com:443/media/a.jpg',

    # our host as a part of another

    "http://127.0.0.1:$port.evil.example/media/a.jpg",
    "http://127.0.0.1.evil.example:$port/media/a.jpg",
    "http://evil127.0.0.1:$port/media/a.jpg",
    "http://evil.media.127.0.0.1:$port/a.jpg",
    "http://other.127.0.0.1:$port/a.jpg",
    "http://mediax127.0.0.1:$port/a.jpg",
    "http://media.example.com.evil.example/media/a.jpg",
    "http://media.example.com./media/a.jpg",
    "http://127.0.0.1.:$port/media/a.jpg",
    "http://.127.0.0.1:$port/media/a.jpg",
    "http://media..127.0.0.1:$port/a.jpg",

    # our host, spelled as only some parsers read it

    "http://2130706433:$port/media/a.jpg", "http://127.1:$port/media/a.jpg",
    "http://0x7f000001:$port/media/a.jpg",
    "http://0177.0.0.1:$port/media/a.jpg",
    "http://127.000.000.001:$port/media/a.jpg",
    "http://[::1]:$port/media/a.jpg",
    "http://[::ffff:127.0.0.1]:$port/media/a.jpg",
    "http://[127.0.0.1]:$port/media/a.jpg",
    "http://[127.0.0.1%25lo]:$port/media/a.jpg",
    "http://[127.0.0.1:$port/media/a.jpg",
    "http://127%2E0.0.1:$port/media/a.jpg",
    "http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1:$port/media/a.jpg",
    "http://m\xc3\xa9dia.example.com/media/a.jpg",
    'http://xn--mdia-bpa.example.com/media/a.jpg',
    "http://media.example.com\xe3\x80\x82/media/a.jpg",

    # userinfo

    "http://127.0.0.1:$port\@127.0.0.1:$trap/media/a.jpg",
    "http://127.0.0.1:$trap\@127.0.0.1:$port/media/a.jpg",
    "http://user:password\@127.0.0.1:$port/media/a.jpg",
    "http://\@127.0.0.1:$port/media/a.jpg",
    "http://media.example.com\@127.0.0.1:$trap/media/a.jpg",
    "http://media.example.com%40127.0.0.1:$trap/media/a.jpg",
    "http://127.0.0.1:$port#\@127.0.0.1:$trap/media/a.jpg",
    "http://127.0.0.1:$port?\@127.0.0.1:$trap/media/a.jpg",

    # slashes and backslashes

    "http://127.0.0.1:$port\\\@127.0.0.1:$trap/media/a.jpg",
    "http:\\\\127.0.0.1:$port\\media\\a.jpg",
    "http://127.0.0.1:$port\\media\\a.jpg",
    "http:/127.0.0.1:$port/media/a.jpg", "http:127.0.0.1:$port/media/a.jpg",
    "http:///127.0.0.1:$port/media/a.jpg",
    "http:////127.0.0.1:$port/media/a.jpg",
    "//127.0.0.1:$port/media/a.jpg", "//127.0.0.1:$trap/media/a.jpg",
    "/\\127.0.0.1:$trap/media/a.jpg", "///evil.example/media/a.jpg",
    "127.0.0.1:$port/media/a.jpg", 'media.example.com/media/a.jpg',
    '/media/a.jpg', 'media/a.jpg', 'a.jpg', '?', '#', '/',

    # other schemes

    'file:///etc/passwd', 'file://127.0.0.1/media/a.jpg', 'file:/etc/passwd',
    "gopher://127.0.0.1:$trap/_GET%20/", "ftp://127.0.0.1:$port/media/a.jpg",
    "dict://127.0.0.1:$trap/info", 'data:text/html,<script>',
    'javascript:alert(1)', "https://127.0.0.1:$port/media/a.jpg",
    "ws://127.0.0.1:$port/media/a.jpg", "unix:/run/redis.sock",
    "http+unix://127.0.0.1:$port/media/a.jpg",
    "s3://media/a.jpg", "url:http://127.0.0.1:$port/media/a.jpg",
    "view-source:http://127.0.0.1:$port/media/a.jpg",

    # other buckets

    "$s3/other/a.jpg", "$s3/media2/a.jpg", "$s3/medi/a.jpg",
    "$s3/Media/a.jpg", "$s3/media", "$s3/media/", "$s3/", $s3,
    "$s3/%6dedia/a.jpg", "$s3//media/a.jpg", "$s3/./media/a.jpg",
    "$s3/other/../media/a.jpg", "http://media.127.0.0.1:$port",
    "http://media.127.0.0.1:$port/",
    'http://media.example.com/', 'http://media.example.com/media',
    'http://media.example.com/media/', 'http://media.example.com/mediax/a',
    'http://media.example.com/MEDIA/a.jpg',
    'http://media.example.com/webhook/cloudapi',

    # out of the bucket

    "$s3/media/../other/a.jpg", "$s3/media/%2e%2e/other/a.jpg",
    "$s3/media/%2E%2E%2Fother/a.jpg", "$s3/media/.%2e/other/a.jpg",
    "$s3/media/a/..%2f..%2fother/a.jpg", "$s3/media/..", "$s3/media/.",
    "$s3/media/%252e%252e/other/a.jpg", "$s3/media/..%252fother/a.jpg",
    "$s3/media/http://evil.example/x.jpg",
    "$s3/media/a/./b.jpg", "$s3/media/a//b.jpg", "$s3/media//a.jpg",
    "$s3/media/a/", "$s3/media/%2Fa.jpg",
    "$s3/media/%c0%ae%c0%ae/other/a.jpg", "$s3/media/%ef%bc%8e%ff/a.jpg",
    "$public/../webhook/x", "$public/%2e%2e/webhook/x", "$public//a.jpg",
    "$public/..\\webhook", "$public\\..\\webhook",

    # bytes

    "$s3/media/a%00.jpg", "$s3/media/a.jpg%00.png", "$s3/media/a\x00.jpg",
    "$s3/media/a%0d%0aX-Evil: 1", "$s3/media/a\r\nX-Evil: 1",
    "$s3/media/a%09.jpg", "$s3/media/a\t.jpg", " $s3/media/a.jpg",
    "$s3/media/a.jpg ", "$s3/media/a b.jpg", "\t$s3/media/a.jpg",
    "ht\ntp://127.0.0.1:$port/media/a.jpg", "\x00$s3/media/a.jpg",
    "$s3/media/a%7f.jpg", "$s3/media/a%1f.jpg", "$s3/media/\xff\xfe.jpg",
    "$s3/media/%ff%fe.jpg", "$s3/media/caf\xc3\xa9.jpg",
    "$s3/media/%ed%a0%80.jpg", "$s3/media/%u002e.jpg", "$s3/media/a%.jpg",
    "$s3/media/a%2", "$s3/media/a%zz.jpg", "$s3/media/100%25.jpg",
    "$public/a\\b.jpg", "$public/a b.jpg", "$public/a%00.jpg",
    "$public/%ff.jpg", "$public/a%0ab.jpg",

    # queries and fragments

    "$s3/media/a.jpg?acl", "$s3/media/a.jpg?uploads", "$s3/media/a.jpg?",
    "$s3/media/a.jpg?versionId=1", "$s3/media/a.jpg?$signed&acl",
    "$s3/media/a.jpg?acl&$signed", "$s3/media/a.jpg?$signed#x",
    "$s3/media/a.jpg?$signed&response-content-type=text/html",
    "$s3/media/a.jpg?x-amz-date=1", "$s3/media/a.jpg?$signed&",
    "$s3/media?$signed", "$s3/other/a.jpg?$signed", "$s3?$signed/media/a.jpg",
    "http://127.0.0.1:$trap/media/a.jpg?$signed",
    "$s3/media/a.jpg#x", "$s3/media/#/a.jpg", "$public/a.jpg?x=1",
    "$public/a.jpg?$signed", "$public/a.jpg#x",

    # sizes

    "$s3/media/" . 'k' x 1025, "$s3/media/" . '%6B' x 1025,
    "$s3/media/" . 'a/' x 600, 'http://' . 'h' x 3000 . '/media/a.jpg',
    "$s3/media/a.jpg?X-Amz-Signature=" . 'a' x 9000,
    "http://127.0.0.1:$port" . '0' x 500 . '/media/a.jpg',
);

my @raw_hostile = (
    '', '&url=', enc_twice("$s3/media/a.jpg"), enc_twice("$public/a.jpg"),
    enc(enc_twice("$s3/media/a.jpg")),
    enc("$s3/media/a.jpg") . '&url=' . enc("$s3/media/b.jpg"),
    enc("$s3/media/a.jpg") . '&url=' . enc('http://evil.example/a.jpg'),
    enc('http://evil.example/a.jpg') . '&url=' . enc("$s3/media/a.jpg"),
    enc("$s3/media/a.jpg") . '&URL=' . enc("$s3/media/b.jpg"),
    enc("$s3/media/a.jpg") . '&url=', '&url=' . enc("$s3/media/a.jpg"),
    "$s3/media/a%252Fb.jpg", "$s3/media/a%00.jpg", "$s3/media/../a.jpg",
    '%00' . enc("$s3/media/a.jpg"), enc("$s3/media/a.jpg") . '%00',
    enc("$s3/media/a.jpg") . '%0d%0aHost:%20x', '%', '%%%', '%2', '%2f%2f',
    "$s3/media/a\\..\\b.jpg", '%ff%fe',
);

my @arguments = ('', '?', '?URLs=x', '?u%72l=' . enc("$s3/media/a.jpg"),
    '?xurl=' . enc("$s3/media/a.jpg"), '?url', '?' . enc("$s3/media/a.jpg"),
    '?url[]=' . enc("$s3/media/a.jpg"), '?url;=' . enc("$s3/media/a.jpg"));

my $location = '/api/media/proxy/';


sub ask {
    my ($arguments) = @_;

    return $t->get($location . $arguments, Host => 'media.example.com');
}

sub printable {
    my ($text) = @_;

    $text =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    return length $text > 90 ? substr($text, 0, 90) . '...' : $text;
}


# Accepted: the key that S3 is asked for, once decoded, is the right one.

for my $case ((map { [ enc($_->[0]), $_->[1], $_->[0] ] } @benign),
    (map { [ $_->[0], $_->[1], "raw $_->[0]" ] } @raw_benign))
{
    my ($value, $key, $name) = @$case;

    $t->object($key, 100);
    $t->s3_forget;

    my $r = ask("?url=$value");
    my @asked = map { (split / /)[1] =~ s/%(..)/chr hex $1/ger }
        $t->s3_log(qr/^GET /);

    is_deeply [ $r->{status}, @asked ], [ 200, "/media/$key" ],
        printable($name);
    ok $r->{body} eq $t->{objects}{"/media/$key"}, 'with its bytes';
}

# Refused: 400, a JSON body, and silence.

$t->s3_forget;

for my $case ((map { [ '?url=' . enc($_), $_ ] } @hostile),
    (map { [ "?url=$_", "raw $_" ] } @raw_hostile),
    map { [ $_, "arguments \"$_\"" ] } @arguments)
{
    my ($arguments, $name) = @$case;
    my $r = ask($arguments);

    ok $r->{status} == 400 || $r->{status} == 414 && length $arguments > 8000,
        printable($name) or diag("$r->{status}");
    ok Fault::is_json_error($r), 'as JSON' or diag($r->{body});
}

sleep 0.3;
is join("\n", $t->s3_log(qr/./)), '', 'nothing was connected to';

# what nginx itself refuses

for my $line ("url=$s3/media/a\x00.jpg", "url=$s3/media/a b.jpg",
    "url=$s3/media/a\x01.jpg")
{
    my $socket = $t->connect;

    print $socket "GET $location?$line HTTP/1.1\r\nHost: media.example.com"
        . "\r\nConnection: close\r\n\r\n";
    my $answer = do { local $/; <$socket> } // '';

    like $answer, qr{^HTTP/1\.1 400 |^<html>}, printable($line);
}

# a URL in the body of a request is none

my $socket = $t->connect;
my $body = 'url=' . enc("$s3/media/a.jpg");

print $socket "POST $location HTTP/1.1\r\nHost: media.example.com\r\n"
    . "Connection: close\r\nContent-Type: application/x-www-form-urlencoded"
    . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
my $answer = do { local $/; <$socket> } // '';

like $answer, qr{^HTTP/1\.1 40[05] }, 'a URL in the body of a POST';

is join("\n", $t->s3_log(qr/./)), '', 'still nothing was connected to';
like $t->read_file('logs/access.log'),
    qr{/api/media/proxy/" 400}, 'the requests are in the access log';

# a request that fails puts its line into the log

$t->s3_fault('close');

for my $url ("$s3/media/fails.jpg?$signed",
    "http://127.0.0.1:$trap/media/a.jpg?$signed")
{
    ask('?url=' . enc($url));
    ask("?url=$url");
    ask('?url=' . enc_twice($url));
}

my $logs = $t->error_log . $t->read_file('logs/access.log');

like $logs, qr/X-Amz-Signature%3D\*{64}/, 'failures are logged';
unlike $logs, qr/(?:ab){16}/, 'without signatures';

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
