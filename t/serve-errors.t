#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Errors are JSON, of nginx and of S3 alike; what S3 says of an error reaches
# nobody, and its connections are used again.  An absent object looks the same
# whoever knew that it is absent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Serve;
use Test::More;

my $xml = '<?xml version="1.0"?><Error><Code>SecretCode</Code>'
    . '<Resource>/hidden-bucket</Resource>' . ('x' x 200_000) . '</Error>';
my @headers = ('Content-Type: application/xml', 'x-amz-id-2: hidden',
    'ETag: "hidden"', 'Last-Modified: Sun, 01 Jan 2023 00:00:00 GMT',
    'Content-Disposition: inline', 'Cache-Control: max-age=9',
    'Set-Cookie: hidden=1', 'Location: http://hidden/',
    'WWW-Authenticate: Basic realm="hidden"', 'Accept-Ranges: bytes');

my %objects = (
    here => { body => 'hello', headers => [ 'ETag: "here"' ] },
    (map { ("s/$_" => { status => $_, headers => \@headers, body => $xml },
        "c/$_" => { status => $_, headers => \@headers, body => $xml,
            chunked => 1 },
        "n/$_" => { status => $_, headers => \@headers, body => '' }) }
        qw(301 307 400 401 403 404 405 409 411 412 416 429 500 501 503 504)),
    'encoded' => { status => 404, body => 'x', headers => [ @headers,
        'Content-Encoding: gzip' ] },
);

my $t = Serve->new(%objects);

$t->run(all => <<'EOT', server => <<'EOT');
    client_max_body_size 8k;
    limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    media_s3_endpoint http://127.0.0.1:9;
    media_s3_bucket b;
    media_s3_access_key a;
    media_s3_secret_key s;
EOT
        location /page/ {
            media_proxy on;
            proxy_intercept_errors on;
            error_page 404 /own.html;
            error_page 403 @own;
            error_page 500 = @given;
            proxy_pass http://s3/;
        }

        location = /own.html { root @DIR@; }
        location @own { return 403 "own\n"; }
        location @given { return 200 "given\n"; }

        location /busy/ {
            media_proxy on;
            limit_req zone=one;
            limit_req_status 429;
            proxy_pass http://s3/;
        }

        location /locked/ {
            media_proxy on;
            auth_basic "media";
            auth_basic_user_file passwords;
            proxy_pass http://s3/;
        }

        location /forbidden/ {
            media_proxy on;
            deny all;
            proxy_pass http://s3/;
        }

        location /away/ {
            media_proxy on;
            proxy_pass http://127.0.0.1:1/;
        }

        location /slow/ {
            media_proxy on;
            proxy_read_timeout 100ms;
            proxy_pass http://127.0.0.1:@REDIS@/;
        }

        location /said/ {
            media_proxy on;
            return 418 "teapot";
        }

        location /off/ {
            media_proxy off;
            proxy_pass http://s3/;
        }
EOT

$t->write_file('own.html', "<p>own</p>\n");
$t->write_file('passwords', '');

sub json {
    my ($r, $status, $name, $what, %more) = @_;
    my %headers = %{$r->{headers}};

    is $r->{status}, $status, "$what: $status";
    like $r->{body}, qr/\A\{"error":"$name","message":"[a-z ,HEADGTURL]+"}\n\z/,
        "$what: $name";
    is delete $headers{'content-length'}, length $r->{body},
        "$what: its length";
    delete $headers{'x-cache'} if ($more{'x-cache'} // '') eq 'any'
        && delete $more{'x-cache'};
    is_deeply \%headers, { 'content-type' => 'application/json',
        'cache-control' => 'no-store',
        'x-content-type-options' => 'nosniff', %more }, "$what: headers";
    unlike $r->{head} . $r->{body}, qr/hidden|SecretCode|Scripted/,
        "$what: nothing of S3";
}

# S3's: named by its status, empty, whole, or chunked

my %names = (404 => [ 404, 'not_found' ],
    412 => [ 412, 'precondition_failed' ],
    416 => [ 416, 'range_not_satisfiable' ]);
my $requests = 0;

for my $location (qw(plain media disk)) {
    for my $kind (qw(s c n)) {
        for my $status (qw(301 307 400 401 403 404 405 409 411 412 416 429
            500 501 503 504))
        {
            my ($expected, $name) = @{$names{$status}
                || [ 502, 'storage_unavailable' ]};
            my $uri = "/$location/$kind/$status";
            my @more = $location eq 'media' ? ('x-cache' => 'MISS') : ();

            my $r = $t->ask('GET', $uri);
            json($r, $expected, $name, $uri, @more);
            ok !$r->{close}, "$uri: kept alive";

            my $head = $t->ask('HEAD', $uri);
            is $head->{status}, $expected, "HEAD $uri";
            is_deeply $head->{headers}, $r->{headers}, 'the same headers';
            $requests += 2;
        }
    }
}

cmp_ok $t->s3_requests(qr/^connect/), '<', $requests / 4,
    'connections to S3 are used again';
json($t->ask('GET', '/plain/encoded'), 404, 'not_found', 'encoded');

like $t->error_log, qr/\[error\].*s3 answered \d+, the client is sent 502/,
    'logged';
is scalar(() = $t->error_log =~ /\[error\].*s3 answered/g), 1,
    'once in a while';

# an absent object

my @absent = map { $t->ask('GET', $_) } '/media/absent', '/media/absent',
    '/media/';

for my $r (@absent) {
    json($r, 404, 'not_found', 'absent', 'x-cache' => 'MISS');
    is join(' ', @{$r->{names}}), join(' ', @{$absent[0]{names}}),
        'the same headers in the same order';
    is $r->{body}, $absent[0]{body}, 'the same body';
}

@absent = map { $t->ask('GET', '/disk/absent') } 1, 2;
is $t->s3_requests(qr/^GET absent 0-1023/), 1, 'a negative entry on disk';
is_deeply $absent[1]{$_}, $absent[0]{$_}, "the same $_"
    for qw(status headers names body);

# nginx's own

json($t->ask('GET', '/media/a//b'), 404, 'not_found', 'merged slashes',
    'x-cache' => 'MISS');
json($t->ask('GET', '/media/a%01b'), 400, 'bad_request', 'a bad key');

for my $method (qw(POST PUT DELETE PATCH OPTIONS PROPFIND)) {
    for my $location (qw(plain media)) {
        my $body = $method =~ /^P[UO]/ ? 'x' x 3000 : '';
        my $r = $t->exchange(Serve::text($method, "/$location/here",
            'Content-Length: ' . length $body) . $body, $method);

        json($r, 405, 'method_not_allowed', $method, allow => 'GET, HEAD');
        ok !$r->{close}, 'the connection is kept';
        is $t->ask('GET', "/$location/here")->{body}, 'hello',
            'and the body is none of the next request';
    }
}

json($t->exchange(Serve::text('POST', '/plain/here',
    'Content-Length: 9999'), 'POST'), 413, 'payload_too_large', 'too large');
delete $t->{socket};

json($t->ask('GET', '/plain/here', 'If-Match: "x"'), 412,
    'precondition_failed', 'another tag');
is $t->ask('GET', '/plain/here')->{status}, 200, 'on the same connection';

$t->ask('GET', '/media/here');
$t->wait_entry('here');
json($t->ask('GET', '/media/here', 'Range: bytes=9-'), 416,
    'range_not_satisfiable', 'beyond the end', 'x-cache' => 'HIT',
    'content-range' => 'bytes */5');

$t->ask('GET', '/busy/here');
json($t->ask('GET', '/busy/here'), 429, 'too_many_requests', 'too many');
json($t->ask('GET', '/locked/here'), 401, 'unauthorized', 'locked',
    'www-authenticate' => 'Basic realm="media"');
json($t->ask('GET', '/forbidden/here'), 403, 'forbidden', 'forbidden');
json($t->ask('GET', '/away/here'), 502, 'storage_unavailable', 'away');
json($t->ask('GET', '/said/here'), 418, 'request_failed', 'other');

$t->redis_signal('STOP');
json($t->ask('GET', '/slow/here'), 504, 'storage_unavailable', 'slow');
$t->redis_signal('CONT');

# pages of others, and locations that are none of ours

is $t->ask('GET', '/page/n/404')->{body}, "<p>own</p>\n", 'an error_page';
is $t->ask('GET', '/page/n/403')->{body}, "own\n", 'a named one';
is $t->ask('GET', '/page/n/500')->{status}, 200, 'with a status';
like $t->ask('GET', '/page/n/404')->{headers}{'content-type'}, qr/html|octet/,
    'as it is';
like $t->ask('GET', '/off/s/403')->{body}, qr/SecretCode/, 'media_proxy off';
like $t->ask('GET', '/none')->{body}, qr/<html>/, 'another location';

is $t->alarms, '', 'nothing alarming was logged';

done_testing;
