#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# What documents are is told by their parts: types, pages, titles, encodings,
# and a picture of the first page of a PDF.

use strict;
use warnings;

use lib 't/lib';

use Document;
use E2E qw(slurp);
use Job qw(job_or_skip);
use Rendition qw(sample);
use Test::More;

my $ooxml = 'application/vnd.openxmlformats-officedocument.';
my $word = 'application/vnd.ms-word.document.macroEnabled.main+xml';
my $macros = 'application/vnd.ms-word.document.macroenabled.12';
my $docx = "${ooxml}wordprocessingml.document";

job_or_skip();


# each: name, content, verdict, type, metadata

my @documents = (
    ['a letter', docx(), 'ok', $docx, { pages => 3, title => 'A letter' }],
    ['a table', xlsx(), 'ok', "${ooxml}spreadsheetml.sheet",
        { pages => 2, title => 'A table' }],
    ['a talk', pptx(), 'ok', "${ooxml}presentationml.presentation",
        { pages => 12, title => 'A talk' }],
    (map { ["OpenDocument $_", odf($_), 'ok',
        "application/vnd.oasis.opendocument.$_", { title => 'An open document',
            pages => $_ eq 'spreadsheet' ? 4 : 5 }] }
        qw(text spreadsheet presentation)),
    ['Word itself', slurp(sample('document-docx.plain')), 'ok', $docx,
        { pages => 1 }],
    ['Excel itself', slurp(sample('document-xlsx.plain')), 'ok',
        "${ooxml}spreadsheetml.sheet", { pages => 1 }],
    ['a template', docx(type => "${ooxml}wordprocessingml.template.main+xml"),
        'ok', "${ooxml}wordprocessingml.template",
        { pages => 3, title => 'A letter' }],

    ['macros by type', docx(type => $word), 'ok', $macros,
        { pages => 3, title => 'A letter' }],
    ['macros by name', docx(more => ['word/VBAPROJECT.bin', 'x']), 'ok',
        $macros, { pages => 3, title => 'A letter' }],
    ['macros by another part\'s type', docx(parts => { 'a.bin' =>
        'application/vnd.ms-office.vbaProject' }), 'ok', $macros,
        { pages => 3, title => 'A letter' }],
    ['macros behind a reference and a comment', docx(types =>
        "<Types><!-- $docx.main+xml --><Override PartName='/word/document.xml'"
        . " ContentType='application/vnd.ms-word.document.macro&#69;nabled."
        . "main+xml'/></Types>"), 'ok', $macros,
        { pages => 3, title => 'A letter' }],
    ['macros of OpenDocument', odf('text', more => ['Basic/a.xml', '<a/>']),
        'ok', 'application/zip', {}],
    ['two types', docx(parts => { 'xl/workbook.xml' =>
        "${ooxml}spreadsheetml.sheet.main+xml" }), 'corrupt',
        'application/zip', { inspection => 'corrupt' }],
    ['the types twice', docx(more => ['[content_types].xml', '<Types/>']),
        'corrupt', 'application/zip', { inspection => 'corrupt' }],
    ['types with a DTD', docx(types => "<!DOCTYPE Types [<!ENTITY a 'b'>]>"
        . "<Types/>"), 'corrupt', 'application/zip',
        { inspection => 'corrupt' }],
    ['an archive', zip('a', 'b'), 'ok', 'application/zip', {}],
    ['an archive with a password', zip('a', ['b' x 20, undef, undef, 1]),
        'encrypted', 'application/zip',
        { encrypted => JSON::PP::true }],
    ['Word with a password', encrypted(), 'encrypted', 'application/encrypted',
        { encrypted => JSON::PP::true }],

    ['a PDF', pdf_pages(3, title => '(A \(good\) title)', text => 1), 'ok',
        'application/pdf', { pages => 3, title => 'A (good) title' }],
    ['a title in UTF-16', pdf_pages(1, title =>
        '<FEFF00E9000700200026202E0041>'), 'ok', 'application/pdf',
        { pages => 1, title => "\x{e9} &A" }],
    ['a long title', pdf_pages(1, title => '(' . "\xe9" x 1000 . ')'), 'ok',
        'application/pdf', { pages => 1, title => "\x{e9}" x 127 }],
    ['10,000 pages', pdf_pages(10_000), 'ok', 'application/pdf',
        { pages => 10_000 }],
    ['10,001 pages', pdf_pages(10_001), 'refused', 'application/pdf',
        { pages => 10_001, inspection => 'refused' }],
    ['a PDF with a script', pdf_pages(1, catalog =>
        '/OpenAction << /S /JavaScript /JS (app.alert\(1\)) >>'), 'ok',
        'application/pdf', { pages => 1 }],
    ['a PDF with a password', protected(), 'encrypted', 'application/pdf',
        { encrypted => JSON::PP::true }],
    ['no pages', pdf_pages(0), 'corrupt', 'application/pdf',
        { inspection => 'corrupt' }],
    ['no PDF', "%PDF-1.7\n" . 'x' x 1000, 'corrupt', 'application/pdf',
        { inspection => 'corrupt' }],
    ['more bytes', pdf_pages(1) . 'x' x 5000, 'ok', 'application/pdf',
        { pages => 1 }],

    ['ASCII', "a line\n" x 9, 'ok', 'text/plain', { charset => 'us-ascii' }],
    ['UTF-8', "a \xe2\x82\xac\n" x 30_000, 'ok', 'text/plain',
        { charset => 'utf-8' }],
    ['ISO 8859-1', "caf\xe9 com leite\n" x 9, 'ok', 'text/plain',
        { charset => 'iso-8859-1' }],
    ['UTF-16', "\xff\xfea\0b\0\n\0", 'ok', 'text/plain',
        { charset => 'utf-16le' }],
    ['UTF-16BE', "\xfe\xff\0a\0b\0\n", 'ok', 'text/plain',
        { charset => 'utf-16be' }],
    ['a mailbox, or not', "From here on\na line\n", 'ok', 'text/plain',
        { charset => 'us-ascii' }],
    ['a certificate', "-----BEGIN CERTIFICATE-----\n" . "A" x 64 . "\n"
        . "-----END CERTIFICATE-----\n", 'ok', 'text/plain',
        { charset => 'us-ascii' }],
    ['CSV', "a,b,c\n1,2,3\n4,5,6\n", 'ok', 'text/csv',
        { charset => 'us-ascii' }],
    ['JSON', '{"a": [1, 2]}', 'ok', 'application/json',
        { charset => 'us-ascii' }],
    ['a vCard', "BEGIN:VCARD\nVERSION:3.0\nFN:A\nEND:VCARD\n", 'ok',
        'text/vcard', { charset => 'us-ascii' }],
    ['a page', '<html><script>1</script></html>', 'ok', 'text/html',
        { charset => 'us-ascii' }],
);

my @results = inspected(map { $_->[1] } @documents);

for my $i (0 .. $#documents) {
    my ($name, undef, $verdict, $type, $metadata) = @{ $documents[$i] };
    my $r = $results[$i];

    is("$r->{verdict} $r->{type}", "$verdict $type", $name)
        or diag $r->{error};
    is(delete $r->{metadata}{made_by} // '', $r->{made_by}, "$name: tools");
    is(scalar(grep { delete $r->{metadata}{$_} } qw(placeholder
        dominant_color)), $r->{size} ? 2 : 0, "$name: of its preview");
    is_deeply($r->{metadata}, $metadata, "$name: metadata")
        or diag explain $r->{metadata};
}

previews();
done_testing();


sub previews {
    my ($plain, $text, $large, $small, $turned, $second) = inspected(
        pdf_pages(1), pdf_pages(1, text => 1),
        pdf_pages(1, size => [1_000_000, 500_000]),
        pdf_pages(1, size => [50, 40]),
        pdf_pages(1, catalog => '/Unknown 1 ') =~ s{/MediaBox}{/Rotate 90 $&}r,
        pdf_pages(1, draw => ''));

    is(size($plain), '100x200', 'a page fits in the square');
    is(pixel($plain, 25, 150), 'red', 'what is drawn');
    is(pixel($plain, 75, 150), 'white', 'the background');
    is(pixel($plain, 25, 50), 'white', 'the background above');
    ok(dark($text) > dark($plain) + 100, 'text is drawn');
    is(size($large), '200x100', 'a large page');
    is(pixel($large, 50, 75), 'red', 'what is drawn on it');
    is(size($small), '50x40', 'a small page is not enlarged');
    is(size($turned), '200x100', 'a page that is turned');
    is(pixel($turned, 50, 25), 'red', 'what is drawn on it');
    is(pixel($second, 25, 150), 'white', 'an empty page');
    like($plain->{made_by},
        qr{^poppler/[\d.]+ cairo/[\d.]+ libMagickWand/[\d.-]+$},
        'what made it');
}


sub rows {
    my ($r) = @_;

    open my $p, '-|', 'convert', $r->{preview}, '-depth', 8, 'ppm:-'
        or die "convert: $!\n";
    binmode $p;
    local $/;

    my ($width, $height, $bytes) = <$p> =~ /^P6\s(\d+)\s(\d+)\s255\s(.*)/s
        or die "no picture\n";

    return ($width, $height, $bytes);
}


sub size {
    my ($width, $height) = rows(@_);

    return "${width}x$height";
}


sub pixel {
    my ($r, $x, $y) = @_;
    my ($width, undef, $bytes) = rows($r);
    my @c = unpack 'C3', substr $bytes, 3 * ($y * $width + $x), 3;

    return 'white' if !grep { $_ < 245 } @c;
    return $c[0] > 230 && $c[1] < 25 && $c[2] < 25 ? 'red' : "@c";
}


sub dark {
    my (undef, undef, $bytes) = rows(@_);

    return scalar grep { $_ < 100 } unpack 'C*', $bytes;
}


# RC4 with 40 bits and a password for the user that nobody knows

sub protected {
    my $encrypt = '/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 '
        . '/P -4 /O <' . '41' x 32 . '> /U <' . '42' x 32 . '> >>';

    return pdf_pages(1) =~ s{/Root 1 0 R}{$& $encrypt}r;
}


# MS-CFB: a header, a FAT, a directory with a stream EncryptedPackage

sub encrypted {
    my $end = 0xfffffffe;
    my $entry = sub {
        my ($name, $type, $child, $start, $size) = @_;
        my $utf16 = join '', map { "$_\0" } split //, $name;

        return pack 'a64vCCVVV a16Vx16VVx4', $utf16, 2 + length $utf16, $type,
            1, 0xffffffff, 0xffffffff, $child, '', 0, $start, $size;
    };

    return "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        . pack('x16vvvvvx6VVVVVVVVVV', 0x3e, 3, 0xfffe, 9, 6, 0, 1, 1, 0,
            0x1000, $end, 0, $end, 0, 0)
        . pack('V108', (0xffffffff) x 108)
        . pack('V128', 0xfffffffd, $end, (3 .. 9), $end,
            (0xffffffff) x 118)
        . $entry->('Root Entry', 5, 1, $end, 0)
        . $entry->('EncryptedPackage', 2, 0xffffffff, 2, 4096)
        . "\0" x 256 . 'x' x 4096;
}
