/*
 * Copyright (C) ngx_media contributors
 *
 * Thumbnails: orientation, transparency, colours, sizes, first frames, what
 * is refused, and the decoder that crashes, hangs or is replaced.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "../../core/test/test.h"
#include "../decoder_magick.h"
#include "../media_worker.h"


#define DATA  "t/data/whatsapp-media/"


typedef struct {
    int                rc;          /* 0: there is a thumbnail */
    decoder_answer_t   image;
    MagickWand        *wand;        /* the thumbnail, or NULL */
    char              *bytes;
    size_t             len;
} result_t;

typedef struct {
    unsigned char  *data;
    size_t          n;              /* bits */
} bits_t;


static result_t  result;


static void
thumbnail_fd(int fd, const char *mime)
{
    int      preview;
    int64_t  start;

    if (result.wand != NULL) {
        DestroyMagickWand(result.wand);
        free(result.bytes);
    }

    memset(&result, 0, sizeof(result_t));
    start = now_ms();
    result.rc = inspect(fd, mime, 200, "image/jpeg", &result.image, &preview)
                != 0 || preview == -1;
    printf("# %s %dx%d, %lld ms %s\n", result.image.type,
           result.image.width, result.image.height,
           (long long) (now_ms() - start), result.image.error);

    if (result.rc != 0) {
        return;
    }

    result.len = result.image.result.size;
    result.bytes = malloc(result.len);
    ok(pread(preview, result.bytes, result.len, 0)
       == (ssize_t) result.len, "the thumbnail's bytes");
    close(preview);

    result.wand = NewMagickWand();
    ok(MagickReadImageBlob(result.wand, result.bytes, result.len),
       "the thumbnail is an image");
}


static void
thumbnail_file(const char *name, const char *mime)
{
    int   fd;
    char  path[256];

    snprintf(path, sizeof(path), DATA "%s", name);
    fd = open(path, O_RDONLY);
    ok(fd != -1, "%s", name);
    thumbnail_fd(fd, mime);
    close(fd);
}


static void
thumbnail_bytes(const void *bytes, size_t len, const char *mime)
{
    int  fd;

    fd = file_temp();
    ok(file_write(fd, bytes, len) == 0, "temporary file");
    thumbnail_fd(fd, mime);
    close(fd);
}


/* r, g, b, w: the nearest of these colours at a place of the thumbnail */
static char
colour_at(double x, double y)
{
    char        c;
    double      r, g, b;
    PixelWand  *pixel;

    pixel = NewPixelWand();
    MagickGetImagePixelColor(result.wand,
                             (ssize_t) (x * MagickGetImageWidth(result.wand)),
                             (ssize_t) (y * MagickGetImageHeight(result.wand)),
                             pixel);
    r = PixelGetRed(pixel);
    g = PixelGetGreen(pixel);
    b = PixelGetBlue(pixel);
    DestroyPixelWand(pixel);

    c = r > 0.8 && g > 0.8 && b > 0.8 ? 'w'
        : r > 0.7 && g < 0.4 && b < 0.4 ? 'r'
        : g > 0.4 && r < 0.4 && b < 0.45 ? 'g'
        : b > 0.7 && r < 0.4 && g < 0.4 ? 'b' : '?';

    if (c == '?') {
        printf("# colour %f %f %f\n", r, g, b);
    }

    return c;
}


/* quarters: red green / blue white */
static MagickWand *
quarters(size_t width, size_t height)
{
    MagickWand   *wand;
    PixelWand    *colour;
    DrawingWand  *draw;
    size_t        i;

    static const char *const  names[] = { "red", "#00b000", "blue", "white" };

    wand = NewMagickWand();
    draw = NewDrawingWand();
    colour = NewPixelWand();
    PixelSetColor(colour, "white");
    MagickNewImage(wand, width, height, colour);

    for (i = 0; i < 4; i++) {
        PixelSetColor(colour, names[i]);
        DrawSetFillColor(draw, colour);
        DrawRectangle(draw, (double) (i % 2 * width) / 2,
                      (double) (i / 2 * height) / 2,
                      (double) (i % 2 * width) / 2 + (double) width / 2 - 1,
                      (double) (i / 2 * height) / 2 + (double) height / 2 - 1);
    }

    MagickDrawImage(wand, draw);
    DestroyDrawingWand(draw);
    DestroyPixelWand(colour);

    return wand;
}


static void
test_orientation(void)
{
    int             i;
    size_t          len;
    MagickWand     *wand;
    unsigned char  *jpeg, *turned;

    static unsigned char  exif[] =
        "\xff\xe1\x00\x22" "Exif\0\0" "MM\0\x2a\0\0\0\x08" "\0\x01"
        "\x01\x12\0\x03\0\0\0\x01\0\x00\0\0" "\0\0\0\0";

    /* top left and top right of what one sees */
    static const char *const  corners[] = {
        "", "rg", "gr", "wb", "bw", "rb", "br", "wg", "gw"
    };

    wand = quarters(400, 200);
    MagickSetImageFormat(wand, "JPEG");
    jpeg = MagickGetImageBlob(wand, &len);
    turned = malloc(len + 36);

    for (i = 1; i <= 8; i++) {
        exif[29] = i;
        memcpy(turned, jpeg, 2);
        memcpy(turned + 2, exif, 36);
        memcpy(turned + 38, jpeg + 2, len - 2);

        thumbnail_bytes(turned, len + 36, "image/jpeg");

        ok(result.rc == 0, "orientation %d", i);
        ok(result.image.width == (i < 5 ? 400 : 200)
           && result.image.height == (i < 5 ? 200 : 400),
           "orientation %d: dimensions as one sees it", i);
        ok(MagickGetImageWidth(result.wand) == (i < 5 ? 200 : 100),
           "orientation %d: width of the thumbnail", i);
        ok(colour_at(0.1, 0.1) == corners[i][0]
           && colour_at(0.9, 0.1) == corners[i][1],
           "orientation %d: %c%c", i, colour_at(0.1, 0.1),
           colour_at(0.9, 0.1));
    }

    free(turned);
    MagickRelinquishMemory(jpeg);
    DestroyMagickWand(wand);
}


static void
test_colours(void)
{
    size_t          len;
    PixelWand      *none;
    MagickWand     *wand;
    unsigned char  *bytes;

    none = NewPixelWand();
    PixelSetColor(none, "rgba(255,0,0,0)");
    wand = NewMagickWand();
    MagickNewImage(wand, 300, 300, none);
    MagickSetImageFormat(wand, "PNG");
    bytes = MagickGetImageBlob(wand, &len);
    thumbnail_bytes(bytes, len, "image/png");
    ok(result.rc == 0 && colour_at(0.5, 0.5) == 'w', "alpha becomes white");
    MagickRelinquishMemory(bytes);
    DestroyMagickWand(wand);
    DestroyPixelWand(none);

    wand = quarters(400, 400);
    MagickTransformImageColorspace(wand, CMYKColorspace);
    MagickSetImageFormat(wand, "JPEG");
    bytes = MagickGetImageBlob(wand, &len);
    thumbnail_bytes(bytes, len, "image/jpeg");
    ok(result.rc == 0 && colour_at(0.1, 0.1) == 'r'
       && colour_at(0.1, 0.9) == 'b', "CMYK becomes sRGB");
    ok(MagickGetImageColorspace(result.wand) == sRGBColorspace, "sRGB");
    MagickRelinquishMemory(bytes);
    DestroyMagickWand(wand);
}


static void
test_sizes(void)
{
    size_t          i, len;
    MagickWand     *wand;
    unsigned char  *bytes;

    static const struct {
        size_t  width, height, thumb_width, thumb_height;
    } sizes[] = {
        { 100, 60, 100, 60 }, { 200, 200, 200, 200 }, { 201, 200, 200, 199 },
        { 4000, 3000, 200, 150 }, { 1000, 10, 200, 2 }, { 2, 5000, 1, 200 },
    };

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        wand = quarters(sizes[i].width, sizes[i].height);
        MagickSetImageFormat(wand, i % 2 ? "PNG" : "JPEG");
        bytes = MagickGetImageBlob(wand, &len);
        thumbnail_bytes(bytes, len, i % 2 ? "image/png" : "image/jpeg");

        ok(result.rc == 0
           && MagickGetImageWidth(result.wand) == sizes[i].thumb_width
           && MagickGetImageHeight(result.wand) == sizes[i].thumb_height,
           "%zux%zu", sizes[i].width, sizes[i].height);

        MagickRelinquishMemory(bytes);
        DestroyMagickWand(wand);
    }
}


static void
test_formats(void)
{
    size_t          len;
    PixelWand      *colour;
    MagickWand     *wand;
    unsigned char  *bytes;

    thumbnail_file("image-jpeg-progressive-exif.plain", "image/jpeg");
    ok(result.rc == 0 && result.image.width == 574, "progressive");
    ok(memmem(result.bytes, result.len, "Exif", 4) == NULL,
       "no Exif, so no place");

    thumbnail_file("image-heic.plain", "image/heic");
    ok(result.rc == 0 && result.image.width == 480
       && result.image.height == 552, "HEIC: %s", result.image.error);

    thumbnail_file("sticker-animated-webp.plain", "image/webp");
    ok(result.rc == 0 && result.image.width == 512, "animated WebP");

    thumbnail_file("sticker-static-webp.plain", "image/webp");
    ok(result.rc == 0, "WebP");

    wand = NewMagickWand();
    colour = NewPixelWand();
    PixelSetColor(colour, "red");
    MagickNewImage(wand, 64, 64, colour);
    PixelSetColor(colour, "blue");
    MagickNewImage(wand, 64, 64, colour);
    MagickSetFormat(wand, "GIF");
    MagickResetIterator(wand);
    bytes = MagickGetImagesBlob(wand, &len);
    thumbnail_bytes(bytes, len, "image/gif");
    ok(result.rc == 0 && colour_at(0.5, 0.5) == 'r', "first frame");
    MagickRelinquishMemory(bytes);
    DestroyMagickWand(wand);
    DestroyPixelWand(colour);
}


static void
test_refused(void)
{
    char    *bytes;
    size_t   len, i;

    static const char  hostile[] =
        "<svg xmlns='http://www.w3.org/2000/svg'><image "
        "href='file:///etc/passwd'/></svg>";

    thumbnail_file("document-txt.plain", "image/jpeg");
    ok(result.rc != 0, "a text is no JPEG");
    thumbnail_file("image-png.plain", "image/svg+xml");
    ok(result.rc == 0 && strcmp(result.image.type, "image/png") == 0,
       "the content says what it is");
    thumbnail_bytes(hostile, sizeof(hostile) - 1, "image/png");
    ok(result.rc != 0 && result.image.verdict == DECODER_UNKNOWN,
       "no decoder for SVG");
    thumbnail_bytes("", 0, "image/gif");
    ok(result.rc != 0, "empty");

    bytes = test_read_file(DATA "image-png.plain", &len);

    for (i = 1; i < len; i += len / 7) {
        thumbnail_bytes(bytes, i, "image/png");
        ok(result.rc == 0 || result.image.error[0] != '\0', "cut at %zu", i);
    }

    free(bytes);
    thumbnail_file("image-png.plain", "image/png");
    ok(result.rc == 0, "and after all this it still works");
}


static uint32_t
crc32_of(const unsigned char *s, size_t len)
{
    int       k;
    uint32_t  crc;

    for (crc = 0xffffffff; len > 0; len--, s++) {
        crc ^= *s;

        for (k = 0; k < 8; k++) {
            crc = crc & 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
        }
    }

    return ~crc;
}


static size_t
png_chunk(unsigned char *dst, const char *type, size_t len)
{
    uint32_t  crc;

    dst[0] = len >> 24;
    dst[1] = len >> 16;
    dst[2] = len >> 8;
    dst[3] = len;
    memcpy(dst + 4, type, 4);

    crc = crc32_of(dst + 4, len + 4);
    dst[len + 8] = crc >> 24;
    dst[len + 9] = crc >> 16;
    dst[len + 10] = crc >> 8;
    dst[len + 11] = crc;

    return len + 12;
}


static void
bits_put(bits_t *bits, unsigned value, int n)
{
    for ( /* void */ ; n > 0; n--, value >>= 1, bits->n++) {
        bits->data[bits->n / 8] |= (value & 1) << bits->n % 8;
    }
}


/* zeros: one literal, then copies of 258 at distance 1, in fixed codes */
static size_t
png_bomb(unsigned char *dst, unsigned edge)
{
    size_t    n;
    bits_t    bits;
    uint64_t  size, sum;

    n = 0;
    memcpy(dst, "\x89PNG\r\n\x1a\n", 8);
    n += 8;
    memcpy(dst + n + 8, "\0\0\0\0\0\0\0\0\x01\0\0\0\0", 13);
    dst[n + 10] = dst[n + 14] = edge >> 8;
    dst[n + 11] = dst[n + 15] = edge;
    n += png_chunk(dst + n, "IHDR", 13);

    memset(&bits, 0, sizeof(bits_t));
    bits.data = dst + n + 8;
    size = (uint64_t) edge * (edge / 8 + 1);

    bits_put(&bits, 0x9c78, 16);
    bits_put(&bits, 3, 3);
    bits_put(&bits, 0x0c, 8);           /* literal 0, bits reversed */

    for (sum = 1; sum + 258 <= size; sum += 258) {
        bits_put(&bits, 0xa3, 8);       /* length 258, bits reversed */
        bits_put(&bits, 0, 5);          /* distance 1 */
    }

    for ( /* void */ ; sum < size; sum++) {
        bits_put(&bits, 0x0c, 8);
    }

    bits_put(&bits, 0, 7);
    bits.n = (bits.n + 7) / 8 * 8;
    sum = size % 65521;
    bits_put(&bits, sum >> 8 & 0xff, 8);
    bits_put(&bits, sum & 0xff, 8);
    bits_put(&bits, 0, 8);
    bits_put(&bits, 1, 8);
    n += png_chunk(dst + n, "IDAT", bits.n / 8);

    return n + png_chunk(dst + n, "IEND", 0);
}


static void
test_bombs(void)
{
    size_t          len;
    unsigned char  *bytes;

    bytes = calloc(1, 4 * 1024 * 1024);
    len = png_bomb(bytes, 2000);
    thumbnail_bytes(bytes, len, "image/png");
    ok(result.rc == 0 && result.image.width == 2000, "the bomb is a PNG: %s",
       result.image.error);

    memset(bytes, 0, len);
    len = png_bomb(bytes, 16000);
    thumbnail_bytes(bytes, len, "image/png");
    ok(result.rc != 0, "16000x16000 of %zu bytes", len);

    memset(bytes, 0, len);
    len = png_bomb(bytes, 30000);
    thumbnail_bytes(bytes, len, "image/png");
    ok(result.rc != 0, "30000x30000 of %zu bytes", len);
    free(bytes);
}


/* the decoder, our only child */
static pid_t
decoder_pid(void)
{
    int    pid;
    char   path[64];
    FILE  *file;

    pid = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    file = fopen(path, "r");

    if (file != NULL) {
        if (fscanf(file, "%d", &pid) != 1) {
            pid = 0;
        }

        fclose(file);
    }

    return pid;
}


static void
test_decoder(void)
{
    char    path[64], text[4096];
    FILE   *file;
    pid_t   pid;
    size_t  n;

    thumbnail_file("image-jpeg.plain", "image/jpeg");
    pid = decoder_pid();
    ok(pid > 0, "the decoder is kept");

    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    file = fopen(path, "r");
    n = file == NULL ? 1 : fread(text, 1, sizeof(text), file);
#ifdef __SANITIZE_ADDRESS__
    ok(n > 0 && strncmp(text, "ASAN_OPTIONS=", 13) == 0,
       "it is told where reports go");
#else
    ok(n == 0, "it has no environment");
#endif

    if (file != NULL) {
        fclose(file);
    }

    kill(pid, SIGTERM);
    thumbnail_file("image-jpeg.plain", "image/jpeg");
    ok(result.rc == 0 && decoder_pid() == pid, "SIGTERM is the child's");

    kill(pid, SIGKILL);
    thumbnail_file("image-jpeg.plain", "image/jpeg");
    ok(result.rc == 0 || decoder_pid() != pid, "killed: replaced");
    thumbnail_file("image-jpeg.plain", "image/jpeg");
    ok(result.rc == 0, "and works");

    pid = decoder_pid();
    kill(pid, SIGSTOP);
    thumbnail_file("image-jpeg.plain", "image/jpeg");
    ok(result.rc == 0 && decoder_pid() != pid, "hung: replaced");
}


int
main(void)
{
    char  tmp[] = "/tmp";

    conf.tmp_dir = tmp;
    conf.log_level = LOG_WARN;
    conf.thumb_quality = 85;
    conf.max_duration = 3600;
    conf.max_expansion = 256 * 1024 * 1024;
    conf.max_frames = 2000;
    conf.max_pages = 10000;
    conf.max_pixels = 200000000;
    MagickWandGenesis();

    test_orientation();
    test_colours();
    test_sizes();
    test_formats();
    test_refused();
    test_bombs();
    test_decoder();

    MagickWandTerminus();
    return test_done();
}
