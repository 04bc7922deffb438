package Webhook;

# Copyright (C) ngx_media contributors
#
# nginx with a webhook location, and requests to it.

use warnings;
use strict;

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Sanitizer;
use Time::HiRes qw(sleep time);

sub port {
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        ->sockport;
}

sub new {
    my ($class, %o) = @_;
    my $dir = tempdir('ngx_media_XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { dir => $dir, port => port(), store => port(),
        owner => $$ }, $class;
    my $module = $ENV{TEST_MEDIA_MODULE}
        || getcwd() . '/build/ngx_http_media_module.so';
    my $temp = join "\n", map { "${_}_temp_path $dir/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);
    my $user = $> == 0 ? 'user root;' : '';
    my $workers = $o{workers} || 1;

    mkdir "$dir/store";
    open my $fh, '>', "$dir/nginx.conf" or die $!;
    print $fh <<"CONF";
load_module $module;
$user daemon off; worker_processes $workers;
error_log $dir/error.log info; pid $dir/pid;
events { worker_connections 512; }
http {
    $temp
    access_log off;
    media_rabbitmq_url $o{url};
    @{[ $o{http} || '' ]}
    server {
        listen 127.0.0.1:$self->{port};
        location ~ ^/evolution/(?<token>[^/]+) {
            media_webhook evolution;
            media_webhook_token old;
            media_webhook_token secret;
            media_webhook_credential \$token;
            media_webhook_instance \$arg_instance;
            media_webhook_offload /store/;
        }
        location = /wapi {
            media_webhook wapi;
            media_webhook_token secret;
            media_webhook_max_body 2m;
            media_webhook_max_message 1k;
        }
        location = /lost {
            media_webhook wapi;
            media_webhook_token secret;
            media_webhook_max_message 1k;
            media_webhook_offload /closed/;
        }
        location /closed/ {
            internal;
            proxy_pass http://127.0.0.1:1;
        }
        location = /cloudapi {
            media_webhook cloudapi;
            media_webhook_secret first;
            media_webhook_secret second;
            media_webhook_verify_token verify;
        }
        location /store/ {
            internal;
            client_max_body_size 0;
            proxy_pass http://127.0.0.1:$self->{store};
            proxy_pass_request_headers off;
        }
    }
    server {
        listen 127.0.0.1:$self->{store};
        client_max_body_size 0;
        location / {
            root $dir;
            dav_methods PUT;
            create_full_put_path on;
        }
    }
}
CONF
    close $fh;

    $self->{pid} = fork // die $!;
    if ($self->{pid} == 0) {
        open STDERR, '>', "$dir/stderr";
        Sanitizer::preload($module);
        exec 'nginx', '-p', $dir, '-c', "$dir/nginx.conf"
            or POSIX::_exit(127);
    }

    for (1 .. 100) {
        last if IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port});
        sleep 0.1;
    }

    return $self;
}

sub log {
    my ($self) = @_;
    local $/;
    open my $fh, '<', "$self->{dir}/error.log" or return '';
    my $log = <$fh>;
    open $fh, '<', "$self->{dir}/stderr" or return $log;
    return $log . (<$fh> // '');
}

sub raw {
    my ($self, $bytes) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}, Timeout => 5) or return (0, '', 0);
    my $start = time;
    my $answer = '';
    local $SIG{PIPE} = 'IGNORE';

    print $s $bytes;
    $s->flush;
    while (sysread $s, $answer, 65536, length $answer) { }

    my ($status) = $answer =~ m{^HTTP/1.1 (\d+)};
    return ($status || 0, $answer, time - $start);
}

sub post {
    my ($self, $uri, $body, %h) = @_;
    my $method = delete $h{method} || 'POST';

    $h{'Content-Type'} //= 'application/json';
    $h{'Content-Length'} //= length $body;
    delete $h{$_} for grep { $h{$_} eq '' } keys %h;

    return $self->raw("$method $uri HTTP/1.1\r\nHost: x\r\n"
        . "Connection: close\r\n"
        . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n$body");
}

sub workers {
    my ($self) = @_;
    return split ' ', `ps -o pid= --ppid $self->{pid}`;
}

sub rss {
    my ($self) = @_;
    my $max = 0;
    for my $pid ($self->workers) {
        open my $fh, '<', "/proc/$pid/status" or next;
        /^VmHWM:\s+(\d+)/ && $1 > $max && ($max = $1) for <$fh>;
    }
    return $max;
}

sub stop {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;
    kill QUIT => $self->{pid};
    waitpid $self->{pid}, 0;
    delete $self->{pid};
}

sub DESTROY { local $?; $_[0]->stop }

use POSIX ();

1;
