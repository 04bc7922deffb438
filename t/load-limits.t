#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The limits of the shipped configuration: requests, connections and bytes of
# one tenant do not touch another's, and URLs and headers have bounds.  What
# is beyond them is refused as JSON.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Auth;
use Fault;
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Fault->new;

# as shipped, with smaller numbers, and tenants

Auth::key_file($t, 'jwks.json', Auth->jwks('HS256'));
$t->up(location => "media_jwt_key_file $t->{dir}/jwks.json;", edit => sub {
    my ($name) = @_;
    my $n = 0;

    $n += s/rate=1000r\/s/rate=20r\/s/;
    $n += s/burst=2000/burst=10/;
    $n += s/(limit_conn +media_connections) 2000/$1 4/;
    $n += s/# acme    2m;/acme 1m;/;

    my %wanted = ('media.conf' => 2, 'media_limits.conf' => 2);

    die "$name has other limits: change this test\n"
        if $n != ($wanted{$name} || 0);
});

my %caller = map { $_ => { Auth->bearer(Auth->token('HS256',
    tenant => $_)) } } qw(acme other);
my %small = map { $_ => $t->object("chat/$_/c/small.jpg", 500) } keys %caller;
my %large = map { $_ => $t->object("chat/$_/c/large.mp4", 2_500_000) }
    keys %caller;

sub seconds {
    my ($tenant) = @_;
    my $start = time;
    my $r = $t->get($large{$tenant}, %{ $caller{$tenant} });

    ok $r->{status} == 200 && $r->{body} eq $t->{objects}{$large{$tenant}},
        "$tenant: the bytes are right" or diag($r->{status});
    return time - $start;
}


# bytes: 1.5 MB after the first, 1 MB a second

seconds('other');
cmp_ok seconds('acme'), '>=', 1.2, 'a tenant with a rate waits';
cmp_ok seconds('other'), '<', 1, 'a tenant without one does not';

# requests

sleep 1;

my @flood = map { $t->get($small{acme}, %{ $caller{acme} }) } 1 .. 60;
my @served = grep { $_->{status} == 200 } @flood;
my @refused = grep { $_->{status} == 429 } @flood;

is @served + @refused, 60, 'a flood: served or refused';
ok @served >= 10, 'the burst is served';
ok @refused >= 10, 'what is beyond it is refused';
is scalar(grep { !Fault::is_json_error($_) } @refused), 0, 'as JSON';
is scalar(grep { $_->{body} ne $t->{objects}{$small{acme}} } @served), 0,
    'the bytes are right';
is $t->request('HEAD', $small{acme}, %{ $caller{acme} })->{status}, 429,
    'HEAD is a request';
is $t->get($small{acme}, Range => 'bytes=0-1', %{ $caller{acme} })
    ->{status}, 429, 'a range is one';
is $t->get($small{other}, %{ $caller{other} })->{status}, 200,
    'another tenant is served meanwhile';
is $t->get($small{acme})->{status}, 401, 'no tenant, no objects';
sleep 0.7;
is $t->get($small{acme}, %{ $caller{acme} })->{status}, 200,
    'the tenant is served again';

# connections that read slowly

sleep 0.7;

my @sockets = map { $t->connect } 1 .. 4;

for my $socket (@sockets) {
    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), 4096;
    print $socket "GET $large{acme} HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $caller{acme}{Authorization}\r\n\r\n";
    sysread $socket, my $text, 100;
}

my $r = $t->get($small{acme}, %{ $caller{acme} });

is $r->{status}, 429, 'one connection more than allowed';
ok Fault::is_json_error($r), 'as JSON';
is $t->get($small{other}, %{ $caller{other} })->{status}, 200,
    'another tenant has its own';
close $_ for @sockets;
sleep 0.3;
is $t->get($small{acme}, %{ $caller{acme} })->{status}, 200,
    'closed ones do not count';

# sizes of requests

$t->object('k' x 1024, 10);

my %other = %{ $caller{other} };
my @sizes = (
    [ 'a key of 1025 bytes', 400, '/media/' . 'k' x 1025 ],
    [ 'a key of 1025 bytes, encoded', 400, '/media/' . '%6B' x 1025 ],
    [ 'a key of 5000 bytes', 400, '/media/' . 'k' x 5000 ],
    [ 'a URL of 9000 bytes', 414, '/media/' . 'k' x 9000 ],
    [ 'a query of 9000 bytes', 414, "$small{other}?" . 'k' x 9000 ],
    [ 'a header of 9000 bytes', 400, $small{other}, X => 'x' x 9000 ],
    [ 'a name of 9000 bytes', 400, $small{other}, 'x' x 9000 => 'x' ],
    [ 'a token of 9000 bytes', 400, $small{other},
        Authorization => 'Bearer ' . 'x' x 9000 ],
    [ 'headers of 40000 bytes', 400, $small{other},
        map { ("X-$_" => 'x' x 4000) } 1 .. 10 ],
);

for my $case (@sizes) {
    my ($name, $status, $uri, %headers) = @$case;

    sleep 0.06;
    $r = $t->get($uri, %other, %headers);
    is $r->{status}, $status, $name;
    ok Fault::is_json_error($r), "$name: as JSON" or diag($r->{body});
}

is $t->get($small{other}, %other)->{status}, 200, 'others are served';

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
