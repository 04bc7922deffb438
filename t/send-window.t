# Copyright (C) ngx_media contributors

# The Cloud API's 24 hours: they begin with the customer's last message, by
# the provider's clock, and after them nothing is even tried.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(sql sql_row wait_until unique_id);
use JSON::PP;
use Ledger;
use SendSim;
use Test::More;
use Worker;

worker_or_skip(qw(DATABASE_URL RABBITMQ_URL REDIS_URL));
send_sim_start();

my $json = JSON::PP->new->canonical->utf8;
my $c = conversation('cloudapi', name => 1e14 + int rand 1e14);
my $day = 24 * 3600;
my $now = time;


# a webhook of the customer's, or of the business's own phone

sub customer {
    my ($type, $time, %opt) = @_;
    my $id = 'wamid.' . unique_id();
    my %message = (id => $id, timestamp => "$time", type => $type,
        %{ $opt{members} // {} });
    my %value = (messaging_product => 'whatsapp', metadata => {
        display_phone_number => '551140000000',
        phone_number_id => $c->{name} });

    if ($opt{own}) {
        $message{from} = '551140000000';
        $message{to} = $c->{chat};
        $value{message_echoes} = [ \%message ];

    } else {
        $message{from} = $c->{chat};
        $value{contacts} = [ { profile => { name => 'Ana' },
            wa_id => $c->{chat} } ];
        $value{messages} = [ \%message ];
    }

    webhook('cloudapi', $json->encode({ object =>
        'whatsapp_business_account', entry => [ { id => '1', changes => [ {
        field => $opt{own} ? 'smb_message_echoes' : 'messages',
        value => \%value } ] } ] }));
    ok wait_until(10, sub { sql('SELECT 1 FROM media.messages'
        . " WHERE provider_id = '$id'") }), "$type is taken";
}


sub window {
    return +(sql_row('SELECT floor(extract(epoch FROM '
        . 'last_customer_message_at)) FROM media.conversations '
        . "WHERE id = $c->{id}"))[0];
}


sub last_message {
    my ($value) = @_;

    sql("UPDATE media.conversations SET last_customer_message_at = $value"
        . " WHERE id = $c->{id}");
}


sub closed {
    my ($name) = @_;
    my $key = publish_send($c, $name);

    is state_is($key, 'failed|accepted|sent|delivered|read'), 'failed',
        "$name: closed";
    is +(send_of($key, 's.error_code'))[0], 'window_closed',
        "$name: and why";

    my ($event) = grep { $_->{idempotency_key} eq $key }
        events_of($c, 'message_failed');

    is $event->{next_step}, 'template', "$name: a template is next";
    like $event->{error}, qr/24 hours.*template/, "$name: for people";
}


sub open_now {
    my ($name) = @_;
    my $key = publish_send($c, $name);

    is state_is($key, 'failed|accepted'), 'accepted', "$name: open";
}


# what moves it

my %reaction = (members => { reaction => { emoji => "\x{1f44d}",
    message_id => 'wamid.X' } });
my %button = (members => { button => { text => 'Yes', payload => 'yes' } });
my %text = (members => { text => { body => 'hello' } });
my %system = (members => { system => { body => 'changed', type =>
    'user_changed_number' } });

last_message('NULL');
closed('never');
customer('text', $now - 2 * $day, %text);
is window(), $now - 2 * $day, 'the provider\'s time';
closed('two days ago');
customer('reaction', $now - 3 * 3600, %reaction);
is window(), $now - 3 * 3600, 'a reaction counts';
open_now('three hours ago');
customer('text', $now - 5 * 3600, %text);
is window(), $now - 3 * 3600, 'a late webhook does not take it back';
customer('button', $now - 3600, %button);
is window(), $now - 3600, 'a button counts';
customer('text', $now, own => 1, %text);
is window(), $now - 3600, 'the business\'s own does not';
customer('system', $now, %system);
is window(), $now - 3600, 'nor does a change of the number';
customer('text', $now + 7 * $day, %text);
cmp_ok window(), '<=', time, 'no time of the future';


# to the second

last_message("now() - interval '24 hours'");
closed('24 hours');
last_message("now() - interval '24 hours' + interval '1 minute'");
open_now('a minute before');


# checked right before sending, not when the send is made

sql("UPDATE media.instances SET enabled = false WHERE id = $c->{instance}");
my $key = publish_send($c, 'waited');
ok wait_until(10, sub { send_of($key, 's.id') }), 'made in time';
last_message("now() - interval '25 hours'");
sql("UPDATE media.instances SET enabled = true WHERE id = $c->{instance}");
is state_is($key, 'failed|accepted'), 'failed', 'and closed meanwhile';


# the others have none

for my $provider (qw(evolution wapi)) {
    $c = conversation($provider);
    last_message('NULL');
    open_now($provider);
}

is scalar(grep { $_->{provider} eq 'cloudapi' } sends()), 2,
    'nothing was tried while it was closed';
is_deeply [ violations() ], [], 'every request was as published';

done_testing;
