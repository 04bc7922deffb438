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

#include "media_jwt.h"
#include "media_sign.h"


struct ngx_http_media_loc_conf_s;


#define NGX_HTTP_MEDIA_SIGN_KEYS_MAX  2     /* the old and the new one */


typedef struct {
    media_jwt_keys_t                   *keys;       /* NULL: no JWTs */
    ngx_array_t                        *tokens;     /* of complex values;
                                                       NULL: Authorization */
    ngx_array_t                        *arguments;  /* of ngx_str_t: tokens in
                                                       the query */
    ngx_str_t                           issuer;
    ngx_str_t                           audience;
    ngx_str_t                           claim;
    time_t                              leeway;
    ngx_http_complex_value_t           *tenant;     /* NULL: none */
    ngx_array_t                        *sign_keys;  /* of media_sign_key_t;
                                                       NULL: none */
    time_t                              sign_ttl;
    ngx_flag_t                          url;        /* "media_url" is here */
    ngx_flag_t                          enable;     /* set by merge */
} ngx_http_media_auth_loc_conf_t;


typedef struct {
    ngx_str_t                           tenant;
    ngx_str_t                           key;        /* what is looked up in
                                                       place of the key of
                                                       another tenant; empty:
                                                       the key itself */
    ngx_str_t                           requested;  /* that key */
    ngx_str_t                           signed_key; /* by the URL; or empty */
    time_t                              expires;    /* of a signed URL; 0 */
    ngx_int_t                           status;     /* of the caller: NGX_OK,
                                                       NGX_DECLINED if nothing
                                                       was presented, 4xx */
    ngx_http_media_auth_loc_conf_t     *conf;       /* by which it was found */
    unsigned                            keyed:1;    /* in such a location */
    unsigned                            checked:1;
    unsigned                            credential:1;   /* by a header, a
                                                       cookie or a variable:
                                                       not for shared caches */
} ngx_http_media_auth_ctx_t;


#define ngx_http_media_auth_keyed(lcf)                                        \
    ((lcf)->serve.enable || (lcf)->s3.key)

#define ngx_http_media_auth_equal(a, b)                                       \
    ((a)->len == (b)->len                                                     \
     && ngx_memcmp((a)->data, (b)->data, (a)->len) == 0)


#define NGX_HTTP_MEDIA_AUTH_ANY                                               \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF

/* entries of the command table, each with its comma */
#define NGX_HTTP_MEDIA_AUTH_COMMANDS                                          \
                                                                              \
    { ngx_string("media_jwt_audience"),                                       \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE1,                                 \
      ngx_conf_set_str_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth.audience),                     \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_jwt_claim"),                                          \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE1,                                 \
      ngx_conf_set_str_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth.claim),                        \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_jwt_issuer"),                                         \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE1,                                 \
      ngx_conf_set_str_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth.issuer),                       \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_jwt_key_file"),                                       \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE1,                                 \
      ngx_http_media_auth_set_keys,                                           \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth),                              \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_jwt_leeway"),                                         \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE1,                                 \
      ngx_conf_set_sec_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth.leeway),                       \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_jwt_token"),                                          \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_1MORE,                                 \
      ngx_http_media_auth_set_tokens,                                         \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth),                              \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_sign_key"),                                           \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE12,                                \
      ngx_http_media_auth_set_sign_key,                                       \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth),                              \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_sign_key_file"),                                      \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE2,                                 \
      ngx_http_media_auth_set_sign_key_file,                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth),                              \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_sign_ttl"),                                           \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE1,                                 \
      ngx_conf_set_sec_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth.sign_ttl),                     \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_tenant"),                                             \
      NGX_HTTP_MEDIA_AUTH_ANY|NGX_CONF_TAKE1,                                 \
      ngx_http_media_auth_set_tenant,                                         \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth),                              \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_url"),                                                \
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,                                      \
      ngx_http_media_auth_set_url,                                            \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, auth),                              \
      NULL },


/* setters, with the part auth of the configuration */
char *ngx_http_media_auth_set_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_auth_set_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_auth_set_sign_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_auth_set_sign_key_file(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_media_auth_set_tenant(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_auth_set_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_media_auth_create_loc(ngx_http_media_auth_loc_conf_t *lcf);
char *ngx_http_media_auth_merge_loc(ngx_conf_t *cf,
    ngx_http_media_auth_loc_conf_t *prev,
    ngx_http_media_auth_loc_conf_t *conf);

/* the location as a whole, merged but for its webhook and its store */
char *ngx_http_media_auth_check_location(
    struct ngx_http_media_loc_conf_s *lcf);

/* postconfiguration: tokens and signatures are kept out of the error log */
ngx_int_t ngx_http_media_auth_init(ngx_conf_t *cf);

/*
 * Called before any lookup.  NGX_OK: go on, ctx->auth is set if the location
 * authorises; or the status to answer with (401, 403, 404, 500).  The key of
 * another tenant is NGX_OK: one that does not exist is looked up instead.
 */
ngx_int_t ngx_http_media_auth_check(ngx_http_request_t *r);

/* NULL if the caller has not been looked at */
ngx_http_media_auth_ctx_t *ngx_http_media_auth_get_ctx(ngx_http_request_t *r);

/* whether the caller may have the location's object: as auth_check() */
ngx_int_t ngx_http_media_auth_key(ngx_http_request_t *r,
    ngx_http_media_auth_ctx_t *actx);

/* a key that was found to be another tenant's becomes one without object */
void ngx_http_media_auth_replace(ngx_http_request_t *r, ngx_str_t *key);

/* 1 if the key of the request is such a key */
ngx_uint_t ngx_http_media_auth_replaced(ngx_http_request_t *r);

/*
 * First in the header filter of a main request: such a key cannot have a
 * response, unless the configuration asks for something else than the key.
 * NGX_OK, or what the filter is to return.
 */
ngx_int_t ngx_http_media_auth_response(ngx_http_request_t *r);

/*
 * $media_tenant: NGX_OK, NGX_DECLINED, NGX_ERROR.  Before the access phase
 * is over, that is a JWT's or a signed URL's tenant, not media_tenant's.
 */
ngx_int_t ngx_http_media_auth_tenant(ngx_http_request_t *r,
    ngx_str_t *value);

/*
 * Returns how often an argument is in the query, exactly so written; value is
 * the last one, not decoded.
 */
ngx_uint_t ngx_http_media_auth_argument(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

/* content handler of media_url */
ngx_int_t ngx_http_media_url_handler(ngx_http_request_t *r);

#endif
