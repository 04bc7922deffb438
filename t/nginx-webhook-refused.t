# Copyright (C) ngx_media contributors
#
# A webhook that is not authorised, too large or not JSON is refused with a
# status, a JSON body that says why, and never a redirect.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

use Digest::SHA qw(hmac_sha256_hex);

repeat_each(2);
plan('no_plan');

# the broker is away: what was not refused is answered 503

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config', "media_rabbitmq_url "
        . "amqp://u:hidden\@127.0.0.1:$ENV{TEST_NGINX_CLOSED_PORT}/;\n"
        . ($block->http_config // ''));
    $block->set_value('config', <<'END') unless defined $block->config;
    location ~ ^/evolution/(?<token>[^/]+) {
        media_webhook             evolution;
        media_webhook_token       old;
        media_webhook_token       secret;
        media_webhook_credential  $token;
    }
    location /wapi {
        media_webhook              wapi;
        media_webhook_token        secret;
        media_webhook_max_body     1000;
        media_webhook_max_message  100;
    }
    location = /cloudapi {
        media_webhook         cloudapi;
        media_webhook_secret  first;
        media_webhook_secret  second;
    }
END
});


# sections of many requests

sub same { my ($n, $value) = @_; return [ ($value) x $n ] }

our $unauthorized = '{"error":"unauthorized",'
    . qq("message":"no credential was presented"}\n);
our $forbidden = '{"error":"forbidden",'
    . qq("message":"the credential is wrong"}\n);
our $unsigned = '{"error":"forbidden",'
    . qq("message":"the signature is wrong"}\n);
our $unavailable = '{"error":"unavailable",'
    . qq("message":"the message cannot be queued now"}\n);
our $good = hmac_sha256_hex('{"a":1}', 'first');

run_tests();

__DATA__

=== TEST 1: Evolution: wrong tokens
--- request eval
[ map { "POST /evolution/$_\n{}" } qw(secre secrets SECRET x old2 secret%20) ]
--- error_code eval: ::same(6, 403)
--- response_body eval: ::same(6, $::forbidden)
--- response_headers eval: ::same(6, 'Content-Type: application/json')


=== TEST 2: Evolution: right tokens
--- request eval
[ map { "POST /evolution/$_\n{}" } qw(old secret secret/messages-upsert
    secret/ secret//connection-update sec%72et) ]
--- error_code eval: ::same(6, 503)
--- response_body eval: ::same(6, $::unavailable)


=== TEST 3: W-API: no token
--- request eval
[ map { "POST $_\n{}" } qw(/wapi /wapi?token= /wapi?tokens=secret) ]
--- error_code eval: ::same(3, 401)
--- response_body eval: ::same(3, $::unauthorized)


=== TEST 4: W-API: wrong tokens
--- request eval
[ ("POST /wapi\n{}") x 5, map { "POST /wapi?token=$_\n{}" }
    qw(x secret/../x secret/Messages secret/a/b) ]
--- more_headers eval
[ 'Authorization: Bearer x', 'Authorization: Basic secret',
  'X-Webhook-Token: x', 'apikey: x', 'apikey: secret2', ('') x 4 ]
--- error_code eval: ::same(9, 403)
--- response_body eval: ::same(9, $::forbidden)


=== TEST 5: W-API: a wrong header is not helped by a right argument
--- request
POST /wapi?token=secret
{}
--- more_headers
X-Webhook-Token: x
--- error_code: 403
--- response_body eval: $::forbidden


=== TEST 6: W-API: right tokens
--- request eval
[ ("POST /wapi\n{}") x 4, map { "POST /wapi?token=$_\n{}" }
    qw(secret s%65cret secret/messages-upsert) ]
--- more_headers eval
[ 'Authorization: Bearer secret', 'Authorization: bearer secret',
  'X-Webhook-Token: secret', 'apikey: secret', ('') x 3 ]
--- error_code eval: ::same(7, 503)
--- response_body eval: ::same(7, $::unavailable)


=== TEST 7: Cloud API: no signature
--- request
POST /cloudapi
{"a":1}
--- more_headers
X-Hub-Signature: sha1=0000000000000000000000000000000000000000
Authorization: Bearer first
--- error_code: 401
--- response_body eval: $::unauthorized


=== TEST 8: Cloud API: what is no signature
--- request eval: ::same(5, "POST /cloudapi\n{\"a\":1}")
--- more_headers eval
[ map { "X-Hub-Signature-256: $_" } 'sha256=' . 'z' x 64, $::good,
    'sha256=' . substr($::good, 1), "sha256=${main::good}0",
    'sha1=' . '0' x 40 ]
--- error_code eval: ::same(5, 403)
--- response_body eval: ::same(5, $::forbidden)


=== TEST 9: Cloud API: the signature of another secret or body
--- request eval
[ "POST /cloudapi\n{\"a\":1}", "POST /cloudapi\n{\"a\":2}",
  "POST /cloudapi\n{\"a\":1} " . '}' ]
--- more_headers eval
[ 'X-Hub-Signature-256: sha256=' . Digest::SHA::hmac_sha256_hex('{"a":1}',
    'third'), ("X-Hub-Signature-256: sha256=$::good") x 2 ]
--- error_code eval: ::same(3, 403)
--- response_body eval: ::same(3, $::unsigned)


=== TEST 10: Cloud API: the signatures of both secrets
--- request eval: ::same(2, "POST /cloudapi\n{\"a\":1}")
--- more_headers eval
[ map { 'X-Hub-Signature-256: sha256='
    . Digest::SHA::hmac_sha256_hex('{"a":1}', $_) } qw(first second) ]
--- error_code eval: ::same(2, 503)
--- response_body eval: ::same(2, $::unavailable)


=== TEST 11: methods
--- request eval
[ map { ("$_ /evolution/secret", "$_ /wapi?token=secret") }
    qw(GET PUT DELETE OPTIONS PATCH) ]
--- error_code eval: ::same(10, 405)
--- response_headers eval: ::same(10, 'Allow: POST')
--- response_body eval
::same(10, qq({"error":"method_not_allowed","message":"webhooks are posted"}
))


=== TEST 12: methods of the Cloud API
--- request eval: [ map { "$_ /cloudapi" } qw(PUT DELETE OPTIONS) ]
--- error_code eval: ::same(3, 405)
--- response_headers eval: ::same(3, 'Allow: GET, HEAD, POST')


=== TEST 13: no length
--- raw_request eval
"POST /evolution/secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
--- error_code: 411
--- response_body
{"error":"length_required","message":"the body has no length"}


=== TEST 14: a declared body above media_webhook_max_body
--- request eval: "POST /wapi?token=secret\n" . 'x' x 1001
--- error_code: 413
--- response_body
{"error":"too_large","message":"the body is too large"}


=== TEST 15: a body above media_webhook_max_message
--- request eval: "POST /wapi?token=secret\n\"" . 'x' x 99 . '"'
--- error_code: 413
--- response_body
{"error":"too_large","message":"the body is too large for a message"}


=== TEST 16: a body of media_webhook_max_message
--- request eval: "POST /wapi?token=secret\n\"" . 'x' x 98 . '"'
--- error_code: 503
--- response_body eval: $::unavailable


=== TEST 17: the credential comes before the length and the type
--- request eval: "POST /wapi\n" . 'x' x 2000
--- more_headers
Content-Type: text/plain
--- error_code: 401
--- response_body eval: $::unauthorized


=== TEST 18: other types
--- request eval: ::same(4, "POST /evolution/secret\n{}")
--- more_headers eval
[ map { "Content-Type: $_" } 'text/plain', 'application/jsonx',
    'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x' ]
--- error_code eval: ::same(4, 415)
--- response_body eval
::same(4, qq({"error":"unsupported_media_type","message":"the body must be)
    . qq( JSON"}\n))


=== TEST 19: types of JSON
--- request eval: ::same(4, "POST /evolution/secret\n{}")
--- more_headers eval
[ map { "Content-Type: $_" } 'application/json; charset=utf-8',
    'APPLICATION/JSON', 'application/vnd.x+json', 'application/json ; a' ]
--- error_code eval: ::same(4, 503)


=== TEST 20: what is not JSON
--- request eval
[ map { "POST /evolution/secret\n$_" } '{"a":1', 'nope', '{"a":1}}', "\xff",
    "{\"a\":\"\xc3\x28\"}", '[' x 100 . ']' x 100, "{'a':1}", '{"a":01}' ]
--- error_code eval: ::same(8, 400)
--- response_body_like eval
::same(8, '^\{"error":"invalid_json","message":"[^"]+"\}\n$')


=== TEST 21: an empty body
--- request
POST /evolution/secret
--- more_headers
Content-Length: 0
--- error_code: 400
--- response_body_like
^\{"error":"invalid_json","message":"[^"]+"\}


=== TEST 22: no redirect, whatever the path
--- config
location = /hook { media_webhook wapi; media_webhook_token secret; }
location /slash/ { media_webhook wapi; media_webhook_token secret; }
--- request eval
[ map { "POST $_\n{}" } qw(/hook /slash/ /slash//a/../ /slash/?token=x) ]
--- error_code eval: [ 401, 401, 401, 403 ]
--- response_headers eval: ::same(4, '!Location')


=== TEST 23: tokens from files, inherited from the server
--- user_files
>>> token
from file
--- config
media_webhook_token_file $TEST_NGINX_SERVER_ROOT/html/token;
location = /hook {
    media_webhook             evolution;
    media_webhook_credential  $http_x_key;
}
--- request eval: ::same(3, "POST /hook\n{}")
--- more_headers eval: [ 'X-Key: from file', 'X-Key: from', 'apikey: x' ]
--- error_code eval: [ 503, 403, 401 ]
--- response_body eval: [ $::unavailable, $::forbidden, $::unauthorized ]


=== TEST 24: secrets from files
--- user_files
>>> secret
first
--- config
location = /hook {
    media_webhook              cloudapi;
    media_webhook_secret_file  $TEST_NGINX_SERVER_ROOT/html/secret;
}
--- request
POST /hook
{"a":1}
--- more_headers eval: "X-Hub-Signature-256: sha256=$::good"
--- error_code: 503
--- response_body eval: $::unavailable


=== TEST 25: no credential in the log
--- request eval
[ "POST /wapi?token=hidden\n{\"a\":\"hidden\"}", "POST /cloudapi\n{}" ]
--- more_headers eval: [ '', 'X-Hub-Signature-256: sha256=hidden' ]
--- error_code eval: [ 403, 403 ]
--- no_error_log
sha256=hidden
"a":"hidden"
