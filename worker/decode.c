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
 * The child's side of the decoder.  Decoding of untrusted files happens in a
 * process of its own, media-decode, with an empty environment and no
 * descriptor but one socket, over which the input and output files are passed.
 * It is kept for DECODE_JOBS_MAX files and replaced when it crashes, hangs, or
 * answers nonsense.
 */


#define DECODE_JOBS_MAX  200
#define DECODE_TIMEOUT   5000           /* ms, more than the CPU time */
#define DECODE_START     10000          /* ms */
#define DECODE_EDGE_MAX  1000000        /* pixels that can be true */


static bool decode_answered(int out, int timeout, decoder_answer_t *ans);
static bool decode_is_sane(int out, decoder_answer_t *ans);
static void decode_text(char *s, size_t size);
static void decode_utf8(char *s, size_t size);
static int decode_send(int in, int out, const decoder_request_t *req);
static bool decode_receive(void *data, size_t size, int timeout);
static bool decode_receive_pending(void);
static int decode_start(decoder_hello_t *hello);
static bool decode_find(char *path, size_t size);
static bool decode_hello(decoder_hello_t *hello);
static void decode_exec(const char *path, int fd)
    __attribute__((noreturn));
static void decode_environment(char **envp);
static void decode_failed(void);
static int decode_stop(void);


static struct {
    pid_t        pid;           /* 0: none runs */
    pid_t        owner;         /* who started it; not a fork of that */
    int          fd;
    int          jobs;
    const char  *failure;       /* what became of it last */
} decode_process;


int
decode(int in, int out, const decoder_request_t *req, decoder_answer_t *ans)
{
    decoder_hello_t    hello;
    decoder_request_t  limited;

    limited = *req;
    limited.limits.pixels = conf.max_pixels;
    limited.limits.frames = conf.max_frames;
    limited.limits.pages = conf.max_pages;
    limited.limits.duration = conf.max_duration;
    limited.limits.expansion = conf.max_expansion;

    if (decode_process.pid != 0
        && (decode_process.jobs >= DECODE_JOBS_MAX
            || decode_process.owner != getpid()))
    {
        (void) decode_stop();
    }

    /* nothing was asked: what is there is made up, or the end */
    if (decode_process.pid != 0 && decode_receive_pending()) {
        decode_process.failure = "decoder was gone, or spoke unasked";
        decode_failed();
    }

    if (decode_process.pid != 0 && decode_send(in, out, &limited) != 0) {
        decode_process.failure = "decoder was gone";
        decode_failed();
    }

    if (decode_process.pid == 0) {

        if (decode_start(&hello) != 0) {
            return -1;
        }

        if (decode_send(in, out, &limited) != 0) {
            decode_process.failure = "decoder was gone";
            decode_failed();
            return -1;
        }
    }

    decode_process.jobs++;

    if (!decode_answered(out, req->cpu_time * 1000 + DECODE_TIMEOUT, ans)) {
        decode_failed();
        memset(ans, 0, sizeof(decoder_answer_t));
        ans->verdict = DECODER_FAILED;
        strcpy(ans->error, "the decoder failed");
    }

    return 0;
}


int
decode_check(decoder_hello_t *hello)
{
    if (decode_process.pid != 0) {
        (void) decode_stop();
    }

    if (decode_start(hello) != 0) {
        return -1;
    }

    (void) decode_stop();

    return 0;
}


static bool
decode_answered(int out, int timeout, decoder_answer_t *ans)
{
    if (!decode_receive(ans, sizeof(decoder_answer_t), timeout)) {
        return false;
    }

    if (!decode_is_sane(out, ans)) {
        decode_process.failure = "decoder answered nonsense";
        return false;
    }

    return true;
}


/* what is in the answer comes from a process that read untrusted bytes */
static bool
decode_is_sane(int out, decoder_answer_t *ans)
{
    int          i;
    struct stat  st;

    if (fstat(out, &st) != 0 || (unsigned) ans->verdict >= DECODER_FAILED
        || ans->result.size < 0 || ans->result.size > st.st_size
        || ans->result.width < 0 || ans->result.width > DECODE_EDGE_MAX
        || ans->result.height < 0 || ans->result.height > DECODE_EDGE_MAX
        || ans->width < 0 || ans->width > DECODE_EDGE_MAX
        || ans->height < 0 || ans->height > DECODE_EDGE_MAX
        || ans->rotation < 0 || ans->rotation > 270 || ans->rotation % 90 != 0
        || ans->frames < 0 || ans->pages < 0 || ans->duration_ms < 0
        || ans->sample_rate < 0 || ans->channels < 0
        || ans->placeholder_size > DECODER_PLACEHOLDER
        || ans->colour > 0xffffff)
    {
        return false;
    }

    for (i = 0; i < DECODER_WAVEFORM; i++) {
        ans->waveform[i] = ans->waveform[i] > 100 ? 100 : ans->waveform[i];
    }

    decode_text(ans->type, sizeof(ans->type));
    decode_text(ans->error, sizeof(ans->error));
    decode_text(ans->video_codec, sizeof(ans->video_codec));
    decode_text(ans->audio_codec, sizeof(ans->audio_codec));
    decode_text(ans->charset, sizeof(ans->charset));
    decode_text(ans->result.type, sizeof(ans->result.type));
    decode_text(ans->made_by, sizeof(ans->made_by));
    decode_utf8(ans->title, sizeof(ans->title));

    return (ans->verdict == DECODER_OK) == (ans->error[0] == '\0');
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


/* a title of the file's own; dropped if it is not text */
static void
decode_utf8(char *s, size_t size)
{
    char  *p;

    s[size - 1] = '\0';

    if (media_utf8_count(s, strlen(s)) < 0) {
        *s = '\0';
    }

    for (p = s; *p != '\0'; p++) {
        if ((unsigned char) *p < 0x20 || *p == 0x7f) {
            *p = ' ';
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


static bool
decode_receive(void *data, size_t size, int timeout)
{
    int            n;
    ssize_t        len;
    struct pollfd  pfd;

    pfd.fd = decode_process.fd;
    pfd.events = POLLIN;

    do {
        n = poll(&pfd, 1, timeout);
    } while (n == -1 && errno == EINTR);

    if (n != 1) {
        decode_process.failure = "decoder timed out";
        return false;
    }

    len = recv(pfd.fd, data, size, MSG_DONTWAIT | MSG_TRUNC);

    if (len != (ssize_t) size) {
        decode_process.failure = len > 0 ? "decoder is of another version"
                                         : "decoder died";
        return false;
    }

    return true;
}


static bool
decode_receive_pending(void)
{
    struct pollfd  pfd;

    pfd.fd = decode_process.fd;
    pfd.events = POLLIN;

    return poll(&pfd, 1, 0) != 0;
}


static int
decode_start(decoder_hello_t *hello)
{
    int    fds[2];
    char   path[1024];
    pid_t  pid;

    if (!decode_find(path, sizeof(path))) {
        log_msg(LOG_ERR, "media-decode is neither beside this program nor in "
                MEDIA_LIBEXEC_DIR, NULL);
        return -1;
    }

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
        decode_exec(path, fds[1]);
    }

    close(fds[1]);
    decode_process.pid = pid;
    decode_process.owner = getpid();
    decode_process.fd = fds[0];
    decode_process.jobs = 0;

    if (!decode_hello(hello)) {
        decode_failed();
        log_msg(LOG_ERR, "decoder does not start", "program", path, NULL);
        return -1;
    }

    return 0;
}


/* where it was built, or where "make install" puts it */
static bool
decode_find(char *path, size_t size)
{
    char     *p;
    ssize_t   n;

    n = readlink("/proc/self/exe", path, size - 1);
    path[n < 0 ? 0 : n] = '\0';
    p = strrchr(path, '/');

    if (p != NULL && (size_t) (p - path) + sizeof("/media-decode") <= size) {
        strcpy(p, "/media-decode");

        if (access(path, X_OK) == 0) {
            return true;
        }
    }

    snprintf(path, size, "%s/media-decode", MEDIA_LIBEXEC_DIR);

    return access(path, X_OK) == 0;
}


/* one that an upgrade has replaced may speak otherwise */
static bool
decode_hello(decoder_hello_t *hello)
{
    if (!decode_receive(hello, sizeof(decoder_hello_t), DECODE_START)) {
        return false;
    }

    if (hello->version != DECODER_VERSION
        || hello->request_size != sizeof(decoder_request_t)
        || hello->answer_size != sizeof(decoder_answer_t))
    {
        decode_process.failure = "decoder is of another version";
        return false;
    }

    return true;
}


/* runs between fork and exec; what is inherited ends here */
static void
decode_exec(const char *path, int fd)
{
    int       null;
    char      name[] = "media-decode";
    char     *argv[2], *envp[3];
    sigset_t  none;

    argv[0] = name;
    argv[1] = NULL;
    decode_environment(envp);

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

    execve(path, argv, envp);
    _exit(1);
}


/* none; with sanitizers, where their reports go */
static void
decode_environment(char **envp)
{
#ifdef __SANITIZE_ADDRESS__
    static char  asan[1024], ubsan[1024];

    const char  *value;

    /* it is killed, or exits where a library has not been freed */
    value = getenv("ASAN_OPTIONS");
    snprintf(asan, sizeof(asan), "ASAN_OPTIONS=%s:detect_leaks=0",
             value == NULL ? "" : value);
    *envp++ = asan;

    value = getenv("UBSAN_OPTIONS");
    snprintf(ubsan, sizeof(ubsan), "UBSAN_OPTIONS=%s",
             value == NULL ? "" : value);
    *envp++ = ubsan;
#endif

    *envp = NULL;
}


/* why: its own death comes before being killed */
static void
decode_failed(void)
{
    int          status;
    const char  *name;

    status = decode_stop();
    name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

    log_msg(LOG_WARN, decode_process.failure,
            "signal", name == NULL ? "none" : name, NULL);
}


/* its exit status */
static int
decode_stop(void)
{
    int  status;

    status = 0;
    close(decode_process.fd);

    if (decode_process.owner == getpid()) {
        kill(decode_process.pid, SIGKILL);
        while (waitpid(decode_process.pid, &status, 0) == -1 && errno == EINTR)
        {
            /* void */
        }
    }

    decode_process.pid = 0;
    decode_process.jobs = 0;

    return status;
}
