# Copyright (C) ngx_media contributors
#
# Without Redis, or with one that is silent or no Redis at all, each request
# is a MISS that S3 answers.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

use File::Temp qw(tempdir);
use IO::Socket::UNIX;

use FakeBroker;

repeat_each(2);
plan('no_plan');

our $socket = tempdir(CLEANUP => 1) . '/redis.sock';

IO::Socket::UNIX->new(Local => $socket, Listen => 1) or die "$socket: $!\n";

# a server that misbehaves before any protocol is one for Redis as well

my $server;

add_block_preprocessor(sub {
    my ($block) = @_;
    my $mode = ($block->server // '') =~ s/\s//gr;

    $server = $mode ? FakeBroker->new($mode) : undef;

    my $redis = $block->redis
        // '127.0.0.1:' . ($server ? $server->{port} : '1');

    $block->set_value('http_config', NginxTest::signer()
        . "media_redis $redis;\n" . ($block->http_config // ''));
    $block->set_value('config', "location /media/ {\nmedia_cache on;\n"
        . "media_proxy off;\n"
        . NginxTest::proxy() . '}');
    $block->set_value('tcp_listen', '$TEST_NGINX_S3_PORT');
    $block->set_value('tcp_reply', NginxTest::s3_reply());
    $block->set_value('init', 'select undef, undef, undef, 0.3');
    $block->set_value('request', 'GET /media/a.jpg');
    $block->set_value('timeout', '1.1');
    $block->set_value('response_headers',
        "X-Cache: MISS\nX-Signature: valid\nX-Request: "
        . 'GET /photos/a.jpg HTTP/1.1');
});

run_tests();

__DATA__

=== TEST 1: nothing listens


=== TEST 2: a socket that nobody listens on
--- redis eval: "unix:$::socket"


=== TEST 3: Redis is silent
--- server: silent


=== TEST 4: Redis closes the connection
--- server: close_protocol


=== TEST 5: what listens is no Redis
--- server: garbage


=== TEST 6: Redis is silent, and a login is configured
--- server: silent
--- http_config
media_redis_user      u;
media_redis_password  hidden;
media_redis_database  3;
--- no_error_log
hidden
