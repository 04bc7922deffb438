#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# A stand-in for WhatsApp's own servers, at the protocol level: the media CDN
# and the APIs of Evolution, W-API and the Cloud API, as far as an incoming
# message needs them, and as far as they send (Send.pm).  What it serves is told
# to it over /_sim/, see README.  Prefork, perl core modules only.
#
# usage: whatsapp-sim.pl PORT DIR

use strict;
use warnings;

use Digest::SHA qw(sha1_hex sha256 sha256_hex);
use Fcntl qw(:flock);
use FindBin;
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);

use lib $FindBin::Bin;

use Send;

use constant CHILDREN => 16;
use constant BODY_MAX => 256 * 1024 * 1024;

my ($port, $dir) = @ARGV;

die "usage: whatsapp-sim.pl PORT DIR\n" unless $dir;

my $json = JSON::PP->new->canonical;
my @kinds = qw(cdn message wapi cloud profile fault);

make_path("$dir/$_") for @kinds;
Send::init($dir);

my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
    LocalPort => $port, Listen => 512, ReuseAddr => 1)
    or die "whatsapp-sim: 127.0.0.1:$port: $!\n";

$server->blocking(0);
pipe my $alive, my $master or die "whatsapp-sim: pipe: $!\n";

my %children;

$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = $SIG{INT} = sub { kill 'TERM', keys %children; exit 0 };

while (1) {
    start(\&SendHooks::run, 'hooks') unless grep { $_ eq 'hooks' }
        values %children;
    start(\&serve, 'http') while keys %children <= CHILDREN;

    delete $children{ wait() };
}


sub start {
    my ($run, $what) = @_;
    my $pid = fork // die "whatsapp-sim: fork: $!\n";

    if ($pid == 0) {
        $SIG{TERM} = $SIG{INT} = 'DEFAULT';
        srand;

        close $master;
        close $server if $what eq 'hooks';
        $run->();
    }

    $children{$pid} = $what;
}


# Serves connections until the master is gone: then nobody writes to the pipe.

sub serve {
    my ($rd, $pipe) = ('', fileno $alive);

    vec($rd, fileno $server, 1) = vec($rd, $pipe, 1) = 1;

    while (1) {
        select(my $ready = $rd, undef, undef, undef) > 0 or next;
        exit 0 if vec $ready, $pipe, 1;

        # another child may have been faster
        my $c = $server->accept or next;

        $c->blocking(1);
        setsockopt($c, IPPROTO_TCP, TCP_NODELAY, 1);

        eval { 1 while request($c) };
        warn "whatsapp-sim: $@" if $@ && $@ ne "timeout\n";
        close $c;
    }
}


# reads one request and answers it; true if the connection goes on

sub request {
    my ($c) = @_;
    my ($line, %h, $body);

    local $SIG{ALRM} = sub { die "timeout\n" };

    # an idle connection must not hold a child for long
    alarm 2;
    $line = <$c>;
    alarm 0;

    return 0 unless defined $line
        && $line =~ m!^([A-Z]+) (\S+) HTTP/1\.[01]\r?$!;

    my ($method, $target) = ($1, $2);

    while (defined($line = <$c>) && $line !~ /^\r?$/) {
        $h{lc $1} = $2 if $line =~ /^([^:\s]+):\s*(.*?)\s*$/;
    }

    my $length = $h{'content-length'} // 0;

    return 0 if $length > BODY_MAX;

    my ($path, $query) = split /\?/, $target, 2;
    my $r = { c => $c, method => $method, target => $target, path => $path,
        args => args($query // ''), headers => \%h,
        keepalive => lc($h{connection} // '') ne 'close' };

    $r->{send} = Send::match($method, $path, $r->{args});
    $r->{fault} = SendFault::pick($r, 0) if $r->{send};

    return Send::reset_connection($r) if Send::is_fault($r, 'reset-before');

    $c->printflush("HTTP/1.1 100 Continue\r\n\r\n")
        if lc($h{expect} // '') eq '100-continue';

    return Send::handle($r) if $r->{send};

    $body = '';
    while (length $body < $length) {
        read($c, $body, $length - length $body, length $body) or return 0;
    }

    $r->{body} = $body;

    return control($r) if $path =~ m!^/_sim/!;

    record($r);

    return fault($r) // route($r);
}


sub route {
    my ($r) = @_;
    my $path = $r->{path};

    return evolution_base64($r) if $path =~ m!/chat/getBase64FromMedia!;
    return evolution_profile($r) if $path =~ m!/chat/fetchProfilePicture!;
    return wapi_download($r) if $path =~ m!/message/download-media$!;
    return wapi_profile($r) if $path =~ m!/contacts/profile-picture$!;
    return plain_file($r, 'wapi', $1) if $path =~ m!^/media/file/(\w+)!;
    return lookaside($r) if $path =~ m!^/whatsapp_business/attachments/!;
    return cloud_media($r) if $path =~ m!^/v\d+\.\d+/([^/]+)$!;
    return cdn($r);
}


# the CDN: signed paths; expiry and the hash as facts of the real one have it

sub cdn {
    my ($r) = @_;
    my $item = load('cdn', $r->{path});
    my $oe = $r->{args}{oe};

    return reply($r, 405, 'text/plain', '') if $r->{method} ne 'GET'
        && $r->{method} ne 'HEAD';
    return reply($r, 404, 'text/plain', '') unless $item;

    unless ($item->{unsigned}) {
        return reply($r, 403, 'text/plain', 'Bad URL hash')
            unless defined $r->{args}{oh} && defined $oe;
        return reply($r, 403, 'text/plain', 'URL signature expired')
            if hex($oe) < time;
    }

    return send_file($r, $item->{file},
        $item->{type} // 'application/octet-stream');
}


sub evolution_base64 {
    my ($r) = @_;
    my $in = eval { $json->decode($r->{body}) } || {};
    my $id = eval { $in->{message}{key}{id} } // '';
    my $item = load('message', $id);

    return evolution_error($r, 401, 'Unauthorized', 'Unauthorized')
        if bad_token($r->{headers}{apikey});
    return evolution_error($r, 400, 'Bad Request', [ 'Message not found' ])
        unless $item;

    my $size = -s $item->{file};
    my $head = $json->encode({ mediaType => $item->{media_type}
        // 'imageMessage', fileName => $item->{file_name} // "$id.bin",
        caption => '', size => { fileLength => "$size" },
        mimetype => $item->{mimetype}, buffer => undef });

    # base64 last, as large answers are told by their beginning
    $head =~ s/}$/,"base64":"/;

    my $text = $head . encode_base64(slurp($item->{file}), '') . '"}';

    return reply($r, 201, 'application/json; charset=utf-8', $text);
}


sub evolution_profile {
    my ($r) = @_;
    my $in = eval { $json->decode($r->{body}) } || {};
    my $number = $in->{number} // '';
    my $item = load('profile', $number);

    return evolution_error($r, 401, 'Unauthorized', 'Unauthorized')
        if bad_token($r->{headers}{apikey});

    return reply_json($r, 200, { wuid => "$number\@s.whatsapp.net",
        profilePictureUrl => $item ? $item->{url} : undef });
}


sub evolution_error {
    my ($r, $status, $error, $message) = @_;

    return reply_json($r, $status, { status => $status, error => $error,
        response => { message => $message } });
}


sub wapi_download {
    my ($r) = @_;
    my $in = eval { $json->decode($r->{body}) } || {};
    my $key = (split /\?/, $in->{directPath} // '')[0] // '';
    my $item = load('wapi', $key);

    return reply_json($r, 401, { error => JSON::PP::true,
        message => 'Token inválido' }) if bad_bearer($r);

    # the failure that the real service answers, with its nested object
    return reply_json($r, 500, { error => JSON::PP::true,
        message => { error => JSON::PP::false, data => {
        error => JSON::PP::true, message =>
        'Falha ao fazer o download do conteudo.' } } }) unless $item;

    my $id = sha1_hex($key);
    my $host = $r->{headers}{host} // "127.0.0.1:$port";

    save('wapi', $id, $item);

    return reply_json($r, 200, { error => JSON::PP::false,
        fileLink => "http://$host/media/file/$id" . '_file',
        expires => int((time + 3600) * 1000) });
}


sub wapi_profile {
    my ($r) = @_;
    my $item = load('profile', $r->{args}{phoneNumber} // '');

    return reply_json($r, 401, { error => JSON::PP::true }) if bad_bearer($r);
    return reply_json($r, 404, { error => JSON::PP::true }) unless $item;
    return reply_json($r, 200, { link => $item->{url} });
}


sub cloud_media {
    my ($r) = @_;
    my ($id) = $r->{path} =~ m!([^/]+)$!;
    my $item = load('cloud', $id);

    return graph_error($r, 401, 190, 'Invalid OAuth access token.')
        if bad_bearer($r);
    return graph_error($r, 400, 100, 'Unsupported get request.', 33)
        unless $item;

    my $host = $r->{headers}{host} // "127.0.0.1:$port";
    my $url = "http://$host/whatsapp_business/attachments/?mid=$id&ext="
        . int(time + 300) . '&hash=' . sha1_hex($id);
    my $text = $json->encode({ url => $url, id => $id,
        mime_type => $item->{mimetype}, file_size => -s $item->{file},
        sha256 => sha256_hex(slurp($item->{file})),
        messaging_product => 'whatsapp' });

    # PHP's json_encode escapes every slash
    $text =~ s!/!\\/!g;

    return reply($r, 200, 'application/json; charset=UTF-8', $text);
}


sub lookaside {
    my ($r) = @_;
    my $id = $r->{args}{mid} // '';
    my $item = load('cloud', $id) // SendCloudapi::attachment($id);

    return reply($r, 401, 'text/plain', '') if bad_bearer($r);
    return reply($r, 400, 'text/plain', 'User-Agent')
        unless $r->{headers}{'user-agent'};
    return reply($r, 404, 'text/plain', '')
        if !$item || ($r->{args}{ext} // 0) < time;
    return send_file($r, $item->{file}, $item->{mimetype});
}


sub graph_error {
    my ($r, $status, $code, $message, $subcode) = @_;

    return reply_json($r, $status, { error => { message => $message,
        type => 'OAuthException', code => $code, fbtrace_id => 'A1b2C3',
        $subcode ? (error_subcode => $subcode) : () } });
}


sub plain_file {
    my ($r, $kind, $id) = @_;

    $id =~ s/_.*//;

    my $item = load($kind, $id);

    return reply($r, 404, 'text/html', '<html></html>') unless $item;
    return send_file($r, $item->{file}, $item->{mimetype});
}


sub bad_token {
    my ($token) = @_;

    return !defined $token || $token eq '' || $token =~ /^invalid/;
}


sub bad_bearer {
    my ($r) = @_;

    return 1 unless ($r->{headers}{authorization} // '') =~ /^Bearer (.*)$/;
    return bad_token($1);
}


# programmed faults: a member "times" counts down, without it they stay

sub fault {
    my ($r) = @_;
    my $name = file_of('fault', $r->{path});

    open my $f, '+<', $name or return undef;
    flock $f, LOCK_EX;

    my $fault = eval { $json->decode(join '', <$f>) } or return undef;

    if (defined $fault->{times}) {
        return undef if $fault->{times}-- <= 0;
        seek $f, 0, 0;
        truncate $f, 0;
        print $f $json->encode($fault);
    }

    close $f;

    sleep $fault->{stall} if $fault->{stall};

    if ($fault->{status}) {
        my @h;

        push @h, "Retry-After: $fault->{retry_after}"
            if defined $fault->{retry_after};
        push @h, "Location: $fault->{location}" if $fault->{location};

        return reply($r, $fault->{status}, $fault->{type} // 'text/plain',
            $fault->{body} // '', @h);
    }

    return send_file($r, $fault->{file}, 'application/octet-stream')
        if $fault->{file};

    $r->{cut} = $fault->{cut};
    $r->{rate} = $fault->{rate};

    return undef;
}


sub send_file {
    my ($r, $file, $type) = @_;
    my $size = -s $file;

    open my $f, '<:raw', $file or return reply($r, 404, 'text/plain', '');

    head($r, 200, $type, $size // 0);
    return $r->{keepalive} if $r->{method} eq 'HEAD';

    my ($sent, $buf) = (0, '');

    while (my $n = read $f, $buf, $r->{rate} || 65536) {
        if (defined $r->{cut} && $sent + $n > $r->{cut}) {
            $r->{c}->printflush(substr $buf, 0, $r->{cut} - $sent);
            return 0;
        }

        $r->{c}->printflush($buf) or return 0;
        $sent += $n;
        sleep 1 if $r->{rate};
    }

    return $r->{keepalive};
}


sub reply_json {
    my ($r, $status, $value) = @_;

    return reply($r, $status, 'application/json; charset=utf-8',
        JSON::PP->new->canonical->utf8->encode($value));
}


sub reply {
    my ($r, $status, $type, $body, @headers) = @_;

    head($r, $status, $type, length $body, @headers);
    $r->{c}->printflush($body) unless $r->{method} eq 'HEAD';

    return $r->{keepalive};
}


sub head {
    my ($r, $status, $type, $length, @headers) = @_;
    my $connection = $r->{keepalive} ? 'keep-alive' : 'close';

    $r->{c}->printflush(join "\r\n", "HTTP/1.1 $status Simulated",
        "Content-Type: $type", "Content-Length: $length",
        "Connection: $connection", @headers, '', '');
}


# what the tests say and ask

sub control {
    my ($r) = @_;
    my ($what) = $r->{path} =~ m!^/_sim/([\w-]+)$!;
    my $in = $r->{method} eq 'POST' && length $r->{body}
        ? eval { $json->decode($r->{body}) } : {};

    return reply($r, 400, 'text/plain', "bad JSON\n") unless $in;
    $what //= '';

    if ($what eq 'requests') {
        my $log = -e "$dir/requests" ? slurp("$dir/requests") : '';

        return reply($r, 200, 'application/x-ndjson', $log);
    }

    if ($what eq 'reset') {
        remove_tree("$dir/$_", { keep_root => 1 }) for @kinds;
        unlink "$dir/requests";
        Send::reset_all();
        return reply($r, 204, 'text/plain', '');
    }

    my $answered = Send::control($r, $what, $in);

    return $answered if defined $answered;

    my %key = (media => [ cdn => 'path' ], message => [ message => 'id' ],
        wapi => [ wapi => 'path' ], cloud => [ cloud => 'id' ],
        profile => [ profile => 'number' ], fault => [ fault => 'path' ]);

    my $k = $key{$what // ''}
        or return reply($r, 404, 'text/plain', "no such control\n");
    my ($kind, $member) = @$k;

    return reply($r, 400, 'text/plain', "no $member\n")
        unless defined $in->{$member};

    if ($r->{method} eq 'DELETE' || $in->{remove}) {
        unlink file_of($kind, $in->{$member});

    } else {
        save($kind, $in->{$member}, $in);
    }

    return reply($r, 204, 'text/plain', '');
}


sub record {
    my ($r) = @_;

    open my $f, '>>', "$dir/requests" or return;
    flock $f, LOCK_EX;
    print $f $json->encode({ time => time, method => $r->{method},
        target => $r->{target}, headers => $r->{headers},
        body => substr($r->{body}, 0, 65536), pid => $$ }), "\n";
    close $f;
}


sub args {
    my ($query) = @_;
    my %args;

    for my $pair (split /&/, $query) {
        my ($name, $value) = split /=/, $pair, 2;

        $value //= '';
        s/%([0-9A-Fa-f]{2})/chr hex $1/ge for $name, $value;
        $args{$name} = $value;
    }

    return \%args;
}


sub file_of {
    my ($kind, $key) = @_;

    utf8::encode($key) if utf8::is_utf8($key);
    return "$dir/$kind/" . sha1_hex($key);
}


sub save {
    my ($kind, $key, $value) = @_;
    my $name = file_of($kind, $key);

    open my $f, '>', "$name.$$" or die "$name: $!\n";
    print $f $json->encode($value);
    close $f;
    rename "$name.$$", $name;
}


sub load {
    my ($kind, $key) = @_;
    my $name = file_of($kind, $key);

    return -e $name ? $json->decode(slurp($name)) : undef;
}


sub slurp {
    my ($name) = @_;

    open my $f, '<:raw', $name or die "$name: $!\n";
    local $/;
    return <$f> // '';
}
