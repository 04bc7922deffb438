/*
 * Copyright (C) ngx_media contributors
 *
 * Names and types that senders and attackers choose; the examples of RFC
 * 6266 and RFC 8187; bytes at random, whose result must be a harmless header.
 */

#include "media_disposition.h"
#include "test.h"


#define FUZZ_RUNS  200000


typedef struct {
    const char  *value;
    const char  *name;
} name_case_t;


typedef struct {
    const char  *stored;
    const char  *key;
    const char  *type;
    const char  *value;
} format_case_t;


static void test_types(void);
static void test_names(void);
static void test_long(void);
static void test_compact(void);
static void test_format(void);
static void test_fuzz(void);


static const char  *inline_types[] = {
    "image/jpeg", "image/png", "image/gif", "image/webp", "image/heic",
    "image/heif", "image/avif", "image/bmp", "image/tiff", "IMAGE/Jpeg",
    "image/jpeg ", "image/jpeg;q=1", "image/jpeg ; q=1", "audio/ogg",
    "audio/ogg; codecs=opus", "AUDIO/x-anything", "video/mp4",
    "video/mp4; codecs=\"avc1.42E01E\"", "application/pdf", "text/plain",
    "text/plain; charset=utf-8", "Text/Plain;charset=x",
    NULL
};


static const char  *attachment_types[] = {
    "", "image", "image/", "/jpeg", "image/svg+xml", "image/svg+xml;a=b",
    "IMAGE/SVG+XML", "Text/HTML; x", "text/html", "text/xml",
    "application/xml", "application/xhtml+xml", "application/mathml+xml",
    "text/javascript", "application/javascript", "text/css",
    "application/octet-stream", "application/zip", "application/x-unknown",
    "message/rfc822", "multipart/x-mixed-replace", "image/jpeg,text/html",
    "image/jpeg, text/html", "image/jpeg;a=b,text/html",
    "image/jpeg\ttext/html", "image/jpeg text/html", " image/jpeg",
    "image/jpeg/x", "image /jpeg", "image/jpegx", "image/jpe", "image/*",
    "*/*", "audio", "audio/", "audio/x,text/html", "video/x;a=\"b,c\"",
    "text/plain\n", "text/plain;\x01", "text/plain\x7f", "text/plai",
    "application/pdf\xc3\xa9",
    NULL
};


static const name_case_t  names[] = {

    /* RFC 6266, section 5; RFC 8187, section 3.2.2 */
    { "Attachment; filename=example.html", "example.html" },
    { "INLINE; FILENAME= \"an example.html\"", "an example.html" },
    { "attachment; filename*= UTF-8''%e2%82%ac%20rates",
      "\xe2\x82\xac rates" },
    { "attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20r",
      "\xe2\x82\xac r" },
    { "attachment; filename*=utf-8'en'%C2%A3; filename=\"pound\"",
      "\xc2\xa3" },
    { "a; filename*=iso-8859-1'en'%A3%20rates", "\xc2\xa3 rates" },

    /* none */
    { "", "" },
    { "inline", "" },
    { "attachment;", "" },
    { "attachment; filename", "" },
    { "attachment; filename=", "" },
    { "attachment; filename=\"\"", "" },
    { "attachment; filename=\".\"", "" },
    { "attachment; filename=\"..\"", "" },
    { "attachment; filename=\"a/..\"", "" },
    { "attachment; filename=\"dir/\"", "" },
    { "attachment; filename*=UTF-8''", "" },
    { "attachment; filename*=UTF-8'x", "" },
    { "attachment; filename*=x", "" },
    { "attachment; xfilename=a", "" },
    { "attachment; a=\"; filename=b\"", "" },
    { "filename=a", "" },
    { ";;;;", "" },
    { "=;=;=", "" },

    /* quoting and order */
    { "a; filename=\"a\\\"b\"", "a\"b" },
    { "a; filename=\"a\\\\b\"", "b" },
    { "a; filename=\"a;b\"", "a;b" },
    { "a; filename=\"a", "a" },
    { "a; filename=\"a\\", "" },
    { "a; filename=a; filename=b", "a" },
    { "a;filename = a ;b", "a" },
    { "a; size=1; filename=a b.txt ; x", "a b.txt" },
    { "a; x=\"y\" filename=b; filename=c", "c" },
    { "a; filename*=\"UTF-8''q%20q\"", "q q" },
    { "a;\tfilename\t=\ta", "a" },

    /* filename* that is not well-formed */
    { "a; filename*=UTF-8''%zz; filename=b", "b" },
    { "a; filename*=UTF-8''%; filename=b", "b" },
    { "a; filename*=UTF-8''%ff; filename=b", "b" },
    { "a; filename*=UTF-8''%c0%af; filename=b", "b" },
    { "a; filename*=UTF-8''%ed%a0%80; filename=b", "b" },
    { "a; filename*=UTF-8''%f4%90%80%80; filename=b", "b" },
    { "a; filename*=UTF-16''%00a; filename=b", "b" },
    { "a; filename*=UTF-8''/; filename=b", "b" },

    /* characters outside of ASCII in quotes */
    { "a; filename=\"caf\xc3\xa9.jpg\"", "caf\xc3\xa9.jpg" },
    { "a; filename=\"caf\xe9.jpg\"", "caf\xc3\xa9.jpg" },
    { "a; filename*=UTF-8''%F0%9F%98%80.png", "\xf0\x9f\x98\x80.png" },

    /* paths, dots, control and direction characters */
    { "a; filename=\"../../etc/passwd\"", "passwd" },
    { "a; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd" },
    { "a; filename*=UTF-8''c%3A%5Cx%5Cy.exe", "y.exe" },
    { "a; filename=\".htaccess\"", "htaccess" },
    { "a; filename=\"a.exe. . \"", "a.exe" },
    { "a; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x", "aSet-Cookie: x" },
    { "a; filename*=UTF-8''a%00b%7Fc%C2%85d", "abcd" },
    { "a; filename*=UTF-8''a%E2%80%AEgpj.exe", "agpj.exe" },
    { "a; filename*=UTF-8''%EF%BB%BFa%E2%80%8Bb", "ab" },
    { NULL, NULL }
};


static const format_case_t  formats[] = {
    { "", "chat/1/2/0a1b2c3d_photo.jpg", "image/jpeg",
      "inline; filename=\"photo.jpg\"" },
    { "inline", "chat/1/2/0a1b2c3d_photo.jpg", "image/jpeg",
      "inline; filename=\"photo.jpg\"" },
    { "attachment", "chat/1/2/0a1b2c3d_photo.jpg", "image/jpeg",
      "attachment; filename=\"photo.jpg\"" },
    { "ATTACHMENT ;x", "photo.jpg", "image/jpeg",
      "attachment; filename=\"photo.jpg\"" },
    { "other", "photo.jpg", "image/jpeg",
      "attachment; filename=\"photo.jpg\"" },
    { "inline; filename=\"a.svg\"", "k", "image/svg+xml",
      "attachment; filename=\"a.svg\"" },
    { "inline; filename*=UTF-8''caf%C3%A9%20%22x%22.pdf", "k",
      "application/pdf",
      "inline; filename=\"caf_ \\\"x\\\".pdf\"; "
      "filename*=UTF-8''caf%C3%A9%20%22x%22.pdf" },
    { "inline; filename=\"100%25.pdf\"", "k", "application/pdf",
      "inline; filename=\"100%25.pdf\"; filename*=UTF-8''100%2525.pdf" },
    { "", "a/0A1B2C3D_upper.pdf", "application/pdf",
      "inline; filename=\"0A1B2C3D_upper.pdf\"" },
    { "", "a/0a1b2c3_short.pdf", "application/pdf",
      "inline; filename=\"0a1b2c3_short.pdf\"" },
    { "", "a/0a1b2c3d_", "application/pdf",
      "inline; filename=\"0a1b2c3d_\"" },
    { "", "a/..", "", "attachment; filename=\"file\"" },
    { "", "", "", "attachment; filename=\"file\"" },
    { "; filename=\"../\"", "a/0a1b2c3d_b.bin", "",
      "attachment; filename=\"b.bin\"" },
    { "", "fotos/\xc3\xbc\"'.png", "image/png",
      "inline; filename=\"_\\\"'.png\"; filename*=UTF-8''%C3%BC%22%27.png" },
    { "", "profile_pics/1/5511.jpg", "image/jpeg",
      "inline; filename=\"5511.jpg\"" },
    { NULL, NULL, NULL, NULL }
};


int
main(void)
{
    test_types();
    test_names();
    test_long();
    test_compact();
    test_format();
    test_fuzz();

    return test_done();
}


static void
test_types(void)
{
    size_t  i;

    for (i = 0; inline_types[i]; i++) {
        ok(media_disposition_inline(str(inline_types[i])),
           "\"%s\" inline", inline_types[i]);
        ok(media_disposition_type_check(str(inline_types[i])) == MEDIA_OK,
           "\"%s\" is a type", inline_types[i]);
    }

    for (i = 0; attachment_types[i]; i++) {
        ok(!media_disposition_inline(str(attachment_types[i])),
           "\"%s\" attachment", attachment_types[i]);
    }

    ok(media_disposition_type_check(str("text/html; a=b")) == MEDIA_OK,
       "text/html is a type");
    ok(media_disposition_type_check(str("image/jpeg, text/html"))
       == MEDIA_ERROR, "two types are none");
    ok(media_disposition_type_check(str("")) == MEDIA_ERROR, "empty type");
}


static void
test_names(void)
{
    char                name[MEDIA_DISPOSITION_NAME_MAX];
    size_t              n;
    const name_case_t  *c;

    for (c = names; c->value; c++) {
        n = media_disposition_name(name, str(c->value));

        ok(n == strlen(c->name) && memcmp(name, c->name, n) == 0,
           "%s: \"%.*s\"", c->value, (int) n, name);
    }
}


/* a name of many characters keeps its extension, and whole characters */

static void
test_long(void)
{
    char         value[4096], name[MEDIA_DISPOSITION_NAME_MAX];
    char         dst[MEDIA_DISPOSITION_MAX];
    size_t       i, n;
    media_str_t  stored, key, type;

    n = (size_t) sprintf(value, "a; filename=\"");

    for (i = 0; i < 400; i++) {
        memcpy(value + n, "\xe6\x96\x87", 3);
        n += 3;
    }

    n += (size_t) sprintf(value + n, ".pdf\"");

    media_str_set(&stored, value, n);
    n = media_disposition_name(name, stored);

    ok(n == 3 * 83 + 4, "long name: %zu", n);
    ok(memcmp(name + n - 7, "\xe6\x96\x87.pdf", 7) == 0, "whole characters");

    media_str_set(&key, "k", 1);
    type = str("application/pdf");
    n = media_disposition_format(dst, stored, key, type);

    ok(n < MEDIA_DISPOSITION_MAX, "long value: %zu", n);

    /* the longest: quotes only */

    n = (size_t) sprintf(value, "a; filename=\"");

    for (i = 0; i < 300; i++) {
        memcpy(value + n, "\\\"", 2);
        n += 2;
    }

    media_str_set(&stored, value, n);
    n = media_disposition_format(dst, stored, key, type);

    ok(n > 1300 && n <= MEDIA_DISPOSITION_MAX, "longest value: %zu", n);

    memset(value, '.', sizeof(value));
    memcpy(value, "a; filename=b", 13);
    media_str_set(&stored, value, sizeof(value));

    ok(media_disposition_name(name, stored) == 1, "dots at the end");
}


/* a cache that keeps the compact form serves the same header */

static void
test_compact(void)
{
    char         compact[MEDIA_DISPOSITION_COMPACT_MAX];
    char         first[MEDIA_DISPOSITION_MAX], second[MEDIA_DISPOSITION_MAX];
    size_t       i, n, m;
    media_str_t  stored, small;

    static const char  *values[] = {
        "", "inline", "attachment", "attachment; filename=\"a \\\"b\\\\c\"",
        "inline; filename*=UTF-8''%E4%BD%A0%E5%A5%BD%20%22x%22.pdf",
        "attachment; filename=\"x.pdf\"; filename*=UTF-8''caf%C3%A9%25.pdf",
        "inline; filename=\"100%25.pdf\"", "inline; filename=\"caf\xe9.pdf\"",
        NULL
    };

    for (i = 0; values[i] != NULL; i++) {
        media_str_set(&stored, values[i], strlen(values[i]));
        media_str_set(&small, compact,
                      media_disposition_compact(compact, stored));

        n = media_disposition_format(first, stored, str("chat/t/c/k.pdf"),
                                     str("application/pdf"));
        m = media_disposition_format(second, small, str("chat/t/c/k.pdf"),
                                     str("application/pdf"));

        ok(n == m && memcmp(first, second, n) == 0, "compact: %s", values[i]);
    }
}


static void
test_format(void)
{
    char                  dst[MEDIA_DISPOSITION_MAX];
    size_t                n;
    const format_case_t  *c;

    for (c = formats; c->value; c++) {
        n = media_disposition_format(dst, str(c->stored), str(c->key),
                                     str(c->type));

        ok(n == strlen(c->value) && memcmp(dst, c->value, n) == 0,
           "\"%s\" \"%s\" \"%s\": %.*s", c->stored, c->key, c->type,
           (int) n, dst);
    }
}


/* whatever comes, one header line of a known form goes out */

static void
test_fuzz(void)
{
    char                 text[3][512];
    char                *copy, dst[MEDIA_DISPOSITION_MAX];
    char                 again[MEDIA_DISPOSITION_NAME_MAX];
    char                 name[MEDIA_DISPOSITION_NAME_MAX];
    size_t               i, j, k, n, m, bad, unstable;
    uint64_t             state;
    media_str_t          v, part, stored, key, type;
    static const char   *parts[] = {
        "attachment", "inline", "; ", "filename=", "filename*=", "UTF-8''",
        "iso-8859-1'x'", "%c3%a9", "%2f", "%5C", "\"", "\\", "\\\"", "/",
        "..", "\xc3\xa9", "\xe2\x80\xae", "\xff", "\r\n", "a", ".svg", "%",
        "image/jpeg", ";a=b", ",", "0a1b2c3d_", "'", "="
    };

    state = 20261121;
    bad = 0;
    unstable = 0;

    for (i = 0; i < FUZZ_RUNS; i++) {

        for (j = 0; j < 3; j++) {
            n = 0;

            for (k = test_random(&state) % 16; k > 0; k--) {
                part = str(parts[test_random(&state)
                                 % (sizeof(parts) / sizeof(parts[0]))]);

                if (test_random(&state) % 8 == 0) {
                    text[j][n++] = (char) test_random(&state);
                }

                memcpy(text[j] + n, part.data, part.len);
                n += part.len;
            }

            text[j][n] = '\0';
        }

        stored = str(text[0]);
        key = str(text[1]);
        type = str(text[2]);

        /* of its own size, so that a sanitizer sees what is read beyond */

        copy = malloc(stored.len ? stored.len : 1);
        if (copy == NULL) {
            exit(2);
        }

        memcpy(copy, stored.data, stored.len);
        media_str_set(&stored, copy, stored.len);

        n = media_disposition_format(dst, stored, key, type);

        bad += (n > sizeof(dst) || memchr(dst, '/', n) != NULL);

        for (j = 0; j < n; j++) {
            bad += ((unsigned char) dst[j] < ' ' || dst[j] & 0x80);
        }

        if (!media_disposition_inline(type)) {
            bad += (memcmp(dst, "attachment; ", 12) != 0);
        }

        /* read again, the name is the same */

        media_str_set(&v, dst, n);
        m = media_disposition_name(again, v);
        n = media_disposition_name(name, stored);

        unstable += (n != 0 && (n != m || memcmp(name, again, n) != 0));

        free(copy);
    }

    ok(bad == 0, "%zu bad values", bad);
    ok(unstable == 0, "%zu names that change", unstable);
}
