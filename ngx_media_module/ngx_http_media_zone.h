/*
 * Copyright (C) ngx_media contributors
 *
 * What the worker processes of a host share: who fetches what, which objects
 * were purged, and the counters.  The zone outlives a reload.
 */

#ifndef NGX_HTTP_MEDIA_ZONE_H
#define NGX_HTTP_MEDIA_ZONE_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_media_metrics.h"
#include "ngx_http_media_purge.h"


typedef struct {
    /* ngx_http_media_flight.c */
    ngx_rbtree_t                  flights;
    ngx_rbtree_node_t             flights_sentinel;
    ngx_queue_t                   flights_queue;    /* the oldest is last */

    ngx_http_media_purges_t       purges;
    ngx_http_media_metrics_t     *metrics;
} ngx_http_media_zone_sh_t;


typedef struct ngx_http_media_zone_s {
    size_t                        size;
    ngx_shm_zone_t               *shm_zone;
    ngx_http_media_zone_sh_t     *sh;
    ngx_slab_pool_t              *shpool;
} ngx_http_media_zone_t;


void ngx_http_media_zone_create_main(ngx_http_media_zone_t *zone);
char *ngx_http_media_zone_init_main(ngx_conf_t *cf,
    ngx_http_media_zone_t *zone);

/* the zone of this process; NULL if there is none */
ngx_http_media_zone_t *ngx_http_media_zone_get(void);

#endif
