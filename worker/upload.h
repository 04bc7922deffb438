/*
 * Copyright (C) ngx_media contributors
 *
 * What the files of the uploads share.  upload.c writes down what browsers
 * were given and what they completed; upload_process.c makes an attachment
 * of the object; upload_reap.c removes what nobody owns.
 */

#ifndef MEDIA_UPLOAD_JOB_H
#define MEDIA_UPLOAD_JOB_H

#include "send.h"


/* a row of media.uploads */
typedef struct {
    PGresult    *row;               /* owns the strings */
    const char  *id;
    const char  *tenant;
    const char  *conversation;
    const char  *state;
    const char  *upload_key;        /* can be rewritten by who has the URL */
    const char  *file_key;
    const char  *multipart_id;      /* "" if none */
    const char  *etag;
    const char  *kind;
    int64_t      file_size;         /* announced */
    char         sealed_key[MEDIA_KEY_MAX];     /* a copy that cannot be */
} upload_t;


/* 1, 0 if there is no such row, or -1; freed by upload_free() in any case */
int upload_load(child_t *child, const char *id, upload_t *u);
void upload_free(upload_t *u);
/* of a failed statement */
job_result_t upload_db_failed(child_t *child);

/* payload of the event upload_progress, as log_fmt() */
const char *upload_progress(const char *id, const char *conversation,
    const char *stage);

/* upload_process.c: an upload that is complete; others are left alone */
job_result_t upload_process(child_t *child, const char *id);

/*
 * upload_reap.c.  upload_discard() deletes what is in the quarantine, and of
 * a failed upload what was made of it.  upload_reap() ends one that nobody
 * completed in time.
 */
int upload_discard(child_t *child, const upload_t *u);
job_result_t upload_reap(child_t *child, const char *id);
/* in the running transaction: nothing more comes of it, if it is issued */
int upload_abandon(child_t *child, const char *id, const char *reason);

#endif
