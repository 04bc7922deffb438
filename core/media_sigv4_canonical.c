/*
 * Copyright (C) ngx_media contributors
 *
 * The canonical request.  It is never held in memory: its bytes are made one
 * by one and go straight into the digest, so names and values of any length
 * need no buffer.
 */

#include "media_codec.h"
#include "media_sigv4_canonical.h"


/* what the text of a path or parameter becomes, byte by byte */
typedef struct {
    const char  *p;
    const char  *last;
    int          literal;           /* the text is not percent-encoded */
    int          path;              /* '/' is kept, '+' is no blank */
    char         pending[3];
    size_t       npending;
} sigv4_recode_t;


static void sigv4_put_char(sigv4_out_t *out, char ch);
static void sigv4_put_recoded(sigv4_out_t *out, media_str_t s, int literal,
    int path);
static void sigv4_put_value(sigv4_out_t *out, media_str_t value);
static void sigv4_put_headers(sigv4_out_t *out,
    const sigv4_headers_t *headers);
static void sigv4_recode_init(sigv4_recode_t *r, media_str_t s, int literal,
    int path);
static int sigv4_recode_next(sigv4_recode_t *r);
static int sigv4_compare(media_str_t a, int a_literal, media_str_t b,
    int b_literal);
static int sigv4_escapes_valid(media_str_t s);
static int sigv4_same_param(const sigv4_params_t *params, size_t i);


static const media_str_t  amz_prefix = media_str("X-Amz-");


int
sigv4_canonical_hash(char *dst, const media_sigv4_request_t *req,
    const sigv4_params_t *params, const sigv4_headers_t *headers,
    media_str_t payload_hash)
{
    int            rc;
    sigv4_out_t    out;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    if (!sigv4_escapes_valid(req->path)) {
        return MEDIA_ERROR;
    }

    memset(&out, 0, sizeof(sigv4_out_t));
    out.p = out.buf;
    out.last = out.buf + sizeof(out.buf);

    out.md = EVP_MD_CTX_new();
    if (out.md == NULL) {
        return MEDIA_ERROR;
    }

    if (EVP_DigestInit_ex(out.md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(out.md);
        return MEDIA_ERROR;
    }

    sigv4_put_str(&out, req->method);
    sigv4_put(&out, "\n", 1);

    if (req->path.len == 0) {
        sigv4_put(&out, "/", 1);
    }

    sigv4_put_recoded(&out, req->path, 0, 1);
    sigv4_put(&out, "\n", 1);
    sigv4_put_params(&out, params);
    sigv4_put(&out, "\n", 1);
    sigv4_put_headers(&out, headers);
    sigv4_put(&out, "\n", 1);
    sigv4_put_names(&out, headers, ";");
    sigv4_put(&out, "\n", 1);
    sigv4_put_str(&out, payload_hash);

    rc = MEDIA_ERROR;

    if (EVP_DigestUpdate(out.md, out.buf, (size_t) (out.p - out.buf)) == 1
        && EVP_DigestFinal_ex(out.md, digest, NULL) == 1
        && !out.failed)
    {
        media_hex_encode(dst, digest, 32);
        rc = MEDIA_OK;
    }

    EVP_MD_CTX_free(out.md);

    return rc;
}


void
sigv4_put(sigv4_out_t *out, const char *data, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        sigv4_put_char(out, data[i]);
    }
}


void
sigv4_put_str(sigv4_out_t *out, media_str_t s)
{
    sigv4_put(out, s.data, s.len);
}


static void
sigv4_put_char(sigv4_out_t *out, char ch)
{
    if (out->p == out->last) {

        if (out->md == NULL) {
            out->failed = 1;
            return;
        }

        if (EVP_DigestUpdate(out->md, out->buf, sizeof(out->buf)) != 1) {
            out->failed = 1;
        }

        out->p = out->buf;
    }

    *out->p++ = ch;
}


static void
sigv4_put_recoded(sigv4_out_t *out, media_str_t s, int literal, int path)
{
    int             ch;
    sigv4_recode_t  r;

    sigv4_recode_init(&r, s, literal, path);

    while ((ch = sigv4_recode_next(&r)) >= 0) {
        sigv4_put_char(out, (char) ch);
    }
}


void
sigv4_put_params(sigv4_out_t *out, const sigv4_params_t *params)
{
    size_t                i, n;
    const sigv4_param_t  *signature;

    signature = sigv4_params_find(params, "X-Amz-Signature");
    n = 0;

    for (i = 0; i < params->n; i++) {

        if (&params->elts[i] == signature) {
            continue;
        }

        if (n++) {
            sigv4_put_char(out, '&');
        }

        sigv4_put_recoded(out, params->elts[i].name, params->elts[i].literal,
                          0);
        sigv4_put_char(out, '=');
        sigv4_put_recoded(out, params->elts[i].value, params->elts[i].literal,
                          0);
    }
}


/* one line a name; the values of a repeated header are joined by commas */

static void
sigv4_put_headers(sigv4_out_t *out, const sigv4_headers_t *headers)
{
    char         ch;
    size_t       i, n;
    media_str_t  name;

    for (i = 0; i < headers->n; i++) {
        name = headers->elts[i]->name;

        if (i && sigv4_name_compare(headers->elts[i - 1]->name, name) == 0) {
            sigv4_put_char(out, ',');

        } else {

            if (i) {
                sigv4_put_char(out, '\n');
            }

            for (n = 0; n < name.len; n++) {
                ch = name.data[n];
                sigv4_put_char(out, ch >= 'A' && ch <= 'Z' ? ch | 0x20 : ch);
            }

            sigv4_put_char(out, ':');
        }

        sigv4_put_value(out, headers->elts[i]->value);
    }

    sigv4_put_char(out, '\n');
}


/* trimmed, and each run of blanks within is one space */

static void
sigv4_put_value(sigv4_out_t *out, media_str_t value)
{
    char    ch;
    size_t  i;
    int     blank, started;

    blank = 0;
    started = 0;

    for (i = 0; i < value.len; i++) {
        ch = value.data[i];

        if (ch == ' ' || ch == '\t') {
            blank = started;
            continue;
        }

        if (blank) {
            sigv4_put_char(out, ' ');
        }

        sigv4_put_char(out, ch);
        started = 1;
        blank = 0;
    }
}


void
sigv4_put_names(sigv4_out_t *out, const sigv4_headers_t *headers,
    const char *separator)
{
    char         ch;
    size_t       i, n;
    media_str_t  name;

    for (i = 0; i < headers->n; i++) {
        name = headers->elts[i]->name;

        if (i && sigv4_name_compare(headers->elts[i - 1]->name, name) == 0) {
            continue;
        }

        if (i) {
            sigv4_put(out, separator, strlen(separator));
        }

        for (n = 0; n < name.len; n++) {
            ch = name.data[n];
            sigv4_put_char(out, ch >= 'A' && ch <= 'Z' ? ch | 0x20 : ch);
        }
    }
}


int
sigv4_params_parse(sigv4_params_t *params, media_str_t query)
{
    size_t       i;
    media_str_t  name, value;
    const char  *p, *last, *end, *eq;

    p = query.data;
    last = p + query.len;

    for ( /* void */ ; p < last; p = end + 1) {
        end = memchr(p, '&', (size_t) (last - p));
        end = end ? end : last;

        if (end == p) {
            continue;
        }

        eq = memchr(p, '=', (size_t) (end - p));

        media_str_set(&name, p, (size_t) ((eq ? eq : end) - p));
        media_str_set(&value, eq ? eq + 1 : end,
                      (size_t) (eq ? end - eq - 1 : 0));

        if (!sigv4_escapes_valid(name) || !sigv4_escapes_valid(value)
            || sigv4_params_add(params, name, value, 0) != MEDIA_OK)
        {
            return MEDIA_ERROR;
        }
    }

    for (i = 1; i < params->n; i++) {
        if (sigv4_same_param(params, i)) {
            return MEDIA_ERROR;
        }
    }

    return MEDIA_OK;
}


int
sigv4_params_add(sigv4_params_t *params, media_str_t name, media_str_t value,
    int literal)
{
    int             rc;
    size_t          i;
    sigv4_param_t  *elt;

    if (params->n == SIGV4_PARAMS) {
        return MEDIA_ERROR;
    }

    for (i = params->n; i > 0; i--) {
        elt = &params->elts[i - 1];

        rc = sigv4_compare(elt->name, elt->literal, name, literal);

        if (rc == 0) {
            rc = sigv4_compare(elt->value, elt->literal, value, literal);
        }

        if (rc <= 0) {
            break;
        }

        params->elts[i] = *elt;
    }

    elt = &params->elts[i];
    elt->name = name;
    elt->value = value;
    elt->literal = literal;
    params->n++;

    return MEDIA_OK;
}


const sigv4_param_t *
sigv4_params_find(const sigv4_params_t *params, const char *name)
{
    size_t       i;
    media_str_t  s;

    media_str_set(&s, name, strlen(name));

    for (i = 0; i < params->n; i++) {
        if (sigv4_compare(params->elts[i].name, params->elts[i].literal,
                          s, 1)
            == 0)
        {
            return &params->elts[i];
        }
    }

    return NULL;
}


/* 1 if the i-th is of X-Amz-* and the one before it has the same name */

static int
sigv4_same_param(const sigv4_params_t *params, size_t i)
{
    size_t                n;
    sigv4_recode_t        r;
    const sigv4_param_t  *elt, *prev;

    elt = &params->elts[i];
    prev = &params->elts[i - 1];

    sigv4_recode_init(&r, elt->name, elt->literal, 0);

    for (n = 0; n < amz_prefix.len; n++) {
        if ((sigv4_recode_next(&r) | 0x20) != (amz_prefix.data[n] | 0x20)) {
            return 0;
        }
    }

    return sigv4_compare(prev->name, prev->literal, elt->name, elt->literal)
           == 0;
}


int
sigv4_headers_add(sigv4_headers_t *headers,
    const media_sigv4_header_t *header)
{
    size_t  i;

    if (headers->n == MEDIA_SIGV4_HEADERS || header->name.len == 0) {
        return MEDIA_ERROR;
    }

    for (i = headers->n; i > 0; i--) {
        if (sigv4_name_compare(headers->elts[i - 1]->name, header->name) <= 0)
        {
            break;
        }

        headers->elts[i] = headers->elts[i - 1];
    }

    headers->elts[i] = header;
    headers->n++;

    return MEDIA_OK;
}


int
sigv4_name_compare(media_str_t a, media_str_t b)
{
    int     x, y;
    size_t  i;

    for (i = 0; i < a.len && i < b.len; i++) {
        x = (unsigned char) a.data[i];
        y = (unsigned char) b.data[i];

        x = x >= 'A' && x <= 'Z' ? x | 0x20 : x;
        y = y >= 'A' && y <= 'Z' ? y | 0x20 : y;

        if (x != y) {
            return x - y;
        }
    }

    return (a.len > b.len) - (a.len < b.len);
}


int
sigv4_is(media_str_t s, const char *text)
{
    media_str_t  other;

    media_str_set(&other, text, strlen(text));

    return sigv4_name_compare(s, other) == 0;
}


const media_sigv4_header_t *
sigv4_header(const media_sigv4_request_t *req, const char *name, size_t *n)
{
    size_t                       i;
    const media_sigv4_header_t  *header;

    *n = 0;
    header = NULL;

    for (i = 0; i < req->nheaders; i++) {
        if (sigv4_is(req->headers[i].name, name)) {
            header = *n == 0 ? &req->headers[i] : header;
            (*n)++;
        }
    }

    return header;
}


/* AWS sorts parameters by their encoded form */

static int
sigv4_compare(media_str_t a, int a_literal, media_str_t b, int b_literal)
{
    int             x, y;
    sigv4_recode_t  ra, rb;

    sigv4_recode_init(&ra, a, a_literal, 0);
    sigv4_recode_init(&rb, b, b_literal, 0);

    do {
        x = sigv4_recode_next(&ra);
        y = sigv4_recode_next(&rb);
    } while (x == y && x >= 0);

    return x - y;
}


static void
sigv4_recode_init(sigv4_recode_t *r, media_str_t s, int literal, int path)
{
    r->p = s.data;
    r->last = s.data + s.len;
    r->literal = literal;
    r->path = path;
    r->npending = 0;
}


/*
 * The next byte of the text in AWS's encoding, whatever encoding it came in,
 * or -1 at the end.  In a query '+' is a blank: so do S3 and RADOS Gateway.
 */

static int
sigv4_recode_next(sigv4_recode_t *r)
{
    char  ch, encoded[3];

    if (r->npending) {
        return (unsigned char) r->pending[--r->npending];
    }

    if (r->p == r->last) {
        return -1;
    }

    ch = *r->p++;

    if (!r->literal) {

        if (ch == '%' && r->last - r->p >= 2
            && media_hex_decode(&ch, r->p, 2) == MEDIA_OK)
        {
            r->p += 2;

        } else if (ch == '+' && !r->path) {
            ch = ' ';
        }
    }

    if (media_uri_encode(encoded, sizeof(encoded), &ch, 1, r->path) == 1) {
        return (unsigned char) encoded[0];
    }

    r->pending[0] = encoded[2];
    r->pending[1] = encoded[1];
    r->npending = 2;

    return (unsigned char) encoded[0];
}


static int
sigv4_escapes_valid(media_str_t s)
{
    char    ch;
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '%'
            && (s.len - i < 3
                || media_hex_decode(&ch, s.data + i + 1, 2) != MEDIA_OK))
        {
            return 0;
        }
    }

    return 1;
}
