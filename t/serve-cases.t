#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The same table of cases, compared byte for byte, on every tier of nginx as
# shipped: Redis, disk, S3 that is asked anew each time, and media_store
# itself.  The tiers agree on the headers, and HEAD agrees with GET.  With
# "./dev up --s3 radosgw" the S3 server is radosgw, whose own reading of the
# RFC is no concern of ours.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use ServeCases qw(applies cases expand verdict);
use Shipped;
use Test::More;
use Time::HiRes qw(sleep);

my $t = Shipped->new();
my %s3 = radosgw();
my $prefix = "chat/cases$$/2026";

# beside the locations as shipped: a key of its own for each request, no
# Redis, and S3 without anything between

my $locations = <<'END';
    location /fresh/ {
        media_cache_key  $media_key#$arg_fresh;
        include          media_s3_proxy.conf;
        include          media_serve.conf;
        proxy_pass       http://media_s3$media_s3_uri;
    }

    location /disk/ {
        media_cache_bypass  1;
        include             media_s3_proxy.conf;
        include             media_serve.conf;
        proxy_pass          http://media_s3$media_s3_uri;
    }

    location /direct/ {
        media_proxy         off;
        proxy_pass_request_headers  on;
        proxy_set_header    Host $media_s3_host;
        proxy_set_header    Authorization $media_s3_authorization;
        proxy_set_header    X-Amz-Date $media_s3_date;
        proxy_set_header    X-Amz-Content-Sha256 $media_s3_content_sha256;
        proxy_set_header    Connection "";
        proxy_set_header    Cookie "";
        proxy_http_version  1.1;
        proxy_pass          http://media_s3$media_s3_uri;
    }

END

$t->redis_start();
$t->configure(%s3, edit => sub {
    s{^(?=    location /media/ )}{$locations}m if $_[0] eq 'media.conf';
});
$t->start();

srand 7;

my $mb = 1024 * 1024;
my $noise = join '', map { pack 'N', int rand 2**32 } 1 .. $mb;
my @objects = (
    { name => 'text.txt', size => 3000, type => 'text/plain' },
    { name => 'one.jpg', size => 1, type => 'image/jpeg' },
    { name => 'slice.mp4', size => $mb, type => 'video/mp4' },
    { name => 'slice-and-a-byte.ogg', size => $mb + 1, type => 'audio/ogg' },
    { name => 'large.mp4', size => int(3.5 * $mb), type => 'video/mp4' },
    { name => 'empty.jpg', size => 0, type => 'image/jpeg' },
    { name => "relat\xc3\xb3rio \xe2\x82\xac 100%.pdf", size => 70000,
        type => 'application/pdf' },
);

my %count;
my $fresh = 0;

for my $object (@objects) {
    prepare($object);
    run($object, $_) for grep { applies($_, $object) } cases();
}

is($t->get("/$_/$prefix/absent.jpg")->{status}, 404, "absent: $_")
    for qw(media disk fresh direct);

cmp_ok(scalar cases(), '>=', 150, scalar(cases()) . ' cases in the table');

for my $tier (sort keys %count) {
    cmp_ok($count{$tier}, '>=', 150, "$tier: $count{$tier} requests");
}

ok($t->stop(), 'worker processes ended');
is($t->alarms(), '', 'nothing alarming was logged');

done_testing();


# the radosgw of ./dev in place of the test's own S3 server

sub radosgw {
    my $choice = $t->read_file(($ENV{MEDIA_DEV_DIR} // '') . '/s3.choice');

    return unless $choice =~ /^radosgw$/m;

    my ($host) = $ENV{S3_ENDPOINT_URL} =~ m{^http://([^/]+)/?$}
        or die "S3_ENDPOINT_URL\n";

    $t->{store}->stop();
    $t->{store} = bless { %{ $t->{store} }, host => $host,
        key => $ENV{S3_ACCESS_KEY}, secret => $ENV{S3_SECRET_KEY} }, 'Store';

    return (s3 => $host);
}


# puts an object, and makes Redis and the disk hold it

sub prepare {
    my ($object) = @_;
    my $key = "$prefix/$object->{name}";

    $object->{path} = Store::encode($key, '/');
    $object->{body} = substr $noise, 0, $object->{size};
    $t->put($key, $object->{body}, $object->{type});

    my $r = $t->get("/direct/$object->{path}");

    is($r->{status}, 200, "$object->{name}: put");
    $object->{etag} = $r->{headers}{etag};
    $object->{date} = $r->{headers}{'last-modified'};
    @{$object->{tiers}} = ('s3', 'disk', %s3 ? () : 'direct');

    if ($object->{size} <= $mb) {
        ok(in_redis($object), "$object->{name}: in Redis");
        push @{$object->{tiers}}, 'redis';
    }

    $t->get("/disk/$object->{path}");
    is($t->get("/disk/$object->{path}")->{headers}{'x-cache'}, 'HIT',
        "$object->{name}: on disk");
}


sub in_redis {
    my ($object) = @_;

    for (1 .. 20) {
        $t->get("/media/$object->{path}");
        sleep 0.02;
        $t->flush_disk();

        my $h = $t->request('HEAD', "/media/$object->{path}")->{headers};

        return 1 if ($h->{'x-cache'} // '') eq 'HIT';
    }

    return 0;
}


sub run {
    my ($object, $case) = @_;
    my $headers = expand($case->{headers}, $object);
    my $name = "$object->{name}: $case->{method} "
        . ($case->{headers} || 'plainly');
    my %seen;

    for my $tier (@{$object->{tiers}}) {
        my $outcome = expand($case->{$tier eq 'direct' ? 'direct' : 'outcome'},
            $object);
        my $r = $seen{$tier} = ask($object, $tier, $case->{method}, $headers);

        is(verdict($object, $case->{method}, $outcome, $r), '',
            "$name ($tier): $outcome");
        $count{$tier}++;
    }

    for my $tier (grep { $_ !~ /^(?:s3|direct)$/ } @{$object->{tiers}}) {
        is(comparable($seen{$tier}), comparable($seen{s3}),
            "$name: $tier and s3 agree");
    }

    return if $case->{method} ne 'HEAD' || $headers =~ /Range:/;

    for my $tier (grep { $_ ne 'direct' } @{$object->{tiers}}) {
        my $r = ask($object, $tier, 'GET', $headers);

        is(comparable($seen{$tier}, 1), comparable($r, 1),
            "$name: the headers of GET ($tier)");
    }
}


sub ask {
    my ($object, $tier, $method, $headers) = @_;
    my %location = (s3 => 'fresh', redis => 'media');
    my $uri = '/' . ($location{$tier} // $tier) . "/$object->{path}";

    $uri .= '?fresh=' . ++$fresh if $tier eq 's3';

    return $t->request($method, $uri,
        map { /^([^:]+): (.*)/ } split /; (?=[A-Z])/, $headers);
}


# status, headers and, unless it is of no interest, the body of an error; what
# differs from response to response is left out

sub comparable {
    my ($r, $no_body) = @_;
    my %h = %{ $r->{headers} };

    delete @h{qw(date x-cache connection age)};
    $_ = s/boundary=\w+/boundary/r for values %h;

    return join "\n", $r->{status}, (map { "$_: $h{$_}" } sort keys %h),
        $no_body || $r->{status} < 400 ? () : $r->{body};
}
