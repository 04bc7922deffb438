
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <dirent.h>

#include <openssl/rand.h>

#include "ngx_http_media.h"


/*
 * An upload in parts is the directory .uploads/<id> of the store: the file
 * "upload" names the object and holds its headers, and each part is an
 * object's file named by its number in five digits.
 */

#define NGX_HTTP_MEDIA_STORE_ID_LEN    32
#define NGX_HTTP_MEDIA_STORE_PART_MAX  10000
#define NGX_HTTP_MEDIA_STORE_PART_MIN  5242880  /* bytes; not of the last */

/* room for a part's name behind the path of its directory */
#define NGX_HTTP_MEDIA_STORE_NAME_LEN  (sizeof("/upload") - 1)


static void ngx_http_media_store_upload_create(
    ngx_http_media_store_job_t *job);
static void ngx_http_media_store_upload_part(ngx_http_media_store_job_t *job);
static void ngx_http_media_store_upload_complete(
    ngx_http_media_store_job_t *job);
static ngx_int_t ngx_http_media_store_upload_next(
    ngx_http_media_store_job_t *job, ngx_str_t *in, ngx_int_t *number,
    ngx_str_t *etag);
static ngx_int_t ngx_http_media_store_upload_append(
    ngx_http_media_store_job_t *job, ngx_str_t *path, ngx_str_t *etag,
    u_char *md5);
static void ngx_http_media_store_upload_finish(
    ngx_http_media_store_job_t *job, ngx_str_t *path, EVP_MD_CTX *md5,
    ngx_uint_t n, off_t size);
static void ngx_http_media_store_upload_abort(
    ngx_http_media_store_job_t *job);
static void ngx_http_media_store_upload_list(ngx_http_media_store_job_t *job);
static ngx_int_t ngx_http_media_store_upload_open(
    ngx_http_media_store_job_t *job, ngx_str_t *path);
static void ngx_http_media_store_upload_remove(ngx_str_t *path);
static void ngx_http_media_store_upload_name(ngx_str_t *path,
    ngx_int_t number);


ngx_int_t
ngx_http_media_store_multipart(ngx_http_media_store_job_t *job)
{
    ngx_uint_t           part;
    ngx_http_request_t  *r;

    r = job->request;
    part = ngx_http_media_store_arg(job, "partNumber", NULL);

    job->done = ngx_http_media_store_finish;

    if (ngx_http_media_store_arg(job, "uploads", NULL)) {

        if (r->method != NGX_HTTP_POST) {
            job->error = NGX_HTTP_MEDIA_STORE_NOT_IMPLEMENTED;

        } else if (ngx_http_media_store_keep_headers(job, r) == NGX_OK) {
            job->upload->in_memory = 1;
            job->finish = ngx_http_media_store_upload_create;
            return ngx_http_media_store_body_read(job);
        }

    } else if (r->method == NGX_HTTP_PUT && part) {

        if (ngx_http_media_get_header(r, "x-amz-copy-source") != NULL) {
            job->error = NGX_HTTP_MEDIA_STORE_NOT_IMPLEMENTED;

        } else {
            job->finish = ngx_http_media_store_upload_part;
            return ngx_http_media_store_body_read(job);
        }

    } else if (r->method == NGX_HTTP_POST) {
        job->upload->in_memory = 1;
        job->finish = ngx_http_media_store_upload_complete;
        return ngx_http_media_store_body_read(job);

    } else if (r->method == NGX_HTTP_DELETE) {
        job->work = ngx_http_media_store_upload_abort;
        job->status = NGX_HTTP_NO_CONTENT;
        return ngx_http_media_store_start(job);

    } else if (r->method == NGX_HTTP_GET) {
        job->work = ngx_http_media_store_upload_list;
        return ngx_http_media_store_start(job);

    } else {
        job->error = NGX_HTTP_MEDIA_STORE_METHOD;
    }

    (void) ngx_http_discard_request_body(r);

    return ngx_http_media_store_send_error(r, job->error);
}


static void
ngx_http_media_store_upload_create(ngx_http_media_store_job_t *job)
{
    int        fd;
    u_char     bytes[NGX_HTTP_MEDIA_STORE_ID_LEN / 2];
    u_char     name[sizeof("/upload") + NGX_HTTP_MEDIA_STORE_ID_LEN + 16];
    ngx_str_t  dir, file, id;

    job->text.last = job->text.start;
    job->etag.len = 0;

    if (access((char *) job->bucket_path.data, F_OK) == -1) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_BUCKET;
        return;
    }

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        ngx_http_media_store_job_failed(job, "RAND_bytes()");
        return;
    }

    ngx_memcpy(name, ".uploads/", 9);
    media_hex_encode((char *) name + 9, bytes, sizeof(bytes));
    ngx_memcpy(name + 9 + NGX_HTTP_MEDIA_STORE_ID_LEN, "/upload",
               sizeof("/upload"));

    id.data = name + 9;
    id.len = NGX_HTTP_MEDIA_STORE_ID_LEN;

    if (ngx_http_media_store_root_path(job, ".uploads", &dir) != NGX_OK
        || ngx_http_media_store_root_path(job, (char *) name, &file)
           != NGX_OK)
    {
        ngx_http_media_store_job_failed(job, "malloc()");
        return;
    }

    if (mkdir((char *) dir.data, 0700) == -1 && ngx_errno != NGX_EEXIST) {
        ngx_http_media_store_job_failed(job, "mkdir()");
        return;
    }

    file.data[file.len - NGX_HTTP_MEDIA_STORE_NAME_LEN] = '\0';

    if (mkdir((char *) file.data, 0700) == -1) {
        ngx_http_media_store_job_failed(job, "mkdir()");
        return;
    }

    file.data[file.len - NGX_HTTP_MEDIA_STORE_NAME_LEN] = '/';

    fd = open((char *) file.data, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (fd == -1) {
        ngx_http_media_store_job_failed(job, "open()");
        return;
    }

    /* the path of the object has no line end in it */

    if (ngx_http_media_store_write(fd, job->path.data, job->path.len)
        != NGX_OK
        || ngx_http_media_store_write(fd, (u_char *) "\n", 1) != NGX_OK
        || ngx_http_media_store_write(fd, job->lines.data, job->lines.len)
           != NGX_OK
        || fsync(fd) == -1)
    {
        ngx_http_media_store_job_failed(job, "write()");
    }

    (void) close(fd);

    ngx_http_media_store_puts(&job->text, "<InitiateMultipartUploadResult>");
    ngx_http_media_store_xml(&job->text, "Bucket", &job->bucket);
    ngx_http_media_store_xml(&job->text, "Key", &job->key);
    ngx_http_media_store_xml(&job->text, "UploadId", &id);
    ngx_http_media_store_puts(&job->text,
                              "</InitiateMultipartUploadResult>\n");
}


static void
ngx_http_media_store_upload_part(ngx_http_media_store_job_t *job)
{
    ngx_int_t  number;
    ngx_str_t  path, value;

    ngx_str_null(&value);
    (void) ngx_http_media_store_arg(job, "partNumber", &value);

    number = ngx_atoi(value.data, value.len);

    if (number < 1 || number > NGX_HTTP_MEDIA_STORE_PART_MAX) {
        job->error = NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
        return;
    }

    if (ngx_http_media_store_upload_open(job, &path) != NGX_OK) {
        return;
    }

    job->lines.len = 0;

    if (ngx_http_media_store_file_finish(job, job->upload->size) != NGX_OK) {
        return;
    }

    ngx_http_media_store_upload_name(&path, number);

    if (rename((char *) job->temp.data, (char *) path.data) == -1) {

        if (ngx_errno == NGX_ENOENT) {
            job->error = NGX_HTTP_MEDIA_STORE_NO_UPLOAD;
            return;
        }

        ngx_http_media_store_job_failed(job, "rename()");
        return;
    }

    job->temp.len = 0;

    if (ngx_http_media_store_sync_parent(path.data) != NGX_OK) {
        ngx_http_media_store_job_failed(job, "fsync()");
    }
}


static void
ngx_http_media_store_upload_complete(ngx_http_media_store_job_t *job)
{
    off_t        size;
    u_char       md5[16];
    ngx_int_t    rc, number, last;
    ngx_str_t    in, path, etag;
    ngx_uint_t   n;
    EVP_MD_CTX  *ctx;

    in.data = job->text.start;
    in.len = job->text.last - job->text.start;

    ngx_memzero(&job->text, sizeof(ngx_http_media_store_text_t));
    job->text.pool = job->pool;
    job->etag.len = 0;

    if (ngx_http_media_store_upload_open(job, &path) != NGX_OK
        || ngx_http_media_store_temp_open(job) != NGX_OK)
    {
        return;
    }

    ctx = EVP_MD_CTX_new();

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_md5(), NULL) != 1) {
        ngx_http_media_store_job_failed(job, "EVP_DigestInit_ex()");
        goto done;
    }

    size = 0;
    last = 0;

    for (n = 0; /* void */ ; n++) {

        rc = ngx_http_media_store_upload_next(job, &in, &number, &etag);

        if (rc == NGX_DECLINED && n) {
            break;
        }

        if (rc != NGX_OK) {
            job->error = NGX_HTTP_MEDIA_STORE_MALFORMED_XML;
            goto done;
        }

        if (number <= last) {
            job->error = NGX_HTTP_MEDIA_STORE_INVALID_PART_ORDER;
            goto done;
        }

        if (n && job->source.size < NGX_HTTP_MEDIA_STORE_PART_MIN) {
            job->error = NGX_HTTP_MEDIA_STORE_TOO_SMALL;
            goto done;
        }

        last = number;

        ngx_http_media_store_upload_name(&path, number);

        if (ngx_http_media_store_upload_append(job, &path, &etag, md5)
            != NGX_OK)
        {
            goto done;
        }

        (void) EVP_DigestUpdate(ctx, md5, sizeof(md5));
        size += job->source.size;
    }

    ngx_http_media_store_upload_finish(job, &path, ctx, n, size);

done:

    EVP_MD_CTX_free(ctx);
}


static ngx_int_t
ngx_http_media_store_upload_next(ngx_http_media_store_job_t *job,
    ngx_str_t *in, ngx_int_t *number, ngx_str_t *etag)
{
    ngx_int_t  rc;
    ngx_str_t  part, s;

    rc = ngx_http_media_store_xml_next(in, "Part", &part);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the two may come in either order */

    s = part;

    if (ngx_http_media_store_xml_next(&s, "ETag", etag) != NGX_OK) {
        return NGX_ERROR;
    }

    s = part;

    if (ngx_http_media_store_xml_next(&s, "PartNumber", &part) != NGX_OK
        || ngx_http_media_store_xml_unescape(etag) != NGX_OK)
    {
        return NGX_ERROR;
    }

    *number = ngx_atoi(part.data, part.len);

    return *number >= 1 && *number <= NGX_HTTP_MEDIA_STORE_PART_MAX
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_media_store_upload_append(ngx_http_media_store_job_t *job,
    ngx_str_t *path, ngx_str_t *etag, u_char *md5)
{
    ngx_int_t                       rc;
    ngx_http_media_store_object_t  *part;

    part = &job->source;

    if (ngx_http_media_store_file_open(job->pool, path, part) != NGX_OK
        || part->etag.len != 32
        || media_hex_decode(md5, (char *) part->etag.data, 32) != MEDIA_OK
        || !ngx_http_media_store_etag_match(etag, &part->etag))
    {
        ngx_http_media_store_file_close(part);
        job->error = NGX_HTTP_MEDIA_STORE_INVALID_PART;
        return NGX_ERROR;
    }

    rc = ngx_http_media_store_copy(job->fd, part->fd, part->size);

    ngx_http_media_store_file_close(part);

    if (rc != NGX_OK) {
        ngx_http_media_store_job_failed(job, "copy_file_range()");
    }

    return rc;
}


/* as S3's: the MD5 of the parts' MD5 sums, and their number */

static void
ngx_http_media_store_upload_finish(ngx_http_media_store_job_t *job,
    ngx_str_t *path, EVP_MD_CTX *md5, ngx_uint_t n, off_t size)
{
    u_char  sum[16], *p;

    p = ngx_pnalloc(job->pool, 32 + 1 + NGX_INT_T_LEN);

    if (p == NULL || EVP_DigestFinal_ex(md5, sum, NULL) != 1) {
        ngx_http_media_store_job_failed(job, "EVP_DigestFinal_ex()");
        return;
    }

    media_hex_encode((char *) p, sum, 16);

    job->etag.data = p;
    job->etag.len = ngx_sprintf(p + 32, "-%ui", n) - p;

    if (ngx_http_media_store_file_finish(job, size) != NGX_OK) {
        return;
    }

    ngx_http_media_store_publish(job, 0);

    if (job->error != NGX_HTTP_MEDIA_STORE_OK) {
        return;
    }

    ngx_http_media_store_upload_remove(path);

    ngx_http_media_store_puts(&job->text, "<CompleteMultipartUploadResult>");
    ngx_http_media_store_xml(&job->text, "Bucket", &job->bucket);
    ngx_http_media_store_xml(&job->text, "Key", &job->key);
    ngx_http_media_store_puts(&job->text, "<ETag>&quot;");
    ngx_http_media_store_text(&job->text, job->etag.data, job->etag.len);
    ngx_http_media_store_puts(&job->text, "&quot;</ETag>"
                              "</CompleteMultipartUploadResult>\n");
}


static void
ngx_http_media_store_upload_abort(ngx_http_media_store_job_t *job)
{
    ngx_str_t  path;

    if (ngx_http_media_store_upload_open(job, &path) == NGX_OK) {
        ngx_http_media_store_upload_remove(&path);
    }
}


/* ListParts; all of them, in one page */

static void
ngx_http_media_store_upload_list(ngx_http_media_store_job_t *job)
{
    ngx_int_t                      number;
    ngx_str_t                      path, id;
    ngx_http_media_store_text_t   *t;
    ngx_http_media_store_object_t  part;

    if (ngx_http_media_store_upload_open(job, &path) != NGX_OK) {
        return;
    }

    t = &job->text;
    (void) ngx_http_media_store_arg(job, "uploadId", &id);

    ngx_http_media_store_puts(t, "<ListPartsResult>");
    ngx_http_media_store_xml(t, "Bucket", &job->bucket);
    ngx_http_media_store_xml(t, "Key", &job->key);
    ngx_http_media_store_xml(t, "UploadId", &id);
    ngx_http_media_store_puts(t, "<IsTruncated>false</IsTruncated>");

    for (number = 1; number <= NGX_HTTP_MEDIA_STORE_PART_MAX; number++) {

        ngx_http_media_store_upload_name(&path, number);

        if (ngx_http_media_store_file_open(job->pool, &path, &part)
            != NGX_OK)
        {
            continue;
        }

        ngx_http_media_store_file_close(&part);

        ngx_http_media_store_puts(t, "<Part>");
        ngx_http_media_store_xml_number(t, "PartNumber", number);
        ngx_http_media_store_xml_time(t, "LastModified", part.mtime);
        ngx_http_media_store_puts(t, "<ETag>&quot;");
        ngx_http_media_store_text(t, part.etag.data, part.etag.len);
        ngx_http_media_store_puts(t, "&quot;</ETag>");
        ngx_http_media_store_xml_number(t, "Size", part.size);
        ngx_http_media_store_puts(t, "</Part>");
    }

    ngx_http_media_store_puts(t, "</ListPartsResult>\n");
}


/*
 * Finds the upload that the query names and reads the object's headers to
 * job->lines.  *path is that of its file, the last component to be replaced.
 */

static ngx_int_t
ngx_http_media_store_upload_open(ngx_http_media_store_job_t *job,
    ngx_str_t *path)
{
    int        fd;
    char       name[sizeof(".uploads//upload") + NGX_HTTP_MEDIA_STORE_ID_LEN];
    u_char    *buf, bytes[NGX_HTTP_MEDIA_STORE_ID_LEN / 2];
    size_t     size;
    ssize_t    n;
    ngx_str_t  id;

    job->error = NGX_HTTP_MEDIA_STORE_NO_UPLOAD;

    if (!ngx_http_media_store_arg(job, "uploadId", &id)
        || id.len != NGX_HTTP_MEDIA_STORE_ID_LEN
        || media_hex_decode(bytes, (char *) id.data, id.len) != MEDIA_OK)
    {
        return NGX_ERROR;
    }

    ngx_sprintf((u_char *) name, ".uploads/%V/upload%Z", &id);

    size = job->path.len + 1 + NGX_HTTP_MEDIA_STORE_META_MAX;
    buf = ngx_palloc(job->pool, size);

    if (buf == NULL
        || ngx_http_media_store_root_path(job, name, path) != NGX_OK)
    {
        ngx_http_media_store_job_failed(job, "malloc()");
        return NGX_ERROR;
    }

    fd = open((char *) path->data, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return NGX_ERROR;
    }

    n = read(fd, buf, size);

    (void) close(fd);

    /* the upload of another object is none of this one */

    if (n < (ssize_t) job->path.len + 1
        || ngx_memcmp(buf, job->path.data, job->path.len) != 0
        || buf[job->path.len] != '\n')
    {
        return NGX_ERROR;
    }

    job->lines.data = buf + job->path.len + 1;
    job->lines.len = n - job->path.len - 1;

    job->error = NGX_HTTP_MEDIA_STORE_OK;

    return NGX_OK;
}


/* "upload" goes first: without it no part is taken */

static void
ngx_http_media_store_upload_remove(ngx_str_t *path)
{
    DIR            *dir;
    struct dirent  *entry;

    ngx_memcpy(path->data + path->len - NGX_HTTP_MEDIA_STORE_NAME_LEN,
               "/upload", sizeof("/upload"));

    (void) unlink((char *) path->data);

    path->data[path->len - NGX_HTTP_MEDIA_STORE_NAME_LEN] = '\0';

    dir = opendir((char *) path->data);
    if (dir == NULL) {
        return;
    }

    while ((entry = readdir(dir)) != NULL) {
        (void) unlinkat(dirfd(dir), entry->d_name, 0);
    }

    (void) closedir(dir);
    (void) rmdir((char *) path->data);
}


static void
ngx_http_media_store_upload_name(ngx_str_t *path, ngx_int_t number)
{
    ngx_sprintf(path->data + path->len - NGX_HTTP_MEDIA_STORE_NAME_LEN,
                "/%05i%Z", number);
}
