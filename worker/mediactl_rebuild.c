/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl rebuild: queues what was made by a tool of before its fix to be
 * made again, so slowly that new media never waits behind much of it.
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "mediactl_db.h"
#include "rebuild.h"


#define REBUILD_QUEUE    "media_download"
#define REBUILD_BATCH    20
#define REBUILD_WAITING  20             /* messages; no more are added then */
#define REBUILD_NOTICE   10             /* seconds until that is told */


typedef struct {
    rebuild_t    what;
    const char  *tenant;
    int64_t      limit;
    bool         unrecorded;
    bool         dry_run;
    bool         json;
} rebuild_options_t;


static int rebuild_usage(void);
static int rebuild_options(int argc, char **argv, rebuild_options_t *o);
static int rebuild_run(child_t *child, const rebuild_options_t *o);
static int64_t rebuild_queue(child_t *child, const rebuild_options_t *o);
static int rebuild_wait(child_t *child);
static int rebuild_publish(child_t *child, const rebuild_options_t *o,
    const char *id);


int
mediactl_rebuild(int argc, char **argv)
{
    int                rc;
    child_t            child;
    rebuild_options_t  o;

    static const char *const  names[] = { "DATABASE_URL", "RABBITMQ_URL",
                                          NULL };

    if (rebuild_options(argc, argv, &o) != 0) {
        return rebuild_usage();
    }

    if (o.tenant != NULL && !mediactl_tenant_is_valid(o.tenant)) {
        return MEDIACTL_FAILED;
    }

    rc = mediactl_open_for(&child, names) == 0 ? rebuild_run(&child, &o)
                                               : MEDIACTL_FAILED;
    mediactl_close(&child);

    return rc;
}


static int
rebuild_usage(void)
{
    fputs("usage: mediactl rebuild --made-by 'TOOL<VERSION' | --unrecorded"
          " [--tenant T]\n"
          "               [--limit N] [--dry-run] [--json]\n", stderr);

    return MEDIACTL_USAGE;
}


static int
rebuild_options(int argc, char **argv, rebuild_options_t *o)
{
    int   option;
    char  *end;
    static const struct option  options[] = {
        { "dry-run", no_argument, NULL, 'd' },
        { "json", no_argument, NULL, 'j' },
        { "limit", required_argument, NULL, 'l' },
        { "made-by", required_argument, NULL, 'm' },
        { "tenant", required_argument, NULL, 't' },
        { "unrecorded", no_argument, NULL, 'u' },
        { NULL, 0, NULL, 0 }
    };

    memset(o, 0, sizeof(rebuild_options_t));
    o->limit = INT64_MAX;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {

        case 'd':
            o->dry_run = true;
            break;

        case 'j':
            o->json = true;
            break;

        case 'l':
            o->limit = strtoll(optarg, &end, 10);

            if (*end != '\0' || o->limit <= 0) {
                return -1;
            }

            break;

        case 'm':
            if (!rebuild_parse(&o->what, optarg)) {
                return -1;
            }

            break;

        case 't':
            o->tenant = optarg;
            break;

        case 'u':
            o->unrecorded = true;
            break;

        default:
            return -1;
        }
    }

    return optind == argc && o->unrecorded == (o->what.tool[0] == '\0')
           ? 0 : -1;
}


static int
rebuild_run(child_t *child, const rebuild_options_t *o)
{
    int64_t  found, queued;

    found = rebuild_count(child, &o->what, o->tenant);

    if (found < 0) {
        return MEDIACTL_FAILED;
    }

    queued = o->dry_run ? 0 : rebuild_queue(child, o);

    if (queued < 0) {
        fputs("mediactl: it stopped before the end; run it again\n", stderr);
        return MEDIACTL_FAILED;
    }

    printf(o->json ? "{\"found\":%lld,\"queued\":%lld}\n"
                   : "%lld attachments found, %lld queued\n",
           (long long) found, (long long) queued);

    return 0;
}


/* in the order of the ids, so that none comes twice in one run */

static int64_t
rebuild_queue(child_t *child, const rebuild_options_t *o)
{
    int        i, n;
    char       after[64];
    int64_t    queued;
    PGresult  *res;

    queued = 0;
    child->broker = broker_open();

    if (child->broker == NULL) {
        return -1;
    }

    do {
        if (rebuild_wait(child) != 0) {
            return -1;
        }

        n = o->limit - queued < REBUILD_BATCH ? (int) (o->limit - queued)
                                              : REBUILD_BATCH;
        res = rebuild_find(child, &o->what, o->tenant,
                           queued == 0 ? NULL : after, n);

        if (res == NULL) {
            return -1;
        }

        n = PQntuples(res);

        for (i = 0; i < n; i++) {
            snprintf(after, sizeof(after), "%s", PQgetvalue(res, i, 0));

            if (rebuild_publish(child, o, after) != 0) {
                PQclear(res);
                return -1;
            }
        }

        PQclear(res);
        queued += n;

    } while (n == REBUILD_BATCH && queued < o->limit);

    return queued;
}


static int
rebuild_wait(child_t *child)
{
    int  n, seconds;

    for (seconds = 0; /* void */ ; seconds++) {
        n = broker_waiting(child->broker, REBUILD_QUEUE);

        if (n <= REBUILD_WAITING) {
            return n < 0 ? -1 : 0;
        }

        if (seconds == REBUILD_NOTICE) {
            fprintf(stderr, "mediactl: waiting for media-worker, %d jobs"
                    " are before\n", n);
        }

        sleep(1);
    }
}


static int
rebuild_publish(child_t *child, const rebuild_options_t *o, const char *id)
{
    char         body[320];
    media_str_t  s;

    snprintf(body, sizeof(body), "{\"type\":\"rebuild\","
             "\"attachment_id\":\"%s\",\"tool\":\"%s\",\"version\":\"%s\"}",
             id, o->what.tool, o->what.version);
    media_str_set(&s, body, strlen(body));

    return broker_publish(child->broker, REBUILD_QUEUE, s, 0, 0);
}
