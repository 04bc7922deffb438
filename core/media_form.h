/*
 * Copyright (C) ngx_media contributors
 *
 * multipart/form-data (RFC 7578, RFC 2046), read as it arrives, in pieces of
 * any size.  What two readers might understand differently is refused: text
 * before the first boundary or after the last, a boundary followed by
 * anything but its line's end, bare CR or LF in a header, folded lines,
 * parameters without a value or given twice, a transfer encoding.
 */

#ifndef MEDIA_FORM_H
#define MEDIA_FORM_H

#include "media_core.h"
#include "media_disposition.h"


#define MEDIA_FORM_BOUNDARY_MAX  70         /* RFC 2046, section 5.1.1 */
#define MEDIA_FORM_HEADER_MAX    4096       /* bytes of a part's header */


/* what a part's header says; valid while begin() runs */
typedef struct {
    media_str_t    name;
    media_str_t    file_name;       /* as media_disposition_name() gives it */
    media_str_t    type;            /* Content-Type; may be empty */
    unsigned       file:1;          /* has a filename or filename* */
} media_form_part_t;


/* each returns MEDIA_OK, or what media_form_feed() is to return; end is NULL
   if nobody asks for it */
typedef struct {
    int          (*begin)(void *data, const media_form_part_t *part);
    /* p points into what was fed, or into the media_form_t */
    int          (*piece)(void *data, const char *p, size_t len);
    int          (*end)(void *data);
} media_form_handler_t;


typedef struct {
    unsigned       parts;           /* most there may be */
    size_t         field;           /* most bytes of one that is no file */
} media_form_limits_t;


/* the caller's memory; the members are media_form.c's */
typedef struct {
    const media_form_handler_t  *handler;
    void                        *data;
    media_form_limits_t          limits;
    unsigned                     state;
    unsigned                     parts;     /* begun */
    size_t                       field;     /* bytes of this part, no file */
    size_t                       matched;   /* bytes of the delimiter */
    size_t                       delimiter_len;
    size_t                       header_len;
    char                         delimiter[4 + MEDIA_FORM_BOUNDARY_MAX];
    char                         header[MEDIA_FORM_HEADER_MAX];
    unsigned                     file:1;
} media_form_t;


/* 1 if a Content-Type is multipart/form-data, whatever its parameters */
int media_form_type(media_str_t content_type);

/*
 * Starts with the boundary of the request's Content-Type.  MEDIA_OK or
 * MEDIA_ERROR: no multipart/form-data, or no boundary, or two of them.
 */
int media_form_init(media_form_t *form, media_str_t content_type,
    const media_form_limits_t *limits, const media_form_handler_t *handler,
    void *data);

/*
 * MEDIA_OK; MEDIA_ERROR, malformed; MEDIA_NOSPACE, a limit was exceeded; or
 * what a handler returned.  After anything but MEDIA_OK it returns
 * MEDIA_ERROR.
 */
int media_form_feed(media_form_t *form, const char *p, size_t len);

/* MEDIA_OK if the last boundary was read, else MEDIA_ERROR */
int media_form_finish(const media_form_t *form);

#endif
