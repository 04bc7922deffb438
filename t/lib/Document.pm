package Document;

# Copyright (C) ngx_media contributors

# Small documents for the tests: PDF by its objects, ZIP by its members.

use strict;
use warnings;

use Compress::Zlib qw(compress crc32);
use Exporter qw(import);
use Inspect;
use Rendition qw(save);

our @EXPORT = qw(pdf pdf_pages pdf_stream zip docx xlsx pptx odf inspected
    inspected_types);

my $ooxml = 'application/vnd.openxmlformats-officedocument.';


# a stream object, by its dictionary's other entries

sub pdf_stream {
    my ($data, $entries) = @_;

    return '<< ' . ($entries // '') . ' /Length ' . length($data)
        . " >>\nstream\n$data\nendstream";
}


# objects 1 .. n; the first one is the catalog

sub pdf {
    my ($trailer, @objects) = @_;
    my $text = "%PDF-1.5\n";
    my @offsets;

    for my $i (1 .. @objects) {
        push @offsets, length $text;
        $text .= "$i 0 obj\n$objects[$i - 1]\nendobj\n";
    }

    my $xref = length $text;

    $text .= sprintf "xref\n0 %d\n0000000000 65535 f \n", @objects + 1;
    $text .= sprintf "%010d 00000 n \n", $_ for @offsets;
    return $text . sprintf "trailer\n<< /Size %d /Root 1 0 R %s >>\n"
        . "startxref\n%d\n%%%%EOF\n", @objects + 1, $trailer, $xref;
}


# the first page has a red square in its lower left quarter and a line of
# text; the others are empty

sub pdf_pages {
    my ($n, %opt) = @_;
    my ($width, $height) = @{ $opt{size} // [400, 800] };
    my $draw = sprintf '1 0 0 rg 0 0 %.2f %.2f re f', $width / 2, $height / 2;

    $draw .= ' 0 g BT /F 40 Tf 20 600 Td (MMMMMMM) Tj ET' if $opt{text};
    $draw = $opt{draw} if defined $opt{draw};

    return pdf($opt{title} ? "/Info << /Title $opt{title} >>" : '',
        '<< /Type /Catalog /Pages 2 0 R ' . ($opt{catalog} // '') . '>>',
        '<< /Type /Pages /Count ' . ($opt{count} // $n)
        . " /MediaBox [0 0 $width $height] /Kids ["
        . join(' ', map { 4 + $_ . ' 0 R' } 1 .. $n) . '] >>',
        pdf_stream($draw, $opt{stream}),
        '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
        map { '<< /Type /Page /Parent 2 0 R'
            . ($_ == 1 ? ' /Contents 3 0 R /Resources '
                . '<< /Font << /F 4 0 R >> >>' : '') . ' >>' } 1 .. $n);
}


# pairs of name and content, or [content, size, compressed size, flags]: as
# the directory has them

sub zip {
    my (@members) = @_;
    my ($text, $directory) = ('', '');
    my $n = @members / 2;

    while (my ($name, $content) = splice @members, 0, 2) {
        ($content, my ($size, $packed, $flags)) = ref $content ? @$content
            : ($content);

        my $crc = crc32($content);
        my $deflated = substr compress($content), 2, -4;
        my $method = $name eq 'mimetype' ? 0 : 8;

        $deflated = $content if $method == 0;

        my $head = pack 'vvvVVVVvv', 20, $flags // 0, $method, 0x21 << 16,
            $crc, $packed // length $deflated, $size // length $content,
            length $name, 0;

        $directory .= pack('Vv', 0x02014b50, 20) . $head
            . pack('vvvVV', 0, 0, 0, 0, length $text) . $name;
        $text .= pack('V', 0x04034b50) . $head . $name . $deflated;
    }

    return $text . $directory . pack 'VvvvvVVv', 0x06054b50, 0, 0, $n, $n,
        length $directory, length $text, 0;
}


sub content_types {
    my (%type) = @_;

    return '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://'
        . 'schemas.openxmlformats.org/package/2006/content-types">'
        . '<Default Extension="xml" ContentType="application/xml"/>'
        . join('', map { qq(<Override PartName="/$_" )
            . qq(ContentType="$type{$_}"/>) } sort keys %type) . '</Types>';
}


sub properties {
    my ($title, $app) = @_;

    return ('docProps/core.xml', '<cp:coreProperties xmlns:cp="urn:cp" '
        . qq(xmlns:dc="urn:dc"><dc:title>$title</dc:title>)
        . '</cp:coreProperties>', 'docProps/app.xml',
        "<Properties>$app</Properties>");
}


# type: of the main part; more: members

sub docx {
    my (%opt) = @_;

    return zip('[Content_Types].xml', $opt{types} // content_types(
            'word/document.xml' => $opt{type}
                // "${ooxml}wordprocessingml.document.main+xml",
            %{ $opt{parts} // {} }),
        properties($opt{title} // 'A letter', '<Pages>3</Pages>'),
        'word/document.xml', '<w:document xmlns:w="urn:w"/>',
        @{ $opt{more} // [] });
}


sub xlsx {
    my (%opt) = @_;

    return zip('[Content_Types].xml', content_types(
            'xl/workbook.xml' => $opt{type}
                // "${ooxml}spreadsheetml.sheet.main+xml"),
        properties('A table', ''), 'xl/workbook.xml', '<workbook/>',
        (map { ("xl/worksheets/sheet$_.xml", '<worksheet/>') } 1, 2),
        @{ $opt{more} // [] });
}


sub pptx {
    my (%opt) = @_;

    return zip('[Content_Types].xml', content_types(
            'ppt/presentation.xml' => $opt{type}
                // "${ooxml}presentationml.presentation.main+xml"),
        properties('A talk', '<Slides>12</Slides>'), 'ppt/presentation.xml',
        '<p:presentation xmlns:p="urn:p"/>', @{ $opt{more} // [] });
}


sub odf {
    my ($type, %opt) = @_;

    return zip('mimetype', "application/vnd.oasis.opendocument.$type",
        'content.xml', '<content/>', 'meta.xml', '<o:document-meta '
        . 'xmlns:o="urn:o" xmlns:dc="urn:dc" xmlns:meta="urn:meta"><o:meta>'
        . '<dc:title>An open document</dc:title><meta:document-statistic '
        . 'meta:table-count="4" ' . ($type eq 'spreadsheet' ? ''
            : 'meta:page-count="5"') . '/></o:meta></o:document-meta>',
        @{ $opt{more} // [] });
}


# what the decoder says of files; preview is the name of a file

sub inspected {
    my (@documents) = @_;
    my @results = Inspect::inspected(map { save('doc', $_) } @documents);

    $_->{preview} = $_->{file} for @results;
    return @results;
}

1;
