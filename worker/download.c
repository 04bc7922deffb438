/*
 * Copyright (C) ngx_media contributors
 */

#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "media_worker.h"


/*
 * The job of media_download: one attachment from its row to a stored, read
 * back and announced object.  Each stage is a hop of mediactl trace; a stage
 * that fails says why in the row.
 */


#define DOWNLOAD_CRASHES  3               /* leases per allowed attempt */


static job_result_t download_run(child_t *child, attachment_t *a);
static job_result_t download_fetched(child_t *child, attachment_t *a);
static job_result_t download_retry(child_t *child, attachment_t *a);
static job_result_t download_again(child_t *child, attachment_t *a,
    const char *stage);
static job_result_t download_fail(child_t *child, attachment_t *a,
    const char *stage);
static bool download_type(attachment_t *a);
static bool download_unknown_allowed(const attachment_t *a);
static int download_key(attachment_t *a, char *name, size_t size);
static job_result_t download_put(child_t *child, attachment_t *a);
static int download_thumbnail(child_t *child, attachment_t *a);
static void download_disposition(char *dst, size_t size,
    const attachment_t *a, const char *safe_name);
static void download_hop(child_t *child, const attachment_t *a,
    const char *stage, const char *outcome, const char *detail,
    int64_t start);
static bool download_is_uuid(const char *s);


job_result_t
download_job(child_t *child, job_t *job)
{
    int              rc;
    char             id[64];
    answer_t         body;
    attachment_t     a;
    job_result_t     result;
    answer_member_t  members[] = { { "attachment_id", id, sizeof(id) },
                                   { NULL, NULL, 0 } };

    if (answer_open(&body, members, NULL, NULL, NULL) != 0) {
        return JOB_AGAIN;
    }

    (void) answer_write(&body, job->body.data, job->body.len);

    if (answer_close(&body) != 0 || !download_is_uuid(id)) {
        log_msg(LOG_ERR, "download job is malformed", NULL);
        return JOB_DEAD;
    }

    log_context("attachment", id);
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
        return download_fail(child, a, "lease");
    }

    switch (fetch_attachment(child, a)) {

    case FETCH_OK:
        return download_fetched(child, a);

    case FETCH_AGAIN:
        return download_again(child, a, "fetch");

    case FETCH_RETRY:
        return download_retry(child, a);

    default:
        return download_fail(child, a, "fetch");
    }
}


static job_result_t
download_fetched(child_t *child, attachment_t *a)
{
    int64_t       start;
    job_result_t  result;

    /* what sources before the good one said is in the hops */
    a->reason[0] = '\0';
    start = now_ms();

    if (sniff_type(a->fd, a->size, a->sniffed, sizeof(a->sniffed)) != 0) {
        fetch_reason(a, "the type of the content cannot be told");
        return download_fail(child, a, "sniff");
    }

    if (!download_type(a)) {
        return download_fail(child, a, "sniff");
    }

    download_hop(child, a, "sniff", "ok", a->type, start);

    result = download_put(child, a);

    if (result != JOB_DONE) {
        return result;
    }

    if (download_thumbnail(child, a) != 0) {
        return download_again(child, a, "thumbnail");
    }

    start = now_ms();

    if (attachment_complete(child, a) != 0) {
        return download_again(child, a, "complete");
    }

    download_hop(child, a, "complete", "ok", "", start);
    log_msg(LOG_INFO, "attachment completed",
            "type", a->type, "size", log_fmt("%lld", (long long) a->size),
            NULL);
    return JOB_DONE;
}


static job_result_t
download_retry(child_t *child, attachment_t *a)
{
    if (a->attempts >= conf.download_attempts) {
        return download_fail(child, a, "fetch");
    }

    log_msg(LOG_WARN, "download failed, will be tried again",
            "attempt", log_fmt("%d", a->attempts), "reason", a->reason, NULL);

    return attachment_release(child, a, true) == 0 ? JOB_RETRY : JOB_AGAIN;
}


static job_result_t
download_again(child_t *child, attachment_t *a, const char *stage)
{
    download_hop(child, a, stage, "again", a->reason, now_ms());
    log_msg(LOG_WARN, "download waits for our own servers", "stage", stage,
            "reason", a->reason, NULL);

    (void) attachment_release(child, a, false);
    return JOB_AGAIN;
}


static job_result_t
download_fail(child_t *child, attachment_t *a, const char *stage)
{
    log_msg(LOG_WARN, "attachment failed", "stage", stage,
            "reason", a->reason, NULL);

    if (attachment_fail(child, a) != 0) {
        return JOB_AGAIN;
    }

    download_hop(child, a, stage, "failed", a->reason, now_ms());
    return JOB_DONE;
}


/*
 * The content decides: the declared type is kept, with its parameters, only
 * if it names the same format.
 */
static bool
download_type(attachment_t *a)
{
    size_t       i;
    media_str_t  declared, sniffed, type;

    media_str_set(&sniffed, a->sniffed, strlen(a->sniffed));
    media_str_set(&declared, a->declared, strlen(a->declared));

    if (a->size == 0 && a->category != MEDIA_CATEGORY_DOCUMENT) {
        fetch_reason(a, "the file is empty");
        return false;
    }

    for (i = 0; i < declared.len; i++) {
        if (declared.data[i] < 0x20 || declared.data[i] > 0x7e) {
            declared.len = 0;
        }
    }

    if (declared.len >= sizeof(a->type)) {
        declared.len = strcspn(a->declared, "; ");
    }

    type = declared;

    if (declared.len == 0 || declared.len >= sizeof(a->type)
        || strncasecmp(a->declared, "application/octet-stream", 24) == 0)
    {
        type = sniffed;

    } else if (!media_mime_matches(declared, sniffed)
               && !download_unknown_allowed(a))
    {
        fetch_reason(a, "declared %.80s, content is %s", a->declared,
                     a->sniffed);
        return false;
    }

    /* an image or video may be sent as a document */
    if (!media_mime_allowed(&conf.mime, a->category, type)
        && (a->category != MEDIA_CATEGORY_DOCUMENT
            || !media_mime_allowed(&conf.mime, media_category_by_mime(type),
                                   type)))
    {
        fetch_reason(a, "type %.*s is not allowed for %s", (int) type.len,
                     type.data, media_category_name(a->category));
        return false;
    }

    snprintf(a->type, sizeof(a->type), "%.*s", (int) type.len, type.data);
    return true;
}


/* documents have formats that libmagic does not know, and text has dialects;
   neither may hide a page that a browser would run */
static bool
download_unknown_allowed(const attachment_t *a)
{
    if (a->category != MEDIA_CATEGORY_DOCUMENT) {
        return false;
    }

    if (strcmp(a->sniffed, "application/octet-stream") == 0
        || strcmp(a->sniffed, "application/x-empty") == 0)
    {
        return true;
    }

    return strncasecmp(a->declared, "text/", 5) == 0
           && ((strncmp(a->sniffed, "text/", 5) == 0
                && strcmp(a->sniffed, "text/html") != 0)
               || strcmp(a->sniffed, "application/json") == 0
               || strcmp(a->sniffed, "application/csv") == 0);
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
        return download_fail(child, a, "put");
    }

    download_disposition(disposition, sizeof(disposition), a, name);

    if (store_put_checked(child, a->key, a->fd, a->size, a->type, disposition,
                          &status) == 0)
    {
        download_hop(child, a, "put", "ok", a->key, start);
        return JOB_DONE;
    }

    if (status >= 400 && status < 500 && status != 403 && status != 404
        && status != 408 && status != 429)
    {
        fetch_reason(a, "S3 refused the file: HTTP %ld", status);
        return download_retry(child, a);
    }

    fetch_reason(a, "S3 did not store the file: HTTP %ld", status);
    return download_again(child, a, "put");
}


/* name is the attachment's, or made from the message's id (C041) */
static int
download_key(attachment_t *a, char *name, size_t size)
{
    const char   *ext;
    media_str_t   tenant, conversation, id, file, type;

    media_str_set(&type, a->type, strlen(a->type));
    ext = media_mime_extension(type);

    if (a->file_name[0] == '\0') {
        snprintf(name, size, "media_%.200s.%s", a->message_id, ext);

    } else if (strchr(a->file_name, '.') == NULL) {
        snprintf(name, size, "%.255s.%s", a->file_name, ext);

    } else {
        snprintf(name, size, "%s", a->file_name);
    }

    media_str_set(&tenant, a->tenant, strlen(a->tenant));
    media_str_set(&conversation, a->conversation, strlen(a->conversation));
    media_str_set(&id, a->id, strlen(a->id));
    media_str_set(&file, name, strlen(name));

    return media_key_attachment(a->key, sizeof(a->key), tenant, conversation,
                                id, file) > 0 ? 0 : -1;
}


/* RFC 6266; filename* as RFC 8187 has it */
static void
download_disposition(char *dst, size_t size, const attachment_t *a,
    const char *name)
{
    char         safe[MEDIA_KEY_NAME_MAX + 1], encoded[3 * 256 + 1];
    ssize_t      n;
    media_str_t  s;

    media_str_set(&s, name, strlen(name));
    n = media_uri_encode(encoded, sizeof(encoded) - 1, name, s.len, 0);
    encoded[n < 0 ? 0 : n] = '\0';

    if (media_key_safe_name(safe, sizeof(safe), s) < 0) {
        strcpy(safe, "file");
    }

    snprintf(dst, size, "%s; filename=\"%s\"; filename*=UTF-8''%s",
             a->category == MEDIA_CATEGORY_DOCUMENT ? "attachment" : "inline",
             safe, n < 0 ? safe : encoded);
}


/* an image that cannot be decoded is a warning: the file itself is stored */
static int
download_thumbnail(child_t *child, attachment_t *a)
{
    int          rc;
    char         error[256], thumb_key[MEDIA_KEY_MAX];
    long         status;
    int64_t      start;
    image_t      image;
    media_str_t  key;

    if (strncmp(a->sniffed, "image/", 6) != 0) {
        return 0;
    }

    start = now_ms();
    media_str_set(&key, a->key, strlen(a->key));

    rc = image_thumbnail(a->fd, a->sniffed, conf.thumb_size,
                         conf.thumb_quality, &image, error, sizeof(error));
    a->width = image.width;
    a->height = image.height;

    if (rc != 0 || media_key_thumb(thumb_key, sizeof(thumb_key), key) < 0) {
        log_msg(LOG_WARN, "no thumbnail", "reason", error, NULL);
        download_hop(child, a, "thumbnail", "failed", error, start);
        return 0;
    }

    rc = store_put_checked(child, thumb_key, image.thumb_fd, image.thumb_size,
                           "image/jpeg", NULL, &status);
    close(image.thumb_fd);

    if (rc != 0) {
        fetch_reason(a, "S3 did not store the thumbnail: HTTP %ld", status);
        return -1;
    }

    strcpy(a->thumb_key, thumb_key);
    download_hop(child, a, "thumbnail", "ok",
                 log_fmt("%dx%d, %lld bytes", image.width, image.height,
                         (long long) image.thumb_size), start);
    return 0;
}


static void
download_hop(child_t *child, const attachment_t *a, const char *stage,
    const char *outcome, const char *detail, int64_t start)
{
    hop_add(child, a->id, a->instance, a->message_id, stage, outcome, detail,
            now_ms() - start);
}


static bool
download_is_uuid(const char *s)
{
    return strlen(s) == MEDIA_KEY_UUID_LEN
           && strspn(s, "0123456789abcdefABCDEF-") == MEDIA_KEY_UUID_LEN
           && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-';
}
