package Prometheus;

# Copyright (C) ngx_media contributors
#
# A strict reader of Prometheus' text format, version 0.0.4: what promtool
# would complain about is fatal.

use strict;
use warnings;

my $name = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"/;
my $number = qr/[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf|NaN)/;

# the value of each series by its text, 'name{label="value"}'

sub read_text {
    my ($text) = @_;

    my (%type, %value, %done, $family, $help);

    die "no line feed at the end\n" unless $text =~ /\n\z/;

    for my $line (split /\n/, $text) {
        if ($line =~ /^# HELP ($name) \S.*$/) {
            die "$help without a type\n" if defined $help;
            $help = $1;
            die "$help twice\n" if $done{$help}++;
            next;
        }

        if ($line =~ /^# TYPE ($name) (counter|gauge|histogram)$/) {
            my $kind = $2;
            $family = $1;
            die "$family: type without help\n"
                unless ($help // '') eq $family;
            $help = undef;
            $type{$family} = $kind;
            die "$family: a counter ends in _total\n"
                if ($kind eq 'counter') != ($family =~ /_total$/ ? 1 : 0);
            next;
        }

        my ($series, $labels, $value) =
            $line =~ /^($name)(\{$label(?:,$label)*\})? ($number)$/
            or die "malformed: $line\n";

        my $suffix = ($type{$family // ''} // '') eq 'histogram'
            ? qr/_(?:bucket|sum|count)/ : qr//;
        die "$series is not of its family\n"
            unless defined $family && $series =~ /^\Q$family\E$suffix$/;
        $series .= $labels // '';
        die "$series twice\n" if exists $value{$series};
        die "$line: negative\n" if $value < 0;

        $value{$series} = $value;
    }

    check_histogram($_, \%value)
        for grep { $type{$_} eq 'histogram' } keys %type;

    return \%value;
}

sub check_histogram {
    my ($family, $value) = @_;

    my %bucket;

    for (keys %$value) {
        $bucket{$1}{$2} = $value->{$_}
            if /^\Q$family\E_bucket\{(.*?),?le="([^"]+)"\}$/;
    }

    die "$family: no buckets\n" unless %bucket;

    for my $labels (keys %bucket) {
        my $last = 0;
        my $of = $bucket{$labels};

        for my $le (sort { $a <=> $b } keys %$of) {
            die "$family: not cumulative at $le\n" if $of->{$le} < $last;
            $last = $of->{$le};
        }

        my $count = $value->{$labels eq '' ? "${family}_count"
            : "${family}_count{$labels}"};

        die "$family: +Inf is not the count\n"
            unless ($of->{'+Inf'} // -1) == ($count // -2);
        die "$family: no sum\n"
            unless exists $value->{$labels eq '' ? "${family}_sum"
                : "${family}_sum{$labels}"};
    }
}

1;
