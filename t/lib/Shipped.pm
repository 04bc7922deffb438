package Shipped;

# Copyright (C) ngx_media contributors
#
# nginx with conf/media.conf as it is shipped, changed in nothing but
# addresses and paths, between a media_store and a redis-server:
#
#     my $t = Shipped->new;           # media_store runs, with the bucket
#     $t->put($key, $bytes, 'image/png');
#     $t->redis_start;
#     $t->configure(location => 'media_cache_control public;');
#     $t->start;
#     $t->get("/media/$key")
#
# The rest is Cache's.

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256);
use File::Basename qw(basename dirname);
use File::Find qw(find);
use File::Path qw(make_path);
use JSON::PP qw(encode_json);
use MIME::Base64 qw(encode_base64url);
use SignedURL;
use Store;
use Time::HiRes qw(sleep);

use parent 'Cache';

my $jwt_secret = 'a secret for tokens, as long as HS256 has it';
my $conf = abs_path(dirname(__FILE__) . '/../../conf');


sub new {
    my ($class) = @_;
    my $self = $class->SUPER::new();

    $self->{store} = Store->new()->start();
    $self->{redis_password} = 'redis password of the test';
    make_path("$self->{dir}/secret", "$self->{dir}/cache");

    my $made = $self->{store}->put('/media', '');
    die "bucket: $made->{status}\n" if $made->{status} != 200;

    return $self;
}


# the files that /etc/nginx/media/ has; tests may add theirs before configure

sub secrets {
    my ($self) = @_;

    return $self->{secrets} //= {
        redis_password => $self->{redis_password},
        rabbitmq_url => 'amqp://guest:guest@127.0.0.1:' . Cache::free_port(),
        s3_access_key => $self->{store}{key},
        s3_secret_key => $self->{store}{secret},
        webhook_token => 'webhook-token-of-the-test',
        cloudapi_app_secret => 'app-secret-of-the-test',
        sign_key => 'a secret for signed URLs, of 32 bytes or more',
        jwt_keys => encode_json({ keys => [{ kty => 'oct', kid => 'test',
            alg => 'HS256', k => encode_base64url($jwt_secret) }] }),
        cloudapi_verify_token => 'verify-token-of-the-test',
    };
}


# Writes nginx.conf, which includes the shipped files.
#
#     s3        address that stands for the S3 server, media_store's
#     location  directives added to location /media/
#     authorised  with media_auth.conf as shipped; else whoever asks may read
#     edit      code that changes the text of a shipped file in $_, called
#               with the file's name
#     http      text for http {}
#     main      text before it
#     workers   worker_processes, 2

sub configure {
    my ($self, %o) = @_;
    my $dir = $self->{dir};
    my $user = $> == 0 ? 'user root;' : '';

    make_path("$dir/cache");
    $self->install($_, %o) for glob "$conf/*.conf";

    $self->write_file('nginx.conf', <<"END");
$user
load_module $self->{module};
pid $dir/nginx.pid;
error_log $dir/logs/error.log info;
worker_processes @{[$o{workers} || 2]};
worker_rlimit_nofile 8192;
@{[$o{main} || '']}
events { worker_connections 4096; }
http {
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path $dir/temp/body;
    proxy_temp_path $dir/temp/proxy;
    fastcgi_temp_path $dir/temp/fastcgi;
    uwsgi_temp_path $dir/temp/uwsgi;
    scgi_temp_path $dir/temp/scgi;

    log_format requests '\$request_method \$uri \$status "\$http_range" '
        '"\$sent_http_content_range" \$body_bytes_sent \$sent_http_x_cache '
        '\$media_cache_tier';

    include $dir/media.conf;
@{[$o{http} || '']}
}
END
}


# one shipped file; what it says of this machine is replaced, or refused

sub install {
    my ($self, $file, %o) = @_;
    my $name = basename $file;
    my $s3 = $o{s3} || $self->{store}{host};
    my ($public, $own) = ("http://127.0.0.1:$self->{port}/", $self->{dir});

    local $_ = $self->read_file($file);

    s{/etc/nginx/media/([\w.-]+)}{$self->secret($1)}ge;
    s{^( *access_log +)/var/log/nginx/media-access\.log media;}
     {$1$own/logs/access.log media;\n$1$own/logs/requests.log requests;}mg;
    s{/var/(?:cache|lib)/(?:nginx|ngx-media)/}{$own/cache/}g;
    s{listen( +)80;}{listen$1 127.0.0.1:$self->{port};};
    s{127\.0\.0\.1:9000}{$s3}g;
    s{127\.0\.0\.1:6379}{127.0.0.1:$self->{redis_port}}g;
    s{http://media\.example\.com/}{$public}g;
    s{^(    location /media/ \{\n)}{$1$o{location}\n}m
        or $name ne 'media.conf' or die "no location /media/ in $file\n"
        if defined $o{location};

    s{^ *include +media_auth\.conf;\n}{}mg
        or $name ne 'media.conf' or die "no media_auth.conf in $file\n"
        unless $o{authorised};
    s{^    location = /api/media/url \{.*?^    \}\n}{}ms
        unless $o{authorised};
    s{^    include +media_upload\.conf;\n}{}m unless $o{authorised};

    $o{edit}->($name) if $o{edit};

    die "$file: $1 is not replaced by ", __FILE__, "\n"
        if /^[^#\n]*\s(\/(?:etc\/nginx\/media|var|run)\/\S+)/m;

    $self->write_file($name, $_);
}


sub secret {
    my ($self, $name) = @_;
    my $path = "$self->{dir}/secret/$name";
    my $value = $self->secrets->{$name};

    die "no value for $name in ", __FILE__, "\n" unless defined $value;

    $self->write_file($path, $value);
    chmod 0600, $path;
    return $path;
}


# an object in the bucket, by its key; key and type in bytes

sub put {
    my ($self, $key, $body, $type, %headers) = @_;
    my $a = $self->{store}->put(Store::path('media', $key), $body,
        unsigned => { 'content-type' => $type, %headers });

    die "put $key: $a->{status} $a->{body}\n" if $a->{status} != 200;
}


sub remove {
    my ($self, $key) = @_;

    return $self->{store}->del(Store::path('media', $key))->{status};
}


# the path of an object with a signature for so many seconds, see
# core/media_sign.h

sub signed {
    my ($self, $key, $seconds) = @_;

    return '/media/' . Store::encode($key, '/') . signed_query($key,
        int(time) + $seconds, 'main', $self->secrets->{sign_key});
}


# a token of a tenant, for a minute

sub token {
    my ($self, $tenant) = @_;
    my $text = join '.', map { encode_base64url(encode_json($_)) }
        { alg => 'HS256', typ => 'JWT', kid => 'test' },
        { tenant => $tenant, exp => int(time) + 60 };

    return "$text." . encode_base64url(hmac_sha256($text, $jwt_secret));
}


# the URL of an object, for clients

sub url {
    my ($self, $key) = @_;

    return "http://127.0.0.1:$self->{port}/media/" . Store::encode($key, '/');
}


sub redis_start {
    my ($self, @options) = @_;

    $self->SUPER::redis_start('--requirepass', $self->{redis_password},
        '--maxmemory', '256mb', '--maxmemory-policy', 'allkeys-lru',
        @options);
}


sub flush_redis { $_[0]->redis('FLUSHALL') }


# what proxy_cache keeps; nginx takes a file that is gone for a miss

sub flush_disk {
    my ($self) = @_;

    find({ no_chdir => 1, wanted => sub { unlink if -f } },
        "$self->{dir}/cache");
}


# Calls the code with the name of each tier, while the objects come from there
# and no more from the tiers before: "s3" (cold), "redis" (what is small
# enough; the rest from disk) and "disk" (without Redis).

sub in_tiers {
    my ($self, $objects, $code) = @_;

    $self->flush;

    for my $tier (qw(s3 redis disk)) {
        $self->fill(%$objects) if $tier eq 'redis';
        $self->redis_stop if $tier eq 'disk';
        $self->requests($tier eq 'redis' ? scalar keys %$objects : 0);
        $self->s3_requests(qr/./);
        $code->($tier);
    }

    $self->redis_start;
    $self->wait_redis;
}


# nothing is cached from here on

sub flush {
    my ($self) = @_;

    $self->flush_redis;
    $self->flush_disk;
}


sub fill {
    my ($self, %objects) = @_;

    for my $key (sort keys %objects) {
        my $r = $self->get($self->signed($key, 60));

        die "$key: $r->{status}\n" if $r->{status} != 200;
    }

    for my $key (grep { length $objects{$_} <= 1048576 } keys %objects) {
        defined $self->wait_entry($key) or die "$key is not in Redis\n";
    }
}


# lines of the log of requests since the last call: method, path, status,
# range, content_range, bytes, cache, tier.  A client has all of an answer
# before it is logged: so many requests are waited for

sub requests {
    my ($self, $n) = @_;
    my @requests = $self->logged_requests;

    for (1 .. 100) {
        last if @requests >= ($n // 0);
        sleep 0.05;
        push @requests, $self->logged_requests;
    }

    return @requests;
}


sub logged_requests {
    my ($self) = @_;
    my $text = $self->read_file('logs/requests.log');
    my @names = qw(method path status range content_range bytes cache tier);
    my @requests;

    for my $line (split /\n/, substr $text, $self->{requests_seen} // 0) {
        my %r;

        @r{@names} = $line
            =~ /^(\S+) (.*) (\d+) "(.*?)" "(.*?)" (\d+) (\S+) (\S+)$/ or next;
        push @requests, \%r;
    }

    $self->{requests_seen} = length $text;
    return @requests;
}


# lines of media_store's log that match, since the last call

sub s3_requests {
    my ($self, $pattern) = @_;
    my $text = $self->read_file("$self->{store}{dir}/logs/access.log");
    my $new = substr $text, $self->{s3_seen} // 0;

    $self->{s3_seen} = length $text;
    return grep { $_ =~ $pattern } split /\n/, $new;
}


sub alarms {
    my ($self) = @_;

    return $self->SUPER::alarms() . $self->{store}->complaints();
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    $self->SUPER::DESTROY();
    $self->{store}->stop() if $self->{store};
}

1;
