/*
 * Copyright (C) ngx_media contributors
 *
 * A picture of a video, in the decoder process.
 */

#ifndef DECODER_POSTER_H
#define DECODER_POSTER_H

#include <libavformat/avformat.h>

#include "decoder.h"


/*
 * The first picture that is not black, upright, as a JPEG of req->max_edge
 * pixels in ans->result.  There is none, and that is no failure, of a codec
 * that is not decoded.  False, with a reason, if nothing can be decoded.
 */
bool decoder_poster(const decoder_request_t *req, AVFormatContext *s,
    AVStream *stream, int out, decoder_answer_t *ans);

#endif
