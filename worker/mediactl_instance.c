/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl instance: adds, changes and lists the providers' instances.  A
 * token comes from a file or from standard input, never from the arguments,
 * and is never shown.  Webhooks that waited for an instance are taken up.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "inbound.h"
#include "mediactl_db.h"


#define INSTANCE_TOKEN_MAX  4096


typedef struct {
    const char  *tenant;
    const char  *provider;
    const char  *name;
    const char  *base_url;
    const char  *enabled;
    const char  *token_file;
    char         token[INSTANCE_TOKEN_MAX];
    bool         has_token;
} instance_t;


static int instance_usage(void);
static int instance_add(int argc, char **argv);
static int instance_set(int argc, char **argv);
static int instance_options(int argc, char **argv, instance_t *in);
static int instance_check(const instance_t *in);
static int instance_token(instance_t *in, FILE *f, const char *name);
static int instance_run(instance_t *in, const char *sql,
    const char *missing);
static int instance_take_up(child_t *child);


static const char  instance_add_sql[] =
    "INSERT INTO media.instances (provider, name, tenant_id, base_url, token)"
    " SELECT $1, $2, id, $4, coalesce($5, '') FROM media.tenants"
    "  WHERE id = $3 AND $6::boolean IS NULL"
    " ON CONFLICT DO NOTHING RETURNING id";

static const char  instance_set_sql[] =
    "UPDATE media.instances SET tenant_id = coalesce($3, tenant_id),"
    "       base_url = coalesce($4, base_url),"
    "       token = coalesce($5, token),"
    "       enabled = coalesce($6::boolean, enabled), updated_at = now()"
    " WHERE provider = $1 AND name = $2 RETURNING id";


int
mediactl_instance(int argc, char **argv)
{
    if (argc < 2) {
        return instance_usage();
    }

    if (strcmp(argv[1], "add") == 0) {
        return instance_add(argc - 1, argv + 1);
    }

    if (strcmp(argv[1], "set") == 0) {
        return instance_set(argc - 1, argv + 1);
    }

    if (strcmp(argv[1], "list") == 0) {
        return mediactl_list(argc - 1, argv + 1, instance_usage,
                             "SELECT id, tenant_id, provider, name,"
                             " base_url, token <> '' AS has_token, enabled,"
                             " connection, created_at::text AS created_at"
                             " FROM media.instances ORDER BY id");
    }

    return instance_usage();
}


static int
instance_usage(void)
{
    fputs("usage: mediactl instance add --tenant T --provider P --name N\n"
          "                --base-url U [--token-file F | --token-stdin]\n"
          "       mediactl instance set --provider P --name N [--tenant T]\n"
          "                [--base-url U] [--token-file F | --token-stdin]\n"
          "                [--enable | --disable]\n"
          "       mediactl instance list [--json]\n"
          "\n"
          "P is evolution, wapi or cloudapi; N the Evolution instance name,\n"
          "the W-API instanceId or the Cloud API phone number id.\n", stderr);

    return MEDIACTL_USAGE;
}


static int
instance_add(int argc, char **argv)
{
    int         rc;
    instance_t  in;

    rc = instance_options(argc, argv, &in);
    if (rc != 0) {
        return rc;
    }

    if (in.tenant == NULL || in.base_url == NULL || in.enabled != NULL) {
        return instance_usage();
    }

    rc = instance_run(&in, instance_add_sql,
                      "there is no such tenant, or the instance is there"
                      " already");
    explicit_bzero(in.token, sizeof(in.token));

    return rc;
}


static int
instance_set(int argc, char **argv)
{
    int         rc;
    instance_t  in;

    rc = instance_options(argc, argv, &in);
    if (rc != 0) {
        return rc;
    }

    rc = instance_run(&in, instance_set_sql, "there is no such instance");
    explicit_bzero(in.token, sizeof(in.token));

    return rc;
}


static int
instance_options(int argc, char **argv, instance_t *in)
{
    int    option, rc;
    FILE  *f;
    bool   from_stdin;
    static const struct option  options[] = {
        { "tenant", required_argument, NULL, 't' },
        { "provider", required_argument, NULL, 'p' },
        { "name", required_argument, NULL, 'n' },
        { "base-url", required_argument, NULL, 'u' },
        { "token-file", required_argument, NULL, 'f' },
        { "token-stdin", no_argument, NULL, 'i' },
        { "enable", no_argument, NULL, 'e' },
        { "disable", no_argument, NULL, 'd' },
        { NULL, 0, NULL, 0 }
    };

    memset(in, 0, sizeof(instance_t));
    from_stdin = false;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 't':
            in->tenant = optarg;
            break;
        case 'p':
            in->provider = optarg;
            break;
        case 'n':
            in->name = optarg;
            break;
        case 'u':
            in->base_url = optarg;
            break;
        case 'f':
            in->token_file = optarg;
            break;
        case 'i':
            from_stdin = true;
            break;
        case 'e':
            in->enabled = "true";
            break;
        case 'd':
            in->enabled = "false";
            break;
        default:
            return instance_usage();
        }
    }

    if (optind != argc || in->provider == NULL || in->name == NULL
        || (from_stdin && in->token_file != NULL))
    {
        return instance_usage();
    }

    if (instance_check(in) != 0) {
        return MEDIACTL_FAILED;
    }

    if (from_stdin) {
        return instance_token(in, stdin, "standard input");
    }

    if (in->token_file == NULL) {
        return 0;
    }

    f = fopen(in->token_file, "re");

    if (f == NULL) {
        fprintf(stderr, "mediactl: %s: %s\n", in->token_file,
                strerror(errno));
        return MEDIACTL_FAILED;
    }

    rc = instance_token(in, f, in->token_file);
    fclose(f);

    return rc;
}


static int
instance_check(const instance_t *in)
{
    media_str_t  s;
    media_url_t  u;

    media_str_set(&s, in->provider, strlen(in->provider));

    if (media_provider_by_name(s) == MEDIA_PROVIDER_UNKNOWN) {
        fprintf(stderr, "mediactl: provider \"%s\" is not evolution, wapi or"
                        " cloudapi\n", in->provider);
        return -1;
    }

    if (in->name[0] == '\0') {
        fprintf(stderr, "mediactl: the name is empty\n");
        return -1;
    }

    if (in->base_url == NULL) {
        return 0;
    }

    media_str_set(&s, in->base_url, strlen(in->base_url));

    if (media_url_parse(&u, s) != MEDIA_OK) {
        fprintf(stderr, "mediactl: base URL \"%s\" is not an http or https"
                        " URL\n", in->base_url);
        return -1;
    }

    return 0;
}


static int
instance_token(instance_t *in, FILE *f, const char *name)
{
    size_t  n;

    n = fread(in->token, 1, sizeof(in->token), f);

    if (n == sizeof(in->token)) {
        fprintf(stderr, "mediactl: the token in %s is too long\n", name);
        return MEDIACTL_FAILED;
    }

    while (n > 0 && (in->token[n - 1] == '\n' || in->token[n - 1] == '\r')) {
        n--;
    }

    in->token[n] = '\0';

    if (n == 0 || strlen(in->token) != n) {
        fprintf(stderr, "mediactl: there is no token in %s\n", name);
        return MEDIACTL_FAILED;
    }

    in->has_token = true;

    return 0;
}


static int
instance_run(instance_t *in, const char *sql, const char *missing)
{
    int          rc;
    child_t      child;
    PGresult    *res;
    const char  *params[6];

    params[0] = in->provider;
    params[1] = in->name;
    params[2] = in->tenant;
    params[3] = in->base_url;
    params[4] = in->has_token ? in->token : NULL;
    params[5] = in->enabled;

    if (mediactl_open(&child) != 0) {
        return MEDIACTL_FAILED;
    }

    rc = MEDIACTL_FAILED;
    res = db_exec(&child, sql, 6, params);

    if (res != NULL && PQntuples(res) == 1) {
        printf("instance %s %s has id %s\n", in->provider, in->name,
               PQgetvalue(res, 0, 0));
        rc = instance_take_up(&child);

    } else if (res != NULL) {
        fprintf(stderr, "mediactl: %s\n", missing);
    }

    PQclear(res);
    mediactl_close(&child);

    return rc;
}


/* without a broker they wait for the worker's sweeper */

static int
instance_take_up(child_t *child)
{
    int  n;

    n = 0;

    if (conf.rabbitmq_url[0] != '\0') {
        n = unrouted_take_up(child);
    }

    if (n > 0) {
        printf("%d waiting webhooks taken up\n", n);
    }

    if (n < 0) {
        fprintf(stderr, "mediactl: waiting webhooks not taken up yet, the"
                        " worker will do so\n");
    }

    return 0;
}
