/*
 * Copyright (C) ngx_media contributors
 *
 * PostgreSQL by libpq: one connection per child, opened when it is needed and
 * again when it was lost.  Parameters never reach the log.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "media_worker.h"


static bool  db_passing;                /* of the last failure */
static char  db_state[8];


static int db_run(child_t *child, const char *sql);
static void db_failed(PGconn *db, const PGresult *res);
static bool db_state_is_passing(const char *state);


PGconn *
db_get(child_t *child)
{
    const char  *reason;
    const char  *keys[] = {
        "dbname", "connect_timeout", "application_name", "client_encoding",
        "keepalives_idle", "tcp_user_timeout", "options", NULL
    };
    const char  *values[] = {
        conf.database_url, "5", "media-worker", "UTF8", "30", "30000",
        "-c statement_timeout=60s -c client_min_messages=error", NULL
    };

    if (child->db != NULL && PQstatus(child->db) == CONNECTION_OK) {
        return child->db;
    }

    if (child->db != NULL) {
        PQfinish(child->db);
    }

    child->db = PQconnectdbParams(keys, values, 1);

    if (PQstatus(child->db) != CONNECTION_OK) {
        reason = PQerrorMessage(child->db);
        log_msg(LOG_ERR, "database is away",
                "reason", log_fmt("%.*s", (int) strcspn(reason, "\n"),
                                  reason), NULL);
        PQfinish(child->db);
        child->db = NULL;
        db_passing = true;
        return NULL;
    }

    return child->db;
}


PGresult *
db_exec(child_t *child, const char *sql, int n, const char *const *params)
{
    PGconn          *db;
    PGresult        *res;
    ExecStatusType   status;

    db = db_get(child);
    if (db == NULL) {
        return NULL;
    }

    res = PQexecParams(db, sql, n, NULL, params, NULL, NULL, 0);
    status = PQresultStatus(res);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        db_failed(db, res);
        PQclear(res);
        return NULL;
    }

    return res;
}


static void
db_failed(PGconn *db, const PGresult *res)
{
    const char  *state, *message;

    state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    message = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    db_passing = PQstatus(db) != CONNECTION_OK || state == NULL
                 || db_state_is_passing(state);

    snprintf(db_state, sizeof(db_state), "%s", state ? state : "");

    /* data errors quote the value, so only their class is told */

    if (state != NULL && strncmp(state, "22", 2) == 0) {
        message = "data exception";
    }

    log_msg(LOG_ERR, "database refused a statement",
            "sqlstate", state ? state : "",
            "reason", message ? log_fmt("%.200s", message)
                              : "connection lost", NULL);
}


/*
 * Connection, conflict, resources, operator's intervention, system: the
 * same statement may succeed later.
 */

static bool
db_state_is_passing(const char *state)
{
    size_t  i;
    static const char *const  classes[] = {
        "08", "25006", "40", "53", "55P03", "57", "58", "XX"
    };

    for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strncmp(state, classes[i], strlen(classes[i])) == 0) {
            return true;
        }
    }

    return false;
}


static int
db_run(child_t *child, const char *sql)
{
    PGresult  *res;

    res = db_exec(child, sql, 0, NULL);
    PQclear(res);

    return (res == NULL) ? -1 : 0;
}


/* a connection that was idle may be dead: one attempt more */

int
db_begin(child_t *child)
{
    if (db_run(child, "BEGIN") == 0) {
        return 0;
    }

    if (child->db != NULL && PQstatus(child->db) == CONNECTION_OK) {
        return -1;
    }

    return db_run(child, "BEGIN");
}


/* of a failed transaction the server makes a rollback, and says so */

int
db_commit(child_t *child)
{
    int        rc;
    PGresult  *res;

    if (child->db == NULL || PQstatus(child->db) != CONNECTION_OK) {
        db_passing = true;
        return -1;
    }

    res = db_exec(child, "COMMIT", 0, NULL);
    if (res == NULL) {
        return -1;
    }

    rc = strcmp(PQcmdStatus(res), "COMMIT") == 0 ? 0 : -1;
    PQclear(res);

    return rc;
}


void
db_rollback(child_t *child)
{
    if (child->db == NULL || PQstatus(child->db) != CONNECTION_OK) {
        return;
    }

    (void) db_run(child, "ROLLBACK");
}


int
db_failure_is_passing(child_t *child)
{
    if (child->db == NULL || PQstatus(child->db) != CONNECTION_OK) {
        return 1;
    }

    return db_passing;
}


const char *
db_failure_state(void)
{
    return db_state;
}
