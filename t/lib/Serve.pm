package Serve;

# Copyright (C) ngx_media contributors
#
# nginx before an S3 server whose answers are scripted, in three ways:
#
#     /media/  Redis, then S3      /disk/   slice and proxy_cache
#     /plain/  S3 alone
#
# and requests as bytes, several on a connection, with all headers of the
# answers in their order.

use strict;
use warnings;

use parent qw(Cache);
use Time::HiRes qw(time);

# objects: name => { status, headers => [ 'Name: value', ... ], body };
# ranges => 0: Range is ignored, chunked => 1: no Content-Length

sub new {
    my ($class, %objects) = @_;
    my $self = Cache::new($class);

    $self->{objects} = \%objects;
    $self->{s3_port} = Cache::free_port();
    $self->{sockets} = {};

    return $self;
}

sub run {
    my ($self, %conf) = @_;
    my %location = map { $_ => $conf{$_} // '' } qw(all media plain disk);

    $self->configure(http => <<"EOT");
    media_redis 127.0.0.1:\@REDIS\@;
    proxy_cache_path \@DIR\@/disk keys_zone=disk:1m;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_max_temp_file_size 0;
    proxy_read_timeout 2s;
    $location{all}

    upstream s3 {
        server 127.0.0.1:$self->{s3_port};
        keepalive 8;
    }

    server {
        listen 127.0.0.1:\@PORT\@;
        @{[$conf{server} // '']}

        location /media/ {
            media_cache on;
            proxy_pass http://s3/;
            $location{media}
        }

        location /plain/ {
            media_proxy on;
            proxy_pass http://s3/;
            $location{plain}
        }

        location /disk/ {
            media_proxy on;
            slice 1k;
            proxy_cache disk;
            proxy_cache_key \$uri\$slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_cache_valid 404 1m;
            proxy_set_header Range \$slice_range;
            proxy_pass http://s3/;
            $location{disk}
        }
    }
EOT

    $self->redis_start;
    $self->serve($self->{s3_port}, sub { $self->origin($_[0]) });
    $self->start;
}

# S3's side of a connection

sub origin {
    my ($self, $client) = @_;
    my $text = '';

    $self->note('connect');

    while (1) {
        while ($text !~ /\r\n\r\n/) {
            sysread $client, $text, 65536, length $text or return;
        }

        $text =~ s/^(.*?)\r\n\r\n//s;
        my ($method, $name) = (my $head = $1) =~ m{^(\S+) /([^\s?]*)};
        my ($range) = $head =~ /^Range: bytes=([\d-]+)\r?$/mi;

        $self->note("$method $name " . ($range // '-'));
        $self->answer($client, $method, $name, $range);
    }
}

sub answer {
    my ($self, $client, $method, $name, $range) = @_;
    my $object = $self->{objects}{$name}
        || { status => 404, headers => ['Content-Type: application/xml'],
            body => "<Error><Code>NoSuchKey</Code><Key>$name</Key></Error>" };
    my $status = $object->{status} || 200;
    my $body = $object->{body} // '';
    my @headers = @{$object->{headers} || []};
    my $size = length $body;

    if ($status == 200 && defined $range && ($object->{ranges} // 1)
        && $range =~ /^(\d+)-(\d*)$/ && $1 < $size
        && ($2 eq '' || $2 >= $1))
    {
        my $end = $2 eq '' || $2 >= $size ? $size - 1 : $2;
        $body = substr $body, $1, $end - $1 + 1;
        push @headers, "Content-Range: bytes $1-$end/$size";
        $status = 206;
    }

    if ($object->{chunked}) {
        push @headers, 'Transfer-Encoding: chunked';
        $body = sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body, $body;
    } else {
        push @headers, 'Content-Length: ' . length $body;
    }

    print $client join("\r\n", "HTTP/1.1 $status Scripted",
        'Server: S3', @headers, '', ''), $method eq 'HEAD' ? '' : $body;
}

sub note {
    my ($self, $line) = @_;

    open my $log, '>>', "$self->{dir}/logs/s3.log" or die;
    syswrite $log, "$line\n";
    close $log;
}

sub s3_requests {
    my ($self, $pattern) = @_;

    return scalar grep { /$pattern/ }
        split /\n/, $self->read_file('logs/s3.log');
}

# a request's bytes

sub text {
    my ($method, $uri, @headers) = @_;

    return join "\r\n", "$method $uri HTTP/1.1", 'Host: localhost', @headers,
        '', '';
}

# one answer on a kept connection: status, body, headers (lower case, values
# of the same name joined by " | "), names (in order), close

sub ask {
    my ($self, $method, $uri, @headers) = @_;

    return $self->exchange(text($method, $uri, @headers), $method);
}

sub exchange {
    my ($self, $text, $method) = @_;
    my $socket = $self->{socket} ||= $self->connect;
    my $answer = '';
    my %r = (status => 0, body => '', headers => {}, names => []);

    local $SIG{ALRM} = sub { die "no answer to $text\n" };
    alarm 20;
    print $socket $text;

    while ($answer !~ /\r\n\r\n/) {
        last unless sysread $socket, $answer, 65536, length $answer;
    }

    (my $head, $answer) = split /\r\n\r\n/, $answer, 2;
    $r{head} = $head // '';
    ($r{status}) = $r{head} =~ m{^HTTP/1\.1 (\d+)};

    for ($r{head} =~ /^([^:\r\n]+: [^\r\n]*)/mg) {
        my ($name, $value) = split /: /, $_, 2;
        push @{$r{names}}, $name;
        $name = lc $name;
        $r{headers}{$name} = exists $r{headers}{$name}
            ? "$r{headers}{$name} | $value" : $value;
    }

    my $bodiless = $method eq 'HEAD' || $r{status} =~ /^(?:204|304)$/;
    my $length = $bodiless ? 0 : $r{headers}{'content-length'} // -1;
    my $chunked = ($r{headers}{'transfer-encoding'} // '') eq 'chunked';

    while ($length >= 0 ? length $answer < $length
        : $answer !~ /\r\n0\r\n\r\n$/)
    {
        last unless sysread $socket, $answer, 65536, length $answer;
    }

    alarm 0;
    $r{body} = $answer;
    $r{close} = ($r{headers}{connection} // '') ne 'keep-alive';
    delete $self->{socket} if $r{close};
    delete @{$r{headers}}{qw(date connection server)};

    return \%r;
}

1;
