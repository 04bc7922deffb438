/*
 * Copyright (C) ngx_media contributors
 *
 * The commands of mediactl.  Each gets its own name as argv[0] and returns the
 * program's exit code: 0, 1 (it failed, and standard error says why), or
 * MEDIACTL_USAGE.
 */

#ifndef MEDIACTL_H
#define MEDIACTL_H

#define MEDIACTL_FAILED  1
#define MEDIACTL_USAGE   2


/* mediactl_analyze.c */
int mediactl_analyze(int argc, char **argv);

/* mediactl_decrypt.c */
int mediactl_decrypt(int argc, char **argv);
int mediactl_media_url(int argc, char **argv);

/* mediactl_tenant.c, mediactl_trace.c */
int mediactl_tenant(int argc, char **argv);
int mediactl_instance(int argc, char **argv);
int mediactl_trace(int argc, char **argv);

#endif
