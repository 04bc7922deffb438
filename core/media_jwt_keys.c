/*
 * Copyright (C) ngx_media contributors
 *
 * JWK sets (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
 */

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>

#include "media_jwt_int.h"


#define MEDIA_JWT_EC_LEN       32       /* bytes of a P-256 coordinate */
#define MEDIA_JWT_ED25519_LEN  32
#define MEDIA_JWT_RSA_E_MAX    8        /* bytes of a public exponent */


/* a JWK set that is being read */
typedef struct {
    media_jwt_object_t   object;        /* the key that is read */
    media_jwt_keys_t    *keys;
    char                *text;          /* of the object */
    size_t               size;
    unsigned             depth;
    unsigned             number;        /* of the key in the set */
    char                *error;
    unsigned             in:1;          /* the member "keys" */
    unsigned             seen:1;
    unsigned             active:1;      /* in a key */
} media_jwks_t;


static int media_jwks_read(media_jwks_t *p, media_str_t text);
static int media_jwks_fail(media_jwks_t *p, const char *what);
static int media_jwks_delegate(media_jwks_t *p, int rc);
static int media_jwks_scalar(media_jwks_t *p);
static int media_jwks_on_null(void *data);
static int media_jwks_on_boolean(void *data, int value);
static int media_jwks_on_number(void *data, const char *s, size_t len);
static int media_jwks_on_string(void *data, const char *s, size_t len);
static int media_jwks_on_map(void *data);
static int media_jwks_on_key(void *data, const char *s, size_t len);
static int media_jwks_on_map_end(void *data);
static int media_jwks_on_array(void *data);
static int media_jwks_on_array_end(void *data);

static int media_jwk_add(media_jwks_t *p);
static int media_jwk_kty(media_str_t kty);
static int media_jwk_family(media_str_t alg);
static int media_jwk_usable(media_jwks_t *p, int alg);
static int media_jwk_fill(media_jwks_t *p, media_jwt_key_t *key);
static int media_jwk_oct(media_jwks_t *p, media_jwt_key_t *key);
static int media_jwk_rsa(media_jwks_t *p, media_jwt_key_t *key);
static int media_jwk_ec(media_jwks_t *p, media_jwt_key_t *key);
static int media_jwk_okp(media_jwks_t *p, media_jwt_key_t *key);
static EVP_PKEY *media_jwk_pkey(const char *type, OSSL_PARAM_BLD *bld);


const char *const  media_jwt_algs[] = {
    "HS256", "RS256", "ES256", "EdDSA"
};


/* in the order of media_jwt_alg_t */
static const char *const  media_jwk_types[] = {
    "oct", "RSA", "EC", "OKP"
};


static const media_json_handler_t  media_jwks_handler = {
    media_jwks_on_null,
    media_jwks_on_boolean,
    media_jwks_on_number,
    media_jwks_on_string,
    media_jwks_on_map,
    media_jwks_on_key,
    media_jwks_on_map_end,
    media_jwks_on_array,
    media_jwks_on_array_end,
    NULL,
    NULL
};


media_jwt_keys_t *
media_jwt_keys_create(media_str_t text, char error[MEDIA_JWT_ERROR_MAX])
{
    int                rc;
    media_jwks_t      *p;
    media_jwt_keys_t  *keys;

    error[0] = '\0';

    if (text.len == 0 || text.len > MEDIA_JWT_KEYS_MAX) {
        snprintf(error, MEDIA_JWT_ERROR_MAX, "%s",
                 text.len == 0 ? "it is empty" : "it is too large");
        return NULL;
    }

    /* the text of a key is behind it */

    p = calloc(1, sizeof(media_jwks_t) + text.len);
    keys = calloc(1, sizeof(media_jwt_keys_t));

    if (p == NULL || keys == NULL) {
        free(p);
        free(keys);
        snprintf(error, MEDIA_JWT_ERROR_MAX, "no memory");
        return NULL;
    }

    p->text = (char *) (p + 1);
    p->keys = keys;
    p->size = text.len;
    p->error = error;

    rc = media_jwks_read(p, text);

    OPENSSL_cleanse(p->text, p->size);
    free(p);

    /* nginx takes what is left in OpenSSL's queue for its own */

    ERR_clear_error();

    if (rc != MEDIA_OK) {
        media_jwt_keys_free(keys);
        return NULL;
    }

    return keys;
}


int
media_jwt_keys_private(const media_jwt_keys_t *keys)
{
    return keys->private;
}


void
media_jwt_keys_free(media_jwt_keys_t *keys)
{
    size_t  i;

    if (keys == NULL) {
        return;
    }

    for (i = 0; i < keys->n; i++) {
        EVP_PKEY_free(keys->keys[i].pkey);

        if (keys->keys[i].secret != NULL) {
            OPENSSL_cleanse(keys->keys[i].secret, keys->keys[i].secret_len);
            free(keys->keys[i].secret);
        }

        free(keys->keys[i].kid);
    }

    free(keys->keys);
    free(keys);
}


static int
media_jwks_read(media_jwks_t *p, media_str_t text)
{
    int                  rc;
    media_json_t        *json;
    media_json_limits_t  limits;

    limits.depth = MEDIA_JWT_DEPTH_MAX;
    limits.string = p->size;

    json = media_json_create(&media_jwks_handler, &limits, p);

    if (json == NULL) {
        snprintf(p->error, MEDIA_JWT_ERROR_MAX, "no memory");
        return MEDIA_ERROR;
    }

    rc = media_json_feed(json, text.data, text.len);

    if (rc == MEDIA_OK) {
        rc = media_json_finish(json);
    }

    if (rc != MEDIA_OK && p->error[0] == '\0') {
        snprintf(p->error, MEDIA_JWT_ERROR_MAX, "it is not JSON: %s",
                 media_json_error(json));
    }

    media_json_free(json);

    if (rc != MEDIA_OK) {
        return MEDIA_ERROR;
    }

    if (!p->seen) {
        snprintf(p->error, MEDIA_JWT_ERROR_MAX,
                 "it has no \"keys\", write {\"keys\":[...]}");
        return MEDIA_ERROR;
    }

    if (p->keys->n == 0) {
        snprintf(p->error, MEDIA_JWT_ERROR_MAX,
                 "no key of it is for HS256, RS256, ES256 or EdDSA");
        return MEDIA_ERROR;
    }

    return MEDIA_OK;
}


/* callbacks end with what this returns: 0 */
static int
media_jwks_fail(media_jwks_t *p, const char *what)
{
    if (p->error[0] == '\0' && p->number > 0) {
        snprintf(p->error, MEDIA_JWT_ERROR_MAX, "key %u %s", p->number, what);

    } else if (p->error[0] == '\0') {
        snprintf(p->error, MEDIA_JWT_ERROR_MAX, "%s", what);
    }

    return 0;
}


static int
media_jwks_delegate(media_jwks_t *p, int rc)
{
    return rc ? 1 : media_jwks_fail(p, "has a member twice, or too many");
}


static int
media_jwks_scalar(media_jwks_t *p)
{
    if (p->depth == 0 || (p->depth <= 2 && p->in)) {
        return media_jwks_fail(p, "it is not a JWK set, "
                                  "write {\"keys\":[{...}]}");
    }

    return 1;
}


static int
media_jwks_on_null(void *data)
{
    media_jwks_t  *p = data;

    return p->active ? media_jwt_object_handler.null(&p->object)
                     : media_jwks_scalar(p);
}


static int
media_jwks_on_boolean(void *data, int value)
{
    (void) value;

    return media_jwks_on_null(data);
}


static int
media_jwks_on_number(void *data, const char *s, size_t len)
{
    media_jwks_t  *p = data;

    return p->active
           ? media_jwks_delegate(p,
                      media_jwt_object_handler.number(&p->object, s, len))
           : media_jwks_scalar(p);
}


static int
media_jwks_on_string(void *data, const char *s, size_t len)
{
    media_jwks_t  *p = data;

    return p->active
           ? media_jwks_delegate(p,
                      media_jwt_object_handler.string(&p->object, s, len))
           : media_jwks_scalar(p);
}


static int
media_jwks_on_map(void *data)
{
    media_jwks_t  *p = data;

    if (p->depth == 1 && p->in) {
        return media_jwks_scalar(p);
    }

    if (p->depth == 2 && p->in) {
        media_jwt_object_init(&p->object, 3, p->text, p->size);
        p->object.depth = 2;
        p->object.list = "key_ops";
        p->active = 1;
        p->number++;
    }

    p->depth++;

    return !p->active || media_jwt_object_handler.start_map(&p->object);
}


static int
media_jwks_on_key(void *data, const char *s, size_t len)
{
    media_str_t    name;
    media_jwks_t  *p = data;

    if (p->active) {
        return media_jwks_delegate(p,
                      media_jwt_object_handler.map_key(&p->object, s, len));
    }

    if (p->depth != 1) {
        return 1;
    }

    media_str_set(&name, s, len);
    p->in = media_jwt_equal(name, "keys");

    if (p->in && p->seen) {
        return media_jwks_fail(p, "it has \"keys\" twice");
    }

    p->seen |= p->in;

    return 1;
}


static int
media_jwks_on_map_end(void *data)
{
    media_jwks_t  *p = data;

    p->depth--;

    if (!p->active) {
        return 1;
    }

    (void) media_jwt_object_handler.end_map(&p->object);

    if (p->depth > 2) {
        return 1;
    }

    p->active = 0;

    return media_jwk_add(p) == MEDIA_OK;
}


static int
media_jwks_on_array(void *data)
{
    media_jwks_t  *p = data;

    if (p->depth == 0 || (p->depth == 2 && p->in)) {
        return media_jwks_scalar(p);
    }

    p->depth++;

    return !p->active || media_jwt_object_handler.start_array(&p->object);
}


static int
media_jwks_on_array_end(void *data)
{
    media_jwks_t  *p = data;

    p->depth--;

    if (p->depth == 1) {
        p->in = 0;
    }

    return !p->active || media_jwt_object_handler.end_array(&p->object);
}


static int
media_jwk_add(media_jwks_t *p)
{
    int               alg, rc;
    media_str_t       kty, kid;
    media_jwt_key_t  *key;

    if (media_jwt_object_string(&p->object, "kty", &kty) != MEDIA_OK) {
        media_jwks_fail(p, "has no \"kty\"");
        return MEDIA_ERROR;
    }

    alg = media_jwk_kty(kty);

    if (alg == MEDIA_JWT_HS256
        || media_jwt_object_get(&p->object, "d", 1) != NULL
        || media_jwt_object_get(&p->object, "k", 1) != NULL)
    {
        p->keys->private = 1;
    }

    rc = media_jwk_usable(p, alg);

    if (rc != MEDIA_OK) {
        return rc == MEDIA_DENIED ? MEDIA_OK : MEDIA_ERROR;
    }

    if (media_jwt_object_string(&p->object, "kid", &kid) == MEDIA_ERROR) {
        media_jwks_fail(p, "has a \"kid\" that is no string");
        return MEDIA_ERROR;
    }

    key = realloc(p->keys->keys,
                  (p->keys->n + 1) * sizeof(media_jwt_key_t));
    if (key == NULL) {
        media_jwks_fail(p, "found no memory");
        return MEDIA_ERROR;
    }

    p->keys->keys = key;
    key += p->keys->n;

    memset(key, 0, sizeof(media_jwt_key_t));
    key->alg = (media_jwt_alg_t) alg;

    rc = media_jwk_fill(p, key);

    if (rc != MEDIA_OK) {
        return rc == MEDIA_DENIED ? MEDIA_OK : MEDIA_ERROR;
    }

    p->keys->n++;

    if (media_jwt_object_get(&p->object, "kid", 3) == NULL) {
        return MEDIA_OK;
    }

    key->kid = malloc(kid.len + 1);
    if (key->kid == NULL) {
        media_jwks_fail(p, "found no memory");
        return MEDIA_ERROR;
    }

    memcpy(key->kid, kid.data, kid.len);
    key->kid_len = kid.len;

    return MEDIA_OK;
}


/* MEDIA_JWT_ALG_MAX for a type that is not ours */
static int
media_jwk_kty(media_str_t kty)
{
    int  i;

    for (i = 0; i < MEDIA_JWT_ALG_MAX; i++) {
        if (media_jwt_equal(kty, media_jwk_types[i])) {
            break;
        }
    }

    return i;
}


/* the key type that an algorithm is of, also one that is not ours */
static int
media_jwk_family(media_str_t alg)
{
    if (alg.len < 2) {
        return MEDIA_JWT_ALG_MAX;
    }

    if (memcmp(alg.data, "HS", 2) == 0) {
        return MEDIA_JWT_HS256;
    }

    if (memcmp(alg.data, "RS", 2) == 0 || memcmp(alg.data, "PS", 2) == 0) {
        return MEDIA_JWT_RS256;
    }

    if (memcmp(alg.data, "ES", 2) == 0) {
        return MEDIA_JWT_ES256;
    }

    if (memcmp(alg.data, "Ed", 2) == 0) {
        return MEDIA_JWT_EDDSA;
    }

    return MEDIA_JWT_ALG_MAX;
}


/* MEDIA_OK, MEDIA_DENIED: skipped, MEDIA_ERROR */
static int
media_jwk_usable(media_jwks_t *p, int alg)
{
    int                        family, rc;
    size_t                     i;
    media_str_t                value;
    const media_jwt_member_t  *m;

    if (alg == MEDIA_JWT_ALG_MAX) {
        return MEDIA_DENIED;
    }

    rc = media_jwt_object_string(&p->object, "alg", &value);

    if (rc == MEDIA_ERROR || media_jwt_equal(value, "none")) {
        media_jwks_fail(p, "has an \"alg\" that names no algorithm");
        return MEDIA_ERROR;
    }

    if (rc == MEDIA_OK) {
        family = media_jwk_family(value);

        if (family != MEDIA_JWT_ALG_MAX && family != alg) {
            media_jwks_fail(p, "has an \"alg\" that is not for its \"kty\"");
            return MEDIA_ERROR;
        }

        if (!media_jwt_equal(value, media_jwt_algs[alg])) {
            return MEDIA_DENIED;
        }
    }

    rc = media_jwt_object_string(&p->object, "use", &value);

    if (rc == MEDIA_ERROR
        || (rc == MEDIA_OK && !media_jwt_equal(value, "sig")))
    {
        return MEDIA_DENIED;
    }

    m = media_jwt_object_get(&p->object, "key_ops", 7);

    if (m == NULL) {
        return MEDIA_OK;
    }

    for (i = 0; i < p->object.n; i++) {
        if (p->object.members[i].type == MEDIA_JWT_ELEMENT
            && media_jwt_equal(p->object.members[i].value, "verify"))
        {
            return MEDIA_OK;
        }
    }

    return MEDIA_DENIED;
}


static int
media_jwk_fill(media_jwks_t *p, media_jwt_key_t *key)
{
    switch (key->alg) {

    case MEDIA_JWT_HS256:
        return media_jwk_oct(p, key);

    case MEDIA_JWT_RS256:
        return media_jwk_rsa(p, key);

    case MEDIA_JWT_ES256:
        return media_jwk_ec(p, key);

    default:
        return media_jwk_okp(p, key);
    }
}


static int
media_jwk_oct(media_jwks_t *p, media_jwt_key_t *key)
{
    ssize_t         n;
    media_str_t     k;
    unsigned char  *secret;

    if (media_jwt_object_string(&p->object, "k", &k) != MEDIA_OK) {
        media_jwks_fail(p, "of type oct has no \"k\"");
        return MEDIA_ERROR;
    }

    secret = malloc(k.len + 1);
    if (secret == NULL) {
        media_jwks_fail(p, "found no memory");
        return MEDIA_ERROR;
    }

    n = media_jwt_base64url(secret, k.len, k);

    if (n < MEDIA_JWT_SECRET_MIN) {
        OPENSSL_cleanse(secret, k.len);
        free(secret);
        media_jwks_fail(p, n < 0 ? "has a \"k\" that is not base64url"
                        : "of type oct has less than 32 bytes, "
                          "use \"openssl rand 32\" in base64url");
        return MEDIA_ERROR;
    }

    key->secret = secret;
    key->secret_len = (size_t) n;

    return MEDIA_OK;
}


static int
media_jwk_rsa(media_jwks_t *p, media_jwt_key_t *key)
{
    int              bits, odd;
    BIGNUM          *n, *e;
    ssize_t          nlen, elen;
    media_str_t      nstr, estr;
    unsigned char    nbuf[MEDIA_JWT_RSA_MAX / 8];
    unsigned char    ebuf[MEDIA_JWT_RSA_E_MAX];
    OSSL_PARAM_BLD  *bld;

    (void) media_jwt_object_string(&p->object, "n", &nstr);
    (void) media_jwt_object_string(&p->object, "e", &estr);

    nlen = media_jwt_base64url(nbuf, sizeof(nbuf), nstr);
    elen = media_jwt_base64url(ebuf, sizeof(ebuf), estr);

    if (nlen <= 0 || elen <= 0) {
        media_jwks_fail(p, "of type RSA has no \"n\" or \"e\", "
                           "or more than 8192 bits");
        return MEDIA_ERROR;
    }

    n = BN_bin2bn(nbuf, (int) nlen, NULL);
    e = BN_bin2bn(ebuf, (int) elen, NULL);
    bld = OSSL_PARAM_BLD_new();

    bits = n ? BN_num_bits(n) : 0;

    /* with an exponent of 1 any text would be its own signature */

    odd = n && e && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e);

    if (n && e && bld && odd && bits >= MEDIA_JWT_RSA_MIN
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n)
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e))
    {
        key->pkey = media_jwk_pkey("RSA", bld);
    }

    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);

    if (key->pkey == NULL) {
        media_jwks_fail(p, (odd && bits < MEDIA_JWT_RSA_MIN)
                        ? "of type RSA has less than 2048 bits, "
                          "use 2048 at least"
                        : "is not an RSA key");
        return MEDIA_ERROR;
    }

    return MEDIA_OK;
}


static int
media_jwk_ec(media_jwks_t *p, media_jwt_key_t *key)
{
    media_str_t      crv, x, y;
    EVP_PKEY_CTX    *ctx;
    unsigned char    point[1 + 2 * MEDIA_JWT_EC_LEN];
    OSSL_PARAM_BLD  *bld;

    (void) media_jwt_object_string(&p->object, "crv", &crv);

    if (!media_jwt_equal(crv, "P-256")) {
        if (media_jwt_object_get(&p->object, "alg", 3) == NULL) {
            return MEDIA_DENIED;
        }

        media_jwks_fail(p, "for ES256 is not of the curve P-256");
        return MEDIA_ERROR;
    }

    (void) media_jwt_object_string(&p->object, "x", &x);
    (void) media_jwt_object_string(&p->object, "y", &y);

    bld = OSSL_PARAM_BLD_new();

    point[0] = POINT_CONVERSION_UNCOMPRESSED;

    if (bld != NULL
        && media_jwt_base64url(point + 1, MEDIA_JWT_EC_LEN, x)
           == MEDIA_JWT_EC_LEN
        && media_jwt_base64url(point + 1 + MEDIA_JWT_EC_LEN,
                               MEDIA_JWT_EC_LEN, y)
           == MEDIA_JWT_EC_LEN
        && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                           "prime256v1", 0)
        && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                            point, sizeof(point)))
    {
        key->pkey = media_jwk_pkey("EC", bld);
    }

    OSSL_PARAM_BLD_free(bld);

    ctx = key->pkey ? EVP_PKEY_CTX_new(key->pkey, NULL) : NULL;

    if (ctx == NULL || EVP_PKEY_public_check(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(key->pkey);
        key->pkey = NULL;
        media_jwks_fail(p, "is not a point of the curve P-256");
        return MEDIA_ERROR;
    }

    EVP_PKEY_CTX_free(ctx);

    return MEDIA_OK;
}


static int
media_jwk_okp(media_jwks_t *p, media_jwt_key_t *key)
{
    media_str_t    crv, x;
    unsigned char  raw[MEDIA_JWT_ED25519_LEN];

    (void) media_jwt_object_string(&p->object, "crv", &crv);

    if (!media_jwt_equal(crv, "Ed25519")) {
        return MEDIA_DENIED;
    }

    (void) media_jwt_object_string(&p->object, "x", &x);

    if (media_jwt_base64url(raw, sizeof(raw), x) == MEDIA_JWT_ED25519_LEN) {
        key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw,
                                                sizeof(raw));
    }

    if (key->pkey == NULL) {
        media_jwks_fail(p, "is not an Ed25519 key");
        return MEDIA_ERROR;
    }

    return MEDIA_OK;
}


static EVP_PKEY *
media_jwk_pkey(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY      *pkey;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;
    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (params == NULL || ctx == NULL
        || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
    {
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);

    return pkey;
}
