/*
 * Copyright (C) ngx_media contributors
 *
 * What a decoder built with DECODER_TEST_HOOKS does before it reads a file.
 */

#ifndef DECODER_HOOKS_H
#define DECODER_HOOKS_H

#include "decoder.h"


void decoder_hook(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);

#endif
