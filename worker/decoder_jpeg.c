/*
 * Copyright (C) ngx_media contributors
 */

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "decoder_image.h"


/*
 * What is done by libjpeg itself: the head of a JPEG, whether the picture is
 * damaged, and the same picture without metadata.
 */


#define DECODER_APP1     (JPEG_APP0 + 1)        /* EXIF and XMP */
#define DECODER_APP2     (JPEG_APP0 + 2)        /* a profile of colours */
#define DECODER_PROFILE  "ICC_PROFILE"

typedef struct {
    struct jpeg_error_mgr          base;    /* libjpeg's pointer is to this */
    jmp_buf                        failed;
    struct jpeg_decompress_struct  src;
    struct jpeg_compress_struct    dst;
    unsigned char                 *bytes;
    unsigned long                  size;
    char                           message[JMSG_LENGTH_MAX];    /* the first */
} decoder_jpeg_t;


static void decoder_jpeg_open(decoder_jpeg_t *jpeg,
    const decoder_image_t *image);
static void decoder_jpeg_gps(decoder_image_t *image,
    jpeg_saved_marker_ptr marker);
static void decoder_jpeg_copy(decoder_jpeg_t *jpeg,
    const decoder_image_t *image);
static void decoder_jpeg_failed(j_common_ptr base) __attribute__((noreturn));
static void decoder_jpeg_message(j_common_ptr base, int level);


bool
decoder_head_jpeg(decoder_image_t *image)
{
    decoder_jpeg_t  jpeg;

    memset(&jpeg, 0, sizeof(decoder_jpeg_t));

    if (setjmp(jpeg.failed) != 0) {
        decoder_jpeg_gps(image, jpeg.src.marker_list);
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

    decoder_jpeg_gps(image, jpeg.src.marker_list);
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
    jpeg_save_markers(&jpeg->src, DECODER_APP1, 0xffff);
    jpeg_save_markers(&jpeg->src, DECODER_APP2, 0xffff);
    jpeg_read_header(&jpeg->src, TRUE);
}


static void
decoder_jpeg_gps(decoder_image_t *image, jpeg_saved_marker_ptr marker)
{
    for ( /* void */ ; marker != NULL; marker = marker->next) {

        if (marker->marker != DECODER_APP1) {
            continue;
        }

        if (marker->data_length > 5 && memcmp(marker->data, "Exif", 5) == 0) {
            decoder_gps_exif(image, marker->data, marker->data_length);

        } else {
            decoder_gps_xmp(image, marker->data, marker->data_length);
        }
    }
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


bool
decoder_jpeg_strip(decoder_image_t *image)
{
    bool            ok;
    decoder_jpeg_t  jpeg;

    memset(&jpeg, 0, sizeof(decoder_jpeg_t));

    if (setjmp(jpeg.failed) == 0) {
        decoder_jpeg_open(&jpeg, image);
        decoder_jpeg_copy(&jpeg, image);
        ok = decoder_stripped(image, jpeg.bytes, jpeg.size);
        free(jpeg.bytes);

    } else {
        /* the bytes are libjpeg's then */
        ok = false;
    }

    jpeg_destroy_compress(&jpeg.dst);
    jpeg_destroy_decompress(&jpeg.src);

    return ok;
}


/* the coefficients, the profile and which side is up */
static void
decoder_jpeg_copy(decoder_jpeg_t *jpeg, const decoder_image_t *image)
{
    jvirt_barray_ptr       *coefficients;
    jpeg_saved_marker_ptr   marker;

    JOCTET  exif[] = {
        'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
        0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, image->orientation, 0, 0, 0, 0, 0, 0
    };

    coefficients = jpeg_read_coefficients(&jpeg->src);

    jpeg->dst.err = &jpeg->base;
    jpeg_create_compress(&jpeg->dst);
    jpeg_mem_dest(&jpeg->dst, &jpeg->bytes, &jpeg->size);
    jpeg_copy_critical_parameters(&jpeg->src, &jpeg->dst);
    jpeg->dst.optimize_coding = TRUE;

    if (jpeg->src.progressive_mode) {
        jpeg_simple_progression(&jpeg->dst);
    }

    jpeg_write_coefficients(&jpeg->dst, coefficients);

    if (image->orientation > 1) {
        jpeg_write_marker(&jpeg->dst, DECODER_APP1, exif, sizeof(exif));
    }

    for (marker = jpeg->src.marker_list; marker != NULL;
         marker = marker->next)
    {
        if (marker->marker == DECODER_APP2
            && marker->data_length > sizeof(DECODER_PROFILE)
            && memcmp(marker->data, DECODER_PROFILE, sizeof(DECODER_PROFILE))
               == 0)
        {
            jpeg_write_marker(&jpeg->dst, DECODER_APP2, marker->data,
                              marker->data_length);
        }
    }

    jpeg_finish_compress(&jpeg->dst);
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
