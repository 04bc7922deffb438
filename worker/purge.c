/*
 * Copyright (C) ngx_media contributors
 *
 * Purges: a row in media.purges, durable with the transaction that it is
 * written in, and after the commit a line in the log in Redis, from which
 * each nginx host learns it (ngx_media_module/ngx_http_media_purge.h).  Redis
 * away is no failure: the sweeper publishes what is left.  The table is the
 * truth: a log that is lost, or behind, is made anew from it, ids and all.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "purge.h"


#define PURGE_PENDING  16           /* ids kept; the sweeper has the rest */
#define PURGE_PAUSE    5000         /* ms after a failure of Redis */
#define PURGE_LARGE    1048576      /* bytes; a smaller log stays */


static int purge_send(child_t *child, const char *where, const char *param);
static char *purge_ids(const PGresult *rows);
static int purge_left(child_t *child);
static int purge_drop(child_t *child);
static bool purge_is_large(child_t *child, const purge_log_t *log);


/* ids of the transaction; of one rolled back no row is found */
static int      purge_n;
static int64_t  purge_pending[PURGE_PENDING];

/* no job waits for Redis again and again */
static int64_t  purge_retry_at;


bool
purge_target_is_valid(const char *target)
{
    media_str_t  s;

    media_str_set(&s, target, strlen(target));

    if (s.len == 0 || s.len > MEDIA_KEY_MAX) {
        return false;
    }

    if (target[s.len - 1] == '/') {
        s.len--;
    }

    return media_key_check(s) == MEDIA_OK;
}


/* the id is taken after the wait for who purges the same target: of two ids
   the larger one is the later one */

int
purge_add(child_t *child, const char *target, int64_t *id)
{
    int64_t      n;
    PGresult    *res;
    const char  *params[1];

    if (!purge_target_is_valid(target)) {
        log_msg(LOG_ERR, "invalid target of a purge", NULL);
        return -1;
    }

    params[0] = target;
    res = db_exec(child,
                  "INSERT INTO media.purges (target) VALUES ($1)"
                  " ON CONFLICT (target) DO UPDATE"
                  " SET id = nextval('media.purge_ids'), published = false,"
                  " created_at = now() RETURNING id", 1, params);

    if (res == NULL) {
        return -1;
    }

    n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);

    if (purge_n == PURGE_PENDING) {
        memmove(purge_pending, purge_pending + 1,
                sizeof(int64_t) * --purge_n);
    }

    purge_pending[purge_n++] = n;

    if (id != NULL) {
        *id = n;
    }

    return 0;
}


int
purge_publish(child_t *child)
{
    int     i, rc;
    char    ids[PURGE_PENDING * 21 + 3];
    size_t  len;

    if (purge_n == 0) {
        return 0;
    }

    len = 0;

    for (i = 0; i < purge_n; i++) {
        len += snprintf(ids + len, sizeof(ids) - len, "%c%lld",
                        i ? ',' : '{', (long long) purge_pending[i]);
    }

    snprintf(ids + len, sizeof(ids) - len, "}");
    purge_n = 0;

    if (now_ms() < purge_retry_at) {
        return -1;
    }

    rc = purge_send(child, "id = ANY ($1::bigint[])", ids);

    if (rc == PURGE_LOST && purge_log_rebuild(child, "", "lost") == 0) {
        rc = purge_send(child, "id = ANY ($1::bigint[])", ids);
    }

    if (rc < 0) {
        purge_retry_at = now_ms() + PURGE_PAUSE;
        return -1;
    }

    return 0;
}


/* returns the number of the rows published, -1, or PURGE_LOST */

static int
purge_send(child_t *child, const char *where, const char *param)
{
    int        rc;
    char       sql[256];
    PGresult  *res;

    snprintf(sql, sizeof(sql),
             "SELECT id, target FROM media.purges WHERE NOT published AND %s"
             " ORDER BY id LIMIT " PURGE_STRING(PURGE_BATCH), where);

    res = db_exec(child, sql, param != NULL, &param);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (PQntuples(res) > 0) {
        rc = purge_log_append(child, res);
    }

    if (rc == 0 && PQntuples(res) > 0) {
        rc = purge_mark(child, res);
    }

    if (rc == 0) {
        rc = PQntuples(res);
    }

    PQclear(res);

    return rc;
}


/* a row that is in another's hands is published once more, which changes
   nothing */

int
purge_mark(child_t *child, const PGresult *rows)
{
    char        *ids;
    PGresult    *marked;
    const char  *params[1];

    ids = purge_ids(rows);

    if (ids == NULL) {
        return -1;
    }

    params[0] = ids;
    marked = db_exec(child,
                     "UPDATE media.purges SET published = true"
                     " WHERE id IN (SELECT id FROM media.purges"
                     "  WHERE id = ANY ($1::bigint[]) AND NOT published"
                     "  FOR UPDATE SKIP LOCKED)", 1, params);
    free(ids);
    PQclear(marked);

    return marked == NULL ? -1 : 0;
}


static char *
purge_ids(const PGresult *rows)
{
    int      i;
    char    *ids;
    FILE    *f;
    size_t   len;

    f = open_memstream(&ids, &len);

    if (f == NULL) {
        return NULL;
    }

    for (i = 0; i < PQntuples(rows); i++) {
        fprintf(f, "%c%s", i ? ',' : '{', PQgetvalue(rows, i, 0));
    }

    fputc('}', f);

    return fclose(f) == 0 ? ids : NULL;
}


/*
 * Each second: publishes what was left, and makes the log anew if it is not
 * there, or ends before the newest purges, as after a failover of Redis or a
 * restart from an older dump.
 */

int
purge_poll(child_t *child)
{
    bool         left, none;
    char         newest[10 * 21];
    PGresult    *res;
    purge_log_t  log;

    if (child->db == NULL || PQstatus(child->db) != CONNECTION_OK) {
        return 0;
    }

    res = db_exec(child,
        "SELECT EXISTS (SELECT 1 FROM media.purges WHERE NOT published"
        "  AND created_at < now() - interval '1 second'),"
        " (SELECT string_agg(id::text, ' ') FROM (SELECT id"
        "  FROM media.purges WHERE published ORDER BY id DESC LIMIT 10) n)",
        0, NULL);

    if (res == NULL) {
        return -1;
    }

    left = PQgetvalue(res, 0, 0)[0] == 't';
    none = !left && PQgetisnull(res, 0, 1);
    snprintf(newest, sizeof(newest), "%s", PQgetvalue(res, 0, 1));
    PQclear(res);

    if (none || purge_log_find(child, newest, &log) != 0) {
        return 0;
    }

    if (!log.valid || log.behind) {
        (void) purge_log_rebuild(child, log.head,
                                 log.valid ? "behind" : "lost");
    }

    while (left && purge_left(child) == PURGE_BATCH) { /* void */ }

    return 0;
}


/* one batch; another sweeper that is at it has the lock */

static int
purge_left(child_t *child)
{
    int        n;
    PGresult  *res;

    if (db_begin(child) != 0) {
        return -1;
    }

    res = db_exec(child, "SELECT pg_try_advisory_xact_lock(" PURGE_LOCK ")",
                  0, NULL);
    n = -1;

    if (res != NULL) {
        n = 0;

        if (PQgetvalue(res, 0, 0)[0] == 't') {
            n = purge_send(child, "created_at < now() - interval '1 second'",
                           NULL);
        }
    }

    PQclear(res);

    if (n < 0) {
        db_rollback(child);
        return n;
    }

    if (n > 0) {
        log_msg(LOG_NOTICE, "purges published", "number",
                log_fmt("%d", n), NULL);
    }

    return db_commit(child) == 0 ? n : -1;
}


void
purge_sweep(child_t *child)
{
    int          dropped;
    purge_log_t  log;

    if (purge_poll(child) != 0) {
        return;
    }

    dropped = purge_drop(child);

    if (dropped < 0 || purge_log_find(child, "", &log) != 0 || !log.valid) {
        return;
    }

    if (dropped > 0 || purge_is_large(child, &log)) {
        (void) purge_log_rebuild(child, log.head, dropped ? "old" : "large");
    }
}


/*
 * A key without a purge is looked for as it was before its first one.  What
 * was cached then is asked for no more since, so that Redis (the category's
 * TTL) and proxy_cache (inactive) have long dropped it after 90 days.  The
 * keys of pictures are written again and again, and stay.  Once a day, as
 * each time the log is made anew.
 */

static int
purge_drop(child_t *child)
{
    int        n;
    PGresult  *res;

    res = db_exec(child,
        "DELETE FROM media.purges WHERE target NOT LIKE 'profile\\_pics/%'"
        " AND published AND created_at < now() - interval '90 days'"
        " AND EXISTS (SELECT 1 FROM media.purges"
        "  WHERE target NOT LIKE 'profile\\_pics/%' AND published"
        "  AND created_at < now() - interval '91 days')", 0, NULL);

    if (res == NULL) {
        return -1;
    }

    n = atoi(PQcmdTuples(res));
    PQclear(res);

    return n;
}


/* repeated purges of few targets: more than twice what the table needs */

static bool
purge_is_large(child_t *child, const purge_log_t *log)
{
    bool       large;
    PGresult  *res;

    if (log->len <= PURGE_LARGE) {
        return false;
    }

    res = db_exec(child, "SELECT coalesce(sum(octet_length(id::text)"
                         " + octet_length(target) + 2), 0)"
                         " FROM media.purges", 0, NULL);
    if (res == NULL) {
        return false;
    }

    large = log->len - PURGE_HEAD
            > 2 * strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);

    return large;
}
