/*
 * Copyright (C) ngx_media contributors
 *
 * WhatsApp media decryption, streaming.  body = AES-256-CBC-PKCS7 ciphertext
 * followed by the first 10 bytes of HMAC-SHA256(macKey, iv || ciphertext);
 * iv, cipherKey and macKey come from HKDF-SHA256 (RFC 5869) of the message's
 * mediaKey with an info string per media type.
 */

#ifndef MEDIA_DECRYPT_H
#define MEDIA_DECRYPT_H

#include "media_core.h"


#define MEDIA_DECRYPT_KEY_LEN   32
#define MEDIA_DECRYPT_HASH_LEN  32
#define MEDIA_DECRYPT_MAC_LEN   10

/* room that out needs beyond the input's length */
#define MEDIA_DECRYPT_SLACK     64


/* error classes, in the order in which they are decided */
#define MEDIA_DECRYPT_BAD_MEDIA_KEY          (-20)
#define MEDIA_DECRYPT_BAD_ENC_LENGTH         (-21)
#define MEDIA_DECRYPT_ENC_SHA256_MISMATCH    (-22)
#define MEDIA_DECRYPT_MAC_MISMATCH           (-23)
#define MEDIA_DECRYPT_BAD_PADDING            (-24)
#define MEDIA_DECRYPT_PLAIN_SHA256_MISMATCH  (-25)


typedef struct media_decrypt_s  media_decrypt_t;


/*
 * The HKDF info string for a mediaType name ("image", "ptt", "sticker",
 * "thumbnail-image", "md-msg-hist" ...), or NULL if the type is unknown.
 */
const char *media_decrypt_info(media_str_t type);

/*
 * Begins a file.  info is from media_decrypt_info(); with info NULL the body
 * is plain text (channels: no fileEncSha256) and only sha256 is checked.
 * sha256 and enc_sha256 are MEDIA_DECRYPT_HASH_LEN bytes each, or empty if
 * not known.  On success *ctx is the caller's, for media_decrypt_free().
 *
 * Returns MEDIA_OK, MEDIA_DECRYPT_BAD_MEDIA_KEY (not 32 bytes), or
 * MEDIA_ERROR (a hash of another length, no memory).
 */
int media_decrypt_create(media_decrypt_t **ctx, const char *info,
    media_str_t media_key, media_str_t sha256, media_str_t enc_sha256);

/*
 * Takes len bytes of the body and writes what is decided of the plain text:
 * at most len + MEDIA_DECRYPT_SLACK bytes.  Nothing written may be published
 * before media_decrypt_finish() has returned MEDIA_OK.  Returns the number of
 * bytes written, or MEDIA_ERROR (libcrypto failed).
 */
ssize_t media_decrypt_update(media_decrypt_t *ctx, void *out, const void *in,
    size_t len);

/*
 * Ends the file, writes the last bytes (at most MEDIA_DECRYPT_SLACK) and
 * their number, and checks all: MEDIA_OK or the first failing class above.
 */
int media_decrypt_finish(media_decrypt_t *ctx, void *out, size_t *len);

/* SHA-256 of the plain text, after media_decrypt_finish() */
const unsigned char *media_decrypt_sha256(const media_decrypt_t *ctx);

/* frees and wipes; NULL is allowed */
void media_decrypt_free(media_decrypt_t *ctx);

/* "bad_media_key" ... "plain_sha256_mismatch" */
const char *media_decrypt_error(int rc);

#endif
