/*
 * Copyright (C) ngx_media contributors
 */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "decoder.h"


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


static void decoder_limits(decoder_hello_t *hello);
static int decoder_hello(const decoder_hello_t *hello);
static void decoder_run(decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);
static ssize_t decoder_receive(decoder_request_t *req, int *fds);
static void decoder_cpu_time(int seconds);


int
main(void)
{
    int                fds[2];
    decoder_hello_t    hello;
    decoder_answer_t   ans;
    decoder_request_t  req;

    memset(&hello, 0, sizeof(decoder_hello_t));
    decoder_limits(&hello);
    decoder_sniff_init();
    decoder_text_init();
    decoder_image_init();

    if (decoder_hello(&hello) != 0) {
        fputs("media-decode is started by media-worker\n", stderr);
        return 2;
    }

    while (decoder_receive(&req, fds) == sizeof(decoder_request_t)) {
        decoder_cpu_time(req.cpu_time);
        memset(&ans, 0, sizeof(decoder_answer_t));
        decoder_run(&req, fds[0], fds[1], &ans);
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


static int
decoder_hello(const decoder_hello_t *hello)
{
    return send(DECODER_FD, hello, sizeof(decoder_hello_t), MSG_NOSIGNAL)
           == sizeof(decoder_hello_t) ? 0 : -1;
}


/* the content says what reads it, whatever it was declared as; but not all
   that can be converted is known to libmagic */
static void
decoder_run(decoder_request_t *req, int in, int out, decoder_answer_t *ans)
{
    if (!decoder_sniff(in, ans)) {
        return;
    }

    if (req->task == DECODER_INSPECT
        || strcmp(ans->type, "application/octet-stream") != 0)
    {
        snprintf(req->mime, sizeof(req->mime), "%s", ans->type);
    }

    switch (req->task) {

    case DECODER_SNIFF:
        break;

    case DECODER_INSPECT:
        decoder_inspect(req, in, out, ans);
        break;

    case DECODER_IMAGE:
    case DECODER_STICKER:
        decoder_image(req, in, out, ans);
        break;

    case DECODER_VOICE:
    case DECODER_AUDIO:
        decoder_audio(req, in, out, ans);
        break;

    case DECODER_VIDEO:
        decoder_video(in, ans);
        break;

    default:
        decoder_fail(ans, DECODER_UNKNOWN, "unknown task");
    }

    if (ans->error[0] != '\0' && ans->verdict == DECODER_OK) {
        ans->verdict = DECODER_CORRUPT;
    }
}


static void
decoder_limits(decoder_hello_t *hello)
{
    struct rlimit  limit;

    hello->version = DECODER_VERSION;
    hello->request_size = sizeof(decoder_request_t);
    hello->answer_size = sizeof(decoder_answer_t);

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
    hello->memory = DECODER_MEMORY;
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
        return decoder_fail(ans, DECODER_REFUSED, "the result is too large");
    }

    for (p = data; size > 0; p += n, offset += n, size -= n) {
        n = pwrite(fd, p, size, offset);

        if (n <= 0) {
            return decoder_fail(ans, DECODER_REFUSED, "cannot write: %s",
                                strerror(errno));
        }
    }

    return true;
}


bool
decoder_fail(decoder_answer_t *ans, decoder_verdict_t verdict,
    const char *fmt, ...)
{
    va_list  args;

    if (ans->error[0] == '\0') {
        va_start(args, fmt);
        vsnprintf(ans->error, sizeof(ans->error), fmt, args);
        va_end(args);
        ans->verdict = verdict;
    }

    return false;
}
