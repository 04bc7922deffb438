#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The small JPEG of a message is its attachment's thumbnail until the file has
# one: while the download waits, if it fails, and if nothing can be drawn of
# the file.  Nothing of its bytes is kept or told.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector sim sim_serve sql sql_row unique_id slurp wait_until
    add_tenant add_instance evolution_body wapi_body);
use File::Temp qw(tempdir);
use Job;
use JSON::PP;
use MIME::Base64;
use Rendition qw(made save);
use Test::More;
use Worker qw(webhook worker_or_skip);

job_or_skip();
worker_or_skip(qw(RABBITMQ_URL MEDIA_PUBLIC_URL));
sim('reset');

my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $v = vector('image-jpeg');
my $secret = 'the-secret-of-a-sender';
my $jpeg = slurp(made('jpg', qw(convert -size 72x100 gradient:red-blue
    -set comment), $secret));
my $dir = tempdir(CLEANUP => 1);
my $serial = 0;

# an attachment with those bytes, of the vector or another one

sub pending {
    my ($bytes, $source, %opt) = @_;
    my $id = attachment($i, $source // source_of($v), %opt);

    sql("UPDATE media.message_attachments SET preview = '\\x"
        . unpack('H*', $bytes) . "' WHERE id = '$id'");
    return $id;
}

sub preview {
    my ($id) = @_;
    my $result = run_job('profile', encode_json({ type => 'preview',
        attachment_id => $id }));

    return $result->{result};
}

sub key_of {
    my ($url) = @_;

    return $url =~ s/^\Q$ENV{MEDIA_PUBLIC_URL}\E//r;
}

sub kept {
    my ($id) = @_;

    return (sql_row('SELECT preview IS NOT NULL FROM '
        . "media.message_attachments WHERE id = '$id'"))[0] eq 't';
}

sub told { return grep { $_->{type} eq 'attachment_preview' } events($_[0]) }

like($jpeg, qr/\Q$secret\E/, 'the comment is in the JPEG');


# before the file is there

my $id = pending($jpeg, undef, file_name => 'foto.jpg');

is(preview($id), 'done', 'a preview');

my $row = job_row($id);
my $key = key_of($row->{thumbnail_url});

is($row->{status}, 'pending', 'the attachment is pending');
like($key, qr{^chat/$tenant/\d+/[0-9a-f]{8}_foto\.jpg_preview\.jpg$},
    'its thumbnail is the preview');
like(object($key), qr/^\xff\xd8\xff.*\xff\xd9$/s, 'a JPEG');
unlike(object($key), qr/\Q$secret\E/, 'which was drawn anew');
is((told($id))[0]{payload}{thumbnail_url}, $row->{thumbnail_url},
    'an event tells');
is(kept($id), '', 'its bytes are not kept');
is((hops($id))[0]{stage} . (hops($id))[0]{outcome}, 'previewok', 'a hop');
like((hops($id))[0]{detail}, qr/^72x100, \d+ bytes$/, 'with its size');
is(preview($id), 'done', 'the same job again');
is(scalar(told($id)), 1, 'tells nothing');


# then it is

sim_serve($v);
is(run_job('download', $id)->{result}, 'done', 'the file comes');
$row = job_row($id);
is($row->{status}, 'completed', 'completed');
is(key_of($row->{thumbnail_url}), "$row->{storage_key}_thumb.jpg",
    'the thumbnail is that of the file');
is(object($key), '', 'the preview is gone');
sql("UPDATE media.message_attachments SET preview = '\\xffd8' "
    . "WHERE id = '$id'");
is(preview($id), 'done', 'a preview that comes late');
is(job_row($id)->{thumbnail_url}, $row->{thumbnail_url}, 'changes nothing');


# two that are at it: the slower one changes nothing, and leaves nothing

$id = pending($jpeg, undef, file_name => 'foto.jpg');

{
    open my $psql, '|-', 'psql', '-XAtq', '-d', $ENV{DATABASE_URL}
        or die "psql: $!\n";
    $psql->autoflush(1);
    print $psql "BEGIN; UPDATE media.message_attachments SET "
        . "thumbnail_url = 'https://h/other' WHERE id = '$id';\n";
    wait_until(10, sub { sql("SELECT 1 FROM pg_locks l JOIN pg_class c "
        . "ON c.oid = l.relation WHERE c.relname = 'message_attachments' "
        . "AND l.mode = 'RowExclusiveLock'") });

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        preview($id);
        require POSIX;
        POSIX::_exit(0);
    }

    ok(wait_until(20, sub { sql("SELECT 1 FROM pg_stat_activity WHERE "
        . "wait_event_type = 'Lock' AND query LIKE '%thumbnail_url IN%'") }),
        'a preview that is slower than the file');
    print $psql "COMMIT;\n";
    close $psql;
    waitpid $pid, 0;
}

is(job_row($id)->{thumbnail_url}, 'https://h/other', 'changes nothing');
is(scalar(told($id)), 0, 'tells nothing');
is(object("chat/$tenant/$i->{conversation}/" . substr($id, 0, 8)
    . '_foto.jpg_preview.jpg'), '', 'leaves nothing');


# the file does not come

$id = pending($jpeg, source_of($v, direct_path =>
    '/v/t62.7118-24/none_n.enc?oh=1&oe=60000000'));
preview($id);
run_job('download', $id);
$row = job_row($id);
is($row->{status}, 'failed', 'the file is gone');
like($row->{thumbnail_url}, qr/_preview\.jpg$/, 'the preview stays');
is((events($id))[-1]{payload}{thumbnail_url}, $row->{thumbnail_url},
    'as the event says');
isnt(object(key_of($row->{thumbnail_url})), '', 'and is there');


# nothing can be drawn of the file

my $path = "/v/t62.7118-24/preview_$$" . '_n.enc';

sim(media => { path => $path, file => save('txt', "only text\n"),
    unsigned => 1 });
$id = pending($jpeg, source_of($v, key_type => 'document', mimetype =>
    'text/plain', direct_path => "$path?oh=1&oe=7AA2BB25", file_length => 10,
    media_key => undef, sha256 => undef, enc_sha256 => undef),
    file_name => 'note');
preview($id);
run_job('download', $id);
$row = job_row($id);
is($row->{status}, 'completed', 'a file without a thumbnail')
    or diag($row->{error_message});
like($row->{thumbnail_url}, qr{_note_preview\.jpg$}, 'the preview stays');
isnt(object(key_of($row->{thumbnail_url})), '', 'and is there');

sql('UPDATE media.message_attachments SET metadata = metadata - '
    . "'made_by' WHERE id = '$id'");
is(run_job('job', encode_json({ type => 'rebuild', attachment_id => $id }))
    ->{result}, 'done', 'it is rebuilt');
is((hops($id))[-1]{stage} . (hops($id))[-1]{outcome}, 'rebuildok',
    'which a hop says');
is(job_row($id)->{thumbnail_url}, $row->{thumbnail_url}, 'and stays');
isnt(object(key_of($row->{thumbnail_url})), '', 'and is there');


# what is no picture, or too much of one

my $bomb = $jpeg;
my $svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';

$bomb =~ s/(\xff\xc0..\x08)..../$1\xff\xff\xff\xff/s
    or die "no start of a frame\n";

my %hostile = ('text' => $secret, 'half of a JPEG' => "\xff\xd8\xff\xe0",
    'a bomb' => $bomb, 'SVG' => $svg, 'a PDF' => "%PDF-1.4\n$secret",
    'noise' => join '', map { chr($_ * 7 % 251) } 1 .. 60000);

for my $name (sort keys %hostile) {
    my $id = pending($hostile{$name});
    my $log = "$dir/log";

    {
        local $ENV{MEDIA_LOG_FILE} = $log;
        local $ENV{MEDIA_LOG_LEVEL} = 'debug';

        is(preview($id), 'done', "$name: done");
    }

    is(job_row($id)->{thumbnail_url}, '', "$name: no thumbnail");
    is((hops($id))[0]{outcome}, 'failed', "$name: a hop");
    is(kept($id), '', "$name: is not kept");
    unlike(slurp($log), qr/\Q$secret\E/, "$name: nor told");
}

is(preview(pending($jpeg)), 'done', 'the next one is drawn');


# a backend that is away; jobs that are none

$id = pending($jpeg);

{
    local $ENV{S3_ENDPOINT_URL} = 'http://127.0.0.1:1';

    is(preview($id), 'again', 'S3 is away: later');
}

is(kept($id), 1, 'nothing is lost');
is(preview($id), 'done', 'then it is there');
like(job_row($id)->{thumbnail_url}, qr/_preview\.jpg$/, 'with its address');
is(preview($_), 'dead', "id '$_': malformed") for '', 'x', "$id'";
is(preview('00000000-0000-0000-0000-000000000000'), 'done', 'no such row');


# webhooks: of both providers that send one, in each form of bytes

my $owner = 'pv' . $$;
my %name = (evolution => "pv-evolution-$$", wapi => "pv-wapi-$$");

add_tenant($owner);
add_instance($owner, $_, $name{$_}) for sort keys %name;

sub message {
    my ($bytes, $what) = @_;
    my $copy = decode_json(encode_json($v));
    my $path = '/v/t62.7118-24/pv_' . $$ . '_' . $serial++ . '_n.enc';

    sim(fault => { path => $path, times => 99, status => 503 });
    $copy->{message}{imageMessage}{directPath} =
        "$path?ccb=11-4&oh=01_x&oe=7AA2BB25";
    $copy->{message}{imageMessage}{jpegThumbnail} = encode_base64($bytes, '');

    return $copy;
}

sub waiting {
    my ($id) = @_;
    my @names = qw(id status thumbnail_url preview);
    my %a;

    wait_until(30, sub {
        @a{@names} = sql_row('SELECT a.id, a.status, a.thumbnail_url, '
            . 'a.preview IS NOT NULL FROM media.message_attachments a '
            . 'JOIN media.messages m ON m.id = a.message_id '
            . "WHERE m.provider_id = '$id'");
        return $a{id} && ($a{thumbnail_url} || $a{status} eq 'failed');
    });

    return \%a;
}

for my $era (qw(base64 object long wapi)) {
    my $id = unique_id();
    my $provider = $era eq 'wapi' ? 'wapi' : 'evolution';
    my $body = $era eq 'wapi'
        ? wapi_body($name{wapi}, message($jpeg), id => $id)
        : evolution_body($name{evolution}, message($jpeg), id => $id,
            era => $era);

    webhook($provider, $body);

    my $a = waiting($id);

    isnt($a->{status}, 'completed', "$era: the file has not come");
    like($a->{thumbnail_url}, qr/_preview\.jpg$/, "$era: the preview has");
}

{
    my $id = unique_id();

    webhook('evolution', evolution_body($name{evolution},
        message($jpeg . "\0" x 65536), id => $id));
    ok(wait_until(30, sub { sql("SELECT 1 FROM media.messages WHERE "
        . "provider_id = '$id'") }), 'a message with a large preview');
    is((sql_row('SELECT a.preview IS NULL FROM media.message_attachments a '
        . 'JOIN media.messages m ON m.id = a.message_id WHERE '
        . "m.provider_id = '$id'"))[0], 't', 'which is not kept');
    is(waiting($id)->{thumbnail_url}, '', 'nor shown');
}

done_testing();
