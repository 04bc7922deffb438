#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Webhooks by outcome, and the connection to the broker, in media_metrics.

use strict;
use warnings;

use lib 't/lib';
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep);

use FakeBroker;
use Prometheus;
use Webhook;

my $port = Webhook::port();
my $broker = FakeBroker->new('good');
my $nginx = Webhook->new(url => $broker->url, http =>
    "server { listen 127.0.0.1:$port; location / { media_metrics; } }");

sub metrics {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "connect: $!";
    print $socket "GET / HTTP/1.0\r\n\r\n";

    my $text = join '', <$socket>;
    $text =~ s/^.*?\r\n\r\n//s;

    return Prometheus::read_text($text);
}

sub becomes {
    my ($name, $wanted) = @_;

    for (1 .. 80) {
        last if metrics()->{$name} == $wanted;
        sleep 0.1;
    }

    is(metrics()->{$name}, $wanted, "$name: $wanted");
}

my $up = 'media_amqp_connections{state="up"}';

becomes($up, 1);

is(($nginx->post('/evolution/secret', '{"a":1}'))[0], 200, 'accepted')
    for 1 .. 3;
is(($nginx->post('/evolution/wrong', '{"a":1}'))[0], 403, 'refused')
    for 1 .. 2;

my $metrics = metrics();
is($metrics->{"media_webhooks_total{outcome=\"$_->[0]\"}"}, $_->[1],
    "$_->[0] webhooks")
    for [accepted => 3], [refused => 2], [unavailable => 0];
is($metrics->{"media_amqp_errors_total{class=\"$_\"}"}, 0, "no errors: $_")
    for qw(connect timeout closed protocol reply);

my $wanted = $broker->{port};
$broker->stop;
becomes($up, 0);
is(($nginx->post('/evolution/secret', '{"a":1}'))[0], 503, 'unavailable');

$metrics = metrics();
is($metrics->{'media_webhooks_total{outcome="unavailable"}'}, 1, 'counted');
cmp_ok($metrics->{'media_amqp_errors_total{class="closed"}'}, '>=', 1,
    'a connection that was lost');

$broker = FakeBroker->new('nack', $wanted);
becomes($up, 1);
is(($nginx->post('/evolution/secret', '{"a":1}'))[0], 503, 'not confirmed');
is(metrics()->{'media_amqp_errors_total{class="reply"}'}, 1, 'a refusal');

kill 'KILL', ($nginx->workers)[0];
sleep 0.3;
becomes($up, 1);

$nginx->stop;

done_testing();
