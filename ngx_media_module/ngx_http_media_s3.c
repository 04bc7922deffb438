
/*
 * Copyright (C) ngx_media contributors
 *
 * The signer of requests that stock proxy_pass sends to an S3 server.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "media_codec.h"
#include "media_url.h"
#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_S3_PATH            0
#define NGX_HTTP_MEDIA_S3_VIRTUAL         1

#define NGX_HTTP_MEDIA_S3_HEADERS         4

/* of an Authorization value, beside the access key and the region */
#define NGX_HTTP_MEDIA_S3_AUTHORIZATION   512

/* what is shorter is no signature, and its stars would garble the line */
#define NGX_HTTP_MEDIA_S3_SIGNATURE_MIN   16
#define NGX_HTTP_MEDIA_S3_SIGNATURES      4     /* of one request */

/* bytes of the argument "url": a key encoded twice, and a query */
#define NGX_HTTP_MEDIA_S3_URL_MAX         8192


static ngx_int_t ngx_http_media_s3_location_key(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_http_media_s3_ctx_t *ngx_http_media_s3_ctx(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_s3_public(ngx_conf_t *cf, ngx_str_t *url);
static ngx_int_t ngx_http_media_s3_path(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_int_t ngx_http_media_s3_cred(ngx_conf_t *cf,
    ngx_http_media_s3_loc_conf_t *conf);
static ngx_int_t ngx_http_media_s3_hide(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_s3_url(ngx_http_request_t *r, ngx_str_t *url);
static ngx_int_t ngx_http_media_s3_decode(ngx_http_request_t *r,
    ngx_str_t *url);
static ngx_int_t ngx_http_media_s3_base(ngx_http_request_t *r,
    ngx_str_t *public, ngx_str_t *url, ngx_str_t *base);


ngx_conf_enum_t  ngx_http_media_s3_styles[] = {
    { ngx_string("path"), NGX_HTTP_MEDIA_S3_PATH },
    { ngx_string("virtual"), NGX_HTTP_MEDIA_S3_VIRTUAL },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_http_media_s3_key(ngx_http_request_t *r, ngx_str_t *key)
{
    u_char     *p;
    ngx_str_t   end;

    if (ngx_http_media_s3_original(r, key) != NGX_OK
        || ngx_http_media_s3_rendition(r, &end) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (end.len == 0 || key->len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, key->len + end.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    end.len = ngx_sprintf(p, "%V%V", key, &end) - p;
    end.data = p;
    *key = end;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_s3_original(ngx_http_request_t *r, ngx_str_t *key)
{
    if (ngx_http_media_s3_location_key(r, key) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_media_auth_replace(r, key);

    return NGX_OK;
}


/* of another shape, it might lead to what is no rendition of that object */

ngx_int_t
ngx_http_media_s3_rendition(ngx_http_request_t *r, ngx_str_t *end)
{
    u_char                      ch;
    ngx_uint_t                  i;
    ngx_http_media_loc_conf_t  *lcf;

    ngx_str_null(end);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->s3.rendition == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, lcf->s3.rendition, end) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < end->len; i++) {
        ch = end->data[i];

        if (!(ch == '_' || (i && ((ch >= 'a' && ch <= 'z')
                                  || (ch >= '0' && ch <= '9')
                                  || ch == '.'))))
        {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "\"%V\" is no rendition", end);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_s3_location_key(ngx_http_request_t *r, ngx_str_t *key)
{
    size_t                      len;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->s3.key) {
        return ngx_http_complex_value(r, lcf->s3.key, key);
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    len = 0;

#if (NGX_PCRE)
    if (clcf->regex == NULL)
#endif
    {
        if (!clcf->named
            && r->uri.len >= clcf->name.len
            && ngx_strncmp(r->uri.data, clcf->name.data, clcf->name.len) == 0)
        {
            len = clcf->name.len;
        }
    }

    /* "/media" and "/media/" leave the same, but no second slash is cut */

    if (len < r->uri.len && r->uri.data[len] == '/'
        && (len == 0 || r->uri.data[len - 1] != '/'))
    {
        len++;
    }

    key->data = r->uri.data + len;
    key->len = r->uri.len - len;

    return NGX_OK;
}


/* $media_s3_uri; NGX_DECLINED if there is nothing that may be asked for */

ngx_int_t
ngx_http_media_s3_uri(ngx_http_request_t *r, ngx_str_t *uri)
{
    ngx_int_t              rc;
    ngx_str_t              path;
    ngx_http_media_ctx_t  *ctx;

    rc = ngx_http_media_s3_path(r, &path);

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (rc != NGX_OK || ctx == NULL || ctx->query.len == 0) {
        *uri = path;
        return rc;
    }

    uri->data = ngx_pnalloc(r->pool, path.len + 1 + ctx->query.len);
    if (uri->data == NULL) {
        return NGX_ERROR;
    }

    uri->len = ngx_sprintf(uri->data, "%V?%V", &path, &ctx->query)
               - uri->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_s3_path(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_str_t                   key;
    media_str_t                 name;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (lcf->s3.cred == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "s3 endpoint, bucket or key is not configured");
        return NGX_DECLINED;
    }

    if (ngx_http_media_s3_key(r, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    media_str_set(&name, (char *) key.data, key.len);

    if (media_key_check(name) != MEDIA_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_media_s3_key_path(r->pool, &lcf->s3, name, path);
}


ngx_int_t
ngx_http_media_s3_key_path(ngx_pool_t *pool,
    ngx_http_media_s3_loc_conf_t *conf, media_str_t key, ngx_str_t *path)
{
    u_char   *p;
    ssize_t   n;

    p = ngx_pnalloc(pool, sizeof("//") - 1 + conf->bucket.len + 3 * key.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    path->data = p;
    *p++ = '/';

    if (conf->style == NGX_HTTP_MEDIA_S3_PATH) {
        p = ngx_cpymem(p, conf->bucket.data, conf->bucket.len);
        *p++ = '/';
    }

    n = media_uri_encode((char *) p, 3 * key.len, key.data, key.len, 1);
    if (n < 0) {
        return NGX_ERROR;
    }

    path->len = p + n - path->data;

    return NGX_OK;
}


static ngx_http_media_s3_ctx_t *
ngx_http_media_s3_ctx(ngx_http_request_t *r)
{
    ngx_http_media_ctx_t  *ctx;

    ctx = ngx_http_media_get_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    if (ctx->s3 == NULL) {
        ctx->s3 = ngx_palloc(r->pool, sizeof(ngx_http_media_s3_ctx_t));
        if (ctx->s3 == NULL) {
            return NULL;
        }

        /* all headers of a request are to carry the same date */

        ctx->s3->now = ngx_time();
        media_sigv4_date(ctx->s3->date, ctx->s3->now);
    }

    return ctx->s3;
}


ngx_int_t
ngx_http_media_s3_date(ngx_http_request_t *r, ngx_str_t *date)
{
    ngx_http_media_s3_ctx_t  *sctx;

    sctx = ngx_http_media_s3_ctx(r);
    if (sctx == NULL) {
        return NGX_ERROR;
    }

    date->data = (u_char *) sctx->date;
    date->len = MEDIA_SIGV4_DATE_LEN;

    return NGX_OK;
}


ngx_int_t
ngx_http_media_s3_authorization(ngx_http_request_t *r, ngx_str_t *value)
{
    size_t                      size;
    ssize_t                     n;
    ngx_int_t                   rc;
    ngx_str_t                   path, *method;
    media_sigv4_header_t        headers[NGX_HTTP_MEDIA_S3_HEADERS], *h;
    ngx_http_media_ctx_t       *ctx;
    media_sigv4_request_t       req;
    ngx_http_media_s3_ctx_t    *sctx;
    ngx_http_media_loc_conf_t  *lcf;

    rc = ngx_http_media_s3_path(r, &path);

    if (rc != NGX_OK) {
        return rc;
    }

    sctx = ngx_http_media_s3_ctx(r);
    if (sctx == NULL) {
        return NGX_ERROR;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    ngx_memzero(&req, sizeof(media_sigv4_request_t));

    /* proxy_cache makes a GET of a HEAD */

    method = (r->upstream && r->upstream->method.len) ? &r->upstream->method
                                                      : &r->method_name;

    media_str_set(&req.method, (char *) method->data, method->len);
    media_str_set(&req.path, (char *) path.data, path.len);
    media_str_set(&req.query, (char *) ctx->query.data, ctx->query.len);
    media_str_set(&req.payload_hash, MEDIA_SIGV4_UNSIGNED,
                  sizeof(MEDIA_SIGV4_UNSIGNED) - 1);

    h = headers;

    media_str_set(&h->name, "host", 4);
    media_str_set(&h->value, (char *) lcf->s3.host.data, lcf->s3.host.len);
    h++;

    media_str_set(&h->name, "x-amz-content-sha256", 20);
    h->value = req.payload_hash;
    h++;

    media_str_set(&h->name, "x-amz-date", 10);
    media_str_set(&h->value, sctx->date, MEDIA_SIGV4_DATE_LEN);
    h++;

    if (lcf->s3.session_token.len) {
        media_str_set(&h->name, "x-amz-security-token", 20);
        h->value = lcf->s3.cred->session_token;
        h++;
    }

    req.headers = headers;
    req.nheaders = h - headers;

    size = NGX_HTTP_MEDIA_S3_AUTHORIZATION + lcf->s3.access_key.len
           + lcf->s3.region.len;

    value->data = ngx_pnalloc(r->pool, size);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    n = media_sigv4_sign(lcf->s3.cred, &req, sctx->now, (char *) value->data,
                         size);
    if (n < 0) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "s3 request could not be signed");
        return NGX_ERROR;
    }

    value->len = n;

    return NGX_OK;
}


/* $media_url_key: the key in a URL of our own, NGX_DECLINED for any other */

ngx_int_t
ngx_http_media_s3_url_key(ngx_http_request_t *r, ngx_str_t *key)
{
    ssize_t                     n;
    ngx_int_t                   rc;
    ngx_str_t                   url, base;
    media_str_t                 name, endpoint, bucket;
    ngx_http_media_loc_conf_t  *lcf;

    if (ngx_http_media_s3_hide(r) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_media_s3_url(r, &url);

    if (rc != NGX_OK) {
        return rc;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (ngx_http_media_s3_base(r, &lcf->s3.public_url, &url, &base)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    key->data = ngx_pnalloc(r->pool, url.len + 1);
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    media_str_set(&name, (char *) url.data, url.len);
    media_str_set(&endpoint, (char *) base.data, base.len);

    n = media_key_from_base((char *) key->data, url.len + 1, name, endpoint);

    if (n <= 0) {
        media_str_set(&endpoint, (char *) lcf->s3.endpoint.data,
                      lcf->s3.endpoint.len);
        media_str_set(&bucket, (char *) lcf->s3.bucket.data,
                      lcf->s3.bucket.len);

        n = media_key_from_url((char *) key->data, url.len + 1, name,
                               endpoint, bucket);
    }

    if (n <= 0) {
        return NGX_DECLINED;
    }

    key->len = n;

    return NGX_OK;
}


/* a presigned URL is a way into the bucket until it expires: not for logs */

static ngx_int_t
ngx_http_media_s3_hide(ngx_http_request_t *r)
{
    u_char      *p, *last;
    ngx_str_t    value;
    ngx_uint_t   n;

    p = r->args.data;
    last = p + r->args.len;

    /* a few at most: for each, all of both lines is searched */

    for (n = 0; n < NGX_HTTP_MEDIA_S3_SIGNATURES; n++) {

        if (last - p < NGX_HTTP_MEDIA_S3_SIGNATURE_MIN) {
            break;
        }

        p = ngx_strlcasestrn(p, last, (u_char *) "X-Amz-Signature", 15 - 1);

        if (p == NULL) {
            break;
        }

        p += 15;

        /* "=", which may be encoded, once or more often */

        while (p < last && (*p == '%' || *p == '2' || *p == '5')) {
            p++;
        }

        p += (last - p > 2 && *p == '3') ? 2 : (p < last);

        for (value.data = p; p < last && isalnum(*p); p++) { /* void */ }

        value.len = p - value.data;

        if (value.len >= NGX_HTTP_MEDIA_S3_SIGNATURE_MIN
            && ngx_http_media_hide(r, &value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * The argument "url"; NGX_DECLINED if it is absent, or there twice: what
 * stands before us may have looked at the other one.
 */

static ngx_int_t
ngx_http_media_s3_url(ngx_http_request_t *r, ngx_str_t *url)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    n = 0;
    p = r->args.data;
    last = p + r->args.len;

    while (p < last) {

        if (last - p >= 4 && ngx_strncasecmp(p, (u_char *) "url=", 4) == 0) {
            n++;
        }

        p = ngx_strlchr(p, last, '&');
        p = p ? p + 1 : last;
    }

    if (n != 1
        || ngx_http_arg(r, (u_char *) "url", 3, url) != NGX_OK
        || url->len == 0
        || url->len > NGX_HTTP_MEDIA_S3_URL_MAX)
    {
        return NGX_DECLINED;
    }

    return ngx_http_media_s3_decode(r, url);
}


/* an argument is percent-encoded once more, unless it is plainly not */

static ngx_int_t
ngx_http_media_s3_decode(ngx_http_request_t *r, ngx_str_t *url)
{
    u_char   *p;
    ssize_t   n;

    if (url->data[0] == '/'
        || ngx_strlcasestrn(url->data, url->data + url->len,
                            (u_char *) "://", 3 - 1))
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, url->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    n = media_uri_decode((char *) p, (char *) url->data, url->len);
    if (n <= 0) {
        return NGX_DECLINED;
    }

    url->data = p;
    url->len = n;

    return NGX_OK;
}


/* what a URL begins with: a path is one on the host that the client asked */

static ngx_int_t
ngx_http_media_s3_base(ngx_http_request_t *r, ngx_str_t *public,
    ngx_str_t *url, ngx_str_t *base)
{
    ngx_str_t    host;
    const char  *scheme;

    *base = *public;

    if (public->data[0] != '/'
        || url->data[0] == '/'
        || r->headers_in.host == NULL)
    {
        return NGX_OK;
    }

    host = r->headers_in.host->value;

    scheme = (url->len > 6
              && ngx_strncasecmp(url->data, (u_char *) "https:", 6) == 0)
             ? "https" : "http";

    base->data = ngx_pnalloc(r->pool, sizeof("https://") - 1 + host.len
                                      + public->len);
    if (base->data == NULL) {
        return NGX_ERROR;
    }

    base->len = ngx_sprintf(base->data, "%s://%V%V", scheme, &host, public)
                - base->data;

    return NGX_OK;
}


/*
 * nginx takes what does not begin with a status line for HTTP/0.9, and would
 * send it to the client as it is.
 */

ngx_int_t
ngx_http_media_s3_response(ngx_http_request_t *r)
{
    u_char  *p;

    if (r->upstream == NULL || r->headers_out.status != 0) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "s3 sent no valid status line");

    if (r != r->main) {
        return NGX_ERROR;
    }

    p = r->http_protocol.data;

    if (r->http_protocol.len == sizeof("HTTP/1.1") - 1) {
        r->http_version = (p[5] - '0') * 1000 + (p[7] - '0');
    }

    return NGX_HTTP_BAD_GATEWAY;
}


void
ngx_http_media_s3_create_loc(ngx_http_media_s3_loc_conf_t *lcf)
{
    lcf->style = NGX_CONF_UNSET_UINT;
    lcf->key = NGX_CONF_UNSET_PTR;
    lcf->rendition = NGX_CONF_UNSET_PTR;
}


char *
ngx_http_media_s3_merge_loc(ngx_conf_t *cf,
    ngx_http_media_s3_loc_conf_t *prev, ngx_http_media_s3_loc_conf_t *conf)
{
    ngx_conf_merge_str_value(conf->endpoint, prev->endpoint, "");
    ngx_conf_merge_str_value(conf->bucket, prev->bucket, "");
    ngx_conf_merge_str_value(conf->region, prev->region, "us-east-1");
    ngx_conf_merge_str_value(conf->access_key, prev->access_key, "");
    ngx_conf_merge_str_value(conf->secret_key, prev->secret_key, "");
    ngx_conf_merge_str_value(conf->session_token, prev->session_token, "");
    ngx_conf_merge_str_value(conf->public_url, prev->public_url, "/media/");
    ngx_conf_merge_uint_value(conf->style, prev->style,
                              NGX_HTTP_MEDIA_S3_PATH);
    ngx_conf_merge_ptr_value(conf->key, prev->key, NULL);
    ngx_conf_merge_ptr_value(conf->rendition, prev->rendition, NULL);

    if (ngx_http_media_s3_public(cf, &conf->public_url) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->endpoint.len == 0
        || conf->bucket.len == 0
        || conf->access_key.len == 0
        || conf->secret_key.len == 0)
    {
        return NGX_CONF_OK;
    }

    if (ngx_http_media_s3_host(cf, conf, &conf->endpoint, &conf->host)
        != NGX_OK
        || ngx_http_media_s3_cred(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_media_s3_public(ngx_conf_t *cf, ngx_str_t *url)
{
    media_str_t  s;
    media_url_t  u;

    if (url->len == 0 || url->data[url->len - 1] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_public_url\" must end with a slash");
        return NGX_ERROR;
    }

    media_str_set(&s, (char *) url->data, url->len);

    if ((url->data[0] != '/' && media_url_parse(&u, s) != MEDIA_OK)
        || (url->len > 1 && ngx_strncmp(url->data, "//", 2) == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_public_url\" must be a path, or a URL "
                           "of http or https");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_media_s3_host(ngx_conf_t *cf, ngx_http_media_s3_loc_conf_t *conf,
    ngx_str_t *endpoint, ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   host;

    host = *endpoint;

    if (ngx_strncmp(host.data, "https://", 8) == 0) {
        host.data += 8;
        host.len -= 8;

    } else if (ngx_strncmp(host.data, "http://", 7) == 0) {
        host.data += 7;
        host.len -= 7;

    } else {
        host.len = 0;
    }

    if (host.len && host.data[host.len - 1] == '/') {
        host.len--;
        endpoint->len--;
    }

    if (host.len == 0
        || strcspn((char *) host.data, "/?#@ ") < host.len)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid s3 endpoint \"%V\"", endpoint);
        return NGX_ERROR;
    }

    if (conf->style == NGX_HTTP_MEDIA_S3_PATH) {
        *value = host;
        return NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, conf->bucket.len + 1 + host.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = ngx_sprintf(p, "%V.%V", &conf->bucket, &host) - p;

    return NGX_OK;
}


/* the signing key of the day is kept with the credentials of a location */

static ngx_int_t
ngx_http_media_s3_cred(ngx_conf_t *cf, ngx_http_media_s3_loc_conf_t *conf)
{
    media_sigv4_cred_t  *cred;

    cred = ngx_pcalloc(cf->pool, sizeof(media_sigv4_cred_t));
    if (cred == NULL) {
        return NGX_ERROR;
    }

    media_str_set(&cred->access_key, (char *) conf->access_key.data,
                  conf->access_key.len);
    media_str_set(&cred->secret_key, (char *) conf->secret_key.data,
                  conf->secret_key.len);
    media_str_set(&cred->session_token, (char *) conf->session_token.data,
                  conf->session_token.len);
    media_str_set(&cred->region, (char *) conf->region.data,
                  conf->region.len);

    conf->cred = cred;

    return NGX_OK;
}
