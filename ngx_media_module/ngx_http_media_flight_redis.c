
/*
 * Copyright (C) ngx_media contributors
 *
 * What the requests that wait for an object ask Redis, once for all of them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <hiredis/hiredis.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_flight_ask(ngx_http_media_flight_t *f);
static void ngx_http_media_flight_asked(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);
static void ngx_http_media_flight_checked(ngx_http_media_flight_t *f,
    ngx_media_redis_reply_t *reply);
static void ngx_http_media_flight_take(ngx_http_media_flight_t *f,
    ngx_media_redis_reply_t *reply);
static void ngx_http_media_flight_missed(ngx_http_media_flight_t *f);
static void ngx_http_media_flight_arbitrated(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);


void
ngx_http_media_flight_start(ngx_http_media_flight_t *f, ngx_uint_t missed)
{
    ngx_http_media_entry_t  *entry;

    if (missed) {
        ngx_http_media_flight_missed(f);
        return;
    }

    entry = ngx_http_media_entry_find(f->mcf, &f->node.str);

    if (entry == NULL) {
        ngx_http_media_flight_get(f);
        return;
    }

    f->state = NGX_HTTP_MEDIA_FLIGHT_CHECK;
    f->entry = ngx_http_media_entry_ref(entry);

    if (ngx_http_media_flight_ask(f) != NGX_OK) {
        ngx_http_media_flight_missed(f);
    }
}


void
ngx_http_media_flight_get(ngx_http_media_flight_t *f)
{
    f->state = NGX_HTTP_MEDIA_FLIGHT_GET;

    if (ngx_http_media_flight_ask(f) != NGX_OK) {
        ngx_http_media_flight_missed(f);
    }
}


static ngx_int_t
ngx_http_media_flight_ask(ngx_http_media_flight_t *f)
{
    ngx_str_t           argv[4];
    ngx_uint_t          check;
    ngx_msec_int_t      left;
    ngx_media_redis_t  *redis;

    left = (ngx_msec_int_t) (f->deadline - ngx_current_msec);
    redis = ngx_http_media_cache_redis(&f->mcf->cache);

    if (redis == NULL || left <= 0) {
        return NGX_BUSY;
    }

    check = (f->state == NGX_HTTP_MEDIA_FLIGHT_CHECK);
    argv[1] = f->node.str;

    if (check) {
        ngx_str_set(&argv[0], "GETRANGE");
        ngx_str_set(&argv[2], "0");
        ngx_str_set(&argv[3], NGX_HTTP_MEDIA_HEAD_LAST);

    } else {
        ngx_str_set(&argv[0], "GET");
    }

    f->job = ngx_media_redis_send(redis, argv, check ? 4 : 2, left,
                                  ngx_http_media_flight_asked, f);

    return f->job ? NGX_OK : NGX_BUSY;
}


static void
ngx_http_media_flight_asked(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    ngx_http_media_flight_t  *f;

    f = job->data;
    f->job = NULL;

    if (ngx_queue_empty(&f->waiters)) {

        if (reply) {
            ngx_media_redis_free(reply->object);
        }

        ngx_http_media_flight_idle(f);
        return;
    }

    if (f->state == NGX_HTTP_MEDIA_FLIGHT_CHECK) {
        ngx_http_media_flight_checked(f, reply);

    } else {
        ngx_http_media_flight_take(f, reply);
    }
}


static void
ngx_http_media_flight_checked(ngx_http_media_flight_t *f,
    ngx_media_redis_reply_t *reply)
{
    size_t                   len;
    ngx_uint_t               same;
    ngx_http_media_entry_t  *entry;

    len = 0;
    same = 0;
    entry = f->entry;

    if (reply) {
        len = (reply->type == REDIS_REPLY_STRING) ? reply->str.len : 0;
        same = (len == MEDIA_ENTRY_HEAD
                && ngx_memcmp(reply->str.data, entry->data, len) == 0);

        ngx_media_redis_free(reply->object);
    }

    if (same) {
        f->entry = NULL;
        f->tier = NGX_HTTP_MEDIA_TIER_REDIS;
        ngx_http_media_flight_finish(f, entry);
        ngx_http_media_flight_go_on(f);
        return;
    }

    ngx_http_media_entry_release(entry);
    f->entry = NULL;

    if (len) {
        ngx_http_media_flight_get(f);
        return;
    }

    ngx_http_media_flight_missed(f);
}


static void
ngx_http_media_flight_take(ngx_http_media_flight_t *f,
    ngx_media_redis_reply_t *reply)
{
    media_entry_t            head;
    ngx_http_media_entry_t  *entry;

    if (reply == NULL) {
        ngx_http_media_flight_missed(f);
        return;
    }

    if (reply->type != REDIS_REPLY_STRING) {
        ngx_media_redis_free(reply->object);
        ngx_http_media_flight_missed(f);
        return;
    }

    if (media_entry_decode(&head, reply->str.data, reply->str.len)
            != MEDIA_OK
        || (int64_t) (reply->str.len - MEDIA_ENTRY_HEAD) != head.length)
    {
        ngx_media_redis_free(reply->object);
        ngx_http_media_lookup_damaged(f->mcf, &f->node.str);
        ngx_http_media_flight_missed(f);
        return;
    }

    entry = ngx_http_media_entry_take(f->mcf, &f->node.str, reply, &head);

    if (entry) {
        ngx_http_media_entry_list(entry);
        f->tier = NGX_HTTP_MEDIA_TIER_REDIS;

    } else {
        ngx_media_redis_free(reply->object);
        f->full = 1;
    }

    ngx_http_media_flight_finish(f, entry);
    ngx_http_media_flight_go_on(f);
}


static void
ngx_http_media_flight_missed(ngx_http_media_flight_t *f)
{
    ngx_int_t  rc;

    if (f->entry) {
        ngx_http_media_entry_release(f->entry);
        f->entry = NULL;
    }

    f->missed = 1;

    if (!f->lock || !f->listed) {
        ngx_http_media_flight_finish(f, NULL);
        return;
    }

    rc = ngx_http_media_lease_take(f->mcf, &f->node.str, f->timeout, 0,
                                   &f->lease);

    if (rc == NGX_OK) {
        ngx_http_media_flight_arbitrate(f);

    } else if (rc == NGX_BUSY) {
        ngx_http_media_flight_wait(f, NGX_HTTP_MEDIA_FLIGHT_MIN,
                                   NGX_HTTP_MEDIA_FLIGHT_MAX);

    } else {
        ngx_http_media_flight_finish(f, NULL);
    }
}


void
ngx_http_media_flight_arbitrate(ngx_http_media_flight_t *f)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (f->deadline - ngx_current_msec);
    f->job = NULL;

    /* what was said to be there, and could not be had, is fetched */

    if (left > 0 && !f->stored) {
        f->state = NGX_HTTP_MEDIA_FLIGHT_LOCK;
        f->job = ngx_http_media_lease_ask(f->lease, f->timeout, left,
                                          ngx_http_media_flight_arbitrated,
                                          f);
    }

    if (f->job == NULL) {
        ngx_http_media_flight_ready(f);
    }
}


static void
ngx_http_media_flight_arbitrated(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    ngx_int_t                 rc;
    ngx_http_media_flight_t  *f;

    f = job->data;
    f->job = NULL;

    rc = ngx_http_media_lease_answer(f->lease, reply);

    if (ngx_queue_empty(&f->waiters)) {
        ngx_http_media_flight_idle(f);
        return;
    }

    if (rc == NGX_BUSY) {
        ngx_http_media_flight_wait(f, NGX_HTTP_MEDIA_FLIGHT_HOST_MIN,
                                   NGX_HTTP_MEDIA_FLIGHT_HOST_MAX);
        return;
    }

    if (rc == NGX_DONE) {
        ngx_http_media_lease_release(f->lease, NGX_HTTP_MEDIA_LEASE_STORED);
        f->lease = NULL;
        f->stored = 1;
        f->deadline = ngx_current_msec + f->mcf->cache.redis.timeout;

        ngx_http_media_flight_get(f);
        return;
    }

    ngx_http_media_flight_ready(f);
}
