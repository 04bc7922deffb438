/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl tenant: adds and lists tenants.
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>

#include "mediactl_db.h"


static int tenant_add(int argc, char **argv);
static int tenant_list(int argc, char **argv);
static int tenant_usage(void);


int
mediactl_tenant(int argc, char **argv)
{
    if (argc < 2) {
        return tenant_usage();
    }

    if (strcmp(argv[1], "add") == 0) {
        return tenant_add(argc - 1, argv + 1);
    }

    if (strcmp(argv[1], "list") == 0) {
        return tenant_list(argc - 1, argv + 1);
    }

    return tenant_usage();
}


static int
tenant_usage(void)
{
    fputs("usage: mediactl tenant add ID [--name NAME]\n"
          "       mediactl tenant list [--json]\n", stderr);

    return MEDIACTL_USAGE;
}


static int
tenant_add(int argc, char **argv)
{
    int          option, rc;
    child_t      child;
    PGresult    *res;
    const char  *params[2];
    static const struct option  options[] = {
        { "name", required_argument, NULL, 'n' },
        { NULL, 0, NULL, 0 }
    };

    params[1] = "";

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'n') {
            return tenant_usage();
        }

        params[1] = optarg;
    }

    if (optind != argc - 1) {
        return tenant_usage();
    }

    params[0] = argv[optind];

    if (!mediactl_tenant_is_valid(params[0])) {
        return MEDIACTL_FAILED;
    }

    if (mediactl_open(&child) != 0) {
        return MEDIACTL_FAILED;
    }

    res = db_exec(&child, "INSERT INTO media.tenants (id, name)"
                          " VALUES ($1, $2) ON CONFLICT DO NOTHING"
                          " RETURNING id", 2, params);
    rc = MEDIACTL_FAILED;

    if (res != NULL && PQntuples(res) == 1) {
        printf("tenant %s added\n", params[0]);
        rc = 0;

    } else if (res != NULL) {
        fprintf(stderr, "mediactl: tenant \"%s\" is there already\n",
                params[0]);
    }

    PQclear(res);
    mediactl_close(&child);

    return rc;
}


bool
mediactl_tenant_is_valid(const char *id)
{
    if (id[0] == '\0' || strlen(id) > 64
        || strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                      "uvwxyz0123456789_-") != strlen(id))
    {
        fputs("mediactl: a tenant's id is 1 to 64 letters, digits, _ or -\n",
              stderr);
        return false;
    }

    return true;
}


static int
tenant_list(int argc, char **argv)
{
    return mediactl_list(argc, argv, tenant_usage,
                         "SELECT id, name, created_at::text AS created_at"
                         " FROM media.tenants ORDER BY id");
}
