/*
 * Copyright (C) ngx_media contributors
 *
 * The grammar is yajl's, strings are read here: yajl sees each of them as "".
 * So a string of any length costs no memory, its place in the input is known,
 * and yajl's leniency about surrogates does not matter.  Everything else goes
 * to yajl as it is, and numbers have a bound, since yajl buffers those that
 * are split between two pieces of input.
 */

#include <stdio.h>
#include <stdlib.h>

#include "media_json_int.h"


static int media_json_outside(media_json_t *json, const char *s, size_t len,
    size_t *used);
static int media_json_bare(media_json_t *json, const char *s, size_t len);
static int media_json_deeper(media_json_t *json);
static int media_json_on_null(void *ctx);
static int media_json_on_boolean(void *ctx, int value);
static int media_json_on_number(void *ctx, const char *s, size_t len);
static int media_json_on_string(void *ctx, const unsigned char *s,
    size_t len);
static int media_json_on_start_map(void *ctx);
static int media_json_on_map_key(void *ctx, const unsigned char *s,
    size_t len);
static int media_json_on_end_map(void *ctx);
static int media_json_on_start_array(void *ctx);
static int media_json_on_end_array(void *ctx);


static const yajl_callbacks  media_json_callbacks = {
    media_json_on_null,
    media_json_on_boolean,
    NULL,
    NULL,
    media_json_on_number,
    media_json_on_string,
    media_json_on_start_map,
    media_json_on_map_key,
    media_json_on_end_map,
    media_json_on_start_array,
    media_json_on_end_array
};


media_json_t *
media_json_create(const media_json_handler_t *handler,
    const media_json_limits_t *limits, void *data)
{
    media_json_t  *json;

    json = calloc(1, sizeof(media_json_t));
    if (json == NULL) {
        return NULL;
    }

    json->handler = *handler;
    json->limits = *limits;
    json->data = data;

    json->size = MEDIA_JSON_BUFFER_MIN;
    json->buf = malloc(json->size);
    if (json->buf == NULL) {
        free(json);
        return NULL;
    }

    json->yajl = yajl_alloc(&media_json_callbacks, NULL, json);
    if (json->yajl == NULL) {
        free(json->buf);
        free(json);
        return NULL;
    }

    return json;
}


int
media_json_feed(media_json_t *json, const char *s, size_t len)
{
    size_t  used;

    while (len > 0 && json->rc == MEDIA_OK) {

        if (json->state == MEDIA_JSON_OUTSIDE) {
            json->rc = media_json_outside(json, s, len, &used);

        } else {
            json->rc = media_json_inside(json, s, len, &used);
        }

        json->offset += used;
        s += used;
        len -= used;
    }

    return json->rc;
}


int
media_json_finish(media_json_t *json)
{
    if (json->rc != MEDIA_OK) {
        return json->rc;
    }

    if (json->state != MEDIA_JSON_OUTSIDE) {
        json->rc = media_json_fail(json, json->offset,
                                   "unexpected end in a string");
        return json->rc;
    }

    switch (yajl_complete_parse(json->yajl)) {

    case yajl_status_ok:
        break;

    case yajl_status_client_canceled:
        /* the last token was a number, and its callback refused it */
        json->rc = json->error[0] ? MEDIA_ERROR : MEDIA_DENIED;
        break;

    default:
        json->rc = media_json_fail(json, json->offset, "unexpected end");
    }

    return json->rc;
}


void
media_json_place(const media_json_t *json, uint64_t *offset, uint64_t *len)
{
    *offset = json->start;
    *len = json->end - json->start;
}


const char *
media_json_error(const media_json_t *json)
{
    return json->error;
}


void
media_json_free(media_json_t *json)
{
    if (json == NULL) {
        return;
    }

    yajl_free(json->yajl);
    free(json->buf);
    free(json);
}


/* takes all up to and including the next quote */
static int
media_json_outside(media_json_t *json, const char *s, size_t len,
    size_t *used)
{
    int          rc;
    size_t       n;
    const char  *quote;

    quote = memchr(s, '"', len);
    n = (quote != NULL) ? (size_t) (quote - s) : len;

    *used = n;

    rc = media_json_bare(json, s, n);
    if (rc != MEDIA_OK) {
        return rc;
    }

    if (n > 0) {
        rc = media_json_yajl(json, s, n);
        if (rc != MEDIA_OK) {
            return rc;
        }
    }

    if (quote == NULL) {
        return MEDIA_OK;
    }

    *used = n + 1;

    json->state = MEDIA_JSON_TEXT;
    json->role = MEDIA_JSON_UNASKED;
    json->start = json->offset + n + 1;
    json->token = 0;
    json->len = 0;
    json->elided = 0;

    return MEDIA_OK;
}


static int
media_json_bare(media_json_t *json, const char *s, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        switch (s[i]) {

        case '\v':
        case '\f':
            /* white space to yajl only */
            return media_json_fail(json, json->offset + i,
                                   "unexpected character");

        case ' ':
        case '\t':
        case '\r':
        case '\n':
        case ',':
        case ':':
        case '[':
        case ']':
        case '{':
        case '}':
            json->token = 0;
            break;

        default:
            if (++json->token > MEDIA_JSON_TOKEN_MAX) {
                return media_json_fail(json, json->offset + i,
                                       "too long a number");
            }
        }
    }

    return MEDIA_OK;
}


int
media_json_yajl(media_json_t *json, const char *s, size_t len)
{
    size_t       n;
    yajl_status  status;

    status = yajl_parse(json->yajl, (const unsigned char *) s, len);

    switch (status) {

    case yajl_status_ok:
        return MEDIA_OK;

    case yajl_status_client_canceled:
        return json->error[0] ? MEDIA_ERROR : MEDIA_DENIED;

    default:
        n = yajl_get_bytes_consumed(json->yajl);

        /* yajl counts the offending byte as consumed */
        return media_json_fail(json, json->offset + (n > 0 ? n - 1 : 0),
                               "unexpected character");
    }
}


int
media_json_fail(media_json_t *json, uint64_t offset, const char *what)
{
    if (json->error[0] == '\0') {
        snprintf(json->error, MEDIA_JSON_ERROR_MAX, "%s at byte %llu", what,
                 (unsigned long long) offset);
    }

    return MEDIA_ERROR;
}


static int
media_json_deeper(media_json_t *json)
{
    if (++json->depth <= json->limits.depth) {
        return 1;
    }

    media_json_fail(json, json->offset, "nested too deep");

    return 0;
}


static int
media_json_on_null(void *ctx)
{
    media_json_t  *json = ctx;

    return json->handler.null == NULL || json->handler.null(json->data);
}


static int
media_json_on_boolean(void *ctx, int value)
{
    media_json_t  *json = ctx;

    return json->handler.boolean == NULL
           || json->handler.boolean(json->data, value);
}


static int
media_json_on_number(void *ctx, const char *s, size_t len)
{
    media_json_t  *json = ctx;

    return json->handler.number == NULL
           || json->handler.number(json->data, s, len);
}


static int
media_json_on_string(void *ctx, const unsigned char *s, size_t len)
{
    media_json_t  *json = ctx;

    (void) s;
    (void) len;

    json->role = MEDIA_JSON_VALUE;

    return 1;
}


static int
media_json_on_map_key(void *ctx, const unsigned char *s, size_t len)
{
    media_json_t  *json = ctx;

    (void) s;
    (void) len;

    json->role = MEDIA_JSON_KEY;

    return 1;
}


static int
media_json_on_start_map(void *ctx)
{
    media_json_t  *json = ctx;

    if (!media_json_deeper(json)) {
        return 0;
    }

    return json->handler.start_map == NULL
           || json->handler.start_map(json->data);
}


static int
media_json_on_end_map(void *ctx)
{
    media_json_t  *json = ctx;

    json->depth--;

    return json->handler.end_map == NULL || json->handler.end_map(json->data);
}


static int
media_json_on_start_array(void *ctx)
{
    media_json_t  *json = ctx;

    if (!media_json_deeper(json)) {
        return 0;
    }

    return json->handler.start_array == NULL
           || json->handler.start_array(json->data);
}


static int
media_json_on_end_array(void *ctx)
{
    media_json_t  *json = ctx;

    json->depth--;

    return json->handler.end_array == NULL
           || json->handler.end_array(json->data);
}
