
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"
#include "ngx_http_media_job.h"


/* the pool is that of the message itself */
typedef struct {
    ngx_media_amqp_message_t        message;
    ngx_media_amqp_t               *amqp;
    ngx_pool_t                     *pool;
    ngx_http_media_job_handler_pt   handler;
    ngx_http_request_t             *request;    /* NULL: the client is gone */
    ngx_http_cleanup_t             *cleanup;    /* of the request */
} ngx_http_media_job_t;


static ngx_http_media_job_t *ngx_http_media_job_create(ngx_http_request_t *r,
    ngx_str_t *queue, ngx_str_t *body, ngx_pool_t *pool);
static void ngx_http_media_job_refused(ngx_http_request_t *r,
    ngx_media_amqp_t *amqp, const char *reason);
static void ngx_http_media_job_confirmed(ngx_media_job_t *job, ngx_int_t rc,
    void *reply);
static void ngx_http_media_job_detach(void *data);


ngx_str_t  ngx_http_media_job_send = ngx_string("media_send");
ngx_str_t  ngx_http_media_job_upload = ngx_string("media_upload");


ngx_int_t
ngx_http_media_job_publish(ngx_http_request_t *r, ngx_str_t *queue,
    ngx_str_t *body, ngx_http_media_job_handler_pt handler)
{
    ngx_int_t                    rc;
    ngx_pool_t                  *pool;
    ngx_media_amqp_t            *amqp;
    ngx_http_cleanup_t          *cln;
    ngx_http_media_job_t        *job;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);
    amqp = mcf->webhook.publisher;

    /* the message outlives the request if the client goes away */

    cln = ngx_http_cleanup_add(r, 0);
    pool = ngx_create_pool(1024, ngx_cycle->log);

    if (cln == NULL || pool == NULL) {
        rc = NGX_ERROR;
        goto failed;
    }

    job = ngx_http_media_job_create(r, queue, body, pool);
    if (job == NULL) {
        rc = NGX_ERROR;
        goto failed;
    }

    job->amqp = amqp;
    job->handler = handler;
    job->request = r;
    job->cleanup = cln;

    rc = ngx_media_amqp_publish(amqp, &job->message, pool);

    if (rc != NGX_OK) {
        goto failed;
    }

    cln->handler = ngx_http_media_job_detach;
    cln->data = job;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;

failed:

    if (pool) {
        ngx_destroy_pool(pool);
    }

    if (rc == NGX_BUSY) {
        ngx_http_media_job_refused(r, amqp, ngx_media_amqp_reason(amqp));
    }

    return rc;
}


static ngx_http_media_job_t *
ngx_http_media_job_create(ngx_http_request_t *r, ngx_str_t *queue,
    ngx_str_t *body, ngx_pool_t *pool)
{
    ngx_str_t                    id;
    ngx_time_t                  *tp;
    ngx_http_media_job_t        *job;
    ngx_media_amqp_message_t    *msg;
    ngx_http_variable_value_t   *vv;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);
    vv = ngx_http_get_indexed_variable(r, mcf->webhook.request_id);
    job = ngx_pcalloc(pool, sizeof(ngx_http_media_job_t));

    if (vv == NULL || vv->not_found || job == NULL) {
        return NULL;
    }

    job->pool = pool;

    id.data = vv->data;
    id.len = vv->len;
    tp = ngx_timeofday();

    msg = &job->message;
    msg->job.handler = ngx_http_media_job_confirmed;
    msg->routing_key = *queue;
    msg->received_ms = (uint64_t) tp->sec * 1000 + tp->msec;
    msg->id.len = id.len;
    msg->id.data = ngx_pstrdup(pool, &id);
    msg->body.len = body->len;
    msg->body.data = ngx_pstrdup(pool, body);

    return (msg->id.data && msg->body.data) ? job : NULL;
}


static void
ngx_http_media_job_refused(ngx_http_request_t *r, ngx_media_amqp_t *amqp,
    const char *reason)
{
    ngx_uint_t  level;

    level = amqp->refusing ? NGX_LOG_INFO : NGX_LOG_ERR;
    amqp->refusing = 1;

    ngx_log_error(level, r->connection->log, 0, "job refused: %s", reason);
}


static void
ngx_http_media_job_confirmed(ngx_media_job_t *job, ngx_int_t rc, void *reply)
{
    ngx_pool_t            *pool;
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_media_job_t  *mjob;

    (void) reply;

    mjob = (ngx_http_media_job_t *) job;

    r = mjob->request;
    pool = mjob->pool;

    if (rc == NGX_OK) {
        mjob->amqp->refusing = 0;
    }

    if (r == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    c = r->connection;
    mjob->cleanup->handler = NULL;

    ngx_http_set_log_request(c->log, r);

    if (rc != NGX_OK) {
        rc = NGX_BUSY;
        ngx_http_media_job_refused(r, mjob->amqp, mjob->message.unroutable
                                                  ? "no queue takes it"
                                                  : "not confirmed");
    }

    mjob->handler(r, rc);

    ngx_destroy_pool(pool);

    ngx_http_run_posted_requests(c);
}


/* the client is gone; the message is not */

static void
ngx_http_media_job_detach(void *data)
{
    ngx_http_media_job_t  *job;

    job = data;

    job->request = NULL;
}
