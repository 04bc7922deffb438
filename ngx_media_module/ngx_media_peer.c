
/*
 * Copyright (C) ngx_media contributors
 */


#include "ngx_media_peer.h"
#include "ngx_media_peer_io.h"


#define NGX_MEDIA_PEER_STEADY  1000       /* ms up that end a series */


static void ngx_media_peer_cleanup(void *data);
static void ngx_media_peer_set_state(ngx_media_peer_t *peer,
    ngx_media_peer_state_e state);
static u_char *ngx_media_peer_log_error(ngx_log_t *log, u_char *buf,
    size_t len);
static void ngx_media_peer_read_handler(ngx_event_t *rev);
static void ngx_media_peer_write_handler(ngx_event_t *wev);
static void ngx_media_peer_connected(ngx_media_peer_t *peer);
static void ngx_media_peer_watch(ngx_media_peer_t *peer,
    ngx_msec_t deadline);
static void ngx_media_peer_job_timeout(ngx_event_t *ev);
static ngx_int_t ngx_media_peer_expire(ngx_media_peer_t *peer,
    ngx_media_job_t *job);
static void ngx_media_peer_heartbeat(ngx_event_t *ev);
static void ngx_media_peer_reconnect(ngx_event_t *ev);
static void ngx_media_peer_idle(ngx_media_peer_t *peer);
static void ngx_media_peer_down(ngx_media_peer_t *peer,
    ngx_media_peer_error_e error, const char *reason, ngx_err_t err);
static void ngx_media_peer_disconnect(ngx_media_peer_t *peer);
static void ngx_media_peer_fail_jobs(ngx_media_peer_t *peer);
static ngx_msec_t ngx_media_peer_delay(ngx_media_peer_t *peer);


ngx_media_peer_t *
ngx_media_peer_create(ngx_media_peer_conf_t *conf, ngx_media_peer_ops_t *ops,
    void *data, ngx_cycle_t *cycle)
{
    ngx_media_peer_t    *peer;
    ngx_pool_cleanup_t  *cln;

    peer = ngx_pcalloc(cycle->pool, sizeof(ngx_media_peer_t));
    if (peer == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_media_peer_cleanup;
    cln->data = peer;

    peer->conf = conf;
    peer->ops = ops;
    peer->data = data;
    peer->pool = cycle->pool;
    peer->log = cycle->log;
    peer->out_last = &peer->out;

    peer->connection_log = *cycle->log;
    peer->connection_log.handler = ngx_media_peer_log_error;
    peer->connection_log.data = peer;

    ngx_queue_init(&peer->waiting);
    ngx_queue_init(&peer->inflight);

    if (conf->stats.states) {
        (void) ngx_atomic_fetch_add(&conf->stats.states[peer->state], 1);
    }

    peer->backoff.handler = ngx_media_peer_reconnect;
    peer->backoff.data = peer;
    peer->backoff.log = peer->log;
    peer->backoff.cancelable = 1;

    peer->beat.handler = ngx_media_peer_heartbeat;
    peer->beat.data = peer;
    peer->beat.log = peer->log;
    peer->beat.cancelable = 1;

    peer->job_timer.handler = ngx_media_peer_job_timeout;
    peer->job_timer.data = peer;
    peer->job_timer.log = peer->log;

    return peer;
}


static void
ngx_media_peer_cleanup(void *data)
{
    ngx_media_peer_destroy(data);
}


static void
ngx_media_peer_set_state(ngx_media_peer_t *peer, ngx_media_peer_state_e state)
{
    ngx_atomic_t  *states;

    states = peer->conf->stats.states;

    if (states && !peer->exiting) {
        (void) ngx_atomic_fetch_add(&states[peer->state], -1);
        (void) ngx_atomic_fetch_add(&states[state], 1);
    }

    peer->state = state;
}


void
ngx_media_peer_count(ngx_media_peer_t *peer, ngx_media_peer_error_e error)
{
    if (peer->conf->stats.errors) {
        (void) ngx_atomic_fetch_add(&peer->conf->stats.errors[error], 1);
    }
}


static u_char *
ngx_media_peer_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    ngx_media_peer_t  *peer;

    peer = log->data;

    return ngx_snprintf(buf, len, ", peer: %V", &peer->conf->name);
}


void
ngx_media_peer_connect(ngx_media_peer_t *peer)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *pc;

    if (peer->state != NGX_MEDIA_PEER_IDLE || peer->exiting) {
        return;
    }

    ngx_media_peer_set_state(peer, NGX_MEDIA_PEER_CONNECTING);
    peer->error = NGX_MEDIA_PEER_ERROR_PROTOCOL;
    peer->proven = 0;
    peer->broken = 0;
    peer->queued = 0;
    peer->sent = 0;

    /* connect() failures are logged by nginx: only the first of a series */
    peer->connection_log.log_level = peer->failures ? NGX_LOG_ALERT
                                                    : peer->log->log_level;

    pc = &peer->connection;
    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    pc->sockaddr = peer->conf->addr->sockaddr;
    pc->socklen = peer->conf->addr->socklen;
    pc->name = &peer->conf->addr->name;
    pc->get = ngx_event_get_peer;
    pc->log = &peer->connection_log;
    pc->log_error = NGX_ERROR_INFO;
    pc->tries = 1;

    rc = ngx_event_connect_peer(pc);

    peer->connection_log.log_level = peer->log->log_level;

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CONNECT,
                             "connect failed");
        return;
    }

    c = pc->connection;
    c->data = peer;
    c->read->handler = ngx_media_peer_read_handler;
    c->write->handler = ngx_media_peer_write_handler;
    c->write->cancelable = 1;
    peer->connection_log.connection = c->number;

    ngx_media_peer_idle(peer);
    ngx_add_timer(c->write, peer->conf->connect_timeout);

    if (rc == NGX_OK) {
        ngx_media_peer_connected(peer);
    }
}


ngx_int_t
ngx_media_peer_submit(ngx_media_peer_t *peer, ngx_media_job_t *job,
    ngx_msec_t timeout)
{
    ngx_media_peer_connect(peer);

    if (peer->jobs >= peer->conf->max_jobs
        || job->size > peer->conf->max_bytes
        || peer->bytes > peer->conf->max_bytes - job->size)
    {
        return NGX_BUSY;
    }

    switch (peer->state) {

    case NGX_MEDIA_PEER_UP:
        ngx_post_event(peer->connection.connection->write,
                       &ngx_posted_events);
        break;

    case NGX_MEDIA_PEER_CONNECTING:
    case NGX_MEDIA_PEER_GREETING:
        if (peer->conf->queue_while_connecting) {
            break;
        }

        return NGX_BUSY;

    default:
        return NGX_BUSY;
    }

    if (timeout == 0) {
        timeout = peer->conf->timeout;
    }

    job->deadline = ngx_current_msec + timeout;
    job->end = 0;

    ngx_queue_insert_tail(&peer->waiting, &job->queue);
    peer->jobs++;
    peer->bytes += job->size;

    ngx_media_peer_idle(peer);
    ngx_media_peer_watch(peer, job->deadline);

    return NGX_OK;
}


static void
ngx_media_peer_read_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;
    ngx_media_peer_t  *peer;

    c = rev->data;
    peer = c->data;

    if (c->close) {
        ngx_media_peer_disconnect(peer);
        ngx_media_peer_set_state(peer, NGX_MEDIA_PEER_IDLE);
        peer->reason = "worker process is exiting";
        ngx_media_peer_fail_jobs(peer);
        return;
    }

    if (peer->state == NGX_MEDIA_PEER_CONNECTING) {
        ngx_media_peer_connected(peer);
        return;
    }

    ngx_media_peer_receive(peer);
}


static void
ngx_media_peer_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;
    ngx_media_peer_t  *peer;

    c = wev->data;
    peer = c->data;

    if (wev->timedout) {
        if (peer->state == NGX_MEDIA_PEER_CONNECTING) {
            ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CONNECT,
                                 "connect timed out");
            return;
        }

        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_TIMEOUT,
                             "greeting timed out");
        return;
    }

    if (peer->state == NGX_MEDIA_PEER_CONNECTING) {
        ngx_media_peer_connected(peer);
        return;
    }

    ngx_media_peer_transmit(peer);
}


static void
ngx_media_peer_connected(ngx_media_peer_t *peer)
{
    int                err;
    socklen_t          len;
    ngx_connection_t  *c;

    c = peer->connection.connection;
    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_media_peer_down(peer, NGX_MEDIA_PEER_ERROR_CONNECT,
                            "connect failed", err);
        return;
    }

    if (peer->connection.sockaddr->sa_family != AF_UNIX
        && ngx_tcp_nodelay(c) != NGX_OK)
    {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CONNECT,
                             "connect failed");
        return;
    }

    ngx_media_peer_set_state(peer, NGX_MEDIA_PEER_GREETING);

    if (peer->ops->greet(peer) != NGX_OK) {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_PROTOCOL,
                             "greeting failed");
        return;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


void
ngx_media_peer_up(ngx_media_peer_t *peer)
{
    ngx_uint_t         level;
    ngx_connection_t  *c;

    c = peer->connection.connection;
    level = peer->announced ? NGX_LOG_INFO : NGX_LOG_NOTICE;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    ngx_media_peer_set_state(peer, NGX_MEDIA_PEER_UP);
    peer->reason = NULL;
    peer->up_since = ngx_current_msec;

    ngx_log_error(level, peer->log, 0, "%V: connected", &peer->conf->name);

    peer->announced = 1;

    if (peer->conf->heartbeat && peer->ops->heartbeat) {
        ngx_add_timer(&peer->beat, peer->conf->heartbeat);
    }

    ngx_post_event(c->write, &ngx_posted_events);
}


void
ngx_media_peer_complete(ngx_media_peer_t *peer, ngx_media_job_t *job,
    ngx_int_t rc, void *reply)
{
    ngx_queue_remove(&job->queue);
    peer->jobs--;
    peer->bytes -= job->size;

    if (peer->connection.connection && job->end > peer->sent) {

        /* its bytes go away: nothing more may be sent */

        ngx_media_peer_free_notes(peer->out, NULL);
        peer->out = NULL;
        peer->out_last = &peer->out;
        peer->broken = 1;
    }

    if (rc == NGX_OK && !peer->proven) {
        peer->proven = 1;
        peer->failures = 0;
    }

    if (peer->jobs == 0 && peer->job_timer.timer_set) {
        ngx_del_timer(&peer->job_timer);
    }

    ngx_media_peer_idle(peer);

    job->handler(job, rc, reply);
}


/* arms the timer, unless it is due before this deadline anyway */

static void
ngx_media_peer_watch(ngx_media_peer_t *peer, ngx_msec_t deadline)
{
    ngx_msec_int_t  left;

    if (peer->job_timer.timer_set
        && (ngx_msec_int_t) (deadline - peer->job_timer.timer.key) >= 0)
    {
        return;
    }

    left = (ngx_msec_int_t) (deadline - ngx_current_msec);

    if (peer->job_timer.timer_set) {
        ngx_del_timer(&peer->job_timer);
    }

    ngx_add_timer(&peer->job_timer, (ngx_msec_t) ngx_max(left, 0));
}


static void
ngx_media_peer_job_timeout(ngx_event_t *ev)
{
    ngx_uint_t         i;
    ngx_queue_t       *q, *next, *list;
    ngx_media_job_t   *job;
    ngx_media_peer_t  *peer;

    peer = ev->data;

    /* those that wait first, as a late job in flight may close all */

    for (i = 0; i < 2; i++) {
        list = i ? &peer->inflight : &peer->waiting;

        for (q = ngx_queue_head(list);
             q != ngx_queue_sentinel(list);
             q = next)
        {
            next = ngx_queue_next(q);
            job = ngx_queue_data(q, ngx_media_job_t, queue);

            if ((ngx_msec_int_t) (job->deadline - ngx_current_msec) > 0) {
                ngx_media_peer_watch(peer, job->deadline);
                continue;
            }

            if (i == 0) {
                ngx_media_peer_count(peer, NGX_MEDIA_PEER_ERROR_TIMEOUT);
                ngx_media_peer_complete(peer, job, NGX_ERROR, NULL);
                continue;
            }

            if (ngx_media_peer_expire(peer, job) != NGX_OK) {
                return;
            }
        }
    }
}


/* a job in flight is late, NGX_ERROR if the connection was closed for it */

static ngx_int_t
ngx_media_peer_expire(ngx_media_peer_t *peer, ngx_media_job_t *job)
{
    if (peer->ops->late
        && job->end <= peer->sent
        && peer->ops->late(peer, job) == NGX_OK)
    {
        ngx_media_peer_count(peer, NGX_MEDIA_PEER_ERROR_TIMEOUT);
        return NGX_OK;
    }

    ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_TIMEOUT,
                         "command timed out");

    return NGX_ERROR;
}


static void
ngx_media_peer_heartbeat(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_media_peer_t  *peer;

    peer = ev->data;
    c = peer->connection.connection;

    peer->ops->heartbeat(peer);

    if (peer->connection.connection == c) {
        ngx_add_timer(&peer->beat, peer->conf->heartbeat);
    }
}


static void
ngx_media_peer_reconnect(ngx_event_t *ev)
{
    ngx_media_peer_t  *peer;

    peer = ev->data;

    ngx_media_peer_set_state(peer, NGX_MEDIA_PEER_IDLE);

    ngx_media_peer_connect(peer);
}


/* nginx closes idle connections of a worker that is told to quit */

static void
ngx_media_peer_idle(ngx_media_peer_t *peer)
{
    ngx_connection_t  *c;

    c = peer->connection.connection;

    if (c) {
        c->idle = (peer->jobs == 0);
    }
}


void
ngx_media_peer_close(ngx_media_peer_t *peer, ngx_media_peer_error_e error,
    const char *reason)
{
    ngx_media_peer_down(peer, error, reason, 0);
}


static void
ngx_media_peer_down(ngx_media_peer_t *peer, ngx_media_peer_error_e error,
    const char *reason, ngx_err_t err)
{
    ngx_uint_t  level;

    ngx_media_peer_count(peer, error);

    /* up for long without a job is as good as a reply */

    if (peer->state == NGX_MEDIA_PEER_UP
        && ngx_current_msec - peer->up_since > peer->conf->backoff_max)
    {
        peer->failures = 0;
    }

    level = NGX_LOG_INFO;

    /* what comes back to fail at once is still the same series */

    if (peer->failures == 0
        && (!peer->failed
            || peer->state != NGX_MEDIA_PEER_UP
            || ngx_current_msec - peer->up_since
               >= NGX_MEDIA_PEER_STEADY))
    {
        level = NGX_LOG_ERR;
        peer->announced = 0;
        peer->failed = 1;
    }

    ngx_log_error(level, peer->log, err, "%V: %s", &peer->conf->name, reason);

    ngx_media_peer_disconnect(peer);

    ngx_media_peer_set_state(peer, NGX_MEDIA_PEER_DOWN);
    peer->reason = reason;

    ngx_add_timer(&peer->backoff, ngx_media_peer_delay(peer));
    peer->failures++;

    ngx_media_peer_fail_jobs(peer);
}


static void
ngx_media_peer_disconnect(ngx_media_peer_t *peer)
{
    ngx_connection_t  *c;

    if (peer->beat.timer_set) {
        ngx_del_timer(&peer->beat);
    }

    if (peer->backoff.timer_set) {
        ngx_del_timer(&peer->backoff);
    }

    if (peer->job_timer.timer_set) {
        ngx_del_timer(&peer->job_timer);
    }

    c = peer->connection.connection;

    if (c) {
        ngx_close_connection(c);
        peer->connection.connection = NULL;
        peer->ops->closed(peer);
    }

    ngx_media_peer_free_notes(peer->out, NULL);
    peer->out = NULL;
    peer->out_last = &peer->out;

    if (peer->in.start) {
        ngx_free(peer->in.start);
        ngx_memzero(&peer->in, sizeof(ngx_buf_t));
    }
}


static void
ngx_media_peer_fail_jobs(ngx_media_peer_t *peer)
{
    ngx_queue_t       jobs, *q;
    ngx_media_job_t  *job;

    /* handlers may submit again: that is for the next connection */

    ngx_queue_init(&jobs);

    if (!ngx_queue_empty(&peer->inflight)) {
        ngx_queue_add(&jobs, &peer->inflight);
        ngx_queue_init(&peer->inflight);
    }

    if (!ngx_queue_empty(&peer->waiting)) {
        ngx_queue_add(&jobs, &peer->waiting);
        ngx_queue_init(&peer->waiting);
    }

    while (!ngx_queue_empty(&jobs)) {
        q = ngx_queue_head(&jobs);
        job = ngx_queue_data(q, ngx_media_job_t, queue);
        job->end = 0;

        ngx_media_peer_complete(peer, job, NGX_ERROR, NULL);
    }
}


static ngx_msec_t
ngx_media_peer_delay(ngx_media_peer_t *peer)
{
    ngx_uint_t  n;
    ngx_msec_t  delay;

    delay = peer->conf->backoff_min;

    for (n = 0; n < peer->failures && delay < peer->conf->backoff_max; n++) {
        delay *= 2;
    }

    delay = ngx_min(delay, peer->conf->backoff_max);

    return delay - (ngx_msec_t) ngx_random() % (delay / 4 + 1);
}


void
ngx_media_peer_destroy(ngx_media_peer_t *peer)
{
    ngx_atomic_t  *states;

    states = peer->conf->stats.states;

    if (states && !peer->exiting) {
        (void) ngx_atomic_fetch_add(&states[peer->state], -1);
    }

    peer->exiting = 1;

    ngx_media_peer_disconnect(peer);

    ngx_media_peer_set_state(peer, NGX_MEDIA_PEER_IDLE);
    peer->reason = "worker process is exiting";

    ngx_media_peer_fail_jobs(peer);
}
