/*
 * Copyright (C) ngx_media contributors
 *
 * One long-lived, pipelined client connection of a worker process to a
 * server (Redis, RabbitMQ).  The peer knows connections and jobs, not
 * requests, and nothing of the protocol: that is in the ops.
 *
 *     IDLE -> CONNECTING -> GREETING -> UP -> DOWN (backoff) -> CONNECTING
 *
 * A job is queued in "waiting", moved to "inflight" when its bytes are handed
 * to the socket, and completed exactly once.
 */

#ifndef NGX_MEDIA_PEER_H
#define NGX_MEDIA_PEER_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>


typedef struct ngx_media_peer_s  ngx_media_peer_t;
typedef struct ngx_media_job_s   ngx_media_job_t;


typedef enum {
    NGX_MEDIA_PEER_IDLE = 0,        /* never connected */
    NGX_MEDIA_PEER_CONNECTING,
    NGX_MEDIA_PEER_GREETING,        /* protocol handshake */
    NGX_MEDIA_PEER_UP,
    NGX_MEDIA_PEER_DOWN             /* waits for the backoff timer */
} ngx_media_peer_state_e;

#define NGX_MEDIA_PEER_STATES  5


typedef enum {
    NGX_MEDIA_PEER_ERROR_CONNECT = 0,
    NGX_MEDIA_PEER_ERROR_TIMEOUT,   /* of the greeting, or of a job */
    NGX_MEDIA_PEER_ERROR_CLOSED,
    NGX_MEDIA_PEER_ERROR_PROTOCOL,
    NGX_MEDIA_PEER_ERROR_REPLY,     /* the server refused */
    NGX_MEDIA_PEER_ERROR_MAX
} ngx_media_peer_error_e;


/* counters in shared memory; NULL: not counted */
typedef struct {
    ngx_atomic_t              *states;  /* peers of this process by state */
    ngx_atomic_t              *errors;
} ngx_media_peer_stats_t;


/*
 * handler is called exactly once: rc NGX_OK with reply set by the protocol,
 * or NGX_ERROR if the peer was closed or the job timed out (reply NULL).
 * The job's memory is its owner's again from then on.
 */
typedef void (*ngx_media_job_handler_pt)(ngx_media_job_t *job, ngx_int_t rc,
    void *reply);


struct ngx_media_job_s {
    ngx_queue_t                queue;   /* in peer->waiting or ->inflight */
    ngx_chain_t               *out;     /* bytes to send; the job's own, but
                                           the links are joined to others'
                                           while the peer has the job */
    size_t                     size;    /* bytes in out */
    off_t                      end;     /* the peer's: where its bytes end in
                                           what the connection sends */
    ngx_msec_t                 deadline;    /* ngx_current_msec based, set by
                                               submit */
    uint64_t                   tag;     /* the protocol's own, AMQP delivery */
    ngx_media_job_handler_pt   handler;
    void                      *data;    /* NULL once the client is gone */
};


/* the protocol of a peer; connection c is peer->connection.connection */
typedef struct {
    /* connected: send the greeting by ngx_media_peer_send(); call
       ngx_media_peer_up() now or when the handshake is done */
    ngx_int_t  (*greet)(ngx_media_peer_t *peer);

    /* len bytes came.  Returns the number consumed (what is left is kept and
       handed over again with more), or NGX_ERROR with peer->reason set.
       Completes jobs by ngx_media_peer_complete(). */
    ssize_t    (*input)(ngx_media_peer_t *peer, u_char *p, size_t len);

    /* the connection is gone: reset protocol state.  Jobs are completed by
       the peer afterwards. */
    void       (*closed)(ngx_media_peer_t *peer);

    /* called each heartbeat interval while UP; may send; may be NULL */
    void       (*heartbeat)(ngx_media_peer_t *peer);

    /* called before the bytes of a job are sent, e.g. to number it; may be
       NULL */
    void       (*sent)(ngx_media_peer_t *peer, ngx_media_job_t *job);

    /* A job that was sent is late: completes it, or leaves the connection to
       be closed (NGX_ERROR).  NULL, for protocols whose replies come in
       order: the connection is closed. */
    ngx_int_t  (*late)(ngx_media_peer_t *peer, ngx_media_job_t *job);
} ngx_media_peer_ops_t;


typedef struct {
    ngx_media_peer_stats_t     stats;
    ngx_str_t                  name;    /* "redis 127.0.0.1:6379" */
    ngx_addr_t                *addr;    /* numeric or unix; resolved at
                                           configuration time */
    ngx_msec_t                 connect_timeout;
    ngx_msec_t                 timeout;         /* of one job */
    ngx_msec_t                 heartbeat;       /* 0: none */
    ngx_msec_t                 backoff_min;
    ngx_msec_t                 backoff_max;
    ngx_uint_t                 max_jobs;        /* waiting + inflight */
    size_t                     max_bytes;       /* of their out chains */
    size_t                     max_input;       /* of unconsumed input */
    ngx_uint_t                 queue_while_connecting; /* accept jobs in
                                        CONNECTING and GREETING */
} ngx_media_peer_conf_t;


struct ngx_media_peer_s {
    ngx_media_peer_conf_t     *conf;
    ngx_media_peer_ops_t      *ops;
    void                      *data;        /* the protocol's state */
    ngx_peer_connection_t      connection;
    ngx_media_peer_state_e     state;
    const char                *reason;      /* why it is down, a literal */
    ngx_media_peer_error_e     error;       /* its class, if input() set it */

    ngx_queue_t                waiting;
    ngx_queue_t                inflight;
    ngx_uint_t                 jobs;
    size_t                     bytes;

    ngx_buf_t                  in;
    ngx_chain_t               *out;         /* being written */
    ngx_chain_t              **out_last;
    off_t                      queued;      /* bytes put to out in all */
    off_t                      sent;        /* bytes that the kernel took */
    ngx_event_t                backoff;     /* cancelable */
    ngx_event_t                beat;        /* cancelable */
    ngx_event_t                job_timer;   /* the oldest job's deadline */
    ngx_uint_t                 failures;    /* in a row */
    ngx_msec_t                 up_since;
    ngx_log_t                 *log;
    ngx_log_t                  connection_log;  /* names the peer */
    ngx_pool_t                *pool;        /* the cycle's */

    unsigned                   proven:1;    /* a reply came since connect */
    unsigned                   announced:1; /* logged as up in this series */
    unsigned                   failed:1;    /* logged as down before */
    unsigned                   broken:1;    /* bytes of a job are lost */
    unsigned                   exiting:1;
};


/* Makes a peer in the worker's pool.  Does not connect.  NULL: no memory. */
ngx_media_peer_t *ngx_media_peer_create(ngx_media_peer_conf_t *conf,
    ngx_media_peer_ops_t *ops, void *data, ngx_cycle_t *cycle);

/* Starts to connect if IDLE; else does nothing. */
void ngx_media_peer_connect(ngx_media_peer_t *peer);

/*
 * Queues a job; it is sent with all others of this turn of the event loop.
 * timeout 0 takes the configured one.  The peer owns the job from here on,
 * and calls job->handler exactly once, never from within this call.
 *
 * Returns NGX_OK, or NGX_BUSY if the queue is full or the peer is down (the
 * job is then still the caller's).
 */
ngx_int_t ngx_media_peer_submit(ngx_media_peer_t *peer, ngx_media_job_t *job,
    ngx_msec_t timeout);

/* For ops: sends protocol bytes outside of jobs (copied). */
ngx_int_t ngx_media_peer_send(ngx_media_peer_t *peer, u_char *p, size_t len);

/* For ops: the handshake is done. */
void ngx_media_peer_up(ngx_media_peer_t *peer);

/* For ops: takes job off its queue and calls its handler. */
void ngx_media_peer_complete(ngx_media_peer_t *peer, ngx_media_job_t *job,
    ngx_int_t rc, void *reply);

/* Closes with a reason, fails all jobs, backs off. */
void ngx_media_peer_close(ngx_media_peer_t *peer,
    ngx_media_peer_error_e error, const char *reason);

/* For ops: counts an error that does not close the connection. */
void ngx_media_peer_count(ngx_media_peer_t *peer,
    ngx_media_peer_error_e error);

/* From exit_process: closes without backoff. */
void ngx_media_peer_destroy(ngx_media_peer_t *peer);

#endif
