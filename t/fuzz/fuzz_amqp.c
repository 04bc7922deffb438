/*
 * Copyright (C) ngx_media contributors
 *
 * What a broker sends: the handshake, confirms and returned messages.  Each
 * message is completed once, with the same result however the bytes came.
 */

#include "fuzz.h"
#include "stub.h"

#include "ngx_media_amqp.h"


#define MESSAGES  6


typedef struct {
    ngx_media_amqp_t          *amqp;
    ngx_media_amqp_message_t   messages[MESSAGES];
    uint64_t                   sum;
    unsigned                   completed;
    unsigned                   submitted;
} reader_t;


static void on_up(void *data);
static void on_done(ngx_media_job_t *job, ngx_int_t rc, void *reply);


/* what is not consumed comes again, with more */
static ssize_t
run(reader_t *reader, fuzz_cut_t cut, ngx_media_amqp_conf_t *conf,
    const uint8_t *data, size_t size)
{
    char      *copy;
    size_t     n, done, used;
    ssize_t    rc;
    uint64_t   seed;

    memset(reader, 0, sizeof(reader_t));
    reader->sum = seed = FUZZ_SUM;
    stub_up = on_up;
    stub_data = reader;

    reader->amqp = ngx_media_amqp_create(conf, &stub_cycle);
    fuzz_check(reader->amqp != NULL);
    fuzz_check(stub_peer->ops->greet(stub_peer) == NGX_OK);

    rc = 0;
    used = 0;

    for (done = 0; done < size && rc >= 0; /* void */) {
        n = fuzz_piece(cut, &seed, data + done, size - done);
        done += n;
        copy = fuzz_copy(data + used, done - used);
        rc = stub_peer->ops->input(stub_peer, (u_char *) copy, done - used);
        free(copy);

        fuzz_check(rc == NGX_ERROR
                   || (rc >= 0 && (size_t) rc <= done - used));
        used += rc < 0 ? 0 : (size_t) rc;
    }

    fuzz_number(&reader->sum, stub_peer->state);
    fuzz_number(&reader->sum, reader->amqp->blocked);
    fuzz_check(ngx_media_amqp_reason(reader->amqp) != NULL);

    stub_close(stub_peer);
    fuzz_check(reader->completed == reader->submitted);

    return rc < 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ssize_t                 rc;
    uint64_t                sum;
    reader_t                reader;
    fuzz_cut_t              cut;
    ngx_media_amqp_conf_t   conf;

    if (size > 32768) {
        return 0;
    }

    memset(&conf, 0, sizeof(conf));
    ngx_str_set(&conf.peer.name, "rabbitmq");
    ngx_str_set(&conf.user, "media");
    ngx_str_set(&conf.password, "secret");
    ngx_str_set(&conf.vhost, "/");
    ngx_str_set(&conf.exchange, "media");
    ngx_str_set(&conf.routing_key, "inbound");

    rc = run(&reader, FUZZ_WHOLE, &conf, data, size);
    sum = reader.sum;

    for (cut = FUZZ_BYTES; cut < FUZZ_CUTS; cut++) {

        /* a broker's own "AMQP" is looked for where a read begins */
        if (memmem(data, size, "AMQP", 4) != NULL) {
            (void) run(&reader, cut, &conf, data, size);
            continue;
        }

        fuzz_check(run(&reader, cut, &conf, data, size) == rc);
        fuzz_check(reader.sum == sum);
    }

    stub_free();

    return 0;
}


static void
on_up(void *data)
{
    unsigned                   i;
    reader_t                  *reader = data;
    ngx_media_amqp_message_t  *msg;

    static u_char  ids[] = "m0m1m2m3m4m5";

    for (i = 0; i < MESSAGES; i++) {
        msg = &reader->messages[i];
        msg->id.data = ids + 2 * i;
        msg->id.len = 2;
        ngx_str_set(&msg->body, "{}");
        msg->job.handler = on_done;
        msg->job.data = reader;

        if (ngx_media_amqp_publish(reader->amqp, msg, NULL) == NGX_OK) {
            reader->submitted++;
        }
    }
}


static void
on_done(ngx_media_job_t *job, ngx_int_t rc, void *reply)
{
    reader_t  *reader = job->data;

    fuzz_check(reply == NULL && (rc == NGX_OK || rc == NGX_ERROR));
    reader->completed++;
    fuzz_number(&reader->sum, (int64_t) job->tag);
    fuzz_number(&reader->sum, rc);
}
