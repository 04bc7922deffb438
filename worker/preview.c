/*
 * Copyright (C) ngx_media contributors
 *
 * The small JPEG that came with a message is its attachment's thumbnail until
 * there is one of the file.  It is drawn anew by the decoder process, as it
 * is as untrusted as the file, and has a key of its own: browsers keep an
 * object of a key for good.
 */

#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"


static job_result_t preview_run(child_t *child, attachment_t *a);
static int preview_file(attachment_t *a);
static bool preview_is_drawn(const attachment_t *a,
    const decoder_answer_t *ans);
static job_result_t preview_store(child_t *child, attachment_t *a,
    const decoder_answer_t *ans, int64_t start);
static int preview_update(child_t *child, const attachment_t *a);
static job_result_t preview_failed(child_t *child, const attachment_t *a,
    const char *reason, int64_t start);


static const char  preview_load_sql[] =
    "SELECT a.id, a.tenant_id, a.conversation_id, a.file_name,"
    "       c.instance_id, coalesce(a.source->>'message_id', ''), a.preview"
    "  FROM media.message_attachments a"
    "  JOIN media.conversations c ON c.id = a.conversation_id"
    " WHERE a.id = $1::uuid AND a.preview IS NOT NULL"
    "   AND a.thumbnail_url = ''";

enum {
    PREVIEW_ID = 0, PREVIEW_TENANT, PREVIEW_CONVERSATION, PREVIEW_FILE_NAME,
    PREVIEW_INSTANCE, PREVIEW_MESSAGE, PREVIEW_BYTES
};

static const char  preview_update_sql[] =
    "UPDATE media.message_attachments"
    "   SET thumbnail_url = $2, preview = NULL"
    " WHERE id = $1::uuid AND thumbnail_url IN ('', $2)"
    " RETURNING jsonb_build_object('attachment_id', id,"
    "       'message_id', message_id, 'conversation_id', conversation_id,"
    "       'category', category, 'thumbnail_url', thumbnail_url)::text";


job_result_t
preview_job(child_t *child, const char *id)
{
    attachment_t  a;
    job_result_t  result;

    if (!ingest_is_uuid(id)) {
        log_msg(LOG_ERR, "preview job is malformed", NULL);
        return JOB_DEAD;
    }

    memset(&a, 0, sizeof(attachment_t));
    a.fd = -1;
    a.preview = -1;

    a.row = db_exec(child, preview_load_sql, 1, &id);

    if (a.row == NULL) {
        return JOB_AGAIN;
    }

    log_context("attachment", id);
    result = PQntuples(a.row) == 0 ? JOB_DONE : preview_run(child, &a);
    log_context("attachment", NULL);
    attachment_free(child, &a);

    return result;
}


static job_result_t
preview_run(child_t *child, attachment_t *a)
{
    int64_t           start;
    decoder_answer_t  ans;

    start = now_ms();
    a->id = PQgetvalue(a->row, 0, PREVIEW_ID);
    a->tenant = PQgetvalue(a->row, 0, PREVIEW_TENANT);
    a->conversation = PQgetvalue(a->row, 0, PREVIEW_CONVERSATION);
    a->file_name = PQgetvalue(a->row, 0, PREVIEW_FILE_NAME);
    a->instance = PQgetvalue(a->row, 0, PREVIEW_INSTANCE);
    a->message_id = PQgetvalue(a->row, 0, PREVIEW_MESSAGE);

    if (preview_file(a) != 0
        || inspect(a->fd, "image/jpeg", conf.thumb_size, "image/jpeg", &ans,
                   &a->preview)
           != 0)
    {
        return JOB_AGAIN;
    }

    if (!preview_is_drawn(a, &ans)) {
        return preview_failed(child, a, ans.error[0] != '\0' ? ans.error
                                                    : "it is no picture",
                              start);
    }

    return preview_store(child, a, &ans, start);
}


static int
preview_file(attachment_t *a)
{
    int             rc;
    size_t          len;
    unsigned char  *bytes;

    a->fd = file_temp();

    if (a->fd == -1) {
        return -1;
    }

    bytes = PQunescapeBytea((unsigned char *) PQgetvalue(a->row, 0,
                                                         PREVIEW_BYTES),
                            &len);
    if (bytes == NULL) {
        return -1;
    }

    rc = file_write(a->fd, (const char *) bytes, len);
    PQfreemem(bytes);

    return rc;
}


static bool
preview_is_drawn(const attachment_t *a, const decoder_answer_t *ans)
{
    return a->preview != -1 && strncmp(ans->type, "image/", 6) == 0;
}


static job_result_t
preview_store(child_t *child, attachment_t *a, const decoder_answer_t *ans,
    int64_t start)
{
    int   rc;
    long  status;

    if (preview_key(a->thumb_key, sizeof(a->thumb_key), a) != 0) {
        return preview_failed(child, a, "no object key can be made", start);
    }

    if (store_put_checked(child, a->thumb_key, a->preview, ans->result.size,
                          "image/jpeg", NULL, &status) != 0)
    {
        return ingest_refused(status)
               ? preview_failed(child, a, "S3 refused it", start) : JOB_AGAIN;
    }

    rc = preview_update(child, a);

    if (rc < 0) {
        return JOB_AGAIN;
    }

    /* the file's own thumbnail was faster */
    if (rc == 0) {
        preview_drop(child, a);
        return JOB_DONE;
    }

    ingest_hop(child, a, "preview", "ok",
               log_fmt("%dx%d, %lld bytes", ans->result.width,
                       ans->result.height, (long long) ans->result.size),
               start);

    return JOB_DONE;
}


/* the number of rows, or -1 */
static int
preview_update(child_t *child, const attachment_t *a)
{
    int          n;
    char         url[MEDIA_KEY_MAX * 2];
    PGresult    *res;
    const char  *params[2];

    if (store_public_url(url, sizeof(url), a->thumb_key) != 0
        || db_begin(child) != 0)
    {
        return -1;
    }

    params[0] = a->id;
    params[1] = url;
    res = db_exec(child, preview_update_sql, 2, params);
    n = res == NULL ? -1 : PQntuples(res);

    if (n == 1 && event_add(child, a->tenant, a->conversation,
                            "attachment_preview", PQgetvalue(res, 0, 0)) != 0)
    {
        n = -1;
    }

    PQclear(res);

    if (n < 0) {
        db_rollback(child);
        return -1;
    }

    if (db_commit(child) != 0) {
        return -1;
    }

    event_publish(child);

    return n;
}


/* it is not tried again: nothing but the file's thumbnail helps */
static job_result_t
preview_failed(child_t *child, const attachment_t *a, const char *reason,
    int64_t start)
{
    PGresult  *res;

    res = db_exec(child, "UPDATE media.message_attachments SET preview = NULL"
                         " WHERE id = $1::uuid", 1, &a->id);
    if (res == NULL) {
        return JOB_AGAIN;
    }

    PQclear(res);
    log_msg(LOG_INFO, "no preview", "reason", reason, NULL);
    ingest_hop(child, a, "preview", "failed", reason, start);

    return JOB_DONE;
}


int
preview_key(char *dst, size_t size, const attachment_t *a)
{
    char         key[MEDIA_KEY_MAX];
    media_str_t  tenant, conversation, id, name;

    media_str_set(&tenant, a->tenant, strlen(a->tenant));
    media_str_set(&conversation, a->conversation, strlen(a->conversation));
    media_str_set(&id, a->id, strlen(a->id));
    media_str_set(&name, a->file_name, strlen(a->file_name));

    if (media_key_attachment(key, sizeof(key), tenant, conversation, id, name)
        < 0)
    {
        return -1;
    }

    media_str_set(&name, key, strlen(key));

    return media_key_preview(dst, size, name) < 0 ? -1 : 0;
}


void
preview_drop(child_t *child, const attachment_t *a)
{
    char  key[MEDIA_KEY_MAX];
    long  status;

    if (preview_key(key, sizeof(key), a) == 0) {
        (void) store_delete(child, key, &status);
    }
}
