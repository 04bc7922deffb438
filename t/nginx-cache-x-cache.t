# Copyright (C) ngx_media contributors
#
# X-Cache tells whether an answer came from Redis: MISS and then HIT with what
# was stored, BYPASS by a condition, MISS again for what must not be stored.
# The origin answers with the version that the client names, so that a stored
# answer shows.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

my ($user, $password, $address, $database) = ($ENV{REDIS_URL} // '')
    =~ m{^redis://(?:([^:/]*):([^@]*)@)?([^/]+)/?(\d*)$};

plan(skip_all => 'REDIS_URL is not set') unless $address;
repeat_each(2);
plan('no_plan');

$password =~ s/%(..)/chr hex $1/ge if defined $password;

our $login = "media_redis $address;\n"
    . "media_redis_database " . ($database || 0) . ";\n"
    . (length($user // '') ? "media_redis_user $user;\n" : '')
    . (length($password // '') ? "media_redis_password '$password';\n" : '');

my $common = <<'END';
    media_redis_connections      1;
    media_redis_connect_timeout  2s;
    media_redis_timeout          2s;
    media_cache_buffers          2m;
    media_cache_ttl              image 5s;
    media_cache_ttl              document 1s;
    types { image/jpeg jpg; application/pdf pdf; }

    server {
        listen      127.0.0.1:$TEST_NGINX_S3_PORT;
        add_header  ETag '"$http_x_version"';
        add_header  Last-Modified 'Sun, 01 Jan 2023 00:00:00 GMT';

        location / { return 200 'version $http_x_version'; }
        location /private {
            add_header  Cache-Control private;
            return      200 private;
        }
        location /no-store {
            add_header  Cache-Control 'max-age=60, no-store';
            return      200 no-store;
        }
        location /vary { add_header Vary '*'; return 200 vary; }
        location /encoded {
            add_header  Content-Encoding gzip;
            return      200 encoded;
        }
        location /file { root $TEST_NGINX_SERVER_ROOT/html; }
        location /none { return 404 none; }
        location /moved { return 301 /media/a.jpg; }
    }
END

# an object of one connection's own; an init waits for the login to Redis

my $location = <<'END';
        media_cache         on;
        media_cache_bypass  $arg_fresh;
        proxy_http_version  1.1;
        proxy_set_header    Connection "";
        proxy_set_header    X-Version $http_x_version;
        proxy_pass          http://127.0.0.1:$TEST_NGINX_S3_PORT/;
        proxy_max_temp_file_size  0;
END

add_block_preprocessor(sub {
    my ($block) = @_;
    my $key = $block->shared ? '' : '$connection ';

    $block->set_value('http_config',
        ($block->redis // $login) . $common);
    $block->set_value('config', "location /media/ {\n"
        . 'add_header X-Status $media_cache_status;'
        . ($block->location
            // "media_cache_key '\$TEST_NGINX_RUN $key\$media_key';")
        . "$location}\nlocation /off/ { proxy_pass "
        . 'http://127.0.0.1:$TEST_NGINX_S3_PORT/; }');
    $block->set_value('init', 'select undef, undef, undef, 0.3');
});

sub same { my ($n, $value) = @_; return [ ($value) x $n ] }
sub versions { return [ map { "X-Version: $_" } @_ ] }
sub status { return [ map { "X-Cache: $_\nX-Status: $_" } @_ ] }

run_tests();

__DATA__

=== TEST 1: MISS, then HIT with what was stored
--- pipelined_requests eval: ::same(3, 'GET /media/a.jpg')
--- more_headers eval: ::versions(1, 2, 3)
--- response_headers eval: ::status('MISS', 'HIT', 'HIT')
--- response_body eval: ::same(3, 'version 1')


=== TEST 2: HEAD of a hit
--- shared: 1
--- request eval: [ 'GET /media/b.jpg?fresh=1', 'HEAD /media/b.jpg' ]
--- more_headers eval: ::versions(1, 2)
--- response_headers eval
[ 'X-Cache: BYPASS', "X-Cache: HIT\nContent-Length: 9\nETag: \"1\"" ]
--- response_body eval: [ 'version 1', '' ]


=== TEST 3: a range of a hit
--- pipelined_requests eval: ::same(3, 'GET /media/c.jpg')
--- more_headers eval
[ 'X-Version: 1', "X-Version: 2\nRange: bytes=0-3", 'Range: bytes=9-' ]
--- error_code eval: [ 200, 206, 416 ]
--- response_headers eval
[ 'X-Cache: MISS', "X-Cache: HIT\nContent-Range: bytes 0-3/9",
  'Content-Range: bytes */9' ]
--- response_body_like eval: [ '^version 1$', '^vers$', 'range_not' ]


=== TEST 4: conditions of a hit
--- pipelined_requests eval: ::same(3, 'GET /media/d.jpg')
--- more_headers eval
[ 'X-Version: 1', 'If-None-Match: "2"', 'If-None-Match: "1"' ]
--- error_code eval: [ 200, 200, 304 ]
--- response_headers eval: ::status('MISS', 'HIT', 'HIT')
--- response_body eval: [ 'version 1', 'version 1', '' ]


=== TEST 5: BYPASS asks the origin, and stores the new answer
--- pipelined_requests eval
[ 'GET /media/e.jpg', 'GET /media/e.jpg?fresh=1', 'GET /media/e.jpg?fresh=0',
  'GET /media/e.jpg?fresh=' ]
--- more_headers eval: ::versions(1, 2, 3, 4)
--- response_headers eval: ::status('MISS', 'BYPASS', 'HIT', 'HIT')
--- response_body eval
[ 'version 1', ('version 2') x 3 ]


=== TEST 6: the query is no part of the key
--- pipelined_requests eval: [ 'GET /media/f.jpg?a', 'GET /media/f.jpg?b' ]
--- more_headers eval: ::versions(1, 2)
--- response_headers eval: ::status('MISS', 'HIT')
--- response_body eval: ::same(2, 'version 1')


=== TEST 7: another key is another object
--- pipelined_requests eval: [ 'GET /media/g.jpg', 'GET /media/G.jpg' ]
--- more_headers eval: ::versions(1, 2)
--- response_headers eval: ::status('MISS', 'MISS')
--- response_body eval: [ 'version 1', 'version 2' ]


=== TEST 8: what must not be stored
--- pipelined_requests eval
[ map { ("GET /media/$_") x 2 } qw(private no-store vary encoded) ]
--- response_headers eval: ::status(('MISS') x 8)
--- response_body eval
[ map { ($_) x 2 } qw(private no-store vary encoded) ]


=== TEST 9: other answers than 200
--- pipelined_requests eval
[ map { ("GET /media/$_") x 2 } qw(none moved) ]
--- error_code eval: [ 404, 404, 301, 301 ]
--- response_headers eval: ::same(4, 'X-Cache: MISS')


=== TEST 10: a range of a miss is passed on and not stored
--- user_files
>>> file.jpg
the file
--- pipelined_requests eval: ::same(3, 'GET /media/file.jpg')
--- more_headers eval: [ 'Range: bytes=4-7', 'Range: bytes=0-2', '' ]
--- error_code eval: [ 206, 206, 200 ]
--- response_headers eval: ::status('MISS', 'MISS', 'MISS')
--- response_body eval: [ 'file', 'the', "the file\n" ]


=== TEST 11: an answer above media_cache_max_size
--- location
media_cache_key       '$TEST_NGINX_RUN large $connection $media_key';
media_cache_max_size  8;
--- pipelined_requests eval: ::same(2, 'GET /media/i.jpg')
--- more_headers eval: ::versions(1, 2)
--- response_headers eval: ::status('MISS', 'MISS')
--- response_body eval: [ 'version 1', 'version 2' ]


=== TEST 12: an answer of media_cache_max_size
--- location
media_cache_key       '$TEST_NGINX_RUN exact $connection $media_key';
media_cache_max_size  9;
--- pipelined_requests eval: ::same(2, 'GET /media/j.jpg')
--- more_headers eval: ::versions(1, 2)
--- response_headers eval: ::status('MISS', 'HIT')
--- response_body eval: ::same(2, 'version 1')


=== TEST 13: media_cache_ttl of the category
--- shared: 1
--- request eval: ::same(3, 'GET /media/k.pdf')
--- more_headers eval: ::versions(1, 2, 3)
--- wait: 1.5
--- response_headers eval: ::status('MISS', 'MISS', 'MISS')
--- response_body eval: [ map { "version $_" } 1 .. 3 ]


=== TEST 14: other methods are not looked up
--- request
POST /media/l.jpg
{}
--- error_code: 405
--- response_headers
!X-Cache
!X-Status


=== TEST 15: neither are requests with an empty media_cache_key
--- location
media_cache_key $arg_none;
--- request
GET /media/m.jpg
--- response_headers
!X-Cache
!X-Status


=== TEST 16: nor those of a location without media_cache
--- request
GET /off/n.jpg
--- response_headers
!X-Cache


=== TEST 17: a wrong password makes misses
--- redis eval
$::login =~ s/^media_redis_(?:user|password) .*\n//gmr
    . "media_redis_user none;\nmedia_redis_password hidden;\n"
--- pipelined_requests eval: ::same(2, 'GET /media/o.jpg')
--- more_headers eval: ::versions(1, 2)
--- response_headers eval: ::status('MISS', 'MISS')
--- response_body eval: [ 'version 1', 'version 2' ]
--- no_error_log
hidden


=== TEST 18: the password in a file
--- user_files eval
">>> password\n" . ($::login =~ /^media_redis_password '(.*)'/m ? $1 : 'x')
    . "\n"
--- redis eval
$::login =~ s{^media_redis_password .*;\n}
    {media_redis_password_file \$TEST_NGINX_SERVER_ROOT/html/password;\n}mr
--- pipelined_requests eval: ::same(2, 'GET /media/p.jpg')
--- more_headers eval: ::versions(1, 2)
--- response_headers eval: ::status('MISS', 'HIT')
--- response_body eval: ::same(2, 'version 1')
