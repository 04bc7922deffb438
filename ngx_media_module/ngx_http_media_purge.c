
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


uint64_t
ngx_http_media_purge_generation(ngx_str_t *key)
{
    (void) key;

    return 0;
}
