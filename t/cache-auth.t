#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Redis with a password, with a user of few rights, in another database, and
# on a unix socket; a wrong password is a miss and logged once without it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Test::More;
use Time::HiRes qw(sleep);

sub eventually {
    my ($t, $wanted) = @_;

    my $outcome = '';
    for (1 .. 60) {
        $outcome = $t->outcome('/media/a.jpg');
        last if $outcome eq $wanted;
        sleep 0.05;
    }
    return $outcome;
}

sub run {
    my ($name, $wanted, $redis, $conf, $files) = @_;

    my $t = Cache->new;
    my @options = map { (my $o = $_) =~ s/\@DIR\@/$t->{dir}/; $o } @$redis;

    $t->write_file($_, $files->{$_}) for keys %{$files || {}};
    $t->write_file('origin/a.jpg', 'photo');

    my $http = Cache::cached_location();
    $http =~ s/media_redis .*;/$conf/;
    $t->configure(http => $http);
    $t->redis_start(@options);
    my $pid = delete $t->{redis_pid};   # the helper does not log in
    $t->start;
    $t->{redis_pid} = $pid;

    is eventually($t, $wanted), $wanted, $name;
    ok $t->stop, "$name: worker processes ended";
    is $t->alarms, '', "$name: nothing alarming was logged";
    unlike $t->error_log, qr/sesame/, "$name: no password was logged";

    return $t;
}

my @user = (qw(--user cache on >sesame ~media:* +get +getrange +set +del));

run('a password', '200 HIT', [ '--requirepass', 'sesame one' ],
    'media_redis 127.0.0.1:@REDIS@; media_redis_password "sesame one";');
run('a password from a file', '200 HIT', [ '--requirepass', 'sesame' ],
    'media_redis 127.0.0.1:@REDIS@; media_redis_password_file secret;',
    { secret => "sesame\n" });
run('a user of few rights', '200 HIT', \@user,
    'media_redis 127.0.0.1:@REDIS@; media_redis_user cache; '
    . 'media_redis_password sesame;');
run('another database', '200 HIT', [],
    'media_redis 127.0.0.1:@REDIS@; media_redis_database 3;');
run('a unix socket', '200 HIT', [ '--unixsocket', '@DIR@/redis/socket' ],
    'media_redis unix:@DIR@/redis/socket;');

my $t = run('a wrong password', '200 MISS', [ '--requirepass', 'sesame' ],
    'media_redis 127.0.0.1:@REDIS@; media_redis_password sesame2;');
my @logged = $t->error_log =~ /\[error\].*refused the password/g;
is @logged, 2, 'a wrong password is an error once a connection';

$t = run('no password', '200 MISS', [ '--requirepass', 'sesame' ],
    'media_redis 127.0.0.1:@REDIS@;');
like $t->error_log, qr/refused the password/, 'no password: reason';

$t = run('a database that is not there', '200 MISS', [],
    'media_redis 127.0.0.1:@REDIS@; media_redis_database 99;');
like $t->error_log, qr/refused the greeting/, 'no database: reason';

done_testing;
