/*
 * Copyright (C) ngx_media contributors
 *
 * A streaming JSON reader over yajl with bounded depth and memory: RFC 8259
 * to the letter, one text, trailing white space only.  A string value longer
 * than limits.string is never collected: it is handed on in pieces, or left
 * out and reported by its place in the input.  Strings are UTF-8 and may hold
 * U+0000; an unpaired surrogate escape, which the grammar allows, is handed
 * on as U+FFFD.
 */

#ifndef MEDIA_JSON_H
#define MEDIA_JSON_H

#include "media_core.h"


#define MEDIA_JSON_TOKEN_MAX  1024      /* bytes of a number */
#define MEDIA_JSON_KEY_MAX    4096      /* bytes of an object's key */


typedef struct media_json_s  media_json_t;


typedef struct {
    unsigned  depth;            /* nesting, e.g. 64 */
    size_t    string;           /* bytes a collected string may have */
} media_json_limits_t;


/*
 * Callbacks return 1 to go on, 0 to stop (media_json_feed() then returns
 * MEDIA_DENIED).  Any may be NULL.  Numbers are handed on as text.
 */
typedef struct {
    int  (*null)(void *data);
    int  (*boolean)(void *data, int value);
    int  (*number)(void *data, const char *s, size_t len);
    int  (*string)(void *data, const char *s, size_t len);
    int  (*start_map)(void *data);
    int  (*map_key)(void *data, const char *s, size_t len);
    int  (*end_map)(void *data);
    int  (*start_array)(void *data);
    int  (*end_array)(void *data);

    /*
     * A string value beyond limits.string.  If long_piece is set it gets the
     * unescaped text in pieces, from its beginning, then once with len 0;
     * string is not called for it.  Else long_string is called once with the
     * offset and length of the raw text between the quotes.
     */
    int  (*long_piece)(void *data, const char *s, size_t len);
    int  (*long_string)(void *data, uint64_t offset, uint64_t len);
} media_json_handler_t;


/*
 * Returns NULL if out of memory.  handler and limits are copied.  A caller
 * who only checks the text sets limits.string to 0: then nothing is collected
 * but keys.
 */
media_json_t *media_json_create(const media_json_handler_t *handler,
    const media_json_limits_t *limits, void *data);

/* MEDIA_OK, MEDIA_ERROR (not JSON, too deep), MEDIA_DENIED (stopped) */
int media_json_feed(media_json_t *json, const char *s, size_t len);

/* Ends the text: MEDIA_ERROR if it is incomplete or empty. */
int media_json_finish(media_json_t *json);

/*
 * Within the callbacks string and map_key: where that string's raw text, the
 * bytes between its quotes, begins in the input, and its length there.
 */
void media_json_place(const media_json_t *json, uint64_t *offset,
    uint64_t *len);

/*
 * Writes s as it stands between the quotes of a JSON string, no zero.  The
 * text is not checked to be UTF-8.  Returns the length or MEDIA_NOSPACE;
 * 6 * len is always enough.
 */
ssize_t media_json_write(char *dst, size_t size, media_str_t s);

/* What was wrong and where ("unexpected character at byte 17"), or "". */
const char *media_json_error(const media_json_t *json);

void media_json_free(media_json_t *json);

#endif
