/*
 * Copyright (C) ngx_media contributors
 *
 * What the fuzz targets share.  A target is one fuzz_NAME.c with libFuzzer's
 * LLVMFuzzerTestOneInput(); it calls the parser itself, and aborts where a
 * property does not hold.  Input is text as it comes from the network where
 * that is possible, so that the files of corpus/NAME can be read.
 */

#ifndef MEDIA_FUZZ_H
#define MEDIA_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media_core.h"


#define FUZZ_SUM  0xcbf29ce484222325ULL     /* of nothing */


/* how an input is cut into pieces */
typedef enum {
    FUZZ_WHOLE = 0,
    FUZZ_BYTES,
    FUZZ_PIECES,                    /* of lengths that the input decides */
    FUZZ_CUTS
} fuzz_cut_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#define fuzz_check(cond)                                                      \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,        \
                    #cond);                                                   \
            abort();                                                          \
        }                                                                     \
    } while (0)


/* FNV-1a: what a parser said, to be compared with what it says next time */
static inline void
fuzz_bytes(uint64_t *sum, const void *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        *sum = (*sum ^ ((const uint8_t *) p)[i]) * 0x100000001b3ULL;
    }
}


static inline void
fuzz_number(uint64_t *sum, int64_t n)
{
    fuzz_bytes(sum, &n, sizeof(n));
}


static inline void
fuzz_str(uint64_t *sum, media_str_t s)
{
    fuzz_number(sum, (int64_t) s.len);
    fuzz_bytes(sum, s.data, s.len);
}


static inline media_str_t
fuzz_text(const char *s)
{
    media_str_t  v;

    media_str_set(&v, s, strlen(s));

    return v;
}


/* memory of the exact size, for the sanitizer; the caller frees it */
static inline char *
fuzz_copy(const void *p, size_t len)
{
    char  *copy;

    copy = calloc(len ? len : 1, 1);
    fuzz_check(copy != NULL);

    if (len) {
        memcpy(copy, p, len);
    }

    return copy;
}


/* up to the next end byte, which is taken too; what is left stays in *in */
static inline media_str_t
fuzz_cut(media_str_t *in, char end)
{
    size_t       n;
    const char  *p;
    media_str_t  s;

    p = in->len ? memchr(in->data, end, in->len) : NULL;
    n = p ? (size_t) (p - in->data) : in->len;

    media_str_set(&s, in->data, n);
    n += p != NULL;
    in->data += n;
    in->len -= n;

    return s;
}


/* length of the next piece of what is left; begin with seed FUZZ_SUM */
static inline size_t
fuzz_piece(fuzz_cut_t cut, uint64_t *seed, const uint8_t *p, size_t left)
{
    if (cut == FUZZ_WHOLE) {
        return left;
    }

    if (cut == FUZZ_BYTES) {
        return 1;
    }

    fuzz_bytes(seed, p, 1);

    return 1 + (*seed >> 32) % (left < 64 ? left : 64);
}

#endif
