/*
 * Copyright (C) ngx_media contributors
 *
 * The database as mediactl uses it: connecting, and printing rows.
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>

#include "mediactl_db.h"


#define MEDIACTL_COLUMNS_MAX  16


static int mediactl_width(const char *s);


int
mediactl_open(child_t *child)
{
    static const char *const  names[] = { "DATABASE_URL", NULL };

    return mediactl_open_for(child, names);
}


int
mediactl_open_for(child_t *child, const char *const *names)
{
    memset(child, 0, sizeof(child_t));

    if (conf_load_for(names) != 0) {
        return -1;
    }

    /* what goes wrong is told, what goes right is not */

    conf.log_level = LOG_ERR;

    return (db_get(child) == NULL) ? -1 : 0;
}


void
mediactl_close(child_t *child)
{
    broker_close(child->broker);
    redis_close(child);

    if (child->db != NULL) {
        PQfinish(child->db);
    }
}


int
mediactl_list(int argc, char **argv, int (*usage)(void), const char *sql)
{
    int        option, json, rc;
    child_t    child;
    PGresult  *res;
    static const struct option  options[] = {
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 }
    };

    json = 0;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'j') {
            return usage();
        }

        json = 1;
    }

    if (optind != argc) {
        return usage();
    }

    if (mediactl_open(&child) != 0) {
        return MEDIACTL_FAILED;
    }

    if (json) {
        rc = mediactl_json(&child, sql, 0, NULL);

    } else {
        res = db_exec(&child, sql, 0, NULL);
        rc = (res == NULL) ? MEDIACTL_FAILED : 0;

        if (res != NULL) {
            mediactl_table(res);
            PQclear(res);
        }
    }

    mediactl_close(&child);

    return rc;
}


int
mediactl_json(child_t *child, const char *sql, int n,
    const char *const *params)
{
    char      *query;
    PGresult  *res;

    if (asprintf(&query, "SELECT coalesce(json_agg(r), '[]')::text"
                         " FROM (%s) r", sql) == -1)
    {
        return MEDIACTL_FAILED;
    }

    res = db_exec(child, query, n, params);
    free(query);

    if (res == NULL) {
        return MEDIACTL_FAILED;
    }

    puts(PQgetvalue(res, 0, 0));
    PQclear(res);

    return 0;
}


void
mediactl_table(const PGresult *res)
{
    int          i, row, n, widths[MEDIACTL_COLUMNS_MAX];
    const char  *s;

    n = PQnfields(res);

    if (n > MEDIACTL_COLUMNS_MAX) {
        n = MEDIACTL_COLUMNS_MAX;
    }

    for (i = 0; i < n; i++) {
        widths[i] = mediactl_width(PQfname(res, i));

        for (row = 0; row < PQntuples(res); row++) {
            s = PQgetvalue(res, row, i);

            if (mediactl_width(s) > widths[i]) {
                widths[i] = mediactl_width(s);
            }
        }
    }

    for (row = -1; row < PQntuples(res); row++) {
        for (i = 0; i < n; i++) {
            s = (row == -1) ? PQfname(res, i) : PQgetvalue(res, row, i);
            printf("%s%*s", s, i + 1 < n ? widths[i] - mediactl_width(s) + 2
                                         : 0, "");
        }

        putchar('\n');
    }
}


/* characters of UTF-8 text */

static int
mediactl_width(const char *s)
{
    int  n;

    for (n = 0; *s != '\0'; s++) {
        if ((*s & 0xc0) != 0x80) {
            n++;
        }
    }

    return n;
}
