
/*
 * Copyright (C) ngx_media contributors
 *
 * Errors as JSON.  What S3 says of them is not for clients: its 403 is our
 * signer's fault, and its bodies name buckets and hosts.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_ERROR_REPEAT  10     /* seconds without an ERR line */


typedef struct {
    ngx_uint_t  status;     /* 0 ends the table: all others */
    ngx_str_t   body;
} ngx_http_media_error_t;


static ngx_uint_t ngx_http_media_error_upstream(ngx_http_request_t *r);
static void ngx_http_media_error_translate(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_error_headers(ngx_http_request_t *r);
static ngx_str_t *ngx_http_media_error_find(ngx_uint_t status);


#define ngx_http_media_error(status, name, message)                           \
    { status, ngx_string("{\"error\":\"" name "\",\"message\":\"" message     \
                         "\"}\n") }


static ngx_http_media_error_t  ngx_http_media_errors[] = {
    ngx_http_media_error(400, "bad_request", "the request is not valid"),
    ngx_http_media_error(401, "unauthorized", "credentials are missing or "
                         "not valid"),
    ngx_http_media_error(403, "forbidden", "access is denied"),
    ngx_http_media_error(404, "not_found", "no such object"),
    ngx_http_media_error(405, "method_not_allowed", "use GET or HEAD"),
    ngx_http_media_error(408, "request_timeout", "the request came too slow"),
    ngx_http_media_error(412, "precondition_failed", "the object is another "
                         "one"),
    ngx_http_media_error(413, "payload_too_large", "the request is too large"),
    ngx_http_media_error(414, "uri_too_long", "the URL is too long"),
    ngx_http_media_error(416, "range_not_satisfiable", "the range begins "
                         "after the end of the object"),
    ngx_http_media_error(429, "too_many_requests", "try again later"),
    ngx_http_media_error(500, "internal_error", "try again later"),
    ngx_http_media_error(502, "storage_unavailable", "try again later"),
    ngx_http_media_error(503, "service_unavailable", "try again later"),
    ngx_http_media_error(504, "storage_unavailable", "try again later"),
    ngx_http_media_error(0, "request_failed", "the request was not served")
};


/* what an error keeps of the headers that S3 sent */
static const char  *ngx_http_media_error_kept[] = {
    "Content-Range", NULL
};


/* what belongs to an object, and was set before its range was looked at */
static const char  *ngx_http_media_error_dropped[] = {
    "ETag", "Last-Modified", "Content-Disposition", "Content-Encoding",
    "Content-Security-Policy", "Cross-Origin-Resource-Policy",
    "Accept-Ranges", "Cache-Control", "Expires", NULL
};


static const char  *ngx_http_media_error_range[] = { "Content-Range", NULL };

static ngx_str_t  ngx_http_media_error_type = ngx_string("application/json");
static ngx_str_t  ngx_http_media_error_no_store = ngx_string("no-store");
static ngx_str_t  ngx_http_media_error_nosniff = ngx_string("nosniff");

/* when an answer of S3 was last logged at ERR by this process */
static time_t  ngx_http_media_error_logged;


ngx_int_t
ngx_http_media_error_header(ngx_http_request_t *r)
{
    ngx_http_media_ctx_t  *ctx;

    if (ngx_http_media_error_upstream(r)) {
        ngx_http_media_error_translate(r);
    }

    if (r->headers_out.status < NGX_HTTP_BAD_REQUEST) {
        return NGX_DECLINED;
    }

    /* the core's 412 and 416 have lost the contexts */

    ctx = ngx_http_media_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->serve == NULL) {
        ctx->serve = ngx_pcalloc(r->pool, sizeof(ngx_http_media_serve_ctx_t));
        if (ctx->serve == NULL) {
            return NGX_ERROR;
        }
    }

    ctx->serve->error = (ctx->upload && ctx->upload->refusal.len)
                        ? &ctx->upload->refusal
                        : ngx_http_media_error_find(r->headers_out.status);

    return ngx_http_media_error_headers(r);
}


/* 1 if the status is the one that S3 sent, and not of nginx */

static ngx_uint_t
ngx_http_media_error_upstream(ngx_http_request_t *r)
{
    ngx_http_media_loc_conf_t  *lcf;

    if (r->upstream == NULL
        || r->upstream->headers_in.status_n != r->headers_out.status)
    {
        return 0;
    }

    if (r->headers_out.status >= NGX_HTTP_BAD_REQUEST) {
        return 1;
    }

    /* the bucket is in another region */

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    return lcf->s3.endpoint.len
           && r->headers_out.status >= NGX_HTTP_SPECIAL_RESPONSE
           && r->headers_out.status != NGX_HTTP_NOT_MODIFIED;
}


static void
ngx_http_media_error_translate(ngx_http_request_t *r)
{
    ngx_uint_t  level;

    switch (r->headers_out.status) {

    case NGX_HTTP_NOT_FOUND:
    case NGX_HTTP_PRECONDITION_FAILED:
    case NGX_HTTP_RANGE_NOT_SATISFIABLE:
        return;
    }

    level = NGX_LOG_INFO;

    if (ngx_time() - ngx_http_media_error_logged
        >= NGX_HTTP_MEDIA_ERROR_REPEAT)
    {
        ngx_http_media_error_logged = ngx_time();
        level = NGX_LOG_ERR;
    }

    ngx_log_error(level, r->connection->log, 0,
                  "s3 answered %ui, the client is sent 502",
                  r->headers_out.status);

    r->headers_out.status = NGX_HTTP_BAD_GATEWAY;
}


static ngx_int_t
ngx_http_media_error_headers(ngx_http_request_t *r)
{
    ngx_str_t                  *body;
    ngx_http_media_ctx_t       *ctx;
    ngx_http_media_loc_conf_t  *lcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    body = ctx->serve->error;

    ngx_http_media_header_remove(r, ngx_http_media_error_kept, 1);
    ngx_http_media_header_remove(r, ngx_http_media_error_dropped, 0);

    if (r->headers_out.status != NGX_HTTP_RANGE_NOT_SATISFIABLE) {
        ngx_http_media_header_remove(r, ngx_http_media_error_range, 0);
    }

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);
    ngx_http_clear_location(r);

    r->headers_out.content_encoding = NULL;

    r->headers_out.status_line.len = 0;
    r->headers_out.content_type = ngx_http_media_error_type;
    r->headers_out.content_type_len = ngx_http_media_error_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.charset.len = 0;
    r->headers_out.content_length_n = body->len;

    if (ngx_http_media_header_set(r, "Cache-Control",
                                  &ngx_http_media_error_no_store)
        == NULL
        || ngx_http_media_header_set(r, "X-Content-Type-Options",
                                     &ngx_http_media_error_nosniff)
           == NULL)
    {
        return NGX_ERROR;
    }

    /* whether somebody has asked before is not told, nor how it was known */

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (r->headers_out.status == NGX_HTTP_NOT_FOUND
        && lcf->cache.enable
        && ngx_http_media_header_set(r, "X-Cache",
               &ngx_http_media_cache_statuses[NGX_HTTP_MEDIA_CACHE_MISS])
           == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_http_media_cors_headers(r);
}


static ngx_str_t *
ngx_http_media_error_find(ngx_uint_t status)
{
    ngx_http_media_error_t  *e;

    for (e = ngx_http_media_errors; e->status; e++) {
        if (e->status == status) {
            break;
        }
    }

    return &e->body;
}


/*
 * The body that comes is marked as consumed, so that its buffers are free
 * again and the connection to S3 can be kept.
 */

ngx_int_t
ngx_http_media_error_body(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next)
{
    ngx_buf_t             *b;
    ngx_chain_t           *cl, out;
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx == NULL || ctx->serve == NULL || ctx->serve->error == NULL) {
        return NGX_DECLINED;
    }

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (in == NULL || ctx->serve->sent) {
        return next(r, NULL);
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = ctx->serve->error->data;
    b->last = b->pos + ctx->serve->error->len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ctx->serve->sent = 1;

    out.buf = b;
    out.next = NULL;

    return next(r, &out);
}
