/*
 * Copyright (C) ngx_media contributors
 *
 * The sends, conversation by conversation: the child that has the
 * conversation's lock writes the oldest send first, and the next one only
 * when it is known what became of that.  A send that is not ready, or has to
 * wait, holds those behind it.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "child.h"
#include "send.h"


#define SEND_TURN          10           /* sends of a conversation, then it is
                                           another one's turn */
#define SEND_POLL          5000         /* ms of one round */
#define SEND_POLL_PAUSE    5000         /* ms after a failure of the database */
#define SEND_AWAY          5.0          /* seconds: our own backend is away */
#define SEND_BACKOFF       5.0          /* seconds, before the second attempt;
                                           then twice as long each time */
#define SEND_BACKOFF_MAX   900.0
#define SEND_LOOK_UPS      "20"         /* of one sweep */

#define SEND_OPEN  "s.state IN ('queued', 'sending')"


static int send_lock(child_t *child, const char *conversation);
static void send_unlock(child_t *child, const char *conversation);
static bool send_is_alive(const char *writer);
static bool send_next(child_t *child, const char *conversation);
static bool send_may(child_t *child, send_t *s);
static bool send_refuse(child_t *child, send_t *s, const char *code,
    const char *reason);
static send_result_t send_attempt(child_t *child, send_t *s);
static send_result_t send_prepare(child_t *child, send_t *s);
static bool send_finish(child_t *child, send_t *s, send_result_t result);
static bool send_again(child_t *child, send_t *s);
static double send_backoff(const send_t *s);
static void send_look_up_one(child_t *child, const char *id);
static const char *send_field(const send_t *s, const char *name);
static bool send_is(const send_t *s, const char *name);


/*
 * The heads of the conversations by the index, one step each, however long
 * the backlogs are; of each number some at random, so that neither a number
 * nor a conversation waits for another's backlog.  What has been "sending"
 * for a moment may have been left by its child.
 */
static const char  send_poll_sql[] =
    "WITH RECURSIVE heads AS ((SELECT s.* FROM media.sends s"
    "   WHERE " SEND_OPEN " ORDER BY conversation_id, seq"
    "   LIMIT 1)"
    " UNION ALL SELECT n.* FROM heads h CROSS JOIN LATERAL ("
    "   SELECT s.* FROM media.sends s WHERE " SEND_OPEN
    "      AND s.conversation_id > h.conversation_id"
    "    ORDER BY conversation_id, seq LIMIT 1) n)"
    " SELECT conversation_id FROM (SELECT s.conversation_id, row_number()"
    "   OVER (PARTITION BY s.instance_id ORDER BY random()) AS n"
    "   FROM heads s WHERE (s.state = 'sending'"
    "     AND s.sending_at < now() - interval '2 seconds')"
    "     OR (s.state = 'queued' AND s.ready AND s.next_at <= now() AND (";

static const char  send_poll_end_sql[] =
    "))) due WHERE n <= 16 ORDER BY random() LIMIT 64";

static const char  send_load_sql[] =
    "SELECT s.id, s.tenant_id, s.conversation_id, s.message_id,"
    "       s.attachment_id, s.kind, s.attempts,"
    "       i.id AS instance, i.provider, i.name, i.base_url, i.token,"
    "       i.api_version, i.enabled, c.chat, c.is_group,"
    "       s.body->>'text' AS text, s.body->>'latitude' AS latitude,"
    "       s.body->>'longitude' AS longitude,"
    "       s.body->>'place_name' AS place_name,"
    "       s.body->>'place_address' AS place_address,"
    "       coalesce(a.file_name, s.body->>'file_name') AS file_name,"
    "       a.storage_key, a.file_type, a.size_bytes, a.status AS file_status,"
    "       CASE WHEN r.provider_id NOT LIKE 'send:%%' THEN r.provider_id END"
    "           AS reply_id, r.content AS reply_text,"
    "       r.direction = 'outgoing' AS reply_from_me,"
    "       i.provider = 'cloudapi' AND coalesce(c.last_customer_message_at"
    "           <= now() - interval '24 hours', true) AS window_closed,"
    "       s.state = 'sending' AS left,"
    "       s.sending_at > now() - interval '2 minutes' AS held, s.writer,"
    "       s.ready AND s.next_at <= now() AS due, s.provider_id"
    "  FROM media.sends s"
    "  JOIN media.conversations c ON c.id = s.conversation_id"
    "  JOIN media.instances i ON i.id = s.instance_id"
    "  LEFT JOIN media.message_attachments a ON a.id = s.attachment_id"
    "  LEFT JOIN media.messages r ON r.id = (s.body->>'reply_to')::bigint"
    " WHERE %s ORDER BY s.seq LIMIT 1";


static int64_t  send_poll_at;           /* not before, after a failure */


void
send_run(child_t *child, const char *conversation)
{
    int  i;

    if (send_lock(child, conversation) != 0) {
        return;
    }

    for (i = 0; i < SEND_TURN && !child_stopping(); i++) {
        if (!send_next(child, conversation)) {
            break;
        }
    }

    send_unlock(child, conversation);
}


/*
 * The lock is the child's database session's, which ends with the child
 * however that dies.  Pairs of numbers are other locks than attachments have.
 */

static int
send_lock(child_t *child, const char *conversation)
{
    int        rc;
    PGresult  *res;

    res = db_exec(child, "SELECT pg_try_advisory_lock(7306,"
                         " ($1::bigint % 2147483647)::int)", 1,
                  &conversation);
    if (res == NULL) {
        return -1;
    }

    rc = PQgetvalue(res, 0, 0)[0] == 't' ? 0 : -1;
    PQclear(res);

    return rc;
}


static void
send_unlock(child_t *child, const char *conversation)
{
    if (child->db != NULL && PQstatus(child->db) == CONNECTION_OK) {
        PQclear(db_exec(child, "SELECT pg_advisory_unlock(7306,"
                               " ($1::bigint % 2147483647)::int)", 1,
                        &conversation));
    }
}


/* true: the next one's turn */

static bool
send_next(child_t *child, const char *conversation)
{
    bool    more;
    send_t  s;

    more = false;

    if (send_load(child, "s.conversation_id = $1::bigint AND " SEND_OPEN,
                  conversation, &s) == 0)
    {
        if (s.left) {
            more = !s.held && send_unsure(child, &s) == 0;

        } else if (send_is(&s, "due") && send_is(&s, "enabled")) {
            more = send_may(child, &s)
                   && send_finish(child, &s, send_attempt(child, &s));
        }
    }

    send_free(&s);

    return more;
}


int
send_load(child_t *child, const char *where, const char *param, send_t *s)
{
    char         sql[sizeof(send_load_sql) + 128];
    media_str_t  kind;

    memset(s, 0, sizeof(send_t));
    snprintf(sql, sizeof(sql), send_load_sql, where);

    s->row = db_exec(child, sql, 1, &param);

    if (s->row == NULL || PQntuples(s->row) == 0) {
        return s->row == NULL ? -1 : 1;
    }

    s->id = send_field(s, "id");
    s->tenant = send_field(s, "tenant_id");
    s->conversation = send_field(s, "conversation_id");
    s->message = send_field(s, "message_id");
    s->attachment = send_field(s, "attachment_id");
    s->attachment = s->attachment[0] == '\0' ? NULL : s->attachment;
    s->attempts = atoi(send_field(s, "attempts"));
    s->window_closed = send_is(s, "window_closed");
    s->left = send_is(s, "left");
    s->held = send_is(s, "held") && send_is_alive(send_field(s, "writer"));

    media_str_set(&kind, send_field(s, "kind"),
                  strlen(send_field(s, "kind")));
    s->kind = media_kind_by_name(kind);

    s->instance = send_field(s, "instance");
    s->provider = send_field(s, "provider");
    s->name = send_field(s, "name");
    s->base_url = send_field(s, "base_url");
    s->api_version = send_field(s, "api_version");
    s->chat = send_field(s, "chat");
    s->is_group = send_is(s, "is_group");

    s->text = send_field(s, "text");
    s->latitude = send_field(s, "latitude");
    s->longitude = send_field(s, "longitude");
    s->place_name = send_field(s, "place_name");
    s->place_address = send_field(s, "place_address");
    s->reply_id = send_field(s, "reply_id");
    s->reply_text = send_field(s, "reply_text");
    s->reply_from_me = send_is(s, "reply_from_me");
    s->file_name = send_field(s, "file_name");
    s->token = "";
    snprintf(s->provider_id, sizeof(s->provider_id), "%s",
             send_field(s, "provider_id"));

    return 0;
}


/*
 * A child that lost its session, as in a restart of the database, still waits
 * for the provider's answer: nothing may overtake it.  Of another host nobody
 * can tell.
 */

static bool
send_is_alive(const char *writer)
{
    pid_t        pid;
    char         self[SEND_WRITER_MAX];
    const char  *p;

    send_writer(self);
    p = strrchr(writer, ' ');

    if (p == NULL || strcmp(writer, self) == 0) {
        return false;
    }

    if (strncmp(writer, self, p - writer + 1) != 0) {
        return true;
    }

    pid = atoi(p + 1);

    return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}


static const char *
send_field(const send_t *s, const char *name)
{
    return PQgetvalue(s->row, 0, PQfnumber(s->row, name));
}


static bool
send_is(const send_t *s, const char *name)
{
    return send_field(s, name)[0] == 't';
}


void
send_free(send_t *s)
{
    explicit_bzero(s->credential, sizeof(s->credential));
    PQclear(s->row);
    s->row = NULL;
}


/* false: it has to wait, or will never be sent */

static bool
send_may(child_t *child, send_t *s)
{
    double  wait;

    if (s->attempts >= conf.send_attempts) {
        (void) send_refuse(child, s, "worker_crashed",
                           "the worker ended each time while preparing it");
        return false;
    }

    if (s->window_closed) {
        (void) send_refuse(child, s, "window_closed",
                           "the customer's last message is more than 24 hours"
                           " ago: WhatsApp takes only an approved template"
                           " now, and other messages once the customer has"
                           " written again");
        return false;
    }

    wait = send_pace(child, s);

    if (wait > 0 && s->scope == SEND_SCOPE_PAIR) {
        (void) send_requeue(child, s, wait, s->attempts);
    }

    return wait == 0 && send_begin(child, s) == 0;
}


static bool
send_refuse(child_t *child, send_t *s, const char *code, const char *reason)
{
    send_error(s, code, "%s", reason);

    return send_fail(child, s) == 0;
}


static send_result_t
send_attempt(child_t *child, send_t *s)
{
    int64_t                 start;
    send_result_t           result;
    const send_provider_t  *provider;
    static const char *const  results[] = {
        "accepted", "retry", "failed", "stop", "unknown", "again"
    };

    start = now_ms();
    result = send_prepare(child, s);

    if (result == SEND_ACCEPTED) {
        provider = send_provider(s->provider);
        result = provider->send(child, s);
    }

    log_msg(result == SEND_ACCEPTED ? LOG_INFO : LOG_WARN, "send",
            "send", s->id, "conversation", s->conversation,
            "instance", s->name, "result", results[result],
            "attempt", log_fmt("%d", s->attempts),
            "error_code", s->error_code,
            "duration_ms", log_fmt("%lld", (long long) (now_ms() - start)),
            NULL);

    hop_add(child, s->attachment, s->instance,
            s->provider_id[0] ? s->provider_id : log_fmt("send:%s", s->id),
            "sent", results[result], s->error, now_ms() - start);

    return result;
}


/* the credential, and the file in the provider's form */

static send_result_t
send_prepare(child_t *child, send_t *s)
{
    rendition_t         r;
    rendition_result_t  rc;

    if (credential_open(send_field(s, "token"), s->credential,
                        sizeof(s->credential)) != 0)
    {
        s->scope = SEND_SCOPE_NUMBER;
        send_error(s, "credential", "the credential of this number cannot be"
                   " read; an operator must set it again");
        return SEND_STOP;
    }

    s->token = s->credential;

    if (media_kind_category(s->kind) == MEDIA_CATEGORY_OTHER) {
        return SEND_ACCEPTED;
    }

    if (s->attachment == NULL
        || strcmp(send_field(s, "file_status"), "completed") != 0)
    {
        send_error(s, "file_missing", "the file is no longer there");
        return SEND_FAILED;
    }

    rc = rendition_get(child, s->attachment, s->provider,
                       media_kind_name(s->kind), -1, &r, s->error,
                       sizeof(s->error));

    if (rc == RENDITION_REFUSED) {
        send_error(s, "file_refused", "%s", log_fmt("%s", s->error));
        return SEND_FAILED;
    }

    if (rc == RENDITION_AGAIN) {
        return SEND_AGAIN;
    }

    memcpy(s->file_key, r.key, sizeof(s->file_key));
    memcpy(s->file_type, r.type, sizeof(s->file_type));
    s->file_size = r.size;

    return SEND_ACCEPTED;
}


static bool
send_finish(child_t *child, send_t *s, send_result_t result)
{
    if (send_pace_result(child, s, result) != 0) {
        log_msg(LOG_WARN, "pace not recorded", "send", s->id, NULL);
    }

    switch (result) {

    case SEND_ACCEPTED:
        return send_accept(child, s) == 0;

    case SEND_RETRY:
        return send_again(child, s);

    case SEND_FAILED:
        return send_fail(child, s) == 0;

    case SEND_UNKNOWN:
        return send_unsure(child, s) == 0;

    case SEND_STOP:

        /* the number's breaker is open: nothing is tried before it closes */

        (void) send_requeue(child, s, 0, s->attempts - 1);
        return false;

    default:
        (void) send_requeue(child, s, SEND_AWAY * (1 + send_random()),
                            s->attempts - 1);
        return false;
    }
}


static bool
send_again(child_t *child, send_t *s)
{
    if (s->attempts >= conf.send_attempts) {
        send_error(s, s->error_code, "%s (%d attempts)",
                   log_fmt("%s", s->error), s->attempts);

        return send_fail(child, s) == 0;
    }

    (void) send_requeue(child, s, send_backoff(s), s->attempts);

    return false;
}


/* full jitter: anything up to the limit, which doubles */

static double
send_backoff(const send_t *s)
{
    double  limit, delay;

    limit = SEND_BACKOFF * (double) (1LL << (s->attempts < 10
                                             ? s->attempts - 1 : 9));
    limit = limit < SEND_BACKOFF_MAX ? limit : SEND_BACKOFF_MAX;
    delay = 1 + send_random() * (limit - 1);

    return delay < s->retry_after ? s->retry_after + send_random() : delay;
}


void
send_poll(child_t *child)
{
    int          i;
    char        *sql;
    int64_t      start;
    PGresult    *res;

    start = now_ms();

    if (start < send_poll_at
        || asprintf(&sql, "%s%s%s", send_poll_sql, send_pace_open_sql,
                    send_poll_end_sql) == -1)
    {
        return;
    }

    res = db_exec(child, sql, 0, NULL);
    free(sql);

    if (res == NULL) {
        send_poll_at = start + SEND_POLL_PAUSE;
        return;
    }

    for (i = 0; i < PQntuples(res); i++) {
        if (child_stopping() || now_ms() > start + SEND_POLL) {
            break;
        }

        send_run(child, PQgetvalue(res, i, 0));
    }

    PQclear(res);
}


/*
 * Asks the providers for what became of unknown sends, each time after half
 * as long again, for a day; never sends.
 */

void
send_look_up(child_t *child)
{
    int        i;
    PGresult  *res;
    static const char  sql[] =
        "UPDATE media.sends SET next_at = CASE"
        "       WHEN sending_at < now() - interval '24 hours' THEN 'infinity'"
        "       ELSE now() + greatest((now() - sending_at) / 2,"
        "            interval '10 seconds') END"
        " WHERE id IN (SELECT id FROM media.sends WHERE state = 'unknown'"
        "        AND next_at <= now() ORDER BY next_at LIMIT " SEND_LOOK_UPS
        "        FOR UPDATE SKIP LOCKED)"
        " RETURNING id";

    res = db_exec(child, sql, 0, NULL);

    for (i = 0; res != NULL && i < PQntuples(res); i++) {
        if (!child_stopping()) {
            send_look_up_one(child, PQgetvalue(res, i, 0));
        }
    }

    PQclear(res);
}


static void
send_look_up_one(child_t *child, const char *id)
{
    send_t                  s;
    send_result_t           result;
    const send_provider_t  *provider;

    result = SEND_UNKNOWN;

    if (send_load(child, "s.id = $1::uuid AND s.state = 'unknown'", id, &s)
        == 0)
    {
        provider = send_provider(s.provider);

        if (provider->look_up != NULL
            && credential_open(send_field(&s, "token"), s.credential,
                               sizeof(s.credential)) == 0)
        {
            s.token = s.credential;
            result = provider->look_up(child, &s);
        }
    }

    if (result == SEND_ACCEPTED) {
        (void) send_accept(child, &s);

    } else if (result == SEND_FAILED) {
        if (s.error[0] == '\0') {
            send_error(&s, "not_arrived", "WhatsApp did not get it");
        }

        (void) send_fail(child, &s);
    }

    send_free(&s);
}
