#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Scripts of the named origins may read files and errors, those of others may
# not, and no cache confuses them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Serve;
use Test::More;

my $crm = 'https://crm.example.com';
my $other = 'http://localhost:5173';

my $t = Serve->new(here => { body => 'hello', headers => [ 'ETag: "here"',
    'Vary: Accept', 'Access-Control-Allow-Origin: *',
    'Access-Control-Allow-Credentials: true',
    'Access-Control-Expose-Headers: x-amz-id-2' ] });

$t->run(all => "media_cors_origin $crm $other;", server => <<'EOT');
        location /any/ {
            media_proxy on;
            media_cors_origin *;
            proxy_pass http://s3/;
        }

        location /credentials/ {
            media_proxy on;
            media_cors_credentials on;
            proxy_pass http://s3/;
        }

        location /none/ {
            media_proxy on;
            media_cors_origin off;
            proxy_pass http://s3/;
        }

        location /locked/ {
            media_proxy on;
            auth_basic "media";
            auth_basic_user_file passwords;
            proxy_pass http://s3/;
        }
EOT

$t->write_file('passwords', '');

my $exposed = 'Content-Length, Content-Range, Accept-Ranges, ETag, '
    . 'Last-Modified, Content-Disposition, X-Cache';

sub cors {
    my ($r) = @_;

    return { map { $_ => $r->{headers}{$_} }
        grep { /^access-control-|^vary$/ } keys %{$r->{headers}} };
}

sub allowed {
    my ($origin, @more) = @_;

    return { 'access-control-allow-origin' => $origin,
        'access-control-expose-headers' => $exposed,
        $origin eq '*' ? () : (vary => 'Origin'), @more };
}

# each response of each tier, whatever its status

for my $location (qw(plain media disk)) {
    for my $case ([ 'here', 200 ], [ 'here', 304, 'If-None-Match: "here"' ],
        [ 'here', 206, 'Range: bytes=0-1' ], [ 'absent', 404 ],
        [ 'here', 412, 'If-Match: "x"' ])
    {
        my ($name, $status, @headers) = @$case;

        for my $method (qw(GET HEAD)) {
            my $s = $method eq 'HEAD' && $status == 206 ? 200 : $status;
            my $uri = "/$location/$name";
            my $r = $t->ask($method, $uri, "Origin: $crm", @headers);

            is $r->{status}, $s, "$method $uri: $s";
            is_deeply cors($r), allowed($crm), 'the origin is allowed';
            is_deeply cors($t->ask($method, $uri, "Origin: $other",
                @headers)), allowed($other), 'so is the other one';
            is_deeply cors($t->ask($method, $uri, "Origin: $crm.evil.com",
                @headers)), { vary => 'Origin' }, 'another is not';
            is_deeply cors($t->ask($method, $uri, @headers)),
                { vary => 'Origin' }, 'a page of the same site';
        }
    }

    $t->wait_entry('here') if $location eq 'media';
}

is_deeply cors($t->ask('GET', '/media/here', 'Range: bytes=9-',
    "Origin: $crm")), allowed($crm), 'allowed, 416';
is_deeply cors($t->ask('POST', '/plain/here', 'Content-Length: 0',
    "Origin: $crm")), allowed($crm), 'allowed, 405';
is_deeply cors($t->ask('GET', '/locked/here', "Origin: $crm")),
    allowed($crm), 'allowed, 401';

# what is no origin of ours

is_deeply cors($t->ask('GET', '/plain/here', "Origin: $_")),
    { vary => 'Origin' }, "\"$_\" is not allowed"
    for 'null', 'http://crm.example.com', "$crm:443", "$crm/", "x$crm",
    'https://CRM.example.com', 'https://crm.example.co', '*', ' ',
    'https://evil.com', "$crm $other", 'http://localhost';

# directives

is_deeply cors($t->ask('GET', '/any/here', @$_)), allowed('*'),
    "any origin: @$_" for [], [ "Origin: $crm" ], [ 'Origin: null' ];
is_deeply cors($t->ask('GET', '/credentials/here', "Origin: $crm")),
    allowed($crm, 'access-control-allow-credentials' => 'true'),
    'credentials';
is_deeply cors($t->ask('GET', '/credentials/here', 'Origin: http://x')),
    { vary => 'Origin' }, 'not for others';
is_deeply cors($t->ask('GET', '/none/here', "Origin: $crm")), {}, 'off';

# preflight

my @asked = ('Access-Control-Request-Method: GET',
    'Access-Control-Request-Headers: authorization,range');
my %answer = ('access-control-allow-methods' => 'GET, HEAD',
    'access-control-allow-headers' => 'Authorization, Range, If-Match, '
    . 'If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range',
    'access-control-max-age' => 86400);

for my $case ([ "/plain/here", $crm ], [ '/media/absent', $crm ],
    [ '/any/here', '*' ], [ '/locked/here', $crm ],
    [ '/credentials/here', $crm,
        'access-control-allow-credentials' => 'true' ])
{
    my ($uri, $origin, @more) = @$case;
    my $r = $t->ask('OPTIONS', $uri, "Origin: $crm", @asked);

    is $r->{status}, 204, "preflight of $uri";
    is_deeply cors($r), { %answer, @more,
        'access-control-allow-origin' => $origin,
        $origin eq '*' ? () : (vary => 'Origin') }, 'allowed';
    is $r->{headers}{'content-length'}, undef, 'no body';
    ok !$r->{close}, 'the connection is kept';
}

for my $origin ([ 'Origin: https://evil.com' ], []) {
    my $r = $t->ask('OPTIONS', '/plain/here', @$origin, @asked);

    is $r->{status}, 204, "preflight of @$origin";
    is_deeply cors($r), { vary => 'Origin' }, 'not allowed';
}

is $t->s3_requests(qr/^OPTIONS/), 0, 'S3 was not asked';
is $t->ask('OPTIONS', '/none/here', "Origin: $crm", @asked)->{status}, 405,
    'no preflight without CORS';
is $t->ask('DELETE', '/plain/here')->{headers}{allow}, 'GET, HEAD, OPTIONS',
    'Allow';

is $t->alarms, '', 'nothing alarming was logged';

done_testing;
