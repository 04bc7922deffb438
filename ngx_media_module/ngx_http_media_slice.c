
/*
 * Copyright (C) ngx_media contributors
 *
 * What follows a slice that S3 has cut short would be sent in the place of
 * what is missing: nginx ends such a subrequest as if it were complete, and
 * the slice filter looks at Content-Range only.  The connection is closed
 * instead.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_slice_check(ngx_http_request_t *r,
    ngx_http_media_slice_ctx_t *sctx);


ngx_int_t
ngx_http_media_slice_header(ngx_http_request_t *r)
{
    off_t                       start, end, total;
    ngx_http_media_ctx_t       *ctx;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r->main, ngx_http_media_module);

    if (!lcf->serve.enable) {
        return NGX_OK;
    }

    ctx = ngx_http_media_get_ctx(r->main);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* an error may take the place of a slice */

    ctx->slice.request = NULL;

    if (ngx_http_media_range_content(r, &start, &end, &total) != NGX_OK) {
        return NGX_OK;
    }

    if (r->headers_out.content_length_n != -1
        && r->headers_out.content_length_n != end - start)
    {
        /* not to be cached either */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "media slice: s3 sent Content-Length %O for %O bytes",
                      r->headers_out.content_length_n, end - start);

        return (r == r->main)
               ? ngx_http_filter_finalize_request(r, &ngx_http_media_module,
                                                  NGX_HTTP_BAD_GATEWAY)
               : NGX_ERROR;
    }

    ctx->slice.request = r;
    ctx->slice.left = end - start;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_slice_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_uint_t                   last;
    ngx_chain_t                 *cl;
    ngx_http_media_ctx_t        *ctx;
    ngx_http_media_slice_ctx_t  *sctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_media_module);

    if (ctx == NULL || ctx->slice.request == NULL) {
        return NGX_OK;
    }

    sctx = &ctx->slice;

    /* the main request goes on */

    if (r != sctx->request) {
        return sctx->request->done ? ngx_http_media_slice_check(r, sctx)
                                   : NGX_OK;
    }

    last = 0;

    for (cl = in; cl; cl = cl->next) {
        if (!ngx_buf_special(cl->buf)) {
            sctx->left -= ngx_buf_size(cl->buf);
        }

        last |= cl->buf->last_buf;
    }

    return last ? ngx_http_media_slice_check(r, sctx) : NGX_OK;
}


static ngx_int_t
ngx_http_media_slice_check(ngx_http_request_t *r,
    ngx_http_media_slice_ctx_t *sctx)
{
    sctx->request = NULL;

    if (sctx->left == 0) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "media slice: %O bytes are missing", sctx->left);

    return NGX_ERROR;
}
