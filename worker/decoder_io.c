/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decoder_io.h"


#define DECODER_IO_BUFFER  32768
#define DECODER_IO_PROBE   (1024 * 1024)    /* bytes for find_stream_info */

#if LIBAVFORMAT_VERSION_MAJOR >= 61
#define DECODER_IO_CONST const
#else
#define DECODER_IO_CONST
#endif


static int decoder_io_read(void *data, uint8_t *buf, int size);
static int decoder_io_write(void *data, DECODER_IO_CONST uint8_t *buf,
    int size);
static int64_t decoder_io_seek(void *data, int64_t offset, int whence);


AVIOContext *
decoder_io_open(decoder_io_t *io, bool writing)
{
    uint8_t      *buf;
    AVIOContext  *pb;

    buf = av_malloc(DECODER_IO_BUFFER);

    if (buf == NULL) {
        return NULL;
    }

    pb = avio_alloc_context(buf, DECODER_IO_BUFFER, writing, io,
                            writing ? NULL : decoder_io_read,
                            writing ? decoder_io_write : NULL,
                            writing ? NULL : decoder_io_seek);

    if (pb == NULL) {
        av_free(buf);
    }

    return pb;
}


void
decoder_io_close(AVIOContext *pb)
{
    if (pb != NULL) {
        av_freep(&pb->buffer);
        avio_context_free(&pb);
    }
}


int
decoder_io_refuse(AVFormatContext *s, AVIOContext **pb, const char *url,
    int flags, AVDictionary **options)
{
    (void) s;
    (void) pb;
    (void) url;
    (void) flags;
    (void) options;

    return AVERROR(EPERM);
}


AVFormatContext *
decoder_io_demux(decoder_io_t *io, const char *demuxer, const char *codecs)
{
    AVIOContext      *pb;
    AVFormatContext  *s;

    s = avformat_alloc_context();
    pb = decoder_io_open(io, false);

    if (s == NULL || pb == NULL) {
        avformat_free_context(s);
        decoder_io_close(pb);
        return NULL;
    }

    s->pb = pb;
    s->io_open = decoder_io_refuse;
    s->flags |= AVFMT_FLAG_CUSTOM_IO;
    s->probesize = DECODER_IO_PROBE;
    s->protocol_whitelist = av_strdup("none");
    s->format_whitelist = av_strdup(demuxer);
    s->codec_whitelist = av_strdup(codecs);

    /* the context is freed on failure */
    if (avformat_open_input(&s, NULL, av_find_input_format(demuxer), NULL)
        < 0)
    {
        decoder_io_close(pb);
        return NULL;
    }

    return s;
}


void
decoder_io_end(AVFormatContext **s)
{
    AVIOContext  *pb;

    pb = *s != NULL ? (*s)->pb : NULL;
    avformat_close_input(s);
    decoder_io_close(pb);
}


static int
decoder_io_read(void *data, uint8_t *buf, int size)
{
    ssize_t        n;
    decoder_io_t  *io;

    io = data;
    n = pread(io->fd, buf, size, io->offset);

    if (n <= 0) {
        return n == 0 ? AVERROR_EOF : AVERROR(EIO);
    }

    io->offset += n;
    return n;
}


static int
decoder_io_write(void *data, DECODER_IO_CONST uint8_t *buf, int size)
{
    decoder_io_t  *io;

    io = data;

    if (io->size + size > io->max_size) {
        strcpy(io->ans->error, "the result is too large");
        return AVERROR(EFBIG);
    }

    if (!decoder_write(io->fd, buf, size, io->size, io->ans)) {
        return AVERROR(EIO);
    }

    io->size += size;
    return size;
}


static int64_t
decoder_io_seek(void *data, int64_t offset, int whence)
{
    decoder_io_t  *io;

    io = data;

    switch (whence & ~AVSEEK_FORCE) {

    case AVSEEK_SIZE:
        return io->size;

    case SEEK_SET:
        break;

    case SEEK_CUR:
        offset += io->offset;
        break;

    case SEEK_END:
        offset += io->size;
        break;

    default:
        return AVERROR(EINVAL);
    }

    if (offset < 0) {
        return AVERROR(EINVAL);
    }

    io->offset = offset;
    return offset;
}
