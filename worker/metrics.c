/*
 * Copyright (C) ngx_media contributors
 *
 * What the children count, in memory that they share, and the child that
 * shows it to Prometheus (text format, version 0.0.4).
 */

#define _GNU_SOURCE
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"


#define METRICS_CLIENTS  16
#define METRICS_TIMEOUT  10             /* seconds, of an idle client */
#define METRICS_RESULTS  (JOB_DEAD + 1)

enum {
    METRICS_CLEAN = 0, METRICS_INFECTED, METRICS_TOO_LARGE, METRICS_ERROR,
    METRICS_VERDICTS
};


typedef struct {
    atomic_uint_least64_t  scans[METRICS_VERDICTS];
    atomic_uint_least64_t  jobs[CHILD_QUEUES][METRICS_RESULTS];
} metrics_t;


static int metrics_listen(void);
static int metrics_bind(const struct addrinfo *ai);
static enum MHD_Result metrics_request(void *data,
    struct MHD_Connection *connection, const char *path, const char *method,
    const char *version, const char *body, size_t *size, void **context);
static enum MHD_Result metrics_answer(struct MHD_Connection *connection,
    unsigned status, char *text, size_t len, enum MHD_ResponseMemoryMode mode);
static void metrics_write(FILE *f);


static const char *const  metrics_verdicts[] = {
    "clean", "infected", "too_large", "error"
};

static metrics_t   metrics_own;         /* of a program without children */
static metrics_t  *metrics = &metrics_own;


int
metrics_init(void)
{
    metrics = mmap(NULL, sizeof(metrics_t), PROT_READ|PROT_WRITE,
                   MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    return metrics == MAP_FAILED ? -1 : 0;
}


void
metrics_scan(scan_result_t rc)
{
    int  verdict;

    switch (rc) {

    case SCAN_CLEAN:
        verdict = METRICS_CLEAN;
        break;

    case SCAN_INFECTED:
        verdict = METRICS_INFECTED;
        break;

    case SCAN_TOO_LARGE:
        verdict = METRICS_TOO_LARGE;
        break;

    default:
        verdict = METRICS_ERROR;
    }

    atomic_fetch_add_explicit(&metrics->scans[verdict], 1,
                              memory_order_relaxed);
}


void
metrics_job(const char *queue, job_result_t result)
{
    int  i;

    for (i = 0; i < CHILD_QUEUES; i++) {
        if (strcmp(child_queues[i].name, queue) == 0) {
            atomic_fetch_add_explicit(&metrics->jobs[i][result], 1,
                                      memory_order_relaxed);
        }
    }
}


int
metrics_run(void)
{
    int                 fd;
    struct MHD_Daemon  *daemon;

    fd = metrics_listen();

    if (fd == -1) {
        log_msg(LOG_ERR, "metrics cannot be shown", "address",
                conf.metrics_listen, "reason", strerror(errno), NULL);
        return EXIT_FAILED;
    }

    daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD
                              |MHD_USE_POLL|MHD_USE_ITC, 0, NULL, NULL,
                              metrics_request, NULL,
                              MHD_OPTION_LISTEN_SOCKET, fd,
                              MHD_OPTION_CONNECTION_LIMIT, METRICS_CLIENTS,
                              MHD_OPTION_CONNECTION_TIMEOUT, METRICS_TIMEOUT,
                              MHD_OPTION_END);
    if (daemon == NULL) {
        close(fd);
        return EXIT_FAILED;
    }

    child_ready();

    while (!child_stopping()) {
        usleep(200 * 1000);
    }

    MHD_stop_daemon(daemon);

    return EXIT_OK;
}


static int
metrics_listen(void)
{
    int               fd;
    struct addrinfo  *list, *ai;

    if (address_resolve(conf.metrics_listen, AI_PASSIVE, &list) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }

    fd = -1;

    for (ai = list; ai != NULL && fd == -1; ai = ai->ai_next) {
        fd = metrics_bind(ai);
    }

    freeaddrinfo(list);

    return fd;
}


static int
metrics_bind(const struct addrinfo *ai)
{
    int  fd, on, err;

    on = 1;
    fd = socket(ai->ai_family, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);

    if (fd == -1) {
        return -1;
    }

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
        || bind(fd, ai->ai_addr, ai->ai_addrlen) != 0
        || listen(fd, METRICS_CLIENTS) != 0)
    {
        err = errno;
        close(fd);
        errno = err;
        return -1;
    }

    return fd;
}


static enum MHD_Result
metrics_request(void *data, struct MHD_Connection *connection,
    const char *path, const char *method, const char *version,
    const char *body, size_t *size, void **context)
{
    char    *text;
    FILE    *f;
    size_t   len;

    static char  not_found[] = "see /metrics\n";
    static char  not_allowed[] = "GET or HEAD\n";

    (void) data;
    (void) version;
    (void) body;
    (void) context;

    *size = 0;

    if (strcmp(path, "/metrics") != 0) {
        return metrics_answer(connection, MHD_HTTP_NOT_FOUND, not_found,
                              sizeof(not_found) - 1, MHD_RESPMEM_PERSISTENT);
    }

    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return metrics_answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                              not_allowed, sizeof(not_allowed) - 1,
                              MHD_RESPMEM_PERSISTENT);
    }

    f = open_memstream(&text, &len);

    if (f == NULL) {
        return MHD_NO;
    }

    metrics_write(f);

    if (fclose(f) != 0) {
        return MHD_NO;
    }

    return metrics_answer(connection, MHD_HTTP_OK, text, len,
                          MHD_RESPMEM_MUST_FREE);
}


static enum MHD_Result
metrics_answer(struct MHD_Connection *connection, unsigned status, char *text,
    size_t len, enum MHD_ResponseMemoryMode mode)
{
    enum MHD_Result       rc;
    struct MHD_Response  *response;

    response = MHD_create_response_from_buffer(len, text, mode);

    if (response == NULL) {
        return MHD_NO;
    }

    (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                   "text/plain; version=0.0.4");

    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
                                       "GET, HEAD");
    }

    rc = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);

    return rc;
}


static void
metrics_write(FILE *f)
{
    int  i, n;

    fputs("# HELP media_worker_jobs_total Jobs by queue and what became of"
          " them.\n"
          "# TYPE media_worker_jobs_total counter\n", f);

    for (i = 0; i < CHILD_QUEUES; i++) {
        for (n = 0; n < METRICS_RESULTS; n++) {
            fprintf(f, "media_worker_jobs_total{queue=\"%s\",result=\"%s\"}"
                    " %llu\n", child_queues[i].name, consume_results[n],
                    (unsigned long long) atomic_load(&metrics->jobs[i][n]));
        }
    }

    fputs("# HELP media_worker_scans_total Files by the virus scanner's"
          " verdict.\n"
          "# TYPE media_worker_scans_total counter\n", f);

    for (n = 0; n < METRICS_VERDICTS; n++) {
        fprintf(f, "media_worker_scans_total{verdict=\"%s\"} %llu\n",
                metrics_verdicts[n],
                (unsigned long long) atomic_load(&metrics->scans[n]));
    }
}
