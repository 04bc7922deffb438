#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Documents that are uploaded: what is stored with them, and which are not
# stored.

use strict;
use warnings;

use lib 't/lib';

use Document;
use Job;
use Store;
use Test::More;
use Upload;

my $ooxml = 'application/vnd.openxmlformats-officedocument.';
my $docx = "${ooxml}wordprocessingml.document";

job_or_skip();

my $i = instance(tenant(), 'evolution');


# each: name, content, declared type, type, metadata, whether there is a
# thumbnail

my @stored = (
    ['a PDF', pdf_pages(2, title => '(Relat\363rio)'), 'application/pdf',
        'application/pdf', { pages => 2, title => "Relat\x{f3}rio" }, 1],
    ['a PDF with more pages', pdf_pages(10_001), 'application/pdf',
        'application/pdf', { pages => 10_001, inspection => 'refused' }],
    ['a damaged PDF', "%PDF-1.7\n" . 'x' x 99, 'application/pdf',
        'application/pdf', { inspection => 'corrupt' }],
    ['a letter', docx(), $docx, $docx, { pages => 3, title => 'A letter' }],
    ['a table of no type', xlsx(), 'application/octet-stream',
        "${ooxml}spreadsheetml.sheet", { pages => 2, title => 'A table' }],
    ['text', "caf\xc3\xa9\n", 'text/plain', 'text/plain',
        { charset => 'utf-8' }],
    ['CSV', "a;b\n1;2\n", 'text/csv', 'text/csv', { charset => 'us-ascii' }],
);

for my $case (@stored) {
    my ($name, $bytes, $declared, $type, $metadata, $thumbnail) = @$case;
    my ($c) = upload($i, $bytes, kind => 'document', file_type => $declared);
    my $row = job_row($c->{attachment_id});

    is($row->{status}, 'completed', "$name is stored")
        or diag $row->{error_message};
    is($row->{file_type}, $type, "$name: type");
    is($row->{metadata}{$_}, $metadata->{$_}, "$name: $_")
        for qw(pages title charset inspection);
    is(($row->{thumbnail_url} // '') ne '', !!$thumbnail, "$name: thumbnail");
}


# each: name, content, declared type, the reason

my @refused = (
    ['a bomb', docx(more => ['a', ['x', 3_900_000_000]]), $docx,
        qr{^the archive expands to 3719 MiB; at most 256 are taken$}],
    ['a PDF that is one', pdf_pages(1) . "9 0 obj\n" . pdf_stream('x',
        '/Type /ObjStm /Filter [/FlateDecode /FlateDecode]'),
        'application/pdf', qr{^its objects are compressed twice$}],
    ['a letter with macros', docx(more => ['word/vbaProject.bin', 'x']),
        $docx, qr{^declared \S+, content is application/vnd\.ms-word\.}],
    ['the same of no type', docx(more => ['word/vbaProject.bin', 'x']),
        'application/octet-stream', qr{not allowed}],
    ['a letter behind something else', 'xxxx' . docx(), $docx,
        qr{^declared \S+, content is }],
    ['a table as a letter', xlsx(), $docx,
        qr{content is application/vnd\.\S+sheet$}],
    ['a page as a table', '<html><script>1</script>', 'text/csv',
        qr{content is text/html$}],
);

for my $case (@refused) {
    my ($name, $bytes, $declared, $reason) = @$case;
    my ($c) = upload($i, $bytes, kind => 'document', file_type => $declared);
    my $row = job_row($c->{attachment_id});

    is($row->{status}, 'failed', "$name is not stored");
    like($row->{error_message}, $reason, "$name: why");
    ok(!exists_key($c->{file_key}), "$name: there is no object");
}

done_testing();
