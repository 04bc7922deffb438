#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Whatever S3 does, the client gets the right bytes or an error that says so,
# within the timeouts; nothing wrong is kept in any tier; and what a tier
# holds is served while S3 is away.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fault;
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Fault->new;
my $n = 0;

# as shipped, but less patient; disk entries expire within this test

$t->up(edit => sub {
    s/(proxy_read_timeout\s+)\d+s;/${1}1s;/g;
    s/(proxy_next_upstream_timeout\s+)\d+s;/${1}4s;/g;
    s/(proxy_cache_valid\s+200 206\s+)\w+;/${1}3s;/g;
});

sub fresh {
    my ($size) = @_;

    return $t->object('chat/t/c/s3-' . ++$n . '.jpg', $size || 50_000);
}

# the requests for one object, without the bucket

sub asked {
    my ($uri) = @_;

    return map { [ split / / ] } $t->s3_log(qr{^GET \Q$uri\E });
}

sub whole {
    my ($uri, $name) = @_;
    my $r = $t->get($uri);

    ok $r->{status} == 200 && $r->{body} eq $t->{objects}{$uri}, $name
        or diag("$r->{status}, " . length($r->{body}) . ' bytes');
    return $r;
}

sub refused {
    my ($r, $status, $name) = @_;

    is $r->{status}, $status, $name;
    ok Fault::is_json_error($r), "$name: as JSON" or diag($r->{body});
    unlike $r->{body}, qr/secret inside|<Code>/,
        "$name: without S3's own words";
}

sub statuses {
    my %seen = map { /^(\d+)/ ? ($1 => 1) : () } keys %{ $_[0]{outcomes} };

    return sort keys %seen;
}

# the object is right now, from S3, then from the caches, of both tiers

sub heals {
    my ($uri, $name) = @_;

    $t->s3_fault('ok');
    whole($uri, "$name: then right");
    like $t->wait_outcome($uri, qr/HIT/), qr/^200 HIT/, "$name: then a hit";
    whole($uri, "$name: a right one");
    $t->flush_redis;
    whole($uri, "$name: right without Redis as well");
}

my $base = $t->stream(uris => [ map { fresh() } 1 .. 160 ], n => 160);

$t->report('s3 is well', $base);
is_deeply [ keys %{ $base->{outcomes} } ], [ '200 MISS s3' ],
    's3 is well';

# 403: our key is wrong, which someone should hear of

$t->s3_fault('status', status => 403, code => 'InvalidAccessKeyId');
$t->mark;
refused($t->get(fresh()), 502, 'a 403');
refused($t->request('GET', fresh(), Range => 'bytes=0-9'), 502,
    '403 of a range');
is $t->request('HEAD', fresh())->{status}, 502, '403 of a HEAD';

my $s = $t->stream(uris => [ map { fresh() } 1 .. 40 ], n => 40);

is_deeply [ statuses($s) ], [ 502 ], '403 of many';

my @lines = $t->logged('error', '403');

ok scalar(@lines), '403 is logged as an error';
cmp_ok scalar(@lines), '<=', 8, '403 does not flood the log';
cmp_ok $t->metric(qr/^media_s3_errors_total\{class="denied"/), '>=', 40,
    '403 is counted';
heals(fresh(), '403');

# 404: kept for a moment, no longer

my $absent = '/media/chat/t/c/absent.jpg';

refused($t->get($absent), 404, 'a 404');
is scalar(asked($absent)), 1, '404: S3 was asked';
refused($t->get($absent), 404, '404 again');
is $t->request('HEAD', $absent)->{status}, 404, '404 of a HEAD';
is scalar(asked($absent)), 1, '404: S3 was not asked again';
$t->object('chat/t/c/absent.jpg', 1000);
like $t->wait_outcome($absent, qr/^200/, 12), qr/^200/,
    '404: found once it is there';
whole($absent, '404: with its bytes');

# 500, 503 and a connection that breaks: another one is tried

for my $fault ([ 'status', status => 500, code => 'InternalError' ],
    [ 'status', status => 503, code => 'SlowDown' ], [ 'close' ],
    [ 'refuse' ])
{
    my ($mode, %args) = @$fault;
    my $name = $args{code} // $mode;
    my $uri = fresh();

    $t->s3_fault($mode, %args, count => 1);
    whole($uri, "$name once: retried");

    my @asked = asked($uri);

    is scalar(@asked), 2, "$name once: two attempts";
    isnt $asked[0][4], $asked[-1][4], "$name once: on two connections"
        if $mode ne 'status';

    $t->s3_fault($mode, %args);
    $uri = fresh();
    refused($t->get($uri), 502, "$name always");
    cmp_ok scalar(asked($uri)), '<=', 3, "$name always: attempts end";
    refused($t->get($uri, Range => 'bytes=5-9'), 502, "$name of a range");
    heals($uri, $name);
}

# what is no HTTP

my $uri = fresh();

$t->s3_fault('garbage');
refused($t->get($uri), 502, 'garbage');
refused($t->get($uri, Range => 'bytes=5-9'), 502, 'garbage for a range');
heals($uri, 'garbage');

# now and then

$t->s3_fault('status', status => 503, code => 'SlowDown', p => 0.3);
$s = $t->stream(uris => [ map { fresh() } 1 .. 160 ], n => 160);
$t->report('3 of 10 are 503 SlowDown', $s);
is scalar(grep { $_ != 200 && $_ != 502 } statuses($s)), 0,
    '503 now and then: right, or refused';
ok !(grep { /damaged/ } keys %{ $s->{outcomes} }),
    '503 now and then: no damage';
cmp_ok $s->{outcomes}{'200 MISS s3'} // 0, '>=', 120,
    '503 now and then: most are retried';
$t->s3_fault('ok');

# bodies that end too soon: the client is told, and nothing is kept

for my $case ([ 'truncated', 0, 'truncate', after => 10_000 ],
    [ 'truncated to nothing', 0, 'truncate', after => 0 ],
    [ 'too short', 0, 'length', by => 100 ],
    [ 'large, truncated', 3_000_000, 'truncate', after => 100_000,
        match => 'bytes=1048576-|^GET \S+ HTTP/1.1 -$' ])
{
    my ($name, $size, $mode, %args) = @$case;
    my $uri = fresh($size);

    $t->s3_fault($mode, %args);

    for my $i (1, 2) {
        my $r = $t->get($uri);

        ok $r->{status} == 0 || $r->{status} == 502
            || $r->{body} eq $t->{objects}{$uri},
            "$name: not passed off as whole" or diag($r->{status});
    }

    heals($uri, $name);
}

# lengths that lie

for my $case ([ 'more than announced', 'long' ],
    [ 'Content-Length too small', 'length', by => -100 ],
    [ 'a range elsewhere', 'range', by => 10 ],
    [ 'a total too large', 'total', by => 1000 ],
    [ 'a total too small', 'total', by => -1000 ])
{
    my ($name, $mode, %args) = @$case;
    my $uri = fresh();

    $t->s3_fault($mode, %args);

    my $r = $t->get($uri);

    ok $r->{status} != 200 || $r->{body} eq $t->{objects}{$uri}
        || $mode eq 'length', "$name: not taken for the object"
        or diag("$r->{status}, " . length $r->{body});
    heals($uri, $name) unless $mode eq 'length';
    $t->s3_fault('ok');
}

# stalls: an answer within the timeouts

for my $case ([ 'before its headers', 0 ], [ 'within its headers', 40 ],
    [ 'within the body', 5000 ])
{
    my ($name, $after) = @$case;
    my $uri = fresh();
    my $start = time;

    $t->s3_fault('stall', after => $after);

    my $r = $t->get($uri);

    cmp_ok time - $start, '<', 6, "stalled $name: bounded";

    if ($after < 1000) {
        ok $r->{status} == 502 || $r->{status} == 504, "stalled $name"
            or diag($r->{status});
        ok Fault::is_json_error($r), "stalled $name: as JSON";

    } else {
        is $r->{status}, 0, "stalled $name: broken";
    }

    heals($uri, "stalled $name");
}

my $slow = fresh(200_000);

$t->s3_fault('slow', bytes => 20_000, ms => 50);
whole($slow, 'slow, but right');
heals($slow, 'slow');

# away: Redis and the disk go on

my @held = map { fresh() } 1 .. 20;
my $cold = fresh();
my $etag;

whole($_, 'held') for @held;
ok $t->wait_entry(s{^/media/}{}r), 'in Redis' for @held;
$etag = $t->get($held[0])->{headers}{etag};

for my $away ([ 'gone', sub { $t->s3_stop }, sub { $t->s3_start } ],
    [ '503', sub { $t->s3_fault('status', status => 503,
        code => 'SlowDown') }, sub { $t->s3_fault('ok') } ],
    [ '403', sub { $t->s3_fault('status', status => 403,
        code => 'AccessDenied') }, sub { $t->s3_fault('ok') } ],
    [ 'silent', sub { $t->s3_fault('stall', after => 0) },
        sub { $t->s3_fault('ok') } ])
{
    my ($name, $break, $mend) = @$away;

    my $large = fresh(3_000_000);

    whole($large, "before $name");
    $break->();

    my $hits = $t->stream(uris => \@held, n => 160);

    $t->report("s3 $name, Redis holds", $hits);
    is_deeply $hits->{outcomes}, { '200 HIT redis' => 160 },
        "$name: Redis goes on";
    is $t->request('HEAD', $held[0])->{status}, 200, "$name: HEAD";
    is $t->outcome($held[0], Range => 'bytes=5-9'), '206 HIT redis',
        "$name: a range";
    is $t->outcome($held[0], 'If-None-Match' => $etag), '304 HIT redis',
        "$name: 304";

    my $r = whole($large, "$name: the disk goes on");

    like $r->{headers}{'x-cache'}, qr/^(?:HIT|STALE)$/,
        "$name: and says from where";
    sleep 4.2;          # nginx counts whole seconds

    # a 403 is no outage: what is old would not be checked any more

    if ($name eq '403') {
        refused($t->get($large), 502, "$name: what is old");

    } else {
        $r = whole($large, "$name: the disk goes on with what is old");
        is $r->{headers}{'x-cache'}, 'STALE', "$name: and says that it is";
        is $t->outcome($large, Range => 'bytes=2000000-2000009'),
            '206 STALE disk', "$name: a range of it";
    }

    $r = $t->get($cold);
    ok $r->{status} == 502 || $r->{status} == 504, "$name: a cold object";
    ok Fault::is_json_error($r), "$name: a cold object: as JSON";
    $mend->();
    like $t->wait_outcome($large, qr/HIT|MISS/), qr/^200 (?:HIT|MISS)/,
        "$name: fresh again afterwards";
}

whole($cold, 'the cold object, in the end');

unlike $t->error_log, qr/Signature=|Credential=/, 'no signature is logged';
ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
