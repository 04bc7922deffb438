
/*
 * Copyright (C) ngx_media contributors
 *
 * The content handler of media_upload_parts: what S3 has of a multipart
 * upload, URLs for what it has not, and the end of it all.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


/* of a part in an answer, beside its URL */
#define NGX_HTTP_MEDIA_UPLOAD_PART  256


static ngx_int_t ngx_http_media_upload_parts_start(ngx_http_request_t *r);
static void ngx_http_media_upload_parts_add(ngx_http_request_t *r,
    ngx_array_t *parts, ngx_str_t *xml);
static ngx_int_t ngx_http_media_upload_parts_etag(ngx_str_t *etag);
static void ngx_http_media_upload_parts_listed(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static ngx_int_t ngx_http_media_upload_parts_answer(ngx_http_request_t *r,
    ngx_array_t *parts);
static void ngx_http_media_upload_parts_begin(ngx_http_media_json_t *json,
    ngx_uint_t n, int64_t size);
static size_t ngx_http_media_upload_parts_urls(ngx_http_request_t *r,
    ngx_array_t *parts, ngx_str_t *urls);
static void ngx_http_media_upload_parts_aborted(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);
static void ngx_http_media_upload_parts_publish(ngx_http_request_t *r);
static void ngx_http_media_upload_parts_published(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_media_upload_parts_refuse(ngx_http_request_t *r,
    media_upload_error_t error);


static ngx_str_t  ngx_http_media_upload_none = ngx_null_string;


ngx_int_t
ngx_http_media_upload_parts_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_str_t            *token;
    media_upload_error_t  error;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_DELETE))) {
        return ngx_http_media_json_method(r, "GET, DELETE");
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_media_upload_ctx(r) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    token = ngx_http_media_get_header(r, "Upload-Token");

    error = token ? ngx_http_media_upload_verify(r, token)
                  : MEDIA_UPLOAD_TOKEN_INVALID;

    if (error != MEDIA_UPLOAD_OK) {
        return ngx_http_media_upload_refuse(r, error, 0);
    }

    r->main->count++;

    if (ngx_http_media_upload_parts_start(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_media_upload_parts_start(ngx_http_request_t *r)
{
    ngx_str_t        query;
    media_upload_t  *u;

    u = &ngx_http_media_upload_ctx(r)->upload;

    if (r->method == NGX_HTTP_DELETE && u->part_size == 0) {
        ngx_http_media_upload_parts_publish(r);
        return NGX_OK;
    }

    if (r->method == NGX_HTTP_DELETE) {
        if (ngx_http_media_upload_query(r, "uploadId=", &query) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_media_upload_s3(r, NGX_HTTP_DELETE, u->upload_key,
                                        &query, &ngx_http_media_upload_none,
                                        ngx_http_media_upload_parts_aborted);
    }

    if (u->part_size == 0) {
        ngx_http_finalize_request(r,
            ngx_http_media_json_error(r, NGX_HTTP_BAD_REQUEST,
                                      "not_multipart",
                                      "the upload has no parts"));
        return NGX_OK;
    }

    if (u->expires <= ngx_time()) {
        ngx_http_media_upload_parts_refuse(r, MEDIA_UPLOAD_TOKEN_EXPIRED);
        return NGX_OK;
    }

    return ngx_http_media_upload_parts_list(r,
                                          ngx_http_media_upload_parts_listed);
}


ngx_int_t
ngx_http_media_upload_parts_list(ngx_http_request_t *r,
    ngx_http_media_upload_answer_pt handler)
{
    ngx_str_t  query;

    if (ngx_http_media_upload_query(r, "max-parts=1000&uploadId=", &query)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_media_upload_s3(r, NGX_HTTP_GET,
                              ngx_http_media_upload_ctx(r)->upload.upload_key,
                              &query, &ngx_http_media_upload_none, handler);
}


ngx_array_t *
ngx_http_media_upload_parts_read(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    int64_t                        left;
    ngx_int_t                      rc;
    ngx_str_t                      in, inner;
    ngx_array_t                   *parts;
    media_upload_t                *u;
    ngx_http_media_upload_part_t  *part;

    u = &ngx_http_media_upload_ctx(r)->upload;

    in = answer->body;

    if (answer->status != NGX_HTTP_OK
        || ngx_http_media_store_xml_next(&in, "ListPartsResult", &inner)
           != NGX_OK)
    {
        return NULL;
    }

    parts = ngx_array_create(r->pool, 16,
                             sizeof(ngx_http_media_upload_part_t));
    if (parts == NULL) {
        return NULL;
    }

    for (left = u->file_size; left > 0; left -= u->part_size) {
        part = ngx_array_push(parts);
        if (part == NULL) {
            return NULL;
        }

        ngx_memzero(part, sizeof(ngx_http_media_upload_part_t));
        part->size = ngx_min(left, u->part_size);
        part->stored = -1;
    }

    for ( ;; ) {
        rc = ngx_http_media_store_xml_next(&inner, "Part", &in);

        if (rc != NGX_OK) {
            break;
        }

        ngx_http_media_upload_parts_add(r, parts, &in);
    }

    return (rc == NGX_DECLINED) ? parts : NULL;
}


static void
ngx_http_media_upload_parts_add(ngx_http_request_t *r, ngx_array_t *parts,
    ngx_str_t *xml)
{
    off_t                          size;
    ngx_int_t                      n;
    ngx_str_t                      in, number, length, etag;
    ngx_http_media_upload_part_t  *part;

    in = *xml;

    if (ngx_http_media_store_xml_next(&in, "PartNumber", &number) != NGX_OK) {
        return;
    }

    in = *xml;

    if (ngx_http_media_store_xml_next(&in, "Size", &length) != NGX_OK) {
        return;
    }

    in = *xml;

    if (ngx_http_media_store_xml_next(&in, "ETag", &etag) != NGX_OK
        || ngx_http_media_upload_parts_etag(&etag) != NGX_OK)
    {
        return;
    }

    n = ngx_atoi(number.data, number.len);
    size = ngx_atoof(length.data, length.len);

    if (n < 1 || (ngx_uint_t) n > parts->nelts || size < 0) {
        return;
    }

    part = (ngx_http_media_upload_part_t *) parts->elts + n - 1;

    part->stored = size;
    part->etag = etag;
    part->complete = (size == part->size);
}


/* an ETag is put into XML again: letters and digits, between quotes */

static ngx_int_t
ngx_http_media_upload_parts_etag(ngx_str_t *etag)
{
    size_t  i;
    u_char  ch;

    if (ngx_http_media_store_xml_unescape(etag) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < etag->len; i++) {
        ch = etag->data[i];

        if (!(isalnum(ch) || ch == '-' || ch == '"')) {
            return NGX_ERROR;
        }
    }

    return etag->len ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_media_upload_parts_listed(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    ngx_array_t  *parts;

    if (answer->status == NGX_HTTP_NOT_FOUND) {
        ngx_http_media_upload_parts_refuse(r, MEDIA_UPLOAD_OBJECT_MISSING);
        return;
    }

    parts = ngx_http_media_upload_parts_read(r, answer);

    if (parts == NULL) {
        ngx_http_media_upload_parts_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
        return;
    }

    ngx_http_finalize_request(r,
                              ngx_http_media_upload_parts_answer(r, parts));
}


static ngx_int_t
ngx_http_media_upload_parts_answer(ngx_http_request_t *r, ngx_array_t *parts)
{
    size_t                         size;
    ngx_str_t                     *urls, body;
    ngx_uint_t                     i;
    media_upload_t                *u;
    ngx_http_media_json_t          json;
    ngx_http_media_upload_part_t  *part;

    part = parts->elts;
    u = &ngx_http_media_upload_ctx(r)->upload;

    urls = ngx_pcalloc(r->pool, parts->nelts * sizeof(ngx_str_t));
    if (urls == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    size = ngx_http_media_upload_parts_urls(r, parts, urls);

    if (size == 0
        || ngx_http_media_json_begin(&json, r->pool, size) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_media_json_text(&json, "{");
    ngx_http_media_json_number(&json, "part_size", u->part_size);
    ngx_http_media_json_text(&json, ",\"parts\":[");

    for (i = 0; i < parts->nelts; i++) {
        if (part[i].complete) {
            ngx_http_media_upload_parts_begin(&json, i + 1, part[i].size);
            ngx_http_media_json_string(&json, "etag", &part[i].etag);
            ngx_http_media_json_text(&json, "}");
        }
    }

    ngx_http_media_json_text(&json, "],\"missing\":[");

    for (i = 0; i < parts->nelts; i++) {
        if (!part[i].complete) {
            ngx_http_media_upload_parts_begin(&json, i + 1, part[i].size);
            ngx_http_media_json_string(&json, "upload_url", &urls[i]);
            ngx_http_media_json_text(&json, ",\"headers\":{}}");
        }
    }

    ngx_http_media_json_text(&json, "]}\n");

    if (ngx_http_media_json_end(&json, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_media_json_send(r, NGX_HTTP_OK, &body);
}


static void
ngx_http_media_upload_parts_begin(ngx_http_media_json_t *json, ngx_uint_t n,
    int64_t size)
{
    if (json->p && json->p[-1] == '}') {
        ngx_http_media_json_text(json, ",");
    }

    ngx_http_media_json_text(json, "{");
    ngx_http_media_json_number(json, "number", n);
    ngx_http_media_json_number(json, "size", size);
}


/* the bytes that an answer with them may have; 0: out of memory */

static size_t
ngx_http_media_upload_parts_urls(ngx_http_request_t *r, ngx_array_t *parts,
    ngx_str_t *urls)
{
    size_t                         size;
    ngx_uint_t                     i;
    ngx_http_media_upload_part_t  *part;

    part = parts->elts;
    size = NGX_HTTP_MEDIA_UPLOAD_PART;

    for (i = 0; i < parts->nelts; i++) {
        size += NGX_HTTP_MEDIA_UPLOAD_PART + 2 * part[i].etag.len;

        if (part[i].complete) {
            continue;
        }

        if (ngx_http_media_upload_presign(r, i + 1, part[i].size, &urls[i])
            != NGX_OK)
        {
            return 0;
        }

        size += urls[i].len;
    }

    return size;
}


/* 404: it was aborted before, or joined, which the worker knows */

static void
ngx_http_media_upload_parts_aborted(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer)
{
    if (answer->status != NGX_HTTP_NO_CONTENT
        && answer->status != NGX_HTTP_OK
        && answer->status != NGX_HTTP_NOT_FOUND)
    {
        ngx_http_media_upload_parts_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
        return;
    }

    ngx_http_media_upload_parts_publish(r);
}


static void
ngx_http_media_upload_parts_publish(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    rc = ngx_http_media_upload_job(r, "upload_abort",
                                   &ngx_http_media_upload_none, &body);

    if (rc == NGX_OK) {
        rc = ngx_http_media_job_publish(r, &ngx_http_media_job_upload, &body,
                                        ngx_http_media_upload_parts_published);
    }

    if (rc == NGX_BUSY) {
        ngx_http_media_upload_parts_published(r, rc);

    } else if (rc != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static void
ngx_http_media_upload_parts_published(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ngx_http_media_upload_parts_refuse(r, MEDIA_UPLOAD_UNAVAILABLE);
        return;
    }

    rc = ngx_http_media_json_send(r, NGX_HTTP_NO_CONTENT,
                                  &ngx_http_media_upload_none);
    ngx_http_finalize_request(r, rc);
}


static void
ngx_http_media_upload_parts_refuse(ngx_http_request_t *r,
    media_upload_error_t error)
{
    ngx_http_finalize_request(r, ngx_http_media_upload_refuse(r, error, 0));
}
