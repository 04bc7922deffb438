#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Addresses out of messages, answers and redirects reach the public network
# only: https, hosts of the list, and no address of the operator's own; an
# origin that the operator configured is trusted.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sim sim_requests slurp data_dir);
use IO::Select;
use IO::Socket::INET;
use Job;
use Test::More;

job_or_skip();
sim('reset');

my $sim = $ENV{WHATSAPP_SIM_URL};
my $file = data_dir() . '/image-jpeg.plain';
my $size = -s $file;

# a server of the operator's that nobody may reach

my $inner = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
    or die $!;
my $port = $inner->sockport();

sub get {
    my ($url, $trusted, $host) = @_;

    return run_job('http', $url, $trusted, $host)->{refused};
}

sub untouched {
    my ($name) = @_;

    ok(!IO::Select->new($inner)->can_read(0.05), "$name: no connection");
    while (IO::Select->new($inner)->can_read(0)) {
        $inner->accept();
    }
}

sim(media => { path => '/plain', file => $file, unsigned => 1 });

my $result = run_job('http', "$sim/plain", $sim, 'whatsapp.net');

is($result->{status}, 200, 'a trusted origin may be private');
is($result->{length}, $size, 'and is read');

for my $url ('http://mmg.whatsapp.net/x', 'https://mmg.whatsapp.net:8443/x',
    'https://evil.example/x', 'https://evilwhatsapp.net/x',
    'https://whatsapp.net.evil.example/x', 'https://a@mmg.whatsapp.net/x',
    'ftp://mmg.whatsapp.net/x', 'file:///etc/passwd',
    "http://127.0.0.1:$port/x", "$sim\@127.0.0.1:$port/x")
{
    is(get($url, $sim, 'whatsapp.net'), 1, "$url: refused");
}

untouched('refused addresses');

# names and numbers that lead into the own network, although on the list

for my $host (qw(localhost 127.0.0.1 127.1 2130706433 0x7f000001 0.0.0.0
    10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 169.254.169.254 [::1]
    [::ffff:127.0.0.1] [fd00::1] [fe80::1] [64:ff9b::7f00:1]))
{
    is(get("https://$host/x", $sim, $host =~ tr/[]//dr), 1,
        "https://$host: refused");
}

# redirects are checked like the first address

for my $to ("http://127.0.0.1:$port/x", "https://127.0.0.1:$port/x",
    'https://localhost/x', 'http://[::1]/x', 'file:///etc/passwd',
    "//127.0.0.1:$port/x", 'gopher://127.0.0.1/x')
{
    sim(fault => { path => '/hop', times => 1, status => 302,
        location => $to });
    is(get("$sim/hop", $sim, 'localhost'), 1, "redirect to $to: refused");
    untouched("redirect to $to");
}

sim(fault => { path => '/hop', times => 1, status => 307,
    location => '/plain?a=1' });
$result = run_job('http', "$sim/hop", $sim, 'whatsapp.net');
is($result->{status}, 200, 'a redirect within the origin is followed');
is($result->{length}, $size, 'to its end');

my ($last) = reverse sim_requests(qr{^/plain\?a=1$});

is($last->{headers}{authorization}, 'Bearer credential',
    'with the credentials');

sim(fault => { path => '/loop', times => 99, status => 302,
    location => '/loop' });
is(get("$sim/loop", $sim, 'whatsapp.net'), 1, 'a loop ends');
is(scalar(sim_requests(qr{^/loop$})), 6, 'after five redirects');

# a proxy of the environment is not asked

{
    local @ENV{qw(http_proxy https_proxy ALL_PROXY)} =
        ("http://127.0.0.1:$port") x 3;

    is(run_job('http', "$sim/plain", $sim, 'x')->{status}, 200,
        'no proxy for http');
    is(get('https://localhost/x', $sim, 'localhost'), 1,
        'no proxy for https');
    untouched('the proxy');
}

done_testing();
