# Copyright (C) ngx_media contributors
#
# A store that is configured wrongly keeps nginx from starting, and the
# message says what is wrong, without the secrets.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

run_tests();

__DATA__

=== TEST 1: media_store without keys
--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
}
--- must_die
--- error_log
[emerg]
"media_store" needs "media_store_access_key" or "media_store_access_key_file"
--- no_error_log
hidden

=== TEST 2: media_store without a secret key
--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
    media_store_access_key a;
}
--- must_die
--- error_log
[emerg]
"media_store" needs "media_store_secret_key" or "media_store_secret_key_file"
--- no_error_log
hidden

=== TEST 3: media_store_access_key also by file
--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
    media_store_secret_key a;
    media_store_access_key hidden;
    media_store_access_key_file p;
}
--- must_die
--- error_log
[emerg]
both "media_store_access_key" and "media_store_access_key_file" are set
--- no_error_log
hidden

=== TEST 4: media_store_access_key_file that is not there
--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
    media_store_secret_key a;
    media_store_access_key_file /nonexistent/file;
}
--- must_die
--- error_log
[emerg]
"media_store_access_key_file" "/nonexistent/file" cannot be read
--- no_error_log
hidden

=== TEST 5: media_store_access_key_file that is empty
--- user_files
>>> p

--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
    media_store_secret_key a;
    media_store_access_key_file $TEST_NGINX_SERVER_ROOT/html/p;
}
--- must_die
--- error_log
[emerg]
"media_store" needs "media_store_access_key"
--- no_error_log
hidden

=== TEST 6: media_store_secret_key also by file
--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
    media_store_access_key a;
    media_store_secret_key hidden;
    media_store_secret_key_file p;
}
--- must_die
--- error_log
[emerg]
both "media_store_secret_key" and "media_store_secret_key_file" are set
--- no_error_log
hidden

=== TEST 7: media_store_secret_key_file that is not there
--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
    media_store_access_key a;
    media_store_secret_key_file /nonexistent/file;
}
--- must_die
--- error_log
[emerg]
"media_store_secret_key_file" "/nonexistent/file" cannot be read
--- no_error_log
hidden

=== TEST 8: media_store_secret_key_file that is empty
--- user_files
>>> p

--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
    media_store_access_key a;
    media_store_secret_key_file $TEST_NGINX_SERVER_ROOT/html/p;
}
--- must_die
--- error_log
[emerg]
"media_store" needs "media_store_secret_key"
--- no_error_log
hidden

=== TEST 9: media_store twice in a location
--- config
location / {
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
    media_store $TEST_NGINX_SERVER_ROOT/html/store;
}
--- must_die
--- error_log
[emerg]
"media_store" directive is duplicate
--- no_error_log
hidden

=== TEST 10: media_store with a path of 513 bytes
--- config eval: "location / { media_store /" . "x" x 512 . "; }"
--- must_die
--- error_log
[emerg]
"media_store" directive has too long a path
--- no_error_log
hidden

=== TEST 11: media_store outside a location
--- http_config
media_store $TEST_NGINX_SERVER_ROOT/html/store;
--- must_die
--- error_log
[emerg]
"media_store" directive is not allowed here
--- no_error_log
hidden

=== TEST 12: media_store_region twice
--- http_config
media_store_region a; media_store_region b;
--- must_die
--- error_log
[emerg]
"media_store_region" directive is duplicate
--- no_error_log
hidden
