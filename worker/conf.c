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
#include <strings.h>

#include "media_worker.h"


#define CONF_VALUE_MAX  8192            /* bytes of a value from a file */

#define CONF_REQUIRED   0x01            /* must have a value */
#define CONF_SECRET     0x02            /* never printed */
#define CONF_FIXED      0x04            /* a reload does not change it */


typedef struct conf_entry_s  conf_entry_t;

typedef struct {
    /* returns NULL, or what is wrong with the value */
    const char *(*parse)(const conf_entry_t *e, conf_t *c, const char *value);
    void        (*print)(const conf_entry_t *e, FILE *f);
} conf_type_t;

struct conf_entry_s {
    const char         *name;
    const conf_type_t  *type;
    size_t              offset;
    const char         *value;          /* the default */
    unsigned            flags;
};


static const char *conf_parse_string(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_url(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_base(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_count(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_positive(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_bool(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_time(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_size(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_level(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_format(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_delays(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_mime(const conf_entry_t *e, conf_t *c,
    const char *value);
static void conf_print_string(const conf_entry_t *e, FILE *f);
static void conf_print_int(const conf_entry_t *e, FILE *f);
static void conf_print_bool(const conf_entry_t *e, FILE *f);
static void conf_print_time(const conf_entry_t *e, FILE *f);
static void conf_print_size(const conf_entry_t *e, FILE *f);
static void conf_print_level(const conf_entry_t *e, FILE *f);
static void conf_print_delays(const conf_entry_t *e, FILE *f);
static void conf_print_mime(const conf_entry_t *e, FILE *f);


static const conf_type_t  conf_string = { conf_parse_string,
                                          conf_print_string };
static const conf_type_t  conf_url = { conf_parse_url, conf_print_string };
static const conf_type_t  conf_base = { conf_parse_base, conf_print_string };
static const conf_type_t  conf_count = { conf_parse_count, conf_print_int };
static const conf_type_t  conf_positive = { conf_parse_positive,
                                            conf_print_int };
static const conf_type_t  conf_bool = { conf_parse_bool, conf_print_bool };
static const conf_type_t  conf_time = { conf_parse_time, conf_print_time };
static const conf_type_t  conf_size = { conf_parse_size, conf_print_size };
static const conf_type_t  conf_level = { conf_parse_level, conf_print_level };
static const conf_type_t  conf_format = { conf_parse_format,
                                          conf_print_string };
static const conf_type_t  conf_delays = { conf_parse_delays,
                                          conf_print_delays };
static const conf_type_t  conf_mime = { conf_parse_mime, conf_print_mime };


#define at(field)  offsetof(conf_t, field)

static const conf_entry_t  conf_table[] = {
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
    { "MEDIA_CHILDREN_UPLOAD", &conf_count, at(children_upload), "0",
      CONF_FIXED },
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
    { "MEDIA_MAX_JOBS", &conf_positive, at(max_jobs), "10000", 0 },
    { "MEDIA_MAX_RSS", &conf_size, at(max_rss), "256m", 0 },
    { "MEDIA_PROFILE_PIC_MAX_SIZE", &conf_mime, 0, "", 0 },
    { "MEDIA_PROFILE_PIC_TTL", &conf_mime, 0, "", 0 },
    { "MEDIA_PROFILE_PIC_TYPES", &conf_mime, 0, "", 0 },
    { "MEDIA_PUBLIC_URL", &conf_base, at(public_url), "", CONF_REQUIRED },
    { "MEDIA_RETRY_DELAYS", &conf_delays, 0, "5 15 60 300 900", CONF_FIXED },
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
    { "RABBITMQ_PRIVATE_URL", &conf_string, at(rabbitmq_url), "",
      CONF_SECRET },
    { "RABBITMQ_URL", &conf_string, at(rabbitmq_url), "",
      CONF_REQUIRED|CONF_SECRET },
    { "REDIS_URL", &conf_string, at(redis_url), "",
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


static const char *const  conf_levels[] = {
    "", "", "", "error", "warn", "notice", "info", "debug"
};


conf_t  conf;

static bool  conf_loaded;


static int conf_load_into(conf_t *c, const char *const *names);
static int conf_finish(conf_t *c);
static void conf_finish_endpoint(conf_t *c, char *url);
static void conf_check_required(conf_t *c, const char *const *names,
    int *failed);
static int conf_value(const conf_entry_t *e, char *value, size_t size,
    bool *given);
static int conf_read_file(const char *name, const char *path, char *value,
    size_t size);
static void conf_error(const char *name, const char *why);
static void conf_free(conf_t *c);
static char **conf_field(conf_t *c, const conf_entry_t *e);
static bool conf_is_string(const conf_entry_t *e);
static void conf_keep_fixed(conf_t *c);
static const char *conf_parse_number(const char *value, const char *units,
    const int64_t *factors, int64_t *n);
static void conf_mime_name(const conf_entry_t *e, media_category_t *category,
    char *property, size_t size);


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
            if (conf_is_string(e) && *conf_field(c, e) != NULL) {
                continue;
            }

            if (e->value[0] == '\0' && !conf_is_string(e)) {
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
    char  *url;

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


static bool
conf_is_string(const conf_entry_t *e)
{
    return e->type->print == conf_print_string;
}


static char **
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
        if (!conf_is_string(&conf_table[i])) {
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


static const char *
conf_parse_string(const conf_entry_t *e, conf_t *c, const char *value)
{
    char  **field;

    field = conf_field(c, e);
    free(*field);
    *field = strdup(value);

    return (*field == NULL) ? "does not fit into memory" : NULL;
}


static const char *
conf_parse_url(const conf_entry_t *e, conf_t *c, const char *value)
{
    media_url_t  u;
    media_str_t  url;

    media_str_set(&url, value, strlen(value));

    if (media_url_parse(&u, url) != MEDIA_OK) {
        return "is not an http or https URL";
    }

    if (u.target.len > 1) {
        return "must not have a path";
    }

    return conf_parse_string(e, c, value);
}


/* a URL that things are appended to */

static const char *
conf_parse_base(const conf_entry_t *e, conf_t *c, const char *value)
{
    char         base[CONF_VALUE_MAX + 2];
    media_url_t  u;
    media_str_t  url;

    if (value[0] == '\0') {
        return conf_parse_string(e, c, value);
    }

    media_str_set(&url, value, strlen(value));

    if (media_url_parse(&u, url) != MEDIA_OK || strchr(value, '?') != NULL) {
        return "is not an http or https URL";
    }

    snprintf(base, sizeof(base), "%s%s", value,
             value[url.len - 1] == '/' ? "" : "/");

    return conf_parse_string(e, c, base);
}


static const char *
conf_parse_count(const conf_entry_t *e, conf_t *c, const char *value)
{
    long   n;
    char  *end;

    errno = 0;
    n = strtol(value, &end, 10);

    if (errno != 0 || end == value || *end != '\0' || n < 0 || n > 1000) {
        return "must be a number from 0 to 1000";
    }

    *(int *) ((char *) c + e->offset) = n;

    return NULL;
}


static const char *
conf_parse_positive(const conf_entry_t *e, conf_t *c, const char *value)
{
    long   n;
    char  *end;

    errno = 0;
    n = strtol(value, &end, 10);

    if (errno != 0 || end == value || *end != '\0' || n < 1 || n > 1000000) {
        return "must be a number from 1 to 1000000";
    }

    *(int *) ((char *) c + e->offset) = n;

    return NULL;
}


static const char *
conf_parse_bool(const conf_entry_t *e, conf_t *c, const char *value)
{
    size_t             i;
    static const char *const  words[] = {
        "0", "1", "false", "true", "no", "yes", "off", "on"
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *(int *) ((char *) c + e->offset) = i % 2;
            return NULL;
        }
    }

    return "must be true or false";
}


static const char *
conf_parse_time(const conf_entry_t *e, conf_t *c, const char *value)
{
    int64_t      n;
    const char  *why;
    static const int64_t  factors[] = { 1, 60, 3600, 86400 };

    why = conf_parse_number(value, "smhd", factors, &n);

    if (why != NULL || n < 1 || n > INT32_MAX) {
        return "must be a time such as 30s, 10m, 2h or 7d";
    }

    *(int *) ((char *) c + e->offset) = n;

    return NULL;
}


static const char *
conf_parse_size(const conf_entry_t *e, conf_t *c, const char *value)
{
    int64_t      n;
    const char  *why;
    static const int64_t  factors[] = { 1, 1 << 10, 1 << 20, 1 << 30 };

    why = conf_parse_number(value, "bkmg", factors, &n);

    if (why != NULL || n < 1) {
        return "must be a size such as 512k, 64m or 1g";
    }

    *(int64_t *) ((char *) c + e->offset) = n;

    return NULL;
}


static const char *
conf_parse_number(const char *value, const char *units,
    const int64_t *factors, int64_t *n)
{
    char        *end;
    const char  *unit;
    long long    v;

    errno = 0;
    v = strtoll(value, &end, 10);

    if (errno != 0 || end == value || v < 0 || v > INT64_MAX >> 31) {
        return "is not a number";
    }

    if (*end == '\0') {
        *n = v;
        return NULL;
    }

    unit = strchr(units, *end | 0x20);

    if (unit == NULL || end[1] != '\0') {
        return "has an unknown unit";
    }

    *n = v * factors[unit - units];

    return NULL;
}


static const char *
conf_parse_level(const conf_entry_t *e, conf_t *c, const char *value)
{
    int  i;

    for (i = LOG_ERR; i <= LOG_DEBUG; i++) {
        if (strcasecmp(value, conf_levels[i]) == 0) {
            *(int *) ((char *) c + e->offset) = i;
            return NULL;
        }
    }

    return "must be error, warn, notice, info or debug";
}


static const char *
conf_parse_format(const conf_entry_t *e, conf_t *c, const char *value)
{
    if (strcmp(value, "logfmt") != 0 && strcmp(value, "json") != 0) {
        return "must be logfmt or json";
    }

    return conf_parse_string(e, c, value);
}


static const char *
conf_parse_delays(const conf_entry_t *e, conf_t *c, const char *value)
{
    long         n;
    int          i, max;
    char        *end;
    const char  *p;

    (void) e;

    i = 0;
    max = sizeof(c->retry_delays) / sizeof(c->retry_delays[0]);

    for (p = value; *p != '\0'; p = end) {
        n = strtol(p, &end, 10);

        if (end == p || n < 1 || n > 86400 || i == max
            || (i > 0 && n <= c->retry_delays[i - 1]))
        {
            return "must be up to 16 rising numbers of seconds";
        }

        c->retry_delays[i++] = n;

        while (*end == ' ' || *end == ',') {
            end++;
        }
    }

    c->nretry_delays = i;

    return (i == 0) ? "must be up to 16 rising numbers of seconds" : NULL;
}


static const char *
conf_parse_mime(const conf_entry_t *e, conf_t *c, const char *value)
{
    char              property[16];
    media_str_t       v;
    media_category_t  category;

    conf_mime_name(e, &category, property, sizeof(property));
    media_str_set(&v, value, strlen(value));

    if (media_mime_set(&c->mime, category, property, v) != MEDIA_OK) {
        return "is not valid";
    }

    return NULL;
}


/* MEDIA_PROFILE_PIC_MAX_SIZE is max_size of the category profile_pic */

static void
conf_mime_name(const conf_entry_t *e, media_category_t *category,
    char *property, size_t size)
{
    char         name[64];
    size_t       i, len, n;
    media_str_t  s;
    static const char *const  properties[] = { "max_size", "ttl", "types" };

    for (i = 0; e->name[6 + i] != '\0' && i < sizeof(name) - 1; i++) {
        name[i] = e->name[6 + i];

        if (name[i] >= 'A' && name[i] <= 'Z') {
            name[i] |= 0x20;
        }
    }

    name[i] = '\0';
    len = i;
    *category = MEDIA_CATEGORY_OTHER;
    property[0] = '\0';

    for (i = 0; i < 3; i++) {
        n = strlen(properties[i]);

        if (len > n && strcmp(name + len - n, properties[i]) == 0) {
            media_str_set(&s, name, len - n - 1);
            *category = media_category_by_name(s);
            snprintf(property, size, "%s", properties[i]);
        }
    }
}


static void
conf_print_string(const conf_entry_t *e, FILE *f)
{
    fputs(*conf_field(&conf, e), f);
}


static void
conf_print_int(const conf_entry_t *e, FILE *f)
{
    fprintf(f, "%d", *(int *) ((char *) &conf + e->offset));
}


static void
conf_print_bool(const conf_entry_t *e, FILE *f)
{
    int  v;

    v = *(int *) ((char *) &conf + e->offset);

    if (v == -1) {
        v = (strncmp(conf.s3_endpoint_url, "https://", 8) == 0);
    }

    fputs(v ? "true" : "false", f);
}


static void
conf_print_time(const conf_entry_t *e, FILE *f)
{
    fprintf(f, "%ds", *(int *) ((char *) &conf + e->offset));
}


static void
conf_print_size(const conf_entry_t *e, FILE *f)
{
    fprintf(f, "%lld",
            (long long) *(int64_t *) ((char *) &conf + e->offset));
}


static void
conf_print_level(const conf_entry_t *e, FILE *f)
{
    fputs(conf_levels[*(int *) ((char *) &conf + e->offset)], f);
}


static void
conf_print_delays(const conf_entry_t *e, FILE *f)
{
    int  i;

    (void) e;

    for (i = 0; i < conf.nretry_delays; i++) {
        fprintf(f, "%s%d", i ? " " : "", conf.retry_delays[i]);
    }
}


static void
conf_print_mime(const conf_entry_t *e, FILE *f)
{
    char                      property[16];
    size_t                    i;
    media_category_t          category;
    const media_mime_rule_t  *rule;

    conf_mime_name(e, &category, property, sizeof(property));
    rule = &conf.mime.rules[category];

    if (strcmp(property, "max_size") == 0) {
        fprintf(f, "%lld", (long long) rule->max_size);
        return;
    }

    if (strcmp(property, "ttl") == 0) {
        fprintf(f, "%llds", (long long) rule->ttl);
        return;
    }

    for (i = 0; i < rule->ntypes; i++) {
        fprintf(f, "%s%.*s", i ? " " : "", (int) rule->types[i].len,
                rule->types[i].data);
    }
}
