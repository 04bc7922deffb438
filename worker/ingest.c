/*
 * Copyright (C) ngx_media contributors
 *
 * What the jobs of media_download and media_upload have in common: what a
 * file is, its headers and its thumbnail, and how a stage ends.
 */

#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"


#define INGEST_PREVIEWS  "image/jpeg image/webp"


static bool ingest_is_ogg(const decoder_answer_t *ans);


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


int
ingest_inspect(attachment_t *a)
{
    decoder_answer_t  ans;

    if (inspect(a->fd, a->declared, conf.thumb_size, INGEST_PREVIEWS, &ans,
                &a->preview)
        != 0)
    {
        fetch_reason(a, "there is no decoder");
        return -1;
    }

    snprintf(a->sniffed, sizeof(a->sniffed), "%s", ans.type);
    snprintf(a->inspected, sizeof(a->inspected), "%s", ans.error);
    a->undecoded = ans.verdict == DECODER_FAILED;

    if (ans.verdict != DECODER_OK) {
        log_msg(LOG_INFO, "file is not understood", "type", ans.type,
                "reason", ans.error, NULL);
    }

    if (a->preview != -1) {
        a->preview_size = ans.result.size;
        a->preview_width = ans.result.width;
        a->preview_height = ans.result.height;
        snprintf(a->preview_type, sizeof(a->preview_type), "%s",
                 ans.result.type);
    }

    a->ogg = ingest_is_ogg(&ans);
    a->metadata = metadata_json(&ans);

    if (ans.verdict == DECODER_REFUSED && ans.expands) {
        fetch_reason(a, "%s", ans.error);
        return 1;
    }

    return ingest_type(a) ? 0 : 1;
}


/* or WebM, which is as new to Safari */
static bool
ingest_is_ogg(const decoder_answer_t *ans)
{
    return ans->has_waveform
           && decoder_takes("audio/ogg video/ogg application/ogg audio/webm"
                            " video/webm", ans->type);
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


/* a file that cannot be read is a warning: it is stored as it came */
int
ingest_thumbnail(child_t *child, attachment_t *a)
{
    int          rc;
    char         thumb_key[MEDIA_KEY_MAX];
    long         status;
    int64_t      start;
    media_str_t  key;

    start = now_ms();
    media_str_set(&key, a->key, strlen(a->key));

    if (a->preview == -1) {

        if (strncmp(a->sniffed, "image/", 6) == 0) {
            log_msg(LOG_WARN, "no thumbnail", "reason", a->inspected, NULL);
            ingest_hop(child, a, "thumbnail", "failed", a->inspected, start);
        }

        return 0;
    }

    if (media_key_thumb(thumb_key, sizeof(thumb_key), key,
                        strcmp(a->preview_type, "image/webp") == 0 ? "webp"
                                                                   : "jpg")
        < 0)
    {
        log_msg(LOG_WARN, "no thumbnail", "reason", "key is too long", NULL);
        return 0;
    }

    rc = store_put_checked(child, thumb_key, a->preview, a->preview_size,
                           a->preview_type, NULL, &status);

    if (rc != 0) {
        fetch_reason(a, "S3 did not store the thumbnail: HTTP %ld", status);
        return -1;
    }

    strcpy(a->thumb_key, thumb_key);
    ingest_hop(child, a, "thumbnail", "ok",
               log_fmt("%dx%d, %lld bytes", a->preview_width,
                       a->preview_height, (long long) a->preview_size),
               start);
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
