/*
 * Copyright (C) ngx_media contributors
 *
 * The canonical request of AWS Signature Version 4: what media_sigv4.c signs
 * and media_sigv4_verify.c checks; and what media_post_policy.c shares with
 * them.  Nothing else includes this.
 */

#ifndef MEDIA_SIGV4_CANONICAL_H
#define MEDIA_SIGV4_CANONICAL_H

#include <openssl/evp.h>

#include "media_sigv4.h"


#define SIGV4_ALGORITHM    "AWS4-HMAC-SHA256"
#define SIGV4_PARAMS       64       /* most parameters of a query */
#define SIGV4_REGION_MAX   64       /* bytes */
#define SIGV4_SIGNATURE    64       /* hex digits */


/* bytes go to a digest, or if md is NULL to the caller's p .. last */
typedef struct {
    EVP_MD_CTX   *md;
    char         *p;
    char         *last;
    int           failed;           /* no space, or libcrypto refused */
    char          buf[256];
} sigv4_out_t;


typedef struct {
    media_str_t   name;
    media_str_t   value;
    int           literal;          /* not percent-encoded */
} sigv4_param_t;


typedef struct {
    sigv4_param_t  elts[SIGV4_PARAMS];
    size_t         n;
} sigv4_params_t;


typedef struct {
    const media_sigv4_header_t  *elts[MEDIA_SIGV4_HEADERS];
    size_t                       n;
} sigv4_headers_t;


void sigv4_put(sigv4_out_t *out, const char *data, size_t len);
void sigv4_put_str(sigv4_out_t *out, media_str_t s);

/* Both keep the order that is canonical; 0, or MEDIA_ERROR if it is full. */
int sigv4_params_add(sigv4_params_t *params, media_str_t name,
    media_str_t value, int literal);
int sigv4_headers_add(sigv4_headers_t *headers,
    const media_sigv4_header_t *header);

/*
 * Adds the parameters of a query.  MEDIA_OK, or MEDIA_ERROR for a malformed
 * escape, too many parameters, or one of X-Amz-* twice.
 */
int sigv4_params_parse(sigv4_params_t *params, media_str_t query);

/* The parameter of this name, or NULL. */
const sigv4_param_t *sigv4_params_find(const sigv4_params_t *params,
    const char *name);

/* Compares without case; <0, 0, >0 in the order of signed headers. */
int sigv4_name_compare(media_str_t a, media_str_t b);

/* 1 if s is text, without regard to case */
int sigv4_is(media_str_t s, const char *text);

/* Writes the query in canonical form, X-Amz-Signature left out. */
void sigv4_put_params(sigv4_out_t *out, const sigv4_params_t *params);

/* Writes the names for SignedHeaders, each once. */
void sigv4_put_names(sigv4_out_t *out, const sigv4_headers_t *headers,
    const char *separator);

/*
 * Writes the lower-case hex SHA-256 of the canonical request to dst, 64
 * bytes.  MEDIA_OK, or MEDIA_ERROR for a malformed path or no memory.
 */
int sigv4_canonical_hash(char *dst, const media_sigv4_request_t *req,
    const sigv4_params_t *params, const sigv4_headers_t *headers,
    media_str_t payload_hash);

/*
 * Writes the SIGV4_SIGNATURE digits of the signature, with cred brought to
 * the day of date.  MEDIA_OK or MEDIA_ERROR.
 */
int sigv4_signature(media_sigv4_cred_t *cred, const char *date,
    const media_sigv4_request_t *req, const sigv4_params_t *params,
    const sigv4_headers_t *headers, media_str_t payload_hash, char *dst);

/*
 * The same of a text to sign, where date is its day's.
 */
int sigv4_sign_text(media_sigv4_cred_t *cred, const char *date,
    const char *text, size_t len, char *dst);

/* 20130524T000000Z; MEDIA_ERROR also for a day that does not exist */
int sigv4_parse_date(time_t *t, media_str_t s);

/* Writes the credential scope, with key the access key before it. */
void sigv4_put_scope(sigv4_out_t *out, const media_sigv4_cred_t *cred,
    const char *date, int key);

/* The first header of this name, or NULL; *n is how many there are. */
const media_sigv4_header_t *sigv4_header(const media_sigv4_request_t *req,
    const char *name, size_t *n);

#endif
