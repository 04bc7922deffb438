/*
 * Copyright (C) ngx_media contributors
 *
 * Our own sends in the webhooks of the providers: the copy that Evolution and
 * W-API make of each message sent through them, and statuses.  Either may
 * come before the answer to the request, or instead of it.
 */

#define _GNU_SOURCE

#include "send.h"


static int send_match_media(child_t *child, const send_status_t *status);
static int send_match(child_t *child, const char *sql, int n,
    const char *const *params, const char *instance,
    const char *provider_id);


/*
 * A copy with an id that is not known yet is the oldest send that may have
 * been written and says the same.  A voice note or a sticker says nothing,
 * a place its coordinates: of two such the copy may be either's, and neither
 * is taken for sent by it.
 */

int
send_match_echo(child_t *child, const send_echo_t *echo)
{
    int          known;
    PGresult    *res;
    const char  *params[5];
    static const char  known_sql[] =
        "SELECT 1 FROM media.sends"
        " WHERE instance_id = $1::bigint AND provider_id = $2";
    static const char  sql[] =
        "SELECT s.id FROM media.sends s"
        "  JOIN media.conversations c ON c.id = s.conversation_id"
        " WHERE c.instance_id = $1::bigint AND c.chat = $2"
        "   AND s.state IN ('sending', 'unknown') AND s.provider_id = ''"
        "   AND CASE s.kind WHEN 'voice' THEN 'audio' ELSE s.kind END = $3"
        "   AND (s.kind IN ('voice', 'audio', 'sticker', 'location')"
        "        OR btrim(coalesce(s.body->>'text', ''), E' \\n\\r\\t')"
        "           = btrim($4, E' \\n\\r\\t'))"
        "   AND coalesce(to_timestamp($5::double precision)"
        "       > s.sending_at - interval '2 minutes', true)"
        " ORDER BY s.seq LIMIT CASE $3 WHEN 'text' THEN 1 ELSE 2 END"
        " FOR UPDATE OF s";

    params[0] = echo->instance;
    params[1] = echo->provider_id;

    res = db_exec(child, known_sql, 2, params);

    if (res == NULL) {
        return -1;
    }

    known = PQntuples(res) > 0;
    PQclear(res);

    if (known || !echo->from_api) {
        return known;
    }

    params[1] = echo->chat;
    params[2] = echo->type;
    params[3] = echo->text;
    params[4] = echo->timestamp;

    return send_match(child, sql, 5, params, echo->instance,
                      echo->provider_id);
}


/* accepts the one send that the statement finds: 1, 0 if it finds none or
   several, -1 */

static int
send_match(child_t *child, const char *sql, int n,
    const char *const *params, const char *instance, const char *provider_id)
{
    int        rc;
    send_t     s;
    PGresult  *res;

    res = db_exec(child, sql, n, params);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (PQntuples(res) == 1
        && strlen(provider_id) < sizeof(s.provider_id))
    {
        memset(&s, 0, sizeof(send_t));
        s.id = PQgetvalue(res, 0, 0);
        s.instance = instance;
        strcpy(s.provider_id, provider_id);

        log_msg(LOG_NOTICE, "send recognised in a webhook", "send", s.id,
                NULL);
        rc = send_accept_row(child, &s, false) == 0 ? 1 : -1;
    }

    PQclear(res);

    return rc;
}


/*
 * The callback data is the send's id: a status with it tells the provider's
 * id of a send that has none, unless that is of an attempt before.
 */

int
send_match_status(child_t *child, const send_status_t *status)
{
    PGresult    *res;
    const char  *params[6];
    static const char  callback_sql[] =
        "SELECT id FROM media.sends"
        " WHERE instance_id = $1::bigint AND id = $3::uuid"
        "   AND provider_id = ''"
        "   AND state IN ('queued', 'sending', 'unknown')"
        "   AND NOT body @> jsonb_build_object('retries', jsonb_build_array("
        "           jsonb_build_object('provider_id', $2::text)))"
        " FOR UPDATE";
    static const char  sql[] =
        "UPDATE media.sends SET updated_at = now(),"
        "       pricing = CASE $6 WHEN '' THEN pricing ELSE $6 END,"
        "       error_code = CASE WHEN media.send_rank(media.send_state($3))"
        "           > media.send_rank(state) THEN $4 ELSE error_code END,"
        "       error_message = CASE WHEN media.send_rank(media.send_state("
        "           $3)) > media.send_rank(state) THEN $5"
        "           ELSE error_message END,"
        "       state = CASE WHEN media.send_rank(media.send_state($3))"
        "           > media.send_rank(state) THEN media.send_state($3)"
        "           ELSE state END"
        " WHERE instance_id = $1::bigint AND provider_id = $2";

    params[0] = status->instance;
    params[1] = status->provider_id;
    params[2] = status->callback;

    if (strlen(status->callback) == MEDIA_KEY_UUID_LEN
        && strspn(status->callback, "0123456789abcdef-")
           == MEDIA_KEY_UUID_LEN
        && send_match(child, callback_sql, 3, params, status->instance,
                      status->provider_id) < 0)
    {
        return -1;
    }

    params[2] = status->status;
    params[3] = status->error_code;
    params[4] = status->error;
    params[5] = status->pricing;

    res = db_exec(child, sql, 6, params);
    PQclear(res);

    return res == NULL ? -1 : send_match_media(child, status);
}


/* the Cloud API could not read the file by the id that was kept: a retry is
   to upload it anew */

static int
send_match_media(child_t *child, const send_status_t *status)
{
    PGresult    *res;
    const char  *params[2];
    static const char  sql[] =
        "DELETE FROM media.provider_media p USING media.sends s,"
        "       media.message_attachments a"
        " WHERE s.instance_id = $1::bigint AND s.provider_id = $2"
        "   AND s.state = 'failed' AND a.id = s.attachment_id"
        "   AND a.storage_key <> '' AND p.instance_id = s.instance_id"
        "   AND starts_with(p.object_key, a.storage_key)";

    if (strcmp(status->error_code, "131052") != 0
        && strcmp(status->error_code, "131053") != 0)
    {
        return 0;
    }

    params[0] = status->instance;
    params[1] = status->provider_id;
    res = db_exec(child, sql, 2, params);
    PQclear(res);

    return res == NULL ? -1 : 0;
}
