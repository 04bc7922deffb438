package Send;

# Copyright (C) ngx_media contributors

# The sending side of the simulator: what requests are of it, the checks and
# answers that its providers share, and the ledger of what was accepted.

use strict;
use warnings;

use B;
use Fcntl qw(:flock);
use File::Path qw(make_path remove_tree);
use JSON::PP;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time sleep);

use SendBody;
use SendCloudapi;
use SendEvolution;
use SendFault;
use SendHooks;
use SendMedia;
use SendWapi;

use constant BODY_MAX => 256 * 1024 * 1024;

our $dir;

my $ascii = JSON::PP->new->canonical->ascii;
my $utf8 = JSON::PP->new->canonical->utf8;


sub init {
    ($dir) = @_;

    $dir .= '/send';
    make_path("$dir/tmp", "$dir/media");
}


# { provider, op, instance ... } of a request of the sending side, or undef

sub match {
    my ($method, $path, $args) = @_;

    return SendCloudapi::match($method, $path, $args)
        || SendWapi::match($method, $path, $args)
        || SendEvolution::match($method, $path, $args);
}


# Reads the body and answers; true if the connection goes on.  $r->{send} is
# what match() gave.

sub handle {
    my ($r) = @_;
    my $s = $r->{send};

    $r->{spool} = "$dir/tmp/$$";
    $r->{violations} = [];
    $r->{size} = SendBody::spool($r->{c}, $r->{headers}, $r->{spool}, BODY_MAX);
    return 0 unless defined $r->{size};

    $r->{body} = head_of($r->{spool});
    main::record($r);

    $s->{in} = eval { SendBody::json($r->{spool}) }
        if ($r->{headers}{'content-type'} // '') !~ m!^multipart/!
        && $r->{size};
    $r->{json_error} = $@ if $r->{size} && !defined $s->{in};

    my $module = $s->{module};

    $s->{to} = $module->recipient($s->{in}, $s)
        if ref $s->{in} eq 'HASH';
    $r->{fault} ||= SendFault::pick($r, 1);

    return reset_connection($r) if is_fault($r, 'reset-before');

    sleep $r->{fault}{seconds} // 1 if is_fault($r, 'slow-before');

    my $goes_on = $r->{fault} && !$r->{fault}{sent}
        ? SendFault::refuse($r) : undef;

    $goes_on //= $module->handle($r);

    unlink glob "$r->{spool} $r->{spool}.*";
    return $goes_on;
}


sub is_fault { return $_[0]{fault} && $_[0]{fault}{fault} eq $_[1] }


sub head_of {
    my ($file) = @_;

    open my $f, '<:raw', $file or return '';
    read $f, my $head, 65536;
    return $head // '';
}


sub reset_connection {
    my ($r) = @_;

    setsockopt $r->{c}, SOL_SOCKET, SO_LINGER, pack 'l l', 1, 0;
    return 0;
}


# something that the provider's documentation does not have

sub violation {
    my ($r, $what) = @_;

    push @{ $r->{violations} }, $what;
    return;
}


# The answer of a request that was looked at; $sent is true if a message went
# out by it.

sub answer {
    my ($r, $status, $value, $sent, @headers) = @_;
    my $s = $r->{send};
    my $body = ref $value ? $utf8->encode($value) : $value;
    my $type = ref $value ? $s->{module}->content_type : 'text/html';

    # PHP's json_encode escapes every slash
    $body =~ s!/!\\/!g if $s->{provider} eq 'cloudapi' && ref $value;

    append('violations', { time => time, provider => $s->{provider},
        instance => $s->{instance}, op => $s->{op}, method => $r->{method},
        target => $r->{target}, what => $_, status => $status })
        for splice @{ $r->{violations} };

    if ($r->{fault} && ($sent || $status < 300)) {
        my $f = delete $r->{fault};

        return SendFault::refuse({ %$r, fault => $f }) if $f->{sent};

        sleep $f->{seconds} // 1 if $f->{fault} eq 'slow';
        return reset_connection($r) if $f->{fault} eq 'reset-after';

        $body = '{}' if $f->{fault} eq 'no-id';

        if ($f->{fault} eq 'cut') {
            $r->{c}->printflush(substr "HTTP/1.1 $status Simulated\r\n"
                . "Content-Type: $type\r\nContent-Length: " . length($body)
                . "\r\n\r\n$body", 0, $f->{bytes} // 0);
            return 0;
        }
    }

    return main::reply($r, $status, $type, $body, @headers);
}


# a message that the provider took: into the ledger, and its webhooks go out

sub accept_message {
    my ($r, $m) = @_;
    my $s = $r->{send};
    my $media = $m->{media};

    $m = { %$m, provider => $s->{provider}, instance => $s->{instance},
        version => $s->{version}, to => $s->{to}, time => time };
    append('sends', $m, 'seq');
    SendHooks::sent($r, $m);

    return $m;
}


# a read or typing

sub accept_act {
    my ($r, $act) = @_;
    my $s = $r->{send};

    append('acts', { %$act, provider => $s->{provider}, op => $s->{op},
        instance => $s->{instance}, time => time });
}


# one line of JSON; a member of that name gets the number of the line

sub append {
    my ($what, $value, $number) = @_;

    open my $f, '+>>', "$dir/$what" or die "$dir/$what: $!\n";
    flock $f, LOCK_EX;

    if ($number) {
        open my $n, '+>>', "$dir/$what.n" or die "$dir/$what.n: $!\n";
        seek $n, 0, 0;
        $value->{$number} = 1 + (<$n> // 0);
        truncate $n, 0;
        print $n $value->{$number};
        close $n;
    }

    print $f $ascii->encode($value), "\n";
    close $f;
}


# the ledger's lines that hold a text

sub lines {
    my ($what, $text) = @_;

    open my $f, '<', "$dir/$what" or return;

    return map { $ascii->decode($_) } grep { index($_, $text) >= 0 } <$f>;
}


# what the tests told of an instance: see README

sub instance {
    my ($name) = @_;

    return (config()->{instances} || {})->{$name} || {};
}


sub config {
    open my $f, '<', "$dir/config" or return {};
    local $/;
    return $ascii->decode(<$f> || '{}');
}


sub configure {
    my ($change) = @_;

    open my $lock, '>', "$dir/config.lock" or die "$dir/config.lock: $!\n";
    flock $lock, LOCK_EX;

    my $config = config();

    $change->($config);
    open my $f, '>', "$dir/config.new" or die "$dir/config.new: $!\n";
    print $f $ascii->encode($config);
    close $f;
    rename "$dir/config.new", "$dir/config";
}


# what the tests say and ask under /_sim/; undef if it is none of ours

sub control {
    my ($r, $what, $in) = @_;
    my %lists = (sends => 'sends', violations => 'violations',
        'send-acts' => 'acts', 'send-hooks' => 'hooks');

    if (my $list = $lists{$what}) {
        my $text = -e "$dir/$list" ? main::slurp("$dir/$list") : '';

        return main::reply($r, 200, 'application/x-ndjson', $text);
    }

    if ($what eq 'send-reset') {
        reset_all();

    } elsif ($what eq 'send-fault') {
        SendFault::add($in);

    } elsif ($what eq 'webhooks') {
        configure(sub { $_[0]{webhooks} = $in });

    } elsif ($what eq 'send-instance') {
        configure(sub { $_[0]{instances}{ $in->{instance} } = $in });

    } elsif ($what eq 'send-expire') {
        SendCloudapi::expire($in->{id});

    } else {
        return undef;
    }

    return main::reply($r, 204, 'text/plain', '');
}


sub reset_all {
    unlink map { "$dir/$_" } qw(sends sends.n violations acts hooks faults);
    remove_tree("$dir/media", { keep_root => 1 });
    SendHooks::forget();
    configure(sub { %{ $_[0] } = (generation => time) });
}


#
# checks
#

# Members of an object against { name => type }: s string, b boolean,
# i integer, n number, o object, a array, ! required, a sub for what is in it.
# Each fault is a violation; those that a provider refuses, all but unknown
# members, are returned as [ kind, name ].

sub members {
    my ($r, $o, $where, $spec) = @_;
    my @bad;

    for my $name (sort keys %$o) {
        my $type = $spec->{$name};

        unless ($type) {
            violation($r, "$where has unknown member \"$name\"");
            push @bad, [ unknown => $name ];
            next;
        }

        next if is_type($o->{$name}, substr $type, 0, 1);
        violation($r, "$where.$name is not of type " . substr $type, 0, 1);
        push @bad, [ type => $name ];
    }

    for my $name (sort grep { $spec->{$_} =~ /!/ } keys %$spec) {
        next if exists $o->{$name};
        violation($r, "$where has no \"$name\"");
        push @bad, [ missing => $name ];
    }

    return @bad;
}


# what a provider refuses of what members() found: it ignores what it does not
# know

sub grave { return grep { $_->[0] ne 'unknown' } @_ }


sub is_type {
    my ($v, $type) = @_;

    return ref $v eq 'HASH' if $type eq 'o';
    return ref $v eq 'ARRAY' if $type eq 'a';
    return JSON::PP::is_bool($v) if $type eq 'b';
    return 0 if !defined $v || ref $v;

    my $flags = B::svref_2object(\$v)->FLAGS;
    my $number = $flags & (B::SVp_IOK | B::SVp_NOK) && !($flags & B::SVp_POK);

    return !$number if $type eq 's';
    return $number && $v == int $v if $type eq 'i';
    return $number;
}


sub random_of {
    my ($n, @from) = @_;

    return join '', map { $from[ rand @from ] } 1 .. $n;
}


# a Brazilian mobile as WhatsApp knows it: without the ninth digit where the
# area code is 31 or more

sub whatsapp_number {
    my ($digits) = @_;

    return $digits unless $digits =~ /^55(\d\d)\d(\d{8})$/;
    return $digits if $1 < 31 || substr($2, 0, 1) < 7;
    return "55$1$2";
}


1;
