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
 * The child's side of the decoder.  Decoding of untrusted images happens in
 * a process of its own: this program executed anew with an empty environment
 * and no descriptor but one socket, over which the input and output files are
 * passed.  It is kept for IMAGE_JOBS_MAX images and replaced when it crashes,
 * hangs, or answers nonsense.
 */


#define IMAGE_JOBS_MAX  200
#define IMAGE_TIMEOUT   (DECODER_CPU_TIME * 1000 + 5000)    /* ms */


static int image_ask(int in, int out, const decoder_request_t *req,
    decoder_answer_t *ans);
static int image_send(int in, int out, const decoder_request_t *req);
static int image_start(void);
static void image_exec(int fd) __attribute__((noreturn));
static void image_stop(void);


static struct {
    pid_t  pid;                 /* 0: none runs */
    pid_t  owner;               /* who started it; not a fork of that */
    int    fd;
    int    jobs;
} image_decoder;


int
image_thumbnail(int fd, const char *mime, int max_edge, int quality,
    image_t *image, char *error, size_t error_size)
{
    int                out;
    decoder_answer_t   ans;
    decoder_request_t  req;

    memset(image, 0, sizeof(image_t));
    image->thumb_fd = -1;

    memset(&req, 0, sizeof(decoder_request_t));
    snprintf(req.mime, sizeof(req.mime), "%s", mime);
    req.max_edge = max_edge;
    req.quality = quality;

    out = file_temp();

    if (out == -1) {
        snprintf(error, error_size, "no temporary file");
        return -1;
    }

    if (image_ask(fd, out, &req, &ans) != 0) {
        snprintf(error, error_size, "the decoder failed");
        close(out);
        return -1;
    }

    image->width = ans.width;
    image->height = ans.height;

    if (ans.error[0] != '\0') {
        snprintf(error, error_size, "%s", ans.error);
        close(out);
        return -1;
    }

    image->thumb_fd = out;
    image->thumb_size = ans.size;
    return 0;
}


static int
image_ask(int in, int out, const decoder_request_t *req,
    decoder_answer_t *ans)
{
    int            n;
    struct stat    st;
    struct pollfd  pfd;

    if (image_decoder.pid != 0
        && (image_decoder.jobs >= IMAGE_JOBS_MAX
            || image_decoder.owner != getpid()))
    {
        image_stop();
    }

    if (image_decoder.pid != 0 && image_send(in, out, req) != 0) {
        log_msg(LOG_WARN, "decoder was gone", NULL);
        image_stop();
    }

    if (image_decoder.jobs == 0
        && (image_start() != 0 || image_send(in, out, req) != 0))
    {
        return -1;
    }

    image_decoder.jobs++;

    pfd.fd = image_decoder.fd;
    pfd.events = POLLIN;

    do {
        n = poll(&pfd, 1, IMAGE_TIMEOUT);
    } while (n == -1 && errno == EINTR);

    if (n != 1
        || recv(pfd.fd, ans, sizeof(decoder_answer_t), MSG_DONTWAIT)
           != sizeof(decoder_answer_t)
        || fstat(out, &st) != 0 || ans->size < 0 || ans->size > st.st_size
        || ans->width < 0 || ans->height < 0)
    {
        log_msg(LOG_WARN, n == 0 ? "decoder timed out" : "decoder died", NULL);
        image_stop();
        return -1;
    }

    ans->error[sizeof(ans->error) - 1] = '\0';
    return 0;
}


static int
image_send(int in, int out, const decoder_request_t *req)
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

    return sendmsg(image_decoder.fd, &msg, MSG_NOSIGNAL)
           == sizeof(decoder_request_t) ? 0 : -1;
}


static int
image_start(void)
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
        image_exec(fds[1]);
    }

    close(fds[1]);
    image_decoder.pid = pid;
    image_decoder.owner = getpid();
    image_decoder.fd = fds[0];
    image_decoder.jobs = 0;

    return 0;
}


/* runs between fork and exec; what is inherited ends here */
static void
image_exec(int fd)
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
image_stop(void)
{
    close(image_decoder.fd);

    if (image_decoder.owner == getpid()) {
        kill(image_decoder.pid, SIGKILL);
        while (waitpid(image_decoder.pid, NULL, 0) == -1 && errno == EINTR) {
            /* void */
        }
    }

    image_decoder.pid = 0;
    image_decoder.jobs = 0;
}
