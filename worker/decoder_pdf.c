/*
 * Copyright (C) ngx_media contributors
 *
 * PDF documents, in the decoder process.
 */

#include "decoder.h"


void
decoder_pdf(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    (void) req;
    (void) in;
    (void) out;

    decoder_fail(ans, DECODER_UNKNOWN, "no decoder for this type");
}
