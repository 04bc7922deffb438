#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# mediactl rebuild: what a tool of before its fix has made is made again, and
# nothing else; twice is as good as once, and new media does not wait for it.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector plain_of sim sim_serve sql wait_until);
use Job;
use JSON::PP;
use Mediactl;
use Test::More;
use Upload;
use Worker;

job_or_skip();
worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));
sim('reset');

my $tenant = tenant();
my $other = tenant();
my $v = vector('image-jpeg');
my $tool = "libfoo$$";
my $junk = 'not the thumbnail';

sub rebuild { return run('/dev/null', 'rebuild', @_) }

# the counts that it tells, of one tenant

sub counts {
    my ($by, @more) = @_;
    my ($rc, $out, $err) = rebuild('--made-by', $by, '--tenant', $tenant,
        '--json', @more);

    is($rc, 0, "$by @more: exits with 0") or diag($err);
    return decode_json($out);
}

sub mark {
    my ($id, $by) = @_;

    sql('UPDATE media.message_attachments SET metadata = metadata || '
        . "jsonb_build_object('made_by', '$by', 'dominant_color', 'old') "
        . "WHERE id = '$id'");
}

sub put_junk {
    my ($key) = @_;

    open my $f, '>', "$dir/junk" or die $!;
    print $f $junk;
    close $f;
    run_program('put', $key, "$dir/junk", 'image/jpeg');
}

sub stored {
    my ($in) = @_;
    my $i = instance($in, 'evolution');

    sim_serve($v);

    my $id = attachment($i, source_of($v));

    run_job('download', $id);
    return $id;
}

sub rebuilt {
    my ($id) = @_;

    return grep { $_->{stage} eq 'rebuild' } hops($id);
}

sub purged {
    my ($key) = @_;

    return (sql("SELECT count(*) FROM media.purges WHERE target = '$key'"))
        [0][0];
}


# which ones it finds

my @ids = map { stored($tenant) } 1 .. 3;
my $elsewhere = stored($other);
my $before = job_row($ids[0]);

is($before->{status}, 'completed', 'an attachment');
mark($_, "$tool/1.1.9-3 libbar/7") for @ids[0, 1], $elsewhere;
mark($ids[2], "libbar/7 $tool/1.10");

for my $case (
    [ "$tool<1.2", 2 ], [ "$tool<1.1.9", 0 ], [ "$tool<1.1.9-3", 0 ],
    [ "$tool<1.1.9-4", 2 ], [ "$tool<1.1.10", 2 ], [ "$tool<1.10", 2 ],
    [ "$tool<1.10.0", 3 ], [ "$tool<1.9", 2 ], [ "$tool<2", 3 ],
    [ $tool, 3 ], [ 'libbar<8', 3 ], [ 'libbar<7', 0 ], [ 'bar', 0 ],
    [ "${tool}x", 0 ])
{
    my ($by, $n) = @$case;

    is_deeply(counts($by, '--dry-run'), { found => $n, queued => 0 },
        "$by: $n");
}

is(scalar(map { rebuilt($_) } @ids), 0, '--dry-run changes nothing');


# one, then the rest

put_junk("$before->{storage_key}_thumb.jpg");
is_deeply(counts("$tool<1.2", '--limit', 1), { found => 2, queued => 1 },
    '--limit');
ok(wait_until(60, sub { (map { rebuilt($_) } @ids) == 1 }), 'one is rebuilt');
is_deeply(counts("$tool<1.2", '--dry-run'), { found => 1, queued => 0 },
    'one is left');
is_deeply(counts("$tool<1.2"), { found => 1, queued => 1 }, 'the rest');
ok(wait_until(60, sub { (map { rebuilt($_) } @ids) == 2 }), 'is rebuilt');
is_deeply(counts("$tool<1.2"), { found => 0, queued => 0 }, 'and that is all');

my $row = job_row($ids[0]);
my ($hop) = rebuilt($ids[0]);

is($hop->{outcome}, 'ok', 'a hop');
is($row->{status}, 'completed', 'it stayed completed');
is($row->{$_}, $before->{$_}, "$_ as before")
    for qw(file_url thumbnail_url storage_key size_bytes sha256 file_type
        file_name attempts);
delete $_->{metadata}{made_by} for $row, $before;
is_deeply($row->{metadata}, $before->{metadata}, 'the metadata of the file');
like(object("$row->{storage_key}_thumb.jpg"), qr/^\xff\xd8/,
    'the thumbnail is a new one');
is(purged($row->{storage_key}), 1, 'nginx is told');
is(scalar rebuilt($ids[2]), 0, 'another version is left alone');
is(scalar rebuilt($elsewhere), 0, 'so is another tenant');


# a job that comes again

my $again = encode_json({ type => 'rebuild', attachment_id => $ids[0],
    tool => $tool, version => '1.2' });

is(run_job('job', $again)->{result}, 'done', 'the same job again');
is(scalar rebuilt($ids[0]), 1, 'does nothing');


# what cannot be rebuilt stays as it is

put_junk($row->{storage_key});
mark($ids[0], "$tool/1.0");
is(run_job('job', $again)->{result}, 'done', 'another file in S3: ends');
is((rebuilt($ids[0]))[-1]{outcome}, 'failed', 'a hop says so');
is(job_row($ids[0])->{metadata}{made_by}, "$tool/1.0", 'nothing changed');

run_program('put', $row->{storage_key}, '/dev/null', 'image/jpeg');
sql('DELETE FROM media.purges WHERE target = '
    . "'$row->{storage_key}'");
is(run_job('job', $again)->{result}, 'done', 'an empty one: ends');
is(purged($row->{storage_key}), 0, 'nothing is purged');

{
    local $ENV{S3_ENDPOINT_URL} = 'http://127.0.0.1:1';

    is(run_job('job', $again)->{result}, 'again', 'S3 is away: later');
}


# renditions

my ($c) = upload(instance($tenant, 'cloudapi'), plain_of($v));
my $id = $c->{attachment_id};
my $made = job_row($id)->{metadata}{renditions}{image};

ok($made, 'a rendition') or diag(explain(job_row($id)));
put_junk($made->{key}) if $made->{key} ne $c->{file_key};
sql("UPDATE media.message_attachments SET metadata = jsonb_set(metadata, "
    . "'{renditions,image,made_by}', '\"$tool/0.9\"') WHERE id = '$id'");
is_deeply(counts("$tool<1"), { found => 1, queued => 1 },
    'a rendition of the tool counts');
ok(wait_until(60, sub { rebuilt($id) }), 'it is rebuilt');
$row = job_row($id);
isnt($row->{metadata}{renditions}{image}{made_by} // '', "$tool/0.9",
    'by another version');
is($row->{metadata}{renditions}{image}{key}, $made->{key}, 'with its key');
like(object($made->{key}), qr/^\xff\xd8/, 'a picture');


# what it does not take

for my $args ([], [ '--made-by', '' ], [ '--made-by', '<1' ],
    [ '--made-by', 'a<' ], [ '--made-by', 'a<x' ], [ '--made-by', 'a>1' ],
    [ '--made-by', 'a b<1' ], [ '--made-by', "a'<1" ],
    [ '--made-by', 'a<1"' ], [ '--made-by', 'a', '--limit', '0' ],
    [ '--made-by', 'a', '--limit', 'x' ], [ '--made-by', 'a', 'b' ],
    [ '--made-by', 'a<' . '1' x 70 ], [ '--made-by', 'a' x 70 ])
{
    my ($rc, $out, $err) = rebuild(@$args);

    is($rc, 2, "@$args: usage");
    like($err, qr/^usage: mediactl rebuild/m, "@$args: is told");
}

my ($rc) = rebuild('--made-by', 'a', '--tenant', 'a/b');

is($rc, 1, 'a tenant that is none');

{
    local $ENV{RABBITMQ_URL} = 'amqp://127.0.0.1:1';
    my ($rc, $out, $err) = rebuild('--made-by', 'libbar', '--tenant', $tenant);

    is($rc, 1, 'RabbitMQ is away');
    like($err, qr/run it again/, 'it says so');
}

done_testing();
