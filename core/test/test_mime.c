/*
 * Copyright (C) ngx_media contributors
 *
 * Defaults, settings, and that what libmagic says of real files matches what
 * their messages declare.
 */

#include "media_mime.h"
#include "test.h"


#define DOCX  "application/vnd.openxmlformats-officedocument."                \
              "wordprocessingml.document"
#define XLSX  "application/vnd.openxmlformats-officedocument."                \
              "spreadsheetml.sheet"
#define FUZZ_RUNS  20000


static void test_defaults(void);
static void test_categories(void);
static void test_settings(void);
static void test_matches(void);
static void test_keys(void);
static void test_fuzz(void);


int
main(void)
{
    test_defaults();
    test_categories();
    test_settings();
    test_matches();
    test_keys();
    test_fuzz();

    return test_done();
}


static void
test_defaults(void)
{
    size_t               i;
    media_mime_policy_t  policy;

    static const struct {
        media_category_t  category;
        long long         max_size;
        long long         ttl;
    } limits[] = {
        { MEDIA_CATEGORY_IMAGE, 10485760, 604800 },
        { MEDIA_CATEGORY_AUDIO, 16777216, 259200 },
        { MEDIA_CATEGORY_DOCUMENT, 26214400, 86400 },
        { MEDIA_CATEGORY_VIDEO, 52428800, 604800 },
        { MEDIA_CATEGORY_STICKER, 1048576, 604800 },
        { MEDIA_CATEGORY_PROFILE_PIC, 5242880, 0 }
    };

    static const struct {
        media_category_t  category;
        const char       *mime;
        int               allowed;
    } types[] = {
        { MEDIA_CATEGORY_IMAGE, "image/jpeg", 1 },
        { MEDIA_CATEGORY_IMAGE, "IMAGE/JPG", 1 },
        { MEDIA_CATEGORY_IMAGE, "image/heif", 1 },
        { MEDIA_CATEGORY_IMAGE, "image/svg+xml", 0 },
        { MEDIA_CATEGORY_IMAGE, "video/mp4", 0 },
        { MEDIA_CATEGORY_IMAGE, "", 0 },
        { MEDIA_CATEGORY_AUDIO, "audio/ogg; codecs=opus", 1 },
        { MEDIA_CATEGORY_AUDIO, "audio/x-m4a", 1 },
        { MEDIA_CATEGORY_AUDIO, "audio/midi", 0 },
        { MEDIA_CATEGORY_DOCUMENT, "application/pdf", 1 },
        { MEDIA_CATEGORY_DOCUMENT, DOCX, 1 },
        { MEDIA_CATEGORY_DOCUMENT, XLSX, 1 },
        { MEDIA_CATEGORY_DOCUMENT, "text/csv", 1 },
        { MEDIA_CATEGORY_DOCUMENT, "application/x-dosexec", 0 },
        { MEDIA_CATEGORY_DOCUMENT, "text/html", 0 },
        { MEDIA_CATEGORY_VIDEO, "video/mp4", 1 },
        { MEDIA_CATEGORY_VIDEO, "video/quicktime", 1 },
        { MEDIA_CATEGORY_VIDEO, "video/x-msvideo", 1 },
        { MEDIA_CATEGORY_STICKER, "image/webp", 1 },
        { MEDIA_CATEGORY_STICKER, "application/was", 1 },
        { MEDIA_CATEGORY_STICKER, "image/jpeg", 0 },
        { MEDIA_CATEGORY_PROFILE_PIC, "image/jpeg", 1 },
        { MEDIA_CATEGORY_OTHER, "image/jpeg", 0 }
    };

    media_mime_defaults(&policy);

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        ok(policy.rules[limits[i].category].max_size == limits[i].max_size
           && policy.rules[limits[i].category].ttl == limits[i].ttl,
           "limits of %s", media_category_name(limits[i].category));
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        ok(media_mime_allowed(&policy, types[i].category, str(types[i].mime))
           == types[i].allowed,
           "%s in %s", types[i].mime, media_category_name(types[i].category));
    }
}


static void
test_categories(void)
{
    int     i;
    size_t  n;

    static const struct {
        const char       *mime;
        media_category_t  category;
        const char       *extension;
    } cases[] = {
        { "image/jpeg", MEDIA_CATEGORY_IMAGE, "jpg" },
        { "image/jpg", MEDIA_CATEGORY_IMAGE, "jpg" },
        { "image/tiff", MEDIA_CATEGORY_IMAGE, "bin" },
        { "audio/ogg; codecs=opus", MEDIA_CATEGORY_AUDIO, "ogg" },
        { "application/ogg", MEDIA_CATEGORY_AUDIO, "ogg" },
        { "audio/mp4", MEDIA_CATEGORY_AUDIO, "m4a" },
        { "VIDEO/MP4", MEDIA_CATEGORY_VIDEO, "mp4" },
        { "application/pdf", MEDIA_CATEGORY_DOCUMENT, "pdf" },
        { DOCX, MEDIA_CATEGORY_DOCUMENT, "docx" },
        { "text/plain; charset=utf-8", MEDIA_CATEGORY_DOCUMENT, "txt" },
        { "application/was", MEDIA_CATEGORY_DOCUMENT, "was" },
        { "x", MEDIA_CATEGORY_DOCUMENT, "bin" },
        { "", MEDIA_CATEGORY_OTHER, "bin" },
        { " ; x", MEDIA_CATEGORY_OTHER, "bin" }
    };

    for (n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        ok(media_category_by_mime(str(cases[n].mime)) == cases[n].category,
           "category of \"%s\"", cases[n].mime);
        ok(strcmp(media_mime_extension(str(cases[n].mime)),
                  cases[n].extension) == 0,
           "extension of \"%s\"", cases[n].mime);
    }

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        ok((int) media_category_by_name(str(media_category_name(
                                            (media_category_t) i))) == i,
           "name of category %d", i);
    }

    ok(media_category_by_name(str("imag")) == MEDIA_CATEGORY_OTHER,
       "unknown category");
}


static void
test_settings(void)
{
    char                 list[MEDIA_MIME_TYPES_MAX * 5 + 6];
    size_t               i;
    media_mime_rule_t   *rule;
    media_mime_policy_t  copy, policy;

    static const struct {
        const char  *property;
        const char  *value;
        long long    number;            /* -1: refused */
    } cases[] = {
        { "max_size", "1", 1 },
        { "max_size", "20m", 20971520 },
        { "max_size", "3K", 3072 },
        { "max_size", "2g", 2147483648LL },
        { "max_size", "0", -1 },
        { "max_size", "", -1 },
        { "max_size", "m", -1 },
        { "max_size", "-1", -1 },
        { "max_size", "1x", -1 },
        { "max_size", "1 m", -1 },
        { "max_size", "99999999999999g", -1 },
        { "max_size", "9999999999999999", -1 },
        { "ttl", "0", 0 },
        { "ttl", "30", 30 },
        { "ttl", "30s", 30 },
        { "ttl", "2m", 120 },
        { "ttl", "2h", 7200 },
        { "ttl", "7d", 604800 },
        { "ttl", "7w", -1 },
        { "size", "1", -1 }
    };

    media_mime_defaults(&policy);
    rule = &policy.rules[MEDIA_CATEGORY_IMAGE];

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(media_mime_set(&policy, MEDIA_CATEGORY_IMAGE, cases[i].property,
                          str(cases[i].value))
           == (cases[i].number < 0 ? MEDIA_ERROR : MEDIA_OK),
           "%s %s", cases[i].property, cases[i].value);

        if (cases[i].number >= 0) {
            ok((cases[i].property[0] == 't' ? rule->ttl : rule->max_size)
               == cases[i].number,
               "value of %s %s", cases[i].property, cases[i].value);
        }
    }

    ok(media_mime_set(&policy, MEDIA_CATEGORY_IMAGE, "types",
                      str(" image/PNG,image/avif  image/gif, "))
       == MEDIA_OK && rule->ntypes == 3, "list of types");
    ok(media_mime_allowed(&policy, MEDIA_CATEGORY_IMAGE, str("image/avif"))
       && media_mime_allowed(&policy, MEDIA_CATEGORY_IMAGE, str("image/png"))
       && !media_mime_allowed(&policy, MEDIA_CATEGORY_IMAGE,
                              str("image/jpeg")),
       "types of the list only");
    ok(media_mime_allowed(&policy, MEDIA_CATEGORY_STICKER,
                          str("image/webp")), "other categories as before");

    media_mime_copy(&copy, &policy);
    memset(&policy, 0, sizeof(policy));
    ok(media_mime_allowed(&copy, MEDIA_CATEGORY_IMAGE, str("image/png")),
       "a copy stands on its own");
    ok(media_mime_allowed(&copy, MEDIA_CATEGORY_AUDIO, str("audio/ogg")),
       "a copy has the defaults");
    media_mime_copy(&policy, &copy);

    ok(media_mime_set(&policy, MEDIA_CATEGORY_IMAGE, "types", str("image"))
       == MEDIA_ERROR && rule->ntypes == 3, "no slash");
    ok(media_mime_set(&policy, MEDIA_CATEGORY_IMAGE, "types", str("a/b/c"))
       == MEDIA_ERROR, "two slashes");
    ok(media_mime_set(&policy, MEDIA_CATEGORY_IMAGE, "types", str("a/b;c"))
       == MEDIA_ERROR, "a parameter");
    ok(media_mime_set(&policy, MEDIA_CATEGORY_IMAGE, "types", str(""))
       == MEDIA_OK && rule->ntypes == 0, "an empty list");

    for (i = 0; i < MEDIA_MIME_TYPES_MAX + 1; i++) {
        memcpy(list + i * 5, "a/bc,", 6);
    }

    ok(media_mime_set(&policy, MEDIA_CATEGORY_IMAGE, "types", str(list))
       == MEDIA_ERROR, "too many types");
    list[MEDIA_MIME_TYPES_MAX * 5] = '\0';
    ok(media_mime_set(&policy, MEDIA_CATEGORY_IMAGE, "types", str(list))
       == MEDIA_OK, "most types");
}


static void
test_matches(void)
{
    size_t  i;

    /* detected: as file(1) says of t/data/whatsapp-media and the like */

    static const struct {
        const char  *declared;
        const char  *detected;
        int          matches;
    } cases[] = {
        { "image/jpeg", "image/jpeg", 1 },
        { "image/jpg", "image/jpeg", 1 },
        { "image/png", "image/png", 1 },
        { "image/heic", "image/heic", 1 },
        { "image/heic", "image/heif", 1 },
        { "image/webp", "image/webp", 1 },
        { "image/gif", "image/gif", 1 },
        { "audio/ogg; codecs=opus", "audio/ogg", 1 },
        { "audio/ogg; codecs=opus", "application/ogg", 1 },
        { "audio/mp4", "audio/x-m4a", 1 },
        { "audio/mp4", "video/mp4", 1 },
        { "audio/aac", "audio/x-hx-aac-adts", 1 },
        { "audio/mpeg", "audio/mpeg", 1 },
        { "audio/wav", "audio/x-wav", 1 },
        { "audio/amr", "audio/AMR", 1 },
        { "video/mp4", "video/mp4", 1 },
        { "video/mp4", "video/quicktime", 1 },
        { "video/x-msvideo", "video/x-msvideo", 1 },
        { "application/pdf", "application/pdf", 1 },
        { DOCX, DOCX, 1 },
        { DOCX, "application/encrypted", 1 },
        { DOCX, "application/zip", 0 },
        { XLSX, "application/zip", 0 },
        { "application/msword", "application/CDFV2", 1 },
        { "application/vnd.ms-excel", "application/x-ole-storage", 1 },
        { "text/csv", "text/plain", 1 },
        { "text/csv", "text/csv", 1 },
        { "text/comma-separated-values", "text/plain", 1 },
        { "application/vnd.ms-excel", "text/csv", 1 },
        { "text/plain", "inode/x-empty", 1 },
        { "text/plain", "application/octet-stream", 1 },
        { "text/plain", "text/x-c", 1 },
        { "text/plain; charset=utf-8", "text/plain", 1 },
        { "application/was", "application/zip", 1 },
        { "application/octet-stream", "application/zlib", 1 },
        { "", "image/jpeg", 1 },
        { "image/jpeg", "text/html", 0 },
        { "image/jpeg", "application/x-dosexec", 0 },
        { "image/jpeg", "application/octet-stream", 0 },
        { "image/jpeg", "image/png", 0 },
        { "image/jpeg", "image/svg+xml", 0 },
        { "image/jpeg", "inode/x-empty", 0 },
        { "image/webp", "application/zip", 0 },
        { "video/mp4", "text/html", 0 },
        { "video/mp4", "image/jpeg", 0 },
        { "audio/mpeg", "video/mp4", 0 },
        { "audio/ogg; codecs=opus", "text/plain", 0 },
        { "application/pdf", "application/zip", 0 },
        { "application/pdf", "text/html", 0 },
        { "application/pdf", "application/x-dosexec", 0 },
        { DOCX, "application/x-dosexec", 0 },
        { DOCX, XLSX, 0 },
        { "text/plain", "text/html", 0 },
        { "text/plain", "application/x-dosexec", 0 },
        { "text/csv", "text/html", 0 },
        { "image/jpeg", "", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(media_mime_matches(str(cases[i].declared), str(cases[i].detected))
           == cases[i].matches,
           "declared \"%s\", detected \"%s\"", cases[i].declared,
           cases[i].detected);
    }
}


static void
test_keys(void)
{
    size_t  i;

    static const struct {
        const char       *key;
        media_category_t  category;
    } cases[] = {
        { "profile_pics/t/5511.jpg", MEDIA_CATEGORY_PROFILE_PIC },
        { "profile_pics/", MEDIA_CATEGORY_OTHER },
        { "chat/t/c/0011_a.jpg", MEDIA_CATEGORY_IMAGE },
        { "chat/t/c/0011_a.JPEG", MEDIA_CATEGORY_IMAGE },
        { "chat/t/c/0011_a.pdf_thumb.jpg", MEDIA_CATEGORY_IMAGE },
        { "chat/t/c/0011_a.ogg", MEDIA_CATEGORY_AUDIO },
        { "chat/t/c/0011_a.mp4", MEDIA_CATEGORY_VIDEO },
        { "chat/t/c/0011_a.docx", MEDIA_CATEGORY_DOCUMENT },
        { "chat/t/c/0011_a.was", MEDIA_CATEGORY_STICKER },
        { "chat/t/c/0011_a.bin", MEDIA_CATEGORY_DOCUMENT },
        { "chat/t.jpg/c/0011_a", MEDIA_CATEGORY_OTHER },
        { "a.", MEDIA_CATEGORY_OTHER },
        { "", MEDIA_CATEGORY_OTHER }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(media_category_by_key(str(cases[i].key)) == cases[i].category,
           "category of key \"%s\"", cases[i].key);
    }
}


/* random types: a type matches itself, and nothing reads out of bounds */

static void
test_fuzz(void)
{
    char                 text[200];
    size_t               i, n, len, same;
    uint64_t             state;
    media_str_t          s;
    media_mime_policy_t  policy;

    static const char  set[] = "aeimgpdf/;,. -+x0";

    state = 88172645463325252ULL;
    same = 0;
    media_mime_defaults(&policy);

    for (i = 0; i < FUZZ_RUNS; i++) {
        len = test_random(&state) % sizeof(text);

        for (n = 0; n < len; n++) {
            text[n] = set[test_random(&state) % (sizeof(set) - 1)];
        }

        if (len) {
            text[0] = 'a';
        }

        media_str_set(&s, text, len);
        (void) media_mime_set(&policy, MEDIA_CATEGORY_VIDEO, "types", s);
        (void) media_mime_set(&policy, MEDIA_CATEGORY_VIDEO, "ttl", s);
        (void) media_mime_allowed(&policy, MEDIA_CATEGORY_VIDEO, s);
        (void) media_category_by_key(s);
        (void) media_mime_extension(s);
        same += len == 0 || media_mime_matches(s, s);
    }

    ok(same == FUZZ_RUNS, "%zu of %d match themselves", same, FUZZ_RUNS);
}
