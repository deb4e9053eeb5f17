/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-device-layers.c - the layers under the device's filter, each by itself: user, root and
 * namespaces, landlock, capabilities and limits
 *
 * Without the filter, which would hide what they refuse; and each refusal has the error that only
 * its layer gives.  What the kernel lacks is skipped by name.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/lib/sandboxed.h"

/* In a child: says what was seen, since it cannot assert. */
static bool expect(long result, int wanted_errno, const char *what)
{
    int seen = result < 0 ? errno : 0;
    if (seen != wanted_errno) {
        fprintf(stderr, "# %s: %s, wanted %s\n", what, strerrorname_np(seen),
                strerrorname_np(wanted_errno));
    }
    return seen == wanted_errno;
}

static bool holds(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "# does not hold: %s\n", what);
    }
    return condition;
}

static int open_in(const char *folder, const char *name, int flags)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return open(path, flags | O_CLOEXEC, 0600);
}

/* The file behind a descriptor, opened anew. */
static int open_again(int fd, int flags)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

static int connect_abstract(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, name, strlen(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&address,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
}

static int connect_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static int connect_ip(void)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

/* The user alone: another VM's files and processes are out of reach, in every way there is. */
static int user_inside(const void *argument)
{
    char byte;
    struct iovec local = {&byte, 1};
    struct iovec remote = {(void *)&sandboxed, 1};
    if (!(sandboxed.layers & SANDBOX_USER)) {
        return SANDBOXED_SKIPPED;
    }
    uid_t real, effective, saved;
    bool ok =
        holds(getresuid(&real, &effective, &saved) == 0 && real == sandboxed.user.uid &&
                  effective == real && saved == real,
              "each user id is the VM's") &&
        holds(getgroups(0, NULL) == 0 && getegid() == sandboxed.user.gid, "no group but its own");
    ok = ok && expect(setresuid(0, 0, 0), EPERM, "back to root");
    ok =
        ok && expect(open_in(sandboxed.other, "secret", O_RDONLY), EACCES, "another VM's file") &&
        expect(open("/etc/shadow", O_RDONLY), EACCES, "/etc/shadow") &&
        expect(kill(sandboxed.sibling, 0), EPERM, "a signal to another VM's process") &&
        expect(kill(getppid(), 0), EPERM, "a signal to the service") &&
        expect(ptrace(PTRACE_ATTACH, sandboxed.sibling, 0, 0), EPERM, "trace") &&
        expect(process_vm_readv(sandboxed.sibling, &local, 1, &remote, 1, 0), EPERM, "read memory");
    /* What it needs is still there: its own. */
    ok =
        ok && expect(openat(sandboxed.run_fd, "log", O_RDWR), 0, "its log") &&
        expect(openat(sandboxed.run_fd, "new", O_RDWR | O_CREAT | O_EXCL, 0600), 0, "a new file") &&
        expect(unlinkat(sandboxed.run_fd, "new", 0), 0, "remove it");
    return ok ? 0 : 1;
}

/* The root alone: nothing of the host has a name. */
static int root_inside(const void *argument)
{
    if (!(sandboxed.layers & SANDBOX_ROOT)) {
        return SANDBOXED_SKIPPED;
    }
    bool ok = expect(fcntl(sandboxed.run_fd, F_GETFD), EBADF, "the host's folder is closed");
    ok = ok && expect(open("/etc/passwd", O_RDONLY), ENOENT, "/etc/passwd") &&
         expect(open("/dev/null", O_RDONLY), ENOENT, "/dev/null") &&
         expect(open("/proc/1/status", O_RDONLY), ENOENT, "another process in /proc") &&
         expect(open("/proc/self/mem", O_RDWR), ENOENT, "/proc/self/mem") &&
         expect(open("/proc/self/fd/../../mounts", O_RDONLY), ENOENT, "up from /proc") &&
         expect(open("/run/../etc/passwd", O_RDONLY), ENOENT, "up from /run") &&
         expect(open("../../../../etc/passwd", O_RDONLY), ENOENT, "up from here") &&
         expect(open_in(sandboxed.own, "log", O_RDONLY), ENOENT, "its own old path") &&
         expect(open_in(sandboxed.other, "secret", O_RDONLY), ENOENT, "another VM's file");
    ok = ok && expect(open("/run/new", O_RDWR | O_CREAT, 0600), EROFS, "a new file in /run") &&
         expect(open("/new", O_RDWR | O_CREAT, 0600), EROFS, "a new file in /") &&
         expect(open("/run/log", O_RDWR), EROFS, "write by path") &&
         expect(unlink("/run/tpm.sock"), EROFS, "remove a socket");
    ok = ok && expect(connect_ip(), ENETUNREACH, "the host's network, even 127.0.0.1") &&
         expect(connect_abstract(sandboxed.abstract), ECONNREFUSED, "the host's abstract socket") &&
         expect(shmget(sandboxed.shm_key, 4096, 0), ENOENT, "the host's shared memory");
    int memory = memfd_create("monatt-test", MFD_CLOEXEC);
    ok = ok && expect(connect_path("/run/tpm.sock"), 0, "its swtpm") &&
         expect(open("/run/log", O_RDONLY), 0, "read in /run") &&
         expect(open_again(sandboxed.log_fd, O_RDONLY), 0, "its log again") &&
         expect(open_again(memory, O_RDONLY), 0, "a memfd again");
    return ok ? 0 : 1;
}

static int landlock_inside(const void *argument)
{
    if (!(sandboxed.layers & SANDBOX_LANDLOCK)) {
        return SANDBOXED_SKIPPED;
    }
    int memory = memfd_create("monatt-test", MFD_CLOEXEC);
    bool ok =
        expect(open("/etc/passwd", O_RDONLY), EACCES, "/etc/passwd") &&
        expect(open("/", O_RDONLY | O_DIRECTORY), EACCES, "/") &&
        expect(openat(sandboxed.run_fd, "unnamed", O_RDONLY), EACCES, "a file of its own") &&
        expect(openat(sandboxed.run_fd, "new", O_RDWR | O_CREAT, 0600), EACCES, "a new file") &&
        expect(open_again(sandboxed.log_fd, O_RDWR), EACCES, "its log, for writing") &&
        expect(unlinkat(sandboxed.run_fd, "tpm.sock", 0), EACCES, "remove a socket") &&
        expect(mkdirat(sandboxed.run_fd, "new", 0700), EACCES, "a folder") &&
        expect(mount("none", "/tmp", "tmpfs", 0, NULL), EPERM, "mount");
    ok = ok && expect(open_again(sandboxed.log_fd, O_RDONLY), 0, "its log") &&
         expect(open_again(memory, O_RDWR), 0, "a memfd") &&
         expect(pwrite(sandboxed.log_fd, "x", 1, 0), 0, "write to what is open");
    /* Version 4: TCP; 6: abstract sockets and signals. */
    if (sandbox_landlock_version() >= 4) {
        ok = ok && expect(connect_ip(), EACCES, "TCP");
    }
    if (sandbox_landlock_version() >= 6) {
        ok = ok && expect(connect_abstract(sandboxed.abstract), EPERM, "abstract socket") &&
             expect(kill(getppid(), 0), EPERM, "a signal to the service");
    }
    return ok ? 0 : 1;
}

static bool status_has(const char *line)
{
    char text[4096] = "";
    return pread(sandboxed.status_fd, text, sizeof(text) - 1, 0) > 0 && strstr(text, line);
}

static void *capabilities_of_thread(void *argument)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{1, 1, 1}, {1, 1, 1}};
    bool *ok = argument;
    *ok = syscall(SYS_capget, &header, data) == 0 && !data[0].effective && !data[0].permitted &&
          !data[1].effective && !data[1].permitted && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    return NULL;
}

static bool limited(int resource, rlim_t value, const char *what)
{
    struct rlimit limits;
    return holds(getrlimit((__rlimit_resource_t)resource, &limits) == 0 &&
                     limits.rlim_max == value && limits.rlim_cur == value,
                 what);
}

static int rights_inside(const void *argument)
{
    pthread_t thread;
    bool bare = false;
    char byte = 'x';
    if (pthread_create(&thread, NULL, capabilities_of_thread, &bare) != 0 ||
        pthread_join(thread, NULL) != 0) {
        return 2;
    }
    bool ok = holds(bare, "a thread has no capability and gets no new one") &&
              holds(status_has("CapEff:\t0000000000000000") &&
                        status_has("CapPrm:\t0000000000000000") && status_has("NoNewPrivs:\t1"),
                    "nor has the process") &&
              holds(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0, "it cannot be dumped or traced");
    ok = ok && limited(RLIMIT_CORE, 0, "no core file") &&
         limited(RLIMIT_NOFILE, 256, "descriptors") &&
         limited(RLIMIT_MEMLOCK, 0, "locked memory") &&
         limited(RLIMIT_FSIZE, 1u << 30, "file size");
    ok = ok && expect(pwrite(sandboxed.log_fd, &byte, 1, 1l << 30), EFBIG, "a log without end");
#if !SANDBOX_SANITIZER
    void *much = mmap(NULL, 300u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ok = ok && expect(much == MAP_FAILED ? -1 : 0, ENOMEM, "memory without end");
#endif
    return ok ? 0 : 1;
}

/* An ordinary user's device: whatever the host allows, it keeps working, and says what it has. */
static int unprivileged_inside(const void *argument)
{
    uid_t self = geteuid();
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    char text[SANDBOX_TEXT_SIZE];
    char path[128];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int pair[2];
    bool rooted = sandboxed.layers & SANDBOX_ROOT;
    sandbox_layers_text(sandboxed.layers, text);
    fprintf(stderr, "# unprivileged: %s\n", text);
    snprintf(path, sizeof(path), "%s/tpm.sock", rooted ? "/run" : sandboxed.own);
    bool ok = holds(self != 0 && self == getuid() && self != 65534, "it is who it was") &&
              holds(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 &&
                        getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                        peer.uid == self,
                    "and knows its peers") &&
              expect(open_again(sandboxed.log_fd, O_RDONLY), 0, "its log again") &&
              holds(fd >= 0, "socket");
    if (rooted) {
        ok = ok && expect(open("/etc/passwd", O_RDONLY), ENOENT, "/etc/passwd") &&
             expect(open("/run/log", O_RDWR), EROFS, "write by path") &&
             holds(connect_ip() < 0, "no network") &&
             expect(mount("none", "/run", "tmpfs", 0, NULL), EPERM, "mount");
    } else if (sandboxed.layers & SANDBOX_LANDLOCK) {
        ok = ok && expect(open("/etc/passwd", O_RDONLY), EACCES, "/etc/passwd");
    }
    return ok && holds(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0, "not dumpable") ? 0 : 1;
}

static void test_unprivileged(void)
{
    int status = sandboxed_run_unprivileged(unprivileged_inside, NULL);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

typedef struct Case {
    SandboxedStage stage;
    int (*inside)(const void *);
} Case;

static void test_case(gconstpointer argument)
{
    const Case *one = argument;
    sandboxed_check(one->stage, one->inside, NULL);
}

/* swtpm's part of it. */
static void test_swtpm(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        MonattError err = {0};
        if (!sandbox_before_swtpm(&sandboxed.user, &err)) {
            _exit(2);
        }
        bool ok =
            holds(geteuid() == (sandboxed.user.change ? sandboxed.user.uid : geteuid()), "user") &&
            holds(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no new privileges") &&
            limited(RLIMIT_CORE, 0, "no core file") && limited(RLIMIT_NOFILE, 64, "descriptors");
        if (ok && sandboxed.user.change) {
            ok = expect(connect_ip(), ENETUNREACH, "network") &&
                 expect(setresuid(0, 0, 0), EPERM, "back to root") &&
                 expect(kill(sandboxed.sibling, 0), EPERM, "another VM's process");
        }
        _exit(ok ? 0 : 1);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void test_text(void)
{
    char text[SANDBOX_TEXT_SIZE];
    sandbox_layers_text(0, text);
    g_assert_cmpstr(text, ==, "nothing");
    sandbox_layers_text(SANDBOX_USER | SANDBOX_SECCOMP, text);
    g_assert_cmpstr(text, ==, "own user, seccomp");
    sandbox_layers_text(~0u, text);
    g_assert_cmpstr(text, ==, "own user, own root, no network, landlock, seccomp");
    /* The filter is what every supported kernel has. */
    g_assert_cmpuint(sandbox_probe() & SANDBOX_SECCOMP, ==, SANDBOX_SECCOMP);
}

int main(int argc, char **argv)
{
    static const Case user = {SANDBOXED_FILES, user_inside};
    static const Case root = {SANDBOXED_ROOT, root_inside};
    static const Case landlock = {SANDBOXED_LANDLOCK, landlock_inside};
    static const Case rights = {SANDBOXED_THREADS, rights_inside};
    g_test_init(&argc, &argv, NULL);
    sandboxed_set_up();
    g_test_add_data_func("/device-layers/user", &user, test_case);
    g_test_add_data_func("/device-layers/root", &root, test_case);
    g_test_add_data_func("/device-layers/landlock", &landlock, test_case);
    g_test_add_data_func("/device-layers/rights", &rights, test_case);
    g_test_add_func("/device-layers/unprivileged", test_unprivileged);
    g_test_add_func("/device-layers/swtpm", test_swtpm);
    g_test_add_func("/device-layers/text", test_text);
    int result = g_test_run();
    sandboxed_tear_down();
    return result;
}
