/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl trace: what became of one message, found by the provider's message
 * id or the attachment's.
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>

#include "mediactl_db.h"


static int trace_usage(void);
static int trace_run(child_t *child, const char *id, bool json);
static int trace_print(child_t *child, const char *const *params);
static void trace_row(const PGresult *res, int row);
static void trace_hops(const PGresult *res);


/* all that belongs to the id, whichever it is */
#define TRACE_IDS                                                            \
    "WITH m AS (SELECT instance_id, provider_id, NULL::uuid AS attachment"   \
    "      FROM media.messages WHERE provider_id = $1"                       \
    "   UNION SELECT m.instance_id, m.provider_id, a.id"                     \
    "      FROM media.message_attachments a"                                 \
    "      JOIN media.messages m ON m.id = a.message_id"                     \
    "     WHERE a.id::text = lower($1) OR m.provider_id = $1) "


static const char  trace_hops_sql[] =
    TRACE_IDS
    "SELECT to_char(h.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS')"
    "       || 'Z' AS at, h.stage, h.outcome, h.duration_ms, h.detail,"
    "       round(extract(epoch FROM h.at - min(h.at) OVER ()) * 1000)"
    "       AS since_ms"
    "  FROM media.hops h"
    " WHERE h.provider_id = $1 OR h.attachment_id::text = lower($1)"
    "    OR EXISTS (SELECT 1 FROM m WHERE h.attachment_id = m.attachment"
    "        OR (h.instance_id = m.instance_id"
    "            AND h.provider_id = m.provider_id))"
    " ORDER BY h.at, h.id";

static const char  trace_message_sql[] =
    TRACE_IDS
    "SELECT m.provider_id AS message, i.provider || ' ' || i.name AS"
    "       instance, m.tenant_id AS tenant, m.direction, m.type,"
    "       m.status, m.error_message AS error, a.id AS attachment,"
    "       a.status AS attachment_status, a.attempts,"
    "       a.file_type, a.size_bytes, a.storage_key AS key,"
    "       a.error_message AS attachment_error"
    "  FROM media.messages m JOIN media.instances i ON i.id = m.instance_id"
    "  LEFT JOIN media.message_attachments a ON a.message_id = m.id"
    " WHERE (m.instance_id, m.provider_id) IN"
    "       (SELECT instance_id, provider_id FROM m)";


int
mediactl_trace(int argc, char **argv)
{
    int      option, rc;
    bool     json;
    child_t  child;
    static const struct option  options[] = {
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 }
    };

    json = false;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'j') {
            return trace_usage();
        }

        json = true;
    }

    if (optind != argc - 1) {
        return trace_usage();
    }

    if (mediactl_open(&child) != 0) {
        return MEDIACTL_FAILED;
    }

    rc = trace_run(&child, argv[optind], json);
    mediactl_close(&child);

    return rc;
}


static int
trace_usage(void)
{
    fputs("usage: mediactl trace [--json] MESSAGE_ID|ATTACHMENT_ID\n",
          stderr);

    return MEDIACTL_USAGE;
}


static int
trace_run(child_t *child, const char *id, bool json)
{
    int          rc;
    char        *sql;
    PGresult    *res;
    const char  *params[1];

    params[0] = id;

    if (!json) {
        return trace_print(child, params);
    }

    if (asprintf(&sql, "SELECT json_build_object("
                       "'messages', (SELECT coalesce(json_agg(r), '[]')"
                       " FROM (%s) r), 'hops', (SELECT"
                       " coalesce(json_agg(r), '[]') FROM (%s) r))::text",
                 trace_message_sql, trace_hops_sql) == -1)
    {
        return MEDIACTL_FAILED;
    }

    res = db_exec(child, sql, 1, params);
    free(sql);

    rc = (res == NULL) ? MEDIACTL_FAILED : 0;

    if (res != NULL) {
        puts(PQgetvalue(res, 0, 0));
    }

    PQclear(res);

    return rc;
}


static int
trace_print(child_t *child, const char *const *params)
{
    int        i, rc;
    PGresult  *messages, *hops;

    rc = MEDIACTL_FAILED;
    messages = db_exec(child, trace_message_sql, 1, params);
    hops = db_exec(child, trace_hops_sql, 1, params);

    if (messages != NULL && hops != NULL) {
        rc = 0;

        if (PQntuples(messages) == 0 && PQntuples(hops) == 0) {
            fprintf(stderr, "mediactl: nothing is known of \"%s\"\n",
                    params[0]);
            rc = MEDIACTL_FAILED;
        }

        for (i = 0; i < PQntuples(messages); i++) {
            trace_row(messages, i);
        }

        trace_hops(hops);
    }

    PQclear(messages);
    PQclear(hops);

    return rc;
}


static void
trace_row(const PGresult *res, int row)
{
    int          i;
    const char  *value;

    for (i = 0; i < PQnfields(res); i++) {
        value = PQgetvalue(res, row, i);

        if (value[0] != '\0') {
            printf("%-18s %s\n", PQfname(res, i), value);
        }
    }

    putchar('\n');
}


static void
trace_hops(const PGresult *res)
{
    int          i;
    const char  *duration;

    for (i = 0; i < PQntuples(res); i++) {
        duration = PQgetvalue(res, i, 3);

        printf("%s %8s ms  %-12s %-9s", PQgetvalue(res, i, 0),
               PQgetvalue(res, i, 5), PQgetvalue(res, i, 1),
               PQgetvalue(res, i, 2));

        if (duration[0] != '\0') {
            printf(" took %s ms", duration);
        }

        printf("%s%s\n", PQgetvalue(res, i, 4)[0] ? "  " : "",
               PQgetvalue(res, i, 4));
    }
}
