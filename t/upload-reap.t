#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# What was not completed is reaped once its URLs are good no more, and what
# came back to the quarantine; nothing that a row owns ever is.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector plain_of sql sql_row wait_until);
use Job;
use Store;
use Test::More;
use Upload;
use Worker;

job_or_skip();
worker_or_skip(qw(RABBITMQ_URL));

my $i = instance(tenant(), 'evolution');
my $jpeg = plain_of(vector('image-jpeg'));


sub aged {
    my ($c, $expired, $updated) = @_;

    sql('UPDATE media.uploads SET expires_at = now() - interval '
        . "'$expired', updated_at = now() - interval '"
        . ($updated // '1 day') . "' WHERE id = '$c->{attachment_id}'");
}

sub issued {
    my (%opt) = @_;
    my $c = claims($i, $jpeg, %opt);

    put_file($c->{upload_key}, $jpeg);
    run_upload(job_of('upload_issued', $c));
    return $c;
}

sub reaped {
    my ($c) = @_;
    my $row = upload_row($c);

    return "$row->{state} " . ($row->{reaped} eq 't' ? 'reaped' : 'there');
}


# by the sweeper and the queue

my %c = (abandoned => issued(), fresh => issued(), graceful => issued(),
    queued => issued(), empty => claims($i, $jpeg));

run_upload(job_of('upload_issued', $c{empty}));
($c{finished}) = upload($i, $jpeg);
put_file($c{finished}{upload_key}, 'back again');
($c{failed}) = upload($i, 'text', file_type => 'image/png');
put_file($c{failed}{upload_key}, 'back again');

{
    local $ENV{CLAMD_ADDRESS} = '127.0.0.1:1';

    ($c{uploaded}) = upload($i, $jpeg);
}

is(upload_row($c{uploaded})->{state}, 'uploaded', 'one waits for a scanner');
aged($c{$_}, '2 hours') for qw(abandoned finished failed uploaded empty);
aged($c{graceful}, '50 minutes');
aged($c{queued}, '2 hours', '1 second');

run_program('sweep', 'uploads');
ok(wait_until(40, sub { reaped($c{abandoned}) eq 'abandoned reaped' }),
    'reaped') or diag(reaped($c{abandoned}));
ok(wait_until(20, sub { reaped($c{$_}) =~ /reaped/ }), "$_: reaped")
    for qw(finished failed empty);

ok(!exists_key($c{$_}{upload_key}), "$_: quarantine is empty")
    for qw(abandoned finished failed);

my $row = job_row($c{abandoned}{attachment_id});

is($row->{status}, 'failed', 'the attachment failed');
is($row->{error_message}, 'the upload was not completed', 'why');
is(join(' ', map { $_->{type} } events($c{abandoned}{attachment_id})),
    'attachment_failed', 'people are told');
is(job_row($c{empty}{attachment_id})->{status}, 'failed',
    'of one that was never put, too');

is(upload_row($c{finished})->{state}, 'finished', 'finished stays');
is(job_row($c{finished}{attachment_id})->{status}, 'completed', 'as it was');
ok(object($c{finished}{file_key}) eq $jpeg, 'with its file');
is(upload_row($c{failed})->{state}, 'failed', 'failed stays');

is(reaped($c{$_}), 'issued there', "$_: is left")
    for qw(fresh graceful queued);
ok(exists_key($c{$_}{upload_key}), "$_: with its object")
    for qw(fresh graceful queued);
is(upload_row($c{uploaded})->{reaped}, 'f', 'uploaded: is not reaped');


# the same id again, as of a client's key: an object that comes later is
# reaped, too, and the file stays; also when the row was dropped

for my $name (qw(finished abandoned)) {
    put_file($c{$name}{upload_key}, 'again');
    run_upload(job_of('upload_issued', { %{ $c{$name} },
        expires => time + 400 }));
    is(upload_row($c{$name})->{reaped}, 'f', "$name: not reaped any more");
    aged($c{$name}, '2 hours');
    is(run_upload(job_of('upload_reap', $c{$name})), 'done',
        "$name: reaped again");
    ok(!exists_key($c{$name}{upload_key}), "$name: quarantine is empty");
}

sql("DELETE FROM media.uploads WHERE id = '$c{finished}{attachment_id}'");
is(run_upload(job_of('upload_complete', $c{finished}, etag =>
    put_file($c{finished}{upload_key}, 'again'))), 'done', 'a dropped row');
is(upload_row($c{finished})->{state}, 'finished', 'has its state again');
ok(!exists_key($c{finished}{upload_key}), 'quarantine is empty');
ok(object($c{finished}{file_key}) eq $jpeg, 'the file is the same');


# whatever the queue says

for my $name (qw(fresh graceful)) {
    is(run_upload(job_of('upload_reap', $c{$name})), 'done', "$name: a job");
    is(reaped($c{$name}), 'issued there', "$name: is left");
}

{
    local $ENV{CLAMD_ADDRESS} = '127.0.0.1:1';

    ($c{late}) = upload($i, $jpeg);
    aged($c{late}, '2 hours');
    is(run_upload(job_of('upload_reap', $c{late})), 'done',
        'completed, but not processed');
    is(reaped($c{late}), 'uploaded there', 'is left');
    ok(exists_key($c{late}{upload_key}), 'with its object');
}

is(run_upload(job_of('upload_process', $c{late})), 'done', 'and processed');
is(upload_row($c{late})->{state}, 'finished', 'is finished');

is(run_upload('{"type":"upload_reap","attachment_id":'
    . '"00000000-0000-4000-8000-000000000000"}'), 'done', 'no row');


# S3 is away

{
    my $c = issued();

    aged($c, '2 hours');

    {
        local $ENV{S3_ENDPOINT_URL} = 'http://127.0.0.1:1';

        is(run_upload(job_of('upload_reap', $c)), 'again', 'S3 is away');
    }

    is(reaped($c), 'abandoned there', 'not reaped yet');
    is(run_upload(job_of('upload_reap', $c)), 'done', 'S3 is back');
    is(reaped($c), 'abandoned reaped', 'reaped');
    is((scalar events($c->{attachment_id})), 1, 'told once');
}


# parts

sub multipart {
    my $c = claims($i, $jpeg, part_size => 5 * 1024 * 1024);
    my $path = Store::path($ENV{S3_BUCKET}, $c->{upload_key});
    my $a = s3()->post($path, '', query => 'uploads=');

    ($c->{multipart_id}) = $a->{body} =~ m{<UploadId>([^<]+)};
    s3()->put($path, 'x' x 1000, query => 'partNumber=1&uploadId='
        . Store::encode($c->{multipart_id}));
    run_upload(job_of('upload_issued', $c));
    return $c;
}

sub parts {
    my ($c) = @_;

    return s3()->get(Store::path($ENV{S3_BUCKET}, $c->{upload_key}),
        query => 'uploadId=' . Store::encode($c->{multipart_id}))->{status};
}

my $c = multipart();

is(parts($c), 200, 'parts are there');
aged($c, '2 hours');
is(run_upload(job_of('upload_reap', $c)), 'done', 'reaped');
is(parts($c), 404, 'the multipart upload is aborted');
is(reaped($c), 'abandoned reaped', 'for good');

$c = multipart();
is(run_upload(job_of('upload_abort', $c)), 'done', 'aborted');
is(parts($c), 404, 'parts are gone');
is(run_upload(job_of('upload_abort', $c)), 'done', 'aborted again');
is(reaped($c), 'abandoned there', 'the reaper looks again');
aged($c, '2 hours');
is(run_upload(job_of('upload_reap', $c)), 'done', 'it does');


# what waits for a job that got lost

my $lost = issued();

sql("UPDATE media.message_attachments SET updated_at = now() - interval "
    . "'1 day' WHERE id IN ('$c{uploaded}{attachment_id}', "
    . "'$lost->{attachment_id}')");
ok(wait_until(40, sub {
    job_row($c{uploaded}{attachment_id})->{status} eq 'completed';
}), 'a completed upload is queued again');
is(upload_row($c{uploaded})->{state}, 'finished', 'and finished');
is(job_row($lost->{attachment_id})->{status}, 'pending',
    'one that is not completed is not');
is(job_row($lost->{attachment_id})->{attempts}, 0, 'nor downloaded');


# rows are dropped in the end

sql("UPDATE media.uploads SET reaped_at = now() - interval '40 days' WHERE id "
    . "= '$c{abandoned}{attachment_id}'");
run_program('sweep', 'uploads');
is((sql_row('SELECT count(*) FROM media.uploads WHERE id = '
    . "'$c{abandoned}{attachment_id}'"))[0], 0, 'an old row is dropped');
is((sql_row('SELECT count(*) FROM media.uploads WHERE id = '
    . "'$c{finished}{attachment_id}'"))[0], 1, 'others are not');

done_testing();
