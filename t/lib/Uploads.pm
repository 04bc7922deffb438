package Uploads;

# Copyright (C) ngx_media contributors

# What a front end does to send files and messages in the stack of ./dev, and
# what became of them: rows, events, and what the simulator was sent.

use strict;
use warnings;

use Crypt::JWT qw(encode_jwt);
use E2E;
use Exporter qw(import);
use HTTP::Tiny;
use JSON::PP;
use Leaks qw(secret);
use SendSim qw(send_instance);
use Time::HiRes qw(time sleep);

our @EXPORT = qw(lines add_line first_chat api api_until conversation
    upload_url put_file complete upload_file upload_parts media_send send_row
    wait_send events webhooks_on shipped_file);

my $json = JSON::PP->new->canonical->utf8;
my $http = HTTP::Tiny->new(timeout => 60, keep_alive => 0, max_redirect => 0);
my %post = (evolution => \&post_evolution, wapi => \&post_wapi,
    cloudapi => \&post_cloudapi);
my %body = (evolution => \&evolution_body, wapi => \&wapi_body,
    cloudapi => \&cloudapi_body);


# A line of each provider and version; the number begins that of the Cloud
# API, the word the others' names, one of which has a space.

sub lines {
    my ($number, $word) = @_;
    my @lines = (
        { provider => 'cloudapi', instance => "$number$$" },
        { provider => 'wapi', instance => uc "$word-wapi-$$" },
        { provider => 'evolution', instance => "$word v2 $$" },
        { provider => 'evolution', instance => "$word-v1-$$",
            version => 'v1' });

    $_->{name} = join ' ', $_->{provider}, $_->{version} // () for @lines;
    return @lines;
}


# in the worker and in the simulator, with a token that is looked for in logs;
# 0 if it is done

sub add_line {
    my ($tenant, $line) = @_;
    my $token = secret("token-of-$line->{provider}-" . unique_id());
    my $rc = add_instance($tenant, $line->{provider}, $line->{instance},
        token => $token, api_version => $line->{version});

    send_instance($line->{instance}, token => $token,
        version => $line->{version});
    return $rc;
}


# of numbers that one test counts on from

sub first_chat { return 55119 * 10 ** 8 + $$ * 100 % 10 ** 8 }


# one request of a tenant's browser; {json} is what was answered

sub api {
    my ($tenant, $method, $path, $value, %headers) = @_;
    my %content = defined $value
        ? (content => ref $value ? $json->encode($value) : $value) : ();
    my $r = $http->request($method, "$ENV{NGINX_URL}$path", { headers => {
        'content-type' => 'application/json', authorization => 'Bearer '
        . encode_jwt(payload => { tenant => $tenant, exp => time + 3600 },
            alg => 'HS256', key => $ENV{MEDIA_JWT_SECRET}), %headers },
        %content });

    $r->{json} = eval { $json->decode($r->{content}) };
    return $r;
}


# the same as a client that repeats what was not answered, or with a 5xx

sub api_until {
    my ($seconds, @request) = @_;
    my $end = time + $seconds;

    while (1) {
        my $r = api(@request);

        return $r if $r->{status} < 500 || time > $end;
        sleep 0.5;
    }
}


# the statuses of what is sent come back as webhooks

sub webhooks_on {
    my (%opt) = @_;

    sim(webhooks => { evolution => $ENV{EVOLUTION_WEBHOOK_URL},
        wapi => $ENV{WAPI_WEBHOOK_URL}, cloudapi => $ENV{CLOUDAPI_WEBHOOK_URL},
        app_secret => $ENV{CLOUDAPI_APP_SECRET}, %opt });
}


# A conversation as there is one: a customer has written.  Its row id, and the
# message's row id and provider id.

sub conversation {
    my ($provider, $instance, $chat) = @_;
    my $id = ($provider eq 'cloudapi' ? 'wamid.' : '') . unique_id();
    my $address = $provider eq 'evolution' ? "$chat\@s.whatsapp.net" : $chat;
    my $status = $post{$provider}->($body{$provider}->($instance,
        { message => { conversation => 'oi' } }, id => $id,
        chat => $address));

    die "webhook: $status\n" unless $status == 200;

    my @row = @{ wait_until(30, sub {
        my @r = sql_row('SELECT m.conversation_id, m.id FROM media.messages m '
            . 'JOIN media.instances i ON i.id = m.instance_id WHERE '
            . "m.provider_id = '$id' AND i.name = '$instance'");

        return @r ? \@r : undef;
    }) || die "the message of $chat did not arrive\n" };

    return { id => $row[0], message => $row[1], provider_id => $id,
        chat => $chat, provider => $provider, instance => $instance };
}


# file: name, type, content, and whatever else upload-url takes

sub upload_url {
    my ($tenant, $conversation, $file, %more) = @_;
    my %other = map { $_ => $file->{$_} } grep { defined $file->{$_} }
        qw(kind caption);

    return api_until($more{patience} // 0, $tenant, 'POST',
        '/api/media/upload-url', { file_name => $file->{name},
        file_type => $file->{type}, file_size => length $file->{content},
        conversation_id => $conversation->{id}, %other,
        $more{multipart} ? (multipart => JSON::PP::true) : () });
}


sub put_file {
    my ($issued, $content) = @_;

    return $http->request($issued->{method}, $issued->{upload_url},
        { headers => $issued->{headers}, content => $content });
}


sub complete {
    my ($tenant, $issued, %more) = @_;
    my $patience = delete $more{patience} // 0;

    return api_until($patience, $tenant, 'POST', '/api/media/upload-complete',
        { upload_token => $issued->{upload_token}, %more });
}


# The parts that S3 has, each with a URL if it has not got it.  One of a
# reloaded page: it knows the token only.

sub upload_parts {
    my ($tenant, $token, $method) = @_;

    return api($tenant, $method // 'GET', '/api/media/upload-parts', undef,
        'upload-token' => $token);
}


# all three steps; what upload-url answered.  more goes to upload-complete.

sub upload_file {
    my ($tenant, $conversation, $file, %more) = @_;
    my $issued = upload_url($tenant, $conversation, $file,
        patience => $more{patience});

    die "upload-url: $issued->{status} $issued->{content}\n"
        unless $issued->{status} == 200;

    my $put = put_file($issued->{json}, $file->{content});

    for (1 .. 2 * ($more{patience} // 0)) {
        last if $put->{status} < 500;
        sleep 0.5;
        $put = put_file($issued->{json}, $file->{content});
    }

    die "put: $put->{status} $put->{content}\n" unless $put->{success};

    my $done = complete($tenant, $issued->{json}, %more);

    die "upload-complete: $done->{status} $done->{content}\n"
        unless $done->{success};

    return { %{ $issued->{json} }, completed => $done->{json} };
}


sub media_send {
    my ($tenant, $conversation, %more) = @_;
    my $patience = delete $more{patience} // 0;

    return api_until($patience, $tenant, 'POST', '/api/media/send',
        { conversation_id => $conversation->{id}, %more });
}


# a send by its idempotency key, with its message and attachment

sub send_row {
    my ($tenant, $key) = @_;
    my @names = qw(id state attempts error_code error_message provider_id kind
        message_id message_status message_provider_id content direction
        attachment_id attachment_status file_url file_type size_bytes
        attachment_error);
    my %row;

    @row{@names} = sql_row('SELECT s.id, s.state, s.attempts, s.error_code, '
        . 's.error_message, s.provider_id, s.kind, m.id, m.status, '
        . 'm.provider_id, m.content, m.direction, a.id, a.status, a.file_url, '
        . 'a.file_type, a.size_bytes, a.error_message FROM media.sends s '
        . 'LEFT JOIN media.messages m ON m.id = s.message_id '
        . 'LEFT JOIN media.message_attachments a ON a.id = s.attachment_id '
        . "WHERE s.tenant_id = '$tenant' AND s.idempotency_key = '$key'");

    return \%row;
}


# the row once its state is one of those

sub wait_send {
    my ($tenant, $key, $states, $seconds) = @_;
    my $row;

    wait_until($seconds // 60, sub {
        $row = send_row($tenant, $key);
        return ($row->{state} // '') =~ /^(?:$states)$/
            || ($row->{state} // '') eq 'failed';
    });

    return $row;
}


# payloads of a tenant's events of a type

sub events {
    my ($tenant, $type) = @_;

    return map { $json->decode($_->[0]) } sql('SELECT payload FROM '
        . "media.events WHERE tenant_id = '$tenant' AND type = '$type' "
        . 'ORDER BY id');
}


# a file of t/data

sub shipped_file {
    my ($path) = @_;

    return slurp(data_dir() . "/../$path");
}


1;
