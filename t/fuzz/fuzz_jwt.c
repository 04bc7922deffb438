/*
 * Copyright (C) ngx_media contributors
 *
 * Tokens of a JWT issuer: the input as a token, and its first two lines as
 * header and claims that we sign.  Only what is signed is accepted.
 */

#include <openssl/hmac.h>

#include "fuzz.h"
#include "media_codec.h"
#include "media_jwt.h"


#define NOW     1767225600
#define SECRET  "0123456789abcdef0123456789abcdef"
#define SET                                                                   \
    "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\","                          \
    "\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"},"                 \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\","                       \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                  \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"                 \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","                    \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"


static const media_jwt_rules_t  rules = {
    media_str("https://issuer.example"), media_str("media"),
    media_str("tenant"), 60
};


static int verify(media_jwt_keys_t *keys, const char *token, size_t len);
static size_t make(char *dst, media_str_t header, media_str_t claims);
static void check_changes(media_jwt_keys_t *keys, char *token, size_t len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                       rc;
    char                     *copy, error[MEDIA_JWT_ERROR_MAX];
    size_t                    len;
    media_str_t               in, header;

    static char               token[4 * MEDIA_JWT_MAX];
    static media_jwt_keys_t  *keys;

    if (keys == NULL) {
        keys = media_jwt_keys_create(fuzz_text(SET), error);
        fuzz_check(keys != NULL);
    }

    copy = fuzz_copy(data, size);
    rc = verify(keys, copy, size);
    fuzz_check(rc != MEDIA_OK);

    media_str_set(&in, copy, size);
    header = fuzz_cut(&in, '\n');

    if (size < MEDIA_JWT_MAX) {
        len = make(token, header, in);
        rc = verify(keys, token, len);

        if (rc == MEDIA_OK) {
            check_changes(keys, token, len);
        }
    }

    free(copy);

    return 0;
}


static int
verify(media_jwt_keys_t *keys, const char *token, size_t len)
{
    int          rc;
    char         tenant[MEDIA_JWT_TENANT_MAX + 1];
    media_str_t  s;

    media_str_set(&s, token, len);
    rc = media_jwt_verify(keys, &rules, s, NOW, tenant);

    fuzz_check(media_jwt_reason(rc) != NULL);
    fuzz_check(rc == MEDIA_OK
               ? media_jwt_tenant_check(fuzz_text(tenant)) == MEDIA_OK
               : tenant[0] == '\0');

    return rc;
}


static size_t
make(char *dst, media_str_t header, media_str_t claims)
{
    size_t         n;
    unsigned       len;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    n = media_base64url_encode(dst, header.data, header.len);
    dst[n++] = '.';
    n += media_base64url_encode(dst + n, claims.data, claims.len);

    fuzz_check(HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1,
                    (unsigned char *) dst, n, digest, &len) != NULL);
    dst[n++] = '.';

    return n + media_base64url_encode(dst + n, digest, len);
}


static void
check_changes(media_jwt_keys_t *keys, char *token, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i += len / 7 + 1) {
        token[i] ^= 1;
        fuzz_check(verify(keys, token, len) != MEDIA_OK);
        token[i] ^= 1;
    }

    fuzz_check(verify(keys, token, len - 1) != MEDIA_OK);
    fuzz_check(verify(keys, token, len) == MEDIA_OK);
}
