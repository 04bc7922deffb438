/*
 * Copyright (C) ngx_media contributors
 *
 * Heads of cached objects: byte layout, limits, foreign and damaged ones.
 */

#include "media_codec.h"
#include "media_entry.h"
#include "test.h"


#define FUZZ_RUNS  20000


static void test_key(void);
static void test_layout(void);
static void test_limits(void);
static void test_damage(void);
static void test_fuzz(void);


static int
same(media_str_t a, media_str_t b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}


static void
entry_init(media_entry_t *e)
{
    e->length = 0x0102030405LL;
    e->last_modified = 1369353600;
    e->content_type = str("image/jpeg");
    e->etag = str("\"abc\"");
    e->disposition = str("");
}


int
main(void)
{
    test_key();
    test_layout();
    test_limits();
    test_damage();
    test_fuzz();

    return test_done();
}


static void
test_key(void)
{
    char  dst[MEDIA_ENTRY_KEY_LEN];

    media_entry_key(dst, str("abc"));
    ok(memcmp(dst, "media:ba7816bf8f01cfea414140de5dae2223"
              "b00361a396177a9cb410ff61f20015ad", sizeof(dst)) == 0, "key");
}


static void
test_layout(void)
{
    media_entry_t  e, d;
    unsigned char  head[MEDIA_ENTRY_HEAD];

    static const unsigned char  expected[] =
        "NMC2" "\x0a" "\x05" "\0\0" "\0\0\0\x01\x02\x03\x04\x05"
        "\0\0\0\0\x51\x9e\xad\x80" "image/jpeg" "\"abc\"";

    entry_init(&e);
    memset(head, 0xff, sizeof(head));
    ok(media_entry_encode(head, &e) == MEDIA_OK, "encode");
    ok(memcmp(head, expected, sizeof(expected)) == 0
       && head[MEDIA_ENTRY_HEAD - 1] == 0, "layout");

    ok(media_entry_decode(&d, head, sizeof(head)) == MEDIA_OK
       && d.length == e.length && d.last_modified == e.last_modified
       && same(d.content_type, e.content_type) && same(d.etag, e.etag)
       && d.disposition.len == 0, "decode");

    e.last_modified = -1;
    e.length = 0;
    e.disposition = str("attachment; filename=\"caf\xc3\xa9.pdf\"");
    (void) media_entry_encode(head, &e);
    ok(media_entry_decode(&d, head, sizeof(head)) == MEDIA_OK
       && d.length == 0 && d.last_modified == -1
       && same(d.disposition, e.disposition), "unknown time, empty body");
}


static void
test_limits(void)
{
    char           text[MEDIA_ENTRY_HEAD];
    media_entry_t  e, d;
    unsigned char  head[MEDIA_ENTRY_HEAD];

    memset(text, 't', sizeof(text));
    entry_init(&e);
    e.etag.len = 0;

    e.content_type.len = 0;
    media_str_set(&e.disposition, text, MEDIA_ENTRY_HEAD - 24);
    ok(media_entry_encode(head, &e) == MEDIA_OK
       && media_entry_decode(&d, head, sizeof(head)) == MEDIA_OK
       && d.disposition.len == MEDIA_ENTRY_HEAD - 24, "just fits");
    e.disposition.len++;
    ok(media_entry_encode(head, &e) == MEDIA_NOSPACE, "one byte too many");

    e.disposition.len = 0;
    media_str_set(&e.content_type, text, 255);
    ok(media_entry_encode(head, &e) == MEDIA_OK, "the longest type");
    e.content_type.len++;
    ok(media_entry_encode(head, &e) == MEDIA_NOSPACE, "a longer one");

    e.content_type.len = 0;
    media_str_set(&e.etag, text, 255);
    ok(media_entry_encode(head, &e) == MEDIA_OK, "the longest ETag");
    e.etag.len++;
    ok(media_entry_encode(head, &e) == MEDIA_NOSPACE, "a longer one");

    e.etag.len = 200;
    media_str_set(&e.disposition, text, 200);
    media_str_set(&e.content_type, text, 100);
    ok(media_entry_encode(head, &e) == MEDIA_NOSPACE, "all three too long");
}


static void
test_damage(void)
{
    size_t         i;
    media_entry_t  e;
    unsigned char  head[MEDIA_ENTRY_HEAD];

    static const struct {
        size_t         offset;
        unsigned char  byte;
        const char    *what;
    } cases[] = {
        { 0, 'n', "magic" },
        { 3, '1', "version" },
        { 4, 2, "length of the content type" },
        { 5, 0, "a shorter ETag" },
        { 6, 255, "strings beyond the head's end, or zeros" },
        { 8, 0x80, "negative length" },
        { 16, 0x80, "negative time" },
        { 26, '\n', "a line feed in a string" },
        { 26, 0, "NUL in a string" },
        { 26, 0x7f, "DEL in a string" },
        { 511, 1, "padding" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        entry_init(&e);
        (void) media_entry_encode(head, &e);
        head[cases[i].offset] = cases[i].byte;
        ok(media_entry_decode(&e, head, sizeof(head)) == MEDIA_ERROR, "%s",
           cases[i].what);
    }

    entry_init(&e);
    (void) media_entry_encode(head, &e);
    ok(media_entry_decode(&e, head, MEDIA_ENTRY_HEAD - 1) == MEDIA_ERROR,
       "a short head");
    ok(media_entry_decode(&e, head, 0) == MEDIA_ERROR, "nothing");
}


/* what decodes encodes to the same bytes */

static void
test_fuzz(void)
{
    size_t         i, n, accepted, bad;
    uint64_t       state;
    media_entry_t  e;
    unsigned char  head[MEDIA_ENTRY_HEAD], again[MEDIA_ENTRY_HEAD];

    state = 2862933555777941757ULL;
    accepted = 0;
    bad = 0;

    for (i = 0; i < FUZZ_RUNS; i++) {
        entry_init(&e);
        (void) media_entry_encode(head, &e);

        for (n = test_random(&state) % 3; n > 0; n--) {
            head[test_random(&state) % 48] =
                (unsigned char) test_random(&state);
        }

        if (media_entry_decode(&e, head, sizeof(head)) != MEDIA_OK) {
            continue;
        }

        accepted++;

        if (media_entry_encode(again, &e) != MEDIA_OK
            || memcmp(head, again, sizeof(head)) != 0)
        {
            bad++;
        }
    }

    ok(accepted > FUZZ_RUNS / 10 && bad == 0, "%zu accepted, %zu bad",
       accepted, bad);
}
