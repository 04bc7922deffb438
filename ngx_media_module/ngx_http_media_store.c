
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_STORE_HEADERS_MAX  256   /* of a request */
#define NGX_HTTP_MEDIA_STORE_SECRET_MAX   1024  /* bytes of a secret's file */


static ngx_int_t ngx_http_media_store_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_store_add_id(ngx_http_request_t *r);
static ngx_http_media_store_error_e ngx_http_media_store_verify(
    ngx_http_request_t *r, ngx_http_media_store_loc_conf_t *slcf,
    media_sigv4_cred_t *cred);
static ngx_int_t ngx_http_media_store_collect(ngx_http_request_t *r,
    media_sigv4_request_t *req);
static void ngx_http_media_store_split_uri(ngx_http_request_t *r,
    ngx_str_t *path, ngx_str_t *query);
static ngx_http_media_store_error_e ngx_http_media_store_parse(
    ngx_http_media_store_job_t *job, ngx_str_t *path, ngx_str_t *query);
static ngx_int_t ngx_http_media_store_parse_args(
    ngx_http_media_store_job_t *job, ngx_str_t *query);
static ngx_int_t ngx_http_media_store_decode(ngx_pool_t *pool,
    ngx_str_t *dst, u_char *p, size_t len, ngx_uint_t plus);
static ngx_int_t ngx_http_media_store_route(ngx_http_media_store_job_t *job,
    media_sigv4_cred_t *cred);
static ngx_int_t ngx_http_media_store_route_bucket(
    ngx_http_media_store_job_t *job);
static ngx_int_t ngx_http_media_store_route_object(
    ngx_http_media_store_job_t *job);
static ngx_uint_t ngx_http_media_store_subresource(
    ngx_http_media_store_job_t *job);
static char *ngx_http_media_store_read_secret(ngx_conf_t *cf,
    ngx_str_t *value, ngx_str_t *file, const char *name);


/* what S3 has beside the object or bucket, and the store has not */

static const char  *ngx_http_media_store_subresources[] = {
    "accelerate", "acl", "analytics", "attributes", "cors", "encryption",
    "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "logging",
    "metrics", "notification", "object-lock", "ownershipControls", "policy",
    "policyStatus", "publicAccessBlock", "replication", "requestPayment",
    "restore", "retention", "select", "tagging", "torrent", "versionId",
    "versions", "website", NULL
};


static ngx_int_t
ngx_http_media_store_handler(ngx_http_request_t *r)
{
    ngx_str_t                         path, query;
    media_sigv4_cred_t                cred;
    ngx_http_media_loc_conf_t        *lcf;
    ngx_http_media_store_job_t       *job;
    ngx_http_media_store_error_e      error;

    if (ngx_http_media_store_add_id(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* error_page leads here with what nginx refused by itself */

    if (r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        r->err_status = 0;
        return ngx_http_media_store_send_error(r,
                                              NGX_HTTP_MEDIA_STORE_TOO_LARGE);
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    error = NGX_HTTP_MEDIA_STORE_OK;

    if (!ngx_http_media_store_post_form(r)) {
        error = ngx_http_media_store_verify(r, &lcf->store, &cred);
    }

    if (error != NGX_HTTP_MEDIA_STORE_OK) {
        (void) ngx_http_discard_request_body(r);
        return ngx_http_media_store_send_error(r, error);
    }

    job = ngx_http_media_store_job_create(r, &lcf->store);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_media_store_split_uri(r, &path, &query);

    job->error = ngx_http_media_store_parse(job, &path, &query);

    if (job->error != NGX_HTTP_MEDIA_STORE_OK) {
        (void) ngx_http_discard_request_body(r);
        return ngx_http_media_store_send_error(r, job->error);
    }

    if (ngx_http_media_store_post_form(r)) {
        return ngx_http_media_store_post(job);
    }

    return ngx_http_media_store_route(job, &cred);
}


static ngx_int_t
ngx_http_media_store_add_id(ngx_http_request_t *r)
{
    ngx_str_t  id;

    ngx_http_media_store_request_id(r, &id);

    return ngx_media_add_header(r, "x-amz-request-id", &id) != NULL
           ? NGX_OK : NGX_ERROR;
}


/* the log's $request_id: an indexed variable keeps its value */

void
ngx_http_media_store_request_id(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_http_media_loc_conf_t  *lcf;
    ngx_http_variable_value_t  *vv;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    vv = ngx_http_get_indexed_variable(r, lcf->store.request_id);

    if (vv == NULL || vv->not_found) {
        ngx_str_null(id);
        return;
    }

    id->data = vv->data;
    id->len = vv->len;
}


static ngx_http_media_store_error_e
ngx_http_media_store_verify(ngx_http_request_t *r,
    ngx_http_media_store_loc_conf_t *slcf, media_sigv4_cred_t *cred)
{
    int                    rc;
    ngx_str_t              path, query;
    media_sigv4_request_t  req;

    ngx_memzero(&req, sizeof(media_sigv4_request_t));

    ngx_http_media_store_cred(slcf, cred);
    ngx_http_media_store_split_uri(r, &path, &query);

    media_str_set(&req.method, (char *) r->method_name.data,
                  r->method_name.len);
    media_str_set(&req.path, (char *) path.data, path.len);
    media_str_set(&req.query, (char *) query.data, query.len);

    if (ngx_http_media_store_collect(r, &req) != NGX_OK) {
        return NGX_HTTP_MEDIA_STORE_INVALID_REQUEST;
    }

    rc = media_sigv4_verify(cred, &req, ngx_time());

    if (rc == MEDIA_SIGV4_MALFORMED) {
        return ngx_http_media_get_header(r, "authorization") != NULL
               ? NGX_HTTP_MEDIA_STORE_AUTH_MALFORMED
               : NGX_HTTP_MEDIA_STORE_AUTH_QUERY;
    }

    return ngx_http_media_store_sigv4_error(rc);
}


void
ngx_http_media_store_cred(ngx_http_media_store_loc_conf_t *slcf,
    media_sigv4_cred_t *cred)
{
    ngx_memzero(cred, sizeof(media_sigv4_cred_t));

    media_str_set(&cred->access_key, (char *) slcf->access_key.data,
                  slcf->access_key.len);
    media_str_set(&cred->secret_key, (char *) slcf->secret_key.data,
                  slcf->secret_key.len);
    media_str_set(&cred->region, (char *) slcf->region.data,
                  slcf->region.len);
}


ngx_http_media_store_error_e
ngx_http_media_store_sigv4_error(int rc)
{
    switch (rc) {

    case MEDIA_OK:
        return NGX_HTTP_MEDIA_STORE_OK;

    case MEDIA_SIGV4_MISSING:
        return NGX_HTTP_MEDIA_STORE_ACCESS_DENIED;

    case MEDIA_SIGV4_BAD_KEY:
        return NGX_HTTP_MEDIA_STORE_BAD_KEY_ID;

    case MEDIA_SIGV4_BAD_SCOPE:
        return NGX_HTTP_MEDIA_STORE_BAD_SCOPE;

    case MEDIA_SIGV4_MISMATCH:
        return NGX_HTTP_MEDIA_STORE_MISMATCH;

    case MEDIA_SIGV4_EXPIRED:
        return NGX_HTTP_MEDIA_STORE_EXPIRED;

    case MEDIA_SIGV4_SKEWED:
        return NGX_HTTP_MEDIA_STORE_SKEWED;

    default: /* MEDIA_SIGV4_UNSIGNED_HEADER */
        return NGX_HTTP_MEDIA_STORE_UNSIGNED_HEADER;
    }
}


static ngx_int_t
ngx_http_media_store_collect(ngx_http_request_t *r,
    media_sigv4_request_t *req)
{
    size_t                 n;
    ngx_uint_t             i;
    ngx_list_part_t       *part;
    ngx_table_elt_t       *h;
    media_sigv4_header_t  *headers;

    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        n += part->nelts;
    }

    if (n > NGX_HTTP_MEDIA_STORE_HEADERS_MAX) {
        return NGX_ERROR;
    }

    headers = ngx_palloc(r->pool, (n + 1) * sizeof(media_sigv4_header_t));
    if (headers == NULL) {
        return NGX_ERROR;
    }

    req->headers = headers;
    req->nheaders = n;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++, headers++) {
            media_str_set(&headers->name, (char *) h[i].key.data,
                          h[i].key.len);
            media_str_set(&headers->value, (char *) h[i].value.data,
                          h[i].value.len);
        }
    }

    return NGX_OK;
}


/* the signature and the key are of the path as it was sent */

static void
ngx_http_media_store_split_uri(ngx_http_request_t *r, ngx_str_t *path,
    ngx_str_t *query)
{
    u_char  *p, *last;

    last = r->unparsed_uri.data + r->unparsed_uri.len;
    p = ngx_strlchr(r->unparsed_uri.data, last, '?');

    path->data = r->unparsed_uri.data;
    path->len = (p ? p : last) - path->data;

    query->data = p ? p + 1 : last;
    query->len = last - query->data;
}


static ngx_http_media_store_error_e
ngx_http_media_store_parse(ngx_http_media_store_job_t *job, ngx_str_t *path,
    ngx_str_t *query)
{
    u_char                        *p, *last, *slash;
    ngx_http_media_store_error_e   error;

    if (ngx_http_media_store_parse_args(job, query) != NGX_OK) {
        return NGX_HTTP_MEDIA_STORE_INVALID_URI;
    }

    p = path->data + 1;
    last = path->data + path->len;

    if (path->len == 0 || p >= last) {
        return NGX_HTTP_MEDIA_STORE_OK;
    }

    slash = ngx_strlchr(p, last, '/');

    if (ngx_http_media_store_decode(job->pool, &job->bucket, p,
                                    (slash ? slash : last) - p, 0)
        != NGX_OK)
    {
        return NGX_HTTP_MEDIA_STORE_INVALID_URI;
    }

    if (!ngx_http_media_store_bucket_valid(&job->bucket)) {
        return NGX_HTTP_MEDIA_STORE_INVALID_BUCKET;
    }

    if (ngx_http_media_store_root_path(job, (char *) job->bucket.data,
                                       &job->bucket_path)
        != NGX_OK)
    {
        return NGX_HTTP_MEDIA_STORE_INTERNAL;
    }

    if (slash == NULL || slash + 1 == last) {
        return NGX_HTTP_MEDIA_STORE_OK;
    }

    if (ngx_http_media_store_decode(job->pool, &job->key, slash + 1,
                                    last - slash - 1, 0)
        != NGX_OK)
    {
        return NGX_HTTP_MEDIA_STORE_INVALID_URI;
    }

    error = ngx_http_media_store_key_check(&job->key);

    if (error != NGX_HTTP_MEDIA_STORE_OK) {
        return error;
    }

    if (ngx_http_media_store_key_path(job->pool, &job->bucket_path, &job->key,
                                      &job->path, NULL)
        != NGX_OK)
    {
        return NGX_HTTP_MEDIA_STORE_INTERNAL;
    }

    return NGX_HTTP_MEDIA_STORE_OK;
}


static ngx_int_t
ngx_http_media_store_parse_args(ngx_http_media_store_job_t *job,
    ngx_str_t *query)
{
    u_char        *p, *last, *end, *eq;
    ngx_keyval_t  *arg;

    last = query->data + query->len;

    for (p = query->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        end = end ? end : last;

        eq = ngx_strlchr(p, end, '=');
        eq = eq ? eq : end;

        arg = ngx_array_push(&job->args);
        if (arg == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_media_store_decode(job->pool, &arg->key, p, eq - p, 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = ngx_min(eq + 1, end);

        if (ngx_http_media_store_decode(job->pool, &arg->value, p, end - p, 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_decode(ngx_pool_t *pool, ngx_str_t *dst, u_char *p,
    size_t len, ngx_uint_t plus)
{
    size_t   i;
    ssize_t  n;

    dst->data = ngx_pnalloc(pool, len + 1);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst->data, p, len);

    for (i = 0; plus && i < len; i++) {
        if (dst->data[i] == '+') {
            dst->data[i] = ' ';
        }
    }

    n = media_uri_decode((char *) dst->data, (char *) dst->data, len);
    if (n < 0) {
        return NGX_ERROR;
    }

    dst->len = (size_t) n;
    dst->data[n] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_route(ngx_http_media_store_job_t *job,
    media_sigv4_cred_t *cred)
{
    ngx_http_request_t  *r;

    r = job->request;

    if (r->method & (NGX_HTTP_PUT|NGX_HTTP_POST)) {

        if (ngx_http_media_store_body_init(job, r, cred) != NGX_OK) {
            (void) ngx_http_discard_request_body(r);
            return ngx_http_media_store_send_error(r, job->error);
        }
    }

    ngx_explicit_memzero(cred->key, sizeof(cred->key));

    if (ngx_http_media_store_subresource(job)) {
        job->error = NGX_HTTP_MEDIA_STORE_NOT_IMPLEMENTED;

    } else if (job->key.len) {
        return ngx_http_media_store_route_object(job);

    } else if (job->bucket.len) {
        return ngx_http_media_store_route_bucket(job);

    } else if (r->method == NGX_HTTP_GET) {
        return ngx_http_media_store_service(job);

    } else {
        job->error = NGX_HTTP_MEDIA_STORE_METHOD;
    }

    (void) ngx_http_discard_request_body(r);

    return ngx_http_media_store_send_error(r, job->error);
}


static ngx_int_t
ngx_http_media_store_route_bucket(ngx_http_media_store_job_t *job)
{
    ngx_http_request_t  *r;

    r = job->request;

    if (ngx_http_media_store_arg(job, "uploads", NULL)
        && r->method == NGX_HTTP_GET)
    {
        return ngx_http_media_store_multipart(job);
    }

    switch (r->method) {

    case NGX_HTTP_GET:
        if (!ngx_http_media_store_arg(job, "location", NULL)
            && !ngx_http_media_store_arg(job, "versioning", NULL))
        {
            return ngx_http_media_store_list(job);
        }

        /* fall through */

    case NGX_HTTP_HEAD:
    case NGX_HTTP_PUT:
    case NGX_HTTP_DELETE:
        return ngx_http_media_store_bucket(job);

    case NGX_HTTP_POST:
        if (ngx_http_media_store_arg(job, "delete", NULL)) {
            return ngx_http_media_store_delete_many(job);
        }

        /* fall through */

    default:
        (void) ngx_http_discard_request_body(r);
        return ngx_http_media_store_send_error(r, NGX_HTTP_MEDIA_STORE_METHOD);
    }
}


static ngx_int_t
ngx_http_media_store_route_object(ngx_http_media_store_job_t *job)
{
    ngx_http_request_t  *r;

    r = job->request;

    if (ngx_http_media_store_arg(job, "uploadId", NULL)
        || ngx_http_media_store_arg(job, "uploads", NULL))
    {
        return ngx_http_media_store_multipart(job);
    }

    switch (r->method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_HEAD:
        return ngx_http_media_store_get(job);

    case NGX_HTTP_PUT:
        return ngx_http_media_store_put(job);

    case NGX_HTTP_DELETE:
        return ngx_http_media_store_delete(job);

    default:
        (void) ngx_http_discard_request_body(r);
        return ngx_http_media_store_send_error(r, NGX_HTTP_MEDIA_STORE_METHOD);
    }
}


static ngx_uint_t
ngx_http_media_store_subresource(ngx_http_media_store_job_t *job)
{
    const char  **name;

    for (name = ngx_http_media_store_subresources; *name; name++) {
        if (ngx_http_media_store_arg(job, *name, NULL)) {
            return 1;
        }
    }

    return job->request->method == NGX_HTTP_PUT && job->key.len == 0
           && ngx_http_media_store_arg(job, "versioning", NULL);
}


char *
ngx_http_media_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                  *value;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_media_loc_conf_t  *lcf = conf;

    static ngx_str_t  name = ngx_string("request_id");

    if (lcf->store.path.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    lcf->store.path = value[1];

    if (ngx_conf_full_name(cf->cycle, &lcf->store.path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    while (lcf->store.path.len > 1
           && lcf->store.path.data[lcf->store.path.len - 1] == '/')
    {
        lcf->store.path.len--;
    }

    if (lcf->store.path.len > NGX_HTTP_MEDIA_STORE_PATH_MAX) {
        return "has too long a path";
    }

    lcf->store.request_id = ngx_http_get_variable_index(cf, &name);
    if (lcf->store.request_id == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_media_store_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_media_store_init_main(ngx_conf_t *cf,
    ngx_http_media_store_main_conf_t *mcf)
{
    if (ngx_array_init(&mcf->stores, cf->pool, 1,
                       sizeof(ngx_http_media_store_loc_conf_t *))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_media_store_merge_loc(ngx_conf_t *cf,
    ngx_http_media_store_loc_conf_t *prev,
    ngx_http_media_store_loc_conf_t *conf)
{
    char                              *rv;
    ngx_http_media_main_conf_t        *mcf;
    ngx_http_media_store_loc_conf_t  **store;

    if (conf->access_key.data == NULL && conf->access_key_file.data == NULL) {
        conf->access_key = prev->access_key;
        conf->access_key_file = prev->access_key_file;
    }

    if (conf->secret_key.data == NULL && conf->secret_key_file.data == NULL) {
        conf->secret_key = prev->secret_key;
        conf->secret_key_file = prev->secret_key_file;
    }

    ngx_conf_merge_str_value(conf->region, prev->region, "us-east-1");

    if (conf->path.data == NULL) {
        return NGX_CONF_OK;
    }

    rv = ngx_http_media_store_read_secret(cf, &conf->access_key,
                                          &conf->access_key_file,
                                          "media_store_access_key");
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_media_store_read_secret(cf, &conf->secret_key,
                                          &conf->secret_key_file,
                                          "media_store_secret_key");
    if (rv != NGX_CONF_OK) {
        return rv;
    }

#if (NGX_THREADS)
    conf->thread_pool = ngx_thread_pool_add(cf, NULL);
    if (conf->thread_pool == NULL) {
        return NGX_CONF_ERROR;
    }
#endif

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    store = ngx_array_push(&mcf->store.stores);
    if (store == NULL) {
        return NGX_CONF_ERROR;
    }

    *store = conf;

    return NGX_CONF_OK;
}


static char *
ngx_http_media_store_read_secret(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *file, const char *name)
{
    u_char      buf[NGX_HTTP_MEDIA_STORE_SECRET_MAX];
    ssize_t     n;
    ngx_fd_t    fd;

    if (value->data != NULL && file->data != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "both \"%s\" and \"%s_file\" are set", name, name);
        return NGX_CONF_ERROR;
    }

    if (file->data != NULL) {

        if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

        n = fd == NGX_INVALID_FILE ? -1 : ngx_read_fd(fd, buf, sizeof(buf));

        if (n == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               "\"%s_file\" \"%V\" cannot be read",
                               name, file);
        }

        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }

        if (n == -1) {
            return NGX_CONF_ERROR;
        }

        while (n && (buf[n - 1] == '\n' || buf[n - 1] == '\r')) {
            n--;
        }

        value->len = (size_t) n;
        value->data = ngx_pnalloc(cf->pool, n + 1);

        if (value->data == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memcpy(value->data, buf, n);
        ngx_explicit_memzero(buf, sizeof(buf));

        ngx_str_null(file);
    }

    if (value->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_store\" needs \"%s\" or \"%s_file\"",
                           name, name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* one process looks for what a killed one left */

ngx_int_t
ngx_http_media_store_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_http_media_main_conf_t        *mcf;
    ngx_http_media_store_loc_conf_t  **stores;

    if (ngx_worker != 0) {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module);
    stores = mcf->store.stores.elts;

    for (i = 0; i < mcf->store.stores.nelts; i++) {
        ngx_http_media_store_sweep(stores[i], cycle->log);
    }

    return NGX_OK;
}
