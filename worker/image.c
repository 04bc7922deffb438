/*
 * Copyright (C) ngx_media contributors
 *
 * Thumbnails of images, made by the decoder process.
 */

#include <string.h>
#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"


#define IMAGE_CPU_TIME  10          /* seconds */


int
image_thumbnail(int fd, const char *mime, int max_edge, int quality,
    image_t *image, char *error, size_t error_size)
{
    int                out;
    decoder_answer_t   ans;
    decoder_request_t  req;

    memset(image, 0, sizeof(image_t));
    image->thumb_fd = -1;

    memset(&req, 0, sizeof(decoder_request_t));
    req.task = DECODER_THUMBNAIL;
    req.cpu_time = IMAGE_CPU_TIME;
    snprintf(req.mime, sizeof(req.mime), "%s", mime);
    req.max_edge = max_edge;
    req.quality = quality;

    out = file_temp();

    if (out == -1) {
        snprintf(error, error_size, "no temporary file");
        return -1;
    }

    if (decode(fd, out, &req, &ans) != 0) {
        snprintf(error, error_size, "there is no decoder");
        close(out);
        return -1;
    }

    image->width = ans.width;
    image->height = ans.height;

    if (ans.error[0] != '\0') {
        snprintf(error, error_size, "%s", ans.error);
        close(out);
        return -1;
    }

    image->thumb_fd = out;
    image->thumb_size = ans.size;
    return 0;
}
