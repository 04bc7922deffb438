/*
 * Copyright (C) ngx_media contributors
 */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decoder_image.h"


/*
 * Images that providers take: a JPEG of at most max_size bytes (C053), in
 * colours of sRGB, without metadata.
 */


#define DECODER_LARGE      (24.0 * 1000 * 1000)     /* pixels of a JPEG that
                                                       are not halved */
#define DECODER_LOWEST     20       /* quality that is not tried any more */
#define DECODER_SCALED     70       /* of what is made smaller */


static bool decoder_compress(decoder_image_t *image);


/* colours of more than 8 bits and CMYK are not for everybody's phone */
bool
decoder_picture(decoder_image_t *image)
{
    int  part;

    if (decoder_takes(image->req->types, image->type->mime)
        && (int64_t) image->size <= image->req->max_size
        && !image->deep && !image->cmyk && decoder_keep(image))
    {
        return true;
    }

    if (image->ans->animated) {
        return decoder_fail(image->ans, DECODER_UNKNOWN, "it is animated");
    }

    part = ceil(sqrt(image->ans->width / DECODER_LARGE * image->ans->height));

    return decoder_load(image, image->ans->width / part,
                        image->ans->height / part)
           && decoder_colours(image->wand)
           && decoder_upright(image)
           && decoder_flatten(image->wand)
           && MagickStripImage(image->wand)
           && decoder_compress(image);
}


bool
decoder_keep(decoder_image_t *image)
{
    decoder_answer_t  *ans;

    ans = image->ans;
    snprintf(ans->result.type, sizeof(ans->result.type), "%s",
             image->type->mime);

    if (ans->gps) {
        return image->type->strip != NULL && image->type->strip(image);
    }

    ans->as_is = 1;

    return true;
}


/* what was taken is no larger than it was, but a JPEG of odd tables */
bool
decoder_stripped(decoder_image_t *image, const void *bytes, size_t size)
{
    decoder_result_t  *result;

    result = &image->ans->result;

    if (size > image->size
        || !decoder_write(image->out, bytes, size, 0, image->ans))
    {
        return false;
    }

    result->size = size;
    result->width = image->ans->width;
    result->height = image->ans->height;

    return true;
}


/* quality first, then pixels */
static bool
decoder_compress(decoder_image_t *image)
{
    int             quality;
    double          scale;
    size_t          size, width, height;
    MagickWand     *wand;
    unsigned char  *bytes;

    wand = image->wand;
    quality = DECODER_QUALITY;

    for ( ;; ) {
        bytes = decoder_encode(wand, "JPEG", quality, &size);

        if (bytes == NULL || (int64_t) size <= image->req->max_size) {
            return decoder_result(wand, image->out, image->ans, bytes, size,
                                  "image/jpeg");
        }

        MagickRelinquishMemory(bytes);

        if (quality - DECODER_STEP > DECODER_LOWEST
            && quality != DECODER_SCALED)
        {
            quality -= DECODER_STEP;
            continue;
        }

        scale = sqrt((double) image->req->max_size / size);
        width = MagickGetImageWidth(wand) * scale;
        height = MagickGetImageHeight(wand) * scale;
        quality = DECODER_SCALED;

        if (width == 0 || height == 0 || !decoder_resize(wand, width, height))
        {
            return false;
        }
    }
}
