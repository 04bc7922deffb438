#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# The clients that people use judge the S3 interface: aws s3, aws s3api,
# s3cmd and the AWS SDK for JavaScript.  They run against S3_ENDPOINT_URL if
# that is set (./dev test: media_store and radosgw), else against a
# media_store of this test's own.

use strict;
use warnings;

use lib 't/lib';

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use POSIX ();
use Store;
use Test::More;

my $store;

if (!$ENV{S3_ENDPOINT_URL}) {
    $store = Store->new()->start();
    $ENV{S3_ENDPOINT_URL} = "http://$store->{host}";
    $ENV{S3_ACCESS_KEY} = $store->{key};
    $ENV{S3_SECRET_KEY} = $store->{secret};
}

$ENV{S3_REGION} ||= 'us-east-1';
$ENV{BUCKET} = my $bucket = 'clients-' . time . "-$$";

my $dir = tempdir(CLEANUP => 1);
my $host = $ENV{S3_ENDPOINT_URL} =~ s{^https?://|/$}{}gr;

$ENV{AWS_ACCESS_KEY_ID} = $ENV{S3_ACCESS_KEY};
$ENV{AWS_SECRET_ACCESS_KEY} = $ENV{S3_SECRET_KEY};
$ENV{AWS_DEFAULT_REGION} = $ENV{S3_REGION};
$ENV{AWS_CONFIG_FILE} = "$dir/none";
$ENV{AWS_EC2_METADATA_DISABLED} = 'true';
$ENV{AWS_PAGER} = '';

open my $f, '>', "$dir/s3cfg" or die $!;
print $f "[default]\naccess_key = $ENV{S3_ACCESS_KEY}\n",
    "secret_key = $ENV{S3_SECRET_KEY}\nhost_base = $host\n",
    "host_bucket = $host\nbucket_location = $ENV{S3_REGION}\n",
    'use_https = ', $ENV{S3_ENDPOINT_URL} =~ /^https/ ? 'True' : 'False',
    "\n";
close $f;

my %file = (small => "small\n", empty => '',
    large => join '', map { pack 'N', $_ * 2654435761 % 2 ** 32 }
        1 .. 5000000);

for my $name (keys %file) {
    open $f, '>:raw', "$dir/$name" or die $!;
    print $f $file{$name};
    close $f;
}

sub run {
    my (@command) = @_;
    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? >> 8, $text);
}

sub ok_run {
    my ($name, $like, @command) = @_;
    my ($rc, $text) = run(@command);
    ok $rc == 0 && $text =~ $like, $name or diag "$rc: $text";
}

sub same {
    my ($name, $file) = @_;
    open my $in, '<:raw', $file or return fail("$name: $!");
    local $/;
    ok scalar(<$in> // '') eq $file{$name}, "$name: same bytes in $file";
    unlink $file;
}

sub has { my ($program) = @_;
    return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH} }

my @aws = ('aws', '--endpoint-url', $ENV{S3_ENDPOINT_URL});
my @s3cmd = ('s3cmd', '-c', "$dir/s3cfg", '--no-progress');

SKIP: {
    has('aws') or skip 'aws is not installed (Debian: awscli)', 1;

    ok_run('aws mb', qr/make_bucket/, @aws, 's3', 'mb', "s3://$bucket");

    for my $name ('small', 'empty', 'large') {
        my $url = "s3://$bucket/aws dir/$name+\xc3\xa9";
        ok_run("aws cp $name up", qr/./s, @aws, 's3', 'cp', "$dir/$name",
            $url);
        ok_run("aws cp $name down", qr/./s, @aws, 's3', 'cp', $url,
            "$dir/back");
        same($name, "$dir/back");
    }

    ok_run('aws ls', qr/PRE aws dir/, @aws, 's3', 'ls', "s3://$bucket/");
    ok_run('aws cp within', qr/copy/, @aws, 's3', 'cp',
        "s3://$bucket/aws dir/small+\xc3\xa9", "s3://$bucket/copy");
    ok_run('aws head-object', qr/"ContentLength": 6/, @aws, 's3api',
        'head-object', '--bucket', $bucket, '--key', 'copy');
    ok_run('aws get-object range', qr/206|bytes 1-3/, @aws, 's3api',
        'get-object', '--bucket', $bucket, '--key', 'copy', '--range',
        'bytes=1-3', "$dir/part");
    is -s "$dir/part", 3, 'aws range: length';

    # radosgw's errors have no message, on which aws itself stumbles

    my ($rc, $text) = run(@aws, 's3api', 'get-object', '--bucket', $bucket,
        '--key', 'none', "$dir/none");
    isnt $rc, 0, 'aws: no object';
    like $text, qr/NoSuchKey/, 'aws: NoSuchKey' if $store;
    ($rc, $text) = run(@aws, 's3', 'rb', "s3://$bucket");
    isnt $rc, 0, 'aws: bucket not empty';
    like $text, qr/BucketNotEmpty/, 'aws: BucketNotEmpty' if $store;

    ok_run('aws rm --recursive', qr/delete/, @aws, 's3', 'rm',
        '--recursive', "s3://$bucket");
    ok_run('aws rb', qr/remove_bucket/, @aws, 's3', 'rb', "s3://$bucket");
}

SKIP: {
    has('s3cmd') or skip 's3cmd is not installed (Debian: s3cmd)', 1;

    ok_run('s3cmd mb', qr/created/, @s3cmd, 'mb', "s3://$bucket");

    for my $name ('small', 'empty', 'large') {
        my $url = "s3://$bucket/dir x/$name";
        ok_run("s3cmd put $name", qr/./s, @s3cmd, 'put', "$dir/$name", $url);
        ok_run("s3cmd get $name", qr/./s, @s3cmd, 'get', '--force', $url,
            "$dir/back");
        same($name, "$dir/back");
    }

    ok_run('s3cmd ls', qr{DIR\s+s3://$bucket/dir x/}, @s3cmd, 'ls',
        "s3://$bucket/");
    ok_run('s3cmd info', qr/File size: 6/, @s3cmd, 'info',
        "s3://$bucket/dir x/small");
    ok_run('s3cmd cp', qr/copy/, @s3cmd, 'cp', "s3://$bucket/dir x/small",
        "s3://$bucket/copy");
    ok_run('s3cmd del -r', qr/delete/, @s3cmd, 'del', '-r', '--force',
        "s3://$bucket/");
    ok_run('s3cmd rb', qr/removed/, @s3cmd, 'rb', "s3://$bucket");
}

SKIP: {
    my $modules = $ENV{NODE_PATH} || getcwd() . '/t/js/node_modules';
    -d "$modules/\@aws-sdk/client-s3" && has('node')
        or skip 'the AWS SDK is not installed (npm install --prefix t/js)', 1;

    my ($made) = has('aws')
        ? run(@aws, 's3', 'mb', "s3://$bucket")
        : run(@s3cmd, 'mb', "s3://$bucket");
    is $made, 0, 'bucket for the SDK';

    $ENV{NODE_PATH} = $modules;
    ok_run('AWS SDK for JavaScript', qr/^$/, 'node', '--no-warnings',
        't/js/store.js');
    run(@aws, 's3', 'rb', '--force', "s3://$bucket");
}

is $store->complaints(), '', 'no alert' if $store;

done_testing();
