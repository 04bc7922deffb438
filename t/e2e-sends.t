#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Texts, photos and voice notes are sent over all providers while worker
# children and their master are killed, RabbitMQ, PostgreSQL, Redis, S3 and the
# providers are killed and started again, and the providers answer at random
# with errors, late, or not at all.  At the end it is known of each send what
# became of it; nothing was sent twice, and the order of each conversation was
# kept.
#
# SENDS is their number (200).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use JSON::PP;
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);
use AMQP;
use E2E;
use Leaks;
use Ogg;
use SendSim;
use Uploads;

env_or_skip();
plan(skip_all => 'MEDIA_JWT_SECRET or MEDIA_DEV_DIR is not set: '
    . 'run by ./dev test') unless $ENV{MEDIA_JWT_SECRET}
    && $ENV{MEDIA_DEV_DIR};

use constant CLIENTS => 4;
use constant PATIENCE => 180;

my $n = $ENV{SENDS} || 200;
my $per = $n >= 400 ? int($n / 40) : 10;        # of a conversation
my $seed = $ENV{SENDS_SEED} || $$;
my $tenant = "sends$$";
my $photo = shipped_file('whatsapp-media/image-jpeg.plain');
my $voice = shipped_file('media/voice.ogg');

my @lines = lines(88, 'sends');

diag("seed $seed, $n sends");
srand $seed;
add_tenant($tenant);

is(add_line($tenant, $_), 0, "an instance of $_->{name}") for @lines;

my @conversations;
my $chat = first_chat();

for my $i (0 .. $n / $per - 1) {
    my $line = $lines[$i % @lines];

    push @conversations, conversation($line->{provider}, $line->{instance},
        $chat++);
}

webhooks_on(mode => 'random', retry_unit => 0.2);

my %plan = map { $_->{id} => [ plan_of($_) ] } @conversations;
my %known = map { $_->{mark} => $_ } map { @$_ } values %plan;
my $total = keys %known;

for my $line (@lines) {
    send_fault('random', match => { instance => $line->{instance} },
        random => { seed => "$seed $line->{instance}", percent => {
            429 => 4, 500 => 3, 'reset-before' => 3, 'reset-after' => 3,
            cut => 2, slow => 3 } }, retry_after => 1, seconds => 1);
}

my @clients = map { start_client($_) } 0 .. CLIENTS - 1;

# a backend or the master every few seconds, children in between

my $killed = 0;
my @services = (qw(rabbitmq media-worker postgres whatsapp-sim redis s3
    media-worker)) x (1 + int($n / 1000));

for my $service (@services) {
    for (1 .. 6) {
        $killed += kill_child();
        sleep 0.5 + rand 0.5;
    }

    ok(restart($service), "$service was killed and started again");
}

ok($killed > 0, "$killed children were killed");

for my $pid (@clients) {
    my $ended = wait_until(600, sub { waitpid($pid, WNOHANG) == $pid });

    ok($ended && $? == 0, 'all that a client sent was taken');
}

my $left;

wait_until(300, sub {
    ($left) = sql_row("SELECT count(*) FROM media.sends WHERE tenant_id = "
        . "'$tenant' AND state IN ('queued', 'sending')");

    return $left == 0;
});

is($left, 0, 'no send is left')
    or diag(join "\n", map { join ' ', @$_ } sql('SELECT id, kind, state, '
        . 'ready, attempts, next_at, error_code, error_message FROM '
        . "media.sends WHERE tenant_id = '$tenant' AND state IN ('queued', "
        . "'sending') LIMIT 10"));

# providers repeat a webhook that was not taken, so statuses come late

my (%state, @received, @hooks, @wrong);

wait_until(120, sub {
    my $hooks = @hooks;

    sleep 2;
    @hooks = send_hooks();
    %state = states();
    @wrong = diverged();

    return @hooks == $hooks && !@wrong;
});

@received = received();

accounted();
once();
in_order();
is_deeply(\@wrong, [], 'statuses converged');

is_deeply([ map { "$_->{provider}: $_->{what}" } map {
    violations(instance => $_->{instance}) } @lines ], [],
    'nothing that is not documented');

my $locks;

wait_until(30, sub {
    ($locks) = sql_row("SELECT count(*) FROM pg_locks WHERE locktype = "
        . "'advisory' AND classid <> 0 AND objsubid = 2");

    return $locks == 0;
});

is($locks, 0, 'no lock is left');
is_deeply(queued(), {}, 'the queues are empty');
is_deeply([ leaks($tenant) ], [], 'no secret in a log, the database, Redis, '
    . 'or in arguments');

done_testing();


# what is sent in a conversation, each with a mark that its bytes carry

sub plan_of {
    my ($c) = @_;

    return map {
        my $mark = sprintf 'mark-%s-%03d-%s', $c->{id}, $_, unique_id();
        my $x = rand;
        my $what = $x < 0.7 ? { text => $mark }
            : $x < 0.85 ? { file => marked_photo($mark) }
            : { file => marked_voice($mark) };

        +{ %$what, mark => $mark, number => $_, conversation => $c,
            $what->{file} ? (sha256 => sha256_hex($what->{file}{content}))
            : () };
    } 1 .. $per;
}


# the same photo with a comment (a COM segment after SOI)

sub marked_photo {
    my ($mark) = @_;

    return { name => 'foto.jpg', type => 'image/jpeg', caption => $mark,
        content => substr($photo, 0, 2) . "\xff\xfe"
        . pack('n', 2 + length $mark) . $mark . substr $photo, 2 };
}


# the same voice note with a comment in OpusTags, the second page, and its CRC

sub marked_voice {
    my ($mark) = @_;
    my $at = 27 + ord(substr $voice, 26, 1);
    my $first = $at + unpack '%32C*', substr $voice, 27, $at - 27;
    my $segments = ord substr $voice, $first + 26, 1;
    my $size = unpack '%32C*', substr $voice, $first + 27, $segments;
    my $rest = $first + 27 + $segments + $size;
    my $tags = 'OpusTags' . pack('V/a* V', 'ngx_media', 1)
        . pack('V/a*', "COMMENT=$mark");

    die "a long mark\n" if length $tags >= 255;

    my $page = substr($voice, $first, 26) . chr(1) . chr(length $tags) . $tags;

    return { name => 'voz.ogg', type => 'audio/ogg', kind => 'voice',
        content => substr($voice, 0, $first) . ogg_sealed($page)
        . substr $voice, $rest };
}


# One of the clients: its conversations in turn, what follows in one when the
# one before was taken.

sub start_client {
    my ($k) = @_;
    my $pid = fork // die "fork: $!\n";

    return $pid if $pid;

    my @own = @conversations[grep { $_ % CLIENTS == $k } 0 .. $#conversations];
    my $failed = 0;

    for my $i (0 .. $per - 1) {
        for my $c (@own) {
            $failed += !eval { send_one($plan{ $c->{id} }[$i]); 1 };
            print STDERR "# $@" if $@;
        }
    }

    POSIX::_exit($failed ? 1 : 0);
}


sub send_one {
    my ($s) = @_;
    my %more = (idempotency_key => $s->{mark}, patience => PATIENCE);

    if ($s->{file}) {
        upload_file($tenant, $s->{conversation}, $s->{file}, %more);
        return;
    }

    my $r = media_send($tenant, $s->{conversation}, kind => 'text',
        text => $s->{text}, %more);

    die "send: $r->{status} $r->{content}\n" unless $r->{success};
}


# what the simulator accepted, each with its mark

sub received {
    my %by_hash = map { $_->{sha256} => $_->{mark} }
        grep { $_->{sha256} } values %known;
    my %own = map { $_->{instance} => 1 } @lines;

    return map {
        my ($mark) = $_->{text} =~ /^(mark-\S+)$/;

        +{ %$_, mark => $mark // $by_hash{ ($_->{media} || {})->{sha256}
            // '' } // "none ($_->{kind})" };
    } grep { $own{ $_->{instance} } } sends();
}


sub accounted {
    my %count;

    $count{ $_->{state} }++ for values %state;
    diag(join ', ', map { "$count{$_} $_" } sort keys %count);

    is(scalar(keys %state), $total, "$total sends in the ledger");
    is(scalar(grep { !$state{$_} } keys %known), 0, 'each that was asked for');
    is(scalar(grep { $_->{state} !~
        /^(?:accepted|sent|delivered|read|failed|unknown)$/ } values %state),
        0, 'it is known what became of each');
    is_deeply([ map { $_->{mark} } grep { !$known{ $_->{mark} } } @received ],
        [], 'nothing else was sent');
}


# accepted: exactly once; failed: never; unknown: once at the most

sub once {
    my %times;

    $times{ $_->{mark} }++ for @received;

    is_deeply([ grep { $times{$_} > 1 } sort keys %times ], [],
        'nothing was sent twice');
    is_deeply([ grep { $state{$_}{state} =~ /^(?:accepted|sent|delivered|read)$/
        && !$times{$_} } sort keys %state ], [],
        'what was accepted was sent');
    is_deeply([ map { "$_ $state{$_}{error}" } grep {
        $state{$_}{state} eq 'failed' && $times{$_} } sort keys %state ], [],
        'what failed was not sent');

    my @unknown = grep { $state{$_}{state} eq 'unknown' } keys %state;

    diag(scalar(@unknown) . ' unknown, of which '
        . scalar(grep { $times{$_} } @unknown) . ' were sent');
}


sub in_order {
    my (%last, @wrong);

    for my $sent (@received) {
        my $s = $known{ $sent->{mark} } or next;
        my $id = $s->{conversation}{id};

        push @wrong, "$sent->{mark} after $last{$id}{mark}"
            if $last{$id} && $last{$id}{number} > $s->{number};
        $last{$id} = $s;
    }

    is_deeply(\@wrong, [], 'the order of each conversation is kept');
}


sub states {
    return map { $_->[0] => { state => $_->[1], provider_id => $_->[2],
        message => $_->[3], error => $_->[4] } } sql('SELECT '
        . 's.idempotency_key, s.state, s.provider_id, m.status, '
        . "s.error_code || ' ' || s.error_message FROM media.sends s "
        . 'LEFT JOIN media.messages m ON m.id = s.message_id '
        . "WHERE s.tenant_id = '$tenant'");
}


# what has not the highest status that a webhook told of, in either table

sub diverged {
    my %rank = (sent => 0, delivered => 1, read => 2);
    my %best;

    for my $hook (grep { $_->{status} == 200 && defined $rank{ $_->{what} } }
        @hooks)
    {
        $best{ $hook->{id} } = $hook->{what} if $rank{ $hook->{what} }
            >= $rank{ $best{ $hook->{id} } // 'sent' };
    }

    return map { "$_: send $state{$_}{state}, message $state{$_}{message}, "
        . "told $best{ $state{$_}{provider_id} }" } grep {
        my ($s, $best) = ($state{$_}, $best{ $state{$_}{provider_id} });

        $best && ($s->{state} ne $best || $s->{message} ne $best);
    } sort keys %state;
}


# messages of each queue that has some

sub queued {
    my %count;

    wait_until(60, sub {
        my $amqp = AMQP->new($ENV{RABBITMQ_URL});

        %count = map { $_ => $amqp->count($_) } qw(webhook_inbound
            media_priority media_download media_send media_upload
            media_dead),
            map { "media_retry_$_" } split ' ', $ENV{MEDIA_RETRY_DELAYS};
        delete @count{ grep { !$count{$_} } keys %count };

        return !%count;
    });

    return \%count;
}


sub pid_of {
    my ($name) = @_;
    my $file = "$ENV{MEDIA_DEV_DIR}/run/$name.pid";

    return -e $file ? (slurp($file) =~ /(\d+)/)[0] : undef;
}


sub kill_child {
    my @children = children_of(pid_of('media-worker') or return 0);

    return 0 unless @children;
    return kill 'KILL', $children[rand @children];
}


sub children_of {
    my ($master) = @_;
    my @children;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $f, '<', $stat or next;

        my ($pid, $ppid) = (<$f> // '') =~ /^(\d+) \(.*\) \S (\d+)/;

        push @children, $pid if defined $ppid && $ppid == $master;
    }

    return @children;
}


# whatever is not running is started by "up"

sub restart {
    my ($service) = @_;
    my $pid = pid_of($service) or return 0;

    kill 'KILL', $pid, children_of($pid);
    sleep 1;

    my $out = `$FindBin::Bin/../dev up 2>&1`;

    diag($out) if $?;
    return $? == 0;
}
