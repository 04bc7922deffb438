/*
 * Copyright (C) ngx_media contributors
 *
 * One copy of an object for all requests of a process that send it (entry),
 * the requests of a process that wait for one (flight), and who of a host and
 * of a cluster fetches it from S3 (lease).
 */

#ifndef NGX_HTTP_MEDIA_FLIGHT_H
#define NGX_HTTP_MEDIA_FLIGHT_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_media_redis.h"

#include "media_entry.h"


typedef struct ngx_http_media_main_conf_s  ngx_http_media_main_conf_t;
typedef struct ngx_http_media_cache_ctx_s  ngx_http_media_cache_ctx_t;
typedef struct ngx_http_media_entry_s      ngx_http_media_entry_t;
typedef struct ngx_http_media_flight_s     ngx_http_media_flight_t;
typedef struct ngx_http_media_lease_s      ngx_http_media_lease_t;


/* an object in memory; the table's view of it is no reference */
struct ngx_http_media_entry_s {
    ngx_str_node_t              node;       /* str: key */
    ngx_http_media_main_conf_t *mcf;
    ngx_uint_t                  count;      /* references */
    size_t                      size;       /* of media_cache_buffers */
    u_char                     *data;       /* head and body, as in Redis */
    size_t                      len;
    void                       *reply;      /* that has data; NULL: own */
    media_entry_t               head;       /* views of data */
    u_char                      key[MEDIA_ENTRY_KEY_LEN];
    unsigned                    listed:1;   /* in the table */
};


/* what became of a fetch */
typedef enum {
    NGX_HTTP_MEDIA_LEASE_STORED = 0,    /* Redis has it */
    NGX_HTTP_MEDIA_LEASE_FAILED,        /* another one may try */
    NGX_HTTP_MEDIA_LEASE_OPEN,          /* each is to go on by itself */
    NGX_HTTP_MEDIA_LEASE_LARGE          /* the same, also those to come */
} ngx_http_media_lease_outcome_e;


/* the right to fetch an object */
struct ngx_http_media_lease_s {
    ngx_http_media_main_conf_t *mcf;
    u_char                      key[MEDIA_ENTRY_KEY_LEN];
    u_char                      id[16];     /* random */
    unsigned                    cluster:1;  /* Redis knows of it */
};


typedef enum {
    NGX_HTTP_MEDIA_FLIGHT_CHECK = 0,
    NGX_HTTP_MEDIA_FLIGHT_GET,
    NGX_HTTP_MEDIA_FLIGHT_LOCK,
    NGX_HTTP_MEDIA_FLIGHT_READY,
    NGX_HTTP_MEDIA_FLIGHT_WAIT,
    NGX_HTTP_MEDIA_FLIGHT_DONE
} ngx_http_media_flight_state_e;


struct ngx_http_media_flight_s {
    ngx_str_node_t                   node;      /* str: key */
    ngx_http_media_main_conf_t      *mcf;
    ngx_http_media_flight_state_e    state;
    ngx_queue_t                      waiters;
    ngx_event_t                      event;
    ngx_media_redis_job_t           *job;       /* NULL: Redis is not asked */
    ngx_http_media_entry_t          *entry;     /* in CHECK and DONE */
    ngx_uint_t                       tier;      /* of entry */
    ngx_http_media_lease_t          *lease;     /* until a request leads */
    ngx_http_media_cache_ctx_t      *leader;
    ngx_msec_t                       deadline;  /* of Redis */
    ngx_msec_t                       timeout;   /* media_cache_lock_timeout */
    ngx_msec_t                       interval;
    u_char                           key[MEDIA_ENTRY_KEY_LEN];
    unsigned                         lock:1;
    unsigned                         missed:1;  /* Redis did not have it */
    unsigned                         stored:1;  /* it was told to have it */
    unsigned                         full:1;    /* no room for it */
    unsigned                         listed:1;
    unsigned                         busy:1;    /* requests are going on */
};


/* The key in a table of the process; "media:" and a SHA-256 need no hash. */
static ngx_inline uint32_t
ngx_http_media_entry_hash(u_char *key)
{
    uint32_t  hash[2];

    ngx_memcpy(hash, key + sizeof("media:") - 1, sizeof(hash));

    return hash[0] ^ (hash[1] << 4);
}


/* Bytes of media_cache_buffers that are free. */
size_t ngx_http_media_entry_room(ngx_http_media_main_conf_t *mcf);

/*
 * An entry with one reference; len counts head and body.  NULL if there is no
 * room, which is counted, or no memory.
 */
ngx_http_media_entry_t *ngx_http_media_entry_create(
    ngx_http_media_main_conf_t *mcf, ngx_str_t *key, size_t len);

/* The same of a reply, which becomes the entry's own if there is room. */
ngx_http_media_entry_t *ngx_http_media_entry_take(
    ngx_http_media_main_conf_t *mcf, ngx_str_t *key,
    ngx_media_redis_reply_t *reply, media_entry_t *head);

/* Lets the requests to come find a complete entry with a strong ETag. */
void ngx_http_media_entry_list(ngx_http_media_entry_t *entry);

/* An entry of the process, NULL if there is none; takes no reference. */
ngx_http_media_entry_t *ngx_http_media_entry_find(
    ngx_http_media_main_conf_t *mcf, ngx_str_t *key);

ngx_http_media_entry_t *ngx_http_media_entry_ref(
    ngx_http_media_entry_t *entry);
void ngx_http_media_entry_release(ngx_http_media_entry_t *entry);


/*
 * Takes the lease of a key for this host.  NGX_OK: *lease is the caller's;
 * NGX_BUSY: another one fetches; NGX_DONE: another one has stored it in Redis,
 * told only if waiting; NGX_DECLINED: fetch it without.
 */
ngx_int_t ngx_http_media_lease_take(ngx_http_media_main_conf_t *mcf,
    ngx_str_t *key, ngx_msec_t timeout, ngx_uint_t waiting,
    ngx_http_media_lease_t **lease);

/*
 * Asks Redis for the lease of the cluster.  The answer is for
 * ngx_http_media_lease_answer().  NULL if Redis cannot be asked.
 */
ngx_media_redis_job_t *ngx_http_media_lease_ask(
    ngx_http_media_lease_t *lease, ngx_msec_t lock_timeout,
    ngx_msec_t timeout, ngx_media_redis_handler_pt handler, void *data);

/*
 * NGX_OK: the caller fetches; NGX_BUSY: another host does; NGX_DONE: Redis
 * has the object.  Frees the reply, which may be NULL.
 */
ngx_int_t ngx_http_media_lease_answer(ngx_http_media_lease_t *lease,
    ngx_media_redis_reply_t *reply);

/* Ends and frees a lease, and tells the others what became of it. */
void ngx_http_media_lease_release(ngx_http_media_lease_t *lease,
    ngx_http_media_lease_outcome_e outcome);


/*
 * Waits for the object of cctx->key: NGX_AGAIN, the phases of the request run
 * again when it is there or not.  If Redis was asked in vain (missed), it is
 * only asked who is to fetch, until cctx->deadline.  NGX_DECLINED: no memory.
 */
ngx_int_t ngx_http_media_flight_join(ngx_http_media_cache_ctx_t *cctx,
    ngx_uint_t missed);

/* The leader's response is complete: all that wait have it. */
void ngx_http_media_flight_land(ngx_http_media_cache_ctx_t *cctx,
    ngx_http_media_entry_t *entry);

/* The leader has no response for the others, or its request ends. */
void ngx_http_media_flight_leave(ngx_http_media_cache_ctx_t *cctx,
    ngx_http_media_lease_outcome_e outcome);

/* The request ends, whether it waits, leads or neither. */
void ngx_http_media_flight_detach(ngx_http_media_cache_ctx_t *cctx);

/* Gives a request an entry to send, and the tier that it is from. */
void ngx_http_media_flight_share(ngx_http_media_cache_ctx_t *cctx,
    ngx_http_media_entry_t *entry, ngx_uint_t tier);


/* How often shared memory is looked at, and Redis for another host: ms. */
#define NGX_HTTP_MEDIA_FLIGHT_MIN       2
#define NGX_HTTP_MEDIA_FLIGHT_MAX       50
#define NGX_HTTP_MEDIA_FLIGHT_HOST_MIN  20
#define NGX_HTTP_MEDIA_FLIGHT_HOST_MAX  100

/* ngx_http_media_flight_redis.c: each leads to another state */
void ngx_http_media_flight_start(ngx_http_media_flight_t *f,
    ngx_uint_t missed);
void ngx_http_media_flight_get(ngx_http_media_flight_t *f);
void ngx_http_media_flight_arbitrate(ngx_http_media_flight_t *f);

/* The first that waits leads. */
void ngx_http_media_flight_ready(ngx_http_media_flight_t *f);

/* Another one fetches; looks again after min, and later after max. */
void ngx_http_media_flight_wait(ngx_http_media_flight_t *f, ngx_msec_t min,
    ngx_msec_t max);

/* All go on, with entry, whose reference is the flight's then, or NULL. */
void ngx_http_media_flight_finish(ngx_http_media_flight_t *f,
    ngx_http_media_entry_t *entry);

/* The same at once, with what Redis has sent in the CPU's cache still. */
void ngx_http_media_flight_go_on(ngx_http_media_flight_t *f);

/* Frees what nobody waits in or leads, once Redis has answered. */
void ngx_http_media_flight_idle(ngx_http_media_flight_t *f);

#endif
