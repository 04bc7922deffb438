package E2E;

# Copyright (C) ngx_media contributors

# What the end-to-end tests share: the running servers that ./dev put into the
# environment, provider webhooks made from the vectors, and waiting.

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256_hex sha1_hex);
use Exporter qw(import);
use File::Basename qw(dirname);
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64;
use SignedURL;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(env_or_skip data_dir vector vectors plain_of sim
    sim_requests sim_serve add_tenant add_instance sql sql_row evolution_body
    wapi_body cloudapi_body post_evolution post_wapi post_cloudapi
    wait_attachment wait_until get signed slurp unique_id mediactl
    redis_cli object_keys lock_table unlock_table);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $data = "$root/t/data/whatsapp-media";
my $json = JSON::PP->new->canonical->utf8;
my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 0, max_redirect => 0);
my $vectors;
my $serial = 0;


sub data_dir { return $data }


# the test runs on the servers of "./dev up"; without them it says so

sub env_or_skip {
    for my $name (qw(NGINX_URL WHATSAPP_SIM_URL DATABASE_URL RABBITMQ_URL
        EVOLUTION_WEBHOOK_URL WAPI_WEBHOOK_URL CLOUDAPI_WEBHOOK_URL
        CLOUDAPI_APP_SECRET MEDIACTL))
    {
        next if $ENV{$name};

        require Test::More;
        Test::More::plan(skip_all => "$name is not set: run by ./dev test");
    }
}


sub vectors {
    $vectors //= $json->decode(slurp("$data/vectors.json"));
    return $vectors;
}


sub vector {
    my ($name) = @_;

    for my $v (@{ vectors()->{vectors} }, @{ vectors()->{unencrypted} },
        @{ vectors()->{negative} })
    {
        return $v if $v->{name} eq $name;
    }

    die "no vector $name\n";
}


sub plain_of { return slurp("$data/" . $_[0]{plain}) }


sub unique_id {
    return uc substr sha1_hex(join '-', $$, time, $serial++), 0, 20;
}


# one POST to the simulator's control

sub sim {
    my ($what, $value) = @_;
    my $r = $http->post("$ENV{WHATSAPP_SIM_URL}/_sim/$what",
        { content => $json->encode($value // {}) });

    die "sim $what: $r->{status} $r->{content}\n" unless $r->{success};
}


sub sim_requests {
    my ($match) = @_;
    my $r = $http->get("$ENV{WHATSAPP_SIM_URL}/_sim/requests");

    return grep { $_->{target} =~ $match }
        map { $json->decode($_) } split /\n/, $r->{content};
}


# the CDN, W-API and the Evolution API know a vector from here on

sub sim_serve {
    my ($v, %opt) = @_;
    my $path = (split /\?/, $opt{direct_path} // $v->{directPath})[0];

    sim(media => { path => $path, file => "$data/$v->{enc}" })
        unless $opt{no_cdn};

    return unless $opt{id};

    sim(message => { id => $opt{id}, file => "$data/$v->{plain}",
        mimetype => $v->{mimetype} });
}


sub mediactl {
    my ($stdin, @args) = @_;

    open my $p, '|-', $ENV{MEDIACTL}, @args or die "mediactl: $!\n";
    print $p $stdin // '';
    close $p;
    return $? >> 8;
}


sub add_tenant {
    my ($tenant) = @_;

    return mediactl('', 'tenant', 'add', $tenant);
}


sub add_instance {
    my ($tenant, $provider, $name, %opt) = @_;
    my %suffix = (evolution => '', wapi => '/v1', cloudapi => '/v23.0');

    return mediactl($opt{token} // 'token-of-the-instance', 'instance', 'add',
        '--tenant', $tenant, '--provider', $provider, '--name', $name,
        '--base-url', "$ENV{WHATSAPP_SIM_URL}$suffix{$provider}",
        '--token-stdin', $opt{api_version}
        ? ('--api-version', $opt{api_version}) : ());
}


# rows as arrays of text; NULL is the empty string

sub sql {
    my ($query) = @_;

    open my $p, '-|', 'psql', '-XAtq', '-F', "\x1f", '-v', 'ON_ERROR_STOP=1',
        '-d', $ENV{DATABASE_URL}, '-c', $query or die "psql: $!\n";

    my @rows = map { chomp; [ split /\x1f/, $_, -1 ] } <$p>;

    close $p or die "psql failed: $query\n";
    return @rows;
}


sub sql_row {
    my @rows = sql($_[0]);

    return @rows ? @{ $rows[0] } : ();
}


sub redis_cli {
    my (@args) = @_;

    open my $p, '-|', 'redis-cli', '--no-auth-warning', '-u',
        $ENV{REDIS_URL}, @args or die "redis-cli: $!\n";
    local $/;

    my $text = <$p>;

    close $p;
    return $text;
}


# The JSON that Evolution releases make of bytes and 64-bit integers:
# "base64" up to 2.3.2, "object" 2.3.3 to 2.3.5, "long" from 2.3.6 on.

my %bytes = map { $_ => 1 } qw(mediaKey fileSha256 fileEncSha256 jpegThumbnail
    waveform streamingSidecar thumbnailSha256 thumbnailEncSha256);
my %longs = map { $_ => 1 } qw(fileLength mediaKeyTimestamp);

sub era {
    my ($value, $era) = @_;

    return $value unless ref $value eq 'HASH' && $era ne 'base64';

    my %out;

    for my $name (keys %$value) {
        my $v = $value->{$name};

        if ($bytes{$name} && !ref $v) {
            my @b = unpack 'C*', decode_base64($v);
            my $i = 0;

            $v = { map { $i++ => $_ } @b };

        } elsif ($longs{$name} && !ref $v) {
            $v = $era eq 'object' ? $v + 0 : { low => $v & 0xffffffff,
                high => $v >> 32, unsigned => JSON::PP::true };

        } else {
            $v = era($v, $era);
        }

        $out{$name} = $v;
    }

    return \%out;
}


sub message_of {
    my ($v, %opt) = @_;
    my $message = $json->decode($json->encode($v->{message}));

    %$message = (%$message, %{ $opt{add} }) if $opt{add};
    return $message;
}


sub evolution_body {
    my ($instance, $v, %opt) = @_;
    my $message = era(message_of($v, %opt), $opt{era} // 'base64');
    my ($type) = grep { /Message/ } sort keys %$message;

    return $json->encode({
        event => 'messages.upsert', instance => $instance,
        data => {
            key => { remoteJid => $opt{chat} // '5511987654321@s.whatsapp.net',
                fromMe => JSON::PP::false, id => $opt{id} },
            pushName => 'Cliente', status => 'DELIVERY_ACK',
            message => $message, messageType => $type,
            messageTimestamp => int time, source => 'android' },
        destination => 'http://localhost/', sender =>
            '551133334444@s.whatsapp.net', apikey => undef });
}


sub wapi_body {
    my ($instance, $v, %opt) = @_;

    return $json->encode({
        event => 'webhookReceived', instanceId => $instance,
        connectedPhone => '551133334444', isGroup => JSON::PP::false,
        messageId => $opt{id}, fromMe => JSON::PP::false,
        chat => { id => $opt{chat} // '5511987654321',
            profilePicture => undef },
        sender => { id => '5511987654321', profilePicture => undef,
            pushName => 'Cliente', verifiedBizName => '' },
        moment => int time, msgContent => message_of($v, %opt) });
}


my %cloud_type = (image => 'image', video => 'video', ptv => 'video',
    gif => 'video', audio => 'audio', ptt => 'audio', document => 'document',
    sticker => 'sticker');

sub cloudapi_body {
    my ($instance, $v, %opt) = @_;
    my $text = $v->{message} && $v->{message}{conversation};
    my $type = defined $text ? 'text' : $cloud_type{ $v->{mediaType} };

    return $json->encode({
        object => 'whatsapp_business_account', entry => [ { id => '1',
        changes => [ { field => 'messages', value => {
            messaging_product => 'whatsapp', metadata => {
                display_phone_number => '551133334444',
                phone_number_id => $instance },
            contacts => [ { wa_id => '5511987654321', profile => {
                name => 'Cliente' } } ],
            messages => [ { from => $opt{chat} // '5511987654321',
                id => $opt{id}, timestamp => '' . int time, type => $type,
                $type => defined $text ? { body => $text } : {
                    mime_type => $v->{mimetype},
                    sha256 => $v->{fileSha256}, id => $opt{media_id},
                    $type eq 'document' ? (filename => 'relatorio.pdf') : (),
                    $type eq 'audio' ? (voice => JSON::PP::true) : ()
                } } ] } } ] } ] });
}


sub post_json {
    my ($url, $body, %headers) = @_;
    my $r = $http->post($url, { content => $body, headers => {
        'content-type' => 'application/json', %headers } });

    return $r->{status};
}


sub post_evolution { return post_json($ENV{EVOLUTION_WEBHOOK_URL}, $_[0]) }
sub post_wapi { return post_json($ENV{WAPI_WEBHOOK_URL}, $_[0]) }


sub post_cloudapi {
    my ($body) = @_;

    return post_json($ENV{CLOUDAPI_WEBHOOK_URL}, $body,
        'x-hub-signature-256' => 'sha256='
        . hmac_sha256_hex($body, $ENV{CLOUDAPI_APP_SECRET}));
}


# true as soon as code gives something true, the last value after seconds

sub wait_until {
    my ($seconds, $code) = @_;
    my $end = time + $seconds;
    my $value;

    while (1) {
        $value = $code->();
        return $value if $value || time > $end;
        sleep 0.1;
    }
}


# the attachment of a provider's message once it is completed or failed

sub wait_attachment {
    my ($id, $seconds) = @_;
    my @names = qw(id status file_url thumbnail_url file_type size_bytes
        error_message storage_key file_name width height);
    my $query = 'SELECT a.id, a.status, a.file_url, a.thumbnail_url, '
        . 'a.file_type, a.size_bytes, a.error_message, a.storage_key, '
        . "a.file_name, a.metadata->>'width', a.metadata->>'height' "
        . 'FROM media.message_attachments a JOIN media.messages m '
        . "ON m.id = a.message_id WHERE m.provider_id = '$id'";
    my %a;

    wait_until($seconds // 30, sub {
        @a{@names} = sql_row($query);
        return ($a{status} // '') =~ /^(?:completed|failed)$/;
    });

    return \%a;
}


# what is in the bucket is asked for by a signed URL

sub get {
    my ($url, %headers) = @_;

    $url = signed($url) if $url =~ m{^\Q$ENV{MEDIA_PUBLIC_URL}\E[^?]+$};

    return $http->get($url, { headers => \%headers });
}


# the URL of an object with a signature

sub signed {
    my ($url) = @_;
    my $key = substr $url, length $ENV{MEDIA_PUBLIC_URL};

    $key =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;

    return $url . signed_query($key, int(time) + 300,
        $ENV{MEDIA_SIGN_KEY_ID}, $ENV{MEDIA_SIGN_KEY});
}


sub object_keys {
    my ($prefix) = @_;
    my ($host) = $ENV{S3_ENDPOINT_URL} =~ m!//([^/]+)!;

    open my $p, '-|', 's3cmd', '--no-ssl', "--host=$host",
        "--host-bucket=$host", "--access_key=$ENV{S3_ACCESS_KEY}",
        "--secret_key=$ENV{S3_SECRET_KEY}", '--config=/dev/null', 'ls', '-r',
        "s3://$ENV{S3_BUCKET}/$prefix" or die "s3cmd: $!\n";

    my @keys = map { m!s3://[^/]+/(.*)$! ? $1 : () } <$p>;

    close $p;
    return @keys;
}


# nobody writes to a table until it is unlocked

sub lock_table {
    my ($table) = @_;

    open my $psql, '|-', 'psql', '-Xq', '-d', $ENV{DATABASE_URL}
        or die "psql: $!\n";
    $psql->autoflush(1);
    print $psql "BEGIN;\nLOCK TABLE media.$table IN EXCLUSIVE MODE;\n";
    wait_until(10, sub { (sql_row("SELECT count(*) FROM pg_locks WHERE "
        . "relation = 'media.$table'::regclass AND granted AND mode = "
        . "'ExclusiveLock'"))[0] });

    return $psql;
}


sub unlock_table {
    my ($psql) = @_;

    print $psql "COMMIT;\n";
    close $psql;
}


sub slurp {
    my ($name) = @_;

    open my $f, '<:raw', $name or die "$name: $!\n";
    local $/;
    return <$f> // '';
}


1;
