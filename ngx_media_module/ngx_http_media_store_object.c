
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static void ngx_http_media_store_get_work(ngx_http_media_store_job_t *job);
static void ngx_http_media_store_get_done(ngx_http_media_store_job_t *job);
static ngx_int_t ngx_http_media_store_get_check(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r);
static ngx_int_t ngx_http_media_store_get_since(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r);
static ngx_int_t ngx_http_media_store_get_headers(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r);
static ngx_int_t ngx_http_media_store_get_header(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);
static ngx_int_t ngx_http_media_store_get_send(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r);
static ngx_uint_t ngx_http_media_store_put_allowed(
    ngx_http_media_store_job_t *job);
static void ngx_http_media_store_delete_work(
    ngx_http_media_store_job_t *job);


/* response-... of a signed query replaces what is stored */

static ngx_str_t  ngx_http_media_store_names[] = {
    ngx_string("Content-Type"),
    ngx_string("Content-Disposition"),
    ngx_string("Content-Encoding"),
    ngx_string("Content-Language"),
    ngx_string("Cache-Control"),
    ngx_string("Expires")
};

static const char  *ngx_http_media_store_overrides[] = {
    "response-content-type",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-cache-control",
    "response-expires"
};

#define NGX_HTTP_MEDIA_STORE_NAMES                                            \
    (sizeof(ngx_http_media_store_names) / sizeof(ngx_str_t))


ngx_int_t
ngx_http_media_store_get(ngx_http_media_store_job_t *job)
{
    job->work = ngx_http_media_store_get_work;
    job->done = ngx_http_media_store_get_done;

    return ngx_http_media_store_start(job);
}


static void
ngx_http_media_store_get_work(ngx_http_media_store_job_t *job)
{
    ngx_int_t  rc;

    rc = ngx_http_media_store_file_open(job->pool, &job->path, &job->object);

    if (rc == NGX_ERROR) {
        ngx_http_media_store_job_failed(job, "open()");
        return;
    }

    if (rc == NGX_DECLINED) {
        job->error = access((char *) job->bucket_path.data, F_OK) == -1
                     ? NGX_HTTP_MEDIA_STORE_NO_BUCKET
                     : NGX_HTTP_MEDIA_STORE_NO_KEY;
    }
}


static void
ngx_http_media_store_get_done(ngx_http_media_store_job_t *job)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = job->request;

    if (job->error == NGX_HTTP_MEDIA_STORE_OK
        && ngx_http_media_store_get_check(job, r) == NGX_OK)
    {
        rc = ngx_http_media_store_get_send(job, r);

    } else {
        rc = ngx_http_media_store_send_error(r, job->error);
    }

    ngx_http_finalize_request(r, rc);
}


/*
 * 304 and ranges are the core filters' part; a 412 of theirs would be HTML.
 */

static ngx_int_t
ngx_http_media_store_get_check(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    u_char           *p;
    size_t            i;
    time_t            since;
    ngx_str_t         value;
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    h = r->headers_in.if_match;

    if (h != NULL
        && !ngx_http_media_store_etag_match(&h->value, &job->object.etag))
    {
        job->error = NGX_HTTP_MEDIA_STORE_PRECONDITION;
        return NGX_ERROR;
    }

    /* If-Match goes before, and is the better of the two */

    if (h == NULL && r->headers_in.if_unmodified_since != NULL) {
        h = r->headers_in.if_unmodified_since;
        since = ngx_parse_http_time(h->value.data, h->value.len);

        if (since != NGX_ERROR && job->object.mtime > since) {
            job->error = NGX_HTTP_MEDIA_STORE_PRECONDITION;
            return NGX_ERROR;
        }
    }

    r->headers_in.if_unmodified_since = NULL;

    if (ngx_http_media_store_get_since(job, r) != NGX_OK) {
        job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
        return NGX_ERROR;
    }

    for (n = 0; n < NGX_HTTP_MEDIA_STORE_NAMES; n++) {

        if (!ngx_http_media_store_arg(job, ngx_http_media_store_overrides[n],
                                      &value))
        {
            continue;
        }

        for (p = value.data, i = 0; i < value.len; i++) {
            if (p[i] < 0x20 || p[i] == 0x7f) {
                job->error = NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/*
 * If-None-Match goes before If-Modified-Since.  A later date than the object's
 * is as good as its own, which is the one that the core's filter looks for.
 */

static ngx_int_t
ngx_http_media_store_get_since(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    u_char           *p;
    time_t            since;
    ngx_table_elt_t  *h;

    h = r->headers_in.if_modified_since;

    if (h == NULL) {
        return NGX_OK;
    }

    if (r->headers_in.if_none_match != NULL) {
        r->headers_in.if_modified_since = NULL;
        return NGX_OK;
    }

    since = ngx_parse_http_time(h->value.data, h->value.len);

    if (since == NGX_ERROR || since <= job->object.mtime) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, sizeof("Mon, 28 Sep 1970 06:00:00 GMT"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    h->value.data = p;
    h->value.len = ngx_http_time(p, job->object.mtime) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_get_headers(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    u_char           *p;
    ngx_str_t         name, value, lines;
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    p = ngx_pnalloc(r->pool, job->object.etag.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "\"%V\"", &job->object.etag) - p;

    h = ngx_media_add_header(r, "ETag", &value);
    if (h == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.etag = h;
    r->headers_out.last_modified_time = job->object.mtime;
    r->headers_out.content_length_n = job->object.size;

    ngx_str_set(&r->headers_out.content_type, "binary/octet-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    for (i = 0; i < NGX_HTTP_MEDIA_STORE_NAMES; i++) {
        if (ngx_http_media_store_arg(job, ngx_http_media_store_overrides[i],
                                     &value)
            && ngx_http_media_store_get_header(job, r,
                                     &ngx_http_media_store_names[i], &value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    lines = job->object.lines;

    while (ngx_http_media_store_next_line(&lines, &name, &value)) {

        for (i = 0; i < NGX_HTTP_MEDIA_STORE_NAMES; i++) {
            if (name.len == ngx_http_media_store_names[i].len
                && ngx_strncmp(name.data, ngx_http_media_store_names[i].data,
                               name.len)
                   == 0)
            {
                break;
            }
        }

        if (i < NGX_HTTP_MEDIA_STORE_NAMES
            && ngx_http_media_store_arg(job,
                                  ngx_http_media_store_overrides[i], NULL))
        {
            continue;
        }

        if (ngx_http_media_store_get_header(job, r, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_get_header(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
    u_char           *key;
    ngx_str_t        *mode;
    ngx_table_elt_t  *h;

    if (ngx_strncmp(name->data, "Content-Type", name->len) == 0
        && name->len == sizeof("Content-Type") - 1)
    {
        r->headers_out.content_type = *value;
        r->headers_out.content_type_len = value->len;
        r->headers_out.content_type_lowcase = NULL;
        return NGX_OK;
    }

    /* a checksum is of the whole, and a client compares it if it asked */

    if (ngx_strncmp(name->data, "x-amz-checksum-", 15) == 0) {
        mode = ngx_http_media_get_header(r, "x-amz-checksum-mode");

        if (mode == NULL || r->headers_in.range != NULL) {
            return NGX_OK;
        }
    }

    key = ngx_pnalloc(job->pool, name->len + 1);
    if (key == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(key, name->data, name->len + 1);

    h = ngx_media_add_header(r, (char *) key, value);
    if (h == NULL) {
        return NGX_ERROR;
    }

    if (name->len == sizeof("Content-Encoding") - 1
        && ngx_strncmp(key, "Content-Encoding", name->len) == 0)
    {
        r->headers_out.content_encoding = h;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_get_send(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_buf_t                 *b;
    ngx_chain_t                out;
    ngx_pool_cleanup_t        *cln;
    ngx_pool_cleanup_file_t   *clnf;

    if (ngx_http_media_store_get_headers(job, r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_pool_cleanup_file_t));

    if (b == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (b->file == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* from here the descriptor is the request's */

    clnf = cln->data;
    clnf->fd = job->object.fd;
    clnf->name = job->path.data;
    clnf->log = r->pool->log;
    cln->handler = ngx_pool_cleanup_file;

    b->file->fd = job->object.fd;
    b->file->name = job->path;
    b->file->log = r->connection->log;

    job->object.fd = NGX_INVALID_FILE;

    r->headers_out.status = NGX_HTTP_OK;
    r->allow_ranges = 1;

    ngx_http_media_condition_normalize(r);

    if (ngx_http_media_condition_apply(r) != NGX_OK) {
        return ngx_http_media_store_send_error(r,
                                           NGX_HTTP_MEDIA_STORE_PRECONDITION);
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_HTTP_RANGE_NOT_SATISFIABLE) {
        return ngx_http_media_store_send_error(r,
                                           NGX_HTTP_MEDIA_STORE_INVALID_RANGE);
    }

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->file_pos = 0;
    b->file_last = job->object.size;
    b->in_file = job->object.size ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    b->sync = (b->last_buf || b->in_file) ? 0 : 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_media_store_put(ngx_http_media_store_job_t *job)
{
    ngx_str_t           *h;
    ngx_http_request_t  *r;

    r = job->request;

    h = ngx_http_media_get_header(r, "x-amz-copy-source");

    if (h == NULL && r->headers_in.content_length_n == -1) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_LENGTH;
        goto failed;
    }

    if (r->headers_in.if_match != NULL) {
        job->if_match = r->headers_in.if_match->value;
        job->if_match.data = ngx_pstrdup(job->pool, &job->if_match);
    }

    if (r->headers_in.if_none_match != NULL) {
        job->if_none_match = r->headers_in.if_none_match->value;

        /* S3 knows no other form of it on a PUT */

        if (job->if_none_match.len != 1 || job->if_none_match.data[0] != '*') {
            job->error = NGX_HTTP_MEDIA_STORE_NOT_IMPLEMENTED;
            goto failed;
        }
    }

    if (ngx_http_media_store_keep_headers(job, r) != NGX_OK) {
        goto failed;
    }

    if (h != NULL && ngx_http_media_store_copy_source(job, r) != NGX_OK) {
        goto failed;
    }

    job->finish = ngx_http_media_store_put_work;

    return ngx_http_media_store_body_read(job);

failed:

    (void) ngx_http_discard_request_body(r);

    return ngx_http_media_store_send_error(r, job->error);
}


/* the body is whole, or there is a source to copy */

void
ngx_http_media_store_put_work(ngx_http_media_store_job_t *job)
{
    off_t                           size;
    u_char                         *p;
    ngx_http_media_store_upload_t  *up;

    up = job->upload;
    size = up->size;

    if (up->checksum_name.len && job->source_path.len == 0) {
        p = ngx_pnalloc(job->pool, job->lines.len + up->checksum_name.len
                                   + up->checksum.len
                                   + sizeof("x-amz-checksum-: \n"));
        if (p == NULL) {
            ngx_http_media_store_job_failed(job, "malloc()");
            return;
        }

        job->lines.len = ngx_sprintf(p, "%Vx-amz-checksum-%V: %V\n",
                                     &job->lines, &up->checksum_name,
                                     &up->checksum)
                         - p;
        job->lines.data = p;
    }

    if (job->source_path.len) {
        ngx_http_media_store_copy_open(job);

        if (job->error != NGX_HTTP_MEDIA_STORE_OK) {
            return;
        }

        size = job->source.size;

        if (ngx_http_media_store_copy(job->fd, job->source.fd, size)
            != NGX_OK)
        {
            ngx_http_media_store_job_failed(job, "copy_file_range()");
            return;
        }

        job->etag = job->source.etag;

        if (!job->replace) {
            job->lines = job->source.lines;
        }
    }

    if (!ngx_http_media_store_put_allowed(job)
        || ngx_http_media_store_file_finish(job, size) != NGX_OK)
    {
        return;
    }

    ngx_http_media_store_publish(job, job->if_none_match.len);

    if (job->error != NGX_HTTP_MEDIA_STORE_OK || job->source_path.len == 0) {
        return;
    }

    ngx_http_media_store_puts(&job->text, "<CopyObjectResult>");
    ngx_http_media_store_xml(&job->text, "ETag", &job->etag);
    ngx_http_media_store_xml_time(&job->text, "LastModified", time(NULL));
    ngx_http_media_store_puts(&job->text, "</CopyObjectResult>\n");

    job->etag.len = 0;
}


/* a writer that comes between this and the rename is not seen */

static ngx_uint_t
ngx_http_media_store_put_allowed(ngx_http_media_store_job_t *job)
{
    ngx_int_t  rc;

    if (job->if_match.len == 0) {
        return 1;
    }

    rc = ngx_http_media_store_file_open(job->pool, &job->path, &job->object);

    if (rc == NGX_DECLINED) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_KEY;
        return 0;
    }

    if (rc == NGX_ERROR) {
        ngx_http_media_store_job_failed(job, "open()");
        return 0;
    }

    ngx_http_media_store_file_close(&job->object);

    if (!ngx_http_media_store_etag_match(&job->if_match, &job->object.etag)) {
        job->error = NGX_HTTP_MEDIA_STORE_PRECONDITION;
        return 0;
    }

    return 1;
}


ngx_int_t
ngx_http_media_store_keep_headers(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    ngx_str_t                     name;
    ngx_uint_t                    i;
    ngx_list_part_t              *part;
    ngx_table_elt_t              *h;
    ngx_http_media_store_text_t   t;

    ngx_memzero(&t, sizeof(ngx_http_media_store_text_t));
    t.pool = job->pool;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            name = h[i].key;

            if (!ngx_http_media_store_kept(&name)) {
                continue;
            }

            /* aws-chunked is how the body came, not what it is */

            if (name.len == sizeof("Content-Encoding") - 1
                && h[i].value.len >= sizeof("aws-chunked") - 1
                && ngx_strncmp(h[i].value.data, "aws-chunked", 11) == 0)
            {
                h[i].value.data += 11;
                h[i].value.len -= 11;

                while (h[i].value.len
                       && (h[i].value.data[0] == ','
                           || h[i].value.data[0] == ' '))
                {
                    h[i].value.data++;
                    h[i].value.len--;
                }

                if (h[i].value.len == 0) {
                    continue;
                }
            }

            ngx_http_media_store_text(&t, name.data, name.len);
            ngx_http_media_store_puts(&t, ": ");
            ngx_http_media_store_text(&t, h[i].value.data, h[i].value.len);
            ngx_http_media_store_puts(&t, "\n");
        }
    }

    job->lines.data = t.start;
    job->lines.len = t.last - t.start;

    if (t.failed || job->lines.len > NGX_HTTP_MEDIA_STORE_META_MAX) {
        job->error = t.failed ? NGX_HTTP_MEDIA_STORE_INTERNAL
                              : NGX_HTTP_MEDIA_STORE_META_TOO_LARGE;
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_media_store_kept(ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_MEDIA_STORE_NAMES; i++) {
        if (name->len == ngx_http_media_store_names[i].len
            && ngx_strncasecmp(name->data, ngx_http_media_store_names[i].data,
                               name->len)
               == 0)
        {
            /* stored in one spelling, whatever the client's */
            *name = ngx_http_media_store_names[i];
            return 1;
        }
    }

    return name->len > 11
           && ngx_strncasecmp(name->data, (u_char *) "x-amz-meta-", 11) == 0;
}


ngx_int_t
ngx_http_media_store_delete(ngx_http_media_store_job_t *job)
{
    job->work = ngx_http_media_store_delete_work;
    job->done = ngx_http_media_store_finish;
    job->status = NGX_HTTP_NO_CONTENT;

    return ngx_http_media_store_start(job);
}


static void
ngx_http_media_store_delete_work(ngx_http_media_store_job_t *job)
{
    ngx_int_t  rc;

    rc = ngx_http_media_store_unlink(&job->bucket_path, &job->path);

    if (rc == NGX_ERROR) {
        ngx_http_media_store_job_failed(job, "unlink()");

    } else if (rc == NGX_DECLINED
               && access((char *) job->bucket_path.data, F_OK) == -1)
    {
        job->error = NGX_HTTP_MEDIA_STORE_NO_BUCKET;
    }
}
