/*
 * Copyright (C) ngx_media contributors
 *
 * MagickWand, and what is done with any picture: of an image, a video or a
 * document.
 */

#ifndef DECODER_MAGICK_H
#define DECODER_MAGICK_H

/* ImageMagick 6's headers have functions without a prototype */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#if __has_include(<MagickWand/MagickWand.h>)
#include <MagickWand/MagickWand.h>
#else
#include <wand/MagickWand.h>
#endif
#pragma GCC diagnostic pop

#include "decoder.h"


#if MagickLibVersion >= 0x700
#define decoder_resize(w, x, y)  MagickResizeImage(w, x, y, LanczosFilter)
#else
#define decoder_resize(w, x, y)  MagickResizeImage(w, x, y, LanczosFilter, 1.0)
#endif


/* decoder_magick.c: limits and policy of ImageMagick; false: it did not take
   the policy, and the system's is all there is */
bool decoder_magick_init(void);
/* the largest picture that ImageMagick holds by these limits, or by those of
   the system's policy if they are less; indexed: of a palette, or grey */
int64_t decoder_magick_pixels(bool indexed);
int decoder_magick_edge(void);

/*
 * decoder_preview.c: the largest size within a square that keeps the
 * proportions, no larger than it is
 */
void decoder_fit(size_t width, size_t height, size_t edge, size_t *fit_width,
    size_t *fit_height);
/* what is told by the pixels of an upright picture, into ans: placeholder,
   dominant colour, whether there is transparency.  False: no memory. */
bool decoder_pixels(MagickWand *wand, decoder_answer_t *ans);

/*
 * decoder_image.c: bytes to be freed by MagickRelinquishMemory(), without any
 * metadata that MagickStripImage() removes; NULL: not encoded
 */
unsigned char *decoder_encode(MagickWand *wand, const char *format,
    int quality, size_t *size);
/* writes and frees the bytes, which may be NULL: false then */
bool decoder_result(MagickWand *wand, int out, decoder_answer_t *ans,
    unsigned char *bytes, size_t size, const char *type);

#endif
