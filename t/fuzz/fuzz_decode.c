/*
 * Copyright (C) ngx_media contributors
 *
 * What media-decode sends, which read an untrusted file: a greeting and an
 * answer.  The input is either, as the structure lies in memory; it is sent as
 * it is, and filled up to the structure's size.
 */

#include "../../worker/decode.c"

#include <sys/mman.h>

#include "fuzz.h"
#include "media_json.h"


#define RESULT  4096                    /* bytes that were written */


static void receive(const uint8_t *data, size_t size, int out);
static void check_answer(const decoder_answer_t *ans);
static void check_text(const char *s, size_t size);
static void check_metadata(const decoder_answer_t *ans);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t           filled[sizeof(decoder_answer_t)];
    decoder_hello_t   hello;

    static int        fds[2], out;

    if (fds[1] == 0) {
        fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
        out = memfd_create("result", 0);
        fuzz_check(out != -1 && ftruncate(out, RESULT) == 0);
        decode_process.fd = fds[0];
        conf.log_level = -1;
    }

    /* an empty packet is the end of the connection */
    if (size == 0 || size > 16384) {
        return 0;
    }

    fuzz_check(send(fds[1], data, size, 0) == (ssize_t) size);

    if (decode_hello(&hello)) {
        fuzz_check(hello.version == DECODER_VERSION
                   && hello.answer_size == sizeof(decoder_answer_t));
    }

    fuzz_check(send(fds[1], data, size, 0) == (ssize_t) size);
    receive(data, size, out);

    if (size < sizeof(filled)) {
        memset(filled, 0, sizeof(filled));
        memcpy(filled, data, size);
        fuzz_check(send(fds[1], filled, sizeof(filled), 0) > 0);
        receive(filled, sizeof(filled), out);
    }

    return 0;
}


static void
receive(const uint8_t *data, size_t size, int out)
{
    decoder_answer_t  *ans;

    ans = (decoder_answer_t *) fuzz_copy(data, size);
    ans = realloc(ans, sizeof(decoder_answer_t));
    fuzz_check(ans != NULL);

    if (decode_answered(out, 0, ans)) {
        fuzz_check(size == sizeof(decoder_answer_t));
        check_answer(ans);
        check_metadata(ans);
    }

    free(ans);
}


static void
check_answer(const decoder_answer_t *ans)
{
    size_t  i;

    fuzz_check(ans->verdict >= DECODER_OK && ans->verdict < DECODER_FAILED);
    fuzz_check(ans->result.size >= 0 && ans->result.size <= RESULT);
    fuzz_check(ans->placeholder_size <= DECODER_PLACEHOLDER);
    fuzz_check(ans->width >= 0 && ans->height >= 0 && ans->frames >= 0
               && ans->pages >= 0 && ans->duration_ms >= 0);

    for (i = 0; i < DECODER_WAVEFORM; i++) {
        fuzz_check(ans->waveform[i] <= 100);
    }

    check_text(ans->type, sizeof(ans->type));
    check_text(ans->error, sizeof(ans->error));
    check_text(ans->video_codec, sizeof(ans->video_codec));
    check_text(ans->audio_codec, sizeof(ans->audio_codec));
    check_text(ans->charset, sizeof(ans->charset));
    check_text(ans->result.type, sizeof(ans->result.type));
    check_text(ans->made_by, sizeof(ans->made_by));

    fuzz_check(memchr(ans->title, '\0', sizeof(ans->title)) != NULL);
    fuzz_check(media_utf8_count(ans->title, strlen(ans->title)) >= 0);
}


static void
check_text(const char *s, size_t size)
{
    fuzz_check(memchr(s, '\0', size) != NULL);

    for ( /* void */ ; *s != '\0'; s++) {
        fuzz_check(*s >= 0x20 && *s <= 0x7e);
    }
}


/* what goes to the database */
static void
check_metadata(const decoder_answer_t *ans)
{
    char                  *text;
    media_json_t          *json;
    media_json_limits_t    limits = { 2, 0 };
    media_json_handler_t   handler;

    text = metadata_json(ans);
    fuzz_check(text != NULL);

    memset(&handler, 0, sizeof(handler));
    json = media_json_create(&handler, &limits, NULL);
    fuzz_check(json != NULL);
    fuzz_check(media_json_feed(json, text, strlen(text)) == MEDIA_OK);
    fuzz_check(media_json_finish(json) == MEDIA_OK);

    media_json_free(json);
    free(text);
}
