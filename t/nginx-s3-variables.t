# Copyright (C) ngx_media contributors
#
# What proxy_pass sends to S3 with the variables of the signer: the encoded
# key, the signed headers and nothing of the client's query.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config', NginxTest::signer());
    $block->set_value('config', "location /media/ {\n"
        . ($block->location // '') . NginxTest::proxy() . '}')
        unless defined $block->config;
    $block->set_value('tcp_listen', '$TEST_NGINX_S3_PORT');
    $block->set_value('tcp_reply', NginxTest::s3_reply());
});

run_tests();

__DATA__

=== TEST 1: path style
--- request
GET /media/chat/1.jpg
--- response_headers
X-Signature: valid
--- response_body
GET /photos/chat/1.jpg HTTP/1.1
host: s3.example.com:9000
x-amz-content-sha256: UNSIGNED-PAYLOAD


=== TEST 2: virtual style
--- location
media_s3_style virtual;
--- request
GET /media/chat/1.jpg
--- response_headers
X-Signature: valid
--- response_body
GET /chat/1.jpg HTTP/1.1
host: photos.s3.example.com:9000
x-amz-content-sha256: UNSIGNED-PAYLOAD


=== TEST 3: a session token is sent and signed
--- location eval: "media_s3_session_token '$NginxTest::token';"
--- request
GET /media/chat/1.jpg
--- response_headers
X-Signature: valid
--- response_body eval
"GET /photos/chat/1.jpg HTTP/1.1
host: s3.example.com:9000
x-amz-content-sha256: UNSIGNED-PAYLOAD
x-amz-security-token: $NginxTest::token
"


=== TEST 4: keys from files, without the newline at their end
--- user_files eval
"\n>>> access\nAKIAEXAMPLE\n>>> secret\n$NginxTest::secret\r\n"
    . ">>> token\n$NginxTest::token\n"
--- location
media_s3_access_key_file     $TEST_NGINX_SERVER_ROOT/html/access;
media_s3_secret_key_file     $TEST_NGINX_SERVER_ROOT/html/secret;
media_s3_session_token_file  $TEST_NGINX_SERVER_ROOT/html/token;
--- request
GET /media/a.jpg
--- response_headers
X-Request: GET /photos/a.jpg HTTP/1.1
X-Signature: valid


=== TEST 5: the client's query and signature stay here
--- request
GET /media/a.jpg?acl&X-Amz-Date=20130524T000000Z&versionId=1
--- more_headers
X-Amz-Content-Sha256: 00
Authorization: AWS4-HMAC-SHA256 Credential=evil
--- response_headers
X-Signature: valid
--- response_body
GET /photos/a.jpg HTTP/1.1
host: s3.example.com:9000
x-amz-content-sha256: UNSIGNED-PAYLOAD


=== TEST 6: HEAD
--- request
HEAD /media/a.jpg
--- response_headers
X-Request: HEAD /photos/a.jpg HTTP/1.1
X-Signature: valid


=== TEST 7: PUT
--- request
PUT /media/a.jpg
the body
--- response_headers
X-Request: PUT /photos/a.jpg HTTP/1.1
X-Signature: valid


=== TEST 8: DELETE
--- request
DELETE /media/a.jpg
--- response_headers
X-Request: DELETE /photos/a.jpg HTTP/1.1
X-Signature: valid


=== TEST 9: spaces, plus and percent
--- request
GET /media/a%20b+c%25d%252Fe.jpg
--- response_headers
X-Request: GET /photos/a%20b%2Bc%25d%252Fe.jpg HTTP/1.1
X-Signature: valid


=== TEST 10: quotes, brackets and signs
--- request
GET /media/%22'()!*;:,$&=@~-_
--- response_headers
X-Request: GET /photos/%22%27%28%29%21%2A%3B%3A%2C%24%26%3D%40~-_ HTTP/1.1
X-Signature: valid


=== TEST 11: question mark and hash
--- request
GET /media/a%3Facl%23x.jpg
--- response_headers
X-Request: GET /photos/a%3Facl%23x.jpg HTTP/1.1
X-Signature: valid


=== TEST 12: UTF-8, and bytes that are not
--- request
GET /media/caf%C3%A9/%E2%9C%93%FF.jpg
--- response_headers
X-Request: GET /photos/caf%C3%A9/%E2%9C%93%FF.jpg HTTP/1.1
X-Signature: valid


=== TEST 13: dot segments end within the prefix
--- request
GET /media/a/../b/./c.jpg
--- response_headers
X-Request: GET /photos/b/c.jpg HTTP/1.1
X-Signature: valid


=== TEST 14: the longest key
--- request eval: 'GET /media/' . 'x' x 1024
--- response_headers eval
'X-Request: GET /photos/' . 'x' x 1024 . " HTTP/1.1\nX-Signature: valid"


=== TEST 15: media_s3_key in a location of a regular expression
--- config eval
"location ~ ^/file/(?<name>\\d+) {\n media_s3_key chat/\$name.jpg;\n"
    . NginxTest::proxy() . '}'
--- request
GET /file/17/x
--- response_headers
X-Request: GET /photos/chat/17.jpg HTTP/1.1
X-Signature: valid


=== TEST 16: another region is another signature
--- location
media_s3_region us-east-1;
--- request
GET /media/a.jpg
--- raw_response_headers_like chomp
Credential=AKIAEXAMPLE/\d{8}/us-east-1/s3/aws4_request


=== TEST 17: what the variables say
--- config
location /media/ {
    set $payload $media_s3_content_sha256;
    set $rest "$media_s3_security_token|$media_cache_status";
    set $first "$media_key|$media_s3_uri|$media_s3_host|$media_s3_date";
    return 200 "$first|$payload|$rest|$media_s3_authorization";
}
--- request
GET /media/a%20b/c+d.jpg?x
--- tcp_query eval: ''
--- response_body_like eval
'^a b/c\+d\.jpg\|/photos/a%20b/c%2Bd\.jpg\|s3\.example\.com:9000'
    . '\|\d{8}T\d{6}Z\|UNSIGNED-PAYLOAD\|\|\|AWS4-HMAC-SHA256 '
    . 'Credential=AKIAEXAMPLE/\d{8}/eu-west-1/s3/aws4_request, ?'
    . 'SignedHeaders=host;x-amz-content-sha256;x-amz-date, ?'
    . 'Signature=[0-9a-f]{64}$'


=== TEST 18: without credentials there is no signature and no address
--- config
location /media/ {
    media_s3_secret_key "";
    return 200 "$media_s3_uri|$media_s3_host|$media_s3_authorization";
}
--- request
GET /media/a.jpg
--- tcp_query eval: ''
--- response_body chomp
:||
--- error_log
s3 endpoint, bucket or key is not configured
