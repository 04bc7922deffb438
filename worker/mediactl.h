/*
 * Copyright (C) ngx_media contributors
 *
 * The commands of mediactl.  Each gets its own name as argv[0] and returns the
 * program's exit code: 0, 1 (it failed, and standard error says why),
 * MEDIACTL_USAGE, or MEDIACTL_LATER.
 */

#ifndef MEDIACTL_H
#define MEDIACTL_H

#include <stdbool.h>
#include <stddef.h>


#define MEDIACTL_FAILED  1
#define MEDIACTL_USAGE   2
#define MEDIACTL_LATER   3          /* recorded, and media-worker will do it */


/* mediactl_analyze.c */
int mediactl_analyze(int argc, char **argv);

/* mediactl_decrypt.c */
int mediactl_decrypt(int argc, char **argv);
int mediactl_media_url(int argc, char **argv);

/* mediactl_tenant.c, mediactl_trace.c */
int mediactl_tenant(int argc, char **argv);
int mediactl_instance(int argc, char **argv);
int mediactl_trace(int argc, char **argv);

/* else standard error says what it may be */
bool mediactl_tenant_is_valid(const char *id);

/* mediactl_purge.c, mediactl_sign.c */
int mediactl_purge(int argc, char **argv);
int mediactl_sign_url(int argc, char **argv);
int mediactl_rebuild(int argc, char **argv);        /* mediactl_rebuild.c */
int mediactl_send(int argc, char **argv);           /* mediactl_send.c */

/* the key of an object given as such, or as its public URL; 0, or -1 and
   standard error says why */
int mediactl_key(char *dst, size_t size, const char *object);
/* prints it between quotes, as JSON has it */
void mediactl_json_string(const char *s);

#endif
