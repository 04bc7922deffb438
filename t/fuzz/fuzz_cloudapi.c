/*
 * Copyright (C) ngx_media contributors
 *
 * Errors of the Cloud API.  The first line of the input is the HTTP status.
 * Whatever the answer says, there is one decision, with a text for people
 * that is UTF-8 and has neither the token nor the message in it.
 */

#include <stdlib.h>

#include "fuzz.h"
#include "media_codec.h"
#include "send_cloudapi.h"


#define TOKEN  "EAAtoken-of-the-number"
#define TEXT   "what the customer was told"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          n;
    send_t         *s;
    media_str_t     in, line;
    http_answer_t  *ans;
    send_result_t   result;

    s = calloc(1, sizeof(send_t));
    ans = calloc(1, sizeof(http_answer_t));
    fuzz_check(s != NULL && ans != NULL);

    s->provider = "cloudapi";
    s->token = TOKEN;
    s->text = TEXT;
    s->chat = "5511987654321";
    s->reply_text = s->place_address = "";
    s->attempts = size & 1 ? 1 : 20;

    media_str_set(&in, (const char *) data, size);
    line = fuzz_cut(&in, '\n');

    for (n = 0; n < line.len && n < 3; n++) {
        ans->status = ans->status * 10 + (line.data[n] & 0x0f) % 10;
    }

    n = in.len < sizeof(ans->text) ? in.len : sizeof(ans->text) - 1;

    if (n > 0) {
        memcpy(ans->text, in.data, n);
    }

    result = cloudapi_refused(s, ans);

    fuzz_check(result == SEND_RETRY || result == SEND_FAILED
               || result == SEND_STOP || result == SEND_UNKNOWN);
    fuzz_check(s->retry_after >= 0 && s->retry_after <= 4096);
    fuzz_check(s->error[0] != '\0' && s->error_code[0] != '\0');
    fuzz_check(memchr(s->error, '\0', sizeof(s->error)) != NULL);
    fuzz_check(strstr(s->error, TOKEN) == NULL
               && strstr(s->error, TEXT) == NULL);
    fuzz_check(media_utf8_count(s->error, strlen(s->error)) >= 0);
    fuzz_check(media_utf8_count(s->error_code, strlen(s->error_code)) >= 0);

    (void) cloudapi_media_unknown(ans);

    free(s);
    free(ans);

    return 0;
}
