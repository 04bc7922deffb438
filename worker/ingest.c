/*
 * Copyright (C) ngx_media contributors
 *
 * What the jobs of media_download and media_upload have in common: the type
 * of a file, its headers and its thumbnail, and how a stage ends.
 */

#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "media_worker.h"


static bool ingest_unknown_allowed(const attachment_t *a);


job_result_t
ingest_retry(child_t *child, attachment_t *a, const char *stage)
{
    if (a->attempts >= conf.download_attempts) {
        return ingest_fail(child, a, stage);
    }

    log_msg(LOG_WARN, "attachment will be tried again", "stage", stage,
            "attempt", log_fmt("%d", a->attempts), "reason", a->reason, NULL);

    return attachment_release(child, a, true) == 0 ? JOB_RETRY : JOB_AGAIN;
}


job_result_t
ingest_again(child_t *child, attachment_t *a, const char *stage)
{
    ingest_hop(child, a, stage, "again", a->reason, now_ms());
    log_msg(LOG_WARN, "attachment waits for our own servers", "stage", stage,
            "reason", a->reason, NULL);

    (void) attachment_release(child, a, false);
    return JOB_AGAIN;
}


job_result_t
ingest_fail(child_t *child, attachment_t *a, const char *stage)
{
    log_msg(LOG_WARN, "attachment failed", "stage", stage,
            "reason", a->reason, NULL);

    if (attachment_fail(child, a) != 0) {
        return JOB_AGAIN;
    }

    ingest_hop(child, a, stage, "failed", a->reason, now_ms());
    return JOB_DONE;
}


/*
 * The content decides: the declared type is kept, with its parameters, only
 * if it names the same format.
 */
bool
ingest_type(attachment_t *a)
{
    size_t       i;
    media_str_t  declared, sniffed, type;

    if (sniff_type(a->fd, a->size, a->sniffed, sizeof(a->sniffed)) != 0) {
        fetch_reason(a, "the type of the content cannot be told");
        return false;
    }

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
               && !ingest_unknown_allowed(a))
    {
        fetch_reason(a, "declared %.80s, content is %s", a->declared,
                     a->sniffed);
        return false;
    }

    snprintf(a->type, sizeof(a->type), "%.*s", (int) type.len, type.data);
    return true;
}


/* documents have formats that libmagic does not know, and text has dialects;
   neither may hide a page that a browser would run */
static bool
ingest_unknown_allowed(const attachment_t *a)
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


void
ingest_name(char *dst, size_t size, const attachment_t *a)
{
    const char   *ext;
    media_str_t   type;

    media_str_set(&type, a->type, strlen(a->type));
    ext = media_mime_extension(type);

    if (a->file_name[0] == '\0') {
        snprintf(dst, size, "media_%.200s.%s", a->message_id, ext);

    } else if (strchr(a->file_name, '.') == NULL) {
        snprintf(dst, size, "%.255s.%s", a->file_name, ext);

    } else {
        snprintf(dst, size, "%s", a->file_name);
    }
}


/* RFC 6266; filename* as RFC 8187 has it */
void
ingest_disposition(char *dst, size_t size, const attachment_t *a,
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
int
ingest_thumbnail(child_t *child, attachment_t *a)
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
        ingest_hop(child, a, "thumbnail", "failed", error, start);
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
    ingest_hop(child, a, "thumbnail", "ok",
                 log_fmt("%dx%d, %lld bytes", image.width, image.height,
                         (long long) image.thumb_size), start);
    return 0;
}


void
ingest_hop(child_t *child, const attachment_t *a, const char *stage,
    const char *outcome, const char *detail, int64_t start)
{
    hop_add(child, a->id, a->instance, a->message_id, stage, outcome, detail,
            now_ms() - start);
}


bool
ingest_refused(long status)
{
    return status >= 400 && status < 500 && status != 403 && status != 404
           && status != 408 && status != 429;
}


bool
ingest_is_uuid(const char *s)
{
    return strlen(s) == MEDIA_KEY_UUID_LEN
           && strspn(s, "0123456789abcdefABCDEF-") == MEDIA_KEY_UUID_LEN
           && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-';
}
