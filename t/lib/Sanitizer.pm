package Sanitizer;

# Copyright (C) ngx_media contributors

# A module built with AddressSanitizer needs its runtime before all other
# libraries of an nginx that was not built with it.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(preload sanitized);


# the libasan that a module was built with, or nothing

sub sanitized {
    my ($module) = @_;

    return (`ldd '$module' 2>&1` =~ m{=> (\S*libasan\S*)})[0];
}


# sets the environment for an nginx that is to load the module; its libasan

sub preload {
    my ($module) = @_;
    my $asan = sanitized($module) or return;

    $ENV{LD_PRELOAD} = $asan;
    $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (),
        'detect_leaks=0:detect_odr_violation=0';
    $ENV{UBSAN_OPTIONS} ||= 'print_stacktrace=1';

    return $asan;
}


1;
