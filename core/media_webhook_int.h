/*
 * Copyright (C) ngx_media contributors
 *
 * What the files of the webhook analysis share.  media_webhook.c reads the
 * body and finds the items in it; media_webhook_tree.c holds one item as a
 * tree; media_webhook_item.c hands it on; media_webhook_evolution.c, _wapi.c
 * and _cloudapi.c know a provider's envelope each; media_webhook_message.c
 * knows WhatsApp's message content as JSON, which Evolution and W-API pass
 * on.
 */

#ifndef MEDIA_WEBHOOK_INT_H
#define MEDIA_WEBHOOK_INT_H

#include "media_json.h"
#include "media_webhook.h"


#define MEDIA_WEBHOOK_DEPTH_MAX   64
#define MEDIA_WEBHOOK_STRING_MAX  (256 * 1024)
#define MEDIA_WEBHOOK_ITEM_MAX    (16 * 1024 * 1024)


/* memory that is freed as a whole */
typedef struct media_chunk_s  media_chunk_t;

typedef struct {
    media_chunk_t      *chunk;      /* the newest */
    size_t              size;       /* bytes of all chunks */
} media_arena_t;


typedef struct {
    media_chunk_t      *chunk;
    size_t              used;
} media_arena_mark_t;


typedef enum {
    MEDIA_NODE_NULL = 0,
    MEDIA_NODE_BOOLEAN,
    MEDIA_NODE_NUMBER,
    MEDIA_NODE_STRING,
    MEDIA_NODE_LONG,                /* a string that was not collected */
    MEDIA_NODE_OBJECT,
    MEDIA_NODE_ARRAY
} media_node_type_t;


typedef struct media_node_s  media_node_t;

struct media_node_s {
    media_str_t         key;        /* empty in arrays */
    media_str_t         text;       /* of a string or number */
    uint64_t            offset;     /* of a string's raw text in the body */
    uint64_t            length;
    media_node_t       *next;
    media_node_t       *child;
    media_node_t       *last;
    media_node_type_t   type;
    int                 boolean;
};


/* the lists whose elements are items of their own */
typedef enum {
    MEDIA_LIST_DATA = 0,            /* Evolution: data */
    MEDIA_LIST_MESSAGES,            /* Cloud API: value.messages */
    MEDIA_LIST_STATUSES,
    MEDIA_LIST_ECHOES               /* value.message_echoes */
} media_list_t;


/* an item that waits until the rest of its envelope is known */
typedef struct media_pending_s  media_pending_t;

struct media_pending_s {
    media_arena_t       arena;
    media_node_t       *node;
    media_list_t        list;
    media_pending_t    *next;
};


/* what an open container of the body is */
typedef enum {
    MEDIA_ROLE_PLAIN = 0,
    MEDIA_ROLE_ROOTS,               /* a list of envelopes */
    MEDIA_ROLE_ENVELOPE,
    MEDIA_ROLE_DATA,                /* Evolution's data, a list */
    MEDIA_ROLE_ENTRIES,
    MEDIA_ROLE_ENTRY,
    MEDIA_ROLE_CHANGES,
    MEDIA_ROLE_CHANGE,
    MEDIA_ROLE_VALUE,
    MEDIA_ROLE_MESSAGES,
    MEDIA_ROLE_STATUSES,
    MEDIA_ROLE_ECHOES,
    MEDIA_ROLE_ITEM
} media_role_t;


typedef struct {
    media_node_t       *node;
    media_role_t        role;
    media_arena_mark_t  mark;       /* before the node */
    uint64_t            emitted;    /* items before it */
    unsigned            wrapped:1;  /* an envelope stood within it */
} media_level_t;


struct media_webhook_s {
    media_webhook_item_pt   handler;
    void                   *data;
    media_provider_t        given;
    media_provider_t        provider;
    char                   *instance;   /* NULL until known */
    media_json_t           *json;

    int                     rc;
    const char             *error;      /* NULL: the JSON reader's */

    media_level_t           levels[MEDIA_WEBHOOK_DEPTH_MAX + 1];
    unsigned                depth;
    media_str_t             key;        /* of the value to come */
    media_arena_t           envelope;
    media_arena_t          *arena;      /* envelope's, or the item's */
    media_pending_t        *open;       /* the item that is being read */
    media_pending_t        *pending;
    media_pending_t       **pending_tail;
    size_t                  pending_size;

    /* the item that is being made, and what it points to */
    uint64_t                emitted;
    media_arena_t           scratch;
    media_webhook_item_t    item;
    media_webhook_media_t   media;
    int                     failed_memory;
};


/* media_webhook_tree.c */

/* zeroed memory, or NULL */
void *media_arena_alloc(media_arena_t *arena, size_t size);
media_str_t media_arena_copy(media_arena_t *arena, const char *s, size_t len,
    int *failed);
media_arena_mark_t media_arena_mark(const media_arena_t *arena);
void media_arena_release(media_arena_t *arena, media_arena_mark_t mark);
void media_arena_free(media_arena_t *arena);

void media_tree_add(media_node_t *parent, media_node_t *node);
void media_tree_remove_last(media_node_t *parent);

/*
 * The member of an object: exactly that name, or else in any case (the two
 * engines differ in it: url and URL); the last if it stands there twice.
 * NULL if there is none, it is null, or node is no object.
 */
media_node_t *media_tree_get(const media_node_t *node, const char *key);

/* an object or array, else NULL */
media_node_t *media_tree_object(const media_node_t *node, const char *key);
media_node_t *media_tree_array(const media_node_t *node, const char *key);

/* a string, or else empty; a string or the text of a number */
media_str_t media_tree_string(const media_node_t *node, const char *key);
media_str_t media_tree_text(const media_node_t *node, const char *key);

/* the first of two names that is there */
media_str_t media_tree_either(const media_node_t *node, const char *a,
    const char *b);

/* number, decimal string or {low,high,unsigned}; -1 if absent or other */
int64_t media_tree_integer(const media_node_t *node, const char *key);

/* the same in unix seconds, from seconds, milliseconds or microseconds */
int64_t media_tree_time(const media_node_t *node, const char *key);

/* MEDIA_OK or MEDIA_ERROR */
int media_tree_double(const media_node_t *node, const char *key, double *v);

/* 1, 0, or -1 if absent */
int media_tree_boolean(const media_node_t *node, const char *key);

/*
 * Bytes in any form they are serialised in: base64 with or without a data:
 * prefix, {"0":1,"1":2}, [1,2], {"type":"Buffer","data":[1,2] or base64}.
 * Empty if absent or none of these.
 */
media_str_t media_tree_bytes(media_arena_t *arena, const media_node_t *node,
    const char *key, int *failed);

int media_str_is(media_str_t s, const char *literal);
int media_str_begins(media_str_t s, const char *literal);
int media_str_ends(media_str_t s, const char *literal);


/* media_webhook_item.c; those that return int: 1 to go on, 0 to stop */

/*
 * Compact JSON of a tree, without secrets of the envelope (apikey), inline
 * files (base64) and strings above 16 KiB; bytes as base64, U+0000 as U+FFFD.
 */
media_str_t media_tree_write(media_arena_t *arena, const media_node_t *node,
    int *failed);

/* clears wh->item and wh->media */
void media_webhook_begin_item(media_webhook_t *wh, media_item_kind_t kind);

/* hands wh->item on; node is its own JSON */
int media_webhook_emit(media_webhook_t *wh, const media_node_t *node);

/* an item of kind "other" */
int media_webhook_other(media_webhook_t *wh, const media_node_t *node,
    media_str_t event);

/* what the items to come belong to */
int media_webhook_set_instance(media_webhook_t *wh, media_str_t instance);

/* canonical form of an address, in scratch memory */
media_str_t media_webhook_address(media_webhook_t *wh, media_str_t raw);

/*
 * Of two spellings of one address (either may be empty) the phone is best;
 * the other one, if it differs, is alt.  Both canonical.
 */
media_str_t media_webhook_prefer_phone(media_webhook_t *wh, media_str_t a,
    media_str_t b, media_str_t *alt);

/* from a name or number of any provider */
media_status_t media_webhook_status(media_str_t s);


/* media_webhook_message.c */

/*
 * Fills in type, text, media, location, reply_to and target_id of wh->item
 * from WhatsApp's message content.  named is Evolution's messageType or "".
 */
void media_webhook_message(media_webhook_t *wh, const media_node_t *message,
    media_str_t named);

/* REVOKE, MESSAGE_EDIT and the others */
void media_webhook_protocol(media_webhook_t *wh, const media_node_t *node);

/* 1 if it has a member that is message content */
int media_webhook_is_message(const media_node_t *node);


/* media_webhook_evolution.c, media_webhook_wapi.c, media_webhook_cloudapi.c */

int media_evolution_envelope(media_webhook_t *wh, const media_node_t *node);
int media_evolution_item(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *node);
int media_wapi_envelope(media_webhook_t *wh, const media_node_t *node);
int media_cloudapi_item(media_webhook_t *wh, const media_node_t *change,
    const media_node_t *node, media_list_t list);

/* a change that held no item */
int media_cloudapi_change(media_webhook_t *wh, const media_node_t *change);

#endif
