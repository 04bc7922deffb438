#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A real S3 server accepts the signed requests for every name, and gives back
# what was put: first from S3, then from Redis.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Test::More;

my ($endpoint, $bucket, $access, $secret) = @ENV{qw(S3_ENDPOINT_URL
    S3_BUCKET S3_ACCESS_KEY S3_SECRET_KEY)};
my $region = $ENV{S3_REGION} || 'us-east-1';
my $domain = $ENV{S3_VHOST_DOMAIN};

plan skip_all => 'no S3 server: S3_ENDPOINT_URL is not set' unless $endpoint;

my $t = Cache->new;
my ($address) = $endpoint =~ m{^http://([^/]+)} or die $endpoint;

my $proxy = <<'EOT';
media_cache on;
            media_proxy off;
            proxy_pass http://s3$media_s3_uri;
            proxy_set_header Host $media_s3_host;
            proxy_set_header Authorization $media_s3_authorization;
            proxy_set_header X-Amz-Date $media_s3_date;
            proxy_set_header X-Amz-Content-Sha256 $media_s3_content_sha256;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
EOT

my $virtual = $domain ? <<"EOT" : '';
        location /virtual/ {
            media_s3_endpoint http://$domain;
            media_s3_style virtual;
            $proxy
        }
EOT

$t->write_file('secret', "$secret\n");
$t->configure(http => <<"EOT");
    media_redis 127.0.0.1:\@REDIS\@;
    media_s3_endpoint $endpoint;
    media_s3_bucket $bucket;
    media_s3_region $region;
    media_s3_access_key $access;
    media_s3_secret_key_file secret;
    upstream s3 { server $address; keepalive 4; }

    server {
        listen 127.0.0.1:\@PORT\@;

        location /media/ {
            $proxy
        }
        $virtual
        location /wrong/ {
            media_s3_secret_key wrong;
            $proxy
        }
    }
EOT

$t->redis_start;
$t->start;

my @names = ('plain.jpg', 'with%20space.jpg', 'plus+and=equals@at.jpg',
    'quote%22and\'apostrophe.jpg', 'percent%252Fslash.jpg',
    'question%3Fmark%23hash.jpg', 'caf%C3%A9/%E2%9C%93.jpg',
    '(paren)!*;:,$&~-_.jpg', 'back%5Cslash.jpg', 'dots..jpg', '%25.jpg',
    'x' x 200 . '/' . 'y' x 200);

my $prefix = "signer-$$";

for my $name (@names) {
    my $uri = "/media/$prefix/$name";
    my $label = substr $name, 0, 40;
    my $body = "body of $name";

    my $put = put($uri, $body);
    is $put, 200, "$label: PUT";

    my $miss = $t->get($uri);
    is "$miss->{status} $miss->{headers}{'x-cache'}", '200 MISS',
        "$label: from S3";
    is $miss->{body}, $body, "$label: body";

    (my $key = "$prefix/$name") =~ s/%([0-9A-F]{2})/chr hex $1/ge;
    ok $t->wait_entry($key), "$label: stored under its key";

    my $hit = $t->get($uri);
    is "$hit->{status} $hit->{headers}{'x-cache'}", '200 HIT',
        "$label: from Redis";
    is $hit->{body}, $body, "$label: the same body";
    is $hit->{headers}{etag}, $miss->{headers}{etag}, "$label: ETag";

    if ($domain) {
        $t->redis('FLUSHALL');
        my $other = $t->get("/virtual/$prefix/$name");
        is "$other->{status} $other->{headers}{'x-cache'}", '200 MISS',
            "$label: virtual-host style";
        is $other->{body}, $body, "$label: virtual-host style, body";
        $t->wait_entry($key);
    }

    $t->redis('FLUSHALL');
    is $t->request('HEAD', $uri)->{status}, 200, "$label: HEAD";
    my $range = $t->get($uri, Range => 'bytes=0-3');
    is $range->{status}, 206, "$label: range";
    is $range->{body}, 'body', "$label: bytes of the range";
}

is $t->outcome("/wrong/$prefix/plain.jpg"), '403 MISS', 'a wrong key';
is $t->outcome("/media/$prefix/absent"), '404 MISS', 'an absent object';

for my $name (@names) {
    is $t->request('DELETE', "/media/$prefix/$name")->{status}, 204,
        'DELETE';
}

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

sub put {
    my ($uri, $body) = @_;

    my $socket = $t->connect;
    print $socket "PUT $uri HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nContent-Length: " . length($body)
        . "\r\n\r\n$body";
    my $line = <$socket>;
    return $line =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}

done_testing;
