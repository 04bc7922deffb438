# Copyright (C) ngx_media contributors
#
# The Cloud API's handshake gives the challenge back, as text, to whom has the
# verify token, and to nobody else.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config',
        "media_rabbitmq_url amqp://u:p\@127.0.0.1:1/;");
    $block->set_value('config', <<'END');
    location = /cloudapi {
        media_webhook                    cloudapi;
        media_webhook_secret             first;
        media_webhook_verify_token       verify;
        media_webhook_verify_token_file  $TEST_NGINX_SERVER_ROOT/html/token;
    }
    location = /none {
        media_webhook         cloudapi;
        media_webhook_secret  first;
    }
END
    $block->set_value('user_files', ">>> token\nsecond & token\n");
});

our $mode = 'hub.mode=subscribe';
our $number = 'hub.challenge=1158201444';
our $token = 'hub.verify_token=verify';

our $wrong = qq({"error":"forbidden","message":"wrong verify token"}\n);
our $text = '{"error":"forbidden",'
    . qq("message":"the challenge is not digits"}\n);

run_tests();

__DATA__

=== TEST 1: the challenge
--- request eval: "GET /cloudapi?$::mode&$::number&$::token"
--- response_headers
Content-Type: text/plain
Content-Length: 10
--- response_body chomp
1158201444


=== TEST 2: in any order, with a token of a file, encoded
--- request eval
"GET /cloudapi?hub.verify_token=second%20%26%20token&x=1&$::number&$::mode"
--- response_body chomp
1158201444


=== TEST 3: HEAD
--- request eval: "HEAD /cloudapi?$::mode&$::number&$::token"
--- response_headers
Content-Length: 10


=== TEST 4: wrong tokens
--- request eval
[ map { "GET /cloudapi?$::mode&$::number&hub.verify_token=$_" }
    'wrong', '', 'verif', 'verify2', 'VERIFY', 'first' ]
--- error_code eval: [ (403) x 6 ]
--- response_body eval: [ ($::wrong) x 6 ]
--- response_headers eval: [ ('Content-Type: application/json') x 6 ]


=== TEST 5: no token, no mode, another mode
--- request eval
[ 'GET /cloudapi', "GET /cloudapi?$::mode&$::number",
  "GET /cloudapi?$::number&$::token",
  "GET /cloudapi?hub.mode=unsubscribe&$::number&$::token" ]
--- error_code eval: [ (403) x 4 ]
--- response_body eval: [ ($::wrong) x 4 ]


=== TEST 6: a challenge that is not digits
--- request eval
[ map { "GET /cloudapi?$::mode&$::token&hub.challenge=$_" } '', 'abc',
    '%3Cscript%3E', '1%202', '-1', '1' x 1000 ]
--- error_code eval: [ (403) x 6 ]
--- response_body eval: [ ($::text) x 6 ]


=== TEST 7: no challenge
--- request eval: "GET /cloudapi?$::mode&$::token"
--- error_code: 403
--- response_body eval: $::text


=== TEST 8: without a verify token nothing is verified
--- request eval
[ "GET /none?$::mode&$::number&hub.verify_token=",
  "GET /none?$::mode&$::number&$::token" ]
--- error_code eval: [ 403, 403 ]
--- response_body eval: [ $::wrong, $::wrong ]
