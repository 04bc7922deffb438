/*
 * Copyright (C) ngx_media contributors
 */

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"


/*
 * What each provider takes of a kind of message, and files in that form.  A
 * form has a name, "image" or "voice", under which it is stored beside the
 * original and recorded in the attachment's metadata; providers share it.
 */


#define RENDITION_KB        1000LL
#define RENDITION_MB        (1024LL * 1024)
#define RENDITION_FILE_MAX  (512 * RENDITION_MB)

/* images are compressed to this size (C053) */
#define RENDITION_IMAGE     RENDITION_MB

/* Meta, "Supported media types": stickers of 512x512 pixels */
#define RENDITION_STICKER   (100 * RENDITION_KB)
#define RENDITION_ANIMATED  (500 * RENDITION_KB)

/* half an hour in mono */
#define RENDITION_M4A       (16 * RENDITION_MB)

#define RENDITION_IMAGE_TIME  30        /* seconds of CPU */
#define RENDITION_AUDIO_TIME  90
#define RENDITION_VIDEO_TIME  10


typedef struct {
    const char     *provider;           /* NULL: any other */
    const char     *kind;
    const char     *types;              /* "": all */
    const char     *noun;
    const char     *formats;            /* types, for people */
    int64_t         max_size;
} rendition_rule_t;

typedef struct {
    const char     *name;               /* also the kind of message */
    const char     *extension;
    decoder_task_t  task;
    int             cpu_time;
    int64_t         max_size;           /* of what is made; 0: the rule's */
    int64_t         max_animated;
} rendition_form_t;

typedef struct {
    child_t                 *child;
    const char              *attachment;
    const rendition_rule_t  *rule;
    const rendition_form_t  *form;      /* NULL: cannot be converted */
    PGresult                *row;       /* owns the strings */
    const char              *key;       /* of the original, likewise */
    const char              *type;
    int64_t                  size;
    bool                     gps;       /* it says where it was taken */
    char                     sniffed[100];
    rendition_t             *r;
    char                    *error;
    size_t                   error_size;
} rendition_job_t;


static rendition_result_t rendition_run(rendition_job_t *job,
    const char *provider, const char *kind, int fd, bool again);
static bool rendition_job(rendition_job_t *job, const char *provider,
    const char *kind);
static rendition_result_t rendition_load(rendition_job_t *job, int fd);
static bool rendition_recorded(rendition_job_t *job);
static rendition_result_t rendition_unchanged(rendition_job_t *job);
static rendition_result_t rendition_fetch(rendition_job_t *job, int *fd);
static int rendition_write(void *data, const char *s, size_t len);
static rendition_result_t rendition_make(rendition_job_t *job, int fd);
static rendition_result_t rendition_made(rendition_job_t *job, int fd,
    const decoder_answer_t *ans);
static rendition_result_t rendition_failed(rendition_job_t *job,
    const char *reason);
static void rendition_original(rendition_job_t *job, const char *type);
static rendition_result_t rendition_record(rendition_job_t *job,
    const decoder_answer_t *ans);
static bool rendition_takes(const rendition_rule_t *rule, const char *type,
    int64_t size);
static rendition_result_t rendition_refuse(rendition_job_t *job,
    const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *rendition_size(int64_t size);


#define RENDITION_IMAGES  "image/jpeg image/png"
#define RENDITION_AUDIO                                                       \
    "audio/aac audio/amr audio/mpeg audio/mp4 audio/ogg"

/*
 * Cloud API: "Supported media types" of Meta's documentation of media.  The
 * two others publish no sizes: WhatsApp's own for images, audio and video are
 * 16 MB, and documents are kept to what all of them take.  W-API: its
 * documentation of send-audio and send-video.  An image of Evolution is made
 * a JPEG there.  Ogg is Opus with one channel everywhere.
 */
static const rendition_rule_t  rendition_rules[] = {
    { "cloudapi", "image",    RENDITION_IMAGES,       "images",
      "JPEG or PNG",                              5 * RENDITION_MB   },
    { NULL,       "image",    RENDITION_IMAGES,       "images",
      "JPEG or PNG",                              16 * RENDITION_MB  },
    { NULL,       "sticker",  "image/webp",           "stickers",
      "WebP of 512x512 pixels, of 100 KB at most, animated of 500 KB at most",
                                                  RENDITION_ANIMATED },
    { NULL,       "voice",    "audio/ogg",            "voice notes",
      "Ogg with Opus",                            16 * RENDITION_MB  },
    { "wapi",     "audio",    "audio/mpeg audio/ogg", "audio",
      "MP3 or Ogg with Opus",                     16 * RENDITION_MB  },
    { NULL,       "audio",    RENDITION_AUDIO,        "audio",
      "AAC, AMR, MP3, M4A or Ogg with Opus",      16 * RENDITION_MB  },
    { "wapi",     "video",    "video/mp4",            "videos",
      "MP4",                                      16 * RENDITION_MB  },
    { NULL,       "video",    "video/mp4 video/3gpp", "videos",
      "MP4 or 3GPP",                              16 * RENDITION_MB  },
    { NULL,       "document", "",                     "documents",
      "any type",                                 100 * RENDITION_MB },
    /* for browsers */
    { NULL,       "m4a",      "audio/mp4",            "audio",
      "M4A",                                      RENDITION_M4A      },
    { NULL,       NULL,       NULL,                   NULL,
      NULL,                                       0                  }
};

static const rendition_form_t  rendition_forms[] = {
    { "image",   "jpg",  DECODER_IMAGE,   RENDITION_IMAGE_TIME,
      RENDITION_IMAGE,   0                  },
    { "sticker", "webp", DECODER_STICKER, RENDITION_IMAGE_TIME,
      RENDITION_STICKER, RENDITION_ANIMATED },
    { "voice",   "ogg",  DECODER_VOICE,   RENDITION_AUDIO_TIME,
      0,                 0                  },
    { "audio",   "ogg",  DECODER_AUDIO,   RENDITION_AUDIO_TIME,
      0,                 0                  },
    { "video",   "mp4",  DECODER_VIDEO,   RENDITION_VIDEO_TIME,
      0,                 0                  },
    { "m4a",     "m4a",  DECODER_M4A,     RENDITION_AUDIO_TIME,
      0,                 0                  },
    { NULL,      NULL,   DECODER_AUDIO,   0,
      0,                 0                  }
};


/* an upload has its key before its attachment has */
static const char  rendition_load_sql[] =
    "SELECT coalesce(nullif(a.storage_key, ''), u.file_key, ''),"
    "       coalesce(nullif(a.file_type, ''), u.claims->>'file_type', ''),"
    "       coalesce(nullif(a.size_bytes, 0),"
    "                (u.claims->>'file_size')::bigint, 0),"
    "       r.r->>'key', r.r->>'type', r.r->>'size', r.r->>'duration',"
    "       a.metadata->>'gps'"
    "  FROM media.message_attachments a"
    "  LEFT JOIN media.uploads u ON u.id = a.id"
    "  LEFT JOIN LATERAL (SELECT a.metadata->'renditions'->$2 AS r) r ON true"
    " WHERE a.id = $1::uuid";

static const char  rendition_record_sql[] =
    "UPDATE media.message_attachments"
    "   SET metadata = jsonb_set(metadata, '{renditions}',"
    "           coalesce(metadata->'renditions', '{}') || jsonb_build_object("
    "               $2::text, jsonb_strip_nulls(jsonb_build_object("
    "                   'key', $3::text, 'type', $4::text,"
    "                   'size', $5::bigint, 'width', $6::int,"
    "                   'height', $7::int, 'duration', $8::int,"
    "                   'waveform', $9::text, 'made_by', $10::text)))),"
    "       updated_at = now()"
    " WHERE id = $1::uuid";


rendition_result_t
rendition_get(child_t *child, const char *attachment, const char *provider,
    const char *kind, int fd, rendition_t *r, char *error, size_t error_size)
{
    rendition_job_t  job = { .child = child, .attachment = attachment,
                             .r = r, .error = error,
                             .error_size = error_size };

    return rendition_run(&job, provider, kind, fd, false);
}


rendition_result_t
rendition_again(child_t *child, const char *attachment, const char *provider,
    const char *kind, int fd, rendition_t *r, char *error, size_t error_size)
{
    rendition_job_t  job = { .child = child, .attachment = attachment,
                             .r = r, .error = error,
                             .error_size = error_size };

    return rendition_run(&job, provider, kind, fd, true);
}


static rendition_result_t
rendition_run(rendition_job_t *job, const char *provider, const char *kind,
    int fd, bool again)
{
    int                 temp;
    rendition_result_t  rc;

    memset(job->r, 0, sizeof(rendition_t));
    job->error[0] = '\0';
    temp = -1;

    if (!rendition_job(job, provider, kind)) {
        return rendition_refuse(job, "a message of kind %s has no file",
                                kind);
    }

    rc = rendition_load(job, fd);

    if (rc != RENDITION_OK || (!again && rendition_recorded(job))) {
        goto done;
    }

    if (job->form == NULL || job->form->task == DECODER_VIDEO) {
        rc = rendition_unchanged(job);
    }

    if (rc == RENDITION_OK && job->form != NULL) {
        rc = fd == -1 ? rendition_fetch(job, &temp) : RENDITION_OK;
        rc = rc == RENDITION_OK
             ? rendition_make(job, fd == -1 ? temp : fd) : rc;
    }

done:

    if (temp != -1) {
        close(temp);
    }

    PQclear(job->row);

    return rc;
}


int
rendition_m4a(child_t *child, const attachment_t *a)
{
    char             error[256];
    rendition_t      r;
    rendition_job_t  job;

    if (!a->ogg) {
        return 0;
    }

    memset(&r, 0, sizeof(rendition_t));
    memset(&job, 0, sizeof(rendition_job_t));
    job.child = child;
    job.attachment = a->id;
    job.key = a->key;
    job.type = a->sniffed;
    job.size = a->size;
    job.r = &r;
    job.error = error;
    job.error_size = sizeof(error);

    return rendition_job(&job, a->provider, "m4a")
           && rendition_make(&job, a->fd) == RENDITION_AGAIN ? -1 : 0;
}


static bool
rendition_job(rendition_job_t *job, const char *provider, const char *kind)
{
    const rendition_rule_t  *rule;
    const rendition_form_t  *form;

    for (rule = rendition_rules; rule->kind != NULL; rule++) {
        if (strcmp(rule->kind, kind) == 0
            && (rule->provider == NULL
                || strcmp(rule->provider, provider) == 0))
        {
            job->rule = rule;
            break;
        }
    }

    /* of videos, only the Cloud API says which codecs it takes */
    for (form = rendition_forms; form->name != NULL; form++) {
        if (strcmp(form->name, kind) == 0
            && (form->task != DECODER_VIDEO
                || strcmp(provider, "cloudapi") == 0))
        {
            job->form = form;
            break;
        }
    }

    return job->rule != NULL;
}


static rendition_result_t
rendition_load(rendition_job_t *job, int fd)
{
    const char   *params[2];
    struct stat   st;

    params[0] = job->attachment;
    params[1] = job->form == NULL ? "" : job->form->name;
    job->row = db_exec(job->child, rendition_load_sql, 2, params);

    if (job->row == NULL) {
        return RENDITION_AGAIN;
    }

    if (PQntuples(job->row) == 0 || PQgetlength(job->row, 0, 0) == 0) {
        return rendition_refuse(job, "the file is not stored");
    }

    job->key = PQgetvalue(job->row, 0, 0);
    job->type = PQgetvalue(job->row, 0, 1);
    job->size = strtoll(PQgetvalue(job->row, 0, 2), NULL, 10);
    job->gps = strcmp(PQgetvalue(job->row, 0, 7), "true") == 0;

    if (fd != -1 && fstat(fd, &st) == 0) {
        job->size = st.st_size;
    }

    return RENDITION_OK;
}


/* made for this provider or for another one that takes the same */
static bool
rendition_recorded(rendition_job_t *job)
{
    int64_t       size;
    const char   *key, *type;
    media_str_t   s;

    if (PQgetisnull(job->row, 0, 3)) {
        return false;
    }

    key = PQgetvalue(job->row, 0, 3);
    type = PQgetvalue(job->row, 0, 4);
    size = strtoll(PQgetvalue(job->row, 0, 5), NULL, 10);
    media_str_set(&s, key, strlen(key));

    if (s.len >= sizeof(job->r->key) || media_key_check(s) != MEDIA_OK
        || !rendition_takes(job->rule, type, size))
    {
        return false;
    }

    rendition_original(job, type);
    snprintf(job->r->key, sizeof(job->r->key), "%s", key);
    job->r->size = size;
    job->r->duration = strtol(PQgetvalue(job->row, 0, 6), NULL, 10);

    return true;
}


/* documents, and what is asked of a video before it is read */
static rendition_result_t
rendition_unchanged(rendition_job_t *job)
{
    if (!decoder_takes(job->rule->types, job->type)) {
        return rendition_refuse(job, "WhatsApp takes %s as %s; this one is %s",
                                job->rule->noun, job->rule->formats,
                                job->type);
    }

    if (!rendition_takes(job->rule, job->type, job->size)) {
        return rendition_failed(job, "");
    }

    rendition_original(job, job->type);

    return RENDITION_OK;
}


static rendition_result_t
rendition_fetch(rendition_job_t *job, int *fd)
{
    long  status;

    *fd = file_temp();

    if (*fd == -1) {
        return RENDITION_AGAIN;
    }

    if (store_get(job->child, job->key, -1, 0, rendition_write, fd,
                  job->size > 0 ? job->size : RENDITION_FILE_MAX, &status)
        == 0)
    {
        return RENDITION_OK;
    }

    return status == 404 ? rendition_refuse(job, "the file is not stored")
                         : RENDITION_AGAIN;
}


static int
rendition_write(void *data, const char *s, size_t len)
{
    return file_write(*(int *) data, s, len);
}


static rendition_result_t
rendition_make(rendition_job_t *job, int fd)
{
    int                 out;
    int64_t             start;
    decoder_answer_t    ans;
    decoder_request_t   req;
    rendition_result_t  rc;

    start = now_ms();
    memset(&req, 0, sizeof(decoder_request_t));
    req.task = job->form->task;
    req.cpu_time = job->form->cpu_time;
    req.max_size = job->form->max_size != 0 ? job->form->max_size
                                            : job->rule->max_size;
    req.max_animated = job->form->max_animated;
    snprintf(req.types, sizeof(req.types), "%s", job->rule->types);

    snprintf(req.mime, sizeof(req.mime), "%.*s",
             (int) strcspn(job->type, "; "), job->type);
    out = file_temp();

    if (out == -1) {
        return RENDITION_AGAIN;
    }

    if (decode(fd, out, &req, &ans) != 0) {
        close(out);
        return RENDITION_AGAIN;
    }

    /* not all that a decoder reads is known to libmagic */
    snprintf(job->sniffed, sizeof(job->sniffed), "%s",
             ans.verdict == DECODER_FAILED
             || strcmp(ans.type, "application/octet-stream") == 0
             ? req.mime : ans.type);

    job->gps = job->gps || ans.gps;

    if (req.task == DECODER_VIDEO && ans.error[0] != '\0') {
        rc = rendition_refuse(job, "WhatsApp takes videos with H.264 and, if"
                              " any, AAC audio; %s", ans.error);

    } else if (ans.error[0] != '\0') {
        rc = rendition_failed(job, ans.error);

        if (rc == RENDITION_OK) {
            rc = rendition_record(job, NULL);
        }

    } else {
        rc = rendition_made(job, out, &ans);
    }

    close(out);

    if (rc != RENDITION_AGAIN) {
        hop_add(job->child, job->attachment, NULL, NULL, "rendition",
                rc == RENDITION_OK ? "ok" : "failed",
                rc == RENDITION_OK ? job->r->key : job->error,
                now_ms() - start);
    }

    return rc;
}


static rendition_result_t
rendition_made(rendition_job_t *job, int fd, const decoder_answer_t *ans)
{
    int           n;
    long          status;
    rendition_t  *r;

    r = job->r;

    if (job->form->task == DECODER_VIDEO) {
        rendition_original(job, job->type);
        return rendition_record(job, ans);
    }

    if (!rendition_takes(job->rule, ans->result.type,
                         ans->as_is ? job->size : ans->result.size))
    {
        return rendition_failed(job, "the decoder failed");
    }

    rendition_original(job, ans->result.type);
    r->duration = (ans->duration_ms + 999) / 1000;

    if (!ans->as_is) {
        n = snprintf(r->key, sizeof(r->key), "%s_%s.%s", job->key,
                     job->form->name, job->form->extension);

        if (n < 0 || (size_t) n >= sizeof(r->key)) {
            return rendition_failed(job, "its name is too long");
        }

        r->size = ans->result.size;

        if (store_put_checked(job->child, r->key, fd, r->size, r->type, NULL,
                              &status) != 0)
        {
            return RENDITION_AGAIN;
        }
    }

    log_msg(LOG_INFO, ans->as_is ? "file is sent as it is" : "rendition made",
            "rendition", job->form->name, "type", r->type,
            "size", log_fmt("%lld", (long long) r->size), NULL);

    return rendition_record(job, ans);
}


/*
 * An image that is not compressed may still be taken (C053), but not if its
 * metadata tell where it was taken; of others, and of what is too large, the
 * reason that helps most is given.
 */
static rendition_result_t
rendition_failed(rendition_job_t *job, const char *reason)
{
    const rendition_rule_t  *rule;

    rule = job->rule;

    if (job->form != NULL && job->form->task == DECODER_M4A) {
        return rendition_refuse(job, "no M4A of it: %s", reason);
    }

    if (job->form != NULL && job->form->task == DECODER_IMAGE && !job->gps
        && rendition_takes(rule, job->sniffed, job->size))
    {
        log_msg(LOG_WARN, "image is sent as it is", "reason", reason, NULL);
        rendition_original(job, job->sniffed);
        return RENDITION_OK;
    }

    if (job->size > rule->max_size
        && (job->sniffed[0] == '\0'
            || (job->form->max_animated == 0
                && decoder_takes(rule->types, job->sniffed))))
    {
        return rendition_refuse(job, "WhatsApp takes %s of %s at most; this "
                                "one has %s", rule->noun,
                                rendition_size(rule->max_size),
                                rendition_size(job->size));
    }

    return rendition_refuse(job, "WhatsApp takes %s as %s; this one could not "
                            "be converted: %s", rule->noun, rule->formats,
                            reason);
}


static void
rendition_original(rendition_job_t *job, const char *type)
{
    rendition_t  *r;
    media_str_t   s;

    r = job->r;
    media_str_set(&s, type, strlen(type));
    snprintf(r->key, sizeof(r->key), "%s", job->key);
    snprintf(r->type, sizeof(r->type), "%s", type);
    snprintf(r->extension, sizeof(r->extension), "%s",
             media_mime_extension(s));
    r->size = job->size;
}


/* ans may be NULL */
static rendition_result_t
rendition_record(rendition_job_t *job, const decoder_answer_t *ans)
{
    char          waveform[MEDIA_BASE64_LEN(DECODER_WAVEFORM) + 1];
    int           width, height;
    PGresult     *result;
    const char   *params[10];
    rendition_t  *r;

    r = job->r;
    memset(params, 0, sizeof(params));
    params[0] = job->attachment;
    params[1] = job->form->name;
    params[2] = r->key;
    params[3] = r->type;
    params[4] = log_fmt("%lld", (long long) r->size);

    if (ans != NULL) {
        width = ans->as_is ? ans->width : ans->result.width;
        height = ans->as_is ? ans->height : ans->result.height;
        params[5] = width == 0 ? NULL : log_fmt("%d", width);
        params[6] = height == 0 ? NULL : log_fmt("%d", height);
    }

    if (r->duration > 0) {
        params[7] = log_fmt("%d", r->duration);
    }

    if (ans != NULL && job->form->task == DECODER_VOICE) {
        waveform[media_base64_encode(waveform, ans->waveform,
                                     DECODER_WAVEFORM)] = '\0';
        params[8] = waveform;
    }

    if (ans != NULL && ans->made_by[0] != '\0') {
        params[9] = ans->made_by;
    }

    result = db_exec(job->child, rendition_record_sql, 10, params);

    if (result == NULL) {
        return RENDITION_AGAIN;
    }

    PQclear(result);

    return RENDITION_OK;
}


static bool
rendition_takes(const rendition_rule_t *rule, const char *type, int64_t size)
{
    return size <= rule->max_size && decoder_takes(rule->types, type);
}


static rendition_result_t
rendition_refuse(rendition_job_t *job, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(job->error, job->error_size, fmt, args);
    va_end(args);

    log_msg(LOG_WARN, job->form != NULL && job->form->task == DECODER_M4A
                      ? "file is not converted" : "file is not sent",
            "reason", job->error, NULL);

    return RENDITION_REFUSED;
}


/* rounded up to tenths: what is more than a limit also looks like it */
static const char *
rendition_size(int64_t size)
{
    double  mb;

    mb = ceil(10.0 * size / RENDITION_MB) / 10;

    return log_fmt("%.*f MB", mb == floor(mb) ? 0 : 1, mb);
}
