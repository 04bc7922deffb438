# Copyright (C) ngx_media contributors
#
# What is said to browsers is not configured by guessing: nginx does not start
# with an origin that no browser sends, or that would allow nobody or all.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

run_tests();

__DATA__

=== TEST 1: an origin with a path
--- http_config
media_cors_origin https://crm.example.com/;
--- must_die
--- error_log
[emerg]
invalid origin "https://crm.example.com/": write scheme://host or

=== TEST 2: an origin without a scheme
--- http_config
media_cors_origin crm.example.com;
--- must_die
--- error_log
[emerg]
such as https://crm.example.com

=== TEST 3: an origin in upper case
--- http_config
media_cors_origin https://CRM.example.com;
--- must_die
--- error_log
[emerg]
in lower case

=== TEST 4: an origin with the scheme's own port
--- http_config
media_cors_origin https://crm.example.com:443;
--- must_die
--- error_log
[emerg]
browsers leave out the port of origin "https://crm.example.com:443": write "https://crm.example.com"

=== TEST 5: another scheme's port is one to write
--- http_config
media_cors_origin http://crm.example.com:443 https://a:80 app://x:1;
--- config
location /t { return 200 ok; }
--- request
GET /t
--- response_body: ok

=== TEST 6: a port that is none
--- http_config
media_cors_origin https://crm.example.com:99999;
--- must_die
--- error_log
[emerg]
invalid port in origin "https://crm.example.com:99999"

=== TEST 7: a path after the port
--- http_config
media_cors_origin https://crm.example.com:8443/x;
--- must_die
--- error_log
[emerg]
invalid port in origin "https://crm.example.com:8443/x"

=== TEST 8: the origin of sandboxed pages
--- http_config
media_cors_origin null;
--- must_die
--- error_log
[emerg]
origin "null" is the one of any sandboxed page

=== TEST 9: all origins and another one
--- http_config
media_cors_origin * https://crm.example.com;
--- must_die
--- error_log
[emerg]
"media_cors_origin" directive takes no other origin beside "*"

=== TEST 10: all origins with credentials
--- http_config
media_cors_credentials on;
--- config
media_cors_origin *;
--- must_die
--- error_log
[emerg]
browsers refuse "media_cors_origin *" with "media_cors_credentials on": name the origins

=== TEST 11: off with an origin
--- http_config
media_cors_origin off https://crm.example.com;
--- must_die
--- error_log
[emerg]
invalid origin "off"

=== TEST 12: twice
--- http_config
media_cors_origin https://a; media_cors_origin https://b;
--- must_die
--- error_log
[emerg]
"media_cors_origin" directive is duplicate

=== TEST 13: other forms of origins
--- http_config
media_cors_origin https://[::1]:8443 http://127.0.0.1 chrome-extension://abc;
--- config
location /t { return 200 ok; }
--- request
GET /t
--- response_body: ok

=== TEST 14: an address that does not end
--- http_config
media_cors_origin https://[::1;
--- must_die
--- error_log
[emerg]
invalid origin "https://[::1"

=== TEST 15: an origin with a user
--- http_config
media_cors_origin https://u@crm.example.com;
--- must_die
--- error_log
[emerg]
invalid origin "https://u@crm.example.com"

=== TEST 16: a wildcard within an origin
--- http_config
media_cors_origin https://*.example.com;
--- must_die
--- error_log
[emerg]
invalid origin "https://*.example.com"

=== TEST 17: media_cache_control of no kind
--- config
media_cache_control no-store;
--- must_die
--- error_log
[emerg]
invalid value "no-store"

=== TEST 18: media_resource_policy of no kind
--- config
media_resource_policy all;
--- must_die
--- error_log
[emerg]
invalid value "all"

=== TEST 19: media_max_age of no category
--- config
media_max_age music 1d;
--- must_die
--- error_log
[emerg]
invalid category "music"

=== TEST 20: media_max_age of no time
--- config
media_max_age image soon;
--- must_die
--- error_log
[emerg]
"media_max_age" directive invalid value

=== TEST 21: media_max_age twice
--- config
media_max_age image 1d; media_max_age image 2d;
--- must_die
--- error_log
[emerg]
"media_max_age" directive is duplicate

=== TEST 22: media_cors_credentials is a flag
--- config
media_cors_credentials yes;
--- must_die
--- error_log
[emerg]
it must be "on" or "off"
