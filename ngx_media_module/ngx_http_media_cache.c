
/*
 * Copyright (C) ngx_media contributors
 *
 * Configuration of the cache, and the connections of a process.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


/*
 * A request waits for Redis no longer than an S3 server takes to answer; a
 * server that stalls for longer is left alone until the backoff ends.
 */
#define NGX_HTTP_MEDIA_REDIS_TIMEOUT      100           /* ms */
#define NGX_HTTP_MEDIA_REDIS_CONNECT      1000          /* ms */
#define NGX_HTTP_MEDIA_REDIS_CONNECTIONS  2

#define NGX_HTTP_MEDIA_CACHE_MAX_SIZE     (1024 * 1024)
#define NGX_HTTP_MEDIA_CACHE_BUFFERS      (64 * 1024 * 1024)
#define NGX_HTTP_MEDIA_CACHE_LOCK_TIMEOUT 5000          /* ms */

/* what a command takes beside the body */
#define NGX_HTTP_MEDIA_CACHE_OVERHEAD     4096


ngx_media_redis_t *
ngx_http_media_cache_redis(ngx_http_media_cache_main_conf_t *mcf)
{
    if (mcf->pool == NULL && mcf->redis.addr && !ngx_exiting) {

        /* a reload without worker processes does not call init_process */

        ngx_http_media_metrics_redis(&mcf->redis.stats);

        mcf->pool = ngx_media_redis_create(&mcf->redis,
                                           (ngx_cycle_t *) ngx_cycle);
    }

    return mcf->pool;
}


void
ngx_http_media_cache_create_main(ngx_http_media_cache_main_conf_t *mcf)
{
    mcf->redis.database = NGX_CONF_UNSET_UINT;
    mcf->redis.connections = NGX_CONF_UNSET_UINT;
    mcf->redis.timeout = NGX_CONF_UNSET_MSEC;
    mcf->redis.connect_timeout = NGX_CONF_UNSET_MSEC;
    mcf->buffers = NGX_CONF_UNSET_SIZE;
}


char *
ngx_http_media_cache_init_main(ngx_conf_t *cf,
    ngx_http_media_cache_main_conf_t *mcf)
{
    ngx_conf_init_uint_value(mcf->redis.database, 0);
    ngx_conf_init_uint_value(mcf->redis.connections,
                             NGX_HTTP_MEDIA_REDIS_CONNECTIONS);
    ngx_conf_init_msec_value(mcf->redis.timeout,
                             NGX_HTTP_MEDIA_REDIS_TIMEOUT);
    ngx_conf_init_msec_value(mcf->redis.connect_timeout,
                             NGX_HTTP_MEDIA_REDIS_CONNECT);
    ngx_conf_init_size_value(mcf->buffers, NGX_HTTP_MEDIA_CACHE_BUFFERS);

    mcf->redis.max_bytes = mcf->buffers;
    mcf->redis.max_reply = NGX_HTTP_MEDIA_PURGE_PIECE
                           + NGX_HTTP_MEDIA_CACHE_OVERHEAD;

    ngx_rbtree_init(&mcf->entries, &mcf->entries_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&mcf->flights, &mcf->flights_sentinel,
                    ngx_str_rbtree_insert_value);

    if (mcf->redis.connections == 0
        || mcf->redis.timeout == 0
        || mcf->redis.connect_timeout == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_redis_connections\" and the timeouts "
                           "of redis must be positive");
        return NGX_CONF_ERROR;
    }

    if (mcf->redis.user.len && mcf->redis.password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_redis_user\" requires "
                           "\"media_redis_password\"");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_media_cache_set_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_media_main_conf_t  *mcf = conf;

    u_char     *p;
    ngx_url_t   u;
    ngx_str_t  *value;

    if (mcf->cache.redis.addr) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];
    u.default_port = NGX_MEDIA_REDIS_PORT;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in redis address \"%V\"",
                           u.err ? u.err : "no address", &u.url);
        return NGX_CONF_ERROR;
    }

    mcf->cache.redis.addr = &u.addrs[0];

    p = ngx_pnalloc(cf->pool, sizeof("redis ") - 1 + u.addrs[0].name.len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->cache.redis.name.data = p;
    mcf->cache.redis.name.len = ngx_sprintf(p, "redis %V", &u.addrs[0].name)
                                - p;

    return NGX_CONF_OK;
}


char *
ngx_http_media_set_category_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    time_t             time, *times;
    ngx_str_t         *value;
    media_str_t        name;
    media_category_t   category;

    times = (time_t *) (p + cmd->offset);

    value = cf->args->elts;

    media_str_set(&name, (char *) value[1].data, value[1].len);
    category = media_category_by_name(name);

    if (category == MEDIA_CATEGORY_OTHER
        && ngx_strcmp(value[1].data, "other") != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid category \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (times[category] != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    time = ngx_parse_time(&value[2], 1);
    if (time == (time_t) NGX_ERROR) {
        return "invalid value";
    }

    times[category] = time;

    return NGX_CONF_OK;
}


void
ngx_http_media_cache_create_loc(ngx_http_media_cache_loc_conf_t *lcf)
{
    ngx_uint_t  i;

    lcf->enable = NGX_CONF_UNSET;
    lcf->key = NGX_CONF_UNSET_PTR;
    lcf->bypass = NGX_CONF_UNSET_PTR;
    lcf->max_size = NGX_CONF_UNSET_SIZE;
    lcf->lock = NGX_CONF_UNSET;
    lcf->lock_timeout = NGX_CONF_UNSET_MSEC;

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        lcf->ttl[i] = NGX_CONF_UNSET;
    }
}


char *
ngx_http_media_cache_merge_loc(ngx_conf_t *cf,
    ngx_http_media_cache_loc_conf_t *prev,
    ngx_http_media_cache_loc_conf_t *conf)
{
    size_t                       size;
    ngx_uint_t                   i;
    media_mime_policy_t          policy;
    ngx_http_media_main_conf_t  *mcf;

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_ptr_value(conf->key, prev->key, NULL);
    ngx_conf_merge_ptr_value(conf->bypass, prev->bypass, NULL);
    ngx_conf_merge_size_value(conf->max_size, prev->max_size,
                              NGX_HTTP_MEDIA_CACHE_MAX_SIZE);
    ngx_conf_merge_value(conf->lock, prev->lock, 1);
    ngx_conf_merge_msec_value(conf->lock_timeout, prev->lock_timeout,
                              NGX_HTTP_MEDIA_CACHE_LOCK_TIMEOUT);

    if (conf->lock_timeout == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_cache_lock_timeout\" must be positive, "
                           "\"media_cache_lock off\" makes no request wait");
        return NGX_CONF_ERROR;
    }

    media_mime_defaults(&policy);

    policy.rules[MEDIA_CATEGORY_OTHER].ttl =
                                    policy.rules[MEDIA_CATEGORY_DOCUMENT].ttl;

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        ngx_conf_merge_sec_value(conf->ttl[i], prev->ttl[i],
                                 policy.rules[i].ttl);
    }

    if (!conf->enable) {
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    if (mcf->cache.redis.addr == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_cache\" requires \"media_redis\"");
        return NGX_CONF_ERROR;
    }

    size = conf->max_size + NGX_HTTP_MEDIA_CACHE_OVERHEAD;

    if (size < conf->max_size || size > mcf->cache.buffers) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_cache_max_size\" must be less than "
                           "\"media_cache_buffers\"");
        return NGX_CONF_ERROR;
    }

    mcf->cache.redis.max_reply = ngx_max(mcf->cache.redis.max_reply, size);

    return NGX_CONF_OK;
}
