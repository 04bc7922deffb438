/*
 * Copyright (C) ngx_media contributors
 *
 * AMQP frames against golden bytes and hostile ones.  The unit is part of
 * the module, but needs nothing of nginx.
 */

#include "../../ngx_media_module/ngx_media_amqp_frame.c"

#include <string.h>

#include "test.h"


#define MAX  4096


/* class 60, weight 0, size 2, content type, headers, mode 2, message id */
static const uint8_t  header[] =
    "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xb0\x80"
    "\x04json" "\x00\x00\x00\x03" "\x01kt" "\x02" "\x03" "abc";


static void
test_build(void)
{
    uint8_t  buf[16], *p;

    p = ngx_media_amqp_frame_open(buf, NGX_MEDIA_AMQP_HEARTBEAT, 0, 0);
    p = ngx_media_amqp_frame_close(p);

    ok(p - buf == 8 && memcmp(buf, "\x08\0\0\0\0\0\0\xce", 8) == 0,
       "heartbeat");

    p = ngx_media_amqp_frame_open(buf, NGX_MEDIA_AMQP_BODY, 0x102, 0x10203);

    ok(p - buf == 7 && memcmp(buf, "\x03\x01\x02\0\x01\x02\x03", 7) == 0,
       "head of a body frame");
}


static void
test_next(void)
{
    size_t                   len;
    ngx_media_amqp_frame_t   frame;

    /* confirm.select-ok, then the begin of another frame */
    static const uint8_t  in[] = "\x01\0\x01\0\0\0\x04\0\x55\0\x0b\xce\x01";

    for (len = 0; len < 12; len++) {
        ok(ngx_media_amqp_frame_next(&frame, in, len, MAX) == 0,
           "%zu bytes of a frame", len);
    }

    ok(ngx_media_amqp_frame_next(&frame, in, 13, MAX) == 12, "size");
    ok(frame.type == 1 && frame.channel == 1 && frame.len == 4, "fields");
    ok(ngx_media_amqp_frame_method(&frame) == 0x0055000b, "method");

    ok(ngx_media_amqp_frame_next(&frame, in, 13, 12) == 12, "max reached");
    ok(ngx_media_amqp_frame_next(&frame, in, 13, 11) == -1, "max exceeded");

    ok(ngx_media_amqp_frame_next(&frame,
           (const uint8_t *) "\x01\0\x01\0\0\0\x04\0\x55\0\x0b\xcd", 12, MAX)
       == -1, "no end octet");
    ok(ngx_media_amqp_frame_next(&frame,
           (const uint8_t *) "\x01\0\x01\xff\xff\xff\xff", 7, MAX)
       == -1, "huge size");

    frame.len = 3;
    ok(ngx_media_amqp_frame_method(&frame) == 0, "too short a method");
}


static void
test_message_id(void)
{
    uint8_t                 *copy;
    size_t                   len;
    const uint8_t           *id;
    ngx_media_amqp_frame_t   frame;

    memset(&frame, 0, sizeof(ngx_media_amqp_frame_t));

    /* each in memory of its exact size, for the sanitizer */

    for (len = 0; len < sizeof(header); len++) {
        copy = malloc(len ? len : 1);
        if (copy == NULL) {
            abort();
        }

        memcpy(copy, header, len);
        frame.payload = copy;
        frame.len = len;

        if (len == sizeof(header) - 1) {
            ok(ngx_media_amqp_frame_message_id(&frame, &id) == 3
               && memcmp(id, "abc", 3) == 0, "message id");

        } else {
            ok(ngx_media_amqp_frame_message_id(&frame, &id) == -1,
               "header cut to %zu bytes", len);
        }

        free(copy);
    }

    frame.payload = (const uint8_t *) "\0\x3c\0\0\0\0\0\0\0\0\0\x02\0\0";
    frame.len = 14;
    ok(ngx_media_amqp_frame_message_id(&frame, &id) == -1, "no message id");
}


int
main(void)
{
    test_build();
    test_next();
    test_message_id();

    return test_done();
}
