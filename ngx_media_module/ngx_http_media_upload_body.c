
/*
 * Copyright (C) ngx_media contributors
 *
 * The content handler of media_upload: a file in the body, as it is or in a
 * form.  The core spools the body to a temporary file; a filter before that
 * takes the form's framing off, so that only the file is spooled, and refuses
 * what is too large while it comes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"
#include "ngx_http_media_json.h"

#include "media_form.h"


#define NGX_HTTP_MEDIA_UPLOAD_FORM_PARTS  16
#define NGX_HTTP_MEDIA_UPLOAD_FORM_FIELD  8192      /* bytes of one */
/* what a form may be longer than its file */
#define NGX_HTTP_MEDIA_UPLOAD_FORM_EXTRA                                      \
    (NGX_HTTP_MEDIA_UPLOAD_FORM_PARTS                                         \
     * (NGX_HTTP_MEDIA_UPLOAD_FORM_FIELD + MEDIA_FORM_HEADER_MAX + 80))


struct ngx_http_media_upload_body_s {
    ngx_http_request_t      *request;
    media_form_t            *form;      /* NULL: the body is the file */
    ngx_chain_t             *free;      /* pieces of the file */
    ngx_chain_t             *busy;
    ngx_chain_t             *out;
    ngx_chain_t            **last_out;
    off_t                    size;      /* bytes of the file so far */
    off_t                    limit;
    ngx_str_t                name;      /* of the file's part */
    ngx_str_t                type;
    media_upload_error_t     error;
    unsigned                 file:1;    /* its part began */
    unsigned                 in_field:1;
};


static media_upload_error_t ngx_http_media_upload_body_start(
    ngx_http_request_t *r, int64_t *limit);
static media_upload_error_t ngx_http_media_upload_raw_start(
    ngx_http_request_t *r, int64_t *limit);
static media_upload_error_t ngx_http_media_upload_raw_args(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_media_upload_raw_decode(ngx_http_request_t *r,
    ngx_str_t *dst, u_char *p, u_char *last);
static media_upload_error_t ngx_http_media_upload_form_start(
    ngx_http_request_t *r, int64_t *limit);
static ngx_int_t ngx_http_media_upload_body_reject(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit);
static ngx_http_media_field_t *ngx_http_media_upload_body_field(
    ngx_http_request_t *r, const char *name, size_t len);
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
static int ngx_http_media_upload_form_begin(void *data,
    const media_form_part_t *part);
static int ngx_http_media_upload_form_piece(void *data, const char *p,
    size_t len);
static int ngx_http_media_upload_form_failed(
    ngx_http_media_upload_body_t *body, media_upload_error_t error);
static int ngx_http_media_upload_form_file(ngx_http_media_upload_body_t *body,
    const media_form_part_t *part);
static media_upload_error_t ngx_http_media_upload_form_probe(
    ngx_http_media_upload_body_t *body);
static ngx_int_t ngx_http_media_upload_form_buf(
    ngx_http_media_upload_body_t *body, const char *p, size_t len,
    ngx_uint_t last);
static void ngx_http_media_upload_body_handler(ngx_http_request_t *r);
static media_upload_error_t ngx_http_media_upload_body_check(
    ngx_http_request_t *r, int64_t *limit);


static const media_form_limits_t  ngx_http_media_upload_form_limits = {
    NGX_HTTP_MEDIA_UPLOAD_FORM_PARTS, NGX_HTTP_MEDIA_UPLOAD_FORM_FIELD
};

static const media_form_handler_t  ngx_http_media_upload_form_handler = {
    ngx_http_media_upload_form_begin,
    ngx_http_media_upload_form_piece,
    NULL
};

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


/* the largest of all limits, with room for the form, is all one can say */

static media_upload_error_t
ngx_http_media_upload_form_start(ngx_http_request_t *r, int64_t *limit)
{
    int64_t                        max;
    ngx_str_t                     *type;
    ngx_uint_t                     i;
    media_str_t                    value;
    ngx_http_media_loc_conf_t     *lcf;
    ngx_http_media_upload_body_t  *body;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    body = ngx_http_media_upload_ctx(r)->body;
    max = 0;

    for (i = MEDIA_KIND_IMAGE; i <= MEDIA_KIND_STICKER; i++) {
        max = ngx_max(max, lcf->upload.policy->rules[
                           media_kind_category((media_kind_t) i)].max_size);
    }

    if (r->headers_in.content_length_n
        > max + NGX_HTTP_MEDIA_UPLOAD_FORM_EXTRA)
    {
        *limit = max;
        return MEDIA_UPLOAD_TOO_LARGE;
    }

    body->form = ngx_palloc(r->pool, sizeof(media_form_t));
    if (body->form == NULL) {
        return MEDIA_UPLOAD_UNAVAILABLE;
    }

    type = &r->headers_in.content_type->value;
    media_str_set(&value, (char *) type->data, type->len);

    return media_form_init(body->form, value,
                           &ngx_http_media_upload_form_limits,
                           &ngx_http_media_upload_form_handler, body)
           == MEDIA_OK
           ? MEDIA_UPLOAD_OK : MEDIA_UPLOAD_BAD_FORM;
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


static ngx_http_media_field_t *
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


/*
 * Buffers that come are consumed at once; those that go on point into their
 * memory, which the core uses again only when all that went on was written.
 */

static ngx_int_t
ngx_http_media_upload_form_filter(ngx_http_request_t *r,
    ngx_http_media_upload_body_t *body, ngx_chain_t *in)
{
    int           rc;
    ngx_buf_t    *b;
    ngx_uint_t    last;
    ngx_chain_t  *cl;

    last = 0;
    body->out = NULL;
    body->last_out = &body->out;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        rc = media_form_feed(body->form, (char *) b->pos, b->last - b->pos);

        if (rc == MEDIA_OK && b->last_buf) {
            last = 1;
            rc = media_form_finish(body->form);
        }

        b->pos = b->last;

        if (rc == MEDIA_OK) {
            continue;
        }

        if (rc != MEDIA_DENIED) {
            body->error = MEDIA_UPLOAD_BAD_FORM;
        }

        return ngx_http_media_upload_body_stop(r, body->error, body->limit);
    }

    if (last
        && ngx_http_media_upload_form_buf(body, NULL, 0, 1) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_next_request_body_filter(r, body->out);

    ngx_chain_update_chains(r->pool, &body->free, &body->busy, &body->out,
                           (ngx_buf_tag_t) &ngx_http_media_upload_body_filter);

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


static int
ngx_http_media_upload_form_begin(void *data, const media_form_part_t *part)
{
    u_char                        *p;
    ngx_http_media_field_t        *field;
    ngx_http_media_upload_ctx_t   *uctx;
    ngx_http_media_upload_body_t  *body;

    body = data;
    uctx = ngx_http_media_upload_ctx(body->request);

    body->in_field = 0;

    if (part->file) {
        return ngx_http_media_upload_form_file(body, part);
    }

    if (ngx_http_media_upload_body_field(body->request, part->name.data,
                                         part->name.len)
        || (part->name.len == 4 && ngx_memcmp(part->name.data, "file", 4)
                                   == 0))
    {
        return ngx_http_media_upload_form_failed(body, MEDIA_UPLOAD_BAD_FORM);
    }

    p = ngx_pnalloc(body->request->pool, part->name.len
                                         + NGX_HTTP_MEDIA_UPLOAD_FORM_FIELD);
    field = ngx_array_push(uctx->fields);

    if (p == NULL || field == NULL) {
        return ngx_http_media_upload_form_failed(body,
                                                 MEDIA_UPLOAD_UNAVAILABLE);
    }

    field->type = NGX_HTTP_MEDIA_FIELD_STRING;
    field->name.data = p;
    field->name.len = part->name.len;
    field->value.data = ngx_cpymem(p, part->name.data, part->name.len);
    field->value.len = 0;

    body->in_field = 1;

    return MEDIA_OK;
}


static int
ngx_http_media_upload_form_failed(ngx_http_media_upload_body_t *body,
    media_upload_error_t error)
{
    body->error = error;

    return MEDIA_DENIED;
}


/* the part's own type and size, whatever fields of these names say */

static int
ngx_http_media_upload_form_file(ngx_http_media_upload_body_t *body,
    const media_form_part_t *part)
{
    ngx_str_t              type;
    ngx_http_request_t    *r;
    media_upload_error_t   error;

    r = body->request;

    if (body->file || part->name.len != 4
        || ngx_memcmp(part->name.data, "file", 4) != 0)
    {
        return ngx_http_media_upload_form_failed(body, MEDIA_UPLOAD_BAD_FORM);
    }

    body->file = 1;

    body->name.len = part->file_name.len;
    body->name.data = ngx_pnalloc(r->pool, part->file_name.len + 1);

    type.len = part->type.len;
    type.data = ngx_pnalloc(r->pool, part->type.len + 1);

    if (body->name.data == NULL || type.data == NULL) {
        return ngx_http_media_upload_form_failed(body,
                                                 MEDIA_UPLOAD_UNAVAILABLE);
    }

    ngx_memcpy(body->name.data, part->file_name.data, body->name.len);
    ngx_strlow(type.data, (u_char *) part->type.data, type.len);

    body->type = type;
    error = ngx_http_media_upload_form_probe(body);

    return error == MEDIA_UPLOAD_OK
           ? MEDIA_OK : ngx_http_media_upload_form_failed(body, error);
}


/*
 * The kind may come after the file: any that the type allows, and the largest
 * of their limits
 */

static media_upload_error_t
ngx_http_media_upload_form_probe(ngx_http_media_upload_body_t *body)
{
    int64_t                      limit;
    ngx_uint_t                   i;
    media_upload_t               u;
    media_upload_error_t         error, rc;
    ngx_http_media_loc_conf_t   *lcf;

    lcf = ngx_http_get_module_loc_conf(body->request, ngx_http_media_module);

    ngx_memzero(&u, sizeof(media_upload_t));

    media_str_set(&u.file_name, "x", 1);
    media_str_set(&u.file_type, (char *) body->type.data, body->type.len);
    media_str_set(&u.conversation, "1", 1);
    media_str_set(&u.caption, "", 0);
    u.file_size = 1;

    error = MEDIA_UPLOAD_TYPE_NOT_ALLOWED;

    for (i = MEDIA_KIND_IMAGE; i <= MEDIA_KIND_STICKER; i++) {
        u.kind = (media_kind_t) i;
        rc = media_upload_check(lcf->upload.policy, &u, &limit);

        if (rc == MEDIA_UPLOAD_OK) {
            body->limit = ngx_max(body->limit, lcf->upload.policy->rules[
                                  media_kind_category(u.kind)].max_size);

        } else if (rc != MEDIA_UPLOAD_BAD_KIND) {
            error = rc;
        }
    }

    return body->limit ? MEDIA_UPLOAD_OK : error;
}


static int
ngx_http_media_upload_form_piece(void *data, const char *p, size_t len)
{
    ngx_array_t                   *fields;
    ngx_http_media_field_t        *field;
    ngx_http_media_upload_body_t  *body;

    body = data;

    if (body->in_field) {
        fields = ngx_http_media_upload_ctx(body->request)->fields;
        field = (ngx_http_media_field_t *) fields->elts + fields->nelts - 1;

        ngx_memcpy(field->value.data + field->value.len, p, len);
        field->value.len += len;

        return MEDIA_OK;
    }

    body->size += len;

    if (body->size > body->limit) {
        return ngx_http_media_upload_form_failed(body,
                                                 MEDIA_UPLOAD_TOO_LARGE);
    }

    return ngx_http_media_upload_form_buf(body, p, len, 0) == NGX_OK
           ? MEDIA_OK
           : ngx_http_media_upload_form_failed(body,
                                               MEDIA_UPLOAD_UNAVAILABLE);
}


static ngx_int_t
ngx_http_media_upload_form_buf(ngx_http_media_upload_body_t *body,
    const char *p, size_t len, ngx_uint_t last)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(body->request->pool, &body->free);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->tag = (ngx_buf_tag_t) &ngx_http_media_upload_body_filter;
    b->start = (u_char *) p;
    b->pos = b->start;
    b->last = b->start + len;
    b->end = b->last;
    b->memory = (len != 0);
    b->last_buf = last;

    *body->last_out = cl;
    body->last_out = &cl->next;

    return NGX_OK;
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
