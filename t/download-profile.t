#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A profile picture goes from WhatsApp to profile_pics/{tenant}/{phone}.jpg,
# into every conversation with that person, is purged, and is told.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sim sim_requests slurp data_dir sql sql_row redis_cli);
use Job;
use JSON::PP;
use Test::More;

job_or_skip();
plan(skip_all => 'REDIS_URL is not set: run by ./dev test')
    unless $ENV{REDIS_URL};
sim('reset');

my $data = data_dir();
my $phone = '5511987654321';
my $serial = 0;

# a tenant with one person in two instances; the result of a job

sub profile {
    my ($provider, $url) = @_;
    my $tenant = tenant();
    my $i = instance($tenant, $provider);
    my $other = instance($tenant, 'evolution');
    my $key = "profile_pics/$tenant/$phone.jpg";

    sql("INSERT INTO media.contacts (tenant_id, address) VALUES ('$tenant', "
        . "'$phone')");

    my $result = run_job('profile', encode_json({ tenant_id => $tenant,
        instance_id => "$i->{id}", phone => $phone, url => $url }));
    my ($contact) = sql_row('SELECT profile_pic_url FROM media.contacts '
        . "WHERE tenant_id = '$tenant'");
    my @conversations = map { $_->[0] } sql('SELECT profile_pic_url FROM '
        . "media.conversations WHERE tenant_id = '$tenant' "
        . 'AND profile_pic_updated_at IS NOT NULL');
    my @events = map { decode_json($_->[0]) } sql('SELECT payload FROM '
        . "media.events WHERE tenant_id = '$tenant' "
        . "AND type = 'conversation_updated'");

    my @purge = sql_row('SELECT id, published FROM media.purges '
        . "WHERE target = '$key'");

    return { result => $result->{result}, key => $key, purge => \@purge,
        contact => $contact // '', conversations => \@conversations,
        events => \@events };
}

sub stored {
    my ($p, $name) = @_;

    is($p->{result}, 'done', "$name: done");
    like($p->{contact}, qr/\Q$p->{key}\E$/, "$name: contact updated");
    is(scalar @{ $p->{conversations} }, 2, "$name: both conversations");
    is(scalar @{ $p->{events} }, 2, "$name: an event for each");
    is($p->{events}[0]{profile_pic_url}, $p->{contact},
        "$name: with the address");
    like(object("$p->{key}_thumb.jpg"), qr/^\xff\xd8\xff/,
        "$name: thumbnail");
    is($p->{purge}[1], 't', "$name: the purge counts as published");
    like(redis_cli('GET', 'media:purges'),
        qr/^$p->{purge}[0] \Q$p->{key}\E$/m, "$name: nginx is told");
}

sub picture {
    my ($file) = @_;
    my $path = "/v/t61.24694-24/picture_$$" . '_' . $serial++ . '_n.jpg';

    sim(media => { path => $path, file => "$data/$file", unsigned => 1 });
    return "https://pps.whatsapp.net$path?ccb=11-4&oh=01_x&oe=7AA2BB25";
}

my $p = profile('evolution', picture('image-jpeg.plain'));

stored($p, 'a JPEG');
ok(object($p->{key}) eq slurp("$data/image-jpeg.plain"),
    'a JPEG is stored as it came');

$p = profile('evolution', picture('image-png.plain'));
stored($p, 'a PNG');
like(object($p->{key}), qr/^\xff\xd8\xff/, 'a PNG is stored as a JPEG');

# no address, or one that has expired: the provider knows

sim(profile => { number => $phone, url => picture('image-jpeg.plain') });

for my $provider (qw(evolution wapi)) {
    for my $url ('', 'https://pps.whatsapp.net/v/x_n.jpg?oh=1&oe=60000000',
        'https://pps.whatsapp.net/v/gone_n.jpg?oh=1&oe=7AA2BB25')
    {
        stored(profile($provider, $url), "$provider, '$url'");
    }
}

# what is no picture, and where none may come from

for my $url (picture('document-pdf.plain'), 'https://evil.example/x.jpg') {
    $p = profile('cloudapi', $url);
    is($p->{result}, 'done', 'not a picture: done');
    is($p->{contact}, '', 'not a picture: nothing changes');
    is(object($p->{key}), '', 'not a picture: nothing stored');
    is_deeply($p->{purge}, [], 'not a picture: nothing purged');
    is(scalar @{ $p->{events} }, 0, 'not a picture: nothing told');
}

is(profile('cloudapi', '')->{result}, 'done',
    'the Cloud API has no profile pictures');

is(run_job('profile', '{"tenant_id":"a/b","instance_id":"1","phone":"x"}')
    ->{result}, 'dead', 'a bad job is dead');

done_testing();
