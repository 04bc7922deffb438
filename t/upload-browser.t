#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Chromium with a page of another origin than nginx and S3: puts files by
# presigned URLs, forms and parts, goes on after it was loaded anew, and is
# refused what was not signed.  A page of an origin that is not allowed can do
# none of it.  S3 is that of ./dev, media_store or the RADOS Gateway, which is
# given the CORS configuration of docs/operations.md.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Browser;
use Digest::SHA qw(hmac_sha256);
use E2E;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use Job qw(tenant instance);
use MIME::Base64 qw(encode_base64 encode_base64url);
use POSIX ();
use Test::More;
use Upload ();

env_or_skip();

my @missing = grep { !Browser::find($_) } $ENV{CHROMIUM} || 'chromium', 'node';
plan(skip_all => "no @missing: apt-get install chromium nodejs") if @missing;

my $page = slurp("$FindBin::Bin/js/upload.html");
my ($allowed, $port) = $ENV{MEDIA_PAGE_ORIGIN} =~ m{^(http://.*:(\d+))$};
my @servers = (page_server($port), my $stranger = page_server(0));
my $photo = slurp(data_dir() . '/image-png.plain');
my $base64 = encode_base64($photo, '');
my $instance = instance(tenant(), 'evolution');
my $conversation = $instance->{conversation};
my %photo = (file_name => 'photo.png', file_type => 'image/png',
    file_size => length $photo, conversation_id => $conversation);
my $radosgw = slurp("$ENV{MEDIA_DEV_DIR}/s3.choice") =~ /^radosgw$/m;

bucket_cors() if $radosgw;

my $browser = Browser->new;

note $browser->version;
open_page($allowed);

put();
form();
parts();
strangers();

undef $browser;
done_testing();


# the page, on a port of its own

sub page_server {
    my ($port) = @_;
    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 16, ReuseAddr => 1)
        or die "port $port: $!\n";
    my $pid = fork // die "fork: $!\n";

    return { pid => $pid, origin => 'http://127.0.0.1:' . $server->sockport }
        if $pid;

    while (my $client = $server->accept) {
        while (defined(my $line = <$client>)) {
            last if $line eq "\r\n";
        }
        print $client "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n$page";
        close $client;
    }
    POSIX::_exit(0);
}


END {
    local $?;

    for my $server (@servers) {
        kill 'KILL', $server->{pid};
        waitpid $server->{pid}, 0;
    }
}


sub bucket_cors {
    my $dir = tempdir(CLEANUP => 1);
    my ($rules) = slurp("$FindBin::Bin/../docs/operations.md")
        =~ /^(    \{"CORSRules".*?^    \}\]\}\n)/ms or die "no CORSRules\n";

    $rules =~ s{https://crm\.example\.com}{$allowed} or die "no origin\n";
    open my $f, '>', "$dir/cors.json" or die $!;
    print $f $rules;
    close $f;

    local $ENV{AWS_ACCESS_KEY_ID} = $ENV{S3_ACCESS_KEY};
    local $ENV{AWS_SECRET_ACCESS_KEY} = $ENV{S3_SECRET_KEY};
    local $ENV{AWS_DEFAULT_REGION} = $ENV{S3_REGION};
    local $ENV{AWS_CONFIG_FILE} = "$dir/none";

    is(system('aws', '--endpoint-url', $ENV{S3_ENDPOINT_URL}, 's3api',
        'put-bucket-cors', '--bucket', $ENV{S3_BUCKET},
        '--cors-configuration', "file://$dir/cors.json"), 0, 'bucket CORS');
}


sub token {
    my $text = join '.', map { encode_base64url(encode_json($_)) }
        { alg => 'HS256', typ => 'JWT' },
        { tenant => $instance->{tenant}, exp => int(time) + 600 };

    return "$text." . encode_base64url(hmac_sha256($text,
        $ENV{MEDIA_JWT_SECRET}));
}


sub call { return $browser->tell('call', @_) }


sub open_page {
    my ($origin) = @_;

    is($browser->tell('open', "$origin/"), 'upload', "page of $origin");
    call('login', $ENV{NGINX_URL}, token());
}


sub begin {
    my ($file) = @_;
    my $answer = call('begin', $file);

    is($answer->{status}, 200, 'begun') or diag explain $answer;
    return $answer->{json};
}


# the attachment, once the worker has ended with it

sub completed {
    my ($name, $token, $size) = @_;
    my $answer = call('complete', $token);
    my %a;

    is($answer->{status}, 200, "$name: complete") or diag explain $answer;
    is($answer->{json}{status}, 'processing', "$name: processing");

    wait_until(60, sub {
        @a{qw(status size error)} = sql_row('SELECT status, size_bytes,'
            . ' error_message FROM media.message_attachments'
            . " WHERE id = '$answer->{json}{id}'");
        return ($a{status} // '') =~ /completed|failed/;
    });

    is($a{status}, 'completed', "$name: completed") or diag explain \%a;
    is($a{size}, $size, "$name: its size");
}


sub stored {
    my ($upload) = @_;

    return Upload::exists_key(
        "uploads/$instance->{tenant}/$upload->{attachment_id}") ? 1 : 0;
}


# the Gateway's 403 of a wrong signature is without CORS: no script reads it

sub refused {
    my ($answer, $what) = @_;

    is($answer->{status} // $answer->{error}, $radosgw ? 'TypeError' : 403,
        $what) or diag explain $answer;
}


sub put {
    my $upload = begin(\%photo);
    my $url = $upload->{upload_url};

    refused(call('put', $url, encode_base64("$photo.", ''), 'image/png'),
        'longer file');
    refused(call('put', $url, encode_base64(substr($photo, 1), ''),
        'image/png'), 'shorter file');
    refused(call('put', $url, $base64, 'text/html'), 'other type');
    is(stored($upload), 0, 'nothing is stored');

    my $answer = call('put', $url, $base64, 'image/png');

    is($answer->{status}, 200, 'the file') or diag explain $answer;
    like($answer->{etag}, qr/^"[0-9a-f]{32}"$/, 'its ETag is shown');
    completed('PUT', $upload->{upload_token}, length $photo);
}


sub form {
    my $upload = begin({ %photo, form => \1 });
    my @form = @$upload{qw(upload_url fields)};
    my $longer = call('form', @form, encode_base64("$photo.", ''));
    my $type = call('form', $form[0],
        { %{ $form[1] }, 'Content-Type' => 'text/html' }, $base64);

    like($longer->{status}, qr/^4/, 'form: longer file');
    is($type->{status}, 403, 'form: other type');
    is(stored($upload), 0, 'form: nothing is stored');

    like(call('form', @form, $base64)->{status}, qr/^20[014]$/,
        'form: the file');
    completed('form', $upload->{upload_token}, length $photo);
}


sub parts {
    my $size = 17 * 1024 * 1024;
    my $head = "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n";
    my $answer = call('beginParts', { %photo, file_name => 'large.pdf',
        file_type => 'application/pdf', file_size => $size });

    is($answer->{status}, 200, 'parts: begun') or diag explain $answer;
    is($answer->{json}{parts}, 2, 'parts: how many');

    my $first = call('putParts', $head, $size, 1);

    is_deeply($first->{there}, [], 'parts: none is there');
    is($first->{results}[0]{status}, 200, 'parts: the first')
        or diag explain $first;
    like($first->{results}[0]{etag}, qr/^"/, 'parts: its ETag is shown');
    is(call('completeParts')->{status}, 409, 'parts: not complete');

    $browser->tell('reload');

    my $rest = call('putParts', $head, $size, 9);

    is($rest->{there}[0]{number}, 1, 'reloaded: the first is there');
    is_deeply([map { "$_->{number} $_->{status}" } @{ $rest->{results} }],
        ['2 200'], 'reloaded: only the second is put') or diag explain $rest;
    completed('reloaded', $answer->{json}{upload_token}, $size);
}


# A form needs no preflight: S3 takes it, but nothing is read of the answer.

sub strangers {
    my $upload = begin(\%photo);
    my $form = begin({ %photo, form => \1 });

    open_page($stranger->{origin});

    is(call('begin', \%photo)->{error}, 'TypeError', 'stranger: no upload');
    is_deeply(call('put', $upload->{upload_url}, $base64, 'image/png'),
        { error => 'TypeError' }, 'stranger: no PUT');
    is(stored($upload), 0, 'stranger: nothing is stored');
    is_deeply(call('form', @$form{qw(upload_url fields)}, $base64),
        { error => 'TypeError' }, 'stranger: no answer to a form');
}
