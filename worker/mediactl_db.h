/*
 * Copyright (C) ngx_media contributors
 *
 * What the commands of mediactl that speak to the database share
 * (mediactl_db.c).
 */

#ifndef MEDIACTL_DB_H
#define MEDIACTL_DB_H

#include "media_worker.h"
#include "mediactl.h"


/* connects to DATABASE_URL; 0, or -1 and standard error says why */
int mediactl_open(child_t *child);
/* the same where other settings are needed, too, NULL-terminated */
int mediactl_open_for(child_t *child, const char *const *names);
void mediactl_close(child_t *child);

/*
 * A list command: parses [--json], runs sql, prints a table or a JSON array.
 * Returns an exit code.
 */
int mediactl_list(int argc, char **argv, int (*usage)(void),
    const char *sql);

/* rows as text columns, or as a JSON array of objects */
void mediactl_table(const PGresult *res);
int mediactl_json(child_t *child, const char *sql, int n,
    const char *const *params);

#endif
