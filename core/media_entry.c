/*
 * Copyright (C) ngx_media contributors
 *
 * The head of an object in Redis; its layout is drawn in media_entry.h.
 */

#include <openssl/sha.h>

#include "media_codec.h"
#include "media_entry.h"


#define ENTRY_MAGIC  "NMC2"
#define ENTRY_FIXED  24                 /* bytes before the strings */


static unsigned char *entry_put(unsigned char *p, uint64_t n, size_t bytes);
static uint64_t entry_get(const unsigned char *p, size_t bytes);


void
media_entry_key(char dst[MEDIA_ENTRY_KEY_LEN], media_str_t key)
{
    unsigned char  md[SHA256_DIGEST_LENGTH];

    (void) SHA256((const unsigned char *) key.data, key.len, md);

    memcpy(dst, "media:", 6);
    media_hex_encode(dst + 6, md, sizeof(md));
}


int
media_entry_encode(unsigned char *dst, const media_entry_t *entry)
{
    size_t          i, room;
    unsigned char  *p;

    const media_str_t  strings[] = {
        entry->content_type, entry->etag, entry->disposition
    };

    room = MEDIA_ENTRY_HEAD - ENTRY_FIXED;

    for (i = 0; i < 3; i++) {
        if (strings[i].len > room || (i < 2 && strings[i].len > UINT8_MAX)) {
            return MEDIA_NOSPACE;
        }

        room -= strings[i].len;
    }

    memset(dst, 0, MEDIA_ENTRY_HEAD);
    memcpy(dst, ENTRY_MAGIC, 4);

    p = entry_put(dst + 4, strings[0].len, 1);
    p = entry_put(p, strings[1].len, 1);
    p = entry_put(p, strings[2].len, 2);
    p = entry_put(p, (uint64_t) entry->length, 8);
    p = entry_put(p, (uint64_t) entry->last_modified, 8);

    for (i = 0; i < 3; i++) {
        if (strings[i].len) {
            memcpy(p, strings[i].data, strings[i].len);
            p += strings[i].len;
        }
    }

    return MEDIA_OK;
}


int
media_entry_decode(media_entry_t *entry, const unsigned char *src,
    size_t len)
{
    size_t       i, n, total;
    const char  *p;

    if (len < MEDIA_ENTRY_HEAD || memcmp(src, ENTRY_MAGIC, 4) != 0) {
        return MEDIA_ERROR;
    }

    p = (const char *) src + ENTRY_FIXED;

    n = src[4];
    media_str_set(&entry->content_type, p, n);
    total = n;

    n = src[5];
    media_str_set(&entry->etag, p + total, n);
    total += n;

    n = (size_t) entry_get(src + 6, 2);
    media_str_set(&entry->disposition, p + total, n);
    total += n;

    entry->length = (int64_t) entry_get(src + 8, 8);
    entry->last_modified = (int64_t) entry_get(src + 16, 8);

    if (total > MEDIA_ENTRY_HEAD - ENTRY_FIXED || entry->length < 0
        || entry->last_modified < -1)
    {
        return MEDIA_ERROR;
    }

    /* strings go into response headers; what is behind them is zero */

    for (i = 0; i < total; i++) {
        if ((unsigned char) p[i] < 0x20 || p[i] == 0x7f) {
            return MEDIA_ERROR;
        }
    }

    for (i = ENTRY_FIXED + total; i < MEDIA_ENTRY_HEAD; i++) {
        if (src[i]) {
            return MEDIA_ERROR;
        }
    }

    return MEDIA_OK;
}


static unsigned char *
entry_put(unsigned char *p, uint64_t n, size_t bytes)
{
    size_t  i;

    for (i = bytes; i > 0; i--) {
        p[i - 1] = (unsigned char) (n & 0xff);
        n >>= 8;
    }

    return p + bytes;
}


static uint64_t
entry_get(const unsigned char *p, size_t bytes)
{
    size_t    i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < bytes; i++) {
        n = n << 8 | p[i];
    }

    return n;
}
