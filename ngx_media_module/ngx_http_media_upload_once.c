
/*
 * Copyright (C) ngx_media contributors
 *
 * What an upload is, and was completed with, in Redis for as long as its token
 * lives.  Without Redis nothing is refused: the worker keeps the first of two.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <hiredis/hiredis.h>
#include <openssl/sha.h>

#include "media_codec.h"
#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_ONCE_KEY  "media:upload:"


typedef struct {
    ngx_http_request_t             *request;
    ngx_media_redis_job_t          *job;        /* NULL: not waiting */
    ngx_http_media_job_handler_pt   handler;
    char                            digest[2 * SHA256_DIGEST_LENGTH];
} ngx_http_media_once_t;


static ngx_int_t ngx_http_media_once_digest(ngx_http_media_once_t *once);
static u_char *ngx_http_media_once_value(u_char *p, const void *data,
    size_t len);
static ngx_media_redis_job_t *ngx_http_media_once_ask(
    ngx_http_media_once_t *once);
static void ngx_http_media_once_done(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);
static void ngx_http_media_once_detach(void *data);


void
ngx_http_media_upload_once(ngx_http_request_t *r,
    ngx_http_media_job_handler_pt handler)
{
    ngx_http_cleanup_t     *cln;
    ngx_http_media_once_t  *once;

    once = ngx_pcalloc(r->pool, sizeof(ngx_http_media_once_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (once == NULL || cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    once->request = r;
    once->handler = handler;

    cln->handler = ngx_http_media_once_detach;
    cln->data = once;

    if (ngx_http_media_once_digest(once) == NGX_OK) {
        once->job = ngx_http_media_once_ask(once);
    }

    if (once->job == NULL) {
        handler(r, NGX_OK);
        return;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static ngx_int_t
ngx_http_media_once_digest(ngx_http_media_once_t *once)
{
    u_char                       *p, *text;
    unsigned char                 md[SHA256_DIGEST_LENGTH];
    media_upload_t               *u;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(once->request);
    u = &uctx->upload;

    text = ngx_pnalloc(once->request->pool,
                       u->conversation.len + u->file_name.len
                       + u->file_type.len + u->caption.len
                       + uctx->idempotency_key.len + uctx->reply_to.len
                       + 6 * (NGX_SIZE_T_LEN + 1) + 2 * NGX_INT64_LEN + 2);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text, "%L:%ui:", u->file_size, (ngx_uint_t) u->kind);

    p = ngx_http_media_once_value(p, u->conversation.data,
                                  u->conversation.len);
    p = ngx_http_media_once_value(p, u->file_name.data, u->file_name.len);
    p = ngx_http_media_once_value(p, u->file_type.data, u->file_type.len);
    p = ngx_http_media_once_value(p, u->caption.data, u->caption.len);
    p = ngx_http_media_once_value(p, uctx->idempotency_key.data,
                                  uctx->idempotency_key.len);
    p = ngx_http_media_once_value(p, uctx->reply_to.data,
                                  uctx->reply_to.len);

    (void) SHA256(text, p - text, md);
    media_hex_encode(once->digest, md, SHA256_DIGEST_LENGTH);

    return NGX_OK;
}


/* lengths keep the values apart */

static u_char *
ngx_http_media_once_value(u_char *p, const void *data, size_t len)
{
    return ngx_cpymem(ngx_sprintf(p, "%uz:", len), data, len);
}


static ngx_media_redis_job_t *
ngx_http_media_once_ask(ngx_http_media_once_t *once)
{
    u_char                        key[sizeof(NGX_HTTP_MEDIA_ONCE_KEY)
                                      + MEDIA_KEY_UUID_LEN];
    u_char                        seconds[NGX_TIME_T_LEN];
    ngx_str_t                     argv[7];
    media_upload_t               *u;
    ngx_media_redis_t            *redis;
    ngx_http_media_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(once->request, ngx_http_media_module);
    redis = ngx_http_media_cache_redis(&mcf->cache);

    if (redis == NULL) {
        return NULL;
    }

    u = &ngx_http_media_upload_ctx(once->request)->upload;

    ngx_str_set(&argv[0], "SET");
    argv[1].data = key;
    argv[1].len = ngx_sprintf(key, NGX_HTTP_MEDIA_ONCE_KEY "%s", u->id) - key;
    argv[2].data = (u_char *) once->digest;
    argv[2].len = sizeof(once->digest);
    ngx_str_set(&argv[3], "NX");
    ngx_str_set(&argv[4], "GET");
    ngx_str_set(&argv[5], "EX");
    argv[6].data = seconds;
    argv[6].len = ngx_sprintf(seconds, "%T",
                              u->expires + MEDIA_UPLOAD_GRACE - ngx_time() + 1)
                  - seconds;

    return ngx_media_redis_send(redis, argv, 7, 0, ngx_http_media_once_done,
                                once);
}


static void
ngx_http_media_once_done(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_media_once_t  *once;

    once = job->data;
    rc = NGX_OK;

    if (reply) {

        if (once && reply->type == REDIS_REPLY_STRING
            && (reply->str.len != sizeof(once->digest)
                || ngx_memcmp(reply->str.data, once->digest, reply->str.len)
                   != 0))
        {
            rc = NGX_DECLINED;
        }

        ngx_media_redis_free(reply->object);
    }

    if (once == NULL) {
        return;
    }

    once->job = NULL;

    r = once->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    once->handler(r, rc);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_media_once_detach(void *data)
{
    ngx_http_media_once_t  *once = data;

    if (once->job) {
        once->job->data = NULL;
        once->job = NULL;
    }
}
