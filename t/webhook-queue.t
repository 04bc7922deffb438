# Copyright (C) ngx_media contributors
#
# The queue is bounded in messages and in bytes, a message outlives its
# client, and HTTP/2 bodies are taken.

use warnings;
use strict;

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);

use AMQP;
use FakeBroker;
use Webhook;

my $no_alerts = qr/\[(alert|emerg)\]|Sanitizer|runtime error/;

# requests at once: their statuses and the times they took

sub together {
    my ($nginx, $n, $body) = @_;
    my (@pipes, @pids, @got);

    for (1 .. $n) {
        pipe my $r, my $w or die $!;
        my $pid = fork // die $!;
        if ($pid == 0) {
            my ($status, undef, $time) = $nginx->post('/evolution/secret',
                $body);
            print $w "$status $time";
            close $w;
            POSIX::_exit(0);
        }
        close $w;
        push @pipes, $r;
        push @pids, $pid;
    }

    push @got, [split ' ', <$_>] for @pipes;
    waitpid $_, 0 for @pids;
    return @got;
}

for (['media_rabbitmq_queue_size 2;', '{}'],
    ['media_rabbitmq_queue_bytes 25k;', '"' . 'x' x 10000 . '"'])
{
    my ($http, $body) = @$_;
    my $broker = FakeBroker->new('mute');
    my $nginx = Webhook->new(url => $broker->url, http => $http);
    my @got = together($nginx, 6, $body);

    is(scalar(grep { $_->[0] == 503 } @got), 6, "$http none is accepted");
    is(scalar(grep { $_->[1] > 0.8 } @got), 2, "$http two wait");
    is(scalar(grep { $_->[1] < 0.5 } @got), 4, "$http others do not");

    $nginx->stop;
    like($nginx->log, qr/webhook refused: queue full/, "$http says so");
    unlike($nginx->log, $no_alerts, "$http no alerts");
}

SKIP: {
    skip 'RABBITMQ_URL is not set', 5 unless $ENV{RABBITMQ_URL};

    my $queue = "webhook_queue_$$";
    my $amqp = AMQP->new($ENV{RABBITMQ_URL});
    my $port = Webhook::port();
    $amqp->exchange('media');
    $amqp->queue($queue);
    $amqp->bind($queue, 'media', $queue);

    my $nginx = Webhook->new(url => $ENV{RABBITMQ_URL}, http => <<"CONF");
    media_rabbitmq_routing_key $queue;
    server {
        listen 127.0.0.1:$port http2;
        location / {
            media_webhook wapi;
            media_webhook_token secret;
        }
    }
CONF

    for my $n (1 .. 20) {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $nginx->{port}) or die $!;
        my $body = "{\"n\":$n}";
        print $s "POST /evolution/secret HTTP/1.1\r\nHost: x\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
        $s->flush;
        close $s;
    }

    my %seen;
    for (1 .. 50) {
        while (my $msg = $amqp->get($queue)) { $seen{$msg->{body}}++ }
        last if keys %seen == 20;
        sleep 0.1;
    }
    is(scalar keys %seen, 20, 'the clients have gone, the messages not');

    SKIP: {
        skip 'curl has no HTTP/2', 3 if `curl -V 2>&1` !~ /HTTP2/;

        my $body = '{"x":"' . 'y' x 300_000 . '"}';
        open my $fh, '>', "$nginx->{dir}/body" or die $!;
        print $fh $body;
        close $fh;

        my $curl = 'curl -s -o /dev/null -w "%{http_version} %{http_code}"'
            . " --http2-prior-knowledge --data-binary \@$nginx->{dir}/body"
            . ' -H "Content-Type: application/json"'
            . " http://127.0.0.1:$port/";

        is(`$curl -H "apikey: secret"`, '2 200', 'HTTP/2');
        is(($amqp->get($queue) || {})->{body}, $body, 'its body');

        # a client that still sends would lose the answer: nginx resets
        # the stream of a request that it has answered

        $curl =~ s/--data-binary \S+/-X POST/;
        is(`$curl -H "apikey: x"`, '2 403', 'HTTP/2, wrong token');
    }

    $amqp->delete_queue($queue);
    $nginx->stop;
    unlike($nginx->log, $no_alerts, 'no alerts');
}

done_testing();
