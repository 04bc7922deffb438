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
 *
 * One worker process of the host reads what was appended, four times a
 * second, into shared memory; another one goes on when it dies.  A log that
 * is gone or was replaced takes back no purge.
 *
 * Until the log was read once since the shared memory was made, all keys have
 * a generation of this start, as what is on disk may have been purged.  An
 * answer that there is no log counts as read.
 */

#ifndef NGX_HTTP_MEDIA_PURGE_H
#define NGX_HTTP_MEDIA_PURGE_H

#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_MEDIA_PURGE_LOG   "media:purges"
#define NGX_HTTP_MEDIA_PURGE_HEAD  33           /* bytes of the first line */
#define NGX_HTTP_MEDIA_PURGE_PIECE 65536        /* bytes of one read */
#define NGX_HTTP_MEDIA_PURGE_START (UINT64_C(1) << 63)


struct ngx_http_media_zone_s;


/* in shared memory */
typedef struct {
    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;
    ngx_queue_t                   queue;        /* the largest id first */
    ngx_atomic_t                  known;        /* records */
    size_t                        bytes;        /* of the records */
    ngx_uint_t                    depth;        /* slashes in a prefix, at
                                                   the most */
    uint64_t                      floor;        /* the largest id that was
                                                   forgotten; of all keys */
    uint64_t                      start;        /* of all keys until the log
                                                   was read; 0 */

    /* the reader */
    ngx_pid_t                     poller;
    ngx_msec_t                    polled;
    ngx_msec_t                    completed;    /* read to the end */
    uint64_t                      offset;       /* in the log; 0: no head */
    u_char                        head[NGX_HTTP_MEDIA_PURGE_HEAD];
    u_char                        tail;         /* the byte before offset */
    unsigned                      warned:1;     /* of a malformed line */
} ngx_http_media_purges_t;


/*
 * The largest id of the purges that match a key: the key itself, the key that
 * it is the thumbnail of, and each of its prefixes that end in '/'.  Never
 * less than the id of a purge that was forgotten for lack of room; 2^63 and
 * more before the log was read.  0 if no purge matches, or there is no Redis.
 */
uint64_t ngx_http_media_purge_generation(ngx_str_t *key);

/* called with memory of zeros; may be called before there is a process */
void ngx_http_media_purge_init(ngx_http_media_purges_t *purges);

/*
 * Keeps a purge.  When there is no room for it, the oldest are forgotten, and
 * the floor says which.
 */
void ngx_http_media_purge_add(struct ngx_http_media_zone_s *zone, uint64_t id,
    ngx_str_t *target);

/* starts to read in a worker process */
void ngx_http_media_purge_init_process(ngx_cycle_t *cycle);
void ngx_http_media_purge_exit_process(void);

#endif
