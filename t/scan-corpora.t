#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# What becomes of the files of Debian's clamav-testfiles, of EICAR in archives,
# and of files beyond each of clamd's limits: as t/data/scan.tsv says, by a
# clamd with AlertExceedsMax and by one without it, whose OK is none.  What is
# infected is kept nowhere.  The files of the package are as infected without
# AlertExceedsMax, and scanned once.
#
# SCAN_RECORD=1 writes the table anew, to be read before it is committed.

use strict;
use warnings;

use lib 't/lib';

use Clamd;
use Document qw(zip docx);
use E2E qw(object_keys slurp sql);
use File::Basename;
use File::Temp qw(tempdir);
use Job;
use MIME::Base64;
use Test::More;
use Upload;

use constant MB => 1024 * 1024;

my $table = 't/data/scan.tsv';
my $corpus = ($ENV{MEDIA_CORPORA} // '') . '/clamav-testfiles';

job_or_skip();
plan(skip_all => 'clamd is not installed (clamav-daemon)')
    unless clamd_program();

my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $tmp = tempdir(CLEANUP => 1);
my %limits = (StreamMaxLength => '7M', MaxFileSize => '6M',
    MaxScanSize => '20M', MaxFiles => 1000);
my %known = $ENV{SCAN_RECORD} ? () : recorded();
my %made = made_files();
my @made = map { [ 'made', $_, $made{$_} ] } sort keys %made;
my %files = (yes => [ @made, packaged() ], no => \@made);

$ENV{MEDIA_TMP_DIR} = $tmp;

open my $record, '>', $ENV{SCAN_RECORD} ? $table : '/dev/null'
    or die "$table: $!\n";

print $record "# package, file, AlertExceedsMax, what becomes of it\n";

for my $mode (qw(yes no)) {
    my $clamd = clamd_start(%limits, AlertExceedsMax => $mode)
        or BAIL_OUT('clamd does not start');

    local $ENV{CLAMD_ADDRESS} = $clamd->{unix};

    scanned($mode);
    if ($mode eq 'yes') {
        kept();
        cut();
    }

    is(clamd_stop($clamd), 0, "AlertExceedsMax $mode: clamd ended");
}

close $record or die "$table: $!\n";
is_deeply([ glob "$tmp/*" ], [], 'nothing is left behind');

done_testing();


# by the mode, and by the name, as the bytes differ between Debian's versions

sub recorded {
    my %known;

    open my $f, '<', $table or die "$table: $!\n";

    while (<$f>) {
        chomp;
        my ($package, $name, $mode, $told) = split /\t/;

        $known{$mode}{$name} = $told if $told;
    }

    return %known;
}


sub packaged {
    my @paths = glob "$corpus/usr/share/clamav-testfiles/clam*";

    diag('SKIPPED: the package clamav-testfiles is not there') unless @paths;

    return map { [ 'clamav-testfiles', basename($_), slurp($_) ] } @paths;
}


sub made_files {
    my $zip = zip('eicar.com', eicar());
    my $deep = $zip;

    $deep = zip('a.zip', $deep) for 1 .. 20;

    return (
        'a text' => 'a text',
        'a docx' => docx(),
        'an archive' => zip('a.txt', 'a text'),
        'EICAR' => eicar(),
        'EICAR in an archive' => $zip,
        'EICAR as it is in an archive' => zip('mimetype', eicar()),
        'EICAR in an archive in an archive' => zip('a.zip', $zip),
        'EICAR in a docx' => docx(more => [ 'word/media/a.bin', eicar() ]),
        'EICAR behind a member beyond MaxFileSize' =>
            zip('a.txt', 'text ' x (7 * MB / 5), 'eicar.com', eicar()),
        'EICAR beyond StreamMaxLength' => 'text ' x (8 * MB / 5) . eicar(),
        'EICAR beyond MaxFileSize' => 'text ' x (6.5 * MB / 5) . eicar(),
        'EICAR in a member beyond MaxFileSize' =>
            zip('mimetype', 'text ' x (6.5 * MB / 5) . eicar()),
        'EICAR beyond MaxScanSize' => zip((map { ("$_.txt",
            "text $_ " x (5 * MB / 7)) } 1 .. 5), 'eicar.com', eicar()),
        'EICAR beyond MaxFiles' => zip((map { ("$_.txt", "text $_") }
            1 .. 1200), 'eicar.com', eicar()),
        'EICAR beyond MaxRecursion' => $deep,
    );
}


# each as it came with a webhook

sub scanned {
    my ($mode) = @_;
    my %before = map { $_ => 1 } object_keys('');
    my (@wrong, @infected);

    for my $file (@{ $files{$mode} }) {
        my ($package, $name, $bytes) = @$file;
        my ($id) = with_webhook($i, $bytes,
            type => 'application/octet-stream');

        run_job('download', $id);

        my $row = job_row($id);
        my $told = "$row->{status} $row->{error_message}";

        # the worker of the stack has no clamd
        sql("UPDATE media.message_attachments SET status = 'failed' WHERE "
            . "id = '$id'") if $row->{status} eq 'pending';

        print $record join("\t", $package, $name, $mode, $told), "\n";
        push @wrong, "$name: $told" if !$ENV{SCAN_RECORD}
            && $told ne ($known{$mode}{$name} // 'is not in the table');

        if ($row->{error_message} =~ /^the file contains a virus: /) {
            push @infected, $bytes;
            push @wrong, map { "$name: $_" } traces($id, $row);
        }
    }

    is_deeply(\@wrong, [], "AlertExceedsMax $mode: as recorded");
    cmp_ok(scalar @infected, '>', 4,
        "AlertExceedsMax $mode: some are infected");
    is_deeply([ grep { holds(object($_), @infected) }
        grep { !$before{$_} } object_keys('') ], [],
        "AlertExceedsMax $mode: no object has an infected file");
}


# what should not be so of an infected one

sub traces {
    my ($id, $row) = @_;
    my @events = events($id);
    my @hops = grep { $_->{stage} eq 'scan' } hops($id);
    my @wrong;

    push @wrong, 'an address' if "$row->{file_url}$row->{thumbnail_url}" ne '';
    push @wrong, 'events' if @events != 1
        || $events[0]{type} ne 'attachment_failed'
        || $events[0]{payload}{error} ne $row->{error_message};
    push @wrong, 'hops' if @hops != 1 || $hops[0]{outcome} ne 'failed'
        || $hops[0]{detail} ne $row->{error_message};

    return @wrong;
}


sub holds {
    my ($object, @files) = @_;

    return grep { index($object, $_) != -1
        || index($object, encode_base64($_, '')) != -1 } @files;
}


# the quarantine is all that has it, of a download and of an upload

sub kept {
    my $bytes = $made{'EICAR in an archive'};
    my %before = map { $_ => 1 } object_keys('');

    local $ENV{MEDIA_SCAN_INFECTED} = 'quarantine';

    my ($id) = with_webhook($i, $bytes);

    run_job('download', $id);

    my ($c, $result) = upload($i, $bytes, kind => 'document',
        file_type => 'application/zip');

    is(job_row($_)->{status}, 'failed', 'quarantine: failed')
        for $id, $c->{attachment_id};
    is_deeply([ sort grep { !$before{$_} && holds(object($_), $bytes) }
        object_keys('') ],
        [ sort map { "quarantine/$tenant/$_" } $id, $c->{attachment_id} ],
        'quarantine: there they are, and nowhere else');
}


# clamd 1.4 cuts a compressed member of a ZIP archive at MaxFileSize and says
# OK: MEDIA_MAX_EXPANSION of no more than that makes up for it

sub cut {
    local @ENV{qw(MEDIA_MAX_EXPANSION MEDIA_DOCUMENT_TYPES)} = ('6m',
        'application/zip');

    my ($id) = with_webhook($i, zip('a.txt', 'text ' x (7 * MB / 5)
        . join('', map { chr rand 256 } 1 .. MB) . eicar()),
        type => 'application/zip');

    run_job('download', $id);

    my $row = job_row($id);

    like($row->{error_message},
        qr/too large for the virus scanner|expands to 8 MiB; at most 6/,
        'a member that clamd cuts: not taken');
    is($row->{file_url}, '', 'a member that clamd cuts: not stored');
}
