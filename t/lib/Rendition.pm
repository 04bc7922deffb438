package Rendition;

# Copyright (C) ngx_media contributors

# Files for the tests of renditions, and stored attachments that have them.

use strict;
use warnings;

use E2E qw(sql sql_row unique_id slurp data_dir);
use Exporter qw(import);
use File::Temp qw(tempdir);
use Job qw(tenant instance run_program);
use JSON::PP;

our @EXPORT = qw(sample made wav amr stored rendition recorded save probe
    identify);

my $dir = tempdir(CLEANUP => 1);
my $serial = 0;
my $instance;


# a file of t/data

sub sample {
    my ($name) = @_;

    return $name =~ m{/} ? "t/data/$name" : data_dir() . "/$name";
}


sub save {
    my ($suffix, @bytes) = @_;
    my $file = "$dir/" . $serial++ . ".$suffix";

    open my $f, '>:raw', $file or die "$file: $!\n";
    print $f @bytes;
    close $f or die "$file: $!\n";
    return $file;
}


# the file that a program makes; the arguments end before its name

sub made {
    my ($suffix, @command) = @_;
    my $file = "$dir/" . $serial++ . ".$suffix";

    push @command, $file;
    splice @command, 1, 0, qw(-v error -y -bitexact) if $command[0] eq 'ffmpeg';
    system(@command) == 0 or die "$command[0] failed\n";
    return $file;
}


# a tone that gets louder all the time

sub wav {
    my ($seconds, %opt) = @_;
    my $rate = $opt{rate} // 16000;
    my $n = $rate * $seconds;
    my $data = pack 'v*', map { 0xffff & int 30000 * ($opt{volume} // 1) * $_
        / $n * sin 6.2831853 * 440 * $_ / $rate } 1 .. $n;

    return save('wav', 'RIFF', pack('V', 36 + length $data), 'WAVEfmt ',
        pack('VvvVVvv', 16, 1, 1, $rate, 2 * $rate, 2, 16), 'data',
        pack('V', length $data), $data);
}


# frames of 20 ms, 12.2 kbit/s (RFC 4867, 5.3), of noise

sub amr {
    my ($n) = @_;

    srand 7;
    return save('amr', "#!AMR\n", map { "\x3c" . join '', map {
        chr int rand 256 } 1 .. 31 } 1 .. $n);
}


# an attachment as it is once it is complete

sub stored {
    my ($file, $type, %opt) = @_;
    my ($name) = $file =~ m{([^/]+)$};

    $instance //= instance(tenant(), 'cloudapi');

    my $key = "chat/$instance->{tenant}/$instance->{conversation}/"
        . lc(substr unique_id(), 0, 8) . "_$name";
    my $size = $opt{size} // -s $file;

    run_program('put', $key, $file, $type) unless $opt{lost};

    my ($id) = sql_row('INSERT INTO media.message_attachments (id, tenant_id,'
        . ' conversation_id, category, status, file_name, file_type, '
        . 'size_bytes, storage_key) VALUES (gen_random_uuid(), '
        . "'$instance->{tenant}', $instance->{conversation}, 'document', "
        . "'completed', '$name', '$type', $size, '$key') RETURNING id");

    return $id;
}


sub rendition {
    my ($id, $provider, $kind) = @_;
    my $text = run_program('rendition', $id, $provider, $kind);

    chomp $text;
    return { map { split /=/, $_, 2 } split /\t/, $text };
}


sub recorded {
    my ($id, $name) = @_;
    my ($text) = sql_row("SELECT metadata->'renditions'->'$name' FROM "
        . "media.message_attachments WHERE id = '$id'");

    return $text ? decode_json($text) : undef;
}


sub output {
    open my $p, '-|', @_ or die "$_[0]: $!\n";
    local $/;

    return scalar <$p> // '';
}


# what FFmpeg says of an audio file, which is decoded

sub probe {
    my ($bytes) = @_;
    my $file = save('probe', $bytes);
    my $info = decode_json(output(qw(ffprobe -v error -of json -show_streams
        -show_format), $file));
    my $errors = output('sh', '-c',
        "ffmpeg -v warning -i $file -f null - 2>&1 </dev/null");

    return { %{ $info->{streams}[0] // {} }, errors => $errors,
        streams => scalar @{ $info->{streams} // [] },
        format => $info->{format}{format_name} };
}


# what ImageMagick says of an image; pixel: colours of the corners

sub identify {
    my ($bytes) = @_;
    my $file = save('image', $bytes);
    my @names = qw(format width height depth colorspace alpha corner middle);
    my %info;

    @info{@names} = split /\|/, output('identify', '-format',
        join('|', '%m', '%w', '%h', '%z', '%[colorspace]', '%[channels]',
        '%[pixel:p{0,0}]', '%[pixel:p{w/2,h/2}]'), $file);
    $info{exif} = output('identify', '-format', '%[EXIF:*]', $file);
    return \%info;
}

1;
