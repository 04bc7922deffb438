# Copyright (C) ngx_media contributors
#
# A cache that is configured wrongly keeps nginx from starting, and the
# message says what is wrong, without the secrets.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

our $redis = 'media_redis 127.0.0.1:1;';

run_tests();

__DATA__

=== TEST 1: media_cache without media_redis
--- http_config
media_cache on;
--- must_die
--- error_log
[emerg]
"media_cache" requires "media_redis"
--- no_error_log
hidden

=== TEST 2: media_cache is a flag
--- http_config eval
qq{$::redis}
--- config
media_cache yes;
--- must_die
--- error_log
[emerg]
it must be "on" or "off"
--- no_error_log
hidden

=== TEST 3: media_cache_max_size above media_cache_buffers
--- http_config eval
qq{$::redis media_cache_buffers 1m;}
--- config
media_cache on; media_cache_max_size 1m;
--- must_die
--- error_log
[emerg]
"media_cache_max_size" must be less than "media_cache_buffers"
--- no_error_log
hidden

=== TEST 4: media_cache_max_size that overflows
--- http_config eval
qq{$::redis}
--- config
media_cache on; media_cache_max_size 9223372036854775807;
--- must_die
--- error_log
[emerg]
"media_cache_max_size" must be less than "media_cache_buffers"
--- no_error_log
hidden

=== TEST 5: media_cache_ttl of no category
--- http_config
media_cache_ttl music 1d;
--- must_die
--- error_log
[emerg]
invalid category "music"
--- no_error_log
hidden

=== TEST 6: media_cache_ttl of no time
--- http_config
media_cache_ttl image soon;
--- must_die
--- error_log
[emerg]
"media_cache_ttl" directive invalid value
--- no_error_log
hidden

=== TEST 7: media_cache_ttl twice
--- http_config
media_cache_ttl image 1d; media_cache_ttl image 2d;
--- must_die
--- error_log
[emerg]
"media_cache_ttl" directive is duplicate
--- no_error_log
hidden

=== TEST 8: media_cache_key twice
--- http_config
media_cache_key a; media_cache_key b;
--- must_die
--- error_log
[emerg]
"media_cache_key" directive is duplicate
--- no_error_log
hidden

=== TEST 9: media_cache_key of an unknown variable
--- http_config
media_cache_key $none;
--- must_die
--- error_log
[emerg]
unknown "none" variable
--- no_error_log
hidden

=== TEST 10: media_cache_bypass without a value
--- http_config
media_cache_bypass;
--- must_die
--- error_log
[emerg]
invalid number of arguments in "media_cache_bypass"
--- no_error_log
hidden

=== TEST 11: media_cache_buffers in a location
--- config
media_cache_buffers 1m;
--- must_die
--- error_log
[emerg]
"media_cache_buffers" directive is not allowed here
--- no_error_log
hidden

=== TEST 12: media_redis twice
--- http_config eval
qq{$::redis media_redis 127.0.0.1:2;}
--- must_die
--- error_log
[emerg]
"media_redis" directive is duplicate
--- no_error_log
hidden

=== TEST 13: media_redis with a bad port
--- http_config
media_redis 127.0.0.1:99999;
--- must_die
--- error_log
[emerg]
invalid port in redis address
--- no_error_log
hidden

=== TEST 14: media_redis with a name that has no address
--- http_config
media_redis redis.invalid;
--- must_die
--- error_log
[emerg]
in redis address "redis.invalid"
--- no_error_log
hidden

=== TEST 15: media_redis_user without a password
--- http_config
media_redis_user u;
--- must_die
--- error_log
[emerg]
"media_redis_user" requires "media_redis_password"
--- no_error_log
hidden

=== TEST 16: media_redis_password twice, once by file
--- user_files
>>> p
hidden
--- http_config
media_redis_password hidden;
media_redis_password_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
"media_redis_password_file" directive is duplicate
--- no_error_log
hidden

=== TEST 17: media_redis_password_file that is empty
--- user_files
>>> p

--- http_config
media_redis_password_file $TEST_NGINX_SERVER_ROOT/html/p;
--- must_die
--- error_log
[emerg]
is empty, too long or not readable
--- no_error_log
hidden

=== TEST 18: media_redis_connections of 0
--- http_config
media_redis_connections 0;
--- must_die
--- error_log
[emerg]
"media_redis_connections" and the timeouts of redis must be positive
--- no_error_log
hidden

=== TEST 19: media_redis_timeout of 0
--- http_config
media_redis_timeout 0;
--- must_die
--- error_log
[emerg]
the timeouts of redis must be positive
--- no_error_log
hidden

=== TEST 20: media_redis_connect_timeout of 0
--- http_config
media_redis_connect_timeout 0;
--- must_die
--- error_log
[emerg]
the timeouts of redis must be positive
--- no_error_log
hidden

=== TEST 21: media_redis_database below 0
--- http_config
media_redis_database -1;
--- must_die
--- error_log
[emerg]
"media_redis_database" directive invalid number
--- no_error_log
hidden
