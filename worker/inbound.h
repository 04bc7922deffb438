/*
 * Copyright (C) ngx_media contributors
 *
 * What the files of the inbound job share.  inbound.c runs the job,
 * inbound_message.c and inbound_item.c write the items of a webhook,
 * inbound_text.c makes texts fit for the database, unrouted.c keeps what
 * could not be placed.
 */

#ifndef MEDIA_INBOUND_H
#define MEDIA_INBOUND_H

#include "media_worker.h"


/* a list of texts, freed as a whole */
typedef struct {
    char    **items;
    size_t    n;
    size_t    size;
} inbound_list_t;


typedef struct {
    child_t         *child;
    job_t           *job;
    media_webhook_t *webhook;
    unsigned         nitems;

    /* of the item in hand */
    inbound_list_t   texts;             /* memory of its parameters */
    char             tenant[72];
    char             instance[24];      /* row id */
    char             provider[16];

    char             body_key[128];     /* where the body is in S3, or "" */
    bool             passing;           /* stopped: a backend is away */
    bool             gone;              /* the body in S3 is */

    /* what is published after the commit */
    inbound_list_t   attachments;       /* ids */
    inbound_list_t   previews;          /* ids of those that have one */
    inbound_list_t   pictures;          /* jobs of media_priority */
    char             at[32];            /* when nginx received it, or "" */
} inbound_t;


/* inbound_message.c and inbound_item.c: 0, or -1 (a database failure) */
int inbound_message(inbound_t *in, const media_webhook_item_t *item);
int inbound_status(inbound_t *in, const media_webhook_item_t *item,
    media_str_t message_id, media_status_t status);
int inbound_contact(inbound_t *in, const media_webhook_item_t *item);
int inbound_connection(inbound_t *in, const media_webhook_item_t *item);
int inbound_edit(inbound_t *in, const media_webhook_item_t *item,
    bool *found);
/* the job for a picture that changed */
int inbound_picture(inbound_t *in, const media_webhook_item_t *item);
/* the chat by its one address, whichever of two the item names */
int inbound_chat(inbound_t *in, const media_webhook_item_t *item,
    const char **chat);
int inbound_upsert_contact(inbound_t *in, const char *address,
    const char *name, const char **id);

/*
 * A message, its statuses and copies may be written by several children at
 * once; the lock puts them in a row until the transaction ends.  0 or -1.
 */
int inbound_lock(child_t *child, const char *instance, media_str_t id);

/* the body is in S3 from now on, for inline base64 */
int inbound_store_body(inbound_t *in);

/* inbound_text.c: memory of in->texts, valid until the item is done */
const char *inbound_text(inbound_t *in, media_str_t s);
const char *inbound_text_or_null(inbound_t *in, media_str_t s);
const char *inbound_json(inbound_t *in, media_str_t s);
const char *inbound_number(inbound_t *in, int64_t n);   /* NULL if < 0 */
const char *inbound_base64(inbound_t *in, media_str_t s);   /* or NULL */
const char *inbound_bytea(inbound_t *in, media_str_t s);    /* or NULL */
int inbound_list_add(inbound_list_t *list, char *text);     /* owns text */
void inbound_list_free(inbound_list_t *list);
bool inbound_is_person(media_str_t address);

/*
 * unrouted.c: keeps the whole webhook with a reason; and publishes again what
 * waited for an instance that is there now (the number, or -1).
 */
int unrouted_keep(inbound_t *in, const char *instance, const char *reason);
int unrouted_take_up(child_t *child);
/* deletes a body in S3 that no row refers to */
void unrouted_drop_body(child_t *child, const char *key);

#define UNROUTED_UNKNOWN   "unknown instance"
#define UNROUTED_DISABLED  "instance is disabled"

#endif
