
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"
#include "ngx_http_media_json.h"

#include "media_json.h"


#define NGX_HTTP_MEDIA_JSON_RETRY_MAX  5    /* seconds */


typedef struct {
    ngx_http_request_t      *request;
    ngx_array_t             *fields;
    ngx_str_t                name;
    unsigned                 begun:1;
    unsigned                 failed:1;      /* out of memory */
} ngx_http_media_json_reader_t;


static void ngx_http_media_json_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_json_parse(ngx_http_request_t *r);
static int ngx_http_media_json_on_map(void *data);
static int ngx_http_media_json_on_array(void *data);
static int ngx_http_media_json_on_key(void *data, const char *s, size_t len);
static int ngx_http_media_json_on_null(void *data);
static int ngx_http_media_json_on_boolean(void *data, int value);
static int ngx_http_media_json_on_number(void *data, const char *s,
    size_t len);
static int ngx_http_media_json_on_string(void *data, const char *s,
    size_t len);
static int ngx_http_media_json_add(ngx_http_media_json_reader_t *reader,
    ngx_uint_t type, const char *s, size_t len);
static ngx_int_t ngx_http_media_json_headers(ngx_http_request_t *r,
    ngx_uint_t status);
static void ngx_http_media_json_name(ngx_http_media_json_t *json,
    const char *name);


static ngx_str_t  ngx_http_media_json_no_store = ngx_string("no-store");
static ngx_str_t  ngx_http_media_json_nosniff = ngx_string("nosniff");


ngx_int_t
ngx_http_media_json_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t                     rc;
    ngx_http_media_ctx_t         *ctx;
    ngx_http_media_upload_ctx_t  *uctx;

    ctx = ngx_http_media_get_ctx(r);
    uctx = ngx_http_media_upload_ctx(r);

    if (ctx == NULL || uctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a form of another site can send text/plain */

    if (!ngx_http_media_json_type(r)) {
        rc = ngx_http_discard_request_body(r);

        return (rc == NGX_OK)
               ? ngx_http_media_json_error(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                           "unsupported_media_type",
                                           "the body must be JSON")
               : rc;
    }

    uctx->read = handler;

    rc = ngx_http_read_client_request_body(r, ngx_http_media_json_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


ngx_uint_t
ngx_http_media_json_type(ngx_http_request_t *r)
{
    u_char     *p, *last;
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;
    p = type->data;
    last = ngx_strlchr(p, p + type->len, ';');

    if (last == NULL) {
        last = p + type->len;
    }

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    if (last - p == sizeof("application/json") - 1
        && ngx_strncasecmp(p, (u_char *) "application/json", last - p) == 0)
    {
        return 1;
    }

    return last - p > 5
           && ngx_strncasecmp(last - 5, (u_char *) "+json", 5) == 0;
}


static void
ngx_http_media_json_body(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    rc = ngx_http_media_json_parse(r);

    if (rc == NGX_OK) {
        uctx->read(r);
        return;
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_media_json_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       "too_large", "the body is too large");

    } else if (rc == NGX_ABORT) {
        rc = ngx_http_media_json_error(r, NGX_HTTP_BAD_REQUEST,
                                       "invalid_json",
                                       "the body must be a JSON object of "
                                       "strings, numbers and booleans");

    } else {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_finalize_request(r, rc);
}


/* NGX_OK, NGX_DECLINED (too large), NGX_ABORT (malformed), NGX_ERROR */

static ngx_int_t
ngx_http_media_json_parse(ngx_http_request_t *r)
{
    int                            rc;
    size_t                         received;
    ngx_chain_t                   *cl;
    media_json_t                  *json;
    ngx_http_media_upload_ctx_t   *uctx;
    ngx_http_media_json_reader_t   reader;

    static const media_json_limits_t  limits = { 1, NGX_HTTP_MEDIA_JSON_MAX };
    static const media_json_handler_t  handler = {
        .null = ngx_http_media_json_on_null,
        .boolean = ngx_http_media_json_on_boolean,
        .number = ngx_http_media_json_on_number,
        .string = ngx_http_media_json_on_string,
        .start_map = ngx_http_media_json_on_map,
        .map_key = ngx_http_media_json_on_key,
        .start_array = ngx_http_media_json_on_array
    };

    if (r->request_body == NULL || r->request_body->temp_file) {
        return r->request_body ? NGX_DECLINED : NGX_ERROR;
    }

    uctx = ngx_http_media_upload_ctx(r);
    uctx->fields = ngx_array_create(r->pool, 8,
                                    sizeof(ngx_http_media_field_t));
    if (uctx->fields == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&reader, sizeof(ngx_http_media_json_reader_t));
    reader.request = r;
    reader.fields = uctx->fields;

    json = media_json_create(&handler, &limits, &reader);
    if (json == NULL) {
        return NGX_ERROR;
    }

    rc = MEDIA_OK;
    received = 0;

    for (cl = r->request_body->bufs; cl && rc == MEDIA_OK; cl = cl->next) {
        received += ngx_buf_size(cl->buf);

        if (received > NGX_HTTP_MEDIA_JSON_MAX) {
            break;
        }

        rc = media_json_feed(json, (char *) cl->buf->pos,
                             ngx_buf_size(cl->buf));
    }

    if (rc == MEDIA_OK && received <= NGX_HTTP_MEDIA_JSON_MAX) {
        rc = media_json_finish(json);
    }

    media_json_free(json);

    if (reader.failed) {
        return NGX_ERROR;
    }

    if (received > NGX_HTTP_MEDIA_JSON_MAX) {
        return NGX_DECLINED;
    }

    return (rc == MEDIA_OK && reader.begun) ? NGX_OK : NGX_ABORT;
}


static int
ngx_http_media_json_on_map(void *data)
{
    ngx_http_media_json_reader_t  *reader = data;

    reader->begun = 1;

    return 1;
}


static int
ngx_http_media_json_on_array(void *data)
{
    (void) data;

    return 0;
}


static int
ngx_http_media_json_on_key(void *data, const char *s, size_t len)
{
    ngx_http_media_json_reader_t  *reader = data;

    ngx_uint_t               i;
    ngx_http_media_field_t  *field;

    field = reader->fields->elts;

    for (i = 0; i < reader->fields->nelts; i++) {
        if (field[i].name.len == len
            && ngx_memcmp(field[i].name.data, s, len) == 0)
        {
            return 0;
        }
    }

    reader->name.len = len;
    reader->name.data = ngx_pnalloc(reader->request->pool, len + 1);

    if (reader->name.data == NULL) {
        reader->failed = 1;
        return 0;
    }

    ngx_memcpy(reader->name.data, s, len);

    return i < NGX_HTTP_MEDIA_JSON_FIELDS;
}


static int
ngx_http_media_json_on_null(void *data)
{
    return ngx_http_media_json_add(data, NGX_HTTP_MEDIA_FIELD_NULL, "", 0);
}


static int
ngx_http_media_json_on_boolean(void *data, int value)
{
    return value ? ngx_http_media_json_add(data, NGX_HTTP_MEDIA_FIELD_BOOLEAN,
                                           "true", 4)
                 : ngx_http_media_json_add(data, NGX_HTTP_MEDIA_FIELD_BOOLEAN,
                                           "false", 5);
}


static int
ngx_http_media_json_on_number(void *data, const char *s, size_t len)
{
    return ngx_http_media_json_add(data, NGX_HTTP_MEDIA_FIELD_NUMBER, s, len);
}


static int
ngx_http_media_json_on_string(void *data, const char *s, size_t len)
{
    return ngx_http_media_json_add(data, NGX_HTTP_MEDIA_FIELD_STRING, s, len);
}


static int
ngx_http_media_json_add(ngx_http_media_json_reader_t *reader,
    ngx_uint_t type, const char *s, size_t len)
{
    ngx_http_media_field_t  *field;

    if (!reader->begun) {
        return 0;
    }

    field = ngx_array_push(reader->fields);

    if (field == NULL) {
        reader->failed = 1;
        return 0;
    }

    field->name = reader->name;
    field->type = type;
    field->value.len = len;
    field->value.data = ngx_pnalloc(reader->request->pool, len + 1);

    if (field->value.data == NULL) {
        reader->failed = 1;
        return 0;
    }

    *ngx_cpymem(field->value.data, s, len) = '\0';

    return 1;
}


ngx_int_t
ngx_http_media_json_field(ngx_http_request_t *r, const char *name,
    ngx_uint_t types, ngx_str_t *value)
{
    size_t                        len;
    ngx_uint_t                    i;
    ngx_http_media_field_t       *field;
    ngx_http_media_upload_ctx_t  *uctx;

    ngx_str_set(value, "");

    uctx = ngx_http_media_upload_ctx(r);
    len = ngx_strlen(name);
    field = uctx->fields->elts;

    for (i = 0; i < uctx->fields->nelts; i++) {

        if (field[i].name.len != len
            || ngx_memcmp(field[i].name.data, name, len) != 0)
        {
            continue;
        }

        if (field[i].type == NGX_HTTP_MEDIA_FIELD_NULL) {
            return NGX_DECLINED;
        }

        *value = field[i].value;

        return (field[i].type & types) ? NGX_OK : NGX_ERROR;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_media_json_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *name, const char *message)
{
    ngx_str_t  body;

    return ngx_http_media_json_error_body(r, name, message, &body) == NGX_OK
           ? ngx_http_media_json_send(r, status, &body)
           : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


ngx_int_t
ngx_http_media_json_error_body(ngx_http_request_t *r, const char *name,
    const char *message, ngx_str_t *body)
{
    ngx_str_t              value;
    ngx_http_media_json_t  json;

    value.data = (u_char *) message;
    value.len = ngx_strlen(message);

    if (ngx_http_media_json_begin(&json, r->pool,
                                  64 + ngx_strlen(name) + 6 * value.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_media_json_text(&json, "{\"error\":\"");
    ngx_http_media_json_text(&json, name);
    ngx_http_media_json_text(&json, "\"");
    ngx_http_media_json_string(&json, "message", &value);
    ngx_http_media_json_text(&json, "}\n");

    return ngx_http_media_json_end(&json, body);
}


ngx_int_t
ngx_http_media_json_method(ngx_http_request_t *r, const char *allow)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    value.data = (u_char *) allow;
    value.len = ngx_strlen(allow);

    if (ngx_media_add_header(r, "Allow", &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_media_json_error(r, NGX_HTTP_NOT_ALLOWED,
                                     "method_not_allowed",
                                     "see the Allow header");
}


ngx_int_t
ngx_http_media_json_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (uctx == NULL || ngx_http_media_json_headers(r, status) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    uctx->answered = 1;

    return ngx_http_media_json_output(r, status, body);
}


ngx_int_t
ngx_http_media_json_output(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;

    if (body->len) {
        ngx_str_set(&r->headers_out.content_type, "application/json");
        r->headers_out.content_type_len = r->headers_out.content_type.len;

    } else {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_media_json_headers(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_str_t  value;

    if (ngx_http_media_header_set(r, "Cache-Control",
                                  &ngx_http_media_json_no_store)
        == NULL
        || ngx_http_media_header_set(r, "X-Content-Type-Options",
                                     &ngx_http_media_json_nosniff)
           == NULL)
    {
        return NGX_ERROR;
    }

    if (status != NGX_HTTP_SERVICE_UNAVAILABLE) {
        return NGX_OK;
    }

    value.data = ngx_pnalloc(r->pool, 1);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.data[0] = '1' + (u_char)
                    (ngx_random() % NGX_HTTP_MEDIA_JSON_RETRY_MAX);
    value.len = 1;

    return ngx_http_media_header_set(r, "Retry-After", &value) ? NGX_OK
                                                               : NGX_ERROR;
}


ngx_int_t
ngx_http_media_json_begin(ngx_http_media_json_t *json, ngx_pool_t *pool,
    size_t size)
{
    json->start = ngx_pnalloc(pool, size);
    json->p = json->start;
    json->last = json->start + size;

    return json->start ? NGX_OK : NGX_ERROR;
}


void
ngx_http_media_json_text(ngx_http_media_json_t *json, const char *text)
{
    ngx_http_media_json_bytes(json, text, ngx_strlen(text));
}


void
ngx_http_media_json_bytes(ngx_http_media_json_t *json, const void *bytes,
    size_t len)
{
    if (json->p == NULL || (size_t) (json->last - json->p) < len) {
        json->p = NULL;
        return;
    }

    json->p = ngx_cpymem(json->p, bytes, len);
}


static void
ngx_http_media_json_name(ngx_http_media_json_t *json, const char *name)
{
    if (json->p && json->p > json->start
        && json->p[-1] != '{' && json->p[-1] != '[')
    {
        ngx_http_media_json_text(json, ",");
    }

    ngx_http_media_json_text(json, "\"");
    ngx_http_media_json_text(json, name);
    ngx_http_media_json_text(json, "\":");
}


void
ngx_http_media_json_string(ngx_http_media_json_t *json, const char *name,
    ngx_str_t *value)
{
    ssize_t      n;
    media_str_t  s;

    ngx_http_media_json_name(json, name);
    ngx_http_media_json_text(json, "\"");

    if (json->p == NULL) {
        return;
    }

    media_str_set(&s, (char *) value->data, value->len);

    n = media_json_write((char *) json->p, json->last - json->p, s);

    json->p = (n < 0) ? NULL : json->p + n;

    ngx_http_media_json_text(json, "\"");
}


void
ngx_http_media_json_number(ngx_http_media_json_t *json, const char *name,
    int64_t value)
{
    u_char  number[NGX_INT64_LEN + 1];

    *ngx_sprintf(number, "%L", value) = '\0';

    ngx_http_media_json_name(json, name);
    ngx_http_media_json_text(json, (char *) number);
}


ngx_int_t
ngx_http_media_json_end(ngx_http_media_json_t *json, ngx_str_t *text)
{
    if (json->p == NULL) {
        return NGX_ERROR;
    }

    text->data = json->start;
    text->len = json->p - json->start;

    return NGX_OK;
}
