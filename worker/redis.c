/*
 * Copyright (C) ngx_media contributors
 */

#define _GNU_SOURCE

#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "media_worker.h"


/*
 * The child's connection to Redis.  What Redis holds can be lost, so nobody
 * waits for it long: short timeouts, one new connection, and then an error
 * that the caller lives with.
 */


#define REDIS_TIMEOUT  2            /* seconds, to connect and to answer */
#define REDIS_PORT     6379


typedef struct {
    char  user[128];
    char  password[512];
    char  host[256];
    int   port;
    char  db[16];
} redis_url_t;


static redisContext *redis_get(child_t *child);
static int redis_level(void);
static void redis_refused(const char *command);
static int redis_parse(redis_url_t *u, const char *url);
static int redis_part(char *dst, size_t size, const char *s, size_t len);
static int redis_login(redisContext *rc, const redis_url_t *u);
static int redis_ok(redisReply *reply);


/* told once: the first failure of a series, and a command refused again */
static bool  redis_away;
static char  redis_command[16];


void *
redis_call(child_t *child, int n, const char **argv, const size_t *lens)
{
    int            i;
    redisReply    *reply;
    redisContext  *rc;

    for (i = 0; i < 2; i++) {
        rc = redis_get(child);

        if (rc == NULL) {
            return NULL;
        }

        reply = redisCommandArgv(rc, n, argv, lens);

        if (reply != NULL) {
            if (redis_away) {
                log_msg(LOG_NOTICE, "redis answers again", NULL);
                redis_away = false;
            }

            if (reply->type != REDIS_REPLY_ERROR) {
                if (strcmp(redis_command, argv[0]) == 0) {
                    redis_command[0] = '\0';
                }

                return reply;
            }

            redis_refused(argv[0]);
            freeReplyObject(reply);
            return NULL;
        }

        redis_close(child);
    }

    log_msg(redis_level(), "redis did not answer", "command", argv[0], NULL);
    return NULL;
}


static int
redis_level(void)
{
    int  level;

    level = redis_away ? LOG_DEBUG : LOG_WARN;
    redis_away = true;

    return level;
}


static void
redis_refused(const char *command)
{
    log_msg(strcmp(redis_command, command) == 0 ? LOG_DEBUG : LOG_WARN,
            "redis refused a command", "command", command, NULL);
    snprintf(redis_command, sizeof(redis_command), "%s", command);
}


void
redis_free(void *reply)
{
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}


void
redis_close(child_t *child)
{
    if (child->redis != NULL) {
        redisFree(child->redis);
        child->redis = NULL;
    }
}


static redisContext *
redis_get(child_t *child)
{
    redis_url_t     u;
    redisContext   *rc;
    struct timeval  tv;

    if (child->redis != NULL) {
        return child->redis;
    }

    if (conf.redis_url[0] == '\0' || redis_parse(&u, conf.redis_url) != 0) {
        return NULL;
    }

    tv.tv_sec = REDIS_TIMEOUT;
    tv.tv_usec = 0;
    rc = redisConnectWithTimeout(u.host, u.port, tv);

    if (rc == NULL || rc->err != 0
        || redisSetTimeout(rc, tv) != REDIS_OK
        || redis_login(rc, &u) != 0)
    {
        log_msg(redis_level(), "redis is not available", "host", u.host,
                "reason", rc == NULL ? "no memory" : rc->errstr, NULL);

        if (rc != NULL) {
            redisFree(rc);
        }

        rc = NULL;
    }

    explicit_bzero(&u, sizeof(redis_url_t));
    child->redis = rc;
    return rc;
}


/* redis://[[user]:password@]host[:port][/db] */
static int
redis_parse(redis_url_t *u, const char *url)
{
    size_t       len;
    const char  *at, *colon;

    memset(u, 0, sizeof(redis_url_t));
    u->port = REDIS_PORT;
    strcpy(u->db, "0");

    if (strncmp(url, "redis://", 8) != 0) {
        return -1;
    }

    url += 8;
    len = strcspn(url, "/?#");

    if (url[len] == '/' && url[len + 1] != '\0') {
        snprintf(u->db, sizeof(u->db), "%.*s",
                 (int) strcspn(url + len + 1, "?#"), url + len + 1);
    }

    at = memrchr(url, '@', len);

    if (at != NULL) {
        colon = memchr(url, ':', at - url);
        colon = colon == NULL ? at : colon;

        if (redis_part(u->user, sizeof(u->user), url, colon - url) != 0
            || (colon != at
                && redis_part(u->password, sizeof(u->password), colon + 1,
                              at - colon - 1) != 0))
        {
            return -1;
        }

        len -= at + 1 - url;
        url = at + 1;
    }

    colon = memrchr(url, ':', len);

    if (colon != NULL) {
        u->port = atoi(colon + 1);
        len = colon - url;
    }

    return redis_part(u->host, sizeof(u->host), url, len);
}


static int
redis_part(char *dst, size_t size, const char *s, size_t len)
{
    ssize_t  n;

    if (len >= size) {
        return -1;
    }

    n = media_uri_decode(dst, s, len);

    if (n < 0) {
        return -1;
    }

    dst[n] = '\0';
    return 0;
}


static int
redis_login(redisContext *rc, const redis_url_t *u)
{
    int  error;

    error = 0;

    if (u->password[0] != '\0') {
        error = u->user[0] == '\0'
                ? redis_ok(redisCommand(rc, "AUTH %s", u->password))
                : redis_ok(redisCommand(rc, "AUTH %s %s", u->user,
                                        u->password));
    }

    if (error == 0 && strcmp(u->db, "0") != 0) {
        error = redis_ok(redisCommand(rc, "SELECT %s", u->db));
    }

    return error;
}


static int
redis_ok(redisReply *reply)
{
    int  rc;

    rc = reply != NULL && reply->type != REDIS_REPLY_ERROR ? 0 : -1;
    redis_free(reply);

    return rc;
}
