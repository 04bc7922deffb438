
/*
 * Copyright (C) ngx_media contributors
 *
 * The content handler of media_upload_complete:
 *
 *     fields -> is the object there? -> is it the one? -> remember -> publish
 *                 |
 *                 no -> is it processed already? -> answer
 *                         |
 *                         no -> join its parts -> is the object there?
 *
 * All of it can be repeated, and happen twice at a time.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static void ngx_http_media_upload_complete_fields(ngx_http_request_t *r);
static ngx_uint_t ngx_http_media_upload_complete_same(ngx_http_request_t *r);
static ngx_uint_t ngx_http_media_upload_complete_is(ngx_http_request_t *r,
    const char *name, ngx_uint_t types, ngx_str_t *expected);
static ngx_int_t ngx_http_media_upload_complete_values(ngx_http_request_t *r);
static void ngx_http_media_upload_complete_ask(ngx_http_request_t *r,
    const char *key, ngx_http_media_upload_answer_pt handler);
static void ngx_http_media_upload_complete_object(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static void ngx_http_media_upload_complete_final(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static void ngx_http_media_upload_complete_listed(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static ngx_int_t ngx_http_media_upload_complete_xml(ngx_http_request_t *r,
    ngx_array_t *parts, ngx_str_t *xml);
static void ngx_http_media_upload_complete_joined(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static void ngx_http_media_upload_complete_finish(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_media_upload_complete_answer(ngx_http_request_t *r);
static void ngx_http_media_upload_complete_refuse(ngx_http_request_t *r,
    media_upload_error_t error);


static ngx_str_t  ngx_http_media_upload_none = ngx_null_string;


ngx_int_t
ngx_http_media_upload_complete_handler(ngx_http_request_t *r)
{
    if (r->method != NGX_HTTP_POST) {
        return ngx_http_media_json_method(r, "POST");
    }

    return ngx_http_media_json_read(r, ngx_http_media_upload_complete_fields);
}


static void
ngx_http_media_upload_complete_fields(ngx_http_request_t *r)
{
    ngx_str_t             token;
    media_upload_t       *u;
    media_upload_error_t  error;

    u = &ngx_http_media_upload_ctx(r)->upload;

    error = MEDIA_UPLOAD_TOKEN_INVALID;

    if (ngx_http_media_json_field(r, "upload_token",
                                  NGX_HTTP_MEDIA_FIELD_STRING, &token)
        == NGX_OK)
    {
        error = ngx_http_media_upload_verify(r, &token);
    }

    if (error == MEDIA_UPLOAD_OK && !ngx_http_media_upload_complete_same(r)) {
        error = MEDIA_UPLOAD_FIELD_DIFFERS;
    }

    if (error != MEDIA_UPLOAD_OK) {
        ngx_http_media_upload_complete_refuse(r, error);
        return;
    }

    if (ngx_http_media_upload_complete_values(r) == NGX_OK) {
        ngx_http_media_upload_complete_ask(r, u->upload_key,
                                       ngx_http_media_upload_complete_object);
    }
}


/* what older front ends repeat must be what the token says */

static ngx_uint_t
ngx_http_media_upload_complete_same(ngx_http_request_t *r)
{
    u_char                      number[NGX_INT64_LEN];
    ngx_str_t                   name, type, size, conversation, url, value;
    media_upload_t             *u;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    u = &ngx_http_media_upload_ctx(r)->upload;

    name.data = (u_char *) u->file_name.data;
    name.len = u->file_name.len;
    type.data = (u_char *) u->file_type.data;
    type.len = u->file_type.len;
    conversation.data = (u_char *) u->conversation.data;
    conversation.len = u->conversation.len;
    size.data = number;
    size.len = ngx_sprintf(number, "%L", u->file_size) - number;

    url.len = lcf->s3.public_url.len + ngx_strlen(u->file_key);
    url.data = ngx_pnalloc(r->pool, url.len);
    if (url.data == NULL) {
        return 0;
    }

    (void) ngx_sprintf(url.data, "%V%s", &lcf->s3.public_url, u->file_key);

    if (ngx_http_media_json_field(r, "file_type", NGX_HTTP_MEDIA_FIELD_STRING,
                                  &value)
        == NGX_OK)
    {
        ngx_strlow(value.data, value.data, value.len);
    }

    return ngx_http_media_upload_complete_is(r, "file_name",
                                             NGX_HTTP_MEDIA_FIELD_STRING,
                                             &name)
           && ngx_http_media_upload_complete_is(r, "file_type",
                                                NGX_HTTP_MEDIA_FIELD_STRING,
                                                &type)
           && ngx_http_media_upload_complete_is(r, "file_size",
                                                NGX_HTTP_MEDIA_FIELD_NUMBER,
                                                &size)
           && ngx_http_media_upload_complete_is(r, "conversation_id",
                                                NGX_HTTP_MEDIA_FIELD_STRING
                                                |NGX_HTTP_MEDIA_FIELD_NUMBER,
                                                &conversation)
           && ngx_http_media_upload_complete_is(r, "file_url",
                                                NGX_HTTP_MEDIA_FIELD_STRING,
                                                &url);
}


static ngx_uint_t
ngx_http_media_upload_complete_is(ngx_http_request_t *r, const char *name,
    ngx_uint_t types, ngx_str_t *expected)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_http_media_json_field(r, name, types, &value);

    return rc == NGX_DECLINED
           || (rc == NGX_OK && ngx_http_media_auth_equal(&value, expected));
}


/* NGX_DECLINED: the request was answered */

static ngx_int_t
ngx_http_media_upload_complete_values(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_str_t                     caption, id;
    media_str_t                   text;
    media_upload_error_t          error;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    rc = ngx_http_media_json_field(r, "caption", NGX_HTTP_MEDIA_FIELD_STRING,
                                   &caption);

    media_str_set(&text, (char *) caption.data, caption.len);

    error = (rc == NGX_ERROR)
            ? MEDIA_UPLOAD_BAD_CAPTION
            : media_upload_caption(uctx->upload.kind, text);

    if (error != MEDIA_UPLOAD_OK) {
        ngx_http_media_upload_complete_refuse(r, error);
        return NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        uctx->upload.caption = text;

        if (ngx_http_media_upload_claims(r) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return NGX_DECLINED;
        }
    }

    id.data = (u_char *) uctx->upload.id;
    id.len = MEDIA_KEY_UUID_LEN;

    return ngx_http_media_send_fields(r, &id);
}


static void
ngx_http_media_upload_complete_ask(ngx_http_request_t *r, const char *key,
    ngx_http_media_upload_answer_pt handler)
{
    if (ngx_http_media_upload_s3(r, NGX_HTTP_HEAD, key,
                                 &ngx_http_media_upload_none,
                                 &ngx_http_media_upload_none, handler)
        != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static void
ngx_http_media_upload_complete_object(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    media_str_t                  *type;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (answer->status == NGX_HTTP_NOT_FOUND && uctx->step) {

        /* its parts were joined, or the worker has it meanwhile */

        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
        return;
    }

    if (answer->status == NGX_HTTP_NOT_FOUND) {
        ngx_http_media_upload_complete_ask(r, uctx->upload.file_key,
                                        ngx_http_media_upload_complete_final);
        return;
    }

    if (answer->status != NGX_HTTP_OK || answer->etag.len == 0) {
        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
        return;
    }

    type = &uctx->upload.file_type;

    if (answer->length != uctx->upload.file_size
        || answer->type.len != type->len
        || ngx_strncasecmp(answer->type.data, (u_char *) type->data,
                           type->len)
           != 0)
    {
        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_OBJECT_DIFFERS);
        return;
    }

    uctx->etag = answer->etag;

    ngx_http_media_upload_once(r, ngx_http_media_upload_complete_publish);
}


static void
ngx_http_media_upload_complete_final(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (answer->status == NGX_HTTP_OK) {
        ngx_http_media_upload_once(r, ngx_http_media_upload_complete_finish);
        return;
    }

    if (answer->status != NGX_HTTP_NOT_FOUND) {
        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
        return;
    }

    if (uctx->upload.part_size == 0) {
        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_OBJECT_MISSING);
        return;
    }

    if (ngx_http_media_upload_parts_list(r,
                                       ngx_http_media_upload_complete_listed)
        != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static void
ngx_http_media_upload_complete_listed(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    ngx_int_t                     rc;
    ngx_str_t                     query, xml;
    ngx_array_t                  *parts;
    media_upload_t               *u;

    u = &ngx_http_media_upload_ctx(r)->upload;

    if (answer->status == NGX_HTTP_NOT_FOUND) {
        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_OBJECT_MISSING);
        return;
    }

    parts = ngx_http_media_upload_parts_read(r, answer);

    if (parts == NULL) {
        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
        return;
    }

    rc = ngx_http_media_upload_complete_xml(r, parts, &xml);

    if (rc == NGX_DECLINED) {
        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_PARTS_MISSING);
        return;
    }

    if (rc != NGX_OK
        || ngx_http_media_upload_query(r, "uploadId=", &query) != NGX_OK
        || ngx_http_media_upload_s3(r, NGX_HTTP_POST, u->upload_key, &query,
                                    &xml,
                                    ngx_http_media_upload_complete_joined)
           != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* NGX_DECLINED if a part is missing or has another size */

static ngx_int_t
ngx_http_media_upload_complete_xml(ngx_http_request_t *r, ngx_array_t *parts,
    ngx_str_t *xml)
{
    u_char                       *p;
    size_t                        len;
    ngx_uint_t                    i;
    ngx_http_media_upload_part_t *part;

    part = parts->elts;
    len = sizeof("<CompleteMultipartUpload></CompleteMultipartUpload>");

    for (i = 0; i < parts->nelts; i++) {

        if (!part[i].complete) {
            return NGX_DECLINED;
        }

        len += sizeof("<Part><PartNumber></PartNumber><ETag></ETag></Part>")
               + NGX_INT_T_LEN + part[i].etag.len;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    xml->data = p;
    p = ngx_sprintf(p, "<CompleteMultipartUpload>");

    for (i = 0; i < parts->nelts; i++) {
        p = ngx_sprintf(p, "<Part><PartNumber>%ui</PartNumber>"
                           "<ETag>%V</ETag></Part>",
                        i + 1, &part[i].etag);
    }

    p = ngx_sprintf(p, "</CompleteMultipartUpload>");
    xml->len = p - xml->data;

    return NGX_OK;
}


/*
 * S3 may answer 200 and send an error in the body, and who was second gets
 * 404: whether there is an object now is what counts.
 */

static void
ngx_http_media_upload_complete_joined(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    ngx_str_t                     in, inner;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);
    uctx->step = 1;

    in = answer->body;

    if (answer->status != NGX_HTTP_OK
        || ngx_http_media_store_xml_next(&in, "ETag", &inner) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "s3 answered %ui, and no ETag, to the end of a "
                      "multipart upload", answer->status);
    }

    ngx_http_media_upload_complete_ask(r, uctx->upload.upload_key,
                                       ngx_http_media_upload_complete_object);
}


void
ngx_http_media_upload_complete_publish(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_str_t                     body, more;
    ngx_http_media_json_t         json;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (rc != NGX_OK) {
        ngx_http_media_upload_complete_refuse(r, MEDIA_UPLOAD_TOKEN_REUSED);
        return;
    }

    rc = NGX_ERROR;

    if (ngx_http_media_json_begin(&json, r->pool,
                                  128 + 6 * (uctx->idempotency_key.len
                                             + uctx->reply_to.len
                                             + uctx->etag.len))
        == NGX_OK)
    {
        ngx_http_media_json_string(&json, "idempotency_key",
                                   &uctx->idempotency_key);
        ngx_http_media_json_string(&json, "reply_to", &uctx->reply_to);
        ngx_http_media_json_string(&json, "etag", &uctx->etag);

        if (ngx_http_media_json_end(&json, &more) == NGX_OK
            && ngx_http_media_upload_job(r, "upload_complete", &more, &body)
               == NGX_OK)
        {
            rc = ngx_http_media_job_publish(r, &ngx_http_media_job_send, &body,
                                        ngx_http_media_upload_complete_finish);
        }
    }

    if (rc == NGX_BUSY) {
        ngx_http_media_upload_complete_finish(r, rc);

    } else if (rc != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* after the publication, or instead of it; NGX_DECLINED: other values */

static void
ngx_http_media_upload_complete_finish(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        ngx_http_finalize_request(r,
                                  ngx_http_media_upload_complete_answer(r));
        return;
    }

    ngx_http_media_upload_complete_refuse(r,
                                    rc == NGX_DECLINED
                                    ? MEDIA_UPLOAD_TOKEN_REUSED
                                    : MEDIA_UPLOAD_UNAVAILABLE);
}


static ngx_int_t
ngx_http_media_upload_complete_answer(ngx_http_request_t *r)
{
    ngx_str_t                     body;
    ngx_http_media_json_t         json;
    ngx_http_media_loc_conf_t    *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (ngx_http_media_json_begin(&json, r->pool,
                                  NGX_HTTP_MEDIA_UPLOAD_ANSWER
                                  + lcf->s3.public_url.len)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_media_upload_attachment(r, &json);

    if (ngx_http_media_json_end(&json, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_media_json_send(r, NGX_HTTP_OK, &body);
}


static void
ngx_http_media_upload_complete_refuse(ngx_http_request_t *r,
    media_upload_error_t error)
{
    ngx_http_finalize_request(r, ngx_http_media_upload_refuse(r, error, 0));
}
