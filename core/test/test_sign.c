/*
 * Copyright (C) ngx_media contributors
 *
 * Vectors are from
 *
 *     printf 'media-url-1\n1767225600\nchat/acme/c1/0011aabb_photo.jpg' \
 *         | openssl dgst -sha256 -hmac SECRET -binary | basenc --base64url
 */

#include "media_key.h"
#include "media_sign.h"
#include "test.h"


#define SECRET   "0123456789abcdef0123456789abcdef"
#define OBJECT   "chat/acme/c1/0011aabb_photo.jpg"
#define EXPIRES  1767225600


static void
test_keys(void)
{
    size_t            i;
    char              long_id[MEDIA_SIGN_ID_MAX + 2];
    media_sign_key_t  k;

    static const struct {
        const char  *id;
        const char  *secret;
        int          rc;
    } cases[] = {
        { "a", SECRET, MEDIA_OK },
        { "2026-01_A", SECRET, MEDIA_OK },
        { "", SECRET, MEDIA_ERROR },
        { "a b", SECRET, MEDIA_ERROR },
        { "a&b", SECRET, MEDIA_ERROR },
        { "a%41", SECRET, MEDIA_ERROR },
        { "\xc3\xa9", SECRET, MEDIA_ERROR },
        { "a", "", MEDIA_ERROR },
        { "a", "0123456789abcdef0123456789abcde", MEDIA_ERROR }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        k.id = str(cases[i].id);
        k.secret = str(cases[i].secret);
        ok(media_sign_check(&k) == cases[i].rc, "key %zu", i);
    }

    memset(long_id, 'a', sizeof(long_id));
    k.secret = str(SECRET);

    media_str_set(&k.id, long_id, MEDIA_SIGN_ID_MAX);
    ok(media_sign_check(&k) == MEDIA_OK, "id of 32");

    media_str_set(&k.id, long_id, MEDIA_SIGN_ID_MAX + 1);
    ok(media_sign_check(&k) == MEDIA_ERROR, "id of 33");
}


static void
test_vectors(const media_sign_key_t *k)
{
    char         signature[MEDIA_SIGN_LEN], query[MEDIA_SIGN_QUERY_MAX];
    size_t       size;
    ssize_t      n;
    media_str_t  sig;

    static const char  expected[] =
        "OXI2oJcq7kkjDKO5CY2BG5MNiWM99MU43qszHrum630";

    ok(media_sign(signature, k, str(OBJECT), EXPIRES) == MEDIA_OK
       && memcmp(signature, expected, MEDIA_SIGN_LEN) == 0,
       "signature %.*s", MEDIA_SIGN_LEN, signature);

    n = media_sign_query(query, sizeof(query), k, str(OBJECT), EXPIRES);

    ok(n == (ssize_t) strlen("?expires=1767225600&key_id=k1&signature=")
            + MEDIA_SIGN_LEN
       && strncmp(query, "?expires=1767225600&key_id=k1&signature=", 40)
          == 0
       && strcmp(query + 40, expected) == 0, "query %s", query);

    for (size = 0; size <= (size_t) n; size++) {
        if (media_sign_query(query, size, k, str(OBJECT), EXPIRES)
            != MEDIA_NOSPACE)
        {
            break;
        }
    }

    ok(size == (size_t) n + 1, "space for %zu", size);

    media_str_set(&sig, signature, MEDIA_SIGN_LEN);
    ok(media_sign_verify(k, str(OBJECT), EXPIRES, sig) == MEDIA_OK, "right");
}


static void
test_refused(const media_sign_key_t *k)
{
    int               i, refused;
    char              signature[MEDIA_SIGN_LEN + 1], other;
    media_str_t       sig;
    media_sign_key_t  second;

    (void) media_sign(signature, k, str(OBJECT), EXPIRES);
    media_str_set(&sig, signature, MEDIA_SIGN_LEN);

    ok(media_sign_verify(k, str("chat/acme/c1/0011aabb_photo.jp"), EXPIRES,
                         sig) == MEDIA_ERROR, "another key");
    ok(media_sign_verify(k, str(""), EXPIRES, sig) == MEDIA_ERROR, "no key");
    ok(media_sign_verify(k, str(OBJECT), EXPIRES + 1, sig) == MEDIA_ERROR,
       "another time");

    /* digits must not move from the time to the key */
    ok(media_sign_verify(k, str("0\n" OBJECT), EXPIRES / 10, sig)
       == MEDIA_ERROR, "another border");

    second.id = k->id;
    second.secret = str("0123456789abcdef0123456789abcdeF");
    ok(media_sign_verify(&second, str(OBJECT), EXPIRES, sig) == MEDIA_ERROR,
       "another secret");

    media_str_set(&sig, signature, MEDIA_SIGN_LEN - 1);
    ok(media_sign_verify(k, str(OBJECT), EXPIRES, sig) == MEDIA_ERROR,
       "too short");

    signature[MEDIA_SIGN_LEN] = '=';
    media_str_set(&sig, signature, MEDIA_SIGN_LEN + 1);
    ok(media_sign_verify(k, str(OBJECT), EXPIRES, sig) == MEDIA_ERROR,
       "padded");

    media_str_set(&sig, "", 0);
    ok(media_sign_verify(k, str(OBJECT), EXPIRES, sig) == MEDIA_ERROR,
       "empty");

    media_str_set(&sig, signature, MEDIA_SIGN_LEN);
    refused = 0;

    for (i = 0; i < MEDIA_SIGN_LEN; i++) {
        other = signature[i];
        signature[i] = (char) (other == 'A' ? 'B' : 'A');
        refused += media_sign_verify(k, str(OBJECT), EXPIRES, sig)
                   == MEDIA_ERROR;
        signature[i] = other;
    }

    ok(refused == MEDIA_SIGN_LEN, "each character counts: %d", refused);
}


static void
test_long(const media_sign_key_t *k)
{
    char         key[MEDIA_KEY_MAX + 1], signature[MEDIA_SIGN_LEN];
    media_str_t  name, sig;

    memset(key, 'k', sizeof(key));

    media_str_set(&sig, signature, MEDIA_SIGN_LEN);
    media_str_set(&name, key, MEDIA_KEY_MAX);

    ok(media_sign(signature, k, name, INT64_MAX) == MEDIA_OK
       && media_sign_verify(k, name, INT64_MAX, sig) == MEDIA_OK,
       "key of 1024 bytes, the last time");

    media_str_set(&name, key, MEDIA_KEY_MAX + 1);

    ok(media_sign(signature, k, name, EXPIRES) == MEDIA_ERROR
       && media_sign_verify(k, name, EXPIRES, sig) == MEDIA_ERROR,
       "key of 1025 bytes");
}


int
main(void)
{
    media_sign_key_t  k;

    k.id = str("k1");
    k.secret = str(SECRET);

    test_keys();
    test_vectors(&k);
    test_refused(&k);
    test_long(&k);

    return test_done();
}
