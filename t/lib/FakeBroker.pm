package FakeBroker;

# Copyright (C) ngx_media contributors
#
# A broker that speaks just enough AMQP to misbehave: one process, one
# connection at a time, started with a mode.

use warnings;
use strict;

use IO::Socket::INET;
use Time::HiRes qw(sleep);

use AMQP qw(method frame short long table_of);

sub new {
    my ($class, $mode, $port) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port || 0, Listen => 16, ReuseAddr => 1)
        or die "fake broker: $!\n";
    my $self = bless { port => $listen->sockport, mode => $mode,
        owner => $$ }, $class;

    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        $SIG{PIPE} = 'IGNORE';
        while (my $c = $listen->accept) {
            $c->sockopt(6 => 1);
            eval { serve({ c => $c, mode => $mode, buf => '' }) };
            close $c;
        }
        POSIX::_exit(0);
    }

    return $self;
}

sub url { return "amqp://u:p%40x\@127.0.0.1:$_[0]{port}/" }
sub pause { kill STOP => $_[0]{pid} }
sub resume { kill CONT => $_[0]{pid} }

sub stop {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;
    kill KILL => $self->{pid};
    waitpid $self->{pid}, 0;
    delete $self->{pid};
}

sub DESTROY { local $?; $_[0]->stop }

sub put {
    my ($s, $bytes) = @_;

    if ($s->{mode} ne 'split') {
        $s->{c}->syswrite($bytes);
        return;
    }

    for (split //, $bytes) {
        $s->{c}->syswrite($_);
        sleep 0.0005;
    }
}

sub take {
    my ($s, $n) = @_;

    while (length $s->{buf} < $n) {
        sysread $s->{c}, $s->{buf}, 65536, length $s->{buf} or die;
    }

    return substr $s->{buf}, 0, $n, '';
}

sub serve {
    my ($s) = @_;
    my $mode = $s->{mode};
    my $tag = 0;
    my $size = 0;
    my $id = '';

    take($s, 8);

    die if $mode eq 'close_protocol';
    sleep 100 if $mode eq 'silent';
    return put($s, "HTTP/1.1 400 Bad Request\r\n\r\n") if $mode eq 'garbage';
    return put($s, "AMQP\0\1\0\0") if $mode eq 'version';

    put($s, method(0, 10, 10, "\0\x09" . table_of(product => 'fake')
        . long('PLAIN') . long('en_US')));

    while (1) {
        my ($type, $channel, $len) = unpack 'CnN', take($s, 7);
        my $payload = take($s, $len);
        take($s, 1);

        if ($type == 1) {
            my ($class, $method, $args) = unpack 'nna*', $payload;
            step($s, $class * 100 + $method, $args);

        } elsif ($type == 2) {
            $size = unpack 'x8 N', $payload;
            $s->{head} = $payload;

        } elsif ($type == 3) {
            $size -= $len;
            published($s, ++$tag) if $size == 0;
        }
    }
}

sub step {
    my ($s, $m, $args) = @_;
    my $mode = $s->{mode};

    if ($m == 1011) {
        die if $mode eq 'close_login' || index($args, "\0u\0p\@x") < 0;
        return put($s, method(0, 10, 30, pack 'nNn', 2047, 4096, 60));
    }

    if ($m == 1040) {
        die if $mode eq 'close_open';
        return put($s, method(0, 10, 41, "\0"));
    }

    return put($s, method(1, 20, 11, long(''))) if $m == 2010;

    if ($m == 8510) {
        die if $mode eq 'close_select';
        put($s, method(1, 85, 11, ''));
    }
}

sub published {
    my ($s, $tag) = @_;
    my $mode = $s->{mode};

    return if $mode eq 'mute';
    die if $mode eq 'close_publish';

    if ($mode eq 'blocked') {
        return put($s, method(0, 10, 60, short('low on memory')));
    }

    return put($s, method(1, 60, 120, pack 'Q>C', $tag, 0))
        if $mode eq 'nack';
    return put($s, method(1, 20, 40, pack('n', 404) . short('NOT_FOUND')
        . pack('nn', 60, 40))) if $mode eq 'channel_close';
    return put($s, "\x01\0\x01\xff\xff\xff\xff") if $mode eq 'huge';
    return put($s, method(1, 60, 80, 'x')) if $mode eq 'short_ack';

    if ($mode eq 'return') {
        put($s, method(1, 60, 50, pack('n', 312) . short('NO_ROUTE')
            . short('media') . short('webhook_inbound'))
            . frame(2, 1, $s->{head}) . frame(3, 1, '{}'));
    }

    sleep 0.3 if $mode eq 'slow';

    put($s, method(1, 60, 80, pack 'Q>C', $tag, $tag % 2));
}

use POSIX ();

1;
