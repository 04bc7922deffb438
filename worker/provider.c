/*
 * Copyright (C) ngx_media contributors
 */

#include <stdlib.h>

#include "provider.h"


/*
 * What the providers' APIs give: a message's media, and the address of a
 * profile picture.  Each answers in its own way, and an answer is judged by
 * its HTTP status and the member that matters, never by an "error" member.
 */


#define PROVIDER_JSON_EXTRA  65536      /* around the base64 of a file */
#define PROVIDER_BODY_MAX    (2 * MEDIA_URL_MAX)


static fetch_result_t provider_evolution(child_t *child, attachment_t *a);
static int provider_evolution_body(char *dst, size_t size,
    const attachment_t *a);
static fetch_result_t provider_evolution_class(attachment_t *a,
    const http_answer_t *ans);
static fetch_result_t provider_wapi(child_t *child, attachment_t *a);
static fetch_result_t provider_cloudapi(child_t *child, attachment_t *a);
static fetch_result_t provider_cloudapi_url(child_t *child, attachment_t *a,
    const provider_account_t *account, char *url, size_t size);
static fetch_result_t provider_cloudapi_class(attachment_t *a,
    const http_answer_t *ans);
static fetch_result_t provider_file(child_t *child, attachment_t *a,
    const char *source, const char *url, const char *token,
    const char *const *hosts, long *status);
static void provider_base64(char *dst, const media_str_t *bytes);


static const char *const  provider_wapi_hosts[] = { "w-api.app", NULL };
static const char *const  provider_cloudapi_hosts[] =
                                        { "fbsbx.com", "fbcdn.net", NULL };

static const answer_member_t  provider_no_members[] = { { NULL, NULL, 0 } };


fetch_result_t
provider_fetch(child_t *child, attachment_t *a)
{
    if (strcmp(a->provider, "evolution") == 0) {
        return provider_evolution(child, a);
    }

    if (strcmp(a->provider, "wapi") == 0) {
        return provider_wapi(child, a);
    }

    return provider_cloudapi(child, a);
}


/*
 * Evolution answers with base64 in JSON, which is decoded as it comes.  It
 * asks the phone for a re-upload if WhatsApp no longer has the file.
 */
static fetch_result_t
provider_evolution(child_t *child, attachment_t *a)
{
    int                 rc;
    char                body[PROVIDER_BODY_MAX];
    answer_t            answer;
    fetch_sink_t        sink;
    http_answer_t       ans;
    provider_account_t  account;

    if (a->message_id[0] == '\0'
        || provider_evolution_body(body, sizeof(body), a) != 0)
    {
        return FETCH_NONE;
    }

    account.base_url = a->base_url;
    account.name = a->name;
    account.token = a->token;

    if (fetch_sink_plain(&sink, a, true) != 0) {
        return FETCH_FINAL;
    }

    if (answer_open(&answer, provider_no_members, "base64", fetch_sink_write,
                    &sink) != 0)
    {
        media_decrypt_free(sink.decrypt);
        return FETCH_AGAIN;
    }

    rc = provider_call(child, &account, "POST", "apikey",
                       "/chat/getBase64FromMediaMessage/{}", body, &answer,
                       MEDIA_BASE64_LEN(a->max_size) + PROVIDER_JSON_EXTRA,
                       &ans);

    if (answer_close(&answer) == 0 && rc == 0 && answer.has_long) {
        return fetch_sink_close(&sink, "evolution");
    }

    media_decrypt_free(sink.decrypt);

    if (sink.too_large) {
        ans.too_large = 1;
    }

    if ((rc == 0 && !ans.too_large) || sink.malformed) {
        fetch_reason(a, "evolution: no file in the answer");
        return FETCH_FINAL;
    }

    return provider_evolution_class(a, &ans);
}


/*
 * Key and content of the message, as its webhook had them: with the content
 * Evolution needs no database to find the message.  The url has to be there
 * and must not be the sender's choice of a host.
 */
static int
provider_evolution_body(char *dst, size_t size, const attachment_t *a)
{
    int   n;
    char  id[1024], chat[1024], sender[1024], path[MEDIA_URL_MAX + 512];
    char  key[128], sha256[128], enc_sha256[128], type[1024];

    const char  *node;

    if (provider_json(id, sizeof(id), a->message_id) < 0
        || provider_json(chat, sizeof(chat), a->chat_raw) < 0
        || provider_json(sender, sizeof(sender), a->sender_raw) < 0
        || provider_json(path, sizeof(path), a->direct_path) < 0
        || provider_json(type, sizeof(type), a->declared) < 0)
    {
        return -1;
    }

    n = snprintf(dst, size, "{\"message\":{\"key\":{\"id\":\"%s\","
                 "\"remoteJid\":\"%s\",\"fromMe\":%s",
                 id, chat, a->from_me ? "true" : "false");

    if (strstr(a->chat_raw, "@g.us") != NULL && n > 0 && (size_t) n < size) {
        n += snprintf(dst + n, size - n, ",\"participant\":\"%s\"", sender);
    }

    if (a->media_key.len != 0 && a->direct_path[0] == '/'
        && n > 0 && (size_t) n < size)
    {
        node = strcmp(a->key_type, "ptv") == 0 ? "ptv"
               : media_category_name(a->category);

        provider_base64(key, &a->media_key);
        provider_base64(sha256, &a->sha256);
        provider_base64(enc_sha256, &a->enc_sha256);

        n += snprintf(dst + n, size - n, "},\"message\":{\"%sMessage\":{"
                      "\"url\":\"" MEDIA_URL_CDN "%s\",\"directPath\":\"%s\","
                      "\"mimetype\":\"%s\",\"mediaKey\":\"%s\","
                      "\"fileSha256\":\"%s\",\"fileEncSha256\":\"%s\"}",
                      node, path, path, type, key, sha256, enc_sha256);
    }

    if (n > 0 && (size_t) n < size) {
        n += snprintf(dst + n, size - n, "}},\"convertToMp4\":false}");
    }

    return n > 0 && (size_t) n < size ? 0 : -1;
}


/* every failure of Evolution's own is a 400 with one sentence */
static fetch_result_t
provider_evolution_class(attachment_t *a, const http_answer_t *ans)
{
    size_t  i;

    static const struct {
        const char      *text;
        fetch_result_t   rc;
    } errors[] = {
        { "Message not found", FETCH_FINAL },
        { "not of the media type", FETCH_FINAL },
        { "bad decrypt", FETCH_FINAL },
        { "does not exist", FETCH_FINAL },
        { "AggregateError", FETCH_RETRY },
        { "Connection Closed", FETCH_RETRY },
    };

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strstr(ans->text, errors[i].text) != NULL) {
            fetch_reason(a, "evolution: HTTP %ld, %s", ans->status,
                         errors[i].text);
            return errors[i].rc;
        }
    }

    if (ans->status == 401 || ans->status == 403) {
        fetch_reason(a, "evolution: HTTP %ld, check the instance's token",
                     ans->status);
        return FETCH_RETRY;
    }

    return fetch_class(a, "evolution", ans);
}


static fetch_result_t
provider_wapi(child_t *child, attachment_t *a)
{
    int          rc;
    char         body[PROVIDER_BODY_MAX], link[MEDIA_URL_MAX];
    char         path[MEDIA_URL_MAX + 512], key[128], mime[1024];
    long         status;
    answer_t     answer;
    const char  *type;

    http_answer_t       ans;
    provider_account_t  account;
    answer_member_t     members[] = { { "fileLink", link, sizeof(link) },
                                      { NULL, NULL, 0 } };

    if (a->media_key.len == 0 || a->direct_path[0] == '\0'
        || provider_json(path, sizeof(path), a->direct_path) < 0
        || provider_json(mime, sizeof(mime), a->declared) < 0)
    {
        return FETCH_NONE;
    }

    account.base_url = a->base_url;
    account.name = a->name;
    account.token = a->token;

    provider_base64(key, &a->media_key);
    type = media_category_name(a->category);
    snprintf(body, sizeof(body), "{\"mediaKey\":\"%s\",\"directPath\":\"%s\","
             "\"type\":\"%s\",\"mimetype\":\"%s\"}", key, path, type, mime);

    if (answer_open(&answer, members, NULL, NULL, NULL) != 0) {
        return FETCH_AGAIN;
    }

    rc = provider_call(child, &account, "POST", "Authorization",
                       "/message/download-media?instanceId={}", body, &answer,
                       PROVIDER_ANSWER_MAX, &ans);

    if (answer_close(&answer) == 0 && rc == 0 && link[0] != '\0') {
        return provider_file(child, a, "wapi", link, NULL,
                             provider_wapi_hosts, &status);
    }

    if (rc == 0) {
        fetch_reason(a, "wapi: no fileLink in the answer");
        return FETCH_RETRY;
    }

    if (ans.status == 401 || ans.status == 403) {
        fetch_reason(a, "wapi: HTTP %ld, check the instance's token",
                     ans.status);
        return FETCH_RETRY;
    }

    return fetch_class(a, "wapi", &ans);
}


/* the address lives for five minutes: a 404 on it asks for a new one, once */
static fetch_result_t
provider_cloudapi(child_t *child, attachment_t *a)
{
    int                 i;
    char                url[MEDIA_URL_MAX];
    long                status;
    fetch_result_t      rc;
    provider_account_t  account;

    if (a->media_id[0] == '\0') {
        return FETCH_NONE;
    }

    account.base_url = a->base_url;
    account.name = a->name;
    account.token = a->token;

    for (i = 0; /* void */ ; i++) {
        rc = provider_cloudapi_url(child, a, &account, url, sizeof(url));

        if (rc != FETCH_OK) {
            return rc;
        }

        rc = provider_file(child, a, "cloudapi", url, a->token,
                           provider_cloudapi_hosts, &status);

        if (status != 404 || i == 1) {
            return rc;
        }
    }
}


static fetch_result_t
provider_cloudapi_url(child_t *child, attachment_t *a,
    const provider_account_t *account, char *url, size_t size)
{
    int       rc;
    char      path[1024], sha256[128];
    ssize_t   n;
    answer_t  answer;

    http_answer_t    ans;
    answer_member_t  members[] = { { "url", url, size },
                                   { "sha256", sha256, sizeof(sha256) },
                                   { NULL, NULL, 0 } };

    path[0] = '/';
    n = media_uri_encode(path + 1, sizeof(path) - 32, a->media_id,
                         strlen(a->media_id), 0);

    if (n < 0 || answer_open(&answer, members, NULL, NULL, NULL) != 0) {
        fetch_reason(a, "cloudapi: the media id is too long");
        return FETCH_FINAL;
    }

    strcpy(path + n + 1, "?phone_number_id={}");

    rc = provider_call(child, account, "GET", "Authorization", path, NULL,
                       &answer, PROVIDER_ANSWER_MAX, &ans);

    if (answer_close(&answer) != 0 || rc != 0 || url[0] == '\0') {
        if (rc == 0) {
            fetch_reason(a, "cloudapi: no url in the answer");
            return FETCH_RETRY;
        }

        return provider_cloudapi_class(a, &ans);
    }

    /* hexadecimal here, base64 in the webhook */
    if (a->sha256.len == 0 && strlen(sha256) == 64
        && media_hex_decode(a->keys[1], sha256, 64) == MEDIA_OK)
    {
        media_str_set(&a->sha256, (const char *) a->keys[1], 32);
    }

    return FETCH_OK;
}


/* Graph's HTTP statuses are unreliable, its error codes decide */
static fetch_result_t
provider_cloudapi_class(attachment_t *a, const http_answer_t *ans)
{
    long         code;
    size_t       i;
    const char  *p;

    static const long  passing[] = { 0, 1, 2, 4, 190, 613, 80007, 130429,
                                     131000, 131016, 131057, 133004 };

    p = strstr(ans->text, "\"code\":");

    if (ans->status == 0 || p == NULL) {
        return fetch_class(a, "cloudapi", ans);
    }

    code = strtol(p + 7, NULL, 10);

    fetch_reason(a, "cloudapi: HTTP %ld, error %ld%s", ans->status, code,
                 code == 190 || code == 0 ? ", check the access token"
                 : code == 100 ? ", the media id is unknown or expired" : "");

    for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (code == passing[i]) {
            return FETCH_RETRY;
        }
    }

    return ans->status >= 500 || ans->status == 429 ? FETCH_RETRY
                                                    : FETCH_FINAL;
}


/* a plain file by an address that the provider gave */
static fetch_result_t
provider_file(child_t *child, attachment_t *a, const char *source,
    const char *url, const char *token, const char *const *hosts,
    long *status)
{
    int             rc;
    char            line[4096];
    fetch_sink_t    sink;
    http_answer_t   ans;
    http_request_t  req;

    *status = 0;

    if (fetch_sink_plain(&sink, a, false) != 0) {
        return FETCH_FINAL;
    }

    memset(&req, 0, sizeof(http_request_t));
    req.method = "GET";
    req.url = url;
    req.body_fd = -1;
    req.write = fetch_sink_write;
    req.data = &sink;
    req.max_size = a->max_size;
    req.timeout = fetch_timeout(a->max_size);
    req.trusted = a->base_url;
    req.hosts = hosts;
    req.follow = 1;
    req.guarded = 1;

    if (token != NULL) {
        snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
        req.headers = curl_slist_append(NULL, line);
        explicit_bzero(line, sizeof(line));
    }

    rc = http_perform(child->curl, &req, &ans);
    curl_slist_free_all(req.headers);
    *status = ans.status;

    if (rc == 0 && ans.status == 200) {
        return fetch_sink_close(&sink, source);
    }

    media_decrypt_free(sink.decrypt);
    return fetch_class(a, source, &ans);
}


int
provider_picture(child_t *child, const char *provider, const char *name,
    const char *base_url, const char *token, const char *phone, char *url,
    size_t size)
{
    int       rc;
    char      text[256];
    bool      evolution;
    answer_t  answer;

    http_answer_t       ans;
    provider_account_t  account;
    answer_member_t     members[] = { { "profilePictureUrl", url, size },
                                      { "link", url, size },
                                      { NULL, NULL, 0 } };

    url[0] = '\0';
    evolution = strcmp(provider, "evolution") == 0;

    if (!evolution && strcmp(provider, "wapi") != 0) {
        return 0;
    }

    account.base_url = base_url;
    account.name = name;
    account.token = token;

    if (answer_open(&answer, evolution ? members : members + 1, NULL, NULL,
                    NULL) != 0)
    {
        return -1;
    }

    if (evolution) {
        snprintf(text, sizeof(text), "{\"number\":\"%s\"}", phone);
        rc = provider_call(child, &account, "POST", "apikey",
                           "/chat/fetchProfilePictureUrl/{}", text, &answer,
                           PROVIDER_ANSWER_MAX, &ans);
    } else {
        snprintf(text, sizeof(text),
                 "/contacts/profile-picture?phoneNumber=%s&instanceId={}",
                 phone);
        rc = provider_call(child, &account, "GET", "Authorization", text,
                           NULL, &answer, PROVIDER_ANSWER_MAX, &ans);
    }

    if (answer_close(&answer) != 0 || rc != 0) {
        log_msg(LOG_INFO, "no answer about a profile picture",
                "status", log_fmt("%ld", ans.status), "error", ans.error,
                NULL);
        url[0] = '\0';
        return -1;
    }

    return 0;
}


/* at most 64 bytes, as attachment_t has them */
static void
provider_base64(char *dst, const media_str_t *bytes)
{
    dst[media_base64_encode(dst, bytes->data, bytes->len)] = '\0';
}
