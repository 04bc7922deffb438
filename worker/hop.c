/*
 * Copyright (C) ngx_media contributors
 *
 * The recorded steps of a message.  They are for people who ask what became
 * of it, so their commit need not wait for the disk.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "media_worker.h"


void
hop_add(child_t *child, const char *attachment_id, const char *instance_id,
    const char *provider_id, const char *stage, const char *outcome,
    const char *detail, int64_t duration_ms)
{
    const char  *params[7];
    static const char  sql[] =
        "WITH s AS (SELECT set_config('synchronous_commit', 'off', true))"
        " INSERT INTO media.hops (attachment_id, instance_id, provider_id,"
        "        stage, outcome, detail, duration_ms)"
        " SELECT $1::uuid, $2::bigint, coalesce($3, ''), $4, $5,"
        "        left(coalesce($6, ''), 500), $7::bigint FROM s";

    params[0] = attachment_id;
    params[1] = instance_id;
    params[2] = provider_id;
    params[3] = stage;
    params[4] = outcome;
    params[5] = detail;
    params[6] = duration_ms < 0 ? NULL
                                : log_fmt("%lld", (long long) duration_ms);

    PQclear(db_exec(child, sql, 7, params));
}
