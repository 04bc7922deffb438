/*
 * Copyright (C) ngx_media contributors
 *
 * Tokens.  Nothing of the claims is looked at before the signature is right.
 */

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <strings.h>

#include "media_codec.h"
#include "media_jwt_int.h"


#define MEDIA_JWT_DECODED_MAX  (MEDIA_JWT_MAX / 4 * 3)
#define MEDIA_JWT_SIG_MAX      (MEDIA_JWT_RSA_MAX / 8)
#define MEDIA_JWT_DIGEST       32       /* bytes of SHA-256 */
#define MEDIA_JWT_ES256_LEN    64       /* r and s */
#define MEDIA_JWT_DER_MAX      80       /* of both */

/* seconds; what doubles count exactly */
#define MEDIA_JWT_TIME_MAX     9007199254740992.0
#define MEDIA_JWT_EXPONENT_MAX 400


typedef struct {
    media_str_t    header;
    media_str_t    payload;
    media_str_t    signed_part;         /* both and the dot */
    size_t         len;                 /* of the signature */
    unsigned char  signature[MEDIA_JWT_SIG_MAX];
} media_jwt_token_t;


static int media_jwt_split(media_jwt_token_t *t, media_str_t token);
static int media_jwt_part(media_jwt_object_t *o, char *text,
    media_str_t part, const char *list);
static int media_jwt_check_header(const media_jwt_object_t *o);
static int media_jwt_check_signature(const media_jwt_keys_t *keys,
    const media_jwt_object_t *o, const media_jwt_token_t *t);
static int media_jwt_check_hmac(const media_jwt_key_t *key,
    const media_jwt_token_t *t);
static int media_jwt_check_pkey(const media_jwt_key_t *key,
    const media_jwt_token_t *t);
static int media_jwt_der(unsigned char *der, const unsigned char *raw);
static int media_jwt_check_claims(const media_jwt_object_t *o,
    const media_jwt_rules_t *rules, time_t now);
static int media_jwt_check_audience(const media_jwt_object_t *o,
    media_str_t audience);
static int media_jwt_time(const media_jwt_object_t *o, const char *name,
    double *value);
static int media_jwt_number(media_str_t s, double *value);
static int media_jwt_take_tenant(const media_jwt_object_t *o,
    media_str_t claim, char *tenant);
static int media_jwt_same(media_str_t a, media_str_t b);


int
media_jwt_verify(const media_jwt_keys_t *keys, const media_jwt_rules_t *rules,
    media_str_t token, time_t now, char tenant[MEDIA_JWT_TENANT_MAX + 1])
{
    int                 rc;
    char                text[MEDIA_JWT_DECODED_MAX];
    media_jwt_token_t   t;
    media_jwt_object_t  o;

    tenant[0] = '\0';

    rc = media_jwt_split(&t, token);
    if (rc != MEDIA_OK) {
        return rc;
    }

    rc = media_jwt_part(&o, text, t.header, "");
    if (rc != MEDIA_OK) {
        return rc == MEDIA_DENIED ? MEDIA_JWT_HEADER : rc;
    }

    rc = media_jwt_check_header(&o);
    if (rc != MEDIA_OK) {
        return rc;
    }

    rc = media_jwt_check_signature(keys, &o, &t);

    /* nginx takes what is left in OpenSSL's queue for its own */

    ERR_clear_error();

    if (rc != MEDIA_OK) {
        return rc;
    }

    rc = media_jwt_part(&o, text, t.payload, "aud");
    if (rc != MEDIA_OK) {
        return rc == MEDIA_DENIED ? MEDIA_JWT_CLAIMS : rc;
    }

    rc = media_jwt_check_claims(&o, rules, now);
    if (rc != MEDIA_OK) {
        return rc;
    }

    return media_jwt_take_tenant(&o, rules->claim, tenant);
}


const char *
media_jwt_reason(int rc)
{
    switch (rc) {

    case MEDIA_OK:
        return "valid";

    case MEDIA_JWT_SIZE:
        return "too large";

    case MEDIA_JWT_FORMAT:
        return "not three parts in base64url";

    case MEDIA_JWT_HEADER:
        return "malformed header";

    case MEDIA_JWT_CRITICAL:
        return "critical header parameters";

    case MEDIA_JWT_NESTED:
        return "nested token";

    case MEDIA_JWT_ALGORITHM:
        return "algorithm that no key is for";

    case MEDIA_JWT_KEY:
        return "unknown key";

    case MEDIA_JWT_SIGNATURE:
        return "wrong signature";

    case MEDIA_JWT_CLAIMS:
        return "malformed claims";

    case MEDIA_JWT_EXPIRED:
        return "expired";

    case MEDIA_JWT_EARLY:
        return "not valid yet";

    case MEDIA_JWT_ISSUER:
        return "wrong issuer";

    case MEDIA_JWT_AUDIENCE:
        return "wrong audience";

    case MEDIA_JWT_TENANT:
        return "no tenant";
    }

    return "internal error";
}


int
media_jwt_tenant_check(media_str_t tenant)
{
    char    ch;
    size_t  i;

    if (tenant.len == 0 || tenant.len > MEDIA_JWT_TENANT_MAX) {
        return MEDIA_ERROR;
    }

    for (i = 0; i < tenant.len; i++) {
        ch = tenant.data[i];

        if (!((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
              || (ch >= 'a' && ch <= 'z') || ch == '_' || ch == '-'))
        {
            return MEDIA_ERROR;
        }
    }

    return MEDIA_OK;
}


static int
media_jwt_split(media_jwt_token_t *t, media_str_t token)
{
    ssize_t      n;
    const char  *first, *second, *last;
    media_str_t  signature;

    if (token.len > MEDIA_JWT_MAX) {
        return MEDIA_JWT_SIZE;
    }

    if (token.len == 0) {
        return MEDIA_JWT_FORMAT;
    }

    last = token.data + token.len;
    first = memchr(token.data, '.', token.len);

    if (first == NULL) {
        return MEDIA_JWT_FORMAT;
    }

    second = memchr(first + 1, '.', last - first - 1);

    if (second == NULL) {
        return MEDIA_JWT_FORMAT;
    }

    /* a third dot is no base64url */

    media_str_set(&t->header, token.data, first - token.data);
    media_str_set(&t->payload, first + 1, second - first - 1);
    media_str_set(&t->signed_part, token.data, second - token.data);
    media_str_set(&signature, second + 1, last - second - 1);

    n = media_jwt_base64url(t->signature, sizeof(t->signature), signature);

    if (n < 0) {
        return MEDIA_JWT_FORMAT;
    }

    t->len = (size_t) n;

    return MEDIA_OK;
}


/* MEDIA_DENIED if it is not the JSON object that it is to be */
static int
media_jwt_part(media_jwt_object_t *o, char *text, media_str_t part,
    const char *list)
{
    char     json[MEDIA_JWT_DECODED_MAX];
    ssize_t  n;

    n = media_jwt_base64url(json, sizeof(json), part);

    if (n <= 0) {
        return MEDIA_JWT_FORMAT;
    }

    media_jwt_object_init(o, 1, text, MEDIA_JWT_DECODED_MAX);
    o->list = list;

    return media_jwt_object_read(o, json, (size_t) n) == MEDIA_OK
           ? MEDIA_OK : MEDIA_DENIED;
}


static int
media_jwt_check_header(const media_jwt_object_t *o)
{
    media_str_t  value;

    if (media_jwt_object_get(o, "crit", 4) != NULL) {
        return MEDIA_JWT_CRITICAL;
    }

    if (media_jwt_object_string(o, "alg", &value) != MEDIA_OK
        || media_jwt_object_string(o, "kid", &value) == MEDIA_ERROR
        || media_jwt_object_string(o, "typ", &value) == MEDIA_ERROR
        || media_jwt_object_string(o, "cty", &value) == MEDIA_ERROR)
    {
        return MEDIA_JWT_HEADER;
    }

    if ((value.len == 3 && strncasecmp(value.data, "JWT", 3) == 0)
        || (value.len == 15
            && strncasecmp(value.data, "application/jwt", 15) == 0))
    {
        return MEDIA_JWT_NESTED;
    }

    return MEDIA_OK;
}


static int
media_jwt_check_signature(const media_jwt_keys_t *keys,
    const media_jwt_object_t *o, const media_jwt_token_t *t)
{
    int                     rc, named;
    size_t                  i;
    media_str_t             alg, kid;
    const media_jwt_key_t  *key;

    (void) media_jwt_object_string(o, "alg", &alg);

    named = (media_jwt_object_string(o, "kid", &kid) == MEDIA_OK);
    rc = MEDIA_JWT_KEY;

    for (i = 0; i < keys->n; i++) {
        key = &keys->keys[i];

        if (named && key->kid != NULL
            && (key->kid_len != kid.len
                || memcmp(key->kid, kid.data, kid.len) != 0))
        {
            continue;
        }

        if (!media_jwt_equal(alg, media_jwt_algs[key->alg])) {
            if (rc == MEDIA_JWT_KEY) {
                rc = MEDIA_JWT_ALGORITHM;
            }

            continue;
        }

        rc = MEDIA_JWT_SIGNATURE;

        if ((key->pkey ? media_jwt_check_pkey(key, t)
                       : media_jwt_check_hmac(key, t))
            == MEDIA_OK)
        {
            return MEDIA_OK;
        }
    }

    return rc;
}


static int
media_jwt_check_hmac(const media_jwt_key_t *key, const media_jwt_token_t *t)
{
    unsigned       len;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    if (HMAC(EVP_sha256(), key->secret, (int) key->secret_len,
             (const unsigned char *) t->signed_part.data, t->signed_part.len,
             digest, &len)
        == NULL)
    {
        return MEDIA_ERROR;
    }

    return media_equal(digest, MEDIA_JWT_DIGEST, t->signature, t->len)
           ? MEDIA_OK : MEDIA_DENIED;
}


static int
media_jwt_check_pkey(const media_jwt_key_t *key, const media_jwt_token_t *t)
{
    int                   rc;
    size_t                len;
    EVP_MD_CTX           *ctx;
    unsigned char         der[MEDIA_JWT_DER_MAX];
    const unsigned char  *signature;

    signature = t->signature;
    len = t->len;

    if (key->alg == MEDIA_JWT_ES256) {

        if (len != MEDIA_JWT_ES256_LEN) {
            return MEDIA_DENIED;
        }

        rc = media_jwt_der(der, signature);
        if (rc <= 0) {
            return MEDIA_DENIED;
        }

        signature = der;
        len = (size_t) rc;
    }

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return MEDIA_ERROR;
    }

    rc = EVP_DigestVerifyInit(ctx, NULL,
                              key->alg == MEDIA_JWT_EDDSA ? NULL
                                                          : EVP_sha256(),
                              NULL, key->pkey)
         == 1
         && EVP_DigestVerify(ctx, signature, len,
                     (const unsigned char *) t->signed_part.data,
                     t->signed_part.len)
            == 1;

    EVP_MD_CTX_free(ctx);

    return rc ? MEDIA_OK : MEDIA_DENIED;
}


/* OpenSSL wants a SEQUENCE of two INTEGERs for r and s */
static int
media_jwt_der(unsigned char *der, const unsigned char *raw)
{
    int         len;
    BIGNUM     *r, *s;
    ECDSA_SIG  *sig;

    len = 0;
    sig = ECDSA_SIG_new();
    r = BN_bin2bn(raw, MEDIA_JWT_ES256_LEN / 2, NULL);
    s = BN_bin2bn(raw + MEDIA_JWT_ES256_LEN / 2, MEDIA_JWT_ES256_LEN / 2,
                  NULL);

    if (sig != NULL && r != NULL && s != NULL
        && ECDSA_SIG_set0(sig, r, s) == 1)
    {
        r = NULL;
        s = NULL;
        len = i2d_ECDSA_SIG(sig, &der);
    }

    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);

    return len;
}


static int
media_jwt_check_claims(const media_jwt_object_t *o,
    const media_jwt_rules_t *rules, time_t now)
{
    int          rc;
    double       value, current, leeway;
    media_str_t  issuer;

    current = (double) now;
    leeway = (double) rules->leeway;

    if (media_jwt_time(o, "exp", &value) != MEDIA_OK) {
        return MEDIA_JWT_CLAIMS;
    }

    if (current >= value + leeway) {
        return MEDIA_JWT_EXPIRED;
    }

    rc = media_jwt_time(o, "nbf", &value);

    if (rc == MEDIA_ERROR) {
        return MEDIA_JWT_CLAIMS;
    }

    if (rc == MEDIA_OK && current + leeway < value) {
        return MEDIA_JWT_EARLY;
    }

    rc = media_jwt_object_string(o, "iss", &issuer);

    if (rules->issuer.len != 0
        && (rc != MEDIA_OK || !media_jwt_same(issuer, rules->issuer)))
    {
        return MEDIA_JWT_ISSUER;
    }

    return media_jwt_check_audience(o, rules->audience);
}


/* one who is not of a token's audience must refuse it (RFC 7519, 4.1.3) */
static int
media_jwt_check_audience(const media_jwt_object_t *o, media_str_t audience)
{
    size_t                     i;
    const media_jwt_member_t  *m;

    m = media_jwt_object_get(o, "aud", 3);

    if (audience.len == 0) {
        return m == NULL ? MEDIA_OK : MEDIA_JWT_AUDIENCE;
    }

    if (m == NULL) {
        return MEDIA_JWT_AUDIENCE;
    }

    if (m->type == MEDIA_JWT_STRING) {
        return media_jwt_same(m->value, audience) ? MEDIA_OK
                                                  : MEDIA_JWT_AUDIENCE;
    }

    for (i = 0; i < o->n; i++) {
        if (o->members[i].type == MEDIA_JWT_ELEMENT
            && media_jwt_same(o->members[i].value, audience))
        {
            return MEDIA_OK;
        }
    }

    return MEDIA_JWT_AUDIENCE;
}


/* MEDIA_OK, MEDIA_DENIED if there is none, MEDIA_ERROR */
static int
media_jwt_time(const media_jwt_object_t *o, const char *name, double *value)
{
    const media_jwt_member_t  *m;

    m = media_jwt_object_get(o, name, strlen(name));

    if (m == NULL) {
        return MEDIA_DENIED;
    }

    if (m->type != MEDIA_JWT_NUMBER) {
        return MEDIA_ERROR;
    }

    return media_jwt_number(m->value, value);
}


/* a number of JSON's grammar; strtod() depends on the locale */
static int
media_jwt_number(media_str_t s, double *value)
{
    int          negative, exponent, places, n, *count;
    size_t       i;
    double       v;

    v = 0;
    n = 0;
    places = 0;
    exponent = 0;
    count = NULL;
    negative = (s.len > 0 && s.data[0] == '-');

    for (i = negative; i < s.len; i++) {

        if (s.data[i] == '.') {
            count = &places;

        } else if (s.data[i] == 'e' || s.data[i] == 'E') {
            break;

        } else {
            v = v * 10 + (s.data[i] - '0');

            if (count != NULL) {
                (*count)--;
            }
        }
    }

    if (i < s.len) {
        i++;
        exponent = (i < s.len && s.data[i] == '-') ? -1 : 1;
        i += (i < s.len && (s.data[i] == '-' || s.data[i] == '+'));

        for ( /* void */ ; i < s.len && n < MEDIA_JWT_EXPONENT_MAX; i++) {
            n = n * 10 + (s.data[i] - '0');
        }

        exponent *= n;
    }

    n = exponent + places;

    for ( /* void */ ; n > 0 && v > 0 && v <= MEDIA_JWT_TIME_MAX; n--) {
        v *= 10;
    }

    for ( /* void */ ; n < 0 && v > 0; n++) {
        v /= 10;
    }

    if (v > MEDIA_JWT_TIME_MAX) {
        return MEDIA_ERROR;
    }

    *value = negative ? -v : v;

    return MEDIA_OK;
}


static int
media_jwt_take_tenant(const media_jwt_object_t *o, media_str_t claim,
    char *tenant)
{
    media_str_t                value;
    const media_jwt_member_t  *m;

    m = media_jwt_object_get(o, claim.data, claim.len);

    if (m == NULL || m->type != MEDIA_JWT_STRING) {
        return MEDIA_JWT_TENANT;
    }

    value = m->value;

    if (media_jwt_tenant_check(value) != MEDIA_OK) {
        return MEDIA_JWT_TENANT;
    }

    memcpy(tenant, value.data, value.len);
    tenant[value.len] = '\0';

    return MEDIA_OK;
}


static int
media_jwt_same(media_str_t a, media_str_t b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}
