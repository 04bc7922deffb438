/*
 * Copyright (C) ngx_media contributors
 *
 * Addresses of the configuration, "host:port" and "[::1]:port".
 */

#define _GNU_SOURCE
#include <netdb.h>
#include <sys/socket.h>

#include "media_worker.h"


int
address_resolve(const char *address, int flags, struct addrinfo **list)
{
    char              host[256];
    const char       *port;
    struct addrinfo   hints;

    port = strrchr(address, ':');
    snprintf(host, sizeof(host), "%.*s", (int) (port - address), address);

    if (host[0] == '[') {
        memmove(host, host + 1, strlen(host));
        host[strcspn(host, "]")] = '\0';
    }

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;

    return getaddrinfo(host, port + 1, &hints, list) == 0 ? 0 : -1;
}
