
/*
 * Copyright (C) ngx_media contributors
 *
 * The requests of a process that wait for one object.  They ask Redis once
 * for all of them; if it is not there, one fetches it from S3 and the others
 * have what it received, or what another process or host has put into Redis.
 *
 *     CHECK    is the entry in memory what Redis has?
 *     GET      Redis is asked for the object
 *     LOCK     Redis is asked which host fetches
 *     READY    the first that waits is about to fetch
 *     WAIT     for a leader: of this process, of another one or of a host
 *     DONE     all go on, with an entry or without; none joins any more
 *
 * Requests go on in an event of their own or that of Redis, never within a
 * call from another request.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


/* requests that go on in one turn of the event loop */
#define NGX_HTTP_MEDIA_FLIGHT_BATCH  64


static ngx_http_media_flight_t *ngx_http_media_flight_create(
    ngx_http_media_main_conf_t *mcf, ngx_http_media_cache_ctx_t *cctx);
static void ngx_http_media_flight_handler(ngx_event_t *ev);
static void ngx_http_media_flight_lead(ngx_http_media_flight_t *f);
static void ngx_http_media_flight_look(ngx_http_media_flight_t *f);
static void ngx_http_media_flight_expire(ngx_http_media_flight_t *f);
static void ngx_http_media_flight_done(ngx_http_media_flight_t *f);
static void ngx_http_media_flight_resume(ngx_http_media_cache_ctx_t *cctx);
static ngx_http_media_flight_t *ngx_http_media_flight_step_down(
    ngx_http_media_cache_ctx_t *cctx);
static void ngx_http_media_flight_unlist(ngx_http_media_flight_t *f);


ngx_int_t
ngx_http_media_flight_join(ngx_http_media_cache_ctx_t *cctx,
    ngx_uint_t missed)
{
    ngx_msec_t                   redis_deadline;
    ngx_http_media_flight_t     *f;
    ngx_http_media_loc_conf_t   *lcf;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(cctx->request, ngx_http_media_module);
    lcf = ngx_http_get_module_loc_conf(cctx->request, ngx_http_media_module);

    redis_deadline = missed ? cctx->deadline
                            : ngx_current_msec + mcf->cache.redis.timeout;

    cctx->lock = lcf->cache.lock ? 1 : 0;
    cctx->deadline = ngx_current_msec + lcf->cache.lock_timeout;

    f = (ngx_http_media_flight_t *)
            ngx_str_rbtree_lookup(&mcf->cache.flights, &cctx->key,
                                  ngx_http_media_entry_hash(cctx->key.data));

    if (f && f->lock == cctx->lock) {
        ngx_queue_insert_tail(&f->waiters, &cctx->queue);

        cctx->flight = f;
        cctx->waiting = 1;

        if (f->state == NGX_HTTP_MEDIA_FLIGHT_WAIT && !f->event.timer_set
            && !f->event.posted)
        {
            ngx_post_event(&f->event, &ngx_posted_events);
        }

        return NGX_AGAIN;
    }

    missed = (missed || (f && f->missed));

    f = ngx_http_media_flight_create(mcf, cctx);
    if (f == NULL) {
        return NGX_DECLINED;
    }

    f->deadline = redis_deadline;

    ngx_http_media_flight_start(f, missed);

    return NGX_AGAIN;
}


static ngx_http_media_flight_t *
ngx_http_media_flight_create(ngx_http_media_main_conf_t *mcf,
    ngx_http_media_cache_ctx_t *cctx)
{
    ngx_http_media_flight_t    *f;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(cctx->request, ngx_http_media_module);

    f = ngx_calloc(sizeof(ngx_http_media_flight_t), ngx_cycle->log);
    if (f == NULL) {
        return NULL;
    }

    ngx_memcpy(f->key, cctx->key.data, MEDIA_ENTRY_KEY_LEN);

    f->mcf = mcf;
    f->lock = cctx->lock;
    f->timeout = lcf->cache.lock_timeout;
    f->node.str.data = f->key;
    f->node.str.len = MEDIA_ENTRY_KEY_LEN;
    f->node.node.key = ngx_http_media_entry_hash(f->key);
    f->event.handler = ngx_http_media_flight_handler;
    f->event.data = f;
    f->event.log = ngx_cycle->log;

    ngx_queue_init(&f->waiters);
    ngx_queue_insert_tail(&f->waiters, &cctx->queue);

    cctx->flight = f;
    cctx->waiting = 1;

    if (ngx_str_rbtree_lookup(&mcf->cache.flights, &f->node.str,
                              f->node.node.key)
        == NULL)
    {
        ngx_rbtree_insert(&mcf->cache.flights, &f->node.node);
        f->listed = 1;
    }

    return f;
}


/* Redis does not have it, or is away */

void
ngx_http_media_flight_ready(ngx_http_media_flight_t *f)
{
    f->state = NGX_HTTP_MEDIA_FLIGHT_READY;

    if (f->event.timer_set) {
        ngx_del_timer(&f->event);
    }

    ngx_post_event(&f->event, &ngx_posted_events);
}


void
ngx_http_media_flight_wait(ngx_http_media_flight_t *f, ngx_msec_t min,
    ngx_msec_t max)
{
    f->state = NGX_HTTP_MEDIA_FLIGHT_WAIT;

    if (f->event.timer_set || f->event.posted) {
        return;
    }

    f->interval = ngx_max(f->interval * 2, min);
    f->interval = ngx_min(f->interval, max);

    ngx_add_timer(&f->event, f->interval);
}


/* takes over the reference of entry, which may be NULL */

void
ngx_http_media_flight_finish(ngx_http_media_flight_t *f,
    ngx_http_media_entry_t *entry)
{
    f->state = NGX_HTTP_MEDIA_FLIGHT_DONE;
    f->entry = entry;

    ngx_http_media_flight_unlist(f);

    if (f->leader) {
        f->leader->flight = NULL;
        f->leader = NULL;
    }

    if (f->lease) {
        ngx_http_media_lease_release(f->lease, NGX_HTTP_MEDIA_LEASE_FAILED);
        f->lease = NULL;
    }

    if (f->event.timer_set) {
        ngx_del_timer(&f->event);
    }

    ngx_post_event(&f->event, &ngx_posted_events);
}


void
ngx_http_media_flight_go_on(ngx_http_media_flight_t *f)
{
    ngx_delete_posted_event(&f->event);

    ngx_http_media_flight_done(f);
}


static void
ngx_http_media_flight_handler(ngx_event_t *ev)
{
    ngx_http_media_flight_t  *f;

    f = ev->data;
    ev->timedout = 0;

    switch (f->state) {

    case NGX_HTTP_MEDIA_FLIGHT_READY:
        ngx_http_media_flight_lead(f);
        break;

    case NGX_HTTP_MEDIA_FLIGHT_WAIT:
        ngx_http_media_flight_look(f);
        break;

    case NGX_HTTP_MEDIA_FLIGHT_DONE:
        ngx_http_media_flight_done(f);
        break;

    default:
        break;      /* Redis is being asked */
    }
}


static void
ngx_http_media_flight_lead(ngx_http_media_flight_t *f)
{
    ngx_queue_t                 *q;
    ngx_http_media_cache_ctx_t  *cctx;

    if (ngx_queue_empty(&f->waiters)) {
        ngx_http_media_flight_idle(f);
        return;
    }

    q = ngx_queue_head(&f->waiters);
    cctx = ngx_queue_data(q, ngx_http_media_cache_ctx_t, queue);

    cctx->lease = f->lease;
    f->lease = NULL;
    f->leader = cctx;
    f->state = NGX_HTTP_MEDIA_FLIGHT_WAIT;

    if (ngx_queue_next(q) != ngx_queue_sentinel(&f->waiters)) {
        ngx_http_media_flight_wait(f, NGX_HTTP_MEDIA_FLIGHT_MAX,
                                   NGX_HTTP_MEDIA_FLIGHT_MAX);
    }

    ngx_http_media_flight_resume(cctx);
}


/* is the leader, of another process or host, still at it? */

static void
ngx_http_media_flight_look(ngx_http_media_flight_t *f)
{
    ngx_int_t           rc;
    ngx_media_redis_t  *redis;

    ngx_http_media_flight_expire(f);

    if (ngx_queue_empty(&f->waiters)) {
        ngx_http_media_flight_idle(f);
        return;
    }

    /* a process that ends after a reload has closed its connections */

    redis = ngx_http_media_cache_redis(&f->mcf->cache);

    if (redis) {
        (void) ngx_media_redis_ready(redis);
    }

    if (f->leader) {
        ngx_http_media_flight_wait(f, NGX_HTTP_MEDIA_FLIGHT_MAX,
                                   NGX_HTTP_MEDIA_FLIGHT_MAX);
        return;
    }

    f->deadline = ngx_current_msec + f->mcf->cache.redis.timeout;

    rc = NGX_OK;

    if (f->lease == NULL) {
        rc = ngx_http_media_lease_take(f->mcf, &f->node.str, f->timeout, 1,
                                       &f->lease);
    }

    if (rc == NGX_OK) {
        ngx_http_media_flight_arbitrate(f);

    } else if (rc == NGX_DONE) {
        f->stored = 1;
        ngx_http_media_flight_get(f);

    } else if (rc == NGX_BUSY) {
        ngx_http_media_flight_wait(f, NGX_HTTP_MEDIA_FLIGHT_MIN,
                                   NGX_HTTP_MEDIA_FLIGHT_MAX);

    } else {
        ngx_http_media_flight_finish(f, NULL);
    }
}


static void
ngx_http_media_flight_expire(ngx_http_media_flight_t *f)
{
    ngx_queue_t                  late, *q, *next;
    ngx_http_media_cache_ctx_t  *cctx;

    ngx_queue_init(&late);

    for (q = ngx_queue_head(&f->waiters);
         q != ngx_queue_sentinel(&f->waiters);
         q = next)
    {
        next = ngx_queue_next(q);
        cctx = ngx_queue_data(q, ngx_http_media_cache_ctx_t, queue);

        if ((ngx_msec_int_t) (cctx->deadline - ngx_current_msec) <= 0) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&late, q);
        }
    }

    f->busy = 1;

    while (!ngx_queue_empty(&late)) {
        q = ngx_queue_head(&late);
        cctx = ngx_queue_data(q, ngx_http_media_cache_ctx_t, queue);

        ngx_log_error(NGX_LOG_INFO, cctx->request->connection->log, 0,
                      "media cache lock timed out");
        ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_LOCK_TIMEOUT);

        ngx_http_media_flight_resume(cctx);
    }

    f->busy = 0;
}


static void
ngx_http_media_flight_done(ngx_http_media_flight_t *f)
{
    ngx_uint_t                   n;
    ngx_queue_t                 *q;
    ngx_http_media_cache_ctx_t  *cctx;

    f->busy = 1;

    for (n = 0;
         n < NGX_HTTP_MEDIA_FLIGHT_BATCH && !ngx_queue_empty(&f->waiters);
         n++)
    {
        q = ngx_queue_head(&f->waiters);
        cctx = ngx_queue_data(q, ngx_http_media_cache_ctx_t, queue);

        cctx->full = f->full;

        if (f->entry) {
            ngx_http_media_flight_share(cctx, f->entry, f->tier);

            if (f->missed) {
                ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_COALESCED);
            }
        }

        ngx_http_media_flight_resume(cctx);
    }

    f->busy = 0;

    if (!ngx_queue_empty(&f->waiters)) {

        /* a timer, as a process without one that is to exit would do so */

        ngx_add_timer(&f->event, 0);
        return;
    }

    ngx_http_media_flight_idle(f);
}


void
ngx_http_media_flight_share(ngx_http_media_cache_ctx_t *cctx,
    ngx_http_media_entry_t *entry, ngx_uint_t tier)
{
    cctx->shared = ngx_http_media_entry_ref(entry);
    cctx->entry = entry->head;
    cctx->body = entry->data + MEDIA_ENTRY_HEAD;
    cctx->status = NGX_HTTP_MEDIA_CACHE_HIT;
    cctx->tier = tier;
    cctx->head = 0;
}


/* the request may be gone afterwards, and others with its connection */

static void
ngx_http_media_flight_resume(ngx_http_media_cache_ctx_t *cctx)
{
    ngx_http_request_t  *r;

    ngx_queue_remove(&cctx->queue);

    cctx->waiting = 0;

    if (cctx->lease == NULL) {
        cctx->flight = NULL;
    }

    r = cctx->request;

    ngx_http_set_log_request(r->connection->log, r);

    ngx_http_media_lookup_resume(cctx);
}


void
ngx_http_media_flight_land(ngx_http_media_cache_ctx_t *cctx,
    ngx_http_media_entry_t *entry)
{
    ngx_http_media_flight_t  *f;

    f = ngx_http_media_flight_step_down(cctx);

    if (f == NULL) {
        return;
    }

    f->tier = cctx->tier;
    ngx_http_media_flight_finish(f, ngx_http_media_entry_ref(entry));
}


void
ngx_http_media_flight_leave(ngx_http_media_cache_ctx_t *cctx,
    ngx_http_media_lease_outcome_e outcome)
{
    ngx_http_media_flight_t  *f;

    if (cctx->lease) {
        ngx_http_media_lease_release(cctx->lease, outcome);
        cctx->lease = NULL;
    }

    f = ngx_http_media_flight_step_down(cctx);

    if (f == NULL) {
        return;
    }

    /* after a failure one after the other fetches, not all at once */

    if (outcome != NGX_HTTP_MEDIA_LEASE_FAILED) {
        ngx_http_media_flight_finish(f, NULL);
        return;
    }

    if (f->event.timer_set) {
        ngx_del_timer(&f->event);
    }

    ngx_post_event(&f->event, &ngx_posted_events);
}


/* the flight that a request led, if others wait in it */

static ngx_http_media_flight_t *
ngx_http_media_flight_step_down(ngx_http_media_cache_ctx_t *cctx)
{
    ngx_http_media_flight_t  *f;

    f = cctx->flight;

    if (f == NULL) {
        return NULL;
    }

    cctx->flight = NULL;
    f->leader = NULL;

    if (ngx_queue_empty(&f->waiters)) {
        ngx_http_media_flight_idle(f);
        return NULL;
    }

    return f;
}


void
ngx_http_media_flight_detach(ngx_http_media_cache_ctx_t *cctx)
{
    ngx_http_media_flight_t  *f;

    if (!cctx->waiting) {
        ngx_http_media_flight_leave(cctx, NGX_HTTP_MEDIA_LEASE_FAILED);
        return;
    }

    f = cctx->flight;

    ngx_queue_remove(&cctx->queue);
    cctx->waiting = 0;
    cctx->flight = NULL;

    ngx_http_media_flight_idle(f);
}


static void
ngx_http_media_flight_unlist(ngx_http_media_flight_t *f)
{
    if (f->listed) {
        ngx_rbtree_delete(&f->mcf->cache.flights, &f->node.node);
        f->listed = 0;
    }
}


/* frees what nobody waits in or leads, once Redis has answered */

void
ngx_http_media_flight_idle(ngx_http_media_flight_t *f)
{
    if (!ngx_queue_empty(&f->waiters) || f->busy) {
        return;
    }

    if (f->event.timer_set) {
        ngx_del_timer(&f->event);
    }

    if (f->leader || f->job) {
        return;
    }

    if (f->event.posted) {
        ngx_delete_posted_event(&f->event);
    }

    ngx_http_media_flight_unlist(f);

    if (f->entry) {
        ngx_http_media_entry_release(f->entry);
    }

    if (f->lease) {
        ngx_http_media_lease_release(f->lease, NGX_HTTP_MEDIA_LEASE_FAILED);
    }

    ngx_free(f);
}
