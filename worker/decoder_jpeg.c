/*
 * Copyright (C) ngx_media contributors
 */

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "decoder_image.h"


/*
 * What libjpeg tells of a JPEG that ImageMagick does not: its head, and where
 * it is damaged.
 */


typedef struct {
    struct jpeg_error_mgr          base;    /* libjpeg's pointer is to this */
    jmp_buf                        failed;
    struct jpeg_decompress_struct  src;
    char                           message[JMSG_LENGTH_MAX];    /* the first */
} decoder_jpeg_t;


static void decoder_jpeg_open(decoder_jpeg_t *jpeg,
    const decoder_image_t *image);
static void decoder_jpeg_failed(j_common_ptr base) __attribute__((noreturn));
static void decoder_jpeg_message(j_common_ptr base, int level);


bool
decoder_head_jpeg(decoder_image_t *image)
{
    decoder_jpeg_t  jpeg;

    memset(&jpeg, 0, sizeof(decoder_jpeg_t));

    if (setjmp(jpeg.failed) != 0) {
        jpeg_destroy_decompress(&jpeg.src);
        return decoder_fail(image->ans, DECODER_CORRUPT, "%.100s",
                            jpeg.message);
    }

    decoder_jpeg_open(&jpeg, image);

    image->ans->width = jpeg.src.image_width;
    image->ans->height = jpeg.src.image_height;
    image->ans->frames = 1;
    image->cmyk = jpeg.src.num_components == 4;
    image->deep = jpeg.src.data_precision > 8;

    /* of several scans all coefficients are kept */
    image->shrinks = !jpeg_has_multiple_scans(&jpeg.src);

    jpeg_destroy_decompress(&jpeg.src);

#ifdef LIBJPEG_TURBO_VERSION
#define DECODER_TEXT(version)   #version
#define DECODER_VALUE(version)  DECODER_TEXT(version)
    decoder_made_by(image->ans, "libjpeg-turbo/%s",
                    DECODER_VALUE(LIBJPEG_TURBO_VERSION));
#endif

    return true;
}


static void
decoder_jpeg_open(decoder_jpeg_t *jpeg, const decoder_image_t *image)
{
    jpeg->src.err = jpeg_std_error(&jpeg->base);
    jpeg->base.error_exit = decoder_jpeg_failed;
    jpeg->base.emit_message = decoder_jpeg_message;

    jpeg_create_decompress(&jpeg->src);
    jpeg_mem_src(&jpeg->src, image->data, image->size);
    jpeg_read_header(&jpeg->src, TRUE);
}


bool
decoder_jpeg_damaged(decoder_image_t *image)
{
    decoder_jpeg_t  jpeg;

    memset(&jpeg, 0, sizeof(decoder_jpeg_t));

    if (setjmp(jpeg.failed) == 0) {
        decoder_jpeg_open(&jpeg, image);
        jpeg.message[0] = '\0';
        (void) jpeg_read_coefficients(&jpeg.src);
    }

    jpeg_destroy_decompress(&jpeg.src);
    snprintf(image->warning, sizeof(image->warning), "%.100s", jpeg.message);

    return image->warning[0] != '\0';
}


static void
decoder_jpeg_failed(j_common_ptr base)
{
    decoder_jpeg_t  *jpeg;

    jpeg = (decoder_jpeg_t *) base->err;
    jpeg->base.format_message(base, jpeg->message);
    longjmp(jpeg->failed, 1);
}


static void
decoder_jpeg_message(j_common_ptr base, int level)
{
    decoder_jpeg_t  *jpeg;

    jpeg = (decoder_jpeg_t *) base->err;

    if (level < 0 && jpeg->message[0] == '\0') {
        jpeg->base.format_message(base, jpeg->message);
    }
}
