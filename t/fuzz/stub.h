/*
 * Copyright (C) ngx_media contributors
 *
 * What the parsers of the module need of nginx: pools, arrays and texts, and
 * a peer that is connected to nothing.
 */

#ifndef MEDIA_FUZZ_STUB_H
#define MEDIA_FUZZ_STUB_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_media_peer.h"


/* the peer that was made last, and what is to be called when it is up */
extern ngx_media_peer_t   *stub_peer;
extern void              (*stub_up)(void *data);
extern void               *stub_data;

extern ngx_log_t           stub_log;
extern ngx_cycle_t         stub_cycle;


/* frees all that was taken from any pool */
void stub_free(void);

/* what a peer does when its connection ends: fails the jobs that are left */
void stub_close(ngx_media_peer_t *peer);

#endif
