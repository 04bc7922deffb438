/*
 * Copyright (C) ngx_media contributors
 *
 * Counters of all worker processes in shared memory, and the "media_metrics"
 * handler that shows them.
 */

#ifndef NGX_HTTP_MEDIA_METRICS_H
#define NGX_HTTP_MEDIA_METRICS_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_media_peer.h"


typedef enum {
    NGX_HTTP_MEDIA_COUNT_TEE_STORED = 0,
    NGX_HTTP_MEDIA_COUNT_TEE_ABORTED,
    NGX_HTTP_MEDIA_COUNT_BUFFERS_FULL,      /* media_cache_buffers in use */
    NGX_HTTP_MEDIA_COUNT_COALESCED,         /* waited for another's fetch */
    NGX_HTTP_MEDIA_COUNT_LOCK_TIMEOUT,
    NGX_HTTP_MEDIA_COUNT_ENTRY_DAMAGED,
    NGX_HTTP_MEDIA_COUNT_AUTH_MISSING,      /* no credentials */
    NGX_HTTP_MEDIA_COUNT_AUTH_INVALID,
    NGX_HTTP_MEDIA_COUNT_AUTH_FOREIGN,      /* another tenant's key */
    NGX_HTTP_MEDIA_COUNT_MAX
} ngx_http_media_count_e;


/* what went wrong with a request to S3 */
typedef enum {
    NGX_HTTP_MEDIA_S3_DENIED = 0,           /* 401, 403 */
    NGX_HTTP_MEDIA_S3_UNAVAILABLE,          /* 5xx */
    NGX_HTTP_MEDIA_S3_REFUSED,              /* any other status */
    NGX_HTTP_MEDIA_S3_CONNECT,
    NGX_HTTP_MEDIA_S3_TIMEOUT,
    NGX_HTTP_MEDIA_S3_CLOSED,               /* without a valid header */
    NGX_HTTP_MEDIA_S3_TRUNCATED,            /* body */
    NGX_HTTP_MEDIA_S3_MAX
} ngx_http_media_s3_error_e;


#define NGX_HTTP_MEDIA_METRICS_TIERS     4      /* ngx_http_media_tier_e */
#define NGX_HTTP_MEDIA_METRICS_CACHES    5      /* ..._cache_status_e */
#define NGX_HTTP_MEDIA_METRICS_STATUSES  6      /* none, 1xx .. 5xx */
#define NGX_HTTP_MEDIA_METRICS_BUCKETS   17     /* the last is +Inf */
#define NGX_HTTP_MEDIA_METRICS_SLOTS     256
#define NGX_HTTP_MEDIA_METRICS_OUTCOMES  3      /* of webhooks */


typedef struct {
    ngx_atomic_t  buckets[NGX_HTTP_MEDIA_METRICS_BUCKETS];
    ngx_atomic_t  sum;                              /* microseconds */
} ngx_http_media_histogram_t;


/* the connections of a process, by state; void once it is dead */
typedef struct {
    ngx_atomic_t  pid;
    ngx_atomic_t  redis[NGX_MEDIA_PEER_STATES];
    ngx_atomic_t  amqp[NGX_MEDIA_PEER_STATES];
} ngx_http_media_slot_t;


typedef struct {
    ngx_atomic_t  counts[NGX_HTTP_MEDIA_COUNT_MAX];
    ngx_atomic_t  requests[NGX_HTTP_MEDIA_METRICS_TIERS]
                          [NGX_HTTP_MEDIA_METRICS_STATUSES];
    ngx_atomic_t  bytes[NGX_HTTP_MEDIA_METRICS_TIERS];
    ngx_atomic_t  hits[NGX_HTTP_MEDIA_METRICS_TIERS];
    ngx_atomic_t  caches[NGX_HTTP_MEDIA_METRICS_CACHES];
    ngx_atomic_t  s3_errors[NGX_HTTP_MEDIA_S3_MAX];
    ngx_atomic_t  redis_errors[NGX_MEDIA_PEER_ERROR_MAX];
    ngx_atomic_t  amqp_errors[NGX_MEDIA_PEER_ERROR_MAX];
    ngx_atomic_t  webhooks[NGX_HTTP_MEDIA_METRICS_OUTCOMES];

    ngx_http_media_histogram_t  hit;
    ngx_http_media_histogram_t  miss;

    ngx_http_media_slot_t       slots[NGX_HTTP_MEDIA_METRICS_SLOTS];
} ngx_http_media_metrics_t;


extern ngx_str_t  ngx_http_media_metrics_bounds[];


/* adds 1; does nothing if there is no zone */
void ngx_http_media_count(ngx_http_media_count_e counter);

/* counters of zero in shared memory; NULL if there is no room */
ngx_http_media_metrics_t *ngx_http_media_metrics_create(
    ngx_slab_pool_t *shpool);

/*
 * For what makes the connections of this process: where they are counted.
 * Both may be called again.  With "master_process off" they are not: there,
 * connections may outlive the shared memory.
 */
void ngx_http_media_metrics_redis(ngx_media_peer_stats_t *stats);
void ngx_http_media_metrics_amqp(ngx_media_peer_stats_t *stats);
void ngx_http_media_metrics_exit_process(void);

/* called when a lookup starts, as an internal redirect takes the context */
void ngx_http_media_metrics_lookup(ngx_http_request_t *r, void *cctx);

/* called for a subrequest that got its header: the log phase has none */
void ngx_http_media_metrics_subrequest(ngx_http_request_t *r);

ngx_int_t ngx_http_media_metrics_init(ngx_conf_t *cf);

/* "media_metrics" */
char *ngx_http_media_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

#endif
