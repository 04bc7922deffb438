#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# What proxy_pass sends with the signer's variables: the encoded key and
# nothing of the client's query, a signature that a verifier of its own
# accepts, and no request at all for a key that must not be asked for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256_hex);
use Test::More;

my $secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
my $token = 'FwoGZXIvYXdzEXAMPLE//token+with/signs==';

my $t = Cache->new;

my $proxy = <<'EOT';
proxy_pass http://s3$media_s3_uri;
            proxy_set_header Host $media_s3_host;
            proxy_set_header Authorization $media_s3_authorization;
            proxy_set_header X-Amz-Date $media_s3_date;
            proxy_set_header X-Amz-Content-Sha256 $media_s3_content_sha256;
            proxy_set_header X-Amz-Security-Token $media_s3_security_token;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
EOT

$t->write_file('access', "AKIAEXAMPLE\n");
$t->write_file('secret', "$secret\n");
$t->write_file('token', "$token\n");
$t->configure(http => <<"EOT");
    media_redis 127.0.0.1:\@REDIS\@;
    media_s3_endpoint http://s3.example.com:9000;
    media_s3_bucket photos;
    media_s3_region eu-west-1;
    media_s3_access_key_file access;
    media_s3_secret_key_file secret;

    proxy_cache_path \@DIR\@/temp/cache keys_zone=disk:1m;
    upstream s3 { server 127.0.0.1:\@ORIGIN\@; }

    server {
        listen 127.0.0.1:\@PORT\@;
        add_header X-Key \$media_key always;
        add_header X-Status \$media_cache_status always;

        location /media/ {
            media_cache on;
            media_cache_bypass \$arg_fresh;
            $proxy
        }
        location /virtual/ {
            media_cache on;
            media_cache_bypass \$arg_fresh;
            media_s3_style virtual;
            media_s3_session_token_file token;
            $proxy
        }
        location /plain/ {
            $proxy
        }
        location /disk/ {
            proxy_cache disk;
            $proxy
        }
        location ~ ^/re/(.*) {
            media_cache on;
            media_s3_key \$arg_name;
            $proxy
        }
        location = /api/media/proxy/ {
            media_cache on;
            media_s3_key \$media_url_key;
            $proxy
        }
    }
EOT

# the configuration has a server at this port for other tests

my $conf = $t->read_file('nginx.conf');
$conf =~ s/    server \{\n        listen 127\.0\.0\.1:$t->{origin};.*\z/}\n/s;
$t->write_file('nginx.conf', $conf);

# records each request

$t->serve($t->{origin}, sub {
    my ($client) = @_;

    while (1) {
        my $text = '';
        while ($text !~ /\r\n\r\n/) {
            sysread $client, $text, 4096, length $text or return;
        }
        open my $fh, '>>', $t->dir . '/requests';
        syswrite $fh, $text;
        close $fh;
        my $body = $text =~ /^HEAD/ ? '' : 'data';
        syswrite $client, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
            . "ETag: \"e\"\r\n\r\n$body";
    }
});

$t->redis_start;
$t->start;

# the last request: first line, and its headers by name; none if there was
# none since the last call

sub recorded {
    my @requests = split /\r\n\r\n/, $t->read_file('requests');
    unlink $t->dir . '/requests';
    return unless @requests;

    my ($line, @headers) = split /\r\n/, $requests[-1];
    return $line, { map { /^([^:]+): (.*)/ ? (lc $1, $2) : () } @headers };
}

# signs what was received, in Perl, from the specification

sub expected {
    my ($line, $headers) = @_;
    my ($method, $path) = split / /, $line;
    my $date = $headers->{'x-amz-date'};
    my $day = substr $date, 0, 8;
    my @names = sort grep { $_ eq 'host' || /^x-amz-/ } keys %$headers;
    my $signed = join ';', @names;

    my $canonical = join "\n", $method, $path, '',
        (map { "$_:$headers->{$_}" } @names), '', $signed,
        $headers->{'x-amz-content-sha256'};
    my $scope = "$day/eu-west-1/s3/aws4_request";
    my $text = join "\n", 'AWS4-HMAC-SHA256', $date, $scope,
        sha256_hex($canonical);

    my $key = "AWS4$secret";
    $key = hmac_sha256($_, $key) for $day, 'eu-west-1', 's3', 'aws4_request';

    return "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/$scope, "
        . "SignedHeaders=$signed, Signature=" . hmac_sha256_hex($text, $key);
}

sub same {
    my ($value, $wanted, $name) = @_;
    s/, */,/g for $value, $wanted;
    is $value, $wanted, $name;
}

sub sent {
    my ($method, $uri, $wanted, $name, %headers) = @_;

    my $response = $t->request($method, $uri, %headers);
    my ($line, $got) = recorded();

    is $line, "$method $wanted HTTP/1.1", "$name: request line";
    same($got->{authorization}, expected($line, $got), "$name: signature");
    return ($response, $got);
}

# names: as the client writes them, as S3 must get them

my @names = (
    [ 'plain.jpg', 'plain.jpg' ],
    [ 'with%20space.jpg', 'with%20space.jpg' ],
    [ 'plus+and=equals@at.jpg', 'plus%2Band%3Dequals%40at.jpg' ],
    [ 'quote%22and\'apostrophe.jpg', 'quote%22and%27apostrophe.jpg' ],
    [ 'percent%252Fslash.jpg', 'percent%252Fslash.jpg' ],
    [ 'question%3Fmark%23hash.jpg', 'question%3Fmark%23hash.jpg' ],
    [ 'caf%C3%A9/%E2%9C%93.jpg', 'caf%C3%A9/%E2%9C%93.jpg' ],
    [ 'invalid%FFutf8.jpg', 'invalid%FFutf8.jpg' ],
    [ '(paren)!*;:,$&~-_.jpg',
      '%28paren%29%21%2A%3B%3A%2C%24%26~-_.jpg' ],
    [ 'back%5Cslash.jpg', 'back%5Cslash.jpg' ],
    [ 'a/b/../c/./d.jpg', 'a/c/d.jpg' ],
    [ 'dots..jpg', 'dots..jpg' ],
    [ 'x' x 1024, 'x' x 1024 ],
);

for my $case (@names) {
    my ($name, $wanted) = @$case;
    my $label = substr $name, 0, 40;

    sent('GET', "/media/$name", "/photos/$wanted", $label);
    sent('GET', "/virtual/$name?fresh=1", "/$wanted", "$label, virtual")
        if length $name < 1024;
    $t->redis('FLUSHALL');
}

my ($response, $got) = sent('GET', '/media/a.jpg?x=1&X-Amz-Date=2&fresh=1',
    '/photos/a.jpg', 'a query');
is $response->{headers}{'x-cache'}, 'BYPASS', 'bypassed';
is $response->{headers}{'x-status'}, 'BYPASS', '$media_cache_status';
is $response->{headers}{'x-key'}, 'a.jpg', '$media_key';
is $got->{host}, 's3.example.com:9000', 'host of path style';
is $got->{'x-amz-content-sha256'}, 'UNSIGNED-PAYLOAD', 'payload';
ok !exists $got->{'x-amz-security-token'}, 'no token, no header';
ok $t->wait_entry('a.jpg'), 'a bypassed response is stored';
is $t->outcome('/media/a.jpg'), '200 HIT', 'and hit without the argument';
recorded();

(undef, $got) = sent('GET', '/virtual/b.jpg', '/b.jpg', 'session token');
is $got->{host}, 'photos.s3.example.com:9000', 'host of virtual style';
is $got->{'x-amz-security-token'}, $token, 'token';
like $got->{authorization}, qr/x-amz-security-token/, 'token is signed';

sent('HEAD', '/media/head.jpg', '/photos/head.jpg', 'HEAD');
sent('PUT', '/plain/put.jpg', '/photos/put.jpg', 'PUT',
    'Content-Length' => 0);
sent('DELETE', '/plain/put.jpg', '/photos/put.jpg', 'DELETE');

# proxy_cache asks by GET what the client asked by HEAD

$t->request('HEAD', '/disk/c.jpg');
my ($line, $headers) = recorded();
is $line, 'GET /photos/c.jpg HTTP/1.1', 'HEAD through proxy_cache';
same($headers->{authorization}, expected($line, $headers),
    'is signed as GET');

# keys that must not be asked for

for my $case ([ '/media/', 404 ], [ '/media/%01.jpg', 400 ],
    [ '/media/a%0Ab', 400 ], [ '/media/' . 'x' x 1025, 400 ],
    [ '/re/x', 404 ], [ '/re/x?name=../a', 400 ], [ '/re/x?name=/a', 400 ],
    [ '/re/x?name=a//b', 400 ], [ '/re/x?name=.', 400 ],
    [ '/plain/', 500 ], [ '/plain/%01', 500 ])
{
    my ($uri, $status) = @$case;
    my $label = substr $uri, 0, 30;

    is $t->get($uri)->{status}, $status, "$label is refused";
    is scalar(recorded()), undef, "$label: S3 hears nothing";
}

# URLs of our own, and others

sub escaped {
    my ($url) = @_;
    $url =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
    return $url;
}

for my $case (
    [ '/media/chat/1.jpg', 'chat/1.jpg' ],
    [ 'http://localhost/media/chat/2.jpg', 'chat/2.jpg' ],
    [ 'https://localhost/media/a%20b.jpg', 'a%20b.jpg' ],
    [ 'http://s3.example.com:9000/photos/d/3.jpg', 'd/3.jpg' ],
    [ 'http://photos.s3.example.com:9000/d/4.jpg', 'd/4.jpg' ])
{
    my ($url, $wanted) = @$case;

    sent('GET', '/api/media/proxy/?url=' . escaped($url),
        "/photos/$wanted", $url);
    $t->redis('FLUSHALL');
}

sent('GET', '/api/media/proxy/?url=http://localhost/media/raw.jpg',
    '/photos/raw.jpg', 'an URL as it is');

for my $url ('http://169.254.169.254/latest/meta-data/',
    'http://evil.example/media/a.jpg', 'http://localhost.evil/media/a.jpg',
    'http://localhost@evil/media/a.jpg', 'file:///etc/passwd',
    'http://s3.example.com:9000/other/a.jpg',
    'http://s3.example.com:9000/photos/../other/a.jpg',
    'http://s3.example.com/photos/a.jpg', '/media/../a.jpg',
    '/media/%2e%2e/a.jpg', '/media/a%252Fb', '/media/a.jpg?acl',
    '/media/a.jpg#x', '/media/', '/other/a.jpg', 'a.jpg', '')
{
    my $response = $t->get('/api/media/proxy/?url=' . escaped($url));
    is $response->{status}, 404, "foreign \"$url\"";
    is scalar(recorded()), undef, "S3 hears nothing of \"$url\"";
}

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';
unlike $t->error_log, qr/\Q$secret\E|\Q$token\E/, 'no secret was logged';

done_testing;
