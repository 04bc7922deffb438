# Copyright (C) ngx_media contributors

# Runs mediactl, for its tests.

package Mediactl;

use strict;
use warnings;

use E2E qw(slurp);
use Exporter qw(import);
use File::Temp qw(tempdir);

our @EXPORT = qw($mediactl $dir run slurp);
our $mediactl = $ENV{MEDIACTL} || 'build/mediactl';
our $dir = tempdir(CLEANUP => 1);


# runs it; returns the exit code, standard output and standard error

sub run {
    my ($in, @args) = @_;

    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', $in or die;
        open STDOUT, '>', "$dir/out" or die;
        open STDERR, '>', "$dir/err" or die;
        exec $mediactl, @args or die;
    }

    waitpid $pid, 0;

    return ($? & 127 ? "signal $?" : $? >> 8, slurp("$dir/out"),
            slurp("$dir/err"));
}


1;
