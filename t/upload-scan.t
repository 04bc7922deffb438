#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Uploads are scanned for viruses: by ClamAV's daemon with one signature, and
# by servers that do not do what clamd should.  Only a verdict counts as one.

use strict;
use warnings;

use lib 't/lib';

use Clamd;
use E2E qw(vector plain_of);
use File::Temp qw(tempdir);
use Job;
use Test::More;
use Upload;

job_or_skip();

my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $jpeg = plain_of(vector('image-jpeg'));
my @text = (kind => 'document', file_type => 'text/plain');
my $dir = tempdir(CLEANUP => 1);

sub status { return job_row($_[0]{attachment_id}) }


SKIP: {
    skip('clamd is not installed (clamav-daemon)', 32) unless clamd_program();

    my $clamd = clamd_start() or BAIL_OUT('clamd does not start');

    for my $name (qw(unix tcp name)) {
        local $ENV{CLAMD_ADDRESS} = $clamd->{$name};

        my ($c, $result) = upload($i, $jpeg);

        is(status($c)->{status}, 'completed', "$name: clean");
        ok((grep { $_->{stage} eq 'scan' && $_->{outcome} eq 'ok' }
            hops($c->{attachment_id})), "$name: was scanned");

        ($c, $result) = upload($i, eicar(), @text);
        is($result, 'done', "$name: infected: ends");
        is(status($c)->{status}, 'failed', "$name: infected");
        like(status($c)->{error_message},
            qr/^the file contains a virus: Eicar-Test/,
            "$name: names the virus");
        ok(!exists_key($c->{$_}), "$name: no $_ is left")
            for qw(upload_key file_key);

        my @failed = grep { $_->{type} eq 'attachment_failed' }
            events($c->{attachment_id});

        is(scalar @failed, 1, "$name: an event");
        like($failed[0]{payload}{error}, qr/Eicar-Test/,
            "$name: which names the virus");
    }

    local $ENV{CLAMD_ADDRESS} = $clamd->{unix};

    # the virus behind what clamd looks at
    my ($c, $result) = upload($i, 'text ' x 800_000 . eicar(), @text);

    is($result, 'done', 'above StreamMaxLength: ends');
    is(status($c)->{status}, 'failed', 'above StreamMaxLength: failed');
    like(status($c)->{error_message}, qr/too large for the virus scanner/,
        'above StreamMaxLength: why');

    ok(!exists_key("quarantine/$tenant/$c->{attachment_id}"),
        'no quarantine unless there is to be one');
    is(clamd_stop($clamd), 0, 'clamd ended');
}


# no clamd: it waits for it, as for S3; never taken as clean

{
    local $ENV{CLAMD_ADDRESS} = "unix:$dir/nobody";

    my ($c, $result) = upload($i, $jpeg);

    is($result, 'again', 'no clamd: waits');
    is(status($c)->{status}, 'pending', 'no clamd: pending');
    is(status($c)->{attempts}, 0, 'no clamd: not counted');
    like(status($c)->{error_message}, qr/could not be scanned.*clamd is away/,
        'no clamd: why');
    ok(!exists_key($c->{file_key}), 'no clamd: nothing can be read');

    local $ENV{CLAMD_ADDRESS} = '';

    is(run_upload(job_of('upload_process', $c)), 'done', 'without it');
    is(status($c)->{status}, 'completed', 'completed');
}


# what a server may answer

for my $case (
    [ "stream: OK\0",                      'done',  'completed' ],
    [ "stream: Win.Test.X FOUND\0",        'done',  'failed'    ],
    [ "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0",
                                           'done',  'failed'    ],
    [ "INSTREAM size limit exceeded. ERROR\0", 'done', 'failed' ],
    [ "stream: OK",                        'retry', 'pending'   ],
    [ "stream: OK\n",                      'retry', 'pending'   ],
    [ "stream: NOT OK\0",                  'retry', 'pending'   ],
    [ "stream:  FOUND\0",                  'retry', 'pending'   ],
    [ "stream: Time limit reached ERROR\0", 'retry', 'pending'  ],
    [ "UNKNOWN COMMAND\0",                 'retry', 'pending'   ],
    [ "\0",                                'retry', 'pending'   ],
    [ '',                                  'retry', 'pending'   ],
    [ 'x' x 5000,                          'retry', 'pending'   ])
{
    my ($answer, $result, $status) = @$case;
    my $name = substr $answer =~ s/\0/\\0/r =~ s/\n/\\n/r, 0, 40;

    clamd_fake(sub {
        my ($s) = @_;

        read_stream($s);
        print $s $answer;
    }, sub {
        my ($c, $rc) = upload($i, $jpeg);

        is($rc, $result, "\"$name\": $result");
        is(status($c)->{status}, $status, "\"$name\": $status");
    });
}

clamd_fake(sub {
    my ($s) = @_;

    print $s "INSTREAM size limit exceeded. ERROR\0";
    sysread $s, my $some, 65536 for 1 .. 3;
}, sub {
    my ($c, $rc) = upload($i, 'text ' x 1_000_000, @text);

    isnt(status($c)->{status}, 'completed', 'an answer before the end');
    ok(!exists_key($c->{file_key}), 'nothing can be read');
});

# the file may be what clamd dies of: the attempts are counted

clamd_fake(sub { close $_[0] }, sub {
    local $ENV{MEDIA_DOWNLOAD_ATTEMPTS} = 2;

    my ($c, $rc) = upload($i, $jpeg);

    is($rc, 'retry', 'clamd ends: tried again');
    is(run_upload(job_of('upload_process', $c)), 'done', 'and ends');
    is(status($c)->{status}, 'failed', 'failed');
    like(status($c)->{error_message}, qr/could not be scanned.*not answer/,
        'and says why');
    ok(!exists_key($c->{file_key}), 'nothing can be read');
});

done_testing();
