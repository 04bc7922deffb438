/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>

#include "decoder_io.h"


#define DECODER_IO_BUFFER  32768
#define DECODER_IO_PROBE   (1024 * 1024)    /* bytes for find_stream_info */

#if LIBAVFORMAT_VERSION_MAJOR >= 61
#define DECODER_IO_CONST const
#else
#define DECODER_IO_CONST
#endif


typedef struct {
    const char  *mime;
    const char  *demuxer;
} decoder_demuxer_t;


static int decoder_io_read(void *data, uint8_t *buf, int size);
static int decoder_io_write(void *data, DECODER_IO_CONST uint8_t *buf,
    int size);
static int64_t decoder_io_seek(void *data, int64_t offset, int whence);


/* by the type of the content; none that reads other files or a network */
static const decoder_demuxer_t  decoder_demuxers[] = {
    { "audio/ogg",            "ogg"      },
    { "video/ogg",            "ogg"      },
    { "application/ogg",      "ogg"      },
    { "audio/webm",           "matroska" },
    { "video/webm",           "matroska" },
    { "audio/x-matroska",     "matroska" },
    { "video/x-matroska",     "matroska" },
    { "audio/mp4",            "mov"      },
    { "audio/x-m4a",          "mov"      },
    { "audio/3gpp",           "mov"      },
    { "video/mp4",            "mov"      },
    { "video/x-m4v",          "mov"      },
    { "video/3gpp",           "mov"      },
    { "video/3gpp2",          "mov"      },
    { "video/quicktime",      "mov"      },
    { "audio/mpeg",           "mp3"      },
    { "audio/aac",            "aac"      },
    { "audio/x-aac",          "aac"      },
    { "audio/x-hx-aac-adts",  "aac"      },
    { "audio/amr",            "amr"      },
    { "audio/amr-wb",         "amr"      },
    { "audio/wav",            "wav"      },
    { "audio/x-wav",          "wav"      },
    { "audio/vnd.wave",       "wav"      },
    { NULL,                   NULL       }
};


const char *
decoder_io_demuxer(const char *mime)
{
    const decoder_demuxer_t  *d;

    for (d = decoder_demuxers; d->mime != NULL; d++) {
        if (strcasecmp(d->mime, mime) == 0) {
            break;
        }
    }

    return d->demuxer;
}


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
                            decoder_io_seek);

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


int
decoder_io_again(AVFormatContext *s, AVIOContext **pb, const char *url,
    int flags, AVDictionary **options)
{
    decoder_io_t  *io;

    (void) url;
    (void) options;

    if (flags & AVIO_FLAG_WRITE) {
        return AVERROR(EPERM);
    }

    io = malloc(sizeof(decoder_io_t));

    if (io == NULL) {
        return AVERROR(ENOMEM);
    }

    *io = *(decoder_io_t *) s->opaque;
    io->offset = 0;
    *pb = decoder_io_open(io, false);

    if (*pb == NULL) {
        free(io);
        return AVERROR(ENOMEM);
    }

    return 0;
}


int
decoder_io_again_close(AVFormatContext *s, AVIOContext *pb)
{
    (void) s;

    free(pb->opaque);
    decoder_io_close(pb);

    return 0;
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


void
decoder_io_made_by(decoder_answer_t *ans)
{
    unsigned  codec, format;

    codec = avcodec_version();
    format = avformat_version();

    snprintf(ans->made_by, sizeof(ans->made_by),
             "libavformat/%u.%u.%u libavcodec/%u.%u.%u",
             AV_VERSION_MAJOR(format), AV_VERSION_MINOR(format),
             AV_VERSION_MICRO(format), AV_VERSION_MAJOR(codec),
             AV_VERSION_MINOR(codec), AV_VERSION_MICRO(codec));
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

    if (io->offset + size > io->max_size) {
        decoder_fail(io->ans, DECODER_REFUSED, "the result is too large");
        return AVERROR(EFBIG);
    }

    if (!decoder_write(io->fd, buf, size, io->offset, io->ans)) {
        return AVERROR(EIO);
    }

    io->offset += size;
    io->size = io->offset > io->size ? io->offset : io->size;
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
