/*
 * Copyright (C) ngx_media contributors
 *
 * Text forms of bytes: base64 (RFC 4648), hexadecimal, AWS URI encoding,
 * UTF-8; and comparison in constant time.
 */

#ifndef MEDIA_CODEC_H
#define MEDIA_CODEC_H

#include "media_core.h"


/* bytes that base64 text of n bytes takes, without a terminating zero */
#define MEDIA_BASE64_LEN(n)  (((n) + 2) / 3 * 4)


/* state of a base64 text that arrives in pieces; zero it before the first */
typedef struct {
    uint32_t  bits;
    unsigned  n;                /* sextets held in bits, 0..3 */
    unsigned  pad;              /* '=' seen */
} media_base64_t;


/*
 * Writes MEDIA_BASE64_LEN(len) bytes of standard, padded base64 to dst, no
 * terminating zero.  Returns the number written.
 */
size_t media_base64_encode(char *dst, const void *src, size_t len);

/*
 * Decodes standard or URL-safe base64, padded or not.  Returns the number of
 * bytes written to dst, MEDIA_ERROR for anything that is not base64 (also
 * non-zero trailing bits are accepted, white space is not), MEDIA_NOSPACE if
 * size bytes are not enough.
 */
ssize_t media_base64_decode(void *dst, size_t size, const char *src,
    size_t len);

/*
 * The same for text in pieces: dst must hold len / 4 * 3 + 3 bytes.
 * media_base64_finish() returns MEDIA_OK, or MEDIA_ERROR if the text ended
 * within a group of one character or its padding is wrong.
 */
ssize_t media_base64_update(media_base64_t *ctx, void *dst, const char *src,
    size_t len);
int media_base64_finish(const media_base64_t *ctx);

/*
 * Writes URL-safe base64 without padding (RFC 4648, section 5), no zero; dst
 * must hold MEDIA_BASE64_LEN(len) bytes.  Returns the number written.
 */
size_t media_base64url_encode(char *dst, const void *src, size_t len);

/* Writes 2 * len lower-case digits to dst, no terminating zero. */
void media_hex_encode(char *dst, const void *src, size_t len);

/* Reads len (even) digits of either case.  MEDIA_OK or MEDIA_ERROR. */
int media_hex_decode(void *dst, const char *src, size_t len);

/*
 * Percent-encodes as AWS Signature Version 4 wants it: all but A-Z a-z 0-9
 * - . _ ~ (and '/' if keep_slash) become %XX in upper case.  Returns the
 * number of bytes written, or MEDIA_NOSPACE; 3 * len is always enough.
 */
ssize_t media_uri_encode(char *dst, size_t size, const char *src, size_t len,
    int keep_slash);

/*
 * Decodes %XX (and leaves '+' alone).  dst may be src.  Returns the number of
 * bytes written, or MEDIA_ERROR for a malformed escape.
 */
ssize_t media_uri_decode(char *dst, const char *src, size_t len);

/*
 * The number of characters of UTF-8 text (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF), or MEDIA_ERROR.
 */
ssize_t media_utf8_count(const char *s, size_t len);

/* 1 if equal, else 0; the time depends on the lengths only */
int media_equal(const void *a, size_t alen, const void *b, size_t blen);

#endif
