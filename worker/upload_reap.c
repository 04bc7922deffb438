/*
 * Copyright (C) ngx_media contributors
 *
 * What nobody owns: uploads that were not completed in time, and objects in
 * the quarantine that came back through a URL that was still good.  The
 * sweeper finds the rows and queues them; the job reaps, behind completions
 * that were queued in time however long the queue is.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "upload.h"


#define UPLOAD_SWEEP_BATCH  "500"
#define UPLOAD_REAP_DELAY   60          /* seconds: what waits to be done
                                           again comes before, too */


static int upload_reap_lock(child_t *child, const char *id, upload_t *u);
static int upload_delete(child_t *child, const char *key);
static int upload_delete_made(child_t *child, const upload_t *u);
static void upload_drop_old(child_t *child);


void
upload_sweep(child_t *child)
{
    int          i;
    char         grace[16], seconds[16];
    PGresult    *res;
    const char  *params[2];
    static const char  sql[] =
        "UPDATE media.uploads SET updated_at = now()"
        " WHERE id IN (SELECT id FROM media.uploads"
        "  WHERE reaped_at IS NULL AND state <> 'uploaded'"
        "    AND expires_at < now() - make_interval(secs => $1::int)"
        "    AND updated_at < now() - make_interval(secs => $2::int)"
        "  ORDER BY expires_at LIMIT " UPLOAD_SWEEP_BATCH
        "  FOR UPDATE SKIP LOCKED) RETURNING id";

    snprintf(grace, sizeof(grace), "%d", MEDIA_UPLOAD_GRACE);
    snprintf(seconds, sizeof(seconds), "%d",
             conf.retry_delays[conf.nretry_delays - 1] + conf.sweep_interval);
    params[0] = grace;
    params[1] = seconds;

    if (db_begin(child) != 0) {
        return;
    }

    res = db_exec(child, sql, 2, params);

    if (res != NULL && PQntuples(res) > 0 && child->broker == NULL) {
        child->broker = broker_open();
    }

    for (i = 0; res != NULL && i < PQntuples(res); i++) {
        if (broker_publish_id(child->broker, "media_upload", "upload_reap",
                              "attachment_id", PQgetvalue(res, i, 0),
                              UPLOAD_REAP_DELAY) != 0)
        {
            PQclear(res);
            db_rollback(child);
            return;
        }
    }

    PQclear(res);
    (void) db_commit(child);
    upload_drop_old(child);
}


static void
upload_drop_old(child_t *child)
{
    char         seconds[16];
    const char  *params[1];

    snprintf(seconds, sizeof(seconds), "%d", conf.unrouted_keep);
    params[0] = seconds;

    PQclear(db_exec(child,
                    "DELETE FROM media.uploads WHERE reaped_at"
                    " < now() - make_interval(secs => $1::int)", 1, params));
}


job_result_t
upload_reap(child_t *child, const char *id)
{
    int           rc;
    upload_t      u;
    job_result_t  result;

    if (db_begin(child) != 0) {
        return JOB_AGAIN;
    }

    rc = upload_reap_lock(child, id, &u);

    if (rc == -1) {
        result = upload_db_failed(child);
        db_rollback(child);
        upload_free(&u);
        return result;
    }

    if (db_commit(child) != 0) {
        upload_free(&u);
        return JOB_AGAIN;
    }

    event_publish(child);
    result = JOB_DONE;

    if (rc == 1) {
        result = upload_discard(child, &u) != 0 ? JOB_AGAIN : JOB_DONE;
    }

    if (rc == 1 && result == JOB_DONE) {
        PQclear(db_exec(child,
                        "UPDATE media.uploads SET reaped_at = now()"
                        " WHERE id = $1::uuid", 1, &id));
    }

    upload_free(&u);
    return result;
}


/* 1: what the row owns is known, and its URLs are good no more */

static int
upload_reap_lock(child_t *child, const char *id, upload_t *u)
{
    int          n;
    PGresult    *res;
    const char  *params[2];

    memset(u, 0, sizeof(upload_t));
    params[0] = id;
    params[1] = log_fmt("%d", MEDIA_UPLOAD_GRACE);

    res = db_exec(child,
                  "SELECT 1 FROM media.uploads WHERE id = $1::uuid"
                  " AND state <> 'uploaded' AND expires_at"
                  " < now() - make_interval(secs => $2::int) FOR UPDATE",
                  2, params);
    n = res == NULL ? -1 : PQntuples(res);
    PQclear(res);

    if (n != 1) {
        return n;
    }

    if (upload_abandon(child, id, "the upload was not completed") != 0) {
        return -1;
    }

    return upload_load(child, id, u);
}


int
upload_abandon(child_t *child, const char *id, const char *reason)
{
    int        n;
    PGresult  *res;

    res = db_exec(child,
                  "UPDATE media.uploads SET state = 'abandoned',"
                  " updated_at = now() WHERE id = $1::uuid"
                  " AND state = 'issued' RETURNING id", 1, &id);
    n = res == NULL ? -1 : PQntuples(res);
    PQclear(res);

    return n == 1 ? attachment_cancel(child, id, reason) : n;
}


int
upload_discard(child_t *child, const upload_t *u)
{
    long  status;

    if (strcmp(u->state, "abandoned") == 0 && u->multipart_id[0] != '\0'
        && store_abort_multipart(child, u->upload_key, u->multipart_id,
                                 &status) != 0
        && status != 404)
    {
        return -1;
    }

    if (upload_delete(child, u->upload_key) != 0
        || upload_delete(child, u->sealed_key) != 0)
    {
        return -1;
    }

    return strcmp(u->state, "failed") == 0 ? upload_delete_made(child, u) : 0;
}


static int
upload_delete(child_t *child, const char *key)
{
    char     type[128];
    long     status;
    int64_t  size;

    if (store_head(child, key, &size, type, sizeof(type), &status) != 0) {
        return status == 404 ? 0 : -1;
    }

    if (store_delete(child, key, &status) != 0 && status != 404) {
        return -1;
    }

    log_msg(LOG_INFO, "upload removed", "key", key,
            "size", log_fmt("%lld", (long long) size), NULL);
    return 0;
}


/* the object of a failed upload may have got as far as its final key */

static int
upload_delete_made(child_t *child, const upload_t *u)
{
    int          i, rc;
    char         thumb[MEDIA_KEY_MAX];
    PGresult    *res;
    media_str_t  key;

    static const char *const  extensions[] = { "jpg", "webp" };

    media_str_set(&key, u->file_key, strlen(u->file_key));

    if (upload_delete(child, u->file_key) != 0) {
        return -1;
    }

    for (i = 0; i < 2; i++) {
        if (media_key_thumb(thumb, sizeof(thumb), key, extensions[i]) > 0
            && upload_delete(child, thumb) != 0)
        {
            return -1;
        }
    }

    res = db_exec(child,
                  "SELECT r.value->>'key' FROM media.message_attachments a,"
                  " jsonb_each(a.metadata->'renditions') r"
                  " WHERE a.id = $1::uuid", 1, &u->id);
    rc = res == NULL ? -1 : 0;

    for (i = 0; rc == 0 && i < PQntuples(res); i++) {
        rc = upload_delete(child, PQgetvalue(res, i, 0));
    }

    PQclear(res);
    return rc;
}
