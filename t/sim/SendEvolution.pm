package SendEvolution;

# Copyright (C) ngx_media contributors

# Evolution API, v1 and v2, as far as it sends.

use strict;
use warnings;

use JSON::PP;
use MIME::Base64;
use Time::HiRes qw(time sleep);

use constant BODY_MAX => 136 * 1024 * 1024;
use constant AGENT => 'axios/1.7.9';

my ($true, $false) = (JSON::PP::true, JSON::PP::false);

my %kinds = (sendText => 'text', sendMedia => '', sendSticker => 'sticker',
    sendWhatsAppAudio => 'voice', sendLocation => 'location');

my %chat = (markMessageAsRead => 'read', sendPresence => 'typing',
    findMessages => 'lookup');

# what v1 wraps the content of a message into
my %wrapper = (sendText => 'textMessage', sendMedia => 'mediaMessage',
    sendWhatsAppAudio => 'audioMessage', sendSticker => 'stickerMessage',
    sendLocation => 'locationMessage');

my %content = (
    v2 => {
        sendText => { text => 's!', linkPreview => 'b' },
        sendMedia => { mediatype => 's!', media => 's!', mimetype => 's',
            caption => 's', fileName => 's' },
        sendWhatsAppAudio => { audio => 's!', encoding => 'b' },
        sendSticker => { sticker => 's!', notConvertSticker => 'b' },
        sendLocation => { latitude => 'n!', longitude => 'n!', name => 's!',
            address => 's!' },
    },
    v1 => {
        sendText => { text => 's!' },
        sendMedia => { mediatype => 's!', media => 's!', fileName => 's',
            caption => 's', mimetype => 's' },
        sendWhatsAppAudio => { audio => 's!' },
        sendSticker => { image => 's!' },
        sendLocation => { latitude => 'n!', longitude => 'n!', name => 's',
            address => 's' },
    },
);

my %presences = map { $_ => 1 } qw(unavailable available composing recording
    paused);


sub content_type { return 'application/json; charset=utf-8' }


sub match {
    my ($method, $path, $args) = @_;

    return undef unless $path =~ m!^/(message|chat|instance)/(\w+)/([^/]+)$!;

    my ($group, $verb, $name) = ($1, $2, $3);
    my $op = $group eq 'message' ? $kinds{$verb} // return undef
        : $group eq 'chat' ? $chat{$verb} // return undef
        : $verb eq 'connectionState' ? 'state' : return undef;

    $name =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    utf8::decode($name);

    my $version = Send::instance($name)->{version} // '2.3.7';

    return { module => __PACKAGE__, provider => 'evolution', verb => $verb,
        op => $group eq 'message' ? 'send' : $op, instance => $name,
        version => $version, api => $version =~ /^v?1/ ? 'v1' : 'v2' };
}


sub recipient {
    my ($class, $in) = @_;

    return ref $in->{number} ? undef : $in->{number};
}


sub handle {
    my ($class, $r) = @_;
    my $s = $r->{send};
    my $config = Send::instance($s->{instance});
    my $method = $s->{op} eq 'state' ? 'GET'
        : $s->{op} eq 'read' && $s->{api} eq 'v1' ? 'PUT' : 'POST';

    Send::violation($r, "query parameters are given") if %{ $r->{args} };

    unless ($r->{method} eq $method) {
        Send::violation($r, "method is not $method");
        return error($r, 404, 'Not Found',
            [ "Cannot $r->{method} $r->{path}" ]);
    }

    my $key = $r->{headers}{apikey};

    if (main::bad_token($key) || (defined $config->{token}
        && $key ne $config->{token}))
    {
        Send::violation($r, 'header apikey is missing') unless defined $key;
        return error($r, 401, 'Unauthorized', 'Unauthorized');
    }

    return error($r, 404, 'Not Found',
        [ qq(The "$s->{instance}" instance does not exist) ])
        if $config->{absent};

    return Send::answer($r, 200, { instance => { instanceName =>
        $s->{instance}, state => $config->{state} // 'open' } })
        if $s->{op} eq 'state';

    my $refused = body($r);

    return $refused->() if $refused;

    return read_messages($r) if $s->{op} eq 'read';
    return presence($r) if $s->{op} eq 'typing';
    return find($r, $config) if $s->{op} eq 'lookup';
    return message($r, $config);
}


# the body is an object, from JSON or from a form; otherwise the answer

sub body {
    my ($r) = @_;
    my $s = $r->{send};
    my $type = $r->{headers}{'content-type'} // '';

    return sub { body_error($r, 413, 'request entity too large') }
        if $r->{size} > BODY_MAX;

    if ($type =~ m!^multipart/form-data!) {
        my $parts = SendBody::multipart($r->{spool}, $type);

        return sub { body_error($r, 400, 'Malformed part header') }
            unless $parts && $s->{api} eq 'v2' && $s->{verb} =~ /Media|Audio/;

        $s->{in} = {};

        for my $part (@$parts) {
            $s->{file} = $part if $part->{file} && $part->{name} eq 'file';
            $s->{in}{ $part->{name} } = $part->{value} unless $part->{file};
        }

        return undef;
    }

    unless ($type =~ m!^application/json(?:; ?charset=utf-8)?$!i) {
        Send::violation($r, "Content-Type is \"$type\"");
        return sub { error($r, 400, 'Bad Request',
            [ [ 'instance requires property "number"' ] ]) };
    }

    unless (ref $s->{in} eq 'HASH') {
        Send::violation($r, 'body is no JSON object: '
            . ($r->{json_error} // ''));
        return sub { body_error($r, 400, 'Unexpected token in JSON') };
    }

    return undef;
}


sub message {
    my ($r, $config) = @_;
    my $s = $r->{send};
    my ($m, $refused) = $s->{api} eq 'v1' ? shape_v1($r) : shape_v2($r);

    return $refused->() if $refused;

    my $number = $s->{in}{number};

    unless ($number =~ /^\d{10,17}$/
        || $number =~ /^\d[\d-]*\@(?:s\.whatsapp\.net|g\.us|lid|broadcast)$/)
    {
        Send::violation($r, 'number is neither digits nor a JID');
        return error($r, 400, 'Bad Request', [ { jid =>
            "$number\@s.whatsapp.net", exists => $false,
            number => $number } ]);
    }

    return error($r, 400, 'Bad Request', [ 'Error: Connection Closed' ])
        if ($config->{state} // 'open') ne 'open';

    $m->{kind} = $s->{verb} eq 'sendMedia' ? $s->{content}{mediatype}
        : $kinds{ $s->{verb} };
    $m->{text} = $s->{content}{text} // $s->{content}{caption} // '';

    for my $name (qw(latitude longitude name address)) {
        $m->{$name} = $s->{content}{$name} if exists $s->{content}{$name};
    }

    $refused = file($r, $m)
        if $s->{verb} =~ /^send(?:Media|WhatsAppAudio|Sticker)$/;
    return $refused->() if $refused;

    sleep $m->{delay} / 1000 if $m->{delay};

    return accepted($r, $m);
}


sub shape_v2 {
    my ($r) = @_;
    my $s = $r->{send};
    my $in = $s->{in};
    my %spec = (number => 's!', delay => 'i', quoted => 'o',
        mentionsEveryOne => 'b', mentioned => 'a',
        %{ $content{v2}{ $s->{verb} } });

    $spec{messageId} = 's' if $s->{version} =~ /^v?2\.4/;

    # multipart: the file is a part of its own, everything is text

    if ($s->{file}) {
        delete @spec{qw(media audio quoted mentioned)};
        $spec{encoding} = 's' if $spec{encoding};
    }

    my @bad = Send::members($r, $in, 'body', \%spec);

    return (undef, schema($r, @bad)) if Send::grave(@bad);

    my @quoted = $in->{quoted} ? quoted($r, $in->{quoted}) : ();

    return (undef, schema($r, @quoted)) if Send::grave(@quoted);

    Send::violation($r, 'body.text is empty') if ($in->{text} // 1) eq '';
    $s->{content} = $in;

    # a quotation is ignored in audio before 2.4
    my $reply = $s->{verb} eq 'sendWhatsAppAudio'
        && $s->{version} !~ /^v?2\.4/ ? undef : $in->{quoted}{key}{id};

    return { delay => $in->{delay}, reply_to => $reply };
}


sub shape_v1 {
    my ($r) = @_;
    my $s = $r->{send};
    my $in = $s->{in};
    my $wrapper = $wrapper{ $s->{verb} };
    my @bad = Send::members($r, $in, 'body', { number => 's!', options => 'o',
        $wrapper => 'o!' });

    return (undef, schema($r, @bad)) if Send::grave(@bad);

    my $options = $in->{options} // {};

    push @bad, Send::members($r, $in->{$wrapper}, $wrapper,
        $content{v1}{ $s->{verb} });
    push @bad, Send::members($r, $options, 'options', { delay => 'i',
        presence => 's', quoted => 'o', linkPreview => 'b',
        mentions => 'o' });
    push @bad, quoted($r, $options->{quoted}) if ref $options->{quoted};
    push @bad, bad_value($r, 'presence') if defined $options->{presence}
        && !$presences{ $options->{presence} };
    push @bad, bad_value($r, 'text') if ($in->{$wrapper}{text} // 1) eq '';

    return (undef, schema($r, @bad)) if Send::grave(@bad);

    if ($s->{verb} eq 'sendWhatsAppAudio' && !$in->{options}) {
        Send::violation($r, 'body has no "options"');
        return (undef, sub { error($r, 500, 'Internal Server Error',
            "Cannot read properties of undefined (reading 'delay')") });
    }

    $s->{content} = $in->{$wrapper};

    return { delay => $options->{delay},
        reply_to => $options->{quoted}{key}{id} };
}


sub bad_value {
    my ($r, $name) = @_;

    Send::violation($r, "$name has a value that is none of its");
    return [ value => $name ];
}


sub quoted {
    my ($r, $quoted) = @_;
    my @bad = Send::members($r, $quoted, 'quoted', { key => 'o!',
        message => 'o' });

    return @bad unless ref $quoted->{key} eq 'HASH';

    push @bad, Send::members($r, $quoted->{key}, 'quoted.key', { id => 's!',
        remoteJid => 's', fromMe => 'b', participant => 's' });
    push @bad, bad_value($r, 'id') if ($quoted->{key}{id} // 1) eq '';

    return @bad;
}


# 400 with all that the JSON schema says

sub schema {
    my ($r, @bad) = @_;
    my %text = (missing => 'instance requires property "%s"',
        type => 'instance.%s is not of a type(s) allowed',
        value => 'instance.%s is not one of enum values');
    my @lines = map { sprintf $text{ $_->[0] }, $_->[1] }
        grep { $text{ $_->[0] } } @bad;

    return sub { error($r, 400, 'Bad Request', [ \@lines ]) };
}


sub file {
    my ($r, $m) = @_;
    my $s = $r->{send};
    my $c = $s->{content};
    my $type = $c->{mediatype};
    my $name = $c->{fileName};

    if (defined $type && $type !~ /^(?:image|document|video|audio)$/) {
        return schema($r, bad_value($r, 'mediatype'));
    }

    my $source = $c->{media} // $c->{audio} // $c->{sticker} // $c->{image};
    my $media;

    if ($s->{file}) {
        $media = SendMedia::from_file($s->{file}{file});

        return sub { error($r, 500, 'Internal Server Error',
            "Cannot read properties of undefined (reading 'split')") }
            if ($type // '') eq 'document' && !defined $name
            && !Send::violation($r, 'a document has no fileName');

    } elsif (SendMedia::is_url($source)) {
        Send::violation($r, 'media is no link with http or https')
            unless $source =~ m!^https?://!;
        Send::violation($r, 'a document by link has no fileName')
            if ($type // '') eq 'document' && !defined $name;

        $media = SendMedia::from_link($source, AGENT);

        if ($media->{error}) {
            Send::violation($r, "the link is refused: $media->{error}")
                if $media->{status} >= 400 && $media->{status} < 500;
            return sub { error($r, 500, 'Internal Server Error',
                [ "Error: AxiosError: $media->{error}" ]) };
        }

    } else {
        $media = SendMedia::from_base64($source);

        unless ($media) {
            Send::violation($r, 'media is neither URL nor base64');
            return sub { error($r, 400, 'Bad Request',
                [ 'Owned media must be a url or base64' ]) };
        }

        return sub { error($r, 500, 'Internal Server Error',
            'Maximum call stack size exceeded') }
            if $s->{version} =~ /^2\.3\.[1-6]$/
            && $media->{length} > 3.5 * 1024 * 1024;

        if (($type // '') eq 'document' && !defined $name) {
            Send::violation($r, 'a document as base64 has no fileName');
            return sub { error($r, 400, 'Bad Request',
                [ 'For base64 the file name must be informed.' ]) };
        }
    }

    $m->{media} = $media;
    $media->{file_name} = $name if defined $name;
    $media->{type} = $s->{verb} eq 'sendSticker' ? 'image/webp'
        : $s->{verb} eq 'sendWhatsAppAudio' ? 'audio/ogg; codecs=opus'
        : type_of($r, $c, $media);

    return undef;
}


# the MIME type that WhatsApp gets, and whether it is what the bytes are

sub type_of {
    my ($r, $c, $media) = @_;
    my $named = defined $c->{fileName}
        ? SendMedia::type_of_name($c->{fileName}) : undef;
    my $type = $r->{send}{api} eq 'v1' ? $c->{mimetype} // $named
        : defined $c->{fileName} ? $named // 'false' : $c->{mimetype};

    Send::violation($r, 'fileName has no known extension')
        if defined $c->{fileName} && !$named;
    Send::violation($r, "mimetype $c->{mimetype} is not that of the fileName")
        if defined $c->{mimetype} && $named
        && $c->{mimetype} !~ /^\Q$named\E(?:;|$)/;

    $type //= $media->{magic};

    Send::violation($r, "the bytes of a $type are $media->{magic}")
        if $type ne 'false' && !SendMedia::agrees($type, $media->{magic});
    Send::violation($r, "$type is sent as $c->{mediatype}")
        if $c->{mediatype} ne 'document' && $type !~ m!^\Q$c->{mediatype}\E/!;

    return $type;
}


sub accepted {
    my ($r, $m) = @_;
    my $s = $r->{send};
    my $v1 = $s->{api} eq 'v1';
    my $now = int time;
    my @hex = (0 .. 9, 'A' .. 'F');
    my $jid = $s->{in}{number};

    $jid = Send::whatsapp_number($jid)
        . (length $jid > 17 ? '@g.us' : '@s.whatsapp.net') unless $jid =~ /@/;

    $m->{id} = $s->{in}{messageId}
        // ($v1 ? 'BAE5' . Send::random_of(12, @hex)
        : '3EB0' . Send::random_of(18, @hex));
    $m->{chat} = $jid;
    $m = Send::accept_message($r, $m);

    my $record = record($m);

    delete @$record{qw(id MessageUpdate)};
    $record->{messageTimestamp} = "$now" if $v1;

    return Send::answer($r, 201, $record, 1);
}


# a message as Evolution keeps and tells it

sub record {
    my ($m) = @_;
    my $v1 = $m->{version} =~ /^v?1/;
    my ($type, $message) = message_of($m, $v1);
    my %common = (status => 'PENDING', message => $message,
        key => { remoteJid => $m->{chat}, fromMe => $true, id => $m->{id} },
        messageTimestamp => int $m->{time});

    return \%common if $v1;

    return { %common, id => 'c' . lc($m->{id}), pushName => "Voc\x{ea}",
        contextInfo => $m->{reply_to} ? { stanzaId => $m->{reply_to} } : undef,
        messageType => $type, source => 'web', MessageUpdate => [],
        instanceId => instance_id($m->{instance}) };
}


sub instance_id {
    my $hex = Digest::SHA::sha1_hex(Encode::encode_utf8($_[0]));

    return join '-', $hex =~ /^(.{8})(.{4})(.{4})(.{4})(.{12})/;
}


sub message_of {
    my ($m, $v1) = @_;
    my $context = $m->{reply_to} ? { stanzaId => $m->{reply_to} } : undef;

    if ($m->{kind} eq 'text') {
        return (conversation => { conversation => $m->{text} })
            unless $v1 && $context;
        return (extendedTextMessage => { extendedTextMessage => {
            text => $m->{text}, contextInfo => $context } });
    }

    return (locationMessage => { locationMessage => {
        degreesLatitude => $m->{latitude}, degreesLongitude => $m->{longitude},
        name => $m->{name}, address => $m->{address} } })
        if $m->{kind} eq 'location';

    my $kind = $m->{kind} eq 'voice' ? 'audio' : $m->{kind};
    my $media = $m->{media};
    my $sha = pack 'H*', $media->{sha256};
    my %file = (mimetype => $media->{type},
        url => "https://mmg.whatsapp.net/v/$m->{id}.enc",
        directPath => "/v/$m->{id}.enc");

    if ($v1) {
        $file{fileSha256} = encode_base64($sha, '');
        $file{fileLength} = "$media->{length}";

    } else {
        my @bytes = unpack 'C*', $sha;

        $file{fileSha256} = { map { $_ => $bytes[$_] } 0 .. $#bytes };
        $file{fileLength} = { low => $media->{length}, high => 0,
            unsigned => $true };
    }

    $file{caption} = $m->{text} if length $m->{text};
    $file{fileName} = $media->{file_name}
        if $kind eq 'document' && defined $media->{file_name};
    $file{ptt} = $true if $m->{kind} eq 'voice';

    return ("${kind}Message" => { "${kind}Message" => \%file });
}


sub read_messages {
    my ($r) = @_;
    my $s = $r->{send};
    my $name = $s->{api} eq 'v1' ? 'read_messages' : 'readMessages';
    my @bad = Send::members($r, $s->{in}, 'body', { $name => 'a!' });

    for my $key (@{ $s->{in}{$name} || [] }) {
        push @bad, ref $key eq 'HASH' ? Send::members($r, $key, "$name\[]",
            { id => 's!', remoteJid => 's!', fromMe => 'b!' })
            : bad_value($r, $name);
    }

    push @bad, bad_value($r, $name) unless @{ $s->{in}{$name} || [] };

    return schema($r, @bad)->() if Send::grave(@bad);

    Send::accept_act($r, { ids => [ map { $_->{id} } @{ $s->{in}{$name} } ],
        to => $s->{in}{$name}[0]{remoteJid} });

    return Send::answer($r, 201, { message => 'Read messages',
        read => 'success' });
}


sub presence {
    my ($r) = @_;
    my $s = $r->{send};
    my $in = $s->{in};
    my ($o, @bad) = ($in);

    if ($s->{api} eq 'v1') {
        @bad = Send::members($r, $in, 'body', { number => 's!',
            options => 'o!' });
        $o = ref $in->{options} ? $in->{options} : {};
        push @bad, Send::members($r, $o, 'options', { delay => 'i!',
            presence => 's!' });

    } else {
        @bad = Send::members($r, $in, 'body', { number => 's!',
            presence => 's!', delay => 'n!' });
    }

    push @bad, bad_value($r, 'presence')
        unless $presences{ $o->{presence} // '' };

    return schema($r, @bad)->() if Send::grave(@bad);

    Send::accept_act($r, { to => $in->{number}, presence => $o->{presence},
        delay => $o->{delay} });
    sleep $o->{delay} / 1000 if $o->{delay} > 0;

    return Send::answer($r, 201, { presence => $o->{presence} });
}


sub find {
    my ($r, $config) = @_;
    my $s = $r->{send};
    my $in = $s->{in};
    my @bad = Send::members($r, $in, 'body', { where => 'o', page => 'i',
        offset => 'i' });
    my $where = ref $in->{where} ? $in->{where} : {};

    push @bad, Send::members($r, $where, 'where', { key => 'o',
        messageType => 's', messageTimestamp => 'o' });

    my $key = ref $where->{key} ? $where->{key} : {};

    push @bad, Send::members($r, $key, 'where.key', { id => 's',
        remoteJid => 's', fromMe => 'b', participant => 's' });

    return schema($r, @bad)->() if Send::grave(@bad);

    # fromMe: false is not applied, and all that is known here was sent
    my @found = grep { $_->{instance} eq $s->{instance}
        && $_->{provider} eq 'evolution'
        && $_->{chat} eq ($key->{remoteJid} // $_->{chat})
        && $_->{id} eq ($key->{id} // $_->{id})
        && within($_, $where->{messageTimestamp}) }
        $config->{no_database} ? () : Send::lines('sends', $key->{id} // '');
    my @records = map { record($_) } sort { $b->{time} <=> $a->{time} } @found;

    @records = grep { $_->{messageType} eq $where->{messageType} } @records
        if defined $where->{messageType};

    return Send::answer($r, 200, \@records) if $s->{api} eq 'v1';

    my $size = $in->{offset} || 50;
    my $page = $in->{page} || 1;
    my $pages = int((@records + $size - 1) / $size);
    my $total = @records;

    splice @records, 0, ($page - 1) * $size if $page > 1;
    splice @records, $size if @records > $size;

    return Send::answer($r, 200, { messages => { total => $total,
        pages => $pages, currentPage => $page, records => \@records } });
}


sub within {
    my ($m, $range) = @_;

    return 1 unless ref $range;

    my @t = gmtime $m->{time};
    my $iso = sprintf '%04d-%02d-%02dT%02d:%02d:%02d', $t[5] + 1900,
        $t[4] + 1, @t[3, 2, 1, 0];

    return $iso ge substr($range->{gte} // '', 0, 19)
        && $iso le substr($range->{lte} // '9999', 0, 19);
}


sub error {
    my ($r, $status, $error, $message) = @_;

    return Send::answer($r, $status, { status => $status, error => $error,
        response => { message => $message } });
}


# body-parser's own errors

sub body_error {
    my ($r, $status, $text) = @_;

    return error($r, $status, 'Internal Server Error', $text);
}


sub refuse {
    my ($class, $r, $f) = @_;
    my $number = $r->{send}{to} // '';

    return error($r, 400, 'Bad Request', [ $f->{message}
        // 'Error: Media upload failed on all hosts' ])
        if $f->{fault} eq 'transport';
    return error($r, 400, 'Bad Request', [ { jid =>
        "$number\@s.whatsapp.net", exists => $false, number => $number } ])
        if $f->{fault} eq 'no-whatsapp';

    my %error = (400 => [ 'Bad Request', [ 'Bad Request' ] ],
        401 => [ 'Unauthorized', 'Unauthorized' ],
        403 => [ 'Forbidden', [ 'Forbidden' ] ],
        404 => [ 'Not Found', [ 'The "' . $r->{send}{instance}
            . '" instance does not exist' ] ],
        413 => [ 'Internal Server Error', 'request entity too large' ],
        429 => [ 'Too Many Requests', 'Too Many Requests' ],
        500 => [ 'Internal Server Error', 'Connection Closed' ]);
    my $status = $f->{fault} =~ /^\d+$/ ? $f->{fault} : 500;
    my $e = $error{$status} || [ 'Error', 'Error' ];
    my @retry = defined $f->{retry_after}
        ? "Retry-After: $f->{retry_after}" : ();

    return Send::answer($r, $status, { status => $status + 0, error => $e->[0],
        response => { message => $e->[1] } }, 0, @retry);
}


1;
