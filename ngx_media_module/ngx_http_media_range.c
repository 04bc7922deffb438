
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


static ngx_int_t ngx_http_media_range_parse_one(u_char **pos, off_t total,
    ngx_http_media_range_t *range);
static off_t ngx_http_media_range_number(u_char **pos);


ngx_int_t
ngx_http_media_range_if_range(ngx_http_request_t *r)
{
    ngx_str_t  *value, *etag;

    if (r->headers_in.if_range == NULL) {
        return NGX_OK;
    }

    value = &r->headers_in.if_range->value;

    if (value->len >= 2 && value->data[value->len - 1] == '"') {

        if (r->headers_out.etag == NULL) {
            return NGX_DECLINED;
        }

        etag = &r->headers_out.etag->value;

        return (value->len == etag->len
                && ngx_strncmp(value->data, etag->data, etag->len) == 0)
               ? NGX_OK : NGX_DECLINED;
    }

    if (r->headers_out.last_modified_time == (time_t) -1
        || ngx_parse_http_time(value->data, value->len)
           != r->headers_out.last_modified_time)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_media_range_size(ngx_http_request_t *r, off_t *size,
    off_t *total)
{
    off_t  start;

    if (r->headers_out.status == NGX_HTTP_OK) {

        *size = r->headers_out.content_length_n;
        *total = *size;

        return (*size > 0 && r->allow_ranges && r->single_range)
               ? NGX_OK : NGX_DECLINED;
    }

    if (ngx_http_media_range_content(r, &start, size, total) != NGX_OK) {
        return NGX_DECLINED;
    }

    return (start == 0) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_media_range_content(ngx_http_request_t *r, off_t *start, off_t *end,
    off_t *total)
{
    u_char     *p;
    ngx_str_t  *value;

    if (r->headers_out.status != NGX_HTTP_PARTIAL_CONTENT
        || r->headers_out.content_range == NULL)
    {
        return NGX_DECLINED;
    }

    value = &r->headers_out.content_range->value;
    p = value->data;

    if (value->len < 6 || ngx_strncmp(p, "bytes ", 6) != 0) {
        return NGX_DECLINED;
    }

    p += 6;
    *start = ngx_http_media_range_number(&p);

    if (*start < 0 || *p++ != '-') {
        return NGX_DECLINED;
    }

    *end = ngx_http_media_range_number(&p);

    if (*end < *start || *end == NGX_MAX_OFF_T_VALUE || *p++ != '/') {
        return NGX_DECLINED;
    }

    (*end)++;
    *total = ngx_http_media_range_number(&p);

    return (*total >= *end && *p == '\0') ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_media_range_parse(ngx_http_request_t *r, off_t total, ngx_uint_t max,
    ngx_array_t *ranges)
{
    off_t                    size;
    u_char                  *p;
    ngx_http_media_range_t   range, *added;

    if (ngx_array_init(ranges, r->pool, 4, sizeof(ngx_http_media_range_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = r->headers_in.range->value.data + 6;
    size = 0;

    do {
        if (ngx_http_media_range_parse_one(&p, total, &range) != NGX_OK) {
            return NGX_HTTP_RANGE_NOT_SATISFIABLE;
        }

        if (range.start >= range.end) {
            continue;
        }

        if (ranges->nelts == max) {
            return NGX_DECLINED;
        }

        added = ngx_array_push(ranges);
        if (added == NULL) {
            return NGX_ERROR;
        }

        *added = range;
        size += range.end - range.start;

    } while (*p++ == ',');

    if (ranges->nelts == 0) {
        return NGX_HTTP_RANGE_NOT_SATISFIABLE;
    }

    return (ranges->nelts > 1 && size <= total) ? NGX_OK
                                                           : NGX_DECLINED;
}


static ngx_int_t
ngx_http_media_range_parse_one(u_char **pos, off_t total,
    ngx_http_media_range_t *range)
{
    off_t    n;
    u_char  *p;

    p = *pos;
    range->end = total;

    while (*p == ' ') { p++; }

    if (*p == '-') {
        p++;
        n = ngx_http_media_range_number(&p);

        if (n < 0) {
            return NGX_ERROR;
        }

        range->start = (n < total) ? total - n : 0;

    } else {
        range->start = ngx_http_media_range_number(&p);

        while (*p == ' ') { p++; }

        if (range->start < 0 || *p++ != '-') {
            return NGX_ERROR;
        }

        while (*p == ' ') { p++; }

        if (*p != ',' && *p != '\0') {
            n = ngx_http_media_range_number(&p);

            if (n < 0) {
                return NGX_ERROR;
            }

            range->end = ngx_min(n, total - 1) + 1;
        }
    }

    while (*p == ' ') { p++; }

    *pos = p;

    return (*p == ',' || *p == '\0') ? NGX_OK : NGX_ERROR;
}


/* -1: there is none, or it is too large */

static off_t
ngx_http_media_range_number(u_char **pos)
{
    off_t    n;
    u_char  *p;

    p = *pos;
    n = -1;

    while (*p >= '0' && *p <= '9') {
        n = ngx_max(n, 0);

        if (n > (NGX_MAX_OFF_T_VALUE - (*p - '0')) / 10) {
            return -1;
        }

        n = n * 10 + (*p++ - '0');
    }

    *pos = p;

    return n;
}
