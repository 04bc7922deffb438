
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "ngx_http_media.h"


/*
 * aws-chunked:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 *
 *     <hex size>[;chunk-signature=<64 hex>]\r\n <data> \r\n   ...
 *     0[;chunk-signature=<64 hex>]\r\n
 *     [x-amz-checksum-crc32:<base64>\r\n]
 *     [x-amz-trailer-signature:<64 hex>\r\n]
 *     \r\n
 */

#define NGX_HTTP_MEDIA_STORE_CHUNK_SIZE     0
#define NGX_HTTP_MEDIA_STORE_CHUNK_DATA     1
#define NGX_HTTP_MEDIA_STORE_CHUNK_END      2
#define NGX_HTTP_MEDIA_STORE_CHUNK_TRAILER  3

#define NGX_HTTP_MEDIA_STORE_EMPTY_SHA256                                     \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


static void ngx_http_media_store_chunk_parse(ngx_http_media_store_job_t *job);
static void ngx_http_media_store_chunk_line(ngx_http_media_store_job_t *job);
static void ngx_http_media_store_chunk_size(ngx_http_media_store_job_t *job,
    ngx_str_t *line);
static void ngx_http_media_store_chunk_verify(
    ngx_http_media_store_job_t *job);
static void ngx_http_media_store_chunk_trailer(
    ngx_http_media_store_job_t *job, ngx_str_t *line);
static void ngx_http_media_store_trailer_verify(
    ngx_http_media_store_job_t *job, ngx_str_t *signature);
static ngx_int_t ngx_http_media_store_chunk_signature(
    ngx_http_media_store_upload_t *up, const char *algorithm,
    const char *empty, u_char *hash, u_char *given);
static void ngx_http_media_store_body_end(ngx_http_media_store_job_t *job);
static ngx_http_media_store_error_e ngx_http_media_store_body_compare(
    ngx_http_media_store_upload_t *up);
static ngx_http_media_store_error_e ngx_http_media_store_sum_compare(
    ngx_str_t *text, u_char *sum, size_t len);


void
ngx_http_media_store_body_work(ngx_http_media_store_job_t *job)
{
    if (job->upload->in_memory == 0 && job->upload->post == NULL
        && job->fd == NGX_INVALID_FILE
        && ngx_http_media_store_body_open(job) != NGX_OK)
    {
        return;
    }

    if (job->upload->post != NULL) {
        ngx_http_media_store_post_data(job);

    } else if (job->upload->form == NGX_HTTP_MEDIA_STORE_PLAIN) {
        ngx_http_media_store_body_data(job, job->buffer, job->buffered);

    } else {
        ngx_http_media_store_chunk_parse(job);
    }

    if (job->error == NGX_HTTP_MEDIA_STORE_OK && job->last) {
        ngx_http_media_store_body_end(job);
    }

    if (job->error == NGX_HTTP_MEDIA_STORE_OK && job->last) {
        job->finish(job);
    }

    if (job->error != NGX_HTTP_MEDIA_STORE_OK || job->last) {
        ngx_http_media_store_temp_discard(job);
    }
}


ngx_int_t
ngx_http_media_store_body_open(ngx_http_media_store_job_t *job)
{
    if (access((char *) job->bucket_path.data, F_OK) == -1) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_BUCKET;
        return NGX_ERROR;
    }

    return ngx_http_media_store_temp_open(job);
}


static void
ngx_http_media_store_chunk_parse(ngx_http_media_store_job_t *job)
{
    u_char                         *p, *last, *end;
    size_t                          n;
    ngx_http_media_store_upload_t  *up;

    up = job->upload;
    p = job->buffer;
    last = p + job->buffered;

    while (p < last && job->error == NGX_HTTP_MEDIA_STORE_OK) {

        if (up->state == NGX_HTTP_MEDIA_STORE_CHUNK_DATA) {
            n = ngx_min((off_t) (last - p), up->rest);

            ngx_http_media_store_body_data(job, p, n);

            p += n;
            up->rest -= n;

            if (up->rest == 0) {
                up->state = NGX_HTTP_MEDIA_STORE_CHUNK_END;
            }

            continue;
        }

        end = ngx_strlchr(p, last, '\n');
        n = (end ? end : last) - p;

        if (up->line_len + n > NGX_HTTP_MEDIA_STORE_LINE_MAX) {
            job->error = NGX_HTTP_MEDIA_STORE_INCOMPLETE_BODY;
            return;
        }

        ngx_memcpy(up->line + up->line_len, p, n);
        up->line_len += n;
        p += n;

        if (end != NULL) {
            p++;
            ngx_http_media_store_chunk_line(job);
            up->line_len = 0;
        }
    }
}


static void
ngx_http_media_store_chunk_line(ngx_http_media_store_job_t *job)
{
    ngx_str_t                       line;
    ngx_http_media_store_upload_t  *up;

    up = job->upload;

    line.data = up->line;
    line.len = up->line_len;

    if (line.len && line.data[line.len - 1] == '\r') {
        line.len--;
    }

    switch (up->state) {

    case NGX_HTTP_MEDIA_STORE_CHUNK_SIZE:
        ngx_http_media_store_chunk_size(job, &line);
        break;

    case NGX_HTTP_MEDIA_STORE_CHUNK_END:
        if (line.len) {
            job->error = NGX_HTTP_MEDIA_STORE_INCOMPLETE_BODY;
            return;
        }

        ngx_http_media_store_chunk_verify(job);
        up->state = NGX_HTTP_MEDIA_STORE_CHUNK_SIZE;
        break;

    default: /* NGX_HTTP_MEDIA_STORE_CHUNK_TRAILER */
        if (line.len) {
            ngx_http_media_store_chunk_trailer(job, &line);
        }
    }
}


static void
ngx_http_media_store_chunk_size(ngx_http_media_store_job_t *job,
    ngx_str_t *line)
{
    off_t                           size;
    u_char                         *p;
    size_t                          n;
    ngx_http_media_store_upload_t  *up;

    up = job->upload;
    n = sizeof(";chunk-signature=") - 1;

    p = ngx_strlchr(line->data, line->data + line->len, ';');

    if (up->chunk != NULL) {
        if (p == NULL || line->data + line->len - p != (ssize_t) n + 64
            || ngx_strncmp(p, ";chunk-signature=", n) != 0)
        {
            job->error = NGX_HTTP_MEDIA_STORE_INCOMPLETE_BODY;
            return;
        }

        ngx_memcpy(up->expected, p + n, 64);
    }

    size = ngx_hextoi(line->data, p ? (size_t) (p - line->data) : line->len);

    if (size < 0 || size > up->declared - up->size) {
        job->error = NGX_HTTP_MEDIA_STORE_INCOMPLETE_BODY;
        return;
    }

    up->rest = size;

    if (size) {
        up->state = NGX_HTTP_MEDIA_STORE_CHUNK_DATA;
        return;
    }

    up->state = NGX_HTTP_MEDIA_STORE_CHUNK_TRAILER;
    ngx_http_media_store_chunk_verify(job);
}


static void
ngx_http_media_store_chunk_verify(ngx_http_media_store_job_t *job)
{
    u_char                          hash[32];
    ngx_http_media_store_upload_t  *up;

    up = job->upload;

    if (up->chunk == NULL) {
        return;
    }

    if (EVP_DigestFinal_ex(up->chunk, hash, NULL) != 1
        || EVP_DigestInit_ex(up->chunk, EVP_sha256(), NULL) != 1)
    {
        ngx_http_media_store_job_failed(job, "EVP_DigestFinal_ex()");
        return;
    }

    if (ngx_http_media_store_chunk_signature(up, "AWS4-HMAC-SHA256-PAYLOAD",
                                      NGX_HTTP_MEDIA_STORE_EMPTY_SHA256 "\n",
                                             hash, up->expected)
        != NGX_OK)
    {
        job->error = NGX_HTTP_MEDIA_STORE_MISMATCH;
    }
}


static void
ngx_http_media_store_chunk_trailer(ngx_http_media_store_job_t *job,
    ngx_str_t *line)
{
    size_t                          n;
    u_char                         *p;
    ngx_str_t                       value;
    ngx_http_media_store_upload_t  *up;

    up = job->upload;

    p = ngx_strlchr(line->data, line->data + line->len, ':');
    if (p == NULL) {
        job->error = NGX_HTTP_MEDIA_STORE_INCOMPLETE_BODY;
        return;
    }

    value.data = p + 1;
    value.len = line->data + line->len - p - 1;

    n = sizeof("x-amz-checksum-") - 1;

    if ((size_t) (p - line->data) == n + up->checksum_name.len
        && up->checksum_name.len && up->checksum.len == 0
        && ngx_strncasecmp(line->data, (u_char *) "x-amz-checksum-", n) == 0
        && ngx_strncasecmp(line->data + n, up->checksum_name.data,
                           up->checksum_name.len)
           == 0)
    {
        up->checksum.len = value.len;
        up->checksum.data = ngx_pstrdup(job->pool, &value);

        if (up->checksum.data == NULL) {
            ngx_http_media_store_job_failed(job, "malloc()");
        }

        return;
    }

    n = sizeof("x-amz-trailer-signature") - 1;

    if ((size_t) (p - line->data) == n
        && ngx_strncasecmp(line->data, (u_char *) "x-amz-trailer-signature", n)
           == 0)
    {
        ngx_http_media_store_trailer_verify(job, &value);
        return;
    }

    job->error = NGX_HTTP_MEDIA_STORE_INCOMPLETE_BODY;
}


static void
ngx_http_media_store_trailer_verify(ngx_http_media_store_job_t *job,
    ngx_str_t *signature)
{
    u_char                          hash[32], *p;
    u_char                          text[NGX_HTTP_MEDIA_STORE_LINE_MAX * 2];
    ngx_http_media_store_upload_t  *up;

    up = job->upload;

    p = ngx_snprintf(text, sizeof(text), "x-amz-checksum-%V:%V\n",
                     &up->checksum_name, &up->checksum);

    SHA256(text, p - text, hash);

    if (up->chunk == NULL || signature->len != 64
        || ngx_http_media_store_chunk_signature(up,
                                                "AWS4-HMAC-SHA256-TRAILER",
                                                "", hash, signature->data)
           != NGX_OK)
    {
        job->error = NGX_HTTP_MEDIA_STORE_MISMATCH;
        return;
    }

    up->trailer_signed = 1;
}


/* each signature covers the one before */

static ngx_int_t
ngx_http_media_store_chunk_signature(ngx_http_media_store_upload_t *up,
    const char *algorithm, const char *empty, u_char *hash, u_char *given)
{
    u_char    *p, sum[32], text[512];
    unsigned   n;

    p = ngx_snprintf(text, sizeof(text) - 64, "%s\n%V\n%V\n%*s\n%s",
                     algorithm, &up->date, &up->scope,
                     (size_t) 64, up->signature, empty);

    media_hex_encode((char *) p, hash, 32);
    p += 64;

    if (HMAC(EVP_sha256(), up->key, sizeof(up->key), text, p - text, sum, &n)
        == NULL)
    {
        return NGX_ERROR;
    }

    media_hex_encode((char *) up->signature, sum, 32);

    return media_equal(up->signature, 64, given, 64) ? NGX_OK : NGX_ERROR;
}


void
ngx_http_media_store_body_data(ngx_http_media_store_job_t *job, u_char *p,
    size_t n)
{
    ngx_http_media_store_upload_t  *up;

    up = job->upload;

    if (n == 0) {
        return;
    }

    up->size += n;

    if (EVP_DigestUpdate(up->md5, p, n) != 1
        || (up->sha256 && EVP_DigestUpdate(up->sha256, p, n) != 1)
        || (up->chunk && EVP_DigestUpdate(up->chunk, p, n) != 1)
        || (up->digest && EVP_DigestUpdate(up->digest, p, n) != 1))
    {
        ngx_http_media_store_job_failed(job, "EVP_DigestUpdate()");
        return;
    }

    if (up->checksum_name.len && up->digest == NULL) {
        media_crc_update(&up->crc, p, n);
    }

    if (up->in_memory) {
        if (up->size > NGX_HTTP_MEDIA_STORE_XML_MAX) {
            job->error = NGX_HTTP_MEDIA_STORE_TOO_LARGE;
            return;
        }

        ngx_http_media_store_text(&job->text, p, n);
        return;
    }

    if (ngx_http_media_store_write(job->fd, p, n) != NGX_OK) {
        ngx_http_media_store_job_failed(job, "write()");
    }
}


static void
ngx_http_media_store_body_end(ngx_http_media_store_job_t *job)
{
    ngx_http_media_store_upload_t  *up;

    up = job->upload;

    if (up->size != up->declared
        || (up->form != NGX_HTTP_MEDIA_STORE_PLAIN
            && up->state != NGX_HTTP_MEDIA_STORE_CHUNK_TRAILER)
        || (up->form == NGX_HTTP_MEDIA_STORE_SIGNED_TRAILER
            && !up->trailer_signed))
    {
        job->error = NGX_HTTP_MEDIA_STORE_INCOMPLETE_BODY;
        return;
    }

    job->error = ngx_http_media_store_body_compare(up);

    if (job->error != NGX_HTTP_MEDIA_STORE_OK) {
        return;
    }

    job->etag.len = 32;
    job->etag.data = ngx_pnalloc(job->pool, 32);

    if (job->etag.data == NULL) {
        ngx_http_media_store_job_failed(job, "malloc()");
        return;
    }

    media_hex_encode((char *) job->etag.data, up->md5_sum, 16);
}


static ngx_http_media_store_error_e
ngx_http_media_store_body_compare(ngx_http_media_store_upload_t *up)
{
    u_char        sum[EVP_MAX_MD_SIZE], hash[32];
    unsigned      len;
    ngx_int_t     rc;

    if (EVP_DigestFinal_ex(up->md5, up->md5_sum, NULL) != 1) {
        return NGX_HTTP_MEDIA_STORE_INTERNAL;
    }

    if (up->sha256 != NULL) {
        if (EVP_DigestFinal_ex(up->sha256, sum, NULL) != 1) {
            return NGX_HTTP_MEDIA_STORE_INTERNAL;
        }

        rc = media_hex_decode((char *) hash, (char *) up->payload_hash.data,
                              64);

        if (rc != MEDIA_OK || ngx_memcmp(hash, sum, 32) != 0) {
            return NGX_HTTP_MEDIA_STORE_SHA256_MISMATCH;
        }
    }

    if (up->content_md5.len) {
        rc = ngx_http_media_store_sum_compare(&up->content_md5, up->md5_sum,
                                              16);
        if (rc != NGX_HTTP_MEDIA_STORE_OK) {
            return rc;
        }
    }

    if (up->checksum_name.len == 0) {
        return NGX_HTTP_MEDIA_STORE_OK;
    }

    if (up->digest != NULL) {
        if (EVP_DigestFinal_ex(up->digest, sum, &len) != 1) {
            return NGX_HTTP_MEDIA_STORE_INTERNAL;
        }

    } else {
        len = up->crc.len;
        media_crc_final(&up->crc, sum);
    }

    return ngx_http_media_store_sum_compare(&up->checksum, sum, len);
}


static ngx_http_media_store_error_e
ngx_http_media_store_sum_compare(ngx_str_t *text, u_char *sum, size_t len)
{
    u_char   bytes[EVP_MAX_MD_SIZE];
    ssize_t  n;

    n = media_base64_decode(bytes, sizeof(bytes), (char *) text->data,
                            text->len);

    if (n != (ssize_t) len) {
        return NGX_HTTP_MEDIA_STORE_INVALID_DIGEST;
    }

    return ngx_memcmp(bytes, sum, len) == 0 ? NGX_HTTP_MEDIA_STORE_OK
                                            : NGX_HTTP_MEDIA_STORE_BAD_DIGEST;
}
