# Copyright (C) ngx_media contributors
#
# A key that S3 must not be asked for is refused before a connection is made.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

repeat_each(2);
plan('no_plan');

add_block_preprocessor(sub {
    my ($block) = @_;
    my $proxy = NginxTest::proxy();

    $block->set_value('http_config', NginxTest::signer()
        . "media_redis 127.0.0.1:$ENV{TEST_NGINX_CLOSED_PORT};");
    $block->set_value('config', "merge_slashes off;
        location /cached/ {\nmedia_cache on;\n$proxy}
        location /given {\nmedia_s3_key \$arg_name;\n$proxy}
        location /plain/ {\n$proxy}");
    $block->set_value('tcp_listen', '$TEST_NGINX_S3_PORT');
    $block->set_value('tcp_reply', NginxTest::s3_reply());
    $block->set_value('tcp_query', '');
});

run_tests();

__DATA__

=== TEST 1: no key
--- request eval: [ 'GET /cached/', 'HEAD /cached/', 'GET /given' ]
--- error_code eval: [ 404, 404, 404 ]


=== TEST 2: control characters
--- request eval: [ map { "GET /cached/a%$_" } qw(01 0A 0D 1F 7F) ]
--- error_code eval: [ (400) x 5 ]


=== TEST 3: components that are empty
--- request eval
[ 'GET /cached//a', 'GET /cached/a//b', 'GET /given?name=/a',
  'GET /given?name=a//b' ]
--- error_code eval: [ (400) x 4 ]


=== TEST 4: dots
--- request eval
[ map { "GET /given?name=$_" } qw(. .. ../a a/../b a/.. a/./b) ]
--- error_code eval: [ (400) x 6 ]


=== TEST 5: above the longest key
--- request eval: [ map { $_ . 'x' x 1025 } 'GET /cached/', 'GET /given?name=' ]
--- error_code eval: [ 400, 400 ]


=== TEST 6: methods that are not cached
--- request eval: [ map { "$_ /cached/a%01" } qw(PUT DELETE POST) ]
--- error_code eval: [ (405) x 3 ]


=== TEST 7: dot segments that leave the root
--- request eval: [ 'GET /cached/../../a', 'GET /cached/%2e%2e/%2e%2e/a' ]
--- error_code eval: [ 400, 400 ]


=== TEST 8: in a location without media_cache and media_s3_key
--- request eval: [ 'GET /plain/', 'GET /plain/%01', 'GET /plain/a//b' ]
--- error_code eval: [ (500) x 3 ]
