# Copyright (C) ngx_media contributors
#
# A signer that is configured wrongly keeps nginx from starting, and the
# message says what is wrong, without the secrets.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

run_tests();

__DATA__

=== TEST 1: media_public_url without a slash at its end
--- http_config
media_public_url /media;
--- must_die
--- error_log
[emerg]
"media_public_url" must end with a slash
--- no_error_log
hidden

=== TEST 2: media_public_url that is empty
--- http_config
media_public_url "";
--- must_die
--- error_log
[emerg]
"media_public_url" must end with a slash
--- no_error_log
hidden

=== TEST 3: media_s3_endpoint ftp://s3
--- http_config
media_s3_bucket b;
media_s3_access_key a;
media_s3_secret_key hidden;
media_s3_endpoint ftp://s3;
--- must_die
--- error_log
[emerg]
invalid s3 endpoint "ftp://s3"
--- no_error_log
hidden

=== TEST 4: media_s3_endpoint http://
--- http_config
media_s3_bucket b;
media_s3_access_key a;
media_s3_secret_key hidden;
media_s3_endpoint http://;
--- must_die
--- error_log
[emerg]
invalid s3 endpoint "http://"
--- no_error_log
hidden

=== TEST 5: media_s3_endpoint s3.example.com:9000
--- http_config
media_s3_bucket b;
media_s3_access_key a;
media_s3_secret_key hidden;
media_s3_endpoint s3.example.com:9000;
--- must_die
--- error_log
[emerg]
invalid s3 endpoint "s3.example.com:9000"
--- no_error_log
hidden

=== TEST 6: media_s3_endpoint http://u@s3
--- http_config
media_s3_bucket b;
media_s3_access_key a;
media_s3_secret_key hidden;
media_s3_endpoint http://u@s3;
--- must_die
--- error_log
[emerg]
invalid s3 endpoint "http://u@s3"
--- no_error_log
hidden

=== TEST 7: media_s3_endpoint http://s3/b
--- http_config
media_s3_bucket b;
media_s3_access_key a;
media_s3_secret_key hidden;
media_s3_endpoint http://s3/b;
--- must_die
--- error_log
[emerg]
invalid s3 endpoint "http://s3/b"
--- no_error_log
hidden

=== TEST 8: media_s3_endpoint http://s3?x
--- http_config
media_s3_bucket b;
media_s3_access_key a;
media_s3_secret_key hidden;
media_s3_endpoint http://s3?x;
--- must_die
--- error_log
[emerg]
invalid s3 endpoint "http://s3?x"
--- no_error_log
hidden

=== TEST 9: media_s3_style of no kind
--- http_config
media_s3_style dns;
--- must_die
--- error_log
[emerg]
invalid value "dns"
--- no_error_log
hidden

=== TEST 10: media_s3_key twice
--- config
media_s3_key a; media_s3_key b;
--- must_die
--- error_log
[emerg]
"media_s3_key" directive is duplicate
--- no_error_log
hidden

=== TEST 11: media_s3_bucket twice
--- http_config
media_s3_bucket a; media_s3_bucket b;
--- must_die
--- error_log
[emerg]
"media_s3_bucket" directive is duplicate
--- no_error_log
hidden

=== TEST 12: media_s3_region twice
--- http_config
media_s3_region a; media_s3_region b;
--- must_die
--- error_log
[emerg]
"media_s3_region" directive is duplicate
--- no_error_log
hidden

=== TEST 13: media_s3_access_key also by file
--- user_files
>>> p
hidden
--- http_config
media_s3_access_key hidden;
media_s3_access_key_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
"media_s3_access_key_file" directive is duplicate
--- no_error_log
hidden

=== TEST 14: media_s3_access_key_file that is not there
--- http_config
media_s3_access_key_file /nonexistent/file;
--- must_die
--- error_log
[emerg]
open() "/nonexistent/file" failed
--- no_error_log
hidden

=== TEST 15: media_s3_secret_key also by file
--- user_files
>>> p
hidden
--- http_config
media_s3_secret_key hidden;
media_s3_secret_key_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
"media_s3_secret_key_file" directive is duplicate
--- no_error_log
hidden

=== TEST 16: media_s3_secret_key_file that is not there
--- http_config
media_s3_secret_key_file /nonexistent/file;
--- must_die
--- error_log
[emerg]
open() "/nonexistent/file" failed
--- no_error_log
hidden

=== TEST 17: media_s3_session_token also by file
--- user_files
>>> p
hidden
--- http_config
media_s3_session_token hidden;
media_s3_session_token_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
"media_s3_session_token_file" directive is duplicate
--- no_error_log
hidden

=== TEST 18: media_s3_session_token_file that is not there
--- http_config
media_s3_session_token_file /nonexistent/file;
--- must_die
--- error_log
[emerg]
open() "/nonexistent/file" failed
--- no_error_log
hidden
