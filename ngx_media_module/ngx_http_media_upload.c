
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_UPLOAD_TEXT_MAX  512     /* of an error's message */


static media_upload_error_t ngx_http_media_upload_text(
    ngx_http_request_t *r, const char *name, media_upload_error_t error,
    media_str_t *text);
static void ngx_http_media_upload_member(ngx_http_media_json_t *json,
    const char *name, const char *data, size_t len);


ngx_http_media_upload_ctx_t *
ngx_http_media_upload_ctx(ngx_http_request_t *r)
{
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_media_get_ctx(r);

    if (ctx && ctx->upload == NULL) {
        ctx->upload = ngx_pcalloc(r->pool,
                                  sizeof(ngx_http_media_upload_ctx_t));
    }

    return ctx ? ctx->upload : NULL;
}


ngx_int_t
ngx_http_media_upload_tenant(ngx_http_request_t *r, media_str_t *tenant)
{
    ngx_http_media_auth_ctx_t  *actx;

    actx = ngx_http_media_auth_get_ctx(r);

    if (actx == NULL || actx->tenant.len == 0) {
        return NGX_ERROR;
    }

    media_str_set(tenant, (char *) actx->tenant.data, actx->tenant.len);

    return NGX_OK;
}


ngx_int_t
ngx_http_media_upload_refuse(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit)
{
    ngx_int_t  status;
    ngx_str_t  body;

    status = ngx_http_media_upload_refusal(r, error, limit, &body);

    return body.len ? ngx_http_media_json_send(r, status, &body) : status;
}


ngx_int_t
ngx_http_media_upload_refusal(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit, ngx_str_t *body)
{
    char          text[NGX_HTTP_MEDIA_UPLOAD_TEXT_MAX];
    unsigned      status;
    ngx_str_t    *header;
    const char   *code;
    media_str_t   value;

    header = ngx_http_media_get_header(r, "Accept-Language");

    media_str_set(&value, header ? (char *) header->data : "",
                  header ? header->len : 0);

    status = media_upload_error(error, media_upload_lang(value), limit,
                                &code, text, sizeof(text));

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0, "upload refused: %s",
                  code);

    if (ngx_http_media_json_error_body(r, code, text, body) != NGX_OK) {
        ngx_str_null(body);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return status;
}


media_upload_error_t
ngx_http_media_upload_fields(ngx_http_request_t *r, int64_t *limit)
{
    ngx_int_t                     rc;
    ngx_str_t                     value;
    media_str_t                   kind;
    media_upload_t               *u;
    media_upload_error_t          error;
    ngx_http_media_loc_conf_t    *lcf;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);
    u = &uctx->upload;
    *limit = 0;

    ngx_memzero(u, sizeof(media_upload_t));
    media_str_set(&u->multipart_id, "", 0);

    error = ngx_http_media_upload_text(r, "file_name",
                                       MEDIA_UPLOAD_BAD_FILE_NAME,
                                       &u->file_name);

    if (error == MEDIA_UPLOAD_OK) {
        error = ngx_http_media_upload_text(r, "file_type",
                                           MEDIA_UPLOAD_BAD_FILE_TYPE,
                                           &u->file_type);
    }

    if (error == MEDIA_UPLOAD_OK) {
        error = ngx_http_media_upload_text(r, "caption",
                                           MEDIA_UPLOAD_BAD_CAPTION,
                                           &u->caption);
    }

    if (error != MEDIA_UPLOAD_OK) {
        return error;
    }

    ngx_strlow((u_char *) u->file_type.data, (u_char *) u->file_type.data,
               u->file_type.len);

    if (ngx_http_media_json_field(r, "file_size", NGX_HTTP_MEDIA_FIELD_NUMBER,
                                  &value)
        != NGX_OK)
    {
        value.len = 0;
    }

    /* -1 for what is no number: it is refused in its turn */

    u->file_size = ngx_atoof(value.data, value.len);

    if (ngx_http_media_json_field(r, "conversation_id",
                                  NGX_HTTP_MEDIA_FIELD_STRING
                                  |NGX_HTTP_MEDIA_FIELD_NUMBER, &value)
        == NGX_ERROR)
    {
        value.len = 0;
    }

    media_str_set(&u->conversation, (char *) value.data, value.len);

    rc = ngx_http_media_json_field(r, "kind", NGX_HTTP_MEDIA_FIELD_STRING,
                                   &value);

    if (rc != NGX_DECLINED) {
        media_str_set(&kind, (char *) value.data, value.len);
        u->kind = media_kind_by_name(kind);

        if (rc != NGX_OK || u->kind == MEDIA_KIND_NONE) {
            return MEDIA_UPLOAD_BAD_KIND;
        }
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    return media_upload_check(lcf->upload.policy, u, limit);
}


/* a string, which is empty if it is absent */

static media_upload_error_t
ngx_http_media_upload_text(ngx_http_request_t *r, const char *name,
    media_upload_error_t error, media_str_t *text)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_http_media_json_field(r, name, NGX_HTTP_MEDIA_FIELD_STRING,
                                   &value);

    media_str_set(text, (char *) value.data, value.len);

    return (rc == NGX_ERROR) ? error : MEDIA_UPLOAD_OK;
}


ngx_int_t
ngx_http_media_upload_begin(ngx_http_request_t *r, int64_t part_size)
{
    media_upload_t             *u;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    u = &ngx_http_media_upload_ctx(r)->upload;

    if (ngx_http_media_upload_tenant(r, &u->tenant) != NGX_OK) {
        return NGX_ERROR;
    }

    u->part_size = part_size;

    return media_upload_make(u, ngx_time(), lcf->upload.url_ttl) == MEDIA_OK
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_media_upload_sign(ngx_http_request_t *r)
{
    u_char                       *p;
    ssize_t                       n;
    media_str_t                   claims;
    media_sign_key_t             *k;
    ngx_http_media_loc_conf_t    *lcf;
    ngx_http_media_upload_ctx_t  *uctx;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    uctx = ngx_http_media_upload_ctx(r);
    k = lcf->auth.sign_keys->elts;

    if (ngx_http_media_upload_claims(r) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, MEDIA_UPLOAD_TOKEN_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    media_str_set(&claims, (char *) uctx->claims.data, uctx->claims.len);

    n = media_upload_token((char *) p, MEDIA_UPLOAD_TOKEN_MAX, k, claims);
    if (n < 0) {
        return NGX_ERROR;
    }

    uctx->token.data = p;
    uctx->token.len = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_upload_claims(ngx_http_request_t *r)
{
    u_char                       *p;
    ssize_t                       n;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    p = ngx_pnalloc(r->pool, MEDIA_UPLOAD_CLAIMS_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    n = media_upload_claims((char *) p, MEDIA_UPLOAD_CLAIMS_MAX,
                            &uctx->upload);
    if (n < 0) {
        return NGX_ERROR;
    }

    uctx->claims.data = p;
    uctx->claims.len = n;

    return NGX_OK;
}


/* the claims are an object: the type goes before its members */

ngx_int_t
ngx_http_media_upload_job(ngx_http_request_t *r, const char *type,
    ngx_str_t *more, ngx_str_t *body)
{
    u_char                       *p;
    ngx_str_t                     claims;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    claims.data = uctx->claims.data + 1;
    claims.len = uctx->claims.len - 2;

    p = ngx_pnalloc(r->pool, sizeof("{\"type\":\"\",,}") + ngx_strlen(type)
                             + claims.len + more->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = ngx_sprintf(p, "{\"type\":\"%s\",%V%s%V}", type, &claims,
                            more->len ? "," : "", more)
                - p;

    return NGX_OK;
}


media_upload_error_t
ngx_http_media_upload_verify(ngx_http_request_t *r, ngx_str_t *token)
{
    u_char                       *p;
    media_str_t                   text, tenant;
    media_upload_error_t          error;
    ngx_http_media_loc_conf_t    *lcf;
    ngx_http_media_upload_ctx_t  *uctx;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    uctx = ngx_http_media_upload_ctx(r);

    if (token->len > MEDIA_UPLOAD_TOKEN_MAX) {
        return MEDIA_UPLOAD_TOKEN_INVALID;
    }

    p = ngx_pnalloc(r->pool, token->len + 1);

    if (p == NULL || ngx_http_media_upload_tenant(r, &tenant) != NGX_OK) {
        return MEDIA_UPLOAD_UNAVAILABLE;
    }

    media_str_set(&text, (char *) token->data, token->len);

    error = media_upload_verify(&uctx->upload, (char *) p, token->len,
                                lcf->auth.sign_keys->elts,
                                lcf->auth.sign_keys->nelts, text, tenant,
                                ngx_time());
    if (error != MEDIA_UPLOAD_OK) {
        return error;
    }

    uctx->token = *token;

    return ngx_http_media_upload_claims(r) == NGX_OK
           ? MEDIA_UPLOAD_OK : MEDIA_UPLOAD_UNAVAILABLE;
}


void
ngx_http_media_upload_attachment(ngx_http_request_t *r,
    ngx_http_media_json_t *json)
{
    ngx_str_t                   value;
    media_upload_t             *u;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    u = &ngx_http_media_upload_ctx(r)->upload;

    ngx_http_media_json_text(json, "{");
    ngx_http_media_upload_member(json, "id", u->id, MEDIA_KEY_UUID_LEN);
    ngx_str_set(&value, "processing");
    ngx_http_media_json_string(json, "status", &value);
    ngx_http_media_upload_member(json, "conversation_id",
                                 u->conversation.data, u->conversation.len);
    ngx_http_media_upload_member(json, "kind", media_kind_name(u->kind),
                                 ngx_strlen(media_kind_name(u->kind)));
    ngx_http_media_upload_member(json, "file_name", u->file_name.data,
                                 u->file_name.len);
    ngx_http_media_upload_member(json, "file_type", u->file_type.data,
                                 u->file_type.len);
    ngx_http_media_json_number(json, "file_size", u->file_size);
    ngx_http_media_upload_member(json, "caption", u->caption.data,
                                 u->caption.len);
    ngx_http_media_upload_file_url(json, u, &lcf->s3.public_url);
    ngx_http_media_json_text(json, "}\n");
}


static void
ngx_http_media_upload_member(ngx_http_media_json_t *json, const char *name,
    const char *data, size_t len)
{
    ngx_str_t  value;

    value.data = (u_char *) data;
    value.len = len;

    ngx_http_media_json_string(json, name, &value);
}


void
ngx_http_media_upload_file_url(ngx_http_media_json_t *json,
    media_upload_t *u, ngx_str_t *base)
{
    ngx_http_media_json_text(json, ",\"file_url\":\"");
    ngx_http_media_json_bytes(json, base->data, base->len);
    ngx_http_media_json_text(json, u->file_key);
    ngx_http_media_json_text(json, "\"");
}
