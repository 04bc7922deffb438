/*
 * Copyright (C) ngx_media contributors
 *
 * The check values of the catalogue of parametrised CRC algorithms, and the
 * same sums over pieces of every size.
 */

#include "media_crc.h"
#include "test.h"


static const struct {
    const char        *name;
    media_crc_kind_t   kind;
    size_t             len;
    const char        *text;
    uint64_t           sum;
} crc_cases[] = {
    { "crc32", MEDIA_CRC32, 4, "123456789", UINT64_C(0xcbf43926) },
    { "crc32 of nothing", MEDIA_CRC32, 4, "", 0 },
    { "crc32c", MEDIA_CRC32C, 4, "123456789", UINT64_C(0xe3069283) },
    { "crc32c of nothing", MEDIA_CRC32C, 4, "", 0 },
    { "crc64nvme", MEDIA_CRC64NVME, 8, "123456789",
      UINT64_C(0xae8b14860a799888) },
    { "crc64nvme of nothing", MEDIA_CRC64NVME, 8, "", 0 }
};


static uint64_t
crc_of(media_crc_kind_t kind, const char *text, size_t piece, size_t *len)
{
    size_t         i, n, rest;
    uint64_t       sum;
    media_crc_t    crc;
    unsigned char  bytes[MEDIA_CRC_MAX];

    media_crc_init(&crc, kind);

    for (rest = strlen(text); rest > 0; rest -= n) {
        n = rest < piece ? rest : piece;
        media_crc_update(&crc, text, n);
        text += n;
    }

    media_crc_final(&crc, bytes);
    *len = crc.len;

    for (i = 0, sum = 0; i < crc.len; i++) {
        sum = sum << 8 | bytes[i];
    }

    return sum;
}


int
main(void)
{
    size_t    i, piece, len;
    uint64_t  sum;

    for (i = 0; i < sizeof(crc_cases) / sizeof(crc_cases[0]); i++) {
        for (piece = 1; piece <= 10; piece++) {
            sum = crc_of(crc_cases[i].kind, crc_cases[i].text, piece, &len);

            ok(sum == crc_cases[i].sum, "%s, pieces of %zu: %llx",
               crc_cases[i].name, piece, (unsigned long long) sum);
            ok(len == crc_cases[i].len, "%s: length", crc_cases[i].name);
        }
    }

    return test_done();
}
