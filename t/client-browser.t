#!/usr/bin/perl

# Copyright (C) ngx_media contributors
#
# Chromium with a page of crm.example.com and media of media.example.com: plays
# and seeks sound and film from each tier of the shipped configuration, shows
# images by signed URLs, reads them where CORS allows it, and runs no script of
# what customers sent.

use strict;
use warnings;

use lib 't/lib';

use Browser;
use Cwd qw(getcwd);
use Mp4;
use Shipped;
use Test::More;
use Time::HiRes qw(sleep);

my $root = getcwd() . '/t';
my $t = Shipped->new;
my $browser = Browser->new;
my ($home, $stranger) = (Cache::free_port(), Cache::free_port());
my $clip = $t->read_file("$root/data/media/clip.mp4");
my $prefix = 'chat/acme/2026/11';

# the index at the end, as cameras write it; and the frames 64 KiB apart, so
# that a place in the film is another place in the file

my %file = (
    'voice.ogg' => $t->read_file("$root/data/media/voice.ogg"),
    'clip.mp4' => $clip,
    'late.mp4' => Mp4::spread($clip, last => 1),
    'large.mp4' => Mp4::spread($clip, gap => 65536),
    'large-late.mp4' => Mp4::spread($clip, gap => 65536, last => 1),
);
my $png = $t->read_file("$root/data/whatsapp-media/image-png.plain");
my %duration = ('voice.ogg' => 12, map { $_ => 8 } grep { /mp4/ } keys %file);

note $browser->version;

$t->write_file('page/player.html', $t->read_file("$root/js/player.html"));
$t->put("$prefix/$_.png", $png, 'image/png') for qw(photo other);
documents_put('home', sub { $t->write_file("page/evil.$_[0]", $_[1]) });
documents_put('media', sub { $t->put("$prefix/evil.$_[0]", @_[1, 2]) });
$t->put("$prefix/$_", $file{$_}, /ogg/ ? 'audio/ogg; codecs=opus'
    : 'video/mp4') for keys %file;
$t->redis_start;
$t->configure(authorised => 1, location =>
    "media_cors_origin http://crm.example.com:$home"
    . " http://crm.example.net:$home;\n",
    http => page_server($home) . page_server($stranger));
$t->start;

is page("crm.example.com:$home"), 'player', 'the page with the player';

$t->in_tiers({ map { ("$prefix/$_" => $file{$_}) } keys %file }, sub {
    my ($tier) = @_;
    my @names = sort keys %file;
    my $results = $browser->tell('call', 'playAll', [map {
        [/ogg/ ? 'audio' : 'video', media("$prefix/$_", 600) . "&$tier"]
    } @names]);
    my %requests = map { $_ => [] } @names;

    for my $r ($t->requests) {
        push @{$requests{$1}}, $r if $r->{path} =~ m{/([^/]+)$};
    }

    played($tier, $names[$_], $results->[$_], @{$requests{$names[$_]}})
        for 0 .. $#names;

    is scalar $t->s3_requests(qr/./), 0, "$tier: no request to S3"
        if $tier ne 's3';
});

images();
cors();
documents();

is $t->alarms, '', 'no alert';
undef $browser;
ok $t->stop, 'nginx ends';
done_testing();


sub page { return $browser->tell('open', "http://$_[0]/player.html") }


sub media { return "http://media.example.com:$t->{port}" . $t->signed(@_) }


sub page_server {
    my ($port) = @_;
    my $dir = $t->dir;

    return <<"END";
    server {
        listen 127.0.0.1:$port;
        root $dir/page;
        access_log $dir/logs/page.log requests;
    }
END
}


# documents with a script that calls home, and says where it was read from

sub documents_put {
    my ($from, $put) = @_;
    my $call = sub { "fetch('http://crm.example.com:$home/ran-$from-$_[0]',"
        . " { mode: 'no-cors' });" };
    my $html = sub { '<html xmlns="http://www.w3.org/1999/xhtml"><body>'
        . '<script>' . $call->($_[0]) . '</script></body></html>' };

    $put->('svg', '<svg xmlns="http://www.w3.org/2000/svg"><script>'
        . $call->('svg') . '</script></svg>', 'image/svg+xml');
    $put->('html', $html->('html'), 'text/html');
    $put->('xhtml', $html->('xhtml'), 'application/xhtml+xml');
    $put->('xml', '<?xml version="1.0"?>' . $html->('xml'), 'text/xml');
    $put->('bin', $html->('bin'), 'application/x-unknown');
    $put->('txt', $html->('txt'), 'text/plain');
    $put->('js', $call->('js'), 'text/plain');
}


sub played {
    my ($tier, $name, $result, @requests) = @_;
    my $what = "$tier: $name";
    my $large = length $file{$name} > 1048576;

    is $result->{error}, undef, "$what: plays";
    cmp_ok abs(($result->{duration} // 0) - $duration{$name}), '<', 0.1,
        "$what: duration";
    is $result->{seeked}, 3, "$what: seeks to the middle, back, to the end";
    ok $result->{ended}, "$what: is played to the end";
    is $result->{width}, 160, "$what: has a picture" if $name =~ /mp4/;

    is join(' ', grep { $_ != 206 } map { $_->{status} } @requests), '',
        "$what: nothing but 206";
    my $wanted = $tier eq 's3' ? 'MISS s3' : $large ? 'HIT disk' : "HIT $tier";
    my @other = grep { $_ ne $wanted } map { "$_->{cache} $_->{tier}" }
        @requests;

    # the slices that one range has fetched are there for the next

    @other = grep { $_ ne 'HIT disk' } @other if $tier eq 's3' && $large
        && @other < @requests;
    is "@other", '', "$what: $wanted";
    ok scalar(grep { $_->{range} eq 'bytes=0-' } @requests),
        "$what: asks for all";

    my %start = map { $_->{range} =~ /^bytes=(\d+)/ ? ($1 => 1) : () }
        @requests;

    cmp_ok scalar keys %start, '>=', $large ? 3 : 1,
        "$what: asks for other places";
}


sub show { return $browser->tell('call', 'show', @_) }


sub images {
    my $url = media("$prefix/photo.png", 600);
    my $other = media("$prefix/other.png", 600);

    is show($url)->{width}, 291, 'an image by a signed URL';

    my %wrong = (
        'without a signature' => $url =~ s/\?.*//r,
        'with a signature of another' => $other =~ s/other/photo/r,
        'with a longer time' => $url =~ s/(expires=)(\d+)/$1 . ($2 + 9)/er,
        'with an unknown key' => $url =~ s/(key_id=)/${1}x/r,
        'with a changed signature' =>
            $url =~ s/(signature=)(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/er,
        'with half a signature' => substr($url, 0, -20),
        'with an expired signature' =>
            media("$prefix/photo.png", -1),
    );

    for my $name (sort keys %wrong) {
        is show($wrong{$name})->{width}, 0, "no image $name";
    }

    is show($url . '&again')->{width}, 291, 'the right URL once more';
}


sub cors {
    my $n = 0;
    my $url = sub { media("$prefix/photo.png", 700 + $n++) };

    my $image = show($url->(), 'anonymous');
    is $image->{width}, 291, 'allowed origin: shown with CORS';
    is scalar @{$image->{point} || []}, 4, 'allowed origin: read by a canvas';

    my $range = $browser->tell('call', 'read', $url->(),
        { headers => { Range => 'bytes=0-9' } });
    is $range->{status}, 206, 'allowed origin: fetch of a range';
    is $range->{length}, 10, 'allowed origin: bytes';
    like $range->{headers}{'content-range'}, qr{^bytes 0-9/\d+$},
        'allowed origin: reads Content-Range';

    # Chromium asks first (OPTIONS) for a header that is not harmless

    my $same = $browser->tell('call', 'read', $url->(),
        { headers => { 'If-None-Match' => $range->{headers}{etag} } });
    is $same->{status}, 304, 'allowed origin: preflight, then a condition';

    page("crm.example.net:$home");
    is show($url->(), 'anonymous')->{width}, 291,
        'allowed origin of another site: shown with CORS';
    is show($url->())->{width}, 0,
        'another site: not shown without CORS, by media_resource_policy';

    page("evil.example.com:$stranger");
    is show($url->(), 'anonymous')->{width}, 0,
        'other origin: not shown with CORS';
    $image = show($url->());
    is $image->{width}, 291, 'other origin of this site: shown without CORS';
    is $image->{error}, 'SecurityError',
        'other origin: not read by a canvas';
    is $browser->tell('call', 'read', $url->())->{error}, 'TypeError',
        'other origin: no fetch';
}


# The same documents from the page's own server run their scripts, which shows
# that the test would see it.

sub documents {
    my @names = map { "evil.$_" } qw(svg html xhtml xml bin txt js);

    page("crm.example.com:$home");

    for my $from ('home', 'media') {
        my @urls = map { $from eq 'home'
            ? "http://crm.example.com:$home/$_?home"
            : media("$prefix/$_", 600) } @names;

        for my $i (0 .. $#urls) {
            my $r = $browser->tell('visit', $urls[$i]);

            next if $from eq 'home';

            if ($names[$i] =~ /txt|js/) {
                is $r->{type}, 'text/plain', "$names[$i]: text";
                is $r->{origin}, 'null', "$names[$i]: in a sandbox";
                next;
            }

            like $r->{download} // '', qr/^evil/, "$names[$i]: a download";
        }

        $browser->tell('call', 'frames', \@urls);
        is $browser->tell('call', 'script', $urls[-1]),
            $from eq 'home' ? 'ran' : 'blocked', "$from: as a script";
        ran($from);
    }
}


sub ran {
    my ($from) = @_;
    my $wanted = $from eq 'home' ? 'html js svg xhtml xml' : '';
    my $got;

    for (1 .. 100) {
        my %ran = map { $_ => 1 }
            $t->read_file('logs/page.log') =~ m{ /ran-$from-(\w+) }g;

        $got = join ' ', sort keys %ran;
        last if $got eq $wanted;
        sleep 0.1;
    }

    is $got, $wanted, "$from: scripts that ran";
}
