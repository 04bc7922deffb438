/*
 * Copyright (C) ngx_media contributors
 */

#include <strings.h>

#include "media_codec.h"
#include "media_disposition.h"


#define DISPOSITION_VALUE_MAX  2048     /* bytes of a parameter */
#define DISPOSITION_EXT_MAX    16       /* bytes of an extension, with dot */
#define DISPOSITION_HASH       8        /* hex digits before a key's name */


typedef struct {
    media_str_t  name;
    size_t       len;
    char         value[DISPOSITION_VALUE_MAX];      /* unquoted */
} disposition_param_t;


static int disposition_token(char ch);
static int disposition_type(media_str_t *name, media_str_t type);
static int disposition_equal(media_str_t s, const char *text);
static int disposition_attachment(media_str_t value);
static int disposition_find(disposition_param_t *param, media_str_t value,
    const char *name);
static int disposition_next(disposition_param_t *param, media_str_t *rest);
static void disposition_quoted(disposition_param_t *param,
    media_str_t *rest);
static size_t disposition_extended(char *dst, disposition_param_t *param);
static size_t disposition_plain(char *dst, const char *src, size_t len);
static size_t disposition_latin1(char *dst, const char *src, size_t len);
static size_t disposition_utf8(const char *p, size_t len, uint32_t *code);
static int disposition_utf8_check(const char *p, size_t len);
static size_t disposition_clean(char *dst, const char *src, size_t len);
static int disposition_hidden(uint32_t code);
static size_t disposition_trim(const char *name, size_t len);
static size_t disposition_cut(char *name, size_t len);
static size_t disposition_key_name(char *dst, media_str_t key);
static size_t disposition_ascii(char *dst, const char *name, size_t len,
    int *exact);


/* what browsers show without running anything that the file brings */
static const char  *disposition_types[] = {
    "image/jpeg", "image/png", "image/gif", "image/webp", "image/heic",
    "image/heif", "image/avif", "image/bmp", "image/tiff",
    "application/pdf", "text/plain",
    NULL
};


int
media_disposition_type_check(media_str_t type)
{
    media_str_t  name;

    return disposition_type(&name, type);
}


int
media_disposition_inline(media_str_t type)
{
    const char   **t;
    media_str_t    name;

    if (disposition_type(&name, type) != MEDIA_OK) {
        return 0;
    }

    if (strncasecmp(name.data, "audio/", 6) == 0
        || strncasecmp(name.data, "video/", 6) == 0)
    {
        return 1;
    }

    for (t = disposition_types; *t; t++) {
        if (disposition_equal(name, *t)) {
            return 1;
        }
    }

    return 0;
}


/* RFC 9110, section 5.6.2 */

static int
disposition_token(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
           || (ch >= 'a' && ch <= 'z')
           || (ch != '\0' && strchr("!#$%&'*+-.^_`|~", ch) != NULL);
}


/* name is "type/subtype" */

static int
disposition_type(media_str_t *name, media_str_t type)
{
    size_t  i, n, slash;

    slash = 0;

    for (n = 0; n < type.len && type.data[n] != ';'; n++) { /* void */ }

    for (i = n; i < type.len; i++) {
        if (type.data[i] == ',' || (unsigned char) type.data[i] < ' '
            || type.data[i] == 0x7f)
        {
            return MEDIA_ERROR;
        }
    }

    while (n > 0 && (type.data[n - 1] == ' ' || type.data[n - 1] == '\t')) {
        n--;
    }

    for (i = 0; i < n; i++) {

        if (type.data[i] == '/' && slash == 0 && i > 0) {
            slash = i;

        } else if (!disposition_token(type.data[i])) {
            return MEDIA_ERROR;
        }
    }

    if (slash == 0 || slash + 1 == n) {
        return MEDIA_ERROR;
    }

    media_str_set(name, type.data, n);

    return MEDIA_OK;
}


static int
disposition_equal(media_str_t s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.data, text, s.len) == 0;
}


/* RFC 6266, section 4.2: an unknown type is handled as attachment */

static int
disposition_attachment(media_str_t value)
{
    size_t       n;
    media_str_t  type;

    for (n = 0; n < value.len && disposition_token(value.data[n]); n++) {
        /* void */
    }

    media_str_set(&type, value.data, n);

    return n != 0 && !disposition_equal(type, "inline");
}


size_t
media_disposition_name(char dst[MEDIA_DISPOSITION_NAME_MAX],
    media_str_t value)
{
    char                 name[2 * DISPOSITION_VALUE_MAX];
    size_t               len;
    disposition_param_t  param;

    len = 0;

    if (disposition_find(&param, value, "filename*")) {
        len = disposition_extended(name, &param);
        len = disposition_clean(dst, name, len);
    }

    if (len == 0 && disposition_find(&param, value, "filename")) {
        len = disposition_plain(name, param.value, param.len);
        len = disposition_clean(dst, name, len);
    }

    return len;
}


/* the first parameter of a name; 0 if there is none */

static int
disposition_find(disposition_param_t *param, media_str_t value,
    const char *name)
{
    while (disposition_next(param, &value)) {
        if (disposition_equal(param->name, name)) {
            return 1;
        }
    }

    return 0;
}


/* what is before the next ';' is passed over */

static int
disposition_next(disposition_param_t *param, media_str_t *rest)
{
    size_t       n, len;
    const char  *p, *last;

    p = rest->data;
    last = p + rest->len;

    while (p < last && *p != ';') { p++; }
    while (p < last && (*p == ';' || *p == ' ' || *p == '\t')) { p++; }

    if (p == last) {
        return 0;
    }

    for (n = 0; p + n < last && disposition_token(p[n]); n++) { /* void */ }

    media_str_set(&param->name, p, n);
    param->len = 0;

    p += n;

    while (p < last && (*p == ' ' || *p == '\t')) { p++; }

    if (p == last || *p != '=') {
        media_str_set(&param->name, p, 0);
        media_str_set(rest, p, (size_t) (last - p));
        return 1;
    }

    p++;

    while (p < last && (*p == ' ' || *p == '\t')) { p++; }

    media_str_set(rest, p, (size_t) (last - p));

    if (p < last && *p == '"') {
        disposition_quoted(param, rest);
        return 1;
    }

    for (n = 0; p + n < last && p[n] != ';'; n++) { /* void */ }

    len = n;

    while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
        len--;
    }

    param->len = len < DISPOSITION_VALUE_MAX ? len : DISPOSITION_VALUE_MAX;
    memcpy(param->value, p, param->len);

    media_str_set(rest, p + n, (size_t) (last - p) - n);

    return 1;
}


/* a value that does not end is taken as far as it goes */

static void
disposition_quoted(disposition_param_t *param, media_str_t *rest)
{
    const char  *p, *last;

    p = rest->data + 1;
    last = rest->data + rest->len;

    while (p < last && *p != '"') {

        if (*p == '\\' && p + 1 < last) {
            p++;
        }

        if (param->len < DISPOSITION_VALUE_MAX) {
            param->value[param->len++] = *p;
        }

        p++;
    }

    media_str_set(rest, p, (size_t) (last - p));
}


/* RFC 8187: charset'language'percent-encoded; UTF-8, or 0 */

static size_t
disposition_extended(char *dst, disposition_param_t *param)
{
    char         text[DISPOSITION_VALUE_MAX];
    ssize_t      n;
    const char  *p, *last, *language;
    media_str_t  charset;

    last = param->value + param->len;

    language = memchr(param->value, '\'', param->len);
    if (language == NULL) {
        return 0;
    }

    language++;

    p = memchr(language, '\'', (size_t) (last - language));
    if (p == NULL) {
        return 0;
    }

    p++;

    n = media_uri_decode(text, p, (size_t) (last - p));
    if (n < 0) {
        return 0;
    }

    media_str_set(&charset, param->value,
                  (size_t) (language - param->value) - 1);

    if (disposition_equal(charset, "UTF-8")) {

        if (!disposition_utf8_check(text, (size_t) n)) {
            return 0;
        }

        memcpy(dst, text, (size_t) n);

        return (size_t) n;
    }

    if (disposition_equal(charset, "ISO-8859-1")) {
        return disposition_latin1(dst, text, (size_t) n);
    }

    return 0;
}


/* what senders put between quotes is UTF-8 more often than ISO-8859-1 */

static size_t
disposition_plain(char *dst, const char *src, size_t len)
{
    if (disposition_utf8_check(src, len)) {
        memcpy(dst, len ? src : "", len);
        return len;
    }

    return disposition_latin1(dst, src, len);
}


/* dst holds 2 * len bytes */

static size_t
disposition_latin1(char *dst, const char *src, size_t len)
{
    size_t         i, n;
    unsigned char  ch;

    for (i = 0, n = 0; i < len; i++) {
        ch = (unsigned char) src[i];

        if (ch < 0x80) {
            dst[n++] = src[i];
            continue;
        }

        dst[n++] = (char) (0xc0 | ch >> 6);
        dst[n++] = (char) (0x80 | (ch & 0x3f));
    }

    return n;
}


/* bytes of the first character, 0 if it is malformed */

static size_t
disposition_utf8(const char *p, size_t len, uint32_t *code)
{
    size_t                 i, n;
    unsigned char          ch;
    static const uint32_t  min[] = { 0, 0, 0x80, 0x800, 0x10000 };

    ch = (unsigned char) *p;

    if (ch < 0x80) {
        *code = ch;
        return 1;
    }

    n = (ch >= 0xf0) ? 4 : (ch >= 0xe0) ? 3 : 2;

    if (ch < 0xc2 || ch > 0xf4 || n > len) {
        return 0;
    }

    *code = ch & (0x7fU >> n);

    for (i = 1; i < n; i++) {
        ch = (unsigned char) p[i];

        if ((ch & 0xc0) != 0x80) {
            return 0;
        }

        *code = *code << 6 | (ch & 0x3f);
    }

    if (*code < min[n] || *code > 0x10ffff
        || (*code >= 0xd800 && *code <= 0xdfff))
    {
        return 0;
    }

    return n;
}


static int
disposition_utf8_check(const char *p, size_t len)
{
    size_t    i, n;
    uint32_t  code;

    for (i = 0; i < len; i += n) {
        n = disposition_utf8(p + i, len - i, &code);

        if (n == 0) {
            return 0;
        }
    }

    return 1;
}


/* src is well-formed; dst holds MEDIA_DISPOSITION_NAME_MAX bytes */

static size_t
disposition_clean(char *dst, const char *src, size_t len)
{
    char      name[2 * DISPOSITION_VALUE_MAX];
    size_t    i, n, size;
    uint32_t  code;

    size = 0;

    for (i = 0; i < len; i += n) {
        n = disposition_utf8(src + i, len - i, &code);

        if (code == '/' || code == '\\') {
            size = 0;
            continue;
        }

        if (disposition_hidden(code)
            || (size == 0 && (code == '.' || code == ' ')))
        {
            continue;
        }

        memcpy(name + size, src + i, n);
        size += n;
    }

    size = disposition_cut(name, disposition_trim(name, size));
    size = disposition_trim(name, size);
    memcpy(dst, name, size);

    return size;
}


static size_t
disposition_trim(const char *name, size_t len)
{
    while (len > 0 && (name[len - 1] == '.' || name[len - 1] == ' ')) {
        len--;
    }

    return len;
}


/* control characters, and those that make a name look like another one */

static int
disposition_hidden(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f)
           || code == 0xad || code == 0x61c
           || (code >= 0x200b && code <= 0x200f)
           || (code >= 0x2028 && code <= 0x202e)
           || (code >= 0x2060 && code <= 0x206f)
           || code == 0xfeff || (code >= 0xfff0 && code <= 0xfffb);
}


/* a long name loses its middle */

static size_t
disposition_cut(char *name, size_t len)
{
    size_t  n, ext;

    if (len <= MEDIA_DISPOSITION_NAME_MAX) {
        return len;
    }

    for (ext = 1; ext <= DISPOSITION_EXT_MAX; ext++) {
        if (name[len - ext] == '.') {
            break;
        }
    }

    if (ext > DISPOSITION_EXT_MAX) {
        ext = 0;
    }

    n = MEDIA_DISPOSITION_NAME_MAX - ext;

    while ((name[n] & 0xc0) == 0x80) { n--; }

    memmove(name + n, name + len - ext, ext);

    return n + ext;
}


size_t
media_disposition_compact(char dst[MEDIA_DISPOSITION_COMPACT_MAX],
    media_str_t stored)
{
    char    *p;
    char     name[MEDIA_DISPOSITION_NAME_MAX];
    size_t   i, len;

    p = stpcpy(dst, disposition_attachment(stored) ? "attachment" : "inline");

    len = media_disposition_name(name, stored);

    if (len == 0) {
        return (size_t) (p - dst);
    }

    p = stpcpy(p, "; filename=\"");

    for (i = 0; i < len; i++) {

        if (name[i] == '"' || name[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = name[i];
    }

    *p++ = '"';

    return (size_t) (p - dst);
}


size_t
media_disposition_format(char dst[MEDIA_DISPOSITION_MAX],
    media_str_t stored, media_str_t key, media_str_t type)
{
    int      exact;
    char    *p;
    char     name[MEDIA_DISPOSITION_NAME_MAX];
    size_t   len;
    ssize_t  n;

    if (!media_disposition_inline(type) || disposition_attachment(stored)) {
        p = stpcpy(dst, "attachment; filename=\"");

    } else {
        p = stpcpy(dst, "inline; filename=\"");
    }

    len = media_disposition_name(name, stored);

    if (len == 0) {
        len = disposition_key_name(name, key);
    }

    if (len == 0) {
        len = sizeof("file") - 1;
        memcpy(name, "file", len);
    }

    p += disposition_ascii(p, name, len, &exact);
    *p++ = '"';

    if (!exact) {
        p = stpcpy(p, "; filename*=UTF-8''");
        n = media_uri_encode(p, 3 * MEDIA_DISPOSITION_NAME_MAX, name, len, 0);
        p += n < 0 ? 0 : n;
    }

    return (size_t) (p - dst);
}


/* the last component without what media_key_attachment() put before it */

static size_t
disposition_key_name(char *dst, media_str_t key)
{
    char    name[2 * DISPOSITION_VALUE_MAX];
    size_t  i, n;

    for (n = key.len; n > 0 && key.data[n - 1] != '/'; n--) { /* void */ }

    key.data += n;
    key.len -= n;

    for (i = 0; i < key.len && i < DISPOSITION_HASH; i++) {
        if (memchr("0123456789abcdef", key.data[i], 16) == NULL) {
            break;
        }
    }

    if (i == DISPOSITION_HASH && key.len > i + 1 && key.data[i] == '_') {
        key.data += i + 1;
        key.len -= i + 1;
    }

    if (key.len > DISPOSITION_VALUE_MAX) {
        return 0;
    }

    n = disposition_plain(name, key.data, key.len);

    return disposition_clean(dst, name, n);
}


/* the quoted-string for those who do not read filename* */

static size_t
disposition_ascii(char *dst, const char *name, size_t len, int *exact)
{
    size_t  i, n;

    *exact = 1;

    for (i = 0, n = 0; i < len; i++) {

        if ((name[i] & 0xc0) == 0x80) {
            continue;
        }

        if (name[i] & 0x80) {
            dst[n++] = '_';
            *exact = 0;
            continue;
        }

        /* some decode escapes here */

        if (name[i] == '"' || name[i] == '%') {
            *exact = 0;
        }

        if (name[i] == '"') {
            dst[n++] = '\\';
        }

        dst[n++] = name[i];
    }

    return n;
}
