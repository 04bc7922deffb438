#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# curl and wget go on with a download that broke, from each tier of the
# shipped configuration.  A relay between them and nginx ends each connection
# before a file is through.

use strict;
use warnings;

use lib 't/lib';

use IO::Select;
use Mp4;
use POSIX ();
use Shipped;
use Test::More;
use Time::HiRes qw(time);

for my $program (qw(curl wget)) {
    grep { -x "$_/$program" } split /:/, $ENV{PATH}
        or die "no $program: apt-get install $program\n";
}

my $t = Shipped->new;
my $relay = Cache::free_port();
my %object = ('chat/acme/scan.pdf' => Mp4::filler(700001, 3),
    'chat/acme/film.mp4' => Mp4::filler(5 * 1048576 + 77, 4));
my %retried = (s3 => 'film.mp4', redis => 'scan.pdf', disk => 'film.mp4');
my %cut = ('chat/acme/scan.pdf' => 300000, 'chat/acme/film.mp4' => 2300000);

$t->put($_, $object{$_}, 'application/octet-stream') for keys %object;
$t->redis_start;
$t->configure;
$t->start;
$t->serve($relay, \&relay);

$t->in_tiers(\%object, sub {
    my ($tier) = @_;

    for my $key (sort keys %object) {
        $t->flush if $tier eq 's3';
        curl($tier, $key);
        $t->flush if $tier eq 's3';
        wget($tier, $key);
    }

    $t->flush if $tier eq 's3';
    curl_retry($tier, "chat/acme/$retried{$tier}");

    is scalar $t->s3_requests(qr/./), 0, "$tier: no request to S3"
        if $tier ne 's3';
});

is $t->alarms, '', 'no alert';
ok $t->stop, 'nginx ends';
done_testing();


# curl is told to continue at the end of what it has, until all is there

sub curl {
    my ($tier, $key) = @_;
    my $file = $t->dir . '/download';
    my @codes;

    unlink $file;
    push @codes, run('curl', '-sS', '-C', '-', '-o', $file, cut_url($key))
        until @codes && !$codes[-1] || @codes > 5;

    is "@codes", '18 18 0', "$tier: $key: curl -C - three times";
    ok $t->read_file($file) eq $object{$key}, "$tier: $key: curl: bytes";
    resumed($tier, $key, 'curl', 3);

    my $code = run('curl', '-sS', '-C', '-', '-o', $file, $t->url($key));

    is $code, 0, "$tier: $key: curl -C - of a whole file";
    ok $t->read_file($file) eq $object{$key},
        "$tier: $key: curl has left it as it was";
    is join(' ', map { "$_->{status} $_->{content_range}" } $t->requests(1)),
        '416 bytes */' . length $object{$key},
        "$tier: $key: 416 says that it is whole";
}


# curl repeats by itself after a second: it continues where it has begun, or
# where it was cut, depending on its version

sub curl_retry {
    my ($tier, $key) = @_;
    my $file = $t->dir . '/download';
    my $half = int length($object{$key}) / 2;

    $t->write_file('download', substr $object{$key}, 0, $half);

    my $code = run('curl', '-sS', '-C', '-', '--retry', 2,
        '--retry-all-errors', '-o', $file, cut_url($key) . "&once=$tier");

    is $code, 0, "$tier: $key: curl --retry";
    ok $t->read_file($file) eq $object{$key}, "$tier: $key: --retry: bytes";
    is scalar(grep { $_->{status} == 206 } $t->requests(2)), 2,
        "$tier: $key: --retry: 206 twice";
}


# wget continues by itself

sub wget {
    my ($tier, $key) = @_;
    my $file = $t->dir . '/download';

    $t->write_file('download', substr $object{$key}, 0, 1000);

    my $code = run('wget', '-q', '-c', '--tries=5', '--waitretry=0', '-O',
        $file, cut_url($key));

    is $code, 0, "$tier: $key: wget -c";
    ok $t->read_file($file) eq $object{$key}, "$tier: $key: wget: bytes";
    resumed($tier, $key, 'wget', 3);
}


sub resumed {
    my ($tier, $key, $client, $n) = @_;
    my @requests = $t->requests($n);
    my $size = length $object{$key};
    my @partial = grep { $_->{status} == 206
        && $_->{content_range} =~ m{^bytes [1-9]\d*-\d+/$size$} } @requests;

    cmp_ok scalar @partial, '>=', 2, "$tier: $key: $client: 206 twice"
        or diag map { join(' ', %$_), "\n" } @requests;
    is scalar @requests, $n, "$tier: $key: $client: $n requests";
}


sub cut_url {
    my ($key) = @_;
    my $url = $t->url($key);

    $url =~ s/:\d+/:$relay/;
    return "$url?cut=$cut{$key}";
}


sub run {
    my $pid = $t->spawn($t->dir . '/logs/clients.log', 'timeout', 30, @_);

    waitpid $pid, 0;
    return $? >> 8;
}


# passes on a request, and as much of the answer as its argument says, each
# time or once

sub relay {
    my ($client) = @_;
    my $server = $t->connect or return;
    my $select = IO::Select->new($client, $server);
    my $left;

    while (my @ready = $select->can_read(30)) {
        for my $from (@ready) {
            my $n = sysread $from, my $bytes, 65536;

            return unless $n;

            $left = $1 if $from == $client && !defined $left
                && $bytes =~ /\?cut=(\d+)(?:&once=(\w+))?/
                && (!$2 || mkdir $t->dir . "/cut-$2");

            if ($from == $server && defined $left) {
                $bytes = substr $bytes, 0, $left;
                $left -= length $bytes;
            }

            print { $from == $client ? $server : $client } $bytes;
            return if defined $left && $left <= 0;
        }
    }
}
