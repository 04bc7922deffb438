/*
 * Copyright (C) ngx_media contributors
 *
 * MIME policy: which types are taken, how large they may be, how long they
 * are cached.  The defaults are requirements C002-C005 and C125; each is
 * configurable by media_mime_set().
 */

#ifndef MEDIA_MIME_H
#define MEDIA_MIME_H

#include "media_core.h"


typedef enum {
    MEDIA_CATEGORY_OTHER = 0,
    MEDIA_CATEGORY_IMAGE,
    MEDIA_CATEGORY_AUDIO,
    MEDIA_CATEGORY_DOCUMENT,
    MEDIA_CATEGORY_VIDEO,
    MEDIA_CATEGORY_STICKER,
    MEDIA_CATEGORY_PROFILE_PIC,
    MEDIA_CATEGORY_MAX
} media_category_t;


#define MEDIA_MIME_TYPES_MAX  64        /* types of one category */
#define MEDIA_MIME_TEXT_MAX   2048      /* bytes of one category's list */


typedef struct {
    int64_t      max_size;              /* bytes */
    int64_t      ttl;                   /* seconds; 0: never expires */
    size_t       ntypes;
    media_str_t  types[MEDIA_MIME_TYPES_MAX];   /* lower case, no parameters */
    char         text[MEDIA_MIME_TEXT_MAX];     /* what types point into once
                                                   media_mime_set() changed
                                                   them */
} media_mime_rule_t;


typedef struct {
    media_mime_rule_t  rules[MEDIA_CATEGORY_MAX];
} media_mime_policy_t;


/*
 * Fills in the defaults: image 10 MiB (jpeg png gif webp heic heif), audio
 * 16 MiB, document 25 MiB, video 50 MiB, sticker 1 MiB (image/webp,
 * application/was), profile_pic 5 MiB; ttl 604800, 259200, 86400, 604800,
 * 604800, 0.  OTHER takes no type, ttl 86400.
 */
void media_mime_defaults(media_mime_policy_t *policy);

/* an assignment would leave dst's types in src, once they were set */
void media_mime_copy(media_mime_policy_t *dst,
    const media_mime_policy_t *src);

/*
 * Sets one property of a category: "max_size" (bytes, suffix k, m or g),
 * "ttl" (seconds, suffix s m h d), "types" (space or comma separated).
 * Returns MEDIA_OK or MEDIA_ERROR.
 */
int media_mime_set(media_mime_policy_t *policy, media_category_t category,
    const char *property, media_str_t value);

/* "image" ... "profile_pic", "other" */
const char *media_category_name(media_category_t category);
media_category_t media_category_by_name(media_str_t name);

/*
 * The category of a MIME type by its top-level type and the document list
 * (parameters and case ignored).  Known documents and all that is neither
 * image, audio nor video is DOCUMENT, the empty string OTHER.
 */
media_category_t media_category_by_mime(media_str_t mime);

/* 1 if the policy takes this type in this category (parameters ignored) */
int media_mime_allowed(const media_mime_policy_t *policy,
    media_category_t category, media_str_t mime);

/*
 * 1 if two types name the same format: equal after aliases are folded
 * (audio/x-wav = audio/wav, audio/x-m4a = audio/mp4, video/mp4 holding only
 * audio as audio/mp4, application/encrypted for docx, text/plain for csv,
 * application/octet-stream as declared type matches anything ...).
 */
int media_mime_matches(media_str_t declared, media_str_t detected);

/* The usual extension without dot ("jpg", "ogg", "pdf"), or "bin". */
const char *media_mime_extension(media_str_t mime);

/* The category of an object key: profile_pics/ by prefix, else by extension. */
media_category_t media_category_by_key(media_str_t key);

#endif
