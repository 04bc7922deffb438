#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# media_upload: a file in the body of a request, as it is or in a form, is
# stored and told of; and nothing is left of one that is refused, interrupted
# or cannot be stored now.

use strict;
use warnings;

use lib 't/lib';

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha1_hex);
use IO::Socket::INET;
use POSIX ();
use Shipped;
use Test::More;
use Time::HiRes qw(sleep time);
use UploadStream;

my $t = UploadStream->new->ready;
my $bytes = join '', "\xff\xd8\xff\r\n--", map { chr($_ * 7 % 256) }
    1 .. 200000;
my %jpeg = ('content-type' => 'image/jpeg');
my %form = ('content-type' => UploadStream::form_type());
my $path = '/upload?' . UploadStream::query(file_name => 'férias 1.jpg',
    conversation_id => 42, caption => 'Olá & tchau', kind => 'image',
    reply_to => 7);

sub raw { return UploadStream::request($path, \%jpeg, $bytes, @_) }

sub parts {
    return ['conversation_id', 42], ['file', $bytes, 'a.jpg', 'image/jpeg'];
}

sub form {
    my ($parts, %o) = @_;
    return UploadStream::request($o{path} // '/upload', \%form,
        UploadStream::form_body(@$parts), %o);
}

# 1. what is taken: one object, two jobs, the same answer

sub taken {
    my ($name, $request, %expected) = @_;
    my $content = delete $expected{content} // $bytes;
    my $a = $t->send($request);

    is($a->{status}, 200, "$name: 200") or diag $a->{body}, $t->log;
    is($a->{json}{status}, 'processing', "$name: processing");
    is($a->{json}{$_}, $expected{$_}, "$name: $_")
        for sort grep { !/^(reply_to|idempotency_key)$/ } keys %expected;

    my @jobs = $t->jobs;
    my $id = $a->{json}{id} // '';
    is("@{[map { $_->{type} } @jobs]}", 'upload_issued upload_complete',
        "$name: jobs");
    is($_->{attachment_id}, $id, "$name: $_->{type} of it") for @jobs;
    is($jobs[1]{etag}, '"' . md5_hex($content) . '"', "$name: bound");
    is($jobs[1]{file_size}, length $content, "$name: size");
    is($jobs[1]{reply_to}, $expected{reply_to} // '', "$name: reply");
    is($jobs[1]{idempotency_key}, $expected{idempotency_key} // $id,
        "$name: key");

    my $o = $t->{store}->get("/bucket/uploads/acme/$id");
    ok($o->{body} eq $content, "$name: the object is the file");
    is($o->{h}{'content-type'}, $a->{json}{file_type}, "$name: type in S3");
    $t->{store}->del("/bucket/uploads/acme/$id");
    return $a->{json};
}

my %same = (file_name => 'férias 1.jpg', caption => 'Olá & tchau',
    kind => 'image', conversation_id => 42, file_size => length $bytes,
    file_type => 'image/jpeg', reply_to => 7);

utf8::decode($same{$_}) for qw(file_name caption);

taken('raw', raw(), %same);
taken('raw, chunked', raw(chunk => 30000), %same);
taken('raw, small chunks', UploadStream::request($path, \%jpeg, 'x' x 3000,
    chunk => 7), %same, content => 'x' x 3000, file_size => 3000);
taken('raw, small', UploadStream::request($path, \%jpeg, 'x'), %same,
    content => 'x', file_size => 1);

$same{kind} = 'document';
taken('form', form([['conversation_id', 42], ['caption', 'Olá & tchau'],
    ['kind', 'document'], ['reply_to', 7],
    ['file', $bytes, 'férias 1.jpg', 'image/jpeg']]), %same);
taken('form, fields after the file', form([
    ['file', $bytes, 'x.jpg', 'IMAGE/JPEG'], ['conversation_id', 42],
    ['file_name', 'férias 1.jpg'], ['caption', 'Olá & tchau'],
    ['reply_to', 7], ['kind', 'document'], ['other', 'y' x 8192]]), %same);
taken('form, chunked', form([parts()], chunk => 9999), file_name => 'a.jpg');
taken('form, bytes', form([['conversation_id', 42],
    ['file', "\r\n-\r\n--" . substr($bytes, 0, 3000), 'a.jpg',
    'image/jpeg']], chunk => 1), content => "\r\n-\r\n--"
    . substr $bytes, 0, 3000);
taken('form, small', form([['conversation_id', 42],
    ['file', '1', 'a.jpg', 'image/jpeg']]), content => '1');
taken('form, fields that it does not need', form([parts(),
    ['file_size', '1'], ['file_type', 'text/html']]),
    file_type => 'image/jpeg', file_size => length $bytes);
taken('voice, fields after it', form([['file', $bytes, 'blob',
    'audio/webm;codecs=opus'], ['kind', 'voice'], ['conversation_id', 42]]),
    kind => 'voice');

# sizes that fill buffers exactly, and those around them

for my $size (16383 .. 16385, 32768) {
    taken("raw of $size", UploadStream::request($path, \%jpeg,
        substr $bytes, 0, $size), content => substr($bytes, 0, $size),
        reply_to => 7);
    taken("form of $size", form([['conversation_id', 42],
        ['file', substr($bytes, 0, $size), 'a.jpg', 'image/jpeg']]),
        content => substr($bytes, 0, $size));
}

# clients

sub curl {
    my (@args) = @_;
    open my $c, '-|', 'curl', '-s', '-m', 60, '-w', "\n%{http_code} "
        . '%{size_upload}', @args or die $!;
    my @lines = <$c>;
    return ($lines[-1] =~ /^(\d+) (\d+)/, "@lines");
}

my $file = "$t->{dir}/photo.jpg";
my $url = "http://127.0.0.1:$t->{port}";
$t->{store}->write($file, $bytes);

is((curl('-F', 'conversation_id=42', '-F', "file=\@$file;type=image/jpeg",
    "$url/upload"))[0], 200, 'curl -F');
is((curl('-H', 'Content-Type: image/jpeg', '--data-binary', "\@$file",
    "$url$path"))[0], 200, 'curl --data-binary');
is((curl('-H', 'Content-Type: image/jpeg', '-H', 'Expect: 100-continue',
    '--data-binary', "\@$file", "$url$path"))[0], 200, 'Expect');
is(scalar($t->jobs), 6, 'their jobs');
$t->{store}->del("/bucket/$_") for $t->objects;

# 2. a request that is repeated has one id

my @same = map { $t->send(form([parts(), ['idempotency_key', $_]]))->{json} }
    qw(a a b);
is($same[0]{id}, $same[1]{id}, 'one key, one id');
isnt($same[0]{id}, $same[2]{id}, 'two keys, two ids');
my @jobs = $t->jobs;
is($jobs[1]{idempotency_key}, 'a', 'the key is told');
my $by_header = $t->send(raw(headers => { 'idempotency-key' => 'a' }));
is($by_header->{json}{id}, $same[0]{id}, 'a key as header');
is(scalar(my @two = $t->objects), 2, 'two objects');
$t->jobs;
$t->{store}->del("/bucket/$_") for $t->objects;

# 3. what is refused leaves nothing

sub nothing {
    my ($name, @more) = @_;
    is(scalar(my @jobs = $t->jobs), 0, "$name: no job");
    is(scalar(my @objects = $t->objects), 0, "$name: no object");
    for (1 .. 100) { last if !$t->spooled; sleep 0.05 }
    is($t->spooled, 0, "$name: no file");
}

sub refused {
    my ($name, $request, $status, $error, $message) = @_;
    my $a = $t->send($request);
    is("$a->{status} " . ($a->{json}{error} // $a->{body}),
        "$status $error", $name);
    is($a->{json}{message}, $message, "$name: text") if defined $message;
    is($a->{h}{'cache-control'}, 'no-store', "$name: not stored");
    nothing($name);
}

sub query { return '/upload?' . UploadStream::query(@_) }
sub image { return UploadStream::request($_[0], \%jpeg, 'x', @_[1 .. $#_]) }
sub small { return UploadStream::request('/small?' . UploadStream::query(
    file_name => 'a.jpg', conversation_id => 1), \%jpeg, 'x' x $_[0],
    @_[1 .. $#_]) }

my %pt = (headers => { 'accept-language' => 'pt-BR,en;q=0.5' });

refused('no name', image(query(conversation_id => 1)), 400,
    'file_name_missing', 'The name of the file is missing');
refused('no name, pt', image(query(conversation_id => 1), %pt), 400,
    'file_name_missing', 'Falta o nome do arquivo');
refused('no conversation', image(query(file_name => 'a.jpg')), 400,
    'conversation_id_invalid');
refused('no type', UploadStream::request($path, {}, 'x'), 400,
    'file_type_missing');
refused('a page', UploadStream::request($path, { 'content-type' =>
    'text/html' }, 'x'), 415, 'file_type_not_allowed');
refused('a page, pt', UploadStream::request($path, { 'content-type' =>
    'text/html' }, 'x', %pt), 415, 'file_type_not_allowed',
    "Tipo de arquivo n\xe3o permitido");
refused('empty', UploadStream::request($path, \%jpeg, ''), 400,
    'file_size_invalid');
refused('empty, chunked', UploadStream::request($path, \%jpeg, '',
    chunk => 1), 400, 'file_size_invalid');
refused('bad escape', image('/upload?file_name=%zz'), 400, 'form_invalid');
refused('twice', image("$path&kind=image"), 400, 'form_invalid');
refused('bad kind', image(query(file_name => 'a', conversation_id => 1,
    kind => 'audio')), 400, 'kind_invalid');
refused('bad reply', image(query(file_name => 'a', conversation_id => 1,
    reply_to => 'x')), 400, 'reply_to_invalid');
refused('bad key', image(query(file_name => 'a', conversation_id => 1,
    idempotency_key => 'x' x 201)), 400, 'idempotency_key_invalid');

refused('too large', small(2001), 413, 'file_too_large',
    'File too large. Maximum: 1 KB');
refused('too large, pt', small(2001, %pt), 413, 'file_too_large',
    "Arquivo muito grande. M\xe1ximo: 1 KB");
refused('too large, chunked', small(2001, chunk => 100), 413,
    'file_too_large', 'File too large. Maximum: 1 KB');
refused('too large, and more comes', small(3000000, chunk => 100), 413,
    'file_too_large');
refused('too large, in a form', form([['conversation_id', 1],
    ['file', 'x' x 2001, 'a.jpg', 'image/jpeg']], path => '/small', %pt),
    413, 'file_too_large', "Arquivo muito grande. M\xe1ximo: 1 KB");
refused('too large for its kind, which comes last', form([
    ['file', 'x' x 1001, 'a.jpg', 'image/jpeg'], ['conversation_id', 1],
    ['kind', 'document']], path => '/small'), 413, 'file_too_large');

refused('form: no file', form([['conversation_id', 1]]), 400, 'file_missing',
    'The file is missing');
refused('form: no file, pt', form([['conversation_id', 1]], %pt), 400,
    'file_missing', 'Falta o arquivo');
refused('form: no conversation', form([(parts())[1]]), 400,
    'conversation_id_invalid');
refused('form: no type', form([['conversation_id', 1],
    ['file', $bytes, 'a.jpg']]), 400, 'file_type_missing');
refused('form: no name', form([['conversation_id', 1],
    ['file', $bytes, '', 'image/jpeg']]), 400, 'file_name_missing');
refused('form: a page', form([['conversation_id', 1],
    ['file', $bytes, 'a.html', 'text/html']]), 415, 'file_type_not_allowed');
refused('form: empty', form([['conversation_id', 1],
    ['file', '', 'a.jpg', 'image/jpeg']]), 400, 'file_size_invalid');
refused('form: two files', form([parts(), (parts())[1]]), 400,
    'form_invalid');
refused('form: a field twice', form([parts(), ['conversation_id', 2]]), 400,
    'form_invalid');
refused('form: a file of another name', form([['conversation_id', 1],
    ['files', $bytes, 'a.jpg', 'image/jpeg']]), 400, 'form_invalid');
refused('form: a long field', form([['caption', 'x' x 8193], parts()]), 400,
    'form_invalid');
refused('form: too many fields', form([parts(), map { ["f$_", 'x'] }
    1 .. 15]), 400, 'form_invalid');
refused('form: cut', UploadStream::request('/upload', \%form,
    substr UploadStream::form_body(parts()), 0, 50000), 400, 'form_invalid');
refused('form: no boundary', UploadStream::request('/upload',
    { 'content-type' => 'multipart/form-data' }, 'x'), 400, 'form_invalid');
refused('form: text behind', UploadStream::request('/upload', \%form,
    UploadStream::form_body(parts()) . 'x'), 400, 'form_invalid');

my $a = $t->send("GET /upload HTTP/1.1\r\nHost: x\r\nConnection: close"
    . "\r\n\r\n");
is("$a->{status} $a->{h}{allow}", '405 POST', 'GET');

# too large by its length: none of it is read

$t->{store}->write($file, 'x' x 12000000);
my ($status, $sent) = curl('-H', 'Content-Type: image/jpeg', '-H',
    'Expect: 100-continue', '--data-binary', "\@$file", "$url$path");
is("$status $sent", '413 0', 'Expect: refused before the body');
($status, $sent) = curl('-H', 'Expect: 100-continue', '-F', "file=\@$file",
    '-F', 'conversation_id=1', "$url/small");
is("$status $sent", '413 0', 'Expect: a form, too');
nothing('Expect');

# 4. interrupted

for my $request (raw(), raw(chunk => 5000), form([parts()]),
    form([parts()], chunk => 5000))
{
    my ($head) = $request =~ /^(.*?\r\n\r\n)/s;

    for my $at (length($head), length($head) + 100, 60000, 150000,
        length($request) - 1)
    {
        my $socket = $t->connect;
        syswrite $socket, substr $request, 0, $at;
        sleep 0.02;
        close $socket;
    }
}

nothing('interrupted');

# 5. S3 and the broker fail

# An S3 server for uploads that does as a list says, one word a request, and
# then as the last one: ok, 500, close, hold (until told), etag (none).
sub fake_s3 {
    my (@words) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 16) or die $!;
    pipe my $tell_r, my $tell_w or die $!;
    pipe my $seen_r, my $seen_w or die $!;
    my $pid = fork // die $!;
    return { host => '127.0.0.1:' . $listen->sockport, pid => $pid,
        tell => $tell_w, seen => $seen_r } if $pid;

    while (my $c = $listen->accept) {
        my $text = '';
        while ($text !~ /\r\n\r\n/) {
            sysread $c, $text, 65536, length $text or last;
        }
        my ($length) = $text =~ /content-length: (\d+)/i or next;
        $text =~ s/^.*?\r\n\r\n//s;
        while (length $text < $length) {
            sysread $c, $text, 65536, length $text or last;
        }
        my $word = @words > 1 ? shift @words : $words[0];
        syswrite $seen_w, $word eq 'hold' ? 'h' : '.';
        sysread $tell_r, my $go, 1 if $word eq 'hold';
        syswrite $c, $word eq '500' ? "HTTP/1.1 500 x\r\nContent-Length: 0"
            . "\r\nConnection: close\r\n\r\n" : $word eq 'etag'
            ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            : "HTTP/1.1 200 OK\r\nETag: \"" . md5_hex($text) . "\"\r\n"
            . "Content-Length: 0\r\nConnection: close\r\n\r\n"
            if $word ne 'close';
        close $c;
    }
    POSIX::_exit(0);
}

sub with_s3 {
    my ($s3, %o) = @_;
    return UploadStream->new(store => $t->{store}, s3 => [$s3], %o)->ready;
}

sub types { return join ' ', map { $_->{type} } @_ }

my $away = with_s3('127.0.0.1:1');
$a = $away->send(raw());
is("$a->{status} $a->{json}{error}", '503 unavailable', 'S3 is away');
like($a->{h}{'retry-after'}, qr/^[1-9]/, 'S3 is away: Retry-After');
is(types($away->jobs), 'upload_issued', 'S3 is away: the row only');
is($away->spooled, 0, 'S3 is away: no file');
is($away->complaints, '', 'S3 is away: no alert');
$away->stop;

for my $case (['500 once', 200, 2, qw(500 ok)], ['closed once', 200, 2,
    qw(close ok)], ['500 for long', 503, 4, '500'], ['no ETag', 503, 1,
    'etag'])
{
    my ($name, $expected, $tries, @words) = @$case;
    my $s3 = fake_s3(@words);
    my $n = with_s3($s3->{host});

    for my $request (raw(), form([parts()])) {
        $a = $n->send($request);
        is($a->{status}, $expected, "$name: status") or diag $n->log;
        is(types(@jobs = $n->jobs), $expected == 200
            ? 'upload_issued upload_complete' : 'upload_issued',
            "$name: jobs");
        is($jobs[1]{etag}, '"' . md5_hex($bytes) . '"', "$name: whole")
            if $expected == 200;
        my $seen = 0;
        $seen += sysread $s3->{seen}, my $byte, 1 while $seen < $tries;
        is($seen, $tries, "$name: tries");
        @words = ('ok') and last if @words > 1;
    }

    is($n->complaints, '', "$name: no alert");
    $n->stop;
    kill 'KILL', $s3->{pid};
    waitpid $s3->{pid}, 0;
}

# the broker goes away while S3 has the file; the client, too

my $s3 = fake_s3('hold');
my $n = with_s3($s3->{host});
my $socket = $n->connect;
syswrite $socket, UploadStream::request($path, \%jpeg, 'x' x 1000);
sysread $s3->{seen}, my $byte, 1;
is(types($n->jobs), 'upload_issued', 'told before the file is put');
$n->unbind;
syswrite $s3->{tell}, '.';
$a = UploadStream::answer($socket);
is("$a->{status} $a->{json}{error}", '503 unavailable',
    'the broker is away after the file');

$a = $n->send(raw());
is("$a->{status} $a->{json}{error}", '503 unavailable',
    'the broker is away before');
$n->bind;
is(types($n->jobs), '', 'no job');

$socket = $n->connect;
syswrite $socket, UploadStream::request($path, \%jpeg, 'x' x 1000);
sysread $s3->{seen}, $byte, 1;
close $socket;
for (1 .. 100) {
    last if $n->log =~ /prematurely closed|reset by peer/;
    sleep 0.05;
}
syswrite $s3->{tell}, '.';
is(types($n->jobs), 'upload_issued', 'the client left while it was put');
is($n->spooled, 0, 'no file is left');
is($n->complaints, '', 'no alert');
$n->stop;
kill 'KILL', $s3->{pid};
waitpid $s3->{pid}, 0;

$n = UploadStream->new(store => $t->{store},
    rabbitmq => 'amqp://u:p@127.0.0.1:1/');
$a = $n->send(raw());
is("$a->{status} $a->{json}{error}", '503 unavailable', 'no broker at all');
is(scalar(my @none = $n->objects), 0, 'no broker: no object');
$n->stop;

# 6. HTTP/2; one key with other values; the shipped configuration

$n = UploadStream->new(listen => 'http2')->ready;
$n->{store}->write($file, $bytes);
$url = "http://127.0.0.1:$n->{port}";
my @http2 = ('--http2-prior-knowledge', "$url$path");

is((curl('-H', 'Content-Type: image/jpeg', '--data-binary', "\@$file",
    @http2))[0], 200, 'HTTP/2: raw');
is((curl('-F', 'conversation_id=42', '-F', "file=\@$file;type=image/jpeg",
    @http2))[0], 200, 'HTTP/2: form');
is((curl('-F', 'conversation_id=42', '-F', "file=\@$file;type=image/jpeg",
    '--http2-prior-knowledge', "$url/small"))[0], 413, 'HTTP/2: too large');
@jobs = $n->jobs;
is(types(@jobs), join(' ', ('upload_issued upload_complete') x 2),
    'HTTP/2: jobs');
is($jobs[$_]{etag}, '"' . md5_hex($bytes) . '"', 'HTTP/2: whole') for 1, 3;
is($n->complaints, '', 'HTTP/2: no alert');
$n->stop;

my ($password, $redis) = $ENV{REDIS_URL} =~ m{://\w+:([^@]*)@([^/]+)};
$n = UploadStream->new(store => $t->{store}, http => "media_redis $redis;
    media_redis_password $password;")->ready;
my $key = "key-$$-" . time;

my @other = (['caption', 'other'], ['conversation_id', 43],
    ['kind', 'document'], ['reply_to', 9], ['file_name', 'b.jpg']);
my %first = (conversation_id => 42, caption => 'one', kind => 'image',
    reply_to => 8, file_name => 'a.jpg');

sub keyed {
    my ($content, $type, %field) = @_;

    %field = (%first, %field);
    return $n->send(form([['idempotency_key', $key],
        (map { [$_, $field{$_}] } sort keys %field),
        ['file', $content, 'a.jpg', $type]]));
}

$t->{store}->del("/bucket/$_") for $t->objects;
is(keyed($bytes, 'image/jpeg')->{status}, 200, 'a key') for 1, 2;
is(scalar(() = $n->jobs), 4, 'a key, twice: jobs');

for my $case ([$bytes, 'image/png'], ["$bytes.", 'image/jpeg'],
    map { [$bytes, 'image/jpeg', @$_] } @other)
{
    $a = keyed(@$case);
    is("$a->{status} $a->{json}{error}", '422 idempotency_key_reused',
        "a key of another: @$case[1 .. $#$case]");
}

is(scalar(() = $n->jobs), 0, 'a key of another: no job');
@two = $t->objects;
is(scalar @two, 1, 'a key of another: no object');
is($t->{store}->get("/bucket/$two[0]")->{body}, $bytes,
    'a key of another: the first is there');

is($n->complaints, '', 'no alert');
$n->stop;

my $shipped = Shipped->new;
$shipped->configure(authorised => 1);
$shipped->redis_start;
$shipped->start;

sub shipped {
    my ($request) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $shipped->{port}) or die $!;
    print $socket $request;
    $socket->flush;
    my $answer = UploadStream::answer($socket);
    return "$answer->{status} $answer->{json}{error}";
}

my %caller = (authorization => 'Bearer ' . $shipped->token('acme'));
my $shipped_path = $path =~ s{^}{/api/media}r;

is(shipped(UploadStream::request($shipped_path, \%jpeg, 'x')),
    '401 unauthorized', 'shipped: nobody');
is(shipped(UploadStream::request($shipped_path, { %jpeg, %caller },
    'x' x 11000000)), '413 file_too_large', 'shipped: too large');
is(shipped(UploadStream::request($shipped_path, { %jpeg, %caller },
    'x' x 9000000)), '503 unavailable', 'shipped: without a broker');

is($t->complaints, '', 'no alert');
is($t->{store}->complaints, '', 'no alert of S3');
unlike($t->log, qr/tchau|AKSTORE|store.test.secret/,
    'no caption and no secret in the log');

done_testing();
