
/*
 * Copyright (C) ngx_media contributors
 *
 * Cross-origin resource sharing, as the Fetch standard has it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


/* what a location's kind allows, and what scripts read of its responses */
typedef struct {
    ngx_str_t  methods;
    ngx_str_t  request_headers;
    ngx_str_t  response_headers;
} ngx_http_media_cors_t;


static char *ngx_http_media_cors_origin(ngx_conf_t *cf, ngx_str_t *origin);
static u_char *ngx_http_media_cors_scheme(ngx_str_t *origin);
static u_char *ngx_http_media_cors_host(u_char *p, u_char *last);
static char *ngx_http_media_cors_port(ngx_conf_t *cf, ngx_str_t *origin,
    u_char *p);
static ngx_uint_t ngx_http_media_cors_any(
    ngx_http_media_serve_loc_conf_t *lcf);
static ngx_str_t *ngx_http_media_cors_match(ngx_http_request_t *r,
    ngx_http_media_serve_loc_conf_t *lcf);
static ngx_http_media_cors_t *ngx_http_media_cors_kind(
    ngx_http_media_loc_conf_t *lcf);


static ngx_str_t  ngx_http_media_cors_max_age = ngx_string("86400");
static ngx_str_t  ngx_http_media_cors_vary = ngx_string("Origin");
static ngx_str_t  ngx_http_media_cors_true = ngx_string("true");

static ngx_http_media_cors_t  ngx_http_media_cors_serve = {
    ngx_string("GET, HEAD"),
    ngx_string("Authorization, Range, If-Match, If-None-Match, "
               "If-Modified-Since, If-Unmodified-Since, If-Range"),
    ngx_string("Content-Length, Content-Range, Accept-Ranges, ETag, "
               "Last-Modified, Content-Disposition, X-Cache")
};

static ngx_http_media_cors_t  ngx_http_media_cors_api = {
    ngx_string("GET, POST, DELETE"),
    ngx_string("Authorization, Content-Type, Idempotency-Key, Upload-Token"),
    ngx_string("Retry-After")
};

/* presigned URLs and forms: nobody signs with headers in a browser */

static ngx_http_media_cors_t  ngx_http_media_cors_store = {
    ngx_string("GET, HEAD, PUT, POST"),
    ngx_string("Content-Type, Content-MD5, Range, If-Match, If-None-Match"),
    ngx_string("ETag, Content-Length, Content-Range, x-amz-request-id")
};


ngx_int_t
ngx_http_media_cors_preflight(ngx_http_request_t *r)
{
    ngx_http_media_cors_t      *cors;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    cors = ngx_http_media_cors_kind(lcf);

    /* a browser takes the answer for a no if the origin is not in it */

    if (ngx_http_media_cors_match(r, &lcf->serve) == NULL) {
        return NGX_HTTP_NO_CONTENT;
    }

    if (ngx_media_add_header(r, "Access-Control-Allow-Methods",
                             &cors->methods)
        == NULL
        || ngx_media_add_header(r, "Access-Control-Allow-Headers",
                                &cors->request_headers)
           == NULL
        || ngx_media_add_header(r, "Access-Control-Max-Age",
                                &ngx_http_media_cors_max_age)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_NO_CONTENT;
}


ngx_int_t
ngx_http_media_cors_headers(ngx_http_request_t *r)
{
    ngx_str_t                        *origin;
    ngx_http_media_cors_t            *cors;
    ngx_http_media_loc_conf_t        *mlcf;
    ngx_http_media_serve_loc_conf_t  *lcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    cors = ngx_http_media_cors_kind(mlcf);
    lcf = &mlcf->serve;

    if (lcf->origins->nelts == 0) {
        return NGX_OK;
    }

    /* what is cached for one origin is not for another, nor for none */

    if (!ngx_http_media_cors_any(lcf)
        && ngx_http_media_header_set(r, "Vary", &ngx_http_media_cors_vary)
           == NULL)
    {
        return NGX_ERROR;
    }

    origin = ngx_http_media_cors_match(r, lcf);

    if (origin == NULL) {
        return NGX_OK;
    }

    if (lcf->credentials
        && ngx_http_media_header_set(r, "Access-Control-Allow-Credentials",
                                     &ngx_http_media_cors_true)
           == NULL)
    {
        return NGX_ERROR;
    }

    if (r->method != NGX_HTTP_OPTIONS
        && ngx_http_media_header_set(r, "Access-Control-Expose-Headers",
                                     &cors->response_headers)
           == NULL)
    {
        return NGX_ERROR;
    }

    if (ngx_http_media_header_set(r, "Access-Control-Allow-Origin", origin)
        == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_http_media_cors_t *
ngx_http_media_cors_kind(ngx_http_media_loc_conf_t *lcf)
{
    if (lcf->store.path.data) {
        return &ngx_http_media_cors_store;
    }

    return lcf->upload.api ? &ngx_http_media_cors_api
                           : &ngx_http_media_cors_serve;
}


static ngx_uint_t
ngx_http_media_cors_any(ngx_http_media_serve_loc_conf_t *lcf)
{
    ngx_str_t  *origins;

    origins = lcf->origins->elts;

    return origins[0].len == 1 && origins[0].data[0] == '*';
}


/* the configured origin, NULL if the request's own is not among them */

static ngx_str_t *
ngx_http_media_cors_match(ngx_http_request_t *r,
    ngx_http_media_serve_loc_conf_t *lcf)
{
    ngx_str_t   *origin, *origins;
    ngx_uint_t   i;

    origins = lcf->origins->elts;

    if (ngx_http_media_cors_any(lcf)) {
        return &origins[0];
    }

    origin = ngx_http_media_get_header(r, "Origin");

    if (origin == NULL) {
        return NULL;
    }

    for (i = 0; i < lcf->origins->nelts; i++) {
        if (origins[i].len == origin->len
            && ngx_strncmp(origins[i].data, origin->data, origin->len) == 0)
        {
            return &origins[i];
        }
    }

    return NULL;
}


char *
ngx_http_media_cors_set_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_media_loc_conf_t  *lcf = conf;

    char        *rv;
    ngx_str_t   *value, *origin;
    ngx_uint_t   i;

    (void) cmd;

    if (lcf->serve.origins != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    lcf->serve.origins = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
    if (lcf->serve.origins == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (cf->args->nelts > 2 && ngx_strcmp(value[i].data, "*") == 0) {
            return "takes no other origin beside \"*\"";
        }

        rv = ngx_http_media_cors_origin(cf, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }

        origin = ngx_array_push(lcf->serve.origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


/* it is compared byte by byte, so it must be as browsers write it */

static char *
ngx_http_media_cors_origin(ngx_conf_t *cf, ngx_str_t *origin)
{
    u_char  *p, *last;

    if (ngx_strcmp(origin->data, "*") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(origin->data, "null") == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "origin \"null\" is the one of any sandboxed "
                           "page: write the site's, such as "
                           "https://crm.example.com");
        return NGX_CONF_ERROR;
    }

    last = origin->data + origin->len;
    p = ngx_http_media_cors_scheme(origin);

    if (p) {
        p = ngx_http_media_cors_host(p, last);
    }

    if (p && p < last && *p == ':') {
        return ngx_http_media_cors_port(cf, origin, p + 1);
    }

    if (p != last) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid origin \"%V\": write scheme://host or "
                           "scheme://host:port in lower case, nothing after "
                           "it, such as https://crm.example.com", origin);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* the first byte of the host, or NULL */

static u_char *
ngx_http_media_cors_scheme(ngx_str_t *origin)
{
    u_char  *p;

    for (p = origin->data; *p; p++) {

        if (*p == ':' && p > origin->data && p[1] == '/' && p[2] == '/') {
            return p + 3;
        }

        if (!((*p >= 'a' && *p <= 'z')
              || (p > origin->data
                  && ((*p >= '0' && *p <= '9') || *p == '+' || *p == '-'
                      || *p == '.'))))
        {
            break;
        }
    }

    return NULL;
}


/* its end, or NULL */

static u_char *
ngx_http_media_cors_host(u_char *p, u_char *last)
{
    u_char  *start;

    start = p;

    if (p < last && *p == '[') {

        for (p++; p < last && *p != ']'; p++) {
            if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f')
                  || *p == ':' || *p == '.'))
            {
                return NULL;
            }
        }

        return (p < last && p - start > 2) ? p + 1 : NULL;
    }

    while (p < last
           && ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z')
               || *p == '-' || *p == '.' || *p == '_'))
    {
        p++;
    }

    return (p > start) ? p : NULL;
}


static char *
ngx_http_media_cors_port(ngx_conf_t *cf, ngx_str_t *origin, u_char *p)
{
    u_char     *last;
    ngx_int_t   port;

    last = origin->data + origin->len;
    port = ngx_atoi(p, last - p);

    if (port < 1 || port > 65535 || *p == '0') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid port in origin \"%V\": write a number "
                           "from 1 to 65535, nothing after it", origin);
        return NGX_CONF_ERROR;
    }

    if ((port == 80 && ngx_strncmp(origin->data, "http:", 5) == 0)
        || (port == 443 && ngx_strncmp(origin->data, "https:", 6) == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "browsers leave out the port of origin \"%V\": "
                           "write \"%*s\"", origin,
                           (size_t) (p - 1 - origin->data), origin->data);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_media_cors_check(ngx_conf_t *cf,
    ngx_http_media_serve_loc_conf_t *lcf)
{
    if (lcf->origins->nelts && ngx_http_media_cors_any(lcf)
        && lcf->credentials)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "browsers refuse \"media_cors_origin *\" with "
                           "\"media_cors_credentials on\": name the "
                           "origins, such as https://crm.example.com");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
