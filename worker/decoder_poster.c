/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libswscale/swscale.h>

#include "decoder_magick.h"
#include "decoder_poster.h"


#define DECODER_POSTER_FRAMES  50       /* that are looked at in a row */
#define DECODER_POSTER_SEEKS   3        /* further places */
#define DECODER_POSTER_BLACK   24       /* mean of red, green and blue */


typedef struct {
    enum AVCodecID            id;
    const char               *name;
} decoder_poster_codec_t;

typedef struct {
    const decoder_request_t  *req;
    decoder_answer_t         *ans;
    AVFormatContext          *s;
    AVStream                 *stream;
    AVCodecContext           *decoder;
    AVPacket                 *packet;
    AVFrame                  *frame;
    struct SwsContext        *sws;
    int                       width;        /* of the poster, not turned */
    int                       height;
    uint8_t                  *rgb;
    uint8_t                  *best;         /* the brightest so far */
    int                       brightness;   /* of that; -1: there is none */
} decoder_poster_t;


static const AVCodec *decoder_poster_codec(const AVStream *stream);
static bool decoder_poster_open(decoder_poster_t *p);
static void decoder_poster_search(decoder_poster_t *p);
static void decoder_poster_look(decoder_poster_t *p);
static bool decoder_poster_packet(decoder_poster_t *p,
    const AVPacket *packet, int *n);
static bool decoder_poster_frame(decoder_poster_t *p);
static bool decoder_poster_write(decoder_poster_t *p, int out);
static bool decoder_poster_jpeg(decoder_poster_t *p, MagickWand *wand,
    int out);


static const decoder_poster_codec_t  decoder_poster_codecs[] = {
    { AV_CODEC_ID_H264,    "h264"     },
    { AV_CODEC_ID_HEVC,    "hevc"     },
    { AV_CODEC_ID_VP8,     "vp8"      },
    { AV_CODEC_ID_VP9,     "vp9"      },
    { AV_CODEC_ID_AV1,     "libdav1d" },
    { AV_CODEC_ID_MPEG4,   "mpeg4"    },
    { AV_CODEC_ID_H263,    "h263"     },
    { AV_CODEC_ID_THEORA,  "theora"   },
    { AV_CODEC_ID_NONE,    NULL       }
};


static const AVCodec *
decoder_poster_codec(const AVStream *stream)
{
    const decoder_poster_codec_t  *c;

    for (c = decoder_poster_codecs; c->name != NULL; c++) {
        if (c->id == stream->codecpar->codec_id) {
            break;
        }
    }

    return c->name == NULL ? NULL : avcodec_find_decoder_by_name(c->name);
}


bool
decoder_poster(const decoder_request_t *req, AVFormatContext *s,
    AVStream *stream, int out, decoder_answer_t *ans)
{
    bool              ok;
    decoder_poster_t  p;

    memset(&p, 0, sizeof(decoder_poster_t));
    p.req = req;
    p.ans = ans;
    p.s = s;
    p.stream = stream;
    p.brightness = -1;
    ok = true;

    if (decoder_poster_open(&p)) {
        decoder_poster_search(&p);
        ok = p.brightness >= 0
             ? decoder_poster_write(&p, out)
             : decoder_fail(ans, DECODER_CORRUPT,
                            "its pictures cannot be decoded");
    }

    avcodec_free_context(&p.decoder);
    av_packet_free(&p.packet);
    av_frame_free(&p.frame);
    sws_freeContext(p.sws);
    free(p.rgb);
    free(p.best);

    return ok;
}


static bool
decoder_poster_open(decoder_poster_t *p)
{
    size_t          width, height;
    const AVCodec  *codec;

    codec = decoder_poster_codec(p->stream);

    if (codec == NULL || p->req->max_edge <= 0
        || !decoder_takes(p->req->types, "image/jpeg"))
    {
        return false;
    }

    decoder_fit(p->stream->codecpar->width, p->stream->codecpar->height,
                p->req->max_edge, &width, &height);
    p->width = width;
    p->height = height;
    p->decoder = avcodec_alloc_context3(codec);
    p->packet = av_packet_alloc();
    p->frame = av_frame_alloc();
    p->rgb = malloc(3 * (size_t) p->width * p->height);
    p->best = malloc(3 * (size_t) p->width * p->height);

    if (p->decoder == NULL || p->packet == NULL || p->frame == NULL
        || p->rgb == NULL || p->best == NULL
        || avcodec_parameters_to_context(p->decoder, p->stream->codecpar) < 0)
    {
        return false;
    }

    p->decoder->thread_count = 1;
    p->decoder->pkt_timebase = p->stream->time_base;

    if (p->req->limits.pixels != 0) {
        p->decoder->max_pixels = p->req->limits.pixels;
    }

    return avcodec_open2(p->decoder, codec, NULL) >= 0;
}


/* from the beginning, then from what comes later in a video that begins with
   darkness */
static void
decoder_poster_search(decoder_poster_t *p)
{
    int      i;
    int64_t  at;

    for (i = 0; i <= DECODER_POSTER_SEEKS; i++) {
        at = av_rescale(p->ans->duration_ms * i / (DECODER_POSTER_SEEKS + 1),
                        p->stream->time_base.den,
                        1000LL * p->stream->time_base.num);

        if (avformat_seek_file(p->s, p->stream->index, INT64_MIN, at,
                               i == 0 ? INT64_MAX : at, 0)
            < 0)
        {
            continue;
        }

        avcodec_flush_buffers(p->decoder);
        decoder_poster_look(p);

        if (p->brightness > DECODER_POSTER_BLACK) {
            return;
        }
    }
}


static void
decoder_poster_look(decoder_poster_t *p)
{
    int   n;
    bool  more;

    n = 0;
    more = true;

    while (more && n < DECODER_POSTER_FRAMES
           && av_read_frame(p->s, p->packet) >= 0)
    {
        more = p->packet->stream_index != p->stream->index
               || decoder_poster_packet(p, p->packet, &n);
        av_packet_unref(p->packet);
    }

    if (more) {
        (void) decoder_poster_packet(p, NULL, &n);
    }
}


/* false: there is a picture that is not black */
static bool
decoder_poster_packet(decoder_poster_t *p, const AVPacket *packet, int *n)
{
    bool  black;

    if (avcodec_send_packet(p->decoder, packet) < 0) {
        return true;
    }

    while (avcodec_receive_frame(p->decoder, p->frame) >= 0) {
        black = decoder_poster_frame(p);
        av_frame_unref(p->frame);
        ++*n;

        if (!black) {
            return false;
        }
    }

    return true;
}


/* true: it is black, or cannot be scaled */
static bool
decoder_poster_frame(decoder_poster_t *p)
{
    int       linesize[1];
    size_t    i, size;
    uint8_t  *data[1], *rgb;
    uint64_t  sum;

    p->sws = sws_getCachedContext(p->sws, p->frame->width, p->frame->height,
                                  p->frame->format, p->width, p->height,
                                  AV_PIX_FMT_RGB24, SWS_AREA, NULL, NULL,
                                  NULL);

    if (p->sws == NULL) {
        return true;
    }

    data[0] = p->rgb;
    linesize[0] = 3 * p->width;

    if (sws_scale(p->sws, (const uint8_t *const *) p->frame->data,
                  p->frame->linesize, 0, p->frame->height, data, linesize)
        != p->height)
    {
        return true;
    }

    size = 3 * (size_t) p->width * p->height;
    sum = 0;

    for (i = 0; i < size; i++) {
        sum += p->rgb[i];
    }

    if ((int) (sum / size) > p->brightness) {
        p->brightness = sum / size;
        rgb = p->best;
        p->best = p->rgb;
        p->rgb = rgb;
    }

    return p->brightness <= DECODER_POSTER_BLACK;
}


static bool
decoder_poster_write(decoder_poster_t *p, int out)
{
    bool         ok;
    MagickWand  *wand;

    wand = NewMagickWand();
    ok = decoder_poster_jpeg(p, wand, out);
    DestroyMagickWand(wand);

    return ok || decoder_fail(p->ans, DECODER_CORRUPT,
                              "its picture cannot be written");
}


static bool
decoder_poster_jpeg(decoder_poster_t *p, MagickWand *wand, int out)
{
    bool            ok;
    size_t          size;
    PixelWand      *black;
    unsigned char  *bytes;

    black = NewPixelWand();
    ok = MagickConstituteImage(wand, p->width, p->height, "RGB", CharPixel,
                               p->best)
         && (p->ans->rotation == 0
             || MagickRotateImage(wand, black, p->ans->rotation))
         && decoder_pixels(wand, p->ans);
    DestroyPixelWand(black);

    bytes = ok ? decoder_encode(wand, "JPEG", p->req->quality, &size) : NULL;

    return decoder_result(wand, out, p->ans, bytes, size, "image/jpeg");
}
