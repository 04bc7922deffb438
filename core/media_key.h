/*
 * Copyright (C) ngx_media contributors
 *
 * Object keys: how they are made, and which ones are accepted.
 *
 *     chat/{tenant}/{conversation}/{hash8}_{safe_filename}
 *     {key}_thumb.jpg, {key}_thumb.webp
 *     {key}_preview.jpg                   until there is a thumbnail
 *     profile_pics/{tenant}/{phone}.jpg
 *     webhooks/{id}                       large webhook bodies, short-lived
 */

#ifndef MEDIA_KEY_H
#define MEDIA_KEY_H

#include "media_core.h"


#define MEDIA_KEY_MAX        1024       /* bytes; S3's limit */
#define MEDIA_KEY_NAME_MAX   120        /* bytes of a safe file name */
#define MEDIA_KEY_UUID_LEN   36


/*
 * Makes a file name ASCII and harmless: the last component of a path, only
 * alphanumerics . _ -, other bytes become one '_' a run, no leading dot, at
 * most MEDIA_KEY_NAME_MAX bytes with the extension kept.  An empty result
 * becomes "file".  Writes a terminating zero.  Returns the length or
 * MEDIA_NOSPACE.
 */
ssize_t media_key_safe_name(char *dst, size_t size, media_str_t name);

/*
 * The key of an attachment; id is its UUID, whose first 8 hex digits are
 * hash8, so that a repeated job writes the same object.  Components other
 * than name must be [A-Za-z0-9_-]+.  Writes a terminating zero.  Returns the
 * length, MEDIA_NOSPACE, or MEDIA_ERROR for a bad component.
 */
ssize_t media_key_attachment(char *dst, size_t size, media_str_t tenant,
    media_str_t conversation, media_str_t id, media_str_t name);

/* the extension: "jpg", or "webp" of what has transparency */
ssize_t media_key_thumb(char *dst, size_t size, media_str_t key,
    const char *extension);

/* of what came with the message, by the attachment's key */
ssize_t media_key_preview(char *dst, size_t size, media_str_t key);
/* whether it is one */
int media_key_is_preview(media_str_t key);

/* phone: digits only (canonical) */
ssize_t media_key_profile_pic(char *dst, size_t size, media_str_t tenant,
    media_str_t phone);

/*
 * MEDIA_OK if a key may be asked of S3: 1..1024 bytes, no NUL or control
 * byte, no empty, "." or ".." component, no leading '/'.  Else MEDIA_ERROR.
 */
int media_key_check(media_str_t key);

/*
 * The tenant that a key belongs to: the second component of chat/, and
 * profile_pics/ keys that pass media_key_check(); empty for all others, which
 * no tenant may read (uploads/ is the quarantine, webhooks/ are bodies).
 */
media_str_t media_key_tenant(media_str_t key);

/*
 * Takes the key out of an object's full URL, path style or virtual-host
 * style, percent-encoded.  endpoint is "http[s]://host[:port]".  The query of
 * a presigned GET is ignored, any other is refused, and so are a fragment,
 * userinfo, another host or bucket, and what after ONE decoding still has a
 * '%', is no UTF-8 or is refused by media_key_check().  Writes the decoded
 * key and a zero.  Returns its length, MEDIA_NOSPACE or MEDIA_ERROR.
 */
ssize_t media_key_from_url(char *dst, size_t size, media_str_t url,
    media_str_t endpoint, media_str_t bucket);

/*
 * The same of a URL below base, "http[s]://host[:port]/path/", or of a path
 * below base, "/path/".  Any query is refused.
 */
ssize_t media_key_from_base(char *dst, size_t size, media_str_t url,
    media_str_t base);

/* Writes a name-based UUID (RFC 9562, version 8 over SHA-256) and a zero. */
void media_key_uuid(char dst[MEDIA_KEY_UUID_LEN + 1], media_str_t name);

#endif
