# Copyright (C) ngx_media contributors
#
# What is accepted, what is refused and how, and what reaches RabbitMQ.

use warnings;
use strict;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256_hex);
use Test::More;

use AMQP;
use E2E qw(slurp);
use Webhook;

plan skip_all => 'RABBITMQ_URL is not set' unless $ENV{RABBITMQ_URL};

my $queue = "webhook_test_$$";
my $amqp = AMQP->new($ENV{RABBITMQ_URL});
$amqp->exchange('media');
$amqp->queue($queue);
$amqp->bind($queue, 'media', $queue);

my $nginx = Webhook->new(url => $ENV{RABBITMQ_URL},
    http => "media_rabbitmq_routing_key $queue;");

sub get { return $amqp->get($queue) }

my $body = "{\"event\":\"messages.upsert\",\n \"data\":{\"u\":\"\\u00e9\"}}";

# a message

my ($status, $answer) = $nginx->post(
    '/evolution/secret/messages-upsert?instance=i%201', $body);
is($status, 200, 'accepted');
my ($id) = $answer =~ /^X-Request-Id: ([0-9a-f]{32})\r$/m;
ok($id, 'X-Request-Id');
like($answer, qr/{"status":"accepted","request_id":"$id"}/, 'JSON answer');

my $msg = get();
is($msg->{body}, $body, 'the raw body');
is($msg->{message_id}, $id, 'message id');
is($msg->{delivery_mode}, 2, 'persistent');
is($msg->{content_type}, 'application/json', 'content type');
cmp_ok(abs($msg->{timestamp} - time), '<', 5, 'timestamp');
is($msg->{headers}{provider}, 'evolution', 'provider');
is($msg->{headers}{instance}, 'i%201', 'instance');
is($msg->{headers}{request_id}, $id, 'request id');
cmp_ok(abs($msg->{headers}{received_ms} / 1000 - time), '<', 5,
    'received_ms');
ok(!exists $msg->{headers}{body_key}, 'no body key');

# credentials

for (['/evolution/old', 200, 'second token'],
    ['/evolution/secret/', 200, 'slash'],
    ['/evolution/secret//messages-upsert', 200, 'two slashes'],
    ['/evolution/secre', 403, 'shorter token'],
    ['/evolution/secrets', 403, 'longer token'],
    ['/wapi', 401, 'no token'],
    ['/wapi?token=', 401, 'empty token'],
    ['/wapi?token=secret', 200, 'argument'],
    ['/wapi?token=s%65cret', 200, 'encoded argument'],
    ['/wapi?token=secret/messages-upsert', 200, 'suffix in the argument'],
    ['/wapi?token=secret/../x', 403, 'another suffix'],
    ['/wapi?token=wrong/messages-upsert', 403, 'wrong argument'],
    ['/wapi', 200, 'bearer', Authorization => 'Bearer secret'],
    ['/wapi', 403, 'wrong bearer', Authorization => 'Bearer x'],
    ['/wapi', 200, 'header', 'X-Webhook-Token' => 'secret'],
    ['/wapi', 200, 'apikey', apikey => 'secret'],
    ['/wapi?token=secret', 403, 'wrong header', apikey => 'x'])
{
    my ($uri, $want, $name, @h) = @$_;
    ($status) = $nginx->post($uri, '{}', @h);
    is($status, $want, $name);
    is(!!get(), $want == 200, "$name: published only if accepted");
}

# requests that are wrong

for (['', 400, 'empty body'], ['{"a":1', 400, 'cut'], ['nope', 400, 'text'],
    ['{"a":1}}', 400, 'trailing'], ["\xff\xfe", 400, 'binary'],
    ['{"a":"' . "\xc3\x28" . '"}', 400, 'invalid UTF-8'],
    ['[' x 100 . ']' x 100, 400, 'deep'])
{
    my ($text, $want, $name) = @$_;
    ($status, $answer) = $nginx->post('/evolution/secret', $text);
    is($status, $want, $name);
    like($answer, qr/{"error":"invalid_json","message":"[^"]+"}/,
        "$name: says so");
    ok(!get(), "$name: nothing published");
}

for (['text/plain', 415], ['application/x-www-form-urlencoded', 415],
    ['application/jsonx', 415], ['application/json; charset=utf-8', 200],
    ['APPLICATION/JSON ;x', 200], ['application/vnd.x+json', 200], ['', 200])
{
    my ($type, $want) = @$_;
    ($status) = $nginx->post('/evolution/secret', '{}',
        'Content-Type' => $type);
    is($status, $want, "type \"$type\"");
}
$amqp->purge($queue);

for my $method (qw(GET PUT DELETE OPTIONS)) {
    ($status, $answer) = $nginx->post('/evolution/secret', '{}',
        method => $method);
    is($status, 405, $method);
    like($answer, qr/^Allow: POST\r$/m, "$method: Allow");
}

($status) = $nginx->post('/evolution/secret', '', 'Content-Length' => '');
is($status, 411, 'no length');
($status) = $nginx->post('/wapi?token=secret', '',
    'Content-Length' => 2 * 1024 * 1024 + 1);
is($status, 413, 'declared too large');
($status) = $nginx->post('/wapi?token=secret', '"' . 'x' x 2000 . '"');
is($status, 413, 'too large for a message, no offload');

my $chunk = sprintf "%x\r\n%s\r\n", 65536, 'x' x 65536;
($status) = $nginx->post('/wapi?token=secret', "1\r\n\"\r\n" . $chunk x 40,
    'Content-Length' => '', 'Transfer-Encoding' => 'chunked');
is($status, 413, 'chunked too large');

($status) = $nginx->post('/evolution/secret',
    "3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n", 'Content-Length' => '',
    'Transfer-Encoding' => 'chunked');
is($status, 200, 'chunked');
is(get()->{body}, '[1,2]', 'chunked body');

# the signature of the Cloud API

my @files = (glob('t/data/payloads/cloudapi/real_*.json'),
    glob('t/data/payloads/cloudapi/pywa_message_*.json'));
cmp_ok(scalar @files, '>', 5, 'real bodies');

for my $file (@files) {
    my $text = slurp($file);
    $text =~ s{/}{\\/}g;

    for my $secret (qw(first second)) {
        ($status) = $nginx->post('/cloudapi', $text, 'X-Hub-Signature-256'
            => 'sha256=' . hmac_sha256_hex($text, $secret));
        is($status, 200, "$file signed");
        is(get()->{body}, $text, "$file unchanged");
    }
}

my $good = 'sha256=' . hmac_sha256_hex('{"a":1}', 'first');

for (['no signature', 401], ['wrong secret', 403, 'X-Hub-Signature-256'
        => 'sha256=' . hmac_sha256_hex('{"a":1}', 'third')],
    ['not hex', 403, 'X-Hub-Signature-256' => 'sha256=' . 'z' x 64],
    ['short', 403, 'X-Hub-Signature-256' => substr($good, 0, 70)],
    ['sha1', 403, 'X-Hub-Signature-256' => 'sha1=' . '0' x 40],
    ['no name', 403, 'X-Hub-Signature-256' => substr($good, 7)])
{
    my ($name, $want, @h) = @$_;
    ($status) = $nginx->post('/cloudapi', '{"a":1}', @h);
    is($status, $want, $name);
    ok(!get(), "$name: nothing published");
}

($status) = $nginx->post('/cloudapi', '{"a":2}',
    'X-Hub-Signature-256' => $good);
is($status, 403, 'another body');

# its handshake

my $q = 'hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=';

($status, $answer) = $nginx->post("/cloudapi?${q}verify", '',
    method => 'GET');
is($status, 200, 'handshake');
like($answer, qr/\r\n\r\n1158201444$/, 'challenge');
like($answer, qr{^Content-Type: text/plain}m, 'as text');

for ("/cloudapi?${q}wrong", '/cloudapi', "/cloudapi?${q}",
    '/cloudapi?hub.mode=subscribe&hub.verify_token=verify',
    '/cloudapi?hub.mode=x&hub.challenge=1&hub.verify_token=verify',
    '/cloudapi?hub.mode=subscribe&hub.challenge=%3Cb&'
    . 'hub.verify_token=verify')
{
    ($status) = $nginx->post($_, '', method => 'GET');
    is($status, 403, "refused $_");
}

# a large body goes to the store, in flat memory

my $before = $nginx->rss;
my $large = '{"base64":"' . 'QUJD' x 15_000_000 . '"}';

for (1 .. 2) {
    ($status, $answer) = $nginx->post('/evolution/secret', $large);
    is($status, 200, '60 MB accepted');
    ($id) = $answer =~ /^X-Request-Id: (\w+)/m;
    $msg = get();
    is($msg->{body}, '{}', 'an empty body');
    is($msg->{headers}{body_key}, "webhooks/$id", 'its key');
    is($msg->{headers}{body_size}, length $large, 'its size');
    ok(slurp("$nginx->{dir}/store/webhooks/$id") eq $large, 'stored');
}

my $grown = $nginx->rss - $before;
SKIP: {
    skip 'memory of a sanitizer build', 1 if ($ENV{LD_PRELOAD} || '') =~ /asan/;
    cmp_ok($grown, '<', 8192, "grew by $grown kB");
}

($status, $answer) = $nginx->post('/lost?token=secret',
    '"' . 'x' x 2000 . '"');
is($status, 503, 'the store is away');
like($answer, qr/^Retry-After: [1-5]\r$/m, 'Retry-After');
ok(!get(), 'nothing published');

# no queue

$amqp->unbind($queue, 'media', $queue);
($status, $answer) = $nginx->post('/evolution/secret', '{}');
is($status, 503, 'unroutable');
like($answer, qr/^Retry-After: [1-5]\r$/m, 'Retry-After');
$amqp->bind($queue, 'media', $queue);
($status) = $nginx->post('/evolution/secret', '{}');
is($status, 200, 'routable again');

$amqp->delete_queue($queue);
$nginx->stop;
unlike($nginx->log, qr/\[(alert|emerg)\]|Sanitizer|runtime error/,
    'no alerts');

# messages carry the request line, and that the token

like($nginx->log, qr{request: "POST /evolution/\*+}, 'requests are logged');
unlike($nginx->log, qr{/evolution/secret|token=secret}, 'without the token');

done_testing();
