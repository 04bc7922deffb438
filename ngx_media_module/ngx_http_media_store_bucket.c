
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <dirent.h>

#include "ngx_http_media.h"


static void ngx_http_media_store_service_work(
    ngx_http_media_store_job_t *job);
static void ngx_http_media_store_location_work(
    ngx_http_media_store_job_t *job);
static void ngx_http_media_store_create_work(ngx_http_media_store_job_t *job);
static void ngx_http_media_store_remove_work(ngx_http_media_store_job_t *job);
static void ngx_http_media_store_delete_many_work(
    ngx_http_media_store_job_t *job);
static ngx_http_media_store_error_e ngx_http_media_store_delete_one(
    ngx_http_media_store_job_t *job, ngx_str_t *object, ngx_str_t *key);


#define NGX_HTTP_MEDIA_STORE_NS                                               \
    " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""


ngx_int_t
ngx_http_media_store_service(ngx_http_media_store_job_t *job)
{
    job->work = ngx_http_media_store_service_work;
    job->done = ngx_http_media_store_finish;

    return ngx_http_media_store_start(job);
}


static void
ngx_http_media_store_service_work(ngx_http_media_store_job_t *job)
{
    DIR            *dir;
    ngx_str_t       name, root;
    struct stat     st;
    struct dirent  *entry;

    if (ngx_http_media_store_root_path(job, "", &root) != NGX_OK) {
        ngx_http_media_store_job_failed(job, "malloc()");
        return;
    }

    dir = opendir((char *) root.data);
    if (dir == NULL) {
        ngx_http_media_store_job_failed(job, "opendir()");
        return;
    }

    ngx_http_media_store_puts(&job->text,
                              "<ListAllMyBucketsResult"
                              NGX_HTTP_MEDIA_STORE_NS "><Owner><ID>media</ID>"
                              "<DisplayName>media</DisplayName></Owner>"
                              "<Buckets>");

    while ((entry = readdir(dir)) != NULL) {

        name.data = (u_char *) entry->d_name;
        name.len = ngx_strlen(entry->d_name);

        if (!ngx_http_media_store_bucket_valid(&name)
            || fstatat(dirfd(dir), entry->d_name, &st, 0) == -1
            || !S_ISDIR(st.st_mode))
        {
            continue;
        }

        ngx_http_media_store_puts(&job->text, "<Bucket>");
        ngx_http_media_store_xml(&job->text, "Name", &name);
        ngx_http_media_store_xml_time(&job->text, "CreationDate",
                                      st.st_mtime);
        ngx_http_media_store_puts(&job->text, "</Bucket>");
    }

    (void) closedir(dir);

    ngx_http_media_store_puts(&job->text,
                              "</Buckets></ListAllMyBucketsResult>\n");
}


ngx_int_t
ngx_http_media_store_bucket(ngx_http_media_store_job_t *job)
{
    job->done = ngx_http_media_store_finish;

    switch (job->request->method) {

    case NGX_HTTP_PUT:
        job->upload->in_memory = 1;
        job->finish = ngx_http_media_store_create_work;
        return ngx_http_media_store_body_read(job);

    case NGX_HTTP_DELETE:
        job->work = ngx_http_media_store_remove_work;
        job->status = NGX_HTTP_NO_CONTENT;
        break;

    default:
        job->work = ngx_http_media_store_location_work;
    }

    return ngx_http_media_store_start(job);
}


static void
ngx_http_media_store_location_work(ngx_http_media_store_job_t *job)
{
    ngx_str_t                     *region;
    ngx_http_media_store_text_t   *t;

    if (access((char *) job->bucket_path.data, F_OK) == -1) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_BUCKET;
        return;
    }

    t = &job->text;

    if (ngx_http_media_store_arg(job, "versioning", NULL)) {
        ngx_http_media_store_puts(t, "<VersioningConfiguration"
                                     NGX_HTTP_MEDIA_STORE_NS "/>\n");

    } else if (ngx_http_media_store_arg(job, "location", NULL)) {
        region = &job->conf->region;

        ngx_http_media_store_puts(t, "<LocationConstraint"
                                     NGX_HTTP_MEDIA_STORE_NS ">");

        /* S3's first region has no name here */

        if (region->len != 9
            || ngx_strncmp(region->data, "us-east-1", 9) != 0)
        {
            ngx_http_media_store_text(t, region->data, region->len);
        }

        ngx_http_media_store_puts(t, "</LocationConstraint>\n");
    }
}


static void
ngx_http_media_store_create_work(ngx_http_media_store_job_t *job)
{
    job->text.last = job->text.start;
    job->etag.len = 0;

    if (mkdir((char *) job->bucket_path.data, 0700) == -1) {

        if (ngx_errno == NGX_EEXIST) {
            job->error = NGX_HTTP_MEDIA_STORE_BUCKET_EXISTS;
            return;
        }

        ngx_http_media_store_job_failed(job, "mkdir()");
        return;
    }

    if (ngx_http_media_store_sync_parent(job->bucket_path.data) != NGX_OK) {
        ngx_http_media_store_job_failed(job, "fsync()");
    }
}


static void
ngx_http_media_store_remove_work(ngx_http_media_store_job_t *job)
{
    if (rmdir((char *) job->bucket_path.data) == 0) {
        return;
    }

    switch (ngx_errno) {

    case NGX_ENOENT:
        job->error = NGX_HTTP_MEDIA_STORE_NO_BUCKET;
        return;

    case ENOTEMPTY:
    case NGX_EEXIST:
        job->error = NGX_HTTP_MEDIA_STORE_BUCKET_NOT_EMPTY;
        return;

    default:
        ngx_http_media_store_job_failed(job, "rmdir()");
    }
}


ngx_int_t
ngx_http_media_store_delete_many(ngx_http_media_store_job_t *job)
{
    job->upload->in_memory = 1;
    job->finish = ngx_http_media_store_delete_many_work;

    return ngx_http_media_store_body_read(job);
}


static void
ngx_http_media_store_delete_many_work(ngx_http_media_store_job_t *job)
{
    ngx_int_t                      rc;
    ngx_str_t                      in, object, key, quiet, s;
    ngx_uint_t                     n, verbose;
    ngx_http_media_store_text_t   *t;
    ngx_http_media_store_error_e   error;

    t = &job->text;

    if (t->failed) {
        return;
    }

    in.data = t->start;
    in.len = t->last - t->start;

    ngx_memzero(t, sizeof(ngx_http_media_store_text_t));
    t->pool = job->pool;
    job->etag.len = 0;

    if (access((char *) job->bucket_path.data, F_OK) == -1) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_BUCKET;
        return;
    }

    s = in;
    verbose = !(ngx_http_media_store_xml_next(&s, "Quiet", &quiet) == NGX_OK
                && quiet.len == 4 && ngx_strncmp(quiet.data, "true", 4) == 0);

    ngx_http_media_store_puts(t, "<DeleteResult" NGX_HTTP_MEDIA_STORE_NS ">");

    for (n = 0; /* void */ ; n++) {

        rc = ngx_http_media_store_xml_next(&in, "Object", &object);

        if (rc == NGX_DECLINED && n) {
            break;
        }

        if (rc != NGX_OK || n == NGX_HTTP_MEDIA_STORE_LIST_MAX) {
            job->error = NGX_HTTP_MEDIA_STORE_MALFORMED_XML;
            return;
        }

        error = ngx_http_media_store_delete_one(job, &object, &key);

        if (error == NGX_HTTP_MEDIA_STORE_MALFORMED_XML) {
            job->error = error;
            return;
        }

        if (error == NGX_HTTP_MEDIA_STORE_OK && verbose) {
            ngx_http_media_store_puts(t, "<Deleted>");
            ngx_http_media_store_xml(t, "Key", &key);
            ngx_http_media_store_puts(t, "</Deleted>");
        }

        if (error != NGX_HTTP_MEDIA_STORE_OK) {
            s.data = (u_char *) ngx_http_media_store_error_code(error);
            s.len = ngx_strlen(s.data);

            ngx_http_media_store_puts(t, "<Error>");
            ngx_http_media_store_xml(t, "Key", &key);
            ngx_http_media_store_xml(t, "Code", &s);
            ngx_http_media_store_puts(t, "</Error>");
        }
    }

    ngx_http_media_store_puts(t, "</DeleteResult>\n");
}


static ngx_http_media_store_error_e
ngx_http_media_store_delete_one(ngx_http_media_store_job_t *job,
    ngx_str_t *object, ngx_str_t *key)
{
    ngx_str_t                     path;
    ngx_http_media_store_error_e  error;

    if (ngx_http_media_store_xml_next(object, "Key", key) != NGX_OK
        || ngx_http_media_store_xml_unescape(key) != NGX_OK)
    {
        return NGX_HTTP_MEDIA_STORE_MALFORMED_XML;
    }

    error = ngx_http_media_store_key_check(key);

    if (error != NGX_HTTP_MEDIA_STORE_OK) {
        return error;
    }

    if (ngx_http_media_store_key_path(job->pool, &job->bucket_path, key,
                                      &path, NULL)
        != NGX_OK
        || ngx_http_media_store_unlink(&job->bucket_path, &path) == NGX_ERROR)
    {
        return NGX_HTTP_MEDIA_STORE_INTERNAL;
    }

    return NGX_HTTP_MEDIA_STORE_OK;
}
