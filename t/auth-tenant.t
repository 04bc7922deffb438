#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Three tenants, every endpoint, every way of authorising: one's own objects
# are served, and another tenant's cannot be told from objects that do not
# exist: the same bytes, the same requests to S3, about the same time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Auth;
use Test::More;
use Time::HiRes qw(time);

my @tenants = qw(acme globex initech);
my $t = Auth->new;

my %kind = (
    photo => sub { "chat/$_[0]/c1/0011aabb_photo.jpg" },
    thumb => sub { "chat/$_[0]/c1/0011aabb_photo.jpg_thumb.jpg" },
    profile => sub { "profile_pics/$_[0]/5511987654321.jpg" },
);

sub bytes { "the bytes of $_[0]" }

for my $tenant (@tenants) {
    $t->put($_, bytes($_)) for map { $_->($tenant) } values %kind;
}
$t->put("uploads/$_/x.jpg", 'uploaded') for @tenants;
$t->put("quarantine/$_/x.jpg", 'infected') for @tenants;
$t->put('webhooks/1', 'a webhook');

$t->key_file('keys.json', $t->jwks);

my $sign = join ' ', map { "media_sign_key $_ " . $t->secret($_) . ';' }
    qw(new old);
my $jwt = "$sign media_jwt_key_file \@DIR\@/keys.json;"
    . 'media_jwt_token $http_authorization $cookie_media_token $arg_token;';
my $tenant = 'auth_request /auth; media_tenant $tenant;'
    . 'auth_request_set $tenant $upstream_http_x_tenant;';
my $proxy = 'proxy_pass http://127.0.0.1:@ORIGIN@$media_s3_uri;';
my $url = 'media_cache on; media_s3_key $media_url_key;';

$t->configure(
    http => $t->http(media => $jwt, locations => <<"EOT"),
        location /tenant/ { media_cache on; $tenant $proxy }
        location = /api/media/proxy/ { $url $jwt $proxy }
        location = /api/tenant/proxy/ { $url $tenant $proxy }
        location = /url { media_url; $jwt }
        location = /tenant-url { media_url; $sign $tenant }
        location = /auth {
            internal;
            proxy_pass http://127.0.0.1:\@ORIGIN\@;
            proxy_set_header X-User \$http_x_user;
        }
EOT
    origin => <<'EOT');
        location = /auth {
            if ($http_x_user = "") {
                return 401;
            }
            if ($http_x_user = blocked) {
                return 403;
            }
            if ($http_x_user = broken) {
                return 500;
            }
            if ($http_x_user = nobody) {
                add_header X-Tenant "";
                return 204;
            }
            add_header X-Tenant $http_x_user;
            return 204;
        }
EOT
$t->redis_start;
$t->start;

# name => code that makes of a tenant, a path's beginning and a key what is
# asked for

my %way;

for my $alg ($t->algorithms) {
    $way{"$alg, header"} = sub { ('', $t->bearer($t->token($alg,
        tenant => $_[0]))) };
    $way{"$alg, cookie"} = sub { ('', Cookie => 'media_token='
        . $t->token($alg, tenant => $_[0])) };
    $way{"$alg, argument"} = sub { ('token=' . $t->token($alg,
        tenant => $_[0])) };
}
$way{auth_request} = sub { ('', 'X-User' => $_[0]) };

my %signed = map { my $id = $_; ("signed, $id key" => sub {
    substr $t->signed($_[0], id => $id), 1 }) } qw(new old);

sub uri {
    my ($endpoint, $way, $key, $query) = @_;
    my $other = $way eq 'auth_request';
    my $uri = $endpoint eq 'media' ? ($other ? '/tenant/' : '/media/') . "$key?"
        : $endpoint eq 'proxy' ? ($other ? '/api/tenant/proxy/?'
            : '/api/media/proxy/?') . "url=http%3A%2F%2Flocalhost%2Fmedia%2F"
            . ($key =~ s{/}{%2F}gr) . '&'
        : ($other ? '/tenant-url?' : '/url?') . "key=$key&";

    return $uri . $query;
}

# a response without its Date, and the requests to S3 that it took

sub ask {
    my ($method, $uri, %headers) = @_;

    my $before = $t->origin_requests(' /bucket/');
    my $text = $t->raw($method, $uri, %headers);

    $text =~ s/\r\nDate: [^\r]*//;

    return ($text, $t->origin_requests(' /bucket/') - $before);
}

sub same {
    my ($name, $absent, $foreign) = @_;

    my @absent = ask(@$absent);
    my @foreign = ask(@$foreign);

    is_deeply(\@foreign, \@absent, $name);
    return $absent[0];
}

sub served {
    my ($name, $key, $method, $uri, %headers) = @_;

    my ($text) = ask($method, $uri, %headers);
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my $length = length bytes($key);

    like $head, qr{^HTTP/1.1 200 .*\r\nContent-Length: $length\b}s,
        "$name: head";
    is $body, $method eq 'HEAD' ? '' : bytes($key), "$name: body";
}

# all objects are in Redis, read by their owners

for my $tenant (@tenants) {
    $t->get("/media/" . $_->($tenant), $t->bearer($t->token('HS256',
        tenant => $tenant))) for values %kind;
}
ok $t->wait_stored(9), 'all objects are in Redis';

my @endpoints = ([ 'media', 'GET', 'photo' ], [ 'media', 'HEAD', 'photo' ],
    [ 'media', 'GET', 'thumb' ], [ 'media', 'GET', 'profile' ],
    [ 'proxy', 'GET', 'photo' ], [ 'proxy', 'HEAD', 'profile' ]);

for my $way (sort keys %way) {
    for my $tenant (@tenants) {
        my ($query, %headers) = $way{$way}->($tenant);

        for my $case (@endpoints) {
            my ($endpoint, $method, $kind) = @$case;
            my $own = $kind{$kind}->($tenant);
            my $name = "$way, $tenant: $method $endpoint, $kind";

            served($name, $own, $method,
                uri($endpoint, $way, $own, $query), %headers);

            for my $other (grep { $_ ne $tenant } @tenants) {
                my $foreign = $kind{$kind}->($other);
                my $text = same("$name of $other",
                    [ $method, uri($endpoint, $way,
                        "$own.absent-of-$other", $query), %headers ],
                    [ $method, uri($endpoint, $way, $foreign, $query),
                        %headers ]);

                like $text, qr{^HTTP/1.1 404 }, "$name of $other: 404";
            }
        }

        for my $key ("uploads/$tenant/x.jpg", "quarantine/$tenant/x.jpg",
            'webhooks/1', "chat/$tenant", "Chat/$tenant/x",
            "chat/" . uc($tenant) . '/x')
        {
            same("$way, $tenant: $key",
                [ 'GET', uri('media', $way, "chat/$tenant/c1/absent-$key",
                    $query), %headers ],
                [ 'GET', uri('media', $way, $key, $query), %headers ]);
        }

        my ($answer) = ask('GET', uri('url', $way, $kind{photo}->($tenant),
            $query), %headers);
        my ($url) = $answer =~ /^HTTP\/1.1 200 .*"url":"([^"]+)"/s;

        is $t->get($url // '/none')->{body}, bytes($kind{photo}->($tenant)),
            "$way, $tenant: media_url";

        for my $other (grep { $_ ne $tenant } @tenants) {
            my $text = same("$way, $tenant: media_url of $other",
                [ 'GET', uri('url', $way, "chat/nobody/c1/x", $query),
                    %headers ],
                [ 'GET', uri('url', $way, $kind{photo}->($other), $query),
                    %headers ]);

            like $text, qr{^HTTP/1.1 404 },
                "$way, $tenant: media_url of $other: 404";
        }
    }
}

# a signed URL is for its object, whoever's

for my $way (sort keys %signed) {
    for my $tenant (@tenants) {
        for my $case (@endpoints) {
            my ($endpoint, $method, $kind) = @$case;
            my $own = $kind{$kind}->($tenant);
            my $query = $signed{$way}->($own);
            my $name = "$way, $tenant: $method $endpoint, $kind";

            served($name, $own, $method,
                uri($endpoint, $way, $own, $query));

            for my $other (grep { $_ ne $tenant } @tenants) {
                my $text = same("$name of $other",
                    [ $method, uri($endpoint, $way, "$own.absent", $query) ],
                    [ $method, uri($endpoint, $way, $kind{$kind}->($other),
                        $query) ]);

                like $text, qr{^HTTP/1.1 403 }, "$name of $other: 403";
            }
        }
    }
}

# what auth_request says comes first

for my $case ([ 'nobody at all', 401 ], [ 'blocked', 403 ],
    [ 'broken', 500 ], [ 'nobody', 401 ], [ 'acme/c1', 403 ],
    [ '../acme', 403 ], [ 'a' x 65, 403 ])
{
    my ($user, $status) = @$case;
    my @headers = $user eq 'nobody at all' ? () : ('X-User' => $user);

    for my $uri (uri('media', 'auth_request', $kind{photo}->('acme'), ''),
        uri('proxy', 'auth_request', $kind{photo}->('acme'), ''),
        uri('url', 'auth_request', $kind{photo}->('acme'), ''))
    {
        is $t->get($uri, @headers)->{status}, $status, "$user: $uri";
    }
}

# comparable time: medians, of requests that are alternated

my @token = $t->bearer($t->token('RS256'));
my (%took, %median);

for my $i (1 .. 150) {
    for my $key ("chat/acme/c1/absent-$i", "chat/globex/c1/absent-$i",
        $kind{photo}->('globex'))
    {
        my $start = time;
        my $r = $t->get("/media/$key", @token);
        push @{$took{$key =~ s/-\d+$//r}}, time - $start;
        is $r->{status}, 404, $key if $r->{status} != 404;
    }
}

for my $key (sort keys %took) {
    $median{$key} = (sort { $a <=> $b } @{$took{$key}})[75];
    note sprintf "%s: %.2f ms", $key, $median{$key} * 1000;
}

my $absent = delete $median{'chat/acme/c1/absent'};

for my $key (sort keys %median) {
    cmp_ok abs($median{$key} - $absent), '<', 0.5 * $absent + 0.002,
        "$key takes as long as an absent key";
}

ok $t->stop, 'worker processes ended';
is $t->alarms, '', 'nothing alarming was logged';

done_testing;
