
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


ngx_int_t
ngx_http_media_error_header(ngx_http_request_t *r)
{
    (void) r;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_error_body(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next)
{
    (void) r;
    (void) in;
    (void) next;

    return NGX_DECLINED;
}
