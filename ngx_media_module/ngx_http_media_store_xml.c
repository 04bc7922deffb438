
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


typedef struct {
    ngx_uint_t   status;
    const char  *code;
    const char  *message;
} ngx_http_media_store_answer_t;


static void ngx_http_media_store_escape(ngx_http_media_store_text_t *t,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_store_reference(u_char **dst, u_char *p,
    size_t len);


/* in the order of ngx_http_media_store_error_e */

static ngx_http_media_store_answer_t  ngx_http_media_store_answers[] = {
    { 200, "", "" },
    { 403, "AccessDenied", "Access Denied" },
    { 403, "AccessDenied", "Request has expired" },
    { 403, "AccessDenied",
      "There were headers present in the request which were not signed" },
    { 400, "AuthorizationHeaderMalformed",
      "The authorization header that you provided is not valid." },
    { 400, "AuthorizationQueryParametersError",
      "The authorization query parameters that you provided are not valid." },
    { 400, "AuthorizationHeaderMalformed",
      "The credential scope is wrong: its day, region or service." },
    { 400, "BadDigest",
      "The digest that you specified did not match what was received." },
    { 409, "BucketAlreadyOwnedByYou",
      "Your previous request to create the named bucket succeeded." },
    { 409, "BucketNotEmpty",
      "The bucket that you tried to delete is not empty." },
    { 400, "EntityTooLarge",
      "Your proposed upload exceeds the maximum allowed size." },
    { 400, "EntityTooSmall",
      "Your proposed upload is smaller than the minimum allowed size." },
    { 400, "IncompleteBody",
      "The body is not as long or not of the form that was announced." },
    { 500, "InternalError",
      "We encountered an internal error. Please try again." },
    { 403, "InvalidAccessKeyId",
      "The access key ID that you provided does not exist." },
    { 400, "InvalidArgument", "An argument of the request is not valid." },
    { 400, "InvalidBucketName", "The specified bucket is not valid." },
    { 400, "InvalidDigest",
      "The digest that you specified is not valid." },
    { 400, "InvalidPart",
      "One or more of the specified parts could not be found." },
    { 400, "InvalidPartOrder",
      "The list of parts was not in ascending order." },
    { 416, "InvalidRange", "The requested range cannot be satisfied." },
    { 400, "InvalidRequest", "The request is not valid." },
    { 400, "InvalidURI", "The specified URI could not be parsed." },
    { 400, "KeyTooLongError", "Your key is too long." },
    { 400, "MalformedPOSTRequest",
      "The body of your POST request is not well-formed "
      "multipart/form-data." },
    { 400, "MalformedXML",
      "The XML that you provided was not well formed." },
    { 400, "MetadataTooLarge",
      "Your metadata headers exceed the maximum allowed size." },
    { 405, "MethodNotAllowed",
      "The specified method is not allowed against this resource." },
    { 411, "MissingContentLength",
      "You must provide the Content-Length HTTP header." },
    { 404, "NoSuchBucket", "The specified bucket does not exist." },
    { 400, "IncorrectNumberOfFilesInPostRequest",
      "POST requires exactly one file upload per request." },
    { 404, "NoSuchKey", "The specified key does not exist." },
    { 400, "UserKeyMustBeSpecified",
      "The bucket POST must contain the specified field name." },
    { 404, "NoSuchUpload",
      "The specified multipart upload does not exist." },
    { 501, "NotImplemented",
      "A header or query that you provided needs functionality that is not "
      "implemented." },
    { 400, "InvalidPolicyDocument",
      "The content of the form does not meet the conditions specified in the "
      "policy document." },
    { 403, "AccessDenied", "Invalid according to Policy: Policy expired." },
    { 403, "AccessDenied",
      "Invalid according to Policy: Policy Condition failed" },
    { 400, "MaxPostPreDataLengthExceeded",
      "Your POST request fields preceding the upload file were too large." },
    { 412, "PreconditionFailed",
      "At least one of the preconditions that you specified did not hold." },
    { 403, "RequestTimeTooSkewed",
      "The difference between the request time and the server's time is too "
      "large." },
    { 403, "SignatureDoesNotMatch",
      "The request signature that we calculated does not match the signature "
      "that you provided." },
    { 503, "SlowDown", "Please reduce your request rate." },
    { 400, "XAmzContentSHA256Mismatch",
      "The provided x-amz-content-sha256 does not match what was computed." }
};


const char *
ngx_http_media_store_error_code(ngx_http_media_store_error_e error)
{
    return ngx_http_media_store_answers[error].code;
}


ngx_int_t
ngx_http_media_store_send_error(ngx_http_request_t *r,
    ngx_http_media_store_error_e error)
{
    ngx_str_t                       s;
    ngx_http_media_store_text_t     t;
    ngx_http_media_store_answer_t  *answer;

    answer = &ngx_http_media_store_answers[error];

    if (answer->status == NGX_HTTP_FORBIDDEN) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "media store refused: %s", answer->code);
    }

    ngx_memzero(&t, sizeof(ngx_http_media_store_text_t));
    t.pool = r->pool;

    ngx_http_media_store_puts(&t, "<Error>");

    s.data = (u_char *) answer->code;
    s.len = ngx_strlen(answer->code);
    ngx_http_media_store_xml(&t, "Code", &s);

    s.data = (u_char *) answer->message;
    s.len = ngx_strlen(answer->message);
    ngx_http_media_store_xml(&t, "Message", &s);

    ngx_http_media_store_xml(&t, "Resource", &r->uri);

    ngx_http_media_store_request_id(r, &s);
    ngx_http_media_store_xml(&t, "RequestId", &s);

    ngx_http_media_store_puts(&t, "</Error>\n");

    if (t.failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s.data = t.start;
    s.len = t.last - t.start;

    return ngx_http_media_store_send_text(r, answer->status, &s);
}


ngx_int_t
ngx_http_media_store_send_text(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *xml)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = xml->len;
    r->allow_ranges = 0;
    r->disable_not_modified = 1;

    if (xml->len) {
        ngx_str_set(&r->headers_out.content_type, "application/xml");
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;

    } else {
        r->header_only = 1;
    }

    if (status == NGX_HTTP_NO_CONTENT) {
        r->headers_out.content_length_n = -1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = xml->data;
    b->last = xml->data + xml->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


void
ngx_http_media_store_text(ngx_http_media_store_text_t *t, const void *data,
    size_t len)
{
    size_t   size;
    u_char  *p;

    if (t->failed || len == 0) {
        return;
    }

    if ((size_t) (t->end - t->last) < len) {
        size = ngx_max((size_t) (t->end - t->start) * 2, 1024);

        while (size < (size_t) (t->last - t->start) + len) {
            size *= 2;
        }

        p = ngx_palloc(t->pool, size);
        if (p == NULL) {
            t->failed = 1;
            return;
        }

        if (t->start != NULL) {
            ngx_memcpy(p, t->start, t->last - t->start);
            (void) ngx_pfree(t->pool, t->start);
        }

        t->last = p + (t->last - t->start);
        t->start = p;
        t->end = p + size;
    }

    t->last = ngx_cpymem(t->last, data, len);
}


void
ngx_http_media_store_puts(ngx_http_media_store_text_t *t, const char *s)
{
    ngx_http_media_store_text(t, s, ngx_strlen(s));
}


void
ngx_http_media_store_xml(ngx_http_media_store_text_t *t, const char *name,
    ngx_str_t *value)
{
    ngx_http_media_store_puts(t, "<");
    ngx_http_media_store_puts(t, name);
    ngx_http_media_store_puts(t, ">");
    ngx_http_media_store_escape(t, value);
    ngx_http_media_store_puts(t, "</");
    ngx_http_media_store_puts(t, name);
    ngx_http_media_store_puts(t, ">");
}


/* control characters as references, as S3 does, although XML 1.0 forbids */

static void
ngx_http_media_store_escape(ngx_http_media_store_text_t *t, ngx_str_t *value)
{
    u_char  *p, *start, *last, *last_ref, ref[sizeof("&#x00;")];

    p = value->data;
    last = p + value->len;
    start = p;

    for ( /* void */ ; p < last; p++) {

        if (*p >= 0x20 && *p != '&' && *p != '<' && *p != '>' && *p != '"') {
            continue;
        }

        ngx_http_media_store_text(t, start, p - start);
        last_ref = ngx_sprintf(ref, "&#x%02Xi;", (ngx_int_t) *p);
        ngx_http_media_store_text(t, ref, last_ref - ref);
        start = p + 1;
    }

    ngx_http_media_store_text(t, start, p - start);
}


void
ngx_http_media_store_xml_url(ngx_http_media_store_text_t *t, const char *name,
    ngx_str_t *value)
{
    ssize_t    n;
    ngx_str_t  s;

    s.data = ngx_pnalloc(t->pool, value->len * 3 + 1);
    if (s.data == NULL) {
        t->failed = 1;
        return;
    }

    n = media_uri_encode((char *) s.data, value->len * 3 + 1,
                         (char *) value->data, value->len, 1);
    s.len = n < 0 ? 0 : (size_t) n;

    ngx_http_media_store_xml(t, name, &s);
}


void
ngx_http_media_store_xml_time(ngx_http_media_store_text_t *t,
    const char *name, time_t value)
{
    u_char     buf[sizeof("1970-01-01T00:00:00.000Z") + 16];
    ngx_tm_t   tm;
    ngx_str_t  s;

    ngx_gmtime(value, &tm);

    s.data = buf;
    s.len = ngx_sprintf(buf, "%4d-%02d-%02dT%02d:%02d:%02d.000Z",
                        tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                        tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec)
            - buf;

    ngx_http_media_store_xml(t, name, &s);
}


void
ngx_http_media_store_xml_number(ngx_http_media_store_text_t *t,
    const char *name, off_t value)
{
    u_char     buf[NGX_OFF_T_LEN];
    ngx_str_t  s;

    s.data = buf;
    s.len = ngx_sprintf(buf, "%O", value) - buf;

    ngx_http_media_store_xml(t, name, &s);
}


/* enough for the two documents that clients send; no attributes needed */

ngx_int_t
ngx_http_media_store_xml_next(ngx_str_t *in, const char *name,
    ngx_str_t *inner)
{
    size_t   len;
    u_char  *p, *last, *end;

    len = ngx_strlen(name);
    last = in->data + in->len;

    for (p = in->data; p < last; p++) {

        p = ngx_strlchr(p, last, '<');
        if (p == NULL) {
            return NGX_DECLINED;
        }

        if ((size_t) (last - p) < len + 2
            || ngx_memcmp(p + 1, name, len) != 0
            || (p[len + 1] != '>' && p[len + 1] != ' '))
        {
            continue;
        }

        p = ngx_strlchr(p, last, '>');
        if (p == NULL) {
            return NGX_ERROR;
        }

        inner->data = p + 1;

        for (end = p + 1; end < last; end++) {
            end = ngx_strlchr(end, last, '<');

            if (end == NULL || (size_t) (last - end) < len + 3) {
                return NGX_ERROR;
            }

            if (end[1] == '/' && ngx_memcmp(end + 2, name, len) == 0
                && end[len + 2] == '>')
            {
                inner->len = end - inner->data;
                in->data = end + len + 3;
                in->len = last - in->data;
                return NGX_OK;
            }
        }

        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_media_store_xml_unescape(ngx_str_t *s)
{
    u_char  *p, *dst, *last, *end;

    dst = s->data;
    last = s->data + s->len;

    for (p = s->data; p < last; p++) {

        if (*p == '<') {
            return NGX_ERROR;
        }

        if (*p != '&') {
            *dst++ = *p;
            continue;
        }

        end = ngx_strlchr(p, last, ';');

        if (end == NULL
            || ngx_http_media_store_reference(&dst, p + 1, end - p - 1)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = end;
    }

    s->len = dst - s->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_reference(u_char **dst, u_char *p, size_t len)
{
    size_t      i;
    u_char     *d;
    ngx_int_t   n;

    static ngx_keyval_t  names[] = {
        { ngx_string("amp"), ngx_string("&") },
        { ngx_string("lt"), ngx_string("<") },
        { ngx_string("gt"), ngx_string(">") },
        { ngx_string("quot"), ngx_string("\"") },
        { ngx_string("apos"), ngx_string("'") }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].key.len == len
            && ngx_memcmp(names[i].key.data, p, len) == 0)
        {
            *(*dst)++ = names[i].value.data[0];
            return NGX_OK;
        }
    }

    if (len < 2 || len > 8 || p[0] != '#') {
        return NGX_ERROR;
    }

    n = p[1] == 'x' ? ngx_hextoi(p + 2, len - 2) : ngx_atoi(p + 1, len - 1);

    if (n <= 0 || n > 0x10ffff) {
        return NGX_ERROR;
    }

    d = *dst;

    if (n < 0x80) {
        *d++ = (u_char) n;

    } else if (n < 0x800) {
        *d++ = (u_char) (0xc0 | n >> 6);
        *d++ = (u_char) (0x80 | (n & 0x3f));

    } else if (n < 0x10000) {
        *d++ = (u_char) (0xe0 | n >> 12);
        *d++ = (u_char) (0x80 | (n >> 6 & 0x3f));
        *d++ = (u_char) (0x80 | (n & 0x3f));

    } else {
        *d++ = (u_char) (0xf0 | n >> 18);
        *d++ = (u_char) (0x80 | (n >> 12 & 0x3f));
        *d++ = (u_char) (0x80 | (n >> 6 & 0x3f));
        *d++ = (u_char) (0x80 | (n & 0x3f));
    }

    *dst = d;

    return NGX_OK;
}
