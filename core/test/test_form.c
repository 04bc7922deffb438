/*
 * Copyright (C) ngx_media contributors
 *
 * Forms as browsers and clients send them, split at every byte; malformed
 * ones; and forms changed at random, which must mean the same however they
 * are split.
 */

#include "media_form.h"
#include "test.h"


#define FUZZ_RUNS  100000
#define TEXT_MAX   65536


/* what a form says, in one line a part: name|file name|type|content */
typedef struct {
    size_t   len;
    char     text[TEXT_MAX];
    int      rc;                /* to be returned by a handler */
    int      parts;
    int      ends;
} reader_t;


typedef struct {
    const char  *title;
    const char  *type;
    const char  *body;
    const char  *text;
} form_case_t;


typedef struct {
    const char  *title;
    const char  *body;
    int          rc;
} bad_case_t;


static void test_types(void);
static void test_boundaries(void);
static void test_clients(void);
static void test_names(void);
static void test_delimiters(void);
static void test_malformed(void);
static void test_limits(void);
static void test_handlers(void);
static void test_fuzz(void);


#define FORM   "multipart/form-data; boundary="
#define BEGIN  "--B\r\nContent-Disposition: form-data; "
#define END    "\r\n--B--\r\n"


static const form_case_t  clients[] = {
    { "Chromium",
      FORM "----WebKitFormBoundary7MA4YWxkTrZu0gW",
      "------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n"
      "Content-Disposition: form-data; name=\"conversation_id\"\r\n"
      "\r\n"
      "42\r\n"
      "------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n"
      "Content-Disposition: form-data; name=\"caption\"\r\n"
      "\r\n"
      "Bom dia,\r\ntudo bem? \xf0\x9f\x98\x80\r\n"
      "------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n"
      "Content-Disposition: form-data; name=\"file\"; "
      "filename=\"f\xc3\xa9rias %22 2026.jpg\"\r\n"
      "Content-Type: image/jpeg\r\n"
      "\r\n"
      "\xff\xd8\xff\xe0\r\n--\r\r\n\r\n----\r\n"
      "------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n",
      "conversation_id|-||42\n"
      "caption|-||Bom dia,\r\ntudo bem? \xf0\x9f\x98\x80\n"
      "file|f\xc3\xa9rias \" 2026.jpg|image/jpeg|"
      "\xff\xd8\xff\xe0\r\n--\r\r\n\r\n----\n" },

    { "Chromium, no file chosen",
      FORM "----WebKitFormBoundaryA",
      "------WebKitFormBoundaryA\r\n"
      "Content-Disposition: form-data; name=\"file\"; filename=\"\"\r\n"
      "Content-Type: application/octet-stream\r\n"
      "\r\n"
      "\r\n"
      "------WebKitFormBoundaryA--\r\n",
      "file||application/octet-stream|\n" },

    { "Firefox",
      FORM "---------------------------9051914041544843365972754266",
      "-----------------------------9051914041544843365972754266\r\n"
      "Content-Disposition: form-data; name=\"text\"\r\n"
      "\r\n"
      "\r\n"
      "-----------------------------9051914041544843365972754266\r\n"
      "Content-Disposition: form-data; name=\"file\"; "
      "filename=\"a.txt\"\r\n"
      "Content-Type: text/plain\r\n"
      "\r\n"
      "Content of a.txt.\n\r\n"
      "-----------------------------9051914041544843365972754266--\r\n",
      "text|-||\nfile|a.txt|text/plain|Content of a.txt.\n\n" },

    { "Firefox since 129",
      FORM "----geckoformboundarya1b2c3d4e5f60718293a4b5c6d7e8f90",
      "------geckoformboundarya1b2c3d4e5f60718293a4b5c6d7e8f90\r\n"
      "Content-Disposition: form-data; name=\"file\"; "
      "filename=\"voz.ogg\"\r\n"
      "Content-Type: audio/ogg\r\n"
      "\r\n"
      "OggS\r\n"
      "------geckoformboundarya1b2c3d4e5f60718293a4b5c6d7e8f90--\r\n",
      "file|voz.ogg|audio/ogg|OggS\n" },

    { "curl",
      FORM "------------------------d74496d66958873e",
      "--------------------------d74496d66958873e\r\n"
      "Content-Disposition: form-data; name=\"kind\"\r\n"
      "\r\n"
      "voice\r\n"
      "--------------------------d74496d66958873e\r\n"
      "Content-Disposition: form-data; name=\"file\"; "
      "filename=\"a\\\"b\\\\c.bin\"\r\n"
      "Content-Type: application/octet-stream\r\n"
      "\r\n"
      "x\r\n"
      "--------------------------d74496d66958873e--\r\n",
      "kind|-||voice\nfile|c.bin|application/octet-stream|x\n" },

    { "requests (Python)",
      FORM "0ef0d2b04a6d4a6e8ad1b5cb8b2ea7d3",
      "--0ef0d2b04a6d4a6e8ad1b5cb8b2ea7d3\r\n"
      "Content-Disposition: form-data; name=\"file\"; "
      "filename*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n"
      "\r\n"
      "%PDF-1.7\r\n"
      "--0ef0d2b04a6d4a6e8ad1b5cb8b2ea7d3--\r\n",
      "file|r\xc3\xa9sum\xc3\xa9.pdf||%PDF-1.7\n" },

    { "OkHttp, .NET",
      FORM "\"d9a1b2c3-0000-4000-8000-1234567890ab\"",
      "--d9a1b2c3-0000-4000-8000-1234567890ab\r\n"
      "Content-Type: image/png\r\n"
      "Content-Length: 3\r\n"
      "Content-Transfer-Encoding: binary\r\n"
      "Content-Disposition: form-data; name=file; filename=x.png; "
      "filename*=utf-8''y.png\r\n"
      "\r\n"
      "PNG\r\n"
      "--d9a1b2c3-0000-4000-8000-1234567890ab--",
      "file|y.png|image/png|PNG\n" },

    { "no part at all", FORM "B", "--B--\r\n", "" },

    { NULL, NULL, NULL, NULL }
};


static const form_case_t  names[] = {
    { "spaces and case", FORM "B",
      "--B\r\ncOntent-disposition:form-DATA ;name=\"a\" ; FileName=\"x\" \r\n"
      "content-TYPE:\ttext/plain \r\n\r\ny" END, "a|x|text/plain|y\n" },
    { "a path", FORM "B", BEGIN "name=a; filename=\"/etc/passwd\"\r\n\r\n"
      END, "a|passwd||\n" },
    { "a path of Windows", FORM "B",
      BEGIN "name=a; filename=\"C:\\\\x\\\\y.jpg\"\r\n\r\n" END,
      "a|y.jpg||\n" },
    { "another charset", FORM "B",
      BEGIN "name=a; filename*=iso-8859-1'pt'f%E9.txt\r\n\r\n" END,
      "a|f\xc3\xa9.txt||\n" },
    { "a semicolon in quotes", FORM "B",
      BEGIN "name=\"a;b\"; filename=\"x; y=z.txt\"\r\n\r\n" END,
      "a;b|x; y=z.txt||\n" },
    { "an unknown parameter", FORM "B", BEGIN "x=y; name=a\r\n\r\n1" END,
      "a|-||1\n" },
    { "an unknown header", FORM "B",
      BEGIN "name=a\r\nX-Any: \"\r\n\r\n1" END, "a|-||1\n" },

    { NULL, NULL, NULL, NULL }
};


static const form_case_t  delimiters[] = {
    { "CR", FORM "B", BEGIN "name=a\r\n\r\n\r" END, "a|-||\r\n" },
    { "CRLF", FORM "B", BEGIN "name=a\r\n\r\n\r\n" END, "a|-||\r\n\n" },
    { "half", FORM "B", BEGIN "name=a\r\n\r\n\r\n-\r\n--\r\n-\r\r\n" END,
      "a|-||\r\n-\r\n--\r\n-\r\r\n\n" },
    { "LF", FORM "B", BEGIN "name=a\r\n\r\n\n--B\n--B--" END,
      "a|-||\n--B\n--B--\n" },
    { "within a line", FORM "B", BEGIN "name=a\r\n\r\n--B x--B--" END,
      "a|-||--B x--B--\n" },
    { "dashes", FORM "--", "----\r\nContent-Disposition: form-data; name=a"
      "\r\n\r\n\r\n---\r\n------", "a|-||\r\n---\n" },
    { "empty, and the header's own line ends", FORM "B",
      BEGIN "name=a\r\n\r\n\r\n--B\r\n"
      "Content-Disposition: form-data; name=b\r\n\r\n" END, "a|-||\nb|-||\n" },

    { NULL, NULL, NULL, NULL }
};


static const bad_case_t  malformed[] = {
    { "empty", "", MEDIA_ERROR },
    { "text before", "x\r\n--B--\r\n", MEDIA_ERROR },
    { "a line before", "\r\n--B--\r\n", MEDIA_ERROR },
    { "text behind", "--B--\r\nx", MEDIA_ERROR },
    { "text at once", "--B--x", MEDIA_ERROR },
    { "a CR behind", "--B--\r", MEDIA_ERROR },
    { "two ends", "--B--\r\n\r\n", MEDIA_ERROR },
    { "another boundary", "--C--\r\n", MEDIA_ERROR },
    { "a longer boundary", BEGIN "name=a\r\n\r\n1\r\n--BB\r\n--B--\r\n",
      MEDIA_ERROR },
    { "a space behind", "--B \r\n", MEDIA_ERROR },
    { "LF only", "--B\nContent-Disposition: form-data; name=a\n\n1\n--B--\n",
      MEDIA_ERROR },
    { "one dash", "--B-\r\n", MEDIA_ERROR },
    { "no end", BEGIN "name=a\r\n\r\n1\r\n--B", MEDIA_ERROR },
    { "no end, a dash", BEGIN "name=a\r\n\r\n1\r\n--B-", MEDIA_ERROR },
    { "no boundary behind", BEGIN "name=a\r\n\r\n1", MEDIA_ERROR },
    { "no header", "--B\r\n\r\n1" END, MEDIA_ERROR },
    { "no disposition", "--B\r\nContent-Type: a/b\r\n\r\n1" END,
      MEDIA_ERROR },
    { "another disposition",
      "--B\r\nContent-Disposition: attachment; name=a\r\n\r\n1" END,
      MEDIA_ERROR },
    { "no name", BEGIN "filename=a\r\n\r\n1" END, MEDIA_ERROR },
    { "an empty name", BEGIN "name=\"\"\r\n\r\n1" END, MEDIA_ERROR },
    { "two names", BEGIN "name=a; name=b\r\n\r\n1" END, MEDIA_ERROR },
    { "two file names", BEGIN "name=a; filename=a; filename=b\r\n\r\n1" END,
      MEDIA_ERROR },
    { "two dispositions", BEGIN "name=a\r\nContent-Disposition: form-data; "
      "name=b\r\n\r\n1" END, MEDIA_ERROR },
    { "two types", BEGIN "name=a\r\nContent-Type: a/b\r\nContent-Type: c/d"
      "\r\n\r\n1" END, MEDIA_ERROR },
    { "no value", BEGIN "name\r\n\r\n1" END, MEDIA_ERROR },
    { "quotes that do not end", BEGIN "name=\"a\r\n\r\n1" END, MEDIA_ERROR },
    { "a backslash at the end", BEGIN "name=\"a\\\"\r\n\r\n1" END,
      MEDIA_ERROR },
    { "text behind quotes", BEGIN "name=\"a\"b\r\n\r\n1" END, MEDIA_ERROR },
    { "a semicolon at the end", BEGIN "name=a;\r\n\r\n1" END, MEDIA_ERROR },
    { "a folded line", BEGIN "name=a;\r\n filename=b\r\n\r\n1" END,
      MEDIA_ERROR },
    { "LF in a header", BEGIN "name=a\nX: y\r\n\r\n1" END, MEDIA_ERROR },
    { "CR in a header", BEGIN "name=a\rX: y\r\n\r\n1" END, MEDIA_ERROR },
    { "no colon", BEGIN "name=a\r\nX\r\n\r\n1" END, MEDIA_ERROR },
    { "a space before the colon", BEGIN "name=a\r\nX : y\r\n\r\n1" END,
      MEDIA_ERROR },
    { "base64", BEGIN "name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n"
      "MQ==" END, MEDIA_ERROR },
    { "quoted-printable", BEGIN "name=a\r\n"
      "Content-Transfer-Encoding: quoted-printable\r\n\r\n=31" END,
      MEDIA_ERROR },

    { NULL, NULL, 0 }
};


static reader_t  reader, other;


static void
reader_put(reader_t *r, const char *p, size_t len)
{
    if (len > TEXT_MAX - r->len) {
        printf("too long a form\n");
        exit(2);
    }

    memcpy(r->text + r->len, p, len);
    r->len += len;
}


static int
reader_begin(void *data, const media_form_part_t *part)
{
    reader_t  *r;

    r = data;
    r->parts++;

    reader_put(r, part->name.data, part->name.len);
    reader_put(r, "|", 1);

    if (part->file) {
        reader_put(r, part->file_name.data, part->file_name.len);

    } else {
        reader_put(r, "-", 1);
    }

    reader_put(r, "|", 1);

    if (part->type.len) {
        reader_put(r, part->type.data, part->type.len);
    }

    reader_put(r, "|", 1);

    return r->rc;
}


static int
reader_piece(void *data, const char *p, size_t len)
{
    reader_put(data, p, len);

    return MEDIA_OK;
}


static int
reader_end(void *data)
{
    reader_t  *r;

    r = data;
    r->ends++;
    reader_put(r, "\n", 1);

    return MEDIA_OK;
}


static const media_form_handler_t  handler = {
    reader_begin, reader_piece, reader_end
};

static const media_form_limits_t  limits = { 20, 1000 };


/* feeds the body in pieces that end at the two positions */

static int
read_split(reader_t *r, const char *type, const char *body, size_t len,
    size_t a, size_t b)
{
    int           rc;
    char         *copy;
    size_t        i, pos[4];
    media_form_t  form;

    r->len = 0;
    r->parts = 0;
    r->ends = 0;

    rc = media_form_init(&form, str(type), &limits, &handler, r);
    if (rc != MEDIA_OK) {
        return rc;
    }

    pos[0] = 0;
    pos[1] = a;
    pos[2] = b;
    pos[3] = len;

    for (i = 0; i < 3; i++) {

        /* of its own, so that a sanitizer sees what is read behind it */

        copy = malloc(pos[i + 1] - pos[i] + 1);
        if (copy == NULL) {
            exit(2);
        }

        memcpy(copy, body + pos[i], pos[i + 1] - pos[i]);
        rc = media_form_feed(&form, copy, pos[i + 1] - pos[i]);
        free(copy);

        if (rc != MEDIA_OK) {
            return rc;
        }
    }

    return media_form_finish(&form);
}


static int
read_bytes(reader_t *r, const char *type, const char *body, size_t len)
{
    int           rc;
    size_t        i;
    media_form_t  form;

    r->len = 0;
    r->parts = 0;
    r->ends = 0;

    rc = media_form_init(&form, str(type), &limits, &handler, r);

    for (i = 0; rc == MEDIA_OK && i < len; i++) {
        rc = media_form_feed(&form, body + i, 1);
    }

    return rc == MEDIA_OK ? media_form_finish(&form) : rc;
}


static int
reader_is(const reader_t *r, const char *text)
{
    return r->len == strlen(text) && memcmp(r->text, text, r->len) == 0
           && r->parts == r->ends;
}


static void
test_cases(const form_case_t *c)
{
    int     rc, good;
    size_t  a, b, len, step;

    for ( /* void */ ; c->title; c++) {
        len = strlen(c->body);

        rc = read_split(&reader, c->type, c->body, len, 0, 0);
        ok(rc == MEDIA_OK && reader_is(&reader, c->text), "%s: %d: %.*s",
           c->title, rc, (int) reader.len, reader.text);

        rc = read_bytes(&reader, c->type, c->body, len);
        ok(rc == MEDIA_OK && reader_is(&reader, c->text),
           "%s in bytes: %d: %.*s", c->title, rc, (int) reader.len,
           reader.text);

        good = 1;
        step = len > 200 ? 7 : 1;

        for (a = 0; a <= len && good; a++) {
            for (b = a; b <= len && good; b += step) {
                rc = read_split(&reader, c->type, c->body, len, a, b);
                good = rc == MEDIA_OK && reader_is(&reader, c->text);
            }
        }

        ok(good, "%s split at %zu, %zu: %d: %.*s", c->title, a, b, rc,
           (int) reader.len, reader.text);

        /* what is cut off is no form, but for the last line's end */

        good = 1;

        for (a = 0; a + 2 < len && good; a++) {
            good = read_split(&reader, c->type, c->body, a, 0, 0)
                   == MEDIA_ERROR;
        }

        ok(good, "%s cut at %zu", c->title, a);
    }
}


static void
test_types(void)
{
    ok(media_form_type(str("multipart/form-data")), "bare");
    ok(media_form_type(str("Multipart/Form-Data ; boundary=x")), "case");
    ok(!media_form_type(str("multipart/form-data2; boundary=x")), "longer");
    ok(!media_form_type(str("multipart/mixed; boundary=x")), "mixed");
    ok(!media_form_type(str("multipart/form")), "shorter");
    ok(!media_form_type(str("")), "empty");
}


static void
test_boundaries(void)
{
    size_t        i;
    media_form_t  form;

    static const char  *good[] = {
        FORM "x", FORM "\"x\"", FORM "\"x y\"", FORM "a'()+_,-./:=?z",
        "multipart/form-data;charset=utf-8;boundary=x",
        "multipart/form-data; BOUNDARY=x; charset=\"a;b\"",
        FORM "1234567890123456789012345678901234567890123456789012345678901234"
        "567890",
        NULL
    };
    static const char  *bad[] = {
        "multipart/form-data", "multipart/form-data;", FORM, FORM "\"\"",
        FORM "x; boundary=x", FORM "x y", FORM "\"x ", FORM "\"x \"",
        FORM "\"x\"y", FORM "x;", FORM "x*y", FORM "\"x*y\"", FORM "\"x\\\"\"",
        "multipart/form-data; boundary", "multipart/mixed; boundary=x",
        "multipart/form-data boundary=x",
        FORM "1234567890123456789012345678901234567890123456789012345678901234"
        "5678901",
        NULL
    };

    for (i = 0; good[i]; i++) {
        ok(media_form_init(&form, str(good[i]), &limits, &handler, NULL)
           == MEDIA_OK, "good: %s", good[i]);
    }

    for (i = 0; bad[i]; i++) {
        ok(media_form_init(&form, str(bad[i]), &limits, &handler, NULL)
           == MEDIA_ERROR, "bad: %s", bad[i]);
        ok(media_form_feed(&form, "--x--", 5) == MEDIA_ERROR
           && media_form_finish(&form) == MEDIA_ERROR, "fed: %s", bad[i]);
    }
}


static void
test_clients(void)
{
    test_cases(clients);
}


static void
test_names(void)
{
    test_cases(names);
}


static void
test_delimiters(void)
{
    test_cases(delimiters);
}


static void
test_malformed(void)
{
    int                rc, rc_bytes;
    const bad_case_t  *c;

    for (c = malformed; c->title; c++) {
        rc = read_split(&reader, FORM "B", c->body, strlen(c->body), 0, 0);
        rc_bytes = read_bytes(&reader, FORM "B", c->body, strlen(c->body));

        ok(rc == c->rc && rc_bytes == c->rc, "%s: %d, %d", c->title, rc,
           rc_bytes);
    }

    rc = read_split(&reader, FORM "B", BEGIN "name=\"a\0b\"\r\n\r\n1" END,
                    sizeof(BEGIN "name=\"a\0b\"\r\n\r\n1" END) - 1, 0, 0);
    ok(rc == MEDIA_ERROR, "NUL in a header: %d", rc);
}


static void
test_limits(void)
{
    int     i, n, rc;
    char   *body, *p;
    size_t  len;

    body = malloc(TEXT_MAX);
    if (body == NULL) {
        exit(2);
    }

    for (i = 20; i <= 21; i++) {
        p = body;

        for (n = 0; n < i; n++) {
            p += sprintf(p, "--B\r\nContent-Disposition: form-data; name=a"
                            "\r\n\r\n\r\n");
        }

        p += sprintf(p, "--B--");

        rc = read_bytes(&reader, FORM "B", body, (size_t) (p - body));
        ok(rc == (i > 20 ? MEDIA_NOSPACE : MEDIA_OK), "%d parts: %d", i, rc);
        ok(reader.parts == 20, "of %d parts %d began", i, reader.parts);
    }

    for (i = 1000; i <= 1001; i++) {
        len = (size_t) sprintf(body, BEGIN "name=a\r\n\r\n%0*d" END, i, 1);
        rc = read_bytes(&reader, FORM "B", body, len);
        ok(rc == (i > 1000 ? MEDIA_NOSPACE : MEDIA_OK), "field %d: %d", i,
           rc);

        len = (size_t) sprintf(body, BEGIN "name=a; filename=x\r\n\r\n%0*d"
                               END, i, 1);
        rc = read_bytes(&reader, FORM "B", body, len);
        ok(rc == MEDIA_OK, "file %d: %d", i, rc);
    }

    for (i = 4096; i <= 4097; i++) {
        len = (size_t) sprintf(body, "--B\r\nX: %0*d\r\n"
                               "Content-Disposition: form-data; name=a\r\n"
                               "\r\n1" END, i - 47, 1);
        rc = read_bytes(&reader, FORM "B", body, len);
        ok(rc == (i > 4096 ? MEDIA_NOSPACE : MEDIA_OK), "header %d: %d", i,
           rc);
    }

    free(body);
}


static void
test_handlers(void)
{
    int                   rc;
    media_form_t          form;
    media_form_handler_t  h;

    reader.rc = 7;
    rc = read_split(&reader, clients[0].type, clients[0].body,
                    strlen(clients[0].body), 0, 0);
    ok(rc == 7 && reader.parts == 1, "begin() fails: %d", rc);
    reader.rc = 0;

    h = handler;
    h.end = NULL;
    reader.len = 0;

    (void) media_form_init(&form, str(FORM "B"), &limits, &h, &reader);
    rc = media_form_feed(&form, BEGIN "name=a\r\n\r\n1" END,
                         sizeof(BEGIN "name=a\r\n\r\n1" END) - 1);
    ok(rc == MEDIA_OK && media_form_finish(&form) == MEDIA_OK
       && reader.len == 6, "no end(): %d", rc);
}


static void
test_fuzz(void)
{
    int          rc, rc_other, good, refused;
    char         body[2048];
    size_t       n, len, pos, a, b, count;
    uint64_t     state;
    const char  *bit;

    static const char  *bits[] = {
        "\r\n", "\r", "\n", "--", "-", "\r\n--", "\r\n--B", "--B--", "\"",
        "\\", ";", "=", ":", " ", "%22", "name=a", "\r\n\r\n", "B"
    };

    state = 20261121;
    good = 0;
    refused = 0;

    for (n = 0; n < FUZZ_RUNS; n++) {
        len = (size_t) snprintf(body, sizeof(body), BEGIN "name=a\r\n\r\n1\r\n"
                                BEGIN "name=\"f\"; filename=\"x.jpg\"\r\n"
                                "Content-Type: image/jpeg\r\n\r\n"
                                "\r\n--\r\n\r\n--A" END);

        for (count = test_random(&state) % 4; count > 0; count--) {
            pos = test_random(&state) % len;

            switch (test_random(&state) % 4) {

            case 0:
                body[pos] = (char) test_random(&state);
                break;

            case 1:
                a = test_random(&state) % 4;
                a = a < len - pos ? a : len - pos - 1;
                memmove(body + pos, body + pos + a, len - pos - a);
                len -= a;
                break;

            default:
                bit = bits[test_random(&state) % (sizeof(bits)
                                                  / sizeof(bits[0]))];
                memmove(body + pos + strlen(bit), body + pos, len - pos);
                memcpy(body + pos, bit, strlen(bit));
                len += strlen(bit);
            }
        }

        a = test_random(&state) % (len + 1);
        b = a + test_random(&state) % (len - a + 1);

        rc = read_split(&reader, FORM "B", body, len, a, b);
        rc_other = read_bytes(&other, FORM "B", body, len);

        if (rc != rc_other || reader.parts != other.parts
            || (rc == MEDIA_OK
                && (reader.len != other.len
                    || memcmp(reader.text, other.text, reader.len) != 0)))
        {
            ok(0, "run %zu: split at %zu and %zu: %d, in bytes: %d", n, a, b,
               rc, rc_other);
            return;
        }

        good += rc == MEDIA_OK;
        refused += rc != MEDIA_OK;
    }

    ok(good > FUZZ_RUNS / 10 && refused > FUZZ_RUNS / 10,
       "%d read, %d refused", good, refused);
}


int
main(void)
{
    test_types();
    test_boundaries();
    test_clients();
    test_names();
    test_delimiters();
    test_malformed();
    test_limits();
    test_handlers();
    test_fuzz();

    return test_done();
}
