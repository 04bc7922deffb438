
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"

#include "media_disposition.h"


static ngx_str_t  ngx_http_media_unknown_type =
    ngx_string("application/octet-stream");


ngx_int_t
ngx_http_media_disposition_headers(ngx_http_request_t *r, ngx_str_t *key)
{
    char              text[MEDIA_DISPOSITION_MAX];
    ngx_str_t         value, copy;
    media_str_t       stored, name, type;
    ngx_table_elt_t  *h;

    media_str_set(&type, (char *) r->headers_out.content_type.data,
                  r->headers_out.content_type.len);

    if (media_disposition_type_check(type) != MEDIA_OK) {
        r->headers_out.content_type = ngx_http_media_unknown_type;
        r->headers_out.content_type_len = ngx_http_media_unknown_type.len;
        r->headers_out.content_type_lowcase = NULL;
        r->headers_out.charset.len = 0;

        media_str_set(&type, (char *) ngx_http_media_unknown_type.data,
                      ngx_http_media_unknown_type.len);
    }

    h = ngx_http_media_header_get(r, "Content-Disposition");

    media_str_set(&stored, h ? (char *) h->value.data : "",
                  h ? h->value.len : 0);
    media_str_set(&name, (char *) key->data, key->len);

    value.data = (u_char *) text;
    value.len = media_disposition_format(text, stored, name, type);

    copy.len = value.len;
    copy.data = ngx_pstrdup(r->pool, &value);
    if (copy.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_media_header_set(r, "Content-Disposition", &copy) == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}
