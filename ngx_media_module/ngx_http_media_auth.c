
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_EXPIRES_MAX  12      /* digits of a time */

/* what is shorter is no secret, and starring it out would garble the line */
#define NGX_HTTP_MEDIA_HIDE_MIN     16


static ngx_int_t ngx_http_media_auth_rewrite_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_auth_hide(ngx_http_request_t *r,
    ngx_str_t *name);
static void ngx_http_media_auth_cleanup(void *data);
static ngx_http_media_auth_ctx_t *ngx_http_media_auth_caller(
    ngx_http_request_t *r, ngx_http_media_loc_conf_t *lcf);
static ngx_uint_t ngx_http_media_auth_same(ngx_http_media_auth_loc_conf_t *a,
    ngx_http_media_auth_loc_conf_t *b);
static ngx_int_t ngx_http_media_auth_signed(ngx_http_request_t *r,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_http_media_auth_ctx_t *actx);
static const char *ngx_http_media_auth_verify(ngx_http_request_t *r,
    ngx_array_t *keys, ngx_str_t *key, ngx_str_t *signature,
    time_t *expires);
static time_t ngx_http_media_auth_expires(ngx_str_t *value);
static ngx_int_t ngx_http_media_auth_token(ngx_http_request_t *r,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_http_media_auth_ctx_t *actx);
static ngx_int_t ngx_http_media_auth_find_token(ngx_http_request_t *r,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_str_t *token);
static void ngx_http_media_auth_strip(ngx_str_t *value);
static void ngx_http_media_auth_decide(ngx_http_request_t *r,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_http_media_auth_ctx_t *actx);
static ngx_int_t ngx_http_media_auth_value(ngx_http_request_t *r,
    ngx_http_complex_value_t *cv, ngx_http_media_auth_ctx_t *actx);
static ngx_int_t ngx_http_media_auth_challenge(ngx_http_request_t *r,
    ngx_uint_t invalid);


/* before the phases whose refusals put the request line into the log */

static ngx_int_t
ngx_http_media_auth_rewrite_handler(ngx_http_request_t *r)
{
    ngx_str_t                  *name;
    ngx_uint_t                  i;
    ngx_http_media_loc_conf_t  *lcf;

    static ngx_str_t  signature = ngx_string("signature");

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (!lcf->auth.enable || r->args.len == 0 || r != r->main) {
        return NGX_DECLINED;
    }

    if (lcf->auth.sign_keys
        && ngx_http_media_auth_hide(r, &signature) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (lcf->auth.arguments == NULL) {
        return NGX_DECLINED;
    }

    name = lcf->auth.arguments->elts;

    for (i = 0; i < lcf->auth.arguments->nelts; i++) {
        if (ngx_http_media_auth_hide(r, &name[i]) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return NGX_DECLINED;
}


/* $arg_name has no case, and there may be several */

static ngx_int_t
ngx_http_media_auth_hide(ngx_http_request_t *r, ngx_str_t *name)
{
    u_char     *p, *last, *end;
    ngx_str_t   value;

    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) < name->len + 1 + NGX_HTTP_MEDIA_HIDE_MIN
            || p[name->len] != '='
            || ngx_strncasecmp(p, name->data, name->len) != 0)
        {
            continue;
        }

        value.data = p + name->len + 1;
        value.len = end - value.data;

        if (ngx_http_media_hide(r, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_media_auth_check(ngx_http_request_t *r)
{
    ngx_http_media_auth_ctx_t  *actx;
    ngx_http_media_loc_conf_t  *lcf;

    /* a subrequest is the configuration's, as in the access phase */

    if (r != r->main) {
        return NGX_OK;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (!lcf->auth.enable) {
        (void) ngx_http_media_auth_get_ctx(r);
        return NGX_OK;
    }

    actx = ngx_http_media_auth_caller(r, lcf);
    if (actx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!actx->checked) {
        ngx_http_media_auth_decide(r, &lcf->auth, actx);
    }

    if (actx->status == NGX_HTTP_UNAUTHORIZED
        || actx->status == NGX_DECLINED)
    {
        return ngx_http_media_auth_challenge(r,
                                   actx->status == NGX_HTTP_UNAUTHORIZED);
    }

    if (actx->status != NGX_OK) {
        return actx->status;
    }

    if (!ngx_http_media_auth_keyed(lcf)) {
        return NGX_OK;
    }

    return ngx_http_media_auth_key(r, actx);
}


ngx_int_t
ngx_http_media_auth_tenant(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_media_auth_ctx_t  *actx;
    ngx_http_media_loc_conf_t  *lcf;

    r = r->main;
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    actx = ngx_http_media_auth_get_ctx(r);

    /* what was decided stays, also in the location of an error page */

    if (lcf->auth.enable && (actx == NULL || !actx->checked)) {
        actx = ngx_http_media_auth_caller(r, lcf);
        if (actx == NULL) {
            return NGX_ERROR;
        }
    }

    if (actx == NULL || actx->status != NGX_OK) {
        return NGX_DECLINED;
    }

    *value = actx->tenant;

    return NGX_OK;
}


/* internal redirects take the contexts, not the pool's cleanups */

ngx_http_media_auth_ctx_t *
ngx_http_media_auth_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t    *cln;
    ngx_http_media_ctx_t  *ctx;

    r = r->main;
    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx && ctx->auth) {
        return ctx->auth;
    }

    if (!r->internal && !r->filter_finalize) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_media_auth_cleanup) {
            break;
        }
    }

    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_http_media_get_ctx(r);

    if (ctx) {
        ctx->auth = cln->data;
    }

    return cln->data;
}


static void
ngx_http_media_auth_cleanup(void *data)
{
    (void) data;
}


/* what the request itself presents is looked at once; NULL: no memory */

static ngx_http_media_auth_ctx_t *
ngx_http_media_auth_caller(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf)
{
    ngx_int_t                        rc;
    ngx_pool_cleanup_t              *cln;
    ngx_http_media_ctx_t            *ctx;
    ngx_http_media_auth_ctx_t       *actx;
    ngx_http_media_auth_loc_conf_t  *aucf;

    aucf = &lcf->auth;
    actx = ngx_http_media_auth_get_ctx(r);

    if (actx
        && actx->keyed == (ngx_http_media_auth_keyed(lcf) ? 1 : 0)
        && ngx_http_media_auth_same(actx->conf, aucf))
    {
        return actx;
    }

    if (actx == NULL) {
        ctx = ngx_http_media_get_ctx(r);
        cln = ngx_pool_cleanup_add(r->pool,
                                   sizeof(ngx_http_media_auth_ctx_t));

        if (ctx == NULL || cln == NULL) {
            return NULL;
        }

        actx = cln->data;
        ngx_memzero(actx, sizeof(ngx_http_media_auth_ctx_t));

        cln->handler = ngx_http_media_auth_cleanup;
        ctx->auth = actx;
    }

    actx->conf = aucf;
    actx->keyed = ngx_http_media_auth_keyed(lcf) ? 1 : 0;
    actx->checked = 0;
    actx->credential = 0;
    actx->expires = 0;
    ngx_str_null(&actx->tenant);
    ngx_str_null(&actx->signed_key);

    /* a signed URL is for one object, and proves nothing where is none */

    rc = NGX_DECLINED;

    if (actx->keyed && aucf->sign_keys) {
        rc = ngx_http_media_auth_signed(r, aucf, actx);
    }

    if (rc == NGX_DECLINED && aucf->keys) {
        rc = ngx_http_media_auth_token(r, aucf, actx);
    }

    actx->status = rc;

    return actx;
}


static ngx_uint_t
ngx_http_media_auth_same(ngx_http_media_auth_loc_conf_t *a,
    ngx_http_media_auth_loc_conf_t *b)
{
    return a == b
           || (a->keys == b->keys
               && a->tokens == b->tokens
               && a->tenant == b->tenant
               && a->sign_keys == b->sign_keys
               && a->leeway == b->leeway
               && ngx_http_media_auth_equal(&a->issuer, &b->issuer)
               && ngx_http_media_auth_equal(&a->audience, &b->audience)
               && ngx_http_media_auth_equal(&a->claim, &b->claim));
}


static ngx_int_t
ngx_http_media_auth_signed(ngx_http_request_t *r,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_http_media_auth_ctx_t *actx)
{
    time_t       expires;
    ngx_str_t    key, signature;
    ngx_uint_t   n;
    const char  *reason;
    media_str_t  name, tenant;

    n = ngx_http_media_auth_argument(r, "signature", &signature);

    if (n == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_media_s3_original(r, &key) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    expires = 0;
    reason = "repeated arguments";

    if (n == 1) {
        reason = ngx_http_media_auth_verify(r, aucf->sign_keys, &key,
                                            &signature, &expires);
    }

    media_str_set(&name, (char *) key.data, key.len);
    tenant = media_key_tenant(name);

    if (reason == NULL && media_jwt_tenant_check(tenant) != MEDIA_OK) {
        reason = "key of no tenant";
    }

    if (reason) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent invalid signed url: %s", reason);
        return NGX_HTTP_FORBIDDEN;
    }

    actx->tenant.data = (u_char *) tenant.data;
    actx->tenant.len = tenant.len;
    actx->signed_key = key;
    actx->expires = expires;

    return NGX_OK;
}


/* NULL, or why the signature is not right */

static const char *
ngx_http_media_auth_verify(ngx_http_request_t *r, ngx_array_t *keys,
    ngx_str_t *key, ngx_str_t *signature, time_t *expires)
{
    ngx_str_t          value, id;
    ngx_uint_t         i;
    media_str_t        name, sig;
    media_sign_key_t  *k;

    if (ngx_http_media_auth_argument(r, "expires", &value) != 1
        || ngx_http_media_auth_argument(r, "key_id", &id) != 1)
    {
        return "missing or repeated arguments";
    }

    *expires = ngx_http_media_auth_expires(&value);

    if (*expires == NGX_ERROR) {
        return "malformed time";
    }

    k = keys->elts;

    for (i = 0; i < keys->nelts; i++) {
        if (k[i].id.len == id.len
            && ngx_memcmp(k[i].id.data, id.data, id.len) == 0)
        {
            break;
        }
    }

    if (i == keys->nelts) {
        return "unknown key id";
    }

    media_str_set(&name, (char *) key->data, key->len);
    media_str_set(&sig, (char *) signature->data, signature->len);

    if (media_sign_verify(&k[i], name, *expires, sig) != MEDIA_OK) {
        return "wrong signature";
    }

    return *expires > ngx_time() ? NULL : "expired";
}


ngx_uint_t
ngx_http_media_auth_argument(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    u_char      *p, *last, *end;
    size_t       len;
    ngx_uint_t   n;

    n = 0;
    len = ngx_strlen(name);
    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) <= len
            || p[len] != '='
            || ngx_strncmp(p, name, len) != 0)
        {
            continue;
        }

        value->data = p + len + 1;
        value->len = end - value->data;
        n++;
    }

    return n;
}


/* a number as we write it: the signature covers the number, not its text */

static time_t
ngx_http_media_auth_expires(ngx_str_t *value)
{
    if (value->len == 0
        || value->len > NGX_HTTP_MEDIA_EXPIRES_MAX
        || value->data[0] == '0')
    {
        return NGX_ERROR;
    }

    return ngx_atotm(value->data, value->len);
}


static ngx_int_t
ngx_http_media_auth_token(ngx_http_request_t *r,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_http_media_auth_ctx_t *actx)
{
    int                rc;
    u_char            *tenant;
    ngx_str_t          token;
    media_str_t        text;
    media_jwt_rules_t  rules;

    if (ngx_http_media_auth_find_token(r, aucf, &token) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (token.len == 0) {
        return NGX_DECLINED;
    }

    tenant = ngx_pnalloc(r->pool, MEDIA_JWT_TENANT_MAX + 1);
    if (tenant == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    media_str_set(&text, (char *) token.data, token.len);
    media_str_set(&rules.issuer, (char *) aucf->issuer.data,
                  aucf->issuer.len);
    media_str_set(&rules.audience, (char *) aucf->audience.data,
                  aucf->audience.len);
    media_str_set(&rules.claim, (char *) aucf->claim.data, aucf->claim.len);
    rules.leeway = aucf->leeway;

    rc = media_jwt_verify(aucf->keys, &rules, text, ngx_time(),
                          (char *) tenant);

    if (rc != MEDIA_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent invalid token: %s", media_jwt_reason(rc));

        return rc == MEDIA_ERROR ? NGX_HTTP_INTERNAL_SERVER_ERROR
                                 : NGX_HTTP_UNAUTHORIZED;
    }

    actx->tenant.data = tenant;
    actx->tenant.len = ngx_strlen(tenant);
    actx->credential = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_auth_find_token(ngx_http_request_t *r,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_str_t *token)
{
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *cv;

    ngx_str_null(token);

    if (aucf->tokens == NULL) {
        if (r->headers_in.authorization) {
            *token = r->headers_in.authorization->value;
            ngx_http_media_auth_strip(token);
        }

        return NGX_OK;
    }

    cv = aucf->tokens->elts;

    for (i = 0; i < aucf->tokens->nelts && token->len == 0; i++) {
        if (ngx_http_complex_value(r, &cv[i], token) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_media_auth_strip(token);
    }

    return NGX_OK;
}


/* leaves a token; nothing of credentials of another scheme, as "Basic" */

static void
ngx_http_media_auth_strip(ngx_str_t *value)
{
    u_char  *p, *last;

    last = value->data + value->len;
    p = ngx_strlchr(value->data, last, ' ');

    if (p == NULL) {
        return;
    }

    if (p - value->data != 6
        || ngx_strncasecmp(value->data, (u_char *) "Bearer", 6) != 0)
    {
        value->len = 0;
        return;
    }

    while (p < last && *p == ' ') {
        p++;
    }

    value->data = p;
    value->len = last - p;
}


static void
ngx_http_media_auth_decide(ngx_http_request_t *r,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_http_media_auth_ctx_t *actx)
{
    if (actx->status == NGX_DECLINED && aucf->tenant) {
        actx->status = ngx_http_media_auth_value(r, aucf->tenant, actx);
    }

    actx->checked = 1;

    switch (actx->status) {

    case NGX_DECLINED:
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent no credentials for media");
        ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_AUTH_MISSING);
        break;

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_AUTH_INVALID);
        break;
    }
}


static ngx_int_t
ngx_http_media_auth_value(ngx_http_request_t *r, ngx_http_complex_value_t *cv,
    ngx_http_media_auth_ctx_t *actx)
{
    ngx_str_t    value;
    media_str_t  tenant;

    if (ngx_http_complex_value(r, cv, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (value.len == 0) {
        return NGX_DECLINED;
    }

    media_str_set(&tenant, (char *) value.data, value.len);

    if (media_jwt_tenant_check(tenant) != MEDIA_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "\"media_tenant\" has a value that is no tenant id");
        return NGX_HTTP_FORBIDDEN;
    }

    actx->tenant = value;
    actx->credential = 1;

    return NGX_OK;
}


/* RFC 6750, section 3 */

static ngx_int_t
ngx_http_media_auth_challenge(ngx_http_request_t *r, ngx_uint_t invalid)
{
    ngx_str_t         value;
    ngx_table_elt_t  *h;

    if (r->headers_out.www_authenticate) {
        return NGX_HTTP_UNAUTHORIZED;
    }

    ngx_str_set(&value, "Bearer");

    if (invalid) {
        ngx_str_set(&value, "Bearer error=\"invalid_token\"");
    }

    h = ngx_media_add_header(r, "WWW-Authenticate", &value);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.www_authenticate = h;

    return NGX_HTTP_UNAUTHORIZED;
}


ngx_int_t
ngx_http_media_auth_init(ngx_conf_t *cf)
{
    return ngx_http_media_add_handler(cf, NGX_HTTP_REWRITE_PHASE,
                                      ngx_http_media_auth_rewrite_handler);
}
