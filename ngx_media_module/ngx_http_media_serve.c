
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_SAME_SITE    2           /* of the table below */

#define NGX_HTTP_MEDIA_PROFILE_AGE  300         /* seconds */
#define NGX_HTTP_MEDIA_FOREVER_AGE  31536000    /* of what never expires */

/* "private, max-age=N, immutable" */
#define NGX_HTTP_MEDIA_CONTROL_MAX  (NGX_TIME_T_LEN + 32)


static ngx_int_t ngx_http_media_serve_access(ngx_http_request_t *r);
static void ngx_http_media_serve_whole(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_serve_security(ngx_http_request_t *r,
    ngx_http_media_serve_loc_conf_t *lcf);
static ngx_int_t ngx_http_media_serve_control(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key);
static time_t ngx_http_media_serve_max_age(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key);
static ngx_int_t ngx_http_media_serve_accept_ranges(ngx_http_request_t *r);


ngx_conf_enum_t  ngx_http_media_cache_controls[] = {
    { ngx_string("off"), NGX_HTTP_MEDIA_CONTROL_OFF },
    { ngx_string("private"), NGX_HTTP_MEDIA_CONTROL_PRIVATE },
    { ngx_string("public"), NGX_HTTP_MEDIA_CONTROL_PUBLIC },
    { ngx_null_string, 0 }
};


/* the values are indices of this table; 0 is off */
ngx_conf_enum_t  ngx_http_media_resource_policies[] = {
    { ngx_string("off"), 0 },
    { ngx_string("same-origin"), 1 },
    { ngx_string("same-site"), NGX_HTTP_MEDIA_SAME_SITE },
    { ngx_string("cross-origin"), 3 },
    { ngx_null_string, 0 }
};


/* what S3 may say to browsers itself */
static const char  *ngx_http_media_serve_kept[] = {
    "ETag", "Last-Modified", "Content-Range", "Content-Encoding",
    "Content-Language", "Content-Disposition", "Location", NULL
};


/* the same with "media_cache_control off" */
static const char  *ngx_http_media_serve_kept_control[] = {
    "ETag", "Last-Modified", "Content-Range", "Content-Encoding",
    "Content-Language", "Content-Disposition", "Location", "Cache-Control",
    "Expires", NULL
};


static const char  *ngx_http_media_serve_disposition[] = {
    "Content-Disposition", NULL
};


static ngx_str_t  ngx_http_media_nosniff = ngx_string("nosniff");
static ngx_str_t  ngx_http_media_sandbox =
    ngx_string("sandbox; default-src 'none'");
static ngx_str_t  ngx_http_media_allow = ngx_string("GET, HEAD");
static ngx_str_t  ngx_http_media_allow_cors =
    ngx_string("GET, HEAD, OPTIONS");
static ngx_str_t  ngx_http_media_bytes = ngx_string("bytes");

static ngx_array_t  ngx_http_media_no_origins;


static ngx_int_t
ngx_http_media_serve_access(ngx_http_request_t *r)
{
    ngx_str_t                  *allow;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->upload.api || lcf->store.path.data) {
        return (r->method == NGX_HTTP_OPTIONS && lcf->serve.origins->nelts)
               ? ngx_http_media_cors_preflight(r) : NGX_DECLINED;
    }

    if ((!lcf->serve.enable && !lcf->auth.url)
        || r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
    {
        return NGX_DECLINED;
    }

    allow = &ngx_http_media_allow;

    if (lcf->serve.origins->nelts) {

        if (r->method == NGX_HTTP_OPTIONS) {
            return ngx_http_media_cors_preflight(r);
        }

        allow = &ngx_http_media_allow_cors;
    }

    if (ngx_media_add_header(r, "Allow", allow) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_NOT_ALLOWED;
}


ngx_int_t
ngx_http_media_serve_request(ngx_http_request_t *r)
{
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->serve.enable && r == r->main) {
        ngx_http_media_condition_normalize(r);
        ngx_http_media_condition_range(r);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_media_serve_headers(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                   key;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    ngx_http_media_header_remove(r,
                    lcf->serve.cache_control == NGX_HTTP_MEDIA_CONTROL_OFF
                    ? ngx_http_media_serve_kept_control
                    : ngx_http_media_serve_kept, 1);

    if (ngx_http_media_cors_headers(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        && r->method == NGX_HTTP_HEAD)
    {
        ngx_http_media_serve_whole(r);
    }

    rc = ngx_http_media_condition_apply(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (r->headers_out.status != NGX_HTTP_OK
        && r->headers_out.status != NGX_HTTP_PARTIAL_CONTENT
        && r->headers_out.status != NGX_HTTP_NOT_MODIFIED)
    {
        return NGX_OK;
    }

    if (ngx_http_media_s3_key(r, &key) != NGX_OK
        || ngx_http_media_serve_security(r, &lcf->serve) != NGX_OK
        || ngx_http_media_serve_control(r, lcf, &key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->headers_out.status == NGX_HTTP_NOT_MODIFIED) {
        ngx_http_media_header_remove(r, ngx_http_media_serve_disposition, 0);
        r->headers_out.content_type.len = 0;
        return NGX_OK;
    }

    if (ngx_http_media_disposition_headers(r, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_media_serve_accept_ranges(r);
}


/* a server that sees the Range of a HEAD answers it; RFC 9110 has it ignored */

static void
ngx_http_media_serve_whole(ngx_http_request_t *r)
{
    off_t             length;
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_out.content_range;

    if (h == NULL) {
        return;
    }

    last = h->value.data + h->value.len;
    p = ngx_strlchr(h->value.data, last, '/');

    if (p == NULL) {
        return;
    }

    length = ngx_atoof(p + 1, last - p - 1);

    if (length == NGX_ERROR) {
        return;
    }

    h->hash = 0;
    r->headers_out.content_range = NULL;

    ngx_http_clear_content_length(r);

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.status_line.len = 0;
    r->headers_out.content_length_n = length;
}


static ngx_int_t
ngx_http_media_serve_security(ngx_http_request_t *r,
    ngx_http_media_serve_loc_conf_t *lcf)
{
    if (ngx_http_media_header_set(r, "X-Content-Type-Options",
                                  &ngx_http_media_nosniff)
        == NULL
        || ngx_http_media_header_set(r, "Content-Security-Policy",
                                     &ngx_http_media_sandbox)
           == NULL)
    {
        return NGX_ERROR;
    }

    if (lcf->resource_policy
        && ngx_http_media_header_set(r, "Cross-Origin-Resource-Policy",
            &ngx_http_media_resource_policies[lcf->resource_policy].name)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_serve_control(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key)
{
    u_char                *p;
    time_t                 age;
    ngx_str_t              value;
    ngx_uint_t             public, immutable;
    ngx_http_media_ctx_t  *ctx;

    if (lcf->serve.cache_control == NGX_HTTP_MEDIA_CONTROL_OFF) {
        return NGX_OK;
    }

    public = (lcf->serve.cache_control == NGX_HTTP_MEDIA_CONTROL_PUBLIC);
    age = ngx_http_media_serve_max_age(r, lcf, key);
    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx && ctx->auth) {

        if (ctx->auth->credential) {
            public = 0;
        }

        if (ctx->auth->expires) {
            age = ngx_min(age, ctx->auth->expires - ngx_time());
            age = ngx_max(age, 0);
        }
    }

    /* the key of an attachment has a hash of what it is */

    immutable = (key->len > 5 && ngx_strncmp(key->data, "chat/", 5) == 0);

    p = ngx_pnalloc(r->pool, NGX_HTTP_MEDIA_CONTROL_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "%s, max-age=%T%s",
                            public ? "public" : "private", age,
                            immutable ? ", immutable" : "")
                - p;

    if (ngx_http_media_header_set(r, "Cache-Control", &value) == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static time_t
ngx_http_media_serve_max_age(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key)
{
    time_t            age;
    media_category_t  category;

    category = ngx_http_media_category(key, &r->headers_out.content_type);
    age = lcf->serve.max_age[category];

    if (age != NGX_CONF_UNSET) {
        return age;
    }

    if (category == MEDIA_CATEGORY_PROFILE_PIC) {
        return NGX_HTTP_MEDIA_PROFILE_AGE;
    }

    age = lcf->cache.ttl[category];

    return age ? age : NGX_HTTP_MEDIA_FOREVER_AGE;
}


media_category_t
ngx_http_media_category(ngx_str_t *key, ngx_str_t *type)
{
    media_str_t       s;
    media_category_t  category;

    media_str_set(&s, (char *) key->data, key->len);
    category = media_category_by_key(s);

    if (category == MEDIA_CATEGORY_OTHER) {
        media_str_set(&s, (char *) type->data, type->len);
        category = media_category_by_mime(s);
    }

    return category;
}


/*
 * The core's range filter adds the header to what it could have cut, but did
 * not; so that one is on each response, it is added to the others, and what
 * is sent whole is kept from that filter.  A slice (a 206 that the client did
 * not ask for) is the core's.
 */

static ngx_int_t
ngx_http_media_serve_accept_ranges(ngx_http_request_t *r)
{
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    if (r->headers_in.range == NULL) {

        if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT) {
            return NGX_OK;
        }

        ngx_http_clear_accept_ranges(r);
    }

    h = ngx_http_media_header_set(r, "Accept-Ranges", &ngx_http_media_bytes);
    if (h == NULL) {
        return NGX_ERROR;
    }

    /* the slice filter removes what it knows: not if one range is cut */

    r->headers_out.accept_ranges = h;

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        && ngx_http_media_condition_ranges(r, &n) != NGX_OK)
    {
        r->headers_out.accept_ranges = NULL;
    }

    return NGX_OK;
}


void
ngx_http_media_serve_create_loc(ngx_http_media_serve_loc_conf_t *lcf)
{
    ngx_uint_t  i;

    lcf->proxy = NGX_CONF_UNSET;
    lcf->cache_control = NGX_CONF_UNSET_UINT;
    lcf->resource_policy = NGX_CONF_UNSET_UINT;
    lcf->origins = NGX_CONF_UNSET_PTR;
    lcf->credentials = NGX_CONF_UNSET;

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        lcf->max_age[i] = NGX_CONF_UNSET;
    }
}


char *
ngx_http_media_serve_merge_loc(ngx_conf_t *cf,
    ngx_http_media_serve_loc_conf_t *prev,
    ngx_http_media_serve_loc_conf_t *conf, ngx_flag_t cache)
{
    ngx_uint_t                  i;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_media_loc_conf_t  *lcf;

    if (conf->proxy == NGX_CONF_UNSET) {
        conf->proxy = prev->proxy;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_media_module);

    if (clcf->handler == ngx_http_media_webhook_handler
        || lcf->store.path.len)
    {
        cache = 0;
    }

    conf->enable = (conf->proxy == NGX_CONF_UNSET) ? cache : conf->proxy;

    ngx_conf_merge_uint_value(conf->cache_control, prev->cache_control,
                              NGX_HTTP_MEDIA_CONTROL_PRIVATE);
    ngx_conf_merge_uint_value(conf->resource_policy, prev->resource_policy,
                              NGX_HTTP_MEDIA_SAME_SITE);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins,
                             &ngx_http_media_no_origins);
    ngx_conf_merge_value(conf->credentials, prev->credentials, 0);

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        if (conf->max_age[i] == NGX_CONF_UNSET) {
            conf->max_age[i] = prev->max_age[i];
        }
    }

    return ngx_http_media_cors_check(cf, conf);
}


ngx_int_t
ngx_http_media_serve_init(ngx_conf_t *cf)
{
    return ngx_http_media_add_handler(cf, NGX_HTTP_ACCESS_PHASE,
                                      ngx_http_media_serve_access);
}
