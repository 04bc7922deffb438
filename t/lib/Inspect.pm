package Inspect;

# Copyright (C) ngx_media contributors

# What the worker finds out about files, by worker/test/run_job.c.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempdir);
use Job qw(run_program);
use JSON::PP;

our @EXPORT_OK = qw(answer inspected inspect pixel);

my $dir = tempdir(CLEANUP => 1);
my $serial = 0;


# what a line says

sub answer {
    my ($line) = @_;

    chomp $line;

    my %r = map { split /=/, $_, 2 } split /\t/, $line;

    $r{metadata} = decode_json($r{metadata});
    return \%r;
}


# one result for each file; "file" is where its preview is

sub inspected {
    my @args = map { ($_, 'application/octet-stream', "$dir/" . $serial++) }
        @_;
    my @results = map { answer($_) } split /\n/,
        run_program('inspect', @args);

    $results[$_]{file} = $args[3 * $_ + 2] for 0 .. $#results;
    return wantarray ? @results : $results[0];
}


# the same, with what the previews are

sub inspect {
    my @results = inspected(@_);

    @{ $_->{preview} }{qw(format width height)} = split ' ',
        `identify -format '%m %w %h' '$_->{file}'`
        for grep { $_->{size} } @results;

    return wantarray ? @results : $results[0];
}


# red, green, blue and alpha

sub pixel {
    my ($file, $x, $y) = @_;

    return unpack 'C4', `convert '$file' -crop 1x1+$x+$y -depth 8 rgba:-`;
}

1;
