/*
 * Copyright (C) ngx_media contributors
 *
 * Object keys and the URLs that name them: what is accepted is a key without
 * a way out of its tenant, and what is made of any text is accepted.
 */

#include "fuzz.h"
#include "media_codec.h"
#include "media_key.h"
#include "media_mime.h"


static void check_key(media_str_t key);
static void check_made(media_str_t name);
static void check_url(media_str_t url);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         *copy;
    media_str_t   s;

    copy = fuzz_copy(data, size);
    media_str_set(&s, copy, size);

    if (media_key_check(s) == MEDIA_OK) {
        check_key(s);
    }

    check_made(s);
    check_url(s);
    (void) media_category_by_key(s);

    free(copy);

    return 0;
}


static void
check_key(media_str_t key)
{
    size_t       i;
    media_str_t  rest, part, tenant;

    fuzz_check(key.len > 0 && key.len <= MEDIA_KEY_MAX);

    for (i = 0; i < key.len; i++) {
        fuzz_check((unsigned char) key.data[i] >= 0x20);
    }

    for (rest = key; rest.len; /* void */) {
        part = fuzz_cut(&rest, '/');
        fuzz_check(part.len > 0);
        fuzz_check(part.len > 2 || memcmp(part.data, "..", part.len) != 0);
    }

    tenant = media_key_tenant(key);
    fuzz_check(tenant.len == 0
               || (tenant.data > key.data
                   && tenant.data[-1] == '/'
                   && tenant.data[tenant.len] == '/'
                   && memchr(tenant.data, '/', tenant.len) == NULL));
}


static void
check_made(media_str_t name)
{
    char         safe[MEDIA_KEY_NAME_MAX + 1], again[MEDIA_KEY_NAME_MAX + 1];
    char         key[MEDIA_KEY_MAX], thumb[MEDIA_KEY_MAX];
    size_t       i;
    ssize_t      n;
    media_str_t  s;

    static const media_str_t  acme = media_str("acme");
    static const media_str_t  conversation = media_str("42");
    static const media_str_t  id =
        media_str("5e2a0c1e-8f5b-4c1d-9a3e-0123456789ab");

    n = media_key_safe_name(safe, sizeof(safe), name);
    fuzz_check(n > 0 && n <= MEDIA_KEY_NAME_MAX && safe[n] == '\0');
    fuzz_check(safe[0] != '.');

    for (i = 0; i < (size_t) n; i++) {
        fuzz_check(memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                          "0123456789._-", safe[i], 65) != NULL);
    }

    fuzz_check(media_key_safe_name(again, sizeof(again), fuzz_text(safe)) == n
               && strcmp(again, safe) == 0);

    n = media_key_attachment(key, sizeof(key), acme, conversation, id, name);
    fuzz_check(n > 0 && key[n] == '\0');
    media_str_set(&s, key, (size_t) n);
    fuzz_check(media_key_check(s) == MEDIA_OK);
    fuzz_check(media_key_tenant(s).len == acme.len);

    n = media_key_thumb(thumb, sizeof(thumb), s, "webp");
    fuzz_check(n > 0 && media_key_check(fuzz_text(thumb)) == MEDIA_OK);

    n = media_key_attachment(key, sizeof(key), name, conversation, id, acme);
    media_str_set(&s, key, n > 0 ? (size_t) n : 0);
    fuzz_check(n < 0 || (media_key_tenant(s).len == name.len
                         && media_key_check(s) == MEDIA_OK));
}


static void
check_url(media_str_t url)
{
    char         key[MEDIA_KEY_MAX + 1];
    size_t       i;
    ssize_t      n;
    media_str_t  s;

    static const media_str_t  bases[] = {
        media_str("http://s3.example:9000"), media_str("https://s3.example"),
        media_str("http://127.0.0.1/media/"), media_str("/media/")
    };
    static const media_str_t  bucket = media_str("media");

    for (i = 0; i < 4; i++) {
        n = i < 2 ? media_key_from_url(key, sizeof(key), url, bases[i],
                                       bucket)
                  : media_key_from_base(key, sizeof(key), url, bases[i]);

        if (n < 0) {
            fuzz_check(n == MEDIA_ERROR || n == MEDIA_NOSPACE);
            continue;
        }

        fuzz_check(key[n] == '\0' && strlen(key) == (size_t) n);
        fuzz_check(strchr(key, '%') == NULL);
        fuzz_check(media_utf8_count(key, (size_t) n) >= 0);
        media_str_set(&s, key, (size_t) n);
        fuzz_check(media_key_check(s) == MEDIA_OK);
        check_key(s);
    }
}
