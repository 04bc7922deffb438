/*
 * Copyright (C) ngx_media contributors
 */

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "media_worker.h"


/*
 * Brings an attachment's bytes to a temporary file, from the first source
 * that gives them: WhatsApp's CDN, the copy that came with the webhook, the
 * provider's API, the provider's own copy.  Whatever the source, they go
 * through one sink that hashes, decrypts and counts them.
 */


#define FETCH_PIECE      16384
#define FETCH_LOW_SPEED  512        /* bytes per second */
#define FETCH_ENC_EXTRA  26         /* padding and MAC of an encrypted body */


typedef struct {
    const char      *name;
    fetch_result_t (*fetch)(child_t *child, attachment_t *a);
} fetch_source_t;


static bool fetch_is_declared_too_large(attachment_t *a);
static fetch_result_t fetch_direct(child_t *child, attachment_t *a);
static fetch_result_t fetch_encrypted(child_t *child, attachment_t *a,
    const char *url, bool decrypt);
static fetch_result_t fetch_body(child_t *child, attachment_t *a,
    const char *url, const char *info, http_answer_t *ans);
static bool fetch_other_form(char *dst, size_t size, const char *url,
    const attachment_t *a);
static fetch_result_t fetch_inline(child_t *child, attachment_t *a);
static fetch_result_t fetch_copy(child_t *child, attachment_t *a);
static int fetch_sink_open(fetch_sink_t *sink, attachment_t *a,
    const char *info);
static int fetch_sink_piece(fetch_sink_t *sink, const char *s, size_t len);
static void fetch_too_large(attachment_t *a, const char *source);
static int64_t fetch_clock_ns(void);


static const char *const  fetch_whatsapp_hosts[] = { "whatsapp.net", NULL };

static const fetch_source_t  fetch_sources[] = {
    { "direct",   fetch_direct   },
    { "inline",   fetch_inline   },
    { "provider", provider_fetch },
    { "copy",     fetch_copy     },
    { NULL,       NULL           }
};


fetch_result_t
fetch_attachment(child_t *child, attachment_t *a)
{
    size_t                 said;
    int64_t                start;
    fetch_result_t         rc, worst;
    const fetch_source_t  *source;

    if (fetch_is_declared_too_large(a)) {
        return FETCH_FINAL;
    }

    a->fd = file_temp();

    if (a->fd == -1) {
        return FETCH_AGAIN;
    }

    worst = FETCH_NONE;

    for (source = fetch_sources; source->name != NULL; source++) {
        start = now_ms();
        said = strlen(a->reason);
        rc = source->fetch(child, a);

        if (rc == FETCH_NONE) {
            continue;
        }

        hop_add(child, a->id, a->instance, a->message_id, "fetch",
                rc == FETCH_OK ? "ok" : "failed",
                rc == FETCH_OK
                ? log_fmt("%s, %lld bytes", source->name, (long long) a->size)
                : a->reason + (strlen(a->reason) > said + 2 && said > 0
                               ? said + 2 : 0),
                now_ms() - start);

        if (rc == FETCH_OK) {
            return FETCH_OK;
        }

        worst = rc > worst ? rc : worst;

        /* another copy would be as large */
        if (a->size > a->max_size) {
            return FETCH_FINAL;
        }

        attachment_renew(child, a);
    }

    if (worst == FETCH_NONE) {
        fetch_reason(a, "the message names no place to fetch the file from");
        return FETCH_FINAL;
    }

    return worst;
}


/* the declared length is only good for this: nobody overstates it */
static bool
fetch_is_declared_too_large(attachment_t *a)
{
    if (a->file_length <= a->max_size) {
        return false;
    }

    fetch_too_large(a, "declared");
    return true;
}


static fetch_result_t
fetch_direct(child_t *child, attachment_t *a)
{
    bool             decrypt;
    char             url[MEDIA_URL_MAX + 64];
    ssize_t          n;
    const char      *reason;
    media_str_t      path, full;
    fetch_result_t   rc;

    if (a->direct_path[0] == '\0' && a->url[0] == '\0') {
        return FETCH_NONE;
    }

    media_str_set(&path, a->direct_path, strlen(a->direct_path));
    media_str_set(&full, a->url, strlen(a->url));
    reason = "";

    n = media_url_choose(url, sizeof(url), path, full, fetch_cdn(),
                         time(NULL), &reason);

    if (n == MEDIA_URL_EXPIRED) {
        fetch_reason(a, "direct: expired, the link's oe has passed");
        return FETCH_EXPIRED;
    }

    if (n < 0) {
        fetch_reason(a, "direct: address rejected, %s", reason);
        return FETCH_FINAL;
    }

    /*
     * Channels send plain text, and may add a mediaKey that means nothing: no
     * fileEncSha256 is what tells them.  Without any hash nothing could tell
     * plain text from the other, so that decryption and its MAC have to.
     */
    decrypt = a->enc_sha256.len != 0
              || (a->sha256.len == 0 && a->media_key.len != 0);

    if (decrypt && a->media_key.len == 0) {
        fetch_reason(a, "direct: the message has no mediaKey");
        return FETCH_FINAL;
    }

    rc = fetch_encrypted(child, a, url, decrypt);

    if (rc == FETCH_FINAL && !decrypt && a->media_key.len != 0
        && a->size <= a->max_size)
    {
        rc = fetch_encrypted(child, a, url, true);
    }

    return rc;
}


/* the address as it came; on an unexplained 403 once more in the form that
   WhatsApp's own clients use */
static fetch_result_t
fetch_encrypted(child_t *child, attachment_t *a, const char *url,
    bool decrypt)
{
    char             other[MEDIA_URL_MAX + 256];
    media_str_t      type;
    const char      *info;
    http_answer_t    ans;
    fetch_result_t   rc;

    info = NULL;

    if (decrypt) {
        media_str_set(&type, a->key_type, strlen(a->key_type));
        info = media_decrypt_info(type);

        if (info == NULL) {
            fetch_reason(a, "direct: unknown media type");
            return FETCH_FINAL;
        }
    }

    rc = fetch_body(child, a, url, info, &ans);

    if (ans.status != 403) {
        return rc;
    }

    if (strstr(ans.text, "expired") != NULL) {
        fetch_reason(a, "direct: expired");
        return FETCH_EXPIRED;
    }

    if (!fetch_other_form(other, sizeof(other), url, a)) {
        return rc;
    }

    return fetch_body(child, a, other, info, &ans);
}


static fetch_result_t
fetch_body(child_t *child, attachment_t *a, const char *url, const char *info,
    http_answer_t *ans)
{
    int             rc;
    fetch_sink_t    sink;
    fetch_result_t  result;
    http_request_t  req;

    memset(ans, 0, sizeof(http_answer_t));

    if (fetch_sink_open(&sink, a, info) != 0) {
        return FETCH_FINAL;
    }

    memset(&req, 0, sizeof(http_request_t));
    req.method = "GET";
    req.url = url;
    req.headers = curl_slist_append(NULL, "Origin: https://web.whatsapp.com");
    req.body_fd = -1;
    req.write = fetch_sink_write;
    req.data = &sink;
    req.max_size = a->max_size + FETCH_ENC_EXTRA;
    req.timeout = fetch_timeout(a->max_size);
    req.low_speed = FETCH_LOW_SPEED;
    req.trusted = conf.whatsapp_cdn_url;
    req.hosts = fetch_whatsapp_hosts;
    req.follow = 1;
    req.guarded = 1;

    rc = http_perform(child->curl, &req, ans);
    curl_slist_free_all(req.headers);

    if (rc == 0 && ans->status == 200) {
        result = fetch_sink_close(&sink, "direct");

        hop_add(child, a->id, a->instance, a->message_id,
                info == NULL ? "verify" : "decrypt",
                result == FETCH_OK ? "ok" : "failed",
                result == FETCH_OK ? "" : a->reason, sink.time_ns / 1000000);
        return result;
    }

    if (ans->too_large || sink.too_large) {
        a->size = a->max_size + 1;
    }

    media_decrypt_free(sink.decrypt);
    return fetch_class(a, "direct", ans);
}


static bool
fetch_other_form(char *dst, size_t size, const char *url,
    const attachment_t *a)
{
    int          n;
    char         hash[MEDIA_BASE64_LEN(32) + 1], *p;
    const char  *type;

    if (a->enc_sha256.len != MEDIA_DECRYPT_HASH_LEN) {
        return false;
    }

    n = media_base64_encode(hash, a->enc_sha256.data, a->enc_sha256.len);
    hash[n] = '\0';

    for (p = hash; *p != '\0'; p++) {
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    }

    type = media_category_name(a->category == MEDIA_CATEGORY_STICKER
                               ? MEDIA_CATEGORY_IMAGE : a->category);

    n = snprintf(dst, size, "%s%chash=%s&mms-type=%s&__wa-mms=", url,
                 strchr(url, '?') == NULL ? '?' : '&', hash, type);

    return n > 0 && (size_t) n < size;
}


/* the base64 text that the webhook carried, cut out of its body in S3 */
static fetch_result_t
fetch_inline(child_t *child, attachment_t *a)
{
    int           rc;
    long          status;
    fetch_sink_t  sink;

    if (a->body_key[0] == '\0' || a->body_length <= 0 || a->body_offset < 0) {
        return FETCH_NONE;
    }

    if (fetch_sink_plain(&sink, a, true) != 0) {
        return FETCH_FINAL;
    }

    rc = store_get(child, a->body_key, a->body_offset, a->body_length,
                   fetch_sink_write, &sink, a->body_length, &status);
    if (rc == 0) {
        return fetch_sink_close(&sink, "inline");
    }

    media_decrypt_free(sink.decrypt);

    if (sink.too_large) {
        fetch_too_large(a, "inline");
        return FETCH_FINAL;
    }

    if (sink.malformed) {
        fetch_reason(a, "inline: not base64");
        return FETCH_FINAL;
    }

    if (status == 404 || status == 416) {
        fetch_reason(a, "inline: the webhook's body is gone");
        return FETCH_FINAL;
    }

    fetch_reason(a, "inline: S3 did not answer");
    return FETCH_AGAIN;
}


/* Evolution's own S3 copy: its address is the operator's, or it is refused */
static fetch_result_t
fetch_copy(child_t *child, attachment_t *a)
{
    int             rc;
    media_str_t     s;
    media_url_t     u;
    fetch_sink_t    sink;
    const char     *hosts[2];
    char            host[256];
    http_answer_t   ans;
    http_request_t  req;

    media_str_set(&s, a->base_url, strlen(a->base_url));

    if (a->media_url[0] == '\0' || media_url_parse(&u, s) != MEDIA_OK) {
        return FETCH_NONE;
    }

    snprintf(host, sizeof(host), "%.*s", (int) u.host.len, u.host.data);
    hosts[0] = host;
    hosts[1] = NULL;

    if (fetch_sink_plain(&sink, a, false) != 0) {
        return FETCH_FINAL;
    }

    memset(&req, 0, sizeof(http_request_t));
    req.method = "GET";
    req.url = a->media_url;
    req.body_fd = -1;
    req.write = fetch_sink_write;
    req.data = &sink;
    req.max_size = a->max_size;
    req.timeout = fetch_timeout(a->max_size);
    req.low_speed = FETCH_LOW_SPEED;
    req.trusted = strncmp(a->media_url, conf.s3_endpoint_url,
                          strlen(conf.s3_endpoint_url)) == 0
                  ? conf.s3_endpoint_url : a->base_url;
    req.hosts = hosts;
    req.guarded = 1;

    rc = http_perform(child->curl, &req, &ans);

    if (rc == 0 && ans.status == 200) {
        return fetch_sink_close(&sink, "copy");
    }

    media_decrypt_free(sink.decrypt);
    return fetch_class(a, "copy", &ans);
}


int
fetch_sink_plain(fetch_sink_t *sink, attachment_t *a, bool encoded)
{
    if (fetch_sink_open(sink, a, NULL) != 0) {
        return -1;
    }

    sink->encoded = encoded;
    return 0;
}


static int
fetch_sink_open(fetch_sink_t *sink, attachment_t *a, const char *info)
{
    int          rc;
    media_str_t  none = media_str("");

    memset(sink, 0, sizeof(fetch_sink_t));
    sink->a = a;
    a->size = 0;

    if (ftruncate(a->fd, 0) != 0 || lseek(a->fd, 0, SEEK_SET) != 0) {
        fetch_reason(a, "the temporary file failed");
        return -1;
    }

    rc = media_decrypt_create(&sink->decrypt, info,
                              info == NULL ? none : a->media_key, a->sha256,
                              info == NULL ? none : a->enc_sha256);

    if (rc == MEDIA_DECRYPT_BAD_MEDIA_KEY) {
        fetch_reason(a, "%s", media_decrypt_error(rc));
        return -1;
    }

    if (rc != MEDIA_OK) {
        fetch_reason(a, "the message's file hash is malformed");
        return -1;
    }

    return 0;
}


int
fetch_sink_write(void *data, const char *s, size_t len)
{
    size_t         n, i;
    ssize_t        got;
    fetch_sink_t  *sink = data;

    static char  text[FETCH_PIECE], bytes[FETCH_PIECE];

    while (len > 0) {
        n = len < FETCH_PIECE ? len : FETCH_PIECE;

        if (!sink->encoded) {
            if (fetch_sink_piece(sink, s, n) != 0) {
                return -1;
            }

        } else {
            /* as in the JSON text: "\/" for "/" */
            for (i = 0, got = 0; i < n; i++) {
                if (s[i] != '\\') {
                    text[got++] = s[i];
                }
            }

            got = media_base64_update(&sink->base64, bytes, text, got);

            if (got < 0) {
                sink->malformed = 1;
                return -1;
            }

            if (fetch_sink_piece(sink, bytes, got) != 0) {
                return -1;
            }
        }

        s += n;
        len -= n;
    }

    return 0;
}


static int
fetch_sink_piece(fetch_sink_t *sink, const char *s, size_t len)
{
    int64_t  start;
    ssize_t  n;

    static char  out[FETCH_PIECE + MEDIA_DECRYPT_SLACK];

    start = fetch_clock_ns();
    n = media_decrypt_update(sink->decrypt, out, s, len);
    sink->time_ns += fetch_clock_ns() - start;

    if (n < 0) {
        return -1;
    }

    sink->size += n;

    if (sink->size > sink->a->max_size) {
        sink->too_large = 1;
        return -1;
    }

    return file_write(sink->a->fd, out, n);
}


fetch_result_t
fetch_sink_close(fetch_sink_t *sink, const char *source)
{
    int            rc;
    size_t         len;
    attachment_t  *a;

    char  out[MEDIA_DECRYPT_SLACK];

    a = sink->a;
    len = 0;
    rc = media_decrypt_finish(sink->decrypt, out, &len);

    if (rc != MEDIA_OK) {
        fetch_reason(a, "%s: %s", source, media_decrypt_error(rc));

    } else if (sink->encoded
               && media_base64_finish(&sink->base64) != MEDIA_OK)
    {
        fetch_reason(a, "%s: not base64", source);
        rc = MEDIA_ERROR;

    } else {
        rc = file_write(a->fd, out, len);
        a->size = sink->size + len;
        memcpy(a->digest, media_decrypt_sha256(sink->decrypt), 32);
    }

    media_decrypt_free(sink->decrypt);
    sink->decrypt = NULL;

    return rc == MEDIA_OK ? FETCH_OK : FETCH_FINAL;
}


fetch_result_t
fetch_class(attachment_t *a, const char *source, const http_answer_t *ans)
{
    if (ans->too_large || a->size > a->max_size) {
        fetch_too_large(a, source);
        return FETCH_FINAL;
    }

    if (ans->refused) {
        fetch_reason(a, "%s: refused, %s", source, ans->error);
        return FETCH_FINAL;
    }

    if (ans->status == 0) {
        fetch_reason(a, "%s: %s", source, ans->error);
        return FETCH_RETRY;
    }

    fetch_reason(a, "%s: HTTP %ld", source, ans->status);

    switch (ans->status) {

    case 404:
    case 410:
        return FETCH_EXPIRED;

    case 408:
    case 425:
    case 429:
        return FETCH_RETRY;

    default:
        return ans->status >= 500 ? FETCH_RETRY : FETCH_FINAL;
    }
}


static void
fetch_too_large(attachment_t *a, const char *source)
{
    a->size = a->max_size + 1;

    fetch_reason(a, "%s: larger than the %.4g MB limit for %s", source,
                 (double) a->max_size / 1048576,
                 media_category_name(a->category));
}


void
fetch_reason(attachment_t *a, const char *fmt, ...)
{
    size_t   len;
    va_list  args;

    len = strlen(a->reason);

    if (len != 0 && len < sizeof(a->reason) - 2) {
        memcpy(a->reason + len, "; ", 3);
        len += 2;
    }

    va_start(args, fmt);
    vsnprintf(a->reason + len, sizeof(a->reason) - len, fmt, args);
    va_end(args);
}


/* a server at one MiB per second is in time */
int
fetch_timeout(int64_t size)
{
    return conf.download_timeout + size / 1048576;
}


const char *
fetch_cdn(void)
{
    return strcmp(conf.whatsapp_cdn_url, MEDIA_URL_CDN) == 0
           ? NULL : conf.whatsapp_cdn_url;
}


static int64_t
fetch_clock_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}
