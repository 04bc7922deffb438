/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <string.h>

#include <libavutil/opt.h>

#include "decoder_audio.h"


/*
 * Sound as a file that others play: Ogg with Opus for WhatsApp, AAC in MP4
 * for browsers that have no Ogg.  The same input gives the same file, whoever
 * makes it.
 */


/* three minutes of a voice note are within the 512 KB that the Cloud API
   shows as one */
#define DECODER_VOICE_RATE   24000      /* bits per second */
#define DECODER_AUDIO_RATE   64000
#define DECODER_AAC_RATE     64000      /* of a channel */

#define DECODER_OPUS  "audio/ogg; codecs=opus"


static bool decoder_encode_opus(decoder_audio_t *a);
static bool decoder_encode_aac(decoder_audio_t *a);
static bool decoder_encode_muxer(decoder_audio_t *a, const char *name);
static bool decoder_encode_pieces(decoder_audio_t *a, bool last);
static bool decoder_encode_fill(decoder_audio_t *a, int n);
static bool decoder_encode_frame(decoder_audio_t *a, AVFrame *frame);
static bool decoder_encode_failed(decoder_audio_t *a, const char *reason);


bool
decoder_encode_open(decoder_audio_t *a)
{
    bool            m4a;
    const AVCodec  *codec;

    m4a = a->req->task == DECODER_M4A;
    a->channels = m4a && a->decoder->ch_layout.nb_channels > 1 ? 2 : 1;
    codec = avcodec_find_encoder_by_name(m4a ? "aac" : "libopus");
    a->encoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    a->fifo = av_audio_fifo_alloc(AV_SAMPLE_FMT_S16, a->channels,
                                  DECODER_RATE);

    if (a->encoder == NULL || a->fifo == NULL) {
        return decoder_encode_failed(a, "there is no encoder");
    }

    a->encoder->sample_rate = DECODER_RATE;
    a->encoder->time_base = (AVRational) { 1, DECODER_RATE };
    a->encoder->thread_count = 1;
    a->encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    av_channel_layout_default(&a->encoder->ch_layout, a->channels);

    if (!(m4a ? decoder_encode_aac(a) : decoder_encode_opus(a))
        || avcodec_open2(a->encoder, codec, NULL) < 0)
    {
        return decoder_encode_failed(a, "there is no encoder");
    }

    return decoder_encode_muxer(a, m4a ? "ipod" : "ogg");
}


static bool
decoder_encode_opus(decoder_audio_t *a)
{
    bool  voice;

    voice = a->req->task == DECODER_VOICE;
    a->encoder->sample_fmt = AV_SAMPLE_FMT_S16;
    a->encoder->bit_rate = voice ? DECODER_VOICE_RATE : DECODER_AUDIO_RATE;

    return av_opt_set(a->encoder->priv_data, "application",
                      voice ? "voip" : "audio", 0) >= 0
           && av_opt_set(a->encoder->priv_data, "vbr", "constrained", 0) >= 0;
}


static bool
decoder_encode_aac(decoder_audio_t *a)
{
    a->encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
    a->encoder->profile = FF_PROFILE_AAC_LOW;
    a->encoder->bit_rate = DECODER_AAC_RATE * a->channels;
    a->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;

    return true;
}


/* the index of an MP4 is moved to its beginning, so that a player that has
   the beginning plays */
static bool
decoder_encode_muxer(decoder_audio_t *a, const char *name)
{
    AVStream      *stream;
    AVDictionary  *options;

    if (avformat_alloc_output_context2(&a->muxer, NULL, name, NULL) < 0) {
        return decoder_encode_failed(a, "there is no encoder");
    }

    a->muxer->flags |= AVFMT_FLAG_BITEXACT | AVFMT_FLAG_CUSTOM_IO;
    a->muxer->opaque = &a->out;
    a->muxer->io_open = decoder_io_again;
    a->muxer->io_close2 = decoder_io_again_close;
    a->muxer->pb = decoder_io_open(&a->out, true);
    stream = avformat_new_stream(a->muxer, NULL);

    if (a->muxer->pb == NULL || stream == NULL
        || avcodec_parameters_from_context(stream->codecpar, a->encoder) < 0)
    {
        return decoder_encode_failed(a, "no memory");
    }

    stream->time_base = a->encoder->time_base;
    options = NULL;

    if (a->req->task == DECODER_M4A) {
        av_dict_set(&options, "movflags", "faststart", 0);
    }

    if (avformat_write_header(a->muxer, &options) < 0) {
        av_dict_free(&options);
        return decoder_encode_failed(a, "it cannot be written");
    }

    av_dict_free(&options);

    return true;
}


bool
decoder_encode_samples(decoder_audio_t *a, int16_t *s, int n)
{
    void  *samples[1];

    samples[0] = s;

    if (av_audio_fifo_write(a->fifo, samples, n) != n) {
        return decoder_encode_failed(a, "no memory");
    }

    return decoder_encode_pieces(a, false);
}


bool
decoder_encode_end(decoder_audio_t *a)
{
    const char  *type;

    if (!decoder_encode_pieces(a, true) || !decoder_encode_frame(a, NULL)
        || av_write_trailer(a->muxer) < 0 || a->ans->error[0] != '\0')
    {
        return decoder_encode_failed(a, "it cannot be written");
    }

    type = a->req->task == DECODER_M4A ? "audio/mp4" : DECODER_OPUS;
    snprintf(a->ans->result.type, sizeof(a->ans->result.type), "%s", type);
    a->ans->result.size = a->out.size;

    return true;
}


static bool
decoder_encode_pieces(decoder_audio_t *a, bool last)
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
        a->piece->format = a->encoder->sample_fmt;
        a->piece->sample_rate = DECODER_RATE;
        av_channel_layout_default(&a->piece->ch_layout, a->channels);

        if (av_frame_get_buffer(a->piece, 0) < 0
            || !decoder_encode_fill(a, n))
        {
            return decoder_encode_failed(a, "no memory");
        }

        a->piece->pts = a->written;
        a->written += n;

        if (!decoder_encode_frame(a, a->piece)) {
            return false;
        }

        av_frame_unref(a->piece);
    }
}


/* the AAC encoder takes numbers of -1 to 1, each channel by itself */
static bool
decoder_encode_fill(decoder_audio_t *a, int n)
{
    int      i, c;
    float   *f;
    void    *samples[1];
    int16_t  s[2 * 4096];

    if (a->encoder->sample_fmt == AV_SAMPLE_FMT_S16) {
        return av_audio_fifo_read(a->fifo, (void **) a->piece->data, n) == n;
    }

    samples[0] = s;

    if (n * a->channels > (int) (sizeof(s) / sizeof(s[0]))
        || av_audio_fifo_read(a->fifo, samples, n) != n)
    {
        return false;
    }

    for (c = 0; c < a->channels; c++) {
        f = (float *) a->piece->extended_data[c];

        for (i = 0; i < n; i++) {
            f[i] = s[i * a->channels + c] / 32768.0f;
        }
    }

    return true;
}


/* NULL ends the stream */
static bool
decoder_encode_frame(decoder_audio_t *a, AVFrame *frame)
{
    if (avcodec_send_frame(a->encoder, frame) < 0) {
        return decoder_encode_failed(a, "it cannot be encoded");
    }

    while (avcodec_receive_packet(a->encoder, a->encoded) >= 0) {
        a->encoded->stream_index = 0;
        av_packet_rescale_ts(a->encoded, a->encoder->time_base,
                             a->muxer->streams[0]->time_base);

        if (av_write_frame(a->muxer, a->encoded) < 0) {
            av_packet_unref(a->encoded);
            return decoder_encode_failed(a, "it cannot be written");
        }

        av_packet_unref(a->encoded);
    }

    return true;
}


static bool
decoder_encode_failed(decoder_audio_t *a, const char *reason)
{
    return decoder_fail(a->ans, DECODER_CORRUPT, "%s", reason);
}
