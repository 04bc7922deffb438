/*
 * Copyright (C) ngx_media contributors
 *
 * provider_http.c: requests to the providers' APIs.  An answer is judged by
 * its HTTP status and the member that matters, never by an "error" member.
 */

#ifndef MEDIA_PROVIDER_H
#define MEDIA_PROVIDER_H

#include "media_worker.h"


#define PROVIDER_ANSWER_MAX  65536      /* bytes, without media in it */


typedef struct {
    const char  *base_url;
    const char  *name;                  /* of the instance */
    const char  *token;
} provider_account_t;


typedef struct {
    const char   *method;
    const char   *auth;         /* "apikey", or "Authorization" for a bearer */
    const char   *path;         /* below base_url; "{}" in it is the name of
                                   the instance, percent-encoded */
    const char   *type;         /* of the body; NULL: JSON */
    media_str_t   body;         /* len 0: none */
    int           body_fd;      /* -1: none */
    int64_t       body_size;
    int64_t       max_size;     /* of a 2xx answer's body */
    int           timeout;      /* seconds */
    int         (*write)(void *data, const char *s, size_t len);
    void         *data;
    unsigned      once:1;       /* as in http_request_t */
} provider_request_t;


/* As http_perform(). */
int provider_perform(child_t *child, const provider_account_t *account,
    const provider_request_t *req, http_answer_t *ans);

/* One call with a JSON body, or NULL, and a JSON answer: 0 for a 2xx. */
int provider_call(child_t *child, const provider_account_t *account,
    const char *method, const char *auth, const char *path, const char *body,
    answer_t *answer, int64_t max_size, http_answer_t *ans);

/* A string's text for JSON, and a zero; the length, or -1 if size is not
   enough, which 6 * strlen(s) + 1 always is. */
ssize_t provider_json(char *dst, size_t size, const char *s);

#endif
