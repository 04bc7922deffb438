/*
 * Copyright (C) ngx_media contributors
 *
 * Configuration and hooks of media_webhook.  Included by ngx_http_media.h.
 */

#ifndef NGX_HTTP_MEDIA_WEBHOOK_H
#define NGX_HTTP_MEDIA_WEBHOOK_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <openssl/evp.h>

#include "ngx_media_amqp.h"

#include "media_webhook.h"


typedef struct ngx_http_media_webhook_ctx_s  ngx_http_media_webhook_ctx_t;


/* both structures come zeroed; create sets what is merged to UNSET */

typedef struct {
    ngx_media_amqp_conf_t      amqp;
    ngx_media_amqp_t          *publisher;   /* made by the process */
    ngx_int_t                  request_id;  /* index of $request_id */
} ngx_http_media_webhook_main_conf_t;


typedef struct {
    ngx_uint_t                 provider;    /* media_provider_t; UNKNOWN: not
                                               a webhook */
    ngx_array_t               *tokens;      /* of ngx_str_t */
    ngx_array_t               *secrets;
    ngx_array_t               *verify_tokens;
    ngx_http_complex_value_t  *credential;  /* NULL: where it usually is */
    ngx_http_complex_value_t  *instance;
    ngx_str_t                  offload;     /* URI prefix; empty: none */
    size_t                     max_body;
    size_t                     max_message;
} ngx_http_media_webhook_loc_conf_t;


struct ngx_http_media_webhook_ctx_s {
    struct media_json_s       *json;        /* NULL: not reading the body */
    EVP_MD_CTX               **mac;         /* one for each secret */
    ngx_uint_t                 nmac;
    ngx_str_t                  id;          /* of the request */
    ngx_str_t                  instance;
    off_t                      received;    /* bytes of the body */
    uint64_t                   received_ms;
    ngx_media_amqp_message_t  *message;     /* waits for its confirm */
    ngx_uint_t                 offload;     /* status of the store's answer */
    u_char                     signature[32];

    unsigned                   invalid:1;   /* the body is not JSON */
};


#define NGX_HTTP_MEDIA_WEBHOOK_ANY                                            \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1

#define NGX_HTTP_MEDIA_WEBHOOK_MAIN(name, set, field)                         \
    { ngx_string(name),                                                       \
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,                                      \
      set,                                                                    \
      NGX_HTTP_MAIN_CONF_OFFSET,                                              \
      offsetof(ngx_http_media_main_conf_t, webhook.field),                    \
      NULL },

#define NGX_HTTP_MEDIA_WEBHOOK_LOC(name, set, field)                          \
    { ngx_string(name),                                                       \
      NGX_HTTP_MEDIA_WEBHOOK_ANY,                                             \
      set,                                                                    \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, webhook.field),                     \
      NULL },

/* entries of the command table, each with its comma */
#define NGX_HTTP_MEDIA_WEBHOOK_COMMANDS                                       \
    NGX_HTTP_MEDIA_WEBHOOK_MAIN("media_rabbitmq_confirm_timeout",             \
        ngx_conf_set_msec_slot, amqp.peer.timeout)                            \
    NGX_HTTP_MEDIA_WEBHOOK_MAIN("media_rabbitmq_exchange",                    \
        ngx_conf_set_str_slot, amqp.exchange)                                 \
    NGX_HTTP_MEDIA_WEBHOOK_MAIN("media_rabbitmq_heartbeat",                   \
        ngx_conf_set_msec_slot, amqp.peer.heartbeat)                          \
    NGX_HTTP_MEDIA_WEBHOOK_MAIN("media_rabbitmq_queue_bytes",                 \
        ngx_conf_set_size_slot, amqp.peer.max_bytes)                          \
    NGX_HTTP_MEDIA_WEBHOOK_MAIN("media_rabbitmq_queue_size",                  \
        ngx_conf_set_num_slot, amqp.peer.max_jobs)                            \
    NGX_HTTP_MEDIA_WEBHOOK_MAIN("media_rabbitmq_routing_key",                 \
        ngx_conf_set_str_slot, amqp.routing_key)                              \
    NGX_HTTP_MEDIA_WEBHOOK_MAIN("media_rabbitmq_url",                         \
        ngx_http_media_webhook_url, amqp)                                     \
    NGX_HTTP_MEDIA_WEBHOOK_MAIN("media_rabbitmq_url_file",                    \
        ngx_http_media_webhook_url_file, amqp)                                \
    { ngx_string("media_webhook"),                                            \
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,                                       \
      ngx_http_media_webhook,                                                 \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, webhook.provider),                  \
      NULL },                                                                 \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_credential",                    \
        ngx_http_media_webhook_value, credential)                             \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_instance",                      \
        ngx_http_media_webhook_value, instance)                               \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_max_body",                      \
        ngx_conf_set_size_slot, max_body)                                     \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_max_message",                   \
        ngx_conf_set_size_slot, max_message)                                  \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_offload",                       \
        ngx_conf_set_str_slot, offload)                                       \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_secret",                        \
        ngx_http_media_webhook_secret, secrets)                               \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_secret_file",                   \
        ngx_http_media_webhook_secret_file, secrets)                          \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_token",                         \
        ngx_http_media_webhook_secret, tokens)                                \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_token_file",                    \
        ngx_http_media_webhook_secret_file, tokens)                           \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_verify_token",                  \
        ngx_http_media_webhook_secret, verify_tokens)                         \
    NGX_HTTP_MEDIA_WEBHOOK_LOC("media_webhook_verify_token_file",             \
        ngx_http_media_webhook_secret_file, verify_tokens)


/* setters */
char *ngx_http_media_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_media_webhook_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_webhook_url_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_webhook_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_webhook_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_webhook_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_media_webhook_create_main(
    ngx_http_media_webhook_main_conf_t *mcf);
char *ngx_http_media_webhook_init_main(ngx_conf_t *cf,
    ngx_http_media_webhook_main_conf_t *mcf);
void ngx_http_media_webhook_create_loc(
    ngx_http_media_webhook_loc_conf_t *lcf);
char *ngx_http_media_webhook_merge_loc(ngx_conf_t *cf,
    ngx_http_media_webhook_loc_conf_t *prev,
    ngx_http_media_webhook_loc_conf_t *conf);

/* preconfiguration */
ngx_int_t ngx_http_media_webhook_add_variables(ngx_conf_t *cf);

/* postconfiguration: the request body filter */
ngx_int_t ngx_http_media_webhook_init(ngx_conf_t *cf);

/* called in processes that serve requests only */
ngx_int_t ngx_http_media_webhook_init_process(ngx_cycle_t *cycle);
void ngx_http_media_webhook_exit_process(ngx_cycle_t *cycle);

/* content handler */
ngx_int_t ngx_http_media_webhook_handler(ngx_http_request_t *r);

/* Answers with a JSON body.  Returns what to finalize the request with. */
ngx_int_t ngx_http_media_webhook_respond(ngx_http_request_t *r,
    ngx_uint_t status, const char *error, const char *message);

/* Publishes the body, or a reference to it; answers in any case. */
void ngx_http_media_webhook_publish(ngx_http_request_t *r);

/*
 * Puts a large body to the store by a subrequest, then publishes.  NGX_OK,
 * or NGX_ERROR.
 */
ngx_int_t ngx_http_media_webhook_offload(ngx_http_request_t *r);

/* NGX_OK, NGX_HTTP_UNAUTHORIZED (none), NGX_HTTP_FORBIDDEN (wrong),
   NGX_ERROR */
ngx_int_t ngx_http_media_webhook_check_token(ngx_http_request_t *r);

/* Reads X-Hub-Signature-256: the same results. */
ngx_int_t ngx_http_media_webhook_read_signature(ngx_http_request_t *r);

/* After the body: NGX_OK or NGX_HTTP_FORBIDDEN. */
ngx_int_t ngx_http_media_webhook_check_signature(ngx_http_request_t *r);

/* GET of the Cloud API; returns what to finalize the request with. */
ngx_int_t ngx_http_media_webhook_handshake(ngx_http_request_t *r);

#endif
