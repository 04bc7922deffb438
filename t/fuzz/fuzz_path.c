/*
 * Copyright (C) ngx_media contributors
 *
 * Files of media_store: the path of any key lies below its bucket, in names
 * that a file system takes, which give the key again.  The input is a key,
 * and a name that stands in a directory.
 */

#include "fuzz.h"
#include "stub.h"

#include "ngx_http_media.h"


static void check_path(ngx_str_t key);
static void check_name(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                          *copy;
    ngx_str_t                      key;
    ngx_http_media_store_error_e   error;

    copy = fuzz_copy(data, size);
    key.data = (u_char *) copy;
    key.len = size;

    error = ngx_http_media_store_key_check(&key);

    if (error == NGX_HTTP_MEDIA_STORE_OK) {
        fuzz_check(size > 0 && size <= NGX_HTTP_MEDIA_STORE_KEY_MAX);
        check_path(key);
    }

    fuzz_check(!ngx_http_media_store_bucket_valid(&key)
               || (size >= 3 && memchr(copy, '/', size) == NULL
                   && copy[0] != '.'));
    check_name(data, size);

    free(copy);
    stub_free();

    return 0;
}


static void
check_path(ngx_str_t key)
{
    char         name[256];
    size_t       dir;
    u_char      *again, *p;
    ssize_t      n;
    ngx_str_t    path, bucket = ngx_string("/srv/media");
    ngx_uint_t   leaf;
    media_str_t  rest, part;

    fuzz_check(ngx_http_media_store_key_path(NULL, &bucket, &key, &path, &dir)
               == NGX_OK);
    fuzz_check(path.len > bucket.len + 1 && path.data[path.len] == '\0');
    fuzz_check(memcmp(path.data, "/srv/media/", bucket.len + 1) == 0);
    fuzz_check(dir > bucket.len && dir < path.len
               && path.data[dir - 1] == '/'
               && strchr((char *) path.data + dir, '/') == NULL);

    media_str_set(&rest, (char *) path.data + bucket.len + 1,
                  path.len - bucket.len - 1);
    again = ngx_pnalloc(NULL, path.len);
    p = again;
    leaf = 0;

    while (rest.len) {
        fuzz_check(!leaf);
        part = fuzz_cut(&rest, '/');
        fuzz_check(part.len > 0 && part.len < sizeof(name)
                   && part.data[0] != '.');

        memcpy(name, part.data, part.len);
        name[part.len] = '\0';
        n = ngx_http_media_store_name_decode(p, name, &leaf);
        fuzz_check(n >= 0);
        p += n;
    }

    fuzz_check(leaf);
    fuzz_check((size_t) (p - again) == key.len
               && memcmp(again, key.data, key.len) == 0);
}


static void
check_name(const uint8_t *data, size_t size)
{
    char        *name;
    u_char      *dst;
    ssize_t      n;
    ngx_uint_t   leaf;

    name = malloc(size + 1);
    fuzz_check(name != NULL);

    if (size) {
        memcpy(name, data, size);
    }

    name[size] = '\0';
    dst = ngx_pnalloc(NULL, strlen(name));
    n = ngx_http_media_store_name_decode(dst, name, &leaf);
    fuzz_check(n == NGX_ERROR || (n >= 0 && (size_t) n <= strlen(name)));

    free(name);
}
