/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl purge: what the tiers hold of an object, a prefix or a tenant is
 * not found again.
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>

#include "mediactl_db.h"


#define PURGE_TARGETS_MAX  16           /* of one command */


typedef struct {
    char     target[MEDIA_KEY_MAX + 1];
    int64_t  id;
} purge_target_t;


static int purge_usage(void);
static int purge_run(const char *tenant, int n, char **objects, bool json);
static int purge_targets(purge_target_t *targets, int n, char **objects);
static int purge_tenant(purge_target_t *targets, const char *tenant);
static int purge_record(child_t *child, purge_target_t *targets, int n);
static void purge_print(const purge_target_t *targets, int n, bool published,
    bool json);


int
mediactl_purge(int argc, char **argv)
{
    int          option, n;
    bool         json;
    const char  *tenant;
    static const struct option  options[] = {
        { "json", no_argument, NULL, 'j' },
        { "tenant", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 }
    };

    json = false;
    tenant = NULL;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {

        case 'j':
            json = true;
            break;

        case 't':
            if (tenant != NULL) {
                return purge_usage();
            }

            tenant = optarg;
            break;

        default:
            return purge_usage();
        }
    }

    n = argc - optind;

    if ((n == 0) == (tenant == NULL) || n > PURGE_TARGETS_MAX) {
        return purge_usage();
    }

    return purge_run(tenant, n, argv + optind, json);
}


static int
purge_usage(void)
{
    fputs("usage: mediactl purge [--json] KEY|URL|PREFIX/ ...    (16 at the"
          " most)\n"
          "       mediactl purge [--json] --tenant T\n"
          "nothing is deleted in S3\n", stderr);

    return MEDIACTL_USAGE;
}


static int
purge_run(const char *tenant, int n, char **objects, bool json)
{
    int              rc;
    child_t          child;
    purge_target_t  *targets;
    static const char *const  names[] = { "DATABASE_URL", "REDIS_URL", NULL };

    rc = mediactl_open_for(&child, names);

    if (rc != 0) {
        fputs("mediactl: nothing is purged\n", stderr);
        return MEDIACTL_FAILED;
    }

    targets = calloc(PURGE_TARGETS_MAX, sizeof(purge_target_t));

    if (targets == NULL) {
        n = -1;

    } else if (tenant != NULL) {
        n = purge_tenant(targets, tenant);

    } else {
        n = purge_targets(targets, n, objects);
    }

    rc = MEDIACTL_FAILED;

    if (n > 0 && purge_record(&child, targets, n) == 0) {
        rc = purge_publish(&child) == 0 ? 0 : MEDIACTL_LATER;
        purge_print(targets, n, rc == 0, json);

    } else {
        fputs("mediactl: nothing is purged\n", stderr);
    }

    free(targets);
    mediactl_close(&child);

    return rc;
}


/* the number of targets, or -1 */

static int
purge_targets(purge_target_t *targets, int n, char **objects)
{
    int     i;
    char   *s;
    size_t  len;

    for (i = 0; i < n; i++) {
        s = objects[i];
        len = strlen(s);

        if (len > 1 && len <= MEDIA_KEY_MAX && s[len - 1] == '/'
            && purge_target_is_valid(s))
        {
            strcpy(targets[i].target, s);
            continue;
        }

        if (mediactl_key(targets[i].target, sizeof(targets[i].target), s)
            != 0)
        {
            return -1;
        }
    }

    return n;
}


static int
purge_tenant(purge_target_t *targets, const char *tenant)
{
    snprintf(targets[0].target, sizeof(targets[0].target), "chat/%.100s/",
             tenant);
    snprintf(targets[1].target, sizeof(targets[1].target),
             "profile_pics/%.100s/", tenant);

    if (!mediactl_tenant_is_valid(tenant)) {
        fputs("mediactl: a tenant's id is 1 to 64 letters, digits, _ or -\n",
              stderr);
        return -1;
    }

    return 2;
}


/* all of them, or none */

static int
purge_record(child_t *child, purge_target_t *targets, int n)
{
    int  i;

    if (db_begin(child) != 0) {
        return -1;
    }

    for (i = 0; i < n; i++) {
        if (purge_add(child, targets[i].target, &targets[i].id) != 0) {
            db_rollback(child);
            return -1;
        }
    }

    return db_commit(child);
}


static void
purge_print(const purge_target_t *targets, int n, bool published, bool json)
{
    int  i;

    if (json) {
        fputs("{\"purges\":[", stdout);
    }

    for (i = 0; i < n; i++) {
        if (json) {
            printf("%s{\"id\":%lld,\"target\":", i ? "," : "",
                   (long long) targets[i].id);
            mediactl_json_string(targets[i].target);
            putchar('}');

        } else {
            printf("purge %lld of %s %s\n", (long long) targets[i].id,
                   targets[i].target, published ? "published" : "recorded");
        }
    }

    if (json) {
        printf("],\"published\":%s}\n", published ? "true" : "false");
    }

    if (!published) {
        fputs("mediactl: Redis is away: the purge is recorded, and"
              " media-worker publishes it\n", stderr);
    }
}
