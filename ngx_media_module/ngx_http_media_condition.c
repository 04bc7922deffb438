
/*
 * Copyright (C) ngx_media contributors
 *
 * Conditions of requests, RFC 9110, section 13.  The core's not modified filter
 * knows another order and exact dates, so it finds none left to test; ranges
 * are left to the core, but not those that the RFC has ignored.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_RANGES_MAX  32


static time_t ngx_http_media_condition_date(ngx_table_elt_t *h);
static ngx_uint_t ngx_http_media_condition_match(ngx_str_t *list,
    ngx_str_t *etag, ngx_uint_t weak);
static u_char *ngx_http_media_condition_tag(ngx_str_t *tag, u_char *p,
    u_char *last);
static ngx_uint_t ngx_http_media_condition_weak(ngx_str_t *tag);
static ngx_uint_t ngx_http_media_condition_bytes(ngx_str_t *value);
static ngx_uint_t ngx_http_media_condition_overlap(ngx_http_request_t *r);


void
ngx_http_media_condition_normalize(ngx_http_request_t *r)
{
    ngx_http_headers_in_t  *in;

    in = &r->headers_in;

    if (in->if_match
        || (in->if_unmodified_since
            && ngx_http_media_condition_date(in->if_unmodified_since) == -1))
    {
        in->if_unmodified_since = NULL;
    }

    if (in->if_none_match
        || (in->if_modified_since
            && ngx_http_media_condition_date(in->if_modified_since) == -1))
    {
        in->if_modified_since = NULL;
    }
}


void
ngx_http_media_condition_range(ngx_http_request_t *r)
{
    ngx_http_headers_in_t  *in;

    in = &r->headers_in;

    if (in->range == NULL
        || r->method != NGX_HTTP_GET
        || !ngx_http_media_condition_bytes(&in->range->value)
        || (in->if_range
            && ngx_http_media_condition_weak(&in->if_range->value)))
    {
        in->range = NULL;
        in->if_range = NULL;
    }
}


/* whether the core would look at it, and how many there are */

static ngx_uint_t
ngx_http_media_condition_bytes(ngx_str_t *value)
{
    size_t      i;
    ngx_uint_t  n;

    if (value->len < sizeof("bytes=")
        || ngx_strncasecmp(value->data, (u_char *) "bytes=", 6) != 0)
    {
        return 0;
    }

    n = 1;

    for (i = 0; i < value->len; i++) {
        n += (value->data[i] == ',');
    }

    return n <= NGX_HTTP_MEDIA_RANGES_MAX;
}


static time_t
ngx_http_media_condition_date(ngx_table_elt_t *h)
{
    return ngx_parse_http_time(h->value.data, h->value.len);
}


ngx_int_t
ngx_http_media_condition_test(ngx_http_request_t *r, ngx_str_t *etag,
    time_t last_modified)
{
    ngx_http_headers_in_t  *in;

    in = &r->headers_in;

    if (in->if_match) {

        if (!ngx_http_media_condition_match(&in->if_match->value, etag, 0)) {
            return NGX_HTTP_PRECONDITION_FAILED;
        }

    } else if (in->if_unmodified_since && last_modified != -1) {

        if (ngx_http_media_condition_date(in->if_unmodified_since)
            < last_modified)
        {
            return NGX_HTTP_PRECONDITION_FAILED;
        }
    }

    if (in->if_none_match) {

        if (ngx_http_media_condition_match(&in->if_none_match->value, etag,
                                           1))
        {
            return NGX_HTTP_NOT_MODIFIED;
        }

    } else if (in->if_modified_since && last_modified != -1) {

        if (ngx_http_media_condition_date(in->if_modified_since)
            >= last_modified)
        {
            return NGX_HTTP_NOT_MODIFIED;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_media_condition_apply(ngx_http_request_t *r)
{
    ngx_int_t   rc;
    ngx_str_t   etag;

    if (r->headers_out.status != NGX_HTTP_OK
        && r->headers_out.status != NGX_HTTP_PARTIAL_CONTENT)
    {
        return NGX_OK;
    }

    ngx_str_null(&etag);

    if (r->headers_out.etag) {
        etag = r->headers_out.etag->value;
    }

    rc = ngx_http_media_condition_test(r, &etag,
                                       r->headers_out.last_modified_time);

    /* the core's filters have nothing to add */

    r->headers_in.if_match = NULL;
    r->headers_in.if_none_match = NULL;
    r->headers_in.if_modified_since = NULL;
    r->headers_in.if_unmodified_since = NULL;

    if (rc == NGX_HTTP_PRECONDITION_FAILED) {
        return rc;
    }

    if (r->headers_in.range
        && (ngx_http_media_range_if_range(r) != NGX_OK
            || ngx_http_media_condition_overlap(r)))
    {
        r->headers_in.range = NULL;
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    r->headers_out.status = NGX_HTTP_NOT_MODIFIED;
    r->headers_out.status_line.len = 0;

    if (r->headers_out.content_range) {
        r->headers_out.content_range->hash = 0;
        r->headers_out.content_range = NULL;
    }

    if (r->headers_out.content_encoding) {
        r->headers_out.content_encoding->hash = 0;
        r->headers_out.content_encoding = NULL;
    }

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    return NGX_OK;
}


/* ranges that are more than the object: the core sends all of it */

static ngx_uint_t
ngx_http_media_condition_overlap(ngx_http_request_t *r)
{
    ngx_uint_t  n;

    return ngx_http_media_condition_ranges(r, &n) == NGX_DECLINED && n > 1;
}


ngx_int_t
ngx_http_media_condition_ranges(ngx_http_request_t *r, ngx_uint_t *n)
{
    off_t                      size, total;
    ngx_int_t                  rc;
    ngx_str_t                 *value;
    ngx_array_t                ranges;
    ngx_http_core_loc_conf_t  *clcf;

    *n = 1;
    value = &r->headers_in.range->value;
    total = r->headers_out.content_length_n;

    if (ngx_strlchr(value->data, value->data + value->len, ',') == NULL
        || (r->headers_out.status == NGX_HTTP_OK && total == -1)
        || (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
            && ngx_http_media_range_size(r, &size, &total) != NGX_OK))
    {
        return NGX_DECLINED;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    rc = ngx_http_media_range_parse(r, total, clcf->max_ranges, &ranges);
    *n = ranges.nelts;

    return rc;
}


/* "*" matches whatever there is, the tags of a list the object's own */

static ngx_uint_t
ngx_http_media_condition_match(ngx_str_t *list, ngx_str_t *etag,
    ngx_uint_t weak)
{
    u_char     *p, *last;
    ngx_str_t   own, tag;

    p = list->data;
    last = p + list->len;

    if (list->len == 1 && *p == '*') {
        return 1;
    }

    own = *etag;

    if (own.len == 0 || (!weak && ngx_http_media_condition_weak(&own))) {
        return 0;
    }

    if (ngx_http_media_condition_weak(&own)) {
        own.data += 2;
        own.len -= 2;
    }

    for ( ;; ) {
        p = ngx_http_media_condition_tag(&tag, p, last);

        if (tag.len == 0) {
            return 0;
        }

        if (ngx_http_media_condition_weak(&tag)) {

            if (!weak) {
                continue;
            }

            tag.data += 2;
            tag.len -= 2;
        }

        if (tag.len == own.len
            && ngx_memcmp(tag.data, own.data, own.len) == 0)
        {
            return 1;
        }
    }
}


/* the next tag of a list, with its quotes; some servers' have none */

static u_char *
ngx_http_media_condition_tag(ngx_str_t *tag, u_char *p, u_char *last)
{
    u_char  *start;

    while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) { p++; }

    start = p;

    if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
        p += 2;
    }

    if (p < last && *p == '"') {
        p++;

        while (p < last && *p != '"') { p++; }

        if (p < last) {
            p++;
        }
    }

    while (p < last && *p != ',' && *p != ' ' && *p != '\t') { p++; }

    tag->data = start;
    tag->len = p - start;

    return p;
}


static ngx_uint_t
ngx_http_media_condition_weak(ngx_str_t *tag)
{
    return tag->len > 2 && tag->data[0] == 'W' && tag->data[1] == '/';
}
