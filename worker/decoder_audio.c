/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decoder_audio.h"


/*
 * Audio in the decoder process: anything becomes what can be played.  FFmpeg's
 * libraries read and write the given descriptors only; demuxers and decoders
 * are those of the tables, there are no protocols and no threads.
 */


#define DECODER_PIECE  96000            /* samples of a part that are decoded */


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


static bool decoder_as_is(decoder_audio_t *a);
static bool decoder_is_short(decoder_audio_t *a);
static void decoder_audio_restart(decoder_audio_t *a);
static bool decoder_packet(decoder_audio_t *a, const AVPacket *packet);
static bool decoder_frame(decoder_audio_t *a, AVFrame *frame);
static bool decoder_resampler(decoder_audio_t *a, const AVFrame *frame);
static bool decoder_resample(decoder_audio_t *a, const AVFrame *frame);
static bool decoder_refuse(decoder_audio_t *a, const char *reason);


/* the decoders of DECODER_CODECS */
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

static const decoder_format_t  decoder_formats[] = {
    { "ogg", AV_CODEC_ID_OPUS,   "audio/ogg; codecs=opus" },
    { "mp3", AV_CODEC_ID_MP3,    "audio/mpeg"             },
    { "mov", AV_CODEC_ID_AAC,    "audio/mp4"              },
    { "aac", AV_CODEC_ID_AAC,    "audio/aac"              },
    { "amr", AV_CODEC_ID_AMR_NB, "audio/amr"              },
    { NULL,  AV_CODEC_ID_NONE,   NULL                     }
};


void
decoder_audio(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    decoder_audio_t  a;

    decoder_audio_init(&a, req, in, out, ans);

    if (decoder_audio_open(&a) && decoder_audio_codec(&a)) {
        ans->as_is = decoder_as_is(&a);

        /* a voice note is shown with its length and waveform */
        if (!ans->as_is || req->task == DECODER_VOICE) {
            (void) (decoder_is_short(&a)
                    && (ans->as_is || decoder_encode_open(&a))
                    && decoder_audio_run(&a));
        }
    }

    decoder_audio_close(&a);
}


void
decoder_audio_init(decoder_audio_t *a, const decoder_request_t *req, int in,
    int out, decoder_answer_t *ans)
{
    av_log_set_level(AV_LOG_QUIET);
    decoder_io_made_by(ans);

    memset(a, 0, sizeof(decoder_audio_t));
    a->req = req;
    a->ans = ans;
    a->channels = 1;
    a->in.fd = in;
    a->in.size = lseek(in, 0, SEEK_END);
    a->out.fd = out;
    a->out.max_size = req->max_size;
    a->out.ans = ans;
}


bool
decoder_audio_open(decoder_audio_t *a)
{
    a->demuxer_name = decoder_io_demuxer(a->req->mime);

    if (a->demuxer_name == NULL) {
        return decoder_fail(a->ans, DECODER_UNKNOWN,
                            "no decoder for this type");
    }

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

    return decoder_audio_rewind(a);
}


bool
decoder_audio_rewind(decoder_audio_t *a)
{
    int  n;

    n = a->stream == NULL ? -1 : a->stream->index;
    decoder_io_end(&a->demuxer);
    a->in.offset = 0;
    a->demuxer = decoder_io_demux(&a->in, a->demuxer_name, DECODER_CODECS);

    if (a->demuxer == NULL || n >= (int) a->demuxer->nb_streams) {
        return decoder_refuse(a, "it cannot be read");
    }

    if (n != -1) {
        a->stream = a->demuxer->streams[n];
    }

    return true;
}


bool
decoder_audio_codec(decoder_audio_t *a)
{
    int                     n;
    unsigned                i;
    const AVCodec          *codec;
    const decoder_codec_t  *c;

    if (avformat_find_stream_info(a->demuxer, NULL) < 0) {
        return decoder_refuse(a, "it cannot be read");
    }

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


/* by its head, unless that is a guess from the bit rate */
static bool
decoder_is_short(decoder_audio_t *a)
{
    const AVStream  *stream;

    stream = a->stream;

    return a->demuxer->duration_estimation_method
           == AVFMT_DURATION_FROM_BITRATE
           || stream->duration == AV_NOPTS_VALUE
           || stream->duration * av_q2d(stream->time_base)
              <= DECODER_SECONDS_MAX
           || decoder_waveform_full(a);
}


/* what follows a damaged place is taken, too, if it can be decoded */
bool
decoder_audio_run(decoder_audio_t *a)
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

    if (a->encoder != NULL && !decoder_encode_end(a)) {
        return false;
    }

    a->ans->duration_ms = (a->samples * 1000 + DECODER_RATE - 1)
                          / DECODER_RATE;
    decoder_waveform(a);

    return true;
}


bool
decoder_audio_parts(decoder_audio_t *a, double ms, double *means)
{
    int     n, part;
    bool    ok;
    double  at;

    at = 0;
    part = 0;

    while (av_read_frame(a->demuxer, a->packet) >= 0) {
        ok = true;

        if (a->packet->stream_index == a->stream->index) {
            n = at * DECODER_WAVEFORM / ms;
            n = n < DECODER_WAVEFORM ? n : DECODER_WAVEFORM - 1;

            if (n != part) {
                means[part] = decoder_waveform_mean(a);
                part = n;
                decoder_audio_restart(a);
            }

            ok = a->samples >= DECODER_PIECE || decoder_packet(a, a->packet);
            at += 1000 * a->packet->duration * av_q2d(a->stream->time_base);
        }

        av_packet_unref(a->packet);

        if (!ok) {
            return false;
        }
    }

    means[part] = decoder_waveform_mean(a);

    return true;
}


static void
decoder_audio_restart(decoder_audio_t *a)
{
    a->samples = 0;
    a->energy = 0;
    avcodec_flush_buffers(a->decoder);
    swr_free(&a->swr);
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
    AVChannelLayout  layout;

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
    av_channel_layout_default(&layout, a->channels);

    if (av_channel_layout_copy(&a->layout, &frame->ch_layout) < 0
        || swr_alloc_set_opts2(&a->swr, &layout, AV_SAMPLE_FMT_S16,
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

    s = malloc((size_t) max * a->channels * sizeof(int16_t));

    if (s == NULL) {
        return decoder_refuse(a, "no memory");
    }

    out[0] = (uint8_t *) s;
    n = swr_convert(a->swr, out, max,
                    frame == NULL ? NULL
                                  : (const uint8_t **) frame->extended_data,
                    frame == NULL ? 0 : frame->nb_samples);

    ok = n >= 0 ? decoder_waveform_add(a, s, n)
                : decoder_refuse(a, "its audio cannot be decoded");

    if (ok && n > 0 && a->encoder != NULL) {
        ok = decoder_encode_samples(a, s, n);
    }

    free(s);

    return ok;
}


static bool
decoder_refuse(decoder_audio_t *a, const char *reason)
{
    return decoder_fail(a->ans, DECODER_CORRUPT, "%s", reason);
}


void
decoder_audio_close(decoder_audio_t *a)
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
