#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A file from a customer is data, never a page, under its own name, with what
# caches need to know and nothing of what S3 says of itself: the same from
# Redis, from a disk and from S3, for GET, HEAD, ranges and 304.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Serve;
use SignedURL;
use Test::More;

my $etag = '"5d41402abc4b2a76b9719d911017c592"';
my $date = 'Sun, 01 Jan 2023 00:00:00 GMT';
my @own = ("ETag: $etag", "Last-Modified: $date");
my @s3 = ('x-amz-id-2: secret', 'x-amz-request-id: 1', 'Set-Cookie: a=b',
    'Cache-Control: max-age=1', 'Expires: Thu, 01 Jan 1970 00:00:00 GMT',
    'Vary: Origin', 'Access-Control-Allow-Origin: *', 'Accept-Ranges: bytes',
    'x-amz-meta-owner: someone', 'Refresh: 0', 'Link: <x>; rel=preload',
    'X-Powered-By: s3');

my @bodies = ('hello', join('', map { chr(32 + $_ % 90) } 1 .. 5000));

my %safe = ('image/jpeg' => 'jpg', 'image/png' => 'png', 'image/gif' => 'gif',
    'image/webp' => 'webp', 'image/heic' => 'heic', 'image/avif' => 'avif',
    'image/bmp' => 'bmp', 'image/tiff' => 'tif', 'audio/ogg' => 'ogg',
    'audio/ogg; codecs=opus' => 'oga', 'video/mp4' => 'mp4',
    'application/pdf' => 'pdf', 'text/plain' => 'txt',
    'text/plain; charset=utf-8' => 'utf', 'IMAGE/JPEG' => 'jpe');

my %unsafe = ('image/svg+xml' => 'svg', 'image/svg+xml;a=b' => 'svh',
    'Text/HTML; x' => 'htm', 'text/html' => 'html', 'text/xml' => 'xml',
    'application/xhtml+xml' => 'xht', 'application/mathml+xml' => 'mml',
    'text/javascript' => 'js', 'application/zip' => 'zip',
    'application/x-unknown' => 'unk', 'text/css' => 'css');

# these are no types at all, and become application/octet-stream

my %invalid = ('image/jpeg, text/html' => 'one', 'image' => 'two',
    'image/jpeg;a,text/html' => 'three', 'text html' => 'four');

my %objects = (
    'chat/1/2/0a1b2c3d_photo.jpg' => { body => $bodies[1],
        headers => [ 'Content-Type: image/jpeg', @own, @s3 ] },
    'chat/1/2/0a1b2c3d_' => { body => 'x', headers => [ @own ] },
    'profile_pics/1/5511.jpg' => { body => 'x',
        headers => [ 'Content-Type: image/jpeg', @own ] },
    'empty' => { body => '', headers => [ @own ] },
    'named' => { body => 'x', headers => [ 'Content-Type: application/pdf',
        @own, 'Content-Disposition: inline; filename="a.pdf"; '
        . "filename*=UTF-8''caf%C3%A9%20%E6%96%87.pdf" ] },
    'attached' => { body => 'x', headers => [ 'Content-Type: image/png',
        @own, 'Content-Disposition: attachment; filename="../b\\"c.png"' ] },
    'encoded' => { body => 'x', headers => [ 'Content-Type: text/plain',
        @own, 'Content-Encoding: gzip' ] },
    (map { my ($type, $name) = @$_;
        ("t/$name" => { body => 'x',
            headers => [ "Content-Type: $type", @own ] }) }
        map { my $h = $_; map { [ $_, $h->{$_} ] } keys %$h }
        \%safe, \%unsafe, \%invalid),
);

my $t = Serve->new(%objects);

$t->run(server => <<'EOT');
        location /public/ {
            media_proxy on;
            media_cache_control public;
            media_resource_policy cross-origin;
            media_max_age image 1h;
            media_max_age profile_pic 10s;
            proxy_pass http://s3/;
        }

        location /off/ {
            media_proxy on;
            media_cache_control off;
            media_resource_policy off;
            proxy_pass http://s3/;
        }

        location /origin/ {
            media_proxy on;
            media_resource_policy same-origin;
            media_cache_ttl image 0;
            media_cache_ttl other 77s;
            proxy_pass http://s3/;
        }

        location /signed/ {
            media_proxy on;
            media_cache_control public;
            media_sign_key k 0123456789abcdef0123456789abcdef;
            proxy_pass http://s3/;
        }

        location /tenant/ {
            media_proxy on;
            media_cache_control public;
            media_tenant $http_x_tenant;
            proxy_pass http://s3/;
        }
EOT

my $policy = "sandbox; default-src 'none'";

# all of what is said

my $name = 'chat/1/2/0a1b2c3d_photo.jpg';
my %expected = (
    'accept-ranges' => 'bytes',
    'cache-control' => 'private, max-age=604800, immutable',
    'content-disposition' => 'inline; filename="photo.jpg"',
    'content-length' => 5000,
    'content-security-policy' => $policy,
    'content-type' => 'image/jpeg',
    'cross-origin-resource-policy' => 'same-site',
    'etag' => $etag,
    'last-modified' => $date,
    'x-content-type-options' => 'nosniff',
);

for my $case ([ 'S3', 'plain' ], [ 'miss', 'media', 'MISS' ],
    [ 'hit', 'media', 'HIT' ], [ 'slices', 'disk' ],
    [ 'slices of the disk', 'disk' ])
{
    my ($tier, $location, $cache) = @$case;
    my %all = (%expected, $cache ? ('x-cache' => $cache) : ());

    my $r = $t->ask('GET', "/$location/$name");
    is $r->{status}, 200, "GET, $tier";
    ok $r->{body} eq $bodies[1], "body, $tier";
    is_deeply $r->{headers}, \%all, "headers, $tier";

    $t->wait_entry($name) if $location eq 'media';
    $all{'x-cache'} = 'HIT' if $cache;

    $r = $t->ask('HEAD', "/$location/$name");
    is $r->{status}, 200, "HEAD, $tier";
    is_deeply $r->{headers}, \%all, "same headers, $tier";

    $r = $t->ask('HEAD', "/$location/$name", 'Range: bytes=0-9');
    is $r->{status}, 200, "HEAD ignores Range, $tier";
    is_deeply $r->{headers}, \%all, "same headers, $tier";

    $r = $t->ask('GET', "/$location/$name", 'Range: bytes=1500-3499');
    is $r->{status}, 206, "range, $tier";
    ok $r->{body} eq substr($bodies[1], 1500, 2000), "its bytes, $tier";
    is_deeply $r->{headers}, { %all, 'content-length' => 2000,
        'content-range' => 'bytes 1500-3499/5000' }, "its headers, $tier";

    $r = $t->ask('GET', "/$location/$name", "If-None-Match: $etag");
    my %not_modified = %all;
    delete @not_modified{qw(accept-ranges content-disposition content-length
        content-type)};
    is $r->{status}, 304, "304, $tier";
    is_deeply $r->{headers}, \%not_modified, "its headers, $tier";
}

# types

for my $case ([ \%safe, 'inline' ], [ \%unsafe, 'attachment' ]) {
    my ($types, $disposition) = @$case;

    for my $type (sort keys %$types) {
        my $uri = "t/$types->{$type}";
        my $r = $t->ask('GET', "/plain/$uri");
        is "$r->{headers}{'content-type'}", $type, "type $type";
        is $r->{headers}{'content-disposition'},
            "$disposition; filename=\"$types->{$type}\"",
            "$type: $disposition";
        is $r->{headers}{'x-content-type-options'}, 'nosniff',
            "$type: not sniffed";
        is $r->{headers}{'content-security-policy'}, $policy,
            "$type: sandbox";
    }
}

for my $type (sort keys %invalid) {
    my $r = $t->ask('GET', "/plain/t/$invalid{$type}");
    is $r->{headers}{'content-type'}, 'application/octet-stream',
        "\"$type\" is no type";
    like $r->{headers}{'content-disposition'}, qr/^attachment; /,
        "\"$type\" is an attachment";
}

is $t->ask('GET', '/plain/chat/1/2/0a1b2c3d_')
    ->{headers}{'content-type'}, 'application/octet-stream', 'no type';
is $t->ask('GET', '/plain/chat/1/2/0a1b2c3d_')
    ->{headers}{'content-disposition'}, 'attachment; filename="0a1b2c3d_"',
    'no name';

# names, also out of Redis

for my $n (1, 2) {
    my $tier = $n == 1 ? 'miss' : 'hit';

    is $t->ask('GET', '/media/named')->{headers}{'content-disposition'},
        'inline; filename="caf_ _.pdf"; '
        . "filename*=UTF-8''caf%C3%A9%20%E6%96%87.pdf", "UTF-8 name, $tier";
    is $t->ask('GET', '/media/attached')->{headers}{'content-disposition'},
        'attachment; filename="b\\"c.png"; filename*=UTF-8\'\'b%22c.png',
        "stored attachment, $tier";
    $t->wait_entry($_) for qw(named attached);
}

# categories and directives

for my $case (
    [ "/plain/$name", 'private, max-age=604800, immutable', 'same-site' ],
    [ '/plain/profile_pics/1/5511.jpg', 'private, max-age=300',
        'same-site' ],
    [ '/plain/t/ogg', 'private, max-age=259200', 'same-site' ],
    [ '/plain/t/html', 'private, max-age=86400', 'same-site' ],
    [ "/public/$name", 'public, max-age=3600, immutable', 'cross-origin' ],
    [ '/public/profile_pics/1/5511.jpg', 'public, max-age=10',
        'cross-origin' ],
    [ '/origin/t/jpg', 'private, max-age=31536000', 'same-origin' ],
    [ '/off/empty', undef, undef ],
    [ "/off/$name", 'max-age=1', undef ])
{
    my ($uri, $control, $resource) = @$case;
    my $r = $t->ask('GET', $uri);

    is $r->{headers}{'cache-control'}, $control, "Cache-Control of $uri";
    is $r->{headers}{'cross-origin-resource-policy'}, $resource,
        "Cross-Origin-Resource-Policy of $uri";
}

# who may keep what not everybody may read, and for how long

for my $case ([ 9_000_000, 604_800 ], [ 3600, 3600 ], [ 60, 60 ]) {
    my ($left, $max) = @$case;
    my $expires = time + $left;
    my $control = $t->ask('GET', "/signed/$name" . signed_query($name,
        $expires, 'k', '0123456789abcdef' x 2))->{headers}{'cache-control'};

    like $control, qr/^public, max-age=\d+, immutable$/,
        "signed for $left seconds";
    my ($age) = $control =~ /(\d+)/;
    ok $age <= $max && $age > $max - 30, "kept for $age";
}

is $t->ask('GET', "/tenant/$name", 'X-Tenant: 1')
    ->{headers}{'cache-control'}, 'private, max-age=604800, immutable',
    'a caller with credentials';

# an empty object, one that S3 has encoded

for my $method (qw(GET HEAD)) {
    for my $location (qw(plain media)) {
        my $r = $t->ask($method, "/$location/empty");
        is $r->{headers}{'content-length'}, 0, "empty, $method, $location";
        is $r->{headers}{'accept-ranges'}, 'bytes', 'has ranges';
        $r = $t->ask($method, "/$location/encoded");
        is $r->{headers}{'content-encoding'}, 'gzip', 'encoding is kept';
    }
    $t->wait_entry('empty');
}

# no header comes twice, whatever the Range is

for my $location (qw(plain media disk)) {
    for my $range ('', 'bytes=0-9', 'bytes=-5', 'bytes=4990-', 'bytes=9-1',
        'bytes=x', 'pages=1-2', 'bytes=0-1,3-4', 'bytes=0-4999,1-4999',
        'bytes=9999999-')
    {
        my $r = $t->ask('GET', "/$location/$name",
            $range eq '' ? () : "Range: $range");
        my @twice = grep { /\|/ } values %{$r->{headers}};
        is_deeply \@twice, [], "no header twice, $location, \"$range\"";
        is $r->{headers}{'accept-ranges'}, 'bytes',
            "Accept-Ranges, $location, \"$range\"" if $r->{status} < 300;
    }
}

is $t->alarms, '', 'nothing alarming was logged';

done_testing;
