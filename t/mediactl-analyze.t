#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# mediactl analyze: the normalised form of every body of t/data/payloads/made
# is the one that stands beside it; exit codes; a body of 100 MB with a file
# in it costs no memory.

use strict;
use warnings;
use utf8;

use File::Basename;
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';

use Mediactl;

my $data = dirname(__FILE__) . '/data/payloads';

plan(skip_all => "$mediactl is not built") unless -x $mediactl;


sub spew {
    my ($path, $text) = @_;

    open my $file, '>:raw', $path or die "cannot open $path: $!\n";
    print $file $text;
    close $file or die "cannot write $path: $!\n";

    return $path;
}


my ($rc, $out, $err);

for my $path (sort glob "$data/made/*.json") {
    my $name = basename($path, '.json');
    my $expected = decode_json(slurp("$data/made/$name.expected"));

    ($rc, $out, $err) = run('/dev/null', 'analyze', '--json', $path);

    is("$rc $err", '0 ', "$name: exit code");
    is_deeply(eval { decode_json($out) }, $expected, "$name: JSON");

    ($rc) = run($path, 'analyze', '-');
    is($rc, 0, "$name: report, from standard input");
}

my %recognised;

for my $path (sort glob "$data/{evolution,wapi,cloudapi}/*.json") {
    next if $path =~ /INVALID/;

    ($rc, $out, $err) = run('/dev/null', 'analyze', '--json', $path);
    my $form = eval { decode_json($out) };

    ok($rc == 0 && $form && ref $form->{items} eq 'ARRAY',
       basename($path) . ": exit code $rc $err");

    my $provider = basename(dirname($path));

    for my $item (@{$form->{items}}) {
        my $what = join ' ', $item->{kind}, grep { defined }
                                            @$item{qw(type status)};

        $recognised{"$provider: $what"}++;

        ok(JSON::PP::is_bool($item->{from_me})
           && JSON::PP::is_bool($item->{is_group}), 'booleans');

        if (my $media = $item->{media}) {
            ok(ref $media->{missing} eq 'ARRAY'
               && JSON::PP::is_bool($media->{decryptable}), 'media');
        }
    }
}

diag(map { sprintf "%-44s %4d\n", $_, $recognised{$_} }
     sort keys %recognised) if $ENV{TEST_VERBOSE};


# one image in each form that bytes and integers are met in

my $vectors = decode_json(slurp(dirname(__FILE__)
                                . '/data/whatsapp-media/vectors.json'));
my $forms = $vectors->{encodings};
my $base = $forms->{protobufToJSON};

for my $form (grep { ref $forms->{$_} } sort keys %$forms) {
    my $body = { event => 'messages.upsert', instance => 'i', data => {
                     key => { remoteJid => '1@s.whatsapp.net', id => 'A' },
                     message => { imageMessage => $forms->{$form} } } };

    ($rc, $out) = run(spew("$dir/form", encode_json($body)), 'analyze',
                      '--json', '-');
    my $media = eval { decode_json($out)->{items}[0]{media} };

    is($media->{media_key}, $base->{mediaKey}, "$form: mediaKey");
    is($media->{file_length}, $base->{fileLength}, "$form: fileLength");
    is($media->{sha256}, $base->{fileSha256}, "$form: fileSha256")
        if $forms->{$form}{fileSha256};
    is($media->{enc_sha256}, $base->{fileEncSha256}, "$form: fileEncSha256")
        if $forms->{$form}{fileEncSha256};
}


# what is asked for by name

my $image = "$data/evolution/derived_236_image.json";

($rc, $out) = run('/dev/null', 'analyze', $image);
like($out, qr/^Instance:\s+FOX$/m, 'report: instance');
like($out, qr/^Media:\s+1$/m, 'report: number of media');
like($out, qr/^Client:\s+\S/m, 'report: client');
like($out, qr/^  Pixels:\s+900x1600$/m, 'report: details');
like($out, qr/^  Decrypt:\s+possible$/m, 'report: decryption');

($rc, $out) = run('/dev/null', 'analyze',
                  "$data/made/evolution_missing_all.json");
like($out, qr/Missing:\s+mediaKey\n\s+Missing:\s+directPath/,
     'report: missing fields');

($rc, $out) = run('/dev/null', 'analyze', '--json', '--provider', 'wapi',
                  $image);
is($rc, 0, 'another provider\'s body');
is(decode_json($out)->{provider}, 'wapi', 'the provider that was given');
is(decode_json($out)->{items}[0]{kind}, 'other', 'it is none of its kinds');


# exit codes

my $broken = spew("$dir/broken", '{"object":"x" "entry":[]}');

($rc, $out, $err) = run('/dev/null', 'analyze', '--json', $broken);
is($rc, 1, 'not JSON');
is($out, '', 'not JSON: nothing on standard output');
like($err, qr/not JSON: unexpected string at byte 14/, 'not JSON: reason');

($rc, $out) = run(spew("$dir/empty", ''), 'analyze', '-');
is("$rc$out", '1', 'empty');

($rc, $out) = run('/dev/null', 'analyze', '--json',
                  spew("$dir/late", slurp($image) . 'x'));
is("$rc$out", '1', 'garbage after the body');

($rc, $out, $err) = run('/dev/null', 'analyze', "$dir/none");
is($rc, 1, 'no such file');
like($err, qr/cannot open/, 'no such file: reason');

for my $args (['analyze'], ['analyze', '--bad', $image],
              ['analyze', $image, $image], ['analyze', '--provider'],
              ['analyze', '--provider', 'x', $image], ['bogus'], [])
{
    ($rc, $out) = run('/dev/null', @$args);
    is("$rc$out", '2', "usage: @$args");
}

for my $command (qw(analyze decrypt instance media-url tenant trace)) {
    ($rc, $out) = run('/dev/null', $command, '--help');
    ok($rc == 0 && $out =~ /^Usage:\n  \Q$command\E/, "$command --help");
}

($rc, $out) = run('/dev/null', '--help');
ok($rc == 0 && $out =~ /analyze.*decrypt.*media-url.*tenant.*trace/s,
   '--help');

($rc, $out) = run('/dev/null', '--version');
ok($rc == 0 && $out =~ /^mediactl \d+\.\d+\.\d+$/, '--version');


# 100 MB of inline base64

SKIP: {
    my $large = "$dir/large";

    open my $file, '>:raw', $large or die;
    print $file '{"event":"messages.upsert","instance":"i","data":{"key":'
                . '{"remoteJid":"1@s.whatsapp.net","id":"A"},"message":{'
                . '"videoMessage":{"caption":"c"},"base64":"';
    my $block = 'QUJD' x 262144;
    print $file $block for 1 .. 100;
    print $file '"}},"sender":"2@s.whatsapp.net"}';
    close $file or die;

    my $pid = fork() // die;

    if ($pid == 0) {
        # the body comes through a pipe that is slow at the end, so that the
        # process can be looked at
        open STDIN, '-|', "cat $large; sleep 3" or die;
        open STDOUT, '>', "$dir/out" or die;
        exec $mediactl, 'analyze', '--json', '-' or die;
    }

    my ($peak, $seen) = (0, 0);

    while (waitpid($pid, 1) == 0) {
        if (open my $status, '<', "/proc/$pid/status") {
            my $text = join '', <$status>;

            if ($text =~ /^Name:\s+mediactl/m && $text =~ /^VmHWM:\s+(\d+)/m)
            {
                $peak = $1 if $1 > $peak;
                $seen = 1;
            }
        }

        select undef, undef, undef, 0.1;
    }

    is($?, 0, '100 MB: exit code');

    my $media = eval { decode_json(slurp("$dir/out"))->{items}[0]{media} };
    is($media->{base64_length}, 104857600, '100 MB: length of the file');

    skip 'memory is the sanitizer\'s', 1
        if slurp($mediactl) =~ /__asan_init/;

    ok($seen && $peak < 30 * 1024, "100 MB: $peak kB of memory at most");
}

done_testing();
