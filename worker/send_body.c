/*
 * Copyright (C) ngx_media contributors
 *
 * Bodies of requests that send, and the file in them: by a link that the
 * provider fetches, or by its bytes, which pass through a temporary file.
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "send_body.h"


#define SEND_BODY_PIECE  4096
#define SEND_LINK_TTL    7200       /* seconds; a provider's own queue may be
                                       slow */


static bool send_body_room(send_body_t *b, size_t len);
static void send_body_name(send_body_t *b, const char *name);
static int send_body_flush(send_body_t *b);
static int send_body_write(void *data, const char *s, size_t len);
static int send_body_encode(send_body_t *b);
static bool send_is_extension(const char *s);
static bool send_host_fetchable(media_str_t host, const char *base_url);
static int send_host_address(media_str_t host);


void
send_body_init(send_body_t *b)
{
    memset(b, 0, sizeof(send_body_t));
    b->fd = -1;
}


void
send_body_free(send_body_t *b)
{
    free(b->data);

    if (b->fd != -1) {
        close(b->fd);
    }
}


void
send_body_add(send_body_t *b, const char *text)
{
    size_t  len;

    len = strlen(text);

    if (send_body_room(b, len)) {
        memcpy(b->data + b->len, text, len);
        b->len += len;
    }
}


void
send_body_open(send_body_t *b, const char *name)
{
    if (name != NULL) {
        send_body_name(b, name);
    }

    send_body_add(b, "{");
}


void
send_body_close(send_body_t *b)
{
    send_body_add(b, "}");
}


void
send_body_string(send_body_t *b, const char *name, const char *value)
{
    size_t  len;

    send_body_begin(b, name);

    len = 6 * strlen(value) + 1;

    if (send_body_room(b, len)) {
        b->len += provider_json(b->data + b->len, len, value);
    }

    send_body_add(b, "\"");
}


void
send_body_value(send_body_t *b, const char *name, const char *value)
{
    send_body_name(b, name);
    send_body_add(b, value);
}


void
send_body_begin(send_body_t *b, const char *name)
{
    send_body_name(b, name);
    send_body_add(b, "\"");
}


static void
send_body_name(send_body_t *b, const char *name)
{
    if (b->len > 0 && b->data[b->len - 1] != '{') {
        send_body_add(b, ",");
    }

    send_body_add(b, "\"");
    send_body_add(b, name);
    send_body_add(b, "\":");
}


static bool
send_body_room(send_body_t *b, size_t len)
{
    char    *data;
    size_t   size;

    if (b->failed) {
        return false;
    }

    if (b->size - b->len >= len) {
        return true;
    }

    size = (b->len + len) * 2 + SEND_BODY_PIECE;
    data = realloc(b->data, size);

    if (data == NULL) {
        b->failed = 1;
        return false;
    }

    b->data = data;
    b->size = size;

    return true;
}


int
send_body_object(child_t *child, send_body_t *b, send_t *s, bool base64,
    send_result_t *result)
{
    int   rc;
    long  status;

    b->base64 = base64;
    b->got = 0;
    b->nplain = 0;
    *result = SEND_AGAIN;

    if (b->fd == -1) {
        b->fd = file_temp();
    }

    if (b->fd == -1 || send_body_flush(b) != 0) {
        send_error(s, "disk", "there is no room for temporary files");
        return -1;
    }

    rc = store_get(child, s->file_key, -1, 0, send_body_write, b,
                   s->file_size, &status);

    if (rc == 0 && b->got == s->file_size && send_body_encode(b) == 0) {
        return 0;
    }

    if (status == 404 || (rc == 0 && b->got != s->file_size)) {
        send_error(s, "file_missing", "the file is no longer stored");
        *result = SEND_FAILED;
        return -1;
    }

    send_error(s, "storage", "the file could not be read from storage");
    return -1;
}


int
send_body_end(send_body_t *b, provider_request_t *req)
{
    if (b->failed || (b->fd != -1 && send_body_flush(b) != 0)) {
        return -1;
    }

    req->body_fd = b->fd;
    req->body_size = b->fd_size;

    if (b->fd == -1) {
        media_str_set(&req->body, b->data, b->len);
    }

    return 0;
}


static int
send_body_flush(send_body_t *b)
{
    if (b->failed || file_write(b->fd, b->data, b->len) != 0) {
        return -1;
    }

    b->fd_size += b->len;
    b->len = 0;

    return 0;
}


/* http_request_t's write: fills plain, whose size leaves no rest of base64 */
static int
send_body_write(void *data, const char *s, size_t len)
{
    size_t        n;
    send_body_t  *b = data;

    b->got += len;

    while (len > 0) {
        n = sizeof(b->plain) - b->nplain;
        n = len < n ? len : n;
        memcpy(b->plain + b->nplain, s, n);
        b->nplain += n;
        s += n;
        len -= n;

        if (b->nplain == sizeof(b->plain) && send_body_encode(b) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
send_body_encode(send_body_t *b)
{
    int     rc;
    char    text[MEDIA_BASE64_LEN(SEND_PLAIN)];
    size_t  len;

    if (b->base64) {
        len = media_base64_encode(text, b->plain, b->nplain);
        rc = file_write(b->fd, text, len);

    } else {
        len = b->nplain;
        rc = file_write(b->fd, b->plain, len);
    }

    b->fd_size += len;
    b->nplain = 0;

    return rc;
}


/*
 * Evolution and W-API go by the extension, and send an unknown one as the
 * type "false".  A document keeps the one it has.
 */
void
send_file_name(char *dst, size_t size, const send_t *s)
{
    size_t       len;
    media_str_t  type;
    const char  *usual, *own;

    media_str_set(&type, s->file_type, strlen(s->file_type));
    usual = media_mime_extension(type);
    own = send_extension(s->file_name);
    len = strlen(s->file_name);

    if (len == 0) {
        snprintf(dst, size, "%s.%s", media_kind_name(s->kind), usual);
        return;
    }

    if (strcasecmp(own, usual) == 0
        || (s->kind == MEDIA_KIND_DOCUMENT && send_is_extension(own)))
    {
        snprintf(dst, size, "%s", s->file_name);
        return;
    }

    if (s->kind != MEDIA_KIND_DOCUMENT && own[0] != '\0') {
        len -= strlen(own) + 1;
    }

    snprintf(dst, size, "%.*s.%s", (int) len, s->file_name, usual);
}


/* not the end of "report.v2" or "minutes 21.11.2026" */
static bool
send_is_extension(const char *s)
{
    size_t  i, letters;

    for (i = 0, letters = 0; isalnum((unsigned char) s[i]); i++) {
        letters += isalpha((unsigned char) s[i]) != 0;
    }

    return s[i] == '\0' && i >= 3 && i <= 5 && letters > 0;
}


const char *
send_extension(const char *name)
{
    const char  *dot;

    dot = strrchr(name, '.');

    return dot != NULL && dot != name ? dot + 1 : "";
}


bool
send_link(char *dst, size_t size, const send_t *s)
{
    time_t       ttl;
    media_str_t  url;
    media_url_t  u;

    if (conf.sign_key[0] == '\0') {
        return false;
    }

    ttl = conf.sign_ttl > SEND_LINK_TTL ? conf.sign_ttl : SEND_LINK_TTL;

    if (sign_url(dst, size < SEND_LINK_MAX ? size : SEND_LINK_MAX,
                 s->file_key, time(NULL) + ttl) != 0)
    {
        return false;
    }

    media_str_set(&url, dst, strlen(dst));

    return media_url_parse(&u, url) == MEDIA_OK
           && send_host_fetchable(u.host, s->base_url);
}


/*
 * Evolution takes no link with an underscore in its host, nor one without a
 * top-level domain of two letters or more (isURL of the npm package validator
 * 13, used by class-validator).  Names without a dot are local ones anyway.
 * A private address is of use only to a provider that has one, too.
 */
static bool
send_host_fetchable(media_str_t host, const char *base_url)
{
    size_t       i, tld;
    media_str_t  base;
    media_url_t  u;

    switch (send_host_address(host)) {
    case 1:
        return true;

    case 0:
        media_str_set(&base, base_url, strlen(base_url));

        return media_url_parse(&u, base) == MEDIA_OK
               && (send_host_address(u.host) == 0
                   || memchr(u.host.data, '.', u.host.len) == NULL);
    }

    for (i = 0, tld = 0; i < host.len; i++) {
        if (host.data[i] == '.') {
            tld = i + 1;

        } else if (!isalnum((unsigned char) host.data[i])
                   && host.data[i] != '-')
        {
            return false;
        }
    }

    return tld > 1 && host.len - tld >= 2
           && isalpha((unsigned char) host.data[tld]);
}


/* 1: a public address, 0: one of the operator's own network, -1: a name */
static int
send_host_address(media_str_t host)
{
    char                  text[64];
    struct sockaddr_in    sin;
    struct sockaddr_in6   sin6;

    if (host.len >= sizeof(text)) {
        return -1;
    }

    memset(&sin, 0, sizeof(struct sockaddr_in));
    memset(&sin6, 0, sizeof(struct sockaddr_in6));
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';

    if (inet_pton(AF_INET, text, &sin.sin_addr) == 1) {
        sin.sin_family = AF_INET;
        return media_addr_public((struct sockaddr *) &sin);
    }

    if (inet_pton(AF_INET6, text, &sin6.sin6_addr) == 1) {
        sin6.sin6_family = AF_INET6;
        return media_addr_public((struct sockaddr *) &sin6);
    }

    return -1;
}
