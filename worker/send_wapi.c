/*
 * Copyright (C) ngx_media contributors
 */

#include "send.h"


static send_result_t wapi_send(child_t *child, send_t *s);
static bool wapi_mark_read(child_t *child, send_t *s, const char *message);
static bool wapi_typing(child_t *child, send_t *s, bool audio,
    const char *last_message);


const send_provider_t  send_wapi = {
    "wapi", wapi_send, NULL, wapi_mark_read, wapi_typing
};


static send_result_t
wapi_send(child_t *child, send_t *s)
{
    (void) child;
    snprintf(s->error_code, sizeof(s->error_code), "unsupported");

    return SEND_FAILED;
}


static bool
wapi_mark_read(child_t *child, send_t *s, const char *message)
{
    (void) child;
    (void) s;
    (void) message;

    return false;
}


static bool
wapi_typing(child_t *child, send_t *s, bool audio,
    const char *last_message)
{
    (void) child;
    (void) s;
    (void) audio;
    (void) last_message;

    return false;
}
