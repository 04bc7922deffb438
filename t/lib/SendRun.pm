package SendRun;

# Copyright (C) ngx_media contributors

# One call of a provider's functions by worker/test/run_send.c, against a
# server of the test's own that answers as it is told, or does not.

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);
use E2E qw(sql sql_row unique_id);
use Exporter qw(import);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use Job;
use JSON::PP;
use Socket qw(SOL_SOCKET SO_LINGER);

our @EXPORT = qw(run_or_skip account one_send exchange answered put_object
    quoted_sql);

my $json = JSON::PP->new->canonical->utf8;
my $program = Job::job_program() =~ s{run_job$}{run_send}r;
my $dir = tempdir(CLEANUP => 1);
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16,
    ReuseAddr => 1) or die "listen: $!\n";


sub run_or_skip {
    job_or_skip();

    return if -x $program;

    require Test::More;
    Test::More::plan(skip_all => "$program is not built");
}


sub quoted_sql { return "'" . ($_[0] =~ s/'/''/gr) . "'" }


# an instance of a tenant of its own, at this test's server

sub account {
    my ($provider, %opt) = @_;
    my %suffix = (evolution => '', wapi => '/v1', cloudapi => '/v23.0');
    my $base = $opt{base_url} // 'http://127.0.0.1:' . $listener->sockport
        . $suffix{$provider};
    my $i = instance(tenant(), $provider, base_url => $base);

    $i->{base_url} = $base;
    $i->{token} = $opt{token} // 'a-secret-token-of-this-test';
    $i->{version} = $opt{version} // '';

    if (defined $opt{name}) {
        $i->{name} = $opt{name};

        my $name = $opt{name};

        utf8::encode($name);
        sql('UPDATE media.instances SET name = ' . quoted_sql($name)
            . " WHERE id = $i->{id}");
    }

    return $i;
}


# what run_send is given, and its rows as the ledger makes them

sub one_send {
    my ($i, $kind, %opt) = @_;
    my $chat = $opt{chat} // '5511987654321';
    my $text = $opt{text} // '';

    utf8::encode($text);

    my ($message) = sql_row('INSERT INTO media.messages (tenant_id, '
        . 'instance_id, conversation_id, provider_id, direction, type, '
        . "content) VALUES ('$i->{tenant}', $i->{id}, $i->{conversation}, "
        . "'send:" . unique_id() . "', 'outgoing', '$kind', "
        . quoted_sql($text) . ') RETURNING id');
    my ($id) = sql_row('INSERT INTO media.sends (id, tenant_id, instance_id, '
        . 'conversation_id, message_id, idempotency_key, kind, attempts, '
        . 'ready, sending_at) '
        . "VALUES (gen_random_uuid(), '$i->{tenant}', $i->{id}, "
        . "$i->{conversation}, $message, '" . unique_id() . "', '$kind', "
        . ($opt{attempts} // 1) . ', false, now()) RETURNING id');

    return { id => $id, tenant => $i->{tenant}, provider => $i->{provider},
        conversation => $i->{conversation}, message => $message,
        instance => $i->{id}, name => $i->{name}, token => $i->{token},
        base_url => $i->{base_url}, api_version => $i->{version},
        kind => $kind, attempts => 1, chat => $chat, %opt };
}


# members of a send whose file is this

sub put_object {
    my ($bytes, $type, $name) = @_;
    my $path = "$dir/object";
    my $key = 'chat/t/1/' . substr(sha1_hex(unique_id()), 0, 8) . '_file';

    open my $f, '>', $path or die $!;
    binmode $f;
    print $f $bytes;
    close $f;
    run_program('put', $key, $path, $type =~ s/;.*//r);

    return (file_key => $key, file_type => $type, file_name => $name,
        file_size => length $bytes);
}


sub answered {
    my ($status, $body, %headers) = @_;
    my $text = ref $body ? $json->encode($body) : $body;

    $headers{'Content-Type'} //= ref $body ? 'application/json' : 'text/html';
    return "HTTP/1.1 $status X\r\n"
        . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
        . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
}


# runs one call; each connection is met by the next of the answers: bytes, or
# [what] with early (reset before the body is read), reset (after it), close,
# hang, or a sub that gets the request.  Gives the result and the requests.

sub exchange {
    my ($op, $s, @answers) = @_;
    my %text = map { $_ => "$s->{$_}" } grep { defined $s->{$_} } keys %$s;
    my (@requests, @kept);
    my $output = '';

    open my $p, '-|', $program, $op, $json->encode(\%text)
        or die "$program: $!\n";

    my $select = IO::Select->new($p, $listener);

    while (1) {
        for my $ready ($select->can_read(60)) {

            if ($ready == $p) {
                next if sysread $p, $output, 65536, length $output;

                close $p;
                return ($json->decode($output), @requests);
            }

            my $c = $listener->accept;
            my $answer = shift @answers;
            my $r = request($c, ref $answer eq 'ARRAY' && $answer->[0]
                eq 'early');

            push @requests, $r;
            $answer = $answer->($r) if ref $answer eq 'CODE';
            $answer //= answered(599, 'not expected');

            if (!ref $answer) {
                print $c $answer;
                close $c;
                next;
            }

            setsockopt $c, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)
                if $answer->[0] =~ /^(early|reset)$/;
            push @kept, $c if $answer->[0] eq 'hang';
            close $c unless $answer->[0] eq 'hang';
        }
    }
}


sub request {
    my ($c, $early) = @_;
    my $text = '';
    my %r;

    $c->autoflush(1);

    while ($text !~ /\r\n\r\n/) {
        last unless sysread $c, $text, 65536, length $text;
    }

    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($line, @headers) = split /\r\n/, $head // '';

    @r{qw(method target)} = split / /, $line // '';
    $r{headers} = { map { /^([^:]+): *(.*)/ ? (lc $1 => $2) : () } @headers };
    $body //= '';

    my $length = $r{headers}{'content-length'} // 0;

    while (!$early && length $body < $length) {
        last unless sysread $c, $body, 1 << 20, length $body;
    }

    $r{body} = $body;
    return \%r;
}

1;
