/*
 * Copyright (C) ngx_media contributors
 *
 * Keys made and refused, hostile file names, URLs of objects, UUIDs.
 */

#include "media_codec.h"
#include "media_key.h"
#include "test.h"


#define FUZZ_RUNS  20000


static void test_safe_names(void);
static void test_made_keys(void);
static void test_check(void);
static void test_urls(void);
static void test_bases(void);
static void test_uuid(void);
static void test_fuzz(void);


int
main(void)
{
    test_safe_names();
    test_made_keys();
    test_check();
    test_urls();
    test_bases();
    test_uuid();
    test_fuzz();

    return test_done();
}


static void
test_safe_names(void)
{
    char     dst[MEDIA_KEY_NAME_MAX + 1], name[1025];
    size_t   i;
    ssize_t  n;

    static const struct {
        const char  *name;
        const char  *safe;
    } cases[] = {
        { "photo.jpg", "photo.jpg" },
        { "My photo (1).JPG", "My_photo_1_.JPG" },
        { "quote\"'.jpg", "quote_.jpg" },
        { "a+b=c@d.pdf", "a_b_c_d.pdf" },
        { "a%2Fb.pdf", "a_2Fb.pdf" },
        { "../../etc/passwd", "passwd" },
        { "..\\..\\boot.ini", "boot.ini" },
        { "C:\\dir\\f.txt", "f.txt" },
        { "..", "file" },
        { "...x", "x" },
        { ".htaccess", "htaccess" },
        { "caf\xc3\xa9 \xe6\x97\xa5.png", "caf_.png" },
        { "\xe6\x97\xa5\xe6\x9c\xac.jpg", "_.jpg" },
        { "a\r\nb", "a_b" },
        { "dir/", "file" },
        { "", "file" },
        { "a..b", "a..b" },
        { "-rf", "-rf" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = media_key_safe_name(dst, sizeof(dst), str(cases[i].name));
        ok(n == (ssize_t) strlen(cases[i].safe)
           && strcmp(dst, cases[i].safe) == 0,
           "\"%s\" became \"%s\"", cases[i].name, dst);
    }

    memset(name, 'n', 1024);
    memcpy(name + 1019, ".jpeg", 6);
    n = media_key_safe_name(dst, sizeof(dst), str(name));
    ok(n == MEDIA_KEY_NAME_MAX && strcmp(dst + n - 5, ".jpeg") == 0,
       "1024 bytes, the extension kept");

    memset(name, 'n', 130);
    memcpy(name + 126, ".pdf", 5);
    n = media_key_safe_name(dst, sizeof(dst), str(name));
    ok(n == MEDIA_KEY_NAME_MAX && strcmp(dst + n - 4, ".pdf") == 0,
       "130 bytes, the extension kept");

    memset(name, 'n', 1024);
    name[1024] = '\0';
    n = media_key_safe_name(dst, sizeof(dst), str(name));
    ok(n == MEDIA_KEY_NAME_MAX && strchr(dst, '.') == NULL, "no extension");

    name[MEDIA_KEY_NAME_MAX] = '\0';
    n = media_key_safe_name(dst, sizeof(dst), str(name));
    ok(n == MEDIA_KEY_NAME_MAX, "the longest");
    ok(media_key_safe_name(dst, MEDIA_KEY_NAME_MAX, str(name))
       == MEDIA_NOSPACE, "no space");
}


static void
test_made_keys(void)
{
    char     dst[256];
    size_t   i;
    ssize_t  n;

    static const char  id[] = "0a1b2c3d-0000-8000-8000-000000000000";
    static const char  key[] = "chat/t1/conv-2/0a1b2c3d_a_b.jpg";

    static const char  *bad[][3] = {
        { "", "c", id }, { "t", "", id }, { "t", "c", "" },
        { "t/x", "c", id }, { "..", "c", id }, { "t", "c c", id },
        { "t", "c", "0a1b2c3" }, { "t", "c", "0a1b2c3z-1" },
        { "t", "c", "0a1b2c3d/.." }, { "t\n", "c", id }
    };

    n = media_key_attachment(dst, sizeof(dst), str("t1"), str("conv-2"),
                             str(id), str("/x/a b.jpg"));
    ok(n == (ssize_t) strlen(key) && strcmp(dst, key) == 0, "key %s", dst);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(media_key_attachment(dst, sizeof(dst), str(bad[i][0]),
                                str(bad[i][1]), str(bad[i][2]), str("n"))
           == MEDIA_ERROR, "bad component %zu", i);
    }

    for (i = 0; i <= strlen(key); i++) {
        ok(media_key_attachment(dst, i, str("t1"), str("conv-2"), str(id),
                                str("a b.jpg"))
           == MEDIA_NOSPACE, "%zu bytes are no space", i);
    }

    n = media_key_thumb(dst, sizeof(dst), str(key), "jpg");
    ok(n == (ssize_t) strlen(key) + 10
       && strcmp(dst, "chat/t1/conv-2/0a1b2c3d_a_b.jpg_thumb.jpg") == 0,
       "thumbnail %s", dst);
    n = media_key_thumb(dst, sizeof(dst), str("a.png"), "webp");
    ok(n == 16 && strcmp(dst, "a.png_thumb.webp") == 0, "thumbnail %s", dst);
    ok(media_key_thumb(dst, 11, str("a"), "jpg") == MEDIA_NOSPACE, "no space");

    n = media_key_preview(dst, sizeof(dst), str("a.png"));
    ok(n == 17 && strcmp(dst, "a.png_preview.jpg") == 0, "preview %s", dst);
    ok(media_key_is_preview(str(dst)), "it is one");
    ok(!media_key_is_preview(str("_preview.jpg")), "of nothing");
    ok(!media_key_is_preview(str("a.png_thumb.jpg")), "a thumbnail is none");

    n = media_key_profile_pic(dst, sizeof(dst), str("t1"),
                              str("5511987654321"));
    ok(n > 0 && strcmp(dst, "profile_pics/t1/5511987654321.jpg") == 0,
       "profile picture %s", dst);
    ok(media_key_profile_pic(dst, sizeof(dst), str("t1"), str("+5511"))
       == MEDIA_ERROR, "a phone with a sign");
    ok(media_key_profile_pic(dst, sizeof(dst), str("t1"), str(""))
       == MEDIA_ERROR, "no phone");
    ok(media_key_profile_pic(dst, sizeof(dst), str("../x"), str("1"))
       == MEDIA_ERROR, "a bad tenant");
}


static void
test_check(void)
{
    char         key[1026];
    size_t       i;
    media_str_t  s;

    static const char  *good[] = {
        "a", "a/b", "quote\"'+=@ %2F", "caf\xc3\xa9", "...", "a/..b/.c", "~"
    };

    static const char  *bad[] = {
        "", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "../a",
        "a/..", "a\nb", "a\x7f", "\x01"
    };

    for (i = 0; i < sizeof(good) / sizeof(char *); i++) {
        ok(media_key_check(str(good[i])) == MEDIA_OK, "key \"%s\"", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(char *); i++) {
        ok(media_key_check(str(bad[i])) == MEDIA_ERROR, "bad key \"%s\"",
           bad[i]);
    }

    media_str_set(&s, "a\0b", 3);
    ok(media_key_check(s) == MEDIA_ERROR, "NUL");

    memset(key, 'k', sizeof(key));
    media_str_set(&s, key, MEDIA_KEY_MAX);
    ok(media_key_check(s) == MEDIA_OK, "1024 bytes");
    s.len++;
    ok(media_key_check(s) == MEDIA_ERROR, "1025 bytes");
}


static void
test_urls(void)
{
    char     dst[MEDIA_KEY_MAX + 1], url[3200];
    size_t   i;
    ssize_t  n;

    static const struct {
        const char  *url;
        const char  *key;               /* NULL: refused */
    } cases[] = {
        { "https://s3.example/media/chat/a.jpg", "chat/a.jpg" },
        { "https://s3.example:443/media/chat/a.jpg", "chat/a.jpg" },
        { "HTTPS://S3.Example/media/a", "a" },
        { "https://media.s3.example/chat/a.jpg", "chat/a.jpg" },
        { "https://s3.example/media/caf%C3%A9%20%22%2B=@.jpg",
          "caf\xc3\xa9 \"+=@.jpg" },
        { "https://s3.example/media/a+b", "a+b" },
        { "https://s3.example/media/a%2Fb", "a/b" },
        { "https://s3.example/media/a%252Fb", NULL },
        { "https://s3.example/media/100%25", NULL },
        { "https://s3.example/media/%2e%2e/b", NULL },
        { "https://s3.example/media/../b", NULL },
        { "https://s3.example/media//b", NULL },
        { "https://s3.example/media/", NULL },
        { "https://s3.example/media", NULL },
        { "https://s3.example/", NULL },
        { "https://s3.example", NULL },
        { "https://s3.example/other/a", NULL },
        { "https://s3.example/media2/a", NULL },
        { "https://s3.example/Media/a", NULL },
        { "https://s3.example/media/a?x=1", NULL },
        { "https://s3.example/media/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&"
          "X-Amz-Expires=60&X-Amz-Signature=0a", "a" },
        { "https://media.s3.example/a?X-Amz-Date=1&x-id=GetObject", "a" },
        { "https://s3.example/media/a?X-Amz-Date=1&acl", NULL },
        { "https://s3.example/media/a?versionId=1&X-Amz-Date=1", NULL },
        { "https://s3.example/media/a?X-Amz-", NULL },
        { "https://s3.example/media/a?X-Amz-Date=1&", NULL },
        { "https://s3.example/media/a?", NULL },
        { "https://s3.example/media/?X-Amz-Date=1", NULL },
        { "https://s3.example?X-Amz-Date=/media/a", NULL },
        { "https://s3.example/media/a\\b", NULL },
        { "https://s3.example/media/a%5Cb", "a\\b" },
        { "https://s3.example/media/a%3Facl", "a?acl" },
        { "https://s3.example/media/%FF", NULL },
        { "https://s3.example/media/%C0%AE%C0%AE/b", NULL },
        { "https://[s3.example]/media/a", NULL },
        { "https://s3.example./media/a", NULL },
        { "https://s3.example/media/a#f", NULL },
        { "https://s3.example/media/a%0ab", NULL },
        { "https://s3.example/media/a%00b", NULL },
        { "https://s3.example/media/a%zz", NULL },
        { "https://s3.example/media/a b", NULL },
        { "http://s3.example/media/a", NULL },
        { "https://s3.example:8443/media/a", NULL },
        { "https://evil.example/media/a", NULL },
        { "https://other.s3.example/a", NULL },
        { "https://media.s3.example.evil/a", NULL },
        { "https://xmedia.s3.example/a", NULL },
        { "https://mediaxs3.example/a", NULL },
        { "https://media.s3.example", NULL },
        { "https://u@s3.example/media/a", NULL },
        { "https://s3.example@evil.example/media/a", NULL },
        { "/media/a", NULL },
        { "", NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = media_key_from_url(dst, sizeof(dst), str(cases[i].url),
                               str("https://s3.example"), str("media"));

        if (cases[i].key == NULL) {
            ok(n == MEDIA_ERROR, "%s gave %zd", cases[i].url, n);
            continue;
        }

        ok(n == (ssize_t) strlen(cases[i].key)
           && strcmp(dst, cases[i].key) == 0, "%s", cases[i].url);
    }

    ok(media_key_from_url(dst, sizeof(dst), str("http://127.0.0.1:9000/b/k"),
                          str("http://127.0.0.1:9000"), str("b"))
       == 1, "a port");
    ok(media_key_from_url(dst, 3, str("https://h/b/key"), str("https://h"),
                          str("b"))
       == MEDIA_NOSPACE, "no space");

    strcpy(url, "https://h/b/");
    for (i = 0; i < MEDIA_KEY_MAX; i++) {
        memcpy(url + 12 + 3 * i, "%6B", 4);
    }
    ok(media_key_from_url(dst, sizeof(dst), str(url), str("https://h"),
                          str("b"))
       == MEDIA_KEY_MAX, "1024 escapes");
    strcat(url, "a");
    ok(media_key_from_url(dst, sizeof(dst), str(url), str("https://h"),
                          str("b"))
       == MEDIA_ERROR, "1025 bytes");
}


static void
test_bases(void)
{
    char     dst[MEDIA_KEY_MAX + 1];
    size_t   i;
    ssize_t  n;

    static const struct {
        const char  *base;
        const char  *url;
        const char  *key;               /* NULL: refused */
    } cases[] = {
        { "https://h/m/", "https://h/m/a/b.jpg", "a/b.jpg" },
        { "https://h/m/", "HTTPS://H:443/m/a%20b", "a b" },
        { "https://h/", "https://h/a", "a" },
        { "https://h:8443/m/", "https://h:8443/m/a", "a" },
        { "https://h/m/", "https://h:8443/m/a", NULL },
        { "https://h/m/", "http://h/m/a", NULL },
        { "https://h/m/", "http://h:443/m/a", NULL },
        { "https://h/m/", "https://h/M/a", NULL },
        { "https://h/m/", "https://h/m/", NULL },
        { "https://h/m/", "https://h/m", NULL },
        { "https://h/m/", "https://h/ma", NULL },
        { "https://h/m/", "https://h.evil/m/a", NULL },
        { "https://h/m/", "https://h@evil/m/a", NULL },
        { "https://h/m/", "https://u@h/m/a", NULL },
        { "https://h/m/", "https://h/m/a?X-Amz-Date=1", NULL },
        { "https://h/m/", "/m/a", NULL },
        { "/m/", "/m/a", "a" },
        { "/m/", "/m/../a", NULL },
        { "/m/", "/m//a", NULL },
        { "/m/", "//m/a", NULL },
        { "/m/", "https://h/m/a", NULL },
        { "/m/", "/m/a b", NULL },
        { "/m/", "/m/caf\xc3\xa9", NULL },
        { "/m/", "/m/a\\b", NULL },
        { "/m/", "/m/a?b", NULL },
        { "/m/", "/m/a#b", NULL },
        { "/m/", "/m/a%2", NULL },
        { "/m/", "/m/%C2%80", "\xc2\x80" },
        { "/m/", "/m/%E0%A0%80%ED%9F%BF", "\xe0\xa0\x80\xed\x9f\xbf" },
        { "/m/", "/m/%F0%90%80%80", "\xf0\x90\x80\x80" },
        { "/m/", "/m/%F4%8F%BF%BF", "\xf4\x8f\xbf\xbf" },
        { "/m/", "/m/%80", NULL },
        { "/m/", "/m/a%FF", NULL },
        { "/m/", "/m/%C0%AF", NULL },
        { "/m/", "/m/%C3", NULL },
        { "/m/", "/m/%C3/", NULL },
        { "/m/", "/m/%C3a", NULL },
        { "/m/", "/m/%E0%9F%BF", NULL },
        { "/m/", "/m/%E2%82", NULL },
        { "/m/", "/m/%ED%A0%80", NULL },
        { "/m/", "/m/%F0%8F%BF%BF", NULL },
        { "/m/", "/m/%F4%90%80%80", NULL },
        { "/m/", "/m/%F5%80%80%80", NULL },
        { "https://h", "https://h/a", NULL },
        { "", "/a", NULL },
        { "", "", NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = media_key_from_base(dst, sizeof(dst), str(cases[i].url),
                                str(cases[i].base));

        if (cases[i].key == NULL) {
            ok(n == MEDIA_ERROR, "%s gave %zd", cases[i].url, n);
            continue;
        }

        ok(n == (ssize_t) strlen(cases[i].key)
           && strcmp(dst, cases[i].key) == 0, "%s", cases[i].url);
    }

    ok(media_key_from_base(dst, 2, str("/m/ab"), str("/m/")) == MEDIA_NOSPACE,
       "no space");
}


/* the expected one is sha256sum's, with version and variant put in */

static void
test_uuid(void)
{
    char  a[MEDIA_KEY_UUID_LEN + 1], b[MEDIA_KEY_UUID_LEN + 1];

    media_key_uuid(a, str("abc"));
    ok(strcmp(a, "ba7816bf-8f01-8fea-8141-40de5dae2223") == 0, "uuid %s", a);

    media_key_uuid(b, str("abc"));
    ok(strcmp(a, b) == 0, "the same again");
    media_key_uuid(b, str("abd"));
    ok(strcmp(a, b) != 0, "another name");
}


/* whatever comes in, a safe name is a valid component of a key */

static void
test_fuzz(void)
{
    char         name[400], dst[MEDIA_KEY_NAME_MAX + 1], key[1100], url[420];
    size_t       i, n, len, bad;
    ssize_t      rc;
    uint64_t     state;
    media_str_t  s;

    static const char  set[] = "ab./\\.%20\"'+=@ \xc3\xa9\n-_:?#\0e";

    state = 6364136223846793005ULL;
    bad = 0;

    for (i = 0; i < FUZZ_RUNS; i++) {
        len = test_random(&state) % sizeof(name);

        for (n = 0; n < len; n++) {
            name[n] = set[test_random(&state) % (sizeof(set) - 1)];
        }

        media_str_set(&s, name, len);
        rc = media_key_safe_name(dst, sizeof(dst), s);

        if (rc < 1 || rc > MEDIA_KEY_NAME_MAX || strchr(dst, '/')
            || media_key_check(str(dst)) != MEDIA_OK)
        {
            bad++;
        }

        memcpy(url, "https://h/b/", 12);
        memcpy(url + 12, name, len);
        media_str_set(&s, url, len + 12);
        rc = media_key_from_url(key, sizeof(key), s, str("https://h"),
                                str("b"));
        media_str_set(&s, key, rc > 0 ? (size_t) rc : 0);

        if (rc >= 0 && media_key_check(s) != MEDIA_OK) {
            bad++;
        }
    }

    ok(bad == 0, "%zu bad keys", bad);
}
