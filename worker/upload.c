/*
 * Copyright (C) ngx_media contributors
 *
 * The jobs of media_upload: each by its "type".
 */

#include "send.h"


/* not linked in before it is there */
job_result_t send_job(child_t *child, job_t *job) __attribute__((weak));


typedef struct {
    const char     *type;
    job_result_t  (*run)(child_t *child, job_t *job);
} upload_type_t;


static const upload_type_t  upload_types[] = {
    { "send", send_job },
    { "send_wake", send_job },
    { "read", send_job },
    { "typing", send_job }
};


job_result_t
upload_job(child_t *child, job_t *job)
{
    size_t           i;
    char             type[32];
    answer_t         body;
    answer_member_t  members[] = { { "type", type, sizeof(type) },
                                   { NULL, NULL, 0 } };

    if (answer_open(&body, members, NULL, NULL, NULL) != 0) {
        return JOB_AGAIN;
    }

    (void) answer_write(&body, job->body.data, job->body.len);

    if (answer_close(&body) == 0) {
        for (i = 0; i < sizeof(upload_types) / sizeof(upload_types[0]); i++) {
            if (strcmp(type, upload_types[i].type) == 0
                && upload_types[i].run != NULL)
            {
                return upload_types[i].run(child, job);
            }
        }
    }

    log_msg(LOG_ERR, "upload job is malformed", "type", type, NULL);
    return JOB_DEAD;
}
