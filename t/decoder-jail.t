#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A decoder that a file has taken over (worker/test/hooks) is stopped whatever
# it does: its job is reported, the next file is inspected, and nothing stays
# behind.

use strict;
use warnings;

use lib 't/lib';

use Cwd qw(abs_path);
use E2E qw(data_dir sim slurp wait_until);
use File::Basename;
use File::Temp qw(tempdir);
use Job;
use Sanitizer qw(sanitized);
use Test::More;
use Time::HiRes qw(sleep);

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
my $bin = dirname(abs_path($program));
my $good = data_dir() . '/image-png.plain';
my $plain = !sanitized($program =~ s/run_job$/media-decode/r);
my $confined = $plain && -e '/proc/sys/kernel/seccomp';

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
        # what is open in the worker is not for the decoder
        local $^F = 255;
        open my $open, '<', $0 or die;

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


# what the kernel has is used, and told

sub told {
    my $text = `$ENV{MEDIA_WORKER} -t 2>&1`;
    my $abi = syscall 444, 0, 0, 1;     # landlock_create_ruleset

    $abi = $abi > 0 ? "ABI $abi" : 'no';
    like $text, qr/seccomp yes, landlock $abi, files closed, memory 1024 MiB,/m,
        '-t tells the protections';
}


sub children {
    my ($pid) = @_;

    open my $f, '<', "/proc/$pid/task/$pid/children" or return;
    return split ' ', <$f> // '';
}


# media-decode of a run that takes its time, and its process for the file

sub processes {
    my ($run) = @_;
    my @pids;
    my $last = 0;

    wait_until(30, sub {
        @pids = ($run->{pid});
        push @pids, (children($pids[$_]))[0] // return for 0, 1;
        (my $before, $last) = ($last, $pids[2]);
        sleep 0.5;
        return $before == $last;
    });

    return @pids[1, 2];
}


sub status_of {
    my ($pid) = @_;

    return { slurp("/proc/$pid/status") =~ /^(\w+):\s*(.*)$/gm };
}


# what the kernel says of both processes

sub looked_at {
    my ($decoder, $jailed) = @_;
    my $own = status_of($$);
    my $status = status_of($jailed);
    my %limits = map { /^Max (\D+?)\s{2,}(\w+)\s+(\w+)/ ? ($1, "$2 $3") : () }
        split /^/, slurp("/proc/$jailed/limits");

    is $limits{'file size'}, '16777216 16777216', 'limit: size of files';
    is $limits{'open files'}, '64 64', 'limit: descriptors';
    is $limits{'core file size'}, '0 0', 'limit: no core dump';
    like $limits{'cpu time'}, qr/^\d+ \d+$/, 'limit: CPU time';
    is $status->{NoNewPrivs}, 1, 'no new privileges';

    SKIP: {
        skip 'the decoder is not confined here', 3 unless $confined;

        is $limits{'address space'}, '1073741824 1073741824',
            'limit: memory';
        is "$status->{Seccomp} " . ($status->{Seccomp_filters}
            - $own->{Seccomp_filters}), '2 2', 'two seccomp filters';
        is join(' ', @$status{qw(CapInh CapPrm CapEff)}),
            join(' ', ('0' x 16) x 3), 'no capabilities';
    }

    SKIP: {
        skip 'others do not see its files', 2
            unless -r "/proc/$jailed/environ";

        # but where a sanitizer's reports go
        is_deeply [grep { $plain || !/^(?:A|UB)SAN_OPTIONS=/ }
            map { split /\0/, slurp("/proc/$_/environ") } $decoder, $jailed],
            [], 'no environment';
        is_deeply [grep { !m{^/dev/null$|^socket:|^anon_inode:|hostile-hang$
            |^\Q$tmp\E/}x } map { readlink } map { glob "/proc/$_/fd/*" }
            $decoder, $jailed], [], 'no descriptors but its own';
    }
}


# whether it runs one of these programs

sub runs {
    my ($pid) = @_;

    return (readlink "/proc/$pid/exe" // '') =~ m{^\Q$bin\E/};
}


# those that a decoder has left, or that are still one

sub decoders { return grep { runs($_) } map { m{(\d+)} } glob '/proc/[0-9]*' }


told() if $confined;

# those that take their time run meanwhile

my %slow = map { $_ => start($program, 'inspect', hostile("hostile: $_"),
    'text/plain', '/dev/null', $good, 'image/png', "$dir/out") }
    qw(loop hang);

looked_at(processes($slow{hang}));

# the end of a worker, or of its decoder, is that of what it started

for my $n (0, 1) {
    my $run = start($program, 'inspect', hostile('hostile: hang'),
        'text/plain', '/dev/null');
    my @pids = ($run->{pid}, processes($run));

    kill 'KILL', $pids[$n];
    waitpid $run->{pid}, 0;
    wait_until(10, sub { !grep { runs($_) } @pids });

    my @left = grep { runs($_) } @pids;

    is scalar @left, 0, $n == 0 ? 'killed: the worker' : 'killed: its decoder';
    kill 'KILL', @left;
}

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
    skip 'it is not built with sanitizers', 4 if $plain;

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
