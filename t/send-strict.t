#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The providers' functions against the strict simulators: each kind by each
# provider, with files by link and within requests, and how each fails.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use E2E qw(data_dir slurp sql);
use SendRun;
use SendSim;
use Test::More;

run_or_skip();

my $public = $ENV{MEDIA_PUBLIC_URL};
my $sim = send_sim_start();
my $data = data_dir();
my %suffix = (evolution => '', wapi => '/v1', cloudapi => '/v23.0');
my %file = (
    image => ['image-jpeg', 'image/jpeg', 'photo.jpeg'],
    video => ['gif-mp4', 'video/mp4', 'clip.mp4'],
    audio => ['audio-mp3', 'audio/mpeg', 'song.mp3'],
    voice => ['audio-ptt-ogg-opus', 'audio/ogg; codecs=opus', ''],
    document => ['document-pdf', 'application/pdf', 'nota'],
    sticker => ['sticker-static-webp', 'image/webp', ''],
);

$ENV{MEDIA_DOWNLOAD_TIMEOUT} = '1s';

sub sim_account {
    my ($provider, $version) = @_;
    my $i = account($provider, version => $version =~ /^v1/ ? 'v1' : 'v2',
        base_url => $sim . $suffix{$provider});

    send_instance($i->{name}, version => $version);
    return $i;
}

sub file_of {
    my ($kind) = @_;
    my ($name, @rest) = @{ $file{$kind} };

    return put_object(slurp("$data/$name.plain"), @rest);
}

my %members = (
    text => { text => "Ol\x{e1} \"Jos\x{e9}\" \x{1f600}\n" },
    location => { latitude => '-23.5', longitude => '-46.75' },
);

for my $case (['evolution', 'v1'], ['evolution', 'v2'],
    ['evolution', '2.3.6'], ['wapi', ''], ['cloudapi', ''])
{
    my ($provider, $version) = @$case;
    my $i = sim_account($provider, $version);

    for my $kind (qw(text location), sort keys %file) {
        for my $by (qw(link bytes)) {
            local $ENV{MEDIA_PUBLIC_URL} = $by eq 'link' ? $public
                : 'http://localhost/';

            next if !$file{$kind} && $by eq 'link';

            my ($result) = exchange('send', one_send($i, $kind,
                reply_id => $provider eq 'cloudapi' ? '' : '3EB0ABCDEF',
                $file{$kind} ? (text => 'caption', file_of($kind)) : (),
                %{ $members{$kind} // {} }));
            my ($sent) = grep { $_->{id} eq $result->{provider_id} }
                sends(instance => $i->{name});
            my $name = "$provider $version: $kind by $by";

            is($result->{result}, 'accepted', $name)
                or diag explain $result;
            is($sent->{kind}, $provider eq 'wapi' && $kind eq 'voice' ? 'audio'
                : $kind, 'its kind') or diag explain $sent;
            is($sent->{media}{sha256}, sha256_hex(slurp(
                "$data/$file{$kind}[0].plain")), 'its bytes') if $file{$kind};

            next if $provider eq 'cloudapi' || !$file{$kind};

            is($sent->{media}{by}, $by eq 'bytes' || ($provider eq 'wapi'
                && $kind =~ /audio|voice/) ? 'base64' : 'link', "by $by");
        }
    }

    for my $op (qw(read typing)) {
        local $ENV{MEDIA_DOWNLOAD_TIMEOUT} = '20s';

        my ($result) = exchange($op, { %{ one_send($i, 'text') },
            message_id => 'wamid.HBgLMTAzNDEzMzk4OTAVAgASGBQzQUYzMjEzNDM2RTZG'
            . 'Q0MzMDJBRgA=' });

        ok($result->{ok}, "$provider $version: $op");
    }

    is_deeply([violations(instance => $i->{name})], [],
        "$provider $version: nothing that is not published");
}

# what the simulators inject: fault, its members, provider, result, how many
# messages they took

for my $case (
    (map { my $p = $_; (
        ['401', {}, $p, 'stop', 0],
        ['429', { retry_after => 7 }, $p, 'retry', 0],
        ['502', {}, $p, 'unknown', 0],
        ['reset-before', {}, $p, 'unknown', 0],
        ['reset-after', {}, $p, 'unknown', 1],
        ['cut', { bytes => 0 }, $p, 'unknown', 1],
        ['cut', { bytes => 20 }, $p, 'unknown', 1],
        ['no-id', {}, $p, 'unknown', 1],
        ['slow', { seconds => 5 }, $p, 'unknown', 1],
    ) } qw(evolution wapi cloudapi)),
    ['413', {}, 'evolution', 'failed', 0],
    ['413', {}, 'wapi', 'failed', 0],
    ['404', {}, 'evolution', 'stop', 0],
    ['transport', {}, 'evolution', 'retry', 0],
    ['no-whatsapp', {}, 'evolution', 'failed', 0],
    ['nested', {}, 'wapi', 'retry', 0],
    ['code', { code => 131047 }, 'cloudapi', 'failed', 0],
    ['code', { code => 131056 }, 'cloudapi', 'retry', 0],
    ['code', { code => 190, bare => 1 }, 'cloudapi', 'stop', 0],
    ['500', {}, 'cloudapi', 'retry', 0],
) {
    my ($fault, $opt, $provider, $expected, $taken) = @$case;
    my $i = sim_account($provider, 'v2');

    send_fault($fault, %$opt, match => { instance => $i->{name} },
        times => 1);

    my ($result) = exchange('send', one_send($i, 'text', text => 'x'));

    is($result->{result}, $expected, "$provider: $fault")
        or diag explain $result;
    is(scalar(my @sent = sends(instance => $i->{name})), $taken,
        'what was taken');
    is($result->{retry_after}, 7, 'Retry-After') if $fault eq '429';
}

# Evolution knows what became of a message, unless it never had it

for my $version (qw(v1 v2)) {
    my $i = sim_account('evolution', $version);
    my $s = one_send($i, 'text', text => "Ol\x{e1}");

    send_fault('reset-after', match => { instance => $i->{name} }, times => 1);
    is((exchange('send', $s))[0]{result}, 'unknown', "$version: unknown");

    my ($result) = exchange('look_up', $s);
    my ($sent) = sends(instance => $i->{name});

    is("$result->{result} $result->{provider_id}", "accepted $sent->{id}",
        "$version: found");
    ($result) = exchange('look_up', one_send($i, 'text', text => 'Ola'));
    is($result->{result}, 'unknown', "$version: not found");
}

# W-API does as long as it is in its queue

{
    my $i = sim_account('wapi', '');
    my $s = one_send($i, 'text', text => "Ol\x{e1}");

    send_instance($i->{name}, queue => 60);
    send_fault('reset-after', match => { instance => $i->{name} }, times => 1);
    is((exchange('send', $s))[0]{result}, 'unknown', 'wapi: unknown');

    my ($result) = exchange('look_up', $s);
    my ($sent) = sends(instance => $i->{name});

    is("$result->{result} $result->{provider_id}", "accepted $sent->{id}",
        'wapi: found');
}

# media ids that have expired, however the API says so

for my $code (undef, 131009) {
    my $i = sim_account('cloudapi', '');
    my %image = file_of('image');

    send_instance($i->{name}, unknown_media => $code);
    is((exchange('send', one_send($i, 'image', %image)))[0]{result},
        'accepted', 'uploaded') for 1, 2;
    send_expire();
    my ($result) = exchange('send', one_send($i, 'image', %image));

    is($result->{result}, 'accepted', 'uploaded anew')
        or diag explain $result;
    is(scalar(grep { $_->{op} eq 'upload' } send_acts(
        instance => $i->{name})), 2, 'two uploads');
}

done_testing();
