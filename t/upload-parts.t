#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# A large file is put in parts, each by a URL of its own, and goes on after
# the page was loaded anew; a part too few or too short is told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;
use UploadHTTP;

my $t = UploadHTTP->new;

$t->write_file('origin/list', '<ListPartsResult></ListPartsResult>'
    . ' ' x 1100000);
$t->serve_uploads(server => 'media_upload_part_size 5m;', locations => <<'EOT');
        location = /long/parts {
            media_upload_parts;
            media_upload_store /long-store/;
        }
        location /long-store/ {
            internal;
            proxy_pass http://127.0.0.1:@ORIGIN@/list?;
        }
EOT
$t->redis_start;
$t->start;
$t->wait_broker;

my $mb = 1024 * 1024;
my @part = ('a' x (5 * $mb), 'b' x (5 * $mb), 'c' x 1000);
my %video = (file_name => 'video.mp4', file_type => 'video/mp4',
    file_size => 10 * $mb + 1000, conversation_id => 42, multipart => \1);

sub parts {
    my ($url, $method) = @_;
    my $answer = $t->call($method || 'GET', '/upload-parts', undef,
        'Upload-Token' => $url->{upload_token});

    return $answer;
}

sub refused {
    my ($uri, $url) = @_;
    return $t->refusal($uri, { upload_token => $url->{upload_token} });
}

my $url = $t->post('/upload-url', \%video)->{json};
my ($issue) = $t->jobs;

is_deeply([sort keys %$url], [qw(attachment_id expires_in file_url part_size
    parts upload_token)], 'members');
is($url->{part_size}, 5 * $mb, 'part size');
is($url->{parts}, 3, 'parts');
is($url->{expires_in}, 86400, 'a day');
is($issue->{type}, 'upload_issued', 'the worker is told');
is($issue->{part_size}, 5 * $mb, 'job: part size');
isnt($issue->{multipart_id}, '', 'job: upload id');

# what is missing

my $list = parts($url)->{json};

is($list->{part_size}, 5 * $mb, 'list: part size');
is_deeply($list->{parts}, [], 'no parts');
is_deeply([map { [$_->{number}, $_->{size}] } @{ $list->{missing} }],
    [[1, 5 * $mb], [2, 5 * $mb], [3, 1000]], 'all are missing');
is(refused('/upload-complete', $url), '409 parts_missing', 'too early');

my @missing = @{ $list->{missing} };

$t->same_by_sdk($missing[0]{upload_url}, 5 * $mb);
is($t->curl_put($missing[0], substr $part[0], 1), 403, 'shorter part');
is($t->curl_put({ upload_url =>
    $missing[0]{upload_url} =~ s/partNumber=1/partNumber=2/r }, $part[0]),
    403, 'other number');
is($t->curl_put($missing[0], $part[0]), 200, 'part 1');
is($t->curl_put($missing[2], $part[2]), 200, 'part 3');

# the page was loaded anew

$list = parts($url)->{json};

is_deeply([map { [$_->{number}, $_->{size}] } @{ $list->{parts} }],
    [[1, 5 * $mb], [3, 1000]], 'two parts');
like($list->{parts}[0]{etag}, qr/^"[0-9a-f]{32}"$/, 'ETag');
is_deeply([map { [$_->{number}, $_->{size}, $_->{headers}] }
    @{ $list->{missing} }], [[2, 5 * $mb, {}]], 'one is missing');
is(refused('/upload-complete', $url), '409 parts_missing', 'one too few');
is(scalar(() = $t->jobs), 0, 'nothing was published');
# a part of another length, which only the bucket's owner can put

$t->write_file('short', substr $part[1], 1);

my ($status) = UploadHTTP::run('curl', '-s', '-o', '/dev/null', '-w',
    '%{http_code}', '--aws-sigv4', "aws:amz:$ENV{S3_REGION}:s3", '--user',
    "$ENV{S3_ACCESS_KEY}:$ENV{S3_SECRET_KEY}", '-H',
    'x-amz-content-sha256: UNSIGNED-PAYLOAD', '-T', $t->dir . '/short',
    "$ENV{S3_ENDPOINT_URL}/$ENV{S3_BUCKET}/$issue->{upload_key}"
    . "?partNumber=2&uploadId=$issue->{multipart_id}");

is($status, 200, 'shorter part 2');

$list = parts($url)->{json};
is_deeply([map { [$_->{number}, $_->{size}] } @{ $list->{missing} }],
    [[2, 5 * $mb]], 'is missing still');
is(refused('/upload-complete', $url), '409 parts_missing', 'and not joined');
is($t->curl_put($list->{missing}[0], $part[1]), 200, 'part 2');

# together

my @pids;

for (1 .. 4) {
    my $pid = fork // die "fork: $!";
    next if $pid && push @pids, $pid;
    POSIX::_exit(refused('/upload-complete', $url) eq '200 ' ? 0 : 1);
}

my $done = 0;
for (@pids) {
    waitpid $_, 0;
    $done++ unless $?;
}

cmp_ok($done, '>=', 1, 'four at once');
is(refused('/upload-complete', $url), '200 ', 'again');

my @jobs = $t->jobs;
is(scalar(grep { $_->{type} ne 'upload_complete' } @jobs), 0, 'completed');
is(@jobs, $done + 1, 'a job for each');
like($jobs[0]{etag}, qr/^"[0-9a-f]{32}-3"$/, 'ETag of three parts');
is($t->object($issue->{upload_key}), join('', @part), 's3cmd reads the file');

my ($info) = $t->s3cmd('info', "s3://$ENV{S3_BUCKET}/$issue->{upload_key}");
like($info, qr{MIME type: +video/mp4}, 'its type');
is(parts($url)->{json}{error}, 'upload_missing', 'no parts any more');

# given up

$url = $t->post('/upload-url', \%video)->{json};
($issue) = $t->jobs;
$list = parts($url)->{json};
is($t->curl_put($list->{missing}[0], $part[0]), 200, 'part 1');
is(parts($url, 'DELETE')->{status}, 204, 'aborted');

my ($abort, @more) = $t->jobs;
is_deeply($abort, { %$issue, type => 'upload_abort' }, 'the worker is told');
is(@more, 0, 'once');
is(parts($url)->{json}{error}, 'upload_missing', 'no list');
is(refused('/upload-complete', $url), '409 upload_missing', 'no completion');
is($t->curl_put($list->{missing}[1], $part[1]), 404, 'no part');
is(parts($url, 'DELETE')->{status}, 204, 'aborted again');
$t->jobs;

# one PUT

$url = $t->post('/upload-url', { %video, multipart => \0 })->{json};
$t->jobs;
is(parts($url)->{json}{error}, 'not_multipart', 'no parts');
is(parts($url, 'DELETE')->{status}, 204, 'aborted');
is_deeply([map { $_->{type} } $t->jobs], ['upload_abort'],
    'the worker is told');

# requests

my $answer = $t->call('POST', '/upload-parts', {});
is("$answer->{status} $answer->{headers}{allow}", '405 GET, DELETE', 'POST');
is($t->call('GET', '/upload-parts')->{json}{error}, 'upload_token_invalid',
    'no token');
is($t->call('GET', '/upload-parts', undef, 'X-Tenant' => 'other',
    'Upload-Token' => $url->{upload_token})->{json}{error},
    'upload_token_invalid', 'other tenant');

$url = $t->post('/upload-url', \%video)->{json};
is($t->call('GET', '/long/parts', undef, 'Upload-Token' =>
    $url->{upload_token})->{status}, 503, 'a list that is too long');
is(parts($url, 'DELETE')->{status}, 204, 'aborted');

is($t->alarms, '', 'no alarms');
unlike($t->error_log, qr/\Q$url->{upload_token}/, 'no token in the log');
like($t->error_log, qr/s3 sent too long an answer/, 'the long list is logged');

$t->stop;
done_testing();
