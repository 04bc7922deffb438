/*
 * Copyright (C) ngx_media contributors
 */

#define _GNU_SOURCE

#include <ctype.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <libexif/exif-data.h>
#include <png.h>
#include <webp/demux.h>
#include <webp/mux.h>

#include "decoder_image.h"


/*
 * Whether a picture says where it was taken, by its metadata: EXIF, which
 * libexif reads, and XMP.
 */


#define GPS_NAME       6                /* "Exif" and two zeros */
#define GPS_PIXELS     "IDAT"           /* of a PNG, one of many chunks */
#define GPS_CHUNKS     100              /* of texts of a PNG */
#define GPS_CHUNK_MAX  (1024 * 1024)    /* bytes, unpacked, or those of the
                                           file and more */


typedef struct {
    const unsigned char  *p;
    size_t                left;
} gps_png_t;


static void gps_png_read(png_structp png, png_bytep dst, size_t size);
static int gps_png_skip(png_structp png, png_unknown_chunkp chunk);
static void gps_png_text(decoder_image_t *image, const png_text *text);
static size_t gps_png_unhex(const char *hex, uint8_t *dst);


void
decoder_gps_exif(decoder_image_t *image, const void *data, size_t size)
{
    uint8_t       *bytes;
    ExifData      *exif;
    ExifEntry     *entry;
    ExifContent  **ifd;

    /* JPEG has it with a name, PNG without, WebP either way */
    if (size >= GPS_NAME && memcmp(data, "Exif", 5) == 0) {
        data = (const uint8_t *) data + GPS_NAME;
        size -= GPS_NAME;
    }

    bytes = malloc(GPS_NAME + size);
    exif = exif_data_new();

    if (bytes == NULL || exif == NULL) {
        free(bytes);
        exif_data_unref(exif);
        return;
    }

    memcpy(bytes, "Exif\0", GPS_NAME);
    memcpy(bytes + GPS_NAME, data, size);

    exif_data_unset_option(exif, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
    exif_data_load_data(exif, bytes, GPS_NAME + size);
    free(bytes);

    ifd = exif->ifd;
    entry = exif_content_get_entry(ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);

    if (entry != NULL && entry->format == EXIF_FORMAT_SHORT
        && entry->size >= 2)
    {
        image->orientation = exif_get_short(entry->data,
                                            exif_data_get_byte_order(exif));
    }

    if (exif_content_get_entry(ifd[EXIF_IFD_GPS], EXIF_TAG_GPS_LATITUDE)
        || exif_content_get_entry(ifd[EXIF_IFD_GPS], EXIF_TAG_GPS_LONGITUDE))
    {
        image->ans->gps = 1;
    }

    exif_data_unref(exif);
}


void
decoder_gps_xmp(decoder_image_t *image, const void *data, size_t size)
{
    if (memmem(data, size, ":GPS", 4) != NULL) {
        image->ans->gps = 1;
    }
}


void
decoder_gps_png(decoder_image_t *image)
{
    int           i, n;
    png_infop     info;
    png_textp     texts;
    png_bytep     exif;
    gps_png_t     r;
    png_structp   png;
    png_uint_32   size;

    r.p = image->data;
    r.left = image->size;
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    info = png == NULL ? NULL : png_create_info_struct(png);

    if (info == NULL) {
        png_destroy_read_struct(&png, NULL, NULL);
        return;
    }

    /* metadata may follow the picture, which is skipped as if it were unknown;
       what was read before an error counts */
    if (setjmp(png_jmpbuf(png)) == 0) {
        png_set_read_fn(png, &r, gps_png_read);
        png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER,
                                    (png_const_bytep) GPS_PIXELS, 1);
        png_set_read_user_chunk_fn(png, NULL, gps_png_skip);
        png_set_benign_errors(png, 1);
        png_set_chunk_cache_max(png, GPS_CHUNKS);
        png_set_chunk_malloc_max(png, image->size + GPS_CHUNK_MAX);
        png_read_info(png, info);
        png_read_end(png, info);
    }

    if (png_get_eXIf_1(png, info, &size, &exif) != 0) {
        decoder_gps_exif(image, exif, size);
    }

    n = png_get_text(png, info, &texts, NULL);

    for (i = 0; i < n; i++) {
        gps_png_text(image, &texts[i]);
    }

    png_destroy_read_struct(&png, &info, NULL);
}


static void
gps_png_read(png_structp png, png_bytep dst, size_t size)
{
    gps_png_t  *r;

    r = png_get_io_ptr(png);

    if (size > r->left) {
        png_error(png, "it ends too soon");
    }

    memcpy(dst, r->p, size);
    r->p += size;
    r->left -= size;
}


static int
gps_png_skip(png_structp png, png_unknown_chunkp chunk)
{
    (void) png;

    return memcmp(chunk->name, GPS_PIXELS, sizeof(GPS_PIXELS)) == 0;
}


/* XMP as it should be; and what ImageMagick writes, profiles in hexadecimal
   and EXIF by its names */
static void
gps_png_text(decoder_image_t *image, const png_text *text)
{
    size_t    size;
    uint8_t  *bytes;

    size = strlen(text->text);

    if (strncmp(text->key, "exif:GPSL", 9) == 0) {
        image->ans->gps = 1;
        return;
    }

    if (strncmp(text->key, "Raw profile type ", 17) != 0) {
        decoder_gps_xmp(image, text->text, size);
        return;
    }

    bytes = malloc(size / 2 + 1);

    if (bytes != NULL) {
        size = gps_png_unhex(text->text, bytes);
        decoder_gps_xmp(image, bytes, size);
        decoder_gps_exif(image, bytes, size);
        free(bytes);
    }
}


/* "\nexif\n    1234\n", then digits with more ends of lines */
static size_t
gps_png_unhex(const char *hex, uint8_t *dst)
{
    int     i;
    char    digits[3];
    size_t  n;

    for (i = 0; i < 3 && hex != NULL; i++) {
        hex = strchr(hex + (i != 0), '\n');
    }

    memset(digits, 0, sizeof(digits));

    for (i = 0, n = 0; hex != NULL && *hex != '\0'; hex++) {

        if (isxdigit((unsigned char) *hex)) {
            digits[i++] = *hex;
        }

        if (i == 2) {
            dst[n++] = strtol(digits, NULL, 16);
            i = 0;
        }
    }

    return n;
}


void
decoder_gps_webp(decoder_image_t *image, WebPDemuxer *webp)
{
    WebPChunkIterator  chunk;

    if (WebPDemuxGetChunk(webp, "EXIF", 1, &chunk)) {
        decoder_gps_exif(image, chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }

    if (WebPDemuxGetChunk(webp, "XMP ", 1, &chunk)) {
        decoder_gps_xmp(image, chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
}


/* the pictures stay as they are */
bool
decoder_webp_strip(decoder_image_t *image)
{
    bool       ok;
    WebPMux   *mux;
    WebPData   data;

    data.bytes = image->data;
    data.size = image->size;
    mux = WebPMuxCreate(&data, 0);
    WebPDataInit(&data);

    if (mux != NULL) {
        (void) WebPMuxDeleteChunk(mux, "EXIF");
        (void) WebPMuxDeleteChunk(mux, "XMP ");
        (void) WebPMuxAssemble(mux, &data);
    }

    ok = data.size > 0 && decoder_stripped(image, data.bytes, data.size);
    WebPMuxDelete(mux);
    WebPDataClear(&data);

    return ok;
}
