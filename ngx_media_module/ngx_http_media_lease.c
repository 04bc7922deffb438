
/*
 * Copyright (C) ngx_media contributors
 *
 * Who fetches an object: one request of a host, by a node in shared memory,
 * and one of the cluster, by a key in Redis that expires.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <hiredis/hiredis.h>
#include <openssl/rand.h>

#include "ngx_http_media.h"


/* what became of a fetch is there for the other processes to see */
#define NGX_HTTP_MEDIA_LEASE_SHOWN  500         /* ms */
#define NGX_HTTP_MEDIA_LEASE_KNOWN  10000       /* of a large object */

/* nodes that are looked at when one is taken, or there is no memory */
#define NGX_HTTP_MEDIA_LEASE_SWEEP  2
#define NGX_HTTP_MEDIA_LEASE_EVICT  16

#define NGX_HTTP_MEDIA_LEASE_SUFFIX ":lock"
#define NGX_HTTP_MEDIA_LEASE_KEY_LEN                                          \
    (MEDIA_ENTRY_KEY_LEN + sizeof(NGX_HTTP_MEDIA_LEASE_SUFFIX) - 1)

#define NGX_HTTP_MEDIA_LEASE_STORED_REPLY  "STORED"


typedef enum {
    NGX_HTTP_MEDIA_LEASE_FETCHES = 0,
    NGX_HTTP_MEDIA_LEASE_IS_STORED,
    NGX_HTTP_MEDIA_LEASE_IS_OPEN
} ngx_http_media_lease_state_e;


/* in shared memory */
typedef struct {
    ngx_str_node_t                  node;       /* str: key */
    ngx_queue_t                     queue;
    ngx_http_media_lease_state_e    state;
    ngx_msec_t                      expires;
    ngx_pid_t                       pid;
    u_char                          id[16];
    u_char                          key[MEDIA_ENTRY_KEY_LEN];
} ngx_http_media_lease_node_t;


static ngx_int_t ngx_http_media_lease_take_locked(
    ngx_http_media_zone_t *zone, ngx_str_t *key, ngx_msec_t timeout,
    ngx_uint_t waiting, u_char *id);
static ngx_http_media_lease_node_t *ngx_http_media_lease_find(
    ngx_http_media_zone_t *zone, ngx_str_t *key);
static ngx_uint_t ngx_http_media_lease_expired(
    ngx_http_media_lease_node_t *node);
static ngx_uint_t ngx_http_media_lease_orphaned(
    ngx_http_media_lease_node_t *node);
static ngx_http_media_lease_node_t *ngx_http_media_lease_node(
    ngx_http_media_zone_t *zone, ngx_str_t *key);
static void ngx_http_media_lease_sweep(ngx_http_media_zone_t *zone,
    ngx_uint_t n, ngx_uint_t force);
static void ngx_http_media_lease_delete(ngx_http_media_zone_t *zone,
    ngx_http_media_lease_node_t *node);
static void ngx_http_media_lease_key(ngx_http_media_lease_t *lease,
    u_char *key, ngx_str_t *name);
static void ngx_http_media_lease_unlock(ngx_http_media_lease_t *lease);


/* with the key of the object: a fetch that ended meanwhile is not repeated */

static ngx_str_t  ngx_http_media_lease_lock_script = ngx_string(
    "if redis.call('EXISTS',KEYS[1])==1 then "
    "return '" NGX_HTTP_MEDIA_LEASE_STORED_REPLY "' end "
    "if redis.call('GET',KEYS[2])==ARGV[1] then "
    "return redis.call('SET',KEYS[2],ARGV[1],'PX',ARGV[2]) end "
    "return redis.call('SET',KEYS[2],ARGV[1],'NX','PX',ARGV[2])");

static ngx_str_t  ngx_http_media_lease_unlock_script = ngx_string(
    "if redis.call('GET',KEYS[1])==ARGV[1] then "
    "return redis.call('DEL',KEYS[1]) end return 0");


ngx_int_t
ngx_http_media_lease_take(ngx_http_media_main_conf_t *mcf, ngx_str_t *key,
    ngx_msec_t timeout, ngx_uint_t waiting, ngx_http_media_lease_t **lease)
{
    ngx_int_t                rc;
    ngx_http_media_zone_t   *zone;
    ngx_http_media_lease_t  *l;

    zone = &mcf->zone;

    l = ngx_alloc(sizeof(ngx_http_media_lease_t), ngx_cycle->log);
    if (l == NULL) {
        return NGX_DECLINED;
    }

    l->mcf = mcf;
    l->cluster = 0;
    ngx_memcpy(l->key, key->data, MEDIA_ENTRY_KEY_LEN);

    if (RAND_bytes(l->id, sizeof(l->id)) != 1) {
        ngx_free(l);
        return NGX_DECLINED;
    }

    ngx_shmtx_lock(&zone->shpool->mutex);

    rc = ngx_http_media_lease_take_locked(zone, key, timeout, waiting, l->id);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (rc != NGX_OK) {
        ngx_free(l);
        return rc;
    }

    *lease = l;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_lease_take_locked(ngx_http_media_zone_t *zone, ngx_str_t *key,
    ngx_msec_t timeout, ngx_uint_t waiting, u_char *id)
{
    ngx_http_media_lease_node_t  *node;

    ngx_http_media_lease_sweep(zone, NGX_HTTP_MEDIA_LEASE_SWEEP, 0);

    node = ngx_http_media_lease_find(zone, key);

    if (node && ngx_http_media_lease_orphaned(node)) {

        /* what Redis knows of it is ours now */

        ngx_memcpy(id, node->id, sizeof(node->id));

    } else if (node && !ngx_http_media_lease_expired(node)) {

        if (node->state == NGX_HTTP_MEDIA_LEASE_FETCHES) {
            return NGX_BUSY;
        }

        if (node->state == NGX_HTTP_MEDIA_LEASE_IS_OPEN) {
            return NGX_DECLINED;
        }

        if (waiting) {
            return NGX_DONE;
        }
    }

    if (node == NULL) {
        node = ngx_http_media_lease_node(zone, key);
    }

    if (node == NULL) {
        return NGX_DECLINED;
    }

    node->state = NGX_HTTP_MEDIA_LEASE_FETCHES;
    node->expires = ngx_current_msec + timeout;
    node->pid = ngx_pid;
    ngx_memcpy(node->id, id, sizeof(node->id));

    ngx_queue_remove(&node->queue);
    ngx_queue_insert_head(&zone->sh->flights_queue, &node->queue);

    return NGX_OK;
}


static ngx_http_media_lease_node_t *
ngx_http_media_lease_find(ngx_http_media_zone_t *zone, ngx_str_t *key)
{
    return (ngx_http_media_lease_node_t *)
        ngx_str_rbtree_lookup(&zone->sh->flights, key,
                              ngx_crc32_short(key->data, key->len));
}


static ngx_uint_t
ngx_http_media_lease_expired(ngx_http_media_lease_node_t *node)
{
    return (ngx_msec_int_t) (node->expires - ngx_current_msec) <= 0;
}


/* a process that was killed fetches nothing any more */

static ngx_uint_t
ngx_http_media_lease_orphaned(ngx_http_media_lease_node_t *node)
{
    return node->state == NGX_HTTP_MEDIA_LEASE_FETCHES
           && node->pid != ngx_pid
           && kill(node->pid, 0) == -1
           && ngx_errno == NGX_ESRCH;
}


static ngx_http_media_lease_node_t *
ngx_http_media_lease_node(ngx_http_media_zone_t *zone, ngx_str_t *key)
{
    ngx_http_media_lease_node_t  *node;

    node = ngx_slab_alloc_locked(zone->shpool,
                                 sizeof(ngx_http_media_lease_node_t));
    if (node == NULL) {
        ngx_http_media_lease_sweep(zone, NGX_HTTP_MEDIA_LEASE_EVICT, 1);

        node = ngx_slab_alloc_locked(zone->shpool,
                                     sizeof(ngx_http_media_lease_node_t));
    }

    if (node == NULL) {
        return NULL;
    }

    ngx_memcpy(node->key, key->data, MEDIA_ENTRY_KEY_LEN);

    node->node.str.data = node->key;
    node->node.str.len = MEDIA_ENTRY_KEY_LEN;
    node->node.node.key = ngx_crc32_short(node->key, MEDIA_ENTRY_KEY_LEN);

    ngx_rbtree_insert(&zone->sh->flights, &node->node.node);
    ngx_queue_insert_head(&zone->sh->flights_queue, &node->queue);

    return node;
}


static void
ngx_http_media_lease_sweep(ngx_http_media_zone_t *zone, ngx_uint_t n,
    ngx_uint_t force)
{
    ngx_queue_t                  *q, *prev;
    ngx_http_media_lease_node_t  *node;

    for (q = ngx_queue_last(&zone->sh->flights_queue);
         n && q != ngx_queue_sentinel(&zone->sh->flights_queue);
         q = prev, n--)
    {
        prev = ngx_queue_prev(q);
        node = ngx_queue_data(q, ngx_http_media_lease_node_t, queue);

        if (ngx_http_media_lease_expired(node)
            || (force && node->state != NGX_HTTP_MEDIA_LEASE_FETCHES))
        {
            ngx_http_media_lease_delete(zone, node);
        }
    }
}


static void
ngx_http_media_lease_delete(ngx_http_media_zone_t *zone,
    ngx_http_media_lease_node_t *node)
{
    ngx_queue_remove(&node->queue);
    ngx_rbtree_delete(&zone->sh->flights, &node->node.node);
    ngx_slab_free_locked(zone->shpool, node);
}


void
ngx_http_media_lease_release(ngx_http_media_lease_t *lease,
    ngx_http_media_lease_outcome_e outcome)
{
    ngx_str_t                     key;
    ngx_uint_t                    told;
    ngx_http_media_zone_t        *zone;
    ngx_http_media_lease_node_t  *node;

    key.data = lease->key;
    key.len = MEDIA_ENTRY_KEY_LEN;
    zone = &lease->mcf->zone;

    ngx_shmtx_lock(&zone->shpool->mutex);

    node = ngx_http_media_lease_find(zone, &key);

    /* what is stored is there for those who wait for another, too */

    told = (node && (outcome == NGX_HTTP_MEDIA_LEASE_STORED
                     || ngx_memcmp(node->id, lease->id, sizeof(node->id))
                        == 0));

    if (told && outcome == NGX_HTTP_MEDIA_LEASE_FAILED) {
        ngx_http_media_lease_delete(zone, node);

    } else if (told) {
        node->state = (outcome == NGX_HTTP_MEDIA_LEASE_STORED)
                      ? NGX_HTTP_MEDIA_LEASE_IS_STORED
                      : NGX_HTTP_MEDIA_LEASE_IS_OPEN;
        node->expires = ngx_current_msec
                        + (outcome == NGX_HTTP_MEDIA_LEASE_LARGE
                           ? NGX_HTTP_MEDIA_LEASE_KNOWN
                           : NGX_HTTP_MEDIA_LEASE_SHOWN);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (lease->cluster) {
        ngx_http_media_lease_unlock(lease);
    }

    ngx_free(lease);
}


ngx_media_redis_job_t *
ngx_http_media_lease_ask(ngx_http_media_lease_t *lease,
    ngx_msec_t lock_timeout, ngx_msec_t timeout,
    ngx_media_redis_handler_pt handler, void *data)
{
    u_char                  name[NGX_HTTP_MEDIA_LEASE_KEY_LEN];
    u_char                  id[2 * sizeof(lease->id)], ms[NGX_INT_T_LEN];
    ngx_str_t               argv[7];
    ngx_media_redis_t      *redis;
    ngx_media_redis_job_t  *job;

    redis = ngx_http_media_cache_redis(&lease->mcf->cache);
    if (redis == NULL) {
        return NULL;
    }

    ngx_str_set(&argv[0], "EVAL");
    argv[1] = ngx_http_media_lease_lock_script;
    ngx_str_set(&argv[2], "2");
    argv[3].data = lease->key;
    argv[3].len = MEDIA_ENTRY_KEY_LEN;
    ngx_http_media_lease_key(lease, name, &argv[4]);
    argv[5].data = id;
    argv[5].len = ngx_hex_dump(id, lease->id, sizeof(lease->id)) - id;
    argv[6].data = ms;
    argv[6].len = ngx_sprintf(ms, "%M", lock_timeout) - ms;

    job = ngx_media_redis_send(redis, argv, 7, timeout, handler, data);
    if (job == NULL) {
        return NULL;
    }

    lease->cluster = 1;     /* until it is known that it is another's */

    return job;
}


ngx_int_t
ngx_http_media_lease_answer(ngx_http_media_lease_t *lease,
    ngx_media_redis_reply_t *reply)
{
    ngx_int_t  rc;

    if (reply == NULL) {
        return NGX_OK;
    }

    switch (reply->type) {

    case REDIS_REPLY_STATUS:
        rc = NGX_OK;
        break;

    case REDIS_REPLY_STRING:
        rc = NGX_DONE;
        lease->cluster = 0;
        break;

    case REDIS_REPLY_NIL:
        rc = NGX_BUSY;
        lease->cluster = 0;
        break;

    default:                    /* a Redis that does not arbitrate */
        rc = NGX_OK;
        lease->cluster = 0;
        break;
    }

    ngx_media_redis_free(reply->object);

    return rc;
}


static void
ngx_http_media_lease_key(ngx_http_media_lease_t *lease, u_char *key,
    ngx_str_t *name)
{
    u_char  *p;

    p = ngx_cpymem(key, lease->key, MEDIA_ENTRY_KEY_LEN);
    p = ngx_cpymem(p, NGX_HTTP_MEDIA_LEASE_SUFFIX,
                   sizeof(NGX_HTTP_MEDIA_LEASE_SUFFIX) - 1);

    name->data = key;
    name->len = p - key;
}


/* the key in Redis may be another's by now; if this is lost, it expires */

static void
ngx_http_media_lease_unlock(ngx_http_media_lease_t *lease)
{
    u_char              name[NGX_HTTP_MEDIA_LEASE_KEY_LEN];
    u_char              id[2 * sizeof(lease->id)];
    ngx_str_t           argv[5];
    ngx_media_redis_t  *redis;

    redis = ngx_http_media_cache_redis(&lease->mcf->cache);
    if (redis == NULL) {
        return;
    }

    ngx_str_set(&argv[0], "EVAL");
    argv[1] = ngx_http_media_lease_unlock_script;
    ngx_str_set(&argv[2], "1");
    ngx_http_media_lease_key(lease, name, &argv[3]);
    argv[4].data = id;
    argv[4].len = ngx_hex_dump(id, lease->id, sizeof(lease->id)) - id;

    (void) ngx_media_redis_send(redis, argv, 5, 0, NULL, NULL);
}
