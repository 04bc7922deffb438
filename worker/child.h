/*
 * Copyright (C) ngx_media contributors
 *
 * The processes: what main.c, master.c, child.c and consume.c tell each
 * other.
 */

#ifndef MEDIA_CHILD_H
#define MEDIA_CHILD_H

#include <sys/types.h>

#include "media_worker.h"


/* exit codes of the program */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,            /* at run time */
    EXIT_USAGE = 2,
    EXIT_CONFIG = 3,
    EXIT_DATABASE = 4           /* --migrate */
};


typedef job_result_t (*consume_job_pt)(child_t *child, job_t *job);
typedef void (*consume_poll_pt)(child_t *child);

typedef struct {
    const char      *name;
    consume_job_pt   job;
    consume_poll_pt  poll;              /* or NULL */
} child_queue_t;

#define CHILD_QUEUES  5


/* master.c: returns an exit code */
int master_run(void);

/*
 * child.c: the whole life of a child; ready_fd gets one byte when it works.
 * Returns its exit code.
 */
int child_main(const char *queue, int ready_fd, pid_t master);
extern const child_queue_t  child_queues[CHILD_QUEUES];
bool child_stopping(void);
void child_ready(void);
int child_retire(const char *reason);   /* logs; returns 0 */
int64_t child_rss(void);                /* bytes */

/* consume.c: until the child has to stop; poll, if there is one, is called
   each second between the jobs */
extern const char *const  consume_results[];    /* by job_result_t */
int consume_run(child_t *child, consume_job_pt job_func,
    consume_poll_pt poll);

/* metrics.c: shows them at conf.metrics_listen until it has to stop; its exit
   code */
int metrics_run(void);

/* title.c: what ps shows; argv's memory is used for it */
void title_init(int argc, char **argv);
void title_set(const char *title);

/* migrate.c: returns an exit code */
int migrate_run(void);

#endif
