/*
 * Copyright (C) ngx_media contributors
 *
 * A publisher with confirms over a peer.  librabbitmq serves as the codec of
 * methods and properties only; it never sees the connection.
 *
 * The queue "inflight" of the peer is the confirm window: jobs stand in it
 * in the order of their delivery tags.
 */

#ifndef NGX_MEDIA_AMQP_H
#define NGX_MEDIA_AMQP_H

#include "ngx_media_peer.h"

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>            /* since librabbitmq 0.12 */
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif


typedef struct {
    ngx_media_peer_conf_t    peer;
    ngx_str_t                user;
    ngx_str_t                password;
    ngx_str_t                vhost;
    ngx_str_t                exchange;
    ngx_str_t                routing_key;
} ngx_media_amqp_conf_t;


typedef struct {
    ngx_media_amqp_conf_t   *conf;
    ngx_media_peer_t        *peer;
    amqp_pool_t              pool;          /* of decoded methods */
    size_t                   frame_max;
    uint64_t                 tag;           /* of the last publish */
    ngx_msec_t               received;      /* when bytes came */
    ngx_msec_t               stalled_since;

    unsigned                 returned:1;    /* a content header follows */
    unsigned                 blocked:1;
    unsigned                 stalled:1;     /* a confirm is overdue */
    unsigned                 refusing:1;    /* the last publish failed */
} ngx_media_amqp_t;


/* a message; all of its memory lives until job.handler is called */
typedef struct {
    ngx_media_job_t          job;           /* handler and data: the owner's */
    ngx_str_t                routing_key;   /* empty: the configured one */
    ngx_str_t                id;
    ngx_str_t                provider;
    ngx_str_t                instance;
    ngx_str_t                body_key;      /* empty: the body is complete */
    ngx_str_t                body_size;
    ngx_str_t                body;
    uint64_t                 received_ms;

    unsigned                 unroutable:1;  /* no queue took it */
} ngx_media_amqp_message_t;


/* amqp://user:password@host:port/vhost, percent-encoded; resolves the host.
   Returns NGX_CONF_OK or a literal that says what is wrong. */
char *ngx_media_amqp_parse_url(ngx_conf_t *cf, ngx_media_amqp_conf_t *conf,
    ngx_str_t *url);

/* Makes a publisher and starts to connect.  NULL: no memory. */
ngx_media_amqp_t *ngx_media_amqp_create(ngx_media_amqp_conf_t *conf,
    ngx_cycle_t *cycle);

/*
 * Publishes persistent and mandatory.  pool is the message's own.  The
 * handler of the job is called with NGX_OK once the broker has it, else with
 * NGX_ERROR: within the confirm timeout in either case.
 *
 * Returns NGX_OK; NGX_BUSY if the broker is away, blocked or slow or the
 * queue is full; NGX_ERROR if out of memory (the message is then still the
 * caller's).
 */
ngx_int_t ngx_media_amqp_publish(ngx_media_amqp_t *amqp,
    ngx_media_amqp_message_t *msg, ngx_pool_t *pool);

/* Why publish would return NGX_BUSY, a literal for the log. */
const char *ngx_media_amqp_reason(ngx_media_amqp_t *amqp);

#endif
