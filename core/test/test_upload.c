/*
 * Copyright (C) ngx_media contributors
 *
 * Uploads: what is taken, the token and each byte of it, what is said in
 * which language.  The token of test_vector() is from
 *
 *     claims=$(printf CLAIMS | basenc --base64url -w0 | tr -d =)
 *     printf "upload-token-1\n$claims" | openssl dgst -sha256 -hmac SECRET \
 *         -binary | basenc --base64url
 */

#include "media_upload.h"
#include "test.h"


#define SECRET  "0123456789abcdef0123456789abcdef"
#define NOW     1767225600
#define MIB     (1024 * 1024)


static const media_sign_key_t  keys[2] = {
    { media_str("k2"), media_str("ABCDEF0123456789ABCDEF0123456789") },
    { media_str("k1"), media_str(SECRET) }
};


static void
fill(media_upload_t *u)
{
    memset(u, 0, sizeof(media_upload_t));

    u->tenant = str("acme");
    u->conversation = str("42");
    u->file_name = str("photo.jpg");
    u->file_type = str("image/jpeg");
    u->file_size = 1000;
    u->caption = str("");
    u->multipart_id = str("");
}


static void
test_kinds(void)
{
    size_t  i;

    static const struct {
        const char        *name;
        media_kind_t       kind;
        media_category_t   category;
    } cases[] = {
        { "text", MEDIA_KIND_TEXT, MEDIA_CATEGORY_OTHER },
        { "location", MEDIA_KIND_LOCATION, MEDIA_CATEGORY_OTHER },
        { "image", MEDIA_KIND_IMAGE, MEDIA_CATEGORY_IMAGE },
        { "audio", MEDIA_KIND_AUDIO, MEDIA_CATEGORY_AUDIO },
        { "voice", MEDIA_KIND_VOICE, MEDIA_CATEGORY_AUDIO },
        { "video", MEDIA_KIND_VIDEO, MEDIA_CATEGORY_VIDEO },
        { "document", MEDIA_KIND_DOCUMENT, MEDIA_CATEGORY_DOCUMENT },
        { "sticker", MEDIA_KIND_STICKER, MEDIA_CATEGORY_STICKER },
        { "", MEDIA_KIND_NONE, MEDIA_CATEGORY_OTHER }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(media_kind_by_name(str(cases[i].name)) == cases[i].kind
           && strcmp(media_kind_name(cases[i].kind), cases[i].name) == 0
           && media_kind_category(cases[i].kind) == cases[i].category,
           "kind %s", cases[i].name);
    }

    ok(media_kind_by_name(str("Image")) == MEDIA_KIND_NONE
       && media_kind_by_name(str("imag")) == MEDIA_KIND_NONE
       && media_kind_by_name(str("images")) == MEDIA_KIND_NONE, "no kinds");
}


static void
test_fields(const media_mime_policy_t *policy)
{
    char                  name[MEDIA_UPLOAD_NAME_MAX + 2];
    size_t                i;
    int64_t               limit;
    media_upload_t        u;
    media_upload_error_t  error;

    static const struct {
        const char           *name;
        const char           *type;
        int64_t               size;
        const char           *conversation;
        media_upload_error_t  error;
    } cases[] = {
        { "a.jpg", "image/jpeg", 1, "1", MEDIA_UPLOAD_OK },
        { "a.jpg", "image/jpeg", 1, "123456789012345678", MEDIA_UPLOAD_OK },
        { "\xc3\xa9 \"x\".jpg", "image/jpeg", 1, "1", MEDIA_UPLOAD_OK },
        { "", "image/jpeg", 1, "1", MEDIA_UPLOAD_NO_FILE_NAME },
        { "a\n.jpg", "image/jpeg", 1, "1", MEDIA_UPLOAD_BAD_FILE_NAME },
        { "a\x7f.jpg", "image/jpeg", 1, "1", MEDIA_UPLOAD_BAD_FILE_NAME },
        { "\xe9.jpg", "image/jpeg", 1, "1", MEDIA_UPLOAD_BAD_FILE_NAME },
        { "\xc0\xaf.jpg", "image/jpeg", 1, "1", MEDIA_UPLOAD_BAD_FILE_NAME },
        { "\xed\xa0\x80.jpg", "image/jpeg", 1, "1",
          MEDIA_UPLOAD_BAD_FILE_NAME },
        { "a.jpg", "", 1, "1", MEDIA_UPLOAD_NO_FILE_TYPE },
        { "a.jpg", "image", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "image/", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "/jpeg", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "image/a/b", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "Image/jpeg", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "image/jpeg;A=b", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", " image/jpeg", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "image/jpeg ", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "image/jpeg;  a=b", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "image/jpeg\r\nx: y", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.jpg", "image/jp\xc3\xa9g", 1, "1", MEDIA_UPLOAD_BAD_FILE_TYPE },
        { "a.ogg", "audio/ogg; codecs=opus", 1, "1", MEDIA_UPLOAD_OK },
        { "a.ogg", "audio/ogg;codecs=\"opus\"", 1, "1", MEDIA_UPLOAD_OK },
        { "a.jpg", "image/jpeg", 0, "1", MEDIA_UPLOAD_BAD_FILE_SIZE },
        { "a.jpg", "image/jpeg", -1, "1", MEDIA_UPLOAD_BAD_FILE_SIZE },
        { "a.jpg", "image/jpeg", 1, "", MEDIA_UPLOAD_BAD_CONVERSATION },
        { "a.jpg", "image/jpeg", 1, "1a", MEDIA_UPLOAD_BAD_CONVERSATION },
        { "a.jpg", "image/jpeg", 1, "-1", MEDIA_UPLOAD_BAD_CONVERSATION },
        { "a.jpg", "image/jpeg", 1, "1234567890123456789",
          MEDIA_UPLOAD_BAD_CONVERSATION },
        { "a.exe", "application/x-msdownload", 1, "1",
          MEDIA_UPLOAD_TYPE_NOT_ALLOWED },
        { "a.svg", "image/svg+xml", 1, "1", MEDIA_UPLOAD_TYPE_NOT_ALLOWED },
        { "a.html", "text/html", 1, "1", MEDIA_UPLOAD_TYPE_NOT_ALLOWED },
        { "a", "application/octet-stream", 1, "1",
          MEDIA_UPLOAD_TYPE_NOT_ALLOWED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fill(&u);
        u.file_name = str(cases[i].name);
        u.file_type = str(cases[i].type);
        u.file_size = cases[i].size;
        u.conversation = str(cases[i].conversation);

        error = media_upload_check(policy, &u, &limit);
        ok(error == cases[i].error && limit == 0, "case %zu: %d", i,
           (int) error);
    }

    memset(name, 'a', sizeof(name));
    fill(&u);
    media_str_set(&u.file_name, name, MEDIA_UPLOAD_NAME_MAX);
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_OK,
       "longest name");

    u.file_name.len++;
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_BAD_FILE_NAME,
       "too long a name");

    memcpy(name, "image/", 6);
    fill(&u);
    media_str_set(&u.file_type, name, MEDIA_UPLOAD_TYPE_MAX + 1);
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_BAD_FILE_TYPE,
       "too long a type");
}


static void
test_captions(const media_mime_policy_t *policy)
{
    char            text[2 * (MEDIA_UPLOAD_CAPTION + 1) + 1];
    size_t          i;
    int64_t         limit;
    media_upload_t  u;

    fill(&u);
    u.caption = str("two\nlines\twith a tab \"\\");
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_OK, "caption");

    u.caption = str("bell \x07");
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_BAD_CAPTION,
       "control byte");

    media_str_set(&u.caption, "a\0b", 3);
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_BAD_CAPTION,
       "zero byte");

    u.caption = str("\xff");
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_BAD_CAPTION,
       "no UTF-8");

    for (i = 0; i <= MEDIA_UPLOAD_CAPTION; i++) {
        memcpy(text + 2 * i, "\xc3\xa9", 2);
    }

    media_str_set(&u.caption, text, 2 * MEDIA_UPLOAD_CAPTION);
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_OK,
       "1024 characters of two bytes");

    u.caption.len += 2;
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_BAD_CAPTION,
       "1025 characters");

    for (i = MEDIA_KIND_IMAGE; i <= MEDIA_KIND_STICKER; i++) {
        ok(media_upload_caption(i, str("text"))
           == (i == MEDIA_KIND_IMAGE || i == MEDIA_KIND_VIDEO
               || i == MEDIA_KIND_DOCUMENT
               ? MEDIA_UPLOAD_OK : MEDIA_UPLOAD_NO_CAPTION), "kind's caption");
        ok(media_upload_caption(i, str("")) == MEDIA_UPLOAD_OK, "none");
    }
}


static void
test_policy(media_mime_policy_t *policy)
{
    size_t                i;
    int64_t               limit;
    media_upload_t        u;
    media_upload_error_t  error;

    static const struct {
        const char           *type;
        const char           *kind;
        int64_t               size;
        media_upload_error_t  error;
        media_kind_t          becomes;
        int64_t               limit;
    } cases[] = {
        { "image/jpeg", "", 10 * MIB, MEDIA_UPLOAD_OK, MEDIA_KIND_IMAGE, 0 },
        { "image/jpeg", "", 10 * MIB + 1, MEDIA_UPLOAD_TOO_LARGE,
          MEDIA_KIND_IMAGE, 10 * MIB },
        { "image/jpeg", "document", 25 * MIB, MEDIA_UPLOAD_OK,
          MEDIA_KIND_DOCUMENT, 0 },
        { "image/jpeg", "document", 25 * MIB + 1, MEDIA_UPLOAD_TOO_LARGE,
          MEDIA_KIND_DOCUMENT, 25 * MIB },
        { "image/png", "sticker", MIB, MEDIA_UPLOAD_OK, MEDIA_KIND_STICKER,
          0 },
        { "image/webp", "sticker", MIB + 1, MEDIA_UPLOAD_TOO_LARGE,
          MEDIA_KIND_STICKER, MIB },
        { "application/was", "sticker", 1, MEDIA_UPLOAD_OK,
          MEDIA_KIND_STICKER, 0 },
        { "video/mp4", "sticker", 1, MEDIA_UPLOAD_BAD_KIND,
          MEDIA_KIND_STICKER, 0 },
        { "image/webp", "", 1, MEDIA_UPLOAD_OK, MEDIA_KIND_IMAGE, 0 },
        { "audio/ogg; codecs=opus", "", 16 * MIB, MEDIA_UPLOAD_OK,
          MEDIA_KIND_AUDIO, 0 },
        { "audio/ogg; codecs=opus", "voice", 16 * MIB, MEDIA_UPLOAD_OK,
          MEDIA_KIND_VOICE, 0 },
        { "audio/mpeg", "voice", 16 * MIB + 1, MEDIA_UPLOAD_TOO_LARGE,
          MEDIA_KIND_VOICE, 16 * MIB },
        { "image/png", "voice", 1, MEDIA_UPLOAD_BAD_KIND, MEDIA_KIND_VOICE,
          0 },
        { "video/mp4", "", 50 * MIB, MEDIA_UPLOAD_OK, MEDIA_KIND_VIDEO, 0 },
        { "video/mp4", "", 50 * MIB + 1, MEDIA_UPLOAD_TOO_LARGE,
          MEDIA_KIND_VIDEO, 50 * MIB },
        { "video/mp4", "image", 1, MEDIA_UPLOAD_BAD_KIND, MEDIA_KIND_IMAGE,
          0 },
        { "application/pdf", "", 25 * MIB, MEDIA_UPLOAD_OK,
          MEDIA_KIND_DOCUMENT, 0 },
        { "application/pdf", "image", 1, MEDIA_UPLOAD_BAD_KIND,
          MEDIA_KIND_IMAGE, 0 },
        { "application/pdf", "text", 1, MEDIA_UPLOAD_BAD_KIND,
          MEDIA_KIND_TEXT, 0 },
        { "application/pdf", "location", 1, MEDIA_UPLOAD_BAD_KIND,
          MEDIA_KIND_LOCATION, 0 },
        { "text/html", "document", 1, MEDIA_UPLOAD_TYPE_NOT_ALLOWED,
          MEDIA_KIND_DOCUMENT, 0 },
        { "audio/webm;codecs=opus", "voice", 1, MEDIA_UPLOAD_OK,
          MEDIA_KIND_VOICE, 0 },
        { "video/webm", "voice", 1, MEDIA_UPLOAD_OK, MEDIA_KIND_VOICE, 0 },
        { "video/webmx", "voice", 1, MEDIA_UPLOAD_TYPE_NOT_ALLOWED,
          MEDIA_KIND_VOICE, 0 },
        { "video/webm", "", 1, MEDIA_UPLOAD_TYPE_NOT_ALLOWED,
          MEDIA_KIND_VIDEO, 0 },
        { "video/webm", "document", 1, MEDIA_UPLOAD_TYPE_NOT_ALLOWED,
          MEDIA_KIND_DOCUMENT, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fill(&u);
        u.file_type = str(cases[i].type);
        u.kind = media_kind_by_name(str(cases[i].kind));
        u.file_size = cases[i].size;

        error = media_upload_check(policy, &u, &limit);
        ok(error == cases[i].error && u.kind == cases[i].becomes
           && limit == cases[i].limit, "%s as \"%s\": %d", cases[i].type,
           cases[i].kind, (int) error);
    }

    /* what an operator changes is what counts */

    (void) media_mime_set(policy, MEDIA_CATEGORY_IMAGE, "max_size",
                          str("2k"));
    (void) media_mime_set(policy, MEDIA_CATEGORY_IMAGE, "types",
                          str("image/gif"));

    fill(&u);
    ok(media_upload_check(policy, &u, &limit)
       == MEDIA_UPLOAD_TYPE_NOT_ALLOWED, "type that was taken away");

    fill(&u);
    u.file_type = str("image/gif");
    u.file_size = 2049;
    ok(media_upload_check(policy, &u, &limit) == MEDIA_UPLOAD_TOO_LARGE
       && limit == 2048, "limit that was lowered");
}


static void
test_make(void)
{
    char            again[MEDIA_KEY_UUID_LEN + 1], expected[MEDIA_KEY_MAX];
    size_t          i;
    media_upload_t  u;

    static const struct {
        const char  *name;
        const char  *type;
        const char  *safe;
    } cases[] = {
        { "photo.jpg", "image/jpeg", "photo.jpg" },
        { "photo", "image/jpeg", "photo.jpg" },
        { ".jpg", "image/png", "jpg.png" },
        { "photo.", "image/png", "photo..png" },
        { "v1.2 of it", "application/pdf", "v1.2_of_it.pdf" },
        { "\xc3\xa9t\xc3\xa9", "audio/ogg; codecs=opus", "_t_.ogg" },
        { "..", "text/plain", "txt" },
        { "a/b\\c.png", "image/png", "c.png" },
        { "x", "audio/webm", "x.weba" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fill(&u);
        u.file_name = str(cases[i].name);
        u.file_type = str(cases[i].type);

        ok(media_upload_make(&u, NOW, 300) == MEDIA_OK, "made");

        snprintf(expected, sizeof(expected), "chat/acme/42/%.8s_%s", u.id,
                 cases[i].safe);
        ok(strcmp(u.file_key, expected) == 0, "%s: %s", cases[i].name,
           u.file_key);

        snprintf(expected, sizeof(expected), "uploads/acme/%s", u.id);
        ok(strcmp(u.upload_key, expected) == 0, "%s", u.upload_key);
    }

    ok(strlen(u.id) == 36 && u.id[14] == '4' && strchr("89ab", u.id[19]),
       "UUID of version 4: %s", u.id);

    memcpy(again, u.id, sizeof(again));
    ok(media_upload_make(&u, NOW, 300) == MEDIA_OK
       && strcmp(again, u.id) == 0, "the id that it has");

    u.id[0] = '\0';
    ok(media_upload_make(&u, NOW, 300) == MEDIA_OK
       && strcmp(again, u.id) != 0, "another id");

    ok(u.issued == NOW && u.expires == NOW + 300, "5 minutes");

    u.file_size = 300 * (int64_t) MEDIA_UPLOAD_RATE;
    ok(media_upload_make(&u, NOW, 300) == MEDIA_OK
       && u.expires == NOW + 300, "as long as it takes");

    u.file_size++;
    ok(media_upload_make(&u, NOW, 300) == MEDIA_OK
       && u.expires == NOW + 301, "a byte more");

    u.file_size = INT64_MAX / 2;
    ok(media_upload_make(&u, NOW, 300) == MEDIA_OK
       && u.expires == NOW + 604800, "no longer than S3 allows");

    u.part_size = 16 * MIB;
    ok(media_upload_make(&u, NOW, 300) == MEDIA_OK
       && u.expires == NOW + MEDIA_UPLOAD_MULTIPART, "parts");

    u.tenant = str("ac/me");
    ok(media_upload_make(&u, NOW, 300) == MEDIA_ERROR, "bad tenant");
}


static int
same(media_str_t a, media_str_t b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}


static void
test_round_trip(void)
{
    char                  claims[MEDIA_UPLOAD_CLAIMS_MAX];
    char                  token[MEDIA_UPLOAD_TOKEN_MAX];
    char                  buf[MEDIA_UPLOAD_TOKEN_MAX];
    size_t                i;
    ssize_t               n, len;
    media_str_t           text;
    media_upload_t        u, v;
    media_upload_error_t  error;

    fill(&u);
    u.kind = MEDIA_KIND_VOICE;
    u.file_name = str("\"quoted\\\" \xc3\xa9\xf0\x9f\x98\x80.ogg");
    u.file_type = str("audio/ogg; codecs=\"opus\"");
    u.file_size = 5000000000;
    u.caption = str("a\nb\tc\r</script>");
    u.multipart_id = str("2~abc.DEF_-");
    u.part_size = 16 * MIB;

    ok(media_upload_make(&u, NOW, 300) == MEDIA_OK, "made");

    n = media_upload_claims(claims, sizeof(claims), &u);
    ok(n > 0 && claims[n] == '\0' && strlen(claims) == (size_t) n, "claims");
    ok(strstr(claims, "\"file_size\":5000000000,") != NULL
       && strstr(claims, "\"kind\":\"voice\"") != NULL
       && strstr(claims, "\"caption\":\"a\\nb\\tc\\r") != NULL,
       "claims: %s", claims);

    for (len = 0; len <= n; len++) {
        if (media_upload_claims(claims, (size_t) len, &u) != MEDIA_NOSPACE) {
            break;
        }
    }

    ok(len == n + 1, "no space for the claims in less than %zd", len);
    (void) media_upload_claims(claims, sizeof(claims), &u);

    media_str_set(&text, claims, (size_t) n);

    for (i = 0; i < 2; i++) {
        len = media_upload_token(token, sizeof(token), &keys[i], text);
        ok(len > 0 && strlen(token) == (size_t) len, "token");
        ok(strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789-_.") == (size_t) len, "%s", token);

        error = media_upload_verify(&v, buf, (size_t) len, keys, 2,
                                    str(token), str("acme"), NOW);

        ok(error == MEDIA_UPLOAD_OK, "key %zu: %d", i, (int) error);
        ok(strcmp(u.id, v.id) == 0 && same(u.tenant, v.tenant)
           && same(u.conversation, v.conversation) && u.kind == v.kind
           && same(u.file_name, v.file_name)
           && same(u.file_type, v.file_type) && u.file_size == v.file_size
           && same(u.caption, v.caption)
           && strcmp(u.upload_key, v.upload_key) == 0
           && strcmp(u.file_key, v.file_key) == 0
           && same(u.multipart_id, v.multipart_id)
           && u.part_size == v.part_size && u.issued == v.issued
           && u.expires == v.expires, "all of it comes back");

        ok(media_upload_verify(&v, buf, (size_t) len, &keys[!i], 1,
                               str(token), str("acme"), NOW)
           == MEDIA_UPLOAD_TOKEN_INVALID, "without its key");
    }

    ok(media_upload_token(token, (size_t) len, &keys[1], text)
       == MEDIA_NOSPACE || len > (ssize_t) strlen(token), "no space");
}


static void
test_refused(void)
{
    char            claims[MEDIA_UPLOAD_CLAIMS_MAX], byte;
    char            token[MEDIA_UPLOAD_TOKEN_MAX];
    char            buf[MEDIA_UPLOAD_TOKEN_MAX];
    size_t          i, len, bit, taken;
    ssize_t         n;
    media_str_t     text;
    media_upload_t  u, v;

    fill(&u);
    u.kind = MEDIA_KIND_IMAGE;
    (void) media_upload_make(&u, NOW, 300);

    n = media_upload_claims(claims, sizeof(claims), &u);
    media_str_set(&text, claims, (size_t) n);
    len = (size_t) media_upload_token(token, sizeof(token), &keys[1], text);

#define verify(t, tenant, now)                                                \
    media_upload_verify(&v, buf, sizeof(buf), keys, 2, t, str(tenant), now)

    ok(verify(str(token), "acme", NOW) == MEDIA_UPLOAD_OK, "as it is");
    ok(verify(str(token), "acme", u.expires + MEDIA_UPLOAD_GRACE)
       == MEDIA_UPLOAD_OK, "in the last second");
    ok(verify(str(token), "acme", u.expires + MEDIA_UPLOAD_GRACE + 1)
       == MEDIA_UPLOAD_TOKEN_EXPIRED && strcmp(v.id, u.id) == 0, "expired");
    ok(verify(str(token), "other", NOW) == MEDIA_UPLOAD_TOKEN_INVALID,
       "another tenant");
    ok(verify(str(token), "other", NOW + 1000000)
       == MEDIA_UPLOAD_TOKEN_INVALID, "another tenant, expired");
    ok(verify(str(token), "", NOW) == MEDIA_UPLOAD_TOKEN_INVALID,
       "no tenant");
    ok(verify(str(""), "acme", NOW) == MEDIA_UPLOAD_TOKEN_INVALID, "empty");
    ok(verify(str(".."), "acme", NOW) == MEDIA_UPLOAD_TOKEN_INVALID, "dots");
    ok(verify(str("k1.e30"), "acme", NOW) == MEDIA_UPLOAD_TOKEN_INVALID,
       "no signature");

    taken = 0;

    for (i = 0; i < len; i++) {
        for (bit = 0; bit < 8; bit++) {
            byte = token[i];
            token[i] = (char) (byte ^ (1 << bit));
            media_str_set(&text, token, len);
            taken += verify(text, "acme", NOW) != MEDIA_UPLOAD_TOKEN_INVALID;
            token[i] = byte;
        }

        media_str_set(&text, token, i);
        taken += verify(text, "acme", NOW) != MEDIA_UPLOAD_TOKEN_INVALID;
    }

    ok(taken == 0, "each bit counts: %zu taken", taken);

    token[len] = '=';
    media_str_set(&text, token, len + 1);
    ok(verify(text, "acme", NOW) == MEDIA_UPLOAD_TOKEN_INVALID, "padded");

    ok(media_upload_verify(&v, buf, 10, keys, 2, str("x"), str("acme"), NOW)
       == MEDIA_UPLOAD_TOKEN_INVALID, "small buffer");

    /* signed, but not by media_upload_claims() */

    text = str("{\"tenant\":\"acme\"}");
    len = (size_t) media_upload_token(token, sizeof(token), &keys[1], text);
    ok(len > 0 && verify(str(token), "acme", NOW)
       == MEDIA_UPLOAD_TOKEN_INVALID, "not all claims");

    text = str("[1]");
    len = (size_t) media_upload_token(token, sizeof(token), &keys[1], text);
    ok(len > 0 && verify(str(token), "acme", NOW)
       == MEDIA_UPLOAD_TOKEN_INVALID, "no object");
}


/* a signature of ours for something else must not do for a token */

static void
test_vector(void)
{
    char            token[MEDIA_UPLOAD_TOKEN_MAX];
    char            buf[MEDIA_UPLOAD_TOKEN_MAX], signature[MEDIA_SIGN_LEN];
    ssize_t         n;
    media_upload_t  v;

    n = media_upload_token(token, sizeof(token), &keys[1],
                           str("{\"tenant\":\"acme\"}"));
    ok(n > 0 && strcmp(token, "k1.eyJ0ZW5hbnQiOiJhY21lIn0."
                              "S1UEcZfGRdmnjqPneBcH7Lq00mjED3fO19btdcKTryU")
                == 0, "%s", token);

    (void) media_sign(signature, &keys[1], str("eyJ0ZW5hbnQiOiJhY21lIn0"),
                      NOW);
    snprintf(token, sizeof(token), "k1.eyJ0ZW5hbnQiOiJhY21lIn0.%.*s",
             MEDIA_SIGN_LEN, signature);
    ok(verify(str(token), "acme", NOW) == MEDIA_UPLOAD_TOKEN_INVALID,
       "signature of a URL");
}


static void
test_longest(void)
{
    char                  name[MEDIA_UPLOAD_NAME_MAX];
    char                  caption[MEDIA_UPLOAD_CAPTION_MAX];
    char                  claims[MEDIA_UPLOAD_CLAIMS_MAX];
    char                  token[MEDIA_UPLOAD_TOKEN_MAX];
    char                  buf[MEDIA_UPLOAD_TOKEN_MAX];
    size_t                i;
    ssize_t               n;
    media_str_t           text;
    media_upload_t        u, v;
    media_upload_error_t  error;

    fill(&u);
    u.kind = MEDIA_KIND_IMAGE;
    memset(name, '"', sizeof(name));
    media_str_set(&u.file_name, name, sizeof(name));

    /* of four bytes each */

    for (i = 0; i < MEDIA_UPLOAD_CAPTION; i++) {
        memcpy(caption + 4 * i, "\xf0\x9f\x98\x80", 4);
    }

    media_str_set(&u.caption, caption, MEDIA_UPLOAD_CAPTION_MAX);
    (void) media_upload_make(&u, NOW, 300);

    n = media_upload_claims(claims, sizeof(claims), &u);
    ok(n > 0, "claims of %zd bytes", n);

    media_str_set(&text, claims, (size_t) n);
    n = media_upload_token(token, sizeof(token), &keys[1], text);
    ok(n > 0 && n < 8000, "token of %zd bytes, for a header", n);

    error = verify(str(token), "acme", NOW);
    ok(error == MEDIA_UPLOAD_OK && same(v.caption, u.caption)
       && same(v.file_name, u.file_name), "read: %d", (int) error);
}


static void
test_errors(void)
{
    int          i;
    char         en[256], pt[256];
    size_t       n;
    unsigned     status;
    const char  *code, *same_code;

    static const unsigned  statuses[MEDIA_UPLOAD_ERROR_MAX] = {
        200, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 413, 415,
        422, 410, 409, 422, 409, 422, 409, 422, 503
    };

    static const struct {
        int64_t      limit;
        const char  *en;
        const char  *pt;
    } limits[] = {
        { 10 * MIB, "10 MB", "10 MB" },
        { 50 * MIB, "50 MB", "50 MB" },
        { MIB + MIB / 2, "1.5 MB", "1,5 MB" },
        { MIB + 1, "1.0 MB", "1,0 MB" },
        { 500 * 1024, "500 KB", "500 KB" },
        { 100, "100 bytes", "100 bytes" }
    };

    for (i = MEDIA_UPLOAD_NO_FILE_NAME; i < MEDIA_UPLOAD_ERROR_MAX; i++) {
        status = media_upload_error((media_upload_error_t) i, MEDIA_LANG_EN,
                                    MIB, &code, en, sizeof(en));
        ok(status == statuses[i] && code[0] != '\0' && en[0] != '\0',
           "%s: %u", code, status);

        status = media_upload_error((media_upload_error_t) i,
                                    MEDIA_LANG_PT_BR, MIB, &same_code, pt,
                                    sizeof(pt));
        ok(status == statuses[i] && strcmp(code, same_code) == 0
           && strcmp(en, pt) != 0 && strchr(pt, '%') == NULL
           && strchr(pt, '"') == NULL && strlen(pt) < 160, "%s", pt);
    }

    (void) media_upload_error(MEDIA_UPLOAD_TYPE_NOT_ALLOWED,
                              MEDIA_LANG_PT_BR, 0, &code, pt, sizeof(pt));
    ok(strcmp(code, "file_type_not_allowed") == 0
       && strcmp(pt, "Tipo de arquivo não permitido") == 0, "%s", pt);

    for (n = 0; n < sizeof(limits) / sizeof(limits[0]); n++) {
        (void) media_upload_error(MEDIA_UPLOAD_TOO_LARGE, MEDIA_LANG_EN,
                                  limits[n].limit, &code, en, sizeof(en));
        (void) media_upload_error(MEDIA_UPLOAD_TOO_LARGE, MEDIA_LANG_PT_BR,
                                  limits[n].limit, &code, pt, sizeof(pt));

        ok(strncmp(en, "File too large. Maximum: ", 25) == 0
           && strcmp(en + 25, limits[n].en) == 0, "%s", en);
        ok(strncmp(pt, "Arquivo muito grande. Máximo: ", 31) == 0
           && strcmp(pt + 31, limits[n].pt) == 0, "%s", pt);
    }

    (void) media_upload_error(MEDIA_UPLOAD_TOO_LARGE, MEDIA_LANG_EN, MIB,
                              &code, en, 5);
    ok(strcmp(en, "File") == 0, "small buffer: %s", en);
}


static void
test_languages(void)
{
    size_t  i;

    static const struct {
        const char    *value;
        media_lang_t   lang;
    } cases[] = {
        { "", MEDIA_LANG_EN },
        { "pt-BR", MEDIA_LANG_PT_BR },
        { "pt", MEDIA_LANG_PT_BR },
        { "PT-br", MEDIA_LANG_PT_BR },
        { "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", MEDIA_LANG_PT_BR },
        { "en-US,en;q=0.9,pt-BR;q=0.8", MEDIA_LANG_EN },
        { "en;q=0.8, pt;q=0.9", MEDIA_LANG_PT_BR },
        { "en;q=0.9 , pt ; q=0.8", MEDIA_LANG_EN },
        { "pt;q=0.8, pt-BR;q=0.95, en;q=0.9", MEDIA_LANG_PT_BR },
        { "pt,en", MEDIA_LANG_PT_BR },
        { "en,pt", MEDIA_LANG_EN },
        { "*", MEDIA_LANG_EN },
        { "pt,*;q=0.1", MEDIA_LANG_PT_BR },
        { "de;q=0.5,pt;q=0.501", MEDIA_LANG_PT_BR },
        { "pt;q=0", MEDIA_LANG_EN },
        { "pt;q=0.000", MEDIA_LANG_EN },
        { "pt;q=1.000", MEDIA_LANG_PT_BR },
        { "pt;q=1.001", MEDIA_LANG_EN },
        { "pt;q=0.0001", MEDIA_LANG_EN },
        { "pt;q=2", MEDIA_LANG_EN },
        { "pt;q=", MEDIA_LANG_EN },
        { "pt;x=1", MEDIA_LANG_EN },
        { ",,;q=1,pt,", MEDIA_LANG_PT_BR },
        { "pto", MEDIA_LANG_EN },
        { "p", MEDIA_LANG_EN }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(media_upload_lang(str(cases[i].value)) == cases[i].lang,
           "\"%s\"", cases[i].value);
    }
}


int
main(void)
{
    media_mime_policy_t  policy;

    media_mime_defaults(&policy);

    test_kinds();
    test_fields(&policy);
    test_captions(&policy);
    test_policy(&policy);
    test_make();
    test_round_trip();
    test_refused();
    test_vector();
    test_longest();
    test_errors();
    test_languages();

    return test_done();
}
