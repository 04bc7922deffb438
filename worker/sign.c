/*
 * Copyright (C) ngx_media contributors
 *
 * Signed URLs (core/media_sign.h) with the key of the configuration: for
 * events, and for mediactl.
 */

#include "media_worker.h"


int
sign_url(char *dst, size_t size, const char *key, time_t expires)
{
    size_t            len;
    media_str_t       s;
    media_sign_key_t  k;

    media_str_set(&s, key, strlen(key));

    if (media_key_tenant(s).len == 0
        || store_public_url(dst, size, key) != 0)
    {
        return -1;
    }

    media_str_set(&k.id, conf.sign_key_id, strlen(conf.sign_key_id));
    media_str_set(&k.secret, conf.sign_key, strlen(conf.sign_key));
    len = strlen(dst);

    return media_sign_query(dst + len, size - len, &k, s, expires) < 0
           ? -1 : 0;
}
