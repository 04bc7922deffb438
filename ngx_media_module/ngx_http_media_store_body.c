
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_store_body_form(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r,
    media_sigv4_cred_t *cred);
static ngx_int_t ngx_http_media_store_body_seed(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r,
    media_sigv4_cred_t *cred);
static ngx_int_t ngx_http_media_store_body_checksum(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r);
static ngx_int_t ngx_http_media_store_body_digests(
    ngx_http_media_store_upload_t *up);
static EVP_MD_CTX *ngx_http_media_store_digest(const EVP_MD *md);
static void ngx_http_media_store_body_start(ngx_http_request_t *r);
static void ngx_http_media_store_body_event(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_store_body_take(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r);
static void ngx_http_media_store_body_post(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r);
static void ngx_http_media_store_body_written(
    ngx_http_media_store_job_t *job);
static ngx_int_t ngx_http_media_store_job_string(
    ngx_http_media_store_job_t *job, ngx_str_t *dst, ngx_str_t *src);


ngx_int_t
ngx_http_media_store_body_init(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r, media_sigv4_cred_t *cred)
{
    ngx_str_t                      *h;
    ngx_http_media_store_upload_t  *up;

    if (ngx_http_media_store_body_create(job, r) != NGX_OK) {
        return NGX_ERROR;
    }

    job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
    up = job->upload;

    h = ngx_http_media_get_header(r, "content-md5");
    if (h != NULL
        && ngx_http_media_store_job_string(job, &up->content_md5, h) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_media_store_body_form(job, r, cred) != NGX_OK
        || ngx_http_media_store_body_checksum(job, r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_media_store_body_digests(up) != NGX_OK) {
        job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
        return NGX_ERROR;
    }

    job->error = NGX_HTTP_MEDIA_STORE_OK;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_store_body_create(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    ngx_http_media_store_upload_t  *up;

    job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;

    up = ngx_pcalloc(job->pool, sizeof(ngx_http_media_store_upload_t));
    if (up == NULL) {
        return NGX_ERROR;
    }

    job->upload = up;

    job->buffer = ngx_palloc(job->pool, NGX_HTTP_MEDIA_STORE_BUFFER);
    if (job->buffer == NULL) {
        return NGX_ERROR;
    }

    up->declared = r->headers_in.content_length_n;

    if (r->headers_in.chunked) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_LENGTH;
        return NGX_ERROR;
    }

    if (up->declared == -1) {
        up->declared = 0;
    }

    up->md5 = ngx_http_media_store_digest(EVP_md5());
    if (up->md5 == NULL) {
        return NGX_ERROR;
    }

    job->error = NGX_HTTP_MEDIA_STORE_OK;

    return NGX_OK;
}


/* x-amz-content-sha256 is signed when the header form is used */

static ngx_int_t
ngx_http_media_store_body_form(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r, media_sigv4_cred_t *cred)
{
    ngx_str_t                      *h;
    ngx_uint_t                      i;
    ngx_http_media_store_upload_t  *up;

    static ngx_str_t  forms[] = {
        ngx_string("UNSIGNED-PAYLOAD"),
        ngx_string("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ngx_string("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ngx_string("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
    };

    up = job->upload;

    h = ngx_http_media_get_header(r, "x-amz-content-sha256");
    if (h == NULL) {
        return NGX_OK;
    }

    if (h->len == 64) {
        return ngx_http_media_store_job_string(job, &up->payload_hash, h);
    }

    for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (h->len == forms[i].len
            && ngx_memcmp(h->data, forms[i].data, h->len) == 0)
        {
            break;
        }
    }

    if (i == sizeof(forms) / sizeof(forms[0])) {
        job->error = NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
        return NGX_ERROR;
    }

    up->form = (ngx_http_media_store_body_e) i;

    if (up->form == NGX_HTTP_MEDIA_STORE_PLAIN) {
        return NGX_OK;
    }

    h = ngx_http_media_get_header(r, "x-amz-decoded-content-length");

    up->declared = h ? ngx_atoof(h->data, h->len) : NGX_ERROR;

    if (up->declared == NGX_ERROR) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_LENGTH;
        return NGX_ERROR;
    }

    if (up->form == NGX_HTTP_MEDIA_STORE_CHUNKED) {
        return NGX_OK;
    }

    return ngx_http_media_store_body_seed(job, r, cred);
}


/* what the first chunk's signature is made of; the request is verified */

static ngx_int_t
ngx_http_media_store_body_seed(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r, media_sigv4_cred_t *cred)
{
    u_char                         *p, *last, *scope;
    ngx_str_t                      *h, *date, s;
    ngx_uint_t                      n;
    ngx_http_media_store_upload_t  *up;

    up = job->upload;

    h = ngx_http_media_get_header(r, "authorization");
    date = ngx_http_media_get_header(r, "x-amz-date");

    if (h == NULL || date == NULL || date->len != MEDIA_SIGV4_DATE_LEN) {
        job->error = NGX_HTTP_MEDIA_STORE_INVALID_REQUEST;
        return NGX_ERROR;
    }

    last = h->data + h->len;

    p = ngx_strlcasestrn(h->data, last, (u_char *) "Signature=", 10 - 1);

    if (p == NULL || last - p < 10 + 64) {
        job->error = NGX_HTTP_MEDIA_STORE_AUTH_MALFORMED;
        return NGX_ERROR;
    }

    ngx_memcpy(up->signature, p + 10, 64);
    ngx_memcpy(up->key, cred->key, 32);

    /* DAY/REGION/s3/aws4_request: after the fourth slash from the end */

    p = ngx_strlcasestrn(h->data, last, (u_char *) "Credential=", 11 - 1);

    if (p == NULL) {
        job->error = NGX_HTTP_MEDIA_STORE_AUTH_MALFORMED;
        return NGX_ERROR;
    }

    s.data = p + 11;
    p = ngx_strlchr(s.data, last, ',');
    s.len = (p ? p : last) - s.data;

    scope = s.data + s.len;

    for (n = 0; scope > s.data; scope--) {
        if (scope[-1] == '/' && ++n == 4) {
            break;
        }
    }

    s.len -= scope - s.data;
    s.data = scope;

    if (ngx_http_media_store_job_string(job, &up->scope, &s) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_media_store_job_string(job, &up->date, date);
}


static ngx_int_t
ngx_http_media_store_body_checksum(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    u_char                          name[sizeof("x-amz-checksum-crc64nvme")];
    ngx_str_t                      *h, *trailer;
    ngx_uint_t                      i;
    ngx_http_media_store_upload_t  *up;

    static ngx_str_t  names[] = {
        ngx_string("crc32"),            /* as media_crc_kind_t has them */
        ngx_string("crc32c"),
        ngx_string("crc64nvme"),
        ngx_string("sha1"),
        ngx_string("sha256")
    };

    up = job->upload;
    trailer = ngx_http_media_get_header(r, "x-amz-trailer");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        ngx_sprintf(name, "x-amz-checksum-%V%Z", &names[i]);

        h = ngx_http_media_get_header(r, (char *) name);

        if (h == NULL
            && (trailer == NULL
                || trailer->len != ngx_strlen(name)
                || ngx_strncasecmp(trailer->data, name, trailer->len) != 0))
        {
            continue;
        }

        if (up->checksum_name.len) {
            job->error = NGX_HTTP_MEDIA_STORE_INVALID_REQUEST;
            return NGX_ERROR;
        }

        up->checksum_name = names[i];

        if (i <= MEDIA_CRC64NVME) {
            media_crc_init(&up->crc, i);
        }

        if (h != NULL
            && ngx_http_media_store_job_string(job, &up->checksum, h)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_body_digests(ngx_http_media_store_upload_t *up)
{
    const EVP_MD  *md;

    if (up->payload_hash.len) {
        up->sha256 = ngx_http_media_store_digest(EVP_sha256());
        if (up->sha256 == NULL) {
            return NGX_ERROR;
        }
    }

    if (up->form >= NGX_HTTP_MEDIA_STORE_SIGNED) {
        up->chunk = ngx_http_media_store_digest(EVP_sha256());
        if (up->chunk == NULL) {
            return NGX_ERROR;
        }
    }

    if (up->checksum_name.len && up->checksum_name.data[0] == 's') {
        md = up->checksum_name.len == 4 ? EVP_sha1() : EVP_sha256();

        up->digest = ngx_http_media_store_digest(md);
        if (up->digest == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static EVP_MD_CTX *
ngx_http_media_store_digest(const EVP_MD *md)
{
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    if (ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}


void
ngx_http_media_store_body_free(ngx_http_media_store_upload_t *up)
{
    EVP_MD_CTX_free(up->md5);
    EVP_MD_CTX_free(up->sha256);
    EVP_MD_CTX_free(up->chunk);
    EVP_MD_CTX_free(up->digest);

    ngx_explicit_memzero(up->key, sizeof(up->key));
}


ngx_int_t
ngx_http_media_store_body_read(ngx_http_media_store_job_t *job)
{
    ngx_int_t              rc;
    ngx_http_request_t    *r;
    ngx_http_media_ctx_t  *ctx;

    r = job->request;

    ctx = ngx_http_media_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->store = job;

    job->work = ngx_http_media_store_body_work;
    job->done = ngx_http_media_store_body_written;

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_media_store_body_start);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_media_store_body_start(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_media_store_body_event;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_media_store_body_event(r);
}


static void
ngx_http_media_store_body_event(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_media_store_job_t  *job;

    job = ngx_http_media_get_ctx(r)->store;

    for ( ;; ) {

        rc = ngx_http_media_store_body_take(job, r);

        if (rc == NGX_ERROR) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        if (rc == NGX_AGAIN) {
            ngx_http_media_store_body_post(job, r);
            return;
        }

        if (!r->reading_body) {
            job->last = 1;
            ngx_http_media_store_body_post(job, r);
            return;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }
}


/*
 * Copies what arrived into the job's buffer: nginx's own buffers belong to
 * the request, which may end while the thread writes.  NGX_AGAIN: full.
 */

static ngx_int_t
ngx_http_media_store_body_take(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    size_t        size;
    ssize_t       n;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    while (r->request_body->bufs != NULL) {
        cl = r->request_body->bufs;
        b = cl->buf;

        p = job->buffer + job->buffered;
        size = ngx_min((off_t) (NGX_HTTP_MEDIA_STORE_BUFFER - job->buffered),
                       ngx_buf_size(b));

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(p, b->pos, size);
            b->pos += size;

        } else if (size) {

            /* another module had the body read to a file */

            n = ngx_read_file(b->file, p, size, b->file_pos);
            if (n <= 0) {
                return NGX_ERROR;
            }

            size = (size_t) n;
            b->file_pos += n;
        }

        job->buffered += size;

        if (ngx_buf_size(b) != 0) {
            if (job->buffered == NGX_HTTP_MEDIA_STORE_BUFFER) {
                return NGX_AGAIN;
            }

            continue;
        }

        r->request_body->bufs = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return NGX_OK;
}


static void
ngx_http_media_store_body_post(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    if (r->connection->read->timer_set) {
        ngx_del_timer(r->connection->read);
    }

    r->read_event_handler = job->last ? ngx_http_test_reading
                                      : ngx_http_block_reading;

    if (ngx_http_media_store_job_post(job) != NGX_OK) {
        job->error = NGX_HTTP_MEDIA_STORE_SLOW_DOWN;
        ngx_http_media_store_finish(job);
    }
}


static void
ngx_http_media_store_body_written(ngx_http_media_store_job_t *job)
{
    ngx_http_request_t  *r;

    r = job->request;

    if (job->error != NGX_HTTP_MEDIA_STORE_OK || job->last) {
        ngx_http_media_store_finish(job);
        return;
    }

    job->buffered = 0;

    r->read_event_handler = ngx_http_media_store_body_event;

    ngx_http_media_store_body_event(r);
}


static ngx_int_t
ngx_http_media_store_job_string(ngx_http_media_store_job_t *job,
    ngx_str_t *dst, ngx_str_t *src)
{
    dst->len = src->len;
    dst->data = ngx_pstrdup(job->pool, src);

    return dst->data != NULL ? NGX_OK : NGX_ERROR;
}
