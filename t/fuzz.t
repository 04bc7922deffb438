#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The stored inputs of the fuzz targets, among them each that once broke a
# parser, without libFuzzer; "./dev fuzz" looks for new ones.

use strict;
use warnings;

use File::Basename;
use IPC::Run qw(run timeout);
use Test::More;

my $max = 150 * 1024;               # bytes that the repository spends on them
my $build = dirname($ENV{MEDIACTL} || 'build/mediactl');
my @names = map { /fuzz_(\w+)\.c$/ } glob 't/fuzz/fuzz_*.c';

plan(skip_all => 'the fuzz targets are not built')
    unless -x "$build/test/fuzz_$names[0]";

my $size = 0;

for my $name (@names) {
    my @inputs = glob "t/fuzz/corpus/$name/*";
    $size += -s for @inputs;

    my $ok = eval {
        run(["$build/test/fuzz_$name", "t/fuzz/corpus/$name"],
            '>', \my $out, '2>', \my $err, timeout(120));
        is($out, @inputs . " inputs\n", "$name: the stored inputs")
            or diag(substr $err, -2000);
    };
    fail("$name: $@") unless defined $ok;
}

cmp_ok($size, '<=', $max, 'the stored inputs are small');

is_deeply([sort map { basename $_ } glob 't/fuzz/corpus/*'], [sort @names],
    'each parser has some');

done_testing();
