
/*
 * Copyright (C) ngx_media contributors
 */


#include "ngx_media_peer.h"
#include "ngx_media_peer_io.h"


#define NGX_MEDIA_PEER_INPUT_MIN  16384     /* bytes of a first read */


/* bytes of the protocol itself, sent outside of jobs */
typedef struct {
    ngx_chain_t   link;
    ngx_buf_t     buf;
    u_char        data[];
} ngx_media_peer_note_t;


static ngx_int_t ngx_media_peer_reserve(ngx_media_peer_t *peer);
static ngx_int_t ngx_media_peer_consume(ngx_media_peer_t *peer);
static void ngx_media_peer_take_jobs(ngx_media_peer_t *peer);


ngx_int_t
ngx_media_peer_send(ngx_media_peer_t *peer, u_char *p, size_t len)
{
    ngx_media_peer_note_t  *note;

    if (peer->connection.connection == NULL) {
        return NGX_ERROR;
    }

    note = ngx_alloc(sizeof(ngx_media_peer_note_t) + len, peer->log);
    if (note == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&note->buf, sizeof(ngx_buf_t));
    ngx_memcpy(note->data, p, len);

    note->buf.start = note->buf.pos = note->data;
    note->buf.end = note->buf.last = note->data + len;
    note->buf.temporary = 1;
    note->buf.tag = (ngx_buf_tag_t) &ngx_media_peer_send;
    note->link.buf = &note->buf;
    note->link.next = NULL;

    ngx_media_peer_append(peer, &note->link, len);

    ngx_post_event(peer->connection.connection->write, &ngx_posted_events);

    return NGX_OK;
}


void
ngx_media_peer_receive(ngx_media_peer_t *peer)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = peer->connection.connection;

    for ( ;; ) {
        if (ngx_media_peer_reserve(peer) != NGX_OK) {
            return;
        }

        n = c->recv(c, peer->in.last, peer->in.end - peer->in.last);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CLOSED,
                                 "receive failed");
            return;
        }

        if (n == 0) {
            ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CLOSED,
                                 "connection closed by the server");
            return;
        }

        peer->in.last += n;

        if (ngx_media_peer_consume(peer) != NGX_OK) {
            return;
        }
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CLOSED,
                             "event failed");
    }
}


/* makes room for a read, NGX_ERROR if the peer was closed for lack of it */

static ngx_int_t
ngx_media_peer_reserve(ngx_media_peer_t *peer)
{
    size_t      size, len;
    u_char     *p;
    ngx_buf_t  *b;

    b = &peer->in;
    len = b->last - b->pos;
    size = b->end - b->start;

    if (b->end - b->last >= NGX_MEDIA_PEER_INPUT_MIN / 4) {
        return NGX_OK;
    }

    if (len >= size / 2) {
        size = ngx_max(size * 2, NGX_MEDIA_PEER_INPUT_MIN);
        size = ngx_min(size, peer->conf->max_input);
    }

    if (size <= len) {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_PROTOCOL,
                             "sent too large a reply");
        return NGX_ERROR;
    }

    if (size == (size_t) (b->end - b->start)) {
        ngx_memmove(b->start, b->pos, len);

    } else {
        p = ngx_alloc(size, peer->log);
        if (p == NULL) {
            ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CLOSED,
                                 "no memory for a reply");
            return NGX_ERROR;
        }

        if (b->start) {
            ngx_memcpy(p, b->pos, len);
            ngx_free(b->start);
        }

        b->start = p;
        b->end = p + size;
    }

    b->pos = b->start;
    b->last = b->start + len;

    return NGX_OK;
}


static ngx_int_t
ngx_media_peer_consume(ngx_media_peer_t *peer)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = peer->connection.connection;

    n = peer->ops->input(peer, peer->in.pos, peer->in.last - peer->in.pos);

    /* a job's handler may have closed or changed the connection */

    if (peer->connection.connection != c) {
        return NGX_DONE;
    }

    if (peer->broken) {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_PROTOCOL,
                             "replied to what was not sent");
        return NGX_ERROR;
    }

    if (n < 0) {
        ngx_media_peer_close(peer, peer->error,
                             peer->reason ? peer->reason
                                          : "sent an invalid reply");
        return NGX_ERROR;
    }

    peer->in.pos += n;

    if (peer->in.pos == peer->in.last) {
        peer->in.pos = peer->in.start;
        peer->in.last = peer->in.start;
    }

    return NGX_OK;
}


void
ngx_media_peer_transmit(ngx_media_peer_t *peer)
{
    off_t              sent;
    ngx_chain_t       *cl, *rest;
    ngx_connection_t  *c;

    c = peer->connection.connection;

    if (peer->state == NGX_MEDIA_PEER_UP) {
        ngx_media_peer_take_jobs(peer);
    }

    if (peer->out == NULL || !c->write->ready) {
        return;
    }

    cl = peer->out;
    sent = c->sent;

    rest = c->send_chain(c, cl, 0);

    if (rest == NGX_CHAIN_ERROR) {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CLOSED,
                             "send failed");
        return;
    }

    peer->sent += c->sent - sent;
    peer->out = rest;

    if (rest == NULL) {
        peer->out_last = &peer->out;
    }

    ngx_media_peer_free_notes(cl, rest);

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_CLOSED,
                             "event failed");
    }
}


static void
ngx_media_peer_take_jobs(ngx_media_peer_t *peer)
{
    ngx_queue_t      *q;
    ngx_media_job_t  *job;

    while (!ngx_queue_empty(&peer->waiting)) {
        q = ngx_queue_head(&peer->waiting);
        job = ngx_queue_data(q, ngx_media_job_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&peer->inflight, q);

        if (peer->ops->sent) {
            peer->ops->sent(peer, job);
        }

        ngx_media_peer_append(peer, job->out, job->size);
        job->end = peer->queued;
    }
}


void
ngx_media_peer_append(ngx_media_peer_t *peer, ngx_chain_t *in, size_t size)
{
    *peer->out_last = in;

    while (*peer->out_last) {
        peer->out_last = &(*peer->out_last)->next;
    }

    peer->queued += size;
}


void
ngx_media_peer_free_notes(ngx_chain_t *cl, ngx_chain_t *end)
{
    ngx_chain_t  *next;

    while (cl != end) {
        next = cl->next;

        if (cl->buf->tag == (ngx_buf_tag_t) &ngx_media_peer_send) {
            ngx_free(cl);       /* the link is the first member of its note */
        }

        cl = next;
    }
}
