/*
 * Copyright (C) ngx_media contributors
 *
 * Reads a webhook's body and finds the items in it.  The elements of the
 * lists that providers batch in are built in arenas of their own and wait,
 * since what describes them (Evolution's sender, the Cloud API's field) comes
 * after them; at the end of their envelope, or when the bound on memory is
 * reached, they are handed on.  Everything else stays in the envelope's tree.
 */

#include <stdlib.h>

#include "media_webhook_int.h"


static int media_webhook_on_null(void *data);
static int media_webhook_on_boolean(void *data, int value);
static int media_webhook_on_number(void *data, const char *s, size_t len);
static int media_webhook_on_string(void *data, const char *s, size_t len);
static int media_webhook_on_long(void *data, uint64_t offset, uint64_t len);
static int media_webhook_on_key(void *data, const char *s, size_t len);
static int media_webhook_on_object(void *data);
static int media_webhook_on_array(void *data);
static int media_webhook_on_end(void *data);
static int media_webhook_scalar(media_webhook_t *wh, media_node_type_t type,
    const char *s, size_t len);
static int media_webhook_open(media_webhook_t *wh, media_node_type_t type);
static media_role_t media_webhook_role(const media_webhook_t *wh,
    media_node_type_t type);
static media_node_t *media_webhook_node(media_webhook_t *wh,
    media_node_type_t type);
static int media_webhook_end_item(media_webhook_t *wh, media_node_t *node);
static int media_webhook_end_change(media_webhook_t *wh,
    media_level_t *level);
static int media_webhook_end_envelope(media_webhook_t *wh,
    media_level_t *level);
static int media_webhook_envelope(media_webhook_t *wh, media_level_t *level,
    media_provider_t provider);
static media_provider_t media_webhook_detect(const media_node_t *node);
static int media_webhook_flush(media_webhook_t *wh, const media_node_t *node,
    int cloudapi);
static void media_webhook_drop(media_webhook_t *wh);
static const media_node_t *media_webhook_level(const media_webhook_t *wh,
    media_role_t role);
static int media_webhook_fail(media_webhook_t *wh, int rc, const char *error);


static const media_json_handler_t  media_webhook_json_handler = {
    media_webhook_on_null,
    media_webhook_on_boolean,
    media_webhook_on_number,
    media_webhook_on_string,
    media_webhook_on_object,
    media_webhook_on_key,
    media_webhook_on_end,
    media_webhook_on_array,
    media_webhook_on_end,
    NULL,
    media_webhook_on_long
};


static const media_json_limits_t  media_webhook_json_limits = {
    MEDIA_WEBHOOK_DEPTH_MAX,
    MEDIA_WEBHOOK_STRING_MAX
};


/* what a container is, by the role of the one around it and its key */
static const struct {
    media_role_t       parent;
    const char        *key;             /* NULL: element of a list */
    media_node_type_t  type;
    media_role_t       role;
} media_webhook_roles[] = {
    { MEDIA_ROLE_ROOTS, NULL, MEDIA_NODE_OBJECT, MEDIA_ROLE_ENVELOPE },
    { MEDIA_ROLE_ENVELOPE, "body", MEDIA_NODE_OBJECT, MEDIA_ROLE_ENVELOPE },
    { MEDIA_ROLE_ENVELOPE, "data", MEDIA_NODE_ARRAY, MEDIA_ROLE_DATA },
    { MEDIA_ROLE_DATA, NULL, MEDIA_NODE_OBJECT, MEDIA_ROLE_ITEM },
    { MEDIA_ROLE_ENVELOPE, "entry", MEDIA_NODE_ARRAY, MEDIA_ROLE_ENTRIES },
    { MEDIA_ROLE_ENTRIES, NULL, MEDIA_NODE_OBJECT, MEDIA_ROLE_ENTRY },
    { MEDIA_ROLE_ENTRY, "changes", MEDIA_NODE_ARRAY, MEDIA_ROLE_CHANGES },
    { MEDIA_ROLE_CHANGES, NULL, MEDIA_NODE_OBJECT, MEDIA_ROLE_CHANGE },
    { MEDIA_ROLE_CHANGE, "value", MEDIA_NODE_OBJECT, MEDIA_ROLE_VALUE },
    { MEDIA_ROLE_VALUE, "messages", MEDIA_NODE_ARRAY, MEDIA_ROLE_MESSAGES },
    { MEDIA_ROLE_VALUE, "statuses", MEDIA_NODE_ARRAY, MEDIA_ROLE_STATUSES },
    { MEDIA_ROLE_VALUE, "message_echoes", MEDIA_NODE_ARRAY,
      MEDIA_ROLE_ECHOES },
    { MEDIA_ROLE_MESSAGES, NULL, MEDIA_NODE_OBJECT, MEDIA_ROLE_ITEM },
    { MEDIA_ROLE_STATUSES, NULL, MEDIA_NODE_OBJECT, MEDIA_ROLE_ITEM },
    { MEDIA_ROLE_ECHOES, NULL, MEDIA_NODE_OBJECT, MEDIA_ROLE_ITEM }
};


media_webhook_t *
media_webhook_create(media_provider_t provider, media_webhook_item_pt item,
    void *data)
{
    media_webhook_t  *wh;

    wh = calloc(1, sizeof(media_webhook_t));
    if (wh == NULL) {
        return NULL;
    }

    wh->handler = item;
    wh->data = data;
    wh->given = provider;
    wh->provider = provider;
    wh->arena = &wh->envelope;
    wh->pending_tail = &wh->pending;

    wh->json = media_json_create(&media_webhook_json_handler,
                                 &media_webhook_json_limits, wh);
    if (wh->json == NULL) {
        free(wh);
        return NULL;
    }

    return wh;
}


int
media_webhook_feed(media_webhook_t *wh, const char *s, size_t len)
{
    int  rc;

    rc = media_json_feed(wh->json, s, len);

    return rc == MEDIA_DENIED ? wh->rc : rc;
}


int
media_webhook_finish(media_webhook_t *wh)
{
    int  rc;

    rc = media_json_finish(wh->json);

    return rc == MEDIA_DENIED ? wh->rc : rc;
}


media_provider_t
media_webhook_provider(const media_webhook_t *wh)
{
    return wh->provider;
}


media_str_t
media_webhook_instance(const media_webhook_t *wh)
{
    media_str_t  instance = media_str("");

    if (wh->instance != NULL) {
        media_str_set(&instance, wh->instance, strlen(wh->instance));
    }

    return instance;
}


const char *
media_webhook_error(const media_webhook_t *wh)
{
    return wh->error != NULL ? wh->error : media_json_error(wh->json);
}


void
media_webhook_free(media_webhook_t *wh)
{
    if (wh == NULL) {
        return;
    }

    media_webhook_drop(wh);

    if (wh->open != NULL) {
        media_arena_free(&wh->open->arena);
        free(wh->open);
    }

    media_arena_free(&wh->envelope);
    media_arena_free(&wh->scratch);
    media_json_free(wh->json);
    free(wh->instance);
    free(wh);
}


static int
media_webhook_on_null(void *data)
{
    return media_webhook_scalar(data, MEDIA_NODE_NULL, "", 0);
}


static int
media_webhook_on_boolean(void *data, int value)
{
    return media_webhook_scalar(data, MEDIA_NODE_BOOLEAN,
                                value ? "true" : "false", value ? 4 : 5);
}


static int
media_webhook_on_number(void *data, const char *s, size_t len)
{
    return media_webhook_scalar(data, MEDIA_NODE_NUMBER, s, len);
}


static int
media_webhook_on_string(void *data, const char *s, size_t len)
{
    return media_webhook_scalar(data, MEDIA_NODE_STRING, s, len);
}


static int
media_webhook_on_key(void *data, const char *s, size_t len)
{
    int               failed;
    media_webhook_t  *wh = data;

    failed = 0;
    wh->key = media_arena_copy(wh->arena, s, len, &failed);

    return failed ? media_webhook_fail(wh, MEDIA_ERROR, "out of memory") : 1;
}


static int
media_webhook_scalar(media_webhook_t *wh, media_node_type_t type,
    const char *s, size_t len)
{
    int            failed;
    media_node_t  *node;

    node = media_webhook_node(wh, type);
    if (node == NULL) {
        return 0;
    }

    failed = 0;
    node->text = media_arena_copy(wh->arena, s, len, &failed);
    node->boolean = (type == MEDIA_NODE_BOOLEAN && len == sizeof("true") - 1);

    if (failed) {
        return media_webhook_fail(wh, MEDIA_ERROR, "out of memory");
    }

    if (type == MEDIA_NODE_STRING) {
        media_json_place(wh->json, &node->offset, &node->length);
    }

    if (wh->depth == 0) {
        return media_webhook_other(wh, node, media_tree_string(NULL, ""));
    }

    return 1;
}


static int
media_webhook_on_long(void *data, uint64_t offset, uint64_t len)
{
    media_node_t     *node;
    media_webhook_t  *wh = data;

    node = media_webhook_node(wh, MEDIA_NODE_LONG);
    if (node == NULL) {
        return 0;
    }

    node->offset = offset;
    node->length = len;

    return 1;
}


static int
media_webhook_on_object(void *data)
{
    return media_webhook_open(data, MEDIA_NODE_OBJECT);
}


static int
media_webhook_on_array(void *data)
{
    return media_webhook_open(data, MEDIA_NODE_ARRAY);
}


/* a node in its place in the tree; the reading stops if NULL is returned */
static media_node_t *
media_webhook_node(media_webhook_t *wh, media_node_type_t type)
{
    media_node_t  *node;

    if (wh->arena->size > MEDIA_WEBHOOK_ITEM_MAX) {
        media_webhook_fail(wh, MEDIA_NOSPACE, "an item is too large");
        return NULL;
    }

    node = media_arena_alloc(wh->arena, sizeof(media_node_t));
    if (node == NULL) {
        media_webhook_fail(wh, MEDIA_ERROR, "out of memory");
        return NULL;
    }

    node->type = type;
    node->key = wh->key;
    media_str_set(&wh->key, "", 0);

    /* an item's own node hangs on nothing */

    if (wh->depth > 0 && (wh->open == NULL || wh->open->node != NULL)) {
        media_tree_add(wh->levels[wh->depth - 1].node, node);
    }

    return node;
}


static int
media_webhook_open(media_webhook_t *wh, media_node_type_t type)
{
    media_role_t        role, parent;
    media_level_t      *level;
    media_arena_mark_t  mark;

    role = media_webhook_role(wh, type);
    parent = wh->depth ? wh->levels[wh->depth - 1].role : MEDIA_ROLE_PLAIN;
    mark = media_arena_mark(wh->arena);

    if (role == MEDIA_ROLE_ITEM) {
        wh->open = calloc(1, sizeof(media_pending_t));
        if (wh->open == NULL) {
            return media_webhook_fail(wh, MEDIA_ERROR, "out of memory");
        }

        wh->open->list = parent == MEDIA_ROLE_MESSAGES ? MEDIA_LIST_MESSAGES
                         : parent == MEDIA_ROLE_STATUSES ? MEDIA_LIST_STATUSES
                         : parent == MEDIA_ROLE_ECHOES ? MEDIA_LIST_ECHOES
                                                       : MEDIA_LIST_DATA;
        wh->arena = &wh->open->arena;
    }

    level = &wh->levels[wh->depth];
    level->role = role;
    level->mark = mark;
    level->emitted = wh->emitted;
    level->wrapped = 0;

    level->node = media_webhook_node(wh, type);
    if (level->node == NULL) {
        return 0;
    }

    if (role == MEDIA_ROLE_ITEM) {
        wh->open->node = level->node;
    }

    wh->depth++;

    return 1;
}


static media_role_t
media_webhook_role(const media_webhook_t *wh, media_node_type_t type)
{
    size_t        i;
    media_role_t  parent;

    if (wh->depth == 0) {
        return type == MEDIA_NODE_ARRAY ? MEDIA_ROLE_ROOTS
                                        : MEDIA_ROLE_ENVELOPE;
    }

    parent = wh->levels[wh->depth - 1].role;

    if (parent == MEDIA_ROLE_PLAIN || parent == MEDIA_ROLE_ITEM) {
        return MEDIA_ROLE_PLAIN;
    }

    for (i = 0;
         i < sizeof(media_webhook_roles) / sizeof(media_webhook_roles[0]);
         i++)
    {
        if (media_webhook_roles[i].parent == parent
            && media_webhook_roles[i].type == type
            && (media_webhook_roles[i].key == NULL
                || media_str_is(wh->key, media_webhook_roles[i].key)))
        {
            return media_webhook_roles[i].role;
        }
    }

    return MEDIA_ROLE_PLAIN;
}


static int
media_webhook_on_end(void *data)
{
    media_level_t    *level;
    media_webhook_t  *wh = data;

    level = &wh->levels[--wh->depth];

    switch (level->role) {

    case MEDIA_ROLE_ITEM:
        return media_webhook_end_item(wh, level->node);

    case MEDIA_ROLE_CHANGE:
        return media_webhook_end_change(wh, level);

    case MEDIA_ROLE_ENVELOPE:
        return media_webhook_end_envelope(wh, level);

    default:
        return 1;
    }
}


static int
media_webhook_end_item(media_webhook_t *wh, media_node_t *node)
{
    int                  cloudapi;
    media_pending_t     *item;
    const media_node_t  *envelope;

    item = wh->open;
    item->node = node;

    wh->open = NULL;
    wh->arena = &wh->envelope;

    *wh->pending_tail = item;
    wh->pending_tail = &item->next;
    wh->pending_size += item->arena.size + sizeof(media_pending_t);

    if (wh->pending_size <= MEDIA_WEBHOOK_ITEM_MAX) {
        return 1;
    }

    /* no room to wait for what comes after the items */

    cloudapi = item->list != MEDIA_LIST_DATA;
    envelope = media_webhook_level(wh, cloudapi ? MEDIA_ROLE_CHANGE
                                                : MEDIA_ROLE_ENVELOPE);

    return media_webhook_flush(wh, envelope, cloudapi);
}


static int
media_webhook_end_change(media_webhook_t *wh, media_level_t *level)
{
    if (!media_webhook_flush(wh, level->node, 1)) {
        return 0;
    }

    if (wh->emitted == level->emitted
        && (wh->given == MEDIA_PROVIDER_UNKNOWN
            || wh->given == MEDIA_PROVIDER_CLOUDAPI))
    {
        wh->provider = MEDIA_PROVIDER_CLOUDAPI;

        if (!media_cloudapi_change(wh, level->node)) {
            return 0;
        }
    }

    media_tree_remove_last(wh->levels[wh->depth - 1].node);
    media_arena_release(&wh->envelope, level->mark);

    return 1;
}


static int
media_webhook_end_envelope(media_webhook_t *wh, media_level_t *level)
{
    int               rc;
    media_level_t    *parent;
    media_provider_t  provider;

    parent = wh->depth ? &wh->levels[wh->depth - 1] : NULL;

    if (parent != NULL && parent->role == MEDIA_ROLE_ENVELOPE
        && media_webhook_detect(level->node) == MEDIA_PROVIDER_UNKNOWN
        && wh->emitted == level->emitted && wh->pending == NULL)
    {
        /* some other member called "body" */
        return 1;
    }

    provider = media_webhook_detect(level->node);

    if (wh->given == MEDIA_PROVIDER_UNKNOWN
        && provider != MEDIA_PROVIDER_UNKNOWN)
    {
        wh->provider = provider;
    }

    rc = level->wrapped || media_webhook_envelope(wh, level, provider);

    media_webhook_drop(wh);

    if (parent != NULL && parent->role == MEDIA_ROLE_ENVELOPE) {
        parent->wrapped = 1;
    }

    if (rc && parent != NULL) {
        media_tree_remove_last(parent->node);
        media_arena_release(&wh->envelope, level->mark);
    }

    return rc;
}


static int
media_webhook_envelope(media_webhook_t *wh, media_level_t *level,
    media_provider_t provider)
{
    switch (wh->given ? wh->given : provider) {

    case MEDIA_PROVIDER_EVOLUTION:
        return media_webhook_flush(wh, level->node, 0)
               && media_evolution_envelope(wh, level->node);

    case MEDIA_PROVIDER_WAPI:
        return media_wapi_envelope(wh, level->node);

    default:
        /* the Cloud API's items were handed on with their change */
        return wh->emitted != level->emitted
               || media_webhook_other(wh, level->node,
                                  media_tree_string(level->node, "event"));
    }
}


static media_provider_t
media_webhook_detect(const media_node_t *node)
{
    media_str_t  event;

    if (media_tree_array(node, "entry")
        || media_str_is(media_tree_string(node, "object"),
                        "whatsapp_business_account")
        || media_tree_get(node, "messaging_product"))
    {
        return MEDIA_PROVIDER_CLOUDAPI;
    }

    event = media_tree_string(node, "event");

    if (media_str_begins(event, "webhook")
        || media_tree_object(node, "msgContent"))
    {
        return MEDIA_PROVIDER_WAPI;
    }

    if (event.len > 0
        || (media_tree_get(node, "instance") && media_tree_get(node, "data"))
        || (media_tree_object(node, "key")
            && (media_tree_get(node, "message")
                || media_tree_get(node, "messageType")))
        || media_webhook_is_message(node)
        || media_webhook_is_message(media_tree_object(node, "message")))
    {
        return MEDIA_PROVIDER_EVOLUTION;
    }

    return media_tree_get(node, "instanceId") ? MEDIA_PROVIDER_WAPI
                                              : MEDIA_PROVIDER_UNKNOWN;
}


/* hands on what waits; node is the change of the Cloud API, or the envelope */
static int
media_webhook_flush(media_webhook_t *wh, const media_node_t *node,
    int cloudapi)
{
    int               rc;
    media_pending_t  *item;
    media_provider_t  provider;

    provider = cloudapi ? MEDIA_PROVIDER_CLOUDAPI : media_webhook_detect(node);

    if (wh->given == MEDIA_PROVIDER_UNKNOWN && wh->pending != NULL) {
        wh->provider = provider;
    }

    for (rc = 1; rc && wh->pending != NULL; /* void */ ) {
        item = wh->pending;

        if (wh->provider != provider) {
            /* not the shape that this provider sends */
            rc = media_webhook_other(wh, item->node,
                                     media_tree_string(node, "event"));

        } else if (cloudapi) {
            rc = media_cloudapi_item(wh, node, item->node, item->list);

        } else {
            rc = media_evolution_item(wh, node, item->node);
        }

        wh->pending = item->next;
        media_arena_free(&item->arena);
        free(item);
    }

    if (wh->pending == NULL) {
        wh->pending_tail = &wh->pending;
        wh->pending_size = 0;
    }

    return rc;
}


static void
media_webhook_drop(media_webhook_t *wh)
{
    media_pending_t  *item;

    while (wh->pending != NULL) {
        item = wh->pending;
        wh->pending = item->next;

        media_arena_free(&item->arena);
        free(item);
    }

    wh->pending_tail = &wh->pending;
    wh->pending_size = 0;
}


/* the innermost open container of a role */
static const media_node_t *
media_webhook_level(const media_webhook_t *wh, media_role_t role)
{
    unsigned  i;

    for (i = wh->depth; i > 0; i--) {
        if (wh->levels[i - 1].role == role) {
            return wh->levels[i - 1].node;
        }
    }

    return NULL;
}


static int
media_webhook_fail(media_webhook_t *wh, int rc, const char *error)
{
    wh->rc = rc;
    wh->error = error;

    return 0;
}
