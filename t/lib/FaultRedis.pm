package FaultRedis;

# Copyright (C) ngx_media contributors
#
# One connection to a real Redis through a proxy that fails as it is told:
#
#     ok        passes all on
#     pause     passes nothing on, until the mode is another
#     answer    { text }: this to each command, in place of Redis
#     greeting  { text }: this to each command of new connections alone
#     garbage   "answer" with what is no reply
#     cut       { after }: closes after so many bytes of a reply
#     trickle   { bytes, ms }: so many bytes of replies at a time
#     delay     { ms }: before each reply
#     corrupt   { by }: lengths of bulk strings are wrong by so much
#     reset     resets connections
#
# Faults meet commands that come after them, on connections old and new.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep);


sub relay {
    my ($t, $client) = @_;
    my $server = IO::Socket::INET->new(
        PeerAddr => "127.0.0.1:$t->{redis_port}");

    # a Redis that is not there is not, as far as a proxy can tell

    return reset_of($client) unless $server;

    $server->autoflush(1);

    my $select = IO::Select->new($client, $server);
    my $fresh = 1;

    while (1) {
        for my $from ($select->can_read) {
            sysread $from, my $text, 1 << 20 or return;

            my $fault = $t->fault('redis');

            while ($fault->{mode} eq 'pause') {
                sleep 0.05;
                $fault = $t->fault('redis');
            }

            my $done = $from == $client
                ? command($fault, $client, $server, $text, \$fresh)
                : reply($fault, $client, $text);

            return unless $done;
        }
    }
}


sub reset_of {
    my ($client) = @_;

    setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;
    return 0;
}


sub command {
    my ($fault, $client, $server, $text, $fresh) = @_;
    my $mode = $fault->{mode};

    return reset_of($client) if $mode eq 'reset';

    if ($mode eq 'answer' || $mode eq 'garbage'
        || $mode eq 'greeting' && $$fresh)
    {
        my $answer = $mode eq 'garbage' ? "\0\1SSH-2.0-OpenSSH_9.2\r\n"
            : "$fault->{text}\r\n";

        return print $client $answer x commands($text);
    }

    $$fresh = 0;
    return print $server $text;
}


# that begin in a piece of what a client sent

sub commands {
    my ($text) = @_;
    my $n = () = $text =~ /\*\d+\r\n\$\d+\r\n[A-Z]+\r\n/g;

    return $n;
}


sub reply {
    my ($fault, $client, $text) = @_;
    my $mode = $fault->{mode};

    if ($mode eq 'cut' && length $text > $fault->{after}) {
        print $client substr $text, 0, $fault->{after};
        return 0;
    }

    if ($mode eq 'trickle') {
        for (my $i = 0; $i < length $text; $i += $fault->{bytes}) {
            print $client substr $text, $i, $fault->{bytes} or return 0;
            sleep $fault->{ms} / 1000;
        }

        return 1;
    }

    sleep $fault->{ms} / 1000 if $mode eq 'delay';
    $text =~ s/^\$(\d{2,})\r/'$' . ($1 + $fault->{by}) . "\r"/e
        if $mode eq 'corrupt';

    return print $client $text;
}

1;
