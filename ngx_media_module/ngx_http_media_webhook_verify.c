
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"

#include "media_codec.h"


#define NGX_HTTP_MEDIA_WEBHOOK_CHALLENGE_MAX  64    /* digits */


static ngx_int_t ngx_http_media_webhook_credential(ngx_http_request_t *r,
    ngx_http_media_webhook_loc_conf_t *wlcf, ngx_str_t *value);
static ngx_int_t ngx_http_media_webhook_argument(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
static ngx_uint_t ngx_http_media_webhook_match(ngx_array_t *secrets,
    ngx_str_t *value);
static ngx_uint_t ngx_http_media_webhook_cut_event(ngx_str_t *value);
static ngx_int_t ngx_http_media_webhook_start_mac(ngx_http_request_t *r,
    ngx_http_media_webhook_ctx_t *ctx, ngx_array_t *secrets);
static void ngx_http_media_webhook_free_mac(void *data);


ngx_int_t
ngx_http_media_webhook_check_token(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    ngx_str_t                           value;
    ngx_uint_t                          match;
    ngx_http_media_loc_conf_t          *mlcf;
    ngx_http_media_webhook_loc_conf_t  *wlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    wlcf = &mlcf->webhook;

    rc = ngx_http_media_webhook_credential(r, wlcf, &value);
    if (rc != NGX_OK) {
        return rc;
    }

    if (value.len == 0) {
        return NGX_HTTP_UNAUTHORIZED;
    }

    if (ngx_http_media_hide(r, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    match = ngx_http_media_webhook_match(wlcf->tokens, &value);

    if (!match && ngx_http_media_webhook_cut_event(&value)) {
        match = ngx_http_media_webhook_match(wlcf->tokens, &value);
    }

    return match ? NGX_OK : NGX_HTTP_FORBIDDEN;
}


static ngx_int_t
ngx_http_media_webhook_credential(ngx_http_request_t *r,
    ngx_http_media_webhook_loc_conf_t *wlcf, ngx_str_t *value)
{
    ngx_str_t  *h;

    if (wlcf->credential) {
        return ngx_http_complex_value(r, wlcf->credential, value);
    }

    h = ngx_http_media_get_header(r, "authorization");

    if (h) {
        *value = *h;

        if (value->len > 7
            && ngx_strncasecmp(value->data, (u_char *) "Bearer ", 7) == 0)
        {
            value->data += 7;
            value->len -= 7;
        }

        return NGX_OK;
    }

    h = ngx_http_media_get_header(r, "x-webhook-token");

    if (h == NULL) {
        h = ngx_http_media_get_header(r, "apikey");
    }

    if (h) {
        *value = *h;
        return NGX_OK;
    }

    return ngx_http_media_webhook_argument(r, "token", value);
}


/* an argument, percent-decoded; empty if there is none */

static ngx_int_t
ngx_http_media_webhook_argument(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    u_char   *p;
    ssize_t   n;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), value) != NGX_OK) {
        ngx_str_null(value);
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, value->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    n = media_uri_decode((char *) p, (char *) value->data, value->len);

    value->data = p;
    value->len = n < 0 ? 0 : n;

    return NGX_OK;
}


/* compares with all of them, so that the time does not tell which one */

static ngx_uint_t
ngx_http_media_webhook_match(ngx_array_t *secrets, ngx_str_t *value)
{
    ngx_str_t   *secret;
    ngx_uint_t   i, match;

    match = 0;
    secret = secrets->elts;

    for (i = 0; i < secrets->nelts; i++) {
        match |= (ngx_uint_t) media_equal(secret[i].data, secret[i].len,
                                          value->data, value->len);
    }

    return match;
}


/* Evolution appends "/messages-upsert" also to a URL that ends in a token */

static ngx_uint_t
ngx_http_media_webhook_cut_event(ngx_str_t *value)
{
    u_char  *p, *last;

    last = value->data + value->len;

    for (p = last; p > value->data; p--) {
        if (p[-1] == '/') {
            value->len = p - 1 - value->data;
            return p < last && value->len != 0;
        }

        if ((p[-1] < 'a' || p[-1] > 'z') && p[-1] != '-') {
            break;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_media_webhook_read_signature(ngx_http_request_t *r)
{
    ngx_str_t                  *value;
    ngx_http_media_ctx_t       *ctx;
    ngx_http_media_loc_conf_t  *mlcf;

    value = ngx_http_media_get_header(r, "x-hub-signature-256");

    if (value == NULL) {
        return NGX_HTTP_UNAUTHORIZED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (value->len != 7 + 2 * sizeof(ctx->webhook->signature)
        || ngx_strncmp(value->data, "sha256=", 7) != 0
        || media_hex_decode(ctx->webhook->signature,
                            (char *) value->data + 7, value->len - 7)
           != MEDIA_OK)
    {
        return NGX_HTTP_FORBIDDEN;
    }

    return ngx_http_media_webhook_start_mac(r, ctx->webhook,
                                            mlcf->webhook.secrets);
}


static ngx_int_t
ngx_http_media_webhook_start_mac(ngx_http_request_t *r,
    ngx_http_media_webhook_ctx_t *ctx, ngx_array_t *secrets)
{
    EVP_PKEY            *key;
    ngx_str_t           *secret;
    ngx_uint_t           i, ok;
    ngx_pool_cleanup_t  *cln;

    ctx->mac = ngx_pcalloc(r->pool, secrets->nelts * sizeof(EVP_MD_CTX *));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (ctx->mac == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_media_webhook_free_mac;
    cln->data = ctx;

    ctx->nmac = secrets->nelts;
    secret = secrets->elts;

    for (i = 0; i < ctx->nmac; i++) {
        ctx->mac[i] = EVP_MD_CTX_new();
        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL,
                                           secret[i].data, secret[i].len);

        ok = ctx->mac[i] && key
             && EVP_DigestSignInit(ctx->mac[i], NULL, EVP_sha256(), NULL,
                                   key) == 1;

        EVP_PKEY_free(key);

        if (!ok) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_media_webhook_free_mac(void *data)
{
    ngx_uint_t                     i;
    ngx_http_media_webhook_ctx_t  *ctx;

    ctx = data;

    for (i = 0; i < ctx->nmac; i++) {
        EVP_MD_CTX_free(ctx->mac[i]);
    }
}


ngx_int_t
ngx_http_media_webhook_check_signature(ngx_http_request_t *r)
{
    size_t                         len;
    u_char                         mac[EVP_MAX_MD_SIZE];
    ngx_uint_t                     i, match;
    ngx_http_media_ctx_t          *mctx;
    ngx_http_media_webhook_ctx_t  *ctx;

    mctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    ctx = mctx->webhook;
    match = 0;

    for (i = 0; i < ctx->nmac; i++) {
        len = sizeof(mac);

        if (EVP_DigestSignFinal(ctx->mac[i], mac, &len) != 1) {
            return NGX_HTTP_FORBIDDEN;
        }

        match |= (ngx_uint_t) media_equal(mac, len, ctx->signature,
                                          sizeof(ctx->signature));
    }

    return match ? NGX_OK : NGX_HTTP_FORBIDDEN;
}


ngx_int_t
ngx_http_media_webhook_handshake(ngx_http_request_t *r)
{
    ngx_str_t                   mode, token, challenge;
    ngx_uint_t                  i;
    ngx_http_complex_value_t    cv;
    ngx_http_media_loc_conf_t  *mlcf;

    static ngx_str_t  type = ngx_string("text/plain");

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (ngx_http_discard_request_body(r) != NGX_OK
        || ngx_http_media_webhook_argument(r, "hub.mode", &mode) != NGX_OK
        || ngx_http_media_webhook_argument(r, "hub.verify_token", &token)
           != NGX_OK
        || ngx_http_media_webhook_argument(r, "hub.challenge", &challenge)
           != NGX_OK
        || ngx_http_media_hide(r, &token) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (mode.len != 9
        || ngx_strncmp(mode.data, "subscribe", 9) != 0
        || mlcf->webhook.verify_tokens == NULL
        || !ngx_http_media_webhook_match(mlcf->webhook.verify_tokens, &token))
    {
        return ngx_http_media_webhook_respond(r, NGX_HTTP_FORBIDDEN,
                                              "forbidden",
                                              "wrong verify token");
    }

    for (i = 0; i < challenge.len; i++) {
        if (challenge.data[i] < '0' || challenge.data[i] > '9') {
            break;
        }
    }

    if (i == 0 || i < challenge.len
        || i > NGX_HTTP_MEDIA_WEBHOOK_CHALLENGE_MAX)
    {
        return ngx_http_media_webhook_respond(r, NGX_HTTP_FORBIDDEN,
                                              "forbidden",
                                              "the challenge is not digits");
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = challenge;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}
