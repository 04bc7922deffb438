/*
 * Copyright (C) ngx_media contributors
 *
 * What a Redis server sends: replies to the greeting and then to commands,
 * each command completed once, with the same reply however the bytes came.
 */

#include "fuzz.h"
#include "stub.h"

#include "ngx_media_redis.h"


#define JOBS  4


typedef struct {
    ngx_media_redis_t  *redis;
    uint64_t            sum;
    unsigned            submitted;
    unsigned            completed;
} reader_t;


static void on_up(void *data);
static void on_reply(ngx_media_redis_job_t *job,
    ngx_media_redis_reply_t *reply);


static ssize_t
run(reader_t *reader, fuzz_cut_t cut, ngx_media_redis_conf_t *conf,
    const uint8_t *data, size_t size)
{
    char      *copy;
    size_t     n, done;
    ssize_t    rc;
    uint64_t   seed;

    memset(reader, 0, sizeof(reader_t));
    reader->sum = seed = FUZZ_SUM;
    stub_up = on_up;
    stub_data = reader;

    reader->redis = ngx_media_redis_create(conf, &stub_cycle);
    fuzz_check(reader->redis != NULL);
    fuzz_check(stub_peer->ops->greet(stub_peer) == NGX_OK);

    rc = 0;

    for (done = 0; done < size && rc >= 0; done += n) {
        n = fuzz_piece(cut, &seed, data + done, size - done);
        copy = fuzz_copy(data + done, n);
        rc = stub_peer->ops->input(stub_peer, (u_char *) copy, n);
        free(copy);

        fuzz_check(rc == (ssize_t) n || rc == NGX_ERROR);
        fuzz_check(rc != NGX_ERROR || stub_peer->reason != NULL);
    }

    fuzz_number(&reader->sum, stub_peer->state);
    stub_close(stub_peer);
    fuzz_check(reader->completed == reader->submitted);

    return rc < 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ssize_t                  rc;
    uint64_t                 sum;
    unsigned                 secret;
    reader_t                 reader;
    fuzz_cut_t               cut;
    ngx_addr_t               addr;
    ngx_media_redis_conf_t   conf;

    if (size > 65536) {
        return 0;
    }

    memset(&addr, 0, sizeof(addr));
    memset(&conf, 0, sizeof(conf));
    conf.addr = &addr;
    conf.connections = 1;
    conf.max_bytes = 65536;
    conf.max_reply = 65536;
    ngx_str_set(&conf.name, "redis");

    for (secret = 0; secret < 2; secret++) {

        if (secret) {
            ngx_str_set(&conf.password, "secret");
            conf.database = 7;
        }

        rc = run(&reader, FUZZ_WHOLE, &conf, data, size);
        sum = reader.sum;

        for (cut = FUZZ_BYTES; cut < FUZZ_CUTS; cut++) {
            fuzz_check(run(&reader, cut, &conf, data, size) == rc);
            fuzz_check(reader.sum == sum);
        }
    }

    stub_free();

    return 0;
}


static void
on_up(void *data)
{
    unsigned                i;
    reader_t               *reader = data;
    ngx_str_t               argv[2];
    ngx_media_redis_job_t  *job;

    for (i = 0; i < JOBS; i++) {
        ngx_str_set(&argv[0], "GET");
        ngx_str_set(&argv[1], "media:key");

        job = ngx_media_redis_send_view(reader->redis, argv, 2, i & 1 ? 1 : 2,
                                        0, on_reply, reader);
        fuzz_check(job != NULL);
        reader->submitted++;
    }
}


static void
on_reply(ngx_media_redis_job_t *job, ngx_media_redis_reply_t *reply)
{
    reader_t  *reader = job->data;

    reader->completed++;

    if (reply == NULL) {
        fuzz_number(&reader->sum, -1);
        return;
    }

    fuzz_number(&reader->sum, reply->type);
    fuzz_number(&reader->sum, reply->str.len);
    fuzz_bytes(&reader->sum, reply->str.data, reply->str.len);
    ngx_media_redis_free(reply->object);
}
