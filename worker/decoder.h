/*
 * Copyright (C) ngx_media contributors
 *
 * What passes between image.c and the decoder process: one request with two
 * descriptors (SCM_RIGHTS: the image, the file for the thumbnail), one answer.
 */

#ifndef DECODER_H
#define DECODER_H

#include <stdint.h>


#define DECODER_FD        3
#define DECODER_CPU_TIME  10        /* seconds, of one image */


typedef struct {
    char     mime[64];
    int      max_edge;
    int      quality;
} decoder_request_t;


typedef struct {
    int      width;                 /* also on failure, if it was known */
    int      height;
    int64_t  size;                  /* of the thumbnail */
    char     error[160];            /* "" on success */
} decoder_answer_t;

#endif
