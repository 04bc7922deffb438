/*
 * Copyright (C) ngx_media contributors
 *
 * Verification of Signature Version 4.  The input is a request: method, path
 * and query, each on a line, then "name: value" lines.  As it comes it is
 * verified; then it is signed, which must verify, and changed, which must
 * not.
 */

#include <strings.h>

#include "fuzz.h"
#include "media_sigv4.h"


#define DAY      1369353600             /* 20130524T000000Z */
#define HEADERS  24                     /* of the input */
#define SIGNED   16384                  /* bytes of a query, signed */


typedef struct {
    media_sigv4_request_t  req;
    media_sigv4_header_t   headers[HEADERS + 4];
} request_t;


static void request_read(request_t *r, media_str_t in);
static void request_strip(request_t *r);
static void check_header(request_t *r);
static void check_query(request_t *r);
static void check_changes(request_t *r, char *signature);
static void check_refused(const request_t *r);
static int has_line(media_str_t s, const char *name);


static media_sigv4_cred_t
cred_of(const char *secret, const char *token)
{
    media_sigv4_cred_t  cred;

    memset(&cred, 0, sizeof(cred));
    cred.access_key = fuzz_text("AKIAIOSFODNN7EXAMPLE");
    cred.secret_key = fuzz_text(secret);
    cred.region = fuzz_text("us-east-1");
    cred.session_token = fuzz_text(token);

    return cred;
}


static int
verify(const request_t *r, const char *token)
{
    media_sigv4_cred_t  cred;

    cred = cred_of("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", token);

    return media_sigv4_verify(&cred, &r->req, DAY);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                  rc;
    char                *copy;
    request_t            r;
    media_str_t          in;
    media_sigv4_cred_t   other;

    copy = fuzz_copy(data, size);
    media_str_set(&in, copy, size);
    request_read(&r, in);

    rc = verify(&r, "");
    (void) verify(&r, "token");

    other = cred_of("another secret", "");
    fuzz_check(media_sigv4_verify(&other, &r.req, DAY) != MEDIA_OK);

    if (rc == MEDIA_OK) {
        r.req.method = fuzz_text("\n");
        check_refused(&r);
        request_read(&r, in);
    }

    request_strip(&r);
    check_header(&r);
    check_query(&r);

    free(copy);

    return 0;
}


static void
request_read(request_t *r, media_str_t in)
{
    media_str_t            line;
    media_sigv4_header_t  *h;

    memset(r, 0, sizeof(request_t));
    r->req.method = fuzz_cut(&in, '\n');
    r->req.path = fuzz_cut(&in, '\n');
    r->req.query = fuzz_cut(&in, '\n');
    r->req.payload_hash = fuzz_text(MEDIA_SIGV4_UNSIGNED);
    r->req.headers = r->headers;

    while (in.len && r->req.nheaders < HEADERS) {
        line = fuzz_cut(&in, '\n');
        h = &r->headers[r->req.nheaders++];
        h->name = fuzz_cut(&line, ':');
        h->value = line;
    }
}


/* leaves out what a signature consists of */
static void
request_strip(request_t *r)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < r->req.nheaders; i++) {
        if (!has_line(r->headers[i].name, "authorization")
            && !has_line(r->headers[i].name, "host")
            && !has_line(r->headers[i].name, "date")
            && !has_line(r->headers[i].name, "x-amz-date")
            && !has_line(r->headers[i].name, "x-amz-content-sha256")
            && !has_line(r->headers[i].name, "x-amz-security-token"))
        {
            r->headers[n++] = r->headers[i];
        }
    }

    r->req.nheaders = n;
}


static int
has_line(media_str_t s, const char *name)
{
    return s.len == strlen(name) && strncasecmp(s.data, name, s.len) == 0;
}


static void
add(request_t *r, const char *name, const char *value)
{
    media_sigv4_header_t  *h;

    h = &r->headers[r->req.nheaders++];
    h->name = fuzz_text(name);
    h->value = fuzz_text(value);
}


/* the last header is Authorization, which ends with the signature */
static void
check_header(request_t *r)
{
    int                  rc;
    char                 value[4096];
    size_t               n;
    ssize_t              len;
    media_sigv4_cred_t   cred;

    n = r->req.nheaders;
    add(r, "Host", "media.example");
    add(r, "X-Amz-Date", "20130524T000000Z");
    add(r, "x-amz-content-sha256", MEDIA_SIGV4_UNSIGNED);

    cred = cred_of("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "");
    len = media_sigv4_sign(&cred, &r->req, DAY, value, sizeof(value) - 1);

    if (len > 0) {
        value[len] = '\0';
        add(r, "Authorization", value);
        rc = verify(r, "");

        /* names that are no names cannot be listed as signed */
        if (rc == MEDIA_OK) {
            check_changes(r, value + len - 64);
            r->headers[n].value = fuzz_text("other.example");
            check_refused(r);
        }
    }

    r->req.nheaders = n;
}


static void
check_query(request_t *r)
{
    char                *query, *p;
    ssize_t              len;
    media_str_t          plain;
    media_sigv4_cred_t   cred;

    add(r, "Host", "media.example");
    plain = r->req.query;

    query = malloc(SIGNED + 2);
    fuzz_check(query != NULL);

    cred = cred_of("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "");
    len = media_sigv4_presign(&cred, &r->req, DAY, 60, query, SIGNED);

    if (len > 0) {
        media_str_set(&r->req.query, query, (size_t) len);

        if (verify(r, "") == MEDIA_OK) {
            query[len] = '\0';
            p = strstr(query, "X-Amz-Signature=");
            fuzz_check(p != NULL);
            check_changes(r, p + sizeof("X-Amz-Signature=") - 1);

            memcpy(query + len, "&z", 2);
            r->req.query.len += 2;
            check_refused(r);
        }
    }

    r->req.query = plain;
    free(query);
}


static void
check_changes(request_t *r, char *signature)
{
    char         kept;
    size_t       i;
    media_str_t  saved;

    for (i = 0; i < 64; i += 21) {
        kept = signature[i];
        signature[i] = kept == '0' ? '1' : '0';
        check_refused(r);
        signature[i] = kept;
    }

    saved = r->req.method;
    r->req.method = fuzz_text("\n");
    check_refused(r);
    r->req.method = saved;

    saved = r->req.path;
    r->req.path = fuzz_text("/another/path/that/is/long/enough/to/differ");
    fuzz_check(saved.len > 40 || verify(r, "") != MEDIA_OK);
    r->req.path = saved;

    fuzz_check(verify(r, "token") != MEDIA_OK);
    fuzz_check(verify(r, "") == MEDIA_OK);
}


static void
check_refused(const request_t *r)
{
    fuzz_check(verify(r, "") != MEDIA_OK);
}
