
/*
 * Copyright (C) ngx_media contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_WEBHOOK_SECRET_MAX  4096     /* bytes of a file */
#define NGX_HTTP_MEDIA_WEBHOOK_INPUT_MAX   262144   /* above two frames */


static char *ngx_http_media_webhook_set_url(ngx_conf_t *cf,
    ngx_media_amqp_conf_t *amqp, ngx_str_t *url);
static char *ngx_http_media_webhook_read_file(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *value);
static char *ngx_http_media_webhook_add_secret(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf, ngx_str_t *value);


static ngx_str_t  ngx_http_media_webhook_request_id =
    ngx_string("request_id");


char *
ngx_http_media_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                 *value;
    ngx_uint_t                *provider;
    media_str_t                name;
    ngx_http_core_loc_conf_t  *clcf;

    provider = (ngx_uint_t *) (p + cmd->offset);

    if (*provider) {
        return "is duplicate";
    }

    value = cf->args->elts;

    media_str_set(&name, (char *) value[1].data, value[1].len);
    *provider = media_provider_by_name(name);

    if (*provider == MEDIA_PROVIDER_UNKNOWN) {
        return "must be \"evolution\", \"wapi\" or \"cloudapi\"";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_media_webhook_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_media_webhook_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_media_webhook_set_url(cf,
                            (ngx_media_amqp_conf_t *) (p + cmd->offset),
                            &value[1]);
}


char *
ngx_http_media_webhook_url_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    char       *rv;
    ngx_str_t  *value, url;

    value = cf->args->elts;

    rv = ngx_http_media_webhook_read_file(cf, &value[1], &url);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_media_webhook_set_url(cf,
                            (ngx_media_amqp_conf_t *) (p + cmd->offset),
                            &url);
}


static char *
ngx_http_media_webhook_set_url(ngx_conf_t *cf, ngx_media_amqp_conf_t *amqp,
    ngx_str_t *url)
{
    if (amqp->peer.addr) {
        return "is duplicate";
    }

    return ngx_media_amqp_parse_url(cf, amqp, url);
}


char *
ngx_http_media_webhook_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_http_complex_value_t  **slot;

    slot = (ngx_http_complex_value_t **) (p + cmd->offset);

    /* older nginx takes anything but NULL for a duplicate */

    if (*slot == NGX_CONF_UNSET_PTR) {
        *slot = NULL;
    }

    return ngx_http_set_complex_value_slot(cf, cmd, conf);
}


char *
ngx_http_media_webhook_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_media_webhook_add_secret(cf, cmd, conf, &value[1]);
}


char *
ngx_http_media_webhook_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char       *rv;
    ngx_str_t  *value, secret;

    value = cf->args->elts;

    rv = ngx_http_media_webhook_read_file(cf, &value[1], &secret);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_media_webhook_add_secret(cf, cmd, conf, &secret);
}


static char *
ngx_http_media_webhook_read_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char    *p;
    ssize_t    n;
    ngx_fd_t   fd;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    p = ngx_pnalloc(cf->pool, NGX_HTTP_MEDIA_WEBHOOK_SECRET_MAX);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, p, NGX_HTTP_MEDIA_WEBHOOK_SECRET_MAX);

    (void) ngx_close_file(fd);

    if (n < 0) {
        return "names a file that cannot be read";
    }

    if (n == NGX_HTTP_MEDIA_WEBHOOK_SECRET_MAX) {
        return "names too large a file";
    }

    while (n && (p[n - 1] == LF || p[n - 1] == CR)) {
        n--;
    }

    if (n == 0) {
        return "names an empty file";
    }

    value->data = p;
    value->len = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_media_webhook_add_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf, ngx_str_t *value)
{
    char  *p = conf;

    ngx_str_t     *secret;
    ngx_array_t  **secrets;

    if (value->len == 0) {
        return "must not be empty";
    }

    secrets = (ngx_array_t **) (p + cmd->offset);

    if (*secrets == NGX_CONF_UNSET_PTR) {
        *secrets = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (*secrets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    secret = ngx_array_push(*secrets);
    if (secret == NULL) {
        return NGX_CONF_ERROR;
    }

    *secret = *value;

    return NGX_CONF_OK;
}


void
ngx_http_media_webhook_create_main(ngx_http_media_webhook_main_conf_t *mcf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     mcf->amqp.peer.addr = NULL;
     *     mcf->amqp.exchange = { 0, NULL };
     *     mcf->amqp.routing_key = { 0, NULL };
     *     mcf->publisher = NULL;
     */

    mcf->amqp.peer.timeout = NGX_CONF_UNSET_MSEC;
    mcf->amqp.peer.heartbeat = NGX_CONF_UNSET_MSEC;
    mcf->amqp.peer.max_bytes = NGX_CONF_UNSET_SIZE;
    mcf->amqp.peer.max_jobs = NGX_CONF_UNSET_UINT;
}


char *
ngx_http_media_webhook_init_main(ngx_conf_t *cf,
    ngx_http_media_webhook_main_conf_t *mcf)
{
    ngx_media_amqp_conf_t  *amqp;

    amqp = &mcf->amqp;

    ngx_conf_init_msec_value(amqp->peer.timeout, 900);
    ngx_conf_init_msec_value(amqp->peer.heartbeat, 10000);
    ngx_conf_init_size_value(amqp->peer.max_bytes, 64 * 1024 * 1024);
    ngx_conf_init_uint_value(amqp->peer.max_jobs, 4096);

    if (amqp->exchange.len == 0) {
        ngx_str_set(&amqp->exchange, "media");
    }

    if (amqp->routing_key.len == 0) {
        ngx_str_set(&amqp->routing_key, "webhook_inbound");
    }

    if (amqp->exchange.len > 255 || amqp->routing_key.len > 255) {
        return "names too long an exchange or routing key";
    }

    if (amqp->peer.timeout == 0
        || amqp->peer.max_bytes == 0
        || amqp->peer.max_jobs == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_rabbitmq_confirm_timeout\", "
                           "\"media_rabbitmq_queue_bytes\" and "
                           "\"media_rabbitmq_queue_size\" must be positive");
        return NGX_CONF_ERROR;
    }

    amqp->peer.heartbeat /= 2;
    amqp->peer.connect_timeout = amqp->peer.timeout;
    amqp->peer.backoff_min = 100;
    amqp->peer.backoff_max = 2000;
    amqp->peer.max_input = NGX_HTTP_MEDIA_WEBHOOK_INPUT_MAX;
    amqp->peer.queue_while_connecting = 1;

    return NGX_CONF_OK;
}


void
ngx_http_media_webhook_create_loc(ngx_http_media_webhook_loc_conf_t *lcf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     lcf->provider = 0;
     *     lcf->offload = { 0, NULL };
     */

    lcf->tokens = NGX_CONF_UNSET_PTR;
    lcf->secrets = NGX_CONF_UNSET_PTR;
    lcf->verify_tokens = NGX_CONF_UNSET_PTR;
    lcf->credential = NGX_CONF_UNSET_PTR;
    lcf->instance = NGX_CONF_UNSET_PTR;
    lcf->max_body = NGX_CONF_UNSET_SIZE;
    lcf->max_message = NGX_CONF_UNSET_SIZE;
}


char *
ngx_http_media_webhook_merge_loc(ngx_conf_t *cf,
    ngx_http_media_webhook_loc_conf_t *prev,
    ngx_http_media_webhook_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_media_main_conf_t  *mcf;

    ngx_conf_merge_ptr_value(conf->tokens, prev->tokens, NULL);
    ngx_conf_merge_ptr_value(conf->secrets, prev->secrets, NULL);
    ngx_conf_merge_ptr_value(conf->verify_tokens, prev->verify_tokens, NULL);
    ngx_conf_merge_ptr_value(conf->credential, prev->credential, NULL);
    ngx_conf_merge_ptr_value(conf->instance, prev->instance, NULL);
    ngx_conf_merge_str_value(conf->offload, prev->offload, "");
    ngx_conf_merge_size_value(conf->max_body, prev->max_body,
                              64 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->max_message, prev->max_message,
                              1024 * 1024);

    if (conf->provider == 0) {
        return NGX_CONF_OK;
    }

    if (conf->provider == MEDIA_PROVIDER_CLOUDAPI
        && conf->secrets == NULL)
    {
        return "cloudapi requires \"media_webhook_secret\"";
    }

    if (conf->provider != MEDIA_PROVIDER_CLOUDAPI
        && conf->tokens == NULL)
    {
        return "\"media_webhook\" requires \"media_webhook_token\"";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    if (mcf->webhook.amqp.peer.addr == NULL) {
        return "\"media_webhook\" requires \"media_rabbitmq_url\"";
    }

    /* sizes are checked here; a message is read into one buffer */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->client_max_body_size = 0;
    clcf->client_body_buffer_size = ngx_max(clcf->client_body_buffer_size,
                                            conf->max_message);

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_media_webhook_add_variables(ngx_conf_t *cf)
{
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    mcf->webhook.request_id = ngx_http_get_variable_index(cf,
                                        &ngx_http_media_webhook_request_id);

    return mcf->webhook.request_id == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_media_webhook_init_process(ngx_cycle_t *cycle)
{
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module);

    if (mcf->webhook.amqp.peer.addr == NULL) {
        return NGX_OK;
    }

    ngx_http_media_metrics_amqp(&mcf->webhook.amqp.peer.stats);

    mcf->webhook.publisher = ngx_media_amqp_create(&mcf->webhook.amqp, cycle);

    return mcf->webhook.publisher ? NGX_OK : NGX_ERROR;
}


void
ngx_http_media_webhook_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_media_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module);

    if (mcf->webhook.publisher) {
        ngx_media_peer_destroy(mcf->webhook.publisher->peer);
    }
}
