/*
 * Copyright (C) ngx_media contributors
 *
 * How sends come to be: their jobs, and what makes the rows of a send.
 * Reading and typing are no sends: they may be lost.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "send.h"


#define SEND_TEXT_MAX  (4 * 65536 + 1)  /* bytes: WhatsApp's 65536 characters */


typedef struct {
    char   type[32];
    char   tenant[72];
    char   conversation[24];
    char   idempotency_key[256];
    char   kind[16];
    char   attachment[40];
    char   file_name[1024];
    char   reply_to[24];
    char   message[24];
    char   latitude[32];
    char   longitude[32];
    char   place_name[1024];
    char   place_address[1024];
    char  *text;
} send_body_t;


static int send_parse(const job_t *job, send_body_t *body);
static job_result_t send_job_send(child_t *child, const send_body_t *body);
static job_result_t send_job_refused(child_t *child, const send_body_t *body,
    const char *reason);
static job_result_t send_job_passing(child_t *child);
static job_result_t send_job_presence(child_t *child,
    const send_body_t *body);
static int send_load_chat(child_t *child, const send_body_t *body,
    send_t *s);
static int send_check(child_t *child, const send_request_t *request,
    PGresult **row, char *error, size_t error_size);
static bool send_id_is_valid(const char *id);
static int send_insert(child_t *child, const send_request_t *request,
    const PGresult *row, const char *id);
static int send_insert_message(child_t *child, const send_request_t *request,
    const PGresult *row, const char *id);


job_result_t
send_job(child_t *child, job_t *job)
{
    send_body_t   body;
    job_result_t  result;

    memset(&body, 0, sizeof(send_body_t));
    body.text = calloc(1, SEND_TEXT_MAX);

    if (body.text == NULL) {
        return JOB_AGAIN;
    }

    if (send_parse(job, &body) != 0) {
        result = JOB_DEAD;

    } else if (strcmp(body.type, "send") == 0) {
        result = send_job_send(child, &body);

    } else if (strcmp(body.type, "send_wake") == 0) {
        send_run(child, body.conversation);
        result = JOB_DONE;

    } else {
        result = send_job_presence(child, &body);
    }

    free(body.text);

    return result;
}


static int
send_parse(const job_t *job, send_body_t *body)
{
    answer_t         answer;
    answer_member_t  members[] = {
        { "type", body->type, sizeof(body->type) },
        { "tenant", body->tenant, sizeof(body->tenant) },
        { "conversation_id", body->conversation, sizeof(body->conversation) },
        { "idempotency_key", body->idempotency_key,
          sizeof(body->idempotency_key) },
        { "kind", body->kind, sizeof(body->kind) },
        { "text", body->text, SEND_TEXT_MAX },
        { "attachment_id", body->attachment, sizeof(body->attachment) },
        { "file_name", body->file_name, sizeof(body->file_name) },
        { "reply_to", body->reply_to, sizeof(body->reply_to) },
        { "message_id", body->message, sizeof(body->message) },
        { "latitude", body->latitude, sizeof(body->latitude) },
        { "longitude", body->longitude, sizeof(body->longitude) },
        { "place_name", body->place_name, sizeof(body->place_name) },
        { "place_address", body->place_address, sizeof(body->place_address) },
        { NULL, NULL, 0 }
    };

    if (answer_open(&answer, members, NULL, NULL, NULL) != 0) {
        return -1;
    }

    (void) answer_write(&answer, job->body.data, job->body.len);

    if (answer_close(&answer) != 0 || !send_id_is_valid(body->conversation)) {
        log_msg(LOG_ERR, "send job is malformed", NULL);
        return -1;
    }

    return 0;
}


/* a row's id */

static bool
send_id_is_valid(const char *id)
{
    size_t  len;

    len = strlen(id);

    return len > 0 && len < 19 && strspn(id, "0123456789") == len;
}


static job_result_t
send_job_send(child_t *child, const send_body_t *body)
{
    int             rc;
    char            id[MEDIA_KEY_UUID_LEN + 1], error[256];
    send_request_t  request;

    memset(&request, 0, sizeof(send_request_t));
    request.tenant = body->tenant;
    request.conversation = body->conversation;
    request.idempotency_key = body->idempotency_key;
    request.kind = body->kind;
    request.text = body->text;
    request.attachment = body->attachment[0] ? body->attachment : NULL;
    request.file_name = body->file_name;
    request.reply_to = body->reply_to;
    request.latitude = body->latitude;
    request.longitude = body->longitude;
    request.place_name = body->place_name;
    request.place_address = body->place_address;
    request.ready = true;

    if (db_begin(child) != 0) {
        return JOB_AGAIN;
    }

    rc = send_create(child, &request, id, error, sizeof(error));

    if (rc < 0) {
        return send_job_passing(child);
    }

    if (rc == SEND_REFUSED) {
        return send_job_refused(child, body, error);
    }

    if (db_commit(child) != 0) {
        return JOB_AGAIN;
    }

    event_publish(child);
    send_wake(child, body->conversation);

    return JOB_DONE;
}


static job_result_t
send_job_passing(child_t *child)
{
    int  passing;

    passing = db_failure_is_passing(child);
    db_rollback(child);

    return passing ? JOB_AGAIN : JOB_RETRY;
}


void
send_wake(child_t *child, const char *conversation)
{
    (void) broker_publish_id(child->broker, "media_upload", "send_wake",
                             "conversation_id", conversation, 0);
}


/* in the transaction of send_create() */

static job_result_t
send_job_refused(child_t *child, const send_body_t *body, const char *reason)
{
    int          rc;
    PGresult    *res;
    const char  *params[5];

    params[0] = body->tenant;
    params[1] = body->conversation;
    params[2] = body->idempotency_key;
    params[3] = body->attachment[0] ? body->attachment : NULL;
    params[4] = reason;

    log_msg(LOG_WARN, "send refused", "tenant", body->tenant,
            "conversation", body->conversation, "reason", reason, NULL);

    res = db_exec(child,
        "SELECT jsonb_build_object('conversation_id', $2::text,"
        "       'idempotency_key', $3::text, 'attachment_id', $4::text,"
        "       'status', 'failed', 'error_code', 'refused', 'error',"
        "       $5::text) FROM media.tenants WHERE id = $1", 5, params);
    rc = res == NULL ? -1 : 0;

    if (res != NULL && PQntuples(res) == 1) {
        rc = event_add(child, body->tenant, NULL, "message_failed",
                       PQgetvalue(res, 0, 0));
    }

    PQclear(res);

    if (rc != 0) {
        return send_job_passing(child);
    }

    if (db_commit(child) != 0) {
        return JOB_AGAIN;
    }

    event_publish(child);

    return JOB_DONE;
}


int
send_create(child_t *child, const send_request_t *request,
    char id[MEDIA_KEY_UUID_LEN + 1], char *error, size_t error_size)
{
    int          rc;
    char        *name;
    PGresult    *row;
    media_str_t  s;

    if (asprintf(&name, "send\n%s\n%s", request->tenant,
                 request->idempotency_key) == -1)
    {
        return -1;
    }

    media_str_set(&s, name, strlen(name));
    media_key_uuid(id, s);
    free(name);

    error[0] = '\0';
    row = NULL;
    rc = send_check(child, request, &row, error, error_size);

    if (rc == SEND_CREATED) {
        rc = send_insert(child, request, row, id);
    }

    PQclear(row);

    return rc;
}


/*
 * The attachment's row is locked: who completes it at this moment either
 * finds the send, or is found complete.
 */

static int
send_check(child_t *child, const send_request_t *request, PGresult **row,
    char *error, size_t error_size)
{
    const char   *params[4], *status, *reason;
    media_str_t   kind;
    media_kind_t  k;
    static const char  sql[] =
        "SELECT c.instance_id, r.id, r.provider_id, a.status, a.file_name"
        "  FROM media.conversations c"
        "  LEFT JOIN media.messages r ON r.id = $4::bigint"
        "       AND r.conversation_id = c.id"
        "  LEFT JOIN (SELECT status, file_name"
        "             FROM media.message_attachments"
        "             WHERE id = $3::uuid AND tenant_id = $2 FOR SHARE) a"
        "       ON true"
        " WHERE c.id = $1::bigint AND c.tenant_id = $2";

    media_str_set(&kind, request->kind, strlen(request->kind));
    k = media_kind_by_name(kind);

    if (!send_id_is_valid(request->conversation)
        || (request->reply_to[0] != '\0'
            && !send_id_is_valid(request->reply_to))
        || (request->attachment != NULL
            && (strlen(request->attachment) != MEDIA_KEY_UUID_LEN
                || strspn(request->attachment, "0123456789abcdefABCDEF-")
                   != MEDIA_KEY_UUID_LEN)))
    {
        snprintf(error, error_size, "an id is malformed");
        return SEND_REFUSED;
    }

    params[0] = request->conversation;
    params[1] = request->tenant;
    params[2] = request->attachment;
    params[3] = request->reply_to[0] ? request->reply_to : NULL;

    *row = db_exec(child, sql, 4, params);

    if (*row == NULL) {
        return -1;
    }

    status = PQntuples(*row) == 0 ? "" : PQgetvalue(*row, 0, 3);
    reason = NULL;

    if (k == MEDIA_KIND_NONE) {
        reason = "unknown kind of message";

    } else if (request->idempotency_key[0] == '\0') {
        reason = "no idempotency_key";

    } else if (PQntuples(*row) == 0) {
        reason = "no such conversation";

    } else if (params[3] != NULL && PQgetisnull(*row, 0, 1)) {
        reason = "no such message to reply to";

    } else if (k == MEDIA_KIND_TEXT && request->text[0] == '\0') {
        reason = "no text, or more than 65536 characters";

    } else if (k == MEDIA_KIND_LOCATION
               && (request->latitude[0] == '\0'
                   || request->longitude[0] == '\0'))
    {
        reason = "no coordinates";

    } else if (media_kind_category(k) != MEDIA_CATEGORY_OTHER
               && status[0] == '\0')
    {
        reason = "no such attachment";

    } else if (strcmp(status, "failed") == 0) {
        reason = "the attachment has failed";

    } else if (request->ready && status[0] != '\0'
               && strcmp(status, "completed") != 0)
    {
        reason = "the attachment is not complete";
    }

    if (reason != NULL) {
        snprintf(error, error_size, "%s", reason);
        return SEND_REFUSED;
    }

    return SEND_CREATED;
}


static int
send_insert(child_t *child, const send_request_t *request,
    const PGresult *row, const char *id)
{
    int          rc;
    PGresult    *res;
    const char  *params[15];
    static const char  sql[] =
        "INSERT INTO media.sends (id, tenant_id, instance_id,"
        "       conversation_id, attachment_id, idempotency_key, kind, ready,"
        "       body)"
        " VALUES ($1::uuid, $2, $3::bigint, $4::bigint, $5::uuid, $6, $7,"
        "       $8::boolean, jsonb_strip_nulls(jsonb_build_object("
        "       'text', $9::text, 'file_name', $10::text, 'reply_to',"
        "       $11::text, 'latitude', nullif($12, ''), 'longitude',"
        "       nullif($13, ''), 'place_name', nullif($14, ''),"
        "       'place_address', nullif($15, ''))))"
        " ON CONFLICT DO NOTHING RETURNING 1";

    params[0] = id;
    params[1] = request->tenant;
    params[2] = PQgetvalue(row, 0, 0);
    params[3] = request->conversation;
    params[4] = request->attachment;
    params[5] = request->idempotency_key;
    params[6] = request->kind;
    params[7] = PQgetisnull(row, 0, 3)
                || strcmp(PQgetvalue(row, 0, 3), "completed") == 0
                ? "true" : "false";
    params[8] = request->text;
    params[9] = request->file_name[0] ? request->file_name
                                      : PQgetvalue(row, 0, 4);
    params[10] = request->reply_to[0] ? request->reply_to : NULL;
    params[11] = request->latitude;
    params[12] = request->longitude;
    params[13] = request->place_name;
    params[14] = request->place_address;

    res = db_exec(child, sql, 15, params);

    if (res == NULL) {
        return -1;
    }

    rc = PQntuples(res) == 1 ? SEND_CREATED : SEND_EXISTS;
    PQclear(res);

    if (rc == SEND_CREATED
        && send_insert_message(child, request, row, id) != 0)
    {
        return -1;
    }

    return rc;
}


/* an attachment that has a message already stays with that one */

static int
send_insert_message(child_t *child, const send_request_t *request,
    const PGresult *row, const char *id)
{
    int          rc;
    PGresult    *res;
    const char  *params[3];
    static const char  sql[] =
        "WITH m AS (INSERT INTO media.messages (tenant_id, instance_id,"
        "         conversation_id, provider_id, direction, type, content,"
        "         reply_to, status, status_at)"
        "     SELECT s.tenant_id, s.instance_id, s.conversation_id,"
        "            'send:' || s.id, 'outgoing',"
        "            CASE s.kind WHEN 'voice' THEN 'audio' ELSE s.kind END,"
        "            coalesce(nullif(s.body->>'text', ''),"
        "                '[' || nullif(s.body->>'file_name', '') || ']',"
        "                nullif(s.body->>'place_name', ''), ''),"
        "            $2, 'pending', now()"
        "       FROM media.sends s WHERE s.id = $1::uuid RETURNING *),"
        " s AS (UPDATE media.sends SET message_id = m.id FROM m"
        "     WHERE sends.id = $1::uuid RETURNING sends.*),"
        " a AS (UPDATE media.message_attachments a SET message_id = m.id,"
        "         updated_at = now() FROM m"
        "     WHERE a.id = $3::uuid AND a.message_id IS NULL),"
        " c AS (UPDATE media.conversations c SET updated_at = now(),"
        "         last_message_at = greatest(c.last_message_at, now())"
        "     FROM m WHERE c.id = m.conversation_id)"
        " SELECT media.message_json(m) || jsonb_build_object("
        "        'attachment_id', s.attachment_id, 'send_id', s.id,"
        "        'idempotency_key', s.idempotency_key) FROM m, s";

    params[0] = id;
    params[1] = PQgetvalue(row, 0, 2);
    params[2] = request->attachment;

    res = db_exec(child, sql, 3, params);

    if (res == NULL) {
        return -1;
    }

    rc = PQntuples(res) != 1 ? -1
         : event_add(child, request->tenant, request->conversation,
                     "new_message", PQgetvalue(res, 0, 0));
    PQclear(res);

    return rc;
}


int
send_attachment_ready(child_t *child, const char *attachment,
    const char *reason)
{
    int          i, rc;
    send_t       s;
    PGresult    *res;
    const char  *params[2];
    static const char  ready_sql[] =
        "UPDATE media.sends SET ready = true, updated_at = now()"
        " WHERE attachment_id = $1::uuid AND NOT ready AND $2::text IS NULL";
    static const char  failed_sql[] =
        "SELECT id, tenant_id, conversation_id, attempts FROM media.sends"
        " WHERE attachment_id = $1::uuid AND state = 'queued'";

    params[0] = attachment;
    params[1] = reason;

    res = db_exec(child, ready_sql, 2, params);
    PQclear(res);

    if (res == NULL || reason == NULL) {
        return res == NULL ? -1 : 0;
    }

    res = db_exec(child, failed_sql, 1, params);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    for (i = 0; rc == 0 && i < PQntuples(res); i++) {
        memset(&s, 0, sizeof(send_t));
        s.id = PQgetvalue(res, i, 0);
        s.tenant = PQgetvalue(res, i, 1);
        s.conversation = PQgetvalue(res, i, 2);
        s.attempts = atoi(PQgetvalue(res, i, 3));
        send_error(&s, "attachment_failed", "%s", reason);
        rc = send_fail_row(child, &s);
    }

    PQclear(res);

    return rc;
}


/* read is repeated, typing is not: it is over soon */

static job_result_t
send_job_presence(child_t *child, const send_body_t *body)
{
    int                     rc;
    bool                    read, done;
    send_t                  s;
    const char             *message;
    const send_provider_t  *provider;

    read = strcmp(body->type, "read") == 0;
    rc = send_load_chat(child, body, &s);

    if (rc != 0) {
        send_free(&s);
        return rc < 0 ? JOB_AGAIN : JOB_DONE;
    }

    provider = send_provider(s.provider);
    message = PQgetvalue(s.row, 0, PQfnumber(s.row, "message"));

    if (read) {
        done = message[0] == '\0' || provider->mark_read == NULL
               || provider->mark_read(child, &s, message);

    } else {
        done = provider->typing == NULL
               || provider->typing(child, &s,
                                   strcmp(body->kind, "audio") == 0, message);
    }

    log_msg(done || !read ? LOG_INFO : LOG_WARN, body->type,
            "conversation", body->conversation, "result",
            done ? "done" : "failed", NULL);
    send_free(&s);

    return done || !read ? JOB_DONE : JOB_RETRY;
}


/* 1: there is no such conversation, or message */

static int
send_load_chat(child_t *child, const send_body_t *body, send_t *s)
{
    const char  *params[3];
    static const char  sql[] =
        "SELECT i.id, i.provider, i.name, i.base_url, i.token, i.api_version,"
        "       c.chat, c.is_group, m.provider_id AS message"
        "  FROM media.conversations c"
        "  JOIN media.instances i ON i.id = c.instance_id AND i.enabled"
        "  LEFT JOIN LATERAL (SELECT provider_id FROM media.messages"
        "       WHERE conversation_id = c.id AND direction = 'incoming'"
        "         AND ($3::bigint IS NULL OR id = $3::bigint)"
        "       ORDER BY created_at DESC LIMIT 1) m ON true"
        " WHERE c.id = $1::bigint AND c.tenant_id = $2";

    memset(s, 0, sizeof(send_t));
    params[0] = body->conversation;
    params[1] = body->tenant;
    params[2] = send_id_is_valid(body->message) ? body->message : NULL;

    s->row = db_exec(child, sql, 3, params);

    if (s->row == NULL) {
        return -1;
    }

    if (PQntuples(s->row) == 0) {
        log_msg(LOG_WARN, "no such conversation, or its instance is disabled",
                "tenant", body->tenant, "conversation", body->conversation,
                NULL);
        return 1;
    }

    s->instance = PQgetvalue(s->row, 0, 0);
    s->provider = PQgetvalue(s->row, 0, 1);
    s->name = PQgetvalue(s->row, 0, 2);
    s->base_url = PQgetvalue(s->row, 0, 3);
    s->api_version = PQgetvalue(s->row, 0, 5);
    s->chat = PQgetvalue(s->row, 0, 6);
    s->is_group = PQgetvalue(s->row, 0, 7)[0] == 't';
    s->token = s->credential;

    return credential_open(PQgetvalue(s->row, 0, 4), s->credential,
                           sizeof(s->credential)) == 0 ? 0 : 1;
}
