package SendFault;

# Copyright (C) ngx_media contributors

# Faults of the sending side.  A test adds { match, fault, times }, see README;
# the first one that matches a request is its fate.

use strict;
use warnings;

use Digest::SHA qw(sha256);
use Fcntl qw(:flock);
use JSON::PP;

my $json = JSON::PP->new->canonical->ascii;


sub file { return "$Send::dir/faults" }


sub add {
    my ($fault) = @_;

    change(sub { push @{ $_[0] }, $fault });
}


sub change {
    my ($code) = @_;

    open my $f, '+>>', file() or die "faults: $!\n";
    flock $f, LOCK_EX;
    seek $f, 0, 0;

    my $text = do { local $/; <$f> };
    my $faults = $text ? $json->decode($text) : [];
    my $value = $code->($faults);

    truncate $f, 0;
    print $f $json->encode($faults);
    close $f;

    return $value;
}


# The fault of a request, or undef.  Where the body says what a request is,
# and for faults that ask for the recipient, it is there already ($late).

sub pick {
    my ($r, $late) = @_;

    return undef unless -s file();

    return change(sub {
        my ($faults) = @_;

        for my $f (@$faults) {
            next if !!$late != !!($r->{send}{late}
                || defined $f->{match}{to});
            next if defined $f->{times} && $f->{times} <= 0;
            next unless matches($f->{match}, $r);

            my $n = ++$f->{seen};

            next if $f->{match}{nth} && $n != $f->{match}{nth};

            my $fate = $f->{random} ? chance($f, $n) : $f;

            next unless $fate;
            $f->{times}-- if defined $f->{times};
            return { %$fate };
        }

        return undef;
    });
}


sub matches {
    my ($match, $r) = @_;
    my $s = $r->{send};

    for my $name (qw(provider instance to)) {
        next unless defined $match->{$name};
        return 0 if ($s->{$name} // '') ne $match->{$name};
    }

    return 0 if defined $match->{path} && $r->{path} !~ /$match->{path}/;
    return 1 if ($match->{op} // '') eq 'any';
    return $s->{op} eq ($match->{op} // 'send');
}


# "random": { "seed", "percent": { "500": 5, "reset-after": 2 ... } }: the
# same seed gives the n-th request the same fate

sub chance {
    my ($f, $n) = @_;
    my $percent = $f->{random}{percent};
    my $x = unpack('N', sha256("$f->{random}{seed} $n")) / 2 ** 32 * 100;

    for my $name (sort keys %$percent) {
        $x -= $percent->{$name};
        next if $x >= 0;

        my ($fault, $code) = $name =~ /^(code) (\d+)$/ ? ($1, $2) : $name;

        return { %$f, fault => $fault, code => $code };
    }

    return undef;
}


# answers by the fault; undef if the request goes on as if there were none

sub refuse {
    my ($r) = @_;
    my $f = $r->{fault};
    my $fault = $f->{fault};
    my $module = $r->{send}{module};

    local $r->{fault};

    return Send::answer($r, 502, "<html>\r\n<head><title>502 Bad Gateway"
        . "</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>"
        . "</center>\r\n</body>\r\n</html>\r\n") if $fault eq '502';

    if ($fault =~ /^\d{3}$/ || $fault =~ /^(?:code|transport|no-whatsapp)$/
        || $fault eq 'nested')
    {
        return $module->refuse($r, $f);
    }

    return undef;
}


1;
