/*
 * Copyright (C) ngx_media contributors
 *
 * The jobs of media_send, which make rows in the order that nginx was asked
 * in, and those of media_upload, which do all that takes time: each by its
 * "type".  Those of nginx carry the claims of an upload token; whichever comes
 * first makes the rows, and each may come again at any time.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "upload.h"


typedef struct {
    char     type[32];
    char     id[64];
    char     tenant[128];
    char     conversation[24];
    char     kind[16];
    char     file_name[MEDIA_UPLOAD_NAME_MAX + 1];
    char     file_size[24];
    char     caption[MEDIA_UPLOAD_CAPTION_MAX + 1];
    char     upload_key[MEDIA_KEY_MAX];
    char     file_key[MEDIA_KEY_MAX];
    char     expires[24];
    char     etag[256];
    char     idempotency_key[256];
    char     reply_to[24];
} upload_claims_t;

typedef struct {
    const char     *type;
    job_result_t  (*claims)(child_t *child, const upload_claims_t *c,
                            const char *body);
    job_result_t  (*id)(child_t *child, const char *id);
    job_result_t  (*job)(child_t *child, job_t *job);
} upload_type_t;

/* what became of the rows */
enum { UPLOAD_ISSUED = 0, UPLOAD_LATER, UPLOAD_ABANDONED, UPLOAD_REFUSED };


static job_result_t upload_issued(child_t *child, const upload_claims_t *c,
    const char *body);
static job_result_t upload_complete(child_t *child, const upload_claims_t *c,
    const char *body);
static job_result_t upload_abort(child_t *child, const upload_claims_t *c,
    const char *body);
static int upload_read(upload_claims_t *c, media_str_t body);
static job_result_t upload_dispatch(child_t *child, job_t *job,
    const upload_type_t *type, const upload_claims_t *c);
static bool upload_claims_valid(const upload_claims_t *c);
static int upload_record(child_t *child, const upload_claims_t *c,
    const char *body);
static int upload_conversation(child_t *child, const upload_claims_t *c);
static int upload_unknown(child_t *child, const upload_claims_t *c);
static int upload_attachment(child_t *child, const upload_claims_t *c);
static int upload_taken(child_t *child, const upload_claims_t *c);
static int upload_send(child_t *child, const upload_claims_t *c);
static int upload_send_other(child_t *child, const upload_claims_t *c,
    const char *id);
static void upload_queue(child_t *child, const char *id);
static job_result_t upload_commit(child_t *child, bool failed);


static const upload_type_t  upload_types[] = {
    { "upload_issued", upload_issued, NULL, NULL },
    { "upload_complete", upload_complete, NULL, NULL },
    { "upload_abort", upload_abort, NULL, NULL },
    { "upload_process", NULL, upload_process, NULL },
    { "upload_reap", NULL, upload_reap, NULL },
    { "send", NULL, NULL, send_job },
    { "send_wake", NULL, NULL, send_job },
    { "read", NULL, NULL, send_job },
    { "typing", NULL, NULL, send_job }
};

#define UPLOAD_TYPES  (sizeof(upload_types) / sizeof(upload_types[0]))

/* a client's key can bring the same id again, with URLs that are good for
   longer, and another object to reap */
static const char  upload_record_sql[] =
    "INSERT INTO media.uploads AS u (id, tenant_id, conversation_id,"
    "       upload_key, file_key, multipart_id, claims, expires_at)"
    " SELECT (c->>'attachment_id')::uuid, c->>'tenant', c->>'conversation_id',"
    "       c->>'upload_key', c->>'file_key',"
    "       coalesce(c->>'multipart_id', ''),"
    "       c - '{type,etag,idempotency_key,reply_to}'::text[],"
    "       to_timestamp((c->>'expires')::bigint)"
    "  FROM (SELECT $1::jsonb AS c) AS job"
    " ON CONFLICT (id) DO UPDATE SET updated_at = now(),"
    "       expires_at = greatest(u.expires_at, excluded.expires_at),"
    "       reaped_at = CASE WHEN excluded.expires_at <= u.expires_at"
    "           THEN u.reaped_at END"
    " RETURNING state";

static const char  upload_attachment_sql[] =
    "INSERT INTO media.message_attachments (id, tenant_id, conversation_id,"
    "       category, file_url, file_name, file_type, size_bytes, source,"
    "       metadata)"
    " SELECT id, tenant_id, conversation_id::bigint, $2, $3,"
    "       left(claims->>'file_name', 255), left(claims->>'file_type', 100),"
    "       (claims->>'file_size')::bigint, '{\"upload\": true}',"
    "       jsonb_strip_nulls(jsonb_build_object('direction', 'outgoing',"
    "           'ptt', $4::boolean))"
    "  FROM media.uploads WHERE id = $1::uuid"
    " ON CONFLICT (id) DO NOTHING";

static const char  upload_unknown_sql[] =
    "UPDATE media.uploads u SET state = 'failed', updated_at = now()"
    " WHERE id = $1::uuid AND state = 'issued'"
    " RETURNING EXISTS (SELECT 1 FROM media.tenants t"
    "       WHERE t.id = u.tenant_id),"
    "       jsonb_build_object('attachment_id', id, 'conversation_id',"
    "       conversation_id::bigint, 'error', $2::text)::text";

static const char  upload_load_sql[] =
    "SELECT id, tenant_id, conversation_id, state, upload_key, file_key,"
    "       multipart_id, etag, claims->>'kind', claims->>'file_size'"
    "  FROM media.uploads WHERE id = $1::uuid";


job_result_t
upload_job(child_t *child, job_t *job)
{
    size_t           i;
    upload_claims_t  c;

    if (upload_read(&c, job->body) != 0) {
        log_msg(LOG_ERR, "upload job is malformed", NULL);
        return JOB_DEAD;
    }

    for (i = 0; i < UPLOAD_TYPES; i++) {
        if (strcmp(c.type, upload_types[i].type) == 0) {
            return upload_dispatch(child, job, &upload_types[i], &c);
        }
    }

    log_msg(LOG_ERR, "upload job has an unknown type", "type", c.type, NULL);
    return JOB_DEAD;
}


static int
upload_read(upload_claims_t *c, media_str_t body)
{
    int              rc;
    answer_t         answer;
    answer_member_t  members[] = {
        { "type", c->type, sizeof(c->type) },
        { "attachment_id", c->id, sizeof(c->id) },
        { "tenant", c->tenant, sizeof(c->tenant) },
        { "conversation_id", c->conversation, sizeof(c->conversation) },
        { "kind", c->kind, sizeof(c->kind) },
        { "file_name", c->file_name, sizeof(c->file_name) },
        { "file_size", c->file_size, sizeof(c->file_size) },
        { "caption", c->caption, sizeof(c->caption) },
        { "upload_key", c->upload_key, sizeof(c->upload_key) },
        { "file_key", c->file_key, sizeof(c->file_key) },
        { "expires", c->expires, sizeof(c->expires) },
        { "etag", c->etag, sizeof(c->etag) },
        { "idempotency_key", c->idempotency_key,
          sizeof(c->idempotency_key) },
        { "reply_to", c->reply_to, sizeof(c->reply_to) },
        { NULL, NULL, 0 }
    };

    if (answer_open(&answer, members, NULL, NULL, NULL) != 0) {
        return -1;
    }

    (void) answer_write(&answer, body.data, body.len);
    rc = answer_close(&answer);

    if (c->idempotency_key[0] == '\0') {
        strcpy(c->idempotency_key, c->id);
    }

    return rc;
}


static job_result_t
upload_dispatch(child_t *child, job_t *job, const upload_type_t *type,
    const upload_claims_t *c)
{
    char          *body;
    job_result_t   result;

    if (type->job != NULL) {
        return type->job(child, job);
    }

    if (!ingest_is_uuid(c->id)
        || (type->claims != NULL && !upload_claims_valid(c)))
    {
        log_msg(LOG_ERR, "upload job is malformed", "type", c->type, NULL);
        return JOB_DEAD;
    }

    log_context("attachment", c->id);

    if (type->id != NULL) {
        result = type->id(child, c->id);

    } else {
        body = strndup(job->body.data, job->body.len);
        result = body == NULL ? JOB_AGAIN : type->claims(child, c, body);
        free(body);
    }

    log_context("attachment", NULL);
    return result;
}


/* of nginx, which signed them; a job of anybody else touches nobody's keys */

static bool
upload_claims_valid(const upload_claims_t *c)
{
    char         key[MEDIA_KEY_MAX];
    media_str_t  kind, conversation, file, tenant;

    media_str_set(&kind, c->kind, strlen(c->kind));
    media_str_set(&conversation, c->conversation, strlen(c->conversation));
    media_str_set(&file, c->file_key, strlen(c->file_key));

    tenant = media_key_tenant(file);
    snprintf(key, sizeof(key), "uploads/%s/%s", c->tenant, c->id);

    return media_kind_category(media_kind_by_name(kind))
               != MEDIA_CATEGORY_OTHER
           && media_upload_conversation(conversation) == MEDIA_OK
           && strcmp(c->upload_key, key) == 0
           && strncmp(c->file_key, "chat/", 5) == 0
           && media_equal(tenant.data, tenant.len, c->tenant,
                          strlen(c->tenant))
           && strtoll(c->file_size, NULL, 10) > 0
           && strtoll(c->expires, NULL, 10) > 0;
}


static job_result_t
upload_issued(child_t *child, const upload_claims_t *c, const char *body)
{
    if (db_begin(child) != 0) {
        return JOB_AGAIN;
    }

    return upload_commit(child, upload_record(child, c, body) == -1);
}


/* the rest is upload_process()'s, of another child */

static job_result_t
upload_complete(child_t *child, const upload_claims_t *c, const char *body)
{
    int           rc;
    job_result_t  result;

    if (c->etag[0] == '\0') {
        log_msg(LOG_ERR, "completed upload has no etag", NULL);
        return JOB_DEAD;
    }

    if (db_begin(child) != 0) {
        return JOB_AGAIN;
    }

    rc = upload_record(child, c, body);

    if (rc == UPLOAD_ISSUED && upload_taken(child, c) != 0) {
        rc = -1;
    }

    result = upload_commit(child, rc == -1);

    if (result != JOB_DONE || rc == UPLOAD_REFUSED) {
        return result;
    }

    if (rc == UPLOAD_ABANDONED) {
        log_msg(LOG_WARN, "upload was completed after its end", NULL);
        return JOB_DONE;
    }

    upload_queue(child, c->id);

    return JOB_DONE;
}


/* if that fails the connection is broken, and the job comes again */

static void
upload_queue(child_t *child, const char *id)
{
    (void) broker_publish_id(child->broker, "media_upload", "upload_process",
                             "attachment_id", id, 0);
}


static job_result_t
upload_abort(child_t *child, const upload_claims_t *c, const char *body)
{
    int           rc;
    upload_t      u;
    job_result_t  result;

    if (db_begin(child) != 0) {
        return JOB_AGAIN;
    }

    rc = upload_record(child, c, body);

    if (rc == UPLOAD_ISSUED
        && upload_abandon(child, c->id, "the upload was cancelled") != 0)
    {
        rc = -1;
    }

    result = upload_commit(child, rc == -1);

    if (result != JOB_DONE || (rc != UPLOAD_ISSUED && rc != UPLOAD_ABANDONED))
    {
        return result;
    }

    rc = upload_load(child, c->id, &u);
    result = rc == 1 && upload_discard(child, &u) == 0 ? JOB_DONE : JOB_AGAIN;
    upload_free(&u);

    return result;
}


static job_result_t
upload_commit(child_t *child, bool failed)
{
    job_result_t  result;

    if (failed) {
        result = upload_db_failed(child);
        db_rollback(child);
        return result;
    }

    if (db_commit(child) != 0) {
        return JOB_AGAIN;
    }

    event_publish(child);
    return JOB_DONE;
}


job_result_t
upload_db_failed(child_t *child)
{
    return db_failure_is_passing(child) ? JOB_AGAIN : JOB_RETRY;
}


/* both rows; the upload's is locked from here on */

static int
upload_record(child_t *child, const upload_claims_t *c, const char *body)
{
    int        rc;
    PGresult  *res;

    res = db_exec(child, upload_record_sql, 1, &body);

    if (res == NULL) {
        return -1;
    }

    rc = strcmp(PQgetvalue(res, 0, 0), "issued") == 0 ? UPLOAD_ISSUED
         : strcmp(PQgetvalue(res, 0, 0), "abandoned") == 0 ? UPLOAD_ABANDONED
         : UPLOAD_LATER;
    PQclear(res);

    if (rc != UPLOAD_ISSUED) {
        return rc;
    }

    switch (upload_conversation(child, c)) {

    case 1:
        return upload_attachment(child, c) == 0 ? UPLOAD_ISSUED : -1;

    case 0:
        return upload_unknown(child, c) == 0 ? UPLOAD_REFUSED : -1;

    default:
        return -1;
    }
}


/* 1 if it is the tenant's, 0, or -1 */

static int
upload_conversation(child_t *child, const upload_claims_t *c)
{
    int          n;
    PGresult    *res;
    const char  *params[2];

    params[0] = c->conversation;
    params[1] = c->tenant;

    res = db_exec(child, "SELECT 1 FROM media.conversations"
                         " WHERE id = $1::bigint AND tenant_id = $2"
                         " FOR KEY SHARE", 2, params);
    n = res == NULL ? -1 : PQntuples(res);
    PQclear(res);

    return n;
}


static int
upload_unknown(child_t *child, const upload_claims_t *c)
{
    int          rc;
    PGresult    *res;
    const char  *params[2];

    log_msg(LOG_WARN, "upload for a conversation that is not the tenant's",
            "tenant", c->tenant, "conversation", c->conversation, NULL);

    params[0] = c->id;
    params[1] = "the conversation does not exist";

    res = db_exec(child, upload_unknown_sql, 2, params);

    if (res == NULL) {
        return -1;
    }

    rc = PQgetvalue(res, 0, 0)[0] != 't'
         ? 0
         : event_add(child, c->tenant, c->conversation, "attachment_failed",
                     PQgetvalue(res, 0, 1));
    PQclear(res);

    return rc;
}


static int
upload_attachment(child_t *child, const upload_claims_t *c)
{
    char         url[MEDIA_KEY_MAX * 2];
    bool         voice;
    PGresult    *res;
    const char  *params[4];
    media_str_t  kind;

    if (store_public_url(url, sizeof(url), c->file_key) != 0) {
        return -1;
    }

    media_str_set(&kind, c->kind, strlen(c->kind));
    voice = strcmp(c->kind, "voice") == 0;

    params[0] = c->id;
    params[1] = media_category_name(media_kind_category(
                                                media_kind_by_name(kind)));
    params[2] = url;
    params[3] = voice ? "true" : NULL;

    res = db_exec(child, upload_attachment_sql, 4, params);
    PQclear(res);

    return res == NULL ? -1 : 0;
}


/* the first completion binds the object and makes the message */

static int
upload_taken(child_t *child, const upload_claims_t *c)
{
    PGresult    *res;
    const char  *params[2];

    params[0] = c->id;
    params[1] = c->etag;

    res = db_exec(child,
                  "UPDATE media.uploads SET state = 'uploaded', etag = $2,"
                  " updated_at = now() WHERE id = $1::uuid", 2, params);
    PQclear(res);

    if (res == NULL || upload_send(child, c) != 0) {
        return -1;
    }

    return event_add(child, c->tenant, c->conversation, "upload_progress",
                     upload_progress(c->id, c->conversation, "received"));
}


const char *
upload_progress(const char *id, const char *conversation, const char *stage)
{
    return log_fmt("{\"attachment_id\":\"%s\",\"conversation_id\":%lld,"
                   "\"stage\":\"%s\"}", id, strtoll(conversation, NULL, 10),
                   stage);
}


static int
upload_send(child_t *child, const upload_claims_t *c)
{
    int             rc;
    char            id[MEDIA_KEY_UUID_LEN + 1], error[512];
    PGresult       *res;
    send_request_t  request;

    memset(&request, 0, sizeof(send_request_t));
    request.tenant = c->tenant;
    request.conversation = c->conversation;
    request.idempotency_key = c->idempotency_key;
    request.kind = c->kind;
    request.text = c->caption;
    request.attachment = c->id;
    request.file_name = c->file_name;
    request.reply_to = c->reply_to;
    request.latitude = "";
    request.longitude = "";
    request.place_name = "";
    request.place_address = "";
    request.ready = false;

    rc = send_create(child, &request, id, error, sizeof(error));

    if (rc == SEND_EXISTS) {
        rc = upload_send_other(child, c, id);
        snprintf(error, sizeof(error), "another message has been sent with"
                 " this idempotency key");
    }

    if (rc != SEND_REFUSED) {
        return rc == -1 ? -1 : 0;
    }

    log_msg(LOG_WARN, "upload cannot be sent", "reason", error, NULL);

    res = db_exec(child,
                  "UPDATE media.uploads SET state = 'failed',"
                  " updated_at = now() WHERE id = $1::uuid", 1,
                  (const char *[]) { c->id });
    PQclear(res);

    return res == NULL ? -1 : attachment_cancel(child, c->id, error);
}


/* SEND_REFUSED if the send is one of something else */

static int
upload_send_other(child_t *child, const upload_claims_t *c, const char *id)
{
    int          rc;
    PGresult    *res;
    const char  *params[2];

    params[0] = id;
    params[1] = c->id;

    res = db_exec(child,
                  "SELECT 1 FROM media.sends WHERE id = $1::uuid"
                  " AND attachment_id = $2::uuid", 2, params);
    rc = res == NULL ? -1 : PQntuples(res) == 1 ? SEND_EXISTS : SEND_REFUSED;
    PQclear(res);

    return rc;
}


int
upload_load(child_t *child, const char *id, upload_t *u)
{
    int        n;
    PGresult  *res;

    memset(u, 0, sizeof(upload_t));
    res = db_exec(child, upload_load_sql, 1, &id);
    u->row = res;

    if (res == NULL || PQntuples(res) == 0) {
        return res == NULL ? -1 : 0;
    }

    u->id = PQgetvalue(res, 0, 0);
    u->tenant = PQgetvalue(res, 0, 1);
    u->conversation = PQgetvalue(res, 0, 2);
    u->state = PQgetvalue(res, 0, 3);
    u->upload_key = PQgetvalue(res, 0, 4);
    u->file_key = PQgetvalue(res, 0, 5);
    u->multipart_id = PQgetvalue(res, 0, 6);
    u->etag = PQgetvalue(res, 0, 7);
    u->kind = PQgetvalue(res, 0, 8);
    u->file_size = strtoll(PQgetvalue(res, 0, 9), NULL, 10);

    n = snprintf(u->sealed_key, sizeof(u->sealed_key), "%s.sealed",
                 u->upload_key);

    return n < (int) sizeof(u->sealed_key) ? 1 : 0;
}


void
upload_free(upload_t *u)
{
    PQclear(u->row);
    u->row = NULL;
}
