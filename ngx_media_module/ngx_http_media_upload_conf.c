
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_UPLOAD_PART_MIN  (5 * 1024 * 1024)   /* S3's */
#define NGX_HTTP_MEDIA_UPLOAD_PART_MAX  1073741824


static media_category_t ngx_http_media_upload_category(ngx_str_t *name);
static char *ngx_http_media_upload_check(ngx_conf_t *cf,
    ngx_http_media_loc_conf_t *conf);
static char *ngx_http_media_upload_check_s3(ngx_conf_t *cf,
    ngx_http_media_loc_conf_t *conf);
static char *ngx_http_media_upload_policy(ngx_conf_t *cf,
    ngx_http_media_upload_loc_conf_t *conf);


/* by ngx_http_media_api_e */
static struct {
    const char           *name;
    ngx_http_handler_pt   handler;
} ngx_http_media_upload_apis[] = {
    { "", NULL },
    { "media_upload_url", ngx_http_media_upload_url_handler },
    { "media_upload_complete", ngx_http_media_upload_complete_handler },
    { "media_upload_parts", ngx_http_media_upload_parts_handler },
    { "media_upload", ngx_http_media_upload_handler },
    { "media_send", ngx_http_media_send_handler }
};


char *
ngx_http_media_upload_set_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_media_loc_conf_t  *lcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->upload.api == cmd->offset) {
        return "is duplicate";
    }

    if (lcf->upload.api || lcf->auth.url) {
        return "needs a location of its own";
    }

    lcf->upload.api = cmd->offset;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_media_upload_apis[cmd->offset].handler;

    return NGX_CONF_OK;
}


/* a category that files from browsers have; OTHER for any other name */

static media_category_t
ngx_http_media_upload_category(ngx_str_t *name)
{
    media_str_t       s;
    media_category_t  category;

    media_str_set(&s, (char *) name->data, name->len);

    category = media_category_by_name(s);

    return category == MEDIA_CATEGORY_PROFILE_PIC ? MEDIA_CATEGORY_OTHER
                                                  : category;
}


char *
ngx_http_media_upload_set_max_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    off_t             *sizes;
    ngx_str_t         *value;
    media_category_t   category;

    value = cf->args->elts;
    sizes = (off_t *) (p + cmd->offset);
    category = ngx_http_media_upload_category(&value[1]);

    if (category == MEDIA_CATEGORY_OTHER) {
        return "needs a category: image, audio, document, video or sticker";
    }

    if (sizes[category] != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    sizes[category] = ngx_parse_offset(&value[2]);

    if (sizes[category] == NGX_ERROR || sizes[category] == 0) {
        return "needs a size, such as 10m";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_media_upload_set_types(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    u_char            *last;
    size_t             len;
    ngx_str_t         *value, *types;
    ngx_uint_t         i;
    media_category_t   category;

    value = cf->args->elts;
    category = ngx_http_media_upload_category(&value[1]);

    if (category == MEDIA_CATEGORY_OTHER) {
        return "needs a category: image, audio, document, video or sticker";
    }

    types = (ngx_str_t *) (p + cmd->offset) + category;

    if (types->data) {
        return "is duplicate";
    }

    len = 0;

    for (i = 2; i < cf->args->nelts; i++) {
        len += value[i].len + 1;
    }

    types->data = ngx_pnalloc(cf->pool, len);
    if (types->data == NULL) {
        return NGX_CONF_ERROR;
    }

    last = types->data;

    for (i = 2; i < cf->args->nelts; i++) {
        last = ngx_cpymem(last, value[i].data, value[i].len);
        *last++ = ' ';
    }

    types->len = last - types->data;

    return NGX_CONF_OK;
}


void
ngx_http_media_upload_create_loc(ngx_http_media_upload_loc_conf_t *lcf)
{
    ngx_uint_t  i;

    /*
     * set by ngx_pcalloc():
     *
     *     lcf->api = 0;
     *     lcf->public_endpoint = { 0, NULL };
     *     lcf->prefix = { 0, NULL };
     *     lcf->types = { { 0, NULL } };
     *     lcf->host = { 0, NULL };
     *     lcf->policy = NULL;
     */

    lcf->url_ttl = NGX_CONF_UNSET;
    lcf->part_size = NGX_CONF_UNSET_SIZE;
    lcf->conversation = NGX_CONF_UNSET_PTR;

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        lcf->sizes[i] = NGX_CONF_UNSET;
    }
}


char *
ngx_http_media_upload_merge_loc(ngx_conf_t *cf,
    ngx_http_media_upload_loc_conf_t *prev, ngx_http_media_loc_conf_t *lcf)
{
    char                              *rv;
    ngx_uint_t                         i;
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_media_upload_loc_conf_t  *conf;

    conf = &lcf->upload;

    ngx_conf_merge_sec_value(conf->url_ttl, prev->url_ttl, 300);
    ngx_conf_merge_str_value(conf->public_endpoint, prev->public_endpoint, "");
    ngx_conf_merge_str_value(conf->prefix, prev->prefix, "");
    ngx_conf_merge_size_value(conf->part_size, prev->part_size,
                              16 * 1024 * 1024);
    ngx_conf_merge_ptr_value(conf->conversation, prev->conversation, NULL);

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {
        if (conf->sizes[i] == NGX_CONF_UNSET) {
            conf->sizes[i] = prev->sizes[i];
        }

        if (conf->types[i].data == NULL) {
            conf->types[i] = prev->types[i];
        }
    }

    if (conf->api == NGX_HTTP_MEDIA_API_NONE) {
        return NGX_CONF_OK;
    }

    rv = ngx_http_media_upload_check(cf, lcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (conf->api != NGX_HTTP_MEDIA_API_SEND) {
        rv = ngx_http_media_upload_check_s3(cf, lcf);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* media_upload_max_size is the limit, and its answer says so */

    if (conf->api == NGX_HTTP_MEDIA_API_UPLOAD) {
        clcf->client_max_body_size = 0;
        return NGX_CONF_OK;
    }

    /* a body of JSON is read into one buffer */

    clcf->client_max_body_size = NGX_HTTP_MEDIA_JSON_MAX;
    clcf->client_body_buffer_size = ngx_max(clcf->client_body_buffer_size,
                                            NGX_HTTP_MEDIA_JSON_MAX);

    return NGX_CONF_OK;
}


static char *
ngx_http_media_upload_check(ngx_conf_t *cf, ngx_http_media_loc_conf_t *conf)
{
    const char                  *name, *needs;
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    name = ngx_http_media_upload_apis[conf->upload.api].name;
    needs = NULL;

    if (mcf->webhook.amqp.peer.addr == NULL) {
        needs = "\"media_rabbitmq_url\" or \"media_rabbitmq_url_file\", to "
                "tell the worker";

    } else if (conf->auth.keys == NULL && conf->auth.tenant == NULL) {
        needs = "\"media_jwt_key_file\" or \"media_tenant\" to know who asks";

    } else if (conf->upload.api != NGX_HTTP_MEDIA_API_SEND
               && conf->auth.sign_keys == NULL)
    {
        needs = "\"media_sign_key\" or \"media_sign_key_file\" to sign "
                "tokens with";

    } else if (conf->upload.api != NGX_HTTP_MEDIA_API_SEND
               && conf->s3.cred == NULL)
    {
        needs = "\"media_s3_endpoint\", \"media_s3_bucket\", "
                "\"media_s3_access_key\" and \"media_s3_secret_key\"";

    } else if (conf->upload.api != NGX_HTTP_MEDIA_API_SEND
               && conf->upload.prefix.len == 0)
    {
        needs = "\"media_upload_store\", the prefix of an internal location "
                "that passes requests to S3";
    }

    if (needs == NULL) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%s\" needs %s", name, needs);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_media_upload_check_s3(ngx_conf_t *cf,
    ngx_http_media_loc_conf_t *lcf)
{
    ngx_http_media_upload_loc_conf_t  *conf;

    conf = &lcf->upload;

    if (conf->prefix.data[0] != '/'
        || conf->prefix.data[conf->prefix.len - 1] != '/')
    {
        return "\"media_upload_store\" must begin and end with a slash, as "
               "/upload-store/ does";
    }

    if (conf->url_ttl < 1 || conf->url_ttl > MEDIA_SIGV4_EXPIRES_MAX) {
        return "\"media_upload_ttl\" must be from 1s to 7d";
    }

    if (conf->part_size < NGX_HTTP_MEDIA_UPLOAD_PART_MIN
        || conf->part_size > NGX_HTTP_MEDIA_UPLOAD_PART_MAX)
    {
        return "\"media_upload_part_size\" must be from 5m, below which S3 "
               "takes the last part only, to 1024m";
    }

    if (conf->public_endpoint.len == 0) {
        conf->public_endpoint = lcf->s3.endpoint;
    }

    if (ngx_http_media_s3_host(cf, &lcf->s3, &conf->public_endpoint,
                               &conf->host)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_media_upload_policy(cf, conf);
}


static char *
ngx_http_media_upload_policy(ngx_conf_t *cf,
    ngx_http_media_upload_loc_conf_t *conf)
{
    ngx_uint_t   i;
    media_str_t  types;

    conf->policy = ngx_palloc(cf->pool, sizeof(media_mime_policy_t));
    if (conf->policy == NULL) {
        return NGX_CONF_ERROR;
    }

    media_mime_defaults(conf->policy);

    for (i = 0; i < MEDIA_CATEGORY_MAX; i++) {

        if (conf->sizes[i] != NGX_CONF_UNSET) {
            conf->policy->rules[i].max_size = conf->sizes[i];
        }

        if (conf->types[i].data == NULL) {
            continue;
        }

        media_str_set(&types, (char *) conf->types[i].data,
                      conf->types[i].len);

        if (media_mime_set(conf->policy, (media_category_t) i, "types",
                           types)
            != MEDIA_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid type in \"media_upload_types %s\": "
                               "write types such as image/jpeg, 64 and 2048 "
                               "bytes at the most",
                               media_category_name((media_category_t) i));
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}
