#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A decoder that a file has taken over (worker/test/hooks) is stopped whatever
# it does: its job is reported, the next file is inspected, and nothing stays
# behind.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(data_dir sim slurp);
use File::Temp qw(tempdir);
use Job;
use Sanitizer qw(sanitized);
use Test::More;

my $program;

# an installed program beside the worker, as Job.pm has it

BEGIN {
    $program = ($ENV{MEDIA_WORKER} // 'build/media-worker')
        =~ s{[^/]*$}{test/hostile/run_job}r;
}

job_or_skip();
plan skip_all => "$program is not built" unless -x $program;

my $dir = tempdir(CLEANUP => 1);
my $tmp = tempdir(CLEANUP => 1);
my $good = data_dir() . '/image-png.plain';
my $confined = confined();

$ENV{MEDIA_TMP_DIR} = $tmp;

# what the log says of the decoder, or what it answers

my %died = (
    crash => 'ILL|TRAP', exec => 'SYS', fork => 'SYS', grow => 'XFSZ',
    kill => 'SYS', limits => 'SYS', long => '\w+', memory => 'ABRT|SEGV',
    ptrace => 'SYS', socket => 'SYS', unix => 'SYS',
);
my %answered = (
    code => 'stopped: ', descriptors => 'descriptors: stopped',
    environ => 'stopped: ', passwd => 'stopped: ', twice => 'twice',
    unlink => 'stopped: ', write => 'stopped: ',
);

# without a jail, as with AddressSanitizer, these are not stopped

my %jailed = map { $_ => 1 } qw(code environ exec fork kill limits memory
    passwd ptrace socket unix unlink write);


# as a file's content says; the lines of the results, then the log

sub inspected {
    my (@names) = @_;
    my @args = map { (hostile("hostile: $_"), 'text/plain', '/dev/null',
        $good, 'image/png', "$dir/out") } @names;

    return run($program, 'inspect', @args);
}


sub hostile {
    my ($text) = @_;
    my $name = "$dir/" . ($text =~ s/\W+/-/gr);

    open my $f, '>', $name or die "$name: $!\n";
    print $f "$text\n";
    close $f or die "$name: $!\n";
    return $name;
}


sub start {
    my (@command) = @_;
    my ($out, $err) = ("$dir/out.$$." . rand, "$dir/err.$$." . rand);
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', $out or die;
        open STDERR, '>', $err or die;
        exec @command or die "$command[0]: $!\n";
    }

    return { pid => $pid, out => $out, err => $err };
}


sub ended {
    my ($run) = @_;

    waitpid $run->{pid}, 0;

    my @results = map { +{ /(\w+)=([^\t\n]*)/g } } split /^/,
        slurp($run->{out});

    return (slurp($run->{err}), @results);
}


sub run { return ended(start(@_)) }


sub confined {
    my $text = `$ENV{MEDIA_WORKER} -t 2>&1`;

    return $text =~ /seccomp yes/ && $text =~ /files closed/;
}


# processes that a decoder has left, or that are still one

sub decoders {
    my @left;

    for my $exe (glob '/proc/[0-9]*/exe') {
        my $path = readlink $exe // next;

        push @left, $exe if $path =~ m{/hostile/media-decode};
    }

    return @left;
}


# those that take their time run meanwhile

my %slow = map { $_ => start($program, 'inspect', hostile("hostile: $_"),
    'text/plain', '/dev/null', $good, 'image/png', "$dir/out") }
    qw(loop hang);

for my $name (sort keys %died, keys %answered) {
    SKIP: {
        skip "$name: the decoder is not confined here", 4
            if $jailed{$name} && !$confined;

        my ($log, $result, $next) = inspected($name);

        if ($died{$name}) {
            like $log, qr/decoder died" signal=(?:$died{$name})$/m,
                "$name: it dies";
            is $result->{verdict}, 'failed', "$name: reported";

        } else {
            like $result->{error}, qr/^$answered{$name}/, "$name: it is told";
            is $result->{verdict}, 'refused', "$name: reported";
        }

        is $next->{verdict}, 'ok', "$name: the next file is inspected";
        is $next->{metadata}, '{"width":291,"height":184}',
            "$name: by nothing but its own content"
            if $next->{metadata} !~ /placeholder|frames/;
    }
}

# answers that cannot be true

for my $name (qw(nonsense size)) {
    my ($log, $result, $next) = inspected($name);

    like $log, qr/decoder answered nonsense/, "$name: noticed";
    is $result->{verdict}, 'failed', "$name: reported";
    is $next->{verdict}, 'ok', "$name: the next file is inspected";
}

# many of them, by one child

{
    my ($log, @results) = inspected(('crash', 'passwd', 'descriptors') x 5);
    my ($first, $last) = @results[1, -1];

    is scalar(grep { $_->{verdict} eq 'ok' } @results), 15, 'files between';
    is $last->{fds}, $first->{fds}, 'no descriptor leaks';
}

# what a sanitizer finds is in a file, and the file makes the suite fail

SKIP: {
    skip 'it is not built with sanitizers', 4
        unless sanitized($program =~ s{[^/]*$}{media-decode}r);

    my %reported = (overflow => '_overflow_abort', overrun => 'heap-buffer');

    for my $name (sort keys %reported) {
        my $path = "log_path=$dir/$name";

        local $ENV{ASAN_OPTIONS} = "$path:handle_abort=2";
        local $ENV{UBSAN_OPTIONS} = "$path:abort_on_error=1";

        my ($log, $result) = inspected($name);

        is $result->{verdict}, 'failed', "$name: reported";
        like join('', map { slurp($_) } glob "$dir/$name.*"),
            qr/$reported{$name}.*hook_$name/s, "$name: by the sanitizer";
    }
}

# the type is told by a third process; if that dies, too, nothing is

{
    my ($log, $result) = run($program, 'inspect',
        hostile('always hostile: crash'), 'text/plain', '/dev/null');

    is $result->{verdict}, 'failed', 'always: reported';
    is $result->{type}, '', 'always: of no type';
}

# by a job

{
    my $tenant = tenant();
    my $i = instance($tenant, 'evolution');

    for my $text ('hostile: crash', 'always hostile: crash') {
        my $path = '/v/hostile-' . ($text =~ s/\W+/-/gr) . ".$$";

        sim(media => { path => $path, file => hostile($text),
            unsigned => 1 });

        my $id = attachment($i, source_of({ mediaType => 'document',
            mimetype => 'text/plain', directPath => $path }),
            file_name => 'a.txt');
        my ($log, $result) = run($program, 'download', $id);
        my $row = job_row($id);

        if ($text =~ /always/) {
            is $row->{status}, 'failed', "$text: refused";
            like $row->{error_message}, qr{application/octet-stream is not},
                "$text: as of no type";
            next;
        }

        is $row->{status}, 'completed', "$text: stored"
            or diag $row->{error_message};
        is $row->{file_type}, 'text/plain', "$text: as what it is known for";
        is $row->{metadata}{inspection}, 'failed', "$text: which is told";
        is $row->{thumbnail_url}, '', "$text: without a thumbnail";
    }
}

for my $name (sort keys %slow) {
    my ($log, $result, $next) = ended($slow{$name});
    # on a busy machine the time is up before that of the CPU
    my $reason = $name eq 'loop'
        ? 'decoder (?:died" signal=XCPU|timed out")' : 'decoder timed out"';

    like $log, qr/$reason/, "$name: it is ended";
    is $result->{verdict}, 'failed', "$name: reported";
    is $next->{verdict}, 'ok', "$name: the next file is inspected";
}

# they end with what started them, not before it

for (1 .. 100) {
    last unless decoders();
    select undef, undef, undef, 0.1;
}

is_deeply [decoders()], [], 'no process is left';
is_deeply [glob "$tmp/*"], [], 'no temporary file is left';
ok !-e '/tmp/ngx-media-hostile', 'nor what it wrote';

done_testing();
