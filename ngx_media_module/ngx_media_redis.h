/*
 * Copyright (C) ngx_media contributors
 *
 * Redis commands over a few pipelined connections of a worker process.
 * hiredis serves as the parser of replies only.
 */

#ifndef NGX_MEDIA_REDIS_H
#define NGX_MEDIA_REDIS_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_media_peer.h"


#define NGX_MEDIA_REDIS_PORT  6379


typedef struct ngx_media_redis_s      ngx_media_redis_t;
typedef struct ngx_media_redis_job_s  ngx_media_redis_job_t;


/* what a server answered; view of memory that ngx_media_redis_free() frees */
typedef struct {
    ngx_uint_t       type;      /* REDIS_REPLY_... of hiredis */
    ngx_str_t        str;       /* of a string, status or error */
    void            *object;
} ngx_media_redis_reply_t;


/*
 * Called exactly once for a submitted job; reply is NULL if the server did
 * not answer in time or the connection was lost.  The receiver owns
 * reply->object.  The job is freed when the handler returns.
 */
typedef void (*ngx_media_redis_handler_pt)(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);


typedef struct {
    ngx_media_peer_stats_t   stats;
    ngx_addr_t              *addr;      /* NULL: no Redis */
    ngx_str_t                name;      /* for the log */
    ngx_str_t                user;
    ngx_str_t                password;
    ngx_uint_t               database;
    ngx_uint_t               connections;   /* of one worker process */
    ngx_msec_t               timeout;       /* of one command */
    ngx_msec_t               connect_timeout;
    size_t                   max_bytes; /* of commands not yet answered */
    size_t                   max_reply; /* a longer one is a protocol error */
} ngx_media_redis_conf_t;


struct ngx_media_redis_job_s {
    ngx_media_job_t              job;
    ngx_chain_t                  out[3];        /* around a view */
    ngx_buf_t                    buf[3];
    size_t                       allocated;
    ngx_uint_t                   series;        /* of the command's errors */
    ngx_media_redis_t           *redis;
    ngx_media_redis_handler_pt   handler;       /* NULL: nobody waits */
    void                        *data;
};


/* Makes the connections of a process and starts to connect. */
ngx_media_redis_t *ngx_media_redis_create(ngx_media_redis_conf_t *conf,
    ngx_cycle_t *cycle);
void ngx_media_redis_destroy(ngx_media_redis_t *redis);

/*
 * Queues a command on the least loaded connection; timeout 0 takes the
 * configured one.  Returns NULL if there is no memory, no connection is up,
 * the queues are full, or max_bytes are in use and the command is not small;
 * handler is not called then, nor by this function itself.
 */
ngx_media_redis_job_t *ngx_media_redis_send(ngx_media_redis_t *redis,
    ngx_str_t *argv, ngx_uint_t argc, ngx_msec_t timeout,
    ngx_media_redis_handler_pt handler, void *data);

/*
 * The same, but the bytes of argv[n] are not copied: they must stay as they
 * are until handler was called.
 */
ngx_media_redis_job_t *ngx_media_redis_send_view(ngx_media_redis_t *redis,
    ngx_str_t *argv, ngx_uint_t argc, ngx_uint_t n, ngx_msec_t timeout,
    ngx_media_redis_handler_pt handler, void *data);

/* Whether a connection is up; connects again after a reload closed it. */
ngx_uint_t ngx_media_redis_ready(ngx_media_redis_t *redis);

/* Frees what a handler was given. */
void ngx_media_redis_free(void *object);

#endif
