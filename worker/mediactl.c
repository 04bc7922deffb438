/*
 * Copyright (C) ngx_media contributors
 *
 * The operator's tool: finds the command by its name and runs it.
 */

#include <stdio.h>
#include <string.h>

#include "media_worker.h"
#include "mediactl.h"


typedef struct {
    const char   *name;
    int         (*run)(int argc, char **argv);
    const char   *help;
} mediactl_command_t;


static void mediactl_help(FILE *out);


static const mediactl_command_t  mediactl_commands[] = {
    { "analyze", mediactl_analyze,
      "analyze [--provider P] [--json] FILE|-\n"
      "      what a webhook body holds; P is evolution, wapi or cloudapi" },
    { "decrypt", mediactl_decrypt,
      "decrypt --type T --media-key B64 [--sha256 B64] [--enc-sha256 B64]"
      " <IN >OUT\n"
      "      decrypts a file from WhatsApp's servers; T is image, video, ptt"
      " ..." },
    { "instance", mediactl_instance,
      "instance add --tenant T --provider P --name N --base-url U\n"
      "               [--token-file F | --token-stdin | --token-path F]\n"
      "               [--api-version v1|v2]\n"
      "  instance set --provider P --name N [--tenant T] [--base-url U]\n"
      "               [--token-file F | --token-stdin | --token-path F]\n"
      "               [--api-version v1|v2] [--enable | --disable]\n"
      "  instance list [--json]\n"
      "  instance rotate-key\n"
      "      the providers' instances; N is the name that webhooks carry" },
    { "media-url", mediactl_media_url,
      "media-url [--direct-path P] [--url U]\n"
      "      the URL that a message's media is fetched from" },
    { "purge", mediactl_purge,
      "purge [--json] KEY|URL|PREFIX/ ...\n"
      "  purge [--json] --tenant T\n"
      "      makes every nginx fetch the object, or all with the prefix, from"
      " S3\n"
      "      again; deletes nothing in S3.  Exits with 3 if Redis is away:"
      " the\n"
      "      purge is recorded, and media-worker publishes it" },
    { "rebuild", mediactl_rebuild,
      "rebuild --made-by 'TOOL<VERSION' | --unrecorded [--tenant T]\n"
      "               [--limit N] [--dry-run] [--json]\n"
      "      makes thumbnails, metadata and renditions of such a tool again:"
      " queues\n"
      "      them, as fast as media-worker takes them; --dry-run counts them" },
    { "send", mediactl_send,
      "send list [--state S] [--tenant T] [--json]\n"
      "  send show [--json] ID\n"
      "  send retry ID\n"
      "  send cancel ID\n"
      "      messages to WhatsApp: S is queued, sending, accepted, sent,"
      " delivered,\n"
      "      read, failed or unknown; retry sends a failed or unknown one once"
      " more,\n"
      "      cancel lets a queued one fail" },
    { "sign-url", mediactl_sign_url,
      "sign-url KEY|URL [--expires 15m] [--json]\n"
      "      a URL with which anybody may read the object, for 7d at the"
      " most" },
    { "tenant", mediactl_tenant,
      "tenant add ID [--name NAME]\n"
      "  tenant list [--json]\n"
      "      the tenants" },
    { "trace", mediactl_trace,
      "trace [--json] MESSAGE_ID|ATTACHMENT_ID\n"
      "      every recorded step of one message" }
};


int
main(int argc, char **argv)
{
    size_t  i;

    if (argc < 2) {
        mediactl_help(stderr);
        return MEDIACTL_USAGE;
    }

    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0
        || strcmp(argv[1], "help") == 0)
    {
        mediactl_help(stdout);
        return 0;
    }

    if (strcmp(argv[1], "--version") == 0) {
        printf("mediactl %s\n", MEDIA_VERSION);
        return 0;
    }

    for (i = 0; i < sizeof(mediactl_commands) / sizeof(mediactl_commands[0]);
         i++)
    {
        if (strcmp(argv[1], mediactl_commands[i].name) != 0) {
            continue;
        }

        if (argc == 3 && strcmp(argv[2], "--help") == 0) {
            printf("Usage:\n  %s\n", mediactl_commands[i].help);
            return 0;
        }

        return mediactl_commands[i].run(argc - 1, argv + 1);
    }

    fprintf(stderr, "mediactl: unknown command \"%s\"\n", argv[1]);
    mediactl_help(stderr);

    return MEDIACTL_USAGE;
}


static void
mediactl_help(FILE *out)
{
    size_t  i;

    fprintf(out, "Usage: mediactl COMMAND ...\n"
                 "       mediactl --help | --version\n\n"
                 "Commands:\n");

    for (i = 0; i < sizeof(mediactl_commands) / sizeof(mediactl_commands[0]);
         i++)
    {
        fprintf(out, "  %s\n", mediactl_commands[i].help);
    }
}
