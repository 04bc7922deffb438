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
use MIME::Base64;
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


# sound: M4A and waveform

my $note = vector('audio-ptt-ogg-opus');
my $own = encode_base64(join('', map { chr } 1 .. 64), '');

sim_serve($note);

sub voice {
    my (%metadata) = @_;
    my $id = attachment(instance($tenant, 'evolution'), source_of($note));

    sql('UPDATE media.message_attachments SET metadata = metadata || '
        . "'${\ encode_json(\%metadata)}' WHERE id = '$id'");
    run_job('download', $id);
    return $id;
}

sub again {
    my ($id, $by) = @_;

    mark($id, "$tool/1.0") if $by ne '';
    is(run_job('job', encode_json({ type => 'rebuild', attachment_id => $id,
        tool => $by }))->{result}, 'done', "rebuilt ($by)");
    is((rebuilt($id))[-1]{outcome}, 'ok', 'well');
    return job_row($id);
}

sub waveform { return join ' ', grep { defined }
    @{ $_[0]{metadata} }{qw(waveform_source waveform)} }

$id = voice(waveform => $own, waveform_source => 'message');
is(waveform(job_row($id)), "message $own", q(the message's waveform is kept));
is(waveform(again($id, $tool)), "message $own", 'also by a rebuild');

$id = voice(waveform => $own);
is(waveform(again($id, $tool)), $own, 'as is one of which nothing is known');

$id = voice();
$row = job_row($id);
$made = waveform($row);
like($made, qr/^computed [\w+\/]{86}==$/, 'else it is computed');
sql("UPDATE media.message_attachments SET metadata = metadata || "
    . "'{\"waveform\":\"$own\"}' WHERE id = '$id'");
is(waveform(again($id, $tool)), $made, 'and computed again');

my $m4a = $row->{metadata}{renditions}{m4a}{key};

is($m4a, "$row->{storage_key}_m4a.m4a", 'an M4A');
put_junk($m4a);
sql("UPDATE media.message_attachments SET metadata = jsonb_set(metadata, "
    . "'{renditions,m4a,made_by}', '\"$tool/0.9\"') WHERE id = '$id'");
sql("DELETE FROM media.purges WHERE target LIKE '$row->{storage_key}%'");
is_deeply(counts("$tool<1"), { found => 1, queued => 1 },
    'an M4A of the tool counts');
ok(wait_until(60, sub { (rebuilt($id)) == 2 }), 'it is rebuilt');
like(object($m4a), qr/^....ftyp/s, 'it is an M4A again');
is(purged($row->{storage_key}), 1, 'which nginx is told');
unlike(job_row($id)->{metadata}{renditions}{m4a}{made_by}, qr/$tool/,
    'made by others');


# what was made before tools were recorded

sub unrecorded {
    my (@more) = @_;
    my ($rc, $out) = rebuild('--unrecorded', '--tenant', $tenant, '--json',
        @more);

    return decode_json($out);
}

is_deeply(unrecorded('--dry-run'), { found => 0, queued => 0 },
    'all tools are recorded');
sql('UPDATE media.message_attachments SET metadata = metadata - '
    . "'{made_by,renditions}'::text[] WHERE id = '$id'");
($c) = upload(instance($tenant, 'cloudapi'), plain_of(vector(
    'sticker-static-webp')), file_type => 'image/webp');
sql("UPDATE media.message_attachments SET metadata = metadata #- "
    . "'{renditions,image,made_by}' WHERE id = '$c->{attachment_id}'");
run_program('put', $m4a, '/dev/null', 'audio/mp4');
is_deeply(unrecorded('--limit', 1), { found => 2, queued => 1 },
    'an attachment and a rendition are from before');
is_deeply(unrecorded(), { found => 1, queued => 1 }, 'the other one')
    if wait_until(60, sub { unrecorded('--dry-run')->{found} == 1 });
ok(wait_until(60, sub { unrecorded('--dry-run')->{found} == 0 }),
    'that was all');
like(job_row($id)->{metadata}{made_by}, qr/libav/, 'tools are recorded');
like(job_row($c->{attachment_id})->{metadata}{renditions}{image}{made_by},
    qr/libwebp/, 'of the rendition, too');
like(object($m4a), qr/^....ftyp/s, 'an old voice note has its M4A');
is(job_row($id)->{metadata}{renditions}{m4a}{key}, $m4a, 'as is recorded');

my ($text) = upload(instance($tenant, 'cloudapi'), "only text\n", kind =>
    'document', file_type => 'text/plain');

is(job_row($text->{attachment_id})->{metadata}{made_by}, '',
    'none were needed for a text');
is(unrecorded('--dry-run')->{found}, 0, 'which is known');


# a thumbnail of another type than before

$id = stored($tenant);
$row = job_row($id);

my $webp = "$row->{storage_key}_thumb.webp";

put_junk($webp);
sql("UPDATE media.message_attachments SET thumbnail_url = "
    . "replace(thumbnail_url, '_thumb.jpg', '_thumb.webp') WHERE id = '$id'");
sql("DELETE FROM media.purges WHERE target = '$row->{storage_key}'");
is(again($id, $tool)->{thumbnail_url}, $row->{thumbnail_url},
    'a thumbnail that was WebP is JPEG');
is(object($webp), '', 'the old one is deleted');
like(object("$row->{storage_key}_thumb.jpg"), qr/^\xff\xd8/,
    'the new one is there');
is(purged($row->{storage_key}), 1, 'nginx is told');


# an upload has an M4A, too

($c) = upload(instance($tenant, 'cloudapi'), plain_of($note), kind => 'voice',
    file_type => 'audio/ogg; codecs=opus');
$row = job_row($c->{attachment_id});
is($row->{status}, 'completed', 'a voice note of ours')
    or diag($row->{error_message});
is($row->{metadata}{renditions}{m4a}{key}, "$c->{file_key}_m4a.m4a",
    'has an M4A');
like(object("$c->{file_key}_m4a.m4a"), qr/^....ftyp/s, 'which is stored');


# what it does not take

for my $args ([], [ '--made-by', '' ], [ '--made-by', '<1' ],
    [ '--made-by', 'a<' ], [ '--made-by', 'a<x' ], [ '--made-by', 'a>1' ],
    [ '--made-by', 'a b<1' ], [ '--made-by', "a'<1" ],
    [ '--made-by', 'a<1"' ], [ '--made-by', 'a', '--limit', '0' ],
    [ '--made-by', 'a', '--limit', 'x' ], [ '--made-by', 'a', 'b' ],
    [ '--made-by', 'a<' . '1' x 70 ], [ '--made-by', 'a' x 70 ],
    [ '--unrecorded', '--made-by', 'a' ], [ '--unrecorded', 'a' ])
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
