
/*
 * Copyright (C) ngx_media contributors
 *
 * Requests to S3 for an endpoint, by subrequests to the location of
 * media_upload_store, which signs them.  Answers are kept in memory by the
 * body filter: one that is too long for nginx's own in-memory subrequests
 * would close the client's connection.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


/* bytes of an answer: a list of all parts has less */
#define NGX_HTTP_MEDIA_UPLOAD_BODY_MAX  1048576
#define NGX_HTTP_MEDIA_UPLOAD_BODY_MIN  4096


typedef struct {
    ngx_uint_t   method;
    ngx_str_t    name;
} ngx_http_media_upload_method_t;


static ngx_int_t ngx_http_media_upload_s3_prepare(ngx_http_request_t *sr,
    ngx_uint_t method, ngx_str_t *query, ngx_str_t *body);
static ngx_int_t ngx_http_media_upload_s3_type(ngx_http_request_t *sr);
static ngx_int_t ngx_http_media_upload_s3_body(ngx_http_request_t *sr,
    ngx_str_t *body);
static ngx_int_t ngx_http_media_upload_s3_done(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);
static ngx_int_t ngx_http_media_upload_s3_append(ngx_http_request_t *sr,
    ngx_http_media_upload_answer_t *answer, u_char *data, size_t len);
static void ngx_http_media_upload_s3_resume(ngx_http_request_t *r);


static ngx_http_media_upload_method_t  ngx_http_media_upload_methods[] = {
    { NGX_HTTP_HEAD, ngx_string("HEAD") },
    { NGX_HTTP_GET, ngx_string("GET") },
    { NGX_HTTP_POST, ngx_string("POST") },
    { NGX_HTTP_PUT, ngx_string("PUT") },
    { NGX_HTTP_DELETE, ngx_string("DELETE") },
    { 0, ngx_null_string }
};


ngx_int_t
ngx_http_media_upload_s3(ngx_http_request_t *r, ngx_uint_t method,
    const char *key, ngx_str_t *query, ngx_str_t *body,
    ngx_http_media_upload_answer_pt handler)
{
    ngx_str_t                     uri;
    ngx_http_request_t           *sr;
    ngx_http_media_loc_conf_t    *lcf;
    ngx_http_post_subrequest_t   *ps;
    ngx_http_media_upload_ctx_t  *uctx;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    uctx = ngx_http_media_upload_ctx(r);

    uri.len = lcf->upload.prefix.len + ngx_strlen(key);
    uri.data = ngx_pnalloc(r->pool, uri.len);
    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));

    if (uri.data == NULL || ps == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(uri.data, "%V%s", &lcf->upload.prefix, key);

    ngx_memzero(&uctx->answer, sizeof(ngx_http_media_upload_answer_t));
    ngx_str_set(&uctx->answer.body, "");
    uctx->answered_by = handler;
    uctx->waiting = 1;

    ps->handler = ngx_http_media_upload_s3_done;
    ps->data = uctx;

    if (ngx_http_subrequest(r, &uri, NULL, &sr, ps, 0) != NGX_OK
        || ngx_http_media_upload_s3_prepare(sr, method, query, body)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_media_upload_s3_resume;

    return NGX_OK;
}


/* nothing of the client's request is the subrequest's */

static ngx_int_t
ngx_http_media_upload_s3_prepare(ngx_http_request_t *sr, ngx_uint_t method,
    ngx_str_t *query, ngx_str_t *body)
{
    ngx_http_media_ctx_t            *ctx;
    ngx_http_media_upload_method_t  *m;

    ctx = ngx_http_media_get_ctx(sr);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->query = *query;
    ctx->answer = &ngx_http_media_upload_ctx(sr->parent)->answer;

    for (m = ngx_http_media_upload_methods; m->method != method; m++) {
        /* void */
    }

    sr->method = m->method;
    sr->method_name = m->name;
    sr->header_only = (method == NGX_HTTP_HEAD);
    sr->headers_in.chunked = 0;
    sr->headers_in.content_length = NULL;
    sr->headers_in.content_length_n = (method == NGX_HTTP_POST) ? 0 : -1;
    sr->headers_in.content_type = NULL;

    if (method == NGX_HTTP_PUT) {
        sr->headers_in.content_length_n =
                     ngx_http_media_upload_ctx(sr->parent)->upload.file_size;
        return ngx_http_media_upload_s3_type(sr);
    }

    sr->request_body = NULL;

    if (method != NGX_HTTP_POST) {
        return NGX_OK;
    }

    return ngx_http_media_upload_s3_body(sr, body);
}


/* a body that is sent is of the upload's type */

static ngx_int_t
ngx_http_media_upload_s3_type(ngx_http_request_t *sr)
{
    media_str_t      *type;
    ngx_table_elt_t  *h;

    h = ngx_pcalloc(sr->pool, sizeof(ngx_table_elt_t));
    if (h == NULL) {
        return NGX_ERROR;
    }

    type = &ngx_http_media_upload_ctx(sr->parent)->upload.file_type;

    h->hash = 1;
    ngx_str_set(&h->key, "Content-Type");
    h->lowcase_key = (u_char *) "content-type";
    h->value.data = (u_char *) type->data;
    h->value.len = type->len;

    sr->headers_in.content_type = h;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_upload_s3_body(ngx_http_request_t *sr, ngx_str_t *body)
{
    ngx_buf_t  *b;

    sr->request_body = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));

    if (sr->request_body == NULL
        || ngx_http_media_upload_s3_type(sr) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (body->len == 0) {
        return NGX_OK;
    }

    ngx_str_set(&sr->headers_in.content_type->value, "application/xml");

    b = ngx_calloc_buf(sr->pool);
    sr->request_body->bufs = ngx_alloc_chain_link(sr->pool);

    if (b == NULL || sr->request_body->bufs == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = 1;

    sr->request_body->bufs->buf = b;
    sr->request_body->bufs->next = NULL;
    sr->headers_in.content_length_n = body->len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_upload_s3_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc)
{
    ngx_http_upstream_headers_in_t  *in;
    ngx_http_media_upload_ctx_t     *uctx;
    ngx_http_media_upload_answer_t  *answer;

    uctx = data;
    answer = &uctx->answer;

    if (!uctx->waiting) {
        return NGX_OK;
    }

    uctx->waiting = 0;
    answer->length = -1;
    answer->status = sr->headers_out.status;

    if (rc != NGX_OK || sr->upstream == NULL || answer->status == 0
        || sr->upstream->headers_in.status_n != answer->status
        || answer->failed)
    {
        answer->status = NGX_HTTP_BAD_GATEWAY;

    } else {
        in = &sr->upstream->headers_in;
        answer->length = in->content_length_n;

        if (in->content_type) {
            answer->type = in->content_type->value;
        }

        if (in->etag) {
            answer->etag = in->etag->value;
        }
    }

    /* an error would end the whole request, without an answer */

    return NGX_OK;
}


/* takes the body of such a subrequest: nobody else sees it */

ngx_int_t
ngx_http_media_upload_s3_filter(ngx_http_request_t *sr, ngx_chain_t *in)
{
    size_t                           len;
    ngx_chain_t                     *cl;
    ngx_http_media_ctx_t            *ctx;
    ngx_http_media_upload_answer_t  *answer;

    ctx = ngx_http_get_module_ctx(sr, ngx_http_media_module);

    if (ctx == NULL || ctx->answer == NULL) {
        return NGX_DECLINED;
    }

    answer = ctx->answer;

    for (cl = in; cl; cl = cl->next) {

        if (ngx_buf_in_memory(cl->buf) && !answer->failed) {
            len = cl->buf->last - cl->buf->pos;

            if (ngx_http_media_upload_s3_append(sr, answer, cl->buf->pos, len)
                != NGX_OK)
            {
                answer->failed = 1;
            }
        }

        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_upload_s3_append(ngx_http_request_t *sr,
    ngx_http_media_upload_answer_t *answer, u_char *data, size_t len)
{
    size_t   size;
    u_char  *p;

    if (answer->body.len + len > NGX_HTTP_MEDIA_UPLOAD_BODY_MAX) {
        ngx_log_error(NGX_LOG_ERR, sr->connection->log, 0,
                      "s3 sent too long an answer to an upload's request");
        return NGX_ERROR;
    }

    if (answer->body.len + len > answer->size) {
        size = ngx_max(answer->size, NGX_HTTP_MEDIA_UPLOAD_BODY_MIN);

        while (size < answer->body.len + len) {
            size *= 2;
        }

        p = ngx_pnalloc(sr->pool, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, answer->body.data, answer->body.len);
        answer->body.data = p;
        answer->size = size;
    }

    ngx_memcpy(answer->body.data + answer->body.len, data, len);
    answer->body.len += len;

    return NGX_OK;
}


/* the parent goes on: once its subrequest has ended */

static void
ngx_http_media_upload_s3_resume(ngx_http_request_t *r)
{
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (uctx->waiting) {
        return;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    if (uctx->answer.status >= NGX_HTTP_SPECIAL_RESPONSE
        && uctx->answer.status != NGX_HTTP_NOT_FOUND)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "s3 answered %ui to an upload's request",
                      uctx->answer.status);
    }

    uctx->answered_by(r, &uctx->answer);
}
