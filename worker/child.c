/*
 * Copyright (C) ngx_media contributors
 *
 * A child process: owns its connections, takes one job at a time, and ends
 * when it is told to, when it has done its share, or when the master is gone.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "child.h"
#include "send.h"


#define CHILD_POLL  1000                /* ms; the sweeper's, for purges */


static void child_signals(void);
static void child_signal(int signo);
static int child_sweep(child_t *child);
static void child_close(child_t *child);


const child_queue_t  child_queues[CHILD_QUEUES] = {
    { "webhook_inbound", inbound_job, NULL },
    { "media_priority", profile_job, NULL },
    { "media_download", download_job, NULL },
    { "media_send", upload_job, NULL },
    { "media_upload", upload_job, send_poll }
};

static int                    child_ready_fd = -1;
static volatile sig_atomic_t  child_stop;
static volatile sig_atomic_t  child_reopen;


int
child_main(const char *queue, int ready_fd, pid_t master)
{
    int      rc;
    int      i;
    child_t  child;

    child_signals();
    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);

    if (getppid() != master) {
        return EXIT_FAILED;
    }

    title_set(queue);
    log_context("child", queue);
    srandom(getpid() ^ time(NULL));

    memset(&child, 0, sizeof(child_t));
    child.queue = queue;
    child_ready_fd = ready_fd;

    (void) curl_global_init(CURL_GLOBAL_DEFAULT);
    child.curl = curl_easy_init();

    if (child.curl == NULL) {
        log_msg(LOG_ERR, "curl not initialised", NULL);
        return EXIT_FAILED;
    }

    rc = EXIT_FAILED;

    if (strcmp(queue, "sweeper") == 0) {
        rc = child_sweep(&child);
    }

    if (strcmp(queue, "metrics") == 0) {
        rc = metrics_run();
    }

    for (i = 0; i < CHILD_QUEUES; i++) {
        if (strcmp(queue, child_queues[i].name) == 0) {
            rc = consume_run(&child, child_queues[i].job,
                             child_queues[i].poll);
        }
    }

    child_close(&child);
    log_msg(LOG_INFO, "child exits", NULL);

    return rc;
}


static void
child_signals(void)
{
    sigset_t          none;
    struct sigaction  sa;

    memset(&sa, 0, sizeof(struct sigaction));
    sigemptyset(&sa.sa_mask);
    sa.sa_handler = child_signal;

    (void) sigaction(SIGTERM, &sa, NULL);
    (void) sigaction(SIGUSR1, &sa, NULL);

    /* a terminal sends these to the whole group; the master passes them on */

    sa.sa_handler = SIG_IGN;
    (void) sigaction(SIGINT, &sa, NULL);
    (void) sigaction(SIGQUIT, &sa, NULL);
    (void) sigaction(SIGHUP, &sa, NULL);
    (void) sigaction(SIGPIPE, &sa, NULL);

    sa.sa_handler = SIG_DFL;
    (void) sigaction(SIGCHLD, &sa, NULL);

    sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
}


static void
child_signal(int signo)
{
    if (signo == SIGUSR1) {
        child_reopen = 1;
        return;
    }

    child_stop = 1;
}


bool
child_stopping(void)
{
    if (child_reopen) {
        child_reopen = 0;
        (void) log_open();
    }

    return child_stop;
}


void
child_ready(void)
{
    if (child_ready_fd == -1) {
        return;
    }

    (void) !write(child_ready_fd, "", 1);
    close(child_ready_fd);
    child_ready_fd = -1;
}


int
child_retire(const char *reason)
{
    log_msg(LOG_NOTICE, "child retires", "reason", reason,
            "rss", log_fmt("%lld", (long long) child_rss()), NULL);

    return EXIT_OK;
}


int64_t
child_rss(void)
{
    int        n;
    FILE      *f;
    long long  pages;

    f = fopen("/proc/self/statm", "re");
    if (f == NULL) {
        return 0;
    }

    n = fscanf(f, "%*s %lld", &pages);
    fclose(f);

    return (n == 1) ? pages * sysconf(_SC_PAGESIZE) : 0;
}


static int
child_sweep(child_t *child)
{
    int64_t  next, poll;

    child_ready();
    next = now_ms();
    poll = next;

    while (!child_stopping()) {
        if (now_ms() >= next) {
            sweep_run(child);
            next = now_ms() + (int64_t) conf.sweep_interval * 1000;
            poll = now_ms() + CHILD_POLL;

        } else if (now_ms() >= poll) {
            poll = purge_poll(child) == 0 ? now_ms() + CHILD_POLL : next;
        }

        usleep(200 * 1000);
    }

    return EXIT_OK;
}


static void
child_close(child_t *child)
{
    broker_close(child->broker);
    redis_close(child);
    curl_easy_cleanup(child->curl);

    if (child->db != NULL) {
        PQfinish(child->db);
    }

    curl_global_cleanup();
}
