/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe.c - asks QEMU what it is; must never wait for one that does not answer
 *
 * Its questions run side by side, as each costs 40 ms of relocations.
 */
#include "hw-attest/launcher/probe.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_NAME "qemu-system-x86_64"
#define OUTPUT_MAXIMUM (256 * 1024) /* -help of QEMU 11 has 40 KiB */
#define ANSWER_PATIENCE_MS 30000    /* 40 ms on an idle machine */
#define VERSION_MINIMUM 6           /* x-pci-proxy-dev came with 6.0 */
#define VERSION_TCG_BROKEN 10       /* its proxy device crashes QEMU under TCG */
#define VERSION_PLUGIN_API_2 9      /* refuses plugins of API version 1 */

typedef struct Question {
    pid_t pid;
    int fd;
    char *text;
    size_t size;
    int status;
} Question;

static bool probe_candidate(const char *path, Probe *ret)
{
    struct stat status;
    if (strlen(path) >= sizeof(ret->path) || stat(path, &status) != 0 || !S_ISREG(status.st_mode) ||
        access(path, X_OK) != 0) {
        return false;
    }
    snprintf(ret->path, sizeof(ret->path), "%s", path);
    ret->status = status;
    return true;
}

static bool probe_in_path(const char *name, Probe *ret)
{
    const char *folders = getenv("PATH");
    if (!folders || !*folders) {
        folders = "/usr/bin:/bin";
    }
    while (*folders) {
        char path[PATH_MAX];
        size_t length = strcspn(folders, ":");
        int size = snprintf(path, sizeof(path), "%.*s/%s", (int)length, folders, name);
        if (length > 0 && size > 0 && (size_t)size < sizeof(path) && probe_candidate(path, ret)) {
            return true;
        }
        folders += length + (folders[length] == ':');
    }
    return false;
}

/* qemu-system-aarch64 has other machines and firmware, which nobody tried. */
static bool probe_is_foreign(const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    static const char prefix[] = "qemu-system-";
    return strncmp(base, prefix, strlen(prefix)) == 0 &&
           strncmp(base + strlen(prefix), "x86_64", 6) != 0 &&
           strncmp(base + strlen(prefix), "i386", 4) != 0;
}

bool probe_find(const char *wanted, Probe *ret, MonattError *err)
{
    struct stat own;
    const char *environment = getenv("MONATT_QEMU");
    const char *name = wanted ? wanted : environment && *environment ? environment : DEFAULT_NAME;
    memset(ret, 0, sizeof(*ret));
    errno = 0;
    bool found = strchr(name, '/') ? probe_candidate(name, ret) : probe_in_path(name, ret);
    if (!found) {
        bool denied = errno == EACCES;
        monatt_error_set(err, denied ? MONATT_ERROR_PERMISSION : MONATT_ERROR_MISSING,
                         "QEMU: '%.120s': %s", name,
                         denied ? "may not be executed" : "no such program");
        return monatt_error_hint(
            err, "install it (apt install qemu-system-x86) or say --monatt-qemu PATH");
    }
    if (stat("/proc/self/exe", &own) == 0 && own.st_dev == ret->status.st_dev &&
        own.st_ino == ret->status.st_ino) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "QEMU: '%.120s': is monatt-qemu itself",
                         ret->path);
        return monatt_error_hint(err, "say which QEMU with --monatt-qemu PATH");
    }
    if (probe_is_foreign(ret->path)) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "QEMU: '%.120s': is not one for x86", ret->path);
        return monatt_error_hint(err, "the attest device is for qemu-system-x86_64");
    }
    return true;
}

static bool probe_ask(const Probe *probe, const char *const argv[], Question *ret)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    *ret = (Question){.fd = ends[0], .pid = fork()};
    if (ret->pid == 0) {
        int null_fd = open("/dev/null", O_RDWR);
        dup2(null_fd, 0);
        dup2(ends[1], 1);
        dup2(null_fd, 2);
        execv(probe->path, (char *const *)argv);
        _exit(127);
    }
    close(ends[1]);
    if (ret->pid < 0) {
        close(ends[0]);
        return false;
    }
    ret->text = calloc(1, OUTPUT_MAXIMUM + 1);
    return true;
}

static long long probe_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Reads to the end of the answer; one that is too long or too late is killed. */
static bool probe_hear(Question *question, long long deadline)
{
    bool whole = false;
    while (question->text && question->size < OUTPUT_MAXIMUM) {
        struct pollfd wait = {.fd = question->fd, .events = POLLIN};
        long long left = deadline - probe_now_ms();
        if (left <= 0 || poll(&wait, 1, (int)left) < 0) {
            break;
        }
        ssize_t got = wait.revents ? read(question->fd, question->text + question->size,
                                          OUTPUT_MAXIMUM - question->size)
                                   : 0;
        if (got <= 0) {
            whole = wait.revents && got == 0;
            break;
        }
        question->size += (size_t)got;
    }
    if (!whole) {
        kill(question->pid, SIGKILL); /* our child, not reaped yet */
    }
    close(question->fd);
    return waitpid(question->pid, &question->status, 0) == question->pid && whole;
}

static bool probe_version(Probe *probe, MonattError *err)
{
    static const char mark[] = "emulator version ";
    const char *at = probe->help ? strstr(probe->help, mark) : NULL;
    if (!at ||
        sscanf(at + strlen(mark), "%3u.%3u.%3u", &probe->major, &probe->minor, &probe->micro) < 2) {
        monatt_error_set(err, MONATT_ERROR_MISSING, "QEMU: '%.120s': says no version to -help",
                         probe->path);
        return monatt_error_hint(err, "say which QEMU with --monatt-qemu PATH");
    }
    return true;
}

bool probe_run(Probe *probe, const Words *library_folders, MonattError *err)
{
    const char *const help[] = {probe->path, "-help", NULL};
    const char *const proxy[] = {probe->path, "-device", "x-pci-proxy-dev,help", NULL};
    const char *const vfio[] = {probe->path, "-device", "vfio-user-pci,help", NULL};
    Words folders = {0};
    Question questions[4] = {0};
    bool answers[4] = {false};
    words_add(&folders, probe->path);
    for (size_t i = 0; i < library_folders->count; i++) {
        words_add(&folders, "-L");
        words_add(&folders, library_folders->items[i]);
    }
    words_add(&folders, "-L");
    words_add(&folders, "help");
    if (!words_finish(&folders, err)) {
        words_clear(&folders);
        return false;
    }
    const char *const *const lines[] = {help, proxy, (const char *const *)folders.items, vfio};
    long long deadline = probe_now_ms() + ANSWER_PATIENCE_MS;
    size_t asked = 0;
    while (asked < MONATT_ARRAY_SIZE(lines) && probe_ask(probe, lines[asked], &questions[asked])) {
        asked++;
    }
    int saved = errno;
    for (size_t i = 0; i < asked; i++) {
        answers[i] = probe_hear(&questions[i], deadline);
    }
    words_clear(&folders);
    probe->help = questions[0].text;
    probe->data_dirs = questions[2].text;
    probe->has_proxy = answers[1] && questions[1].status == 0 && strstr(questions[1].text, "fd=");
    probe->has_vfio =
        answers[3] && questions[3].status == 0 && strstr(questions[3].text, "socket=");
    free(questions[1].text);
    free(questions[3].text);
    if (asked < MONATT_ARRAY_SIZE(lines)) {
        return monatt_error_set_errno(err, saved, "QEMU: '%.120s'", probe->path);
    }
    probe->has_plugin = probe->help && strstr(probe->help, "\n-plugin ");
    return probe_version(probe, err);
}

static void probe_text(const Probe *probe, char *text, size_t capacity)
{
    snprintf(text, capacity, "QEMU: '%.100s': version %u.%u.%u", probe->path, probe->major,
             probe->minor, probe->micro);
}

static bool probe_can_mpqemu(const Probe *probe, bool tcg, MonattError *err)
{
    char what[160];
    probe_text(probe, what, sizeof(what));
    if (!probe->has_proxy) {
        monatt_error_set(err, MONATT_ERROR_MISSING, "%s has no x-pci-proxy-dev", what);
        return monatt_error_hint(err, "a build with multi-process support is needed, as Debian's");
    }
    if (tcg && probe->major >= VERSION_TCG_BROKEN) {
        monatt_error_set(err, MONATT_ERROR_MISSING,
                         "%s crashes at start with the attest device under TCG", what);
        return monatt_error_hint(err, "use -accel kvm, or QEMU %d to %d or from 10.1 on for TCG",
                                 VERSION_MINIMUM, VERSION_TCG_BROKEN - 1);
    }
    return true;
}

static bool probe_can_vfio_user(const Probe *probe, MonattError *err)
{
    char what[160];
    probe_text(probe, what, sizeof(what));
    if (!probe->has_vfio) {
        monatt_error_set(err, MONATT_ERROR_MISSING, "%s has no vfio-user-pci", what);
        return monatt_error_hint(err, "it came with QEMU 10.1; leave --monatt-wire out");
    }
    return true;
}

bool probe_wire(const Probe *probe, bool tcg, const char *wanted, MonattAttachWire *ret,
                MonattError *err)
{
    char what[160];
    probe_text(probe, what, sizeof(what));
    if (probe->major < VERSION_MINIMUM) {
        monatt_error_set(err, MONATT_ERROR_MISSING, "%s is too old for the attest device", what);
        return monatt_error_hint(err, "QEMU %d.0 or later is needed", VERSION_MINIMUM);
    }
    if (!wanted) {
        if (!probe_can_mpqemu(probe, tcg, err)) {
            if (!probe->has_vfio) {
                return false;
            }
            monatt_error_clear(err);
            *ret = MONATT_WIRE_VFIO_USER;
            return true;
        }
        *ret = MONATT_WIRE_MPQEMU;
        return true;
    }
    if (strcmp(wanted, "mpqemu") == 0) {
        *ret = MONATT_WIRE_MPQEMU;
        return probe_can_mpqemu(probe, tcg, err);
    }
    if (strcmp(wanted, "vfio-user") == 0) {
        *ret = MONATT_WIRE_VFIO_USER;
        return probe_can_vfio_user(probe, err);
    }
    monatt_error_set(err, MONATT_ERROR_USAGE, "option '--monatt-wire': '%.40s' is no wire", wanted);
    return monatt_error_hint(err, "mpqemu or vfio-user; without it the one that works is taken");
}

bool probe_plugin(const Probe *probe, MonattError *err)
{
    char what[160];
    probe_text(probe, what, sizeof(what));
    if (!probe->has_plugin) {
        monatt_error_set(err, MONATT_ERROR_MISSING, "%s was built without plugins", what);
        return monatt_error_hint(err, "--monatt-no-plugin starts the VM without plugin events");
    }
    if (probe->major >= VERSION_PLUGIN_API_2) {
        monatt_error_set(err, MONATT_ERROR_MISSING,
                         "%s refuses plugins of API version 1, which ours has", what);
        return monatt_error_hint(err, "--monatt-no-plugin starts the VM without plugin events");
    }
    return true;
}

bool probe_unchanged(const Probe *probe, MonattError *err)
{
    struct stat now;
    if (stat(probe->path, &now) != 0) {
        return monatt_error_set_errno(err, errno, "QEMU: '%.120s'", probe->path);
    }
    const struct stat *then = &probe->status;
    if (now.st_dev != then->st_dev || now.st_ino != then->st_ino || now.st_size != then->st_size ||
        now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != then->st_mtim.tv_nsec ||
        now.st_ctim.tv_sec != then->st_ctim.tv_sec ||
        now.st_ctim.tv_nsec != then->st_ctim.tv_nsec) {
        monatt_error_set(err, MONATT_ERROR_PEER,
                         "QEMU: '%.120s': was replaced while it was measured", probe->path);
        return monatt_error_hint(err, "start the VM again");
    }
    return true;
}

void probe_clear(Probe *probe)
{
    free(probe->help);
    free(probe->data_dirs);
    memset(probe, 0, sizeof(*probe));
}
