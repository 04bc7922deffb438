/*
 * Copyright (C) ngx_media contributors
 *
 * A virus scan by ClamAV's daemon, with the command INSTREAM (clamd(8)): the
 * file goes over the socket in pieces, so that clamd needs no access to it.
 * What clamd did not look at in full is never clean.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "media_worker.h"


#define CLAMD_PIECE       65536
#define CLAMD_CONNECT     5             /* seconds */
#define CLAMD_TIMEOUT     120           /* seconds for a piece, or a verdict */
#define CLAMD_ANSWER_MAX  512

/* what clamd calls files beyond its limits, with AlertExceedsMax */
#define CLAMD_LIMITS      "Heuristics.Limits.Exceeded"


static int clamd_connect(void);
static int clamd_connect_unix(const char *path);
static int clamd_connect_tcp(const char *address);
static int clamd_open(int family, const struct sockaddr *sa, socklen_t len);
static int clamd_send_file(int s, int fd, int64_t size);
static int clamd_send(int s, const void *data, size_t len);
static int clamd_answer(int s, char *answer, size_t size);
static scan_result_t clamd_verdict(char *answer, char *error, size_t size);


scan_result_t
clamd_scan(int fd, int64_t size, char *error, size_t error_size)
{
    int   s, rc;
    char  answer[CLAMD_ANSWER_MAX];

    if (conf.clamd_address[0] == '\0') {
        return SCAN_CLEAN;
    }

    s = clamd_connect();

    if (s == -1) {
        snprintf(error, error_size, "clamd is away");
        return SCAN_ERROR;
    }

    /* an answer may come before the end: the file is too large */

    rc = clamd_send_file(s, fd, size);

    if (clamd_answer(s, answer, sizeof(answer)) != 0 || rc < 0) {
        snprintf(error, error_size, "clamd did not answer");
        close(s);
        return SCAN_ERROR;
    }

    close(s);

    return clamd_verdict(answer, error, error_size);
}


static int
clamd_connect(void)
{
    int             s;
    struct timeval  tv;

    s = strncmp(conf.clamd_address, "unix:", 5) == 0
        ? clamd_connect_unix(conf.clamd_address + 5)
        : clamd_connect_tcp(conf.clamd_address);

    if (s == -1) {
        log_msg(LOG_ERR, "clamd is away", "address", conf.clamd_address,
                "reason", strerror(errno), NULL);
        return -1;
    }

    tv = (struct timeval) { CLAMD_TIMEOUT, 0 };
    (void) setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    (void) setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));

    return s;
}


static int
clamd_connect_unix(const char *path)
{
    struct sockaddr_un  sa;

    memset(&sa, 0, sizeof(sa));
    sa.sun_family = AF_UNIX;
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);

    return clamd_open(AF_UNIX, (struct sockaddr *) &sa, sizeof(sa));
}


/* "host:port", "[::1]:port" */

static int
clamd_connect_tcp(const char *address)
{
    int               s;
    char              host[256];
    const char       *port;
    struct addrinfo   hints, *list, *ai;

    port = strrchr(address, ':');
    snprintf(host, sizeof(host), "%.*s", (int) (port - address), address);

    if (host[0] == '[') {
        memmove(host, host + 1, strlen(host));
        host[strcspn(host, "]")] = '\0';
    }

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;

    if (getaddrinfo(host, port + 1, &hints, &list) != 0) {
        errno = EHOSTUNREACH;
        return -1;
    }

    s = -1;

    for (ai = list; ai != NULL && s == -1; ai = ai->ai_next) {
        s = clamd_open(ai->ai_family, ai->ai_addr, ai->ai_addrlen);
    }

    freeaddrinfo(list);

    return s;
}


static int
clamd_open(int family, const struct sockaddr *sa, socklen_t len)
{
    int             s, err;
    struct timeval  tv;

    s = socket(family, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (s == -1) {
        return -1;
    }

    /* Linux has connect() obey it */

    tv = (struct timeval) { CLAMD_CONNECT, 0 };
    (void) setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));

    if (connect(s, sa, len) != 0) {
        err = errno;
        close(s);
        errno = err;
        return -1;
    }

    return s;
}


/* 0, 1 if clamd had something to say before the end, or -1 */

static int
clamd_send_file(int s, int fd, int64_t size)
{
    off_t          offset;
    ssize_t        n;
    uint32_t       len;
    struct pollfd  pfd;

    static char  piece[CLAMD_PIECE];

    pfd.fd = s;
    pfd.events = POLLIN;
    offset = 0;

    if (clamd_send(s, "zINSTREAM", sizeof("zINSTREAM")) != 0) {
        return -1;
    }

    while (offset < size) {
        n = pread(fd, piece, sizeof(piece), offset);

        if (n <= 0) {
            return -1;
        }

        if (poll(&pfd, 1, 0) == 1) {
            return 1;
        }

        len = htonl((uint32_t) n);

        if (clamd_send(s, &len, sizeof(len)) != 0
            || clamd_send(s, piece, (size_t) n) != 0)
        {
            /* it may have closed after an answer */
            return 1;
        }

        offset += n;
    }

    len = 0;

    return clamd_send(s, &len, sizeof(len)) != 0;
}


static int
clamd_send(int s, const void *data, size_t len)
{
    ssize_t      n;
    const char  *p = data;

    while (len > 0) {
        n = send(s, p, len, MSG_NOSIGNAL);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            return -1;
        }

        p += n;
        len -= (size_t) n;
    }

    return 0;
}


/* up to the zero that ends it */

static int
clamd_answer(int s, char *answer, size_t size)
{
    size_t   len;
    ssize_t  n;

    len = 0;

    while (len < size) {
        n = recv(s, answer + len, size - len, 0);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            return -1;
        }

        len += (size_t) n;

        if (answer[len - 1] == '\0') {
            return 0;
        }
    }

    return -1;
}


/* "stream: OK", "stream: {name} FOUND", "{why} ERROR" */

static scan_result_t
clamd_verdict(char *answer, char *error, size_t size)
{
    char    *name;
    size_t   len;

    len = strlen(answer);

    if (strcmp(answer, "stream: OK") == 0) {
        return SCAN_CLEAN;
    }

    if (strncmp(answer, "stream: ", 8) == 0 && len > 14
        && strcmp(answer + len - 6, " FOUND") == 0)
    {
        name = answer + 8;
        answer[len - 6] = '\0';
        snprintf(error, size, "%s", name);

        return strncmp(name, CLAMD_LIMITS, strlen(CLAMD_LIMITS)) == 0
               ? SCAN_TOO_LARGE : SCAN_INFECTED;
    }

    snprintf(error, size, "clamd: %s", answer);
    log_msg(LOG_ERR, "clamd has no verdict", "answer", answer, NULL);

    return strncmp(answer, "INSTREAM size limit exceeded", 28) == 0
           ? SCAN_TOO_LARGE : SCAN_ERROR;
}
