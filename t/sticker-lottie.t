#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A Lottie sticker of WhatsApp, an archive with an animation, comes from each
# provider and each source, is stored and served as it came, and has no
# thumbnail.

use strict;
use warnings;

use lib 't/lib';

use Document qw(zip docx);
use E2E;
use Job;
use Rendition qw(save);
use Test::More;

env_or_skip();
job_or_skip();
sim('reset');

my $v = vector('sticker-lottie-was');
my $webp = vector('sticker-static-webp');
my $data = data_dir();
my $owner = 'lottie' . $$;
my %name = (evolution => "lottie-evolution-$$", wapi => "lottie-wapi-$$",
    cloudapi => "2$$");
my %sent;


# webhooks, through nginx

is(add_tenant($owner), 0, 'tenant added');
add_instance($owner, $_, $name{$_}) for sort keys %name;
sim_serve($v);

for my $era (qw(base64 object long)) {
    $sent{"evolution, $era"} = unique_id();
    is(post_evolution(evolution_body($name{evolution}, $v, era => $era,
        id => $sent{"evolution, $era"})), 200, "evolution, $era: 200");
}

$sent{wapi} = unique_id();
is(post_wapi(wapi_body($name{wapi}, $v, id => $sent{wapi})), 200, 'wapi: 200');

# Meta documents WebP only

for my $type ('application/was', 'image/webp') {
    my $media = unique_id();

    $sent{"cloudapi, $type"} = 'wamid.' . unique_id();
    sim(cloud => { id => $media, file => "$data/$v->{plain}",
        mimetype => $type });
    is(post_cloudapi(cloudapi_body($name{cloudapi},
        { %$v, mimetype => $type }, id => $sent{"cloudapi, $type"},
        media_id => $media)), 200, "cloudapi, $type: 200");
}

for my $name (sort keys %sent) {
    my $a = wait_attachment($sent{$name}, 60);

    is($a->{status}, 'completed', "$name: completed")
        or diag($a->{error_message});
    is($a->{file_type}, 'application/was', "$name: its type");
    is($a->{thumbnail_url}, '', "$name: no thumbnail");

    my $r = get($a->{file_url} || "$ENV{MEDIA_PUBLIC_URL}none");

    is($r->{status}, 200, "$name: served");
    ok($r->{content} eq plain_of($v), "$name: byte for byte");
    is($r->{headers}{'content-type'}, 'application/was', "$name: as its type");
    is($r->{headers}{'x-content-type-options'}, 'nosniff',
        "$name: and as no other");
}


# sources

my $tenant = tenant();
my $gone = $v->{directPath} =~ s/\?/_gone?/r;

sub fetched {
    my ($name, $instance, $source, %opt) = @_;
    my $id = attachment($instance, $source, category => 'sticker', %opt);

    run_job('download', $id);

    my $row = job_row($id);

    is($row->{status}, 'completed', "$name: completed")
        or return diag($row->{error_message});
    is($row->{file_type}, $opt{type} // 'application/was', "$name: its type");
    return ($id, $row);
}

{
    my $evolution = instance($tenant, 'evolution');
    my $source = source_of($v, direct_path => $gone);

    sim(message => { id => $source->{message_id},
        file => "$data/$v->{plain}", mimetype => 'application/was' });
    fetched('getBase64FromMediaMessage', $evolution, $source);

    my $wapi = instance($tenant, 'wapi');

    sim(wapi => { path => (split /\?/, $gone)[0],
        file => "$data/$v->{plain}", mimetype => 'application/was' });
    fetched('download-media', $wapi, source_of($v, direct_path => $gone));

    my ($id, $row) = fetched('direct', $evolution, source_of($v));

    like($row->{storage_key}, qr/_media_[^.]+\.was$/, 'it is named');
    like($row->{metadata}{made_by}, qr{^libzip/\d}, 'libzip has read it');
    ok(!exists $row->{metadata}{inspection}, 'and understood it');
    is_deeply([ grep { $_->{stage} eq 'thumbnail' } hops($id) ], [],
        'no thumbnail was tried');

    # the content decides

    fetched('a Lottie called WebP', $evolution,
        source_of($v, mimetype => 'image/webp'));
    fetched('a Lottie called nothing', $evolution,
        source_of($v, mimetype => undef));
    sim_serve($webp);
    fetched('a WebP called Lottie', $evolution,
        source_of($webp, mimetype => 'application/was'),
        type => 'image/webp');
}


# others are none

my %other = ('an archive' => [ 'image/webp', zip('a.txt', 'text') ],
    'a document' => [ 'application/was', docx() ],
    'a page' => [ 'application/was', '<!DOCTYPE html><html></html>' ]);

for my $name (sort keys %other) {
    my ($type, $bytes) = @{ $other{$name} };
    my $path = '/v/t62.15575-24/lottie_' . ($name =~ s/ /_/gr) . "_$$.enc";

    sim(media => { path => $path, file => save('was', $bytes),
        unsigned => 1 });

    my $id = attachment(instance($tenant, 'evolution'), source_of($v,
        direct_path => "$path?oh=1&oe=7AA2BB25", mimetype => $type,
        media_key => undef, sha256 => undef, enc_sha256 => undef,
        file_length => length $bytes), category => 'sticker');

    run_job('download', $id);
    is(job_row($id)->{status}, 'failed', "$name is no sticker");
    like(job_row($id)->{error_message}, qr/^declared \Q$type\E, content is /,
        "$name: and why");
}

done_testing();
