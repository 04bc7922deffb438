/*
 * Copyright (C) ngx_media contributors
 *
 * Keys of the RFCs, keys and tokens made with OpenSSL, and damage at random,
 * for the tests of tokens and of JWK sets.
 */

#ifndef MEDIA_TEST_JWT_H
#define MEDIA_TEST_JWT_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "media_codec.h"
#include "media_jwt.h"
#include "test.h"


#define NOW          1767225600
#define TOKEN_MAX    65536

/* what the examples of RFC 7515 say: iss is "joe", exp is 1300819380 */
#define RFC_NOW      1300819379
#define RFC_PAYLOAD                                                           \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"    \
    "LmNvbS9pc19yb290Ijp0cnVlfQ"

#define RFC_A1                                                                \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_PAYLOAD                   \
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define RFC_A1_KEY                                                            \
    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"   \
    "-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}"

#define RFC_A2                                                                \
    "eyJhbGciOiJSUzI1NiJ9." RFC_PAYLOAD                                       \
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuH"   \
    "Im4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdi"    \
    "uB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN"    \
    "9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2"    \
    "w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77"    \
    "Rw"
#define RFC_A2_KEY                                                            \
    "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbj"   \
    "i9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC"    \
    "gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5"    \
    "z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qC"    \
    "o5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91"    \
    "kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}"

#define RFC_A3                                                                \
    "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD                                       \
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQ"   \
    "xfKTUJqPP3-Kg6NU1Q"
#define RFC_A3_KEY                                                            \
    "{\"kty\":\"EC\",\"crv\":\"P-256\","                                      \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                  \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"

/* its payload is no JSON: "Example of Ed25519 signing" */
#define RFC_A4                                                                \
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"                \
    ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsP"   \
    "t9g7sVvpAr_MuM0KAg"
#define RFC_A4_KEY                                                            \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","                                   \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

#define SET(keys)  "{\"keys\":[" keys "]}"

#define CLAIMS     "{\"tenant\":\"acme\",\"exp\":1767225660}"


static const char *const  algs[] = { "HS256", "RS256", "ES256", "EdDSA" };
static const unsigned char  secret[] = "0123456789abcdef0123456789abcdef";

static EVP_PKEY  *pkeys[4];


static inline size_t
encode(char *dst, const void *src, size_t len)
{
    size_t  i, n;

    n = media_base64_encode(dst, src, len);

    for (i = 0; i < n && dst[i] != '='; i++) {
        dst[i] = dst[i] == '+' ? '-' : dst[i] == '/' ? '_' : dst[i];
    }

    dst[i] = '\0';

    return i;
}


static inline media_jwt_keys_t *
keys_of(const char *text, char *error)
{
    static char  ignored[MEDIA_JWT_ERROR_MAX];

    return media_jwt_keys_create(str(text), error ? error : ignored);
}


static inline int
verify_at(const media_jwt_keys_t *keys, const char *claim, media_str_t token,
    time_t now, char *tenant)
{
    media_jwt_rules_t  rules;

    memset(&rules, 0, sizeof(rules));
    rules.claim = str(claim);

    return media_jwt_verify(keys, &rules, token, now, tenant);
}


static inline int
verify(const media_jwt_keys_t *keys, const char *token)
{
    char  tenant[MEDIA_JWT_TENANT_MAX + 1];

    return verify_at(keys, "tenant", str(token), NOW, tenant);
}


static inline void
make_keys(void)
{
    pkeys[1] = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 2048);
    pkeys[2] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    pkeys[3] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}


static inline void
free_keys(void)
{
    int  i;

    for (i = 0; i < 4; i++) {
        EVP_PKEY_free(pkeys[i]);
    }
}


static inline size_t
jwk_bn(char *dst, EVP_PKEY *pkey, const char *name)
{
    int            n;
    BIGNUM        *bn;
    unsigned char  raw[1024];

    bn = NULL;
    EVP_PKEY_get_bn_param(pkey, name, &bn);
    n = BN_bn2bin(bn, raw);
    BN_free(bn);

    return encode(dst, raw, (size_t) n);
}


/* the public key as a JWK with a kid */
static inline void
make_jwk(char *dst, int alg, const char *kid)
{
    char           x[1024], y[1024];
    size_t         n;
    unsigned char  raw[128];

    switch (alg) {

    case 0:
        encode(x, secret, 32);
        sprintf(dst, "{\"kty\":\"oct\",\"k\":\"%s\"", x);
        break;

    case 1:
        jwk_bn(x, pkeys[1], OSSL_PKEY_PARAM_RSA_N);
        jwk_bn(y, pkeys[1], OSSL_PKEY_PARAM_RSA_E);
        sprintf(dst, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", x, y);
        break;

    case 2:
        EVP_PKEY_get_octet_string_param(pkeys[2], OSSL_PKEY_PARAM_PUB_KEY,
                                        raw, sizeof(raw), &n);
        encode(x, raw + 1, 32);
        encode(y, raw + 33, 32);
        sprintf(dst, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\","
                "\"y\":\"%s\"", x, y);
        break;

    default:
        n = sizeof(raw);
        EVP_PKEY_get_raw_public_key(pkeys[3], raw, &n);
        encode(x, raw, n);
        sprintf(dst, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", x);
    }

    if (kid != NULL) {
        sprintf(dst + strlen(dst), ",\"kid\":\"%s\"", kid);
    }

    strcat(dst, "}");
}


/* a set of all four, named as their algorithms */
static inline media_jwt_keys_t *
make_set(int named)
{
    int   i;
    char  text[8192], error[MEDIA_JWT_ERROR_MAX];

    strcpy(text, "{\"keys\":[");

    for (i = 0; i < 4; i++) {
        make_jwk(text + strlen(text), i, named ? algs[i] : NULL);
        strcat(text, i < 3 ? "," : "]}");
    }

    return keys_of(text, error);
}


static inline size_t
sign_es256(unsigned char *signature, const unsigned char *der, size_t len)
{
    ECDSA_SIG  *sig;

    sig = d2i_ECDSA_SIG(NULL, &der, (long) len);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + 32, 32);
    ECDSA_SIG_free(sig);

    return 64;
}


static inline void
make_token(char *dst, int alg, const char *header, const char *payload)
{
    size_t          n, len;
    unsigned        hlen;
    EVP_MD_CTX     *ctx;
    unsigned char   signature[1024], der[1024];

    n = encode(dst, header, strlen(header));
    dst[n++] = '.';
    n += encode(dst + n, payload, strlen(payload));

    if (alg == 0) {
        HMAC(EVP_sha256(), secret, 32, (unsigned char *) dst, n, signature,
             &hlen);
        len = hlen;

    } else {
        ctx = EVP_MD_CTX_new();
        len = sizeof(der);
        EVP_DigestSignInit(ctx, NULL, alg == 3 ? NULL : EVP_sha256(), NULL,
                           pkeys[alg]);
        EVP_DigestSign(ctx, der, &len, (unsigned char *) dst, n);
        EVP_MD_CTX_free(ctx);
        memcpy(signature, der, len);

        if (alg == 2) {
            len = sign_es256(signature, der, len);
        }
    }

    dst[n++] = '.';
    encode(dst + n, signature, len);
}


/* a few bytes are changed, left out or put in */
static inline size_t
mutate(char *dst, const char *src, size_t len, uint64_t *seed)
{
    size_t    n, at;
    uint64_t  r;

    static const char  bytes[] = "AQgw_-.=ab{}[]\":,\\0e \n\xff";

    memcpy(dst, src, len);

    for (n = 1 + test_random(seed) % 4; n > 0 && len > 1; n--) {
        r = test_random(seed);
        at = (r >> 8) % len;

        switch (r % 4) {

        case 0:
            memmove(dst + at, dst + at + 1, len - at - 1);
            len--;
            break;

        case 1:
            memmove(dst + at + 1, dst + at, len - at);
            dst[at] = bytes[(r >> 40) % sizeof(bytes)];
            len++;
            break;

        case 2:
            dst[at] = (char) (dst[at] ^ (1 << (r >> 40) % 8));
            break;

        default:
            dst[at] = bytes[(r >> 40) % sizeof(bytes)];
        }
    }

    return len;
}

#endif
