
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


void
ngx_http_media_count(ngx_http_media_count_e counter)
{
    (void) counter;
}
