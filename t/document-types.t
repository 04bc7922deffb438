#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# docs/types.md has what becomes of each pair of a declared type and the type
# of the content, as the worker decides it.

use strict;
use warnings;

use lib 't/lib';

use Job qw(job_or_skip run_program);
use Rendition qw(save);
use Test::More;

my $ooxml = 'application/vnd.openxmlformats-officedocument.';
my $odf = 'application/vnd.oasis.opendocument.';

# what is declared, and what a content can be found to be
my @types = (
    (map { "application/$_" } qw(encrypted json msword octet-stream pdf was
        vnd.ms-excel vnd.ms-powerpoint x-ndjson x-empty zip cdfv2 x-dosexec
        vnd.ms-excel.sheet.macroenabled.12
        vnd.ms-powerpoint.presentation.macroenabled.12
        vnd.ms-word.document.macroenabled.12)),
    (map { "$odf$_" } qw(presentation spreadsheet text)),
    (map { "$ooxml$_" } qw(presentationml.presentation spreadsheetml.sheet
        wordprocessingml.document)),
    (map { "audio/$_" } qw(3gpp aac amr mp4 mpeg ogg wav webm)),
    (map { "image/$_" } qw(gif heic jpeg png svg+xml webp)),
    'message/rfc822',
    (map { "text/$_" } qw(calendar csv html plain vcard x-c xml)),
    (map { "video/$_" } qw(3gpp mp4 ogg quicktime webm x-msvideo)),
);
my @categories = qw(other image audio document video sticker profile_pic);

job_or_skip();

my ($documented, $other) = documented();
my %stored = decided();

# a sticker is what its content is

for my $pair (['image/webp', 'application/was'],
    ['application/was', 'image/webp'])
{
    my ($declared, $content) = @$pair;

    is($stored{sticker}{$declared}{$content}, $content,
        "a sticker declared $declared may be $content, and is stored so");
    $stored{sticker}{$declared}{$content} = '';
}

cmp_ok(scalar(map { @$_ } values %$documented), '>', 100,
    'the table was read');
is_deeply([sort keys %$documented], [sort @types],
    'the table has all types');

for my $declared (@types) {
    my %by = map { my $category = $_; ($category,
        [grep { $stored{$category}{$declared}{$_} ne '' } @types]) }
        @categories;
    my $always = $by{image};
    my %always = map { ($_, 1) } @$always;

    is_deeply($by{$_}, $always, "$_ declared $declared as any other")
        for grep { $_ ne 'document' } @categories;
    is_deeply([sort @$always], [sort @{ $documented->{$declared} }],
        "what may be declared $declared")
        or diag "| `$declared` | ", join(', ', map { "`$_`" } sort @$always);
    is_deeply([sort grep { !$always{$_} } @{ $by{document} }],
        [sort @{ $other->{$declared} }],
        "what a document may be declared, $declared")
        or diag "| `$declared` | ", join(', ', map { "`$_`" }
            sort grep { !$always{$_} } @{ $by{document} });

    for my $category (@categories) {
        my %kept = map { ($stored{$category}{$declared}{$_}, 1) }
            @{ $by{$category} };

        next if $declared eq 'application/octet-stream';
        is_deeply([keys %kept], [$declared],
            "$category is stored as $declared");
    }
}

is_deeply($stored{$_}{'application/octet-stream'},
    { map { ($_, $_) } @types }, "$_ of no declared type is its content's")
    for @categories;

done_testing();


sub decided {
    my @pairs = map { my $c = $_; map { my $d = $_; map { [$c, $d, $_] }
        @types } @types } @categories;
    my $file = save('pairs', map { join("\t", @$_) . "\n" } @pairs);
    my @result = split /\n/, run_program('types', $file), -1;
    my %d;

    is(scalar @result, @pairs + 1, 'all were decided');
    $d{ $_->[0] }{ $_->[1] }{ $_->[2] } = shift @result for @pairs;
    return %d;
}


# | declared | content | content of a document |

sub documented {
    my (%always, %document);

    open my $f, '<', 'docs/types.md' or die "docs/types.md: $!\n";

    while (<$f>) {
        next unless /^\| `([^`]+)` \|([^|]*)\|([^|]*)\|$/;

        my ($declared, $always, $document) = ($1, $2, $3);

        $always{$declared} = [$always =~ /`([^`]+)`/g];
        $always{$declared} = [@types] if $always =~ /any/;
        $document{$declared} = [$document =~ /`([^`]+)`/g];
    }

    return (\%always, \%document);
}
