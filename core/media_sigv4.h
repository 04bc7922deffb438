/*
 * Copyright (C) ngx_media contributors
 *
 * AWS Signature Version 4 for S3, signing and verification.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */

#ifndef MEDIA_SIGV4_H
#define MEDIA_SIGV4_H

#include <time.h>

#include "media_core.h"


#define MEDIA_SIGV4_UNSIGNED    "UNSIGNED-PAYLOAD"
#define MEDIA_SIGV4_DATE_LEN    16          /* 20130524T000000Z */
#define MEDIA_SIGV4_HEADERS     32          /* most headers a request signs */
#define MEDIA_SIGV4_EXPIRES_MAX 604800      /* seconds, AWS's limit */


/* why a signature was refused; media_sigv4_verify() returns these */
#define MEDIA_SIGV4_MALFORMED   (-10)   /* AuthorizationHeaderMalformed,
                                           AuthorizationQueryParametersError */
#define MEDIA_SIGV4_MISSING     (-11)   /* no signature at all: AccessDenied */
#define MEDIA_SIGV4_BAD_KEY     (-12)   /* InvalidAccessKeyId; also a session
                                           token that is not cred's */
#define MEDIA_SIGV4_BAD_SCOPE   (-13)   /* wrong region, service or day */
#define MEDIA_SIGV4_MISMATCH    (-14)   /* SignatureDoesNotMatch */
#define MEDIA_SIGV4_EXPIRED     (-15)   /* AccessDenied, Request has expired */
#define MEDIA_SIGV4_SKEWED      (-16)   /* RequestTimeTooSkewed, 15 minutes */
#define MEDIA_SIGV4_UNSIGNED_HEADER (-17)   /* host or an x-amz-* header that
                                               came is not signed */


typedef struct {
    media_str_t    access_key;
    media_str_t    secret_key;
    media_str_t    session_token;   /* empty if none */
    media_str_t    region;

    /* the signing key of one day; zero it, the functions keep it current */
    char           day[9];
    unsigned char  key[32];
} media_sigv4_cred_t;


typedef struct {
    media_str_t    name;            /* any case */
    media_str_t    value;
} media_sigv4_header_t;


typedef struct {
    media_str_t            method;
    media_str_t            path;    /* as on the request line, encoded */
    media_str_t            query;   /* as on the request line, without '?';
                                       a bare '+' in it is a blank */
    media_sigv4_header_t  *headers; /* host among them */
    size_t                 nheaders;
    media_str_t            payload_hash;    /* hex, or UNSIGNED-PAYLOAD, or
                                               STREAMING-... as sent */
} media_sigv4_request_t;


/* Writes MEDIA_SIGV4_DATE_LEN bytes: the ISO 8601 basic form of now, UTC. */
void media_sigv4_date(char *dst, time_t now);

/*
 * Header form.  Every header of req is signed; host must be among them, and
 * x-amz-date (equal to the date of now), x-amz-content-sha256 and, with a
 * session token, x-amz-security-token are the caller's to put there.  Writes
 * the value of Authorization.  Returns its length, MEDIA_NOSPACE, or
 * MEDIA_ERROR (too many headers, malformed path or query).
 */
ssize_t media_sigv4_sign(media_sigv4_cred_t *cred,
    const media_sigv4_request_t *req, time_t now, char *dst, size_t size);

/*
 * Query form.  req->query holds further parameters, or is empty; the payload
 * is UNSIGNED-PAYLOAD.  Writes the whole query string, without '?', that
 * carries the signature: X-Amz-Algorithm, -Credential, -Date, -Expires,
 * -Security-Token if any, -SignedHeaders, -Signature.  expires is in seconds,
 * 1 .. MEDIA_SIGV4_EXPIRES_MAX.  Returns the length, MEDIA_NOSPACE or
 * MEDIA_ERROR.
 */
ssize_t media_sigv4_presign(media_sigv4_cred_t *cred,
    const media_sigv4_request_t *req, time_t now, unsigned expires,
    char *dst, size_t size);

/*
 * Verifies either form, whichever req carries: Authorization among the
 * headers, or X-Amz-Signature in the query.  All headers of the request are
 * to be in req->headers.  req->payload_hash is ignored in the query form, and
 * in the header form taken from x-amz-content-sha256 (which must be signed).
 * The caller compares that hash with the body.
 *
 * Returns MEDIA_OK, or one of the MEDIA_SIGV4_* codes above.
 */
int media_sigv4_verify(media_sigv4_cred_t *cred,
    const media_sigv4_request_t *req, time_t now);

#endif
