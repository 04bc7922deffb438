/*
 * Copyright (C) ngx_media contributors
 *
 * A field of /proc/self/status, in kilobytes.  getrusage() does not do: its
 * peak is also that of the program that started this one.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static long
run_status(const char *name)
{
    long   value;
    char   line[256];
    FILE  *file;

    value = 0;
    file = fopen("/proc/self/status", "r");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            value = strtol(line + strlen(name), NULL, 10);
        }
    }

    if (file != NULL) {
        fclose(file);
    }

    return value;
}
