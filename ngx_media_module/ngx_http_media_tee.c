
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <hiredis/hiredis.h>

#include "ngx_http_media.h"
#include "media_disposition.h"


#define NGX_HTTP_MEDIA_TEE_DISPOSITION  256     /* bytes kept as they are */


#define NGX_HTTP_MEDIA_TEE_REFUSED  1000    /* ms */


/* what goes on when the request may be gone: the object on its way to Redis */
typedef struct {
    ngx_http_media_entry_t     *entry;
    ngx_http_media_lease_t     *lease;      /* NULL: none waits for it */
} ngx_http_media_tee_store_t;


static ngx_int_t ngx_http_media_tee_cacheable(ngx_http_request_t *r,
    media_entry_t *head);
static off_t ngx_http_media_tee_length(ngx_http_request_t *r);
static off_t ngx_http_media_tee_total(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_tee_headers(ngx_http_request_t *r,
    media_entry_t *entry);
static ngx_int_t ngx_http_media_tee_disposition(ngx_http_request_t *r,
    media_entry_t *head);
static ngx_int_t ngx_http_media_tee_start(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *head);
static ngx_uint_t ngx_http_media_tee_wanted(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
static ngx_http_media_lease_outcome_e ngx_http_media_tee_outcome(
    ngx_http_request_t *r);
static time_t ngx_http_media_tee_ttl(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *entry);
static ngx_int_t ngx_http_media_tee_copy(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_buf_t *b);
static ngx_int_t ngx_http_media_tee_read(ngx_http_media_cache_ctx_t *cctx,
    ngx_buf_t *b);
static void ngx_http_media_tee_end(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
static ngx_int_t ngx_http_media_tee_store(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_http_media_entry_t *entry);
static void ngx_http_media_tee_stored(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);
static void ngx_http_media_tee_drop(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, const char *reason);


void
ngx_http_media_tee_header(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
    media_entry_t  head;

    if (cctx->copy) {
        ngx_http_media_tee_drop(r, cctx, "another response follows");
    }

    if (cctx->full || (r->upstream == NULL && cctx->lease == NULL)) {
        return;
    }

    if (ngx_http_media_tee_cacheable(r, &head) == NGX_OK
        && ngx_http_media_tee_start(r, cctx, &head) == NGX_OK)
    {
        return;
    }

    ngx_http_media_flight_leave(cctx, ngx_http_media_tee_outcome(r));
}


/* whole objects that are allowed to be stored */

static ngx_int_t
ngx_http_media_tee_cacheable(ngx_http_request_t *r, media_entry_t *head)
{
    off_t                       length;
    ngx_http_media_loc_conf_t  *lcf;

    if (r->method != NGX_HTTP_GET || r->upstream == NULL) {
        return NGX_DECLINED;
    }

#if (NGX_HTTP_CACHE)

    /* what is served for want of a newer one is not kept for as long */

    if (r->upstream->cache_status == NGX_HTTP_CACHE_STALE
        || r->upstream->cache_status == NGX_HTTP_CACHE_UPDATING)
    {
        return NGX_DECLINED;
    }

#endif

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    length = ngx_http_media_tee_length(r);

    if (length < 0 || length > (off_t) lcf->cache.max_size) {
        return NGX_DECLINED;
    }

    ngx_memzero(head, sizeof(media_entry_t));

    head->length = length;
    head->last_modified = r->headers_out.last_modified_time;
    media_str_set(&head->content_type,
                  (char *) r->headers_out.content_type.data,
                  r->headers_out.content_type.len);

    if (r->headers_out.etag) {
        media_str_set(&head->etag,
                      (char *) r->headers_out.etag->value.data,
                      r->headers_out.etag->value.len);
    }

    if (ngx_http_media_tee_headers(r, head) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_media_tee_disposition(r, head);
}


/* a long name in percent-encoding is more than the head of an entry holds */

static ngx_int_t
ngx_http_media_tee_disposition(ngx_http_request_t *r, media_entry_t *head)
{
    u_char  *p;

    if (head->disposition.len <= NGX_HTTP_MEDIA_TEE_DISPOSITION) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, MEDIA_DISPOSITION_COMPACT_MAX);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    head->disposition.len = media_disposition_compact((char *) p,
                                                      head->disposition);
    head->disposition.data = (char *) p;

    return NGX_OK;
}


/* the length of a response that is a whole object, or -1 */

static off_t
ngx_http_media_tee_length(ngx_http_request_t *r)
{
    off_t  length;

    length = r->headers_out.content_length_n;

    if (r->headers_out.status == NGX_HTTP_OK) {
        return length;
    }

    /* the first slice of an object may be all of it */

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        && length > 0
        && length == ngx_http_media_tee_total(r))
    {
        return length;
    }

    return -1;
}


/* the length of the object in Content-Range, or -1 */

static off_t
ngx_http_media_tee_total(ngx_http_request_t *r)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_out.content_range;

    if (h == NULL || h->hash == 0) {
        return -1;
    }

    last = h->value.data + h->value.len;
    p = ngx_strlchr(h->value.data, last, '/');

    if (p == NULL || ++p == last) {
        return -1;
    }

    return ngx_atoof(p, last - p);
}


/* NGX_DECLINED if a header forbids to store the response */

static ngx_int_t
ngx_http_media_tee_headers(ngx_http_request_t *r, media_entry_t *entry)
{
    u_char           *p, *last;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NGX_OK;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash == 0) {
            continue;
        }

        p = h[i].value.data;
        last = p + h[i].value.len;

        switch (h[i].key.len) {

        case sizeof("Vary") - 1:
            if (ngx_strcasecmp(h[i].key.data, (u_char *) "Vary") == 0
                && ngx_strlchr(p, last, '*'))
            {
                return NGX_DECLINED;
            }

            break;

        case sizeof("Cache-Control") - 1:
            if (ngx_strcasecmp(h[i].key.data, (u_char *) "Cache-Control") == 0
                && (ngx_strlcasestrn(p, last, (u_char *) "private", 7 - 1)
                    || ngx_strlcasestrn(p, last, (u_char *) "no-store",
                                        8 - 1)))
            {
                return NGX_DECLINED;
            }

            break;

        case sizeof("Content-Encoding") - 1:
            if (ngx_strcasecmp(h[i].key.data, (u_char *) "Content-Encoding")
                == 0)
            {
                return NGX_DECLINED;
            }

            break;

        case sizeof("Content-Disposition") - 1:
            if (ngx_strcasecmp(h[i].key.data,
                               (u_char *) "Content-Disposition")
                == 0)
            {
                media_str_set(&entry->disposition, (char *) p,
                              h[i].value.len);
            }

            break;
        }
    }
}


static ngx_int_t
ngx_http_media_tee_start(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *head)
{
    u_char                       data[MEDIA_ENTRY_HEAD];
    ngx_http_media_entry_t      *copy;
    ngx_http_media_main_conf_t  *mcf;

    if (!ngx_http_media_tee_wanted(r, cctx)
        || media_entry_encode(data, head) != MEDIA_OK)
    {
        return NGX_DECLINED;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);

    copy = ngx_http_media_entry_create(mcf, &cctx->key,
                                       MEDIA_ENTRY_HEAD + head->length);
    if (copy == NULL) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "media tee: no room for a copy");
        return NGX_DECLINED;
    }

    cctx->copy = copy;
    cctx->copy_pos = ngx_cpymem(copy->data, data, MEDIA_ENTRY_HEAD);

    if (media_entry_decode(&copy->head, copy->data, MEDIA_ENTRY_HEAD)
        != MEDIA_OK)
    {
        ngx_http_media_entry_release(copy);
        cctx->copy = NULL;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* a copy is for Redis, or for those who wait */

static ngx_uint_t
ngx_http_media_tee_wanted(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
    ngx_media_redis_t           *redis;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);
    redis = ngx_http_media_cache_redis(&mcf->cache);

    if (redis
        && ngx_media_redis_ready(redis)
        && (ngx_msec_int_t) (ngx_current_msec - mcf->cache.refused) >= 0)
    {
        return 1;
    }

    /* what is on disk is there for the others as well */

    return cctx->lease && cctx->tier != NGX_HTTP_MEDIA_TIER_DISK;
}


/* why those who wait do not have this response */

static ngx_http_media_lease_outcome_e
ngx_http_media_tee_outcome(ngx_http_request_t *r)
{
    off_t                       total;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (r->headers_out.status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return NGX_HTTP_MEDIA_LEASE_FAILED;
    }

    total = -1;

    if (r->headers_out.status == NGX_HTTP_OK) {
        total = r->headers_out.content_length_n;

    } else if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT) {
        total = ngx_http_media_tee_total(r);
    }

    return (total > (off_t) lcf->cache.max_size)
           ? NGX_HTTP_MEDIA_LEASE_LARGE : NGX_HTTP_MEDIA_LEASE_OPEN;
}


static time_t
ngx_http_media_tee_ttl(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *entry)
{
    ngx_str_t                   type;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    type.data = (u_char *) entry->content_type.data;
    type.len = entry->content_type.len;

    return lcf->cache.ttl[ngx_http_media_category(&cctx->object_key, &type)];
}


void
ngx_http_media_tee_body(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    for (cl = in; cl && cctx->copy; cl = cl->next) {

        if (ngx_http_media_tee_copy(r, cctx, cl->buf) != NGX_OK) {
            return;
        }

        if (cl->buf->last_buf) {
            ngx_http_media_tee_end(r, cctx);
        }
    }
}


static ngx_int_t
ngx_http_media_tee_copy(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_buf_t *b)
{
    off_t  size;

    if (ngx_buf_special(b)) {
        return NGX_OK;
    }

    size = ngx_buf_size(b);

    if (size > cctx->copy->data + cctx->copy->len - cctx->copy_pos) {
        ngx_http_media_tee_drop(r, cctx, "body is longer than announced");
        return NGX_DECLINED;
    }

    if (ngx_buf_in_memory(b)) {
        cctx->copy_pos = ngx_cpymem(cctx->copy_pos, b->pos, (size_t) size);
        return NGX_OK;
    }

    if (ngx_http_media_tee_read(cctx, b) != NGX_OK) {
        ngx_http_media_tee_drop(r, cctx, "body cannot be read");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* of proxy_cache, or a temporary file: media_cache_max_size at most */

static ngx_int_t
ngx_http_media_tee_read(ngx_http_media_cache_ctx_t *cctx, ngx_buf_t *b)
{
    off_t    offset;
    size_t   size;
    ssize_t  n;

    for (offset = b->file_pos; offset < b->file_last; offset += n) {
        size = (size_t) (b->file_last - offset);

        n = ngx_read_file(b->file, cctx->copy_pos, size, offset);

        if (n <= 0) {
            return NGX_ERROR;
        }

        cctx->copy_pos += n;
    }

    return NGX_OK;
}


static void
ngx_http_media_tee_end(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
    ngx_http_media_entry_t  *entry;

    entry = cctx->copy;

    if (cctx->copy_pos != entry->data + entry->len) {
        ngx_http_media_tee_drop(r, cctx, "body is short");
        return;
    }

    cctx->copy = NULL;

    ngx_http_media_entry_list(entry);
    ngx_http_media_flight_land(cctx, entry);

    if (ngx_http_media_tee_store(r, cctx, entry) != NGX_OK) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "media tee: redis is busy or down");

        /* the others of the host fetch one after the other */

        ngx_http_media_flight_leave(cctx, NGX_HTTP_MEDIA_LEASE_FAILED);
        ngx_http_media_entry_release(entry);
    }
}


static ngx_int_t
ngx_http_media_tee_store(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_http_media_entry_t *entry)
{
    time_t                       ttl;
    u_char                       expires[NGX_TIME_T_LEN];
    ngx_str_t                    argv[5];
    ngx_media_redis_t           *redis;
    ngx_http_media_main_conf_t  *mcf;
    ngx_http_media_tee_store_t  *store;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);

    redis = ngx_http_media_cache_redis(&mcf->cache);
    if (redis == NULL) {
        return NGX_DECLINED;
    }

    ttl = ngx_http_media_tee_ttl(r, cctx, &entry->head);

    ngx_str_set(&argv[0], "SET");
    argv[1] = entry->node.str;
    argv[2].data = entry->data;
    argv[2].len = entry->len;
    ngx_str_set(&argv[3], "EX");
    argv[4].data = expires;
    argv[4].len = ngx_sprintf(expires, "%T", ttl) - expires;

    store = ngx_alloc(sizeof(ngx_http_media_tee_store_t), ngx_cycle->log);
    if (store == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_media_redis_send_view(redis, argv, ttl ? 5 : 3, 2, 0,
                                  ngx_http_media_tee_stored, store)
        == NULL)
    {
        ngx_free(store);
        return NGX_DECLINED;
    }

    store->entry = entry;
    store->lease = cctx->lease;
    cctx->lease = NULL;

    return NGX_OK;
}


static void
ngx_http_media_tee_stored(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    ngx_uint_t                   stored;
    ngx_http_media_tee_store_t  *store;

    store = job->data;
    stored = (reply && reply->type == REDIS_REPLY_STATUS);

    if (reply) {
        ngx_media_redis_free(reply->object);
    }

    if (reply && !stored) {

        /* a Redis that is full, or a replica, is not sent all of them */

        store->entry->mcf->cache.refused = ngx_current_msec
                                           + NGX_HTTP_MEDIA_TEE_REFUSED;
    }

    if (stored) {
        ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_TEE_STORED);
    }

    if (store->lease) {
        ngx_http_media_lease_release(store->lease,
                                     stored ? NGX_HTTP_MEDIA_LEASE_STORED
                                            : NGX_HTTP_MEDIA_LEASE_FAILED);
    }

    ngx_http_media_entry_release(store->entry);
    ngx_free(store);
}


static void
ngx_http_media_tee_drop(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, const char *reason)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "media tee: %s", reason);

    ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_TEE_ABORTED);

    ngx_http_media_entry_release(cctx->copy);
    cctx->copy = NULL;

    ngx_http_media_flight_leave(cctx, NGX_HTTP_MEDIA_LEASE_FAILED);
}
