package Browser;

# Copyright (C) ngx_media contributors
#
# Headless Chromium, driven by t/js/browser.js.  What is missing is an error,
# never a skip: the tests of browsers are of no use without one.

use strict;
use warnings;

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use IPC::Open2;
use JSON::PP;

my $json = JSON::PP->new->canonical->utf8->allow_nonref;


sub new {
    my ($class) = @_;
    my $chromium = $ENV{CHROMIUM} || find('chromium')
        or die "no chromium: apt-get install chromium, or set CHROMIUM\n";
    my $modules = $ENV{NODE_PATH} || getcwd() . '/build/cache/js/node_modules';

    find('node') or die "no node: apt-get install nodejs\n";
    -d "$modules/puppeteer-core"
        or die "no puppeteer-core in $modules: see node_packages in ./dev\n";

    my $self = bless { dir => tempdir(CLEANUP => 1), owner => $$ }, $class;

    local $ENV{NODE_PATH} = $modules;
    local $ENV{LD_PRELOAD} = '';
    local $ENV{HOME} = $self->{dir};

    $self->{pid} = open2($self->{out}, $self->{in}, 'node', '--no-warnings',
        't/js/browser.js', $chromium, $self->{dir});
    $self->{version} = $self->answer;

    die "chromium does not start: $self->{version}{error}\n"
        if ref $self->{version};

    return $self;
}


sub find {
    my ($program) = @_;

    return (grep { -x } map { "$_/$program" } split /:/, $ENV{PATH})[0];
}


sub version { $_[0]{version} }


sub answer {
    my ($self, $seconds) = @_;

    local $SIG{ALRM} = sub { die "the browser does not answer\n" };
    alarm($seconds || 60);
    my $line = readline $self->{out};
    alarm 0;

    die "the browser is gone\n" unless defined $line;
    return $json->decode($line);
}


# one command of browser.js, and its answer

sub tell {
    my ($self, @command) = @_;

    local $SIG{PIPE} = 'IGNORE';
    print { $self->{in} } $json->encode(\@command), "\n";
    $self->{in}->flush;

    return $self->answer;
}


sub DESTROY {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    local ($?, $@);
    close $self->{in};

    eval {
        local $SIG{ALRM} = sub { die };
        alarm 10;
        waitpid $self->{pid}, 0;
        alarm 0;
        1;
    } or do { kill 'TERM', $self->{pid}; waitpid $self->{pid}, 0 };
}

1;
