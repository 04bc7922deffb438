/*
 * Copyright (C) ngx_media contributors
 *
 * Brings the database schema up to date: the files NNNN_name.sql of
 * MEDIA_SQL_DIR in their order, each in a transaction, recorded in
 * media.schema_migrations.  A lock keeps two runs apart.  Then encrypts the
 * credentials that an earlier version stored in the clear.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "child.h"


#define MIGRATE_LOCK  "7305790415427"   /* any number, but always this one */


static int migrate_all(child_t *child);
static int migrate_prepare(child_t *child);
static int migrate_file(child_t *child, const char *name);
static int migrate_apply(child_t *child, const char *version,
    const char *sql);
static int migrate_run_sql(child_t *child, const char *sql);
static char *migrate_read(const char *name);
static int migrate_is_sql(const struct dirent *entry);


int
migrate_run(void)
{
    int      rc;
    child_t  child;
    static const char *const  names[] = { "DATABASE_URL", NULL };

    if (conf_load_for(names) != 0) {
        return EXIT_CONFIG;
    }

    memset(&child, 0, sizeof(child_t));

    rc = EXIT_DATABASE;

    if (db_get(&child) != NULL && migrate_all(&child) == 0
        && credential_seal_all(&child, false) >= 0)
    {
        rc = EXIT_OK;
    }

    if (child.db != NULL) {
        PQfinish(child.db);
    }

    return rc;
}


static int
migrate_all(child_t *child)
{
    int              i, n, rc;
    struct dirent  **entries;

    n = scandir(conf.sql_dir, &entries, migrate_is_sql, alphasort);

    if (n <= 0) {
        log_msg(LOG_ERR, "no migrations found", "dir", conf.sql_dir,
                "reason", n == 0 ? "empty" : strerror(errno), NULL);
        return -1;
    }

    rc = migrate_prepare(child);

    for (i = 0; i < n; i++) {
        if (rc == 0) {
            rc = migrate_file(child, entries[i]->d_name);
        }

        free(entries[i]);
    }

    free(entries);

    return rc;
}


/* the lock ends with the connection */

static int
migrate_prepare(child_t *child)
{
    if (migrate_run_sql(child, "SET statement_timeout = 0") != 0
        || migrate_run_sql(child, "SELECT pg_advisory_lock(" MIGRATE_LOCK
                                  ")") != 0
        || migrate_run_sql(child, "CREATE SCHEMA IF NOT EXISTS media") != 0)
    {
        return -1;
    }

    return migrate_run_sql(child,
               "CREATE TABLE IF NOT EXISTS media.schema_migrations ("
               " version text PRIMARY KEY,"
               " applied_at timestamptz NOT NULL DEFAULT now())");
}


static int
migrate_file(child_t *child, const char *name)
{
    int          rc, done;
    char        *sql;
    PGresult    *res;
    const char  *params[1];

    params[0] = name;
    res = db_exec(child, "SELECT 1 FROM media.schema_migrations"
                         " WHERE version = $1", 1, params);
    if (res == NULL) {
        return -1;
    }

    done = PQntuples(res);
    PQclear(res);

    if (done) {
        log_msg(LOG_INFO, "migration is there", "version", name, NULL);
        return 0;
    }

    sql = migrate_read(name);
    if (sql == NULL) {
        return -1;
    }

    rc = migrate_apply(child, name, sql);
    free(sql);

    return rc;
}


static int
migrate_apply(child_t *child, const char *version, const char *sql)
{
    PGresult    *res;
    const char  *params[1];

    if (db_begin(child) != 0) {
        return -1;
    }

    if (migrate_run_sql(child, sql) != 0) {
        db_rollback(child);
        return -1;
    }

    params[0] = version;
    res = db_exec(child, "INSERT INTO media.schema_migrations (version)"
                         " VALUES ($1)", 1, params);
    PQclear(res);

    if (res == NULL) {
        db_rollback(child);
        return -1;
    }

    if (db_commit(child) != 0) {
        return -1;
    }

    log_msg(LOG_NOTICE, "migration applied", "version", version, NULL);

    return 0;
}


/* several statements at once, which db_exec() does not take */

static int
migrate_run_sql(child_t *child, const char *sql)
{
    int              rc;
    PGresult        *res;
    ExecStatusType   status;

    rc = 0;
    res = PQexec(child->db, sql);
    status = PQresultStatus(res);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        log_msg(LOG_ERR, "migration failed",
                "reason", PQerrorMessage(child->db), NULL);
        rc = -1;
    }

    PQclear(res);

    return rc;
}


static char *
migrate_read(const char *name)
{
    FILE   *f;
    char    path[1024], *text;
    size_t  size;

    snprintf(path, sizeof(path), "%s/%s", conf.sql_dir, name);
    text = NULL;
    size = 0;

    f = fopen(path, "re");

    if (f == NULL || getdelim(&text, &size, '\0', f) < 0) {
        log_msg(LOG_ERR, "migration not read", "file", path,
                "reason", strerror(errno), NULL);
        free(text);
        text = NULL;
    }

    if (f != NULL) {
        fclose(f);
    }

    return text;
}


static int
migrate_is_sql(const struct dirent *entry)
{
    size_t  len;

    len = strlen(entry->d_name);

    return len > 8 && strspn(entry->d_name, "0123456789") == 4
           && strcmp(entry->d_name + len - 4, ".sql") == 0;
}
