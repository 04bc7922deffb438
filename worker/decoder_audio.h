/*
 * Copyright (C) ngx_media contributors
 *
 * Sound on its way through the decoder process: demuxed, decoded, resampled,
 * measured, and encoded if it becomes another file.
 */

#ifndef DECODER_AUDIO_H
#define DECODER_AUDIO_H

#include <libavcodec/avcodec.h>
#include <libavutil/audio_fifo.h>
#include <libswresample/swresample.h>

#include "decoder_io.h"


#define DECODER_RATE         48000
#define DECODER_SECONDS_MAX  1800       /* that are decoded */
#define DECODER_BLOCK        480        /* samples that are measured together */
#define DECODER_BLOCKS_MAX   (DECODER_SECONDS_MAX * DECODER_RATE              \
                              / DECODER_BLOCK)

/* what may be decoded, as FFmpeg wants to have it; of MPEG-4 video, its head */
#define DECODER_CODECS                                                        \
    "opus,vorbis,aac,mp3float,amrnb,amrwb,pcm_u8,pcm_s16le,pcm_s24le,"        \
    "pcm_s32le,pcm_f32le,pcm_alaw,pcm_mulaw,mpeg4"


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
    int                       channels;     /* after the resampler */

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


/*
 * decoder_audio.c: all of these are false with a reason in a->ans, and what
 * they made goes with decoder_audio_close(), which is always called.
 */
void decoder_audio_init(decoder_audio_t *a, const decoder_request_t *req,
    int in, int out, decoder_answer_t *ans);
bool decoder_audio_open(decoder_audio_t *a);
bool decoder_audio_codec(decoder_audio_t *a);
/* from its beginning, with the same stream and decoder */
bool decoder_audio_rewind(decoder_audio_t *a);
/* all of it: a->samples, measured, and written if there is an encoder */
bool decoder_audio_run(decoder_audio_t *a);
/* the mean energies of equal parts of what lasts so long, a piece of each
   decoded; what cannot be decoded is silent */
bool decoder_audio_parts(decoder_audio_t *a, double ms, double *means);
void decoder_audio_close(decoder_audio_t *a);

/* decoder_encode.c */
bool decoder_encode_open(decoder_audio_t *a);
bool decoder_encode_samples(decoder_audio_t *a, int16_t *s, int n);
bool decoder_encode_end(decoder_audio_t *a);

/* decoder_waveform.c: false if there are more than can be measured */
bool decoder_waveform_add(decoder_audio_t *a, const int16_t *s, int n);
/* false: there would be */
bool decoder_waveform_full(decoder_audio_t *a);
/* the mean energy of the blocks so far */
double decoder_waveform_mean(const decoder_audio_t *a);
void decoder_waveform(decoder_audio_t *a);
/* of the mean energies of equal parts */
void decoder_waveform_set(decoder_answer_t *ans, const double *means);

#endif
