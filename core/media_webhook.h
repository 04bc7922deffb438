/*
 * Copyright (C) ngx_media contributors
 *
 * Analysis of provider webhooks into one normalised form.  Bodies are read as
 * a stream; each item (message, status, contact update ...) is handed to a
 * callback, and a batch of thousands costs at most 16 MiB: items wait until
 * what describes them is known (Evolution's sender stands after data), or
 * until that bound is reached.  Unknown shapes become items of kind "other",
 * never an error; only what is not JSON is one.
 *
 * The vocabulary of type, and what each member holds by provider, is in
 * docs/messages.md.  Strings are valid UTF-8 and may hold U+0000, but raw may
 * not.  message_id may be empty, chat and sender as well.
 */

#ifndef MEDIA_WEBHOOK_H
#define MEDIA_WEBHOOK_H

#include "media_core.h"


typedef enum {
    MEDIA_PROVIDER_UNKNOWN = 0,     /* detect from the body */
    MEDIA_PROVIDER_EVOLUTION,
    MEDIA_PROVIDER_WAPI,
    MEDIA_PROVIDER_CLOUDAPI
} media_provider_t;


typedef enum {
    MEDIA_ITEM_MESSAGE = 0,
    MEDIA_ITEM_STATUS,
    MEDIA_ITEM_CONTACT,
    MEDIA_ITEM_CONNECTION,
    MEDIA_ITEM_OTHER
} media_item_kind_t;


/* ordered by rank: a status never goes back, except to failed or deleted */
typedef enum {
    MEDIA_STATUS_NONE = 0,
    MEDIA_STATUS_PENDING,
    MEDIA_STATUS_SENT,
    MEDIA_STATUS_DELIVERED,
    MEDIA_STATUS_READ,
    MEDIA_STATUS_PLAYED,
    MEDIA_STATUS_FAILED,
    MEDIA_STATUS_DELETED
} media_status_t;


#define MEDIA_MISSING_MAX  4


/*
 * The media of a message.  Byte fields (sha256, enc_sha256, media_key,
 * waveform, thumbnail) are decoded bytes; absent fields are empty strings,
 * absent numbers -1.
 */
typedef struct {
    media_str_t  type;          /* image video audio document sticker */
    media_str_t  key_type;      /* mediaType for media_decrypt_info(): image
                                   video ptv gif audio ptt document sticker */
    media_str_t  mimetype;
    media_str_t  file_name;
    media_str_t  caption;
    media_str_t  title;
    int64_t      file_length;
    media_str_t  sha256;
    media_str_t  enc_sha256;
    media_str_t  media_key;
    int64_t      media_key_timestamp;
    media_str_t  direct_path;
    media_str_t  url;           /* as it came */
    media_str_t  media_url;     /* Evolution's S3 copy (mediaUrl) */
    media_str_t  id;            /* Cloud API media id */
    int64_t      width;
    int64_t      height;
    int64_t      seconds;
    int64_t      page_count;
    media_str_t  waveform;
    media_str_t  thumbnail;     /* jpegThumbnail, a JPEG */

    /* place in the body of an inline base64 copy: the raw text between its
       quotes, where "/" may be written "\/"; -1: none */
    int64_t      base64_offset;
    int64_t      base64_length;

    /*
     * Decryption fields that are absent though needed (C024), by name:
     * mediaKey directPath fileSha256 fileEncSha256; a url does not stand in
     * for directPath here.  Nothing is missing of files that are not
     * encrypted: the Cloud API's (id), copies without any of these fields
     * (base64, mediaUrl), and channels' (@newsletter without fileEncSha256),
     * of which directPath is named if there is no url either.
     */
    const char  *missing[MEDIA_MISSING_MAX];
    unsigned     nmissing;

    unsigned     ptt:1;
    unsigned     has_ptt:1;     /* the body said something about it */
    unsigned     is_animated:1;
    unsigned     has_animated:1;
    unsigned     view_once:1;
    unsigned     decryptable:1; /* media_key and enc_sha256, of 32 bytes each,
                                   and a place to fetch from are there */
} media_webhook_media_t;


typedef struct {
    media_provider_t   provider;
    media_str_t        instance;    /* Evolution name, W-API instanceId, Cloud
                                       API phone_number_id */
    media_str_t        event;       /* provider's event or field name */

    media_item_kind_t  kind;
    media_str_t        message_id;
    media_str_t        chat;        /* canonical: digits, or ...@g.us, @lid,
                                       @newsletter, @broadcast */
    media_str_t        chat_raw;
    media_str_t        chat_alt;    /* the same chat's other address (LID), if
                                       both are known, canonical */
    media_str_t        sender;      /* canonical */
    media_str_t        sender_raw;
    media_str_t        sender_name;
    media_str_t        type;        /* text image ... reaction unknown; of a
                                       connection: open close connecting
                                       refused */
    media_str_t        text;        /* body, caption, reaction emoji, name of
                                       a location ... */
    int64_t            timestamp;   /* unix seconds, -1 if absent */
    media_status_t     status;
    media_str_t        reply_to;    /* id of the quoted message */
    media_str_t        target_id;   /* message a reaction, edit or revoke is
                                       about; Evolution's edits have no id
                                       of their own: it is message_id too */
    double             latitude;    /* location */
    double             longitude;
    media_str_t        address;
    media_str_t        profile_pic_url;     /* the chat's picture: of contacts,
                                               and of W-API's messages */
    media_str_t        error_code;  /* failed status */
    media_str_t        error_text;
    media_str_t        callback_data;   /* of a status: what the Cloud API was
                                           given with the message */
    media_str_t        pricing;     /* of a status: the Cloud API's category */

    unsigned           from_me:1;
    unsigned           from_api:1;  /* sent through the provider's API */
    unsigned           is_group:1;
    unsigned           has_location:1;

    const media_webhook_media_t  *media;    /* NULL if none */

    /* the item's own JSON, rewritten compactly: for message "metadata" and
       for "other"; without base64, apikey and strings above 16 KiB, bytes
       as base64 */
    media_str_t        raw;
} media_webhook_item_t;


typedef struct media_webhook_s  media_webhook_t;


/* item and what it points to live until the callback returns; 0 stops */
typedef int (*media_webhook_item_pt)(void *data,
    const media_webhook_item_t *item);


/*
 * Begins one body.  provider UNKNOWN detects it from the envelope.
 * Returns NULL if out of memory.
 */
media_webhook_t *media_webhook_create(media_provider_t provider,
    media_webhook_item_pt item, void *data);

/*
 * MEDIA_OK; MEDIA_ERROR: not JSON or nested deeper than 64; MEDIA_NOSPACE:
 * one item is larger than 16 MiB; MEDIA_DENIED: the callback stopped it
 */
int media_webhook_feed(media_webhook_t *wh, const char *s, size_t len);
int media_webhook_finish(media_webhook_t *wh);

/* what the envelope said; valid after media_webhook_finish() */
media_provider_t media_webhook_provider(const media_webhook_t *wh);
media_str_t media_webhook_instance(const media_webhook_t *wh);
const char *media_webhook_error(const media_webhook_t *wh);

void media_webhook_free(media_webhook_t *wh);

/* "evolution", "wapi", "cloudapi", "unknown"; and back */
const char *media_provider_name(media_provider_t provider);
media_provider_t media_provider_by_name(media_str_t name);
const char *media_item_kind_name(media_item_kind_t kind);
const char *media_status_name(media_status_t status);

/*
 * Canonical form of an address: device suffix removed; people
 * ("...@s.whatsapp.net", "...@c.us", "+55 (11) ...") become digits, and
 * Brazilian mobile numbers of 12 digits (55, area code, 8 digits beginning
 * with 6..9) get the ninth digit; groups, LIDs, newsletters and broadcasts
 * keep their domain.  Writes a zero.  Returns the length or MEDIA_NOSPACE.
 */
ssize_t media_address_canonical(char *dst, size_t size, media_str_t raw);

#endif
