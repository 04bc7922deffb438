package SendCloudapi;

# Copyright (C) ngx_media contributors

# WhatsApp Cloud API, as far as it sends and takes media.

use strict;
use warnings;

use Encode ();
use File::Copy qw(move);
use JSON::PP;
use MIME::Base64;
use Time::HiRes qw(time);

use constant AGENT => 'facebookexternalua';
use constant MEDIA_LIFE => 30 * 86400;
use constant MB => 1024 * 1024;

my $json = JSON::PP->new->canonical->ascii;

# by the base type of an upload: what it can be sent as, and its limit
my %uploads = (
    (map { $_ => [ 'audio', 16 * MB ] } qw(audio/aac audio/amr audio/mpeg
        audio/mp4 audio/ogg)),
    (map { $_ => [ 'image', 5 * MB ] } qw(image/jpeg image/png)),
    (map { $_ => [ 'video', 16 * MB ] } qw(video/mp4 video/3gpp)),
    'image/webp' => [ 'sticker', 500 * 1024 ],
);
my $document = [ 'document', 100 * MB ];

my %objects = (
    text => { body => 's!', preview_url => 'b' },
    image => { id => 's', link => 's', caption => 's' },
    video => { id => 's', link => 's', caption => 's' },
    audio => { id => 's', link => 's', voice => 'b' },
    document => { id => 's', link => 's', caption => 's', filename => 's' },
    sticker => { id => 's', link => 's' },
    location => { latitude => 'n!', longitude => 'n!', name => 's',
        address => 's' },
    reaction => { message_id => 's!', emoji => 's' },
);

my %http = (0 => 401, 190 => 401, 2 => 503, 4 => 400, 3 => 403, 10 => 403,
    368 => 403, 613 => 429, 130429 => 429, 131005 => 403, 131031 => 403,
    131000 => 500, 131016 => 503, 133004 => 503, 131056 => 400,
    132001 => 404, 131057 => 500);

my %text = (0 => 'AuthException', 1 => 'API Unknown', 2 => 'API Service',
    3 => 'API Method', 4 => 'API Too Many Calls', 10 => 'Permission Denied',
    33 => 'Parameter value is not valid', 100 => 'Invalid parameter',
    190 => 'Access token has expired', 368 =>
    'Temporarily blocked for policies violations', 613 =>
    'Calls to this api have exceeded the rate limit.', 80007 =>
    'Rate limit issues', 130429 => 'Rate limit hit', 130472 =>
    "User's number is part of an experiment", 130497 =>
    'Business account is restricted from messaging users in this country.',
    131000 => 'Something went wrong', 131005 => 'Access denied', 131008 =>
    'Required parameter is missing', 131009 => 'Parameter value is not valid',
    131016 => 'Service unavailable', 131021 =>
    'Recipient cannot be sender', 131026 => 'Message undeliverable', 131030 =>
    'Recipient phone number not in allowed list', 131031 =>
    'Business Account locked', 131037 => 'Display name needs approval',
    131042 => 'Business eligibility payment issue', 131045 =>
    'Incorrect certificate', 131047 => 'Re-engagement message', 131048 =>
    'Spam rate limit hit', 131049 => 'This message was not delivered to '
    . 'maintain healthy ecosystem engagement.', 131050 =>
    'User has stopped receiving marketing messages', 131051 =>
    'Unsupported message type', 131052 => 'Media download error', 131053 =>
    'Media upload error', 131056 =>
    '(Business Account, Consumer Account) pair rate limit hit', 131057 =>
    'Account in maintenance mode', 131062 => 'Business-scoped user id is not '
    . 'allowed', 133004 => 'Server Temporarily Unavailable', 133010 =>
    'Phone number not registered', 133016 =>
    'Account register or deregister rate limit exceeded', 135000 =>
    'Generic user error');


sub content_type { return 'application/json; charset=UTF-8' }

sub error_text { return $text{ $_[0] } // 'Something went wrong' }


sub match {
    my ($method, $path, $args) = @_;

    return undef unless $path =~ m!^/v\d+\.\d+/([\w-]+)(?:/(messages|media))?$!;

    my ($id, $edge) = ($1, $2 // '');
    my %s = (module => __PACKAGE__, provider => 'cloudapi', version => 'v23.0');

    return { %s, op => 'upload', instance => $id } if $edge eq 'media';
    return { %s, op => 'send', instance => $id, late => 1 } if $edge;

    # an inbound media id is none of ours
    return undef unless $id =~ /^\d+$/ && -e meta_file($id)
        || $method eq 'DELETE';

    return { %s, op => 'media', media => $id,
        instance => $args->{phone_number_id} // '' };
}


sub recipient {
    my ($class, $in, $s) = @_;
    my $to = $in->{to};

    $s->{op} = 'read' if $s->{op} eq 'send' && exists $in->{status};

    return undef if !defined $to || ref $to;
    $to =~ s/^\+//;
    return $to;
}


sub handle {
    my ($class, $r) = @_;
    my $s = $r->{send};
    my $config = Send::instance($s->{instance});
    my $token = ($r->{headers}{authorization} // '') =~ /^Bearer (\S+)$/
        ? $1 : undef;

    Send::violation($r, 'Authorization is no Bearer') unless defined $token;

    return error($r, 401, 190, 'Invalid OAuth access token - Cannot parse '
        . 'access token') if main::bad_token($token)
        || defined $config->{token} && $token ne $config->{token};

    return media($r) if $s->{op} eq 'media';

    Send::violation($r, 'query parameters are given') if %{ $r->{args} };

    unless ($r->{method} eq 'POST') {
        Send::violation($r, 'method is not POST');
        return error($r, 400, 100, 'Unsupported get request.', 33);
    }

    return error($r, 400, 100, "Unsupported post request. Object with ID '"
        . "$s->{instance}' does not exist, cannot be loaded due to missing "
        . 'permissions, or does not support this operation', 33)
        if $config->{absent};

    return upload($r) if $s->{op} eq 'upload';
    return message($r, $config);
}


sub error {
    my ($r, $status, $code, $message, $subcode, $details, @headers) = @_;

    return Send::answer($r, $status, { error => { message => $message,
        type => 'OAuthException', code => $code + 0, fbtrace_id =>
        Send::random_of(23, 'A' .. 'Z', 'a' .. 'z', 0 .. 9),
        $subcode ? (error_subcode => $subcode) : (),
        defined $details ? (error_data => { messaging_product => 'whatsapp',
            details => $details }) : () } }, 0, @headers);
}


# 400 with a violation

sub wrong {
    my ($r, $code, $details) = @_;

    Send::violation($r, $details);
    return error($r, 400, $code, "(#$code) " . error_text($code), undef,
        $details);
}


#
# media
#

sub meta_file { return "$Send::dir/media/$_[0]" }


sub meta {
    my ($id) = @_;

    return undef unless -e meta_file($id);

    my $meta = $json->decode(main::slurp(meta_file($id)));

    return $meta->{time} + MEDIA_LIFE < time ? undef : $meta;
}


sub save_meta {
    my ($id, $meta) = @_;

    open my $f, '>', meta_file($id) . ".$$" or die "media: $!\n";
    print $f $json->encode($meta);
    close $f;
    rename meta_file($id) . ".$$", meta_file($id);
}


# makes uploads, or one, as old as those that are forgotten

sub expire {
    my ($id) = @_;

    for my $file (defined $id ? meta_file($id) : glob meta_file('*')) {
        next if $file =~ /\.bytes$/ || !-e $file;

        my $meta = $json->decode(main::slurp($file));

        $meta->{time} -= MEDIA_LIFE + 1;
        save_meta($file =~ m!([^/]+)$!, $meta);
    }
}


sub upload {
    my ($r) = @_;
    my $s = $r->{send};
    my $type = $r->{headers}{'content-type'} // '';
    my $parts = $type =~ m!^multipart/form-data;!
        ? SendBody::multipart($r->{spool}, $type) : undef;

    return wrong($r, 100, 'the body is no multipart/form-data')
        unless $parts;

    my %part;

    for my $part (@$parts) {
        Send::violation($r, "form has unknown member \"$part->{name}\"")
            unless $part->{name} =~ /^(?:messaging_product|type|file)$/;
        Send::violation($r, "form has \"$part->{name}\" twice")
            if $part{ $part->{name} };
        $part{ $part->{name} } = $part;
    }

    return wrong($r, 100, 'The parameter messaging_product is required.')
        unless $part{messaging_product}
        && $part{messaging_product}{value} eq 'whatsapp';
    return wrong($r, 100, 'The parameter file is required.')
        unless $part{file} && $part{file}{file};
    return wrong($r, 100, 'The parameter type is required.')
        unless $part{type} && length($part{type}{value} // '');

    return accept_upload($r, $part{file}, $part{type}{value});
}


sub accept_upload {
    my ($r, $part, $type) = @_;
    my $base = lc $type;

    $base =~ s/\s*;.*//;

    my ($kind, $max) = @{ $uploads{$base} || $document };

    return wrong($r, 100, "Param file has type $part->{type}, not $type")
        if lc $part->{type} ne lc $type;
    return wrong($r, 100, "Param file must be a file with one of the "
        . "following types, not $type") if $kind eq 'document'
        && $base =~ m!^(?:image|audio|video)/!;
    return wrong($r, 131053, "File is larger than $max bytes of a $kind")
        if $part->{size} > $max;
    return wrong($r, 131053, 'File is empty') unless $part->{size};

    my $media = SendMedia::from_file($part->{file}, type => $type,
        file_name => $part->{filename});

    return wrong($r, 131053, "the bytes of a $type are $media->{magic}")
        unless SendMedia::agrees($type, $media->{magic});

    my $id = Send::random_of(1, 1 .. 9) . Send::random_of(15, 0 .. 9);

    move($part->{file}, meta_file($id) . '.bytes')
        or die "media: $!\n";
    save_meta($id, { media => $media, time => time,
        instance => $r->{send}{instance} });
    Send::accept_act($r, { id => $id, media => $media });

    return Send::answer($r, 200, { id => $id });
}


sub media {
    my ($r) = @_;
    my $s = $r->{send};
    my $meta = meta($s->{media});
    my $restricted = $r->{args}{phone_number_id};

    for my $name (keys %{ $r->{args} }) {
        Send::violation($r, "query has unknown member \"$name\"")
            unless $name eq 'phone_number_id';
    }

    return no_object($r, $s->{media}) if !$meta
        || defined $restricted && $meta->{instance} ne $restricted;

    if ($r->{method} eq 'DELETE') {
        unlink meta_file($s->{media}), meta_file($s->{media}) . '.bytes';
        return Send::answer($r, 200, { success => JSON::PP::true });
    }

    return wrong($r, 100, 'method is neither GET nor DELETE')
        unless $r->{method} eq 'GET';

    my $host = $r->{headers}{host};

    return Send::answer($r, 200, { messaging_product => 'whatsapp',
        url => "http://$host/whatsapp_business/attachments/?mid=$s->{media}"
            . '&ext=' . int(time + 300) . '&hash=simulated',
        id => $s->{media}, mime_type => $meta->{media}{type},
        sha256 => $meta->{media}{sha256},
        file_size => $meta->{media}{length} });
}


# for the attachment URL: { file, mimetype } as of inbound media

sub attachment {
    my ($id) = @_;

    return undef unless $id =~ /^\d+$/;

    my $meta = meta($id) or return undef;

    return { file => meta_file($id) . '.bytes',
        mimetype => $meta->{media}{type} };
}


sub no_object {
    my ($r, $id) = @_;

    return error($r, 400, 100, "Unsupported request. Object with ID '$id' does "
        . 'not exist, cannot be loaded due to missing permissions, or does '
        . 'not support this operation', 33);
}


#
# messages
#

sub message {
    my ($r, $config) = @_;
    my $s = $r->{send};
    my $in = $s->{in};
    my $type = $r->{headers}{'content-type'} // '';

    return wrong($r, 100, "Content-Type is \"$type\"")
        unless $type =~ m!^application/json(?:; ?charset=utf-8)?$!i;
    return wrong($r, 100, 'body is no JSON object: ' . ($r->{json_error} // ''))
        unless ref $in eq 'HASH';
    return read_message($r) if exists $in->{status};

    my $kind = $in->{type};

    return wrong($r, 100, 'type is none of a message')
        if !defined $kind || ref $kind || !$objects{$kind};

    my @bad = Send::members($r, $in, 'body', { messaging_product => 's!',
        recipient_type => 's', to => 's!', type => 's!', $kind => 'o!',
        context => 'o', biz_opaque_callback_data => 's' });
    my $o = ref $in->{$kind} eq 'HASH' ? $in->{$kind} : {};

    push @bad, Send::members($r, $o, $kind, $objects{$kind});
    push @bad, Send::members($r, $in->{context}, 'context',
        { message_id => 's!' }) if ref $in->{context};

    return bad_member($r, $kind, $bad[0]) if @bad;
    return wrong($r, 100, 'messaging_product is not whatsapp')
        if $in->{messaging_product} ne 'whatsapp';
    return wrong($r, 100, 'recipient_type is not individual')
        if ($in->{recipient_type} // 'individual') ne 'individual';
    return wrong($r, 131009, 'to is no phone number')
        unless $in->{to} =~ /^\+?\d{8,15}$/;
    return wrong($r, 131009, 'context.message_id is no wamid')
        if $in->{context} && $in->{context}{message_id} !~ /^wamid\.\S+$/;
    return wrong($r, 131009, 'biz_opaque_callback_data is longer than 512')
        if length($in->{biz_opaque_callback_data} // '') > 512;

    my %m = (kind => $kind, text => $o->{body} // $o->{caption} // '',
        reply_to => $in->{context}{message_id},
        callback => $in->{biz_opaque_callback_data},
        chat => Send::whatsapp_number($s->{to}));
    my $refused = content($r, $config, \%m, $o);

    return $refused->() if $refused;
    return accepted($r, \%m);
}


sub bad_member {
    my ($r, $kind, $bad) = @_;
    my ($what, $name) = @$bad;
    my %text = (missing => "The parameter $name is required.",
        unknown => "Invalid keys \"$name\" were found in param \"$kind\".",
        type => "Param $name has a wrong type");

    return error($r, 400, 100, "(#100) $text{$what}", undef, $text{$what});
}


sub content {
    my ($r, $config, $m, $o) = @_;
    my $kind = $m->{kind};

    if ($kind eq 'text') {
        return sub { wrong($r, 100, 'text.body has not 1 to 4096 characters') }
            if length $o->{body} < 1 || length $o->{body} > 4096;
        return undef;
    }

    if ($kind eq 'location') {
        $m->{$_} = $o->{$_} for qw(latitude longitude name address);
        return sub { wrong($r, 131009, 'location is none on Earth') }
            if abs $o->{latitude} > 90 || abs $o->{longitude} > 180;
        return undef;
    }

    if ($kind eq 'reaction') {
        $m->{text} = $o->{emoji} // '';
        $m->{reply_to} = $o->{message_id};
        return undef;
    }

    return sub { wrong($r, 131009, 'caption is longer than 1024') }
        if length($o->{caption} // '') > 1024;
    return sub { wrong($r, 131009, "$kind needs one of id and link") }
        unless defined $o->{id} xor defined $o->{link};

    $m->{kind} = 'voice' if $o->{voice};

    return linked($r, $m, $o, $kind) if defined $o->{link};

    my $meta = $o->{id} =~ /^\d+$/ ? meta($o->{id}) : undef;

    unless ($meta && $meta->{instance} eq $r->{send}{instance}) {
        my $code = $config->{unknown_media} // 100;

        return sub { no_object($r, $o->{id}) } if $code == 100;
        return sub { error($r, 400, $code, "(#$code) " . error_text($code),
            undef, 'Media ID is not valid') };
    }

    $m->{media} = { %{ $meta->{media} }, by => 'id', media_id => $o->{id},
        file_name => $o->{filename} };

    return suits($r, $m, $kind);
}


sub linked {
    my ($r, $m, $o, $kind) = @_;

    return sub { wrong($r, 131009, 'link is no URL') }
        unless SendMedia::is_url($o->{link}) && $o->{link} =~ m!^https?://!;

    $m->{media} = SendMedia::from_link($o->{link}, AGENT);

    # it is told later, by a status "failed"
    if ($m->{media}{error}) {
        $m->{failed} = 131053;
        return undef;
    }

    $m->{media}{type} = $m->{media}{header_type};
    $m->{media}{file_name} = $o->{filename};

    return suits($r, $m, $kind);
}


# whether a file can be sent as such

sub suits {
    my ($r, $m, $kind) = @_;
    my $f = $m->{media};
    my $base = lc $f->{type};

    $base =~ s/\s*;.*//;

    my ($can, $max) = @{ $uploads{$base} || $document };
    my $bad = sub {
        my ($text) = @_;

        return sub { wrong($r, 131009, $text) };
    };

    return $bad->("$f->{type} is sent as $kind")
        if $kind ne 'document' && $can ne $kind;
    return $bad->("a $kind has more than $max bytes")
        if $kind ne 'document' && $f->{length} > $max;
    return $bad->('the image has not 8 bit RGB or RGBA')
        if $kind eq 'image' && !$f->{rgb8};

    return $bad->('a voice note is not Ogg with Opus, mono')
        if $m->{kind} eq 'voice' && ($base ne 'audio/ogg'
        || ($f->{codec} // '') ne 'opus' || $f->{channels} != 1);
    return $bad->('Ogg is not Opus, mono') if $base eq 'audio/ogg'
        && $kind eq 'audio' && (($f->{codec} // '') ne 'opus'
        || $f->{channels} != 1);

    if ($kind eq 'sticker') {
        return $bad->('the sticker is not 512x512')
            if ($f->{width} // 0) != 512 || ($f->{height} // 0) != 512;
        return $bad->('a static sticker has more than 100 KB')
            if !$f->{animated} && $f->{length} > 100 * 1024;
    }

    return undef;
}


sub accepted {
    my ($r, $m) = @_;
    my $s = $r->{send};
    my $digits = $m->{chat};

    $m->{id} = 'wamid.' . encode_base64("\x1c\x18" . chr(length $digits)
        . $digits . "\x15\x02\0\x11\x18\x12"
        . Send::random_of(18, 0 .. 9, 'A' .. 'F') . "\0", '');
    Send::accept_message($r, $m);

    return Send::answer($r, 200, { messaging_product => 'whatsapp',
        contacts => [ { input => $s->{in}{to}, wa_id => $digits } ],
        messages => [ { id => $m->{id} } ] }, 1);
}


sub read_message {
    my ($r) = @_;
    my $s = $r->{send};
    my $in = $s->{in};
    my $typing = $in->{typing_indicator};

    my @bad = Send::members($r, $in, 'body', { messaging_product => 's!',
        status => 's!', message_id => 's!', typing_indicator => 'o' });

    push @bad, Send::members($r, $typing, 'typing_indicator', { type => 's!' })
        if ref $typing;

    return bad_member($r, 'body', $bad[0]) if @bad;
    return wrong($r, 100, 'messaging_product is not whatsapp')
        if $in->{messaging_product} ne 'whatsapp';
    return wrong($r, 131009, 'status is not read') if $in->{status} ne 'read';
    return wrong($r, 131009, 'message_id is no wamid')
        unless $in->{message_id} =~ /^wamid\.\S+$/;
    return wrong($r, 131009, 'typing_indicator.type is not text')
        if $typing && $typing->{type} ne 'text';

    Send::accept_act($r, { ids => [ $in->{message_id} ] });

    if ($typing) {
        $s->{op} = 'typing';
        Send::accept_act($r, { ids => [ $in->{message_id} ],
            presence => $typing->{type} });
    }

    return Send::answer($r, 200, { success => JSON::PP::true });
}


# a provider's error by its code, or by its HTTP status

sub refuse {
    my ($class, $r, $f) = @_;
    my %by_status = (401 => 190, 403 => 10, 404 => 132001, 413 => 131053,
        429 => 130429, 500 => 131000);
    my $code = $f->{code} // $by_status{ $f->{fault} } // 131000;
    my $status = $f->{fault} =~ /^\d+$/ ? $f->{fault}
        : $f->{status} // $http{$code} // ($code >= 200 && $code < 300
        ? 403 : 400);
    my $subcode = $f->{subcode} // ($code == 33 ? 33 : undef);

    # 413 comes from what stands before Graph
    return Send::answer($r, 413, "<html><title>413</title></html>\n")
        if $status == 413;

    # as some were seen
    return Send::answer($r, $status, { error => { code => $code + 0,
        message => "(#$code) " . error_text($code) } }) if $f->{bare};

    return error($r, $status, $code, $f->{message}
        // "(#$code) " . error_text($code), $subcode,
        $f->{details} // error_text($code), defined $f->{retry_after}
        ? "Retry-After: $f->{retry_after}" : ());
}


1;
