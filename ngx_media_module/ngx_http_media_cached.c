
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_cached_headers(ngx_http_request_t *r,
    media_entry_t *entry);


/* range, conditions and HEAD are the business of the core's filters */

ngx_int_t
ngx_http_media_cached_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_buf_t                   *b;
    ngx_chain_t                  out;
    ngx_http_media_ctx_t        *ctx;
    ngx_http_media_cache_ctx_t  *cctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    cctx = ctx->cache;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_media_cached_headers(r, &cctx->entry) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (cctx->head) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "media cache entry has no body to send");
        return NGX_ERROR;
    }

    b->pos = cctx->body;
    b->last = cctx->body + cctx->entry.length;
    b->memory = (cctx->entry.length != 0);
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_media_cached_headers(ngx_http_request_t *r, media_entry_t *entry)
{
    u_char           *p;
    ngx_str_t         value;
    ngx_table_elt_t  *h;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = entry->length;
    r->headers_out.last_modified_time = entry->last_modified;
    r->allow_ranges = 1;

    if (entry->content_type.len) {
        value.data = (u_char *) entry->content_type.data;
        value.len = entry->content_type.len;

        p = ngx_strlchr(value.data, value.data + value.len, ';');

        r->headers_out.content_type = value;
        r->headers_out.content_type_len = p ? (size_t) (p - value.data)
                                            : value.len;
    }

    if (entry->etag.len) {
        value.data = (u_char *) entry->etag.data;
        value.len = entry->etag.len;

        h = ngx_media_add_header(r, "ETag", &value);
        if (h == NULL) {
            return NGX_ERROR;
        }

        r->headers_out.etag = h;
    }

    if (entry->disposition.len) {
        value.data = (u_char *) entry->disposition.data;
        value.len = entry->disposition.len;

        if (ngx_media_add_header(r, "Content-Disposition", &value) == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
