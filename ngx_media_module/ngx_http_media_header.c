
/*
 * Copyright (C) ngx_media contributors
 *
 * The list of a response's headers.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


typedef struct {
    ngx_list_part_t  *part;
    ngx_uint_t        i;
} ngx_http_media_header_iter_t;


static ngx_table_elt_t *ngx_http_media_header_next(
    ngx_http_media_header_iter_t *iter);
static ngx_uint_t ngx_http_media_header_is(ngx_table_elt_t *h,
    const char *name);


/* removed headers are passed over; the iterator begins with the first part */

static ngx_table_elt_t *
ngx_http_media_header_next(ngx_http_media_header_iter_t *iter)
{
    ngx_table_elt_t  *h;

    while (iter->part) {

        if (iter->i >= iter->part->nelts) {
            iter->part = iter->part->next;
            iter->i = 0;
            continue;
        }

        h = iter->part->elts;
        h += iter->i++;

        if (h->hash) {
            return h;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_http_media_header_is(ngx_table_elt_t *h, const char *name)
{
    return h->key.len == ngx_strlen(name)
           && ngx_strncasecmp(h->key.data, (u_char *) name, h->key.len) == 0;
}


ngx_uint_t
ngx_http_media_header_upstream(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    ngx_table_elt_t               *uh;
    ngx_http_media_header_iter_t   iter;

    if (r->upstream == NULL) {
        return 0;
    }

    iter.part = &r->upstream->headers_in.headers.part;
    iter.i = 0;

    while ((uh = ngx_http_media_header_next(&iter)) != NULL) {

        /* the core copies headers, but not their names */

        if (uh->key.data == h->key.data) {
            return 1;
        }
    }

    return 0;
}


ngx_table_elt_t *
ngx_http_media_header_get(ngx_http_request_t *r, const char *name)
{
    ngx_table_elt_t               *h;
    ngx_http_media_header_iter_t   iter;

    iter.part = &r->headers_out.headers.part;
    iter.i = 0;

    while ((h = ngx_http_media_header_next(&iter)) != NULL) {
        if (ngx_http_media_header_is(h, name)) {
            return h;
        }
    }

    return NULL;
}


ngx_table_elt_t *
ngx_http_media_header_set(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    const char  *names[2];

    names[0] = name;
    names[1] = NULL;

    ngx_http_media_header_remove(r, names, 0);

    return ngx_media_add_header(r, name, value);
}


void
ngx_http_media_header_remove(ngx_http_request_t *r, const char **names,
    ngx_uint_t keep)
{
    ngx_uint_t                     i;
    ngx_table_elt_t               *h;
    ngx_http_media_header_iter_t   iter;

    iter.part = &r->headers_out.headers.part;
    iter.i = 0;

    while ((h = ngx_http_media_header_next(&iter)) != NULL) {

        for (i = 0; names[i]; i++) {
            if (ngx_http_media_header_is(h, names[i])) {
                break;
            }
        }

        if (keep) {
            if (names[i] == NULL && ngx_http_media_header_upstream(r, h)) {
                h->hash = 0;
            }

        } else if (names[i]) {
            h->hash = 0;
        }
    }
}
