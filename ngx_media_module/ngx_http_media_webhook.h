/*
 * Copyright (C) ngx_media contributors
 *
 * Configuration and hooks of media_webhook.  Included by ngx_http_media.h.
 */

#ifndef NGX_HTTP_MEDIA_WEBHOOK_H
#define NGX_HTTP_MEDIA_WEBHOOK_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct ngx_http_media_webhook_ctx_s  ngx_http_media_webhook_ctx_t;


/* both structures come zeroed; create sets what is merged to UNSET */

typedef struct {
    ngx_uint_t  configured;
} ngx_http_media_webhook_main_conf_t;


typedef struct {
    ngx_uint_t  configured;
} ngx_http_media_webhook_loc_conf_t;


/* entries of the command table, each with its comma */
#define NGX_HTTP_MEDIA_WEBHOOK_COMMANDS


static ngx_inline void
ngx_http_media_webhook_create_main(ngx_http_media_webhook_main_conf_t *mcf)
{
    (void) mcf;
}


static ngx_inline char *
ngx_http_media_webhook_init_main(ngx_conf_t *cf,
    ngx_http_media_webhook_main_conf_t *mcf)
{
    (void) cf;
    (void) mcf;

    return NGX_CONF_OK;
}


static ngx_inline void
ngx_http_media_webhook_create_loc(ngx_http_media_webhook_loc_conf_t *lcf)
{
    (void) lcf;
}


static ngx_inline char *
ngx_http_media_webhook_merge_loc(ngx_conf_t *cf,
    ngx_http_media_webhook_loc_conf_t *prev,
    ngx_http_media_webhook_loc_conf_t *conf)
{
    (void) cf;
    (void) prev;
    (void) conf;

    return NGX_CONF_OK;
}


/* preconfiguration */
static ngx_inline ngx_int_t
ngx_http_media_webhook_add_variables(ngx_conf_t *cf)
{
    (void) cf;

    return NGX_OK;
}


/* postconfiguration: phase handlers */
static ngx_inline ngx_int_t
ngx_http_media_webhook_init(ngx_conf_t *cf)
{
    (void) cf;

    return NGX_OK;
}


/* called in processes that serve requests only */
static ngx_inline ngx_int_t
ngx_http_media_webhook_init_process(ngx_cycle_t *cycle)
{
    (void) cycle;

    return NGX_OK;
}


static ngx_inline void
ngx_http_media_webhook_exit_process(ngx_cycle_t *cycle)
{
    (void) cycle;
}

#endif
