# Copyright (C) ngx_media contributors
#
# A webhook without a credential is an error of the configuration.

use warnings;
use strict;

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Sanitizer;

my $dir = tempdir('ngx_media_XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $module = $ENV{TEST_MEDIA_MODULE}
    || getcwd() . '/build/ngx_http_media_module.so';
my $url = 'media_rabbitmq_url amqp://u:p@127.0.0.1:5672/v%2fh;';
my $evolution = 'media_webhook evolution; media_webhook_token x;';

sub put {
    my ($name, $text) = @_;
    open my $fh, '>', "$dir/$name" or die $!;
    print $fh $text;
    close $fh;
}

sub check {
    my ($http, $location) = @_;

    put('nginx.conf', "load_module $module; pid $dir/pid;\n"
        . "error_log $dir/error.log; events { }\nhttp { access_log off;\n"
        . join('', map { "${_}_temp_path $dir/$_;\n" }
            qw(client_body proxy fastcgi uwsgi scgi))
        . "$http\nserver { listen 127.0.0.1:1; location / { $location } } }");

    # for this command only: its shell has the environment from here
    local %ENV = %ENV;
    Sanitizer::preload($module);

    my $out = `nginx -t -p $dir -c $dir/nginx.conf -e $dir/error.log 2>&1`;
    return ($?, $out);
}

put('empty', "\n");
put('token', "tok\r\n");
put('url', "amqp://u:hidden\@127.0.0.1/\n");

for (['evolution', $url, $evolution],
    ['token file', $url, 'media_webhook wapi; media_webhook_token_file token;'],
    ['url file', 'media_rabbitmq_url_file url;', $evolution],
    ['inherited token', "$url media_webhook_token x;",
        'media_webhook wapi;'])
{
    my ($name, @conf) = @$_;
    my ($rc, $out) = check(@conf);
    is($rc, 0, $name) or diag $out;
}

for (['no broker', qr/requires "media_rabbitmq_url"/, '', $evolution],
    ['no token', qr/requires "media_webhook_token"/, $url,
        'media_webhook evolution;'],
    ['no secret', qr/requires "media_webhook_secret"/, $url,
        'media_webhook cloudapi; media_webhook_token x;'],
    ['empty token', qr/must not be empty/, $url,
        'media_webhook wapi; media_webhook_token "";'],
    ['empty file', qr/names an empty file/, $url,
        'media_webhook wapi; media_webhook_token_file empty;'],
    ['no file', qr/No such file/, $url,
        'media_webhook wapi; media_webhook_token_file none;'],
    ['unknown provider', qr/must be "evolution"/, $url,
        'media_webhook other;'],
    ['no password', qr/has no user and password/,
        'media_rabbitmq_url amqp://127.0.0.1/;', $evolution],
    ['other scheme', qr/must be amqp:/,
        'media_rabbitmq_url http://hidden@127.0.0.1/;', $evolution],
    ['bad escape', qr/has an invalid user/,
        'media_rabbitmq_url amqp://hidden:%zz@127.0.0.1/;', $evolution])
{
    my ($name, $want, @conf) = @$_;
    my ($rc, $out) = check(@conf);
    isnt($rc, 0, $name);
    like($out, $want, "$name: says so");
    unlike($out, qr/hidden/, "$name: without the URL");
}

done_testing();
