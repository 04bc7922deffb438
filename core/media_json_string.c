/*
 * Copyright (C) ngx_media contributors
 *
 * Reading of JSON strings: unescapes and checks them byte by byte, so that
 * the input may be cut anywhere, and collects them up to the limit.
 */

#include <stdio.h>
#include <stdlib.h>

#include "media_json_int.h"


static int media_json_text(media_json_t *json, const char *s, size_t len,
    size_t *used);
static int media_json_begin_utf8(media_json_t *json, unsigned char ch);
static int media_json_next_utf8(media_json_t *json, char ch);
static int media_json_escape(media_json_t *json, char ch);
static int media_json_hex(media_json_t *json, char ch);
static int media_json_unit(media_json_t *json);
static int media_json_unpaired(media_json_t *json);
static int media_json_character(media_json_t *json, unsigned code);
static int media_json_append(media_json_t *json, const char *s, size_t len);
static int media_json_grow(media_json_t *json, size_t need);
static int media_json_elide(media_json_t *json, const char *s, size_t len);
static int media_json_ask(media_json_t *json);
static int media_json_end_string(media_json_t *json);
static int media_json_end_elided(media_json_t *json);
static int media_json_stop(int go_on);


int
media_json_inside(media_json_t *json, const char *s, size_t len,
    size_t *used)
{
    if (json->state == MEDIA_JSON_TEXT) {
        return media_json_text(json, s, len, used);
    }

    *used = 1;

    switch (json->state) {

    case MEDIA_JSON_UTF8:
        return media_json_next_utf8(json, *s);

    case MEDIA_JSON_ESCAPE:
        return media_json_escape(json, *s);

    default:
        return media_json_hex(json, *s);
    }
}


/* takes plain ASCII as far as it goes, or one byte of another kind */
static int
media_json_text(media_json_t *json, const char *s, size_t len, size_t *used)
{
    int            rc;
    size_t         n;
    unsigned char  ch;

    for (n = 0; n < len; n++) {
        ch = (unsigned char) s[n];

        if (ch < 0x20 || ch == '"' || ch == '\\' || ch >= 0x80) {
            break;
        }
    }

    *used = n ? n : 1;

    if (n > 0) {
        rc = media_json_unpaired(json);
        return rc == MEDIA_OK ? media_json_append(json, s, n) : rc;
    }

    ch = (unsigned char) *s;

    if (ch == '\\') {
        json->state = MEDIA_JSON_ESCAPE;
        return MEDIA_OK;
    }

    rc = media_json_unpaired(json);
    if (rc != MEDIA_OK) {
        return rc;
    }

    if (ch == '"') {
        return media_json_end_string(json);
    }

    return media_json_begin_utf8(json, ch);
}


/* the well-formed byte sequences of Unicode, table 3-7 */
static int
media_json_begin_utf8(media_json_t *json, unsigned char ch)
{
    char  first;

    json->low = 0x80;
    json->high = 0xbf;

    if (ch >= 0xc2 && ch <= 0xdf) {
        json->need = 1;

    } else if (ch >= 0xe0 && ch <= 0xef) {
        json->need = 2;
        json->low = (ch == 0xe0) ? 0xa0 : 0x80;
        json->high = (ch == 0xed) ? 0x9f : 0xbf;

    } else if (ch >= 0xf0 && ch <= 0xf4) {
        json->need = 3;
        json->low = (ch == 0xf0) ? 0x90 : 0x80;
        json->high = (ch == 0xf4) ? 0x8f : 0xbf;

    } else {
        return media_json_fail(json, json->offset,
                               ch < 0x20 ? "control character in a string"
                                         : "invalid UTF-8");
    }

    json->state = MEDIA_JSON_UTF8;
    first = (char) ch;

    return media_json_append(json, &first, 1);
}


static int
media_json_next_utf8(media_json_t *json, char ch)
{
    unsigned char  byte;

    byte = (unsigned char) ch;

    if (byte < json->low || byte > json->high) {
        return media_json_fail(json, json->offset, "invalid UTF-8");
    }

    json->low = 0x80;
    json->high = 0xbf;

    if (--json->need == 0) {
        json->state = MEDIA_JSON_TEXT;
    }

    return media_json_append(json, &ch, 1);
}


static int
media_json_escape(media_json_t *json, char ch)
{
    int                rc;
    const char        *p;
    static const char  from[] = "\"\\/bfnrt";
    static const char  to[] = "\"\\/\b\f\n\r\t";

    if (ch == 'u') {
        json->state = MEDIA_JSON_HEX;
        json->digits = 0;
        json->unit = 0;
        return MEDIA_OK;
    }

    p = memchr(from, ch, sizeof(from) - 1);
    if (p == NULL) {
        return media_json_fail(json, json->offset, "invalid escape");
    }

    json->state = MEDIA_JSON_TEXT;

    rc = media_json_unpaired(json);
    if (rc != MEDIA_OK) {
        return rc;
    }

    return media_json_append(json, &to[p - from], 1);
}


static int
media_json_hex(media_json_t *json, char ch)
{
    unsigned  digit;

    if (ch >= '0' && ch <= '9') {
        digit = (unsigned) (ch - '0');

    } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
        digit = (unsigned) ((ch | 0x20) - 'a') + 10;

    } else {
        return media_json_fail(json, json->offset, "invalid escape");
    }

    json->unit = json->unit << 4 | digit;

    if (++json->digits < 4) {
        return MEDIA_OK;
    }

    json->state = MEDIA_JSON_TEXT;

    return media_json_unit(json);
}


/* a UTF-16 code unit is complete */
static int
media_json_unit(media_json_t *json)
{
    int       rc;
    unsigned  code;

    if (json->surrogate && (json->unit & 0xfc00) == 0xdc00) {
        code = 0x10000 + ((json->surrogate & 0x3ff) << 10)
               + (json->unit & 0x3ff);
        json->surrogate = 0;

        return media_json_character(json, code);
    }

    rc = media_json_unpaired(json);
    if (rc != MEDIA_OK) {
        return rc;
    }

    if ((json->unit & 0xfc00) == 0xd800) {
        json->surrogate = json->unit;
        return MEDIA_OK;
    }

    if ((json->unit & 0xfc00) == 0xdc00) {
        return media_json_character(json, 0xfffd);
    }

    return media_json_character(json, json->unit);
}


static int
media_json_unpaired(media_json_t *json)
{
    if (json->surrogate == 0) {
        return MEDIA_OK;
    }

    json->surrogate = 0;

    return media_json_character(json, 0xfffd);
}


static int
media_json_character(media_json_t *json, unsigned code)
{
    char    utf8[4];
    size_t  n;

    if (code < 0x80) {
        utf8[0] = (char) code;
        n = 1;

    } else if (code < 0x800) {
        utf8[0] = (char) (0xc0 | code >> 6);
        n = 2;

    } else if (code < 0x10000) {
        utf8[0] = (char) (0xe0 | code >> 12);
        utf8[1] = (char) (0x80 | (code >> 6 & 0x3f));
        n = 3;

    } else {
        utf8[0] = (char) (0xf0 | code >> 18);
        utf8[1] = (char) (0x80 | (code >> 12 & 0x3f));
        utf8[2] = (char) (0x80 | (code >> 6 & 0x3f));
        n = 4;
    }

    if (n > 1) {
        utf8[n - 1] = (char) (0x80 | (code & 0x3f));
    }

    return media_json_append(json, utf8, n);
}


/* adds unescaped text to the string that is being read */
static int
media_json_append(media_json_t *json, const char *s, size_t len)
{
    int  rc;

    if (json->elided) {
        return media_json_elide(json, s, len);
    }

    if (json->role == MEDIA_JSON_UNASKED
        && len > json->limits.string - json->len)
    {
        rc = media_json_ask(json);
        if (rc != MEDIA_OK) {
            return rc;
        }
    }

    if (json->role == MEDIA_JSON_VALUE) {
        json->elided = 1;

        if (json->len > 0 && json->handler.long_piece != NULL) {
            rc = media_json_stop(json->handler.long_piece(json->data,
                                                          json->buf,
                                                          json->len));
            if (rc != MEDIA_OK) {
                return rc;
            }
        }

        return media_json_elide(json, s, len);
    }

    if (json->role == MEDIA_JSON_KEY
        && json->len + len > MEDIA_JSON_KEY_MAX)
    {
        return media_json_fail(json, json->offset, "too long a key");
    }

    if (media_json_grow(json, json->len + len) != MEDIA_OK) {
        return media_json_fail(json, json->offset, "out of memory");
    }

    memcpy(json->buf + json->len, s, len);
    json->len += len;

    return MEDIA_OK;
}


static int
media_json_grow(media_json_t *json, size_t need)
{
    char    *buf;
    size_t   size;

    if (need <= json->size) {
        return MEDIA_OK;
    }

    for (size = json->size; size < need; size *= 2) { /* void */ }

    buf = realloc(json->buf, size);
    if (buf == NULL) {
        return MEDIA_ERROR;
    }

    json->buf = buf;
    json->size = size;

    return MEDIA_OK;
}


/* text of a string that is too long to be collected */
static int
media_json_elide(media_json_t *json, const char *s, size_t len)
{
    if (json->handler.long_piece == NULL) {
        return MEDIA_OK;
    }

    return media_json_stop(json->handler.long_piece(json->data, s, len));
}


/* lets yajl say whether a string is allowed here, and what it is */
static int
media_json_ask(media_json_t *json)
{
    int  rc;

    rc = media_json_yajl(json, "\"\"", 2);

    if (rc == MEDIA_ERROR) {
        json->error[0] = '\0';
        return media_json_fail(json, json->start - 1, "unexpected string");
    }

    return rc;
}


static int
media_json_end_string(media_json_t *json)
{
    int  rc;

    json->state = MEDIA_JSON_OUTSIDE;
    json->end = json->offset;

    if (json->role == MEDIA_JSON_UNASKED) {
        rc = media_json_ask(json);
        if (rc != MEDIA_OK) {
            return rc;
        }
    }

    if (json->elided) {
        return media_json_end_elided(json);
    }

    if (json->role == MEDIA_JSON_VALUE) {
        return json->handler.string == NULL ? MEDIA_OK
               : media_json_stop(json->handler.string(json->data, json->buf,
                                                      json->len));
    }

    if (json->len > MEDIA_JSON_KEY_MAX) {
        return media_json_fail(json, json->offset, "too long a key");
    }

    return json->handler.map_key == NULL ? MEDIA_OK
           : media_json_stop(json->handler.map_key(json->data, json->buf,
                                                   json->len));
}


static int
media_json_end_elided(media_json_t *json)
{
    if (json->handler.long_piece != NULL) {
        return media_json_stop(json->handler.long_piece(json->data, "", 0));
    }

    if (json->handler.long_string != NULL) {
        return media_json_stop(json->handler.long_string(json->data,
                                   json->start, json->end - json->start));
    }

    return MEDIA_OK;
}


/* what a callback returned, as a return code */
static int
media_json_stop(int go_on)
{
    return go_on ? MEDIA_OK : MEDIA_DENIED;
}


ssize_t
media_json_write(char *dst, size_t size, media_str_t s)
{
    char           escape[7];
    size_t         i, n, len;
    unsigned char  ch;

    len = 0;

    for (i = 0; i < s.len; i++) {
        ch = (unsigned char) s.data[i];

        if (ch >= ' ' && ch != '"' && ch != '\\') {
            escape[0] = (char) ch;
            n = 1;

        } else if (ch >= ' ' || ch == '\n' || ch == '\r' || ch == '\t') {
            escape[0] = '\\';
            escape[1] = ch == '\n' ? 'n' : ch == '\r' ? 'r'
                        : ch == '\t' ? 't' : (char) ch;
            n = 2;

        } else {
            n = (size_t) snprintf(escape, sizeof(escape), "\\u%04x", ch);
        }

        if (size - len < n) {
            return MEDIA_NOSPACE;
        }

        memcpy(dst + len, escape, n);
        len += n;
    }

    return (ssize_t) len;
}
