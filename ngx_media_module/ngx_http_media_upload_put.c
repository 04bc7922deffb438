
/*
 * Copyright (C) ngx_media contributors
 *
 * What media_upload does with a file that has come: upload_issued is
 * published, so that the object has a row and is reaped if nothing follows;
 * the file is put to S3; upload_complete is published, and the client is
 * answered as by media_upload_complete.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_UPLOAD_PUT_TRIES  2


static ngx_int_t ngx_http_media_upload_put_id(ngx_http_request_t *r);
static void ngx_http_media_upload_put_publish(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_media_upload_put_issued(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_media_upload_put_send(ngx_http_request_t *r);
static void ngx_http_media_upload_put_stored(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static void ngx_http_media_upload_put_refuse(ngx_http_request_t *r,
    media_upload_error_t error);


static ngx_str_t  ngx_http_media_upload_put_none = ngx_null_string;


void
ngx_http_media_upload_put(ngx_http_request_t *r)
{
    ngx_str_t                     id;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (ngx_http_media_upload_put_id(r) != NGX_OK
        || ngx_http_media_upload_begin(r, 0) != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    id.data = (u_char *) uctx->upload.id;
    id.len = MEDIA_KEY_UUID_LEN;

    if (ngx_http_media_send_fields(r, &id) != NGX_OK) {
        return;
    }

    if (uctx->keyed) {
        ngx_http_media_upload_once(r, ngx_http_media_upload_put_publish);
        return;
    }

    ngx_http_media_upload_put_publish(r, NGX_OK);
}


/* NGX_DECLINED: the key has a file, which must not be overwritten */

static void
ngx_http_media_upload_put_publish(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_str_t  body;

    if (rc != NGX_OK) {
        ngx_http_media_upload_put_refuse(r, MEDIA_UPLOAD_KEY_REUSED);
        return;
    }

    rc = NGX_ERROR;

    if (ngx_http_media_upload_claims(r) == NGX_OK
        && ngx_http_media_upload_job(r, "upload_issued",
                                     &ngx_http_media_upload_put_none, &body)
           == NGX_OK)
    {
        rc = ngx_http_media_job_publish(r, &ngx_http_media_job_upload, &body,
                                        ngx_http_media_upload_put_issued);
    }

    if (rc == NGX_BUSY) {
        ngx_http_media_upload_put_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);

    } else if (rc != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* a client that repeats a request whose answer was lost gets the same id */

static ngx_int_t
ngx_http_media_upload_put_id(ngx_http_request_t *r)
{
    u_char                       *p;
    ngx_str_t                     key, *header;
    media_str_t                   tenant, name;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (ngx_http_media_json_field(r, "idempotency_key",
                                  NGX_HTTP_MEDIA_FIELD_STRING, &key)
        != NGX_OK)
    {
        header = ngx_http_media_get_header(r, "Idempotency-Key");

        if (header) {
            key = *header;
        }
    }

    if (key.len == 0) {
        return NGX_OK;
    }

    if (ngx_http_media_upload_tenant(r, &tenant) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("upload\n\n") + tenant.len + key.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = (char *) p;
    p = ngx_sprintf(p, "upload\n%*s\n%V", tenant.len, tenant.data, &key);
    name.len = (char *) p - name.data;

    media_key_uuid(uctx->upload.id, name);
    uctx->keyed = 1;

    return NGX_OK;
}


static void
ngx_http_media_upload_put_issued(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ngx_http_media_upload_put_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
        return;
    }

    ngx_http_media_upload_put_send(r);
}


static void
ngx_http_media_upload_put_send(ngx_http_request_t *r)
{
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);
    uctx->step++;

    if (ngx_http_media_upload_s3(r, NGX_HTTP_PUT, uctx->upload.upload_key,
                                 &ngx_http_media_upload_put_none,
                                 &ngx_http_media_upload_put_none,
                                 ngx_http_media_upload_put_stored)
        != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* the object is bound by its ETag */

static void
ngx_http_media_upload_put_stored(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (answer->status == NGX_HTTP_OK && answer->etag.len) {
        uctx->etag = answer->etag;
        ngx_http_media_upload_complete_publish(r, NGX_OK);
        return;
    }

    if (answer->status >= NGX_HTTP_INTERNAL_SERVER_ERROR
        && uctx->step < NGX_HTTP_MEDIA_UPLOAD_PUT_TRIES)
    {
        ngx_http_media_upload_put_send(r);
        return;
    }

    if (answer->status < NGX_HTTP_INTERNAL_SERVER_ERROR) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "s3 answered %ui%s to an upload's file",
                      answer->status,
                      answer->etag.len ? "" : ", and no ETag,");
    }

    ngx_http_media_upload_put_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
}


static void
ngx_http_media_upload_put_refuse(ngx_http_request_t *r,
    media_upload_error_t error)
{
    ngx_http_finalize_request(r, ngx_http_media_upload_refuse(r, error, 0));
}
