/*
 * Copyright (C) ngx_media contributors
 *
 * The head of a cache entry, which anybody with access to Redis may have
 * written: what is accepted is what the encoder writes, byte by byte, and
 * nothing in it can break a response header.
 */

#include "fuzz.h"
#include "media_entry.h"


static void check_string(media_str_t s, const unsigned char *head);
static void encode(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_entry_t   entry;
    unsigned char  *copy, head[MEDIA_ENTRY_HEAD];

    copy = (unsigned char *) fuzz_copy(data, size);

    if (media_entry_decode(&entry, copy, size) == MEDIA_OK) {
        check_string(entry.content_type, copy);
        check_string(entry.etag, copy);
        check_string(entry.disposition, copy);
        fuzz_check(entry.length >= 0 && entry.last_modified >= -1);

        fuzz_check(media_entry_encode(head, &entry) == MEDIA_OK);
        fuzz_check(memcmp(head, copy, MEDIA_ENTRY_HEAD) == 0);
    }

    free(copy);
    encode(data, size);

    return 0;
}


static void
check_string(media_str_t s, const unsigned char *head)
{
    size_t       i;
    const char  *p;

    p = (const char *) head;
    fuzz_check(s.data >= p && s.data + s.len <= p + MEDIA_ENTRY_HEAD);

    for (i = 0; i < s.len; i++) {
        fuzz_check((unsigned char) s.data[i] >= 0x20 && s.data[i] != 0x7f);
    }
}


/* three lines become an entry; if they may be in one, they come back */
static void
encode(const uint8_t *data, size_t size)
{
    size_t          i;
    media_str_t     in;
    media_entry_t   entry, read;
    unsigned char   head[MEDIA_ENTRY_HEAD];

    for (i = 0; i < size; i++) {
        if ((data[i] < 0x20 && data[i] != '\n') || data[i] == 0x7f) {
            return;
        }
    }

    media_str_set(&in, (const char *) data, size);
    entry.content_type = fuzz_cut(&in, '\n');
    entry.etag = fuzz_cut(&in, '\n');
    entry.disposition = fuzz_cut(&in, '\n');
    entry.length = (int64_t) size;
    entry.last_modified = (int64_t) size - 1;

    if (media_entry_encode(head, &entry) != MEDIA_OK) {
        return;
    }

    fuzz_check(media_entry_decode(&read, head, sizeof(head)) == MEDIA_OK);
    fuzz_check(read.length == entry.length
               && read.last_modified == entry.last_modified);
    fuzz_check(read.etag.len == entry.etag.len
               && read.content_type.len == entry.content_type.len
               && read.disposition.len == entry.disposition.len);
    fuzz_check(memcmp(read.disposition.data, entry.disposition.data,
                      entry.disposition.len) == 0);
}
