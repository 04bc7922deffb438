/*
 * Copyright (C) ngx_media contributors
 *
 * Signed media URLs: who has one may read one object until it expires.
 *
 *     {public url}{key}?expires={unix seconds}&key_id={id}&signature={b64url}
 *
 * The signature is HMAC-SHA256 over "media-url-1\n{expires}\n{key}", in
 * base64url without padding (RFC 4648, section 5); key is the object key,
 * decoded.
 */

#ifndef MEDIA_SIGN_H
#define MEDIA_SIGN_H

#include <time.h>

#include "media_core.h"


#define MEDIA_SIGN_LEN         43       /* characters of a signature */
#define MEDIA_SIGN_ID_MAX      32       /* of a key id: [A-Za-z0-9_-]+ */
#define MEDIA_SIGN_SECRET_MIN  32       /* bytes of a secret */

/* what is added to a URL at the most, the zero included */
#define MEDIA_SIGN_QUERY_MAX   160


typedef struct {
    media_str_t  id;
    media_str_t  secret;
} media_sign_key_t;


/* MEDIA_OK, or MEDIA_ERROR for a bad id or a secret that is too short. */
int media_sign_check(const media_sign_key_t *k);

/* Writes the signature, no zero.  MEDIA_OK or MEDIA_ERROR. */
int media_sign(char dst[MEDIA_SIGN_LEN], const media_sign_key_t *k,
    media_str_t key, time_t expires);

/*
 * Writes "?expires=...&key_id=...&signature=..." and a zero; returns its
 * length, MEDIA_NOSPACE or MEDIA_ERROR.
 */
ssize_t media_sign_query(char *dst, size_t size, const media_sign_key_t *k,
    media_str_t key, time_t expires);

/* MEDIA_OK if the signature is right (constant time); MEDIA_ERROR if not. */
int media_sign_verify(const media_sign_key_t *k, media_str_t key,
    time_t expires, media_str_t signature);

#endif
