# Copyright (C) ngx_media contributors
#
# media_store answers as S3 does: to what is signed, and to nothing else.

use lib 't/lib';
use NginxTest;
use Test::Nginx::Socket;

use POSIX qw(strftime);

use Store;

repeat_each(2);
plan('no_plan');

# signs; a server of its own is not started

our $s = Store->new(host => "127.0.0.1:$ENV{TEST_NGINX_CLIENT_PORT}");

# The section "signed" has requests as bytes, which Test::Nginx takes apart.

add_block_preprocessor(sub {
    my ($block) = @_;
    my $signed = $block->signed;
    my (@requests, @headers);

    for (ref $signed ? @$signed : $signed // ()) {
        my ($head, $body) = split /\r\n\r\n/, $_, 2;
        my ($line, $headers) = $head =~ /^(.*) HTTP\/1\.1\r\n(.*)/s;

        push @requests, length $body ? "$line\n$body" : $line;
        push @headers, $headers =~ s/\r//gr
            =~ s/^content-length:/Content-Length:/mr;
    }

    if (@requests) {
        $block->set_value('request', \@requests);
        $block->set_value('more_headers', \@headers);
    }

    $block->set_value('config', <<'END') unless defined $block->config;
        media_store_access_key  AKSTORETEST;

        location / {
            client_max_body_size    1k;
            media_store             $TEST_NGINX_SERVER_ROOT/html/store;
            media_store_secret_key  store/test+secret;
            error_page              413 @refused;
        }
        location @refused {
            media_store             $TEST_NGINX_SERVER_ROOT/html/store;
            media_store_secret_key  store/test+secret;
        }
END
    $block->set_value('no_error_log', 'store/test+secret');
    $block->set_value('post_setup_server_root',
        'mkdir "$Test::Nginx::Util::HtmlDir/store";');
});

no_root_location();

# sections of many requests; an answer in XML with a code

sub same { my ($n, $value) = @_; return [ ($value) x $n ] }
sub code {
    my @codes = map { "^<Error><Code>$_</Code><Message>[^<]+</Message>"
        . '.*<RequestId>[0-9a-f]{32}</RequestId>' } @_;
    return @codes > 1 ? \@codes : $codes[0];
}

run_tests();

__DATA__

=== TEST 1: anonymous
--- request eval
[ 'GET /', 'GET /bucket', 'GET /bucket/key', "PUT /bucket/key\nbody",
  'DELETE /bucket/key', "POST /bucket?delete\n<Delete/>" ]
--- error_code eval: ::same(6, 403)
--- response_headers eval: ::same(6, 'Content-Type: application/xml')
--- response_body_like eval: ::code(('AccessDenied') x 6)


=== TEST 2: anonymous HEAD
--- request
HEAD /bucket/key
--- error_code: 403
--- response_body:


=== TEST 3: credentials of other kinds
--- request eval: ::same(4, 'GET /bucket/key')
--- more_headers eval
[ map { "Authorization: $_" } 'Basic QUtTVE9SRVRFU1Q6c2VjcmV0',
    'Bearer token', 'AWS AKSTORETEST:c2lnbmF0dXJl', 'AWS4-HMAC-SHA256 x' ]
--- error_code_like eval: ::same(4, '^40[03]$')
--- response_body_like eval
::same(4, '<Code>(AccessDenied|InvalidRequest|InvalidArgument'
    . '|AuthorizationHeaderMalformed)</Code>')


=== TEST 4: another access key, secret key, region and day
--- signed eval
my $old = POSIX::strftime('%Y%m%dT%H%M%SZ', gmtime time - 3600);
my $get = sub { $::s->request('GET', '/bucket/key', @_) };
[ $get->(key => 'OTHER'), do { local $::s->{secret} = 'other'; $get->() },
  do { local $::s->{region} = 'eu-west-1'; $get->() }, $get->(date => $old) ]
--- error_code eval: [ 403, 403, 400, 403 ]
--- response_body_like eval
::code('InvalidAccessKeyId', 'SignatureDoesNotMatch',
    'AuthorizationHeaderMalformed', 'RequestTimeTooSkewed')


=== TEST 5: a request that was changed on its way
--- signed eval
[ $::s->request('GET', '/bucket/key', sent_path => '/bucket/other'),
  $::s->request('GET', '/bucket', query => 'prefix=a',
      sent_query => '&prefix=b'), $::s->request('PUT', '/bucket'),
  $::s->request('PUT', '/bucket/key', body => 'good', sent_body => 'evil'),
  $::s->request('GET', '/bucket/key'), $::s->request('DELETE', '/bucket') ]
--- error_code eval: [ 403, 403, 200, 400, 404, 204 ]
--- response_body_like eval
[ ::code('SignatureDoesNotMatch'), ::code('SignatureDoesNotMatch'), '^$',
  ::code('XAmzContentSHA256Mismatch'), ::code('NoSuchKey'), '^$' ]


=== TEST 6: no bucket and no key
--- signed eval
[ $::s->request('GET', '/none/key'), $::s->request('GET', '/none'),
  $::s->request('PUT', '/none/key', body => 'body'),
  $::s->request('PUT', '/bucket'), $::s->request('GET', '/bucket/none'),
  $::s->request('DELETE', '/bucket/none'), $::s->request('DELETE', '/bucket'),
  $::s->request('DELETE', '/bucket') ]
--- error_code eval: [ 404, 404, 404, 200, 404, 204, 204, 404 ]
--- response_body_like eval
[ ::code('NoSuchBucket'), ::code('NoSuchBucket'), ::code('NoSuchBucket'),
  '^$', ::code('NoSuchKey'), '^$', '^$', ::code('NoSuchBucket') ]


=== TEST 7: an object's life
--- signed eval
[ $::s->request('PUT', '/bucket'),
  $::s->request('PUT', '/bucket/a%20b/c%2Bd.txt', body => 'the body',
      headers => { 'content-type' => 'text/x' }),
  $::s->request('GET', '/bucket/a%20b/c%2Bd.txt'),
  $::s->request('GET', '/bucket/a%20b/c%2Bd.txt',
      unsigned => { range => 'bytes=4-5' }),
  $::s->request('GET', '/bucket', query => 'list-type=2&prefix=a'),
  $::s->request('DELETE', '/bucket'),
  $::s->request('DELETE', '/bucket/a%20b/c%2Bd.txt'),
  $::s->request('GET', '/bucket/a%20b/c%2Bd.txt'),
  $::s->request('DELETE', '/bucket') ]
--- error_code eval: [ 200, 200, 200, 206, 200, 409, 204, 404, 204 ]
--- response_headers eval
my $tag = '"' . Digest::MD5::md5_hex('the body') . '"';
[ '', "ETag: $tag", "ETag: $tag\nContent-Type: text/x\nContent-Length: 8",
  'Content-Range: bytes 4-5/8', 'Content-Type: application/xml', ('') x 4 ]
--- response_body_like eval
[ '^$', '^$', '^the body$', '^bo$', '<Key>a b/c\+d.txt</Key>.*<Size>8</Size>',
  ::code('BucketNotEmpty'), '^$', ::code('NoSuchKey'), '^$' ]


=== TEST 8: methods
--- signed eval
[ map { $::s->request($_, '/bucket/key') } qw(POST PATCH OPTIONS TRACE) ]
--- error_code eval: [ 405, 405, 405, 405 ]
--- response_body_like eval: ::same(4, 'MethodNotAllowed|405 Not Allowed')


=== TEST 9: what is not implemented says so
--- signed eval
[ map { $::s->request('GET', '/bucket', query => $_) }
    qw(acl= tagging= policy= lifecycle=) ]
--- error_code eval: ::same(4, 501)
--- response_body_like eval: ::code(('NotImplemented') x 4)


=== TEST 10: digests and checksums against the body
--- signed eval
[ $::s->request('PUT', '/bucket'),
  $::s->request('PUT', '/bucket/key', body => 'body', headers =>
      { 'content-md5' => Digest::MD5::md5_base64('other') . '==' }),
  $::s->request('PUT', '/bucket/key', body => 'body', headers =>
      { 'content-md5' => 'x' }),
  $::s->request('PUT', '/bucket/key', body => 'body', headers =>
      { 'x-amz-checksum-sha256' => Digest::SHA::sha256_base64('other') . '=' }),
  $::s->request('GET', '/bucket/key'), $::s->request('DELETE', '/bucket') ]
--- error_code eval: [ 200, 400, 400, 400, 404, 204 ]
--- response_body_like eval
[ '^$', ::code('BadDigest'), ::code('InvalidDigest'), ::code('BadDigest'),
  ::code('NoSuchKey'), '^$' ]


=== TEST 11: keys do not leave the bucket
--- signed eval
[ $::s->request('PUT', '/bucket'),
  (map { $::s->request('PUT', $_, body => 'body') } '/bucket/../evil',
      '/bucket/%2E%2E/%2E%2E/evil', '/../evil/key', '/bucket/a%00b',
      '/bucket/' . 'x' x 1025),
  $::s->request('GET', '/'), $::s->request('GET', '/bucket'),
  $::s->request('DELETE', '/bucket/../evil'),
  $::s->request('DELETE', '/bucket') ]
--- error_code eval: [ 200, 200, (400) x 4, 200, 200, 204, 204 ]
--- response_body_like eval
[ '^$', '^$', ('400 Bad Request') x 3, ::code('KeyTooLongError'),
  '<Buckets><Bucket><Name>bucket</Name>[^N]*</Bucket></Buckets>',
  '<Key>\.\./evil</Key>', '^$', '^$' ]


=== TEST 12: presigned URLs
--- signed eval
my $old = POSIX::strftime('%Y%m%dT%H%M%SZ', gmtime time - 3600);
[ $::s->request('PUT', '/bucket'),
  $::s->presigned('PUT', '/bucket/key', body => 'body'),
  $::s->presigned('GET', '/bucket/key'),
  $::s->presigned('GET', '/bucket/key', date => $old),
  $::s->presigned('GET', '/bucket/key') =~ s/^GET/DELETE/r,
  $::s->presigned('DELETE', '/bucket/key'),
  $::s->presigned('DELETE', '/bucket') ]
--- error_code eval: [ 200, 200, 200, 403, 403, 204, 204 ]
--- response_body_like eval
[ '^$', '^$', '^body$', ::code('AccessDenied'),
  ::code('SignatureDoesNotMatch'), '^$', '^$' ]


=== TEST 13: a body above client_max_body_size
--- signed eval
$::s->request('PUT', '/bucket/key', body => 'x' x 1025)
--- error_code: 400
--- response_body_like eval: ::code('EntityTooLarge')


=== TEST 14: keys from files, and a region
--- user_files
>>> access
AKSTORETEST
>>> secret
store/test+secret
--- config
location / {
    media_store                  $TEST_NGINX_SERVER_ROOT/html/store;
    media_store_access_key_file  $TEST_NGINX_SERVER_ROOT/html/access;
    media_store_secret_key_file  $TEST_NGINX_SERVER_ROOT/html/secret;
    media_store_region           eu-west-1;
}
--- signed eval
[ $::s->request('GET', '/'),
  do { local $::s->{region} = 'eu-west-1'; $::s->request('GET', '/') } ]
--- error_code eval: [ 400, 200 ]
--- response_body_like eval
[ ::code('AuthorizationHeaderMalformed'), '<ListAllMyBucketsResult' ]
