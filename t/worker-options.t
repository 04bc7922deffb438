# Copyright (C) ngx_media contributors

# media-worker: options, configuration errors and exit codes.

use strict;
use warnings;

use lib 't/lib';

use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Test::More;
use Worker;

worker_or_skip();

my $program = $ENV{MEDIA_WORKER};
my $dir = tempdir(CLEANUP => 1);
my ($rc, $out, $err);

my %good = (
    PATH => $ENV{PATH}, DATABASE_URL => 'postgresql://u:dbsecret@h/d',
    RABBITMQ_URL => 'amqp://u:mqsecret@h/', REDIS_URL => 'redis://:rs@h/0',
    S3_ENDPOINT_URL => 'http://h:9000', S3_BUCKET => 'media',
    S3_ACCESS_KEY => 'access1', S3_SECRET_KEY => 's3secret',
    MEDIA_PUBLIC_URL => 'https://media.example/media'
);

($rc, $out) = run_worker({}, $program, '--help');
is $rc, 0, '--help exits with 0';
like $out, qr/--migrate/, '--help names the options';

($rc, $out) = run_worker({}, $program, '--version');
is $rc, 0, '--version exits with 0';
like $out, qr/^media-worker \d+\.\d+\.\d+$/, '--version';

($rc, $out, $err) = run_worker({}, $program, '--nonsense');
is $rc, 2, 'an unknown option exits with 2';

($rc, $out, $err) = run_worker({}, $program, 'argument');
is $rc, 2, 'an argument exits with 2';

($rc, $out, $err) = run_worker({}, $program, '-t');
is $rc, 3, 'no configuration exits with 3';
like $err, qr/\b$_ is not set/, "$_ is named" for qw(DATABASE_URL
    MEDIA_PUBLIC_URL RABBITMQ_URL REDIS_URL S3_ACCESS_KEY S3_BUCKET
    S3_ENDPOINT_URL S3_SECRET_KEY);

($rc, $out, $err) = run_worker(\%good, $program, '-t');
is $rc, 0, '-t of a good configuration';
like $err, qr/configuration is valid/, '-t says so';

($rc, $out, $err) = run_worker(\%good, $program, '-T');
is $rc, 0, '-T of a good configuration';
like $out, qr/^S3_BUCKET=media$/m, '-T prints values';
like $out, qr/^S3_REGION=us-east-1$/m, '-T prints defaults';
like $out, qr{^MEDIA_PUBLIC_URL=https://media\.example/media/$}m,
    'the base of URLs ends in a slash';
like $out, qr/^MEDIA_IMAGE_MAX_SIZE=10485760$/m, 'limits of the policy';
like $out, qr/^S3_SECRET_KEY=\(set\)$/m, '-T hides secrets';
unlike $out, qr/dbsecret|mqsecret|s3secret|access1/, 'no secret anywhere';

my @names = $out =~ /^(\w+)=/mg;
is_deeply \@names, [ sort @names ], 'the table is alphabetical';


# each name as a file

open my $f, '>', "$dir/key" or die;
print $f "from-a-file\n";
close $f;

my %file = (%good, S3_BUCKET_FILE => "$dir/key");
delete $file{S3_BUCKET};

($rc, $out) = run_worker(\%file, $program, '-T');
like $out, qr/^S3_BUCKET=from-a-file$/m, 'NAME_FILE without its newline';

($rc, $out, $err) = run_worker({ %good, S3_BUCKET_FILE => "$dir/key" },
    $program, '-t');
is $rc, 3, 'a value twice';
like $err, qr/S3_BUCKET is set twice/, 'is named';

($rc, $out, $err) = run_worker({ %file, S3_BUCKET_FILE => "$dir/none" },
    $program, '-t');
is $rc, 3, 'a file that is not there';
like $err, qr/S3_BUCKET_FILE No such file/, 'is named';


# values

my %bad = (
    MEDIA_CHILDREN_DOWNLOAD => '-1', MEDIA_DOWNLOAD_TIMEOUT => '30x',
    MEDIA_IMAGE_MAX_SIZE => 'big', MEDIA_LOG_FORMAT => 'xml',
    MEDIA_LOG_LEVEL => 'loud', MEDIA_MAX_RSS => '0',
    MEDIA_PUBLIC_URL => 'ftp://h/', MEDIA_RETRY_DELAYS => '5 5',
    RABBITMQ_URL => 'http://h/', REDIS_URL => 'h:6379',
    S3_USE_SSL => 'true', WHATSAPP_CDN_URL => 'mmg.whatsapp.net'
);

($rc, $out, $err) = run_worker({ %good, %bad }, $program, '-t');
is $rc, 3, 'bad values';
like $err, qr/\b$_ (?:must|is|has|contradicts)/, "$_=$bad{$_} is refused"
    for sort keys %bad;


# the decoder

($rc, $out, $err) = run_worker(\%good, $program, '-t');
like $err, qr/decoder: seccomp (?:yes|no), landlock (?:ABI \d+|no), files /,
    '-t says how the decoder is confined';
like $err, qr/, ImageMagick by our policy$/m, 'by our policy, too';

my $alone = tempdir(CLEANUP => 1);
copy($program, "$alone/media-worker") or die "media-worker: $!\n";
chmod 0755, "$alone/media-worker";

SKIP: {
    skip 'media-decode is installed', 4
        if -e '/usr/libexec/ngx-media/media-decode';

    ($rc, $out, $err) = run_worker(\%good, "$alone/media-worker", '-t');
    is $rc, 3, 'no decoder';
    like $err, qr/media-decode is neither beside .*cannot be started/s,
        'which -t says';

    ($rc, $out, $err) = run_worker(\%good, "$alone/media-worker");
    is $rc, 3, 'nor does it start';
    like $err, qr/level=error .*media-decode is neither beside/,
        'which the log says';
}

# one that was replaced, and speaks otherwise; and one that does not run

my %decoder = (
    'another version' => "head -c 40 /dev/zero >&3\nsleep 5\n",
    'its libraries are gone' => "exit 127\n",
);

for my $name (sort keys %decoder) {
    my $why = $name =~ /version/ ? 'decoder is of another version'
        : 'decoder died';

    open my $script, '>', "$alone/media-decode" or die $!;
    print $script "#!/bin/sh\n$decoder{$name}";
    close $script;
    chmod 0755, "$alone/media-decode";

    for my $option ([ '-t' ], []) {
        ($rc, $out, $err) = run_worker(\%good, "$alone/media-worker",
            @$option);
        is $rc, 3, "$name, @$option: exits with 3";
        like $err, qr/$why/, "$name, @$option: is told";
        like $err, qr/decoder does not start.*\Q$alone\E/,
            "$name, @$option: and which it is";
        unlike $err, qr/msg=started/, "$name, @$option: no children";
    }
}


my %alias = (%good, RABBITMQ_PRIVATE_URL => $good{RABBITMQ_URL});
delete $alias{RABBITMQ_URL};

($rc) = run_worker(\%alias, $program, '-t');
is $rc, 0, 'RABBITMQ_PRIVATE_URL in place of RABBITMQ_URL';

my %scheme = (%good, S3_ENDPOINT_URL => 'minio:9000', S3_USE_SSL => 'no');

($rc, $out) = run_worker(\%scheme, $program, '-T');
like $out, qr{^S3_ENDPOINT_URL=http://minio:9000$}m, 'scheme by S3_USE_SSL';


# the database

($rc, $out, $err) = run_worker({ PATH => $ENV{PATH},
    DATABASE_URL => 'postgresql://127.0.0.1:1/x' }, $program, '--migrate');
is $rc, 4, '--migrate without its database exits with 4';
like $err, qr/database is away/, 'and says why';

SKIP: {
    skip 'DATABASE_URL is not set', 2 unless $ENV{DATABASE_URL};

    ($rc, $out, $err) = run_worker(\%ENV, $program, '--migrate');
    is $rc, 0, '--migrate again';
    unlike $err, qr/migration applied/, 'changes nothing';
}

done_testing;
