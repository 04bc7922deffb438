/*
 * Copyright (C) ngx_media contributors
 *
 * media-worker: options, and then the master.
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>

#include "child.h"
#include "decoder.h"


enum {
    MAIN_HELP = 256,
    MAIN_VERSION,
    MAIN_MIGRATE
};


static void main_help(FILE *out);
static int main_check(bool print);
static int main_decoder(void);
static int main_scanner(void);


int
main(int argc, char **argv)
{
    int              option;
    decoder_hello_t  hello;

    static const struct option  options[] = {
        { "help", no_argument, NULL, MAIN_HELP },
        { "version", no_argument, NULL, MAIN_VERSION },
        { "migrate", no_argument, NULL, MAIN_MIGRATE },
        { NULL, 0, NULL, 0 }
    };

    while ((option = getopt_long(argc, argv, "htTv", options, NULL)) != -1) {
        switch (option) {

        case 'h':
        case MAIN_HELP:
            main_help(stdout);
            return EXIT_OK;

        case 'v':
        case MAIN_VERSION:
            printf("media-worker %s\n", MEDIA_VERSION);
            return EXIT_OK;

        case 't':
            return main_check(false);

        case 'T':
            return main_check(true);

        case MAIN_MIGRATE:
            return migrate_run();

        default:
            main_help(stderr);
            return EXIT_USAGE;
        }
    }

    if (optind != argc) {
        main_help(stderr);
        return EXIT_USAGE;
    }

    title_init(argc, argv);

    /* without a decoder each job would only wait */
    if (conf_load() != 0 || log_open() != 0 || decode_check(&hello) != 0) {
        return EXIT_CONFIG;
    }

    return master_run();
}


static void
main_help(FILE *out)
{
    fputs("usage: media-worker [option]\n"
          "\n"
          "Takes WhatsApp webhooks and media jobs from RabbitMQ.  Runs in the\n"
          "foreground; configured by the environment, see worker.md.\n"
          "\n"
          "  -t             check the configuration and exit\n"
          "  -T             the same, and print it without secrets\n"
          "      --migrate  bring the database schema up to date and exit\n"
          "  -h, --help     this text\n"
          "  -v, --version  the version\n"
          "\n"
          "SIGTERM, SIGINT and SIGQUIT finish the jobs in hand and exit,\n"
          "SIGHUP reads *_FILE again and replaces the children one by one,\n"
          "SIGUSR1 opens the log file again.\n"
          "\n"
          "Exits with 0, 1 (failed), 2 (usage), 3 (configuration),\n"
          "4 (database migration failed).\n", out);
}


static int
main_check(bool print)
{
    if (conf_load() != 0) {
        fprintf(stderr, "media-worker: configuration is not valid\n");
        return EXIT_CONFIG;
    }

    if (print) {
        conf_print(stdout);
        return EXIT_OK;
    }

    fprintf(stderr, "media-worker: configuration is valid\n");

    if (main_decoder() != EXIT_OK) {
        return EXIT_CONFIG;
    }

    return main_scanner();
}


/* how it is confined, as it says itself */
static int
main_decoder(void)
{
    decoder_hello_t  hello;

    if (decode_check(&hello) != 0) {
        fprintf(stderr, "media-worker: media-decode cannot be started\n");
        return EXIT_CONFIG;
    }

    fprintf(stderr, "media-worker: decoder: seccomp %s, landlock %s, "
            "files %s, memory %s, ImageMagick by %s policy\n",
            hello.seccomp ? "yes" : "no",
            hello.landlock ? log_fmt("ABI %d", hello.landlock) : "no",
            hello.files ? "readable" : "closed",
            hello.memory ? log_fmt("%lld MiB", (long long) hello.memory
                                               / (1024 * 1024))
                         : "unlimited",
            hello.policy ? "our" : "the system's");

    return EXIT_OK;
}


/* one that is away may come */
static int
main_scanner(void)
{
    char           error[256];
    scan_result_t  rc;

    if (conf.clamd_address[0] == '\0') {
        return EXIT_OK;
    }

    rc = clamd_check(error, sizeof(error));
    fprintf(stderr, "media-worker: virus scanner: %s\n",
            rc == SCAN_CLEAN ? "ready" : error);

    return rc == SCAN_BLIND ? EXIT_CONFIG : EXIT_OK;
}
