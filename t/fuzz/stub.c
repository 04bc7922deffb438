/*
 * Copyright (C) ngx_media contributors
 */

#include "fuzz.h"
#include "stub.h"

#include "ngx_http_media.h"


/* what no target calls, but the linker asks for */
#define STUB_UNUSED(type, name, args)                                         \
    type                                                                      \
    name args                                                                 \
    {                                                                         \
        abort();                                                              \
    }


typedef struct stub_block_s  stub_block_t;

struct stub_block_s {
    stub_block_t  *next;
    void          *p;
};


static u_char *stub_format(u_char *buf, u_char *last, const char *fmt,
    va_list args);


ngx_log_t                 stub_log;
ngx_cycle_t               stub_cycle = { .log = &stub_log };
ngx_media_peer_t         *stub_peer;
void                    (*stub_up)(void *data);
void                     *stub_data;

volatile ngx_msec_t       ngx_current_msec;

static stub_block_t      *stub_blocks;


/* each allocation is one of malloc(), so that its bounds are watched */
void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    stub_block_t  *block;

    block = malloc(sizeof(stub_block_t));
    fuzz_check(block != NULL);
    block->p = malloc(size ? size : 1);
    fuzz_check(block->p != NULL);
    block->next = stub_blocks;
    stub_blocks = block;

    return block->p;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    return memset(ngx_palloc(pool, size), 0, size);
}


ngx_int_t
ngx_pfree(ngx_pool_t *pool, void *p)
{
    return NGX_DECLINED;
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void
stub_free(void)
{
    stub_block_t  *block;

    while ((block = stub_blocks) != NULL) {
        stub_blocks = block->next;
        free(block->p);
        free(block);
    }
}


void *
ngx_array_push(ngx_array_t *a)
{
    void  *elts;

    if (a->nelts == a->nalloc) {
        elts = ngx_palloc(a->pool, 2 * a->nalloc * a->size);
        memcpy(elts, a->elts, a->nelts * a->size);
        a->elts = elts;
        a->nalloc *= 2;
    }

    return (u_char *) a->elts + a->size * a->nelts++;
}


ngx_chain_t *
ngx_alloc_chain_link(ngx_pool_t *pool)
{
    return ngx_palloc(pool, sizeof(ngx_chain_t));
}


u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    return memcpy(ngx_pnalloc(pool, src->len), src->data, src->len);
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {
        if (*line < '0' || *line > '9'
            || value > (NGX_MAX_INT_T_VALUE - (*line - '0')) / 10)
        {
            return NGX_ERROR;
        }

        value = value * 10 + (*line - '0');
    }

    return value;
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    u_char     ch;
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {
        if (value > NGX_MAX_INT_T_VALUE / 16) {
            return NGX_ERROR;
        }

        ch = *line | 0x20;

        if (*line >= '0' && *line <= '9') {
            value = value * 16 + (*line - '0');

        } else if (ch >= 'a' && ch <= 'f') {
            value = value * 16 + (ch - 'a' + 10);

        } else {
            return NGX_ERROR;
        }
    }

    return value;
}


/* moves over a character, or returns what is none */
uint32_t
ngx_utf8_decode(u_char **p, size_t n)
{
    size_t  len;

    len = **p < 0xe0 ? 2 : **p < 0xf0 ? 3 : 4;

    if (n < len || media_utf8_count((char *) *p, len) != 1) {
        return 0xffffffff;
    }

    *p += len;

    return 0x80;
}


void
ngx_explicit_memzero(void *buf, size_t n)
{
    explicit_bzero(buf, n);
}


u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = stub_format(buf, (u_char *) -1, fmt, args);
    va_end(args);

    return p;
}


u_char * ngx_cdecl
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = stub_format(buf, buf + max, fmt, args);
    va_end(args);

    return p;
}


/* %V %s %*s %ui %uz %O %02Xi, which is what the parsers use */
static u_char *
stub_format(u_char *buf, u_char *last, const char *fmt, va_list args)
{
    char         number[32];
    size_t       len;
    ngx_str_t   *v;
    const void  *p;

    while (*fmt) {
        p = fmt;
        len = 1;

        if (*fmt != '%') {
            fmt++;

        } else if (fmt[1] == 'V') {
            v = va_arg(args, ngx_str_t *);
            p = v->data;
            len = v->len;
            fmt += 2;

        } else if (fmt[1] == 's') {
            p = va_arg(args, const char *);
            len = strlen(p);
            fmt += 2;

        } else if (strncmp(fmt, "%*s", 3) == 0) {
            len = va_arg(args, size_t);
            p = va_arg(args, const char *);
            fmt += 3;

        } else if (strncmp(fmt, "%02Xi", 5) == 0) {
            len = snprintf(number, sizeof(number), "%02lX",
                           (unsigned long) va_arg(args, ngx_int_t));
            p = number;
            fmt += 5;

        } else {
            fuzz_check(strncmp(fmt, "%ui", 3) == 0
                       || strncmp(fmt, "%uz", 3) == 0
                       || strncmp(fmt, "%O", 2) == 0);

            len = snprintf(number, sizeof(number), "%lu",
                           va_arg(args, unsigned long));
            p = number;
            fmt += fmt[1] == 'u' ? 3 : 2;
        }

        len = ngx_min(len, (size_t) (last - buf));

        if (len) {
            buf = ngx_cpymem(buf, p, len);
        }
    }

    return buf;
}


void ngx_cdecl
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}


ngx_media_peer_t *
ngx_media_peer_create(ngx_media_peer_conf_t *conf, ngx_media_peer_ops_t *ops,
    void *data, ngx_cycle_t *cycle)
{
    stub_peer = ngx_pcalloc(NULL, sizeof(ngx_media_peer_t));
    stub_peer->conf = conf;
    stub_peer->ops = ops;
    stub_peer->data = data;
    stub_peer->log = &stub_log;
    ngx_queue_init(&stub_peer->inflight);

    return stub_peer;
}


void
ngx_media_peer_connect(ngx_media_peer_t *peer)
{
    peer->state = NGX_MEDIA_PEER_GREETING;
}


ngx_int_t
ngx_media_peer_send(ngx_media_peer_t *peer, u_char *p, size_t len)
{
    uint64_t  sum;

    sum = FUZZ_SUM;
    fuzz_bytes(&sum, p, len);

    return NGX_OK;
}


void
ngx_media_peer_up(ngx_media_peer_t *peer)
{
    peer->state = NGX_MEDIA_PEER_UP;
    stub_up(stub_data);
}


ngx_int_t
ngx_media_peer_submit(ngx_media_peer_t *peer, ngx_media_job_t *job,
    ngx_msec_t timeout)
{
    if (peer->state != NGX_MEDIA_PEER_UP) {
        return NGX_BUSY;
    }

    if (peer->ops->sent) {
        peer->ops->sent(peer, job);
    }

    ngx_queue_insert_tail(&peer->inflight, &job->queue);

    return NGX_OK;
}


void
ngx_media_peer_complete(ngx_media_peer_t *peer, ngx_media_job_t *job,
    ngx_int_t rc, void *reply)
{
    ngx_queue_remove(&job->queue);
    job->handler(job, rc, reply);
}


void
stub_close(ngx_media_peer_t *peer)
{
    ngx_queue_t  *q;

    peer->state = NGX_MEDIA_PEER_DOWN;
    peer->ops->closed(peer);

    while (!ngx_queue_empty(&peer->inflight)) {
        q = ngx_queue_head(&peer->inflight);
        ngx_media_peer_complete(peer, ngx_queue_data(q, ngx_media_job_t,
                                                     queue),
                                NGX_ERROR, NULL);
    }
}


void
ngx_media_peer_count(ngx_media_peer_t *peer, ngx_media_peer_error_e error)
{
}


void
ngx_http_media_store_job_failed(ngx_http_media_store_job_t *job,
    const char *call)
{
    job->error = NGX_HTTP_MEDIA_STORE_INTERNAL;
}


void
ngx_http_media_store_temp_discard(ngx_http_media_store_job_t *job)
{
}


STUB_UNUSED(void, ngx_media_peer_destroy, (ngx_media_peer_t *peer))
STUB_UNUSED(void, ngx_media_peer_close, (ngx_media_peer_t *peer,
            ngx_media_peer_error_e error, const char *reason))
STUB_UNUSED(time_t, ngx_parse_http_time, (u_char *value, size_t len))
STUB_UNUSED(void, ngx_gmtime, (time_t t, ngx_tm_t *tp))
STUB_UNUSED(ngx_int_t, ngx_http_send_header, (ngx_http_request_t *r))
STUB_UNUSED(ngx_int_t, ngx_http_output_filter, (ngx_http_request_t *r,
            ngx_chain_t *chain))
STUB_UNUSED(void, ngx_http_media_store_request_id, (ngx_http_request_t *r,
            ngx_str_t *id))
STUB_UNUSED(void, ngx_http_media_store_post_data,
            (ngx_http_media_store_job_t *job))
STUB_UNUSED(ngx_int_t, ngx_http_media_store_temp_open,
            (ngx_http_media_store_job_t *job))
STUB_UNUSED(ngx_int_t, ngx_http_media_store_write, (ngx_fd_t fd,
            const u_char *p, size_t n))
