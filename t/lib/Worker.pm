package Worker;

# Copyright (C) ngx_media contributors

# Webhooks published as nginx does it, and workers of a test's own beside the
# one that ./dev runs: more consumers of the same queues.

use strict;
use warnings;

use E2E qw(sql unique_id);
use Exporter qw(import);
use File::Temp qw(tempdir);
use Time::HiRes qw(time sleep);

our @EXPORT = qw(worker_or_skip publish webhook run_worker start_worker
    worker_log wait_log children stop_worker alive text_message);

my %log;
my @started;


sub worker_or_skip {
    my (@names) = @_;

    for my $name (qw(MEDIA_WORKER MEDIACTL), @names) {
        next if $ENV{$name};

        require Test::More;
        Test::More::plan(skip_all => "$name is not set: run by ./dev test");
    }
}


# one message to an exchange; headers as a hash

sub publish {
    my ($exchange, $key, $body, %header) = @_;
    my @headers = map { ('-H', "$_: $header{$_}") } sort keys %header;

    open my $p, '|-', 'amqp-publish', '-u', $ENV{RABBITMQ_URL}, '-e',
        $exchange, '-r', $key, '-p', '-C', 'application/json', @headers
        or die "amqp-publish: $!\n";
    print $p $body;
    close $p or die "amqp-publish failed\n";
}


sub webhook {
    my ($provider, $body, %header) = @_;

    $header{request_id} //= lc unique_id();
    publish('media', 'webhook_inbound', $body, provider => $provider,
        received_ms => int(time * 1000), %header);

    return $header{request_id};
}


# an Evolution text message, as data of one item

sub text_message {
    my ($id, $text, %opt) = @_;

    return {
        key => { remoteJid => $opt{chat} // '5511987654321@s.whatsapp.net',
            fromMe => \($opt{from_me} // 0), id => $id },
        pushName => $opt{name} // 'Ana', messageType => 'conversation',
        message => { conversation => $text },
        messageTimestamp => $opt{time} // 1700000000
    };
}


# the program to its end: exit code, standard output, standard error

sub run_worker {
    my ($env, @args) = @_;
    my $dir = tempdir(CLEANUP => 1);
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        local %ENV = %$env;
        open STDOUT, '>', "$dir/out" or die;
        open STDERR, '>', "$dir/err" or die;
        exec $args[0], @args[1 .. $#args] or die;
    }

    waitpid $pid, 0;
    return ($? >> 8, E2E::slurp("$dir/out"), E2E::slurp("$dir/err"));
}


# a worker of the test's own, when it says that it is ready

sub start_worker {
    my (%env) = @_;
    my $log = tempdir(CLEANUP => 1) . '/log';
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        %ENV = (%ENV, MEDIA_LOG_FILE => $log, %env);
        exec $ENV{MEDIA_WORKER} or die "$ENV{MEDIA_WORKER}: $!\n";
    }

    $log{$pid} = $log;
    push @started, $pid;
    wait_log($pid, qr/msg=ready/) or die "worker not ready\n"
        . worker_log($pid);

    return $pid;
}


sub worker_log {
    my ($pid) = @_;

    return -e $log{$pid} ? E2E::slurp($log{$pid}) : '';
}


sub wait_log {
    my ($pid, $match, $seconds) = @_;
    my $end = time + ($seconds // 20);

    while (time < $end) {
        return 1 if worker_log($pid) =~ $match;
        sleep 0.05;
    }

    return 0;
}


# pid => process title

sub children {
    my ($pid) = @_;
    my %child;

    local $_;
    open my $p, '-|', 'ps', '-o', 'pid=,args=', '--ppid', $pid or die;

    while (<$p>) {
        $child{$1} = $2 if /^\s*(\d+)\s+media-worker: (\w+)/;
    }

    close $p;
    return %child;
}


sub alive {
    my ($pid) = @_;

    return 0 unless open my $f, '<', "/proc/$pid/stat";
    return <$f> =~ /\) [^ZX]/ ? 1 : 0;
}


sub started { return @started }


# its exit status, or undef if it did not end in time

sub stop_worker {
    my ($pid, $signal) = @_;
    my $end = time + 20;

    kill $signal // 'TERM', $pid;

    while (time < $end) {
        if (waitpid($pid, 1) == $pid) {
            @started = grep { $_ != $pid } @started;
            return $?;
        }

        sleep 0.05;
    }

    return undef;
}


END {
    my $status = $?;

    stop_worker($_) for @started;
    $? = $status;
}


1;
