
/*
 * Copyright (C) ngx_media contributors
 *
 * The content handler of media_send: what is right about a message without
 * asking the database is checked here, all else by the worker.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media.h"


#define NGX_HTTP_MEDIA_SEND_KEY_MAX    200      /* bytes */
#define NGX_HTTP_MEDIA_SEND_TEXT_MAX   4096     /* characters */
#define NGX_HTTP_MEDIA_SEND_PLACE_MAX  1000     /* characters */
#define NGX_HTTP_MEDIA_SEND_ID_MAX     18       /* digits of a row's id */
#define NGX_HTTP_MEDIA_SEND_NUMBER_MAX 32       /* bytes of a coordinate */


static void ngx_http_media_send_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_media_send_conversation(ngx_http_request_t *r,
    ngx_str_t *conversation);
static void ngx_http_media_send_message(ngx_http_request_t *r,
    ngx_http_media_json_t *json);
static ngx_int_t ngx_http_media_send_file(ngx_http_request_t *r,
    ngx_http_media_json_t *json);
static ngx_int_t ngx_http_media_send_location(ngx_http_request_t *r,
    ngx_http_media_json_t *json);
static ngx_uint_t ngx_http_media_send_degrees(ngx_str_t *value,
    ngx_int_t max);
static ngx_int_t ngx_http_media_send_check(ngx_http_request_t *r,
    media_kind_t kind);
static ngx_int_t ngx_http_media_send_text(ngx_http_request_t *r,
    const char *name, size_t max, ngx_http_media_json_t *json);
static void ngx_http_media_send_action(ngx_http_request_t *r,
    ngx_str_t *action, ngx_http_media_json_t *json);
static ngx_uint_t ngx_http_media_send_digits(ngx_str_t *value);
static ngx_uint_t ngx_http_media_send_uuid(ngx_str_t *value);
static ngx_int_t ngx_http_media_send_invalid(ngx_http_request_t *r,
    const char *name, const char *message);
static void ngx_http_media_send_publish(ngx_http_request_t *r,
    ngx_http_media_json_t *json, ngx_str_t *queue);
static void ngx_http_media_send_published(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_media_send_answer(ngx_http_request_t *r);


ngx_int_t
ngx_http_media_send_handler(ngx_http_request_t *r)
{
    if (r->method != NGX_HTTP_POST) {
        return ngx_http_media_json_method(r, "POST");
    }

    return ngx_http_media_json_read(r, ngx_http_media_send_body);
}


static void
ngx_http_media_send_body(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_str_t              conversation, action, value;
    media_str_t            tenant;
    ngx_http_media_json_t  json;

    if (ngx_http_media_upload_tenant(r, &tenant) != NGX_OK
        || ngx_http_media_json_begin(&json, r->pool,
                                     6 * NGX_HTTP_MEDIA_JSON_MAX)
           != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_media_send_conversation(r, &conversation) != NGX_OK) {
        return;
    }

    rc = ngx_http_media_json_field(r, "action", NGX_HTTP_MEDIA_FIELD_STRING,
                                   &action);

    if (rc == NGX_ERROR) {
        (void) ngx_http_media_send_invalid(r, "action_invalid",
                                           "\"action\" is \"read\" or "
                                           "\"typing\"");
        return;
    }

    ngx_http_media_json_text(&json, "{");

    if (rc == NGX_DECLINED) {
        ngx_str_set(&action, "send");
    }

    value.data = (u_char *) tenant.data;
    value.len = tenant.len;

    ngx_http_media_json_string(&json, "type", &action);
    ngx_http_media_json_string(&json, "tenant", &value);
    ngx_http_media_json_string(&json, "conversation_id", &conversation);

    if (rc == NGX_DECLINED) {
        ngx_http_media_send_message(r, &json);

    } else {
        ngx_http_media_send_action(r, &action, &json);
    }
}


/* NGX_DECLINED: the request was answered, as below */

static ngx_int_t
ngx_http_media_send_conversation(ngx_http_request_t *r,
    ngx_str_t *conversation)
{
    ngx_int_t                   rc;
    media_str_t                 s;
    ngx_http_media_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_media_module);

    rc = ngx_http_media_json_field(r, "conversation_id",
                                   NGX_HTTP_MEDIA_FIELD_STRING
                                   |NGX_HTTP_MEDIA_FIELD_NUMBER, conversation);

    if (rc != NGX_ERROR && lcf->upload.conversation
        && ngx_http_complex_value(r, lcf->upload.conversation, conversation)
           != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_DECLINED;
    }

    media_str_set(&s, (char *) conversation->data, conversation->len);

    if (rc != NGX_ERROR && media_upload_conversation(s) == MEDIA_OK) {
        return NGX_OK;
    }

    rc = ngx_http_media_upload_refuse(r, MEDIA_UPLOAD_BAD_CONVERSATION, 0);
    ngx_http_finalize_request(r, rc);

    return NGX_DECLINED;
}


static void
ngx_http_media_send_message(ngx_http_request_t *r,
    ngx_http_media_json_t *json)
{
    ngx_int_t                     rc;
    ngx_str_t                     value;
    media_str_t                   name;
    media_kind_t                  kind;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (ngx_http_media_send_fields(r, NULL) != NGX_OK) {
        return;
    }

    rc = ngx_http_media_json_field(r, "kind", NGX_HTTP_MEDIA_FIELD_STRING,
                                   &value);

    media_str_set(&name, (char *) value.data, value.len);
    kind = media_kind_by_name(name);

    if (rc != NGX_OK || kind == MEDIA_KIND_NONE) {
        (void) ngx_http_media_send_invalid(r, "kind_invalid",
                        "\"kind\" is text, location, image, audio, voice, "
                        "video, document or sticker");
        return;
    }

    ngx_http_media_json_string(json, "kind", &value);
    ngx_http_media_json_string(json, "idempotency_key",
                               &uctx->idempotency_key);
    ngx_http_media_json_string(json, "reply_to", &uctx->reply_to);

    rc = ngx_http_media_send_text(r, "text",
                                  kind == MEDIA_KIND_TEXT
                                  ? NGX_HTTP_MEDIA_SEND_TEXT_MAX
                                  : MEDIA_UPLOAD_CAPTION, json);

    if (rc == NGX_OK) {
        rc = ngx_http_media_send_check(r, kind);
    }

    if (rc == NGX_OK && kind != MEDIA_KIND_TEXT) {
        rc = (kind == MEDIA_KIND_LOCATION)
             ? ngx_http_media_send_location(r, json)
             : ngx_http_media_send_file(r, json);
    }

    if (rc == NGX_OK) {
        ngx_http_media_send_publish(r, json, &ngx_http_media_job_send);
    }
}


/* whether a message of the kind has a text */

static ngx_int_t
ngx_http_media_send_check(ngx_http_request_t *r, media_kind_t kind)
{
    ngx_str_t    value;
    media_str_t  text;

    (void) ngx_http_media_json_field(r, "text", NGX_HTTP_MEDIA_FIELD_STRING,
                                     &value);

    if (kind == MEDIA_KIND_TEXT) {
        return value.len
               ? NGX_OK
               : ngx_http_media_send_invalid(r, "text_missing",
                                             "a text message needs \"text\"");
    }

    media_str_set(&text, (char *) value.data, value.len);

    if (media_upload_caption(kind, text) != MEDIA_UPLOAD_OK) {
        return ngx_http_media_send_invalid(r, "caption_not_allowed",
                                           "images, videos and documents have "
                                           "a caption, others have no "
                                           "\"text\"");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_media_send_fields(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_int_t                     rc;
    ngx_str_t                    *header, value;
    media_str_t                   text;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    rc = ngx_http_media_json_field(r, "idempotency_key",
                                   NGX_HTTP_MEDIA_FIELD_STRING, &value);

    header = ngx_http_media_get_header(r, "Idempotency-Key");

    if (rc == NGX_DECLINED && header) {
        value = *header;
        rc = NGX_OK;
    }

    if (rc == NGX_DECLINED && key) {
        value = *key;
        rc = NGX_OK;
    }

    media_str_set(&text, (char *) value.data, value.len);

    if (rc != NGX_OK || value.len == 0
        || value.len > NGX_HTTP_MEDIA_SEND_KEY_MAX
        || media_upload_text(text, value.len) != MEDIA_OK)
    {
        return ngx_http_media_send_invalid(r, "idempotency_key_invalid",
                                           "\"idempotency_key\" has from 1 to "
                                           "200 bytes");
    }

    uctx->idempotency_key = value;

    rc = ngx_http_media_json_field(r, "reply_to",
                                   NGX_HTTP_MEDIA_FIELD_STRING
                                   |NGX_HTTP_MEDIA_FIELD_NUMBER,
                                   &uctx->reply_to);

    if (rc == NGX_ERROR
        || (uctx->reply_to.len
            && !ngx_http_media_send_digits(&uctx->reply_to)))
    {
        return ngx_http_media_send_invalid(r, "reply_to_invalid",
                                           "\"reply_to\" is the id of a "
                                           "message");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_media_send_file(ngx_http_request_t *r, ngx_http_media_json_t *json)
{
    ngx_str_t  value;

    if (ngx_http_media_json_field(r, "attachment_id",
                                  NGX_HTTP_MEDIA_FIELD_STRING, &value)
        != NGX_OK
        || !ngx_http_media_send_uuid(&value))
    {
        return ngx_http_media_send_invalid(r, "attachment_id_invalid",
                                           "a file needs \"attachment_id\", "
                                           "a UUID");
    }

    ngx_http_media_json_string(json, "attachment_id", &value);

    return ngx_http_media_send_text(r, "file_name", MEDIA_UPLOAD_NAME_MAX,
                                    json);
}


static ngx_int_t
ngx_http_media_send_location(ngx_http_request_t *r,
    ngx_http_media_json_t *json)
{
    ngx_int_t   rc;
    ngx_str_t   latitude, longitude;
    ngx_uint_t  types;

    types = NGX_HTTP_MEDIA_FIELD_NUMBER|NGX_HTTP_MEDIA_FIELD_STRING;

    if (ngx_http_media_json_field(r, "latitude", types, &latitude) != NGX_OK
        || ngx_http_media_json_field(r, "longitude", types, &longitude)
           != NGX_OK
        || !ngx_http_media_send_degrees(&latitude, 90)
        || !ngx_http_media_send_degrees(&longitude, 180))
    {
        return ngx_http_media_send_invalid(r, "location_invalid",
                        "\"latitude\" is from -90 to 90, \"longitude\" from "
                        "-180 to 180");
    }

    ngx_http_media_json_string(json, "latitude", &latitude);
    ngx_http_media_json_string(json, "longitude", &longitude);

    rc = ngx_http_media_send_text(r, "place_name",
                                  NGX_HTTP_MEDIA_SEND_PLACE_MAX, json);

    if (rc == NGX_OK) {
        rc = ngx_http_media_send_text(r, "place_address",
                                      NGX_HTTP_MEDIA_SEND_PLACE_MAX, json);
    }

    return rc;
}


/* decimal degrees, without an exponent */

static ngx_uint_t
ngx_http_media_send_degrees(ngx_str_t *value, ngx_int_t max)
{
    u_char     *p, *last, *point;
    ngx_int_t   whole;

    p = value->data;
    last = p + value->len;

    if (value->len > NGX_HTTP_MEDIA_SEND_NUMBER_MAX) {
        return 0;
    }

    if (p < last && *p == '-') {
        p++;
    }

    point = ngx_strlchr(p, last, '.');
    whole = ngx_atoi(p, (point ? point : last) - p);

    if (whole == NGX_ERROR || whole > max || point == last - 1) {
        return 0;
    }

    for (p = point ? point + 1 : last; p < last; p++) {
        if (*p < '0' || *p > '9' || (whole == max && *p != '0')) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_media_send_text(ngx_http_request_t *r, const char *name, size_t max,
    ngx_http_media_json_t *json)
{
    u_char       message[128];
    ngx_int_t    rc;
    ngx_str_t    value;
    media_str_t  text;

    rc = ngx_http_media_json_field(r, name, NGX_HTTP_MEDIA_FIELD_STRING,
                                   &value);

    media_str_set(&text, (char *) value.data, value.len);

    if (rc != NGX_ERROR && media_upload_text(text, max) == MEDIA_OK) {
        ngx_http_media_json_string(json, name, &value);
        return NGX_OK;
    }

    (void) ngx_sprintf(message, "\"%s\" has %uz characters at the most, and "
                                "no control characters%Z", name, max);

    return ngx_http_media_send_invalid(r, "text_invalid", (char *) message);
}


static void
ngx_http_media_send_action(ngx_http_request_t *r, ngx_str_t *action,
    ngx_http_media_json_t *json)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    if (action->len == 4 && ngx_strncmp(action->data, "read", 4) == 0) {

        rc = ngx_http_media_json_field(r, "message_id",
                                       NGX_HTTP_MEDIA_FIELD_STRING
                                       |NGX_HTTP_MEDIA_FIELD_NUMBER, &value);

        if (rc != NGX_OK || !ngx_http_media_send_digits(&value)) {
            (void) ngx_http_media_send_invalid(r, "message_id_invalid",
                                               "\"message_id\" is the id of a "
                                               "message");
            return;
        }

        ngx_http_media_json_string(json, "message_id", &value);
        ngx_http_media_send_publish(r, json,
                                    &ngx_http_media_job_upload);
        return;
    }

    if (action->len != 6 || ngx_strncmp(action->data, "typing", 6) != 0) {
        (void) ngx_http_media_send_invalid(r, "action_invalid",
                                           "\"action\" is \"read\" or "
                                           "\"typing\"");
        return;
    }

    rc = ngx_http_media_json_field(r, "kind", NGX_HTTP_MEDIA_FIELD_STRING,
                                   &value);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&value, "text");
    }

    if (rc == NGX_ERROR
        || !((value.len == 4 && ngx_strncmp(value.data, "text", 4) == 0)
             || (value.len == 5
                 && ngx_strncmp(value.data, "audio", 5) == 0)))
    {
        (void) ngx_http_media_send_invalid(r, "kind_invalid",
                                           "\"kind\" is \"text\" or "
                                           "\"audio\"");
        return;
    }

    ngx_http_media_json_string(json, "kind", &value);
    ngx_http_media_send_publish(r, json,
                                &ngx_http_media_job_upload);
}


static ngx_uint_t
ngx_http_media_send_digits(ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            return 0;
        }
    }

    return value->len && value->len <= NGX_HTTP_MEDIA_SEND_ID_MAX;
}


static ngx_uint_t
ngx_http_media_send_uuid(ngx_str_t *value)
{
    size_t  i;

    if (value->len != MEDIA_KEY_UUID_LEN) {
        return 0;
    }

    for (i = 0; i < value->len; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (value->data[i] != '-') {
                return 0;
            }

        } else if (!isxdigit(value->data[i])) {
            return 0;
        }
    }

    ngx_strlow(value->data, value->data, value->len);

    return 1;
}


/* NGX_DECLINED, for the caller's caller */

static ngx_int_t
ngx_http_media_send_invalid(ngx_http_request_t *r, const char *name,
    const char *message)
{
    ngx_int_t  rc;

    rc = ngx_http_media_json_error(r, NGX_HTTP_BAD_REQUEST, name, message);
    ngx_http_finalize_request(r, rc);

    return NGX_DECLINED;
}


static void
ngx_http_media_send_publish(ngx_http_request_t *r,
    ngx_http_media_json_t *json, ngx_str_t *queue)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    ngx_http_media_json_text(json, "}");

    rc = ngx_http_media_json_end(json, &body);

    if (rc == NGX_OK) {
        rc = ngx_http_media_job_publish(r, queue, &body,
                                        ngx_http_media_send_published);
    }

    if (rc == NGX_BUSY) {
        ngx_http_media_send_published(r, rc);

    } else if (rc != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static void
ngx_http_media_send_published(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_str_t         action;
    static ngx_str_t  none = ngx_null_string;

    if (rc != NGX_OK) {
        rc = ngx_http_media_upload_refuse(r, MEDIA_UPLOAD_UNAVAILABLE, 0);

    } else if (ngx_http_media_json_field(r, "action",
                                         NGX_HTTP_MEDIA_FIELD_STRING, &action)
               == NGX_OK)
    {
        rc = ngx_http_media_json_send(r, NGX_HTTP_NO_CONTENT, &none);

    } else {
        rc = ngx_http_media_send_answer(r);
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_media_send_answer(ngx_http_request_t *r)
{
    char                          id[MEDIA_KEY_UUID_LEN + 1];
    u_char                       *p;
    ngx_str_t                     value, body;
    media_str_t                   tenant, name;
    ngx_http_media_json_t         json;
    ngx_http_media_upload_ctx_t  *uctx;

    uctx = ngx_http_media_upload_ctx(r);

    if (ngx_http_media_upload_tenant(r, &tenant) != NGX_OK
        || ngx_http_media_json_begin(&json, r->pool, 256) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("send\n\n") + tenant.len
                             + uctx->idempotency_key.len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    name.data = (char *) p;
    name.len = ngx_sprintf(p, "send\n%*s\n%V", tenant.len, tenant.data,
                           &uctx->idempotency_key)
               - p;

    media_key_uuid(id, name);

    value.data = (u_char *) id;
    value.len = MEDIA_KEY_UUID_LEN;

    ngx_http_media_json_text(&json, "{");
    ngx_http_media_json_string(&json, "send_id", &value);
    ngx_str_set(&value, "queued");
    ngx_http_media_json_string(&json, "status", &value);
    ngx_http_media_json_text(&json, "}\n");

    if (ngx_http_media_json_end(&json, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_media_json_send(r, NGX_HTTP_ACCEPTED, &body);
}
