#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A signed URL is good for one object until it expires, with either of two
# keys and without any other credentials; media_url makes them for a caller
# who may read the object.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Auth;
use Test::More;

my $own = 'chat/acme/c1/0011aabb_photo.jpg';
my $odd = q{chat/acme/c1/0011aabb_it's+a=100%25 "photo"@.jpg};
my $foreign = 'chat/globex/c1/0011aabb_photo.jpg';
my $photo = 'a photo of acme';

my $t = Auth->new;

$t->key_file('keys.json', $t->jwks);
$t->key_file('sign', $t->secret('old') . "\n");
$t->put($_, $photo) for $own, $odd, $foreign, 'uploads/acme/x.jpg';

$t->configure(http => $t->http(
    server => 'media_sign_key new ' . $t->secret('new') . ';
        media_sign_key_file old @DIR@/sign;',
    media => 'add_header X-Tenant $media_tenant always;',
    locations => <<'EOT'));
        location = /api/media/proxy/ {
            media_s3_key $media_url_key;
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location = /media-url {
            media_cache on;             # which does not concern media_url
            media_jwt_key_file @DIR@/keys.json;
            media_public_url https://m.example/media/;
            media_sign_ttl 5m;
            media_cors_origin https://app.example;
            media_url;
        }
        location /prefix/ {
            media_jwt_key_file @DIR@/keys.json;
            media_url;
        }
        location /both/ {
            media_jwt_key_file @DIR@/keys.json;
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location = /metrics {
            media_metrics;
        }
        location /application/ {
            media_jwt_key_file @DIR@/keys.json;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
        }
        location /missing/ {
            media_cache on;
            proxy_intercept_errors on;
            error_page 404 = @missing;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location @missing {
            media_s3_key $media_missing_key;
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
    }

    map $uri $media_missing_key {
        ~^/missing/(?<media_missing>.+)  $media_missing;
    }

    server {
        listen 127.0.0.1:@PORT@;
        server_name unused;
EOT
$t->redis_start;
$t->start;

sub uri { return join '/', map { s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord
    $1/ger } split m{/}, $_[0] }

sub status {
    my ($name, $wanted, $uri, %headers) = @_;

    my $r = $t->get($uri, %headers);
    my $body = $wanted == 200 ? " $photo" : '';

    is $r->{status} . ($wanted == 200 ? " $r->{body}" : ''), "$wanted$body",
        $name;
}

# what is right

status('the first key', 200, "/media/$own" . $t->signed($own));
status('the second key', 200, "/media/$own" . $t->signed($own, id => 'old'));
status('from Redis', 200, "/media/$own" . $t->signed($own));
status('a name with everything', 200,
    '/media/' . uri($odd) . $t->signed($odd));
status('other arguments', 200,
    "/media/$own" . $t->signed($own) . '&download=1&Signature=x&key_idx=1');
status('the compatible endpoint', 200, '/api/media/proxy/'
    . $t->signed($own) . '&url=' . uri("http://localhost/media/$own"));
status('no need for a token', 200, "/both/$own" . $t->signed($own));
status('an invalid token beside it', 200, "/both/$own" . $t->signed($own),
    $t->bearer('x.y.z'));
is $t->get("/media/$own" . $t->signed($own))->{headers}{'x-tenant'}, 'acme',
    '$media_tenant is the key\'s';

my $r = $t->request('HEAD', "/media/$own" . $t->signed($own));
is $r->{status}, 200, 'HEAD';
is $r->{headers}{'content-length'}, length $photo, 'HEAD, length';

status('an absent object', 404,
    "/media/${own}x" . $t->signed("${own}x"));
status('absent, after a redirect to another location', 404,
    "/missing/${own}y" . $t->signed("${own}y"));

# what is wrong

my $requests = $t->origin_requests('.');
my $valid = $t->signed($own);
my ($expires, $signature) = $valid =~ /expires=(\d+).*signature=(.*)/;
my $time = time;

status("$_->[0]", 403, "/media/$_->[1]") for
    [ 'another object', "${own}x$valid" ],
    [ 'another tenant\'s object', "$foreign$valid" ],
    [ 'expired', $own . $t->signed($own, expires => $time - 1) ],
    [ 'expires now', $own . $t->signed($own, expires => $time) ],
    [ 'expired long ago', $own . $t->signed($own, expires => 1) ],
    [ 'a later time', $own . $valid =~ s/expires=/expires=1/r ],
    [ 'a leading zero', $own . $valid =~ s/expires=/expires=0/r ],
    [ 'a sign', $own . $valid =~ s/expires=/expires=%2B/r ],
    [ 'a negative time', $own . $t->signed($own, expires => -1) ],
    [ 'a time of 20 digits', $own . $t->signed($own, expires => '9' x 20) ],
    [ 'no time', $own . $valid =~ s/expires=\d+&//r ],
    [ 'an empty time', $own . $valid =~ s/expires=\d+/expires=/r ],
    [ 'two times', "$own$valid&expires=$expires" ],
    [ 'no key id', $own . $valid =~ s/key_id=new&//r ],
    [ 'unknown key id', $own . $valid =~ s/key_id=new/key_id=neu/r ],
    [ 'the other key\'s id', $own . $valid =~ s/key_id=new/key_id=old/r ],
    [ 'an id in capitals', $own . $valid =~ s/key_id=new/key_id=NEW/r ],
    [ 'two key ids', "$own$valid&key_id=new" ],
    [ 'two signatures', "$own$valid&signature=$signature" ],
    [ 'a second, empty signature', "$own$valid&signature=" ],
    [ 'an empty signature', $own . $valid =~ s/signature=.*/signature=/r ],
    [ 'a short signature', $own . substr($valid, 0, -1) ],
    [ 'a padded signature', "$own$valid=" ],
    [ 'an encoded signature', $own . $valid =~ s/(.)$/'%' . unpack 'H2', $1/er
    ],
    [ 'only a signature', "$own?signature=$signature" ],
    [ 'another secret', $own . $t->signed($own, secret => 'x' x 32) ],
    [ 'an object of no tenant', 'uploads/acme/x.jpg'
        . $t->signed('uploads/acme/x.jpg') ],
    [ 'the bucket itself', $t->signed('') ];

status('a wrong signature beside a right token', 403,
    "/both/$own?signature=x", $t->bearer($t->token('HS256')));
status('no signature', 401, "/media/$own");
status('a signature in capitals only', 401,
    "/media/$own" . $valid =~ s/signature=/SIGNATURE=/r);
status('an encoded name', 401,
    "/media/$own" . $valid =~ s/signature=/%73ignature=/r);
status('another object by the compatible endpoint', 403, '/api/media/proxy/'
    . $valid . '&url=' . uri("http://localhost/media/$foreign"));
status('no credential for an application', 401, "/application/$own$valid");

is $t->origin_requests('.'), $requests, 'none of it reached S3';

# media_url

my @token = $t->bearer($t->token('EdDSA'));

for my $key ($own, $odd) {
    $r = $t->get('/media-url?key=' . uri($key) =~ s/%27/'/r, @token);
    is $r->{status}, 200, "media_url of $key";
    is $r->{headers}{'content-type'}, 'application/json', 'type';
    is $r->{headers}{'cache-control'}, 'no-store', 'not stored';

    my $answer = JSON::PP->new->decode($r->{body});
    my ($url) = $answer->{url} =~ m{^https://m\.example(/media/.*)};

    cmp_ok abs($answer->{expires_at} - time - 300), '<=', 2, 'expires';
    is $answer->{url}, 'https://m.example/media/' . uri($key)
        . $t->signed($key, expires => $answer->{expires_at}), 'as we sign';
    status('which is served', 200, $url);
}

$r = $t->get("/prefix/x?key=$own", @token);
like $r->{body}, qr{^\{"url":"/media/$own\?expires=}, 'a relative URL';
is length $t->request('HEAD', "/media-url?key=$own", @token)->{body}, 0,
    'HEAD of media_url';

for my $case ([ 400, '' ], [ 400, '?key=' ], [ 400, "?key=$own&key=$own" ],
    [ 400, '?key=/chat/acme/x' ], [ 400, '?key=chat/acme/../globex/x' ],
    [ 400, '?key=chat/acme/%00' ], [ 400, '?key=chat/acme/%zz' ],
    [ 400, '?key=' . 'k' x 1025 ], [ 404, "?key=$foreign" ],
    [ 404, '?key=uploads/acme/x.jpg' ], [ 404, '?key=chat/acme' ],
    [ 404, '?key=chat/Acme/x' ], [ 404, '?key=nothing' ])
{
    status("media_url$case->[1]", $case->[0], "/media-url$case->[1]",
        @token);
}

status('media_url of nobody', 401, "/media-url?key=$own");
status('media_url with a signed URL', 401, "/media-url$valid&key=$own");
status('media_url with a signed URL of its path', 401,
    "/prefix/$own$valid&key=$own");
is $t->request('POST', "/media-url?key=$own", @token)->{status}, 405,
    'POST to media_url';

my $media = $t->get("/both/chat/acme/absent", @token);

$r = $t->get("/media-url?key=$foreign", @token);
is $r->{body}, $media->{body}, 'not found as any object';
is $r->{headers}{'content-type'}, 'application/json', 'an error is JSON';
$r = $t->get("/media-url?key=$own");
is "$r->{headers}{'content-type'} $r->{headers}{'www-authenticate'}",
    'application/json Bearer', 'without credentials as well';

# a page of another origin asks first

$r = $t->request('OPTIONS', "/media-url?key=$own",
    Origin => 'https://app.example',
    'Access-Control-Request-Headers' => 'authorization');
is $r->{status}, 204, 'preflight of media_url';
like $r->{headers}{'access-control-allow-headers'}, qr/Authorization/,
    'which allows a token';
$r = $t->get("/media-url?key=$own", @token, Origin => 'https://app.example');
is $r->{headers}{'access-control-allow-origin'}, 'https://app.example',
    'the answer is for that origin';

my $metrics = $t->get('/metrics')->{body};

like $metrics, qr/media_auth_refusals_total\{reason="$_"\} [1-9]/,
    "counted: $_" for qw(missing invalid foreign);

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

my $log = $t->error_log;

like $log, qr/invalid signed url: $_/, "logged: $_" for 'expired',
    'wrong signature', 'unknown key id', 'malformed time',
    'missing or repeated arguments', 'repeated arguments',
    'key of no tenant';
$log =~ s/%73ignature=\S+//g;     # which is no argument of ours
unlike $log, qr/\Q$signature\E/, 'no signature is in the error log';
like $log, qr/signature=\*{43}/, 'but stars are';

done_testing;
