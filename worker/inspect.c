/*
 * Copyright (C) ngx_media contributors
 *
 * What a file is, told by the decoder process.
 */

#include <string.h>
#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"


#define INSPECT_TIME  10            /* seconds of CPU */
#define INSPECT_MAX   (4 * 1024 * 1024)     /* bytes of a preview */


static int inspect_failed(int fd, decoder_request_t *req, int out,
    decoder_answer_t *ans);


int
inspect(int fd, const char *declared, int max_edge, const char *types,
    decoder_answer_t *ans, int *preview)
{
    int                out;
    decoder_request_t  req;

    *preview = -1;
    memset(ans, 0, sizeof(decoder_answer_t));

    memset(&req, 0, sizeof(decoder_request_t));
    req.task = DECODER_INSPECT;
    req.cpu_time = INSPECT_TIME;
    req.max_edge = max_edge;
    req.quality = conf.thumb_quality;
    req.max_size = INSPECT_MAX;
    snprintf(req.mime, sizeof(req.mime), "%.*s",
             (int) strcspn(declared, "; "), declared);
    snprintf(req.types, sizeof(req.types), "%s", types);

    out = file_temp();

    if (out == -1) {
        return -1;
    }

    if (decode(fd, out, &req, ans) != 0
        || (ans->verdict == DECODER_FAILED
            && inspect_failed(fd, &req, out, ans) != 0))
    {
        close(out);
        return -1;
    }

    if (ans->result.size == 0 || *types == '\0'
        || !decoder_takes(types, ans->result.type))
    {
        close(out);
        return 0;
    }

    *preview = out;
    return 0;
}


/* once more, as what was decoded before may have been the reason */
static int
inspect_failed(int fd, decoder_request_t *req, int out, decoder_answer_t *ans)
{
    if (ftruncate(out, 0) != 0 || decode(fd, out, req, ans) != 0) {
        return -1;
    }

    if (ans->verdict != DECODER_FAILED) {
        return 0;
    }

    req->task = DECODER_SNIFF;

    if (decode(fd, out, req, ans) != 0) {
        return -1;
    }

    ans->verdict = DECODER_FAILED;
    snprintf(ans->error, sizeof(ans->error), "the decoder failed");

    return 0;
}
