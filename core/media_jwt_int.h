/*
 * Copyright (C) ngx_media contributors
 *
 * What the files of the JWT verifier share: media_jwt.c has tokens,
 * media_jwt_keys.c JWK sets, media_jwt_object.c the JSON objects of both.
 */

#ifndef MEDIA_JWT_INT_H
#define MEDIA_JWT_INT_H

#include <openssl/evp.h>

#include "media_json.h"
#include "media_jwt.h"


#define MEDIA_JWT_MEMBERS_MAX  128
#define MEDIA_JWT_DEPTH_MAX    16


typedef enum {
    MEDIA_JWT_HS256 = 0,
    MEDIA_JWT_RS256,
    MEDIA_JWT_ES256,
    MEDIA_JWT_EDDSA,
    MEDIA_JWT_ALG_MAX
} media_jwt_alg_t;


typedef enum {
    MEDIA_JWT_OTHER = 0,                /* null, boolean, object */
    MEDIA_JWT_STRING,
    MEDIA_JWT_NUMBER,                   /* as text */
    MEDIA_JWT_ARRAY,
    MEDIA_JWT_ELEMENT                   /* a string of the array before it */
} media_jwt_type_t;


typedef struct {
    media_str_t            name;
    media_str_t            value;
    media_jwt_type_t       type;
} media_jwt_member_t;


/*
 * The members of one JSON object; what is nested in them is not kept, but
 * for the strings of the array that list names.
 */
typedef struct {
    media_jwt_member_t     members[MEDIA_JWT_MEMBERS_MAX];
    size_t                 n;
    char                  *text;        /* of names and values */
    size_t                 size;
    size_t                 used;
    const char            *list;
    media_jwt_member_t    *member;      /* whose value comes next */
    unsigned               depth;       /* in the JSON text */
    unsigned               base;        /* depth of the object's members */
    unsigned               complete:1;
} media_jwt_object_t;


typedef struct {
    media_jwt_alg_t        alg;
    char                  *kid;         /* NULL: none */
    size_t                 kid_len;
    EVP_PKEY              *pkey;        /* NULL: HS256 */
    unsigned char         *secret;
    size_t                 secret_len;
} media_jwt_key_t;


struct media_jwt_keys_s {
    media_jwt_key_t       *keys;
    size_t                 n;
    unsigned               private:1;
};


/* the names of the algorithms, in the order of media_jwt_alg_t */
extern const char *const  media_jwt_algs[];

/* forgets all members; text has room for what the JSON text holds */
void media_jwt_object_init(media_jwt_object_t *o, unsigned base,
    char *text, size_t size);

/* callbacks of media_json, with the object as data; for whole texts */
extern const media_json_handler_t  media_jwt_object_handler;

/* MEDIA_OK, or MEDIA_ERROR unless s is one object without repeated names */
int media_jwt_object_read(media_jwt_object_t *o, const char *s, size_t len);

/* NULL if there is none */
const media_jwt_member_t *media_jwt_object_get(const media_jwt_object_t *o,
    const char *name, size_t len);

/*
 * A string member.  MEDIA_OK, MEDIA_DENIED if there is none (value is empty
 * then), MEDIA_ERROR if it is no string.
 */
int media_jwt_object_string(const media_jwt_object_t *o, const char *name,
    media_str_t *value);

int media_jwt_equal(media_str_t s, const char *text);

/*
 * base64url without padding (RFC 4648, section 5), and only as an encoder
 * writes it.  Returns the length or MEDIA_ERROR.
 */
ssize_t media_jwt_base64url(void *dst, size_t size, media_str_t s);

#endif
