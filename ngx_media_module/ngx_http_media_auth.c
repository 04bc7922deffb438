
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


void
ngx_http_media_auth_create_loc(ngx_http_media_auth_loc_conf_t *lcf)
{
    lcf->unused = NGX_CONF_UNSET_UINT;
}


char *
ngx_http_media_auth_merge_loc(ngx_conf_t *cf,
    ngx_http_media_auth_loc_conf_t *prev,
    ngx_http_media_auth_loc_conf_t *conf)
{
    (void) cf;
    (void) prev;
    (void) conf;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_media_auth_check(ngx_http_request_t *r)
{
    (void) r;

    return NGX_OK;
}
