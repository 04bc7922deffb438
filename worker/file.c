/*
 * Copyright (C) ngx_media contributors
 *
 * Temporary files, and the clock that durations are measured with.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "media_worker.h"


int
file_temp(void)
{
    int   fd;
    char  path[1024];

    fd = open(conf.tmp_dir, O_TMPFILE|O_RDWR|O_CLOEXEC, 0600);

    if (fd != -1) {
        return fd;
    }

    /* a file system without O_TMPFILE */

    snprintf(path, sizeof(path), "%s/media-XXXXXX", conf.tmp_dir);
    fd = mkostemp(path, O_CLOEXEC);

    if (fd == -1) {
        log_msg(LOG_ERR, "temporary file not created", "dir", conf.tmp_dir,
                "reason", strerror(errno), NULL);
        return -1;
    }

    unlink(path);

    return fd;
}


int
file_write(int fd, const char *s, size_t len)
{
    ssize_t  n;

    while (len > 0) {
        n = write(fd, s, len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            log_msg(LOG_ERR, "temporary file not written",
                    "reason", strerror(errno), NULL);
            return -1;
        }

        s += n;
        len -= n;
    }

    return 0;
}


int64_t
now_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
