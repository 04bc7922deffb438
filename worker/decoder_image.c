/*
 * Copyright (C) ngx_media contributors
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lcms2.h>

#include "decoder_image.h"


/*
 * Images in the decoder process: what may be decoded, and by what.  The
 * sniffed type names the coder; ImageMagick never looks for one itself.
 */


#define DECODER_WHITE  "#ffffff"    /* no name, for which ImageMagick would
                                       open a file */


static void decoder_image_warm(void);
static bool decoder_open(decoder_image_t *image);
static bool decoder_allowed(decoder_image_t *image);
static bool decoder_run(decoder_image_t *image);
static void decoder_warned(decoder_image_t *image);
static void decoder_error(decoder_image_t *image);
static size_t decoder_message(MagickWand *wand, char *dst, size_t size,
    ExceptionType *severity);


static const decoder_type_t  decoder_types[] = {
    { "image/jpeg",             "jpeg", decoder_head_jpeg, decoder_jpeg_strip },
    { "image/png",              "png",  decoder_head_png,  NULL               },
    { "image/apng",             "png",  decoder_head_png,  NULL               },
    { "image/vnd.mozilla.apng", "png",  decoder_head_png,  NULL               },
    { "image/gif",              "gif",  decoder_head_gif,  NULL               },
    { "image/webp",             "webp", decoder_head_webp, decoder_webp_strip },
    { "image/heic",             NULL,   decoder_heif_head, NULL               },
    { "image/heic-sequence",    NULL,   decoder_heif_head, NULL               },
    { "image/heif",             NULL,   decoder_heif_head, NULL               },
    { "image/heif-sequence",    NULL,   decoder_heif_head, NULL               },
    { "image/avif",             NULL,   decoder_heif_head, NULL               },
    { "image/avif-sequence",    NULL,   decoder_heif_head, NULL               },
    { NULL,                     NULL,   NULL,              NULL               }
};


/* a profile of sRGB */
static struct {
    void             *bytes;
    cmsUInt32Number   size;
} decoder_srgb;


bool
decoder_image_init(void)
{
    bool         confined;
    cmsHPROFILE  profile;

    confined = decoder_magick_init();
    profile = cmsCreate_sRGBProfile();

    if (cmsSaveProfileToMem(profile, NULL, &decoder_srgb.size)) {
        decoder_srgb.bytes = malloc(decoder_srgb.size);
        (void) cmsSaveProfileToMem(profile, decoder_srgb.bytes,
                                   &decoder_srgb.size);
    }

    cmsCloseProfile(profile);

    decoder_heif_init();
    decoder_image_warm();

    return confined;
}


/* coders are modules, and tables are files; from here on none is opened */
static void
decoder_image_warm(void)
{
    size_t                 size;
    MagickWand            *wand;
    unsigned char         *bytes;
    const decoder_type_t  *type;

    static const unsigned char  pixel[] = { 255, 0, 0, 128 };

    for (type = decoder_types; type->mime != NULL; type++) {

        if (type->coder == NULL) {
            continue;
        }

        wand = NewMagickWand();
        bytes = MagickConstituteImage(wand, 1, 1, "RGBA", CharPixel, pixel)
                ? decoder_encode(wand, type->coder, DECODER_QUALITY, &size)
                : NULL;

        if (bytes != NULL) {
            ClearMagickWand(wand);
            MagickSetFilename(wand, type->coder);
            (void) (MagickReadImageBlob(wand, bytes, size)
                    && decoder_flatten(wand));
            MagickRelinquishMemory(bytes);
        }

        DestroyMagickWand(wand);
    }
}


void
decoder_image(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    decoder_image_t  image;

    memset(&image, 0, sizeof(decoder_image_t));
    image.req = req;
    image.ans = ans;
    image.in = in;
    image.out = out;

    for (image.type = decoder_types; image.type->mime != NULL; image.type++) {
        if (strcasecmp(image.type->mime, req->mime) == 0) {
            break;
        }
    }

    if (image.type->mime == NULL) {
        decoder_fail(ans, DECODER_UNKNOWN, "no decoder for this type");
        return;
    }

    if (!decoder_open(&image)) {
        return;
    }

    image.wand = NewMagickWand();

    if (!image.type->head(&image) || !decoder_allowed(&image)
        || !decoder_run(&image))
    {
        decoder_error(&image);
    }

    DestroyMagickWand(image.wand);
    munmap((void *) image.data, image.size);
}


static bool
decoder_open(decoder_image_t *image)
{
    off_t   size;
    void   *data;

    size = lseek(image->in, 0, SEEK_END);

    if (size <= 0) {
        return decoder_fail(image->ans, DECODER_CORRUPT, "it is empty");
    }

    data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, image->in, 0);

    if (data == MAP_FAILED) {
        return decoder_fail(image->ans, DECODER_REFUSED, "no memory");
    }

    image->data = data;
    image->size = size;

    return true;
}


/* what the head says is believed as far as it says that it is too much */
static bool
decoder_allowed(decoder_image_t *image)
{
    int                edge;
    int64_t            pixels, max, whole;
    decoder_answer_t  *ans;

    ans = image->ans;
    pixels = (int64_t) ans->width * ans->height;
    max = image->req->limits.pixels;
    whole = decoder_magick_pixels(image->indexed);
    edge = decoder_magick_edge();

    if (ans->width <= 0 || ans->height <= 0) {
        return decoder_fail(ans, DECODER_CORRUPT, "it has no pixels");
    }

    if (ans->frames > image->req->limits.frames) {
        return decoder_fail(ans, DECODER_REFUSED, "the image has more than "
                            "%d frames", image->req->limits.frames);
    }

    if (!image->shrinks && ans->frames == 1 && whole < max) {
        max = whole;
    }

    if (pixels > max / ans->frames || (!image->shrinks && pixels > whole)) {
        return decoder_fail(ans, DECODER_REFUSED,
                            ans->frames == 1
                            ? "the image has %dx%d pixels; at most %d "
                              "megapixels of its kind are decoded"
                            : "the image has %dx%d pixels; at most %d "
                              "megapixels are decoded, in %d frames",
                            ans->width, ans->height, (int) (max / 1000000),
                            ans->frames);
    }

    if (ans->width > edge || ans->height > edge) {
        return decoder_fail(ans, DECODER_REFUSED, "the image has %dx%d "
                            "pixels; at most %d an edge are decoded",
                            ans->width, ans->height, edge);
    }

    return true;
}


static bool
decoder_run(decoder_image_t *image)
{
    bool         ok;
    const char  *version;

    switch (image->req->task) {

    case DECODER_INSPECT:
        ok = decoder_preview(image);
        break;

    case DECODER_STICKER:
        ok = decoder_sticker(image);
        break;

    default:
        ok = decoder_picture(image);
    }

    /* "ImageMagick 6.9.11-60 Q16 x86_64" and more */
    version = strchr(MagickGetVersion(NULL), ' ');

    if (version != NULL) {
        version++;
        decoder_made_by(image->ans, "libMagickWand/%.*s",
                        (int) strcspn(version, " "), version);
    }

    decoder_made_by(image->ans, "lcms/%d.%d",
                    cmsGetEncodedCMMversion() / 1000,
                    cmsGetEncodedCMMversion() % 1000 / 10);
    return ok;
}


/*
 * The wand that reads may still refer to the file's bytes, so the frame gets
 * one of its own.
 */
bool
decoder_load(decoder_image_t *image, size_t width, size_t height)
{
    bool         shrinks;
    char         name[16], size[64];
    size_t       x, y;
    MagickWand  *frame;

    if (image->type->coder == NULL) {
        return decoder_heif_load(image);
    }

    ClearMagickWand(image->wand);

    /* libjpeg would also enlarge */
    shrinks = strcmp(image->type->coder, "jpeg") == 0
              && width < (size_t) image->ans->width
              && height < (size_t) image->ans->height;

    if (shrinks) {
        snprintf(size, sizeof(size), "%zux%zu", width, height);
        MagickSetOption(image->wand, "jpeg:size", size);
    }

    snprintf(name, sizeof(name), "%s:[0]", image->type->coder);
    MagickSetFilename(image->wand, name);

    if (!MagickReadImageBlob(image->wand, image->data, image->size)) {
        return false;
    }

    MagickResetIterator(image->wand);
    MagickNextImage(image->wand);
    decoder_warned(image);

    /* a frame is placed on its canvas */
    frame = strcmp(image->type->coder, "gif") == 0
            ? MagickCoalesceImages(image->wand) : MagickGetImage(image->wand);

    if (frame == NULL) {
        return false;
    }

    DestroyMagickWand(image->wand);
    image->wand = frame;

    MagickResetIterator(frame);
    MagickNextImage(frame);
    x = MagickGetImageWidth(frame);
    y = MagickGetImageHeight(frame);

    return shrinks
           || (x == (size_t) image->ans->width
               && y == (size_t) image->ans->height)
           || decoder_fail(image->ans, DECODER_CORRUPT,
                           "it is not as large as its head says");
}


/* ImageMagick 6 leaves with the image what the wand should tell */
static void
decoder_warned(decoder_image_t *image)
{
    ExceptionType   severity;
#if MagickLibVersion < 0x700
    ExceptionInfo  *e;

    e = AcquireExceptionInfo();
    GetImageException(GetImageFromMagickWand(image->wand), e);
    severity = e->severity;
    snprintf(image->warning, sizeof(image->warning), "%s",
             e->reason != NULL ? e->reason : "the image is damaged");
    (void) DestroyExceptionInfo(e);
#else
    (void) decoder_message(image->wand, image->warning,
                           sizeof(image->warning), &severity);
#endif

    if ((severity != CorruptImageWarning && severity < ErrorException)
        || (severity == CorruptImageWarning
            && strcmp(image->type->coder, "jpeg") == 0
            && !decoder_jpeg_damaged(image)))
    {
        image->warning[0] = '\0';
    }
}


/* by its profile, if that fits; else by what its kind of colours means */
bool
decoder_colours(MagickWand *wand)
{
    size_t          size;
    unsigned char  *profile;

    profile = MagickGetImageProfile(wand, "icc", &size);

    if (profile != NULL) {
        MagickRelinquishMemory(profile);
        (void) MagickProfileImage(wand, "icc", decoder_srgb.bytes,
                                  decoder_srgb.size);
        MagickClearException(wand);
    }

    return MagickTransformImageColorspace(wand, sRGBColorspace);
}


bool
decoder_upright(decoder_image_t *image)
{
    int              width;
    OrientationType  orientation;

    /* clockwise, after a reflection where there is one */
    static const int  degrees[] = { 0, 0, 0, 180, 180, 270, 90, 90, 270 };

    orientation = MagickGetImageOrientation(image->wand);

    if (!MagickAutoOrientImage(image->wand)) {
        return false;
    }

    if (orientation >= LeftTopOrientation
        && orientation <= LeftBottomOrientation)
    {
        width = image->ans->width;
        image->ans->width = image->ans->height;
        image->ans->height = width;
    }

    if (orientation <= LeftBottomOrientation) {
        image->ans->rotation = degrees[orientation];
    }

    return true;
}


bool
decoder_flatten(MagickWand *wand)
{
    bool        ok;
    PixelWand  *white;

    white = NewPixelWand();
    ok = PixelSetColor(white, DECODER_WHITE)
         && MagickSetImageBackgroundColor(wand, white)
         && MagickSetImageAlphaChannel(wand, RemoveAlphaChannel);
    DestroyPixelWand(white);

    return ok;
}


unsigned char *
decoder_encode(MagickWand *wand, const char *format, int quality,
    size_t *size)
{
    if (!MagickSetFilename(wand, "")
        || !MagickSetImageFilename(wand, "")
        || !MagickSetImageFormat(wand, format)
        || !MagickSetImageCompression(wand, UndefinedCompression)
        || !MagickSetImageCompressionQuality(wand, quality))
    {
        return NULL;
    }

    return MagickGetImageBlob(wand, size);
}


bool
decoder_result(MagickWand *wand, int out, decoder_answer_t *ans,
    unsigned char *bytes, size_t size, const char *type)
{
    bool  ok;

    if (bytes == NULL) {
        return false;
    }

    ok = decoder_write(out, bytes, size, 0, ans);
    MagickRelinquishMemory(bytes);

    if (ok) {
        snprintf(ans->result.type, sizeof(ans->result.type), "%s", type);
        ans->result.size = size;
        ans->result.width = MagickGetImageWidth(wand);
        ans->result.height = MagickGetImageHeight(wand);
    }

    return ok;
}


void
decoder_made_by(decoder_answer_t *ans, const char *fmt, ...)
{
    size_t   len;
    va_list  args;

    len = strlen(ans->made_by);

    if (len > 0 && len + 1 < sizeof(ans->made_by)) {
        strcpy(ans->made_by + len++, " ");
    }

    va_start(args, fmt);
    vsnprintf(ans->made_by + len, sizeof(ans->made_by) - len, fmt, args);
    va_end(args);
}


static void
decoder_error(decoder_image_t *image)
{
    char            text[120];
    size_t          len;
    ExceptionType   severity;

    if (image->ans->error[0] != '\0') {
        return;
    }

    len = decoder_message(image->wand, text, sizeof(text), &severity);

    decoder_fail(image->ans,
                 severity == ResourceLimitError || severity == CacheError
                 || severity == ResourceLimitFatalError
                 ? DECODER_REFUSED : DECODER_CORRUPT, "%s",
                 len == 0 ? "the image cannot be read" : text);
}


static size_t
decoder_message(MagickWand *wand, char *dst, size_t size,
    ExceptionType *severity)
{
    char    *text;
    size_t   len;

    text = MagickGetException(wand, severity);

    /* what follows "@" is a place in ImageMagick's source */
    len = strcspn(text, "@");

    while (len > 0 && text[len - 1] == ' ') {
        len--;
    }

    len = len < size ? len : size - 1;
    memcpy(dst, text, len);
    dst[len] = '\0';
    MagickRelinquishMemory(text);

    return len;
}
