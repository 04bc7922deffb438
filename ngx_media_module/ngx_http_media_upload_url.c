
/*
 * Copyright (C) ngx_media contributors
 *
 * The content handler of media_upload_url.  The worker is told before a URL
 * is given out: what is uploaded without a row would never be reaped.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static void ngx_http_media_upload_url_fields(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_upload_url_flag(ngx_http_request_t *r,
    const char *name);
static ngx_int_t ngx_http_media_upload_url_multipart(ngx_http_request_t *r);
static void ngx_http_media_upload_url_created(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static ngx_int_t ngx_http_media_upload_url_id(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static ngx_int_t ngx_http_media_upload_url_publish(ngx_http_request_t *r);
static void ngx_http_media_upload_url_published(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_media_upload_url_answer(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_upload_url_put(ngx_http_request_t *r,
    ngx_http_media_json_t *json);
static void ngx_http_media_upload_url_parts(ngx_http_request_t *r,
    ngx_http_media_json_t *json);


ngx_int_t
ngx_http_media_upload_url_handler(ngx_http_request_t *r)
{
    if (r->method != NGX_HTTP_POST) {
        return ngx_http_media_json_method(r, "POST");
    }

    return ngx_http_media_json_read(r, ngx_http_media_upload_url_fields);
}


static void
ngx_http_media_upload_url_fields(ngx_http_request_t *r)
{
    int64_t                       limit, part_size;
    ngx_int_t                     rc, multipart;
    media_upload_t               *u;
    media_upload_error_t          error;
    ngx_http_media_loc_conf_t    *lcf;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);
    u = &uctx->upload;

    error = ngx_http_media_upload_fields(r, &limit);

    if (error != MEDIA_UPLOAD_OK) {
        ngx_http_finalize_request(r,
                                  ngx_http_media_upload_refuse(r, error,
                                                               limit));
        return;
    }

    rc = ngx_http_media_upload_url_flag(r, "form");
    multipart = ngx_http_media_upload_url_flag(r, "multipart");

    if (rc == NGX_ERROR || multipart == NGX_ERROR || (rc && multipart)) {
        ngx_http_finalize_request(r,
            ngx_http_media_json_error(r, NGX_HTTP_BAD_REQUEST,
                                      "invalid_field",
                                      "\"form\" and \"multipart\" are true or "
                                      "false, and not both true"));
        return;
    }

    uctx->form = rc;
    part_size = 0;

    /* the list of all parts is one answer of S3 */

    if (multipart) {
        lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
        part_size = ngx_max((int64_t) lcf->upload.part_size,
                            (u->file_size + NGX_HTTP_MEDIA_UPLOAD_PARTS - 1)
                            / NGX_HTTP_MEDIA_UPLOAD_PARTS);
    }

    rc = ngx_http_media_upload_begin(r, part_size);

    if (rc == NGX_OK) {
        rc = multipart ? ngx_http_media_upload_url_multipart(r)
                       : ngx_http_media_upload_url_publish(r);
    }

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* 0 or 1, or NGX_ERROR */

static ngx_int_t
ngx_http_media_upload_url_flag(ngx_http_request_t *r, const char *name)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_http_media_json_field(r, name, NGX_HTTP_MEDIA_FIELD_BOOLEAN,
                                   &value);

    return (rc == NGX_ERROR) ? rc : (rc == NGX_OK && value.len == 4);
}


static ngx_int_t
ngx_http_media_upload_url_multipart(ngx_http_request_t *r)
{
    static ngx_str_t  query = ngx_string("uploads=");
    static ngx_str_t  body = ngx_null_string;

    return ngx_http_media_upload_s3(r, NGX_HTTP_POST,
                              ngx_http_media_upload_ctx(r)->upload.upload_key,
                              &query, &body,
                              ngx_http_media_upload_url_created);
}


static void
ngx_http_media_upload_url_created(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    ngx_int_t  rc;

    if (ngx_http_media_upload_url_id(r, answer) != NGX_OK) {
        rc = ngx_http_media_upload_refuse(r, MEDIA_UPLOAD_UNAVAILABLE, 0);
        ngx_http_finalize_request(r, rc);
        return;
    }

    if (ngx_http_media_upload_url_publish(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static ngx_int_t
ngx_http_media_upload_url_id(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    ngx_str_t  in, id;

    in = answer->body;

    if (answer->status != NGX_HTTP_OK
        || ngx_http_media_store_xml_next(&in, "UploadId", &id) != NGX_OK
        || ngx_http_media_store_xml_unescape(&id) != NGX_OK
        || id.len == 0
        || id.len > NGX_HTTP_MEDIA_UPLOAD_ID_MAX)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "s3 answered %ui, and no upload id, to an upload's "
                      "request", answer->status);
        return NGX_ERROR;
    }

    media_str_set(&ngx_http_media_upload_ctx(r)->upload.multipart_id,
                  (char *) id.data, id.len);

    return NGX_OK;
}


/* NGX_OK: the request is answered, now or later */

static ngx_int_t
ngx_http_media_upload_url_publish(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_str_t         body;
    static ngx_str_t  none = ngx_null_string;

    if (ngx_http_media_upload_sign(r) != NGX_OK
        || ngx_http_media_upload_job(r, "upload_issued", &none, &body)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_media_job_publish(r, &ngx_http_media_job_upload, &body,
                                    ngx_http_media_upload_url_published);

    if (rc == NGX_BUSY) {
        ngx_http_media_upload_url_published(r, rc);
        rc = NGX_OK;
    }

    return rc;
}


static void
ngx_http_media_upload_url_published(ngx_http_request_t *r, ngx_int_t rc)
{
    rc = (rc == NGX_OK)
         ? ngx_http_media_upload_url_answer(r)
         : ngx_http_media_upload_refuse(r, MEDIA_UPLOAD_UNAVAILABLE, 0);

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_media_upload_url_answer(ngx_http_request_t *r)
{
    ngx_str_t                     body, value;
    media_upload_t               *u;
    ngx_http_media_json_t         json;
    ngx_http_media_loc_conf_t    *lcf;
    ngx_http_media_upload_ctx_t  *uctx;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    uctx = ngx_http_media_upload_ctx(r);
    u = &uctx->upload;

    if (ngx_http_media_json_begin(&json, r->pool,
                                  NGX_HTTP_MEDIA_UPLOAD_ANSWER
                                  + uctx->token.len
                                  + lcf->s3.public_url.len
                                  + 6 * (lcf->s3.session_token.len
                                         + lcf->s3.access_key.len))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_media_json_text(&json, "{");

    value.data = (u_char *) u->id;
    value.len = MEDIA_KEY_UUID_LEN;
    ngx_http_media_json_string(&json, "attachment_id", &value);

    if (u->part_size) {
        ngx_http_media_upload_url_parts(r, &json);

    } else if ((uctx->form ? ngx_http_media_upload_presign_form(r, &json)
                           : ngx_http_media_upload_url_put(r, &json))
               != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_media_upload_file_url(&json, u, &lcf->s3.public_url);
    ngx_http_media_json_string(&json, "upload_token", &uctx->token);
    ngx_http_media_json_number(&json, "expires_in", u->expires - ngx_time());
    ngx_http_media_json_text(&json, "}\n");

    if (ngx_http_media_json_end(&json, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_media_json_send(r, NGX_HTTP_OK, &body);
}


static ngx_int_t
ngx_http_media_upload_url_put(ngx_http_request_t *r,
    ngx_http_media_json_t *json)
{
    ngx_str_t        url, value;
    media_upload_t  *u;

    u = &ngx_http_media_upload_ctx(r)->upload;

    if (ngx_http_media_upload_presign(r, 0, u->file_size, &url) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_media_json_string(json, "upload_url", &url);

    ngx_str_set(&value, "PUT");
    ngx_http_media_json_string(json, "method", &value);

    value.data = (u_char *) u->file_type.data;
    value.len = u->file_type.len;
    ngx_http_media_json_text(json, ",\"headers\":{");
    ngx_http_media_json_string(json, "Content-Type", &value);
    ngx_http_media_json_text(json, "}");

    return NGX_OK;
}


static void
ngx_http_media_upload_url_parts(ngx_http_request_t *r,
    ngx_http_media_json_t *json)
{
    media_upload_t  *u;

    u = &ngx_http_media_upload_ctx(r)->upload;

    ngx_http_media_json_number(json, "part_size", u->part_size);
    ngx_http_media_json_number(json, "parts",
                               (u->file_size + u->part_size - 1)
                               / u->part_size);
}
