/*
 * Copyright (C) ngx_media contributors
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <expat.h>
#include <zip.h>

#include "decoder.h"


/*
 * Office documents in the decoder process, and other ZIP archives: what an
 * archive is, is said by its parts.  No more than the directory and three
 * small parts are read.
 */


#define OFFICE_MEMBERS  10000
#define OFFICE_RATIO    200                     /* of what is larger than */
#define OFFICE_SMALL    (16 * 1024 * 1024)      /* bytes, unpacked */
#define OFFICE_PART     (1024 * 1024)           /* bytes of a part */
#define OFFICE_END      22                      /* bytes of the record that
                                                   ends the directory */

/* deflate adds five bytes to each 16 KiB that cannot be compressed, at most
   (RFC 1951, 3.2.4, as zlib does it) */
#define OFFICE_STORED(size)  ((size) + (size) / 1024 + 64)

#define OOXML    "application/vnd.openxmlformats-officedocument."
#define ODF      "application/vnd.oasis.opendocument."
#define WORD     "application/vnd.ms-word."
#define EXCEL    "application/vnd.ms-excel."
#define POINT    "application/vnd.ms-powerpoint."


typedef struct {
    const char  *part;          /* content type of the main part */
    const char  *type;          /* of the document */
    const char  *macros;        /* the same with macros */
} office_type_t;

typedef struct {
    zip_t                    *zip;
    const decoder_request_t  *req;
    decoder_answer_t         *ans;
    const office_type_t      *type;         /* NULL: none was told yet */
    XML_Parser                parser;
    int64_t                   size;         /* of the file */
    int64_t                   types;        /* index of a member, or -1 */
    int64_t                   mimetype;
    int64_t                   core;
    int64_t                   app;
    int64_t                   meta;
    int                       sheets;
    char                     *text;         /* of the element, or NULL */
    char                      title[256];
    char                      pages[16];
    bool                      macros;
    bool                      animation;
    bool                      encrypted;
    bool                      several;      /* it says that it is two types */
} office_t;


static bool office_count(office_t *office, int in);
static void office_read(office_t *office);
static bool office_many(office_t *office, int64_t files);
static bool office_directory(office_t *office);
static bool office_member(office_t *office, int64_t i, int64_t *total);
static bool office_name(office_t *office, const char *name, int64_t i);
static void office_types(office_t *office);
static void office_mimetype(office_t *office);
static void office_properties(office_t *office);
static char *office_part(office_t *office, int64_t i, size_t *size);
static bool office_parse(office_t *office, int64_t i);
static void office_element(void *data, const char *name, const char **attrs);
static void office_content(office_t *office, const char *type);
static void office_end(void *data, const char *name);
static void office_text(void *data, const char *text, int len);
static void office_doctype(void *data, const char *name, const char *system,
    const char *public, int subset);
static bool office_is(const char *name, const char *local);
static bool office_ends(const char *name, const char *end);


static const office_type_t  office_ooxml[] = {
    { OOXML "wordprocessingml.document.main+xml",
      OOXML "wordprocessingml.document",
      WORD "document.macroenabled.12" },
    { OOXML "wordprocessingml.template.main+xml",
      OOXML "wordprocessingml.template",
      WORD "template.macroenabled.12" },
    { OOXML "spreadsheetml.sheet.main+xml",
      OOXML "spreadsheetml.sheet",
      EXCEL "sheet.macroenabled.12" },
    { OOXML "spreadsheetml.template.main+xml",
      OOXML "spreadsheetml.template",
      EXCEL "template.macroenabled.12" },
    { OOXML "presentationml.presentation.main+xml",
      OOXML "presentationml.presentation",
      POINT "presentation.macroenabled.12" },
    { OOXML "presentationml.slideshow.main+xml",
      OOXML "presentationml.slideshow",
      POINT "slideshow.macroenabled.12" },
    { OOXML "presentationml.template.main+xml",
      OOXML "presentationml.template",
      POINT "template.macroenabled.12" },
    { WORD "document.macroEnabled.main+xml", NULL,
      WORD "document.macroenabled.12" },
    { WORD "template.macroEnabledTemplate.main+xml", NULL,
      WORD "template.macroenabled.12" },
    { EXCEL "sheet.macroEnabled.main+xml", NULL,
      EXCEL "sheet.macroenabled.12" },
    { EXCEL "template.macroEnabled.main+xml", NULL,
      EXCEL "template.macroenabled.12" },
    { EXCEL "addin.macroEnabled.main+xml", NULL,
      EXCEL "addin.macroenabled.12" },
    { EXCEL "sheet.binary.macroEnabled.main", NULL,
      EXCEL "sheet.binary.macroenabled.12" },
    { POINT "presentation.macroEnabled.main+xml", NULL,
      POINT "presentation.macroenabled.12" },
    { POINT "slideshow.macroEnabled.main+xml", NULL,
      POINT "slideshow.macroenabled.12" },
    { POINT "template.macroEnabled.main+xml", NULL,
      POINT "template.macroenabled.12" },
    { POINT "addin.macroEnabled.main+xml", NULL,
      POINT "addin.macroenabled.12" },
    { NULL, NULL, NULL }
};


/* one with macros has no type of its own */
static const char *const  office_odf[] = {
    ODF "text", ODF "spreadsheet", ODF "presentation", ODF "graphics",
    ODF "text-template", ODF "spreadsheet-template",
    ODF "presentation-template", NULL
};


void
decoder_office(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    int                fd;
    office_t           office;
    XML_Expat_Version  expat;

    (void) out;

    if (strcmp(ans->type, "application/encrypted") == 0) {
        decoder_fail(ans, DECODER_ENCRYPTED, "it needs a password");
        return;
    }

    memset(&office, 0, sizeof(office_t));
    office.req = req;
    office.ans = ans;
    office.size = lseek(in, 0, SEEK_END);
    lseek(in, 0, SEEK_SET);

    office.types = office.mimetype = office.core = office.app = office.meta
        = -1;
    expat = XML_ExpatVersionInfo();
    snprintf(ans->made_by, sizeof(ans->made_by), "libzip/%s libexpat/%d.%d.%d",
             zip_libzip_version(), expat.major, expat.minor, expat.micro);

    if (!office_count(&office, in)) {
        return;
    }

    fd = fcntl(in, F_DUPFD_CLOEXEC, 0);
    office.zip = fd == -1 ? NULL : zip_fdopen(fd, 0, NULL);

    if (office.zip == NULL) {
        decoder_fail(ans, DECODER_CORRUPT, "the archive is damaged");

        if (fd != -1) {
            close(fd);
        }

        return;
    }

    office_read(&office);
    zip_discard(office.zip);
}


/* libzip reads all of a directory before it says how long it is; the end of
   one is where a comment may follow (APPNOTE 4.3.16) */
static bool
office_count(office_t *office, int in)
{
    int             files;
    ssize_t         n;
    int64_t         start;
    unsigned char  *p, end[UINT16_MAX + OFFICE_END];

    start = office->size - (int64_t) sizeof(end);
    n = pread(in, end, sizeof(end), start > 0 ? start : 0);

    for (p = end; n - (p - end) >= OFFICE_END; p++) {
        files = p[10] | p[11] << 8;

        if (memcmp(p, "PK\5\6", 4) == 0 && files > OFFICE_MEMBERS) {
            return office_many(office, files);
        }
    }

    return true;
}


static bool
office_many(office_t *office, int64_t files)
{
    office->ans->expands = 1;
    return decoder_fail(office->ans, DECODER_REFUSED,
                        "the archive has %lld files; at most %d are taken",
                        (long long) files, OFFICE_MEMBERS);
}


static void
office_read(office_t *office)
{
    decoder_answer_t  *ans;

    ans = office->ans;

    if (!office_directory(office)) {
        return;
    }

    if (office->encrypted) {
        decoder_fail(ans, DECODER_ENCRYPTED, "it needs a password");
        return;
    }

    if (office->types != -1) {
        office_types(office);

    } else if (office->mimetype != -1) {
        office_mimetype(office);

    /* WhatsApp's Lottie stickers */
    } else if (office->animation) {
        strcpy(ans->type, "application/was");
        return;
    }

    if (ans->error[0] == '\0' && strcmp(ans->type, "application/zip") != 0) {
        office_properties(office);
    }
}


static bool
office_directory(office_t *office)
{
    int64_t            i, n, total;
    decoder_answer_t  *ans;

    ans = office->ans;
    n = zip_get_num_entries(office->zip, 0);

    if (n > OFFICE_MEMBERS) {
        return office_many(office, n);
    }

    total = 0;

    for (i = 0; i < n; i++) {
        if (!office_member(office, i, &total)) {
            return false;
        }
    }

    if (total > office->req->limits.expansion) {
        ans->expands = 1;
        return decoder_fail(ans, DECODER_REFUSED,
                    "the archive expands to %lld MiB; at most %lld are taken",
                    (long long) total >> 20,
                    (long long) office->req->limits.expansion >> 20);
    }

    if (total > OFFICE_SMALL && total / OFFICE_RATIO > office->size) {
        ans->expands = 1;
        return decoder_fail(ans, DECODER_REFUSED,
                            "the archive expands to %lld times its size; "
                            "at most %d times are taken",
                            (long long) (total / office->size), OFFICE_RATIO);
    }

    return true;
}


static bool
office_member(office_t *office, int64_t i, int64_t *total)
{
    zip_stat_t         st;
    decoder_answer_t  *ans;

    ans = office->ans;

    if (zip_stat_index(office->zip, i, ZIP_FL_ENC_RAW, &st) != 0
        || st.size > INT64_MAX / (OFFICE_MEMBERS + 1)
        || st.comp_size > (uint64_t) office->size
        || st.comp_size > OFFICE_STORED(st.size))
    {
        return decoder_fail(ans, DECODER_CORRUPT,
                            "the archive lies about its sizes");
    }

    *total += st.size;
    office->encrypted |= st.encryption_method != ZIP_EM_NONE;

    return office_name(office, st.name, i);
}


/* names of parts do not depend on case (ECMA-376-2, 6.2.2) */
static bool
office_name(office_t *office, const char *name, int64_t i)
{
    size_t    n;
    int64_t  *index;

    const struct {
        const char  *name;
        int64_t     *index;
    } parts[] = {
        { "[Content_Types].xml", &office->types    },
        { "mimetype",            &office->mimetype },
        { "docProps/core.xml",   &office->core     },
        { "docProps/app.xml",    &office->app      },
        { "meta.xml",            &office->meta     },
    };

    index = NULL;

    for (n = 0; n < sizeof(parts) / sizeof(parts[0]); n++) {
        if (strcasecmp(name, parts[n].name) == 0) {
            index = parts[n].index;
        }
    }

    if (index != NULL && *index != -1) {
        return decoder_fail(office->ans, DECODER_CORRUPT,
                            "the archive has a part twice");
    }

    if (index != NULL) {
        *index = i;
    }

    office->animation |= strcmp(name, "animation/animation.json") == 0;
    office->sheets += strncasecmp(name, "xl/worksheets/sheet", 19) == 0;
    office->macros |= office_ends(name, "vbaProject.bin")
                      || strncasecmp(name, "Basic/", 6) == 0
                      || strncasecmp(name, "Scripts/", 8) == 0;

    return true;
}


static void
office_types(office_t *office)
{
    const char  *type;

    if (!office_parse(office, office->types) || office->several) {
        decoder_fail(office->ans, DECODER_CORRUPT,
                     "its content types cannot be told");
        return;
    }

    if (office->type == NULL) {
        return;
    }

    type = office->macros || office->type->type == NULL
           ? office->type->macros : office->type->type;
    snprintf(office->ans->type, sizeof(office->ans->type), "%s", type);
}


/* OpenDocument 1.3, part 2, 3.3 */
static void
office_mimetype(office_t *office)
{
    char               *type;
    size_t              size;
    const char *const  *t;

    type = office_part(office, office->mimetype, &size);

    if (type == NULL || office->macros) {
        free(type);
        return;
    }

    for (t = office_odf; *t != NULL; t++) {
        if (size == strlen(*t) && memcmp(type, *t, size) == 0) {
            strcpy(office->ans->type, *t);
        }
    }

    free(type);
}


/* what the author's program noted; nothing depends on it */
static void
office_properties(office_t *office)
{
    int64_t            parts[] = { office->core, office->app, office->meta };
    size_t             i;
    decoder_answer_t  *ans;

    ans = office->ans;

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i] != -1) {
            (void) office_parse(office, parts[i]);
        }
    }

    decoder_title(ans, office->title);
    ans->pages = office->sheets;

    if (ans->pages == 0 && strlen(office->pages) < 8) {
        ans->pages = atoi(office->pages);
    }

    if (ans->pages < 0) {
        ans->pages = 0;
    }
}


/* to be freed */
static char *
office_part(office_t *office, int64_t i, size_t *size)
{
    char          *bytes;
    zip_stat_t     st;
    zip_file_t    *file;
    zip_int64_t    n;

    if (zip_stat_index(office->zip, i, ZIP_FL_ENC_RAW, &st) != 0
        || st.size > OFFICE_PART)
    {
        return NULL;
    }

    file = zip_fopen_index(office->zip, i, 0);
    bytes = malloc(st.size + 1);
    n = file == NULL || bytes == NULL ? -1
        : zip_fread(file, bytes, st.size + 1);

    if (file != NULL && zip_fclose(file) != 0) {
        n = -1;
    }

    if (n < 0 || (uint64_t) n != st.size) {
        free(bytes);
        return NULL;
    }

    *size = n;
    return bytes;
}


static bool
office_parse(office_t *office, int64_t i)
{
    bool    ok;
    char   *bytes;
    size_t  size;

    bytes = office_part(office, i, &size);

    if (bytes == NULL) {
        return false;
    }

    office->text = NULL;
    office->parser = XML_ParserCreate(NULL);

    if (office->parser == NULL) {
        free(bytes);
        return false;
    }

    XML_SetUserData(office->parser, office);
    XML_SetElementHandler(office->parser, office_element, office_end);
    XML_SetCharacterDataHandler(office->parser, office_text);
    XML_SetStartDoctypeDeclHandler(office->parser, office_doctype);

    ok = XML_Parse(office->parser, bytes, size, 1) == XML_STATUS_OK;
    XML_ParserFree(office->parser);
    free(bytes);

    return ok;
}


static void
office_element(void *data, const char *name, const char **attrs)
{
    office_t  *office;

    office = data;

    office->text = office_is(name, "title") ? office->title
                   : office_is(name, "Pages") || office_is(name, "Slides")
                   ? office->pages : NULL;

    if (office->text != NULL) {
        *office->text = '\0';
    }

    for ( /* void */ ; attrs[0] != NULL; attrs += 2) {

        if (office_is(attrs[0], "ContentType")) {
            office_content(office, attrs[1]);

        } else if (office_is(attrs[0], "page-count")
                   || (office_is(attrs[0], "table-count")
                       && strstr(office->ans->type, "sheet") != NULL))
        {
            snprintf(office->pages, sizeof(office->pages), "%s", attrs[1]);
        }
    }
}


static void
office_content(office_t *office, const char *type)
{
    const office_type_t  *t;

    if (strcasestr(type, "vbaProject") != NULL
        || strcasestr(type, "macroEnabled") != NULL)
    {
        office->macros = true;
    }

    for (t = office_ooxml; t->part != NULL; t++) {

        if (strcasecmp(t->part, type) != 0) {
            continue;
        }

        office->several |= office->type != NULL && office->type != t;
        office->type = t;
    }
}


static void
office_end(void *data, const char *name)
{
    office_t  *office;

    (void) name;

    office = data;
    office->text = NULL;
}


/* what is too long is cut */
static void
office_text(void *data, const char *text, int len)
{
    size_t     n, size;
    office_t  *office;

    office = data;

    if (office->text == NULL) {
        return;
    }

    size = office->text == office->title ? sizeof(office->title)
                                         : sizeof(office->pages);
    n = strlen(office->text);

    snprintf(office->text + n, size - n, "%.*s", len, text);
}


/* no part of these formats has one: it could define entities */
static void
office_doctype(void *data, const char *name, const char *system,
    const char *public, int subset)
{
    office_t  *office;

    (void) name;
    (void) system;
    (void) public;
    (void) subset;

    office = data;
    XML_StopParser(office->parser, XML_FALSE);
}


/* a name without its namespace's prefix */
static bool
office_is(const char *name, const char *local)
{
    const char  *p;

    p = strrchr(name, ':');

    return strcmp(p != NULL ? p + 1 : name, local) == 0;
}


static bool
office_ends(const char *name, const char *end)
{
    size_t  len;

    len = strlen(name);

    return len >= strlen(end)
           && strcasecmp(name + len - strlen(end), end) == 0;
}
