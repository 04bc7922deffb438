/*
 * Copyright (C) ngx_media contributors
 *
 * What passes between decode.c and media-decode, the decoder process: a
 * greeting, then one request with two descriptors (SCM_RIGHTS: the file, and
 * one for the result) and one answer at a time.
 */

#ifndef DECODER_H
#define DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define DECODER_VERSION      3      /* of what passes */
#define DECODER_FD           3
#define DECODER_WAVEFORM     64     /* samples, as WhatsApp has it */
#define DECODER_PLACEHOLDER  40     /* bytes at most */


typedef enum {
    DECODER_SNIFF = 0,              /* the type, nothing else */
    DECODER_INSPECT,                /* all that is known, and a preview */
    DECODER_IMAGE,                  /* a JPEG of max_size at most, without
                                       metadata that have a position */
    DECODER_STICKER,                /* a WebP of 512x512 pixels */
    DECODER_VOICE,                  /* Ogg with Opus, 48 kHz, mono; also
                                       duration and waveform */
    DECODER_AUDIO,                  /* the same, for music */
    DECODER_M4A,                    /* AAC in MP4 */
    DECODER_VIDEO                   /* nothing: whether its codecs are those
                                       that WhatsApp takes */
} decoder_task_t;


/* what became of the file; all but the first come with an error */
typedef enum {
    DECODER_OK = 0,
    DECODER_REFUSED,                /* a limit, which the error names */
    DECODER_CORRUPT,
    DECODER_ENCRYPTED,
    DECODER_UNKNOWN,                /* nothing reads this type */
    DECODER_FAILED                  /* the process died or took too long;
                                       decode.c says so, nobody else */
} decoder_verdict_t;


/* how the process is confined; what it says before the first request */
typedef struct {
    uint32_t           version;         /* DECODER_VERSION */
    uint32_t           request_size;    /* of the structures */
    uint32_t           answer_size;
    int32_t            seccomp;         /* 1: there is a filter */
    int32_t            landlock;        /* ABI; 0: there is none */
    int32_t            files;           /* 1: it could open one, as it should
                                           not */
    int32_t            policy;          /* 1: ImageMagick has ours */
    int64_t            memory;          /* bytes; 0: no limit */
} decoder_hello_t;


/* what a file may have; checked by its head, before anything is decoded */
typedef struct {
    int64_t            pixels;          /* frames * width * height */
    int                frames;
    int                pages;
    int                duration;        /* seconds */
    int64_t            expansion;       /* bytes out of an archive */
} decoder_limits_t;


typedef struct {
    decoder_task_t     task;
    int                cpu_time;        /* seconds */
    int                max_edge;        /* of a preview, pixels */
    int                quality;         /* likewise */
    int64_t            max_size;        /* of the result */
    int64_t            max_animated;    /* of a sticker that moves */
    char               mime[100];       /* as it was declared; to a decoder
                                           the type of the content */
    char               types[128];      /* of a rendition: what may stay as it
                                           is if it is not larger; of a
                                           preview: what it may be; separated
                                           by spaces */
    decoder_limits_t   limits;          /* decode() sets them */
} decoder_request_t;


/* what was written to the second descriptor, from its beginning */
typedef struct {
    int64_t            size;            /* 0: nothing */
    char               type[64];
    int                width;           /* 0 if it is no picture */
    int                height;
} decoder_result_t;


typedef struct {
    char               type[100];       /* of the content, sniffed */
    decoder_verdict_t  verdict;
    char               error[160];      /* "" with DECODER_OK, else goes after
                                           "it could not be converted: " */

    /* 0 or "": not known, or there is none */
    int                width;           /* upright; also on failure, if they */
    int                height;          /* were known */
    int                rotation;        /* degrees clockwise that make it
                                           upright: 90, 180, 270 */
    int                frames;
    int                pages;
    int64_t            duration_ms;
    int                sample_rate;     /* Hz */
    int                channels;
    char               video_codec[32];
    char               audio_codec[32];
    char               title[256];      /* UTF-8 */
    char               charset[32];     /* "utf-8" */

    uint8_t            has_waveform;
    uint8_t            waveform[DECODER_WAVEFORM];          /* 0..100 */
    uint8_t            placeholder_size;
    uint8_t            placeholder[DECODER_PLACEHOLDER];    /* ThumbHash */
    uint8_t            has_colour;
    uint8_t            alpha;           /* there is transparency */
    uint8_t            animated;
    uint8_t            gps;             /* metadata say where it was taken */
    uint32_t           colour;          /* the dominant one, 0xRRGGBB */

    uint8_t            expands;         /* DECODER_REFUSED: whoever opens it
                                           gets too much; not to be stored */
    uint8_t            as_is;           /* 1: the file is good, there is no
                                           result but its type */
    decoder_result_t   result;          /* the preview or rendition */
    char               made_by[256];    /* the tools: "libjpeg-turbo/2.1.5
                                           libMagickWand/6.9.11-60" */
} decoder_answer_t;


/*
 * decode.c: 0 with an answer, whose verdict is DECODER_FAILED if the decoder
 * process died or took too long, or -1 if there is no decoder.
 */
int decode(int in, int out, const decoder_request_t *req,
    decoder_answer_t *ans);
/* starts it: how it is confined, or -1 */
int decode_check(decoder_hello_t *hello);

/*
 * inspect.c: what a file is, and a preview of one of those types within
 * max_edge pixels in an unlinked file, or -1 in *preview.  A file that kills
 * the decoder process is tried twice, then only its type is asked for; the
 * verdict is DECODER_FAILED then, and the type "" if even that failed.
 * Returns 0, or -1 if there is no decoder.
 */
int inspect(int fd, const char *declared, int max_edge, const char *types,
    decoder_answer_t *ans, int *preview);

/*
 * metadata.c: the answer as a JSON object for message_attachments.metadata,
 * with the names of docs/worker.md; to be freed, NULL without memory
 */
char *metadata_json(const decoder_answer_t *ans);

/* decoder_takes.c: whether a type is in a list separated by spaces; its
   parameters do not count, and the empty list is one of all types */
bool decoder_takes(const char *types, const char *type);


/* within the decoder process */

/* decoder.c: false if that is too much for the descriptor's limit */
bool decoder_write(int fd, const void *data, size_t size, int64_t offset,
    decoder_answer_t *ans);
/* the verdict and its reason; the first one stays.  Always false. */
bool decoder_fail(decoder_answer_t *ans, decoder_verdict_t verdict,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* decoder_sniff.c: ans->type */
void decoder_sniff_init(void);
bool decoder_sniff(int in, decoder_answer_t *ans);
/* of text: "iso-8859-1", "unknown-8bit" */
const char *decoder_sniff_charset(int in);

/* decoder_inspect.c: by one of those below, as the type says */
void decoder_inspect(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);

/* decoder_image.c; whether ImageMagick took our policy */
bool decoder_image_init(void);
void decoder_image(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);

/* decoder_pdf.c, decoder_office.c, decoder_text.c, decoder_av.c */
void decoder_pdf(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);
void decoder_office(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);
void decoder_text_init(void);
void decoder_text(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);
void decoder_av(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);
/* ans->title: UTF-8 or nearly so, without control characters, cut */
void decoder_title(decoder_answer_t *ans, const char *text);

/* decoder_pdf_check.c: false if the streams of objects expand to more than
   that, or to much more than their size */
bool decoder_pdf_check(const char *data, size_t size, int64_t expansion,
    decoder_answer_t *ans);

/* decoder_audio.c */
void decoder_audio(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);

/* decoder_video.c */
void decoder_video(int in, decoder_answer_t *ans);

#endif
