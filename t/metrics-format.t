#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# media_metrics speaks Prometheus' text format, and its numbers are exact:
# across worker processes, reloads and processes that are killed.

use strict;
use warnings;

use Cache;
use IO::Socket::INET;
use Prometheus;
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Cache->new;
my $bad = Cache::free_port();
my $closed = Cache::free_port();

$t->configure(workers => 2, http => <<"EOT", origin => <<'EOO');
    media_redis 127.0.0.1:\@REDIS\@;
    media_redis_timeout 2s;
    proxy_cache_path \@DIR\@/disk levels=1 keys_zone=disk:1m;

    server {
        listen 127.0.0.1:\@PORT\@;

        media_cache on;
        media_s3_key \$uri;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_read_timeout 300ms;

        location = /metrics { media_metrics; }

        location /media/ {
            media_cache_bypass \$arg_fresh;
            proxy_pass http://127.0.0.1:\@ORIGIN\@/;
            add_header X-Time \$media_lookup_time;
            add_header X-Tier \$media_cache_tier;
            add_header X-Category \$media_category;
        }

        location /disk/ {
            media_cache off;
            media_proxy on;
            proxy_cache disk;
            proxy_cache_key \$media_cache_key\$slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_pass http://127.0.0.1:\@ORIGIN\@/;
        }

        location /caught/ {
            proxy_intercept_errors on;
            error_page 403 = \@caught;
            proxy_pass http://127.0.0.1:\@ORIGIN\@/;
        }

        location \@caught { media_cache off; return 502; }

        location /bad/ {
            slice 1k;
            proxy_set_header Range \$slice_range;
            proxy_pass http://127.0.0.1:$bad/;
        }

        location /plain/ { proxy_pass http://127.0.0.1:$bad/; }
        location /closed/ { proxy_pass http://127.0.0.1:$closed/; }
        location /other/ { media_cache off; return 200 \$pid; }
    }
EOT
    location /denied { return 403; }
    location /slowdown { return 503; }
EOO

# an origin with the faults of the requested name

$t->serve($bad, sub {
    my ($client) = @_;
    my $request = <$client>;
    my $range = '';
    while (<$client>) { $range = $1 if /^Range: (\S+)/i; last if /^\r?$/ }

    if ($request =~ /half/) {
        print $client "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    } elsif ($request =~ /silent/) {
        sleep 1;
    } elsif ($request =~ /second/ && $range =~ /=0-/) {
        print $client "HTTP/1.1 206 Partial\r\nContent-Length: 1024\r\n"
            . "Content-Range: bytes 0-1023/2048\r\n\r\n" . 'x' x 1024;
    } elsif ($request =~ /second/) {
        print $client "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n";
    }
});

$t->write_file("origin/chat/1/$_.jpg", $_ x 100) for 0 .. 9;
$t->redis_start;
$t->start;

sub metrics {
    my $response = $t->get('/metrics');

    my $value = eval { Prometheus::read_text($response->{body}) };
    is($@, '', 'valid') if $@;
    return $value || {};
}

my $before = {};

# what grew since the last call

sub grown {
    my $now = metrics();
    my %grown;

    for (keys %$now) {
        next unless /_(?:total|count)\b/;
        my $n = $now->{$_} - ($before->{$_} // 0);
        s/^media_//, $grown{$_} = $n if $n;
    }

    $before = $now;
    return \%grown;
}

my $first = $t->get('/metrics');

is($first->{headers}{'content-type'}, 'text/plain; version=0.0.4',
    'content type');
is($first->{headers}{'content-length'}, length $first->{body}, 'length');
is($t->request('POST', '/metrics', 'Content-Length' => 0)->{status}, 405,
    'POST is not allowed');

my $head = $t->request('HEAD', '/metrics');
is($head->{status}, 200, 'HEAD');
is($head->{body}, '', 'without a body');
is_deeply(grown(), {}, 'nothing was counted');

is($before->{"media_redis_connections{state=\"$_\"}"},
    $_ eq 'up' ? 4 : 0, "connections of two processes: $_")
    for qw(idle connecting greeting up down);
is($before->{"media_amqp_connections{state=\"$_\"}"}, 0, "amqp: $_")
    for qw(up down);
is($before->{media_zone_size_bytes}, 8 << 20, 'size of the zone');
cmp_ok($before->{media_zone_free_bytes}, '<', 8 << 20, 'less is free');
cmp_ok($before->{media_zone_free_bytes}, '>', 7 << 20, 'much is free');
cmp_ok($before->{media_purges_age_seconds}, '<', 2, 'purges are read');

# a known mix

my $bytes = 0;

sub fetch {
    my ($uri) = @_;

    my $response = $t->get($uri);
    $bytes += length $response->{body};
    return $response;
}

fetch("/media/chat/1/$_.jpg") for 0 .. 9;
$t->wait_entry("/media/chat/1/$_.jpg") for 0 .. 9;

my $grown = grown();
is(delete $grown->{'cache_stores_total{result="stored"}'} // 10, 10,
    'copies, where they are counted');
is_deeply($grown, {
    'requests_total{tier="s3",status="2xx"}' => 10,
    'response_bytes_total{tier="s3"}' => 1000,
    'cache_misses_total' => 10,
    'request_duration_seconds_count{result="miss"}' => 10,
}, 'misses');

my $hit = $t->get('/media/chat/1/3.jpg');
like($hit->{headers}{'x-time'}, qr/^0\.\d{3}$/, '$media_lookup_time');
is($hit->{headers}{'x-tier'}, 'redis', '$media_cache_tier');
is($hit->{headers}{'x-category'}, 'image', '$media_category');

for my $n (0 .. 9) {
    fetch("/media/chat/1/$n.jpg") for 1 .. 3;
}
$t->request('HEAD', '/media/chat/1/1.jpg') for 1 .. 5;
$t->get('/other/x');

is_deeply(grown(), {
    'requests_total{tier="redis",status="2xx"}' => 36,
    'response_bytes_total{tier="redis"}' => 3100,
    'cache_hits_total{tier="redis"}' => 36,
    'request_duration_seconds_count{result="hit"}' => 36,
}, 'hits; nothing of other locations');

cmp_ok($before->{'media_request_duration_seconds_bucket{'
    . 'result="hit",le="0.1"}'}, '>', 0, 'most are fast');
cmp_ok($before->{'media_request_duration_seconds_sum{result="hit"}'}, '>', 0,
    'though they take time');

# times

my $socket = $t->connect;
$t->redis_signal('STOP');
print $socket "GET /media/chat/1/1.jpg HTTP/1.0\r\n\r\n";
sleep 0.1;
$t->redis_signal('CONT');
my $text = join '', <$socket>;
like($text, qr/^X-Time: 0\.(?:0[5-9]|[1-9])/m, 'the time of a lookup');
my $fast = 'media_request_duration_seconds_bucket{result="hit",le="0.05"}';
my $slow = $before->{$fast};
is(grown()->{'request_duration_seconds_count{result="hit"}'}, 1, 'a hit');
is($before->{$fast}, $slow, 'that was slow');

$t->get('/media/chat/1/none.jpg') for 1 .. 4;
$grown = grown();
is($grown->{'requests_total{tier="s3",status="4xx"}'}, 4, '404 is answered');
ok(!(grep { /errors/ } keys %$grown), 'and no error of S3');

fetch('/media/chat/1/1.jpg?fresh=1') for 1 .. 2;
$grown = grown();
is($grown->{cache_bypass_total}, 2, 'bypass');
ok(!exists $grown->{cache_misses_total}, 'is no miss');

fetch('/disk/chat/1/1.jpg') for 1 .. 3;
$grown = grown();
is($grown->{'cache_hits_total{tier="disk"}'}, 2, 'hits on disk');
is($grown->{'requests_total{tier="s3",status="2xx"}'}, 1, 'after a miss');
is($grown->{cache_misses_total}, 1, 'that is one');

# S3

$t->get("/media/denied$_") for 1 .. 3;
$t->get('/caught/denied');
$t->get("/media/slowdown$_") for 1 .. 2;
$t->get("/closed/$_") for 1 .. 2;
$t->get('/plain/silent');
$t->get('/plain/nothing');
$t->get('/plain/half');
$t->get('/bad/second');
sleep 0.1;

$grown = grown();
is($grown->{"s3_errors_total{class=\"$_->[0]\"}"}, $_->[1],
    "errors of S3: $_->[0]")
    for [denied => 4], [unavailable => 3], [connect => 2], [timeout => 1],
        [closed => 1], [truncated => 1];

is($grown->{'request_duration_seconds_count{result="miss"}'}, 12,
    'a request is one, wherever it ends');

my $denials = () = $t->error_log =~ /s3 refused our credentials \(403\)/g;
cmp_ok($denials, '>=', 1, 'denials are logged');
cmp_ok($denials, '<=', 2, 'once by each process');

# redis

$t->redis('SET', 'media:purges', 'x');
$t->redis('DEL', 'media:purges');
$t->redis('RPUSH', 'media:purges', 'x');
sleep 0.8;
$grown = grown();
cmp_ok($grown->{'redis_errors_total{class="reply"}'}, '>=', 1,
    'a reply that is an error');
$t->redis('DEL', 'media:purges');
$t->redis('SET', 'media:purges', '0' x 32 . "\n1 chat/1/7.jpg\n");
sleep 0.6;
is(metrics()->{media_purges}, 1, 'a purge');

$t->redis_stop;
sleep 0.5;
$grown = grown();
cmp_ok($grown->{'redis_errors_total{class="closed"}'}, '>=', 4,
    'connections were closed');
cmp_ok($grown->{'redis_errors_total{class="connect"}'}, '>=', 1,
    'and could not be made again');
is($before->{'media_redis_connections{state="up"}'}, 0, 'none is up');
is($before->{'media_redis_connections{state="down"}'}
    + $before->{'media_redis_connections{state="connecting"}'}
    + $before->{'media_redis_connections{state="idle"}'}, 4, 'all four down');
cmp_ok($before->{media_purges_age_seconds}, '>', 0.2, 'purges get old');

$t->redis_start;

for (1 .. 100) {
    last if metrics()->{'media_redis_connections{state="up"}'} == 4;
    sleep 0.1;
}

# many at once, with reloads

grown();

my @clients;

for my $n (0 .. 3) {
    my $pid = fork();
    if ($pid == 0) {
        my $lost = 0;
        for (1 .. 250) {
            my $response = $t->get("/media/chat/1/$n.jpg");
            $lost++ if $response->{status} != 200;
        }
        $t->{owner} = 0;
        POSIX::_exit($lost > 255 ? 255 : $lost);
    }
    push @clients, $pid;
}

for (1 .. 3) {
    sleep 0.2;
    $t->reload;
}

my $lost = 0;
for (@clients) { waitpid $_, 0; $lost += $? >> 8 }
sleep 0.5;

$grown = grown();
my $all = 0;
$all += $grown->{$_} for grep { /^requests_total/ } keys %$grown;
is($lost, 0, 'no request is lost');
is($all, 1000, '1000 requests, in many processes');
is($grown->{'request_duration_seconds_count{result="hit"}'}
    + ($grown->{'request_duration_seconds_count{result="miss"}'} // 0),
    1000, 'and as many durations');
is($grown->{'response_bytes_total{tier="redis"}'}
    + ($grown->{'response_bytes_total{tier="s3"}'} // 0), 100_000,
    'and their bytes');

# a process is killed

my $known = metrics();
kill 'KILL', $t->get('/other/')->{body};

my $up;
for (1 .. 50) {
    sleep 0.1;
    $up = metrics()->{'media_redis_connections{state="up"}'};
    last if $up == 4;
}

is($up, 4, 'connections of a killed process are not shown');
my $now = metrics();
is_deeply([grep { /_total|_count/ && !/redis_errors/
    && $now->{$_} != $known->{$_} } keys %$now], [],
    'and its counters are kept');

$t->get('/media/chat/1/1.jpg');
$t->get('/media/chat/1/1.jpg');
$grown = grown();
is($grown->{'cache_hits_total{tier="redis"}'}, 2, 'counted after that');

ok($t->stop, 'stopped');
is(join("\n", grep { !/exited on signal 9/ } split /\n/, $t->alarms), '',
    'no alarms');

done_testing();
