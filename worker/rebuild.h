/*
 * Copyright (C) ngx_media contributors
 *
 * What was made of files by a tool in an old version is made again: mediactl
 * finds the attachments and queues a job for each to media_download, which
 * does it.
 */

#ifndef MEDIA_REBUILD_H
#define MEDIA_REBUILD_H

#include "media_worker.h"


#define REBUILD_TOOL_MAX     64         /* bytes, with the zero */
#define REBUILD_VERSION_MAX  64


/*
 * A tool as decoder_answer_t's made_by names it, and the version below which
 * it matches; "": all.  Versions are the numbers in them, one after the
 * other: 6.9.11-60 is less than 6.9.13 and more than 6.9.11.  The tool "" is
 * what was made before tools were recorded.
 */
typedef struct {
    char  tool[REBUILD_TOOL_MAX];
    char  version[REBUILD_VERSION_MAX];
} rebuild_t;


/* "TOOL" or "TOOL<VERSION" */
bool rebuild_parse(rebuild_t *what, const char *s);

/*
 * The ids of completed attachments, ordered, the first ones after that one;
 * tenant and after may be NULL.  NULL if the database failed.
 */
PGresult *rebuild_find(child_t *child, const rebuild_t *what,
    const char *tenant, const char *after, int limit);
/* their number, or -1 */
int64_t rebuild_count(child_t *child, const rebuild_t *what,
    const char *tenant);

/* thumbnail, metadata and renditions of one; nothing if that is done */
job_result_t rebuild_job(child_t *child, const char *id,
    const rebuild_t *what);

#endif
