/*
 * Copyright (C) ngx_media contributors
 *
 * JSON Web Tokens (RFC 7519) in compact form, verified with the keys of a
 * JWK set (RFC 7517): HS256, RS256, ES256 and EdDSA with Ed25519.
 *
 * On OpenSSL's EVP and yajl: of Debian bookworm's libraries libjwt 1.10 and
 * libcjose 0.6.2 know no EdDSA, libjwt no JWK sets either, and librhonabwy
 * would load GnuTLS and libcurl, for keys from the network, into nginx.
 *
 * The algorithm is a property of the key, never of the token, so that no
 * public key can be taken for a secret.
 */

#ifndef MEDIA_JWT_H
#define MEDIA_JWT_H

#include <time.h>

#include "media_core.h"


#define MEDIA_JWT_MAX          8192     /* bytes of a token */
#define MEDIA_JWT_KEYS_MAX     65536    /* bytes of a JWK set */
#define MEDIA_JWT_TENANT_MAX   64
#define MEDIA_JWT_SECRET_MIN   32       /* bytes of a key for HS256 */
#define MEDIA_JWT_RSA_MIN      2048     /* bits */
#define MEDIA_JWT_RSA_MAX      8192
#define MEDIA_JWT_ERROR_MAX    160

/* why a token is refused, beside MEDIA_ERROR: no memory */
#define MEDIA_JWT_SIZE        (-16)
#define MEDIA_JWT_FORMAT      (-17)     /* parts, base64url */
#define MEDIA_JWT_HEADER      (-18)     /* JSON, its members' types */
#define MEDIA_JWT_CRITICAL    (-19)     /* "crit" */
#define MEDIA_JWT_NESTED      (-20)     /* "cty" is "JWT" */
#define MEDIA_JWT_ALGORITHM   (-21)     /* none, or not the key's */
#define MEDIA_JWT_KEY         (-22)     /* no such key */
#define MEDIA_JWT_SIGNATURE   (-23)
#define MEDIA_JWT_CLAIMS      (-24)     /* JSON, types, no "exp" */
#define MEDIA_JWT_EXPIRED     (-25)
#define MEDIA_JWT_EARLY       (-26)     /* "nbf" */
#define MEDIA_JWT_ISSUER      (-27)
#define MEDIA_JWT_AUDIENCE    (-28)
#define MEDIA_JWT_TENANT      (-29)     /* none, or not a tenant id */


typedef struct media_jwt_keys_s  media_jwt_keys_t;


typedef struct {
    media_str_t  issuer;        /* empty: not looked at */
    media_str_t  audience;      /* empty: a token must not have one */
    media_str_t  claim;         /* that names the tenant */
    time_t       leeway;        /* seconds that clocks may differ */
} media_jwt_rules_t;


/*
 * Reads a JWK set.  Keys of other types, curves, algorithms and uses are
 * skipped; what contradicts itself or is too weak is an error.  Returns NULL
 * and a reason in error, without a part of a key, if there is an error or no
 * key is left.  Nothing points into text afterwards.
 */
media_jwt_keys_t *media_jwt_keys_create(media_str_t text,
    char error[MEDIA_JWT_ERROR_MAX]);

/* 1 if the text held secret or private keys, usable or not */
int media_jwt_keys_private(const media_jwt_keys_t *keys);

/* NULL is allowed */
void media_jwt_keys_free(media_jwt_keys_t *keys);

/*
 * Verifies a token and writes its tenant and a zero.  A token with a "kid"
 * is for the keys of that name and those without one.  Returns MEDIA_OK, one
 * of the reasons above, or MEDIA_ERROR; tenant is empty then.
 */
int media_jwt_verify(const media_jwt_keys_t *keys,
    const media_jwt_rules_t *rules, media_str_t token, time_t now,
    char tenant[MEDIA_JWT_TENANT_MAX + 1]);

/* what a result of media_jwt_verify() means, for a log */
const char *media_jwt_reason(int rc);

/* MEDIA_OK for 1..64 of A-Z a-z 0-9 _ -, else MEDIA_ERROR */
int media_jwt_tenant_check(media_str_t tenant);

#endif
