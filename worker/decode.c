/*
 * Copyright (C) ngx_media contributors
 */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"


/*
 * The child's side of the decoder.  Decoding of untrusted files happens in
 * a process of its own: this program executed anew with an empty environment
 * and no descriptor but one socket, over which the input and output files are
 * passed.  It is kept for DECODE_JOBS_MAX files and replaced when it crashes,
 * hangs, or answers nonsense.
 */


#define DECODE_JOBS_MAX  200
#define DECODE_TIMEOUT   5000           /* ms, more than the CPU time */


static bool decode_answered(int out, int timeout, decoder_answer_t *ans);
static void decode_text(char *s, size_t size);
static int decode_send(int in, int out, const decoder_request_t *req);
static int decode_start(void);
static void decode_exec(int fd) __attribute__((noreturn));
static void decode_stop(void);


static struct {
    pid_t  pid;                 /* 0: none runs */
    pid_t  owner;               /* who started it; not a fork of that */
    int    fd;
    int    jobs;
} decode_process;


int
decode(int in, int out, const decoder_request_t *req, decoder_answer_t *ans)
{
    if (decode_process.pid != 0
        && (decode_process.jobs >= DECODE_JOBS_MAX
            || decode_process.owner != getpid()))
    {
        decode_stop();
    }

    if (decode_process.pid != 0 && decode_send(in, out, req) != 0) {
        log_msg(LOG_WARN, "decoder was gone", NULL);
        decode_stop();
    }

    if (decode_process.pid == 0) {

        if (decode_start() != 0) {
            return -1;
        }

        if (decode_send(in, out, req) != 0) {
            log_msg(LOG_ERR, "decoder does not start", NULL);
            decode_stop();
            return -1;
        }
    }

    decode_process.jobs++;

    if (!decode_answered(out, req->cpu_time * 1000 + DECODE_TIMEOUT, ans)) {
        decode_stop();
        memset(ans, 0, sizeof(decoder_answer_t));
        strcpy(ans->error, "the decoder failed");
    }

    return 0;
}


/* what is in the answer comes from a process that read untrusted bytes */
static bool
decode_answered(int out, int timeout, decoder_answer_t *ans)
{
    int            i, n;
    struct stat    st;
    struct pollfd  pfd;

    pfd.fd = decode_process.fd;
    pfd.events = POLLIN;

    do {
        n = poll(&pfd, 1, timeout);
    } while (n == -1 && errno == EINTR);

    if (n != 1
        || recv(pfd.fd, ans, sizeof(decoder_answer_t), MSG_DONTWAIT)
           != sizeof(decoder_answer_t)
        || fstat(out, &st) != 0 || ans->size < 0 || ans->size > st.st_size
        || ans->width < 0 || ans->height < 0 || ans->duration < 0)
    {
        log_msg(LOG_WARN, n == 0 ? "decoder timed out" : "decoder died", NULL);
        return false;
    }

    for (i = 0; i < DECODER_WAVEFORM; i++) {
        ans->waveform[i] = ans->waveform[i] > 100 ? 100 : ans->waveform[i];
    }

    decode_text(ans->type, sizeof(ans->type));
    decode_text(ans->error, sizeof(ans->error));

    return true;
}


/* an error of a library may quote the file */
static void
decode_text(char *s, size_t size)
{
    s[size - 1] = '\0';

    for ( /* void */ ; *s != '\0'; s++) {
        if (*s < 0x20 || *s > 0x7e) {
            *s = '?';
        }
    }
}


static int
decode_send(int in, int out, const decoder_request_t *req)
{
    int              fds[2];
    char             control[CMSG_SPACE(sizeof(fds))];
    struct iovec     iov;
    struct msghdr    msg;
    struct cmsghdr  *cmsg;

    fds[0] = in;
    fds[1] = out;
    iov.iov_base = (void *) req;
    iov.iov_len = sizeof(decoder_request_t);

    memset(&msg, 0, sizeof(struct msghdr));
    memset(control, 0, sizeof(control));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);

    cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));

    return sendmsg(decode_process.fd, &msg, MSG_NOSIGNAL)
           == sizeof(decoder_request_t) ? 0 : -1;
}


static int
decode_start(void)
{
    int    fds[2];
    pid_t  pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        log_msg(LOG_ERR, "socketpair failed", "error", strerror(errno), NULL);
        return -1;
    }

    pid = fork();

    if (pid == -1) {
        log_msg(LOG_ERR, "fork failed", "error", strerror(errno), NULL);
        close(fds[0]);
        close(fds[1]);
        return -1;
    }

    if (pid == 0) {
        decode_exec(fds[1]);
    }

    close(fds[1]);
    decode_process.pid = pid;
    decode_process.owner = getpid();
    decode_process.fd = fds[0];
    decode_process.jobs = 0;

    return 0;
}


/* runs between fork and exec; what is inherited ends here */
static void
decode_exec(int fd)
{
    int       null;
    char      name[] = "media-worker";
    char      option[] = "--decoder";
    char     *argv[3], *envp[1];
    sigset_t  none;

    argv[0] = name;
    argv[1] = option;
    argv[2] = NULL;
    envp[0] = NULL;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    null = open("/dev/null", O_RDWR);

    if (null == -1
        || dup2(null, 0) == -1 || dup2(null, 1) == -1 || dup2(null, 2) == -1
        || dup2(fd, DECODER_FD) == -1
        || close_range(DECODER_FD + 1, ~0U, 0) != 0
        || fcntl(DECODER_FD, F_SETFD, 0) != 0
        || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    {
        _exit(1);
    }

    execve("/proc/self/exe", argv, envp);
    _exit(1);
}


static void
decode_stop(void)
{
    close(decode_process.fd);

    if (decode_process.owner == getpid()) {
        kill(decode_process.pid, SIGKILL);
        while (waitpid(decode_process.pid, NULL, 0) == -1 && errno == EINTR) {
            /* void */
        }
    }

    decode_process.pid = 0;
    decode_process.jobs = 0;
}
