package Clamd;

# Copyright (C) ngx_media contributors

# ClamAV's daemon with a database of two signatures, of EICAR and of what the
# files of clamav-testfiles hold, and servers that answer as a test has it.
# The latter know the worker's probe, and do as clamd does with
# AlertExceedsMax.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use E2E qw(wait_until slurp);
use Exporter qw(import);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;

our @EXPORT = qw(clamd_program clamd_start clamd_stop clamd_fake eicar
    read_stream);

my ($program) = grep { -x } qw(/usr/sbin/clamd /usr/local/sbin/clamd);


sub clamd_program { return $program }


sub eicar {
    return join '', 'X5O!P%@AP[4\PZX54(P^)7CC)7}', '$EICAR-STANDARD-',
        'ANTIVIRUS-TEST-FILE!$H+H*';
}


# its sockets, once it listens; undef if it does not, and it says why.
# "infected" are more files that it has a signature of, Test-1 and so on.

sub clamd_start {
    my (%conf) = @_;
    my $dir = tempdir(CLEANUP => 1);
    my $port = IO::Socket::INET->new(Listen => 1,
        LocalAddr => '127.0.0.1')->sockport;
    my @infected = @{ delete $conf{infected} // [] };
    my $n = 0;

    mkdir "$dir/db";
    %conf = (DatabaseDirectory => "$dir/db", TemporaryDirectory => $dir,
        LocalSocket => "$dir/clamd", TCPSocket => $port,
        TCPAddr => '127.0.0.1', StreamMaxLength => '1M',
        AlertExceedsMax => 'yes', Foreground => 'yes', %conf);

    write_file("$dir/db/test.hdb",
        "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test\n",
        "aa15bcf478d165efd2065190eb473bcb:544:ClamAV-Test-File\n",
        map { md5_hex($_) . ':' . length($_) . ':Test-' . ++$n . "\n" }
            @infected);
    write_file("$dir/clamd.conf", join '', map { "$_ $conf{$_}\n" }
        sort keys %conf);

    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec $program, '-c', "$dir/clamd.conf";
        exit 1;
    }

    my $clamd = { dir => $dir, pid => $pid, unix => "unix:$dir/clamd",
        tcp => "127.0.0.1:$port", name => "localhost:$port" };

    return $clamd
        if wait_until(60, sub { IO::Socket::UNIX->new(Peer => "$dir/clamd") });

    print STDERR slurp("$dir/log");
    clamd_stop($clamd);
    return undef;
}


# how it ended

sub clamd_stop {
    my ($clamd) = @_;

    kill 'TERM', $clamd->{pid};
    waitpid $clamd->{pid}, 0;
    return $?;
}


# $serve gets a connection, with the first piece of the file that came

sub clamd_fake {
    my ($serve, $code) = @_;
    my $listen = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1,
        LocalAddr => '127.0.0.1') or die $!;
    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{PIPE} = 'IGNORE';

        while (my $s = $listen->accept()) {
            $s->autoflush(1);
            answer($s, $serve);
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


sub answer {
    my ($s, $serve) = @_;

    exact($s, 10) eq "zINSTREAM\0" or return print $s "UNKNOWN COMMAND\0";

    my $piece = exact($s, unpack 'N', exact($s, 4));

    return $serve->($s, $piece)
        if length $piece > 20_000 || $piece !~ /^\x1f\x8b/;

    read_stream($s);
    print $s "stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND\0";
}


# the pieces as the protocol has them, up to the empty one

sub read_stream {
    my ($s) = @_;
    my $text = '';

    while (my $n = unpack 'N', exact($s, 4)) {
        $text .= exact($s, $n);
    }

    return $text;
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
    my ($name, @text) = @_;

    open my $f, '>', $name or die "$name: $!\n";
    print $f @text;
    close $f;
}

1;
