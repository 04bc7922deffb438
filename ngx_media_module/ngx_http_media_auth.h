/*
 * Copyright (C) ngx_media contributors
 *
 * Who may read what: a caller's tenant from a signed URL, a JWT or a
 * variable, and the keys that belong to it.
 */

#ifndef NGX_HTTP_MEDIA_AUTH_H
#define NGX_HTTP_MEDIA_AUTH_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_uint_t                          unused;
} ngx_http_media_auth_loc_conf_t;


typedef struct {
    ngx_str_t                           tenant;
    ngx_str_t                           key;        /* what is looked up in
                                                       place of the key of
                                                       another tenant; empty:
                                                       the key itself */
    time_t                              expires;    /* of a signed URL; 0 */
    unsigned                            checked:1;
    unsigned                            credential:1;   /* by a header, a
                                                       cookie or a variable:
                                                       not for shared caches */
} ngx_http_media_auth_ctx_t;


void ngx_http_media_auth_create_loc(ngx_http_media_auth_loc_conf_t *lcf);
char *ngx_http_media_auth_merge_loc(ngx_conf_t *cf,
    ngx_http_media_auth_loc_conf_t *prev,
    ngx_http_media_auth_loc_conf_t *conf);

/*
 * Called before any lookup.  NGX_OK: go on, ctx->auth is set if the location
 * authorises; or the status to answer with (401, 403, 404, 500).  The key of
 * another tenant is NGX_OK: one that does not exist is looked up instead.
 */
ngx_int_t ngx_http_media_auth_check(ngx_http_request_t *r);

#endif
