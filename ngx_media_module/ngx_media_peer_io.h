/*
 * Copyright (C) ngx_media contributors
 *
 * The bytes of a peer's connection; between the peer's own files only.
 */

#ifndef NGX_MEDIA_PEER_IO_H
#define NGX_MEDIA_PEER_IO_H

#include "ngx_media_peer.h"


/* Reads all there is and hands it to the protocol; may close the peer. */
void ngx_media_peer_receive(ngx_media_peer_t *peer);

/* Writes waiting jobs and what is left of others; may close the peer. */
void ngx_media_peer_transmit(ngx_media_peer_t *peer);

/* Puts links of size bytes at the end of what is sent. */
void ngx_media_peer_append(ngx_media_peer_t *peer, ngx_chain_t *in,
    size_t size);

/* Frees the protocol's own bytes among links that are no longer sent. */
void ngx_media_peer_free_notes(ngx_chain_t *cl, ngx_chain_t *end);

#endif
