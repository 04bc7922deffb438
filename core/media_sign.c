/*
 * Copyright (C) ngx_media contributors
 */

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "media_codec.h"
#include "media_key.h"
#include "media_sign.h"


#define MEDIA_SIGN_TEXT_MAX  (MEDIA_KEY_MAX + 64)
#define MEDIA_SIGN_DIGEST    32


int
media_sign_check(const media_sign_key_t *k)
{
    size_t  i;
    char    ch;

    if (k->id.len == 0 || k->id.len > MEDIA_SIGN_ID_MAX
        || k->secret.len < MEDIA_SIGN_SECRET_MIN)
    {
        return MEDIA_ERROR;
    }

    for (i = 0; i < k->id.len; i++) {
        ch = k->id.data[i];

        if (!((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
              || (ch >= 'a' && ch <= 'z') || ch == '_' || ch == '-'))
        {
            return MEDIA_ERROR;
        }
    }

    return MEDIA_OK;
}


int
media_sign(char dst[MEDIA_SIGN_LEN], const media_sign_key_t *k,
    media_str_t key, time_t expires)
{
    int            n;
    char           text[MEDIA_SIGN_TEXT_MAX];
    char           base64[MEDIA_BASE64_LEN(MEDIA_SIGN_DIGEST)];
    unsigned       len;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    if (key.len > MEDIA_KEY_MAX) {
        return MEDIA_ERROR;
    }

    n = snprintf(text, sizeof(text), "media-url-1\n%lld\n",
                 (long long) expires);
    memcpy(text + n, key.data, key.len);

    if (HMAC(EVP_sha256(), k->secret.data, (int) k->secret.len,
             (unsigned char *) text, n + key.len, digest, &len)
        == NULL)
    {
        return MEDIA_ERROR;
    }

    media_base64url_encode(base64, digest, MEDIA_SIGN_DIGEST);
    memcpy(dst, base64, MEDIA_SIGN_LEN);

    return MEDIA_OK;
}


ssize_t
media_sign_query(char *dst, size_t size, const media_sign_key_t *k,
    media_str_t key, time_t expires)
{
    int   n;
    char  signature[MEDIA_SIGN_LEN];

    if (media_sign(signature, k, key, expires) != MEDIA_OK) {
        return MEDIA_ERROR;
    }

    n = snprintf(dst, size, "?expires=%lld&key_id=%.*s&signature=%.*s",
                 (long long) expires, (int) k->id.len, k->id.data,
                 MEDIA_SIGN_LEN, signature);

    if (n < 0) {
        return MEDIA_ERROR;
    }

    return (size_t) n < size ? n : MEDIA_NOSPACE;
}


int
media_sign_verify(const media_sign_key_t *k, media_str_t key, time_t expires,
    media_str_t signature)
{
    char  expected[MEDIA_SIGN_LEN];

    if (media_sign(expected, k, key, expires) != MEDIA_OK) {
        return MEDIA_ERROR;
    }

    return media_equal(expected, MEDIA_SIGN_LEN, signature.data,
                       signature.len)
           ? MEDIA_OK : MEDIA_ERROR;
}
