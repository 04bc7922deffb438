/*
 * Copyright (C) ngx_media contributors
 *
 * The loop of a child: one message at a time, from the broker to the job's
 * function and back as an acknowledgement, a retry or a rejection.  What is
 * published again is confirmed before the original is acknowledged, so a
 * message may be doubled but never lost.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "broker.h"
#include "child.h"


#define CONSUME_WAIT         1          /* seconds until signals are seen */
#define CONSUME_POLL         1000       /* ms */
#define CONSUME_BACKOFF_MAX  30         /* seconds */


static int consume_open(child_t *child);
static int consume_one(child_t *child, consume_job_pt job_func);
static job_result_t consume_job(child_t *child, consume_job_pt job_func,
    job_t *job);
static int consume_settle(child_t *child, job_t *job, uint64_t tag,
    job_result_t result);
static int consume_retry(child_t *child, job_t *job, uint64_t tag,
    int attempt, int delay);
static int consume_ack(child_t *child, uint64_t tag);
static int consume_dead(child_t *child, job_t *job, uint64_t tag);
static void consume_pause(int *backoff);


const char *const  consume_results[] = { "done", "retry", "again", "dead" };


int
consume_run(child_t *child, consume_job_pt job_func, consume_poll_pt poll)
{
    int      n, rc, backoff;
    int64_t  next;

    n = 0;
    next = 0;
    backoff = 1;

    while (!child_stopping()) {

        if (child->broker == NULL) {
            if (consume_open(child) != 0) {
                consume_pause(&backoff);
                continue;
            }

            backoff = 1;
            child_ready();
        }

        if (poll != NULL && now_ms() >= next) {
            poll(child);
            next = now_ms() + CONSUME_POLL;
        }

        rc = consume_one(child, job_func);

        if (child->broker->broken) {
            broker_close(child->broker);
            child->broker = NULL;
            consume_pause(&backoff);
            continue;
        }

        n += rc;

        if (n >= conf.max_jobs) {
            return child_retire("jobs");
        }

        if (rc && child_rss() > conf.max_rss) {
            return child_retire("memory");
        }
    }

    return 0;
}


static int
consume_open(child_t *child)
{
    broker_t  *b;

    b = broker_open();
    if (b == NULL) {
        return -1;
    }

    if (broker_declare(b) != 0) {
        goto failed;
    }

    (void) amqp_basic_qos(b->conn, BROKER_CONSUME, 0, 1, 0);
    if (broker_check(b, "basic.qos") != 0) {
        goto failed;
    }

    (void) amqp_basic_consume(b->conn, BROKER_CONSUME,
                              amqp_cstring_bytes(child->queue),
                              amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    if (broker_check(b, "basic.consume") != 0) {
        goto failed;
    }

    log_msg(LOG_NOTICE, "consuming", NULL);
    child->broker = b;

    return 0;

failed:

    broker_close(b);

    return -1;
}


/* returns the number of jobs done, 0 or 1 */

static int
consume_one(child_t *child, consume_job_pt job_func)
{
    int               rc;
    job_t             job;
    broker_t         *b;
    job_result_t      result;
    struct timeval    timeout;
    amqp_envelope_t   env;
    amqp_rpc_reply_t  reply;

    b = child->broker;
    timeout = (struct timeval) { CONSUME_WAIT, 0 };

    amqp_maybe_release_buffers(b->conn);
    reply = amqp_consume_message(b->conn, &env, &timeout, 0);

    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
        && reply.library_error == AMQP_STATUS_TIMEOUT)
    {
        return 0;
    }

    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        (void) broker_failed(b, "consume", reply.library_error
                             ? amqp_error_string2(reply.library_error)
                             : "closed by the broker");
        return 0;
    }

    broker_job(&job, child->queue, &env);
    log_context("request", job.request_id[0] ? job.request_id : NULL);

    result = consume_job(child, job_func, &job);
    rc = consume_settle(child, &job, env.delivery_tag, result);

    log_context("request", NULL);
    amqp_destroy_envelope(&env);

    return rc == 0;
}


/*
 * In an ordered queue those behind it wait with a job that our own servers
 * are away for.  If the child ends first, the next consumer has that job.
 */

static job_result_t
consume_job(child_t *child, consume_job_pt job_func, job_t *job)
{
    int           backoff;
    int64_t       start;
    job_result_t  result;

    backoff = 1;

    for ( ;; ) {
        start = now_ms();
        result = job_func(child, job);

        log_msg(LOG_INFO, "job", "result", consume_results[result],
                "attempt", log_fmt("%d", job->attempt),
                "size", log_fmt("%zu", job->body.len),
                "duration_ms",
                log_fmt("%lld", (long long) (now_ms() - start)), NULL);

        if (result != JOB_AGAIN || child->broker->broken
            || strcmp(child->queue, BROKER_ORDERED) != 0)
        {
            return result;
        }

        consume_pause(&backoff);

        if (child_stopping()) {
            child->broker->broken = true;
            return result;
        }
    }
}


static int
consume_settle(child_t *child, job_t *job, uint64_t tag, job_result_t result)
{
    metrics_job(child->queue, result);

    switch (result) {

    case JOB_DONE:
        return consume_ack(child, tag);

    case JOB_RETRY:
        if (job->attempt >= conf.nretry_delays) {
            return consume_dead(child, job, tag);
        }

        return consume_retry(child, job, tag, job->attempt + 1,
                             conf.retry_delays[job->attempt]);

    case JOB_AGAIN:
        return consume_retry(child, job, tag, job->attempt,
                             conf.retry_delays[0]);

    default:
        return consume_dead(child, job, tag);
    }
}


static int
consume_retry(child_t *child, job_t *job, uint64_t tag, int attempt,
    int delay)
{
    if (child->broker->broken) {
        return -1;
    }

    job->attempt = attempt;

    if (broker_publish_job(child->broker, job, delay) != 0) {
        return -1;
    }

    return consume_ack(child, tag);
}


static int
consume_ack(child_t *child, uint64_t tag)
{
    int  rc;

    /* unacknowledged, it comes again by a new connection */

    if (child->broker->broken) {
        return -1;
    }

    rc = amqp_basic_ack(child->broker->conn, BROKER_CONSUME, tag, 0);

    if (rc != AMQP_STATUS_OK) {
        return broker_failed(child->broker, "ack", amqp_error_string2(rc));
    }

    return 0;
}


/* rejected, not requeued: goes to the exchange media_dead */

static int
consume_dead(child_t *child, job_t *job, uint64_t tag)
{
    int  rc;

    if (child->broker->broken) {
        return -1;
    }

    log_msg(LOG_ERR, "job is dead", "attempt", log_fmt("%d", job->attempt),
            NULL);

    rc = amqp_basic_reject(child->broker->conn, BROKER_CONSUME, tag, 0);

    if (rc != AMQP_STATUS_OK) {
        return broker_failed(child->broker, "reject", amqp_error_string2(rc));
    }

    return 0;
}


/* between half of the backoff and all of it, then twice as long */

static void
consume_pause(int *backoff)
{
    int64_t  until;

    until = now_ms() + *backoff * 500 + random() % (*backoff * 500);

    while (!child_stopping() && now_ms() < until) {
        usleep(100 * 1000);
    }

    *backoff *= 2;

    if (*backoff > CONSUME_BACKOFF_MAX) {
        *backoff = CONSUME_BACKOFF_MAX;
    }
}
