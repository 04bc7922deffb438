/*
 * Copyright (C) ngx_media contributors
 *
 * send_cloudapi_error.c: what an error of the Graph API means for a send.
 */

#ifndef MEDIA_SEND_CLOUDAPI_H
#define MEDIA_SEND_CLOUDAPI_H

#include "send_body.h"


/* A media id may be what is wrong: one that was kept is to be made anew. */
bool cloudapi_media_unknown(const http_answer_t *ans);

/* The class of an answer that is not a success; sets the error of s. */
send_result_t cloudapi_refused(send_t *s, const http_answer_t *ans);

#endif
