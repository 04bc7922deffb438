/*
 * Copyright (C) ngx_media contributors
 *
 * What the files of the sends share.  send.c keeps the ledger: which send is
 * next, and what became of it; send_pace.c says when a number may send;
 * send_evolution.c, send_wapi.c and send_cloudapi.c each speak to one
 * provider; send_match.c recognises our own sends in webhooks.
 */

#ifndef MEDIA_SEND_H
#define MEDIA_SEND_H

#include "media_upload.h"
#include "media_worker.h"


/* what became of one attempt */
typedef enum {
    SEND_ACCEPTED = 0,      /* the provider has it: provider_id is set */
    SEND_RETRY,             /* it was certainly not sent; a later attempt may
                               succeed, not before retry_after seconds */
    SEND_FAILED,            /* it was certainly not sent, and never will be */
    SEND_STOP,              /* nothing can be sent from this number until an
                               operator acts (token, account, registration) */
    SEND_UNKNOWN,           /* it may have been sent */
    SEND_AGAIN              /* our own backend is away; does not count */
} send_result_t;


/* whom a refusal concerns, for pacing and the breaker */
typedef enum {
    SEND_SCOPE_NONE = 0,    /* this message */
    SEND_SCOPE_PAIR,        /* this number to this chat */
    SEND_SCOPE_NUMBER       /* this number */
} send_scope_t;


typedef struct send_s  send_t;


struct send_s {
    PGresult      *row;             /* owns the strings */
    const char    *id;              /* UUID; also what the Cloud API gives
                                       back as biz_opaque_callback_data */
    const char    *tenant;
    const char    *conversation;    /* row ids */
    const char    *message;
    const char    *attachment;      /* NULL without a file */
    media_kind_t   kind;
    int            attempts;        /* this one included */

    /* instance */
    const char    *instance;        /* row id */
    const char    *provider;
    const char    *name;            /* at the provider */
    const char    *base_url;
    const char    *token;           /* decrypted; wiped by send_free() */
    const char    *api_version;     /* "v1" or "v2" */

    const char    *chat;            /* canonical address, see messages.md */
    bool           is_group;

    /* body; "" if absent */
    const char    *text;            /* of a text, or a caption */
    const char    *latitude;        /* decimal degrees */
    const char    *longitude;
    const char    *place_name;
    const char    *place_address;

    /* the message that is replied to; "" if none */
    const char    *reply_id;        /* the provider's id */
    const char    *reply_text;
    bool           reply_from_me;

    /* the file as the provider takes it */
    const char    *file_name;       /* original name, UTF-8 */
    char           file_key[MEDIA_KEY_MAX];
    char           file_type[100];  /* with codecs, if it has */
    int64_t        file_size;

    /* what the provider said */
    char           provider_id[256];
    char           error_code[64];
    char           error[512];      /* for a support agent: no secret, no
                                       text of the message */
    send_scope_t   scope;
    int            retry_after;     /* seconds; 0: by the attempt */
};


typedef struct {
    const char     *provider;

    /*
     * One attempt.  Calls send_written() just before the request that sends
     * the message is written; what comes before (an upload of the file) may
     * be repeated.  A request whose answer did not come is SEND_UNKNOWN,
     * unless the connection was never established.
     */
    send_result_t (*send)(child_t *child, send_t *s);

    /*
     * Asks the provider whether an unknown send arrived: SEND_ACCEPTED,
     * SEND_FAILED (it certainly did not), or SEND_UNKNOWN.  NULL: it cannot
     * be asked.
     */
    send_result_t (*look_up)(child_t *child, send_t *s);

    /* message is the provider's id; true if the provider took it */
    bool (*mark_read)(child_t *child, send_t *s, const char *message);
    /* audio: recording; last_message: of the customer, for the Cloud API */
    bool (*typing)(child_t *child, send_t *s, bool audio,
        const char *last_message);
} send_provider_t;


extern const send_provider_t  send_evolution;   /* send_evolution.c */
extern const send_provider_t  send_wapi;        /* send_wapi.c */
extern const send_provider_t  send_cloudapi;    /* send_cloudapi.c */

const send_provider_t *send_provider(const char *name);


/*
 * send.c.  send_create() writes message, send and event in the running
 * transaction; a repeated idempotency key changes nothing.  request is a job
 * of docs/messages.md.
 */
typedef struct {
    const char  *tenant;
    const char  *conversation;      /* row id */
    const char  *idempotency_key;
    const char  *kind;
    const char  *text;              /* or caption; "" */
    const char  *attachment;        /* UUID, or NULL */
    const char  *file_name;         /* "" */
    const char  *reply_to;          /* row id of a message, or "" */
    const char  *latitude;          /* "" */
    const char  *longitude;
    const char  *place_name;
    const char  *place_address;
    bool         ready;             /* false: the attachment is not yet */
} send_request_t;

enum { SEND_CREATED = 0, SEND_EXISTS, SEND_REFUSED };

/* one of the above, or -1; why it was refused goes to error.  id gets the
   send's UUID: media_key_uuid() of "send\n{tenant}\n{idempotency_key}". */
int send_create(child_t *child, const send_request_t *request,
    char id[MEDIA_KEY_UUID_LEN + 1], char *error, size_t error_size);
/* the attachment of sends is there, or will never be (reason is not NULL);
   in the running transaction */
int send_attachment_ready(child_t *child, const char *attachment,
    const char *reason);
/* the jobs of media_upload: send, read, typing, send_wake */
job_result_t send_job(child_t *child, job_t *job);
/* sends what is due; called by each media_upload child once a second */
void send_poll(child_t *child);

/* the state "sending", committed, before anything is written; 0 or -1 */
int send_written(child_t *child, send_t *s);
void send_error(send_t *s, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


/*
 * send_pace.c: seconds until this send may go out, 0 for now (which is then
 * used up), -1 on failure.  Refusals close the number for everybody.
 */
double send_pace(child_t *child, const send_t *s);
int send_pace_result(child_t *child, const send_t *s, send_result_t result);


/*
 * send_match.c, in the running transaction of the inbound job: 1 if a message
 * of ours that a webhook tells of is one of the ledger's, which then knows
 * its provider id; 0 if not; -1.
 */
int send_match_echo(child_t *child, const char *instance,
    const media_webhook_item_t *item);
/* a status, by provider id or by the Cloud API's callback data */
int send_match_status(child_t *child, const char *instance,
    const char *provider_id, const media_webhook_item_t *item);

#endif
