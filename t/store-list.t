#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# media_store keeps hostile keys apart, inside of its directory, and lists
# them as S3 does: sorted by their bytes, by prefix, delimiter and page.

use strict;
use warnings;

use lib 't/lib';

use Store;
use Test::More;

my $s = Store->new()->start();

# the longest are as long as S3 allows
my @keys = ('a', 'a/b', 'a/', 'a/b/', 'a//b', 'a-b', 'a=', 'a=/b', 'a+',
    'a+b@c', '"q" \'s\'', 'per%2Fcent', 'per%cent', 'sp ace', '.hidden',
    '.tmp/x', 'dir/.x', 'x/..y', "\xc3\xa9t\xc3\xa9/\xe2\x82\xac", 'A', '&<>',
    "ctl\x01\x7f", "line\nend", 'k' x 80, 'k' x 81, 'k' x 80 . '/z',
    'k' x 80 . '-z', 'k' x 300 . '/' . 'm' x 300, '%', '=', '/', '//x',
    "\xc3\xa9" x 512, 'd/' x 40, 'b' x 1024);

# a directory for each two bytes, and for each: too slow for many lists
my @deep = ('d/' x 512, '/' x 1024);

sub sent_path { return '/bucket/' . Store::encode($_[0], '/') }

is $s->put('/bucket', '')->{status}, 200, 'bucket';

my (@bad, @wrong);

for my $key (@keys, @deep) {
    my $a = $s->put(sent_path($key), "body of $key");
    push @bad, "$a->{status} $key" if $a->{status} != 200;
}

is "@bad", '', 'every key is taken';

for my $key (@keys, @deep) {
    my $a = $s->get(sent_path($key));
    push @wrong, $key if $a->{body} ne "body of $key";
}

is "@wrong", '', 'every key is its own object';

is $s->get("/bucket/$_")->{status}, 400, "refused: $_"
    for 'a%00b', 'a%FFb', 'a%zz', '../../nginx.conf';
is $s->get('/bucket/x/../../secret')->{code}, 'NoSuchKey', 'dots are a key';

my %entry = map { m{([^/]+)/?$} ? ($1 => 1) : () } glob "$s->{dir}/*";
is join(' ', sort keys %entry), 'data logs nginx.conf nginx.pid secret temp',
    'nothing outside of the directory';

is $s->del(sent_path($_))->{status}, 204, 'deep key deleted' for @deep;

# a list, with all its pages, against the same list made here

sub decode { my $t = shift; $t =~ s/%(..)/chr hex $1/ge; return $t }

sub listed {
    my ($v, %arg) = @_;
    my (@keys, @groups, $next);
    my $after = $v == 2 ? 'continuation-token' : 'marker';

    for (1 .. 2000) {
        my %q = (%arg, 'encoding-type' => 'url');
        $q{'list-type'} = 2 if $v == 2;
        $q{$after} = $next if defined $next;
        my $a = $s->get('/bucket', query => join '&', map { "$_="
            . Store::encode($q{$_}) } sort keys %q);
        return "status $a->{status}" if $a->{status} != 200;

        push @keys, map { decode($_) } $a->{body} =~ m{<Key>(.*?)</Key>}g;
        push @groups, map { decode($_) }
            $a->{body} =~ m{<CommonPrefixes><Prefix>(.*?)</Prefix>}g;

        last if $a->{body} !~ m{<IsTruncated>true};
        ($next) = $a->{body} =~
            m{<Next(?:ContinuationToken|Marker)>(.*?)</Next};
        $next = decode($next);
    }

    return join "\0", @keys, '', @groups;
}

sub expected {
    my (%arg) = @_;
    my ($prefix, $delimiter) = map { $_ // '' } @arg{qw(prefix delimiter)};
    my (@found, @groups, %seen);

    for my $key (sort @keys) {
        next if substr($key, 0, length $prefix) ne $prefix;
        next if defined $arg{'start-after'} && $key le $arg{'start-after'};
        my $at = length $delimiter
            ? index $key, $delimiter, length $prefix : -1;

        if ($at < 0) {
            push @found, $key;
            next;
        }

        my $group = substr $key, 0, $at + length $delimiter;
        push @groups, $group unless $seen{$group}++;
    }

    return join "\0", @found, '', @groups;
}

for my $arg ({}, { delimiter => '/' }, { prefix => 'a' },
    { prefix => 'a/' }, { prefix => 'a/', delimiter => '/' },
    { prefix => 'a', delimiter => '/' }, { prefix => 'k' x 80 },
    { prefix => 'k' x 200 }, { prefix => 'k' x 80 . '/' },
    { prefix => 'k' x 81, delimiter => 'm' }, { delimiter => 'b' },
    { delimiter => '//' }, { prefix => 'd/' x 30, delimiter => '/' },
    { prefix => "\xc3\xa9" }, { prefix => 'none' }, { prefix => '/' })
{
    my $name = join ' ', map { "$_=" . substr $arg->{$_}, 0, 12 }
        sort keys %$arg;

    for my $max (1, 3, 1000) {
        is listed($_, %$arg, 'max-keys' => $max), expected(%$arg),
            "list v$_ max $max $name" for 1, 2;
    }
}

is listed(2, 'start-after' => $_), expected('start-after' => $_),
    'start-after ' . substr $_, 0, 12 for 'a', 'a/b', 'k' x 80, 'zz';
like $s->get('/bucket', query => 'list-type=2&max-keys=0')->{body},
    qr{<KeyCount>0<.*<IsTruncated>false<}, 'max-keys=0';
is $s->get('/bucket', query => "list-type=2&$_")->{code}, 'InvalidArgument',
    $_ for 'max-keys=x', 'continuation-token=zz', 'encoding-type=x';

# more keys in one directory than one look at it keeps

for my $dir ('many', 'other') {
    mkdir "$s->{dir}/data/$dir";
}

is $s->put('/other', '')->{status}, 409, 'a directory is a bucket';
is $s->put('/other/0', 'x')->{status}, 200, 'one object';
link "$s->{dir}/data/other/0", "$s->{dir}/data/many/$_" or die $!
    for 10000 .. 15999;

my ($token, $n, $order) = ('', 0, '');

while (1) {
    my $a = $s->get('/many', query => 'list-type=2' . ($token ?
        "&continuation-token=$token" : ''));
    my @page = $a->{body} =~ m{<Key>(.*?)</Key>}g;
    $order = 'broken' if @page && $page[0] ne 10000 + $n;
    $n += @page;
    ($token) = $a->{body} =~ m{<NextContinuationToken>(.*?)<} or last;
}

is "$n$order", 6000, '6000 keys in pages';

unlink glob "$s->{dir}/data/many/*";

is $s->del(sent_path($_))->{status}, 204, 'delete ' . substr $_, 0, 12
    for @keys;
is $s->del('/bucket')->{status}, 204, 'no directory is left in the bucket';
is $s->complaints(), '', 'no alert';

done_testing();
