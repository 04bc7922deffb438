
/*
 * Copyright (C) ngx_media contributors
 *
 * Whose an object is.  A key that is not the caller's is replaced by one that
 * has no object, wherever the key of the request is asked for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <openssl/sha.h>

#include "media_codec.h"
#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_auth_absent(ngx_http_request_t *r,
    ngx_http_media_auth_ctx_t *actx, ngx_str_t *key);


ngx_int_t
ngx_http_media_auth_key(ngx_http_request_t *r, ngx_http_media_auth_ctx_t *actx)
{
    ngx_str_t                   key;
    media_str_t                 name, tenant;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (ngx_http_media_s3_original(r, &key) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (actx->signed_key.len) {
        return ngx_http_media_auth_equal(&key, &actx->signed_key)
               ? NGX_OK : NGX_HTTP_FORBIDDEN;
    }

    media_str_set(&name, (char *) key.data, key.len);
    tenant = media_key_tenant(name);

    if (tenant.len == actx->tenant.len
        && ngx_memcmp(tenant.data, actx->tenant.data, tenant.len) == 0)
    {
        return NGX_OK;
    }

    /* the lookup says of malformed keys what is wrong */

    if (lcf->s3.endpoint.len && media_key_check(name) != MEDIA_OK) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "client asked for a key that is not of tenant \"%V\"",
                  &actx->tenant);
    ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_AUTH_FOREIGN);

    /* without S3 the backend is asked for the URI, not for the key */

    if (lcf->s3.endpoint.len == 0) {
        return NGX_HTTP_NOT_FOUND;
    }

    return ngx_http_media_auth_absent(r, actx, &key);
}


/* no object has such a key: conversations' files begin with 8 digits and _ */

static ngx_int_t
ngx_http_media_auth_absent(ngx_http_request_t *r,
    ngx_http_media_auth_ctx_t *actx, ngx_str_t *key)
{
    u_char  *p, digest[SHA256_DIGEST_LENGTH];

    actx->requested = *key;

    actx->key.len = sizeof("chat//absent/") - 1 + actx->tenant.len
                    + 2 * SHA256_DIGEST_LENGTH;

    actx->key.data = ngx_pnalloc(r->pool, actx->key.len);
    if (actx->key.data == NULL) {
        actx->key.len = 0;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) SHA256(key->data, key->len, digest);

    p = ngx_sprintf(actx->key.data, "chat/%V/absent/", &actx->tenant);
    media_hex_encode((char *) p, digest, SHA256_DIGEST_LENGTH);

    return NGX_OK;
}


void
ngx_http_media_auth_replace(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_http_media_auth_ctx_t  *actx;

    actx = ngx_http_media_auth_get_ctx(r);

    if (actx && actx->key.len
        && ngx_http_media_auth_equal(key, &actx->requested))
    {
        *key = actx->key;
    }
}


ngx_uint_t
ngx_http_media_auth_replaced(ngx_http_request_t *r)
{
    ngx_str_t                   key;
    ngx_http_media_auth_ctx_t  *actx;

    actx = ngx_http_media_auth_get_ctx(r);

    return actx && actx->key.len
           && ngx_http_media_s3_original(r, &key) == NGX_OK
           && ngx_http_media_auth_equal(&key, &actx->key);
}


ngx_int_t
ngx_http_media_auth_response(ngx_http_request_t *r)
{
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (r->headers_out.status >= NGX_HTTP_BAD_REQUEST
        || !ngx_http_media_auth_keyed(lcf)
        || !ngx_http_media_auth_replaced(r))
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "an object of another tenant was refused as late as its "
                  "response: use $media_s3_uri in \"proxy_pass\" and "
                  "$media_cache_key in \"proxy_cache_key\"");

    return ngx_http_filter_finalize_request(r, &ngx_http_media_module,
                                            NGX_HTTP_NOT_FOUND);
}
