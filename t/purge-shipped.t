#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The shipped configuration: objects small and large are new in each tier
# within a second of their purge, and media_metrics says what happened.

use strict;
use warnings;

use lib 't/lib';

use Prometheus;
use Shipped;
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Shipped->new;
my %size = ('chat/acme/a.jpg' => 5000, 'chat/acme/film.mp4' => 3_200_000);

$t->redis_start;
$t->configure;
$t->start;
$t->redis('SET', 'media:purges', '1' x 32 . "\n");

sub metrics { return Prometheus::read_text($t->get('/metrics')->{body}) }

sub uri { return $t->signed($_[0], 60) }

sub version { return substr $t->get(uri($_[0]))->{body}, -1 }

sub put {
    my ($version) = @_;

    $t->put($_, $version x $size{$_}, 'application/octet-stream')
        for keys %size;
}

put('a');

for my $key (sort keys %size) {
    is(version($key), 'a', "$key: from S3");
    $t->wait_entry($key) if $size{$key} < 1 << 20;
    is($t->outcome(uri($key)), '200 HIT', "$key: from a cache");
}

put('b');
is(version($_), 'a', "$_: old before its purge") for sort keys %size;

my $id = 0;

for my $target ('chat/acme/a.jpg', 'chat/acme/film.mp4', 'chat/acme/') {
    my @keys = grep { /^\Q$target/ } sort keys %size;
    my $end = time() + 1;

    put($target =~ m{/$} ? 'c' : 'b');
    $t->redis('APPEND', 'media:purges', ++$id . " $target\n");

    for my $key (@keys) {
        my $wanted = $target =~ m{/$} ? 'c' : 'b';
        my $is;
        do { $is = version($key) } while ($is ne $wanted && time() < $end);
        is($is, $wanted, "$key: new after purge of $target");
        is(length $t->get(uri($key))->{body}, $size{$key}, 'all of it');

        my $again;
        for (1 .. 50) {
            $again = $t->outcome(uri($key));
            last if $again eq '200 HIT';
            sleep 0.05;
        }
        is($again, '200 HIT', 'and is cached again');
    }
}

my $before = metrics();
is($t->get(uri('chat/acme/none'))->{status}, 404, 'an absent object');
$t->get(uri('chat/acme/a.jpg')) for 1 .. 3;
$t->get(uri('chat/acme/film.mp4'), Range => 'bytes=2000000-2000009')
    for 1 .. 2;
my $after = metrics();

sub grown { return $after->{$_[0]} - $before->{$_[0]} }

is(grown('media_cache_hits_total{tier="redis"}'), 3, 'hits in redis');
is(grown('media_cache_hits_total{tier="disk"}'), 2, 'hits on disk');
is(grown('media_response_bytes_total{tier="redis"}'), 15_000, 'their bytes');
is(grown('media_response_bytes_total{tier="disk"}'), 20, 'and these');
is(grown('media_cache_misses_total'), 1, 'a miss');
is(grown("media_s3_errors_total{class=\"$_\"}"), 0, "no error: $_")
    for qw(denied unavailable refused connect timeout closed truncated);
is($after->{media_purges}, 3, 'purges');

ok($t->stop, 'stopped');
is($t->alarms, '', 'no alarms');

done_testing();
