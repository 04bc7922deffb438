/*
 * Copyright (C) ngx_media contributors
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_image.h"


/*
 * ThumbHash: https://evanw.github.io/thumbhash/.  The low frequencies of
 * luminance, of two differences of colours and of alpha, by a cosine
 * transform, four bits each.
 */


#define DECODER_HASH_EDGE  100
#define DECODER_HASH_AC    27           /* of 7x7: a triangle without (0, 0) */


typedef struct {
    double  dc;
    double  scale;
    double  ac[DECODER_HASH_AC];        /* 0..1 */
    int     n;
} decoder_channel_t;


static void decoder_hash_pixels(double *planes[4], const uint8_t *rgba,
    size_t n, bool *alpha);
static void decoder_hash_channel(decoder_channel_t *channel,
    const double *plane, int width, int height, int nx, int ny);
static int decoder_hash_round(double x);


size_t
decoder_thumbhash(uint8_t *hash, const uint8_t *rgba, int width, int height)
{
    int                i, k, lx, ly, edge, limit;
    bool               alpha, landscape;
    double            *planes[4];
    size_t             n, size, nibble;
    uint32_t           head;
    decoder_channel_t  channels[4];

    n = (size_t) width * height;

    if (width < 1 || height < 1 || width > DECODER_HASH_EDGE
        || height > DECODER_HASH_EDGE)
    {
        return 0;
    }

    planes[0] = malloc(4 * n * sizeof(double));

    if (planes[0] == NULL) {
        return 0;
    }

    for (i = 1; i < 4; i++) {
        planes[i] = planes[i - 1] + n;
    }

    decoder_hash_pixels(planes, rgba, n, &alpha);

    landscape = width > height;
    edge = landscape ? width : height;
    limit = alpha ? 5 : 7;
    lx = decoder_hash_round((double) limit * width / edge);
    ly = decoder_hash_round((double) limit * height / edge);
    lx = lx < 1 ? 1 : lx;
    ly = ly < 1 ? 1 : ly;

    decoder_hash_channel(&channels[0], planes[0], width, height,
                         lx < 3 ? 3 : lx, ly < 3 ? 3 : ly);
    decoder_hash_channel(&channels[1], planes[1], width, height, 3, 3);
    decoder_hash_channel(&channels[2], planes[2], width, height, 3, 3);

    if (alpha) {
        decoder_hash_channel(&channels[3], planes[3], width, height, 5, 5);
    }

    free(planes[0]);

    head = (uint32_t) decoder_hash_round(63 * channels[0].dc)
           | (uint32_t) decoder_hash_round(31.5 + 31.5 * channels[1].dc) << 6
           | (uint32_t) decoder_hash_round(31.5 + 31.5 * channels[2].dc) << 12
           | (uint32_t) decoder_hash_round(31 * channels[0].scale) << 18
           | (uint32_t) alpha << 23;
    hash[0] = head;
    hash[1] = head >> 8;
    hash[2] = head >> 16;

    head = (uint32_t) (landscape ? ly : lx)
           | (uint32_t) decoder_hash_round(63 * channels[1].scale) << 3
           | (uint32_t) decoder_hash_round(63 * channels[2].scale) << 9
           | (uint32_t) landscape << 15;
    hash[3] = head;
    hash[4] = head >> 8;
    size = 5;

    if (alpha) {
        hash[size++] = decoder_hash_round(15 * channels[3].dc)
                       | decoder_hash_round(15 * channels[3].scale) << 4;
    }

    nibble = 0;

    for (i = 0; i < (alpha ? 4 : 3); i++) {
        for (k = 0; k < channels[i].n; k++, nibble++) {
            hash[size + nibble / 2] =
                nibble % 2 == 0
                ? decoder_hash_round(15 * channels[i].ac[k])
                : hash[size + nibble / 2]
                  | decoder_hash_round(15 * channels[i].ac[k]) << 4;
        }
    }

    return size + (nibble + 1) / 2;
}


/* on the average colour, as far as they are transparent */
static void
decoder_hash_pixels(double *planes[4], const uint8_t *rgba, size_t n,
    bool *alpha)
{
    int             k;
    double          a, sum, average[3], colour[3];
    size_t          i;
    const uint8_t  *p;

    sum = 0;
    memset(average, 0, sizeof(average));

    for (i = 0, p = rgba; i < n; i++, p += 4) {
        a = p[3] / 255.0;
        sum += a;

        for (k = 0; k < 3; k++) {
            average[k] += a / 255 * p[k];
        }
    }

    for (k = 0; k < 3 && sum > 0; k++) {
        average[k] /= sum;
    }

    *alpha = false;

    for (i = 0, p = rgba; i < n; i++, p += 4) {
        a = p[3] / 255.0;
        *alpha = *alpha || p[3] != 255;

        for (k = 0; k < 3; k++) {
            colour[k] = average[k] * (1 - a) + a / 255 * p[k];
        }

        planes[0][i] = (colour[0] + colour[1] + colour[2]) / 3;
        planes[1][i] = (colour[0] + colour[1]) / 2 - colour[2];
        planes[2][i] = colour[0] - colour[1];
        planes[3][i] = a;
    }
}


static void
decoder_hash_channel(decoder_channel_t *channel, const double *plane,
    int width, int height, int nx, int ny)
{
    int     i, x, y, cx, cy;
    double  f, fy, fx[DECODER_HASH_EDGE];

    memset(channel, 0, sizeof(decoder_channel_t));

    for (cy = 0; cy < ny; cy++) {
        for (cx = 0; cx * ny < nx * (ny - cy); cx++) {
            f = 0;

            for (x = 0; x < width; x++) {
                fx[x] = cos(M_PI / width * cx * (x + 0.5));
            }

            for (y = 0; y < height; y++) {
                fy = cos(M_PI / height * cy * (y + 0.5));

                for (x = 0; x < width; x++) {
                    f += plane[x + y * width] * fx[x] * fy;
                }
            }

            f /= (double) width * height;

            if (cx == 0 && cy == 0) {
                channel->dc = f;
                continue;
            }

            channel->ac[channel->n++] = f;
            channel->scale = fmax(channel->scale, fabs(f));
        }
    }

    for (i = 0; i < channel->n && channel->scale > 0; i++) {
        channel->ac[i] = 0.5 + 0.5 / channel->scale * channel->ac[i];
    }
}


static int
decoder_hash_round(double x)
{
    return (int) floor(x + 0.5);
}
