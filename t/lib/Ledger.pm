package Ledger;

# Copyright (C) ngx_media contributors

# Sends, as tests make and see them: in the database of ./dev by jobs of the
# queue, or in a database of the test's own by rows, with workers of its own.

use strict;
use warnings;

use E2E qw(sql sql_row mediactl wait_until unique_id);
use Exporter qw(import);
use JSON::PP;
use SendSim;
use Time::HiRes qw(time);
use Worker;

our @EXPORT = qw(own_database send_worker conversation send_row publish_send
    send_of state_is states events_of kill_child);

my $json = JSON::PP->new->canonical->utf8;
my %suffix = (evolution => '', wapi => '/v1', cloudapi => '/v23.0');
my $serial = 0;
my ($main, $database);


# a database that only workers of the test use

sub own_database {
    $main = $ENV{DATABASE_URL};
    $database = "ledger_$$";
    sql("CREATE DATABASE $database");
    $ENV{DATABASE_URL} =~ s{/media\z}{/$database};

    my ($exit, $out, $err) = run_worker(\%ENV, $ENV{MEDIA_WORKER},
        '--migrate');

    die "migrate: $err\n" if $exit;
}


END {
    my $status = $?;

    if ($database) {
        Worker::stop_worker($_) for Worker::started();
        $ENV{DATABASE_URL} = $main;
        sql("DROP DATABASE $database WITH (FORCE)");
    }

    $? = $status;
}


# a worker with so many children for sends, and nothing else but the sweeper

sub send_worker {
    my ($children, %env) = @_;

    return start_worker(MEDIA_CHILDREN_DOWNLOAD => 0,
        MEDIA_CHILDREN_INBOUND => 0, MEDIA_CHILDREN_PRIORITY => 0,
        MEDIA_CHILDREN_UPLOAD => $children, MEDIA_SWEEP_INTERVAL => '1s',
        MEDIA_SEND_RATE => 1000, %env);
}


# conversation('wapi', tenant => ..., name => ..., chat => ...): its rows are
# made if they are not there; a customer has just written

sub conversation {
    my ($provider, %c) = @_;
    my $n = ++$serial;

    $c{provider} = $provider;
    $c{tenant} //= 'send-' . lc unique_id();
    $c{name} //= $provider . '-' . lc unique_id();
    $c{chat} //= sprintf '55119%08d', 10_000_000 * ($$ % 9 + 1) + $n;

    open my $out, '>&', \*STDOUT or die;
    open STDOUT, '>', '/dev/null' or die;
    mediactl('', 'tenant', 'add', $c{tenant})
        unless sql("SELECT 1 FROM media.tenants WHERE id = '$c{tenant}'");
    mediactl('token-of-the-instance', 'instance', 'add', '--tenant',
        $c{tenant}, '--provider', $provider, '--name', $c{name},
        '--base-url', "$ENV{WHATSAPP_SIM_URL}$suffix{$provider}",
        '--token-stdin')
        unless sql("SELECT 1 FROM media.instances WHERE name = '$c{name}'");
    open STDOUT, '>&', $out or die;

    ($c{instance}) = sql_row('SELECT id FROM media.instances'
        . " WHERE name = '$c{name}'");
    ($c{id}) = sql_row('INSERT INTO media.conversations (tenant_id,'
        . ' instance_id, chat, last_customer_message_at)'
        . " VALUES ('$c{tenant}', $c{instance}, '$c{chat}', now())"
        . ' ON CONFLICT (instance_id, chat) DO UPDATE'
        . ' SET updated_at = now() RETURNING id');

    return \%c;
}


# a queued text, as rows; further columns by name

sub send_row {
    my ($c, $text, %column) = @_;
    my $names = join '', map { ", $_" } sort keys %column;
    my $values = join '', map { ", $column{$_}" } sort keys %column;
    my ($id) = sql_row(
        'WITH m AS (INSERT INTO media.messages (tenant_id, instance_id,'
        . ' conversation_id, provider_id, direction, type, content, status)'
        . " VALUES ('$c->{tenant}', $c->{instance}, $c->{id},"
        . " 'send:' || gen_random_uuid(), 'outgoing', 'text', '$text',"
        . " 'pending') RETURNING *)"
        . ' INSERT INTO media.sends (id, tenant_id, instance_id,'
        . ' conversation_id, message_id, idempotency_key, kind, body'
        . "$names) SELECT substr(m.provider_id, 6)::uuid, m.tenant_id,"
        . ' m.instance_id, m.conversation_id, m.id, m.provider_id,'
        . " 'text', jsonb_build_object('text', '$text')$values FROM m"
        . ' RETURNING id');

    return $id;
}


# the job that nginx publishes; its idempotency key

sub publish_send {
    my ($c, $text, %member) = @_;

    $member{idempotency_key} //= 'key-' . lc unique_id();
    publish('media', 'media_send', $json->encode({ type => 'send',
        tenant => $c->{tenant}, conversation_id => "$c->{id}",
        kind => 'text', text => $text, %member }),
        received_ms => int(time * 1000));

    return $member{idempotency_key};
}


# the columns of a send by its id or idempotency key

sub send_of {
    my ($key, $columns) = @_;

    return sql_row("SELECT $columns FROM media.sends s"
        . ' LEFT JOIN media.messages m ON m.id = s.message_id'
        . " WHERE s.id::text = '$key' OR s.idempotency_key = '$key'");
}


# waits; the state that it has in the end

sub state_is {
    my ($key, $states, $seconds) = @_;
    my $state = '';

    wait_until($seconds // 15, sub {
        ($state) = send_of($key, 's.state');
        return ($state // '') =~ /\A(?:$states)\z/;
    });

    return $state // 'none';
}


# number of sends by their state

sub states {
    my ($where) = @_;

    return { map { @$_ } sql('SELECT state, count(*) FROM media.sends'
        . " WHERE $where GROUP BY 1") };
}


sub events_of {
    my ($c, $type) = @_;

    return map { $json->decode($_->[0]) } sql('SELECT payload'
        . " FROM media.events WHERE tenant_id = '$c->{tenant}'"
        . " AND type = '$type' ORDER BY id");
}


# one child of a worker, at once; the number of children of that kind

sub kill_child {
    my ($worker, $queue) = @_;
    my %child = children($worker);
    my @pids = grep { $child{$_} eq $queue } keys %child;

    kill 'KILL', $pids[rand @pids] if @pids;
    return scalar @pids;
}


1;
