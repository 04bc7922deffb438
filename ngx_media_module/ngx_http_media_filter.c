
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_header_cache(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
static ngx_int_t ngx_http_media_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_media_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_media_ctx_t       *ctx;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->serve.enable) {
        rc = ngx_http_media_s3_response(r);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (r != r->main) {
        if (ngx_http_media_multirange_part_header(r) != NGX_OK
            || ngx_http_media_slice_header(r) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (lcf->serve.enable) {
            ngx_http_media_metrics_subrequest(r);
        }

        return ngx_http_next_header_filter(r);
    }

    rc = ngx_http_media_auth_response(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_media_slice_header(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx && ctx->cache
        && ngx_http_media_header_cache(r, ctx->cache) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (lcf->store.path.data) {
        rc = ngx_http_media_cors_headers(r);

        return (rc == NGX_OK) ? ngx_http_next_header_filter(r) : rc;
    }

    if (!lcf->serve.enable && !lcf->auth.url && !lcf->upload.api) {
        return ngx_http_next_header_filter(r);
    }

    rc = (ctx && ctx->upload && ctx->upload->answered)
         ? NGX_DECLINED : ngx_http_media_error_header(r);

    if (rc == NGX_OK) {
        return ngx_http_next_header_filter(r);
    }

    if (rc == NGX_DECLINED && (lcf->auth.url || lcf->upload.api)) {
        rc = ngx_http_media_cors_headers(r);

        return (rc == NGX_OK) ? ngx_http_next_header_filter(r) : rc;
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_media_serve_headers(r);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_media_multirange_header(r, ngx_http_next_header_filter);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_next_header_filter(r);
    }

    if (rc > NGX_OK) {

        /* our own 412 or 416: error_page is for the ones of S3 */

        r->error_page = 1;
    }

    return rc;
}


static ngx_int_t
ngx_http_media_header_cache(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
#if (NGX_HTTP_CACHE)
    ngx_uint_t  status;
#endif

    /* the tier of an entry was known when the request got it */

    if (r->upstream && cctx->shared == NULL && cctx->reply == NULL) {
        cctx->tier = NGX_HTTP_MEDIA_TIER_S3;

#if (NGX_HTTP_CACHE)
        status = r->upstream->cache_status;

        if (status == NGX_HTTP_CACHE_STALE
            || status == NGX_HTTP_CACHE_UPDATING)
        {
            cctx->tier = NGX_HTTP_MEDIA_TIER_DISK;
            cctx->status = NGX_HTTP_MEDIA_CACHE_STALE;

        } else if (status == NGX_HTTP_CACHE_HIT
                   || status == NGX_HTTP_CACHE_REVALIDATED)
        {
            cctx->tier = NGX_HTTP_MEDIA_TIER_DISK;
            cctx->status = NGX_HTTP_MEDIA_CACHE_HIT;
        }
#endif
    }

    if (ngx_http_media_header_set(r, "X-Cache",
            &ngx_http_media_cache_statuses[cctx->status])
        == NULL)
    {
        return NGX_ERROR;
    }

    ngx_http_media_tee_header(r, cctx);

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t              rc;
    ngx_http_media_ctx_t  *ctx;

    if (r != r->main) {
        rc = ngx_http_media_upload_s3_filter(r, in);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        if (ngx_http_media_slice_body(r, in) != NGX_OK
            || ngx_http_media_multirange_part_body(r, in) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_next_body_filter(r, in);
    }

    if (ngx_http_media_slice_body(r, in) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_media_error_body(r, in, ngx_http_next_body_filter);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx && ctx->cache) {
        ngx_http_media_tee_body(r, ctx->cache, in);
    }

    rc = ngx_http_media_multirange_body(r, in, ngx_http_next_body_filter);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_next_body_filter(r, in);
}


void
ngx_http_media_filter_init(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_media_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_media_body_filter;
}
