
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


/*
 * A key becomes a path of units.  A unit is a component of the key with its
 * slash; it is percent-encoded and marked by its last character:
 *
 *     chat/t1/photo.jpg     chat= / t1= / photo.jpg
 *     a//b                  a= / = / b
 *     a/                    a= / %                  the empty last component
 *     200 bytes             80 bytes+ / 80 bytes+ / 40 bytes
 *
 * Entries of a directory, decoded and sorted by their bytes, give the keys in
 * their order, so that a list needs no index.  A unit over 80 bytes continues
 * in a directory of its own, which keeps names below NAME_MAX.
 */

#define NGX_HTTP_MEDIA_STORE_UNIT  80

/* a directory may be removed as empty while an object comes into it */
#define NGX_HTTP_MEDIA_STORE_TRIES  100


static u_char *ngx_http_media_store_unit_encode(u_char *dst, u_char *src,
    size_t len);
static ngx_int_t ngx_http_media_store_make_dirs(ngx_str_t *bucket_path,
    ngx_str_t *path);


ngx_uint_t
ngx_http_media_store_bucket_valid(ngx_str_t *bucket)
{
    u_char  c;
    size_t  i;

    if (bucket->len < 3 || bucket->len > 63) {
        return 0;
    }

    for (i = 0; i < bucket->len; i++) {
        c = bucket->data[i];

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            continue;
        }

        if (i == 0 || i == bucket->len - 1) {
            return 0;
        }

        if (c != '-' && (c != '.' || bucket->data[i - 1] == '.')) {
            return 0;
        }
    }

    return 1;
}


ngx_http_media_store_error_e
ngx_http_media_store_key_check(ngx_str_t *key)
{
    u_char  *p, *last;

    if (key->len > NGX_HTTP_MEDIA_STORE_KEY_MAX) {
        return NGX_HTTP_MEDIA_STORE_KEY_TOO_LONG;
    }

    if (key->len == 0) {
        return NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
    }

    p = key->data;
    last = p + key->len;

    while (p < last) {
        if (*p == '\0') {
            return NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
        }

        if (*p < 0x80) {
            p++;
            continue;
        }

        if (ngx_utf8_decode(&p, last - p) > 0x10ffff) {
            return NGX_HTTP_MEDIA_STORE_INVALID_URI;
        }
    }

    return NGX_HTTP_MEDIA_STORE_OK;
}


ngx_int_t
ngx_http_media_store_key_path(ngx_pool_t *pool, ngx_str_t *bucket,
    ngx_str_t *key, ngx_str_t *path, size_t *dir)
{
    u_char  *p, *src, *last, *slash, *name;
    size_t   n;

    p = ngx_pnalloc(pool, bucket->len + key->len * 3
                          + key->len / NGX_HTTP_MEDIA_STORE_UNIT * 2
                          + sizeof("/%"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    path->data = p;

    p = ngx_cpymem(p, bucket->data, bucket->len);
    *p++ = '/';
    name = p;

    src = key->data;
    last = src + key->len;

    while (src < last) {
        slash = ngx_strlchr(src, last, '/');
        n = slash ? (size_t) (slash + 1 - src) : (size_t) (last - src);

        if (n > NGX_HTTP_MEDIA_STORE_UNIT) {
            p = ngx_http_media_store_unit_encode(p, src,
                                                 NGX_HTTP_MEDIA_STORE_UNIT);
            *p++ = '+';
            *p++ = '/';
            name = p;
            src += NGX_HTTP_MEDIA_STORE_UNIT;
            continue;
        }

        if (slash == NULL) {
            p = ngx_http_media_store_unit_encode(p, src, n);
            break;
        }

        p = ngx_http_media_store_unit_encode(p, src, n - 1);
        *p++ = '=';
        *p++ = '/';
        name = p;
        src += n;
    }

    if (dir != NULL) {
        *dir = name - path->data;
    }

    if (p == name) {
        *p++ = '%';
    }

    path->len = p - path->data;
    *p = '\0';

    return NGX_OK;
}


/* a leading dot is encoded: no "..", and no clash with the store's files */

static u_char *
ngx_http_media_store_unit_encode(u_char *dst, u_char *src, size_t len)
{
    u_char  c;
    size_t  i;

    static u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < len; i++) {
        c = src[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9') || c == '-' || c == '_'
            || (c == '.' && i != 0))
        {
            *dst++ = c;
            continue;
        }

        *dst++ = '%';
        *dst++ = hex[c >> 4];
        *dst++ = hex[c & 0xf];
    }

    return dst;
}


ssize_t
ngx_http_media_store_name_decode(u_char *dst, const char *name,
    ngx_uint_t *leaf)
{
    size_t   len;
    u_char  *p;
    ssize_t  n;

    len = ngx_strlen(name);

    if (len == 0 || name[0] == '.') {
        return NGX_ERROR;
    }

    *leaf = 0;

    if (len == 1 && name[0] == '%') {
        *leaf = 1;
        return 0;
    }

    p = dst;

    switch (name[len - 1]) {

    case '=':
    case '+':
        n = media_uri_decode((char *) p, name, len - 1);
        if (n < 0) {
            return NGX_ERROR;
        }

        if (name[len - 1] == '=') {
            p[n++] = '/';
        }

        return n;

    default:
        *leaf = 1;
        n = media_uri_decode((char *) p, name, len);
        return n < 0 ? NGX_ERROR : n;
    }
}


/* a path below the store's root, outside of every bucket */

ngx_int_t
ngx_http_media_store_root_path(ngx_http_media_store_job_t *job,
    const char *name, ngx_str_t *path)
{
    size_t   n;
    u_char  *p;

    n = ngx_strlen(name);

    path->len = job->conf->path.len + 1 + n;
    path->data = ngx_pnalloc(job->pool, path->len + 1);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(path->data, job->conf->path.data, job->conf->path.len);
    *p++ = '/';
    p = ngx_cpymem(p, name, n);
    *p = '\0';

    return NGX_OK;
}


void
ngx_http_media_store_publish(ngx_http_media_store_job_t *job,
    ngx_uint_t exclusive)
{
    int          rc;
    ngx_uint_t   tries;
    const char  *from, *to;

    from = (const char *) job->temp.data;
    to = (const char *) job->path.data;

    for (tries = 0; tries < NGX_HTTP_MEDIA_STORE_TRIES; tries++) {

        rc = exclusive ? link(from, to) : rename(from, to);

        if (rc == 0) {
            if (!exclusive) {
                job->temp.len = 0;
            }

            if (ngx_http_media_store_sync_parent(job->path.data) != NGX_OK) {
                ngx_http_media_store_job_failed(job, "fsync()");
            }

            return;
        }

        if (ngx_errno == NGX_EEXIST && exclusive) {
            job->error = NGX_HTTP_MEDIA_STORE_PRECONDITION;
            return;
        }

        if (ngx_errno != NGX_ENOENT) {
            break;
        }

        if (ngx_http_media_store_make_dirs(&job->bucket_path, &job->path)
            != NGX_OK)
        {
            if (ngx_errno == NGX_ENOENT
                && access((char *) job->bucket_path.data, F_OK) == -1)
            {
                job->error = NGX_HTTP_MEDIA_STORE_NO_BUCKET;
                return;
            }

            if (ngx_errno != NGX_ENOENT) {
                break;
            }
        }
    }

    ngx_http_media_store_job_failed(job, "rename()");
}


static ngx_int_t
ngx_http_media_store_make_dirs(ngx_str_t *bucket_path, ngx_str_t *path)
{
    int      rc;
    u_char  *p;

    for (p = path->data + bucket_path->len + 1; *p; p++) {

        if (*p != '/') {
            continue;
        }

        *p = '\0';
        rc = mkdir((char *) path->data, 0700);

        if (rc == 0 && ngx_http_media_store_sync_parent(path->data) != NGX_OK)
        {
            rc = -1;
        }

        *p = '/';

        if (rc == -1 && ngx_errno != NGX_EEXIST) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_media_store_sync_parent(u_char *path)
{
    u_char     *slash;
    ngx_int_t   rc;

    slash = (u_char *) strrchr((char *) path, '/');

    *slash = '\0';
    rc = ngx_http_media_store_sync_dir((char *) path);
    *slash = '/';

    return rc;
}


ngx_int_t
ngx_http_media_store_sync_dir(const char *path)
{
    int  fd, rc;

    fd = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return NGX_ERROR;
    }

    rc = fsync(fd);

    (void) close(fd);

    return rc == 0 ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_media_store_unlink(ngx_str_t *bucket_path, ngx_str_t *path)
{
    u_char  *p;

    if (unlink((char *) path->data) == -1) {
        return (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR)
               ? NGX_DECLINED : NGX_ERROR;
    }

    /* an object that arrives may lose its directory here; it tries again */

    p = path->data + path->len;

    while (--p > path->data + bucket_path->len) {

        if (*p != '/') {
            continue;
        }

        *p = '\0';

        if (rmdir((char *) path->data) == 0 || ngx_errno == NGX_ENOENT) {
            continue;
        }

        if (ngx_http_media_store_sync_dir((char *) path->data) == NGX_OK) {
            return NGX_OK;
        }

        /* else another one has removed it in between */

        if (ngx_errno != NGX_ENOENT) {
            return NGX_ERROR;
        }
    }

    return ngx_http_media_store_sync_dir((char *) bucket_path->data);
}
