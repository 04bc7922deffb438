/*
 * Copyright (C) ngx_media contributors
 */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

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


/*
 * Images in the decoder process: thumbnails, JPEGs of a limited size, and
 * stickers.
 */


#define DECODER_PIXELS     (512UL * 1024 * 1024)    /* bytes of pixels */
#define DECODER_EDGE_MAX   16384
#define DECODER_LARGE      (24.0 * 1000 * 1000)     /* pixels of a JPEG that
                                                       are not halved */

/* how an image is compressed (C053) */
#define DECODER_QUALITY    85
#define DECODER_STEP       10
#define DECODER_LOWEST     20       /* not tried any more */
#define DECODER_SCALED     70       /* quality of what is made smaller */

#define DECODER_STICKER_EDGE  512

#if MagickLibVersion >= 0x700
#define DECODER_HEIC_NAMED true
#define decoder_resize(w, x, y)  MagickResizeImage(w, x, y, LanczosFilter)
#else
#define DECODER_HEIC_NAMED false
#define decoder_resize(w, x, y)  MagickResizeImage(w, x, y, LanczosFilter, 1.0)
#endif


typedef struct {
    const char  *mime;
    const char  *coder;
    bool         upright;           /* the coder applies the orientation */
    bool         named;             /* it reads nothing but a file by name */
} decoder_type_t;

typedef struct {
    MagickWand               *wand;
    const decoder_type_t     *type;
    const decoder_request_t  *req;
    decoder_answer_t         *ans;
    int                       in;
    int                       out;
    int64_t                   size;     /* of the file */
    bool                      animated;
} decoder_image_t;


static bool decoder_head(decoder_image_t *image);
static bool decoder_animated(decoder_image_t *image);
static bool decoder_read(decoder_image_t *image, const char *frames,
    bool ping);
static bool decoder_load(decoder_image_t *image, const char *jpeg_size);
static bool decoder_thumbnail(decoder_image_t *image);
static bool decoder_picture(decoder_image_t *image);
static bool decoder_compress(decoder_image_t *image);
static bool decoder_sticker(decoder_image_t *image);
static bool decoder_square(decoder_image_t *image);
static bool decoder_flatten(MagickWand *wand);
static bool decoder_plain(MagickWand *wand, const char *format, int quality);
static bool decoder_try(decoder_image_t *image, int quality,
    unsigned char **bytes, size_t *size);
static bool decoder_result(decoder_image_t *image, unsigned char *bytes,
    size_t size, const char *type);
static void decoder_fit(size_t width, size_t height, int max_edge,
    size_t *fit_width, size_t *fit_height);
static void decoder_error(MagickWand *wand, decoder_answer_t *ans);


static const decoder_type_t  decoder_types[] = {
    { "image/jpeg", "jpeg", false, false              },
    { "image/png",  "png",  false, false              },
    { "image/gif",  "gif",  false, false              },
    { "image/webp", "webp", false, false              },
    { "image/heic", "heic", true,  DECODER_HEIC_NAMED },
    { "image/heif", "heic", true,  DECODER_HEIC_NAMED },
    { NULL,         NULL,   false, false              }
};


void
decoder_image_init(void)
{
    ExceptionInfo         *exception;
    const decoder_type_t  *type;

    MagickWandGenesis();

    /* their modules are loaded now */
    exception = AcquireExceptionInfo();

    for (type = decoder_types; type->mime != NULL; type++) {
        (void) GetMagickInfo(type->coder, exception);
    }

    (void) DestroyExceptionInfo(exception);

    MagickSetResourceLimit(MemoryResource, DECODER_PIXELS);
    MagickSetResourceLimit(MapResource, DECODER_PIXELS);
    MagickSetResourceLimit(DiskResource, 0);
    MagickSetResourceLimit(WidthResource, DECODER_EDGE_MAX);
    MagickSetResourceLimit(HeightResource, DECODER_EDGE_MAX);
    MagickSetResourceLimit(ThreadResource, 1);
}


void
decoder_image_inspect(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    decoder_image(req, in, out, ans);
}


void
decoder_image(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    bool             ok;
    decoder_image_t  image;

    memset(&image, 0, sizeof(decoder_image_t));
    image.req = req;
    image.ans = ans;
    image.in = in;
    image.out = out;
    image.size = lseek(in, 0, SEEK_END);

    for (image.type = decoder_types; image.type->mime != NULL; image.type++) {
        if (strcasecmp(image.type->mime, req->mime) == 0) {
            break;
        }
    }

    if (image.type->mime == NULL) {
        decoder_fail(ans, DECODER_UNKNOWN, "no decoder for this type");
        return;
    }

    image.wand = NewMagickWand();
    ok = decoder_head(&image);

    if (ok && req->task == DECODER_INSPECT) {
        ok = decoder_thumbnail(&image);

    } else if (ok && req->task == DECODER_STICKER) {
        ok = decoder_sticker(&image);

    } else if (ok) {
        ok = decoder_picture(&image);
    }

    if (!ok && ans->error[0] == '\0') {
        decoder_error(image.wand, ans);
    }

    DestroyMagickWand(image.wand);
}


/* the dimensions; the wand then has the head only */
static bool
decoder_head(decoder_image_t *image)
{
    if (!decoder_read(image, "[0]", true)) {
        return false;
    }

    MagickResetIterator(image->wand);

    if (!MagickNextImage(image->wand)) {
        return false;
    }

    image->ans->width = MagickGetImageWidth(image->wand);
    image->ans->height = MagickGetImageHeight(image->wand);

    if (image->ans->width == 0 || image->ans->height == 0) {
        snprintf(image->ans->error, sizeof(image->ans->error),
                 "not a readable image");
        return false;
    }

    return true;
}


/* whether there is a second frame; the wand is used up */
static bool
decoder_animated(decoder_image_t *image)
{
    unsigned char  head[21];

    if (strcmp(image->type->coder, "gif") == 0) {
        ClearMagickWand(image->wand);
        return decoder_read(image, "[0-1]", true)
               && MagickGetNumberImages(image->wand) > 1;
    }

    /* RFC 9649, 2.7: the flags of the extended format */
    return strcmp(image->type->coder, "webp") == 0
           && pread(image->in, head, sizeof(head), 0) == sizeof(head)
           && memcmp(head + 12, "VP8X", 4) == 0 && (head[20] & 0x02);
}


/* frames, or with ping their heads; an open file is preferred, as the security
   policies of some installations refuse names in /proc */
static bool
decoder_read(decoder_image_t *image, const char *frames, bool ping)
{
    int    copy;
    bool   ok;
    char   name[64];
    FILE  *file;

    MagickWand            *wand;
    const decoder_type_t  *type;

    wand = image->wand;
    type = image->type;

    if (type->named) {
        snprintf(name, sizeof(name), "%s:/proc/self/fd/%d%s", type->coder,
                 image->in, frames);
        return ping ? MagickPingImage(wand, name)
                    : MagickReadImage(wand, name);
    }

    copy = dup(image->in);
    file = copy == -1 ? NULL : fdopen(copy, "rb");

    if (file == NULL) {
        return false;
    }

    rewind(file);
    snprintf(name, sizeof(name), "%s:%s", type->coder, frames);
    MagickSetFilename(wand, name);
    ok = ping ? MagickPingImageFile(wand, file)
              : MagickReadImageFile(wand, file);
    fclose(file);

    return ok;
}


/*
 * The pixels of the first frame, in a wand of their own: the one that read
 * them may still refer to the file, which is closed.  jpeg_size may be NULL.
 */
static bool
decoder_load(decoder_image_t *image, const char *jpeg_size)
{
    MagickWand  *frame;

    ClearMagickWand(image->wand);

    if (jpeg_size != NULL) {
        MagickSetOption(image->wand, "jpeg:size", jpeg_size);
    }

    if (!decoder_read(image, "[0]", false)) {
        return false;
    }

    MagickResetIterator(image->wand);
    MagickNextImage(image->wand);
    frame = MagickGetImage(image->wand);

    if (frame == NULL) {
        return false;
    }

    DestroyMagickWand(image->wand);
    image->wand = frame;

    return MagickTransformImageColorspace(frame, sRGBColorspace);
}


/* a JPEG is shrunk while it is decoded, to no less than twice the thumbnail */
static bool
decoder_thumbnail(decoder_image_t *image)
{
    int              width;
    char             option[64];
    size_t           fit_width, fit_height, size;
    MagickWand      *wand;
    unsigned char   *bytes;
    OrientationType  orientation;

    decoder_fit(image->ans->width, image->ans->height, image->req->max_edge,
                &fit_width, &fit_height);
    snprintf(option, sizeof(option), "%zux%zu", 2 * fit_width,
             2 * fit_height);

    if (!decoder_load(image, option)) {
        return false;
    }

    wand = image->wand;
    orientation = MagickGetImageOrientation(wand);

    if (((MagickGetImageWidth(wand) != fit_width
          || MagickGetImageHeight(wand) != fit_height)
         && !decoder_resize(wand, fit_width, fit_height))
        || !decoder_flatten(wand)
        || (!image->type->upright && !MagickAutoOrientImage(wand))
        || !MagickStripImage(wand)
        || !decoder_plain(wand, "JPEG", image->req->quality))
    {
        return false;
    }

    if (!image->type->upright && orientation >= LeftTopOrientation) {
        width = image->ans->width;
        image->ans->width = image->ans->height;
        image->ans->height = width;
    }

    bytes = MagickGetImageBlob(wand, &size);

    return decoder_result(image, bytes, size, "image/jpeg");
}


/* colours of more than 8 bits and CMYK are not for everybody's phone */
static bool
decoder_picture(decoder_image_t *image)
{
    int              part;
    bool             ok;
    char             option[64];
    size_t           len;
    MagickWand      *wand;
    unsigned char   *profile;
    ColorspaceType   space;

    space = MagickGetImageColorspace(image->wand);

    if (decoder_takes(image->req->types, image->type->mime)
        && image->size <= image->req->max_size
        && MagickGetImageDepth(image->wand) <= 8 && space != CMYKColorspace)
    {
        snprintf(image->ans->result.type, sizeof(image->ans->result.type),
                 "%s", image->type->mime);
        image->ans->as_is = 1;
        return true;
    }

    if (decoder_animated(image)) {
        snprintf(image->ans->error, sizeof(image->ans->error),
                 "it is animated");
        return false;
    }

    part = ceil(sqrt(image->ans->width / DECODER_LARGE * image->ans->height));
    snprintf(option, sizeof(option), "%dx%d", image->ans->width / part,
             image->ans->height / part);

    if (!decoder_load(image, part > 1 ? option : NULL)) {
        return false;
    }

    wand = image->wand;

    if ((!image->type->upright && !MagickAutoOrientImage(wand))
        || !decoder_flatten(wand))
    {
        return false;
    }

    /* the colours are those of the profile, which is the only metadata that
       stays */
    profile = space == sRGBColorspace
              ? MagickGetImageProfile(wand, "icc", &len) : NULL;

    ok = MagickStripImage(wand)
         && (profile == NULL
             || MagickSetImageProfile(wand, "icc", profile, len));
    MagickRelinquishMemory(profile);

    return ok && decoder_compress(image);
}


/* C053: quality first, then pixels */
static bool
decoder_compress(decoder_image_t *image)
{
    int             quality;
    double          scale;
    size_t          size, width, height;
    MagickWand     *wand;
    unsigned char  *bytes;

    wand = image->wand;
    bytes = NULL;

    for (quality = DECODER_QUALITY; quality > DECODER_LOWEST;
         quality -= DECODER_STEP)
    {
        if (!decoder_try(image, quality, &bytes, &size)) {
            return false;
        }

        if ((int64_t) size <= image->req->max_size) {
            return decoder_result(image, bytes, size, "image/jpeg");
        }
    }

    while ((int64_t) size > image->req->max_size) {
        scale = sqrt((double) image->req->max_size / size);
        width = MagickGetImageWidth(wand) * scale;
        height = MagickGetImageHeight(wand) * scale;

        if (width == 0 || height == 0
            || !decoder_resize(wand, width, height)
            || !decoder_try(image, DECODER_SCALED, &bytes, &size))
        {
            MagickRelinquishMemory(bytes);
            return false;
        }
    }

    return decoder_result(image, bytes, size, "image/jpeg");
}


/* what was made before is freed; *bytes is NULL on failure */
static bool
decoder_try(decoder_image_t *image, int quality, unsigned char **bytes,
    size_t *size)
{
    MagickRelinquishMemory(*bytes);
    *bytes = NULL;

    if (!decoder_plain(image->wand, image->req->task == DECODER_STICKER
                                    ? "WEBP" : "JPEG", quality))
    {
        return false;
    }

    *bytes = MagickGetImageBlob(image->wand, size);

    return *bytes != NULL;
}


static bool
decoder_sticker(decoder_image_t *image)
{
    int             quality;
    size_t          size;
    int64_t         max_size;
    unsigned char  *bytes;

    image->animated = decoder_animated(image);
    max_size = image->animated ? image->req->max_animated
                               : image->req->max_size;

    if (decoder_takes(image->req->types, image->type->mime)
        && image->ans->width == DECODER_STICKER_EDGE
        && image->ans->height == DECODER_STICKER_EDGE
        && image->size <= max_size)
    {
        snprintf(image->ans->result.type, sizeof(image->ans->result.type),
                 "%s", image->type->mime);
        image->ans->as_is = 1;
        return true;
    }

    if (image->animated) {
        snprintf(image->ans->error, sizeof(image->ans->error),
                 "it is animated, %dx%d pixels of %s", image->ans->width,
                 image->ans->height, image->type->coder);
        return false;
    }

    if (!decoder_load(image, NULL) || !decoder_square(image)) {
        return false;
    }

    bytes = NULL;

    for (quality = DECODER_QUALITY; quality > 0; quality -= DECODER_STEP) {

        if (!decoder_try(image, quality, &bytes, &size)) {
            return false;
        }

        if ((int64_t) size <= max_size) {
            return decoder_result(image, bytes, size, "image/webp");
        }
    }

    MagickRelinquishMemory(bytes);
    snprintf(image->ans->error, sizeof(image->ans->error),
             "it has too many details");
    return false;
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

    if (!image->type->upright && !MagickAutoOrientImage(wand)) {
        return false;
    }

    width = MagickGetImageWidth(wand);
    height = MagickGetImageHeight(wand);
    scale = (double) DECODER_STICKER_EDGE / (width > height ? width : height);
    width = width * scale < 1 ? 1 : lround(width * scale);
    height = height * scale < 1 ? 1 : lround(height * scale);

    none = NewPixelWand();

    ok = PixelSetColor(none, "none")
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


static bool
decoder_flatten(MagickWand *wand)
{
    bool        ok;
    PixelWand  *white;

    white = NewPixelWand();
    ok = PixelSetColor(white, "white")
         && MagickSetImageBackgroundColor(wand, white)
         && MagickSetImageAlphaChannel(wand, RemoveAlphaChannel);
    DestroyPixelWand(white);

    return ok;
}


static bool
decoder_plain(MagickWand *wand, const char *format, int quality)
{
    return MagickSetFilename(wand, "")
           && MagickSetImageFilename(wand, "")
           && MagickSetImageFormat(wand, format)
           && MagickSetImageCompression(wand, UndefinedCompression)
           && MagickSetImageCompressionQuality(wand, quality);
}


/* frees the bytes, which may be NULL */
static bool
decoder_result(decoder_image_t *image, unsigned char *bytes, size_t size,
    const char *type)
{
    bool  ok;

    if (bytes == NULL) {
        return false;
    }

    ok = decoder_write(image->out, bytes, size, 0, image->ans);
    MagickRelinquishMemory(bytes);

    if (ok) {
        snprintf(image->ans->result.type, sizeof(image->ans->result.type),
                 "%s", type);
        image->ans->result.size = size;
        image->ans->result.width = MagickGetImageWidth(image->wand);
        image->ans->result.height = MagickGetImageHeight(image->wand);
    }

    return ok;
}


/* the largest size within a square that keeps the proportions */
static void
decoder_fit(size_t width, size_t height, int max_edge, size_t *fit_width,
    size_t *fit_height)
{
    size_t  edge, longer;

    edge = max_edge;
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


static void
decoder_error(MagickWand *wand, decoder_answer_t *ans)
{
    char           *text;
    size_t          len;
    ExceptionType   severity;

    text = MagickGetException(wand, &severity);

    /* what follows "@" is a place in ImageMagick's source */
    len = strcspn(text, "@");

    while (len > 0 && text[len - 1] == ' ') {
        len--;
    }

    snprintf(ans->error, sizeof(ans->error), "%.*s",
             (int) (len < 120 ? len : 120), text);

    if (len == 0) {
        strcpy(ans->error, "the image cannot be read");
    }

    MagickRelinquishMemory(text);
}
