
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "media_codec.h"
#include "media_post_policy.h"
#include "ngx_http_media.h"


/* of a query, beside the access key, the region and the token */
#define NGX_HTTP_MEDIA_UPLOAD_QUERY  1024


/* "partNumber=1000&uploadId=" */
#define NGX_HTTP_MEDIA_UPLOAD_BEFORE  64

#define ngx_http_media_upload_scheme(ulcf)                                    \
    (ngx_strncmp((ulcf)->public_endpoint.data, "https", 5) == 0               \
     ? "https://" : "http://")


static void ngx_http_media_upload_base(ngx_http_request_t *r,
    ngx_http_media_json_t *json);


ngx_int_t
ngx_http_media_upload_presign(ngx_http_request_t *r, ngx_uint_t number,
    int64_t size, ngx_str_t *url)
{
    u_char                       *p;
    size_t                        len;
    time_t                        now;
    ssize_t                       n;
    ngx_str_t                     path, query;
    media_str_t                   key;
    media_upload_t               *u;
    media_sigv4_header_t          headers[3];
    media_sigv4_request_t         req;
    ngx_http_media_loc_conf_t    *lcf;
    u_char                        length[NGX_INT64_LEN];
    char                          before[NGX_HTTP_MEDIA_UPLOAD_BEFORE];

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    u = &ngx_http_media_upload_ctx(r)->upload;
    now = ngx_time();

    media_str_set(&key, u->upload_key, ngx_strlen(u->upload_key));

    ngx_str_set(&query, "");
    (void) snprintf(before, sizeof(before), "partNumber=%u&uploadId=",
                    (unsigned) number);

    if (u->expires <= now
        || ngx_http_media_s3_key_path(r->pool, &lcf->s3, key, &path) != NGX_OK
        || (number
            && ngx_http_media_upload_query(r, before, &query) != NGX_OK))
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

    len = sizeof("https://?") + lcf->upload.host.len + path.len;
    n = NGX_HTTP_MEDIA_UPLOAD_QUERY + query.len
        + 3 * (lcf->s3.access_key.len + lcf->s3.region.len
               + lcf->s3.session_token.len);

    url->data = ngx_pnalloc(r->pool, len + n);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(url->data, "%s%V%V?",
                    ngx_http_media_upload_scheme(&lcf->upload),
                    &lcf->upload.host, &path);

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


ngx_int_t
ngx_http_media_upload_query(ngx_http_request_t *r, const char *before,
    ngx_str_t *query)
{
    u_char       *p;
    ssize_t       n;
    media_str_t  *id;

    id = &ngx_http_media_upload_ctx(r)->upload.multipart_id;

    p = ngx_pnalloc(r->pool, ngx_strlen(before) + 3 * id->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    query->data = p;
    p = ngx_cpymem(p, before, ngx_strlen(before));

    n = media_uri_encode((char *) p, 3 * id->len, id->data, id->len, 0);
    if (n < 0) {
        return NGX_ERROR;
    }

    query->len = p + n - query->data;

    return NGX_OK;
}


/* a policy that one object fulfils: its key, type and length */

ngx_int_t
ngx_http_media_upload_presign_form(ngx_http_request_t *r,
    ngx_http_media_json_t *json)
{
    ngx_uint_t                  i;
    ngx_str_t                   value;
    media_upload_t             *u;
    media_post_form_t          *form;
    media_post_policy_t         policy;
    media_sigv4_header_t        fields[2];
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);
    u = &ngx_http_media_upload_ctx(r)->upload;

    form = ngx_palloc(r->pool, sizeof(media_post_form_t));
    if (form == NULL) {
        return NGX_ERROR;
    }

    media_str_set(&fields[0].name, "key", 3);
    media_str_set(&fields[0].value, u->upload_key, ngx_strlen(u->upload_key));
    media_str_set(&fields[1].name, "Content-Type", 12);
    fields[1].value = u->file_type;

    media_str_set(&policy.bucket, (char *) lcf->s3.bucket.data,
                  lcf->s3.bucket.len);
    policy.fields = fields;
    policy.nfields = 2;
    policy.min = u->file_size;
    policy.max = u->file_size;
    policy.expires = u->expires;

    if (media_post_policy_sign(form, lcf->s3.cred, &policy, ngx_time())
        != MEDIA_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "upload form could not be signed");
        return NGX_ERROR;
    }

    ngx_http_media_upload_base(r, json);
    ngx_http_media_json_text(json, ",\"method\":\"POST\",\"fields\":{");

    for (i = 0; i < 2; i++) {
        value.data = (u_char *) fields[i].value.data;
        value.len = fields[i].value.len;
        ngx_http_media_json_string(json, fields[i].name.data, &value);
    }

    if (lcf->s3.session_token.len) {
        ngx_http_media_json_string(json, "x-amz-security-token",
                                   &lcf->s3.session_token);
    }

    ngx_http_media_json_text(json,
                             ",\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\","
                             "\"x-amz-credential\":\"");
    ngx_http_media_json_text(json, form->credential);
    ngx_http_media_json_text(json, "\",\"x-amz-date\":\"");
    ngx_http_media_json_text(json, form->date);
    ngx_http_media_json_text(json, "\",\"policy\":\"");
    ngx_http_media_json_text(json, form->policy);
    ngx_http_media_json_text(json, "\",\"x-amz-signature\":\"");
    ngx_http_media_json_text(json, form->signature);
    ngx_http_media_json_text(json, "\"}");

    return NGX_OK;
}


/* forms are posted to the bucket */

static void
ngx_http_media_upload_base(ngx_http_request_t *r, ngx_http_media_json_t *json)
{
    ngx_str_t                   path;
    ngx_http_media_loc_conf_t  *lcf;

    static const media_str_t  none = media_str("");

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    if (ngx_http_media_s3_key_path(r->pool, &lcf->s3, none, &path) != NGX_OK)
    {
        json->p = NULL;
        return;
    }

    ngx_http_media_json_text(json, ",\"upload_url\":\"");
    ngx_http_media_json_text(json,
                             ngx_http_media_upload_scheme(&lcf->upload));
    ngx_http_media_json_bytes(json, lcf->upload.host.data,
                              lcf->upload.host.len);
    ngx_http_media_json_bytes(json, path.data, path.len);
    ngx_http_media_json_text(json, "\"");
}
