/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>
#include <iconv.h>

#include "decoder.h"


/*
 * Text in the decoder process: its encoding, and titles of documents.
 */


#define TEXT_BUFFER  65536


static const char *text_mark(int in);
static const char *text_utf8(int in);
static bool text_is_ascii(const char *p, size_t len);
static bool text_is_shown(gunichar c);


static iconv_t  text_utf16be;
static iconv_t  text_utf16le;


/* Poppler converts titles by modules that iconv loads, which is not possible
   any more once the process is confined; they stay loaded */
void
decoder_text_init(void)
{
    text_utf16be = iconv_open("UTF-8", "UTF-16BE");
    text_utf16le = iconv_open("UTF-8", "UTF-16LE");
}


/* a byte order mark, UTF-8 if all of it is, else libmagic's guess */
void
decoder_text(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    const char  *charset;

    (void) req;
    (void) out;

    charset = text_mark(in);
    charset = charset != NULL ? charset : text_utf8(in);
    charset = charset != NULL ? charset : decoder_sniff_charset(in);

    snprintf(ans->charset, sizeof(ans->charset), "%s", charset);
}


static const char *
text_mark(int in)
{
    unsigned char  mark[2];

    if (pread(in, mark, sizeof(mark), 0) != sizeof(mark)) {
        return NULL;
    }

    if (mark[0] == 0xff && mark[1] == 0xfe) {
        return "utf-16le";
    }

    return mark[0] == 0xfe && mark[1] == 0xff ? "utf-16be" : NULL;
}


/* NULL if it is something else */
static const char *
text_utf8(int in)
{
    bool         ascii;
    char         buffer[TEXT_BUFFER];
    size_t       len, n;
    int64_t      offset;
    ssize_t      got;
    const char  *end;

    ascii = true;
    len = 0;
    offset = 0;

    while ((got = pread(in, buffer + len, TEXT_BUFFER - len, offset)) > 0) {
        offset += got;
        len += got;
        ascii = ascii && text_is_ascii(buffer, len);

        g_utf8_validate(buffer, len, &end);
        n = buffer + len - end;

        /* a character may end in the next part; a zero is no text */
        if (n > 3) {
            return NULL;
        }

        memmove(buffer, end, n);
        len = n;
    }

    if (len != 0) {
        return NULL;
    }

    return ascii ? "us-ascii" : "utf-8";
}


static bool
text_is_ascii(const char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] & 0x80) {
            return false;
        }
    }

    return true;
}


/* characters that are not shown, or turn the direction of others, are out */
void
decoder_title(decoder_answer_t *ans, const char *text)
{
    char        *valid, *p;
    char         c[6];
    size_t       len, n;

    valid = g_utf8_make_valid(text, -1);
    len = 0;

    for (p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        n = text_is_shown(g_utf8_get_char(p))
            ? (size_t) g_unichar_to_utf8(g_utf8_get_char(p), c) : 0;

        if (len + n >= sizeof(ans->title)) {
            break;
        }

        memcpy(ans->title + len, c, n);
        len += n;
    }

    ans->title[len] = '\0';
    g_strstrip(ans->title);
    g_free(valid);
}


static bool
text_is_shown(gunichar c)
{
    return !g_unichar_iscntrl(c) && !(c >= 0x202a && c <= 0x202e)
           && !(c >= 0x2066 && c <= 0x2069);
}
