# Copyright (C) ngx_media contributors
#
# A body that is too large for a message is put to S3 under the request's id,
# signed, before the webhook is answered 200; without S3 the answer is 503.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

use FakeBroker;

repeat_each(2);
plan('no_plan');

my $broker = FakeBroker->new('good');

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config', NginxTest::signer()
        . 'media_rabbitmq_url ' . $broker->url . ";\n"
        . "media_rabbitmq_confirm_timeout 5s;\n");
    $block->set_value('config', "location = /hook {
            media_webhook              evolution;
            media_webhook_token        secret;
            media_webhook_instance     \$arg_instance;
            media_webhook_max_message  20;
            media_webhook_max_body     4000;
            media_webhook_offload      /store/;
        }
        location /store/ {
            internal;
            client_max_body_size        0;
            proxy_pass_request_headers  off;\n" . NginxTest::proxy() . '}');
    $block->set_value('more_headers', 'apikey: secret');
});

our $accepted = '^\{"status":"accepted","request_id":"[0-9a-f]{32}"\}\n$';

run_tests();

__DATA__

=== TEST 1: a body of media_webhook_max_message is not stored
--- request eval: "POST /hook?instance=a\n\"" . 'x' x 18 . '"'
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval: NginxTest::s3_reply()
--- tcp_query eval: ''
--- response_body_like eval: $::accepted


=== TEST 2: a larger one is
--- request eval: "POST /hook?instance=a\n\"" . 'x' x 19 . '"'
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval: NginxTest::s3_reply()
--- tcp_query eval
qr{^PUT\ /photos/webhooks/[0-9a-f]{32}\ HTTP/1\.1\r\n
    (?=.*^Host:\ s3\.example\.com:9000\r\n)
    (?=.*^Authorization:\ AWS4-HMAC-SHA256\ Credential=AKIAEXAMPLE/)
    (?=.*^Content-Length:\ 21\r\n)
    (?!.*apikey) .*\r\n\r\n"x{19}"\z}xms
--- tcp_query_auto_timeout: 0.3
--- response_body_like eval: $::accepted


=== TEST 3: the signature of the PUT is valid
--- request eval: "POST /hook\n\"" . 'x' x 19 . '"'
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval
sub {
    my ($request) = @_;
    my $status = NginxTest::verdict($request) eq 'valid' ? '200 OK'
        : '403 Forbidden';
    return "HTTP/1.1 $status\r\nContent-Length: 0\r\n\r\n";
}
--- response_body_like eval: $::accepted


=== TEST 4: S3 refuses the body
--- request eval: "POST /hook\n\"" . 'x' x 19 . '"'
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval
"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
--- error_code: 503
--- raw_response_headers_like: \r\nRetry-After: [1-5]\r\n
--- response_body
{"error":"unavailable","message":"the body cannot be stored now"}


=== TEST 5: S3 is away
--- request eval: "POST /hook\n\"" . 'x' x 19 . '"'
--- error_code: 503
--- raw_response_headers_like: \r\nRetry-After: [1-5]\r\n
--- response_body
{"error":"unavailable","message":"the body cannot be stored now"}


=== TEST 6: a body above media_webhook_max_body is not stored
--- request eval: "POST /hook\n\"" . 'x' x 4000 . '"'
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval: NginxTest::s3_reply()
--- tcp_query eval: ''
--- error_code: 413
--- response_body
{"error":"too_large","message":"the body is too large"}


=== TEST 7: neither is a body that is not JSON
--- request eval: "POST /hook\n" . 'x' x 100
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval: NginxTest::s3_reply()
--- tcp_query eval: ''
--- error_code: 400
--- response_body_like: ^\{"error":"invalid_json"


=== TEST 8: the location of the store is not for clients
--- request
PUT /store/webhooks/x
{}
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval: NginxTest::s3_reply()
--- tcp_query eval: ''
--- error_code: 404
