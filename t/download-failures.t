#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A failed download is tried again, or ends at once, by what the servers said;
# the row says why.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector plain_of sim sim_serve data_dir sim_requests sql sql_row
    slurp);
use File::Temp qw(tempdir);
use Job;
use Test::More;

job_or_skip();
sim('reset');

my $data = data_dir();
my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $v = vector('image-jpeg');
my $dir = tempdir(CLEANUP => 1);
my $serial = 0;

sub path { return '/v/t62.7118-24/fail_' . $$ . '_' . $serial++ . '_n.enc' }

# the result of the job, the row, and the requests that the CDN had

sub download {
    my ($path, %opt) = @_;
    my $query = $opt{query} // 'ccb=11-4&oh=01_x&oe=7AA2BB25';
    my $id = $opt{id} // attachment($opt{instance} // $i,
        source_of($opt{vector} // $v, direct_path => "$path?$query",
            %{ $opt{source} // {} }), %{ $opt{row} // {} });
    my $result = run_job('download', $id);

    return ($result->{result}, job_row($id), $id,
        scalar sim_requests(qr/\Q$path\E/));
}

# what passes is tried again; three more times, then it is final

for my $status (500, 503, 429, 408) {
    my $path = path();

    sim(media => { path => $path, file => "$data/$v->{enc}" });
    sim(fault => { path => $path, times => 1, status => $status });

    my ($result, $row, $id) = download($path);

    is($result, 'retry', "$status: to be tried again");
    is($row->{status}, 'pending', "$status: pending meanwhile");
    like($row->{error_message}, qr/HTTP $status/, "$status: and why");
    is(scalar(events($id)), 0, "$status: no event");

    ($result, $row) = download($path, id => $id);
    is($row->{status}, 'completed', "$status: completed the next time");
    is($row->{error_message}, '', "$status: no error left");
}

{
    my $path = path();

    sim(fault => { path => $path, times => 99, status => 500 });

    my ($result, $row, $id) = download($path);

    is($result, 'retry', 'first attempt') ;
    is((download($path, id => $id))[0], 'retry', 'second attempt');
    is((download($path, id => $id))[0], 'retry', 'third attempt');
    ($result, $row) = download($path, id => $id);
    is($result, 'done', 'the fourth is the last');
    is($row->{status}, 'failed', 'failed');
    like($row->{error_message}, qr/direct: HTTP 500/, 'the reason is named');
    is((events($id))[0]{type}, 'attachment_failed', 'an event tells');
    is((events($id))[0]{payload}{thumbnail_url}, '', 'and of no thumbnail');
}

# a transfer that breaks off is a passing failure

{
    my $path = path();

    sim(media => { path => $path, file => "$data/$v->{enc}" });
    sim(fault => { path => $path, times => 1, cut => 5000 });

    my ($result, $row, $id) = download($path);

    is($result, 'retry', 'cut: to be tried again');
    is((download($path, id => $id))[1]{status}, 'completed',
        'cut: completed the next time');
}

# past oe nothing is asked of WhatsApp

{
    my $path = path();
    my ($result, $row, $id, $n) = download($path, query => 'oh=1&oe=60000000');

    is($row->{status}, 'failed', 'expired: failed');
    like($row->{error_message}, qr/expired/, 'expired: named');
    is($n, 0, 'expired: no request');
}

# 403 for no visible reason: once more in WhatsApp's own form

{
    my $path = path();

    sim(media => { path => $path, file => "$data/$v->{enc}" });
    sim(fault => { path => $path, times => 1, status => 403,
        body => 'Bad URL hash' });

    my ($result, $row, $id, $n) = download($path);
    my ($last) = reverse sim_requests(qr/\Q$path\E/);

    is($row->{status}, 'completed', '403: the other form helps');
    is($n, 2, '403: two requests');
    like($last->{target}, qr/&hash=[\w-]+=&mms-type=image&__wa-mms=$/,
        '403: with hash and mms-type');
}

# content decides

{
    my $path = path();

    open my $f, '>', "$dir/page" or die $!;
    print $f "<!DOCTYPE html><html><body>sign in</body></html>\n";
    close $f;

    sim(media => { path => $path, file => "$dir/page", unsigned => 1 });

    my ($result, $row) = download($path, source => { enc_sha256 => undef,
        media_key => undef, sha256 => undef });

    is($row->{status}, 'failed', 'a page is no image');
    like($row->{error_message}, qr{declared image/jpeg, content is text/html},
        'and it is named');
}

{
    my $png = vector('image-png');
    my $path = path();

    sim(media => { path => $path, file => "$data/$png->{enc}" });

    my ($result, $row) = download($path, vector => $png,
        source => { mimetype => 'application/x-msdownload' },
        row => { category => 'document' });

    is($row->{status}, 'failed', 'a type outside the policy');
    like($row->{error_message}, qr/x-msdownload/, 'is named');
}

# too large, declared or not

{
    my $path = path();
    my ($result, $row, $id, $n) = download($path,
        source => { file_length => 11 * 1024 * 1024 });

    is($row->{status}, 'failed', 'declared too large: failed');
    like($row->{error_message}, qr/larger than the 10 MB limit for image/,
        'declared too large: named');
    is($n, 0, 'declared too large: no request');

    open my $f, '>', "$dir/large" or die $!;
    truncate $f, 11 * 1024 * 1024;
    close $f;

    sim(media => { path => $path, file => "$dir/large" });
    ($result, $row) = download($path);
    is($row->{status}, 'failed', 'too large: failed');
    like($row->{error_message}, qr/larger than the 10 MB limit for image/,
        'too large: named');
}

# a thumbnail that cannot be made is a warning

{
    my $path = path();

    open my $f, '>:raw', "$dir/broken" or die $!;
    print $f substr(slurp("$data/$v->{plain}"), 0, 200);
    close $f;

    sim(media => { path => $path, file => "$dir/broken", unsigned => 1 });

    my ($result, $row, $id) = download($path, source => {
        enc_sha256 => undef, media_key => undef, sha256 => undef });

    is($row->{status}, 'completed', 'a damaged image is stored');
    is($row->{thumbnail_url}, '', 'without a thumbnail');
    is((grep { $_->{stage} eq 'thumbnail' } hops($id))[0]{outcome}, 'failed',
        'and a hop says so');
}

# addresses that the sender made up

for my $url ('https://evil.example/x', 'http://169.254.169.254/latest',
    'https://whatsapp.net.evil.example/', 'https://a@mmg.whatsapp.net/')
{
    my $id = attachment($i, source_of($v, direct_path => undef,
        url => $url));
    my $result = run_job('download', $id);
    my $row = job_row($id);

    is($row->{status}, 'failed', "$url: failed");
    like($row->{error_message}, qr/rejected/, "$url: rejected");
}

# another session's lease holds; what a dead one left behind does not

{
    my $path = path();

    sim(media => { path => $path, file => "$data/$v->{enc}" });

    my $id = attachment($i, source_of($v,
        direct_path => "$path?oh=1&oe=7AA2BB25"));

    open my $psql, '|-', 'psql', '-Xq', '-o', '/dev/null', '-d',
        $ENV{DATABASE_URL} or die "psql: $!\n";
    $psql->autoflush(1);
    print $psql "SELECT pg_advisory_lock(hashtextextended('$id', 0));\n";

    for (1 .. 50) {
        last if (sql_row('SELECT count(*) FROM pg_locks WHERE locktype = '
            . "'advisory' AND granted AND objid = (hashtextextended('$id', "
            . "0) & 4294967295)::oid"))[0];
        select undef, undef, undef, 0.1;
    }

    is(run_job('download', $id)->{result}, 'again', 'leased: later');
    is(job_row($id)->{attempts}, 0, 'leased: not counted');

    close $psql;
    sql("UPDATE media.message_attachments SET status = 'processing', "
        . "lease_until = now() + interval '1 hour' WHERE id = '$id'");
    run_job('download', $id);
    is(job_row($id)->{status}, 'completed', 'left behind: taken');
}

# our own storage away: nothing is counted, nothing fails

{
    my $path = path();

    sim(media => { path => $path, file => "$data/$v->{enc}" });
    local $ENV{S3_ENDPOINT_URL} = 'http://127.0.0.1:1';

    my ($result, $row) = download($path);

    is($result, 'again', 'S3 away: later');
    is($row->{status}, 'pending', 'S3 away: pending');
    is($row->{attempts}, 0, 'S3 away: not counted');
}

# an error while the failure is saved does not lose it

{
    my $id = attachment($i, source_of($v, direct_path => undef));
    my $name = 'fail_' . $$;

    sql("CREATE SEQUENCE media.$name");
    sql("CREATE FUNCTION media.$name() RETURNS trigger LANGUAGE plpgsql AS "
        . "'BEGIN IF nextval(''media.$name'') = 1 THEN RAISE EXCEPTION "
        . "''out of order''; END IF; RETURN NEW; END'");
    sql("CREATE TRIGGER $name BEFORE UPDATE ON media.message_attachments "
        . "FOR EACH ROW WHEN (NEW.id = '$id' AND NEW.status = 'failed') "
        . "EXECUTE FUNCTION media.$name()");

    my $result = run_job('download', $id);
    my $row = job_row($id);

    sql("DROP TRIGGER $name ON media.message_attachments");
    sql("DROP FUNCTION media.$name()");
    my ($calls) = (sql("SELECT last_value FROM media.$name"))[0][0];

    sql("DROP SEQUENCE media.$name");

    is($calls, 2, 'failed is saved at the second try');
    is($result->{result}, 'done', 'and the job is done');
    is($row->{status}, 'failed', 'the row has it');
    is(scalar(events($id)), 1, 'and one event');
}

is(run_job('download', 'no-uuid')->{result}, 'dead', 'no id: dead');
is(run_job('download', '00000000-0000-0000-0000-000000000000')->{result},
    'dead', 'no row: dead');

done_testing();
