/*
 * Copyright (C) ngx_media contributors
 *
 * Stands in for what is not linked in yet: renditions and the ledger.
 */

#include "send.h"


#define WEAK  __attribute__((weak))


WEAK int
send_create(child_t *child, const send_request_t *request,
    char id[MEDIA_KEY_UUID_LEN + 1], char *error, size_t error_size)
{
    (void) child;
    (void) request;
    (void) id;
    (void) error;
    (void) error_size;
    return SEND_CREATED;
}


WEAK int
send_attachment_ready(child_t *child, const char *attachment,
    const char *reason)
{
    (void) child;
    (void) attachment;
    (void) reason;
    return 0;
}


WEAK job_result_t
send_job(child_t *child, job_t *job)
{
    (void) child;
    (void) job;
    return JOB_DEAD;
}


WEAK rendition_result_t
rendition_get(child_t *child, const char *attachment, const char *provider,
    const char *kind, int fd, rendition_t *r, char *error, size_t error_size)
{
    (void) child;
    (void) attachment;
    (void) provider;
    (void) kind;
    (void) fd;
    (void) r;
    (void) error;
    (void) error_size;
    return RENDITION_OK;
}
