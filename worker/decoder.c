/*
 * Copyright (C) ngx_media contributors
 */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "decoder.h"
#include "decoder_jail.h"

#ifdef DECODER_TEST_HOOKS
#include "test/hooks/decoder_hooks.h"
#endif


/*
 * The decoder process.  It has no environment and no descriptor but its
 * socket, loads its libraries once, and reads no file: for each it forks a
 * process in a jail (decoder_jail.c), which answers through this one and is
 * no more.  So no file has any influence on what becomes of another.  It ends
 * when the socket is closed.
 *
 * What reads the file is named by the sniffed type, so that content never
 * chooses it.
 */


static bool decoder_hello(bool policy);
static bool decoder_fork(decoder_request_t *req, const int *fds, void *ans,
    size_t size);
static void decoder_process(decoder_request_t *req, const int *fds,
    int socket) __attribute__((noreturn));
static void decoder_end(pid_t pid);
static void decoder_warm(void);
static void decoder_run(decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);
static ssize_t decoder_receive(decoder_request_t *req, int *fds);


int
main(void)
{
    int                fds[2];
    bool               policy;
    decoder_answer_t   ans;
    decoder_request_t  req;

    decoder_jail_limits();
    decoder_sniff_init();
    decoder_text_init();
    policy = decoder_image_init();
    decoder_warm();
    decoder_jail_build();

    if (!decoder_hello(policy)) {
        fputs("media-decode is started by media-worker\n", stderr);
        return 2;
    }

    while (decoder_receive(&req, fds) == sizeof(decoder_request_t)) {
        if (!decoder_fork(&req, fds, &ans, sizeof(decoder_answer_t))
            || send(DECODER_FD, &ans, sizeof(decoder_answer_t), MSG_NOSIGNAL)
               != sizeof(decoder_answer_t))
        {
            return 1;
        }

        close(fds[0]);
        close(fds[1]);
    }

    return 0;
}


/* one process without a file tells how it is confined */
static bool
decoder_hello(bool policy)
{
    decoder_hello_t  hello;

    if (!decoder_fork(NULL, NULL, &hello, sizeof(decoder_hello_t))) {
        return false;
    }

    hello.version = DECODER_VERSION;
    hello.request_size = sizeof(decoder_request_t);
    hello.answer_size = sizeof(decoder_answer_t);
    hello.policy = policy;

    return send(DECODER_FD, &hello, sizeof(decoder_hello_t), MSG_NOSIGNAL)
           == sizeof(decoder_hello_t);
}


/*
 * One answer of a new process.  If there is none this process dies of the
 * same signal, which tells the child.
 */
static bool
decoder_fork(decoder_request_t *req, const int *fds, void *ans, size_t size)
{
    int      pair[2];
    pid_t    pid;
    ssize_t  n;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return false;
    }

    pid = fork();

    if (pid == -1) {
        return false;
    }

    if (pid == 0) {
        close(pair[0]);
        decoder_process(req, fds, pair[1]);
    }

    close(pair[1]);

    do {
        n = recv(pair[0], ans, size, MSG_TRUNC);
    } while (n == -1 && errno == EINTR);

    close(pair[0]);

    if (n != (ssize_t) size) {
        decoder_end(pid);
        return false;
    }

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);

    return true;
}


static void
decoder_process(decoder_request_t *req, const int *fds, int socket)
{
    decoder_hello_t   hello;
    decoder_answer_t  ans;

    /* the socket of the one that forked is out of reach then */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0
        || dup2(socket, DECODER_FD) == -1)
    {
        _exit(1);
    }

    close(socket);
    decoder_jail_shut(req == NULL ? 1 : req->cpu_time, &hello);

    if (req == NULL) {
        (void) send(DECODER_FD, &hello, sizeof(decoder_hello_t),
                    MSG_NOSIGNAL);
        _exit(0);
    }

    memset(&ans, 0, sizeof(decoder_answer_t));
    decoder_run(req, fds[0], fds[1], &ans);
    (void) send(DECODER_FD, &ans, sizeof(decoder_answer_t), MSG_NOSIGNAL);
    _exit(0);
}


/* its own death, if it is not killed now, is what counts */
static void
decoder_end(pid_t pid)
{
    int  status;

    kill(pid, SIGKILL);

    if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
}


/*
 * What a library loads at its first use has to be there before a jail is
 * shut: files of ours are read, and one that is cut off is refused.
 */
static void
decoder_warm(void)
{
    int                i, in, out;
    decoder_answer_t   ans;
    decoder_request_t  req;

    /* one black pixel */
    static const unsigned char  gif[] = {
        'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0, 0,
        0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b
    };
    static const char  pdf[] =
        "%PDF-1.4\n"
        "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R"
        "/Resources<</Font<</F 5 0 R>>>>>>endobj\n"
        "4 0 obj<</Length 21>>stream\n"
        "BT /F 9 Tf (a) Tj ET \n"
        "endstream endobj\n"
        "5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
        "trailer<</Root 1 0 R>>\n";

    static const struct {
        const void  *data;
        ssize_t      size;
    } files[] = { { gif, sizeof(gif) }, { gif, 14 },
                  { pdf, sizeof(pdf) - 1 } };

    tzset();

    memset(&req, 0, sizeof(decoder_request_t));
    req.task = DECODER_INSPECT;
    req.max_edge = 1;
    req.quality = 1;
    req.max_size = DECODER_FILE_MAX;
    strcpy(req.types, "image/jpeg");
    req.limits.pixels = 1000000;
    req.limits.frames = req.limits.pages = 1;

    for (i = 0; i < 3; i++) {
        in = memfd_create("in", MFD_CLOEXEC);
        out = memfd_create("out", MFD_CLOEXEC);
        memset(&ans, 0, sizeof(decoder_answer_t));

        if (write(in, files[i].data, files[i].size) == files[i].size) {
            decoder_run(&req, in, out, &ans);
        }

        close(in);
        close(out);
    }
}


/* the content says what reads it, whatever it was declared as; but not all
   that can be converted is known to libmagic */
static void
decoder_run(decoder_request_t *req, int in, int out, decoder_answer_t *ans)
{
#ifdef DECODER_TEST_HOOKS
    decoder_hook(req, in, out, ans);
#endif

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
    case DECODER_M4A:
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
