#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Chromium plays and seeks sound and film from each tier of the shipped
# configuration, in a page of another site.

use strict;
use warnings;

use lib 't/lib';

use Browser;
use Cwd qw(getcwd);
use Mp4;
use Shipped;
use Test::More;

my $root = getcwd() . '/t';
my $t = Shipped->new;
my $browser = Browser->new;
my $home = Cache::free_port();
my $clip = $t->read_file("$root/data/media/clip.mp4");
my $prefix = 'chat/acme/2026/11';

# the index at the end, as cameras write it; and the frames 64 KiB apart, so
# that a place in the film is another place in the file

my %file = (
    'voice.ogg' => $t->read_file("$root/data/media/voice.ogg"),
    'clip.mp4' => $clip,
    'late.mp4' => Mp4::spread($clip, last => 1),
    'large.mp4' => Mp4::spread($clip, gap => 65536),
    'large-late.mp4' => Mp4::spread($clip, gap => 65536, last => 1),
);
my %duration = ('voice.ogg' => 12, map { $_ => 8 } grep { /mp4/ } keys %file);

note $browser->version;

$t->write_file('page/player.html', $t->read_file("$root/js/player.html"));
$t->put("$prefix/$_", $file{$_}, /ogg/ ? 'audio/ogg; codecs=opus'
    : 'video/mp4') for keys %file;
$t->redis_start;
$t->configure(http => page_server($home));
$t->start;

is $browser->tell('open', "http://localhost:$home/player.html"), 'player',
    'the page with the player';

$t->in_tiers({ map { ("$prefix/$_" => $file{$_}) } keys %file }, sub {
    my ($tier) = @_;
    my @names = sort keys %file;
    my $results = $browser->tell('call', 'playAll', [map {
        [/ogg/ ? 'audio' : 'video', "http://127.0.0.1:$t->{port}"
            . $t->signed("$prefix/$_", 600) . "&$tier"]
    } @names]);
    my %requests = map { $_ => [] } @names;

    for my $r ($t->requests) {
        push @{$requests{$1}}, $r if $r->{path} =~ m{/([^/]+)$};
    }

    played($tier, $names[$_], $results->[$_], @{$requests{$names[$_]}})
        for 0 .. $#names;

    is scalar $t->s3_requests(qr/./), 0, "$tier: no request to S3"
        if $tier ne 's3';
});

is $t->alarms, '', 'no alert';
undef $browser;
ok $t->stop, 'nginx ends';
done_testing();


sub page_server {
    my ($port) = @_;
    my $dir = $t->dir;

    return <<"END";
    server {
        listen 127.0.0.1:$port;
        root $dir/page;
        access_log $dir/logs/page.log requests;
    }
END
}


sub played {
    my ($tier, $name, $result, @requests) = @_;
    my $what = "$tier: $name";
    my $large = length $file{$name} > 1048576;

    is $result->{error}, undef, "$what: plays";
    cmp_ok abs(($result->{duration} // 0) - $duration{$name}), '<', 0.1,
        "$what: duration";
    is $result->{seeked}, 3, "$what: seeks to the middle, back, to the end";
    ok $result->{ended}, "$what: is played to the end";
    is $result->{width}, 160, "$what: has a picture" if $name =~ /mp4/;

    is join(' ', grep { $_ != 206 } map { $_->{status} } @requests), '',
        "$what: nothing but 206";
    my $wanted = $tier eq 's3' ? 'MISS s3' : $large ? 'HIT disk' : "HIT $tier";
    my @other = grep { $_ ne $wanted } map { "$_->{cache} $_->{tier}" }
        @requests;

    # the slices that one range has fetched are there for the next

    @other = grep { $_ ne 'HIT disk' } @other if $tier eq 's3' && $large
        && @other < @requests;
    is "@other", '', "$what: $wanted";
    ok scalar(grep { $_->{range} eq 'bytes=0-' } @requests),
        "$what: asks for all";

    my %start = map { $_->{range} =~ /^bytes=(\d+)/ ? ($1 => 1) : () }
        @requests;

    cmp_ok scalar keys %start, '>=', $large ? 3 : 1,
        "$what: asks for other places";
}
