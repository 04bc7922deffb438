/*
 * Copyright (C) ngx_media contributors
 *
 * What the files of the sends share.  send.c runs the ledger: which send is
 * next; send_state.c writes what became of it; send_job.c makes sends of
 * jobs; send_pace.c says when a number may send; send_evolution.c,
 * send_wapi.c and send_cloudapi.c each speak to one provider; send_match.c
 * recognises our own sends in webhooks.
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
    bool           window_closed;   /* 24 hours after the customer's last */
    bool           left;            /* another child left it as "sending" */
    bool           held;            /* that one may be alive all the same */
    bool           trial;           /* let through by an open breaker */

    /* instance */
    const char    *instance;        /* row id */
    const char    *provider;
    const char    *name;            /* at the provider */
    const char    *base_url;
    const char    *token;           /* decrypted, in credential */
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

    char           credential[CREDENTIAL_MAX];  /* wiped by send_free() */
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
 * send_job.c.  send_create() writes message, send and event in the running
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
/* the jobs send, read, typing, send_wake */
job_result_t send_job(child_t *child, job_t *job);

/* has another child look at the conversation; what that misses, send_poll()
   finds */
void send_wake(child_t *child, const char *conversation);

/*
 * send.c.  send_run() sends what is due of a conversation; send_poll() what
 * is due at all, called by each media_upload child once a second;
 * send_look_up() asks for unknown sends, called by the sweeper.
 */
void send_run(child_t *child, const char *conversation);
void send_poll(child_t *child);
void send_look_up(child_t *child);
/* the first of those sends s that where is true of; s is freed by send_free()
   whatever this returned: 0, -1, or 1 if there is none */
int send_load(child_t *child, const char *where, const char *param,
    send_t *s);
void send_free(send_t *s);

/*
 * send_state.c.  Each change asks for the state that it needs.  What became
 * of an attempt is written again and again while the database is away, as it
 * must not be lost: for half a minute, then the send becomes unknown.
 */

/* the attempt is counted; 0, or -1 if the send is another child's */
int send_begin(child_t *child, send_t *s);
/* the state "sending", committed, before anything is written; 0 or -1 */
int send_written(child_t *child, send_t *s);
/* this process, as rows name it: "{host} {pid}" */
#define SEND_WRITER_MAX  96

void send_writer(char writer[SEND_WRITER_MAX]);
/* queued again, in so many seconds; attempts is what counts of them */
int send_requeue(child_t *child, const send_t *s, double delay,
    int attempts);
int send_accept(child_t *child, const send_t *s);
int send_fail(child_t *child, const send_t *s);
int send_unsure(child_t *child, const send_t *s);
/* in the running transaction, in which inbound_lock() holds the provider id:
   the provider has the send; s->id, s->instance and s->provider_id are read */
int send_accept_row(child_t *child, const send_t *s, bool answer);
/* likewise: of s id, tenant, conversation, attempts and error are read */
int send_fail_row(child_t *child, const send_t *s);
void send_error(send_t *s, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


/*
 * send_pace.c: seconds until this send may go out, 0 for now (which is then
 * used up), -1 on failure; s->scope says whom a wait concerns.  Refusals
 * close the number for everybody.
 */
double send_pace(child_t *child, send_t *s);
int send_pace_result(child_t *child, const send_t *s, send_result_t result);
/* of media.sends s: its number may send */
extern const char  send_pace_open_sql[];
void send_pace_sweep(child_t *child);
double send_random(void);           /* 0 <= n < 1 */


/*
 * send_match.c, in the running transaction of the inbound job.  chat is the
 * canonical one of the conversation, texts are the database's.
 */
typedef struct {
    const char  *instance;
    const char  *provider_id;
    const char  *chat;
    const char  *type;
    const char  *text;
    const char  *timestamp;         /* unix seconds, or NULL */
    bool         from_api;
} send_echo_t;

typedef struct {
    const char  *instance;
    const char  *provider_id;
    const char  *status;
    const char  *error_code;
    const char  *error;             /* with the code */
    const char  *callback;          /* the Cloud API's callback data, or "" */
    const char  *pricing;           /* category, or "" */
} send_status_t;

/* 1 if a message of ours that a webhook tells of is one of the ledger's,
   which then knows its provider id; 0 if not; -1 */
int send_match_echo(child_t *child, const send_echo_t *echo);
/* 0 or -1 */
int send_match_status(child_t *child, const send_status_t *status);

#endif
