#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Documents that expand to too much are refused before they are read; what is
# cut or damaged is right or corrupt; the decoder answers each time.

use strict;
use warnings;

use lib 't/lib';

use Compress::Zlib qw(compress);
use Document;
use E2E qw(slurp);
use Job qw(job_or_skip job_program);
use List::Util qw(min);
use Rendition qw(sample);
use Sanitizer qw(sanitized);
use Test::More;

use constant { FLIPS => 100, QUICK => 50, SANITIZED => 5 };

job_or_skip();

my $quick = sanitized(job_program() =~ s{test/\w+$}{media-decode}r)
    ? SANITIZED * QUICK : QUICK;
my $zeros = compress("\0" x (40 * 1024 * 1024));
my $twice = compress($zeros);

# each: name, content, the reason

quick(
    ['an archive of 3.9 GB', docx(more =>
        ['a', ['x', 3_900_000_000]]),
        qr{^the archive expands to 3719 MiB; at most 256 are taken$}],
    ['archives of 1 GB in all', docx(more => [map { ("a$_",
        ['x', 100_000_000]) } 1 .. 10]), qr{expands to 953 MiB}],
    ['a small one of 40 MB', docx(more => ['a', "\0" x 40_000_000]),
        qr{expands to \d+ times its size; at most 200}],
    ['10,001 files', zip(map { ("a$_", '') } 1 .. 10_001),
        qr{has 10001 files; at most 10000}],
    ['objects of 40 MiB', pdf_pages(1) . "9 0 obj\n" . pdf_stream($zeros,
        '/Type /ObjStm /N 10 /First 50 /Filter /FlateDecode') . "\nendobj\n",
        qr{^its objects expand to more than 200 times their size$}],
    ['objects that are compressed twice', pdf_pages(1) . "9 0 obj\n"
        . pdf_stream($twice, '/Type /ObjStm /N 10 /First 50 /Filter '
            . '[/FlateDecode /FlateDecode]') . "\nendobj\n",
        qr{^its objects are compressed twice$}],
    ['such that are escaped', pdf_pages(1) . "9 0 obj\n" . pdf_stream($twice,
        '/Type /Obj#53tm /N 10 /#46irst 50 /Filter '
            . '[/Flate#44ecode /#46#6c]') . "\nendobj\n",
        qr{^its objects are compressed twice$}],
    ['objects of 40 MiB without a type', pdf_pages(1) . "9 0 obj\n"
        . pdf_stream($zeros, '/N 10 /First 50 /Filter /FlateDecode'
            . ' ' x 5000) . "\nendobj\n",
        qr{^its objects expand to more than 200 times their size$}],
    ['such behind a comment', pdf_pages(1) . "9 0 obj\n"
        . pdf_stream($zeros, "/N 10 /First 50 % stream\n/Filter /Fl")
        . "\nendobj\n",
        qr{^its objects expand to more than 200 times their size$}],
    ['cross-references of 40 MiB', "%PDF-1.5\n9 0 obj\n" . pdf_stream($zeros,
        '/Type /XRef /W [1 4 2] /Size 6000000 /Root 1 0 R /Filter '
            . '/FlateDecode') . "\nendobj\nstartxref\n9\n%%EOF\n",
        qr{^its objects expand to more than 200 times their size$}],
);

# each: name, content, verdict, the reason

my @slow = (
    ['contents of 40 MiB twice compressed', pdf_pages(1, draw => $twice,
        stream => '/Filter [/FlateDecode /FlateDecode]'),
        qr/^(?:ok|refused)$/],
    ['contents of 40 million commands', pdf_pages(1, draw => compress(
        'q Q ' x 20_000_000), stream => '/Filter /FlateDecode'), qr/^refused$/,
        qr{^it takes too much time or memory to be drawn$}],
    ['forms that draw each other', forms(12), qr/^refused$/,
        qr{^it takes too much time or memory to be drawn$}],
    ['a picture of 3 Gigapixels', picture(60_000), qr/^(?:ok|refused)$/],
    ['two thousand million pages', pdf_pages(1, count => 2_000_000_000),
        qr/^(?:ok|refused|corrupt)$/],
    ['pages within themselves', pdf_pages(1) =~ s{/Kids \[5}{/Kids [2}r,
        qr/^(?:ok|corrupt)$/],
    ['many brackets', pdf_pages(1, draw => '[' x 1_000_000), qr/^ok$/],
    ['a lie about sizes', docx(more => ['a', ['x' x 5000, 1, 4000]]),
        qr/^corrupt$/, qr{lies about its sizes}],
);

my @results = inspected(map { $_->[1] } @slow);

for my $i (0 .. $#slow) {
    my ($name, undef, $verdict, $error) = @{ $slow[$i] };
    my $r = $results[$i];

    like($r->{verdict}, $verdict, $name);
    like($r->{error}, $error, "$name: why") if $error;
    note("$name: $r->{verdict}, $r->{ms} ms");
}

is($results[2]{metadata}{pages}, 1, 'what was known before is answered');

damaged('a PDF', pdf_pages(3, title => '(A title)', text => 1),
    qr{^(?:application/pdf|application/octet-stream|text/\S+)$});
damaged('a PDF of a program', slurp(sample('document-pdf.plain')),
    qr{^(?:application/pdf|application/octet-stream|text/\S+)$});
damaged('a letter', slurp(sample('document-docx.plain')),
    qr{^application/(?:zip|octet-stream|vnd\.openxmlformats-\S+)$|^text/});
damaged('an open document', odf('text'), qr{^application/|^text/});

done_testing();


# the quickest of three times, as the machine may have other work

sub quick {
    my (@bombs) = @_;
    my @times;

    for (1 .. 3) {
        my (undef, @r) = inspected(pdf_pages(1), map { $_->[1] } @bombs);

        push @{ $times[$_] }, $r[$_] for 0 .. $#bombs;
    }

    for my $i (0 .. $#bombs) {
        my ($name, undef, $why) = @{ $bombs[$i] };
        my $ms = min map { $_->{ms} } @{ $times[$i] };

        is($times[$i][0]{verdict}, 'refused', $name);
        like($times[$i][0]{error}, $why, "$name: why");
        is($times[$i][0]{size}, 0, "$name: no preview");
        cmp_ok($ms, '<', $quick, "$name: $ms ms");
    }
}


# each form draws the next one ten times

sub forms {
    my ($depth) = @_;
    my $form = sub {
        my ($i) = @_;

        return pdf_stream($i == $depth ? '0 0 9 9 re f' : '/X Do ' x 10,
            '/Type /XObject /Subtype /Form /BBox [0 0 99 99] /Resources << '
            . '/XObject << /X ' . ($i + 5) . ' 0 R >> >>');
    };

    return pdf('', '<< /Type /Catalog /Pages 2 0 R >>',
        '<< /Type /Pages /Count 1 /Kids [3 0 R] /MediaBox [0 0 99 99] >>',
        '<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /XObject '
        . '<< /X 5 0 R >> >> >>', pdf_stream('/X Do'),
        map { $form->($_) } 1 .. $depth);
}


sub picture {
    my ($edge) = @_;

    return pdf('', '<< /Type /Catalog /Pages 2 0 R >>',
        '<< /Type /Pages /Count 1 /Kids [3 0 R] /MediaBox [0 0 99 99] >>',
        '<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /XObject '
        . '<< /X 5 0 R >> >> >>', pdf_stream('99 0 0 99 0 0 cm /X Do'),
        pdf_stream($zeros, "/Type /XObject /Subtype /Image /Width $edge "
            . "/Height $edge /ColorSpace /DeviceGray /BitsPerComponent 8 "
            . '/Filter /FlateDecode'));
}


sub damaged {
    my ($name, $good, $types) = @_;
    my $len = length $good;
    my (%seen, @bad);

    srand 5;

    my @variants = ((map { substr $good, 0, $_ } 0, 1, 7, 12,
        map { int $len * $_ / 100 } 25, 50, 99), map {
            my $bytes = $good;

            vec($bytes, int rand 8 * $len, 1) ^= 1;
            $bytes;
        } 1 .. FLIPS);
    my @all = inspected(@variants);

    is(scalar @all, @variants, "$name: all were answered");
    $seen{ $_->{verdict} }++ for @all;
    @bad = grep { $_->{verdict} eq 'failed' || $_->{type} !~ $types }
        @all[4 .. $#all];
    is(scalar @bad, 0, "$name: none failed, "
        . join ', ', map { "$seen{$_} $_" } sort keys %seen)
        or diag map { "$_->{type} $_->{verdict} $_->{error}\n" } @bad;
}
