/*
 * Copyright (C) ngx_media contributors
 *
 * Base64, hexadecimal, percent-encoding and UTF-8: decoding of what was
 * encoded, and base64 in pieces as at once.
 */

#include "fuzz.h"
#include "media_codec.h"


static void check_encoded(media_str_t s);
static void check_base64(media_str_t s);
static void check_uri(media_str_t s);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         *copy;
    media_str_t   s;

    copy = fuzz_copy(data, size);
    media_str_set(&s, copy, size);

    check_encoded(s);
    check_base64(s);
    check_uri(s);
    fuzz_check(media_utf8_count(copy, size) <= (ssize_t) size);

    free(copy);

    return 0;
}


static void
check_encoded(media_str_t s)
{
    char    *text, *back;
    size_t   n;

    text = malloc(3 * s.len + 4);
    back = fuzz_copy(s.data, s.len);
    fuzz_check(text != NULL);

    n = media_base64_encode(text, s.data, s.len);
    fuzz_check(n == MEDIA_BASE64_LEN(s.len));
    fuzz_check(media_base64_decode(back, s.len, text, n) == (ssize_t) s.len
               && memcmp(back, s.data, s.len) == 0);

    n = media_base64url_encode(text, s.data, s.len);
    fuzz_check(n <= MEDIA_BASE64_LEN(s.len));
    fuzz_check(media_base64_decode(back, s.len, text, n) == (ssize_t) s.len
               && memcmp(back, s.data, s.len) == 0);

    media_hex_encode(text, s.data, s.len);
    fuzz_check(media_hex_decode(back, text, 2 * s.len) == MEDIA_OK
               && memcmp(back, s.data, s.len) == 0);
    (void) media_hex_decode(back, s.data, s.len & ~(size_t) 1);

    free(text);
    free(back);
}


static void
check_base64(media_str_t s)
{
    int              rc;
    char            *whole, *p, *piece;
    size_t           n, done;
    ssize_t          len, got;
    uint64_t         seed;
    fuzz_cut_t       cut;
    media_base64_t   ctx;

    whole = malloc(s.len + 3);
    p = malloc(s.len + 3);
    fuzz_check(whole != NULL && p != NULL);

    len = media_base64_decode(whole, s.len + 3, s.data, s.len);
    fuzz_check(len >= MEDIA_NOSPACE && len <= (ssize_t) s.len);

    for (cut = FUZZ_WHOLE; cut < FUZZ_CUTS; cut++) {
        memset(&ctx, 0, sizeof(ctx));
        rc = MEDIA_OK;
        got = 0;
        seed = FUZZ_SUM;

        for (done = 0; done < s.len && rc == MEDIA_OK; done += n) {
            n = fuzz_piece(cut, &seed, (const uint8_t *) s.data + done,
                           s.len - done);
            piece = malloc(n / 4 * 3 + 3);
            fuzz_check(piece != NULL);
            rc = (int) media_base64_update(&ctx, piece, s.data + done, n);

            if (rc > 0) {
                memcpy(p + got, piece, (size_t) rc);
                got += rc;
                rc = MEDIA_OK;
            }

            free(piece);
        }

        rc = rc == MEDIA_OK ? media_base64_finish(&ctx) : rc;

        fuzz_check((rc == MEDIA_OK) == (len >= 0));
        fuzz_check(rc != MEDIA_OK
                   || (got == len && memcmp(p, whole, (size_t) len) == 0));
    }

    free(whole);
    free(p);
}


static void
check_uri(media_str_t s)
{
    char     *text, *back;
    ssize_t   n;

    text = malloc(3 * s.len + 1);
    back = malloc(3 * s.len + 1);
    fuzz_check(text != NULL && back != NULL);

    n = media_uri_encode(text, 3 * s.len, s.data, s.len, 0);
    fuzz_check(n >= (ssize_t) s.len);
    fuzz_check(n == 0 || media_uri_encode(back, (size_t) n - 1, s.data, s.len,
                                          0) == MEDIA_NOSPACE);
    fuzz_check(media_uri_decode(back, text, (size_t) n) == (ssize_t) s.len
               && memcmp(back, s.data, s.len) == 0);

    /* in place */
    memcpy(text, s.data, s.len);
    n = media_uri_decode(back, s.data, s.len);
    fuzz_check(media_uri_decode(text, text, s.len) == n);
    fuzz_check(n < 0 || memcmp(text, back, (size_t) n) == 0);

    free(text);
    free(back);
}
