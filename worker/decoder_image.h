/*
 * Copyright (C) ngx_media contributors
 *
 * What the image functions of the decoder process share.
 */

#ifndef DECODER_IMAGE_H
#define DECODER_IMAGE_H

#include <webp/demux.h>

#include "decoder_magick.h"


#define DECODER_QUALITY    85       /* C053 */
#define DECODER_STEP       10


typedef struct decoder_image_s  decoder_image_t;

typedef struct {
    const char  *mime;
    const char  *coder;             /* of ImageMagick; NULL: libheif's */
    bool       (*head)(decoder_image_t *image);
    bool       (*strip)(decoder_image_t *image);    /* or NULL */
} decoder_type_t;

struct decoder_image_s {
    MagickWand               *wand;
    const decoder_type_t     *type;
    const decoder_request_t  *req;
    decoder_answer_t         *ans;  /* width, height, frames and animated are
                                       those of the head */
    int                       in;
    int                       out;
    const unsigned char      *data; /* of the file */
    size_t                    size;
    int                       orientation;  /* of EXIF, 1..8; 0: none */
    bool                      deep; /* more than 8 bits a colour */
    bool                      cmyk;
    bool                      indexed;      /* a palette, or grey */
    bool                      shrinks;      /* it is read at a smaller size */
    char                      warning[120]; /* of reading it: the picture is
                                               damaged; or "" */
};


/*
 * decoder_jpeg.c, decoder_head.c: dimensions, frames and depth, and whether
 * there is a position, from the head of a file of the type, by its library;
 * no pixel is decoded.  False: with the error.
 */
bool decoder_head_jpeg(decoder_image_t *image);
bool decoder_head_png(decoder_image_t *image);
bool decoder_head_gif(decoder_image_t *image);
bool decoder_head_webp(decoder_image_t *image);

/*
 * decoder_jpeg.c: whether libjpeg warns of the picture, with the reason in
 * image->warning.  What it warns of in the head has to do with metadata.
 */
bool decoder_jpeg_damaged(decoder_image_t *image);

/*
 * decoder_gps.c: whether metadata have a position on earth, in ans->gps; for
 * the heads above
 */
void decoder_gps_exif(decoder_image_t *image, const void *data, size_t size);
void decoder_gps_xmp(decoder_image_t *image, const void *data, size_t size);
void decoder_gps_png(decoder_image_t *image);
void decoder_gps_webp(decoder_image_t *image, WebPDemuxer *webp);

/*
 * decoder_picture.c: a file that is taken as it is stays so, unless it has a
 * position; then the result is the same picture without metadata but the
 * profile of its colours and its orientation.  False: neither was possible.
 */
bool decoder_keep(decoder_image_t *image);
/* the bytes are the result, if they are not too large */
bool decoder_stripped(decoder_image_t *image, const void *bytes, size_t size);
/* decoder_jpeg.c, decoder_gps.c: calls that */
bool decoder_jpeg_strip(decoder_image_t *image);
bool decoder_webp_strip(decoder_image_t *image);

/* decoder_heif.c: the same of HEIC, HEIF and AVIF, and into the wand */
void decoder_heif_init(void);
bool decoder_heif_head(decoder_image_t *image);
bool decoder_heif_load(decoder_image_t *image);

/*
 * decoder_image.c: the pixels of the first frame, in colours of sRGB once
 * decoder_colours() was called.  A JPEG is shrunk while it is decoded, to no
 * less than width and height.
 */
bool decoder_load(decoder_image_t *image, size_t width, size_t height);
bool decoder_colours(MagickWand *wand);
/* upright, and tells how it was turned */
bool decoder_upright(decoder_image_t *image);
/* transparency on white */
bool decoder_flatten(MagickWand *wand);
/* a tool and its version into made_by */
void decoder_made_by(decoder_answer_t *ans, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* decoder_preview.c, decoder_picture.c, decoder_sticker.c: the tasks */
bool decoder_preview(decoder_image_t *image);
bool decoder_picture(decoder_image_t *image);
bool decoder_sticker(decoder_image_t *image);

/*
 * decoder_thumbhash.c: a ThumbHash (https://evanw.github.io/thumbhash/) of an
 * image of at most 100x100 pixels of four bytes, red, green, blue and alpha;
 * returns its length, 25 at most
 */
size_t decoder_thumbhash(uint8_t *hash, const uint8_t *rgba, int width,
    int height);

#endif
