/*
 * Copyright (C) ngx_media contributors
 *
 * The CRCs that S3 knows as checksums: all reflected, all begun and ended
 * with ones.  CRC-32 (ISO-HDLC), CRC-32C (RFC 3720, appendix B.4) and
 * CRC-64/NVME (NVM Express NVM Command Set Specification 1.0d, 5.2.1.3.4).
 */

#ifndef MEDIA_CRC_H
#define MEDIA_CRC_H

#include "media_core.h"


#define MEDIA_CRC_MAX  8                /* bytes of the longest result */


typedef enum {
    MEDIA_CRC32 = 0,
    MEDIA_CRC32C,
    MEDIA_CRC64NVME
} media_crc_kind_t;


typedef struct {
    uint64_t  value;
    size_t    len;                      /* bytes of the result: 4 or 8 */
    uint64_t  table[256];
} media_crc_t;


void media_crc_init(media_crc_t *crc, media_crc_kind_t kind);
void media_crc_update(media_crc_t *crc, const void *data, size_t len);

/* Writes crc->len bytes, the most significant first. */
void media_crc_final(const media_crc_t *crc, unsigned char *dst);

#endif
