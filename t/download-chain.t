#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Every WhatsApp vector is downloaded, verified, decrypted, stored, read back
# and announced once; every damaged one fails with its class named.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vectors plain_of sim sim_serve data_dir slurp sim_requests sql);
use Digest::SHA qw(sha256_hex);
use Job;
use Test::More;

job_or_skip();
sim('reset');

my $tenant = tenant();
my $evolution = instance($tenant, 'evolution');

# of the history and thumbnails no attachment is ever made
my @vectors = grep { $_->{mediaType} !~ /^(?:md-|thumbnail)/ }
    @{ vectors()->{vectors} }, @{ vectors()->{unencrypted} };

for my $v (@vectors) {
    sim_serve($v);

    my $id = attachment($evolution, source_of($v));
    my $result = run_job('download', $id);
    my $row = job_row($id);

    is($result->{result}, 'done', "$v->{name}: job done");
    is($row->{status}, 'completed', "$v->{name}: completed")
        or diag $row->{error_message};
    ok(object($row->{storage_key}) eq plain_of($v),
        "$v->{name}: stored byte for byte");
    is($row->{size_bytes}, -s data_dir() . "/$v->{plain}", "$v->{name}: size");
    is($row->{sha256}, sha256_hex(plain_of($v)), "$v->{name}: hash");
    is($row->{metadata}{seconds}, 7, "$v->{name}: metadata kept");
    is_deeply([ map { $_->{type} } events($id) ], [ 'attachment_ready' ],
        "$v->{name}: one event");

    next unless $v->{plain} =~ /^(?:image|sticker-(?:static|animated))/;

    my ($ext, $head) = $row->{metadata}{alpha} ? ('webp', qr/^RIFF....WEBP/s)
        : ('jpg', qr/^\xff\xd8\xff/);

    like(object("$row->{storage_key}_thumb.$ext"), $head,
        "$v->{name}: thumbnail");
    like($row->{thumbnail_url}, qr/_thumb\.$ext$/, "$v->{name}: its address");
    cmp_ok($row->{metadata}{width}, '>', 0, "$v->{name}: width");
}

# a job that comes twice changes nothing

{
    my $v = $vectors[0];
    my $id = attachment($evolution, source_of($v));

    run_job('download', $id);

    my $before = sim_requests(qr/t62/);
    my $result = run_job('download', '-r', $id);

    is($result->{result}, 'done', 'a repeated job is done');
    is(scalar(sim_requests(qr/t62/)), $before, 'and fetches nothing');
    is(scalar(events($id)), 1, 'and tells nothing');
}

# damaged files: the direct download names the class, and so does the row
# when the provider cannot help

for my $v (@{ vectors()->{negative} }) {
    next if $v->{advisory} || $v->{mediaType} =~ /^(?:md-|thumbnail)/;
    next unless $v->{mediaKey};

    my $path = "/v/t62.7118-24/$v->{name}_n.enc";

    sim(media => { path => $path, file => data_dir() . "/$v->{enc}" });

    my $id = attachment($evolution, source_of($v,
        direct_path => "$path?oh=01_x&oe=7AA2BB25"));
    my $result = run_job('download', $id);
    my $row = job_row($id);

    is($result->{result}, 'done', "$v->{name}: job done");
    is($row->{status}, 'failed', "$v->{name}: failed");
    like($row->{error_message}, qr/$v->{expect}/, "$v->{name}: class named");
    is($row->{storage_key}, '', "$v->{name}: nothing stored");
    is_deeply([ map { $_->{type} } events($id) ], [ 'attachment_failed' ],
        "$v->{name}: one event");
}

done_testing();
