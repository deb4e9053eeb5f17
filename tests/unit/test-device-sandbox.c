/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-device-sandbox.c - the device's filter: each call it allows works in the whole sandbox, and
 * each that it does not allow kills the process
 *
 * A child that must die first makes an allowed call: a filter that kills at once cannot pass.  The
 * layers under the filter have a test of their own (test-device-layers.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/lib/sandboxed.h"

/* Made before the sandbox, as the device does. */
static int pair[2] = {-1, -1};
static int listening = -1;
static char *page; /* 2 pages, private */
static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    handled = number;
}

static void make_descriptors(void)
{
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_assert_cmpint(bind(listening, (struct sockaddr *)&any, sizeof(sa_family_t)), ==, 0);
    g_assert_cmpint(listen(listening, 1), ==, 0);
    page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(page != MAP_FAILED);
    signal(SIGUSR1, on_signal);
}

/* What is allowed. */

static bool do_messages(void)
{
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct mmsghdr several = {.msg_hdr = message};
    return sendmmsg(pair[0], &several, 1, MSG_NOSIGNAL) == 1 &&
           recvmmsg(pair[1], &several, 1, 0, NULL) == 1 &&
           sendmsg(pair[0], &message, MSG_NOSIGNAL) == 1 && recvmsg(pair[1], &message, 0) == 1 &&
           send(pair[0], &byte, 1, MSG_NOSIGNAL) == 1 && recv(pair[1], &byte, 1, 0) == 1 &&
           write(pair[0], &byte, 1) == 1 && read(pair[1], &byte, 1) == 1;
}

static bool do_poll(void)
{
    struct pollfd one = {.fd = pair[0], .events = POLLOUT};
    struct timespec none = {0};
    return syscall(SYS_poll, &one, 1, 0) == 1 && ppoll(&one, 1, &none, NULL) == 1;
}

static bool do_log(void)
{
    char byte = 'x';
    struct stat status;
    struct statfs fs;
    int fd = sandboxed.log_fd;
    return pwrite(fd, &byte, 1, 3) == 1 && pread(fd, &byte, 1, 3) == 1 && fdatasync(fd) == 0 &&
           ftruncate(fd, 2) == 0 && fstat(fd, &status) == 0 && status.st_size == 2 &&
           syscall(SYS_fstat, fd, &status) == 0 &&
           syscall(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH) == 0 && fstatfs(fd, &fs) == 0 &&
           lseek(fd, 0, SEEK_SET) == 0;
}

static bool do_again(void)
{
    char path[32];
    char text[8] = "";
    int memory = memfd_create("monatt-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int copy = fcntl(memory, F_DUPFD_CLOEXEC, 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
    int again = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", sandboxed.log_fd);
    int log = open(path, O_RDONLY | O_CLOEXEC);
    return memory >= 0 && copy >= 0 && again >= 0 && log >= 0 && pwrite(memory, "abc", 3, 0) == 3 &&
           pread(again, text, 3, 0) == 3 && strcmp(text, "abc") == 0 && write(again, "x", 1) < 0 &&
           errno == EBADF && write(log, "x", 1) < 0 && errno == EBADF &&
           fcntl(memory, F_GET_SEALS) == 0 && close(again) == 0;
}

static bool do_sockets(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t size = sizeof(peer);
    struct timeval limit = {.tv_sec = 2};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *folder = sandboxed.layers & SANDBOX_ROOT ? "/run" : sandboxed.own;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/tpm.sock", folder);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
           shutdown(fd, SHUT_RDWR) == 0 && accept4(listening, NULL, NULL, SOCK_CLOEXEC) < 0 &&
           errno == EAGAIN;
}

static bool do_memory(void)
{
    char *more = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, sandboxed.log_fd, 0);
    bool ok = more != MAP_FAILED && shared != MAP_FAILED && mprotect(more, 4096, PROT_NONE) == 0 &&
              mprotect(more, 4096, PROT_READ | PROT_WRITE) == 0 &&
              madvise(more, 4096, MADV_DONTNEED) == 0 && syscall(SYS_brk, 0) > 0;
    char *moved = mremap(more, 4096, 8192, MREMAP_MAYMOVE);
    return ok && moved != MAP_FAILED && munmap(moved, 8192) == 0;
}

static bool do_time(void)
{
    struct timespec now;
    struct timeval old;
    const struct timespec nap = {.tv_nsec = 1000};
    return syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) == 0 &&
           syscall(SYS_gettimeofday, &old, NULL) == 0 && syscall(SYS_time, NULL) > 0 &&
           syscall(SYS_nanosleep, &nap, NULL) == 0 &&
           syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL) == 0;
}

static bool do_self(void)
{
    cpu_set_t cpus;
    uint8_t bytes[16];
    return getpid() > 1 && syscall(SYS_gettid) == getpid() &&
           syscall(SYS_geteuid) == (long)sandboxed.user.uid && getrandom(bytes, 16, 0) == 16 &&
           sched_yield() == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0 &&
           syscall(SYS_futex, page, FUTEX_WAKE, 1, NULL, NULL, 0) == 0;
}

static bool do_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return pthread_sigmask(SIG_BLOCK, &set, NULL) == 0 &&
           syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1) == 0 && handled == SIGUSR1;
}

static const struct {
    const char *name;
    bool (*call)(void);
    const char *covers;
} permitted[] = {
    {"messages", do_messages, " sendmmsg recvmmsg sendmsg recvmsg sendto recvfrom read write "},
    {"poll", do_poll, " poll ppoll "},
    {"log", do_log, " pread64 pwrite64 fdatasync ftruncate fstat newfstatat fstatfs lseek "},
    {"open again", do_again, " openat memfd_create fcntl close "},
    {"sockets", do_sockets, " socket connect getsockopt setsockopt shutdown accept4 "},
    {"memory", do_memory, " mmap munmap mremap mprotect madvise brk "},
    {"time", do_time, " clock_gettime gettimeofday time nanosleep clock_nanosleep "},
    {"self", do_self, " getpid gettid geteuid getrandom sched_yield sched_getaffinity futex "},
    {"signals", do_signals, " rt_sigprocmask rt_sigreturn tgkill "},
    /* Each child ends by one, the thread of test_threads by the other. */
    {"end", NULL, " exit_group exit "},
    /* The kernel's own after a stop; what a thread's start and a sanitizer need. */
    {"others", NULL, " restart_syscall rseq set_robust_list sigaltstack ioctl readlink "},
};

/* What is not. */

static void mmap_code(void)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)code;
}

static void use_32_bit_call(void)
{
#ifdef __x86_64__
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "cc"); /* getpid */
#else
    syscall(SYS_setsid);
#endif
}

static void use_x32_call(void)
{
    syscall(0x40000000 | SYS_setsid);
}

static void open_newer(void)
{
    struct open_how how = {.flags = O_RDONLY};
    syscall(SYS_openat2, AT_FDCWD, "/run", &how, sizeof(how));
}

#define FORBIDDEN(name, ...)                                                                       \
    {                                                                                              \
        name, NULL,                                                                                \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define PATH ((long)"/run/x")

static const struct {
    const char *name;
    void (*call)(void);
    long arguments[7]; /* number, arguments */
} forbidden[] = {
    /* Files. */
    FORBIDDEN("open-for-writing", SYS_openat, AT_FDCWD, PATH, O_WRONLY),
    FORBIDDEN("open-for-both", SYS_openat, AT_FDCWD, PATH, O_RDWR),
    FORBIDDEN("open-to-make", SYS_openat, AT_FDCWD, PATH, O_RDONLY | O_CREAT, 0600),
    FORBIDDEN("open-to-cut", SYS_openat, AT_FDCWD, PATH, O_RDONLY | O_TRUNC),
    FORBIDDEN("open-to-append", SYS_openat, AT_FDCWD, PATH, O_RDONLY | O_APPEND),
    FORBIDDEN("open-a-folder", SYS_openat, AT_FDCWD, PATH, O_RDONLY | O_DIRECTORY),
    FORBIDDEN("open-a-path", SYS_openat, AT_FDCWD, PATH, O_PATH),
    FORBIDDEN("open-a-temporary", SYS_openat, AT_FDCWD, PATH, O_TMPFILE | O_RDWR, 0600),
    FORBIDDEN("old-open", SYS_open, PATH, O_RDONLY),
    FORBIDDEN("old-creat", SYS_creat, PATH, 0600),
    {"openat2", open_newer, {0}},
    FORBIDDEN("open-by-handle", SYS_open_by_handle_at, AT_FDCWD, 0, 0),
    FORBIDDEN("name-to-handle", SYS_name_to_handle_at, AT_FDCWD, PATH, 0, 0, 0),
    FORBIDDEN("unlink", SYS_unlink, PATH),
    FORBIDDEN("unlinkat", SYS_unlinkat, AT_FDCWD, PATH, 0),
    FORBIDDEN("rmdir", SYS_rmdir, PATH),
    FORBIDDEN("mkdir", SYS_mkdir, PATH, 0700),
    FORBIDDEN("rename", SYS_rename, PATH, PATH),
    FORBIDDEN("link", SYS_link, PATH, PATH),
    FORBIDDEN("symlink", SYS_symlink, PATH, PATH),
    FORBIDDEN("mknod", SYS_mknod, PATH, 0600, 0),
    FORBIDDEN("chmod", SYS_chmod, PATH, 0777),
    FORBIDDEN("fchmod", SYS_fchmod, 0, 0777),
    FORBIDDEN("chown", SYS_chown, PATH, 0, 0),
    FORBIDDEN("truncate", SYS_truncate, PATH, 0),
    FORBIDDEN("getdents", SYS_getdents64, 0, 0, 0),
    FORBIDDEN("chdir", SYS_chdir, PATH),
    FORBIDDEN("chroot", SYS_chroot, PATH),
    FORBIDDEN("inotify", SYS_inotify_init1, 0),
    FORBIDDEN("fanotify", SYS_fanotify_init, 0, 0),
    /* Programs and processes. */
    FORBIDDEN("execve", SYS_execve, (long)"/bin/true", 0, 0),
    FORBIDDEN("execveat", SYS_execveat, 0, (long)"", 0, 0, AT_EMPTY_PATH),
    FORBIDDEN("fork", SYS_fork),
    FORBIDDEN("vfork", SYS_vfork),
    FORBIDDEN("clone", SYS_clone, SIGCHLD),
    FORBIDDEN("clone-a-thread", SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND),
    FORBIDDEN("clone3", SYS_clone3, 0, 0),
    FORBIDDEN("kill-another", SYS_kill, 1, 0),
    FORBIDDEN("kill-itself", SYS_kill, 0, 0),
    FORBIDDEN("tkill", SYS_tkill, 1, 0),
    FORBIDDEN("tgkill-another", SYS_tgkill, 1, 1, 0),
    FORBIDDEN("queue-a-signal", SYS_rt_sigqueueinfo, 1, SIGUSR1, 0),
    FORBIDDEN("pidfd-open", SYS_pidfd_open, 1, 0),
    FORBIDDEN("pidfd-signal", SYS_pidfd_send_signal, 0, 0, 0, 0),
    FORBIDDEN("pidfd-getfd", SYS_pidfd_getfd, 0, 0, 0),
    FORBIDDEN("ptrace", SYS_ptrace, PTRACE_ATTACH, 1, 0, 0),
    FORBIDDEN("read-another", SYS_process_vm_readv, 1, 0, 0, 0, 0, 0),
    FORBIDDEN("write-another", SYS_process_vm_writev, 1, 0, 0, 0, 0, 0),
    FORBIDDEN("process-madvise", SYS_process_madvise, 0, 0, 0, 0, 0),
    FORBIDDEN("kcmp", SYS_kcmp, 1, 1, 0, 0, 0),
    FORBIDDEN("wait", SYS_wait4, -1, 0, WNOHANG, 0),
    FORBIDDEN("setsid", SYS_setsid),
    FORBIDDEN("setpgid", SYS_setpgid, 0, 0),
    FORBIDDEN("setpriority", SYS_setpriority, PRIO_PROCESS, 0, 5),
    FORBIDDEN("scheduler", SYS_sched_setscheduler, 0, 0, 0),
    FORBIDDEN("affinity", SYS_sched_setaffinity, 0, 0, 0),
    FORBIDDEN("new-handler", SYS_rt_sigaction, SIGSYS, 0, 0, 8),
    FORBIDDEN("timer", SYS_timer_create, CLOCK_MONOTONIC, 0, 0),
    FORBIDDEN("alarm", SYS_alarm, 1),
    /* Memory that can be executed, and large surfaces. */
    {"map-code", mmap_code, {0}},
    FORBIDDEN("make-code", SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC),
    FORBIDDEN("make-code-by-key", SYS_pkey_mprotect, 0, 4096, PROT_EXEC, -1),
    FORBIDDEN("memfd-secret", SYS_memfd_secret, 0),
    FORBIDDEN("mlock", SYS_mlock, 0, 4096),
    FORBIDDEN("userfaultfd", SYS_userfaultfd, 0),
    FORBIDDEN("perf", SYS_perf_event_open, 0, 0, 0, 0, 0),
    FORBIDDEN("bpf", SYS_bpf, 0, 0, 0),
    FORBIDDEN("io-uring", SYS_io_uring_setup, 1, 0),
    FORBIDDEN("aio", SYS_io_setup, 1, 0),
    FORBIDDEN("keyctl", SYS_keyctl, 0, 0, 0, 0, 0),
    FORBIDDEN("add-key", SYS_add_key, 0, 0, 0, 0, 0),
    FORBIDDEN("request-key", SYS_request_key, 0, 0, 0, 0),
    FORBIDDEN("splice", SYS_splice, 0, 0, 0, 0, 0, 0),
    FORBIDDEN("vmsplice", SYS_vmsplice, 0, 0, 0, 0),
    FORBIDDEN("sendfile", SYS_sendfile, 0, 0, 0, 0),
    FORBIDDEN("pipe", SYS_pipe2, 0, 0),
    FORBIDDEN("epoll", SYS_epoll_create1, 0),
    FORBIDDEN("seccomp", SYS_seccomp, 0, 0, 0),
    FORBIDDEN("landlock", SYS_landlock_create_ruleset, 0, 0, 0),
    /* Sockets. */
    FORBIDDEN("socket-ip", SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
    FORBIDDEN("socket-ip6", SYS_socket, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0),
    FORBIDDEN("socket-netlink", SYS_socket, AF_NETLINK, SOCK_RAW, 0),
    FORBIDDEN("socket-packet", SYS_socket, AF_PACKET, SOCK_RAW, 0),
    FORBIDDEN("socket-vsock", SYS_socket, AF_VSOCK, SOCK_STREAM, 0),
    FORBIDDEN("socket-crypto", SYS_socket, AF_ALG, SOCK_SEQPACKET, 0),
    FORBIDDEN("socket-datagram", SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
    FORBIDDEN("socketpair", SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 0),
    FORBIDDEN("bind", SYS_bind, 0, 0, 0),
    FORBIDDEN("listen", SYS_listen, 0, 1),
    FORBIDDEN("option-set", SYS_setsockopt, 0, SOL_SOCKET, SO_REUSEADDR, 0, 0),
    FORBIDDEN("option-of-ip", SYS_setsockopt, 0, IPPROTO_IP, SO_SNDTIMEO, 0, 0),
    FORBIDDEN("option-got", SYS_getsockopt, 0, SOL_SOCKET, SO_ERROR, 0, 0),
/* Calls with a command, and duplicates that would lose close-on-exec. */
#if !SANDBOX_SANITIZER
    FORBIDDEN("ioctl", SYS_ioctl, 0, TIOCSTI, 0),
#endif
    FORBIDDEN("fcntl-flags", SYS_fcntl, 0, F_SETFL, O_ASYNC),
    FORBIDDEN("fcntl-owner", SYS_fcntl, 0, F_SETOWN, 1),
    FORBIDDEN("fcntl-seals", SYS_fcntl, 0, F_ADD_SEALS, 0),
    FORBIDDEN("prctl", SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0),
    FORBIDDEN("arch-prctl", SYS_arch_prctl, 0x1002, 0),
    FORBIDDEN("dup2", SYS_dup2, 0, 9),
    FORBIDDEN("dup3", SYS_dup3, 0, 9, 0),
    /* Users, limits, namespaces, the host. */
    FORBIDDEN("setuid", SYS_setuid, 0),
    FORBIDDEN("setresuid", SYS_setresuid, 0, 0, 0),
    FORBIDDEN("setgroups", SYS_setgroups, 0, 0),
    FORBIDDEN("capset", SYS_capset, 0, 0),
    FORBIDDEN("limits", SYS_prlimit64, 0, RLIMIT_NOFILE, 0, 0),
    FORBIDDEN("personality", SYS_personality, 0x0040000),
    FORBIDDEN("unshare", SYS_unshare, CLONE_NEWUSER),
    FORBIDDEN("setns", SYS_setns, 0, 0),
    FORBIDDEN("mount", SYS_mount, 0, PATH, 0, 0, 0),
    FORBIDDEN("umount", SYS_umount2, PATH, 0),
    FORBIDDEN("pivot-root", SYS_pivot_root, PATH, PATH),
    FORBIDDEN("move-mount", SYS_move_mount, 0, 0, 0, 0, 0),
    FORBIDDEN("open-tree", SYS_open_tree, AT_FDCWD, PATH, 0),
    FORBIDDEN("fsopen", SYS_fsopen, (long)"tmpfs", 0),
    FORBIDDEN("host-name", SYS_sethostname, PATH, 1),
    FORBIDDEN("clock", SYS_clock_settime, 0, 0),
    FORBIDDEN("clock-adjust", SYS_adjtimex, 0),
    FORBIDDEN("ports", SYS_iopl, 3),
    FORBIDDEN("module", SYS_finit_module, 0, 0, 0),
    FORBIDDEN("kexec", SYS_kexec_load, 0, 0, 0, 0),
    FORBIDDEN("reboot", SYS_reboot, 0, 0, 0, 0),
    FORBIDDEN("kernel-log", SYS_syslog, 2, 0, 0),
    FORBIDDEN("shared-memory", SYS_shmget, 1, 4096, 0),
    FORBIDDEN("message-queue", SYS_msgget, 1, 0),
    FORBIDDEN("semaphores", SYS_semget, 1, 1, 0),
    FORBIDDEN("posix-queue", SYS_mq_open, (long)"/x", O_RDONLY, 0, 0),
    FORBIDDEN("no-such-call", 511),
    {"call-of-32-bit-programs", use_32_bit_call, {0}},
    {"call-of-x32-programs", use_x32_call, {0}},
};

static int do_permitted(const void *argument)
{
    size_t at = GPOINTER_TO_SIZE(argument);
    return (sandboxed.layers & SANDBOX_SECCOMP) && permitted[at].call() ? 0 : 1;
}

static int do_forbidden(const void *argument)
{
    size_t at = GPOINTER_TO_SIZE(argument);
    const long *a = forbidden[at].arguments;
    if (!do_messages()) {
        return 2;
    }
    if (forbidden[at].call) {
        forbidden[at].call();
    } else {
        syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    }
    return 3;
}

static void test_permits(gconstpointer argument)
{
    sandboxed_check(SANDBOXED_ALL, do_permitted, argument);
}

static void test_kills(gconstpointer argument)
{
    int status = sandboxed_run(SANDBOXED_ALL, do_forbidden, argument);
    if (!WIFSIGNALED(status)) {
        g_test_message("exit status %d", WEXITSTATUS(status));
    }
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
}

/* No call in the product's tables without a case that makes it. */
static void test_complete(void)
{
    const char *name;
    size_t count = 0;
    while ((name = sandbox_allowed_call(count))) {
        g_autofree char *word = g_strdup_printf(" %s ", name);
        bool covered = false;
        for (size_t i = 0; i < G_N_ELEMENTS(permitted); i++) {
            covered = covered || strstr(permitted[i].covers, word);
        }
        if (!covered) {
            g_test_message("%s: allowed, and no case makes it", name);
        }
        g_assert_true(covered);
        count++;
    }
    g_assert_cmpuint(count, >, 40);
}

static pthread_barrier_t barrier;

static void *forbidden_in_thread(void *argument)
{
    void (*call)(void) = argument;
    pthread_barrier_wait(&barrier);
    if (call) {
        call();
    }
    return NULL;
}

static void use_any_call(void)
{
    syscall(SYS_setsid);
}

/* The filter is on threads that were there before it, and kills the process for any of them. */
static int with_thread(const void *argument)
{
    MonattError err = {0};
    pthread_t thread;
    void *forbid = !argument
                       ? NULL
                       : (void *)(*(const char *)argument == '3' ? use_32_bit_call : use_any_call);
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, forbidden_in_thread, forbid) != 0 ||
        !sandbox_before_guest(&sandboxed.layers, &err)) {
        return 2;
    }
    pthread_barrier_wait(&barrier);
    return pthread_join(thread, NULL) == 0 ? 0 : 3;
}

static void test_threads(void)
{
    sandboxed_check(SANDBOXED_THREADS, with_thread, NULL);
    static const char *const calls[] = {"any", "32 bit"};
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        int status = sandboxed_run(SANDBOXED_THREADS, with_thread, calls[i]);
        g_assert_true(WIFSIGNALED(status));
        g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
    }
}

static int abort_inside(const void *argument)
{
    abort();
}

/* A crash is a crash: the service restarts after one, not after what the filter killed. */
static void test_abort(void)
{
    int status = sandboxed_run(SANDBOXED_ALL, abort_inside, NULL);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGABRT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    sandboxed_set_up();
    make_descriptors();
    g_test_add_func("/device-sandbox/complete", test_complete);
    g_test_add_func("/device-sandbox/threads", test_threads);
    g_test_add_func("/device-sandbox/abort", test_abort);
    for (size_t i = 0; i < G_N_ELEMENTS(permitted); i++) {
        g_autofree char *path = g_strdup_printf("/device-sandbox/permits/%s", permitted[i].name);
        g_strdelimit(path, " ", '-');
        if (permitted[i].call) {
            g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_permits);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(forbidden); i++) {
        g_autofree char *path = g_strdup_printf("/device-sandbox/kills/%s", forbidden[i].name);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_kills);
    }
    int result = g_test_run();
    sandboxed_tear_down();
    return result;
}
