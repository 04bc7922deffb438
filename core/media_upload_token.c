/*
 * Copyright (C) ngx_media contributors
 *
 * The claims of an upload, and the token that carries them.
 */

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "media_codec.h"
#include "media_json.h"
#include "media_upload.h"


#define TOKEN_DOMAIN  "upload-token-1\n"
#define TOKEN_DIGEST  32


typedef enum {
    CLAIM_STRING = 0,
    CLAIM_ARRAY,                    /* char[], with a zero */
    CLAIM_KIND,
    CLAIM_SIZE,                     /* int64_t */
    CLAIM_TIME
} claim_type_t;


typedef struct {
    const char     *name;
    claim_type_t    type;
    size_t          offset;         /* in media_upload_t */
    size_t          size;           /* of CLAIM_ARRAY */
} claim_t;


typedef struct {
    char           *p;
    char           *end;
} claim_writer_t;


typedef struct {
    media_upload_t  *u;
    char            *p;             /* where the next string is copied to */
    char            *end;
    const claim_t   *claim;         /* whose value follows; NULL: unknown */
    unsigned         seen;          /* bits by index */
} claim_reader_t;


static void claim_put(claim_writer_t *w, const char *s, size_t len);
static void claim_put_value(claim_writer_t *w, const media_upload_t *u,
    const claim_t *claim);
static int token_sign(char dst[MEDIA_SIGN_LEN], const media_sign_key_t *k,
    const char *text, size_t len);
static media_upload_error_t token_read(media_upload_t *u, char *buf,
    size_t size, media_str_t claims);
static int claim_key(void *data, const char *s, size_t len);
static int claim_string(void *data, const char *s, size_t len);
static int claim_number(void *data, const char *s, size_t len);
static int claim_refuse(void *data);
static int claim_refuse_boolean(void *data, int value);


#define CLAIM(name, type, field)                                              \
    { name, type, offsetof(media_upload_t, field),                            \
      sizeof(((media_upload_t *) NULL)->field) }

static const claim_t  claims_of[] = {
    CLAIM("attachment_id", CLAIM_ARRAY, id),
    CLAIM("tenant", CLAIM_STRING, tenant),
    CLAIM("conversation_id", CLAIM_STRING, conversation),
    CLAIM("kind", CLAIM_KIND, kind),
    CLAIM("file_name", CLAIM_STRING, file_name),
    CLAIM("file_type", CLAIM_STRING, file_type),
    CLAIM("file_size", CLAIM_SIZE, file_size),
    CLAIM("caption", CLAIM_STRING, caption),
    CLAIM("upload_key", CLAIM_ARRAY, upload_key),
    CLAIM("file_key", CLAIM_ARRAY, file_key),
    CLAIM("multipart_id", CLAIM_STRING, multipart_id),
    CLAIM("part_size", CLAIM_SIZE, part_size),
    CLAIM("issued", CLAIM_TIME, issued),
    CLAIM("expires", CLAIM_TIME, expires)
};

#define CLAIMS  (sizeof(claims_of) / sizeof(claims_of[0]))


ssize_t
media_upload_claims(char *dst, size_t size, const media_upload_t *u)
{
    size_t          i;
    claim_writer_t  w;

    w.p = dst;
    w.end = dst + size;

    for (i = 0; i < CLAIMS; i++) {
        claim_put(&w, i ? ",\"" : "{\"", 2);
        claim_put(&w, claims_of[i].name, strlen(claims_of[i].name));
        claim_put(&w, "\":", 2);
        claim_put_value(&w, u, &claims_of[i]);
    }

    claim_put(&w, "}", 2);

    return w.p ? w.p - dst - 1 : MEDIA_NOSPACE;
}


/* once there is no room, p is NULL */

static void
claim_put(claim_writer_t *w, const char *s, size_t len)
{
    if (w->p == NULL || (size_t) (w->end - w->p) < len) {
        w->p = NULL;
        return;
    }

    memcpy(w->p, s, len);
    w->p += len;
}


static void
claim_put_value(claim_writer_t *w, const media_upload_t *u,
    const claim_t *claim)
{
    int          n;
    char         number[32];
    ssize_t      len;
    const char  *field;
    media_str_t  s;

    field = (const char *) u + claim->offset;

    switch (claim->type) {

    case CLAIM_STRING:
        s = *(const media_str_t *) field;
        break;

    case CLAIM_ARRAY:
        media_str_set(&s, field, strlen(field));
        break;

    case CLAIM_KIND:
        media_str_set(&s, media_kind_name(u->kind),
                      strlen(media_kind_name(u->kind)));
        break;

    default:
        n = snprintf(number, sizeof(number), "%lld",
                     claim->type == CLAIM_TIME
                         ? (long long) *(const time_t *) field
                         : (long long) *(const int64_t *) field);
        claim_put(w, number, (size_t) n);
        return;
    }

    claim_put(w, "\"", 1);

    if (w->p) {
        len = media_json_write(w->p, (size_t) (w->end - w->p), s);
        w->p = len < 0 ? NULL : w->p + len;
    }

    claim_put(w, "\"", 1);
}


ssize_t
media_upload_token(char *dst, size_t size, const media_sign_key_t *k,
    media_str_t claims)
{
    char    *p, *text;
    size_t   len;

    if (media_sign_check(k) != MEDIA_OK
        || claims.len > MEDIA_UPLOAD_CLAIMS_MAX)
    {
        return MEDIA_ERROR;
    }

    if (size < k->id.len + MEDIA_BASE64_LEN(claims.len) + MEDIA_SIGN_LEN + 3)
    {
        return MEDIA_NOSPACE;
    }

    memcpy(dst, k->id.data, k->id.len);
    p = dst + k->id.len;
    *p++ = '.';

    text = p;
    len = media_base64url_encode(text, claims.data, claims.len);
    p += len;
    *p++ = '.';

    if (token_sign(p, k, text, len) != MEDIA_OK) {
        return MEDIA_ERROR;
    }

    p += MEDIA_SIGN_LEN;
    *p = '\0';

    return p - dst;
}


static int
token_sign(char dst[MEDIA_SIGN_LEN], const media_sign_key_t *k,
    const char *text, size_t len)
{
    char           signed_text[sizeof(TOKEN_DOMAIN) + MEDIA_UPLOAD_TOKEN_MAX];
    char           base64[MEDIA_BASE64_LEN(TOKEN_DIGEST)];
    unsigned       n;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    if (len > MEDIA_UPLOAD_TOKEN_MAX) {
        return MEDIA_ERROR;
    }

    memcpy(signed_text, TOKEN_DOMAIN, sizeof(TOKEN_DOMAIN) - 1);
    memcpy(signed_text + sizeof(TOKEN_DOMAIN) - 1, text, len);

    if (HMAC(EVP_sha256(), k->secret.data, (int) k->secret.len,
             (unsigned char *) signed_text, sizeof(TOKEN_DOMAIN) - 1 + len,
             digest, &n)
        == NULL)
    {
        return MEDIA_ERROR;
    }

    (void) media_base64url_encode(base64, digest, TOKEN_DIGEST);
    memcpy(dst, base64, MEDIA_SIGN_LEN);

    return MEDIA_OK;
}


media_upload_error_t
media_upload_verify(media_upload_t *u, char *buf, size_t size,
    const media_sign_key_t *keys, size_t nkeys, media_str_t token,
    media_str_t tenant, time_t now)
{
    char                   signature[MEDIA_SIGN_LEN];
    size_t                 i;
    const char            *first, *second, *last;
    media_str_t            claims;
    media_upload_error_t   error;

    if (token.len > MEDIA_UPLOAD_TOKEN_MAX) {
        return MEDIA_UPLOAD_TOKEN_INVALID;
    }

    last = token.data + token.len;
    first = token.len ? memchr(token.data, '.', token.len) : NULL;
    second = first ? memchr(first + 1, '.', (size_t) (last - first - 1))
                   : NULL;

    if (second == NULL) {
        return MEDIA_UPLOAD_TOKEN_INVALID;
    }

    media_str_set(&claims, first + 1, (size_t) (second - first - 1));

    for (i = 0; i < nkeys; i++) {
        if (keys[i].id.len == (size_t) (first - token.data)
            && memcmp(keys[i].id.data, token.data, keys[i].id.len) == 0)
        {
            break;
        }
    }

    if (i == nkeys
        || token_sign(signature, &keys[i], claims.data, claims.len)
           != MEDIA_OK
        || !media_equal(signature, MEDIA_SIGN_LEN, second + 1,
                        (size_t) (last - second - 1)))
    {
        return MEDIA_UPLOAD_TOKEN_INVALID;
    }

    error = token_read(u, buf, size, claims);
    if (error != MEDIA_UPLOAD_OK) {
        return error;
    }

    if (u->tenant.len != tenant.len
        || memcmp(u->tenant.data, tenant.data, tenant.len) != 0)
    {
        return MEDIA_UPLOAD_TOKEN_INVALID;
    }

    return now > u->expires + MEDIA_UPLOAD_GRACE ? MEDIA_UPLOAD_TOKEN_EXPIRED
                                                 : MEDIA_UPLOAD_OK;
}


/* all claims are there, each once: we wrote them */

static media_upload_error_t
token_read(media_upload_t *u, char *buf, size_t size, media_str_t claims)
{
    int              rc;
    char             text[MEDIA_UPLOAD_TOKEN_MAX];
    ssize_t          n;
    media_json_t    *json;
    claim_reader_t   reader;

    static const media_json_limits_t  limits = { 1, MEDIA_UPLOAD_CLAIMS_MAX };
    static const media_json_handler_t  handler = {
        .null = claim_refuse,
        .boolean = claim_refuse_boolean,
        .number = claim_number,
        .string = claim_string,
        .map_key = claim_key,
        .start_array = claim_refuse
    };

    n = media_base64_decode(text, sizeof(text), claims.data, claims.len);
    if (n < 0) {
        return MEDIA_UPLOAD_TOKEN_INVALID;
    }

    memset(u, 0, sizeof(media_upload_t));

    memset(&reader, 0, sizeof(claim_reader_t));
    reader.u = u;
    reader.p = buf;
    reader.end = buf + size;

    json = media_json_create(&handler, &limits, &reader);
    if (json == NULL) {
        return MEDIA_UPLOAD_UNAVAILABLE;
    }

    rc = media_json_feed(json, text, (size_t) n);

    if (rc == MEDIA_OK) {
        rc = media_json_finish(json);
    }

    media_json_free(json);

    return rc == MEDIA_OK && reader.seen == (1u << CLAIMS) - 1
           ? MEDIA_UPLOAD_OK : MEDIA_UPLOAD_TOKEN_INVALID;
}


static int
claim_key(void *data, const char *s, size_t len)
{
    size_t           i;
    claim_reader_t  *r = data;

    r->claim = NULL;

    for (i = 0; i < CLAIMS; i++) {
        if (strlen(claims_of[i].name) == len
            && memcmp(claims_of[i].name, s, len) == 0)
        {
            r->claim = &claims_of[i];
            r->seen |= 1u << i;
        }
    }

    return 1;
}


static int
claim_string(void *data, const char *s, size_t len)
{
    char            *field;
    media_str_t      name;
    claim_reader_t  *r = data;

    if (r->claim == NULL) {
        return 1;
    }

    field = (char *) r->u + r->claim->offset;

    switch (r->claim->type) {

    case CLAIM_ARRAY:
        if (len >= r->claim->size) {
            return 0;
        }

        memcpy(field, s, len);
        field[len] = '\0';
        return 1;

    case CLAIM_KIND:
        media_str_set(&name, s, len);
        r->u->kind = media_kind_by_name(name);
        return r->u->kind != MEDIA_KIND_NONE;

    case CLAIM_STRING:
        if ((size_t) (r->end - r->p) < len) {
            return 0;
        }

        memcpy(r->p, s, len);
        media_str_set((media_str_t *) field, r->p, len);
        r->p += len;
        return 1;

    default:
        return 0;
    }
}


static int
claim_number(void *data, const char *s, size_t len)
{
    char             number[32], *end, *field;
    long long        n;
    claim_reader_t  *r = data;

    if (r->claim == NULL) {
        return 1;
    }

    if (len >= sizeof(number)) {
        return 0;
    }

    memcpy(number, s, len);
    number[len] = '\0';

    n = strtoll(number, &end, 10);
    field = (char *) r->u + r->claim->offset;

    switch (r->claim->type) {

    case CLAIM_SIZE:
        *(int64_t *) field = n;
        return *end == '\0';

    case CLAIM_TIME:
        *(time_t *) field = (time_t) n;
        return *end == '\0';

    default:
        return 0;
    }
}


static int
claim_refuse(void *data)
{
    (void) data;

    return 0;
}


static int
claim_refuse_boolean(void *data, int value)
{
    (void) value;

    return claim_refuse(data);
}
