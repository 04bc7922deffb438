
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


ngx_int_t
ngx_http_media_store_multipart(ngx_http_media_store_job_t *job)
{
    (void) ngx_http_discard_request_body(job->request);

    return ngx_http_media_store_send_error(job->request,
                                       NGX_HTTP_MEDIA_STORE_NOT_IMPLEMENTED);
}
