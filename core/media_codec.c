/*
 * Copyright (C) ngx_media contributors
 *
 * Text forms of bytes: base64, hexadecimal, AWS URI encoding.  All buffers
 * are the caller's.
 */

#include <openssl/crypto.h>

#include "media_codec.h"


#define XX  0xff


static const char  base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* values of characters; '-' and '_' are those of the URL-safe alphabet */
static const unsigned char  base64_values[256] = {
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, 62, XX, 62, XX, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, XX, XX, XX, XX, XX, XX,
    XX,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, XX, XX, XX, XX, 63,
    XX, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX
};

static size_t base64_decode_groups(unsigned char *dst,
    const unsigned char *src, size_t len);
static int hex_value(unsigned char ch);
static int uri_unreserved(unsigned char ch);


size_t
media_base64_encode(char *dst, const void *src, size_t len)
{
    char                 *p;
    uint32_t              bits;
    const unsigned char  *s;

    p = dst;
    s = src;

    for ( /* void */ ; len >= 3; len -= 3) {
        bits = (uint32_t) s[0] << 16 | (uint32_t) s[1] << 8 | s[2];
        s += 3;

        *p++ = base64_alphabet[bits >> 18];
        *p++ = base64_alphabet[bits >> 12 & 63];
        *p++ = base64_alphabet[bits >> 6 & 63];
        *p++ = base64_alphabet[bits & 63];
    }

    if (len) {
        bits = (uint32_t) s[0] << 16;

        if (len == 2) {
            bits |= (uint32_t) s[1] << 8;
        }

        *p++ = base64_alphabet[bits >> 18];
        *p++ = base64_alphabet[bits >> 12 & 63];
        *p++ = (len == 2) ? base64_alphabet[bits >> 6 & 63] : '=';
        *p++ = '=';
    }

    return (size_t) (p - dst);
}


size_t
media_base64url_encode(char *dst, const void *src, size_t len)
{
    size_t  i, n;

    n = media_base64_encode(dst, src, len);

    while (n && dst[n - 1] == '=') {
        n--;
    }

    for (i = 0; i < n; i++) {
        if (dst[i] == '+') {
            dst[i] = '-';

        } else if (dst[i] == '/') {
            dst[i] = '_';
        }
    }

    return n;
}


ssize_t
media_base64_decode(void *dst, size_t size, const char *src, size_t len)
{
    size_t          chars, n;
    ssize_t         rc;
    media_base64_t  ctx;

    chars = len;

    while (chars && len - chars < 2 && src[chars - 1] == '=') {
        chars--;
    }

    n = chars / 4 * 3;

    if (chars % 4) {
        n += chars % 4 - 1;
    }

    if (n > size) {
        return MEDIA_NOSPACE;
    }

    memset(&ctx, 0, sizeof(media_base64_t));

    rc = media_base64_update(&ctx, dst, src, len);

    if (rc < 0 || media_base64_finish(&ctx) != MEDIA_OK) {
        return MEDIA_ERROR;
    }

    return rc;
}


/* a byte is written as soon as its bits are there: finish() has no output */

ssize_t
media_base64_update(media_base64_t *ctx, void *dst, const char *src,
    size_t len)
{
    size_t                n;
    unsigned              value;
    unsigned char        *p;
    const unsigned char  *s, *last;

    if (len == 0) {
        return 0;
    }

    p = dst;
    s = (const unsigned char *) src;
    last = s + len;

    while (s < last) {

        if (ctx->n == 0 && ctx->pad == 0) {
            n = base64_decode_groups(p, s, (size_t) (last - s));
            s += n * 4;
            p += n * 3;

            if (s == last) {
                break;
            }
        }

        if (*s == '=') {
            if (ctx->n < 2 || ctx->n + ctx->pad == 4) {
                return MEDIA_ERROR;
            }

            ctx->pad++;
            s++;
            continue;
        }

        value = base64_values[*s++];

        if (value == XX || ctx->pad) {
            return MEDIA_ERROR;
        }

        ctx->bits = ctx->bits << 6 | value;
        ctx->n++;

        if (ctx->n > 1) {
            *p++ = (unsigned char) (ctx->bits >> (8 - 2 * ctx->n));
        }

        if (ctx->n == 4) {
            ctx->n = 0;
        }
    }

    return p - (unsigned char *) dst;
}


/* decodes whole groups up to the first with another character */

static size_t
base64_decode_groups(unsigned char *dst, const unsigned char *src, size_t len)
{
    size_t    i, n;
    uint32_t  a, b, c, d;

    n = len / 4;

    for (i = 0; i < n; i++) {
        a = base64_values[src[0]];
        b = base64_values[src[1]];
        c = base64_values[src[2]];
        d = base64_values[src[3]];

        if ((a | b | c | d) == XX) {
            break;
        }

        dst[0] = (unsigned char) (a << 2 | b >> 4);
        dst[1] = (unsigned char) (b << 4 | c >> 2);
        dst[2] = (unsigned char) (c << 6 | d);

        src += 4;
        dst += 3;
    }

    return i;
}


int
media_base64_finish(const media_base64_t *ctx)
{
    if (ctx->n == 1 || (ctx->pad && ctx->n + ctx->pad != 4)) {
        return MEDIA_ERROR;
    }

    return MEDIA_OK;
}


void
media_hex_encode(char *dst, const void *src, size_t len)
{
    const unsigned char  *s;
    static const char     digits[] = "0123456789abcdef";

    for (s = src; len; len--, s++) {
        *dst++ = digits[*s >> 4];
        *dst++ = digits[*s & 15];
    }
}


int
media_hex_decode(void *dst, const char *src, size_t len)
{
    int             high, low;
    size_t          i;
    unsigned char  *p;

    if (len % 2) {
        return MEDIA_ERROR;
    }

    p = dst;

    for (i = 0; i < len; i += 2) {
        high = hex_value((unsigned char) src[i]);
        low = hex_value((unsigned char) src[i + 1]);

        if (high < 0 || low < 0) {
            return MEDIA_ERROR;
        }

        *p++ = (unsigned char) (high << 4 | low);
    }

    return MEDIA_OK;
}


static int
hex_value(unsigned char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    if (ch >= 'a' && ch <= 'f') {
        return ch - 'a' + 10;
    }

    return -1;
}


ssize_t
media_uri_encode(char *dst, size_t size, const char *src, size_t len,
    int keep_slash)
{
    char              *p, *last;
    size_t             i;
    unsigned char      ch;
    static const char  digits[] = "0123456789ABCDEF";

    p = dst;
    last = dst + size;

    for (i = 0; i < len; i++) {
        ch = (unsigned char) src[i];

        if (uri_unreserved(ch) || (ch == '/' && keep_slash)) {
            if (p == last) {
                return MEDIA_NOSPACE;
            }

            *p++ = (char) ch;
            continue;
        }

        if (last - p < 3) {
            return MEDIA_NOSPACE;
        }

        *p++ = '%';
        *p++ = digits[ch >> 4];
        *p++ = digits[ch & 15];
    }

    return p - dst;
}


static int
uri_unreserved(unsigned char ch)
{
    return (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z')
           || (ch >= '0' && ch <= '9')
           || ch == '-' || ch == '.' || ch == '_' || ch == '~';
}


ssize_t
media_uri_decode(char *dst, const char *src, size_t len)
{
    int     high, low;
    char   *p;
    size_t  i;

    p = dst;

    for (i = 0; i < len; i++) {

        if (src[i] != '%') {
            *p++ = src[i];
            continue;
        }

        if (len - i < 3) {
            return MEDIA_ERROR;
        }

        high = hex_value((unsigned char) src[i + 1]);
        low = hex_value((unsigned char) src[i + 2]);

        if (high < 0 || low < 0) {
            return MEDIA_ERROR;
        }

        *p++ = (char) (high << 4 | low);
        i += 2;
    }

    return p - dst;
}


ssize_t
media_utf8_count(const char *s, size_t len)
{
    size_t         i, n;
    ssize_t        count;
    unsigned char  ch, min, max;

    count = 0;

    for (i = 0; i < len; i++, count++) {
        ch = (unsigned char) s[i];

        if (ch < 0x80) {
            continue;
        }

        if (ch < 0xc2 || ch > 0xf4) {
            return MEDIA_ERROR;
        }

        n = ch < 0xe0 ? 1 : ch < 0xf0 ? 2 : 3;
        min = ch == 0xe0 ? 0xa0 : ch == 0xf0 ? 0x90 : 0x80;
        max = ch == 0xed ? 0x9f : ch == 0xf4 ? 0x8f : 0xbf;

        if (len - i <= n) {
            return MEDIA_ERROR;
        }

        for ( /* void */ ; n; n--) {
            ch = (unsigned char) s[++i];

            if (ch < min || ch > max) {
                return MEDIA_ERROR;
            }

            min = 0x80;
            max = 0xbf;
        }
    }

    return count;
}


int
media_equal(const void *a, size_t alen, const void *b, size_t blen)
{
    return alen == blen && CRYPTO_memcmp(a, b, alen) == 0;
}
