
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <hiredis/hiredis.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_PURGE_POLL    250    /* ms */
#define NGX_HTTP_MEDIA_PURGE_FIRST   5      /* ms, in a process's first second
                                               if nothing was read yet */
#define NGX_HTTP_MEDIA_PURGE_DEAD    400    /* ms without a poll */
#define NGX_HTTP_MEDIA_PURGE_LATE    1000   /* ms without a complete read */
#define NGX_HTTP_MEDIA_PURGE_ID_LEN  19     /* digits of 2^63 - 1 */


/* what this process reads */
typedef struct {
    ngx_event_t                  timer;
    ngx_msec_t                   begun;
    ngx_media_redis_reply_t      piece;     /* kept while the head is asked
                                               for */
    uint64_t                     offset;    /* in the log, of what is new */
    u_char                       head[NGX_HTTP_MEDIA_PURGE_HEAD];
    u_char                       tail;      /* the byte before offset */
    unsigned                     busy:1;
    unsigned                     again:1;   /* from the start, in this turn */
} ngx_http_media_purge_reader_t;


static void ngx_http_media_purge_tick(ngx_event_t *ev);
static ngx_int_t ngx_http_media_purge_claim(ngx_http_media_zone_t *zone);
static void ngx_http_media_purge_read(ngx_http_media_zone_t *zone);
static void ngx_http_media_purge_ask(uint64_t first, uint64_t last,
    ngx_media_redis_handler_pt handler);
static void ngx_http_media_purge_piece(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);
static void ngx_http_media_purge_head(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);
static void ngx_http_media_purge_replaced(ngx_http_media_zone_t *zone);
static ngx_int_t ngx_http_media_purge_is_head(u_char *p, size_t len);
static void ngx_http_media_purge_take(ngx_http_media_zone_t *zone,
    size_t skip);
static void ngx_http_media_purge_malformed(
    ngx_http_media_purges_t *purges, uint64_t offset);
static void ngx_http_media_purge_complete(ngx_http_media_zone_t *zone);
static void ngx_http_media_purge_stop(void);
static ngx_int_t ngx_http_media_purge_line(ngx_http_media_zone_t *zone,
    u_char *p, u_char *last);


static ngx_http_media_purge_reader_t  ngx_http_media_purge_reader;


static void
ngx_http_media_purge_tick(ngx_event_t *ev)
{
    ngx_msec_t                      next;
    ngx_http_media_zone_t          *zone;
    ngx_http_media_purge_reader_t  *reader;

    reader = &ngx_http_media_purge_reader;
    zone = ngx_http_media_zone_get();

    if (zone == NULL || ngx_exiting) {
        ngx_http_media_purge_exit_process();
        return;
    }

    next = NGX_HTTP_MEDIA_PURGE_POLL;

    if (zone->sh->purges.start
        && ngx_current_msec - reader->begun < 1000)
    {
        next = NGX_HTTP_MEDIA_PURGE_FIRST;
    }

    ev->log = ngx_cycle->log;
    ngx_add_timer(ev, next);

    if (ngx_http_media_purge_claim(zone) != NGX_OK || reader->busy) {
        return;
    }

    reader->busy = 1;
    reader->again = 0;

    ngx_http_media_purge_read(zone);
}


/* one process of the host reads, unless it is late */

static ngx_int_t
ngx_http_media_purge_claim(ngx_http_media_zone_t *zone)
{
    ngx_int_t                 rc;
    ngx_msec_int_t            age;
    ngx_http_media_purges_t  *purges;

    rc = NGX_DECLINED;
    purges = &zone->sh->purges;

    ngx_shmtx_lock(&zone->shpool->mutex);

    age = (ngx_msec_int_t) (ngx_current_msec - purges->polled);

    if (purges->poller == ngx_pid
        || purges->poller == 0
        || age > NGX_HTTP_MEDIA_PURGE_DEAD)
    {
        purges->poller = ngx_pid;
        purges->polled = ngx_current_msec;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return rc;
}


/*
 * A piece of the log, and then its head: if that is still the one of before,
 * so was the log when the piece was read.  The first piece has the head in
 * itself, each other one the last byte of before: a log that lost its end is
 * as good as another one.
 */

static void
ngx_http_media_purge_read(ngx_http_media_zone_t *zone)
{
    uint64_t                        first;
    ngx_http_media_purges_t        *purges;
    ngx_http_media_purge_reader_t  *reader;

    reader = &ngx_http_media_purge_reader;
    purges = &zone->sh->purges;

    ngx_shmtx_lock(&zone->shpool->mutex);

    reader->offset = purges->offset;
    reader->tail = purges->tail;
    ngx_memcpy(reader->head, purges->head, NGX_HTTP_MEDIA_PURGE_HEAD);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    first = reader->offset ? reader->offset - 1 : 0;

    ngx_http_media_purge_ask(first, first + NGX_HTTP_MEDIA_PURGE_PIECE - 1,
                             ngx_http_media_purge_piece);
}


static void
ngx_http_media_purge_ask(uint64_t first, uint64_t last,
    ngx_media_redis_handler_pt handler)
{
    u_char                       from[NGX_INT64_LEN], to[NGX_INT64_LEN];
    ngx_str_t                    argv[4];
    ngx_media_redis_t           *redis;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_media_module);
    redis = ngx_http_media_cache_redis(&mcf->cache);

    if (redis == NULL) {
        ngx_http_media_purge_stop();
        return;
    }

    ngx_str_set(&argv[0], "GETRANGE");
    ngx_str_set(&argv[1], NGX_HTTP_MEDIA_PURGE_LOG);
    argv[2].data = from;
    argv[2].len = ngx_sprintf(from, "%uL", first) - from;
    argv[3].data = to;
    argv[3].len = ngx_sprintf(to, "%uL", last) - to;

    if (ngx_media_redis_send(redis, argv, 4, 0, handler, NULL) == NULL) {
        ngx_http_media_purge_stop();
    }
}


static void
ngx_http_media_purge_piece(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    ngx_http_media_zone_t          *zone;
    ngx_http_media_purge_reader_t  *reader;

    reader = &ngx_http_media_purge_reader;
    zone = ngx_http_media_zone_get();

    if (reply == NULL) {
        ngx_http_media_purge_stop();
        return;
    }

    reader->piece = *reply;

    if (reply->type != REDIS_REPLY_STRING || zone == NULL || ngx_exiting) {
        ngx_http_media_purge_stop();
        return;
    }

    if (reader->offset) {

        if (reply->str.len == 0 || reply->str.data[0] != reader->tail) {
            ngx_http_media_purge_replaced(zone);
            return;
        }

        ngx_http_media_purge_ask(0, NGX_HTTP_MEDIA_PURGE_HEAD - 1,
                                 ngx_http_media_purge_head);
        return;
    }

    if (reply->str.len == 0) {
        ngx_http_media_purge_complete(zone);
        return;
    }

    if (ngx_http_media_purge_is_head(reply->str.data, reply->str.len)
        != NGX_OK)
    {
        if (!zone->sh->purges.warned) {
            zone->sh->purges.warned = 1;
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "\"" NGX_HTTP_MEDIA_PURGE_LOG "\" in redis "
                          "is not a log of purges");
        }

        ngx_http_media_purge_stop();
        return;
    }

    ngx_memcpy(reader->head, reply->str.data, NGX_HTTP_MEDIA_PURGE_HEAD);

    ngx_http_media_purge_take(zone, NGX_HTTP_MEDIA_PURGE_HEAD);
}


static void
ngx_http_media_purge_head(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply)
{
    ngx_int_t                       same;
    ngx_http_media_zone_t          *zone;
    ngx_http_media_purge_reader_t  *reader;

    reader = &ngx_http_media_purge_reader;
    zone = ngx_http_media_zone_get();

    if (reply == NULL) {
        ngx_http_media_purge_stop();
        return;
    }

    if (reply->type != REDIS_REPLY_STRING || zone == NULL || ngx_exiting) {
        ngx_media_redis_free(reply->object);
        ngx_http_media_purge_stop();
        return;
    }

    same = (reply->str.len == NGX_HTTP_MEDIA_PURGE_HEAD
            && ngx_memcmp(reply->str.data, reader->head,
                          NGX_HTTP_MEDIA_PURGE_HEAD) == 0);

    ngx_media_redis_free(reply->object);

    if (same) {
        ngx_http_media_purge_take(zone, 1);
        return;
    }

    ngx_http_media_purge_replaced(zone);
}


/* another log: from its start, at once but for a second time */

static void
ngx_http_media_purge_replaced(ngx_http_media_zone_t *zone)
{
    ngx_http_media_purges_t        *purges;
    ngx_http_media_purge_reader_t  *reader;

    reader = &ngx_http_media_purge_reader;
    purges = &zone->sh->purges;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (purges->offset == reader->offset
        && ngx_memcmp(purges->head, reader->head, NGX_HTTP_MEDIA_PURGE_HEAD)
           == 0)
    {
        purges->offset = 0;
        purges->warned = 0;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    ngx_media_redis_free(reader->piece.object);
    reader->piece.object = NULL;

    if (reader->again) {
        ngx_http_media_purge_stop();
        return;
    }

    reader->again = 1;
    ngx_http_media_purge_read(zone);
}


static ngx_int_t
ngx_http_media_purge_is_head(u_char *p, size_t len)
{
    size_t  i;

    if (len < NGX_HTTP_MEDIA_PURGE_HEAD
        || p[NGX_HTTP_MEDIA_PURGE_HEAD - 1] != LF)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < NGX_HTTP_MEDIA_PURGE_HEAD - 1; i++) {
        if (!isxdigit(p[i])) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * The whole lines of the piece after skip bytes; the rest of the last one is
 * read again.
 */

static void
ngx_http_media_purge_take(ngx_http_media_zone_t *zone, size_t skip)
{
    u_char                         *p, *start, *line, *last, tail;
    uint64_t                        first, next;
    ngx_uint_t                      full;
    ngx_http_media_purges_t        *purges;
    ngx_http_media_purge_reader_t  *reader;

    reader = &ngx_http_media_purge_reader;
    purges = &zone->sh->purges;

    start = reader->piece.str.data;
    first = reader->offset ? reader->offset - 1 : 0;
    last = start + reader->piece.str.len;
    full = (reader->piece.str.len == NGX_HTTP_MEDIA_PURGE_PIECE);

    for (line = start + skip; line < last; line = p + 1) {
        p = ngx_strlchr(line, last, LF);

        if (p == NULL) {
            break;
        }

        if (ngx_http_media_purge_line(zone, line, p) != NGX_OK) {
            ngx_http_media_purge_malformed(purges, first + (line - start));
        }
    }

    if (full && line == start + skip) {
        ngx_http_media_purge_malformed(purges, first + skip);
        line = last;
    }

    next = first + (line - start);
    tail = line[-1];

    ngx_media_redis_free(reader->piece.object);
    reader->piece.object = NULL;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (purges->offset == reader->offset
        && (purges->offset == 0
            || ngx_memcmp(purges->head, reader->head,
                          NGX_HTTP_MEDIA_PURGE_HEAD) == 0))
    {
        purges->offset = next;
        purges->tail = tail;
        ngx_memcpy(purges->head, reader->head, NGX_HTTP_MEDIA_PURGE_HEAD);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (full) {
        ngx_http_media_purge_read(zone);
        return;
    }

    ngx_http_media_purge_complete(zone);
}


static void
ngx_http_media_purge_malformed(ngx_http_media_purges_t *purges,
    uint64_t offset)
{
    if (purges->warned) {
        return;
    }

    purges->warned = 1;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "malformed line in \"" NGX_HTTP_MEDIA_PURGE_LOG
                  "\" at byte %uL", offset);
}


static void
ngx_http_media_purge_complete(ngx_http_media_zone_t *zone)
{
    ngx_msec_int_t            age;
    ngx_http_media_purges_t  *purges;

    purges = &zone->sh->purges;
    age = (ngx_msec_int_t) (ngx_current_msec - purges->completed);

    purges->start = 0;
    purges->completed = ngx_current_msec;

    if (age > NGX_HTTP_MEDIA_PURGE_LATE) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "purges are read again, after %Ms", age / 1000);
    }

    ngx_http_media_purge_stop();
}


static void
ngx_http_media_purge_stop(void)
{
    ngx_http_media_purge_reader_t  *reader;

    reader = &ngx_http_media_purge_reader;

    if (reader->piece.object) {
        ngx_media_redis_free(reader->piece.object);
        reader->piece.object = NULL;
    }

    reader->busy = 0;
}


static ngx_int_t
ngx_http_media_purge_line(ngx_http_media_zone_t *zone, u_char *p,
    u_char *last)
{
    u_char     *space, *c;
    uint64_t    id;
    ngx_str_t   target;

    space = ngx_strlchr(p, last, ' ');

    if (space == NULL
        || space == p
        || space - p > NGX_HTTP_MEDIA_PURGE_ID_LEN
        || space + 1 == last
        || last - space - 1 > MEDIA_KEY_MAX)
    {
        return NGX_DECLINED;
    }

    for (id = 0; p < space; p++) {
        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        id = id * 10 + (*p - '0');
    }

    if (id == 0 || id >= NGX_HTTP_MEDIA_PURGE_START) {
        return NGX_DECLINED;
    }

    for (c = space + 1; c < last; c++) {
        if (*c < 0x20 || *c == 0x7f) {
            return NGX_DECLINED;
        }
    }

    target.data = space + 1;
    target.len = last - target.data;

    ngx_http_media_purge_add(zone, id, &target);

    return NGX_OK;
}


void
ngx_http_media_purge_init_process(ngx_cycle_t *cycle)
{
    static ngx_connection_t         dumb;

    ngx_http_media_purge_reader_t  *reader;

    reader = &ngx_http_media_purge_reader;

    dumb.fd = (ngx_socket_t) -1;

    reader->begun = ngx_current_msec;
    reader->timer.handler = ngx_http_media_purge_tick;
    reader->timer.data = &dumb;
    reader->timer.log = cycle->log;
    reader->timer.cancelable = 1;

    ngx_add_timer(&reader->timer, NGX_HTTP_MEDIA_PURGE_FIRST);
}


/* the next process need not wait */

void
ngx_http_media_purge_exit_process(void)
{
    ngx_http_media_zone_t  *zone;

    zone = ngx_http_media_zone_get();

    if (zone == NULL) {
        return;
    }

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (zone->sh->purges.poller == ngx_pid) {
        zone->sh->purges.poller = 0;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}
