/*
 * Copyright (C) ngx_media contributors
 *
 * WhatsApp media decryption in one pass and constant memory.  Two things are
 * held back: the last bytes of the body, which may be its MAC, and the last
 * block of plain text, which may be padding.
 */

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "media_decrypt.h"


#define DECRYPT_BLOCK     16
#define DECRYPT_MIN       (DECRYPT_BLOCK + MEDIA_DECRYPT_MAC_LEN)
#define DECRYPT_EXPANDED  96            /* iv, cipherKey, macKey, and a rest */
#define DECRYPT_PIECE     65536         /* stays in the CPU's cache */


typedef struct {
    const char  *type;
    const char  *info;
} decrypt_type_t;


struct media_decrypt_s {
    EVP_CIPHER_CTX  *cipher;            /* NULL: the body is plain text */
    EVP_MD_CTX      *mac;
    EVP_MD_CTX      *enc;               /* NULL: fileEncSha256 not known */
    EVP_MD_CTX      *plain;
    uint64_t         total;             /* bytes of the body so far */
    size_t           nheld;
    unsigned char    held[DECRYPT_MIN];
    unsigned char    block[DECRYPT_BLOCK];
    unsigned char    sha256[MEDIA_DECRYPT_HASH_LEN];
    unsigned char    expected[MEDIA_DECRYPT_HASH_LEN];
    unsigned char    enc_expected[MEDIA_DECRYPT_HASH_LEN];
    unsigned         has_block:1;
    unsigned         has_expected:1;
};


static int decrypt_init_cipher(media_decrypt_t *ctx, const char *info,
    const char *media_key);
static int decrypt_expand(unsigned char *dst, const char *media_key,
    const char *info);
static EVP_MD_CTX *decrypt_digest(void);
static ssize_t decrypt_piece(media_decrypt_t *ctx, unsigned char *out,
    const unsigned char *in, size_t len);
static int decrypt_blocks(media_decrypt_t *ctx, unsigned char *out,
    const unsigned char *in, size_t len);
static int decrypt_check(media_decrypt_t *ctx);
static size_t decrypt_padding(const unsigned char *block);
static int decrypt_plain_hash(media_decrypt_t *ctx);


/* mediaType names of WhatsApp's clients */
static const decrypt_type_t  decrypt_types[] = {
    { "image", "WhatsApp Image Keys" },
    { "sticker", "WhatsApp Image Keys" },
    { "product", "WhatsApp Image Keys" },
    { "xma-image", "WhatsApp Image Keys" },
    { "video", "WhatsApp Video Keys" },
    { "gif", "WhatsApp Video Keys" },
    { "ptv", "WhatsApp Video Keys" },
    { "audio", "WhatsApp Audio Keys" },
    { "ptt", "WhatsApp Audio Keys" },
    { "document", "WhatsApp Document Keys" },
    { "thumbnail-image", "WhatsApp Image Thumbnail Keys" },
    { "thumbnail-video", "WhatsApp Video Thumbnail Keys" },
    { "thumbnail-gif", "WhatsApp Video Thumbnail Keys" },
    { "thumbnail-document", "WhatsApp Document Thumbnail Keys" },
    { "thumbnail-link", "WhatsApp Link Thumbnail Keys" },
    { "md-msg-hist", "WhatsApp History Keys" },
    { "md-app-state", "WhatsApp App State Keys" },
    { "sticker-pack", "WhatsApp Sticker Pack Keys" },
    { "thumbnail-sticker-pack", "WhatsApp Sticker Pack Thumbnail Keys" },
    { "payment-bg-image", "WhatsApp Payment Background Keys" },
    { "music-artwork", "WhatsApp Music Artwork Keys" }
};


const char *
media_decrypt_info(media_str_t type)
{
    size_t                 i;
    const decrypt_type_t  *t;

    for (i = 0; i < sizeof(decrypt_types) / sizeof(decrypt_types[0]); i++) {
        t = &decrypt_types[i];

        if (strlen(t->type) == type.len
            && memcmp(t->type, type.data, type.len) == 0)
        {
            return t->info;
        }
    }

    return NULL;
}


int
media_decrypt_create(media_decrypt_t **ctx, const char *info,
    media_str_t media_key, media_str_t sha256, media_str_t enc_sha256)
{
    media_decrypt_t  *d;

    if (info && media_key.len != MEDIA_DECRYPT_KEY_LEN) {
        return MEDIA_DECRYPT_BAD_MEDIA_KEY;
    }

    if ((sha256.len && sha256.len != MEDIA_DECRYPT_HASH_LEN)
        || (enc_sha256.len && enc_sha256.len != MEDIA_DECRYPT_HASH_LEN))
    {
        return MEDIA_ERROR;
    }

    d = calloc(1, sizeof(media_decrypt_t));
    if (d == NULL) {
        return MEDIA_ERROR;
    }

    if (sha256.len) {
        memcpy(d->expected, sha256.data, MEDIA_DECRYPT_HASH_LEN);
        d->has_expected = 1;
    }

    d->plain = decrypt_digest();
    if (d->plain == NULL) {
        goto failed;
    }

    if (info && enc_sha256.len) {
        memcpy(d->enc_expected, enc_sha256.data, MEDIA_DECRYPT_HASH_LEN);

        d->enc = decrypt_digest();
        if (d->enc == NULL) {
            goto failed;
        }
    }

    if (info && decrypt_init_cipher(d, info, media_key.data) != MEDIA_OK) {
        goto failed;
    }

    *ctx = d;

    return MEDIA_OK;

failed:

    media_decrypt_free(d);

    return MEDIA_ERROR;
}


static int
decrypt_init_cipher(media_decrypt_t *ctx, const char *info,
    const char *media_key)
{
    int            rc;
    EVP_PKEY      *pkey;
    unsigned char  keys[DECRYPT_EXPANDED];

    if (decrypt_expand(keys, media_key, info) != MEDIA_OK) {
        return MEDIA_ERROR;
    }

    rc = MEDIA_ERROR;

    ctx->cipher = EVP_CIPHER_CTX_new();
    ctx->mac = EVP_MD_CTX_new();
    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, keys + 48, 32);

    if (ctx->cipher && ctx->mac && pkey
        && EVP_DecryptInit_ex(ctx->cipher, EVP_aes_256_cbc(), NULL, keys + 16,
                              keys)
           == 1
        && EVP_CIPHER_CTX_set_padding(ctx->cipher, 0) == 1
        && EVP_DigestSignInit(ctx->mac, NULL, EVP_sha256(), NULL, pkey) == 1
        && EVP_DigestSignUpdate(ctx->mac, keys, DECRYPT_BLOCK) == 1)
    {
        rc = MEDIA_OK;
    }

    EVP_PKEY_free(pkey);
    OPENSSL_cleanse(keys, sizeof(keys));

    return rc;
}


/* HKDF-SHA256 without a salt; iv 0..15, cipherKey 16..47, macKey 48..79 */

static int
decrypt_expand(unsigned char *dst, const char *media_key, const char *info)
{
    int            rc;
    size_t         i, n, len;
    unsigned char  prk[EVP_MAX_MD_SIZE], md[EVP_MAX_MD_SIZE], text[32 + 64];

    static const unsigned char  salt[32];

    rc = MEDIA_ERROR;
    len = strlen(info);
    n = 0;

    if (HMAC(EVP_sha256(), salt, sizeof(salt),
             (const unsigned char *) media_key, MEDIA_DECRYPT_KEY_LEN, prk,
             NULL)
        == NULL)
    {
        return MEDIA_ERROR;
    }

    for (i = 0; i < DECRYPT_EXPANDED / 32; i++) {
        memcpy(text + n, info, len);
        text[n + len] = (unsigned char) (i + 1);

        if (HMAC(EVP_sha256(), prk, 32, text, n + len + 1, md, NULL)
            == NULL)
        {
            goto done;
        }

        memcpy(dst + 32 * i, md, 32);
        memcpy(text, md, 32);
        n = 32;
    }

    rc = MEDIA_OK;

done:

    OPENSSL_cleanse(prk, sizeof(prk));
    OPENSSL_cleanse(md, sizeof(md));
    OPENSSL_cleanse(text, sizeof(text));

    return rc;
}


static EVP_MD_CTX *
decrypt_digest(void)
{
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();

    if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(md);
        return NULL;
    }

    return md;
}


ssize_t
media_decrypt_update(media_decrypt_t *ctx, void *out, const void *in,
    size_t len)
{
    size_t                size;
    ssize_t               n;
    unsigned char        *p;
    const unsigned char  *s;

    p = out;

    for (s = in; len; s += size, len -= size) {
        size = len < DECRYPT_PIECE ? len : DECRYPT_PIECE;

        n = decrypt_piece(ctx, p, s, size);
        if (n < 0) {
            return MEDIA_ERROR;
        }

        p += n;
    }

    return p - (unsigned char *) out;
}


/*
 * What of held and in is cipher text for sure, in whole blocks, is decrypted
 * to out behind the block held back, and the last of those is held instead.
 */

static ssize_t
decrypt_piece(media_decrypt_t *ctx, unsigned char *out,
    const unsigned char *in, size_t len)
{
    size_t          n, ready, from_held;
    unsigned char  *p;

    ctx->total += len;

    if (ctx->cipher == NULL) {
        memcpy(out, in, len);
        return EVP_DigestUpdate(ctx->plain, in, len) == 1 ? (ssize_t) len
                                                          : MEDIA_ERROR;
    }

    if (ctx->enc && EVP_DigestUpdate(ctx->enc, in, len) != 1) {
        return MEDIA_ERROR;
    }

    ready = ctx->nheld + len;
    ready = ready < DECRYPT_MIN ? 0 : ready - MEDIA_DECRYPT_MAC_LEN;
    ready -= ready % DECRYPT_BLOCK;

    if (ready == 0) {
        memcpy(ctx->held + ctx->nheld, in, len);
        ctx->nheld += len;
        return 0;
    }

    p = out;

    if (ctx->has_block) {
        memcpy(p, ctx->block, DECRYPT_BLOCK);
        p += DECRYPT_BLOCK;
    }

    from_held = ctx->nheld < ready ? ctx->nheld : ready;

    if (decrypt_blocks(ctx, p, ctx->held, from_held) != MEDIA_OK
        || decrypt_blocks(ctx, p + from_held / DECRYPT_BLOCK * DECRYPT_BLOCK,
                          in, ready - from_held)
           != MEDIA_OK)
    {
        return MEDIA_ERROR;
    }

    ctx->nheld -= from_held;
    memmove(ctx->held, ctx->held + from_held, ctx->nheld);

    n = len - (ready - from_held);
    memcpy(ctx->held + ctx->nheld, in + (len - n), n);
    ctx->nheld += n;

    p += ready - DECRYPT_BLOCK;
    memcpy(ctx->block, p, DECRYPT_BLOCK);
    ctx->has_block = 1;

    n = (size_t) (p - out);

    return EVP_DigestUpdate(ctx->plain, out, n) == 1 ? (ssize_t) n
                                                     : MEDIA_ERROR;
}


/* the cipher keeps what is not a whole block, and puts it before the next */

static int
decrypt_blocks(media_decrypt_t *ctx, unsigned char *out,
    const unsigned char *in, size_t len)
{
    int  n;

    if (len == 0) {
        return MEDIA_OK;
    }

    if (EVP_DigestSignUpdate(ctx->mac, in, len) != 1
        || EVP_DecryptUpdate(ctx->cipher, out, &n, in, (int) len) != 1)
    {
        return MEDIA_ERROR;
    }

    return MEDIA_OK;
}


int
media_decrypt_finish(media_decrypt_t *ctx, void *out, size_t *len)
{
    int     rc;
    size_t  n;

    *len = 0;

    if (ctx->cipher) {
        rc = decrypt_check(ctx);
        if (rc != MEDIA_OK) {
            return rc;
        }

        n = decrypt_padding(ctx->block);
        if (n == 0) {
            return MEDIA_DECRYPT_BAD_PADDING;
        }

        n = DECRYPT_BLOCK - n;
        memcpy(out, ctx->block, n);

        if (EVP_DigestUpdate(ctx->plain, ctx->block, n) != 1) {
            return MEDIA_ERROR;
        }

        *len = n;
    }

    return decrypt_plain_hash(ctx);
}


/* length, fileEncSha256, MAC; a right length leaves just the MAC in held */

static int
decrypt_check(media_decrypt_t *ctx)
{
    size_t         n;
    unsigned char  md[EVP_MAX_MD_SIZE];

    if (ctx->total < DECRYPT_MIN
        || (ctx->total - MEDIA_DECRYPT_MAC_LEN) % DECRYPT_BLOCK != 0)
    {
        return MEDIA_DECRYPT_BAD_ENC_LENGTH;
    }

    if (ctx->enc) {
        if (EVP_DigestFinal_ex(ctx->enc, md, NULL) != 1) {
            return MEDIA_ERROR;
        }

        if (CRYPTO_memcmp(md, ctx->enc_expected, MEDIA_DECRYPT_HASH_LEN)
            != 0)
        {
            return MEDIA_DECRYPT_ENC_SHA256_MISMATCH;
        }
    }

    n = sizeof(md);

    if (EVP_DigestSignFinal(ctx->mac, md, &n) != 1) {
        return MEDIA_ERROR;
    }

    if (CRYPTO_memcmp(md, ctx->held, MEDIA_DECRYPT_MAC_LEN) != 0) {
        return MEDIA_DECRYPT_MAC_MISMATCH;
    }

    return MEDIA_OK;
}


/* the number of bytes that PKCS#7 padding takes, or 0 if it is wrong */

static size_t
decrypt_padding(const unsigned char *block)
{
    size_t  i, n;

    n = block[DECRYPT_BLOCK - 1];

    if (n == 0 || n > DECRYPT_BLOCK) {
        return 0;
    }

    for (i = DECRYPT_BLOCK - n; i < DECRYPT_BLOCK; i++) {
        if (block[i] != n) {
            return 0;
        }
    }

    return n;
}


static int
decrypt_plain_hash(media_decrypt_t *ctx)
{
    if (EVP_DigestFinal_ex(ctx->plain, ctx->sha256, NULL) != 1) {
        return MEDIA_ERROR;
    }

    if (ctx->has_expected
        && CRYPTO_memcmp(ctx->sha256, ctx->expected, MEDIA_DECRYPT_HASH_LEN)
           != 0)
    {
        return MEDIA_DECRYPT_PLAIN_SHA256_MISMATCH;
    }

    return MEDIA_OK;
}


const unsigned char *
media_decrypt_sha256(const media_decrypt_t *ctx)
{
    return ctx->sha256;
}


void
media_decrypt_free(media_decrypt_t *ctx)
{
    if (ctx == NULL) {
        return;
    }

    EVP_CIPHER_CTX_free(ctx->cipher);
    EVP_MD_CTX_free(ctx->mac);
    EVP_MD_CTX_free(ctx->enc);
    EVP_MD_CTX_free(ctx->plain);

    OPENSSL_cleanse(ctx, sizeof(media_decrypt_t));
    free(ctx);
}


const char *
media_decrypt_error(int rc)
{
    switch (rc) {

    case MEDIA_OK:
        return "ok";

    case MEDIA_DECRYPT_BAD_MEDIA_KEY:
        return "bad_media_key";

    case MEDIA_DECRYPT_BAD_ENC_LENGTH:
        return "bad_enc_length";

    case MEDIA_DECRYPT_ENC_SHA256_MISMATCH:
        return "enc_sha256_mismatch";

    case MEDIA_DECRYPT_MAC_MISMATCH:
        return "mac_mismatch";

    case MEDIA_DECRYPT_BAD_PADDING:
        return "bad_padding";

    case MEDIA_DECRYPT_PLAIN_SHA256_MISMATCH:
        return "plain_sha256_mismatch";

    default:
        return "internal_error";
    }
}
