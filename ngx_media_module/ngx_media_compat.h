/*
 * Copyright (C) ngx_media contributors
 *
 * Differences between the supported versions of nginx: the only file that
 * asks for the version.
 */

#ifndef NGX_MEDIA_COMPAT_H
#define NGX_MEDIA_COMPAT_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Adds a response header; key and value must live as long as the request.
 * Returns the header, or NULL if out of memory.
 */
static ngx_inline ngx_table_elt_t *
ngx_media_add_header(ngx_http_request_t *r, const char *key, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key.data = (u_char *) key;
    h->key.len = ngx_strlen(key);
    h->lowcase_key = NULL;
    h->value = *value;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}

#endif
