/*
 * Copyright (C) ngx_media contributors
 *
 * Range of a client and Content-Range of S3.  The input: the object's size,
 * then a value of each, on a line.  What is understood lies within the object
 * and, written anew, means the same.
 */

#include "fuzz.h"
#include "stub.h"

#include "ngx_http_media.h"


#define RANGES  8


static void check_range(off_t total, media_str_t value);
static void check_content_range(media_str_t value);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    off_t        total;
    size_t       i;
    media_str_t  in, line;

    if (size > 4096 || memchr(data, '\0', size) != NULL) {
        return 0;
    }

    media_str_set(&in, (const char *) data, size);
    line = fuzz_cut(&in, '\n');
    total = 0;

    for (i = 0; i < line.len && i < 18; i++) {
        total = total * 10 + (line.data[i] & 0x0f) % 10;
    }

    check_range(total, fuzz_cut(&in, '\n'));
    check_content_range(in);
    stub_free();

    return 0;
}


static ngx_int_t
parse(ngx_array_t *ranges, off_t total, const char *value)
{
    ngx_table_elt_t      header;
    ngx_http_request_t   r;

    memset(&r, 0, sizeof(r));
    memset(&header, 0, sizeof(header));
    header.value.data = (u_char *) value;
    header.value.len = strlen(value);
    r.headers_in.range = &header;

    return ngx_http_media_range_parse(&r, total, RANGES, ranges);
}


/* as headers are: a zero follows */
static char *
zero_ended(const char *prefix, media_str_t s)
{
    char    *p;
    size_t   n;

    n = strlen(prefix);
    p = malloc(n + s.len + 1);
    fuzz_check(p != NULL);

    memcpy(p, prefix, n);

    if (s.len) {
        memcpy(p + n, s.data, s.len);
    }

    p[n + s.len] = '\0';

    return p;
}


static void
check_range(off_t total, media_str_t value)
{
    char                    *text, again[RANGES * 48], *p;
    off_t                    sum;
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_array_t              ranges, same;
    ngx_http_media_range_t  *range, *second;

    text = zero_ended("bytes=", value);
    rc = parse(&ranges, total, text);
    free(text);

    fuzz_check(rc == NGX_OK || rc == NGX_DECLINED
               || rc == NGX_HTTP_RANGE_NOT_SATISFIABLE);
    fuzz_check(ranges.nelts <= RANGES);
    fuzz_check(rc != NGX_OK || ranges.nelts > 1);

    range = ranges.elts;
    p = again + sprintf(again, "bytes=");
    sum = 0;

    for (i = 0; i < ranges.nelts; i++) {
        fuzz_check(range[i].start >= 0 && range[i].start < range[i].end
                   && range[i].end <= total);

        sum += range[i].end - range[i].start;
        p += sprintf(p, "%s%lld-%lld", i ? ", " : "",
                     (long long) range[i].start,
                     (long long) range[i].end - 1);
    }

    if (rc != NGX_OK) {
        return;
    }

    fuzz_check(sum <= total);
    fuzz_check(parse(&same, total, again) == NGX_OK);
    fuzz_check(same.nelts == ranges.nelts);

    second = same.elts;

    for (i = 0; i < ranges.nelts; i++) {
        fuzz_check(second[i].start == range[i].start
                   && second[i].end == range[i].end);
    }
}


static void
check_content_range(media_str_t value)
{
    char                *text;
    off_t                start, end, total, size;
    ngx_int_t            rc;
    ngx_table_elt_t      header;
    ngx_http_request_t   r;

    text = zero_ended("", value);

    memset(&r, 0, sizeof(r));
    memset(&header, 0, sizeof(header));
    header.value.data = (u_char *) text;
    header.value.len = value.len;
    r.headers_out.status = NGX_HTTP_PARTIAL_CONTENT;
    r.headers_out.content_range = &header;

    rc = ngx_http_media_range_content(&r, &start, &end, &total);

    fuzz_check(rc != NGX_OK
               || (start >= 0 && start < end && end <= total));
    fuzz_check(ngx_http_media_range_size(&r, &size, &total) != NGX_OK
               || (rc == NGX_OK && start == 0 && size == end));

    free(text);
}
