
/*
 * Copyright (C) ngx_media contributors
 *
 * "media_metrics": Prometheus' text format, version 0.0.4.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_METRICS_TEXT  16384      /* bytes; twice what it is */


static ngx_int_t ngx_http_media_metrics_handler(ngx_http_request_t *r);
static void ngx_http_media_metrics_requests(ngx_buf_t *b,
    ngx_http_media_metrics_t *metrics);
static void ngx_http_media_metrics_work(ngx_buf_t *b,
    ngx_http_media_metrics_t *metrics);
static void ngx_http_media_metrics_backends(ngx_buf_t *b,
    ngx_http_media_metrics_t *metrics);
static void ngx_http_media_metrics_zone(ngx_buf_t *b,
    ngx_http_media_zone_t *zone);
static void ngx_http_media_metrics_histogram(ngx_buf_t *b,
    const char *result, ngx_http_media_histogram_t *histogram);
static void ngx_http_media_metrics_family(ngx_buf_t *b, const char *name,
    const char *type, const char *help);
static void ngx_http_media_metrics_value(ngx_buf_t *b, const char *name,
    ngx_atomic_uint_t value);
static void ngx_http_media_metrics_values(ngx_buf_t *b, const char *name,
    const char *label, const char **names, ngx_atomic_t *values,
    ngx_uint_t n);


static const char  *ngx_http_media_metrics_tiers[] = {
    "none", "redis", "disk", "s3"
};

static const char  *ngx_http_media_metrics_statuses[] = {
    "none", "1xx", "2xx", "3xx", "4xx", "5xx"
};

static const char  *ngx_http_media_metrics_copies[] = {
    "stored", "aborted", "no_room"
};

static const char  *ngx_http_media_metrics_reasons[] = {
    "missing", "invalid", "foreign"
};

static const char  *ngx_http_media_metrics_s3_classes[] = {
    "denied", "unavailable", "refused", "connect", "timeout", "closed",
    "truncated"
};

static const char  *ngx_http_media_metrics_classes[] = {
    "connect", "timeout", "closed", "protocol", "reply"
};

static const char  *ngx_http_media_metrics_states[] = {
    "idle", "connecting", "greeting", "up", "down"
};

static const char  *ngx_http_media_metrics_outcomes[] = {
    "accepted", "refused", "unavailable"
};


static ngx_int_t
ngx_http_media_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_buf_t              *b;
    ngx_chain_t             out;
    ngx_http_media_zone_t  *zone;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    zone = ngx_http_media_zone_get();
    b = ngx_create_temp_buf(r->pool, NGX_HTTP_MEDIA_METRICS_TEXT);

    if (zone == NULL || b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_media_metrics_requests(b, zone->sh->metrics);
    ngx_http_media_metrics_work(b, zone->sh->metrics);
    ngx_http_media_metrics_backends(b, zone->sh->metrics);
    ngx_http_media_metrics_zone(b, zone);

    ngx_str_set(&r->headers_out.content_type, "text/plain; version=0.0.4");
    r->headers_out.content_type_len = sizeof("text/plain") - 1;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static void
ngx_http_media_metrics_requests(ngx_buf_t *b,
    ngx_http_media_metrics_t *metrics)
{
    ngx_uint_t  i, n;

    ngx_http_media_metrics_family(b, "media_requests_total", "counter",
        "Requests by where the response came from and its status.");

    for (i = 0; i < NGX_HTTP_MEDIA_METRICS_TIERS; i++) {
        for (n = 0; n < NGX_HTTP_MEDIA_METRICS_STATUSES; n++) {
            b->last = ngx_slprintf(b->last, b->end,
                                   "media_requests_total{tier=\"%s\","
                                   "status=\"%s\"} %uA\n",
                                   ngx_http_media_metrics_tiers[i],
                                   ngx_http_media_metrics_statuses[n],
                                   metrics->requests[i][n]);
        }
    }

    ngx_http_media_metrics_family(b, "media_response_bytes_total", "counter",
        "Bytes of response bodies sent.");
    ngx_http_media_metrics_values(b, "media_response_bytes_total", "tier",
                                  ngx_http_media_metrics_tiers,
                                  metrics->bytes,
                                  NGX_HTTP_MEDIA_METRICS_TIERS);

    /* hits of the tiers that have any */

    ngx_http_media_metrics_family(b, "media_cache_hits_total", "counter",
        "Requests answered from a cache.");
    ngx_http_media_metrics_values(b, "media_cache_hits_total", "tier",
                            &ngx_http_media_metrics_tiers
                                            [NGX_HTTP_MEDIA_TIER_REDIS],
                            &metrics->hits[NGX_HTTP_MEDIA_TIER_REDIS], 2);

    ngx_http_media_metrics_family(b, "media_cache_misses_total", "counter",
        "Requests that no cache could answer.");
    ngx_http_media_metrics_value(b, "media_cache_misses_total",
                            metrics->caches[NGX_HTTP_MEDIA_CACHE_MISS]);

    ngx_http_media_metrics_family(b, "media_cache_stale_total", "counter",
        "Requests answered with what was too old, as S3 was away.");
    ngx_http_media_metrics_value(b, "media_cache_stale_total",
                            metrics->caches[NGX_HTTP_MEDIA_CACHE_STALE]);

    ngx_http_media_metrics_family(b, "media_cache_bypass_total", "counter",
        "Requests of media_cache_bypass.");
    ngx_http_media_metrics_value(b, "media_cache_bypass_total",
                            metrics->caches[NGX_HTTP_MEDIA_CACHE_BYPASS]);

    ngx_http_media_metrics_family(b, "media_request_duration_seconds",
        "histogram", "Time from a request's start to its last byte sent.");
    ngx_http_media_metrics_histogram(b, "hit", &metrics->hit);
    ngx_http_media_metrics_histogram(b, "miss", &metrics->miss);
}


static void
ngx_http_media_metrics_work(ngx_buf_t *b, ngx_http_media_metrics_t *metrics)
{
    ngx_http_media_metrics_family(b, "media_cache_stores_total", "counter",
        "Copies of responses for Redis by what became of them.");
    ngx_http_media_metrics_values(b, "media_cache_stores_total", "result",
                    ngx_http_media_metrics_copies,
                    &metrics->counts[NGX_HTTP_MEDIA_COUNT_TEE_STORED], 3);

    ngx_http_media_metrics_family(b, "media_coalesced_total", "counter",
        "Requests that waited for the fetch of another one.");
    ngx_http_media_metrics_value(b, "media_coalesced_total",
                    metrics->counts[NGX_HTTP_MEDIA_COUNT_COALESCED]);

    ngx_http_media_metrics_family(b, "media_lock_timeouts_total", "counter",
        "Requests that waited for media_cache_lock_timeout in vain.");
    ngx_http_media_metrics_value(b, "media_lock_timeouts_total",
                    metrics->counts[NGX_HTTP_MEDIA_COUNT_LOCK_TIMEOUT]);

    ngx_http_media_metrics_family(b, "media_entries_damaged_total", "counter",
        "Entries in Redis that could not be used.");
    ngx_http_media_metrics_value(b, "media_entries_damaged_total",
                    metrics->counts[NGX_HTTP_MEDIA_COUNT_ENTRY_DAMAGED]);

    ngx_http_media_metrics_family(b, "media_auth_refusals_total", "counter",
        "Requests without the right to what they ask for.");
    ngx_http_media_metrics_values(b, "media_auth_refusals_total", "reason",
                    ngx_http_media_metrics_reasons,
                    &metrics->counts[NGX_HTTP_MEDIA_COUNT_AUTH_MISSING], 3);

    ngx_http_media_metrics_family(b, "media_webhooks_total", "counter",
        "Webhooks by outcome.");
    ngx_http_media_metrics_values(b, "media_webhooks_total", "outcome",
                    ngx_http_media_metrics_outcomes, metrics->webhooks,
                    NGX_HTTP_MEDIA_METRICS_OUTCOMES);
}


static void
ngx_http_media_metrics_backends(ngx_buf_t *b,
    ngx_http_media_metrics_t *metrics)
{
    ngx_uint_t              i, n;
    ngx_atomic_t            redis[NGX_MEDIA_PEER_STATES];
    ngx_atomic_t            amqp[NGX_MEDIA_PEER_STATES];
    ngx_http_media_slot_t  *slot;

    ngx_http_media_metrics_family(b, "media_s3_errors_total", "counter",
        "Failed requests to S3; 404 is no failure.");
    ngx_http_media_metrics_values(b, "media_s3_errors_total", "class",
                                  ngx_http_media_metrics_s3_classes,
                                  metrics->s3_errors,
                                  NGX_HTTP_MEDIA_S3_MAX);

    ngx_http_media_metrics_family(b, "media_redis_errors_total", "counter",
        "Failures of connections to Redis and of commands.");
    ngx_http_media_metrics_values(b, "media_redis_errors_total", "class",
                                  ngx_http_media_metrics_classes,
                                  metrics->redis_errors,
                                  NGX_MEDIA_PEER_ERROR_MAX);

    ngx_http_media_metrics_family(b, "media_amqp_errors_total", "counter",
        "Failures of connections to RabbitMQ and of messages.");
    ngx_http_media_metrics_values(b, "media_amqp_errors_total", "class",
                                  ngx_http_media_metrics_classes,
                                  metrics->amqp_errors,
                                  NGX_MEDIA_PEER_ERROR_MAX);

    ngx_memzero((void *) redis, sizeof(redis));
    ngx_memzero((void *) amqp, sizeof(amqp));

    for (i = 0; i < NGX_HTTP_MEDIA_METRICS_SLOTS; i++) {
        slot = &metrics->slots[i];

        if (slot->pid == 0
            || (kill((pid_t) slot->pid, 0) == -1 && errno == ESRCH))
        {
            continue;
        }

        for (n = 0; n < NGX_MEDIA_PEER_STATES; n++) {
            redis[n] += slot->redis[n];
            amqp[n] += slot->amqp[n];
        }
    }

    ngx_http_media_metrics_family(b, "media_redis_connections", "gauge",
        "Connections of the worker processes to Redis.");
    ngx_http_media_metrics_values(b, "media_redis_connections", "state",
                                  ngx_http_media_metrics_states, redis,
                                  NGX_MEDIA_PEER_STATES);

    ngx_http_media_metrics_family(b, "media_amqp_connections", "gauge",
        "Connections of the worker processes to RabbitMQ.");
    ngx_http_media_metrics_values(b, "media_amqp_connections", "state",
                                  ngx_http_media_metrics_states, amqp,
                                  NGX_MEDIA_PEER_STATES);
}


static void
ngx_http_media_metrics_zone(ngx_buf_t *b, ngx_http_media_zone_t *zone)
{
    ngx_msec_int_t            age;
    ngx_http_media_purges_t  *purges;

    purges = &zone->sh->purges;
    age = (ngx_msec_int_t) (ngx_current_msec - purges->completed);
    age = ngx_max(age, 0);

    ngx_http_media_metrics_family(b, "media_purges", "gauge",
        "Purges that are known.");
    ngx_http_media_metrics_value(b, "media_purges", purges->known);

    ngx_http_media_metrics_family(b, "media_purges_age_seconds", "gauge",
        "Time since purges were read.");
    b->last = ngx_slprintf(b->last, b->end,
                           "media_purges_age_seconds %M.%03M\n",
                           (ngx_msec_t) age / 1000,
                           (ngx_msec_t) age % 1000);

    ngx_http_media_metrics_family(b, "media_zone_size_bytes", "gauge",
        "Shared memory, media_zone_size.");
    ngx_http_media_metrics_value(b, "media_zone_size_bytes",
                                 zone->shm_zone->shm.size);

    ngx_http_media_metrics_family(b, "media_zone_free_bytes", "gauge",
        "Shared memory in free pages.");
    ngx_http_media_metrics_value(b, "media_zone_free_bytes",
                                 zone->shpool->pfree * ngx_pagesize);
}


static void
ngx_http_media_metrics_histogram(ngx_buf_t *b, const char *result,
    ngx_http_media_histogram_t *histogram)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  n, sum;

    n = 0;
    sum = histogram->sum;

    for (i = 0; i < NGX_HTTP_MEDIA_METRICS_BUCKETS; i++) {
        n += histogram->buckets[i];

        b->last = ngx_slprintf(b->last, b->end,
                               "media_request_duration_seconds_bucket{"
                               "result=\"%s\",le=\"%V\"} %uA\n",
                               result, &ngx_http_media_metrics_bounds[i], n);
    }

    b->last = ngx_slprintf(b->last, b->end,
                           "media_request_duration_seconds_sum{"
                           "result=\"%s\"} %uA.%06uA\n"
                           "media_request_duration_seconds_count{"
                           "result=\"%s\"} %uA\n",
                           result, sum / 1000000, sum % 1000000,
                           result, n);
}


static void
ngx_http_media_metrics_family(ngx_buf_t *b, const char *name,
    const char *type, const char *help)
{
    b->last = ngx_slprintf(b->last, b->end, "# HELP %s %s\n# TYPE %s %s\n",
                           name, help, name, type);
}


static void
ngx_http_media_metrics_value(ngx_buf_t *b, const char *name,
    ngx_atomic_uint_t value)
{
    b->last = ngx_slprintf(b->last, b->end, "%s %uA\n", name, value);
}


static void
ngx_http_media_metrics_values(ngx_buf_t *b, const char *name,
    const char *label, const char **names, ngx_atomic_t *values,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        b->last = ngx_slprintf(b->last, b->end, "%s{%s=\"%s\"} %uA\n",
                               name, label, names[i], values[i]);
    }
}


char *
ngx_http_media_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_media_loc_conf_t  *lcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (lcf->metrics) {
        return "is duplicate";
    }

    if (clcf->handler || lcf->cache.enable == 1 || lcf->serve.proxy == 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_metrics\" must be in a location of its "
                           "own");
        return NGX_CONF_ERROR;
    }

    lcf->metrics = 1;
    lcf->cache.enable = 0;
    lcf->serve.proxy = 0;
    lcf->s3.key = NULL;

    clcf->handler = ngx_http_media_metrics_handler;

    return NGX_CONF_OK;
}
