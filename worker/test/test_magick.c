/*
 * Copyright (C) ngx_media contributors
 *
 * What ImageMagick refuses under the decoder's policy.  The decoder's jail
 * has not even these coders; here they are there.
 */

#include "../decoder_magick.h"
#include "../../core/test/test.h"


#define LISTED  "@t/data/corpora.tsv"       /* a file that is there */


typedef struct {
    const char  *name;              /* of the coder, or a file's */
    const char  *content;           /* NULL: the name is all */
} magick_t;


static const magick_t  refused[] = {
    { "",              "P1 1 1 1\n"                                         },
    { "bmp:",          "BM"                                                 },
    { "caption:" LISTED, NULL                                               },
    { "gradient:",     NULL                                                 },
    { "https:",        "//127.0.0.1/"                                       },
    { "label:" LISTED, NULL                                                 },
    { "label:text",    NULL                                                 },
    { "mng:",          "\x8aMNG\r\n\x1a\n"                                  },
    { "msl:",          "<image><read filename='xc:red'/></image>"           },
    { "mvg:",          "viewbox 0 0 9 9 rectangle 0,0 5,5"                  },
    { "pdf:",          "%PDF-1.4\n"                                         },
    { "ps:",           "%!PS\nshowpage\n"                                   },
    { "svg:",          "<svg xmlns='http://www.w3.org/2000/svg' width='9' "
                       "height='9'><rect width='5' height='5'/></svg>"      },
    { "text:",         "hello"                                              },
    { "text:" LISTED,  NULL                                                 },
    { "txt:",          "# ImageMagick pixel enumeration: 1,1,255,srgb\n"
                       "0,0: (0,0,0)\n"                                     },
    { "xc:red",        NULL                                                 },
    { "xpm:",          "/* XPM */"                                          }
};

static const char *const  allowed[] = { "gif", "jpeg", "png", "webp" };


/* how bad it is, and in text why */
static ExceptionType
magick_read(const magick_t *m, char **text)
{
    MagickWand     *wand;
    ExceptionType   severity;

    wand = NewMagickWand();

    if (m->content == NULL) {
        (void) MagickReadImage(wand, m->name);

    } else {
        MagickSetFilename(wand, m->name);
        (void) MagickReadImageBlob(wand, m->content, strlen(m->content));
    }

    *text = MagickGetException(wand, &severity);
    DestroyMagickWand(wand);

    return severity;
}


static void
test_refused(void)
{
    char    *text;
    size_t   i;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ok(magick_read(&refused[i], &text) == PolicyError,
           "\"%s\" is read: %s", refused[i].name, text);
        MagickRelinquishMemory(text);
    }
}


/* of names that are read from a file; ImageMagick 7 knows no such coder */
static void
test_listed(void)
{
    char      *text;
    magick_t   listed;

    listed.name = LISTED;
    listed.content = NULL;
    ok(magick_read(&listed, &text) >= ErrorException, "%s is read: %s",
       LISTED, text);
    MagickRelinquishMemory(text);
}


static void
test_allowed(void)
{
    size_t          i, size;
    MagickWand     *wand;
    unsigned char  *bytes;

    static const unsigned char  pixel[] = { 255, 0, 0 };

    for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        wand = NewMagickWand();
        bytes = NULL;

        ok(MagickConstituteImage(wand, 1, 1, "RGB", CharPixel, pixel)
           && MagickSetImageFormat(wand, allowed[i])
           && (bytes = MagickGetImageBlob(wand, &size)) != NULL,
           "%s is not written", allowed[i]);

        ClearMagickWand(wand);
        MagickSetFilename(wand, allowed[i]);
        ok(bytes != NULL && MagickReadImageBlob(wand, bytes, size),
           "%s is not read", allowed[i]);

        MagickRelinquishMemory(bytes);
        DestroyMagickWand(wand);
    }
}


/* of an image that is there */
static void
test_written(void)
{
    size_t       i, size;
    MagickWand  *wand;

    static const char *const    formats[] = { "svg", "txt", "mvg", "info" };
    static const unsigned char  pixel[] = { 255, 0, 0 };

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        wand = NewMagickWand();
        ok(MagickConstituteImage(wand, 1, 1, "RGB", CharPixel, pixel),
           "a pixel");
        ok(!MagickSetImageFormat(wand, formats[i])
           || MagickGetImageBlob(wand, &size) == NULL,
           "%s is written", formats[i]);
        DestroyMagickWand(wand);
    }
}


int
main(void)
{
    ok(decoder_magick_init(), "ImageMagick does not take the policy");

    test_refused();
    test_listed();
    test_allowed();
    test_written();

    return test_done();
}
