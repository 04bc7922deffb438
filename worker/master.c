/*
 * Copyright (C) ngx_media contributors
 *
 * The master: forks the children and supervises them; it holds no connection
 * and does no work of its own.  Signals arrive as reads of a signalfd, and
 * one function, master_slot_set(), moves a slot from state to state.
 *
 *     waiting --fork--> starting --byte in the pipe--> running
 *     starting, running --SIGTERM--> stopping --SIGCHLD--> waiting
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"


#define MASTER_SLOTS_MAX     128
#define MASTER_THROTTLE_MAX  60         /* seconds */
#define MASTER_YOUNG         10         /* seconds; who fails before that
                                           waits longer each time */


typedef enum {
    SLOT_WAITING = 0,
    SLOT_STARTING,
    SLOT_RUNNING,
    SLOT_STOPPING
} slot_state_t;

typedef struct {
    const char    *queue;
    slot_state_t   state;
    pid_t          pid;
    int            ready_fd;            /* -1: none */
    int64_t        since;               /* of the fork */
    int64_t        next;                /* when it may be forked */
    int            throttle;            /* seconds */
    bool           roll;                /* to be replaced after SIGHUP */
} slot_t;


static int master_slots_init(void);
static int master_slots_add(const char *queue, int n);
static int master_signals(sigset_t *mask);
static void master_loop(int fd);
static int master_timeout(void);
static void master_signal(int fd);
static void master_reap(void);
static void master_exited(slot_t *slot, int status);
static void master_fork_waiting(void);
static void master_fork(slot_t *slot);
static void master_slot_set(slot_t *slot, slot_state_t state,
    const char *reason);
static void master_ready(slot_t *slot);
static void master_stop(const char *signal_name);
static void master_kill_late(void);
static void master_reload(void);
static void master_roll(void);
static void master_reopen(void);
static bool master_all(slot_state_t state);
static void master_notify(const char *text);


static int       master_nslots;
static slot_t    master_slots[MASTER_SLOTS_MAX];
static sigset_t  master_mask;
static bool      master_stopping;
static bool      master_notified;
static int64_t   master_deadline;


int
master_run(void)
{
    int  fd;

    if (master_slots_init() != 0) {
        return EXIT_CONFIG;
    }

    fd = master_signals(&master_mask);
    if (fd == -1) {
        return EXIT_FAILED;
    }

    title_set("master");
    log_context("child", "master");
    log_msg(LOG_NOTICE, "started", "version", MEDIA_VERSION,
            "children", log_fmt("%d", master_nslots), NULL);

    master_loop(fd);

    close(fd);
    log_msg(LOG_NOTICE, "stopped", NULL);

    return EXIT_OK;
}


static int
master_slots_init(void)
{
    if (metrics_init() != 0) {
        fprintf(stderr, "media-worker: no shared memory\n");
        return -1;
    }

    master_nslots = 0;

    if (master_slots_add("webhook_inbound", conf.children_inbound) != 0
        || master_slots_add("media_priority", conf.children_priority) != 0
        || master_slots_add("media_download", conf.children_download) != 0
        || master_slots_add("media_send", conf.children_upload > 0) != 0
        || master_slots_add("media_upload", conf.children_upload) != 0
        || master_slots_add("sweeper", 1) != 0
        || master_slots_add("metrics", conf.metrics_listen[0] != '\0') != 0)
    {
        fprintf(stderr, "media-worker: more than %d children\n",
                MASTER_SLOTS_MAX);
        return -1;
    }

    return 0;
}


static int
master_slots_add(const char *queue, int n)
{
    slot_t  *slot;

    while (n-- > 0) {
        if (master_nslots == MASTER_SLOTS_MAX) {
            return -1;
        }

        slot = &master_slots[master_nslots++];
        memset(slot, 0, sizeof(slot_t));
        slot->queue = queue;
        slot->ready_fd = -1;
    }

    return 0;
}


static int
master_signals(sigset_t *mask)
{
    int     fd;
    size_t  i;
    static const int  signals[] = {
        SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1
    };

    sigemptyset(mask);

    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaddset(mask, signals[i]);
    }

    (void) signal(SIGPIPE, SIG_IGN);
    (void) sigprocmask(SIG_BLOCK, mask, NULL);

    fd = signalfd(-1, mask, SFD_NONBLOCK|SFD_CLOEXEC);

    if (fd == -1) {
        log_msg(LOG_ERR, "signalfd failed", "reason", strerror(errno), NULL);
    }

    return fd;
}


static void
master_loop(int fd)
{
    int            i, n;
    slot_t        *polled[MASTER_SLOTS_MAX];
    struct pollfd  fds[MASTER_SLOTS_MAX + 1];

    for ( ;; ) {
        if (!master_stopping) {
            master_fork_waiting();

        } else if (master_all(SLOT_WAITING)) {
            return;
        }

        fds[0] = (struct pollfd) { .fd = fd, .events = POLLIN };
        n = 0;

        for (i = 0; i < master_nslots; i++) {
            if (master_slots[i].ready_fd != -1) {
                polled[n++] = &master_slots[i];
                fds[n] = (struct pollfd) { .fd = master_slots[i].ready_fd,
                                           .events = POLLIN };
            }
        }

        (void) poll(fds, n + 1, master_timeout());

        for (i = 0; i < n; i++) {
            if (fds[i + 1].revents) {
                master_ready(polled[i]);
            }
        }

        master_signal(fd);
        master_kill_late();
    }
}


/* until the next fork that waits, or the deadline of a drain */

static int
master_timeout(void)
{
    int      i;
    int64_t  now, next;

    now = now_ms();
    next = now + 3600 * 1000;

    if (master_stopping) {
        next = master_deadline;

    } else {
        for (i = 0; i < master_nslots; i++) {
            if (master_slots[i].state == SLOT_WAITING
                && master_slots[i].next < next)
            {
                next = master_slots[i].next;
            }
        }
    }

    return (next <= now) ? 10 : (int) (next - now) + 1;
}


static void
master_signal(int fd)
{
    struct signalfd_siginfo  info;

    while (read(fd, &info, sizeof(info)) == (ssize_t) sizeof(info)) {
        switch (info.ssi_signo) {

        case SIGCHLD:
            master_reap();
            break;

        case SIGHUP:
            master_reload();
            break;

        case SIGUSR1:
            master_reopen();
            break;

        default:
            master_stop(sigabbrev_np(info.ssi_signo));
            break;
        }
    }
}


static void
master_reap(void)
{
    int    i, status;
    pid_t  pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (i = 0; i < master_nslots; i++) {
            if (master_slots[i].pid == pid) {
                master_exited(&master_slots[i], status);
                break;
            }
        }
    }

    master_roll();
}


static void
master_exited(slot_t *slot, int status)
{
    bool         failed;
    int64_t      now;
    const char  *reason;

    now = now_ms();
    failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;

    reason = WIFSIGNALED(status)
             ? log_fmt("killed by signal %d", WTERMSIG(status))
             : log_fmt("exited with %d", WEXITSTATUS(status));

    if (failed) {
        log_msg(LOG_ERR, "child failed", "queue", slot->queue,
                "child_pid", log_fmt("%d", (int) slot->pid),
                "reason", reason, NULL);
    }

    if (failed && now - slot->since < MASTER_YOUNG * 1000) {
        slot->throttle = slot->throttle ? slot->throttle * 2 : 1;

        if (slot->throttle > MASTER_THROTTLE_MAX) {
            slot->throttle = MASTER_THROTTLE_MAX;
        }

    } else {
        slot->throttle = 0;
    }

    slot->next = now + slot->throttle * 1000;
    master_slot_set(slot, SLOT_WAITING, reason);
}


static void
master_fork_waiting(void)
{
    int  i;

    for (i = 0; i < master_nslots; i++) {
        if (master_slots[i].state == SLOT_WAITING
            && master_slots[i].next <= now_ms())
        {
            master_fork(&master_slots[i]);
        }
    }
}


static void
master_fork(slot_t *slot)
{
    int    i, pipefd[2];
    pid_t  pid, master;

    master = getpid();
    slot->next = now_ms() + 1000;

    if (pipe2(pipefd, O_CLOEXEC) == -1) {
        log_msg(LOG_ERR, "pipe failed", "reason", strerror(errno), NULL);
        return;
    }

    pid = fork();

    if (pid == -1) {
        log_msg(LOG_ERR, "fork failed", "reason", strerror(errno), NULL);
        close(pipefd[0]);
        close(pipefd[1]);
        return;
    }

    if (pid == 0) {
        close(pipefd[0]);

        for (i = 0; i < master_nslots; i++) {
            if (master_slots[i].ready_fd != -1) {
                close(master_slots[i].ready_fd);
            }
        }

        (void) unsetenv("NOTIFY_SOCKET");
        exit(child_main(slot->queue, pipefd[1], master));
    }

    close(pipefd[1]);

    slot->pid = pid;
    slot->ready_fd = pipefd[0];
    slot->since = now_ms();
    slot->roll = false;
    master_slot_set(slot, SLOT_STARTING, "forked");
}


static void
master_slot_set(slot_t *slot, slot_state_t state, const char *reason)
{
    static const char *const  names[] = {
        "waiting", "starting", "running", "stopping"
    };

    log_msg(LOG_INFO, "child state", "queue", slot->queue,
            "child_pid", log_fmt("%d", (int) slot->pid),
            "state", names[state], "reason", reason, NULL);

    slot->state = state;

    if (state == SLOT_WAITING) {
        slot->pid = 0;

        if (slot->ready_fd != -1) {
            close(slot->ready_fd);
            slot->ready_fd = -1;
        }
    }
}


/* a byte: it works; the end: it died before, which SIGCHLD tells as well */

static void
master_ready(slot_t *slot)
{
    char     byte;
    ssize_t  n;

    n = read(slot->ready_fd, &byte, 1);
    close(slot->ready_fd);
    slot->ready_fd = -1;

    if (n == 1 && slot->state == SLOT_STARTING) {
        master_slot_set(slot, SLOT_RUNNING, "ready");
        master_roll();
    }

    if (!master_notified && !master_stopping && master_all(SLOT_RUNNING)) {
        log_msg(LOG_NOTICE, "ready", NULL);
        master_notify("READY=1");
        master_notified = true;
    }
}


static void
master_stop(const char *signal_name)
{
    int  i;

    if (master_stopping) {
        return;
    }

    log_msg(LOG_NOTICE, "stopping", "signal", signal_name, NULL);
    master_notify("STOPPING=1");

    master_stopping = true;
    master_deadline = now_ms() + (int64_t) conf.stop_timeout * 1000;

    for (i = 0; i < master_nslots; i++) {
        if (master_slots[i].pid > 0) {
            (void) kill(master_slots[i].pid, SIGTERM);
            master_slot_set(&master_slots[i], SLOT_STOPPING, "drain");
        }
    }
}


static void
master_kill_late(void)
{
    int  i;

    if (!master_stopping || now_ms() < master_deadline) {
        return;
    }

    for (i = 0; i < master_nslots; i++) {
        if (master_slots[i].pid > 0) {
            log_msg(LOG_ERR, "child killed", "queue", master_slots[i].queue,
                    "reason", "did not finish in time", NULL);
            (void) kill(master_slots[i].pid, SIGKILL);
        }
    }

    master_deadline = now_ms() + 1000;
}


static void
master_reload(void)
{
    int              i;
    struct timespec  ts;

    if (master_stopping) {
        return;
    }

    clock_gettime(CLOCK_MONOTONIC, &ts);
    master_notify(log_fmt("RELOADING=1\nMONOTONIC_USEC=%lld",
                          (long long) ts.tv_sec * 1000000
                          + ts.tv_nsec / 1000));

    if (conf_load() == 0) {
        log_msg(LOG_NOTICE, "configuration reloaded", NULL);
        (void) log_open();

        for (i = 0; i < master_nslots; i++) {
            master_slots[i].roll = (master_slots[i].pid > 0);
        }

        master_roll();
    }

    master_notify("READY=1");
}


/* replaces one child at a time: the next when all others run again */

static void
master_roll(void)
{
    int  i;

    if (master_stopping) {
        return;
    }

    for (i = 0; i < master_nslots; i++) {
        if (!master_slots[i].roll && master_slots[i].state != SLOT_RUNNING) {
            return;
        }

        if (master_slots[i].state == SLOT_STOPPING) {
            return;
        }
    }

    for (i = 0; i < master_nslots; i++) {
        if (master_slots[i].roll && master_slots[i].pid > 0) {
            (void) kill(master_slots[i].pid, SIGTERM);
            master_slot_set(&master_slots[i], SLOT_STOPPING, "reload");
            return;
        }
    }
}


static void
master_reopen(void)
{
    int  i;

    (void) log_open();

    for (i = 0; i < master_nslots; i++) {
        if (master_slots[i].pid > 0) {
            (void) kill(master_slots[i].pid, SIGUSR1);
        }
    }
}


static bool
master_all(slot_state_t state)
{
    int  i;

    for (i = 0; i < master_nslots; i++) {
        if (master_slots[i].state != state) {
            return false;
        }
    }

    return true;
}


/* sd_notify(3) */

static void
master_notify(const char *text)
{
    int                  fd;
    size_t               len;
    const char          *path;
    struct sockaddr_un   sa;

    path = getenv("NOTIFY_SOCKET");

    if (path == NULL || (path[0] != '/' && path[0] != '@')
        || strlen(path) >= sizeof(sa.sun_path))
    {
        return;
    }

    memset(&sa, 0, sizeof(sa));
    sa.sun_family = AF_UNIX;
    len = strlen(path);
    memcpy(sa.sun_path, path, len);

    if (path[0] == '@') {
        sa.sun_path[0] = '\0';
    }

    fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return;
    }

    (void) sendto(fd, text, strlen(text), MSG_NOSIGNAL,
                  (struct sockaddr *) &sa,
                  offsetof(struct sockaddr_un, sun_path) + len);
    close(fd);
}
