#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Purges reach the log in Redis, whatever is away or dies: published by who
# made them, else by the sweeper; a log that is lost is made anew with the same
# ids.  And the events of the same jobs carry URLs with a good signature.
#
# A database and a Redis of the test's own, as it kills them.

use strict;
use warnings;

use lib 't/lib';

use Cache;
use Digest::SHA qw(hmac_sha256);
use E2E qw(vector data_dir sim sim_serve sql sql_row redis_cli wait_until);
use File::Temp qw(tempdir);
use Job;
use JSON::PP;
use Mediactl;
use MIME::Base64 qw(encode_base64url);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));

# until a worker has a key of its own

delete @ENV{qw(MEDIA_SIGN_KEY_ID MEDIA_SIGN_KEY)};
job_or_skip();

my $main = $ENV{DATABASE_URL};
my $database = "purge_$$";
my $port = Cache::free_port();
my $redis_dir = tempdir(CLEANUP => 1);
my $secret = 'a secret with more than thirty-two bytes';
my $redis;

sql("CREATE DATABASE $database");
$ENV{DATABASE_URL} =~ s{/media\z}{/$database};
$ENV{REDIS_URL} = "redis://default:password\@127.0.0.1:$port/0";

# only the sweeper
$ENV{"MEDIA_CHILDREN_$_"} = 0 for qw(DOWNLOAD INBOUND PRIORITY UPLOAD);
$ENV{MEDIA_SWEEP_INTERVAL} = '1s';

END {
    my $status = $?;

    stop_redis() if $redis;

    if ($main) {
        stop_worker($_) for workers();
        $ENV{DATABASE_URL} = $main;
        sql("DROP DATABASE $database WITH (FORCE)");
    }

    $? = $status;
}

my @workers;

sub workers { return splice @workers }

sub worker {
    push @workers, start_worker(@_);
    return $workers[-1];
}

sub start_redis {
    $redis = fork // die "fork: $!\n";

    if ($redis == 0) {
        open STDOUT, '>', "$redis_dir/log" or die;
        exec 'redis-server', '--bind', '127.0.0.1', '--port', $port, '--save',
            '', '--dir', $redis_dir, '--requirepass', 'password' or die;
    }

    wait_until(20, sub { redis_cli('PING') =~ /PONG/ }) or die 'no redis';
}

sub stop_redis {
    kill 'KILL', $redis;
    waitpid $redis, 0;
    undef $redis;
}

sub log_text { return redis_cli('--raw', 'GET', 'media:purges') =~ s/\n\z//r }

# the lines of the log; dies if it is none

sub log_lines {
    my ($head, @lines) = split /\n/, log_text();

    die "no log\n" unless ($head // '') =~ /^[0-9a-f]{32}$/;
    die "a line: $_\n" for grep { !/^\d+ \S/ } @lines;
    return @lines;
}

sub head { return substr log_text(), 0, 32 }

sub rows {
    return map { "$_->[0] $_->[1]" }
        sql('SELECT id, target FROM media.purges ORDER BY id');
}

sub unpublished {
    return (sql_row('SELECT count(*) FROM media.purges WHERE NOT published'))
        [0];
}

# the log has the rows and nothing else, in any order

sub log_is_table {
    my ($name) = @_;
    my $same = wait_until(15, sub {
        my @lines = eval { log_lines() };

        return !unpublished() && "@{[ sort @lines ]}" eq "@{[ sort(rows()) ]}";
    });

    ok($same, $name) or diag(log_text());
}

sub purge { return run('/dev/null', 'purge', @_) }


my ($rc, $out, $err) = run_worker(\%ENV, $ENV{MEDIA_WORKER}, '--migrate');
is $rc, 0, '--migrate of an empty database';

start_redis();

# without a worker: mediactl itself

($rc, $out) = purge('chat/a/1/x');
is $rc, 0, 'a purge';
is_deeply [ log_lines() ], [ '1 chat/a/1/x' ], 'makes the log';
like log_text(), qr/^[0-9a-f]{32}\n1 chat\/a\/1\/x\n\z/, 'as it is defined';

my $head = head();

purge('chat/a/');
purge('chat/a/1/x');
is_deeply [ log_lines() ], [ '1 chat/a/1/x', '2 chat/a/', '4 chat/a/1/x' ],
    'further ones, and the same once more with a new id';
is_deeply [ rows() ], [ '2 chat/a/', '4 chat/a/1/x' ], 'which has one row';
is head(), $head, 'in the same log';

# two writers at once, and no log

sub two_writers {
    my ($n, $name, $meanwhile) = @_;
    my %writer;
    my $failed = 0;

    for my $w (1, 2) {
        my $pid = fork // die "fork: $!\n";

        $writer{$pid} = 1;
        next if $pid;

        for my $i (1 .. $n) {
            my $rc = system "$mediactl purge chat/$name/$w/$i >/dev/null 2>&1";

            POSIX::_exit(1) if $rc != 0 && $rc >> 8 != 3;
        }

        POSIX::_exit(0);
    }

    while (%writer) {
        for my $pid (keys %writer) {
            next unless waitpid($pid, WNOHANG) == $pid;
            delete $writer{$pid};
            $failed++ if $?;
        }

        $meanwhile->() if $meanwhile;
        sleep 0.02;
    }

    return $failed;
}

sql('TRUNCATE media.purges');
redis_cli('FLUSHALL');
is two_writers(100, 'w'), 0, 'two writers, a hundred purges each';

my @lines = log_lines();
my %line = map { $_ => 1 } @lines;

# one whose writer found no log may be there twice, by who made it, too

is scalar keys %line, 200, '200 lines';
cmp_ok scalar @lines, '<=', 204, 'hardly one is there twice';
is_deeply [ sort keys %line ], [ sort(rows()) ], 'those of the table';
is scalar(() = log_text() =~ /^[0-9a-f]{32}$/mg), 1, 'one header';
is unpublished(), 0, 'all count as published';

redis_cli('DEL', 'media:purges');
purge('chat/lost/1');
is_deeply [ sort(log_lines()) ], [ sort(rows()) ],
    'a purge where the log is lost: all purges, not this one alone';

# Redis away

stop_redis();
($rc, $out) = purge('chat/away/1', '--json');
is $rc, 3, 'Redis away: exit code 3';
is unpublished(), 1, 'the purge is recorded';

my $worker = worker();

sleep 2.5;
is unpublished(), 1, 'and waits';
start_redis();
log_is_table('Redis back, and empty: the log has all, with the same ids');

$head = head();
stop_redis();
start_redis();
log_is_table('killed and restarted empty: the same');
isnt head(), $head, 'under another header';
like worker_log($worker), qr/log of purges made anew.*reason=lost/,
    'the log says so';

my $waits = () = worker_log($worker) =~ /level=warn .*redis/g;

cmp_ok $waits, '<=', 4, 'one warning for each time that Redis was away';

# a Redis that lost the end: failover, or an older dump

my $text = log_text();

purge('chat/behind/1');
redis_cli('SET', 'media:purges', $text);
is scalar(grep { /behind/ } log_lines()), 0, 'the end is lost';
log_is_table('the log is made anew');
like worker_log($worker), qr/reason=behind/, 'the log says so';

redis_cli('SET', 'media:purges', 'nonsense');
log_is_table('and of what is no log');

# published by nobody: its process died after the commit

sub old_rows {
    my ($n, $name) = @_;

    sql("INSERT INTO media.purges (target, created_at) SELECT 'chat/$name/' "
        . "|| i, now() - interval '1 minute' FROM generate_series(1, $n) i");
}

worker();
old_rows(1500, 'left');
log_is_table('two sweepers publish 1500 that were left, each once');

is_deeply [ map { (split / /)[0] } grep { m{/left/} } log_lines() ],
    [ sort { $a <=> $b } map { (split / /)[0] } grep { m{/left/} } rows() ],
    'in the order of their ids';

# nothing is lost if the log is, again and again, while there are writers

is two_writers(40, 'storm', sub { redis_cli('DEL', 'media:purges')
    if rand() < 0.2 }), 0, 'the log is deleted while two write';
ok(wait_until(15, sub {
    my %have = map { $_ => 1 } eval { log_lines() };

    return !unpublished() && !grep { !$have{$_} } rows();
}), 'all purges are in the last log');

# a log much larger than its table

cmp_ok redis_cli('EVAL', q{return redis.call('APPEND', 'media:purges',
    string.rep('1 chat/many/times\n', 60000) .. ARGV[1])}, 0,
    join '', map { "$_\n" } rows()), '>', 1048576, 'a large log';
log_is_table('a log much larger than its table is made anew');
like join('', map { worker_log($_) } @workers), qr/reason=large/,
    'the log says so';

# old rows

sql("UPDATE media.purges SET created_at = now() - interval '90 days 1 hour'"
    . " WHERE target LIKE 'chat/left/%'");
sql("INSERT INTO media.purges (target, created_at) VALUES "
    . "('profile_pics/a/1.jpg', now() - interval '1 year'), "
    . "('profile_pics_not/1', now() - interval '1 minute')");
sleep 2.5;
is((sql_row("SELECT count(*) FROM media.purges WHERE target LIKE "
    . "'chat/left/%'"))[0], 1500, '90 days: not before the next day');

sql("UPDATE media.purges SET created_at = now() - interval '92 days'"
    . " WHERE target IN ('chat/left/1', 'profile_pics_not/1')");
ok(wait_until(10, sub { !grep { m{/left/|_not/} } rows() }),
    'then all of more than 90 days are dropped');
log_is_table('and from the log');
ok((grep { m{ profile_pics/a/1.jpg$} } log_lines()), 'but for pictures');

stop_worker($_) for workers();


# the jobs

sub picture_job {
    my ($tenant, $i) = @_;

    return ('profile', encode_json({ tenant_id => $tenant, instance_id =>
        "$i->{id}", phone => '5511987654321', url => '' }));
}

sub good_picture {
    my ($file) = @_;
    my $path = "/v/t61.24694-24/purge_$$" . '_n.jpg';

    sim(media => { path => $path, file => data_dir() . "/$file",
        unsigned => 1 });
    sim(profile => { number => '5511987654321',
        url => "https://pps.whatsapp.net$path?ccb=11-4&oh=01_x&oe=7AA2BB25" });
}

sim('reset');
good_picture('image-jpeg.plain');

my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $key = "profile_pics/$tenant/5511987654321.jpg";
my ($one, $two);

is run_job(picture_job($tenant, $i))->{result}, 'done', 'a picture';
($one) = sql_row("SELECT id FROM media.purges WHERE target = '$key'");
is run_job(picture_job($tenant, $i))->{result}, 'done', 'another one';
($two) = sql_row("SELECT id FROM media.purges WHERE target = '$key'");
cmp_ok $two, '>', $one, 'each is purged';
is_deeply [ (log_lines())[-2, -1] ], [ "$one $key", "$two $key" ],
    'and published';

{
    local $ENV{S3_ENDPOINT_URL} = "http://127.0.0.1:" . Cache::free_port();

    is run_job(picture_job($tenant, $i))->{result}, 'again', 'S3 away';
    is((sql_row("SELECT id FROM media.purges WHERE target = '$key'"))[0],
        $two, 'nothing changed there: no purge');
}

# killed between the commit and Redis

kill 'STOP', $redis;

my $pid = fork // die "fork: $!\n";

if ($pid == 0) {
    open STDOUT, '>', '/dev/null';
    exec job_program(), picture_job($tenant, $i) or die;
}

ok(wait_until(20, sub { unpublished() == 1 }), 'the purge is committed');
kill 'KILL', $pid;
waitpid $pid, 0;
kill 'CONT', $redis;
is $? & 127, 9, 'its process killed before Redis had it';

my ($three) = sql_row("SELECT id FROM media.purges WHERE target = '$key'");

ok !(grep { $_ eq "$three $key" } log_lines()), 'it is not in the log';
$worker = worker(MEDIA_SIGN_KEY_ID => 'k1', MEDIA_SIGN_KEY => $secret,
    MEDIA_SIGN_TTL => '10m');
ok(wait_until(10, sub { grep { $_ eq "$three $key" } log_lines() }),
    'the sweeper publishes it');

# an attachment that is stored once more

my $v = vector('image-jpeg');

@ENV{qw(MEDIA_SIGN_KEY_ID MEDIA_SIGN_KEY MEDIA_SIGN_TTL)}
    = ('k1', $secret, '10m');
sim_serve($v);

my $a = attachment($i, source_of($v), file_name => "a \"b\" \\ \xc3\xa9.jpg");

is run_job('download', $a)->{result}, 'done', 'an attachment';

my $stored = job_row($a)->{storage_key};

is_deeply [ grep { m{ chat/$tenant/} } rows() ], [], 'no purge';
sql('UPDATE media.message_attachments SET status = '
    . "'pending' WHERE id = '$a'");
is run_job('download', $a)->{result}, 'done', 'once more';
is scalar(grep { m{ \Q$stored\E$} } log_lines()), 1, 'is a purge';

# signed URLs

sub stream {
    my @text = split /\n/, redis_cli('--raw', 'XRANGE',
        "media:events:$tenant", '-', '+');

    return map { decode_json($_) } grep { /^\{/ } @text;
}

sub signature_is_good {
    my ($event, $name, $tell) = @_;
    my $data = $event->{data};
    my ($url, $expires, $signature) = ($data->{"${name}_signed"} // '') =~
        /^(.*)\?expires=(\d+)&key_id=k1&signature=([\w-]{43})$/;

    is $url, $data->{$name}, "$tell: $name";
    is $expires, $data->{signed_until}, "$tell: $name expires as told";

    my $object = ($url // '') =~ s/^\Q$ENV{MEDIA_PUBLIC_URL}\E//r;

    $object =~ s/%(..)/chr hex $1/ge;
    is $signature, encode_base64url(hmac_sha256(
        "media-url-1\n" . ($expires // 0) . "\n$object", $secret)),
        "$tell: $name has a good signature";
}

my @events = stream();
my ($ready) = grep { $_->{type} eq 'attachment_ready' } @events;

signature_is_good($ready, $_, 'attachment_ready')
    for qw(file_url thumbnail_url);
cmp_ok abs($ready->{data}{signed_until} - time - 600), '<', 120,
    'for MEDIA_SIGN_TTL';
is $ready->{data}{file_name}, "a \"b\" \\ \xe9.jpg", 'the rest stays';
ok !exists $ready->{data}{profile_pic_url_signed}, 'no URL, none signed';
cmp_ok $ready->{id}, '>', 0, 'the envelope, too';

ok !(grep { exists $_->{data}{signed_until} }
    grep { $_->{type} eq 'conversation_updated' } @events),
    'without a key no URL was signed';

is run_job(picture_job($tenant, $i))->{result}, 'done', 'a picture';

my ($changed) = grep { exists $_->{data}{signed_until}
    && $_->{type} eq 'conversation_updated' } stream();

signature_is_good($changed, $_, 'conversation_updated')
    for qw(profile_pic_url thumbnail_url);

# what is not this tenant's, or nobody's, and is left to the sweeper

my $n = @events = stream();
my $base = $ENV{MEDIA_PUBLIC_URL};
my %url = (mine => "${base}chat/$tenant/1/a%20b%22.jpg",
    other => "${base}chat/other/1/a.jpg", elsewhere => 'https://h/chat/x',
    quarantine => "${base}uploads/$tenant/x", bad => "${base}chat/$tenant/%zz",
    query => "${base}chat/$tenant/1/a?b", null => undef);

for my $name (sort keys %url) {
    my $payload = encode_json({ name => $name, file_url => $url{$name} });

    sql("INSERT INTO media.events (tenant_id, type, payload, created_at) "
        . "VALUES ('$tenant', 'test', '$payload', "
        . "now() - interval '1 minute')");
}

wait_until(20, sub { stream() == $n + keys %url });

my %event = map { $_->{data}{name} => $_ }
    grep { $_->{type} eq 'test' } stream();

is scalar keys %event, scalar keys %url, 'all are published';
signature_is_good($event{mine}, 'file_url', 'by the sweeper');
ok !exists $event{$_}{data}{file_url_signed}
    && !exists $event{$_}{data}{signed_until}, "not signed: $_"
    for grep { $_ ne 'mine' } sort keys %url;

is((sql_row("SELECT count(*) FROM media.events WHERE payload::text LIKE "
    . "'%signature%'"))[0], 0, 'no signature is in PostgreSQL');
unlike worker_log($worker), qr/signature|\Q$secret\E/,
    'nor in the log, nor the key';

done_testing();
