#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The command tables of the module and of the worker, their references and the
# README name the same directives and settings with the same defaults.

use strict;
use warnings;

use FindBin;
use Test::More;

my $root = "$FindBin::Bin/..";

my %source = directives_of_source();
my %reference = directives_of_reference();
my %readme = directives_of_readme();

cmp_ok(scalar keys %source, '>', 20, 'the command table was read');

is_deeply([sort keys %reference], [sort keys %source],
    'docs/directives.md has the directives of the module');
is_deeply([sort keys %readme], [sort keys %source],
    'README.md has the directives of the module');
is_deeply([reference_order()], [sort keys %reference],
    'docs/directives.md is in alphabetical order');

for my $name (sort keys %source) {
    my $value = $reference{$name}{default} // '';

    is($readme{$name}, $value, "default of $name in README.md");

    next unless defined $source{$name};

    is(number($value, $source{$name}{unit}), $source{$name}{value},
        "default of $name in docs/directives.md");
}

my %worker = settings_of_source();
my %settings = table_of('docs/worker.md', qr/[A-Z][A-Z0-9_]+/);

cmp_ok(scalar keys %worker, '>', 20, 'the settings of the worker were read');
is_deeply(\%settings, \%worker,
    'docs/worker.md has the settings of the worker');

cmp_ok(scalar(() = slurp('README.md') =~ /\n/g), '<=', 150,
    'README.md has 150 lines at the most');

done_testing();


sub slurp {
    my ($name) = @_;

    open my $f, '<', "$root/$name" or die "$name: $!\n";
    local $/;
    return scalar <$f>;
}


# names, and the defaults that the merging macros give to their fields

sub directives_of_source {
    my ($text, %d, %field, %define, %default);

    for my $file (glob "$root/ngx_media_module/*.[ch]") {
        $text .= slurp("ngx_media_module/" . ($file =~ s!.*/!!r));
    }

    $text =~ s/\\\n/\n/g;
    $text =~ s!/\*.*?\*/!!gs;
    $define{$1} = $2 while $text =~ /^#define (NGX_\w+)\s+\(?([^\n)]+)/mg;

    while ($text =~ /\{ ngx_string\("(media_\w+)"\),\s*NGX_(.*?) \},/sg) {
        $d{$1} = undef;
        next if $2 =~ /ngx_conf_set_enum_slot/;
        $field{$1} = $2 if "$1 $2" =~ /^(\w+) .*_conf_t,\s*([\w.]+)\)/s;
    }

    while ($text =~ /_(WEBHOOK|UPLOAD)_(?:MAIN|LOC)\("(media_\w+)",
        (?:\s*NGX_CONF_\w+,)?\s*\w+,\s([\w.]+)\)/xg)
    {
        $d{$2} = undef;
        $field{$2} = lc($1) . ".$3";
    }

    $d{$1} = undef while $text =~ /_UPLOAD_API\("(media_\w+)"/g;

    while ($text =~ /ngx_conf_(?:merge|init)_(?!ptr)(\w*?)_?value\(
        \w+->([\w.]+|peer\.\w+)[^;]*?,\s*([^,;]+)\);/xg)
    {
        my ($unit, $name, $value) = ($1, $2, $3);

        $name =~ s/^\w+->//;
        $value = $define{$value} while exists $define{$value};
        $value =~ s/\s*\).*//;
        $default{$name} = { unit => $unit, value => $value };
    }

    for my $name (keys %field) {
        my ($match) = grep { $field{$name} =~ /(?:^|\.)\Q$_\E$/ }
            sort { length $b <=> length $a } keys %default;

        next unless $match && $default{$match}{value} !~ /policy/;

        my $value = $default{$match}{value};

        $value = $1 if $value =~ /^"(.*)"$/;
        $value = eval $value if $value =~ /^[\d *]+$/;
        next if $value =~ /^NGX_/;
        $d{$name} = { unit => $default{$match}{unit}, value => $value };
    }

    return %d;
}


# the written default as the number that nginx makes of it

sub number {
    my ($value, $unit) = @_;
    my %size = (k => 1024, m => 1048576, g => 1073741824);
    my %msec = (ms => 1, s => 1000, m => 60000);
    my %sec = (s => 1, m => 60, h => 3600, d => 86400);

    return $value eq 'on' ? 1 : 0 if $unit eq '';
    return $1 * $size{$2} if $unit eq 'size' && $value =~ /^(\d+)([kmg])$/;
    return $1 * $msec{$2} if $unit eq 'msec' && $value =~ /^(\d+)(ms|s|m)$/;
    return $1 * $sec{$2} if $unit eq 'sec' && $value =~ /^(\d+)([smhd])$/;
    return $value;
}


sub directives_of_reference {
    my %d;

    for my $entry (split /^### /m, slurp('docs/directives.md')) {
        next unless $entry =~ /^(media_\w+)\n/;

        my $name = $1;

        $entry =~ /^ *Syntax:  $name(?: \S.*)?;\n/m or die "syntax of $name\n";
        $entry =~ /^ *Context: \S/m or die "context of $name\n";
        $entry =~ /^ *Default: (?:-|see below|$name (.*);)\n/m
            or die "default of $name\n";
        $d{$name} = { default => $1 // '' };
    }

    return %d;
}


sub reference_order {
    return slurp('docs/directives.md') =~ /^### (media_\w+)$/mg;
}


sub directives_of_readme { return table_of('README.md', qr/media_\w+/) }


sub table_of {
    my ($file, $name) = @_;

    return slurp($file) =~ /^\| `($name)` \| `?(.*?)`? \|/mg;
}


sub settings_of_source {
    return slurp('worker/conf.c')
        =~ /\{ "([A-Z0-9_]+)", &conf_\w+,\s*(?:0|at\(\w+\)),\s*"([^"]*)"/g;
}
