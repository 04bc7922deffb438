/*
 * Copyright (C) ngx_media contributors
 *
 * RabbitMQ by librabbitmq, blocking.  One connection with two channels: one
 * consumes with a prefetch of one, the other publishes in confirm mode.  As
 * a child holds its one message while it publishes, no delivery ever comes
 * between a publish and its confirm.
 *
 * A job may take minutes without a frame, so the heartbeat is longer than
 * any job; TCP's own timers find a dead broker sooner.
 */

#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "broker.h"


#define BROKER_TIMEOUT    10            /* seconds: connect, RPC, confirm */
#define BROKER_HEARTBEAT  300           /* seconds, at least */
#define BROKER_FRAME_MAX  131072
#define BROKER_DELIVERIES 5             /* then a message is dead */
#define BROKER_JITTER     20            /* percent of a retry's delay */


static int broker_connect(broker_t *b);
static amqp_socket_t *broker_socket(broker_t *b, bool tls);
static void broker_keepalive(broker_t *b);
static int broker_channels(broker_t *b);
static int broker_declare_exchange(broker_t *b, const char *name,
    const char *type);
static int broker_declare_work(broker_t *b, const char *name);
static int broker_declare_retry(broker_t *b, int delay);
static int broker_declare_dead(broker_t *b);
static int broker_declare_queue(broker_t *b, const char *name,
    amqp_table_entry_t *args, int nargs);
static int broker_bind(broker_t *b, const char *queue, const char *exchange,
    const char *key);
static void broker_arg(amqp_table_entry_t *args, int *n, const char *key,
    const char *value);
static void broker_arg_int(amqp_table_entry_t *args, int *n, const char *key,
    int value);
static void broker_arg_bool(amqp_table_entry_t *args, int *n,
    const char *key);
static int broker_retry_delay(int delay);
static int broker_confirmed(broker_t *b);


static const char *const  broker_queues[] = {
    "webhook_inbound", "media_priority", "media_download", "media_upload",
    BROKER_ORDERED
};


broker_t *
broker_open(void)
{
    broker_t  *b;

    b = calloc(1, sizeof(broker_t));
    if (b == NULL) {
        return NULL;
    }

    b->conn = amqp_new_connection();

    if (b->conn == NULL || broker_connect(b) != 0) {
        broker_close(b);
        return NULL;
    }

    return b;
}


void
broker_close(broker_t *b)
{
    if (b == NULL) {
        return;
    }

    if (b->conn != NULL) {
        if (!b->broken) {
            (void) amqp_connection_close(b->conn, AMQP_REPLY_SUCCESS);
        }

        (void) amqp_destroy_connection(b->conn);
    }

    free(b);
}


static int
broker_connect(broker_t *b)
{
    int                          rc, heartbeat;
    char                        *url;
    amqp_socket_t               *socket;
    struct timeval               timeout;
    amqp_rpc_reply_t             reply;
    struct amqp_connection_info  info;

    b->broken = true;
    timeout = (struct timeval) { BROKER_TIMEOUT, 0 };

    url = strdup(conf.rabbitmq_url);
    if (url == NULL) {
        return -1;
    }

    if (amqp_parse_url(url, &info) != AMQP_STATUS_OK) {
        free(url);
        return broker_failed(b, "connect", "RABBITMQ_URL is not valid");
    }

    socket = broker_socket(b, info.ssl);

    if (socket == NULL) {
        free(url);
        return broker_failed(b, "connect", "no socket");
    }

    rc = amqp_socket_open_noblock(socket, info.host, info.port, &timeout);

    if (rc != AMQP_STATUS_OK) {
        explicit_bzero(url, strlen(url));
        free(url);
        return broker_failed(b, "connect", amqp_error_string2(rc));
    }

    (void) amqp_set_handshake_timeout(b->conn, &timeout);
    (void) amqp_set_rpc_timeout(b->conn, &timeout);
    broker_keepalive(b);

    heartbeat = conf.lease > BROKER_HEARTBEAT ? conf.lease : BROKER_HEARTBEAT;

    reply = amqp_login(b->conn, info.vhost, 0, BROKER_FRAME_MAX, heartbeat,
                       AMQP_SASL_METHOD_PLAIN, info.user, info.password);

    explicit_bzero(url, strlen(url));
    free(url);

    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        return broker_failed(b, "login",
                             reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION
                             ? "refused" : amqp_error_string2(
                                               reply.library_error));
    }

    return broker_channels(b);
}


static amqp_socket_t *
broker_socket(broker_t *b, bool tls)
{
    amqp_socket_t  *socket;

    if (!tls) {
        return amqp_tcp_socket_new(b->conn);
    }

    socket = amqp_ssl_socket_new(b->conn);

    if (socket == NULL) {
        return NULL;
    }

    if (amqp_ssl_socket_set_cacert(socket,
                                   "/etc/ssl/certs/ca-certificates.crt")
        != AMQP_STATUS_OK)
    {
        return NULL;
    }

    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);

    return socket;
}


static void
broker_keepalive(broker_t *b)
{
    int  fd, on, idle, interval, count;

    fd = amqp_get_sockfd(b->conn);
    on = 1;
    idle = 30;
    interval = 10;
    count = 3;

    (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(int));
    (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(int));
    (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(int));
    (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(int));
}


static int
broker_channels(broker_t *b)
{
    b->broken = false;

    (void) amqp_channel_open(b->conn, BROKER_CONSUME);
    if (broker_check(b, "channel") != 0) {
        return -1;
    }

    (void) amqp_channel_open(b->conn, BROKER_PUBLISH);
    if (broker_check(b, "channel") != 0) {
        return -1;
    }

    (void) amqp_confirm_select(b->conn, BROKER_PUBLISH);

    return broker_check(b, "confirm.select");
}


int
broker_check(broker_t *b, const char *what)
{
    amqp_rpc_reply_t           reply;
    amqp_channel_close_t      *channel;
    amqp_connection_close_t   *connection;

    reply = amqp_get_rpc_reply(b->conn);

    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return 0;
    }

    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        return broker_failed(b, what,
                             amqp_error_string2(reply.library_error));
    }

    if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        channel = reply.reply.decoded;
        return broker_failed(b, what,
                             log_fmt("%.*s", (int) channel->reply_text.len,
                                     (char *) channel->reply_text.bytes));
    }

    if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        connection = reply.reply.decoded;
        return broker_failed(b, what,
                             log_fmt("%.*s", (int) connection->reply_text.len,
                                     (char *) connection->reply_text.bytes));
    }

    return broker_failed(b, what, "unexpected answer");
}


int
broker_failed(broker_t *b, const char *what, const char *why)
{
    b->broken = true;

    log_msg(LOG_ERR, "broker failed", "action", what, "reason", why, NULL);

    return -1;
}


int
broker_declare(broker_t *b)
{
    int     i;
    size_t  q;

    if (broker_declare_exchange(b, "media", "topic") != 0
        || broker_declare_dead(b) != 0)
    {
        return -1;
    }

    for (q = 0; q < sizeof(broker_queues) / sizeof(broker_queues[0]); q++) {
        if (broker_declare_work(b, broker_queues[q]) != 0) {
            return -1;
        }
    }

    for (i = 0; i < conf.nretry_delays; i++) {
        if (broker_declare_retry(b, conf.retry_delays[i]) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
broker_declare_exchange(broker_t *b, const char *name, const char *type)
{
    (void) amqp_exchange_declare(b->conn, BROKER_CONSUME,
                                 amqp_cstring_bytes(name),
                                 amqp_cstring_bytes(type), 0, 1, 0, 0,
                                 amqp_empty_table);

    return broker_check(b, "exchange.declare");
}


/*
 * Dead-lettering "at least once" needs reject-publish: the target has to
 * confirm before the source forgets.
 */

static int
broker_declare_work(broker_t *b, const char *name)
{
    int                 n;
    amqp_table_entry_t  args[8];

    n = 0;
    broker_arg(args, &n, "x-queue-type", "quorum");
    broker_arg(args, &n, "x-overflow", "reject-publish");
    broker_arg(args, &n, "x-dead-letter-exchange", "media_dead");
    broker_arg(args, &n, "x-dead-letter-strategy", "at-least-once");
    broker_arg_int(args, &n, "x-delivery-limit", BROKER_DELIVERIES);

    /* what its consumer did not acknowledge comes first for the next one */

    if (strcmp(name, BROKER_ORDERED) == 0) {
        broker_arg_bool(args, &n, "x-single-active-consumer");
    }

    if (broker_declare_queue(b, name, args, n) != 0) {
        return -1;
    }

    return broker_bind(b, name, "media", name);
}


/*
 * No dead-letter routing key: the one a message was published with brings it
 * back to its queue.
 */

static int
broker_declare_retry(broker_t *b, int delay)
{
    int                 n;
    char                name[64];
    amqp_table_entry_t  args[8];

    snprintf(name, sizeof(name), "media_retry_%d", delay);

    if (broker_declare_exchange(b, name, "fanout") != 0) {
        return -1;
    }

    n = 0;
    broker_arg(args, &n, "x-queue-type", "quorum");
    broker_arg(args, &n, "x-overflow", "reject-publish");
    broker_arg(args, &n, "x-dead-letter-exchange", "media");
    broker_arg(args, &n, "x-dead-letter-strategy", "at-least-once");
    broker_arg_int(args, &n, "x-message-ttl", delay * 1000);

    if (broker_declare_queue(b, name, args, n) != 0) {
        return -1;
    }

    return broker_bind(b, name, name, "");
}


static int
broker_declare_dead(broker_t *b)
{
    int                 n;
    amqp_table_entry_t  args[8];

    if (broker_declare_exchange(b, "media_dead", "fanout") != 0) {
        return -1;
    }

    n = 0;
    broker_arg(args, &n, "x-queue-type", "quorum");

    if (broker_declare_queue(b, "media_dead", args, n) != 0) {
        return -1;
    }

    return broker_bind(b, "media_dead", "media_dead", "");
}


static int
broker_declare_queue(broker_t *b, const char *name, amqp_table_entry_t *args,
    int nargs)
{
    amqp_table_t  table;

    table.num_entries = nargs;
    table.entries = args;

    (void) amqp_queue_declare(b->conn, BROKER_CONSUME,
                              amqp_cstring_bytes(name), 0, 1, 0, 0, table);

    return broker_check(b, "queue.declare");
}


int
broker_waiting(broker_t *b, const char *queue)
{
    amqp_queue_declare_ok_t  *ok;

    ok = amqp_queue_declare(b->conn, BROKER_CONSUME,
                            amqp_cstring_bytes(queue), 1, 0, 0, 0,
                            amqp_empty_table);

    if (broker_check(b, "queue.declare") != 0 || ok == NULL) {
        return -1;
    }

    return (int) ok->message_count;
}


static int
broker_bind(broker_t *b, const char *queue, const char *exchange,
    const char *key)
{
    (void) amqp_queue_bind(b->conn, BROKER_CONSUME, amqp_cstring_bytes(queue),
                           amqp_cstring_bytes(exchange),
                           amqp_cstring_bytes(key), amqp_empty_table);

    return broker_check(b, "queue.bind");
}


static void
broker_arg(amqp_table_entry_t *args, int *n, const char *key,
    const char *value)
{
    args[*n].key = amqp_cstring_bytes(key);
    args[*n].value.kind = AMQP_FIELD_KIND_UTF8;
    args[*n].value.value.bytes = amqp_cstring_bytes(value);
    (*n)++;
}


static void
broker_arg_int(amqp_table_entry_t *args, int *n, const char *key, int value)
{
    args[*n].key = amqp_cstring_bytes(key);
    args[*n].value.kind = AMQP_FIELD_KIND_I32;
    args[*n].value.value.i32 = value;
    (*n)++;
}


static void
broker_arg_bool(amqp_table_entry_t *args, int *n, const char *key)
{
    args[*n].key = amqp_cstring_bytes(key);
    args[*n].value.kind = AMQP_FIELD_KIND_BOOLEAN;
    args[*n].value.value.boolean = 1;
    (*n)++;
}


int
broker_publish(broker_t *b, const char *queue, media_str_t body, int attempt,
    int delay)
{
    job_t  job;

    memset(&job, 0, sizeof(job_t));

    job.queue = queue;
    job.body = body;
    job.attempt = attempt;

    return broker_publish_job(b, &job, delay);
}


int
broker_publish_job(broker_t *b, const job_t *job, int delay)
{
    int                      rc;
    char                     exchange[64], expiration[16];
    amqp_bytes_t             body;
    amqp_table_entry_t       entries[BROKER_HEADERS_MAX];
    amqp_basic_properties_t  props;

    broker_properties(&props, entries, job);
    strcpy(exchange, "media");

    if (delay > 0) {
        delay = broker_retry_delay(delay);
        snprintf(exchange, sizeof(exchange), "media_retry_%d", delay);

        /* a bit earlier at random, so that a crowd does not return at once */
        snprintf(expiration, sizeof(expiration), "%ld",
                 delay * 10L * (100 - random() % (BROKER_JITTER + 1)));

        props._flags |= AMQP_BASIC_EXPIRATION_FLAG;
        props.expiration = amqp_cstring_bytes(expiration);
    }

    body.len = job->body.len;
    body.bytes = (void *) job->body.data;

    rc = amqp_basic_publish(b->conn, BROKER_PUBLISH,
                            amqp_cstring_bytes(exchange),
                            amqp_cstring_bytes(job->queue), 1, 0, &props,
                            body);

    if (rc != AMQP_STATUS_OK) {
        return broker_failed(b, "publish", amqp_error_string2(rc));
    }

    return broker_confirmed(b);
}


int
broker_publish_id(broker_t *b, const char *queue, const char *type,
    const char *name, const char *id, int delay)
{
    int          n;
    char         body[256];
    media_str_t  s;

    if (b == NULL) {
        return -1;
    }

    n = snprintf(body, sizeof(body), "{\"type\":\"%s\",\"%s\":\"%s\"}", type,
                 name, id);

    if ((size_t) n >= sizeof(body)) {
        return -1;
    }

    media_str_set(&s, body, n);

    return broker_publish(b, queue, s, 0, delay);
}


static int
broker_retry_delay(int delay)
{
    int  i;

    for (i = 0; i < conf.nretry_delays - 1; i++) {
        if (conf.retry_delays[i] >= delay) {
            break;
        }
    }

    return conf.retry_delays[i];
}


/* a message that no queue takes is returned first, and confirmed then */

static int
broker_confirmed(broker_t *b)
{
    int               rc;
    bool              returned;
    int64_t           left, deadline;
    amqp_frame_t      frame;
    amqp_message_t    message;
    struct timeval    timeout;
    amqp_rpc_reply_t  reply;

    returned = false;
    deadline = now_ms() + BROKER_TIMEOUT * 1000;

    while ((left = deadline - now_ms()) > 0) {
        timeout.tv_sec = left / 1000;
        timeout.tv_usec = left % 1000 * 1000;

        rc = amqp_simple_wait_frame_noblock(b->conn, &frame, &timeout);

        if (rc != AMQP_STATUS_OK) {
            return broker_failed(b, "confirm", amqp_error_string2(rc));
        }

        if (frame.frame_type != AMQP_FRAME_METHOD) {
            continue;
        }

        switch (frame.payload.method.id) {

        case AMQP_BASIC_RETURN_METHOD:
            returned = true;
            reply = amqp_read_message(b->conn, BROKER_PUBLISH, &message, 0);

            if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
                return broker_failed(b, "confirm", "return is incomplete");
            }

            amqp_destroy_message(&message);
            break;

        case AMQP_BASIC_ACK_METHOD:
            amqp_maybe_release_buffers_on_channel(b->conn, BROKER_PUBLISH);

            if (returned) {
                return broker_failed(b, "publish", "no queue takes it");
            }

            return 0;

        case AMQP_BASIC_NACK_METHOD:
            return broker_failed(b, "confirm", "refused by the broker");

        default:
            return broker_failed(b, "confirm", "closed by the broker");
        }
    }

    return broker_failed(b, "confirm", "timed out");
}
