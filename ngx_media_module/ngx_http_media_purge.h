/*
 * Copyright (C) ngx_media contributors
 *
 * Purged objects.  The writers (media-worker, mediactl) append lines to one
 * string in Redis, "media:purges":
 *
 *     {32 hex digits of this log}\n       another one: read from the start
 *     {id} {target}\n                     id: decimal, 1 .. 2^63 - 1
 *
 * A target is an object key, or a prefix of keys that ends in '/'.  A purge
 * gives the keys it matches a new generation, its id, and the generation is
 * part of the key in every tier: what was cached before is not found again,
 * nor is what a slow response of before still brings.
 */

#ifndef NGX_HTTP_MEDIA_PURGE_H
#define NGX_HTTP_MEDIA_PURGE_H

#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_MEDIA_PURGE_LOG  "media:purges"


/*
 * The largest id of the purges that match a key: the key itself, the key that
 * it is the thumbnail of, and each of its prefixes that end in '/'; 0 if none
 * does.
 */
uint64_t ngx_http_media_purge_generation(ngx_str_t *key);

#endif
