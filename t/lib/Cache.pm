package Cache;

# Copyright (C) ngx_media contributors
#
# nginx with the module, a real redis-server and plain HTTP requests, for
# the tests of the cache and of the signer.

use strict;
use warnings;

use Cwd qw(getcwd);
use Digest::SHA qw(sha256_hex);
use Errno;
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use Sanitizer;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(sleep time);

# each process tests in ports of its own

my %given;

sub free_port {
    while (1) {
        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            Listen => 1, ReuseAddr => 1) or die "no port: $!";
        my $port = $socket->sockport;

        return $port unless $given{$port}++;
    }
}

sub new {
    my ($class) = @_;

    my $self = bless {
        dir => tempdir("ngx_media_XXXXXX", TMPDIR => 1),
        owner => $$,
        module => $ENV{TEST_MEDIA_MODULE}
            || getcwd() . '/build/ngx_http_media_module.so',
        nginx => $ENV{TEST_NGINX_BINARY} || 'nginx',
        globals => 'daemon off;',
        pids => [],
    }, $class;

    $self->{$_} = free_port() for qw(port origin redis_port);

    chmod 0755, $self->{dir};
    make_path(map { "$self->{dir}/$_" } qw(origin logs temp redis));

    return $self;
}

sub dir { $_[0]{dir} }

sub write_file {
    my ($self, $name, $content) = @_;

    my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";
    (my $parent = $path) =~ s{/[^/]*$}{};
    make_path($parent);

    open my $fh, '>:raw', $path or die "$path: $!";
    print $fh $content;
    close $fh or die "$path: $!";
}

sub read_file {
    my ($self, $name) = @_;

    my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";
    open my $fh, '<:raw', $path or return '';
    local $/;
    return scalar <$fh>;
}

# the configuration: @PORT@, @ORIGIN@, @REDIS@ and @DIR@ are replaced

sub configure {
    my ($self, %conf) = @_;

    my $user = $> == 0 ? 'user root;' : '';
    my $workers = $conf{workers} || 1;
    my $main = $conf{main} || '';
    my $connections = $conf{connections} || 512;

    my $text = <<"EOT";
$user
load_module $self->{module};
pid \@DIR\@/nginx.pid;
error_log \@DIR\@/logs/error.log info;
worker_processes $workers;
$main
events { worker_connections $connections; }
http {
    access_log off;
    client_body_temp_path \@DIR\@/temp/body;
    proxy_temp_path \@DIR\@/temp/proxy;
    fastcgi_temp_path \@DIR\@/temp/fastcgi;
    uwsgi_temp_path \@DIR\@/temp/uwsgi;
    scgi_temp_path \@DIR\@/temp/scgi;
    default_type application/octet-stream;
    types { image/jpeg jpg; video/mp4 mp4; audio/ogg ogg;
            application/pdf pdf; text/plain txt; }
    log_format origin
        '\$request_method \$request_uri \$status "\$http_range"';

$conf{http}
    server {
        listen 127.0.0.1:\@ORIGIN\@;
        access_log \@DIR\@/logs/origin.log origin;
        root \@DIR\@/origin;
        @{[$conf{origin} || '']}
    }
}
EOT

    my %value = (PORT => $self->{port}, ORIGIN => $self->{origin},
        REDIS => $self->{redis_port}, DIR => $self->{dir});
    $text =~ s/\@(PORT|ORIGIN|REDIS|DIR)\@/$value{$1}/g;

    $self->write_file('nginx.conf', $text);
}

sub command {
    my ($self, @args) = @_;

    return ($self->{nginx}, '-p', "$self->{dir}/", '-c',
        "$self->{dir}/nginx.conf", '-e', "$self->{dir}/logs/error.log",
        @args);
}

sub spawn {
    my ($self, $output, @command) = @_;

    my $pid = fork();
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $output;
        open STDERR, '>>', $output;
        Sanitizer::preload($self->{module}) if $command[0] eq $self->{nginx};
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    return $pid;
}

sub wait_port {
    my ($self, $wanted) = @_;

    for (1 .. 200) {
        my $socket = IO::Socket::INET->new(
            PeerAddr => "127.0.0.1:$wanted");
        return 1 if $socket;
        sleep 0.05;
    }

    die "nothing listens on $wanted:\n"
        . $self->read_file('logs/error.log')
        . $self->read_file('logs/stderr.log');
}

sub start {
    my ($self) = @_;

    $self->{nginx_pid} = $self->spawn("$self->{dir}/logs/stderr.log",
        $self->command('-g', $self->{globals}));
    $self->wait_port($self->{port});
    $self->wait_redis if $self->{redis_pid};
}

# output of nginx -t

sub test_configuration {
    my ($self) = @_;

    my $pid = $self->spawn("$self->{dir}/logs/test.log",
        $self->command('-t'));
    waitpid($pid, 0);

    return ($? >> 8, $self->read_file('logs/test.log')
        . $self->read_file('logs/error.log'));
}

sub reload {
    my ($self) = @_;

    kill 'HUP', $self->{nginx_pid};
}

# stops gracefully; false if a worker process did not end in time

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{nginx_pid} or return 1;

    kill 'QUIT', $pid;

    for (1 .. 200) {
        return 1 if waitpid($pid, WNOHANG) == $pid;
        sleep 0.05;
    }

    kill 'TERM', $pid;
    waitpid($pid, 0);
    return 0;
}

sub error_log { $_[0]->read_file('logs/error.log') }

# what nginx must never log, and what a sanitizer would

sub alarms {
    my ($self) = @_;

    return join "\n",
        grep { /\[(?:alert|crit|emerg)\]|Sanitizer|runtime error/ }
        split /\n/, $self->error_log . $self->read_file('logs/stderr.log');
}

sub origin_requests {
    my ($self, $pattern) = @_;

    return scalar grep { /$pattern/ }
        split /\n/, $self->read_file('logs/origin.log');
}

sub redis_start {
    my ($self, @options) = @_;

    $self->{redis_pid} = $self->spawn("$self->{dir}/logs/redis.log",
        'redis-server', '--port', $self->{redis_port}, '--bind',
        '127.0.0.1', '--save', '', '--dir', "$self->{dir}/redis", @options);
    $self->wait_port($self->{redis_port});
}

sub redis_stop {
    my ($self) = @_;

    my $pid = delete $self->{redis_pid} or return;

    kill 'CONT', $pid;
    kill 'KILL', $pid;
    waitpid($pid, 0);
}

sub redis_signal { kill $_[1], $_[0]{redis_pid} }

sub resp {
    return '*' . @_ . "\r\n"
        . join '', map { '$' . length($_) . "\r\n$_\r\n" } @_;
}

# one command, the reply as bytes; nil is undef

sub redis {
    my ($self, @args) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => "127.0.0.1:$self->{redis_port}") or return;

    if (defined $self->{redis_password}) {
        print $socket resp('AUTH', $self->{redis_password});
        <$socket>;
    }

    print $socket resp(@args);

    my $line = <$socket>;
    return unless defined $line;
    $line =~ s/\r\n$//;

    return $1 if $line =~ /^[+:-](.*)/s;
    return if $line eq '$-1';

    if ($line =~ /^\$(\d+)/) {
        my $value = '';
        my $left = $1;
        while ($left > 0) {
            my $n = read $socket, $value, $left, length $value;
            last unless $n;
            $left -= $n;
        }
        return $value;
    }

    die "unexpected reply $line";
}

# all connections of all worker processes are up, and purges were read

sub wait_redis {
    my ($self) = @_;

    for (1 .. 100) {
        my @up = (my $clients = $self->redis('CLIENT', 'LIST') || '')
            =~ /name=ngx_media/g;
        return 1 if @up >= 2
            && $clients =~ /name=ngx_media\b[^\n]* cmd=(?!client)/;
        sleep 0.05;
    }

    return 0;
}

# SET is not waited for by the client

sub wait_stored {
    my ($self, $n) = @_;

    for (1 .. 100) {
        return 1 if $self->redis('DBSIZE') >= $n;
        sleep 0.02;
    }

    return 0;
}

# the entry of one object key, once it is there

sub wait_entry {
    my ($self, $name) = @_;

    for (1 .. 100) {
        my $entry = $self->redis('GET', 'media:' . sha256_hex($name));
        return $entry if defined $entry;
        sleep 0.02;
    }

    return;
}

sub connect {
    my ($self, $wanted) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1:' . ($wanted || $self->{port}),
        Timeout => 10) or return;
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    return $socket;
}

# one request; status 0 if the connection failed or the body is short

sub request {
    my ($self, $method, $uri, %headers) = @_;

    my $socket = $self->connect or return { status => 0, body => '' };
    my $host = delete $headers{Host} || 'localhost';

    print $socket "$method $uri HTTP/1.1\r\nHost: $host\r\n"
        . "Connection: close\r\n"
        . join('', map { "$_: $headers{$_}\r\n" } keys %headers) . "\r\n";

    my $text = '';
    my $left = time() + 20;

    while (time() < $left) {
        my $n = sysread $socket, $text, 65536, length $text;
        next if !defined $n && $!{EINTR};
        last unless $n;
    }

    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my %response = (status => 0, body => '', headers => {});

    return \%response unless defined $body && $head =~ m{^HTTP/1\.1 (\d+)};

    $response{status} = $1;
    $response{body} = $body;

    for my $line (split /\r\n/, $head) {
        $response{headers}{lc $1} = $2 if $line =~ /^([^:]+): (.*)$/;
    }

    my $length = $response{headers}{'content-length'};

    if (($response{headers}{'transfer-encoding'} || '') eq 'chunked') {
        my $plain = '';
        while ($body =~ s/^([0-9a-fA-F]+)\r\n//) {
            my $size = hex $1;
            last if $size == 0;
            $plain .= substr $body, 0, $size + 2, '';
            $plain = substr $plain, 0, -2;
        }
        $response{body} = $plain;

    } elsif ($method ne 'HEAD' && defined $length && $response{status} != 304
        && length $body != $length)
    {
        $response{status} = 0;
    }

    return \%response;
}

sub get { my ($self, @args) = @_; return $self->request('GET', @args) }

# "200 HIT"

sub outcome {
    my ($self, @args) = @_;

    my $response = $self->get(@args);
    return "$response->{status} " . ($response->{headers}{'x-cache'} || '-');
}

# a server that runs $code with each connection, in a process of its own

sub serve {
    my ($self, $wanted, $code) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$wanted",
        Listen => 128, ReuseAddr => 1) or die "listen: $!";

    my $pid = fork();
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        $SIG{CHLD} = 'IGNORE';
        $SIG{PIPE} = 'IGNORE';
        while (my $client = $listen->accept) {
            next if fork();
            close $listen;
            setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
            $client->autoflush(1);
            $code->($client);
            POSIX::_exit(0);
        }
        POSIX::_exit(0);
    }

    push @{$self->{pids}}, $pid;
    return $pid;
}

sub end_server {
    my ($self, $pid) = @_;

    kill 'KILL', $pid;
    waitpid($pid, 0);
    @{$self->{pids}} = grep { $_ != $pid } @{$self->{pids}};
}

sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    local $?;
    $self->stop;
    $self->redis_stop;
    $self->end_server($_) for @{$self->{pids}};

    if ($ENV{TEST_MEDIA_KEEP}) {
        print STDERR "# kept $self->{dir}\n";
    } else {
        remove_tree($self->{dir});
    }
}

# the usual location: cached, from the origin

sub cached_location {
    return <<'EOT';
    media_redis 127.0.0.1:@REDIS@;

    server {
        listen 127.0.0.1:@PORT@;

        location /media/ {
            media_cache on;
            proxy_pass http://127.0.0.1:@ORIGIN@/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
        }
    }
EOT
}

1;
