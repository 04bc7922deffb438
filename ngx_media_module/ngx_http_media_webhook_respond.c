
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"
#include "ngx_http_media_json.h"


#define NGX_HTTP_MEDIA_WEBHOOK_RETRY_MAX  5     /* s */


static ngx_int_t ngx_http_media_webhook_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *body);
static ngx_int_t ngx_http_media_webhook_set_headers(ngx_http_request_t *r,
    ngx_uint_t status);


ngx_int_t
ngx_http_media_webhook_respond(ngx_http_request_t *r, ngx_uint_t status,
    const char *error, const char *message)
{
    u_char                *p;
    ngx_str_t              body;
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    body.len = sizeof("{\"status\":\"accepted\",\"request_id\":\"\"}\n") - 1;

    if (error == NULL) {
        body.len += ctx->webhook->id.len;

    } else {
        body.len += ngx_strlen(error) + ngx_strlen(message);
    }

    body.data = ngx_pnalloc(r->pool, body.len);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (error == NULL) {
        p = ngx_sprintf(body.data,
                        "{\"status\":\"accepted\",\"request_id\":\"%V\"}\n",
                        &ctx->webhook->id);

    } else {
        p = ngx_sprintf(body.data, "{\"error\":\"%s\",\"message\":\"", error);

        for ( /* void */ ; *message; message++) {
            *p++ = (*message == '"' || *message == '\\'
                    || (u_char) *message < ' ') ? '\'' : (u_char) *message;
        }

        p = ngx_cpymem(p, "\"}\n", 3);
    }

    body.len = p - body.data;

    return ngx_http_media_webhook_send(r, status, &body);
}


static ngx_int_t
ngx_http_media_webhook_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    if (ngx_http_media_webhook_set_headers(r, status) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_media_json_output(r, status, body);
}


static ngx_int_t
ngx_http_media_webhook_set_headers(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_str_t                      value;
    ngx_http_media_ctx_t          *ctx;
    ngx_http_media_loc_conf_t     *mlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (ctx && ctx->webhook
        && ngx_media_add_header(r, "X-Request-Id", &ctx->webhook->id) == NULL)
    {
        return NGX_ERROR;
    }

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        value.data = ngx_pnalloc(r->pool, 1);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.data[0] = '1' + (u_char)
                        (ngx_random() % NGX_HTTP_MEDIA_WEBHOOK_RETRY_MAX);
        value.len = 1;

        return ngx_media_add_header(r, "Retry-After", &value) ? NGX_OK
                                                              : NGX_ERROR;
    }

    if (status == NGX_HTTP_NOT_ALLOWED) {
        if (mlcf->webhook.provider == MEDIA_PROVIDER_CLOUDAPI) {
            ngx_str_set(&value, "GET, HEAD, POST");

        } else {
            ngx_str_set(&value, "POST");
        }

        return ngx_media_add_header(r, "Allow", &value) ? NGX_OK : NGX_ERROR;
    }

    return NGX_OK;
}
