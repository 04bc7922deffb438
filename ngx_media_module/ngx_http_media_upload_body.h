/*
 * Copyright (C) ngx_media contributors
 *
 * The body of media_upload while it is read: ngx_http_media_upload_body.c reads
 * it, ngx_http_media_upload_form.c finds the file in a form.
 */

#ifndef NGX_HTTP_MEDIA_UPLOAD_BODY_H
#define NGX_HTTP_MEDIA_UPLOAD_BODY_H

#include "ngx_http_media.h"

#include "media_form.h"


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


/* a field of the request by its name, NULL if it has none */
ngx_http_media_field_t *ngx_http_media_upload_body_field(
    ngx_http_request_t *r, const char *name, size_t len);

/*
 * Sets body->form.  Anything but MEDIA_UPLOAD_OK: the body is not to be read;
 * for MEDIA_UPLOAD_TOO_LARGE limit is the largest file that there may be.
 */
media_upload_error_t ngx_http_media_upload_form_start(ngx_http_request_t *r,
    int64_t *limit);

/*
 * Consumes the buffers of in.  The file's bytes among them are body->out, whose
 * tag is this function's address: buffers that point into the memory of in,
 * which the core uses again only when all that went on was written; the last
 * one has last_buf when the body has ended.  Fields are added to the request's.
 *
 * NGX_OK, NGX_DECLINED (body->error says why), or NGX_ERROR (no memory).
 */
ngx_int_t ngx_http_media_upload_form_read(ngx_http_media_upload_body_t *body,
    ngx_chain_t *in);

#endif
