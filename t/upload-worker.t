#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# From an object that a browser put to an attachment that is served: jobs of
# media_upload in any order, as often as they come; what is refused, and why.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use E2E qw(vector plain_of sql sql_row slurp);
use File::Temp qw(tempdir);
use Job;
use Store;
use Test::More;
use Upload;

job_or_skip();

my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $jpeg = plain_of(vector('image-jpeg'));

sub types { return join ' ', map { $_->{type} } events($_[0]) }

sub reason_is {
    my ($c, $match, $name) = @_;
    my $row = job_row($c->{attachment_id});
    my @events = grep { $_->{type} eq 'attachment_failed' }
        events($c->{attachment_id});

    is($row->{status}, 'failed', "$name: failed");
    like($row->{error_message}, $match, "$name: reason");
    is(upload_row($c)->{state}, 'failed', "$name: upload failed");
    is(scalar @events, 1, "$name: one event");
    like($events[0]{payload}{error}, $match, "$name: reason in the event");

    for my $send (sends_of($c)) {
        is($send->{state}, 'failed', "$name: the send failed");
        like($send->{error}, $match, "$name: for the same reason");
    }

    ok(!exists_key($c->{$_}), "$name: no $_ is left")
        for qw(upload_key file_key);
    ok(!exists_key("$c->{upload_key}.sealed"), "$name: no copy is left");
}


# a photo

my $c = claims($i, $jpeg, file_name => "Fotografia \x{e9} uma.jpg",
    file_key => undef);
my $id = $c->{attachment_id};

$c->{file_key} = "chat/$tenant/$i->{conversation}/" . substr($id, 0, 8)
    . '_Fotografia_uma.jpg';

is(run_upload(job_of('upload_issued', $c)), 'done', 'issued');

my $row = job_row($id);

is($row->{status}, 'pending', 'pending once issued');
is($row->{file_type}, 'image/jpeg', 'with its type');
is($row->{metadata}{direction}, 'outgoing', 'direction');
is($row->{file_url}, "$ENV{MEDIA_PUBLIC_URL}$c->{file_key}", 'file_url');
is($row->{storage_key}, '', 'nothing is stored');
is(upload_row($c)->{state}, 'issued', 'upload is issued');
is(types($id), '', 'nothing is told');

my $etag = put_file($c->{upload_key}, $jpeg);
my $job = job_of('upload_complete', $c, etag => $etag);

is(run_upload($job), 'done', 'completed');
$row = job_row($id);
is($row->{status}, 'completed', 'the attachment is complete')
    or diag($row->{error_message});
is($row->{storage_key}, $c->{file_key}, 'under the key that was told');
is($row->{sha256}, sha256_hex($jpeg), 'SHA-256');
is($row->{size_bytes}, length $jpeg, 'size');
ok($row->{metadata}{width} > 0, 'dimensions');
isnt($row->{thumbnail_url}, '', 'thumbnail');
is(upload_row($c)->{state}, 'finished', 'upload is finished');
like(types($id), qr/^new_message( upload_progress){3} attachment_ready\b/,
    'events');
is(join(' ', map { $_->{payload}{stage} // () } events($id)),
    'received verified stored', 'stages');
ok(object($c->{file_key}) eq $jpeg, 'the object is the file');
ok(!exists_key($c->{upload_key}), 'the quarantine is empty');
ok(!exists_key("$c->{upload_key}.sealed"), 'of the copy, too');

my ($send, @more) = sends_of($c);

is(scalar @more, 0, 'one send');
is($send->{ready}, 't', 'is ready');
is((sql_row('SELECT m.content FROM media.messages m JOIN '
    . 'media.message_attachments a ON a.message_id = m.id WHERE a.id = '
    . "'$id'"))[0], 'a caption', 'its message has attachment and caption');

my $head = s3()->head(Store::path($ENV{S3_BUCKET}, $c->{file_key}))->{h};

is($head->{'content-type'}, 'image/jpeg', 'content type');
is($head->{'content-disposition'}, 'inline; filename="Fotografia_uma.jpg"; '
    . "filename*=UTF-8''Fotografia%20%C3%A9%20uma.jpg", 'disposition');


# again, in any order

is(join(' ', run_upload($job, job_of('upload_issued', $c), $job,
    job_of('upload_abort', $c), job_of('upload_process', $c),
    job_of('upload_reap', $c))), 'done done done done done done',
    'all of them again');
is(job_row($id)->{status}, 'completed', 'still complete');
is(upload_row($c)->{state}, 'finished', 'still finished');
is((scalar grep { $_->{type} eq 'attachment_ready' } events($id)), 1,
    'told once');
is(scalar(my @sends = sends_of($c)), 1, 'sent once');
ok(exists_key($c->{file_key}), 'abort and reaper left it alone');

$c = claims($i, $jpeg);
$etag = put_file($c->{upload_key}, $jpeg);
is(run_upload(job_of('upload_complete', $c, etag => $etag)), 'done',
    'completed before it is issued');
is(run_upload(job_of('upload_issued', $c)), 'done', 'and then issued');
is(job_row($c->{attachment_id})->{status}, 'completed', 'is complete');


# aborted, and completed nevertheless

$c = claims($i, $jpeg);
$etag = put_file($c->{upload_key}, $jpeg);
is(run_upload(job_of('upload_abort', $c)), 'done', 'aborted');
is(upload_row($c)->{state}, 'abandoned', 'abandoned');
like(job_row($c->{attachment_id})->{error_message}, qr/cancelled/, 'why');
ok(!exists_key($c->{upload_key}), 'its object is deleted');
is(run_upload(job_of('upload_complete', $c, etag => $etag)), 'done',
    'completed then');
is(upload_row($c)->{state}, 'abandoned', 'abandoned still');
is((scalar grep { $_->{type} eq 'attachment_failed' }
    events($c->{attachment_id})), 1, 'told once');


# other kinds

my $ogg = plain_of(vector('audio-ptt-ogg-opus'));

my ($v, $result) = upload($i, $ogg, kind => 'voice',
    file_type => 'audio/ogg;codecs=opus');

$row = job_row($v->{attachment_id});
is($row->{status}, 'completed', 'voice note') or diag($row->{error_message});
is($row->{metadata}{ptt}, JSON::PP::true, 'ptt');
is((sql_row('SELECT category FROM media.message_attachments WHERE id = '
    . "'$v->{attachment_id}'"))[0], 'audio', 'is audio');

my $pdf = plain_of(vector('document-pdf'));

($v) = upload($i, $pdf, kind => 'document', file_type => 'application/pdf',
    file_name => 'relatorio');
$row = job_row($v->{attachment_id});
is($row->{status}, 'completed', 'document') or diag($row->{error_message});
$head = s3()->head(Store::path($ENV{S3_BUCKET}, $v->{file_key}))->{h};
like($head->{'content-disposition'}, qr/^attachment; .*relatorio\.pdf/,
    'is not shown inline, and gets an extension');

($v) = upload($i, $jpeg, kind => 'document', file_name => 'foto.jpg');
is(job_row($v->{attachment_id})->{status}, 'completed',
    'a photo as a document');


SKIP: {
    skip('ffmpeg is not installed', 16) if system('ffmpeg -version >/dev/null '
        . '2>&1') != 0;

    my $dir = tempdir(CLEANUP => 1);
    my @quiet = qw(ffmpeg -nostdin -loglevel error -y);

    # what a browser records of a microphone, as it calls it
    system(@quiet, '-i', 't/data/media/voice.ogg', '-c', 'copy',
        "$dir/voice.webm");

    for my $type ('audio/webm;codecs=opus', 'video/webm') {
        ($v) = upload($i, slurp("$dir/voice.webm"), kind => 'voice',
            file_type => $type);
        $row = job_row($v->{attachment_id});
        is($row->{status}, 'completed', "voice note as $type")
            or diag($row->{error_message});
        is($row->{metadata}{renditions}{voice}{type},
            'audio/ogg; codecs=opus', 'with what is sent');
        ok(exists_key($row->{metadata}{renditions}{voice}{key}), 'stored');
    }

    system(@quiet, '-i', 't/data/media/clip.mp4', '-c', 'copy', '-f', 'mov',
        "$dir/clip.mov");
    ($v) = upload($i, slurp("$dir/clip.mov"), kind => 'video',
        file_type => 'video/quicktime');
    reason_is($v, qr/WhatsApp takes videos as MP4 or 3GPP/,
        'what WhatsApp does not take');
}


# what is refused

($v) = upload($i, $pdf);
reason_is($v, qr{declared image/jpeg, content is application/pdf},
    'another type');

my $page = '<!DOCTYPE html><html><script>alert(1)</script></html>';

($v) = upload($i, $page, kind => 'document', file_type => 'text/plain');
reason_is($v, qr{content is text/html}, 'a page as text');

my $program = "MZ" . "\0" x 58 . pack('V', 64) . "PE\0\0" . "\x64\x86"
    . "\0" x 500;

($v) = upload($i, $program, kind => 'document',
    file_type => 'application/pdf');
reason_is($v, qr{declared application/pdf}, 'a program as PDF');

$v = claims($i, $jpeg, file_size => length($jpeg) + 1);
$etag = put_file($v->{upload_key}, $jpeg);
run_upload(job_of('upload_complete', $v, etag => $etag));
reason_is($v, qr/has \d+ bytes, but \d+ were announced/, 'another size');

$v = claims($i, $jpeg);
run_upload(job_of('upload_complete', $v, etag => etag_of($jpeg)));
reason_is($v, qr/not there/, 'no object');

{
    local $ENV{MEDIA_IMAGE_MAX_SIZE} = 100;

    ($v) = upload($i, $jpeg);
    reason_is($v, qr/too large/i, 'above the limit of the worker');
}

{
    local $ENV{MEDIA_IMAGE_TYPES} = 'image/png';

    ($v) = upload($i, $jpeg);
    reason_is($v, qr/not allowed.*image\/jpeg/i, 'a type of no list');
}


# what cannot be sent

$v = claims($i, $jpeg);
$etag = put_file($v->{upload_key}, $jpeg);
run_upload(job_of('upload_complete', $v, etag => $etag,
    reply_to => '999999999999'));
reason_is($v, qr/no such message to reply to/, 'a reply to nothing');

$v = claims($i, $jpeg);
$etag = put_file($v->{upload_key}, $jpeg);
run_upload(job_of('upload_complete', $v, etag => $etag,
    idempotency_key => $id));
reason_is($v, qr/idempotency key/, 'the idempotency key of another');


# conversations of nobody, or of others

my $other = instance(tenant(), 'evolution');

for my $conversation (999999999999, $other->{conversation}) {
    $v = claims($i, $jpeg, conversation_id => "$conversation");
    $v->{file_key} =~ s{/$i->{conversation}/}{/$conversation/};
    $etag = put_file($v->{upload_key}, $jpeg);

    is(run_upload(job_of('upload_issued', $v)), 'done', 'no conversation');
    is(upload_row($v)->{state}, 'failed', 'failed');
    is(run_upload(job_of('upload_complete', $v, etag => $etag)), 'done',
        'completed');

    my @events = events($v->{attachment_id});

    is(scalar @events, 1, 'one event');
    is($events[0]{type}, 'attachment_failed', 'its type');
    is($events[0]{payload}{conversation_id}, $conversation, 'conversation');
    is((sql_row('SELECT count(*) FROM media.message_attachments WHERE id = '
        . "'$v->{attachment_id}'"))[0], 0, 'no attachment');
    ok(!exists_key($v->{upload_key}), 'its object is deleted');
}

$v = claims({ tenant => 'nobody', conversation => 1 }, $jpeg);
is(run_upload(job_of('upload_issued', $v)), 'done', 'no tenant');
is(upload_row($v)->{state}, 'failed', 'failed');


# jobs of nobody's

$v = claims($i, $jpeg);

for my $bad ({ upload_key => "chat/$tenant/1/x.jpg" }, { kind => 'text' },
    { file_key => "chat/other/1/x.jpg" }, { attachment_id => 'x' },
    { file_key => "uploads/$tenant/x" }, { tenant => 'other' },
    { conversation_id => '1; DROP' })
{
    is(run_upload(job_of('upload_complete', { %$v, %$bad }, etag => '"x"')),
        'dead', 'malformed: ' . (keys %$bad)[0]);
}

is(run_upload(job_of('upload_complete', $v)), 'dead', 'no ETag');
is(run_upload('{"type":"x"}'), 'dead', 'unknown type');
is(run_upload('{'), 'dead', 'no JSON');

done_testing();
