#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Twenty files of 50 MB at a time pass through media_upload, as they are and
# in forms, fast and slowly, and an nginx worker is no larger for it: its
# private memory grows by less than 16 MB.  S3 is another process.

use strict;
use warnings;

use lib 't/lib';

use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use UploadStream;

my $size = ($ENV{UPLOAD_MEMORY_SIZE} || 50) * 1000 * 1000;
my $count = 20;
my $limit = 16 * 1024;                  # KB

my $t = UploadStream->new(buffer => '128k')->ready;
my $piece = join '', map { pack 'N', $_ * 2654435761 % 2 ** 32 }
    1 .. 262144;
my $query = UploadStream::query(file_name => 'a.mp4', conversation_id => 1);
my ($form_head, $form_tail) = split /\0/, UploadStream::form_body(
    ['conversation_id', 1], ['file', "\0", 'a.mp4', 'video/mp4']);

# the private memory of the worker, in KB
sub private {
    my ($pid) = $t->workers;
    my $sum = 0;
    open my $f, '<', "/proc/$pid/smaps_rollup" or die "smaps_rollup: $!";
    /^Private_\w+:\s+(\d+)/ && ($sum += $1) for <$f>;
    return $sum;
}

sub head {
    my ($form) = @_;
    my $length = $size + ($form ? length $form_head . $form_tail : 0);
    my $type = $form ? UploadStream::form_type() : 'video/mp4';
    my $path = $form ? '/upload' : "/upload?$query";
    return "POST $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Content-Type: $type\r\nContent-Length: $length\r\n\r\n"
        . ($form ? $form_head : '');
}

# one client in a process of its own; slow ones stop now and then
sub client {
    my ($form, $slow) = @_;
    my $pid = fork // die $!;
    return $pid if $pid;

    my $socket = $t->connect;
    my $rest = $size;
    print $socket head($form);

    while ($rest) {
        my $n = $rest < length $piece ? $rest : length $piece;
        print $socket substr $piece, 0, $n;
        $rest -= $n;
        sleep 0.05 if $slow;
    }

    print $socket $form_tail if $form;
    $socket->flush;
    POSIX::_exit(UploadStream::answer($socket)->{status} == 200 ? 0 : 1);
}

sub run {
    my ($name, @clients) = @_;
    my $idle = private();
    my %pids = map { client(@$_) => 1 } @clients;
    my ($peak, $good, $samples, $spooled) = (0, 0, 0, 0);
    my $deadline = time + 240;

    while (%pids && time < $deadline) {
        my $kb = private();
        my $files = $t->spooled;
        $peak = $kb if $kb > $peak;
        $spooled = $files if $files > $spooled;
        $samples++;
        while ((my $pid = waitpid -1, POSIX::WNOHANG()) > 0) {
            $good++ if delete $pids{$pid} && $? == 0;
        }
        sleep 0.02;
    }

    if (%pids) {
        kill 'KILL', keys %pids;
        waitpid $_, 0 for keys %pids;
    }

    my $after = private();
    is($good, scalar @clients, "$name: all were taken");
    cmp_ok($spooled, '>', 10, "$name: at a time");
    cmp_ok($peak - $idle, '<', $limit, "$name: private memory");
    diag sprintf '%s: %d files of %d MB, %d at a time: idle %d KB, peak '
        . '%+d KB, after %+d KB, %d samples', $name, scalar @clients,
        $size / 1e6, $spooled, $idle, $peak - $idle, $after - $idle,
        $samples;

    is(scalar(my @jobs = $t->jobs), 2 * @clients, "$name: jobs");
    my $bad = 0;
    for my $key ($t->objects) {
        my $a = $t->{store}->head("/bucket/$key");
        $bad++ if $a->{h}{'content-length'} != $size;
        $t->{store}->del("/bucket/$key");
    }
    is($bad, 0, "$name: sizes of the objects");
}

# what is made once: logs, pools, the connections to RabbitMQ and S3
for my $form (0, 1) {
    $t->send(UploadStream::request($form ? '/upload' : "/upload?$query",
        { 'content-type' => $form ? UploadStream::form_type()
            : 'video/mp4' }, $form ? "${form_head}x$form_tail" : 'x'));
}
$t->jobs;
$t->{store}->del("/bucket/$_") for $t->objects;

run('fast', map { [$_ % 2, 0] } 1 .. $count);
run('slow', map { [$_ % 2, 1] } 1 .. $count);

is($t->spooled, 0, 'no file is left');
is($t->complaints, '', 'no alert');

done_testing();
