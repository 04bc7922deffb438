/*
 * Copyright (C) ngx_media contributors
 *
 * One normalised item: handing it on, its addresses, its status, and its own
 * JSON rewritten compactly; and the names of what the enumerations stand for.
 */

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "media_codec.h"
#include "media_webhook_int.h"


#define MEDIA_ITEM_RAW_STRING_MAX  (16 * 1024)
#define MEDIA_ITEM_BYTES_MIN       8    /* fewer numbers may be a list */


typedef struct {
    media_arena_t  *arena;
    char           *buf;
    size_t          len;
    size_t          size;
    int             failed;
} media_writer_t;


static int media_tree_written(const media_node_t *node);
static void media_tree_write_node(media_writer_t *w, const media_node_t *node);
static void media_tree_write_list(media_writer_t *w, const media_node_t *node);
static int media_tree_write_bytes(media_writer_t *w,
    const media_node_t *node);
static void media_tree_write_string(media_writer_t *w, media_str_t s);
static void media_tree_put(media_writer_t *w, const char *s, size_t len);


static const struct {
    const char        *name;
    media_provider_t   provider;
} media_providers[] = {
    { "evolution", MEDIA_PROVIDER_EVOLUTION },
    { "wapi", MEDIA_PROVIDER_WAPI },
    { "cloudapi", MEDIA_PROVIDER_CLOUDAPI },
    { "unknown", MEDIA_PROVIDER_UNKNOWN }
};


/*
 * Evolution's numbers and names (WhatsApp's WebMessageInfo.Status), the Cloud
 * API's, and what integrators of W-API, which has no published list, expect
 */
static const struct {
    const char      *name;
    media_status_t   status;
} media_statuses[] = {
    { "0", MEDIA_STATUS_FAILED },
    { "1", MEDIA_STATUS_PENDING },
    { "2", MEDIA_STATUS_SENT },
    { "3", MEDIA_STATUS_DELIVERED },
    { "4", MEDIA_STATUS_READ },
    { "5", MEDIA_STATUS_PLAYED },
    { "ERROR", MEDIA_STATUS_FAILED },
    { "FAILED", MEDIA_STATUS_FAILED },
    { "PENDING", MEDIA_STATUS_PENDING },
    { "ACCEPTED", MEDIA_STATUS_PENDING },
    { "SERVER_ACK", MEDIA_STATUS_SENT },
    { "SERVER", MEDIA_STATUS_SENT },
    { "SENT", MEDIA_STATUS_SENT },
    { "DELIVERY_ACK", MEDIA_STATUS_DELIVERED },
    { "DELIVERY", MEDIA_STATUS_DELIVERED },
    { "DELIVERED", MEDIA_STATUS_DELIVERED },
    { "RECEIVED", MEDIA_STATUS_DELIVERED },
    { "READ", MEDIA_STATUS_READ },
    { "PLAYED", MEDIA_STATUS_PLAYED },
    { "DELETED", MEDIA_STATUS_DELETED }
};


void
media_webhook_begin_item(media_webhook_t *wh, media_item_kind_t kind)
{
    media_str_t            instance;
    media_webhook_item_t  *item;

    media_arena_free(&wh->scratch);
    memset(&wh->item, 0, sizeof(media_webhook_item_t));
    memset(&wh->media, 0, sizeof(media_webhook_media_t));

    item = &wh->item;
    item->provider = wh->provider;
    item->kind = kind;
    item->timestamp = -1;

    instance = media_webhook_instance(wh);
    item->instance = media_arena_copy(&wh->scratch, instance.data,
                                      instance.len, &wh->failed_memory);

    wh->media.file_length = -1;
    wh->media.media_key_timestamp = -1;
    wh->media.width = -1;
    wh->media.height = -1;
    wh->media.seconds = -1;
    wh->media.page_count = -1;
    wh->media.base64_offset = -1;
    wh->media.base64_length = -1;
}


int
media_webhook_emit(media_webhook_t *wh, const media_node_t *node)
{
    wh->item.raw = media_tree_write(&wh->scratch, node, &wh->failed_memory);

    if (wh->failed_memory) {
        wh->rc = MEDIA_ERROR;
        wh->error = "out of memory";
        return 0;
    }

    wh->emitted++;

    if (!wh->handler(wh->data, &wh->item)) {
        wh->rc = MEDIA_DENIED;
        wh->error = "stopped";
        return 0;
    }

    media_arena_free(&wh->scratch);

    return 1;
}


int
media_webhook_other(media_webhook_t *wh, const media_node_t *node,
    media_str_t event)
{
    media_webhook_begin_item(wh, MEDIA_ITEM_OTHER);
    wh->item.event = event;

    return media_webhook_emit(wh, node);
}


int
media_webhook_set_instance(media_webhook_t *wh, media_str_t instance)
{
    char  *copy;

    if (instance.len == 0) {
        return 1;
    }

    copy = strndup(instance.data, instance.len);
    if (copy == NULL) {
        wh->rc = MEDIA_ERROR;
        wh->error = "out of memory";
        return 0;
    }

    free(wh->instance);
    wh->instance = copy;

    return 1;
}


media_str_t
media_webhook_address(media_webhook_t *wh, media_str_t raw)
{
    char         *p;
    ssize_t       n;
    media_str_t   address = media_str("");

    /* the ninth digit, a domain, a zero */

    p = media_arena_alloc(&wh->scratch, raw.len + 8);
    if (p == NULL) {
        wh->failed_memory = 1;
        return address;
    }

    n = media_address_canonical(p, raw.len + 8, raw);
    if (n > 0) {
        media_str_set(&address, p, (size_t) n);
    }

    return address;
}


media_str_t
media_webhook_prefer_phone(media_webhook_t *wh, media_str_t a, media_str_t b,
    media_str_t *alt)
{
    media_str_t  first, second, swap;

    first = media_webhook_address(wh, a);
    second = media_webhook_address(wh, b);

    if (first.len == 0
        || (media_str_ends(first, "@lid") && second.len > 0
            && memchr(second.data, '@', second.len) == NULL))
    {
        swap = first;
        first = second;
        second = swap;
    }

    if (second.len > 0
        && (second.len != first.len
            || memcmp(second.data, first.data, first.len) != 0))
    {
        *alt = second;
    }

    return first;
}


media_status_t
media_webhook_status(media_str_t s)
{
    size_t  i;

    for (i = 0; i < sizeof(media_statuses) / sizeof(media_statuses[0]); i++) {

        if (strlen(media_statuses[i].name) == s.len
            && strncasecmp(media_statuses[i].name, s.data, s.len) == 0)
        {
            return media_statuses[i].status;
        }
    }

    return MEDIA_STATUS_NONE;
}


media_str_t
media_tree_write(media_arena_t *arena, const media_node_t *node, int *failed)
{
    media_str_t     text = media_str("");
    media_writer_t  w;

    memset(&w, 0, sizeof(media_writer_t));
    w.arena = arena;

    media_tree_write_node(&w, node);

    if (w.failed) {
        *failed = 1;
        return text;
    }

    media_str_set(&text, w.buf, w.len);

    return text;
}


/* 0 if a member is left out */
static int
media_tree_written(const media_node_t *node)
{
    return node->type != MEDIA_NODE_LONG
           && node->text.len <= MEDIA_ITEM_RAW_STRING_MAX
           && !media_str_is(node->key, "base64")
           && !media_str_is(node->key, "apikey")
           && !media_str_is(node->key, "api_key");
}


static void
media_tree_write_node(media_writer_t *w, const media_node_t *node)
{
    switch (node->type) {

    case MEDIA_NODE_OBJECT:
    case MEDIA_NODE_ARRAY:

        if (!media_tree_write_bytes(w, node)) {
            media_tree_write_list(w, node);
        }

        break;

    case MEDIA_NODE_STRING:
        media_tree_write_string(w, node->text);
        break;

    case MEDIA_NODE_BOOLEAN:
    case MEDIA_NODE_NUMBER:
        media_tree_put(w, node->text.data, node->text.len);
        break;

    default:
        media_tree_put(w, "null", 4);
    }
}


static void
media_tree_write_list(media_writer_t *w, const media_node_t *node)
{
    int                  object, first;
    const media_node_t  *child;

    object = node->type == MEDIA_NODE_OBJECT;
    first = 1;

    media_tree_put(w, object ? "{" : "[", 1);

    for (child = node->child; child != NULL; child = child->next) {

        if (!media_tree_written(child)) {
            continue;
        }

        if (!first) {
            media_tree_put(w, ",", 1);
        }

        first = 0;

        if (object) {
            media_tree_write_string(w, child->key);
            media_tree_put(w, ":", 1);
        }

        media_tree_write_node(w, child);
    }

    media_tree_put(w, object ? "}" : "]", 1);
}


/* {"0":255,"1":216,...} is ten times as long as what it stands for */
static int
media_tree_write_bytes(media_writer_t *w, const media_node_t *node)
{
    char          *p;
    size_t         n;
    media_str_t    bytes;
    media_node_t  *child, parent;

    if (node->type != MEDIA_NODE_OBJECT || node->child == NULL
        || !media_str_is(node->child->key, "0"))
    {
        return 0;
    }

    for (n = 0, child = node->child; child != NULL; child = child->next) {
        n++;
    }

    if (n < MEDIA_ITEM_BYTES_MIN) {
        return 0;
    }

    memset(&parent, 0, sizeof(media_node_t));
    parent.type = MEDIA_NODE_OBJECT;
    parent.child = parent.last = media_arena_alloc(w->arena,
                                                   sizeof(media_node_t));
    if (parent.child == NULL) {
        w->failed = 1;
        return 1;
    }

    *parent.child = *node;
    parent.child->next = NULL;
    media_str_set(&parent.child->key, "b", 1);

    bytes = media_tree_bytes(w->arena, &parent, "b", &w->failed);
    if (bytes.len == 0) {
        return 0;
    }

    p = media_arena_alloc(w->arena, MEDIA_BASE64_LEN(bytes.len));
    if (p == NULL) {
        w->failed = 1;
        return 1;
    }

    n = media_base64_encode(p, bytes.data, bytes.len);

    media_tree_put(w, "\"", 1);
    media_tree_put(w, p, n);
    media_tree_put(w, "\"", 1);

    return 1;
}


static void
media_tree_write_string(media_writer_t *w, media_str_t s)
{
    char           escape[8];
    size_t         i, start;
    unsigned char  ch;

    media_tree_put(w, "\"", 1);

    for (i = 0, start = 0; i < s.len; i++) {
        ch = (unsigned char) s.data[i];

        if (ch >= 0x20 && ch != '"' && ch != '\\') {
            continue;
        }

        media_tree_put(w, s.data + start, i - start);
        start = i + 1;

        if (ch == '"' || ch == '\\') {
            escape[0] = '\\';
            escape[1] = (char) ch;
            media_tree_put(w, escape, 2);

        } else {
            /* PostgreSQL's jsonb takes any character but U+0000 */
            snprintf(escape, sizeof(escape), "\\u%04x", ch ? ch : 0xfffd);
            media_tree_put(w, escape, 6);
        }
    }

    media_tree_put(w, s.data + start, s.len - start);
    media_tree_put(w, "\"", 1);
}


static void
media_tree_put(media_writer_t *w, const char *s, size_t len)
{
    char    *buf;
    size_t   size;

    if (len > w->size - w->len) {
        size = (w->size + len) * 2;

        buf = media_arena_alloc(w->arena, size);
        if (buf == NULL) {
            w->failed = 1;
            return;
        }

        if (w->len > 0) {
            memcpy(buf, w->buf, w->len);
        }

        w->buf = buf;
        w->size = size;
    }

    if (len > 0 && !w->failed) {
        memcpy(w->buf + w->len, s, len);
        w->len += len;
    }
}


const char *
media_provider_name(media_provider_t provider)
{
    size_t  i;

    for (i = 0; media_providers[i].provider != provider
                && media_providers[i].provider != MEDIA_PROVIDER_UNKNOWN; i++)
    {
        /* void */
    }

    return media_providers[i].name;
}


media_provider_t
media_provider_by_name(media_str_t name)
{
    size_t  i;

    for (i = 0; i < sizeof(media_providers) / sizeof(media_providers[0]); i++)
    {
        if (media_str_is(name, media_providers[i].name)) {
            return media_providers[i].provider;
        }
    }

    return MEDIA_PROVIDER_UNKNOWN;
}


const char *
media_item_kind_name(media_item_kind_t kind)
{
    static const char *const  names[] = {
        "message", "status", "contact", "connection", "other"
    };

    return names[kind];
}


const char *
media_status_name(media_status_t status)
{
    static const char *const  names[] = {
        "", "pending", "sent", "delivered", "read", "played", "failed",
        "deleted"
    };

    return names[status];
}
