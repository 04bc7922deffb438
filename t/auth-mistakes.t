#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A configuration that passes on something else than the object key, or caches
# under something else, serves no tenant another one's objects all the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Auth;
use Test::More;

my $key = 'chat/acme/c1/0011aabb_photo.jpg';
my $bytes = 'a photo of acme';
my $t = Auth->new;

$t->key_file('keys.json', $t->jwks);
$t->put($key, $bytes);
$t->configure(http => $t->http(
    server => 'media_jwt_key_file @DIR@/keys.json;',
    locations => <<'EOT'));
        location /uri/ {
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@/bucket/;
        }
        location /redis/ {
            media_cache on;
            media_cache_key $uri;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location /disk/ {
            media_proxy on;
            proxy_cache disk;
            proxy_cache_valid 200 1h;
            proxy_cache_key $uri;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location /slices/ {
            media_proxy on;
            slice 4;
            proxy_cache disk;
            proxy_cache_valid 200 206 1h;
            proxy_cache_key $uri$slice_range;
            proxy_set_header Range $slice_range;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location /placeholder/ {
            media_cache on;
            error_page 404 =200 /none.txt;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location = /none.txt {
            internal;
            media_cache off;
            root @DIR@/origin;
        }
    }

    proxy_cache_path @DIR@/temp/disk keys_zone=disk:1m;

    server {
        listen 127.0.0.1:@PORT@;
        server_name unused;
EOT
$t->write_file('origin/none.txt', 'no photo');
$t->redis_start;
$t->start;

my @owner = $t->bearer($t->token('HS256'));
my @other = $t->bearer($t->token('HS256', tenant => 'globex'));

for my $place (qw(uri redis disk slices)) {
    for my $turn (1, 2) {
        is $t->get("/$place/$key", @owner)->{body}, $bytes,
            "$place, $turn: the owner";

        for my $method (qw(GET HEAD)) {
            my $r = $t->request($method, "/$place/$key", @other);

            is $r->{status}, 404, "$place, $turn: $method by another";
            unlike $r->{body}, qr/photo of/, "$place, $turn: no bytes";
        }

        my $r = $t->get("/$place/$key", @other, Range => 'bytes=5-9');
        is $r->{status}, 404, "$place, $turn: range";
        unlike $r->{body}, qr/to of/, "$place, $turn: no bytes of a range";
    }
}

is $t->get("/placeholder/$key", @other)->{body}, 'no photo',
    'an error_page of 200 is what another gets';
is $t->get("/placeholder/$key", @owner)->{body}, $bytes, 'but not the owner';

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';
like $t->error_log, qr/\[error\].*use \$media_s3_uri in "proxy_pass"/,
    'the log says what is wrong';

done_testing;
