/*
 * Copyright (C) ngx_media contributors
 *
 * URLs that come from outside.  What is not plainly right is refused: a
 * parser that repairs would see another host than the one that connects.
 */

#include <netinet/in.h>

#include "media_url.h"


#define URL_DOMAIN    "whatsapp.net"
#define URL_HOST_MAX  253               /* bytes; RFC 1035 */


typedef struct {
    uint32_t  addr;
    unsigned  bits;
} url_net4_t;


typedef struct {
    unsigned char  addr[16];
    unsigned       bits;
} url_net6_t;


static int url_authority(media_url_t *u, const char *p, const char *last);
static int url_host_valid(media_str_t host, int bracketed);
static int url_bytes_valid(media_str_t s);
static int url_equal(const char *a, const char *b, size_t len);
static const char *url_path_reason(media_str_t path);
static const char *url_reason(media_url_t *u, media_str_t url);
static int url_expired(media_str_t target, time_t now);
static ssize_t url_write(char *dst, size_t size, media_str_t base,
    media_str_t target);
static int url_public4(uint32_t addr);
static int url_public6(const unsigned char *addr);
static uint32_t url_embedded4(const unsigned char *p);
static int url_in6(const unsigned char *addr, const unsigned char *net,
    unsigned bits);


/* https://www.iana.org/assignments/iana-ipv4-special-registry */
static const url_net4_t  special4[] = {
    { 0x00000000, 8 },                  /* this network */
    { 0x0a000000, 8 },                  /* private */
    { 0x64400000, 10 },                 /* shared, RFC 6598 */
    { 0x7f000000, 8 },                  /* loopback */
    { 0xa9fe0000, 16 },                 /* link-local */
    { 0xac100000, 12 },                 /* private */
    { 0xc0000000, 24 },                 /* IETF protocol assignments */
    { 0xc0000200, 24 },                 /* documentation */
    { 0xc0586300, 24 },                 /* 6to4 relay anycast */
    { 0xc0a80000, 16 },                 /* private */
    { 0xc6120000, 15 },                 /* benchmarking */
    { 0xc6336400, 24 },                 /* documentation */
    { 0xcb007100, 24 },                 /* documentation */
    { 0xe0000000, 4 },                  /* multicast */
    { 0xf0000000, 4 }                   /* reserved, broadcast */
};

/*
 * https://www.iana.org/assignments/iana-ipv6-special-registry; all outside
 * of 2000::/3 is refused anyway
 */
static const url_net6_t  special6[] = {
    { { 0x20, 0x01 }, 23 },             /* protocols, Teredo, ORCHID */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
    { { 0x3f, 0xff }, 20 }              /* documentation */
};

static const unsigned char  global6[16] = { 0x20 };
static const unsigned char  sixtofour[16] = { 0x20, 0x02 };
static const unsigned char  mapped[16] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
};
static const unsigned char  nat64[16] = { 0x00, 0x64, 0xff, 0x9b };


int
media_url_parse(media_url_t *u, media_str_t url)
{
    size_t       n;
    const char  *p, *last, *end;

    if (!url_bytes_valid(url)) {
        return MEDIA_ERROR;
    }

    if (url.len > 8 && url_equal(url.data, "https://", 8)) {
        n = 5;
        u->port = 443;

    } else if (url.len > 7 && url_equal(url.data, "http://", 7)) {
        n = 4;
        u->port = 80;

    } else {
        return MEDIA_ERROR;
    }

    media_str_set(&u->scheme, url.data, n);

    p = url.data + n + 3;
    last = url.data + url.len;

    for (end = p; end < last && *end != '/' && *end != '?'; end++) {
        /* void */
    }

    media_str_set(&u->target, end, (size_t) (last - end));

    return url_authority(u, p, end);
}


static int
url_authority(media_url_t *u, const char *p, const char *last)
{
    int          bracketed;
    unsigned     port;
    const char  *end;

    bracketed = (p < last && *p == '[');

    if (bracketed) {
        p++;
    }

    if (p >= last) {
        return MEDIA_ERROR;
    }

    end = memchr(p, bracketed ? ']' : ':', (size_t) (last - p));

    if (end == NULL) {

        if (bracketed) {
            return MEDIA_ERROR;
        }

        end = last;
    }

    media_str_set(&u->host, p, (size_t) (end - p));

    if (!url_host_valid(u->host, bracketed)) {
        return MEDIA_ERROR;
    }

    end += bracketed;

    if (end == last) {
        return MEDIA_OK;
    }

    if (*end != ':' || last - end < 2 || last - end > 6) {
        return MEDIA_ERROR;
    }

    port = 0;

    for (p = end + 1; p < last; p++) {
        if (*p < '0' || *p > '9') {
            return MEDIA_ERROR;
        }

        port = port * 10 + (unsigned) (*p - '0');
    }

    if (port == 0 || port > 65535) {
        return MEDIA_ERROR;
    }

    u->port = port;

    return MEDIA_OK;
}


/* letters, digits, '-' and '_' in labels; or the characters of IPv6 */

static int
url_host_valid(media_str_t host, int bracketed)
{
    char    ch;
    size_t  i;

    if (host.len == 0 || host.len > URL_HOST_MAX || host.data[0] == '.'
        || (bracketed && memchr(host.data, ':', host.len) == NULL))
    {
        return 0;
    }

    for (i = 0; i < host.len; i++) {
        ch = host.data[i];

        if (bracketed) {
            if (memchr("0123456789abcdefABCDEF:.", ch, 24) == NULL) {
                return 0;
            }

            continue;
        }

        if (ch == '.') {
            if (host.data[i - 1] == '.') {
                return 0;
            }

            continue;
        }

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_'))
        {
            return 0;
        }
    }

    return 1;
}


static int
url_bytes_valid(media_str_t s)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; i < s.len; i++) {
        ch = (unsigned char) s.data[i];

        if (ch < 0x21 || ch > 0x7e || ch == '\\' || ch == '#') {
            return 0;
        }
    }

    return 1;
}


/* compares without case; b is in lower case */

static int
url_equal(const char *a, const char *b, size_t len)
{
    char    ch;
    size_t  i;

    for (i = 0; i < len; i++) {
        ch = a[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != b[i]) {
            return 0;
        }
    }

    return 1;
}


int
media_url_host_in(media_str_t host, const char *domain)
{
    size_t  len;

    len = strlen(domain);

    if (host.len < len
        || !url_equal(host.data + host.len - len, domain, len))
    {
        return 0;
    }

    return host.len == len
           || (host.len > len + 1 && host.data[host.len - len - 1] == '.');
}


ssize_t
media_url_choose(char *dst, size_t size, media_str_t direct_path,
    media_str_t url, const char *cdn, time_t now, const char **reason)
{
    media_url_t  u;
    media_str_t  base;

    if (direct_path.len) {
        *reason = url_path_reason(direct_path);
        u.target = direct_path;
        base.len = 0;

    } else {
        *reason = url_reason(&u, url);
        media_str_set(&base, url.data, url.len - u.target.len);
    }

    if (*reason) {
        return MEDIA_URL_REJECTED;
    }

    if (url_expired(u.target, now)) {
        *reason = "the URL's signature has expired";
        return MEDIA_URL_EXPIRED;
    }

    if (cdn || base.len == 0) {
        cdn = cdn ? cdn : MEDIA_URL_CDN;
        media_str_set(&base, cdn, strlen(cdn));

        while (base.len && base.data[base.len - 1] == '/') {
            base.len--;
        }
    }

    return url_write(dst, size, base, u.target);
}


static const char *
url_path_reason(media_str_t path)
{
    if (path.len > MEDIA_URL_MAX) {
        return "directPath is too long";
    }

    if (path.data[0] != '/' || path.len < 2 || path.data[1] == '/') {
        return "directPath does not begin with one slash";
    }

    if (!url_bytes_valid(path)) {
        return "directPath has a forbidden character";
    }

    return NULL;
}


static const char *
url_reason(media_url_t *u, media_str_t url)
{
    media_str_set(&u->target, "", 0);

    if (url.len == 0) {
        return "neither directPath nor url";
    }

    if (url.len > MEDIA_URL_MAX) {
        return "url is too long";
    }

    if (media_url_parse(u, url) != MEDIA_OK) {
        media_str_set(&u->target, "", 0);
        return "url is malformed";
    }

    if (u->scheme.len != sizeof("https") - 1 || u->port != 443) {
        return "url is not https on port 443";
    }

    if (!media_url_host_in(u->host, URL_DOMAIN)) {
        return "url's host is not of " URL_DOMAIN;
    }

    if (u->target.len < 2 || u->target.data[0] != '/') {
        return "url has no path";
    }

    return NULL;
}


/* oe is hexadecimal unix seconds; one that is not is no reason to refuse */

static int
url_expired(media_str_t target, time_t now)
{
    size_t       n;
    int64_t      oe;
    const char  *p, *last, *end;

    last = target.data + target.len;
    p = memchr(target.data, '?', target.len);

    for ( /* void */ ; p && p < last; p = end) {
        p++;

        end = memchr(p, '&', (size_t) (last - p));
        end = end ? end : last;

        if (end - p < 4 || end - p > 3 + 15 || memcmp(p, "oe=", 3) != 0) {
            continue;
        }

        oe = 0;

        for (n = 3; p + n < end; n++) {
            if (p[n] >= '0' && p[n] <= '9') {
                oe = oe * 16 + (p[n] - '0');

            } else if ((p[n] | 0x20) >= 'a' && (p[n] | 0x20) <= 'f') {
                oe = oe * 16 + ((p[n] | 0x20) - 'a' + 10);

            } else {
                return 0;
            }
        }

        return now > oe;
    }

    return 0;
}


static ssize_t
url_write(char *dst, size_t size, media_str_t base, media_str_t target)
{
    if (base.len + target.len >= size) {
        return MEDIA_NOSPACE;
    }

    memcpy(dst, base.data, base.len);
    memcpy(dst + base.len, target.data, target.len);
    dst[base.len + target.len] = '\0';

    return (ssize_t) (base.len + target.len);
}


int
media_addr_public(const struct sockaddr *sa)
{
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    if (sa->sa_family == AF_INET) {
        memcpy(&sin, sa, sizeof(struct sockaddr_in));
        return url_public4(ntohl(sin.sin_addr.s_addr));
    }

    if (sa->sa_family == AF_INET6) {
        memcpy(&sin6, sa, sizeof(struct sockaddr_in6));
        return url_public6(sin6.sin6_addr.s6_addr);
    }

    return 0;
}


static int
url_public4(uint32_t addr)
{
    size_t  i;

    for (i = 0; i < sizeof(special4) / sizeof(special4[0]); i++) {
        if ((addr ^ special4[i].addr) >> (32 - special4[i].bits) == 0) {
            return 0;
        }
    }

    return 1;
}


static int
url_public6(const unsigned char *addr)
{
    size_t  i;

    if (url_in6(addr, mapped, 96) || url_in6(addr, nat64, 96)) {
        return url_public4(url_embedded4(addr + 12));
    }

    if (url_in6(addr, sixtofour, 16)) {
        return url_public4(url_embedded4(addr + 2));
    }

    if (!url_in6(addr, global6, 3)) {
        return 0;
    }

    for (i = 0; i < sizeof(special6) / sizeof(special6[0]); i++) {
        if (url_in6(addr, special6[i].addr, special6[i].bits)) {
            return 0;
        }
    }

    return 1;
}


static uint32_t
url_embedded4(const unsigned char *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];
}


static int
url_in6(const unsigned char *addr, const unsigned char *net, unsigned bits)
{
    unsigned  n, rest;

    n = bits / 8;
    rest = bits % 8;

    return memcmp(addr, net, n) == 0
           && (rest == 0 || (addr[n] ^ net[n]) >> (8 - rest) == 0);
}
