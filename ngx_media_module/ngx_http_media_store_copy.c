
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_store_copy_path(
    ngx_http_media_store_job_t *job, ngx_str_t *source);
static ngx_int_t ngx_http_media_store_copy_conditions(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r);
static ngx_int_t ngx_http_media_store_copy_string(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r, const char *name,
    ngx_str_t *value);
static time_t ngx_http_media_store_copy_time(ngx_http_request_t *r,
    const char *name);


/* x-amz-copy-source: [/]bucket/key, percent-encoded */

ngx_int_t
ngx_http_media_store_copy_source(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    ngx_str_t  *h;

    h = ngx_http_media_get_header(r, "x-amz-metadata-directive");

    if (h != NULL) {
        if (h->len == 7 && ngx_strncmp(h->data, "REPLACE", 7) == 0) {
            job->replace = 1;

        } else if (h->len != 4 || ngx_strncmp(h->data, "COPY", 4) != 0) {
            job->error = NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
            return NGX_ERROR;
        }
    }

    h = ngx_http_media_get_header(r, "x-amz-copy-source");

    if (ngx_http_media_store_copy_path(job, h) != NGX_OK
        || ngx_http_media_store_copy_conditions(job, r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!job->replace && job->source_path.len == job->path.len
        && ngx_memcmp(job->source_path.data, job->path.data, job->path.len)
           == 0)
    {
        job->error = NGX_HTTP_MEDIA_STORE_INVALID_REQUEST;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_copy_path(ngx_http_media_store_job_t *job,
    ngx_str_t *source)
{
    u_char     *p, *last, *slash;
    ssize_t     n;
    ngx_str_t   bucket, bucket_path, key;

    job->error = NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;

    p = source->data;
    last = p + source->len;

    if (p < last && *p == '/') {
        p++;
    }

    if (ngx_strlchr(p, last, '?') != NULL) {
        job->error = NGX_HTTP_MEDIA_STORE_NOT_IMPLEMENTED;
        return NGX_ERROR;
    }

    bucket.data = ngx_pnalloc(job->pool, last - p + 1);
    if (bucket.data == NULL) {
        job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
        return NGX_ERROR;
    }

    n = media_uri_decode((char *) bucket.data, (char *) p, last - p);
    if (n < 0) {
        return NGX_ERROR;
    }

    slash = ngx_strlchr(bucket.data, bucket.data + n, '/');
    if (slash == NULL) {
        return NGX_ERROR;
    }

    *slash = '\0';

    bucket.len = slash - bucket.data;
    key.data = slash + 1;
    key.len = n - bucket.len - 1;

    if (!ngx_http_media_store_bucket_valid(&bucket)) {
        job->error = NGX_HTTP_MEDIA_STORE_INVALID_BUCKET;
        return NGX_ERROR;
    }

    job->error = ngx_http_media_store_key_check(&key);

    if (job->error != NGX_HTTP_MEDIA_STORE_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_media_store_root_path(job, (char *) bucket.data,
                                       &bucket_path)
        != NGX_OK
        || ngx_http_media_store_key_path(job->pool, &bucket_path, &key,
                                         &job->source_path, NULL)
           != NGX_OK)
    {
        job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_copy_conditions(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    if (ngx_http_media_store_copy_string(job, r,
                                         "x-amz-copy-source-if-match",
                                         &job->source_match)
        != NGX_OK
        || ngx_http_media_store_copy_string(job, r,
                                            "x-amz-copy-source-if-none-match",
                                            &job->source_none_match)
           != NGX_OK)
    {
        job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
        return NGX_ERROR;
    }

    job->source_modified = ngx_http_media_store_copy_time(r,
                                      "x-amz-copy-source-if-modified-since");
    job->source_unmodified = ngx_http_media_store_copy_time(r,
                                    "x-amz-copy-source-if-unmodified-since");

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_copy_string(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    ngx_str_t  *h;

    h = ngx_http_media_get_header(r, name);
    if (h == NULL) {
        return NGX_OK;
    }

    value->len = h->len;
    value->data = ngx_pstrdup(job->pool, h);

    return value->data != NULL ? NGX_OK : NGX_ERROR;
}


static time_t
ngx_http_media_store_copy_time(ngx_http_request_t *r, const char *name)
{
    ngx_str_t  *h;

    h = ngx_http_media_get_header(r, name);

    return h != NULL ? ngx_parse_http_time(h->data, h->len) : -1;
}


void
ngx_http_media_store_copy_open(ngx_http_media_store_job_t *job)
{
    ngx_int_t                       rc;
    ngx_http_media_store_object_t  *source;

    source = &job->source;

    rc = ngx_http_media_store_file_open(job->pool, &job->source_path, source);

    if (rc == NGX_ERROR) {
        ngx_http_media_store_job_failed(job, "open()");
        return;
    }

    if (rc == NGX_DECLINED) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_KEY;
        return;
    }

    if ((job->source_match.len
         && !ngx_http_media_store_etag_match(&job->source_match,
                                             &source->etag))
        || (job->source_none_match.len
            && ngx_http_media_store_etag_match(&job->source_none_match,
                                               &source->etag))
        || (job->source_modified != -1
            && source->mtime <= job->source_modified)
        || (job->source_unmodified != -1
            && source->mtime > job->source_unmodified))
    {
        job->error = NGX_HTTP_MEDIA_STORE_PRECONDITION;
    }
}
