
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_ZONE_SIZE  (8 * 1024 * 1024)
#define NGX_HTTP_MEDIA_ZONE_MIN   (32 * ngx_pagesize)


static ngx_int_t ngx_http_media_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);


void
ngx_http_media_zone_create_main(ngx_http_media_zone_t *zone)
{
    zone->size = NGX_CONF_UNSET_SIZE;
}


char *
ngx_http_media_zone_init_main(ngx_conf_t *cf, ngx_http_media_zone_t *zone)
{
    ngx_str_t  name = ngx_string("ngx_http_media");

    ngx_conf_init_size_value(zone->size, NGX_HTTP_MEDIA_ZONE_SIZE);

    if (zone->size < NGX_HTTP_MEDIA_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_zone_size\" must be at least %uz",
                           (size_t) NGX_HTTP_MEDIA_ZONE_MIN);
        return NGX_CONF_ERROR;
    }

    zone->shm_zone = ngx_shared_memory_add(cf, &name, zone->size,
                                           &ngx_http_media_module);
    if (zone->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->shm_zone->init = ngx_http_media_zone_init;
    zone->shm_zone->data = zone;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_media_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_media_zone_t  *old = data;

    ngx_http_media_zone_t     *zone;
    ngx_http_media_zone_sh_t  *sh;

    zone = shm_zone->data;

    if (old) {
        zone->sh = old->sh;
        zone->shpool = old->shpool;
        return NGX_OK;
    }

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (shm_zone->shm.exists) {
        zone->sh = zone->shpool->data;
        return NGX_OK;
    }

    sh = ngx_slab_calloc(zone->shpool, sizeof(ngx_http_media_zone_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&sh->flights, &sh->flights_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&sh->flights_queue);
    ngx_http_media_purge_init(&sh->purges);

    sh->metrics = ngx_http_media_metrics_create(zone->shpool);
    if (sh->metrics == NULL) {
        return NGX_ERROR;
    }

    zone->sh = sh;
    zone->shpool->data = sh;
    zone->shpool->log_nomem = 0;

    return NGX_OK;
}


ngx_http_media_zone_t *
ngx_http_media_zone_get(void)
{
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_media_module);

    return (mcf && mcf->zone.sh) ? &mcf->zone : NULL;
}
