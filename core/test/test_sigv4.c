/*
 * Copyright (C) ngx_media contributors
 *
 * AWS's published examples, requests signed by botocore, hostile object
 * names, dates and limits.
 */

#include "test_sigv4.h"


#define REQUESTS     "t/data/sigv4/requests.txt"


typedef struct {
    const char  *method;
    const char  *path;
    const char  *query;
    const char  *payload_hash;
    const char  *headers[4][2];
    const char  *signature;
} example_t;


static void test_examples(void);
static void test_presigned_example(void);
static void test_botocore(void);
static void botocore_sign(request_t *r, long when, int session,
    const char *result);
static void botocore_presign(request_t *r, long when, unsigned expires,
    int session, const char *result);
static void test_names(void);
static void test_dates(void);
static void test_limits(void);


static const example_t  examples[] = {
    { "GET", "/test.txt", "", EMPTY_HASH,
      { { "Range", "bytes=0-9" } },
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },

    { "PUT", "/test$file.text", "",
      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      { { "Date", "Fri, 24 May 2013 00:00:00 GMT" },
        { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },

    { "GET", "/", "lifecycle", EMPTY_HASH, { { NULL, NULL } },
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },

    { "GET", "/", "max-keys=2&prefix=J", EMPTY_HASH, { { NULL, NULL } },
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" }
};

/* paths of hostile object names, as a client encodes them */
static const char  *names[] = {
    "/b/quote%22%27.jpg", "/b/a%2Bb%3Dc%40d.jpg", "/b/literal%252Fslash",
    "/b/with%20space%20", "/b/caf%C3%A9/%E6%97%A5%E6%9C%AC.jpg",
    "/b/../x/./..", "/b//double//", "/b/%00%01%7F%FF", "/b/a;b,c&d?e",
    "/b/%3Fquery%23fragment", "/b/raw+plus=and@at", "/b/%C3%28invalid-utf8"
};


int
main(void)
{
    test_examples();
    test_presigned_example();
    test_botocore();
    test_names();
    test_dates();
    test_limits();

    return test_done();
}


/*
 * https://docs.aws.amazon.com/AmazonS3/latest/API/
 * sig-v4-header-based-auth.html
 */

static void
test_examples(void)
{
    size_t            i, n;
    ssize_t           len;
    request_t         r;
    const example_t  *e;

    for (i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        e = &examples[i];

        request_init(&r, e->method, e->path, e->query);

        for (n = 0; n < 4 && e->headers[n][0]; n++) {
            request_header(&r, e->headers[n][0], e->headers[n][1]);
        }

        request_standard(&r, e->payload_hash);
        len = request_sign(&r, EXAMPLE_DAY);

        ok(len > 64 && strcmp(r.authorization + len - 64, e->signature) == 0,
           "example %zu: %s", i, r.authorization);
        ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK,
           "example %zu verifies", i);
    }

    ok(strstr(r.authorization, "AWS4-HMAC-SHA256 Credential="
              "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
              "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
              "Signature=")
       == r.authorization, "form of the header");

    r.headers[r.req.nheaders - 1].value =
        str("AWS4-HMAC-SHA256 Credential="
            "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature="
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
            );
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "no blanks after commas");
}


/*
 * https://docs.aws.amazon.com/AmazonS3/latest/API/
 * sigv4-query-string-auth.html
 */

static void
test_presigned_example(void)
{
    request_t  r;

    static const char  signature[] = "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b"
                                "86d86835f995330da4c265957d157751f604d404";

    request_init(&r, "GET", "/test.txt", "");
    request_header(&r, "host", BUCKET_HOST);

    ok(request_presign(&r, EXAMPLE_DAY, 86400) > 0
       && strstr(r.query, signature) != NULL, "presigned: %s", r.query);

    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "presigned verifies");
    ok(request_verify(&r, EXAMPLE_DAY + 86400) == MEDIA_OK, "until the end");
    ok(request_verify(&r, EXAMPLE_DAY + 86401) == MEDIA_SIGV4_EXPIRED,
       "not after it");
    ok(request_verify(&r, EXAMPLE_DAY - 900) == MEDIA_OK, "clock behind");
    ok(request_verify(&r, EXAMPLE_DAY - 901) == MEDIA_SIGV4_SKEWED,
       "clock too far behind");

    r.req.query = str("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                      "AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
                      "aws4_request&X-Amz-Date=20130524T000000Z&"
                      "X-Amz-Expires=86400&X-Amz-SignedHeaders=host&"
                      "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835"
                      "f995330da4c265957d157751f604d404");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "AWS's own query");
}


static void
test_botocore(void)
{
    int        session, n;
    char       form[16], method[16], *data, *p, *line[5], *colon;
    long       when;
    size_t     i, len, count;
    unsigned   expires;
    request_t  r;

    data = test_read_file(REQUESTS, &len);
    p = strstr(data, "\n\n") + 2;

    for (count = 0; *p; count++) {

        for (i = 0; i < 5; i++) {
            line[i] = p;
            p = strchr(p, '\n');
            *p++ = '\0';
        }

        n = sscanf(line[0], "%15s %15s %ld %u %d", form, method, &when,
                   &expires, &session);
        ok(n == 5, "first line \"%s\"", line[0]);

        request_init(&r, method, line[1], line[2]);
        r.req.payload_hash = str(line[3]);

        while (*p && *p != '\n') {
            colon = strchr(p, ':');
            *colon = '\0';
            r.headers[r.req.nheaders].name = str(p);
            p = strchr(colon + 1, '\n');
            *p++ = '\0';
            r.headers[r.req.nheaders++].value = str(colon + 1);
        }

        p += (*p == '\n');

        if (strcmp(form, "sign") == 0) {
            botocore_sign(&r, when, session, line[4]);

        } else {
            botocore_presign(&r, when, expires, session, line[4]);
        }
    }

    ok(count == 210, "%zu requests of botocore", count);
    free(data);
}


static void
botocore_sign(request_t *r, long when, int session, const char *result)
{
    ssize_t             n;
    media_sigv4_cred_t  cred;

    cred_init(&cred, session);

    n = media_sigv4_sign(&cred, &r->req, when, r->authorization,
                         sizeof(r->authorization));
    ok(n == (ssize_t) strlen(result)
       && memcmp(r->authorization, result, (size_t) n) == 0,
       "sign %s %s", r->req.path.data, r->req.query.data);

    request_header(r, "Authorization", result);
    ok(media_sigv4_verify(&cred, &r->req, when) == MEDIA_OK,
       "verify %s %s", r->req.path.data, r->req.query.data);

    if (session) {
        cred.session_token = str("another");
        ok(media_sigv4_verify(&cred, &r->req, when) == MEDIA_SIGV4_BAD_KEY,
           "another session token");
    }
}


static void
botocore_presign(request_t *r, long when, unsigned expires, int session,
    const char *result)
{
    ssize_t             n;
    media_sigv4_cred_t  cred;

    cred_init(&cred, session);

    n = media_sigv4_presign(&cred, &r->req, when, expires, r->query,
                            sizeof(r->query));
    ok(n > 64 && memcmp(r->query + n - 64, result + strlen(result) - 64, 64)
                 == 0,
       "presign %s %s", r->req.path.data, r->req.query.data);

    r->req.query = str(result);
    ok(media_sigv4_verify(&cred, &r->req, when + expires) == MEDIA_OK,
       "verify %s?%s", r->req.path.data, result);
    ok(media_sigv4_verify(&cred, &r->req, when + expires + 1)
       == MEDIA_SIGV4_EXPIRED, "expired %s?%s", r->req.path.data, result);

    if (session) {
        cred.session_token = str("");
        ok(media_sigv4_verify(&cred, &r->req, when) == MEDIA_SIGV4_BAD_KEY,
           "a session token that is not ours");
    }
}


static void
test_names(void)
{
    char       path[1100];
    size_t     i;
    request_t  r;

    for (i = 0; i < sizeof(names) / sizeof(char *); i++) {
        request_init(&r, "PUT", names[i], "partNumber=1&uploadId=a%2Bb+c");
        request_standard(&r, EMPTY_HASH);

        ok(request_sign(&r, EXAMPLE_DAY) > 0
           && request_verify(&r, EXAMPLE_DAY) == MEDIA_OK,
           "name %s", names[i]);

        request_init(&r, "GET", names[i], "response-content-type=a%2Fb");
        request_header(&r, "host", "127.0.0.1:9000");

        ok(request_presign(&r, EXAMPLE_DAY, 60) > 0
           && request_verify(&r, EXAMPLE_DAY) == MEDIA_OK,
           "name %s presigned", names[i]);
    }

    memset(path, 'k', sizeof(path));
    memcpy(path, "/bucket/", 8);
    path[8 + 1024] = '\0';

    request_init(&r, "GET", path, "");
    request_standard(&r, EMPTY_HASH);
    ok(request_sign(&r, EXAMPLE_DAY) > 0
       && request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "1024 bytes");

    path[8 + 1023] = 'j';
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MISMATCH,
       "last of 1024 bytes changed");

    /* a sender's other spelling of the same path signs the same */

    request_init(&r, "GET", "/b/a%2fb%7e", "x=%7e&y=%2b&z=a+b");
    request_standard(&r, EMPTY_HASH);
    (void) request_sign(&r, EXAMPLE_DAY);
    r.req.path = str("/b/a/b~");
    r.req.query = str("z=a%20b&y=%2B&x=~");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "canonical spelling");

    r.req.query = str("z=a%20b&y=%20&x=~");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MISMATCH,
       "%%2B is no blank");

    request_init(&r, "GET", "/b/%zz", "");
    request_standard(&r, EMPTY_HASH);
    ok(request_sign(&r, EXAMPLE_DAY) == MEDIA_ERROR, "malformed path");

    request_init(&r, "GET", "/b", "a=%2");
    request_standard(&r, EMPTY_HASH);
    ok(request_sign(&r, EXAMPLE_DAY) == MEDIA_ERROR, "malformed query");
}


static void
test_dates(void)
{
    char       date[MEDIA_SIGV4_DATE_LEN];
    request_t  r;

    media_sigv4_date(date, EXAMPLE_DAY);
    ok(memcmp(date, "20130524T000000Z", sizeof(date)) == 0, "date");
    media_sigv4_date(date, 951782399);
    ok(memcmp(date, "20000228T235959Z", sizeof(date)) == 0, "day before");
    media_sigv4_date(date, 951782400);
    ok(memcmp(date, "20000229T000000Z", sizeof(date)) == 0, "leap day");

    /* Date for want of x-amz-date */

    request_init(&r, "GET", "/", "");
    request_header(&r, "host", BUCKET_HOST);
    request_header(&r, "Date", "Fri, 24 May 2013 00:00:00 GMT");
    request_header(&r, "x-amz-content-sha256", MEDIA_SIGV4_UNSIGNED);
    (void) request_sign(&r, EXAMPLE_DAY);
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_OK, "Date header");

    r.headers[1].value = str("Fri, 24 May 2013 00:00:01 GMT");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MISMATCH,
       "another second");
    r.headers[1].value = str("Fri, 24 Foo 2013 00:00:00 GMT");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MALFORMED,
       "no such month");
    r.headers[1].value = str("Friday, 24-May-13 00:00:00 GMT");
    ok(request_verify(&r, EXAMPLE_DAY) == MEDIA_SIGV4_MALFORMED,
       "obsolete form");

    /* the key follows the day */

    request_init(&r, "GET", "/", "");
    request_header(&r, "host", BUCKET_HOST);
    request_header(&r, "x-amz-date", "20130525T000000Z");
    request_header(&r, "x-amz-content-sha256", MEDIA_SIGV4_UNSIGNED);
    (void) request_sign(&r, EXAMPLE_DAY + 86400);
    ok(request_verify(&r, EXAMPLE_DAY + 86400) == MEDIA_OK, "next day");
}


static void
test_limits(void)
{
    char                  dst[1024], query[65 * 3 + 1];
    size_t                i, len;
    ssize_t               n, full;
    request_t             r;
    media_sigv4_cred_t    cred;
    media_sigv4_header_t  many[MEDIA_SIGV4_HEADERS + 1];

    cred_init(&cred, 0);
    request_init(&r, "GET", "/", "");
    request_standard(&r, EMPTY_HASH);

    full = media_sigv4_sign(&cred, &r.req, EXAMPLE_DAY, dst, sizeof(dst));
    for (len = 0, n = 0; len < (size_t) full; len++) {
        n += media_sigv4_sign(&cred, &r.req, EXAMPLE_DAY, dst, len)
             == MEDIA_NOSPACE;
    }
    ok(full > 0 && n == full, "sign, no space");
    ok(media_sigv4_sign(&cred, &r.req, EXAMPLE_DAY, dst, len) == full,
       "sign, space just enough");

    full = media_sigv4_presign(&cred, &r.req, EXAMPLE_DAY, 1, dst,
                               sizeof(dst));
    for (len = 0, n = 0; len < (size_t) full; len++) {
        n += media_sigv4_presign(&cred, &r.req, EXAMPLE_DAY, 1, dst, len)
             == MEDIA_NOSPACE;
    }
    ok(full > 0 && n == full, "presign, no space");

    ok(media_sigv4_presign(&cred, &r.req, EXAMPLE_DAY, 0, dst, sizeof(dst))
       == MEDIA_ERROR, "expires 0");
    ok(media_sigv4_presign(&cred, &r.req, EXAMPLE_DAY,
                           MEDIA_SIGV4_EXPIRES_MAX + 1, dst, sizeof(dst))
       == MEDIA_ERROR, "expires too large");

    r.req.query = str("X-Amz-Date=20130524T000000Z");
    ok(media_sigv4_presign(&cred, &r.req, EXAMPLE_DAY, 60, dst, sizeof(dst))
       == MEDIA_ERROR, "a parameter that signing adds");

    for (i = 0; i < MEDIA_SIGV4_HEADERS + 1; i++) {
        many[i].name = str(i ? "x" : "host");
        many[i].value = str("v");
    }

    r.req.query = str("");
    r.req.headers = many;
    r.req.nheaders = MEDIA_SIGV4_HEADERS;
    ok(media_sigv4_sign(&cred, &r.req, EXAMPLE_DAY, dst, sizeof(dst)) > 0,
       "most headers");
    r.req.nheaders++;
    ok(media_sigv4_sign(&cred, &r.req, EXAMPLE_DAY, dst, sizeof(dst))
       == MEDIA_ERROR, "too many headers");

    r.req.headers++;
    r.req.nheaders = 2;
    ok(media_sigv4_sign(&cred, &r.req, EXAMPLE_DAY, dst, sizeof(dst))
       == MEDIA_ERROR, "no host");

    request_init(&r, "GET", "/", query);
    request_standard(&r, EMPTY_HASH);
    for (i = 0; i < 65; i++) {
        memcpy(query + i * 3, "a=&", 4);
    }
    r.req.query = str(query);
    ok(request_sign(&r, EXAMPLE_DAY) == MEDIA_ERROR, "too many parameters");
    r.req.query.len = 64 * 3;
    ok(request_sign(&r, EXAMPLE_DAY) > 0, "most parameters");
}
