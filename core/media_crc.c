/*
 * Copyright (C) ngx_media contributors
 */

#include "media_crc.h"


/*
 * A table of one byte per CRC, made anew for each use: core/ keeps no state,
 * and it takes a microsecond.
 */

static const struct {
    uint64_t  polynomial;               /* reflected */
    size_t    len;
} media_crc_kinds[] = {
    { UINT64_C(0xedb88320),         4 },
    { UINT64_C(0x82f63b78),         4 },
    { UINT64_C(0x9a6c9329ac4bc9b5), 8 }
};


void
media_crc_init(media_crc_t *crc, media_crc_kind_t kind)
{
    unsigned  i, bit;
    uint64_t  value;

    for (i = 0; i < 256; i++) {
        value = i;

        for (bit = 0; bit < 8; bit++) {
            value = (value >> 1)
                    ^ (value & 1 ? media_crc_kinds[kind].polynomial : 0);
        }

        crc->table[i] = value;
    }

    crc->len = media_crc_kinds[kind].len;
    crc->value = crc->len == 4 ? UINT32_MAX : UINT64_MAX;
}


void
media_crc_update(media_crc_t *crc, const void *data, size_t len)
{
    uint64_t              value;
    const unsigned char  *p, *last;

    value = crc->value;
    p = data;
    last = p + len;

    while (p < last) {
        value = crc->table[(value ^ *p++) & 0xff] ^ (value >> 8);
    }

    crc->value = value;
}


void
media_crc_final(const media_crc_t *crc, unsigned char *dst)
{
    size_t    i;
    uint64_t  value;

    value = ~crc->value;

    for (i = 0; i < crc->len; i++) {
        dst[i] = (unsigned char) (value >> (8 * (crc->len - 1 - i)));
    }
}
