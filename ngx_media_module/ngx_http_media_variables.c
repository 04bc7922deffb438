
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


typedef ngx_int_t (*ngx_http_media_value_pt)(ngx_http_request_t *r,
    ngx_str_t *value);


static ngx_int_t ngx_http_media_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_media_variable_uri(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_variable_host(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_variable_payload(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_variable_token(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_variable_status(ngx_http_request_t *r,
    ngx_str_t *value);


/* not cacheable: a subrequest has its parent's values, but a key of its own */

#define ngx_http_media_variable_entry(name, value)                            \
    { ngx_string(name), NULL, ngx_http_media_variable, (uintptr_t) value,     \
      NGX_HTTP_VAR_NOCACHEABLE, 0 }


static ngx_http_variable_t  ngx_http_media_variables[] = {

    ngx_http_media_variable_entry("media_cache_status",
                                  ngx_http_media_variable_status),
    ngx_http_media_variable_entry("media_key", ngx_http_media_s3_key),
    ngx_http_media_variable_entry("media_s3_authorization",
                                  ngx_http_media_s3_authorization),
    ngx_http_media_variable_entry("media_s3_content_sha256",
                                  ngx_http_media_variable_payload),
    ngx_http_media_variable_entry("media_s3_date", ngx_http_media_s3_date),
    ngx_http_media_variable_entry("media_s3_host",
                                  ngx_http_media_variable_host),
    ngx_http_media_variable_entry("media_s3_security_token",
                                  ngx_http_media_variable_token),
    ngx_http_media_variable_entry("media_s3_uri",
                                  ngx_http_media_variable_uri),
    ngx_http_media_variable_entry("media_url_key",
                                  ngx_http_media_s3_url_key),

      ngx_http_null_variable
};


ngx_str_t  ngx_http_media_cache_statuses[] = {
    ngx_null_string,
    ngx_string("HIT"),
    ngx_string("MISS"),
    ngx_string("BYPASS"),
    ngx_string("STALE")
};


ngx_int_t
ngx_http_media_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_media_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_int_t                rc;
    ngx_str_t                value;
    ngx_http_media_value_pt  get;

    get = (ngx_http_media_value_pt) data;
    rc = get(r, &value);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = value.data;
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/*
 * A key that was refused must not become a request for the whole bucket: the
 * colon makes of "http://s3$media_s3_uri" an address that proxy_pass refuses.
 */

static ngx_int_t
ngx_http_media_variable_uri(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_int_t  rc;

    rc = ngx_http_media_s3_uri(r, value);

    if (rc != NGX_OK) {
        ngx_str_set(value, ":");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_variable_host(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->s3.cred == NULL) {
        return NGX_DECLINED;
    }

    *value = lcf->s3.host;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_variable_payload(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_str_set(value, MEDIA_SIGV4_UNSIGNED);

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_variable_token(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->s3.session_token.len == 0) {
        return NGX_DECLINED;
    }

    *value = lcf->s3.session_token;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_variable_status(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx == NULL || ctx->cache == NULL) {
        return NGX_DECLINED;
    }

    *value = ngx_http_media_cache_statuses[ctx->cache->status];

    return NGX_OK;
}
