/*
 * Copyright (C) ngx_media contributors
 *
 * What the streams of objects of a PDF expand to: the document is the input.
 * It is refused with a reason, or it is not; and so it is with a name that is
 * escaped in full.
 */

#include <stdarg.h>

#include "fuzz.h"

#include "../../worker/decoder_pdf_check.c"


#define EXPANSION   (1024 * 1024)
#define DELIMITERS  "\t\n\f\r ()<>[]{}%#"       /* with zero */
#define KEPT        "/abdejmnorst"      /* letters of keywords */


static bool check(const char *data, size_t size, decoder_answer_t *ans);
static size_t escape(char *dst, const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool               ok, again;
    char              *copy, *escaped;
    size_t             len;
    decoder_answer_t   ans, other;

    copy = fuzz_copy(data, size);
    ok = check(copy, size, &ans);
    free(copy);

    escaped = malloc(3 * size + 1);
    fuzz_check(escaped != NULL);
    len = escape(escaped, data, size);
    copy = fuzz_copy(escaped, len);
    free(escaped);
    again = check(copy, len, &other);
    free(copy);

    fuzz_check(again == ok && strcmp(ans.error, other.error) == 0);

    return 0;
}


static bool
check(const char *data, size_t size, decoder_answer_t *ans)
{
    bool  ok;

    memset(ans, 0, sizeof(decoder_answer_t));
    ok = decoder_pdf_check(data, size, EXPANSION, ans);

    fuzz_check(ok == !ans->expands);
    fuzz_check(ok == (ans->error[0] == '\0'));
    fuzz_check(ans->verdict == (ok ? DECODER_OK : DECODER_REFUSED));

    return ok;
}


/* names up to the first stream, behind which a slash may be anything; what is
   a keyword within one stays */
static size_t
escape(char *dst, const uint8_t *data, size_t size)
{
    bool         name;
    size_t       n, i;
    const char  *p;

    n = 0;
    name = false;
    p = memmem(data, size, "stream", 6);

    for (i = 0; i < size; i++) {

        if (p != NULL && (const char *) data + i >= p) {
            dst[n++] = (char) data[i];
            continue;
        }

        name = data[i] == '/' || (name && strchr(DELIMITERS, data[i]) == NULL);

        if (name && strchr(KEPT, data[i]) == NULL) {
            n += (size_t) sprintf(dst + n, "#%02X", data[i]);

        } else {
            dst[n++] = (char) data[i];
        }
    }

    return n;
}


bool
decoder_fail(decoder_answer_t *ans, decoder_verdict_t verdict,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(ans->error, sizeof(ans->error), fmt, args);
    va_end(args);
    ans->verdict = verdict;

    return false;
}
