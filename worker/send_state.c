/*
 * Copyright (C) ngx_media contributors
 *
 * What became of a send, as rows and events.  Each change asks for the state
 * that it needs, and those of an attempt for the attempt's number, so that a
 * child that has lost the conversation's lock changes nothing.
 */

#define _GNU_SOURCE
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "inbound.h"
#include "send.h"


/* of a result that must not be lost: after 0, 1, 2, 4, 8, 16 seconds */
#define SEND_TRIES  6

#define SEND_UNSURE  "it is not known whether WhatsApp got this message"
#define SEND_UNSURE_JSON                                                     \
    "jsonb_build_object('message_id', s.message_id, 'send_id', s.id,"        \
    " 'idempotency_key', s.idempotency_key, 'conversation_id',"              \
    " s.conversation_id, 'attachment_id', s.attachment_id, 'attempts',"      \
    " s.attempts, 'error_code', s.error_code, 'error', s.error_message)"


typedef int (*send_write_pt)(child_t *child, const send_t *s);


static int send_write(child_t *child, const send_t *s, send_write_pt write);
static int send_write_accept(child_t *child, const send_t *s);
static int send_write_unsure(child_t *child, const send_t *s);
static int send_write_event(child_t *child, const send_t *s, const char *sql,
    int n, const char *const *params, const char *type);
static int send_accept_message(child_t *child, const send_t *s,
    const char *message);
static int send_replace_message(child_t *child, const send_t *s,
    const char *message);
static int send_update(child_t *child, const char *sql, int n,
    const char *const *params);


int
send_begin(child_t *child, send_t *s)
{
    const char  *params[2];

    params[0] = s->id;
    params[1] = log_fmt("%d", s->attempts);

    s->attempts++;

    return send_update(child,
        "UPDATE media.sends SET attempts = attempts + 1, updated_at = now()"
        " WHERE id = $1::uuid AND state = 'queued' AND attempts = $2::int",
        2, params) == 1 ? 0 : -1;
}


int
send_written(child_t *child, send_t *s)
{
    char         writer[SEND_WRITER_MAX];
    const char  *params[3];

    send_writer(writer);
    params[0] = s->id;
    params[1] = log_fmt("%d", s->attempts);
    params[2] = writer;

    return send_update(child,
        "UPDATE media.sends SET state = 'sending', sending_at = now(),"
        "       writer = $3, updated_at = now()"
        " WHERE id = $1::uuid AND state IN ('queued', 'sending')"
        "   AND attempts = $2::int", 3, params) == 1 ? 0 : -1;
}


void
send_writer(char writer[SEND_WRITER_MAX])
{
    char  host[65];

    if (gethostname(host, sizeof(host)) != 0) {
        strcpy(host, "-");
    }

    host[sizeof(host) - 1] = '\0';
    snprintf(writer, SEND_WRITER_MAX, "%s %d", host, (int) getpid());
}


/* the number of rows, or -1 */

static int
send_update(child_t *child, const char *sql, int n,
    const char *const *params)
{
    int        rows;
    PGresult  *res;

    res = db_exec(child, sql, n, params);

    if (res == NULL) {
        return -1;
    }

    rows = atoi(PQcmdTuples(res));
    PQclear(res);

    return rows;
}


/* left as it was written last: "sending" would become unknown */

int
send_requeue(child_t *child, const send_t *s, double delay, int attempts)
{
    int          i;
    char         numbers[2][16], seconds[32];
    const char  *params[6];

    snprintf(numbers[0], sizeof(numbers[0]), "%d", s->attempts);
    snprintf(numbers[1], sizeof(numbers[1]), "%d", attempts);
    snprintf(seconds, sizeof(seconds), "%.3f", delay);
    params[0] = s->id;
    params[1] = numbers[0];
    params[2] = numbers[1];
    params[3] = seconds;
    params[4] = s->error_code;
    params[5] = s->error;

    for (i = 0; i < SEND_TRIES; i++) {
        sleep(i == 0 ? 0 : 1 << (i - 1));

        if (send_update(child,
            "UPDATE media.sends SET state = 'queued', attempts = $3::int,"
            "       next_at = now() + make_interval(secs =>"
            "           $4::double precision),"
            "       error_code = $5, error_message = $6, updated_at = now()"
            " WHERE id = $1::uuid AND state IN ('queued', 'sending')"
            "   AND attempts = $2::int", 6, params) >= 0)
        {
            return 0;
        }
    }

    return -1;
}


int
send_accept(child_t *child, const send_t *s)
{
    return send_write(child, s, send_write_accept);
}


int
send_fail(child_t *child, const send_t *s)
{
    return send_write(child, s, send_fail_row);
}


int
send_unsure(child_t *child, const send_t *s)
{
    return send_write(child, s, send_write_unsure);
}


static int
send_write(child_t *child, const send_t *s, send_write_pt write)
{
    int  i;

    for (i = 0; i < SEND_TRIES; i++) {
        sleep(i == 0 ? 0 : 1 << (i - 1));

        if (db_begin(child) != 0) {
            continue;
        }

        if (write(child, s) != 0) {
            db_rollback(child);
            continue;
        }

        if (db_commit(child) == 0) {
            event_publish(child);
            return 0;
        }
    }

    log_msg(LOG_ERR, "result of a send is lost", "send", s->id, NULL);

    return -1;
}


/* webhooks of the same message wait, or are there already */

static int
send_write_accept(child_t *child, const send_t *s)
{
    media_str_t  id;

    media_str_set(&id, s->provider_id, strlen(s->provider_id));

    if (id.len == 0) {
        log_msg(LOG_WARN, "send accepted without an id", "send", s->id, NULL);
        return send_write_unsure(child, s);
    }

    return inbound_lock(child, s->instance, id) == 0
           ? send_accept_row(child, s, true) : -1;
}


/*
 * The answer to the request is the best witness: it replaces an id that was
 * guessed from a webhook with the same content.
 */

int
send_accept_row(child_t *child, const send_t *s, bool answer)
{
    int          rc;
    PGresult    *res;
    const char  *params[3];
    static const char  sql[] =
        "UPDATE media.sends SET provider_id = $2, error_code = '',"
        "       error_message = '', updated_at = now(),"
        "       state = CASE WHEN media.send_rank(state) = 0 THEN 'accepted'"
        "                    ELSE state END,"
        "       accepted_at = coalesce(accepted_at, now())"
        " WHERE id = $1::uuid AND (state IN ('queued', 'sending', 'unknown')"
        "       OR ($3::boolean AND state <> 'failed'"
        "           AND provider_id <> $2))"
        " RETURNING message_id";

    params[0] = s->id;
    params[1] = s->provider_id;
    params[2] = answer ? "true" : "false";

    res = db_exec(child, sql, 3, params);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (PQntuples(res) == 1 && !PQgetisnull(res, 0, 0)) {
        rc = send_accept_message(child, s, PQgetvalue(res, 0, 0));
    }

    PQclear(res);

    return rc;
}


/*
 * The message gets the provider's id and the highest of the statuses that
 * came before: those that waited, and that of a row which a webhook made of
 * the same message.
 */

static int
send_accept_message(child_t *child, const send_t *s, const char *message)
{
    int          rc;
    PGresult    *res;
    const char  *params[4];
    static const char  early_sql[] =
        "WITH e AS (DELETE FROM media.early_statuses"
        "     WHERE instance_id = $1::bigint AND provider_id = $2"
        "     RETURNING status, status_at, error_message),"
        " s AS (UPDATE media.sends s SET state = media.send_state(e.status),"
        "         error_message = e.error_message FROM e"
        "     WHERE s.id = $4::uuid AND media.send_rank(media.send_state("
        "           e.status)) > media.send_rank(s.state)),"
        " best AS (SELECT * FROM (SELECT 'sent' AS status,"
        "         now() AS status_at, '' AS error_message"
        "     UNION ALL SELECT * FROM e"
        "     UNION ALL SELECT status, status_at, error_message"
        "         FROM media.messages WHERE id = $3::bigint) b"
        "     ORDER BY media.status_rank(status) DESC LIMIT 1)"
        " UPDATE media.messages m SET provider_id = $2, updated_at = now(),"
        "        sent_at = coalesce(m.sent_at, now()),"
        "        status = best.status, status_at = best.status_at,"
        "        error_message = best.error_message,"
        "        reply_to = coalesce((SELECT r.provider_id"
        "            FROM media.sends s JOIN media.messages r"
        "            ON r.id = (s.body->>'reply_to')::bigint"
        "            WHERE s.id = $4::uuid), m.reply_to)"
        "   FROM best WHERE m.id = $3::bigint";
    static const char  event_sql[] =
        "WITH a AS (UPDATE media.message_attachments"
        "     SET metadata = metadata || jsonb_build_object("
        "         'whatsapp_message_id', $3::text), updated_at = now()"
        "     WHERE message_id = $1::bigint)"
        " SELECT s.tenant_id, s.conversation_id,"
        "        media.message_json(m) || jsonb_build_object("
        "        'send_id', s.id, 'idempotency_key', s.idempotency_key,"
        "        'attachment_id', s.attachment_id)"
        "   FROM media.sends s, media.messages m"
        "  WHERE m.id = $1::bigint AND s.id = $2::uuid";

    if (send_replace_message(child, s, message) != 0) {
        return -1;
    }

    params[0] = s->instance;
    params[1] = s->provider_id;
    params[2] = message;
    params[3] = s->id;

    if (send_update(child, early_sql, 4, params) < 0) {
        return -1;
    }

    params[0] = message;
    params[1] = s->id;
    params[2] = s->provider_id;
    res = db_exec(child, event_sql, 3, params);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (PQntuples(res) == 1) {
        rc = event_add(child, PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
                       "message_sent", PQgetvalue(res, 0, 2));
    }

    PQclear(res);

    return rc;
}


/*
 * A row of the same message that a webhook made first goes, with its
 * attachment.  Another send that was taken for this one, as it says the same,
 * is unknown again.  The status of either waits as an early one.
 */

static int
send_replace_message(child_t *child, const send_t *s, const char *message)
{
    int          i, rc;
    PGresult    *res;
    const char  *params[4];
    static const char  sql[] =
        "WITH old AS (SELECT * FROM media.messages"
        "     WHERE instance_id = $1::bigint AND provider_id = $2"
        "       AND id <> $3::bigint),"
        " e AS (INSERT INTO media.early_statuses (instance_id, provider_id,"
        "         status, status_at, error_message)"
        "     SELECT instance_id, provider_id, status, status_at,"
        "            error_message FROM old"
        "     ON CONFLICT (instance_id, provider_id) DO NOTHING),"
        " other AS (UPDATE media.sends SET state = 'unknown',"
        "         provider_id = '', accepted_at = NULL, pricing = '',"
        "         error_code = 'no_answer', error_message = '" SEND_UNSURE "',"
        "         next_at = now() + interval '5 seconds', updated_at = now()"
        "     WHERE instance_id = $1::bigint AND provider_id = $2"
        "       AND id <> $4::uuid RETURNING *),"
        " back AS (UPDATE media.messages m SET provider_id = 'send:' || o.id,"
        "         status = 'pending', status_at = now(), error_message ="
        "         o.error_message, updated_at = now()"
        "     FROM other o WHERE m.id = o.message_id),"
        " gone AS (DELETE FROM media.messages m USING old WHERE m.id = old.id"
        "       AND m.id NOT IN (SELECT message_id FROM other"
        "           WHERE message_id IS NOT NULL) RETURNING m.*)"
        " SELECT tenant_id, conversation_id, 'message_removed',"
        "        jsonb_build_object('message_id', id, 'replaced_by',"
        "        $3::bigint) FROM gone"
        " UNION ALL SELECT tenant_id, conversation_id, 'message_unknown',"
        SEND_UNSURE_JSON " FROM other s";

    params[0] = s->instance;
    params[1] = s->provider_id;
    params[2] = message;
    params[3] = s->id;

    res = db_exec(child, sql, 4, params);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    for (i = 0; rc == 0 && i < PQntuples(res); i++) {
        rc = event_add(child, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
                       PQgetvalue(res, i, 2), PQgetvalue(res, i, 3));
    }

    PQclear(res);

    return rc;
}


int
send_fail_row(child_t *child, const send_t *s)
{
    const char  *params[4];
    static const char  sql[] =
        "WITH s AS (UPDATE media.sends SET state = 'failed',"
        "         error_code = $2, error_message = $3, updated_at = now()"
        "     WHERE id = $1::uuid AND attempts = $4::int"
        "       AND state IN ('queued', 'sending', 'unknown') RETURNING *),"
        " m AS (UPDATE media.messages m SET status = 'failed',"
        "         status_at = now(), error_message = 'not sent to WhatsApp: '"
        "             || s.error_message, updated_at = now()"
        "     FROM s WHERE m.id = s.message_id RETURNING m.*)"
        " SELECT s.tenant_id, s.conversation_id, jsonb_build_object("
        "        'message_id', s.message_id, 'send_id', s.id,"
        "        'idempotency_key', s.idempotency_key, 'conversation_id',"
        "        s.conversation_id, 'attachment_id', s.attachment_id,"
        "        'status', 'failed', 'attempts', s.attempts,"
        "        'error_code', s.error_code, 'error', m.error_message)"
        "        || CASE s.error_code WHEN 'window_closed' THEN"
        "           '{\"next_step\": \"template\"}'::jsonb"
        "           ELSE '{}'::jsonb END"
        "   FROM s LEFT JOIN m ON true";

    log_msg(LOG_WARN, "send failed", "send", s->id, "error_code",
            s->error_code, "reason", s->error, NULL);

    params[0] = s->id;
    params[1] = s->error_code;
    params[2] = s->error;
    params[3] = log_fmt("%d", s->attempts);

    return send_write_event(child, s, sql, 4, params, "message_failed");
}


static int
send_write_unsure(child_t *child, const send_t *s)
{
    const char  *params[3];
    static const char  sql[] =
        "WITH s AS (UPDATE media.sends SET state = 'unknown',"
        "         error_code = CASE $2 WHEN '' THEN 'no_answer' ELSE $2 END,"
        "         error_message = '" SEND_UNSURE "', updated_at = now(),"
        "         sending_at = coalesce(sending_at, now()),"
        "         next_at = now() + interval '5 seconds'"
        "     WHERE id = $1::uuid AND attempts = $3::int"
        "       AND state IN ('queued', 'sending') RETURNING *),"
        " m AS (UPDATE media.messages m SET error_message ="
        "         s.error_message, updated_at = now()"
        "     FROM s WHERE m.id = s.message_id)"
        " SELECT s.tenant_id, s.conversation_id, " SEND_UNSURE_JSON
        "   FROM s";

    log_msg(LOG_WARN, "send is unknown", "send", s->id, "reason",
            s->left ? "its child ended" : s->error, NULL);

    params[0] = s->id;
    params[1] = s->error_code;
    params[2] = log_fmt("%d", s->attempts);

    return send_write_event(child, s, sql, 3, params, "message_unknown");
}


static int
send_write_event(child_t *child, const send_t *s, const char *sql, int n,
    const char *const *params, const char *type)
{
    int        rc;
    PGresult  *res;

    res = db_exec(child, sql, n, params);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (PQntuples(res) == 1) {
        rc = event_add(child, s->tenant, s->conversation, type,
                       PQgetvalue(res, 0, 2));
    }

    PQclear(res);

    return rc;
}


/* a provider's words may be cut within a character, or be no UTF-8 at all */

void
send_error(send_t *s, const char *code, const char *fmt, ...)
{
    char     *p;
    size_t    len;
    va_list   args;

    if (code != s->error_code) {
        snprintf(s->error_code, sizeof(s->error_code), "%s", code);
    }

    va_start(args, fmt);
    (void) vsnprintf(s->error, sizeof(s->error), fmt, args);
    va_end(args);

    for (len = strlen(s->error); len > 0 && len > sizeof(s->error) - 5
         && media_utf8_count(s->error, len) < 0; len--)
    {
        s->error[len - 1] = '\0';
    }

    for (p = s->error; media_utf8_count(s->error, len) < 0 && *p; p++) {
        *p = (*p & 0x80) ? '?' : *p;
    }
}
