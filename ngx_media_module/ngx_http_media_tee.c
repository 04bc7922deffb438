
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_tee_cacheable(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *entry);
static ngx_int_t ngx_http_media_tee_headers(ngx_http_request_t *r,
    media_entry_t *entry);
static void ngx_http_media_tee_start(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *entry);
static time_t ngx_http_media_tee_ttl(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *entry);
static void ngx_http_media_tee_copy(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_buf_t *b);
static void ngx_http_media_tee_drop(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, const char *reason);
static void ngx_http_media_tee_cleanup(void *data);


void
ngx_http_media_tee_header(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
    media_entry_t  entry;

    if (ngx_http_media_tee_cacheable(r, cctx, &entry) == NGX_OK) {
        ngx_http_media_tee_start(r, cctx, &entry);
    }
}


static ngx_int_t
ngx_http_media_tee_cacheable(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *entry)
{
    ngx_http_media_loc_conf_t  *lcf;

    if (cctx->status == NGX_HTTP_MEDIA_CACHE_HIT
        || r->method != NGX_HTTP_GET
        || r->upstream == NULL
        || r->headers_out.status != NGX_HTTP_OK
        || r->headers_out.content_length_n < 0)
    {
        return NGX_DECLINED;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (r->headers_out.content_length_n > (off_t) lcf->cache.max_size) {
        return NGX_DECLINED;
    }

    ngx_memzero(entry, sizeof(media_entry_t));

    entry->length = r->headers_out.content_length_n;
    entry->last_modified = r->headers_out.last_modified_time;
    media_str_set(&entry->content_type,
                  (char *) r->headers_out.content_type.data,
                  r->headers_out.content_type.len);

    if (r->headers_out.etag) {
        media_str_set(&entry->etag,
                      (char *) r->headers_out.etag->value.data,
                      r->headers_out.etag->value.len);
    }

    return ngx_http_media_tee_headers(r, entry);
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


static void
ngx_http_media_tee_start(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *entry)
{
    time_t                       ttl;
    u_char                       expires[NGX_TIME_T_LEN];
    u_char                       head[MEDIA_ENTRY_HEAD];
    ngx_str_t                    argv[5];
    ngx_media_redis_t           *redis;
    ngx_pool_cleanup_t          *cln;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);
    redis = ngx_http_media_cache_redis(&mcf->cache);

    if (redis == NULL || media_entry_encode(head, entry) != MEDIA_OK) {
        return;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return;
    }

    ttl = ngx_http_media_tee_ttl(r, cctx, entry);

    ngx_str_set(&argv[0], "SET");
    argv[1] = cctx->key;
    argv[2].data = NULL;
    argv[2].len = MEDIA_ENTRY_HEAD + entry->length;
    ngx_str_set(&argv[3], "EX");
    argv[4].data = expires;
    argv[4].len = ngx_sprintf(expires, "%T", ttl) - expires;

    cctx->tee = ngx_media_redis_job_create(redis, argv, ttl ? 5 : 3);

    if (cctx->tee == NULL) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "media tee: no room for a copy");
        return;
    }

    cln->handler = ngx_http_media_tee_cleanup;
    cln->data = cctx;

    cctx->tee_pos = ngx_cpymem(argv[2].data, head, MEDIA_ENTRY_HEAD);
    cctx->tee_end = argv[2].data + argv[2].len;
}


static time_t
ngx_http_media_tee_ttl(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, media_entry_t *entry)
{
    media_str_t                 key;
    media_category_t            category;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    media_str_set(&key, (char *) cctx->object_key.data,
                  cctx->object_key.len);

    category = media_category_by_key(key);

    if (category == MEDIA_CATEGORY_OTHER) {
        category = media_category_by_mime(entry->content_type);
    }

    return lcf->cache.ttl[category];
}


void
ngx_http_media_tee_body(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    for (cl = in; cl && cctx->tee; cl = cl->next) {
        ngx_http_media_tee_copy(r, cctx, cl->buf);
    }
}


static void
ngx_http_media_tee_copy(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_buf_t *b)
{
    size_t                  size;
    ngx_media_redis_t      *redis;
    ngx_media_redis_job_t  *job;

    if (ngx_buf_in_memory(b)) {
        size = b->last - b->pos;

        if (size > (size_t) (cctx->tee_end - cctx->tee_pos)) {
            ngx_http_media_tee_drop(r, cctx, "body is longer than announced");
            return;
        }

        cctx->tee_pos = ngx_cpymem(cctx->tee_pos, b->pos, size);

    } else if (b->in_file) {
        ngx_http_media_tee_drop(r, cctx, "body is in a file");
        return;
    }

    if (!b->last_buf) {
        return;
    }

    if (cctx->tee_pos != cctx->tee_end) {
        ngx_http_media_tee_drop(r, cctx, "body is short");
        return;
    }

    job = cctx->tee;
    redis = job->redis;

    if (ngx_media_redis_submit(redis, job, 0) != NGX_OK) {
        ngx_http_media_tee_drop(r, cctx, "redis is busy or down");
        return;
    }

    cctx->tee = NULL;
}


static void
ngx_http_media_tee_drop(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, const char *reason)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "media tee: %s", reason);

    ngx_media_redis_job_free(cctx->tee);
    cctx->tee = NULL;
}


static void
ngx_http_media_tee_cleanup(void *data)
{
    ngx_http_media_cache_ctx_t  *cctx = data;

    if (cctx->tee) {
        ngx_media_redis_job_free(cctx->tee);
    }
}
