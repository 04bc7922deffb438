#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# mediactl decrypt and media-url over the vectors of t/data/whatsapp-media:
# exit codes, the error class as the first word on standard error, and
# nothing on standard output unless every check passed.

use strict;
use warnings;

use File::Basename;
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';

use Mediactl;

my $data = dirname(__FILE__) . '/data/whatsapp-media';

plan(skip_all => "$mediactl is not built") unless -x $mediactl;


my $vectors = decode_json(slurp("$data/vectors.json"));
my ($rc, $out, $err);

for my $v (@{$vectors->{vectors}}) {
    my @key = ('decrypt', '--type', $v->{mediaType}, '--media-key',
               $v->{mediaKey});
    my $plain = slurp("$data/$v->{plain}");

    ($rc, $out, $err) = run("$data/$v->{enc}", @key, '--sha256',
                            $v->{fileSha256}, '--enc-sha256',
                            $v->{fileEncSha256});
    ok($rc == 0 && $out eq $plain && $err eq '', "$v->{name}: $rc $err");

    ($rc, $out, $err) = run("$data/$v->{enc}", @key);
    ok($rc == 0 && $out eq $plain, "$v->{name} without hashes: $rc $err");
}

for my $v (@{$vectors->{negative}}) {
    my @args = ('decrypt', '--type', $v->{mediaType}, '--media-key',
                $v->{mediaKey} // '');

    push @args, '--sha256', $v->{fileSha256} if defined $v->{fileSha256};
    push @args, '--enc-sha256', $v->{fileEncSha256}
        if defined $v->{fileEncSha256};

    ($rc, $out, $err) = run("$data/$v->{enc}", @args);
    my ($class) = split ' ', $err;

    if ($v->{advisory}) {
        # fileLength is the sender's word; the hashes decide
        ok($rc == 0 && $out eq slurp("$data/$v->{base}.plain"),
           "$v->{name}: taken");
        next;
    }

    is($rc, 1, "$v->{name}: exit code");
    is($class // '', $v->{expect}, "$v->{name}: error class");
    is(length $out, 0, "$v->{name}: nothing written");
}

for my $v (@{$vectors->{unencrypted}}) {
    my @args = ('decrypt', '--type', $v->{mediaType}, '--sha256',
                $v->{fileSha256});

    ($rc, $out, $err) = run("$data/$v->{enc}", @args);
    ok($rc == 0 && $out eq slurp("$data/$v->{plain}"), "$v->{name}: $err");

    ($rc, $out, $err) = run("$data/$v->{enc}", @args, '--media-key',
                            'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=');
    ok($rc == 0 && $out eq slurp("$data/$v->{plain}"),
       "$v->{name} with a stray key: $err");

    ($rc, $out, $err) = run("$data/document-txt.plain", @args);
    ok($rc == 1 && $out eq '' && $err =~ /^plain_sha256_mismatch\b/,
       "$v->{name}: another file: $rc $err");
}

my %exit = (accept => 0, expired => 1, reject => 1);
my %word = (expired => 'expired', reject => 'rejected');

for my $case (@{$vectors->{urlCases}}) {
    my @args = ('media-url');
    my $name = join ' ', map { defined ? $_ : '-' }
                         @$case{qw(directPath url)};

    # an argument cannot hold a zero byte
    next if $name =~ /\0/;

    push @args, '--direct-path', $case->{directPath}
        if defined $case->{directPath};
    push @args, '--url', $case->{url} if defined $case->{url};

    utf8::encode($_) for @args;
    utf8::encode($name);

    ($rc, $out, $err) = run('/dev/null', @args);

    is($rc, $exit{$case->{expect}}, "$case->{expect}: $name");

    if ($case->{expect} eq 'accept') {
        like($out, qr{^https://[a-z0-9.-]+\.whatsapp\.net/\S+\n\z},
             "a URL: $name");
        is($out, "$case->{baileysUrl}\n", "the URL: $name")
            if $case->{baileysUrl} && $case->{directPath};

    } else {
        like($err, qr/^$word{$case->{expect}}: \S/, "reason: $name");
        is($out, '', "no URL: $name");
    }
}

my $enc = "$data/document-txt.enc";
my $key = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';

for my $args ([], ['--type', 'image'], ['--media-key', $key],
              ['--type', 'nothing', '--media-key', $key],
              ['--type', 'image', '--media-key'],
              ['--type', 'image', '--media-key', $key, '--sha256', 'AAAA'],
              ['--type', 'image', '--enc-sha256', $key, '--sha256', $key],
              ['--bogus', 'x'])
{
    ($rc, $out) = run($enc, 'decrypt', @$args);
    is("$rc$out", '2', "usage: decrypt @$args");
}

for my $args (['--url'], ['--bogus', 'x']) {
    ($rc, $out) = run('/dev/null', 'media-url', @$args);
    is("$rc$out", '2', "usage: media-url @$args");
}

for my $bad ('', 'AAAA', '*', 'A' x 500) {
    ($rc, $out, $err) = run($enc, 'decrypt', '--type', 'image',
                            '--media-key', $bad);
    ok($rc == 1 && $out eq '' && $err =~ /^bad_media_key\b/,
       "bad key: $rc $err");
}

done_testing();
