/*
 * Copyright (C) ngx_media contributors
 *
 * Texts of a webhook as parameters of statements.  PostgreSQL takes neither
 * a zero byte nor malformed UTF-8: the first is left out, of the second each
 * byte becomes U+FFFD.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "inbound.h"


static const char *inbound_own(inbound_t *in, char *text);
static size_t inbound_utf8(const char *s, size_t len);


const char *
inbound_text(inbound_t *in, media_str_t s)
{
    char    *text, *p;
    size_t   i, n;

    text = malloc(s.len * 3 + 1);
    if (text == NULL) {
        return "";
    }

    p = text;

    for (i = 0; i < s.len; i += n) {
        n = 1;

        if (s.data[i] == '\0') {
            continue;
        }

        n = inbound_utf8(s.data + i, s.len - i);

        if (n == 0) {
            memcpy(p, "\xef\xbf\xbd", 3);
            p += 3;
            n = 1;
            continue;
        }

        memcpy(p, s.data + i, n);
        p += n;
    }

    *p = '\0';

    return inbound_own(in, text);
}


/* the length of a well-formed character (RFC 3629), or 0 */

static size_t
inbound_utf8(const char *s, size_t len)
{
    size_t                i, n;
    const unsigned char  *u;

    u = (const unsigned char *) s;

    if (u[0] < 0x80) {
        return 1;
    }

    n = (u[0] >= 0xf0) ? 4 : (u[0] >= 0xe0) ? 3 : 2;

    if (u[0] < 0xc2 || u[0] > 0xf4 || n > len) {
        return 0;
    }

    for (i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    /* overlong forms, surrogates, beyond U+10FFFF */

    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f)
        || (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
    {
        return 0;
    }

    return n;
}


const char *
inbound_text_or_null(inbound_t *in, media_str_t s)
{
    return s.len ? inbound_text(in, s) : NULL;
}


/* JSON text without the escape of a zero byte, which jsonb refuses */

const char *
inbound_json(inbound_t *in, media_str_t s)
{
    char    *json, *p;
    size_t   i;

    if (s.len == 0) {
        return "{}";
    }

    json = malloc(s.len + 1);
    if (json == NULL) {
        return "{}";
    }

    p = json;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '\\' && s.len - i >= 6
            && memcmp(s.data + i, "\\u0000", 6) == 0)
        {
            i += 5;
            continue;
        }

        if (s.data[i] == '\\' && i + 1 < s.len) {
            *p++ = s.data[i++];
        }

        *p++ = s.data[i];
    }

    *p = '\0';

    return inbound_own(in, json);
}


const char *
inbound_number(inbound_t *in, int64_t n)
{
    char  *text;

    if (n < 0 || asprintf(&text, "%lld", (long long) n) == -1) {
        return NULL;
    }

    return inbound_own(in, text);
}


const char *
inbound_base64(inbound_t *in, media_str_t s)
{
    char    *text;
    size_t   n;

    if (s.len == 0) {
        return NULL;
    }

    text = malloc(MEDIA_BASE64_LEN(s.len) + 1);
    if (text == NULL) {
        return NULL;
    }

    n = media_base64_encode(text, s.data, s.len);
    text[n] = '\0';

    return inbound_own(in, text);
}


const char *
inbound_bytea(inbound_t *in, media_str_t s)
{
    char  *text;

    if (s.len == 0) {
        return NULL;
    }

    text = malloc(s.len * 2 + 3);
    if (text == NULL) {
        return NULL;
    }

    memcpy(text, "\\x", 2);
    media_hex_encode(text + 2, s.data, s.len);
    text[s.len * 2 + 2] = '\0';

    return inbound_own(in, text);
}


static const char *
inbound_own(inbound_t *in, char *text)
{
    return inbound_list_add(&in->texts, text) == 0 ? text : "";
}


int
inbound_list_add(inbound_list_t *list, char *text)
{
    char    **items;
    size_t    size;

    if (text == NULL) {
        return -1;
    }

    if (list->n == list->size) {
        size = list->size ? list->size * 2 : 64;
        items = realloc(list->items, size * sizeof(char *));

        if (items == NULL) {
            free(text);
            return -1;
        }

        list->items = items;
        list->size = size;
    }

    list->items[list->n++] = text;

    return 0;
}


void
inbound_list_free(inbound_list_t *list)
{
    size_t  i;

    for (i = 0; i < list->n; i++) {
        free(list->items[i]);
    }

    free(list->items);
    memset(list, 0, sizeof(inbound_list_t));
}


/* a phone number's digits, or a LID */

bool
inbound_is_person(media_str_t address)
{
    if (address.len == 0) {
        return false;
    }

    if (memchr(address.data, '@', address.len) == NULL) {
        return true;
    }

    return address.len > 4
           && memcmp(address.data + address.len - 4, "@lid", 4) == 0;
}
