/*
 * Copyright (C) ngx_media contributors
 *
 * Which type a file is stored as, by the type it was declared as and the
 * type of its content; docs/types.md has the table.
 */

#include <string.h>
#include <strings.h>

#include "decoder.h"
#include "media_worker.h"


static bool ingest_is_sticker(const attachment_t *a);
static bool ingest_unknown_allowed(const attachment_t *a);
static bool ingest_is_archive(const char *type);
static bool ingest_is_page(const char *type);


/*
 * The content decides: the declared type is kept, with its parameters, only
 * if it names the same format.
 */
bool
ingest_type(attachment_t *a)
{
    size_t       i;
    media_str_t  declared, sniffed, type;

    /* what even libmagic dies of is nothing that anybody may run */
    if (a->sniffed[0] == '\0' && a->category == MEDIA_CATEGORY_DOCUMENT) {
        strcpy(a->sniffed, "application/octet-stream");
        strcpy(a->type, a->sniffed);
        return true;
    }

    if (a->sniffed[0] == '\0') {
        fetch_reason(a, "the type of the content cannot be told");
        return false;
    }

    media_str_set(&sniffed, a->sniffed, strlen(a->sniffed));
    media_str_set(&declared, a->declared, strlen(a->declared));

    if (a->size == 0 && a->category != MEDIA_CATEGORY_DOCUMENT) {
        fetch_reason(a, "the file is empty");
        return false;
    }

    for (i = 0; i < declared.len; i++) {
        if (declared.data[i] < 0x20 || declared.data[i] > 0x7e) {
            declared.len = 0;
        }
    }

    if (declared.len >= sizeof(a->type)) {
        declared.len = strcspn(a->declared, "; ");
    }

    type = declared;

    if (declared.len == 0 || declared.len >= sizeof(a->type)
        || ingest_is_sticker(a)
        || strncasecmp(a->declared, "application/octet-stream", 24) == 0)
    {
        type = sniffed;

    } else if (!media_mime_matches(declared, sniffed)
               && !ingest_unknown_allowed(a))
    {
        fetch_reason(a, "declared %.80s, content is %s", a->declared,
                     a->sniffed);
        return false;
    }

    snprintf(a->type, sizeof(a->type), "%.*s", (int) type.len, type.data);
    return true;
}


/* some clients call a Lottie sticker a WebP */
static bool
ingest_is_sticker(const attachment_t *a)
{
    static const char  types[] = "image/webp application/was";

    return a->category == MEDIA_CATEGORY_STICKER
           && decoder_takes(types, a->declared)
           && decoder_takes(types, a->sniffed);
}


/* documents have formats that libmagic does not know, and text has dialects;
   neither may hide a page that a browser would run */
static bool
ingest_unknown_allowed(const attachment_t *a)
{
    if (a->category != MEDIA_CATEGORY_DOCUMENT) {
        return false;
    }

    if (strcmp(a->sniffed, "application/x-empty") == 0) {
        return true;
    }

    if (strcmp(a->sniffed, "application/octet-stream") == 0) {
        return !ingest_is_archive(a->declared) && !ingest_is_page(a->declared);
    }

    return strncasecmp(a->declared, "text/", 5) == 0
           && !ingest_is_page(a->declared)
           && ((strncmp(a->sniffed, "text/", 5) == 0
                && strcmp(a->sniffed, "text/html") != 0
                && strcmp(a->sniffed, "text/xml") != 0)
               || strcmp(a->sniffed, "application/json") == 0
               || strcmp(a->sniffed, "application/csv") == 0);
}


/* what is known by its parts is not taken for what it was declared without
   them: it could have macros */
static bool
ingest_is_archive(const char *type)
{
    return strncasecmp(type, "application/vnd.openxmlformats-", 31) == 0
           || strncasecmp(type, "application/vnd.oasis.", 22) == 0
           || strcasestr(type, ".macroenabled") != NULL;
}


static bool
ingest_is_page(const char *type)
{
    return strncasecmp(type, "text/html", 9) == 0
           || strncasecmp(type, "application/xhtml", 17) == 0
           || strncasecmp(type, "image/svg", 9) == 0;
}
