/*
 * Copyright (C) ngx_media contributors
 *
 * The log: one line and one write() per call, as logfmt or JSON, to standard
 * error or to a file that SIGUSR1 reopens.  What a line cannot hold is cut.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "media_worker.h"


#define LOG_LINE_MAX     4096
#define LOG_CONTEXT_MAX  8              /* pairs */
#define LOG_FMT_MAX      8              /* results of log_fmt() alive */


typedef struct {
    char    text[LOG_LINE_MAX];
    size_t  len;
    bool    json;
} log_line_t;

typedef struct {
    char  key[32];
    char  value[192];
} log_pair_t;


static void log_pair(log_line_t *line, const char *key, const char *value);
static void log_quoted(log_line_t *line, const char *s);
static void log_put(log_line_t *line, const char *s, size_t len);
static bool log_is_plain(const char *s);


static const char *const  log_levels[] = {
    "", "", "", "error", "warn", "notice", "info", "debug"
};

static int         log_fd = STDERR_FILENO;
static log_pair_t  log_pairs[LOG_CONTEXT_MAX];


int
log_open(void)
{
    int  fd;

    if (conf.log_file == NULL || conf.log_file[0] == '\0') {
        return 0;
    }

    fd = open(conf.log_file, O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC, 0640);

    if (fd == -1) {
        log_msg(LOG_ERR, "log file not opened", "file", conf.log_file,
                "reason", strerror(errno), NULL);
        return -1;
    }

    if (log_fd != STDERR_FILENO) {
        close(log_fd);
    }

    log_fd = fd;

    return 0;
}


void
log_context(const char *key, const char *value)
{
    int          i;
    log_pair_t  *unused;

    unused = NULL;

    for (i = 0; i < LOG_CONTEXT_MAX; i++) {
        if (strcmp(log_pairs[i].key, key) == 0) {
            unused = &log_pairs[i];
            break;
        }

        if (unused == NULL && log_pairs[i].key[0] == '\0') {
            unused = &log_pairs[i];
        }
    }

    if (unused == NULL) {
        return;
    }

    if (value == NULL) {
        unused->key[0] = '\0';
        return;
    }

    snprintf(unused->key, sizeof(unused->key), "%s", key);
    snprintf(unused->value, sizeof(unused->value), "%s", value);
}


void
log_msg(int level, const char *message, ...)
{
    int              i;
    char             now[40];
    va_list          args;
    struct tm        tm;
    log_line_t       line;
    const char      *key, *value;
    struct timespec  ts;

    if (level > (conf.log_level ? conf.log_level : LOG_INFO)) {
        return;
    }

    line.len = 0;
    line.json = (conf.log_format && strcmp(conf.log_format, "json") == 0);

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    i = strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(now + i, sizeof(now) - i, ".%03ldZ", ts.tv_nsec / 1000000);

    log_pair(&line, "time", now);
    log_pair(&line, "level", log_levels[level]);
    log_pair(&line, "pid", log_fmt("%d", (int) getpid()));
    log_pair(&line, "msg", message);

    for (i = 0; i < LOG_CONTEXT_MAX; i++) {
        if (log_pairs[i].key[0] != '\0') {
            log_pair(&line, log_pairs[i].key, log_pairs[i].value);
        }
    }

    va_start(args, message);

    while ((key = va_arg(args, const char *)) != NULL) {
        value = va_arg(args, const char *);
        log_pair(&line, key, value ? value : "");
    }

    va_end(args);

    memcpy(line.text + line.len, line.json ? "}\n" : "\n", line.json ? 2 : 1);
    line.len += line.json ? 2 : 1;

    (void) !write(log_fd, line.text, line.len);
}


static void
log_pair(log_line_t *line, const char *key, const char *value)
{
    if (line->json) {
        log_put(line, line->len ? "," : "{", 1);
        log_quoted(line, key);
        log_put(line, ":", 1);
        log_quoted(line, value);
        return;
    }

    if (line->len) {
        log_put(line, " ", 1);
    }

    log_put(line, key, strlen(key));
    log_put(line, "=", 1);

    if (log_is_plain(value)) {
        log_put(line, value, strlen(value));
        return;
    }

    log_quoted(line, value);
}


static bool
log_is_plain(const char *s)
{
    if (*s == '\0') {
        return false;
    }

    for ( ; *s != '\0'; s++) {
        if ((unsigned char) *s <= 0x20 || *s == '"' || *s == '='
            || *s == '\\' || (unsigned char) *s >= 0x7f)
        {
            return false;
        }
    }

    return true;
}


/* at most half of the line, so that a long value leaves room for others */

static void
log_quoted(log_line_t *line, const char *s)
{
    char           hex[8];
    size_t         max;
    unsigned char  c;

    max = line->len + (LOG_LINE_MAX - line->len) / 2;
    log_put(line, "\"", 1);

    for ( ; *s != '\0' && line->len < max; s++) {
        c = *s;

        if (c == '"' || c == '\\') {
            log_put(line, "\\", 1);
            log_put(line, s, 1);

        } else if (c < 0x20 || c == 0x7f) {
            snprintf(hex, sizeof(hex), "\\u%04x", c);
            log_put(line, hex, 6);

        } else {
            log_put(line, s, 1);
        }
    }

    log_put(line, "\"", 1);
}


/* the last bytes stay free for the end of the line */

static void
log_put(log_line_t *line, const char *s, size_t len)
{
    if (len > sizeof(line->text) - 8 - line->len) {
        return;
    }

    memcpy(line->text + line->len, s, len);
    line->len += len;
}


const char *
log_fmt(const char *fmt, ...)
{
    va_list          args;
    static char      texts[LOG_FMT_MAX][512];
    static unsigned  next;

    next = (next + 1) % LOG_FMT_MAX;

    va_start(args, fmt);
    vsnprintf(texts[next], sizeof(texts[next]), fmt, args);
    va_end(args);

    return texts[next];
}
