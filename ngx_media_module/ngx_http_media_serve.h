/*
 * Copyright (C) ngx_media contributors
 *
 * What is said to browsers in a location with "media_proxy on": conditions of
 * requests, headers of responses, errors as JSON.
 */

#ifndef NGX_HTTP_MEDIA_SERVE_H
#define NGX_HTTP_MEDIA_SERVE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_flag_t                          proxy;      /* as written */
    ngx_flag_t                          enable;     /* proxy, or media_cache */
} ngx_http_media_serve_loc_conf_t;


typedef struct {
    ngx_uint_t                          unused;
} ngx_http_media_serve_ctx_t;


void ngx_http_media_serve_create_loc(ngx_http_media_serve_loc_conf_t *lcf);
char *ngx_http_media_serve_merge_loc(ngx_conf_t *cf,
    ngx_http_media_serve_loc_conf_t *prev,
    ngx_http_media_serve_loc_conf_t *conf, ngx_flag_t cache);
ngx_int_t ngx_http_media_serve_init(ngx_conf_t *cf);

/*
 * Before the lookup: what RFC 9110 says of the request's conditions and what
 * the core's filters do not know.  NGX_OK, or the status to answer with.
 */
ngx_int_t ngx_http_media_serve_request(ngx_http_request_t *r);

/*
 * The headers of a response with a status below 400; after the tee has read
 * the ones of S3.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_media_serve_headers(ngx_http_request_t *r);

#endif
