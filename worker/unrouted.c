/*
 * Copyright (C) ngx_media contributors
 *
 * Webhooks that have no place yet: kept whole with the reason.  Those of an
 * instance that was not known are published again once it is.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "inbound.h"


#define UNROUTED_BATCH  "100"


static int unrouted_batch(child_t *child);
static int unrouted_publish(child_t *child, const PGresult *res, int row);
static void unrouted_field(char *dst, size_t size, const PGresult *res,
    int row, int column);


int
unrouted_keep(inbound_t *in, const char *instance, const char *reason)
{
    job_t       *job;
    PGresult    *res;
    const char  *params[9];
    static const char  sql[] =
        "INSERT INTO media.unrouted_webhooks (id, provider, instance, reason,"
        "        headers, body)"
        " VALUES ($1, $2, $3, $4, jsonb_strip_nulls(jsonb_build_object("
        "        'received_ms', $5::bigint, 'body_key', $6::text,"
        "        'body_size', $7::bigint, 'instance', $8::text)),"
        "        coalesce($9::bytea, ''))"
        " ON CONFLICT (id, instance) DO UPDATE SET reason = excluded.reason";

    job = in->job;

    params[0] = job->request_id;
    params[1] = job->provider[0] ? job->provider
                : media_provider_name(media_webhook_provider(in->webhook));
    params[2] = instance;
    params[3] = reason;
    params[4] = inbound_number(in, job->received_ms ? job->received_ms : -1);
    params[5] = job->body_key[0] ? job->body_key : NULL;
    params[6] = inbound_number(in, job->body_size);
    params[7] = job->instance[0] ? job->instance : NULL;
    params[8] = job->body_key[0] ? NULL : inbound_bytea(in, job->body);

    res = db_exec(in->child, sql, 9, params);
    if (res == NULL) {
        return -1;
    }

    PQclear(res);
    log_msg(LOG_WARN, "webhook kept", "reason", reason, NULL);

    return 0;
}


void
unrouted_drop_body(child_t *child, const char *key)
{
    int          unused;
    long         status;
    PGresult    *res;
    const char  *params[1];

    params[0] = key;

    res = db_exec(child,
                  "SELECT 1 FROM media.message_attachments"
                  " WHERE source ? 'body_key' AND source->>'body_key' = $1"
                  " UNION ALL SELECT 1 FROM media.unrouted_webhooks"
                  " WHERE headers ? 'body_key'"
                  "   AND headers->>'body_key' = $1 LIMIT 1", 1, params);

    unused = (res != NULL && PQntuples(res) == 0);
    PQclear(res);

    if (unused) {
        (void) store_delete(child, key, &status);
    }
}


int
unrouted_take_up(child_t *child)
{
    int  n, total;

    total = 0;

    do {
        n = unrouted_batch(child);

        if (n < 0) {
            return -1;
        }

        total += n;

    } while (n > 0);

    return total;
}


/*
 * Rows are locked until what was published is deleted here; a child that
 * keeps the same webhook again meanwhile waits for that.
 */

static int
unrouted_batch(child_t *child)
{
    int        i, n;
    PGresult  *res;
    static const char  sql[] =
        "WITH u AS (SELECT u.ctid FROM media.unrouted_webhooks u"
        "   JOIN media.instances i ON i.provider = u.provider"
        "        AND i.name = u.instance AND i.enabled"
        "  WHERE u.reason IN ('" UNROUTED_UNKNOWN "', '" UNROUTED_DISABLED
        "') ORDER BY u.received_at LIMIT " UNROUTED_BATCH
        "  FOR UPDATE OF u SKIP LOCKED)"
        " DELETE FROM media.unrouted_webhooks d USING u"
        " WHERE d.ctid = u.ctid"
        " RETURNING d.id, d.provider, coalesce(d.headers->>'instance', ''),"
        "        coalesce(d.headers->>'body_key', ''),"
        "        coalesce(d.headers->>'body_size', '0'),"
        "        coalesce(d.headers->>'received_ms', '0'), d.body";

    if (db_begin(child) != 0) {
        return -1;
    }

    res = db_exec(child, sql, 0, NULL);

    if (res == NULL) {
        db_rollback(child);
        return -1;
    }

    n = PQntuples(res);

    if (n > 0 && child->broker == NULL) {
        child->broker = broker_open();
    }

    for (i = 0; i < n; i++) {
        if (child->broker == NULL || unrouted_publish(child, res, i) != 0) {
            PQclear(res);
            db_rollback(child);
            return -1;
        }
    }

    PQclear(res);

    return (db_commit(child) == 0) ? n : -1;
}


static int
unrouted_publish(child_t *child, const PGresult *res, int row)
{
    int             rc;
    size_t          len;
    job_t           job;
    unsigned char  *body;

    memset(&job, 0, sizeof(job_t));

    job.queue = "webhook_inbound";
    unrouted_field(job.request_id, sizeof(job.request_id), res, row, 0);
    unrouted_field(job.provider, sizeof(job.provider), res, row, 1);
    unrouted_field(job.instance, sizeof(job.instance), res, row, 2);
    unrouted_field(job.body_key, sizeof(job.body_key), res, row, 3);
    job.body_size = strtoll(PQgetvalue(res, row, 4), NULL, 10);
    job.received_ms = strtoll(PQgetvalue(res, row, 5), NULL, 10);

    body = PQunescapeBytea((unsigned char *) PQgetvalue(res, row, 6), &len);
    if (body == NULL) {
        return -1;
    }

    media_str_set(&job.body, (char *) body, len);
    rc = broker_publish_job(child->broker, &job, 0);
    PQfreemem(body);

    return rc;
}


static void
unrouted_field(char *dst, size_t size, const PGresult *res, int row,
    int column)
{
    snprintf(dst, size, "%s", PQgetvalue(res, row, column));
}
