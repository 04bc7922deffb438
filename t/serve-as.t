#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The M4A of a voice note, which conf/media.conf as shipped serves for ?as=m4a
# and for clients that accept nothing else: with ranges and from each cache,
# and to nobody but those who may have the original.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use E2E qw(wait_until);
use Shipped;
use Test::More;

my $t = Shipped->new;
my $folder = 'chat/acme/1';
my $key = "$folder/0a1b2c3d_note.ogg";
my $large = "$folder/1a1b2c3d_talk.ogg";
my $alone = "$folder/2a1b2c3d_old.ogg";
my $mp3 = "$folder/3a1b2c3d_song.mp3";
my $long = join '', map { chr($_ * 7 % 251) } 1 .. 2_500_000;
my @token = (Authorization => 'Bearer ' . $t->token('acme'));
my @foreign = (Authorization => 'Bearer ' . $t->token('globex'));

$t->put($key, 'the Ogg', 'audio/ogg; codecs=opus');
$t->put("${key}_m4a.m4a", 'the M4A, which is longer', 'audio/mp4');
$t->put($large, 'a long Ogg', 'audio/ogg');
$t->put("${large}_m4a.m4a", $long, 'audio/mp4');
$t->put($alone, 'an old Ogg', 'audio/ogg');
$t->put($mp3, 'an MP3', 'audio/mpeg');

$t->configure(authorised => 1);
$t->redis_start;
$t->start;

sub got {
    my ($path, @headers) = @_;
    my $r = $t->get($path, @headers);

    return join ' ', grep { defined } $r->{status},
        $r->{headers}{'content-type'}, $r->{headers}{vary},
        length $r->{body} < 100 ? $r->{body} : length $r->{body};
}


# each from S3, then out of Redis

my $ogg = '200 audio/ogg; codecs=opus Accept the Ogg';
my $m4a = '200 audio/mp4 Accept the M4A, which is longer';

for my $tier (qw(MISS HIT)) {
    is(got("/media/$key", @token), $ogg, "the original, $tier");
    is(got("/media/$key?as=m4a", @token), $m4a, "the M4A, $tier");

    for my $name ($key, "${key}_m4a.m4a") {
        ok($t->wait_entry($name), "$name is in Redis");
    }
}

is($t->get("/media/$key?as=m4a", @token)->{headers}{'x-cache'}, 'HIT',
    'and comes from there');
is($t->get("/media/${key}_m4a.m4a", @token)->{headers}{'x-cache'}, 'HIT',
    'as by its own key');

my $head = $t->request('HEAD', "/media/$key?as=m4a", @token);

is("$head->{status} $head->{headers}{'content-length'} "
    . $head->{headers}{'content-type'}, '200 24 audio/mp4', 'HEAD');
isnt($t->get("/media/$key", @token)->{headers}{etag}, $head->{headers}{etag},
    'it has an ETag of its own');

my $r = $t->get("/media/$key?as=m4a", @token,
    'If-None-Match' => $head->{headers}{etag});

is("$r->{status} $r->{headers}{vary}", '304 Accept', 'and is revalidated');
$r = $t->get("/media/$key?as=m4a", @token, Range => 'bytes=4-6');
is("$r->{status} $r->{headers}{'content-range'} $r->{body}",
    '206 bytes 4-6/24 M4A', 'a range of it');
is($t->get("/media/$key?as=m4a", @token, Range => 'bytes=24-')->{status}, 416,
    'none beyond its end');


# what is in slices

for my $n (1, 2) {
    $r = $t->get("/media/$large?as=m4a", @token);
    ok($r->{status} == 200 && $r->{body} eq $long, "2.5 MB in full, $n");

    $r = $t->get("/media/$large?as=m4a", @token,
        Range => 'bytes=1048000-1049000');
    is("$r->{status} $r->{headers}{'content-range'}",
        '206 bytes 1048000-1049000/2500000', "a range, $n");
    ok($r->{body} eq substr($long, 1048000, 1001), "its bytes, $n");

    $r = $t->get("/media/$large?as=m4a", @token,
        Range => 'bytes=0-9,2000000-2000009');
    is($r->{status}, 206, "two ranges, $n");
    ok(index($r->{body}, substr $long, 0, 10) > 0
        && index($r->{body}, substr $long, 2000000, 10) > 0,
        "the bytes of both, $n");
    is($t->get("/media/$large?as=m4a", @token, Range => 'bytes=2500000-')
        ->{status}, 416, "beyond the end, $n");
}

is(got("/media/$large", @token), '200 audio/ogg Accept a long Ogg',
    'the original is another object');


# who has asked

is(got("/media/$key", @token, Accept => $_->[0]), $_->[1], "Accept: $_->[0]")
    for (['audio/mp4', $m4a], ['audio/mp4,audio/aac;q=0.5', $m4a],
    ['audio/mp4, audio/ogg', $ogg], ['audio/mp4, */*;q=0.1', $ogg],
    ['audio/*', $ogg], ['*/*', $ogg], ['audio/mpeg', $ogg], ['', $ogg]);
is(got("/media/$key?as=", @token, Accept => 'audio/mp4'), $m4a,
    'an empty argument is none');
is(got("/media/$key?as=$_", @token), $ogg, "as $_: the original")
    for qw(ogg mp3 _m4a.m4a /../x m4a%20);
is(got("/media/$mp3", @token, Accept => 'audio/mp4'),
    '200 audio/mpeg an MP3', 'an MP3 is what it is');
is($t->get("/media/$mp3?as=m4a", @token)->{status}, 404, 'and has no M4A');
is($t->get("/media/$alone?as=m4a", @token)->{status}, 404,
    'an Ogg without one: 404');
is(got("/media/$alone", @token), '200 audio/ogg Accept an old Ogg',
    'the original stays');


# who may have the original

is($t->get("/media/$key?as=m4a")->{status}, 401, 'nobody: 401');
is($t->get("/media/$key?as=m4a", @foreign)->{status}, 404,
    'another tenant: 404');

my $signed = $t->signed($key, 60);

is(got($signed), $ogg, 'a signed URL');
is(got("$signed&as=m4a"), $m4a, 'with the argument after it');
is(got($signed =~ s/\?/?as=m4a&/r), $m4a, 'with the argument before');
is(got($signed, Accept => 'audio/mp4'), $m4a, 'by Accept');

$r = $t->get("$signed&as=m4a", Range => 'bytes=24-');
is($r->{status}, 416, 'beyond the end of what was signed');
is($t->get($signed =~ s/note\.ogg/note.ogg_m4a.m4a/r)->{status}, 403,
    'for that key, not for others');
is($t->get($t->signed($alone, 60) =~ s/2a1b2c3d_old/0a1b2c3d_note/r
    . '&as=m4a')->{status}, 403, 'nor is that of another object');
is($t->get($t->signed($key, -5) . '&as=m4a')->{status}, 403, 'nor an old one');
is(got($t->signed("${key}_m4a.m4a", 60)),
    '200 audio/mp4 the M4A, which is longer', 'one of its own');

is(got('/api/media/proxy/?url=' . Store::encode($t->url($key))
    . '&as=m4a', @token), '200 audio/mp4 the M4A, which is longer',
    'by the URL of older front ends');

# a purge of the original is one of its M4A, small or in slices

$t->redis('SET', 'media:purges', '1' x 32 . "\n");
$t->put("${key}_m4a.m4a", 'a new M4A', 'audio/mp4');
$t->put("${large}_m4a.m4a", scalar reverse($long), 'audio/mp4');
is(got("/media/$key?as=m4a", @token), $m4a, 'before the purge: the old one');
is($t->get("/media/$large?as=m4a", @token)->{body}, $long, 'of both');
$t->redis('APPEND', 'media:purges', "1 $key\n2 $large\n");
ok(wait_until(5, sub { got("/media/$key?as=m4a", @token)
    eq '200 audio/mp4 Accept a new M4A' }), 'after it: the new one');
ok(wait_until(5, sub { $t->get("/media/$large?as=m4a", @token)->{body}
    eq reverse $long }), 'of both');
is($t->get("/media/$key", @token)->{headers}{'x-cache'}, 'MISS',
    'the original was purged, too');

is($t->alarms, '', 'no alarms');

done_testing;
