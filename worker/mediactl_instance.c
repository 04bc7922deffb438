/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl instance: adds, changes and lists the providers' instances.  A
 * token comes from a file or from standard input, never from the arguments,
 * is stored encrypted and never shown.  Webhooks that waited for an instance
 * are taken up.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "inbound.h"
#include "mediactl_db.h"


typedef struct {
    const char  *tenant;
    const char  *provider;
    const char  *name;
    const char  *base_url;
    const char  *enabled;
    const char  *api_version;
    const char  *token_file;
    char         token[CREDENTIAL_MAX];
    bool         has_token;
    bool         by_reference;          /* token is "file:..." */
} instance_t;


static int instance_usage(void);
static int instance_add(int argc, char **argv);
static int instance_set(int argc, char **argv);
static int instance_options(int argc, char **argv, instance_t *in);
static int instance_check(const instance_t *in);
static int instance_token(instance_t *in, FILE *f, const char *name);
static int instance_path(instance_t *in, const char *path);
static int instance_rotate_key(void);
static int instance_run(instance_t *in, const char *sql,
    const char *missing);
static int instance_take_up(child_t *child);


static const char  instance_add_sql[] =
    "INSERT INTO media.instances (provider, name, tenant_id, base_url, token,"
    "       api_version)"
    " SELECT $1, $2, id, $4, coalesce($5, ''), coalesce($7, '')"
    "   FROM media.tenants WHERE id = $3 AND $6::boolean IS NULL"
    " ON CONFLICT DO NOTHING RETURNING id";

/* a number that was paused tries again: this may have been the cause */
static const char  instance_set_sql[] =
    "WITH i AS (UPDATE media.instances"
    "     SET tenant_id = coalesce($3, tenant_id),"
    "         base_url = coalesce($4, base_url),"
    "         token = coalesce($5, token),"
    "         api_version = coalesce($7, api_version),"
    "         enabled = coalesce($6::boolean, enabled), updated_at = now()"
    "     WHERE provider = $1 AND name = $2 RETURNING id),"
    " b AS (UPDATE media.send_breakers b SET open_until = now()"
    "     FROM i WHERE b.instance_id = i.id AND b.open_until > now())"
    " SELECT id FROM i";


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

    if (strcmp(argv[1], "rotate-key") == 0 && argc == 2) {
        return instance_rotate_key();
    }

    return instance_usage();
}


static int
instance_usage(void)
{
    fputs("usage: mediactl instance add --tenant T --provider P --name N\n"
          "                --base-url U [TOKEN] [--api-version v1|v2]\n"
          "       mediactl instance set --provider P --name N [--tenant T]\n"
          "                [--base-url U] [TOKEN] [--api-version v1|v2]\n"
          "                [--enable | --disable]\n"
          "       mediactl instance list [--json]\n"
          "       mediactl instance rotate-key\n"
          "\n"
          "P is evolution, wapi or cloudapi; N the Evolution instance name,\n"
          "the W-API instanceId or the Cloud API phone number id.\n"
          "\n"
          "TOKEN is --token-file F or --token-stdin, which is stored\n"
          "encrypted, or --token-path F, of which the path is stored and\n"
          "the worker reads the file each time.  rotate-key encrypts all\n"
          "with the first key of MEDIA_CREDENTIAL_KEY.\n", stderr);

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
    int          option, rc;
    FILE        *f;
    bool         from_stdin;
    const char  *path;
    static const struct option  options[] = {
        { "tenant", required_argument, NULL, 't' },
        { "provider", required_argument, NULL, 'p' },
        { "name", required_argument, NULL, 'n' },
        { "base-url", required_argument, NULL, 'u' },
        { "token-file", required_argument, NULL, 'f' },
        { "token-path", required_argument, NULL, 'P' },
        { "token-stdin", no_argument, NULL, 'i' },
        { "api-version", required_argument, NULL, 'v' },
        { "enable", no_argument, NULL, 'e' },
        { "disable", no_argument, NULL, 'd' },
        { NULL, 0, NULL, 0 }
    };

    memset(in, 0, sizeof(instance_t));
    from_stdin = false;
    path = NULL;

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
        case 'P':
            path = optarg;
            break;
        case 'i':
            from_stdin = true;
            break;
        case 'v':
            in->api_version = optarg;
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
        || from_stdin + (in->token_file != NULL) + (path != NULL) > 1)
    {
        return instance_usage();
    }

    if (instance_check(in) != 0) {
        return MEDIACTL_FAILED;
    }

    if (path != NULL) {
        return instance_path(in, path);
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

    if (in->api_version != NULL && strcmp(in->api_version, "v1") != 0
        && strcmp(in->api_version, "v2") != 0)
    {
        fprintf(stderr, "mediactl: API version \"%s\" is not v1 or v2\n",
                in->api_version);
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


/* the worker has another working directory */

static int
instance_path(instance_t *in, const char *path)
{
    int  n;

    if (path[0] != '/') {
        fprintf(stderr, "mediactl: the path %s must begin with /\n", path);
        return MEDIACTL_FAILED;
    }

    n = snprintf(in->token, sizeof(in->token), "file:%s", path);

    if ((size_t) n >= sizeof(in->token)) {
        fprintf(stderr, "mediactl: the path is too long\n");
        return MEDIACTL_FAILED;
    }

    in->has_token = true;
    in->by_reference = true;

    return 0;
}


static int
instance_rotate_key(void)
{
    int      n;
    child_t  child;

    if (mediactl_open(&child) != 0) {
        return MEDIACTL_FAILED;
    }

    n = credential_seal_all(&child, true);
    mediactl_close(&child);

    if (n < 0) {
        return MEDIACTL_FAILED;
    }

    printf("%d credentials encrypted\n", n);

    return 0;
}


static int
instance_run(instance_t *in, const char *sql, const char *missing)
{
    int          rc;
    char         sealed[CREDENTIAL_STORED_MAX];
    child_t      child;
    PGresult    *res;
    const char  *params[7];

    params[0] = in->provider;
    params[1] = in->name;
    params[2] = in->tenant;
    params[3] = in->base_url;
    params[4] = in->has_token ? in->token : NULL;
    params[5] = in->enabled;
    params[6] = in->api_version;

    if (mediactl_open(&child) != 0) {
        return MEDIACTL_FAILED;
    }

    if (in->has_token && !in->by_reference) {
        if (credential_seal(in->token, sealed, sizeof(sealed)) != 0) {
            mediactl_close(&child);
            return MEDIACTL_FAILED;
        }

        params[4] = sealed;
    }

    rc = MEDIACTL_FAILED;
    res = db_exec(&child, sql, 7, params);

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
