/*
 * Copyright (C) ngx_media contributors
 *
 * The reader of multipart/form-data; the first line of the input is the
 * Content-Type.  The same parts however a form is cut.
 */

#include "fuzz.h"
#include "media_codec.h"
#include "media_form.h"


#define PARTS  4
#define FIELD  64


typedef struct {
    uint64_t  sum;
    unsigned  parts;
    size_t    field;            /* bytes of the part */
    unsigned  open:1;
    unsigned  file:1;
} reader_t;


static int on_begin(void *data, const media_form_part_t *part);
static int on_piece(void *data, const char *p, size_t len);
static int on_end(void *data);


static const media_form_handler_t  handler = { on_begin, on_piece, on_end };


static int
run(reader_t *reader, fuzz_cut_t cut, media_str_t type, media_str_t body)
{
    int                  rc;
    char                *copy;
    size_t               n, done;
    uint64_t             seed;
    media_form_t         form;
    media_form_limits_t  limits = { PARTS, FIELD };

    memset(reader, 0, sizeof(reader_t));
    reader->sum = seed = FUZZ_SUM;

    copy = fuzz_copy(type.data, type.len);
    media_str_set(&type, copy, type.len);
    rc = media_form_init(&form, type, &limits, &handler, reader);
    fuzz_check(rc != MEDIA_OK || media_form_type(type));
    free(copy);

    for (done = 0; done < body.len && rc == MEDIA_OK; done += n) {
        n = fuzz_piece(cut, &seed, (const uint8_t *) body.data + done,
                       body.len - done);
        copy = fuzz_copy(body.data + done, n);
        rc = media_form_feed(&form, copy, n);

        if (rc != MEDIA_OK) {
            fuzz_check(media_form_feed(&form, copy, n) == MEDIA_ERROR);
            fuzz_check(media_form_finish(&form) == MEDIA_ERROR);
        }

        free(copy);
    }

    if (rc == MEDIA_OK) {
        rc = media_form_finish(&form);
        fuzz_check(rc != MEDIA_OK || !reader->open);
    }

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          rc;
    uint64_t     sum;
    reader_t     reader;
    fuzz_cut_t   cut;
    media_str_t  type, body;

    media_str_set(&body, (const char *) data, size);
    type = fuzz_cut(&body, '\n');

    rc = run(&reader, FUZZ_WHOLE, type, body);
    sum = reader.sum;

    for (cut = FUZZ_BYTES; cut < FUZZ_CUTS; cut++) {
        fuzz_check(run(&reader, cut, type, body) == rc);
        fuzz_check(reader.sum == sum || rc != MEDIA_OK);
    }

    return 0;
}


static int
on_begin(void *data, const media_form_part_t *part)
{
    reader_t  *reader = data;

    fuzz_check(!reader->open && ++reader->parts <= PARTS);
    fuzz_check(part->file || part->file_name.len == 0);
    fuzz_check(part->file_name.len <= MEDIA_DISPOSITION_NAME_MAX);
    fuzz_check(part->file_name.len == 0
               || media_utf8_count(part->file_name.data, part->file_name.len)
                  >= 0);
    fuzz_check(part->name.len == 0
               || memchr(part->name.data, '\n', part->name.len) == NULL);

    fuzz_str(&reader->sum, part->name);
    fuzz_str(&reader->sum, part->file_name);
    fuzz_str(&reader->sum, part->type);
    fuzz_number(&reader->sum, part->file);

    reader->open = 1;
    reader->file = part->file;
    reader->field = 0;

    return MEDIA_OK;
}


static int
on_piece(void *data, const char *p, size_t len)
{
    reader_t  *reader = data;

    fuzz_check(reader->open);
    reader->field += len;
    fuzz_check(reader->file || reader->field <= FIELD);
    fuzz_bytes(&reader->sum, p, len);

    return MEDIA_OK;
}


static int
on_end(void *data)
{
    reader_t  *reader = data;

    fuzz_check(reader->open);
    reader->open = 0;
    fuzz_number(&reader->sum, (int64_t) reader->field);

    return MEDIA_OK;
}
