/*
 * Copyright (C) ngx_media contributors
 *
 * From an object in the quarantine to an attachment that can be served and
 * sent.  The object is sealed first: copied, as nginx saw it (its ETag), to
 * a key that no presigned URL is for.  All that follows is about the sealed
 * object, so that nobody changes a byte between the checks and the copy that
 * is served, not even to others with the same MD5.  Each stage may be done
 * again; the row changes in the last one.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "upload.h"


#define UPLOAD_CRASHES  3               /* leases per allowed attempt */


typedef enum {
    STAGE_OK = 0,
    STAGE_NONE,                     /* there was nothing to do */
    STAGE_FAILED,                   /* for good: a->reason */
    STAGE_RETRY,
    STAGE_AGAIN                     /* our own servers are away */
} stage_result_t;

typedef struct {
    const char       *name;         /* of the hop; NULL: it has its own */
    stage_result_t  (*run)(child_t *child, upload_t *u, attachment_t *a);
    const char       *progress;     /* that people are told of */
} upload_stage_t;


static job_result_t upload_leased(child_t *child, upload_t *u,
    attachment_t *a);
static job_result_t upload_done_before(child_t *child, const char *id);
static job_result_t upload_stages_run(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_lease(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_seal(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_seal_copy(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_fetch(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_scan(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_verify(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_store(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_thumbnail(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_rendition(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_m4a(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_complete(child_t *child, upload_t *u,
    attachment_t *a);
static stage_result_t upload_s3_failed(attachment_t *a, const char *what,
    long status);
static void upload_tell(child_t *child, const upload_t *u,
    const char *stage);
static int upload_finish(child_t *child, const attachment_t *a,
    bool complete);
static job_result_t upload_ended(child_t *child, const char *id);


static const upload_stage_t  upload_stages[] = {
    { "lease", upload_lease, NULL },
    { "seal", upload_seal, NULL },
    { "fetch", upload_fetch, NULL },
    { "scan", upload_scan, NULL },
    { "verify", upload_verify, "verified" },
    { "store", upload_store, "stored" },
    { NULL, upload_thumbnail, NULL },
    { "rendition", upload_rendition, NULL },
    { "rendition", upload_m4a, NULL },
    { "complete", upload_complete, NULL }
};

#define UPLOAD_STAGES  (sizeof(upload_stages) / sizeof(upload_stages[0]))


job_result_t
upload_process(child_t *child, const char *id)
{
    int           rc;
    upload_t      u;
    attachment_t  a;
    job_result_t  result;

    rc = upload_load(child, id, &u);

    if (rc != 1) {
        log_msg(LOG_ERR, "upload has no row", NULL);
        result = rc == 0 ? JOB_DEAD : upload_db_failed(child);

    } else if (strcmp(u.state, "uploaded") == 0) {
        result = upload_leased(child, &u, &a);

    } else {
        log_msg(LOG_INFO, "upload is not to be processed", "state", u.state,
                NULL);
        result = upload_ended(child, id);
    }

    upload_free(&u);
    return result;
}


static job_result_t
upload_leased(child_t *child, upload_t *u, attachment_t *a)
{
    int           rc;
    job_result_t  result;

    rc = attachment_lease(child, u->id, a);

    switch (rc) {

    case ATTACHMENT_LEASED:
        a->finish = upload_finish;
        result = upload_stages_run(child, u, a);
        break;

    case ATTACHMENT_FINISHED:
        result = upload_done_before(child, u->id);
        break;

    case ATTACHMENT_UNKNOWN:
        log_msg(LOG_ERR, "attachment has no row", NULL);
        result = JOB_DEAD;
        break;

    default:
        log_msg(LOG_INFO, rc == ATTACHMENT_BUSY
                          ? "another child works on the attachment"
                          : "attachment could not be leased", NULL);
        result = JOB_AGAIN;
    }

    attachment_free(child, a);
    return result;
}


/* by an upload whose row was dropped since */

static job_result_t
upload_done_before(child_t *child, const char *id)
{
    PGresult  *res;

    res = db_exec(child,
                  "UPDATE media.uploads u SET state = CASE a.status"
                  "       WHEN 'completed' THEN 'finished' ELSE 'failed' END,"
                  "       updated_at = now() FROM media.message_attachments a"
                  " WHERE u.id = $1::uuid AND a.id = u.id"
                  "   AND u.state = 'uploaded'", 1, &id);
    PQclear(res);

    return res == NULL ? upload_db_failed(child) : upload_ended(child, id);
}


static job_result_t
upload_stages_run(child_t *child, upload_t *u, attachment_t *a)
{
    size_t                 i;
    int64_t                start;
    job_result_t           result;
    stage_result_t         rc;
    const upload_stage_t  *stage;

    for (i = 0; i < UPLOAD_STAGES; i++) {
        stage = &upload_stages[i];
        start = now_ms();
        rc = stage->run(child, u, a);

        switch (rc) {

        case STAGE_FAILED:
            result = ingest_fail(child, a, stage->name);
            break;

        case STAGE_RETRY:
            result = ingest_retry(child, a, stage->name);
            break;

        case STAGE_AGAIN:
            return ingest_again(child, a, stage->name != NULL ? stage->name
                                                              : "thumbnail");

        default:
            if (rc == STAGE_OK && stage->name != NULL) {
                ingest_hop(child, a, stage->name, "ok", "", start);
            }

            if (stage->progress != NULL) {
                upload_tell(child, u, stage->progress);
            }

            continue;
        }

        if (result == JOB_DONE) {
            send_wake(child, u->conversation);
            return upload_ended(child, u->id);
        }

        return result;
    }

    log_msg(LOG_INFO, "upload completed", "type", a->type,
            "size", log_fmt("%lld", (long long) a->size), NULL);
    send_wake(child, u->conversation);

    return upload_ended(child, u->id);
}


/* each lease counts: a file that crashes its child ends, too */

static stage_result_t
upload_lease(child_t *child, upload_t *u, attachment_t *a)
{
    (void) child;
    (void) u;

    if (a->attempts <= conf.download_attempts * UPLOAD_CRASHES) {
        return STAGE_NONE;
    }

    fetch_reason(a, "gave up: %d attempts ended without a result",
                 a->attempts - 1);
    return STAGE_FAILED;
}


static stage_result_t
upload_seal(child_t *child, upload_t *u, attachment_t *a)
{
    char            type[128];
    long            status;
    int64_t         size;
    stage_result_t  rc;

    if (store_head(child, u->sealed_key, &size, type, sizeof(type), &status)
        != 0)
    {
        if (status != 404) {
            return upload_s3_failed(a, "read the file", status);
        }

        rc = upload_seal_copy(child, u, a);

        if (rc != STAGE_OK) {
            return rc;
        }

        if (store_head(child, u->sealed_key, &size, type, sizeof(type),
                       &status) != 0)
        {
            return upload_s3_failed(a, "read the file", status);
        }
    }

    if (size != u->file_size) {
        fetch_reason(a, "the file has %lld bytes, but %lld were announced",
                     (long long) size, (long long) u->file_size);
        return STAGE_FAILED;
    }

    return STAGE_OK;
}


static stage_result_t
upload_seal_copy(child_t *child, upload_t *u, attachment_t *a)
{
    long  status;

    if (store_copy(child, u->upload_key, u->sealed_key, u->etag, NULL, NULL,
                   &status) == 0)
    {
        return STAGE_OK;
    }

    switch (status) {

    case 404:
        fetch_reason(a, "the uploaded file is not there any more");
        return STAGE_FAILED;

    case 412:
        fetch_reason(a, "the file was replaced after its upload was completed");
        return STAGE_FAILED;

    default:
        return upload_s3_failed(a, "copy the file", status);
    }
}


static stage_result_t
upload_fetch(child_t *child, upload_t *u, attachment_t *a)
{
    long          status;
    fetch_sink_t  sink;

    a->fd = file_temp();
    a->max_size = u->file_size;

    if (a->fd == -1 || fetch_sink_plain(&sink, a, false) != 0) {
        fetch_reason(a, "no temporary file");
        return STAGE_AGAIN;
    }

    if (store_get(child, u->sealed_key, -1, 0, fetch_sink_write, &sink,
                  a->max_size, &status) != 0)
    {
        media_decrypt_free(sink.decrypt);
        return upload_s3_failed(a, "read the file", status);
    }

    if (fetch_sink_close(&sink, "s3") != FETCH_OK || a->size != u->file_size)
    {
        return upload_s3_failed(a, "read the file", 0);
    }

    return STAGE_OK;
}


/* its hop is written */

static stage_result_t
upload_scan(child_t *child, upload_t *u, attachment_t *a)
{
    (void) u;

    switch (scan_attachment(child, a)) {

    case SCAN_PASSED:
        return STAGE_NONE;

    case SCAN_REFUSED:
        return STAGE_FAILED;

    case SCAN_RETRY:
        return STAGE_RETRY;

    default:
        return STAGE_AGAIN;
    }
}


/* nginx asked the same of what the browser said; this is of what came */

static stage_result_t
upload_verify(child_t *child, upload_t *u, attachment_t *a)
{
    char                  text[256];
    int64_t               limit;
    media_str_t           s;
    const char           *code;
    media_upload_t        file;
    media_upload_error_t  error;

    (void) child;

    switch (ingest_inspect(a)) {

    case 0:
        break;

    case -1:
        return STAGE_AGAIN;

    default:
        return STAGE_FAILED;
    }

    memset(&file, 0, sizeof(media_upload_t));
    media_str_set(&s, u->kind, strlen(u->kind));
    file.kind = media_kind_by_name(s);
    file.file_size = a->size;
    media_str_set(&file.file_name, a->file_name, strlen(a->file_name));
    media_str_set(&file.file_type, a->type, strlen(a->type));
    media_str_set(&file.conversation, a->conversation,
                  strlen(a->conversation));
    media_str_set(&file.caption, "", 0);

    error = media_upload_check(&conf.mime, &file, &limit);

    if (error == MEDIA_UPLOAD_OK) {
        return STAGE_OK;
    }

    (void) media_upload_error(error, MEDIA_LANG_EN, limit, &code, text,
                              sizeof(text));
    fetch_reason(a, "%s (%s, %s)", text, u->kind, a->type);

    return STAGE_FAILED;
}


static stage_result_t
upload_store(child_t *child, upload_t *u, attachment_t *a)
{
    char     name[512], disposition[2048], type[128];
    long     status;
    int64_t  size;

    snprintf(a->key, sizeof(a->key), "%s", u->file_key);
    ingest_name(name, sizeof(name), a);
    ingest_disposition(disposition, sizeof(disposition), a, name);

    if (store_copy(child, u->sealed_key, a->key, NULL, a->type, disposition,
                   &status) != 0
        || store_head(child, a->key, &size, type, sizeof(type), &status) != 0)
    {
        return upload_s3_failed(a, "store the file", status);
    }

    return size == a->size ? STAGE_OK
                           : upload_s3_failed(a, "store the file", 0);
}


static stage_result_t
upload_thumbnail(child_t *child, upload_t *u, attachment_t *a)
{
    (void) u;

    return ingest_thumbnail(child, a) == 0 ? STAGE_OK : STAGE_AGAIN;
}


static stage_result_t
upload_rendition(child_t *child, upload_t *u, attachment_t *a)
{
    char         error[256];
    rendition_t  r;

    switch (rendition_get(child, a->id, a->provider, u->kind, a->fd, &r,
                          error, sizeof(error)))
    {
    case RENDITION_OK:
        return STAGE_NONE;                  /* its hop is written */

    case RENDITION_REFUSED:
        fetch_reason(a, "%s", error);
        return STAGE_FAILED;

    default:
        /* counted, as the file may be what is wrong; if S3 is away the next
           attempt does not get here */
        fetch_reason(a, "the file could not be converted: %s", error);
        return STAGE_RETRY;
    }
}


static stage_result_t
upload_m4a(child_t *child, upload_t *u, attachment_t *a)
{
    (void) u;

    if (rendition_m4a(child, a) == 0) {
        return STAGE_NONE;
    }

    fetch_reason(a, "the M4A could not be stored");
    return STAGE_AGAIN;
}


static stage_result_t
upload_complete(child_t *child, upload_t *u, attachment_t *a)
{
    (void) u;

    return attachment_complete(child, a) == 0 ? STAGE_OK : STAGE_AGAIN;
}


static stage_result_t
upload_s3_failed(attachment_t *a, const char *what, long status)
{
    fetch_reason(a, "S3 did not %s: HTTP %ld", what, status);

    return ingest_refused(status) ? STAGE_RETRY : STAGE_AGAIN;
}


/* for people who wait; nothing depends on it */

static void
upload_tell(child_t *child, const upload_t *u, const char *stage)
{
    if (event_add(child, u->tenant, u->conversation, "upload_progress",
                  upload_progress(u->id, u->conversation, stage)) == 0)
    {
        event_publish(child);
    }
}


/* in the transaction that ends the attachment */

static int
upload_finish(child_t *child, const attachment_t *a, bool complete)
{
    PGresult    *res;
    const char  *params[2];

    params[0] = a->id;
    params[1] = complete ? "finished" : "failed";

    res = db_exec(child,
                  "UPDATE media.uploads SET state = $2, updated_at = now()"
                  " WHERE id = $1::uuid AND state = 'uploaded'", 2, params);
    PQclear(res);

    return res == NULL
           ? -1 : send_attachment_ready(child, a->id,
                                        complete ? NULL : a->reason);
}


/* by the state that the row has now; what is not deleted is the reaper's */

static job_result_t
upload_ended(child_t *child, const char *id)
{
    upload_t  u;

    if (upload_load(child, id, &u) == 1 && strcmp(u.state, "uploaded") != 0
        && strcmp(u.state, "issued") != 0)
    {
        (void) upload_discard(child, &u);
    }

    upload_free(&u);
    return JOB_DONE;
}
