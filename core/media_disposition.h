/*
 * Copyright (C) ngx_media contributors
 *
 * Content-Disposition (RFC 6266, RFC 8187): under which name a file from a
 * customer is saved, and whether a browser may show it.
 */

#ifndef MEDIA_DISPOSITION_H
#define MEDIA_DISPOSITION_H

#include "media_core.h"


#define MEDIA_DISPOSITION_NAME_MAX  255     /* bytes of a name, UTF-8 */
#define MEDIA_DISPOSITION_MAX       1344    /* bytes of a written value */
#define MEDIA_DISPOSITION_COMPACT_MAX  544


/*
 * MEDIA_OK if a Content-Type is one "type/subtype" of token characters, with
 * parameters or without; else MEDIA_ERROR.  A comma is refused also within
 * parameters: browsers read a list and take its last type.
 */
int media_disposition_type_check(media_str_t type);

/*
 * 1 if a browser may show a file of this Content-Type in its own window:
 * images without scripts, audio, video, PDF and plain text; 0 for all else,
 * SVG, HTML, XML and what is not known included.
 */
int media_disposition_inline(media_str_t type);

/*
 * Takes the file name out of a Content-Disposition value, filename* before
 * filename, as UTF-8: the last component of a path, without control and
 * direction characters, leading dots, dots and spaces at the end, at most
 * MEDIA_DISPOSITION_NAME_MAX bytes with the extension kept.  No zero is
 * written.  Returns its length, 0 if there is none.
 */
size_t media_disposition_name(char dst[MEDIA_DISPOSITION_NAME_MAX],
    media_str_t value);

/*
 * Writes the same in fewer bytes, for a cache: the type and a quoted file
 * name in UTF-8, which other headers than ours must not have.  No zero is
 * written.  Returns the length.
 */
size_t media_disposition_compact(char dst[MEDIA_DISPOSITION_COMPACT_MAX],
    media_str_t stored);

/*
 * Writes the value for a response: stored is the object's own, may be empty,
 * key its key, whose last component is the name if stored has none.  What is
 * stored as attachment stays one.  No zero is written.  Returns the length.
 */
size_t media_disposition_format(char dst[MEDIA_DISPOSITION_MAX],
    media_str_t stored, media_str_t key, media_str_t type);

#endif
