
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"

#include "media_form.h"
#include "media_post_policy.h"


/* https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html */

#define NGX_HTTP_MEDIA_STORE_POST_FIELDS  20480     /* bytes before the file */
#define NGX_HTTP_MEDIA_STORE_POST_PARTS   (MEDIA_POST_POLICY_FIELDS + 16)


struct ngx_http_media_store_post_s {
    media_form_t                     form;
    media_sigv4_header_t             fields[MEDIA_POST_POLICY_FIELDS];
    size_t                           nfields;
    char                            *last;  /* of what is used of text */
    char                             text[NGX_HTTP_MEDIA_STORE_POST_FIELDS];
    int64_t                          min;   /* bytes of the file */
    int64_t                          max;   /* -1: any */
    ngx_str_t                        base;  /* "http://host/" */
    unsigned                         file:1;        /* its part began */
    unsigned                         ignored:1;     /* this part is */
};


static ngx_int_t ngx_http_media_store_post_init(
    ngx_http_media_store_job_t *job, ngx_http_request_t *r);
static int ngx_http_media_store_post_begin(void *data,
    const media_form_part_t *part);
static int ngx_http_media_store_post_piece(void *data, const char *p,
    size_t len);
static int ngx_http_media_store_post_end(void *data);
static int ngx_http_media_store_post_failed(ngx_http_media_store_job_t *job,
    ngx_http_media_store_error_e error);
static ngx_int_t ngx_http_media_store_post_keep(
    ngx_http_media_store_job_t *job, const char *p, size_t len);
static ngx_http_media_store_error_e ngx_http_media_store_post_file(
    ngx_http_media_store_job_t *job, media_str_t file_name);
static media_sigv4_header_t *ngx_http_media_store_post_field(
    ngx_http_media_store_post_t *post, const char *name);
static ngx_int_t ngx_http_media_store_post_expand(
    ngx_http_media_store_job_t *job, media_str_t *key, media_str_t name);
static ngx_http_media_store_error_e ngx_http_media_store_post_verify(
    ngx_http_media_store_job_t *job);
static ngx_http_media_store_error_e ngx_http_media_store_post_headers(
    ngx_http_media_store_job_t *job);
static ngx_http_media_store_error_e ngx_http_media_store_post_status(
    ngx_http_media_store_job_t *job);
static void ngx_http_media_store_post_work(ngx_http_media_store_job_t *job);


static media_form_handler_t  ngx_http_media_store_post_handler = {
    ngx_http_media_store_post_begin,
    ngx_http_media_store_post_piece,
    ngx_http_media_store_post_end
};


/* a form brings its signature in a field */

ngx_uint_t
ngx_http_media_store_post_form(ngx_http_request_t *r)
{
    media_str_t  type;

    if (r->method != NGX_HTTP_POST || r->headers_in.content_type == NULL
        || r->headers_in.authorization != NULL || r->args.len)
    {
        return 0;
    }

    media_str_set(&type, (char *) r->headers_in.content_type->value.data,
                  r->headers_in.content_type->value.len);

    return media_form_type(type);
}


ngx_int_t
ngx_http_media_store_post(ngx_http_media_store_job_t *job)
{
    ngx_http_request_t  *r;

    r = job->request;

    if (job->bucket.len == 0 || job->key.len) {
        job->error = NGX_HTTP_MEDIA_STORE_METHOD;

    } else if (ngx_http_media_store_post_init(job, r) == NGX_OK) {
        job->finish = ngx_http_media_store_post_work;
        return ngx_http_media_store_body_read(job);
    }

    (void) ngx_http_discard_request_body(r);

    return ngx_http_media_store_send_error(r, job->error);
}


static ngx_int_t
ngx_http_media_store_post_init(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r)
{
    ngx_str_t                    *type, scheme, host;
    media_str_t                   value;
    media_form_limits_t           limits;
    ngx_http_media_store_post_t  *post;

    if (ngx_http_media_store_body_create(job, r) != NGX_OK) {
        return NGX_ERROR;
    }

    post = ngx_pcalloc(job->pool, sizeof(ngx_http_media_store_post_t));
    if (post == NULL) {
        job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
        return NGX_ERROR;
    }

    job->upload->post = post;
    post->last = post->text;

    type = &r->headers_in.content_type->value;
    media_str_set(&value, (char *) type->data, type->len);

    limits.parts = NGX_HTTP_MEDIA_STORE_POST_PARTS;
    limits.field = NGX_MAX_SIZE_T_VALUE;

    if (media_form_init(&post->form, value, &limits,
                        &ngx_http_media_store_post_handler, job)
        != MEDIA_OK)
    {
        job->error = NGX_HTTP_MEDIA_STORE_MALFORMED_POST;
        return NGX_ERROR;
    }

    ngx_str_set(&scheme, "http");

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        ngx_str_set(&scheme, "https");
    }
#endif

    host = r->headers_in.server;

    if (r->headers_in.host != NULL) {
        host = r->headers_in.host->value;
    }

    post->base.data = ngx_pnalloc(job->pool, scheme.len + host.len
                                             + sizeof(":///") - 1);
    if (post->base.data == NULL) {
        job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
        return NGX_ERROR;
    }

    post->base.len = ngx_sprintf(post->base.data, "%V://%V/", &scheme, &host)
                     - post->base.data;

    return NGX_OK;
}


void
ngx_http_media_store_post_data(ngx_http_media_store_job_t *job)
{
    int                           rc;
    ngx_http_media_store_post_t  *post;

    post = job->upload->post;

    rc = media_form_feed(&post->form, (char *) job->buffer, job->buffered);

    if (rc == MEDIA_OK && job->last) {
        rc = media_form_finish(&post->form);
    }

    if (job->error != NGX_HTTP_MEDIA_STORE_OK) {
        return;
    }

    if (rc != MEDIA_OK) {
        job->error = NGX_HTTP_MEDIA_STORE_MALFORMED_POST;
        return;
    }

    if (!job->last) {
        return;
    }

    if (!post->file) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_FILE;

    } else if (job->upload->size < post->min) {
        job->error = NGX_HTTP_MEDIA_STORE_TOO_SMALL;
    }

    job->upload->declared = job->upload->size;
}


/* what comes after the file is ignored */

static int
ngx_http_media_store_post_begin(void *data, const media_form_part_t *part)
{
    ngx_http_media_store_job_t   *job;
    media_sigv4_header_t         *field;
    ngx_http_media_store_post_t  *post;
    ngx_http_media_store_error_e  error;

    job = data;
    post = job->upload->post;

    if (post->file) {
        post->ignored = 1;
        return MEDIA_OK;
    }

    if (part->name.len == 4
        && ngx_strncasecmp((u_char *) part->name.data, (u_char *) "file", 4)
           == 0)
    {
        post->file = 1;
        error = ngx_http_media_store_post_file(job, part->file_name);

        return error == NGX_HTTP_MEDIA_STORE_OK
               ? MEDIA_OK : ngx_http_media_store_post_failed(job, error);
    }

    if (post->nfields == MEDIA_POST_POLICY_FIELDS) {
        return ngx_http_media_store_post_failed(job,
                                     NGX_HTTP_MEDIA_STORE_POST_TOO_LARGE);
    }

    field = &post->fields[post->nfields++];
    field->name.data = post->last;
    field->name.len = part->name.len;

    if (ngx_http_media_store_post_keep(job, part->name.data, part->name.len)
        != NGX_OK)
    {
        return MEDIA_DENIED;
    }

    media_str_set(&field->value, post->last, 0);

    return MEDIA_OK;
}


static int
ngx_http_media_store_post_piece(void *data, const char *p, size_t len)
{
    ngx_http_media_store_job_t   *job;
    ngx_http_media_store_post_t  *post;

    job = data;
    post = job->upload->post;

    if (post->ignored) {
        return MEDIA_OK;
    }

    if (!post->file) {
        post->fields[post->nfields - 1].value.len += len;

        return ngx_http_media_store_post_keep(job, p, len) == NGX_OK
               ? MEDIA_OK : MEDIA_DENIED;
    }

    if (post->max != -1
        && (int64_t) len > post->max - (int64_t) job->upload->size)
    {
        return ngx_http_media_store_post_failed(job,
                                              NGX_HTTP_MEDIA_STORE_TOO_LARGE);
    }

    ngx_http_media_store_body_data(job, (u_char *) p, len);

    return job->error == NGX_HTTP_MEDIA_STORE_OK ? MEDIA_OK : MEDIA_DENIED;
}


static int
ngx_http_media_store_post_end(void *data)
{
    ngx_http_media_store_job_t  *job;

    job = data;
    job->upload->post->ignored = job->upload->post->file;

    return MEDIA_OK;
}


static int
ngx_http_media_store_post_failed(ngx_http_media_store_job_t *job,
    ngx_http_media_store_error_e error)
{
    job->error = error;

    return MEDIA_DENIED;
}


static ngx_int_t
ngx_http_media_store_post_keep(ngx_http_media_store_job_t *job,
    const char *p, size_t len)
{
    ngx_http_media_store_post_t  *post;

    post = job->upload->post;

    if (len > (size_t) (post->text + sizeof(post->text) - post->last)) {
        job->error = NGX_HTTP_MEDIA_STORE_POST_TOO_LARGE;
        return NGX_ERROR;
    }

    post->last = (char *) ngx_cpymem(post->last, p, len);

    return NGX_OK;
}


/* all that is needed to take the file has come */

static ngx_http_media_store_error_e
ngx_http_media_store_post_file(ngx_http_media_store_job_t *job,
    media_str_t file_name)
{
    media_sigv4_header_t          *field;
    ngx_http_media_store_error_e   error;

    field = ngx_http_media_store_post_field(job->upload->post, "key");

    if (field == NULL || field->value.len == 0) {
        return NGX_HTTP_MEDIA_STORE_NO_POST_KEY;
    }

    if (ngx_http_media_store_post_expand(job, &field->value, file_name)
        != NGX_OK)
    {
        return NGX_HTTP_MEDIA_STORE_INTERNAL;
    }

    error = ngx_http_media_store_post_verify(job);

    if (error != NGX_HTTP_MEDIA_STORE_OK) {
        return error;
    }

    job->key.data = (u_char *) field->value.data;
    job->key.len = field->value.len;

    error = ngx_http_media_store_key_check(&job->key);

    if (error == NGX_HTTP_MEDIA_STORE_OK) {
        error = ngx_http_media_store_post_headers(job);
    }

    if (error == NGX_HTTP_MEDIA_STORE_OK) {
        error = ngx_http_media_store_post_status(job);
    }

    if (error != NGX_HTTP_MEDIA_STORE_OK) {
        return error;
    }

    if (ngx_http_media_store_key_path(job->pool, &job->bucket_path, &job->key,
                                      &job->path, NULL)
        != NGX_OK)
    {
        return NGX_HTTP_MEDIA_STORE_INTERNAL;
    }

    (void) ngx_http_media_store_body_open(job);

    return job->error;
}


static media_sigv4_header_t *
ngx_http_media_store_post_field(ngx_http_media_store_post_t *post,
    const char *name)
{
    size_t  i, len;

    len = ngx_strlen(name);

    for (i = 0; i < post->nfields; i++) {
        if (post->fields[i].name.len == len
            && ngx_strncasecmp((u_char *) post->fields[i].name.data,
                               (u_char *) name, len)
               == 0)
        {
            return &post->fields[i];
        }
    }

    return NULL;
}


/* the first ${filename} of a key is the name of the user's file */

static ngx_int_t
ngx_http_media_store_post_expand(ngx_http_media_store_job_t *job,
    media_str_t *key, media_str_t name)
{
    size_t   len;
    u_char  *p, *start;

    len = sizeof("${filename}") - 1;

    p = ngx_pnalloc(job->pool, key->len + name.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(p, (u_char *) key->data, key->len + 1);

    start = ngx_strlen(p) == key->len
            ? (u_char *) ngx_strstr(p, "${filename}") : NULL;

    if (start == NULL) {
        return NGX_OK;
    }

    ngx_memmove(start + name.len, start + len, p + key->len - start - len);
    ngx_memcpy(start, name.data, name.len);

    media_str_set(key, (char *) p, key->len + name.len - len);

    return NGX_OK;
}


static ngx_http_media_store_error_e
ngx_http_media_store_post_verify(ngx_http_media_store_job_t *job)
{
    int                           rc;
    media_str_t                   bucket;
    media_sigv4_cred_t            cred;
    ngx_http_media_store_post_t  *post;

    post = job->upload->post;

    ngx_http_media_store_cred(job->conf, &cred);
    media_str_set(&bucket, (char *) job->bucket.data, job->bucket.len);

    rc = media_post_policy_verify(&cred, bucket, post->fields, post->nfields,
                                  time(NULL), &post->min, &post->max);

    ngx_explicit_memzero(cred.key, sizeof(cred.key));

    switch (rc) {

    case MEDIA_OK:
        return NGX_HTTP_MEDIA_STORE_OK;

    case MEDIA_POST_POLICY_DENIED:
        return NGX_HTTP_MEDIA_STORE_POLICY_FAILED;

    case MEDIA_SIGV4_EXPIRED:
        return NGX_HTTP_MEDIA_STORE_POLICY_EXPIRED;

    case MEDIA_SIGV4_MALFORMED:
        return NGX_HTTP_MEDIA_STORE_BAD_POLICY;

    default:
        return ngx_http_media_store_sigv4_error(rc);
    }
}


/* the headers that the object keeps */

static ngx_http_media_store_error_e
ngx_http_media_store_post_headers(ngx_http_media_store_job_t *job)
{
    size_t                        i, n;
    ngx_str_t                     name;
    media_sigv4_header_t         *field;
    ngx_http_media_store_post_t  *post;
    ngx_http_media_store_text_t   t;

    ngx_memzero(&t, sizeof(ngx_http_media_store_text_t));
    t.pool = job->pool;
    post = job->upload->post;

    for (i = 0; i < post->nfields; i++) {
        field = &post->fields[i];
        name.data = (u_char *) field->name.data;
        name.len = field->name.len;

        if (!ngx_http_media_store_kept(&name)) {
            continue;
        }

        for (n = 0; n < field->value.len; n++) {
            if ((u_char) field->value.data[n] < 0x20
                || field->value.data[n] == 0x7f)
            {
                return NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
            }
        }

        for (n = 0; n < name.len; n++) {
            if (name.data[n] <= 0x20 || name.data[n] == ':'
                || name.data[n] >= 0x7f)
            {
                return NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
            }
        }

        ngx_http_media_store_text(&t, name.data, name.len);
        ngx_http_media_store_puts(&t, ": ");
        ngx_http_media_store_text(&t, field->value.data, field->value.len);
        ngx_http_media_store_puts(&t, "\n");
    }

    job->lines.data = t.start;
    job->lines.len = t.last - t.start;

    if (t.failed) {
        return NGX_HTTP_MEDIA_STORE_INTERNAL;
    }

    return job->lines.len > NGX_HTTP_MEDIA_STORE_META_MAX
           ? NGX_HTTP_MEDIA_STORE_META_TOO_LARGE : NGX_HTTP_MEDIA_STORE_OK;
}


/* 200, 201 or 204, which any other value means as well */

static ngx_http_media_store_error_e
ngx_http_media_store_post_status(ngx_http_media_store_job_t *job)
{
    media_sigv4_header_t         *field;
    ngx_http_media_store_post_t  *post;

    post = job->upload->post;

    if (ngx_http_media_store_post_field(post, "success_action_redirect")
        != NULL)
    {
        return NGX_HTTP_MEDIA_STORE_NOT_IMPLEMENTED;
    }

    job->status = NGX_HTTP_NO_CONTENT;

    field = ngx_http_media_store_post_field(post, "success_action_status");

    if (field != NULL && field->value.len == 3) {

        if (ngx_strncmp(field->value.data, "200", 3) == 0) {
            job->status = NGX_HTTP_OK;

        } else if (ngx_strncmp(field->value.data, "201", 3) == 0) {
            job->status = NGX_HTTP_CREATED;
        }
    }

    return NGX_HTTP_MEDIA_STORE_OK;
}


static void
ngx_http_media_store_post_work(ngx_http_media_store_job_t *job)
{
    u_char                       *p;
    ssize_t                       n;
    ngx_str_t                     location, etag;
    ngx_http_media_store_post_t  *post;

    post = job->upload->post;

    ngx_http_media_store_put_work(job);

    if (job->error != NGX_HTTP_MEDIA_STORE_OK
        || job->status != NGX_HTTP_CREATED)
    {
        return;
    }

    location.data = ngx_pnalloc(job->pool, post->base.len + job->bucket.len
                                           + 3 * job->key.len + 2);
    etag.data = ngx_pnalloc(job->pool, job->etag.len + 2);

    if (location.data == NULL || etag.data == NULL) {
        job->text.failed = 1;
        return;
    }

    p = ngx_sprintf(location.data, "%V%V/", &post->base, &job->bucket);
    n = media_uri_encode((char *) p, 3 * job->key.len + 1,
                         (char *) job->key.data, job->key.len, 1);
    location.len = p + n - location.data;
    etag.len = ngx_sprintf(etag.data, "\"%V\"", &job->etag) - etag.data;

    ngx_http_media_store_puts(&job->text, "<PostResponse>");
    ngx_http_media_store_xml(&job->text, "Location", &location);
    ngx_http_media_store_xml(&job->text, "Bucket", &job->bucket);
    ngx_http_media_store_xml(&job->text, "Key", &job->key);
    ngx_http_media_store_xml(&job->text, "ETag", &etag);
    ngx_http_media_store_puts(&job->text, "</PostResponse>\n");
}
