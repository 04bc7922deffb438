/*
 * Copyright (C) ngx_media contributors
 */

#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

#include "decoder_image.h"


/*
 * HEIC, HEIF and AVIF by libheif: ImageMagick 7 reads them only by a name,
 * and the decoder process has no files.
 */


#define DECODER_PROFILE_MAX  (4 * 1024 * 1024)


static struct heif_image_handle *decoder_heif_open(decoder_image_t *image,
    struct heif_context **heif);
static bool decoder_heif_pixels(decoder_image_t *image,
    const struct heif_image *pixels, bool alpha);
static void decoder_heif_profile(MagickWand *wand,
    const struct heif_image_handle *handle);


/* plugins are files */
void
decoder_heif_init(void)
{
    (void) heif_init(NULL);
}


bool
decoder_heif_head(decoder_image_t *image)
{
    struct heif_context       *heif;
    struct heif_image_handle  *handle;

    if (strcmp(image->type->mime, "image/avif") == 0
        && !heif_have_decoder_for_format(heif_compression_AV1))
    {
        return decoder_fail(image->ans, DECODER_UNKNOWN,
                            "libheif has no decoder for AVIF");
    }

    handle = decoder_heif_open(image, &heif);

    if (handle != NULL) {
        image->ans->width = heif_image_handle_get_width(handle);
        image->ans->height = heif_image_handle_get_height(handle);
        image->ans->frames = 1;
        image->deep = heif_image_handle_get_luma_bits_per_pixel(handle) > 8;
        heif_image_handle_release(handle);
        heif_context_free(heif);
    }

    decoder_made_by(image->ans, "libheif/%s", heif_get_version());

    return handle != NULL;
}


/* NULL: with the error */
static struct heif_image_handle *
decoder_heif_open(decoder_image_t *image, struct heif_context **heif)
{
    struct heif_error          error;
    struct heif_image_handle  *handle;

    *heif = heif_context_alloc();

    if (*heif == NULL) {
        decoder_fail(image->ans, DECODER_REFUSED, "no memory");
        return NULL;
    }

    heif_context_set_max_decoding_threads(*heif, 0);
    error = heif_context_read_from_memory_without_copy(*heif, image->data,
                                                       image->size, NULL);

    if (error.code == heif_error_Ok) {
        error = heif_context_get_primary_image_handle(*heif, &handle);
    }

    if (error.code != heif_error_Ok) {
        decoder_fail(image->ans,
                     error.code == heif_error_Memory_allocation_error
                     ? DECODER_REFUSED : DECODER_CORRUPT,
                     "%.100s", error.message);
        heif_context_free(*heif);
        return NULL;
    }

    return handle;
}


bool
decoder_heif_load(decoder_image_t *image)
{
    bool                       alpha, ok;
    struct heif_error          error;
    struct heif_image         *pixels;
    struct heif_context       *heif;
    struct heif_image_handle  *handle;

    handle = decoder_heif_open(image, &heif);

    if (handle == NULL) {
        return false;
    }

    alpha = heif_image_handle_has_alpha_channel(handle);
    error = heif_decode_image(handle, &pixels, heif_colorspace_RGB,
                              alpha ? heif_chroma_interleaved_RGBA
                                    : heif_chroma_interleaved_RGB, NULL);
    ok = error.code == heif_error_Ok;

    if (ok) {
        ok = decoder_heif_pixels(image, pixels, alpha);
        heif_image_release(pixels);

    } else {
        decoder_fail(image->ans, DECODER_CORRUPT, "%.100s", error.message);
    }

    if (ok) {
        decoder_heif_profile(image->wand, handle);
    }

    heif_image_handle_release(handle);
    heif_context_free(heif);

    return ok;
}


static bool
decoder_heif_pixels(decoder_image_t *image, const struct heif_image *pixels,
    bool alpha)
{
    int             i, width, height, stride;
    bool            ok;
    size_t          row;
    uint8_t        *packed;
    const uint8_t  *plane;

    width = heif_image_get_width(pixels, heif_channel_interleaved);
    height = heif_image_get_height(pixels, heif_channel_interleaved);
    plane = heif_image_get_plane_readonly(pixels, heif_channel_interleaved,
                                          &stride);

    if (plane == NULL || width != image->ans->width
        || height != image->ans->height)
    {
        return decoder_fail(image->ans, DECODER_CORRUPT,
                            "it is not as large as its head says");
    }

    row = (size_t) width * (alpha ? 4 : 3);
    packed = malloc(row * height);

    if (packed == NULL) {
        return decoder_fail(image->ans, DECODER_REFUSED, "no memory");
    }

    for (i = 0; i < height; i++) {
        memcpy(packed + row * i, plane + (size_t) stride * i, row);
    }

    ok = MagickConstituteImage(image->wand, width, height,
                               alpha ? "RGBA" : "RGB", CharPixel, packed);
    free(packed);

    return ok;
}


static void
decoder_heif_profile(MagickWand *wand, const struct heif_image_handle *handle)
{
    void    *profile;
    size_t   size;

    size = heif_image_handle_get_raw_color_profile_size(handle);
    profile = size > 0 && size <= DECODER_PROFILE_MAX ? malloc(size) : NULL;

    if (profile != NULL
        && heif_image_handle_get_raw_color_profile(handle, profile).code
           == heif_error_Ok)
    {
        (void) MagickSetImageProfile(wand, "icc", profile, size);
    }

    free(profile);
}
