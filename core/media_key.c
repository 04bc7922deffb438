/*
 * Copyright (C) ngx_media contributors
 *
 * Object keys.  A key is made of checked components only, and one that comes
 * from outside is taken or refused as it is, never repaired.
 */

#include <openssl/sha.h>

#include "media_codec.h"
#include "media_key.h"
#include "media_url.h"


#define KEY_EXTENSION_MAX  16           /* bytes, with the dot */
#define KEY_HASH           8            /* hex digits of hash8 */
#define KEY_PREVIEW        "_preview.jpg"


static size_t key_safe_copy(char *dst, const char *src, size_t len);
static void key_shorten(char *name, size_t *len);
static int key_component(media_str_t s);
static ssize_t key_join(char *dst, size_t size, const media_str_t *parts,
    size_t n);
static int key_presigned(media_str_t query);
static ssize_t key_from_path(char *dst, size_t size, media_str_t path);
static int key_same(media_str_t a, media_str_t b);


ssize_t
media_key_safe_name(char *dst, size_t size, media_str_t name)
{
    char         buf[2 * MEDIA_KEY_NAME_MAX + KEY_EXTENSION_MAX];
    size_t       i, len, ext;
    const char  *p;

    p = name.data;
    len = name.len;

    for (i = len; i > 0; i--) {
        if (p[i - 1] == '/' || p[i - 1] == '\\') {
            p += i;
            len -= i;
            break;
        }
    }

    /* what is far beyond the limit is cut first, the extension kept */

    if (len > 2 * MEDIA_KEY_NAME_MAX) {
        ext = len < KEY_EXTENSION_MAX ? len : KEY_EXTENSION_MAX;
        memcpy(buf, p, 2 * MEDIA_KEY_NAME_MAX);
        memcpy(buf + 2 * MEDIA_KEY_NAME_MAX, p + len - ext, ext);
        len = 2 * MEDIA_KEY_NAME_MAX + ext;

    } else {
        memcpy(buf, len ? p : "", len);
    }

    len = key_safe_copy(buf, buf, len);
    key_shorten(buf, &len);

    if (len == 0) {
        memcpy(buf, "file", 4);
        len = 4;
    }

    if (len >= size) {
        return MEDIA_NOSPACE;
    }

    memcpy(dst, buf, len);
    dst[len] = '\0';

    return (ssize_t) len;
}


/* leading dots go, other bytes become '_', one a run; dst may be src */

static size_t
key_safe_copy(char *dst, const char *src, size_t len)
{
    int     run;
    char    ch;
    size_t  i, n;

    n = 0;
    run = 0;

    for (i = 0; i < len; i++) {
        ch = src[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-'
            || (ch == '.' && n))
        {
            dst[n++] = ch;
            run = 0;

        } else if (ch != '.' && !run) {
            dst[n++] = '_';
            run = 1;
        }
    }

    return n;
}


static void
key_shorten(char *name, size_t *len)
{
    size_t  i, ext;

    if (*len <= MEDIA_KEY_NAME_MAX) {
        return;
    }

    ext = 0;

    for (i = 1; i <= KEY_EXTENSION_MAX; i++) {
        if (name[*len - i] == '.') {
            ext = i;
            break;
        }
    }

    memmove(name + MEDIA_KEY_NAME_MAX - ext, name + *len - ext, ext);
    *len = MEDIA_KEY_NAME_MAX;
}


ssize_t
media_key_attachment(char *dst, size_t size, media_str_t tenant,
    media_str_t conversation, media_str_t id, media_str_t name)
{
    char         safe[MEDIA_KEY_NAME_MAX + 1];
    ssize_t      n;
    media_str_t  parts[8];
    char         hash[KEY_HASH / 2];

    if (!key_component(tenant) || !key_component(conversation)
        || !key_component(id) || id.len < KEY_HASH
        || media_hex_decode(hash, id.data, KEY_HASH) != MEDIA_OK)
    {
        return MEDIA_ERROR;
    }

    n = media_key_safe_name(safe, sizeof(safe), name);

    media_str_set(&parts[0], "chat/", 5);
    parts[1] = tenant;
    media_str_set(&parts[2], "/", 1);
    parts[3] = conversation;
    media_str_set(&parts[4], "/", 1);
    media_str_set(&parts[5], id.data, KEY_HASH);
    media_str_set(&parts[6], "_", 1);
    media_str_set(&parts[7], safe, (size_t) n);

    return key_join(dst, size, parts, 8);
}


ssize_t
media_key_thumb(char *dst, size_t size, media_str_t key,
    const char *extension)
{
    media_str_t  parts[3];

    parts[0] = key;
    media_str_set(&parts[1], "_thumb.", 7);
    media_str_set(&parts[2], extension, strlen(extension));

    return key_join(dst, size, parts, 3);
}


ssize_t
media_key_preview(char *dst, size_t size, media_str_t key)
{
    media_str_t  parts[2];

    parts[0] = key;
    media_str_set(&parts[1], KEY_PREVIEW, sizeof(KEY_PREVIEW) - 1);

    return key_join(dst, size, parts, 2);
}


int
media_key_is_preview(media_str_t key)
{
    size_t  len;

    len = sizeof(KEY_PREVIEW) - 1;

    return key.len > len
           && memcmp(key.data + key.len - len, KEY_PREVIEW, len) == 0;
}


ssize_t
media_key_profile_pic(char *dst, size_t size, media_str_t tenant,
    media_str_t phone)
{
    size_t       i;
    media_str_t  parts[5];

    if (!key_component(tenant) || phone.len == 0) {
        return MEDIA_ERROR;
    }

    for (i = 0; i < phone.len; i++) {
        if (phone.data[i] < '0' || phone.data[i] > '9') {
            return MEDIA_ERROR;
        }
    }

    media_str_set(&parts[0], "profile_pics/", 13);
    parts[1] = tenant;
    media_str_set(&parts[2], "/", 1);
    parts[3] = phone;
    media_str_set(&parts[4], ".jpg", 4);

    return key_join(dst, size, parts, 5);
}


static int
key_component(media_str_t s)
{
    char    ch;
    size_t  i;

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-'))
        {
            return 0;
        }
    }

    return s.len != 0;
}


static ssize_t
key_join(char *dst, size_t size, const media_str_t *parts, size_t n)
{
    size_t  i, len;

    if (size == 0) {
        return MEDIA_NOSPACE;
    }

    len = 0;

    for (i = 0; i < n; i++) {
        if (parts[i].len >= size - len) {
            return MEDIA_NOSPACE;
        }

        memcpy(dst + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }

    dst[len] = '\0';

    return (ssize_t) len;
}


int
media_key_check(media_str_t key)
{
    size_t         i, start, n;
    unsigned char  ch;

    if (key.len == 0 || key.len > MEDIA_KEY_MAX) {
        return MEDIA_ERROR;
    }

    start = 0;

    for (i = 0; i <= key.len; i++) {
        ch = i < key.len ? (unsigned char) key.data[i] : '/';

        if (ch < 0x20 || ch == 0x7f) {
            return MEDIA_ERROR;
        }

        if (ch != '/') {
            continue;
        }

        n = i - start;

        if (n == 0 || (n == 1 && key.data[start] == '.')
            || (n == 2 && memcmp(key.data + start, "..", 2) == 0))
        {
            return MEDIA_ERROR;
        }

        start = i + 1;
    }

    return MEDIA_OK;
}


ssize_t
media_key_from_url(char *dst, size_t size, media_str_t url,
    media_str_t endpoint, media_str_t bucket)
{
    const char   *query;
    media_str_t   path, host;
    media_url_t   u, e;

    if (bucket.len == 0
        || media_url_parse(&e, endpoint) != MEDIA_OK
        || media_url_parse(&u, url) != MEDIA_OK
        || !key_same(u.scheme, e.scheme) || u.port != e.port)
    {
        return MEDIA_ERROR;
    }

    path = u.target;
    query = memchr(path.data, '?', path.len);

    if (query) {
        path.len = (size_t) (query++ - path.data);
        media_str_set(&host, query, path.data + u.target.len - query);

        if (!key_presigned(host)) {
            return MEDIA_ERROR;
        }
    }

    if (key_same(u.host, e.host)) {

        if (path.len < bucket.len + 2
            || memcmp(path.data + 1, bucket.data, bucket.len) != 0
            || path.data[bucket.len + 1] != '/')
        {
            return MEDIA_ERROR;
        }

        path.data += bucket.len + 1;
        path.len -= bucket.len + 1;

    } else {
        host = u.host;

        if (host.len != bucket.len + 1 + e.host.len
            || host.data[bucket.len] != '.')
        {
            return MEDIA_ERROR;
        }

        host.len = bucket.len;
        u.host.data += bucket.len + 1;
        u.host.len = e.host.len;

        if (!key_same(host, bucket) || !key_same(u.host, e.host)
            || path.len == 0)
        {
            return MEDIA_ERROR;
        }
    }

    path.data++;
    path.len--;

    return key_from_path(dst, size, path);
}


/* the query of a presigned GET names no other resource than the path does */

static int
key_presigned(media_str_t query)
{
    size_t       len;
    const char  *p, *last, *end;

    p = query.data;
    last = p + query.len;

    for ( ;; ) {
        end = memchr(p, '&', (size_t) (last - p));
        end = end ? end : last;
        len = (size_t) (end - p);

        if (!(len > 6 && memcmp(p, "X-Amz-", 6) == 0)
            && !(len == 14 && memcmp(p, "x-id=GetObject", 14) == 0))
        {
            return 0;
        }

        if (end == last) {
            return 1;
        }

        p = end + 1;
    }
}


ssize_t
media_key_from_base(char *dst, size_t size, media_str_t url, media_str_t base)
{
    media_url_t  u, b;

    if (base.len && base.data[0] == '/') {
        u.target = url;
        b.target = base;

    } else if (media_url_parse(&b, base) != MEDIA_OK
               || media_url_parse(&u, url) != MEDIA_OK
               || !key_same(u.scheme, b.scheme) || !key_same(u.host, b.host)
               || u.port != b.port)
    {
        return MEDIA_ERROR;
    }

    if (b.target.len == 0
        || b.target.data[b.target.len - 1] != '/'
        || u.target.len <= b.target.len
        || memcmp(u.target.data, b.target.data, b.target.len) != 0)
    {
        return MEDIA_ERROR;
    }

    u.target.data += b.target.len;
    u.target.len -= b.target.len;

    return key_from_path(dst, size, u.target);
}


/* decoded once; what would be decoded differently elsewhere is refused */

static ssize_t
key_from_path(char *dst, size_t size, media_str_t path)
{
    char           buf[3 * MEDIA_KEY_MAX];
    size_t         i;
    ssize_t        n;
    media_str_t    key;
    unsigned char  ch;

    if (path.len > sizeof(buf)) {
        return MEDIA_ERROR;
    }

    for (i = 0; i < path.len; i++) {
        ch = (unsigned char) path.data[i];

        if (ch < 0x21 || ch > 0x7e || ch == '\\' || ch == '?' || ch == '#') {
            return MEDIA_ERROR;
        }
    }

    n = media_uri_decode(buf, path.data, path.len);
    if (n < 0) {
        return MEDIA_ERROR;
    }

    media_str_set(&key, buf, (size_t) n);

    if (media_key_check(key) != MEDIA_OK || media_utf8_count(buf, key.len) < 0
        || memchr(buf, '%', key.len))
    {
        return MEDIA_ERROR;
    }

    return key_join(dst, size, &key, 1);
}


/* host names and schemes have no case */

static int
key_same(media_str_t a, media_str_t b)
{
    char    x, y;
    size_t  i;

    if (a.len != b.len) {
        return 0;
    }

    for (i = 0; i < a.len; i++) {
        x = a.data[i];
        y = b.data[i];

        x = x >= 'A' && x <= 'Z' ? (char) (x | 0x20) : x;
        y = y >= 'A' && y <= 'Z' ? (char) (y | 0x20) : y;

        if (x != y) {
            return 0;
        }
    }

    return 1;
}


void
media_key_uuid(char dst[MEDIA_KEY_UUID_LEN + 1], media_str_t name)
{
    unsigned char  md[SHA256_DIGEST_LENGTH];

    (void) SHA256((const unsigned char *) name.data, name.len, md);

    md[6] = (unsigned char) ((md[6] & 0x0f) | 0x80);
    md[8] = (unsigned char) ((md[8] & 0x3f) | 0x80);

    media_hex_encode(dst, md, 4);
    dst[8] = '-';
    media_hex_encode(dst + 9, md + 4, 2);
    dst[13] = '-';
    media_hex_encode(dst + 14, md + 6, 2);
    dst[18] = '-';
    media_hex_encode(dst + 19, md + 8, 2);
    dst[23] = '-';
    media_hex_encode(dst + 24, md + 10, 6);
    dst[MEDIA_KEY_UUID_LEN] = '\0';
}


media_str_t
media_key_tenant(media_str_t key)
{
    size_t        i;
    const char   *p, *end;
    media_str_t   tenant = { 0, "" };
    static const media_str_t  prefixes[] = {
        media_str("chat/"), media_str("profile_pics/")
    };

    if (media_key_check(key) != MEDIA_OK) {
        return tenant;
    }

    for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {

        if (key.len <= prefixes[i].len
            || memcmp(key.data, prefixes[i].data, prefixes[i].len) != 0)
        {
            continue;
        }

        p = key.data + prefixes[i].len;
        end = memchr(p, '/', key.data + key.len - p);

        if (end != NULL) {
            media_str_set(&tenant, p, end - p);
        }
    }

    return tenant;
}
