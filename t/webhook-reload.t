# Copyright (C) ngx_media contributors
#
# Reloads during webhooks: no request fails, nothing accepted is missing.
# TEST_WEBHOOKS and TEST_RELOADS make it larger.

use warnings;
use strict;

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep);

use AMQP;
use Webhook;

plan skip_all => 'RABBITMQ_URL is not set' unless $ENV{RABBITMQ_URL};

my $total = $ENV{TEST_WEBHOOKS} || 600;
my $reloads = $ENV{TEST_RELOADS} || 5;
my $clients = 4;

my $queue = "webhook_reload_$$";
my $amqp = AMQP->new($ENV{RABBITMQ_URL});
$amqp->exchange('media');
$amqp->queue($queue);
$amqp->bind($queue, 'media', $queue);

my $nginx = Webhook->new(url => $ENV{RABBITMQ_URL}, workers => 2,
    http => "media_rabbitmq_routing_key $queue;");

my (@pids, @pipes);

for my $n (1 .. $clients) {
    pipe my $r, my $w or die $!;
    my $pid = fork // die $!;

    if ($pid == 0) {
        for my $i (1 .. $total / $clients) {
            my ($status) = $nginx->post('/evolution/secret', "{\"n\":$n$i}");
            print $w "$status\n";
            sleep 0.002;
        }
        close $w;
        POSIX::_exit(0);
    }

    close $w;
    push @pids, $pid;
    push @pipes, $r;
}

for (1 .. $reloads) {
    sleep $total / $clients * 0.003 / $reloads;
    kill HUP => $nginx->{pid};
}

my %status;
for my $r (@pipes) {
    while (<$r>) { chomp; $status{$_}++ }
}
waitpid $_, 0 for @pids;

is_deeply(\%status, { 200 => $total }, 'each was accepted')
    or diag explain \%status;

my %seen;
while (my $msg = $amqp->get($queue)) {
    $seen{$msg->{message_id}}++;
}
is(scalar keys %seen, $total, 'each is in the queue');

$amqp->delete_queue($queue);
$nginx->stop;

my $log = $nginx->log;
cmp_ok(scalar(() = $log =~ /\[notice\].*: reconfiguring/g), '>=', $reloads,
    'reloads');
unlike($log, qr/\[(alert|emerg)\]|open socket|Sanitizer|runtime error/,
    'no alerts');

done_testing();
