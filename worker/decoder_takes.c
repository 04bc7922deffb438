/*
 * Copyright (C) ngx_media contributors
 *
 * Lists of types, which both sides of the decoder read.
 */

#include <string.h>
#include <strings.h>

#include "decoder.h"


bool
decoder_takes(const char *types, const char *type)
{
    size_t       len, n;
    const char  *p;

    len = strcspn(type, "; ");

    for (p = types; *p != '\0'; p += n + strspn(p + n, " ")) {
        n = strcspn(p, " ");

        if (n == len && strncasecmp(p, type, n) == 0) {
            return true;
        }
    }

    return *types == '\0';
}
