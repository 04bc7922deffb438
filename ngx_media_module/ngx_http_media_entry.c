
/*
 * Copyright (C) ngx_media contributors
 *
 * Objects in the memory of a process: what came from Redis, or is on its way
 * there, exists once, however many requests send it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_http_media_entry_t *ngx_http_media_entry_alloc(
    ngx_http_media_main_conf_t *mcf, ngx_str_t *key, size_t size, size_t len);
static void ngx_http_media_entry_unlist(ngx_http_media_entry_t *entry);


size_t
ngx_http_media_entry_room(ngx_http_media_main_conf_t *mcf)
{
    return mcf->cache.buffers - ngx_min(mcf->cache.used, mcf->cache.buffers);
}


ngx_http_media_entry_t *
ngx_http_media_entry_create(ngx_http_media_main_conf_t *mcf, ngx_str_t *key,
    size_t len)
{
    ngx_http_media_entry_t  *entry;

    entry = ngx_http_media_entry_alloc(mcf, key, len, len);

    if (entry) {
        entry->data = (u_char *) entry + sizeof(ngx_http_media_entry_t);
    }

    return entry;
}


ngx_http_media_entry_t *
ngx_http_media_entry_take(ngx_http_media_main_conf_t *mcf, ngx_str_t *key,
    ngx_media_redis_reply_t *reply, media_entry_t *head)
{
    ngx_http_media_entry_t  *entry;

    entry = ngx_http_media_entry_alloc(mcf, key, reply->str.len, 0);

    if (entry) {
        entry->data = reply->str.data;
        entry->reply = reply->object;
        entry->head = *head;
    }

    return entry;
}


/* an entry of size bytes, len of which are allocated with it */

static ngx_http_media_entry_t *
ngx_http_media_entry_alloc(ngx_http_media_main_conf_t *mcf, ngx_str_t *key,
    size_t size, size_t len)
{
    size_t                   needed;
    ngx_http_media_entry_t  *entry;

    needed = sizeof(ngx_http_media_entry_t) + size;

    if (needed > ngx_http_media_entry_room(mcf)) {
        ngx_http_media_count(NGX_HTTP_MEDIA_COUNT_BUFFERS_FULL);
        return NULL;
    }

    entry = ngx_alloc(sizeof(ngx_http_media_entry_t) + len, ngx_cycle->log);
    if (entry == NULL) {
        return NULL;
    }

    ngx_memzero(entry, sizeof(ngx_http_media_entry_t));
    ngx_memcpy(entry->key, key->data, MEDIA_ENTRY_KEY_LEN);

    entry->mcf = mcf;
    entry->count = 1;
    entry->size = needed;
    entry->len = size;
    entry->node.str.data = entry->key;
    entry->node.str.len = MEDIA_ENTRY_KEY_LEN;
    entry->node.node.key = ngx_http_media_entry_hash(entry->key);

    mcf->cache.used += needed;

    return entry;
}


void
ngx_http_media_entry_list(ngx_http_media_entry_t *entry)
{
    ngx_http_media_entry_t  *old;

    /* the head of an object without it is no proof of the same body */

    if (entry->head.etag.len == 0 || entry->head.etag.data[0] != '"') {
        return;
    }

    old = ngx_http_media_entry_find(entry->mcf, &entry->node.str);

    if (old) {
        ngx_http_media_entry_unlist(old);
    }

    ngx_rbtree_insert(&entry->mcf->cache.entries, &entry->node.node);
    entry->listed = 1;
}


static void
ngx_http_media_entry_unlist(ngx_http_media_entry_t *entry)
{
    if (entry->listed) {
        ngx_rbtree_delete(&entry->mcf->cache.entries, &entry->node.node);
        entry->listed = 0;
    }
}


ngx_http_media_entry_t *
ngx_http_media_entry_find(ngx_http_media_main_conf_t *mcf, ngx_str_t *key)
{
    return (ngx_http_media_entry_t *)
        ngx_str_rbtree_lookup(&mcf->cache.entries, key,
                              ngx_http_media_entry_hash(key->data));
}


ngx_http_media_entry_t *
ngx_http_media_entry_ref(ngx_http_media_entry_t *entry)
{
    entry->count++;

    return entry;
}


void
ngx_http_media_entry_release(ngx_http_media_entry_t *entry)
{
    if (--entry->count) {
        return;
    }

    ngx_http_media_entry_unlist(entry);

    entry->mcf->cache.used -= entry->size;

    if (entry->reply) {
        ngx_media_redis_free(entry->reply);
    }

    ngx_free(entry);
}
