/*
 * Copyright (C) ngx_media contributors
 *
 * What ps shows of a process: written over argv and the environment, which
 * moves to the heap first.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "child.h"


static char    *title_start;
static size_t   title_size;
static char    *title_environ;      /* what environ points into from then on */


void
title_init(int argc, char **argv)
{
    int      i;
    char    *end, *p;
    size_t   size;

    end = argv[0];
    size = 0;

    for (i = 0; i < argc; i++) {
        if (argv[i] == end) {
            end += strlen(argv[i]) + 1;
        }
    }

    for (i = 0; environ[i] != NULL; i++) {
        size += strlen(environ[i]) + 1;

        if (environ[i] == end) {
            end += strlen(environ[i]) + 1;
        }
    }

    title_environ = malloc(size);
    if (title_environ == NULL) {
        return;
    }

    p = title_environ;

    for (i = 0; environ[i] != NULL; i++) {
        size = strlen(environ[i]) + 1;
        environ[i] = memcpy(p, environ[i], size);
        p += size;
    }

    title_start = argv[0];
    title_size = end - argv[0];
    program_invocation_short_name = (char *) "media-worker";
}


void
title_set(const char *title)
{
    (void) prctl(PR_SET_NAME, title);

    if (title_size == 0) {
        return;
    }

    /* secrets of the environment leave the process list with it */

    memset(title_start, 0, title_size);
    snprintf(title_start, title_size, "media-worker: %s", title);
}
