/*
 * Copyright (C) ngx_media contributors
 *
 * Tokens of RFC 7515 (A.1 to A.3) and RFC 8037 (A.4), tokens made here with
 * OpenSSL, and both damaged at random.
 */

#include <openssl/err.h>

#include "test_jwt.h"


#define FUZZ_ROUNDS  20000

static void
test_vectors(void)
{
    int                rc;
    char               tenant[MEDIA_JWT_TENANT_MAX + 1];
    char               damaged[4096];
    size_t             i, n;
    media_jwt_keys_t  *keys;

    static const struct {
        const char  *name;
        const char  *token;
        const char  *set;
        int          rc;
    } cases[] = {
        { "RFC 7515 A.1", RFC_A1, SET(RFC_A1_KEY), MEDIA_OK },
        { "RFC 7515 A.2", RFC_A2, SET(RFC_A2_KEY), MEDIA_OK },
        { "RFC 7515 A.3", RFC_A3, SET(RFC_A3_KEY), MEDIA_OK },
        { "RFC 8037 A.4", RFC_A4, SET(RFC_A4_KEY), MEDIA_JWT_CLAIMS },
        { "A.1, all keys", RFC_A1, SET(RFC_A4_KEY "," RFC_A3_KEY ","
                                       RFC_A2_KEY "," RFC_A1_KEY), MEDIA_OK },
        { "A.3, wrong key", RFC_A3, SET(RFC_A2_KEY), MEDIA_JWT_ALGORITHM },
        { "A.4, wrong key", RFC_A4, SET(RFC_A3_KEY), MEDIA_JWT_ALGORITHM }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        keys = keys_of(cases[i].set, NULL);
        ok(keys != NULL, "%s: keys", cases[i].name);

        rc = verify_at(keys, "iss", str(cases[i].token), RFC_NOW, tenant);
        ok(rc == cases[i].rc, "%s: %d", cases[i].name, rc);
        ok(strcmp(tenant, rc == MEDIA_OK ? "joe" : "") == 0, "%s: tenant",
           cases[i].name);

        if (cases[i].rc == MEDIA_OK) {
            rc = verify_at(keys, "iss", str(cases[i].token), RFC_NOW + 1,
                           tenant);
            ok(rc == MEDIA_JWT_EXPIRED, "%s: expired", cases[i].name);
        }

        strcpy(damaged, cases[i].token);
        n = strlen(damaged) - 10;
        damaged[n] = damaged[n] == 'A' ? 'B' : 'A';
        rc = verify_at(keys, "iss", str(damaged), RFC_NOW, tenant);
        ok(rc == (cases[i].rc == MEDIA_JWT_ALGORITHM ? MEDIA_JWT_ALGORITHM
                                                     : MEDIA_JWT_SIGNATURE),
           "%s: damaged: %d", cases[i].name, rc);

        media_jwt_keys_free(keys);
    }

    ok(ERR_peek_error() == 0, "nothing is left in OpenSSL's queue");
}


static void
test_algorithms(void)
{
    int                rc, signer, named, claimed;
    char               header[256], token[TOKEN_MAX];
    media_jwt_keys_t  *keys;

    for (named = 0; named < 2; named++) {
        keys = make_set(named);
        ok(keys != NULL && media_jwt_keys_private(keys), "set %d", named);

        /* the header says one thing, the signature is of another key */

        for (signer = 0; signer < 4; signer++) {
            for (claimed = 0; claimed < 4; claimed++) {
                sprintf(header, "{\"alg\":\"%s\"}", algs[claimed]);
                make_token(token, signer, header, CLAIMS);
                rc = verify(keys, token);
                ok(rc == (signer == claimed ? MEDIA_OK : MEDIA_JWT_SIGNATURE),
                   "%s by %s: %d", algs[claimed], algs[signer], rc);

                sprintf(header, "{\"alg\":\"%s\",\"kid\":\"%s\"}",
                        algs[claimed], algs[signer]);
                make_token(token, signer, header, CLAIMS);
                rc = verify(keys, token);
                ok(rc == (signer == claimed ? MEDIA_OK
                          : named ? MEDIA_JWT_ALGORITHM
                                  : MEDIA_JWT_SIGNATURE),
                   "%s by %s, kid: %d", algs[claimed], algs[signer], rc);
            }
        }

        make_token(token, 3, "{\"alg\":\"EdDSA\",\"kid\":\"x\"}", CLAIMS);
        rc = verify(keys, token);
        ok(rc == (named ? MEDIA_JWT_KEY : MEDIA_OK), "unknown kid: %d", rc);

        media_jwt_keys_free(keys);
    }
}


static void
test_headers(void)
{
    int                rc;
    char               token[TOKEN_MAX];
    size_t             i;
    media_jwt_keys_t  *keys;

    static const struct {
        const char  *header;
        int          rc;
    } cases[] = {
        { "{\"alg\":\"HS256\"}", MEDIA_OK },
        { " {\"typ\":\"JWT\", \"alg\":\"HS256\"}\n", MEDIA_OK },
        { "{\"typ\":\"at+jwt\",\"alg\":\"HS256\"}", MEDIA_OK },
        { "{\"\\u0061lg\":\"HS\\u003256\"}", MEDIA_OK },
        { "{\"alg\":\"HS256\",\"jku\":\"http://a/\",\"jwk\":{\"k\":\"\"}}",
          MEDIA_OK },
        { "{\"alg\":\"HS256\",\"cty\":\"json\"}", MEDIA_OK },
        { "{\"alg\":\"HS256\",\"x\":{\"alg\":\"none\",\"alg\":1}}",
          MEDIA_OK },
        { "{\"alg\":\"none\"}", MEDIA_JWT_ALGORITHM },
        { "{\"alg\":\"\"}", MEDIA_JWT_ALGORITHM },
        { "{\"alg\":\"hs256\"}", MEDIA_JWT_ALGORITHM },
        { "{\"alg\":\"HS256\\u0000\"}", MEDIA_JWT_ALGORITHM },
        { "{\"alg\":\"HS512\"}", MEDIA_JWT_ALGORITHM },
        { "{}", MEDIA_JWT_HEADER },
        { "{\"alg\":null}", MEDIA_JWT_HEADER },
        { "{\"alg\":256}", MEDIA_JWT_HEADER },
        { "{\"alg\":[\"HS256\"]}", MEDIA_JWT_HEADER },
        { "{\"alg\":\"HS256\",\"kid\":7}", MEDIA_JWT_HEADER },
        { "{\"alg\":\"HS256\",\"typ\":{}}", MEDIA_JWT_HEADER },
        { "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", MEDIA_JWT_HEADER },
        { "{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", MEDIA_JWT_HEADER },
        { "[\"alg\",\"HS256\"]", MEDIA_JWT_HEADER },
        { "[{\"alg\":\"HS256\"}]", MEDIA_JWT_HEADER },
        { "\"alg\"", MEDIA_JWT_HEADER },
        { "{\"alg\":\"HS256\"", MEDIA_JWT_HEADER },
        { "{\"alg\":\"HS256\"}{}", MEDIA_JWT_HEADER },
        { "{\"alg\":\"HS256\",}", MEDIA_JWT_HEADER },
        { "{\"alg\":\"HS256\",\"a\":\"\xff\"}", MEDIA_JWT_HEADER },
        { "{\"alg\":\"HS256\",\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}",
          MEDIA_JWT_HEADER },
        { "", MEDIA_JWT_FORMAT },
        { "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}",
          MEDIA_JWT_CRITICAL },
        { "{\"alg\":\"HS256\",\"crit\":null}", MEDIA_JWT_CRITICAL },
        { "{\"alg\":\"HS256\",\"cty\":\"JWT\"}", MEDIA_JWT_NESTED },
        { "{\"alg\":\"HS256\",\"cty\":\"jwt\"}", MEDIA_JWT_NESTED },
        { "{\"alg\":\"HS256\",\"cty\":\"application/jwt\"}",
          MEDIA_JWT_NESTED }
    };

    keys = make_set(1);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_token(token, 0, cases[i].header, CLAIMS);
        rc = verify(keys, token);
        ok(rc == cases[i].rc, "header %s: %d", cases[i].header, rc);
    }

    media_jwt_keys_free(keys);
}


static void
test_claims(void)
{
    int                rc;
    char               token[TOKEN_MAX], tenant[MEDIA_JWT_TENANT_MAX + 1];
    size_t             i;
    media_jwt_keys_t  *keys;
    media_jwt_rules_t  rules;

    /* issuer and audience of the rules are of one letter, or none */

    static const struct {
        const char  *payload;
        const char  *issuer;
        const char  *audience;
        int          leeway;
        int          rc;
    } cases[] = {
        { CLAIMS, "", "", 0, MEDIA_OK },
        { "{\"tenant\":\"acme\"}", "", "", 0, MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":null}", "", "", 0, MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":\"1767225660\"}", "", "", 0,
          MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":[1767225660]}", "", "", 0,
          MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":1767225601}", "", "", 0, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1767225600}", "", "", 0,
          MEDIA_JWT_EXPIRED },
        { "{\"tenant\":\"acme\",\"exp\":1767225600.5}", "", "", 0, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1.767225601e9}", "", "", 0,
          MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":17672256010E-1}", "", "", 0,
          MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":17672256000E-1}", "", "", 0,
          MEDIA_JWT_EXPIRED },
        { "{\"tenant\":\"acme\",\"exp\":-1767225660}", "", "", 0,
          MEDIA_JWT_EXPIRED },
        { "{\"tenant\":\"acme\",\"exp\":0}", "", "", 0, MEDIA_JWT_EXPIRED },
        { "{\"tenant\":\"acme\",\"exp\":0e99999}", "", "", 0,
          MEDIA_JWT_EXPIRED },
        { "{\"tenant\":\"acme\",\"exp\":1e-99999}", "", "", 0,
          MEDIA_JWT_EXPIRED },
        { "{\"tenant\":\"acme\",\"exp\":1e99999}", "", "", 0,
          MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":9007199254740993}", "", "", 0,
          MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":9007199254741993}", "", "", 0,
          MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":1767225590}", "", "", 11, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1767225590}", "", "", 10,
          MEDIA_JWT_EXPIRED },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"nbf\":1767225600}", "",
          "", 0, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"nbf\":1767225600.1}",
          "", "", 0, MEDIA_JWT_EARLY },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"nbf\":1767225610}", "",
          "", 10, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"nbf\":1767225611}", "",
          "", 10, MEDIA_JWT_EARLY },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"nbf\":null}", "", "", 0,
          MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"nbf\":\"0\"}", "", "", 0,
          MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"iat\":\"no\"}", "", "",
          0, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"iss\":\"i\"}", "i", "",
          0, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"iss\":\"i\"}", "", "",
          0, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"iss\":\"j\"}", "i", "",
          0, MEDIA_JWT_ISSUER },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"iss\":[\"i\"]}", "i", "",
          0, MEDIA_JWT_ISSUER },
        { CLAIMS, "i", "", 0, MEDIA_JWT_ISSUER },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"aud\":\"a\"}", "", "a",
          0, MEDIA_OK },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"aud\":[\"b\",\"a\"]}",
          "", "a", 0, MEDIA_OK },
        { "{\"aud\":[1,{\"a\":\"a\"},[\"a\"],null,\"a\"],"
          "\"tenant\":\"acme\",\"exp\":1767225660}", "", "a", 0, MEDIA_OK },
        { "{\"aud\":[1,{\"a\":\"a\"},[\"a\"],null],"
          "\"tenant\":\"acme\",\"exp\":1767225660}", "", "a", 0,
          MEDIA_JWT_AUDIENCE },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"aud\":[]}", "", "a", 0,
          MEDIA_JWT_AUDIENCE },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"aud\":\"b\"}", "", "a",
          0, MEDIA_JWT_AUDIENCE },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"aud\":{\"a\":\"a\"}}",
          "", "a", 0, MEDIA_JWT_AUDIENCE },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"x\":[\"a\"],"
          "\"aud\":[\"b\"]}", "", "a", 0, MEDIA_JWT_AUDIENCE },
        { CLAIMS, "", "a", 0, MEDIA_JWT_AUDIENCE },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"aud\":\"a\"}", "", "", 0,
          MEDIA_JWT_AUDIENCE },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"aud\":null}", "", "", 0,
          MEDIA_JWT_AUDIENCE },
        { "{\"exp\":1767225660}", "", "", 0, MEDIA_JWT_TENANT },
        { "{\"tenant\":\"\",\"exp\":1767225660}", "", "", 0,
          MEDIA_JWT_TENANT },
        { "{\"tenant\":null,\"exp\":1767225660}", "", "", 0,
          MEDIA_JWT_TENANT },
        { "{\"tenant\":1,\"exp\":1767225660}", "", "", 0, MEDIA_JWT_TENANT },
        { "{\"tenant\":[\"acme\"],\"exp\":1767225660}", "", "", 0,
          MEDIA_JWT_TENANT },
        { "{\"x\":{\"tenant\":\"acme\"},\"exp\":1767225660}", "", "", 0,
          MEDIA_JWT_TENANT },
        { "{\"tenant\":\"a/b\",\"exp\":1767225660}", "", "", 0,
          MEDIA_JWT_TENANT },
        { "{\"tenant\":\"..\",\"exp\":1767225660}", "", "", 0,
          MEDIA_JWT_TENANT },
        { "{\"tenant\":\"acme\\u0000\",\"exp\":1767225660}", "", "", 0,
          MEDIA_JWT_TENANT },
        { "{\"tenant\":\"acm\xc3\xa9\",\"exp\":1767225660}", "", "", 0,
          MEDIA_JWT_TENANT },
        { "{\"tenant\":\"acme\",\"tenant\":\"acme\",\"exp\":1767225660}", "",
          "", 0, MEDIA_JWT_CLAIMS },
        { "{\"tenant\":\"acme\",\"exp\":1767225660,\"\\u0065xp\":1}", "", "",
          0, MEDIA_JWT_CLAIMS },
        { "[" CLAIMS "]", "", "", 0, MEDIA_JWT_CLAIMS },
        { "null", "", "", 0, MEDIA_JWT_CLAIMS },
        { CLAIMS "x", "", "", 0, MEDIA_JWT_CLAIMS },
        { "eyJhbGciOiJIUzI1NiJ9.e30.e30", "", "", 0, MEDIA_JWT_CLAIMS }
    };

    keys = make_set(1);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_token(token, 0, "{\"alg\":\"HS256\"}", cases[i].payload);

        rules.issuer = str(cases[i].issuer);
        rules.audience = str(cases[i].audience);
        rules.claim = str("tenant");
        rules.leeway = cases[i].leeway;

        rc = media_jwt_verify(keys, &rules, str(token), NOW, tenant);
        ok(rc == cases[i].rc, "claims %s: %d", cases[i].payload, rc);
        ok(strcmp(tenant, rc == MEDIA_OK ? "acme" : "") == 0, "tenant %s",
           tenant);
    }

    media_jwt_keys_free(keys);
}


static void
test_form(void)
{
    int                rc;
    char               token[TOKEN_MAX], other[TOKEN_MAX], payload[16384];
    size_t             n, i;
    media_jwt_keys_t  *keys;

    static const char *const  texts[] = {
        "", ".", "..", "...", "a", "a.b", "a.b.c.d", " ", "e30.e30",
        "e30.e30.e30.e30", "e30..", "..e30", ".e30.e30", "e3.e30.e30"
    };

    keys = make_set(1);

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        rc = verify(keys, texts[i]);
        ok(rc == MEDIA_JWT_FORMAT || rc == MEDIA_JWT_HEADER, "\"%s\": %d",
           texts[i], rc);
    }

    make_token(token, 3, "{\"alg\":\"EdDSA\"}", CLAIMS);
    n = strlen(token);

    ok(verify(keys, token) == MEDIA_OK, "right");

    for (i = 0; i < n; i++) {
        media_str_t  cut;
        char         tenant[MEDIA_JWT_TENANT_MAX + 1];

        media_str_set(&cut, token, i);
        rc = verify_at(keys, "tenant", cut, NOW, tenant);

        if (rc == MEDIA_OK) {
            break;
        }
    }

    ok(i == n, "cut at %zu", i);

    sprintf(other, "%s=", token);
    ok(verify(keys, other) == MEDIA_JWT_FORMAT, "padding");
    sprintf(other, "%s.", token);
    ok(verify(keys, other) == MEDIA_JWT_FORMAT, "a fourth part");
    sprintf(other, " %s", token);
    ok(verify(keys, other) == MEDIA_JWT_FORMAT, "a space before");
    sprintf(other, "%s\n", token);
    ok(verify(keys, other) == MEDIA_JWT_FORMAT, "a line feed after");

    /* 64 bytes are 86 characters: the last has 4 bits that mean nothing */

    strcpy(other, token);

    for (i = 0; i < 64; i++) {
        other[n - 1] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                       "0123456789-_"[i];

        if (other[n - 1] != token[n - 1] && verify(keys, other) == MEDIA_OK) {
            break;
        }
    }

    ok(i == 64, "bits that mean nothing");

    /* ES256 in the form of X.509, not of JWS */

    make_token(token, 2, "{\"alg\":\"ES256\"}", CLAIMS);
    ok(verify(keys, token) == MEDIA_OK, "ES256");
    strcpy(strrchr(token, '.') + 1, "MAYCAQECAQE");
    ok(verify(keys, token) == MEDIA_JWT_SIGNATURE, "ES256 in DER");
    memset(strrchr(token, '.') + 1, 'A', 86);
    strrchr(token, '.')[87] = '\0';
    ok(verify(keys, token) == MEDIA_JWT_SIGNATURE, "ES256 of zeros");

    memset(payload, 'x', sizeof(payload));
    memcpy(payload, "{\"tenant\":\"acme\",\"exp\":1767225660,\"x\":\"", 39);

    for (n = 5500; n < 6500; n += 4) {
        strcpy(payload + n, "\"}");
        make_token(token, 0, "{\"alg\":\"HS256\"}", payload);
        payload[n] = 'x';
        payload[n + 1] = 'x';
        payload[n + 2] = 'x';

        rc = verify(keys, token);

        if (rc != (strlen(token) <= MEDIA_JWT_MAX ? MEDIA_OK
                                                  : MEDIA_JWT_SIZE))
        {
            break;
        }
    }

    ok(n >= 6500, "size %zu: %d", strlen(token), rc);

    media_jwt_keys_free(keys);
}


static void
test_tenants(void)
{
    char         name[MEDIA_JWT_TENANT_MAX + 2];
    media_str_t  tenant;

    ok(media_jwt_tenant_check(str("aZ09_-")) == MEDIA_OK, "letters");
    ok(media_jwt_tenant_check(str("")) == MEDIA_ERROR, "empty");
    ok(media_jwt_tenant_check(str("a.b")) == MEDIA_ERROR, "dot");
    ok(media_jwt_tenant_check(str("a b")) == MEDIA_ERROR, "space");

    memset(name, 'a', sizeof(name));

    media_str_set(&tenant, name, MEDIA_JWT_TENANT_MAX);
    ok(media_jwt_tenant_check(tenant) == MEDIA_OK, "64");
    media_str_set(&tenant, name, MEDIA_JWT_TENANT_MAX + 1);
    ok(media_jwt_tenant_check(tenant) == MEDIA_ERROR, "65");
}


static void
test_reasons(void)
{
    int  rc;

    for (rc = MEDIA_JWT_TENANT; rc <= MEDIA_JWT_SIZE; rc++) {
        ok(strcmp(media_jwt_reason(rc), "internal error") != 0, "reason %d",
           rc);
    }

    ok(strcmp(media_jwt_reason(MEDIA_ERROR), "internal error") == 0,
       "internal error");
}


static void
test_fuzz(void)
{
    int                i, rc, accepted;
    char               token[TOKEN_MAX], other[TOKEN_MAX], header[64];
    char               tenant[MEDIA_JWT_TENANT_MAX + 1];
    size_t             n, len;
    uint64_t           seed;
    media_str_t        text;
    media_jwt_keys_t  *keys;

    static const char  claims[] =
        "{\"tenant\":\"acme\",\"exp\":1767225660.5e0,\"aud\":[\"a\"],"
        "\"nbf\":1e3}";

    seed = 0x6a77745f66757a7aULL;
    keys = make_set(1);
    accepted = 0;
    n = 0;

    for (i = 0; i < FUZZ_ROUNDS; i++) {
        if (i % 1000 < 4) {
            sprintf(header, "{\"alg\":\"%s\"}", algs[i % 4]);
            make_token(token, i % 4, header, CLAIMS);
            n = strlen(token);
        }

        len = mutate(other, token, n, &seed);
        media_str_set(&text, other, len);

        rc = verify_at(keys, "tenant", text, NOW, tenant);

        if (rc == MEDIA_OK && (len != n || memcmp(other, token, n) != 0)) {
            accepted++;
        }
    }

    ok(accepted == 0, "%d damaged tokens are accepted", accepted);
    media_jwt_keys_free(keys);

    /* damaged claims under a right signature */

    keys = make_set(1);

    for (i = 0; i < FUZZ_ROUNDS; i++) {
        len = mutate(other, claims, sizeof(claims) - 1, &seed);
        other[len] = '\0';
        make_token(token, 0, "{\"alg\":\"HS256\"}", other);
        rc = verify(keys, token);

        if (rc == MEDIA_ERROR || rc == MEDIA_JWT_SIGNATURE) {
            break;
        }
    }

    ok(i == FUZZ_ROUNDS, "claims %s: %d", other, rc);

    media_jwt_keys_free(keys);
}


int
main(void)
{
    make_keys();

    test_vectors();
    test_algorithms();
    test_headers();
    test_claims();
    test_form();
    test_tenants();
    test_reasons();
    test_fuzz();

    free_keys();

    return test_done();
}
