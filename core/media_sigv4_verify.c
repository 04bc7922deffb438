/*
 * Copyright (C) ngx_media contributors
 *
 * Verification of AWS Signature Version 4, header and query form.
 */

#include "media_codec.h"
#include "media_sigv4_canonical.h"


#define SIGV4_SKEW         900          /* seconds */
#define SIGV4_VALUES_MAX   6144         /* bytes of decoded parameters */
#define SIGV4_HTTP_DATE    29           /* Fri, 24 May 2013 00:00:00 GMT */


/* what a request says about its own signature */
typedef struct {
    media_str_t      credential;
    media_str_t      names;             /* SignedHeaders */
    media_str_t      signature;
    media_str_t      token;             /* data NULL if none came */
    media_str_t      payload_hash;
    time_t           time;
    time_t           expires;           /* 0 in the header form */
    char             date[MEDIA_SIGV4_DATE_LEN];
    sigv4_params_t   params;
    sigv4_headers_t  headers;           /* the signed ones */
    char            *p;                 /* free room of values */
    char             values[SIGV4_VALUES_MAX];
} sigv4_auth_t;


static int sigv4_auth_query(sigv4_auth_t *auth);
static int sigv4_auth_value(sigv4_auth_t *auth, const char *name,
    media_str_t *value);
static int sigv4_auth_header(sigv4_auth_t *auth,
    const media_sigv4_request_t *req, media_str_t value);
static int sigv4_auth_fields(sigv4_auth_t *auth, media_str_t value);
static media_str_t *sigv4_field(sigv4_auth_t *auth, media_str_t name);
static int sigv4_auth_date(sigv4_auth_t *auth,
    const media_sigv4_request_t *req);
static int sigv4_check_credential(const sigv4_auth_t *auth,
    const media_sigv4_cred_t *cred);
static int sigv4_check_time(const sigv4_auth_t *auth, time_t now);
static int sigv4_check_headers(sigv4_auth_t *auth,
    const media_sigv4_request_t *req);
static int sigv4_collect_headers(sigv4_auth_t *auth,
    const media_sigv4_request_t *req);
static int sigv4_name_signed(const sigv4_auth_t *auth, media_str_t name);
static int sigv4_parse_http_date(time_t *t, media_str_t s);
static int sigv4_digits(const char *p, size_t len);


int
media_sigv4_verify(media_sigv4_cred_t *cred,
    const media_sigv4_request_t *req, time_t now)
{
    int                          rc, query;
    char                         signature[SIGV4_SIGNATURE];
    size_t                       n;
    sigv4_auth_t                 auth;
    const media_sigv4_header_t  *header;

    memset(&auth, 0, offsetof(sigv4_auth_t, params));
    auth.params.n = 0;
    auth.headers.n = 0;
    auth.p = auth.values;

    if (sigv4_params_parse(&auth.params, req->query) != MEDIA_OK) {
        return MEDIA_SIGV4_MALFORMED;
    }

    header = sigv4_header(req, "authorization", &n);

    query = sigv4_params_find(&auth.params, "X-Amz-Signature") != NULL
            || sigv4_params_find(&auth.params, "X-Amz-Algorithm") != NULL;

    if (header == NULL && !query) {
        return MEDIA_SIGV4_MISSING;
    }

    if (n > 1 || (header != NULL && query)) {
        return MEDIA_SIGV4_MALFORMED;
    }

    rc = query ? sigv4_auth_query(&auth)
               : sigv4_auth_header(&auth, req, header->value);

    if (rc != MEDIA_OK
        || (rc = sigv4_check_credential(&auth, cred)) != MEDIA_OK
        || (rc = sigv4_check_time(&auth, now)) != MEDIA_OK
        || (rc = sigv4_check_headers(&auth, req)) != MEDIA_OK)
    {
        return rc;
    }

    if (sigv4_signature(cred, auth.date, req, &auth.params, &auth.headers,
                        auth.payload_hash, signature)
        != MEDIA_OK)
    {
        return MEDIA_SIGV4_MALFORMED;
    }

    if (!media_equal(signature, SIGV4_SIGNATURE, auth.signature.data,
                     auth.signature.len))
    {
        return MEDIA_SIGV4_MISMATCH;
    }

    return MEDIA_OK;
}


static int
sigv4_auth_query(sigv4_auth_t *auth)
{
    size_t       i;
    media_str_t  algorithm, date, expires;

    if (sigv4_auth_value(auth, "X-Amz-Algorithm", &algorithm) != MEDIA_OK
        || sigv4_auth_value(auth, "X-Amz-Credential", &auth->credential)
           != MEDIA_OK
        || sigv4_auth_value(auth, "X-Amz-Date", &date) != MEDIA_OK
        || sigv4_auth_value(auth, "X-Amz-Expires", &expires) != MEDIA_OK
        || sigv4_auth_value(auth, "X-Amz-SignedHeaders", &auth->names)
           != MEDIA_OK
        || sigv4_auth_value(auth, "X-Amz-Signature", &auth->signature)
           != MEDIA_OK)
    {
        return MEDIA_SIGV4_MALFORMED;
    }

    if (algorithm.len != sizeof(SIGV4_ALGORITHM) - 1
        || memcmp(algorithm.data, SIGV4_ALGORITHM, algorithm.len) != 0
        || auth->signature.len != SIGV4_SIGNATURE
        || sigv4_parse_date(&auth->time, date) != MEDIA_OK)
    {
        return MEDIA_SIGV4_MALFORMED;
    }

    memcpy(auth->date, date.data, MEDIA_SIGV4_DATE_LEN);

    if (expires.len == 0 || expires.len > 6
        || !sigv4_digits(expires.data, expires.len))
    {
        return MEDIA_SIGV4_MALFORMED;
    }

    for (i = 0; i < expires.len; i++) {
        auth->expires = auth->expires * 10 + (expires.data[i] - '0');
    }

    if (auth->expires < 1 || auth->expires > MEDIA_SIGV4_EXPIRES_MAX) {
        return MEDIA_SIGV4_MALFORMED;
    }

    if (sigv4_params_find(&auth->params, "X-Amz-Security-Token") != NULL
        && sigv4_auth_value(auth, "X-Amz-Security-Token", &auth->token)
           != MEDIA_OK)
    {
        return MEDIA_SIGV4_MALFORMED;
    }

    media_str_set(&auth->payload_hash, MEDIA_SIGV4_UNSIGNED,
                  sizeof(MEDIA_SIGV4_UNSIGNED) - 1);

    return MEDIA_OK;
}


/* decodes a parameter into the room of values; all of ours lack a blank */

static int
sigv4_auth_value(sigv4_auth_t *auth, const char *name, media_str_t *value)
{
    ssize_t               n;
    const sigv4_param_t  *param;

    param = sigv4_params_find(&auth->params, name);

    if (param == NULL
        || param->value.len
           > (size_t) (auth->values + SIGV4_VALUES_MAX - auth->p)
        || memchr(param->value.data, '+', param->value.len) != NULL)
    {
        return MEDIA_ERROR;
    }

    n = media_uri_decode(auth->p, param->value.data, param->value.len);
    if (n < 0) {
        return MEDIA_ERROR;
    }

    media_str_set(value, auth->p, (size_t) n);
    auth->p += n;

    return MEDIA_OK;
}


static int
sigv4_auth_header(sigv4_auth_t *auth, const media_sigv4_request_t *req,
    media_str_t value)
{
    size_t                       n;
    const media_sigv4_header_t  *header;

    if (sigv4_auth_fields(auth, value) != MEDIA_OK
        || auth->signature.len != SIGV4_SIGNATURE
        || sigv4_auth_date(auth, req) != MEDIA_OK)
    {
        return MEDIA_SIGV4_MALFORMED;
    }

    header = sigv4_header(req, "x-amz-content-sha256", &n);

    if (n != 1 || header->value.len == 0) {
        return MEDIA_SIGV4_MALFORMED;
    }

    auth->payload_hash = header->value;

    header = sigv4_header(req, "x-amz-security-token", &n);

    if (n > 1) {
        return MEDIA_SIGV4_MALFORMED;
    }

    if (n) {
        auth->token = header->value;
    }

    return MEDIA_OK;
}


/* AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=... */

static int
sigv4_auth_fields(sigv4_auth_t *auth, media_str_t value)
{
    size_t        n;
    media_str_t   name, *field;
    const char   *p, *last, *end, *eq;

    n = sizeof(SIGV4_ALGORITHM " ") - 1;

    if (value.len < n || memcmp(value.data, SIGV4_ALGORITHM " ", n) != 0) {
        return MEDIA_ERROR;
    }

    last = value.data + value.len;

    for (p = value.data + n; p < last; p = end + 1) {

        while (p < last && *p == ' ') {
            p++;
        }

        end = memchr(p, ',', (size_t) (last - p));
        end = end ? end : last;

        eq = memchr(p, '=', (size_t) (end - p));
        if (eq == NULL) {
            return MEDIA_ERROR;
        }

        media_str_set(&name, p, (size_t) (eq - p));

        field = sigv4_field(auth, name);

        if (field == NULL || field->data != NULL) {
            return MEDIA_ERROR;
        }

        media_str_set(field, eq + 1, (size_t) (end - eq - 1));
    }

    if (auth->credential.len == 0 || auth->names.len == 0
        || auth->signature.len == 0)
    {
        return MEDIA_ERROR;
    }

    return MEDIA_OK;
}


static media_str_t *
sigv4_field(sigv4_auth_t *auth, media_str_t name)
{
    if (name.len == 10 && memcmp(name.data, "Credential", 10) == 0) {
        return &auth->credential;
    }

    if (name.len == 13 && memcmp(name.data, "SignedHeaders", 13) == 0) {
        return &auth->names;
    }

    if (name.len == 9 && memcmp(name.data, "Signature", 9) == 0) {
        return &auth->signature;
    }

    return NULL;
}


/* x-amz-date, or Date for want of it */

static int
sigv4_auth_date(sigv4_auth_t *auth, const media_sigv4_request_t *req)
{
    size_t                       n;
    const media_sigv4_header_t  *header;

    header = sigv4_header(req, "x-amz-date", &n);

    if (header == NULL) {
        header = sigv4_header(req, "date", &n);
    }

    if (n != 1) {
        return MEDIA_ERROR;
    }

    if (sigv4_parse_date(&auth->time, header->value) != MEDIA_OK
        && sigv4_parse_http_date(&auth->time, header->value) != MEDIA_OK)
    {
        return MEDIA_ERROR;
    }

    media_sigv4_date(auth->date, auth->time);

    return MEDIA_OK;
}


/* KEY/20130524/REGION/s3/aws4_request; the key itself may hold a slash */

static int
sigv4_check_credential(const sigv4_auth_t *auth,
    const media_sigv4_cred_t *cred)
{
    char         text[SIGV4_REGION_MAX + 64];
    size_t       n;
    sigv4_out_t  out;
    media_str_t  c;
    const char  *p;

    c = auth->credential;
    n = 0;

    for (p = c.data + c.len; p > c.data && n < 4; p--) {
        n += (p[-1] == '/');
    }

    if (n < 4 || p == c.data) {
        return MEDIA_SIGV4_MALFORMED;
    }

    n = (size_t) (p - c.data);

    if (!media_equal(c.data, n, cred->access_key.data, cred->access_key.len)
        || (auth->token.data != NULL) != (cred->session_token.len != 0)
        || (auth->token.data != NULL
            && !media_equal(auth->token.data, auth->token.len,
                            cred->session_token.data,
                            cred->session_token.len)))
    {
        return MEDIA_SIGV4_BAD_KEY;
    }

    memset(&out, 0, sizeof(sigv4_out_t));
    out.p = text;
    out.last = text + sizeof(text);

    sigv4_put_scope(&out, cred, auth->date, 0);

    if (out.failed || c.len - n - 1 != (size_t) (out.p - text)
        || memcmp(p + 1, text, c.len - n - 1) != 0)
    {
        return MEDIA_SIGV4_BAD_SCOPE;
    }

    return MEDIA_OK;
}


static int
sigv4_check_time(const sigv4_auth_t *auth, time_t now)
{
    if (auth->time > now + SIGV4_SKEW) {
        return MEDIA_SIGV4_SKEWED;
    }

    if (auth->expires) {
        return now > auth->time + auth->expires ? MEDIA_SIGV4_EXPIRED
                                                : MEDIA_OK;
    }

    return now > auth->time + SIGV4_SKEW ? MEDIA_SIGV4_SKEWED : MEDIA_OK;
}


/*
 * Host and each x-amz-* header that came have to be signed, and what is named
 * as signed has to have come.
 */

static int
sigv4_check_headers(sigv4_auth_t *auth, const media_sigv4_request_t *req)
{
    size_t       i;
    media_str_t  name;

    static const media_str_t  host = media_str("host");

    if (!sigv4_name_signed(auth, host)) {
        return MEDIA_SIGV4_UNSIGNED_HEADER;
    }

    for (i = 0; i < req->nheaders; i++) {
        name = req->headers[i].name;

        if (name.len >= 6) {
            name.len = 6;
        }

        if (sigv4_is(name, "x-amz-")
            && !sigv4_name_signed(auth, req->headers[i].name))
        {
            return MEDIA_SIGV4_UNSIGNED_HEADER;
        }
    }

    return sigv4_collect_headers(auth, req);
}


/* the names have to be in order, in lower case, and each there once */

static int
sigv4_collect_headers(sigv4_auth_t *auth, const media_sigv4_request_t *req)
{
    size_t       i, before;
    media_str_t  name, prev;
    const char  *p, *last, *end;

    media_str_set(&prev, "", 0);
    last = auth->names.data + auth->names.len;

    for (p = auth->names.data; p <= last; p = end + 1) {
        end = memchr(p, ';', (size_t) (last - p));
        end = end ? end : last;

        media_str_set(&name, p, (size_t) (end - p));

        for (i = 0; i < name.len; i++) {
            if (name.data[i] >= 'A' && name.data[i] <= 'Z') {
                return MEDIA_SIGV4_MALFORMED;
            }
        }

        if (sigv4_name_compare(prev, name) >= 0) {
            return MEDIA_SIGV4_MALFORMED;
        }

        before = auth->headers.n;

        for (i = 0; i < req->nheaders; i++) {
            if (sigv4_name_compare(req->headers[i].name, name) == 0
                && sigv4_headers_add(&auth->headers, &req->headers[i])
                   != MEDIA_OK)
            {
                return MEDIA_SIGV4_MALFORMED;
            }
        }

        if (auth->headers.n == before) {
            return MEDIA_SIGV4_MISMATCH;
        }

        prev = name;
    }

    return MEDIA_OK;
}


static int
sigv4_name_signed(const sigv4_auth_t *auth, media_str_t name)
{
    media_str_t  s;
    const char  *p, *last, *end;

    last = auth->names.data + auth->names.len;

    for (p = auth->names.data; p < last; p = end + 1) {
        end = memchr(p, ';', (size_t) (last - p));
        end = end ? end : last;

        media_str_set(&s, p, (size_t) (end - p));

        if (sigv4_name_compare(s, name) == 0) {
            return 1;
        }
    }

    return 0;
}


int
sigv4_parse_date(time_t *t, media_str_t s)
{
    char        date[MEDIA_SIGV4_DATE_LEN];
    struct tm   tm;
    const char  *p;

    p = s.data;

    if (s.len != MEDIA_SIGV4_DATE_LEN || p[8] != 'T' || p[15] != 'Z'
        || !sigv4_digits(p, 8) || !sigv4_digits(p + 9, 6))
    {
        return MEDIA_ERROR;
    }

    memset(&tm, 0, sizeof(struct tm));
    tm.tm_year = (p[0] - '0') * 1000 + (p[1] - '0') * 100
                 + (p[2] - '0') * 10 + p[3] - '0' - 1900;
    tm.tm_mon = (p[4] - '0') * 10 + p[5] - '0' - 1;
    tm.tm_mday = (p[6] - '0') * 10 + p[7] - '0';
    tm.tm_hour = (p[9] - '0') * 10 + p[10] - '0';
    tm.tm_min = (p[11] - '0') * 10 + p[12] - '0';
    tm.tm_sec = (p[13] - '0') * 10 + p[14] - '0';

    *t = timegm(&tm);
    media_sigv4_date(date, *t);

    return memcmp(date, p, MEDIA_SIGV4_DATE_LEN) == 0 ? MEDIA_OK
                                                      : MEDIA_ERROR;
}


/* Fri, 24 May 2013 00:00:00 GMT, the fixed form of RFC 9110 */

static int
sigv4_parse_http_date(time_t *t, media_str_t s)
{
    int                i;
    char               date[MEDIA_SIGV4_DATE_LEN];
    media_str_t        iso;
    const char        *p;
    static const char  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    p = s.data;

    if (s.len != SIGV4_HTTP_DATE || p[3] != ',' || p[4] != ' ' || p[7] != ' '
        || p[11] != ' ' || p[16] != ' ' || p[19] != ':' || p[22] != ':'
        || memcmp(p + 25, " GMT", 4) != 0)
    {
        return MEDIA_ERROR;
    }

    for (i = 0; i < 12; i++) {
        if (memcmp(p + 8, months + 3 * i, 3) == 0) {
            break;
        }
    }

    if (i == 12) {
        return MEDIA_ERROR;
    }

    memcpy(date, p + 12, 4);
    date[4] = (char) ('0' + (i + 1) / 10);
    date[5] = (char) ('0' + (i + 1) % 10);
    memcpy(date + 6, p + 5, 2);
    date[8] = 'T';
    memcpy(date + 9, p + 17, 2);
    memcpy(date + 11, p + 20, 2);
    memcpy(date + 13, p + 23, 2);
    date[15] = 'Z';

    media_str_set(&iso, date, MEDIA_SIGV4_DATE_LEN);

    return sigv4_parse_date(t, iso);
}


static int
sigv4_digits(const char *p, size_t len)
{
    for ( /* void */ ; len; len--, p++) {
        if (*p < '0' || *p > '9') {
            return 0;
        }
    }

    return 1;
}
