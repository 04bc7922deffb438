package Store;

# Copyright (C) ngx_media contributors
#
# nginx with media_store, and requests signed here, by other code than the
# module's.

use strict;
use warnings;

use Cwd qw(getcwd);
use Digest::SHA qw(sha256_hex hmac_sha256 hmac_sha256_hex);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(strftime WNOHANG);
use Sanitizer;
use Time::HiRes qw(sleep);

sub new {
    my ($class, %opt) = @_;

    my $port = do {
        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            Listen => 1) or die "no port: $!";
        $socket->sockport;
    };

    my $self = bless {
        dir => tempdir("ngx_media_XXXXXX", TMPDIR => 1, CLEANUP => 1),
        port => $port,
        host => "127.0.0.1:$port",
        key => 'AKSTORETEST', secret => 'store/test+secret',
        region => 'us-east-1', owner => $$,
        module => $ENV{TEST_MEDIA_MODULE}
            || getcwd() . '/build/ngx_http_media_module.so',
        nginx => $ENV{TEST_NGINX_BINARY} || 'nginx',
        workers => 2, server => '', %opt,
    }, $class;

    mkdir "$self->{dir}/$_" for qw(data logs temp);
    chmod 0755, $self->{dir};

    my $d = $self->{dir};
    my $location = join "\n", "media_store $d/data;",
        "media_store_access_key $self->{key};",
        "media_store_secret_key_file $d/secret;";

    $self->write("$d/secret", "$self->{secret}\n");
    $self->write("$d/nginx.conf", <<"CONF");
load_module $self->{module};
worker_processes $self->{workers};
daemon off;
pid $d/nginx.pid;
error_log $d/logs/error.log info;
@{[ $> == 0 ? 'user root;' : '' ]}
events { }
http {
    client_body_temp_path $d/temp/body;
    proxy_temp_path $d/temp/proxy;
    fastcgi_temp_path $d/temp/fastcgi;
    uwsgi_temp_path $d/temp/uwsgi;
    scgi_temp_path $d/temp/scgi;
    log_format requests '\$request_method \$request_uri \$status '
        '"\$http_range" \$body_bytes_sent';
    access_log $d/logs/access.log requests;
    server {
        listen $self->{host};
        client_max_body_size 64m;
        $self->{server}
        location / {
            $location
            error_page 413 \@refused;
        }
        location \@refused {
            $location
        }
    }
}
CONF
    return $self;
}

sub write {
    my ($self, $file, $text) = @_;
    open my $f, '>', $file or die "$file: $!";
    print $f $text;
    close $f or die "$file: $!";
}

sub start {
    my ($self) = @_;

    my $pid = fork // die "fork: $!";
    if (!$pid) {
        Sanitizer::preload($self->{module});
        exec $self->{nginx}, '-p', $self->{dir}, '-c',
            "$self->{dir}/nginx.conf", '-e', "$self->{dir}/logs/error.log";
        die "nginx: $!";
    }

    $self->{pid} = $pid;

    for (1 .. 200) {
        my $s = IO::Socket::INET->new(PeerAddr => $self->{host});
        return $self if $s;
        die $self->log() if waitpid($pid, WNOHANG) == $pid;
        sleep 0.05;
    }

    die "nginx does not listen";
}

sub workers {
    my ($self) = @_;
    open my $f, '<', "/proc/$self->{pid}/task/$self->{pid}/children"
        or die "children: $!";
    return split ' ', scalar <$f> // '';
}

# the whole process tree at once, as a power cut would
sub kill9 {
    my ($self) = @_;
    my @workers = $self->workers();
    kill 'STOP', $self->{pid};
    kill 'KILL', @workers, $self->{pid};
    waitpid $self->{pid}, 0;
    sleep 0.2;
    delete $self->{pid};
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    $self->stop() if $self->{owner} == $$;
}

sub log {
    my ($self) = @_;
    open my $f, '<', "$self->{dir}/logs/error.log" or return '';
    local $/;
    return scalar <$f> // '';
}

# alerts and sanitizer reports since the start
sub complaints {
    my ($self) = @_;
    return join '', grep { /\[(alert|crit|emerg)\]|Sanitizer|runtime error/ }
        map { "$_\n" } split /\n/, $self->log();
}

sub encode {
    my ($text, $safe) = @_;
    $safe = '' unless defined $safe;
    $text =~ s/([^A-Za-z0-9\-._~$safe])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

sub path { return '/' . join '/', map { encode($_, '/') } @_ }

sub canonical_query {
    my ($query) = @_;
    my @pairs = map {
        my ($n, $v) = map { my $s = $_; $s =~ s/%(..)/chr hex $1/ge; $s }
            (split(/=/, $_, 2), '')[0, 1];
        [encode($n), encode($v)];
    } split /&/, $query;
    return join '&', map { "$_->[0]=$_->[1]" }
        sort { $a->[0] cmp $b->[0] || $a->[1] cmp $b->[1] } @pairs;
}

sub signing_key {
    my ($self, $day) = @_;
    my $key = hmac_sha256($day, "AWS4$self->{secret}");
    $key = hmac_sha256($_, $key) for $self->{region}, 's3', 'aws4_request';
    return $key;
}

sub signature {
    my ($self, $method, $path, $query, $headers, $hash, $date) = @_;
    my $day = substr $date, 0, 8;
    my $names = join ';', sort keys %$headers;
    my $canonical = join "\n", $method, $path, canonical_query($query),
        (map { "$_:$headers->{$_}" } sort keys %$headers), '', $names, $hash;
    my $scope = "$day/$self->{region}/s3/aws4_request";
    my $text = join "\n", 'AWS4-HMAC-SHA256', $date, $scope,
        sha256_hex($canonical);
    return (hmac_sha256_hex($text, $self->signing_key($day)), $names, $scope);
}

# The request as bytes.  Options: headers (signed), unsigned (sent only),
# query, body, hash (x-amz-content-sha256), date, and sent_* in place of what
# was signed: sent_path, sent_query, sent_body, sent_headers.
sub request {
    my ($self, $method, $path, %o) = @_;
    my $body = $o{body} // '';
    my $date = $o{date} // strftime '%Y%m%dT%H%M%SZ', gmtime;
    my $hash = $o{hash} // sha256_hex($body);
    my $query = $o{query} // '';
    my %h = (host => $self->{host}, 'x-amz-date' => $date,
        'x-amz-content-sha256' => $hash, %{ $o{headers} || {} });
    my ($signature, $names, $scope) = $self->signature($method, $path,
        $query, \%h, $hash, $date);
    my $key = $o{key} // $self->{key};

    $h{authorization} = "AWS4-HMAC-SHA256 Credential=$key/$scope, "
        . "SignedHeaders=$names, Signature=$signature";
    $self->{seed} = $signature;

    return $self->bytes($method, $path, $query, \%h, %o, body => $body);
}

sub presigned {
    my ($self, $method, $path, %o) = @_;
    my $date = $o{date} // strftime '%Y%m%dT%H%M%SZ', gmtime;
    my $day = substr $date, 0, 8;
    my %h = (host => $self->{host}, %{ $o{headers} || {} });
    my $query = join '&', grep { length } $o{query} // '',
        'X-Amz-Algorithm=AWS4-HMAC-SHA256', 'X-Amz-Credential='
        . encode("$self->{key}/$day/$self->{region}/s3/aws4_request"),
        "X-Amz-Date=$date", 'X-Amz-Expires=' . ($o{expires} // 60),
        'X-Amz-SignedHeaders=' . encode(join ';', sort keys %h);
    my ($signature) = $self->signature($method, $path, $query, \%h,
        'UNSIGNED-PAYLOAD', $date);

    return $self->bytes($method, $path, "$query&X-Amz-Signature=$signature",
        \%h, %o, body => $o{body} // '');
}

sub bytes {
    my ($self, $method, $path, $query, $headers, %o) = @_;
    my %h = (%$headers, %{ $o{unsigned} || {} }, %{ $o{sent_headers} || {} });
    my $body = $o{sent_body} // $o{body};

    $path = $o{sent_path} // $path;
    $query .= $o{sent_query} // '';
    $path .= "?$query" if length $query;
    $h{'content-length'} = length $body
        if $method =~ /^P/ && !exists $h{'content-length'};
    delete $h{$_} for grep { !defined $h{$_} } keys %h;

    return join("\r\n", "$method $path HTTP/1.1",
        (map { "$_: $h{$_}" } sort keys %h), 'connection: close', '', '')
        . $body;
}

sub connect {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => $self->{host}, Timeout => 5)
        || die "connect: $!";
}

sub send {
    my ($self, $bytes) = @_;

    return answer(write_to($self->connect(), $bytes));
}

# as much of the bytes as it takes; the socket

sub write_to {
    my ($socket, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = 0;

    while ($sent < length $bytes) {
        my $n = syswrite $socket, $bytes, 65536, $sent;
        last unless defined $n;
        $sent += $n;
    }

    return $socket;
}

sub answer {
    my ($socket) = @_;
    my $text = '';

    eval {
        local $SIG{ALRM} = sub { die "timeout\n" };
        alarm 30;
        while (sysread $socket, $text, 65536, length $text) { }
        alarm 0;
    };

    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($status, @lines) = split /\r\n/, $head // '';
    my %a = (status => ($status // '') =~ /^HTTP\S+ (\d+)/ ? $1 : 0,
        body => $body // '', code => '', head => $head // '');

    for (@lines) {
        my ($name, $value) = /^([^:]+): ?(.*)$/ or next;
        $a{h}{lc $name} = $value;
    }

    $a{code} = $1 if $a{body} =~ m{<Code>([^<]*)</Code>};
    return \%a;
}

# signed requests in one call; give the parsed answer
sub put { my $s = shift; my ($p, $b, %o) = @_;
    return $s->send($s->request('PUT', $p, body => $b, %o)) }
sub get { my $s = shift; return $s->send($s->request('GET', @_)) }
sub head { my $s = shift; return $s->send($s->request('HEAD', @_)) }
sub del { my $s = shift; return $s->send($s->request('DELETE', @_)) }
sub post { my $s = shift; my ($p, $b, %o) = @_;
    return $s->send($s->request('POST', $p, body => $b, %o)) }

1;
