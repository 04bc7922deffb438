#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# More objects than media_zone_size has room for: all are served, those that
# find no room without waiting for each other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Herd;
use Test::More;
use Time::HiRes qw(sleep);

my $n = 600;

my $t = Cache->new;
$t->configure(workers => 2, connections => 4096,
    main => 'worker_rlimit_nofile 8192;', http => <<'END');
    media_redis 127.0.0.1:@REDIS@;
    media_cache_max_size 1k;
    media_zone_size 128k;

    server {
        listen 127.0.0.1:@PORT@ backlog=4096;

        location /media/ {
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
        }
    }
END

$t->write_file("origin/small$_", "small $_") for 1 .. $n;
$t->write_file("origin/large$_", "large $_ " . 'x' x 2000) for 1 .. $n;
$t->redis_start;
$t->start;

for my $round (1 .. 3) {
    for my $size (qw(large small)) {
        my @responses = Herd::gallop(2 * $n, sub {
            { port => $t->{port}, uri => "/media/$size" . ($_[0] % $n + 1) }
        });
        my $right = grep { my $i = $_ % $n + 1;
            $responses[$_]{status} == 200
                && $responses[$_]{body} =~ /^$size $i\b/ } 0 .. $#responses;

        is $right, 2 * $n, "$size objects, round $round";
        cmp_ok Herd::slowest(@responses), '<', 4500, 'none timed out';
    }
}

# the nodes of large objects have gone, or are replaced

$t->redis('FLUSHALL');
is whole(), 100, 'one object for a hundred clients';
cmp_ok $t->origin_requests(qr/ .small7 /), '<=', 4, 'is fetched for all';

sub whole {
    return scalar grep { $_->{body} eq 'small 7' } Herd::gallop(100, sub {
        { port => $t->{port}, uri => '/media/small7' }
    });
}

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
