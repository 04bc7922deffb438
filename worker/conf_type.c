/*
 * Copyright (C) ngx_media contributors
 *
 * The types of configuration values: how each is read into its field of
 * conf_t, and printed by -T.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "conf.h"


#define CONF_SOCKET_MAX  108            /* bytes of sun_path */


static const char *conf_parse_string(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_url(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_amqp(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_redis(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_socket(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_address(const conf_entry_t *e, conf_t *c,
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
static const char *conf_parse_retry_accept(const conf_entry_t *e, conf_t *c,
    const char *value);
static const char *conf_parse_reject_quarantine(const conf_entry_t *e,
    conf_t *c, const char *value);
static const char *conf_parse_reject_accept(const conf_entry_t *e, conf_t *c,
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
static const char *conf_parse_number(const char *value, const char *units,
    const int64_t *factors, int64_t *n);
static void conf_mime_name(const conf_entry_t *e, media_category_t *category,
    char *property, size_t size);


const conf_type_t  conf_string = {
    conf_parse_string, conf_print_string, true
};
const conf_type_t  conf_url = {
    conf_parse_url, conf_print_string, true
};
const conf_type_t  conf_amqp = {
    conf_parse_amqp, conf_print_string, true
};
const conf_type_t  conf_redis = {
    conf_parse_redis, conf_print_string, true
};
const conf_type_t  conf_socket = {
    conf_parse_socket, conf_print_string, true
};
const conf_type_t  conf_address = {
    conf_parse_address, conf_print_string, true
};
const conf_type_t  conf_base = {
    conf_parse_base, conf_print_string, true
};
const conf_type_t  conf_count = {
    conf_parse_count, conf_print_int, false
};
const conf_type_t  conf_positive = {
    conf_parse_positive, conf_print_int, false
};
const conf_type_t  conf_bool = {
    conf_parse_bool, conf_print_bool, false
};
const conf_type_t  conf_time = {
    conf_parse_time, conf_print_time, false
};
const conf_type_t  conf_size = {
    conf_parse_size, conf_print_size, false
};
const conf_type_t  conf_level = {
    conf_parse_level, conf_print_level, false
};
const conf_type_t  conf_format = {
    conf_parse_format, conf_print_string, true
};
const conf_type_t  conf_retry_accept = {
    conf_parse_retry_accept, conf_print_string, true
};
const conf_type_t  conf_reject_quarantine = {
    conf_parse_reject_quarantine, conf_print_string, true
};
const conf_type_t  conf_reject_accept = {
    conf_parse_reject_accept, conf_print_string, true
};
const conf_type_t  conf_delays = {
    conf_parse_delays, conf_print_delays, false
};
const conf_type_t  conf_mime = {
    conf_parse_mime, conf_print_mime, false
};


static const char *const  conf_levels[] = {
    "", "", "", "error", "warn", "notice", "info", "debug"
};


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


static const char *
conf_parse_amqp(const conf_entry_t *e, conf_t *c, const char *value)
{
    if (value[0] != '\0' && strncmp(value, "amqp://", 7) != 0
        && strncmp(value, "amqps://", 8) != 0)
    {
        return "must begin with amqp:// or amqps://";
    }

    return conf_parse_string(e, c, value);
}


static const char *
conf_parse_redis(const conf_entry_t *e, conf_t *c, const char *value)
{
    if (value[0] != '\0' && strncmp(value, "redis://", 8) != 0) {
        return "must begin with redis://";
    }

    return conf_parse_string(e, c, value);
}


/* a URL that things are appended to */

static const char *
conf_parse_socket(const conf_entry_t *e, conf_t *c, const char *value)
{
    size_t       len;
    const char  *port;

    port = strrchr(value, ':');
    len = port == NULL ? 0 : strspn(port + 1, "0123456789");

    if (value[0] == '\0') {
        return conf_parse_string(e, c, value);
    }

    if (strncmp(value, "unix:/", 6) == 0) {
        return strlen(value + 5) < CONF_SOCKET_MAX
               ? conf_parse_string(e, c, value) : "has too long a path";
    }

    if (len == 0 || port == value || port[1 + len] != '\0'
        || strchr(value, '/') != NULL)
    {
        return "must be unix:/path or host:port";
    }

    return conf_parse_string(e, c, value);
}


static const char *
conf_parse_address(const conf_entry_t *e, conf_t *c, const char *value)
{
    return strncmp(value, "unix:", 5) != 0
           && conf_parse_socket(e, c, value) == NULL ? NULL
                                                     : "must be host:port";
}


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
    return conf_seconds((int *) ((char *) c + e->offset), value);
}


const char *
conf_seconds(int *seconds, const char *value)
{
    int64_t      n;
    const char  *why;
    static const int64_t  factors[] = { 1, 60, 3600, 86400 };

    why = conf_parse_number(value, "smhd", factors, &n);

    if (why != NULL || n < 1 || n > INT32_MAX) {
        return "must be a time such as 30s, 10m, 2h or 7d";
    }

    *seconds = n;

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
conf_parse_retry_accept(const conf_entry_t *e, conf_t *c, const char *value)
{
    if (strcmp(value, "retry") != 0 && strcmp(value, "accept") != 0) {
        return "must be retry or accept";
    }

    return conf_parse_string(e, c, value);
}


static const char *
conf_parse_reject_quarantine(const conf_entry_t *e, conf_t *c,
    const char *value)
{
    if (strcmp(value, "reject") != 0 && strcmp(value, "quarantine") != 0) {
        return "must be reject or quarantine";
    }

    return conf_parse_string(e, c, value);
}


static const char *
conf_parse_reject_accept(const conf_entry_t *e, conf_t *c, const char *value)
{
    if (strcmp(value, "reject") != 0 && strcmp(value, "accept") != 0) {
        return "must be reject or accept";
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
