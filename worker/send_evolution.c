/*
 * Copyright (C) ngx_media contributors
 */

#include "send.h"


static send_result_t evolution_send(child_t *child, send_t *s);
static bool evolution_mark_read(child_t *child, send_t *s, const char *message);
static bool evolution_typing(child_t *child, send_t *s, bool audio,
    const char *last_message);


const send_provider_t  send_evolution = {
    "evolution", evolution_send, NULL, evolution_mark_read, evolution_typing
};


static send_result_t
evolution_send(child_t *child, send_t *s)
{
    (void) child;
    snprintf(s->error_code, sizeof(s->error_code), "unsupported");

    return SEND_FAILED;
}


static bool
evolution_mark_read(child_t *child, send_t *s, const char *message)
{
    (void) child;
    (void) s;
    (void) message;

    return false;
}


static bool
evolution_typing(child_t *child, send_t *s, bool audio,
    const char *last_message)
{
    (void) child;
    (void) s;
    (void) audio;
    (void) last_message;

    return false;
}
