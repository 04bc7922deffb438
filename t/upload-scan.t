#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Uploads are scanned for viruses: by ClamAV's daemon with one signature, and
# by servers that do not do what clamd should.  Only a verdict counts as one.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector plain_of wait_until);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Job;
use Test::More;
use Upload;

job_or_skip();

my $tenant = tenant();
my $i = instance($tenant, 'evolution');
my $jpeg = plain_of(vector('image-jpeg'));
my $eicar = join '', 'X5O!P%@AP[4\PZX54(P^)7CC)7}', '$EICAR-STANDARD-',
    'ANTIVIRUS-TEST-FILE!$H+H*';
my @text = (kind => 'document', file_type => 'text/plain');
my $dir = tempdir(CLEANUP => 1);
my ($clamd) = grep { -x } qw(/usr/sbin/clamd /usr/local/sbin/clamd);

sub status { return job_row($_[0]{attachment_id}) }


SKIP: {
    skip('clamd is not installed (clamav-daemon)', 26) unless $clamd;

    my $port = IO::Socket::INET->new(Listen => 1,
        LocalAddr => '127.0.0.1')->sockport;

    write_file("$dir/test.hdb", "44d88612fea8a8f36de82e1278abb02f:68:"
        . "Eicar-Test\n");
    write_file("$dir/clamd.conf", <<"CONF");
DatabaseDirectory $dir
LocalSocket $dir/clamd
TCPSocket $port
TCPAddr 127.0.0.1
TemporaryDirectory $dir
StreamMaxLength 1M
AlertExceedsMax yes
Foreground yes
CONF

    my $pid = fork();

    if ($pid == 0) {
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec $clamd, '-c', "$dir/clamd.conf";
        exit 1;
    }

    ok(wait_until(60, sub { IO::Socket::UNIX->new(Peer => "$dir/clamd") }),
        'clamd runs') or diag(E2E::slurp("$dir/log"));

    for my $address ("unix:$dir/clamd", "127.0.0.1:$port",
        "localhost:$port")
    {
        local $ENV{CLAMD_ADDRESS} = $address;

        my $name = $address =~ s/\W.*//r;
        my ($c, $result) = upload($i, $jpeg);

        is(status($c)->{status}, 'completed', "$name: clean");
        ok((grep { $_->{stage} eq 'scan' && $_->{outcome} eq 'ok' }
            hops($c->{attachment_id})), "$name: was scanned");

        ($c, $result) = upload($i, $eicar, @text);
        is($result, 'done', "$name: infected: ends");
        is(status($c)->{status}, 'failed', "$name: infected");
        like(status($c)->{error_message},
            qr/^the file contains a virus: Eicar-Test/,
            "$name: names the virus");
        ok(!exists_key($c->{$_}), "$name: no $_ is left")
            for qw(upload_key file_key);
    }

    local $ENV{CLAMD_ADDRESS} = "unix:$dir/clamd";

    # the virus behind what clamd looks at
    my ($c, $result) = upload($i, 'text ' x 800_000 . $eicar, @text);

    is($result, 'done', 'above StreamMaxLength: ends');
    is(status($c)->{status}, 'failed', 'above StreamMaxLength: failed');
    like(status($c)->{error_message}, qr/too large for the virus scanner/,
        'above StreamMaxLength: why');

    kill 'TERM', $pid;
    waitpid $pid, 0;
    is($?, 0, 'clamd ended') or diag(E2E::slurp("$dir/log"));
}


# no clamd: tried again, in the end failed, never taken as clean

{
    local $ENV{CLAMD_ADDRESS} = "unix:$dir/nobody";
    local $ENV{MEDIA_DOWNLOAD_ATTEMPTS} = 2;

    my ($c, $result) = upload($i, $jpeg);

    is($result, 'retry', 'no clamd: tried again');
    is(status($c)->{status}, 'pending', 'no clamd: pending');
    ok(!exists_key($c->{file_key}), 'no clamd: nothing can be read');

    {
        local $ENV{CLAMD_ADDRESS} = '';

        is(run_upload(job_of('upload_process', $c)), 'done', 'without it');
        is(status($c)->{status}, 'completed', 'completed');
    }

    ($c) = upload($i, $jpeg);
    is(run_upload(job_of('upload_process', $c)), 'done', 'no clamd: ends');
    is(status($c)->{status}, 'failed', 'no clamd: failed');
    like(status($c)->{error_message}, qr/could not be scanned.*clamd is away/,
        'no clamd: why');
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
    [ "UNKNOWN COMMAND\0",                 'retry', 'pending'   ],
    [ "\0",                                'retry', 'pending'   ],
    [ '',                                  'retry', 'pending'   ],
    [ 'x' x 5000,                          'retry', 'pending'   ])
{
    my ($answer, $result, $status) = @$case;
    my $name = substr $answer =~ s/\0/\\0/r =~ s/\n/\\n/r, 0, 40;

    with_server(sub {
        my ($s) = @_;

        read_stream($s);
        print $s $answer;
    }, sub {
        my ($c, $rc) = upload($i, $jpeg);

        is($rc, $result, "\"$name\": $result");
        is(status($c)->{status}, $status, "\"$name\": $status");
    });
}

with_server(sub {
    my ($s) = @_;

    sysread $s, my $some, 100;
    print $s "INSTREAM size limit exceeded. ERROR\0";
    sysread $s, $some, 65536 for 1 .. 3;
}, sub {
    my ($c, $rc) = upload($i, 'text ' x 1_000_000, @text);

    isnt(status($c)->{status}, 'completed', 'an answer before the end');
    ok(!exists_key($c->{file_key}), 'nothing can be read');
});

done_testing();


sub with_server {
    my ($serve, $code) = @_;
    my $listen = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1,
        LocalAddr => '127.0.0.1') or die $!;
    my $pid = fork();

    if ($pid == 0) {
        while (my $s = $listen->accept()) {
            $s->autoflush(1);
            $serve->($s);
            close $s;
        }

        exit 0;
    }

    {
        local $ENV{CLAMD_ADDRESS} = '127.0.0.1:' . $listen->sockport;

        close $listen;
        $code->();
    }

    kill 'TERM', $pid;
    waitpid $pid, 0;
}


# the command and the pieces as the protocol has them, up to the empty one

sub read_stream {
    my ($s) = @_;

    exact($s, 10) eq "zINSTREAM\0" or return print $s "UNKNOWN\0";

    while (my $n = unpack 'N', exact($s, 4)) {
        exact($s, $n);
    }
}


sub exact {
    my ($s, $n) = @_;
    my $text = '';

    while (length $text < $n) {
        sysread $s, $text, $n - length $text, length $text or die;
    }

    return $text;
}


sub write_file {
    my ($name, $text) = @_;

    open my $f, '>', $name or die "$name: $!\n";
    print $f $text;
    close $f;
}
