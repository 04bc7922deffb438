/*
 * Copyright (C) ngx_media contributors
 *
 * AMQP 0-9-1 frames (section 4.2.3 of the specification), pure functions
 * over bytes:
 *
 *     0      1         3             7                 size+7 size+8
 *     | type | channel | size        | payload           | 0xCE |
 */

#ifndef NGX_MEDIA_AMQP_FRAME_H
#define NGX_MEDIA_AMQP_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define NGX_MEDIA_AMQP_METHOD     1
#define NGX_MEDIA_AMQP_HEADER     2
#define NGX_MEDIA_AMQP_BODY       3
#define NGX_MEDIA_AMQP_HEARTBEAT  8

#define NGX_MEDIA_AMQP_FRAME_HEAD  7    /* bytes before the payload */
#define NGX_MEDIA_AMQP_FRAME_EXTRA 8    /* bytes around the payload */


typedef struct {
    unsigned        type;
    unsigned        channel;
    const uint8_t  *payload;
    size_t          len;
} ngx_media_amqp_frame_t;


/*
 * Reads the first frame of len bytes.  Returns its size, 0 if it is not
 * complete, or -1 if it is malformed or larger than max (its whole size).
 */
ssize_t ngx_media_amqp_frame_next(ngx_media_amqp_frame_t *frame,
    const uint8_t *p, size_t len, size_t max);

/* Writes the 7 bytes before a payload of len bytes; returns their end. */
uint8_t *ngx_media_amqp_frame_open(uint8_t *p, unsigned type,
    unsigned channel, size_t len);

/* Writes the end octet; returns the byte after it. */
uint8_t *ngx_media_amqp_frame_close(uint8_t *p);

/* The class and method of a method frame, 0 if it is too short. */
uint32_t ngx_media_amqp_frame_method(const ngx_media_amqp_frame_t *frame);

/*
 * The message-id of a content header.  Returns its length and sets *id, or
 * -1 if the header is malformed or has none.
 */
ssize_t ngx_media_amqp_frame_message_id(const ngx_media_amqp_frame_t *frame,
    const uint8_t **id);

#endif
