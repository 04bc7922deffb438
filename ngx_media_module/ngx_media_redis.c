
/*
 * Copyright (C) ngx_media contributors
 */


#include "ngx_media_redis.h"

#include <hiredis/hiredis.h>


#define NGX_MEDIA_REDIS_JOBS         1024   /* unanswered, of a connection */
#define NGX_MEDIA_REDIS_INPUT        65536  /* bytes of one read */
#define NGX_MEDIA_REDIS_SMALL        1024   /* bytes of a command */
#define NGX_MEDIA_REDIS_BACKOFF_MIN  100    /* ms */
#define NGX_MEDIA_REDIS_BACKOFF_MAX  5000
#define NGX_MEDIA_REDIS_NAME         "ngx_media"

/* series of errors, by the first letters of a command */
#define NGX_MEDIA_REDIS_SERIES       8
#define NGX_MEDIA_REDIS_COMMAND_LEN  8


typedef struct {
    redisReader                 *reader;
    ngx_media_redis_t           *redis;
    ngx_media_peer_t            *peer;
    ngx_uint_t                   greetings;     /* replies to wait for */
} ngx_media_redis_connection_t;


typedef struct {
    ngx_str_t                    command;
    u_char                       name[NGX_MEDIA_REDIS_COMMAND_LEN];
    ngx_uint_t                   failing;
} ngx_media_redis_series_t;


struct ngx_media_redis_s {
    ngx_media_redis_conf_t        *conf;
    ngx_media_redis_connection_t  *connections;
    ngx_media_peer_conf_t          peer;
    size_t                         bytes;       /* of all jobs */
    ngx_media_redis_series_t       series[NGX_MEDIA_REDIS_SERIES];
    ngx_log_t                     *log;
};


static ngx_int_t ngx_media_redis_greet(ngx_media_peer_t *peer);
static ngx_int_t ngx_media_redis_greet_send(
    ngx_media_redis_connection_t *rc, ngx_str_t *argv, ngx_uint_t argc);
static ssize_t ngx_media_redis_input(ngx_media_peer_t *peer, u_char *p,
    size_t len);
static ngx_int_t ngx_media_redis_reply(ngx_media_redis_connection_t *rc,
    redisReply *object);
static ngx_int_t ngx_media_redis_greeted(ngx_media_redis_connection_t *rc,
    redisReply *object);
static void ngx_media_redis_closed(ngx_media_peer_t *peer);
static ngx_media_redis_job_t *ngx_media_redis_job_create(
    ngx_media_redis_t *redis, ngx_str_t *argv, ngx_uint_t argc, ngx_uint_t n);
static void ngx_media_redis_job_free(ngx_media_redis_job_t *job);
static ngx_int_t ngx_media_redis_submit(ngx_media_redis_t *redis,
    ngx_media_redis_job_t *job, ngx_msec_t timeout);
static void ngx_media_redis_done(ngx_media_job_t *job, ngx_int_t rc,
    void *data);
static ngx_uint_t ngx_media_redis_series(ngx_media_redis_t *redis,
    ngx_str_t *command);
static void ngx_media_redis_report(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);
static size_t ngx_media_redis_size(ngx_str_t *argv, ngx_uint_t argc,
    ngx_uint_t view);
static u_char *ngx_media_redis_format(u_char *p, ngx_str_t *argv,
    ngx_uint_t argc, ngx_uint_t view, u_char **cut);


static ngx_media_peer_ops_t  ngx_media_redis_ops = {
    ngx_media_redis_greet,
    ngx_media_redis_input,
    ngx_media_redis_closed,
    NULL,                       /* heartbeat */
    NULL,                       /* sent */
    NULL                        /* late */
};


ngx_media_redis_t *
ngx_media_redis_create(ngx_media_redis_conf_t *conf, ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_media_redis_t             *redis;
    ngx_media_redis_connection_t  *rc;

    redis = ngx_pcalloc(cycle->pool, sizeof(ngx_media_redis_t));
    if (redis == NULL) {
        return NULL;
    }

    redis->conf = conf;
    redis->log = cycle->log;

    redis->peer.stats = conf->stats;
    redis->peer.name = conf->name;
    redis->peer.addr = conf->addr;
    redis->peer.connect_timeout = conf->connect_timeout;
    redis->peer.timeout = conf->timeout;
    redis->peer.backoff_min = NGX_MEDIA_REDIS_BACKOFF_MIN;
    redis->peer.backoff_max = NGX_MEDIA_REDIS_BACKOFF_MAX;
    redis->peer.max_jobs = NGX_MEDIA_REDIS_JOBS;
    redis->peer.max_bytes = conf->max_bytes;
    redis->peer.max_input = NGX_MEDIA_REDIS_INPUT;

    redis->connections = ngx_pcalloc(cycle->pool, conf->connections
                                    * sizeof(ngx_media_redis_connection_t));
    if (redis->connections == NULL) {
        return NULL;
    }

    for (i = 0; i < conf->connections; i++) {
        rc = &redis->connections[i];
        rc->redis = redis;

        rc->peer = ngx_media_peer_create(&redis->peer, &ngx_media_redis_ops,
                                         rc, cycle);
        if (rc->peer == NULL) {
            return NULL;
        }

        ngx_media_peer_connect(rc->peer);
    }

    return redis;
}


void
ngx_media_redis_destroy(ngx_media_redis_t *redis)
{
    ngx_uint_t  i;

    for (i = 0; i < redis->conf->connections; i++) {
        ngx_media_peer_destroy(redis->connections[i].peer);
    }
}


static ngx_int_t
ngx_media_redis_greet(ngx_media_peer_t *peer)
{
    ngx_str_t                      argv[3];
    ngx_uint_t                     n;
    u_char                         number[NGX_INT_T_LEN];
    ngx_media_redis_conf_t        *conf;
    ngx_media_redis_connection_t  *rc;

    rc = peer->data;
    conf = rc->redis->conf;

    rc->greetings = 0;

    rc->reader = redisReaderCreate();
    if (rc->reader == NULL) {
        return NGX_ERROR;
    }

    if (conf->password.len) {
        n = 0;
        ngx_str_set(&argv[n], "AUTH");
        n++;

        if (conf->user.len) {
            argv[n++] = conf->user;
        }

        argv[n++] = conf->password;

        if (ngx_media_redis_greet_send(rc, argv, n) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (conf->database) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = number;
        argv[1].len = ngx_sprintf(number, "%ui", conf->database) - number;

        if (ngx_media_redis_greet_send(rc, argv, 2) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_str_set(&argv[0], "CLIENT");
    ngx_str_set(&argv[1], "SETNAME");
    ngx_str_set(&argv[2], NGX_MEDIA_REDIS_NAME);

    return ngx_media_redis_greet_send(rc, argv, 3);
}


static ngx_int_t
ngx_media_redis_greet_send(ngx_media_redis_connection_t *rc, ngx_str_t *argv,
    ngx_uint_t argc)
{
    size_t     size;
    u_char    *p;
    ngx_int_t  rv;

    size = ngx_media_redis_size(argv, argc, argc);

    p = ngx_alloc(size, rc->redis->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    size = ngx_media_redis_format(p, argv, argc, argc, NULL) - p;

    rc->greetings++;
    rv = ngx_media_peer_send(rc->peer, p, size);

    ngx_explicit_memzero(p, size);
    ngx_free(p);

    return rv;
}


static ssize_t
ngx_media_redis_input(ngx_media_peer_t *peer, u_char *p, size_t len)
{
    char                           ch;
    void                          *object;
    redisReader                   *reader;
    ngx_media_redis_connection_t  *rc;

    rc = peer->data;
    reader = rc->reader;

    if (redisReaderFeed(reader, (char *) p, len) != REDIS_OK) {
        peer->reason = "no memory for a reply";
        return NGX_ERROR;
    }

    while (reader->len > reader->pos) {

        /* the types of RESP2 without arrays, which are never asked for */

        ch = reader->buf[reader->pos];

        if (reader->ridx == -1
            && ch != '+' && ch != '-' && ch != ':' && ch != '$')
        {
            peer->reason = "sent an invalid reply";
            return NGX_ERROR;
        }

        if (redisReaderGetReply(reader, &object) != REDIS_OK) {
            peer->reason = "sent an invalid reply";
            return NGX_ERROR;
        }

        if (object == NULL) {
            break;
        }

        if (ngx_media_redis_reply(rc, object) != NGX_OK) {
            return NGX_ERROR;
        }

        if (rc->reader != reader) {
            return len;     /* a handler led to the connection's end */
        }
    }

    if (reader->len - reader->pos > rc->redis->conf->max_reply) {
        peer->reason = "sent too large a reply";
        return NGX_ERROR;
    }

    return len;
}


static ngx_int_t
ngx_media_redis_reply(ngx_media_redis_connection_t *rc, redisReply *object)
{
    ngx_queue_t              *q;
    ngx_media_peer_t         *peer;
    ngx_media_redis_reply_t   reply;

    peer = rc->peer;

    if (rc->greetings) {
        return ngx_media_redis_greeted(rc, object);
    }

    if (ngx_queue_empty(&peer->inflight)) {
        freeReplyObject(object);
        peer->reason = "sent a reply to no command";
        return NGX_ERROR;
    }

    reply.type = object->type;
    reply.str.data = (u_char *) object->str;
    reply.str.len = object->str ? (size_t) object->len : 0;
    reply.object = object;

    q = ngx_queue_head(&peer->inflight);

    ngx_media_peer_complete(peer, ngx_queue_data(q, ngx_media_job_t, queue),
                            NGX_OK, &reply);

    return NGX_OK;
}


static ngx_int_t
ngx_media_redis_greeted(ngx_media_redis_connection_t *rc, redisReply *object)
{
    ngx_int_t          rv;
    ngx_media_peer_t  *peer;

    peer = rc->peer;
    rv = NGX_OK;

    if (object->type == REDIS_REPLY_ERROR) {

        /* the name is a courtesy that an ACL may refuse; the rest is not */

        if (rc->greetings > 1
            || ngx_strncmp(object->str, "NOPERM", sizeof("NOPERM") - 1) != 0)
        {
            rv = NGX_ERROR;
            peer->reason = "refused the greeting";
            peer->error = NGX_MEDIA_PEER_ERROR_REPLY;

            if (ngx_strncmp(object->str, "LOADING", sizeof("LOADING") - 1)
                == 0)
            {
                peer->reason = "is loading its data";

            } else if (ngx_strstr(object->str, "AUTH")
                       || ngx_strstr(object->str, "WRONGPASS"))
            {
                peer->reason = "refused the password";
            }
        }

    } else if (object->type != REDIS_REPLY_STATUS) {
        rv = NGX_ERROR;
        peer->reason = "sent an invalid reply";
    }

    freeReplyObject(object);

    if (rv == NGX_OK && --rc->greetings == 0) {
        ngx_media_peer_up(peer);
    }

    return rv;
}


static void
ngx_media_redis_closed(ngx_media_peer_t *peer)
{
    ngx_media_redis_connection_t  *rc;

    rc = peer->data;

    if (rc->reader) {
        redisReaderFree(rc->reader);
        rc->reader = NULL;
    }
}


ngx_media_redis_job_t *
ngx_media_redis_send(ngx_media_redis_t *redis, ngx_str_t *argv,
    ngx_uint_t argc, ngx_msec_t timeout, ngx_media_redis_handler_pt handler,
    void *data)
{
    return ngx_media_redis_send_view(redis, argv, argc, argc, timeout,
                                     handler, data);
}


ngx_media_redis_job_t *
ngx_media_redis_send_view(ngx_media_redis_t *redis, ngx_str_t *argv,
    ngx_uint_t argc, ngx_uint_t n, ngx_msec_t timeout,
    ngx_media_redis_handler_pt handler, void *data)
{
    ngx_media_redis_job_t  *job;

    job = ngx_media_redis_job_create(redis, argv, argc, n);
    if (job == NULL) {
        return NULL;
    }

    job->handler = handler;
    job->data = data;

    if (ngx_media_redis_submit(redis, job, timeout) != NGX_OK) {
        ngx_media_redis_job_free(job);
        return NULL;
    }

    return job;
}


/* argv[n] is a view; n is argc if there is none */

static ngx_media_redis_job_t *
ngx_media_redis_job_create(ngx_media_redis_t *redis, ngx_str_t *argv,
    ngx_uint_t argc, ngx_uint_t n)
{
    size_t                  size;
    u_char                 *p, *last, *cut;
    ngx_uint_t              i;
    ngx_media_redis_job_t  *job;

    size = sizeof(ngx_media_redis_job_t)
           + ngx_media_redis_size(argv, argc, n);

    /* small commands are bounded in number, by the queues */

    if (size > NGX_MEDIA_REDIS_SMALL
        && (size > redis->conf->max_bytes
            || redis->bytes > redis->conf->max_bytes - size))
    {
        return NULL;
    }

    job = ngx_alloc(size, redis->log);
    if (job == NULL) {
        return NULL;
    }

    ngx_memzero(job, sizeof(ngx_media_redis_job_t));

    p = (u_char *) job + sizeof(ngx_media_redis_job_t);
    cut = NULL;
    last = ngx_media_redis_format(p, argv, argc, n, &cut);

    job->redis = redis;
    job->allocated = size;
    job->series = ngx_media_redis_series(redis, &argv[0]);
    job->job.out = &job->out[0];
    job->job.handler = ngx_media_redis_done;
    job->job.data = job;

    job->buf[0].pos = p;
    job->buf[0].last = last;

    i = 1;

    if (cut) {
        job->buf[0].last = cut;
        job->buf[1].pos = argv[n].data;
        job->buf[1].last = argv[n].data + argv[n].len;
        job->buf[2].pos = cut;
        job->buf[2].last = last;
        i = 3;
    }

    while (i--) {
        job->buf[i].start = job->buf[i].pos;
        job->buf[i].end = job->buf[i].last;
        job->buf[i].memory = 1;
        job->out[i].buf = &job->buf[i];
        job->out[i].next = (cut && i < 2) ? &job->out[i + 1] : NULL;
        job->job.size += job->buf[i].last - job->buf[i].pos;
    }

    redis->bytes += size;

    return job;
}


static void
ngx_media_redis_job_free(ngx_media_redis_job_t *job)
{
    job->redis->bytes -= job->allocated;

    ngx_free(job);
}


static ngx_int_t
ngx_media_redis_submit(ngx_media_redis_t *redis, ngx_media_redis_job_t *job,
    ngx_msec_t timeout)
{
    ngx_uint_t         i;
    ngx_media_peer_t  *peer, *best;

    best = NULL;

    for (i = 0; i < redis->conf->connections; i++) {
        peer = redis->connections[i].peer;

        if (peer->state != NGX_MEDIA_PEER_UP) {
            ngx_media_peer_connect(peer);
            continue;
        }

        if (best == NULL || peer->bytes < best->bytes) {
            best = peer;
        }
    }

    if (best == NULL) {
        return NGX_BUSY;
    }

    return ngx_media_peer_submit(best, &job->job, timeout);
}


static void
ngx_media_redis_done(ngx_media_job_t *job, ngx_int_t rc, void *data)
{
    ngx_media_redis_job_t    *rj;
    ngx_media_redis_reply_t  *reply;

    rj = job->data;
    reply = (rc == NGX_OK) ? data : NULL;

    if (reply) {
        ngx_media_redis_report(rj, reply);
    }

    if (rj->handler) {
        rj->handler(rj, reply);

    } else if (reply) {
        ngx_media_redis_free(reply->object);
    }

    ngx_media_redis_job_free(rj);
}


static ngx_uint_t
ngx_media_redis_series(ngx_media_redis_t *redis, ngx_str_t *command)
{
    size_t                     len;
    ngx_uint_t                 i;
    ngx_media_redis_series_t  *series;

    len = ngx_min(command->len, NGX_MEDIA_REDIS_COMMAND_LEN);

    for (i = 0; i < NGX_MEDIA_REDIS_SERIES - 1; i++) {
        series = &redis->series[i];

        if (series->command.len == 0) {
            series->command.data = series->name;
            series->command.len = len;
            ngx_memcpy(series->name, command->data, len);
        }

        if (series->command.len == len
            && ngx_memcmp(series->name, command->data, len) == 0)
        {
            break;
        }
    }

    return i;
}


/* the first error of a series, and its end */

static void
ngx_media_redis_report(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    size_t                     len;
    ngx_uint_t                 level;
    ngx_media_redis_t         *redis;
    ngx_media_redis_series_t  *series;

    redis = job->redis;
    series = &redis->series[job->series];

    if (reply->type != REDIS_REPLY_ERROR) {

        if (series->failing) {
            series->failing = 0;

            ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                          "%V: %V succeeds again", &redis->conf->name,
                          &series->command);
        }

        return;
    }

    ngx_media_peer_count(redis->connections[0].peer,
                         NGX_MEDIA_PEER_ERROR_REPLY);

    level = series->failing ? NGX_LOG_DEBUG : NGX_LOG_ERR;
    series->failing = 1;

    /* the code only: what follows may repeat the command */

    len = strcspn((char *) reply->str.data, " ");

    ngx_log_error(level, redis->log, 0, "%V: %V failed with \"%*s\"",
                  &redis->conf->name, &series->command, len,
                  reply->str.data);
}


ngx_uint_t
ngx_media_redis_ready(ngx_media_redis_t *redis)
{
    ngx_uint_t         i, ready;
    ngx_media_peer_t  *peer;

    ready = 0;

    for (i = 0; i < redis->conf->connections; i++) {
        peer = redis->connections[i].peer;

        if (peer->state == NGX_MEDIA_PEER_UP) {
            ready = 1;

        } else {
            ngx_media_peer_connect(peer);
        }
    }

    return ready;
}


void
ngx_media_redis_free(void *object)
{
    freeReplyObject(object);
}


/* an upper bound of what ngx_media_redis_format() writes */

static size_t
ngx_media_redis_size(ngx_str_t *argv, ngx_uint_t argc, ngx_uint_t view)
{
    size_t      size;
    ngx_uint_t  i;

    size = sizeof("*" CRLF) - 1 + NGX_INT_T_LEN;

    for (i = 0; i < argc; i++) {
        size += sizeof("$" CRLF CRLF) - 1 + NGX_SIZE_T_LEN;
        size += (i == view) ? 0 : argv[i].len;
    }

    return size;
}


/* *cut is where the bytes of argument number view belong */

static u_char *
ngx_media_redis_format(u_char *p, ngx_str_t *argv, ngx_uint_t argc,
    ngx_uint_t view, u_char **cut)
{
    ngx_uint_t  i;

    p = ngx_sprintf(p, "*%ui" CRLF, argc);

    for (i = 0; i < argc; i++) {
        p = ngx_sprintf(p, "$%uz" CRLF, argv[i].len);

        if (i == view) {
            *cut = p;

        } else {
            p = ngx_cpymem(p, argv[i].data, argv[i].len);
        }

        *p++ = CR;
        *p++ = LF;
    }

    return p;
}
