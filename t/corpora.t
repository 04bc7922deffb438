#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Files that others use to break readers, out of Debian's packages: each has
# the verdict and the type that t/data/corpora.tsv says, within two seconds
# and 256 MB; the decoder neither dies nor leaves anything.
#
# Where the libraries of Debian 13 answer otherwise, the table has theirs in two
# columns more.  CORPORA_RECORD=1 puts into it what is answered here, first on
# Debian 12, then on 13, to be read before it is committed; files that are not
# there stay in it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA;
use File::Find;
use File::Temp qw(tempdir);
use Inspect qw(answer);
use Job qw(job_program);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use constant LIMIT_MS => 2000;
use constant LIMIT_KB => 256 * 1024;

my %packages = (
    'gdk-pixbuf-tests' => qr/\.(?:png|gif|tga|rgba|ppm|pnm|jpe?g|ico|bmp|xpm
        |xbm|pixdata|tiff?|qtif|webp|avif|heic)$/x,
    'librsvg2-tests' => qr/\.(?:svg|svgz|jpg)$/,
    'golang-src' => qr{/image/.*testdata/.*\.(?:png|gif|jpe?g)$},
    'golang-github-rwcarlsen-goexif-dev' => qr/\.jpe?g$/i,
    'golang-github-gabriel-vasile-mimetype-dev' => qr{/testdata/},
    'clamav-testfiles' => qr{/clamav-testfiles/clam[^/]*$},
);

my $table = "$FindBin::Bin/data/corpora.tsv";
my $corpora = $ENV{MEDIA_CORPORA};
my $program = job_program();

plan(skip_all => 'MEDIA_CORPORA is not set: run by ./dev test')
    unless $corpora;
plan(skip_all => "$program is not built") unless -x $program;

my $dir = tempdir(CLEANUP => 1);
my $later = debian() > 12;
my %rows = recorded();
my %known = map { ($_->[2], [@$_ > 5 && $later ? @$_[5, 6] : @$_[3, 4]]) }
    values %rows;
my %seen;
my ($peak, $slowest) = (0, 0);

mkdir "$dir/tmp";

for my $package (sort keys %packages) {
    my @files = files_of($package);

    SKIP: {
        skip("$package is not there", 1) unless @files;

        my @results = inspected(@files);
        my (@wrong, @slow);

        is(scalar @results, @files, "$package: each of its files is answered");

        for my $i (0 .. $#results) {
            my ($file, $sum) = @{ $files[$i] };
            my $r = $results[$i];
            my $known = $known{$sum} // [];

            $seen{$sum} = 1;
            $slowest = $r->{ms} if $r->{ms} > $slowest;

            record($package, $file =~ s{^.*?/usr/}{/usr/}r, $sum,
                $r->{verdict}, $r->{type});

            push @slow, "$file: $r->{ms} ms" if $r->{ms} > LIMIT_MS;
            push @wrong, "$file: $r->{verdict} $r->{type} $r->{error}"
                if !$ENV{CORPORA_RECORD} && ($r->{verdict} eq 'failed'
                || (@$known && "@$known" ne "$r->{verdict} $r->{type}"));
        }

        is_deeply(\@wrong, [], "$package: as recorded");
        is_deeply(\@slow, [], "$package: none takes long");
    }
}

save() if $ENV{CORPORA_RECORD};

my @none = grep { !$seen{$_} } keys %known;

diag(sprintf '%d files, %d of the table are not there; %d ms, %d KB at most',
    scalar keys %seen, scalar @none, $slowest, $peak);

cmp_ok($peak, '>', 0, 'memory was measured');
cmp_ok($peak, '<', LIMIT_KB, 'memory');
is_deeply([ glob "$dir/tmp/*" ], [], 'nothing is left behind');

done_testing();


# a file by its sum, as versions of packages differ, and so do their paths

sub recorded {
    my %rows;

    open my $f, '<', $table or die "$table: $!\n";

    while (<$f>) {
        chomp;
        next if /^#/;

        my @row = split /\t/;

        $rows{"@row[0, 2]"} //= \@row;
    }

    return %rows;
}


sub record {
    my ($package, $path, $sum, @answer) = @_;
    my $row = $rows{"$package $sum"} //= [$package, $path, $sum, @answer];

    @$row[$later ? (5, 6) : (3, 4)] = @answer;
    $#$row = 4 if @$row > 5 && "@$row[5, 6]" eq "@$row[3, 4]";
}


sub save {
    open my $f, '>', $table or die "$table: $!\n";

    print $f join("\t", '# package', 'path', 'first digits of its SHA-256',
        'verdict', 'type', 'verdict', 'type on Debian 13'), "\n";
    print $f "$_\n" for sort map { join "\t", @$_ } values %rows;
    close $f or die "$table: $!\n";
}


sub debian {
    open my $f, '<', '/etc/os-release' or return 0;

    local $/;
    return <$f> =~ /^VERSION_ID="?(\d+)/m ? $1 : 1000;
}


sub files_of {
    my ($package) = @_;
    my @files;

    return unless -d "$corpora/$package";

    find({ no_chdir => 1, wanted => sub {
        return unless -f && !-l && /$packages{$package}/;

        push @files, [ $_, substr Digest::SHA->new(256)->addfile($_)
            ->hexdigest, 0, 16 ];
    } }, "$corpora/$package");

    return sort { $a->[0] cmp $b->[0] } @files;
}


# the decoder's answers, in their order; meanwhile its memory is looked at

sub inspected {
    my (@files) = @_;
    my @results;

    local $ENV{MEDIA_TMP_DIR} = "$dir/tmp";

    my $pid = open my $p, '-|', $program, 'inspect',
        map { ($_->[0], 'application/octet-stream', "$dir/preview") } @files
        or die "$program: $!\n";
    my $watch = open my $w, '-|';

    die "fork: $!\n" unless defined $watch;
    watch($pid) unless $watch;

    push @results, answer($_) while <$p>;
    close $p;

    my $kb = <$w> // 0;

    close $w;
    $peak = $kb if $kb > $peak;
    return @results;
}


# prints the most memory that a process below this one had

sub watch {
    my ($pid) = @_;
    my $most = 0;

    while (-d "/proc/$pid/fd" && opendir my $d, "/proc/$pid/fd") {
        for my $process (below($pid)) {
            open my $f, '<', "/proc/$process/status" or next;

            /^VmHWM:\s+(\d+)/ && $1 > $most && ($most = $1) while <$f>;
        }

        sleep 0.005;
    }

    print $most;
    close STDOUT;
    POSIX::_exit(0);
}


sub below {
    my ($pid) = @_;

    open my $f, '<', "/proc/$pid/task/$pid/children" or return;

    my @children = split ' ', <$f> // '';

    return @children, map { below($_) } @children;
}
