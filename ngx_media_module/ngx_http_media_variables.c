
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
static ngx_int_t ngx_http_media_variable_tier(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_variable_lookup_time(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_variable_category(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_variable_cache_key(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_uint_t ngx_http_media_variable_numbered(ngx_str_t *value);


/* not cacheable: a subrequest has its parent's values, but a key of its own */

#define ngx_http_media_variable_entry(name, value)                            \
    { ngx_string(name), NULL, ngx_http_media_variable, (uintptr_t) value,     \
      NGX_HTTP_VAR_NOCACHEABLE, 0 }


static ngx_http_variable_t  ngx_http_media_variables[] = {

    ngx_http_media_variable_entry("media_cache_key",
                                  ngx_http_media_variable_cache_key),
    ngx_http_media_variable_entry("media_cache_status",
                                  ngx_http_media_variable_status),
    ngx_http_media_variable_entry("media_cache_tier",
                                  ngx_http_media_variable_tier),
    ngx_http_media_variable_entry("media_category",
                                  ngx_http_media_variable_category),
    ngx_http_media_variable_entry("media_key", ngx_http_media_s3_original),
    ngx_http_media_variable_entry("media_lookup_time",
                                  ngx_http_media_variable_lookup_time),
    ngx_http_media_variable_entry("media_part_etag",
                                  ngx_http_media_multirange_etag),
    ngx_http_media_variable_entry("media_part_range",
                                  ngx_http_media_multirange_range),
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
    ngx_http_media_variable_entry("media_tenant",
                                  ngx_http_media_auth_tenant),
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


ngx_str_t  ngx_http_media_cache_tiers[] = {
    ngx_null_string,
    ngx_string("redis"),
    ngx_string("disk"),
    ngx_string("s3")
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


static ngx_int_t
ngx_http_media_variable_tier(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx == NULL
        || ctx->cache == NULL
        || ctx->cache->tier == NGX_HTTP_MEDIA_TIER_NONE)
    {
        return NGX_DECLINED;
    }

    *value = ngx_http_media_cache_tiers[ctx->cache->tier];

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_variable_lookup_time(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_msec_t             ms;
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx == NULL || ctx->cache == NULL) {
        return NGX_DECLINED;
    }

    value->data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ms = ctx->cache->waited;

    value->len = ngx_sprintf(value->data, "%T.%03M", (time_t) ms / 1000,
                             ms % 1000)
                 - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_variable_category(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_str_t    key;
    media_str_t  name;

    if (ngx_http_media_s3_key(r, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    if (key.len == 0) {
        return NGX_DECLINED;
    }

    media_str_set(&name, (char *) key.data, key.len);

    value->data = (u_char *) media_category_name(media_category_by_key(name));
    value->len = ngx_strlen(value->data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_variable_cache_key(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_str_t  key;

    if (ngx_http_media_s3_key(r, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_media_cache_key(r, &key, value);
}


ngx_int_t
ngx_http_media_cache_key(ngx_http_request_t *r, ngx_str_t *object_key,
    ngx_str_t *key)
{
    u_char                     *p;
    uint64_t                    generation;
    ngx_str_t                   value, end;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    value = *object_key;

    /* media_cache_key may know the key that was asked for */

    if (lcf->cache.key && !ngx_http_media_auth_replaced(r)) {

        if (ngx_http_complex_value(r, lcf->cache.key, &value) != NGX_OK
            || ngx_http_media_s3_rendition(r, &end) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (value.len && end.len) {
            p = ngx_pnalloc(r->pool, value.len + end.len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            value.len = ngx_sprintf(p, "%V%V", &value, &end) - p;
            value.data = p;
        }
    }

    if (value.len == 0) {
        return NGX_DECLINED;
    }

    generation = ngx_http_media_purge_generation(object_key);

    if (generation == 0 && !ngx_http_media_variable_numbered(&value)) {
        *key = value;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, value.len + 1 + NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->data = p;
    key->len = ngx_sprintf(p, "%V %uL", &value, generation) - p;

    return NGX_OK;
}


/*
 * A value that looks as if it had a generation always gets one, so that no
 * two objects share a key.
 */

static ngx_uint_t
ngx_http_media_variable_numbered(ngx_str_t *value)
{
    u_char  *p;

    p = value->data + value->len;

    while (p > value->data && p[-1] >= '0' && p[-1] <= '9') {
        p--;
    }

    return p > value->data
           && p < value->data + value->len
           && p[-1] == ' ';
}
