#!/usr/bin/perl

# Copyright (C) ngx_media contributors

# The credentials of instances: encrypted in the database, read by reference,
# refused in the clear; the change of the key; and no word of them in a log.

use strict;
use warnings;

use lib 't/lib';

use E2E qw(vector sim sim_requests sql sql_row data_dir unique_id);
use Job;
use MIME::Base64;
use Mediactl;
use Test::More;

job_or_skip();

my $worker = $ENV{MEDIA_WORKER} // 'build/media-worker';
my %key = map { $_ => "$_:" . unpack('H*', pack 'N8', map { int rand 2 ** 32 }
    1 .. 8) } qw(k1 k2);
my $secret = 'token/of+an=instance-' . unique_id();
my $tenant = tenant();
my $v = vector('image-jpeg');
my $log = "$dir/log";

$ENV{MEDIA_LOG_FILE} = $log;
$ENV{MEDIA_CREDENTIAL_KEY} = $key{k1};
sim('reset');


sub secret_file {
    open my $f, '>', "$dir/secret" or die;
    print $f "$_[0]\n";
    close $f or die;
    return "$dir/secret";
}

sub add {
    my (@options) = @_;
    my $name = 'c' . unique_id();
    my ($rc, $out, $err) = run(secret_file($secret), 'instance', 'add',
        '--tenant', $tenant, '--provider', 'evolution', '--name', $name,
        '--base-url', $ENV{WHATSAPP_SIM_URL}, @options);

    return ($name, $rc, "$out$err");
}

sub stored {
    my ($name) = @_;

    return (sql_row("SELECT token FROM media.instances WHERE name = '$name'")
        )[0];
}

sub set_stored {
    my ($name, $value) = @_;

    sql("UPDATE media.instances SET token = '$value' WHERE name = '$name'");
}

# the credential that the provider got from a job of this instance

sub presented {
    my ($name) = @_;
    my ($id) = sql_row('SELECT id FROM media.instances WHERE name = '
        . "'$name'");
    my ($conversation) = sql_row('INSERT INTO media.conversations '
        . "(tenant_id, instance_id, chat) VALUES ('$tenant', $id, "
        . "'551198765" . sprintf('%04d', rand 10000) . "') RETURNING id");
    my $source = source_of($v, direct_path => "/v/gone-$name.enc");

    run_job('download', attachment({ tenant => $tenant, id => $id,
        conversation => $conversation }, $source));

    my ($r) = sim_requests(qr/getBase64FromMediaMessage\/$name/);

    return $r ? $r->{headers}{apikey} : undef;
}

# encrypted

my ($name, $rc, $text) = add('--token-stdin');

is($rc, 0, 'added') or diag $text;
like(stored($name), qr/^enc:k1:[\w-]+=*$/, 'stored encrypted');
unlike(decode_base64(stored($name) =~ s/.*://r =~ tr{-_}{+/}r),
    qr/\Q$secret\E/, 'and not as it is');
is(presented($name), $secret, 'the provider gets it');

my ($again) = add('--token-file', secret_file($secret));

isnt(stored($again), stored($name), 'the same one, stored twice, differs');

# by reference

my ($by_path) = add('--token-path', "$dir/reference");

is(stored($by_path), "file:$dir/reference", 'a path is stored');

for my $value ('first-value', 'second-value') {
    open my $f, '>', "$dir/reference" or die;
    print $f "$value\n";
    close $f or die;

    sim('reset');
    is(presented($by_path), $value, 'read each time');
}

unlink "$dir/reference" or die;
sim('reset');
is(presented($by_path) // '', '', 'a file that is gone: none is presented');
like(slurp($log), qr/credential not available.*No such file/,
    'and the log says so');

($name, $rc, $text) = add('--token-path', 'relative');
is($rc, 1, 'a relative path is refused');
like($text, qr/must begin with \//, 'and why');

($name, $rc, $text) = add('--token-path', '/x', '--token-stdin');
is($rc, 2, 'one of them only');

# nothing in the clear

($name) = add('--token-stdin');
set_stored($name, $secret);
sim('reset');
is(presented($name) // '', '', 'one in the clear is not used');
like(slurp($log), qr/stored in the clear: run .*--migrate/,
    'and the log says what to do');
is(system($worker, '--migrate'), 0, '--migrate');
like(stored($name), qr/^enc:k1:/, 'encrypts it');
sim('reset');
is(presented($name), $secret, 'as it was');

{
    set_stored($name, $secret);
    local $ENV{MEDIA_CREDENTIAL_KEY} = '';

    isnt(system($worker, '--migrate'), 0, '--migrate without a key fails');
    is(stored($name), $secret, 'and changes nothing');

    my (undef, $rc, $text) = add('--token-stdin');

    is($rc, 1, 'without a key nothing is added');
    like($text, qr/MEDIA_CREDENTIAL_KEY is not set/, 'and why');
}

is(system($worker, '--migrate'), 0, 'with the key');

# another key: first beside the old one, then alone

{
    local $ENV{MEDIA_CREDENTIAL_KEY} = $key{k2};

    sim('reset');
    is(presented($name) // '', '', 'another key does not open it');
    like(slurp($log), qr/does not have the key.*k1/, 'the log names the key');
}

$ENV{MEDIA_CREDENTIAL_KEY} = "$key{k2} $key{k1}";
sim('reset');
is(presented($name), $secret, 'the old key still opens');

my ($fresh) = add('--token-stdin');

like(stored($fresh), qr/^enc:k2:/, 'the first key encrypts');
($rc, $text) = run('/dev/null', 'instance', 'rotate-key');
is($rc, 0, 'rotate-key');
like($text, qr/^\d+ credentials encrypted$/, 'tells how many');
is((sql_row("SELECT count(*) FROM media.instances WHERE tenant_id = "
    . "'$tenant' AND token LIKE 'enc:k1:%'"))[0], 0, 'none is left');
($rc, $text) = run('/dev/null', 'instance', 'rotate-key');
like($text, qr/^0 credentials/, 'again: nothing to do');

$ENV{MEDIA_CREDENTIAL_KEY} = $key{k2};
sim('reset');
is(presented($name), $secret, 'the new key alone opens');

# damage: each part counts

my $good = stored($name);

for my $bad ($good =~ s/^enc:k2:\K(.)/$1 eq 'A' ? 'B' : 'A'/er,
    $good =~ s/(.)(?==*$)/$1 eq 'A' ? 'Q' : 'A'/er, 'enc:k2:', 'enc:k2',
    'enc:', 'enc:k2:AAAA', 'enc:k2:*', 'enc:' . 'k' x 200 . ':AAAA')
{
    set_stored($name, $bad);
    sim('reset');
    is(presented($name) // '', '', 'damaged: ' . substr $bad, 0, 12);
}

# keys that are none

for my $keys ('k1', 'k1:12', 'k 1:' . '0' x 64, ':' . '0' x 64,
    'k1:' . 'g' x 64, "$key{k1} k2:", 'k1:' . '0' x 66)
{
    local $ENV{MEDIA_CREDENTIAL_KEY} = $keys;

    is(system("$worker -t >/dev/null 2>$dir/err"), 3 << 8,
        "no key: $keys");
    like(slurp("$dir/err"), qr/MEDIA_CREDENTIAL_KEY/, 'and it is named');
    unlike(slurp("$dir/err"), qr/0{32}|g{32}/, 'but not shown');
}

# nowhere else

my $effective = `$worker -T 2>&1`;

unlike($effective, qr/\Q$key{k2}\E/, '-T hides the key');
unlike(slurp($log), qr/\Q$secret\E|\Q$key{k1}\E|\Q$key{k2}\E|-value/,
    'no secret in the log');
sql("DELETE FROM media.tenants WHERE id = '$tenant'");
done_testing();
