/*
 * Copyright (C) ngx_media contributors
 *
 * FFmpeg's input and output on descriptors, in the decoder process.
 */

#ifndef DECODER_IO_H
#define DECODER_IO_H

#include <libavformat/avformat.h>

#include "decoder.h"


typedef struct {
    int                fd;
    int64_t            offset;      /* of what is read or written next */
    int64_t            size;        /* of the file, or so far written */
    int64_t            max_size;    /* of what is written */
    decoder_answer_t  *ans;         /* gets why it was not written */
} decoder_io_t;


/* NULL without memory; io lives longer than what is returned */
AVIOContext *decoder_io_open(decoder_io_t *io, bool writing);
void decoder_io_close(AVIOContext *pb);     /* also NULL */
/* the demuxer for files of that type, or NULL: no other is ever used */
const char *decoder_io_demuxer(const char *mime);

/* an AVFormatContext's io_open: files that a file names are not opened */
int decoder_io_refuse(AVFormatContext *s, AVIOContext **pb, const char *url,
    int flags, AVDictionary **options);

/* the same for a muxer that reads what it has written: s->opaque is that
   decoder_io_t, s->io_close2 is the second one */
int decoder_io_again(AVFormatContext *s, AVIOContext **pb, const char *url,
    int flags, AVDictionary **options);
int decoder_io_again_close(AVFormatContext *s, AVIOContext *pb);

/* a file by that demuxer and no other, its head read; NULL if it cannot be */
AVFormatContext *decoder_io_demux(decoder_io_t *io, const char *demuxer,
    const char *codecs);
void decoder_io_end(AVFormatContext **s);   /* also of NULL */

/* names the libraries in ans->made_by */
void decoder_io_made_by(decoder_answer_t *ans);

#endif
