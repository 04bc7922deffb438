package Job;

# Copyright (C) ngx_media contributors

# Attachments made in the database, and the worker's jobs run on them by
# worker/test/run_job.c: the download without nginx and RabbitMQ.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use E2E qw(sql sql_row sim unique_id slurp data_dir);
use Exporter qw(import);
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64;

our @EXPORT = qw(job_or_skip job_program tenant instance attachment source_of
    with_webhook run_job job_row object events hops run_program);

my $json = JSON::PP->new->canonical->utf8;
my %category = (ptv => 'video', gif => 'video', ptt => 'audio');

# beside the worker that is under test
my $program = $ENV{TEST_RUN_JOB} // ($ENV{MEDIA_WORKER} // 'build/media-worker')
    =~ s{[^/]*$}{test/run_job}r;


sub job_or_skip {
    for my $name (qw(DATABASE_URL WHATSAPP_SIM_URL S3_ENDPOINT_URL)) {
        next if $ENV{$name};

        require Test::More;
        Test::More::plan(skip_all => "$name is not set: run by ./dev test");
    }

    return if -x $program;

    require Test::More;
    Test::More::plan(skip_all => "$program is not built");
}


sub quoted {
    my ($s) = @_;

    $s =~ s/'/''/g;
    return "'$s'";
}


sub tenant {
    my $tenant = 't' . lc unique_id();

    sql("INSERT INTO media.tenants (id) VALUES ('$tenant')");
    return $tenant;
}


# a credential by reference, which needs no key

my $tokens;

sub token_file {
    my ($token) = @_;

    return '' if $token eq '';

    $tokens //= tempdir(CLEANUP => 1);

    my $file = "$tokens/" . unique_id();

    open my $f, '>', $file or die "$file: $!\n";
    print $f "$token\n";
    close $f or die "$file: $!\n";
    return "file:$file";
}


# an instance and a conversation of it, at the simulator or another base_url

sub instance {
    my ($tenant, $provider, %opt) = @_;
    my %suffix = (evolution => '', wapi => '/v1', cloudapi => '/v23.0');
    my $name = 'i' . unique_id();
    my $base = $opt{base_url} // "$ENV{WHATSAPP_SIM_URL}$suffix{$provider}";
    my ($id) = sql_row('INSERT INTO media.instances (tenant_id, provider, '
        . "name, base_url, token) VALUES ('$tenant', '$provider', '$name', "
        . quoted($base) . ', '
        . quoted($opt{stored} // token_file($opt{token} // 'a-token'))
        . ') RETURNING id');
    my ($conversation) = sql_row('INSERT INTO media.conversations '
        . '(tenant_id, instance_id, chat) VALUES '
        . "('$tenant', $id, '5511987654321') RETURNING id");

    return { id => $id, name => $name, tenant => $tenant,
        provider => $provider, conversation => $conversation };
}


# what the webhook told of a vector

sub source_of {
    my ($v, %opt) = @_;
    my %source = (
        message_id => unique_id(), chat_raw => '5511987654321@s.whatsapp.net',
        from_me => JSON::PP::false, key_type => $v->{mediaType},
        mimetype => $v->{mimetype}, file_length => $v->{fileLength},
        media_key => $v->{mediaKey}, sha256 => $v->{fileSha256},
        enc_sha256 => $v->{fileEncSha256}, direct_path => $v->{directPath},
        %opt);

    delete @source{ grep { !defined $source{$_} } keys %source };
    return \%source;
}


sub attachment {
    my ($instance, $source, %opt) = @_;
    my $category = $opt{category} // $category{ $source->{key_type} }
        // $source->{key_type};
    my ($id) = sql_row('INSERT INTO media.message_attachments (id, tenant_id,'
        . ' conversation_id, category, file_name, source, metadata, preview) '
        . "VALUES (gen_random_uuid(), '$instance->{tenant}', "
        . "$instance->{conversation}, '$category', "
        . quoted($opt{file_name} // '') . ', '
        . quoted($json->encode($source)) . "::jsonb, '{\"seconds\": 7}', "
        . "'\\xffd8') RETURNING id");

    return $id;
}


# one whose file came with the webhook, as base64, and the key of that body

sub with_webhook {
    my ($instance, $bytes, %opt) = @_;
    my $key = $opt{body_key} // 'webhooks/' . lc unique_id();
    my $head = '{"data":{"message":{"base64":"';
    my $base64 = encode_base64($bytes, '');
    my $file = File::Temp->new;

    print $file $head, $base64, '"}}}';
    close $file or die "$file: $!\n";
    run_program('put', $key, "$file", 'application/json');

    return (attachment($instance, { message_id => unique_id(),
        key_type => 'document', mimetype => $opt{type} // 'text/plain',
        body_key => $key, body_offset => length $head,
        body_length => length $base64 }, category => 'document',
        file_name => 'file.txt'), $key);
}


sub job_program { return $program }


sub run_program {
    my (@args) = @_;

    open my $p, '-|', $program, @args or die "$program: $!\n";
    binmode $p;
    local $/;

    my $text = <$p>;

    close $p;
    return $text // '';
}


# the results of the jobs, each a hash of what run_job printed

sub run_job {
    my (@args) = @_;
    my @results = map { +{ /(\w+)=(\S*)/g } } split /\n/, run_program(@args);

    return wantarray ? @results : $results[-1];
}


sub job_row {
    my ($id) = @_;
    my @names = qw(status file_url thumbnail_url storage_key size_bytes
        sha256 file_type file_name metadata error_message attempts lease);
    my @row = sql_row('SELECT status, file_url, thumbnail_url, storage_key, '
        . "size_bytes, encode(sha256, 'hex'), file_type, file_name, metadata, "
        . 'error_message, attempts, lease_until FROM '
        . "media.message_attachments WHERE id = '$id'");
    my %row;

    @row{@names} = @row;
    $row{metadata} = $json->decode($row{metadata});
    return \%row;
}


sub object { return run_program('get', $_[0]) }


sub events {
    my ($id) = @_;

    return map { { type => $_->[0], payload => $json->decode($_->[1]) } }
        sql('SELECT type, payload FROM media.events WHERE '
        . "payload->>'attachment_id' = '$id' ORDER BY id");
}


sub hops {
    my ($id) = @_;

    return map { { stage => $_->[0], outcome => $_->[1], detail => $_->[2] } }
        sql('SELECT stage, outcome, detail FROM media.hops WHERE '
        . "attachment_id = '$id' ORDER BY id");
}

1;
