
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_SIGN_FILE_MAX  4096      /* bytes */
#define NGX_HTTP_MEDIA_LEEWAY_MAX     3600
#define NGX_HTTP_MEDIA_SIGN_TTL_MAX   (7 * 24 * 3600)


static ngx_int_t ngx_http_media_auth_read_file(ngx_conf_t *cf,
    ngx_str_t *name, size_t max, ngx_str_t *text, mode_t *mode);
static ngx_int_t ngx_http_media_auth_load(ngx_conf_t *cf, ngx_str_t *name,
    ngx_fd_t fd, size_t max, ngx_str_t *text, mode_t *mode);
static ngx_int_t ngx_http_media_auth_secret_mode(ngx_conf_t *cf,
    ngx_str_t *name, mode_t mode);
static void ngx_http_media_auth_free_keys(void *data);
static ngx_int_t ngx_http_media_auth_compile(ngx_conf_t *cf,
    ngx_str_t *value, ngx_http_complex_value_t *cv);
static ngx_int_t ngx_http_media_auth_add_arguments(ngx_conf_t *cf,
    ngx_array_t *arguments, ngx_str_t *value);
static char *ngx_http_media_auth_add_sign_key(ngx_conf_t *cf,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_str_t *id, ngx_str_t *secret);
static char *ngx_http_media_auth_check_conf(
    ngx_http_media_auth_loc_conf_t *conf);
static char *ngx_http_media_auth_check_unused(ngx_conf_t *cf,
    ngx_http_media_auth_loc_conf_t *own);


/* the file's text in memory of the configuration, and its mode */

static ngx_int_t
ngx_http_media_auth_read_file(ngx_conf_t *cf, ngx_str_t *name, size_t max,
    ngx_str_t *text, mode_t *mode)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    /* one that is a pipe would wait for its writer */

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    rc = ngx_http_media_auth_load(cf, name, fd, max, text, mode);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return rc;
}


static ngx_int_t
ngx_http_media_auth_load(ngx_conf_t *cf, ngx_str_t *name, ngx_fd_t fd,
    size_t max, ngx_str_t *text, mode_t *mode)
{
    size_t           size;
    ssize_t          n;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a regular file, name the file "
                           "that holds the keys", name);
        return NGX_ERROR;
    }

    if (fi.st_mode & (S_IWGRP|S_IWOTH)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" may be written by others than its owner, "
                           "use \"chmod 640 %V\"", name, name);
        return NGX_ERROR;
    }

    if (ngx_file_size(&fi) > (off_t) max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has more than %uz bytes, keep only the "
                           "keys in use", name, max);
        return NGX_ERROR;
    }

    size = (size_t) ngx_file_size(&fi);

    text->data = ngx_pnalloc(cf->pool, size + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, text->data, size);

    if (n != (ssize_t) size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, n < 0 ? ngx_errno : 0,
                           "\"%V\" could not be read", name);
        return NGX_ERROR;
    }

    text->len = size;
    *mode = fi.st_mode;

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_auth_secret_mode(ngx_conf_t *cf, ngx_str_t *name, mode_t mode)
{
    if (mode & S_IROTH) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds a secret key and may be read by "
                           "all users, use \"chmod 640 %V\"", name, name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


char *
ngx_http_media_auth_set_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    char                             error[MEDIA_JWT_ERROR_MAX];
    mode_t                           mode;
    ngx_str_t                       *value, text;
    media_str_t                      jwks;
    ngx_pool_cleanup_t              *cln;
    ngx_http_media_auth_loc_conf_t  *aucf;

    aucf = (ngx_http_media_auth_loc_conf_t *) (p + cmd->offset);

    if (aucf->keys != NGX_CONF_UNSET_PTR) {
        return "is duplicate, put all keys into one file";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        aucf->keys = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_http_media_auth_read_file(cf, &value[1], MEDIA_JWT_KEYS_MAX,
                                      &text, &mode)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    media_str_set(&jwks, (char *) text.data, text.len);

    aucf->keys = media_jwt_keys_create(jwks, error);

    ngx_explicit_memzero(text.data, text.len);

    if (aucf->keys == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is refused as a JWK set: %s", &value[1],
                           error);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_media_auth_free_keys;
    cln->data = aucf->keys;

    if (media_jwt_keys_private(aucf->keys)
        && ngx_http_media_auth_secret_mode(cf, &value[1], mode) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_media_auth_free_keys(void *data)
{
    media_jwt_keys_free(data);
}


char *
ngx_http_media_auth_set_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    ngx_str_t                       *value;
    ngx_uint_t                       i;
    ngx_http_complex_value_t        *cv;
    ngx_http_media_auth_loc_conf_t  *aucf;

    aucf = (ngx_http_media_auth_loc_conf_t *) (p + cmd->offset);

    if (aucf->tokens != NGX_CONF_UNSET_PTR) {
        return "is duplicate, write all values in one directive";
    }

    value = cf->args->elts;

    aucf->tokens = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                    sizeof(ngx_http_complex_value_t));
    aucf->arguments = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));

    if (aucf->tokens == NULL || aucf->arguments == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        cv = ngx_array_push(aucf->tokens);

        if (cv == NULL
            || ngx_http_media_auth_add_arguments(cf, aucf->arguments,
                                                 &value[i])
               != NGX_OK
            || ngx_http_media_auth_compile(cf, &value[i], cv) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        if (cv->lengths == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"media_jwt_token\" is no "
                               "variable, write \"$http_authorization\", "
                               "\"$cookie_NAME\" or \"$arg_NAME\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_media_auth_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return ngx_http_compile_complex_value(&ccv);
}


/* names in "$arg_name" and "${arg_name}" */

static ngx_int_t
ngx_http_media_auth_add_arguments(ngx_conf_t *cf, ngx_array_t *arguments,
    ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_str_t  *name;

    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        if (*p != '$') {
            continue;
        }

        if (p + 1 < last && p[1] == '{') {
            p++;
        }

        if (last - p <= 5 || ngx_strncasecmp(p + 1, (u_char *) "arg_", 4)) {
            continue;
        }

        p += 4;

        name = ngx_array_push(arguments);
        if (name == NULL) {
            return NGX_ERROR;
        }

        name->data = p + 1;
        name->len = 0;

        while (p + 1 < last && (isalnum(p[1]) || p[1] == '_')) {
            name->len++;
            p++;
        }
    }

    return NGX_OK;
}


char *
ngx_http_media_auth_set_tenant(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                       *value;
    media_str_t                      tenant;
    ngx_http_media_auth_loc_conf_t  *aucf;

    aucf = (ngx_http_media_auth_loc_conf_t *) (p + cmd->offset);

    if (aucf->tenant != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        aucf->tenant = NULL;
        return NGX_CONF_OK;
    }

    aucf->tenant = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));

    if (aucf->tenant == NULL
        || ngx_http_media_auth_compile(cf, &value[1], aucf->tenant) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    media_str_set(&tenant, (char *) value[1].data, value[1].len);

    if (aucf->tenant->lengths == NULL
        && media_jwt_tenant_check(tenant) != MEDIA_OK)
    {
        return "must be a variable, or 1 to 64 letters, digits, \"-\" "
               "and \"_\"";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_media_auth_set_sign_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    ngx_str_t                       *value;
    ngx_http_media_auth_loc_conf_t  *aucf;

    aucf = (ngx_http_media_auth_loc_conf_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (cf->args->nelts == 3) {
        return ngx_http_media_auth_add_sign_key(cf, aucf, &value[1],
                                                &value[2]);
    }

    if (ngx_strcmp(value[1].data, "off") != 0) {
        return "needs an id and a secret, or \"off\"";
    }

    if (aucf->sign_keys != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    aucf->sign_keys = NULL;

    return NGX_CONF_OK;
}


char *
ngx_http_media_auth_set_sign_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    mode_t      mode;
    ngx_str_t  *value, secret;

    value = cf->args->elts;

    if (ngx_http_media_auth_read_file(cf, &value[2],
                                      NGX_HTTP_MEDIA_SIGN_FILE_MAX, &secret,
                                      &mode)
        != NGX_OK
        || ngx_http_media_auth_secret_mode(cf, &value[2], mode) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    while (secret.len
           && (secret.data[secret.len - 1] == LF
               || secret.data[secret.len - 1] == CR))
    {
        secret.len--;
    }

    return ngx_http_media_auth_add_sign_key(cf,
                    (ngx_http_media_auth_loc_conf_t *) (p + cmd->offset),
                    &value[1], &secret);
}


static char *
ngx_http_media_auth_add_sign_key(ngx_conf_t *cf,
    ngx_http_media_auth_loc_conf_t *aucf, ngx_str_t *id, ngx_str_t *secret)
{
    ngx_uint_t         i;
    media_sign_key_t  *k, key;

    media_str_set(&key.id, (char *) id->data, id->len);
    media_str_set(&key.secret, (char *) secret->data, secret->len);

    if (secret->len < MEDIA_SIGN_SECRET_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the secret of the signing key \"%V\" has less "
                           "than %d bytes, use \"openssl rand -hex 32\"", id,
                           MEDIA_SIGN_SECRET_MIN);
        return NGX_CONF_ERROR;
    }

    if (media_sign_check(&key) != MEDIA_OK) {
        return "has an invalid id, use 1 to 32 letters, digits, \"-\" "
               "and \"_\"";
    }

    if (aucf->sign_keys == NGX_CONF_UNSET_PTR) {
        aucf->sign_keys = ngx_array_create(cf->pool,
                                           NGX_HTTP_MEDIA_SIGN_KEYS_MAX,
                                           sizeof(media_sign_key_t));
    }

    if (aucf->sign_keys == NULL) {
        return "is \"off\" already";
    }

    k = aucf->sign_keys->elts;

    for (i = 0; i < aucf->sign_keys->nelts; i++) {
        if (k[i].id.len == key.id.len
            && ngx_memcmp(k[i].id.data, key.id.data, key.id.len) == 0)
        {
            return "has an id that is in use, give each key one of its own";
        }
    }

    if (i == NGX_HTTP_MEDIA_SIGN_KEYS_MAX) {
        return "is a third key, keep the one that signs and the one before";
    }

    k = ngx_array_push(aucf->sign_keys);
    if (k == NULL) {
        return NGX_CONF_ERROR;
    }

    *k = key;

    return NGX_CONF_OK;
}


char *
ngx_http_media_auth_set_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_media_auth_loc_conf_t  *aucf;

    aucf = (ngx_http_media_auth_loc_conf_t *) (p + cmd->offset);

    if (aucf->url) {
        return "is duplicate";
    }

    aucf->url = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_media_url_handler;

    return NGX_CONF_OK;
}


void
ngx_http_media_auth_create_loc(ngx_http_media_auth_loc_conf_t *lcf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     lcf->issuer = { 0, NULL };
     *     lcf->audience = { 0, NULL };
     *     lcf->claim = { 0, NULL };
     *     lcf->url = 0;
     *     lcf->enable = 0;
     */

    lcf->keys = NGX_CONF_UNSET_PTR;
    lcf->tokens = NGX_CONF_UNSET_PTR;
    lcf->arguments = NGX_CONF_UNSET_PTR;
    lcf->leeway = NGX_CONF_UNSET;
    lcf->tenant = NGX_CONF_UNSET_PTR;
    lcf->sign_keys = NGX_CONF_UNSET_PTR;
    lcf->sign_ttl = NGX_CONF_UNSET;
}


char *
ngx_http_media_auth_merge_loc(ngx_conf_t *cf,
    ngx_http_media_auth_loc_conf_t *prev,
    ngx_http_media_auth_loc_conf_t *conf)
{
    char                            *rv;
    ngx_http_media_auth_loc_conf_t   own;

    own = *conf;

    ngx_conf_merge_ptr_value(conf->keys, prev->keys, NULL);
    ngx_conf_merge_ptr_value(conf->tokens, prev->tokens, NULL);
    ngx_conf_merge_ptr_value(conf->arguments, prev->arguments, NULL);
    ngx_conf_merge_str_value(conf->issuer, prev->issuer, "");
    ngx_conf_merge_str_value(conf->audience, prev->audience, "");
    ngx_conf_merge_str_value(conf->claim, prev->claim, "tenant");
    ngx_conf_merge_sec_value(conf->leeway, prev->leeway, 0);
    ngx_conf_merge_ptr_value(conf->tenant, prev->tenant, NULL);
    ngx_conf_merge_ptr_value(conf->sign_keys, prev->sign_keys, NULL);
    ngx_conf_merge_sec_value(conf->sign_ttl, prev->sign_ttl, 900);

    conf->enable = (conf->keys || conf->tenant || conf->sign_keys);

    if (conf->keys == NULL) {
        rv = ngx_http_media_auth_check_unused(cf, &own);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if ((own.issuer.data && own.issuer.len == 0)
        || (own.audience.data && own.audience.len == 0)
        || (own.claim.data && own.claim.len == 0))
    {
        return "\"media_jwt_issuer\", \"media_jwt_audience\" and "
               "\"media_jwt_claim\" must not be empty, leave them out";
    }

    return ngx_http_media_auth_check_conf(conf);
}


/* what a location says of JWTs that it does not accept is a mistake */

static char *
ngx_http_media_auth_check_unused(ngx_conf_t *cf,
    ngx_http_media_auth_loc_conf_t *own)
{
    const char                *name;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* a server may say it for its locations, and they for theirs */

    if (clcf->name.len == 0 || clcf->locations) {
        return NGX_CONF_OK;
    }

    name = own->audience.data ? "audience"
           : own->issuer.data ? "issuer"
           : own->claim.data ? "claim"
           : own->tokens != NGX_CONF_UNSET_PTR ? "token"
           : own->leeway != NGX_CONF_UNSET ? "leeway" : NULL;

    if (name == NULL) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"media_jwt_%s\" in location \"%V\" needs "
                       "\"media_jwt_key_file\"", name, &clcf->name);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_media_auth_check_conf(ngx_http_media_auth_loc_conf_t *conf)
{
    ngx_uint_t          i;
    static const char  *times[] = { "exp", "nbf", "iat", "aud" };

    for (i = 0; i < 4; i++) {
        if (conf->claim.len == 3
            && ngx_strncmp(conf->claim.data, times[i], 3) == 0)
        {
            return "\"media_jwt_claim\" must name the claim that has the "
                   "tenant, not a time or an audience";
        }
    }

    if (conf->leeway > NGX_HTTP_MEDIA_LEEWAY_MAX) {
        return "\"media_jwt_leeway\" must be 1h at the most, as clocks "
               "do not differ by more";
    }

    if (conf->sign_ttl < 1 || conf->sign_ttl > NGX_HTTP_MEDIA_SIGN_TTL_MAX) {
        return "\"media_sign_ttl\" must be from 1s to 7d";
    }

    if (!conf->url) {
        return NGX_CONF_OK;
    }

    if (conf->sign_keys == NULL) {
        return "\"media_url\" needs \"media_sign_key\" or "
               "\"media_sign_key_file\" to sign with";
    }

    if (conf->keys == NULL && conf->tenant == NULL) {
        return "\"media_url\" needs \"media_jwt_key_file\" or "
               "\"media_tenant\" to know who asks";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_media_auth_check_location(ngx_http_media_loc_conf_t *lcf)
{
    if (lcf->auth.enable
        && (lcf->webhook.provider || lcf->store.path.len))
    {
        return "\"media_webhook\" and \"media_store\" know their callers "
               "themselves, write \"media_jwt_key_file off\", "
               "\"media_tenant off\" and \"media_sign_key off\" in their "
               "locations";
    }

    /* the URI of these is no key, whatever the server says of caching */

    if (lcf->auth.url || lcf->upload.api) {
        lcf->serve.enable = 0;
        lcf->cache.enable = 0;
        lcf->s3.key = NULL;
    }

    return NGX_CONF_OK;
}
