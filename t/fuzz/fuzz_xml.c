/*
 * Copyright (C) ngx_media contributors
 *
 * The XML that S3 clients send, by the elements that are looked for in it;
 * and any text that is written as XML, which must come back.
 */

#include "fuzz.h"
#include "stub.h"

#include "ngx_http_media.h"


static void check_elements(ngx_str_t in, const char *outer,
    const char *inner);
static void check_written(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char       *copy;
    ngx_str_t   in;

    copy = fuzz_copy(data, size);
    in.data = (u_char *) copy;
    in.len = size;

    check_elements(in, "Part", "ETag");
    check_elements(in, "Object", "Key");
    free(copy);

    check_written(data, size);
    stub_free();

    return 0;
}


static void
check_elements(ngx_str_t in, const char *outer, const char *inner)
{
    u_char     *start, *last;
    ngx_int_t   rc;
    ngx_str_t   element, text;

    last = in.data + in.len;

    for ( ;; ) {
        start = in.data;
        rc = ngx_http_media_store_xml_next(&in, outer, &element);

        fuzz_check(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_ERROR);

        if (rc != NGX_OK) {
            return;
        }

        fuzz_check(in.data > start && in.data + in.len == last);
        fuzz_check(element.data > start
                   && element.data + element.len < in.data);

        if (ngx_http_media_store_xml_next(&element, inner, &text) == NGX_OK) {
            text.data = (u_char *) memcpy(ngx_pnalloc(NULL, text.len),
                                          text.data, text.len);
            (void) ngx_http_media_store_xml_unescape(&text);
        }
    }
}


static void
check_written(const uint8_t *data, size_t size)
{
    ngx_str_t                     value, in, inner;
    ngx_http_media_store_text_t   t;

    if (size && memchr(data, '\0', size) != NULL) {
        return;
    }

    memset(&t, 0, sizeof(t));
    value.data = (u_char *) data;
    value.len = size;

    ngx_http_media_store_xml(&t, "Key", &value);
    fuzz_check(!t.failed);

    in.data = t.start;
    in.len = t.last - t.start;

    fuzz_check(ngx_http_media_store_xml_next(&in, "Key", &inner) == NGX_OK);
    fuzz_check(in.len == 0);
    fuzz_check(ngx_http_media_store_xml_unescape(&inner) == NGX_OK);
    fuzz_check(inner.len == size && memcmp(inner.data, data, size) == 0);
}
