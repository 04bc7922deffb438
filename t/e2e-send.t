#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Every kind of message, by every provider, from its job to the status "read":
# the simulator, which was written from the providers' documentation, finds
# nothing wrong with any request, and gets the bytes that were uploaded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use E2E;
use Job qw(instance tenant);
use JSON::PP;
use SendSim;
use Test::More;
use Upload;
use Worker;

env_or_skip();
worker_or_skip();

my $json = JSON::PP->new->canonical->utf8;
my $to = '5511987654321';
my $tenant = tenant();

# kind, type, vector, extension
my @files = (
    [ 'image', 'image/jpeg', 'image-jpeg', 'jpg' ],
    [ 'audio', 'audio/mpeg', 'audio-mp3', 'mp3' ],
    [ 'voice', 'audio/ogg; codecs=opus', 'audio-ptt-ogg-opus', 'ogg' ],
    [ 'video', 'video/mp4', 'video-mp4', 'mp4' ],
    [ 'document', 'application/pdf', 'document-pdf', 'pdf' ],
    [ 'sticker', 'image/webp', 'sticker-static-webp', 'webp' ],
);

my %accounts = ('Evolution v2' => account('evolution', 'v2'),
    'Evolution v1' => account('evolution', 'v1'),
    'W-API' => account('wapi'), 'Cloud API' => account('cloudapi'));


# an instance with a conversation in which the customer has just written

sub account {
    my ($provider, $version) = @_;
    my $i = instance($tenant, $provider);
    my $id = ($provider eq 'cloudapi' ? 'wamid.' : '') . unique_id();

    sql("UPDATE media.instances SET api_version = '$version' "
        . "WHERE id = $i->{id}") if $version;
    sql('UPDATE media.conversations SET last_customer_message_at = now() '
        . "WHERE id = $i->{conversation}");

    my ($message) = sql_row('INSERT INTO media.messages (tenant_id, '
        . 'instance_id, conversation_id, provider_id, direction, sender, '
        . "type, content, status) VALUES ('$tenant', $i->{id}, "
        . "$i->{conversation}, '$id', 'incoming', '$to', 'text', 'oi', '') "
        . 'RETURNING id');

    return { %$i, version => $version, customer_id => $id,
        message => $message };
}


sub queue_job {
    my ($i, $type, %more) = @_;

    publish('media', $type eq 'send' ? 'media_send' : 'media_upload',
        $json->encode({ type => $type,
        tenant => $tenant, conversation_id => "$i->{conversation}", %more }));
}


sub send_all {
    my ($i) = @_;

    queue_job($i, 'read', message_id => "$i->{message}");
    queue_job($i, 'typing', kind => 'text');
    queue_job($i, 'send', idempotency_key => "$i->{name}-text", kind => 'text',
        text => "caf\x{e9} \x{1f600}", reply_to => "$i->{message}");
    queue_job($i, 'send', idempotency_key => "$i->{name}-place",
        kind => 'location', latitude => '-23.5505', longitude => '-46.6333',
        place_name => "Pra\x{e7}a da S\x{e9}", place_address => 'SP');

    for my $file (@files) {
        my ($kind, $type, $name, $extension) = @$file;
        my $bytes = slurp(data_dir() . "/$name.plain");
        my $c = claims($i, $bytes, kind => $kind, file_type => $type,
            file_name => "relat\x{f3}rio $kind.$extension");
        my $etag = put_file($c->{upload_key}, $bytes, $type);

        publish('media', 'media_send', job_of('upload_complete', $c,
            etag => $etag, idempotency_key => "$i->{name}-$kind"));
    }
}


send_reset();
sim_webhooks(evolution => $ENV{EVOLUTION_WEBHOOK_URL},
    wapi => $ENV{WAPI_WEBHOOK_URL}, cloudapi => $ENV{CLOUDAPI_WEBHOOK_URL},
    app_secret => $ENV{CLOUDAPI_APP_SECRET}, mode => 'random');

for my $name (sort keys %accounts) {
    my $i = $accounts{$name};

    send_instance($i->{name}, version => $i->{version}) if $i->{version};
    send_all($i);
}

my $n = (@files + 2) * keys %accounts;

wait_until(120, sub {
    my ($read) = sql_row('SELECT count(*) FROM media.sends WHERE '
        . "tenant_id = '$tenant' AND state IN ('read', 'failed', 'unknown')");

    return $read >= $n;
});

for my $name (sort keys %accounts) {
    my $i = $accounts{$name};

    subtest $name => sub {
        my @rows = sql('SELECT kind, state, attempts, provider_id, '
            . 'error_message FROM media.sends WHERE instance_id = '
            . "$i->{id} ORDER BY seq");
        my @sent = sends(instance => $i->{name});
        my %by_id = map { $_->{id} => $_ } @sent;

        is(scalar @rows, @files + 2, 'sends');
        is(scalar @sent, @files + 2, 'all were received, each once');

        for my $row (@rows) {
            my ($kind, $state, $attempts, $id, $error) = @$row;

            is("$state $attempts $error", 'read 1 ', "$kind: read");
            check($i, $kind, $by_id{$id});
        }

        is(join(' ', sort map { $_->{op} } send_acts(
            instance => $i->{name}, provider => $i->{provider})),
            join(' ', ($i->{provider} eq 'cloudapi' ? 'read' : ()), 'read',
            'typing', $i->{provider} eq 'cloudapi' ? ('upload') x @files : ()),
            'read, typing and uploads');
        is(join("\n", map { "$_->{target}: $_->{what}" } violations(
            instance => $i->{name})), '', 'nothing wrong with any request');
    };
}


sub check {
    my ($i, $kind, $m) = @_;

    ok($m, "$kind: its id is the provider's") or return;
    is($m->{to}, $to, "$kind: recipient");

    if ($kind eq 'text') {
        is($m->{text}, "caf\x{e9} \x{1f600}", 'text');
        is($m->{reply_to}, $i->{customer_id}, 'reply');
        return;
    }

    if ($kind eq 'location') {
        is("$m->{latitude} $m->{longitude} $m->{name}",
            "-23.5505 -46.6333 Pra\x{e7}a da S\x{e9}", 'place');
        return;
    }

    my ($file) = grep { $_->[0] eq $kind } @files;

    is($m->{kind}, $kind eq 'voice' && $i->{provider} eq 'wapi' ? 'audio'
        : $kind, "$kind: kind");
    is($m->{media}{sha256}, sha256_hex(slurp(data_dir()
        . "/$file->[2].plain")), "$kind: its bytes");
    is($m->{text}, 'a caption', "$kind: caption")
        if $kind =~ /image|video|document/;
}


sim_webhooks();
done_testing();
