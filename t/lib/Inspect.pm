package Inspect;

# Copyright (C) ngx_media contributors

# What the worker finds out about files, by worker/test/run_job.c.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempdir);
use Job qw(run_program);
use JSON::PP;

our @EXPORT_OK = qw(inspect pixel);

my $dir = tempdir(CLEANUP => 1);
my $serial = 0;


# one result for each file; their previews are files, too

sub inspect {
    my @args = map { ($_, 'application/octet-stream', "$dir/" . $serial++) }
        @_;
    my @lines = split /\n/, run_program('inspect', @args);
    my @results;

    for my $line (@lines) {
        my $r = { map { split /=/, $_, 2 } split /\t/, $line };

        $r->{metadata} = decode_json($r->{metadata});
        $r->{file} = $args[3 * @results + 2];
        @{ $r->{preview} }{qw(format width height)} = split ' ',
            `identify -format '%m %w %h' '$r->{file}'` if $r->{size};
        push @results, $r;
    }

    return wantarray ? @results : $results[0];
}


# red, green, blue and alpha

sub pixel {
    my ($file, $x, $y) = @_;

    return unpack 'C4', `convert '$file' -crop 1x1+$x+$y -depth 8 rgba:-`;
}

1;
