/*
 * Copyright (C) ngx_media contributors
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavutil/audio_fifo.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>

#include "decoder.h"
#include "decoder_io.h"


/*
 * Audio in the decoder process: anything becomes Ogg with Opus.  FFmpeg's
 * libraries read and write the given descriptors only; demuxers and decoders
 * are those of the tables, there are no protocols and no threads.
 */


#define DECODER_RATE           48000
#define DECODER_SECONDS_MAX    1800
#define DECODER_BLOCK          480      /* samples that are measured together */
#define DECODER_BLOCKS_MAX     (DECODER_SECONDS_MAX * DECODER_RATE            \
                                / DECODER_BLOCK)

/* three minutes of a voice note are within the 512 KB that the Cloud API
   shows as one */
#define DECODER_VOICE_RATE     24000    /* bits per second */
#define DECODER_AUDIO_RATE     64000

typedef struct {
    const char               *mime;
    const char               *demuxer;
} decoder_demuxer_t;

typedef struct {
    enum AVCodecID            id;
    const char               *name;
} decoder_codec_t;

/* what may stay as it is */
typedef struct {
    const char               *demuxer;
    enum AVCodecID            id;
    const char               *type;
} decoder_format_t;

typedef struct {
    const decoder_request_t  *req;
    decoder_answer_t         *ans;
    const char               *demuxer_name;

    decoder_io_t              in;
    decoder_io_t              out;

    AVFormatContext          *demuxer;
    AVFormatContext          *muxer;
    AVStream                 *stream;       /* of the demuxer's */
    AVCodecContext           *decoder;
    AVCodecContext           *encoder;      /* NULL: only measured */
    AVPacket                 *packet;
    AVPacket                 *encoded;
    AVFrame                  *frame;
    AVFrame                  *piece;        /* to be encoded */
    AVAudioFifo              *fifo;

    /* what the resampler is set up for */
    SwrContext               *swr;
    AVChannelLayout           layout;
    int                       rate;
    int                       format;

    int64_t                   samples;
    int64_t                   written;
    double                    energy;       /* of the block so far */
    float                    *blocks;
} decoder_audio_t;


static bool decoder_open(decoder_audio_t *a);
static bool decoder_open_codec(decoder_audio_t *a);
static bool decoder_as_is(decoder_audio_t *a);
static bool decoder_open_output(decoder_audio_t *a);
static bool decoder_run(decoder_audio_t *a);
static bool decoder_packet(decoder_audio_t *a, const AVPacket *packet);
static bool decoder_frame(decoder_audio_t *a, AVFrame *frame);
static bool decoder_resampler(decoder_audio_t *a, const AVFrame *frame);
static bool decoder_resample(decoder_audio_t *a, const AVFrame *frame);
static bool decoder_measure(decoder_audio_t *a, const int16_t *s, int n);
static bool decoder_encode(decoder_audio_t *a, bool last);
static bool decoder_encode_frame(decoder_audio_t *a, AVFrame *frame);
static void decoder_waveform(decoder_audio_t *a);
static bool decoder_refuse(decoder_audio_t *a, const char *reason);
static void decoder_close(decoder_audio_t *a);


/* by the type of the content */
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

static const decoder_codec_t  decoder_codecs[] = {
    { AV_CODEC_ID_OPUS,       "opus"      },
    { AV_CODEC_ID_VORBIS,     "vorbis"    },
    { AV_CODEC_ID_AAC,        "aac"       },
    { AV_CODEC_ID_MP3,        "mp3float"  },
    { AV_CODEC_ID_AMR_NB,     "amrnb"     },
    { AV_CODEC_ID_AMR_WB,     "amrwb"     },
    { AV_CODEC_ID_PCM_U8,     "pcm_u8"    },
    { AV_CODEC_ID_PCM_S16LE,  "pcm_s16le" },
    { AV_CODEC_ID_PCM_S24LE,  "pcm_s24le" },
    { AV_CODEC_ID_PCM_S32LE,  "pcm_s32le" },
    { AV_CODEC_ID_PCM_F32LE,  "pcm_f32le" },
    { AV_CODEC_ID_PCM_ALAW,   "pcm_alaw"  },
    { AV_CODEC_ID_PCM_MULAW,  "pcm_mulaw" },
    { AV_CODEC_ID_NONE,       NULL        }
};

/* the same, as FFmpeg wants to have it */
#define DECODER_CODECS                                                        \
    "opus,vorbis,aac,mp3float,amrnb,amrwb,pcm_u8,pcm_s16le,pcm_s24le,"        \
    "pcm_s32le,pcm_f32le,pcm_alaw,pcm_mulaw"

#define DECODER_OPUS  "audio/ogg; codecs=opus"

static const decoder_format_t  decoder_formats[] = {
    { "ogg", AV_CODEC_ID_OPUS,   DECODER_OPUS },
    { "mp3", AV_CODEC_ID_MP3,    "audio/mpeg" },
    { "mov", AV_CODEC_ID_AAC,    "audio/mp4"  },
    { "aac", AV_CODEC_ID_AAC,    "audio/aac"  },
    { "amr", AV_CODEC_ID_AMR_NB, "audio/amr"  },
    { NULL,  AV_CODEC_ID_NONE,   NULL         }
};


void
decoder_audio(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    decoder_audio_t  a;

    av_log_set_level(AV_LOG_QUIET);

    memset(&a, 0, sizeof(decoder_audio_t));
    a.req = req;
    a.ans = ans;
    a.in.fd = in;
    a.in.size = lseek(in, 0, SEEK_END);
    a.out.fd = out;
    a.out.max_size = req->max_size;
    a.out.ans = ans;

    if (decoder_open(&a) && decoder_open_codec(&a)) {
        ans->as_is = decoder_as_is(&a);

        /* a voice note is shown with its length and waveform */
        if (!ans->as_is || req->task == DECODER_VOICE) {
            (void) ((ans->as_is || decoder_open_output(&a))
                    && decoder_run(&a));
        }
    }

    decoder_close(&a);
}


static bool
decoder_open(decoder_audio_t *a)
{
    const decoder_demuxer_t  *d;

    for (d = decoder_demuxers; d->mime != NULL; d++) {
        if (strcasecmp(d->mime, a->req->mime) == 0) {
            break;
        }
    }

    if (d->mime == NULL) {
        return decoder_refuse(a, "no decoder for this type");
    }

    a->demuxer_name = d->demuxer;
    a->packet = av_packet_alloc();
    a->encoded = av_packet_alloc();
    a->frame = av_frame_alloc();
    a->piece = av_frame_alloc();
    a->blocks = calloc(DECODER_BLOCKS_MAX + 1, sizeof(float));

    if (a->packet == NULL || a->encoded == NULL || a->frame == NULL
        || a->piece == NULL || a->blocks == NULL)
    {
        return decoder_refuse(a, "no memory");
    }

    a->demuxer = decoder_io_demux(&a->in, d->demuxer, DECODER_CODECS);

    if (a->demuxer == NULL
        || avformat_find_stream_info(a->demuxer, NULL) < 0)
    {
        return decoder_refuse(a, "it cannot be read");
    }

    return true;
}


static bool
decoder_open_codec(decoder_audio_t *a)
{
    int                     n;
    unsigned                i;
    const AVCodec          *codec;
    const decoder_codec_t  *c;

    n = av_find_best_stream(a->demuxer, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0);

    if (n < 0) {
        return decoder_refuse(a, "it has no audio");
    }

    for (i = 0; i < a->demuxer->nb_streams; i++) {
        if (i != (unsigned) n) {
            a->demuxer->streams[i]->discard = AVDISCARD_ALL;
        }
    }

    a->stream = a->demuxer->streams[n];

    for (c = decoder_codecs; c->name != NULL; c++) {
        if (c->id == a->stream->codecpar->codec_id) {
            break;
        }
    }

    codec = c->name == NULL ? NULL : avcodec_find_decoder_by_name(c->name);

    if (codec == NULL) {
        return decoder_refuse(a, "no decoder for this audio");
    }

    a->decoder = avcodec_alloc_context3(codec);

    if (a->decoder == NULL
        || avcodec_parameters_to_context(a->decoder, a->stream->codecpar) < 0)
    {
        return decoder_refuse(a, "no memory");
    }

    a->decoder->thread_count = 1;
    a->decoder->pkt_timebase = a->stream->time_base;

    if (avcodec_open2(a->decoder, codec, NULL) < 0) {
        return decoder_refuse(a, "its audio cannot be decoded");
    }

    return true;
}


static bool
decoder_as_is(decoder_audio_t *a)
{
    unsigned                  i;
    const AVStream           *stream;
    const decoder_format_t   *f;

    for (f = decoder_formats; f->demuxer != NULL; f++) {
        if (strcmp(f->demuxer, a->demuxer_name) == 0
            && f->id == a->stream->codecpar->codec_id)
        {
            break;
        }
    }

    if (f->demuxer == NULL || !decoder_takes(a->req->types, f->type)
        || a->in.size > a->req->max_size
        || (f->id == AV_CODEC_ID_OPUS
            && a->stream->codecpar->ch_layout.nb_channels != 1))
    {
        return false;
    }

    /* a picture of the cover is no video */
    for (i = 0; i < a->demuxer->nb_streams; i++) {
        stream = a->demuxer->streams[i];

        if (stream != a->stream
            && !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC))
        {
            return false;
        }
    }

    snprintf(a->ans->result.type, sizeof(a->ans->result.type), "%s", f->type);
    return true;
}


static bool
decoder_open_output(decoder_audio_t *a)
{
    bool            voice;
    AVStream       *stream;
    const AVCodec  *codec;

    voice = a->req->task == DECODER_VOICE;
    codec = avcodec_find_encoder_by_name("libopus");
    a->encoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);

    if (a->encoder == NULL) {
        return decoder_refuse(a, "there is no Opus encoder");
    }

    a->encoder->sample_rate = DECODER_RATE;
    a->encoder->sample_fmt = AV_SAMPLE_FMT_S16;
    a->encoder->bit_rate = voice ? DECODER_VOICE_RATE : DECODER_AUDIO_RATE;
    a->encoder->time_base = (AVRational) { 1, DECODER_RATE };
    a->encoder->thread_count = 1;
    a->encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    av_channel_layout_default(&a->encoder->ch_layout, 1);

    /* the same input gives the same file, whoever makes it */
    if (av_opt_set(a->encoder->priv_data, "application",
                   voice ? "voip" : "audio", 0) < 0
        || av_opt_set(a->encoder->priv_data, "vbr", "constrained", 0) < 0
        || avcodec_open2(a->encoder, codec, NULL) < 0
        || avformat_alloc_output_context2(&a->muxer, NULL, "ogg", NULL) < 0)
    {
        return decoder_refuse(a, "there is no Opus encoder");
    }

    a->muxer->flags |= AVFMT_FLAG_BITEXACT | AVFMT_FLAG_CUSTOM_IO;
    a->muxer->io_open = decoder_io_refuse;
    a->muxer->pb = decoder_io_open(&a->out, true);
    stream = avformat_new_stream(a->muxer, NULL);
    a->fifo = av_audio_fifo_alloc(AV_SAMPLE_FMT_S16, 1, DECODER_RATE);

    if (a->muxer->pb == NULL || stream == NULL || a->fifo == NULL
        || avcodec_parameters_from_context(stream->codecpar, a->encoder) < 0)
    {
        return decoder_refuse(a, "no memory");
    }

    stream->time_base = a->encoder->time_base;

    if (avformat_write_header(a->muxer, NULL) < 0) {
        return decoder_refuse(a, "it cannot be written");
    }

    return true;
}


/* what follows a damaged place is taken, too, if it can be decoded */
static bool
decoder_run(decoder_audio_t *a)
{
    bool  ok;

    while (av_read_frame(a->demuxer, a->packet) >= 0) {
        ok = a->packet->stream_index != a->stream->index
             || decoder_packet(a, a->packet);
        av_packet_unref(a->packet);

        if (!ok) {
            return false;
        }
    }

    if (!decoder_packet(a, NULL)
        || (a->swr != NULL && !decoder_resample(a, NULL)))
    {
        return false;
    }

    if (a->samples == 0) {
        return decoder_refuse(a, "its audio cannot be decoded");
    }

    if (a->encoder != NULL
        && (!decoder_encode(a, true) || !decoder_encode_frame(a, NULL)
            || av_write_trailer(a->muxer) < 0 || a->ans->error[0] != '\0'))
    {
        return decoder_refuse(a, "it cannot be written");
    }

    if (a->encoder != NULL) {
        snprintf(a->ans->result.type, sizeof(a->ans->result.type), "%s", DECODER_OPUS);
        a->ans->result.size = a->out.size;
    }

    a->ans->duration_ms = (a->samples * 1000 + DECODER_RATE - 1)
                          / DECODER_RATE;
    decoder_waveform(a);

    return true;
}


static bool
decoder_packet(decoder_audio_t *a, const AVPacket *packet)
{
    bool  ok;

    if (avcodec_send_packet(a->decoder, packet) < 0) {
        return true;
    }

    while (avcodec_receive_frame(a->decoder, a->frame) >= 0) {
        ok = decoder_frame(a, a->frame);
        av_frame_unref(a->frame);

        if (!ok) {
            return false;
        }
    }

    return true;
}


static bool
decoder_frame(decoder_audio_t *a, AVFrame *frame)
{
    if (frame->sample_rate < 4000 || frame->sample_rate > 192000
        || frame->ch_layout.nb_channels < 1
        || frame->ch_layout.nb_channels > 8)
    {
        return decoder_refuse(a, "its audio cannot be decoded");
    }

    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) {
        av_channel_layout_default(&frame->ch_layout,
                                  frame->ch_layout.nb_channels);
    }

    return decoder_resampler(a, frame) && decoder_resample(a, frame);
}


/* a stream may change its format on the way */
static bool
decoder_resampler(decoder_audio_t *a, const AVFrame *frame)
{
    AVChannelLayout  mono = AV_CHANNEL_LAYOUT_MONO;

    if (a->swr != NULL && a->rate == frame->sample_rate
        && a->format == frame->format
        && av_channel_layout_compare(&a->layout, &frame->ch_layout) == 0)
    {
        return true;
    }

    if (a->swr != NULL && !decoder_resample(a, NULL)) {
        return false;
    }

    swr_free(&a->swr);
    a->rate = frame->sample_rate;
    a->format = frame->format;

    if (av_channel_layout_copy(&a->layout, &frame->ch_layout) < 0
        || swr_alloc_set_opts2(&a->swr, &mono, AV_SAMPLE_FMT_S16,
                               DECODER_RATE, &a->layout, a->format, a->rate,
                               0, NULL)
           < 0
        || swr_init(a->swr) < 0)
    {
        swr_free(&a->swr);
        return decoder_refuse(a, "its audio cannot be decoded");
    }

    return true;
}


/* NULL: what the resampler still holds */
static bool
decoder_resample(decoder_audio_t *a, const AVFrame *frame)
{
    int        n, max;
    bool       ok;
    int16_t   *s;
    uint8_t   *out[1];

    max = swr_get_out_samples(a->swr, frame == NULL ? 0 : frame->nb_samples);

    if (max <= 0) {
        return max == 0 || decoder_refuse(a, "its audio cannot be decoded");
    }

    s = malloc(max * sizeof(int16_t));

    if (s == NULL) {
        return decoder_refuse(a, "no memory");
    }

    out[0] = (uint8_t *) s;
    n = swr_convert(a->swr, out, max,
                    frame == NULL ? NULL
                                  : (const uint8_t **) frame->extended_data,
                    frame == NULL ? 0 : frame->nb_samples);

    ok = n >= 0 ? decoder_measure(a, s, n)
                : decoder_refuse(a, "its audio cannot be decoded");

    if (ok && n > 0 && a->encoder != NULL) {
        ok = (av_audio_fifo_write(a->fifo, (void **) out, n) == n
              || decoder_refuse(a, "no memory"))
             && decoder_encode(a, false);
    }

    free(s);

    return ok;
}


static bool
decoder_measure(decoder_audio_t *a, const int16_t *s, int n)
{
    int  i;

    if (a->samples + n > (int64_t) DECODER_SECONDS_MAX * DECODER_RATE) {
        snprintf(a->ans->error, sizeof(a->ans->error),
                 "it is longer than %d minutes", DECODER_SECONDS_MAX / 60);
        return false;
    }

    for (i = 0; i < n; i++) {
        a->energy += (double) s[i] * s[i];
        a->samples++;

        if (a->samples % DECODER_BLOCK == 0) {
            a->blocks[a->samples / DECODER_BLOCK - 1] = a->energy;
            a->energy = 0;
        }
    }

    /* the block that has begun */
    a->blocks[a->samples / DECODER_BLOCK] = a->energy;

    return true;
}


static bool
decoder_encode(decoder_audio_t *a, bool last)
{
    int  n, size;

    size = a->encoder->frame_size;

    for ( ;; ) {
        n = av_audio_fifo_size(a->fifo);

        if (n == 0 || (n < size && !last)) {
            return true;
        }

        n = n < size ? n : size;

        a->piece->nb_samples = n;
        a->piece->format = AV_SAMPLE_FMT_S16;
        a->piece->sample_rate = DECODER_RATE;
        av_channel_layout_default(&a->piece->ch_layout, 1);

        if (av_frame_get_buffer(a->piece, 0) < 0
            || av_audio_fifo_read(a->fifo, (void **) a->piece->data, n) != n)
        {
            return decoder_refuse(a, "no memory");
        }

        a->piece->pts = a->written;
        a->written += n;

        if (!decoder_encode_frame(a, a->piece)) {
            return false;
        }

        av_frame_unref(a->piece);
    }
}


/* NULL ends the stream */
static bool
decoder_encode_frame(decoder_audio_t *a, AVFrame *frame)
{
    if (avcodec_send_frame(a->encoder, frame) < 0) {
        return decoder_refuse(a, "it cannot be encoded");
    }

    while (avcodec_receive_packet(a->encoder, a->encoded) >= 0) {
        a->encoded->stream_index = 0;
        av_packet_rescale_ts(a->encoded, a->encoder->time_base,
                             a->muxer->streams[0]->time_base);

        if (av_write_frame(a->muxer, a->encoded) < 0) {
            av_packet_unref(a->encoded);
            return decoder_refuse(a, "it cannot be written");
        }

        av_packet_unref(a->encoded);
    }

    return true;
}


/* the volume (RMS) of each of the equal parts, in percent of the loudest */
static void
decoder_waveform(decoder_audio_t *a)
{
    int      i;
    double   volumes[DECODER_WAVEFORM], peak, sum;
    int64_t  n, j, from, to;

    n = (a->samples + DECODER_BLOCK - 1) / DECODER_BLOCK;
    peak = 0;

    for (i = 0; i < DECODER_WAVEFORM; i++) {
        from = i * n / DECODER_WAVEFORM;
        to = (i + 1) * n / DECODER_WAVEFORM;
        to = to > from ? to : from + 1;
        sum = 0;

        for (j = from; j < to; j++) {
            sum += a->blocks[j];
        }

        volumes[i] = sqrt(sum / (to - from));
        peak = volumes[i] > peak ? volumes[i] : peak;
    }

    a->ans->has_waveform = 1;

    for (i = 0; i < DECODER_WAVEFORM; i++) {
        a->ans->waveform[i] = peak > 0 ? lround(100 * volumes[i] / peak) : 0;
    }
}


/* the first reason stays */
static bool
decoder_refuse(decoder_audio_t *a, const char *reason)
{
    if (a->ans->error[0] == '\0') {
        snprintf(a->ans->error, sizeof(a->ans->error), "%s", reason);
    }

    return false;
}


static void
decoder_close(decoder_audio_t *a)
{
    decoder_io_end(&a->demuxer);

    if (a->muxer != NULL) {
        decoder_io_close(a->muxer->pb);
    }

    avformat_free_context(a->muxer);
    avcodec_free_context(&a->decoder);
    avcodec_free_context(&a->encoder);
    av_audio_fifo_free(a->fifo);
    swr_free(&a->swr);
    av_channel_layout_uninit(&a->layout);
    av_packet_free(&a->packet);
    av_packet_free(&a->encoded);
    av_frame_free(&a->frame);
    av_frame_free(&a->piece);
    free(a->blocks);
}
