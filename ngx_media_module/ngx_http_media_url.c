
/*
 * Copyright (C) ngx_media contributors
 *
 * The content handler of media_url: a signed URL for a caller who may read
 * the object anyway.  It does not look whether there is one.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "media_codec.h"
#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_url_key(ngx_http_request_t *r,
    ngx_http_media_auth_ctx_t *actx, media_str_t *key);
static ngx_int_t ngx_http_media_url_body(ngx_http_request_t *r,
    media_str_t key, ngx_str_t *body);


ngx_int_t
ngx_http_media_url_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_str_t                  value;
    media_str_t                key;
    ngx_http_media_ctx_t      *ctx;
    ngx_http_complex_value_t   cv;

    static ngx_str_t  type = ngx_string("application/json");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx == NULL || ctx->auth == NULL || ctx->auth->tenant.len == 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_media_url_key(r, ctx->auth, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    if (ngx_http_media_url_body(r, key, &cv.value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&value, "no-store");

    if (ngx_media_add_header(r, "Cache-Control", &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


/* the argument "key", which must be there once */

static ngx_int_t
ngx_http_media_url_key(ngx_http_request_t *r,
    ngx_http_media_auth_ctx_t *actx, media_str_t *key)
{
    u_char       *p;
    ssize_t       n;
    ngx_str_t     value;
    media_str_t   tenant;

    if (ngx_http_media_auth_argument(r, "key", &value) != 1) {
        return NGX_HTTP_BAD_REQUEST;
    }

    p = ngx_pnalloc(r->pool, value.len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = media_uri_decode((char *) p, (char *) value.data, value.len);

    media_str_set(key, (char *) p, n < 0 ? 0 : (size_t) n);

    if (media_key_check(*key) != MEDIA_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    tenant = media_key_tenant(*key);

    if (tenant.len != actx->tenant.len
        || ngx_memcmp(tenant.data, actx->tenant.data, tenant.len) != 0)
    {
        ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_AUTH_FOREIGN);
        return NGX_HTTP_NOT_FOUND;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_url_body(ngx_http_request_t *r, media_str_t key,
    ngx_str_t *body)
{
    u_char                     *p, *last;
    time_t                      expires;
    ssize_t                     n;
    uintptr_t                   escape;
    ngx_str_t                  *public;
    media_sign_key_t           *k;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    k = lcf->auth.sign_keys->elts;
    expires = ngx_time() + lcf->auth.sign_ttl;
    public = &lcf->s3.public_url;
    escape = ngx_escape_json(NULL, public->data, public->len);

    body->len = sizeof("{\"url\":\"\",\"expires_at\":}\n") - 1
                + public->len + escape + 3 * key.len + MEDIA_SIGN_QUERY_MAX
                + NGX_TIME_T_LEN;

    body->data = ngx_pnalloc(r->pool, body->len);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    last = body->data + body->len;

    p = ngx_cpymem(body->data, "{\"url\":\"", sizeof("{\"url\":\"") - 1);
    p = (u_char *) ngx_escape_json(p, public->data, public->len);

    n = media_uri_encode((char *) p, last - p, key.data, key.len, 1);
    if (n < 0) {
        return NGX_ERROR;
    }

    p += n;

    n = media_sign_query((char *) p, last - p, &k[0], key, expires);
    if (n < 0) {
        return NGX_ERROR;
    }

    p = ngx_slprintf(p + n, last, "\",\"expires_at\":%T}\n", expires);

    body->len = p - body->data;

    return NGX_OK;
}
