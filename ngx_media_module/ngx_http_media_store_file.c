
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <dirent.h>

#include "ngx_http_media.h"


/*
 * An object's file: what makes it whole stands at its end, so that the body
 * can be written as it arrives and be sent by sendfile().
 *
 *     body
 *     ETag: 9e107d9d372bb6826bd81d3542a419d6\n
 *     Content-Type: image/jpeg\n              ... one line a kept header
 *     media-store 1 <size> <length>\n         of body and lines, in hex digits
 */

#define NGX_HTTP_MEDIA_STORE_MAGIC      "media-store 1 "
#define NGX_HTTP_MEDIA_STORE_FOOT_LEN                                         \
    (sizeof(NGX_HTTP_MEDIA_STORE_MAGIC) - 1 + 16 + 1 + 8 + 1)

/* seconds without a write until a temporary file counts as left behind */
#define NGX_HTTP_MEDIA_STORE_STALE      3600

#define NGX_HTTP_MEDIA_STORE_COPY_SIZE  131072


static ngx_int_t ngx_http_media_store_file_parse(ngx_pool_t *pool,
    ngx_http_media_store_object_t *object, off_t file_size);


ngx_int_t
ngx_http_media_store_file_open(ngx_pool_t *pool, ngx_str_t *path,
    ngx_http_media_store_object_t *object)
{
    struct stat  st;

    object->fd = open((char *) path->data, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);

    if (object->fd == -1) {
        return (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR)
               ? NGX_DECLINED : NGX_ERROR;
    }

    if (fstat(object->fd, &st) == 0) {
        object->mtime = st.st_mtime;

        if (ngx_http_media_store_file_parse(pool, object, st.st_size)
            == NGX_OK)
        {
            return NGX_OK;
        }
    }

    ngx_http_media_store_file_close(object);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_media_store_file_parse(ngx_pool_t *pool,
    ngx_http_media_store_object_t *object, off_t file_size)
{
    off_t      size, lines;
    u_char     foot[NGX_HTTP_MEDIA_STORE_FOOT_LEN], *p;
    ngx_str_t  rest, name;

    size = NGX_HTTP_MEDIA_STORE_FOOT_LEN;

    if (file_size < size
        || pread(object->fd, foot, size, file_size - size) != size)
    {
        ngx_set_errno(EIO);
        return NGX_ERROR;
    }

    p = foot + sizeof(NGX_HTTP_MEDIA_STORE_MAGIC) - 1;

    object->size = ngx_hextoi(p, 16);
    lines = ngx_hextoi(p + 17, 8);

    if (ngx_memcmp(foot, NGX_HTTP_MEDIA_STORE_MAGIC, p - foot) != 0
        || lines <= 0 || lines > 2 * NGX_HTTP_MEDIA_STORE_META_MAX
        || object->size < 0 || object->size + lines + size != file_size)
    {
        ngx_set_errno(EIO);
        return NGX_ERROR;
    }

    object->lines.len = (size_t) lines;
    object->lines.data = ngx_pnalloc(pool, lines);

    if (object->lines.data == NULL) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    if (pread(object->fd, object->lines.data, lines, object->size) != lines) {
        ngx_set_errno(EIO);
        return NGX_ERROR;
    }

    rest = object->lines;

    if (!ngx_http_media_store_next_line(&rest, &name, &object->etag)) {
        ngx_set_errno(EIO);
        return NGX_ERROR;
    }

    object->lines = rest;

    return NGX_OK;
}


void
ngx_http_media_store_file_close(ngx_http_media_store_object_t *object)
{
    if (object->fd != NGX_INVALID_FILE) {
        (void) close(object->fd);
        object->fd = NGX_INVALID_FILE;
    }
}


ngx_uint_t
ngx_http_media_store_next_line(ngx_str_t *lines, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char  *end, *colon, *last;

    last = lines->data + lines->len;

    end = ngx_strlchr(lines->data, last, '\n');
    if (end == NULL) {
        return 0;
    }

    colon = ngx_strlchr(lines->data, end, ':');
    if (colon == NULL || end - colon < 2) {
        return 0;
    }

    name->data = lines->data;
    name->len = colon - lines->data;

    value->data = colon + 2;
    value->len = end - colon - 2;

    lines->data = end + 1;
    lines->len = last - end - 1;

    return 1;
}


ngx_uint_t
ngx_http_media_store_etag_match(ngx_str_t *list, ngx_str_t *etag)
{
    u_char  *p, *last, *end;

    p = list->data;
    last = p + list->len;

    while (p < last) {

        if (*p == ' ' || *p == ',' || *p == '"') {
            p++;
            continue;
        }

        if (*p == '*') {
            return 1;
        }

        if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
            p += 2;
            continue;
        }

        for (end = p; end < last && *end != '"' && *end != ','; end++) {
            /* void */
        }

        if ((size_t) (end - p) == etag->len
            && ngx_memcmp(p, etag->data, etag->len) == 0)
        {
            return 1;
        }

        p = end;
    }

    return 0;
}


ngx_int_t
ngx_http_media_store_temp_open(ngx_http_media_store_job_t *job)
{
    ngx_uint_t  made;
    ngx_str_t   dir;

    if (ngx_http_media_store_root_path(job, ".tmp/XXXXXX", &job->temp)
        != NGX_OK
        || ngx_http_media_store_root_path(job, ".tmp", &dir) != NGX_OK)
    {
        goto failed;
    }

    for (made = 0; made < 2; made++) {

        job->fd = mkostemp((char *) job->temp.data, O_CLOEXEC);

        if (job->fd != NGX_INVALID_FILE) {
            return NGX_OK;
        }

        if (ngx_errno != NGX_ENOENT
            || (mkdir((char *) dir.data, 0700) == -1
                && ngx_errno != NGX_EEXIST))
        {
            break;
        }

        ngx_memset(job->temp.data + job->temp.len - 6, 'X', 6);
    }

failed:

    job->temp.len = 0;
    ngx_http_media_store_job_failed(job, "mkostemp()");

    return NGX_ERROR;
}


void
ngx_http_media_store_temp_discard(ngx_http_media_store_job_t *job)
{
    if (job->fd != NGX_INVALID_FILE) {
        (void) close(job->fd);
        job->fd = NGX_INVALID_FILE;
    }

    if (job->temp.len) {
        (void) unlink((char *) job->temp.data);
        job->temp.len = 0;
    }
}


ngx_int_t
ngx_http_media_store_write(ngx_fd_t fd, const u_char *p, size_t n)
{
    ssize_t  written;

    while (n) {
        written = write(fd, p, n);

        if (written == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return NGX_ERROR;
        }

        p += written;
        n -= written;
    }

    return NGX_OK;
}


/* from the start of src to where dst stands */

ngx_int_t
ngx_http_media_store_copy(ngx_fd_t dst, ngx_fd_t src, off_t size)
{
    off_t    offset;
    u_char  *buf;
    ssize_t  n;

    offset = 0;

    while (offset < size) {
        n = copy_file_range(src, &offset, dst, NULL, size - offset, 0);

        if (n <= 0) {
            break;
        }
    }

    if (offset == size) {
        return NGX_OK;
    }

    /* the file system cannot: by hand */

    buf = malloc(NGX_HTTP_MEDIA_STORE_COPY_SIZE);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    while (offset < size) {
        n = pread(src, buf, ngx_min(NGX_HTTP_MEDIA_STORE_COPY_SIZE,
                                    size - offset), offset);

        if (n <= 0 || ngx_http_media_store_write(dst, buf, n) != NGX_OK) {
            break;
        }

        offset += n;
    }

    free(buf);

    return offset == size ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_media_store_file_finish(ngx_http_media_store_job_t *job, off_t size)
{
    size_t   n;
    u_char  *p, *start;

    n = sizeof("ETag: \n") - 1 + job->etag.len + job->lines.len;

    start = ngx_pnalloc(job->pool, n + NGX_HTTP_MEDIA_STORE_FOOT_LEN);
    if (start == NULL) {
        ngx_set_errno(NGX_ENOMEM);
        ngx_http_media_store_job_failed(job, "malloc()");
        return NGX_ERROR;
    }

    p = ngx_sprintf(start, "ETag: %V\n%V", &job->etag, &job->lines);
    p = ngx_sprintf(p, NGX_HTTP_MEDIA_STORE_MAGIC "%016xL %08xz\n",
                    (int64_t) size, n);

    if (ngx_http_media_store_write(job->fd, start, p - start) != NGX_OK) {
        ngx_http_media_store_job_failed(job, "write()");
        return NGX_ERROR;
    }

    if (fsync(job->fd) == -1) {
        ngx_http_media_store_job_failed(job, "fsync()");
        return NGX_ERROR;
    }

    (void) close(job->fd);
    job->fd = NGX_INVALID_FILE;

    return NGX_OK;
}


void
ngx_http_media_store_sweep(ngx_http_media_store_loc_conf_t *conf,
    ngx_log_t *log)
{
    DIR            *dir;
    u_char          path[NGX_HTTP_MEDIA_STORE_PATH_MAX + sizeof("/.tmp")];
    time_t          limit;
    ngx_uint_t      n;
    struct stat     st;
    struct dirent  *entry;

    ngx_sprintf(path, "%V/.tmp%Z", &conf->path);

    dir = opendir((char *) path);
    if (dir == NULL) {
        return;
    }

    n = 0;
    limit = ngx_time() - NGX_HTTP_MEDIA_STORE_STALE;

    while ((entry = readdir(dir)) != NULL) {

        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
            && S_ISREG(st.st_mode) && st.st_mtime < limit
            && unlinkat(dirfd(dir), entry->d_name, 0) == 0)
        {
            n++;
        }
    }

    (void) closedir(dir);

    if (n) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "media store \"%V\": removed %ui temporary files",
                      &conf->path, n);
    }
}
