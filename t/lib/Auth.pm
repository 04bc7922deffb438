package Auth;

# Copyright (C) ngx_media contributors
#
# Callers of an nginx that authorises: tokens by Crypt::JWT, a verifier's
# independent judge, and signed URLs by Digest::SHA.  Keys are made anew in
# each process.

use strict;
use warnings;

use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use Crypt::PK::Ed25519;
use Crypt::PK::RSA;
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use SignedURL;

use parent 'Cache';

my $json = JSON::PP->new->canonical;

my %private = (
    HS256 => join('', map { chr int rand 256 } 1 .. 32),
    RS256 => Crypt::PK::RSA->new->generate_key(256),
    ES256 => Crypt::PK::ECC->new->generate_key('secp256r1'),
    EdDSA => Crypt::PK::Ed25519->new->generate_key,
);

my %secret = map { $_ => $_ . '-' . join '', map { int rand 10 } 1 .. 40 }
    qw(new old);

sub algorithms { return sort keys %private }

sub private_key { return $private{$_[1]} }

sub secret { return $secret{$_[1]} }

sub jwk {
    my ($self, $alg, %members) = @_;

    my $key = $private{$alg};
    my $jwk = ref $key ? $key->export_key_jwk('public', 1)
        : { kty => 'oct', k => encode_base64url($key) };

    return { %$jwk, kid => "key-$alg", %members };
}

# the JWK set of all algorithms, or of those

sub jwks {
    my ($self, @algs) = @_;

    return $json->encode({ keys =>
        [ map { ref $_ ? $_ : $self->jwk($_) }
              @algs ? @algs : $self->algorithms ] });
}

# a token for ten minutes; claims override, undef leaves one out

sub token {
    my ($self, $alg, %claims) = @_;

    my $header = delete $claims{header};
    my $key = delete $claims{key};
    my %fields = (kid => "key-$alg", typ => 'JWT', %{$header || {}});
    my %all = (tenant => 'acme', exp => time + 600, %claims);
    for my $set (\%fields, \%all) {
        delete @$set{grep { !defined $set->{$_} } keys %$set};
    }

    return encode_jwt(payload => $json->encode(\%all), alg => $alg,
        key => $key // $private{$alg}, allow_none => 1,
        extra_headers => \%fields);
}

sub bearer { my $self = shift; return (Authorization => "Bearer $_[0]") }

# "?expires=...&key_id=...&signature=..."

sub signed {
    my ($self, $key, %o) = @_;

    my $id = $o{id} // 'new';

    return signed_query($key, $o{expires} // time + 600, $id,
        $o{secret} // $secret{$id});
}

# The text of http {}: Redis, and an S3 server that is the origin.
#
#     server     directives of the server
#     media      further ones of /media/
#     locations  further locations

sub http {
    my ($self, %o) = @_;

    $_ //= '' for @o{qw(server media locations)};

    return <<"EOT";
    media_redis 127.0.0.1:\@REDIS\@;
    media_s3_endpoint http://127.0.0.1:\@ORIGIN\@;
    media_s3_bucket bucket;
    media_s3_access_key key;
    media_s3_secret_key secret;

    server {
        listen 127.0.0.1:\@PORT\@;
        $o{server}

        location /media/ {
            media_cache on;
            $o{media}
            proxy_pass http://127.0.0.1:\@ORIGIN\@\$media_s3_uri;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
        }
        $o{locations}
    }
EOT
}

# a file of keys, with its mode

sub key_file {
    my ($self, $name, $text, $mode) = @_;

    $self->write_file($name, $text);
    chmod $mode // 0600, "$self->{dir}/$name";
}

sub put {
    my ($self, $key, $content) = @_;

    $self->write_file("origin/bucket/$key", $content);
}

# a whole response as bytes

sub raw {
    my ($self, $method, $uri, %headers) = @_;

    my $socket = $self->connect or return '';
    my $text = '';

    print $socket "$method $uri HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n"
        . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
        . "\r\n";

    while (1) {
        my $n = sysread $socket, $text, 65536, length $text;
        next if !defined $n && $!{EINTR};
        last unless $n;
    }

    return $text;
}

1;
