/*
 * Copyright (C) ngx_media contributors
 */

#include <stdlib.h>

#include "rebuild.h"


/*
 * The job of media_download: one attachment from its row to a stored, read
 * back and announced object.  Each stage is a hop of mediactl trace; a stage
 * that fails says why in the row.
 */


#define DOWNLOAD_CRASHES  3               /* leases per allowed attempt */


static job_result_t download_run(child_t *child, attachment_t *a);
static job_result_t download_fetched(child_t *child, attachment_t *a);
static job_result_t download_inspected(child_t *child, attachment_t *a);
static bool download_allowed(attachment_t *a);
static int download_key(attachment_t *a, char *name, size_t size);
static job_result_t download_put(child_t *child, attachment_t *a);


job_result_t
download_job(child_t *child, job_t *job)
{
    int              rc;
    char             id[64], type[16];
    answer_t         body;
    rebuild_t        what;
    attachment_t     a;
    job_result_t     result;
    answer_member_t  members[] = {
        { "attachment_id", id, sizeof(id) },
        { "type", type, sizeof(type) },
        { "tool", what.tool, sizeof(what.tool) },
        { "version", what.version, sizeof(what.version) },
        { NULL, NULL, 0 }
    };

    if (answer_open(&body, members, NULL, NULL, NULL) != 0) {
        return JOB_AGAIN;
    }

    (void) answer_write(&body, job->body.data, job->body.len);

    if (answer_close(&body) != 0 || !ingest_is_uuid(id)) {
        log_msg(LOG_ERR, "download job is malformed", NULL);
        return JOB_DEAD;
    }

    log_context("attachment", id);

    if (strcmp(type, "rebuild") == 0) {
        result = rebuild_job(child, id, &what);
        log_context("attachment", NULL);
        return result;
    }

    rc = attachment_lease(child, id, &a);

    switch (rc) {

    case ATTACHMENT_LEASED:
        result = download_run(child, &a);
        break;

    case ATTACHMENT_FINISHED:
        log_msg(LOG_INFO, "attachment is finished already", NULL);
        result = JOB_DONE;
        break;

    case ATTACHMENT_UNKNOWN:
        log_msg(LOG_ERR, "attachment has no row", NULL);
        result = JOB_DEAD;
        break;

    default:
        log_msg(LOG_INFO, rc == ATTACHMENT_BUSY
                          ? "another child works on the attachment"
                          : "attachment could not be leased", NULL);
        result = JOB_AGAIN;
    }

    attachment_free(child, &a);
    log_context("attachment", NULL);

    return result;
}


static job_result_t
download_run(child_t *child, attachment_t *a)
{
    /* each lease counts: a file that crashes its child ends, too */
    if (a->attempts > conf.download_attempts * DOWNLOAD_CRASHES) {
        fetch_reason(a, "gave up: %d attempts ended without a result",
                     a->attempts - 1);
        return ingest_fail(child, a, "lease");
    }

    switch (fetch_attachment(child, a)) {

    case FETCH_OK:
        return download_fetched(child, a);

    case FETCH_AGAIN:
        return ingest_again(child, a, "fetch");

    case FETCH_RETRY:
        return ingest_retry(child, a, "fetch");

    default:
        return ingest_fail(child, a, "fetch");
    }
}


static job_result_t
download_fetched(child_t *child, attachment_t *a)
{
    /* what sources before the good one said is in the hops */
    a->reason[0] = '\0';

    switch (scan_attachment(child, a)) {

    case SCAN_PASSED:
        return download_inspected(child, a);

    case SCAN_AGAIN:
        return ingest_again(child, a, "scan");

    case SCAN_RETRY:
        return ingest_retry(child, a, "scan");

    default:
        return ingest_fail(child, a, "scan");
    }
}


static job_result_t
download_inspected(child_t *child, attachment_t *a)
{
    int64_t       start;
    job_result_t  result;

    start = now_ms();

    switch (ingest_inspect(a)) {

    case 0:
        if (download_allowed(a)) {
            break;
        }

        return ingest_fail(child, a, "sniff");

    case -1:
        return ingest_again(child, a, "sniff");

    default:
        return ingest_fail(child, a, "sniff");
    }

    ingest_hop(child, a, "sniff", "ok", a->type, start);

    result = download_put(child, a);

    if (result != JOB_DONE) {
        return result;
    }

    if (ingest_thumbnail(child, a) != 0) {
        return ingest_again(child, a, "thumbnail");
    }

    if (rendition_m4a(child, a) != 0) {
        fetch_reason(a, "the M4A could not be stored");
        return ingest_again(child, a, "rendition");
    }

    start = now_ms();

    if (attachment_complete(child, a) != 0) {
        return ingest_again(child, a, "complete");
    }

    ingest_hop(child, a, "complete", "ok", "", start);
    log_msg(LOG_INFO, "attachment completed",
            "type", a->type, "size", log_fmt("%lld", (long long) a->size),
            NULL);
    return JOB_DONE;
}


/* an image or video may be sent as a document */
static bool
download_allowed(attachment_t *a)
{
    media_str_t  type;

    media_str_set(&type, a->type, strlen(a->type));

    if (media_mime_allowed(&conf.mime, a->category, type)
        || (a->category == MEDIA_CATEGORY_DOCUMENT
            && media_mime_allowed(&conf.mime, media_category_by_mime(type),
                                  type)))
    {
        return true;
    }

    fetch_reason(a, "type %s is not allowed for %s", a->type,
                 media_category_name(a->category));
    return false;
}


static job_result_t
download_put(child_t *child, attachment_t *a)
{
    char     name[512], disposition[2048];
    long     status;
    int64_t  start;

    start = now_ms();

    if (download_key(a, name, sizeof(name)) != 0) {
        fetch_reason(a, "no object key can be made");
        return ingest_fail(child, a, "put");
    }

    ingest_disposition(disposition, sizeof(disposition), a, name);

    if (store_put_checked(child, a->key, a->fd, a->size, a->type, disposition,
                          &status) == 0)
    {
        ingest_hop(child, a, "put", "ok", a->key, start);
        return JOB_DONE;
    }

    if (ingest_refused(status)) {
        fetch_reason(a, "S3 refused the file: HTTP %ld", status);
        return ingest_retry(child, a, "fetch");
    }

    fetch_reason(a, "S3 did not store the file: HTTP %ld", status);
    return ingest_again(child, a, "put");
}


static int
download_key(attachment_t *a, char *name, size_t size)
{
    media_str_t  tenant, conversation, id, file;

    ingest_name(name, size, a);

    media_str_set(&tenant, a->tenant, strlen(a->tenant));
    media_str_set(&conversation, a->conversation, strlen(a->conversation));
    media_str_set(&id, a->id, strlen(a->id));
    media_str_set(&file, name, strlen(name));

    return media_key_attachment(a->key, sizeof(a->key), tenant, conversation,
                                id, file) > 0 ? 0 : -1;
}
