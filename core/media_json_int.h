/*
 * Copyright (C) ngx_media contributors
 *
 * What the files of the JSON reader share: media_json.c has the grammar, by
 * yajl; media_json_string.c reads strings.
 */

#ifndef MEDIA_JSON_INT_H
#define MEDIA_JSON_INT_H

#include <yajl/yajl_parse.h>

#include "media_json.h"


#define MEDIA_JSON_BUFFER_MIN  256
#define MEDIA_JSON_ERROR_MAX   128


typedef enum {
    MEDIA_JSON_OUTSIDE = 0,         /* between strings */
    MEDIA_JSON_TEXT,                /* in a string */
    MEDIA_JSON_UTF8,                /* within a character of several bytes */
    MEDIA_JSON_ESCAPE,              /* after a backslash */
    MEDIA_JSON_HEX                  /* in the digits of \uXXXX */
} media_json_state_t;


/* what yajl took the string for that is being read */
typedef enum {
    MEDIA_JSON_UNASKED = 0,
    MEDIA_JSON_KEY,
    MEDIA_JSON_VALUE
} media_json_role_t;


struct media_json_s {
    media_json_handler_t  handler;
    media_json_limits_t   limits;
    void                 *data;
    yajl_handle           yajl;

    media_json_state_t    state;
    media_json_role_t     role;
    unsigned              depth;
    size_t                token;        /* bytes of the bare token so far */
    uint64_t              offset;       /* of the input piece in the text */

    /* the string that is being read */
    uint64_t              start;        /* offset after its opening quote */
    uint64_t              end;          /* offset of its closing quote */
    char                 *buf;
    size_t                len;
    size_t                size;
    unsigned              need;         /* bytes left of a UTF-8 character */
    unsigned char         low;          /* range of the next of them */
    unsigned char         high;
    unsigned              digits;       /* hex digits read */
    unsigned              unit;         /* UTF-16 code unit */
    unsigned              surrogate;    /* high one that waits, or 0 */

    int                   rc;           /* what feed returns from now on */
    char                  error[MEDIA_JSON_ERROR_MAX];

    unsigned              elided:1;     /* beyond limits.string */
};


/* takes bytes of a string, *used of them */
int media_json_inside(media_json_t *json, const char *s, size_t len,
    size_t *used);

/* hands bytes to yajl */
int media_json_yajl(media_json_t *json, const char *s, size_t len);

/* notes the first error; returns MEDIA_ERROR */
int media_json_fail(media_json_t *json, uint64_t offset, const char *what);

#endif
