#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A 50 MB file through a child grows it by less than 8 MB: directly from the
# CDN, as base64 from Evolution, and as base64 out of a webhook's body.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(hmac_sha256 sha256);
use E2E qw(vector sim sim_serve slurp unique_id);
use File::Temp qw(tempdir);
use Job;
use MIME::Base64;
use Test::More;

use constant SIZE => 50 * 1024 * 1024 - 100;

job_or_skip();
sim('reset');

my $dir = tempdir(CLEANUP => 1);
my $tenant = tenant();
my $i = instance($tenant, 'evolution');

sub write_file {
    my ($name, @data) = @_;

    open my $f, '>:raw', "$dir/$name" or die $!;
    print $f @data;
    close $f or die $!;
}

# HKDF of 112 bytes, no salt (RFC 5869)

sub keys_of {
    my ($key, $info) = @_;
    my $prk = hmac_sha256($key, "\0" x 32);
    my ($t, $out) = ('', '');

    $out .= $t = hmac_sha256($t . $info . chr $_, $prk) for 1 .. 4;
    return unpack 'a16a32a32', $out;
}

# an MP4's head, then bytes that compress badly

my $mp4 = pack('Na4a4Na4a4', 24, 'ftyp', 'isom', 512, 'isom', 'mp41')
    . pack('Na4', SIZE - 24, 'mdat');
my $block = join '', map { sha256($_) } 1 .. 2048;
my $plain = substr $mp4 . $block x (SIZE / length($block) + 1), 0, SIZE;
my $key = sha256(unique_id());
my ($iv, $cipher, $mac) = keys_of($key, 'WhatsApp Video Keys');

write_file('plain', $plain);
system('openssl', 'enc', '-aes-256-cbc', '-K', unpack('H*', $cipher), '-iv',
    unpack('H*', $iv), '-in', "$dir/plain", '-out', "$dir/ct") == 0
    or die 'openssl';

my $enc = slurp("$dir/ct");

$enc .= substr hmac_sha256($iv . $enc, $mac), 0, 10;
write_file('enc', $enc);

my %v = (mediaType => 'video', mimetype => 'video/mp4',
    fileLength => SIZE, mediaKey => encode_base64($key, ''),
    fileSha256 => encode_base64(sha256($plain), ''),
    fileEncSha256 => encode_base64(sha256($enc), ''),
    directPath => "/v/t62.7161-24/large_$$.enc?oh=01_x&oe=7AA2BB25");

undef $enc;

sub growth {
    my ($name, $id) = @_;
    my $small = vector('video-mp4');
    my $image = vector('image-jpeg');

    sim_serve($small);
    sim_serve($image);

    # what any job loads is there before: libmagic, libcurl, the decoder
    my @warm = map { attachment($i, source_of($_)) } $small, $image, $small;
    my @results = run_job('download', @warm, $id);
    my $row = job_row($id);

    is($row->{status}, 'completed', "$name: completed")
        or diag $row->{error_message};
    is($row->{size_bytes}, SIZE, "$name: in full length");

    my $grown = $results[-1]{rss} - $results[-2]{rss};

    cmp_ok($grown, '<', 8192, "$name: grew by less than 8 MB");
    diag "$name: rss $results[-2]{rss} kB before, grew by $grown kB, "
        . "$results[-1]{ms} ms";
}

sim(media => { path => (split /\?/, $v{directPath})[0], file => "$dir/enc" });
growth('direct', attachment($i, source_of(\%v)));

{
    my $source = source_of(\%v,
        direct_path => '/v/t62/none.enc?oh=1&oe=7AA2BB25');

    sim(message => { id => $source->{message_id}, file => "$dir/plain",
        mimetype => 'video/mp4' });
    growth('evolution', attachment($i, $source));
}

{
    my $body = 'webhooks/' . lc unique_id();
    my $base64 = encode_base64($plain, '');

    write_file('body', '{"base64":"', $base64, '"}');
    run_program('put', $body, "$dir/body", 'application/json');
    growth('inline', attachment($i, source_of(\%v, direct_path => undef,
        media_key => undef, enc_sha256 => undef, body_key => $body,
        body_offset => 11, body_length => length $base64)));
}

done_testing();
