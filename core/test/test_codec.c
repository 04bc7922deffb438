/*
 * Copyright (C) ngx_media contributors
 *
 * RFC 4648 vectors, malformed text, every split of a streamed text, and a
 * mutation run.
 */

#include "media_codec.h"
#include "test.h"


#define FUZZ_RUNS  20000
#define FUZZ_SIZE  64


typedef struct {
    const char  *plain;
    const char  *text;
} base64_case_t;


static void test_base64(void);
static void test_base64_forms(void);
static void test_base64_pieces(void);
static void test_hex(void);
static void test_uri(void);
static void test_equal(void);
static void test_fuzz(void);


/* RFC 4648, section 10 */
static const base64_case_t  base64_cases[] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" }
};

static const char  *base64_malformed[] = {
    "Z", "Zm9vY", "Zg=", "Zg===", "Zm8==", "Zm9v=", "Zm9v====", "=", "====",
    "Zg==Zg==", "Zg=Z", " Zg==", "Zg==\n", "Zm\n9v", "Zm9*", "\x80mFv",
    "Z===", "Zm9vZ===", "data:;base64,Zg==", "Zg%3D%3D"
};


int
main(void)
{
    test_base64();
    test_base64_forms();
    test_base64_pieces();
    test_hex();
    test_uri();
    test_equal();
    test_fuzz();

    return test_done();
}


static void
test_base64(void)
{
    char                  out[64];
    size_t                i, n;
    ssize_t               rc;
    const base64_case_t  *c;

    for (i = 0; i < sizeof(base64_cases) / sizeof(base64_cases[0]); i++) {
        c = &base64_cases[i];

        n = media_base64_encode(out, c->plain, strlen(c->plain));
        ok(n == strlen(c->text) && memcmp(out, c->text, n) == 0,
           "encode \"%s\"", c->plain);
        ok(n == MEDIA_BASE64_LEN(strlen(c->plain)), "length of \"%s\"",
           c->plain);

        rc = media_base64_decode(out, strlen(c->plain), c->text,
                                 strlen(c->text));
        ok(rc == (ssize_t) strlen(c->plain)
           && memcmp(out, c->plain, (size_t) rc) == 0,
           "decode \"%s\"", c->text);

        n = strcspn(c->text, "=");
        rc = media_base64_decode(out, sizeof(out), c->text, n);
        ok(rc == (ssize_t) strlen(c->plain)
           && memcmp(out, c->plain, (size_t) rc) == 0,
           "decode \"%s\" without padding", c->text);

        if (c->plain[0]) {
            rc = media_base64_decode(out, strlen(c->plain) - 1, c->text,
                                     strlen(c->text));
            ok(rc == MEDIA_NOSPACE, "decode \"%s\", no space", c->text);
        }
    }

    for (i = 0; i < sizeof(base64_malformed) / sizeof(char *); i++) {
        rc = media_base64_decode(out, sizeof(out), base64_malformed[i],
                                 strlen(base64_malformed[i]));
        ok(rc == MEDIA_ERROR, "malformed \"%s\" gave %zd",
           base64_malformed[i], rc);
    }

    rc = media_base64_decode(out, sizeof(out), "Zg\0=", 4);
    ok(rc == MEDIA_ERROR, "NUL within base64 gave %zd", rc);
}


static void
test_base64_forms(void)
{
    char           text[MEDIA_BASE64_LEN(256)];
    size_t         i, n;
    ssize_t        rc;
    unsigned char  bytes[256], out[256];

    for (i = 0; i < 256; i++) {
        bytes[i] = (unsigned char) i;
    }

    n = media_base64_encode(text, bytes, 256);
    ok(n == sizeof(text) && memchr(text, '+', n) && memchr(text, '/', n),
       "all bytes encoded");

    rc = media_base64_decode(out, 256, text, n);
    ok(rc == 256 && memcmp(out, bytes, 256) == 0, "all bytes decoded");

    for (i = 0; i < n; i++) {
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    }

    rc = media_base64_decode(out, 256, text, n);
    ok(rc == 256 && memcmp(out, bytes, 256) == 0, "URL-safe decoded");

    rc = media_base64_decode(out, 256, "Zh", 2);
    ok(rc == 1 && out[0] == 'f', "non-zero trailing bits");
}


static void
test_base64_pieces(void)
{
    char            text[MEDIA_BASE64_LEN(100)];
    size_t          i, n, size, step, len;
    ssize_t         rc;
    media_base64_t  ctx;
    unsigned char   bytes[100], out[sizeof(text) + 3];

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char) (i * 37 + 11);
    }

    for (size = 0; size <= sizeof(bytes); size++) {
        n = media_base64_encode(text, bytes, size);

        for (step = 1; step <= 9; step++) {
            memset(&ctx, 0, sizeof(media_base64_t));
            len = 0;
            rc = 0;

            for (i = 0; i < n && rc >= 0; i += step) {
                rc = media_base64_update(&ctx, out + len, text + i,
                                         n - i < step ? n - i : step);
                len += rc >= 0 ? (size_t) rc : 0;
            }

            ok(rc >= 0 && media_base64_finish(&ctx) == MEDIA_OK
               && len == size && memcmp(out, bytes, size) == 0,
               "%zu bytes in steps of %zu", size, step);
        }
    }

    memset(&ctx, 0, sizeof(media_base64_t));
    rc = media_base64_update(&ctx, out, "Zm9vY", 5);
    ok(rc == 3 && media_base64_finish(&ctx) == MEDIA_ERROR,
       "a group of one character");

    memset(&ctx, 0, sizeof(media_base64_t));
    rc = media_base64_update(&ctx, out, "Zg=", 3);
    ok(rc == 1 && media_base64_finish(&ctx) == MEDIA_ERROR, "half padding");

    rc = media_base64_update(&ctx, out, "=", 1);
    ok(rc == 0 && media_base64_finish(&ctx) == MEDIA_OK, "second half of it");

    rc = media_base64_update(&ctx, out, "Z", 1);
    ok(rc == MEDIA_ERROR, "text after the padding");
}


static void
test_hex(void)
{
    char           out[8];
    unsigned char  bytes[4];

    media_hex_encode(out, "\x00\x7f\xab\xff", 4);
    ok(memcmp(out, "007fabff", 8) == 0, "hex encode");

    ok(media_hex_decode(bytes, "007fABff", 8) == MEDIA_OK
       && memcmp(bytes, "\x00\x7f\xab\xff", 4) == 0, "hex decode");
    ok(media_hex_decode(bytes, "", 0) == MEDIA_OK, "hex of nothing");
    ok(media_hex_decode(bytes, "007", 3) == MEDIA_ERROR, "odd length");
    ok(media_hex_decode(bytes, "0g", 2) == MEDIA_ERROR, "not a digit");
    ok(media_hex_decode(bytes, "@a", 2) == MEDIA_ERROR, "below 'A'");
    ok(media_hex_decode(bytes, " 1", 2) == MEDIA_ERROR, "a blank");
    ok(media_hex_decode(bytes, "\x10" "1", 2) == MEDIA_ERROR,
       "a control byte that is a digit with bit 5 set");
}


static void
test_uri(void)
{
    char         out[3072], back[1024], src[1024];
    size_t       i;
    ssize_t      n;
    const char  *text;

    text = "AZaz09-._~ /+=@:%&?#'\"*()!$,;\xc3\xa9";
    n = media_uri_encode(out, sizeof(out), text, strlen(text), 0);
    ok(n == (ssize_t) strlen("AZaz09-._~%20%2F%2B%3D%40%3A%25%26%3F%23%27%22"
                             "%2A%28%29%21%24%2C%3B%C3%A9")
       && memcmp(out, "AZaz09-._~%20%2F%2B%3D%40%3A%25%26%3F%23%27%22"
                 "%2A%28%29%21%24%2C%3B%C3%A9", (size_t) n) == 0,
       "uri encode");

    n = media_uri_encode(out, sizeof(out), "a/b c", 5, 1);
    ok(n == 7 && memcmp(out, "a/b%20c", 7) == 0, "uri encode, slash kept");

    ok(media_uri_encode(out, 2, "abc", 3, 0) == MEDIA_NOSPACE, "no space");
    ok(media_uri_encode(out, 4, "ab ", 3, 0) == MEDIA_NOSPACE,
       "no space for an escape");
    ok(media_uri_encode(out, 5, "ab ", 3, 0) == 5, "space just enough");

    for (i = 0; i < sizeof(src); i++) {
        src[i] = (char) i;
    }

    n = media_uri_encode(out, sizeof(out), src, sizeof(src), 0);
    ok(n > 0, "1024 bytes encoded");
    n = media_uri_decode(back, out, (size_t) n);
    ok(n == sizeof(src) && memcmp(back, src, sizeof(src)) == 0,
       "1024 bytes decoded");

    memcpy(out, "a%2fb+%2B", 9);
    n = media_uri_decode(out, out, 9);
    ok(n == 5 && memcmp(out, "a/b++", 5) == 0, "decoded in place");

    ok(media_uri_decode(out, "%", 1) == MEDIA_ERROR, "\"%%\"");
    ok(media_uri_decode(out, "%2", 2) == MEDIA_ERROR, "\"%%2\"");
    ok(media_uri_decode(out, "%zz", 3) == MEDIA_ERROR, "\"%%zz\"");
    ok(media_uri_decode(out, "a%2", 3) == MEDIA_ERROR, "\"a%%2\"");
}


static void
test_equal(void)
{
    ok(media_equal("abc", 3, "abc", 3) == 1, "equal");
    ok(media_equal("abc", 3, "abd", 3) == 0, "last byte differs");
    ok(media_equal("abc", 3, "abc", 2) == 0, "length differs");
    ok(media_equal("", 0, "", 0) == 1, "both empty");
}


/* what decodes must come back the same after encoding and decoding again */

static void
test_fuzz(void)
{
    char               text[FUZZ_SIZE], again[MEDIA_BASE64_LEN(FUZZ_SIZE)];
    size_t             i, n, len, accepted;
    ssize_t            rc, back;
    uint64_t           state;
    unsigned char      out[FUZZ_SIZE], second[FUZZ_SIZE];
    static const char  set[] = "ABCZabcz059+/-_==== \n";

    state = 0x9e3779b97f4a7c15ULL;
    accepted = 0;

    for (i = 0; i < FUZZ_RUNS; i++) {
        len = test_random(&state) % FUZZ_SIZE;

        for (n = 0; n < len; n++) {
            text[n] = set[test_random(&state)
                          % (n + 2 < len ? 15 : sizeof(set) - 1)];
        }

        rc = media_base64_decode(out, sizeof(out), text, len);

        (void) media_hex_decode(second, text, len);
        (void) media_uri_decode((char *) second, text, len);

        if (rc < 0) {
            continue;
        }

        accepted++;
        n = media_base64_encode(again, out, (size_t) rc);
        back = media_base64_decode(second, sizeof(second), again, n);

        if (back != rc || memcmp(out, second, (size_t) rc) != 0) {
            ok(0, "\"%.*s\" does not come back", (int) len, text);
        }
    }

    ok(accepted > FUZZ_RUNS / 10 && accepted < FUZZ_RUNS,
       "%zu texts of %d accepted", accepted, FUZZ_RUNS);
}
