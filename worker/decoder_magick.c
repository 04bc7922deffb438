/*
 * Copyright (C) ngx_media contributors
 */

#include "decoder_magick.h"


/*
 * What ImageMagick may do in the decoder process, whatever the system's policy
 * says: of all policies the last one that fits counts, and this is the last.
 */


/* half of the process's address space: the file, and what its library needs,
   are in it, too */
#define DECODER_PIXELS    (512UL * 1024 * 1024)     /* bytes */
#define DECODER_EDGE_MAX  16384

/* bytes of a pixel of four colours, and a third for what is made of it; those
   of a palette, as grey is one, are copied with the palette's index */
#define DECODER_DIRECT    (16 * sizeof(Quantum) / 3)
#if MagickLibVersion >= 0x700
#define DECODER_INDEXED   DECODER_DIRECT
#else
#define DECODER_INDEXED   (2 * sizeof(PixelPacket) + sizeof(IndexPacket))
#endif

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


int64_t
decoder_magick_pixels(bool indexed)
{
    uint64_t  memory, area;

    memory = MagickGetResourceLimit(MemoryResource)
             / (indexed ? DECODER_INDEXED : DECODER_DIRECT);
    area = MagickGetResourceLimit(AreaResource);

    return memory < area ? memory : area;
}


int
decoder_magick_edge(void)
{
    uint64_t  width, height;

    width = MagickGetResourceLimit(WidthResource);
    height = MagickGetResourceLimit(HeightResource);

    return width < height ? width : height;
}
