/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <string.h>

#include <png.h>

#include "decoder_image.h"
#include "decoder_io.h"


/*
 * Heads of images other than JPEGs, by the libraries of the formats.
 * ImageMagick's ping hides the dimensions of what is too large, and allocates
 * an image for each frame.
 */


bool
decoder_head_png(decoder_image_t *image)
{
    png_image  png;

    memset(&png, 0, sizeof(png_image));
    png.version = PNG_IMAGE_VERSION;

    if (!png_image_begin_read_from_memory(&png, image->data, image->size)) {
        return decoder_fail(image->ans, DECODER_CORRUPT, "%.60s",
                            png.message);
    }

    image->ans->width = png.width;
    image->ans->height = png.height;
    image->ans->frames = 1;
    image->deep = (png.format & PNG_FORMAT_FLAG_LINEAR) != 0;
    image->indexed = (png.format & PNG_FORMAT_FLAG_COLORMAP) != 0
                     || (png.format & PNG_FORMAT_FLAG_COLOR) == 0;
    png_image_free(&png);
    decoder_gps_png(image);

    decoder_made_by(image->ans, "libpng/%s", png_get_libpng_ver(NULL));
    return true;
}


/* what the demuxer takes apart, it does not decode */
bool
decoder_head_gif(decoder_image_t *image)
{
    int               rc;
    AVPacket         *packet;
    decoder_io_t      io;
    AVFormatContext  *s;

    memset(&io, 0, sizeof(decoder_io_t));
    io.fd = image->in;
    io.size = image->size;
    io.ans = image->ans;

    packet = av_packet_alloc();
    s = decoder_io_demux(&io, "gif", "gif");

    if (packet == NULL || s == NULL || s->nb_streams != 1) {
        av_packet_free(&packet);
        decoder_io_end(&s);
        return decoder_fail(image->ans, DECODER_CORRUPT,
                            "not a readable GIF");
    }

    image->ans->width = s->streams[0]->codecpar->width;
    image->ans->height = s->streams[0]->codecpar->height;

    do {
        rc = av_read_frame(s, packet);
        image->ans->frames += rc == 0;
        av_packet_unref(packet);
    } while (rc == 0 && image->ans->frames <= image->req->limits.frames);

    av_packet_free(&packet);
    decoder_io_end(&s);
    image->ans->animated = image->ans->frames > 1;
    image->indexed = true;

    return image->ans->frames > 0
           || decoder_fail(image->ans, DECODER_CORRUPT, "a GIF of no image");
}


bool
decoder_head_webp(decoder_image_t *image)
{
    int           version;
    WebPData      data;
    WebPDemuxer  *webp;

    data.bytes = image->data;
    data.size = image->size;
    webp = WebPDemux(&data);

    if (webp == NULL) {
        return decoder_fail(image->ans, DECODER_CORRUPT,
                            "not a readable WebP");
    }

    image->ans->width = WebPDemuxGetI(webp, WEBP_FF_CANVAS_WIDTH);
    image->ans->height = WebPDemuxGetI(webp, WEBP_FF_CANVAS_HEIGHT);
    image->ans->frames = WebPDemuxGetI(webp, WEBP_FF_FRAME_COUNT);
    image->ans->animated = image->ans->frames > 1;
    decoder_gps_webp(image, webp);
    WebPDemuxDelete(webp);

    version = WebPGetDemuxVersion();
    decoder_made_by(image->ans, "libwebp/%d.%d.%d", version >> 16,
                    version >> 8 & 0xff, version & 0xff);
    return true;
}
