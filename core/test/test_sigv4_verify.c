/*
 * Copyright (C) ngx_media contributors
 *
 * Each reason to refuse a signature, every one-byte mutation of a signed
 * request, and random damage.
 */

#include "test_sigv4.h"


#define FUZZ_RUNS  20000


static void test_refusals(void);
static void test_refused_queries(void);
static void test_mutations(void);
static void test_fuzz(void);


int
main(void)
{
    test_refusals();
    test_refused_queries();
    test_mutations();
    test_fuzz();

    return test_done();
}


static int
verify_authorization(const char *authorization, size_t drop)
{
    request_t  r;

    request_init(&r, "GET", "/test.txt", "");
    request_header(&r, "Authorization", authorization);
    request_standard(&r, EMPTY_HASH);
    request_header(&r, "Range", "bytes=0-9");

    if (drop) {
        r.headers[drop] = r.headers[--r.req.nheaders];
    }

    return request_verify(&r, EXAMPLE_DAY);
}


static void
test_refusals(void)
{
    size_t     i;
    request_t  r;

#define KEY    "AKIAIOSFODNN7EXAMPLE"
#define SCOPE  "/20130524/us-east-1/s3/aws4_request"
#define NAMES  "host;range;x-amz-content-sha256;x-amz-date"
#define SIG    "f0e8bdb87c964420e857bd35b5d6ed31"                             \
               "0bd44f0170aba48dd91039c6036bdb41"
#define AUTH(algorithm, credential, signed_names, signature)                  \
    algorithm " Credential=" credential ",SignedHeaders=" signed_names        \
    ",Signature=" signature

    static const struct {
        const char  *authorization;
        int          rc;
    } cases[] = {
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, NAMES, SIG), MEDIA_OK },
        { AUTH("AWS4-HMAC-SHA1", KEY SCOPE, NAMES, SIG),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", "OTHER" SCOPE, NAMES, SIG),
          MEDIA_SIGV4_BAD_KEY },
        { AUTH("AWS4-HMAC-SHA256", SCOPE, NAMES, SIG),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY, NAMES, SIG), MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY "/20130525/us-east-1/s3/aws4_request",
               NAMES, SIG), MEDIA_SIGV4_BAD_SCOPE },
        { AUTH("AWS4-HMAC-SHA256", KEY "/20130524/eu-west-1/s3/aws4_request",
               NAMES, SIG), MEDIA_SIGV4_BAD_SCOPE },
        { AUTH("AWS4-HMAC-SHA256", KEY "/20130524/us-east-1/sqs/aws4_request",
               NAMES, SIG), MEDIA_SIGV4_BAD_SCOPE },
        { AUTH("AWS4-HMAC-SHA256", KEY "/20130524/us-east-1/s3/aws4", NAMES,
               SIG), MEDIA_SIGV4_BAD_SCOPE },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, "range;x-amz-content-sha256;"
               "x-amz-date", SIG), MEDIA_SIGV4_UNSIGNED_HEADER },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, "host;range;x-amz-date", SIG),
          MEDIA_SIGV4_UNSIGNED_HEADER },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, "range;host;"
               "x-amz-content-sha256;x-amz-date", SIG),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, "Host;range;"
               "x-amz-content-sha256;x-amz-date", SIG),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, "host;host;"
               "x-amz-content-sha256;x-amz-date", SIG),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, NAMES ";", SIG),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, "cookie;" NAMES, SIG),
          MEDIA_SIGV4_MISMATCH },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, NAMES ";x-amz-other", SIG),
          MEDIA_SIGV4_MISMATCH },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, NAMES, "f0e8"),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, NAMES, SIG "00"),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, NAMES, SIG ",Signature=" SIG),
          MEDIA_SIGV4_MALFORMED },
        { AUTH("AWS4-HMAC-SHA256", KEY SCOPE, NAMES, SIG ",Other=1"),
          MEDIA_SIGV4_MALFORMED },
        { "AWS4-HMAC-SHA256 Credential=" KEY SCOPE, MEDIA_SIGV4_MALFORMED },
        { "AWS4-HMAC-SHA256", MEDIA_SIGV4_MALFORMED },
        { "AWS4-HMAC-SHA256 ,,,", MEDIA_SIGV4_MALFORMED },
        { "AWS AKIAIOSFODNN7EXAMPLE:c2ln", MEDIA_SIGV4_MALFORMED },
        { "Bearer x", MEDIA_SIGV4_MALFORMED },
        { "", MEDIA_SIGV4_MALFORMED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(verify_authorization(cases[i].authorization, 0) == cases[i].rc,
           "case %zu gave %d, not %d", i,
           verify_authorization(cases[i].authorization, 0), cases[i].rc);
    }

    /* without Host, x-amz-content-sha256, x-amz-date */

    ok(verify_authorization(cases[0].authorization, 1)
       == MEDIA_SIGV4_MISMATCH, "host missing");
    ok(verify_authorization(cases[0].authorization, 2)
       == MEDIA_SIGV4_MALFORMED, "hash missing");
    ok(verify_authorization(cases[0].authorization, 3)
       == MEDIA_SIGV4_MALFORMED, "date missing");

    request_init(&r, "GET", "/test.txt", "");
    request_standard(&r, EMPTY_HASH);
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MISSING, "unsigned");

    (void) request_sign(&r, EXAMPLE_DAY);
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "signed");
    ok(request_verify(&r, EXAMPLE_DAY + 900) == MEDIA_OK, "15 minutes late");
    ok(request_verify(&r, EXAMPLE_DAY - 900) == MEDIA_OK, "15 minutes early");
    ok(request_verify(&r, EXAMPLE_DAY + 901) == MEDIA_SIGV4_SKEWED, "late");
    ok(request_verify(&r, EXAMPLE_DAY - 901) == MEDIA_SIGV4_SKEWED, "early");

    request_header(&r, "User-Agent", "curl");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK,
       "an unsigned header of another kind");

    request_header(&r, "X-AMZ-ACL", "public-read");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_UNSIGNED_HEADER,
       "an unsigned x-amz-* header");

    r.req.nheaders--;
    request_header(&r, "host", "evil.example");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MISMATCH,
       "a second host");

    r.req.nheaders--;
    request_header(&r, "x-amz-content-sha256", MEDIA_SIGV4_UNSIGNED);
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MALFORMED,
       "a second hash");

    r.req.nheaders--;
    r.req.query = str("X-Amz-Signature=" SIG);
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MALFORMED,
       "two signatures");
}


static void
test_refused_queries(void)
{
    size_t     i;
    request_t  r;

#define QUERY(algorithm, credential, date, expires, signed_names, signature)  \
    "X-Amz-Algorithm=" algorithm "&X-Amz-Credential=" credential              \
    "&X-Amz-Date=" date "&X-Amz-Expires=" expires                             \
    "&X-Amz-SignedHeaders=" signed_names "&X-Amz-Signature=" signature
#define ALG    "AWS4-HMAC-SHA256"
#define CRED   KEY "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
#define DATE   "20130524T000000Z"
#define PSIG   "aeeed9bbccd4d02ee5c0109b86d86835"                             \
               "f995330da4c265957d157751f604d404"

    static const struct {
        const char  *query;
        int          rc;
    } cases[] = {
        { QUERY(ALG, CRED, DATE, "86400", "host", PSIG), MEDIA_OK },
        { QUERY(ALG, CRED, DATE, "0", "host", PSIG), MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "", "host", PSIG), MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "-1", "host", PSIG), MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "604801", "host", PSIG),
          MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "99999999999999999999", "host", PSIG),
          MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "604800", "host", PSIG),
          MEDIA_SIGV4_MISMATCH },
        { QUERY(ALG, CRED, DATE, "+86400", "host", PSIG),
          MEDIA_SIGV4_MALFORMED },
        { QUERY("AWS4-ECDSA-P256-SHA256", CRED, DATE, "86400", "host", PSIG),
          MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, "20130524T000000", "86400", "host", PSIG),
          MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, "20130230T000000Z", "86400", "host", PSIG),
          MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, "20130525T000000Z", "86400", "host", PSIG),
          MEDIA_SIGV4_BAD_SCOPE },
        { QUERY(ALG, CRED, DATE, "86400", "", PSIG),
          MEDIA_SIGV4_UNSIGNED_HEADER },
        { QUERY(ALG, CRED, DATE, "86400", "host", ""),
          MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "86400", "host", PSIG)
          "&X-Amz-Expires=604800", MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "86400", "host", PSIG)
          "&X%2DAmz-Expires=604800", MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "86400", "host", PSIG)
          "&X-Amz-Signature=" PSIG, MEDIA_SIGV4_MALFORMED },
        { QUERY(ALG, CRED, DATE, "86400", "host", PSIG) "&x=1",
          MEDIA_SIGV4_MISMATCH },
        { QUERY(ALG, CRED, DATE, "86400", "host", PSIG)
          "&X-Amz-Security-Token=t", MEDIA_SIGV4_BAD_KEY },
        { QUERY(ALG, CRED, DATE, "86400", "host", PSIG) "&x=%",
          MEDIA_SIGV4_MALFORMED },
        { "X-Amz-Signature=" PSIG, MEDIA_SIGV4_MALFORMED },
        { "X-Amz-Algorithm=" ALG, MEDIA_SIGV4_MALFORMED },
        { "x=1", MEDIA_SIGV4_MISSING }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request_init(&r, "GET", "/test.txt", cases[i].query);
        request_header(&r, "host", BUCKET_HOST);

        ok(request_verify(&r, EXAMPLE_DAY) == cases[i].rc,
           "query %zu gave %d, not %d", i, request_verify(&r, EXAMPLE_DAY),
           cases[i].rc);
    }

    request_init(&r, "GET", "/test.txt", cases[0].query);
    request_header(&r, "host", BUCKET_HOST);
    request_header(&r, "x-amz-acl", "public-read");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_UNSIGNED_HEADER,
       "an unsigned x-amz-* header beside a presigned query");
}


/* each byte of what is signed, and of the signature, changed */

static void
mutate(request_t *r, media_str_t *s, const char *what)
{
    char         copy[2048];
    size_t       i;
    media_str_t  saved;

    saved = *s;
    memcpy(copy, s->data, s->len);
    s->data = copy;

    for (i = 0; i < s->len; i++) {
        copy[i] ^= 1;
        ok(request_verify(r, EXAMPLE_DAY) != MEDIA_OK,
           "%s with byte %zu changed to '%c'", what, i, copy[i]);
        copy[i] ^= 1;

        s->len = i;
        ok(request_verify(r, EXAMPLE_DAY) != MEDIA_OK,
           "%s cut to %zu bytes", what, i);
        s->len = saved.len;
    }

    *s = saved;
}


static void
test_mutations(void)
{
    size_t     i;
    request_t  r;

    request_init(&r, "PUT", "/bucket/a%2Bb/c d", "partNumber=7&uploadId=x%2F");
    request_header(&r, "Content-Type", "image/jpeg");
    request_header(&r, "Content-Length", "12345");
    request_standard(&r, EMPTY_HASH);
    (void) request_sign(&r, EXAMPLE_DAY);
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "before the mutations");

    mutate(&r, &r.req.method, "method");
    mutate(&r, &r.req.path, "path");
    mutate(&r, &r.req.query, "query");

    for (i = 0; i < r.req.nheaders; i++) {
        mutate(&r, &r.headers[i].name, "header name");
        mutate(&r, &r.headers[i].value, "header value");
    }

    request_init(&r, "PUT", "/bucket/key", "x-id=PutObject");
    request_header(&r, "host", "127.0.0.1:9000");
    request_header(&r, "content-length", "12345");
    (void) request_presign(&r, EXAMPLE_DAY, 3600);
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "presigned, the same");

    mutate(&r, &r.req.method, "method");
    mutate(&r, &r.req.path, "path");
    mutate(&r, &r.req.query, "presigned query");

    for (i = 0; i < r.req.nheaders; i++) {
        mutate(&r, &r.headers[i].name, "header name");
        mutate(&r, &r.headers[i].value, "header value");
    }
}


/* random damage to valid requests: no crash, and nothing else accepted */

static void
test_fuzz(void)
{
    char         text[2048];
    size_t       i, n, at, accepted;
    uint64_t     state;
    request_t    header, query, *r;
    media_str_t  saved, *s;

    state = 0x2545f4914f6cdd1dULL;
    accepted = 0;

    request_init(&header, "GET", "/b/k%20e", "list-type=2&prefix=a%2Fb");
    request_standard(&header, EMPTY_HASH);
    (void) request_sign(&header, EXAMPLE_DAY);

    request_init(&query, "GET", "/b/k%20e", "prefix=a%2Fb");
    request_header(&query, "host", BUCKET_HOST);
    (void) request_presign(&query, EXAMPLE_DAY, 60);

    for (i = 0; i < FUZZ_RUNS; i++) {
        r = (i & 1) ? &header : &query;
        s = (i & 1) ? &r->headers[3].value : &r->req.query;

        if (i % 8 >= 6) {
            s = &r->req.path;
        }

        saved = *s;
        memcpy(text, s->data, s->len);
        s->data = text;

        for (n = test_random(&state) % 4 + 1; n > 0; n--) {
            at = test_random(&state) % s->len;

            if (test_random(&state) & 1) {
                text[at] = "%&=/;,+ AX\0z"[test_random(&state) % 12];

            } else {
                s->len = at + 1;
            }
        }

        if (request_verify(r, EXAMPLE_DAY) == MEDIA_OK) {
            accepted += s->len != saved.len
                        || memcmp(text, saved.data, s->len) != 0;
        }

        *s = saved;
    }

    ok(accepted == 0, "%zu damaged requests accepted", accepted);
}
