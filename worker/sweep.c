/*
 * Copyright (C) ngx_media contributors
 *
 * What was left behind: attachments whose job got lost, or whose child died,
 * are queued again; webhooks whose instance was added meanwhile are taken up;
 * events and purges that Redis did not take are published; webhook bodies
 * that nobody needs any longer, old hops and old unrouted webhooks are deleted.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "inbound.h"
#include "send.h"


#define SWEEP_BATCH  "500"


static void sweep_attachments(child_t *child);
static void sweep_bodies(child_t *child);
static void sweep_old(child_t *child);


void
sweep_run(child_t *child)
{
    if (db_get(child) == NULL) {
        return;
    }

    purge_sweep(child);
    sweep_attachments(child);
    upload_sweep(child);
    (void) unrouted_take_up(child);
    send_look_up(child);
    send_pace_sweep(child);

    while (event_publish_left(child) > 0) {
        /* until none is left, or Redis is away */
    }

    sweep_bodies(child);
    sweep_old(child);

    if (child->broker != NULL) {
        broker_close(child->broker);
        child->broker = NULL;
    }
}


/*
 * A pending row without a change for longer than the longest retry has no
 * message any more.  updated_at is set, so that it is queued once.  An upload
 * that was not completed is no work yet.
 */

static void
sweep_attachments(child_t *child)
{
    int          i;
    char         seconds[16];
    bool         upload;
    PGresult    *res;
    const char  *params[1];
    static const char  sql[] =
        "UPDATE media.message_attachments SET updated_at = now()"
        " WHERE id IN (SELECT id FROM media.message_attachments a"
        "  WHERE ((status = 'pending'"
        "          AND updated_at < now() - make_interval(secs => $1::int))"
        "      OR (status = 'processing'"
        "          AND coalesce(lease_until, updated_at) < now()"
        "          AND updated_at < now() - interval '10 seconds'))"
        "    AND (NOT source ? 'upload' OR EXISTS (SELECT 1 FROM media.uploads"
        "         u WHERE u.id = a.id AND u.state = 'uploaded'))"
        "  ORDER BY updated_at LIMIT " SWEEP_BATCH
        "  FOR UPDATE SKIP LOCKED) RETURNING id, source ? 'upload'";

    snprintf(seconds, sizeof(seconds), "%d",
             conf.retry_delays[conf.nretry_delays - 1] + conf.sweep_interval);
    params[0] = seconds;

    if (db_begin(child) != 0) {
        return;
    }

    res = db_exec(child, sql, 1, params);

    if (res == NULL) {
        db_rollback(child);
        return;
    }

    if (PQntuples(res) > 0 && child->broker == NULL) {
        child->broker = broker_open();
    }

    for (i = 0; i < PQntuples(res); i++) {
        upload = PQgetvalue(res, i, 1)[0] == 't';

        if (broker_publish_id(child->broker,
                              upload ? "media_upload" : "media_download",
                              upload ? "upload_process" : "download",
                              "attachment_id", PQgetvalue(res, i, 0), 0) != 0)
        {
            PQclear(res);
            db_rollback(child);
            return;
        }
    }

    if (PQntuples(res) > 0) {
        log_msg(LOG_NOTICE, "attachments queued again",
                "number", log_fmt("%d", PQntuples(res)), NULL);
    }

    PQclear(res);
    (void) db_commit(child);
}


/* a webhook body in S3 is kept until all attachments in it are complete */

static void
sweep_bodies(child_t *child)
{
    int          i;
    long         status;
    PGresult    *res;
    const char  *params[1];
    static const char  sql[] =
        "SELECT source->>'body_key' FROM media.message_attachments a"
        " WHERE source ? 'body_key' GROUP BY 1"
        " HAVING bool_and(status = 'completed')"
        "    AND max(updated_at) < now() - interval '10 minutes'"
        " LIMIT " SWEEP_BATCH;

    res = db_exec(child, sql, 0, NULL);

    for (i = 0; res != NULL && i < PQntuples(res); i++) {
        params[0] = PQgetvalue(res, i, 0);

        if (store_delete(child, params[0], &status) != 0 && status != 404) {
            break;
        }

        PQclear(db_exec(child,
                        "UPDATE media.message_attachments"
                        " SET source = source - 'body_key'"
                        " WHERE source ? 'body_key'"
                        " AND source->>'body_key' = $1", 1, params));
    }

    PQclear(res);
}


static void
sweep_old(child_t *child)
{
    int          i;
    char         seconds[16];
    PGresult    *res;
    const char  *params[1];

    snprintf(seconds, sizeof(seconds), "%d", conf.unrouted_keep);
    params[0] = seconds;

    res = db_exec(child,
                  "DELETE FROM media.unrouted_webhooks WHERE received_at"
                  " < now() - make_interval(secs => $1::int)"
                  " RETURNING headers->>'body_key'", 1, params);

    for (i = 0; res != NULL && i < PQntuples(res); i++) {
        if (!PQgetisnull(res, i, 0)) {
            unrouted_drop_body(child, PQgetvalue(res, i, 0));
        }
    }

    PQclear(res);
    PQclear(db_exec(child,
                    "DELETE FROM media.early_statuses WHERE created_at"
                    " < now() - make_interval(secs => $1::int)", 1, params));
    PQclear(db_exec(child,
                    "DELETE FROM media.events WHERE published_at"
                    " < now() - make_interval(secs => $1::int)", 1, params));
    PQclear(db_exec(child,
                    "DELETE FROM media.hops WHERE at"
                    " < now() - make_interval(secs => $1::int)", 1, params));
}
