/*
 * Copyright (C) ngx_media contributors
 */

#include <arpa/inet.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media_worker.h"


/*
 * One guarded HTTP transfer on the child's easy handle, which keeps its
 * connections between calls.  Redirects are followed here and not by libcurl,
 * so that each hop's URL is checked like the first and the caller's headers
 * (credentials) stay with the first origin.  Addresses are checked when the
 * socket is made, after the resolver: a name cannot change in between.
 */


#define HTTP_USER_AGENT     "ngx_media/" MEDIA_VERSION
#define HTTP_HOPS_MAX       5
#define HTTP_CONNECT_TIME   10      /* seconds */
#define HTTP_LOW_SPEED_TIME 10      /* seconds */
#define HTTP_BUFFER         65536
#define HTTP_RETRY_AFTER    86400   /* seconds; what asks for more gets that */


typedef struct {
    CURL                  *curl;
    const http_request_t  *req;
    http_answer_t         *ans;
    off_t                  sent;        /* of the request body */
    size_t                 ntext;
    const char            *trusted;     /* NULL once the first URL is another
                                           origin: none may redirect to it */
    unsigned               private:1;   /* this hop may be a private address */
    char                   location[MEDIA_URL_MAX + 256];
} http_hop_t;


static int http_one(http_hop_t *hop, const char *url, bool own_headers);
static int http_guard(http_hop_t *hop, const char *url);
static void http_options(http_hop_t *hop, const char *url, bool own_headers);
static void http_body_options(http_hop_t *hop);
static void http_read_options(http_hop_t *hop);
static int http_retry_after(CURL *curl);
static bool http_same_origin(const char *a, const char *b);
static bool http_next(http_hop_t *hop, char *url, size_t size);
static curl_socket_t http_open_socket(void *data, curlsocktype purpose,
    struct curl_sockaddr *addr);
static int http_connected(void *data, char *ip, char *local, int port,
    int local_port);
static size_t http_read(char *dst, size_t size, size_t n, void *data);
static int http_seek(void *data, curl_off_t offset, int origin);
static size_t http_header(char *s, size_t size, size_t n, void *data);
static size_t http_write(char *s, size_t size, size_t n, void *data);


int
http_perform(CURL *curl, const http_request_t *req, http_answer_t *ans)
{
    int         i;
    char        url[MEDIA_URL_MAX + 256];
    http_hop_t  hop;

    memset(&hop, 0, sizeof(http_hop_t));
    hop.curl = curl;
    hop.req = req;
    hop.ans = ans;

    if (strlen(req->url) >= sizeof(url)) {
        memset(ans, 0, sizeof(http_answer_t));
        ans->error = "the URL is too long";
        ans->refused = 1;
        return -1;
    }

    strcpy(url, req->url);

    hop.trusted = req->trusted;

    for (i = 0; /* void */ ; i++) {
        if (http_one(&hop, url, http_same_origin(url, req->url)) != 0) {
            return -1;
        }

        if (!req->follow || ans->status < 300 || ans->status > 399
            || hop.location[0] == '\0')
        {
            return 0;
        }

        if (i == HTTP_HOPS_MAX || !http_next(&hop, url, sizeof(url))) {
            ans->error = "too many redirects, or one to an invalid URL";
            ans->refused = 1;
            return -1;
        }
    }
}


static int
http_one(http_hop_t *hop, const char *url, bool own_headers)
{
    CURLcode        code;
    http_answer_t  *ans;

    ans = hop->ans;
    memset(ans, 0, sizeof(http_answer_t));
    ans->error = "";
    ans->content_length = -1;
    hop->sent = 0;
    hop->ntext = 0;
    hop->location[0] = '\0';

    if (http_guard(hop, url) != 0) {
        ans->refused = 1;
        return -1;
    }

    http_options(hop, url, own_headers);
    code = curl_easy_perform(hop->curl);
    curl_easy_setopt(hop->curl, CURLOPT_HTTPHEADER, NULL);

    ans->curl_code = code;
    curl_easy_getinfo(hop->curl, CURLINFO_RESPONSE_CODE, &ans->status);
    ans->retry_after = http_retry_after(hop->curl);

    /* an error page that was too long to read on is an answer still */
    if (code == CURLE_OK
        || (code == CURLE_WRITE_ERROR
            && (ans->status < 200 || ans->status > 299)))
    {
        return 0;
    }

    if (ans->error[0] == '\0') {
        ans->error = curl_easy_strerror(code);
    }

    ans->status = 0;
    return -1;
}


static int
http_guard(http_hop_t *hop, const char *url)
{
    media_str_t            s;
    media_url_t            u;
    const char *const     *host;
    const http_request_t  *req;

    req = hop->req;
    hop->private = 1;

    if (!req->guarded) {
        return 0;
    }

    media_str_set(&s, url, strlen(url));

    if (media_url_parse(&u, s) != MEDIA_OK) {
        hop->ans->error = "the URL is malformed";
        return -1;
    }

    if (hop->trusted != NULL && http_same_origin(url, hop->trusted)) {
        return 0;
    }

    hop->private = 0;
    hop->trusted = NULL;

    if (u.scheme.len != 5 || u.port != 443) {
        hop->ans->error = "only https on port 443 is allowed";
        return -1;
    }

    for (host = req->hosts; host != NULL && *host != NULL; host++) {
        if (media_url_host_in(u.host, *host)) {
            return 0;
        }
    }

    hop->ans->error = "the host is not on the list of allowed hosts";
    return -1;
}


static void
http_options(http_hop_t *hop, const char *url, bool own_headers)
{
    CURL                  *curl;
    const http_request_t  *req;

    curl = hop->curl;
    req = hop->req;

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, HTTP_USER_AGENT);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long) HTTP_BUFFER);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);

    /* a proxy of the environment would resolve names behind the guard */
    curl_easy_setopt(curl, CURLOPT_PROXY, "");

    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long) HTTP_CONNECT_TIME);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long) req->timeout);

    if (req->low_speed) {
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long) req->low_speed);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                         (long) HTTP_LOW_SPEED_TIME);
    }

    if (own_headers) {
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, req->headers);
    }

    /* libcurl repeats a request if a kept connection dies under it, or if an
       HTTP/2 server refuses the stream */
    if (req->once) {
        curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                         (long) CURL_HTTP_VERSION_1_1);
    }

    /* no waiting for a server that does not know 100-continue */
    curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);

    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, http_open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, hop);
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, http_connected);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, hop);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, http_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, hop);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_write);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, hop);

    http_body_options(hop);
}


static void
http_body_options(http_hop_t *hop)
{
    CURL                  *curl;
    const http_request_t  *req;

    curl = hop->curl;
    req = hop->req;

    if (strcmp(req->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
        return;
    }

    if (strcmp(req->method, "POST") == 0 && req->body_fd != -1) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t) req->body_size);
        http_read_options(hop);
        return;
    }

    if (strcmp(req->method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t) req->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, req->body.data);
        return;
    }

    if (strcmp(req->method, "PUT") == 0) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t) (req->body_fd == -1
                                       ? (int64_t) req->body.len
                                       : req->body_size));
        http_read_options(hop);
        return;
    }

    if (strcmp(req->method, "GET") != 0) {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, req->method);
    }
}


static void
http_read_options(http_hop_t *hop)
{
    curl_easy_setopt(hop->curl, CURLOPT_READFUNCTION, http_read);
    curl_easy_setopt(hop->curl, CURLOPT_READDATA, hop);
    curl_easy_setopt(hop->curl, CURLOPT_SEEKFUNCTION, http_seek);
    curl_easy_setopt(hop->curl, CURLOPT_SEEKDATA, hop);
}


/* a number of seconds or a date (RFC 9110, 10.2.3); libcurl knows both */
static int
http_retry_after(CURL *curl)
{
    curl_off_t  seconds;

    seconds = 0;
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds);

    return seconds < 0 ? 0
           : seconds > HTTP_RETRY_AFTER ? HTTP_RETRY_AFTER : (int) seconds;
}


/* compares scheme, host and port; the rest of either may be absent */
static bool
http_same_origin(const char *a, const char *b)
{
    media_str_t  s, t;
    media_url_t  u, v;

    media_str_set(&s, a, strlen(a));
    media_str_set(&t, b, strlen(b));

    if (media_url_parse(&u, s) != MEDIA_OK
        || media_url_parse(&v, t) != MEDIA_OK)
    {
        return false;
    }

    return u.scheme.len == v.scheme.len
           && u.port == v.port
           && u.host.len == v.host.len
           && strncasecmp(u.host.data, v.host.data, u.host.len) == 0;
}


/* the redirect's target, made absolute by libcurl's parser */
static bool
http_next(http_hop_t *hop, char *url, size_t size)
{
    bool    ok;
    char   *text;
    CURLU  *u;

    if (strcmp(hop->req->method, "GET") != 0
        && strcmp(hop->req->method, "HEAD") != 0)
    {
        return false;
    }

    u = curl_url();
    text = NULL;

    ok = u != NULL
         && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK
         && curl_url_set(u, CURLUPART_URL, hop->location, 0) == CURLUE_OK
         && curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK
         && curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK
         && strlen(text) < size;

    if (ok) {
        strcpy(url, text);
    }

    curl_free(text);
    curl_url_cleanup(u);

    return ok;
}


static curl_socket_t
http_open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *addr)
{
    http_hop_t  *hop = data;

    (void) purpose;

    if (!hop->private && !media_addr_public(&addr->addr)) {
        hop->ans->error = "the host's address is not public";
        hop->ans->refused = 1;
        return CURL_SOCKET_BAD;
    }

    return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}


/* runs once the connection stands and before anything is written, also on a
   reused one, which an earlier request may have been allowed to open to a
   private address */
static int
http_connected(void *data, char *ip, char *local, int port, int local_port)
{
    http_hop_t           *hop = data;
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    struct sockaddr_storage  ss;

    (void) local;
    (void) port;
    (void) local_port;

    if (hop->private) {
        hop->ans->written = 1;
        return CURL_PREREQFUNC_OK;
    }

    memset(&ss, 0, sizeof(struct sockaddr_storage));
    sin = (struct sockaddr_in *) &ss;
    sin6 = (struct sockaddr_in6 *) &ss;

    if (inet_pton(AF_INET, ip, &sin->sin_addr) == 1) {
        sin->sin_family = AF_INET;

    } else if (inet_pton(AF_INET6, ip, &sin6->sin6_addr) == 1) {
        sin6->sin6_family = AF_INET6;
    }

    if (media_addr_public((struct sockaddr *) &ss)) {
        hop->ans->written = 1;
        return CURL_PREREQFUNC_OK;
    }

    hop->ans->error = "the host's address is not public";
    hop->ans->refused = 1;
    return CURL_PREREQFUNC_ABORT;
}


static size_t
http_read(char *dst, size_t size, size_t n, void *data)
{
    size_t                 left;
    ssize_t                got;
    http_hop_t            *hop = data;
    const http_request_t  *req;

    req = hop->req;
    n *= size;

    if (req->body_fd == -1) {
        left = req->body.len - hop->sent;
        got = n < left ? n : left;
        memcpy(dst, req->body.data + hop->sent, got);

    } else {
        left = req->body_size - hop->sent;
        got = pread(req->body_fd, dst, n < left ? n : left, hop->sent);

        if (got < 0) {
            return CURL_READFUNC_ABORT;
        }
    }

    hop->sent += got;
    return got;
}


/* libcurl rewinds the body when a kept connection turns out to be dead */
static int
http_seek(void *data, curl_off_t offset, int origin)
{
    http_hop_t  *hop = data;

    if (origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }

    hop->sent = offset;
    return CURL_SEEKFUNC_OK;
}


static size_t
http_header(char *s, size_t size, size_t n, void *data)
{
    size_t          i, len;
    char            value[MEDIA_URL_MAX + 256];
    http_hop_t     *hop = data;
    http_answer_t  *ans;

    ans = hop->ans;
    n *= size;

    for (i = 0; i < n && s[i] != ':'; i++) { /* void */ }

    if (i == n) {
        return n;
    }

    for (len = n; len > i + 1 && strchr("\r\n\t ", s[len - 1]); len--) { }
    for (i++; i < len && (s[i] == ' ' || s[i] == '\t'); i++) { /* void */ }

    len -= i;

    if (len >= sizeof(value)) {
        return n;
    }

    memcpy(value, s + i, len);
    value[len] = '\0';

    if (strncasecmp(s, "content-type:", 13) == 0) {
        snprintf(ans->content_type, sizeof(ans->content_type), "%.*s",
                 (int) sizeof(ans->content_type) - 1, value);

    } else if (strncasecmp(s, "content-length:", 15) == 0) {
        ans->content_length = strtoll(value, NULL, 10);

    } else if (strncasecmp(s, "location:", 9) == 0) {
        strcpy(hop->location, value);
    }

    return n;
}


static size_t
http_write(char *s, size_t size, size_t n, void *data)
{
    size_t                 room;
    http_hop_t            *hop = data;
    http_answer_t         *ans;
    const http_request_t  *req;

    req = hop->req;
    ans = hop->ans;
    n *= size;

    if (ans->length == 0) {
        curl_easy_getinfo(hop->curl, CURLINFO_RESPONSE_CODE, &ans->status);
    }

    ans->length += n;

    if (ans->status < 200 || ans->status > 299) {
        room = sizeof(ans->text) - 1 - hop->ntext;
        room = n < room ? n : room;
        memcpy(ans->text + hop->ntext, s, room);
        hop->ntext += room;
        return ans->length > HTTP_BUFFER ? 0 : n;
    }

    if (req->max_size >= 0
        && (ans->length > req->max_size
            || ans->content_length > req->max_size))
    {
        ans->error = "the answer is larger than allowed";
        ans->too_large = 1;
        return 0;
    }

    if (req->write != NULL && req->write(req->data, s, n) != 0) {
        ans->error = "the answer is not what was asked for";
        return 0;
    }

    return n;
}
