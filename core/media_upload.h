/*
 * Copyright (C) ngx_media contributors
 * Uploads: what may be uploaded, under which keys, and the token that carries
 * it from the issue of a presigned URL to its completion.
 *     {key id}.{claims, base64url}.{signature, base64url}
 * The claims are one flat JSON object, which is also what the worker is told
 * (docs/messages.md); the signature is HMAC-SHA256 over "upload-token-1\n"
 * and the claims' base64url text.
 */

#ifndef MEDIA_UPLOAD_H
#define MEDIA_UPLOAD_H

#include <time.h>

#include "media_core.h"
#include "media_key.h"
#include "media_mime.h"
#include "media_sign.h"


#define MEDIA_UPLOAD_NAME_MAX     255       /* bytes of file_name, UTF-8 */
#define MEDIA_UPLOAD_TYPE_MAX     99        /* bytes of file_type */
#define MEDIA_UPLOAD_CAPTION      1024      /* characters; and in bytes: */
#define MEDIA_UPLOAD_CAPTION_MAX  4096
#define MEDIA_UPLOAD_CLAIMS_MAX   16384     /* bytes of the JSON */
#define MEDIA_UPLOAD_TOKEN_MAX    24576
#define MEDIA_UPLOAD_RATE         131072    /* bytes/s that a slow client has;
                                               a larger file gets more time */
#define MEDIA_UPLOAD_MULTIPART    86400     /* seconds that parts may take */
#define MEDIA_UPLOAD_GRACE        3600      /* seconds from the expiry of the
                                               URL to that of the token: a PUT
                                               that began in time may end */


/* what a file is sent as; the category decides over types and sizes */
typedef enum {
    MEDIA_KIND_NONE = 0,
    MEDIA_KIND_TEXT,
    MEDIA_KIND_LOCATION,
    MEDIA_KIND_IMAGE,
    MEDIA_KIND_AUDIO,
    MEDIA_KIND_VOICE,
    MEDIA_KIND_VIDEO,
    MEDIA_KIND_DOCUMENT,
    MEDIA_KIND_STICKER
} media_kind_t;


typedef enum {
    MEDIA_LANG_EN = 0,
    MEDIA_LANG_PT_BR,
    MEDIA_LANG_MAX
} media_lang_t;


/* why a request is refused; media_upload_error() has status and texts */
typedef enum {
    MEDIA_UPLOAD_OK = 0,
    MEDIA_UPLOAD_NO_FILE_NAME,          /* 400 ... */
    MEDIA_UPLOAD_BAD_FILE_NAME,         /* too long, not UTF-8, control bytes */
    MEDIA_UPLOAD_NO_FILE_TYPE,
    MEDIA_UPLOAD_BAD_FILE_TYPE,         /* no MIME type */
    MEDIA_UPLOAD_BAD_FILE_SIZE,         /* absent, not a number, < 1 */
    MEDIA_UPLOAD_BAD_CONVERSATION,      /* digits, 1..18 of them */
    MEDIA_UPLOAD_BAD_CAPTION,
    MEDIA_UPLOAD_NO_CAPTION,            /* of this kind */
    MEDIA_UPLOAD_BAD_KIND,              /* unknown, or not for this type */
    MEDIA_UPLOAD_NO_FILE,               /* of a form */
    MEDIA_UPLOAD_BAD_FORM,
    MEDIA_UPLOAD_TOO_LARGE,             /* 413 */
    MEDIA_UPLOAD_TYPE_NOT_ALLOWED,      /* 415 */
    MEDIA_UPLOAD_TOKEN_INVALID,         /* 422: malformed, tampered, of another
                                           tenant, signed by no key of ours */
    MEDIA_UPLOAD_TOKEN_EXPIRED,         /* 410 */
    MEDIA_UPLOAD_TOKEN_REUSED,          /* 409: completed with other fields */
    MEDIA_UPLOAD_FIELD_DIFFERS,         /* 422: not what the token says */
    MEDIA_UPLOAD_OBJECT_MISSING,        /* 409: nothing has been uploaded */
    MEDIA_UPLOAD_OBJECT_DIFFERS,        /* 422: other size or type */
    MEDIA_UPLOAD_PARTS_MISSING,         /* 409 */
    MEDIA_UPLOAD_KEY_REUSED,            /* 422: for another file, or other
                                           fields */
    MEDIA_UPLOAD_UNAVAILABLE,           /* 503: broker or S3 is away */
    MEDIA_UPLOAD_ERROR_MAX
} media_upload_error_t;


/* strings are the caller's, or point into the token's memory */
typedef struct {
    char          id[MEDIA_KEY_UUID_LEN + 1];       /* attachment */
    media_str_t   tenant;
    media_str_t   conversation;
    media_kind_t  kind;
    media_str_t   file_name;
    media_str_t   file_type;            /* as declared, lower case */
    int64_t       file_size;
    media_str_t   caption;
    char          upload_key[MEDIA_KEY_MAX];
    char          file_key[MEDIA_KEY_MAX];
    media_str_t   multipart_id;         /* S3's UploadId; empty: one PUT */
    int64_t       part_size;            /* 0: one PUT */
    time_t        issued;
    time_t        expires;              /* of the presigned URLs */
} media_upload_t;


const char *media_kind_name(media_kind_t kind);
media_kind_t media_kind_by_name(media_str_t name);
/* the category whose rule applies; OTHER for text and location */
media_category_t media_kind_category(media_kind_t kind);
/* image, audio, video or document */
media_kind_t media_kind_by_type(media_str_t type);

/* MEDIA_OK or MEDIA_ERROR: a conversation's row id; text of at most so many
   characters, without control bytes but \n, \r and \t */
int media_upload_conversation(media_str_t conversation);
int media_upload_text(media_str_t text, size_t characters);
/* MEDIA_UPLOAD_OK, _BAD_CAPTION or _NO_CAPTION: WhatsApp has captions of
   images, videos and documents (Meta, "Media messages") */
media_upload_error_t media_upload_caption(media_kind_t kind,
    media_str_t caption);

/*
 * Checks what the client said: name, type (which is in lower case already),
 * size, conversation, caption, and kind, which becomes that of the type if it
 * is NONE.  A document may be of any allowed type, a voice note is audio (or
 * what browsers record, audio/webm or video/webm), a sticker an image.
 * *limit is the number of bytes that were allowed if that was exceeded.
 */
media_upload_error_t media_upload_check(const media_mime_policy_t *policy,
    media_upload_t *u, int64_t *limit);

/*
 * Makes id (random, RFC 9562 version 4, unless there is one), upload_key and
 * file_key (the name gets the type's extension if it has none) of what was
 * checked, and expires: issued plus ttl, or file_size / MEDIA_UPLOAD_RATE if
 * that is longer, or MEDIA_UPLOAD_MULTIPART with part_size.  MEDIA_OK or
 * MEDIA_ERROR.
 */
int media_upload_make(media_upload_t *u, time_t issued, time_t ttl);

/* Writes the claims as a flat JSON object and a zero; the length,
   MEDIA_NOSPACE or MEDIA_ERROR. */
ssize_t media_upload_claims(char *dst, size_t size, const media_upload_t *u);

/* Writes the token and a zero; as above. */
ssize_t media_upload_token(char *dst, size_t size, const media_sign_key_t *k,
    media_str_t claims);

/*
 * Verifies a token (constant time) and reads its claims into buf, which u
 * points into; size must be that of the token.  tenant is the caller's.
 * MEDIA_UPLOAD_OK, _TOKEN_INVALID or _TOKEN_EXPIRED (then u is complete, too).
 */
media_upload_error_t media_upload_verify(media_upload_t *u, char *buf,
    size_t size, const media_sign_key_t *keys, size_t nkeys,
    media_str_t token, media_str_t tenant, time_t now);

/* The language of an Accept-Language value (RFC 9110, 12.5.4): pt-BR and pt
   by their weight against all others, which get English. */
media_lang_t media_upload_lang(media_str_t accept_language);

/*
 * HTTP status, and a code for programs ("file_too_large"); writes the text
 * for people, with limit in MB where one was exceeded, and a zero.
 * Portuguese: "Arquivo muito grande. Máximo: 10 MB", "Tipo de arquivo não
 * permitido" (C138, C255).
 */
unsigned media_upload_error(media_upload_error_t error, media_lang_t lang,
    int64_t limit, const char **code, char *text, size_t size);

#endif
