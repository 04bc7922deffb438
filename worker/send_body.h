/*
 * Copyright (C) ngx_media contributors
 *
 * What the three providers of sends share: bodies that may hold a whole file,
 * the one request that sends, and what an answer means that a provider did
 * not write.
 */

#ifndef MEDIA_SEND_BODY_H
#define MEDIA_SEND_BODY_H

#include "provider.h"
#include "send.h"


#define SEND_LINK_MAX    2083       /* Evolution refuses what is longer */
#define SEND_NAME_MAX    (MEDIA_UPLOAD_NAME_MAX + 16)
#define SEND_PLAIN       12288      /* bytes encoded at a time; of 3 */


/*
 * send_body.c.  A body is JSON or anything else; an object of ours goes into
 * it through a temporary file, so that memory stays bounded.  What fails is
 * remembered and said once, by send_body_end().
 */
typedef struct {
    char     *data;             /* the body, or what is not yet in the file */
    size_t    len;
    size_t    size;
    int       fd;               /* -1: it is all in data */
    int64_t   fd_size;
    int64_t   got;              /* bytes of the object */
    size_t    nplain;
    char      plain[SEND_PLAIN];
    unsigned  base64:1;
    unsigned  failed:1;
} send_body_t;

void send_body_init(send_body_t *b);
void send_body_free(send_body_t *b);
/* as it is */
void send_body_add(send_body_t *b, const char *text);
/* members of an object, with the commas; name NULL: a nameless object */
void send_body_open(send_body_t *b, const char *name);
void send_body_close(send_body_t *b);
void send_body_string(send_body_t *b, const char *name, const char *value);
void send_body_value(send_body_t *b, const char *name, const char *value);
/* a string that goes on: what follows is added, up to the closing quote */
void send_body_begin(send_body_t *b, const char *name);
/*
 * Adds the object s->file_key, as base64 or as it is: 0, or -1 with *result
 * and the error of s set.
 */
int send_body_object(child_t *child, send_body_t *b, send_t *s, bool base64,
    send_result_t *result);
/* the body of req from now on: 0, or -1 (memory or disk) */
int send_body_end(send_body_t *b, provider_request_t *req);

/* The name that the receiver sees: the original one, with an extension that
   the providers know for s->file_type. */
void send_file_name(char *dst, size_t size, const send_t *s);
/* of such a name, without the dot */
const char *send_extension(const char *name);
/* Where the provider itself can fetch the file for an hour and more, or false:
   then it has to be in the body. */
bool send_link(char *dst, size_t size, const send_t *s);


/* send_provider.c */
void send_account(provider_account_t *account, const send_t *s);
/* "5511...@s.whatsapp.net"; what has a domain stays as it is */
void send_jid(char *dst, size_t size, const char *chat);
/* the message replied to, "" if the provider has no id for it */
const char *send_reply(const send_t *s);
/* latitude and longitude are JSON numbers in range; else sets the error */
bool send_location_valid(send_t *s);
/* what a place is called if it has no name or address */
const char *send_place(const char *text, const send_t *s, char *dst,
    size_t size);

typedef struct {
    const char      *auth;          /* both as in provider_request_t */
    const char      *path;
    const char      *id;            /* member of a 2xx answer */
    int64_t          max_size;      /* of that */
    send_result_t  (*refused)(send_t *s, const http_answer_t *ans);
} send_post_t;

/*
 * The request that sends the message: posts b and frees it.  *ans is zero if
 * there was no answer.  SEND_ACCEPTED sets the provider's id.
 */
send_result_t send_post(child_t *child, send_t *s, const send_post_t *post,
    send_body_t *b, http_answer_t *ans);
/* a request that may be repeated, and of whose answer only the status counts:
   true for a 2xx */
bool send_call(child_t *child, const send_t *s, const char *method,
    const char *auth, const char *path, send_body_t *b);
/* 1 if that id of the provider's is another message's, 0 if not, -1 */
int send_is_known(child_t *child, const send_t *s, const char *id);
/* of "found" messages that may be this send, and are no other's: true if one
   of them is, false if they may all be sends that look the same, of which
   nothing is known either; of texts one is as good as another */
bool send_is_among(child_t *child, const send_t *s, int found);
/* why there is no answer; written is false for what may be repeated */
send_result_t send_no_answer(send_t *s, const http_answer_t *ans,
    bool written);
/* by the HTTP status alone: the answer is not the provider's, or says nothing
   more */
send_result_t send_status(send_t *s, const http_answer_t *ans);
/* the words of a provider for an error text: without long numbers, and
   nothing of the message or the token */
void send_words(char *dst, size_t size, const send_t *s, const char *text);
/* reads members of a JSON text that may be cut off */
void send_error_members(const char *text, const answer_member_t *members);

#endif
