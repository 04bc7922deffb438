/*
 * Copyright (C) ngx_media contributors
 *
 * JWK sets: what is used of them, skipped and refused.
 */

#include "test_jwt.h"


#define FUZZ_ROUNDS  2000


static void
test_sets(void)
{
    char               error[MEDIA_JWT_ERROR_MAX];
    size_t             i;
    media_jwt_keys_t  *keys;

    /* NULL: accepted; else what the error says */

    static const struct {
        const char  *text;
        const char  *error;
        int          private;
    } cases[] = {
        { SET(RFC_A1_KEY), NULL, 1 },
        { SET(RFC_A2_KEY "," RFC_A3_KEY "," RFC_A4_KEY), NULL, 0 },
        { "{\"a\":[{\"keys\":1}],\"keys\":[" RFC_A4_KEY "],\"b\":{}}", NULL,
          0 },
        { SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"AA\",\"x\":"
              "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"), NULL, 1 },
        { SET("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"d\":\"AA\"},"
              RFC_A4_KEY), NULL, 1 },
        { SET("{\"kty\":\"new\"}," RFC_A4_KEY), NULL, 0 },
        { SET("{\"kty\":\"EC\",\"crv\":\"P-384\"}," RFC_A4_KEY), NULL, 0 },
        { SET("{\"kty\":\"RSA\",\"alg\":\"RS512\"}," RFC_A4_KEY), NULL, 0 },
        { SET("{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\"}," RFC_A4_KEY), NULL,
          0 },
        { SET("{\"kty\":\"RSA\",\"use\":\"enc\"}," RFC_A4_KEY), NULL, 0 },
        { SET("{\"kty\":\"EC\",\"key_ops\":[\"sign\"]}," RFC_A4_KEY), NULL,
          0 },
        { SET("{\"key_ops\":[\"sign\",\"verify\"],\"use\":\"sig\","
              "\"alg\":\"EdDSA\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
              "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"), NULL, 0 },
        { "", "empty", 0 },
        { " ", "not JSON", 0 },
        { "{", "not JSON", 0 },
        { "-----BEGIN PUBLIC KEY-----", "not JSON", 0 },
        { "{}", "no \"keys\"", 0 },
        { RFC_A4_KEY, "no \"keys\"", 0 },
        { "[" RFC_A4_KEY "]", "not a JWK set", 0 },
        { "\"keys\"", "not a JWK set", 0 },
        { "{\"keys\":" RFC_A4_KEY "}", "not a JWK set", 0 },
        { "{\"keys\":{\"a\":" RFC_A4_KEY "}}", "not a JWK set", 0 },
        { "{\"keys\":[[" RFC_A4_KEY "]]}", "not a JWK set", 0 },
        { "{\"keys\":[1]}", "not a JWK set", 0 },
        { "{\"keys\":null}", "not a JWK set", 0 },
        { "{\"keys\":[],\"keys\":[" RFC_A4_KEY "]}", "twice", 0 },
        { SET(""), "no key of it", 0 },
        { SET("{\"kty\":\"RSA\",\"alg\":\"PS256\"}"), "no key of it", 0 },
        { SET("{}"), "key 1 has no \"kty\"", 0 },
        { SET(RFC_A4_KEY ",{\"kty\":1}"), "key 2 has no \"kty\"", 0 },
        { SET("{\"kty\":\"EC\",\"kty\":\"EC\"}"), "twice", 0 },
        { SET("{\"kty\":\"oct\",\"k\":\"AAAA\"}"), "less than 32 bytes", 0 },
        { SET("{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
              "AAAAAAAAA\"}"), "less than 32 bytes", 0 },
        { SET("{\"kty\":\"oct\",\"k\":\"A+/=\"}"), "not base64url", 0 },
        { SET("{\"kty\":\"oct\"}"), "no \"k\"", 0 },
        { SET("{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"AA\"}"),
          "not for its \"kty\"", 0 },
        { SET("{\"kty\":\"RSA\",\"alg\":\"HS256\"}"), "not for its \"kty\"",
          0 },
        { SET("{\"kty\":\"EC\",\"alg\":\"EdDSA\"}"), "not for its \"kty\"",
          0 },
        { SET("{\"kty\":\"OKP\",\"alg\":\"ES256\"}"), "not for its \"kty\"",
          0 },
        { SET("{\"kty\":\"EC\",\"alg\":\"ES256\",\"crv\":\"P-384\"}"),
          "P-256", 0 },
        { SET("{\"kty\":\"RSA\",\"alg\":\"none\"}"), "no algorithm", 0 },
        { SET("{\"kty\":\"RSA\",\"alg\":1}"), "no algorithm", 0 },
        { SET("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"),
          "less than 2048 bits", 0 },
        { SET("{\"kty\":\"RSA\",\"e\":\"AQAB\"}"), "no \"n\"", 0 },
        { SET("{\"kty\":\"EC\",\"crv\":\"P-256\"}"), "not a point", 0 },
        { SET("{\"kty\":\"EC\",\"crv\":\"P-256\","
              "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
              "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}"),
          "not a point", 0 },
        { SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"),
          "not an Ed25519 key", 0 },
        { SET("{\"kid\":7,\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
              "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"), "\"kid\"",
          0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        keys = keys_of(cases[i].text, error);

        if (cases[i].error == NULL) {
            ok(keys != NULL, "set %s: %s", cases[i].text, error);
            ok(keys && media_jwt_keys_private(keys) == cases[i].private,
               "set %s: private", cases[i].text);

        } else {
            ok(keys == NULL && strstr(error, cases[i].error) != NULL,
               "set %s: %s", cases[i].text, error);
        }

        media_jwt_keys_free(keys);
    }

    media_jwt_keys_free(NULL);
}


/* RSA with a modulus of 2048 bits and an exponent of 1 verifies anything */
static void
test_exponents(void)
{
    char               text[2048], n[1024], error[MEDIA_JWT_ERROR_MAX];
    size_t             i;
    media_jwt_keys_t  *keys;

    static const struct {
        const char  *e;
        int          accepted;
    } cases[] = {
        { "AQAB", 1 }, { "Aw", 1 }, { "AQ", 0 }, { "AAAB", 0 }, { "AA", 0 },
        { "Ag", 0 }, { "AQABAQABAQAB", 0 }
    };

    jwk_bn(n, pkeys[1], OSSL_PKEY_PARAM_RSA_N);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sprintf(text, SET("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}"), n,
                cases[i].e);
        keys = keys_of(text, error);
        ok((keys != NULL) == cases[i].accepted, "exponent %s: %s",
           cases[i].e, error);
        media_jwt_keys_free(keys);
    }
}


static void
test_rotation(void)
{
    int                rc;
    char               text[8192], token[TOKEN_MAX];
    media_jwt_keys_t  *keys;

    /* another key of the same name, and of none, before the right one */

    strcpy(text, "{\"keys\":["
           "{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzK"
           "ObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"},"
           RFC_A1_KEY ",");
    make_jwk(text + strlen(text), 0, "k");
    strcat(text, "]}");

    keys = keys_of(text, NULL);

    make_token(token, 0, "{\"alg\":\"HS256\",\"kid\":\"k\"}", CLAIMS);
    rc = verify(keys, token);
    ok(rc == MEDIA_OK, "two keys of a name: %d", rc);

    make_token(token, 0, "{\"alg\":\"HS256\"}", CLAIMS);
    rc = verify(keys, token);
    ok(rc == MEDIA_OK, "no name: %d", rc);

    make_token(token, 0, "{\"alg\":\"HS256\",\"kid\":\"\"}", CLAIMS);
    rc = verify(keys, token);
    ok(rc == MEDIA_JWT_SIGNATURE, "an empty name: %d", rc);

    media_jwt_keys_free(keys);
}


static void
test_fuzz(void)
{
    int                i, accepted;
    char               other[TOKEN_MAX], error[MEDIA_JWT_ERROR_MAX];
    size_t             len;
    uint64_t           seed;
    media_str_t        text;
    media_jwt_keys_t  *keys;

    static const char  set[] =
        SET(RFC_A1_KEY "," RFC_A2_KEY "," RFC_A3_KEY "," RFC_A4_KEY);

    seed = 0x6a776b735f66757aULL;

    for (i = 0, accepted = 0; i < FUZZ_ROUNDS; i++) {
        len = mutate(other, set, sizeof(set) - 1, &seed);
        media_str_set(&text, other, len);

        keys = media_jwt_keys_create(text, error);
        accepted += (keys != NULL);

        if (keys == NULL && error[0] == '\0') {
            break;
        }

        media_jwt_keys_free(keys);
    }

    ok(i == FUZZ_ROUNDS, "a set is refused without a reason");
    ok(accepted > 0, "no damaged set is accepted");
}


int
main(void)
{
    make_keys();

    test_sets();
    test_exponents();
    test_rotation();
    test_fuzz();

    free_keys();

    return test_done();
}
