
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_webhook_stored(ngx_http_request_t *r,
    void *data, ngx_int_t rc);
static void ngx_http_media_webhook_offloaded(ngx_http_request_t *r);


static ngx_str_t  ngx_http_media_webhook_put = ngx_string("PUT");


/*
 * The subrequest shares the body of the request, a temporary file, which the
 * proxy module sends with its length.
 */

ngx_int_t
ngx_http_media_webhook_offload(ngx_http_request_t *r)
{
    u_char                      *p;
    ngx_str_t                    uri;
    ngx_http_request_t          *sr;
    ngx_http_media_ctx_t        *ctx;
    ngx_http_media_loc_conf_t   *mlcf;
    ngx_http_post_subrequest_t  *ps;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    uri.len = mlcf->webhook.offload.len + sizeof("webhooks/") - 1
              + ctx->webhook->id.len;
    uri.data = ngx_pnalloc(r->pool, uri.len);
    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));

    if (uri.data == NULL || ps == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(uri.data, "%Vwebhooks/%V", &mlcf->webhook.offload,
                    &ctx->webhook->id);
    uri.len = p - uri.data;

    ps->handler = ngx_http_media_webhook_stored;
    ps->data = ctx->webhook;

    if (ngx_http_subrequest(r, &uri, NULL, &sr, ps, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    sr->method = NGX_HTTP_PUT;
    sr->method_name = ngx_http_media_webhook_put;
    sr->header_only = 1;

    r->write_event_handler = ngx_http_media_webhook_offloaded;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_webhook_stored(ngx_http_request_t *r, void *data, ngx_int_t rc)
{
    ngx_http_media_webhook_ctx_t  *ctx;

    ctx = data;

    ctx->offload = r->headers_out.status;

    if (rc != NGX_OK || ctx->offload == 0) {
        ctx->offload = (rc >= NGX_HTTP_SPECIAL_RESPONSE)
                       ? (ngx_uint_t) rc : NGX_HTTP_BAD_GATEWAY;
    }

    /* an error would end the whole request, without an answer */

    return NGX_OK;
}


/* the parent goes on: once its subrequest has ended */

static void
ngx_http_media_webhook_offloaded(ngx_http_request_t *r)
{
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx->webhook->offload == 0) {
        return;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    if (ctx->webhook->offload / 100 == 2) {
        ngx_http_media_webhook_publish(r);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "webhook refused: store answered %ui to a large body",
                  ctx->webhook->offload);

    ngx_http_finalize_request(r,
        ngx_http_media_webhook_respond(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "unavailable",
                                       "the body cannot be stored now"));
}
