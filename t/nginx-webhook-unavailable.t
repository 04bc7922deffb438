# Copyright (C) ngx_media contributors
#
# Without a broker that confirms, a webhook is answered 503 with Retry-After
# within a second.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

use FakeBroker;

repeat_each(2);
plan('no_plan');

# each block names the behaviour of its broker, and none for a closed port

my $broker;

add_block_preprocessor(sub {
    my ($block) = @_;
    my $mode = $block->broker;
    my $port = $ENV{TEST_NGINX_CLOSED_PORT};

    if ($mode) {
        $broker = FakeBroker->new($mode =~ s/\s//gr);
        $port = $broker->{port};
    }

    $block->set_value('http_config',
        "media_rabbitmq_url amqp://u:p%40x\@127.0.0.1:$port/;\n"
        . ($block->http_config // ''));
    $block->set_value('config', <<'END') unless defined $block->config;
    location = /wapi { media_webhook wapi; media_webhook_token secret; }
END
    $block->set_value('request', "POST /wapi?token=secret\n{}")
        unless defined $block->request;
    return if defined $block->error_code;

    $block->set_value('error_code', 503);
    $block->set_value('response_body', '{"error":"unavailable",'
        . qq("message":"the message cannot be queued now"}\n));
    $block->set_value('raw_response_headers_like',
        '\r\nRetry-After: [1-5]\r\n');
    $block->set_value('timeout', '1.1');
});

no_shuffle();
run_tests();

__DATA__

=== TEST 1: nothing listens
--- error_log
webhook refused


=== TEST 2: the broker is silent
--- broker: silent


=== TEST 3: the broker does not confirm
--- broker: mute


=== TEST 4: the broker refuses the message
--- broker: nack


=== TEST 5: no queue takes the message
--- broker: return


=== TEST 6: the broker is blocked
--- broker: blocked


=== TEST 7: there is no such exchange
--- broker: channel_close


=== TEST 8: what listens is no broker
--- broker: garbage


=== TEST 9: the broker closes the connection
--- broker: close_publish


=== TEST 10: a message above media_rabbitmq_queue_bytes
--- broker: good
--- http_config
media_rabbitmq_queue_bytes 100;


=== TEST 11: a broker slower than media_rabbitmq_confirm_timeout
--- broker: slow
--- http_config
media_rabbitmq_confirm_timeout 100ms;


=== TEST 12: a broker that is slow and confirms
--- broker: slow
--- http_config
media_rabbitmq_confirm_timeout  5s;
media_rabbitmq_heartbeat        2s;
media_rabbitmq_queue_size       1;
media_rabbitmq_exchange         other;
media_rabbitmq_routing_key      other.key;
--- error_code: 200
--- response_body_like
^\{"status":"accepted","request_id":"[0-9a-f]{32}"\}
--- raw_response_headers_like: X-Request-Id: [0-9a-f]{32}\r\n


=== TEST 13: the URL in a file
--- broker: good
--- error_code: 200
--- response_body_like
^\{"status":"accepted","request_id":"[0-9a-f]{32}"\}
