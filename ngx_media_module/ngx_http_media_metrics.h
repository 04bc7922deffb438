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


/* adds 1; does nothing if there is no zone */
void ngx_http_media_count(ngx_http_media_count_e counter);

#endif
