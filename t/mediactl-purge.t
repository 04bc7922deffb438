#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# mediactl purge: keys, URLs, prefixes and tenants; what is none of these; and
# what it says when a server is away.

use strict;
use warnings;

use lib 't/lib';

use Cache;
use E2E qw(sql redis_cli wait_until unique_id get);
use Job qw(job_program);
use JSON::PP;
use Mediactl;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL REDIS_URL MEDIA_PUBLIC_URL));

my $tenant = 'purge-' . lc unique_id();
my $base = "chat/$tenant/1";

sub purge { return run('/dev/null', 'purge', @_) }

sub quoted { return "'" . $_[0] =~ s/'/''/gr . "'" }

# id of a target, or ''

sub id_of {
    my @rows = sql('SELECT id FROM media.purges WHERE target = '
        . quoted($_[0]));

    return @rows ? $rows[0][0] : '';
}

sub published {
    my ($id, $target) = @_;

    return redis_cli('--raw', 'GET', 'media:purges')
        =~ /^\Q$id $target\E$/m;
}

sub rows {
    return (sql('SELECT count(*) FROM media.purges'))[0][0];
}

# what is purged

my %target = (
    "$base/a.jpg" => "$base/a.jpg",
    "$base/a.jpg_thumb.jpg" => "$base/a.jpg_thumb.jpg",
    "$base/" => "$base/",
    "chat/$tenant/" => "chat/$tenant/",
    "$ENV{MEDIA_PUBLIC_URL}$base/b%20%22c%22%2B%25.jpg" =>
        "$base/b \"c\"+%.jpg",
    "$ENV{MEDIA_PUBLIC_URL}$base/s.jpg?expires=1&key_id=k&signature=x" =>
        "$base/s.jpg",
    "$base/\xc3\xa9'\\ %2F =&.jpg" => "$base/\xc3\xa9'\\ %2F =&.jpg",
    "uploads/$tenant/x" => "uploads/$tenant/x",
    "$tenant" . 'x' x (1024 - length $tenant) =>
        "$tenant" . 'x' x (1024 - length $tenant),
);

for my $object (sort keys %target) {
    my ($rc, $out, $err) = purge($object);
    my $target = $target{$object};
    my $id = id_of($target);
    my $name = substr $object, 0, 60;

    is $rc, 0, "$name: purged";
    is $out, "purge $id of $target published\n", 'the id is told';
    is $err, '', 'and nothing else';
    ok published($id, $target), 'nginx is told';

    ($rc, $out) = purge('--json', $object);

    my $json = decode_json($out);

    utf8::encode($_->{target}) for @{ $json->{purges} };
    is_deeply $json, { purges => [ { id => id_of($target),
        target => $target } ], published => JSON::PP::true }, 'as JSON';
    cmp_ok $json->{purges}[0]{id}, '>', $id, 'the second time: a new id';
}

my ($rc, $out, $err) = purge('--tenant', $tenant);

is $rc, 0, 'a tenant';
is $out, join('', map { "purge @{[ id_of($_) ]} of $_ published\n" }
    "chat/$tenant/", "profile_pics/$tenant/"), 'is two prefixes';

($rc, $out) = purge("$base/1", "$base/2", '--json');
is_deeply [ map { $_->{target} } @{ decode_json($out)->{purges} } ],
    [ "$base/1", "$base/2" ], 'several at once';

# what is not

my $before = rows();

for my $object ('', '/', '//', '/chat/a/', 'chat//a', 'chat//', 'chat/../a',
    'chat/./a/', '..', '../', "$base/a\nb", "$base/\x01/", "$base/\x7f\t",
    'x' x 1025, 'x' x 1024 . '/', 'https://other.example.com/media/chat/a/1',
    "$ENV{MEDIA_PUBLIC_URL}chat/%2e%2e/a", "$ENV{MEDIA_PUBLIC_URL}a%0ab",
    "$ENV{MEDIA_PUBLIC_URL}%zz", $ENV{MEDIA_PUBLIC_URL}, "$base/\xff")
{
    my $name = substr $object =~ s/[^ -~]/?/gr, 0, 60;

    ($rc, $out, $err) = purge('--', $object);
    is $rc, 1, "refused: $name";
    is $out, '', 'no id';
    like $err, qr/nothing is purged/, 'said so';
}

($rc, $out, $err) = purge("$base/good", 'chat//bad');
is $rc, 1, 'one of two is bad';
is id_of("$base/good"), '', 'the other is not purged';

for my $name ('', 'a/b', '..', 'a b', 'x' x 65) {
    ($rc, $out, $err) = purge('--tenant', $name);
    is $rc, 1, "no tenant: '$name'";
    like $err, qr/a tenant's id is .*nothing is purged/s, 'said so';
}

for my $args ([], ['--nonsense', 'a'], ['--tenant', 'a', 'b'], ['--tenant'],
    ['--tenant', 'a', '--tenant', 'b'], [ ('a') x 17 ])
{
    ($rc, $out, $err) = purge(@$args);
    is $rc, 2, "usage: @$args";
    is $out, '', 'no id';
    like $err, qr/usage: mediactl purge|requires an argument/, 'said so';
}

is rows(), $before, 'none of them has a row';

($rc, $out) = purge('--help');
is $rc, 0, '--help';
like $out, qr/deletes nothing in S3/, 'says what it does not do';

# a server is away

my $port = Cache::free_port();

{
    local $ENV{REDIS_URL} = "redis://:redis-secret\@127.0.0.1:$port/0";

    ($rc, $out, $err) = purge("$base/later");
    is $rc, 3, 'Redis away: exit code 3';
    is $out, 'purge ' . id_of("$base/later") . " of $base/later recorded\n",
        'the id is told';
    like $err, qr/recorded, and media-worker publishes it/, 'and what follows';

    ($rc, $out, $err) = purge("$base/later.json", '--json');
    is $rc, 3, 'the same as JSON';
    is decode_json($out)->{published}, JSON::PP::false, 'not published';
    unlike "$out$err", qr/redis-secret/, 'no password';
}

ok(wait_until(15, sub { published(id_of("$base/later"), "$base/later")
    && published(id_of("$base/later.json"), "$base/later.json") }),
    'media-worker has published them');

{
    local $ENV{DATABASE_URL}
        = "postgresql://u:db-secret\@127.0.0.1:$port/media";

    ($rc, $out, $err) = purge("$base/never");
    is $rc, 1, 'the database away: exit code 1';
    is $out, '', 'no id';
    like $err, qr/nothing is purged/, 'nothing is promised';
    unlike $err, qr/db-secret/, 'no password';
}

for my $name (qw(DATABASE_URL REDIS_URL)) {
    delete local $ENV{$name};

    ($rc, $out, $err) = purge("$base/never");
    is $rc, 1, "without $name";
    like $err, qr/$name is not set/, 'named';
}

is id_of("$base/never"), '', 'no row';

# what nginx serves then

sub put {
    my ($key, $content) = @_;

    open my $f, '>', "$dir/object" or die;
    print $f $content;
    close $f;
    system(job_program(), 'put', $key, "$dir/object", 'text/plain') == 0
        or die "put $key\n";
}

# what is got, from where

sub served {
    my ($key) = @_;
    my $url = "$ENV{MEDIA_PUBLIC_URL}$key";

    (undef, $url) = run('/dev/null', 'sign-url', $key)
        if $ENV{MEDIA_SIGN_KEY};
    chomp $url;

    my $r = get($url);

    return ($r->{content}, $r->{headers}{'x-cache'} // '');
}

SKIP: {
    my %way = ('key' => [ "$base/key.txt" ], 'url' =>
        [ "$ENV{MEDIA_PUBLIC_URL}$base/url.txt" ], 'prefix' => [ "$base/" ],
        'tenant' => [ '--tenant', $tenant ]);

    skip 'no nginx or run_job', 10 * keys %way
        unless $ENV{NGINX_URL} && -x job_program();

    for my $name (sort keys %way) {
        my $key = "$base/$name.txt";
        my @objects = ($key, map { "$key$_" } qw(_thumb.jpg _preview.jpg
            _m4a.m4a));

        for my $object (@objects) {
            put($object, "before $name");
            ok(wait_until(10, sub { my ($text, $cache) = served($object);
                return $cache eq 'HIT' }), "$name: in the cache");
            put($object, "after $name");
        }

        is((served($key))[0], "before $name", "$name: the old one is served");
        purge(@{ $way{$name} });

        ok(wait_until(5, sub { (served($_))[0] eq "after $name" }),
            "$name: purged, the new one is") for @objects;
        ok(wait_until(10, sub { (served($key))[1] eq 'HIT' }),
            "$name: and is cached again");
    }
}

done_testing();
