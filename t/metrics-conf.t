#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# media_metrics and media_zone_size refuse what they cannot do, and say what
# to write instead.

use strict;
use warnings;

use Cache;
use Test::More;

sub refused {
    my ($http, $wanted, $name) = @_;

    my $t = Cache->new;
    $t->configure(http => "media_redis 127.0.0.1:1; $http");
    my ($status, $output) = $t->test_configuration;
    isnt($status, 0, "$name: refused");
    like($output, $wanted, "$name: and why");
}

my $own = qr/"media_metrics" must be in a location of its own/;

refused('media_zone_size 64k;', qr/"media_zone_size" must be at least 131072/,
    'a small zone');
refused('media_zone_size 1m; media_zone_size 2m;', qr/is duplicate/,
    'two sizes');
refused('server { location / { media_metrics; media_metrics; } }',
    qr/"media_metrics" directive is duplicate/, 'twice');
refused('server { location / { media_cache on; media_metrics; } }', $own,
    'with media_cache');
refused('server { location / { media_proxy on; media_metrics; } }', $own,
    'with media_proxy');
refused('server { location / { proxy_pass http://127.0.0.1:1; media_metrics; }'
    . ' }', $own, 'with proxy_pass');
refused('server { location / { media_metrics on; } }',
    qr/invalid number of arguments in "media_metrics"/, 'with a value');
refused('media_metrics;', qr/"media_metrics" directive is not allowed here/,
    'outside of a location');

done_testing();
