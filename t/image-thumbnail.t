#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Thumbnails and the decoder process: worker/test/test_image.c has the cases.

use strict;
use warnings;

use Test::More;

my $program = $ENV{TEST_IMAGE} // 'build/test/test_image';

plan(skip_all => "$program is not built") unless -x $program;

open my $p, '-|', $program or die "$program: $!\n";
my @lines = <$p>;
close $p;

is($?, 0, 'the program ends well');
is(scalar(grep { /^not ok/ } @lines), 0, 'no case fails')
    or diag grep { /^not ok/ } @lines;
like($lines[-1], qr/^[1-9]\d* passed, 0 failed$/, 'cases were run');

done_testing();
