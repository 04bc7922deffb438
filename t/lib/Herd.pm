package Herd;

# Copyright (C) ngx_media contributors
#
# Many requests at once, from one process:
#
#     my @responses = Herd::gallop($n, sub { my ($i) = @_;
#         return { port => $port, uri => '/media/a.jpg' } });
#
# A request may have headers, and "leave", the seconds after which the client
# goes away.  A response is { status, headers, body, ms, at }: status 0 if it
# was cut, at: when it was complete.

use strict;
use warnings;

use Errno qw(EAGAIN EINPROGRESS EINTR);
use IO::Poll qw(POLLERR POLLHUP POLLIN POLLOUT);
use IO::Socket::INET;
use Time::HiRes qw(time);

sub gallop {
    my ($n, $make, $limit) = @_;
    my $poll = IO::Poll->new;
    my $end = time() + ($limit || 30);
    my (%open, @all);

    for my $i (0 .. $n - 1) {
        my $request = $make->($i);
        my $socket = IO::Socket::INET->new(Proto => 'tcp', Blocking => 0,
            PeerAddr => "127.0.0.1:$request->{port}")
            or die "connect: $!\n";
        my $headers = $request->{headers} || {};

        my $client = { socket => $socket, in => '', start => time(),
            out => "GET $request->{uri} HTTP/1.1\r\nHost: localhost\r\n"
                . join('', map { "$_: $headers->{$_}\r\n" } keys %$headers)
                . "Connection: close\r\n\r\n",
            leave => $request->{leave} };

        $poll->mask($socket => POLLOUT);
        $open{$socket} = $client;
        push @all, $client;

        # connections are made while others wait

        turn($poll, \%open, 0) if $i % 20 == 19;
    }

    while (%open && time() < $end) {
        turn($poll, \%open, 0.05);
    }

    return map { response($_) } @all;
}

sub turn {
    my ($poll, $open, $wait) = @_;

    $poll->poll($wait);

    for my $socket ($poll->handles(POLLIN | POLLOUT | POLLERR | POLLHUP)) {
        my $client = $open->{$socket} or next;
        my $done;

        if (length $client->{out}) {
            my $sent = syswrite $socket, $client->{out};

            if (defined $sent) {
                substr $client->{out}, 0, $sent, '';
            } else {
                $done = !($!{EAGAIN} || $!{EINTR} || $!{EINPROGRESS});
            }

            $poll->mask($socket => POLLIN) unless length $client->{out};

        } else {
            my $got = sysread $socket, $client->{in}, 65536,
                length $client->{in};
            $done = defined $got ? $got == 0 : !($!{EAGAIN} || $!{EINTR});
        }

        finish($poll, $open, $client) if $done;
    }

    my $now = time();

    for my $client (values %$open) {
        finish($poll, $open, $client) if $client->{leave}
            && $now - $client->{start} > $client->{leave};
    }
}

sub finish {
    my ($poll, $open, $client) = @_;
    my $socket = delete $client->{socket};

    $client->{end} = time();
    $poll->remove($socket);
    delete $open->{$socket};
    close $socket;
}

sub response {
    my ($client) = @_;
    my ($head, $body) = split /\r\n\r\n/, $client->{in}, 2;
    my $end = $client->{end} || time();
    my %response = (status => 0, headers => {}, body => '', at => $end,
        ms => 1000 * ($end - $client->{start}));

    return \%response
        unless defined $body && $head =~ m{^HTTP/1\.1 (\d+)};

    $response{headers}{lc $1} = $2 while $head =~ /^([\w-]+): (.*?)\r?$/mg;
    $response{body} = $body;

    my $length = $response{headers}{'content-length'};
    $response{status} = $1 if $head =~ m{^HTTP/1\.1 (\d+)}
        && (!defined $length || $length == length $body);

    return \%response;
}

# "200 HIT 999, 200 MISS 1"

sub summary {
    my (%n);

    $n{"$_->{status} " . ($_->{headers}{'x-cache'} // '-')}++ for @_;
    return join ', ', map { "$_ $n{$_}" } sort keys %n;
}

sub slowest {
    my @ms = sort { $a <=> $b } map { $_->{ms} } @_;
    return $ms[-1];
}

1;
