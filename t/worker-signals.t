# Copyright (C) ngx_media contributors

# The master and its children: drain, reload, reopened logs, children that
# are killed, a master that is killed.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql_row mediactl wait_until unique_id slurp);
use File::Temp qw(tempdir);
use JSON::PP;
use Socket;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL S3_ENDPOINT_URL));

my $json = JSON::PP->new->canonical->utf8;
my $tenant = 'signals-' . lc unique_id();
my $dir = tempdir(CLEANUP => 1);

mediactl('', 'tenant', 'add', $tenant);
mediactl('t', 'instance', 'add', '--tenant', $tenant, '--provider',
    'evolution', '--name', $tenant, '--base-url', 'http://127.0.0.1:9',
    '--token-stdin');


sub send_messages {
    my ($n) = @_;
    my @ids = map { unique_id() } 1 .. $n;

    webhook('evolution', $json->encode({ event => 'messages.upsert',
        instance => $tenant, data => text_message($_, 'x') })) for @ids;

    return @ids;
}


sub rows {
    my @row = sql_row('SELECT count(*), count(DISTINCT provider_id)'
        . " FROM media.messages WHERE tenant_id = '$tenant'");

    return "@row";
}


# readiness as systemd sees it

socket my $notify, AF_UNIX, SOCK_DGRAM, 0 or die;
bind $notify, pack_sockaddr_un("$dir/notify") or die;

sub notified {
    my ($seconds) = @_;
    my $bits = '';

    vec($bits, fileno $notify, 1) = 1;
    return '' unless select $bits, undef, undef, $seconds;

    recv $notify, my $text, 200, 0;
    return $text;
}

open my $f, '>', "$dir/level" or die;
print $f 'info';
close $f;

my $pid = start_worker(MEDIA_CHILDREN_INBOUND => 2,
    MEDIA_CHILDREN_DOWNLOAD => 0, MEDIA_CHILDREN_PRIORITY => 1,
    MEDIA_CHILDREN_UPLOAD => 0,
    NOTIFY_SOCKET => "$dir/notify", MEDIA_LOG_LEVEL => '',
    MEDIA_LOG_LEVEL_FILE => "$dir/level");

is notified(5), 'READY=1', 'READY=1 once all children work';

my %before = children($pid);

is_deeply [ sort values %before ],
    [ qw(media_priority sweeper webhook_inbound webhook_inbound) ],
    'a child per queue and one sweeper, each with its title';


# SIGUSR1


my ($file) = grep { m{/log$} } map { readlink } glob "/proc/$pid/fd/*";

rename $file, "$dir/old-log" or die;
kill 'USR1', $pid;
ok wait_until(5, sub { -e $file }), 'the log file is opened again';
sleep 2;
send_messages(4);
ok wait_until(10, sub { slurp($file) =~ /msg=job child=webhook_inbound/ }),
    'also by the children';


# SIGHUP: all replaced, one at a time, none missing meanwhile

sub reload {
    my ($level) = @_;

    open my $out, '>', "$dir/level" or die;
    print $out $level;
    close $out;
    kill 'HUP', $pid;
}

reload('debug');
like notified(5), qr/^RELOADING=1\nMONOTONIC_USEC=\d+$/, 'RELOADING=1';
is notified(5), 'READY=1', 'READY=1 again';

my $fewest = 4;

ok wait_until(30, sub {
    my %now = children($pid);
    my @running = grep { alive($_) } keys %now;

    $fewest = @running if @running < $fewest;
    return keys %now == 4 && !grep { $before{$_} } keys %now;
}), 'SIGHUP replaces every child';
cmp_ok $fewest, '>=', 2, 'one at a time';

%before = children($pid);
reload('nonsense');
ok wait_log($pid, qr/configuration not reloaded.*MEDIA_LOG_LEVEL/, 5),
    'a bad configuration is refused';
sleep 2;
is_deeply { children($pid) }, \%before, 'and replaces nobody';
notified(1) for 1 .. 2;


# children killed in the middle of work: nothing is lost

my @sent = send_messages(150);
my $killed = 0;

for (1 .. 6) {
    my %now = children($pid);

    for my $child (grep { $now{$_} eq 'webhook_inbound' } keys %now) {
        $killed += kill 'KILL', $child;
    }

    select undef, undef, undef, 0.4;
}

ok $killed >= 4, "$killed children killed";
ok wait_until(60, sub { rows() eq '154 154' }),
    'every message has its one row' or diag rows();
ok wait_log($pid, qr/killed by signal 9/, 1), 'the master tells it';


# SIGTERM, while the database holds the jobs in hand for some seconds

my %last = children($pid);
my $psql = fork // die;

exec 'psql', '-q', '-d', $ENV{DATABASE_URL}, '-c', 'BEGIN', '-c',
    'LOCK TABLE media.messages', '-c', 'SELECT pg_sleep(4)', '-o',
    '/dev/null', '-c', 'COMMIT' or die unless $psql;

sleep 1;
send_messages(6);
sleep 1;

is stop_worker($pid), 0, 'SIGTERM: exits with 0';
waitpid $psql, 0;
like worker_log($pid), qr/msg=stopping.*msg=job\b[^\n]*result=done/s,
    'the job in hand is finished';
is notified(1), 'STOPPING=1', 'STOPPING=1';
like worker_log($pid), qr/msg=stopped/, 'after its children';
ok !(grep { alive($_) } keys %last), 'none of them is left';


# SIGKILL of the master

$pid = start_worker(MEDIA_CHILDREN_DOWNLOAD => 0);
%last = children($pid);
kill 'KILL', $pid;
waitpid $pid, 0;
ok wait_until(10, sub { !grep { alive($_) } keys %last }),
    'without their master the children end';


# each retires after its share

$pid = start_worker(MEDIA_MAX_JOBS => 1, MEDIA_CHILDREN_DOWNLOAD => 0);
send_messages(10);
ok wait_until(30, sub { rows() eq '170 170' }), 'with one job a child';
is stop_worker($pid, 'QUIT'), 0, 'SIGQUIT: exits with 0';

done_testing;
