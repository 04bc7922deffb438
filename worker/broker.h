/*
 * Copyright (C) ngx_media contributors
 *
 * What broker.c (connection, topology, publishing) and consume.c (taking
 * jobs) share: the connection itself and the headers of a message.
 */

#ifndef MEDIA_BROKER_H
#define MEDIA_BROKER_H

#include <sys/time.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

#include "media_worker.h"


#define BROKER_CONSUME  1               /* channels */
#define BROKER_PUBLISH  2

/* the queue whose jobs are done in their order: one consumer of all workers
   is active, and has one job at a time */
#define BROKER_ORDERED  "media_send"


struct broker_s {
    amqp_connection_state_t  conn;
    bool                     broken;    /* open another one */
};


/* logs what an RPC or a library call failed of, and marks it broken */
int broker_check(broker_t *b, const char *what);
int broker_failed(broker_t *b, const char *what, const char *why);

/* broker_message.c: headers of a message to a job, and back */
void broker_job(job_t *job, const char *queue, const amqp_envelope_t *env);
void broker_properties(amqp_basic_properties_t *props,
    amqp_table_entry_t *entries, const job_t *job);

#define BROKER_HEADERS_MAX  8           /* entries that it may fill */

#endif
