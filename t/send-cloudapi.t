#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# Sends by the Cloud API: the exact bodies, files uploaded once and sent by
# their ids, and what each error means.

use strict;
use warnings;
use utf8;

use lib 't/lib';

use E2E qw(slurp sql);
use JSON::PP;
use SendRun;
use Test::More;

run_or_skip();

my $json = JSON::PP->new->utf8;
my $chat = '5511987654321';
my $i = account('cloudapi');

$ENV{MEDIA_DOWNLOAD_TIMEOUT} = '1s';

sub sample { return slurp("t/data/payloads/cloudapi/$_[0].json") }
sub answered_json {
    return answered($_[0], $_[1], 'Content-Type' => 'application/json');
}

my $id = 'wamid.HBgMOTEwNTY5NjM4NzM0FQIAERgSODMxNTJCQ0EwOTA1MjEzQUQ2AA==';
my $ok = answered_json(200, sample('real_send_200'));
my $uploaded = answered_json(200,
    sample('meta_openapi_resp_upload_image_json'));
my $media = '4490709327384033';
my %object = (
    image => ['image/jpeg', 'férias.png'], video => ['video/mp4', 'a.mp4'],
    audio => ['audio/mpeg', 'a.mp3'], voice => ['audio/ogg; codecs=opus', ''],
    document => ['application/pdf', 'relatório'],
    sticker => ['image/webp', 'a.webp'],
);

# kind, members, the object of its type

my @cases = (
    ['text', { text => "Olá \"José\"\n😀" },
        { body => "Olá \"José\"\n😀", preview_url => JSON::PP::true }],
    ['location', { latitude => '-23.5', longitude => '-46.75' },
        { latitude => -23.5, longitude => -46.75 }],
    ['location', { latitude => '-23.5', longitude => '-46.75',
        place_name => 'Praça', place_address => 'Av. 1' },
        { latitude => -23.5, longitude => -46.75, name => 'Praça',
            address => 'Av. 1' }],
    ['image', { text => 'é' }, { id => $media, caption => 'é' }],
    ['video', {}, { id => $media }],
    ['audio', { text => 'é' }, { id => $media }],
    ['voice', {}, { id => $media, voice => JSON::PP::true }],
    ['document', { text => 'é' }, { id => $media, caption => 'é',
        filename => 'relatório.pdf' }],
    ['sticker', {}, { id => $media }],
);

for my $case (@cases) {
    my ($kind, $members, $object) = @$case;
    my $bytes = "bytes\r\n--of a $kind" . "\0\xff" x 20_000;
    my %file = $object{$kind} ? put_object($bytes, @{ $object{$kind} }) : ();
    my $s = one_send($i, $kind, %$members, %file);
    my ($result, @requests) = exchange('send', $s, %file ? $uploaded : (),
        $ok);
    my $type = $kind eq 'voice' ? 'audio' : $kind;
    my $r = $requests[-1];

    is("$result->{result} $result->{provider_id}", "accepted $id", $kind)
        or diag explain $result;
    is_deeply($json->decode($r->{body}), { messaging_product => 'whatsapp',
        recipient_type => 'individual', to => $chat, type => $type,
        biz_opaque_callback_data => $s->{id}, $type => $object }, 'the body')
        or diag $r->{body};
    is("$r->{method} $r->{target}", "POST /v23.0/$i->{name}/messages", 'path');
    is($r->{headers}{authorization}, 'Bearer a-secret-token-of-this-test',
        'the token');

    next if !%file;

    is(scalar @requests, 2, 'two requests');
    upload_is($requests[0], $bytes, $object{$kind}[0], $kind);

    ($result, @requests) = exchange('send', one_send($i, $kind, %$members,
        %file), $ok);
    is("$result->{result} " . @requests, 'accepted 1', 'its id is kept');
    is($json->decode($requests[0]{body})->{$type}{id}, $media, 'and used');
}

sub upload_is {
    my ($r, $bytes, $type, $name) = @_;
    my ($boundary) = ($r->{headers}{'content-type'} // '')
        =~ m{^multipart/form-data; boundary=(\w+)$};

    is("$r->{method} $r->{target}", "POST /v23.0/$i->{name}/media", 'path');
    ok(defined $boundary, 'a boundary') or return;
    ok($r->{body} =~ s/\r\n--$boundary--\r\n\z//, 'the end');

    my (undef, @parts) = split /(?:\A|\r\n)--$boundary\r\n/, $r->{body};
    my @heads = map { (split /\r\n\r\n/, $_, 2)[0] } @parts;
    my @bodies = map { (split /\r\n\r\n/, $_, 2)[1] } @parts;

    is_deeply([@heads[0, 1]], [map {
        qq{Content-Disposition: form-data; name="$_"} }
        qw(messaging_product type)], 'the fields');
    is_deeply([@bodies[0, 1]], ['whatsapp', $type], 'their values');
    like($heads[2], qr{^Content-Disposition:[ ]form-data;[ ]name="file";[ ]
        filename="[\w.-]+"\r\nContent-Type:[ ]\Q$type\E$}x, 'the file');
    ok($bodies[2] eq $bytes, "the bytes of the $name");
}

# replies, groups, and people without a phone number

for my $case (
    [{ reply_id => 'wamid.X/+=' }, { context => { message_id =>
        'wamid.X/+=' }, to => $chat, recipient_type => 'individual' }],
    [{ reply_id => 'send:1' }, { to => $chat,
        recipient_type => 'individual' }],
    [{ chat => 'BR.13491208655302741918' }, { recipient =>
        'BR.13491208655302741918', recipient_type => 'individual' }],
    [{ chat => 'group-1', is_group => 1 }, { to => 'group-1',
        recipient_type => 'group' }],
) {
    my ($members, $expected) = @$case;
    my $s = one_send($i, 'text', text => 'x', %$members);
    my (undef, $r) = exchange('send', $s, $ok);

    is_deeply($json->decode($r->{body}), { messaging_product => 'whatsapp',
        type => 'text', biz_opaque_callback_data => $s->{id}, %$expected,
        text => { body => 'x', preview_url => JSON::PP::true } },
        'the recipient');
}

# Meta's own samples have the same members, but for those of the ledger

for my $case (['send_text_message', 'text', text => 'x'],
    ['send_reply_to_text_message', 'text', text => 'x', reply_id => 'a'],
    ['send_image_message_by_id', 'image'],
    ['send_audio_message_by_id', 'audio'],
    ['send_sticker_message_by_id', 'sticker'])
{
    my ($name, $kind, %members) = @$case;
    my $expected = $json->decode(sample("meta_openapi_req_$name"));
    my (undef, @requests) = exchange('send', one_send($i, $kind, %members,
        $object{$kind} ? put_object('x', @{ $object{$kind} }) : ()),
        $object{$kind} ? $uploaded : (), $ok);
    my $body = $json->decode($requests[-1]{body});

    delete $body->{biz_opaque_callback_data};
    is_deeply([sort keys %$body], [sort keys %$expected], $name);
    is_deeply([sort keys %{ $body->{$kind} }],
        [sort keys %{ $expected->{$kind} }], "its $kind");
}

# texts that are too long are refused here

for my $case (['text', 4096, 1], ['text', 4097, 0], ['image', 1024, 1],
    ['image', 1025, 0])
{
    my ($kind, $n, $fits) = @$case;
    my ($result, @requests) = exchange('send', one_send($i, $kind,
        text => 'é' x $n, $kind eq 'image'
        ? put_object('x', @{ $object{image} }) : ()),
        $kind eq 'image' ? $uploaded : (), $ok);

    is("$result->{result} $result->{error_code}", $fits ? 'accepted '
        : 'failed text_too_long', "$kind of $n characters");
    is(scalar @requests, 0, 'nothing was sent') if !$fits;
}

# errors: code, attempt, result, scope, wait

sub graph_error {
    my ($code, %opt) = @_;

    return answered($opt{status} // 400, { error => { message =>
        "(#$code) " . ($opt{message} // 'Something'),
        type => 'OAuthException', code => $code, fbtrace_id => 'A',
        $opt{details} ? (error_data => { messaging_product => 'whatsapp',
            details => $opt{details} }) : (),
        $opt{subcode} ? (error_subcode => $opt{subcode}) : (),
        $opt{transient} ? (is_transient => JSON::PP::true) : () } },
        $opt{wait} ? ('Retry-After' => $opt{wait}) : ());
}

my %means;

$means{$_} = 'stop number 0' for 0, 3, 10, 190, 200, 210, 299, 368, 131005,
    131031, 131037, 131042, 131045, 133010;
$means{$_} = 'retry number 0' for 2, 4, 613, 80007, 130429, 131016, 131057,
    133004, 133016;
$means{$_} = 'retry none 0' for 1, 131000, 131052, 131053, 135000;
$means{$_} = 'failed none 0' for 33, 100, 130472, 130497, 131008, 131009,
    131021, 131026, 131030, 131047, 131049, 131050, 131051, 131062, 132000,
    132001, 132005, 132007, 132012, 132015, 132016, 132018, 132068, 132069,
    199, 300, 999999;
$means{131048} = 'retry number 3600';
$means{131056} = 'retry pair 1';

for my $code (sort { $a <=> $b } keys %means) {
    my ($result, @requests) = exchange('send', one_send($i, 'text',
        text => 'a private text'), graph_error($code));

    is("$result->{result} $result->{scope} $result->{retry_after}",
        $means{$code}, "error $code") or diag $result->{error};
    is($result->{error_code}, $code, 'its code');
    like($result->{error}, $code == 0 || $code == 190
        ? qr/^\w.{14,} \(error $code\)$/
        : qr/^\w.{14,} \(error $code: Something\)$/, 'a text for people');
    is(scalar @requests, 1, 'one request');
}

for my $case (
    [graph_error(131056), 4, 'retry pair 64'],
    [graph_error(131056), 60, 'retry pair 4096'],
    [graph_error(131056, wait => 9), 4, 'retry pair 9'],
    [graph_error(131048, wait => 9), 1, 'retry number 9'],
    [graph_error(130429, wait => 9, status => 429), 1, 'retry number 9'],
    [graph_error(131053), 2, 'failed none 0'],
    [graph_error(135000), 2, 'failed none 0'],
    [graph_error(999999, status => 500), 1, 'retry none 0'],
    [graph_error(999999, transient => 1), 1, 'retry none 0'],
    [graph_error(403, status => 403), 1, 'stop number 0'],
    [graph_error(999999, status => 429, wait => 3), 1, 'retry number 3'],
    [graph_error(100, subcode => 33, message => 'Unsupported post request. '
        . 'Object with ID 1 does not exist'), 1, 'stop number 0'],
    map({ [answered_json($_->[0], sample($_->[1])), 1, $_->[2]] }
        [404, 'err_132001_template_missing_http404', 'failed none 0'],
        [400, 'err_131009_with_subcode', 'failed none 0'],
        [503, 'err_2_transient_no_error_data', 'retry number 0'],
        [403, 'err_131056_pair_rate', 'retry pair 1'],
        [403, 'err_130429_rate', 'retry number 0'],
        [400, 'err_131053_media_upload', 'retry none 0'],
        [401, 'meta_openapi_err401_invalid_access_token', 'stop number 0'],
        [403, 'meta_openapi_err403_insufficient_permissions',
            'stop number 0'],
        [500, 'meta_openapi_err500_internal_server_error',
            'retry number 0']),
) {
    my ($answer, $attempts, $expected) = @$case;
    my ($result) = exchange('send', one_send($i, 'text', text => 'x',
        attempts => $attempts), $answer);

    is("$result->{result} $result->{scope} $result->{retry_after}", $expected,
        "error $result->{error_code}, attempt $attempts")
        or diag $result->{error};
}

for my $case (
    ['Invalid buttons count', qr/\(error 131009: Invalid buttons count\)$/],
    ["to $chat, 12345 and 1234", qr/\(error 131009\)$/],
    ['to 551187654321, 12345 and 1234', qr/: to \*\*\*, \*\*\* and 1234\)$/],
    ["has 'a private text'", qr/\(error 131009\)$/],
    ['é' x 300, qr/: é{100,127}\)$/],
) {
    my ($result) = exchange('send', one_send($i, 'text',
        text => 'a private text'), graph_error(131009,
        details => $case->[0]));

    like($result->{error}, $case->[1], 'the words of Meta');
}

my $html = '<html><body>nginx</body></html>';

for my $case (
    [answered(404, $html), 'stop number http_404'],
    map({ [answered($_, $html), "unknown none http_$_"] } 500, 502, 503, 504),
    [answered(200, {}), 'unknown none no_id'],
    [answered(200, { messages => [] }), 'unknown none no_id'],
    [answered(200, { id => 'x', messages => { wa_id => '1' } }),
        'unknown none no_id'],
    [answered(200, $html), 'unknown none no_answer'],
    map({ [[$_], 'unknown none no_answer'] } qw(early reset close hang)),
) {
    my ($result, @requests) = exchange('send', one_send($i, 'text',
        text => 'x'), $case->[0]);

    is("$result->{result} $result->{scope} $result->{error_code}", $case->[1],
        'an answer that is not the API\'s');
    is(scalar @requests, 1, 'one request');
}

# ids that Meta no longer knows are made anew, once

sub kept {
    my ($s) = @_;

    return join ' ', map { @$_ } sql('SELECT media_id, expires_at BETWEEN '
        . "now() + interval '28 days 23 hours' AND now() + interval '29 days'"
        . " FROM media.provider_media WHERE object_key = '$s->{file_key}'");
}

for my $error (graph_error(100, subcode => 33), graph_error(131009),
    graph_error(33), graph_error(131053), graph_error(100, subcode => 33,
    message => 'Unsupported post request. Object with ID 1 does not exist'))
{
    my $s = one_send($i, 'image', put_object('x', @{ $object{image} }));
    my $second = answered(200, { id => 'second' });
    my ($result) = exchange('send', $s, $uploaded, $ok);

    is(kept($s), "$media t", 'kept for 29 days');

    ($result, my @requests) = exchange('send', $s, $error, $second, $ok);
    is("$result->{result} " . @requests, 'accepted 3', 'made anew');
    is($json->decode($requests[2]{body})->{image}{id}, 'second', 'and sent');
    is("$result->{error}$result->{scope}", 'none', 'nothing is left of it');
    is(kept($s), 'second t', 'and kept');

    ($result, @requests) = exchange('send', $s, $error, $second, $error);
    isnt($result->{result}, 'accepted', 'refused for good');
    is(scalar @requests, 3, 'only once');
}

{
    my $s = one_send($i, 'image', put_object('x', @{ $object{image} }));
    my ($result, @requests) = exchange('send', $s, $uploaded,
        graph_error(131009));

    is("$result->{result} " . @requests, 'failed 2', 'not if it is new');

    sql("UPDATE media.provider_media SET expires_at = now() - interval '1 s' "
        . "WHERE object_key = '$s->{file_key}'");
    ($result, @requests) = exchange('send', $s, $uploaded, $ok);
    is("$result->{result} " . @requests, 'accepted 2', 'an expired one');

    my $other = account('cloudapi');

    ($result, @requests) = exchange('send', { %{ one_send($other, 'image') },
        map { $_ => $s->{$_} } qw(file_key file_type file_size file_name) },
        $uploaded, $ok);
    is("$result->{result} " . @requests, 'accepted 2', 'ids are a number\'s');
}

# an upload that fails may be repeated, whatever became of it

for my $case (
    (map { [[$_], 'retry'] } qw(early reset close)),
    (map { [answered($_, $html), 'retry'] } 500, 502, 503, 504),
    [answered(200, {}), 'retry'], [answered(200, $html), 'retry'],
    [answered(413, $html), 'failed'],
    [graph_error(190), 'stop'], [graph_error(130429), 'retry'],
    [graph_error(100), 'failed'], [graph_error(131000), 'retry'],
) {
    my $s = one_send($i, 'image', put_object('x' x 3_000_000,
        @{ $object{image} }));
    my ($result, @requests) = exchange('send', $s, $case->[0]);

    is("$result->{result} " . @requests, "$case->[1] 1", 'an upload that fails')
        or diag explain $result;
    unlike($result->{error}, qr/may have been sent/, 'it was not sent');
    is(kept($s), '', 'nothing is kept');
    is($result->{state}, 'queued', 'and the send not begun');
}

# read and typing

{
    my $s = one_send($i, 'text');
    my $done = answered(200, { success => JSON::PP::true });
    my $read = { messaging_product => 'whatsapp', status => 'read',
        message_id => 'wamid.A' };
    my ($result, $r) = exchange('read', { %$s, message_id => 'wamid.A' },
        $done);

    ok($result->{ok}, 'read');
    is($r->{target}, "/v23.0/$i->{name}/messages", 'path');
    is_deeply($json->decode($r->{body}), $read, 'the body');

    ($result, $r) = exchange('typing', { %$s, message_id => 'wamid.A' },
        $done);
    ok($result->{ok}, 'typing');
    is_deeply($json->decode($r->{body}), { %$read,
        typing_indicator => { type => 'text' } }, 'the body');
    is_deeply([sort keys %{ $json->decode($r->{body}) }], [sort keys %{
        $json->decode(sample('meta_openapi_req_send_typing_indicator_and_read'
        . '_receipt')) }], 'as Meta\'s sample');

    ($result, my @requests) = exchange('typing', $s);
    is("$result->{ok} " . @requests, '0 0', 'not without a message');
}

done_testing();
