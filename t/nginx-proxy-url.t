# Copyright (C) ngx_media contributors
#
# $media_url_key is the key in a URL of our own, and empty for any other: the
# old form of a URL is no way to other hosts, buckets or keys.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config', NginxTest::signer())
        unless defined $block->http_config;
    $block->set_value('config',
        'location = /proxy { return 200 "$media_url_key\n"; }')
        unless defined $block->config;
});

# requests for URLs, percent-encoded as a browser does it

sub encoded {
    return [ map { 'GET /proxy?url='
        . s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger } @_ ];
}

sub lines { return [ map { "$_\n" } @_ ] }

run_tests();

__DATA__

=== TEST 1: URLs of our own
--- request eval
::encoded('/media/chat/1.jpg', 'http://localhost/media/chat/2.jpg',
    'https://localhost/media/chat/3.jpg',
    'HTTPS://LOCALHOST/media/chat/4.jpg',
    'http://s3.example.com:9000/photos/chat/5.jpg',
    'http://photos.s3.example.com:9000/chat/6.jpg')
--- error_code eval: [ (200) x 6 ]
--- response_body eval: ::lines(map { "chat/$_.jpg" } 1 .. 6)


=== TEST 2: keys are decoded once
--- request eval
::encoded('/media/a%20b.jpg', '/media/a+b=c@d.jpg', '/media/a%2Bb.jpg',
    '/media/caf%C3%A9.jpg', '/media/%22quoted%22.jpg', '/media/a%2Fb.jpg')
--- error_code eval: [ (200) x 6 ]
--- response_body eval
::lines('a b.jpg', 'a+b=c@d.jpg', 'a+b.jpg', "caf\xc3\xa9.jpg",
    '"quoted".jpg', 'a/b.jpg')


=== TEST 3: a URL that is not encoded
--- request eval
[ 'GET /proxy?url=http://localhost/media/raw.jpg',
  'GET /proxy?x=1&url=/media/raw%20key.jpg&y=2' ]
--- error_code eval: [ 200, 200 ]
--- response_body eval: ::lines('raw.jpg', 'raw key.jpg')


=== TEST 4: other hosts
--- request eval
::encoded('http://169.254.169.254/latest/meta-data/',
    'http://evil.example/media/a.jpg', 'http://localhost.evil/media/a.jpg',
    'http://localhost@evil/media/a.jpg', 'http://evil@localhost/media/a.jpg',
    '//localhost/media/a.jpg', 'http:///media/a.jpg',
    'http://localhost:81/media/a.jpg', 'http://[::1]/media/a.jpg')
--- error_code eval: [ (200) x 9 ]
--- response_body eval: ::lines(('') x 9)


=== TEST 5: other schemes
--- request eval
::encoded('file:///etc/passwd', 'ftp://localhost/media/a.jpg',
    'gopher://localhost/media/a.jpg', 'javascript:/media/a.jpg',
    'data:text/html,x')
--- error_code eval: [ (200) x 5 ]
--- response_body eval: ::lines(('') x 5)


=== TEST 6: other buckets and ports of the endpoint
--- request eval
::encoded('http://s3.example.com:9000/other/a.jpg',
    'http://s3.example.com:9000/photos/../other/a.jpg',
    'http://s3.example.com:9000/photos/%2e%2e/other/a.jpg',
    'http://s3.example.com:9000/photosx/a.jpg',
    'http://s3.example.com:9000/photos', 'http://s3.example.com:9000/photos/',
    'http://s3.example.com/photos/a.jpg',
    'http://other.s3.example.com:9000/a.jpg')
--- error_code eval: [ (200) x 8 ]
--- response_body eval: ::lines(('') x 8)


=== TEST 7: keys that must not be asked for
--- request eval
::encoded('/media/../a.jpg', '/media/%2e%2e/a.jpg', '/media/./a.jpg',
    '/media//a.jpg', '/media/a//b.jpg', '/media/a%00.jpg', '/media/a%0Ab',
    '/media/a%252Fb', '/media/', '/other/a.jpg', 'a.jpg', '/media/a.jpg?acl',
    '/media/a.jpg#x', '/media/' . 'x' x 1025)
--- error_code eval: [ (200) x 14 ]
--- response_body eval: ::lines(('') x 14)


=== TEST 8: no URL
--- request eval
[ 'GET /proxy', 'GET /proxy?url=', 'GET /proxy?urls=/media/a' ]
--- error_code eval: [ (200) x 3 ]
--- response_body eval: ::lines(('') x 3)


=== TEST 9: a public URL with a host
--- http_config eval
NginxTest::signer() . 'media_public_url https://cdn.example.com/m/;'
--- request eval
::encoded('https://cdn.example.com/m/a.jpg', 'http://cdn.example.com/m/a.jpg',
    'https://localhost/m/a.jpg', '/m/a.jpg', '/media/a.jpg')
--- error_code eval: [ (200) x 5 ]
--- response_body eval: ::lines('a.jpg', ('') x 4)


=== TEST 10: without an S3 server only the public URL is known
--- http_config
media_public_url /files/;
--- request eval
::encoded('/files/a.jpg', 'http://s3.example.com:9000/photos/a.jpg',
    'http://photos.s3.example.com:9000/a.jpg', 'http:///a.jpg')
--- error_code eval: [ (200) x 4 ]
--- response_body eval: ::lines('a.jpg', ('') x 3)


=== TEST 11: the object is asked for by its key, with the client's query left
--- config eval
"location = /proxy {\n media_s3_key \$media_url_key;\n" . NginxTest::proxy()
    . '}'
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval: NginxTest::s3_reply()
--- request
GET /proxy?url=%2Fmedia%2Fa%2520b.jpg&acl
--- response_headers
X-Request: GET /photos/a%20b.jpg HTTP/1.1
X-Signature: valid


=== TEST 12: nothing is asked for by a URL of another host
--- config eval
"location = /proxy {\n media_s3_key \$media_url_key;\n" . NginxTest::proxy()
    . '}'
--- tcp_listen: $TEST_NGINX_S3_PORT
--- tcp_reply eval: NginxTest::s3_reply()
--- tcp_query eval: ''
--- request
GET /proxy?url=http%3A%2F%2Fevil.example%2Fmedia%2Fa.jpg
--- error_code: 404
