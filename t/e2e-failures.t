#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Every failure of a download has an owner: a retry, the provider's API, or a
# readable reason on the row with the event attachment_failed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use MIME::Base64 ();
use Test::More;
use E2E;

env_or_skip();

my $tenant = 'fail' . $$;
my $instance = "fail-evolution-$$";

add_tenant($tenant);
add_instance($tenant, 'evolution', $instance);


# a copy of a vector under a path of its own, so that faults stay apart

sub copy_of {
    my ($name, %opt) = @_;
    my $v = JSON::PP->new->decode(JSON::PP->new->encode(vector($name)));
    my $path = '/v/t62.7118-24/' . unique_id() . '_n.enc';
    my $oe = $opt{oe} // '7AA2BB25';

    $v->{directPath} = "$path?ccb=11-4&oh=01_Q5Aa&oe=$oe&_nc_sid=5e03e0";

    my ($field) = keys %{ $v->{message} };
    my $m = $v->{message}{$field};

    $m->{directPath} = $v->{directPath};
    $m->{url} = "https://mmg.whatsapp.net$v->{directPath}&mms3=true";
    $m->{mediaKey} = $opt{media_key} if $opt{media_key};
    $m->{mimetype} = $opt{mimetype} if $opt{mimetype};
    $v->{path} = $path;

    return $v;
}


sub send_it {
    my ($v) = @_;
    my $id = unique_id();

    is(post_evolution(evolution_body($instance, $v, id => $id)), 200,
        'accepted');
    return $id;
}


sub failed_event {
    my ($a) = @_;
    my ($n) = sql_row("SELECT count(*) FROM media.events WHERE type = "
        . "'attachment_failed' AND tenant_id = '$tenant' AND "
        . "payload::text LIKE '%$a->{id}%'");

    return $n;
}


# twice 500, then well

my $v = copy_of('image-jpeg');

sim_serve($v);
sim(fault => { path => $v->{path}, status => 500, times => 2 });

my $a = wait_attachment(send_it($v), 90);

is($a->{status}, 'completed', '500 twice: retried and completed');


# the body was cut: a damaged file is never stored

$v = copy_of('image-jpeg');
sim_serve($v);
sim(fault => { path => $v->{path}, cut => 5000, times => 1 });
$a = wait_attachment(send_it($v), 90);
is($a->{status}, 'completed', 'cut body: retried and completed');
ok(get($a->{file_url})->{content} eq plain_of($v), 'cut body: whole file');


# 410 at the CDN, the provider still has it

$v = copy_of('image-jpeg');

my $id = unique_id();

sim_serve($v, no_cdn => 1, id => $id);
sim(fault => { path => $v->{path}, status => 410 });
is(post_evolution(evolution_body($instance, $v, id => $id)), 200, 'accepted');
$a = wait_attachment($id, 90);
is($a->{status}, 'completed', 'gone: the provider API was asked');
ok(get($a->{file_url})->{content} eq plain_of($v), 'gone: byte for byte');


# expired long ago and nobody has it

$v = copy_of('image-jpeg', oe => '63B0B16F');
$a = wait_attachment(send_it($v), 90);
is($a->{status}, 'failed', 'expired everywhere: failed');
like($a->{error_message}, qr/expired/i, 'expired: the reason says so');
is(failed_event($a), 1, 'expired: one event attachment_failed');
is(scalar(sim_requests(qr/\Q$v->{path}\E/)), 0,
    'expired: the CDN was not bothered');


# a wrong media key: the class is named

$v = copy_of('image-jpeg', media_key => vector('image-png')->{mediaKey});
sim_serve($v);
$a = wait_attachment(send_it($v), 90);
is($a->{status}, 'failed', 'wrong key: failed');
like($a->{error_message}, qr/mac_mismatch/, 'wrong key: mac_mismatch');
is($a->{storage_key}, '', 'wrong key: nothing stored');


# what is declared and what it is differ

$v = copy_of('document-txt');
$v->{message}{documentMessage}{mimetype} = 'application/pdf';
sim_serve($v);
$a = wait_attachment(send_it($v), 90);
is($a->{status}, 'failed', 'type mismatch: failed');
like($a->{error_message}, qr!application/pdf.*text/!,
    'type mismatch: both types named');


# a newsletter's file is plain, with a stray key beside it

for my $name (qw(newsletter-image-jpeg newsletter-ptt-with-stray-mediakey)) {
    $v = copy_of($name);
    sim_serve($v);
    $a = wait_attachment(send_it($v), 90);
    is($a->{status}, 'completed', "$name: completed")
        or diag($a->{error_message});
}


# an address inside the operator's network is not asked

$v = copy_of('image-jpeg');
delete $v->{message}{imageMessage}{directPath};
$v->{message}{imageMessage}{url} = 'https://169.254.169.254/latest/';
$a = wait_attachment(send_it($v), 90);
is($a->{status}, 'failed', 'foreign host: failed');


# a tenant nobody has added: kept, and taken up when it is

my $late = "late-evolution-$$";

$v = copy_of('image-jpeg');
sim_serve($v);
$id = unique_id();
is(post_evolution(evolution_body($late, $v, id => $id)), 200,
    'unknown instance: accepted');
ok(wait_until(20, sub { (sql_row("SELECT count(*) FROM "
    . "media.unrouted_webhooks WHERE instance = '$late'"))[0] }),
    'unknown instance: kept');
add_instance($tenant, 'evolution', $late);
$a = wait_attachment($id, 60);
is($a->{status}, 'completed', 'unknown instance: taken up when added');

my ($left) = sql_row("SELECT count(*) FROM media.unrouted_webhooks WHERE "
    . "instance = '$late'");

is($left, 0, 'unknown instance: nothing left over');


# the same webhook ten times

$v = copy_of('image-jpeg');
sim_serve($v);
$id = unique_id();
post_evolution(evolution_body($instance, $v, id => $id)) for 1 .. 10;
$a = wait_attachment($id, 60);
is($a->{status}, 'completed', 'ten times the same: completed');

my ($n) = sql_row("SELECT count(*) FROM media.messages WHERE provider_id = "
    . "'$id'");

is($n, 1, 'ten times the same: one row');


# a profile picture

$v = copy_of('image-jpeg');
sim(media => { path => $v->{path}, file => data_dir() . '/image-jpeg.plain',
    type => 'image/jpeg', unsigned => 1 });
is(post_evolution(JSON::PP->new->encode({ event => 'contacts.update',
    instance => $instance, data => { remoteJid =>
    '5511987654321@s.whatsapp.net', pushName => 'Cliente', profilePicUrl =>
    "https://pps.whatsapp.net$v->{directPath}", instanceId => 'x' } })), 200,
    'profile picture: accepted');

my $url = wait_until(30, sub { (sql_row("SELECT profile_pic_url FROM "
    . "media.conversations WHERE tenant_id = '$tenant' AND chat = "
    . "'5511987654321' AND profile_pic_url <> '' LIMIT 1"))[0] });

like($url // '', qr!profile_pics/$tenant/5511987654321\.jpg$!,
    'profile picture: on the conversation');
is(get($url)->{status}, 200, 'profile picture: served') if $url;


# inline base64 of a size that is not published

my $big = vector('image-jpeg-large');

$id = unique_id();

my $body = evolution_body($instance, $big, id => $id, add => { base64 =>
    MIME::Base64::encode_base64(plain_of($big), '') });

cmp_ok(length $body, '>', 4 * 1024 * 1024, 'large webhook');
is(post_evolution($body), 200, 'large webhook: accepted');
$a = wait_attachment($id, 60);
is($a->{status}, 'completed', 'large webhook: completed')
    or diag($a->{error_message});
ok($a->{file_url} && get($a->{file_url})->{content} eq plain_of($big),
    'large webhook: byte for byte, from the inline copy');


# no log has a webhook's token, a media key or a signature of the CDN's

my ($token) = $ENV{EVOLUTION_WEBHOOK_URL} =~ m!([^/]+)$!;
my $key = $big->{mediaKey};
my $logs = '';

get("$ENV{CLOUDAPI_WEBHOOK_URL}?hub.mode=subscribe&hub.challenge=1"
    . "&hub.verify_token=$ENV{CLOUDAPI_VERIFY_TOKEN}");
post_evolution('not JSON');

$logs .= slurp($_) for glob "$ENV{MEDIA_DEV_DIR}/log/{nginx,media}*.log";
cmp_ok(length $logs, '>', 10000, 'there are logs');
is(scalar(() = $logs =~ /\Q$_\E/g), 0, 'a secret is not in them') for $token,
    $ENV{CLOUDAPI_VERIFY_TOKEN}, $ENV{CLOUDAPI_APP_SECRET}, $key,
    $ENV{S3_SECRET_KEY}, 'token-of-the-instance', 'oh=01_';


# what is not served is said in JSON, without a word of S3's

my $absent = "$ENV{MEDIA_PUBLIC_URL}chat/none/1/x.jpg";
my %said = (signed($absent) => 404, "$absent?x" => 401,
    "$ENV{NGINX_URL}/api/media/proxy/?url=http://evil.example/x.jpg" => 400,
    "$ENV{NGINX_URL}/api/media/proxy/?url=$absent" => 401);

for my $uri (sort keys %said) {
    my $r = get($uri);

    is($r->{status}, $said{$uri}, "$uri: $said{$uri}");
    is($r->{headers}{'content-type'}, 'application/json', "$uri: JSON");
    ok(JSON::PP->new->decode($r->{content})->{error}, "$uri: says why");
}

done_testing();
