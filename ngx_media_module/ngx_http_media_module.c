
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static void *ngx_http_media_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_media_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_media_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_media_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_media_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_media_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_media_init_process(ngx_cycle_t *cycle);
static void ngx_http_media_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_media_commands[] = {

    NGX_HTTP_MEDIA_WEBHOOK_COMMANDS

    NGX_HTTP_MEDIA_STORE_COMMANDS

      ngx_null_command
};


static ngx_http_module_t  ngx_http_media_module_ctx = {
    ngx_http_media_preconfiguration,       /* preconfiguration */
    ngx_http_media_postconfiguration,      /* postconfiguration */

    ngx_http_media_create_main_conf,       /* create main configuration */
    ngx_http_media_init_main_conf,         /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_media_create_loc_conf,        /* create location configuration */
    ngx_http_media_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_media_module = {
    NGX_MODULE_V1,
    &ngx_http_media_module_ctx,            /* module context */
    ngx_http_media_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_media_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_media_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_http_media_ctx_t *
ngx_http_media_get_ctx(ngx_http_request_t *r)
{
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    if (ctx != NULL) {
        return ctx;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_media_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_media_module);

    return ctx;
}


static void *
ngx_http_media_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_media_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    ngx_http_media_webhook_create_main(&mcf->webhook);

    return mcf;
}


static char *
ngx_http_media_init_main_conf(ngx_conf_t *cf, void *conf)
{
    char                        *rv;
    ngx_http_media_main_conf_t  *mcf = conf;

    rv = ngx_http_media_webhook_init_main(cf, &mcf->webhook);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_media_store_init_main(cf, &mcf->store);
}


static void *
ngx_http_media_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_media_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    ngx_http_media_webhook_create_loc(&lcf->webhook);
    ngx_http_media_store_create_loc(&lcf->store);

    return lcf;
}


static char *
ngx_http_media_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    char                       *rv;
    ngx_http_media_loc_conf_t  *prev = parent;
    ngx_http_media_loc_conf_t  *conf = child;

    rv = ngx_http_media_webhook_merge_loc(cf, &prev->webhook, &conf->webhook);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_media_store_merge_loc(cf, &prev->store, &conf->store);
}


static ngx_int_t
ngx_http_media_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_media_webhook_add_variables(cf);
}


static ngx_int_t
ngx_http_media_postconfiguration(ngx_conf_t *cf)
{
    return ngx_http_media_webhook_init(cf);
}


static ngx_int_t
ngx_http_media_init_process(ngx_cycle_t *cycle)
{
    /* the cache manager and loader call this as well */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    if (ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module)
        == NULL)
    {
        return NGX_OK;
    }

    if (ngx_http_media_webhook_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_media_store_init_process(cycle);
}


static void
ngx_http_media_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    if (ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module)
        == NULL)
    {
        return;
    }

    ngx_http_media_webhook_exit_process(cycle);
}
