/*
 * Copyright (C) ngx_media contributors
 *
 * Flat reading of the JSON objects in tokens and in JWK sets.
 */

#include "media_codec.h"
#include "media_jwt_int.h"


static int media_jwt_on_other(void *data);
static int media_jwt_on_boolean(void *data, int value);
static int media_jwt_on_number(void *data, const char *s, size_t len);
static int media_jwt_on_string(void *data, const char *s, size_t len);
static int media_jwt_on_map(void *data);
static int media_jwt_on_key(void *data, const char *s, size_t len);
static int media_jwt_on_map_end(void *data);
static int media_jwt_on_array(void *data);
static int media_jwt_on_array_end(void *data);
static int media_jwt_copy(media_jwt_object_t *o, media_str_t *dst,
    const char *s, size_t len);


const media_json_handler_t  media_jwt_object_handler = {
    media_jwt_on_other,
    media_jwt_on_boolean,
    media_jwt_on_number,
    media_jwt_on_string,
    media_jwt_on_map,
    media_jwt_on_key,
    media_jwt_on_map_end,
    media_jwt_on_array,
    media_jwt_on_array_end,
    NULL,
    NULL
};


void
media_jwt_object_init(media_jwt_object_t *o, unsigned base, char *text,
    size_t size)
{
    o->n = 0;
    o->text = text;
    o->size = size;
    o->used = 0;
    o->list = "";
    o->member = NULL;
    o->depth = 0;
    o->base = base;
    o->complete = 0;
}


int
media_jwt_object_read(media_jwt_object_t *o, const char *s, size_t len)
{
    int                  rc;
    media_json_t        *json;
    media_json_limits_t  limits;

    limits.depth = MEDIA_JWT_DEPTH_MAX;
    limits.string = o->size;

    json = media_json_create(&media_jwt_object_handler, &limits, o);
    if (json == NULL) {
        return MEDIA_ERROR;
    }

    rc = media_json_feed(json, s, len);

    if (rc == MEDIA_OK) {
        rc = media_json_finish(json);
    }

    media_json_free(json);

    return (rc == MEDIA_OK && o->complete) ? MEDIA_OK : MEDIA_ERROR;
}


const media_jwt_member_t *
media_jwt_object_get(const media_jwt_object_t *o, const char *name,
    size_t len)
{
    size_t  i;

    for (i = 0; i < o->n; i++) {
        if (o->members[i].type != MEDIA_JWT_ELEMENT
            && o->members[i].name.len == len
            && memcmp(o->members[i].name.data, name, len) == 0)
        {
            return &o->members[i];
        }
    }

    return NULL;
}


int
media_jwt_object_string(const media_jwt_object_t *o, const char *name,
    media_str_t *value)
{
    const media_jwt_member_t  *m;

    media_str_set(value, "", 0);

    m = media_jwt_object_get(o, name, strlen(name));

    if (m == NULL) {
        return MEDIA_DENIED;
    }

    if (m->type != MEDIA_JWT_STRING) {
        return MEDIA_ERROR;
    }

    *value = m->value;

    return MEDIA_OK;
}


int
media_jwt_equal(media_str_t s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}


ssize_t
media_jwt_base64url(void *dst, size_t size, media_str_t s)
{
    char      again[MEDIA_BASE64_LEN(3)], ch;
    size_t    i, tail;
    ssize_t   n;

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if (!((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
              || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '_'))
        {
            return MEDIA_ERROR;
        }
    }

    n = media_base64_decode(dst, size, s.data, s.len);

    if (n < 0) {
        return MEDIA_ERROR;
    }

    tail = s.len % 4;

    if (tail == 0) {
        return n;
    }

    /* the last character's unused bits: another text of the same bytes */

    media_base64_encode(again, (char *) dst + n - (tail - 1), tail - 1);

    ch = again[tail - 1];
    ch = (ch == '+') ? '-' : (ch == '/') ? '_' : ch;

    return ch == s.data[s.len - 1] ? n : MEDIA_ERROR;
}


static int
media_jwt_on_other(void *data)
{
    media_jwt_object_t  *o = data;

    if (o->depth == o->base) {
        o->member = NULL;
    }

    return 1;
}


static int
media_jwt_on_boolean(void *data, int value)
{
    (void) value;

    return media_jwt_on_other(data);
}


static int
media_jwt_on_number(void *data, const char *s, size_t len)
{
    media_jwt_member_t  *m;
    media_jwt_object_t  *o = data;

    m = o->member;

    if (o->depth != o->base || m == NULL) {
        return 1;
    }

    m->type = MEDIA_JWT_NUMBER;
    o->member = NULL;

    return media_jwt_copy(o, &m->value, s, len);
}


static int
media_jwt_on_string(void *data, const char *s, size_t len)
{
    media_jwt_member_t  *m;
    media_jwt_object_t  *o = data;

    m = o->member;

    if (m == NULL) {
        return 1;
    }

    if (o->depth == o->base) {
        m->type = MEDIA_JWT_STRING;
        o->member = NULL;

        return media_jwt_copy(o, &m->value, s, len);
    }

    if (o->depth != o->base + 1
        || m->type != MEDIA_JWT_ARRAY
        || !media_jwt_equal(m->name, o->list))
    {
        return 1;
    }

    if (o->n == MEDIA_JWT_MEMBERS_MAX) {
        return 0;
    }

    o->members[o->n].name = m->name;
    o->members[o->n].type = MEDIA_JWT_ELEMENT;

    return media_jwt_copy(o, &o->members[o->n++].value, s, len);
}


static int
media_jwt_on_map(void *data)
{
    media_jwt_object_t  *o = data;

    /* an object in an array: its strings are not the array's */

    if (o->depth == o->base) {
        o->member = NULL;
    }

    o->depth++;

    return 1;
}


static int
media_jwt_on_key(void *data, const char *s, size_t len)
{
    media_jwt_member_t  *m;
    media_jwt_object_t  *o = data;

    if (o->depth != o->base) {
        return 1;
    }

    if (media_jwt_object_get(o, s, len) != NULL
        || o->n == MEDIA_JWT_MEMBERS_MAX)
    {
        return 0;
    }

    m = &o->members[o->n++];
    m->type = MEDIA_JWT_OTHER;
    media_str_set(&m->value, "", 0);
    o->member = m;

    return media_jwt_copy(o, &m->name, s, len);
}


static int
media_jwt_on_map_end(void *data)
{
    media_jwt_object_t  *o = data;

    if (o->depth == o->base) {
        o->complete = 1;
    }

    o->depth--;

    return 1;
}


static int
media_jwt_on_array(void *data)
{
    media_jwt_object_t  *o = data;

    if (o->depth == o->base && o->member != NULL) {
        o->member->type = MEDIA_JWT_ARRAY;
    }

    o->depth++;

    return 1;
}


static int
media_jwt_on_array_end(void *data)
{
    media_jwt_object_t  *o = data;

    o->depth--;

    if (o->depth == o->base) {
        o->member = NULL;
    }

    return 1;
}


static int
media_jwt_copy(media_jwt_object_t *o, media_str_t *dst, const char *s,
    size_t len)
{
    if (len > o->size - o->used) {
        return 0;
    }

    memcpy(o->text + o->used, s, len);
    media_str_set(dst, o->text + o->used, len);
    o->used += len;

    return 1;
}
