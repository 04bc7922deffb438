
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


typedef struct {
    ngx_str_node_t               sn;
    ngx_queue_t                  queue;
    uint64_t                     id;
    u_char                       data[];
} ngx_http_media_purge_node_t;


static uint64_t ngx_http_media_purge_match(ngx_http_media_purges_t *purges,
    ngx_str_t *key);
static uint64_t ngx_http_media_purge_find(ngx_http_media_purges_t *purges,
    u_char *data, size_t len, uint32_t hash);
static ngx_http_media_purge_node_t *ngx_http_media_purge_alloc(
    ngx_http_media_zone_t *zone, uint64_t id, size_t len);
static size_t ngx_http_media_purge_size(size_t len);
static void ngx_http_media_purge_forget(ngx_http_media_zone_t *zone);
static void ngx_http_media_purge_order(ngx_http_media_purges_t *purges,
    ngx_http_media_purge_node_t *node);


uint64_t
ngx_http_media_purge_generation(ngx_str_t *key)
{
    uint64_t                     generation;
    ngx_http_media_zone_t       *zone;
    ngx_http_media_purges_t     *purges;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_media_module);

    if (mcf == NULL || mcf->cache.redis.addr == NULL || mcf->zone.sh == NULL) {
        return 0;
    }

    zone = &mcf->zone;
    purges = &zone->sh->purges;

    if (purges->start) {
        return purges->start;
    }

    if (purges->known == 0) {
        return purges->floor;
    }

    ngx_shmtx_lock(&zone->shpool->mutex);

    generation = ngx_http_media_purge_match(purges, key);
    generation = ngx_max(generation, purges->floor);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return generation;
}


static uint64_t
ngx_http_media_purge_match(ngx_http_media_purges_t *purges, ngx_str_t *key)
{
    size_t      i, n, start, len;
    uint32_t    hash;
    uint64_t    id, found;
    ngx_uint_t  depth;

    /* what is made of an object goes with its key */

    static ngx_str_t  made[] = {
        ngx_string("_thumb.jpg"),
        ngx_string("_thumb.webp"),
        ngx_string("_preview.jpg"),
        ngx_string("_m4a.m4a")
    };

    hash = 0xffffffff;
    found = 0;
    depth = 0;
    start = 0;

    for (i = 0; i < key->len && depth < purges->depth; i++) {

        if (key->data[i] != '/') {
            continue;
        }

        depth++;
        ngx_crc32_update(&hash, key->data + start, i + 1 - start);
        start = i + 1;

        id = ngx_http_media_purge_find(purges, key->data, start,
                                       hash ^ 0xffffffff);
        found = ngx_max(found, id);
    }

    id = ngx_http_media_purge_find(purges, key->data, key->len,
                                   ngx_crc32_long(key->data, key->len));
    found = ngx_max(found, id);

    for (n = 0; n < sizeof(made) / sizeof(ngx_str_t); n++) {

        if (key->len <= made[n].len) {
            continue;
        }

        len = key->len - made[n].len;

        if (ngx_memcmp(key->data + len, made[n].data, made[n].len) == 0) {
            id = ngx_http_media_purge_find(purges, key->data, len,
                                           ngx_crc32_long(key->data, len));
            found = ngx_max(found, id);
        }
    }

    return found;
}


static uint64_t
ngx_http_media_purge_find(ngx_http_media_purges_t *purges, u_char *data,
    size_t len, uint32_t hash)
{
    ngx_str_t                     name;
    ngx_http_media_purge_node_t  *node;

    name.data = data;
    name.len = len;

    node = (ngx_http_media_purge_node_t *)
               ngx_str_rbtree_lookup(&purges->rbtree, &name, hash);

    return node ? node->id : 0;
}


void
ngx_http_media_purge_add(ngx_http_media_zone_t *zone, uint64_t id,
    ngx_str_t *target)
{
    size_t                        i;
    uint32_t                      hash;
    ngx_uint_t                    depth;
    ngx_http_media_purges_t      *purges;
    ngx_http_media_purge_node_t  *node;

    purges = &zone->sh->purges;
    hash = ngx_crc32_long(target->data, target->len);
    depth = 0;

    if (target->data[target->len - 1] == '/') {
        for (i = 0; i < target->len; i++) {
            depth += (target->data[i] == '/');
        }
    }

    ngx_shmtx_lock(&zone->shpool->mutex);

    node = (ngx_http_media_purge_node_t *)
               ngx_str_rbtree_lookup(&purges->rbtree, target, hash);

    if (node) {
        if (id > node->id) {
            ngx_queue_remove(&node->queue);
            node->id = id;
            ngx_http_media_purge_order(purges, node);
        }

        goto done;
    }

    node = ngx_http_media_purge_alloc(zone, id, target->len);

    if (node == NULL) {
        goto done;
    }

    ngx_memcpy(node->data, target->data, target->len);

    node->id = id;
    node->sn.node.key = hash;
    node->sn.str.len = target->len;
    node->sn.str.data = node->data;

    ngx_rbtree_insert(&purges->rbtree, &node->sn.node);
    ngx_http_media_purge_order(purges, node);

    purges->depth = ngx_max(purges->depth, depth);
    purges->known++;

done:

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/* NULL if the purge is forgotten, which makes it one of all keys */

static ngx_http_media_purge_node_t *
ngx_http_media_purge_alloc(ngx_http_media_zone_t *zone, uint64_t id,
    size_t len)
{
    size_t                        size;
    ngx_http_media_purges_t      *purges;
    ngx_http_media_purge_node_t  *node;

    purges = &zone->sh->purges;
    size = ngx_http_media_purge_size(len);

    while (id > purges->floor) {

        if (purges->bytes + size <= zone->shm_zone->shm.size / 2) {
            node = ngx_slab_alloc_locked(zone->shpool, size);

            if (node) {
                purges->bytes += size;
                return node;
            }
        }

        if (ngx_queue_empty(&purges->queue)) {
            purges->floor = id;
            break;
        }

        ngx_http_media_purge_forget(zone);
    }

    return NULL;
}


/* what the slab pool takes */

static size_t
ngx_http_media_purge_size(size_t len)
{
    size_t  size, n;

    size = offsetof(ngx_http_media_purge_node_t, data) + len;

    for (n = 64; n < size; n <<= 1) { /* void */ }

    return n;
}


/*
 * The oldest quarter at once: each time, all that is cached under older
 * generations is fetched again.
 */

static void
ngx_http_media_purge_forget(ngx_http_media_zone_t *zone)
{
    ngx_uint_t                    n;
    ngx_queue_t                  *q;
    ngx_http_media_purges_t      *purges;
    ngx_http_media_purge_node_t  *node;

    purges = &zone->sh->purges;

    for (n = purges->known / 4 + 1;
         n && !ngx_queue_empty(&purges->queue);
         n--)
    {
        q = ngx_queue_last(&purges->queue);
        node = ngx_queue_data(q, ngx_http_media_purge_node_t, queue);

        ngx_queue_remove(q);
        ngx_rbtree_delete(&purges->rbtree, &node->sn.node);

        purges->floor = ngx_max(purges->floor, node->id);
        purges->bytes -= ngx_http_media_purge_size(node->sn.str.len);
        purges->known--;

        ngx_slab_free_locked(zone->shpool, node);
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "purges to %uL were forgotten, \"media_zone_size\" is too "
                  "small: all objects are fetched again", purges->floor);
}


/* ids come in order, but for those of writers at the same time */

static void
ngx_http_media_purge_order(ngx_http_media_purges_t *purges,
    ngx_http_media_purge_node_t *node)
{
    ngx_queue_t                  *q;
    ngx_http_media_purge_node_t  *other;

    for (q = ngx_queue_head(&purges->queue);
         q != ngx_queue_sentinel(&purges->queue);
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_http_media_purge_node_t, queue);

        if (other->id <= node->id) {
            break;
        }
    }

    /* before q */

    ngx_queue_insert_tail(q, &node->queue);
}


void
ngx_http_media_purge_init(ngx_http_media_purges_t *purges)
{
    uint64_t    start;
    ngx_uint_t  i;

    ngx_rbtree_init(&purges->rbtree, &purges->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&purges->queue);

    start = (uint64_t) ngx_time();

    for (i = 0; i < 2; i++) {
        start = start << 20 ^ (uint64_t) ngx_random();
    }

    purges->start = start | NGX_HTTP_MEDIA_PURGE_START;
    purges->completed = ngx_current_msec;
    purges->polled = ngx_current_msec;
}
