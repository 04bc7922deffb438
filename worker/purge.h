/*
 * Copyright (C) ngx_media contributors
 *
 * The log of purges in Redis, which purge.c writes.
 */

#ifndef MEDIA_PURGE_H
#define MEDIA_PURGE_H

#include "media_worker.h"


#define PURGE_LOCK       "7305790415428"    /* of who rebuilds or sweeps */
#define PURGE_BATCH      500                /* lines of one command */
#define PURGE_STRING(n)  PURGE_STRING_(n)
#define PURGE_STRING_(n) #n
#define PURGE_HEAD       33                 /* 32 hex digits and a newline */
#define PURGE_LOST       (-2)               /* there is no log in Redis */


/* the log as it was found */
typedef struct {
    int64_t  len;
    char     head[PURGE_HEAD + 1];      /* "" if there is no log */
    size_t   head_len;
    bool     valid;
    bool     behind;                    /* the newest purges are not in it */
} purge_log_t;


/* a line for each row of (id, target); 0, -1 or PURGE_LOST */
int purge_log_append(child_t *child, const PGresult *rows);

/* newest: ids that have to be near its end, with spaces between them */
int purge_log_find(child_t *child, const char *newest, purge_log_t *log);

/*
 * Makes the log anew, in pieces under another name.  seen is the head of the
 * log that is not good: one with another head was made by somebody else since.
 * Returns 0 if there is a good log now.
 */
int purge_log_rebuild(child_t *child, const char *seen, const char *reason);

/* purge.c: the rows are published */
int purge_mark(child_t *child, const PGresult *rows);

#endif
