/*
 * Copyright (C) ngx_media contributors
 *
 * An object in Redis: one binary string, a fixed-size head and then the body.
 * Numbers are big-endian.
 *
 *     0   4  magic "NMC2"
 *     4   1  length of the content type
 *     5   1  length of the ETag
 *     6   2  length of the Content-Disposition
 *     8   8  body length
 *     16  8  Last-Modified, unix seconds, or -1
 *     24  .. content type, ETag, Content-Disposition, zeros up to 512
 *     512    body
 */

#ifndef MEDIA_ENTRY_H
#define MEDIA_ENTRY_H

#include "media_core.h"


#define MEDIA_ENTRY_HEAD        512
#define MEDIA_ENTRY_KEY_LEN     (sizeof("media:") - 1 + 64)


typedef struct {
    int64_t      length;            /* bytes of the body */
    int64_t      last_modified;     /* unix seconds, -1 if unknown */
    media_str_t  content_type;
    media_str_t  etag;              /* with its quotes */
    media_str_t  disposition;
} media_entry_t;


/* Writes "media:" and the hex SHA-256 of the object key. */
void media_entry_key(char dst[MEDIA_ENTRY_KEY_LEN], media_str_t key);

/* Writes MEDIA_ENTRY_HEAD bytes.  MEDIA_OK, or MEDIA_NOSPACE if the strings
   do not fit. */
int media_entry_encode(unsigned char *dst, const media_entry_t *entry);

/*
 * Reads a head; the strings are views of src.  Returns MEDIA_OK, or
 * MEDIA_ERROR for a foreign or damaged head.  The caller compares
 * entry->length with what follows.
 */
int media_entry_decode(media_entry_t *entry, const unsigned char *src,
    size_t len);

#endif
