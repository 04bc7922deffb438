#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Redis that is stopped, emptied, frozen, lying or cut off in the middle of a
# reply is a miss: no request fails, and none waits longer than the timeout.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Cache->new;
$t->configure(http => <<'EOT' . Cache::cached_location());
    media_redis_timeout 100ms;
EOT

my $photo = join '', map { chr($_ * 11 % 256) } 1 .. 50000;
my $key = 'media:' . sha256_hex('photo.jpg');
my $uri = '/media/photo.jpg';

$t->write_file('origin/photo.jpg', $photo);

# the outcomes of n requests, and the longest of their times in ms

sub requests {
    my ($n) = @_;
    my (%outcomes, @times);

    for (1 .. $n) {
        my $start = time();
        my $response = $t->get($uri);
        push @times, 1000 * (time() - $start);

        my $outcome = "$response->{status} "
            . ($response->{headers}{'x-cache'} || '-');
        $outcome .= ' damaged' if $response->{body} ne $photo;
        $outcomes{$outcome}++;
    }

    @times = sort { $a <=> $b } @times;
    return (join(', ', sort keys %outcomes), $times[-1]);
}

sub eventually_hit {
    for (1 .. 150) {
        return 1 if $t->outcome($uri) eq '200 HIT';
        sleep 0.05;
    }
    return 0;
}

# no Redis at the start

$t->start;

my ($outcomes, $longest) = requests(20);
is $outcomes, '200 MISS', 'redis was never there';
cmp_ok $longest, '<', 100, 'nobody waits for it';

$t->redis_start;
ok eventually_hit(), 'redis is taken up when it comes';

# restarted, empty

$t->redis_stop;
($outcomes, $longest) = requests(20);
is $outcomes, '200 MISS', 'redis was stopped';
cmp_ok $longest, '<', 100, 'nobody waits for it';

$t->redis_start;
ok eventually_hit(), 'redis came back empty';

# frozen

$t->redis_signal('STOP');
($outcomes, $longest) = requests(100);
is $outcomes, '200 MISS', 'redis is frozen';
cmp_ok $longest, '<', 200, 'a request waits for the timeout at most';
like $t->error_log, qr/redis 127\.0\.0\.1:\d+: command timed out/,
    'the reason is logged';

$t->redis_signal('CONT');
ok eventually_hit(), 'redis thawed';

# damaged entries are deleted and replaced

sub damaged {
    my ($name, $value) = @_;

    $t->redis('SET', $key, $value);
    is $t->outcome($uri), '200 MISS', "$name is a miss";
    ok eventually_hit(), "$name is replaced";
    ok $t->get($uri)->{body} eq $photo, "$name is healed";
}

my $entry = $t->redis('GET', $key);

damaged('a short entry', substr $entry, 0, -1);
damaged('a long entry', "${entry}x");
damaged('a head alone', substr $entry, 0, 512);
damaged('another version', 'NMC9' . substr $entry, 4);
damaged('text', 'hello');

$t->redis('SET', $key, 'hello');
is $t->request('HEAD', $uri)->{headers}{'x-cache'}, 'MISS',
    'HEAD of a damaged entry';
for (1 .. 50) {
    last unless defined $t->redis('GET', $key);
    sleep 0.02;
}
is $t->redis('GET', $key), undef, 'which is deleted';

$t->redis('DEL', $key);
$t->redis('LPUSH', $key, 'x');
is $t->outcome($uri), '200 MISS', 'another type';
$t->redis('DEL', $key);
ok eventually_hit(), 'is replaced';

# a full Redis refuses the copy, not the request

$t->redis('FLUSHALL');
$t->redis('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
$t->redis('CONFIG', 'SET', 'maxmemory', '1');
($outcomes) = requests(3);
is $outcomes, '200 MISS', 'redis is full';
like $t->error_log, qr/SET failed with "OOM"/, 'and says so';
$t->redis('CONFIG', 'SET', 'maxmemory', '0');
ok eventually_hit(), 'redis has room';

$entry = $t->redis('GET', $key);
$t->redis_stop;

# servers that do not keep to the protocol

sub answer_greeting {
    my ($client) = @_;

    my $text = '';
    while ($text !~ /ngx_media\r\n$/) {
        sysread $client, $text, 4096, length $text or return 0;
    }
    print $client "+OK\r\n";
    return 1;
}

sub command {
    my ($client) = @_;

    return sysread $client, my $text, 65536;
}

my $bulk = '$' . length($entry) . "\r\n$entry\r\n";

my @servers = (
    [ 'garbage', sub {
        my ($client) = @_;
        print $client "SSH-2.0-OpenSSH_9.2\r\n";
        sleep 1;
    } ],
    [ 'closes at once', sub { } ],
    [ 'closes after the greeting', sub { answer_greeting($_[0]) } ],
    [ 'never answers', sub { sleep 5 } ],
    [ 'never answers a command', sub {
        answer_greeting($_[0]);
        sleep 5;
    } ],
    [ 'garbage for a reply', sub {
        my ($client) = @_;
        answer_greeting($client) && command($client)
            && print $client "\0\0\0\0\r\n";
        sleep 1;
    } ],
    [ 'an array for a reply', sub {
        my ($client) = @_;
        answer_greeting($client) && command($client)
            && print $client "*1000000000\r\n";
        sleep 1;
    } ],
    [ 'a reply too large', sub {
        my ($client) = @_;
        answer_greeting($client) && command($client) or return;
        print $client '$' . 1_000_000_000 . "\r\n";
        print $client 'x' x 65536 for 1 .. 64;
        sleep 1;
    } ],
    [ 'a negative length', sub {
        my ($client) = @_;
        answer_greeting($client) && command($client)
            && print $client "\$-7\r\n";
        sleep 1;
    } ],
    [ 'replies too many', sub {
        my ($client) = @_;
        answer_greeting($client) && command($client)
            && print $client "\$-1\r\n\$-1\r\n\$-1\r\n";
        sleep 1;
    } ],
    [ 'cut in the middle', sub {
        my ($client) = @_;
        answer_greeting($client) && command($client)
            && print $client substr $bulk, 0, 20000;
    } ],
    [ 'stalled in the middle', sub {
        my ($client) = @_;
        answer_greeting($client) && command($client)
            && print $client substr $bulk, 0, 20000;
        sleep 5;
    } ],
    [ 'refuses the greeting', sub {
        my ($client) = @_;
        print $client "-NOAUTH Authentication required.\r\n";
        sleep 1;
    } ],
);

for my $case (@servers) {
    my ($name, $code) = @$case;

    my $pid = $t->serve($t->{redis_port}, $code);
    my ($all, $slowest) = ('', 0);

    # the backoff ends within this time at least once

    my $until = time() + 0.7;

    while (time() < $until) {
        my ($some, $ms) = requests(5);
        $all = $some if $some ne '200 MISS' || $all eq '';
        $slowest = $ms if $ms > $slowest;
        sleep 0.02;
    }

    is $all, '200 MISS', $name;
    cmp_ok $slowest, '<', 250, "$name: bounded wait";
    $t->end_server($pid);
}

# what is up, but refuses every command: a miss each, one line in the log

$t->write_file('refusal', 'LOADING Redis is loading the dataset');

my $refusing = $t->serve($t->{redis_port}, sub {
    my ($client) = @_;
    answer_greeting($client) or return;
    while (sysread $client, my $text, 65536) {
        my $n = () = $text =~ /^\*\d+\r$/mg;
        my $refusal = $t->read_file('refusal') or return;
        print $client "-$refusal\r\n" x $n;
    }
});

sub refusals { return scalar(() = $t->error_log =~ /\w+ failed with/g) }

my $lines = refusals();

for (1 .. 150) {
    last if refusals() > $lines;
    $t->get($uri);
    sleep 0.05;
}

for my $refusal ('LOADING Redis is loading the dataset in memory',
    'MOVED 3999 127.0.0.1:6381', 'READONLY You can\'t write',
    'OOM command not allowed', 'NOPERM no permissions', 'ERR hidden words')
{
    $t->write_file('refusal', $refusal);
    ($outcomes, $longest) = requests(20);

    is $outcomes, '200 MISS', "$refusal";
    cmp_ok $longest, '<', 250, "$refusal: bounded wait";
}

cmp_ok refusals() - $lines, '<=', 4, 'a line for each command';
$t->write_file('refusal', '');
$t->get($uri) for 1 .. 3;
$t->end_server($refusing);

like $t->error_log, qr/GET failed with "LOADING"/, 'with the code';
unlike $t->error_log, qr/hidden words/, 'and without the text';

# a reply in pieces is a reply

my $pid = $t->serve($t->{redis_port}, sub {
    my ($client) = @_;
    answer_greeting($client) or return;
    while (command($client)) {
        print $client substr $bulk, $_, 1 for 0 .. 39;
        for (my $i = 40; $i < length $bulk; $i += 1001) {
            print $client substr $bulk, $i, 1001;
        }
    }
});

ok eventually_hit(), 'a reply in pieces';

# on a busy machine all of them may be late
for (1 .. 5) {
    ($outcomes) = requests(10);
    last if $outcomes =~ /HIT/;
}

like $outcomes, qr/^200 HIT(, 200 MISS)?$/,
    'several replies in pieces, but for one that is late';
$t->end_server($pid);

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
