
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <hiredis/hiredis.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_HEAD_LAST  "511"     /* MEDIA_ENTRY_HEAD - 1 */


static ngx_int_t ngx_http_media_lookup_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_lookup_answered(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
static ngx_int_t ngx_http_media_lookup_guard(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key);
static ngx_int_t ngx_http_media_lookup_key(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_http_media_cache_ctx_t *cctx);
static ngx_int_t ngx_http_media_lookup_start(ngx_http_request_t *r,
    ngx_http_media_loc_conf_t *lcf, ngx_str_t *key);
static ngx_int_t ngx_http_media_lookup_wait(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
static ngx_int_t ngx_http_media_lookup_ask(ngx_http_media_cache_ctx_t *cctx,
    ngx_uint_t head);
static void ngx_http_media_lookup_done(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);
static ngx_int_t ngx_http_media_lookup_take(ngx_http_media_cache_ctx_t *cctx,
    ngx_media_redis_reply_t *reply);
static ngx_int_t ngx_http_media_lookup_unmodified(ngx_http_request_t *r,
    media_entry_t *entry);
static void ngx_http_media_lookup_delete(ngx_http_media_cache_ctx_t *cctx);
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

    if (!lcf->serve.enable && lcf->s3.key == NULL) {
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
    if (cctx->job) {
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
    ngx_http_media_loc_conf_t *lcf, ngx_http_media_cache_ctx_t *cctx)
{
    ngx_int_t    rc;
    ngx_str_t    value;
    media_str_t  key;

    (void) lcf;

    cctx->start = ngx_current_msec;

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
    ngx_http_media_ctx_t        *ctx;
    ngx_http_media_cache_ctx_t  *cctx;

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

    rc = ngx_http_media_lookup_key(r, lcf, cctx);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->cache = cctx;

    if (ngx_http_test_predicates(r, lcf->cache.bypass) != NGX_OK) {
        cctx->status = NGX_HTTP_MEDIA_CACHE_BYPASS;
        return NGX_DECLINED;
    }

    cctx->status = NGX_HTTP_MEDIA_CACHE_MISS;

    return ngx_http_media_lookup_wait(r, cctx);
}


static ngx_int_t
ngx_http_media_lookup_wait(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx)
{
    ngx_uint_t                   head;
    ngx_http_cleanup_t          *cln;
    ngx_pool_cleanup_t          *pcln;
    ngx_http_media_main_conf_t  *mcf;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the reply may be in output buffers until the pool is destroyed */

    pcln = ngx_pool_cleanup_add(r->pool, 0);
    if (pcln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_media_lookup_detach;
    cln->data = cctx;

    pcln->handler = ngx_http_media_lookup_cleanup;
    pcln->data = cctx;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);
    cctx->deadline = ngx_current_msec + mcf->cache.redis.timeout;

    head = (r->method == NGX_HTTP_HEAD
            || (r->headers_in.if_none_match
                && r->headers_in.if_match == NULL
                && r->headers_in.if_unmodified_since == NULL));

    if (ngx_http_media_lookup_ask(cctx, head) != NGX_OK) {
        return NGX_DECLINED;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_media_lookup_ask(ngx_http_media_cache_ctx_t *cctx, ngx_uint_t head)
{
    ngx_str_t                    argv[4];
    ngx_msec_int_t               left;
    ngx_media_redis_t           *redis;
    ngx_media_redis_job_t       *job;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(cctx->request, ngx_http_media_module);

    redis = ngx_http_media_cache_redis(&mcf->cache);
    if (redis == NULL) {
        return NGX_BUSY;
    }

    left = (ngx_msec_int_t) (cctx->deadline - ngx_current_msec);

    if (left <= 0) {
        return NGX_BUSY;
    }

    ngx_str_set(&argv[0], "GET");
    argv[1] = cctx->key;

    if (head) {
        ngx_str_set(&argv[0], "GETRANGE");
        ngx_str_set(&argv[2], "0");
        ngx_str_set(&argv[3], NGX_HTTP_MEDIA_HEAD_LAST);
    }

    job = ngx_media_redis_job_create(redis, argv, head ? 4 : 2);
    if (job == NULL) {
        return NGX_BUSY;
    }

    job->handler = ngx_http_media_lookup_done;
    job->data = cctx;

    if (ngx_media_redis_submit(redis, job, left) != NGX_OK) {
        ngx_media_redis_job_free(job);
        return NGX_BUSY;
    }

    cctx->job = job;
    cctx->head = head ? 1 : 0;

    return NGX_OK;
}


static void
ngx_http_media_lookup_done(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    ngx_connection_t            *c;
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
    c = r->connection;
    cctx->job = NULL;

    ngx_http_set_log_request(c->log, r);

    if (reply && ngx_http_media_lookup_take(cctx, reply) == NGX_AGAIN) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0, "media lookup: %d",
                   (int) cctx->status);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


/* NGX_AGAIN if the body has been asked for as well */

static ngx_int_t
ngx_http_media_lookup_take(ngx_http_media_cache_ctx_t *cctx,
    ngx_media_redis_reply_t *reply)
{
    int64_t              len;
    media_entry_t       *entry;
    ngx_http_request_t  *r;

    r = cctx->request;
    entry = &cctx->entry;
    len = (int64_t) reply->str.len - MEDIA_ENTRY_HEAD;

    /* GETRANGE of an absent key is an empty string */

    if (reply->type != REDIS_REPLY_STRING || reply->str.len == 0) {
        ngx_media_redis_free(reply->object);
        return NGX_OK;
    }

    if (media_entry_decode(entry, reply->str.data, reply->str.len) != MEDIA_OK
        || len != (cctx->head ? 0 : entry->length))
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "media cache entry \"%V\" is damaged", &cctx->key);

        ngx_media_redis_free(reply->object);
        ngx_http_media_lookup_delete(cctx);
        return NGX_OK;
    }

    if (cctx->head
        && r->method != NGX_HTTP_HEAD
        && ngx_http_media_lookup_unmodified(r, entry) != NGX_OK)
    {
        ngx_media_redis_free(reply->object);

        return (ngx_http_media_lookup_ask(cctx, 0) == NGX_OK) ? NGX_AGAIN
                                                              : NGX_OK;
    }

    cctx->status = NGX_HTTP_MEDIA_CACHE_HIT;
    cctx->reply = reply->object;
    cctx->body = reply->str.data + MEDIA_ENTRY_HEAD;

    return NGX_OK;
}


/*
 * NGX_OK only if the not modified filter is certain to answer 304; it has
 * the last word, on lists of tags and on dates.
 */

static ngx_int_t
ngx_http_media_lookup_unmodified(ngx_http_request_t *r, media_entry_t *entry)
{
    ngx_str_t                 *tag;
    ngx_table_elt_t           *since;
    ngx_http_core_loc_conf_t  *clcf;

    tag = &r->headers_in.if_none_match->value;

    if (entry->etag.len == 0
        || entry->etag.data[0] != '"'
        || tag->len != entry->etag.len
        || ngx_memcmp(tag->data, entry->etag.data, tag->len) != 0)
    {
        return NGX_DECLINED;
    }

    since = r->headers_in.if_modified_since;

    if (since == NULL) {
        return NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->if_modified_since == NGX_HTTP_IMS_OFF
        || entry->last_modified == -1
        || ngx_parse_http_time(since->value.data, since->value.len)
           != entry->last_modified)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_http_media_lookup_delete(ngx_http_media_cache_ctx_t *cctx)
{
    ngx_str_t                    argv[2];
    ngx_media_redis_t           *redis;
    ngx_media_redis_job_t       *job;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(cctx->request, ngx_http_media_module);
    redis = ngx_http_media_cache_redis(&mcf->cache);

    ngx_str_set(&argv[0], "DEL");
    argv[1] = cctx->key;

    job = ngx_media_redis_job_create(redis, argv, 2);

    if (job && ngx_media_redis_submit(redis, job, 0) != NGX_OK) {
        ngx_media_redis_job_free(job);
    }
}


/* the request ends: nobody waits for the reply any more */

static void
ngx_http_media_lookup_detach(void *data)
{
    ngx_http_media_cache_ctx_t  *cctx = data;

    if (cctx->job) {
        cctx->job->data = NULL;
        cctx->job = NULL;
    }
}


static void
ngx_http_media_lookup_cleanup(void *data)
{
    ngx_http_media_cache_ctx_t  *cctx = data;

    if (cctx->reply) {
        ngx_media_redis_free(cctx->reply);
    }
}


ngx_int_t
ngx_http_media_lookup_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_media_lookup_handler;

    return NGX_OK;
}
