
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


void
ngx_http_media_serve_create_loc(ngx_http_media_serve_loc_conf_t *lcf)
{
    lcf->proxy = NGX_CONF_UNSET;
}


char *
ngx_http_media_serve_merge_loc(ngx_conf_t *cf,
    ngx_http_media_serve_loc_conf_t *prev,
    ngx_http_media_serve_loc_conf_t *conf, ngx_flag_t cache)
{
    (void) cf;

    if (conf->proxy == NGX_CONF_UNSET) {
        conf->proxy = prev->proxy;
    }

    conf->enable = (conf->proxy == NGX_CONF_UNSET) ? cache : conf->proxy;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_media_serve_init(ngx_conf_t *cf)
{
    (void) cf;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_serve_request(ngx_http_request_t *r)
{
    (void) r;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_serve_headers(ngx_http_request_t *r)
{
    (void) r;

    return NGX_OK;
}
