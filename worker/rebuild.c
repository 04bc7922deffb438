/*
 * Copyright (C) ngx_media contributors
 *
 * Makes thumbnail, metadata and renditions again from the stored original,
 * as they were made the first time.  The attachment stays completed, and
 * nothing changes if the file cannot be read any more.
 */

#include <stdlib.h>
#include <unistd.h>

#include "rebuild.h"


/* numbers of a version, compared one by one */
#define REBUILD_NUMBERS(s)                                                    \
    "string_to_array(trim(both '.' from regexp_replace(" s ","               \
    "    '[^0-9]+', '.', 'g')), '.')::numeric[]"

#define REBUILD_FROM                                                          \
    "  FROM media.message_attachments a"                                     \
    " WHERE a.status = 'completed' AND ($3::text IS NULL"                    \
    "       OR a.tenant_id = $3)"                                            \
    "   AND EXISTS (SELECT 1 FROM (SELECT a.metadata->>'made_by' AS made_by" \
    "           UNION ALL SELECT r.value->>'made_by' FROM jsonb_each("       \
    "           coalesce(a.metadata->'renditions', '{}')) r"                 \
    "           WHERE r.value ? 'made_by'"                                   \
    "              OR r.value->>'key' <> a.storage_key) m"                   \
    "       LEFT JOIN regexp_split_to_table(m.made_by, ' ') AS tool ON true" \
    "       WHERE CASE $1 WHEN '' THEN m.made_by IS NULL"                    \
    "             ELSE split_part(tool, '/', 1) = $1 AND ($2 = '' OR "       \
    REBUILD_NUMBERS("split_part(tool, '/', 2)") " < "                        \
    REBUILD_NUMBERS("$2::text") ") END)"

/* what only the decoder tells: it may not do so again */
#define REBUILD_NAMES                                                         \
    "'{rotation,frames,animated,alpha,gps,placeholder,dominant_color,codec," \
    "video_codec,sample_rate,channels,charset,inspection,encrypted,"         \
    "made_by}'::text[]"
#define REBUILD_WAVEFORM  "'{waveform,waveform_source}'::text[]"


static int rebuild_load(child_t *child, const char *id,
    const rebuild_t *what, attachment_t *a);
static job_result_t rebuild_file(child_t *child, attachment_t *a);
static fetch_result_t rebuild_fetch(child_t *child, attachment_t *a);
static int rebuild_renditions(child_t *child, attachment_t *a);
static int rebuild_update(child_t *child, attachment_t *a);
static int rebuild_drop_thumbnail(child_t *child, attachment_t *a);
static int rebuild_purge(child_t *child, const char *key);
static job_result_t rebuild_failed(child_t *child, attachment_t *a,
    int64_t start);


static const char  rebuild_load_sql[] =
    "SELECT a.id, a.tenant_id, a.conversation_id, a.category, a.storage_key,"
    "       a.file_type, a.size_bytes, encode(a.sha256, 'base64'),"
    "       a.thumbnail_url, i.id, i.provider,"
    "       coalesce(a.source->>'message_id', ''),"
    "       coalesce((SELECT string_agg(name, ' ') FROM jsonb_object_keys("
    "           coalesce(a.metadata->'renditions', '{}')) name), '')"
    "  FROM media.conversations c, media.instances i,"
    "       (SELECT a.*" REBUILD_FROM " AND a.id = $4::uuid) a"
    " WHERE c.id = a.conversation_id AND i.id = c.instance_id";

enum {
    REBUILD_ID = 0, REBUILD_TENANT, REBUILD_CONVERSATION, REBUILD_CATEGORY,
    REBUILD_KEY, REBUILD_TYPE, REBUILD_SIZE, REBUILD_SHA256, REBUILD_THUMB,
    REBUILD_INSTANCE, REBUILD_PROVIDER, REBUILD_MESSAGE, REBUILD_RENDITIONS
};

static const char  rebuild_update_sql[] =
    "UPDATE media.message_attachments"
    "   SET thumbnail_url = $2, metadata = CASE"
    "           WHEN " ATTACHMENT_OWN_WAVEFORM
    "           THEN (metadata - " REBUILD_NAMES ")"
    "               || ($3::jsonb - " REBUILD_WAVEFORM ")"
    "           ELSE (metadata - " REBUILD_NAMES " - " REBUILD_WAVEFORM ")"
    "               || $3::jsonb END,"
    "       updated_at = now()"
    " WHERE id = $1::uuid AND status = 'completed'";


bool
rebuild_parse(rebuild_t *what, const char *s)
{
    size_t  len;

    static const char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
                                   "nopqrstuvwxyz0123456789_.+~:-";

    memset(what, 0, sizeof(rebuild_t));
    len = strspn(s, letters);

    if (len == 0 || len >= REBUILD_TOOL_MAX) {
        return false;
    }

    memcpy(what->tool, s, len);
    s += len;

    if (*s == '\0') {
        return true;
    }

    if (*s++ != '<') {
        return false;
    }

    len = strlen(s);

    if (len >= REBUILD_VERSION_MAX || strspn(s, letters) != len
        || strcspn(s, "0123456789") == len)
    {
        return false;
    }

    memcpy(what->version, s, len);

    return true;
}


PGresult *
rebuild_find(child_t *child, const rebuild_t *what, const char *tenant,
    const char *after, int limit)
{
    const char  *params[5];

    params[0] = what->tool;
    params[1] = what->version;
    params[2] = tenant;
    params[3] = after;
    params[4] = log_fmt("%d", limit);

    return db_exec(child, "SELECT a.id" REBUILD_FROM
                   " AND ($4::uuid IS NULL OR a.id > $4)"
                   " ORDER BY a.id LIMIT $5::int", 5, params);
}


int64_t
rebuild_count(child_t *child, const rebuild_t *what, const char *tenant)
{
    int64_t      n;
    PGresult    *res;
    const char  *params[3];

    params[0] = what->tool;
    params[1] = what->version;
    params[2] = tenant;

    res = db_exec(child, "SELECT count(*)" REBUILD_FROM, 3, params);
    n = res == NULL ? -1 : strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);

    return n;
}


job_result_t
rebuild_job(child_t *child, const char *id, const rebuild_t *what)
{
    int           rc;
    attachment_t  a;
    job_result_t  result;

    memset(&a, 0, sizeof(attachment_t));
    a.fd = -1;
    a.preview = -1;
    a.id = id;

    /* of a lease: the row's state says nothing of this */
    if (attachment_lock(child, id, &a.locked) != 0 || !a.locked) {
        return JOB_AGAIN;
    }

    rc = rebuild_load(child, id, what, &a);

    if (rc == 0) {
        log_msg(LOG_INFO, "nothing is to be rebuilt", NULL);
    }

    result = rc == 1 ? rebuild_file(child, &a)
                     : rc == 0 ? JOB_DONE : JOB_AGAIN;
    attachment_free(child, &a);

    return result;
}


/* 1, 0 if there is nothing to do, or -1 */
static int
rebuild_load(child_t *child, const char *id, const rebuild_t *what,
    attachment_t *a)
{
    ssize_t      n;
    PGresult    *r;
    const char  *params[4], *s;
    media_str_t  name;

    params[0] = what->tool;
    params[1] = what->version;
    params[2] = NULL;
    params[3] = id;

    a->row = r = db_exec(child, rebuild_load_sql, 4, params);

    if (r == NULL || PQntuples(r) == 0) {
        return r == NULL ? -1 : 0;
    }

    a->id = PQgetvalue(r, 0, REBUILD_ID);
    a->tenant = PQgetvalue(r, 0, REBUILD_TENANT);
    a->conversation = PQgetvalue(r, 0, REBUILD_CONVERSATION);
    a->instance = PQgetvalue(r, 0, REBUILD_INSTANCE);
    a->provider = PQgetvalue(r, 0, REBUILD_PROVIDER);
    a->message_id = PQgetvalue(r, 0, REBUILD_MESSAGE);
    a->declared = PQgetvalue(r, 0, REBUILD_TYPE);
    a->stored = PQgetvalue(r, 0, REBUILD_KEY);
    a->max_size = strtoll(PQgetvalue(r, 0, REBUILD_SIZE), NULL, 10);
    snprintf(a->key, sizeof(a->key), "%s", a->stored);

    media_str_set(&name, PQgetvalue(r, 0, REBUILD_CATEGORY),
                  strlen(PQgetvalue(r, 0, REBUILD_CATEGORY)));
    a->category = media_category_by_name(name);

    s = PQgetvalue(r, 0, REBUILD_SHA256);
    n = media_base64_decode(a->keys[1], sizeof(a->keys[1]), s, strlen(s));
    a->sha256.data = (const char *) a->keys[1];
    a->sha256.len = n < 0 ? 0 : (size_t) n;

    return 1;
}


static job_result_t
rebuild_file(child_t *child, attachment_t *a)
{
    int64_t  start;

    start = now_ms();

    switch (rebuild_fetch(child, a)) {

    case FETCH_OK:
        break;

    case FETCH_FINAL:
        return rebuild_failed(child, a, start);

    default:
        return JOB_AGAIN;
    }

    switch (ingest_inspect(a)) {

    case 0:
        break;

    case -1:
        return JOB_AGAIN;

    default:
        return rebuild_failed(child, a, start);
    }

    if (a->undecoded) {
        fetch_reason(a, "%s", a->inspected);
        return rebuild_failed(child, a, start);
    }

    if (ingest_thumbnail(child, a) != 0
        || rebuild_renditions(child, a) != 0
        || rebuild_drop_thumbnail(child, a) != 0
        || rebuild_update(child, a) != 0)
    {
        return JOB_AGAIN;
    }

    if (a->reason[0] != '\0') {
        return rebuild_failed(child, a, start);
    }

    ingest_hop(child, a, "rebuild", "ok", "", start);
    log_msg(LOG_INFO, "attachment rebuilt", NULL);

    return JOB_DONE;
}


static fetch_result_t
rebuild_fetch(child_t *child, attachment_t *a)
{
    long          status;
    fetch_sink_t  sink;

    a->fd = file_temp();

    if (a->fd == -1 || fetch_sink_plain(&sink, a, false) != 0) {
        return FETCH_AGAIN;
    }

    if (store_get(child, a->key, -1, 0, fetch_sink_write, &sink, a->max_size,
                  &status) == 0)
    {
        return fetch_sink_close(&sink, "s3");
    }

    media_decrypt_free(sink.decrypt);

    if (status == 404) {
        fetch_reason(a, "the file is not in S3 any more");
        return FETCH_FINAL;
    }

    if (sink.too_large) {
        fetch_reason(a, "the file in S3 is another one");
        return FETCH_FINAL;
    }

    return FETCH_AGAIN;
}


/* those that there were; and an M4A, also of what came before those did.
   What is refused adds to a->reason. */
static int
rebuild_renditions(child_t *child, attachment_t *a)
{
    bool          m4a;
    char         *name, *next, error[256];
    rendition_t   r;

    m4a = false;
    next = PQgetvalue(a->row, 0, REBUILD_RENDITIONS);

    while ((name = strsep(&next, " ")) != NULL) {

        if (*name == '\0') {
            continue;
        }

        m4a |= strcmp(name, "m4a") == 0;

        switch (rendition_again(child, a->id, a->provider, name, a->fd, &r,
                                error, sizeof(error)))
        {
        case RENDITION_OK:
            if (strcmp(r.key, a->key) != 0
                && rebuild_purge(child, r.key) != 0)
            {
                return -1;
            }

            break;

        case RENDITION_REFUSED:
            fetch_reason(a, "%s: %s", name, error);
            break;

        default:
            return -1;
        }
    }

    return m4a ? 0 : rendition_m4a(child, a);
}


/* the thumbnail is purged with its key */
static int
rebuild_update(child_t *child, attachment_t *a)
{
    int          rc;
    char         url[MEDIA_KEY_MAX * 2];
    PGresult    *res;
    const char  *params[3];

    url[0] = '\0';

    if ((a->thumb_key[0] != '\0'
         && store_public_url(url, sizeof(url), a->thumb_key) != 0)
        || db_begin(child) != 0)
    {
        return -1;
    }

    params[0] = a->id;
    params[1] = url;
    params[2] = a->metadata == NULL ? "{}" : a->metadata;
    res = db_exec(child, rebuild_update_sql, 3, params);
    rc = res == NULL || purge_add(child, a->key, NULL) != 0 ? -1 : 0;
    PQclear(res);

    if (rc != 0) {
        db_rollback(child);
        return -1;
    }

    if (db_commit(child) != 0) {
        return -1;
    }

    (void) purge_publish(child);

    return 0;
}


/* the one of before, if it has another name now, or there is none any more;
   the message's own stays then */
static int
rebuild_drop_thumbnail(child_t *child, attachment_t *a)
{
    char         key[MEDIA_KEY_MAX];
    long         status;
    media_str_t  s;

    if (store_key_of_url(key, sizeof(key),
                         PQgetvalue(a->row, 0, REBUILD_THUMB)) != 0
        || strcmp(key, a->thumb_key) == 0)
    {
        return 0;
    }

    media_str_set(&s, key, strlen(key));

    if (a->thumb_key[0] == '\0' && media_key_is_preview(s)) {
        strcpy(a->thumb_key, key);
        return 0;
    }

    return store_delete(child, key, &status) == 0 || status == 404 ? 0 : -1;
}


static int
rebuild_purge(child_t *child, const char *key)
{
    if (purge_add(child, key, NULL) != 0) {
        return -1;
    }

    (void) purge_publish(child);

    return 0;
}


static job_result_t
rebuild_failed(child_t *child, attachment_t *a, int64_t start)
{
    ingest_hop(child, a, "rebuild", "failed", a->reason, start);
    log_msg(LOG_WARN, "attachment not rebuilt", "reason", a->reason, NULL);

    return JOB_DONE;
}
