/*
 * Copyright (C) ngx_media contributors
 *
 * The JSON reader: the same events however the text is cut, places that
 * point at the strings, and a writer whose text reads as what was written.
 */

#include "fuzz.h"
#include "media_json.h"


#define DEPTH   16
#define STRING  32


typedef struct {
    const char    *text;
    size_t         size;
    media_json_t  *json;
    uint64_t       sum;
    unsigned       depth;
    unsigned       pieces:1;        /* long strings in pieces */
    unsigned       strings:1;       /* only ours, one */
} reader_t;


static int on_null(void *data);
static int on_boolean(void *data, int value);
static int on_number(void *data, const char *s, size_t len);
static int on_string(void *data, const char *s, size_t len);
static int on_key(void *data, const char *s, size_t len);
static int on_start(void *data);
static int on_end(void *data);
static int on_piece(void *data, const char *s, size_t len);
static int on_long(void *data, uint64_t offset, uint64_t len);
static void check_written(media_str_t s);
static int on_written(void *data, const char *s, size_t len);


static int
run(reader_t *reader, fuzz_cut_t cut, const uint8_t *data, size_t size)
{
    int                   rc;
    char                 *copy;
    size_t                n, done;
    uint64_t              seed;
    media_json_limits_t   limits = { DEPTH, STRING };
    media_json_handler_t  handler = {
        .null = on_null,
        .boolean = on_boolean,
        .number = on_number,
        .string = on_string,
        .start_map = on_start,
        .map_key = on_key,
        .end_map = on_end,
        .start_array = on_start,
        .end_array = on_end,
        .long_string = on_long
    };

    if (reader->pieces) {
        handler.long_piece = on_piece;
    }

    reader->text = (const char *) data;
    reader->size = size;
    reader->sum = FUZZ_SUM;
    reader->depth = 0;
    reader->json = media_json_create(&handler, &limits, reader);
    fuzz_check(reader->json != NULL);

    rc = MEDIA_OK;
    seed = FUZZ_SUM;

    for (done = 0; done < size && rc == MEDIA_OK; done += n) {
        n = fuzz_piece(cut, &seed, data + done, size - done);
        copy = fuzz_copy(data + done, n);
        rc = media_json_feed(reader->json, copy, n);
        free(copy);
    }

    if (rc == MEDIA_OK) {
        rc = media_json_finish(reader->json);
    }

    fuzz_check((rc == MEDIA_OK)
               == (media_json_error(reader->json)[0] == '\0'));
    media_json_free(reader->json);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          rc, whole;
    uint64_t     sum;
    reader_t     reader;
    fuzz_cut_t   cut;
    media_str_t  text;
    unsigned     pieces;

    memset(&reader, 0, sizeof(reader));

    for (pieces = 0; pieces < 2; pieces++) {
        reader.pieces = pieces & 1;
        whole = run(&reader, FUZZ_WHOLE, data, size);
        sum = reader.sum;
        fuzz_check(whole != MEDIA_OK || reader.depth == 0);

        for (cut = FUZZ_BYTES; cut < FUZZ_CUTS; cut++) {
            rc = run(&reader, cut, data, size);
            fuzz_check(rc == whole);
            fuzz_check(rc != MEDIA_OK || reader.sum == sum);
        }
    }

    media_str_set(&text, (const char *) data, size);
    check_written(text);

    return 0;
}


static int
on_null(void *data)
{
    reader_t  *reader = data;

    fuzz_number(&reader->sum, 'n');

    return 1;
}


static int
on_boolean(void *data, int value)
{
    reader_t  *reader = data;

    fuzz_number(&reader->sum, value ? 't' : 'f');

    return 1;
}


static int
on_number(void *data, const char *s, size_t len)
{
    reader_t  *reader = data;

    fuzz_check(len > 0 && len <= MEDIA_JSON_TOKEN_MAX);
    fuzz_number(&reader->sum, (int64_t) len);
    fuzz_bytes(&reader->sum, s, len);

    return 1;
}


/* a place is between two quotes, and holds the text unless it has escapes */
static void
check_place(reader_t *reader, const char *s, size_t len)
{
    uint64_t     offset, n;
    const char  *p;

    media_json_place(reader->json, &offset, &n);

    fuzz_check(offset > 0 && offset + n < reader->size);
    p = reader->text + offset;
    fuzz_check(p[-1] == '"' && p[n] == '"');
    fuzz_check(memchr(p, '\\', n) != NULL
               || (n == len && memcmp(p, s, n) == 0));

    fuzz_number(&reader->sum, (int64_t) offset);
}


static int
on_string(void *data, const char *s, size_t len)
{
    reader_t  *reader = data;

    fuzz_check(len <= STRING);
    check_place(reader, s, len);
    fuzz_number(&reader->sum, 's');
    fuzz_bytes(&reader->sum, s, len);

    return 1;
}


static int
on_key(void *data, const char *s, size_t len)
{
    reader_t  *reader = data;

    fuzz_check(len <= MEDIA_JSON_KEY_MAX);
    check_place(reader, s, len);
    fuzz_number(&reader->sum, 'k');
    fuzz_bytes(&reader->sum, s, len);

    return 1;
}


static int
on_start(void *data)
{
    reader_t  *reader = data;

    reader->depth++;
    fuzz_check(reader->depth <= DEPTH);
    fuzz_number(&reader->sum, '[');

    return 1;
}


static int
on_end(void *data)
{
    reader_t  *reader = data;

    fuzz_check(reader->depth > 0);
    reader->depth--;
    fuzz_number(&reader->sum, ']');

    return 1;
}


/* of any length: only their bytes count */
static int
on_piece(void *data, const char *s, size_t len)
{
    reader_t  *reader = data;

    fuzz_bytes(&reader->sum, s, len);

    if (len == 0) {
        fuzz_number(&reader->sum, 'l');
    }

    return 1;
}


static int
on_long(void *data, uint64_t offset, uint64_t len)
{
    reader_t  *reader = data;

    fuzz_check(!reader->pieces && len > STRING);
    fuzz_check(offset + len < reader->size
               && reader->text[offset - 1] == '"'
               && reader->text[offset + len] == '"');
    fuzz_number(&reader->sum, (int64_t) offset);
    fuzz_number(&reader->sum, (int64_t) len);

    return 1;
}


static void
check_written(media_str_t s)
{
    int                   rc;
    char                 *text;
    size_t                size;
    ssize_t               n;
    media_str_t           expected;
    media_json_t         *json;
    media_json_limits_t   limits = { 1, SIZE_MAX };
    media_json_handler_t  handler = { .string = on_written };

    size = 6 * s.len;
    text = fuzz_copy("", 0);
    text = realloc(text, size + 2);
    fuzz_check(text != NULL);

    text[0] = '"';
    n = media_json_write(text + 1, size, s);
    fuzz_check(n >= 0 && (size_t) n <= size);
    text[n + 1] = '"';

    if (n > 0) {
        fuzz_check(media_json_write(text + 1, (size_t) n - 1, s)
                   == MEDIA_NOSPACE);
        fuzz_check(media_json_write(text + 1, (size_t) n, s) == n);
        text[n + 1] = '"';
    }

    expected = s;
    json = media_json_create(&handler, &limits, &expected);
    fuzz_check(json != NULL);
    rc = media_json_feed(json, text, (size_t) n + 2);
    rc = rc == MEDIA_OK ? media_json_finish(json) : rc;
    media_json_free(json);
    free(text);

    /* on_written() has compared */
    fuzz_check(rc == MEDIA_OK || rc == MEDIA_ERROR);
}


static int
on_written(void *data, const char *s, size_t len)
{
    media_str_t  *expected = data;

    fuzz_check(len == expected->len && memcmp(s, expected->data, len) == 0);

    return 1;
}
