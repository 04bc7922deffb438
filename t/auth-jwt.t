#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Who comes with a JSON Web Token reads the objects of the tenant it names,
# and no others; whatever is wrong with one is a 401 that tells nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Auth;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::RSA;
use MIME::Base64 qw(encode_base64url decode_base64url);
use Test::More;

my $own = 'chat/acme/c1/0011aabb_photo.jpg';
my $photo = 'a photo of acme';
my $invalid = 'Bearer error="invalid_token"';

my $t = Auth->new;

$t->key_file('keys.json', $t->jwks);
$t->put($own, $photo);
$t->configure(http => $t->http(
    server => 'large_client_header_buffers 4 32k;
        media_jwt_key_file @DIR@/keys.json;',
    locations => <<'EOT'));
        location /strict/ {
            media_cache on;
            media_jwt_issuer https://idp.example;
            media_jwt_audience media;
            media_jwt_claim org;
            media_jwt_leeway 30s;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location /any/ {
            media_cache on;
            media_jwt_token $http_authorization $cookie_media_token
                            $arg_token;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        location /application/ {
            media_jwt_token $arg_token $http_authorization;
            return 200 "tenant=$media_tenant";
        }
        location /backend/ {
            proxy_set_header X-Tenant $media_tenant;
            proxy_pass http://127.0.0.1:@ORIGIN@;
        }
        location /open/ {
            media_jwt_key_file off;
            proxy_pass http://127.0.0.1:@ORIGIN@/bucket/;
        }
        location /limited/ {
            limit_req zone=tenants;
            media_jwt_token $http_authorization $arg_token;
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;
        }
        error_page 401 /login;
        location = /login {
            media_jwt_key_file off;
            internal;
            return 401 "please log in";
        }
    }

    limit_req_zone $media_tenant zone=tenants:1m rate=1r/m;

    server {
        listen 127.0.0.1:@PORT@;
        server_name unused;
EOT
$t->redis_start;
$t->start;

sub ask {
    my ($uri, %headers) = @_;

    my $r = $t->get($uri, %headers);
    return ($r->{status}, $r->{headers}{'www-authenticate'} // '-');
}

sub accepted {
    my ($name, $uri, %headers) = @_;

    my $r = $t->get($uri, %headers);
    is "$r->{status} $r->{body}", "200 $photo", $name;
}

sub refused {
    my ($name, $uri, %headers) = @_;

    is join(' ', ask($uri, %headers)), "401 $invalid", $name;
}

# what is right

for my $alg ($t->algorithms) {
    my $token = $t->token($alg);

    accepted("$alg in a header", "/media/$own", $t->bearer($token));
    accepted("$alg in a cookie", "/any/$own",
        Cookie => "a=b; media_token=$token; c=d");
    accepted("$alg in an argument", "/any/$own?x=1&token=$token");
    accepted("$alg without a key id", "/media/$own",
        $t->bearer($t->token($alg, header => { kid => undef })));

    my $r = $t->request('HEAD', "/media/$own", $t->bearer($token));
    is $r->{status}, 200, "$alg, HEAD";
    is $r->{headers}{'content-length'}, length $photo, "$alg, length";
}

my $token = $t->token('ES256');

accepted('the scheme has no case', "/media/$own",
    Authorization => "bEARER  $token");
accepted('without a scheme', "/media/$own", Authorization => $token);
accepted('the first value that is not empty', "/any/$own?token=none",
    $t->bearer($token));
accepted('another scheme is no token', "/any/$own?token=$token",
    Authorization => 'Basic YTpi');
accepted('a fraction of a second', "/media/$own",
    $t->bearer($t->token('EdDSA', exp => time + 600.5, nbf => time - 0.5)));

my %strict = (org => 'acme', tenant => undef, aud => 'media',
    iss => 'https://idp.example');

accepted('issuer, audience and claim', "/strict/$own",
    $t->bearer($t->token('RS256', %strict)));
accepted('one audience of several', "/strict/$own",
    $t->bearer($t->token('RS256', %strict, aud => [qw(mail media)])));
accepted('expired within the leeway', "/strict/$own",
    $t->bearer($t->token('RS256', %strict, exp => time - 10)));
accepted('early within the leeway', "/strict/$own",
    $t->bearer($t->token('RS256', %strict, nbf => time + 10)));

# what is wrong

is join(' ', ask("/media/$own")), '401 Bearer', 'no token';
is join(' ', ask("/media/$own", Authorization => 'Basic YTpi')),
    '401 Bearer', 'another scheme only';
is join(' ', ask("/media/$own?token=$token")), '401 Bearer',
    'an argument that is not asked for';

for my $alg ($t->algorithms) {
    my $good = $t->token($alg);
    my ($header, $payload, $signature) = split /\./, $good;
    my $other = encode_base64url('{"tenant":"globex","exp":9999999999}');

    (my $flipped = $signature) =~ tr/A-Za-z0-9_-/B-Za-z0-9_A-/;

    refused("$alg: $_->[0]", "/media/$own", $t->bearer($_->[1])) for
        [ 'another payload', "$header.$other.$signature" ],
        [ 'another signature', "$header.$payload.$flipped" ],
        [ 'no signature', "$header.$payload." ],
        [ 'two parts', "$header.$payload" ],
        [ 'four parts', "$good.$signature" ],
        [ 'padding', "$good=" ],
        [ 'expired', $t->token($alg, exp => time - 1) ],
        [ 'no end', $t->token($alg, exp => undef) ],
        [ 'an end that is text', $t->token($alg, exp => '9999999999x') ],
        [ 'not yet', $t->token($alg, nbf => time + 60) ],
        [ 'no tenant', $t->token($alg, tenant => undef) ],
        [ 'a tenant that is a number', $t->token($alg, tenant => 7) ],
        [ 'a tenant that is a path', $t->token($alg, tenant => 'acme/c1') ],
        [ 'an unasked audience', $t->token($alg, aud => 'mail') ],
        [ 'nested', $t->token($alg, header => { cty => 'JWT' }) ],
        [ 'critical', $t->token($alg, header =>
            { crit => ['b64'], b64 => \0 }) ],
        [ '9 KiB', $t->token($alg, x => 'x' x 9216) ],
        [ 'unknown key id', $t->token($alg, header => { kid => 'x' }) ];
}

refused("none", "/media/$own",
    $t->bearer(encode_jwt(payload => '{"tenant":"acme","exp":9999999999}',
        alg => 'none', allow_none => 1)));

for my $none (qw(none None NONE HS384 RS512 ES384 PS256)) {
    my $part = encode_base64url(qq({"alg":"$none"}));
    my $payload = encode_base64url('{"tenant":"acme","exp":9999999999}');

    refused("header of $none", "/media/$own", $t->bearer("$part.$payload."));
    refused("header of $none, signature", "/media/$own",
        $t->bearer("$part.$payload.AAAA"));
}

# a public key, in each of its forms, is not a secret

my $public = $t->private_key('RS256');

for my $form ([ pem => $public->export_key_pem('public') ],
    [ x509 => $public->export_key_pem('public_x509') ],
    [ der => $public->export_key_der('public_x509') ],
    [ jwk => $public->export_key_jwk('public') ],
    [ n => decode_base64url($public->export_key_jwk('public', 1)->{n}) ])
{
    for my $kid ('key-RS256', 'key-HS256', undef) {
        refused("HS256 by the public key as $form->[0], kid "
            . ($kid // 'none'), "/media/$own", $t->bearer(
                $t->token('HS256', key => $form->[1],
                    header => { kid => $kid })));
    }
}

refused('a stranger\'s key', "/media/$own", $t->bearer($t->token('RS256',
    key => Crypt::PK::RSA->new->generate_key(256))));

for my $case ([ 'wrong issuer', iss => 'https://idp.example/' ],
    [ 'no issuer', iss => undef ], [ 'wrong audience', aud => 'mail' ],
    [ 'wrong audiences', aud => [qw(mail medi)] ],
    [ 'no audience', aud => undef ], [ 'another claim', org => undef ],
    [ 'expired beyond the leeway', exp => time - 40 ],
    [ 'early beyond the leeway', nbf => time + 60 ])
{
    my ($name, @claims) = @$case;

    refused($name, "/strict/$own",
        $t->bearer($t->token('EdDSA', %strict, @claims)));
}

is $t->redis('DBSIZE'), 1, 'one object is in Redis';
is $t->origin_requests('GET'), 1, 'one request reached S3';

# locations without objects

is $t->get("/open/$own")->{body}, $photo, 'off: a location that is open';
$t->get("/backend/x", $t->bearer($token));
is $t->origin_requests('GET /backend/x'), 1, 'a backend is asked';
is join(' ', ask('/backend/x')), '401 Bearer', 'but not without a token';
is $t->get('/application/', $t->bearer($token))->{body}, 'tenant=acme',
    '$media_tenant in the rewrite phase';
is $t->get('/application/')->{body}, 'tenant=', '$media_tenant of nobody';
is $t->get('/application/', $t->bearer("x$token"))->{body}, 'tenant=',
    '$media_tenant of an invalid token';
is $t->get("/media/$own")->{body}, 'please log in', 'error_page';

is $t->get("/limited/$own", $t->bearer($token))->{status}, 200,
    'limit_req by $media_tenant: the first';
is $t->get("/limited/$own", $t->bearer($token))->{status}, 503,
    'limit_req: the second';
is $t->get("/limited/$own", $t->bearer($t->token('HS256',
    tenant => 'globex')))->{status}, 404, 'limit_req: of another tenant';

# another phase's refusal logs the request line as well

$t->get("/limited/$own?token=$token", $t->bearer($token));
$t->get("/any/$own?token=" . $t->token('HS256', exp => 1));
$t->get("/any/none?ToKeN=$token&token=" . $t->token('HS256'));

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

my $log = $t->error_log;

like $log, qr/client sent invalid token: $_/, "logged: $_" for 'expired',
    'not valid yet', 'wrong signature', 'unknown key', 'wrong audience',
    'wrong issuer', 'too large', 'nested token', 'critical header',
    'algorithm that no key is for', 'no tenant', 'malformed claims',
    'not three parts';
$log =~ s{/media/\S+\?token=\S+}{}g;      # where it is no token's place
unlike $log, qr/eyJ[\w-]+\.eyJ/, 'no token is in the error log';
like $log, qr/any\/none\?ToKeN=\*+&token=\*+ /, 'but stars are';

done_testing;
