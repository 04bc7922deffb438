/*
 * Copyright (C) ngx_media contributors
 *
 * How loud a sound is in each of its equal parts, as WhatsApp draws a voice
 * note.
 */

#include <math.h>

#include "decoder_audio.h"


static double decoder_waveform_part(const decoder_audio_t *a, int64_t from,
    int64_t to);


bool
decoder_waveform_add(decoder_audio_t *a, const int16_t *s, int n)
{
    int  i, c;

    if (a->samples + n > (int64_t) DECODER_SECONDS_MAX * DECODER_RATE) {
        return decoder_waveform_full(a);
    }

    for (i = 0; i < n; i++) {

        for (c = 0; c < a->channels; c++, s++) {
            a->energy += (double) *s * *s;
        }

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


bool
decoder_waveform_full(decoder_audio_t *a)
{
    return decoder_fail(a->ans, DECODER_REFUSED,
                        "it is longer than %d minutes",
                        DECODER_SECONDS_MAX / 60);
}


void
decoder_waveform(decoder_audio_t *a)
{
    int      i;
    double   means[DECODER_WAVEFORM];
    int64_t  n, from, to;

    n = (a->samples + DECODER_BLOCK - 1) / DECODER_BLOCK;

    for (i = 0; i < DECODER_WAVEFORM; i++) {
        from = i * n / DECODER_WAVEFORM;
        to = (i + 1) * n / DECODER_WAVEFORM;
        means[i] = decoder_waveform_part(a, from, to > from ? to : from + 1);
    }

    decoder_waveform_set(a->ans, means);
}


double
decoder_waveform_mean(const decoder_audio_t *a)
{
    return a->samples == 0
           ? 0 : decoder_waveform_part(a, 0, (a->samples + DECODER_BLOCK - 1)
                                             / DECODER_BLOCK);
}


static double
decoder_waveform_part(const decoder_audio_t *a, int64_t from, int64_t to)
{
    double   sum;
    int64_t  i;

    sum = 0;

    for (i = from; i < to; i++) {
        sum += a->blocks[i];
    }

    return sum / (to - from);
}


/* the volume (RMS) of each part, in percent of the loudest */
void
decoder_waveform_set(decoder_answer_t *ans, const double *means)
{
    int     i;
    double  peak;

    peak = 0;

    for (i = 0; i < DECODER_WAVEFORM; i++) {
        peak = means[i] > peak ? means[i] : peak;
    }

    ans->has_waveform = 1;

    for (i = 0; i < DECODER_WAVEFORM; i++) {
        ans->waveform[i] = peak > 0 ? lround(100 * sqrt(means[i] / peak)) : 0;
    }
}
