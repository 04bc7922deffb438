/*
 * Copyright (C) ngx_media contributors
 *
 * The configuration: environment variables, each of which may instead be
 * given as NAME_FILE, the path of a file with the value.  One table names
 * them all.  conf_load() fills a new conf_t and replaces the old one only if
 * everything is right, so that a bad reload changes nothing.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "conf.h"


#define CONF_REQUIRED   0x01            /* must have a value */
#define CONF_SECRET     0x02            /* never printed */
#define CONF_FIXED      0x04            /* a reload does not change it */


#define at(field)  offsetof(conf_t, field)

static const conf_entry_t  conf_table[] = {
    { "CLAMD_ADDRESS", &conf_socket, at(clamd_address), "", 0 },
    { "DATABASE_URL", &conf_string, at(database_url), "",
      CONF_REQUIRED|CONF_SECRET },
    { "MEDIA_AUDIO_MAX_SIZE", &conf_mime, 0, "", 0 },
    { "MEDIA_AUDIO_TTL", &conf_mime, 0, "", 0 },
    { "MEDIA_AUDIO_TYPES", &conf_mime, 0, "", 0 },
    { "MEDIA_CHILDREN_DOWNLOAD", &conf_count, at(children_download), "2",
      CONF_FIXED },
    { "MEDIA_CHILDREN_INBOUND", &conf_count, at(children_inbound), "1",
      CONF_FIXED },
    { "MEDIA_CHILDREN_PRIORITY", &conf_count, at(children_priority), "1",
      CONF_FIXED },
    { "MEDIA_CHILDREN_UPLOAD", &conf_count, at(children_upload), "2",
      CONF_FIXED },
    { "MEDIA_CREDENTIAL_KEY", &conf_string, at(credential_key), "",
      CONF_SECRET },
    { "MEDIA_DOCUMENT_MAX_SIZE", &conf_mime, 0, "", 0 },
    { "MEDIA_DOCUMENT_TTL", &conf_mime, 0, "", 0 },
    { "MEDIA_DOCUMENT_TYPES", &conf_mime, 0, "", 0 },
    { "MEDIA_DOWNLOAD_ATTEMPTS", &conf_positive, at(download_attempts), "4",
      0 },
    { "MEDIA_DOWNLOAD_TIMEOUT", &conf_time, at(download_timeout), "30s", 0 },
    { "MEDIA_IMAGE_MAX_SIZE", &conf_mime, 0, "", 0 },
    { "MEDIA_IMAGE_TTL", &conf_mime, 0, "", 0 },
    { "MEDIA_IMAGE_TYPES", &conf_mime, 0, "", 0 },
    { "MEDIA_LEASE", &conf_time, at(lease), "10m", 0 },
    { "MEDIA_LOG_FILE", &conf_string, at(log_file), "", 0 },
    { "MEDIA_LOG_FORMAT", &conf_format, at(log_format), "logfmt", 0 },
    { "MEDIA_LOG_LEVEL", &conf_level, at(log_level), "info", 0 },
    { "MEDIA_MAX_DURATION", &conf_time, at(max_duration), "4h", 0 },
    { "MEDIA_MAX_EXPANSION", &conf_size, at(max_expansion), "256m", 0 },
    { "MEDIA_MAX_FRAMES", &conf_positive, at(max_frames), "2000", 0 },
    { "MEDIA_MAX_JOBS", &conf_positive, at(max_jobs), "10000", 0 },
    { "MEDIA_MAX_PAGES", &conf_positive, at(max_pages), "10000", 0 },
    { "MEDIA_MAX_PIXELS", &conf_size, at(max_pixels), "200m", 0 },
    { "MEDIA_MAX_RSS", &conf_size, at(max_rss), "256m", 0 },
    { "MEDIA_METRICS_LISTEN", &conf_address, at(metrics_listen), "",
      CONF_FIXED },
    { "MEDIA_PROFILE_PIC_MAX_SIZE", &conf_mime, 0, "", 0 },
    { "MEDIA_PROFILE_PIC_TTL", &conf_mime, 0, "", 0 },
    { "MEDIA_PROFILE_PIC_TYPES", &conf_mime, 0, "", 0 },
    { "MEDIA_PUBLIC_URL", &conf_base, at(public_url), "", CONF_REQUIRED },
    { "MEDIA_RETRY_DELAYS", &conf_delays, 0, "5 15 60 300 900", CONF_FIXED },
    { "MEDIA_SCAN_ERROR", &conf_retry_accept, at(scan_error), "retry", 0 },
    { "MEDIA_SCAN_INFECTED", &conf_reject_quarantine, at(scan_infected),
      "reject", 0 },
    { "MEDIA_SCAN_TIMEOUT", &conf_time, at(scan_timeout), "2m", 0 },
    { "MEDIA_SCAN_TOO_LARGE", &conf_reject_accept, at(scan_too_large),
      "reject", 0 },
    { "MEDIA_SEND_ATTEMPTS", &conf_positive, at(send_attempts), "8", 0 },
    { "MEDIA_SEND_RATE", &conf_count, at(send_rate), "0", 0 },
    { "MEDIA_SIGN_KEY", &conf_string, at(sign_key), "", CONF_SECRET },
    { "MEDIA_SIGN_KEY_ID", &conf_string, at(sign_key_id), "", 0 },
    { "MEDIA_SIGN_TTL", &conf_time, at(sign_ttl), "1h", 0 },
    { "MEDIA_SQL_DIR", &conf_string, at(sql_dir), "/usr/share/ngx-media/sql",
      0 },
    { "MEDIA_STICKER_MAX_SIZE", &conf_mime, 0, "", 0 },
    { "MEDIA_STICKER_TTL", &conf_mime, 0, "", 0 },
    { "MEDIA_STICKER_TYPES", &conf_mime, 0, "", 0 },
    { "MEDIA_STOP_TIMEOUT", &conf_time, at(stop_timeout), "1m", 0 },
    { "MEDIA_SWEEP_INTERVAL", &conf_time, at(sweep_interval), "1m", 0 },
    { "MEDIA_THUMB_QUALITY", &conf_positive, at(thumb_quality), "85", 0 },
    { "MEDIA_THUMB_SIZE", &conf_positive, at(thumb_size), "200", 0 },
    { "MEDIA_TMP_DIR", &conf_string, at(tmp_dir), "/tmp", 0 },
    { "MEDIA_UNROUTED_KEEP", &conf_time, at(unrouted_keep), "30d", 0 },
    { "MEDIA_VIDEO_MAX_SIZE", &conf_mime, 0, "", 0 },
    { "MEDIA_VIDEO_TTL", &conf_mime, 0, "", 0 },
    { "MEDIA_VIDEO_TYPES", &conf_mime, 0, "", 0 },
    /* another name of RABBITMQ_URL, which wins if both are given */
    { "RABBITMQ_PRIVATE_URL", &conf_amqp, at(rabbitmq_url), "",
      CONF_SECRET },
    { "RABBITMQ_URL", &conf_amqp, at(rabbitmq_url), "",
      CONF_REQUIRED|CONF_SECRET },
    { "REDIS_URL", &conf_redis, at(redis_url), "",
      CONF_REQUIRED|CONF_SECRET },
    { "S3_ACCESS_KEY", &conf_string, at(s3_access_key), "",
      CONF_REQUIRED|CONF_SECRET },
    { "S3_BUCKET", &conf_string, at(s3_bucket), "", CONF_REQUIRED },
    { "S3_ENDPOINT_URL", &conf_string, at(s3_endpoint_url), "",
      CONF_REQUIRED },
    { "S3_REGION", &conf_string, at(s3_region), "us-east-1", 0 },
    { "S3_SECRET_KEY", &conf_string, at(s3_secret_key), "",
      CONF_REQUIRED|CONF_SECRET },
    { "S3_SESSION_TOKEN", &conf_string, at(s3_session_token), "",
      CONF_SECRET },
    { "S3_USE_SSL", &conf_bool, at(s3_use_ssl), "", 0 },
    { "WHATSAPP_CDN_URL", &conf_url, at(whatsapp_cdn_url),
      "https://mmg.whatsapp.net", 0 }
};

#define CONF_ENTRIES  (sizeof(conf_table) / sizeof(conf_table[0]))


conf_t  conf;

static bool  conf_loaded;


static int conf_load_into(conf_t *c, const char *const *names);
static int conf_finish(conf_t *c);
static int conf_check_sign(const conf_t *c);
static void conf_finish_endpoint(conf_t *c, char *url);
static void conf_check_required(conf_t *c, const char *const *names,
    int *failed);
static int conf_value(const conf_entry_t *e, char *value, size_t size,
    bool *given);
static int conf_read_file(const char *name, const char *path, char *value,
    size_t size);
static void conf_error(const char *name, const char *why);
static void conf_free(conf_t *c);
static void conf_keep_fixed(conf_t *c);


int
conf_load(void)
{
    return conf_load_for(NULL);
}


int
conf_load_for(const char *const *names)
{
    conf_t  c;

    memset(&c, 0, sizeof(conf_t));

    if (conf_load_into(&c, names) != 0) {
        conf_free(&c);
        return -1;
    }

    if (conf_loaded) {
        conf_keep_fixed(&c);
        conf_free(&conf);
    }

    conf = c;
    media_mime_copy(&conf.mime, &c.mime);
    conf_loaded = true;

    return 0;
}


static int
conf_load_into(conf_t *c, const char *const *names)
{
    int                  failed;
    bool                 given;
    char                 value[CONF_VALUE_MAX];
    size_t               i;
    const char          *why;
    const conf_entry_t  *e;

    failed = 0;
    c->s3_use_ssl = -1;
    media_mime_defaults(&c->mime);

    for (i = 0; i < CONF_ENTRIES; i++) {
        e = &conf_table[i];

        if (conf_value(e, value, sizeof(value), &given) != 0) {
            failed = 1;
            continue;
        }

        if (!given) {
            if (e->type->string && *conf_field(c, e) != NULL) {
                continue;
            }

            if (e->value[0] == '\0' && !e->type->string) {
                continue;
            }
        }

        why = e->type->parse(e, c, given ? value : e->value);

        if (why != NULL) {
            conf_error(e->name, why);
            failed = 1;
        }
    }

    explicit_bzero(value, sizeof(value));
    conf_check_required(c, names, &failed);

    if (conf_finish(c) != 0) {
        failed = 1;
    }

    return failed ? -1 : 0;
}


static void
conf_check_required(conf_t *c, const char *const *names, int *failed)
{
    size_t               i, n;
    const conf_entry_t  *e;

    for (i = 0; i < CONF_ENTRIES; i++) {
        e = &conf_table[i];

        if (!(e->flags & CONF_REQUIRED) || *conf_field(c, e) == NULL
            || **conf_field(c, e) != '\0')
        {
            continue;
        }

        for (n = 0; names != NULL && names[n] != NULL; n++) {
            if (strcmp(names[n], e->name) == 0) {
                break;
            }
        }

        if (names == NULL || names[n] != NULL) {
            conf_error(e->name, "is not set");
            *failed = 1;
        }
    }
}


/* what needs more than one value */

static int
conf_finish(conf_t *c)
{
    char        *url;
    const char  *why;

    if (conf_check_sign(c) != 0) {
        return -1;
    }

    why = c->credential_key == NULL ? NULL
                                : credential_check_keys(c->credential_key);

    if (why != NULL) {
        conf_error("MEDIA_CREDENTIAL_KEY", why);
        return -1;
    }

    url = c->s3_endpoint_url;

    if (url == NULL || url[0] == '\0') {
        return 0;
    }

    if (strncmp(url, "https://", 8) == 0 && c->s3_use_ssl == 0) {
        conf_error("S3_USE_SSL", "contradicts the scheme of S3_ENDPOINT_URL");
        return -1;
    }

    if (strncmp(url, "http://", 7) == 0 && c->s3_use_ssl == 1) {
        conf_error("S3_USE_SSL", "contradicts the scheme of S3_ENDPOINT_URL");
        return -1;
    }

    conf_finish_endpoint(c, url);

    if (media_url_parse(&(media_url_t) { .port = 0 },
                        (media_str_t) { strlen(c->s3_endpoint_url),
                                        c->s3_endpoint_url })
        != MEDIA_OK)
    {
        conf_error("S3_ENDPOINT_URL", "is not a URL");
        return -1;
    }

    return 0;
}


/* the key of signed URLs and its id: both, or neither */

static int
conf_check_sign(const conf_t *c)
{
    media_sign_key_t  k;

    if (c->sign_key == NULL || c->sign_key_id == NULL) {
        return 0;                       /* an error that is named already */
    }

    if (c->sign_ttl > SIGN_TTL_MAX) {
        conf_error("MEDIA_SIGN_TTL", "must be 7d at the most");
        return -1;
    }

    if (c->sign_key[0] == '\0' && c->sign_key_id[0] == '\0') {
        return 0;
    }

    if (c->sign_key[0] == '\0') {
        conf_error("MEDIA_SIGN_KEY", "is not set, but MEDIA_SIGN_KEY_ID is");
        return -1;
    }

    if (c->sign_key_id[0] == '\0') {
        conf_error("MEDIA_SIGN_KEY_ID", "is not set, but MEDIA_SIGN_KEY is");
        return -1;
    }

    media_str_set(&k.id, c->sign_key_id, strlen(c->sign_key_id));
    media_str_set(&k.secret, c->sign_key, strlen(c->sign_key));

    if (k.secret.len < MEDIA_SIGN_SECRET_MIN) {
        conf_error("MEDIA_SIGN_KEY", "must have at least 32 bytes");
        return -1;
    }

    if (media_sign_check(&k) != MEDIA_OK) {
        conf_error("MEDIA_SIGN_KEY_ID",
                   "must be 1 to 32 letters, digits, _ or -");
        return -1;
    }

    return 0;
}


/* "host:port" gets its scheme from S3_USE_SSL */

static void
conf_finish_endpoint(conf_t *c, char *url)
{
    size_t       len;
    char        *full;
    const char  *scheme;

    scheme = "";

    if (strstr(url, "://") == NULL) {
        scheme = (c->s3_use_ssl == 0) ? "http://" : "https://";
    }

    len = strlen(url);

    while (len > 0 && url[len - 1] == '/') {
        len--;
    }

    if (asprintf(&full, "%s%.*s", scheme, (int) len, url) == -1) {
        return;
    }

    free(url);
    c->s3_endpoint_url = full;
}


/*
 * Looks a name up: NAME, then NAME_FILE.  Both at once is an error, an empty
 * value is none.
 */

static int
conf_value(const conf_entry_t *e, char *value, size_t size, bool *given)
{
    char         file[64];
    const char  *v, *path;

    *given = false;
    value[0] = '\0';

    snprintf(file, sizeof(file), "%s_FILE", e->name);

    v = getenv(e->name);
    path = getenv(file);

    if (v != NULL && v[0] != '\0' && path != NULL && path[0] != '\0') {
        conf_error(e->name, "is set twice, also by its _FILE");
        return -1;
    }

    if (path != NULL && path[0] != '\0') {
        *given = true;
        return conf_read_file(file, path, value, size);
    }

    if (v == NULL || v[0] == '\0') {
        return 0;
    }

    if (strlen(v) >= size) {
        conf_error(e->name, "is too long");
        return -1;
    }

    strcpy(value, v);
    *given = true;

    return 0;
}


static int
conf_read_file(const char *name, const char *path, char *value, size_t size)
{
    FILE   *f;
    size_t  n;

    f = fopen(path, "re");

    if (f == NULL) {
        conf_error(name, strerror(errno));
        return -1;
    }

    n = fread(value, 1, size, f);
    fclose(f);

    if (n == size) {
        conf_error(name, "names a file that is too long");
        return -1;
    }

    while (n > 0 && (value[n - 1] == '\n' || value[n - 1] == '\r')) {
        n--;
    }

    value[n] = '\0';

    if (n == 0 || strlen(value) != n) {
        conf_error(name, "names a file that is empty or not text");
        return -1;
    }

    return 0;
}


/* once the log is open, a reload complains there */

static void
conf_error(const char *name, const char *why)
{
    if (conf_loaded) {
        log_msg(LOG_ERR, "configuration not reloaded", "name", name,
                "reason", why, NULL);
        return;
    }

    fprintf(stderr, "%s: %s %s\n", program_invocation_short_name, name, why);
}


char **
conf_field(conf_t *c, const conf_entry_t *e)
{
    return (char **) ((char *) c + e->offset);
}


static void
conf_free(conf_t *c)
{
    char   **field;
    size_t   i;

    for (i = 0; i < CONF_ENTRIES; i++) {
        if (!conf_table[i].type->string) {
            continue;
        }

        field = conf_field(c, &conf_table[i]);

        if (*field == NULL) {
            continue;
        }

        if (conf_table[i].flags & CONF_SECRET) {
            explicit_bzero(*field, strlen(*field));
        }

        free(*field);
        *field = NULL;
    }
}


/* what the master and the topology are built on stays until a restart */

static void
conf_keep_fixed(conf_t *c)
{
    size_t  i;

    for (i = 0; i < CONF_ENTRIES; i++) {
        if (!(conf_table[i].flags & CONF_FIXED)) {
            continue;
        }

        if (conf_table[i].type == &conf_delays) {
            memcpy(c->retry_delays, conf.retry_delays,
                   sizeof(conf.retry_delays));
            c->nretry_delays = conf.nretry_delays;
            continue;
        }

        *(int *) ((char *) c + conf_table[i].offset) =
            *(int *) ((char *) &conf + conf_table[i].offset);
    }
}


void
conf_print(FILE *f)
{
    size_t               i;
    const conf_entry_t  *e;

    for (i = 0; i < CONF_ENTRIES; i++) {
        e = &conf_table[i];

        fprintf(f, "%s=", e->name);

        if (e->flags & CONF_SECRET) {
            fputs(**conf_field(&conf, e) ? "(set)" : "", f);

        } else {
            e->type->print(e, f);
        }

        fputc('\n', f);
    }
}
