/*
 * Copyright (C) ngx_media contributors
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"


/*
 * The decoder process: reads one file, writes one result, answers, waits for
 * the next.  It has no environment, no descriptor but its socket, and limits
 * on memory, time and file size; it ends when the socket is closed.  What
 * reads the file is named by the sniffed type, so that content never chooses
 * it.
 */


#define DECODER_MEMORY     (1024UL * 1024 * 1024)   /* address space */
#define DECODER_FILE_MAX   (16UL * 1024 * 1024)     /* of any result */
#define DECODER_FILES_MAX  64


static void decoder_limits(void);
static ssize_t decoder_receive(decoder_request_t *req, int *fds);
static void decoder_cpu_time(int seconds);


int
decoder_main(void)
{
    int                fds[2];
    decoder_answer_t   ans;
    decoder_request_t  req;

    decoder_limits();
    decoder_image_init();

    while (decoder_receive(&req, fds) == sizeof(decoder_request_t)) {
        decoder_cpu_time(req.cpu_time);
        memset(&ans, 0, sizeof(decoder_answer_t));

        if (req.task == DECODER_VOICE || req.task == DECODER_AUDIO) {
            decoder_audio(&req, fds[0], fds[1], &ans);

        } else if (req.task == DECODER_VIDEO) {
            decoder_video(fds[0], &ans);

        } else {
            decoder_image(&req, fds[0], fds[1], &ans);
        }

        close(fds[0]);
        close(fds[1]);

        if (send(DECODER_FD, &ans, sizeof(decoder_answer_t), MSG_NOSIGNAL)
            != sizeof(decoder_answer_t))
        {
            break;
        }
    }

    return 0;
}


static void
decoder_limits(void)
{
    struct rlimit  limit;

    /* signals to the whole service are for the child, which lets its job
       end; the closed socket ends this process */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);

    limit.rlim_cur = limit.rlim_max = DECODER_FILE_MAX;
    setrlimit(RLIMIT_FSIZE, &limit);

    limit.rlim_cur = limit.rlim_max = DECODER_FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);

    limit.rlim_cur = limit.rlim_max = 0;
    setrlimit(RLIMIT_CORE, &limit);

    /* AddressSanitizer reserves terabytes of address space */
#ifndef __SANITIZE_ADDRESS__
    limit.rlim_cur = limit.rlim_max = DECODER_MEMORY;
    setrlimit(RLIMIT_AS, &limit);
#endif
}


static ssize_t
decoder_receive(decoder_request_t *req, int *fds)
{
    char             control[CMSG_SPACE(2 * sizeof(int))];
    ssize_t          n;
    struct iovec     iov;
    struct msghdr    msg;
    struct cmsghdr  *cmsg;

    iov.iov_base = req;
    iov.iov_len = sizeof(decoder_request_t);

    memset(&msg, 0, sizeof(struct msghdr));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);

    do {
        n = recvmsg(DECODER_FD, &msg, MSG_CMSG_CLOEXEC);
    } while (n == -1 && errno == EINTR);

    if (n <= 0) {
        return n;
    }

    cmsg = CMSG_FIRSTHDR(&msg);

    if (cmsg == NULL || cmsg->cmsg_type != SCM_RIGHTS
        || cmsg->cmsg_len != CMSG_LEN(2 * sizeof(int)))
    {
        return -1;
    }

    memcpy(fds, CMSG_DATA(cmsg), 2 * sizeof(int));
    return n;
}


/* the limit counts from the start of the process */
static void
decoder_cpu_time(int seconds)
{
    struct rlimit  limit;
    struct rusage  usage;

    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_CPU, &limit);

    limit.rlim_cur = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
                     + seconds + 1;
    setrlimit(RLIMIT_CPU, &limit);
}


bool
decoder_write(int fd, const void *data, size_t size, int64_t offset,
    decoder_answer_t *ans)
{
    ssize_t      n;
    const char  *p;

    if (offset < 0 || offset + size > DECODER_FILE_MAX) {
        snprintf(ans->error, sizeof(ans->error), "the result is too large");
        return false;
    }

    for (p = data; size > 0; p += n, offset += n, size -= n) {
        n = pwrite(fd, p, size, offset);

        if (n <= 0) {
            snprintf(ans->error, sizeof(ans->error), "cannot write: %s",
                     strerror(errno));
            return false;
        }
    }

    return true;
}


bool
decoder_takes(const char *types, const char *type)
{
    size_t       len, n;
    const char  *p;

    len = strcspn(type, "; ");

    for (p = types; *p != '\0'; p += n + strspn(p + n, " ")) {
        n = strcspn(p, " ");

        if (n == len && strncasecmp(p, type, n) == 0) {
            return true;
        }
    }

    return *types == '\0';
}
