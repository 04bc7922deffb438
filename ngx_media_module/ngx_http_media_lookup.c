
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <hiredis/hiredis.h>

#include "ngx_http_media.h"


/* what an entry takes beside its body */
#define NGX_HTTP_MEDIA_LOOKUP_ROOM                                            \
    (MEDIA_ENTRY_HEAD + sizeof(ngx_http_media_entry_t))


static ngx_int_t ngx_http_media_lookup_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_lookup_answered(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
static ngx_int_t ngx_http_media_lookup_guard(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key);
static ngx_int_t ngx_http_media_lookup_key(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
static ngx_int_t ngx_http_media_lookup_start(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key);
static ngx_http_media_cache_ctx_t *ngx_http_media_lookup_leader(
    ngx_http_request_t *r, ngx_str_t *key);
static ngx_int_t ngx_http_media_lookup_wait(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
static ngx_int_t ngx_http_media_lookup_ask(
    ngx_http_media_cache_ctx_t *cctx);
static void ngx_http_media_lookup_done(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);
static ngx_int_t ngx_http_media_lookup_take(ngx_http_media_cache_ctx_t *cctx,
    ngx_media_redis_reply_t *reply);
static ngx_int_t ngx_http_media_lookup_body(ngx_http_media_cache_ctx_t *cctx,
    ngx_media_redis_reply_t *reply);
static ngx_int_t ngx_http_media_lookup_bodiless(ngx_http_request_t *r,
    media_entry_t *entry);
static void ngx_http_media_lookup_detach(void *data);
static void ngx_http_media_lookup_cleanup(void *data);


static ngx_int_t
ngx_http_media_lookup_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                   key;
    ngx_http_media_ctx_t       *ctx;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (lcf->metrics) {
        return NGX_DECLINED;
    }

    if (ctx && ctx->cache) {
        return ngx_http_media_lookup_answered(r, ctx->cache);
    }

    rc = ngx_http_media_auth_check(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!lcf->serve.enable && !lcf->cache.enable && lcf->s3.key == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_media_lookup_guard(r, lcf, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_media_serve_request(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!lcf->cache.enable
        || r != r->main
        || !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)))
    {
        return NGX_DECLINED;
    }

    return ngx_http_media_lookup_start(r, lcf, &key);
}


/* the phase handler is called again when there is an answer */

static ngx_int_t
ngx_http_media_lookup_answered(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
    if (cctx->job || cctx->waiting) {
        return NGX_AGAIN;
    }

    cctx->waited = ngx_current_msec - cctx->start;

    if (cctx->status == NGX_HTTP_MEDIA_CACHE_HIT) {
        r->content_handler = ngx_http_media_cached_handler;
    }

    return NGX_DECLINED;
}


/* what S3 must not be asked for ends here, before a backend hears of it */

static ngx_int_t
ngx_http_media_lookup_guard(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key)
{
    media_str_t  name;

    if (ngx_http_media_s3_key(r, key) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (lcf->s3.endpoint.len == 0) {
        return NGX_OK;
    }

    if (key->len == 0) {
        return NGX_HTTP_NOT_FOUND;
    }

    media_str_set(&name, (char *) key->data, key->len);

    if (media_key_check(name) != MEDIA_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent invalid object key");
        return NGX_HTTP_BAD_REQUEST;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_lookup_key(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
    ngx_int_t    rc;
    ngx_str_t    value;
    media_str_t  key;

    cctx->start = ngx_current_msec;
    ngx_http_media_metrics_lookup(r, cctx);

    rc = ngx_http_media_cache_key(r, &cctx->object_key, &value);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? rc : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cctx->key.data = ngx_pnalloc(r->pool, MEDIA_ENTRY_KEY_LEN);
    if (cctx->key.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cctx->key.len = MEDIA_ENTRY_KEY_LEN;

    media_str_set(&key, (char *) value.data, value.len);
    media_entry_key((char *) cctx->key.data, key);

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_lookup_start(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key)
{
    ngx_int_t                    rc;
    ngx_http_cleanup_t          *cln;
    ngx_pool_cleanup_t          *pcln;
    ngx_http_media_ctx_t        *ctx;
    ngx_http_media_cache_ctx_t  *cctx, *leader;

    ctx = ngx_http_media_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cctx = ngx_pcalloc(r->pool, sizeof(ngx_http_media_cache_ctx_t));
    if (cctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cctx->request = r;
    cctx->object_key = *key;

    rc = ngx_http_media_lookup_key(r, cctx);

    if (rc != NGX_OK) {
        return rc;
    }

    leader = ngx_http_media_lookup_leader(r, &cctx->key);

    if (leader) {
        ctx->cache = leader;
        return NGX_DECLINED;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* an object may be in output buffers until the pool is destroyed */

    pcln = ngx_pool_cleanup_add(r->pool, 0);
    if (pcln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_media_lookup_detach;
    cln->data = cctx;

    pcln->handler = ngx_http_media_lookup_cleanup;
    pcln->data = cctx;

    ctx->cache = cctx;

    if (ngx_http_test_predicates(r, lcf->cache.bypass) != NGX_OK) {
        cctx->status = NGX_HTTP_MEDIA_CACHE_BYPASS;
        return NGX_DECLINED;
    }

    cctx->status = NGX_HTTP_MEDIA_CACHE_MISS;

    return ngx_http_media_lookup_wait(r, cctx);
}


/* an internal redirect of the request that fetches the same object */

static ngx_http_media_cache_ctx_t *
ngx_http_media_lookup_leader(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_http_cleanup_t          *cln;
    ngx_http_media_cache_ctx_t  *cctx;

    for (cln = r->cleanup; cln; cln = cln->next) {

        if (cln->handler != ngx_http_media_lookup_detach) {
            continue;
        }

        cctx = cln->data;

        if (cctx->lease == NULL) {
            continue;
        }

        if (ngx_memcmp(cctx->key.data, key->data, key->len) == 0) {
            return cctx;
        }

        ngx_http_media_flight_leave(cctx, NGX_HTTP_MEDIA_LEASE_FAILED);
    }

    return NULL;
}


static ngx_int_t
ngx_http_media_lookup_wait(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
    ngx_int_t                    rc;
    ngx_http_media_loc_conf_t   *lcf;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    cctx->deadline = ngx_current_msec + mcf->cache.redis.timeout;

    /* what may do without the body, or may find no room for it */

    cctx->head = (r->method == NGX_HTTP_HEAD
                  || r->headers_in.if_none_match
                  || r->headers_in.if_modified_since
                  || ngx_http_media_entry_room(mcf)
                     < lcf->cache.max_size + NGX_HTTP_MEDIA_LOOKUP_ROOM);

    if (!cctx->head) {
        rc = ngx_http_media_flight_join(cctx, 0);

    } else {
        rc = ngx_http_media_lookup_ask(cctx);

        if (rc == NGX_DECLINED && r->method == NGX_HTTP_GET) {
            rc = ngx_http_media_flight_join(cctx, 1);
        }
    }

    if (rc == NGX_AGAIN) {
        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = ngx_http_request_empty_handler;
    }

    return rc;
}


static ngx_int_t
ngx_http_media_lookup_ask(ngx_http_media_cache_ctx_t *cctx)
{
    ngx_str_t                    argv[4];
    ngx_media_redis_t           *redis;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(cctx->request, ngx_http_media_module);

    redis = ngx_http_media_cache_redis(&mcf->cache);
    if (redis == NULL) {
        return NGX_DECLINED;
    }

    ngx_str_set(&argv[0], "GETRANGE");
    argv[1] = cctx->key;
    ngx_str_set(&argv[2], "0");
    ngx_str_set(&argv[3], NGX_HTTP_MEDIA_HEAD_LAST);

    cctx->job = ngx_media_redis_send(redis, argv, 4, 0,
                                     ngx_http_media_lookup_done, cctx);

    return cctx->job ? NGX_AGAIN : NGX_DECLINED;
}


static void
ngx_http_media_lookup_done(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    ngx_http_request_t          *r;
    ngx_http_media_cache_ctx_t  *cctx;

    cctx = job->data;

    if (cctx == NULL) {
        if (reply) {
            ngx_media_redis_free(reply->object);
        }

        return;
    }

    r = cctx->request;
    cctx->job = NULL;

    ngx_http_set_log_request(r->connection->log, r);

    if (ngx_http_media_lookup_take(cctx, reply) != NGX_AGAIN) {
        ngx_http_media_lookup_resume(cctx);
    }
}


void
ngx_http_media_lookup_resume(ngx_http_media_cache_ctx_t *cctx)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = cctx->request;
    c = r->connection;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0, "media lookup: %d",
                   (int) cctx->status);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


/* the head of an entry, or nothing; NGX_AGAIN if the request waits on */

static ngx_int_t
ngx_http_media_lookup_take(ngx_http_media_cache_ctx_t *cctx,
    ngx_media_redis_reply_t *reply)
{
    media_entry_t               *entry;
    ngx_http_request_t          *r;
    ngx_http_media_main_conf_t  *mcf;

    r = cctx->request;
    entry = &cctx->entry;

    if (reply == NULL) {
        goto missed;
    }

    /* GETRANGE of an absent key is an empty string */

    if (reply->type != REDIS_REPLY_STRING || reply->str.len == 0) {
        ngx_media_redis_free(reply->object);
        goto missed;
    }

    if (reply->str.len != MEDIA_ENTRY_HEAD
        || media_entry_decode(entry, reply->str.data, reply->str.len)
           != MEDIA_OK)
    {
        mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);

        ngx_media_redis_free(reply->object);
        ngx_http_media_lookup_damaged(mcf, &cctx->key);
        goto missed;
    }

    if (r->method == NGX_HTTP_GET
        && ngx_http_media_lookup_bodiless(r, entry) != NGX_OK)
    {
        return ngx_http_media_lookup_body(cctx, reply);
    }

    cctx->status = NGX_HTTP_MEDIA_CACHE_HIT;
    cctx->tier = NGX_HTTP_MEDIA_TIER_REDIS;
    cctx->reply = reply->object;

    return NGX_OK;

missed:

    return (r->method == NGX_HTTP_GET) ? ngx_http_media_flight_join(cctx, 1)
                                       : NGX_DECLINED;
}


static ngx_int_t
ngx_http_media_lookup_body(ngx_http_media_cache_ctx_t *cctx,
    ngx_media_redis_reply_t *reply)
{
    size_t                       len;
    ngx_uint_t                   same;
    ngx_http_media_entry_t      *shared;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(cctx->request, ngx_http_media_module);

    shared = ngx_http_media_entry_find(mcf, &cctx->key);

    same = (shared && ngx_memcmp(shared->data, reply->str.data,
                                 MEDIA_ENTRY_HEAD) == 0);

    len = cctx->entry.length;

    ngx_media_redis_free(reply->object);

    if (same) {
        ngx_http_media_flight_share(cctx, shared, NGX_HTTP_MEDIA_TIER_REDIS);
        return NGX_OK;
    }

    if (len + NGX_HTTP_MEDIA_LOOKUP_ROOM > ngx_http_media_entry_room(mcf)) {
        ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_BUFFERS_FULL);
        cctx->full = 1;
        return NGX_OK;
    }

    return ngx_http_media_flight_join(cctx, 0);
}


/* NGX_OK only if the header filter is certain to answer 304 or 412 */

static ngx_int_t
ngx_http_media_lookup_bodiless(ngx_http_request_t *r, media_entry_t *entry)
{
    ngx_str_t                   etag;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (!lcf->serve.enable) {
        return NGX_DECLINED;
    }

    etag.data = (u_char *) entry->etag.data;
    etag.len = entry->etag.len;

    return (ngx_http_media_condition_test(r, &etag, entry->last_modified)
            == NGX_OK) ? NGX_DECLINED : NGX_OK;
}


void
ngx_http_media_lookup_damaged(ngx_http_media_main_conf_t *mcf, ngx_str_t *key)
{
    ngx_str_t           argv[2];
    ngx_media_redis_t  *redis;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "media cache entry \"%V\" is damaged", key);
    ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_ENTRY_DAMAGED);

    redis = ngx_http_media_cache_redis(&mcf->cache);
    if (redis == NULL) {
        return;
    }

    ngx_str_set(&argv[0], "DEL");
    argv[1] = *key;

    (void) ngx_media_redis_send(redis, argv, 2, 0, NULL, NULL);
}


/* the request ends: it waits for nothing, and nobody for it */

static void
ngx_http_media_lookup_detach(void *data)
{
    ngx_http_media_cache_ctx_t  *cctx = data;

    if (cctx->job) {
        cctx->job->data = NULL;
        cctx->job = NULL;
    }

    ngx_http_media_flight_detach(cctx);
}


static void
ngx_http_media_lookup_cleanup(void *data)
{
    ngx_http_media_cache_ctx_t  *cctx = data;

    if (cctx->shared) {
        ngx_http_media_entry_release(cctx->shared);
    }

    if (cctx->copy) {
        ngx_http_media_entry_release(cctx->copy);
    }

    if (cctx->reply) {
        ngx_media_redis_free(cctx->reply);
    }
}


ngx_int_t
ngx_http_media_lookup_init(ngx_conf_t *cf)
{
    return ngx_http_media_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                      ngx_http_media_lookup_handler);
}
