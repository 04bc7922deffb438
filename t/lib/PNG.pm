package PNG;

# Copyright (C) ngx_media contributors

# PNG files by their chunks.

use strict;
use warnings;

use Compress::Zlib qw(compress crc32);
use Exporter qw(import);

our @EXPORT = qw(png);


# grey, of so many bits a pixel; the rows need not be as many as the head says

sub png {
    my ($width, $height, $bits, $rows) = @_;

    return "\x89PNG\r\n\x1a\n"
        . chunk('IHDR', pack 'NNC5', $width, $height, $bits, 0, 0, 0, 0)
        . chunk('IDAT', compress($rows)) . chunk('IEND', '');
}


sub chunk {
    my ($type, $data) = @_;

    return pack('N', length $data) . $type . $data
        . pack 'N', crc32($type . $data);
}

1;
