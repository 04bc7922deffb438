/*
 * Copyright (C) ngx_media contributors
 *
 * MIME policy and the names of formats.  One table folds the aliases that
 * clients, phones and libmagic use for one format to one name each.
 */

#include "media_mime.h"


#define KIB  1024LL
#define MIB  (1024 * KIB)
#define DAY  86400LL

#define OOXML  "application/vnd.openxmlformats-officedocument."
#define DOCX   OOXML "wordprocessingml.document"
#define XLSX   OOXML "spreadsheetml.sheet"
#define PPTX   OOXML "presentationml.presentation"


typedef struct {
    const char  *name;
    const char  *other;
} mime_pair_t;


typedef struct {
    const char        *name;
    int64_t            max_size;
    int64_t            ttl;
    const char *const *types;
} mime_default_t;


typedef struct {
    const char        *type;
    const char        *extension;
} mime_format_t;


static void mime_fold(char *dst, size_t size, media_str_t mime);
static media_str_t mime_bare(media_str_t mime);
static int mime_set_types(media_mime_rule_t *rule, media_str_t value);
static int mime_token(const char *p, size_t len);
static int mime_number(int64_t *n, media_str_t value, const char *suffixes,
    const int64_t *factors);
static int mime_pair(const mime_pair_t *pairs, size_t n, const char *name,
    const char *other);
static int mime_prefix(const char *mime, const char *prefix);
static char mime_lower(char ch);


static const char *const  image_types[] = {
    "image/jpeg", "image/png", "image/gif", "image/webp", "image/heic",
    "image/heif", NULL
};

static const char *const  audio_types[] = {
    "audio/mpeg", "audio/ogg", "audio/wav", "audio/aac", "audio/mp4",
    "audio/amr", "audio/opus", NULL
};

static const char *const  document_types[] = {
    "application/pdf", "application/msword", DOCX, "application/vnd.ms-excel",
    XLSX, "application/vnd.ms-powerpoint", PPTX, "text/plain", "text/csv",
    NULL
};

static const char *const  video_types[] = {
    "video/mp4", "video/quicktime", "video/x-msvideo", "video/3gpp", NULL
};

static const char *const  sticker_types[] = {
    "image/webp", "application/was", NULL
};

static const char *const  profile_pic_types[] = {
    "image/jpeg", "image/png", "image/webp", NULL
};

static const char *const  no_types[] = { NULL };


/* indexed by media_category_t */
static const mime_default_t  categories[MEDIA_CATEGORY_MAX] = {
    { "other", 0, DAY, no_types },
    { "image", 10 * MIB, 7 * DAY, image_types },
    { "audio", 16 * MIB, 3 * DAY, audio_types },
    { "document", 25 * MIB, DAY, document_types },
    { "video", 50 * MIB, 7 * DAY, video_types },
    { "sticker", MIB, 7 * DAY, sticker_types },
    { "profile_pic", 5 * MIB, 0, profile_pic_types }
};


/* a name of a format, and the one we use */
static const mime_pair_t  aliases[] = {
    { "image/jpg", "image/jpeg" },
    { "image/pjpeg", "image/jpeg" },
    { "image/x-png", "image/png" },
    { "image/heic-sequence", "image/heic" },
    { "image/heif", "image/heic" },
    { "image/heif-sequence", "image/heic" },
    { "audio/mp3", "audio/mpeg" },
    { "audio/x-mp3", "audio/mpeg" },
    { "audio/mpeg3", "audio/mpeg" },
    { "audio/x-mpeg", "audio/mpeg" },
    { "audio/opus", "audio/ogg" },
    { "audio/x-opus+ogg", "audio/ogg" },
    { "audio/x-ogg", "audio/ogg" },
    { "audio/vorbis", "audio/ogg" },
    { "application/ogg", "audio/ogg" },
    { "audio/x-wav", "audio/wav" },
    { "audio/wave", "audio/wav" },
    { "audio/vnd.wave", "audio/wav" },
    { "audio/x-aac", "audio/aac" },
    { "audio/aacp", "audio/aac" },
    { "audio/x-hx-aac-adts", "audio/aac" },
    { "audio/x-hx-aac-adif", "audio/aac" },
    { "audio/x-m4a", "audio/mp4" },
    { "audio/m4a", "audio/mp4" },
    { "audio/mp4a-latm", "audio/mp4" },
    { "audio/amr-nb", "audio/amr" },
    { "audio/amr-wb", "audio/amr" },
    { "audio/x-amr", "audio/amr" },
    { "video/x-m4v", "video/mp4" },
    { "video/mov", "video/quicktime" },
    { "video/avi", "video/x-msvideo" },
    { "video/msvideo", "video/x-msvideo" },
    { "video/vnd.avi", "video/x-msvideo" },
    { "video/3gp", "video/3gpp" },
    { "video/3gpp2", "video/3gpp" },
    { "application/x-pdf", "application/pdf" },
    { "application/vnd.msword", "application/msword" },
    { "application/msexcel", "application/vnd.ms-excel" },
    { "application/x-msexcel", "application/vnd.ms-excel" },
    { "application/excel", "application/vnd.ms-excel" },
    { "application/mspowerpoint", "application/vnd.ms-powerpoint" },
    { "application/csv", "text/csv" },
    { "text/x-csv", "text/csv" },
    { "text/comma-separated-values", "text/csv" },
    { "application/xml", "text/xml" },
    { "text/json", "application/json" },
    { "text/x-vcard", "text/vcard" },
    { "text/directory", "text/vcard" },
    { "application/x-zip-compressed", "application/zip" },
    { "application/x-zip", "application/zip" },
    { "application/x-cdf", "application/cdfv2" },
    { "application/x-ole-storage", "application/cdfv2" },
    { "application/vnd.ms-office", "application/cdfv2" },
    { "binary/octet-stream", "application/octet-stream" }
};


/* declared, and what libmagic may rightly say of such a file */
static const mime_pair_t  compatible[] = {
    { DOCX, "application/encrypted" },      /* a password hides the rest */
    { XLSX, "application/encrypted" },
    { PPTX, "application/encrypted" },
    { "application/was", "application/zip" },
    { "application/zip", "application/was" },
    { "application/msword", "application/cdfv2" },
    { "application/vnd.ms-excel", "application/cdfv2" },
    { "application/vnd.ms-powerpoint", "application/cdfv2" },
    { "application/vnd.ms-excel", "text/csv" },     /* Windows' type of .csv */
    { "application/vnd.ms-excel", "text/plain" },
    { "application/json", "text/plain" },   /* a long one */
    { "application/json", "application/x-ndjson" },
    { "text/csv", "text/plain" },
    { "text/csv", "inode/x-empty" },
    { "text/plain", "text/csv" },
    { "text/plain", "application/json" },
    { "text/plain", "application/x-ndjson" },
    { "text/plain", "message/rfc822" },
    { "text/plain", "inode/x-empty" },
    { "text/plain", "application/octet-stream" },   /* a byte or two */
    { "text/csv", "application/octet-stream" },
    { "audio/mp4", "video/mp4" },
    { "audio/mp4", "audio/aac" },
    { "audio/aac", "audio/mp4" },
    { "audio/aac", "video/mp4" },
    { "audio/3gpp", "video/3gpp" },
    { "audio/ogg", "video/ogg" },
    { "audio/mpeg", "application/octet-stream" },   /* frames without ID3 */
    { "audio/aac", "application/octet-stream" },
    { "audio/webm", "video/webm" },
    { "video/mp4", "video/quicktime" },
    { "video/mp4", "video/3gpp" },
    { "video/quicktime", "video/mp4" },
    { "video/3gpp", "video/mp4" }
};


static const mime_format_t  formats[] = {
    { "image/jpeg", "jpg" },
    { "image/png", "png" },
    { "image/gif", "gif" },
    { "image/webp", "webp" },
    { "image/heic", "heic" },
    { "image/heic", "heif" },
    { "image/jpeg", "jpeg" },
    { "audio/mpeg", "mp3" },
    { "audio/ogg", "ogg" },
    { "audio/ogg", "opus" },
    { "audio/ogg", "oga" },
    { "audio/wav", "wav" },
    { "audio/aac", "aac" },
    { "audio/mp4", "m4a" },
    { "audio/amr", "amr" },
    { "audio/3gpp", "3ga" },
    { "audio/webm", "weba" },
    { "video/mp4", "mp4" },
    { "video/mp4", "m4v" },
    { "video/quicktime", "mov" },
    { "video/x-msvideo", "avi" },
    { "video/3gpp", "3gp" },
    { "video/webm", "webm" },
    { "application/was", "was" },
    { "application/pdf", "pdf" },
    { "application/msword", "doc" },
    { DOCX, "docx" },
    { "application/vnd.ms-excel", "xls" },
    { XLSX, "xlsx" },
    { "application/vnd.ms-powerpoint", "ppt" },
    { PPTX, "pptx" },
    { "text/plain", "txt" },
    { "text/csv", "csv" },
    { "application/zip", "zip" },
    { "application/json", "json" }
};

#define N(array)  (sizeof(array) / sizeof(array[0]))
#define MIME_MAX  128                   /* bytes of one type, with a zero */


void
media_mime_defaults(media_mime_policy_t *policy)
{
    size_t              i, n;
    const char         *type;
    media_mime_rule_t  *rule;

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        rule = &policy->rules[i];

        rule->max_size = categories[i].max_size;
        rule->ttl = categories[i].ttl;

        for (n = 0; categories[i].types[n]; n++) {
            type = categories[i].types[n];
            media_str_set(&rule->types[n], type, strlen(type));
        }

        rule->ntypes = n;
    }
}


void
media_mime_copy(media_mime_policy_t *dst, const media_mime_policy_t *src)
{
    size_t                    i, n;
    const char               *p;
    media_mime_rule_t        *rule;
    const media_mime_rule_t  *from;

    *dst = *src;

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        rule = &dst->rules[i];
        from = &src->rules[i];

        for (n = 0; n < from->ntypes; n++) {
            p = from->types[n].data;

            if (p >= from->text && p < from->text + MEDIA_MIME_TEXT_MAX) {
                rule->types[n].data = rule->text + (p - from->text);
            }
        }
    }
}


int
media_mime_set(media_mime_policy_t *policy, media_category_t category,
    const char *property, media_str_t value)
{
    int64_t             n;
    media_mime_rule_t  *rule;

    static const int64_t  sizes[] = { KIB, MIB, KIB * MIB };
    static const int64_t  times[] = { 1, 60, 3600, DAY };

    rule = &policy->rules[category];

    if (strcmp(property, "max_size") == 0) {

        if (mime_number(&n, value, "kmg", sizes) != MEDIA_OK || n == 0) {
            return MEDIA_ERROR;
        }

        rule->max_size = n;

        return MEDIA_OK;
    }

    if (strcmp(property, "ttl") == 0) {

        if (mime_number(&n, value, "smhd", times) != MEDIA_OK) {
            return MEDIA_ERROR;
        }

        rule->ttl = n;

        return MEDIA_OK;
    }

    if (strcmp(property, "types") == 0) {
        return mime_set_types(rule, value);
    }

    return MEDIA_ERROR;
}


static int
mime_number(int64_t *n, media_str_t value, const char *suffixes,
    const int64_t *factors)
{
    size_t       i;
    int64_t      factor;
    const char  *suffix;

    factor = 1;

    if (value.len > 1) {
        suffix = strchr(suffixes, mime_lower(value.data[value.len - 1]));

        if (suffix && *suffix) {
            factor = factors[suffix - suffixes];
            value.len--;
        }
    }

    if (value.len == 0 || value.len > 15) {
        return MEDIA_ERROR;
    }

    *n = 0;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return MEDIA_ERROR;
        }

        *n = *n * 10 + (value.data[i] - '0');
    }

    if (*n > INT64_MAX / factor) {
        return MEDIA_ERROR;
    }

    *n *= factor;

    return MEDIA_OK;
}


/* the rule stays as it was if the list is malformed */

static int
mime_set_types(media_mime_rule_t *rule, media_str_t value)
{
    char    ch;
    size_t  i, n, start;

    if (value.len > MEDIA_MIME_TEXT_MAX) {
        return MEDIA_ERROR;
    }

    n = 0;
    start = 0;

    for (i = 0; i <= value.len; i++) {
        ch = i < value.len ? value.data[i] : ',';

        if (ch != ',' && ch != ' ' && ch != '\t') {
            continue;
        }

        if (i > start) {
            if (n++ == MEDIA_MIME_TYPES_MAX
                || !mime_token(value.data + start, i - start))
            {
                return MEDIA_ERROR;
            }
        }

        start = i + 1;
    }

    rule->ntypes = 0;
    start = 0;

    for (i = 0; i <= value.len; i++) {
        ch = i < value.len ? mime_lower(value.data[i]) : ',';

        if (ch != ',' && ch != ' ' && ch != '\t') {
            rule->text[i] = ch;
            continue;
        }

        if (i > start) {
            media_str_set(&rule->types[rule->ntypes], rule->text + start,
                          i - start);
            rule->ntypes++;
        }

        start = i + 1;
    }

    return MEDIA_OK;
}


/* RFC 6838: type "/" subtype */

static int
mime_token(const char *p, size_t len)
{
    char    ch;
    size_t  i, slashes;

    if (len >= MIME_MAX || p[0] == '/' || p[len - 1] == '/') {
        return 0;
    }

    slashes = 0;

    for (i = 0; i < len; i++) {
        ch = mime_lower(p[i]);

        if (ch == '/') {
            slashes++;

        } else if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')
                     || memchr("!#$&-^_.+", ch, 9)))
        {
            return 0;
        }
    }

    return slashes == 1;
}


const char *
media_category_name(media_category_t category)
{
    return categories[category].name;
}


media_category_t
media_category_by_name(media_str_t name)
{
    size_t  i;

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        if (strlen(categories[i].name) == name.len
            && memcmp(categories[i].name, name.data, name.len) == 0)
        {
            return (media_category_t) i;
        }
    }

    return MEDIA_CATEGORY_OTHER;
}


media_category_t
media_category_by_mime(media_str_t mime)
{
    char  type[MIME_MAX];

    mime_fold(type, sizeof(type), mime);

    if (type[0] == '\0') {
        return MEDIA_CATEGORY_OTHER;
    }

    if (mime_prefix(type, "image/")) {
        return MEDIA_CATEGORY_IMAGE;
    }

    if (mime_prefix(type, "audio/")) {
        return MEDIA_CATEGORY_AUDIO;
    }

    if (mime_prefix(type, "video/")) {
        return MEDIA_CATEGORY_VIDEO;
    }

    return MEDIA_CATEGORY_DOCUMENT;
}


int
media_mime_allowed(const media_mime_policy_t *policy,
    media_category_t category, media_str_t mime)
{
    char                      type[MIME_MAX], other[MIME_MAX];
    size_t                    i;
    const media_mime_rule_t  *rule;

    rule = &policy->rules[category];

    mime_fold(type, sizeof(type), mime);

    if (type[0] == '\0') {
        return 0;
    }

    for (i = 0; i < rule->ntypes; i++) {
        mime_fold(other, sizeof(other), rule->types[i]);

        if (strcmp(type, other) == 0) {
            return 1;
        }
    }

    return 0;
}


int
media_mime_matches(media_str_t declared, media_str_t detected)
{
    char  a[MIME_MAX], b[MIME_MAX];

    mime_fold(a, sizeof(a), declared);
    mime_fold(b, sizeof(b), detected);

    if (b[0] == '\0') {
        return 0;
    }

    if (a[0] == '\0' || strcmp(a, b) == 0
        || strcmp(a, "application/octet-stream") == 0)
    {
        return 1;
    }

    /* source code and the like; but a page is no plain text */

    if (strcmp(a, "text/plain") == 0 && mime_prefix(b, "text/")
        && strcmp(b, "text/html") != 0 && strcmp(b, "text/xml") != 0)
    {
        return 1;
    }

    return mime_pair(compatible, N(compatible), a, b);
}


const char *
media_mime_extension(media_str_t mime)
{
    char    type[MIME_MAX];
    size_t  i;

    mime_fold(type, sizeof(type), mime);

    for (i = 0; i < N(formats); i++) {
        if (strcmp(formats[i].type, type) == 0) {
            return formats[i].extension;
        }
    }

    return "bin";
}


media_category_t
media_category_by_key(media_str_t key)
{
    size_t       i, n, len;
    media_str_t  mime;
    const char  *p;

    if (key.len > 13 && memcmp(key.data, "profile_pics/", 13) == 0) {
        return MEDIA_CATEGORY_PROFILE_PIC;
    }

    for (len = 0; len < key.len; len++) {
        if (key.data[key.len - len - 1] == '/') {
            return MEDIA_CATEGORY_OTHER;
        }

        if (key.data[key.len - len - 1] == '.') {
            break;
        }
    }

    if (len == 0 || len == key.len) {
        return MEDIA_CATEGORY_OTHER;
    }

    p = key.data + key.len - len;

    for (i = 0; i < N(formats); i++) {

        if (strlen(formats[i].extension) != len) {
            continue;
        }

        for (n = 0; n < len; n++) {
            if (mime_lower(p[n]) != formats[i].extension[n]) {
                break;
            }
        }

        if (n == len) {

            if (strcmp(formats[i].type, "application/was") == 0) {
                return MEDIA_CATEGORY_STICKER;
            }

            media_str_set(&mime, formats[i].type, strlen(formats[i].type));

            return media_category_by_mime(mime);
        }
    }

    return MEDIA_CATEGORY_DOCUMENT;
}


/* writes the type in lower case, without parameters, by its usual name */

static void
mime_fold(char *dst, size_t size, media_str_t mime)
{
    size_t  i;

    mime = mime_bare(mime);

    if (mime.len >= size) {
        mime.len = size - 1;
    }

    for (i = 0; i < mime.len; i++) {
        dst[i] = mime_lower(mime.data[i]);
    }

    dst[mime.len] = '\0';

    for (i = 0; i < N(aliases); i++) {
        if (strcmp(dst, aliases[i].name) == 0) {
            memcpy(dst, aliases[i].other, strlen(aliases[i].other) + 1);
            return;
        }
    }
}


static media_str_t
mime_bare(media_str_t mime)
{
    const char  *p;

    p = mime.len ? memchr(mime.data, ';', mime.len) : NULL;

    if (p) {
        mime.len = (size_t) (p - mime.data);
    }

    while (mime.len && (*mime.data == ' ' || *mime.data == '\t')) {
        mime.data++;
        mime.len--;
    }

    while (mime.len && (mime.data[mime.len - 1] == ' '
                        || mime.data[mime.len - 1] == '\t'))
    {
        mime.len--;
    }

    return mime;
}


static int
mime_pair(const mime_pair_t *pairs, size_t n, const char *name,
    const char *other)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (strcmp(pairs[i].name, name) == 0
            && strcmp(pairs[i].other, other) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static int
mime_prefix(const char *mime, const char *prefix)
{
    return strncmp(mime, prefix, strlen(prefix)) == 0;
}


static char
mime_lower(char ch)
{
    return ch >= 'A' && ch <= 'Z' ? (char) (ch | 0x20) : ch;
}
