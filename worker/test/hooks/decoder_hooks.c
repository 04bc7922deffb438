/*
 * Copyright (C) ngx_media contributors
 *
 * A decoder that files take over: what the first line of a file names is
 * done.  Only the media-decode of build/test/hostile has this.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "decoder.h"
#include "decoder_hooks.h"


typedef struct {
    const char  *name;
    void       (*run)(int out, decoder_answer_t *ans);
} hook_t;


static void
hook_loop(int out, decoder_answer_t *ans)
{
    volatile int  i;

    (void) out;
    (void) ans;

    for (i = 0; i < 2; i = 1) {
        /* void */
    }
}


static void
hook_hang(int out, decoder_answer_t *ans)
{
    (void) out;
    (void) ans;

    for ( ;; ) {
        poll(NULL, 0, -1);
    }
}


/* as libraries do when there is none left */
static void
hook_memory(int out, decoder_answer_t *ans)
{
    int    n;
    char  *p;

    (void) out;

    for (n = 0; n < 1536; n++) {
        p = malloc(1024 * 1024);

        if (p == NULL) {
            abort();
        }

        memset(p, 1, 1024 * 1024);
    }

    decoder_fail(ans, DECODER_REFUSED, "%d MiB", n);
}


static void
hook_fork(int out, decoder_answer_t *ans)
{
    (void) out;
    decoder_fail(ans, DECODER_REFUSED, "forked %d", (int) fork());
}


static void
hook_exec(int out, decoder_answer_t *ans)
{
    (void) out;
    execl("/bin/sh", "sh", "-c", "exit 0", (char *) NULL);
    decoder_fail(ans, DECODER_REFUSED, "exec: %s", strerror(errno));
}


static void
hook_socket(int out, decoder_answer_t *ans)
{
    (void) out;
    decoder_fail(ans, DECODER_REFUSED, "socket %d",
                 socket(AF_INET, SOCK_STREAM, 0));
}


static void
hook_unix(int out, decoder_answer_t *ans)
{
    (void) out;
    decoder_fail(ans, DECODER_REFUSED, "socket %d",
                 socket(AF_UNIX, SOCK_STREAM, 0));
}


static void
hook_read(const char *path, decoder_answer_t *ans)
{
    int      fd;
    char     text[100];
    ssize_t  n;

    fd = open(path, O_RDONLY);

    if (fd == -1) {
        decoder_fail(ans, DECODER_REFUSED, "stopped: %s", strerror(errno));
        return;
    }

    n = read(fd, text, sizeof(text));
    decoder_fail(ans, DECODER_REFUSED, "read: %.*s", n < 0 ? 0 : (int) n,
                 text);
}


static void
hook_passwd(int out, decoder_answer_t *ans)
{
    (void) out;
    hook_read("/etc/passwd", ans);
}


/* of another process, as the worker is, that knows all secrets */
static void
hook_environ(int out, decoder_answer_t *ans)
{
    (void) out;
    hook_read("/proc/1/environ", ans);
}


static void
hook_write(int out, decoder_answer_t *ans)
{
    int  fd;

    (void) out;
    fd = open("/tmp/ngx-media-hostile", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    decoder_fail(ans, DECODER_REFUSED, fd == -1 ? "stopped: %s" : "written",
                 strerror(errno));
}


static void
hook_unlink(int out, decoder_answer_t *ans)
{
    (void) out;
    decoder_fail(ans, DECODER_REFUSED,
                 unlink("/tmp/ngx-media-none") == -1 && errno == EACCES
                 ? "stopped: %s" : "unlink: %s", strerror(errno));
}


static void
hook_grow(int out, decoder_answer_t *ans)
{
    char  byte;

    byte = 0;
    decoder_fail(ans, DECODER_REFUSED, "written %zd",
                 pwrite(out, &byte, 1, 1024 * 1024 * 1024));
}


static void
hook_kill(int out, decoder_answer_t *ans)
{
    (void) out;
    decoder_fail(ans, DECODER_REFUSED, "killed %d", kill(1, 0));
}


static void
hook_ptrace(int out, decoder_answer_t *ans)
{
    (void) out;
    decoder_fail(ans, DECODER_REFUSED, "traced %ld",
                 ptrace(PTRACE_SEIZE, 1, NULL, NULL));
}


static void
hook_code(int out, decoder_answer_t *ans)
{
    void  *p;

    (void) out;
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    decoder_fail(ans, DECODER_REFUSED, p == MAP_FAILED ? "stopped: %s"
                                                       : "mapped",
                 strerror(errno));
}


static void
hook_limits(int out, decoder_answer_t *ans)
{
    struct rlimit  limit;

    (void) out;
    limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
    decoder_fail(ans, DECODER_REFUSED, "limit %d",
                 setrlimit(RLIMIT_AS, &limit));
}


static void
hook_crash(int out, decoder_answer_t *ans)
{
    (void) out;
    (void) ans;
    __builtin_trap();
}


static void
hook_overrun(int out, decoder_answer_t *ans)
{
    size_t          size;
    volatile char  *p;

    (void) ans;
    size = out;
    p = calloc(1, size);
    p[size] = 1;
    free((void *) p);
}


static void
hook_overflow(int out, decoder_answer_t *ans)
{
    volatile int  i;

    (void) out;
    i = INT_MAX;
    decoder_fail(ans, DECODER_REFUSED, "%d", i + 1);
}


static void
hook_nonsense(int out, decoder_answer_t *ans)
{
    (void) out;
    memset(ans, 0xff, sizeof(decoder_answer_t));
}


/* more than there is */
static void
hook_size(int out, decoder_answer_t *ans)
{
    (void) out;
    ans->result.size = 1LL << 40;
}


static void
hook_long(int out, decoder_answer_t *ans)
{
    char  bytes[2 * sizeof(decoder_answer_t)];

    (void) out;
    (void) ans;
    memset(bytes, 0, sizeof(bytes));
    send(DECODER_FD, bytes, sizeof(bytes), 0);
}


/* an answer to the next file, too */
static void
hook_twice(int out, decoder_answer_t *ans)
{
    (void) out;
    decoder_fail(ans, DECODER_REFUSED, "twice");
    send(DECODER_FD, ans, sizeof(decoder_answer_t), 0);
}


static void
hook_descriptors(int out, decoder_answer_t *ans)
{
    int  n;

    for (n = 0; dup(out) != -1; n++) {
        /* void */
    }

    decoder_fail(ans, DECODER_REFUSED, "descriptors: %s",
                 n < 64 ? "stopped" : "many");
}


static const hook_t  hooks[] = {
    { "code",        hook_code        },
    { "crash",       hook_crash       },
    { "descriptors", hook_descriptors },
    { "environ",     hook_environ     },
    { "exec",        hook_exec        },
    { "fork",        hook_fork        },
    { "grow",        hook_grow        },
    { "hang",        hook_hang        },
    { "kill",        hook_kill        },
    { "limits",      hook_limits      },
    { "long",        hook_long        },
    { "loop",        hook_loop        },
    { "memory",      hook_memory      },
    { "nonsense",    hook_nonsense    },
    { "overflow",    hook_overflow    },
    { "overrun",     hook_overrun     },
    { "passwd",      hook_passwd      },
    { "ptrace",      hook_ptrace      },
    { "size",        hook_size        },
    { "socket",      hook_socket      },
    { "twice",       hook_twice       },
    { "unix",        hook_unix        },
    { "unlink",      hook_unlink      },
    { "write",       hook_write       },
    { NULL,          NULL             }
};


void
decoder_hook(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    char           text[64], *name;
    ssize_t        n;
    const hook_t  *hook;

    n = pread(in, text, sizeof(text) - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    name = strchr(text, ':');

    if (name == NULL
        || (strncmp(text, "hostile:", 8) != 0
            && strncmp(text, "always hostile:", 15) != 0)
        || (text[0] == 'h' && req->task == DECODER_SNIFF))
    {
        return;
    }

    for (hook = hooks; hook->name != NULL; hook++) {
        if (strcmp(hook->name, name + 2) == 0) {
            hook->run(out, ans);
        }
    }
}
