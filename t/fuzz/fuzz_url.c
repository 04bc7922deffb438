/*
 * Copyright (C) ngx_media contributors
 *
 * Which URL a message's media is fetched from: the input is a directPath and
 * a url, each on a line.  What is chosen is WhatsApp's, and libcurl, which
 * fetches it, reads the same host out of it as we do.
 */

#include <curl/curl.h>
#include <strings.h>

#include "fuzz.h"
#include "media_url.h"


#define NOW  1767225600


static void check_parsed(media_str_t s);
static void check_chosen(media_str_t direct_path, media_str_t url);
static void check_curl(const char *url, const media_url_t *u);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         *copy;
    media_str_t   in, direct_path, url;

    copy = fuzz_copy(data, size);
    media_str_set(&in, copy, size);
    direct_path = fuzz_cut(&in, '\n');
    url = in;

    check_parsed(url);
    check_chosen(direct_path, url);

    free(copy);

    return 0;
}


static void
check_parsed(media_str_t s)
{
    char         *text;
    media_url_t   u;

    if (media_url_parse(&u, s) != MEDIA_OK) {
        return;
    }

    fuzz_check(u.host.len > 0 && u.port > 0 && u.port < 65536);
    fuzz_check(u.host.data > s.data
               && u.host.data + u.host.len <= s.data + s.len);
    fuzz_check(u.target.len == 0
               || u.target.data + u.target.len == s.data + s.len);

    text = fuzz_copy("", 0);
    text = realloc(text, s.len + 1);
    fuzz_check(text != NULL);
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    check_curl(text, &u);
    free(text);
}


static void
check_chosen(media_str_t direct_path, media_str_t url)
{
    ssize_t       n;
    const char   *reason;
    media_url_t   u;

    static char   chosen[MEDIA_URL_MAX + 256];

    reason = NULL;
    n = media_url_choose(chosen, sizeof(chosen), direct_path, url, NULL, NOW,
                         &reason);

    if (n == MEDIA_URL_REJECTED) {
        fuzz_check(reason != NULL);
        return;
    }

    if (n < 0) {
        fuzz_check(n == MEDIA_URL_EXPIRED || n == MEDIA_NOSPACE);
        return;
    }

    fuzz_check(strlen(chosen) == (size_t) n);
    fuzz_check(media_url_parse(&u, fuzz_text(chosen)) == MEDIA_OK);
    fuzz_check(u.scheme.len == 5 && strncasecmp(u.scheme.data, "https", 5)
                                    == 0);
    fuzz_check(u.port == 443);
    fuzz_check(media_url_host_in(u.host, "whatsapp.net"));
    check_curl(chosen, &u);

    /* a host of ours instead */
    n = media_url_choose(chosen, sizeof(chosen), direct_path, url,
                         "http://127.0.0.1:8080", NOW, &reason);

    if (n >= 0) {
        fuzz_check(media_url_parse(&u, fuzz_text(chosen)) == MEDIA_OK);
        fuzz_check(u.host.len == 9 && memcmp(u.host.data, "127.0.0.1", 9)
                                      == 0 && u.port == 8080);
        check_curl(chosen, &u);
    }
}


/* libcurl may refuse it, or else it goes where we think */
static void
check_curl(const char *url, const media_url_t *u)
{
    char   *host, *port, *p;
    size_t  len;
    CURLU  *curl;

    curl = curl_url();
    fuzz_check(curl != NULL);
    host = port = NULL;

    if (curl_url_set(curl, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK
        && curl_url_get(curl, CURLUPART_HOST, &host, 0) == CURLUE_OK
        && curl_url_get(curl, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT)
           == CURLUE_OK)
    {
        p = host;
        len = strlen(host);

        if (p[0] == '[') {
            p++;
            len -= 2;
        }

        /* numbers like 127.1 become addresses, which is no name of others */
        fuzz_check((len == u->host.len
                    && strncasecmp(p, u->host.data, len) == 0)
                   || (strspn(p, "0123456789.") == len
                       && !media_url_host_in(u->host, "whatsapp.net"))
                   || memchr(u->host.data, '%', u->host.len) != NULL
                   || p != host);
        fuzz_check((unsigned) atoi(port) == u->port);
    }

    curl_free(host);
    curl_free(port);
    curl_url_cleanup(curl);
}
