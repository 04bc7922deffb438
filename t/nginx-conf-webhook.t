# Copyright (C) ngx_media contributors
#
# A webhook that is configured wrongly keeps nginx from starting, and the
# message says what is wrong, without the secrets.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

our $broker = 'media_rabbitmq_url amqp://u:p@127.0.0.1:1/;';
our $webhook =
    'location /w { media_webhook wapi; media_webhook_token t; }';

run_tests();

__DATA__

=== TEST 1: evolution without a token
--- http_config eval
qq{$::broker}
--- config
location / {
    media_webhook evolution;
}
--- must_die
--- error_log
[emerg]
"media_webhook" requires "media_webhook_token"
--- no_error_log
hidden

=== TEST 2: wapi without a token
--- http_config eval
qq{$::broker}
--- config
location / {
    media_webhook wapi;
}
--- must_die
--- error_log
[emerg]
"media_webhook" requires "media_webhook_token"
--- no_error_log
hidden

=== TEST 3: cloudapi without a secret
--- http_config eval
qq{$::broker}
--- config
location / {
    media_webhook cloudapi;
    media_webhook_token t;
}
--- must_die
--- error_log
[emerg]
cloudapi requires "media_webhook_secret"
--- no_error_log
hidden

=== TEST 4: media_webhook without a broker
--- config eval
qq{$::webhook}
--- must_die
--- error_log
[emerg]
"media_webhook" requires "media_rabbitmq_url"
--- no_error_log
hidden

=== TEST 5: media_webhook of no provider
--- http_config eval
qq{$::broker}
--- config
location / {
    media_webhook telegram;
}
--- must_die
--- error_log
[emerg]
must be "evolution", "wapi" or "cloudapi"
--- no_error_log
hidden

=== TEST 6: media_webhook twice in a location
--- http_config eval
qq{$::broker}
--- config
location / {
    media_webhook wapi;
    media_webhook evolution;
}
--- must_die
--- error_log
[emerg]
"media_webhook" directive is duplicate
--- no_error_log
hidden

=== TEST 7: media_webhook outside a location
--- http_config
media_webhook wapi;
--- must_die
--- error_log
[emerg]
"media_webhook" directive is not allowed here
--- no_error_log
hidden

=== TEST 8: media_webhook_secret that is empty
--- http_config
media_webhook_secret "";
--- must_die
--- error_log
[emerg]
"media_webhook_secret" directive must not be empty
--- no_error_log
hidden

=== TEST 9: media_webhook_secret_file that is empty
--- user_files
>>> p

--- http_config
media_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
"media_webhook_secret_file" directive names an empty file
--- no_error_log
hidden

=== TEST 10: media_webhook_secret_file that is not there
--- http_config
media_webhook_secret_file /nonexistent/file;
--- must_die
--- error_log
[emerg]
open() "/nonexistent/file" failed
--- no_error_log
hidden

=== TEST 11: media_webhook_token that is empty
--- http_config
media_webhook_token "";
--- must_die
--- error_log
[emerg]
"media_webhook_token" directive must not be empty
--- no_error_log
hidden

=== TEST 12: media_webhook_token_file that is empty
--- user_files
>>> p

--- http_config
media_webhook_token_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
"media_webhook_token_file" directive names an empty file
--- no_error_log
hidden

=== TEST 13: media_webhook_token_file that is not there
--- http_config
media_webhook_token_file /nonexistent/file;
--- must_die
--- error_log
[emerg]
open() "/nonexistent/file" failed
--- no_error_log
hidden

=== TEST 14: media_webhook_verify_token that is empty
--- http_config
media_webhook_verify_token "";
--- must_die
--- error_log
[emerg]
"media_webhook_verify_token" directive must not be empty
--- no_error_log
hidden

=== TEST 15: media_webhook_verify_token_file that is empty
--- user_files
>>> p

--- http_config
media_webhook_verify_token_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
"media_webhook_verify_token_file" directive names an empty file
--- no_error_log
hidden

=== TEST 16: media_webhook_verify_token_file that is not there
--- http_config
media_webhook_verify_token_file /nonexistent/file;
--- must_die
--- error_log
[emerg]
open() "/nonexistent/file" failed
--- no_error_log
hidden

=== TEST 17: media_webhook_token_file that is too large
--- user_files eval: [["p", "x" x 4096]]
--- http_config
media_webhook_token_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
names too large a file
--- no_error_log
hidden

=== TEST 18: media_webhook_credential twice
--- http_config
media_webhook_credential $arg_a;
media_webhook_credential $arg_b;
--- must_die
--- error_log
[emerg]
"media_webhook_credential" directive is duplicate
--- no_error_log
hidden

=== TEST 19: media_webhook_instance of an unknown variable
--- http_config
media_webhook_instance $none;
--- must_die
--- error_log
[emerg]
unknown "none" variable
--- no_error_log
hidden

=== TEST 20: media_webhook_max_body of no size
--- http_config
media_webhook_max_body much;
--- must_die
--- error_log
[emerg]
"media_webhook_max_body" directive invalid value
--- no_error_log
hidden

=== TEST 21: media_webhook_max_message of no size
--- http_config
media_webhook_max_message much;
--- must_die
--- error_log
[emerg]
"media_webhook_max_message" directive invalid value
--- no_error_log
hidden

=== TEST 22: media_webhook_offload twice
--- http_config
media_webhook_offload /a/; media_webhook_offload /b/;
--- must_die
--- error_log
[emerg]
"media_webhook_offload" directive is duplicate
--- no_error_log
hidden

=== TEST 23: media_rabbitmq_url: http://u:password@127.0.0.1/
--- http_config
media_rabbitmq_url http://u:hidden@127.0.0.1/;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_url" directive must be amqp://
--- no_error_log
hidden

=== TEST 24: media_rabbitmq_url: amqp://127.0.0.1/
--- http_config
media_rabbitmq_url amqp://127.0.0.1/;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_url" directive has no user and password
--- no_error_log
hidden

=== TEST 25: media_rabbitmq_url: amqp://password@127.0.0.1/
--- http_config
media_rabbitmq_url amqp://hidden@127.0.0.1/;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_url" directive has no user and password
--- no_error_log
hidden

=== TEST 26: media_rabbitmq_url: amqp://:password@127.0.0.1/
--- http_config
media_rabbitmq_url amqp://:hidden@127.0.0.1/;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_url" directive has no user and password
--- no_error_log
hidden

=== TEST 27: media_rabbitmq_url: amqp://u:password%zz@127.0.0.1/
--- http_config
media_rabbitmq_url amqp://u:hidden%zz@127.0.0.1/;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_url" directive has an invalid user, password or virtual host
--- no_error_log
hidden

=== TEST 28: media_rabbitmq_url: amqp://u:password@127.0.0.1:x/
--- http_config
media_rabbitmq_url amqp://u:hidden@127.0.0.1:x/;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_url" directive has an invalid host
--- no_error_log
hidden

=== TEST 29: media_rabbitmq_url: amqp://u:password@broker.invalid/
--- http_config
media_rabbitmq_url amqp://u:hidden@broker.invalid/;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_url" directive has an invalid host
--- no_error_log
hidden

=== TEST 30: media_rabbitmq_url also by file
--- user_files
>>> p
amqp://u:hidden@127.0.0.1/
--- http_config
media_rabbitmq_url_file $TEST_NGINX_SERVER_ROOT/html/p;
media_rabbitmq_url amqp://u:hidden@127.0.0.1/;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_url" directive is duplicate
--- no_error_log
hidden

=== TEST 31: media_rabbitmq_url_file that is not there
--- http_config
media_rabbitmq_url_file /nonexistent/file;
--- must_die
--- error_log
[emerg]
open() "/nonexistent/file" failed
--- no_error_log
hidden

=== TEST 32: media_rabbitmq_exchange with 256 bytes
--- http_config eval: "media_rabbitmq_exchange " . "x" x 256 . ";"
--- must_die
--- error_log
[emerg]
names too long an exchange or routing key
--- no_error_log
hidden

=== TEST 33: media_rabbitmq_routing_key with 256 bytes
--- http_config eval: "media_rabbitmq_routing_key " . "x" x 256 . ";"
--- must_die
--- error_log
[emerg]
names too long an exchange or routing key
--- no_error_log
hidden

=== TEST 34: media_rabbitmq_confirm_timeout of no value
--- http_config
media_rabbitmq_confirm_timeout some;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_confirm_timeout" directive invalid
--- no_error_log
hidden

=== TEST 35: media_rabbitmq_heartbeat of no value
--- http_config
media_rabbitmq_heartbeat some;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_heartbeat" directive invalid
--- no_error_log
hidden

=== TEST 36: media_rabbitmq_queue_bytes of no value
--- http_config
media_rabbitmq_queue_bytes some;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_queue_bytes" directive invalid
--- no_error_log
hidden

=== TEST 37: media_rabbitmq_queue_size of no value
--- http_config
media_rabbitmq_queue_size some;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_queue_size" directive invalid
--- no_error_log
hidden

=== TEST 38: media_rabbitmq_confirm_timeout of 0
--- http_config
media_rabbitmq_confirm_timeout 0;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_queue_size" must be positive
--- no_error_log
hidden

=== TEST 39: media_rabbitmq_queue_bytes of 0
--- http_config
media_rabbitmq_queue_bytes 0;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_queue_size" must be positive
--- no_error_log
hidden

=== TEST 40: media_rabbitmq_queue_size of 0
--- http_config
media_rabbitmq_queue_size 0;
--- must_die
--- error_log
[emerg]
"media_rabbitmq_queue_size" must be positive
--- no_error_log
hidden
