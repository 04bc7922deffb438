package Between;

# Copyright (C) ngx_media contributors

# A server between the worker and S3: one request a connection, in the order
# in which they come.  It waits, acts or lies where a test wants it to.

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET;

our @EXPORT = qw(between);


# change() gets method, path and answer, and gives what the worker is to see;
# before() gets method and path before S3 sees the request.  S3_ENDPOINT_URL
# is this server's while code() runs.

sub between {
    my ($change, $code, $before) = @_;
    my ($s3) = $ENV{S3_ENDPOINT_URL} =~ m{^http://([^/]+)};
    my $listen = IO::Socket::INET->new(Listen => 50, ReuseAddr => 1,
        LocalAddr => '127.0.0.1') or die $!;
    my $pid = fork();

    if ($pid == 0) {
        while (my $client = $listen->accept()) {
            serve($client, $s3, $change, $before);
            close $client;
        }

        exit 0;
    }

    {
        local $ENV{S3_ENDPOINT_URL} = 'http://127.0.0.1:' . $listen->sockport;

        close $listen;
        $code->();
    }

    kill 'TERM', $pid;
    waitpid $pid, 0;
}


sub serve {
    my ($client, $s3, $change, $before) = @_;
    my ($head, $body, $answer) = ('', '', '');

    while ($head !~ /\r\n\r\n\z/) {
        sysread $client, $head, 1, length $head or return;
    }

    my ($method, $path) = $head =~ /^(\w+) (\S+)/;
    my ($length) = $head =~ /^content-length: *(\d+)/im;

    if ($head =~ /^expect: *100-continue/im) {
        syswrite $client, "HTTP/1.1 100 Continue\r\n\r\n";
        $head =~ s/^expect:.*\r\n//im;
    }

    while (length $body < ($length // 0)) {
        sysread $client, $body, $length - length $body, length $body
            or return;
    }

    $before->($method, $path) if $before;

    my $server = IO::Socket::INET->new(PeerAddr => $s3) or die $!;

    $head =~ s/\r\n\r\n\z/\r\nConnection: close\r\n\r\n/;
    print $server $head, $body;
    $server->flush();
    1 while sysread $server, $answer, 65536, length $answer;

    # as a server that keeps connections, and then does not
    $answer =~ s/^connection:.*\r\n//im;
    syswrite $client, $change->($method, $path, $answer);
}

1;
