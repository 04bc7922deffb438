/*
 * Copyright (C) ngx_media contributors
 *
 * Types shared by the ngx_http_media_* files.  There is one nginx module;
 * each area (cache and s3 here, webhook and store in headers of their own)
 * has its part of the configuration and of the request's context.
 */

#ifndef NGX_HTTP_MEDIA_H
#define NGX_HTTP_MEDIA_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_media_compat.h"
#include "ngx_media_redis.h"
#include "ngx_http_media_webhook.h"
#include "ngx_http_media_store.h"

#include "media_core.h"
#include "media_entry.h"
#include "media_key.h"
#include "media_mime.h"
#include "media_sigv4.h"


typedef struct {
    ngx_media_redis_conf_t              redis;
    ngx_media_redis_t                  *pool;       /* made by the process */
    size_t                              buffers;    /* bytes of tee copies */
} ngx_http_media_cache_main_conf_t;


typedef struct {
    ngx_http_media_cache_main_conf_t    cache;
    ngx_http_media_webhook_main_conf_t  webhook;
    ngx_http_media_store_main_conf_t    store;
} ngx_http_media_main_conf_t;


typedef struct {
    ngx_flag_t                          enable;
    ngx_http_complex_value_t           *key;        /* NULL: $media_key */
    ngx_array_t                        *bypass;     /* of complex values */
    size_t                              max_size;
    time_t                              ttl[MEDIA_CATEGORY_MAX];
} ngx_http_media_cache_loc_conf_t;


typedef struct {
    ngx_str_t                           endpoint;   /* "http://host:port" */
    ngx_str_t                           bucket;
    ngx_str_t                           region;
    ngx_str_t                           access_key;
    ngx_str_t                           secret_key;
    ngx_str_t                           session_token;
    ngx_str_t                           public_url;
    ngx_uint_t                          style;
    ngx_http_complex_value_t           *key;        /* NULL: from the URI */

    /* precomputed by merge */
    ngx_str_t                           host;       /* the Host header */
    media_sigv4_cred_t                 *cred;       /* NULL: no endpoint */
} ngx_http_media_s3_loc_conf_t;


typedef struct {
    ngx_http_media_cache_loc_conf_t     cache;
    ngx_http_media_s3_loc_conf_t        s3;
    ngx_http_media_webhook_loc_conf_t   webhook;
    ngx_http_media_store_loc_conf_t     store;
} ngx_http_media_loc_conf_t;


typedef enum {
    NGX_HTTP_MEDIA_CACHE_NONE = 0,      /* not looked up */
    NGX_HTTP_MEDIA_CACHE_HIT,
    NGX_HTTP_MEDIA_CACHE_MISS,
    NGX_HTTP_MEDIA_CACHE_BYPASS
} ngx_http_media_cache_status_e;


typedef struct {
    ngx_http_media_webhook_ctx_t       *webhook;
    ngx_http_media_store_ctx_t         *store;
} ngx_http_media_ctx_t;


/* the context of a request, made if there is none; NULL: no memory */
ngx_http_media_ctx_t *ngx_http_media_get_ctx(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_media_module;

#endif
