
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


/* each is a request to S3; more of them are answered with the whole object */
#define NGX_HTTP_MEDIA_PARTS_MAX  16

#define NGX_HTTP_MEDIA_MULTIPART  "multipart/byteranges; boundary="


struct ngx_http_media_multirange_ctx_s {
    off_t                         total;        /* of the object */
    ngx_array_t                   ranges;
    ngx_str_t                     type;         /* of the object */
    ngx_str_t                     etag;
    ngx_str_t                     boundary;

    u_char                       *body;         /* NULL: cached, or parts */
    off_t                         received;     /* of body or of a part */

    ngx_http_request_t           *part;         /* NULL: none in progress */
    ngx_uint_t                    next;         /* part after that */
    ngx_str_t                     range;        /* of the part */

    unsigned                      cached:1;     /* is cut by the core */
    unsigned                      last:1;       /* S3's response is over */
    unsigned                      headed:1;     /* the next part's header
                                                   was sent */
    unsigned                      done:1;
};


static ngx_int_t ngx_http_media_multirange_buffer(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx);
static void ngx_http_media_multirange_cleanup(void *data);
static ngx_int_t ngx_http_media_multirange_wanted(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_multirange_send(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx,
    ngx_http_output_header_filter_pt next);
static ngx_int_t ngx_http_media_multirange_sent(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx);
static off_t ngx_http_media_multirange_length(
    ngx_http_media_multirange_ctx_t *mctx);
static ngx_int_t ngx_http_media_multirange_collect(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next);
static ngx_int_t ngx_http_media_multirange_copy(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx, ngx_buf_t *b);
static void ngx_http_media_multirange_consume(ngx_buf_t *b);
static ngx_int_t ngx_http_media_multirange_next(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx,
    ngx_http_output_body_filter_pt next);
static ngx_int_t ngx_http_media_multirange_request(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx);
static u_char *ngx_http_media_multirange_print(
    ngx_http_media_multirange_ctx_t *mctx, ngx_http_media_range_t *range,
    u_char *p, u_char *last);
static ngx_int_t ngx_http_media_multirange_write(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx,
    ngx_http_output_body_filter_pt next);
static ngx_http_media_multirange_ctx_t *ngx_http_media_multirange_get(
    ngx_http_request_t *r);


/* no header of nginx declares it */
extern ngx_module_t  ngx_http_range_body_filter_module;


/* bytes of bodies in this process; bound by media_cache_buffers as well */
static size_t  ngx_http_media_multirange_buffers;


ngx_int_t
ngx_http_media_multirange_header(ngx_http_request_t *r,
    ngx_http_output_header_filter_pt next)
{
    off_t                             size;
    ngx_int_t                         rc;
    ngx_uint_t                        max;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_media_loc_conf_t        *lcf;
    ngx_http_media_multirange_ctx_t  *mctx;

    if (ngx_http_media_multirange_wanted(r) != NGX_OK) {
        return NGX_DECLINED;
    }

    mctx = ngx_pcalloc(r->pool, sizeof(ngx_http_media_multirange_ctx_t));
    if (mctx == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_media_range_size(r, &size, &mctx->total) != NGX_OK) {
        return NGX_DECLINED;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    max = clcf->max_ranges;

    if (size < mctx->total || size > (off_t) lcf->cache.max_size) {

        if (lcf->multirange.location.len == 0
            || r->headers_out.etag == NULL
            || r->headers_out.etag->value.data[0] != '"')
        {
            return NGX_DECLINED;
        }

        max = ngx_min(max, NGX_HTTP_MEDIA_PARTS_MAX);
        size = 0;
    }

    rc = ngx_http_media_range_parse(r, mctx->total, max, &mctx->ranges);

    if (rc == NGX_DECLINED || rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_OK
        && size
        && ngx_http_media_multirange_buffer(r, mctx) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_media_multirange_send(r, mctx, next);
}


/* what the disk holds comes in one buffer anyway, of a file */

static ngx_int_t
ngx_http_media_multirange_buffer(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_media_main_conf_t  *mcf;

#if (NGX_HTTP_CACHE)
    if (r->cached) {
        mctx->cached = 1;
        return NGX_OK;
    }
#endif

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);

    if ((size_t) mctx->total
        > mcf->cache.buffers - ngx_min(ngx_http_media_multirange_buffers,
                                       mcf->cache.buffers))
    {
        return NGX_DECLINED;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_DECLINED;
    }

    mctx->body = ngx_palloc(r->pool, (size_t) mctx->total);
    if (mctx->body == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_media_multirange_buffers += (size_t) mctx->total;

    cln->handler = ngx_http_media_multirange_cleanup;
    cln->data = mctx;

    return NGX_OK;
}


static void
ngx_http_media_multirange_cleanup(void *data)
{
    ngx_http_media_multirange_ctx_t  *mctx = data;

    ngx_http_media_multirange_buffers -= (size_t) mctx->total;
}


static ngx_int_t
ngx_http_media_multirange_wanted(ngx_http_request_t *r)
{
    ngx_str_t  *value;

    if (r->upstream == NULL
        || r->method != NGX_HTTP_GET
        || r->http_version < NGX_HTTP_VERSION_10
        || r->headers_in.range == NULL)
    {
        return NGX_DECLINED;
    }

    value = &r->headers_in.range->value;

    if (value->len < 7
        || ngx_strncasecmp(value->data, (u_char *) "bytes=", 6) != 0
        || ngx_strlchr(value->data, value->data + value->len, ',') == NULL)
    {
        return NGX_DECLINED;
    }

    return ngx_http_media_range_if_range(r);
}


/*
 * The response becomes a 200 of the whole object, for the conditions and for
 * the range filter; the slice filter leaves what is not a 206.
 */

static ngx_int_t
ngx_http_media_multirange_send(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx,
    ngx_http_output_header_filter_pt next)
{
    ngx_int_t              rc;
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_media_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    mctx->type = r->headers_out.content_type;

    if (r->headers_out.etag) {
        mctx->etag = r->headers_out.etag->value;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.status_line.len = 0;
    r->headers_out.content_length_n = mctx->total;
    r->headers_out.content_offset = 0;

    if (r->headers_out.content_length) {
        r->headers_out.content_length->hash = 0;
        r->headers_out.content_length = NULL;
    }

    if (r->headers_out.content_range) {
        r->headers_out.content_range->hash = 0;
        r->headers_out.content_range = NULL;
    }

    r->allow_ranges = 1;
    r->single_range = 0;

#if (NGX_HTTP_GZIP)
    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif

    rc = next(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (ngx_http_media_multirange_sent(r, mctx) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "media ranges: unexpected header, status %ui",
                      r->headers_out.status);
        return NGX_ERROR;
    }

    if (mctx->cached) {
        return rc;
    }

    if (mctx->body == NULL) {

        /* the parts come as they are to be sent */

        ngx_http_set_ctx(r, NULL, ngx_http_range_body_filter_module);
    }

    ctx->multirange = mctx;

    return rc;
}


/* the boundary is the core's, and the length is to be the one it announced */

static ngx_int_t
ngx_http_media_multirange_sent(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx)
{
    off_t       extra;
    u_char     *p;
    ngx_str_t  *type;

    type = &r->headers_out.content_type;

    if (r->headers_out.status != NGX_HTTP_PARTIAL_CONTENT
        || type->len <= sizeof(NGX_HTTP_MEDIA_MULTIPART) - 1
        || ngx_strncmp(type->data, NGX_HTTP_MEDIA_MULTIPART,
                       sizeof(NGX_HTTP_MEDIA_MULTIPART) - 1)
           != 0)
    {
        return NGX_ERROR;
    }

    if (mctx->body || mctx->cached) {
        return NGX_OK;
    }

    mctx->boundary.data = type->data + sizeof(NGX_HTTP_MEDIA_MULTIPART) - 1;
    mctx->boundary.len = type->len - (sizeof(NGX_HTTP_MEDIA_MULTIPART) - 1);

    extra = r->headers_out.content_length_n
            - ngx_http_media_multirange_length(mctx);
    extra /= (off_t) mctx->ranges.nelts;

    if (extra > (off_t) sizeof("; charset=") - 1) {

        /* the directive "charset"; the core has reset the length of it */

        p = ngx_pnalloc(r->pool, mctx->type.len + extra);
        if (p == NULL) {
            return NGX_ERROR;
        }

        extra -= sizeof("; charset=") - 1;
        mctx->type.len = ngx_sprintf(p, "%V; charset=%*s", &mctx->type,
                                     (size_t) extra,
                                     r->headers_out.charset.data)
                         - p;
        mctx->type.data = p;
    }

    return (ngx_http_media_multirange_length(mctx)
            == r->headers_out.content_length_n) ? NGX_OK : NGX_ERROR;
}


static off_t
ngx_http_media_multirange_length(ngx_http_media_multirange_ctx_t *mctx)
{
    off_t                    length;
    u_char                   buf[3 * NGX_OFF_T_LEN + sizeof("-/")];
    ngx_uint_t               i;
    ngx_http_media_range_t  *range;

    range = mctx->ranges.elts;
    length = sizeof(CRLF "--" "--" CRLF) - 1 + mctx->boundary.len;

    for (i = 0; i < mctx->ranges.nelts; i++) {
        length += ngx_sprintf(buf, "%O-%O/%O", range[i].start,
                              range[i].end - 1, mctx->total)
                  - buf;
        length += sizeof(CRLF "--" CRLF "Content-Range: bytes " CRLF CRLF) - 1
                  + mctx->boundary.len + range[i].end - range[i].start;

        if (mctx->type.len) {
            length += sizeof("Content-Type: " CRLF) - 1 + mctx->type.len;
        }
    }

    return length;
}


ngx_int_t
ngx_http_media_multirange_body(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next)
{
    ngx_int_t                         rc;
    ngx_chain_t                      *cl;
    ngx_http_media_multirange_ctx_t  *mctx;

    mctx = ngx_http_media_multirange_get(r);

    if (mctx == NULL) {
        return NGX_DECLINED;
    }

    if (mctx->body && !mctx->done && in) {
        return ngx_http_media_multirange_collect(r, mctx, in, next);
    }

    for (cl = in; cl; cl = cl->next) {
        mctx->last |= cl->buf->last_buf;
        ngx_http_media_multirange_consume(cl->buf);
    }

    rc = next(r, NULL);

    if (rc == NGX_ERROR || mctx->body || mctx->done || !mctx->last) {
        return rc;
    }

    return ngx_http_media_multirange_next(r, mctx, next);
}


/* the core makes several parts of a body that is one buffer only */

static ngx_int_t
ngx_http_media_multirange_collect(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next)
{
    ngx_buf_t    *b;
    ngx_chain_t   out, *cl;

    for (cl = in; cl; cl = cl->next) {
        if (ngx_http_media_multirange_copy(r, mctx, cl->buf) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_media_multirange_consume(cl->buf);
    }

    if (mctx->received < mctx->total) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = mctx->body;
    b->last = mctx->body + mctx->total;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    mctx->done = 1;

    return next(r, &out);
}


static ngx_int_t
ngx_http_media_multirange_copy(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx, ngx_buf_t *b)
{
    off_t    size;
    u_char  *p;

    if (ngx_buf_special(b)) {
        return NGX_OK;
    }

    size = ngx_buf_size(b);
    p = mctx->body + mctx->received;

    if (size > mctx->total - mctx->received) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "media ranges: body is longer than announced");
        return NGX_ERROR;
    }

    if (ngx_buf_in_memory(b)) {
        ngx_memcpy(p, b->pos, (size_t) size);

    } else if (ngx_read_file(b->file, p, (size_t) size, b->file_pos) != size) {
        return NGX_ERROR;
    }

    mctx->received += size;

    return NGX_OK;
}


static void
ngx_http_media_multirange_consume(ngx_buf_t *b)
{
    b->pos = b->last;

    if (b->in_file) {
        b->file_pos = b->file_last;
    }
}


/* called again when a part is over, and when the client can be written to */

static ngx_int_t
ngx_http_media_multirange_next(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx, ngx_http_output_body_filter_pt next)
{
    ngx_int_t                rc;
    ngx_http_media_range_t  *range;

    if (mctx->part) {

        if (!mctx->part->done) {
            return NGX_OK;
        }

        range = mctx->ranges.elts;
        range += mctx->next - 1;

        if (mctx->received != range->end - range->start) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "media ranges: %O of %O bytes of a part",
                          mctx->received, range->end - range->start);
            return NGX_ERROR;
        }

        mctx->part = NULL;
    }

    if (!mctx->headed) {
        rc = ngx_http_media_multirange_write(r, mctx, next);

        if (rc == NGX_ERROR || mctx->done) {
            return rc;
        }

        mctx->headed = 1;
    }

    if (r->buffered) {
        return NGX_AGAIN;
    }

    return ngx_http_media_multirange_request(r, mctx);
}


/* the header of the next part, or the end */

static ngx_int_t
ngx_http_media_multirange_write(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx, ngx_http_output_body_filter_pt next)
{
    size_t                   size;
    ngx_buf_t               *b;
    ngx_chain_t              out;
    ngx_http_media_range_t  *range;

    size = sizeof(CRLF "--" CRLF "Content-Type: " CRLF
                  "Content-Range: bytes -/" CRLF CRLF)
           + mctx->boundary.len + mctx->type.len + 3 * NGX_OFF_T_LEN;

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_ERROR;
    }

    if (mctx->next == mctx->ranges.nelts) {
        b->last = ngx_sprintf(b->last, CRLF "--%V--" CRLF, &mctx->boundary);
        b->last_buf = 1;
        mctx->done = 1;

    } else {
        range = mctx->ranges.elts;
        b->last = ngx_http_media_multirange_print(mctx, &range[mctx->next],
                                                  b->last, b->end);
    }

    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return next(r, &out);
}


static u_char *
ngx_http_media_multirange_print(ngx_http_media_multirange_ctx_t *mctx,
    ngx_http_media_range_t *range, u_char *p, u_char *last)
{
    p = ngx_slprintf(p, last, CRLF "--%V" CRLF, &mctx->boundary);

    if (mctx->type.len) {
        p = ngx_slprintf(p, last, "Content-Type: %V" CRLF, &mctx->type);
    }

    return ngx_slprintf(p, last, "Content-Range: bytes %O-%O/%O" CRLF CRLF,
                        range->start, range->end - 1, mctx->total);
}


static ngx_int_t
ngx_http_media_multirange_request(ngx_http_request_t *r,
    ngx_http_media_multirange_ctx_t *mctx)
{
    u_char                     *p;
    ngx_str_t                   key, uri;
    ngx_http_media_range_t     *range;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (ngx_http_media_s3_key(r, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    uri.len = lcf->multirange.location.len + key.len;
    uri.data = ngx_pnalloc(r->pool, uri.len);
    p = ngx_pnalloc(r->pool, sizeof("bytes=-") + 2 * NGX_OFF_T_LEN);

    if (uri.data == NULL || p == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(uri.data, "%V%V", &lcf->multirange.location, &key);

    range = mctx->ranges.elts;
    range += mctx->next;

    mctx->range.data = p;
    mctx->range.len = ngx_sprintf(p, "bytes=%O-%O", range->start,
                                  range->end - 1)
                      - p;

    if (ngx_http_subrequest(r, &uri, NULL, &mctx->part, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    mctx->received = 0;
    mctx->headed = 0;
    mctx->next++;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_multirange_part_header(ngx_http_request_t *r)
{
    u_char                            buf[sizeof("bytes -/")
                                          + 3 * NGX_OFF_T_LEN];
    ngx_str_t                         expected, *value;
    ngx_http_media_range_t           *range;
    ngx_http_media_multirange_ctx_t  *mctx;

    mctx = ngx_http_media_multirange_get(r->main);

    if (mctx == NULL || mctx->part != r) {
        return NGX_OK;
    }

    range = mctx->ranges.elts;
    range += mctx->next - 1;

    expected.data = buf;
    expected.len = ngx_sprintf(buf, "bytes %O-%O/%O", range->start,
                               range->end - 1, mctx->total)
                   - buf;

    if (r->headers_out.status != NGX_HTTP_PARTIAL_CONTENT
        || r->headers_out.content_range == NULL
        || r->headers_out.etag == NULL)
    {
        goto failed;
    }

    value = &r->headers_out.content_range->value;

    if (value->len != expected.len
        || ngx_memcmp(value->data, expected.data, expected.len) != 0)
    {
        goto failed;
    }

    value = &r->headers_out.etag->value;

    if (value->len != mctx->etag.len
        || ngx_memcmp(value->data, mctx->etag.data, value->len) != 0)
    {
        goto failed;
    }

    return NGX_OK;

failed:

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "media ranges: s3 answered %ui to \"%V\"",
                  r->headers_out.status, &mctx->range);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_media_multirange_part_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t                      *cl;
    ngx_http_media_range_t           *range;
    ngx_http_media_multirange_ctx_t  *mctx;

    mctx = ngx_http_media_multirange_get(r->main);

    if (mctx == NULL || mctx->part != r) {
        return NGX_OK;
    }

    for (cl = in; cl; cl = cl->next) {
        if (!ngx_buf_special(cl->buf)) {
            mctx->received += ngx_buf_size(cl->buf);
        }
    }

    range = mctx->ranges.elts;
    range += mctx->next - 1;

    return (mctx->received <= range->end - range->start) ? NGX_OK : NGX_ERROR;
}


static ngx_http_media_multirange_ctx_t *
ngx_http_media_multirange_get(ngx_http_request_t *r)
{
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    return ctx ? ctx->multirange : NULL;
}


ngx_int_t
ngx_http_media_multirange_range(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_media_multirange_ctx_t  *mctx;

    mctx = ngx_http_media_multirange_get(r->main);

    if (mctx == NULL || mctx->part == NULL) {
        return NGX_DECLINED;
    }

    *value = mctx->range;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_multirange_etag(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_media_multirange_ctx_t  *mctx;

    mctx = ngx_http_media_multirange_get(r->main);

    if (mctx == NULL || mctx->part == NULL) {
        return NGX_DECLINED;
    }

    *value = mctx->etag;

    return NGX_OK;
}


char *
ngx_http_media_multirange_merge_loc(ngx_conf_t *cf,
    ngx_http_media_multirange_loc_conf_t *prev,
    ngx_http_media_multirange_loc_conf_t *conf)
{
    ngx_conf_merge_str_value(conf->location, prev->location, "");

    if (conf->location.len
        && (conf->location.data[0] != '/'
            || conf->location.data[conf->location.len - 1] != '/'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_range_location\" must begin and end with "
                           "a slash, as in \"/media-range/\"");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
