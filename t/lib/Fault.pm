package Fault;

# Copyright (C) ngx_media contributors
#
# nginx with the shipped configuration, changed in nothing but addresses and
# paths, between an S3 server and a real Redis that can be made to fail.

use strict;
use warnings;

use FaultRedis;
use FaultS3;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);

use parent 'Shipped';


sub new {
    my ($class) = @_;
    my $self = Cache::new($class);

    $self->{$_} = Cache::free_port() for qw(s3_port proxy_port);
    $self->{store} = FaultS3->new($self->{s3_port});
    $self->{redis_password} = 'redis password of the test';
    $self->{groups} = {};
    $self->{objects} = {};

    return $self;
}


# what configure() takes

sub up {
    my ($self, %conf) = @_;
    my $edit = $conf{edit} || sub { };

    # which tier it was is not told to clients

    $self->configure(location => 'add_header X-Tier $media_cache_tier '
        . 'always;', %conf, edit => sub {
        s/127\.0\.0\.1:$self->{redis_port}\b/127.0.0.1:$self->{proxy_port}/g;
        s/(server_name +media.*\n)/$1    location = \/test-metrics {
        media_metrics;\n    }\n/;
        $edit->(@_);
    });

    $self->s3_start;
    $self->redis_start;
    $self->redis_relay;
    $self->start;
}


# server processes, each with its children in a process group

sub serve_group {
    my ($self, $name, $port, $code) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port",
        Listen => 512, ReuseAddr => 1) or die "listen on $port: $!";
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        POSIX::setpgid(0, 0);
        $SIG{CHLD} = 'IGNORE';
        $SIG{PIPE} = 'IGNORE';
        $SIG{TERM} = 'DEFAULT';

        while (1) {
            my $client = $listen->accept or next;

            next if fork;
            close $listen;
            srand $$;           # children share the parent's otherwise
            setsockopt $client, Socket::IPPROTO_TCP(),
                Socket::TCP_NODELAY(), 1;
            $client->autoflush(1);
            eval { $code->($client) };
            POSIX::_exit(0);
        }
    }

    POSIX::setpgid($pid, $pid);
    $self->{groups}{$name} = $pid;
}

sub end_group {
    my ($self, $name) = @_;
    my $pid = delete $self->{groups}{$name} or return;

    kill 'KILL', -$pid;
    waitpid $pid, 0;
}


# the S3 server

sub s3_start {
    my ($self) = @_;

    $self->write_file('logs/s3.log', '') unless -e "$self->{dir}/logs/s3.log";
    $self->serve_group('s3', $self->{s3_port}, sub {
        FaultS3::serve($self, $_[0]);
    });
}

sub s3_stop { $_[0]->end_group('s3') }

# s3_fault('close'): until s3_fault('ok'), or so many times by count, or with
# the probability p

sub s3_fault {
    my ($self, $mode, %args) = @_;

    $self->put_fault('s3', { mode => $mode, %args });
}

# proxy modes are those of FaultRedis

sub redis_fault {
    my ($self, $mode, %args) = @_;

    $self->put_fault('redis', { mode => $mode, %args });
}

sub put_fault {
    my ($self, $name, $fault) = @_;

    $self->write_file("$name.left", '.' x ($fault->{count} || 0));
    $self->write_file("$name.fault.new", JSON::PP->new->encode($fault));
    rename "$self->{dir}/$name.fault.new", "$self->{dir}/$name.fault";
}

# what is to be done now; a fault with a count wears off

sub fault {
    my ($self, $name, $applies) = @_;
    my $text = $self->read_file("$name.fault") or return { mode => 'ok' };
    my $fault = JSON::PP->new->decode($text);

    return { mode => 'ok' } if $applies && !$applies->($fault);
    return { mode => 'ok' } if $fault->{p} && rand > $fault->{p};
    return $fault unless $fault->{count};

    open my $fh, '+<', "$self->{dir}/$name.left" or return { mode => 'ok' };
    flock $fh, 2;
    my $left = -s $fh;
    truncate $fh, $left - 1 if $left;
    close $fh;

    return $left ? $fault : { mode => 'ok' };
}


# "GET /media/a 200 bytes=0-9" lines of the S3 server, and "connect" ones

sub s3_log {
    my ($self, $pattern) = @_;

    return grep { /$pattern/ } split /\n/, $self->read_file('logs/s3.log');
}

sub s3_forget { $_[0]->write_file('logs/s3.log', '') }


# an object in S3; its bytes differ from those of all others

sub object {
    my ($self, $key, $size) = @_;
    my $seed = unpack 'N', pack 'H8', Digest::SHA::sha256_hex($key);
    my $unit = join '', map { chr(($seed >> $_ % 24) + 37 * $_ & 255) }
        0 .. 1020;
    my $body = substr $unit x (1 + $size / length $unit), 0, $size;

    $self->write_file('objects/' . Digest::SHA::sha256_hex($key), $body);
    $self->{objects}{"/media/$key"} = $body;

    return "/media/$key";
}


# the proxy of Redis, whether Redis runs or not

sub redis_relay {
    my ($self) = @_;

    $self->serve_group('redis', $self->{proxy_port}, sub {
        FaultRedis::relay($self, $_[0]);
    });
}


# "200 HIT redis"

sub outcome {
    my ($self, @args) = @_;
    my $r = $self->get(@args);

    return outcome_of($r);
}

sub outcome_of {
    my ($r) = @_;

    return join ' ', $r->{status}, map { $_ // () }
        @{ $r->{headers} }{qw(x-cache x-tier)};
}


# Runs $code->($client, $pipe) in so many processes, numbered from 1; the
# lines that they print to their pipes.

sub clients {
    my ($self, $clients, $code) = @_;
    my (@pipes, @lines);

    for my $client (1 .. $clients) {
        pipe my $read, my $write or die "pipe: $!";

        if (my $pid = fork // die "fork: $!") {
            push @pipes, [ $pid, $read ];
            next;
        }

        close $read;
        $code->($client, $write);
        close $write;
        POSIX::_exit(0);
    }

    for (@pipes) {
        my ($pid, $read) = @$_;

        push @lines, <$read>;
        waitpid $pid, 0;
    }

    chomp @lines;
    return @lines;
}


# Clients that ask for the objects in turn, n requests in all.  Returns the
# outcomes with their counts, and the times in ms.

sub stream {
    my ($self, %o) = @_;
    my $clients = $o{clients} || 8;
    my @uris = @{ $o{uris} };
    my $n = int(($o{n} || 200) / $clients);
    my (@times, %outcomes);

    my @lines = $self->clients($clients, sub {
        my ($client, $pipe) = @_;
        my $until = time + ($o{seconds} || 30);

        for my $i (1 .. $n) {
            my $uri = $uris[($i * $clients + $client) % @uris];
            my $start = time;
            my $r = $self->get($uri, %{ $o{headers} || {} });
            my $ms = 1000 * (time - $start);
            my $bad = $r->{status} == 200
                && $r->{body} ne $self->{objects}{$uri} ? ' damaged' : '';

            printf $pipe "%.1f %s%s\n", $ms, outcome_of($r), $bad;
            last if time > $until;
            sleep $o{pause} if $o{pause};
        }
    });

    for (@lines) {
        my ($ms, $outcome) = split / /, $_, 2;

        push @times, $ms;
        $outcomes{$outcome}++;
    }

    @times = sort { $a <=> $b } @times;

    return { n => scalar @times, outcomes => \%outcomes, times => \@times,
        ok => scalar(!grep { !/^200/ || /damaged/ } keys %outcomes),
        map { $_->[0] => $times[$#times * $_->[1]] }
            [ p50 => 0.5 ], [ p99 => 0.99 ], [ max => 1 ] };
}


# a line of the table

sub report {
    my ($self, $name, $s) = @_;

    Test::More::diag(sprintf '%-32s %5d requests  p50 %6.1f  p99 %6.1f  '
        . 'max %6.1f ms  %s', $name, $s->{n}, $s->{p50}, $s->{p99}, $s->{max},
        join ', ', map { "$_: $s->{outcomes}{$_}" }
            sort keys %{ $s->{outcomes} });
}


# until an outcome of a GET matches; the last one

sub wait_outcome {
    my ($self, $uri, $pattern, $seconds) = @_;
    my $until = time + ($seconds || 10);
    my $outcome;

    while (1) {
        $outcome = $self->outcome($uri);
        return $outcome if $outcome =~ $pattern || time > $until;
        sleep 0.05;
    }
}


# lines of the error log since the last mark, of a level or worse

my @levels = qw(emerg alert crit error warn notice info debug);

sub mark { $_[0]{mark} = length $_[0]->error_log }

sub logged {
    my ($self, $level, $pattern) = @_;
    my %wanted = map { $_ => 1 } @levels[0 .. (grep { $levels[$_] eq $level }
        0 .. $#levels)[0]];

    return grep { /\[(\w+)\]/ && $wanted{$1} && /$pattern/ }
        split /\n/, substr $self->error_log, $self->{mark} || 0;
}


# the sum of the samples of media_metrics that match

sub metric {
    my ($self, $pattern) = @_;
    my $sum = 0;

    for (split /\n/, $self->get('/test-metrics')->{body}) {
        $sum += $1 if !/^#/ && /$pattern/ && / (\d+)$/;
    }

    return $sum;
}


# a body of ours for clients: one object with these two members

sub is_json_error {
    my ($r) = @_;
    my $type = $r->{headers}{'content-type'} // '';
    my $json = eval { JSON::PP->new->utf8->decode($r->{body}) };

    return $type =~ m{^application/json} && ref $json eq 'HASH'
        && length $json->{error} && length $json->{message};
}


# of the worker processes: their pids, and all that they hold

sub worker_pids {
    my ($self) = @_;
    my $pid = $self->{nginx_pid};
    my $text = $self->read_file("/proc/$pid/task/$pid/children");

    return grep { $self->read_file("/proc/$_/cmdline") =~ /worker process/ }
        split ' ', $text;
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    local $?;
    $self->stop;
    $self->end_group($_) for keys %{ $self->{groups} };
    $self->SUPER::DESTROY;
}

1;
