#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# When WhatsApp's CDN does not give the file, the provider's API does: each
# of the three, the way it really answers; also the copy within a webhook.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector plain_of sim sim_serve data_dir sim_requests slurp
    unique_id);
use File::Temp qw(tempdir);
use Job;
use JSON::PP;
use MIME::Base64;
use Test::More;

job_or_skip();
sim('reset');

my $data = data_dir();
my $tenant = tenant();
my $v = vector('image-jpeg');
my $gone = $v->{directPath} =~ s/n\.enc/gone.enc/r;

sub completed {
    my ($id, $name) = @_;
    my $row = job_row($id);

    is($row->{status}, 'completed', "$name: completed")
        or diag $row->{error_message};
    ok(object($row->{storage_key}) eq plain_of($v), "$name: byte for byte");
}

# Evolution: gone at WhatsApp, the API asks the phone for a re-upload

{
    my $i = instance($tenant, 'evolution');
    my $source = source_of($v, direct_path => $gone);
    my $id = attachment($i, $source);

    sim(message => { id => $source->{message_id},
        file => "$data/$v->{plain}", mimetype => 'image/jpeg' });
    run_job('download', $id);
    completed($id, 'evolution');

    my ($r) = sim_requests(qr/getBase64FromMediaMessage\/$i->{name}/);
    my $body = decode_json($r->{body});

    is($body->{message}{key}{id}, $source->{message_id}, 'the key is sent');
    is($body->{message}{message}{imageMessage}{mediaKey}, $v->{mediaKey},
        'with what a re-upload needs');
    is((hops($id))[0]{outcome}, 'failed', 'the first hop failed');
    like((hops($id))[0]{detail}, qr/direct: HTTP 404/, 'and says why');
}

# an instance name with a space, a slash and more

{
    my $i = instance($tenant, 'evolution');
    my $name = "Loja 1/\x{e9} $i->{name}";

    utf8::encode($name);
    E2E::sql("UPDATE media.instances SET name = '$name' WHERE id = $i->{id}");

    my $source = source_of($v, direct_path => $gone);
    my $id = attachment($i, $source);

    sim(message => { id => $source->{message_id},
        file => "$data/$v->{plain}", mimetype => 'image/jpeg' });
    run_job('download', $id);
    completed($id, 'a hostile instance name');
    ok(sim_requests(qr{Message/Loja%201%2F%C3%A9%20}), 'is encoded');
}

# W-API: a link by descriptor

{
    my $i = instance($tenant, 'wapi');
    my $id = attachment($i, source_of($v, direct_path => $gone));

    sim(wapi => { path => (split /\?/, $gone)[0],
        file => "$data/$v->{plain}", mimetype => 'image/jpeg' });
    run_job('download', $id);
    completed($id, 'wapi');

    my ($r) = sim_requests(qr/download-media\?instanceId=$i->{name}/);
    my $body = decode_json($r->{body});

    is($body->{type}, 'image', 'type is sent');
    is($body->{directPath}, $gone, 'directPath is sent with its query');
}

# Cloud API: two steps with the token, and once more when the link has died

{
    my $i = instance($tenant, 'cloudapi');
    my $media = unique_id();
    my $source = { message_id => 'wamid.' . unique_id(), key_type => 'image',
        id => $media, mimetype => 'image/jpeg', sha256 => $v->{fileSha256} };
    my $id = attachment($i, $source);

    sim(cloud => { id => $media, file => "$data/$v->{plain}",
        mimetype => 'image/jpeg' });
    run_job('download', $id);
    completed($id, 'cloudapi');
    ok(sim_requests(qr/$media\?phone_number_id=$i->{name}/),
        'the query names the number');

    $id = attachment($i, { %$source, message_id => 'wamid.' . unique_id() });
    my ($file) = grep { $_->{target} !~ /phone_number_id|_sim/ }
        sim_requests(qr/$media|attachments/);

    sim(fault => { path => $file->{target} =~ s/\?.*//r, times => 1,
        status => 404 });
    run_job('download', $id);
    completed($id, 'cloudapi, the link dead once');
    is(scalar(sim_requests(qr/$media\?phone_number_id/)), 3,
        'a new link was asked for');
}

# base64 within the webhook, its slashes escaped as some encoders do

for my $escaped (0, 1) {
    my $i = instance($tenant, 'evolution');
    my $base64 = encode_base64(plain_of($v), '');

    $base64 =~ s{/}{\\/}g if $escaped;

    my $dir = tempdir(CLEANUP => 1);
    my $key = 'webhooks/' . lc unique_id();
    my $head = '{"data":{"message":{"base64":"';

    open my $f, '>', "$dir/body" or die $!;
    print $f $head, $base64, '"}}}';
    close $f;
    run_program('put', $key, "$dir/body", 'application/json');

    my $id = attachment($i, source_of($v, direct_path => undef,
        media_key => undef, enc_sha256 => undef, body_key => $key,
        body_offset => length $head, body_length => length $base64));

    run_job('download', $id);
    completed($id, "inline, escaped $escaped");
}

done_testing();
