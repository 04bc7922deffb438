package SendWapi;

# Copyright (C) ngx_media contributors

# W-API (w-api.app), as far as it sends.

use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw(time);

use constant BODY_MAX => 136 * 1024 * 1024;
use constant AGENT => 'axios/1.9.0';

my ($true, $false) = (JSON::PP::true, JSON::PP::false);

my %messages = (
    'send-text' => { kind => 'text', members => { message => 's!' } },
    'send-image' => { kind => 'image', file => 'image',
        members => { image => 's!', caption => 's' } },
    'send-audio' => { kind => 'audio', file => 'audio',
        members => { audio => 's!' } },
    'send-video' => { kind => 'video', file => 'video',
        members => { video => 's!', caption => 's' } },
    'send-document' => { kind => 'document', file => 'document',
        members => { document => 's!', extension => 's!', fileName => 's',
        caption => 's' } },
    'send-sticker' => { kind => 'sticker', file => 'sticker', pro => 1,
        members => { sticker => 's!' } },
    'send-location' => { kind => 'location', members => { name => 's!',
        address => 's!', latitude => 's!', longitude => 's!' } },
);

my %types = (image => [ qw(image/png image/jpeg) ],
    audio => [ qw(audio/mpeg audio/ogg) ], video => [ 'video/mp4' ],
    sticker => [ qw(image/webp image/png image/jpeg) ]);

my %others = ('POST /message/read-message' => 'read',
    'POST /chats/send-presence' => 'typing',
    'GET /quere/quere' => 'lookup',
    'GET /instance/status-instance' => 'state');


sub content_type { return 'application/json; charset=utf-8' }


sub match {
    my ($method, $path, $args) = @_;

    return undef unless $path =~ m!^/v1(/[a-z]+/([a-z-]+))$!;

    my ($what, $verb) = ($1, $2);
    my ($op) = map { $others{"$_ $what"} } grep { $others{"$_ $what"} }
        qw(GET POST);
    my $spec = $what =~ m!^/message/! ? $messages{$verb} : undef;

    return undef unless $spec || $op;

    return { module => __PACKAGE__, provider => 'wapi', verb => $verb,
        what => $what, op => $op // 'send', spec => $spec,
        instance => $args->{instanceId} // '', version => 'v1' };
}


sub recipient {
    my ($class, $in) = @_;

    return ref $in->{phone} ? undef : $in->{phone};
}


sub handle {
    my ($class, $r) = @_;
    my $s = $r->{send};
    my $config = Send::instance($s->{instance});
    my $token = ($r->{headers}{authorization} // '') =~ /^Bearer (\S+)$/
        ? $1 : undef;
    my $method = $s->{op} =~ /^(?:lookup|state)$/ ? 'GET' : 'POST';

    unless ($r->{method} eq $method) {
        Send::violation($r, "method is not $method");
        return not_found($r);
    }

    Send::violation($r, 'Authorization is no Bearer') unless defined $token;

    return error($r, 401, "Token inv\x{e1}lido") if main::bad_token($token)
        || defined $config->{token} && $token ne $config->{token};

    if ($s->{instance} eq '') {
        Send::violation($r, 'instanceId is missing');
        return error($r, 400, "O instanceId \x{e9} obrigat\x{f3}rio.");
    }

    for my $name (sort keys %{ $r->{args} }) {
        next if $name eq 'instanceId'
            || $s->{op} eq 'lookup' && $name =~ /^(?:perPage|page)$/;
        Send::violation($r, "query has unknown member \"$name\"");
    }

    # of the edition LITE
    return not_found($r) if $config->{absent} || ($config->{edition} // '')
        eq 'lite' && ($s->{op} =~ /^(?:read|typing)$/ || $s->{spec}{pro});

    return Send::answer($r, 200, { instanceId => $s->{instance},
        connected => $config->{disconnected} ? $false : $true })
        if $s->{op} eq 'state';
    return queue($r, $config) if $s->{op} eq 'lookup';

    my $refused = body($r);

    return $refused->() if $refused;

    return read_message($r) if $s->{op} eq 'read';
    return presence($r) if $s->{op} eq 'typing';
    return message($r);
}


sub body {
    my ($r) = @_;
    my $type = $r->{headers}{'content-type'} // '';

    return sub { error($r, 413, 'request entity too large') }
        if $r->{size} > BODY_MAX;

    Send::violation($r, "Content-Type is \"$type\"")
        unless $type =~ m!^application/json(?:; ?charset=utf-8)?$!i;
    Send::violation($r, 'body is no JSON object: ' . ($r->{json_error} // ''))
        unless ref $r->{send}{in} eq 'HASH';

    return @{ $r->{violations} } && (ref $r->{send}{in} ne 'HASH'
        || $type !~ m!^application/json!i)
        ? sub { error($r, 400, "JSON inv\x{e1}lido.") } : undef;
}


sub phone {
    my ($r) = @_;
    my $phone = $r->{send}{in}{phone};

    return undef if defined $phone && !ref $phone
        && $phone =~ /^(?:\d{10,15}|\d[\d-]*\@g\.us|\d+\@lid)$/;

    Send::violation($r, 'phone is neither digits, group nor LID')
        if defined $phone;

    return sub { error($r, 400, "O n\x{fa}mero de telefone ou ID do grupo "
        . "\x{e9} obrigat\x{f3}rio.") };
}


sub invalid {
    my ($r, @bad) = @_;
    my ($first) = Send::grave(@bad) or return undef;

    return sub { error($r, 400,
        "O campo $first->[1] \x{e9} obrigat\x{f3}rio.") };
}


sub message {
    my ($r) = @_;
    my $s = $r->{send};
    my $in = $s->{in};
    my $spec = $s->{spec};
    my @bad = Send::members($r, $in, 'body', { phone => 's!',
        messageId => 's', MessageId => 's', delayMessage => 'i',
        %{ $spec->{members} } });
    my $refused = phone($r) || invalid($r, @bad);

    return $refused->() if $refused;

    my %m = (kind => $spec->{kind}, text => $in->{message} // $in->{caption}
        // '', reply_to => $in->{messageId} // $in->{MessageId},
        chat => $in->{phone}, delay => $in->{delayMessage});

    Send::violation($r, 'body.message is empty') if $s->{verb} eq 'send-text'
        && $m{text} eq '';

    if ($s->{verb} eq 'send-location') {
        $m{$_} = $in->{$_} for qw(latitude longitude name address);

        for my $name (qw(latitude longitude)) {
            Send::violation($r, "$name is no number")
                unless $in->{$name} =~ /^-?\d{1,3}(?:\.\d+)?$/;
        }
    }

    $refused = file($r, \%m) if $spec->{file};
    return $refused->() if $refused;

    $m{id} = Send::random_of(20 + int rand 4, 'A' .. 'Z', 0 .. 9);
    $m{inserted_id} = Send::random_of(24, 0 .. 9, 'a' .. 'f');

    Send::accept_message($r, \%m);

    return Send::answer($r, 200, { instanceId => $s->{instance},
        messageId => $m{id}, insertedId => $m{inserted_id} }, 1);
}


sub file {
    my ($r, $m) = @_;
    my $s = $r->{send};
    my $kind = $s->{spec}{file};
    my $source = $s->{in}{$kind};
    my $media;

    if ($source =~ m!^https?://!) {

        # a link to audio is refused unless it ends so
        if ($kind eq 'audio' && $source !~ /\.(?:mp3|ogg)$/) {
            Send::violation($r, 'a link to audio ends neither .mp3 nor .ogg');
            return sub { error($r, 400,
                "Formato de \x{e1}udio inv\x{e1}lido.") };
        }

        $media = SendMedia::from_link($source, AGENT);

        if ($media->{error}) {
            Send::violation($r, "the link is refused: $media->{error}")
                if $media->{status} >= 400 && $media->{status} < 500;
            return sub { nested($r) };
        }

        $media->{type} = $media->{header_type};

    } elsif (my $type = data_uri($s->{in}, $kind)) {
        $media = SendMedia::from_base64($s->{in}{$kind}, type => $type);
    }

    unless ($media) {
        Send::violation($r, "$kind is neither link nor data URI of base64");
        return sub { error($r, 400, "O campo $kind \x{e9} inv\x{e1}lido.") };
    }

    my $name = $s->{in}{extension};

    Send::violation($r, "$kind is $media->{magic}") if $types{$kind}
        && !grep { $_ eq $media->{magic} } @{ $types{$kind} };
    Send::violation($r, "the bytes of a $media->{type} are $media->{magic}")
        unless SendMedia::agrees($media->{type}, $media->{magic});

    if (defined $name) {
        my $type = SendMedia::type_of_name(".$name");

        Send::violation($r, "extension \"$name\" is none")
            unless $name =~ /^\.?[A-Za-z0-9]{1,10}$/;
        Send::violation($r, "extension $name of $media->{magic}")
            if $type && !SendMedia::agrees($type, $media->{magic});
        $media->{file_name} = $s->{in}{fileName};
        $media->{extension} = $name;
    }

    $m->{media} = $media;
    return undef;
}


# takes the head off a data URI; its type, or undef

sub data_uri {
    my ($in, $name) = @_;
    my $type_of = qr!([a-z]+/[a-z0-9.+-]+(?:; ?[a-z]+=[a-z0-9]+)*)!i;
    my $head = qr/^data:$type_of;base64,/;

    unless (SendBody::is_long($in->{$name})) {
        return $in->{$name} =~ s/$head// ? $1 : undef;
    }

    my $next = SendBody::pieces($in->{$name});
    my $file = substr($in->{$name}, 1) . '.b64';
    my $piece = $next->();

    return undef unless $piece =~ s/$head//;

    my $type = $1;

    open my $out, '>:raw', $file or die "$file: $!\n";

    do { print $out $piece } while defined($piece = $next->());
    close $out;
    $in->{$name} = "\x01$file";

    return $type;
}


sub read_message {
    my ($r) = @_;
    my $in = $r->{send}{in};
    my @bad = Send::members($r, $in, 'body', { phone => 's!',
        messageId => 's!' });
    my $refused = phone($r) || invalid($r, @bad);

    return $refused->() if $refused;

    Send::accept_act($r, { to => $in->{phone}, ids => [ $in->{messageId} ] });
    return Send::answer($r, 200, {});
}


sub presence {
    my ($r) = @_;
    my $in = $r->{send}{in};
    my @bad = Send::members($r, $in, 'body', { phone => 's!',
        presence => 's!', delay => 'i!' });
    my $refused = phone($r) || invalid($r, @bad);

    return $refused->() if $refused;

    unless ($in->{presence} =~ /^(?:composing|recording)$/) {
        Send::violation($r, 'presence is neither composing nor recording');
        return error($r, 400, "O campo presence \x{e9} inv\x{e1}lido.");
    }

    Send::accept_act($r, { to => $in->{phone}, presence => $in->{presence},
        delay => $in->{delay} });
    return Send::answer($r, 200, {});
}


# what is queued yet: younger than "queue" seconds, or all while disconnected

sub queue {
    my ($r, $config) = @_;
    my $s = $r->{send};
    my $since = time - ($config->{queue} // 0);
    my $size = $r->{args}{perPage} || 10;
    my $page = $r->{args}{page} || 1;
    my @queued = grep { $_->{provider} eq 'wapi'
        && $_->{instance} eq $s->{instance}
        && ($config->{disconnected} || $_->{time} > $since) }
        Send::lines('sends', $s->{instance});
    my $total = @queued;

    splice @queued, 0, ($page - 1) * $size if $page > 1;
    splice @queued, $size if @queued > $size;

    return Send::answer($r, 200, { error => $false, totalMessages => $total,
        totalPages => int(($total + $size - 1) / $size),
        currentPage => $page + 0, messages => [ map { {
            insertedId => $_->{inserted_id}, instanceId => $_->{instance},
            type => $_->{kind} eq 'voice' ? 'audio' : $_->{kind},
            phone => $_->{to}, delayMessage => $_->{delay} // 1,
            MessageId => $_->{id}, created => int $_->{time} * 1000,
            message => $_->{text} } } @queued ] });
}


sub error {
    my ($r, $status, $message) = @_;

    return Send::answer($r, $status, { error => $true, message => $message });
}


sub nested {
    my ($r) = @_;

    return error($r, 500, { error => $false, data => { error => $true,
        message => "Falha ao enviar o conte\x{fa}do." } });
}


sub not_found {
    my ($r) = @_;

    return Send::answer($r, 404, "<!DOCTYPE html>\n<html><body><pre>Cannot "
        . "$r->{method} $r->{path}</pre></body></html>\n");
}


sub refuse {
    my ($class, $r, $f) = @_;

    return nested($r) if $f->{fault} =~ /^(?:nested|transport)$/;
    return not_found($r) if $f->{fault} eq '404';
    return error($r, 400, "N\x{fa}mero n\x{e3}o existe ou n\x{e3}o possui uma "
        . 'conta no whatsapp.') if $f->{fault} eq 'no-whatsapp';

    my %text = (401 => "Token inv\x{e1}lido", 403 => 'Acesso negado',
        413 => 'request entity too large', 429 => 'Muitas requisicoes',
        500 => 'Erro interno');
    my $status = $f->{fault} =~ /^\d+$/ ? $f->{fault} : 500;

    return Send::answer($r, $status, { error => $true,
        message => $f->{message} // $text{$status} // 'Erro' }, 0,
        defined $f->{retry_after} ? "Retry-After: $f->{retry_after}" : ());
}


1;
