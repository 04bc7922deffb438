/*
 * Copyright (C) ngx_media contributors
 */

#include <magic.h>
#include <stdlib.h>
#include <unistd.h>

#include "media_worker.h"


/*
 * The type of a file by its content (libmagic).  The database is loaded once
 * a process; compressed files and archives are not looked into.
 */


#define SNIFF_MAX  (256 * 1024)         /* bytes libmagic looks at */


int
sniff_type(int fd, int64_t size, char *dst, size_t dst_size)
{
    size_t       limit;
    const char  *type;

    static magic_t  cookie;

    if (size == 0) {
        snprintf(dst, dst_size, "application/x-empty");
        return 0;
    }

    if (cookie == NULL) {
        cookie = magic_open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS
                            | MAGIC_NO_CHECK_TAR);

        if (cookie == NULL || magic_load(cookie, NULL) != 0) {
            log_msg(LOG_ERR, "libmagic has no database", NULL);
            exit(1);
        }

        limit = SNIFF_MAX;
        magic_setparam(cookie, MAGIC_PARAM_BYTES_MAX, &limit);
    }

    lseek(fd, 0, SEEK_SET);
    type = magic_descriptor(cookie, fd);

    if (type == NULL) {
        log_msg(LOG_WARN, "libmagic failed", "reason", magic_error(cookie),
                NULL);
        return -1;
    }

    snprintf(dst, dst_size, "%s", type);
    return 0;
}
