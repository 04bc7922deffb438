package NginxTest;

# Copyright (C) ngx_media contributors
#
# Test::Nginx for the module: to be used before Test::Nginx::Socket.  Each
# process has a server root and ports of its own:
#
#     $TEST_NGINX_S3_PORT      for a fake S3 server, where tcp_listen stands
#     $TEST_NGINX_CLOSED_PORT  where nothing listens
#     $TEST_NGINX_RUN          differs from run to run

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256_hex);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Time::Local qw(timegm);

use Sanitizer;

our ($secret, $token) = ('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    'FwoGZXIvYXdzEXAMPLE//token+with/signs==');

my ($dir, $module);

BEGIN {
    # what a shell started in the background ignores, and Test::Nginx sends

    $SIG{QUIT} = 'DEFAULT';

    $dir = tempdir('ngx_media_XXXXXX', TMPDIR => 1, CLEANUP => 1);
    $ENV{TMPDIR} = $dir;        # Test::Nginx leaves files there
    $module = abs_path($ENV{TEST_MEDIA_MODULE}
        || 'build/ngx_http_media_module.so')
        or die "no module: build it or set TEST_MEDIA_MODULE\n";

    my @names = qw(CLIENT S3 CLOSED);
    my @sockets = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 1) or die "no port: $!\n" } @names;

    $ENV{"TEST_NGINX_$names[$_]_PORT"} = $sockets[$_]->sockport
        for 0 .. $#names;
    $ENV{TEST_NGINX_SERVER_PORT} = "127.0.0.1:$ENV{TEST_NGINX_CLIENT_PORT}";
    $ENV{TEST_NGINX_STREAM_PORT} = $ENV{TEST_NGINX_CLOSED_PORT};
    $ENV{TEST_NGINX_SERVROOT} = "$dir/servroot";
    $ENV{TEST_NGINX_RUN} = "$$-" . time;

    # Test::Nginx starts nginx by a shell, which need not be sanitized

    my %env = do {
        local %ENV = %ENV;
        Sanitizer::preload($module) ? %ENV : ();
    };

    if (%env) {
        my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

        open my $fh, '>', "$dir/nginx" or die "$dir/nginx: $!\n";
        print $fh "#!/bin/sh\n", (map { "export $_='$env{$_}'\n" }
            qw(LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS)),
            "exec $nginx \"\$@\"\n";
        close $fh;
        chmod 0755, "$dir/nginx";
        $ENV{TEST_NGINX_BINARY} = "$dir/nginx";
    }
}

use Test::Nginx::Socket;

my @alarms = ('[alert]', '[crit]', 'Sanitizer', 'runtime error');

# an nginx that does not start fails its file, not the files after it

{
    no warnings qw(redefine prototype);
    *Test::More::BAIL_OUT = sub { die @_, "\n" };
}

log_level('info');
add_block_preprocessor(\&prepare);


# loads the module; what nginx must never log, and what a sanitizer would

sub prepare {
    my ($block) = @_;
    my $patterns = $block->no_error_log;
    my @patterns = ref $patterns eq 'ARRAY' ? @$patterns
        : ref $patterns ? $patterns : split /\n+/, $patterns // '';

    $block->set_value('main_config',
        "load_module $module;\n" . ($block->main_config // ''));
    $block->set_value('config', '') unless defined $block->config;
    $block->set_value('no_error_log', [@patterns, @alarms]);

    if (defined $block->must_die) {
        $block->set_value('suppress_stderr', 1);
        return;
    }

    $block->set_value('no_shutdown_error_log', [@alarms]);
}


# the signer's directives, and what proxy_pass needs of its variables

sub signer {
    return <<"END";
    media_s3_endpoint    http://s3.example.com:9000;
    media_s3_bucket      photos;
    media_s3_region      eu-west-1;
    media_s3_access_key  AKIAEXAMPLE;
    media_s3_secret_key  $secret;
END
}

sub proxy {
    return <<"END";
        proxy_set_header  Host \$media_s3_host;
        proxy_set_header  Authorization \$media_s3_authorization;
        proxy_set_header  X-Amz-Date \$media_s3_date;
        proxy_set_header  X-Amz-Content-Sha256 \$media_s3_content_sha256;
        proxy_set_header  X-Amz-Security-Token \$media_s3_security_token;
        proxy_set_header  Connection "";
        proxy_http_version        1.1;
        proxy_max_temp_file_size  0;
        proxy_pass  http://127.0.0.1:$ENV{TEST_NGINX_S3_PORT}\$media_s3_uri;
END
}


# A fake S3 server for tcp_reply: its answer says what the request was, with
# words for the values that change.

sub s3_reply {
    my (%headers) = @_;

    return sub {
        my ($request) = @_;
        my $body = $request =~ /^HEAD/ ? '' : describe($request);
        my $length = length $body;

        return "HTTP/1.1 200 OK\r\nContent-Length: $length\r\n"
            . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
            . 'X-Request: ' . (parse($request))[0]
            . "\r\nX-Signature: " . verdict($request)
            . "\r\nConnection: close\r\n\r\n$body";
    };
}

sub parse {
    my ($request) = @_;
    my ($head) = split /\r\n\r\n/, $request;
    my ($line, @headers) = split /\r\n/, $head;

    return $line, { map { /^([^:]+): (.*)/ ? (lc $1, $2) : () } @headers };
}

sub describe {
    my ($request) = @_;
    my ($line, $h) = parse($request);

    return join '', "$line\n", map { "$_: $h->{$_}\n" }
        grep { /^(host|x-amz-)/ && $_ ne 'x-amz-date' } sort keys %$h;
}

# signs what was received, in Perl, from the specification

sub verdict {
    my ($request) = @_;
    my ($line, $h) = parse($request);
    my ($method, $path) = split / /, $line;
    my $date = $h->{'x-amz-date'} // '';
    my @t = $date =~ /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/
        or return 'no date';
    my $time = timegm(@t[5, 4, 3, 2], $t[1] - 1, $t[0]);
    my $day = substr $date, 0, 8;
    my @names = sort grep { $_ eq 'host' || /^x-amz-/ } keys %$h;
    my $signed = join ';', @names;
    my $scope = "$day/eu-west-1/s3/aws4_request";
    my $key = "AWS4$secret";

    my $text = join "\n", 'AWS4-HMAC-SHA256', $date, $scope, sha256_hex(
        join "\n", $method, $path, '', (map { "$_:$h->{$_}" } @names), '',
        $signed, $h->{'x-amz-content-sha256'});

    $key = hmac_sha256($_, $key) for $day, 'eu-west-1', 's3', 'aws4_request';

    my $wanted = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/$scope, "
        . "SignedHeaders=$signed, Signature=" . hmac_sha256_hex($text, $key);

    (my $got = $h->{authorization} // '') =~ s/, */, /g;

    return abs(time - $time) > 60 ? 'old' : $got eq $wanted ? 'valid'
        : "$got instead of $wanted";
}

1;
