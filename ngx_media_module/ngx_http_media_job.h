/*
 * Copyright (C) ngx_media contributors
 *
 * Jobs for the worker, published to a queue of the broker.
 */

#ifndef NGX_HTTP_MEDIA_JOB_H
#define NGX_HTTP_MEDIA_JOB_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Called once, unless the client goes away before: rc is NGX_OK if the broker
 * has confirmed the job, else NGX_BUSY (which is logged).  It answers the
 * request, or starts something else, and ends it in any case.
 */
typedef void (*ngx_http_media_job_handler_pt)(ngx_http_request_t *r,
    ngx_int_t rc);


/*
 * Publishes body, which is copied, to one of the queues: media_send, whose
 * jobs are done in their order, or media_upload.  The caller has a reference
 * to the request (r->main->count), and returns NGX_DONE.  What was published
 * stays so if the client goes away.
 *
 * Returns NGX_OK; NGX_BUSY if the broker is away, blocked or slow or the
 * queue is full, which is logged; NGX_ERROR if out of memory.  The handler is
 * called in the first case only, later.
 */
ngx_int_t ngx_http_media_job_publish(ngx_http_request_t *r, ngx_str_t *queue,
    ngx_str_t *body, ngx_http_media_job_handler_pt handler);

extern ngx_str_t  ngx_http_media_job_send;
extern ngx_str_t  ngx_http_media_job_upload;

#endif
