#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The location of conf/media.conf that has a picture for contacts without one:
# served first from S3, then from Redis, anew when it is purged, and the
# operator's own where there is none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Shipped;
use Test::More;
use Time::HiRes qw(sleep);

my $t = Shipped->new;
my $key = 'profile_pics/acme/5511987654321.jpg';
my $absent = 'profile_pics/acme/5511900000000.jpg';
my @token = (Authorization => 'Bearer ' . $t->token('acme'));
my @foreign = (Authorization => 'Bearer ' . $t->token('globex'));

$t->put($key, 'a face', 'image/jpeg');
$t->write_file('html/avatar.png', 'nobody');

$t->configure(authorised => 1, edit => sub {
    return if $_[0] ne 'media.conf';

    s{^    #(location ~ \^/media/.*?^    )#\}}{    $1\}}ms or die;
    s{^    #    (\w)}{        $1}mg;
    s{^    location /media/ }{    root $t->{dir}/html;\n\n$&}m;
});
$t->redis_start;
$t->start;

my $r = $t->get("/media/$key", @token);

is "$r->{status} $r->{headers}{'x-cache'} $r->{body}", '200 MISS a face',
    'a picture';
is $r->{headers}{'cache-control'}, 'private, max-age=300',
    'it may change: kept for five minutes';
ok $t->wait_entry($key), 'it is in Redis then';
$r = $t->get("/media/$key", @token);
is "$r->{status} $r->{headers}{'x-cache'} $r->{body}", '200 HIT a face',
    'and from there';

for my $case ([ 'a contact without one', $absent, @token ],
    [ 'the same again', $absent, @token ],
    [ 'another tenant', $key, @foreign ])
{
    my ($name, $wanted, @headers) = @$case;

    $r = $t->get("/media/$wanted", @headers);
    is "$r->{status} $r->{body}", '200 nobody', "$name: the operator's own";
    is $r->{headers}{'content-type'}, 'image/png', "$name: its type";
    is $t->request('HEAD', "/media/$wanted", @headers)->{status}, 200,
        "$name: HEAD";
}

is $t->get("/media/$key")->{status}, 401, 'nobody: no picture';
is $t->get('/media/chat/acme/1/x.jpg', @token)->{status}, 404,
    'no picture for other files';

# another picture under the same key, as the worker purges it

$t->put($key, 'another face', 'image/jpeg');
$t->redis('SET', 'media:purges', 'c' x 32 . "\n1 $key\n");
sleep 1;
$r = $t->get("/media/$key", @token);
is "$r->{status} $r->{headers}{'x-cache'} $r->{body}",
    '200 MISS another face', 'a new picture within a second';

$t->remove($key);
$t->redis('SET', 'media:purges', 'd' x 32 . "\n1 $key\n2 $key\n");
sleep 1;
$r = $t->get("/media/$key", @token);
is "$r->{status} $r->{body}", '200 nobody', 'removed: the own one again';

is $t->alarms, '', 'no alarms';

done_testing;
