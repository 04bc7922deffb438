
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static void ngx_http_media_store_job_detach(void *data);
static void ngx_http_media_store_job_release(void *data);
static void ngx_http_media_store_job_free(ngx_http_media_store_job_t *job);
static void ngx_http_media_store_job_thread(void *data, ngx_log_t *log);
static void ngx_http_media_store_job_event(ngx_event_t *ev);


/*
 * The job has memory of its own, because work() may still run when the
 * request is gone: the request's end detaches it, and whichever comes last
 * of the request's pool and work() frees it.
 */

ngx_http_media_store_job_t *
ngx_http_media_store_job_create(ngx_http_request_t *r,
    ngx_http_media_store_loc_conf_t *conf)
{
    ngx_pool_t                  *pool;
    ngx_pool_cleanup_t          *pcln;
    ngx_http_cleanup_t          *cln;
    ngx_http_media_store_job_t  *job;

    cln = ngx_http_cleanup_add(r, 0);
    pcln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL || pcln == NULL) {
        return NULL;
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    job = ngx_pcalloc(pool, sizeof(ngx_http_media_store_job_t));
    if (job == NULL
        || ngx_array_init(&job->args, pool, 4, sizeof(ngx_keyval_t))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     job->error = NGX_HTTP_MEDIA_STORE_OK;
     *     job->upload = NULL;
     *     job->temp.len = 0;
     */

    job->request = r;
    job->pool = pool;
    job->conf = conf;
    job->status = NGX_HTTP_OK;
    job->text.pool = pool;
    job->fd = NGX_INVALID_FILE;
    job->object.fd = NGX_INVALID_FILE;
    job->source.fd = NGX_INVALID_FILE;
    job->source_modified = -1;
    job->source_unmodified = -1;

    cln->handler = ngx_http_media_store_job_detach;
    cln->data = job;

    pcln->handler = ngx_http_media_store_job_release;
    pcln->data = job;

    return job;
}


static void
ngx_http_media_store_job_detach(void *data)
{
    ngx_http_media_store_job_t  *job = data;

    job->request = NULL;
}


static void
ngx_http_media_store_job_release(void *data)
{
    ngx_http_media_store_job_t  *job = data;

    if (job->running) {
        job->orphan = 1;
        return;
    }

    ngx_http_media_store_job_free(job);
}


static void
ngx_http_media_store_job_free(ngx_http_media_store_job_t *job)
{
    ngx_http_media_store_temp_discard(job);
    ngx_http_media_store_file_close(&job->object);
    ngx_http_media_store_file_close(&job->source);

    if (job->upload != NULL) {
        ngx_http_media_store_body_free(job->upload);
    }

    ngx_destroy_pool(job->pool);
}


ngx_int_t
ngx_http_media_store_job_post(ngx_http_media_store_job_t *job)
{
#if (NGX_THREADS)

    if (job->task == NULL) {
        job->task = ngx_thread_task_alloc(job->pool, 0);
        if (job->task == NULL) {
            return NGX_BUSY;
        }

        job->task->ctx = job;
        job->task->handler = ngx_http_media_store_job_thread;
        job->task->event.handler = ngx_http_media_store_job_event;
        job->task->event.data = job;
    }

    job->running = 1;

    if (ngx_thread_task_post(job->conf->thread_pool, job->task) != NGX_OK) {
        job->running = 0;
        return NGX_BUSY;
    }

#else

    job->event.handler = ngx_http_media_store_job_event;
    job->event.data = job;
    job->event.log = ngx_cycle->log;
    job->running = 1;

    ngx_http_media_store_job_thread(job, ngx_cycle->log);

    ngx_post_event(&job->event, &ngx_posted_events);

#endif

    return NGX_OK;
}


static void
ngx_http_media_store_job_thread(void *data, ngx_log_t *log)
{
    ngx_http_media_store_job_t  *job = data;

    job->work(job);
}


static void
ngx_http_media_store_job_event(ngx_event_t *ev)
{
    ngx_connection_t            *c;
    ngx_http_request_t          *r;
    ngx_http_media_store_job_t  *job;

    job = ev->data;
    job->running = 0;

    if (job->orphan) {
        ngx_http_media_store_job_free(job);
        return;
    }

    r = job->request;

    if (r == NULL) {
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (job->call != NULL) {
        ngx_log_error(NGX_LOG_ERR, c->log, job->err,
                      "media store \"%V\": %s failed",
                      &job->conf->path, job->call);
        job->call = NULL;
    }

    job->done(job);

    ngx_http_run_posted_requests(c);
}


void
ngx_http_media_store_job_failed(ngx_http_media_store_job_t *job,
    const char *call)
{
    job->err = ngx_errno;
    job->call = call;
    job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
}


ngx_int_t
ngx_http_media_store_start(ngx_http_media_store_job_t *job)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = job->request;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_media_store_job_post(job) != NGX_OK) {
        return ngx_http_media_store_send_error(r,
                                             NGX_HTTP_MEDIA_STORE_SLOW_DOWN);
    }

    r->main->count++;

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


void
ngx_http_media_store_finish(ngx_http_media_store_job_t *job)
{
    ngx_int_t            rc;
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = job->request;

    if (job->error != NGX_HTTP_MEDIA_STORE_OK) {
        ngx_http_finalize_request(r, ngx_http_media_store_send_error(r,
                                                                 job->error));
        return;
    }

    if (job->etag.len) {
        value.data = ngx_pnalloc(r->pool, job->etag.len + 2);
        if (value.data == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        value.len = ngx_sprintf(value.data, "\"%V\"", &job->etag)
                    - value.data;

        if (ngx_media_add_header(r, "ETag", &value) == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    if (job->text.failed) {
        rc = ngx_http_media_store_send_error(r, NGX_HTTP_MEDIA_STORE_INTERNAL);

    } else {
        value.data = job->text.start;
        value.len = job->text.last - job->text.start;

        rc = ngx_http_media_store_send_text(r, job->status, &value);
    }

    ngx_http_finalize_request(r, rc);
}


ngx_uint_t
ngx_http_media_store_arg(ngx_http_media_store_job_t *job, const char *name,
    ngx_str_t *value)
{
    size_t         len;
    ngx_uint_t     i;
    ngx_keyval_t  *args;

    len = ngx_strlen(name);
    args = job->args.elts;

    for (i = 0; i < job->args.nelts; i++) {
        if (args[i].key.len == len
            && ngx_memcmp(args[i].key.data, name, len) == 0)
        {
            if (value != NULL) {
                *value = args[i].value;
            }

            return 1;
        }
    }

    return 0;
}
