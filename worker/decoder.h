/*
 * Copyright (C) ngx_media contributors
 *
 * What passes between decode.c and the decoder process: one request with two
 * descriptors (SCM_RIGHTS: the file, and one for the result), one answer.
 */

#ifndef DECODER_H
#define DECODER_H

#include <stdbool.h>
#include <stdint.h>


#define DECODER_FD        3
#define DECODER_WAVEFORM  64        /* samples, as WhatsApp has it */


typedef enum {
    DECODER_THUMBNAIL = 0,          /* a JPEG within max_edge */
    DECODER_IMAGE,                  /* a JPEG of max_size at most */
    DECODER_STICKER,                /* a WebP of 512x512 pixels */
    DECODER_VOICE,                  /* Ogg with Opus, 48 kHz, mono; also
                                       duration and waveform */
    DECODER_AUDIO,                  /* the same, for music */
    DECODER_VIDEO                   /* nothing: whether its codecs are those
                                       that WhatsApp takes */
} decoder_task_t;


typedef struct {
    decoder_task_t  task;
    int             cpu_time;       /* seconds */
    int             max_edge;       /* of a thumbnail, likewise */
    int             quality;
    int64_t         max_size;       /* of the result */
    int64_t         max_animated;   /* of a sticker that moves */
    char            mime[64];       /* of the content, as it was sniffed */
    char            types[128];     /* what may stay as it is if it is not
                                       larger, separated by spaces */
} decoder_request_t;


typedef struct {
    int             width;          /* of an image, upright; also on failure,
                                       if they were known */
    int             height;
    int64_t         size;           /* of the result */
    int             as_is;          /* 1: there is none, the file is good */
    char            type[64];       /* of the result, or of the file */
    int             duration;       /* seconds, rounded up */
    uint8_t         waveform[DECODER_WAVEFORM];     /* 0..100 */
    char            error[160];     /* "" on success; goes after "it could not
                                       be converted: " */
} decoder_answer_t;


/*
 * decode.c: 0 with an answer, which has an error if the decoder process
 * died or took too long, or -1 if there is no decoder.
 */
int decode(int in, int out, const decoder_request_t *req,
    decoder_answer_t *ans);

/* whether a type is in a list separated by spaces; its parameters do not
   count, and the empty list is one of all types */
bool decoder_takes(const char *types, const char *type);


/* within the decoder process */

/* decoder.c: false if that is too much for the descriptor's limit */
bool decoder_write(int fd, const void *data, size_t size, int64_t offset,
    decoder_answer_t *ans);
/* decoder_image.c */
void decoder_image_init(void);
void decoder_image(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);

/* decoder_audio.c */
void decoder_audio(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);

/* decoder_video.c */
void decoder_video(int in, decoder_answer_t *ans);

#endif
