/*
 * Copyright (C) ngx_media contributors
 *
 * A virus scan by ClamAV's daemon, with the command INSTREAM (clamd(8)): the
 * file goes over the socket in pieces, so that clamd needs no access to it.
 *
 * What clamd did not look at in full is never clean.  It says OK to that
 * unless its configuration has AlertExceedsMax, which no command tells: a
 * file that is nested too deeply for any limit does.
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

#include "media_crc.h"
#include "media_worker.h"


#define CLAMD_PIECE       65536
#define CLAMD_CONNECT     5000          /* ms */
#define CLAMD_RATE        (1024 * 1024) /* bytes a second that it has to take */

/* more than MaxRecursion is anywhere; 17 is the default */
#define CLAMD_NESTED      250
#define CLAMD_GZIP        23            /* bytes around a stored block */
#define CLAMD_SALT        16
#define CLAMD_PROBE_MAX   (CLAMD_NESTED * CLAMD_GZIP + CLAMD_SALT)
#define CLAMD_PROBE_TIME  60000         /* ms that its outcome is good for */

/* what clamd calls files beyond its limits, with AlertExceedsMax */
#define CLAMD_LIMITS      "Heuristics.Limits.Exceeded"


typedef struct {
    int      fd;
    int64_t  until;             /* now_ms() that all has to be done by */
} clamd_t;


static scan_result_t clamd_probe(char *error, size_t size);
static int clamd_probe_file(void);
static size_t clamd_gzip(unsigned char *dst, size_t len);
static void clamd_little_endian(unsigned char *dst, uint32_t n);
static scan_result_t clamd_ask(int fd, int64_t size, char *error,
    size_t error_size);
static int clamd_connect(clamd_t *c);
static int clamd_connect_unix(clamd_t *c, const char *path);
static int clamd_connect_tcp(clamd_t *c, const char *address);
static int clamd_open(clamd_t *c, int family, const struct sockaddr *sa,
    socklen_t len);
static bool clamd_wait(const clamd_t *c, short events, int64_t until);
static int clamd_send_file(const clamd_t *c, int fd, int64_t size);
static int clamd_send(const clamd_t *c, const void *data, size_t len);
static int clamd_answer(const clamd_t *c, clamd_answer_t *answer);


static int64_t  clamd_probed;           /* now_ms() of the last good one */


scan_result_t
clamd_scan(int fd, int64_t size, char *error, size_t error_size)
{
    bool           blind;
    scan_result_t  rc;

    blind = false;
    error[0] = '\0';

    if (clamd_probed == 0 || now_ms() - clamd_probed > CLAMD_PROBE_TIME) {
        rc = clamd_probe(error, error_size);

        if (rc == SCAN_AWAY) {
            return rc;
        }

        blind = rc == SCAN_BLIND;
    }

    rc = clamd_ask(fd, size, error, error_size);

    if (blind && rc == SCAN_CLEAN) {
        return SCAN_BLIND;
    }

    /* it may come back as another one */
    if (rc == SCAN_AWAY || rc == SCAN_ERROR) {
        clamd_probed = 0;
    }

    if (rc == SCAN_ERROR) {
        log_msg(LOG_ERR, "clamd has no verdict", "answer", error, NULL);
    }

    return rc;
}


scan_result_t
clamd_check(char *error, size_t size)
{
    error[0] = '\0';

    return clamd_probe(error, size);
}


/* SCAN_CLEAN if a verdict is one; never an error of the file that waits */

static scan_result_t
clamd_probe(char *error, size_t size)
{
    int            fd;
    int64_t        len;
    scan_result_t  rc;

    fd = clamd_probe_file();

    if (fd == -1) {
        snprintf(error, size, "no temporary file");
        return SCAN_AWAY;
    }

    len = lseek(fd, 0, SEEK_END);
    rc = clamd_ask(fd, len, error, size);
    close(fd);

    switch (rc) {

    case SCAN_TOO_LARGE:
        error[0] = '\0';
        clamd_probed = now_ms();
        return SCAN_CLEAN;

    case SCAN_CLEAN:
    case SCAN_INFECTED:
        snprintf(error, size, "clamd says nothing of files beyond its"
                 " limits: clamd.conf needs AlertExceedsMax yes and"
                 " ScanArchive yes");
        log_msg(LOG_ERR, "clamd is not to be trusted", "reason", error, NULL);
        return SCAN_BLIND;

    default:
        return SCAN_AWAY;
    }
}


/*
 * A gzip file in a gzip file and so on.  What is in the middle is never the
 * same, as clamd remembers by its hash what was clean.
 */

static int
clamd_probe_file(void)
{
    int              i, fd;
    size_t           len;
    struct timespec  now;

    static unsigned char  probe[CLAMD_PROBE_MAX];

    clock_gettime(CLOCK_REALTIME, &now);
    len = snprintf((char *) probe, CLAMD_SALT, "%lx%x", now.tv_nsec,
                   (unsigned) getpid());
    len = len < CLAMD_SALT ? len : CLAMD_SALT - 1;

    for (i = 0; i < CLAMD_NESTED; i++) {
        len = clamd_gzip(probe, len);
    }

    fd = file_temp();

    if (fd != -1 && file_write(fd, (char *) probe, len) != 0) {
        close(fd);
        return -1;
    }

    return fd;
}


/* in place, as a stored block (RFC 1951, 3.2.4; RFC 1952) */

static size_t
clamd_gzip(unsigned char *dst, size_t len)
{
    unsigned char  sum[4], *p;
    media_crc_t    crc;

    static const unsigned char  head[] = {
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1
    };

    media_crc_init(&crc, MEDIA_CRC32);
    media_crc_update(&crc, dst, len);
    media_crc_final(&crc, sum);

    p = dst + sizeof(head) + 4;
    memmove(p, dst, len);
    memcpy(dst, head, sizeof(head));
    clamd_little_endian(dst + sizeof(head),
                        (uint32_t) len | ~(uint32_t) len << 16);
    clamd_little_endian(p + len, (uint32_t) sum[0] << 24 | sum[1] << 16
                                 | sum[2] << 8 | sum[3]);
    clamd_little_endian(p + len + 4, (uint32_t) len);

    return len + CLAMD_GZIP;
}


static void
clamd_little_endian(unsigned char *dst, uint32_t n)
{
    dst[0] = n;
    dst[1] = n >> 8;
    dst[2] = n >> 16;
    dst[3] = n >> 24;
}


static scan_result_t
clamd_ask(int fd, int64_t size, char *error, size_t error_size)
{
    int             rc;
    clamd_t         c;
    clamd_answer_t  answer;

    c.until = now_ms() + conf.scan_timeout * 1000LL
              + size / CLAMD_RATE * 1000;

    if (clamd_connect(&c) != 0) {
        snprintf(error, error_size, "clamd is away");
        return SCAN_AWAY;
    }

    /* an answer may come before the end: the file is too large */

    rc = clamd_send_file(&c, fd, size);

    if (clamd_answer(&c, &answer) != 0 || rc < 0) {
        snprintf(error, error_size, "clamd did not answer");
        close(c.fd);
        return SCAN_ERROR;
    }

    close(c.fd);

    return clamd_answer_verdict(&answer, error, error_size);
}


static int
clamd_connect(clamd_t *c)
{
    int  rc;

    rc = strncmp(conf.clamd_address, "unix:", 5) == 0
         ? clamd_connect_unix(c, conf.clamd_address + 5)
         : clamd_connect_tcp(c, conf.clamd_address);

    if (rc != 0) {
        log_msg(LOG_ERR, "clamd is away", "address", conf.clamd_address,
                "reason", strerror(errno), NULL);
    }

    return rc;
}


static int
clamd_connect_unix(clamd_t *c, const char *path)
{
    struct sockaddr_un  sa;

    memset(&sa, 0, sizeof(sa));
    sa.sun_family = AF_UNIX;
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);

    return clamd_open(c, AF_UNIX, (struct sockaddr *) &sa, sizeof(sa));
}


static int
clamd_connect_tcp(clamd_t *c, const char *address)
{
    int               rc;
    struct addrinfo  *list, *ai;

    if (address_resolve(address, 0, &list) != 0) {
        errno = EHOSTUNREACH;
        return -1;
    }

    rc = -1;

    for (ai = list; ai != NULL && rc != 0; ai = ai->ai_next) {
        rc = clamd_open(c, ai->ai_family, ai->ai_addr, ai->ai_addrlen);
    }

    freeaddrinfo(list);

    return rc;
}


static int
clamd_open(clamd_t *c, int family, const struct sockaddr *sa, socklen_t len)
{
    int        err;
    socklen_t  size;

    c->fd = socket(family, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);

    if (c->fd == -1) {
        return -1;
    }

    err = 0;
    size = sizeof(err);

    if (connect(c->fd, sa, len) != 0) {
        err = errno;

        if (err == EINPROGRESS) {
            err = clamd_wait(c, POLLOUT, now_ms() + CLAMD_CONNECT)
                  ? 0 : ETIMEDOUT;
        }

        if (err == 0) {
            (void) getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size);
        }
    }

    if (err != 0) {
        close(c->fd);
        errno = err;
        return -1;
    }

    return 0;
}


static bool
clamd_wait(const clamd_t *c, short events, int64_t until)
{
    int            n;
    int64_t        left;
    struct pollfd  pfd;

    pfd.fd = c->fd;
    pfd.events = events;

    do {
        left = until - now_ms();
        n = left <= 0 ? 0 : poll(&pfd, 1, (int) left);
    } while (n == -1 && errno == EINTR);

    return n == 1;
}


/* 0, 1 if clamd had something to say before the end, or -1 */

static int
clamd_send_file(const clamd_t *c, int fd, int64_t size)
{
    off_t          offset;
    ssize_t        n;
    uint32_t       len;
    struct pollfd  pfd;

    static char  piece[CLAMD_PIECE];

    pfd.fd = c->fd;
    pfd.events = POLLIN;
    offset = 0;

    if (clamd_send(c, "zINSTREAM", sizeof("zINSTREAM")) != 0) {
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

        if (clamd_send(c, &len, sizeof(len)) != 0
            || clamd_send(c, piece, (size_t) n) != 0)
        {
            /* it may have closed after an answer */
            return 1;
        }

        offset += n;
    }

    len = 0;

    return clamd_send(c, &len, sizeof(len)) != 0;
}


static int
clamd_send(const clamd_t *c, const void *data, size_t len)
{
    ssize_t      n;
    const char  *p = data;

    while (len > 0) {
        n = send(c->fd, p, len, MSG_NOSIGNAL);

        if (n == -1 && errno == EAGAIN && clamd_wait(c, POLLOUT, c->until)) {
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


static int
clamd_answer(const clamd_t *c, clamd_answer_t *answer)
{
    int      rc;
    char     piece[CLAMD_ANSWER_MAX];
    ssize_t  n;

    memset(answer, 0, sizeof(clamd_answer_t));

    do {
        if (!clamd_wait(c, POLLIN, c->until)) {
            return -1;
        }

        n = recv(c->fd, piece, sizeof(piece), 0);
        rc = n <= 0 ? -1 : clamd_answer_write(answer, piece, (size_t) n);
    } while (rc == 0);

    return rc == 1 ? 0 : -1;
}


int
clamd_answer_write(clamd_answer_t *answer, const char *s, size_t len)
{
    size_t  n;

    n = strnlen(s, len);

    if (n >= sizeof(answer->text) - answer->len) {
        return -1;
    }

    memcpy(answer->text + answer->len, s, n);
    answer->len += n;
    answer->text[answer->len] = '\0';

    return n < len;
}


/* "stream: OK", "stream: {name} FOUND", "{why} ERROR" */

scan_result_t
clamd_answer_verdict(clamd_answer_t *answer, char *error, size_t size)
{
    char    *p, *name;
    size_t   len;

    p = answer->text;
    len = answer->len;

    if (strcmp(p, "stream: OK") == 0) {
        return SCAN_CLEAN;
    }

    for (name = p; *name != '\0'; name++) {
        if (*name < 0x20 || *name > 0x7e) {
            *name = '?';
        }
    }

    if (strncmp(p, "stream: ", 8) == 0 && len > 14
        && strcmp(p + len - 6, " FOUND") == 0)
    {
        name = p + 8;
        p[len - 6] = '\0';
        snprintf(error, size, "%s", name);

        return strncmp(name, CLAMD_LIMITS, strlen(CLAMD_LIMITS)) == 0
               ? SCAN_TOO_LARGE : SCAN_INFECTED;
    }

    snprintf(error, size, "clamd: %s", p);

    return strncmp(p, "INSTREAM size limit exceeded", 28) == 0
           ? SCAN_TOO_LARGE : SCAN_ERROR;
}
