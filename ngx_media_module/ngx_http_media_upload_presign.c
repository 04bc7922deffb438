
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "media_codec.h"
#include "ngx_http_media.h"


/* of a query, beside the access key, the region and the token */
#define NGX_HTTP_MEDIA_UPLOAD_QUERY  1024


static ngx_int_t ngx_http_media_upload_query(ngx_http_request_t *r,
    ngx_uint_t number, ngx_str_t *query);


ngx_int_t
ngx_http_media_upload_presign(ngx_http_request_t *r, ngx_uint_t number,
    int64_t size, ngx_str_t *url)
{
    u_char                       *p;
    size_t                        len;
    time_t                        now;
    ssize_t                       n;
    ngx_str_t                     path, query, base;
    media_str_t                   key;
    media_upload_t               *u;
    media_sigv4_header_t          headers[3];
    media_sigv4_request_t         req;
    ngx_http_media_loc_conf_t    *lcf;
    u_char                        length[NGX_INT64_LEN];

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    u = &ngx_http_media_upload_ctx(r)->upload;
    now = ngx_time();

    media_str_set(&key, u->upload_key, ngx_strlen(u->upload_key));

    if (ngx_http_media_s3_key_path(r->pool, &lcf->s3, key, &path) != NGX_OK
        || ngx_http_media_upload_query(r, number, &query) != NGX_OK
        || u->expires <= now)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&req, sizeof(media_sigv4_request_t));

    media_str_set(&req.method, "PUT", 3);
    media_str_set(&req.path, (char *) path.data, path.len);
    media_str_set(&req.query, (char *) query.data, query.len);

    media_str_set(&headers[0].name, "host", 4);
    media_str_set(&headers[0].value, (char *) lcf->upload.host.data,
                  lcf->upload.host.len);
    media_str_set(&headers[1].name, "content-length", 14);
    media_str_set(&headers[1].value, (char *) length,
                  (size_t) (ngx_sprintf(length, "%L", size) - length));
    media_str_set(&headers[2].name, "content-type", 12);
    headers[2].value = u->file_type;

    req.headers = headers;
    req.nheaders = number ? 2 : 3;

    base.data = lcf->upload.public_endpoint.data;
    base.len = ngx_strncmp(base.data, "https", 5) == 0 ? 8 : 7;

    len = base.len + lcf->upload.host.len + path.len + 1;
    n = NGX_HTTP_MEDIA_UPLOAD_QUERY + query.len
        + 3 * (lcf->s3.access_key.len + lcf->s3.region.len
               + lcf->s3.session_token.len);

    url->data = ngx_pnalloc(r->pool, len + n);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(url->data, "%V%V%V?", &base, &lcf->upload.host, &path);

    n = media_sigv4_presign(lcf->s3.cred, &req, now, u->expires - now,
                            (char *) p, n);
    if (n < 0) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "upload url could not be signed");
        return NGX_ERROR;
    }

    url->len = p + n - url->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_upload_query(ngx_http_request_t *r, ngx_uint_t number,
    ngx_str_t *query)
{
    u_char       *p;
    ssize_t       n;
    media_str_t  *id;

    if (number == 0) {
        ngx_str_set(query, "");
        return NGX_OK;
    }

    id = &ngx_http_media_upload_ctx(r)->upload.multipart_id;

    p = ngx_pnalloc(r->pool, sizeof("partNumber=&uploadId=") + NGX_INT_T_LEN
                             + 3 * id->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    query->data = p;
    p = ngx_sprintf(p, "partNumber=%ui&uploadId=", number);

    n = media_uri_encode((char *) p, 3 * id->len, id->data, id->len, 0);
    if (n < 0) {
        return NGX_ERROR;
    }

    query->len = p + n - query->data;

    return NGX_OK;
}
