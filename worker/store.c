/*
 * Copyright (C) ngx_media contributors
 */

#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#include "media_worker.h"


/*
 * S3 by path style URLs, every request signed (SigV4).  Over http the hash of
 * the payload is signed, over https TLS guards it.  The endpoint is the
 * operator's, so the guard against private addresses does not apply.
 */


#define STORE_URL_MAX    (3 * MEDIA_KEY_MAX + 512)
#define STORE_TIMEOUT    60         /* seconds, and one more per MiB */
#define STORE_LOW_SPEED  1024       /* bytes per second */
#define STORE_HASH_PIECE 16384
#define STORE_HEADER_MAX 4096
#define STORE_COPY_ANSWER  2048     /* bytes of it that are looked at */
#define STORE_SIGNED_MAX 9

#define STORE_EMPTY_HASH                                                      \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


typedef struct {
    http_request_t     http;
    struct curl_slist *headers;
    char               url[STORE_URL_MAX];
    char               host[256];
    char               date[MEDIA_SIGV4_DATE_LEN + 1];
    char               hash[65];
    char               range[64];
    char               copy_source[STORE_URL_MAX];
    const char        *content_type;    /* "" if none, likewise */
    const char        *disposition;
    const char        *copy_match;
    const char        *copy_metadata;
    size_t             nsigned;

    media_sigv4_header_t  sign[STORE_SIGNED_MAX];
} store_request_t;


static int store_perform(child_t *child, store_request_t *req,
    http_answer_t *ans, long *status);
static int store_prepare(store_request_t *req, const char *method,
    const char *key);
static int store_copy_answer(void *data, const char *s, size_t len);
static int store_sign(store_request_t *req);
static void store_credentials(void);
static int store_hash(store_request_t *req);
static int store_sign_header(store_request_t *req, const char *name,
    const char *value);
static int store_header(store_request_t *req, const char *name,
    const char *value);


/* the signing key of the day lives here; one process, one bucket */
static media_sigv4_cred_t  store_cred;


int
store_put(child_t *child, const char *key, int fd, int64_t size,
    const char *content_type, const char *disposition, long *status)
{
    http_answer_t    ans;
    store_request_t  req;

    *status = 0;

    if (store_prepare(&req, "PUT", key) != 0) {
        return -1;
    }

    req.http.body_fd = fd;
    req.http.body_size = size;
    req.content_type = content_type;
    req.disposition = disposition != NULL ? disposition : "";

    return store_perform(child, &req, &ans, status);
}


int
store_put_checked(child_t *child, const char *key, int fd, int64_t size,
    const char *type, const char *disposition, long *status)
{
    char     stored[128];
    int64_t  length;

    if (store_put(child, key, fd, size, type, disposition, status) != 0
        || store_head(child, key, &length, stored, sizeof(stored), status)
           != 0)
    {
        return -1;
    }

    if (length != size) {
        log_msg(LOG_ERR, "s3 stored another length",
                "sent", log_fmt("%lld", (long long) size),
                "stored", log_fmt("%lld", (long long) length), NULL);
        *status = 0;
        return -1;
    }

    return 0;
}


int
store_put_mem(child_t *child, const char *key, media_str_t body,
    const char *content_type, long *status)
{
    http_answer_t    ans;
    store_request_t  req;

    *status = 0;

    if (store_prepare(&req, "PUT", key) != 0) {
        return -1;
    }

    req.http.body = body;
    req.http.body_size = body.len;
    req.content_type = content_type;

    return store_perform(child, &req, &ans, status);
}


int
store_head(child_t *child, const char *key, int64_t *size, char *content_type,
    size_t content_type_size, long *status)
{
    http_answer_t    ans;
    store_request_t  req;

    *status = 0;

    if (store_prepare(&req, "HEAD", key) != 0
        || store_perform(child, &req, &ans, status) != 0)
    {
        return -1;
    }

    *size = ans.content_length;
    snprintf(content_type, content_type_size, "%s", ans.content_type);

    return 0;
}


int
store_get(child_t *child, const char *key, int64_t offset, int64_t length,
    int (*write)(void *data, const char *s, size_t len), void *data,
    int64_t max_size, long *status)
{
    http_answer_t    ans;
    store_request_t  req;

    *status = 0;

    if (store_prepare(&req, "GET", key) != 0) {
        return -1;
    }

    if (offset >= 0) {
        snprintf(req.range, sizeof(req.range),
                 "bytes=%lld-%lld", (long long) offset,
                 (long long) (offset + length - 1));
    }

    req.http.write = write;
    req.http.data = data;
    req.http.max_size = max_size;

    if (store_perform(child, &req, &ans, status) != 0) {
        return -1;
    }

    if (offset >= 0 && ans.status != 206) {
        log_msg(LOG_ERR, "s3 ignored the range of a request", "key", key,
                NULL);
        return -1;
    }

    return 0;
}


/*
 * A copy may answer 200 before it is made, with an error in the body (AWS,
 * CopyObject).
 */
int
store_copy(child_t *child, const char *source, const char *key,
    const char *etag, const char *content_type, const char *disposition,
    long *status)
{
    char             body[STORE_COPY_ANSWER];
    ssize_t          n, len;
    http_answer_t    ans;
    store_request_t  req;

    *status = 0;

    if (store_prepare(&req, "PUT", key) != 0) {
        return -1;
    }

    n = snprintf(req.copy_source, sizeof(req.copy_source), "/%s/",
                 conf.s3_bucket);
    len = media_uri_encode(req.copy_source + n,
                           sizeof(req.copy_source) - n - 1, source,
                           strlen(source), 1);
    if (len < 0) {
        return -1;
    }

    req.copy_source[n + len] = '\0';
    req.copy_match = etag != NULL ? etag : "";

    if (content_type != NULL) {
        req.content_type = content_type;
        req.disposition = disposition;
        req.copy_metadata = "REPLACE";
    }

    body[0] = '\0';
    req.http.write = store_copy_answer;
    req.http.data = body;

    if (store_perform(child, &req, &ans, status) != 0) {
        return -1;
    }

    if (strstr(body, "<Error>") != NULL) {
        log_msg(LOG_ERR, "s3 did not finish a copy", NULL);
        *status = 500;
        return -1;
    }

    return 0;
}


/* what matters is at the beginning */
static int
store_copy_answer(void *data, const char *s, size_t len)
{
    char    *body = data;
    size_t   have;

    have = strlen(body);

    if (len > STORE_COPY_ANSWER - 1 - have) {
        len = STORE_COPY_ANSWER - 1 - have;
    }

    memcpy(body + have, s, len);
    body[have + len] = '\0';

    return 0;
}


int
store_abort_multipart(child_t *child, const char *key, const char *upload_id,
    long *status)
{
    size_t           n;
    ssize_t          len;
    http_answer_t    ans;
    store_request_t  req;

    *status = 0;

    if (store_prepare(&req, "DELETE", key) != 0) {
        return -1;
    }

    n = strlen(req.url);
    n += snprintf(req.url + n, sizeof(req.url) - n, "?uploadId=");
    len = n < sizeof(req.url)
          ? media_uri_encode(req.url + n, sizeof(req.url) - n - 1, upload_id,
                             strlen(upload_id), 0)
          : -1;
    if (len < 0) {
        return -1;
    }

    req.url[n + len] = '\0';

    return store_perform(child, &req, &ans, status);
}


int
store_delete(child_t *child, const char *key, long *status)
{
    http_answer_t    ans;
    store_request_t  req;

    *status = 0;

    if (store_prepare(&req, "DELETE", key) != 0) {
        return -1;
    }

    return store_perform(child, &req, &ans, status);
}


int
store_public_url(char *dst, size_t size, const char *key)
{
    size_t   len;
    ssize_t  n;

    len = strlen(conf.public_url);

    if (len >= size) {
        return -1;
    }

    memcpy(dst, conf.public_url, len);
    n = media_uri_encode(dst + len, size - len - 1, key, strlen(key), 1);

    if (n < 0) {
        return -1;
    }

    dst[len + n] = '\0';
    return 0;
}


int
store_key_of_url(char *dst, size_t size, const char *url)
{
    size_t       len;
    ssize_t      n;
    media_str_t  key;

    len = strlen(conf.public_url);

    if (len == 0 || strncmp(url, conf.public_url, len) != 0) {
        return -1;
    }

    url += len;
    len = strlen(url);

    if (len >= size || strcspn(url, "?#") != len) {
        return -1;
    }

    n = media_uri_decode(dst, url, len);

    if (n < 0) {
        return -1;
    }

    dst[n] = '\0';
    media_str_set(&key, dst, n);

    return media_key_check(key) == MEDIA_OK ? 0 : -1;
}


/* one repetition if the server closed the kept connection under the request;
   a GET that has handed on bytes is not repeated */
static int
store_perform(child_t *child, store_request_t *req, http_answer_t *ans,
    long *status)
{
    int  rc, tries;

    req->http.timeout = STORE_TIMEOUT + req->http.body_size / 1048576;

    if (req->http.max_size > 0) {
        req->http.timeout += req->http.max_size / 1048576;
    }

    for (tries = 0; tries < 2; tries++) {
        if (store_sign(req) != 0) {
            log_msg(LOG_ERR, "s3 request could not be signed", NULL);
            curl_slist_free_all(req->headers);
            return -1;
        }

        rc = http_perform(child->curl, &req->http, ans);
        curl_slist_free_all(req->headers);
        req->headers = NULL;

        if (rc == 0 || ans->length > 0
            || (ans->curl_code != CURLE_SEND_ERROR
                && ans->curl_code != CURLE_RECV_ERROR
                && ans->curl_code != CURLE_GOT_NOTHING))
        {
            break;
        }
    }

    *status = ans->status;

    if (rc != 0) {
        log_msg(LOG_ERR, "s3 request failed", "method", req->http.method,
                "error", ans->error, NULL);
        return -1;
    }

    if (ans->status < 200 || ans->status > 299) {
        log_msg(ans->status != 404 ? LOG_ERR
                : strcmp(req->http.method, "HEAD") == 0 ? LOG_DEBUG : LOG_INFO,
                "s3 refused",
                "method", req->http.method,
                "status", log_fmt("%ld", ans->status), NULL);
        return -1;
    }

    return 0;
}


static int
store_prepare(store_request_t *req, const char *method, const char *key)
{
    int          n;
    ssize_t      len;
    const char  *host;
    media_str_t  s;

    memset(req, 0, sizeof(store_request_t));
    media_str_set(&s, key, strlen(key));

    if (media_key_check(s) != MEDIA_OK) {
        log_msg(LOG_ERR, "invalid object key", NULL);
        return -1;
    }

    n = snprintf(req->url, sizeof(req->url), "%s/%s/", conf.s3_endpoint_url,
                 conf.s3_bucket);

    if (n < 0 || (size_t) n >= sizeof(req->url) - 1) {
        return -1;
    }

    len = media_uri_encode(req->url + n, sizeof(req->url) - n - 1, key,
                           s.len, 1);
    if (len < 0) {
        return -1;
    }

    req->url[n + len] = '\0';

    host = strstr(conf.s3_endpoint_url, "://");
    host = host == NULL ? "" : host + 3;
    snprintf(req->host, sizeof(req->host), "%.*s",
             (int) strcspn(host, "/"), host);

    req->http.method = method;
    req->http.url = req->url;
    req->http.body_fd = -1;
    req->http.max_size = -1;
    req->http.low_speed = STORE_LOW_SPEED;
    req->content_type = "";
    req->disposition = "";
    req->copy_match = "";
    req->copy_metadata = "";

    return 0;
}


static int
store_sign(store_request_t *req)
{
    time_t       now;
    ssize_t      len;
    const char  *path;

    char                   value[1024];
    media_sigv4_request_t  sig;

    now = time(NULL);
    media_sigv4_date(req->date, now);
    req->date[MEDIA_SIGV4_DATE_LEN] = '\0';
    req->nsigned = 0;

    if (store_hash(req) != 0
        || store_sign_header(req, "host", req->host) != 0
        || store_sign_header(req, "x-amz-copy-source", req->copy_source) != 0
        || store_sign_header(req, "x-amz-copy-source-if-match",
                             req->copy_match) != 0
        /* what the RADOS Gateway of Debian 12 calls it (ceph issue 53945) */
        || store_sign_header(req, "x-amz-copy-if-match", req->copy_match) != 0
        || store_sign_header(req, "x-amz-metadata-directive",
                             req->copy_metadata) != 0
        || store_sign_header(req, "x-amz-content-sha256", req->hash) != 0
        || store_sign_header(req, "x-amz-date", req->date) != 0
        || store_sign_header(req, "x-amz-security-token",
                             conf.s3_session_token) != 0
        || store_sign_header(req, "content-type", req->content_type) != 0)
    {
        return -1;
    }

    path = strchr(strstr(req->url, "://") + 3, '/');
    len = strcspn(path, "?");

    memset(&sig, 0, sizeof(media_sigv4_request_t));
    media_str_set(&sig.method, req->http.method, strlen(req->http.method));
    media_str_set(&sig.path, path, (size_t) len);

    if (path[len] == '?') {
        media_str_set(&sig.query, path + len + 1, strlen(path + len + 1));
    }

    media_str_set(&sig.payload_hash, req->hash, strlen(req->hash));
    sig.headers = req->sign;
    sig.nheaders = req->nsigned;

    store_credentials();
    len = media_sigv4_sign(&store_cred, &sig, now, value, sizeof(value) - 1);

    if (len < 0) {
        return -1;
    }

    value[len] = '\0';

    if (store_header(req, "authorization", value) != 0
        || store_header(req, "content-disposition", req->disposition) != 0
        || store_header(req, "range", req->range) != 0)
    {
        return -1;
    }

    req->http.headers = req->headers;
    return 0;
}


static void
store_credentials(void)
{
    media_str_set(&store_cred.access_key, conf.s3_access_key,
                  strlen(conf.s3_access_key));
    media_str_set(&store_cred.secret_key, conf.s3_secret_key,
                  strlen(conf.s3_secret_key));
    media_str_set(&store_cred.session_token, conf.s3_session_token,
                  strlen(conf.s3_session_token));
    media_str_set(&store_cred.region, conf.s3_region, strlen(conf.s3_region));
}


static int
store_hash(store_request_t *req)
{
    int             ok;
    off_t           offset;
    ssize_t         n;
    EVP_MD_CTX     *md;
    unsigned char   piece[STORE_HASH_PIECE], digest[EVP_MAX_MD_SIZE];

    if (strncmp(conf.s3_endpoint_url, "https:", 6) == 0) {
        strcpy(req->hash, MEDIA_SIGV4_UNSIGNED);
        return 0;
    }

    if (req->http.body_size == 0) {
        strcpy(req->hash, STORE_EMPTY_HASH);
        return 0;
    }

    md = EVP_MD_CTX_new();
    ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

    if (req->http.body_fd == -1) {
        ok = ok && EVP_DigestUpdate(md, req->http.body.data,
                                    req->http.body.len);
    }

    offset = 0;

    while (ok && req->http.body_fd != -1 && offset < req->http.body_size) {
        n = pread(req->http.body_fd, piece, sizeof(piece), offset);
        ok = n > 0 && EVP_DigestUpdate(md, piece, n);
        offset += n;
    }

    ok = ok && EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);

    if (!ok) {
        return -1;
    }

    media_hex_encode(req->hash, digest, 32);
    req->hash[64] = '\0';
    return 0;
}


static int
store_sign_header(store_request_t *req, const char *name, const char *value)
{
    media_sigv4_header_t  *h;

    if (value[0] == '\0') {
        return 0;
    }

    h = &req->sign[req->nsigned++];
    media_str_set(&h->name, name, strlen(name));
    media_str_set(&h->value, value, strlen(value));

    return store_header(req, name, value);
}


/* an empty value: no such header */
static int
store_header(store_request_t *req, const char *name, const char *value)
{
    char                line[STORE_HEADER_MAX];
    struct curl_slist  *list;

    if (value[0] == '\0') {
        return 0;
    }

    if (snprintf(line, sizeof(line), "%s: %s", name, value)
        >= (int) sizeof(line))
    {
        return -1;
    }

    list = curl_slist_append(req->headers, line);

    if (list == NULL) {
        return -1;
    }

    req->headers = list;
    return 0;
}
