/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_image.h"


/*
 * Previews (C051, C052) of at most max_edge pixels, and what is told by their
 * pixels: whether there is transparency, the dominant colour, a placeholder.
 */


#define DECODER_HASH_EDGE  100      /* of ThumbHash */
#define DECODER_OPAQUE     250      /* alpha that lossy coders make of 255 */
#define DECODER_BITS       4        /* of each colour, that pixels are sorted
                                       by */
#define DECODER_COLOURS    (1 << 3 * DECODER_BITS)


typedef struct {
    uint32_t  weight;
    uint64_t  sums[3];
} decoder_colour_t;


static void decoder_dominant(decoder_answer_t *ans, const uint8_t *rgba,
    size_t n);


bool
decoder_preview(decoder_image_t *image)
{
    bool            webp;
    size_t          width, height, size;
    MagickWand     *wand;
    unsigned char  *bytes;

    decoder_fit(image->ans->width, image->ans->height, image->req->max_edge,
                &width, &height);

    if (!decoder_load(image, 2 * width, 2 * height)) {
        return false;
    }

    wand = image->wand;

    if (((MagickGetImageWidth(wand) != width
          || MagickGetImageHeight(wand) != height)
         && !decoder_resize(wand, width, height))
        || !decoder_colours(wand)
        || !decoder_upright(image)
        || !MagickStripImage(wand)
        || !decoder_pixels(wand, image->ans))
    {
        return false;
    }

    webp = image->ans->alpha && decoder_takes(image->req->types, "image/webp");

    if (!webp && !decoder_flatten(wand)) {
        return false;
    }

    bytes = decoder_encode(wand, webp ? "WEBP" : "JPEG", image->req->quality,
                           &size);

    if (!decoder_result(wand, image->out, image->ans, bytes, size,
                        webp ? "image/webp" : "image/jpeg"))
    {
        return false;
    }

    return image->warning[0] == '\0'
           || decoder_fail(image->ans, DECODER_CORRUPT, "%s", image->warning);
}


void
decoder_fit(size_t width, size_t height, size_t edge, size_t *fit_width,
    size_t *fit_height)
{
    size_t  longer;

    longer = width > height ? width : height;

    *fit_width = width;
    *fit_height = height;

    if (longer > edge) {
        *fit_width = (width * edge + longer / 2) / longer;
        *fit_height = (height * edge + longer / 2) / longer;
    }

    *fit_width = *fit_width == 0 ? 1 : *fit_width;
    *fit_height = *fit_height == 0 ? 1 : *fit_height;
}


bool
decoder_pixels(MagickWand *wand, decoder_answer_t *ans)
{
    bool         ok;
    size_t       i, n, width, height;
    uint8_t     *rgba;
    MagickWand  *small;

    decoder_fit(MagickGetImageWidth(wand), MagickGetImageHeight(wand),
                DECODER_HASH_EDGE, &width, &height);
    n = width * height;

    small = CloneMagickWand(wand);
    rgba = malloc(4 * n);

    ok = rgba != NULL
         && (MagickGetImageWidth(small) == width
             || decoder_resize(small, width, height))
         && MagickExportImagePixels(small, 0, 0, width, height, "RGBA",
                                    CharPixel, rgba);

    for (i = 0; ok && i < n; i++) {
        ans->alpha = ans->alpha || rgba[4 * i + 3] < DECODER_OPAQUE;
    }

    if (ok) {
        ans->placeholder_size = decoder_thumbhash(ans->placeholder, rgba,
                                                  width, height);
        decoder_dominant(ans, rgba, n);
    }

    DestroyMagickWand(small);
    free(rgba);

    return ok;
}


/* the average of the pixels that are most alike; none if all of it is
   transparent */
static void
decoder_dominant(decoder_answer_t *ans, const uint8_t *rgba, size_t n)
{
    int                k;
    size_t             i;
    const uint8_t     *p;
    decoder_colour_t  *colours, *colour, *most;

    colours = calloc(DECODER_COLOURS, sizeof(decoder_colour_t));

    if (colours == NULL) {
        return;
    }

    most = colours;

    for (i = 0, p = rgba; i < n; i++, p += 4) {
        colour = &colours[(p[0] >> (8 - DECODER_BITS) << 2 * DECODER_BITS)
                          | (p[1] >> (8 - DECODER_BITS) << DECODER_BITS)
                          | p[2] >> (8 - DECODER_BITS)];
        colour->weight += p[3];

        for (k = 0; k < 3; k++) {
            colour->sums[k] += p[3] * p[k];
        }

        most = colour->weight > most->weight ? colour : most;
    }

    if (most->weight > 0) {
        ans->has_colour = 1;

        for (k = 0; k < 3; k++) {
            ans->colour = ans->colour << 8
                          | (most->sums[k] + most->weight / 2) / most->weight;
        }
    }

    free(colours);
}
