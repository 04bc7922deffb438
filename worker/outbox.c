/*
 * Copyright (C) ngx_media contributors
 *
 * Events: a row in the transaction of what it tells, and after the commit an
 * entry in the tenant's Redis stream and a message in the channel of the same
 * name.  Redis away is no failure of a job: the row stays unpublished until
 * the sweeper finds it.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "media_worker.h"


#define OUTBOX_STREAM_MAX  "10000"      /* entries of a tenant's stream */
#define OUTBOX_BATCH       "500"
#define OUTBOX_PENDING     256          /* ids kept; the sweeper has the rest */
#define OUTBOX_PAUSE       5000         /* ms after a failure of Redis */


static int outbox_send(child_t *child, const char *tenant, const char *id,
    const char *type, const char *json);
static int outbox_command(child_t *child, int n, const char **argv);
static int outbox_publish(child_t *child, const char *where,
    const char *param);


/* events of the transaction; of one rolled back no row is found */
static int      outbox_n;
static int64_t  outbox_ids[OUTBOX_PENDING];

/* no job waits for Redis again and again */
static int64_t  outbox_retry_at;


int
event_add(child_t *child, const char *tenant, const char *conversation_id,
    const char *type, const char *payload)
{
    PGresult    *res;
    const char  *params[4];

    params[0] = tenant;
    params[1] = conversation_id;
    params[2] = type;
    params[3] = payload;

    res = db_exec(child,
                  "INSERT INTO media.events (tenant_id, conversation_id,"
                  " type, payload) VALUES ($1, $2::bigint, $3, $4::jsonb)"
                  " RETURNING id", 4, params);

    if (res == NULL) {
        return -1;
    }

    if (outbox_n < OUTBOX_PENDING) {
        outbox_ids[outbox_n++] = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    }

    PQclear(res);

    return 0;
}


void
event_publish(child_t *child)
{
    int     i;
    char    ids[OUTBOX_PENDING * 21 + 3];
    size_t  len;

    if (outbox_n == 0) {
        return;
    }

    len = 0;

    for (i = 0; i < outbox_n; i++) {
        len += snprintf(ids + len, sizeof(ids) - len, "%c%lld",
                        i ? ',' : '{', (long long) outbox_ids[i]);
    }

    snprintf(ids + len, sizeof(ids) - len, "}");
    outbox_n = 0;

    (void) outbox_publish(child, "id = ANY ($1::bigint[])", ids);
}


int
event_publish_left(child_t *child)
{
    return outbox_publish(child,
                          "created_at < now() - make_interval(secs => $1)",
                          "10");
}


/* returns the number published, or -1 */

static int
outbox_publish(child_t *child, const char *where, const char *param)
{
    int          i, sent;
    char         sql[640], done[OUTBOX_PENDING * 2 * 21 + 3];
    size_t       len;
    PGresult    *res;
    const char  *params[1];

    if (now_ms() < outbox_retry_at) {
        return 0;
    }

    snprintf(sql, sizeof(sql),
             "SELECT id, tenant_id, type, jsonb_build_object('id', id,"
             " 'type', type, 'conversation_id', conversation_id,"
             " 'created_at', extract(epoch FROM created_at),"
             " 'data', payload)::text"
             " FROM media.events WHERE published_at IS NULL AND %s"
             " ORDER BY id LIMIT " OUTBOX_BATCH, where);

    params[0] = param;
    res = db_exec(child, sql, 1, params);

    if (res == NULL) {
        return -1;
    }

    sent = 0;
    len = 0;

    for (i = 0; i < PQntuples(res); i++) {
        if (outbox_send(child, PQgetvalue(res, i, 1), PQgetvalue(res, i, 0),
                        PQgetvalue(res, i, 2), PQgetvalue(res, i, 3)) != 0)
        {
            outbox_retry_at = now_ms() + OUTBOX_PAUSE;
            break;
        }

        len += snprintf(done + len, sizeof(done) - len, "%c%s",
                        sent ? ',' : '{', PQgetvalue(res, i, 0));
        sent++;
    }

    PQclear(res);

    if (sent == 0) {
        return 0;
    }

    snprintf(done + len, sizeof(done) - len, "}");
    params[0] = done;
    PQclear(db_exec(child, "UPDATE media.events SET published_at = now()"
                           " WHERE id = ANY ($1::bigint[])", 1, params));

    return sent;
}


static int
outbox_send(child_t *child, const char *tenant, const char *id,
    const char *type, const char *json)
{
    char        name[96];
    const char *add[] = {
        "XADD", name, "MAXLEN", "~", OUTBOX_STREAM_MAX, "*", "id", id,
        "type", type, "data", json
    };
    const char *publish[] = { "PUBLISH", name, json };

    snprintf(name, sizeof(name), "media:events:%s", tenant);

    if (outbox_command(child, sizeof(add) / sizeof(add[0]), add) != 0) {
        return -1;
    }

    return outbox_command(child, 3, publish);
}


static int
outbox_command(child_t *child, int n, const char **argv)
{
    int          i;
    void        *reply;
    size_t       lens[12];

    for (i = 0; i < n; i++) {
        lens[i] = strlen(argv[i]);
    }

    reply = redis_call(child, n, argv, lens);

    if (reply == NULL) {
        return -1;
    }

    redis_free(reply);

    return 0;
}
