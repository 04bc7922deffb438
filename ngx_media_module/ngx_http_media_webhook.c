
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"
#include "ngx_http_media_json.h"

#include "media_json.h"


#define NGX_HTTP_MEDIA_WEBHOOK_DEPTH      64    /* nesting of JSON */
#define NGX_HTTP_MEDIA_WEBHOOK_STRING     1024  /* bytes of a kept string */


static ngx_int_t ngx_http_media_webhook_reject(ngx_http_request_t *r,
    ngx_uint_t status, const char *error, const char *message);
static ngx_int_t ngx_http_media_webhook_deny(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_media_webhook_start(ngx_http_request_t *r);
static void ngx_http_media_webhook_free_json(void *data);
static ngx_int_t ngx_http_media_webhook_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_media_webhook_feed(ngx_http_media_webhook_ctx_t *ctx,
    ngx_buf_t *b);
static void ngx_http_media_webhook_body_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_media_webhook_check_body(ngx_http_request_t *r);
static ngx_media_amqp_message_t *ngx_http_media_webhook_message(
    ngx_http_request_t *r, ngx_pool_t *pool);
static ngx_int_t ngx_http_media_webhook_copy(ngx_pool_t *pool,
    ngx_str_t *dst, ngx_str_t *src);
static ngx_int_t ngx_http_media_webhook_copy_body(ngx_http_request_t *r,
    ngx_media_amqp_message_t *msg, ngx_pool_t *pool);
static void ngx_http_media_webhook_refused(ngx_http_request_t *r,
    ngx_media_amqp_t *amqp, const char *reason);
static void ngx_http_media_webhook_confirmed(ngx_media_job_t *job,
    ngx_int_t rc, void *reply);
static void ngx_http_media_webhook_detach(void *data);


/* the pool is that of the message itself */
typedef struct {
    ngx_media_amqp_message_t   message;
    ngx_media_amqp_t          *amqp;
    ngx_pool_t                *pool;
} ngx_http_media_webhook_job_t;


static ngx_http_request_body_filter_pt  ngx_http_next_request_body_filter;


ngx_int_t
ngx_http_media_webhook_handler(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    ngx_http_media_loc_conf_t          *mlcf;
    ngx_http_media_webhook_loc_conf_t  *wlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    wlcf = &mlcf->webhook;

    if (wlcf->provider == MEDIA_PROVIDER_CLOUDAPI
        && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)))
    {
        return ngx_http_media_webhook_handshake(r);
    }

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_media_webhook_reject(r, NGX_HTTP_NOT_ALLOWED,
                                             "method_not_allowed",
                                             "webhooks are posted");
    }

    rc = ngx_http_media_webhook_start(r);
    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (wlcf->provider == MEDIA_PROVIDER_CLOUDAPI) {
        rc = ngx_http_media_webhook_read_signature(r);

    } else {
        rc = ngx_http_media_webhook_check_token(r);
    }

    if (rc != NGX_OK) {
        return ngx_http_media_webhook_deny(r, rc);
    }

    if (r->headers_in.content_type != NULL
        && !ngx_http_media_json_type(r))
    {
        return ngx_http_media_webhook_reject(r,
                                             NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                             "unsupported_media_type",
                                             "the body must be JSON");
    }

    if (r->headers_in.content_length_n == -1 && !r->headers_in.chunked
        && r->http_version < NGX_HTTP_VERSION_20)
    {
        return ngx_http_media_webhook_reject(r, NGX_HTTP_LENGTH_REQUIRED,
                                             "length_required",
                                             "the body has no length");
    }

    if (r->headers_in.content_length_n > (off_t) wlcf->max_body) {
        return ngx_http_media_webhook_reject(r,
                                             NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                             "too_large",
                                             "the body is too large");
    }

    rc = ngx_http_read_client_request_body(r,
                                       ngx_http_media_webhook_body_handler);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/* answers without the body */

static ngx_int_t
ngx_http_media_webhook_reject(ngx_http_request_t *r, ngx_uint_t status,
    const char *error, const char *message)
{
    ngx_int_t              rc;
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx && ctx->webhook) {
        ngx_http_media_webhook_free_json(ctx->webhook);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_media_webhook_respond(r, status, error, message);
}


static ngx_int_t
ngx_http_media_webhook_deny(ngx_http_request_t *r, ngx_int_t rc)
{
    switch (rc) {

    case NGX_HTTP_UNAUTHORIZED:
        return ngx_http_media_webhook_reject(r, rc, "unauthorized",
                                             "no credential was presented");

    case NGX_HTTP_FORBIDDEN:
        return ngx_http_media_webhook_reject(r, rc, "forbidden",
                                             "the credential is wrong");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_int_t
ngx_http_media_webhook_start(ngx_http_request_t *r)
{
    ngx_time_t                    *tp;
    media_json_limits_t            limits;
    media_json_handler_t           handler;
    ngx_pool_cleanup_t            *cln;
    ngx_http_media_ctx_t          *mctx;
    ngx_http_variable_value_t     *vv;
    ngx_http_media_loc_conf_t     *mlcf;
    ngx_http_media_main_conf_t    *mcf;
    ngx_http_media_webhook_ctx_t  *ctx;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);
    mctx = ngx_http_media_get_ctx(r);
    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_media_webhook_ctx_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);
    vv = ngx_http_get_indexed_variable(r, mcf->webhook.request_id);

    if (mctx == NULL || ctx == NULL || cln == NULL || vv == NULL
        || vv->not_found)
    {
        return NGX_ERROR;
    }

    mctx->webhook = ctx;

    ctx->id.data = vv->data;
    ctx->id.len = vv->len;

    tp = ngx_timeofday();
    ctx->received_ms = (uint64_t) tp->sec * 1000 + tp->msec;

    if (mlcf->webhook.instance
        && ngx_http_complex_value(r, mlcf->webhook.instance, &ctx->instance)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&handler, sizeof(media_json_handler_t));
    limits.depth = NGX_HTTP_MEDIA_WEBHOOK_DEPTH;
    limits.string = NGX_HTTP_MEDIA_WEBHOOK_STRING;

    ctx->json = media_json_create(&handler, &limits, NULL);
    if (ctx->json == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_media_webhook_free_json;
    cln->data = ctx;

    return NGX_OK;
}


static void
ngx_http_media_webhook_free_json(void *data)
{
    ngx_http_media_webhook_ctx_t  *ctx;

    ctx = data;

    if (ctx->json) {
        media_json_free(ctx->json);
        ctx->json = NULL;
    }
}


ngx_int_t
ngx_http_media_webhook_init(ngx_conf_t *cf)
{
    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_media_webhook_body_filter;

    return NGX_OK;
}


/* checks the body while it arrives: it is not read again from its file */

static ngx_int_t
ngx_http_media_webhook_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t                *cl;
    ngx_http_media_ctx_t       *ctx;
    ngx_http_media_loc_conf_t  *mlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (r != r->main || ctx == NULL || ctx->webhook == NULL
        || ctx->webhook->json == NULL)
    {
        return ngx_http_next_request_body_filter(r, in);
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    for (cl = in; cl; cl = cl->next) {
        if (!ngx_buf_in_memory(cl->buf)) {
            continue;
        }

        ctx->webhook->received += cl->buf->last - cl->buf->pos;

        if (ctx->webhook->received > (off_t) mlcf->webhook.max_body) {
            return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        }

        if (ngx_http_media_webhook_feed(ctx->webhook, cl->buf) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_next_request_body_filter(r, in);
}


static ngx_int_t
ngx_http_media_webhook_feed(ngx_http_media_webhook_ctx_t *ctx, ngx_buf_t *b)
{
    size_t      len;
    ngx_uint_t  i;

    len = b->last - b->pos;

    if (len == 0) {
        return NGX_OK;
    }

    for (i = 0; i < ctx->nmac; i++) {
        if (EVP_DigestSignUpdate(ctx->mac[i], b->pos, len) != 1) {
            return NGX_ERROR;
        }
    }

    if (!ctx->invalid
        && media_json_feed(ctx->json, (char *) b->pos, len) != MEDIA_OK)
    {
        ctx->invalid = 1;
    }

    return NGX_OK;
}


static void
ngx_http_media_webhook_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_media_ctx_t          *ctx;
    ngx_http_media_loc_conf_t     *mlcf;

    if (!ngx_http_media_webhook_check_body(r)) {
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (r->request_body->temp_file == NULL
        && ctx->webhook->received <= (off_t) mlcf->webhook.max_message)
    {
        ngx_http_media_webhook_publish(r);
        return;
    }

    if (mlcf->webhook.offload.len == 0) {
        rc = ngx_http_media_webhook_respond(r,
                                            NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                            "too_large",
                                            "the body is too large for a "
                                            "message");
        ngx_http_finalize_request(r, rc);
        return;
    }

    if (ngx_http_media_webhook_offload(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* 0: the request was answered */

static ngx_uint_t
ngx_http_media_webhook_check_body(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_media_ctx_t          *mctx;
    ngx_http_media_webhook_ctx_t  *ctx;

    mctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    ctx = mctx->webhook;

    if (ctx->nmac && ngx_http_media_webhook_check_signature(r) != NGX_OK) {
        rc = ngx_http_media_webhook_respond(r, NGX_HTTP_FORBIDDEN,
                                            "forbidden",
                                            "the signature is wrong");
        ngx_http_finalize_request(r, rc);
        return 0;
    }

    if (!ctx->invalid && media_json_finish(ctx->json) != MEDIA_OK) {
        ctx->invalid = 1;
    }

    if (ctx->invalid) {
        rc = ngx_http_media_webhook_respond(r, NGX_HTTP_BAD_REQUEST,
                                            "invalid_json",
                                            media_json_error(ctx->json));
        ngx_http_finalize_request(r, rc);
        return 0;
    }

    ngx_http_media_webhook_free_json(ctx);

    return 1;
}


void
ngx_http_media_webhook_publish(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_pool_t                    *pool;
    ngx_media_amqp_t              *amqp;
    ngx_http_cleanup_t            *cln;
    ngx_http_media_ctx_t          *ctx;
    ngx_media_amqp_message_t      *msg;
    ngx_http_media_main_conf_t    *mcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);
    amqp = mcf->webhook.publisher;

    /* the message outlives the request if the client goes away */

    pool = ngx_create_pool(1024, ngx_cycle->log);
    cln = ngx_http_cleanup_add(r, 0);

    if (pool == NULL || cln == NULL) {
        goto failed;
    }

    msg = ngx_http_media_webhook_message(r, pool);
    if (msg == NULL) {
        goto failed;
    }

    rc = ngx_media_amqp_publish(amqp, msg, pool);

    if (rc == NGX_BUSY) {
        ngx_destroy_pool(pool);
        ngx_http_media_webhook_refused(r, amqp, ngx_media_amqp_reason(amqp));
        return;
    }

    if (rc != NGX_OK) {
        goto failed;
    }

    ctx->webhook->message = msg;
    cln->handler = ngx_http_media_webhook_detach;
    cln->data = ctx->webhook;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return;

failed:

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
}


static ngx_media_amqp_message_t *
ngx_http_media_webhook_message(ngx_http_request_t *r, ngx_pool_t *pool)
{
    ngx_http_media_ctx_t          *ctx;
    ngx_media_amqp_message_t      *msg;
    ngx_http_media_loc_conf_t     *mlcf;
    ngx_http_media_main_conf_t    *mcf;
    ngx_http_media_webhook_job_t  *job;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_media_module);

    job = ngx_pcalloc(pool, sizeof(ngx_http_media_webhook_job_t));
    if (job == NULL) {
        return NULL;
    }

    job->pool = pool;
    job->amqp = mcf->webhook.publisher;

    msg = &job->message;
    msg->job.handler = ngx_http_media_webhook_confirmed;
    msg->job.data = r;
    msg->provider.data = (u_char *)
                             media_provider_name(mlcf->webhook.provider);
    msg->provider.len = ngx_strlen(msg->provider.data);
    msg->received_ms = ctx->webhook->received_ms;

    if (ngx_http_media_webhook_copy(pool, &msg->id, &ctx->webhook->id)
        != NGX_OK
        || ngx_http_media_webhook_copy(pool, &msg->instance,
                                       &ctx->webhook->instance)
           != NGX_OK)
    {
        return NULL;
    }

    if (ngx_http_media_webhook_copy_body(r, msg, pool) != NGX_OK) {
        return NULL;
    }

    return msg;
}


static ngx_int_t
ngx_http_media_webhook_copy(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src)
{
    dst->len = src->len;
    dst->data = ngx_pstrdup(pool, src);

    return dst->data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_media_webhook_copy_body(ngx_http_request_t *r,
    ngx_media_amqp_message_t *msg, ngx_pool_t *pool)
{
    u_char                *p;
    ngx_chain_t           *cl;
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (ctx->webhook->offload) {
        ngx_str_set(&msg->body, "{}");

        msg->body_key.data = ngx_pnalloc(pool, 9 + msg->id.len
                                               + NGX_OFF_T_LEN);
        if (msg->body_key.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_sprintf(msg->body_key.data, "webhooks/%V", &msg->id);
        msg->body_key.len = p - msg->body_key.data;

        msg->body_size.data = p;
        msg->body_size.len = ngx_sprintf(p, "%O", ctx->webhook->received) - p;

        return NGX_OK;
    }

    p = ngx_pnalloc(pool, ctx->webhook->received);
    if (p == NULL) {
        return NGX_ERROR;
    }

    msg->body.data = p;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        if (ngx_buf_size(cl->buf)) {
            p = ngx_cpymem(p, cl->buf->pos, ngx_buf_size(cl->buf));
        }
    }

    msg->body.len = p - msg->body.data;

    return NGX_OK;
}


static void
ngx_http_media_webhook_refused(ngx_http_request_t *r, ngx_media_amqp_t *amqp,
    const char *reason)
{
    ngx_uint_t  level;

    level = amqp->refusing ? NGX_LOG_INFO : NGX_LOG_ERR;
    amqp->refusing = 1;

    ngx_log_error(level, r->connection->log, 0, "webhook refused: %s",
                  reason);

    ngx_http_finalize_request(r,
        ngx_http_media_webhook_respond(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "unavailable",
                                       "the message cannot be queued now"));
}


static void
ngx_http_media_webhook_confirmed(ngx_media_job_t *job, ngx_int_t rc,
    void *reply)
{
    ngx_pool_t                    *pool;
    ngx_connection_t              *c;
    ngx_media_amqp_t              *amqp;
    ngx_http_request_t            *r;
    ngx_http_media_ctx_t          *ctx;
    ngx_http_media_webhook_job_t  *wjob;

    wjob = (ngx_http_media_webhook_job_t *) job;

    r = job->data;
    pool = wjob->pool;
    amqp = wjob->amqp;

    if (rc == NGX_OK) {
        amqp->refusing = 0;
    }

    if (r == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    ctx->webhook->message = NULL;

    ngx_http_set_log_request(c->log, r);

    if (rc == NGX_OK) {
        ngx_http_finalize_request(r,
            ngx_http_media_webhook_respond(r, NGX_HTTP_OK, NULL, NULL));

    } else {
        ngx_http_media_webhook_refused(r, amqp, wjob->message.unroutable
                                                ? "no queue takes it"
                                                : "not confirmed");
    }

    ngx_destroy_pool(pool);

    ngx_http_run_posted_requests(c);
}


/* the client is gone; the message is not */

static void
ngx_http_media_webhook_detach(void *data)
{
    ngx_http_media_webhook_ctx_t  *ctx;

    ctx = data;

    if (ctx->message) {
        ctx->message->job.data = NULL;
        ctx->message = NULL;
    }
}
