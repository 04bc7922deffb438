package AMQP;

# Copyright (C) ngx_media contributors
#
# A small blocking AMQP 0-9-1 client for tests: declares, gets, counts.

use warnings;
use strict;

use IO::Socket::INET;

use Exporter 'import';
our @EXPORT_OK = qw(frame method short long table_of);

sub short { my ($s) = @_; return pack 'C/a*', $s }
sub long { my ($s) = @_; return pack 'N/a*', $s }

sub frame {
    my ($type, $channel, $payload) = @_;

    return pack('CnN', $type, $channel, length $payload) . $payload . "\xce";
}

sub method {
    my ($channel, $class, $method, $args) = @_;

    return frame(1, $channel, pack('nn', $class, $method) . $args);
}

# a field table of strings and, as references, integers
sub table_of {
    my (%v) = @_;
    my $s = '';

    for my $k (sort keys %v) {
        $s .= short($k)
            . (ref $v{$k} ? 'I' . pack('N', ${ $v{$k} }) : 'S' . long($v{$k}));
    }

    return long($s);
}

sub decode { my ($s) = @_; $s =~ s/%(..)/chr hex $1/ge; return $s }

sub new {
    my ($class, $url) = @_;
    my ($user, $pass, $host, $port, $vhost) =
        $url =~ m{^amqp://([^:]*):([^@]*)@([^:/]+):?(\d*)/?(.*)$}
        or die "bad RABBITMQ_URL\n";

    my $sock = IO::Socket::INET->new(PeerAddr => $host,
        PeerPort => $port || 5672, Timeout => 5)
        or die "cannot connect to RabbitMQ: $!\n";

    my $self = bless { sock => $sock, buf => '' }, $class;

    $self->send("AMQP\0\0\x09\x01");
    $self->expect(10, 10);
    $self->send(method(0, 10, 11, table_of(product => 'test')
        . short('PLAIN') . long("\0" . decode($user) . "\0" . decode($pass))
        . short('en_US')));
    $self->expect(10, 30);
    $self->send(method(0, 10, 31, pack('nNn', 1, 131072, 0))
        . method(0, 10, 40,
            short(length $vhost ? decode($vhost) : '/') . "\0\0")
        . method(1, 20, 10, "\0"));
    $self->expect(20, 11);

    return $self;
}

sub send {
    my ($self, $bytes) = @_;

    $self->{sock}->print($bytes);
    $self->{sock}->flush();
}

sub take {
    my ($self, $n) = @_;

    while (length $self->{buf} < $n) {
        my $got = sysread $self->{sock}, $self->{buf}, 65536,
            length $self->{buf};
        die "RabbitMQ closed the connection\n" unless $got;
    }

    return substr $self->{buf}, 0, $n, '';
}

sub read_frame {
    my ($self) = @_;
    my ($type, $channel, $len) = unpack 'CnN', $self->take(7);
    my $payload = $self->take($len);

    $self->take(1);
    return ($type, $payload);
}

# the arguments of the next method of one of these [class, method] pairs
sub expect {
    my ($self, @want) = @_;

    @want = ([@want]) unless ref $want[0];

    while (1) {
        my ($type, $payload) = $self->read_frame();
        next if $type != 1;
        my ($c, $m, $args) = unpack 'nna*', $payload;
        my $text = sub {
            my ($code, $reason) = unpack 'nC/a', $args;
            return "$code $reason";
        };
        for (@want) {
            return wantarray ? ($m, $args) : $args
                if $_->[0] == $c && $_->[1] == $m;
        }
        die 'RabbitMQ closed: ' . $text->() . "\n"
            if $c == 10 && $m == 50 || $c == 20 && $m == 40;
    }
}

sub exchange {
    my ($self, $name, $type) = @_;

    $self->send(method(1, 40, 10, pack('n', 0) . short($name)
        . short($type || 'topic') . pack('C', 2) . table_of()));
    $self->expect(40, 11);
}

sub queue {
    my ($self, $name, %args) = @_;

    $self->send(method(1, 50, 10, pack('n', 0) . short($name)
        . pack('C', 2) . table_of(%args)));
    $self->expect(50, 11);
}

# how many messages wait in it
sub count {
    my ($self, $name) = @_;

    $self->send(method(1, 50, 10, pack('n', 0) . short($name)
        . pack('C', 1) . table_of()));
    return (unpack 'C/a N', scalar $self->expect(50, 11))[1];
}

sub bind {
    my ($self, $queue, $exchange, $key) = @_;

    $self->send(method(1, 50, 20, pack('n', 0) . short($queue)
        . short($exchange) . short($key) . "\0" . table_of()));
    $self->expect(50, 21);
}

sub unbind {
    my ($self, $queue, $exchange, $key) = @_;

    $self->send(method(1, 50, 50, pack('n', 0) . short($queue)
        . short($exchange) . short($key) . table_of()));
    $self->expect(50, 51);
}

sub purge {
    my ($self, $queue) = @_;

    $self->send(method(1, 50, 30, pack('n', 0) . short($queue) . "\0"));
    return unpack 'N', scalar $self->expect(50, 31);
}

sub delete_queue {
    my ($self, $queue) = @_;

    $self->send(method(1, 50, 40, pack('n', 0) . short($queue) . "\0"));
    $self->expect(50, 41);
}

# one message, acknowledged: { body, headers, message_id, ... } or undef
sub get {
    my ($self, $queue) = @_;

    $self->send(method(1, 60, 70, pack('n', 0) . short($queue) . "\1"));
    my ($m) = $self->expect([60, 71], [60, 72]);
    return if $m == 72;

    my ($type, $head) = $self->read_frame();
    my ($class, $weight, $hi, $lo, $flags) = unpack 'nnNNn', $head;
    my $msg = properties(substr($head, 14), $flags);

    $msg->{body} = '';
    while (length $msg->{body} < $lo) {
        (undef, my $part) = $self->read_frame();
        $msg->{body} .= $part;
    }

    return $msg;
}

sub properties {
    my ($s, $flags) = @_;
    my %m;
    my @names = qw(content_type content_encoding headers delivery_mode
        priority correlation_id reply_to expiration message_id timestamp);

    for my $i (0 .. $#names) {
        next unless $flags & 0x8000 >> $i;
        my $name = $names[$i];

        if ($name eq 'headers') {
            (my $t, $s) = unpack 'N/a a*', $s;
            $m{headers} = headers($t);

        } elsif ($name eq 'timestamp') {
            ($m{$name}, $s) = unpack 'Q> a*', $s;

        } elsif ($name =~ /^(delivery_mode|priority)$/) {
            ($m{$name}, $s) = unpack 'C a*', $s;

        } else {
            ($m{$name}, $s) = unpack 'C/a a*', $s;
        }
    }

    return \%m;
}

sub headers {
    my ($t) = @_;
    my %h;

    while (length $t) {
        (my $k, my $kind, $t) = unpack 'C/a a a*', $t;

        if ($kind eq 'S') {
            ($h{$k}, $t) = unpack 'N/a a*', $t;

        } elsif ($kind eq 'l') {
            ($h{$k}, $t) = unpack 'q> a*', $t;

        } elsif ($kind eq 'I') {
            ($h{$k}, $t) = unpack 'l> a*', $t;

        } else {
            die "unexpected field kind $kind\n";
        }
    }

    return \%h;
}

1;
