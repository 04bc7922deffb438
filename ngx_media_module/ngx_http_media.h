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
#include "ngx_http_media_auth.h"
#include "ngx_http_media_flight.h"
#include "ngx_http_media_metrics.h"
#include "ngx_http_media_multirange.h"
#include "ngx_http_media_purge.h"
#include "ngx_http_media_serve.h"
#include "ngx_http_media_upload.h"
#include "ngx_http_media_webhook.h"
#include "ngx_http_media_store.h"
#include "ngx_http_media_zone.h"

#include "media_core.h"
#include "media_entry.h"
#include "media_key.h"
#include "media_mime.h"
#include "media_sigv4.h"


typedef struct {
    ngx_media_redis_conf_t              redis;
    ngx_media_redis_t                  *pool;       /* made by the process */
    size_t                              buffers;    /* bytes of objects */

    /* of a process */
    size_t                              used;       /* of buffers */
    ngx_msec_t                          refused;    /* until then no copies
                                                       are made for Redis */
    ngx_rbtree_t                        entries;    /* found by others */
    ngx_rbtree_node_t                   entries_sentinel;
    ngx_rbtree_t                        flights;
    ngx_rbtree_node_t                   flights_sentinel;
} ngx_http_media_cache_main_conf_t;


struct ngx_http_media_main_conf_s {
    ngx_http_media_cache_main_conf_t    cache;
    ngx_http_media_webhook_main_conf_t  webhook;
    ngx_http_media_store_main_conf_t    store;
    ngx_http_media_zone_t               zone;
};


typedef struct {
    ngx_flag_t                          enable;
    ngx_http_complex_value_t           *key;        /* NULL: $media_key */
    ngx_array_t                        *bypass;     /* of complex values */
    size_t                              max_size;
    ngx_flag_t                          lock;
    ngx_msec_t                          lock_timeout;
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
    ngx_http_complex_value_t           *rendition;  /* NULL: the original */

    /* precomputed by merge */
    ngx_str_t                           host;       /* the Host header */
    media_sigv4_cred_t                 *cred;       /* NULL: no endpoint */
} ngx_http_media_s3_loc_conf_t;


typedef struct ngx_http_media_loc_conf_s {
    ngx_http_media_cache_loc_conf_t     cache;
    ngx_http_media_s3_loc_conf_t        s3;
    ngx_http_media_auth_loc_conf_t      auth;
    ngx_http_media_serve_loc_conf_t     serve;
    ngx_http_media_multirange_loc_conf_t  multirange;
    ngx_http_media_webhook_loc_conf_t   webhook;
    ngx_http_media_store_loc_conf_t     store;
    ngx_http_media_upload_loc_conf_t    upload;
    ngx_uint_t                          metrics;    /* are shown here */
} ngx_http_media_loc_conf_t;


typedef enum {
    NGX_HTTP_MEDIA_CACHE_NONE = 0,      /* not looked up */
    NGX_HTTP_MEDIA_CACHE_HIT,
    NGX_HTTP_MEDIA_CACHE_MISS,
    NGX_HTTP_MEDIA_CACHE_BYPASS,
    NGX_HTTP_MEDIA_CACHE_STALE          /* from disk, as S3 is away */
} ngx_http_media_cache_status_e;


/* where a response came from */
typedef enum {
    NGX_HTTP_MEDIA_TIER_NONE = 0,       /* no backend was asked */
    NGX_HTTP_MEDIA_TIER_REDIS,
    NGX_HTTP_MEDIA_TIER_DISK,           /* proxy_cache */
    NGX_HTTP_MEDIA_TIER_S3
} ngx_http_media_tier_e;


struct ngx_http_media_cache_ctx_s {
    ngx_http_request_t                 *request;
    ngx_http_media_cache_status_e       status;
    ngx_http_media_tier_e               tier;       /* known from the
                                                       header filter on */
    ngx_media_redis_job_t              *job;        /* NULL: not waiting */
    ngx_msec_t                          start;      /* of the lookup */
    ngx_msec_t                          waited;     /* for its result */
    ngx_msec_t                          deadline;
    ngx_str_t                           object_key;
    ngx_str_t                           key;        /* in Redis */
    media_entry_t                       entry;      /* of a hit */
    u_char                             *body;       /* of a hit */
    void                               *reply;      /* what entry views, if
                                                       there is no body */
    ngx_http_media_entry_t             *shared;     /* what entry and body
                                                       view */
    ngx_http_media_flight_t            *flight;     /* waits in, or leads */
    ngx_queue_t                         queue;      /* in flight->waiters */
    ngx_http_media_lease_t             *lease;      /* NULL: does not lead */
    ngx_http_media_entry_t             *copy;       /* NULL: no tee */
    u_char                             *copy_pos;
    unsigned                            head:1;     /* asked for the entry's
                                                       head only */
    unsigned                            waiting:1;  /* in flight->waiters */
    unsigned                            lock:1;     /* media_cache_lock */
    unsigned                            full:1;     /* Redis has it, but there
                                                       is no room for it */
};


typedef struct {
    time_t                              now;        /* of the signature */
    char                                date[MEDIA_SIGV4_DATE_LEN];
} ngx_http_media_s3_ctx_t;


typedef struct {
    ngx_http_request_t                 *request;    /* NULL: none */
    off_t                               left;       /* of its body */
} ngx_http_media_slice_ctx_t;


typedef struct {
    ngx_http_media_cache_ctx_t         *cache;
    ngx_http_media_s3_ctx_t            *s3;
    ngx_http_media_auth_ctx_t          *auth;
    ngx_http_media_serve_ctx_t         *serve;
    ngx_http_media_multirange_ctx_t    *multirange;
    ngx_http_media_slice_ctx_t          slice;      /* of a main request */
    ngx_http_media_webhook_ctx_t       *webhook;
    ngx_http_media_store_ctx_t         *store;
    ngx_http_media_upload_ctx_t        *upload;
    ngx_str_t                           query;      /* of a subrequest to S3,
                                                       canonical */
    ngx_http_media_upload_answer_t     *answer;     /* it gets the body */
    unsigned                            hidden:1;   /* the lines that are
                                                       logged are copies */
} ngx_http_media_ctx_t;


/* the context of a request, made if there is none; NULL: no memory */
ngx_http_media_ctx_t *ngx_http_media_get_ctx(ngx_http_request_t *r);

/* the value of a request header, any case; NULL if it did not come */
ngx_str_t *ngx_http_media_get_header(ngx_http_request_t *r,
    const char *name);

/*
 * Logs have the request line in each message: stars out a secret in it and in
 * $request_uri.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_media_hide(ngx_http_request_t *r, ngx_str_t *secret);

/* postconfiguration: a handler of a phase; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_media_add_handler(ngx_conf_t *cf,
    ngx_http_phases phase, ngx_http_handler_pt handler);

/* a complex value at an offset whose unset state is NGX_CONF_UNSET_PTR */
char *ngx_http_media_set_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* reads a secret of a few lines into the ngx_str_t at cmd->offset */
char *ngx_http_media_set_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* lookup */
char *ngx_http_media_cache_set_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* "category time", into the time_t[MEDIA_CATEGORY_MAX] at cmd->offset */
char *ngx_http_media_set_category_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_media_cache_create_main(ngx_http_media_cache_main_conf_t *mcf);
char *ngx_http_media_cache_init_main(ngx_conf_t *cf,
    ngx_http_media_cache_main_conf_t *mcf);
void ngx_http_media_cache_create_loc(ngx_http_media_cache_loc_conf_t *lcf);
char *ngx_http_media_cache_merge_loc(ngx_conf_t *cf,
    ngx_http_media_cache_loc_conf_t *prev,
    ngx_http_media_cache_loc_conf_t *conf);
ngx_int_t ngx_http_media_lookup_init(ngx_conf_t *cf);

/* the connections of this process, NULL if there are none */
ngx_media_redis_t *ngx_http_media_cache_redis(
    ngx_http_media_cache_main_conf_t *mcf);

/* the last byte of an entry's head, for GETRANGE */
#define NGX_HTTP_MEDIA_HEAD_LAST  "511"

/*
 * The phases of a request that has waited run again.  The request may be gone
 * afterwards, and others with its connection.
 */
void ngx_http_media_lookup_resume(ngx_http_media_cache_ctx_t *cctx);

/* An entry that cannot be read: deletes it, and says so. */
void ngx_http_media_lookup_damaged(ngx_http_media_main_conf_t *mcf,
    ngx_str_t *key);

/* content handler of a hit */
ngx_int_t ngx_http_media_cached_handler(ngx_http_request_t *r);

/*
 * The module's one header and body filter, before all others: what comes from
 * S3, a disk or Redis is still whole.
 */
void ngx_http_media_filter_init(void);

/*
 * What of the filter is for the tee, and for those who wait for the response;
 * called with a main request only.
 */
void ngx_http_media_tee_header(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx);
void ngx_http_media_tee_body(ngx_http_request_t *r,
    ngx_http_media_cache_ctx_t *cctx, ngx_chain_t *in);

/*
 * A response with a status of 400 or more: another status where S3's own is
 * none of the client's business, and a JSON body.  NGX_OK, NGX_DECLINED if
 * there is no error, or NGX_ERROR.
 */
ngx_int_t ngx_http_media_error_header(ngx_http_request_t *r);
/* puts the JSON in place of the body; NGX_DECLINED if there is no error */
ngx_int_t ngx_http_media_error_body(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next);

/*
 * The body of a slice must be as long as its Content-Range says.  Called with
 * a main request and its subrequests, before anything changes the header;
 * NGX_OK, or what the filter is to return if it is not.
 */
ngx_int_t ngx_http_media_slice_header(ngx_http_request_t *r);
ngx_int_t ngx_http_media_slice_body(ngx_http_request_t *r, ngx_chain_t *in);

/* the signer */
void ngx_http_media_s3_create_loc(ngx_http_media_s3_loc_conf_t *lcf);
char *ngx_http_media_s3_merge_loc(ngx_conf_t *cf,
    ngx_http_media_s3_loc_conf_t *prev, ngx_http_media_s3_loc_conf_t *conf);
extern ngx_conf_enum_t  ngx_http_media_s3_styles[];

/*
 * The Host header of an endpoint, "http[s]://host[:port]", in the style of
 * conf; cuts a slash off the endpoint.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_media_s3_host(ngx_conf_t *cf,
    ngx_http_media_s3_loc_conf_t *conf, ngx_str_t *endpoint,
    ngx_str_t *value);

/* the path of a request for a checked key: NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_media_s3_key_path(ngx_pool_t *pool,
    ngx_http_media_s3_loc_conf_t *conf, media_str_t key, ngx_str_t *path);

/*
 * The object key of a request, not checked.  Returns NGX_OK or NGX_ERROR; the
 * key may be empty.
 */
ngx_int_t ngx_http_media_s3_key(ngx_http_request_t *r, ngx_str_t *key);

/* the same without media_rendition: whose key it is, which callers ask for */
ngx_int_t ngx_http_media_s3_original(ngx_http_request_t *r, ngx_str_t *key);

/* the end of the key that media_rendition adds, or empty */
ngx_int_t ngx_http_media_s3_rendition(ngx_http_request_t *r, ngx_str_t *end);

/*
 * A response that is about to be sent.  NGX_OK; or, for what is no HTTP, 502,
 * NGX_ERROR in a subrequest.
 */
ngx_int_t ngx_http_media_s3_response(ngx_http_request_t *r);

/* the signer's values: NGX_OK, NGX_DECLINED if there is none, NGX_ERROR */
ngx_int_t ngx_http_media_s3_uri(ngx_http_request_t *r, ngx_str_t *uri);
ngx_int_t ngx_http_media_s3_date(ngx_http_request_t *r, ngx_str_t *date);
ngx_int_t ngx_http_media_s3_authorization(ngx_http_request_t *r,
    ngx_str_t *value);
ngx_int_t ngx_http_media_s3_url_key(ngx_http_request_t *r, ngx_str_t *key);

/*
 * What identifies an object in every tier: the value of media_cache_key, and
 * the generation of the object key if it was purged.  NGX_OK, NGX_DECLINED if
 * the value is empty, or NGX_ERROR.
 */
ngx_int_t ngx_http_media_cache_key(ngx_http_request_t *r,
    ngx_str_t *object_key, ngx_str_t *key);

/* variables */
extern ngx_str_t  ngx_http_media_cache_statuses[];
extern ngx_str_t  ngx_http_media_cache_tiers[];
ngx_int_t ngx_http_media_add_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_media_module;

#endif
