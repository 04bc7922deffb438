/*
 * Copyright (C) ngx_media contributors
 */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decoder_image.h"


/*
 * Stickers: a WebP of 512x512 pixels and at most max_size bytes, or one that
 * moves as it is.
 */


#define DECODER_STICKER_EDGE  512
#define DECODER_NONE          "#00000000"


static bool decoder_square(decoder_image_t *image);


bool
decoder_sticker(decoder_image_t *image)
{
    int                quality;
    size_t             size;
    int64_t            max_size;
    unsigned char     *bytes;
    decoder_answer_t  *ans;

    ans = image->ans;
    max_size = ans->animated ? image->req->max_animated
                             : image->req->max_size;

    if (decoder_takes(image->req->types, image->type->mime)
        && ans->width == DECODER_STICKER_EDGE
        && ans->height == DECODER_STICKER_EDGE
        && (int64_t) image->size <= max_size && decoder_keep(image))
    {
        return true;
    }

    if (ans->animated) {
        return decoder_fail(ans, DECODER_UNKNOWN,
                            "it is animated, %dx%d pixels of %s", ans->width,
                            ans->height, image->type->coder);
    }

    if (!decoder_load(image, 2 * DECODER_STICKER_EDGE,
                      2 * DECODER_STICKER_EDGE)
        || !decoder_square(image))
    {
        return false;
    }

    for (quality = DECODER_QUALITY; quality > 0; quality -= DECODER_STEP) {
        bytes = decoder_encode(image->wand, "WEBP", quality, &size);

        if (bytes == NULL || (int64_t) size <= max_size) {
            return decoder_result(image->wand, image->out, ans, bytes, size,
                                  "image/webp");
        }

        MagickRelinquishMemory(bytes);
    }

    return decoder_fail(ans, DECODER_REFUSED, "it has too many details");
}


/* fitted into the square, the rest of which is transparent */
static bool
decoder_square(decoder_image_t *image)
{
    bool         ok;
    double       scale;
    size_t       width, height;
    PixelWand   *none;
    MagickWand  *wand;

    wand = image->wand;

    if (!decoder_colours(wand) || !decoder_upright(image)) {
        return false;
    }

    width = MagickGetImageWidth(wand);
    height = MagickGetImageHeight(wand);
    scale = (double) DECODER_STICKER_EDGE / (width > height ? width : height);
    width = width * scale < 1 ? 1 : lround(width * scale);
    height = height * scale < 1 ? 1 : lround(height * scale);

    none = NewPixelWand();

    ok = PixelSetColor(none, DECODER_NONE)
         && MagickSetImageAlphaChannel(wand, SetAlphaChannel)
         && decoder_resize(wand, width, height)
         && MagickSetImageBackgroundColor(wand, none)
         && MagickExtentImage(wand, DECODER_STICKER_EDGE,
                              DECODER_STICKER_EDGE,
                              -((ssize_t) (DECODER_STICKER_EDGE - width) / 2),
                              -((ssize_t) (DECODER_STICKER_EDGE - height)
                                / 2))
         && MagickStripImage(wand);

    DestroyPixelWand(none);

    return ok;
}
