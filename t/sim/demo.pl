#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Sends one WhatsApp photo through everything and prints each step of its
# journey.  Exits 1 with the name of the step that failed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Time::HiRes qw(time);
use E2E;

my $began = time;
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

print "\nphoto      ", signed($a->{file_url}),
    "\nthumbnail  ", signed($a->{thumbnail_url}), "\n",
    "journey    $ENV{MEDIACTL} trace $id\n",
    "addresses  $ENV{MEDIA_DEV_DIR}/env\n";
