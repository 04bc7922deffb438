#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Whoever has a presigned URL may put other bytes as long as it is good.  At
# no moment does that change a byte that can be read, or complete an
# attachment with bytes that were not looked at, not even if both have the
# same size and the same MD5, which is S3's ETag.

use strict;
use warnings;

use lib 't/lib';

use Between;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex);
use E2E qw(vector plain_of slurp sql);
use File::Temp qw(tempdir);
use Job;
use Store;
use Test::More;
use Upload;

job_or_skip();
plan(skip_all => 'the S3 server speaks TLS')
    if $ENV{S3_ENDPOINT_URL} !~ m{^http:};

my $i = instance(tenant(), 'evolution');
my $dir = tempdir(CLEANUP => 1);
my $jpeg = plain_of(vector('image-jpeg'));
my @photos = ($jpeg, substr($jpeg, 0, -20) . 'x' x 20);

# X. Wang, D. Feng, X. Lai, H. Yu: Collisions for Hash Functions MD4, MD5,
# HAVAL-128 and RIPEMD, 2004

my @twins = map { pack('H*', $_) . 'x' x 1000 } (
    'd131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89'
    . '55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b'
    . 'd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0'
    . 'e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70',
    'd131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f89'
    . '55ad340609f4b30283e4888325f1415a085125e8f7cdc99fd91dbd7280373c5b'
    . 'd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0'
    . 'e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70');


# the moments of a job, by the requests that it makes

my @moments = (
    [ 'before it is copied aside',     'before', 'PUT',  '\.sealed' ],
    [ 'once it is copied aside',       'after',  'PUT',  '\.sealed' ],
    [ 'before it is read',             'before', 'GET',  '\.sealed' ],
    [ 'while it is read',              'after',  'GET',  '\.sealed' ],
    [ 'before it is stored',           'before', 'PUT',  '/chat/[^?]*\.\w+' ],
    [ 'once it is stored',             'after',  'PUT',  '/chat/[^?]*\.\w+' ],
    [ 'before it is looked up',        'before', 'HEAD', '/chat/[^?]*\.\w+' ],
    [ 'before the quarantine is emptied', 'before', 'DELETE', '/uploads/.*' ]);

s3();
is(md5_hex($photos[0]) eq md5_hex($photos[1]) ? 'same' : 'other', 'other',
    'photos of the same size');
isnt($twins[0], $twins[1], 'two documents');
is(md5_hex($twins[0]), md5_hex($twins[1]), 'with the same MD5');

for my $moment (@moments) {
    my ($name, $when, $method, $path) = @$moment;

    rewritten("photo, $name", \@photos, $when, $method, $path);
    rewritten("twins, $name", \@twins, $when, $method, $path,
        kind => 'document', file_type => 'application/pdf');
}


# between the completion and the job

for my $case ([ \@photos ], [ \@twins, kind => 'document',
    file_type => 'application/pdf' ])
{
    my ($files, @opt) = @$case;
    my $c = claims($i, $files->[0], @opt);
    my $etag = put_file($c->{upload_key}, $files->[0], $c->{file_type});

    run_upload(job_of('upload_issued', $c));
    put_file($c->{upload_key}, $files->[1], $c->{file_type});
    run_upload(job_of('upload_complete', $c, etag => $etag));
    honest($c, 'before the job');

    is(job_row($c->{attachment_id})->{error_message},
        'the file was replaced after its upload was completed',
        'says so') if $files == \@photos;
}


# the same bytes again are no other ones

my $c = claims($i, $jpeg);
my $etag = put_file($c->{upload_key}, $jpeg);

put_file($c->{upload_key}, $jpeg);
run_upload(job_of('upload_complete', $c, etag => $etag));
is(job_row($c->{attachment_id})->{status}, 'completed', 'put twice');


# afterwards, and completed again

put_file($c->{upload_key}, $photos[1]);
is(run_upload(job_of('upload_complete', $c, etag => etag_of($photos[1]))),
    'done', 'completed again with others');
ok(object($c->{file_key}) eq $jpeg, 'they are not served');
ok(!exists_key($c->{upload_key}), 'nor kept');

put_file($c->{upload_key}, $photos[1]);
sql("UPDATE media.uploads SET expires_at = now() - interval '1 day' WHERE id "
    . "= '$c->{attachment_id}'");
is(run_upload(job_of('upload_reap', $c)), 'done', 'reaped');
ok(!exists_key($c->{upload_key}), 'what came back is deleted');
ok(object($c->{file_key}) eq $jpeg, 'the file is not');
is(upload_row($c)->{reaped}, 't', 'for good');

done_testing();


sub rewritten {
    my ($name, $files, $when, $method, $path, %opt) = @_;
    my $c = claims($i, $files->[0], %opt);
    my $etag = put_file($c->{upload_key}, $files->[0], $c->{file_type});
    my $log = "$dir/log";
    my $moment = sub {
        my ($now, $m, $p) = @_;

        note_served($log, $c);

        if ($now eq $when && $m eq $method && $p =~ m{$path$|$path/}) {
            put_file($c->{upload_key}, $files->[1], $c->{file_type});
            note_line($log, 'rewritten');
        }
    };

    unlink $log;

    between(sub { $moment->('after', @_[0, 1]); return $_[2] }, sub {
        run_upload(job_of('upload_complete', $c, etag => $etag));
    }, sub { $moment->('before', @_) });

    my @lines = -e $log ? split /\n/, slurp($log) : ();
    my %served = map { $_ => 1 } grep { $_ ne 'rewritten' } @lines;

    ok((grep { $_ eq 'rewritten' } @lines), "$name: is rewritten then");
    cmp_ok(scalar keys %served, '<=', 1, "$name: one file was served");
    honest($c, $name, keys %served);

    my $row = job_row($c->{attachment_id});

    if ($name !~ /before it is copied/) {
        is($row->{status}, 'completed', "$name: completed")
            or diag($row->{error_message});
        is($row->{sha256}, sha256_hex($files->[0]), "$name: as it was");
    }
}


# what can be read is what was looked at, or nothing

sub honest {
    my ($c, $name, @served) = @_;
    my $row = job_row($c->{attachment_id});

    if ($row->{status} eq 'completed') {
        is(sha256_hex(object($c->{file_key})), $row->{sha256},
            "$name: honest");
        is($_, $row->{sha256}, "$name: at any time") for @served;
        return;
    }

    is($row->{status}, 'failed', "$name: failed");
    ok(!exists_key($c->{file_key}), "$name: nothing is there");
    is("@served", '', "$name: nothing ever was");
}


sub note_served {
    my ($log, $c) = @_;
    my $a = s3()->get(Store::path($ENV{S3_BUCKET}, $c->{file_key}));

    note_line($log, sha256_hex($a->{body})) if $a->{status} == 200;
}


sub note_line {
    my ($log, $line) = @_;

    open my $f, '>>', $log or die "$log: $!\n";
    print $f "$line\n";
    close $f;
}
