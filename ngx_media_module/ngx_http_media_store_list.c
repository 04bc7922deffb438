
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <dirent.h>

#include "ngx_http_media.h"


/* an entry of a directory, and what it adds to the key */
typedef struct {
    ngx_str_t                      name;
    ngx_str_t                      bytes;
    ngx_uint_t                     leaf;
} ngx_http_media_store_entry_t;


typedef struct {
    ngx_http_media_store_job_t    *job;
    ngx_str_t                      prefix;
    ngx_str_t                      delimiter;
    ngx_str_t                      after;       /* keys up to it are past */
    ngx_str_t                      group;       /* common prefix to skip */
    ngx_uint_t                     max;
    ngx_uint_t                     count;
    ngx_str_t                      last;        /* the last one listed */
    ngx_http_media_store_text_t    keys;
    ngx_http_media_store_text_t    groups;
    u_char                         key[NGX_HTTP_MEDIA_STORE_KEY_MAX * 2];
    u_char                        *path;        /* of the directory read */
    unsigned                       url:1;       /* encoding-type */
    unsigned                       v2:1;
    unsigned                       owner:1;
    unsigned                       truncated:1;
    unsigned                       last_group:1;
} ngx_http_media_store_list_t;


static void ngx_http_media_store_list_work(ngx_http_media_store_job_t *job);
static ngx_int_t ngx_http_media_store_list_args(
    ngx_http_media_store_list_t *ls);
static ngx_int_t ngx_http_media_store_list_token(
    ngx_http_media_store_list_t *ls, ngx_str_t *token);
static ngx_int_t ngx_http_media_store_list_walk(
    ngx_http_media_store_list_t *ls, size_t path_len, size_t key_len);
static ngx_int_t ngx_http_media_store_list_entry(
    ngx_http_media_store_list_t *ls, ngx_http_media_store_entry_t *entry,
    size_t path_len, size_t key_len);
static ngx_int_t ngx_http_media_store_list_read(
    ngx_http_media_store_list_t *ls, ngx_pool_t *pool, ngx_array_t *entries,
    size_t key_len);
static ngx_uint_t ngx_http_media_store_list_wanted(
    ngx_http_media_store_list_t *ls, size_t len, ngx_uint_t leaf);
static int ngx_libc_cdecl ngx_http_media_store_list_compare(const void *one,
    const void *two);
static ngx_int_t ngx_http_media_store_list_key(
    ngx_http_media_store_list_t *ls, size_t path_len, size_t key_len);
static ngx_int_t ngx_http_media_store_list_group(
    ngx_http_media_store_list_t *ls, size_t len);
static void ngx_http_media_store_list_xml(ngx_http_media_store_list_t *ls);
static void ngx_http_media_store_list_text(ngx_http_media_store_list_t *ls,
    ngx_http_media_store_text_t *t, const char *name, ngx_str_t *value);


ngx_int_t
ngx_http_media_store_list(ngx_http_media_store_job_t *job)
{
    job->work = ngx_http_media_store_list_work;
    job->done = ngx_http_media_store_finish;

    return ngx_http_media_store_start(job);
}


static void
ngx_http_media_store_list_work(ngx_http_media_store_job_t *job)
{
    size_t                        dir, key_len;
    u_char                       *slash;
    ngx_str_t                     path;
    ngx_http_media_store_list_t  *ls;

    if (access((char *) job->bucket_path.data, F_OK) == -1) {
        job->error = NGX_HTTP_MEDIA_STORE_NO_BUCKET;
        return;
    }

    ls = ngx_pcalloc(job->pool, sizeof(ngx_http_media_store_list_t));
    if (ls == NULL) {
        ngx_http_media_store_job_failed(job, "malloc()");
        return;
    }

    ls->job = job;
    ls->keys.pool = job->pool;
    ls->groups.pool = job->pool;
    ngx_str_set(&ls->prefix, "");

    if (ngx_http_media_store_list_args(ls) != NGX_OK) {
        job->error = NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT;
        return;
    }

    /* the walk starts in the directory that the prefix names */

    if (ngx_http_media_store_key_path(job->pool, &job->bucket_path,
                                      &ls->prefix, &path, &dir)
        != NGX_OK)
    {
        ngx_http_media_store_job_failed(job, "malloc()");
        return;
    }

    ls->path = ngx_pnalloc(job->pool, PATH_MAX * 2);
    if (ls->path == NULL) {
        ngx_http_media_store_job_failed(job, "malloc()");
        return;
    }

    (void) ngx_cpystrn(ls->path, path.data, dir + 1);

    key_len = 0;

    /* each directory of the path stands for 80 bytes or for up to a slash */

    for (slash = path.data + job->bucket_path.len + 1;
         slash < path.data + dir; slash++)
    {
        if (slash[0] == '+' && slash[1] == '/') {
            key_len += 80;
            continue;
        }

        if (slash[0] == '=' && slash[1] == '/') {
            while (ls->prefix.data[key_len] != '/') {
                key_len++;
            }

            key_len++;
        }
    }

    ngx_memcpy(ls->key, ls->prefix.data, key_len);

    if (ls->max != 0
        && ngx_http_media_store_list_walk(ls, dir, key_len) == NGX_ERROR)
    {
        ngx_http_media_store_job_failed(job, "readdir()");
        return;
    }

    ngx_http_media_store_list_xml(ls);
}


static ngx_int_t
ngx_http_media_store_list_args(ngx_http_media_store_list_t *ls)
{
    ngx_int_t                    max;
    ngx_str_t                    value;
    ngx_http_media_store_job_t  *job;

    job = ls->job;

    (void) ngx_http_media_store_arg(job, "prefix", &ls->prefix);
    (void) ngx_http_media_store_arg(job, "delimiter", &ls->delimiter);

    ls->max = NGX_HTTP_MEDIA_STORE_LIST_MAX;

    if (ngx_http_media_store_arg(job, "max-keys", &value) && value.len) {
        max = ngx_atoi(value.data, value.len);
        if (max == NGX_ERROR) {
            return NGX_ERROR;
        }

        ls->max = ngx_min(max, NGX_HTTP_MEDIA_STORE_LIST_MAX);
    }

    if (ngx_http_media_store_arg(job, "encoding-type", &value) && value.len) {
        if (value.len != 3 || ngx_strncmp(value.data, "url", 3) != 0) {
            return NGX_ERROR;
        }

        ls->url = 1;
    }

    ls->v2 = ngx_http_media_store_arg(job, "list-type", &value)
             && value.len == 1 && value.data[0] == '2';
    ls->owner = !ls->v2 || ngx_http_media_store_arg(job, "fetch-owner", NULL);

    if (ls->v2) {
        (void) ngx_http_media_store_arg(job, "start-after", &ls->after);

        if (ngx_http_media_store_arg(job, "continuation-token", &value)) {
            return ngx_http_media_store_list_token(ls, &value);
        }

    } else {
        (void) ngx_http_media_store_arg(job, "marker", &ls->after);

        /* a marker that is a common prefix stands for all keys below it */

        if (ls->delimiter.len
            && ls->after.len >= ls->prefix.len + ls->delimiter.len
            && ngx_memcmp(ls->after.data + ls->after.len - ls->delimiter.len,
                          ls->delimiter.data, ls->delimiter.len)
               == 0)
        {
            ls->group = ls->after;
        }
    }

    if (ls->prefix.len > NGX_HTTP_MEDIA_STORE_KEY_MAX) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* in hex digits: 'k' and a key, or 'g' and a common prefix */

static ngx_int_t
ngx_http_media_store_list_token(ngx_http_media_store_list_t *ls,
    ngx_str_t *token)
{
    u_char  *p;

    if (token->len < 2 || token->len % 2) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(ls->job->pool, token->len / 2);

    if (p == NULL
        || media_hex_decode(p, (char *) token->data, token->len) != MEDIA_OK)
    {
        return NGX_ERROR;
    }

    ls->after.data = p + 1;
    ls->after.len = token->len / 2 - 1;

    if (p[0] == 'g') {
        ls->group = ls->after;
    }

    return NGX_OK;
}


/*
 * Lists what is below ls->path, whose keys begin with key_len bytes of
 * ls->key.  NGX_DONE: the page is full.
 */

static ngx_int_t
ngx_http_media_store_list_walk(ngx_http_media_store_list_t *ls,
    size_t path_len, size_t key_len)
{
    ngx_int_t                      rc, more;
    ngx_uint_t                     i;
    ngx_pool_t                    *pool;
    ngx_array_t                    entries;
    ngx_http_media_store_entry_t  *entry;

    do {
        pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ls->job->pool->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        more = ngx_http_media_store_list_read(ls, pool, &entries, key_len);
        rc = more == NGX_ERROR ? NGX_ERROR : NGX_OK;

        entry = entries.elts;

        for (i = 0; rc == NGX_OK && i < entries.nelts; i++) {
            rc = ngx_http_media_store_list_entry(ls, &entry[i], path_len,
                                                 key_len);

            /* a second look at the directory begins behind this one */

            if (rc == NGX_OK && more == NGX_AGAIN
                && i == entries.nelts - 1)
            {
                ngx_memcpy(ls->key + key_len, entry[i].bytes.data,
                           entry[i].bytes.len);

                ls->after.len = key_len + entry[i].bytes.len;
                ls->after.data = ngx_pnalloc(ls->job->pool, ls->after.len + 1);

                if (ls->after.data == NULL) {
                    rc = NGX_ERROR;
                    break;
                }

                ngx_memcpy(ls->after.data, ls->key, ls->after.len);

                /* UTF-8 has no such byte: behind all keys below an entry */

                if (!entry[i].leaf) {
                    ls->after.data[ls->after.len++] = 0xff;
                }
            }
        }

        ngx_destroy_pool(pool);

        ls->path[path_len] = '\0';

    } while (rc == NGX_OK && more == NGX_AGAIN);

    return rc;
}


static ngx_int_t
ngx_http_media_store_list_entry(ngx_http_media_store_list_t *ls,
    ngx_http_media_store_entry_t *entry, size_t path_len, size_t key_len)
{
    u_char  *p;

    p = ngx_cpymem(ls->path + path_len, entry->name.data, entry->name.len);
    ngx_memcpy(ls->key + key_len, entry->bytes.data, entry->bytes.len);

    path_len += entry->name.len;
    key_len += entry->bytes.len;

    /* the common prefix may have been listed since the directory was read */

    if (!ngx_http_media_store_list_wanted(ls, key_len, entry->leaf)) {
        return NGX_OK;
    }

    if (entry->leaf) {
        *p = '\0';
        return ngx_http_media_store_list_key(ls, path_len, key_len);
    }

    *p++ = '/';
    *p = '\0';

    return ngx_http_media_store_list_walk(ls, path_len + 1, key_len);
}


/*
 * Reads the first entries of ls->path that may give a wanted key, in order.
 * NGX_AGAIN: there are more, left out so that memory is bounded.
 */

static ngx_int_t
ngx_http_media_store_list_read(ngx_http_media_store_list_t *ls,
    ngx_pool_t *pool, ngx_array_t *entries, size_t key_len)
{
    DIR                           *dir;
    size_t                         len;
    ssize_t                        n;
    ngx_int_t                      rc;
    ngx_uint_t                     leaf, keep;
    struct dirent                 *d;
    ngx_http_media_store_entry_t  *entry;

    rc = NGX_OK;
    keep = NGX_HTTP_MEDIA_STORE_LIST_MAX + 1;
    entries->nelts = 0;

    dir = opendir((char *) ls->path);
    if (dir == NULL) {
        return ngx_errno == NGX_ENOENT ? NGX_OK : NGX_ERROR;
    }

    if (ngx_array_init(entries, pool, 16,
                       sizeof(ngx_http_media_store_entry_t))
        != NGX_OK)
    {
        goto failed;
    }

    while ((d = readdir(dir)) != NULL) {

        n = ngx_http_media_store_name_decode(ls->key + key_len, d->d_name,
                                             &leaf);

        if (n == NGX_ERROR
            || key_len + n > NGX_HTTP_MEDIA_STORE_KEY_MAX
            || !ngx_http_media_store_list_wanted(ls, key_len + n, leaf))
        {
            continue;
        }

        len = ngx_strlen(d->d_name);

        entry = ngx_array_push(entries);
        if (entry == NULL) {
            goto failed;
        }

        entry->name.data = ngx_pnalloc(pool, len + n);
        if (entry->name.data == NULL) {
            goto failed;
        }

        entry->leaf = leaf;
        entry->name.len = len;
        entry->bytes.len = n;
        entry->bytes.data = ngx_cpymem(entry->name.data, d->d_name, len);
        ngx_memcpy(entry->bytes.data, ls->key + key_len, n);

        if (entries->nelts >= 4 * keep) {
            ngx_qsort(entries->elts, entries->nelts,
                      sizeof(ngx_http_media_store_entry_t),
                      ngx_http_media_store_list_compare);
            entries->nelts = keep;
            rc = NGX_AGAIN;
        }
    }

    (void) closedir(dir);

    ngx_qsort(entries->elts, entries->nelts,
              sizeof(ngx_http_media_store_entry_t),
              ngx_http_media_store_list_compare);

    if (rc == NGX_AGAIN) {
        entries->nelts = keep;
    }

    return rc;

failed:

    entries->nelts = 0;
    (void) closedir(dir);

    return NGX_ERROR;
}


/* len bytes of ls->key are a key, or (not a leaf) begin every key below */

static ngx_uint_t
ngx_http_media_store_list_wanted(ngx_http_media_store_list_t *ls, size_t len,
    ngx_uint_t leaf)
{
    size_t     n;
    ngx_int_t  rc;

    n = leaf ? ls->prefix.len : ngx_min(len, ls->prefix.len);

    if (len < n || ngx_memcmp(ls->key, ls->prefix.data, n) != 0) {
        return 0;
    }

    if (ls->group.len && len >= ls->group.len
        && ngx_memcmp(ls->key, ls->group.data, ls->group.len) == 0)
    {
        return 0;
    }

    if (ls->after.len == 0) {
        return 1;
    }

    n = ngx_min(len, ls->after.len);
    rc = ngx_memcmp(ls->key, ls->after.data, n);

    if (rc != 0) {
        return rc > 0;
    }

    return len > ls->after.len || !leaf;
}


/* of equal bytes the object comes before what continues it */

static int ngx_libc_cdecl
ngx_http_media_store_list_compare(const void *one, const void *two)
{
    int                            rc;
    ngx_http_media_store_entry_t  *a, *b;

    a = (ngx_http_media_store_entry_t *) one;
    b = (ngx_http_media_store_entry_t *) two;

    rc = ngx_memn2cmp(a->bytes.data, b->bytes.data, a->bytes.len,
                      b->bytes.len);

    return rc ? rc : (int) b->leaf - (int) a->leaf;
}


static ngx_int_t
ngx_http_media_store_list_key(ngx_http_media_store_list_t *ls,
    size_t path_len, size_t key_len)
{
    u_char                         *p;
    ngx_str_t                       s, path;
    ngx_http_media_store_text_t    *t;
    ngx_http_media_store_object_t   object;

    path.data = ls->path;
    path.len = path_len;

    /* gone since, or not the store's */

    if (ngx_http_media_store_file_open(ls->job->pool, &path, &object)
        != NGX_OK)
    {
        return NGX_OK;
    }

    ngx_http_media_store_file_close(&object);

    if (ls->count == ls->max) {
        ls->truncated = 1;
        return NGX_DONE;
    }

    if (ls->delimiter.len) {
        p = ngx_strnstr(ls->key + ls->prefix.len,
                        (char *) ls->delimiter.data,
                        key_len - ls->prefix.len);
        if (p != NULL) {
            return ngx_http_media_store_list_group(ls,
                                           p + ls->delimiter.len - ls->key);
        }
    }

    s.data = ngx_pnalloc(ls->job->pool, key_len + 1);
    if (s.data == NULL) {
        return NGX_ERROR;
    }

    s.len = key_len;
    ngx_memcpy(s.data, ls->key, key_len);

    t = &ls->keys;

    ngx_http_media_store_puts(t, "<Contents>");
    ngx_http_media_store_list_text(ls, t, "Key", &s);
    ngx_http_media_store_xml_time(t, "LastModified", object.mtime);
    ngx_http_media_store_puts(t, "<ETag>&quot;");
    ngx_http_media_store_text(t, object.etag.data, object.etag.len);
    ngx_http_media_store_puts(t, "&quot;</ETag>");
    ngx_http_media_store_xml_number(t, "Size", object.size);

    if (ls->owner) {
        ngx_http_media_store_puts(t, "<Owner><ID>media</ID><DisplayName>"
                                     "media</DisplayName></Owner>");
    }

    ngx_http_media_store_puts(t, "<StorageClass>STANDARD</StorageClass>"
                                 "</Contents>");

    ls->count++;
    ls->last = s;
    ls->last_group = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_store_list_group(ngx_http_media_store_list_t *ls, size_t len)
{
    ngx_str_t  s;

    s.data = ngx_pnalloc(ls->job->pool, len);
    if (s.data == NULL) {
        return NGX_ERROR;
    }

    s.len = len;
    ngx_memcpy(s.data, ls->key, len);

    ngx_http_media_store_puts(&ls->groups, "<CommonPrefixes>");
    ngx_http_media_store_list_text(ls, &ls->groups, "Prefix", &s);
    ngx_http_media_store_puts(&ls->groups, "</CommonPrefixes>");

    ls->count++;
    ls->group = s;
    ls->last = s;
    ls->last_group = 1;

    return NGX_OK;
}


static void
ngx_http_media_store_list_xml(ngx_http_media_store_list_t *ls)
{
    u_char                       *p;
    ngx_str_t                     s;
    ngx_http_media_store_job_t   *job;
    ngx_http_media_store_text_t  *t;

    job = ls->job;
    t = &job->text;

    ngx_http_media_store_puts(t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                                 "<ListBucketResult xmlns=\"http://s3.amazonaws"
                                 ".com/doc/2006-03-01/\">");

    ngx_http_media_store_xml(t, "Name", &job->bucket);
    ngx_http_media_store_list_text(ls, t, "Prefix", &ls->prefix);

    if (ls->delimiter.len) {
        ngx_http_media_store_list_text(ls, t, "Delimiter", &ls->delimiter);
    }

    ngx_http_media_store_xml_number(t, "MaxKeys", ls->max);

    if (ls->url) {
        ngx_http_media_store_puts(t, "<EncodingType>url</EncodingType>");
    }

    if (ls->v2) {
        ngx_http_media_store_xml_number(t, "KeyCount", ls->count);

        if (ngx_http_media_store_arg(job, "continuation-token", &s)) {
            ngx_http_media_store_xml(t, "ContinuationToken", &s);
        }

        if (ngx_http_media_store_arg(job, "start-after", &s)) {
            ngx_http_media_store_list_text(ls, t, "StartAfter", &s);
        }

    } else {
        ngx_str_null(&s);
        (void) ngx_http_media_store_arg(job, "marker", &s);
        ngx_http_media_store_list_text(ls, t, "Marker", &s);
    }

    ngx_http_media_store_puts(t, ls->truncated
                                 ? "<IsTruncated>true</IsTruncated>"
                                 : "<IsTruncated>false</IsTruncated>");

    if (ls->truncated && !ls->v2) {
        ngx_http_media_store_list_text(ls, t, "NextMarker", &ls->last);
    }

    if (ls->truncated && ls->v2) {
        s.len = 2 + ls->last.len * 2;

        p = ngx_pnalloc(job->pool, s.len);
        if (p == NULL) {
            t->failed = 1;
            return;
        }

        s.data = p;
        media_hex_encode((char *) p, ls->last_group ? "g" : "k", 1);
        media_hex_encode((char *) p + 2, ls->last.data, ls->last.len);

        ngx_http_media_store_xml(t, "NextContinuationToken", &s);
    }

    ngx_http_media_store_text(t, ls->keys.start,
                              ls->keys.last - ls->keys.start);
    ngx_http_media_store_text(t, ls->groups.start,
                              ls->groups.last - ls->groups.start);
    ngx_http_media_store_puts(t, "</ListBucketResult>\n");

    t->failed |= ls->keys.failed | ls->groups.failed;
}


static void
ngx_http_media_store_list_text(ngx_http_media_store_list_t *ls,
    ngx_http_media_store_text_t *t, const char *name, ngx_str_t *value)
{
    if (ls->url) {
        ngx_http_media_store_xml_url(t, name, value);

    } else {
        ngx_http_media_store_xml(t, name, value);
    }
}
