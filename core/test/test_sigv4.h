/*
 * Copyright (C) ngx_media contributors
 *
 * Requests with AWS's published example credentials, for the tests of
 * Signature Version 4.
 */

#ifndef MEDIA_TEST_SIGV4_H
#define MEDIA_TEST_SIGV4_H

#include "media_sigv4.h"
#include "test.h"


#define EXAMPLE_DAY  1369353600             /* 20130524T000000Z */
#define EMPTY_HASH   "e3b0c44298fc1c149afbf4c8996fb924"                       \
                     "27ae41e4649b934ca495991b7852b855"
#define BUCKET_HOST  "examplebucket.s3.amazonaws.com"
#define TOKEN        "FwoGZXIvYXdzEBYaDH+/=example%41 token~"
#define HEADERS_MAX  16


typedef struct {
    media_sigv4_request_t  req;
    media_sigv4_header_t   headers[HEADERS_MAX];
    char                   authorization[2048];
    char                   query[8192];
} request_t;


static inline void
cred_init(media_sigv4_cred_t *cred, int session)
{
    memset(cred, 0, sizeof(media_sigv4_cred_t));
    cred->access_key = str("AKIAIOSFODNN7EXAMPLE");
    cred->secret_key = str("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    cred->region = str("us-east-1");
    cred->session_token = str(session ? TOKEN : "");
}


static inline void
request_init(request_t *r, const char *method, const char *path,
    const char *query)
{
    memset(r, 0, sizeof(request_t));
    r->req.method = str(method);
    r->req.path = str(path);
    r->req.query = str(query);
    r->req.payload_hash = str(MEDIA_SIGV4_UNSIGNED);
    r->req.headers = r->headers;
}


static inline void
request_header(request_t *r, const char *name, const char *value)
{
    r->headers[r->req.nheaders].name = str(name);
    r->headers[r->req.nheaders].value = str(value);
    r->req.nheaders++;
}


static inline void
request_standard(request_t *r, const char *hash)
{
    request_header(r, "Host", BUCKET_HOST);
    request_header(r, "x-amz-content-sha256", hash);
    request_header(r, "X-Amz-Date", "20130524T000000Z");
    r->req.payload_hash = str(hash);
}


/* signs, and adds the header; returns the length */

static inline ssize_t
request_sign(request_t *r, time_t now)
{
    ssize_t             n;
    media_sigv4_cred_t  cred;

    cred_init(&cred, 0);

    n = media_sigv4_sign(&cred, &r->req, now, r->authorization,
                         sizeof(r->authorization) - 1);
    if (n > 0) {
        r->authorization[n] = '\0';
        request_header(r, "Authorization", r->authorization);
    }

    return n;
}


static inline ssize_t
request_presign(request_t *r, time_t now, unsigned expires)
{
    ssize_t             n;
    media_sigv4_cred_t  cred;

    cred_init(&cred, 0);

    n = media_sigv4_presign(&cred, &r->req, now, expires, r->query,
                            sizeof(r->query) - 1);
    if (n > 0) {
        r->query[n] = '\0';
        r->req.query = str(r->query);
    }

    return n;
}


static inline int
request_verify(const request_t *r, time_t now)
{
    media_sigv4_cred_t  cred;

    cred_init(&cred, 0);

    return media_sigv4_verify(&cred, &r->req, now);
}

#endif
