#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A photo, a video, a voice note, a document and a sticker of each provider
# arrive as webhooks and are fetched back through nginx byte for byte: first
# from S3, then from Redis.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use E2E;

env_or_skip();

my @kinds = qw(image-jpeg video-mp4 audio-ptt-ogg-opus document-pdf
    sticker-static-webp);
my %thumbnail = map { $_ => 1 } qw(image-jpeg sticker-static-webp
    document-pdf video-mp4);
my $tenant = 'e2e' . $$;
my %instance = map { $_ => "e2e-$_-$$" } qw(evolution wapi);

$instance{cloudapi} = "1$$";

is(add_tenant($tenant), 0, 'tenant added');

for my $provider (sort keys %instance) {
    is(add_instance($tenant, $provider, $instance{$provider}), 0,
        "$provider instance added");
}

my @sent;

for my $kind (@kinds) {
    my $v = vector($kind);

    sim_serve($v);

    for my $era (qw(base64 object long)) {
        my $id = unique_id();

        is(post_evolution(evolution_body($instance{evolution}, $v,
            id => $id, era => $era)), 200, "evolution $era $kind: 200");
        push @sent, [ "evolution $era", $kind, $id ];
    }

    my $id = unique_id();

    is(post_wapi(wapi_body($instance{wapi}, $v, id => $id)), 200,
        "wapi $kind: 200");
    push @sent, [ 'wapi', $kind, $id ];

    $id = 'wamid.' . unique_id();

    my $media_id = '7' . $$ . scalar @sent;

    sim(cloud => { id => $media_id, file => data_dir() . "/$v->{plain}",
        mimetype => $v->{mimetype} });
    is(post_cloudapi(cloudapi_body($instance{cloudapi}, $v, id => $id,
        media_id => $media_id)), 200, "cloudapi $kind: 200");
    push @sent, [ 'cloudapi', $kind, $id ];
}

for my $sent (@sent) {
    my ($provider, $kind, $id) = @$sent;
    my $name = "$provider $kind";
    my $v = vector($kind);
    my $a = wait_attachment($id, 60);

    is($a->{status}, 'completed', "$name: completed")
        or diag("error_message: $a->{error_message}");
    is($a->{size_bytes}, $v->{fileLength}, "$name: size");

    next unless ($a->{status} // '') eq 'completed';

    my $first = get($a->{file_url});

    is($first->{status}, 200, "$name: served");
    is($first->{headers}{'x-cache'}, 'MISS', "$name: first from S3");
    ok($first->{content} eq plain_of($v), "$name: byte for byte");
    is((split /;/, $first->{headers}{'content-type'})[0], $a->{file_type} =~
        s/;.*//r, "$name: content type");

    my $second = wait_until(5, sub {
        my $r = get($a->{file_url});

        return $r->{headers}{'x-cache'} eq 'HIT' ? $r : undef;
    });

    ok($second, "$name: then from Redis");
    ok($second && $second->{content} eq $first->{content},
        "$name: the same from Redis");

    unless ($thumbnail{$kind}) {
        is($a->{thumbnail_url}, '', "$name: no thumbnail");
        next;
    }

    my $thumb = get($a->{thumbnail_url});

    is($thumb->{status}, 200, "$name: thumbnail served");

    my $webp = $kind =~ /sticker/;

    is($thumb->{headers}{'content-type'}, $webp ? 'image/webp' : 'image/jpeg',
        "$name: type of the thumbnail");
    like($thumb->{content}, $webp ? qr/^RIFF....WEBP/s : qr/^\xff\xd8\xff/,
        "$name: it begins as one");
    cmp_ok($a->{width}, '>', 0, "$name: width recorded")
        if $kind ne 'document-pdf';
}

my ($rows) = sql_row("SELECT count(*) FROM media.message_attachments WHERE "
    . "tenant_id = '$tenant'");

is($rows, scalar @sent, 'one row a message');

my @keys = grep { !/_(?:thumb\.(?:jpg|webp)|m4a\.m4a)$/ }
    object_keys("chat/$tenant/");

is(scalar @keys, scalar @sent, 'one object a message');

done_testing();
