
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_SECRET_MAX  8192     /* bytes of a file */


static void *ngx_http_media_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_media_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_media_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_media_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_media_hide_copy(ngx_http_request_t *r,
    ngx_str_t *line);
static void ngx_http_media_hide_in(ngx_str_t *line, ngx_str_t *secret);
static ngx_int_t ngx_http_media_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_media_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_media_init_process(ngx_cycle_t *cycle);
static void ngx_http_media_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_media_commands[] = {

    { ngx_string("media_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, cache.enable),
      NULL },

    { ngx_string("media_cache_buffers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, cache.buffers),
      NULL },

    { ngx_string("media_cache_bypass"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_set_predicate_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, cache.bypass),
      NULL },

    { ngx_string("media_cache_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_media_set_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, cache.key),
      NULL },

    { ngx_string("media_cache_lock"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, cache.lock),
      NULL },

    { ngx_string("media_cache_lock_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, cache.lock_timeout),
      NULL },

    { ngx_string("media_cache_max_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, cache.max_size),
      NULL },

    { ngx_string("media_cache_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_media_set_category_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, cache.ttl),
      NULL },

    { ngx_string("media_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_media_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("media_public_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.public_url),
      NULL },

    { ngx_string("media_range_location"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, multirange.location),
      NULL },

    { ngx_string("media_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_media_cache_set_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("media_redis_connect_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, cache.redis.connect_timeout),
      NULL },

    { ngx_string("media_redis_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, cache.redis.connections),
      NULL },

    { ngx_string("media_redis_database"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, cache.redis.database),
      NULL },

    { ngx_string("media_redis_password"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, cache.redis.password),
      NULL },

    { ngx_string("media_redis_password_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_media_set_secret_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, cache.redis.password),
      NULL },

    { ngx_string("media_redis_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, cache.redis.timeout),
      NULL },

    { ngx_string("media_redis_user"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, cache.redis.user),
      NULL },

    { ngx_string("media_s3_access_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.access_key),
      NULL },

    { ngx_string("media_s3_access_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_media_set_secret_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.access_key),
      NULL },

    { ngx_string("media_s3_bucket"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.bucket),
      NULL },

    { ngx_string("media_s3_endpoint"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.endpoint),
      NULL },

    { ngx_string("media_s3_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_media_set_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.key),
      NULL },

    { ngx_string("media_s3_region"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.region),
      NULL },

    { ngx_string("media_s3_secret_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.secret_key),
      NULL },

    { ngx_string("media_s3_secret_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_media_set_secret_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.secret_key),
      NULL },

    { ngx_string("media_s3_session_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.session_token),
      NULL },

    { ngx_string("media_s3_session_token_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_media_set_secret_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.session_token),
      NULL },

    { ngx_string("media_s3_style"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.style),
      &ngx_http_media_s3_styles },

    { ngx_string("media_cache_control"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, serve.cache_control),
      &ngx_http_media_cache_controls },

    { ngx_string("media_cors_credentials"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, serve.credentials),
      NULL },

    { ngx_string("media_cors_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_media_cors_set_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("media_max_age"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_media_set_category_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, serve.max_age),
      NULL },

    { ngx_string("media_proxy"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, serve.proxy),
      NULL },

    { ngx_string("media_rendition"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_media_set_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, s3.rendition),
      NULL },

    { ngx_string("media_resource_policy"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_media_loc_conf_t, serve.resource_policy),
      &ngx_http_media_resource_policies },

    { ngx_string("media_zone_size"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_media_main_conf_t, zone.size),
      NULL },

    NGX_HTTP_MEDIA_AUTH_COMMANDS

    NGX_HTTP_MEDIA_WEBHOOK_COMMANDS

    NGX_HTTP_MEDIA_STORE_COMMANDS

    NGX_HTTP_MEDIA_UPLOAD_COMMANDS

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


ngx_str_t *
ngx_http_media_get_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i].value;
        }
    }
}


ngx_int_t
ngx_http_media_hide(ngx_http_request_t *r, ngx_str_t *secret)
{
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_media_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* the line before belongs to the parser, and what follows it stays */

    if (!ctx->hidden) {

        if (ngx_http_media_hide_copy(r, &r->request_line) != NGX_OK
            || ngx_http_media_hide_copy(r, &r->unparsed_uri) != NGX_OK)
        {
            return NGX_ERROR;
        }

        ctx->hidden = 1;
    }

    ngx_http_media_hide_in(&r->request_line, secret);
    ngx_http_media_hide_in(&r->unparsed_uri, secret);

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_hide_copy(ngx_http_request_t *r, ngx_str_t *line)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, line->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, line->data, line->len);
    p[line->len] = '\0';
    line->data = p;

    return NGX_OK;
}


static void
ngx_http_media_hide_in(ngx_str_t *line, ngx_str_t *secret)
{
    u_char  *p, *last;

    if (secret->len == 0 || line->len < secret->len) {
        return;
    }

    last = line->data + line->len - secret->len;

    for (p = line->data; p <= last; p++) {
        if (ngx_memcmp(p, secret->data, secret->len) == 0) {
            ngx_memset(p, '*', secret->len);
        }
    }
}


static void *
ngx_http_media_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_media_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    ngx_http_media_cache_create_main(&mcf->cache);
    ngx_http_media_webhook_create_main(&mcf->webhook);
    ngx_http_media_zone_create_main(&mcf->zone);

    return mcf;
}


static char *
ngx_http_media_init_main_conf(ngx_conf_t *cf, void *conf)
{
    char                        *rv;
    ngx_http_media_main_conf_t  *mcf = conf;

    rv = ngx_http_media_cache_init_main(cf, &mcf->cache);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_zone_init_main(cf, &mcf->zone);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

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

    ngx_http_media_cache_create_loc(&lcf->cache);
    ngx_http_media_s3_create_loc(&lcf->s3);
    ngx_http_media_auth_create_loc(&lcf->auth);
    ngx_http_media_serve_create_loc(&lcf->serve);
    ngx_http_media_webhook_create_loc(&lcf->webhook);
    ngx_http_media_upload_create_loc(&lcf->upload);

    return lcf;
}


static char *
ngx_http_media_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    char                       *rv;
    ngx_http_media_loc_conf_t  *prev = parent;
    ngx_http_media_loc_conf_t  *conf = child;

    rv = ngx_http_media_cache_merge_loc(cf, &prev->cache, &conf->cache);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_s3_merge_loc(cf, &prev->s3, &conf->s3);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_auth_merge_loc(cf, &prev->auth, &conf->auth);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_serve_merge_loc(cf, &prev->serve, &conf->serve,
                                        conf->cache.enable);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_multirange_merge_loc(cf, &prev->multirange,
                                             &conf->multirange);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_auth_check_location(conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_webhook_merge_loc(cf, &prev->webhook, &conf->webhook);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_store_merge_loc(cf, &prev->store, &conf->store);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_media_upload_merge_loc(cf, &prev->upload, conf);
}


char *
ngx_http_media_set_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_http_complex_value_t          **cv;
    ngx_str_t                          *value;
    ngx_http_compile_complex_value_t    ccv;

    cv = (ngx_http_complex_value_t **) (p + cmd->offset);

    if (*cv != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*cv == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = *cv;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_media_set_secret_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ssize_t           n;
    ngx_fd_t          fd;
    ngx_str_t        *value, *secret;

    secret = (ngx_str_t *) (p + cmd->offset);

    if (secret->data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    secret->data = ngx_pnalloc(cf->pool, NGX_HTTP_MEDIA_SECRET_MAX);
    if (secret->data == NULL) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(value[1].data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &value[1]);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, secret->data, NGX_HTTP_MEDIA_SECRET_MAX);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", &value[1]);
    }

    while (n > 0
           && (secret->data[n - 1] == LF || secret->data[n - 1] == CR))
    {
        n--;
    }

    if (n <= 0 || n == NGX_HTTP_MEDIA_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is empty, too long or not readable",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    secret->len = n;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_media_add_handler(ngx_conf_t *cf, ngx_http_phases phase,
    ngx_http_handler_pt handler)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[phase].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_media_add_variables(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_media_webhook_add_variables(cf);
}


static ngx_int_t
ngx_http_media_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_media_filter_init();

    if (ngx_http_media_lookup_init(cf) != NGX_OK
        || ngx_http_media_serve_init(cf) != NGX_OK
        || ngx_http_media_auth_init(cf) != NGX_OK
        || ngx_http_media_metrics_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_media_webhook_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_media_upload_init(cf);
}


static ngx_int_t
ngx_http_media_init_process(ngx_cycle_t *cycle)
{
    ngx_http_media_main_conf_t  *mcf;

    /* the cache manager and loader call this as well */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module);

    if (mcf == NULL) {
        return NGX_OK;
    }

    if (mcf->cache.redis.addr
        && ngx_http_media_cache_redis(&mcf->cache) == NULL)
    {
        return NGX_ERROR;
    }

    if (mcf->cache.redis.addr) {
        ngx_http_media_purge_init_process(cycle);
    }

    if (ngx_http_media_webhook_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_media_store_init_process(cycle);
}


static void
ngx_http_media_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_media_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module);

    if (mcf == NULL) {
        return;
    }

    if (mcf->cache.pool) {
        ngx_media_redis_destroy(mcf->cache.pool);
    }

    ngx_http_media_webhook_exit_process(cycle);
    ngx_http_media_purge_exit_process();
    ngx_http_media_metrics_exit_process();
}
