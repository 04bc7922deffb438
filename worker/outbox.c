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
#define OUTBOX_URLS        3            /* of an event, that are signed */


static int outbox_send(child_t *child, const char *tenant, const char *id,
    const char *type, const char *json);
static int outbox_row(child_t *child, const PGresult *res, int row);
static int outbox_sign(child_t *child, const PGresult *res, int row,
    PGresult **json);
static bool outbox_sign_url(char *dst, size_t size, const char *url,
    const char *tenant, time_t expires);
static int outbox_command(child_t *child, int n, const char **argv);
static int outbox_publish(child_t *child, const char *where,
    const char *param);


static const char  outbox_sign_sql[] =
    "SELECT jsonb_set($1::jsonb, '{data}', $1::jsonb->'data'"
    " || jsonb_strip_nulls(jsonb_build_object('signed_until', $2::bigint,"
    " 'file_url_signed', $3::text, 'thumbnail_url_signed', $4::text,"
    " 'profile_pic_url_signed', $5::text)))::text";

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
    char         sql[768], done[OUTBOX_PENDING * 2 * 21 + 3];
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
             " 'data', payload)::text, payload->>'file_url',"
             " payload->>'thumbnail_url', payload->>'profile_pic_url'"
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
        if (outbox_row(child, res, i) != 0) {
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
outbox_row(child_t *child, const PGresult *res, int row)
{
    int        rc;
    PGresult  *json;

    if (outbox_sign(child, res, row, &json) != 0) {
        return -1;
    }

    rc = outbox_send(child, PQgetvalue(res, row, 1), PQgetvalue(res, row, 0),
                     PQgetvalue(res, row, 2),
                     json == NULL ? PQgetvalue(res, row, 3)
                                  : PQgetvalue(json, 0, 0));
    PQclear(json);

    return rc;
}


/*
 * The event with signed URLs beside those that it has: made now, as none that
 * can be used is kept in the database.  NULL if there is nothing to sign.
 */

static int
outbox_sign(child_t *child, const PGresult *res, int row, PGresult **json)
{
    int          i, n;
    char         urls[OUTBOX_URLS][SIGN_URL_MAX], until[24];
    time_t       expires;
    const char  *params[OUTBOX_URLS + 2];

    expires = time(NULL) + conf.sign_ttl;
    *json = NULL;
    n = 0;

    for (i = 0; i < OUTBOX_URLS && conf.sign_key[0] != '\0'; i++) {
        params[i + 2] = NULL;

        if (outbox_sign_url(urls[i], SIGN_URL_MAX, PQgetvalue(res, row, 4 + i),
                            PQgetvalue(res, row, 1), expires))
        {
            params[i + 2] = urls[i];
            n++;
        }
    }

    if (n == 0) {
        return 0;
    }

    snprintf(until, sizeof(until), "%lld", (long long) expires);
    params[0] = PQgetvalue(res, row, 3);
    params[1] = until;

    *json = db_exec(child, outbox_sign_sql, OUTBOX_URLS + 2, params);

    return *json == NULL ? -1 : 0;
}


/* another tenant's object, or one of another place, is not signed */

static bool
outbox_sign_url(char *dst, size_t size, const char *url, const char *tenant,
    time_t expires)
{
    char         key[SIGN_URL_MAX];
    media_str_t  s;

    if (store_key_of_url(key, sizeof(key), url) != 0) {
        return false;
    }

    media_str_set(&s, key, strlen(key));
    s = media_key_tenant(s);

    return media_equal(s.data, s.len, tenant, strlen(tenant))
           && sign_url(dst, size, key, expires) == 0;
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
