#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Takes one WhatsApp photo in, and sends one, as a browser would with curl,
# through everything, and prints each step of their journeys.  Exits 1 with the
# name of the step that failed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Crypt::JWT qw(encode_jwt);
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use JSON::PP;
use Time::HiRes qw(time);
use E2E;
use SendSim;
use Uploads;

my $json = JSON::PP->new->canonical->utf8;
my $began = time;
my $dir = tempdir(CLEANUP => 1);
my $v = vector('image-jpeg');
my $id = unique_id();


sub step {
    my ($name, $ok, $detail) = @_;

    printf "%7.3f s  %-28s %s\n", time - $began, $name,
        $ok ? $detail // 'ok' : 'FAILED';

    return if $ok;

    print STDERR "dev: step failed: $name", $detail ? " ($detail)" : '', "\n";
    exit 1;
}


sub hop {
    my ($name, $detail) = @_;

    printf "%11s%-28s %s\n", '', $name, $detail;
}


add_tenant('demo');
add_instance('demo', 'evolution', 'demo');
sim_serve($v);
step('prepared', 1, 'tenant "demo" with an Evolution instance');

my $status = post_evolution(evolution_body('demo', $v, id => $id,
    era => 'long'));

step('webhook confirmed by RabbitMQ', $status == 200, "HTTP $status");

my $a = wait_attachment($id, 30);

step('worker took it up', $a->{id}, "attachment " . ($a->{id} // ''));

for my $row (sql('SELECT stage, outcome, coalesce(duration_ms, 0), '
    . "to_char(at, 'HH24:MI:SS.MS') FROM media.hops WHERE attachment_id = "
    . "'$a->{id}' OR provider_id = '$id' ORDER BY id"))
{
    hop($row->[0], "$row->[1], $row->[2] ms, at $row->[3]");
}

step('recorded in PostgreSQL', $a->{status} eq 'completed',
    $a->{status} eq 'completed'
    ? "completed, $a->{file_type}, $a->{size_bytes} bytes, "
    . "$a->{width}x$a->{height}" : $a->{error_message});

my $first = get($a->{file_url});

step('served by nginx from S3', $first->{status} == 200
    && $first->{headers}{'x-cache'} eq 'MISS',
    "HTTP $first->{status}, X-Cache: $first->{headers}{'x-cache'}");
step('byte for byte what was sent', $first->{content} eq plain_of($v));

my $second = wait_until(5, sub {
    my $r = get($a->{file_url});

    return ($r->{headers}{'x-cache'} // '') eq 'HIT' ? $r : undef;
});

step('served by nginx from Redis', $second
    && $second->{content} eq $first->{content}, 'HTTP 200, X-Cache: HIT');

my $thumb = get($a->{thumbnail_url});

step('thumbnail', $thumb->{status} == 200
    && $thumb->{content} =~ /^\xff\xd8\xff/,
    length($thumb->{content}) . ' bytes of JPEG');

out();

print "\nphoto      ", signed($a->{file_url}),
    "\nthumbnail  ", signed($a->{thumbnail_url}), "\n",
    "journey    $ENV{MEDIACTL} trace $id\n",
    "addresses  $ENV{MEDIA_DEV_DIR}/env\n";


# a photo goes out: a browser has the token of its user's login, and a file

sub out {
    my $photo = data_dir() . '/image-jpeg.plain';
    my $size = -s $photo;
    my ($conversation) = sql_row('SELECT conversation_id FROM media.messages '
        . "WHERE provider_id = '$id'");
    my $login = encode_jwt(alg => 'HS256', key => $ENV{MEDIA_JWT_SECRET},
        payload => { tenant => 'demo', exp => time + 600 });

    print "\n";
    webhooks_on(delay => 0.3);

    my $issued = post_api($login, 'upload-url', { file_name => 'praia.jpg',
        file_type => 'image/jpeg', file_size => $size, caption => 'Praia',
        conversation_id => $conversation });
    my $url = $issued->{json};

    step('browser asks where to put it', $issued->{status} == 200
        && $url->{upload_url} && $url->{upload_token}, $issued->{status} == 200
        ? "HTTP 200, good for $url->{expires_in} s"
        : "HTTP $issued->{status} $issued->{content}");

    my $put = curl(request => $url->{method}, url => $url->{upload_url},
        'upload-file' => $photo, map { (header => "$_: $url->{headers}{$_}") }
        sort keys %{ $url->{headers} });

    step('puts it straight to S3', $put->{status} == 200,
        "HTTP $put->{status}, $size bytes");

    my $done = post_api($login, 'upload-complete',
        { upload_token => $url->{upload_token} });

    step('says that it is there', $done->{status} =~ /^20[02]$/
        && ($done->{json}{status} // '') eq 'processing',
        "HTTP $done->{status}, " . ($done->{json}{status}
        // $done->{content}));

    my $sent = wait_send('demo', $url->{attachment_id},
        'accepted|sent|delivered|read', 30);

    step('verified, copied, recorded', ($sent->{attachment_status} // '')
        eq 'completed', $sent->{attachment_error} || "$sent->{file_type}, "
        . "$sent->{size_bytes} bytes, attachment $url->{attachment_id}");
    step('sent through Evolution', $sent->{state}
        && $sent->{state} !~ /^(?:queued|sending|failed|unknown)$/,
        ($sent->{provider_id} || 'not sent') . " $sent->{error_message}");

    my ($got) = grep { $_->{id} eq $sent->{provider_id} }
        sends(instance => 'demo');

    step('simulator has its bytes', $got && $got->{media}
        && $got->{media}{sha256} eq sha256_hex(slurp($photo))
        && $got->{text} eq 'Praia', "to $got->{chat}, by $got->{media}{by}");

    for my $status (qw(sent delivered read)) {
        my $hook = wait_until(20, sub {
            my ($h) = grep { $_->{what} eq $status && $_->{status} == 200 }
                send_hooks(id => $sent->{provider_id});

            return $h;
        });

        step("webhook: $status", $hook, 'confirmed by RabbitMQ');
    }

    my $end = wait_send('demo', $url->{attachment_id}, 'read', 20);

    step('recorded in PostgreSQL', $end->{state} eq 'read'
        && $end->{message_status} eq 'read', "send $end->{state}, "
        . "message $end->{message_status}");

    my @wrong = violations(instance => 'demo');

    step('as Evolution documents it', !@wrong, @wrong
        ? join '; ', map { $_->{what} } @wrong : 'no violation');

    my $own = curl(url => $end->{file_url},
        header => "authorization: Bearer $login");

    step('original served to its tenant', $own->{status} == 200
        && $own->{content} eq slurp($photo), "HTTP $own->{status}");
}


sub post_api {
    my ($login, $what, $value) = @_;

    open my $f, '>:raw', "$dir/body" or die "$dir/body: $!\n";
    print $f $json->encode($value);
    close $f;

    return curl(url => "$ENV{NGINX_URL}/api/media/$what",
        header => 'content-type: application/json',
        header => "authorization: Bearer $login",
        'data-binary' => "\@$dir/body");
}


# curl's options go by its standard input, as other users can see arguments

sub curl {
    my (@options) = @_;
    my $config = '';

    while (my ($name, $value) = splice @options, 0, 2) {
        $value =~ s/([\\"])/\\$1/g;
        $config .= "$name = \"$value\"\n";
    }

    unlink "$dir/answer", "$dir/head";
    open my $p, '|-', 'curl', '-sS', '--max-time', '60', '-o', "$dir/answer",
        '-D', "$dir/head", '-K', '-' or die "curl: $!\n";
    print $p $config;
    close $p;

    my ($content, $head) = map { -e "$dir/$_" ? slurp("$dir/$_") : '' }
        qw(answer head);
    my ($status) = $head =~ /.*^HTTP\S+ (\d+)/ms;

    return { status => $status // 0, content => $content,
        json => scalar eval { $json->decode($content) } };
}
