
/*
 * Copyright (C) ngx_media contributors
 *
 * A form in the body of media_upload: its fields become those of the request,
 * its file goes on without the framing.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"
#include "ngx_http_media_json.h"
#include "ngx_http_media_upload_body.h"


#define NGX_HTTP_MEDIA_UPLOAD_FORM_PARTS  16
#define NGX_HTTP_MEDIA_UPLOAD_FORM_FIELD  8192      /* bytes of one */
/* what a form may be longer than its file */
#define NGX_HTTP_MEDIA_UPLOAD_FORM_EXTRA                                      \
    (NGX_HTTP_MEDIA_UPLOAD_FORM_PARTS                                         \
     * (NGX_HTTP_MEDIA_UPLOAD_FORM_FIELD + MEDIA_FORM_HEADER_MAX + 80))


static int ngx_http_media_upload_form_begin(void *data,
    const media_form_part_t *part);
static int ngx_http_media_upload_form_failed(
    ngx_http_media_upload_body_t *body, media_upload_error_t error);
static int ngx_http_media_upload_form_file(ngx_http_media_upload_body_t *body,
    const media_form_part_t *part);
static media_upload_error_t ngx_http_media_upload_form_probe(
    ngx_http_media_upload_body_t *body);
static int ngx_http_media_upload_form_piece(void *data, const char *p,
    size_t len);
static ngx_int_t ngx_http_media_upload_form_buf(
    ngx_http_media_upload_body_t *body, const char *p, size_t len,
    ngx_uint_t last);


static const media_form_limits_t  ngx_http_media_upload_form_limits = {
    NGX_HTTP_MEDIA_UPLOAD_FORM_PARTS, NGX_HTTP_MEDIA_UPLOAD_FORM_FIELD
};

static const media_form_handler_t  ngx_http_media_upload_form_handler = {
    ngx_http_media_upload_form_begin,
    ngx_http_media_upload_form_piece,
    NULL
};


/* the largest of all limits, with room for the form, is all one can say */

media_upload_error_t
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


ngx_int_t
ngx_http_media_upload_form_read(ngx_http_media_upload_body_t *body,
    ngx_chain_t *in)
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

        return NGX_DECLINED;
    }

    return last ? ngx_http_media_upload_form_buf(body, NULL, 0, 1) : NGX_OK;
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

    b->tag = (ngx_buf_tag_t) &ngx_http_media_upload_form_read;
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
