/*
 * Copyright (C) ngx_media contributors
 *
 * Content-Disposition and Content-Type of a stored object.  The input: a
 * disposition, a type and a key, each on a line.  What is written holds in a
 * header, names the same file when it is read again, and never shows what the
 * stored one said to save.
 */

#include <strings.h>

#include "fuzz.h"
#include "media_codec.h"
#include "media_disposition.h"


static void check_text(const char *s, size_t len);
static void check_name(const char *name, size_t len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         *copy, name[MEDIA_DISPOSITION_NAME_MAX];
    char          again[MEDIA_DISPOSITION_NAME_MAX];
    char          compact[MEDIA_DISPOSITION_COMPACT_MAX];
    char          text[MEDIA_DISPOSITION_MAX];
    size_t        n, len, written;
    media_str_t   in, stored, type, key, s;

    copy = fuzz_copy(data, size);
    media_str_set(&in, copy, size);
    stored = fuzz_cut(&in, '\n');
    type = fuzz_cut(&in, '\n');
    key = in;

    n = media_disposition_name(name, stored);
    check_name(name, n);

    len = media_disposition_compact(compact, stored);
    fuzz_check(len <= sizeof(compact));
    check_text(compact, len);

    media_str_set(&s, compact, len);
    fuzz_check(media_disposition_name(again, s) == n
               && memcmp(again, name, n) == 0);

    written = media_disposition_format(text, stored, key, type);
    fuzz_check(written > 0 && written <= sizeof(text));
    check_text(text, written);

    fuzz_check(strncmp(text, "inline", 6) != 0
               || media_disposition_inline(type));
    fuzz_check(stored.len < 10
               || strncasecmp(stored.data, "attachment", 10) != 0
               || strncmp(text, "attachment", 10) == 0);

    if (n > 0) {
        media_str_set(&s, text, written);
        fuzz_check(media_disposition_name(again, s) == n
                   && memcmp(again, name, n) == 0);
    }

    fuzz_check(!media_disposition_inline(type)
               || media_disposition_type_check(type) == MEDIA_OK);

    free(copy);

    return 0;
}


/* of a header */
static void
check_text(const char *s, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        fuzz_check((unsigned char) s[i] >= 0x20 && s[i] != 0x7f);
    }
}


static void
check_name(const char *name, size_t len)
{
    fuzz_check(len <= MEDIA_DISPOSITION_NAME_MAX);

    if (len > 0) {
        check_text(name, len);
        fuzz_check(media_utf8_count(name, len) >= 0);
        fuzz_check(name[0] != '.');
        fuzz_check(memchr(name, '/', len) == NULL
                   && memchr(name, '\\', len) == NULL);
    }
}
