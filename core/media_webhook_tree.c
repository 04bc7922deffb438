/*
 * Copyright (C) ngx_media contributors
 *
 * One item of a webhook as a tree in an arena, and the ways in which
 * providers serialise integers and bytes (protobufjs of several releases,
 * Buffer's toJSON, whatsmeow).
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "media_codec.h"
#include "media_webhook_int.h"


#define MEDIA_ARENA_CHUNK_MIN   2048
#define MEDIA_ARENA_CHUNK_MAX   (256 * 1024)
#define MEDIA_ARENA_ALIGN       16

#define MEDIA_TREE_NUMBER_MAX   32      /* characters of an integer */
#define MEDIA_TREE_MSEC_MIN     100000000000LL      /* in s: year 5138 */
#define MEDIA_TREE_USEC_MIN     100000000000000LL


struct media_chunk_s {
    media_chunk_t  *prev;
    size_t          size;
    size_t          used;
    size_t          pad;                /* keeps data aligned */
    char            data[];
};


static media_str_t media_tree_base64(media_arena_t *arena, media_str_t text,
    int *failed);
static media_str_t media_tree_places(media_arena_t *arena,
    const media_node_t *node, int *failed);
static int media_tree_index(const media_node_t *node, size_t n, size_t *index);
static int media_tree_parse(media_str_t text, int64_t *value);


void *
media_arena_alloc(media_arena_t *arena, size_t size)
{
    void           *p;
    size_t          n;
    media_chunk_t  *chunk;

    size = (size + MEDIA_ARENA_ALIGN - 1) & ~(size_t) (MEDIA_ARENA_ALIGN - 1);
    chunk = arena->chunk;

    if (chunk == NULL || size > chunk->size - chunk->used) {
        n = (chunk == NULL) ? MEDIA_ARENA_CHUNK_MIN : chunk->size * 2;
        n = n < MEDIA_ARENA_CHUNK_MAX ? n : MEDIA_ARENA_CHUNK_MAX;
        n = n > size ? n : size;

        chunk = malloc(sizeof(media_chunk_t) + n);
        if (chunk == NULL) {
            return NULL;
        }

        chunk->prev = arena->chunk;
        chunk->size = n;
        chunk->used = 0;

        arena->chunk = chunk;
        arena->size += n;
    }

    p = chunk->data + chunk->used;
    chunk->used += size;

    return memset(p, 0, size);
}


media_str_t
media_arena_copy(media_arena_t *arena, const char *s, size_t len, int *failed)
{
    char         *p;
    media_str_t   copy = media_str("");

    if (len == 0) {
        return copy;
    }

    p = media_arena_alloc(arena, len);
    if (p == NULL) {
        *failed = 1;
        return copy;
    }

    memcpy(p, s, len);
    media_str_set(&copy, p, len);

    return copy;
}


media_arena_mark_t
media_arena_mark(const media_arena_t *arena)
{
    media_arena_mark_t  mark;

    mark.chunk = arena->chunk;
    mark.used = arena->chunk ? arena->chunk->used : 0;

    return mark;
}


void
media_arena_release(media_arena_t *arena, media_arena_mark_t mark)
{
    media_chunk_t  *chunk;

    while (arena->chunk != mark.chunk) {
        chunk = arena->chunk;
        arena->chunk = chunk->prev;
        arena->size -= chunk->size;
        free(chunk);
    }

    if (arena->chunk != NULL) {
        arena->chunk->used = mark.used;
    }
}


void
media_arena_free(media_arena_t *arena)
{
    media_arena_mark_t  empty = { NULL, 0 };

    media_arena_release(arena, empty);
}


void
media_tree_add(media_node_t *parent, media_node_t *node)
{
    if (parent->last != NULL) {
        parent->last->next = node;

    } else {
        parent->child = node;
    }

    parent->last = node;
}


void
media_tree_remove_last(media_node_t *parent)
{
    media_node_t  *node;

    if (parent->child == parent->last) {
        parent->child = NULL;
        parent->last = NULL;
        return;
    }

    for (node = parent->child; node->next != parent->last; /* void */ ) {
        node = node->next;
    }

    node->next = NULL;
    parent->last = node;
}


media_node_t *
media_tree_get(const media_node_t *node, const char *key)
{
    size_t         len;
    media_node_t  *child, *exact, *similar;

    if (node == NULL || node->type != MEDIA_NODE_OBJECT) {
        return NULL;
    }

    len = strlen(key);
    exact = NULL;
    similar = NULL;

    for (child = node->child; child != NULL; child = child->next) {

        if (child->key.len != len
            || strncasecmp(child->key.data, key, len) != 0
            || child->type == MEDIA_NODE_NULL)
        {
            continue;
        }

        if (memcmp(child->key.data, key, len) == 0) {
            exact = child;

        } else {
            similar = child;
        }
    }

    return exact != NULL ? exact : similar;
}


media_node_t *
media_tree_object(const media_node_t *node, const char *key)
{
    media_node_t  *child;

    child = media_tree_get(node, key);

    return child != NULL && child->type == MEDIA_NODE_OBJECT ? child : NULL;
}


media_node_t *
media_tree_array(const media_node_t *node, const char *key)
{
    media_node_t  *child;

    child = media_tree_get(node, key);

    return child != NULL && child->type == MEDIA_NODE_ARRAY ? child : NULL;
}


media_str_t
media_tree_string(const media_node_t *node, const char *key)
{
    media_node_t  *child;
    media_str_t    empty = media_str("");

    child = media_tree_get(node, key);

    return child != NULL && child->type == MEDIA_NODE_STRING ? child->text
                                                             : empty;
}


media_str_t
media_tree_text(const media_node_t *node, const char *key)
{
    media_node_t  *child;
    media_str_t    empty = media_str("");

    child = media_tree_get(node, key);

    return child != NULL && (child->type == MEDIA_NODE_STRING
                             || child->type == MEDIA_NODE_NUMBER)
           ? child->text : empty;
}


media_str_t
media_tree_either(const media_node_t *node, const char *a, const char *b)
{
    media_str_t  text;

    text = media_tree_text(node, a);

    return text.len > 0 ? text : media_tree_text(node, b);
}


int64_t
media_tree_integer(const media_node_t *node, const char *key)
{
    int64_t        low, high;
    media_node_t  *child;

    child = media_tree_get(node, key);
    if (child == NULL) {
        return -1;
    }

    if (child->type == MEDIA_NODE_OBJECT) {

        /* both halves are signed 32-bit numbers */

        if (media_tree_parse(media_tree_text(child, "low"), &low) != MEDIA_OK
            || media_tree_parse(media_tree_text(child, "high"), &high)
               != MEDIA_OK
            || high < 0 || high > INT32_MAX)
        {
            return -1;
        }

        return (int64_t) ((uint64_t) high << 32 | (uint32_t) low);
    }

    if (child->type != MEDIA_NODE_STRING && child->type != MEDIA_NODE_NUMBER)
    {
        return -1;
    }

    return media_tree_parse(child->text, &low) == MEDIA_OK && low >= 0 ? low
                                                                       : -1;
}


int64_t
media_tree_time(const media_node_t *node, const char *key)
{
    int64_t  t;

    t = media_tree_integer(node, key);

    if (t >= MEDIA_TREE_USEC_MIN) {
        return t / 1000000;
    }

    return t >= MEDIA_TREE_MSEC_MIN ? t / 1000 : t;
}


/* an integer; a fraction, as of doubles, is cut off */
static int
media_tree_parse(media_str_t text, int64_t *value)
{
    char    buf[MEDIA_TREE_NUMBER_MAX], *end;
    double  d;

    if (text.len == 0 || text.len >= sizeof(buf)) {
        return MEDIA_ERROR;
    }

    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';

    if (strspn(buf, "0123456789+-.eE") != text.len) {
        return MEDIA_ERROR;
    }

    errno = 0;
    *value = strtoll(buf, &end, 10);

    if (end == buf + text.len && errno == 0) {
        return MEDIA_OK;
    }

    d = strtod(buf, &end);

    if (end != buf + text.len || !(d > -9e18 && d < 9e18)) {
        return MEDIA_ERROR;
    }

    *value = (int64_t) d;

    return MEDIA_OK;
}


int
media_tree_double(const media_node_t *node, const char *key, double *v)
{
    char         buf[2 * MEDIA_TREE_NUMBER_MAX], *end;
    media_str_t  text;

    text = media_tree_text(node, key);

    if (text.len == 0 || text.len >= sizeof(buf)) {
        return MEDIA_ERROR;
    }

    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';

    if (strspn(buf, "0123456789+-.eE") != text.len) {
        return MEDIA_ERROR;
    }

    *v = strtod(buf, &end);

    return end == buf + text.len ? MEDIA_OK : MEDIA_ERROR;
}


int
media_tree_boolean(const media_node_t *node, const char *key)
{
    media_node_t  *child;

    child = media_tree_get(node, key);

    if (child == NULL) {
        return -1;
    }

    if (child->type == MEDIA_NODE_BOOLEAN) {
        return child->boolean;
    }

    if (media_str_is(child->text, "true") || media_str_is(child->text, "1")) {
        return 1;
    }

    if (media_str_is(child->text, "false") || media_str_is(child->text, "0")) {
        return 0;
    }

    return -1;
}


media_str_t
media_tree_bytes(media_arena_t *arena, const media_node_t *node,
    const char *key, int *failed)
{
    media_node_t  *child, *data;
    media_str_t    empty = media_str("");

    child = media_tree_get(node, key);
    if (child == NULL) {
        return empty;
    }

    data = media_tree_get(child, "data");

    if (data != NULL && media_str_is(media_tree_string(child, "type"),
                                     "Buffer"))
    {
        child = data;
    }

    switch (child->type) {

    case MEDIA_NODE_STRING:
        return media_tree_base64(arena, child->text, failed);

    case MEDIA_NODE_OBJECT:
    case MEDIA_NODE_ARRAY:
        return media_tree_places(arena, child, failed);

    default:
        return empty;
    }
}


static media_str_t
media_tree_base64(media_arena_t *arena, media_str_t text, int *failed)
{
    char         *p;
    ssize_t       n;
    const char   *comma;
    media_str_t   bytes = media_str("");

    if (media_str_begins(text, "data:")) {
        comma = memchr(text.data, ',', text.len);
        if (comma == NULL) {
            return bytes;
        }

        text.len -= (size_t) (comma + 1 - text.data);
        text.data = comma + 1;
    }

    /* wrong padding is met, and tells nothing */

    while (text.len > 0 && text.data[text.len - 1] == '=') {
        text.len--;
    }

    if (text.len == 0) {
        return bytes;
    }

    p = media_arena_alloc(arena, text.len);
    if (p == NULL) {
        *failed = 1;
        return bytes;
    }

    n = media_base64_decode(p, text.len, text.data, text.len);
    if (n > 0) {
        media_str_set(&bytes, p, (size_t) n);
    }

    return bytes;
}


/* bytes by their place, in an array or under their number as the key */
static media_str_t
media_tree_places(media_arena_t *arena, const media_node_t *node, int *failed)
{
    char                *p;
    size_t               i, n, index;
    int64_t              value;
    media_str_t          bytes = media_str("");
    const media_node_t  *child;

    n = 0;

    for (child = node->child; child != NULL; child = child->next) {
        n++;
    }

    if (n == 0) {
        return bytes;
    }

    p = media_arena_alloc(arena, n);
    if (p == NULL) {
        *failed = 1;
        return bytes;
    }

    for (i = 0, child = node->child; child != NULL; child = child->next, i++) {
        index = i;

        if (node->type == MEDIA_NODE_OBJECT
            && media_tree_index(child, n, &index) != MEDIA_OK)
        {
            return bytes;
        }

        if (child->type != MEDIA_NODE_NUMBER
            || media_tree_parse(child->text, &value) != MEDIA_OK
            || value < 0 || value > 255)
        {
            return bytes;
        }

        p[index] = (char) value;
    }

    media_str_set(&bytes, p, n);

    return bytes;
}


/* the key as a number below n */
static int
media_tree_index(const media_node_t *node, size_t n, size_t *index)
{
    size_t  i;

    *index = 0;

    if (node->key.len == 0 || node->key.len > 9) {
        return MEDIA_ERROR;
    }

    for (i = 0; i < node->key.len; i++) {

        if (node->key.data[i] < '0' || node->key.data[i] > '9') {
            return MEDIA_ERROR;
        }

        *index = *index * 10 + (size_t) (node->key.data[i] - '0');
    }

    return *index < n ? MEDIA_OK : MEDIA_ERROR;
}


int
media_str_is(media_str_t s, const char *literal)
{
    return s.len == strlen(literal) && memcmp(s.data, literal, s.len) == 0;
}


int
media_str_begins(media_str_t s, const char *literal)
{
    size_t  len;

    len = strlen(literal);

    return s.len >= len && memcmp(s.data, literal, len) == 0;
}


int
media_str_ends(media_str_t s, const char *literal)
{
    size_t  len;

    len = strlen(literal);

    return s.len >= len && memcmp(s.data + s.len - len, literal, len) == 0;
}
