/*
 * Copyright (C) ngx_media contributors
 *
 * What may be uploaded, and the keys it gets.
 */

#include <openssl/rand.h>

#include "media_codec.h"
#include "media_upload.h"


#define UPLOAD_CONVERSATION_MAX  18         /* digits: those of an int64_t */
#define UPLOAD_EXTENSION_MAX     15
#define UPLOAD_EXPIRES_MAX       604800     /* seconds that S3 allows */


static media_upload_error_t upload_check_name(media_str_t name);
static media_upload_error_t upload_check_type(media_str_t type);
static int upload_token_char(char ch);
static int upload_digits(media_str_t s, size_t max);
static int upload_text(media_str_t s);
static int upload_allowed(const media_mime_policy_t *policy,
    media_kind_t kind, media_str_t type);
static int upload_recorded(media_str_t type);
static int upload_uuid(char dst[MEDIA_KEY_UUID_LEN + 1]);
static int upload_has_extension(media_str_t name);


/* indexed by media_kind_t */
static const struct {
    const char       *name;
    media_category_t  category;
} kinds[] = {
    { "", MEDIA_CATEGORY_OTHER },
    { "text", MEDIA_CATEGORY_OTHER },
    { "location", MEDIA_CATEGORY_OTHER },
    { "image", MEDIA_CATEGORY_IMAGE },
    { "audio", MEDIA_CATEGORY_AUDIO },
    { "voice", MEDIA_CATEGORY_AUDIO },
    { "video", MEDIA_CATEGORY_VIDEO },
    { "document", MEDIA_CATEGORY_DOCUMENT },
    { "sticker", MEDIA_CATEGORY_STICKER }
};

#define KINDS  (sizeof(kinds) / sizeof(kinds[0]))


const char *
media_kind_name(media_kind_t kind)
{
    return kinds[kind].name;
}


media_kind_t
media_kind_by_name(media_str_t name)
{
    size_t  i;

    for (i = MEDIA_KIND_TEXT; i < KINDS; i++) {
        if (strlen(kinds[i].name) == name.len
            && memcmp(kinds[i].name, name.data, name.len) == 0)
        {
            return (media_kind_t) i;
        }
    }

    return MEDIA_KIND_NONE;
}


media_category_t
media_kind_category(media_kind_t kind)
{
    return kinds[kind].category;
}


media_kind_t
media_kind_by_type(media_str_t type)
{
    switch (media_category_by_mime(type)) {

    case MEDIA_CATEGORY_IMAGE:
        return MEDIA_KIND_IMAGE;

    case MEDIA_CATEGORY_AUDIO:
        return MEDIA_KIND_AUDIO;

    case MEDIA_CATEGORY_VIDEO:
        return MEDIA_KIND_VIDEO;

    default:
        return MEDIA_KIND_DOCUMENT;
    }
}


media_upload_error_t
media_upload_check(const media_mime_policy_t *policy, media_upload_t *u,
    int64_t *limit)
{
    media_upload_error_t  error;

    *limit = 0;

    error = upload_check_name(u->file_name);
    if (error != MEDIA_UPLOAD_OK) {
        return error;
    }

    error = upload_check_type(u->file_type);
    if (error != MEDIA_UPLOAD_OK) {
        return error;
    }

    if (u->file_size < 1) {
        return MEDIA_UPLOAD_BAD_FILE_SIZE;
    }

    if (!upload_digits(u->conversation, UPLOAD_CONVERSATION_MAX)) {
        return MEDIA_UPLOAD_BAD_CONVERSATION;
    }

    if (u->kind == MEDIA_KIND_NONE) {
        u->kind = media_kind_by_type(u->file_type);
    }

    if (media_kind_category(u->kind) == MEDIA_CATEGORY_OTHER) {
        return MEDIA_UPLOAD_BAD_KIND;
    }

    error = media_upload_caption(u->kind, u->caption);
    if (error != MEDIA_UPLOAD_OK) {
        return error;
    }

    if (!upload_allowed(policy, MEDIA_KIND_DOCUMENT, u->file_type)
        && !upload_allowed(policy, u->kind, u->file_type))
    {
        return MEDIA_UPLOAD_TYPE_NOT_ALLOWED;
    }

    if (!upload_allowed(policy, u->kind, u->file_type)) {
        return MEDIA_UPLOAD_BAD_KIND;
    }

    if (u->file_size > policy->rules[media_kind_category(u->kind)].max_size) {
        *limit = policy->rules[media_kind_category(u->kind)].max_size;
        return MEDIA_UPLOAD_TOO_LARGE;
    }

    return MEDIA_UPLOAD_OK;
}


static media_upload_error_t
upload_check_name(media_str_t name)
{
    size_t  i;

    if (name.len == 0) {
        return MEDIA_UPLOAD_NO_FILE_NAME;
    }

    if (name.len > MEDIA_UPLOAD_NAME_MAX || !upload_text(name)) {
        return MEDIA_UPLOAD_BAD_FILE_NAME;
    }

    for (i = 0; i < name.len; i++) {
        if ((unsigned char) name.data[i] < ' ') {
            return MEDIA_UPLOAD_BAD_FILE_NAME;
        }
    }

    return MEDIA_UPLOAD_OK;
}


/*
 * A Content-Type as it is signed and sent: one form only, so lower case, and
 * no more than one blank at a time, none of them at an end
 */

static media_upload_error_t
upload_check_type(media_str_t type)
{
    size_t  i, slash;

    if (type.len == 0) {
        return MEDIA_UPLOAD_NO_FILE_TYPE;
    }

    if (type.len > MEDIA_UPLOAD_TYPE_MAX || type.data[type.len - 1] == ' ') {
        return MEDIA_UPLOAD_BAD_FILE_TYPE;
    }

    slash = 0;

    for (i = 0; i < type.len && upload_token_char(type.data[i]); i++) {
        if (type.data[i] != '/') {
            continue;
        }

        if (slash || i == 0) {
            return MEDIA_UPLOAD_BAD_FILE_TYPE;
        }

        slash = i;
    }

    if (slash == 0 || slash + 1 == i
        || (i < type.len && type.data[i] != ';' && type.data[i] != ' '))
    {
        return MEDIA_UPLOAD_BAD_FILE_TYPE;
    }

    for ( /* void */ ; i < type.len; i++) {
        if (type.data[i] < ' ' || type.data[i] > '~'
            || (type.data[i] >= 'A' && type.data[i] <= 'Z')
            || (type.data[i] == ' ' && type.data[i - 1] == ' '))
        {
            return MEDIA_UPLOAD_BAD_FILE_TYPE;
        }
    }

    return MEDIA_UPLOAD_OK;
}


/* RFC 6838, 4.2, in lower case; and the slash */

static int
upload_token_char(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')
           || (ch && strchr("!#$&-^_.+/", ch));
}


static int
upload_digits(media_str_t s, size_t max)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return 0;
        }
    }

    return s.len != 0 && s.len <= max;
}


/* UTF-8 that PostgreSQL and a page can show */

static int
upload_text(media_str_t s)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; i < s.len; i++) {
        ch = (unsigned char) s.data[i];

        if (ch == 0x7f
            || (ch < ' ' && ch != '\n' && ch != '\r' && ch != '\t'))
        {
            return 0;
        }
    }

    return media_utf8_count(s.data, s.len) >= 0;
}


int
media_upload_conversation(media_str_t conversation)
{
    return upload_digits(conversation, UPLOAD_CONVERSATION_MAX)
           ? MEDIA_OK : MEDIA_ERROR;
}


int
media_upload_text(media_str_t text, size_t characters)
{
    return upload_text(text)
           && (size_t) media_utf8_count(text.data, text.len) <= characters
           ? MEDIA_OK : MEDIA_ERROR;
}


media_upload_error_t
media_upload_caption(media_kind_t kind, media_str_t caption)
{
    if (media_upload_text(caption, MEDIA_UPLOAD_CAPTION) != MEDIA_OK) {
        return MEDIA_UPLOAD_BAD_CAPTION;
    }

    return caption.len == 0 || kind == MEDIA_KIND_IMAGE
           || kind == MEDIA_KIND_VIDEO || kind == MEDIA_KIND_DOCUMENT
           ? MEDIA_UPLOAD_OK : MEDIA_UPLOAD_NO_CAPTION;
}


static int
upload_allowed(const media_mime_policy_t *policy, media_kind_t kind,
    media_str_t type)
{
    size_t  i;

    switch (kind) {

    case MEDIA_KIND_DOCUMENT:

        for (i = 0; i < MEDIA_CATEGORY_PROFILE_PIC; i++) {
            if (media_mime_allowed(policy, (media_category_t) i, type)) {
                return 1;
            }
        }

        return 0;

    case MEDIA_KIND_VOICE:
        return media_mime_allowed(policy, MEDIA_CATEGORY_AUDIO, type)
               || upload_recorded(type);

    case MEDIA_KIND_STICKER:
        return media_mime_allowed(policy, MEDIA_CATEGORY_STICKER, type)
               || media_mime_allowed(policy, MEDIA_CATEGORY_IMAGE, type);

    default:
        return media_mime_allowed(policy, media_kind_category(kind), type);
    }
}


/* what MediaRecorder makes of a microphone; the worker converts it */

static int
upload_recorded(media_str_t type)
{
    return type.len >= 10
           && (memcmp(type.data, "audio/webm", 10) == 0
               || memcmp(type.data, "video/webm", 10) == 0)
           && (type.len == 10 || type.data[10] == ';'
               || type.data[10] == ' ');
}


int
media_upload_make(media_upload_t *u, time_t issued, time_t ttl)
{
    int          n;
    char         name[MEDIA_UPLOAD_NAME_MAX + UPLOAD_EXTENSION_MAX + 2];
    int64_t      slow;
    media_str_t  id, safe;

    if (u->file_name.len > MEDIA_UPLOAD_NAME_MAX
        || (u->id[0] == '\0' && upload_uuid(u->id) != MEDIA_OK))
    {
        return MEDIA_ERROR;
    }

    n = snprintf(name, sizeof(name), "%.*s%s%s", (int) u->file_name.len,
                 u->file_name.data,
                 upload_has_extension(u->file_name) ? "" : ".",
                 upload_has_extension(u->file_name)
                     ? "" : media_mime_extension(u->file_type));

    media_str_set(&id, u->id, MEDIA_KEY_UUID_LEN);
    media_str_set(&safe, name, (size_t) n);

    if (n >= (int) sizeof(name)
        || media_key_attachment(u->file_key, sizeof(u->file_key), u->tenant,
                                u->conversation, id, safe)
           < 0)
    {
        return MEDIA_ERROR;
    }

    n = snprintf(u->upload_key, sizeof(u->upload_key), "uploads/%.*s/%s",
                 (int) u->tenant.len, u->tenant.data, u->id);

    if (n >= (int) sizeof(u->upload_key)) {
        return MEDIA_ERROR;
    }

    slow = (u->file_size + MEDIA_UPLOAD_RATE - 1) / MEDIA_UPLOAD_RATE;

    if (u->part_size) {
        ttl = MEDIA_UPLOAD_MULTIPART;

    } else if (ttl < slow) {
        ttl = slow;
    }

    u->issued = issued;
    u->expires = issued + (ttl < UPLOAD_EXPIRES_MAX ? ttl
                                                    : UPLOAD_EXPIRES_MAX);

    return MEDIA_OK;
}


/* RFC 9562, version 4 */

static int
upload_uuid(char dst[MEDIA_KEY_UUID_LEN + 1])
{
    char           hex[32];
    unsigned char  bytes[16];

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return MEDIA_ERROR;
    }

    bytes[6] = (unsigned char) ((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char) ((bytes[8] & 0x3f) | 0x80);

    media_hex_encode(hex, bytes, sizeof(bytes));

    (void) snprintf(dst, MEDIA_KEY_UUID_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.12s",
                    hex, hex + 8, hex + 12, hex + 16, hex + 20);

    return MEDIA_OK;
}


static int
upload_has_extension(media_str_t name)
{
    char    ch;
    size_t  i;

    for (i = name.len; i > 0; i--) {
        ch = name.data[i - 1];

        if (ch == '.') {
            break;
        }

        if (!((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
              || (ch >= 'a' && ch <= 'z')))
        {
            return 0;
        }
    }

    return i > 1 && i < name.len && name.len - i <= UPLOAD_EXTENSION_MAX;
}
