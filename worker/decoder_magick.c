/*
 * Copyright (C) ngx_media contributors
 */

#include "decoder_magick.h"


/*
 * What ImageMagick may do in the decoder process, whatever the system's policy
 * says: of all policies the last one that fits counts, and this is the last.
 */


#define DECODER_POLICY                                                        \
    "<policymap>"                                                             \
    "<policy domain=\"coder\" rights=\"none\" pattern=\"*\"/>"                \
    "<policy domain=\"coder\" rights=\"read|write\" pattern=\"GIF\"/>"        \
    "<policy domain=\"coder\" rights=\"read|write\" pattern=\"JPEG\"/>"       \
    "<policy domain=\"coder\" rights=\"read|write\" pattern=\"PNG\"/>"        \
    "<policy domain=\"coder\" rights=\"read|write\" pattern=\"WEBP\"/>"       \
    "<policy domain=\"delegate\" rights=\"none\" pattern=\"*\"/>"             \
    "<policy domain=\"filter\" rights=\"none\" pattern=\"*\"/>"               \
    "<policy domain=\"path\" rights=\"none\" pattern=\"@*\"/>"                \
    "</policymap>"


bool
decoder_magick_init(void)
{
    bool         confined;
    MagickWand  *wand;

    MagickWandGenesis();

    /* it is taken before any coder was looked for */
    wand = NewMagickWand();
    confined = MagickSetSecurityPolicy(wand, DECODER_POLICY);
    DestroyMagickWand(wand);

    MagickSetResourceLimit(MemoryResource, DECODER_PIXELS);
    MagickSetResourceLimit(MapResource, DECODER_PIXELS);
    MagickSetResourceLimit(DiskResource, 0);
    MagickSetResourceLimit(WidthResource, DECODER_EDGE_MAX);
    MagickSetResourceLimit(HeightResource, DECODER_EDGE_MAX);
    MagickSetResourceLimit(ThreadResource, 1);

    return confined;
}
