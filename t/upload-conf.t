#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# nginx -t refuses uploads that could not work, and says what is missing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cache;
use Test::More;

my $t = Cache->new;

my %http = (
    broker => 'media_rabbitmq_url amqp://a:b@127.0.0.1:1/%2F;',
    s3 => 'media_s3_endpoint http://127.0.0.1:1; media_s3_bucket b;'
        . ' media_s3_access_key a; media_s3_secret_key s;',
    tenant => 'media_tenant $http_x_tenant;',
    sign => 'media_sign_key k "a secret of 32 bytes or more, yes";',
    store => 'media_upload_store /store/;',
);

# without: what is left out of the above; what is said, undef: nothing

for my $case (
    ['', 'media_upload_url;'],
    ['', 'media_upload_complete;'],
    ['', 'media_upload_parts;'],
    ['', 'media_send; media_send_conversation $arg_c;'],
    ['s3 sign store', 'media_send;'],
    ['broker', 'media_send;', '"media_send" needs "media_rabbitmq_url" or'],
    ['tenant', 'media_send;', '"media_send" needs "media_jwt_key_file" or'],
    ['broker', 'media_upload_url;', '"media_upload_url" needs "media_rabb'],
    ['tenant', 'media_upload_url;', 'to know who asks'],
    ['sign', 'media_upload_complete;',
        '"media_upload_complete" needs "media_sign_key" or'],
    ['s3', 'media_upload_parts;',
        '"media_upload_parts" needs "media_s3_endpoint", "media_s3_bucket"'],
    ['store', 'media_upload_url;',
        '"media_upload_url" needs "media_upload_store", the prefix'],
    ['store', 'media_upload_url; media_upload_store store/;',
        'must begin and end with a slash, as /upload-store/ does'],
    ['store', 'media_upload_url; media_upload_store /store;',
        'must begin and end with a slash'],
    ['', 'media_upload_url; media_upload_url;',
        '"media_upload_url" directive is duplicate'],
    ['', 'media_upload_url; media_send;', 'needs a location of its own'],
    ['', 'media_url; media_send;', 'needs a location of its own'],
    ['', 'media_upload_url; media_upload_ttl 7d;'],
    ['', 'media_upload_url; media_upload_ttl 0s;',
        '"media_upload_ttl" must be from 1s to 7d'],
    ['', 'media_upload_url; media_upload_ttl 8d;', 'must be from 1s to 7d'],
    ['', 'media_upload_url; media_upload_part_size 5m;'],
    ['', 'media_upload_url; media_upload_part_size 4m;',
        '"media_upload_part_size" must be from 5m'],
    ['', 'media_upload_url; media_upload_part_size 1025m;',
        'to 1024m'],
    ['', 'media_upload_url; media_upload_max_size image 1g;'],
    ['', 'media_upload_url; media_upload_max_size photo 1m;',
        'needs a category: image, audio, document, video or sticker'],
    ['', 'media_upload_url; media_upload_max_size profile_pic 1m;',
        'needs a category'],
    ['', 'media_upload_url; media_upload_max_size image 0;',
        'needs a size, such as 10m'],
    ['', 'media_upload_url; media_upload_max_size image big;',
        'needs a size'],
    ['', 'media_upload_url; media_upload_max_size image 1m;'
        . ' media_upload_max_size image 2m;', 'is duplicate'],
    ['', 'media_upload_url; media_upload_types image image/png image/gif;'],
    ['', 'media_upload_url; media_upload_types image png;',
        'invalid type in "media_upload_types image": write types such as'],
    ['', 'media_upload_url; media_upload_types other text/html;',
        'needs a category'],
    ['', 'media_upload_url; media_upload_types image image/png;'
        . ' media_upload_types image image/gif;', 'is duplicate'],
    ['', 'media_upload_url; media_upload_endpoint https://s3.example.com/;'],
    ['', 'media_upload_url; media_upload_endpoint s3.example.com;',
        'invalid s3 endpoint "s3.example.com"'],
    ['', 'media_upload_url; media_upload_endpoint http://a/b;',
        'invalid s3 endpoint'])
{
    my ($without, $location, $said) = @$case;
    my %use = %http;

    delete @use{split ' ', $without};

    $t->write_file("logs/$_.log", '') for qw(test error);
    $t->configure(http => join "\n", values %use,
        "server { listen 127.0.0.1:\@PORT\@;"
        . " location = /api { $location } }");

    my ($code, $text) = $t->test_configuration;
    my $name = ($without && "without $without: ") . $location;

    if (defined $said) {
        ok($code && index($text, $said) >= 0, $name) or diag $text;

    } else {
        is($code, 0, $name) or diag $text;
    }
}

done_testing();
