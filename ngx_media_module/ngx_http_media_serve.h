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

#include "media_mime.h"


/* media_cache_control */
#define NGX_HTTP_MEDIA_CONTROL_OFF      0
#define NGX_HTTP_MEDIA_CONTROL_PRIVATE  1
#define NGX_HTTP_MEDIA_CONTROL_PUBLIC   2


typedef struct {
    ngx_flag_t                          proxy;      /* as written */
    ngx_flag_t                          enable;     /* proxy, or media_cache */
    ngx_uint_t                          cache_control;
    ngx_uint_t                          resource_policy;    /* an index */
    ngx_array_t                        *origins;    /* of ngx_str_t; empty:
                                                       no CORS */
    ngx_flag_t                          credentials;
    time_t                              max_age[MEDIA_CATEGORY_MAX];
                                                    /* NGX_CONF_UNSET: the
                                                       category's default */
} ngx_http_media_serve_loc_conf_t;


typedef struct {
    ngx_str_t                          *error;      /* in place of the body;
                                                       NULL: the body */
    unsigned                            sent:1;     /* the error is */
} ngx_http_media_serve_ctx_t;


extern ngx_conf_enum_t  ngx_http_media_cache_controls[];
extern ngx_conf_enum_t  ngx_http_media_resource_policies[];

void ngx_http_media_serve_create_loc(ngx_http_media_serve_loc_conf_t *lcf);
char *ngx_http_media_serve_merge_loc(ngx_conf_t *cf,
    ngx_http_media_serve_loc_conf_t *prev,
    ngx_http_media_serve_loc_conf_t *conf, ngx_flag_t cache);
ngx_int_t ngx_http_media_serve_init(ngx_conf_t *cf);

/*
 * Before the lookup: drops the conditions and ranges of the request that RFC
 * 9110 says to ignore.  NGX_OK, or the status to answer with.
 */
ngx_int_t ngx_http_media_serve_request(ngx_http_request_t *r);

/*
 * The headers of a response with a status below 400; after the tee has read
 * the ones of S3.  NGX_OK, NGX_ERROR, or NGX_HTTP_PRECONDITION_FAILED.
 */
ngx_int_t ngx_http_media_serve_headers(ngx_http_request_t *r);

/* by the object's key, else by its type; key.len 0: by the type */
media_category_t ngx_http_media_category(ngx_str_t *key, ngx_str_t *type);

/*
 * What RFC 9110, section 13.2.2, makes of the request's conditions and these
 * validators (etag.len 0, last_modified -1: none): NGX_OK, or one of
 * NGX_HTTP_NOT_MODIFIED and NGX_HTTP_PRECONDITION_FAILED.  Range and If-Range
 * are no part of it.  After ngx_http_media_condition_normalize(), which drops
 * the conditions that the RFC has ignored.
 */
ngx_int_t ngx_http_media_condition_test(ngx_http_request_t *r,
    ngx_str_t *etag, time_t last_modified);
void ngx_http_media_condition_normalize(ngx_http_request_t *r);

/* drops the Range that is to be ignored, whatever the object is */
void ngx_http_media_condition_range(ngx_http_request_t *r);

/*
 * Tests the conditions against a response of 200 or 206, and leaves none to
 * the core: NGX_OK, also for what is a 304 now, or
 * NGX_HTTP_PRECONDITION_FAILED.
 */
ngx_int_t ngx_http_media_condition_apply(ngx_http_request_t *r);

/*
 * ngx_http_media_range_parse() for a response of 200 or 206 whose request has
 * a Range, and the number of its parts; NGX_DECLINED also for one range.
 */
ngx_int_t ngx_http_media_condition_ranges(ngx_http_request_t *r,
    ngx_uint_t *n);

/* response headers: 1 if a header came from the proxied server */
ngx_uint_t ngx_http_media_header_upstream(ngx_http_request_t *r,
    ngx_table_elt_t *h);
/* the header in place of those of its name; NULL if out of memory */
ngx_table_elt_t *ngx_http_media_header_set(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
/* removes the ones whose names are in a list that NULL ends, or, with keep,
   the proxied server's whose names are not */
void ngx_http_media_header_remove(ngx_http_request_t *r, const char **names,
    ngx_uint_t keep);
/* the first of a name, NULL if there is none */
ngx_table_elt_t *ngx_http_media_header_get(ngx_http_request_t *r,
    const char *name);

/* Content-Type and Content-Disposition of a 200 or 206 */
ngx_int_t ngx_http_media_disposition_headers(ngx_http_request_t *r,
    ngx_str_t *key);

/* CORS */
char *ngx_http_media_cors_set_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_cors_check(ngx_conf_t *cf,
    ngx_http_media_serve_loc_conf_t *lcf);
/* answers OPTIONS: the status of the response */
ngx_int_t ngx_http_media_cors_preflight(ngx_http_request_t *r);
/* headers of any response: NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_media_cors_headers(ngx_http_request_t *r);

#endif
