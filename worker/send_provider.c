/*
 * Copyright (C) ngx_media contributors
 *
 * The providers that can send, by name.
 */

#include "send.h"


const send_provider_t *
send_provider(const char *name)
{
    size_t  i;

    static const send_provider_t *const  providers[] = {
        &send_evolution, &send_wapi, &send_cloudapi
    };

    for (i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        if (strcmp(providers[i]->provider, name) == 0) {
            return providers[i];
        }
    }

    return NULL;
}
