package Leaks;

# Copyright (C) ngx_media contributors

# Looks for secrets where none may be: the logs of ./dev's stack, the rows of
# the database, the events in Redis, and the arguments of all processes.

use strict;
use warnings;

use E2E;
use Exporter qw(import);

our @EXPORT = qw(secret leaks);

my @secrets;


# remembers it, and gives it back

sub secret {
    my ($secret) = @_;

    push @secrets, $secret if defined $secret && length $secret;
    return $secret;
}


# where a secret is to be seen, by name; never the secret

sub leaks {
    my ($tenant) = @_;

    die "no secrets to look for\n" unless @secrets;

    my $found = qr/@{[ join '|', map { quotemeta } @secrets ]}/;
    my @where;

    for my $file (glob("$ENV{MEDIA_DEV_DIR}/log/*"),
        glob('/proc/[0-9]*/cmdline'))
    {
        my ($line) = lines($file, $found);

        push @where, defined $line ? "$file, line $line" : ();
    }

    open my $p, '-|', 'pg_dump', '-a', '-n', 'media', '-d', $ENV{DATABASE_URL}
        or die "pg_dump: $!\n";

    my $table = '';

    while (<$p>) {
        $table = $1 if /^COPY (\S+)/;
        push @where, $table if /$found/;
    }

    close $p or die "pg_dump failed\n";

    push @where, 'redis' if redis_cli('xrange', "media:events:$tenant", '-',
        '+') =~ $found;

    return @where;
}


sub lines {
    my ($file, $found) = @_;

    open my $f, '<:raw', $file or return;

    while (<$f>) {
        return $. if /$found/;
    }

    return;
}


1;
