package Upload;

# Copyright (C) ngx_media contributors

# Uploads as nginx and browsers make them: claims, bytes by a presigned URL,
# and the jobs of media_upload, run by worker/test/run_job.c.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use E2E qw(sql sql_row slurp);
use Exporter qw(import);
use Job;
use JSON::PP;
use Store;

our @EXPORT = qw(claims job put_file exists_key etag_of upload upload_row
    job_of run_upload sends_of s3);

my $json = JSON::PP->new->canonical->utf8;
my %extension = ('image/jpeg' => 'jpg', 'image/png' => 'png',
    'application/pdf' => 'pdf', 'text/plain' => 'txt',
    'audio/ogg' => 'ogg', 'video/mp4' => 'mp4');
my $s3;


# the S3 server of ./dev up

sub s3 {
    my ($host) = $ENV{S3_ENDPOINT_URL} =~ m{//([^/]+)};

    $s3 //= bless { host => $host, key => $ENV{S3_ACCESS_KEY},
        secret => $ENV{S3_SECRET_KEY}, region => $ENV{S3_REGION},
        owner => 0 }, 'Store';
    return $s3;
}


# what the token of an upload says

sub claims {
    my ($instance, $bytes, %opt) = @_;
    my ($id) = sql_row('SELECT gen_random_uuid()');
    my $type = $opt{file_type} // 'image/jpeg';
    my $name = $opt{file_name}
        // 'file.' . ($extension{$type =~ s/;.*//r} // 'bin');
    my $conversation = $instance->{conversation};

    return {
        attachment_id => $id, tenant => $instance->{tenant},
        conversation_id => "$conversation", kind => 'image',
        file_name => $name, file_type => $type, file_size => length $bytes,
        caption => 'a caption', upload_key =>
            "uploads/$instance->{tenant}/$id", file_key =>
            "chat/$instance->{tenant}/$conversation/" . substr($id, 0, 8)
            . '_' . ($name =~ s/[^A-Za-z0-9._-]+/_/gr),
        multipart_id => '', part_size => 0, issued => time,
        expires => time + 300, %opt
    };
}


sub job_of {
    my ($type, $claims, %more) = @_;

    return $json->encode({ %$claims, type => $type, %more });
}


# one job or several, each its result

sub run_upload {
    my (@jobs) = @_;
    my @results = map { $_->{result} } run_job('upload', @jobs);

    return wantarray ? @results : $results[-1];
}


# the browser's PUT, through a URL that stays good for an hour

sub put_file {
    my ($key, $bytes, $type) = @_;
    my $a = s3()->send(s3()->presigned('PUT',
        Store::path($ENV{S3_BUCKET}, $key), body => $bytes,
        expires => 3600, headers => {
            'content-type' => $type // 'image/jpeg' }));

    die "PUT: $a->{status} $a->{body}\n" if $a->{status} != 200;
    return $a->{h}{etag};
}


sub etag_of { return '"' . md5_hex($_[0]) . '"' }


sub exists_key {
    my ($key) = @_;

    return s3()->head(Store::path($ENV{S3_BUCKET}, $key))->{status} == 200;
}


# all of it: claims, bytes, and the result of the completion

sub upload {
    my ($instance, $bytes, %opt) = @_;
    my $c = claims($instance, $bytes, %opt);
    my $etag = put_file($c->{upload_key}, $bytes, $c->{file_type});

    return ($c, (run_upload(job_of('upload_issued', $c),
        job_of('upload_complete', $c, etag => $etag)))[-1]);
}


sub upload_row {
    my ($c) = @_;
    my @names = qw(state etag reaped);
    my %row;

    @row{@names} = sql_row('SELECT state, etag, reaped_at IS NOT NULL FROM '
        . "media.uploads WHERE id = '$c->{attachment_id}'");
    return \%row;
}


sub sends_of {
    my ($c) = @_;

    return map { { ready => $_->[0], state => $_->[1], error => $_->[2] } }
        sql('SELECT ready, state, error_message FROM media.sends WHERE '
        . "attachment_id = '$c->{attachment_id}'");
}

1;
