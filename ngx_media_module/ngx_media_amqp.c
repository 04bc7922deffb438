
/*
 * Copyright (C) ngx_media contributors
 */


#include "ngx_media_amqp.h"
#include "ngx_media_amqp_frame.h"


#define NGX_MEDIA_AMQP_CHANNEL    1
#define NGX_MEDIA_AMQP_FRAME_MAX  131072
#define NGX_MEDIA_AMQP_FRAME_MIN  4096      /* of the specification */
#define NGX_MEDIA_AMQP_HEAD_MAX   4096      /* methods, properties and frames */
#define NGX_MEDIA_AMQP_POOL       4096
#define NGX_MEDIA_AMQP_STALL      5000      /* ms without confirms */

#define ngx_media_amqp_bytes(s)  ngx_media_amqp_view((s)->data, (s)->len)


static amqp_bytes_t ngx_media_amqp_view(u_char *data, size_t len);
static ngx_int_t ngx_media_amqp_greet(ngx_media_peer_t *peer);
static ssize_t ngx_media_amqp_input(ngx_media_peer_t *peer, u_char *p,
    size_t len);
static void ngx_media_amqp_closed(ngx_media_peer_t *peer);
static void ngx_media_amqp_heartbeat(ngx_media_peer_t *peer);
static void ngx_media_amqp_sent(ngx_media_peer_t *peer,
    ngx_media_job_t *job);
static ngx_int_t ngx_media_amqp_late(ngx_media_peer_t *peer,
    ngx_media_job_t *job);
static ngx_int_t ngx_media_amqp_frame(ngx_media_amqp_t *amqp,
    ngx_media_amqp_frame_t *frame);
static ngx_int_t ngx_media_amqp_method(ngx_media_amqp_t *amqp,
    ngx_media_amqp_frame_t *frame);
static ngx_int_t ngx_media_amqp_connection_closed(ngx_media_amqp_t *amqp,
    uint32_t method, void *decoded);
static ngx_int_t ngx_media_amqp_start_ok(ngx_media_amqp_t *amqp);
static ngx_int_t ngx_media_amqp_tune_ok(ngx_media_amqp_t *amqp,
    amqp_connection_tune_t *tune);
static u_char *ngx_media_amqp_put(u_char *p, u_char *end, ngx_uint_t channel,
    uint32_t method, void *decoded);
static void ngx_media_amqp_confirm(ngx_media_amqp_t *amqp, uint64_t tag,
    ngx_uint_t multiple, ngx_int_t rc);
static void ngx_media_amqp_unroutable(ngx_media_amqp_t *amqp,
    ngx_media_amqp_frame_t *frame);
static u_char *ngx_media_amqp_put_header(ngx_media_amqp_message_t *msg,
    u_char *p, u_char *end);
static ngx_int_t ngx_media_amqp_put_body(ngx_media_amqp_t *amqp,
    ngx_media_amqp_message_t *msg, ngx_chain_t **ll, ngx_pool_t *pool);
static ngx_buf_t *ngx_media_amqp_link(ngx_chain_t ***ll, u_char *p,
    size_t len, ngx_pool_t *pool);


static ngx_media_peer_ops_t  ngx_media_amqp_ops = {
    ngx_media_amqp_greet,
    ngx_media_amqp_input,
    ngx_media_amqp_closed,
    ngx_media_amqp_heartbeat,
    ngx_media_amqp_sent,
    ngx_media_amqp_late
};


ngx_media_amqp_t *
ngx_media_amqp_create(ngx_media_amqp_conf_t *conf, ngx_cycle_t *cycle)
{
    ngx_media_amqp_t  *amqp;

    amqp = ngx_pcalloc(cycle->pool, sizeof(ngx_media_amqp_t));
    if (amqp == NULL) {
        return NULL;
    }

    amqp->conf = conf;
    amqp->peer = ngx_media_peer_create(&conf->peer, &ngx_media_amqp_ops, amqp,
                                       cycle);
    if (amqp->peer == NULL) {
        return NULL;
    }

    ngx_media_peer_connect(amqp->peer);

    return amqp;
}


static amqp_bytes_t
ngx_media_amqp_view(u_char *data, size_t len)
{
    amqp_bytes_t  bytes;

    bytes.len = len;
    bytes.bytes = data;

    return bytes;
}


static ngx_int_t
ngx_media_amqp_greet(ngx_media_peer_t *peer)
{
    ngx_media_amqp_t  *amqp;

    amqp = peer->data;

    init_amqp_pool(&amqp->pool, NGX_MEDIA_AMQP_POOL);
    amqp->frame_max = NGX_MEDIA_AMQP_FRAME_MAX;
    amqp->tag = 0;
    amqp->returned = 0;
    amqp->blocked = 0;
    amqp->stalled = 0;

    return ngx_media_peer_send(peer, (u_char *) "AMQP\0\0\x09\x01", 8);
}


static ssize_t
ngx_media_amqp_input(ngx_media_peer_t *peer, u_char *p, size_t len)
{
    size_t                   used;
    ssize_t                  n;
    ngx_media_amqp_t        *amqp;
    ngx_media_amqp_frame_t   frame;

    amqp = peer->data;
    amqp->received = ngx_current_msec;

    if (peer->state == NGX_MEDIA_PEER_GREETING && len >= 4
        && ngx_strncmp(p, "AMQP", 4) == 0)
    {
        peer->reason = "speaks another version of AMQP";
        return NGX_ERROR;
    }

    for (used = 0; used < len; used += n) {
        n = ngx_media_amqp_frame_next(&frame, p + used, len - used,
                                      amqp->frame_max);
        if (n == 0) {
            break;
        }

        if (n < 0) {
            peer->reason = "sent an invalid frame";
            return NGX_ERROR;
        }

        if (ngx_media_amqp_frame(amqp, &frame) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return used;
}


static void
ngx_media_amqp_closed(ngx_media_peer_t *peer)
{
    ngx_media_amqp_t  *amqp;

    amqp = peer->data;

    if (amqp->pool.pagesize) {
        empty_amqp_pool(&amqp->pool);
        ngx_memzero(&amqp->pool, sizeof(amqp_pool_t));
    }
}


static void
ngx_media_amqp_heartbeat(ngx_media_peer_t *peer)
{
    u_char             buf[NGX_MEDIA_AMQP_FRAME_EXTRA], *p;
    ngx_msec_t         silent;
    ngx_media_amqp_t  *amqp;

    amqp = peer->data;
    silent = ngx_current_msec - amqp->received;

    /* the timer runs at half the interval */

    if (silent > peer->conf->heartbeat * 4) {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_TIMEOUT,
                             "sent no heartbeat");
        return;
    }

    if (amqp->stalled
        && ngx_current_msec - amqp->stalled_since > NGX_MEDIA_AMQP_STALL)
    {
        ngx_media_peer_close(peer, NGX_MEDIA_PEER_ERROR_TIMEOUT,
                             "sent no confirms");
        return;
    }

    p = ngx_media_amqp_frame_open(buf, NGX_MEDIA_AMQP_HEARTBEAT, 0, 0);
    p = ngx_media_amqp_frame_close(p);

    (void) ngx_media_peer_send(peer, buf, p - buf);
}


static void
ngx_media_amqp_sent(ngx_media_peer_t *peer, ngx_media_job_t *job)
{
    ngx_media_amqp_t  *amqp;

    amqp = peer->data;

    job->tag = ++amqp->tag;
}


/* a confirm may come later still: only this message is given up */

static ngx_int_t
ngx_media_amqp_late(ngx_media_peer_t *peer, ngx_media_job_t *job)
{
    ngx_media_amqp_t  *amqp;

    amqp = peer->data;

    if (!amqp->stalled) {
        amqp->stalled = 1;
        amqp->stalled_since = ngx_current_msec;
    }

    ngx_media_peer_complete(peer, job, NGX_ERROR, NULL);

    return NGX_OK;
}


static ngx_int_t
ngx_media_amqp_frame(ngx_media_amqp_t *amqp, ngx_media_amqp_frame_t *frame)
{
    if (frame->channel > NGX_MEDIA_AMQP_CHANNEL) {
        amqp->peer->reason = "sent a frame of an unknown channel";
        return NGX_ERROR;
    }

    switch (frame->type) {

    case NGX_MEDIA_AMQP_METHOD:
        return ngx_media_amqp_method(amqp, frame);

    case NGX_MEDIA_AMQP_HEADER:
        if (amqp->returned) {
            amqp->returned = 0;
            ngx_media_amqp_unroutable(amqp, frame);
        }

        return NGX_OK;

    case NGX_MEDIA_AMQP_BODY:
    case NGX_MEDIA_AMQP_HEARTBEAT:
        return NGX_OK;

    default:
        amqp->peer->reason = "sent a frame of an unknown type";
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_media_amqp_method(ngx_media_amqp_t *amqp, ngx_media_amqp_frame_t *frame)
{
    void               *decoded;
    uint32_t            method;
    ngx_uint_t          up;
    amqp_basic_ack_t   *ack;
    amqp_basic_nack_t  *nack;

    method = ngx_media_amqp_frame_method(frame);
    up = (amqp->peer->state == NGX_MEDIA_PEER_UP);
    decoded = NULL;

    switch (method) {

    /* all others are known by their number alone */

    case AMQP_CONNECTION_TUNE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_BASIC_ACK_METHOD:
    case AMQP_BASIC_NACK_METHOD:
        recycle_amqp_pool(&amqp->pool);

        if (amqp_decode_method(method, &amqp->pool,
                               ngx_media_amqp_view(
                                             (u_char *) frame->payload + 4,
                                             frame->len - 4),
                               &decoded)
            < 0)
        {
            amqp->peer->reason = "sent an invalid method";
            return NGX_ERROR;
        }
    }

    switch (method) {

    case AMQP_CONNECTION_START_METHOD:
        return up ? NGX_ERROR : ngx_media_amqp_start_ok(amqp);

    case AMQP_CONNECTION_TUNE_METHOD:
        return up ? NGX_ERROR : ngx_media_amqp_tune_ok(amqp, decoded);

    case AMQP_CONFIRM_SELECT_OK_METHOD:
        if (up) {
            return NGX_ERROR;
        }

        ngx_media_peer_up(amqp->peer);
        return NGX_OK;

    case AMQP_CONNECTION_CLOSE_METHOD:
    case AMQP_CHANNEL_CLOSE_METHOD:
        return ngx_media_amqp_connection_closed(amqp, method, decoded);

    case AMQP_CONNECTION_BLOCKED_METHOD:
        ngx_log_error(NGX_LOG_ERR, amqp->peer->log, 0, "%V: blocked",
                      &amqp->conf->peer.name);
        amqp->blocked = 1;
        return NGX_OK;

    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        ngx_log_error(NGX_LOG_NOTICE, amqp->peer->log, 0, "%V: unblocked",
                      &amqp->conf->peer.name);
        amqp->blocked = 0;
        return NGX_OK;

    case AMQP_BASIC_ACK_METHOD:
        ack = decoded;
        ngx_media_amqp_confirm(amqp, ack->delivery_tag, ack->multiple,
                               NGX_OK);
        return NGX_OK;

    case AMQP_BASIC_NACK_METHOD:
        nack = decoded;
        ngx_media_amqp_confirm(amqp, nack->delivery_tag, nack->multiple,
                               NGX_ERROR);
        return NGX_OK;

    case AMQP_BASIC_RETURN_METHOD:
        amqp->returned = 1;
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_media_amqp_connection_closed(ngx_media_amqp_t *amqp, uint32_t method,
    void *decoded)
{
    ngx_str_t                 text;
    ngx_uint_t                level;
    amqp_channel_close_t     *channel;
    amqp_connection_close_t  *connection;

    if (method == AMQP_CHANNEL_CLOSE_METHOD) {
        channel = decoded;
        text.len = channel->reply_text.len;
        text.data = channel->reply_text.bytes;
        amqp->peer->reason = "closed the channel";

    } else {
        connection = decoded;
        text.len = connection->reply_text.len;
        text.data = connection->reply_text.bytes;
        amqp->peer->reason = "closed the connection";
    }

    amqp->peer->error = NGX_MEDIA_PEER_ERROR_REPLY;

    level = amqp->peer->failures ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_log_error(level, amqp->peer->log, 0, "%V: says \"%V\"",
                  &amqp->conf->peer.name, &text);

    return NGX_ERROR;
}


static ngx_int_t
ngx_media_amqp_start_ok(ngx_media_amqp_t *amqp)
{
    u_char                     buf[NGX_MEDIA_AMQP_HEAD_MAX], *p;
    u_char                     plain[2 + 255 + 255];
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    amqp_table_entry_t         capability[3], property[3];
    amqp_connection_start_ok_t  ok;

    static const char  *names[] = { "publisher_confirms",
                                    "connection.blocked",
                                    "authentication_failure_close" };

    for (i = 0; i < 3; i++) {
        capability[i].key = amqp_cstring_bytes(names[i]);
        capability[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
        capability[i].value.value.boolean = 1;
    }

    property[0].key = amqp_cstring_bytes("product");
    property[0].value.kind = AMQP_FIELD_KIND_UTF8;
    property[0].value.value.bytes = amqp_cstring_bytes("ngx_media");
    property[1].key = amqp_cstring_bytes("capabilities");
    property[1].value.kind = AMQP_FIELD_KIND_TABLE;
    property[1].value.value.table.num_entries = 3;
    property[1].value.value.table.entries = capability;
    property[2].key = amqp_cstring_bytes("connection_name");
    property[2].value.kind = AMQP_FIELD_KIND_UTF8;
    property[2].value.value.bytes = amqp_cstring_bytes("nginx");

    ok.client_properties.num_entries = 3;
    ok.client_properties.entries = property;

    p = plain;
    *p++ = '\0';
    p = ngx_cpymem(p, amqp->conf->user.data, amqp->conf->user.len);
    *p++ = '\0';
    p = ngx_cpymem(p, amqp->conf->password.data, amqp->conf->password.len);

    ok.mechanism = amqp_cstring_bytes("PLAIN");
    ok.response = ngx_media_amqp_view(plain, p - plain);
    ok.locale = amqp_cstring_bytes("en_US");

    p = ngx_media_amqp_put(buf, buf + sizeof(buf), 0,
                           AMQP_CONNECTION_START_OK_METHOD, &ok);

    rc = p ? ngx_media_peer_send(amqp->peer, buf, p - buf) : NGX_ERROR;

    ngx_explicit_memzero(plain, sizeof(plain));
    ngx_explicit_memzero(buf, sizeof(buf));

    return rc;
}


static ngx_int_t
ngx_media_amqp_tune_ok(ngx_media_amqp_t *amqp, amqp_connection_tune_t *tune)
{
    u_char                    buf[NGX_MEDIA_AMQP_HEAD_MAX], *p, *end;
    amqp_channel_open_t       channel;
    amqp_confirm_select_t     confirm;
    amqp_connection_open_t    open;
    amqp_connection_tune_ok_t  ok;

    if (tune->frame_max && tune->frame_max < amqp->frame_max) {
        amqp->frame_max = tune->frame_max;
    }

    if (amqp->frame_max < NGX_MEDIA_AMQP_FRAME_MIN) {
        amqp->peer->reason = "wants too small frames";
        return NGX_ERROR;
    }

    ok.channel_max = NGX_MEDIA_AMQP_CHANNEL;
    ok.frame_max = amqp->frame_max;
    ok.heartbeat = (amqp->conf->peer.heartbeat * 2 + 999) / 1000;

    ngx_memzero(&open, sizeof(amqp_connection_open_t));
    open.virtual_host = ngx_media_amqp_bytes(&amqp->conf->vhost);

    ngx_memzero(&channel, sizeof(amqp_channel_open_t));
    ngx_memzero(&confirm, sizeof(amqp_confirm_select_t));

    end = buf + sizeof(buf);

    p = ngx_media_amqp_put(buf, end, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
    p = ngx_media_amqp_put(p, end, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
    p = ngx_media_amqp_put(p, end, NGX_MEDIA_AMQP_CHANNEL,
                           AMQP_CHANNEL_OPEN_METHOD, &channel);
    p = ngx_media_amqp_put(p, end, NGX_MEDIA_AMQP_CHANNEL,
                           AMQP_CONFIRM_SELECT_METHOD, &confirm);

    return p ? ngx_media_peer_send(amqp->peer, buf, p - buf) : NGX_ERROR;
}


/* writes a method frame; NULL, also for p, if there is no room */

static u_char *
ngx_media_amqp_put(u_char *p, u_char *end, ngx_uint_t channel,
    uint32_t method, void *decoded)
{
    int      n;
    u_char  *payload;

    if (p == NULL || end - p < NGX_MEDIA_AMQP_FRAME_EXTRA + 4) {
        return NULL;
    }

    payload = p + NGX_MEDIA_AMQP_FRAME_HEAD;
    payload[0] = (u_char) (method >> 24);
    payload[1] = (u_char) (method >> 16);
    payload[2] = (u_char) (method >> 8);
    payload[3] = (u_char) method;

    n = amqp_encode_method(method, decoded,
                           ngx_media_amqp_view(payload + 4,
                                               end - payload - 5));
    if (n < 0) {
        return NULL;
    }

    (void) ngx_media_amqp_frame_open(p, NGX_MEDIA_AMQP_METHOD, channel,
                                     n + 4);

    return ngx_media_amqp_frame_close(payload + 4 + n);
}


static void
ngx_media_amqp_confirm(ngx_media_amqp_t *amqp, uint64_t tag,
    ngx_uint_t multiple, ngx_int_t rc)
{
    ngx_queue_t               *q, *next, *list;
    ngx_media_amqp_message_t  *msg;

    amqp->stalled = 0;
    list = &amqp->peer->inflight;

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = next) {
        next = ngx_queue_next(q);
        msg = ngx_queue_data(q, ngx_media_amqp_message_t, job.queue);

        if (msg->job.tag > tag && tag != 0) {
            break;
        }

        if (msg->job.tag != tag && !multiple) {
            continue;
        }

        if (msg->unroutable || rc != NGX_OK) {
            ngx_media_peer_count(amqp->peer, NGX_MEDIA_PEER_ERROR_REPLY);
        }

        ngx_media_peer_complete(amqp->peer, &msg->job,
                                msg->unroutable ? NGX_ERROR : rc, NULL);
    }
}


/* a returned message is acknowledged as well, afterwards */

static void
ngx_media_amqp_unroutable(ngx_media_amqp_t *amqp,
    ngx_media_amqp_frame_t *frame)
{
    ssize_t                    len;
    ngx_queue_t               *q;
    const uint8_t             *id;
    ngx_media_amqp_message_t  *msg;

    len = ngx_media_amqp_frame_message_id(frame, &id);
    if (len < 0) {
        return;
    }

    for (q = ngx_queue_head(&amqp->peer->inflight);
         q != ngx_queue_sentinel(&amqp->peer->inflight);
         q = ngx_queue_next(q))
    {
        msg = ngx_queue_data(q, ngx_media_amqp_message_t, job.queue);

        if (msg->id.len == (size_t) len
            && ngx_memcmp(msg->id.data, id, len) == 0)
        {
            msg->unroutable = 1;
        }
    }
}


const char *
ngx_media_amqp_reason(ngx_media_amqp_t *amqp)
{
    if (amqp->peer->state == NGX_MEDIA_PEER_DOWN) {
        return "broker away";
    }

    if (amqp->blocked) {
        return "broker blocked";
    }

    return amqp->stalled ? "broker slow" : "queue full";
}


ngx_int_t
ngx_media_amqp_publish(ngx_media_amqp_t *amqp, ngx_media_amqp_message_t *msg,
    ngx_pool_t *pool)
{
    u_char               *p, *end;
    ngx_chain_t         **ll, *cl;
    amqp_basic_publish_t   publish;

    if (amqp->peer->state == NGX_MEDIA_PEER_UP
        && (amqp->blocked || amqp->stalled))
    {
        return NGX_BUSY;
    }

    p = ngx_pnalloc(pool, NGX_MEDIA_AMQP_HEAD_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    end = p + NGX_MEDIA_AMQP_HEAD_MAX;
    msg->job.out = NULL;
    ll = &msg->job.out;

    if (ngx_media_amqp_link(&ll, p, 0, pool) == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&publish, sizeof(amqp_basic_publish_t));
    publish.exchange = ngx_media_amqp_bytes(&amqp->conf->exchange);
    publish.routing_key = msg->routing_key.len
                          ? ngx_media_amqp_bytes(&msg->routing_key)
                          : ngx_media_amqp_bytes(&amqp->conf->routing_key);
    publish.mandatory = 1;

    p = ngx_media_amqp_put(p, end, NGX_MEDIA_AMQP_CHANNEL,
                           AMQP_BASIC_PUBLISH_METHOD, &publish);
    p = ngx_media_amqp_put_header(msg, p, end);
    if (p == NULL) {
        return NGX_ERROR;
    }

    msg->job.out->buf->last = p;

    if (ngx_media_amqp_put_body(amqp, msg, ll, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    msg->job.size = 0;

    for (cl = msg->job.out; cl; cl = cl->next) {
        msg->job.size += ngx_buf_size(cl->buf);
    }

    return ngx_media_peer_submit(amqp->peer, &msg->job, 0);
}


static u_char *
ngx_media_amqp_put_header(ngx_media_amqp_message_t *msg, u_char *p,
    u_char *end)
{
    int                      n;
    u_char                  *payload;
    ngx_uint_t               i;
    ngx_str_t               *value[5];
    amqp_table_entry_t       entry[6];
    amqp_basic_properties_t  props;

    static const char  *names[] = { "provider", "request_id", "instance",
                                    "body_key", "body_size" };

    if (p == NULL || end - p < NGX_MEDIA_AMQP_FRAME_EXTRA + 12) {
        return NULL;
    }

    value[0] = &msg->provider;
    value[1] = &msg->id;
    value[2] = &msg->instance;
    value[3] = &msg->body_key;
    value[4] = &msg->body_size;

    for (i = 0; i < 5; i++) {
        entry[i + 1].key = amqp_cstring_bytes(names[i]);
        entry[i + 1].value.kind = AMQP_FIELD_KIND_UTF8;
        entry[i + 1].value.value.bytes = ngx_media_amqp_bytes(value[i]);
    }

    entry[0].key = amqp_cstring_bytes("received_ms");
    entry[0].value.kind = AMQP_FIELD_KIND_I64;
    entry[0].value.value.i64 = (int64_t) msg->received_ms;

    ngx_memzero(&props, sizeof(amqp_basic_properties_t));
    props._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG
                   | AMQP_BASIC_DELIVERY_MODE_FLAG
                   | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG;
    props.content_type = amqp_cstring_bytes("application/json");
    props.headers.num_entries = msg->body_key.len ? 6 : 4;
    props.headers.entries = entry;
    props.delivery_mode = 2;
    props.message_id = ngx_media_amqp_bytes(&msg->id);
    props.timestamp = msg->received_ms / 1000;

    payload = p + NGX_MEDIA_AMQP_FRAME_HEAD;
    ngx_memzero(payload, 12);
    payload[1] = AMQP_BASIC_CLASS;

    for (i = 0; i < 8; i++) {
        payload[4 + i] = (u_char) ((uint64_t) msg->body.len >> (56 - 8 * i));
    }

    n = amqp_encode_properties(AMQP_BASIC_CLASS, &props,
                               ngx_media_amqp_view(payload + 12,
                                                   end - payload - 13));
    if (n < 0) {
        return NULL;
    }

    (void) ngx_media_amqp_frame_open(p, NGX_MEDIA_AMQP_HEADER,
                                     NGX_MEDIA_AMQP_CHANNEL, n + 12);

    return ngx_media_amqp_frame_close(payload + 12 + n);
}


/* the body is not copied: small buffers with the frames' ends go between */

static ngx_int_t
ngx_media_amqp_put_body(ngx_media_amqp_t *amqp, ngx_media_amqp_message_t *msg,
    ngx_chain_t **ll, ngx_pool_t *pool)
{
    size_t   n, max, left;
    u_char  *p, *body;

    body = msg->body.data;

    /* what the broker will agree to is not known before */

    max = (amqp->peer->state == NGX_MEDIA_PEER_UP) ? amqp->frame_max
                                                   : NGX_MEDIA_AMQP_FRAME_MIN;

    for (left = msg->body.len; left; left -= n) {
        n = ngx_min(left, max - NGX_MEDIA_AMQP_FRAME_EXTRA);

        p = ngx_pnalloc(pool, NGX_MEDIA_AMQP_FRAME_EXTRA);
        if (p == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_media_amqp_frame_open(p, NGX_MEDIA_AMQP_BODY,
                                         NGX_MEDIA_AMQP_CHANNEL, n);
        (void) ngx_media_amqp_frame_close(p + NGX_MEDIA_AMQP_FRAME_HEAD);

        if (ngx_media_amqp_link(&ll, p, NGX_MEDIA_AMQP_FRAME_HEAD, pool)
            == NULL
            || ngx_media_amqp_link(&ll, body, n, pool) == NULL
            || ngx_media_amqp_link(&ll, p + NGX_MEDIA_AMQP_FRAME_HEAD, 1,
                                   pool) == NULL)
        {
            return NGX_ERROR;
        }

        body += n;
    }

    return NGX_OK;
}


static ngx_buf_t *
ngx_media_amqp_link(ngx_chain_t ***ll, u_char *p, size_t len,
    ngx_pool_t *pool)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(pool);
    cl = ngx_alloc_chain_link(pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    b->start = b->pos = p;
    b->end = b->last = p + len;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;
    **ll = cl;
    *ll = &cl->next;

    return b;
}
