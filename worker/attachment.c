/*
 * Copyright (C) ngx_media contributors
 */

#include <stdlib.h>
#include <unistd.h>

#include "media_worker.h"


/*
 * The attachment's row as a job sees it: leased before any work, completed or
 * failed together with its event.  Every change asks for the state it needs,
 * so that a job that runs twice changes nothing the second time.
 */


/* of a change that must not be lost: after 0, 1, 2, 4, 8, 16 seconds, which
   is what a restart of the database takes */
#define ATTACHMENT_TRIES  6


static int attachment_state(child_t *child, const char *id);
static void attachment_load(attachment_t *a);
static const char *attachment_field(const attachment_t *a, const char *name);
static int64_t attachment_number(const attachment_t *a, const char *name);
static void attachment_bytes(const attachment_t *a, const char *name,
    unsigned char *dst, media_str_t *bytes);
static int attachment_finish(child_t *child, const attachment_t *a,
    const char *type, const char *sql, int n, const char *const *params);
static bool attachment_replaced(const attachment_t *a, bool complete,
    bool changed);


static const char  attachment_lease_sql[] =
    "UPDATE media.message_attachments a"
    "   SET status = 'processing', attempts = a.attempts + 1,"
    "       lease_until = now() + make_interval(secs => $2::int),"
    "       updated_at = now()"
    "  FROM media.conversations c, media.instances i"
    " WHERE a.id = $1::uuid"
    "   AND c.id = a.conversation_id AND i.id = c.instance_id"
    "   AND a.status IN ('pending', 'processing')"
    " RETURNING a.id, a.tenant_id, a.conversation_id, a.category,"
    "       a.file_name, a.file_type, a.attempts, a.storage_key,"
    "       a.preview IS NOT NULL OR a.thumbnail_url <> '' AS has_preview,"
    "       i.id AS instance, i.provider, i.name, i.base_url, i.token,"
    "       source->>'message_id' AS message_id,"
    "       source->>'chat_raw' AS chat_raw,"
    "       source->>'sender_raw' AS sender_raw,"
    "       source->>'from_me' AS from_me,"
    "       source->>'key_type' AS key_type,"
    "       source->>'mimetype' AS mimetype,"
    "       source->>'file_length' AS file_length,"
    "       source->>'media_key' AS media_key,"
    "       source->>'sha256' AS sha256,"
    "       source->>'enc_sha256' AS enc_sha256,"
    "       source->>'direct_path' AS direct_path,"
    "       source->>'url' AS url,"
    "       source->>'media_url' AS media_url,"
    "       source->>'id' AS media_id,"
    "       source->>'body_key' AS body_key,"
    "       source->>'body_offset' AS body_offset,"
    "       source->>'body_length' AS body_length";

static const char  attachment_complete_sql[] =
    "UPDATE media.message_attachments"
    "   SET status = 'completed', file_url = $2,"
    "       thumbnail_url = coalesce(nullif($3, ''), thumbnail_url),"
    "       storage_key = $4, size_bytes = $5::bigint,"
    "       sha256 = decode($6, 'hex'), file_type = $7,"
    "       file_name = CASE file_name WHEN '' THEN $8 ELSE file_name END,"
    "       metadata = metadata || jsonb_strip_nulls(jsonb_build_object("
    "           'whatsapp_message_id', $9::text)) || ($10::jsonb"
    "           - CASE WHEN " ATTACHMENT_OWN_WAVEFORM
    "             THEN '{waveform,waveform_source}'::text[] ELSE '{}' END),"
    "       error_message = '', lease_until = NULL, updated_at = now()"
    " WHERE id = $1::uuid AND status = 'processing'"
    " RETURNING jsonb_build_object('attachment_id', id,"
    "       'message_id', message_id, 'conversation_id', conversation_id,"
    "       'category', category, 'file_url', file_url,"
    "       'thumbnail_url', thumbnail_url, 'file_name', file_name,"
    "       'file_type', file_type, 'size_bytes', size_bytes,"
    "       'metadata', metadata)::text";

static const char  attachment_fail_sql[] =
    "UPDATE media.message_attachments"
    "   SET status = 'failed', error_message = $2, lease_until = NULL,"
    "       updated_at = now()"
    " WHERE id = $1::uuid AND status IN ('pending', 'processing')"
    " RETURNING jsonb_build_object('attachment_id', id,"
    "       'message_id', message_id, 'conversation_id', conversation_id,"
    "       'category', category, 'file_name', file_name,"
    "       'error', error_message, 'thumbnail_url', thumbnail_url)::text,"
    "       tenant_id, conversation_id";


/*
 * The lease is an advisory lock of the child's database session, which ends
 * with the child however that dies; lease_until is for the sweeper.  After a
 * lost session two children may do the same work, which changes nothing.
 */
int
attachment_lease(child_t *child, const char *id, attachment_t *a)
{
    char         seconds[16];
    const char  *params[2];

    memset(a, 0, sizeof(attachment_t));
    a->fd = -1;
    a->preview = -1;

    if (attachment_lock(child, id, &a->locked) != 0) {
        return ATTACHMENT_AWAY;
    }

    if (!a->locked) {
        return attachment_state(child, id);
    }

    snprintf(seconds, sizeof(seconds), "%d", conf.lease);
    params[0] = id;
    params[1] = seconds;

    a->row = db_exec(child, attachment_lease_sql, 2, params);

    if (a->row == NULL) {
        return ATTACHMENT_AWAY;
    }

    if (PQntuples(a->row) == 0) {
        return attachment_state(child, id);
    }

    attachment_load(a);
    return ATTACHMENT_LEASED;
}


int
attachment_lock(child_t *child, const char *id, bool *locked)
{
    PGresult  *res;

    res = db_exec(child, "SELECT pg_try_advisory_lock("
                         "hashtextextended($1, 0))", 1, &id);
    if (res == NULL) {
        return -1;
    }

    *locked = PQgetvalue(res, 0, 0)[0] == 't';
    PQclear(res);

    return 0;
}


static int
attachment_state(child_t *child, const char *id)
{
    int          rc;
    PGresult    *res;
    const char  *status;

    res = db_exec(child, "SELECT status FROM media.message_attachments"
                         " WHERE id = $1::uuid", 1, &id);
    if (res == NULL) {
        return ATTACHMENT_AWAY;
    }

    status = PQntuples(res) == 1 ? PQgetvalue(res, 0, 0) : NULL;

    if (status == NULL) {
        rc = ATTACHMENT_UNKNOWN;

    } else if (strcmp(status, "completed") == 0
               || strcmp(status, "failed") == 0)
    {
        rc = ATTACHMENT_FINISHED;

    } else {
        rc = ATTACHMENT_BUSY;
    }

    PQclear(res);
    return rc;
}


static void
attachment_load(attachment_t *a)
{
    media_str_t  name;

    a->id = attachment_field(a, "id");
    a->tenant = attachment_field(a, "tenant_id");
    a->conversation = attachment_field(a, "conversation_id");
    a->instance = attachment_field(a, "instance");
    a->provider = attachment_field(a, "provider");
    a->name = attachment_field(a, "name");
    a->base_url = attachment_field(a, "base_url");
    (void) credential_open(attachment_field(a, "token"), a->token,
                           sizeof(a->token));
    a->file_name = attachment_field(a, "file_name");
    a->stored = attachment_field(a, "storage_key");
    a->attempts = attachment_number(a, "attempts");

    a->declared = attachment_field(a, "mimetype");

    if (a->declared[0] == '\0') {
        a->declared = attachment_field(a, "file_type");
    }

    a->message_id = attachment_field(a, "message_id");
    a->chat_raw = attachment_field(a, "chat_raw");
    a->sender_raw = attachment_field(a, "sender_raw");
    a->key_type = attachment_field(a, "key_type");
    a->direct_path = attachment_field(a, "direct_path");
    a->url = attachment_field(a, "url");
    a->media_url = attachment_field(a, "media_url");
    a->media_id = attachment_field(a, "media_id");
    a->body_key = attachment_field(a, "body_key");
    a->body_offset = attachment_number(a, "body_offset");
    a->body_length = attachment_number(a, "body_length");
    a->file_length = attachment_number(a, "file_length");
    a->has_preview = attachment_field(a, "has_preview")[0] == 't';
    a->from_me = strcmp(attachment_field(a, "from_me"), "true") == 0;

    attachment_bytes(a, "media_key", a->keys[0], &a->media_key);
    attachment_bytes(a, "sha256", a->keys[1], &a->sha256);
    attachment_bytes(a, "enc_sha256", a->keys[2], &a->enc_sha256);

    media_str_set(&name, attachment_field(a, "category"),
                  strlen(attachment_field(a, "category")));
    a->category = media_category_by_name(name);
    a->max_size = conf.mime.rules[a->category].max_size;
}


static const char *
attachment_field(const attachment_t *a, const char *name)
{
    return PQgetvalue(a->row, 0, PQfnumber(a->row, name));
}


/* -1 if absent */
static int64_t
attachment_number(const attachment_t *a, const char *name)
{
    const char  *s;

    s = attachment_field(a, name);
    return s[0] == '\0' ? -1 : strtoll(s, NULL, 10);
}


/* a key or hash of the wrong length stays: decryption names it */
static void
attachment_bytes(const attachment_t *a, const char *name, unsigned char *dst,
    media_str_t *bytes)
{
    ssize_t      n;
    const char  *s;

    s = attachment_field(a, name);
    n = media_base64_decode(dst, sizeof(a->keys[0]), s, strlen(s));

    bytes->data = (const char *) dst;
    bytes->len = n < 0 ? sizeof(a->keys[0]) : (size_t) n;
}


int
attachment_renew(child_t *child, const attachment_t *a)
{
    char         seconds[16];
    PGresult    *res;
    const char  *params[2];

    snprintf(seconds, sizeof(seconds), "%d", conf.lease);
    params[0] = a->id;
    params[1] = seconds;

    res = db_exec(child,
        "UPDATE media.message_attachments"
        "   SET lease_until = now() + make_interval(secs => $2::int)"
        " WHERE id = $1::uuid AND status = 'processing'", 2, params);

    PQclear(res);
    return res == NULL ? -1 : 0;
}


int
attachment_release(child_t *child, const attachment_t *a, bool counted)
{
    int          i;
    PGresult    *res;
    const char  *params[3];

    params[0] = a->id;
    params[1] = counted ? "0" : "1";
    params[2] = a->reason;

    for (i = 0; i < ATTACHMENT_TRIES; i++) {
        sleep(i == 0 ? 0 : 1 << (i - 1));

        res = db_exec(child,
            "UPDATE media.message_attachments"
            "   SET status = 'pending', lease_until = NULL,"
            "       attempts = attempts - $2::int, error_message = $3,"
            "       updated_at = now()"
            " WHERE id = $1::uuid AND status = 'processing'", 3, params);

        if (res != NULL) {
            PQclear(res);
            return 0;
        }
    }

    return -1;
}


int
attachment_complete(child_t *child, const attachment_t *a)
{
    char         size[24], digest[65];
    char         url[MEDIA_KEY_MAX * 2], thumb_url[MEDIA_KEY_MAX * 2];
    const char  *params[10];

    thumb_url[0] = '\0';

    if (store_public_url(url, sizeof(url), a->key) != 0
        || (a->thumb_key[0] != '\0'
            && store_public_url(thumb_url, sizeof(thumb_url), a->thumb_key)
               != 0))
    {
        return -1;
    }

    media_hex_encode(digest, a->digest, 32);
    digest[64] = '\0';
    snprintf(size, sizeof(size), "%lld", (long long) a->size);

    params[0] = a->id;
    params[1] = url;
    params[2] = thumb_url;
    params[3] = a->key;
    params[4] = size;
    params[5] = digest;
    params[6] = a->type;
    params[7] = strrchr(a->key, '/') + 1 + 9;       /* behind "hash8_" */
    params[8] = a->message_id[0] == '\0' ? NULL : a->message_id;
    params[9] = a->metadata == NULL ? "{}" : a->metadata;

    if (attachment_finish(child, a, "attachment_ready",
                          attachment_complete_sql, 10, params) != 0)
    {
        return -1;
    }

    if (a->has_preview && a->thumb_key[0] != '\0') {
        preview_drop(child, a);
    }

    return 0;
}


int
attachment_fail(child_t *child, const attachment_t *a)
{
    int          i;
    const char  *params[2];

    params[0] = a->id;
    params[1] = a->reason;

    for (i = 0; i < ATTACHMENT_TRIES; i++) {
        sleep(i == 0 ? 0 : 1 << (i - 1));

        if (attachment_finish(child, a, "attachment_failed",
                              attachment_fail_sql, 2, params) == 0)
        {
            return 0;
        }
    }

    return -1;
}


int
attachment_cancel(child_t *child, const char *id, const char *reason)
{
    int          rc;
    PGresult    *res;
    const char  *params[2];

    params[0] = id;
    params[1] = reason;

    res = db_exec(child, attachment_fail_sql, 2, params);

    if (res == NULL) {
        return -1;
    }

    rc = PQntuples(res) == 0
         ? 0
         : event_add(child, PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2),
                     "attachment_failed", PQgetvalue(res, 0, 0));
    PQclear(res);

    return rc;
}


/* the row and its event in one transaction; no event if another child was
   faster */
static int
attachment_finish(child_t *child, const attachment_t *a, const char *type,
    const char *sql, int n, const char *const *params)
{
    bool       complete;
    PGresult  *res;

    if (db_begin(child) != 0) {
        return -1;
    }

    res = db_exec(child, sql, n, params);
    complete = sql == attachment_complete_sql;

    if (res == NULL
        || (PQntuples(res) == 1
            && event_add(child, a->tenant, a->conversation, type,
                         PQgetvalue(res, 0, 0)) != 0)
        || (PQntuples(res) == 1 && a->finish != NULL
            && a->finish(child, a, complete) != 0)
        || (attachment_replaced(a, complete, PQntuples(res) == 1)
            && purge_add(child, a->key, NULL) != 0))
    {
        PQclear(res);
        db_rollback(child);
        return -1;
    }

    PQclear(res);

    if (db_commit(child) != 0) {
        return -1;
    }

    (void) purge_publish(child);
    event_publish(child);
    return 0;
}


/* an object that was told of before may have been stored with other bytes:
   by a job of before, or by the child that was faster */
static bool
attachment_replaced(const attachment_t *a, bool complete, bool changed)
{
    return complete && (!changed || strcmp(a->stored, a->key) == 0);
}


void
attachment_free(child_t *child, attachment_t *a)
{
    if (a->locked) {
        PQclear(db_exec(child, "SELECT pg_advisory_unlock_all()", 0, NULL));
    }

    if (a->fd != -1) {
        close(a->fd);
    }

    if (a->preview != -1) {
        close(a->preview);
    }

    free(a->metadata);
    explicit_bzero(a->keys, sizeof(a->keys));
    explicit_bzero(a->token, sizeof(a->token));
    PQclear(a->row);
    a->row = NULL;
    a->metadata = NULL;
    a->fd = -1;
    a->preview = -1;
}
