package UploadStream;

# Copyright (C) ngx_media contributors
#
# nginx with media_upload, an S3 server of its own process, and a queue of
# RabbitMQ that nobody else reads.

use strict;
use warnings;

use AMQP;
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Sanitizer;
use Store;
use Time::HiRes qw(sleep);

sub port {
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        ->sockport;
}

# s3: [host:port, ...] in place of the store's own; rabbitmq: a URL; buffer:
# client_body_buffer_size
sub new {
    my ($class, %o) = @_;
    my $dir = tempdir('ngx_media_XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $name = "upload-stream-$$-" . port();
    my $self = bless { dir => $dir, port => port(), name => $name,
        owner => $$, store => $o{store} // Store->new->start }, $class;
    my $store = $self->{store};

    die "RABBITMQ_URL is not set: ./dev up, and . .dev/env\n"
        if !$ENV{RABBITMQ_URL};
    $self->{amqp} = AMQP->new($ENV{RABBITMQ_URL});
    $self->{amqp}->exchange($name);
    $self->{amqp}->queue($name);
    $self->bind;

    $store->put('/bucket', '') if !$o{store};
    chmod 0755, $dir;
    mkdir "$dir/$_" for qw(temp logs);

    my @s3 = $o{s3} ? @{ $o{s3} } : $store->{host};
    my $servers = join ' ', map { "server $_ max_fails=0;" } @s3, @s3;
    my $rabbitmq = $o{rabbitmq} // $ENV{RABBITMQ_URL};
    my $conf = getcwd() . '/conf';
    my $module = $store->{module};

    open my $f, '>', "$dir/nginx.conf" or die $!;
    print $f <<"CONF";
load_module $module;
worker_processes @{[ $o{workers} // 1 ]};
daemon off;
pid $dir/nginx.pid;
error_log $dir/logs/error.log info;
@{[ $> == 0 ? 'user root;' : '' ]}
events { }
http {
    client_body_temp_path $dir/temp/body;
    proxy_temp_path $dir/temp/proxy;
    fastcgi_temp_path $dir/temp/fastcgi;
    uwsgi_temp_path $dir/temp/uwsgi;
    scgi_temp_path $dir/temp/scgi;
    access_log off;
    media_rabbitmq_url $rabbitmq;
    media_rabbitmq_exchange $name;
    media_s3_endpoint http://$store->{host};
    media_s3_bucket bucket;
    media_s3_access_key $store->{key};
    media_s3_secret_key $store->{secret};
    upstream s3 { $servers }
    @{[ $o{http} // '' ]}
    server {
        listen 127.0.0.1:$self->{port} @{[ $o{listen} // '' ]};
        media_tenant acme;
        media_sign_key main 0123456789abcdef0123456789abcdef;
        media_upload_store /upload-store/;
        client_body_buffer_size @{[ $o{buffer} // '16k' ]};
        @{[ $o{server} // '' ]}
        location = /upload {
            media_upload;
        }
        location = /small {
            media_upload;
            media_upload_max_size image 2000;
            media_upload_max_size document 1000;
            media_upload_max_size audio 2000;
            media_upload_max_size video 2000;
        }
        location /upload-store/ {
            internal;
            include $conf/media_s3_proxy.conf;
            client_max_body_size 0;
            proxy_set_header Content-Type \$content_type;
            proxy_pass http://s3\$media_s3_uri;
        }
    }
}
CONF
    close $f;

    $self->{pid} = fork // die "fork: $!";
    if ($self->{pid} == 0) {
        Sanitizer::preload($module);
        exec $store->{nginx}, '-p', $dir, '-c', "$dir/nginx.conf", '-e',
            "$dir/logs/error.log" or POSIX::_exit(127);
    }

    for (1 .. 200) {
        last if IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port});
        die $self->log if waitpid($self->{pid}, POSIX::WNOHANG()) > 0;
        sleep 0.05;
    }

    return $self;
}

sub bind { my ($self) = @_;
    $self->{amqp}->bind($self->{name}, $self->{name}, $_)
        for qw(media_send media_upload) }
sub unbind { my ($self) = @_;
    $self->{amqp}->unbind($self->{name}, $self->{name}, $_)
        for qw(media_send media_upload) }

# until the broker is connected to
sub ready {
    my ($self) = @_;

    for (1 .. 100) {
        return $self if $self->log =~ /rabbitmq \S+: (up|connected)/;
        sleep 0.1;
    }

    die "no broker:\n" . $self->log;
}

sub jobs {
    my ($self) = @_;
    my @jobs;

    while (my $m = $self->{amqp}->get($self->{name})) {
        push @jobs, decode_json($m->{body});
    }

    return @jobs;
}

sub log {
    my ($self) = @_;
    local $/;
    open my $f, '<', "$self->{dir}/logs/error.log" or return '';
    return scalar <$f> // '';
}

sub complaints {
    my ($self) = @_;
    return join "\n", grep { /\[(alert|crit|emerg)\]|Sanitizer|runtime error/ }
        split /\n/, $self->log;
}

sub workers {
    my ($self) = @_;
    open my $f, '<', "/proc/$self->{pid}/task/$self->{pid}/children"
        or die "children: $!";
    return split ' ', scalar <$f> // '';
}

# files of request bodies: they have no name, but workers have them open
sub spooled {
    my ($self) = @_;
    return scalar grep { (readlink // '') =~ m{/temp/body/} }
        map { glob "/proc/$_/fd/*" } $self->workers;
}

# the keys that S3 has
sub objects {
    my ($self) = @_;
    my $a = $self->{store}->get('/bucket', query => 'list-type=2');
    return $a->{body} =~ m{<Key>([^<]*)</Key>}g;
}

sub connect {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}, Timeout => 5) || die "connect: $!";
}

sub send {
    my ($self, $bytes) = @_;

    return answer(Store::write_to($self->connect, $bytes));
}

sub answer {
    my $a = Store::answer(@_);
    $a->{json} = eval { decode_json($a->{body}) } || {};
    return $a;
}

sub chunked {
    my ($body, $size) = @_;
    return join('', map { sprintf("%x\r\n", length) . "$_\r\n" }
        unpack "(a$size)*", $body) . "0\r\n\r\n";
}

# a request: path, headers, body; chunk: its chunks' size
sub request {
    my ($path, $headers, $body, %o) = @_;
    my %h = (host => 'x', connection => 'close', %$headers,
        $o{chunk} ? ('transfer-encoding' => 'chunked')
            : ('content-length' => length $body), %{ $o{headers} || {} });

    return "POST $path HTTP/1.1\r\n" . join('', map { "$_: $h{$_}\r\n" }
        grep { defined $h{$_} } sort keys %h) . "\r\n"
        . ($o{chunk} ? chunked($body, $o{chunk}) : $body);
}

sub query {
    my (%f) = @_;
    return join '&', map { "$_=" . Store::encode($f{$_}) } sort keys %f;
}

our $boundary = '----WebKitFormBoundary7MA4YWxkTrZu0gW';

# [name, value] or ['file', bytes, name, type]
sub form_body {
    return join('', map {
        my ($name, $value, $file, $type) = @$_;
        "--$boundary\r\nContent-Disposition: form-data; name=\"$name\""
            . (defined $file ? "; filename=\"$file\"" : '') . "\r\n"
            . (defined $type ? "Content-Type: $type\r\n" : '')
            . "\r\n$value\r\n" } @_) . "--$boundary--\r\n";
}

sub form_type { return "multipart/form-data; boundary=$boundary" }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    eval { $self->{amqp}->delete_queue($self->{name}) };
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    $self->stop if $self->{owner} == $$;
}

1;
