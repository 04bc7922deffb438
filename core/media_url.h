/*
 * Copyright (C) ngx_media contributors
 *
 * Which URL to fetch for a WhatsApp message's media.  directPath and url are
 * the sender's words: only whatsapp.net and its subdomains over https, port
 * 443, without userinfo are accepted, and a directPath never names a host.
 */

#ifndef MEDIA_URL_H
#define MEDIA_URL_H

#include <sys/socket.h>
#include <time.h>

#include "media_core.h"


#define MEDIA_URL_MAX        8192       /* bytes of a directPath or url */
#define MEDIA_URL_CDN        "https://mmg.whatsapp.net"

#define MEDIA_URL_EXPIRED    (-30)      /* oe (hex unix seconds) has passed */
#define MEDIA_URL_REJECTED   (-31)


/* the parts of an http or https URL; each a view of the input */
typedef struct {
    media_str_t  scheme;
    media_str_t  host;          /* without port; [::1] without brackets */
    unsigned     port;          /* the scheme's default filled in */
    media_str_t  target;        /* path and query, may be empty */
} media_url_t;


/*
 * Splits an absolute http or https URL.  MEDIA_OK, or MEDIA_ERROR for
 * userinfo, fragments, bytes outside 0x21..0x7e, a backslash, an empty host,
 * a bad port, or another scheme.
 */
int media_url_parse(media_url_t *u, media_str_t url);

/* 1 if host is domain or a subdomain of it, by label, any case */
int media_url_host_in(media_str_t host, const char *domain);

/*
 * Chooses the URL of a message's media: direct_path on cdn when there is one,
 * else url; either may be empty.  cdn is "scheme://host[:port]", NULL for
 * MEDIA_URL_CDN; if it is given, a path of url moves to it as well.  Writes
 * the URL and a zero.
 *
 * Returns the length, MEDIA_URL_EXPIRED, MEDIA_URL_REJECTED (*reason then
 * says why; a literal), or MEDIA_NOSPACE.
 */
ssize_t media_url_choose(char *dst, size_t size, media_str_t direct_path,
    media_str_t url, const char *cdn, time_t now, const char **reason);

/*
 * 1 if a connection to this address cannot reach the operator's own network:
 * not loopback, private (RFC 1918, RFC 6598, RFC 4193), link-local,
 * multicast, unspecified, reserved, documentation, 6to4 / NAT64 / v4-mapped
 * of one of these.  IANA special-purpose address registries.
 */
int media_addr_public(const struct sockaddr *sa);

#endif
