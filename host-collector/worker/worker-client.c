/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-client.c - starts a worker, asks it, and ends it when it does not answer as it must
 *
 * Must never wait for a worker without a limit, nor believe a length that it sends.
 */
#include "host-collector/worker/worker-client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "host-collector/worker/worker-protocol.h"
#include "host-collector/worker/worker-report.h"

#define START_MS 10000 /* a loaded machine, a sanitizer's start: never minutes */
/* What a worker may need on top of its deadline: looking for the kernel, one scan, a slow host. */
#define GRACE_MS 5000u
#define GRACE_MS_PER_GIB 500u
/* Once a boot the measured kernel is unpacked and laid out: a second of CPU, on a host that may
 * have much else to do. */
#define UNPACK_MS 15000u
#define INPUTS_MS 5000    /* copies 96 MiB at most */
#define STALE_MESSAGES 64 /* answers to requests that timed out are skipped, not for ever */

struct MonattWorker {
    int fd;
    pid_t pid; /* 0: has been reaped */
    uint16_t id;
    uint64_t memory_bytes;
    MonattControlMessage message;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* "died of signal 31", "exited with 1" */
static void end_worker(MonattWorker *worker, char *text, size_t capacity)
{
    int status = 0;
    pid_t done;

    snprintf(text, capacity, "was killed");
    if (worker->pid == 0) {
        snprintf(text, capacity, "has ended before");
        return;
    }
    /* One that died by itself keeps its own status; SIGKILL ends a stopped one too. */
    kill(worker->pid, SIGKILL);
    do {
        done = waitpid(worker->pid, &status, 0);
    } while (done < 0 && errno == EINTR);
    worker->pid = 0;
    if (done > 0 && WIFEXITED(status)) {
        snprintf(text, capacity, "exited with %d", WEXITSTATUS(status));
    } else if (done > 0 && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
        snprintf(text, capacity, "died of signal %d", WTERMSIG(status));
    }
}

/* Whatever went wrong between us: the worker is of no more use. */
static bool give_up(MonattWorker *worker, const MonattError *why, MonattError *err)
{
    char how[48];
    long pid = worker->pid;

    end_worker(worker, how, sizeof(how));
    return monatt_error_set(err, MONATT_ERROR_PEER, "worker %ld: %s: %.120s", pid, how,
                            why->message);
}

static bool spawn(const char *worker_path, int fd, pid_t *ret_pid, MonattError *err)
{
    char *const arguments[] = {(char *)"monatt-worker", NULL};
    char *environment[3] = {NULL, NULL, NULL};
    static const char *const passed[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS"};
    char texts[MONATT_ARRAY_SIZE(passed)][512];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int result;
    size_t used = 0;

    /* Nothing of our environment, which may name secrets; only how sanitizers report. */
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(passed); i++) {
        const char *value = getenv(passed[i]);
        if (value && snprintf(texts[i], sizeof(texts[i]), "%s=%s", passed[i], value) <
                         (int)sizeof(texts[i])) {
            environment[used++] = texts[i];
        }
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    /* The socket first: 0 to 2 may not be it, as the collector keeps its own open. */
    posix_spawn_file_actions_adddup2(&actions, fd, WORKER_SOCKET);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, WORKER_SOCKET + 1);
    result = posix_spawn(ret_pid, worker_path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0) {
        monatt_error_set_errno(err, result, "worker: '%.100s'", worker_path);
        return monatt_error_hint(err, "it belongs to monatt-collectord: see its option --worker");
    }
    return true;
}

static bool send_regions(MonattWorker *worker, const MonattRamRegion *regions, const int *fds,
                         size_t count, MonattError *err)
{
    uint8_t payload[4 + MONATT_RAM_REGIONS_MAXIMUM * 24];
    MonattWriter w;

    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_writer_u32_be(&w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        monatt_writer_u64_be(&w, regions[i].guest_physical);
        monatt_writer_u64_be(&w, regions[i].size);
        monatt_writer_u64_be(&w, regions[i].offset);
        worker->memory_bytes += regions[i].size;
    }
    return monatt_control_send(worker->fd, WORKER_REGIONS, 0, payload, w.size, fds, count, err);
}

/* A thread's folder is found under its own number too, whatever process it belongs to. */
static int open_clock(uint32_t thread, const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%u/task/%u/%s", thread, thread, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool send_clock(MonattWorker *worker, uint32_t thread, MonattError *err)
{
    uint8_t payload[4];
    int fds[2] = {open_clock(thread, "schedstat"), open_clock(thread, "stat")};
    bool good = fds[0] >= 0 && fds[1] >= 0;
    MonattWriter w;

    if (!good) {
        monatt_error_set_errno(err, errno, "worker: clock of vCPU thread %u", thread);
    } else {
        monatt_writer_init(&w, payload, sizeof(payload));
        monatt_writer_u32_be(&w, 1);
        good = monatt_control_send(worker->fd, WORKER_CLOCKS, 0, payload, w.size, fds, 2, err);
    }
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    return good;
}

static bool hand_over(MonattWorker *worker, const MonattRamRegion *regions, const int *fds,
                      size_t count, const uint32_t *threads, size_t thread_count, MonattError *err)
{
    MonattError why = {0};

    if (!send_regions(worker, regions, fds, count, err)) {
        return false;
    }
    for (size_t i = 0; i < thread_count; i++) {
        if (!send_clock(worker, threads[i], err)) {
            return false;
        }
    }
    if (!monatt_control_call(worker->fd, WORKER_ENTER, NULL, 0, START_MS, &worker->message, &why)) {
        return give_up(worker, &why, err);
    }
    monatt_control_message_clear(&worker->message);
    return true;
}

bool monatt_worker_start(const char *worker_path, const MonattRamRegion *regions, const int *fds,
                         size_t count, const uint32_t *threads, size_t thread_count,
                         MonattWorker **ret_worker, MonattError *err)
{
    MonattWorker *worker;
    int pair[2];
    bool started;

    if (count == 0 || count > MONATT_RAM_REGIONS_MAXIMUM || thread_count > MONATT_VCPUS_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "worker: %zu regions, %zu vCPUs", count,
                                thread_count);
    }
    worker = calloc(1, sizeof(*worker));
    if (!worker) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "worker: out of memory");
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        monatt_error_set_errno(err, errno, "worker: socket pair");
        free(worker);
        return false;
    }
    worker->fd = pair[0];
    started = spawn(worker_path, pair[1], &worker->pid, err);
    close(pair[1]);
    if (!started || !hand_over(worker, regions, fds, count, threads, thread_count, err)) {
        monatt_worker_free(worker);
        return false;
    }
    *ret_worker = worker;
    return true;
}

static uint64_t end_time(const MonattWorker *worker, unsigned deadline_ms)
{
    return now_ms() + deadline_ms + GRACE_MS +
           (worker->memory_bytes >> 30) * (uint64_t)GRACE_MS_PER_GIB;
}

/* Waits for a message that answers the request worker->id; others are skipped. */
static bool receive(MonattWorker *worker, uint64_t end, MonattError *err)
{
    for (int i = 0; i < STALE_MESSAGES; i++) {
        uint64_t now = now_ms();
        if (now >= end) {
            return monatt_error_set(err, MONATT_ERROR_PEER, "did not answer in time");
        }
        if (!monatt_control_receive(worker->fd, (int)(end - now), &worker->message, err)) {
            return false;
        }
        if (worker->message.id == worker->id) {
            return true;
        }
        monatt_control_message_clear(&worker->message);
    }
    return monatt_error_set(err, MONATT_ERROR_PEER, "only answers of before");
}

/* What a worker refused with; it goes on living. */
static void take_refusal(MonattWorker *worker, MonattError *err)
{
    char text[MONATT_ERROR_MESSAGE_SIZE];
    const uint8_t *bytes;
    uint16_t code, length;
    MonattReader r;

    monatt_reader_init(&r, "worker refusal", worker->message.payload, worker->message.payload_size,
                       err);
    if (monatt_reader_u16_be(&r, &code) && monatt_reader_u16_be(&r, &length) &&
        monatt_reader_bytes(&r, length, &bytes)) {
        monatt_text_printable(bytes, length, text, sizeof(text));
        monatt_error_set(err,
                         code > MONATT_ERROR_NONE && code < MONATT_ERROR_COUNT
                             ? (MonattErrorCode)code
                             : MONATT_ERROR_INTERNAL,
                         "worker: %s", text);
    }
}

static bool check_alive(const MonattWorker *worker, MonattError *err)
{
    return worker->pid != 0 || monatt_error_set(err, MONATT_ERROR_PEER, "worker: has ended before");
}

/* A request whose answer is empty. */
static bool tell(MonattWorker *worker, uint16_t type, const void *payload, size_t size,
                 const int *fds, size_t fd_count, unsigned deadline_ms, MonattError *err)
{
    MonattError why = {0};

    worker->id++;
    if (!monatt_control_send(worker->fd, type, worker->id, payload, size, fds, fd_count, &why) ||
        !receive(worker, end_time(worker, deadline_ms), &why)) {
        return give_up(worker, &why, err);
    }
    if (worker->message.type == MONATT_CONTROL_ERROR) {
        take_refusal(worker, err);
        monatt_control_message_clear(&worker->message);
        return false;
    }
    monatt_control_message_clear(&worker->message);
    return true;
}

bool monatt_worker_mark(MonattWorker *worker, const uint8_t nonce[MONATT_NONCE_SIZE],
                        unsigned deadline_ms, MonattError *err)
{
    return check_alive(worker, err) &&
           tell(worker, WORKER_MARK, nonce, MONATT_NONCE_SIZE, NULL, 0, deadline_ms, err);
}

/* Adds fd to fds when it is one, with its file's size. */
static bool add_file(int fd, const char *what, off_t maximum, int fds[2], size_t *count,
                     uint32_t *ret_size, MonattError *err)
{
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;

    if (size < 0) {
        return monatt_error_set_errno(err, errno, "worker: %s", what);
    }
    if (size > maximum || (fd >= 0 && size == 0)) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "worker: %s of %ld bytes", what,
                                (long)size);
    }
    if (fd >= 0) {
        fds[(*count)++] = fd;
    }
    *ret_size = (uint32_t)size;
    return true;
}

bool monatt_worker_inputs(MonattWorker *worker, const MonattWorkerInputs *inputs, MonattError *err)
{
    uint8_t payload[16 + MONATT_VCPUS_MAXIMUM * 72];
    uint32_t image_size = 0, btf_size = 0;
    size_t count = 0;
    int fds[2];
    MonattWriter w;

    if (!check_alive(worker, err) ||
        (inputs->set_image && !add_file(inputs->image_fd, "kernel image", WORKER_IMAGE_MAXIMUM, fds,
                                        &count, &image_size, err)) ||
        (inputs->set_btf && !add_file(inputs->btf_fd, "reference BTF", WORKER_BTF_MAXIMUM, fds,
                                      &count, &btf_size, err))) {
        return false;
    }
    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_writer_u32_be(&w, (inputs->set_image ? WORKER_INPUT_IMAGE : 0) |
                                 (inputs->set_btf ? WORKER_INPUT_BTF : 0) |
                                 (inputs->set_vcpus ? WORKER_INPUT_VCPUS : 0));
    monatt_writer_u32_be(&w, image_size);
    monatt_writer_u32_be(&w, btf_size);
    monatt_vcpu_registers_encode(&w, inputs->vcpus, inputs->set_vcpus ? inputs->vcpu_count : 0);
    if (w.failed) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "worker: registers of %zu vCPUs",
                                inputs->vcpu_count);
    }
    return tell(worker, WORKER_INPUTS, payload, w.size, fds, count, INPUTS_MS, err);
}

static bool send_request(MonattWorker *worker, int list_fd, const uint8_t *nonce,
                         unsigned deadline_ms, MonattError *err)
{
    static const uint8_t no_nonce[MONATT_NONCE_SIZE];
    uint8_t payload[8 + MONATT_NONCE_SIZE];
    off_t list_size = 0;
    MonattWriter w;

    if (list_fd >= 0) {
        list_size = lseek(list_fd, 0, SEEK_END);
        if (list_size < 0 || list_size > MONATT_GUEST_LIST_MAXIMUM) {
            return monatt_error_set(err, MONATT_ERROR_LIMIT, "worker: guest list of %ld bytes",
                                    (long)list_size);
        }
    }
    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_writer_u32_be(&w, deadline_ms);
    monatt_writer_bytes(&w, nonce ? nonce : no_nonce, MONATT_NONCE_SIZE);
    monatt_writer_u32_be(&w, (uint32_t)list_size);
    worker->id++;
    return monatt_control_send(worker->fd, WORKER_TASKS, worker->id, payload, w.size, &list_fd,
                               list_size > 0 ? 1 : 0, err);
}

/* Adds one part to *bytes; the first one says how much there will be. */
static bool take_part(MonattWorker *worker, uint16_t type, uint32_t maximum, uint8_t **bytes,
                      size_t *have, size_t *total, MonattError *err)
{
    const uint8_t *part;
    uint32_t this_total, offset;
    size_t length;
    MonattReader r;

    monatt_reader_init(&r, "worker answer", worker->message.payload, worker->message.payload_size,
                       err);
    if (worker->message.type != (type | MONATT_CONTROL_ANSWER)) {
        return monatt_reader_fail(&r, "type %#x", worker->message.type);
    }
    if (!monatt_reader_count(&r, maximum, &this_total) || !monatt_reader_u32_be(&r, &offset)) {
        return false;
    }
    length = monatt_reader_left(&r);
    if (!*bytes) {
        *total = this_total;
        *bytes = malloc(this_total ? this_total : 1);
        if (!*bytes) {
            return monatt_error_set(err, MONATT_ERROR_SYSTEM, "worker answer: out of memory");
        }
    }
    if (this_total != *total || offset != *have || length == 0 || length > *total - *have) {
        return monatt_reader_fail(&r, "part of %zu bytes at %u of %u", length, offset, this_total);
    }
    if (!monatt_reader_bytes(&r, length, &part)) {
        return false;
    }
    memcpy(*bytes + *have, part, length);
    *have += length;
    return true;
}

/* All parts of the answer; *ret_bytes is the caller's. A refusal leaves the worker alive. */
static bool take_answer(MonattWorker *worker, uint16_t type, uint32_t maximum, uint64_t end,
                        uint8_t **ret_bytes, size_t *ret_size, MonattError *err)
{
    uint8_t *bytes MONATT_CLEANUP_FREE = NULL;
    size_t have = 0, total = 0;
    MonattError why = {0};

    while (!bytes || have < total) {
        bool good;

        if (!receive(worker, end, &why)) {
            return give_up(worker, &why, err);
        }
        if (worker->message.type == MONATT_CONTROL_ERROR && !bytes) {
            take_refusal(worker, err);
            monatt_control_message_clear(&worker->message);
            return false;
        }
        good = take_part(worker, type, maximum, &bytes, &have, &total, &why);
        monatt_control_message_clear(&worker->message);
        if (!good) {
            return give_up(worker, &why, err);
        }
    }
    *ret_bytes = bytes;
    *ret_size = total;
    bytes = NULL;
    return true;
}

bool monatt_worker_tasks(MonattWorker *worker, int guest_list_fd,
                         const uint8_t nonce[MONATT_NONCE_SIZE], unsigned deadline_ms,
                         MonattTaskReport **ret_report, MonattError *err)
{
    uint8_t *bytes MONATT_CLEANUP_FREE = NULL;
    uint64_t end = end_time(worker, deadline_ms);
    MonattError why = {0};
    size_t size;

    if (!check_alive(worker, err)) {
        return false;
    }
    if (!send_request(worker, guest_list_fd, nonce, deadline_ms, &why)) {
        return why.code == MONATT_ERROR_LIMIT ? monatt_error_set(err, why.code, "%s", why.message)
                                              : give_up(worker, &why, err);
    }
    if (!take_answer(worker, WORKER_TASKS, WORKER_REPORT_MAXIMUM, end, &bytes, &size, err)) {
        return false;
    }
    return monatt_worker_answer_parse(bytes, size, ret_report, &why) || give_up(worker, &why, err);
}

bool monatt_worker_checks(MonattWorker *worker, const MonattCheckRequest *request,
                          MonattCheckReport **ret_report, MonattError *err)
{
    uint8_t *bytes MONATT_CLEANUP_FREE = NULL;
    uint64_t end = end_time(worker, request->deadline_ms + UNPACK_MS);
    uint32_t maximum =
        CHECK_REPORT_HEAD_MAXIMUM + (uint32_t)__builtin_popcount(request->tables) * TABLE_BYTES;
    uint8_t payload[20];
    MonattError why = {0};
    MonattWriter w;
    size_t size;

    if (!check_alive(worker, err)) {
        return false;
    }
    if (request->tables >> TABLE_FORMS_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "worker: tables %#x", request->tables);
    }
    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_writer_u32_be(&w, request->deadline_ms);
    monatt_writer_u64_be(&w, request->checks);
    monatt_writer_u32_be(&w, request->tables);
    monatt_writer_u32_be(&w, request->snapshot ? WORKER_CHECKS_SNAPSHOT : 0);
    worker->id++;
    if (!monatt_control_send(worker->fd, WORKER_CHECKS, worker->id, payload, w.size, NULL, 0,
                             &why)) {
        return give_up(worker, &why, err);
    }
    if (!take_answer(worker, WORKER_CHECKS, maximum, end, &bytes, &size, err)) {
        return false;
    }
    if (!check_report_decode(bytes, size, request->snapshot, request->tables, ret_report, &why)) {
        return give_up(worker, &why, err);
    }
    bytes = NULL; /* the report's now */
    return true;
}

bool monatt_worker_alive(MonattWorker *worker)
{
    siginfo_t info = {0};

    if (worker->pid == 0) {
        return false;
    }
    /* Looks without reaping: the status is for the message of the call that finds out. */
    if (waitid(P_PID, (id_t)worker->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == 0) {
        return true;
    }
    return false;
}

uint32_t monatt_worker_pid(const MonattWorker *worker)
{
    return (uint32_t)worker->pid;
}

void monatt_worker_free(MonattWorker *worker)
{
    char how[48];

    if (worker) {
        end_worker(worker, how, sizeof(how));
        close(worker->fd);
        free(worker);
    }
}
