/*
 * Copyright (C) ngx_media contributors
 *
 * AWS Signature Version 4 for S3: signing and presigning.  The only state is
 * the day's signing key within the caller's credentials.
 */

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "media_codec.h"
#include "media_sigv4_canonical.h"


#define SIGV4_SECRET_MAX   256          /* bytes */


static int sigv4_headers_all(sigv4_headers_t *headers,
    const media_sigv4_request_t *req);
static int sigv4_presign_params(sigv4_params_t *params,
    const media_sigv4_cred_t *cred, const media_str_t *values);
static int sigv4_prepare(media_sigv4_cred_t *cred, const char *date);
static int sigv4_hmac(unsigned char *dst, const void *key, size_t key_len,
    const char *data, size_t len);


/* the order of the values that media_sigv4_presign() hands down */
static const char  *presign_names[] = {
    "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
    "X-Amz-SignedHeaders"
};

#define PRESIGN_NAMES  (sizeof(presign_names) / sizeof(presign_names[0]))


void
media_sigv4_date(char *dst, time_t now)
{
    char       text[64];
    struct tm  tm;

    memset(&tm, 0, sizeof(struct tm));
    (void) gmtime_r(&now, &tm);
    (void) strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);

    memcpy(dst, text, MEDIA_SIGV4_DATE_LEN);
}


ssize_t
media_sigv4_sign(media_sigv4_cred_t *cred, const media_sigv4_request_t *req,
    time_t now, char *dst, size_t size)
{
    char             date[MEDIA_SIGV4_DATE_LEN], signature[SIGV4_SIGNATURE];
    sigv4_out_t      out;
    sigv4_params_t   params;
    sigv4_headers_t  headers;

    params.n = 0;
    headers.n = 0;

    media_sigv4_date(date, now);

    if (sigv4_params_parse(&params, req->query) != MEDIA_OK
        || sigv4_headers_all(&headers, req) != MEDIA_OK
        || sigv4_signature(cred, date, req, &params, &headers,
                           req->payload_hash, signature)
           != MEDIA_OK)
    {
        return MEDIA_ERROR;
    }

    memset(&out, 0, sizeof(sigv4_out_t));
    out.p = dst;
    out.last = dst + size;

    sigv4_put(&out, SIGV4_ALGORITHM " Credential=",
              sizeof(SIGV4_ALGORITHM " Credential=") - 1);
    sigv4_put_scope(&out, cred, date, 1);
    sigv4_put(&out, ", SignedHeaders=", sizeof(", SignedHeaders=") - 1);
    sigv4_put_names(&out, &headers, ";");
    sigv4_put(&out, ", Signature=", sizeof(", Signature=") - 1);
    sigv4_put(&out, signature, SIGV4_SIGNATURE);

    return out.failed ? MEDIA_NOSPACE : out.p - dst;
}


ssize_t
media_sigv4_presign(media_sigv4_cred_t *cred,
    const media_sigv4_request_t *req, time_t now, unsigned expires,
    char *dst, size_t size)
{
    char             date[MEDIA_SIGV4_DATE_LEN], signature[SIGV4_SIGNATURE];
    char             text[4096], seconds[16];
    media_str_t      values[PRESIGN_NAMES];
    sigv4_out_t      out;
    sigv4_params_t   params;
    sigv4_headers_t  headers;

    static const media_str_t  payload = media_str(MEDIA_SIGV4_UNSIGNED);

    params.n = 0;
    headers.n = 0;

    media_sigv4_date(date, now);

    if (expires < 1 || expires > MEDIA_SIGV4_EXPIRES_MAX
        || sigv4_headers_all(&headers, req) != MEDIA_OK)
    {
        return MEDIA_ERROR;
    }

    memset(&out, 0, sizeof(sigv4_out_t));
    out.p = text;
    out.last = text + sizeof(text);

    media_str_set(&values[0], SIGV4_ALGORITHM, sizeof(SIGV4_ALGORITHM) - 1);

    sigv4_put_scope(&out, cred, date, 1);
    media_str_set(&values[1], text, (size_t) (out.p - text));

    media_str_set(&values[2], date, MEDIA_SIGV4_DATE_LEN);

    media_str_set(&values[3], seconds,
                  (size_t) snprintf(seconds, sizeof(seconds), "%u", expires));

    values[4].data = out.p;
    sigv4_put_names(&out, &headers, ";");
    values[4].len = (size_t) (out.p - values[4].data);

    if (out.failed
        || sigv4_presign_params(&params, cred, values) != MEDIA_OK
        || sigv4_params_parse(&params, req->query) != MEDIA_OK
        || sigv4_params_find(&params, "X-Amz-Signature") != NULL
        || sigv4_signature(cred, date, req, &params, &headers, payload,
                           signature)
           != MEDIA_OK)
    {
        return MEDIA_ERROR;
    }

    out.p = dst;
    out.last = dst + size;

    sigv4_put_params(&out, &params);
    sigv4_put(&out, "&X-Amz-Signature=", sizeof("&X-Amz-Signature=") - 1);
    sigv4_put(&out, signature, SIGV4_SIGNATURE);

    return out.failed ? MEDIA_NOSPACE : out.p - dst;
}


static int
sigv4_presign_params(sigv4_params_t *params, const media_sigv4_cred_t *cred,
    const media_str_t *values)
{
    size_t       i;
    media_str_t  name;

    static const media_str_t  token = media_str("X-Amz-Security-Token");

    for (i = 0; i < PRESIGN_NAMES; i++) {
        media_str_set(&name, presign_names[i], strlen(presign_names[i]));

        if (sigv4_params_add(params, name, values[i], 1) != MEDIA_OK) {
            return MEDIA_ERROR;
        }
    }

    if (cred->session_token.len == 0) {
        return MEDIA_OK;
    }

    return sigv4_params_add(params, token, cred->session_token, 1);
}


static int
sigv4_headers_all(sigv4_headers_t *headers, const media_sigv4_request_t *req)
{
    size_t  i, n;

    if (sigv4_header(req, "host", &n) == NULL) {
        return MEDIA_ERROR;
    }

    for (i = 0; i < req->nheaders; i++) {
        if (sigv4_headers_add(headers, &req->headers[i]) != MEDIA_OK) {
            return MEDIA_ERROR;
        }
    }

    return MEDIA_OK;
}


/* brings the signing key of cred to the day of date */

static int
sigv4_prepare(media_sigv4_cred_t *cred, const char *date)
{
    int            rc;
    char           secret[4 + SIGV4_SECRET_MAX];
    unsigned char  key[32];

    if (memcmp(cred->day, date, 8) == 0) {
        return MEDIA_OK;
    }

    if (cred->secret_key.len == 0 || cred->secret_key.len > SIGV4_SECRET_MAX
        || cred->region.len > SIGV4_REGION_MAX)
    {
        return MEDIA_ERROR;
    }

    memcpy(secret, "AWS4", 4);
    memcpy(secret + 4, cred->secret_key.data, cred->secret_key.len);

    rc = MEDIA_ERROR;

    if (sigv4_hmac(key, secret, 4 + cred->secret_key.len, date, 8) == MEDIA_OK
        && sigv4_hmac(key, key, 32, cred->region.data, cred->region.len)
           == MEDIA_OK
        && sigv4_hmac(key, key, 32, "s3", 2) == MEDIA_OK
        && sigv4_hmac(cred->key, key, 32, "aws4_request", 12) == MEDIA_OK)
    {
        memcpy(cred->day, date, 8);
        cred->day[8] = '\0';
        rc = MEDIA_OK;
    }

    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(key, sizeof(key));

    return rc;
}


static int
sigv4_hmac(unsigned char *dst, const void *key, size_t key_len,
    const char *data, size_t len)
{
    unsigned char  md[EVP_MAX_MD_SIZE];

    if (HMAC(EVP_sha256(), key, (int) key_len, (const unsigned char *) data,
             len, md, NULL)
        == NULL)
    {
        return MEDIA_ERROR;
    }

    memcpy(dst, md, 32);
    OPENSSL_cleanse(md, sizeof(md));

    return MEDIA_OK;
}


int
sigv4_signature(media_sigv4_cred_t *cred, const char *date,
    const media_sigv4_request_t *req, const sigv4_params_t *params,
    const sigv4_headers_t *headers, media_str_t payload_hash, char *dst)
{
    char         text[256], hash[64];
    sigv4_out_t  out;

    if (sigv4_canonical_hash(hash, req, params, headers, payload_hash)
        != MEDIA_OK)
    {
        return MEDIA_ERROR;
    }

    memset(&out, 0, sizeof(sigv4_out_t));
    out.p = text;
    out.last = text + sizeof(text);

    sigv4_put(&out, SIGV4_ALGORITHM "\n", sizeof(SIGV4_ALGORITHM "\n") - 1);
    sigv4_put(&out, date, MEDIA_SIGV4_DATE_LEN);
    sigv4_put(&out, "\n", 1);
    sigv4_put_scope(&out, cred, date, 0);
    sigv4_put(&out, "\n", 1);
    sigv4_put(&out, hash, sizeof(hash));

    if (out.failed) {
        return MEDIA_ERROR;
    }

    return sigv4_sign_text(cred, date, text, (size_t) (out.p - text), dst);
}


int
sigv4_sign_text(media_sigv4_cred_t *cred, const char *date, const char *text,
    size_t len, char *dst)
{
    unsigned char  md[32];

    if (sigv4_prepare(cred, date) != MEDIA_OK
        || sigv4_hmac(md, cred->key, 32, text, len) != MEDIA_OK)
    {
        return MEDIA_ERROR;
    }

    media_hex_encode(dst, md, 32);

    return MEDIA_OK;
}


void
sigv4_put_scope(sigv4_out_t *out, const media_sigv4_cred_t *cred,
    const char *date, int key)
{
    if (key) {
        sigv4_put_str(out, cred->access_key);
        sigv4_put(out, "/", 1);
    }

    sigv4_put(out, date, 8);
    sigv4_put(out, "/", 1);
    sigv4_put_str(out, cred->region);
    sigv4_put(out, "/s3/aws4_request", sizeof("/s3/aws4_request") - 1);
}
