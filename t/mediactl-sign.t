#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# mediactl sign-url: the URL that anybody can make who has the key, for keys
# of every kind; and what is not signed.

use strict;
use warnings;

use lib 't/lib';

use Cache;
use JSON::PP;
use Mediactl;
use SignedURL;
use Test::More;

plan(skip_all => "$mediactl is not built") unless -x $mediactl;

my $secret = 'a secret of +more/ than 32 bytes = ok';
my $base = 'https://media.example.com/media/';

delete @ENV{grep { /^MEDIA_SIGN/ } keys %ENV};
$ENV{MEDIA_PUBLIC_URL} = $base;

sub sign { return run('/dev/null', 'sign-url', @_) }

# the URL made without our code

sub expected {
    my ($key, $expires) = @_;
    my $path = $key;

    $path =~ s{([^A-Za-z0-9._~/-])}{sprintf '%%%02X', ord $1}ge;

    return $base . $path . signed_query($key, $expires, 'k-1_A', $secret);
}


my ($rc, $out, $err) = sign('chat/acme/1/a.jpg');
is $rc, 1, 'no key';
is $out, '', 'no URL';
like $err, qr/MEDIA_SIGN_KEY_ID and MEDIA_SIGN_KEY are not set/, 'said so';

@ENV{qw(MEDIA_SIGN_KEY_ID MEDIA_SIGN_KEY)} = ('k-1_A', $secret);

my $name = '0f3c9a52_' . 'x' x 120;

for my $key ('chat/acme/17/0f3c9a52_a.jpg', 'chat/acme/17/a.jpg_thumb.jpg',
    'profile_pics/acme/5511987654321.jpg', "chat/acme/17/$name",
    "chat/acme/1/it's \"quoted\" \\ + = @ & ? # % %2F %252F.pdf",
    "chat/acme/1/\xc3\xa9\xe6\x97\xa5.txt", 'chat/a/..b/c', 'chat/a/~b/-_.')
{
    my $before = time;

    ($rc, $out, $err) = sign($key);
    is $rc, 0, "$key: signed";

    my ($expires) = $out =~ /[?]expires=(\d+)&/;

    cmp_ok $expires, '>=', $before + 900, '15 minutes at least';
    cmp_ok $expires, '<=', time + 900, 'and at the most';
    is $out, expected($key, $expires) . "\n", 'the signature of the key';
    is $err, '', 'nothing else is said';

    ($rc, $out) = sign('--json', $key, '--expires', '2h');

    my $json = decode_json($out);

    is $json->{url}, expected($key, $json->{expires}), 'the same as JSON';
    cmp_ok abs($json->{expires} - time - 7200), '<', 60, '--expires';
    utf8::encode($json->{key});
    is $json->{key}, $key, 'key in JSON';

    ($rc, $out) = sign(expected($key, 1));
    is $out, expected($key, $out =~ /expires=(\d+)/) . "\n",
        'from a URL of it, though that has expired';
}

# times

my %seconds = ('1' => 1, '90s' => 90, '15m' => 900, '24h' => 86400,
    '7d' => 604800);

for my $time (sort keys %seconds) {
    my $before = time;

    ($rc, $out) = sign('chat/a/1/x', '--expires', $time);
    ok $rc == 0 && $out =~ /expires=(\d+)/
        && $1 >= $before + $seconds{$time} && $1 <= time + $seconds{$time},
        "--expires $time";
}

for my $time ('0', '-1', '', '1w', '8d', '604801', '1.5h', 'soon', '15 m',
    '9' x 30)
{
    ($rc, $out, $err) = sign('chat/a/1/x', "--expires=$time");
    is $rc, 2, "--expires $time is refused";
    is $out, '', 'no URL';
    like $err, qr/--expires must be/, 'said so';
}

# what no tenant may read, and what is no key

for my $key ('uploads/acme/1/x', 'webhooks/acme/1/x', 'x', 'chat',
    'profile_pics/acme', '', '/chat/a/1/x', 'chat//1/x', 'chat/a/../b/x',
    'chat/./b/x', "chat/a/1/x\ny", "chat/a/1/\x01", 'chat/a/1/',
    'chat/a/' . 'x' x 1024, 'https://other.example.com/media/chat/a/1/x',
    "${base}chat/a/..%2Fb", "${base}chat/a/1/%0a", "${base}chat/a/1/%zz")
{
    ($rc, $out, $err) = sign('--', $key);
    is $rc, 1, 'refused: ' . substr $key =~ s/[^ -~]/?/gr, 0, 60;
    is $out, '', 'no URL';
    isnt $err, '', 'said why';
}

for my $args ([], ['a', 'b'], ['--nonsense', 'a']) {
    ($rc, $out, $err) = sign(@$args);
    is $rc, 2, "usage: @$args";
    is $out, '', 'no URL';
}

# the key of a file; one without the other; too short

open my $f, '>', "$dir/key" or die;
print $f "$secret\n";
close $f;

{
    local $ENV{MEDIA_SIGN_KEY_FILE} = "$dir/key";
    delete local $ENV{MEDIA_SIGN_KEY};

    ($rc, $out) = sign('chat/a/1/x');
    is $out, expected('chat/a/1/x', $out =~ /expires=(\d+)/) . "\n",
        'MEDIA_SIGN_KEY_FILE, without its newline';
}

my %bad = (
    'MEDIA_SIGN_KEY is not set' => [ 'k', '' ],
    'MEDIA_SIGN_KEY_ID is not set' => [ '', $secret ],
    'MEDIA_SIGN_KEY must have at least 32 bytes' => [ 'k', 'S' x 31 ],
    'MEDIA_SIGN_KEY_ID must be 1 to 32' => [ 'k!', $secret ],
    'MEDIA_SIGN_KEY_ID must be 1 to 32 ' => [ 'k' x 33, $secret ],
);

for my $why (sort keys %bad) {
    local @ENV{qw(MEDIA_SIGN_KEY_ID MEDIA_SIGN_KEY)} = @{ $bad{$why} };

    ($rc, $out, $err) = sign('chat/a/1/x');
    is $rc, 1, "$why: refused";
    like $err, qr/\Q$why\E/, 'said so';
    unlike "$out$err", qr/SSSS|a secret/, 'without the secret';
}

($rc, $out, $err) = run('/dev/null', 'sign-url', '--help');
like $out, qr/sign-url KEY/, '--help';
unlike "$out$err", qr/\Q$secret\E/, 'without the secret';

SKIP: {
    my $worker = $mediactl =~ s/mediactl$/media-worker/r;
    my @set = ('env', "MEDIA_SIGN_TTL=2h", 'DATABASE_URL=postgresql://h/d',
        'RABBITMQ_URL=amqp://h/', 'REDIS_URL=redis://h/', 'S3_ACCESS_KEY=a',
        'S3_SECRET_KEY=s', 'S3_BUCKET=b', 'S3_ENDPOINT_URL=http://h');

    skip 'no media-worker', 4 unless -x $worker;
    $out = `@set $worker -T`;
    like $out, qr/^MEDIA_SIGN_KEY=\(set\)$/m, '-T hides the key';
    like $out, qr/^MEDIA_SIGN_TTL=7200s$/m, '-T prints the time';
    unlike $out, qr/a secret/, 'and no secret';

    local $ENV{MEDIA_SIGN_KEY_ID} = '';
    like `@set $worker -t 2>&1`, qr/MEDIA_SIGN_KEY_ID is not set/,
        '-t: one without the other';
}

# nginx takes it

SKIP: {
    my $t = Cache->new;
    my @keys = ('chat/acme/17/0f3c9a52_a.jpg',
        "chat/acme/1/it's \"quoted\" + = @ & ? # % %2F %252F.jpg",
        "chat/acme/1/\xc3\xa9\xe6\x97\xa5.jpg");

    skip 'no module', 3 * @keys unless -e $t->{module};
    $t->configure(http => Cache::cached_location() =~
        s{media_cache on;}{media_cache on; media_sign_key k-1_A "$secret";}r);
    $t->write_file("origin/$_", 'content') for @keys;
    $t->start;
    local $ENV{MEDIA_PUBLIC_URL} = "http://127.0.0.1:$t->{port}/media/";

    for my $key (@keys) {
        ($rc, $out) = sign($key);
        chomp $out;
        $out =~ s{^http://[^/]+}{};
        is $t->get($out)->{status}, 200, "nginx serves $key";
        is $t->get($out =~ s/signature=\K(.)/$1 eq 'A' ? 'B' : 'A'/er)
            ->{status}, 403, 'not with another signature';
        isnt $t->get($out =~ s/[?].*//r)->{status}, 200, 'nor without one';
    }
}

done_testing();
