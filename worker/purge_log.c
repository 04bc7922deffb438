/*
 * Copyright (C) ngx_media contributors
 *
 * The log of purges in Redis, changed by scripts only.  A line is appended if
 * there is a log, which no command says, and MULTI only with WATCH and
 * repetitions.  Where there is none, no header is made but by the rebuild: a
 * log with the new line alone would say to an nginx that has just started that
 * nothing else was purged.
 */

#define _GNU_SOURCE

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <sys/random.h>

#include "purge.h"


#define PURGE_LOG        "media:purges"
#define PURGE_NEW        "{media:purges}:new"   /* the braces: one slot */
#define PURGE_ARGS_MAX   8


static char *purge_log_lines(const PGresult *rows, size_t *len);
static bool purge_log_is_valid(const char *head, size_t len);
static int purge_log_make(child_t *child, const char *seen,
    const char *reason);
static int purge_log_write(child_t *child, int64_t *len, int64_t *lines);
static int purge_log_head(child_t *child);
static redisReply *purge_log_script(child_t *child, const char *script, int n,
    const media_str_t *args);
static int purge_log_integer(redisReply *reply, int64_t *n);


/* 0 if there is no log to append to */
static const char  purge_append_script[] =
    "local head = redis.call('GETRANGE', KEYS[1], 0, 32)"
    " if not string.match(head, '^' .. string.rep('%x', 32) .. '\\n$') then"
    "  return 0"
    " end"
    " return redis.call('APPEND', KEYS[1], ARGV[1])";

/* length, head, and whether all of the ids are at the end */
static const char  purge_find_script[] =
    "local tail = '\\n' .. redis.call('GETRANGE', KEYS[1], -65536, -1)"
    " local found = 1"
    " for id in string.gmatch(ARGV[1], '%d+') do"
    "  if not string.find(tail, '\\n' .. id .. ' ', 1, true) then"
    "   found = 0"
    "  end"
    " end"
    " return { redis.call('STRLEN', KEYS[1]),"
    "  redis.call('GETRANGE', KEYS[1], 0, 32), found }";

/* puts the new log in place of the old one, if neither is another than the
   rebuild knows: nobody appended meanwhile, nothing was evicted */
static const char  purge_swap_script[] =
    "if redis.call('STRLEN', KEYS[1]) ~= tonumber(ARGV[1])"
    "  or redis.call('GETRANGE', KEYS[1], 0, 32) ~= ARGV[2]"
    "  or redis.call('STRLEN', KEYS[2]) ~= tonumber(ARGV[3]) then"
    "  redis.call('DEL', KEYS[2])"
    "  return 0"
    " end"
    " redis.call('RENAME', KEYS[2], KEYS[1])"
    " return 1";


int
purge_log_append(child_t *child, const PGresult *rows)
{
    int          rc;
    char        *lines;
    int64_t      n;
    media_str_t  args[3];

    media_str_set(&args[0], "1", 1);
    media_str_set(&args[1], PURGE_LOG, sizeof(PURGE_LOG) - 1);

    lines = purge_log_lines(rows, &args[2].len);

    if (lines == NULL) {
        return -1;
    }

    args[2].data = lines;
    rc = purge_log_integer(purge_log_script(child, purge_append_script, 3,
                                            args), &n);
    free(lines);

    if (rc != 0) {
        return -1;
    }

    return n == 0 ? PURGE_LOST : 0;
}


static char *
purge_log_lines(const PGresult *rows, size_t *len)
{
    int     i;
    char   *lines;
    FILE   *f;

    f = open_memstream(&lines, len);

    if (f == NULL) {
        return NULL;
    }

    for (i = 0; i < PQntuples(rows); i++) {
        fprintf(f, "%s %s\n", PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1));
    }

    return fclose(f) == 0 ? lines : NULL;
}


int
purge_log_find(child_t *child, const char *newest, purge_log_t *log)
{
    redisReply   *reply, **e;
    media_str_t   args[3];

    media_str_set(&args[0], "1", 1);
    media_str_set(&args[1], PURGE_LOG, sizeof(PURGE_LOG) - 1);
    media_str_set(&args[2], newest, strlen(newest));

    reply = purge_log_script(child, purge_find_script, 3, args);

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 3)
    {
        redis_free(reply);
        return -1;
    }

    e = reply->element;
    memset(log, 0, sizeof(purge_log_t));
    log->len = e[0]->integer;
    log->behind = e[2]->integer == 0;

    if (e[1]->type == REDIS_REPLY_STRING && e[1]->len <= PURGE_HEAD) {
        memcpy(log->head, e[1]->str, e[1]->len);
        log->head_len = e[1]->len;
        log->valid = purge_log_is_valid(log->head, log->head_len);
    }

    redis_free(reply);
    return 0;
}


static bool
purge_log_is_valid(const char *head, size_t len)
{
    return len == PURGE_HEAD && head[PURGE_HEAD - 1] == '\n'
           && strspn(head, "0123456789abcdefABCDEF") == PURGE_HEAD - 1;
}


int
purge_log_rebuild(child_t *child, const char *seen, const char *reason)
{
    if (db_begin(child) != 0) {
        return -1;
    }

    if (purge_log_make(child, seen, reason) != 0) {
        db_rollback(child);
        return -1;
    }

    return db_commit(child);
}


/*
 * What was appended to the old log before it was looked at is committed, so
 * that the pages, each with a snapshot of its own, have it; what is appended
 * afterwards makes the old log longer, and the exchange is not made.
 */

static int
purge_log_make(child_t *child, const char *seen, const char *reason)
{
    char         old_len[24], new_len[24];
    int64_t      len, lines, swapped;
    PGresult    *res;
    purge_log_t  log;
    media_str_t  args[6];

    res = db_exec(child, "SELECT pg_advisory_xact_lock(" PURGE_LOCK ")", 0,
                  NULL);
    PQclear(res);

    if (res == NULL || purge_log_find(child, "", &log) != 0) {
        return -1;
    }

    if (log.valid && strcmp(log.head, seen) != 0) {
        return 0;
    }

    if (purge_log_write(child, &len, &lines) != 0) {
        return -1;
    }

    snprintf(old_len, sizeof(old_len), "%lld", (long long) log.len);
    snprintf(new_len, sizeof(new_len), "%lld", (long long) len);

    media_str_set(&args[0], "2", 1);
    media_str_set(&args[1], PURGE_LOG, sizeof(PURGE_LOG) - 1);
    media_str_set(&args[2], PURGE_NEW, sizeof(PURGE_NEW) - 1);
    media_str_set(&args[3], old_len, strlen(old_len));
    media_str_set(&args[4], log.head, log.head_len);
    media_str_set(&args[5], new_len, strlen(new_len));

    if (purge_log_integer(purge_log_script(child, purge_swap_script, 6,
                                           args), &swapped) != 0
        || swapped == 0)
    {
        return -1;
    }

    log_msg(LOG_NOTICE, "log of purges made anew", "reason", reason,
            "lines", log_fmt("%lld", (long long) lines), NULL);

    return 0;
}


/* the rows count as published with the transaction */

static int
purge_log_write(child_t *child, int64_t *len, int64_t *lines)
{
    int          n;
    char        *s, last[24];
    void        *reply;
    size_t       lens[3];
    PGresult    *res;
    const char  *argv[3], *params[1];

    if (purge_log_head(child) != 0) {
        return -1;
    }

    *len = PURGE_HEAD;
    *lines = 0;
    strcpy(last, "0");
    params[0] = last;

    argv[0] = "APPEND";
    argv[1] = PURGE_NEW;
    lens[0] = 6;
    lens[1] = sizeof(PURGE_NEW) - 1;

    do {
        res = db_exec(child, "SELECT id, target FROM media.purges"
                             " WHERE id > $1::bigint ORDER BY id"
                             " LIMIT " PURGE_STRING(PURGE_BATCH), 1, params);
        if (res == NULL) {
            return -1;
        }

        n = PQntuples(res);

        if (n > 0) {
            s = purge_log_lines(res, &lens[2]);
            argv[2] = s;
            reply = (s == NULL) ? NULL : redis_call(child, 3, argv, lens);
            redis_free(reply);
            free(s);

            if (reply == NULL || purge_mark(child, res) != 0) {
                PQclear(res);
                return -1;
            }

            *len += lens[2];
            *lines += n;
            snprintf(last, sizeof(last), "%s", PQgetvalue(res, n - 1, 0));
        }

        PQclear(res);

    } while (n == PURGE_BATCH);

    return 0;
}


static int
purge_log_head(child_t *child)
{
    char           head[PURGE_HEAD];
    void          *reply;
    unsigned char  random[16];

    size_t       lens[3] = { 3, sizeof(PURGE_NEW) - 1, sizeof(head) };
    const char  *argv[3] = { "SET", PURGE_NEW, head };

    if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
        return -1;
    }

    media_hex_encode(head, random, sizeof(random));
    head[PURGE_HEAD - 1] = '\n';

    reply = redis_call(child, 3, argv, lens);
    redis_free(reply);

    return reply == NULL ? -1 : 0;
}


/* args: the number of keys, the keys, the arguments */

static redisReply *
purge_log_script(child_t *child, const char *script, int n,
    const media_str_t *args)
{
    int          i;
    size_t       lens[PURGE_ARGS_MAX];
    const char  *argv[PURGE_ARGS_MAX];

    argv[0] = "EVAL";
    lens[0] = 4;
    argv[1] = script;
    lens[1] = strlen(script);

    for (i = 0; i < n; i++) {
        argv[i + 2] = args[i].data;
        lens[i + 2] = args[i].len;
    }

    return redis_call(child, n + 2, argv, lens);
}


/* frees the reply */

static int
purge_log_integer(redisReply *reply, int64_t *n)
{
    int  rc;

    rc = -1;

    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        *n = reply->integer;
        rc = 0;
    }

    redis_free(reply);
    return rc;
}
