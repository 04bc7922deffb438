#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# nginx -t refuses what cannot be meant, with a sentence that says what to
# write instead.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Auth;
use Crypt::PK::RSA;
use POSIX qw(mkfifo);
use Test::More;

my $t = Auth->new;
my $secret = $t->secret('new');
my $oct = $t->jwk('HS256');
my $public = $t->jwks(qw(RS256 ES256 EdDSA));
my $private = $t->private_key('ES256')->export_key_jwk('private', 1);
my $weak = Crypt::PK::RSA->new->generate_key(128)->export_key_jwk('public', 1);

$t->key_file('all', $t->jwks);
$t->key_file('all-640', $t->jwks, 0640);
$t->key_file('all-644', $t->jwks, 0644);
$t->key_file('public-644', $public, 0644);
$t->key_file('public-664', $public, 0664);
$t->key_file('public-646', $public, 0646);
$t->key_file('private-644', $t->jwks({ %$private, kid => 'x' }), 0644);
$t->key_file('private-600', $t->jwks({ %$private, kid => 'x' }), 0600);
$t->key_file('encryption-644', $t->jwks('ES256', { %$oct, use => 'enc' }),
    0644);
$t->key_file('large', $public . ' ' x 65536);
$t->key_file('weak', $t->jwks($weak));
$t->key_file('short', $t->jwks({ %$oct, k => 'AAAA' }));
$t->key_file('contradiction', $t->jwks({ %$oct, alg => 'RS256' }));
$t->key_file('pem', $t->private_key('RS256')->export_key_pem('public'));
$t->key_file('one', JSON::PP->new->encode($t->jwk('ES256')));
$t->key_file('empty', '');
$t->key_file('sign', "$secret\n");
$t->key_file('sign-644', "$secret\n", 0644);
$t->key_file('sign-660', "$secret\n", 0660);
$t->key_file('sign-short', "short\n");
mkfifo("$t->{dir}/pipe", 0600) or die "mkfifo: $!\n";
symlink "$t->{dir}/all", "$t->{dir}/link";

my $keys = 'media_jwt_key_file all;';
my $sign = "media_sign_key a $secret;";

# directives of a location, and what is said of them; undef: they are right

for my $case (
    [ $keys ],
    [ 'media_jwt_key_file all-640;' ],
    [ 'media_jwt_key_file link;' ],
    [ 'media_jwt_key_file public-644;' ],
    [ 'media_jwt_key_file private-600;' ],
    [ 'media_jwt_key_file off;' ],
    [ 'media_jwt_key_file all-644;', qr/read by all users, use "chmod 640/ ],
    [ 'media_jwt_key_file private-644;', qr/read by all users/ ],
    [ 'media_jwt_key_file encryption-644;', qr/read by all users/ ],
    [ 'media_jwt_key_file public-664;', qr/written by others.*chmod 640/ ],
    [ 'media_jwt_key_file public-646;', qr/written by others/ ],
    [ 'media_jwt_key_file large;', qr/more than 65536 bytes/ ],
    [ 'media_jwt_key_file weak;', qr/less than 2048 bits, use 2048/ ],
    [ 'media_jwt_key_file short;', qr/less than 32 bytes, use "openssl/ ],
    [ 'media_jwt_key_file contradiction;', qr/"alg" that is not for its/ ],
    [ 'media_jwt_key_file pem;', qr/refused as a JWK set: it is not JSON/ ],
    [ 'media_jwt_key_file one;', qr/no "keys", write/ ],
    [ 'media_jwt_key_file empty;', qr/it is empty/ ],
    [ 'media_jwt_key_file absent;', qr/absent" failed.*No such file/ ],
    [ 'media_jwt_key_file pipe;', qr/not a regular file/ ],
    [ 'media_jwt_key_file origin;', qr/not a regular file/ ],
    [ 'media_jwt_key_file /dev/null;', qr/not a regular file/ ],
    [ "$keys $keys", qr/duplicate, put all keys into one file/ ],
    [ "$keys media_jwt_token \$arg_a \${cookie_b};" ],
    [ "$keys media_jwt_token token;", qr/"token".*no variable, write/ ],
    [ "$keys media_jwt_token \$arg_a; media_jwt_token \$arg_b;",
        qr/write all values in one/ ],
    [ "$keys media_jwt_audience a; media_jwt_issuer i; media_jwt_claim sub;"
        . 'media_jwt_leeway 1h;' ],
    [ "$keys media_jwt_audience '';", qr/not be empty, leave them out/ ],
    [ "$keys media_jwt_issuer '';", qr/not be empty/ ],
    [ "$keys media_jwt_claim exp;", qr/claim that has the tenant/ ],
    [ "$keys media_jwt_leeway 3601s;", qr/1h at the most/ ],
    [ 'media_jwt_audience a;',
        qr/"media_jwt_audience" in location .* needs "media_jwt_key_file"/ ],
    [ 'media_jwt_issuer a;', qr/"media_jwt_issuer" in location/ ],
    [ "$sign media_jwt_token \$arg_a;", qr/"media_jwt_token" in location/ ],
    [ 'media_tenant $arg_tenant;' ],
    [ 'media_tenant acme;' ],
    [ 'media_tenant off;' ],
    [ 'media_tenant "a b";', qr/must be a variable, or 1 to 64 letters/ ],
    [ 'media_tenant "";', qr/must be a variable/ ],
    [ 'media_tenant a; media_tenant b;', qr/duplicate/ ],
    [ "$sign media_sign_key_file b sign;" ],
    [ 'media_sign_key off;' ],
    [ "media_sign_key $secret;", qr/needs an id and a secret/ ],
    [ 'media_sign_key a short;',
        qr/"a" has less than 32 bytes, use "openssl rand -hex 32"/ ],
    [ "media_sign_key 'a b' $secret;", qr/invalid id, use 1 to 32/ ],
    [ "$sign $sign", qr/id that is in use/ ],
    [ "$sign media_sign_key b $secret; media_sign_key c $secret;",
        qr/third key/ ],
    [ "media_sign_key off; $sign", qr/is "off" already/ ],
    [ "$sign media_sign_key off;", qr/duplicate/ ],
    [ 'media_sign_key_file a sign-644;', qr/read by all users/ ],
    [ 'media_sign_key_file a sign-660;', qr/written by others/ ],
    [ 'media_sign_key_file a sign-short;', qr/less than 32 bytes/ ],
    [ 'media_sign_key_file a pipe;', qr/not a regular file/ ],
    [ "$sign media_sign_ttl 0;", qr/from 1s to 7d/ ],
    [ "$sign media_sign_ttl 8d;", qr/from 1s to 7d/ ],
    [ "$keys $sign media_url;" ],
    [ "media_tenant \$arg_a; $sign media_url;" ],
    [ "$keys media_url;", qr/"media_url" needs "media_sign_key"/ ],
    [ "$sign media_url;", qr/"media_url" needs "media_jwt_key_file"/ ],
    [ "$keys $sign media_url; media_url;", qr/duplicate/ ],
    [ "media_webhook wapi; media_webhook_token x; $keys",
        qr/themselves, write "media_jwt_key_file off"/ ],
    [ 'media_store origin; media_store_access_key a; media_tenant acme;'
        . 'media_store_secret_key b;', qr/themselves, write/ ])
{
    my ($directives, $error) = @$case;

    unlink "$t->{dir}/logs/test.log", "$t->{dir}/logs/error.log";
    $t->configure(http => "server { listen 127.0.0.1:\@PORT\@; "
        . "location /media/ { $directives } }");

    my ($code, $output) = $t->test_configuration;
    $directives =~ s/\Q$secret\E/SECRET/g;

    if ($error) {
        ok $code != 0 && $output =~ $error, "$directives is refused"
            or diag $output;
    } else {
        is $code, 0, $directives or diag $output;
    }

    unlike $output, qr/\Q$secret\E|\Q$oct->{k}\E/, 'no secret is shown';
    unlike $output, qr/Sanitizer|runtime error/, 'no memory error';
}

# a server may say what its locations are to use

$t->configure(http => <<'EOT');
    media_jwt_audience media;
    media_jwt_leeway 10s;
    server {
        listen 127.0.0.1:@PORT@;
        media_jwt_issuer https://idp.example;
        location / {
            media_jwt_token $arg_token;
            location /media/ { media_jwt_key_file all; }
        }
    }
EOT
is +($t->test_configuration)[0], 0, 'of a server, for its locations';

done_testing;
