
/*
 * Copyright (C) ngx_media contributors
 */


#include "ngx_media_amqp_frame.h"


#define NGX_MEDIA_AMQP_END            0xce

#define NGX_MEDIA_AMQP_HEADER_MIN     14    /* class, weight, size, flags */

/* property flags, in the order of their values */
#define NGX_MEDIA_AMQP_CONTENT_TYPE   0x8000
#define NGX_MEDIA_AMQP_HEADERS        0x2000
#define NGX_MEDIA_AMQP_DELIVERY_MODE  0x1000
#define NGX_MEDIA_AMQP_PRIORITY       0x0800
#define NGX_MEDIA_AMQP_MESSAGE_ID     0x0080


static uint32_t ngx_media_amqp_frame_uint32(const uint8_t *p);
static size_t ngx_media_amqp_frame_property(unsigned flag, const uint8_t *p,
    size_t len);


ssize_t
ngx_media_amqp_frame_next(ngx_media_amqp_frame_t *frame, const uint8_t *p,
    size_t len, size_t max)
{
    size_t  size;

    if (len < NGX_MEDIA_AMQP_FRAME_HEAD) {
        return 0;
    }

    size = ngx_media_amqp_frame_uint32(p + 3);

    if (max < NGX_MEDIA_AMQP_FRAME_EXTRA
        || size > max - NGX_MEDIA_AMQP_FRAME_EXTRA)
    {
        return -1;
    }

    if (len < size + NGX_MEDIA_AMQP_FRAME_EXTRA) {
        return 0;
    }

    if (p[NGX_MEDIA_AMQP_FRAME_HEAD + size] != NGX_MEDIA_AMQP_END) {
        return -1;
    }

    frame->type = p[0];
    frame->channel = (unsigned) p[1] << 8 | p[2];
    frame->payload = p + NGX_MEDIA_AMQP_FRAME_HEAD;
    frame->len = size;

    return (ssize_t) (size + NGX_MEDIA_AMQP_FRAME_EXTRA);
}


static uint32_t
ngx_media_amqp_frame_uint32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];
}


uint8_t *
ngx_media_amqp_frame_open(uint8_t *p, unsigned type, unsigned channel,
    size_t len)
{
    *p++ = (uint8_t) type;
    *p++ = (uint8_t) (channel >> 8);
    *p++ = (uint8_t) channel;
    *p++ = (uint8_t) (len >> 24);
    *p++ = (uint8_t) (len >> 16);
    *p++ = (uint8_t) (len >> 8);
    *p++ = (uint8_t) len;

    return p;
}


uint8_t *
ngx_media_amqp_frame_close(uint8_t *p)
{
    *p++ = NGX_MEDIA_AMQP_END;

    return p;
}


uint32_t
ngx_media_amqp_frame_method(const ngx_media_amqp_frame_t *frame)
{
    return frame->len < 4 ? 0 : ngx_media_amqp_frame_uint32(frame->payload);
}


ssize_t
ngx_media_amqp_frame_message_id(const ngx_media_amqp_frame_t *frame,
    const uint8_t **id)
{
    size_t          n, len;
    unsigned        flag, flags;
    const uint8_t  *p;

    if (frame->len < NGX_MEDIA_AMQP_HEADER_MIN) {
        return -1;
    }

    p = frame->payload + NGX_MEDIA_AMQP_HEADER_MIN;
    len = frame->len - NGX_MEDIA_AMQP_HEADER_MIN;
    flags = (unsigned) p[-2] << 8 | p[-1];

    if (!(flags & NGX_MEDIA_AMQP_MESSAGE_ID)) {
        return -1;
    }

    for (flag = NGX_MEDIA_AMQP_CONTENT_TYPE;
         flag > NGX_MEDIA_AMQP_MESSAGE_ID;
         flag >>= 1)
    {
        if (!(flags & flag)) {
            continue;
        }

        n = ngx_media_amqp_frame_property(flag, p, len);
        if (n == 0) {
            return -1;
        }

        p += n;
        len -= n;
    }

    if (len == 0 || len - 1 < p[0]) {
        return -1;
    }

    *id = p + 1;

    return p[0];
}


/* the bytes that a property takes, 0 if there are fewer */

static size_t
ngx_media_amqp_frame_property(unsigned flag, const uint8_t *p, size_t len)
{
    size_t  n;

    if (flag == NGX_MEDIA_AMQP_DELIVERY_MODE
        || flag == NGX_MEDIA_AMQP_PRIORITY)
    {
        n = 1;

    } else if (flag == NGX_MEDIA_AMQP_HEADERS) {
        if (len < 4) {
            return 0;
        }

        n = 4 + (size_t) ngx_media_amqp_frame_uint32(p);

    } else {
        if (len < 1) {
            return 0;
        }

        n = 1 + (size_t) p[0];
    }

    return n <= len ? n : 0;
}
