package SendSim;

# Copyright (C) ngx_media contributors

# What tests say to and ask of the sending side of the WhatsApp simulator, see
# t/sim/README.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(send_fault sends violations send_acts send_hooks sim_webhooks
    send_instance send_expire send_reset send_sim_start send_sim_restart
    wait_sends);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $json = JSON::PP->new->canonical->utf8;
my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 0);
my %own;


# a simulator of this test's own; its URL, also in the environment

sub send_sim_start {
    my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "no port: $!\n";

    @own{qw(dir port owner)} = (tempdir('whatsapp_sim_XXXXXX', TMPDIR => 1,
        CLEANUP => 1), $s->sockport, $$);
    close $s;

    return start();
}


# ends it by a signal and starts it again, with all that it knew

sub send_sim_restart {
    my ($signal) = @_;

    kill $signal, $own{pid};
    waitpid $own{pid}, 0;

    # its children end a moment later, and take no more requests then
    for (1 .. 100) {
        last unless IO::Socket::INET->new(
            PeerAddr => "127.0.0.1:$own{port}");
        sleep 0.1;
    }

    return start();
}


sub start {
    $own{pid} = fork // die "fork: $!\n";

    if ($own{pid} == 0) {
        exec $^X, "$root/t/sim/whatsapp-sim.pl", @own{qw(port dir)};
        die "exec: $!\n";
    }

    $ENV{WHATSAPP_SIM_URL} = "http://127.0.0.1:$own{port}";

    for (1 .. 100) {
        return $ENV{WHATSAPP_SIM_URL} if IO::Socket::INET->new(
            PeerAddr => "127.0.0.1:$own{port}");
        sleep 0.1;
    }

    die "the simulator did not start\n";
}


END {
    my $status = $?;

    if ($own{pid} && $own{owner} == $$) {
        kill 'TERM', $own{pid};
        waitpid $own{pid}, 0;
    }

    $? = $status;
}


sub control {
    my ($what, $value) = @_;
    my $r = $http->post("$ENV{WHATSAPP_SIM_URL}/_sim/$what",
        { content => $json->encode($value // {}) });

    die "sim $what: $r->{status} $r->{content}\n" unless $r->{success};
}


sub list {
    my ($what, %match) = @_;
    my $r = $http->get("$ENV{WHATSAPP_SIM_URL}/_sim/$what");
    my @all = map { $json->decode($_) } split /\n/, $r->{content};

    for my $name (keys %match) {
        @all = grep { ($_->{$name} // '') eq $match{$name} } @all;
    }

    return @all;
}


# send_fault('429', retry_after => 2, times => 1, match => { to => ... })

sub send_fault {
    my ($fault, %opt) = @_;

    control('send-fault', { match => {}, fault => $fault, %opt });
}


# lists, in the order of acceptance; with members that must be so

sub sends { return list('sends', @_) }
sub violations { return list('violations', @_) }
sub send_acts { return list('send-acts', @_) }
sub send_hooks { return list('send-hooks', @_) }


# sim_webhooks(evolution => URL, cloudapi => URL, app_secret => ..., mode => )

sub sim_webhooks { control('webhooks', { @_ }) }


# what an instance is like: version => 'v1', state => 'close' ...

sub send_instance {
    my ($instance, %like) = @_;

    control('send-instance', { %like, instance => $instance });
}


# uploads to the Cloud API, or one, become older than 30 days

sub send_expire { control('send-expire', { id => $_[0] }) }
sub send_reset { control('send-reset') }


# the sends once there are so many, or what there is after the seconds

sub wait_sends {
    my ($n, $seconds, %match) = @_;
    my $end = time + $seconds;
    my @sends;

    while (1) {
        @sends = sends(%match);
        return @sends if @sends >= $n || time > $end;
        sleep 0.1;
    }
}


1;
