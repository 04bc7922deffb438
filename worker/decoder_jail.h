/*
 * Copyright (C) ngx_media contributors
 *
 * How the decoder process is confined.
 */

#ifndef DECODER_JAIL_H
#define DECODER_JAIL_H

#include "decoder.h"


#define DECODER_FILE_MAX  (16UL * 1024 * 1024)      /* bytes of any result */


/* before any library: limits that processes inherit, no new privileges */
void decoder_jail_limits(void);
/* after what is to be loaded was, once: what the next closes behind it */
void decoder_jail_build(void);
/*
 * For this process: no files, no network, no processes, so many seconds of
 * CPU.  What the kernel does not have is left out, and told in hello.
 */
void decoder_jail_shut(int seconds, decoder_hello_t *hello);

#endif
