/*
 * Copyright (C) ngx_media contributors
 *
 * What every file of core/ shares: string views and return codes.  core/ is
 * plain C on libc, libcrypto and yajl, does no I/O, keeps no globals, and
 * both programs link it statically.
 */

#ifndef MEDIA_CORE_H
#define MEDIA_CORE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>


/* a view of bytes that somebody else owns; not zero-terminated */
typedef struct {
    size_t       len;
    const char  *data;
} media_str_t;


#define media_str(s)       { sizeof(s) - 1, (s) }
#define media_str_set(p, s, n)  ((p)->data = (s), (p)->len = (n))


/* return codes of core/: 0, or one of these; a header names further ones */
#define MEDIA_OK        0
#define MEDIA_ERROR    (-1)     /* malformed input */
#define MEDIA_NOSPACE  (-2)     /* the caller's buffer is too small */
#define MEDIA_DENIED   (-3)     /* well-formed, but refused by a rule */

#endif
