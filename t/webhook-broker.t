# Copyright (C) ngx_media contributors
#
# No 200 without the broker's confirm: a broker that misbehaves in each step
# makes 503 with Retry-After within a second, and a good one 200 again.

use warnings;
use strict;

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep);

use FakeBroker;
use Webhook;

my $body = '{"event":"messages.upsert","x":"' . 'a' x 10000 . '"}';

for my $mode (qw(close_protocol silent garbage version close_login close_open
    close_select close_publish mute blocked nack return channel_close huge
    short_ack))
{
    my $broker = FakeBroker->new($mode);
    my $nginx = Webhook->new(url => $broker->url);

    for (1 .. 2) {
        my ($status, $answer, $time) = $nginx->post('/evolution/secret',
            $body);
        is($status, 503, "$mode: refused");
        like($answer, qr/^Retry-After: [1-5]\r$/m, "$mode: Retry-After");
        cmp_ok($time, '<', 1.1, "$mode: within a second");
    }

    my $port = $broker->{port};
    $broker->stop;
    $broker = FakeBroker->new('good', $port);

    my $status = 0;
    for (1 .. 60) {
        ($status) = $nginx->post('/evolution/secret', $body);
        last if $status == 200;
        sleep 0.1;
    }
    is($status, 200, "$mode: recovered");

    $nginx->stop;
    unlike($nginx->log, qr/\[(alert|emerg)\]|Sanitizer|runtime error/,
        "$mode: no alerts");
    unlike($nginx->log, qr/p\@x|aaaa/, "$mode: no secrets, no bodies");
}

for my $mode (qw(good split slow)) {
    my $broker = FakeBroker->new($mode);
    my $nginx = Webhook->new(url => $broker->url);
    sleep 0.7 if $mode eq 'split';

    my ($status, $answer, $time) = $nginx->post('/evolution/secret', $body);
    is($status, 200, "$mode: accepted");
    cmp_ok($time, '>=', 0.3, 'not before the confirm') if $mode eq 'slow';

    $broker->pause;
    ($status, undef, $time) = $nginx->post('/evolution/secret', $body);
    is($status, 503, "$mode: paused");
    cmp_ok($time, '<', 1.1, "$mode: within a second");
    ($status, undef, $time) = $nginx->post('/evolution/secret', $body);
    is($status, 503, "$mode: still paused");
    cmp_ok($time, '<', 0.3, "$mode: refused at once");
    $broker->resume;

    for (1 .. 30) {
        ($status) = $nginx->post('/evolution/secret', $body);
        last if $status == 200;
        sleep 0.1;
    }
    is($status, 200, "$mode: resumed");

    $nginx->stop;
    unlike($nginx->log, qr/\[(alert|emerg)\]|Sanitizer|runtime error/,
        "$mode: no alerts");
}

done_testing();
