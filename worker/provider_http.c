/*
 * Copyright (C) ngx_media contributors
 */

#include "provider.h"


static int provider_url(char *dst, size_t size,
    const provider_account_t *account, const char *path);
static struct curl_slist *provider_headers(const provider_account_t *account,
    const provider_request_t *req);


int
provider_perform(child_t *child, const provider_account_t *account,
    const provider_request_t *req, http_answer_t *ans)
{
    int             rc;
    char            url[MEDIA_URL_MAX];
    http_request_t  http;

    if (provider_url(url, sizeof(url), account, req->path) != 0) {
        memset(ans, 0, sizeof(http_answer_t));
        ans->error = "the URL is too long";
        ans->refused = 1;
        return -1;
    }

    memset(&http, 0, sizeof(http_request_t));
    http.method = req->method;
    http.url = url;
    http.headers = provider_headers(account, req);
    http.body = req->body;
    http.body_fd = req->body_fd;
    http.body_size = req->body_size;
    http.write = req->write;
    http.data = req->data;
    http.max_size = req->max_size;
    http.timeout = req->timeout;
    http.trusted = account->base_url;
    http.guarded = 1;
    http.once = req->once;

    rc = http_perform(child->curl, &http, ans);
    curl_slist_free_all(http.headers);

    return rc;
}


int
provider_call(child_t *child, const provider_account_t *account,
    const char *method, const char *auth, const char *path, const char *body,
    answer_t *answer, int64_t max_size, http_answer_t *ans)
{
    int                 rc;
    provider_request_t  req;

    memset(&req, 0, sizeof(provider_request_t));
    req.method = method;
    req.auth = auth;
    req.path = path;
    req.body_fd = -1;
    req.max_size = max_size;
    req.timeout = fetch_timeout(max_size);
    req.write = answer_write;
    req.data = answer;

    if (body != NULL) {
        media_str_set(&req.body, body, strlen(body));
    }

    rc = provider_perform(child, account, &req, ans);

    return rc == 0 && ans->status >= 200 && ans->status <= 299 ? 0 : -1;
}


static int
provider_url(char *dst, size_t size, const provider_account_t *account,
    const char *path)
{
    int          n;
    char         name[1024];
    size_t       len;
    ssize_t      rc;
    const char  *mark;

    rc = media_uri_encode(name, sizeof(name) - 1, account->name,
                          strlen(account->name), 0);

    if (rc < 0) {
        return -1;
    }

    name[rc] = '\0';

    /* the operator may have ended it with a slash */
    for (len = strlen(account->base_url);
         len > 0 && account->base_url[len - 1] == '/';
         len--) { /* void */ }

    mark = strstr(path, "{}");

    if (mark == NULL) {
        n = snprintf(dst, size, "%.*s%s", (int) len, account->base_url, path);

    } else {
        n = snprintf(dst, size, "%.*s%.*s%s%s", (int) len, account->base_url,
                     (int) (mark - path), path, name, mark + 2);
    }

    return n > 0 && (size_t) n < size ? 0 : -1;
}


static struct curl_slist *
provider_headers(const provider_account_t *account,
    const provider_request_t *req)
{
    char                line[CREDENTIAL_MAX + 64];
    struct curl_slist  *list;

    snprintf(line, sizeof(line), "%s: %s%s", req->auth,
             req->auth[0] == 'A' ? "Bearer " : "", account->token);
    list = curl_slist_append(NULL, line);
    explicit_bzero(line, sizeof(line));

    if (req->body.len != 0 || req->body_fd != -1) {
        snprintf(line, sizeof(line), "Content-Type: %s",
                 req->type != NULL ? req->type : "application/json");
        list = curl_slist_append(list, line);

        /* libcurl would repeat the request after a 417 */
        list = curl_slist_append(list, "Expect:");
    }

    return list;
}


ssize_t
provider_json(char *dst, size_t size, const char *s)
{
    size_t         n;
    unsigned char  c;

    for (n = 0; *s != '\0'; s++) {
        c = *s;

        if (n + 7 > size) {
            return -1;
        }

        if (c < 0x20) {
            n += sprintf(dst + n, "\\u%04x", c);
            continue;
        }

        if (c == '"' || c == '\\') {
            dst[n++] = '\\';
        }

        dst[n++] = c;
    }

    if (n >= size) {
        return -1;
    }

    dst[n] = '\0';
    return n;
}
