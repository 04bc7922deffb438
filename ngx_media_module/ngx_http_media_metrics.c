
/*
 * Copyright (C) ngx_media contributors
 *
 * What is counted, and when.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_METRICS_QUIET  10000     /* ms between log lines */


/* of a request that was in a location with media_proxy at some time */
typedef struct {
    uint64_t                     start;     /* microseconds, of a monotonic
                                               clock */
    ngx_http_media_cache_ctx_t  *cache;     /* of the last lookup; NULL */
} ngx_http_media_metrics_ctx_t;


static ngx_http_media_metrics_t *ngx_http_media_metrics_get(void);
static ngx_http_media_slot_t *ngx_http_media_metrics_slot(void);
static ngx_int_t ngx_http_media_metrics_rewrite(ngx_http_request_t *r);
static void ngx_http_media_metrics_destroyed(void *data);
static ngx_http_media_metrics_ctx_t *ngx_http_media_metrics_ctx(
    ngx_http_request_t *r);
static uint64_t ngx_http_media_metrics_now(void);
static ngx_int_t ngx_http_media_metrics_log(ngx_http_request_t *r);
static ngx_uint_t ngx_http_media_metrics_status(ngx_http_request_t *r);
static void ngx_http_media_metrics_cache(ngx_http_request_t *r,
    ngx_http_media_metrics_ctx_t *mctx, ngx_uint_t *status,
    ngx_uint_t *tier);
static void ngx_http_media_metrics_time(ngx_http_media_metrics_t *metrics,
    ngx_http_media_metrics_ctx_t *mctx, ngx_uint_t status);
static void ngx_http_media_metrics_webhook(ngx_http_media_metrics_t *metrics,
    ngx_http_request_t *r);
static void ngx_http_media_metrics_cleanup(void *data);
static void ngx_http_media_metrics_s3(ngx_http_media_metrics_t *metrics,
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_media_metrics_s3_class(
    ngx_http_upstream_state_t *state);
static void ngx_http_media_metrics_denied(ngx_http_request_t *r,
    ngx_uint_t denied);


/*
 * Upper bounds in microseconds; what nginx knows of the time, milliseconds,
 * is too coarse for hits.
 */
static uint64_t  ngx_http_media_metrics_bound[] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
    500000, 1000000, 2500000, 5000000, 10000000
};


ngx_str_t  ngx_http_media_metrics_bounds[] = {
    ngx_string("0.0001"), ngx_string("0.00025"), ngx_string("0.0005"),
    ngx_string("0.001"), ngx_string("0.0025"), ngx_string("0.005"),
    ngx_string("0.01"), ngx_string("0.025"), ngx_string("0.05"),
    ngx_string("0.1"), ngx_string("0.25"), ngx_string("0.5"),
    ngx_string("1"), ngx_string("2.5"), ngx_string("5"), ngx_string("10"),
    ngx_string("+Inf")
};


static ngx_http_media_metrics_t *
ngx_http_media_metrics_get(void)
{
    ngx_http_media_zone_t  *zone;

    zone = ngx_http_media_zone_get();

    return zone ? zone->sh->metrics : NULL;
}


void
ngx_http_media_count(ngx_http_media_count_e counter)
{
    ngx_http_media_metrics_t  *metrics;

    metrics = ngx_http_media_metrics_get();

    if (metrics) {
        (void) ngx_atomic_fetch_add(&metrics->counts[counter], 1);
    }
}


ngx_http_media_metrics_t *
ngx_http_media_metrics_create(ngx_slab_pool_t *shpool)
{
    return ngx_slab_calloc(shpool, sizeof(ngx_http_media_metrics_t));
}


void
ngx_http_media_metrics_redis(ngx_media_peer_stats_t *stats)
{
    ngx_http_media_slot_t  *slot;

    slot = ngx_http_media_metrics_slot();

    if (slot) {
        stats->states = slot->redis;
        stats->errors = ngx_http_media_metrics_get()->redis_errors;
    }
}


void
ngx_http_media_metrics_amqp(ngx_media_peer_stats_t *stats)
{
    ngx_http_media_slot_t  *slot;

    slot = ngx_http_media_metrics_slot();

    if (slot) {
        stats->states = slot->amqp;
        stats->errors = ngx_http_media_metrics_get()->amqp_errors;
    }
}


/* the slot of this process: its own, a free one or a dead process's */

static ngx_http_media_slot_t *
ngx_http_media_metrics_slot(void)
{
    ngx_uint_t                 i;
    ngx_atomic_uint_t          pid;
    ngx_http_media_slot_t     *slot;
    ngx_http_media_metrics_t  *metrics;

    metrics = ngx_http_media_metrics_get();

    if (metrics == NULL || ngx_process != NGX_PROCESS_WORKER) {
        return NULL;
    }

    for (i = 0; i < NGX_HTTP_MEDIA_METRICS_SLOTS; i++) {
        slot = &metrics->slots[i];

        if (slot->pid == (ngx_atomic_uint_t) ngx_pid) {
            return slot;
        }
    }

    for (i = 0; i < NGX_HTTP_MEDIA_METRICS_SLOTS; i++) {
        slot = &metrics->slots[i];
        pid = slot->pid;

        if ((pid == 0 || (kill((pid_t) pid, 0) == -1 && errno == ESRCH))
            && ngx_atomic_cmp_set(&slot->pid, pid, ngx_pid))
        {
            ngx_memzero((void *) slot->redis, sizeof(slot->redis));
            ngx_memzero((void *) slot->amqp, sizeof(slot->amqp));
            return slot;
        }
    }

    return NULL;
}


void
ngx_http_media_metrics_exit_process(void)
{
    ngx_uint_t                 i;
    ngx_http_media_metrics_t  *metrics;

    metrics = ngx_http_media_metrics_get();

    if (metrics == NULL) {
        return;
    }

    for (i = 0; i < NGX_HTTP_MEDIA_METRICS_SLOTS; i++) {
        (void) ngx_atomic_cmp_set(&metrics->slots[i].pid, ngx_pid, 0);
    }
}


/*
 * A location was found.  What is kept here outlives an internal redirect,
 * which takes the context of the module.
 */

static ngx_int_t
ngx_http_media_metrics_rewrite(ngx_http_request_t *r)
{
    int64_t                        ms;
    ngx_time_t                    *tp;
    ngx_pool_cleanup_t            *cln;
    ngx_http_media_loc_conf_t     *lcf;
    ngx_http_media_metrics_ctx_t  *mctx;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (!lcf->serve.enable
        || r != r->main
        || ngx_http_media_metrics_ctx(r) != NULL)
    {
        return NGX_DECLINED;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_media_metrics_ctx_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mctx = cln->data;
    cln->handler = ngx_http_media_metrics_destroyed;

    /* before this event nginx's own clock is good enough */

    tp = ngx_timeofday();
    ms = (int64_t) (tp->sec - r->start_sec) * 1000
         + (int64_t) tp->msec - (int64_t) r->start_msec;

    mctx->start = ngx_http_media_metrics_now() - ngx_max(ms, 0) * 1000;
    mctx->cache = NULL;

    return NGX_DECLINED;
}


/* what the context is known by; there is nothing to destroy */

static void
ngx_http_media_metrics_destroyed(void *data)
{
    (void) data;
}


static ngx_http_media_metrics_ctx_t *
ngx_http_media_metrics_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_media_metrics_destroyed) {
            return cln->data;
        }
    }

    return NULL;
}


void
ngx_http_media_metrics_lookup(ngx_http_request_t *r, void *cctx)
{
    ngx_http_media_metrics_ctx_t  *mctx;

    mctx = ngx_http_media_metrics_ctx(r);

    if (mctx) {
        mctx->cache = cctx;
    }
}


static uint64_t
ngx_http_media_metrics_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static ngx_int_t
ngx_http_media_metrics_log(ngx_http_request_t *r)
{
    off_t                          sent;
    ngx_uint_t                     status, tier;
    ngx_http_media_metrics_t      *metrics;
    ngx_http_media_loc_conf_t     *lcf;
    ngx_http_media_metrics_ctx_t  *mctx;

    metrics = ngx_http_media_metrics_get();

    if (metrics == NULL || r != r->main) {
        return NGX_OK;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->webhook.provider && r->method == NGX_HTTP_POST) {
        ngx_http_media_metrics_webhook(metrics, r);
    }

    mctx = ngx_http_media_metrics_ctx(r);

    if (mctx == NULL && !lcf->serve.enable) {
        return NGX_OK;
    }

    ngx_http_media_metrics_cache(r, mctx, &status, &tier);

    (void) ngx_atomic_fetch_add(
               &metrics->requests[tier][ngx_http_media_metrics_status(r)], 1);
    (void) ngx_atomic_fetch_add(&metrics->caches[status], 1);

    if (status == NGX_HTTP_MEDIA_CACHE_HIT) {
        (void) ngx_atomic_fetch_add(&metrics->hits[tier], 1);
    }

    sent = r->connection->sent - (off_t) r->header_size;

    if (sent > 0) {
        (void) ngx_atomic_fetch_add(&metrics->bytes[tier], sent);
    }

    ngx_http_media_metrics_time(metrics, mctx, status);
    ngx_http_media_metrics_s3(metrics, r);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_media_metrics_status(ngx_http_request_t *r)
{
    ngx_uint_t  status;

    status = r->err_status ? r->err_status : r->headers_out.status;

    return (status >= 100 && status < 600) ? status / 100 : 0;
}


static void
ngx_http_media_metrics_cache(ngx_http_request_t *r,
    ngx_http_media_metrics_ctx_t *mctx, ngx_uint_t *status, ngx_uint_t *tier)
{
    *status = NGX_HTTP_MEDIA_CACHE_NONE;
    *tier = NGX_HTTP_MEDIA_TIER_NONE;

    if (mctx && mctx->cache) {
        *status = mctx->cache->status;
        *tier = mctx->cache->tier;
    }

    if (*tier != NGX_HTTP_MEDIA_TIER_NONE || r->upstream == NULL) {
        return;
    }

    *tier = NGX_HTTP_MEDIA_TIER_S3;

#if (NGX_HTTP_CACHE)

    /* proxy_cache without media_cache */

    switch (r->upstream->cache_status) {

    case NGX_HTTP_CACHE_HIT:
    case NGX_HTTP_CACHE_REVALIDATED:
        *tier = NGX_HTTP_MEDIA_TIER_DISK;
        *status = NGX_HTTP_MEDIA_CACHE_HIT;
        break;

    case NGX_HTTP_CACHE_STALE:
    case NGX_HTTP_CACHE_UPDATING:
        *tier = NGX_HTTP_MEDIA_TIER_DISK;
        *status = NGX_HTTP_MEDIA_CACHE_STALE;
        break;

    case NGX_HTTP_CACHE_MISS:
    case NGX_HTTP_CACHE_EXPIRED:
        *status = NGX_HTTP_MEDIA_CACHE_MISS;
        break;

    case NGX_HTTP_CACHE_BYPASS:
        *status = NGX_HTTP_MEDIA_CACHE_BYPASS;
        break;
    }

#endif
}


static void
ngx_http_media_metrics_time(ngx_http_media_metrics_t *metrics,
    ngx_http_media_metrics_ctx_t *mctx, ngx_uint_t status)
{
    uint64_t                     us;
    ngx_uint_t                   i;
    ngx_http_media_histogram_t  *histogram;

    if (mctx == NULL) {
        return;
    }

    switch (status) {

    case NGX_HTTP_MEDIA_CACHE_HIT:
        histogram = &metrics->hit;
        break;

    case NGX_HTTP_MEDIA_CACHE_MISS:
        histogram = &metrics->miss;
        break;

    default:
        return;
    }

    us = ngx_http_media_metrics_now() - mctx->start;

    for (i = 0; i < NGX_HTTP_MEDIA_METRICS_BUCKETS - 1; i++) {
        if (us <= ngx_http_media_metrics_bound[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&histogram->buckets[i], 1);
    (void) ngx_atomic_fetch_add(&histogram->sum, us);
}


/* accepted, refused, unavailable */

static void
ngx_http_media_metrics_webhook(ngx_http_media_metrics_t *metrics,
    ngx_http_request_t *r)
{
    ngx_uint_t  outcome;

    switch (ngx_http_media_metrics_status(r)) {

    case 2:
        outcome = 0;
        break;

    case 5:
        outcome = 2;
        break;

    default:
        outcome = 1;
    }

    (void) ngx_atomic_fetch_add(&metrics->webhooks[outcome], 1);
}


void
ngx_http_media_metrics_subrequest(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    if (r->upstream == NULL) {
        return;
    }

    cln = ngx_http_cleanup_add(r, 0);

    if (cln) {
        cln->handler = ngx_http_media_metrics_cleanup;
        cln->data = r;
    }
}


static void
ngx_http_media_metrics_cleanup(void *data)
{
    ngx_http_request_t  *r = data;

    ngx_http_media_metrics_t  *metrics;

    metrics = ngx_http_media_metrics_get();

    if (metrics) {
        ngx_http_media_metrics_s3(metrics, r);
    }
}


static void
ngx_http_media_metrics_s3(ngx_http_media_metrics_t *metrics,
    ngx_http_request_t *r)
{
    ngx_uint_t                  i, error;
    ngx_event_pipe_t           *p;
    ngx_http_upstream_state_t  *state;

    if (r->upstream_states == NULL) {
        return;
    }

    state = r->upstream_states->elts;

    for (i = 0; i < r->upstream_states->nelts; i++) {

        /* a boundary of an internal redirect, or no answer was waited for */

        if (state[i].peer == NULL || state[i].status == 0) {
            continue;
        }

        error = ngx_http_media_metrics_s3_class(&state[i]);

        if (error != NGX_HTTP_MEDIA_S3_MAX) {
            (void) ngx_atomic_fetch_add(&metrics->s3_errors[error], 1);
        }

        if (error == NGX_HTTP_MEDIA_S3_DENIED
            || error == NGX_HTTP_MEDIA_S3_MAX)
        {
            ngx_http_media_metrics_denied(r,
                                        error == NGX_HTTP_MEDIA_S3_DENIED);
        }
    }

    p = r->upstream ? r->upstream->pipe : NULL;

    if (p && p->length > 0
        && (p->upstream_eof || p->upstream_error)
        && !p->upstream_done)
    {
        (void) ngx_atomic_fetch_add(
                   &metrics->s3_errors[NGX_HTTP_MEDIA_S3_TRUNCATED], 1);
    }
}


/* NGX_HTTP_MEDIA_S3_MAX: no error */

static ngx_uint_t
ngx_http_media_metrics_s3_class(ngx_http_upstream_state_t *state)
{
    ngx_uint_t  status;

    status = state->status;

    /* a try that failed has a status of nginx */

    if (state->header_time == (ngx_msec_t) -1) {

        if (state->connect_time == (ngx_msec_t) -1) {
            return NGX_HTTP_MEDIA_S3_CONNECT;
        }

        return (status == NGX_HTTP_GATEWAY_TIME_OUT)
               ? NGX_HTTP_MEDIA_S3_TIMEOUT : NGX_HTTP_MEDIA_S3_CLOSED;
    }

    if (status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return NGX_HTTP_MEDIA_S3_UNAVAILABLE;
    }

    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        return NGX_HTTP_MEDIA_S3_DENIED;

    case NGX_HTTP_NOT_FOUND:
    case NGX_HTTP_PRECONDITION_FAILED:
    case NGX_HTTP_RANGE_NOT_SATISFIABLE:
        return NGX_HTTP_MEDIA_S3_MAX;
    }

    return (status >= NGX_HTTP_BAD_REQUEST) ? NGX_HTTP_MEDIA_S3_REFUSED
                                            : NGX_HTTP_MEDIA_S3_MAX;
}


static void
ngx_http_media_metrics_denied(ngx_http_request_t *r, ngx_uint_t denied)
{
    static ngx_msec_t  logged;
    static ngx_uint_t  before, said;

    if (denied == before) {
        return;
    }

    before = denied;

    if (!denied) {
        if (said) {
            said = 0;
            ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                          "s3 accepts our credentials again");
        }

        return;
    }

    if (logged
        && ngx_current_msec - logged < NGX_HTTP_MEDIA_METRICS_QUIET)
    {
        return;
    }

    logged = ngx_current_msec;
    said = 1;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "s3 refused our credentials (403)");
}


ngx_int_t
ngx_http_media_metrics_init(ngx_conf_t *cf)
{
    if (ngx_http_media_add_handler(cf, NGX_HTTP_REWRITE_PHASE,
                                   ngx_http_media_metrics_rewrite)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_media_add_handler(cf, NGX_HTTP_LOG_PHASE,
                                      ngx_http_media_metrics_log);
}
