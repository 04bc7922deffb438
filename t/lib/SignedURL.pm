package SignedURL;

# Copyright (C) ngx_media contributors

# The query of a signed URL, made from what core/media_sign.h says and none of
# its code.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use Exporter qw(import);
use MIME::Base64 qw(encode_base64url);

our @EXPORT = qw(signed_query);


# key in bytes, not encoded

sub signed_query {
    my ($key, $expires, $id, $secret) = @_;

    return "?expires=$expires&key_id=$id&signature="
        . encode_base64url(hmac_sha256("media-url-1\n$expires\n$key",
        $secret));
}


1;
