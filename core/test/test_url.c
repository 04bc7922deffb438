/*
 * Copyright (C) ngx_media contributors
 *
 * The urlCases of t/data/whatsapp-media, further hostile URLs, and addresses
 * of the special-purpose registries.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <yajl/yajl_tree.h>

#include "media_url.h"
#include "test.h"


#define VECTORS    "t/data/whatsapp-media/vectors.json"
#define NOW        1795219200           /* 2026-11-21 */
#define FUZZ_RUNS  50000


static void test_cases(void);
static void test_choice(void);
static void test_expiry(void);
static void test_parse(void);
static void test_hosts(void);
static void test_addresses(void);
static void test_fuzz(void);


int
main(void)
{
    test_cases();
    test_choice();
    test_expiry();
    test_parse();
    test_hosts();
    test_addresses();
    test_fuzz();

    return test_done();
}


/*
 * A string of the file; yajl gives no length, and the one value with a NUL
 * within ends there, so it is put back.
 */

static media_str_t
member(yajl_val v, const char *name, char *buf)
{
    const char   *path[] = { name, NULL }, *s;
    media_str_t   value;

    v = yajl_tree_get(v, path, yajl_t_string);
    s = v ? YAJL_GET_STRING(v) : "";
    media_str_set(&value, s, strlen(s));

    if (strcmp(s, "/v/x.enc") == 0) {
        memcpy(buf, "/v/x.enc\0?a=1", 13);
        media_str_set(&value, buf, 13);
    }

    return value;
}


static void
test_cases(void)
{
    char         *data, error[256], dst[MEDIA_URL_MAX + 64], buf[16];
    char          expected[MEDIA_URL_MAX + 64];
    size_t        i, len;
    ssize_t       n;
    yajl_val      root, cases, json;
    const char   *path[] = { "urlCases", NULL }, *reason, *expect;
    media_str_t   direct_path, url;

    data = test_read_file(VECTORS, &len);
    root = yajl_tree_parse(data, error, sizeof(error));
    cases = root ? yajl_tree_get(root, path, yajl_t_array) : NULL;

    ok(cases && YAJL_GET_ARRAY(cases)->len == 34, "34 cases");

    for (i = 0; cases && i < YAJL_GET_ARRAY(cases)->len; i++) {
        json = YAJL_GET_ARRAY(cases)->values[i];
        direct_path = member(json, "directPath", buf);
        url = member(json, "url", buf);
        expect = member(json, "expect", buf).data;
        reason = NULL;

        n = media_url_choose(dst, sizeof(dst), direct_path, url, NULL, NOW,
                             &reason);

        if (strcmp(expect, "accept") == 0) {
            snprintf(expected, sizeof(expected), "%s%s",
                     direct_path.len ? "https://mmg.whatsapp.net" : "",
                     direct_path.len ? direct_path.data : url.data);

            ok(n == (ssize_t) strlen(expected) && strcmp(dst, expected) == 0
               && reason == NULL, "case %zu gave %zd, %s", i, n, dst);
            continue;
        }

        ok(n == (strcmp(expect, "expired") == 0 ? MEDIA_URL_EXPIRED
                                                : MEDIA_URL_REJECTED)
           && reason != NULL && reason[0],
           "case %zu, %s, gave %zd", i, expect, n);
    }

    yajl_tree_free(root);
    free(data);
}


static void
test_choice(void)
{
    char         dst[64], path[MEDIA_URL_MAX + 2], big[MEDIA_URL_MAX + 64];
    ssize_t      n;
    media_str_t  s;
    const char  *reason;

    static const char  cdn[] = "http://127.0.0.1:8099";

    n = media_url_choose(dst, sizeof(dst), str("/v/a?x=1"),
                         str("https://evil.example/v/b"), NULL, NOW, &reason);
    ok(n > 0 && strcmp(dst, "https://mmg.whatsapp.net/v/a?x=1") == 0,
       "directPath before url, on our host");

    n = media_url_choose(dst, sizeof(dst), str("/v/a"), str(""), cdn, NOW,
                         &reason);
    ok(n > 0 && strcmp(dst, "http://127.0.0.1:8099/v/a") == 0, "cdn");

    n = media_url_choose(dst, sizeof(dst), str("/v/a"), str(""),
                         "http://127.0.0.1:8099/", NOW, &reason);
    ok(n > 0 && strcmp(dst, "http://127.0.0.1:8099/v/a") == 0,
       "cdn with a slash");

    n = media_url_choose(dst, sizeof(dst), str(""),
                         str("https://media.cdn.whatsapp.net:443/v/a?b=c"),
                         cdn, NOW, &reason);
    ok(n > 0 && strcmp(dst, "http://127.0.0.1:8099/v/a?b=c") == 0,
       "the path of url moves to the cdn");

    n = media_url_choose(dst, sizeof(dst), str(""),
                         str("https://evil.example/v/a"), cdn, NOW, &reason);
    ok(n == MEDIA_URL_REJECTED, "a foreign url with a cdn");

    n = media_url_choose(dst, sizeof(dst), str("@evil/x"),
                         str("https://mmg.whatsapp.net/v/a"), NULL, NOW,
                         &reason);
    ok(n == MEDIA_URL_REJECTED, "a bad directPath beside a good url");

    ok(media_url_choose(dst, 27, str("/v/a"), str(""), NULL, NOW, &reason)
       == MEDIA_NOSPACE, "no space");

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    media_str_set(&s, path, MEDIA_URL_MAX);
    ok(media_url_choose(big, sizeof(big), s, str(""), NULL, NOW, &reason)
       == MEDIA_URL_MAX + 24, "the longest directPath");
    s.len++;
    ok(media_url_choose(big, sizeof(big), s, str(""), NULL, NOW, &reason)
       == MEDIA_URL_REJECTED, "one longer");
}


static void
test_expiry(void)
{
    char         dst[128];
    size_t       i;
    ssize_t      n;
    const char  *reason;

    static const struct {
        const char  *path;
        time_t       now;
        int          expired;
    } cases[] = {
        { "/a?oe=63B0B16F", 0x63B0B16F, 0 },
        { "/a?oe=63B0B16F", 0x63B0B16F + 1, 1 },
        { "/a?oe=63b0b16f&b=1", NOW, 1 },
        { "/a?x=1&oe=63B0B16F", NOW, 1 },
        { "/a?oe=7AA2BB25", NOW, 0 },
        { "/a?foe=63B0B16F", NOW, 0 },
        { "/a/oe=63B0B16F", NOW, 0 },
        { "/a?oe=", NOW, 0 },
        { "/a?oe=xyz", NOW, 0 },
        { "/a?oe=FFFFFFFFFFFFFFFF", NOW, 0 },
        { "/a?oe=1&oe=7AA2BB25", NOW, 1 },
        { "/a?", NOW, 0 },
        { "/a?&&", NOW, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = media_url_choose(dst, sizeof(dst), str(cases[i].path), str(""),
                             NULL, cases[i].now, &reason);
        ok((n == MEDIA_URL_EXPIRED) == cases[i].expired
           && (n > 0) == !cases[i].expired, "expiry of %s", cases[i].path);
    }

    n = media_url_choose(dst, sizeof(dst), str(""),
                         str("https://mmg.whatsapp.net/a?oe=63B0B16F"), NULL,
                         NOW, &reason);
    ok(n == MEDIA_URL_EXPIRED, "expiry of url");
}


static void
test_parse(void)
{
    size_t       i;
    media_url_t  u;

    static const struct {
        const char  *url;
        const char  *host;              /* NULL: refused */
        unsigned     port;
        const char  *target;
    } cases[] = {
        { "https://h/p?q", "h", 443, "/p?q" },
        { "http://h", "h", 80, "" },
        { "HTTP://H.example:8080/", "H.example", 8080, "/" },
        { "https://h?q=@", "h", 443, "?q=@" },
        { "https://[::1]:9/x", "::1", 9, "/x" },
        { "https://[2001:db8::1]/x", "2001:db8::1", 443, "/x" },
        { "https://h:65535/", "h", 65535, "/" },
        { "https://", NULL, 0, NULL },
        { "https:///p", NULL, 0, NULL },
        { "https://:443/p", NULL, 0, NULL },
        { "https://h:/p", NULL, 0, NULL },
        { "https://h:0/p", NULL, 0, NULL },
        { "https://h:65536/p", NULL, 0, NULL },
        { "https://h:999999999999/p", NULL, 0, NULL },
        { "https://h:8x/p", NULL, 0, NULL },
        { "https://h:+8/p", NULL, 0, NULL },
        { "https://u@h/p", NULL, 0, NULL },
        { "https://u:p@h/p", NULL, 0, NULL },
        { "https://h:443@evil/p", NULL, 0, NULL },
        { "https://h/p#f", NULL, 0, NULL },
        { "https://h\\@evil/p", NULL, 0, NULL },
        { "https://h/a b", NULL, 0, NULL },
        { "https://h/\x7f", NULL, 0, NULL },
        { "https://h/\xc3\xa9", NULL, 0, NULL },
        { "https://h\t/", NULL, 0, NULL },
        { "https://h%2eexample/", NULL, 0, NULL },
        { "https://h..example/", NULL, 0, NULL },
        { "https://.example/", NULL, 0, NULL },
        { "https://[::1/x", NULL, 0, NULL },
        { "https://[::1]x/", NULL, 0, NULL },
        { "https://[]/", NULL, 0, NULL },
        { "https://[::1%25eth0]/", NULL, 0, NULL },
        { "https:/h/p", NULL, 0, NULL },
        { "//h/p", NULL, 0, NULL },
        { "file:///etc/passwd", NULL, 0, NULL },
        { "javascript://h/", NULL, 0, NULL },
        { "", NULL, 0, NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        if (cases[i].host == NULL) {
            ok(media_url_parse(&u, str(cases[i].url)) == MEDIA_ERROR,
               "refused %s", cases[i].url);
            continue;
        }

        ok(media_url_parse(&u, str(cases[i].url)) == MEDIA_OK
           && u.host.len == strlen(cases[i].host)
           && memcmp(u.host.data, cases[i].host, u.host.len) == 0
           && u.port == cases[i].port
           && u.target.len == strlen(cases[i].target)
           && memcmp(u.target.data, cases[i].target, u.target.len) == 0,
           "parts of %s", cases[i].url);
    }
}


static void
test_hosts(void)
{
    size_t  i;

    static const struct {
        const char  *host;
        int          within;
    } cases[] = {
        { "whatsapp.net", 1 },
        { "mmg.whatsapp.net", 1 },
        { "MMG.WhatsApp.NET", 1 },
        { "a.b.whatsapp.net", 1 },
        { "evilwhatsapp.net", 0 },
        { ".whatsapp.net", 0 },
        { "whatsapp.net.evil", 0 },
        { "whatsapp.net.", 0 },
        { "hatsapp.net", 0 },
        { "net", 0 },
        { "", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(media_url_host_in(str(cases[i].host), "whatsapp.net")
           == cases[i].within, "host \"%s\"", cases[i].host);
    }
}


static void
test_addresses(void)
{
    size_t               i;
    struct sockaddr_un   sun;
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    static const struct {
        const char  *addr;
        int          public;
    } cases[] = {
        { "8.8.8.8", 1 }, { "1.1.1.1", 1 }, { "157.240.12.53", 1 },
        { "223.255.255.255", 1 }, { "9.255.255.255", 1 }, { "11.0.0.0", 1 },
        { "100.63.255.255", 1 }, { "100.128.0.0", 1 }, { "172.15.0.1", 1 },
        { "172.32.0.1", 1 }, { "192.167.1.1", 1 }, { "192.169.1.1", 1 },
        { "198.17.0.1", 1 }, { "198.20.0.1", 1 }, { "169.253.1.1", 1 },
        { "0.0.0.0", 0 }, { "0.1.2.3", 0 }, { "10.0.0.1", 0 },
        { "10.255.255.255", 0 }, { "100.64.0.1", 0 }, { "100.127.0.1", 0 },
        { "127.0.0.1", 0 }, { "127.255.0.1", 0 }, { "169.254.169.254", 0 },
        { "172.16.0.1", 0 }, { "172.31.255.255", 0 }, { "192.0.0.1", 0 },
        { "192.0.2.1", 0 }, { "192.88.99.1", 0 }, { "192.168.0.1", 0 },
        { "198.18.0.1", 0 }, { "198.19.0.1", 0 }, { "198.51.100.1", 0 },
        { "203.0.113.1", 0 }, { "224.0.0.1", 0 }, { "239.1.1.1", 0 },
        { "240.0.0.1", 0 }, { "255.255.255.255", 0 },
        { "2606:4700::1111", 1 }, { "2a03:2880:f12c::1", 1 },
        { "2001:4860:4860::8888", 1 }, { "2001:200::1", 1 },
        { "::", 0 }, { "::1", 0 }, { "::2", 0 }, { "::8.8.8.8", 0 },
        { "::ffff:8.8.8.8", 1 }, { "::ffff:127.0.0.1", 0 },
        { "::ffff:10.0.0.1", 0 }, { "::ffff:169.254.169.254", 0 },
        { "::ffff:0:127.0.0.1", 0 },
        { "64:ff9b::8.8.8.8", 1 }, { "64:ff9b::10.0.0.1", 0 },
        { "64:ff9b::127.0.0.1", 0 }, { "64:ff9b:1::8.8.8.8", 0 },
        { "2002:808:808::1", 1 }, { "2002:7f00:1::1", 0 },
        { "2002:a00:1::1", 0 }, { "2002:c0a8:1::1", 0 },
        { "2001::1", 0 }, { "2001:0:7f00:1::", 0 }, { "2001:10::1", 0 },
        { "2001:20::1", 0 }, { "2001:1ff::1", 0 }, { "2001:db8::1", 0 },
        { "3fff::1", 0 }, { "3fff:fff::1", 0 }, { "3fff:1000::1", 1 },
        { "100::1", 0 }, { "5f00::1", 0 }, { "fc00::1", 0 },
        { "fd12:3456::1", 0 }, { "fe80::1", 0 }, { "fec0::1", 0 },
        { "ff02::1", 0 }, { "ff0e::1", 0 }, { "4000::1", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&sin, 0, sizeof(struct sockaddr_in));
        memset(&sin6, 0, sizeof(struct sockaddr_in6));
        sin.sin_family = AF_INET;
        sin6.sin6_family = AF_INET6;

        if (inet_pton(AF_INET, cases[i].addr, &sin.sin_addr) == 1) {
            ok(media_addr_public((struct sockaddr *) &sin) == cases[i].public,
               "%s", cases[i].addr);
            continue;
        }

        ok(inet_pton(AF_INET6, cases[i].addr, &sin6.sin6_addr) == 1
           && media_addr_public((struct sockaddr *) &sin6)
              == cases[i].public,
           "%s", cases[i].addr);
    }

    memset(&sun, 0, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;
    ok(media_addr_public((struct sockaddr *) &sun) == 0, "a local socket");
}


/* whatever is chosen parses, and its host is WhatsApp's */

static void
test_fuzz(void)
{
    char         text[96], dst[256];
    size_t       i, n, len, base, accepted, bad;
    ssize_t      rc;
    uint64_t     state;
    const char  *reason;
    media_str_t  s, none;
    media_url_t  u;

    static const char  seed[] = "https://mmg.whatsapp.net:443/v/a.enc?oe=7A";
    static const char  set[] = "/.:@?#\\[]%& \n\0ahtpsx.net-1A=\x80";

    state = 3935559000370003845ULL;
    accepted = 0;
    bad = 0;
    media_str_set(&none, "", 0);

    for (i = 0; i < FUZZ_RUNS; i++) {
        base = (i & 1) ? 28 : 0;
        len = sizeof(seed) - 1 - base;
        memcpy(text, seed + base, len);

        for (n = test_random(&state) % 5; n > 0; n--) {
            text[test_random(&state) % len] =
                set[test_random(&state) % (sizeof(set) - 1)];
        }

        len -= test_random(&state) % 4;
        media_str_set(&s, text, len);

        rc = (i & 1)
             ? media_url_choose(dst, sizeof(dst), s, none, NULL, 0, &reason)
             : media_url_choose(dst, sizeof(dst), none, s, NULL, 0, &reason);

        if (rc < 0) {
            continue;
        }

        accepted++;
        media_str_set(&s, dst, (size_t) rc);

        if (media_url_parse(&u, s) != MEDIA_OK || u.port != 443
            || !media_url_host_in(u.host, "whatsapp.net"))
        {
            bad++;
        }
    }

    ok(accepted > FUZZ_RUNS / 10 && bad == 0, "%zu accepted, %zu bad",
       accepted, bad);
}
