/*
 * Copyright (C) ngx_media contributors
 *
 * Several ranges of one object in a response, multipart/byteranges.  The
 * core's range filter makes the header in any case, and the body of an object
 * that is in one buffer.  The stock slice filter knows one range only: its
 * responses are collected in one buffer if they are small; the parts of a
 * large object are requested one after the other.
 */

#ifndef NGX_HTTP_MEDIA_MULTIRANGE_H
#define NGX_HTTP_MEDIA_MULTIRANGE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_str_t                           location;   /* empty: none */
} ngx_http_media_multirange_loc_conf_t;


typedef struct {
    off_t                               start;
    off_t                               end;        /* first byte after it */
} ngx_http_media_range_t;


typedef struct ngx_http_media_multirange_ctx_s
    ngx_http_media_multirange_ctx_t;


char *ngx_http_media_multirange_merge_loc(ngx_conf_t *cf,
    ngx_http_media_multirange_loc_conf_t *prev,
    ngx_http_media_multirange_loc_conf_t *conf);

/* If-Range, as the core's range filter: NGX_OK if Range is to be honoured */
ngx_int_t ngx_http_media_range_if_range(ngx_http_request_t *r);

/*
 * What of the object the response holds, from its first byte on; NGX_DECLINED
 * if it is neither that nor the whole object.
 */
ngx_int_t ngx_http_media_range_size(ngx_http_request_t *r, off_t *size,
    off_t *total);

/*
 * Content-Range of a response with status 206; the end is the first byte after
 * it.  NGX_DECLINED if it is not there, or not whole.
 */
ngx_int_t ngx_http_media_range_content(ngx_http_request_t *r, off_t *start,
    off_t *end, off_t *total);

/*
 * What the core's range filter makes of the header Range: NGX_OK for several
 * parts, NGX_HTTP_RANGE_NOT_SATISFIABLE, NGX_DECLINED for one part or for the
 * whole, or NGX_ERROR.
 */
ngx_int_t ngx_http_media_range_parse(ngx_http_request_t *r, off_t total,
    ngx_uint_t max, ngx_array_t *ranges);

/*
 * The header of a main request with several ranges, once it has its final
 * fields.  NGX_DECLINED if that is not asked for, or the core does it; else
 * what the filter is to return.
 */
ngx_int_t ngx_http_media_multirange_header(ngx_http_request_t *r,
    ngx_http_output_header_filter_pt next);
ngx_int_t ngx_http_media_multirange_body(ngx_http_request_t *r,
    ngx_chain_t *in, ngx_http_output_body_filter_pt next);

/* the same of subrequests: NGX_OK, or NGX_ERROR if it is not the part */
ngx_int_t ngx_http_media_multirange_part_header(ngx_http_request_t *r);
ngx_int_t ngx_http_media_multirange_part_body(ngx_http_request_t *r,
    ngx_chain_t *in);

/* $media_part_range, $media_part_etag; NGX_DECLINED elsewhere */
ngx_int_t ngx_http_media_multirange_range(ngx_http_request_t *r,
    ngx_str_t *value);
ngx_int_t ngx_http_media_multirange_etag(ngx_http_request_t *r,
    ngx_str_t *value);

#endif
