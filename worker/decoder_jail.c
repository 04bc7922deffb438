/*
 * Copyright (C) ngx_media contributors
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include "decoder_jail.h"


/*
 * The jail of the decoder process: limits, no capabilities, a Landlock domain
 * and a seccomp filter.  Whoever gets to run code in here has the descriptors
 * of one file and its result, and the socket to the child that waits for an
 * answer.
 *
 * Calls that a library may try in good faith, as opening a file, are refused;
 * those that it has no reason for, as a socket, end the process (SIGSYS).
 *
 * AddressSanitizer reserves terabytes of address space and, to report, reads
 * files and starts programs: there are neither filter nor domain with it.
 */


#define DECODER_MEMORY     (1024UL * 1024 * 1024)   /* address space */
#define DECODER_FILES_MAX  64

/* access rights and the structure of Landlock's ABI 6, which headers of older
   kernels do not have; the kernel takes what it knows */
#define DECODER_FS_RIGHTS    13             /* of ABI 1, by their bits */
#define DECODER_FS_REFER     (1ULL << 13)   /* ABI 2 */
#define DECODER_FS_TRUNCATE  (1ULL << 14)   /* ABI 3 */
#define DECODER_FS_IOCTL     (1ULL << 15)   /* ABI 5 */
#define DECODER_NET_TCP      3ULL           /* bind and connect; ABI 4 */
#define DECODER_SCOPES       3ULL           /* abstract sockets and signals;
                                               ABI 6 */

typedef struct {
    uint64_t  fs;
    uint64_t  net;
    uint64_t  scoped;
} decoder_ruleset_t;


static void decoder_jail_try(decoder_hello_t *hello);

#ifndef __SANITIZE_ADDRESS__

static void decoder_capabilities(void);
static bool decoder_signals(void);
static void decoder_landlock(void);
static void decoder_landlock_allow(int ruleset, const char *path);
static bool decoder_seccomp(bool opens);
static bool decoder_seccomp_export(scmp_filter_ctx filter);
static bool decoder_seccomp_calls(scmp_filter_ctx filter);
static bool decoder_seccomp_memory(scmp_filter_ctx filter);
static bool decoder_seccomp_files(scmp_filter_ctx filter, bool opens);
static bool decoder_seccomp_rest(scmp_filter_ctx filter);

#endif


#ifndef __SANITIZE_ADDRESS__

/* fonts and character maps for what a document does not bring along */
static const char *const  decoder_paths[] = {
    "/etc/fonts", "/usr/share/fonts", "/usr/share/fontconfig",
    "/usr/share/poppler", "/var/cache/fontconfig", NULL
};

static const int  decoder_calls[] = {
    SCMP_SYS(brk), SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(dup),
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fadvise64),
    SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(fstat64),
    SCMP_SYS(fstatfs), SCMP_SYS(ftruncate), SCMP_SYS(futex),
    SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
    SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid),
    SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(mremap),
    SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list),
    SCMP_SYS(sigaltstack), SCMP_SYS(sysinfo), SCMP_SYS(time),
    SCMP_SYS(times), SCMP_SYS(uname), SCMP_SYS(write), SCMP_SYS(writev)
};

/* what a library may try, and does without */
static const int  decoder_refused[] = {
    SCMP_SYS(eventfd2), SCMP_SYS(getcwd), SCMP_SYS(ioctl),
    SCMP_SYS(memfd_create), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
    SCMP_SYS(prctl), SCMP_SYS(rename), SCMP_SYS(renameat),
    SCMP_SYS(renameat2), SCMP_SYS(rmdir), SCMP_SYS(sched_setaffinity),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat)
};

/* of names, which fontconfig looks up; without Landlock refused */
static const int  decoder_names[] = {
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(getdents64), SCMP_SYS(lstat), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(stat), SCMP_SYS(statx)
};

static int                decoder_abi;
static int                decoder_ruleset = -1;
static struct sock_fprog  decoder_filter;

#define DECODER_COUNT(a)  (sizeof(a) / sizeof(a[0]))

#endif


void
decoder_jail_limits(void)
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

#ifndef __SANITIZE_ADDRESS__
    limit.rlim_cur = limit.rlim_max = DECODER_MEMORY;
    setrlimit(RLIMIT_AS, &limit);
#endif
}


void
decoder_jail_build(void)
{
    struct rlimit  limit;

    /* a decoder may have set it for itself */
    if (getrlimit(RLIMIT_CPU, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_CPU, &limit);
    }

#ifndef __SANITIZE_ADDRESS__
    decoder_landlock();
    (void) decoder_seccomp(decoder_ruleset != -1);
#endif
}


void
decoder_jail_shut(int seconds, decoder_hello_t *hello)
{
    struct rlimit  limit;

    memset(hello, 0, sizeof(decoder_hello_t));

    limit.rlim_cur = seconds;
    limit.rlim_max = seconds + 1;
    setrlimit(RLIMIT_CPU, &limit);

#ifndef __SANITIZE_ADDRESS__
    decoder_capabilities();

    if (decoder_ruleset != -1
        && syscall(SYS_landlock_restrict_self, decoder_ruleset, 0) == 0)
    {
        hello->landlock = decoder_abi;
    }

    hello->seccomp = decoder_signals()
                     && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
                                &decoder_filter) == 0;
    hello->memory = DECODER_MEMORY;

    /* threads count as processes; the filter tells them apart */
    if (!hello->seccomp) {
        limit.rlim_cur = limit.rlim_max = 0;
        setrlimit(RLIMIT_NPROC, &limit);
    }
#endif

    decoder_jail_try(hello);
}


/* whether the door is shut */
static void
decoder_jail_try(decoder_hello_t *hello)
{
    int  fd;

    fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    hello->files = fd != -1;

    if (fd != -1) {
        close(fd);
    }
}


#ifndef __SANITIZE_ADDRESS__

/* root's, if the worker runs as such: limits can be raised no more */
static void
decoder_capabilities(void)
{
    struct __user_cap_data_struct    none[2];
    struct __user_cap_header_struct  head;

    head.version = _LINUX_CAPABILITY_VERSION_3;
    head.pid = 0;
    memset(none, 0, sizeof(none));
    (void) syscall(SYS_capset, &head, none);
}


/* to this process only, whose number no filter made before has */
static bool
decoder_signals(void)
{
    struct sock_fprog   program;
    struct sock_filter  filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, getpid(), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
    };

    program.len = DECODER_COUNT(filter);
    program.filter = filter;

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}


/* nothing if the kernel has none or has it switched off */
static void
decoder_landlock(void)
{
    int                abi, i;
    decoder_ruleset_t  rules;

    abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
                  LANDLOCK_CREATE_RULESET_VERSION);

    if (abi <= 0) {
        return;
    }

    memset(&rules, 0, sizeof(decoder_ruleset_t));
    rules.fs = (1ULL << DECODER_FS_RIGHTS) - 1;
    rules.fs |= abi >= 2 ? DECODER_FS_REFER : 0;
    rules.fs |= abi >= 3 ? DECODER_FS_TRUNCATE : 0;
    rules.fs |= abi >= 5 ? DECODER_FS_IOCTL : 0;
    rules.net = abi >= 4 ? DECODER_NET_TCP : 0;
    rules.scoped = abi >= 6 ? DECODER_SCOPES : 0;

    decoder_abi = abi;
    decoder_ruleset = syscall(SYS_landlock_create_ruleset, &rules,
                              sizeof(rules), 0);

    for (i = 0; decoder_ruleset != -1 && decoder_paths[i] != NULL; i++) {
        decoder_landlock_allow(decoder_ruleset, decoder_paths[i]);
    }
}


/* to be read; what is not there is left out */
static void
decoder_landlock_allow(int ruleset, const char *path)
{
    struct landlock_path_beneath_attr  rule;

    memset(&rule, 0, sizeof(rule));
    rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE
                          | LANDLOCK_ACCESS_FS_READ_DIR;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);

    if (rule.parent_fd != -1) {
        (void) syscall(SYS_landlock_add_rule, ruleset,
                       LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
        close(rule.parent_fd);
    }
}


/* opens: there is Landlock, that says what may be opened */
static bool
decoder_seccomp(bool opens)
{
    bool             ok;
    scmp_filter_ctx  filter;

    filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

    if (filter == NULL) {
        return false;
    }

    ok = decoder_seccomp_calls(filter) && decoder_seccomp_memory(filter)
         && decoder_seccomp_files(filter, opens)
         && decoder_seccomp_rest(filter)
         && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0
         && decoder_seccomp_export(filter);

    seccomp_release(filter);

    return ok;
}


/* made once: libseccomp needs milliseconds, which each file would wait */
static bool
decoder_seccomp_export(scmp_filter_ctx filter)
{
    int          fd;
    bool         ok;
    struct stat  st;

    fd = memfd_create("filter", MFD_CLOEXEC);

    if (fd == -1 || seccomp_export_bpf(filter, fd) != 0 || fstat(fd, &st) != 0)
    {
        return false;
    }

    decoder_filter.filter = malloc(st.st_size);
    ok = decoder_filter.filter != NULL
         && pread(fd, decoder_filter.filter, st.st_size, 0) == st.st_size;
    decoder_filter.len = ok ? st.st_size / sizeof(struct sock_filter) : 0;
    close(fd);

    return ok;
}


static bool
decoder_seccomp_calls(scmp_filter_ctx filter)
{
    size_t  i;

    for (i = 0; i < DECODER_COUNT(decoder_calls); i++) {
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, decoder_calls[i], 0)
            != 0)
        {
            return false;
        }
    }

    for (i = 0; i < DECODER_COUNT(decoder_refused); i++) {
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
                             decoder_refused[i], 0)
            != 0)
        {
            return false;
        }
    }

    return true;
}


/* no memory becomes code */
static bool
decoder_seccomp_memory(scmp_filter_ctx filter)
{
    size_t  i;

    static const int  calls[] = { SCMP_SYS(mmap), SCMP_SYS(mmap2),
                                  SCMP_SYS(mprotect) };

    for (i = 0; i < DECODER_COUNT(calls); i++) {
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0))
            != 0
            || seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), calls[i], 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC,
                                        PROT_EXEC))
            != 0)
        {
            return false;
        }
    }

    return true;
}


/* with Landlock, which says what may be opened, names may be asked about */
static bool
decoder_seccomp_files(scmp_filter_ctx filter, bool opens)
{
    size_t  i;

    static const int  writing[] = { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC };

    for (i = 0; i < DECODER_COUNT(decoder_names); i++) {
        if (seccomp_rule_add(filter, opens ? SCMP_ACT_ALLOW
                                           : SCMP_ACT_ERRNO(EACCES),
                             decoder_names[i], 0)
            != 0)
        {
            return false;
        }
    }

    if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                         SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH,
                                 AT_EMPTY_PATH))
        != 0
        || seccomp_rule_add(filter, opens ? SCMP_ACT_ALLOW
                                          : SCMP_ACT_ERRNO(EACCES),
                            SCMP_SYS(newfstatat), 1,
                            SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0))
           != 0)
    {
        return false;
    }

    if (!opens) {
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
                                SCMP_SYS(open), 0) == 0
               && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
                                   SCMP_SYS(openat), 0) == 0;
    }

    for (i = 0; i < DECODER_COUNT(writing); i++) {
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
                             SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, writing[i],
                                     writing[i]))
            != 0
            || seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
                                SCMP_SYS(open), 1,
                                SCMP_A1(SCMP_CMP_MASKED_EQ, writing[i],
                                        writing[i]))
               != 0)
        {
            return false;
        }
    }

    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT
                                                        | O_TRUNC, O_RDONLY))
           == 0
           && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                               SCMP_A1(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT
                                                           | O_TRUNC,
                                       O_RDONLY))
              == 0;
}


/* the socket, threads but no processes, limits, of which only that of CPU time
   is set */
static bool
decoder_seccomp_rest(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(recvmsg), 1,
                            SCMP_A0(SCMP_CMP_EQ, DECODER_FD)) == 0
           && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1,
                               SCMP_A0(SCMP_CMP_EQ, DECODER_FD)) == 0
           /* its flags are in memory: glibc then uses clone() */
           && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
                               SCMP_SYS(clone3), 0) == 0
           && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD,
                                       CLONE_THREAD)) == 0
           && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
                               SCMP_A0(SCMP_CMP_EQ, 0),
                               SCMP_A2(SCMP_CMP_EQ, 0)) == 0
           && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
                               SCMP_A0(SCMP_CMP_EQ, 0),
                               SCMP_A1(SCMP_CMP_EQ, RLIMIT_CPU)) == 0
           /* abort(); decoder_signals() says of which process */
           && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                               SCMP_A2(SCMP_CMP_EQ, SIGABRT)) == 0;
}

#endif
