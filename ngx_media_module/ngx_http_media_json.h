/*
 * Copyright (C) ngx_media contributors
 *
 * Requests with a flat JSON object, and answers in JSON.
 */

#ifndef NGX_HTTP_MEDIA_JSON_H
#define NGX_HTTP_MEDIA_JSON_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#define NGX_HTTP_MEDIA_JSON_MAX     65536   /* bytes of a request */
#define NGX_HTTP_MEDIA_JSON_FIELDS  32      /* members of its object */


/* bits: what a field may be */
#define NGX_HTTP_MEDIA_FIELD_NULL     1
#define NGX_HTTP_MEDIA_FIELD_STRING   2
#define NGX_HTTP_MEDIA_FIELD_NUMBER   4     /* as it is written */
#define NGX_HTTP_MEDIA_FIELD_BOOLEAN  8     /* "true" or "false" */


typedef struct {
    ngx_str_t    name;
    ngx_str_t    value;         /* UTF-8; may hold zeros */
    ngx_uint_t   type;
} ngx_http_media_field_t;


/*
 * Reads a body of at most NGX_HTTP_MEDIA_JSON_MAX bytes with a JSON object of
 * strings, numbers, booleans and nulls, each name once.  handler is called
 * with a reference to the request, which it ends.  What is something else is
 * answered here, by 400 invalid_json or 415 unsupported_media_type; the core
 * answers what is longer, as client_max_body_size is set to the limit.
 *
 * Returns what the content handler is to return.
 */
ngx_int_t ngx_http_media_json_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

/* 1 if the Content-Type is application/json, or another with the suffix +json
   (RFC 6839), with parameters or without; 0 also if there is none */
ngx_uint_t ngx_http_media_json_type(ngx_http_request_t *r);

/*
 * A field of the body.  Returns NGX_OK; NGX_DECLINED if it is absent or null
 * (value is empty then); NGX_ERROR if it is of none of the types.
 */
ngx_int_t ngx_http_media_json_field(ngx_http_request_t *r, const char *name,
    ngx_uint_t types, ngx_str_t *value);

/*
 * Sends a body of JSON, with "Cache-Control: no-store", and with Retry-After
 * if the status is 503; body.len 0: nothing.  Returns what to finalize the
 * request with.
 */
ngx_int_t ngx_http_media_json_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);
/* likewise, without these headers */
ngx_int_t ngx_http_media_json_output(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *body);

/* {"error":name,"message":message}: NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_media_json_error_body(ngx_http_request_t *r,
    const char *name, const char *message, ngx_str_t *body);

/* sends it */
ngx_int_t ngx_http_media_json_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *name, const char *message);

/* 405 without the body; allow: "POST" */
ngx_int_t ngx_http_media_json_method(ngx_http_request_t *r,
    const char *allow);


/*
 * Writes JSON into a pool.  p is NULL once there was no memory or no room:
 * one test at the end is enough.
 */
typedef struct {
    u_char      *start;
    u_char      *p;
    u_char      *last;
} ngx_http_media_json_t;

/* room for size bytes, each byte of a string taking six; NGX_OK, NGX_ERROR */
ngx_int_t ngx_http_media_json_begin(ngx_http_media_json_t *json,
    ngx_pool_t *pool, size_t size);
/* text as it stands */
void ngx_http_media_json_text(ngx_http_media_json_t *json, const char *text);
void ngx_http_media_json_bytes(ngx_http_media_json_t *json,
    const void *bytes, size_t len);
/* "name":"value", with a comma unless the object or array begins before it */
void ngx_http_media_json_string(ngx_http_media_json_t *json,
    const char *name, ngx_str_t *value);
void ngx_http_media_json_number(ngx_http_media_json_t *json,
    const char *name, int64_t value);
/* NGX_OK with the text, or NGX_ERROR */
ngx_int_t ngx_http_media_json_end(ngx_http_media_json_t *json,
    ngx_str_t *text);

#endif
