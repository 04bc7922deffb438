
/*
 * Copyright (C) ngx_media contributors
 *
 * The content handler of media_upload: a file in the body, as it is or in a
 * form.  The core spools the body to a temporary file; a filter before that
 * leaves nothing but the file of a form, and refuses what is too large while
 * it comes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"
#include "ngx_http_media_json.h"
#include "ngx_http_media_upload_body.h"


static media_upload_error_t ngx_http_media_upload_body_start(
    ngx_http_request_t *r, int64_t *limit);
static media_upload_error_t ngx_http_media_upload_raw_start(
    ngx_http_request_t *r, int64_t *limit);
static media_upload_error_t ngx_http_media_upload_raw_args(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_media_upload_raw_decode(ngx_http_request_t *r,
    ngx_str_t *dst, u_char *p, u_char *last);
static ngx_int_t ngx_http_media_upload_body_reject(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit);
static ngx_int_t ngx_http_media_upload_body_set(ngx_http_request_t *r,
    const char *name, ngx_uint_t type, ngx_str_t *value);
static ngx_int_t ngx_http_media_upload_body_set_size(ngx_http_request_t *r,
    off_t size);
static ngx_int_t ngx_http_media_upload_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_media_upload_raw_filter(ngx_http_request_t *r,
    ngx_http_media_upload_body_t *body, ngx_chain_t *in);
static ngx_int_t ngx_http_media_upload_form_filter(ngx_http_request_t *r,
    ngx_http_media_upload_body_t *body, ngx_chain_t *in);
static ngx_int_t ngx_http_media_upload_body_stop(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit);
static void ngx_http_media_upload_body_handler(ngx_http_request_t *r);
static media_upload_error_t ngx_http_media_upload_body_check(
    ngx_http_request_t *r, int64_t *limit);


static ngx_http_request_body_filter_pt  ngx_http_next_request_body_filter;


ngx_int_t
ngx_http_media_upload_handler(ngx_http_request_t *r)
{
    int64_t                        limit;
    ngx_int_t                      rc;
    media_upload_error_t           error;
    ngx_http_media_upload_ctx_t   *uctx;
    ngx_http_media_upload_body_t  *body;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_media_json_method(r, "POST");
    }

    uctx = ngx_http_media_upload_ctx(r);
    body = ngx_pcalloc(r->pool, sizeof(ngx_http_media_upload_body_t));

    if (uctx == NULL || body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    uctx->body = body;
    uctx->fields = ngx_array_create(r->pool, 8,
                                    sizeof(ngx_http_media_field_t));
    if (uctx->fields == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->request = r;
    limit = 0;

    error = ngx_http_media_upload_body_start(r, &limit);

    if (error != MEDIA_UPLOAD_OK) {
        return ngx_http_media_upload_body_reject(r, error, limit);
    }

    r->request_body_file_log_level = 0;

    rc = ngx_http_read_client_request_body(r,
                                          ngx_http_media_upload_body_handler);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static media_upload_error_t
ngx_http_media_upload_body_start(ngx_http_request_t *r, int64_t *limit)
{
    media_str_t  type;

    if (r->headers_in.content_type) {
        media_str_set(&type,
                      (char *) r->headers_in.content_type->value.data,
                      r->headers_in.content_type->value.len);

        if (media_form_type(type)) {
            return ngx_http_media_upload_form_start(r, limit);
        }
    }

    return ngx_http_media_upload_raw_start(r, limit);
}


/* all but the size is known, and that as well unless the body is chunked */

static media_upload_error_t
ngx_http_media_upload_raw_start(ngx_http_request_t *r, int64_t *limit)
{
    off_t                          size;
    ngx_str_t                      type;
    media_upload_error_t           error;
    ngx_http_media_loc_conf_t     *lcf;
    ngx_http_media_upload_ctx_t   *uctx;

    error = ngx_http_media_upload_raw_args(r);

    if (error != MEDIA_UPLOAD_OK) {
        return error;
    }

    ngx_str_null(&type);

    if (r->headers_in.content_type) {
        type = r->headers_in.content_type->value;
        type.data = ngx_pstrdup(r->pool, &type);
    }

    size = r->headers_in.content_length_n;

    if (size == -1 && (r->headers_in.chunked
                       || r->http_version >= NGX_HTTP_VERSION_20))
    {
        size = 1;
    }

    if ((type.len && type.data == NULL)
        || ngx_http_media_upload_body_set(r, "file_type",
                                          NGX_HTTP_MEDIA_FIELD_STRING, &type)
           != NGX_OK
        || ngx_http_media_upload_body_set_size(r, ngx_max(size, 0)) != NGX_OK)
    {
        return MEDIA_UPLOAD_UNAVAILABLE;
    }

    error = ngx_http_media_upload_fields(r, limit);

    if (error == MEDIA_UPLOAD_OK) {
        lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
        uctx = ngx_http_media_upload_ctx(r);

        uctx->body->limit = lcf->upload.policy->rules[
                         media_kind_category(uctx->upload.kind)].max_size;
    }

    return error;
}


static media_upload_error_t
ngx_http_media_upload_raw_args(ngx_http_request_t *r)
{
    size_t        len;
    u_char       *p, *last, *end, *eq;
    ngx_str_t     value;
    const char  **name;

    static const char  *names[] = {
        "file_name", "conversation_id", "caption", "kind", "idempotency_key",
        "reply_to", NULL
    };

    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        end = end ? end : last;

        eq = ngx_strlchr(p, end, '=');
        if (eq == NULL) {
            continue;
        }

        len = eq - p;

        for (name = names; *name; name++) {
            if (ngx_strlen(*name) == len && ngx_memcmp(*name, p, len) == 0) {
                break;
            }
        }

        if (*name == NULL) {
            continue;
        }

        if (ngx_http_media_upload_body_field(r, *name, len)
            || ngx_http_media_upload_raw_decode(r, &value, eq + 1, end)
               != NGX_OK)
        {
            return MEDIA_UPLOAD_BAD_FORM;
        }

        if (ngx_http_media_upload_body_set(r, *name,
                                           NGX_HTTP_MEDIA_FIELD_STRING,
                                           &value)
            != NGX_OK)
        {
            return MEDIA_UPLOAD_UNAVAILABLE;
        }

        /* what people write to each other is not for logs */

        if (ngx_strcmp(*name, "caption") == 0) {
            value.data = p;
            value.len = end - p;

            if (ngx_http_media_hide(r, &value) != NGX_OK) {
                return MEDIA_UPLOAD_UNAVAILABLE;
            }
        }
    }

    return MEDIA_UPLOAD_OK;
}


static ngx_int_t
ngx_http_media_upload_raw_decode(ngx_http_request_t *r, ngx_str_t *dst,
    u_char *p, u_char *last)
{
    u_char   *d;
    ssize_t   n;

    dst->data = ngx_pnalloc(r->pool, last - p + 1);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    for (d = dst->data; p < last; p++) {
        *d++ = (*p == '+') ? ' ' : *p;
    }

    n = media_uri_decode((char *) dst->data, (char *) dst->data,
                         d - dst->data);

    dst->len = (n < 0) ? 0 : (size_t) n;

    return (n < 0) ? NGX_ERROR : NGX_OK;
}


/* a client that waits for 100 (RFC 9110, 10.1.1) keeps its body */

static ngx_int_t
ngx_http_media_upload_body_reject(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit)
{
    ngx_int_t  rc;

    ngx_http_media_upload_ctx(r)->body = NULL;

    if (r->headers_in.expect) {
        r->expect_tested = 1;
        r->keepalive = 0;

    } else {
        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_http_media_upload_refuse(r, error, limit);
}


ngx_http_media_field_t *
ngx_http_media_upload_body_field(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_uint_t               i;
    ngx_array_t             *fields;
    ngx_http_media_field_t  *field;

    fields = ngx_http_media_upload_ctx(r)->fields;
    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {
        if (field[i].name.len == len
            && ngx_memcmp(field[i].name.data, name, len) == 0)
        {
            return &field[i];
        }
    }

    return NULL;
}


/* name is a literal */

static ngx_int_t
ngx_http_media_upload_body_set(ngx_http_request_t *r, const char *name,
    ngx_uint_t type, ngx_str_t *value)
{
    ngx_http_media_field_t  *field;

    field = ngx_http_media_upload_body_field(r, name, ngx_strlen(name));

    if (field == NULL) {
        field = ngx_array_push(ngx_http_media_upload_ctx(r)->fields);
        if (field == NULL) {
            return NGX_ERROR;
        }
    }

    field->name.data = (u_char *) name;
    field->name.len = ngx_strlen(name);
    field->type = type;
    field->value = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_upload_body_set_size(ngx_http_request_t *r, off_t size)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_OFF_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%O", size) - value.data;

    return ngx_http_media_upload_body_set(r, "file_size",
                                          NGX_HTTP_MEDIA_FIELD_NUMBER,
                                          &value);
}


ngx_int_t
ngx_http_media_upload_init(ngx_conf_t *cf)
{
    (void) cf;

    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_media_upload_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_upload_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_media_ctx_t          *ctx;
    ngx_http_media_upload_body_t  *body;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (r != r->main || ctx == NULL || ctx->upload == NULL
        || ctx->upload->body == NULL)
    {
        return ngx_http_next_request_body_filter(r, in);
    }

    body = ctx->upload->body;

    return body->form ? ngx_http_media_upload_form_filter(r, body, in)
                      : ngx_http_media_upload_raw_filter(r, body, in);
}


static ngx_int_t
ngx_http_media_upload_raw_filter(ngx_http_request_t *r,
    ngx_http_media_upload_body_t *body, ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    for (cl = in; cl; cl = cl->next) {
        body->size += ngx_buf_size(cl->buf);
    }

    if (body->size > body->limit) {
        return ngx_http_media_upload_body_stop(r, MEDIA_UPLOAD_TOO_LARGE,
                                               body->limit);
    }

    return ngx_http_next_request_body_filter(r, in);
}


static ngx_int_t
ngx_http_media_upload_form_filter(ngx_http_request_t *r,
    ngx_http_media_upload_body_t *body, ngx_chain_t *in)
{
    ngx_int_t  rc;

    rc = ngx_http_media_upload_form_read(body, in);

    if (rc == NGX_DECLINED) {
        return ngx_http_media_upload_body_stop(r, body->error, body->limit);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_next_request_body_filter(r, body->out);

    ngx_chain_update_chains(r->pool, &body->free, &body->busy, &body->out,
                            (ngx_buf_tag_t) &ngx_http_media_upload_form_read);

    return rc;
}


/* the core ends the request with the status, an error's filter says why */

static ngx_int_t
ngx_http_media_upload_body_stop(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit)
{
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);
    uctx->body = NULL;

    return ngx_http_media_upload_refusal(r, error, limit, &uctx->refusal);
}


static void
ngx_http_media_upload_body_handler(ngx_http_request_t *r)
{
    int64_t               limit;
    media_upload_error_t  error;

    limit = 0;

    error = ngx_http_media_upload_body_check(r, &limit);

    if (error != MEDIA_UPLOAD_OK) {
        ngx_http_finalize_request(r,
                                  ngx_http_media_upload_refuse(r, error,
                                                               limit));
        return;
    }

    ngx_http_media_upload_put(r);
}


static media_upload_error_t
ngx_http_media_upload_body_check(ngx_http_request_t *r, int64_t *limit)
{
    ngx_http_media_upload_ctx_t   *uctx;
    ngx_http_media_upload_body_t  *body;

    uctx = ngx_http_media_upload_ctx(r);
    body = uctx->body;
    uctx->body = NULL;

    if (body->form) {

        if (!body->file) {
            return MEDIA_UPLOAD_NO_FILE;
        }

        if ((ngx_http_media_upload_body_field(r, "file_name", 9) == NULL
             && ngx_http_media_upload_body_set(r, "file_name",
                                               NGX_HTTP_MEDIA_FIELD_STRING,
                                               &body->name)
                != NGX_OK)
            || ngx_http_media_upload_body_set(r, "file_type",
                                              NGX_HTTP_MEDIA_FIELD_STRING,
                                              &body->type)
               != NGX_OK)
        {
            return MEDIA_UPLOAD_UNAVAILABLE;
        }
    }

    if (ngx_http_media_upload_body_set_size(r, body->size) != NGX_OK) {
        return MEDIA_UPLOAD_UNAVAILABLE;
    }

    return ngx_http_media_upload_fields(r, limit);
}
