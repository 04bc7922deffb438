/*
 * Copyright (C) ngx_media contributors
 *
 * The token of an upload.  The input is verified as a token, and, as claims
 * that are signed; what was accepted is written as the same claims again.
 */

#include "fuzz.h"
#include "media_upload.h"


#define NOW  1767225600


static const media_sign_key_t  keys[] = {
    { media_str("main"), media_str("0123456789abcdef0123456789abcdef") },
    { media_str("old"), media_str("fedcba9876543210fedcba9876543210") }
};

static const media_str_t  tenant = media_str("acme");


static void check_upload(const media_upload_t *u);
static void check_changes(char *token, size_t len);


static media_upload_error_t
verify(media_upload_t *u, char *buf, const char *token, size_t len,
    size_t nkeys)
{
    media_str_t  s;

    media_str_set(&s, token, len);

    return media_upload_verify(u, buf, len, keys, nkeys, s, tenant, NOW);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                  *copy, *buf;
    ssize_t                len;
    media_str_t            claims;
    media_upload_t         u;
    media_upload_error_t   error;

    static char  token[MEDIA_UPLOAD_TOKEN_MAX];

    copy = fuzz_copy(data, size);
    buf = fuzz_copy("", 0);
    buf = realloc(buf, MEDIA_UPLOAD_TOKEN_MAX);
    fuzz_check(buf != NULL);

    /* nobody but us can sign */
    fuzz_check(verify(&u, buf, copy, size, 2) == MEDIA_UPLOAD_TOKEN_INVALID);

    media_str_set(&claims, copy, size);
    len = media_upload_token(token, sizeof(token), &keys[0], claims);

    if (len > 0) {
        free(buf);
        buf = malloc((size_t) len);
        fuzz_check(buf != NULL);

        error = verify(&u, buf, token, (size_t) len, 2);
        fuzz_check(error == MEDIA_UPLOAD_OK
                   || error == MEDIA_UPLOAD_TOKEN_INVALID
                   || error == MEDIA_UPLOAD_TOKEN_EXPIRED);

        if (error == MEDIA_UPLOAD_OK) {
            fuzz_check(u.tenant.len == tenant.len);
            fuzz_check(u.expires + MEDIA_UPLOAD_GRACE >= NOW);
        }

        if (error != MEDIA_UPLOAD_TOKEN_INVALID) {
            check_upload(&u);
            check_changes(token, (size_t) len);
        }
    }

    free(copy);
    free(buf);

    return 0;
}


/* written and read again it is the same */
static void
check_upload(const media_upload_t *u)
{
    char            *buf;
    ssize_t          len, n;
    media_str_t      s;
    media_upload_t   again;

    static char  claims[MEDIA_UPLOAD_CLAIMS_MAX * 2];
    static char  second[MEDIA_UPLOAD_CLAIMS_MAX * 2];
    static char  token[MEDIA_UPLOAD_TOKEN_MAX];

    fuzz_check(u->kind != MEDIA_KIND_NONE);
    fuzz_check(memchr(u->file_key, '\0', sizeof(u->file_key)) != NULL);

    len = media_upload_claims(claims, sizeof(claims), u);
    if (len < 0) {
        return;
    }

    media_str_set(&s, claims, (size_t) len);
    n = media_upload_token(token, sizeof(token), &keys[1], s);
    if (n < 0) {
        return;
    }

    buf = malloc((size_t) n);
    fuzz_check(buf != NULL);

    fuzz_check(verify(&again, buf, token, (size_t) n, 2)
               != MEDIA_UPLOAD_TOKEN_INVALID);
    fuzz_check(media_upload_claims(second, sizeof(second), &again) == len);
    fuzz_check(memcmp(claims, second, (size_t) len) == 0);

    /* a key that is no longer listed */
    fuzz_check(verify(&again, buf, token, (size_t) n, 1)
               == MEDIA_UPLOAD_TOKEN_INVALID);

    free(buf);
}


static void
check_changes(char *token, size_t len)
{
    char            *other;
    size_t           i;
    media_upload_t   u;

    other = malloc(len);
    fuzz_check(other != NULL);

    for (i = 0; i < len; i += len / 5 + 1) {
        token[i] ^= 1;
        fuzz_check(verify(&u, other, token, len, 2)
                   == MEDIA_UPLOAD_TOKEN_INVALID);
        token[i] ^= 1;
    }

    fuzz_check(verify(&u, other, token, len - 1, 2)
               == MEDIA_UPLOAD_TOKEN_INVALID);
    free(other);
}
