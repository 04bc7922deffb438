package UploadHTTP;

# Copyright (C) ngx_media contributors
#
# The endpoints of uploads and sends, with the S3 server and the broker of
# ./dev; the caller's tenant is the header X-Tenant.  Jobs go to a queue of
# the test's own.

use strict;
use warnings;

use parent 'Cache';

use AMQP;
use Cwd qw(getcwd);
use Digest::SHA qw(hmac_sha256_hex);
use HTTP::Tiny;
use IPC::Open3 qw(open3);
use JSON::PP qw(decode_json encode_json);
use Test::More ();
use Time::HiRes qw(sleep time);

our $secret = 'a secret of 32 bytes or more, yes';

sub new {
    my ($class) = @_;

    for (qw(RABBITMQ_URL S3_ENDPOINT_URL)) {
        Test::More::plan(skip_all => "$_ is not set, see ./dev up")
            unless $ENV{$_};
    }

    my $self = $class->SUPER::new;

    $self->{name} = "test_upload_$$" . int rand 1e6;
    $self->{amqp} = AMQP->new($ENV{RABBITMQ_URL});
    $self->{amqp}->exchange($self->{name});
    $self->{amqp}->queue($self->{name});
    $self->{amqp}->bind($self->{name}, $self->{name}, $_)
        for qw(media_send media_upload);
    $self->{http} = HTTP::Tiny->new(timeout => 30);
    return $self;
}

#   rabbitmq   its URL
#   main       further directives of http {}
#   server     of the server
#   locations  further locations

sub serve_uploads {
    my ($self, %o) = @_;

    $_ //= '' for @o{qw(main server locations)};
    $o{rabbitmq} //= $ENV{RABBITMQ_URL};

    my ($s3) = $ENV{S3_ENDPOINT_URL} =~ m{^https?://([^/]+)};

    $self->configure(http => <<"EOT", workers => $o{workers});
    media_redis 127.0.0.1:\@REDIS\@;
    media_rabbitmq_url $o{rabbitmq};
    media_rabbitmq_exchange $self->{name};
    media_s3_endpoint $ENV{S3_ENDPOINT_URL};
    media_s3_bucket $ENV{S3_BUCKET};
    media_s3_region $ENV{S3_REGION};
    media_s3_access_key $ENV{S3_ACCESS_KEY};
    media_s3_secret_key $ENV{S3_SECRET_KEY};
    $o{main}

    server {
        listen 127.0.0.1:\@PORT\@;
        media_tenant \$http_x_tenant;
        media_sign_key k1 "$secret";
        media_upload_store /upload-store/;
        $o{server}

        location = /upload-url { media_upload_url; }
        location = /upload-complete { media_upload_complete; }
        location = /upload-parts { media_upload_parts; }
        location = /send { media_send; }
        location ~ ^/conversations/(?<conversation>.*)/messages\$ {
            media_send;
            media_send_conversation \$conversation;
        }

        location /upload-store/ {
            internal;
            proxy_pass_request_headers off;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host \$media_s3_host;
            proxy_set_header Authorization \$media_s3_authorization;
            proxy_set_header X-Amz-Date \$media_s3_date;
            proxy_set_header X-Amz-Content-Sha256 \$media_s3_content_sha256;
            proxy_set_header Content-Type \$content_type;
            proxy_pass http://$s3\$media_s3_uri;
        }
        $o{locations}
    }
EOT
}

# { status, headers, json } of a request; body: a hash, or text as it is

sub call {
    my ($self, $method, $uri, $body, %headers) = @_;

    $headers{'X-Tenant'} //= 'acme';

    if (defined $body) {
        $headers{'Content-Type'} //= 'application/json';
        $body = encode_json($body) if ref $body;
    }

    my $answer = $self->{http}->request($method,
        "http://127.0.0.1:$self->{port}$uri",
        { headers => \%headers, defined $body ? (content => $body) : () });

    $answer->{json} = eval { decode_json($answer->{content}) } || {};
    return $answer;
}

sub post { my $self = shift; return $self->call('POST', @_) }

# "413 file_too_large"
sub refusal {
    my ($self, @request) = @_;
    my $answer = $self->post(@request);

    return join ' ', $answer->{status}, $answer->{json}{error} // '';
}

sub run {
    my (@command) = @_;

    my $pid = open3(my $in, my $out, undef, @command);
    close $in;
    my $text = do { local $/; <$out> } // '';
    waitpid $pid, 0;
    return ($text, $? >> 8);
}

# what curl is told by S3: the status, of a PUT as the answer says

sub curl_put {
    my ($self, $answer, $content, %headers) = @_;

    %headers = (%{ $answer->{headers} || {} }, %headers);

    my $file = "$self->{dir}/put" . int rand 1e9;
    $self->write_file($file, $content);

    my ($status) = run('curl', '-s', '-m', 60, '-o', '/dev/null', '-w',
        '%{http_code}', '-X', 'PUT', '--data-binary', "\@$file",
        (map { ('-H', "$_: $headers{$_}") } sort keys %headers),
        $answer->{upload_url});
    unlink $file;
    return $status;
}

sub s3cmd {
    my ($self, @args) = @_;

    my ($host) = $ENV{S3_ENDPOINT_URL} =~ m{^https?://([^/]+)};

    return run('s3cmd', '--config=/dev/null', "--host=$host",
        "--host-bucket=$host", '--no-ssl',
        "--access_key=$ENV{S3_ACCESS_KEY}", "--secret_key=$ENV{S3_SECRET_KEY}",
        "--region=$ENV{S3_REGION}", @args);
}

# what is in the bucket under a key, undef if nothing is

sub object {
    my ($self, $key) = @_;

    my $file = "$self->{dir}/object" . int rand 1e9;
    my ($text, $code) = $self->s3cmd('get', '-q', '--force',
        "s3://$ENV{S3_BUCKET}/$key", $file);

    my $content = $code == 0 ? $self->read_file($file) : undef;
    unlink $file;
    return $content;
}

# whether the AWS SDK signs the same for a presigned URL

sub same_by_sdk {
    my ($self, $url, @inputs) = @_;

    my $tests = Test::More->builder;
    my $modules = $ENV{NODE_PATH} || getcwd() . '/t/js/node_modules';

    return $tests->skip('the AWS SDK is not installed'
        . ' (npm install --prefix t/js)')
        unless -d "$modules/\@smithy/signature-v4";

    local $ENV{NODE_PATH} = $modules;
    my ($text, $code) = run('node', 't/js/presign.js', $url, @inputs);

    $tests->ok($code == 0, 'the AWS SDK signs the same')
        or $tests->diag($text);
}

# puts an object as the worker does

sub put_object {
    my ($self, $key, $content, $type) = @_;

    my $file = "$self->{dir}/object" . int rand 1e9;
    $self->write_file($file, $content);
    my ($text, $code) = $self->s3cmd('put', '-q', '--mime-type=' . $type, $file,
        "s3://$ENV{S3_BUCKET}/$key");
    unlink $file;
    die "s3cmd put: $text" if $code;
}

sub remove_object {
    my ($self, $key) = @_;
    my ($text, $code) = $self->s3cmd('del', '-q', "s3://$ENV{S3_BUCKET}/$key");
    die "s3cmd del: $text" if $code;
}

# all jobs so far; the broker has confirmed what was answered

sub jobs {
    my ($self) = @_;
    my @jobs;

    while (my $message = $self->{amqp}->get($self->{name})) {
        push @jobs, decode_json($message->{body});
    }

    return @jobs;
}

# waits for the publisher to be there, as it connects at its start

sub wait_broker {
    my ($self) = @_;
    my $left = time + 20;

    while (time < $left) {
        my $answer = $self->post('/send', { conversation_id => 1,
            action => 'typing' });
        if ($answer->{status} == 204) {
            $self->jobs;
            return;
        }
        sleep 0.1;
    }

    die "no broker:\n" . $self->error_log;
}

sub DESTROY {
    my ($self) = @_;

    if ($self->{owner} == $$ && $self->{amqp}) {
        local $@;
        eval { $self->{amqp}->delete_queue($self->{name}) };
    }

    $self->SUPER::DESTROY;
}

1;
