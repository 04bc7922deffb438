package SendHooks;

# Copyright (C) ngx_media contributors

# The webhooks about messages that were sent: the echo and the statuses, as
# the mode of /_sim/webhooks says.  What is posted after the answer is left to
# one process, which repeats as each provider does.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex sha1_hex);
use Encode ();
use Errno qw(EINPROGRESS EINTR EAGAIN);
use Fcntl qw(:flock O_NONBLOCK F_SETFL F_GETFL);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(time sleep);

use constant CONNECTIONS => 16;

my $json = JSON::PP->new->canonical->ascii;
my $wire = JSON::PP->new->canonical->utf8;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

# what is posted of a message, by mode; ":" and more are in early() and failed
my %modes = (none => [], in_order => [ qw(sent delivered read) ],
    duplicated => [ qw(sent sent delivered delivered read read) ],
    reordered => [ qw(read delivered sent) ], read_only => [ 'read' ],
    sent_only => [ 'sent' ], delivered => [ qw(sent delivered) ],
    early => [ qw(sent delivered read) ], failed => [ qw(sent failed) ]);

# the waits before each repetition, seconds, and what is final
my %retries = (
    evolution => { waits => [ 5, 10, 20, 40, 80, 160, 300, 300, 300 ],
        final => qr/^(?:2\d\d|400|401|403|404|422)$/ },
    evolution_v1 => { waits => [ (30) x 9 ], final => qr/^2\d\d$/ },
    wapi => { waits => [], final => qr/^/ },
    cloudapi => { waits => [ 0, 2, 5, 15, 60, 300, (900) x 20 ],
        final => qr/^200$/ },
);


# a message was accepted

sub sent {
    my ($r, $m) = @_;
    my $config = Send::config();
    my $hooks = $config->{webhooks} or return;
    my $url = $hooks->{ $m->{provider} } or return;
    my $mode = mode_of($hooks, $m);
    my $echo = $hooks->{echo} // $mode ne 'none';
    my @statuses = @{ $modes{$mode} || [] };

    @statuses = 'failed' if $m->{failed};

    # Evolution v2 tells of what its database has
    @statuses = () if $m->{provider} eq 'evolution'
        && $m->{version} !~ /^v?1/
        && Send::instance($m->{instance})->{no_database};

    my @posts = map { post_of($hooks, $url, $m, $_) }
        ($echo && $m->{provider} ne 'cloudapi' ? 'echo' : ()), @statuses;

    return unless @posts;

    if ($mode eq 'early') {
        my $n = $m->{provider} eq 'cloudapi' ? 1 : 2;

        while ($n-- > 0 && @posts) {
            my $status = post_now($posts[0]);

            last unless $status =~ /^2/;
            shift @posts;
        }
    }

    queue($config, $hooks, $m, @posts) if @posts;
}


sub mode_of {
    my ($hooks, $m) = @_;
    my $by_to = $hooks->{by_to} || {};
    my $mode = $by_to->{ $m->{to} // '' } // $hooks->{mode} // 'in_order';

    return $mode unless $mode eq 'random';

    my @all = qw(duplicated in_order read_only reordered);

    return $all[hex(substr sha1_hex($m->{id}), 0, 6) % @all];
}


sub post_of {
    my ($hooks, $url, $m, $what) = @_;
    my $make = __PACKAGE__->can($m->{provider});
    my $body = $wire->encode($make->($hooks, $m, $what));
    my %headers = ('content-type' => 'application/json',
        'user-agent' => $m->{provider} eq 'cloudapi'
        ? 'facebookexternalua' : 'axios/1.7.9');

    if ($m->{provider} eq 'cloudapi') {

        # as PHP's json_encode, and signed as it is on the wire
        $body = $json->encode($make->($hooks, $m, $what));
        $body =~ s!/!\\/!g;
        $headers{'x-hub-signature-256'} = 'sha256='
            . hmac_sha256_hex($body, $hooks->{app_secret} // '');
    }

    return { url => $url, body => $body, headers => \%headers, id => $m->{id},
        what => $what };
}


sub evolution {
    my ($hooks, $m, $what) = @_;
    my $v1 = $m->{version} =~ /^v?1/;
    my %status = (sent => 'SERVER_ACK', delivered => 'DELIVERY_ACK',
        read => 'READ', failed => 'ERROR');
    my $data;

    if ($what eq 'echo') {
        $data = SendEvolution::record($m);
        delete @$data{qw(id MessageUpdate)};
        ($data->{messageType}) = SendEvolution::message_of($m, $v1);
        $data->{source} = 'web';
        $data->{owner} = $m->{instance} if $v1;

    } else {
        $data = { remoteJid => $m->{chat}, fromMe => $true,
            status => $status{$what}, $v1
            ? (id => $m->{id}, datetime => int(time * 1000),
                owner => $m->{instance})
            : (keyId => $m->{id}, messageId => 'c' . lc $m->{id},
                participant => $m->{chat}, instanceId =>
                SendEvolution::instance_id($m->{instance})) };
    }

    return { event => $what eq 'echo' ? 'send.message' : 'messages.update',
        instance => $m->{instance}, data => $data,
        destination => $hooks->{evolution}, date_time => iso_time(),
        sender => '551133334444@s.whatsapp.net',
        server_url => 'http://localhost:8080',
        $v1 ? () : (apikey => undef) };
}


sub iso_time {
    my @t = gmtime;

    return sprintf '%04d-%02d-%02dT%02d:%02d:%02d.000Z', $t[5] + 1900,
        $t[4] + 1, @t[3, 2, 1, 0];
}


sub wapi {
    my ($hooks, $m, $what) = @_;
    my %status = (sent => 'SENT', delivered => 'DELIVERED', read => 'READ',
        failed => 'FAILED');
    my %common = (instanceId => $m->{instance}, messageId => $m->{id},
        connectedPhone => '551133334444', fromMe => $true,
        isGroup => $m->{chat} =~ /\@g\.us$/ ? $true : $false);

    return { %common, event => 'webhookStatus', status => $status{$what},
        moment => int(time * 1000), chat => { id => $m->{chat} } }
        unless $what eq 'echo';

    return { %common, event => 'webhookDelivery', fromApi => $true,
        moment => int time, chat => { id => $m->{chat},
        profilePicture => undef }, sender => { id => '551133334444',
        profilePicture => undef, pushName => 'Atendimento',
        verifiedBizName => '' }, msgContent => wapi_content($m) };
}


sub wapi_content {
    my ($m) = @_;
    my (undef, $message) = SendEvolution::message_of({ %$m,
        version => 'v1' }, 1);

    return $message;
}


sub cloudapi {
    my ($hooks, $m, $what) = @_;
    my $code = $m->{failed} // $hooks->{code} // 131026;
    my %status = (id => $m->{id}, status => $what, timestamp => '' . int time,
        recipient_id => $m->{chat});

    if ($what eq 'failed') {
        my $text = SendCloudapi::error_text($code);

        $status{errors} = [ { code => $code + 0, title => $text,
            message => $text, error_data => { details => $text }, href =>
            'https://developers.facebook.com/docs/whatsapp/cloud-api/support/'
            . 'error-codes/' } ];

    } else {
        $status{pricing} = { billable => $false, pricing_model => 'PMP',
            category => 'service', type => 'free_customer_service' };
    }

    $status{biz_opaque_callback_data} = $m->{callback}
        if defined $m->{callback};

    return { object => 'whatsapp_business_account', entry => [ { id =>
        '102290129340398', changes => [ { field => 'messages', value => {
        messaging_product => 'whatsapp', metadata => {
            display_phone_number => '551133334444',
            phone_number_id => $m->{instance} },
        contacts => [ { wa_id => $m->{chat} } ],
        statuses => [ \%status ] } } ] } ] };
}


sub post_now {
    my ($post) = @_;
    my $r = HTTP::Tiny->new(timeout => 10, max_redirect => 0)
        ->post($post->{url}, { content => $post->{body},
        headers => $post->{headers} });

    note($post, $r->{status}, 1);
    return $r->{status};
}


sub note {
    my ($post, $status, $attempt) = @_;

    Send::append('hooks', { time => time, url => $post->{url},
        id => $post->{id}, what => $post->{what}, status => $status,
        attempt => $attempt });
}


sub queue {
    my ($config, $hooks, $m, @posts) = @_;
    my $retry = $m->{provider} eq 'evolution' && $m->{version} =~ /^v?1/
        ? 'evolution_v1' : $m->{provider};

    open my $f, '>>', "$Send::dir/queue" or die "queue: $!\n";
    flock $f, LOCK_EX;
    print $f $json->encode({ generation => $config->{generation} // 0,
        at => time + ($hooks->{delay} // 0.1), retry => $retry,
        unit => $hooks->{retry_unit} // 1, posts => \@posts }), "\n";
    close $f;
}


sub forget {
    truncate "$Send::dir/queue", 0 if -e "$Send::dir/queue";
    unlink "$Send::dir/queue.done";
}


#
# The process that posts.  A chain is the posts of one message: each goes out
# when the one before was answered or given up.  A simulator that was killed
# goes on with the chains that were not done.
#

sub run {
    my $parent = getppid;
    my ($offset, $generation, @chains, %busy) = (0, -1);

    while (getppid == $parent) {
        my $config = Send::config()->{generation} // 0;

        if ($config != $generation) {
            ($generation, $offset, @chains) = ($config, 0);
            close $_->{socket} for values %busy;
            %busy = ();
        }

        push @chains, read_queue(\$offset, $generation);
        start(\@chains, \%busy);
        wait_for(\@chains, \%busy);
    }

    exit 0;
}


sub read_queue {
    my ($offset, $generation) = @_;
    my $file = "$Send::dir/queue";
    my (@new, %done);

    return if (-s $file // 0) <= $$offset;

    open my $f, '<', $file or return;
    flock $f, LOCK_SH;
    seek $f, $$offset, 0;

    if (!$$offset && open my $d, '<', "$file.done") {
        $done{ $_ + 0 } = 1 while <$d>;
    }

    while (my $line = <$f>) {
        my $chain = eval { $json->decode($line) };

        push @new, { %$chain, line => $$offset } if $chain
            && !$done{$$offset} && $chain->{generation} == $generation;
        $$offset = tell $f;
    }

    return @new;
}


sub start {
    my ($chains, $busy) = @_;
    my $now = time;

    for my $chain (@$chains) {
        last if keys %$busy >= CONNECTIONS;
        next if $chain->{socket} || $chain->{at} > $now;

        my $post = $chain->{posts}[0];
        my ($host, $port, $path) = $post->{url}
            =~ m!^http://([^/:]+)(?::(\d+))?(/\S*)?$!;

        $chain->{socket} = $host ? IO::Socket::INET->new(PeerAddr => $host,
            PeerPort => $port // 80, Blocking => 0) : undef;
        $path ||= '/';
        $port //= 80;
        $chain->{head} = '';
        $chain->{until} = $now + 30;
        $chain->{out} = "POST $path HTTP/1.1\r\nHost: $host:$port\r\n"
            . join('', map { "$_: $post->{headers}{$_}\r\n" }
            sort keys %{ $post->{headers} })
            . 'Content-Length: ' . length($post->{body})
            . "\r\nConnection: close\r\n\r\n" . $post->{body};

        if ($chain->{socket}) {
            $busy->{ fileno $chain->{socket} } = $chain;

        } else {
            finish($chain, 0);
        }
    }
}


sub wait_for {
    my ($chains, $busy) = @_;
    my ($rd, $wr) = ('', '');

    for my $fd (keys %$busy) {
        vec($rd, $fd, 1) = 1;
        vec($wr, $fd, 1) = 1 if length $busy->{$fd}{out};
    }

    if (select($rd, $wr, undef, %$busy ? 0.02 : 0.03) > 0) {
        for my $fd (keys %$busy) {
            my $chain = $busy->{$fd};

            write_some($chain) if vec $wr, $fd, 1;
            read_some($chain) if vec $rd, $fd, 1;
        }
    }

    for my $fd (keys %$busy) {
        my $chain = $busy->{$fd};

        $chain->{status} //= 0 if $chain->{until} < time;
        next unless defined $chain->{status};

        close delete $chain->{socket};
        delete $busy->{$fd};
        finish($chain, delete $chain->{status});
    }

    @$chains = grep { @{ $_->{posts} } } @$chains;
}


sub write_some {
    my ($chain) = @_;
    my $n = syswrite $chain->{socket}, $chain->{out};

    if (defined $n) {
        substr $chain->{out}, 0, $n, '';

    } elsif (!$!{EAGAIN} && !$!{EINTR}) {
        $chain->{status} = 0;
    }
}


sub read_some {
    my ($chain) = @_;
    my $n = sysread $chain->{socket}, $chain->{head}, 4096,
        length $chain->{head};

    my ($status) = $chain->{head} =~ /^HTTP\/1\.[01] (\d{3}) .*\r\n\r\n/s;

    if ($status) {
        $chain->{status} = $status;

    } elsif (defined $n ? !$n : !$!{EAGAIN} && !$!{EINTR}) {
        $chain->{status} = 0;
    }
}


# the answer of the first post of a chain: 0 if there was none

sub finish {
    my ($chain, $status) = @_;
    my $retry = $retries{ $chain->{retry} };
    my $attempt = ++$chain->{attempt};
    my $wait = $retry->{waits}[$attempt - 1];

    note($chain->{posts}[0], $status, $attempt);

    if ($status =~ $retry->{final} || !defined $wait) {
        shift @{ $chain->{posts} };
        $chain->{attempt} = 0;
        $chain->{at} = time;
        done($chain) unless @{ $chain->{posts} };
        return;
    }

    $chain->{at} = time + $wait * $chain->{unit};
}


sub done {
    my ($chain) = @_;

    open my $f, '>>', "$Send::dir/queue.done" or die "queue: $!\n";
    print $f "$chain->{line}\n";
    close $f;
}


1;
