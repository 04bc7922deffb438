#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A stock nginx with proxy_cache stands in front, as a CDN does: it keeps what
# is public for as long as we say, and nothing that is private.

use strict;
use warnings;

use lib 't/lib';

use Mp4;
use Shipped;
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Shipped->new;
my $front = Cache::free_port();
my $key = 'chat/acme/2026/11/photo.jpg';
my $film = 'chat/acme/2026/11/film.mp4';
my %object = ($key => Mp4::filler(150001, 1),
    $film => Mp4::filler(2 * 1048576 + 9, 2));

$t->put($key, $object{$key}, 'image/jpeg');
$t->put($film, $object{$film}, 'video/mp4');
$t->redis_start;
$t->configure(authorised => 1, location => <<'END');
        media_cache_control  public;
        media_cors_origin    https://app.example.com https://crm.example.com;
END
$t->start;
my $pid = front_start();

shared();
ranges();
conditions();
revalidation();
origins();
expiry();
private();
absent();

kill 'QUIT', $pid;
waitpid $pid, 0;
is $t->alarms, '', 'no alert';
ok $t->stop, 'nginx ends';
done_testing();


# nginx without the module

sub front_start {
    my $dir = $t->dir . '/front';
    my $user = $> == 0 ? 'user root;' : '';

    $t->write_file("$dir/nginx.conf", <<"END");
$user
daemon off;
pid $dir/nginx.pid;
worker_processes 1;
events { }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;

    proxy_cache_path $dir/cache keys_zone=front:1m;
    proxy_cache front;
    proxy_cache_revalidate on;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    add_header X-Cache-Front \$upstream_cache_status always;

    server {
        listen 127.0.0.1:$front;

        location / {
            proxy_pass http://127.0.0.1:$t->{port};
        }

        # keeps all for a second, and asks whether it has changed
        location /eager/ {
            proxy_pass http://127.0.0.1:$t->{port}/;
            proxy_ignore_headers Cache-Control Expires;
            proxy_cache_valid 200 1s;
        }
    }
}
END

    my $pid = $t->spawn("$dir/log", 'nginx', '-p', $dir, '-c',
        "$dir/nginx.conf", '-e', "$dir/log");
    $t->wait_port($front);
    return $pid;
}


# a request to the front: the response, the front's verdict, what reached us

sub ask {
    my ($uri, %headers) = @_;

    local $t->{port} = $front;
    my $r = $t->get($uri, %headers);

    my $cache = $r->{headers}{'x-cache-front'} // '-';

    return ($r, $cache, $t->requests($cache eq 'HIT' ? 0 : 1));
}


sub shared {
    for my $name ($key, $film) {
        my $uri = $t->signed($name, 3600);
        my ($r, $cache, @ours) = ask($uri);

        is "$r->{status} $cache", '200 MISS', "$name: first";
        is scalar @ours, 1, "$name: one request to us";
        like $r->{headers}{'cache-control'}, qr/public/, "$name: public";
        ok $r->{body} eq $object{$name}, "$name: bytes";

        my ($again, $hit, @none) = ask($uri);

        is "$again->{status} $hit", '200 HIT', "$name: from the front";
        is scalar @none, 0, "$name: no request to us";
        ok $again->{body} eq $object{$name}, "$name: bytes from the front";
        is $again->{headers}{$_}, $r->{headers}{$_}, "$name: same $_"
            for qw(etag last-modified content-type content-disposition
            cache-control content-security-policy x-content-type-options
            accept-ranges);
    }
}


sub ranges {
    my $size = length $object{$film};
    my @ranges = (['bytes=0-', 0, $size - 1], ['bytes=-7', $size - 7,
        $size - 1], ['bytes=1048000-1049000', 1048000, 1049000]);

    for my $verdict ('MISS', 'HIT') {
        for my $i (0 .. $#ranges) {
            my ($range, $from, $to) = @{$ranges[$i]};
            my ($r, $cache) = ask($t->signed($film, 5000 + $i),
                Range => $range);

            is "$r->{status} $cache", "206 $verdict", "$range: $verdict";
            is $r->{headers}{'content-range'}, "bytes $from-$to/$size",
                "$range: $verdict: Content-Range";
            ok $r->{body} eq substr($object{$film}, $from, $to - $from + 1),
                "$range: $verdict: bytes";
        }
    }

    my ($r) = ask($t->signed($film, 5000), Range => 'bytes=99999999-');
    is $r->{status}, 416, 'beyond the end';
    is $r->{headers}{'content-range'}, "bytes */$size",
        'beyond the end: Content-Range';
}


sub conditions {
    my $uri = $t->signed($key, 7200);
    my ($r, $cache) = ask($uri);
    my %h = %{$r->{headers}};

    is $cache, 'MISS', 'conditions: kept';

    my @cases = (
        [304, 'If-None-Match' => $h{etag}],
        [200, 'If-None-Match' => '"other"'],
        [304, 'If-Modified-Since' => $h{'last-modified'}],
        [206, 'If-Range' => $h{etag}, Range => 'bytes=1-2'],
        [200, 'If-Range' => '"other"', Range => 'bytes=1-2'],
        [412, 'If-Match' => '"other"'],
    );

    for my $case (@cases) {
        my ($status, @headers) = @$case;
        my ($r, $cache) = ask($uri, @headers);

        is "$r->{status} $cache", "$status HIT", "the front: @headers";
    }

    ok $h{etag} =~ /^"/, 'a strong validator';
}


sub revalidation {
    my $uri = '/eager' . $t->signed($key, 5500);
    my ($first, $cache) = ask($uri);

    is "$first->{status} $cache", '200 MISS', 'eager: kept';

    $t->s3_requests(qr/./);
    sleep 2.1;

    my ($r, $verdict, @ours) = ask($uri);

    is "$r->{status} $verdict", '200 REVALIDATED', 'eager: asks again';
    is join(' ', map { $_->{status} } @ours), '304', 'eager: 304 from us';
    ok $r->{body} eq $object{$key}, 'eager: bytes of the front';
    is scalar $t->s3_requests(qr/./), 0, 'eager: S3 was not asked';
}


# one copy for each origin: none gets the permission of another

sub origins {
    my $uri = $t->signed($key, 4000);
    my @origins = ('https://app.example.com', 'https://crm.example.com',
        'https://evil.example.net', undef);

    for my $verdict ('MISS', 'HIT') {
        for my $origin (@origins) {
            my ($r, $cache) = ask($uri, $origin ? (Origin => $origin) : ());
            my $name = $verdict . ' of ' . ($origin // 'no origin');

            is "$r->{status} $cache", "200 $verdict", $name;
            is $r->{headers}{'access-control-allow-origin'},
                ($origin // '') =~ /(?:app|crm)\.example/ ? $origin : undef,
                "$name: Access-Control-Allow-Origin";
        }
    }
}


# the front keeps nothing longer than the signature lasts

sub expiry {
    my $uri = $t->signed($key, 3);
    my ($r, $cache) = ask($uri);
    my ($age) = $r->{headers}{'cache-control'} =~ /max-age=(\d+)/;

    is "$r->{status} $cache", '200 MISS', 'a short signature';
    cmp_ok $age, '<=', 3, 'max-age is that of the signature';

    (undef, $cache) = ask($uri);
    is $cache, 'HIT', 'kept until then';

    sleep 4;
    ($r, $cache) = ask($uri);
    is "$r->{status} $cache", '403 EXPIRED', 'not after that';

    ($r, $cache) = ask($t->signed($key, -100));
    is "$r->{status} $cache", '403 MISS', 'signed in the past';
}


sub private {
    my $uri = "/media/$key";
    my @token = (Authorization => 'Bearer ' . $t->token('acme'));

    for my $n (1 .. 2) {
        my ($r, $cache, @ours) = ask($uri, @token);

        is "$r->{status} $cache", '200 MISS', "by token, $n: not kept";
        like $r->{headers}{'cache-control'}, qr/private/,
            "by token, $n: private";
        is scalar @ours, 1, "by token, $n: a request to us";
    }

    my ($r, $cache) = ask($uri);

    isnt $r->{status}, 200, 'nothing without a token';
    is $cache, 'MISS', 'without a token: from us';
}


# what is not there yet is not kept, or a new file would stay away

sub absent {
    my $uri = $t->signed('chat/acme/2026/11/later.jpg', 600);

    for my $n (1 .. 2) {
        my ($r, $cache) = ask($uri);

        is "$r->{status} $cache", '404 MISS', "absent, $n";
    }
}
