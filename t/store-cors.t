#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Pages of the named origins may use presigned URLs of media_store, and read
# its answers and refusals; those of others are not told that they may.

use strict;
use warnings;

use lib 't/lib';

use Store;
use Test::More;

my $crm = 'https://crm.example.com';
my $plain = Store->new()->start();
my $s = Store->new(server => "media_cors_origin $crm;")->start();
my $exposed = 'ETag, Content-Length, Content-Range, x-amz-request-id';

sub ask {
    my ($store, $method, $path, %headers) = @_;

    return $store->send($store->bytes($method, $path, '',
        { host => $store->{host}, %headers }, body => ''));
}

sub preflight {
    my ($store, $origin) = @_;

    return ask($store, 'OPTIONS', '/media/a', origin => $origin,
        'access-control-request-method' => 'PUT',
        'access-control-request-headers' => 'content-type');
}

sub cors {
    my ($r) = @_;

    return { map { $_ => $r->{h}{$_} }
        grep { /^access-control-|^vary$/ } keys %{ $r->{h} } };
}

my %told = ('access-control-allow-origin' => $crm, vary => 'Origin');

is($s->put('/media', '')->{status}, 200, 'bucket');

my $r = preflight($s, $crm);

is($r->{status}, 204, 'preflight');
is_deeply(cors($r), { %told,
    'access-control-allow-methods' => 'GET, HEAD, PUT, POST',
    'access-control-allow-headers' =>
        'Content-Type, Content-MD5, Range, If-Match, If-None-Match',
    'access-control-max-age' => 86400 }, 'preflight: allowed');

$told{'access-control-expose-headers'} = $exposed;

for my $case (
    ['PUT', 200, $s->presigned('PUT', '/media/a', body => 'a',
        unsigned => { origin => $crm })],
    ['GET', 200, $s->presigned('GET', '/media/a',
        unsigned => { origin => $crm })],
    ['absent', 404, $s->presigned('GET', '/media/b',
        unsigned => { origin => $crm })],
    ['another length', 403, $s->presigned('PUT', '/media/a', body => 'aa',
        headers => { 'content-length' => 1 },
        sent_headers => { 'content-length' => 2, origin => $crm })],
    ['too large', 400, $s->presigned('PUT', '/media/a', sent_headers =>
        { 'content-length' => 100 * 1024 * 1024, origin => $crm })])
{
    my ($name, $status, $request) = @$case;

    $r = $s->send($request);
    is($r->{status}, $status, $name) or diag $r->{head}, $r->{body};
    is_deeply(cors($r), \%told, "$name: may be read") or diag $r->{head};
}

for my $origin ('https://evil.example.com', "$crm.evil.example.com",
    'http://crm.example.com', 'null')
{
    $r = preflight($s, $origin);
    is($r->{status}, 204, "preflight of $origin");
    is_deeply(cors($r), { vary => 'Origin' }, "preflight of $origin: no");

    $r = $s->send($s->presigned('GET', '/media/a',
        unsigned => { origin => $origin }));
    is_deeply(cors($r), { vary => 'Origin' }, "GET of $origin: not read");
}

is(ask($s, 'GET', '/media/a', origin => $crm)->{status}, 403,
    'CORS signs nothing');
is(preflight($plain, $crm)->{status}, 403, 'without media_cors_origin');
is_deeply(cors(preflight($plain, $crm)), {}, 'without: nothing is told');

is($_->complaints, '', 'no alert') for $s, $plain;
done_testing();
